"""From the alarm to the crossed-off hazard, by keyboard and by forms, each step in the ledger."""

import re

import pytest
from playwright.sync_api import expect

from conftest import ARTEFACTS, FEATURES
from test_pages import quote


# The loop takes people in four roles; a console with accounts has them sign in one by one.
several = pytest.mark.skipif("hazards" not in FEATURES or "session" in FEATURES, reason="needs hazards and a console without accounts")


def fill(page, **values):
    for name, value in values.items():
        field = page.locator(f"dialog #field-{name}")
        if field.evaluate("(e) => e.tagName") == "SELECT":
            field.select_option(value)
        else:
            field.fill(value)


def act(page, kind, **values):
    """Does an act of the closed loop through its form, and waits until the dialog has gone."""
    page.locator(f"#hazard-acts [data-act={kind}]").click()
    fill(page, **values)
    page.locator("#form-submit").click()
    expect(page.locator("dialog")).to_have_count(0)


def test_a_note_by_keyboard_stands_beside_the_alarm(watched, calm):
    calm.publish("ch4_n", 8.0)
    page = watched.open("/wall")
    expect(page.locator("#rows tr.row").first).to_be_visible()
    page.keyboard.press("j")
    page.keyboard.press("n")
    if "session" not in FEATURES:
        page.locator("#act-actor").fill("王伟")
    page.locator("#act-reason").fill("已通知现场")
    page.keyboard.press("Enter")
    expect(page.locator("dialog")).to_have_count(0)
    expect(page.locator(".wall-detail .history")).to_contain_text("已通知现场")
    alarm = calm.get("alarms/standing")["alarms"][0]
    assert alarm["state"] == "unacknowledged"
    entries = calm.get("alarms/" + quote(alarm["alarm"]))["entries"]
    assert [(e["kind"], e["body"].get("reason")) for e in entries][-1] == ("system", "已通知现场")
    assert entries[-1]["actor"] not in ("", "engine")


@several
def test_a_hazard_goes_the_whole_way(watched, calm):
    calm.publish("ch4_e", 30.0)
    page = watched.open("/wall", width=1500, height=1000, expect_refusal=True)
    expect(page.locator("#rows tr.row").first).to_be_visible()
    page.keyboard.press("j")
    expect(page.locator(".wall-detail h2")).to_contain_text("东侧甲烷")
    page.keyboard.press("d")
    fill(page, actor="周局长", role="county", detail="东侧管线疑似泄漏")
    page.locator("#form-submit").click()
    expect(page).to_have_url(re.compile(r"/hazard\?id="))
    expect(page.locator("h1")).to_contain_text("东侧甲烷")
    hazard = page.evaluate("new URLSearchParams(location.search).get('id')")
    state = lambda: calm.get("hazards/" + quote(hazard))["state"]
    act(page, "verify", actor="周局长", role="county", reason="现场已核实")
    act(page, "grade", actor="周局长", role="county", grade="major", reason="判定标准")
    act(page, "assignCommittee", actor="周局长", role="county", assignee="METEC 试验场")
    act(page, "assignSector", actor="李处长", role="sector", assignee="METEC 试验场")
    act(page, "plan", actor="陈矿长", role="enterprise", responsible="陈矿长", measures="更换法兰垫片，气密性试验", funds="自筹 2 万元", contingency="超 20 ppm 立即停产撤人")
    expect(page.locator("#hazard-plan")).to_contain_text("更换法兰垫片")
    act(page, "start", actor="陈矿长", role="enterprise")
    # Nothing is submitted without evidence: the refusal is told in the form.
    page.locator("#hazard-acts [data-act=submit]").click()
    fill(page, actor="陈矿长", role="enterprise")
    page.locator("#form-submit").click()
    expect(page.locator("dialog .error")).not_to_be_empty()
    page.locator("dialog .buttons button").first.click()
    page.locator("#hazard-acts [data-act=attach]").click()
    fill(page, actor="陈矿长", role="enterprise")
    page.locator("#field-file").set_input_files({"name": "整改后.txt", "mimeType": "text/plain", "buffer": "垫片已换".encode()})
    page.locator("#form-submit").click()
    expect(page.locator("#hazard-evidence")).to_contain_text("整改后.txt")
    with page.expect_download() as download:
        page.locator("#hazard-evidence a").first.click()
    assert open(download.value.path(), "rb").read() == "垫片已换".encode()
    act(page, "submit", actor="陈矿长", role="enterprise")
    assert state() == "submitted"
    page.screenshot(path=ARTEFACTS / "hazard.png")
    calm.calm()
    act(page, "accept", actor="李处长", role="sector")
    act(page, "sample", actor="赵主任", role="city")
    act(page, "close", actor="周局长", role="county", reason="复核合格")
    expect(page.locator(".badge").first).to_have_text("销号")
    assert state() == "closed"
    story = page.locator("#hazard-story li")
    expect(story).to_have_count(len(calm.get("hazards/" + quote(hazard))["entries"]))
    # Another officer finds it in the list, and what was done prints.
    other = watched.open("/hazards", "en-US")
    expect(other.locator("#hazard-rows tr", has_text="东侧甲烷").first).to_contain_text("Closed")
    page.emulate_media(media="print")
    assert len(page.pdf(path=ARTEFACTS / "hazard.pdf", prefer_css_page_size=True)) > 10_000


@several
def test_silences_and_figures(watched, calm):
    page = watched.open("/callouts?view=silences")
    page.locator("#silence-new").click()
    fill(page, actor="周局长", role="county", path="metec", reason="年度检修")
    page.locator("#form-submit").click()
    expect(page.locator("#matters")).to_contain_text("年度检修")
    page.locator("#matters button").first.click()
    fill(page, actor="周局长", role="county")
    page.locator("#form-submit").click()
    expect(page.locator("#matters")).to_contain_text("没有静默")


@pytest.mark.skipif("kpis" not in FEATURES, reason="needs the figures' API")
def test_figures_of_the_recorded_week(on_recorded, recorded):
    page = on_recorded.open("/kpi?span=7d", width=1366, height=1100)
    expect(page.locator(".kpi-cards div")).to_have_count(7)
    expect(page.locator(".kpi-bars rect").first).to_be_visible()
    report = recorded.get("kpis", **{"from": 1652000000000, "to": 1652700000000})
    assert report["annunciated"] > 300
    page.screenshot(path=ARTEFACTS / "kpi.png")

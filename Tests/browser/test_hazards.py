"""From the alarm to the crossed-off hazard, by keyboard and by forms, each step in the ledger."""

import re
import zipfile
from xml.etree import ElementTree

import pytest
from playwright.sync_api import expect

from conftest import ARTEFACTS, FEATURES
from test_pages import quote


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
    page.locator("#act-reason").fill("已通知现场")
    page.keyboard.press("Enter")
    expect(page.locator("dialog")).to_have_count(0)
    expect(page.locator(".wall-detail .history")).to_contain_text("已通知现场")
    alarm = calm.get("alarms/standing")["alarms"][0]
    assert alarm["state"] == "unacknowledged"
    entries = calm.get("alarms/" + quote(alarm["alarm"]))["entries"]
    assert [(e["kind"], e["body"].get("reason")) for e in entries][-1] == ("system", "已通知现场")
    assert entries[-1]["actor"] not in ("", "engine")


@pytest.mark.quick
def test_a_hazard_goes_the_whole_way(watched, calm):
    """Four people in four roles, each signed in at a browser of his own, as the closed loop divides their duties."""
    calm.publish("ch4_e", 30.0)
    county = watched.open("/wall", width=1500, height=1000, door=calm.person("zhou.jun"))
    expect(county.locator("#rows tr.row").first).to_be_visible()
    county.keyboard.press("j")
    expect(county.locator(".wall-detail h2")).to_contain_text("东侧甲烷")
    county.keyboard.press("d")
    fill(county, detail="东侧管线疑似泄漏")
    county.locator("#form-submit").click()
    expect(county).to_have_url(re.compile(r"/hazard\?id="))
    expect(county.locator("h1")).to_contain_text("东侧甲烷")
    address = county.evaluate("location.pathname + location.search")
    hazard = county.evaluate("new URLSearchParams(location.search).get('id')")
    sector, enterprise, city = (watched.open(address, expect_refusal=True, door=calm.person(name))
                                for name in ("li.ming", "chen.gang", "zhao.min"))
    state = lambda: calm.get("hazards/" + quote(hazard))["state"]
    # Nobody is offered another's part: verifying is not for the enterprise, planning for nobody else.
    expect(enterprise.locator(".badge").first).to_have_text("登记")
    expect(enterprise.locator("#hazard-acts [data-act=verify]")).to_have_count(0)
    act(county, "verify", reason="现场已核实")
    act(county, "grade", grade="major", reason="判定标准")
    act(county, "assignCommittee", assignee="METEC 试验场")
    act(sector, "assignSector", assignee="METEC 试验场")
    expect(county.locator("#hazard-acts [data-act=plan]")).to_have_count(0)
    act(enterprise, "plan", responsible="陈矿长", measures="更换法兰垫片，气密性试验", funds="自筹 2 万元", contingency="超 20 ppm 立即停产撤人")
    expect(enterprise.locator("#hazard-plan")).to_contain_text("更换法兰垫片")
    act(enterprise, "start")
    # Nothing is submitted without evidence: the refusal is told in the form.
    enterprise.locator("#hazard-acts [data-act=submit]").click()
    enterprise.locator("#form-submit").click()
    expect(enterprise.locator("dialog .error")).to_contain_text("整改开始后须先附证据")
    enterprise.locator("dialog .buttons button").first.click()
    enterprise.locator("#hazard-acts [data-act=attach]").click()
    enterprise.locator("#field-file").set_input_files({"name": "整改后.txt", "mimeType": "text/plain", "buffer": "垫片已换".encode()})
    enterprise.locator("#form-submit").click()
    expect(enterprise.locator("#hazard-evidence")).to_contain_text("整改后.txt")
    with enterprise.expect_download() as download:
        enterprise.locator("#hazard-evidence a").first.click()
    assert open(download.value.path(), "rb").read() == "垫片已换".encode()
    act(enterprise, "submit")
    assert state() == "submitted"
    calm.calm()
    act(sector, "accept")
    act(city, "sample")
    act(county, "close", reason="复核合格")
    expect(county.locator(".badge").first).to_have_text("销号")
    county.screenshot(path=ARTEFACTS / "hazard.png")
    assert state() == "closed"
    entries = calm.get("hazards/" + quote(hazard))["entries"]
    expect(county.locator("#hazard-story li")).to_have_count(len(entries))
    done = [(e["body"]["act"], e["actor"]) for e in entries if "refusal" not in e["body"]]
    assert done == [
        ("register", "zhou.jun"), ("verify", "zhou.jun"), ("grade", "zhou.jun"), ("assignCommittee", "zhou.jun"),
        ("assignSector", "li.ming"), ("plan", "chen.gang"), ("start", "chen.gang"), ("attach", "chen.gang"),
        ("submit", "chen.gang"), ("accept", "li.ming"), ("sample", "zhao.min"), ("close", "zhou.jun")]
    # Another officer finds it in the list, and what was done prints.
    other = watched.open("/hazards", "en-US")
    expect(other.locator("#hazard-rows tr", has_text="东侧甲烷").first).to_contain_text("Closed")
    county.emulate_media(media="print")
    assert len(county.pdf(path=ARTEFACTS / "hazard.pdf", prefer_css_page_size=True)) > 10_000


def test_the_hazard_ledger_opens_in_a_spreadsheet(watched, calm):
    title = "防雷接地未检测 <周边>"
    registered = calm.send("hazards", {"source": "governmentInspection", "place": "metec/metec/fence", "title": title}, "zhou.jun")
    page = watched.open("/hazards", door=calm.person("zhou.jun"))
    page.get_by_label("来源").select_option("governmentInspection")
    expect(page.locator("#hazard-rows tr", has_text=title)).to_have_count(1)
    rows = page.locator("#hazard-rows tr").count()
    with page.expect_download() as download:
        page.locator("#hazard-xlsx").click()
    assert download.value.suggested_filename == "davy-hazards.xlsx"
    with zipfile.ZipFile(download.value.path()) as book:
        assert book.testzip() is None
        sheet = ElementTree.fromstring(book.read("xl/worksheets/sheet1.xml"))
    cells = [["".join(cell.itertext()) for cell in row] for row in sheet.findall(".//{*}row")]
    assert len(cells) == rows + 1
    assert registered["hazard"] in sum(cells, []) and title in sum(cells, [])


def test_silences_and_figures(watched, calm):
    page = watched.open("/callouts?view=silences", door=calm.person("zhou.jun"))
    page.locator("#silence-new").click()
    fill(page, path="metec", reason="年度检修")
    page.locator("#form-submit").click()
    expect(page.locator("#matters")).to_contain_text("年度检修")
    page.locator("#matters button").first.click()
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

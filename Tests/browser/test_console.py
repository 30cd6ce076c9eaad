"""What a duty officer sees and does, in a real browser on the real service."""

import re
import time

import pytest
from playwright.sync_api import expect

from conftest import ARTEFACTS, FEATURES, ROOT, is_quiet, wait_for

# Whether the stream's description has the event.
HAS_FLOODS = "      flood:\n" in (ROOT / "Sources/Console/Resources/api/asyncapi.yaml").read_text()

LIVE = {"zh-CN": "实时", "en-US": "Live"}


PAGES = [
    ("/wall", {"zh-CN": "当前报警", "en-US": "Current alarms"}),
    ("/ledger", {"zh-CN": "台账", "en-US": "Ledger"}),
    ("/ledger?view=entries", {"zh-CN": "台账", "en-US": "Ledger"}),
    ("/map", {"zh-CN": "地图", "en-US": "Map"}),
    ("/tree", {"zh-CN": "测点与健康", "en-US": "Points & health"}),
    ("/tree?view=matrix", {"zh-CN": "测点与健康", "en-US": "Points & health"}),
    ("/trends", {"zh-CN": "实时曲线", "en-US": "Trends"}),
    ("/quality", {"zh-CN": "数据质量", "en-US": "Data quality"}),
    ("/replay", {"zh-CN": "回放回测", "en-US": "Back-test"}),
    ("/rules", {"zh-CN": "规则", "en-US": "Rules"}),
    ("/rejects", {"zh-CN": "拒收数据", "en-US": "Rejects"}),
    ("/status", {"zh-CN": "系统状态", "en-US": "System"}),
]
PAGES += [page for need, *page in [
    ("hazards", "/hazards", {"zh-CN": "隐患", "en-US": "Hazards"}),
    ("callouts", "/callouts", {"zh-CN": "叫应", "en-US": "Call-outs"}),
    ("callouts", "/callouts?view=clocks", {"zh-CN": "叫应", "en-US": "Call-outs"}),
    ("callouts", "/callouts?view=silences", {"zh-CN": "叫应", "en-US": "Call-outs"}),
    ("kpis", "/kpi", {"zh-CN": "指标", "en-US": "KPIs"}),
    ("accounts", "/admin", {"zh-CN": "管理", "en-US": "Administration"}),
    ("accounts", "/admin?view=rosters", {"zh-CN": "管理", "en-US": "Administration"}),
    ("channels", "/admin?view=channels", {"zh-CN": "管理", "en-US": "Administration"}),
    ("welding", "/welding", {"zh-CN": "焊接", "en-US": "Welding"}),
    ("welding", "/welding?view=scans", {"zh-CN": "焊接", "en-US": "Welding"}),
    ("welding", "/welding?view=permits", {"zh-CN": "焊接", "en-US": "Welding"}),
    ("welding", "/welding?view=welders", {"zh-CN": "焊接", "en-US": "Welding"}),
    ("coverage", "/tree?view=coverage", {"zh-CN": "测点与健康", "en-US": "Points & health"}),
] if need in FEATURES]


@pytest.mark.quick
@pytest.mark.parametrize("locale", ["zh-CN", "en-US"])
@pytest.mark.parametrize("path, heading", PAGES)
def test_each_page_opens_in_both_languages(on_recorded, path, heading, locale):
    page = on_recorded.open(path, locale)
    expect(page.locator("#link")).to_have_text(LIVE[locale])
    expect(page.locator("h1")).to_contain_text(heading[locale])
    # A word without a translation would show as its key.
    text = page.locator("body").inner_text()
    assert not re.search(r"\b(nav|column|state|status|event|keys|count|replay|rules|map|quality|trends|matrix|tree|hazard|kpi|weld|user|admin|roster|channel|weekday|relay|detector|callout|matters)\.[a-zA-Z]+\b", text), text
    page.screenshot(path=ARTEFACTS / f"{path.strip('/').replace('?', '-').replace('=', '-')}-{locale}.png")


@pytest.mark.quick
def test_an_alarm_is_on_the_wall_within_a_second_of_its_message(watched, calm):
    page = watched.open("/wall")
    expect(page.locator("#link")).to_have_text("实时")
    took = []
    for sensor in ("n", "ne", "e", "se", "s"):
        row = page.locator("#rows tr.row", has=page.locator(f"td[title='metec/metec/fence/ch4_{sensor}/ch4']"))
        expect(row).to_have_count(0)
        begin = time.monotonic()
        calm.publish(f"ch4_{sensor}", 8.0)
        row.first.wait_for()
        took.append((time.monotonic() - begin) * 1000)
        expect(row.first).to_contain_text("未确认")
    expect(page.locator("#count-3 b")).to_have_text("5")
    took.sort()
    print(f"message to wall, mosquitto_pub's start included: {took[0]:.0f} ms at best, {took[2]:.0f} ms in the middle, {took[4]:.0f} ms at worst of 5")
    # On a machine that has time for us, most of them; on a busy one at least one shows that nothing waits by design.
    assert took[2 if is_quiet() else 0] < 1000, took


@pytest.mark.quick
def test_acknowledging_by_keyboard_reaches_the_ledger_and_the_other_officer(watched, calm):
    calm.publish("ch4_e", 8.0)
    first, second = watched.open("/wall"), watched.open("/wall", "en-US", door=calm.person("zhou.jun"))
    expect(first.locator("#rows tr.row", has_text="东侧甲烷").first).to_contain_text("未确认")
    other = second.locator("#rows tr.row", has_text="East sensor").first
    expect(other).to_contain_text("Unacknowledged")
    first.keyboard.press("j")
    expect(first.locator(".wall-detail h2")).to_contain_text("东侧甲烷")
    first.keyboard.press("a")
    first.locator("#act-reason").fill("现场已确认")
    first.keyboard.press("Enter")
    expect(first.locator("dialog")).to_have_count(0)
    expect(first.locator("#rows tr.row").first).to_contain_text("已确认")
    expect(other).to_contain_text("Acknowledged")
    alarm = calm.get("alarms/standing")["alarms"][0]
    assert (alarm["state"], alarm["acknowledgedBy"], alarm["acknowledgedReason"]) == ("acknowledged", "wang.wei", "现场已确认")
    steps = [entry["body"]["event"] for entry in calm.get("alarms/" + quote(alarm["alarm"]))["entries"]]
    assert steps == ["raised", "acknowledged"]


def test_shelving_asks_for_a_reason_and_shows_its_end(watched, calm):
    calm.publish("ch4_s", 8.0)
    page = watched.open("/wall")
    row = page.locator("#rows tr.row", has_text="南侧甲烷").first
    row.click()
    page.keyboard.press("s")
    page.locator("#act-submit").click()
    expect(page.locator("dialog")).to_be_visible()
    page.locator("#act-reason").fill("标校")
    page.locator("#act-submit").click()
    expect(page.locator("dialog")).to_have_count(0)
    expect(row).to_contain_text(re.compile("已搁置 → \\d\\d:\\d\\d"))
    expect(page.locator("#count-aside")).to_have_text("搁置 1")


def test_the_detail_shows_the_evidence(watched, calm):
    for value in (2.0, 3.0, 8.0):
        calm.publish("ch4_w", value)
    page = watched.open("/wall")
    page.locator("#rows tr.row", has_text="西侧甲烷").first.click()
    page.keyboard.press("Enter")
    expect(page).to_have_url(re.compile("/alarm\\?id="))
    expect(page.locator(".history li")).to_have_count(1)
    expect(page.locator(".condition")).to_contain_text("5 ppm")
    expect(page.locator(".response li").first).not_to_be_empty()
    expect(page.locator("#trend canvas")).to_be_visible()
    page.screenshot(path=ARTEFACTS / "alarm.png")


@pytest.mark.quick
def test_a_restart_shows_as_such_and_heals_without_a_gap(watched, calm):
    page = watched.open("/wall", expect_loss=True)
    expect(page.locator("#link")).to_have_text("实时")
    calm.stop_service()
    expect(page.locator("#frozen")).to_be_visible(timeout=2000)
    expect(page.locator("#link")).to_contain_text("中断于")
    page.screenshot(path=ARTEFACTS / "frozen.png")
    # The broker holds what comes meanwhile; the service takes it in when it is back.
    calm.publish("ch4_se", 8.0)
    calm.start_service()
    expect(page.locator("#link")).to_have_text("实时", timeout=15000)
    expect(page.locator("#frozen")).to_be_hidden()
    row = page.locator("#rows tr.row", has_text="东南侧甲烷")
    expect(row).to_have_count(1)
    expect(row).to_contain_text("未确认")


@pytest.mark.quick
def test_a_broker_that_goes_away_shows_as_such_and_heals(watched, calm):
    page = watched.open("/wall")
    expect(page.locator("#data")).to_contain_text("最近数据")
    calm.stop_broker()
    expect(page.locator("#faults")).to_contain_text("数据源断开", timeout=15000)
    calm.start_broker()
    wait_for("broker link", lambda: calm.get("status")["status"]["link"] == "connected", 60)
    expect(page.locator("#faults")).to_be_hidden(timeout=15000)


def test_the_ledger_filters_and_exports(watched, calm):
    calm.publish("ch4_nw", 30.0)
    wait_for("alarm", lambda: calm.get("alarms/standing")["alarms"])
    page = watched.open("/ledger")
    rows = page.locator("#ledger-rows tr")
    expect(rows.filter(has_text="西北侧甲烷").first).to_be_visible()
    page.locator("select").filter(has_text="未恢复正常").select_option("standing")
    page.locator(".filters button").click()
    standing = len(calm.get("alarms/standing")["alarms"])
    expect(rows).to_have_count(standing)
    with page.expect_download() as download:
        page.locator("a.button", has_text="CSV").click()
    content = open(download.value.path(), "rb").read()
    assert content.startswith(b"\xef\xbb\xbf")
    assert content.decode("utf-8-sig").count("\r\n") == standing + 1


def test_the_status_page_verifies_the_chain(watched, calm):
    page = watched.open("/status")
    page.locator("button.primary").click()
    expect(page.locator("#verify-result")).to_contain_text("完整", timeout=15000)


@pytest.mark.quick
def test_a_phone_can_acknowledge(watched, calm):
    calm.publish("ch4_sw", 8.0)
    page = watched.open("/wall", width=390, height=844)
    page.locator("#rows tr.row", has_text="西南侧甲烷").first.click()
    page.locator("button[data-act=acknowledge]").click()
    page.locator("#act-submit").click()
    expect(page.locator(".badge")).to_have_text("已确认")
    width = page.evaluate("document.documentElement.scrollWidth")
    assert width <= 390, f"the page is {width} px wide"
    page.screenshot(path=ARTEFACTS / "phone.png")


def test_the_kiosk_needs_no_hand(watched, calm):
    calm.publish("ch4_ne", 30.0)
    page = watched.open("/wall?kiosk=1", width=1920, height=1080)
    expect(page.locator(".kiosk-list li").first).to_contain_text("东北侧甲烷")
    expect(page.locator(".kiosk-counts div").first.locator("b")).to_have_text("1")
    expect(page.locator(".kiosk-trends figure").first).to_contain_text("东北侧甲烷")
    expect(page.locator(".kiosk-trends canvas").first).to_be_visible()
    # However much stands: the worst four are drawn, the worst twelve told.
    for sensor in ("n", "e", "se", "s", "sw", "w", "nw"):
        calm.publish(f"ch4_{sensor}", 30.0)
    expect(page.locator(".kiosk-trends figure")).to_have_count(4)
    expect(page.locator(".kiosk-trends canvas")).to_have_count(4)
    expect(page.locator(".kiosk-list li")).to_have_count(12)
    page.screenshot(path=ARTEFACTS / "kiosk.png")


@pytest.mark.parametrize("path, place", [("/wall", ".wall-list .empty"), ("/wall?kiosk=1", ".kiosk-list li.none")])
def test_no_screen_that_is_not_live_says_that_nothing_stands(watched, calm, path, place):
    page = watched.open(path, expect_loss=True)
    expect(page.locator(place)).to_have_text("当前没有报警")
    page.context.set_offline(True)
    expect(page.locator(place)).to_contain_text("中断于")


def quote(text):
    from urllib.parse import quote as escape
    return escape(text, safe="")


@pytest.mark.quick
@pytest.mark.skipif(not HAS_FLOODS, reason="needs a station whose streams sum floods up")
def test_a_flood_is_summed_up_and_hides_nothing(on_live, live):
    page = on_live.open("/wall")
    expect(page.locator("#link")).to_have_text("实时")
    for value in (8.0, 2.0, 8.0):
        for sensor in ("n", "ne", "e", "se", "s", "sw", "w"):
            live.publish(f"ch4_{sensor}", value)
    expect(page.locator(".flood-scope", has_text="METEC")).to_contain_text("首发")
    # What comes while the station sums up is on the wall as at any other time.
    live.publish("ch4_nw", 30.0)
    row = page.locator("#rows tr.row", has=page.locator("td[title='metec/metec/fence/ch4_nw/ch4']"))
    expect(row).to_have_count(2)
    page.screenshot(path=ARTEFACTS / "flood.png")


@pytest.mark.quick
def test_signing_in_by_password_and_by_link(watched, station):
    station.admin.account("li.wei", "李伟", ["operator"], {"enterprises": ["metec"]})
    page = watched.open("/ledger", expect_loss=True, signed_in=False)
    expect(page).to_have_url(re.compile("/sign-in\\?next=%2Fledger"))
    page.goto(f"{station.url}/sign-in")
    expect(page.locator("#sign-in-account")).to_be_visible()
    # The page is there already: only what stands behind # changes.
    page.goto(f"{station.url}/sign-in#link={station.admin.link('li.wei')}")
    page.locator("#new-password").fill("正确的马电池订书钉甲")
    page.locator("#new-password-again").fill("正确的马电池订书钉甲")
    page.locator("#sign-in-set").click()
    expect(page.locator("#sign-out")).to_have_text("李伟")
    page.locator("#sign-out").click()
    expect(page.locator("#sign-in-account")).to_be_visible()
    page.locator("#sign-in-account").fill("li.wei")
    page.locator("#sign-in-password").fill("falsch")
    page.locator("#sign-in-submit").click()
    expect(page.locator(".error")).to_have_text("账号或密码不正确")
    page.locator("#sign-in-password").fill("正确的马电池订书钉甲")
    page.locator("#sign-in-submit").click()
    expect(page.locator("#sign-out")).to_have_text("李伟")
    assert page.evaluate("document.cookie") == ""

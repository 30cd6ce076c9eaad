"""What else a night brings: sound, a call answered, made-up readings, welding, stations below."""

import json
import re
import time

from playwright.sync_api import expect

from conftest import ARTEFACTS, wait_for
from test_hazards import fill

# Tones are counted where the page makes them: nobody listens to a test.
EAR = """
  window.tones = [];
  const make = AudioContext.prototype.createOscillator;
  AudioContext.prototype.createOscillator = function () {
    const tone = make.call(this), start = tone.start.bind(tone);
    tone.start = (at) => { window.tones.push(tone.frequency.value); start(at); };
    return tone;
  };
"""


def test_an_alarm_sounds_until_it_is_muted_or_acknowledged(watched, calm):
    page = watched.open("/wall", script=EAR)
    expect(page.locator("#link")).to_have_text("实时")
    sound = page.locator("#sound")
    assert sound.get_attribute("aria-pressed") == "false"
    sound.click()
    expect(sound).to_have_attribute("aria-pressed", "true")
    heard = lambda: page.evaluate("window.tones.splice(0)")
    # Each level has its pattern: the third one low tone, the first four quick ones.
    calm.publish("ch4_n", 8.0)
    expect(page.locator("#rows tr.row", has_text="北侧甲烷").first).to_be_visible()
    assert wait_for("tone", heard) == [523]
    time.sleep(1.6)
    calm.publish("ch4_s", 30.0)
    # What is quieter may still sound once before; from now on the worst is heard, again every ten seconds.
    for again in range(2):
        tones = []
        wait_for("tones", lambda: tones.extend(heard()) or 880 in tones)
        assert [t for t in tones if t != 523] == [880, 660, 880, 660]
    page.keyboard.press("m")
    expect(sound).to_have_text("静音 60 秒")
    expect(sound).to_have_attribute("aria-pressed", "false")
    heard()
    calm.publish("ch4_e", 30.0)
    expect(page.locator("#rows tr.row", has_text="东侧甲烷").first).to_be_visible()
    assert heard() == []
    page.keyboard.press("m")
    for alarm in calm.get("alarms/standing")["alarms"]:
        calm.act(alarm["alarm"], {"act": "acknowledge"})
    expect(page.locator("#count-unack")).to_contain_text("0")
    heard()
    page.wait_for_timeout(11_000)
    assert heard() == []
    # The choice stays with this browser.
    page.reload()
    expect(page.locator("#sound")).not_to_have_text("声音：关")


def test_shelving_by_keyboard_alone(watched, calm):
    calm.publish("ch4_nw", 8.0)
    page = watched.open("/wall")
    row = page.locator("#rows tr.row", has_text="西北侧甲烷").first
    expect(row).to_be_visible()
    page.keyboard.press("j")
    page.keyboard.press("s")
    expect(page.locator("#act-reason")).to_be_focused()
    page.keyboard.type("标校")
    page.keyboard.press("Enter")
    expect(page.locator("dialog")).to_have_count(0)
    expect(row).to_contain_text("已搁置")
    assert calm.get("alarms/standing")["alarms"][0]["reason"] == "标校"


def test_a_call_is_seen_answered_and_told_of(on_works, works):
    duty = works.person("zhou.jun")
    works.publish("ch4_sw", 30.0)
    page = on_works.open("/callouts", door=duty)
    card = page.locator("#matters li.open", has_text="甲烷烟羽")
    expect(card).to_contain_text("县值班")
    expect(card).to_contain_text("METEC")
    # Whoever opens the alarm sees that somebody has been called, and the way to what was said.
    call = works.get("callouts", open="true")["callouts"][0]
    alarm = next(s for s in call["subjects"] if "/ch4_sw/" in s)
    detail = on_works.open(f"/alarm?id={quote(alarm)}", door=duty)
    expect(detail.locator(".matters")).to_contain_text("叫应")
    card.locator("[data-act=confirm]").click()
    # He was not called himself: he enters who answered.
    page.locator("#field-person").select_option(index=1)
    page.locator("#form-submit").click()
    expect(page.locator("dialog")).to_have_count(0)
    answered = wait_for("answer", lambda: next((c for c in works.get("callouts")["callouts"] if c["id"] == call["id"] and c["confirmedBy"]), None))
    assert answered["confirmedBy"] and answered["answerMilliseconds"] >= 0
    page.goto(f"{works.url}/callouts?all=1")
    told = page.locator("#matters li", has_text="甲烷烟羽").first
    told.get_by_role("button", name="反馈").click()
    fill(page, text="现场已撤人，正在查漏")
    page.locator("#form-submit").click()
    expect(told).to_contain_text("现场已撤人")
    detail.reload()
    expect(detail.locator(".matters")).to_contain_text("现场已撤人")
    # The clock of the first report runs, and stops when it is given.
    page.goto(f"{works.url}/callouts?view=clocks")
    clock = page.locator("#matters li.open", has=page.locator("button.primary")).first
    expect(clock).to_contain_text("剩余")
    clock.locator("button.primary").click()
    expect(page.locator("#field-text")).not_to_have_value("")
    page.locator("#form-submit").click()
    expect(page.locator("dialog")).to_have_count(0)
    wait_for("report", lambda: not [c for c in works.get("clocks", open="true")["clocks"] if c.get("draft")])


def test_made_up_readings_are_found_and_shown(on_works, works):
    end = int(time.time() * 1000)
    # By the rules of the mine's methane sensor as it ships: a morning's curve, the same curve again, then a rise that
    # breaks off short of the limit and comes back below.
    curve = [0.3 + (n * n * n * 13 + n * n * 7) % 97 / 300 for n in range(64)]
    readings = [0.5, 0.51, 0.52] + curve + curve + [0.6, 0.75, 0.9]
    start = end - len(readings) * 10_000 - 240_000
    works.publish_all([("watched", start + n * 10_000, round(value, 2)) for n, value in enumerate(readings)] + [("watched", end - 20_000, 0.4), ("watched", end - 10_000, 0.41)])
    rules = lambda: {a["rule"] for a in works.get("alarms", point="metec/metec/fence/watched/ch4", limit=50)["alarms"]}
    wait_for("findings", lambda: rules() >= {"replayed", "gap-at-rise"})
    page = on_works.open("/quality?span=24h", width=1500, height=1000)
    device = page.locator("#quality-devices tr", has_text="受监视测点")
    expect(device).to_have_count(1)
    for words, kind in (("升高途中中断", "上升时中断"), ("重复播放旧数据", "重复播放旧数据")):
        finding = page.locator("#quality-findings tr", has_text=words).first
        expect(finding).to_contain_text("受监视测点")
        finding.locator("button").click()
        expect(page.locator(".evidence h3")).to_contain_text(words)
        expect(page.locator(".evidence .condition")).to_contain_text(kind)
        canvas = page.locator("#evidence-chart canvas")
        expect(canvas).to_be_visible()
        # The curve is on it: more than one colour stands there.
        assert canvas.evaluate("(c) => new Set(new Uint32Array(c.getContext('2d').getImageData(0, 0, c.width, c.height).data.buffer)).size") > 3
    page.screenshot(path=ARTEFACTS / "falsification.png")
    english = on_works.open("/quality?span=24h", "en-US")
    expect(english.locator("#quality-findings tr", has_text="Old readings played again").first).to_contain_text("Watched point")


def test_who_welds_where_now_and_who_may_not(on_works, works):
    now = lambda: int(time.time() * 1000)
    current = lambda amperes: works.message("readings", {"device": "WM-1", "t": now(), "values": {"current": amperes}})
    scan = lambda welder: works.message("welding/scan", {"id": welder, "device": "WM-1", "code": "QR-1", "welder": welder, "position": [115.0005, 25.0005], "t": now()})
    current(0)
    scan("w9")
    wait_for("denied scan", lambda: works.get("welding/scans", answer="deny")["scans"])
    page = on_works.open("/welding?view=scans")
    denied = page.locator("#welding tbody tr", has_text="w9")
    expect(denied).to_contain_text("拒绝")
    expect(denied).to_contain_text("QR-1")
    scan("w1")
    answer = wait_for("allowed scan", lambda: [s for s in works.get("welding/scans")["scans"] if s["welder"] == "w1"])[0]
    assert answer["answer"] == "allow", answer
    for _ in range(3):
        current(120)
    page.goto(f"{works.url}/welding")
    row = page.locator("#welding tbody tr", has_text="一号焊机")
    expect(row).to_contain_text("张师傅")
    expect(row).to_contain_text("P-1")
    expect(row).to_contain_text("120 A")
    expect(row).to_contain_text("车间")
    page.screenshot(path=ARTEFACTS / "welding.png")
    page.goto(f"{works.url}/welding?view=permits")
    expect(page.locator("#welding tbody tr", has_text="P-1")).to_contain_text("李监护")
    page.goto(f"{works.url}/welding?view=welders")
    expect(page.locator("#welding tbody tr", has_text="张师傅")).to_contain_text("T1")
    english = on_works.open("/welding", "en-US")
    expect(english.locator("#welding tbody tr", has_text="Machine 1")).to_contain_text("120 A")


def test_online_share_and_silence_in_the_tree(on_works, works):
    works.publish("ch4_n", 2.5)
    page = on_works.open("/tree")
    row = page.locator("tr[data-point='metec/metec/fence/ch4_n/ch4']")
    expect(row).to_contain_text("2.5 ppm")
    expect(row).to_have_class(re.compile("quality-good"))
    silent = page.locator("tr[data-point='metec/metec/fence/ch4_ne/ch4']")
    expect(silent).to_have_class(re.compile("quality-none"))
    enterprise = page.locator("tr.branch.enterprise").first
    expect(enterprise).to_contain_text("%")
    page.goto(f"{works.url}/tree?view=coverage")
    expect(page.locator("main")).to_contain_text("METEC")


def test_a_device_without_coordinates_is_listed_beside_the_map(on_works, works):
    page = on_works.open("/map")
    expect(page.locator(".map-unplaced")).to_contain_text("没有坐标")
    item = page.locator(".map-list li", has_text="受监视测点")
    works.publish("watched", 1.2)
    expect(item.locator(".sym")).to_be_visible()
    expect(item).to_contain_text("1.2 %VOL")
    page.screenshot(path=ARTEFACTS / "map-unplaced.png")
    works.publish("watched", 0.4)


def test_stations_below_are_on_the_status_page(on_works, works):
    works.admin.account("county-below", "county-below", ["relay"], {"enterprises": ["metec"]}, "machine")
    door = works.admin.key("county-below", "trials")
    status, answer, _ = door.send("POST", "/api/v1/relay/items", {"station": "county-below", "after": 0, "through": 0})
    assert status == 200, answer
    page = on_works.open("/status")
    expect(page.locator("#status-relay tr", has_text="county-below")).to_contain_text("正常")
    # Of the whole station nobody else is told.
    other = on_works.open("/status", door=works.person("chen.gang"))
    expect(other.locator("#status-facts")).to_contain_text("browser-test")
    expect(other.locator("#status-relay")).to_be_empty()


def test_a_channel_says_where_it_is_set(on_works, works):
    page = on_works.open("/admin?view=channels", door=works.person("zhou.jun"))
    row = page.locator("#channel-rows tr", has_text="duty-group")
    row.locator("summary").click()
    expect(row).to_contain_text("callout.channels.duty-group")
    expect(row).to_contain_text(str(works.folder / "service.yaml"))
    expect(row).to_contain_text("callout/test")
    # It stays open while the figures beside it are renewed.
    page.wait_for_timeout(6_000)
    expect(row.locator("pre")).to_be_visible()


def quote(text):
    from urllib.parse import quote as escape
    return escape(text, safe="")

"""The pages beside the wall, on a station that has lived through the recorded week of methane releases."""

import re

from playwright.sync_api import expect

from conftest import ARTEFACTS, wait_for


def first_alarm(station, rule="HH"):
    return station.get("alarms", rule=rule, limit=1)["alarms"][0]


def quote(text):
    from urllib.parse import quote as escape
    return escape(text, safe="")


def test_the_detail_shows_why_what_and_how_often(on_recorded, recorded):
    alarm = first_alarm(recorded)
    page = on_recorded.open(f"/alarm?id={quote(alarm['alarm'])}", width=1600, height=1200, expect_loss=True)
    decided = page.locator(".readings tr.decided")
    expect(decided).to_have_count(1)
    cause = recorded.get("alarms/" + quote(alarm["alarm"]))["entries"][0]["body"]["cause"]
    expect(decided).to_contain_text(str(cause))
    expect(page.locator(".condition")).to_contain_text("≥ 20 ppm")
    expect(page.locator(".response li").first).to_contain_text("查漏")
    expect(page.locator(".histogram rect")).to_have_count(31)
    expect(page.locator(".trend .hint").first).to_contain_text("个读数")
    # After a restart the curve comes from the journal.
    before = page.locator(".trend .hint").first.inner_text()
    page.screenshot(path=ARTEFACTS / "alarm-detail.png")
    page.get_by_text("从此处回放").click()
    expect(page).to_have_url(re.compile(r"/replay\?from=\d+&to=\d+"))
    recorded.stop_service()
    recorded.start_service()
    again = on_recorded.open(f"/alarm?id={quote(alarm['alarm'])}")
    expect(again.locator(".trend .hint").first).to_have_text(before)


def test_zooming_shows_every_reading(on_recorded, recorded):
    alarm = first_alarm(recorded)
    page = on_recorded.open(f"/alarm?id={quote(alarm['alarm'])}")
    note = page.locator(".trend .hint").first
    expect(note).to_contain_text("显示全部读数")
    page.get_by_text("±12h").click()
    expect(note).to_contain_text(re.compile(r"1,\d\d\d|[5-9]\d\d"))
    box = page.locator("#trend .u-over").bounding_box()
    page.mouse.move(box["x"] + box["width"] * .45, box["y"] + 50)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] * .55, box["y"] + 50, steps=5)
    page.mouse.up()
    expect(note).to_contain_text("显示全部读数")


def test_other_rules_are_tried_on_the_recorded_week(on_recorded, recorded):
    alarms = recorded.get("alarms", rule="HH", limit=500)["alarms"]
    begin, end = min(a["onset"] for a in alarms) - 60_000, max(a["onset"] for a in alarms) + 60_000
    page = on_recorded.open(f"/replay?from={begin}&to={end}", width=1366, height=1000, expect_refusal=True)
    page.locator("#replay-b").select_option("current")
    page.locator("#replay-run").click()
    # The same inputs under the same rules: what the ledger says.
    expect(page.locator("#replay-same b")).not_to_have_text("0", timeout=120_000)
    for kind in ("shifted", "onlyA", "onlyB"):
        expect(page.locator(f"#replay-{kind} b")).to_have_text("0")
    page.locator("#replay-b").select_option("draft")
    editor = page.locator("#replay-draft")
    expect(editor).to_have_value(re.compile("ch4.HH: {setpoint: 20"))
    editor.fill(editor.input_value().replace("ch4.HH: {setpoint: 20, deadband: 2}", "ch4.HH: {setpoint: 40, deadband: 2}"))
    page.locator("#replay-run").click()
    expect(page.locator("#replay-onlyA b")).not_to_have_text("0", timeout=120_000)
    lower = sum(1 for a in alarms if begin <= a["onset"] < end)
    only_a = int(page.locator("#replay-onlyA b").inner_text().replace(",", ""))
    assert 0 < only_a <= lower
    expect(page.locator("#replay-differences tbody tr").first).to_contain_text("仅 A 有")
    with page.expect_download() as download:
        page.locator("#replay-result button", has_text="CSV").click()
    assert open(download.value.path(), "rb").read().startswith(b"\xef\xbb\xbf")
    page.screenshot(path=ARTEFACTS / "replay.png")
    # Rules that do not hold together are refused with the place.
    editor.fill(editor.input_value().replace("setpoint: 40", "setpoint: high"))
    page.locator("#replay-run").click()
    expect(page.locator("#replay-result .error")).to_contain_text("sites/methane-demo.yaml")


def test_the_map_shows_where(on_recorded):
    page = on_recorded.open("/map")
    expect(page.locator(".map-device")).to_have_count(8)
    expect(page.locator(".map-device .sym").first).to_be_visible()
    expect(page.locator(".map-value").first).to_contain_text("ppm")
    page.locator(".map-device").first.focus()
    page.keyboard.press("Enter")
    expect(page).to_have_url(re.compile(r"/wall\?scope=metec"))
    expect(page.locator(".filter-chips .chip")).to_have_count(1)


def test_the_map_calls_no_silent_device_well(watched, calm):
    page = watched.open("/map")
    expect(page.locator(".map-well")).to_have_count(8, timeout=6000)
    latest = calm.get("readings/latest")
    silent = {**latest, "readings": [None] * len(latest["readings"])}
    page.route("**/api/v1/readings/latest", lambda route: route.fulfill(json=silent))
    expect(page.locator(".map-device .sym-0")).to_have_count(8, timeout=6000)
    expect(page.locator(".map-well")).to_have_count(0)
    expect(page.locator(".map-device").first).to_have_attribute("aria-label", re.compile("无有效数据"))


def test_the_matrix_tells_hours_with_data_from_silent_ones(on_recorded):
    page = on_recorded.open("/tree?view=matrix")
    rows = page.locator(".matrix tbody tr")
    expect(rows).to_have_count(8)
    kinds = page.evaluate("[...document.querySelectorAll('.matrix td.cell')].map((c) => c.className.split(' ')[1])")
    assert len(kinds) == 8 * 24
    assert set(kinds) <= {"ok", "late", "gap", "bad", "none", "unknown"}


def test_silence_is_a_finding_with_its_curve(on_recorded, recorded):
    page = on_recorded.open("/quality?span=30d")
    expect(page.locator("h1")).to_have_text("数据质量")
    stale = [a for a in recorded.get("alarms", limit=500)["alarms"] if a["rule"] not in ("H", "HH")]
    assert stale, "the recorded week has hours without readings"
    expect(page.locator("#quality-findings tr").first).to_contain_text("甲烷")
    expect(page.locator("#evidence-chart canvas")).to_be_visible()


def test_rules_tell_their_source_and_their_versions(on_recorded):
    page = on_recorded.open("/rules")
    expect(page.locator("#rule-rows tr", has_text="ppm").first).to_be_visible()
    # Conditions are told in the language of the page.
    expect(page.locator("#rule-rows tr", has_text="设备时钟不准").first).to_be_visible()
    assert not re.search(r"clock is wrong|does not move|no reading for", page.locator("#rule-rows").inner_text())
    page.locator("#rules-compare").click()
    expect(page.locator("#rule-difference")).to_contain_text("没有变化")


def test_live_values_reach_tree_and_curves(watched, calm):
    tree, curves = watched.open("/tree"), watched.open("/trends?n=12")
    row = tree.locator("tr[data-point='metec/metec/fence/ch4_n/ch4']")
    calm.publish("ch4_n", 3.25)
    expect(row).to_contain_text("3.25 ppm", timeout=6000)
    expect(curves.locator("figure", has_text="北侧甲烷").first).to_contain_text("3.25 ppm", timeout=6000)


def test_pure_parts(on_recorded):
    """Order, counts and differences, as modules in the page."""
    page = on_recorded.open("/wall")
    result = page.evaluate("""async () => {
      const { AlarmStore, order } = await import('/js/store.js');
      const { compareAlarms, compareLines } = await import('/js/difference.js');
      let seed = 42;
      const random = (n) => { seed = (seed * 1103515245 + 12345) % 2147483648; return seed % n; };
      const store = new AlarmStore(), states = ['unacknowledged', 'acknowledged', 'returnedUnacknowledged', 'shelved', 'normal'];
      store.snapshot({ head: 0, alarms: [] });
      let empty = 0;
      store.addEventListener('row', ({ detail }) => { if (!detail.row && !detail.old) empty += 1; });
      for (let i = 1; i <= 5000; i += 1) {
        const n = random(300), body = { alarm: `e/s/a${n % 5}/d${n}/p#H@1`, point: `e/s/a${n % 5}/d${n}/p`, rule: 'H', onset: n * 7 % 90,
          event: 'raised', state: states[random(5)], priority: 1 + random(4), received: i * 1000 };
        store.step({ sequence: i, time: i * 1000, actor: 'engine', body });
      }
      const rows = [...store.rows.values()], sorted = [...rows].sort(order);
      const counted = { total: rows.length, aside: rows.filter((r) => r.state === 'shelved').length };
      const area = rows.filter((r) => r.point.startsWith('e/s/a3/') && r.state !== 'shelved').length;
      const a = (id, onset) => ({ alarm: `${id}@${onset}`, point: id, rule: 'H', onset });
      const d = compareAlarms([a('x', 0), a('x', 9e6), a('y', 5)], [a('x', 60000), a('y', 5), a('z', 1)]);
      return {
        isSorted: sorted.every((row, i) => store.sorted.list[i] === row), counts: store.counts().total === counted.total && store.counts().aside === counted.aside,
        empty, place: (store.places.get('e/s/a3')?.total ?? 0) === area,
        difference: [d.same.length, d.shifted.map((s) => s.by), d.onlyA.length, d.onlyB.length],
        lines: compareLines('a\\nb\\nc\\nd', 'a\\nB\\nc\\nd\\ne').map((l) => l.kind + l.text).join('|'),
      };
    }""")
    assert result == {"isSorted": True, "counts": True, "empty": 0, "place": True, "difference": [1, [60000], 1, 1],
                      "lines": " a|-b|+B| c| d|+e"}


def test_what_stands_takes_the_place_of_steps_that_a_flood_withheld(on_recorded):
    page = on_recorded.open("/wall")
    result = page.evaluate("""async () => {
      const { AlarmStore } = await import('/js/store.js');
      const store = new AlarmStore(), told = [], point = (n) => `e/s/a/d${n}/p`;
      const alarm = (n, sequence, state = 'unacknowledged') => ({ alarm: `${point(n)}#H@1`, point: point(n), rule: 'H', onset: 1, state, priority: 3, sequence, time: 1000, raised: 1000 });
      const step = (n, sequence, event, state) => store.step({ sequence, time: 2000, actor: 'engine', body: { alarm: `${point(n)}#H@1`, point: point(n), rule: 'H', onset: 1, event, state, priority: 3, received: 2000 } });
      const shown = () => [...store.rows.values()].map((r) => `${r.point.split('/')[3]} ${r.state}`).sort().join();
      store.snapshot({ head: 5, alarms: [alarm(1, 3), alarm(2, 4)] });
      store.addEventListener('raised', (e) => told.push(e.detail.point.split('/')[3]));
      store.flood({ body: { event: 'flood.begin', scope: 'enterprise:e', count: 11 } });
      // 1 has gone, 2 was acknowledged, 3 has come: none of it was told.
      store.refresh({ head: 20, alarms: [alarm(2, 9, 'acknowledged'), alarm(3, 12)] });
      const first = shown();
      step(4, 8, 'raised', 'unacknowledged');    // came and went before what was told to stand
      const second = shown();
      step(5, 21, 'raised', 'unacknowledged');
      store.refresh({ head: 20, alarms: [] });   // asked for before, answered after step 21
      return { first, second, third: shown(), told: told.join(), counted: store.counts().total, floods: store.floods.size };
    }""")
    assert result == {"first": "d2 acknowledged,d3 unacknowledged", "second": "d2 acknowledged,d3 unacknowledged",
                      "third": "d2 acknowledged,d3 unacknowledged,d5 unacknowledged", "told": "d3,d5", "counted": 3, "floods": 1}


def test_a_list_that_is_cut_off_says_so(on_recorded):
    page = on_recorded.open("/callouts")
    call = {"id": "callout/1", "place": "", "isOpen": True, "unreadable": "x"}
    page.route("**/api/v1/callouts?*", lambda route: route.fulfill(json={"callouts": [call], "next": 5}))
    expect(page.locator("main .bar .hint")).to_contain_text("更早的未列出", timeout=6000)
    page = on_recorded.open("/tree?view=coverage")
    site = {"enterprise": "metec", "site": "metec", "expected": 500, "reporting": 100, "silent": 390, "never": 4,
            "faulty": 5, "unconnected": 1, "share": 0.2, "devices": 8, "silentDevices": 7}
    point = {"point": "metec/metec/fence/ch4_n/ch4", "state": "silent", "received": None}
    page.route("**/api/v1/coverage", lambda route: route.fulfill(json={"sites": [site]}))
    page.route("**/api/v1/coverage/points?*", lambda route: route.fulfill(json={"points": [point], "next": point["point"]}))
    expect(page.locator("#coverage h2")).to_contain_text("400", timeout=15000)
    expect(page.locator("#coverage")).to_contain_text("另有 399 项未列出")


def test_a_count_that_cannot_be_had_is_not_shown(on_recorded):
    page = on_recorded.open("/wall", expect_refusal=True)
    expect(page.locator("#count-bad b")).to_have_text(re.compile(r"\d"))
    page.route("**/api/v1/readings/latest", lambda route: route.fulfill(status=404, json={"detail": "gone"}))
    expect(page.locator("#count-bad b")).to_have_text("–", timeout=25000)


def test_a_wall_opened_in_a_flood_asks_for_what_the_flood_withholds(on_recorded):
    page = on_recorded.open("/wall")
    shown = page.evaluate("""async () => {
      const { AlarmStore } = await import('/js/store.js');
      const { LiveStream } = await import('/js/stream.js');
      const store = new AlarmStore(), { EventSource: real, fetch: ask } = window;
      class Source extends EventTarget {
        close() {}
        tell(name, data) { this.dispatchEvent(new MessageEvent(name, { data: JSON.stringify(data) })); }
      }
      const point = 'e/s/a/d/p', alarm = { alarm: `${point}#H@1`, point, rule: 'H', onset: 1, state: 'unacknowledged', priority: 3, sequence: 8, time: 1000, raised: 1000 };
      window.EventSource = Source;
      window.fetch = async (address, options) => String(address).endsWith('/alarms/standing') ? Response.json({ head: 9, alarms: [alarm] }) : ask(address, options);
      const stream = new LiveStream(store);
      stream.start();
      stream.source.tell('heartbeat', {});
      stream.source.tell('snapshot', { head: 5, alarms: [] });   // the flood's begin was told before
      for (let i = 0; i < 100 && !store.rows.size; i += 1) await new Promise((resolve) => setTimeout(resolve, 20));
      window.EventSource = real;
      window.fetch = ask;
      return [...store.rows.keys()];
    }""")
    assert shown == ["e/s/a/d/p#H@1"]


def test_a_wall_at_work(on_recorded):
    """What the README shows: an alarm opened beside the list."""
    page = on_recorded.open("/wall", width=1366, height=768)
    expect(page.locator("#rows tr.row").first).to_be_visible()
    page.keyboard.press("j")
    page.keyboard.press("j")
    expect(page.locator(".wall-detail canvas").first).to_be_visible()
    expect(page.locator(".wall-detail .trend .hint").first).to_contain_text("个读数")
    page.screenshot(path=ARTEFACTS / "console.png")

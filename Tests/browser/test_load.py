"""How the console bears much: ten thousand standing alarms, sixty live curves, a hundred thousand readings.

Figures are printed with `pytest -s`; limits are wide, because the machine may be busy with other things.
"""

import time

from playwright.sync_api import expect

from conftest import ARTEFACTS, PLANT_DEVICES, is_quiet, wait_for


class Meter:
    """Time that a page's main thread spent on scripts, style and layout, in milliseconds a second."""

    def __init__(self, page):
        self.session = page.context.new_cdp_session(page)
        self.session.send("Performance.enable")
        self.page = page

    def read(self):
        metrics = {m["name"]: m["value"] for m in self.session.send("Performance.getMetrics")["metrics"]}
        return {name: metrics[name] for name in ("ScriptDuration", "LayoutDuration", "RecalcStyleDuration", "TaskDuration")}

    def over(self, seconds, work=lambda: None):
        before, begin = self.read(), time.monotonic()
        work()
        rest = seconds - (time.monotonic() - begin)
        if rest > 0:
            self.page.wait_for_timeout(rest * 1000)
        took, after = time.monotonic() - begin, self.read()
        return {name.removesuffix("Duration").lower(): (after[name] - before[name]) / took * 1000 for name in before}


def told(what, figures):
    print(f"\n{what}: " + ", ".join(f"{name} {value:.0f} ms/s" for name, value in figures.items()))


def test_a_wall_of_ten_thousand_standing_alarms_stays_fluid(on_plant, plant):
    now = int(time.time() * 1000)
    plant.publish_all([(f"d{n}", now, 30.0) for n in range(PLANT_DEVICES)])
    standing = 2 * PLANT_DEVICES
    wait_for("alarms", lambda: len(plant.get("alarms/standing")["alarms"]) == standing, 60)
    page = on_plant.open("/wall")
    expect(page.locator("h1")).to_contain_text("10,000", timeout=30_000)
    expect(page.locator(".flood")).to_be_visible()
    meter = Meter(page)
    quiet = meter.over(5)
    told("10,000 standing, nothing new", quiet)

    def steps():
        # Twenty sensors a second fall below and rise above both limits: forty steps a second.
        for second in range(6):
            moment = int(time.time() * 1000)
            plant.publish_all([(f"d{n}", moment, 2.0 if second % 2 == 0 else 30.0) for n in range(20)])
            page.wait_for_timeout(900)

    busy = meter.over(7, steps)
    told("10,000 standing, 40 steps a second", busy)
    assert quiet["script"] < 100 and busy["script"] < 300, (quiet, busy)
    rows = page.locator("#rows tr.row").count()
    assert rows < 100, f"{rows} rows are in the document"

    scrolling = page.evaluate("""async () => {
      const box = document.querySelector('.scroller'), gaps = [];
      let last = performance.now();
      for (let i = 0; i < 60; i += 1) {
        box.scrollTop = i * 4500;
        await new Promise(requestAnimationFrame);
        const now = performance.now();
        gaps.push(now - last);
        last = now;
      }
      gaps.sort((a, b) => a - b);
      return { median: gaps[30], worst: gaps[59], shown: document.querySelectorAll('#rows tr.row').length };
    }""")
    print(f"scrolling 60 frames over 270,000 px: median frame {scrolling['median']:.0f} ms, longest {scrolling['worst']:.0f} ms")
    assert scrolling["shown"] > 10 and (not is_quiet() or scrolling["median"] < 50)
    page.locator("#filter").fill("4711 号")
    expect(page.locator("#rows tr.row")).to_have_count(2)
    page.locator("#filter").fill("")
    page.keyboard.press("Escape")
    page.keyboard.press("j")
    expect(page.locator(".wall-detail h2")).to_contain_text("号探头")
    page.screenshot(path=ARTEFACTS / "wall-10000.png")


def test_sixty_live_curves_at_one_hertz(on_plant, plant):
    page = on_plant.open("/trends?n=60&window=2m", width=1920, height=1080)
    expect(page.locator(".trend-grid figure")).to_have_count(60)
    shown = page.evaluate("[...document.querySelectorAll('.trend-grid figure')].map((f) => f.title.split('/')[3])")

    def second(number):
        moment = int(time.time() * 1000)
        plant.publish_all([(device, moment, 2.0 + (number * 7 + row) % 13 / 10) for row, device in enumerate(shown)])

    for number in range(3):
        second(number)
        page.wait_for_timeout(500)

    def seconds():
        for number in range(8):
            second(number)
            page.wait_for_timeout(900)

    figures = Meter(page).over(8, seconds)
    told("60 live curves at 1 Hz", figures)
    values = page.locator(".trend-grid figcaption b").all_inner_texts()
    assert len(set(values)) > 5 and all("ppm" in value for value in values), values[:5]
    assert figures["script"] < 400, figures
    page.screenshot(path=ARTEFACTS / "trends-60.png")


def test_a_trend_of_a_hundred_thousand_readings_opens_within_a_second(on_fresh, fresh):
    count, step = 100_000, 100
    end = int(time.time() * 1000)
    readings = [("ch4_n", end - (count - i) * step, 2 + i % 50 / 25 + (40 if i == 70_123 else 0)) for i in range(count)]
    before = fresh.get("status")["status"]["readings"]
    fresh.publish_all(readings)
    wait_for("readings", lambda: fresh.get("status")["status"]["readings"] >= before + count, 60)
    alarm = wait_for("alarm", lambda: [a for a in fresh.get("alarms", point="metec/metec/fence/ch4_n/ch4", rule="HH", limit=5)["alarms"]
                                       if a["onset"] == readings[70_123][1]])[0]
    from urllib.parse import quote
    page = on_fresh.open("/wall")
    expect(page.locator("#link")).to_have_text("实时")
    took = page.evaluate("""async (address) => {
      const done = (check) => new Promise((resolve) => { const look = () => check() ? resolve() : requestAnimationFrame(look); look(); });
      const begin = performance.now();
      document.querySelector('davy-app').go(address);
      const note = () => document.querySelector('.alarm-page .trend .hint')?.textContent ?? '';
      await done(() => /\\d/.test(note()) && document.querySelector('#trend canvas'));
      const first = performance.now() - begin;
      // Opened three times: what the station took to answer, and the page for everything else.
      const span = (words) => [...document.querySelectorAll('.spans button')].find((b) => b.textContent === words).click();
      const opened = [];
      for (let i = 0; i < 3; i += 1) {
        performance.clearResourceTimings();
        const wide = performance.now();
        span('±4h');
        await done(() => note().includes('100,0'));
        await new Promise(requestAnimationFrame);
        const total = performance.now() - wide;
        const station = performance.getEntriesByType('resource').filter((e) => e.name.includes('/trend?')).reduce((n, e) => n + e.duration, 0);
        opened.push({ total, station, page: total - station });
        if (i < 2) { span('±5m'); await done(() => !note().includes('100,0')); }
      }
      opened.sort((a, b) => a.total - b.total);
      return { first, opened, note: note() };
    }""", "/alarm?id=" + quote(alarm["alarm"], safe=""))
    best = took["opened"][0]
    print(f"\ndetail with its trend: {took['first']:.0f} ms; 100,000 readings: {best['total']:.0f} ms at best of 3, "
          f"{best['station']:.0f} ms of it the station's, {took['opened'][2]['total']:.0f} ms at worst ({took['note']})")
    # The page's own part holds on any machine; the station's is a program's that may be built without optimising.
    assert min(one["page"] for one in took["opened"]) < 500, took
    assert not is_quiet() or (best["total"] < 1000 and took["first"] < 2000), took
    # The one reading that is above the limit among a hundred thousand is on the picture.
    assert "42" in took["note"] or "43" in took["note"], took["note"]
    # Zoomed in far enough every reading is shown.
    for _ in range(9):
        page.get_by_label("放大").click()
    expect(page.locator(".alarm-page .trend .hint").first).to_contain_text("显示全部读数")
    page.screenshot(path=ARTEFACTS / "trend-100000.png")

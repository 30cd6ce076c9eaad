"""Everybody can use it: checks of axe on every page, keyboard alone, no motion where it is not wanted, print."""

import re

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import expect

from conftest import ARTEFACTS, wait_for
from test_console import PAGES, quote

# Serious and critical findings fail; moderate ones are told.
FAILING = {"serious", "critical"}


def findings(page):
    found = []
    for violation in Axe().run(page).response["violations"]:
        for node in violation["nodes"][:5]:
            found.append((violation["impact"], f"{violation['id']}: {violation['help']} {node['target']} {node.get('failureSummary', '')[:200]}"))
    return found


@pytest.mark.parametrize("path", [path for path, _ in PAGES])
def test_axe_finds_nothing_serious(on_recorded, path):
    page = on_recorded.open(path)
    expect(page.locator("#link")).to_have_text("实时")
    if path == "/wall":
        page.keyboard.press("j")
        expect(page.locator(".wall-detail h2")).to_be_visible()
    expect(page.locator("h1").first).to_be_visible()
    found = findings(page)
    for impact, text in found:
        print(impact, text)
    assert not [text for impact, text in found if impact in FAILING]


def test_every_page_is_reached_by_keys(on_recorded):
    page = on_recorded.open("/status")
    expect(page.locator("#link")).to_have_text("实时")
    for key, path in (("l", "/ledger"), ("h", "/hazards"), ("o", "/callouts"), ("p", "/map"), ("t", "/tree"), ("c", "/trends"), ("q", "/quality"),
                      ("e", "/welding"), ("j", "/rejects"), ("k", "/kpi"), ("r", "/replay"), ("u", "/rules"), ("s", "/status"), ("n", "/admin"), ("a", "/wall")):
        page.keyboard.press("g")
        page.keyboard.press(key)
        expect(page).to_have_url(re.compile(re.escape(path)))
        expect(page.locator("nav a[aria-current=page]").first).to_be_visible()


def test_focus_is_always_visible(on_recorded):
    page = on_recorded.open("/wall")
    expect(page.locator("#rows tr.row").first).to_be_visible()
    for _ in range(25):
        page.keyboard.press("Tab")
        outline = page.evaluate("""() => {
          const e = document.activeElement;
          if (!e || e === document.body) return 'body';
          return getComputedStyle(e).outlineStyle;
        }""")
        assert outline != "none", page.evaluate("document.activeElement.outerHTML.slice(0, 120)")


def test_nothing_blinks_where_motion_is_not_wanted(on_recorded):
    page = on_recorded.open("/wall")
    page.emulate_media(reduced_motion="reduce")
    row = page.locator("#rows tr.row.unacknowledged td").first
    expect(row).to_be_visible()
    assert row.evaluate("(e) => getComputedStyle(e).animationName") == "none"
    page.emulate_media(reduced_motion="no-preference")
    assert row.evaluate("(e) => getComputedStyle(e).animationName") == "bar"


def test_the_screen_reader_is_told_in_a_sentence(on_recorded):
    page = on_recorded.open("/wall", "en-US")
    summary = page.locator("[aria-live=polite].sr-only")
    expect(summary).to_have_text(re.compile(r"^[\d,]+ alarms stand, [\d,]+ unacknowledged, [\d,]+ critical$"))


def test_the_ledger_prints(on_recorded):
    page = on_recorded.open("/ledger")
    expect(page.locator("#ledger-rows tr").first).to_be_visible()
    page.emulate_media(media="print")
    expect(page.locator("davy-app > header")).to_be_hidden()
    expect(page.locator("#ledger-rows tr").first).to_be_visible()
    pdf = page.pdf(path=ARTEFACTS / "ledger.pdf", prefer_css_page_size=True)
    assert pdf.startswith(b"%PDF") and len(pdf) > 10_000


def test_axe_finds_nothing_serious_on_single_things(watched, calm, station):
    """One alarm, one hazard, the kiosk and the door, which no list of pages names."""
    calm.publish("ch4_w", 30.0)
    alarm = wait_for("alarm", lambda: calm.get("alarms/standing")["alarms"])[0]["alarm"]
    hazard = calm.send("hazards", {"source": "governmentInspection", "place": "metec/metec/fence", "title": "护栏缺失"}, "zhou.jun")["hazard"]
    for path, signed_in in ((f"/alarm?id={quote(alarm)}", True), (f"/hazard?id={quote(hazard)}", True), ("/wall?kiosk=1", True), ("/sign-in", False)):
        page = watched.open(path, signed_in=signed_in, expect_loss=not signed_in)
        expect(page.locator("h1, h2, .kiosk-counts").first).to_be_visible()
        assert not [text for impact, text in findings(page) if impact in FAILING], path
        for width, height in ((1366, 768), (390, 844)):
            page.set_viewport_size({"width": width, "height": height})
            assert page.evaluate("document.documentElement.scrollWidth") <= width, (path, width)


@pytest.mark.parametrize("path", [path for path, _ in PAGES])
@pytest.mark.parametrize("width, height", [(1366, 768), (390, 844)])
def test_no_page_is_wider_than_the_screen(on_recorded, path, width, height):
    page = on_recorded.open(path, width=width, height=height)
    expect(page.locator("#link")).to_have_text("实时")
    expect(page.locator("h1").first).to_be_visible()
    wide = page.evaluate("document.documentElement.scrollWidth")
    assert wide <= width, f"{path} is {wide} px wide"

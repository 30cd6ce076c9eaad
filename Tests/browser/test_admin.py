"""Administration: accounts, rosters and channels, by whom the API lets."""

import json

from playwright.sync_api import expect

from conftest import ARTEFACTS


def test_an_account_is_made_and_closed(watched, station):
    page = watched.open("/admin", door=station.admin)
    page.locator("#account-new").click()
    page.locator("#field-id").fill("sun.li")
    page.locator("#field-displayName").fill("孙丽")
    page.locator("#field-roles input[value=auditor]").check()
    page.locator("#field-enterprises input[value=metec]").check()
    page.locator("#form-submit").click()
    row = page.locator("#account-rows tr", has_text="sun.li")
    expect(row).to_contain_text("有效")
    row.locator("[data-edit]").click()
    page.locator("#field-active").select_option("no")
    page.locator("#form-submit").click()
    expect(row).to_contain_text("停用")
    entries = json.loads(station.admin.send("GET", "/api/v1/entries?subject=account%3Asun.li")[1])["entries"]
    assert [entry["body"]["event"] for entry in entries] == ["account.created", "account.closed"]


def test_a_roster_is_changed_exchanged_and_put_back(watched, station):
    page = watched.open("/admin?view=rosters", door=station.person("zhou.jun"))
    roster = page.locator("[data-roster=county]")
    expect(roster.locator(".badge")).to_have_text("按响应文件")
    page.screenshot(path=ARTEFACTS / "rosters.png")
    # One shift of the leader's, all day and every day.
    roster.locator("[data-act=edit]").click()
    while page.locator("dialog .shift").count() > 1:
        page.locator("dialog .shift .remove").last.click()
    page.locator("dialog .shift [name=from]").fill("00:00")
    page.locator("dialog .shift [name=to]").fill("00:00")
    page.locator("dialog .shift select").select_option("leader")
    page.locator("#roster-reason").fill("汛期领导带班")
    page.screenshot(path=ARTEFACTS / "roster-edit.png")
    page.locator("#roster-save").click()
    expect(page.locator("dialog")).to_have_count(0)
    expect(roster.locator(".badge")).to_have_text("已在此更改")
    expect(roster.locator(".on-duty")).to_contain_text("带班领导")
    # Somebody who has not seen that is told, and his change is not taken.
    seen = station.get("rosters/county")
    roster.locator("[data-act=edit]").click()
    path = "/api/v1/rosters/county"
    table = {"shifts": seen["shifts"], "dates": {"2099-01-01": ["duty-2"]}, "fallback": ["leader"], "reason": "元旦", "role": "sector"}
    status, answer, _ = station.person("li.ming").send("PUT", path, table, {"if-match": seen["tag"]})
    assert status == 200, answer
    watched.refusals = True
    page.locator("#roster-reason").fill("晚了一步")
    page.locator("#roster-save").click()
    expect(page.locator("dialog .error")).to_contain_text("刚被别人更改")
    page.locator("dialog .buttons button").first.click()
    expect(roster).to_contain_text("2099-01-01")
    roster.locator("[data-act=exchange]").click()
    page.locator("#field-persons input[value=duty-2]").check()
    page.locator("#form-submit").click()
    expect(roster.locator(".on-duty")).to_contain_text("值班员乙")
    roster.locator("[data-act=reset]").click()
    page.locator("#field-reason").fill("汛期结束")
    page.locator("#form-submit").click()
    expect(roster.locator(".badge")).to_have_text("按响应文件")
    told = [(e["actor"], e["body"]["event"]) for e in station.get("entries", subject="roster/county")["entries"]]
    assert told == [("zhou.jun", "roster.set"), ("li.ming", "roster.set"), ("zhou.jun", "roster.reset")]


def test_a_channel_is_tested_and_says_what_came_of_it(watched, station):
    page = watched.open("/admin?view=channels", door=station.person("zhou.jun"))
    row = page.locator("#channel-rows tr", has_text="duty-group")
    expect(row).to_contain_text("MQTT")
    row.locator("button").click()
    expect(page.get_by_role("status").filter(has_text="duty-group: 已送达")).to_be_visible()
    expect(row.locator("td").nth(3)).to_have_text("1")
    expect(page.locator("#deliveries")).to_contain_text("测试")
    page.screenshot(path=ARTEFACTS / "channels.png")


def test_who_may_not_look_is_not_shown(watched, station):
    page = watched.open("/admin", door=station.person("wang.wei"))
    expect(page.locator("[aria-current=page].tab")).to_have_text("值班表")
    expect(page.locator(".tab")).to_have_text(["值班表", "通知渠道"])
    enterprise = watched.open("/admin", door=station.person("chen.gang"))
    expect(enterprise.locator(".empty")).to_be_visible()

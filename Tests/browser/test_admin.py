"""Administration: accounts, rosters and channels, by whom the API lets."""

import json
import subprocess
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from playwright.sync_api import expect

from conftest import ARTEFACTS, wait_for
from test_access import FAILING, findings


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


class Receiver:
    """A receiver of webhooks on this machine: what it was sent, with the header fields."""

    def __init__(self):
        self.seen = seen = []

        class Answer(BaseHTTPRequestHandler):
            def do_POST(self):
                seen.append((self.path, dict(self.headers), self.rfile.read(int(self.headers["content-length"]))))
                self.send_response(200)
                self.end_headers()

            def log_message(self, *arguments):
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Answer)
        self.address = f"http://127.0.0.1:{self.server.server_address[1]}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def close(self):
        self.server.shutdown()
        self.server.server_close()


def test_a_channel_is_added_changed_and_removed(watched, station):
    receiver = Receiver()
    try:
        page = watched.open("/admin?view=channels", door=station.admin, expect_loss=True)
        page.locator("#channel-new").click()
        expect(page.locator("#channel-name")).to_be_focused()
        page.locator("#channel-name").fill("night-hook")
        # Each kind asks for its own.
        page.locator("#channel-kind").select_option("smtp")
        expect(page.locator("#channel-host")).to_be_visible()
        page.locator("#channel-kind").select_option("webhook")
        page.locator("#channel-url").fill(f"{receiver.address}/hook")
        page.locator("#channel-secret-secret").fill("geheim-77")
        page.locator("#channel-rates").fill("20/min")
        page.locator("#channel-operators").fill("值班员甲: 139")
        page.locator("#channel-reason").fill("夜班专用")
        assert not [text for impact, text in findings(page) if impact in FAILING]
        page.screenshot(path=ARTEFACTS / "channel-edit.png")
        page.locator("#channel-save").click()
        expect(page.locator("dialog")).to_have_count(0)
        row = page.locator("#channel-rows tr", has_text="night-hook")
        expect(row).to_contain_text("在此增加")
        row.locator("[data-channel=night-hook]", has_text="测试").click()
        expect(page.get_by_role("status").filter(has_text="night-hook: 已送达")).to_be_visible()
        assert receiver.seen[-1][0] == "/hook"
        signed = [name for name, value in receiver.seen[-1][1].items() if value.startswith("sha256=")]
        assert signed, receiver.seen[-1][1]

        # A restart finds it, and its secret.
        station.stop_service()
        station.start_service()
        page = watched.open("/admin?view=channels", door=station.admin)
        row = page.locator("#channel-rows tr", has_text="night-hook")
        row.locator("[data-channel=night-hook]", has_text="测试").click()
        wait_for("second message", lambda: len(receiver.seen) == 2)
        assert [name for name, value in receiver.seen[-1][1].items() if value.startswith("sha256=")] == signed

        # The secret is not shown; to another host it does not go.
        row.locator("[data-act=edit]").click()
        expect(page.locator("#channel-secret-secret")).to_have_value("")
        expect(page.locator("#channel-secret-secret")).to_have_attribute("placeholder", "已设置；留空则不变")
        page.locator("#channel-url").fill("http://localhost:9/thief")
        page.locator("#channel-reason").fill("改址")
        watched.refusals = True
        page.locator("#channel-save").click()
        expect(page.locator("dialog .error")).to_contain_text("重新填写机密")
        page.locator("#channel-url").fill(f"{receiver.address}/night")
        page.locator("#channel-attempts").fill("2")
        page.locator("#channel-save").click()
        expect(page.locator("dialog")).to_have_count(0)
        row.locator("[data-channel=night-hook]", has_text="测试").click()
        wait_for("third message", lambda: receiver.seen[-1][0] == "/night")
        english = watched.open("/admin?view=channels", "en-US", door=station.admin)
        expect(english.locator("#channel-rows tr", has_text="night-hook")).to_contain_text("Added here")

        row.locator("[data-act=remove]").click()
        page.locator("#field-reason").fill("不再需要")
        page.locator("#form-submit").click()
        expect(row).to_have_count(0)
        told = json.loads(station.admin.send("GET", "/api/v1/entries?subject=channel%2Fnight-hook")[1])["entries"]
        assert [e["body"]["event"] for e in told] == ["channel.set", "channel.set", "channel.removed"]
        assert "geheim" not in json.dumps(told)
        assert list((station.folder / "station/secrets").iterdir()) == []
    finally:
        receiver.close()


def test_a_channel_of_the_service_file_is_changed_and_put_back(watched, station):
    page = watched.open("/admin?view=channels", door=station.admin)
    row = page.locator("#channel-rows tr", has_text="duty-group")
    row.locator("[data-act=edit]").click()
    expect(page.locator("#channel-topic")).to_have_value("callout/test")
    page.locator("#channel-topic").fill("callout/night")
    page.locator("#channel-reason").fill("换主题")
    page.locator("#channel-save").click()
    expect(row).to_contain_text("已在此更改")
    heard = subprocess.Popen(["mosquitto_sub", "-h", "127.0.0.1", "-p", str(station.mqtt), "-t", "callout/night", "-C", "1", "-W", "20"], stdout=subprocess.PIPE)
    page.wait_for_timeout(500)
    row.locator("[data-channel=duty-group]", has_text="测试").click()
    assert b"duty-group" in heard.communicate(timeout=25)[0] or heard.returncode == 0
    # The last channel stays while chains call by whatever there is; so there is another first.
    spare = """async ([method, path, headers, body]) => { const answer = await fetch('/api/v1/channels/spare' + path, { method, headers: { 'Content-Type': 'application/json', ...headers }, body: JSON.stringify(body) }); return [answer.status, answer.headers.get('ETag')]; }"""
    added, tag = page.evaluate(spare, ["PUT", "", {"If-None-Match": "*"}, {"reason": "备用", "setting": {"kind": "mqtt", "topic": "callout/spare"}}])
    assert added == 200
    row.locator("[data-act=remove]").click()
    page.locator("#field-reason").fill("停用")
    page.locator("#form-submit").click()
    expect(row).to_have_count(0)
    idle = page.locator("#idle-channels li", has_text="duty-group")
    expect(idle).to_contain_text("已移除")
    idle.locator("[data-act=reset]").click()
    page.locator("#field-reason").fill("恢复")
    page.locator("#form-submit").click()
    expect(idle).to_have_count(0)
    row.locator("summary").click()
    expect(row).to_contain_text("callout/test")
    assert page.evaluate(spare, ["POST", "/remove", {"If-Match": tag}, {"reason": "备用"}])[0] == 200

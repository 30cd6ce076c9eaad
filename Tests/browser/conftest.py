"""A real service for the pages: mosquitto, `davy serve`, and a gateway that tests speak through.

DAVY_BIN names the program. Everything listens on free ports of the loopback and is stopped by its own id.
"""

import json
import os
import pathlib
import re
import shutil
import socket
import subprocess
import sys
import time
import urllib.parse

import pytest
from playwright.sync_api import expect, sync_playwright

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tools/lib"))
import signin  # noqa: E402: found by the line above

ARTEFACTS = ROOT / "artefacts"
# Where devices/ and config/ are taken from; an older program may need an older set.
CONFIG = pathlib.Path(os.environ.get("DAVY_CONFIG", ROOT))

# What the API has: pages without theirs are not offered, and not tested.
FEATURES = set(re.findall(r"^  /api/v1/([a-z]+)", (ROOT / "Sources/Console/Resources/api/openapi.yaml").read_text(), re.M))

# What must be quick is measured where it matters; a busy machine must not fail the rest.
expect.set_options(timeout=30_000)

# Who works at the station, each with an account of his own: id, name, roles, scope.
EVERYWHERE = {"everywhere": True}
PEOPLE = {
    "wang.wei": ("王伟", ["operator", "county"], EVERYWHERE),
    "zhou.jun": ("周局长", ["county"], EVERYWHERE),
    "li.ming": ("李处长", ["sector"], EVERYWHERE),
    "chen.gang": ("陈矿长", ["enterprise"], {"enterprises": ["metec"]}),
    "zhao.min": ("赵主任", ["city"], EVERYWHERE),
}


def pytest_configure(config):
    config.addinivalue_line("markers", "quick: belongs to the short form, tools/browser-test --quick")


# Who can be called, and the roster that the page of administration changes; no situation calls anybody.
RESPONSE = """
people:
  duty-1: {name: 值班员甲, role: 值班员, phone: "+86-1"}
  duty-2: {name: 值班员乙, role: 值班员, phone: "+86-2"}
  leader: {name: 带班领导, role: 带班领导, phone: "+86-3"}
rosters:
  county:
    time-zone: Asia/Shanghai
    shifts:
      - {from: "08:00", to: "20:00", persons: [duty-1]}
      - {from: "20:00", to: "08:00", persons: [duty-2]}
    fallback: [leader]
"""


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def wait_for(what, check, seconds=20):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        try:
            value = check()
            if value:
                return value
        except OSError:
            pass
        time.sleep(0.05)
    raise AssertionError(f"no {what} within {seconds} s")


class Station:
    """A broker and a service, each of which a test may stop and start."""

    def __init__(self, folder, site=None, devices=None, response=RESPONSE):
        self.folder = folder
        self.site = site or CONFIG / "config/sites/methane-demo.yaml"
        self.mqtt = free_port()
        self.http = free_port()
        self.url = f"http://127.0.0.1:{self.http}"
        self.clock = int(time.time() * 1000)
        # As the README asks for: mosquitto otherwise drops what is more than 1,000 messages ahead of a busy station.
        (folder / "mosquitto.conf").write_text(
            f"listener {self.mqtt} 127.0.0.1\nallow_anonymous true\nset_tcp_nodelay true\n"
            "max_inflight_messages 0\nmax_queued_messages 0\n")
        (folder / "response.yaml").write_text(response)
        (folder / "service.yaml").write_text(
            f"station: browser-test\ndata: station\ndevices: {devices or CONFIG / 'devices'}\n"
            f"response: [{folder}/response.yaml]\n"
            f"sites: [{self.site}]\n"
            "callout: {channels: {duty-group: {kind: mqtt, topic: callout/test}}}\n"
            f"broker: {{host: 127.0.0.1, port: {self.mqtt}}}\nhttp: {{host: 127.0.0.1, port: {self.http}}}\n")
        self.broker = self.service = self.door = None
        try:
            self.start_broker()
            self.start_service()
        except BaseException:
            self.close()
            raise

    def start_broker(self):
        program = shutil.which("mosquitto") or "/usr/sbin/mosquitto"
        self.broker = subprocess.Popen([program, "-c", self.folder / "mosquitto.conf"],
                                       stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        wait_for("broker", lambda: socket.create_connection(("127.0.0.1", self.mqtt), 1).close() or True)

    def start_service(self):
        command = [os.environ["DAVY_BIN"], "serve", self.folder / "service.yaml"]
        if (ROOT / ".vendor/uplot").exists():
            command += ["--vendor", ROOT / ".vendor"]
        self.log = open(self.folder / "davy.log", "ab")
        self.service = subprocess.Popen(command, stdout=self.log, stderr=self.log)
        if self.door is None:
            self.sign_in()
        wait_for("service", lambda: self.get("status")["status"]["link"] == "connected", 90)

    def sign_in(self):
        """The administrator by the first start's link, then the person in whose name the tests act."""
        wait_for("port", lambda: socket.create_connection(("127.0.0.1", self.http), 1).close() or True)
        self.admin = signin.administrator(self.url, self.folder / "station")
        self.doors = {}
        self.door = self.person("wang.wei")

    def person(self, name):
        """The door of one of the PEOPLE, with a session of his own; his account is made when he is first needed."""
        if name not in self.doors:
            self.admin.account(name, *PEOPLE[name])
            self.doors[name] = self.admin.session(name)
        return self.doors[name]

    def stop(self, process):
        if process is None:
            return
        process.terminate()
        try:
            process.wait(15)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()

    def stop_broker(self):
        self.stop(self.broker)

    def stop_service(self):
        self.stop(self.service)

    def close(self):
        self.stop_service()
        self.stop_broker()

    def get(self, path, **query):
        text = urllib.parse.urlencode(query)
        status, body, _ = self.door.send("GET", f"/api/v1/{path}{'?' + text if text else ''}")
        assert status == 200, (path, status, body)
        return json.loads(body)

    def publish(self, sensor, value):
        """One reading of a sensor, at QoS 1; each is a second after the one before."""
        self.clock = max(self.clock + 1000, int(time.time() * 1000) - 500)
        payload = json.dumps({"device": sensor, "point": "ch4", "t": self.clock, "v": value})
        subprocess.run(["mosquitto_pub", "-h", "127.0.0.1", "-p", str(self.mqtt), "-q", "1",
                        "-t", "davy/v1/metec/gw-1/readings", "-m", payload], check=True)

    def message(self, topic, body):
        """Any message of the gateway, at QoS 1."""
        subprocess.run(["mosquitto_pub", "-h", "127.0.0.1", "-p", str(self.mqtt), "-q", "1",
                        "-t", f"davy/v1/metec/gw-1/{topic}", "-m", json.dumps(body)], check=True)

    def publish_all(self, readings, per_message=500):
        """Many readings (device, milliseconds, value) of point ch4, as arrays, at QoS 1 through one connection."""
        lines = []
        for start in range(0, len(readings), per_message):
            lines.append(json.dumps([{"device": device, "point": "ch4", "t": t, "v": value}
                                     for device, t, value in readings[start:start + per_message]]))
        subprocess.run(["mosquitto_pub", "-h", "127.0.0.1", "-p", str(self.mqtt), "-q", "1", "-l",
                        "-t", "davy/v1/metec/gw-1/readings"], input="\n".join(lines) + "\n", text=True, check=True)

    def replay_week(self):
        """Publishes the recorded week of methane with its releases, as fast as it is acknowledged."""
        recording, davy = self.folder / "recording", os.environ["DAVY_BIN"]
        columns = [f"--column=ch4_{side}=ch4_{side}/ch4" for side in ("n", "ne", "e", "se", "s", "sw", "w", "nw")]
        for command in (
            ["import", "readings", ROOT / "Tests/Recordings/methane-site/ch4.csv", "--into", recording,
             "--topic", "davy/v1/metec/gw-1/readings", *columns],
            ["replay", recording, "--publish", f"127.0.0.1:{self.mqtt}", "--speed", "max"],
        ):
            subprocess.run([davy, *command], check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        wait_for("recorded week", lambda: self.get("status")["status"]["readings"] >= 77_000, 400)
        wait_for("ledger", lambda: (lambda s: s["ledgerPosition"] == s["journalSequence"])(self.get("status")["status"]), 120)

    def calm(self):
        """Ends shelving, brings every sensor back below its limits and acknowledges what is left."""
        for alarm in self.get("alarms/standing")["alarms"]:
            if alarm["state"] == "shelved":
                self.act(alarm["alarm"], {"act": "unshelve"})
        for sensor in ("n", "ne", "e", "se", "s", "sw", "w", "nw"):
            self.publish(f"ch4_{sensor}", 2.0)
        def settled():
            standing = self.get("alarms/standing")["alarms"]
            for alarm in standing:
                if alarm["state"] in ("unacknowledged", "returnedUnacknowledged"):
                    self.act(alarm["alarm"], {"act": "acknowledge"})
            return not self.get("alarms/standing")["alarms"]
        wait_for("calm", settled)

    def send(self, path, body, person="wang.wei"):
        """What one of the PEOPLE enters through the API."""
        status, answer, _ = self.person(person).send("POST", f"/api/v1/{path}", body)
        assert status in (200, 201), (path, status, answer)
        return json.loads(answer)

    def act(self, alarm, body):
        path = f"/api/v1/alarms/{urllib.parse.quote(alarm, safe='')}/acts"
        status, answer, _ = self.door.send("POST", path, body)
        assert status in (200, 404, 409), (status, answer)
        return json.loads(answer) if status == 200 else None


@pytest.fixture(scope="session")
def station(tmp_path_factory):
    station = Station(tmp_path_factory.mktemp("station"))
    yield station
    station.close()


@pytest.fixture(scope="session")
def recorded(tmp_path_factory):
    """A station that has lived through the recorded week."""
    station = Station(tmp_path_factory.mktemp("recorded"))
    try:
        station.replay_week()
        yield station
    finally:
        station.close()


@pytest.fixture(scope="session")
def fresh(tmp_path_factory):
    """A station that nothing has come to yet."""
    station = Station(tmp_path_factory.mktemp("fresh"))
    yield station
    station.close()


@pytest.fixture(scope="session")
def live(tmp_path_factory):
    """A station whose gateway is no recording's: its alarms count as what comes now, and can be a flood."""
    folder = tmp_path_factory.mktemp("live")
    site = (CONFIG / "config/sites/methane-demo.yaml").read_text()
    (folder / "site.yaml").write_text(site.replace("replay-source: true", "replay-source: false"))
    station = Station(folder, folder / "site.yaml")
    yield station
    station.close()


# A red alarm calls whoever is on duty.
CALLING = RESPONSE + """
chains: {county: {levels: [{name: {zh: 县值班, en: County duty}, roster: county, attempts: 2, interval: 10min}]}}
situations: {plume: {name: {zh: 甲烷烟羽, en: Methane plume}, when: {priority: red}, chain: county, group-by: site}}
reports: {leak: {when: {priority: red}, within: 1h}}
"""


@pytest.fixture(scope="session")
def works(tmp_path_factory):
    """A station with a welding machine, its register, a point watched for made-up readings, and people to call."""
    folder = tmp_path_factory.mktemp("works")
    shutil.copytree(CONFIG / "devices", folder / "devices")
    moment = lambda hours: time.strftime("%Y-%m-%dT%H:%M:%S+00:00", time.gmtime(time.time() + hours * 3600))
    site = (CONFIG / "config/sites/methane-demo.yaml").read_text().replace("replay-source: true", "replay-source: false").rstrip()
    (folder / "site.yaml").write_text(site + f"""
          watched: {{profile: coal-mine/methane, name: {{zh: 受监视测点, en: Watched point}}, choose: {{location: T1}}, parameters: {{range-high: 4}}, without: [feed]}}
      shop:
        name: {{zh: 车间, en: Shop}}
        fence: [[115.000, 25.000], [115.001, 25.000], [115.001, 25.001], [115.000, 25.001]]
        devices:
          WM-1:
            profile: welding/welding-machine
            name: {{zh: 一号焊机, en: Machine 1}}
            position: [115.0005, 25.0005]
            parameters: {{current-high: 500}}
            without: [temperature, gas, mains, longitude, latitude]
welding:
  policy: {{scan-radius: 30}}
  machines: {{WM-1: {{code: QR-1, chip: C-1, normal-current: [40, 250]}}}}
  welders: {{w1: {{name: 张师傅, certificate: T1, from: 2024-01-01, until: 2099-12-31}}}}
  permits:
    P-1: {{kind: ticket, class: first, machines: [WM-1], welders: [w1], area: metec/shop, from: "{moment(-1)}", until: "{moment(3)}", gas-test: "{moment(-.1)}", guardian: 李监护}}
""")
    station = Station(folder, folder / "site.yaml", folder / "devices", CALLING)
    yield station
    station.close()


PLANT_DEVICES = 5000


def is_quiet():
    """Whether the machine has time for us; what takes milliseconds then takes seconds beside ten other builds."""
    return os.getloadavg()[0] < 1.5 * os.cpu_count()


@pytest.fixture(scope="session")
def plant(tmp_path_factory):
    """A plant of 5,000 sensors with two limits each, so that 10,000 alarms can stand."""
    folder = tmp_path_factory.mktemp("plant")
    lines = ["enterprise: {id: metec, name: {zh: 大厂, en: Big plant}, responsible: operator}", "time-zone: Asia/Shanghai",
             "people: {operator: {name: Operator, role: operator}}",
             "gateways: {gw-1: {name: {zh: 网关, en: Gateway}, replay-source: true}}",
             "sites:", "  works:", "    name: {zh: 厂区, en: Works}", "    kind: research", "    areas:"]
    for area in range(50):
        lines += [f"      a{area}:", f"        name: {{zh: {area} 号区, en: Area {area}}}", "        devices:"]
        for number in range(area, PLANT_DEVICES, 50):
            lines += [f"          d{number}: {{profile: research/fence-line-methane, name: {{zh: {number} 号探头, en: Probe {number}}}, "
                      "parameters: {range-high: 1000}, limits: {ch4.H: {setpoint: 5, deadband: 1}, ch4.HH: {setpoint: 20, deadband: 2}}}"]
    (folder / "plant.yaml").write_text("\n".join(lines) + "\n")
    station = Station(folder, folder / "plant.yaml")
    yield station
    station.close()


@pytest.fixture(scope="session")
def browser():
    ARTEFACTS.mkdir(exist_ok=True)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=os.environ.get("CHROMIUM", "/usr/bin/chromium"), args=["--no-sandbox"])
        yield browser
        browser.close()


class Watched:
    """Pages whose errors, policy violations and foreign requests fail the test."""

    def __init__(self, browser, station):
        self.browser, self.station = browser, station
        self.contexts, self.errors = [], []
        # Set by a test that brings refusals about from here on.
        self.refusals = False

    def open(self, path, locale="zh-CN", width=1366, height=768, expect_loss=False, expect_refusal=False,
             signed_in=True, door=None, script=None):
        """A page in a browser of its own, with the session of `door`: 王伟's where none is named."""
        context = self.browser.new_context(locale=locale, timezone_id="Asia/Shanghai",
                                           viewport={"width": width, "height": height})
        if signed_in:
            name, value = (door or self.station.door).cookie.split("=", 1)
            context.add_cookies([{"name": name, "value": value, "url": self.station.url}])
        self.contexts.append(context)
        page = context.new_page()
        if script:
            page.add_init_script(script)
        page.on("pageerror", lambda error: self.errors.append(f"page error: {error}"))

        def console(message):
            if message.type not in ("error", "warning"):
                return
            # A browser itself reports the lost connection that a test brings about.
            if expect_loss and ("net::ERR_" in message.text or "status of 40" in message.text):
                return
            # And every answer that is a refusal, whatever the page makes of it.
            if (expect_refusal or self.refusals) and re.search(r"status of 4\d\d", message.text):
                return
            # The text of a failed load does not say of what; the place does.
            place = (message.location or {}).get("url", "")
            self.errors.append(f"{path}: console {message.type}: {message.text} ({place})")

        page.on("console", console)

        def request(request):
            if not request.url.startswith((self.station.url, "blob:", "data:")):
                self.errors.append(f"request off the machine: {request.url}")

        page.on("request", request)
        page.on("response", lambda answer: self.watch_policy(answer))
        page.goto(self.station.url + path)
        return page

    def watch_policy(self, answer):
        """Every document comes under the strict policy; what breaks it is a console error."""
        if answer.request.resource_type == "document" and "default-src 'self'" not in answer.headers.get(
                "content-security-policy", ""):
            self.errors.append(f"no policy with {answer.url}")


@pytest.fixture
def watched(browser, station):
    watched = Watched(browser, station)
    yield watched
    for context in watched.contexts:
        context.close()
    assert watched.errors == []


def watch(station):
    """A fixture like `watched` for another station."""
    @pytest.fixture
    def fixture(browser, request):
        watched = Watched(browser, request.getfixturevalue(station))
        yield watched
        for context in watched.contexts:
            context.close()
        assert watched.errors == []
    return fixture


on_plant = watch("plant")
on_recorded = watch("recorded")
on_fresh = watch("fresh")
on_live = watch("live")
on_works = watch("works")


@pytest.fixture
def calm(station):
    station.calm()
    return station

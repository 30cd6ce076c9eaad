"""The trials behind tools/api-trials; see there. Everything listens on loopback and is stopped by its own id."""

import argparse
import asyncio
import http.client
import json
import os
import pathlib
import random
import shutil
import socket
import sqlite3
import ssl
import subprocess
import sys
import tempfile
import threading
import time
import urllib.parse
import warnings

import signin

ROOT = pathlib.Path(__file__).resolve().parents[2]
# Words that stand nowhere but in their own enterprise's rows.
ENTERPRISES = {"acmeqx": "360702", "zetaqx": "360703", "betaqx": "370102"}
SENSORS = ("n", "ne", "e", "se", "s", "sw", "w", "nw")
# Streams are held to every step: where the station sums floods up, these enterprises are never in flood.
FLOODS = "flood: {limit: 10000, area-limit: 10000, end-below: 1}\n" if "      flood:\n" in (
    ROOT / "Sources/Console/Resources/api/asyncapi.yaml").read_text() else ""
# Red alarms become hazards, call somebody and start a reporting clock: rows of every kind for every enterprise.
RESPONSE = """
people: {duty: {name: 值班员, phone: "+86-1"}}
rosters: {county: {fallback: [duty]}}
chains: {county: {levels: [{name: {zh: 县, en: County}, roster: county, attempts: 2, interval: 10min}]}}
situations: {red: {name: {zh: 红色报警, en: Red alarm}, when: {priority: red}, chain: county, group-by: site}}
hazards: [{immediate-from: red}]
reports: {leak: {when: {priority: red}, within: 1h}}
"""


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def say(text):
    print(f"== {text}", flush=True)


class Failure(Exception):
    """What a trial found."""


class Plant:
    """A broker and a service with three enterprises in two provinces."""

    def __init__(self, folder):
        self.folder = folder
        self.mqtt, self.http = free_port(), free_port()
        self.url = f"http://127.0.0.1:{self.http}"
        self.broker = self.service = None
        self.clock = int(time.time() * 1000) - 3_000_000
        example = (ROOT / "config/sites/methane-demo.yaml").read_text()
        for name, area in ENTERPRISES.items():
            text = example.replace("id: metec", f"id: {name}\n  administrative-code: \"{area}\"")
            text = text.replace("replay-source: true", "replay-source: false")
            for word in ("METEC 试验场", "METEC test site"):
                text = text.replace(word, f"{name} {word}")
            # A welding machine of its own, with a register and a code that names its enterprise.
            text = text.rstrip() + f"""
          WM-0001:
            profile: welding/welding-machine
            gateway: gw-1
            name: {{zh: {name} 电焊机, en: {name} welding machine}}
            parameters: {{current-high: 500}}
            limits: {{gas.near: 10}}
            without: [temperature, mains]
welding:
  policy: {{scan-radius: 30, undecided: deny}}
  machines: {{WM-0001: {{code: QR-{name}, chip: C-{name}, normal-current: [40, 250]}}}}
"""
            (folder / f"{name}.yaml").write_text(text + FLOODS)
        sites = ", ".join(f"{name}.yaml" for name in ENTERPRISES)
        (folder / "response.yaml").write_text(RESPONSE)
        (folder / "service.yaml").write_text(
            f"station: api-trials\ndata: data\ndevices: {ROOT}/devices\nsites: [{sites}]\nresponse: [response.yaml]\n"
            f"broker: {{host: 127.0.0.1, port: {self.mqtt}}}\n"
            f"http: {{host: 127.0.0.1, port: {self.http}, requestsPerSecond: 1000000}}\n")
        (folder / "mosquitto.conf").write_text(
            f"listener {self.mqtt} 127.0.0.1\nallow_anonymous true\nset_tcp_nodelay true\n"
            "max_inflight_messages 0\nmax_queued_messages 0\n")

    def start(self):
        program = shutil.which("mosquitto") or "/usr/sbin/mosquitto"
        quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        self.broker = subprocess.Popen([program, "-c", self.folder / "mosquitto.conf"], **quiet)
        self.wait(self.mqtt, self.broker)
        log = open(self.folder / "davy.log", "ab")
        command = [os.environ["DAVY_BIN"], "serve", self.folder / "service.yaml"]
        self.service = subprocess.Popen(command, stdout=log, stderr=log)
        self.wait(self.http, self.service)
        self.admin = signin.administrator(self.url, self.folder / "data", 60)
        if self.admin.send("GET", "/api/v1/accounts/all")[0] == 404:
            self.make_accounts()
        self.all = self.admin.key("all", "trials")
        self.callers = {name: (self.admin.key(name, "trials").bearer, own) for name, _, own in self.people}

    # Who asks, with what scope, and whose rows that comes to.
    people = (
        ("only-acme", {"enterprises": ["acmeqx"]}, {"acmeqx"}), ("only-zeta", {"enterprises": ["zetaqx"]}, {"zetaqx"}),
        ("county", {"areas": ["360702"]}, {"acmeqx"}), ("province", {"areas": ["360000"]}, {"acmeqx", "zetaqx"}),
        ("elsewhere", {"areas": ["110000"]}, set()))

    def make_accounts(self):
        self.admin.account("all", "All", ["operator", "county", "administrator"], {"everywhere": True}, "machine")
        for name, scope, _ in self.people:
            self.admin.account(name, name, ["operator"], scope, "machine")

    @staticmethod
    def wait(port, process, seconds=60):
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            try:
                socket.create_connection(("127.0.0.1", port), 1).close()
                return
            except OSError:
                if process.poll() is not None:
                    break
                time.sleep(0.05)
        raise Failure(f"nothing listens on port {port}")

    def stop(self):
        for process in (self.service, self.broker):
            if process is None:
                continue
            process.terminate()
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()

    def publish(self, readings):
        """Readings of (enterprise, sensor, value), each a second after the one before."""
        lines = {}
        for enterprise, sensor, value in readings:
            self.clock += 1000
            lines.setdefault(enterprise, []).append(
                json.dumps({"device": f"ch4_{sensor}", "point": "ch4", "t": self.clock, "v": value}))
        for enterprise, payloads in lines.items():
            subprocess.run(
                ["mosquitto_pub", "-h", "127.0.0.1", "-p", str(self.mqtt), "-q", "1", "-l",
                 "-t", f"davy/v1/{enterprise}/gw-1/readings"],
                input="\n".join(payloads) + "\n", text=True, check=True)

    def flap(self, rounds):
        """Alarms that come and go at every sensor of every enterprise, some refused readings between."""
        for _ in range(rounds):
            self.publish([(e, s, v) for v in (8.0, 2.0) for e in ENTERPRISES for s in SENSORS])
        self.publish([(e, "nowhere", 1.0) for e in ENTERPRISES])
        self.publish([(e, "n", 30.0) for e in ENTERPRISES])
        self.settle()

    def furnish(self):
        """What people and machines leave behind in every enterprise besides alarms; and a back-test of all of them."""
        now = int(time.time() * 1000)
        for e in ENTERPRISES:
            place = {"role": "county", "reason": f"{e} 巡查"}
            self.all.json("POST", "/api/v1/hazards", {
                **place, "source": "governmentInspection", "place": f"{e}/metec/fence", "title": f"{e} 护栏缺失"})
            self.all.json("POST", "/api/v1/silences", {**place, "path": f"{e}/metec/fence/ch4_sw", "until": now + 86_400_000})
            self.all.json("PUT", f"/api/v1/welding/register/{e}/welders/w-1", {
                "reason": f"{e} 新证", "value": {"name": f"{e} 焊工", "certificate": f"{e}-1", "category": "焊接与热切割作业",
                                               "validFrom": "2024-03-01", "validUntil": "2099-02-28"}})
            # Denied: nobody has such a card; the scan stands in the list all the same.
            scan = {"id": f"{e}-scan", "device": "WM-0001", "code": f"QR-{e}", "welder": "w-9", "t": now}
            subprocess.run(["mosquitto_pub", "-h", "127.0.0.1", "-p", str(self.mqtt), "-q", "1",
                            "-t", f"davy/v1/{e}/gw-1/welding/scan", "-m", json.dumps(scan)], check=True)
        self.settle()
        # Of everything that was published here; a made ledger of years would take minutes.
        test = self.all.json("POST", "/api/v1/backtests", {"from": now - 3_600_000, "to": now + 86_400_000, "a": "ledger", "b": "ledger"})
        self.backtest = test["id"]
        self.until("back-test", lambda: self.all.json("GET", f"/api/v1/backtests/{self.backtest}")["state"] == "done")
        # Of what the red alarms brought about, and of what was entered: one id of each kind and enterprise at least.
        self.ids = {kind: [row[key] for row in self.all.json("GET", f"/api/v1/{kind}?limit=200")[kind]]
                    for kind, key in (("hazards", "hazard"), ("callouts", "id"), ("clocks", "id"), ("silences", "id"))}
        assert all(len(ids) >= len(ENTERPRISES) for ids in self.ids.values()), self.ids

    @staticmethod
    def until(what, check, seconds=60):
        end = time.monotonic() + seconds
        while not check():
            if time.monotonic() > end:
                raise Failure(f"no {what} within {seconds} s")
            time.sleep(0.05)

    def settle(self):
        end = time.monotonic() + 30
        while time.monotonic() < end:
            status = self.all.json("GET", "/api/v1/status")["status"]
            if status["ledgerPosition"] >= status["journalSequence"] and status["messages"] > 0:
                return
            time.sleep(0.1)
        raise Failure("the ledger does not come to the end of what was published")


def fill(path, total):
    """Writes `total` entries straight into a station's ledger, as years of a county would leave it.

    40 enterprises have a fortieth of the alarms each, one, `rare`, has one in 50,000, and so has the rule `stuck`; one
    alarm in 10,000 still stands; every 21st alarm made a hazard, one in 100 of which is open. The hashes are made up: what is measured is reading, and no chain could be hashed in
    the time. Triggers and indexes are put back afterwards as they were.
    """
    db = sqlite3.connect(path, isolation_level=None)
    db.executescript("PRAGMA synchronous = OFF; PRAGMA cache_size = -400000; PRAGMA temp_store = MEMORY")
    put_back = db.execute("SELECT type, name, sql FROM sqlite_schema WHERE type IN ('trigger', 'index') "
                          "AND sql IS NOT NULL").fetchall()
    for kind, name, _ in put_back:
        db.execute(f"DROP {kind} {name}")
    head = db.execute("SELECT head_seq FROM station").fetchone()[0]
    alarm = """
        SELECT o, CASE o % 50000 WHEN 77 THEN 'rare' ELSE 'ent-' || (o % 40) END AS owner,
          CASE o % 50000 WHEN 99 THEN 'stuck' ELSE 'high' END AS rule, 1700000000000 + o * 40000 AS onset,
          CASE WHEN o % 10000 = 9999 THEN 0 ELSE 1 END AS ended FROM n"""
    numbers = "WITH RECURSIVE n(o) AS (SELECT ?1 UNION ALL SELECT o + 1 FROM n WHERE o + 1 < ?2), a AS (" + alarm + """),
        p AS (SELECT *, owner || '/site-1/area-3/GD-' || (o % 9973) || '/ch1' AS point FROM a),
        s AS (SELECT *, point || '#' || rule || '@' || onset AS id FROM p) """
    steps = """(SELECT 0 AS step, 'raised' AS event, 'unacknowledged' AS state, 'normal' AS previous
        UNION ALL SELECT 1, 'acknowledged', 'acknowledged', 'unacknowledged'
        UNION ALL SELECT 2, 'reAlarmed', 'acknowledged', 'acknowledged'
        UNION ALL SELECT 3, 'returned', 'normal', 'acknowledged')"""
    for start in range(0, total // 4, 250_000):
        span = (start, min(start + 250_000, total // 4))
        db.execute("BEGIN")
        db.execute(numbers + f"""INSERT INTO entry SELECT {head} + o * 4 + step + 1, onset + step * 10000,
            CASE WHEN ended OR step = 0 THEN 'alarm' ELSE 'system' END, CASE WHEN ended OR step = 0 THEN id ELSE '' END,
            'engine', CAST(CASE WHEN ended OR step = 0 THEN printf('{{"alarm":"%s","catalog":"0123456789abcdef",'
              || '"cause":%d,"event":"%s","limit":50,"onset":%d,"point":"%s","previous":"%s","priority":%d,"received":%d,'
              || '"rule":"%s","state":"%s","unit":"%%LEL","value":51.25}}', id, o, event, onset, point, previous,
              1 + o % 4, onset, rule, state) ELSE '{{"event":"note"}}' END AS BLOB),
            o * 4 + step + 1, zeroblob(32), zeroblob(32) FROM s, {steps} ORDER BY o, step""", span)
        db.execute(numbers + f"""INSERT INTO entry_owner SELECT owner, {head} + o * 4 + step + 1 FROM s, {steps}
            WHERE ended OR step = 0 ORDER BY owner, o, step""", span)
        db.execute(numbers + f"""INSERT INTO alarm SELECT {head} + o * 4 + 1, id, point, rule, onset,
            CASE WHEN ended THEN 'normal' ELSE 'unacknowledged' END, 1 + o % 4, onset + 30000 * ended,
            {head} + o * 4 + 1 + 3 * ended, onset, {head} + o * 4 + 1, CASE WHEN ended THEN onset + 10000 END,
            CASE WHEN ended THEN {head} + o * 4 + 2 END, CASE WHEN ended THEN 'li.wei' ELSE '' END, '',
            CASE WHEN ended THEN onset + 30000 END, CASE WHEN ended THEN {head} + o * 4 + 4 END, NULL, NULL, 'engine', '',
            NULL, 51.25, 50.0, '%LEL', '0123456789abcdef', 1 + 3 * ended, 0 FROM s ORDER BY o""", span)
        db.execute(numbers + f"""INSERT INTO hazard SELECT {head} + o * 4 + 1, 'hazard/' || o, owner,
            substr(point, 1, length(point) - 4), 'monitoring', 'made', CASE o % 2100 WHEN 0 THEN 'registered' ELSE 'closed' END,
            NULL, NULL, NULL, NULL, onset + 30000, {head} + o * 4 + 4, 5 FROM s WHERE o % 21 = 0 ORDER BY o""", span)
        db.execute("UPDATE station SET position = ?1, head_seq = ?2, head_hash = zeroblob(32)",
                   (span[1] * 4 + 1000, head + span[1] * 4))
        db.execute("COMMIT")
    for _, _, text in put_back:
        db.execute(text)
    db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    db.close()


def schema(plant, options):
    """schemathesis: no server error, nothing that the description does not say."""
    # What is there, so that it is not only held to saying "unknown"; an account that may be closed in passing.
    plant.admin.account("victim", "Victim", ["auditor"], {"areas": ["360702"]}, "machine")
    alarm = plant.all.json("GET", "/api/v1/alarms?limit=1")["alarms"][0]
    hazard, callout, clock, silence = (plant.ids[kind][-1] for kind in ("hazards", "callouts", "clocks", "silences"))
    known = {"alarm": {"id": alarm["alarm"]}, "act": {"id": alarm["alarm"]}, "trend": {"path": alarm["point"]},
             "readingsOfPoint": {"path": alarm["point"]}, "hazard": {"id": hazard}, "actOnHazard": {"id": hazard},
             "callout": {"id": callout}, "confirmCallout": {"id": callout}, "calloutFeedback": {"id": callout},
             "clock": {"id": clock}, "report": {"id": clock}, "supplement": {"id": clock}, "endSilence": {"id": silence},
             "roster": {"id": "county"}, "changeRoster": {"id": "county"}, "resetRoster": {"id": "county"},
             "backtest": {"id": plant.backtest}, "plantReport": {"period": time.strftime("%Y-%m")},
             "weldingRegister": {"enterprise": "acmeqx", "part": "welders"},
             "weldingEntry": {"enterprise": "acmeqx", "part": "welders", "id": "w-1"},
             "putWeldingEntry": {"enterprise": "acmeqx", "part": "welders", "id": "w-2"},
             "removeWeldingEntry": {"enterprise": "acmeqx", "part": "welders", "id": "w-2"},
             "account": {"id": "victim"}, "changeAccount": {"id": "victim"}, "listKeys": {"id": "victim"},
             "makeKey": {"id": "victim"}, "accountLink": {"id": "victim"}}
    settings = plant.folder / "schemathesis.toml"
    settings.write_text("".join(
        f"[[operations]]\ninclude-operation-id = {json.dumps(name)}\n[operations.parameters]\n"
        + "".join(f"{json.dumps('path.' + key)} = {json.dumps(value)}\n" for key, value in values.items())
        for name, values in known.items()))
    for extra in ([], ["--config-file", str(settings)]):
        conform(plant, options, extra)


def conform(plant, options, extra):
    command = [
        str(pathlib.Path(sys.executable).parent / "schemathesis"), *extra, "run", f"{plant.url}/api/v1/openapi.yaml",
        "--header", f"Authorization: Bearer {plant.all.bearer}",
        "--checks", "not_a_server_error,response_schema_conformance,content_type_conformance,status_code_conformance",
        # A stream has no end; tools/api-trials has parts of its own for it.
        "--exclude-path", "/api/v1/alarms/stream",
        # One worker: ast.parse of Python 3.11 is not safe in two threads at once (CPython issue 106905), and hypothesis
        # reads the source of every lambda that it prints.
        "--max-examples", "100" if options.full else "8", "--seed", "1", "--workers", "1",
        "--suppress-health-check", "all", "--request-timeout", "20"]
    # In a folder of its own: it leaves a cache where it runs.
    environment = {**os.environ, "SCHEMATHESIS_HOOKS": "schemathesis_hooks", "PYTHONPATH": str(ROOT / "tools/lib"),
                   "PYTHONDONTWRITEBYTECODE": "1"}
    done = subprocess.run(command, capture_output=True, text=True, cwd=plant.folder, env=environment)
    if done.returncode != 0:
        kept = ROOT / "artefacts/schemathesis.log"
        kept.parent.mkdir(exist_ok=True)
        kept.write_text(done.stdout + done.stderr)
        lines = [line[:200] for line in (done.stdout + done.stderr).splitlines()]
        raise Failure(f"schemathesis, all of it in {kept}:\n" + "\n".join(lines[-150:]))
    tail = [line for line in done.stdout.splitlines() if " generated, " in line]
    say("schemathesis: " + "; ".join(line.strip() for line in tail))


def paths(plant):
    """Where rows are: lists, single things and their neighbours, of every enterprise."""
    alarms, cursor = [], ""
    while True:
        page = plant.all.json("GET", f"/api/v1/alarms?limit=500{cursor}")
        alarms += page["alarms"]
        if page["next"] is None or len(alarms) > 1000:
            break
        cursor = f"&before={page['next']}"
    ids = [urllib.parse.quote(a["alarm"], safe="") for a in alarms]
    points = sorted({urllib.parse.quote(a["point"], safe="") for a in alarms})
    assert all(any(e in i for i in ids) for e in ENTERPRISES), "every enterprise has alarms"
    return ids, points, plant.all.json("GET", "/api/v1/status")["status"]["ledgerHead"]


def draw(random, plant, ids, points, head):
    """One request: mostly what a curious neighbour would try."""
    now = int(time.time() * 1000)

    def one(kind):
        return urllib.parse.quote(random.choice(plant.ids[kind]), safe="")

    return random.choice((
        lambda: "/api/v1/alarms/standing",
        lambda: f"/api/v1/alarms?limit={random.randint(1, 500)}&before={random.randint(1, head + 5)}",
        lambda: f"/api/v1/alarms?point={random.choice(list(ENTERPRISES))}&limit=50",
        lambda: f"/api/v1/alarms?point={random.choice(points)}&standing={random.choice(('true', 'false'))}",
        lambda: f"/api/v1/alarms?priority={random.randint(1, 4)}&from={random.randint(0, now)}&to={now}",
        lambda: f"/api/v1/alarms?rule=ch4.H&state=unacknowledged,acknowledged,normal",
        lambda: f"/api/v1/alarms/{random.choice(ids)}",
        lambda: f"/api/v1/entries?after={random.randint(0, head)}&limit={random.randint(1, 300)}",
        lambda: f"/api/v1/entries?subject={random.choice(ids)}",
        lambda: f"/api/v1/entries?subject={one(random.choice(list(plant.ids)))}",
        lambda: "/api/v1/entries?subject=" + random.choice(("account%3Aall", "api-trials", "", "account%3Acounty")),
        lambda: f"/api/v1/points/{random.choice(points)}/trend?from={now - 10_000_000}&to={now}",
        lambda: f"/api/v1/points/{random.choice(points)}/readings?through={random.randint(1, head + 500)}",
        lambda: "/api/v1/readings/latest",
        lambda: f"/api/v1/rejects?limit={random.randint(1, 1000)}",
        lambda: "/api/v1/catalog",
        lambda: f"/api/v1/alarms.csv?point={random.choice(list(ENTERPRISES))}",
        lambda: "/api/v1/alarms.csv?standing=true",
        lambda: "/api/v1/accounts",
        lambda: "/metrics",
        lambda: "/api/v1/verify",
        # Hazards, call-outs, clocks and silences: lists, single ones, exports, and what is quiet.
        lambda: "/api/v1/hazards?" + random.choice(("", "open=true", "source=monitoring", "limit=1")),
        lambda: f"/api/v1/hazards?enterprise={random.choice(list(ENTERPRISES))}",
        lambda: f"/api/v1/hazards?place={random.choice(list(ENTERPRISES))}/metec",
        lambda: f"/api/v1/hazards/{one('hazards')}",
        lambda: "/api/v1/hazards.xlsx",
        lambda: f"/api/v1/hazards.xlsx?place={random.choice(list(ENTERPRISES))}",
        lambda: f"/api/v1/{random.choice(('callouts', 'clocks', 'silences'))}?limit={random.randint(1, 200)}",
        lambda: (lambda kind: f"/api/v1/{kind}/{one(kind)}")(random.choice(("callouts", "clocks"))),
        lambda: f"/api/v1/silences?place={random.choice(list(ENTERPRISES))}",
        lambda: "/api/v1/alarms/quiet",
        lambda: "/api/v1/rosters",
        # Figures and reports, in every form.
        lambda: "/api/v1/kpis",
        lambda: f"/api/v1/kpis?path={random.choice(list(ENTERPRISES))}",
        lambda: "/api/v1/reports/" + time.strftime(random.choice(("%Y-%m-%d", "%Y-%m")))
                + "?format=" + random.choice(("json", "csv", "xlsx", "html")),
        lambda: "/api/v1/coverage", lambda: "/api/v1/coverage/points",
        lambda: f"/api/v1/coverage/points?below={random.choice(list(ENTERPRISES))}",
        lambda: "/api/v1/health/hours",
        # Back-tests and the texts of rules, which are everybody's or nobody's.
        lambda: "/api/v1/backtests", lambda: f"/api/v1/backtests/{plant.backtest}", lambda: "/api/v1/rules/versions",
        lambda: f"/api/v1/rules/versions/{plant.version}",
        # Welding.
        lambda: "/api/v1/welding/machines", lambda: "/api/v1/welding/scans",
        lambda: f"/api/v1/welding/machines?enterprise={random.choice(list(ENTERPRISES))}",
        lambda: f"/api/v1/welding/register/{random.choice(list(ENTERPRISES))}/welders",
        lambda: f"/api/v1/welding/register/{random.choice(list(ENTERPRISES))}/welders/w-1",
    ))()


def scopes(plant, options):
    """Requests by users of other scopes hold none of another's rows."""
    total = 100_000 if options.full else 4_000
    ids, points, head = paths(plant)
    plant.version = plant.all.json("GET", "/api/v1/rules/versions")["current"]
    leaks, counts, seen, shown = [], {}, {}, {}
    lock = threading.Lock()

    def work(number, share):
        draws = random.Random(number)
        connection = http.client.HTTPConnection("127.0.0.1", plant.http, timeout=30)
        for _ in range(share):
            name = draws.choice(list(plant.callers))
            bearer, own = plant.callers[name]
            path = draw(draws, plant, ids, points, head)
            connection.request("GET", path, headers={"Authorization": f"Bearer {bearer}"})
            answer = connection.getresponse()
            # A workbook's parts are stored as they are: its texts can be looked for like any others.
            body = answer.read().decode(errors="replace")
            if path.startswith("/api/v1/kpis?path="):
                # Its answer repeats what was asked for.
                body = body.replace('"path":"' + path.partition("=")[2] + '"', "")
            foreign = [e for e in ENTERPRISES if e not in own and e in body]
            # A refusal repeats what was asked for and says that it is not there.
            if answer.status == 200 and (foreign or "account:" in body) or answer.status >= 500:
                with lock:
                    leaks.append((name, path, answer.status, foreign, body[:300]))
            with lock:
                counts[answer.status] = counts.get(answer.status, 0) + 1
                if answer.status == 200 and any(e in body for e in own):
                    seen[name] = seen.get(name, 0) + 1
                    part = path.split("?")[0].split("/")[3 if path.startswith("/api/") else 1]
                    shown[part] = shown.get(part, 0) + 1
        connection.close()

    begin = time.monotonic()
    threads = [threading.Thread(target=work, args=(n, total // 4)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if leaks:
        raise Failure(f"{len(leaks)} leaks, the first: {leaks[0]}")
    if sum(counts.values()) != total // 4 * 4:
        raise Failure(f"only {counts} answered")
    empty = [name for name, (_, own) in plant.callers.items() if own and not seen.get(name)]
    if empty:
        raise Failure(f"{empty} never saw even their own rows: the trial shows nothing")
    # Each of these shows its own rows to somebody; else that nothing leaks from it would say nothing.
    silent = {"alarms", "entries", "catalog", "points", "rejects", "hazards", "hazards.xlsx", "callouts", "clocks", "silences",
              "reports", "coverage", "health", "welding"} - set(shown)
    if silent:
        raise Failure(f"{sorted(silent)} never showed anybody their own rows: the trial shows nothing of them")
    say(f"other scopes: {sum(counts.values())} requests in {time.monotonic() - begin:.0f} s, "
        f"none of another's rows; by status {dict(sorted(counts.items()))}; own rows seen {seen}")


def sequence(number):
    """The ledger sequence in an event's id."""
    return int(number.split("-")[0])


async def events(plant, bearer, since=None, heartbeat=1):
    """The events of one stream as (name, id, data); `sequence` reads an id."""
    reader, writer = await asyncio.open_connection("127.0.0.1", plant.http, limit=1 << 24)
    query = f"?heartbeat={heartbeat}" + (f"&since={since}" if since is not None else "")
    writer.write((f"GET /api/v1/alarms/stream{query} HTTP/1.1\r\nHost: 127.0.0.1:{plant.http}\r\n"
                  f"Authorization: Bearer {bearer}\r\n\r\n").encode())
    try:
        head = await reader.readuntil(b"\r\n\r\n")
        if b" 200 " not in head.split(b"\r\n")[0]:
            raise Failure(f"stream: {head.decode()}")
        text = b""
        while True:
            size = int((await reader.readuntil(b"\r\n"))[:-2], 16)
            if size == 0:
                return
            text += (await reader.readexactly(size + 2))[:-2]
            while b"\n\n" in text:
                block, text = text.split(b"\n\n", 1)
                fields = dict(line.split(b": ", 1) for line in block.split(b"\n") if b": " in line)
                if b"event" in fields:
                    yield fields[b"event"].decode(), fields.get(b"id", b"").decode(), fields[b"data"]
    finally:
        writer.close()


def streams(plant, options):
    """Streams dropped at random and resumed: no gap, no repeat, nothing of another scope."""
    drops = 1_000 if options.full else 60
    bearer, own = plant.callers["province"]
    stop = threading.Event()

    def load():
        while not stop.is_set():
            plant.publish([(e, s, v) for v in (8.0, 2.0) for e in ENTERPRISES for s in SENSORS[:3]])

    async def follow():
        draws = random.Random(7)
        told, cursor, resumed = [], None, 0
        async for name, number, data in events(plant, bearer):
            if name == "snapshot":
                cursor, start = number, sequence(number)
                break
        while resumed < drops:
            left = draws.randint(1, 4)
            async for name, number, data in events(plant, bearer, cursor):
                if name in ("reset", "snapshot"):
                    raise Failure(f"a {name} after {cursor}")
                if number:
                    cursor = number
                if name == "alarm":
                    told.append(sequence(number))
                    if any(e.encode() in data for e in ENTERPRISES if e not in own):
                        raise Failure(f"another's alarm: {data[:200]}")
                left -= 1
                if left == 0:
                    break
            resumed += 1
        stop.set()
        await asyncio.to_thread(loader.join)
        await asyncio.to_thread(plant.settle)
        head = plant.all.json("GET", "/api/v1/status")["status"]["ledgerHead"]
        async for name, number, data in events(plant, bearer, cursor):
            if name == "alarm":
                told.append(sequence(number))
            if number and sequence(number) >= head:
                break
        return start, head, told

    loader = threading.Thread(target=load)
    loader.start()
    try:
        start, head, told = asyncio.run(follow())
    finally:
        stop.set()
        loader.join()
    expected, cursor = [], start
    while True:
        page = plant.all.json("GET", f"/api/v1/entries?after={cursor}&limit=1000")["entries"]
        if not page:
            break
        cursor = page[-1]["sequence"]
        expected += [e["sequence"] for e in page if e["sequence"] <= head and e["kind"] == "alarm"
                     and e["subject"].split("/")[0] in own]
    if told != expected:
        missing, extra = set(expected) - set(told), [n for n in told if told.count(n) > 1]
        raise Failure(f"gaps {sorted(missing)[:5]}, repeats {extra[:5]}, of {len(expected)}")
    say(f"streams: dropped and resumed {drops} times, {len(told)} alarm steps of two enterprises, no gap, no repeat")


def cpu(pid):
    fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(") ", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def memory(pid):
    for line in pathlib.Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS"):
            return int(line.split()[1]) / 1024
    raise Failure("no VmRSS")


def clients(plant, options):
    """Many streams at once: what they cost in memory and processor, and whether all are told."""
    count, seconds = (2_000, 20) if options.full else (100, 4)
    pid = plant.service.pid
    bearers = [b for b, own in plant.callers.values() if "acmeqx" in own]

    async def run():
        told, ready = [0] * count, asyncio.Semaphore(0)
        marks = {}

        async def one(index):
            async for name, number, data in events(plant, bearers[index % len(bearers)], heartbeat=10):
                if name == "snapshot":
                    ready.release()
                elif name == "alarm" and marks.get("from") and sequence(number) > marks["from"]:
                    told[index] += 1

        before = memory(pid)
        tasks = []
        for index in range(count):
            tasks.append(asyncio.create_task(one(index)))
            if index % 50 == 49:
                await asyncio.sleep(0.05)
        for _ in range(count):
            await asyncio.wait_for(ready.acquire(), 120)
        head = (await asyncio.to_thread(plant.all.json, "GET", "/api/v1/status"))["status"]["ledgerHead"]
        marks["from"] = head
        started, begin, steps = cpu(pid), time.monotonic(), 0
        while time.monotonic() - begin < seconds:
            await asyncio.to_thread(plant.publish, [("acmeqx", "se", 8.0 if steps % 2 == 0 else 2.0)])
            steps += 1
            await asyncio.sleep(max(0, begin + steps - time.monotonic()))
        await asyncio.to_thread(plant.settle)
        share = (cpu(pid) - started) / (time.monotonic() - begin)
        after = memory(pid)
        page = await asyncio.to_thread(plant.all.json, "GET", f"/api/v1/entries?after={head}&limit=1000")
        expected = sum(e["kind"] == "alarm" for e in page["entries"])
        end = time.monotonic() + 60
        while min(told) < expected and time.monotonic() < end:
            await asyncio.sleep(0.1)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        if min(told) != expected or max(told) != expected:
            raise Failure(f"of {expected} alarm steps clients were told {min(told)} to {max(told)}")
        return before, after, share, expected

    before, after, share, expected = asyncio.run(run())
    say(f"clients: {count} streams, {expected} alarm steps each, {before:.0f} to {after:.0f} MiB "
        f"({(after - before) * 1024 / count:.0f} KiB a client), {share * 100:.0f} % of a core")


def answers(plant, options):
    """How long answers take, by kind of request."""
    status = plant.all.json("GET", "/api/v1/status")["status"]
    head = status["ledgerHead"]
    large = options.ledger > 0
    one = "ent-7" if large else "acmeqx"
    if large:
        for name, scope in (("one", ["ent-7"]), ("rare", ["rare"]), ("forty", [f"ent-{n}" for n in range(40)])):
            plant.admin.account(name, name, ["operator"], {"enterprises": scope}, "machine")
    doors = {name: plant.admin.key(name, "answers") for name in (("one", "rare", "forty") if large else ("only-acme",))}
    doors["all"] = plant.all
    onset = 1_700_000_000_000
    span = head * 10_000
    draws = random.Random(3)
    alarm = plant.all.json("GET", "/api/v1/alarms?limit=1")["alarms"][0]["alarm"]
    kinds = {
        "standing": lambda: "/api/v1/alarms/standing",
        "newest alarms": lambda: "/api/v1/alarms?limit=100",
        "alarms from a cursor": lambda: f"/api/v1/alarms?limit=100&before={draws.randint(200, head)}",
        "alarms of an enterprise": lambda: f"/api/v1/alarms?point={one}",
        "alarms of a point": lambda: f"/api/v1/alarms?point={one}/site-1/area-3/GD-{draws.randint(0, 9972)}",
        "alarms of a rare rule": lambda: "/api/v1/alarms?rule=stuck",
        "alarms of no rule": lambda: "/api/v1/alarms?rule=none",
        "red, unacknowledged": lambda: "/api/v1/alarms?priority=4&state=unacknowledged",
        "alarms of a day": lambda: (lambda t: f"/api/v1/alarms?from={t}&to={t + 86_400_000}")(onset + draws.randint(0, span)),
        "one alarm": lambda: "/api/v1/alarms/" + urllib.parse.quote(alarm, safe=""),
        "entries from a cursor": lambda: f"/api/v1/entries?limit=100&after={draws.randint(0, head)}",
        "newest entries": lambda: f"/api/v1/entries?limit=100&after={max(0, head - 100)}",
        "newest hazards": lambda: "/api/v1/hazards?limit=100",
        "open hazards": lambda: "/api/v1/hazards?limit=100&open=true",
        "hazards of an enterprise": lambda: f"/api/v1/hazards?limit=100&place={one}",
        "hazards of a device": lambda: f"/api/v1/hazards?limit=100&place={one}/site-1/area-3/GD-{draws.randint(0, 9972)}",
        "hazards of no place": lambda: f"/api/v1/hazards?limit=100&place={one}/site-9",
    }
    rounds = 200 if options.full else 20
    rows, slow = [], []
    for name, door in doors.items():
        connection = http.client.HTTPConnection("127.0.0.1", plant.http, timeout=120)
        for kind, make in kinds.items():
            times = []
            for _ in range(rounds):
                begin = time.monotonic()
                connection.request("GET", make(), headers={"Authorization": f"Bearer {door.bearer}"})
                answer = connection.getresponse()
                body = answer.read()
                times.append((time.monotonic() - begin) * 1000)
                if answer.status != 200 and not (kind == "one alarm" and answer.status == 404):
                    raise Failure(f"{name}, {kind}: {answer.status} {body[:200]}")
            times.sort()
            rows.append((name, kind, times[len(times) // 2], times[len(times) * 99 // 100], times[-1]))
            if times[len(times) * 99 // 100] > options.slow:
                slow.append(rows[-1])
        connection.close()
    say(f"answers with {head} ledger entries, {rounds} each, ms: p50, p99, worst")
    for name, kind, middle, late, worst in rows:
        print(f"  {name:<10} {kind:<26} {middle:8.1f} {late:8.1f} {worst:8.1f}")
    if slow:
        raise Failure(f"slower than {options.slow} ms at p99: {slow}")


def tls(plant, options):
    """With a certificate: HTTPS, a cookie that never leaves it, and no plain HTTP for other machines by mistake."""
    folder = plant.folder / "tls"
    folder.mkdir()
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=localhost",
         "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1", "-keyout", folder / "key.pem", "-out", folder / "cert.pem"],
        check=True, capture_output=True)
    port = free_port()
    text = (plant.folder / "service.yaml").read_text().replace("data: data", "data: tls/data")
    plain = text.replace("host: 127.0.0.1, port: " + str(plant.http), f"host: 0.0.0.0, port: {port}")
    (plant.folder / "plain.yaml").write_text(plain)
    refused = subprocess.run([os.environ["DAVY_BIN"], "check", plant.folder / "plain.yaml"], capture_output=True, text=True)
    if refused.returncode == 0 or "tls" not in refused.stderr:
        raise Failure(f"an address that others reach is taken without a certificate: {refused.stderr}")
    secure = text.replace(f"port: {plant.http}", f"port: {port}, tls: {{certificate: tls/cert.pem, key: tls/key.pem}}")
    (plant.folder / "tls.yaml").write_text(secure.replace("station: api-trials", "station: tls"))
    with open(plant.folder / "tls.log", "ab") as log:
        service = subprocess.Popen([os.environ["DAVY_BIN"], "serve", plant.folder / "tls.yaml"], stdout=log, stderr=log)
    try:
        plant.wait(port, service)
        context = ssl.create_default_context(cafile=folder / "cert.pem")
        url = f"https://127.0.0.1:{port}"
        door = signin.administrator(url, folder / "data", 60, context)
        if not door.cookie.startswith("__Host-davy-session="):
            raise Failure(f"the cookie is {door.cookie.split('=')[0]}")
        status, _, headers = door.send("GET", "/api/v1/session")
        if status != 200 or "max-age" not in (headers["strict-transport-security"] or ""):
            raise Failure(f"over TLS: {status} {headers}")
        # That an old version is spoken of is the point here.
        warnings.simplefilter("ignore", DeprecationWarning)
        old = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        old.check_hostname, old.verify_mode = False, ssl.CERT_NONE
        old.set_ciphers("ALL:@SECLEVEL=0")
        old.maximum_version = ssl.TLSVersion.TLSv1_1
        try:
            with socket.create_connection(("127.0.0.1", port), 5) as raw, old.wrap_socket(raw):
                raise Failure("TLS 1.1 is taken")
        except (ssl.SSLError, ConnectionError):
            pass
    finally:
        service.terminate()
        service.wait(20)
    say("TLS: HTTPS with a cookie of its own, HSTS, nothing older than 1.2; 0.0.0.0 without a certificate is refused")


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--full", action="store_true")
    parser.add_argument("--ledger", type=int, default=0)
    parser.add_argument("--made", type=pathlib.Path, help="file that keeps the made ledger, or has it from before")
    parser.add_argument("--only", default="schema,scopes,streams,clients,answers,tls")
    parser.add_argument("--slow", type=float, default=1000, help="ms at p99 that an answer may take")
    options = parser.parse_args()
    parts = {"schema": schema, "scopes": scopes, "streams": streams, "clients": clients, "answers": answers, "tls": tls}
    # Streams before schemathesis, whose acts shelve alarms and take them out of service.
    order = [name for name in ("streams", "clients", "scopes", "answers", "tls", "schema") if name in options.only.split(",")]
    with tempfile.TemporaryDirectory(prefix="davy-api-") as name:
        folder = pathlib.Path(name)
        plant = Plant(folder)
        try:
            plant.start()
            if options.ledger:
                plant.stop()
                # The link of the first start has been used; the next start leaves another.
                (folder / "data/sign-in.link").unlink()
                for part in ("journal", "snapshots"):
                    shutil.rmtree(folder / "data" / part, ignore_errors=True)
                begin = time.monotonic()
                if options.made and options.made.exists():
                    shutil.copyfile(options.made, folder / "data/ledger.sqlite")
                else:
                    fill(folder / "data/ledger.sqlite", options.ledger)
                    if options.made:
                        shutil.copyfile(folder / "data/ledger.sqlite", options.made)
                # Years ago told of: else ten million announcements would be made up for beside what is measured.
                with sqlite3.connect(folder / "data/ledger.sqlite") as db:
                    head = db.execute("SELECT head_seq FROM station").fetchone()[0]
                (folder / "data/announced.cursor").write_text(str(head))
                # Or the station's first commits would wait for the gigabytes that the system has not written yet.
                os.sync()
                say(f"a ledger of {options.ledger} entries made in {time.monotonic() - begin:.0f} s, "
                    f"{(folder / 'data/ledger.sqlite').stat().st_size / 1e9:.2f} GB")
                plant.start()
            plant.flap(8)
            plant.furnish()
            for part in order:
                parts[part](plant, options)
        except (Failure, AssertionError) as failure:
            print((folder / "davy.log").read_text()[-3000:] if (folder / "davy.log").exists() else "", file=sys.stderr)
            sys.exit(f"api-trials: {failure}")
        finally:
            plant.stop()
    say("the service keeps to its API")


if __name__ == "__main__":
    main()

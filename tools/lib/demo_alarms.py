"""Shows alarm messages beside the metered releases of the recording; for tools/demo.

    watch PORT RELEASES ALARMS   subscribe to the broker on loopback, keep the messages in ALARMS, print a line each
    wait URL ALARMS KEY     until everything published is in the ledger and was announced
    summary URL RELEASES KEY   what the ledger holds, against the releases
"""

import csv
import json
import signal
import subprocess
import sys
import time
import urllib.parse
import urllib.request
from datetime import datetime, timezone

KEY = ""  # a machine's key that reads everything
GRACE = 30 * 60_000  # a release counts as found, and an alarm as explained, this long after it ended


def moment(text):
    return int(datetime.fromisoformat(text.replace("Z", "+00:00")).timestamp() * 1000)


def clock(milliseconds):
    return datetime.fromtimestamp(milliseconds / 1000, timezone.utc).strftime("%m-%d %H:%M")


def releases(path):
    with open(path, newline="") as file:
        return [
            {**row, "start": moment(row["start"]), "end": moment(row["end"])}
            for row in csv.DictReader(file)
        ]


def get(url):
    request = urllib.request.Request(url, headers={"authorization": f"Bearer {KEY}"})
    with urllib.request.urlopen(request, timeout=10) as answer:
        return json.load(answer)


def alarms(lines):
    seen = set()
    for line in lines:
        line = line.strip()
        if not line:
            continue
        message = json.loads(line)
        # At least once: a repeat has the sequence of the first.
        if message.get("recorded") and message["sequence"] in seen:
            continue
        seen.add(message.get("sequence"))
        yield message


def watch(port, path, kept):
    known = releases(path)
    listener = subprocess.Popen(
        ["mosquitto_sub", "-h", "127.0.0.1", "-p", port, "-q", "1", "-t", "davy/v1/alarms/#"],
        stdout=subprocess.PIPE, text=True,
    )

    def end(number, frame):
        listener.terminate()
        sys.exit(0)

    signal.signal(signal.SIGTERM, end)

    def copied():
        with open(kept, "w", buffering=1) as file:
            for line in listener.stdout:
                file.write(line)
                yield line

    for message in alarms(copied()):
        # An unrecorded step comes again, recorded, once its commit has returned.
        if message["event"] not in ("raised", "returned") or not message["recorded"]:
            continue
        at = message["time"]
        under_way = [r for r in known if r["start"] <= at < r["end"]]
        beside = (
            f"release {under_way[0]['id']} at {under_way[0]['equipment']}, "
            f"{float(under_way[0]['rate_g_per_h']):.0f} g/h, for {(at - under_way[0]['start']) // 60_000} min"
            if under_way
            else "no release listed"
        )
        sign = "▲" if message["event"] == "raised" else "▽"
        level = message["rule"].rsplit(".", 1)[-1]
        sensor = message["point"].split("/")[-2]
        print(
            f"  {clock(at)}  {sign} {level:<2} {sensor:<7} {message.get('value', float('nan')):8.2f} "
            f"{message.get('unit', '')}  | {beside}",
            flush=True,
        )


def wait(url, path):
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        status = get(f"{url}/api/v1/status")["status"]
        newest = max((m["sequence"] for m in alarms(open(path)) if m.get("recorded")), default=0)
        recorded = status["ledgerPosition"] >= status["journalSequence"]
        if recorded and newest and announced(url, newest):
            return
        time.sleep(0.2)
    sys.exit("the service did not come to the end of the recording within a minute")


def announced(url, newest):
    page = get(f"{url}/api/v1/entries?after={newest}&limit=500")
    return not any(entry["kind"] == "alarm" for entry in page["entries"])


def recorded(url):
    """Every alarm step of the ledger."""
    cursor = 0
    while True:
        page = get(f"{url}/api/v1/entries?after={cursor}&limit=1000")["entries"]
        if not page:
            return
        cursor = page[-1]["sequence"]
        for entry in page:
            if entry["kind"] == "alarm":
                yield {**entry["body"], "time": entry["time"]}


def summary(url, path):
    status = get(f"{url}/api/v1/status")["status"]
    known = releases(path)
    raised = sorted(
        m["time"] for m in recorded(url) if m["event"] == "raised" and m["rule"].endswith("H")
    )
    found = [r for r in known if any(r["start"] <= at < r["end"] for at in raised)]
    outside = [at for at in raised if not any(r["start"] <= at < r["end"] + GRACE for r in known)]
    print(f"  messages in     {status['messages']}")
    print(f"  readings in     {status['readings']}")
    print(f"  refused         {status['rejects']}")
    print(f"  alarms raised   {len(raised)} (H and HH), of which {len(outside)} away from any listed release")
    print(f"  releases found  {len(found)} of {len(known)}")
    print(f"  ledger entries  {status['ledgerHead']}")
    tour(url, path)


def tour(url, path):
    """Where to look in the console: the strongest alarm of each release, with its curve and the readings behind it."""
    print("  in the console:")
    strongest = {}
    for step in recorded(url):
        if step["event"] != "raised":
            continue
        release = next((r["id"] for r in releases(path) if r["start"] <= step["time"] < r["end"]), None)
        if release and step.get("value", 0) > strongest.get(release, {}).get("value", 0):
            strongest[release] = step
    for release in releases(path):
        step = strongest.get(release["id"])
        if step:
            print(
                f"  release {release['id']:<4} {clock(release['start'])} {release['equipment']:<6} {float(release['rate_g_per_h']):6.0f} g/h  "
                f"{url}/alarm?id={urllib.parse.quote(step['alarm'], safe='')}"
            )
    for page, what in (("wall", "alarms that stand"), ("map", "where"), ("tree", "points and their health"),
                       ("ledger", "alarms and entries"), ("replay", "the week under other rules")):
        print(f"  {url}/{page:<7} {what}")


if __name__ == "__main__":
    act, *rest = sys.argv[1:]
    if act in ("wait", "summary"):
        with open(rest.pop()) as file:
            KEY = file.read()
    {"watch": watch, "wait": wait, "summary": summary}[act](*rest)

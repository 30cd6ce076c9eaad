#!/usr/bin/env python3
"""What a measurement has to say of itself: machine, load and commit.

    tools/lib/measured.py                 one line for a table's head
    tools/lib/measured.py --json < FILE   the JSON object in FILE with a member "machine" before the others
"""
import json
import os
import platform
import subprocess
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))


def machine():
    """Processor, cores, system, load and the commit that was measured."""
    model = platform.machine()
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as info:
            model = next((line.split(":", 1)[1].strip() for line in info if line.startswith("model name")), model)
    except OSError:
        pass
    described = subprocess.run(
        ["git", "-C", ROOT, "describe", "--always", "--dirty", "--exclude=*"], capture_output=True, text=True, check=False)
    return {"cpu": model, "cores": os.cpu_count(), "system": platform.platform(), "load": round(os.getloadavg()[0], 2),
            "commit": described.stdout.strip() or "unknown"}


def headline(about):
    """The same as a line of text."""
    return f"{about['cpu']}, {about['cores']} cores, load {about['load']:.1f}, commit {about['commit']}"


if __name__ == "__main__":
    if "--json" in sys.argv[1:]:
        print(json.dumps({"machine": machine(), **json.load(sys.stdin)}, indent=2))
    else:
        print(headline(machine()))

"""Signs tools in to a running station: the first administrator by the one-time link of its data folder, then others.

    python3 tools/lib/signin.py URL DATA_FOLDER ACCOUNT NAME ROLE[,ROLE] KEY_FILE

makes an account that sees everything and prints its one-time sign-in link; KEY_FILE gets the key of a machine's account
that reads everything (role auditor).
"""

import json
import pathlib
import sys
import time
import urllib.error
import urllib.parse
import urllib.request


class Door:
    """Requests to one station, with the cookie of a session or a bearer's token."""

    def __init__(self, url, cookie=None, bearer=None, context=None):
        self.url, self.cookie, self.bearer, self.context = url, cookie, bearer, context

    def send(self, method, path, body=None, headers=None):
        """Answers (status, body, headers); an error status is an answer too."""
        sent = {"origin": self.url, **(headers or {})}
        if self.cookie:
            sent["cookie"] = self.cookie
        if self.bearer:
            sent["authorization"] = f"Bearer {self.bearer}"
        data = None
        if body is not None:
            sent["content-type"] = "application/json"
            data = json.dumps(body).encode()
        request = urllib.request.Request(self.url + path, data, sent, method=method)
        try:
            with urllib.request.urlopen(request, timeout=20, context=self.context) as answer:
                return answer.status, answer.read(), answer.headers
        except urllib.error.HTTPError as error:
            return error.code, error.read(), error.headers

    def json(self, method, path, body=None, headers=None):
        """The answer's JSON; any error ends the tool with the station's own words."""
        status, text, _ = self.send(method, path, body, headers)
        if status >= 400:
            raise SystemExit(f"{method} {path}: {status} {text.decode(errors='replace')}")
        return json.loads(text) if text else None

    def open(self, link):
        """Opens a session with a one-time link's secret; answers who it is."""
        status, text, headers = self.send("POST", "/api/v1/session", {"link": link})
        if status != 200:
            raise SystemExit(f"the sign-in link does not open: {status} {text.decode(errors='replace')}")
        self.cookie = headers["set-cookie"].split(";")[0]
        return json.loads(text)

    def token(self):
        """A door with a token of this session."""
        return Door(self.url, bearer=self.json("POST", "/api/v1/tokens", {})["token"], context=self.context)

    def account(self, name, display, roles, scope, kind="person"):
        """Makes an account."""
        return self.json("POST", "/api/v1/accounts", {
            "id": name, "displayName": display, "roles": roles, "scope": scope, "kind": kind})

    def link(self, name):
        """The secret of a new one-time link for an account."""
        return self.json("POST", f"/api/v1/accounts/{name}/link", {})["path"].split("link=")[1]

    def key(self, name, purpose):
        """A door with a new key of a machine's account."""
        made = self.json("POST", f"/api/v1/accounts/{name}/keys", {"purpose": purpose})
        return Door(self.url, bearer=made["text"], context=self.context)

    def session(self, name):
        """A door with a session of an account, by a new link."""
        door = Door(self.url, context=self.context)
        door.open(self.link(name))
        return door


def administrator(url, folder, seconds=30, context=None):
    """The first administrator's door, by the link that a first start leaves in the data folder."""
    file = pathlib.Path(folder) / "sign-in.link"
    end = time.monotonic() + seconds
    while not file.exists():
        if time.monotonic() > end:
            raise SystemExit(f"no one-time link in {file} within {seconds} s")
        time.sleep(0.05)
    door = Door(url, context=context)
    door.open(file.read_text().strip().split("link=")[1])
    return door


if __name__ == "__main__":
    url, folder, name, display, roles, key_file = sys.argv[1:]
    door = administrator(url, folder)
    door.account("tools", "Tools", ["auditor"], {"everywhere": True}, kind="machine")
    pathlib.Path(key_file).write_text(door.key("tools", "summaries").bearer)
    door.account(name, display, roles.split(","), {"everywhere": True})
    print(f"{url}/sign-in#link={door.link(name)}")

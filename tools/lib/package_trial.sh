#!/bin/sh
# Installs a package, starts the service by its unit's command line, asks it how it does, removes and purges it: in a copy of
# this machine's file system that lives in memory and goes with this process. Usage, as root:
#   unshare --mount --pid --fork tools/lib/package_trial.sh PACKAGE PORT
# Prints "ok" and what was seen, line by line; ends with 1 at the first thing that is not as it should be.
set -eu
package=$1
port=$2
copy=$(mktemp -d)
mount --make-rprivate /
mount -t tmpfs none "$copy"
mkdir "$copy/upper" "$copy/work" "$copy/root"
mount -t overlay overlay -o "lowerdir=/,upperdir=$copy/upper,workdir=$copy/work" "$copy/root"
mount -t proc proc "$copy/root/proc"
mount --rbind /dev "$copy/root/dev"
mount -t tmpfs none "$copy/root/tmp"
cp "$package" "$copy/root/tmp/davy.deb"
cat >"$copy/root/tmp/trial.sh" <<'TRIAL'
set -eu
export LANG=C.UTF-8
unset LD_LIBRARY_PATH
fail() { echo "FAIL $*"; exit 1; }
ok() { echo "ok $*"; }
dpkg -i /tmp/davy.deb >/tmp/install.log 2>&1 || { cat /tmp/install.log; fail "dpkg -i"; }
ok "installs: $(dpkg-query -W -f='${Package} ${Version} ${db:Status-Status}' davy)"
id davy >/dev/null 2>&1 || fail "no user davy"
ok "has its user: $(id davy)"
ldd /usr/lib/davy/davy | grep -q 'not found' && fail "$(ldd /usr/lib/davy/davy | grep 'not found')"
ldd /usr/lib/davy/davy | sed -n 's/.* => \(\/[^ ]*\) .*/\1/p' | grep -v -e '^/lib/' -e '^/usr/lib/' && fail "needs what no package brings"
ok "needs nothing but its own and Debian's libraries"
davy --version | grep -q "$(dpkg-query -W -f='${Version}' davy)" || fail "davy --version"
if command -v systemd-analyze >/dev/null; then
  systemd-analyze verify /lib/systemd/system/davy.service >/tmp/verify.log 2>&1 || { cat /tmp/verify.log; fail "systemd-analyze verify"; }
  grep -v "man davy" /tmp/verify.log | grep -i davy.service && fail "systemd-analyze verify complains"
  ok "systemd-analyze verify finds nothing in the unit"
fi
gzip -t /usr/share/man/man1/davy.1.gz || fail "manual page"
# The state folder is the service manager's to make, under the unit's names.
install -d -o davy -g davy -m 750 /var/lib/davy
sed -i "s/^  port: 8080/  port: $1/" /etc/davy/service.yaml
unit() { sed -n "s/^$1=//p" /lib/systemd/system/davy.service; }
as_davy() { setpriv --reuid davy --regid davy --clear-groups --no-new-privs env -i HOME=/var/lib/davy PATH=/usr/bin:/bin "$@"; }
as_davy $(unit ExecStartPre | sed "s/^-//") >/tmp/check.log 2>&1 || { cat /tmp/check.log; fail "$(unit ExecStartPre)"; }
ok "$(unit ExecStartPre)"
umask 027
# In its own process, not in a shell's that would take the signal.
(exec setpriv --reuid davy --regid davy --clear-groups --no-new-privs \
  env -i HOME=/var/lib/davy PATH=/usr/bin:/bin $(unit ExecStart)) >/tmp/serve.log 2>&1 &
service=$!
started=
for _ in $(seq 300); do
  kill -0 $service 2>/dev/null || { cat /tmp/serve.log; fail "the service ended"; }
  grep -q "console and API are up" /tmp/serve.log && { started=yes; break; }
  sleep 0.1
done
[ -n "$started" ] || { cat /tmp/serve.log; fail "the service does not come up"; }
python3 - "$1" <<'PYTHON' || fail "the API does not answer"
import sys, urllib.request
port = sys.argv[1]
assert urllib.request.urlopen(f"http://127.0.0.1:{port}/healthz", timeout=10).read() == b"ok\n"
page = urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=10).read().decode()
assert "<html" in page, page[:200]
PYTHON
ok "$(unit ExecStart): answers /healthz and shows its page"
# Without a broker the doctor has something to say; the rest must be well.
as_davy /usr/bin/davy doctor --json --commits 2 /etc/davy/service.yaml >/tmp/doctor.json 2>/tmp/doctor.log || true
python3 - <<'PYTHON' || { cat /tmp/doctor.json; fail "davy doctor"; }
import json
found = {}
for line in open("/tmp/doctor.json"):
    item = json.loads(line)
    found.setdefault(item["subject"], item["grade"])
assert found.get("service") == "well", found
assert found.get("configuration", "well") == "well", found
PYTHON
ok "davy doctor finds the service well"
as_davy $(unit ExecReload) >/tmp/reload.log 2>&1 || { cat /tmp/reload.log; fail "$(unit ExecReload)"; }
ok "$(unit ExecReload)"
kill -TERM $service
code=0; wait $service || code=$?
[ $code -eq 0 ] || { cat /tmp/serve.log; fail "a stop ends with $code"; }
ok "a stop ends with 0"
dpkg -r davy >/tmp/remove.log 2>&1 || { cat /tmp/remove.log; fail "dpkg -r"; }
for left in /usr/bin/davy /usr/lib/davy /usr/share/davy /lib/systemd/system/davy.service; do
  [ ! -e $left ] || fail "$left is left after the removal"
done
[ -f /etc/davy/service.yaml ] || fail "the removal takes the configuration"
ok "removes: the program is gone, the configuration stays"
dpkg -P davy >/tmp/purge.log 2>&1 || { cat /tmp/purge.log; fail "dpkg -P"; }
[ ! -e /etc/davy/service.yaml ] || fail "the purge leaves the configuration"
[ -f /var/lib/davy/ledger.sqlite ] || fail "the purge takes the ledger"
ok "purges: the configuration is gone, the ledger stays"
TRIAL
exec chroot "$copy/root" sh /tmp/trial.sh "$port"

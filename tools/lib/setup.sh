# Sourced by the tools: what they share. Says what it does, does it once.

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)

say() { printf '%s\n' "== $*"; }

fail() {
  printf 'error: %s\n' "$*" >&2
  exit 1
}

# Installs the Debian packages that are missing.
need_packages() {
  local missing=() package
  for package in "$@"; do
    dpkg-query -W -f='${Status}' "$package" 2>/dev/null | grep -q '^install ok installed$' ||
      missing+=("$package")
  done
  [ ${#missing[@]} -eq 0 ] && return
  say "installing ${missing[*]}"
  local sudo=""
  if [ "$(id -u)" -ne 0 ]; then
    command -v sudo >/dev/null ||
      fail "these packages are missing: ${missing[*]}; install them as root: apt-get install ${missing[*]}"
    sudo=sudo
  fi
  # A mosquitto that Debian would start on its own is of no use here: the tools start their own, on a free port.
  $sudo apt-get update -qq
  $sudo env DEBIAN_FRONTEND=noninteractive RUNLEVEL=1 \
    apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
}

need_swift() {
  command -v swift >/dev/null ||
    fail "no Swift toolchain on the PATH: install Swift 6.2 or newer, see https://www.swift.org/install/linux/"
}

build_packages=(libmosquitto-dev libssl-dev libzstd-dev libsqlite3-dev pkg-config)
run_packages=(mosquitto mosquitto-clients python3)

# A TCP port on loopback that nobody uses at this moment.
free_port() {
  python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'
}

# Waits until something listens on a loopback port, at most $2 seconds, while process $3 lives.
wait_for_port() {
  local deadline=$((SECONDS + $2))
  until (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null; do
    [ $SECONDS -lt $deadline ] || return 1
    kill -0 "$3" 2>/dev/null || return 1
    sleep 0.1
  done
}

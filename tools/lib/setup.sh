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
    fail "no Swift toolchain on the PATH: install Swift 6.3 or newer, see https://www.swift.org/install/linux/"
}

build_packages=(libmosquitto-dev libpq-dev libssl-dev libzstd-dev libsqlite3-dev pkg-config)
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

postgres_packages=(postgresql)

# Starts a PostgreSQL server on a free loopback port with a data folder of its own; sets and exports
# DAVY_TEST_POSTGRES. PostgreSQL does not run as root: then it runs as the user that its package has made.
start_postgres() {
  local programs port as=()
  programs=$(ls -d /usr/lib/postgresql/*/bin 2>/dev/null | sort -V | tail -1)
  [ -x "$programs/initdb" ] || fail "no PostgreSQL server under /usr/lib/postgresql; install postgresql"
  postgres_folder=$(mktemp -d "${TMPDIR:-/tmp}/davy-postgres-XXXXXX")
  if [ "$(id -u)" -eq 0 ]; then
    chown postgres "$postgres_folder"
    as=(setpriv --reuid=postgres --regid=postgres --clear-groups --)
  fi
  # No locale: texts compare by bytes; scram, so that the password's way is tried as well.
  printf '%s\n' davy-test >"$postgres_folder/password"
  chmod 644 "$postgres_folder/password"
  (cd "$postgres_folder" && "${as[@]}" "$programs/initdb" -D data -U davy --auth=scram-sha-256 \
    --pwfile=password --encoding=UTF8 --no-locale >initdb.log 2>&1) ||
    fail "initdb failed: $(tail -3 "$postgres_folder/initdb.log")"
  port=$(free_port)
  # exec, so that $! is the server itself.
  (cd "$postgres_folder" && exec "${as[@]}" "$programs/postgres" -D data -p "$port" \
    -c listen_addresses=127.0.0.1 -c unix_socket_directories= -c max_connections=200 \
    >server.log 2>&1) &
  postgres_pid=$!
  wait_for_port "$port" 30 "$postgres_pid" ||
    fail "PostgreSQL does not answer: $(tail -3 "$postgres_folder/server.log")"
  export DAVY_TEST_POSTGRES="host=127.0.0.1 port=$port user=davy password=davy-test dbname=postgres"
}

# Ends the server, fast: open sessions are cut off.
stop_postgres() {
  [ -n "${postgres_pid:-}" ] || return 0
  kill -INT "$postgres_pid" 2>/dev/null || true
  wait "$postgres_pid" 2>/dev/null || true
  rm -rf "$postgres_folder"
  postgres_pid=
}

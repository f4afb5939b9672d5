#!/usr/bin/env bash
# quickstart.sh [--once] [--state DIR]: from a fresh Debian 12 and this tree to a running Exeat.
#   Installs what is missing (sudo only when not root), builds the release programs, makes a state folder with a configuration, a
#   development CA and a starting baseline, runs the agent and the proxy, sends three real clients through them, and says what
#   was recorded. Then the proxy runs until Ctrl-C.
#   --once       stop after the demonstration
#   --state DIR  the state folder: new, or one that an earlier quickstart made (default: a new one in /tmp)
#   --built      install and build nothing, and stay who you are: build/release is there
# Needs no internet once the packages are there: it starts its own two small servers.
# Exit codes: 0 all went as it should   1 something failed, and what   2 wrong usage
set -euo pipefail
tree=$(cd "$(dirname "$0")/.." && pwd)
once='' state='' built=''
arguments=("$@")
while [ $# -gt 0 ]; do
    case $1 in
    --once) once=yes ;;
    --built) built=yes ;;
    --state) [ -n "${2:-}" ] || { echo "quickstart.sh: --state wants a folder" >&2; exit 2; }; state=$2; shift ;;
    -h | --help) sed -n '2,10s/^# \{0,1\}//p' "$0"; exit 0 ;;
    *) echo "quickstart.sh: $1 is not understood; --help says what is" >&2; exit 2 ;;
    esac
    shift
done

run_pid='' origins_pid=''
say() { printf '\n== %s\n' "$1"; }
fail() { printf '\nquickstart.sh: %s\n' "$1" >&2; exit 1; }

stop() {
    status=$?
    trap - EXIT
    trap '' INT TERM HUP
    if [ -n "$run_pid" ]; then
        kill -TERM "$run_pid" 2>/dev/null || true
        wait "$run_pid" || { echo "quickstart.sh: the proxy did not end well; see ${log:-its log}" >&2; [ $status -ne 0 ] || status=1; }
    fi
    [ -z "$origins_pid" ] || { kill "$origins_pid" 2>/dev/null || true; wait "$origins_pid" 2>/dev/null || true; }
    exit $status
}
trap stop EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP

cd "$tree"
if [ -z "$built" ]; then
    say "what is missing is installed"
    packaging/install-deps.sh build || fail "the packages could not be installed"

    say "building (a minute or two at first)"
    mkdir -p build 2>/dev/null && [ -w build ] || fail "$tree/build cannot be written: whose is it?"
    { cmake --preset release && cmake --build --preset release; } >build/release.log 2>&1 ||
        { tail -30 build/release.log; fail "the build failed; $tree/build/release.log has all of it"; }
    # Only root may look into every process, and a sender that could be another is unknown.
    if [ "$(id -u)" != 0 ] && sudo -n true 2>/dev/null; then
        echo "going on with sudo: the agent has to see which process holds a connection"
        trap - EXIT
        exec sudo -n "$tree/packaging/quickstart.sh" --built "${arguments[@]}"
    fi
fi
export PATH=$tree/build/release:$PATH

say "a state folder"
if [ -z "$state" ]; then
    # not below a home folder: as root, exeatd gives up its rights and has to reach it as another user
    parent=$(mktemp -d /tmp/exeat-demo.XXXXXX) || fail "no folder in /tmp"
    chmod 711 "$parent"
    state=$parent/state
elif [ -e "$state/.quickstart" ]; then
    rm -rf "$state/exeat.yaml" "$state/baseline.yaml" "$state/actions.yaml" "$state/rules"
elif [ -e "$state" ] && [ -n "$(ls -A "$state" 2>/dev/null)" ]; then
    fail "$state is not empty, and no earlier quickstart made it: name another folder"
fi

port_is_free() {
    /usr/bin/python3 -c 'import socket, sys
s = socket.socket(); s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1); s.bind(("127.0.0.1", int(sys.argv[1])))
print(s.getsockname()[1])' "$1" 2>/dev/null
}
port=$(port_is_free 3128 || port_is_free 0)
[ "$port" = 3128 ] || echo "port 3128 is taken; using $port"
exeat init --state "$state" --listen "127.0.0.1:$port"
state=$(cd "$state" && pwd)
touch "$state/.quickstart"
log=$state/run.log

say "two servers for the clients to talk to"
mkdir -p "$state/servers"
certificate() { # NAME [OPTION...]: a certificate for localhost
    openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 30 -subj /CN=localhost \
        -addext subjectAltName=DNS:localhost,IP:127.0.0.1 -keyout "$state/servers/$1.key" -out "$state/servers/$1.pem" "${@:2}" \
        2>"$state/servers/openssl.log" || { cat "$state/servers/openssl.log"; fail "openssl made no certificate"; }
}
certificate trusted -CA "$state/ca/development-ca.pem" -CAkey "$state/ca/development-ca.key"
certificate self-signed
# the servers live as long as this script: their stdin is a pipe that only it holds
coproc ORIGINS { exec /usr/bin/python3 "$tree/packaging/quickstart_origins.py" "$state/servers/trusted.pem" \
    "$state/servers/trusted.key" "$state/servers/self-signed.pem" "$state/servers/self-signed.key"; }
origins_pid=$!
read -r -t 20 trusted_port self_signed_port <&"${ORIGINS[0]}" || fail "the servers did not start"
echo "https://localhost:$trusted_port, its certificate signed by the development CA"
echo "https://localhost:$self_signed_port, its certificate signed by itself"

# What the demonstration needs beside what exeat init wrote: loopback is refused by default, and so are unusual ports.
# And this machine may be busy: a late answer of the agent would make an unknown sender of a known one.
sed -i -e 's|^  allow_networks: \[\]$|  allow_networks: [127.0.0.0/8, "::1/128"]|' -e 's|^agent:$|agent:\n  timeout: 5s|' "$state/exeat.yaml"
cat >>"$state/exeat.yaml" <<YAML

connect:
  ports: [443, 8443, 80, $trusted_port, $self_signed_port]

timeouts:
  drain: 2s
YAML
cat >>"$state/baseline.yaml" <<YAML

  - name: certificates looked at by hand
    match: {executable: /usr/bin/openssl}
    allow:
      - {host: localhost, ports: [$self_signed_port]}
YAML
exeat config check "$state/exeat.yaml" || fail "the configuration does not hold"

say "exeat run --state $state"
records=$state/data/audit.jsonl
recorded_before=$(stat -c %s "$records" 2>/dev/null || echo 0)
# in a session of its own: Ctrl-C is for this script, which then stops the proxy in its own time
: >"$log"
setsid exeat run --state "$state" >"$log" 2>&1 </dev/null &
run_pid=$!
for ((i = 0; ; i++)); do
    if grep -q '^exeat is ready' "$log"; then
        answer=0
        exeat status --state "$state" >/dev/null 2>&1 || answer=$?
        case $answer in 0 | 3) break ;; esac # 3: it runs, and there is something to tell
    fi
    if ! kill -0 "$run_pid" 2>/dev/null || [ $i -ge 200 ]; then
        cat "$log"
        fail "agent and proxy did not become ready"
    fi
    sleep 0.1
done
grep '^exeat is ready' "$log"
proxy=http://127.0.0.1:$port
unset http_proxy https_proxy no_proxy all_proxy HTTP_PROXY HTTPS_PROXY NO_PROXY ALL_PROXY

not_as_expected() { # SENTENCE: with what was recorded, which says why
    /usr/bin/python3 "$tree/packaging/quickstart_records.py" "$records" "$recorded_before" 1 || true
    tail -5 "$log"
    [ "$(id -u)" = 0 ] || echo "The agent runs as $(id -un) and cannot look into all processes: as root it can."
    fail "$1; the proxy's log is $log"
}

say "1. curl, which the baseline allows to reach localhost"
/usr/bin/curl -sS --noproxy '' -x "$proxy" --cacert "$state/ca/development-ca.pem" --max-time 20 "https://localhost:$trusted_port/" ||
    not_as_expected "curl was to get through"

say "2. python3, which the baseline does not know"
/usr/bin/python3 - "$proxy" "https://localhost:$trusted_port/" <<'PY' || not_as_expected "python3 was to be refused"
import sys, urllib.request
opener = urllib.request.build_opener(urllib.request.ProxyHandler({"https": sys.argv[1]}))
try:
    opener.open(sys.argv[2], timeout=20)
except OSError as error:
    print(f"python3: {error}")
    sys.exit(0 if "403" in str(error) else 1)
sys.exit(1)
PY

say "3. openssl s_client, through a tunnel to the server whose certificate is signed by itself"
/usr/bin/openssl s_client -proxy "127.0.0.1:$port" -connect "localhost:$self_signed_port" -servername localhost </dev/null \
    >"$state/s_client.log" 2>&1 || { cat "$state/s_client.log"; not_as_expected "openssl was to get its tunnel"; }
grep -m 1 -i 'verify return code: 18\|self-signed certificate' "$state/s_client.log" ||
    fail "openssl did not see a certificate signed by itself; what it saw is in $state/s_client.log"
echo "The client sees that. This policy does not look into the server's side of a tunnel; with handling: peek it would be recorded, too."

say "what Exeat recorded of the three"
/usr/bin/python3 "$tree/packaging/quickstart_records.py" "$records" "$recorded_before" 3 || fail "the records are not what they should be"

say "would the five analytics fire here?"
if ! exeat findings selftest --state "$state"; then
    # without root, or on a kernel without BPF, the agent cannot see all that they are about
    { exeat status --json --state "$state" || true; } | grep -q '"not_observable":\[[^]]*"\(exec_archiver\|sensitive_access\)"' ||
        fail "an analytic would not fire: see above what is missing"
    echo "The agent cannot see here what those are about; as root, and with BPF, it can."
fi

say "where things are"
cat <<TEXT
records        $records   (two JSON lines an exchange: decision, close)
configuration  $state/exeat.yaml
rules          $state/rules: the five analytics
baseline       $state/baseline.yaml   after a change: kill -HUP $run_pid
log            $log
status         $tree/build/release/exeat status --state $state
TEXT
if [ -n "$once" ]; then
    echo "stopping, as --once says; the folder stays"
    exit 0
fi
cat <<TEXT
try            curl -x $proxy https://localhost:$trusted_port/ --cacert $state/ca/development-ca.pem --noproxy ''

The proxy runs at $proxy until Ctrl-C.
TEXT
code=0
wait "$run_pid" || code=$?
run_pid=''
tail -5 "$log"
fail "the proxy ended by itself (exit code $code); its log is $log"

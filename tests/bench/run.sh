#!/usr/bin/env bash
# run.sh: what Exeat costs beside Debian's squid-openssl and tinyproxy, in one run: CPU an operation and memory a tunnel.
#   tests/bench/run.sh [--install] [--quick] [--json FILE] [--only NAME,...]
# --install gets the peers first (packaging/install-deps.sh bench); those not installed are left out. Not one of the tests.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../.." && pwd)
if [ "${1:-}" = --install ]; then
    shift
    "$root/packaging/install-deps.sh" bench
fi
if [ -z "${EXEAT_BUILD:-}" ] && [ ! -x "$root/build/release/exeatd" ]; then
    (cd "$root" && cmake --preset release >/dev/null && cmake --build --preset release)
fi
exec /usr/bin/python3 "$here/run.py" "$@"

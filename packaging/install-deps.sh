#!/usr/bin/env bash
# install-deps.sh: the one list of Debian 12 packages. Installs what is missing, and nothing when all is there.
#   install-deps.sh build|test|bench [--list]
# Uses sudo only when it is not root. packaging/quickstart.sh and tests/run.sh call in.
set -euo pipefail

build="build-essential cmake ninja-build pkg-config ca-certificates
       libuv1-dev libssl-dev libc-ares-dev node-llhttp libjansson-dev libyaml-dev libpsl-dev libmaxminddb-dev libcap-dev libcrypt-dev
       libhyperscan-dev libnghttp2-dev libsqlite3-dev zlib1g-dev
       libbpf-dev clang-14"
demo="curl openssl python3"
tests="clang clang-tidy-14 clang-format-14 libclang-rt-14-dev llvm-14 libcmocka-dev
       python3-pytest python3-requests python3-yaml curl wget git openssl nodejs nginx-light dpkg-dev chromium iproute2 nftables nghttp2-client nghttp2-server
       openjdk-17-jdk-headless cargo sslscan testssl.sh
       gcc-mingw-w64-x86-64-win32 wine wine64 lld-14"
bench="squid-openssl tinyproxy nginx-light linux-perf"

case "${1:-}" in
build) wanted="$build $demo" ;;
test) wanted="$build $demo $tests" ;;
bench) wanted="$build $demo $bench" ;;
*) sed -n '2,4s/^# //p' "$0" >&2; exit 2 ;;
esac
[ "${2:-}" != --list ] || { printf '%s\n' $wanted; exit 0; }

missing=()
for package in $wanted; do
    case $package in # others than Debian's may be there: what counts is the command
    nodejs) command -v node >/dev/null && continue ;;
    openjdk-17-jdk-headless) command -v javac >/dev/null && continue ;;
    cargo) command -v cargo >/dev/null && continue ;;
    esac
    [ "$(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null || true)" = installed ] || missing+=("$package")
done
[ ${#missing[@]} -gt 0 ] || exit 0

as_root() {
    if [ "$(id -u)" = 0 ]; then "$@"; else sudo "$@"; fi
}
if [ "$(id -u)" != 0 ] && ! command -v sudo >/dev/null; then
    echo "install-deps.sh: missing, and there is no sudo to install them with: ${missing[*]}" >&2
    exit 1
fi
log=$(mktemp)
policy=/usr/sbin/policy-rc.d
# Packages start their services as they are installed (nginx would take port 80). Debian asks this file first.
if [ ! -e $policy ]; then
    trap 'rm -f "$log"; as_root rm -f $policy' EXIT
    printf '#!/bin/sh\nexit 101\n' | as_root tee $policy >/dev/null
    as_root chmod 755 $policy
else
    trap 'rm -f "$log"' EXIT
fi
echo "installing: ${missing[*]}"
as_root apt-get update -q </dev/null >"$log" 2>&1 || { cat "$log"; echo "install-deps.sh: apt-get update failed" >&2; exit 1; }
as_root env DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-install-recommends "${missing[@]}" </dev/null >"$log" 2>&1 ||
    { cat "$log"; echo "install-deps.sh: the installation failed" >&2; exit 1; }

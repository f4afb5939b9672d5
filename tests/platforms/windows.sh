#!/usr/bin/env bash
# windows.sh BUILD: exeat-agent.exe built by mingw-w64 into the folder BUILD, and run under wine: it answers for a real socket, and the
# hash that it tells is that of the client's file. 77 (skipped) without mingw-w64 or wine.
set -euo pipefail
cd "$(dirname "$0")/../.."
build=$1
for tool in x86_64-w64-mingw32-gcc-win32 wine; do
    command -v $tool >/dev/null || { echo "no $tool"; exit 77; }
done
cmake -G Ninja -S src/agent/plain -B "$build" --toolchain "$PWD/cmake/windows.cmake" -DEXEAT_TESTS=ON >/dev/null
cmake --build "$build"
cd "$build"
WINEPREFIX=$(mktemp -d) # a Windows of its own
export WINEPREFIX WINEDEBUG=-all WINEDLLOVERRIDES="mscoree,mshtml="
server=$(command -v wineserver || echo /usr/lib/wine/wineserver64)
trap '"$server" -k >/dev/null 2>&1 || true; rm -rf "$WINEPREFIX"' EXIT
timeout 500 wine pipe_test.exe exeat-agent.exe >pipe_test.out 2>pipe_test.err </dev/null || { cat pipe_test.out pipe_test.err; exit 1; }
cat pipe_test.out
read -r sum _ < <(sha256sum pipe_test.exe)
grep -q '^passed' pipe_test.out && tr -d '\r' <pipe_test.out | grep -q "^sha256 $sum$" || { echo "not the hash of pipe_test.exe: $sum"; exit 1; }

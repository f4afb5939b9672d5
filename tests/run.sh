#!/usr/bin/env bash
# run.sh: every test of Exeat, from a clean clone: installs the tools that are missing, builds five ways (gcc; clang with
# ASan+UBSan, with TSan, with libFuzzer; release), and runs one ctest over all of it. Ends with ctest's summary and a line
# "N passed, N failed"; exits non-zero when anything failed or nothing ran. Takes about three quarters of an hour on two cores.
#   tests/run.sh [ctest options]   as in: tests/run.sh -R asan.unit    tests/run.sh -E 'fuzz.run|arch'
# EXEAT_FUZZ_SECONDS (600): fuzzing in all, shared out over the targets.
set -uo pipefail
cd "$(dirname "$0")/.." || exit
case "${1:-}" in -h | --help) sed -n '2,6s/^# \{0,1\}//p' "$0"; exit 0 ;; esac
export LC_ALL=C.UTF-8
# proxies of the environment are not for tests that are clients themselves
unset http_proxy https_proxy no_proxy all_proxy HTTP_PROXY HTTPS_PROXY NO_PROXY ALL_PROXY

say() { printf '== %s %s\n' "$(date +%T)" "$1"; }
give_up() { echo "0 passed, 1 failed"; exit 1; }

say "tools"
packaging/install-deps.sh test || give_up

build() {
    local preset=$1 log=build/$1.log
    shift
    say "build $preset"
    cmake --preset "$preset" "$@" >"$log" 2>&1 && cmake --build --preset "$preset" >>"$log" 2>&1 && return
    grep -A12 -m5 -E 'FAILED:|error:|CMake Error' "$log" || tail -40 "$log"
    echo "build $preset failed: $PWD/$log has all of it"
    give_up
}
mkdir -p build
build release
build asan
build tsan
build fuzz
build dev -DEXEAT_SUITE=ON
printf 'subdirs(dev asan tsan)\n' >build/CTestTestfile.cmake

say "tests"
rm -f build/junit.xml
ctest --test-dir build --output-on-failure --no-tests=error -j2 --output-junit "$PWD/build/junit.xml" "$@" </dev/null
status=$?
/usr/bin/python3 - build/junit.xml <<'PY' || give_up
import sys, xml.etree.ElementTree as tree
cases = [case.get("status") for case in tree.parse(sys.argv[1]).getroot().iter("testcase")]
skipped = sum(status in ("notrun", "disabled") for status in cases)
failed = sum(status not in ("run", "notrun", "disabled") for status in cases)
if skipped:
    print(f"{skipped} skipped: what they need is not here")
print(f"{len(cases) - failed - skipped} passed, {failed} failed")
sys.exit(len(cases) == failed + skipped)
PY
exit $status

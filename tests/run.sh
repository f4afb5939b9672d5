#!/usr/bin/env bash
# run.sh: every test of Exeat, from a clean clone: installs the tools that are missing, builds five ways (gcc, clang with
# ASan+UBSan, with TSan, with libFuzzer, release), and runs one ctest over everything. Ends with ctest's summary and
# "N passed, N failed"; exits non-zero when anything failed or nothing ran. Takes about half an hour on two cores.
#   tests/run.sh [-R REGEX]     REGEX: only tests whose name matches (ctest's)
# EXEAT_FUZZ_SECONDS (600): fuzzing in all, shared out over the targets.
set -uo pipefail
cd "$(dirname "$0")/.."
export EXEAT_FUZZ_SECONDS=${EXEAT_FUZZ_SECONDS:-600} LC_ALL=C.UTF-8

say() { printf '\n== %s (%s)\n' "$1" "$(date +%T)"; }

say "tools"
packaging/install-deps.sh test || exit 1

build() {
    say "build: $1"
    cmake --preset "$1" "${@:2}" >"build/$1.log" 2>&1 && cmake --build --preset "$1" >>"build/$1.log" 2>&1 && return
    tail -40 "build/$1.log"
    echo "0 passed, 1 failed"
    exit 1
}
mkdir -p build
build release
build asan
build tsan
build fuzz
build dev -DEXEAT_SUITE=ON

say "tests"
ctest --test-dir build/dev --output-on-failure --no-tests=error -j2 --output-junit "$PWD/build/junit.xml" "$@"
status=$?
counts=$(python3 - build/junit.xml <<'PY'
import sys, xml.etree.ElementTree as tree
suite = tree.parse(sys.argv[1]).getroot()
failed = int(suite.get("failures", 0)) + int(suite.get("errors", 0))
skipped = int(suite.get("skipped", 0)) + int(suite.get("disabled", 0))
print(f"{int(suite.get('tests')) - failed - skipped} passed, {failed} failed" + (f", {skipped} skipped" if skipped else ""))
PY
) || counts="0 passed, 1 failed"
echo "$counts"
case $counts in "0 passed"*) exit 1 ;; esac
exit $status

#!/usr/bin/env bash
# tidy.sh BUILD [FILE...]: clang-tidy over src/ (or the files given) with the checks of .clang-tidy, two files at a time. BUILD is
# a clang build folder: its compile_commands.json says how each file is compiled.
set -uo pipefail
cd "$(dirname "$0")/../.." || exit
build=$1
shift
export build
check() {
    # what clang-tidy has to say is on stdout; stderr counts warnings in system headers, and matters only when it gave up
    out=$(clang-tidy-14 --quiet -p "$build" "$1" 2>&1) && return
    printf '%s\n' "$out" | grep -v 'warnings generated\|^Suppressed\|warnings treated as errors'
    return 1
}
export -f check
[ -f "$build/compile_commands.json" ] || { echo "$build has no compile_commands.json"; exit 1; }
{ [ $# -gt 0 ] && printf '%s\0' "$@" || find src -name '*.c' ! -name "*.bpf.c" ! -path "*/agent/windows/*" \( ! -path "*/agent/macos/*" -o -name "*_parse.c" -o -name intake.c -o -name streams.c \) -print0; } | xargs -0 -n 1 -P 2 bash -c 'check "$0"'

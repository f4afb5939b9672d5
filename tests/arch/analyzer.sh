#!/usr/bin/env bash
# analyzer.sh [FILE...]: gcc's -fanalyzer over src/ (or the files given), every warning an error. Leaks are left to LeakSanitizer:
# this gcc loses sight of memory that is stored through a pointer and calls it leaked.
set -uo pipefail
cd "$(dirname "$0")/../.." || exit
flags=(-std=c11 -D_GNU_SOURCE '-DEXEAT_VERSION="x"' -Isrc -Iinclude -isystem /usr/share/include/llhttp -isystem /usr/include/hs -O1 -Wall -Wextra -Werror
       -fanalyzer -Wno-analyzer-malloc-leak -c -o /dev/null)
{ [ $# -gt 0 ] && printf '%s\0' "$@" || find src -name '*.c' ! -name "*.bpf.c" ! -path "*/agent/windows/*" \( ! -path "*/agent/macos/*" -o -name "*_parse.c" -o -name intake.c -o -name streams.c \) -print0; } | xargs -0 -n 1 -P 2 gcc "${flags[@]}"

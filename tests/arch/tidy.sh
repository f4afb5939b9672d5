#!/usr/bin/env bash
# tidy.sh BUILD: clang-tidy over src/ with the checks of .clang-tidy, two files at a time. BUILD has compile_commands.json
# of a clang build.
cd "$(dirname "$0")/../.."
git ls-files -z -- 'src/*.c' | xargs -0 -n 4 -P 2 clang-tidy-14 --quiet -p "$1" 2>/dev/null

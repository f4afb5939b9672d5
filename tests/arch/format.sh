#!/usr/bin/env bash
# format.sh [--fix]: every C file as .clang-format says; --fix rewrites them.
set -uo pipefail
cd "$(dirname "$0")/../.." || exit
mode=(--dry-run -Werror)
[ "${1:-}" != --fix ] || mode=(-i)
find src include tests -name '*.[ch]' -print0 | xargs -0 -n 50 clang-format-14 "${mode[@]}"

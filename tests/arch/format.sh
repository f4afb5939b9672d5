#!/usr/bin/env bash
# format.sh: every C file as .clang-format says; --fix rewrites them.
cd "$(dirname "$0")/../.."
mode=(--dry-run -Werror)
[ "${1:-}" != --fix ] || mode=(-i)
git ls-files -z -- 'src/*.[ch]' 'include/*.h' 'tests/*.[ch]' | xargs -0 -n 50 clang-format-14 "${mode[@]}"

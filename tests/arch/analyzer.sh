#!/usr/bin/env bash
# analyzer.sh: gcc's -fanalyzer over src/, every warning an error.
cd "$(dirname "$0")/../.."
flags=(-std=c11 -D_GNU_SOURCE -DEXEAT_VERSION='"x"' -Isrc -Iinclude -isystem /usr/share/include/llhttp -O1 -Wall -Wextra -Werror
       -fanalyzer -fsyntax-only -c -o /dev/null)
flags=("${flags[@]/-fsyntax-only/}")
git ls-files -z -- 'src/*.c' | xargs -0 -n 1 -P 2 gcc ${flags[@]}

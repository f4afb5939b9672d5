#!/usr/bin/env bash
# macos.sh BUILD: the agent of macOS, type-checked by clang for both kinds of Mac against the declarations in tests/platforms/macos/ and in
# src/agent/macos/declarations.h (which assert the sizes), and linked by lld into BUILD. It cannot run here. 77 (skipped) without the tools.
set -euo pipefail
cd "$(dirname "$0")/../.."
build=$1
system=tests/platforms/macos
for tool in clang-14 ld64.lld-14; do
    command -v $tool >/dev/null || { echo "no $tool"; exit 77; }
done
# the list that CMake has, too
files=$(sed -n '/^set(PLAIN/,/)$/p' src/agent/plain/CMakeLists.txt | tr -s '() \n' '\n' | grep '\.c$' | sed 's,^,src/,')
more=$(grep -o '[$]{ROOT}/src/[a-z0-9_/]*\.c' src/agent/plain/CMakeLists.txt | sed 's,^[$]{ROOT}/,,')
for machine in arm64 x86_64; do
    folder=$build/$machine
    rm -rf "$folder" && mkdir -p "$folder"
    for file in $files $more src/agent/macos/*.c; do
        clang-14 --target=$machine-apple-macos13 -std=c11 -O1 -D_GNU_SOURCE -DEXEAT_VERSION='"0.1.0"' -Wall -Wextra -Wpedantic -Wshadow -Wconversion \
            -Werror -fno-strict-aliasing -nostdlibinc -isystem $system/include -Isrc -Iinclude -c "$file" -o "$folder/${file//\//_}.o"
    done
    # every symbol that is not the agent's own has to be in the list of what macOS has
    ld64.lld-14 -arch $machine -platform_version macos 13.0 13.0 -o "$folder/exeat-agent" "$folder"/*.o $system/libSystem.tbd
    magic=$(od -An -tx4 -N4 "$folder/exeat-agent" | tr -d ' ')
    [ "$magic" = feedfacf ] || { echo "$machine: no Mach-O program: $magic"; exit 1; }
    echo "$machine: linked"
done

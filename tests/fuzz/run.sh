#!/usr/bin/env bash
# run.sh BUILD [SECONDS]: fuzzes the targets of a fuzz build, two at a time, EXEAT_FUZZ_SECONDS (600) in all shared out evenly.
# Those not fuzzed for longest go first (remembered in the user's cache, by name where nothing is remembered), and a target gets at
# least five seconds, so that short runs reach them all in turn. Inputs that found something new stay in BUILD/found.
# A crash is saved in BUILD/crashes and printed, with how to see it again; the exit code says that there was one.
set -uo pipefail
build=$1 seconds=${2:-${EXEAT_FUZZ_SECONDS:-600}}
here=$(cd "$(dirname "$0")" && pwd)
state=${XDG_CACHE_HOME:-${HOME:-/tmp}/.cache}/exeat/fuzz
mkdir -p "$state" "$build/crashes" "$build/found" || exit 1

mapfile -t targets < <(find "$build" -name '*_fuzz' -type f -perm -u+x | while read -r target; do
    echo "$(stat -c %Y "$state/$(basename "$target")" 2>/dev/null || echo 0) $target"
done | sort -k1,1n -k2 | cut -d' ' -f2-)
[ ${#targets[@]} -gt 0 ] || { echo "no fuzz targets in $build"; exit 1; }
share=$((seconds / ${#targets[@]}))
[ "$share" -ge 5 ] || share=5

fuzz_one() {
    local target=$1 name subject log options status
    name=$(basename "$target") subject=${name%_fuzz} log=$build/$name.log
    mkdir -p "$build/found/$subject"
    options=(-max_total_time="$share" -timeout=20 -rss_limit_mb=2500 -print_final_stats=1 "-artifact_prefix=$build/crashes/$subject-")
    [ ! -f "$here/$subject.dict" ] || options+=("-dict=$here/$subject.dict")
    "$target" "${options[@]}" "$build/found/$subject" "$here/corpus/$subject" >"$log" 2>&1
    status=$?
    touch "$state/$name"
    printf '%-20s %4s s %10s inputs %6s kept\n' "$subject" "$share" "$(sed -n 's/^stat::number_of_executed_units: *//p' "$log")" \
        "$(find "$build/found/$subject" -type f | wc -l)"
    [ $status -ne 0 ] || return 0
    grep -aE -A25 'ERROR|SUMMARY|runtime error|is broken' "$log" | head -60
    artifact=$(sed -n 's/.*Test unit written to //p' "$log" | tail -1)
    [ -z "$artifact" ] || printf '%s: crash saved as %s (base64: %s)\nsee it again: %s %s\n' "$subject" "$artifact" \
        "$(base64 -w0 "$artifact" | head -c 2000)" "$target" "$artifact"
    return 1
}

failed=0 spent=0
for ((i = 0; i < ${#targets[@]} && spent < seconds; i += 2)); do
    pids=()
    for target in "${targets[@]:i:2}"; do
        fuzz_one "$target" & pids+=($!)
        spent=$((spent + share))
    done
    for pid in "${pids[@]}"; do wait "$pid" || failed=1; done
done
exit $failed

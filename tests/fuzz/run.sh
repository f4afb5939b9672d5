#!/usr/bin/env bash
# run.sh BUILD SECONDS: fuzzes every target of a fuzz build, SECONDS in all shared out evenly, two at a time; those that were not
# fuzzed for longest go first (remembered in the user's cache), so that a short run reaches them all in turn.
# A crash is saved in BUILD/crashes and printed; the exit code says that there was one.
set -uo pipefail
build=$1 seconds=$2
here=$(cd "$(dirname "$0")" && pwd)
state=${XDG_CACHE_HOME:-$HOME/.cache}/exeat/fuzz
mkdir -p "$state" "$build/crashes" "$build/found"

mapfile -t targets < <(find "$build" -name '*_fuzz' -type f -perm -u+x | while read -r t; do
    stamp=$state/$(basename "$t")
    echo "$(stat -c %Y "$stamp" 2>/dev/null || echo 0) $t"
done | sort -n -k1,1 -k2 | cut -d' ' -f2)
[ ${#targets[@]} -gt 0 ] || { echo "no fuzz targets in $build"; exit 1; }
share=$((seconds / ${#targets[@]}))
[ "$share" -ge 5 ] || share=5

fuzz_one() {
    local target=$1 name subject log
    name=$(basename "$target") subject=${name%_fuzz} log=$build/$name.log
    mkdir -p "$build/found/$subject"
    dictionary=()
    [ -f "$here/$subject.dict" ] && dictionary=("-dict=$here/$subject.dict")
    "$target" -max_total_time="$share" -timeout=20 -rss_limit_mb=3000 -print_final_stats=1 "${dictionary[@]}" \
        -artifact_prefix="$build/crashes/$subject-" "$build/found/$subject" "$here/corpus/$subject" >"$log" 2>&1
    local status=$?
    touch "$state/$name"
    printf '%-24s %ss, %s runs\n' "$subject" "$share" "$(sed -n 's/^stat::number_of_executed_units: *//p' "$log")"
    [ $status -eq 0 ] || { tail -30 "$log"; return 1; }
}

failed=0
for ((i = 0; i < ${#targets[@]}; i += 2)); do
    pids=()
    for target in "${targets[@]:i:2}"; do
        fuzz_one "$target" & pids+=($!)
    done
    for pid in "${pids[@]}"; do wait "$pid" || failed=1; done
done
exit $failed

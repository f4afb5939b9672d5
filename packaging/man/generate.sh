#!/bin/sh
# Writes what is generated from src/conf/options.def: packaging/man/exeat.yaml.5 and src/conf/REFERENCE.md.
#   packaging/man/generate.sh PATH-OF-EXEAT [--check]     --check: compare instead; 1 when something is out of date
set -eu
exeat=$1
mode=${2:-}
cd "$(dirname "$0")/../.."
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
"$exeat" config reference --man >"$work/options"
sed -e "/^@OPTIONS@\$/{r $work/options
d}" packaging/man/exeat.yaml.5.in >"$work/exeat.yaml.5"
"$exeat" config reference >"$work/REFERENCE.md"
if [ "$mode" = --check ]; then
    cmp "$work/exeat.yaml.5" packaging/man/exeat.yaml.5
    cmp "$work/REFERENCE.md" src/conf/REFERENCE.md
else
    cp "$work/exeat.yaml.5" packaging/man/exeat.yaml.5
    cp "$work/REFERENCE.md" src/conf/REFERENCE.md
fi

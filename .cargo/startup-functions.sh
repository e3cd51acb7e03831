#!/bin/sh
# Reads names of functions from the standard input, and prints the symbols of these functions in the objects and libraries among the
# arguments, one a line. The names are without the hashes of rustc and the version of aws-lc, which change.
#
# `startup-functions.sh --names` prints the names for the symbols that it reads.

without_hashes='
function name(symbol) {
    sub(/\.llvm\.[0-9]+$/, "", symbol)
    sub(/17h[0-9a-f]+E(\.[0-9]+)?$/, "E", symbol)
    gsub(/Cs[0-9A-Za-z]+_/, "C", symbol)
    sub(/aws_lc_[0-9]+_[0-9]+_[0-9]+_/, "aws_lc_", symbol)
    return symbol
}'
if [ "${1:-}" = --names ]; then
    exec awk "$without_hashes"' { print name($1) }'
fi

for argument in "$@"; do
    shift
    case $argument in *.o | *.rlib) set -- "$@" "$argument" ;; esac
done
names=$(mktemp)
trap 'rm -f "$names"' EXIT
cat >"$names"
# Each line of nm is: symbol, type, address, size.
nm --defined-only --no-sort --format=posix "$@" |
    awk "$without_hashes"' FNR == NR { wanted[$1]; next } $2 ~ /^[tTwW]$/ && name($1) in wanted { print $1 }' "$names" -

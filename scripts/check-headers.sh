#!/bin/bash
# check-headers.sh: each public header must compile alone, twice, and in any order, in C11 and in C++17, without a
# warning.
set -euo pipefail
cd "$(dirname "$0")/.."
: "${CC:=gcc}" "${CXX:=g++}" "${WARNINGS:=-Wall -Wextra -Wpedantic -Werror}"

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
read -r -a warnings <<<"$WARNINGS"

includes=(-Iinclude -Icrates/target/include -Icrates/softverbs/include)
mapfile -t headers < <(for folder in include crates/target/include crates/softverbs/include; do
	[ ! -d "$folder" ] || (cd "$folder" && find . -name '*.h' -printf '%P\n')
done | sort)

compile() {
	"$CC" -std=c11 "${warnings[@]}" "${includes[@]}" -fsyntax-only -x c "$1"
	"$CXX" -std=c++17 "${warnings[@]}" "${includes[@]}" -fsyntax-only -x c++ "$1"
}

for header in "${headers[@]}"; do
	printf '#include "%s"\n#include "%s"\n' "$header" "$header" >"$work/one.c"
	compile "$work/one.c" || { echo "check-headers.sh: $header" >&2; exit 1; }
done
printf '#include "%s"\n' "${headers[@]}" >"$work/all.c"
compile "$work/all.c"
tac "$work/all.c" >"$work/reverse.c"
compile "$work/reverse.c"
echo "check-headers.sh: ${#headers[@]} headers are clean in C11 and C++17"

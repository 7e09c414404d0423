#!/bin/bash
# archive.sh IN.a LIB.so OUT.a [--wrap]: makes a static library that can be linked beside any other, in any order, also whole.
#
# Cargo's static library is hundreds of objects whose names are global: the Rust runtime's, those of its C code. Two such
# libraries in one program collide. Here all that the entry points need becomes one object, in which nothing but what the
# shared library LIB.so exports is global; what it needs of others stays undefined.
#
# With --wrap the entry points are called __wrap_NAME, and those that the linker calls __real_NAME are where calls are passed on
# to (src/abi/env/wrapped.c).
set -euo pipefail

in=$1 shared=$2 out=$3 wrap=${4:-}
scripts=$(cd "$(dirname "$0")" && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

nm -D --defined-only "$shared" | awk '{ print $3 }' | LC_ALL=C sort >"$work/entries"
[ -s "$work/entries" ] || { echo "archive.sh: $shared exports nothing" >&2; exit 1; }
sed 's/^/--undefined=/' "$work/entries" >"$work/options"

# Groups of sections that the linker keeps once for all objects (COMDAT) would not survive that their names become
# local: they are made ordinary sections.
name=$(basename "$out" .a).o
first=()
if [ "$wrap" = --wrap ]; then
	# What this library adds to SPDK's API has no other definition, and keeps its name.
	"$scripts/wrap-arguments.sh" names >"$work/names"
	{ printf '#define WRAPPED(X)'; sed 's/.*/ X(&)/' "$work/names" | tr -d '\n'; echo; } >"$work/wrapped.h"
	"${CC:-gcc}" -std=c11 -O2 -fPIC -Wall -Wextra -Werror "-I$work" -c "$scripts/../src/abi/env/wrapped.c" -o "$work/wrapped.o"
	first=("$work/wrapped.o")
	sed 's/.*/& __wrap_&/' "$work/names" >"$work/renames"
fi
ld -r --force-group-allocation "@$work/options" "${first[@]}" "$in" -o "$work/$name"
# The Rust runtime comes with LLVM bitcode, of which no linker here makes anything and at which tools with a plugin of an
# older LLVM give up.
if [ "$wrap" = --wrap ]; then
	objcopy "--redefine-syms=$work/renames" "$work/$name"
	LC_ALL=C join -a 1 -o auto -e '' "$work/entries" "$work/renames" | awk '{ print $NF }' | LC_ALL=C sort >"$work/renamed"
	mv "$work/renamed" "$work/entries"
fi
objcopy --remove-section=.llvmbc --remove-section=.llvmcmd --keep-global-symbols="$work/entries" "$work/$name"

nm --extern-only --defined-only "$work/$name" | awk '{ print $3 }' | LC_ALL=C sort >"$work/global"
cmp -s "$work/entries" "$work/global" || {
	echo "archive.sh: $in and $shared do not have the same entry points:" >&2
	diff "$work/entries" "$work/global" >&2
	exit 1
}
# Without times and owners: the same input gives the same file.
rm -f "$out"
ar rcsD "$out" "$work/$name"

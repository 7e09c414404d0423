#!/bin/bash
# check-abi.sh DIST: what the shared libraries export, against what the last landed state did (abi/NAME.abi, written by abidw). What the
# entry points' types are is in no library, as they are Rust: tests/abi.rs compares those, with SPDK's headers.
#
# With UPDATE_ABI=1 the files are written anew. That is refused where something that a program may need is gone and the soname
# is still the same (docs/linking.md).
set -euo pipefail
cd "$(dirname "$0")/.."

dist=$1
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
libraries=(spdk_nvme_rdma spdk_env_rdma)

different=()
for name in "${libraries[@]}"; do
	base=abi/$name.abi
	# Without debugging information: the types in it are Rust's and nobody's ABI, and builds differ in them.
	strip --strip-debug "$dist/lib/lib$name.so" -o "$work/lib$name.so"
	abidw --no-corpus-path --no-comp-dir-path --no-show-locs "$work/lib$name.so" |
		# What it needs of other libraries is not what it offers.
		sed '/<undefined-elf-/,/<\/undefined-elf-/d; /<elf-needed>/,/<\/elf-needed>/d' >"$work/$name.abi"
	[ -s "$work/$name.abi" ] || { echo "check-abi.sh: abidw says nothing about lib$name.so" >&2; exit 1; }
	if [ -f "$base" ]; then
		status=0
		abidiff --no-default-suppression "$base" "$work/$name.abi" >"$work/$name.diff" || status=$?
		soname() { grep -o "soname='[^']*'" "$1" | head -1; }
		# Bits: 1 and 2 an error, 4 a change, 8 a change that breaks programs; a symbol that is gone is one of these.
		if ((status & 3)); then
			cat "$work/$name.diff" >&2
			exit 1
		elif ((status & 8)) && [ "$(soname "$base")" = "$(soname "$work/$name.abi")" ]; then
			cat "$work/$name.diff" >&2
			echo "check-abi.sh: lib$name.so no longer has what programs may need, and its soname is the same" >&2
			exit 1
		fi
		cmp -s "$base" "$work/$name.abi" || different+=("$name")
	elif [ "${UPDATE_ABI:-0}" != 1 ]; then
		echo "check-abi.sh: there is no $base" >&2
		exit 1
	fi
	if [ "${UPDATE_ABI:-0}" = 1 ]; then
		mkdir -p abi
		cp "$work/$name.abi" "$base"
	fi
done
if [ ${#different[@]} -gt 0 ] && [ "${UPDATE_ABI:-0}" != 1 ]; then
	for name in "${different[@]}"; do
		cat "$work/$name.diff" >&2
	done
	echo "check-abi.sh: not as in abi/: ${different[*]}. Nothing that was there is gone; UPDATE_ABI=1 $0 DIST writes it anew" >&2
	exit 1
fi
echo "check-abi.sh: the shared libraries export what they did"

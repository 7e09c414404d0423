#!/bin/bash
# stage.sh RELEASE DIST LIBRARIES ARCHIVES PROGRAMS: copies what cargo built from RELEASE into DIST/lib and DIST/bin, with
# the links that the dynamic linker looks for (the soname). Those libraries that are ARCHIVES as well get one that can be
# linked with anything; NAME_wrap is that of NAME for a program with SPDK in it. Files that are the same stay untouched, so
# make sees no change.
set -euo pipefail

release=$1 dist=$2 scripts=$(dirname "$0")
mkdir -p "$dist/lib" "$dist/bin"

copy() {
	# Replaced, never written into: a program that runs keeps the file that it has mapped.
	cmp -s "$1" "$2" || { cp "$1" "$2.new" && mv -f "$2.new" "$2"; }
}

for name in $3; do
	copy "$release/lib$name.so" "$dist/lib/lib$name.so"
	soname=$(readelf -d "$release/lib$name.so" | sed -n 's/.*(SONAME).*\[\(.*\)\]/\1/p')
	if [ -n "$soname" ] && [ "$soname" != "lib$name.so" ]; then
		ln -sfn "lib$name.so" "$dist/lib/$soname"
	fi
done
for name in $4; do
	# Made anew when what it is made of is; cargo touches no file that stays the same.
	archive=$dist/lib/lib$name.a library=${name%_wrap} how=()
	[ "$library" = "$name" ] || how=(--wrap)
	for part in "$release/lib$library.a" "$release/lib$library.so" "$scripts/archive.sh"; do
		if [ ! "$archive" -nt "$part" ]; then
			"$scripts/archive.sh" "$release/lib$library.a" "$release/lib$library.so" "$archive" "${how[@]}"
			break
		fi
	done
done
for name in $5; do
	copy "$release/$name" "$dist/bin/$name"
done

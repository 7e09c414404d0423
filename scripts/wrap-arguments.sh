#!/bin/bash
# wrap-arguments.sh names | needed | arguments LIBDIR: what links this host into a program beside SPDK's static libraries.
#
# From the table of entry points: their names, without this library's own; of these, those that every SPDK has, whatever it
# was built with; and the response file for gcc and clang.
set -euo pipefail
table=$(dirname "$0")/../src/abi/entry_points.toml

names() {
	sed -n '/kind = "extension"/d; s/^\(spdk_[a-z0-9_]*\) = .*/\1/p' "$table" | LC_ALL=C sort
}

# A release that has no longer or not yet a name must not be asked for it, nor one that was built without RDMA.
needed() {
	sed -n '/kind = "extension"/d; /since = /d; /until = /d; /^spdk_nvme_rdma_/d; s/^\(spdk_[a-z0-9_]*\) = .*/\1/p' "$table" |
		LC_ALL=C sort
}

case $1 in
names) names ;;
needed) needed ;;
arguments)
	names | sed 's/^/-Wl,--wrap=/'
	# All calls of these lead to this library now, so nobody else would have SPDK's taken out of their archives.
	needed | sed 's/^/-Wl,--undefined=/'
	# Whole, so that its place among the arguments does not matter.
	# A response file's words end at blanks, where no backslash stands before them.
	archive=$(sed 's/[][:space:]"'"'"'\\]/\\&/g' <<<"$2/libspdk_nvme_rdma_wrap.a")
	printf '%s\n' "-Wl,--push-state,--whole-archive,--no-as-needed $archive -Wl,--no-whole-archive" \
		'-lrdmacm -libverbs -lpthread -ldl -lm -Wl,--pop-state'
	;;
*)
	echo "usage: wrap-arguments.sh names | needed | arguments LIBDIR" >&2
	exit 1
	;;
esac

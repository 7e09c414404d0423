#!/bin/bash
# check-install.sh: installs into a folder of its own, and builds and runs programs against what is there, as a user
# would: with the shared libraries, with the archives, all of it static, in any order, by gcc and by Meson.
set -euo pipefail
# shellcheck source-path=SCRIPTDIR source=lib.sh
. "$(dirname "$0")/lib.sh"

"$ROOT/scripts/install.sh" "$DIST" "$WORK/install" /usr
installed=$WORK/install/usr
for link in "$installed"/lib/*.so*; do
	[ -e "$link" ] || die "$link leads nowhere"
done

# Uses both libraries by name.
cat >"$WORK/both.c" <<'END_OF_PROGRAM'
#include <stdio.h>
#include "spdk/env.h"
#include "spdk/nvme.h"

int main(void)
{
	struct spdk_nvme_transport_id trid = {0};
	struct spdk_env_opts options = {.opts_size = sizeof(options)};

	spdk_env_opts_init(&options);
	if (spdk_env_init(&options) != 0 ||
	    spdk_nvme_transport_id_parse(&trid, "trtype:RDMA traddr:192.0.2.1 trsvcid:4420") != 0) {
		return 1;
	}
	printf("%s\n", trid.traddr);
	spdk_env_fini();
	return 0;
}
END_OF_PROGRAM
# Uses the host alone, which uses the environment. Nobody listens there, and there may be no RDMA device.
cat >"$WORK/host.c" <<'END_OF_PROGRAM'
#include <stdio.h>
#include "spdk/nvme.h"

int main(void)
{
	struct spdk_nvme_transport_id trid = {0};

	if (spdk_nvme_transport_id_parse(&trid, "trtype:RDMA adrfam:IPv4 traddr:127.0.0.1 trsvcid:1 "
					 "subnqn:nqn.2016-06.io.spdk:none") != 0 ||
	    spdk_nvme_connect(&trid, NULL, 0) != NULL) {
		return 1;
	}
	printf("%s\n", trid.traddr);
	return 0;
}
END_OF_PROGRAM

# pkg-config rewrites the paths of a .pc file when it is told where the root of the installation is.
export PKG_CONFIG_PATH=$installed/lib/pkgconfig PKG_CONFIG_SYSROOT_DIR=$WORK/install
compiler=${CC:-gcc}
tried=()

# try NAME SOURCE FLAGS...: builds a program, whose file is then $WORK/program, and runs it.
try() {
	local name=$1 source=$2 expected=192.0.2.1 found
	shift 2
	[ "$source" = both ] || expected=127.0.0.1
	"$compiler" -Wall -Werror "$WORK/$source.c" "-I$installed/include" "$@" -o "$WORK/program" 2>"$WORK/words" || {
		cat "$WORK/words" >&2
		die "$name: $source.c does not build"
	}
	run "$name: $source.c" "$expected" "$WORK/program"
}

# run NAME EXPECTED PROGRAM
run() {
	found=$(LD_LIBRARY_PATH=$installed/lib "$3" 2>"$WORK/words") || die "$1 fails: $(cat "$WORK/words")"
	[ "$found" = "$2" ] || die "$1 printed '$found'"
	! grep "no SPDK environment" "$WORK/words" || die "$1 has no environment"
}

for order in 'spdk_nvme_rdma spdk_env_rdma' 'spdk_env_rdma spdk_nvme_rdma'; do
	# shellcheck disable=SC2086 # two names
	read -r -a flags < <(pkg-config --cflags --libs $order)
	# Distributions differ in what the linker does with a library that nobody has asked for yet.
	for program in both host; do
		try "shared, $order" $program -Wl,--as-needed "${flags[@]}"
		try "shared, $order" $program -Wl,--no-as-needed "${flags[@]}"
	done

	# The names as Meson's `static: true` has them: archives instead of ours, the rest as it is.
	# shellcheck disable=SC2086
	read -r -a flags < <(pkg-config --static --cflags --libs $order)
	flags=("${flags[@]/#-lspdk_nvme_rdma/-l:libspdk_nvme_rdma.a}")
	flags=("${flags[@]/#-lspdk_env_rdma/-l:libspdk_env_rdma.a}")
	for program in both host; do
		try "archives, $order" $program "${flags[@]}"
	done
done
tried+=('shared libraries' 'archives')

archives=(-Wl,--whole-archive "$installed"/lib/libspdk_{env,nvme}_rdma.a -Wl,--no-whole-archive)
try 'whole archives' both "${archives[@]}" -lrdmacm -libverbs
tried+=('whole archives')

if [ -e "$("$compiler" -print-file-name=libibverbs.a)" ] && [ -e "$("$compiler" -print-file-name=librdmacm.a)" ]; then
	for order in 'spdk_nvme_rdma spdk_env_rdma' 'spdk_env_rdma spdk_nvme_rdma'; do
		# shellcheck disable=SC2086
		read -r -a flags < <(pkg-config --static --cflags --libs $order)
		for program in both host; do
			try "static, $order" $program -static "${flags[@]}"
		done
	done
	tried+=('static programs')
else
	echo 'check-install.sh: skipped: static programs: there is no libibverbs.a or librdmacm.a' >&2
fi

if command -v meson >/dev/null && command -v ninja >/dev/null; then
	for static in false true; do
		mkdir "$WORK/meson-$static"
		cp "$WORK/both.c" "$WORK/meson-$static"
		cat >"$WORK/meson-$static/meson.build" <<-END_OF_BUILD
			project('both', 'c')
			executable('both', 'both.c', dependencies: [
			  dependency('spdk_env_rdma', static: $static),
			  dependency('spdk_nvme_rdma', static: $static),
			])
		END_OF_BUILD
		(cd "$WORK/meson-$static" && meson setup build && ninja -C build) >"$WORK/words" 2>&1 || {
			cat "$WORK/words" >&2
			die "Meson, static: $static: both.c does not build"
		}
		run "Meson, static: $static" 192.0.2.1 "$WORK/meson-$static/build/both"
	done
	tried+=('Meson')
else
	echo 'check-install.sh: skipped: Meson: there is no meson or no ninja' >&2
fi

printf -v list '%s, ' "${tried[@]}"
echo "check-install.sh: programs build and run on the installed files: ${list%, }"

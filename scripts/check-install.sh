#!/bin/bash
# check-install.sh: installs into a folder of its own, and builds and runs programs against what is there, as a user
# would: with the shared libraries, with the archives, all of it static, in any order, as a plugin, in C++, by the names that SPDK's users
# know, beside SPDK's archives, by Meson and by CMake. The tools that are installed run and find what they need.
set -euo pipefail
# shellcheck source-path=SCRIPTDIR source=lib.sh
. "$(dirname "$0")/lib.sh"

env -u MAKEFLAGS make --no-print-directory -s -C "$ROOT" install DIST="$DIST" DESTDIR="$WORK/install" PREFIX=/usr
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
# The same in C++.
cat >"$WORK/both.cpp" <<'END_OF_PROGRAM'
#include <cstdio>
#include "spdk/env.h"
#include "spdk/nvme.h"

int main()
{
	spdk_nvme_transport_id trid{};
	spdk_env_opts options{};

	options.opts_size = sizeof(options);
	spdk_env_opts_init(&options);
	if (spdk_env_init(&options) != 0 ||
	    spdk_nvme_transport_id_parse(&trid, "trtype:RDMA traddr:192.0.2.1 trsvcid:4420") != 0) {
		return 1;
	}
	std::printf("%s\n", trid.traddr);
	spdk_env_fini();
	return 0;
}
END_OF_PROGRAM
# Opens a plugin, whose symbols and libraries nobody else sees.
cat >"$WORK/opens.c" <<'END_OF_PROGRAM'
#include <dlfcn.h>
#include <stdio.h>
#include <string.h>

int main(int argc, char **argv)
{
	void *plugin = argc == 2 ? dlopen(argv[1], RTLD_NOW | RTLD_LOCAL) : NULL;
	void *address = plugin != NULL ? dlsym(plugin, "run") : NULL;
	int (*run)(void);

	if (address == NULL) {
		fprintf(stderr, "%s\n", dlerror());
		return 1;
	}
	memcpy(&run, &address, sizeof(address));
	return run();
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

sed 's/int main(void)/int run(void); int run(void)/' "$WORK/host.c" >"$WORK/plugin.c"

# pkg-config rewrites the paths of a .pc file when it is told where the root of the installation is.
export PKG_CONFIG_PATH=$installed/lib/pkgconfig PKG_CONFIG_SYSROOT_DIR=$WORK/install
compiler=${CC:-gcc}
tried=()

# try NAME SOURCE FLAGS...: builds a program, whose file is then $WORK/program, and runs it.
try() {
	local name=$1 source=$2 expected=192.0.2.1
	shift 2
	[ "$source" = both ] || expected=127.0.0.1
	"$compiler" -Wall -Werror "$WORK/$source.c" "-I$installed/include" "$@" -o "$WORK/program" 2>"$WORK/words" || {
		cat "$WORK/words" >&2
		die "$name: $source.c does not build"
	}
	run "$name: $source.c" "$expected" "$WORK/program"
}

# run NAME EXPECTED PROGRAM [ARGUMENT]
run() {
	local found
	found=$(LD_LIBRARY_PATH=$installed/lib "${@:3}" 2>"$WORK/words") || die "$1 fails: $(cat "$WORK/words")"
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

# As a Makefile of a program of SPDK's has it, with no more changed than the path.
spdk() {
	PKG_CONFIG_PATH=$installed/lib/nvme-rdma-spdk/pkgconfig pkg-config "$@"
}
names='spdk_nvme spdk_env_dpdk spdk_util spdk_log'
# shellcheck disable=SC2086 # several names
read -r -a flags < <(spdk --cflags --libs $names)
read -r -a system < <(spdk --libs --static spdk_syslibs)
for program in both host; do
	try "SPDK's names, shared" $program "${flags[@]}"
	try "SPDK's names, whole" $program -Wl,--whole-archive,-Bstatic "${flags[@]}" -Wl,-Bdynamic,--no-whole-archive "${system[@]}"
done
spdk --atleast-version=24.09 spdk_nvme || die "pkg-config: spdk_nvme is older than the oldest SPDK"
tried+=("SPDK's names")

# In C++, as strict as the headers are.
read -r -a flags < <(pkg-config --cflags --libs spdk_nvme_rdma spdk_env_rdma)
"${CXX:-g++}" -std=c++17 -Wall -Wextra -Wpedantic -Werror "$WORK/both.cpp" "${flags[@]}" -o "$WORK/program" 2>"$WORK/words" || {
	cat "$WORK/words" >&2
	die 'C++: both.cpp does not build'
}
run 'C++' 192.0.2.1 "$WORK/program"
tried+=('C++')

# As a plugin, shared and with the archives in it.
"$compiler" -Wall -Werror "$WORK/opens.c" -ldl -o "$WORK/opens"
read -r -a static < <(pkg-config --static --cflags --libs spdk_nvme_rdma spdk_env_rdma)
static=("${static[@]/#-lspdk_nvme_rdma/-l:libspdk_nvme_rdma.a}")
static=("${static[@]/#-lspdk_env_rdma/-l:libspdk_env_rdma.a}")
for how in shared archives; do
	[ $how = shared ] || flags=("${static[@]}")
	"$compiler" -Wall -Werror -shared -fPIC "$WORK/plugin.c" "${flags[@]}" -o "$WORK/plugin.so" 2>"$WORK/words" || {
		cat "$WORK/words" >&2
		die "plugin, $how: it does not build"
	}
	run "plugin, $how" 127.0.0.1 "$WORK/opens" "$WORK/plugin.so"
done
tried+=('plugins')

archives=(-Wl,--whole-archive "$installed"/lib/libspdk_{env,nvme}_rdma.a -Wl,--no-whole-archive)
try 'whole archives' both "${archives[@]}" -lrdmacm -libverbs -lm
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

if command -v cmake >/dev/null; then
	mkdir "$WORK/cmake"
	cp "$WORK/both.c" "$WORK/host.c" "$WORK/cmake"
	cat >"$WORK/cmake/CMakeLists.txt" <<-'END_OF_BUILD'
		cmake_minimum_required(VERSION 3.16)
		project(both C)
		find_package(nvme-rdma 0.1 REQUIRED)
		foreach(program both host)
		  add_executable(${program}-shared ${program}.c)
		  target_link_libraries(${program}-shared nvme-rdma::env nvme-rdma::host)
		  add_executable(${program}-static ${program}.c)
		  target_link_libraries(${program}-static nvme-rdma::host-static nvme-rdma::env-static)
		endforeach()
	END_OF_BUILD
	# A shared library that others are linked with by the path that it has here brings no path of its own.
	(cmake -S "$WORK/cmake" -B "$WORK/cmake/build" -DCMAKE_PREFIX_PATH="$installed" -DCMAKE_C_COMPILER="$compiler" &&
		cmake --build "$WORK/cmake/build") >"$WORK/words" 2>&1 || {
		cat "$WORK/words" >&2
		die 'CMake: the programs do not build'
	}
	for how in shared static; do
		run "CMake, $how: both" 192.0.2.1 "$WORK/cmake/build/both-$how"
		run "CMake, $how: host" 127.0.0.1 "$WORK/cmake/build/host-$how"
	done
	tried+=('CMake')
else
	echo 'check-install.sh: skipped: CMake: there is no cmake' >&2
fi

# Beside SPDK's static libraries, for which the stand-in of the tests stands here; what it does not have must not be called.
compile() {
	"$compiler" -std=c11 -D_GNU_SOURCE "-I$installed/include" -c "$1" -o "$2"
}
compile "$ROOT/c-tests/preload/standin.c" "$WORK/standin.o"
compile "$ROOT/c-tests/preload/program.c" "$WORK/program.o"
nm --extern-only --defined-only "$WORK/standin.o" | awk '{ print $3 }' | LC_ALL=C sort >"$WORK/has"
{
	echo '#include <stdlib.h>'
	"$ROOT/scripts/wrap-arguments.sh" names | LC_ALL=C comm -23 - "$WORK/has" | sed 's/.*/long &(void); long &(void) { abort(); }/'
} >"$WORK/rest.c"
compile "$WORK/rest.c" "$WORK/rest.o"
ar rcs "$WORK/libspdk_nvme.a" "$WORK/standin.o" "$WORK/rest.o"
# The file has the path that the installation will have.
sed "s, /usr/, $installed/," "$installed/lib/nvme-rdma-spdk/wrap.args" >"$WORK/wrap.args"
spdk_libraries=("$WORK/libspdk_nvme.a" "$installed/lib/libspdk_env_rdma.a" -lpthread -ldl -lm)
"$compiler" "$WORK/program.o" "${spdk_libraries[@]}" -o "$WORK/program"
run "SPDK's archives alone" 'all from the stand-in' "$WORK/program"
told() {
	local words
	words=$("$installed/bin/nvme-rdma-preload" --check "$WORK/program") || true
	[[ $words == *"$1"* ]] || die "nvme-rdma-preload --check: not '$1', but: $words"
}
told "SPDK's static libraries are in it"
"$compiler" "$WORK/program.o" "@$WORK/wrap.args" "${spdk_libraries[@]}" -o "$WORK/program"
run "beside SPDK's archives" "ours and the stand-in's" "$WORK/program"
SPDK_NVME_RDMA_DISABLE=1 run "beside SPDK's archives, disabled" 'all from the stand-in' "$WORK/program"
told 'this host already'
# The same from a folder whose name a response file has to quote.
ln -s "$installed/lib" "$WORK/it's a \"folder\""
"$ROOT/scripts/wrap-arguments.sh" arguments "$WORK/it's a \"folder\"" >"$WORK/wrap.args"
"$compiler" "$WORK/program.o" "@$WORK/wrap.args" "${spdk_libraries[@]}" -o "$WORK/program"
run "beside SPDK's archives, a folder with blanks" "ours and the stand-in's" "$WORK/program"
tried+=("a program with SPDK's archives, linked again")

# A prefix with blanks: what pkg-config says of it is quoted for a shell.
odd="$WORK/a prefix of words"
env -u MAKEFLAGS make --no-print-directory -s -C "$ROOT" install DIST="$DIST" DESTDIR= PREFIX="$odd"
for packages in 'spdk_nvme_rdma spdk_env_rdma' 'spdk_nvme spdk_env_dpdk'; do
	# shellcheck disable=SC2086 # two names
	words=$(PKG_CONFIG_SYSROOT_DIR='' PKG_CONFIG_PATH=$odd/lib/pkgconfig:$odd/lib/nvme-rdma-spdk/pkgconfig \
		pkg-config --cflags --libs $packages)
	eval "flags=($words)"
	"$compiler" "$WORK/both.c" "${flags[@]}" -o "$WORK/program" || die "a prefix with blanks, $packages: does not link"
	run "a prefix with blanks, $packages" 192.0.2.1 "$WORK/program"
done
# What is preloaded cannot lie there, which is said.
for tool in softverbs-run nvme-rdma-preload; do
	words=$("$odd/bin/$tool" true 2>&1) && die "$tool of a prefix with blanks runs true"
	[[ $words == *"$odd"*'there is a space or a colon in it'* ]] || die "$tool of a prefix with blanks says: $words"
done
tried+=('a prefix with blanks')

# The tools find their libraries from their own place; what is preloaded works there.
tools=$installed/bin
"$compiler" -Wall -Werror "$WORK/host.c" "-I$installed/include" "-L$installed/lib" -lspdk_nvme_rdma \
	-Wl,--no-as-needed -lspdk_env_rdma "-Wl,-rpath,$installed/lib" -o "$WORK/program"
"$tools/softverbs-run" --strict "$WORK/program" >"$WORK/found" 2>"$WORK/words" || die "softverbs-run: $(cat "$WORK/words")"
grep -q 'was rejected' "$WORK/words" || die "softverbs-run: nobody said that nobody listens: $(cat "$WORK/words")"
"$tools/nvme-rdma-preload" true || die 'nvme-rdma-preload does not run true'
told 'this host already'
for tool in "$tools"/*; do
	name=$(basename "$tool")
	"$tool" --help >"$WORK/help" || die "$name --help fails"
	grep -q "$name" "$WORK/help" || die "$name --help does not say its name"
done
SIZE=8M "$tools/nvme-rdma-demo" >"$WORK/words" 2>&1 || die "nvme-rdma-demo: $(cat "$WORK/words")"
grep -q 'ended by itself' "$WORK/words" || die "nvme-rdma-demo does not say how it ended: $(cat "$WORK/words")"
tried+=('the tools')

printf -v list '%s, ' "${tried[@]}"
echo "check-install.sh: programs build and run on the installed files: ${list%, }"

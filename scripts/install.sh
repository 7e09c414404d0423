#!/bin/bash
# install.sh DIST DESTDIR PREFIX [LIBDIR]: libraries, headers, programs, manual pages, and the files for pkg-config, CMake and the linker, laid
# out as distributions do. LIBDIR is PREFIX/lib if it is not given.
#
# spdk_nvme_rdma.pc is the host alone: its environment is the program's. A program that has none adds spdk_env_rdma,
# one that is built on SPDK its spdk_env_dpdk; before or after, as it likes. In a folder of their own, so that nobody gets them who does
# not ask for it, are files of the names that SPDK's users ask for.
set -euo pipefail
cd "$(dirname "$0")/.."

dist=$1 destdir=$2 prefix=$3 libdir=${4:-$3/lib}
version=$(sed -n '/^\[workspace.package\]/,/^\[/s/^version = "\(.*\)"/\1/p' Cargo.toml)
lib=$destdir$libdir
own=$lib/nvme-rdma-spdk
install -d "$lib/pkgconfig" "$own/pkgconfig" "$lib/cmake/nvme-rdma" "$destdir$prefix/bin" "$destdir$prefix/include/spdk" \
	"$destdir$prefix/share/man/man1"

# libNAME.so -> soname -> the file, which carries the version.
for name in spdk_nvme_rdma spdk_env_rdma softverbs nvme_rdma_target; do
	file=lib$name.so
	soname=$(readelf -d "$dist/lib/$file" | sed -n 's/.*(SONAME).*\[\(.*\)\]/\1/p')
	if [ -n "$soname" ] && [ "$soname" != "$file" ]; then
		install -m 644 "$dist/lib/$file" "$lib/$file.$version"
		[ "$soname" = "$file.$version" ] || ln -sfn "$file.$version" "$lib/$soname"
		ln -sfn "$soname" "$lib/$file"
	else
		install -m 644 "$dist/lib/$file" "$lib/$file"
	fi
done
for name in spdk_nvme_rdma spdk_nvme_rdma_wrap spdk_env_rdma; do
	install -m 644 "$dist/lib/lib$name.a" "$lib/"
done

install -m 644 include/spdk/*.h "$destdir$prefix/include/spdk/"
install -D -m 644 -t "$destdir$prefix/include/spdk/module/keyring" include/spdk/module/keyring/*.h
[ ! -d include/spdk_internal ] || install -D -m 644 -t "$destdir$prefix/include/spdk_internal" include/spdk_internal/*.h
for header in crates/target/include/*.h crates/softverbs/include/*.h; do
	[ ! -f "$header" ] || install -m 644 "$header" "$destdir$prefix/include/"
done
for program in nvme-rdma-target nvme-rdma-perf softverbs-run nvme-rdma-preload; do
	install -m 755 "$dist/bin/$program" "$destdir$prefix/bin/"
	install -m 644 "man/$program.1" "$destdir$prefix/share/man/man1/"
done

# The demonstration in one file, with the shell functions that it uses: it finds the rest from its own place.
{
	sed '/^# shellcheck/,$d' scripts/demo.sh
	cat <<-'END'
		DIST=$(dirname "$(dirname "$(realpath "$0")")")
	END
	printf 'SOFTVERBS=$DIST%q\n' "${libdir#"$prefix"}/libsoftverbs.so"
	sed 1d scripts/lib.sh
	sed '1,/^\. .*lib\.sh"$/d' scripts/demo.sh
} >"$destdir$prefix/bin/nvme-rdma-demo"
chmod 755 "$destdir$prefix/bin/nvme-rdma-demo"
install -m 644 man/nvme-rdma-demo.1 "$destdir$prefix/share/man/man1/"

# quoted TEXT: as pkg-config takes it, which splits what it finds as a shell would.
quoted() {
	sed 's/[[:space:]"'"'"'\\]/\\&/g; s/\$/$$/g' <<<"$1"
}

# pc FILE DESCRIPTION LIBS REQUIRES-PRIVATE [VERSION]
pc() {
	cat >"$1.pc" <<-END
		prefix=$(quoted "$prefix")
		libdir=\${prefix}$(quoted "${libdir#"$prefix"}")
		includedir=\${prefix}/include

		Name: $(basename "$1")
		Description: $2
		Version: ${5:-$version}
		Requires.private: $4
		Libs: -L\${libdir} $3
		Libs.private: -lpthread -ldl -lm
		Cflags: -I\${includedir}
	END
}
# The host looks for the environment when it runs, so a program that calls none of it by name needs it all the same:
# neither a linker that leaves out what nobody asks for nor one that reads archives in order may pass it over.
environment='-Wl,--push-state,--no-as-needed,--undefined=spdk_get_ticks -lspdk_env_rdma -Wl,--pop-state'
rdma='librdmacm libibverbs'
pc "$lib/pkgconfig/spdk_nvme_rdma" 'NVMe-oF RDMA host with the API of libspdk_nvme' -lspdk_nvme_rdma "$rdma"
pc "$lib/pkgconfig/spdk_env_rdma" 'Environment for spdk_nvme_rdma with no DPDK, hugepages or root' "$environment" ''

# As SPDK's users ask for them. The number is that of the release whose API it is: programs compare it.
api=26.05
pc "$own/pkgconfig/spdk_nvme" 'libspdk_nvme, by spdk_nvme_rdma: RDMA alone' -lspdk_nvme_rdma "$rdma" $api
for name in env_dpdk util log; do
	pc "$own/pkgconfig/spdk_$name" "libspdk_$name, by spdk_env_rdma" "$environment" '' $api
done
pc "$own/pkgconfig/spdk_syslibs" 'What the archives of spdk_nvme_rdma and spdk_env_rdma need' '' "$rdma" $api

# One argument that links this host into a program beside SPDK's static libraries.
scripts/wrap-arguments.sh arguments "$libdir" >"$own/wrap.args"

# CMake's package. It finds the libraries from its own place.
sed -e "s/@VERSION@/$version/" -e "s,@LIBDIR@,${libdir#"$prefix"/}," scripts/cmake/nvme-rdma-config.cmake >"$lib/cmake/nvme-rdma/nvme-rdma-config.cmake"
sed "s/@VERSION@/$version/" scripts/cmake/nvme-rdma-config-version.cmake >"$lib/cmake/nvme-rdma/nvme-rdma-config-version.cmake"

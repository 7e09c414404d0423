#!/bin/bash
# install.sh DIST DESTDIR PREFIX: libraries, headers, programs and pkg-config files, laid out as distributions
# do.
#
# spdk_nvme_rdma.pc is the host alone: its environment is the program's. A program that has none adds spdk_env_rdma,
# one that is built on SPDK its spdk_env_dpdk; before or after, as it likes.
set -euo pipefail
cd "$(dirname "$0")/.."

dist=$1 destdir=$2 prefix=$3
version=$(sed -n '/^\[workspace.package\]/,/^\[/s/^version = "\(.*\)"/\1/p' Cargo.toml)
lib=$destdir$prefix/lib
install -d "$lib/pkgconfig" "$destdir$prefix/bin" "$destdir$prefix/include/spdk"

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
for name in spdk_nvme_rdma spdk_env_rdma; do
	install -m 644 "$dist/lib/lib$name.a" "$lib/"
done

install -m 644 include/spdk/*.h "$destdir$prefix/include/spdk/"
[ ! -d include/spdk_internal ] || install -D -m 644 -t "$destdir$prefix/include/spdk_internal" include/spdk_internal/*.h
for header in crates/target/include/*.h crates/softverbs/include/*.h; do
	[ ! -f "$header" ] || install -m 644 "$header" "$destdir$prefix/include/"
done
install -m 755 "$dist/bin/nvme-rdma-target" "$dist/bin/nvme-rdma-perf" "$destdir$prefix/bin/"

# pc NAME DESCRIPTION LIBS REQUIRES-PRIVATE
pc() {
	cat >"$lib/pkgconfig/$1.pc" <<-END
		prefix=$prefix
		libdir=\${prefix}/lib
		includedir=\${prefix}/include

		Name: $1
		Description: $2
		Version: $version
		Requires.private: $4
		Libs: -L\${libdir} $3
		Libs.private: -lpthread -ldl -lm
		Cflags: -I\${includedir}
	END
}
pc spdk_nvme_rdma 'NVMe-oF RDMA host with the API of libspdk_nvme' -lspdk_nvme_rdma 'librdmacm libibverbs'
# The host looks for the environment when it runs, so a program that calls none of it by name needs it all the same:
# neither a linker that leaves out what nobody asks for nor one that reads archives in order may pass it over.
pc spdk_env_rdma 'Environment for spdk_nvme_rdma with no DPDK, hugepages or root' \
	'-Wl,--push-state,--no-as-needed,--undefined=spdk_get_ticks -lspdk_env_rdma -Wl,--pop-state' ''

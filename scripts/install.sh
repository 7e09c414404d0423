#!/bin/bash
# install.sh DIST RELEASE DESTDIR PREFIX: libraries, headers, programs and pkg-config files, laid out as distributions do.
#
# spdk_nvme_rdma.pc is the host for a program that has SPDK's environment (libspdk_env_dpdk); spdk_nvme_rdma_standalone.pc
# is the host with our own.
set -euo pipefail
cd "$(dirname "$0")/.."

dist=$1 release=$2 destdir=$3 prefix=$4
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
	[ ! -f "$release/lib$name.a" ] || install -m 644 "$release/lib$name.a" "$lib/"
done

install -m 644 include/spdk/*.h "$destdir$prefix/include/spdk/"
for header in crates/target/include/*.h crates/softverbs/include/*.h; do
	[ ! -f "$header" ] || install -m 644 "$header" "$destdir$prefix/include/"
done
install -m 755 "$dist/bin/nvme-rdma-target" "$dist/bin/nvme-rdma-demo" "$destdir$prefix/bin/"

pc() {
	local name=$1 description=$2 libs=$3 requires=$4
	{
		printf 'prefix=%s\nlibdir=${prefix}/lib\nincludedir=${prefix}/include\n\n' "$prefix"
		printf 'Name: %s\nDescription: %s\nVersion: %s\n' "$name" "$description" "$version"
		[ -z "$requires" ] || printf 'Requires: %s\n' "$requires"
		printf 'Libs: -L${libdir}%s\n' "$libs"
		printf 'Libs.private: -lrdmacm -libverbs -lpthread -ldl -lm\nCflags: -I${includedir}\n'
	} >"$lib/pkgconfig/$name.pc"
}
pc spdk_nvme_rdma 'NVMe-oF RDMA host with the API of libspdk_nvme; the environment comes from the program' ' -lspdk_nvme_rdma' ''
pc spdk_env_rdma 'Environment for spdk_nvme_rdma with no DPDK, hugepages or root' ' -lspdk_env_rdma' ''
pc spdk_nvme_rdma_standalone 'NVMe-oF RDMA host with its own environment' '' 'spdk_nvme_rdma spdk_env_rdma'

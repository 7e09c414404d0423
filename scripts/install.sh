#!/bin/bash
# install.sh DIST RELEASE DESTDIR PREFIX: libraries, headers, programs and pkg-config files, laid out as distributions
# do.
#
# spdk_nvme_rdma.pc is the host alone: its environment is the program's. A program that has none adds spdk_env_rdma,
# one that is built on SPDK its spdk_env_dpdk.
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
[ ! -d include/spdk_internal ] || install -D -m 644 -t "$destdir$prefix/include/spdk_internal" include/spdk_internal/*.h
for header in crates/target/include/*.h crates/softverbs/include/*.h; do
	[ ! -f "$header" ] || install -m 644 "$header" "$destdir$prefix/include/"
done
install -m 755 "$dist/bin/nvme-rdma-target" "$dist/bin/nvme-rdma-demo" "$destdir$prefix/bin/"

pc() {
	cat >"$lib/pkgconfig/$1.pc" <<-END
		prefix=$prefix
		libdir=\${prefix}/lib
		includedir=\${prefix}/include

		Name: $1
		Description: $2
		Version: $version
		Libs: -L\${libdir} -l$1
		Libs.private: $3
		Cflags: -I\${includedir}
	END
}
pc spdk_nvme_rdma 'NVMe-oF RDMA host with the API of libspdk_nvme' '-lrdmacm -libverbs -lpthread -ldl -lm'
pc spdk_env_rdma 'Environment for spdk_nvme_rdma with no DPDK, hugepages or root' '-lpthread -ldl -lm'

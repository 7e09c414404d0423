#!/bin/bash
# deb.sh DIST OUT: three Debian packages in OUT, of what install.sh installs: libraries, what programs are built with, and tools.
#
# dpkg-deb over the installed tree, not cargo-deb: half of what is in them is not cargo's (archives, C programs, files for pkg-config, CMake
# and the linker), all of it is what `make install` installs and check-install.sh has tried, and nothing has to be downloaded
# for it.
set -euo pipefail
cd "$(dirname "$0")/.."

dist=$1 out=$2
version=$(sed -n '/^\[workspace.package\]/,/^\[/s/^version = "\(.*\)"/\1/p' Cargo.toml)
# The packages' own number: the same version packaged once more has the next one.
revision=$version-1
architecture=$(dpkg-architecture -qDEB_HOST_ARCH)
libdir=/usr/lib/$(dpkg-architecture -qDEB_HOST_MULTIARCH)
maintainer=${DEB_MAINTAINER:-nvme-rdma developers <nvme-rdma@localhost.localdomain>}
# The same source gives the same files.
: "${SOURCE_DATE_EPOCH:=$(git log -1 --format=%ct 2>/dev/null || date +%s)}"
export SOURCE_DATE_EPOCH

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
umask 022
scripts/install.sh "$dist" "$work/all" /usr "$libdir"
mkdir -p "$out"

# into PACKAGE PATH...: moves files, which begin with /, from the installed tree into a package's.
into() {
	local package=$1 path
	shift
	for path; do
		mkdir -p "$work/$package$(dirname "$path")"
		mv "$work/all$path" "$work/$package$path"
	done
}

runtime=libspdk-nvme-rdma0 development=libspdk-nvme-rdma-dev tools=nvme-rdma-tools
under() {
	(cd "$work/all" && find ".$1" -maxdepth 1 ! -type d -name "$2" | sed 's/^\.//' | LC_ALL=C sort)
}
mapfile -t files < <(under "$libdir" 'lib*.so.*')
into $runtime "${files[@]}"
# Preloaded and never linked with: what the tool needs is with it.
into $tools "$libdir/libsoftverbs.so" /usr/bin /usr/share/man
mapfile -t files < <(under "$libdir" 'lib*')
into $development "${files[@]}" "$libdir/pkgconfig" "$libdir/cmake" "$libdir/nvme-rdma-spdk" /usr/include
install -D -m 644 -t "$work/$development/usr/share/doc/$development/examples" examples/README.md examples/*.c
left=$(find "$work/all" ! -type d)
[ -z "$left" ] || { echo "deb.sh: in no package: $left" >&2; exit 1; }

while IFS= read -r file; do
	case $file in
	*.a) strip --strip-debug --enable-deterministic-archives "$file" ;;
	*) strip --strip-unneeded --remove-section=.comment --remove-section=.note "$file" ;;
	esac
done < <(find "$work/$runtime" "$work/$development" "$work/$tools" -type f \( -name 'lib*.so*' -o -name 'lib*.a' -o -path '*/usr/bin/*' ! -name nvme-rdma-demo \))
find "$work" -path '*/man1/*.1' -exec gzip -9n {} +

# shared_libraries PACKAGE: what its programs and libraries need, by dpkg's own account of who has which library.
shared_libraries() {
	local files
	mapfile -t files < <(find "$work/$1/usr" -type f \( -name 'lib*.so*' -o -path '*/usr/bin/*' ! -name nvme-rdma-demo \))
	# By its DEBIAN it knows the tree of a package.
	mkdir -p "$work/shlibs/debian" "$work/$1/DEBIAN"
	printf 'Source: nvme-rdma\n' >"$work/shlibs/debian/control"
	printf 'lib%s 0 %s (>= %s)\n' spdk_nvme_rdma $runtime "$version" spdk_env_rdma $runtime "$version" \
		>"$work/shlibs/debian/shlibs.local"
	(cd "$work/shlibs" && dpkg-shlibdeps -O --ignore-missing-info "-l$work/$runtime$libdir" "-l$work/$development$libdir" "${files[@]}") |
		sed -n "s/, $runtime ([^)]*)//; s/^shlibs:Depends=//p"
}

# package NAME SECTION DEPENDS SYNOPSIS <DESCRIPTION [FIELD: VALUE]...
package() {
	local name=$1 section=$2 depends=$3 synopsis=$4 tree=$work/$1 field
	shift 4
	install -d "$tree/DEBIAN" "$tree/usr/share/doc/$name"
	{
		printf 'Format: https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/\nUpstream-Name: nvme-rdma\n\n'
		printf 'Files: *\nCopyright: %s\nLicense: BSD-3-Clause\n' "$(sed -n 's/^Copyright (c) *//p' LICENSE | head -1)"
		sed '1,/^Copyright/d; s/^$/./; s/^/ /' LICENSE | sed '1{/^ \.$/d}'
	} >"$tree/usr/share/doc/$name/copyright"
	# What is new for a user is in the project's own.
	gzip -9n <CHANGELOG.md >"$tree/usr/share/doc/$name/changelog.gz"
	printf 'nvme-rdma (%s) unstable; urgency=medium\n\n  * Version %s of the project; changelog.gz says what is new.\n\n -- %s  %s\n' \
		"$revision" "$version" "$maintainer" "$(date -u -R -d "@$SOURCE_DATE_EPOCH")" |
		gzip -9n >"$tree/usr/share/doc/$name/changelog.Debian.gz"
	if [ -d "scripts/deb/$name" ]; then
		install -D -m 644 "scripts/deb/$name/lintian-overrides" "$tree/usr/share/lintian/overrides/$name"
	fi
	(cd "$tree" && find usr -type f -print0 | LC_ALL=C sort -z | xargs -0 md5sum) >"$tree/DEBIAN/md5sums"
	{
		printf '%s: %s\n' Package "$name" Source nvme-rdma Version "$revision" Architecture "$architecture" Maintainer "$maintainer" \
			Section "$section" Priority optional Depends "$depends"
		for field; do echo "$field"; done
		echo "Installed-Size: $(du -sk --exclude=DEBIAN "$tree" | cut -f1)"
		echo "Description: $synopsis"
		sed 's/^$/./; s/^/ /'
	} >"$tree/DEBIAN/control"
	find "$tree" -newermt "@$SOURCE_DATE_EPOCH" -print0 | xargs -0r touch --no-dereference --date="@$SOURCE_DATE_EPOCH"
	dpkg-deb --root-owner-group -Zxz --build "$tree" "$out" >/dev/null
	echo "$out/${name}_${revision}_$architecture.deb"
}

install -d "$work/$runtime/DEBIAN"
printf 'lib%s 0 %s (>= %s)\n' spdk_nvme_rdma $runtime "$version" spdk_env_rdma $runtime "$version" >"$work/$runtime/DEBIAN/shlibs"
echo 'activate-noawait ldconfig' >"$work/$runtime/DEBIAN/triggers"
# Assigned, so that what fails ends this.
of_runtime=$(shared_libraries $runtime)
package $runtime libs "$of_runtime" 'NVMe over Fabrics RDMA host with the API of SPDK' \
	'Multi-Arch: same' <<'END'
The RDMA host of SPDK, written anew behind SPDK's own C API: programs that
were built on SPDK v24.09 to v26.05 run with it as they are, linked with it or
with the library preloaded.

An environment for programs that have none (no DPDK, no hugepages, no root) is
with it.
END

of_development=$(shared_libraries $development)
package $development libdevel "$runtime (= $revision), $of_development, libibverbs-dev, librdmacm-dev" \
	'NVMe over Fabrics RDMA host with the API of SPDK (development files)' \
	'Conflicts: libspdk-dev' 'Suggests: pkgconf | pkg-config, nvme-rdma-tools' <<'END'
Headers, archives, and files for pkg-config and CMake; the response file that
links the host into programs beside SPDK's static libraries; a small target
that a test can hold in its own process; programs to start from.
END

of_tools=$(shared_libraries $tools)
package $tools utils "$runtime (= $revision), $of_tools" \
	'target and tools for NVMe over Fabrics with RDMA' <<'END'
A small NVMe over Fabrics target for tests, nvme-rdma-perf, which measures
targets, softverbs-run, which runs a program with RDMA in user space where
there is no device, nvme-rdma-preload, which gives a program of SPDK's
another RDMA host, and nvme-rdma-demo, which shows what it does.
END

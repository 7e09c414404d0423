#!/bin/bash
# check-packages.sh DEBS: the packages in the folder DEBS, as their user meets them: installed by apt in a root that has nothing but Debian's
# base and a compiler, a C program built there by pkg-config alone and run on softverbs, and everything purged again.
#
# The root is made by debootstrap once, in target/clean-root, and never written to again: each run works in a layer above it. That takes
# root and namespaces; without them it says so and does nothing more than lintian.
set -euo pipefail
cd "$(dirname "$0")/.."

debs=$(cd "$1" && pwd)
base=${CLEAN_ROOT:-${CARGO_TARGET_DIR:-$PWD/target}/clean-root}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

if command -v lintian >/dev/null; then
	# Who distributes the packages gives DEB_MAINTAINER; there is no bug in any list that the first version would close.
	lintian --allow-root --fail-on error,warning \
		--suppress-tags bogus-mail-host,bogus-mail-host-in-debian-changelog,initial-upload-closes-no-bugs "$debs"/*.deb
	echo 'check-packages.sh: lintian has no error and no warning'
fi

lacks=''
[ "$(id -u)" = 0 ] || lacks='this is not root'
command -v debootstrap >/dev/null || lacks='there is no debootstrap'
unshare --mount --pid --fork true 2>/dev/null || lacks='there are no namespaces to be had'
[ -n "$lacks" ] || apt-get -qq -o APT::Update::Error-Mode=any update >/dev/null 2>&1 || lacks='the archive of packages is not to be reached'
if [ -n "$lacks" ]; then
	echo "check-packages.sh: skipped: the packages are not installed in a clean root: $lacks" >&2
	exit 0
fi

if [ ! -f "$base/complete" ]; then
	echo "check-packages.sh: makes a clean root in $base, once"
	rm -rf "$base"
	mkdir -p "$base"
	# From where this machine has its own packages.
	site=$(apt-get indextargets --format '$(SITE)' 'Created-By: Packages' | grep -v security | head -1)
	# shellcheck source=/dev/null
	release=$(. /etc/os-release && echo "$VERSION_CODENAME")
	debootstrap --variant=minbase --include=gcc,libc6-dev,pkgconf "$release" "$base/root" "$site" >"$base/log" 2>&1 || {
		tail -20 "$base/log" >&2
		exit 1
	}
	touch "$base/complete"
fi

cat >"$work/program.c" <<'END_OF_PROGRAM'
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include "spdk/env.h"
#include "spdk/nvme.h"

static void done(void *arg, const struct spdk_nvme_cpl *cpl)
{
	*(int *)arg = spdk_nvme_cpl_is_error(cpl) ? -1 : 1;
}

static bool wait_for(struct spdk_nvme_qpair *qpair, const int *status)
{
	while (*status == 0 && spdk_nvme_qpair_process_completions(qpair, 0) >= 0) {
	}
	return *status == 1;
}

int main(int argc, char **argv)
{
	struct spdk_env_opts options = {.opts_size = sizeof(options)};
	struct spdk_nvme_transport_id trid = {0};
	struct spdk_nvme_ctrlr *ctrlr;
	struct spdk_nvme_qpair *qpair;
	struct spdk_nvme_ns *ns;
	int written = 0, read = 0;
	char *buffer;

	spdk_env_opts_init(&options);
	if (argc != 2 || spdk_env_init(&options) != 0 || spdk_nvme_transport_id_parse(&trid, argv[1]) != 0) {
		return 1;
	}
	ctrlr = spdk_nvme_connect(&trid, NULL, 0);
	if (ctrlr == NULL) {
		return 2;
	}
	ns = spdk_nvme_ctrlr_get_ns(ctrlr, 1);
	qpair = spdk_nvme_ctrlr_alloc_io_qpair(ctrlr, NULL, 0);
	buffer = spdk_zmalloc(4096, 4096, NULL, SPDK_ENV_NUMA_ID_ANY, SPDK_MALLOC_DMA);
	if (ns == NULL || qpair == NULL || buffer == NULL) {
		return 3;
	}
	strcpy(buffer, "what was written");
	if (spdk_nvme_ns_cmd_write(ns, qpair, buffer, 0, 8, done, &written, 0) != 0 || !wait_for(qpair, &written)) {
		return 4;
	}
	memset(buffer, 0, 4096);
	if (spdk_nvme_ns_cmd_read(ns, qpair, buffer, 0, 8, done, &read, 0) != 0 || !wait_for(qpair, &read)) {
		return 5;
	}
	puts(buffer);
	spdk_nvme_ctrlr_free_io_qpair(qpair);
	spdk_free(buffer);
	spdk_nvme_detach(ctrlr);
	spdk_env_fini();
	return 0;
}
END_OF_PROGRAM

# Runs in the root.
cat >"$work/inside.sh" <<'END_OF_SCRIPT'
#!/bin/sh
set -eu
cd /packages
export DEBIAN_FRONTEND=noninteractive PATH=/usr/sbin:/usr/bin:/sbin:/bin
say() {
	echo "check-packages.sh: in the clean root: $*"
}
apt-get update -qq
apt-get install -qq -y --no-install-recommends /packages/*.deb >words 2>&1 || { cat words; exit 1; }
say 'installed'

cc -std=c11 -Wall -Wextra -Werror program.c $(pkg-config --cflags --libs spdk_nvme_rdma spdk_env_rdma) -o program
cc -std=c11 -Wall -Wextra -Werror program.c \
	$(pkg-config --static --cflags --libs spdk_nvme_rdma spdk_env_rdma | sed 's/-l\(spdk_[a-z]*_rdma\)/-l:lib\1.a/g') -o program-archives
say 'a program is built by pkg-config alone'

: >target.out
softverbs-run --strict nvme-rdma-target --listen 127.0.0.1:0 >target.out 2>&1 &
target=$!
tries=0
until grep -q ^listening target.out; do
	tries=$((tries + 1))
	if ! kill -0 $target 2>/dev/null || [ $tries -gt 1200 ]; then cat target.out; exit 1; fi
	sleep 0.1
done
port=$(sed -n 's/^listening on .*:\([0-9]*\)$/\1/p' target.out)
for program in program program-archives; do
	found=$(timeout 120 softverbs-run --strict ./$program "trtype:RDMA adrfam:IPv4 traddr:127.0.0.1 trsvcid:$port subnqn:nqn.2016-06.io.spdk:cnode1")
	[ "$found" = 'what was written' ] || { echo "$program printed '$found'"; exit 1; }
done
if command -v nvme-rdma-perf >/dev/null; then
	timeout 120 softverbs-run nvme-rdma-perf -t 1 -r "trtype:RDMA adrfam:IPv4 traddr:127.0.0.1 trsvcid:$port subnqn:nqn.2016-06.io.spdk:cnode1" >words 2>&1 ||
		{ cat words; exit 1; }
fi
kill -TERM $target
wait $target || { cat target.out; exit 1; }
say 'it writes and reads on softverbs, shared and with the archives'

nvme-rdma-preload --check ./program | grep -q 'this host already'
nvme-rdma-preload true
SIZE=8M nvme-rdma-demo >words 2>&1 || { cat words; exit 1; }
say 'the demonstration is well'
cc /usr/share/doc/libspdk-nvme-rdma-dev/examples/first_io.c $(pkg-config --cflags --libs spdk_nvme_rdma spdk_env_rdma) -o first_io
for package in libspdk-nvme-rdma0 libspdk-nvme-rdma-dev nvme-rdma-tools; do
	dpkg -L $package | grep -q "^/usr/share/doc/$package/changelog.gz$"
done
for page in nvme-rdma-demo softverbs-run nvme-rdma-preload nvme-rdma-target nvme-rdma-perf; do
	# A minimal system may be told to leave manual pages out.
	dpkg -L nvme-rdma-tools | grep -q "/man1/$page.1.gz"
done

dpkg -L libspdk-nvme-rdma0 libspdk-nvme-rdma-dev nvme-rdma-tools | sort -u >ours
apt-get purge -qq -y libspdk-nvme-rdma0 libspdk-nvme-rdma-dev nvme-rdma-tools >words 2>&1 || { cat words; exit 1; }
apt-get autoremove --purge -qq -y >words 2>&1 || { cat words; exit 1; }
# Neither a file of theirs nor one that is named as if it were. What other packages leave is not theirs.
left=$(
	while IFS= read -r file; do [ -d "$file" ] || [ ! -e "$file" ] || echo "$file"; done <ours
	find / -xdev -regex '.*\(nvme.rdma\|spdk\|softverbs\).*' 2>/dev/null | grep -v '^/\(packages\|proc\|var\|tmp\)/' || true
)
[ -z "$left" ] || { echo "left behind: $left"; exit 1; }
say 'purged, and nothing is left'
END_OF_SCRIPT

# A layer above the root, in namespaces of its own: all of it is gone with them.
layer() {
	mount -t tmpfs tmpfs "$work/layer"
	mkdir "$work/layer/upper" "$work/layer/work" "$work/layer/root"
	mount -t overlay overlay -o "lowerdir=$base/root,upperdir=$work/layer/upper,workdir=$work/layer/work" "$work/layer/root"
	mkdir -p "$work/layer/root/packages"
	cp "$debs"/*.deb "$work/program.c" "$work/inside.sh" "$work/layer/root/packages/"
	cp --remove-destination /etc/resolv.conf "$work/layer/root/etc/resolv.conf"
	cp /etc/apt/apt.conf.d/*proxy* "$work/layer/root/etc/apt/apt.conf.d/" 2>/dev/null || true
	mount -t proc proc "$work/layer/root/proc"
	mount --rbind /dev "$work/layer/root/dev"
	exec chroot "$work/layer/root" sh /packages/inside.sh
}
mkdir "$work/layer"
export -f layer
export base work debs
unshare --mount --pid --fork --kill-child bash -euo pipefail -c layer

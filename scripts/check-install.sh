#!/bin/bash
# check-install.sh: installs into a folder of its own, and builds and runs a program against what is there, as a user
# would.
set -euo pipefail
# shellcheck source-path=SCRIPTDIR source=lib.sh
. "$(dirname "$0")/lib.sh"

"$ROOT/scripts/install.sh" "$DIST" "$(dirname "$DIST")/release" "$WORK/install" /usr
installed=$WORK/install/usr

cat >"$WORK/program.c" <<'END'
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
END
# pkg-config rewrites the paths of a .pc file when it is told where the root of the installation is.
export PKG_CONFIG_PATH=$installed/lib/pkgconfig PKG_CONFIG_SYSROOT_DIR=$WORK/install
read -r -a flags < <(pkg-config --cflags --libs spdk_nvme_rdma spdk_env_rdma)
"${CC:-gcc}" -Wall -Werror "$WORK/program.c" "${flags[@]}" -o "$WORK/program"
"${CC:-gcc}" -Wall -Werror "$WORK/program.c" "-I$installed/include" "-L$installed/lib" -l:libspdk_nvme_rdma.a \
	-l:libspdk_env_rdma.a -lrdmacm -libverbs -lpthread -ldl -lm -o "$WORK/static"
for program in program static; do
	found=$(LD_LIBRARY_PATH=$installed/lib "$WORK/$program")
	[ "$found" = 192.0.2.1 ] || die "the program printed '$found'"
done
for link in "$installed"/lib/*.so*; do
	[ -e "$link" ] || die "$link leads nowhere"
done
echo "check-install.sh: a program builds and runs on the installed files, with the shared and with the static libraries"

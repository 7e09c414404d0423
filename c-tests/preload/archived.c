/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * A program that has both libraries in itself, out of archives. The environment's log must be found without the dynamic
 * linker's help.
 */

#include "io.h"

int
main(void)
{
#define THIS(name) .name = name,
	static const struct api api = {HOST_FUNCTIONS(THIS) ENV_FUNCTIONS(THIS)};
	struct spdk_env_opts options = {.opts_size = sizeof(options)};
	struct spdk_nvme_transport_id trid;
	struct nvme_rdma_target *target;

	spdk_env_opts_init(&options);
	CHECK(spdk_env_init(&options) == 0);
	target = start_target(&api, &trid);
	use(&api, target, &trid);
	stop_target(&api, target);
	spdk_env_fini();
	puts("used");
	return 0;
}

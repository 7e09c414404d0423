/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * A program whose environment's clock has no rate before spdk_env_init, as SPDK's has. What is tried before that is
 * refused, and leaves no trace: with a rate of 0 each deadline would be over at once, then and for ever.
 */

#include <dlfcn.h>

#include "io.h"

static bool g_initialized;

/* Comes before the environment's own, which it is. */
uint64_t
spdk_get_ticks_hz(void)
{
	uint64_t (*real)(void);
	void *address = dlsym(RTLD_NEXT, "spdk_get_ticks_hz");

	CHECK(address != NULL);
	memcpy(&real, &address, sizeof(address));
	return g_initialized ? real() : 0;
}

int
main(void)
{
#define THIS(name) .name = name,
	static const struct api api = {HOST_FUNCTIONS(THIS) ENV_FUNCTIONS(THIS)};
	struct spdk_env_opts options = {.opts_size = sizeof(options)};
	struct spdk_nvme_transport_id trid;
	struct nvme_rdma_target *target;

	target = start_target(&api, &trid);
	CHECK(spdk_nvme_connect(&trid, NULL, 0) == NULL);
	CHECK(spdk_nvme_probe(&trid, NULL, NULL, NULL, NULL) == -1);

	spdk_env_opts_init(&options);
	CHECK(spdk_env_init(&options) == 0);
	g_initialized = true;
	use(&api, target, &trid);
	stop_target(&api, target);
	spdk_env_fini();
	puts("used");
	return 0;
}

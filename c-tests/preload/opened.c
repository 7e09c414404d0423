/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * opened HOST ENV ORDER: a program that is linked with neither library and opens both, with symbols that nobody else
 * sees, as languages do that call C by a foreign function interface. ORDER is env-first, host-first, or late: then the
 * host is used before there is an environment, which must be an error, and once more when there is one.
 */

#include <dlfcn.h>

#include "io.h"

static struct api g_api;

/* Stores a symbol's address in a pointer to a function. */
static void
find(void *library, const char *name, void *pointer)
{
	void *address = dlsym(library, name);

	if (address == NULL) {
		printf("%s\n", dlerror());
		exit(1);
	}
	memcpy(pointer, &address, sizeof(address));
}

#define FIND(name) find(library, #name, &g_api.name);

static void
open_host(const char *path)
{
	void *library = dlopen(path, RTLD_NOW | RTLD_LOCAL);

	if (library == NULL) {
		printf("%s\n", dlerror());
		exit(1);
	}
	HOST_FUNCTIONS(FIND)
}

static void
open_env(const char *path)
{
	void *library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
	struct spdk_env_opts options = {.opts_size = sizeof(options)};

	if (library == NULL) {
		printf("%s\n", dlerror());
		exit(1);
	}
	ENV_FUNCTIONS(FIND)
	g_api.spdk_env_opts_init(&options);
	CHECK(g_api.spdk_env_init(&options) == 0);
}

static void
attach(void *cb_ctx, const struct spdk_nvme_transport_id *trid, struct spdk_nvme_ctrlr *ctrlr,
       const struct spdk_nvme_ctrlr_opts *opts)
{
	(void)cb_ctx, (void)trid, (void)ctrlr, (void)opts;
	CHECK(!"nothing can be attached");
}

int
main(int argc, char **argv)
{
	struct spdk_nvme_transport_id trid, other;
	struct nvme_rdma_target *target;

	CHECK(argc == 4);
	CHECK(dlsym(RTLD_DEFAULT, "spdk_get_ticks") == NULL && dlsym(RTLD_DEFAULT, "spdk_nvme_connect") == NULL);
	if (strcmp(argv[3], "env-first") == 0) {
		open_env(argv[2]);
	}
	open_host(argv[1]);
	if (strcmp(argv[3], "host-first") == 0) {
		open_env(argv[2]);
	}
	target = start_target(&g_api, &trid);
	if (strcmp(argv[3], "late") == 0) {
		CHECK(g_api.spdk_nvme_connect(&trid, NULL, 0) == NULL);
		CHECK(g_api.spdk_nvme_probe(&trid, NULL, NULL, attach, NULL) == -1);
		/* What would be another library's is not kept from it: there is none. */
		other = trid;
		other.trtype = SPDK_NVME_TRANSPORT_TCP;
		CHECK(g_api.spdk_nvme_connect(&other, NULL, 0) == NULL);
		/* Nor is this worth a line: a program may ask it again and again. */
		other.trtype = SPDK_NVME_TRANSPORT_PCIE;
		CHECK(g_api.spdk_nvme_scan_attached(&other) == 0);
		open_env(argv[2]);
	}
	use(&g_api, target, &trid);
	stop_target(&g_api, target);
	g_api.spdk_env_fini();
	puts("used");
	return 0;
}

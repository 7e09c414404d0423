/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * A host and an environment, however a program came by them, and what can be done with them: a controller of a target in
 * this process is attached, written and read. To be included once.
 */

#ifndef IO_H
#define IO_H

#include <stdarg.h>
#include <time.h>

#include "spdk/env.h"
#include "spdk/log.h"
#include "spdk/nvme.h"
#include "spdk/nvme_rdma.h"
#include "nvme_rdma_target.h"

#define CHECK(condition) \
	do { \
		if (!(condition)) { \
			printf("%s:%d: %s\n", __FILE__, __LINE__, #condition); \
			exit(1); \
		} \
	} while (0)

/* X(name): every function that is used here. */
#define HOST_FUNCTIONS(X) \
	X(spdk_nvme_transport_id_parse) X(spdk_nvme_connect) X(spdk_nvme_probe) X(spdk_nvme_detach) \
	X(spdk_nvme_ctrlr_get_ns) X(spdk_nvme_ctrlr_alloc_io_qpair) X(spdk_nvme_ctrlr_free_io_qpair) \
	X(spdk_nvme_ns_cmd_write) X(spdk_nvme_ns_cmd_read) X(spdk_nvme_qpair_process_completions) \
	X(spdk_nvme_rdma_set_wait_hook) X(spdk_nvme_scan_attached)
#define ENV_FUNCTIONS(X) \
	X(spdk_env_opts_init) X(spdk_env_init) X(spdk_env_fini) X(spdk_dma_zmalloc) X(spdk_dma_free) X(spdk_log_open) \
	X(spdk_log_close)

struct api {
#define MEMBER(name) __typeof__(&name) name;
	HOST_FUNCTIONS(MEMBER)
	ENV_FUNCTIONS(MEMBER)
};

enum { SIZE = 4096, PATTERN = 0x5a };

static int g_done;
static int g_log_errors;
static char g_last_error[512];

static void
on_log(int level, const char *file, const int line, const char *func, const char *format, va_list args)
{
	(void)file, (void)line, (void)func;
	if (level == SPDK_LOG_ERROR) {
		g_log_errors++;
		vsnprintf(g_last_error, sizeof(g_last_error), format, args);
	}
}

static void
poll_target(void *target)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	nvme_rdma_target_poll(target, (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec);
}

static void
done(void *arg, const struct spdk_nvme_cpl *cpl)
{
	CHECK(arg == &g_done && spdk_nvme_cpl_is_success(cpl));
	g_done++;
}

static void
wait_for(const struct api *api, struct nvme_rdma_target *target, struct spdk_nvme_qpair *qpair, int count)
{
	while (g_done < count) {
		poll_target(target);
		CHECK(api->spdk_nvme_qpair_process_completions(qpair, 0) >= 0);
	}
}

/* A target whose transport id is in trid from then on. */
static struct nvme_rdma_target *
start_target(const struct api *api, struct spdk_nvme_transport_id *trid)
{
	const char *subsystems[] = {"nqn.2016-06.io.spdk:cnode1,ns=1M"};
	struct nvme_rdma_target_options options;
	struct nvme_rdma_target *target;
	char text[256];

	nvme_rdma_target_options_init(&options, sizeof(options));
	options.listen = "127.0.0.1:0";
	options.subsystems = subsystems;
	options.subsystem_count = 1;
	CHECK(nvme_rdma_target_start(&options, &target) == 0);
	snprintf(text, sizeof(text), "trtype:RDMA adrfam:IPv4 traddr:127.0.0.1 trsvcid:%d subnqn:nqn.2016-06.io.spdk:cnode1",
		 nvme_rdma_target_port(target, 0));
	memset(trid, 0, sizeof(*trid));
	CHECK(api->spdk_nvme_transport_id_parse(trid, text) == 0);
	api->spdk_nvme_rdma_set_wait_hook(poll_target, target);
	return target;
}

static void
stop_target(const struct api *api, struct nvme_rdma_target *target)
{
	api->spdk_nvme_rdma_set_wait_hook(NULL, NULL);
	nvme_rdma_target_stop(target);
}

/* Writes and reads; then makes an error, which has to reach the log that the program opened in the environment. */
static void
use(const struct api *api, struct nvme_rdma_target *target, struct spdk_nvme_transport_id *trid)
{
	struct spdk_nvme_ctrlr *ctrlr = api->spdk_nvme_connect(trid, NULL, 0);
	struct spdk_nvme_qpair *qpair;
	struct spdk_nvme_ns *ns;
	unsigned char *buffer;

	CHECK(ctrlr != NULL);
	ns = api->spdk_nvme_ctrlr_get_ns(ctrlr, 1);
	qpair = api->spdk_nvme_ctrlr_alloc_io_qpair(ctrlr, NULL, 0);
	buffer = api->spdk_dma_zmalloc(SIZE, SIZE, NULL);
	CHECK(ns != NULL && qpair != NULL && buffer != NULL);
	memset(buffer, PATTERN, SIZE);
	CHECK(api->spdk_nvme_ns_cmd_write(ns, qpair, buffer, 8, SIZE / 512, done, &g_done, 0) == 0);
	wait_for(api, target, qpair, 1);
	memset(buffer, 0, SIZE);
	CHECK(api->spdk_nvme_ns_cmd_read(ns, qpair, buffer, 8, SIZE / 512, done, &g_done, 0) == 0);
	wait_for(api, target, qpair, 2);
	CHECK(buffer[0] == PATTERN && buffer[SIZE - 1] == PATTERN);
	CHECK(api->spdk_nvme_ctrlr_free_io_qpair(qpair) == 0);
	api->spdk_dma_free(buffer);
	CHECK(api->spdk_nvme_detach(ctrlr) == 0);

	api->spdk_log_open(on_log);
	g_log_errors = 0;
	CHECK(api->spdk_nvme_connect(NULL, NULL, 0) == NULL);
	CHECK(g_log_errors == 1 && strcmp(g_last_error, "no transport id given\n") == 0);
	api->spdk_log_close();
}

#endif /* IO_H */

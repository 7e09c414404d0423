/* SPDX-License-Identifier: BSD-3-Clause */

/* For programs of one file that hold host and target: the environment, a target that is polled while the host waits, and where it is. */
#ifndef ABI_IN_PROCESS_H
#define ABI_IN_PROCESS_H

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "nvme_rdma_target.h"
#include "spdk/env.h"
#include "spdk/nvme.h"
#include "spdk/nvme_rdma.h"

#define SUBSYSTEM "nqn.2016-06.io.spdk:cnode1"
/* What the target's subsystem has, as the target is told it. */
#ifndef SUBSYSTEM_OPTIONS
#define SUBSYSTEM_OPTIONS ""
#endif
/* How long a connection may take, for memcheck's sake. */
#define PATIENCE_US 30000000

static struct nvme_rdma_target *g_target;

static void
check(bool good, const char *what)
{
	if (!good) {
		fprintf(stderr, "cannot go on: %s\n", what);
		exit(1);
	}
}

static void
poll_target(void *target)
{
	nvme_rdma_target_poll(target, (uint64_t)((double)spdk_get_ticks() * 1e9 / (double)spdk_get_ticks_hz()));
}

/* Starts both; `trid` is where the target listens. */
static void
begin_in_process(struct spdk_nvme_transport_id *trid)
{
	static const char *const subsystems[] = {SUBSYSTEM SUBSYSTEM_OPTIONS};
	struct nvme_rdma_target_options options;
	struct spdk_env_opts env_opts;
	char text[256];

	env_opts.opts_size = sizeof(env_opts);
	spdk_env_opts_init(&env_opts);
	check(spdk_env_init(&env_opts) == 0, "the environment");
	nvme_rdma_target_options_init(&options, sizeof(options));
	options.listen = "127.0.0.1:0";
	options.subsystems = subsystems;
	options.subsystem_count = 1;
	check(nvme_rdma_target_start(&options, &g_target) == 0, "the target");
	spdk_nvme_rdma_set_wait_hook(poll_target, g_target);
	memset(trid, 0, sizeof(*trid));
	snprintf(text, sizeof(text), "trtype:RDMA adrfam:IPv4 traddr:127.0.0.1 trsvcid:%d subnqn:%s",
		 nvme_rdma_target_port(g_target, 0), SUBSYSTEM);
	check(spdk_nvme_transport_id_parse(trid, text) == 0, "the transport id");
}

#endif

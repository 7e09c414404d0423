/* SPDX-License-Identifier: BSD-3-Clause */

/* See in_process.h. */

#include "in_process.h"

#include <dlfcn.h>
#include <infiniband/verbs.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "nvme_rdma_target.h"
#include "spdk/nvme_rdma.h"

#include "common.h"
#include "ticks.h"

static struct nvme_rdma_target *g_target;
/* What the target was started with, for one that follows it. */
static char g_nqn[SPDK_NVMF_NQN_MAX_LEN + 1];
static uint64_t g_size;
static struct in_process_room g_room;
static char g_listen[200];
static bool g_in_target, g_held;
static int (*g_post)(struct ibv_qp *qp, struct ibv_send_wr *requests, struct ibv_send_wr **refused);

static void on_wait(void *argument)
{
	(void)argument;
	in_process_poll();
}

static void give_up(const char *what)
{
	fprintf(stderr, "%s: %s\n", what, nvme_rdma_target_error());
	exit(EXIT_WRONG);
}

void in_process_start(const char *nqn, uint64_t size, struct spdk_nvme_transport_id *trid)
{
	static const struct in_process_room room = {.lingers = true};

	in_process_start_with(nqn, size, &room, trid);
}

void in_process_start_with(const char *nqn, uint64_t size, const struct in_process_room *room,
			   struct spdk_nvme_transport_id *trid)
{
	struct nvme_rdma_target_options options;
	static const char one_more[] = ",ns=512";
	size_t more = room->more_namespaces * (sizeof(one_more) - 1), index;
	char *subsystem = malloc(300 + more), *end;
	const char *subsystems[] = {subsystem};

	if (subsystem == NULL) {
		give_up("no memory for a target");
	}
	end = subsystem + snprintf(subsystem, 300, "%s,ns=%llu%s", nqn, (unsigned long long)size,
				   room->format == NULL ? "" : room->format);
	for (index = 0; index < room->more_namespaces; index++) {
		memcpy(end, one_more, sizeof(one_more));
		end += sizeof(one_more) - 1;
	}
	nvme_rdma_target_options_init(&options, sizeof(options));
	options.listen = room->listen == NULL ? "127.0.0.1:0" : room->listen;
	options.subsystems = subsystems;
	options.subsystem_count = 1;
	if (room->queue_entries != 0) {
		options.queue_entries = room->queue_entries;
	}
	if (room->io_queues != 0) {
		options.io_queues = room->io_queues;
	}
	if (room->mdts != 0) {
		options.mdts = room->mdts;
	}
	if (!room->lingers) {
		options.linger_ms = 0;
	}
	if (nvme_rdma_target_start(&options, &g_target) != 0) {
		give_up("no target in this process");
	}
	free(subsystem);
	if (nqn != g_nqn) {
		snprintf(g_nqn, sizeof(g_nqn), "%s", nqn);
	}
	g_size = size;
	g_room = *room;
	in_process_trid(0, trid);
	spdk_nvme_rdma_set_wait_hook(on_wait, NULL);
}

void in_process_trid(unsigned listener, struct spdk_nvme_transport_id *trid)
{
	char text[400];
	int port = nvme_rdma_target_port(g_target, listener);

	if (port < 0) {
		give_up("no such listener of the target in this process");
	}
	snprintf(text, sizeof(text), "trtype:RDMA adrfam:IPv4 traddr:127.0.0.1 trsvcid:%d subnqn:%s", port, g_nqn);
	if (!trid_read(trid, text)) {
		exit(EXIT_WRONG);
	}
}

void in_process_down(void)
{
	size_t length = 0;
	unsigned index;
	int port;

	for (index = 0; (port = nvme_rdma_target_port(g_target, index)) >= 0; index++) {
		length += (size_t)snprintf(g_listen + length, sizeof(g_listen) - length, "%s127.0.0.1:%d", index == 0 ? "" : ",", port);
		if (length >= sizeof(g_listen)) {
			give_up("too many listeners");
		}
	}
	nvme_rdma_target_stop(g_target);
	g_target = NULL;
}

void in_process_up(void)
{
	struct in_process_room room = g_room;
	struct spdk_nvme_transport_id trid;

	room.listen = g_listen;
	in_process_start_with(g_nqn, g_size, &room, &trid);
}

void in_process_tell(const char *command)
{
	if (nvme_rdma_target_control(g_target, command) != 0) {
		give_up(command);
	}
}

void in_process_count(struct in_process_counts *counts)
{
	struct nvme_rdma_target_counters counters = {.size = sizeof(counters)};

	if (nvme_rdma_target_get_counters(g_target, &counters) != 0) {
		give_up("the counters");
	}
	counts->connections = (unsigned)nvme_rdma_target_connections(g_target);
	counts->keep_alives = counters.keep_alives;
}

/* How much there was to do. */
static int poll_target(void)
{
	struct timespec time;
	int done;

	if (g_target == NULL) {
		return 0;
	}
	clock_gettime(CLOCK_MONOTONIC, &time);
	g_in_target = true;
	done = nvme_rdma_target_poll(g_target, (uint64_t)time.tv_sec * 1000000000u + (uint64_t)time.tv_nsec + ticks_skipped());
	g_in_target = false;
	if (done < 0) {
		give_up("the target in this process");
	}
	return done;
}

void in_process_poll(void)
{
	poll_target();
}

void in_process_settle(void)
{
	while (poll_target() > 0) {
	}
}

/* Stands in for the provider's, whose name it has so that scripts/callgrind.awk counts it as that. */
static int post_send(struct ibv_qp *qp, struct ibv_send_wr *requests, struct ibv_send_wr **refused)
{
	int rc = g_post(qp, requests, refused);

	if (!g_in_target && !g_held) {
		in_process_settle();
	}
	return rc;
}

void in_process_hold(bool hold)
{
	g_held = hold;
}

void in_process_answer_at_once(void)
{
	struct ibv_context **(*devices)(int *) = NULL;
	void (*free_devices)(struct ibv_context **) = NULL;
	struct ibv_context **contexts;
	int count = 0, index;

	*(void **)&devices = dlsym(RTLD_DEFAULT, "rdma_get_devices");
	*(void **)&free_devices = dlsym(RTLD_DEFAULT, "rdma_free_devices");
	contexts = devices == NULL || free_devices == NULL ? NULL : devices(&count);
	if (contexts == NULL || count == 0) {
		fprintf(stderr, "no RDMA device\n");
		exit(EXIT_WRONG);
	}
	for (index = 0; index < count; index++) {
		if (contexts[index]->ops.post_send != post_send) {
			g_post = contexts[index]->ops.post_send;
			contexts[index]->ops.post_send = post_send;
		}
	}
	/* The list alone: the library of the host has the devices open, and so the contexts stay. */
	free_devices(contexts);
}

static int value_of(enum misbehaviour how)
{
	switch (how) {
	case CID_OUT_OF_RANGE:
		return NVME_RDMA_TARGET_CID_OUT_OF_RANGE;
	case CID_IDLE:
		return NVME_RDMA_TARGET_CID_IDLE;
	case REPEAT_RESPONSE:
		return NVME_RDMA_TARGET_REPEAT_RESPONSE;
	case SILENT:
		return NVME_RDMA_TARGET_SILENT;
	case REJECT:
		return NVME_RDMA_TARGET_REJECT_CONNECTIONS;
	}
	return 0;
}

void in_process_misbehave(enum misbehaviour how, uint64_t after)
{
	if (nvme_rdma_target_misbehave(g_target, value_of(how), after) != 0) {
		give_up("the target does not misbehave");
	}
}

void in_process_behave(enum misbehaviour how)
{
	if (nvme_rdma_target_behave(g_target, value_of(how)) != 0) {
		give_up("the target does not behave");
	}
}

void in_process_stop(void)
{
	spdk_nvme_rdma_set_wait_hook(NULL, NULL);
	nvme_rdma_target_stop(g_target);
	g_target = NULL;
}

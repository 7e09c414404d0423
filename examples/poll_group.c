/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * poll_group -r TRID: reads from many qpairs, each with many requests in flight, all polled by one call.
 *
 * A poll group is how one thread serves many connections: members that have nothing to say cost it nothing. A group and its members belong to
 * one thread at a time; a program with several threads gives each a group and qpairs of its own.
 *
 * The Admin Queue is no member, and is polled as well, now and then: the keep-alive goes out from there. A target ends a controller of which it
 * has not heard for ten seconds or so.
 */

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "spdk/env.h"
#include "spdk/nvme.h"

#define QPAIRS 16
#define DEPTH 8 /* requests in flight on each qpair */
#define READS_EACH 1000 /* of each qpair */

/* One qpair, and what there is to do on it. */
struct member {
	struct spdk_nvme_qpair *qpair;
	struct spdk_nvme_ns *ns;
	unsigned to_submit;
	unsigned in_flight;
	unsigned failed;
};

/* One of its requests: they have a buffer each, and go out again as they come back. */
struct request {
	struct member *member;
	void *buffer;
};

static struct member g_members[QPAIRS];
static struct request g_requests[QPAIRS * DEPTH];
static bool g_lost;

static void submit(struct request *request);

static void on_complete(void *argument, const struct spdk_nvme_cpl *cpl)
{
	struct request *request = argument;

	request->member->in_flight--;
	if (spdk_nvme_cpl_is_error(cpl)) {
		request->member->failed++;
	} else {
		submit(request); /* a callback may submit */
	}
}

static void submit(struct request *request)
{
	struct member *member = request->member;
	uint64_t lba = member->to_submit % spdk_nvme_ns_get_num_sectors(member->ns);

	if (member->to_submit == 0 || g_lost) {
		return;
	}
	if (spdk_nvme_ns_cmd_read(member->ns, member->qpair, request->buffer, lba, 1, on_complete, request, 0) == 0) {
		member->to_submit--;
		member->in_flight++;
	} else {
		member->failed++;
	}
}

/* The group tells which member has lost its connection. Its requests come back, with an error, before or after this. */
static void on_disconnected(struct spdk_nvme_qpair *qpair, void *context)
{
	(void)qpair;
	(void)context;
	g_lost = true;
}

/* One turn. False if a connection was lost. */
static bool poll_all(struct spdk_nvme_ctrlr *ctrlr, struct spdk_nvme_poll_group *group)
{
	static uint64_t next_admin;

	if (spdk_get_ticks() >= next_admin) {
		next_admin = spdk_get_ticks() + spdk_get_ticks_hz() / 10;
		if (spdk_nvme_ctrlr_process_admin_completions(ctrlr) < 0) {
			return false;
		}
	}
	return spdk_nvme_poll_group_process_completions(group, 0, on_disconnected) >= 0;
}

static bool any_in_flight(void)
{
	unsigned index;

	for (index = 0; index < QPAIRS; index++) {
		if (g_members[index].in_flight != 0) {
			return true;
		}
	}
	return false;
}

/*
 * Makes a member. In a group a qpair is made first, then added, and then connected. With async_mode the connecting goes on while the group is polled,
 * so all of them connect at the same time.
 */
static bool member_open(struct member *member, struct spdk_nvme_ctrlr *ctrlr, struct spdk_nvme_poll_group *group)
{
	struct spdk_nvme_io_qpair_opts opts;

	spdk_nvme_ctrlr_get_default_io_qpair_opts(ctrlr, &opts, sizeof(opts));
	opts.create_only = true;
	opts.async_mode = true;
	opts.delay_cmd_submit = true; /* what is submitted in one turn goes out together, at the next poll */
	member->qpair = spdk_nvme_ctrlr_alloc_io_qpair(ctrlr, &opts, sizeof(opts));
	return member->qpair != NULL && spdk_nvme_poll_group_add(group, member->qpair) == 0 &&
	       spdk_nvme_ctrlr_connect_io_qpair(ctrlr, member->qpair) == 0;
}

static bool run(struct spdk_nvme_ctrlr *ctrlr, struct spdk_nvme_ns *ns, struct spdk_nvme_poll_group *group, uint8_t *buffers)
{
	uint32_t sector = spdk_nvme_ns_get_sector_size(ns);
	unsigned index, failed = 0;
	int rc;

	for (index = 0; index < QPAIRS; index++) {
		g_members[index].ns = ns;
		g_members[index].to_submit = READS_EACH;
		if (!member_open(&g_members[index], ctrlr, group)) {
			fprintf(stderr, "qpair %u was refused\n", index);
			return false;
		}
	}
	/* -EAGAIN while some are on their way; the deadline of each is the library's. */
	while ((rc = spdk_nvme_poll_group_all_connected(group)) != 0 && !g_lost) {
		if (!poll_all(ctrlr, group)) {
			break;
		}
	}
	if (rc != 0) {
		fprintf(stderr, "not all qpairs are connected\n");
		return false;
	}
	printf("%d qpairs are connected\n", QPAIRS);

	for (index = 0; index < QPAIRS * DEPTH; index++) {
		g_requests[index].member = &g_members[index % QPAIRS];
		g_requests[index].buffer = buffers + (size_t)index * sector;
		submit(&g_requests[index]);
	}
	while (any_in_flight()) {
		if (!poll_all(ctrlr, group)) {
			break; /* whatever is still under way ends when the qpairs are freed */
		}
	}
	for (index = 0; index < QPAIRS; index++) {
		failed += g_members[index].failed + g_members[index].to_submit + g_members[index].in_flight;
	}
	printf("%d reads, %u of them did not go well\n", QPAIRS * READS_EACH, failed);
	return failed == 0;
}

int main(int argc, char **argv)
{
	struct spdk_nvme_transport_id trid;
	struct spdk_env_opts opts;
	struct spdk_nvme_ctrlr *ctrlr;
	struct spdk_nvme_ns *ns;
	struct spdk_nvme_poll_group *group;
	uint8_t *buffers = NULL;
	bool good = false;
	unsigned index;

	memset(&trid, 0, sizeof(trid));
	if (argc != 3 || strcmp(argv[1], "-r") != 0 || spdk_nvme_transport_id_parse(&trid, argv[2]) != 0) {
		fprintf(stderr, "usage: %s -r 'trtype:RDMA adrfam:IPv4 traddr:ADDRESS trsvcid:PORT subnqn:NQN'\n", argv[0]);
		return 1;
	}
	memset(&opts, 0, sizeof(opts));
	opts.opts_size = sizeof(opts);
	spdk_env_opts_init(&opts);
	opts.name = "poll_group";
	if (spdk_env_init(&opts) != 0) {
		return 1;
	}
	ctrlr = spdk_nvme_connect(&trid, NULL, 0);
	if (ctrlr == NULL) {
		spdk_env_fini();
		return 1;
	}
	ns = spdk_nvme_ctrlr_get_ns(ctrlr, spdk_nvme_ctrlr_get_first_active_ns(ctrlr));
	group = spdk_nvme_poll_group_create(NULL, NULL);
	if (ns != NULL && group != NULL) {
		buffers = spdk_dma_zmalloc((size_t)QPAIRS * DEPTH * spdk_nvme_ns_get_sector_size(ns), 4096, NULL);
		good = buffers != NULL && run(ctrlr, ns, group, buffers);
	}

	/* A qpair that is freed leaves its group; an empty group can be destroyed. */
	g_lost = true; /* what still comes back is not submitted again */
	for (index = 0; index < QPAIRS; index++) {
		if (g_members[index].qpair != NULL) {
			spdk_nvme_ctrlr_free_io_qpair(g_members[index].qpair);
		}
	}
	if (group != NULL) {
		spdk_nvme_poll_group_destroy(group);
	}
	spdk_dma_free(buffers);
	spdk_nvme_detach(ctrlr);
	spdk_env_fini();
	return good ? 0 : 1;
}

/* SPDX-License-Identifier: BSD-3-Clause */

/* See load.h. */

#include "load.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "spdk/env.h"

#include "common.h"
#include "in_process.h"
#include "ticks.h"

#define NAMESPACE_BYTES (8u << 20)
/* Neither inlined nor made anew for one of its callers under another name; clang does not know the second word and does no such thing. */
#ifdef __clang__
#define NAMED __attribute__((noinline))
#else
#define NAMED __attribute__((noinline, noclone))
#endif

void bench_open(struct session *session, const char *name, unsigned slowness)
{
	/* Room for 255 commands in a queue and for 1,000 queues; a queue id is free again at once. */
	static const struct in_process_room room = {.queue_entries = 256, .io_queues = 1024, .mdts = BENCH_MDTS, .lingers = false};
	struct spdk_nvme_transport_id trid;
	struct spdk_nvme_ctrlr_opts opts;

	ticks_go_slower(slowness);
	if (!environment_start(name)) {
		exit(EXIT_WRONG);
	}
	in_process_start_with("nqn.2016-06.io.spdk:bench", NAMESPACE_BYTES, &room, &trid);
	spdk_nvme_ctrlr_get_default_ctrlr_opts(&opts, sizeof(opts));
	opts.fabrics_connect_timeout_us = FABRICS_CONNECT_SECONDS * 1000 * 1000;
	/* Under callgrind a section may take longer than the target would wait for a sign of life, and a benchmark gives none. */
	opts.keep_alive_timeout_ms = 0;
	session_of(session, &trid, spdk_nvme_connect(&trid, &opts, sizeof(opts)));
	if (spdk_nvme_ns_get_max_io_xfer_size(session->ns) != BENCH_LARGEST_TRANSFER) {
		fprintf(stderr, "bench: the largest transfer is %u bytes, expected %u\n",
			spdk_nvme_ns_get_max_io_xfer_size(session->ns), BENCH_LARGEST_TRANSFER);
		exit(EXIT_WRONG);
	}
	/* What is measured is the host: it is never to poll in vain for what a real device would have done meanwhile. */
	in_process_answer_at_once();
}

void bench_close(struct session *session)
{
	session_close(session);
	in_process_stop();
	spdk_env_fini();
}

static void give_up(const char *what, int rc)
{
	fprintf(stderr, "bench: %s: %s\n", what, strerror(abs(rc)));
	exit(EXIT_WRONG);
}

struct spdk_nvme_poll_group *group_open(void)
{
	struct spdk_nvme_poll_group *group = spdk_nvme_poll_group_create(NULL, NULL);

	if (group == NULL) {
		give_up("no poll group", ENOMEM);
	}
	return group;
}

struct spdk_nvme_qpair *qpair_make(struct session *session, const struct shape *shape)
{
	struct spdk_nvme_io_qpair_opts options;
	struct spdk_nvme_qpair *qpair;

	spdk_nvme_ctrlr_get_default_io_qpair_opts(session->ctrlr, &options, sizeof(options));
	options.create_only = true;
	options.delay_cmd_submit = shape->delay;
	if (shape->queue_size != 0) {
		options.io_queue_size = shape->queue_size;
	}
	if (shape->requests != 0) {
		options.io_queue_requests = shape->requests;
	}
	qpair = bench_allocate(session, &options);
	if (qpair == NULL || (shape->group != NULL && spdk_nvme_poll_group_add(shape->group, qpair) != 0)) {
		give_up("no qpair", ENOMEM);
	}
	return qpair;
}

struct spdk_nvme_qpair *qpair_make_connected(struct session *session, const struct shape *shape)
{
	struct spdk_nvme_qpair *qpair = qpair_make(session, shape);
	int rc = bench_connect(session, qpair);

	if (rc != 0) {
		give_up("a qpair does not connect", rc);
	}
	return qpair;
}

void qpair_end(struct spdk_nvme_qpair *qpair)
{
	int rc = bench_free(qpair);

	if (rc != 0) {
		give_up("a qpair is not freed", rc);
	}
}

static void on_complete(void *argument, const struct spdk_nvme_cpl *cpl)
{
	struct load_request *request = argument;
	struct load *load = request->load;
	enum io_end end = ledger_end(&load->ledger, &request->state, cpl);

	if (end != IO_COMPLETED && !(load->ending && end == IO_ABORTED)) {
		load->failed = true;
		return;
	}
	request->next_idle = load->idle;
	load->idle = request;
}

static void on_reset(void *argument, uint32_t offset)
{
	struct load_request *request = argument;

	request->offset = offset;
}

static int on_next(void *argument, void **address, uint32_t *length)
{
	struct load_request *request = argument;
	uint32_t half = request->load->bytes / 2;

	*address = request->buffer + (request->offset + half) % request->load->bytes;
	*length = half - request->offset % half;
	request->offset += *length;
	return 0;
}

static int submit_with(struct load *load, struct load_request *request, uint64_t lba)
{
	struct spdk_nvme_ns *ns = load->session->ns;

	if (load->tagged) {
		return load->vector ? spdk_nvme_ns_cmd_readv_with_md(ns, load->qpair, lba, load->blocks, on_complete, request, 0,
								     on_reset, on_next, NULL, 0, 0)
				    : spdk_nvme_ns_cmd_read_with_md(ns, load->qpair, request->buffer, NULL, lba, load->blocks,
								    on_complete, request, 0, 0, 0);
	}
	if (load->vector) {
		return spdk_nvme_ns_cmd_readv(ns, load->qpair, lba, load->blocks, on_complete, request, 0, on_reset, on_next);
	}
	return load->write
		       ? spdk_nvme_ns_cmd_write(ns, load->qpair, request->buffer, lba, load->blocks, on_complete, request, 0)
		       : spdk_nvme_ns_cmd_read(ns, load->qpair, request->buffer, lba, load->blocks, on_complete, request, 0);
}

static void submit_one(struct load *load, uint64_t number)
{
	struct load_request *request = load->idle;
	int rc;

	load->idle = request->next_idle;
	ledger_begin(&load->ledger, &request->state);
	rc = submit_with(load, request, number % load->places * load->blocks);
	if (rc != 0) {
		ledger_refuse(&load->ledger, &request->state);
		fprintf(stderr, "bench: a request was refused: %s\n", strerror(abs(rc)));
		load->failed = true;
	}
}

void load_open(struct load *load)
{
	uint32_t index;

	load->buffers = spdk_dma_zmalloc((size_t)load->depth * load->bytes, 4096, NULL);
	load->blocks = load->bytes / load->session->sector_size;
	if (load->buffers == NULL || load->blocks == 0) {
		fprintf(stderr, "bench: no memory, or requests smaller than a sector\n");
		exit(EXIT_WRONG);
	}
	load->places = load->session->sectors / load->blocks;
	for (index = 0; index < load->depth; index++) {
		load->requests[index].load = load;
		load->requests[index].buffer = load->buffers + (size_t)index * load->bytes;
		load->requests[index].next_idle = load->idle;
		load->idle = &load->requests[index];
	}
}

void load_close(struct load *load)
{
	if (load->failed || !ledger_balanced(&load->ledger)) {
		fprintf(stderr, "bench: requests failed, or did not come back\n");
		exit(EXIT_WRONG);
	}
	spdk_dma_free(load->buffers);
}

NAMED bool bench_loop(struct load *load, uint64_t count)
{
	uint64_t end = load->ledger.completed + count, started = 0;

	load->polls = 0;
	while (!load->failed && load->ledger.completed < end) {
		while (load->idle != NULL && started < count && !load->failed) {
			submit_one(load, started);
			started++;
		}
		/* A write that the target fetches takes it more than one turn; the host is not to be counted for idle polls then. */
		in_process_settle();
		load->failed |= poll_step(load->group, load->qpair) < 0;
		load->polls++;
	}
	return !load->failed;
}

bool load_submit(struct load *load, uint32_t count)
{
	uint32_t index;

	for (index = 0; index < count && load->idle != NULL && !load->failed; index++) {
		submit_one(load, index);
	}
	return !load->failed;
}

NAMED bool bench_polls(struct spdk_nvme_poll_group *group, struct spdk_nvme_qpair *qpair, uint32_t count)
{
	bool good = true;
	uint32_t index;

	for (index = 0; index < count; index++) {
		good &= (group != NULL ? spdk_nvme_poll_group_process_completions(group, 0, count_disconnected)
				       : spdk_nvme_qpair_process_completions(qpair, 0)) >= 0;
	}
	return good;
}

NAMED struct spdk_nvme_qpair *bench_allocate(struct session *session, struct spdk_nvme_io_qpair_opts *options)
{
	return spdk_nvme_ctrlr_alloc_io_qpair(session->ctrlr, options, sizeof(*options));
}

NAMED int bench_connect(struct session *session, struct spdk_nvme_qpair *qpair)
{
	return spdk_nvme_ctrlr_connect_io_qpair(session->ctrlr, qpair);
}

NAMED void bench_disconnect(struct spdk_nvme_qpair *qpair)
{
	spdk_nvme_ctrlr_disconnect_io_qpair(qpair);
}

NAMED int bench_free(struct spdk_nvme_qpair *qpair)
{
	return spdk_nvme_ctrlr_free_io_qpair(qpair);
}

NAMED int bench_reset(struct session *session, struct spdk_nvme_qpair *const *qpairs, uint32_t count)
{
	int rc = spdk_nvme_ctrlr_reset(session->ctrlr);
	uint32_t index;

	for (index = 0; rc == 0 && index < count; index++) {
		/* It has not noticed yet. */
		while ((rc = spdk_nvme_qpair_process_completions(qpairs[index], 0)) >= 0) {
			in_process_settle();
		}
		while ((rc = spdk_nvme_ctrlr_reconnect_io_qpair(qpairs[index])) == -EAGAIN) {
			spdk_nvme_qpair_process_completions(qpairs[index], 0);
			in_process_settle();
		}
	}
	return rc;
}

NAMED void bench_section(const char *name, uint64_t count, uint64_t polls)
{
	printf("section %s %" PRIu64 " %" PRIu64 "\n", name, count, polls);
	/* Whoever reads the lines matches them with files that are there even if the program then fails. */
	fflush(stdout);
}

/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * A fixed number of I/Os over the shipped libraries, with the target in the same process and thread, so that the same
 * instructions run each time. scripts/bench.sh runs it under callgrind with N and 2N I/Os: the difference is what N
 * I/Os cost. Waiting for a connection takes as many turns as it takes, so that is left out.
 */

#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "spdk/env.h"

#include "common.h"
#include "in_process.h"
#include "ledger.h"
#include "session.h"

#define NAMESPACE_BYTES (8u << 20)
#define MAX_DEPTH 256u

struct request {
	struct request *next_idle;
	uint8_t *buffer;
	enum io_state state;
};

static struct session g_session;
static struct spdk_nvme_qpair *g_qpair;
static struct request g_requests[MAX_DEPTH];
static struct request *g_idle;
static struct ledger g_ledger;
static bool g_failed;

static void usage(FILE *out)
{
	fprintf(out, "usage: bench [-m read|write] [-n COUNT] [-q DEPTH] [-o BYTES] [-g] [-d]\n"
		     "\n"
		     "  -m  what to do (default read)\n"
		     "  -n  how many I/Os (default 100000)\n"
		     "  -q  requests in flight, 1 to 256 (default 32)\n"
		     "  -o  bytes of each (default 4096)\n"
		     "  -g  in a poll group\n"
		     "  -d  with delay_cmd_submit\n");
}

static void on_complete(void *argument, const struct spdk_nvme_cpl *cpl)
{
	struct request *request = argument;

	if (ledger_end(&g_ledger, &request->state, cpl) != IO_COMPLETED) {
		g_failed = true;
		return;
	}
	request->next_idle = g_idle;
	g_idle = request;
}

static void submit(struct request *request, bool write, uint64_t lba, uint32_t blocks)
{
	int rc;

	ledger_begin(&g_ledger, &request->state);
	rc = write ? spdk_nvme_ns_cmd_write(g_session.ns, g_qpair, request->buffer, lba, blocks, on_complete, request, 0)
		   : spdk_nvme_ns_cmd_read(g_session.ns, g_qpair, request->buffer, lba, blocks, on_complete, request, 0);
	if (rc != 0) {
		ledger_refuse(&g_ledger, &request->state);
		fprintf(stderr, "bench: a request was refused: %s\n", strerror(abs(rc)));
		g_failed = true;
	}
}

/*
 * What is measured: scripts/bench.sh names this function to callgrind, which counts only while it runs. So it must
 * neither be inlined nor lose its name.
 */
void bench_loop(struct spdk_nvme_poll_group *group, uint64_t count, bool write, uint64_t places, uint32_t blocks);

__attribute__((noinline)) void bench_loop(struct spdk_nvme_poll_group *group, uint64_t count, bool write, uint64_t places,
					  uint32_t blocks)
{
	uint64_t started = 0;

	while (!g_failed && g_ledger.completed < count) {
		while (g_idle != NULL && started < count && !g_failed) {
			struct request *request = g_idle;

			g_idle = request->next_idle;
			submit(request, write, started % places * blocks, blocks);
			started++;
		}
		if (poll_step(group, g_qpair) < 0) {
			g_failed = true;
		}
	}
}

static struct spdk_nvme_qpair *open_qpair(struct spdk_nvme_poll_group *group, bool delay)
{
	struct spdk_nvme_io_qpair_opts options;
	struct spdk_nvme_qpair *qpair;

	spdk_nvme_ctrlr_get_default_io_qpair_opts(g_session.ctrlr, &options, sizeof(options));
	options.create_only = true;
	options.delay_cmd_submit = delay;
	qpair = spdk_nvme_ctrlr_alloc_io_qpair(g_session.ctrlr, &options, sizeof(options));
	if (qpair == NULL || (group != NULL && spdk_nvme_poll_group_add(group, qpair) != 0) ||
	    spdk_nvme_ctrlr_connect_io_qpair(g_session.ctrlr, qpair) != 0) {
		fprintf(stderr, "bench: no qpair\n");
		exit(EXIT_WRONG);
	}
	return qpair;
}

static bool read_number(const char *text, uint64_t minimum, uint64_t maximum, uint64_t *value)
{
	if (size_read(text, maximum, value) && *value >= minimum) {
		return true;
	}
	fprintf(stderr, "bench: %s: a number from %s to %s is needed\n", text, digits(minimum), digits(maximum));
	return false;
}

int main(int argc, char **argv)
{
	uint64_t count = 100000, depth = 32, size = 4096;
	bool write = false, in_group = false, delay = false, good = true;
	struct spdk_nvme_poll_group *group = NULL;
	struct spdk_nvme_transport_id trid;
	uint32_t blocks, index;
	uint8_t *buffers;
	uint64_t places;
	double begin;
	int letter;

	while (good && (letter = getopt(argc, argv, "m:n:q:o:gdh")) != -1) {
		switch (letter) {
		case 'm':
			write = strcmp(optarg, "write") == 0;
			good = write || strcmp(optarg, "read") == 0;
			break;
		case 'n':
			good = read_number(optarg, 1, UINT64_MAX >> 1, &count);
			break;
		case 'q':
			good = read_number(optarg, 1, MAX_DEPTH, &depth);
			break;
		case 'o':
			good = read_number(optarg, 512, 1u << 17, &size);
			break;
		case 'g':
			in_group = true;
			break;
		case 'd':
			delay = true;
			break;
		case 'h':
			usage(stdout);
			return EXIT_GOOD;
		default:
			good = false;
			break;
		}
	}
	if (!good || optind < argc) {
		usage(stderr);
		return EXIT_WRONG;
	}
	if (!environment_start("bench")) {
		return EXIT_WRONG;
	}
	in_process_start("nqn.2016-06.io.spdk:bench", NAMESPACE_BYTES, &trid);
	session_open(&g_session, &trid);
	if (in_group && (group = spdk_nvme_poll_group_create(NULL, NULL)) == NULL) {
		fprintf(stderr, "bench: no poll group\n");
		return EXIT_WRONG;
	}
	g_qpair = open_qpair(group, delay);
	buffers = spdk_dma_zmalloc(depth * size, 4096, NULL);
	blocks = (uint32_t)(size / g_session.sector_size);
	if (buffers == NULL || blocks == 0) {
		fprintf(stderr, "bench: no memory, or requests smaller than a sector\n");
		return EXIT_WRONG;
	}
	places = g_session.sectors / blocks;
	for (index = 0; index < depth; index++) {
		g_requests[index].buffer = buffers + index * size;
		g_requests[index].next_idle = g_idle;
		g_idle = &g_requests[index];
	}

	begin = now();
	bench_loop(group, count, write, places, blocks);
	printf("%s, %s bytes, depth %s%s%s: %s I/Os in %.3f s, %s IOPS\n", write ? "write" : "read", digits(size), digits(depth),
	       in_group ? ", poll group" : "", delay ? ", delayed submit" : "", digits(g_ledger.completed), now() - begin,
	       digits((uint64_t)((double)g_ledger.completed / (now() - begin))));

	spdk_nvme_ctrlr_free_io_qpair(g_qpair);
	if (group != NULL) {
		spdk_nvme_poll_group_destroy(group);
	}
	session_close(&g_session);
	spdk_dma_free(buffers);
	in_process_stop();
	spdk_env_fini();
	if (g_failed || !ledger_balanced(&g_ledger)) {
		fprintf(stderr, "bench: it failed\n");
		return EXIT_WRONG;
	}
	return EXIT_GOOD;
}

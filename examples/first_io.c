/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * first_io -r TRID: connects to a target, writes one block, reads it back and compares. The block that was there is lost.
 *
 * This is the least that a program does:
 *   1. the environment is started: memory that a device can reach, and a clock
 *   2. a controller is connected, and a namespace of it chosen
 *   3. a qpair is made: requests are submitted to it, and it is polled for their ends
 *   4. all is given back, in the opposite order
 *
 * Nothing happens behind the program's back: there is no thread but yours, and callbacks come only while you poll. So a program that stays for more
 * than a few seconds polls the controller's Admin Queue as well, or the target takes it for dead; see poll_group.c.
 */

#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "spdk/env.h"
#include "spdk/nvme.h"

/* What the callback has to say, and whether it has been called. It has to stay where it is until then, as the buffer has. */
struct request {
	bool done;
	bool good;
};

static struct request g_write, g_read;

/* Called once for each request that was accepted, from inside a poll. */
static void on_complete(void *argument, const struct spdk_nvme_cpl *cpl)
{
	struct request *request = argument;

	request->done = true;
	request->good = !spdk_nvme_cpl_is_error(cpl);
	if (!request->good) {
		fprintf(stderr, "the request failed: %s\n", spdk_nvme_cpl_get_status_string(&cpl->status));
	}
}

/*
 * Polls until the request has come back, or the connection was lost. Then it comes back as well, with an error, as soon as the device cannot touch
 * its buffer any more: at the latest while the qpair is freed.
 */
static bool wait_for(struct spdk_nvme_qpair *qpair, const struct request *request)
{
	while (!request->done) {
		if (spdk_nvme_qpair_process_completions(qpair, 0) < 0) {
			fprintf(stderr, "the connection was lost\n");
			return false;
		}
	}
	return request->good;
}

static bool write_and_read(struct spdk_nvme_ns *ns, struct spdk_nvme_qpair *qpair, char *block, uint32_t size)
{
	snprintf(block, size, "Hello from another machine!");
	/* 0 means: accepted, and the callback comes later. Anything else is a negated errno, and there is no callback. */
	if (spdk_nvme_ns_cmd_write(ns, qpair, block, 0, 1, on_complete, &g_write, 0) != 0 || !wait_for(qpair, &g_write)) {
		return false;
	}
	memset(block, 0, size);
	if (spdk_nvme_ns_cmd_read(ns, qpair, block, 0, 1, on_complete, &g_read, 0) != 0 || !wait_for(qpair, &g_read)) {
		return false;
	}
	printf("Read back: %s\n", block);
	return strcmp(block, "Hello from another machine!") == 0;
}

int main(int argc, char **argv)
{
	struct spdk_nvme_transport_id trid;
	struct spdk_env_opts opts;
	struct spdk_nvme_ctrlr *ctrlr;
	struct spdk_nvme_ns *ns;
	struct spdk_nvme_qpair *qpair;
	bool good = false;
	uint32_t size;
	char *block;

	if (argc != 3 || strcmp(argv[1], "-r") != 0) {
		fprintf(stderr, "usage: %s -r 'trtype:RDMA adrfam:IPv4 traddr:ADDRESS trsvcid:PORT subnqn:NQN'\n", argv[0]);
		return 1;
	}

	/* 1. The environment. A structure that carries its size may grow in later releases. */
	memset(&opts, 0, sizeof(opts));
	opts.opts_size = sizeof(opts);
	spdk_env_opts_init(&opts);
	opts.name = "first_io";
	if (spdk_env_init(&opts) != 0) {
		return 1;
	}

	/* 2. The controller. It is brought up when this returns; if it could not be, the library has logged why. */
	memset(&trid, 0, sizeof(trid));
	if (spdk_nvme_transport_id_parse(&trid, argv[2]) != 0) {
		fprintf(stderr, "'%s' is no transport id\n", argv[2]);
		spdk_env_fini();
		return 1;
	}
	ctrlr = spdk_nvme_connect(&trid, NULL, 0);
	if (ctrlr == NULL) {
		spdk_env_fini();
		return 1;
	}
	ns = spdk_nvme_ctrlr_get_ns(ctrlr, spdk_nvme_ctrlr_get_first_active_ns(ctrlr));

	/* 3. A qpair, with the controller's defaults, and a buffer of one block. */
	qpair = spdk_nvme_ctrlr_alloc_io_qpair(ctrlr, NULL, 0);
	if (ns != NULL && qpair != NULL) {
		size = spdk_nvme_ns_get_sector_size(ns);
		block = spdk_dma_zmalloc(size, 4096, NULL);
		if (block != NULL) {
			good = write_and_read(ns, qpair, block, size);
		}
		/* 4. The qpair first: a request that is still under way ends here, and the buffer is the device's until then. */
		spdk_nvme_ctrlr_free_io_qpair(qpair);
		spdk_dma_free(block);
	} else {
		fprintf(stderr, "no namespace, or no qpair\n");
	}
	spdk_nvme_detach(ctrlr);
	spdk_env_fini();
	return good ? 0 : 1;
}

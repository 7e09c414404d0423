/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * reconnect -r TRID [NUMBER]: writes one block after the other, NUMBER of them (default 5000), and goes on when the target went away and came back,
 * on the same handles.
 *
 * What has to be known about it:
 *   - A lost connection shows as an error of a poll or a submit. All that was in flight comes back once, with an error.
 *   - The library does not reconnect by itself. The controller is reset, as often as it takes; then its qpairs are connected again, each by
 *     the thread that uses it. Handles stay what they were, namespaces too.
 *   - What came back with an error may or may not have been done by the target. It is for the program to do it again.
 *   - A target that is silent, not gone, is found out by the keep-alive; so the Admin Queue has to be polled, always.
 */

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "spdk/env.h"
#include "spdk/nvme.h"

/* How long the target may be away. */
#define PATIENCE_SECONDS 120
/* Between two attempts, and between two looks at the Admin Queue. */
#define PAUSE_US (100 * 1000)

struct program {
	struct spdk_nvme_ctrlr *ctrlr;
	struct spdk_nvme_ns *ns;
	struct spdk_nvme_qpair *qpair;
	void *block;
	uint64_t next_admin; /* ticks */
	bool in_flight;
	bool good; /* how the last request ended */
};

static void on_complete(void *argument, const struct spdk_nvme_cpl *cpl)
{
	struct program *program = argument;

	program->in_flight = false;
	program->good = !spdk_nvme_cpl_is_error(cpl);
}

/* Writes a block, and waits for it. False if the connection was lost, or the target refused. */
static bool write_block(struct program *program, uint64_t lba)
{
	bool connected = true;

	program->in_flight = true;
	if (spdk_nvme_ns_cmd_write(program->ns, program->qpair, program->block, lba, 1, on_complete, program, 0) != 0) {
		program->in_flight = false; /* not accepted: there is no callback */
		return false;
	}
	/* A poll that fails is no end: the buffer is ours again when the callback has come. It comes from one of the next polls. */
	while (program->in_flight) {
		connected = spdk_nvme_qpair_process_completions(program->qpair, 0) >= 0;
		if (spdk_get_ticks() >= program->next_admin) {
			program->next_admin = spdk_get_ticks() + spdk_get_ticks_hz() * PAUSE_US / 1000000;
			/* An error here is the loss of the controller. Its qpairs end, and the request comes back. */
			if (spdk_nvme_ctrlr_process_admin_completions(program->ctrlr) < 0) {
				spdk_nvme_ctrlr_fail(program->ctrlr);
				connected = false;
			}
		}
	}
	return connected && program->good;
}

/* Has the controller and the qpair come back. */
static bool come_back(struct program *program)
{
	uint64_t deadline = spdk_get_ticks() + spdk_get_ticks_hz() * PATIENCE_SECONDS;
	unsigned attempts = 0;

	printf("lost: waiting for the target\n");
	fflush(stdout);
	while (spdk_get_ticks() < deadline) {
		attempts++;
		/* First the controller, then what hangs on it. -EAGAIN of the second: its old connection has not ended yet. */
		if (spdk_nvme_ctrlr_reset(program->ctrlr) == 0) {
			int rc;

			while ((rc = spdk_nvme_ctrlr_reconnect_io_qpair(program->qpair)) == -EAGAIN && spdk_get_ticks() < deadline) {
				spdk_nvme_qpair_process_completions(program->qpair, 0);
			}
			if (rc == 0) {
				printf("connected again, at attempt %u\n", attempts);
				return true;
			}
		}
		spdk_delay_us(PAUSE_US);
	}
	fprintf(stderr, "it did not come back in %d s\n", PATIENCE_SECONDS);
	return false;
}

static bool write_blocks(struct program *program, unsigned long number)
{
	uint64_t sectors = spdk_nvme_ns_get_num_sectors(program->ns);
	unsigned long done = 0;

	while (done < number) {
		if (write_block(program, done % sectors)) {
			if (++done == 1) {
				printf("running\n");
				fflush(stdout);
			}
		} else if (spdk_nvme_qpair_is_connected(program->qpair) && !spdk_nvme_ctrlr_is_failed(program->ctrlr)) {
			fprintf(stderr, "the target refused block %lu\n", done);
			return false;
		} else if (!come_back(program)) {
			return false;
		}
		/* Else it was lost and is there again: the same block once more. */
	}
	printf("%lu blocks were written\n", done);
	return true;
}

int main(int argc, char **argv)
{
	struct program program = {0};
	struct spdk_nvme_transport_id trid;
	struct spdk_env_opts opts;
	unsigned long number = 5000;
	bool good = false;

	memset(&trid, 0, sizeof(trid));
	if (argc < 3 || argc > 4 || strcmp(argv[1], "-r") != 0 || spdk_nvme_transport_id_parse(&trid, argv[2]) != 0) {
		fprintf(stderr, "usage: %s -r 'trtype:RDMA adrfam:IPv4 traddr:ADDRESS trsvcid:PORT subnqn:NQN' [NUMBER]\n", argv[0]);
		return 1;
	}
	if (argc == 4) {
		number = strtoul(argv[3], NULL, 10);
	}
	memset(&opts, 0, sizeof(opts));
	opts.opts_size = sizeof(opts);
	spdk_env_opts_init(&opts);
	opts.name = "reconnect";
	if (spdk_env_init(&opts) != 0) {
		return 1;
	}
	program.ctrlr = spdk_nvme_connect(&trid, NULL, 0);
	if (program.ctrlr == NULL) {
		spdk_env_fini();
		return 1;
	}
	program.ns = spdk_nvme_ctrlr_get_ns(program.ctrlr, spdk_nvme_ctrlr_get_first_active_ns(program.ctrlr));
	program.qpair = spdk_nvme_ctrlr_alloc_io_qpair(program.ctrlr, NULL, 0);
	if (program.ns != NULL && program.qpair != NULL) {
		program.block = spdk_dma_zmalloc(spdk_nvme_ns_get_sector_size(program.ns), 4096, NULL);
		good = program.block != NULL && write_blocks(&program, number);
	}
	if (program.qpair != NULL) {
		spdk_nvme_ctrlr_free_io_qpair(program.qpair);
	}
	spdk_dma_free(program.block);
	spdk_nvme_detach(program.ctrlr);
	spdk_env_fini();
	return good ? 0 : 1;
}

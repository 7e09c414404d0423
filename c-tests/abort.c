/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * Commands that take too long, and aborting commands: those that wait in a queue, those that are with the controller, parts of long transfers, admin commands; more at a time
 * than a controller takes; and what becomes of those that wait when the controller is reset. On any target.
 */

#include <errno.h>
#include <string.h>

#include "check.h"
#include "common.h"
#include "in_process.h"
#include "session.h"

#define QUEUE 16
#define READS 64
#define ABORTS 20

static struct session g_session;
static struct spdk_nvme_qpair *g_qpair;
static uint8_t *g_buffer;
static struct single g_reads[READS];

static void poll_both(void)
{
	poll_step(NULL, g_qpair);
	CHECK(spdk_nvme_ctrlr_process_admin_completions(g_session.ctrlr) >= 0);
}

static void wait_both(const struct single *single)
{
	double deadline = deadline_in(STEP_SECONDS);

	while (single->calls == 0) {
		poll_both();
		REQUIRE(!deadline_passed(deadline));
	}
	CHECK_INT(single->calls, 1);
}

static bool by_request(const struct single *single)
{
	return single->cpl.status.sct == SPDK_NVME_SCT_GENERIC && single->cpl.status.sc == SPDK_NVME_SC_ABORTED_BY_REQUEST;
}

/* More than the queue has room for: those at the end wait. */
static void begin_reads(void)
{
	unsigned i;

	memset(g_reads, 0, sizeof(g_reads));
	for (i = 0; i < READS; i++) {
		CHECK_INT(single_read(&g_session, g_qpair, &g_reads[i], g_buffer, i, 1), 0);
	}
}

static void end_reads(unsigned aborted)
{
	unsigned i, found = 0;

	for (i = 0; i < READS; i++) {
		wait_both(&g_reads[i]);
		CHECK(by_request(&g_reads[i]) || !spdk_nvme_cpl_is_error(&g_reads[i].cpl));
		found += by_request(&g_reads[i]);
	}
	CHECK_RANGE(found, aborted, aborted + 1); /* a controller may have aborted the one that it was asked to */
	CHECK(qpair_works(&g_session, NULL, g_qpair, 0));
}

static int abort_ext(struct spdk_nvme_qpair *qpair, void *victim, struct single *single)
{
	return spdk_nvme_ctrlr_cmd_abort_ext(g_session.ctrlr, qpair, victim, single_done, single);
}

static void by_argument(void)
{
	struct single waiting = {0}, other = {0}, out = {0}, none = {0};
	uint32_t outstanding;

	begin_reads();
	outstanding = spdk_nvme_qpair_get_num_outstanding_reqs(g_qpair);
	CHECK_INT(outstanding, READS);
	/* Of one that waits the controller knows nothing: the abort is over at once, the read at the next poll. */
	CHECK_INT(abort_ext(g_qpair, &g_reads[READS - 1], &waiting), 0);
	CHECK(waiting.calls == 1 && !spdk_nvme_cpl_is_error(&waiting.cpl) && waiting.cpl.cdw0 == 0);
	CHECK_INT(g_reads[READS - 1].calls, 0);
	CHECK_INT(abort_ext(g_qpair, &g_reads[READS - 2], &other), 0);
	CHECK_INT(other.calls, 1);
	/* The first one is with the controller. */
	CHECK_INT(abort_ext(g_qpair, &g_reads[0], &out), 0);
	CHECK_INT(out.calls, 0);
	wait_both(&out);
	CHECK(!spdk_nvme_cpl_is_error(&out.cpl) && (out.cpl.cdw0 & ~1u) == 0);
	wait_both(&g_reads[READS - 1]);
	CHECK(by_request(&g_reads[READS - 1]) && g_reads[READS - 1].cpl.status.dnr == 1);
	end_reads(2);

	CHECK_INT(abort_ext(g_qpair, &g_reads[READS - 1], &none), -ENOENT); /* it has ended */
	CHECK_INT(abort_ext(g_qpair, NULL, &none), -EINVAL);
	CHECK_INT(abort_ext(NULL, &g_reads[0], &none), -ENOENT); /* of the Admin Queue */
	CHECK_INT(none.calls, 0);
}

/* The callback of an abort may abort. */
static void again(struct single *single)
{
	struct single *next = single->argument;

	if (next != NULL) {
		single->argument = NULL;
		CHECK_INT(abort_ext(g_qpair, next, single), 0);
	}
}

static void long_transfers(void)
{
	struct single whole = {0}, aborted = {0}, chain = {.then = again};
	uint32_t blocks = 4 * spdk_nvme_ns_get_max_io_xfer_size(g_session.ns) / g_session.sector_size;

	if (blocks > g_session.sectors || blocks * g_session.sector_size > 4u << 20) {
		blocks = (4u << 20) / g_session.sector_size;
	}
	begin_reads();
	CHECK_INT(single_read(&g_session, g_qpair, &whole, g_buffer, 0, blocks), 0);
	/* All its parts wait: they are one to the program. */
	CHECK_INT(abort_ext(g_qpair, &whole, &aborted), 0);
	CHECK_INT(aborted.calls, 1);
	chain.argument = &g_reads[READS - 2];
	CHECK_INT(abort_ext(g_qpair, &g_reads[READS - 1], &chain), 0);
	CHECK_INT(chain.calls, 2);
	wait_both(&whole);
	CHECK(by_request(&whole));
	end_reads(2);
}

static void by_command_id(void)
{
	struct single aborts[ABORTS], admin = {0}, admin_abort = {0};
	unsigned i;

	memset(aborts, 0, sizeof(aborts));
	/* More at a time than a controller takes; of commands that there are not. */
	for (i = 0; i < ABORTS; i++) {
		CHECK_INT(spdk_nvme_ctrlr_cmd_abort(g_session.ctrlr, i % 2 == 0 ? g_qpair : NULL, (uint16_t)(0x8000 + i), single_done,
						    &aborts[i]),
			  0);
	}
	for (i = 0; i < ABORTS; i++) {
		wait_both(&aborts[i]);
		CHECK(spdk_nvme_cpl_is_error(&aborts[i].cpl) || (aborts[i].cpl.cdw0 & 1) == 1);
	}
	CHECK_INT(spdk_nvme_ctrlr_cmd_get_feature(g_session.ctrlr, SPDK_NVME_FEAT_NUMBER_OF_QUEUES, 0, NULL, 0, single_done, &admin), 0);
	CHECK_INT(abort_ext(NULL, &admin, &admin_abort), 0);
	wait_both(&admin);
	wait_both(&admin_abort);
}

static void reset_meets_aborts(void)
{
	struct single aborts[ABORTS];
	double deadline = deadline_in(STEP_SECONDS);
	unsigned i, sent = 0;
	int rc;

	memset(aborts, 0, sizeof(aborts));
	for (i = 0; i < ABORTS; i++) {
		CHECK_INT(spdk_nvme_ctrlr_cmd_abort(g_session.ctrlr, g_qpair, (uint16_t)i, single_done, &aborts[i]), 0);
	}
	CHECK_INT(spdk_nvme_ctrlr_reset(g_session.ctrlr), 0);
	for (i = 0; i < ABORTS; i++) {
		CHECK_INT(aborts[i].calls, 1);
		sent += !was_aborted(&aborts[i]);
	}
	CHECK(sent < ABORTS);
	do {
		poll_step(NULL, g_qpair);
		rc = spdk_nvme_ctrlr_reconnect_io_qpair(g_qpair);
		REQUIRE(!deadline_passed(deadline));
	} while (rc == -EAGAIN || (rc == 0 && !spdk_nvme_qpair_is_connected(g_qpair)));
	CHECK_INT(rc, 0);
	by_command_id();
}

static unsigned g_late;
static struct single g_late_aborts[QUEUE];

/* A program's custom: what is late is aborted. */
static void late(void *arg, struct spdk_nvme_ctrlr *ctrlr, struct spdk_nvme_qpair *qpair, uint16_t cid)
{
	CHECK(arg == &g_late && ctrlr == g_session.ctrlr && (qpair == g_qpair || qpair == NULL));
	REQUIRE(g_late < QUEUE);
	CHECK_INT(spdk_nvme_ctrlr_cmd_abort(ctrlr, qpair, cid, single_done, &g_late_aborts[g_late]), 0);
	g_late++;
}

static void timeouts(bool in_process)
{
	unsigned i, on_wire;

	/* Nothing is late within an hour. */
	spdk_nvme_ctrlr_register_timeout_callback(g_session.ctrlr, 3600ull * 1000000, 3600ull * 1000000, late, &g_late);
	begin_reads();
	end_reads(0);
	CHECK_INT(g_late, 0);
	if (in_process) {
		/* Everything is at once, while the target does nothing: what is with it, once each, and not what waits. */
		spdk_nvme_ctrlr_register_timeout_callback(g_session.ctrlr, 0, 3600ull * 1000000, late, &g_late);
		begin_reads();
		on_wire = spdk_nvme_qpair_get_queue_depth(g_qpair);
		CHECK(on_wire > 0 && on_wire < QUEUE);
		CHECK_INT(spdk_nvme_qpair_process_completions(g_qpair, 0), 0);
		CHECK_INT(spdk_nvme_qpair_process_completions(g_qpair, 0), 0);
		CHECK_INT(g_late, on_wire);
		spdk_nvme_ctrlr_register_timeout_callback(g_session.ctrlr, 0, 0, NULL, NULL);
		end_reads(0);
		for (i = 0; i < g_late; i++) {
			wait_both(&g_late_aborts[i]);
		}
		CHECK_INT(g_late, on_wire);
	}
	spdk_nvme_ctrlr_register_timeout_callback(g_session.ctrlr, 0, 0, NULL, NULL);
	begin_reads();
	end_reads(0);
}

int main(int argc, char **argv)
{
	struct spdk_nvme_transport_id trid;
	struct spdk_nvme_io_qpair_opts opts;

	test_begin(argc, argv, &trid, 600);
	session_open(&g_session, &trid);
	spdk_nvme_ctrlr_get_default_io_qpair_opts(g_session.ctrlr, &opts, sizeof(opts));
	opts.io_queue_size = QUEUE;
	g_qpair = spdk_nvme_ctrlr_alloc_io_qpair(g_session.ctrlr, &opts, sizeof(opts));
	g_buffer = spdk_zmalloc(8 << 20, 4096, NULL, SPDK_ENV_NUMA_ID_ANY, SPDK_MALLOC_DMA);
	REQUIRE(g_qpair != NULL && g_buffer != NULL);
	by_argument();
	long_transfers();
	by_command_id();
	reset_meets_aborts();
	timeouts(argc == 2);
	CHECK_INT(spdk_nvme_ctrlr_free_io_qpair(g_qpair), 0);
	spdk_free(g_buffer);
	session_close(&g_session);
	test_end();
	return check_result("abort");
}

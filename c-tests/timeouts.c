/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * Commands that a controller does not answer: the program is told of each that is late, once, and from inside that call aborts it, resets
 * the controller, or reads a register and leaves it. On a target that takes commands, which it is told to hold back reads.
 */

#include <errno.h>
#include <string.h>

#include "check.h"
#include "common.h"
#include "in_process.h"
#include "peer.h"
#include "session.h"
#include "spdk/env.h"
#include "ticks.h"

/* No more than the qpair's queue holds, so that all are with the controller. */
#define READS 8u
/* What a command may take: by the test's own clock it is any time, by the real one short, since those that are held back wait for ever. */
#define OWN_LIMIT_US 30000000ull
#define LIMIT_US 20000ull
#define AGES_US 3600000000ull

enum then { LEAVE, ABORT, RESET };

static struct session g_session;
static struct spdk_nvme_qpair *g_qpair;
static uint8_t *g_buffer;
static struct single g_reads[READS], g_aborts[READS];
static bool g_in_process, g_has_reset;
static unsigned g_late, g_late_admin;
static enum then g_then;

static void late(void *argument, struct spdk_nvme_ctrlr *ctrlr, struct spdk_nvme_qpair *qpair, uint16_t cid)
{
	CHECK(argument == &g_late && ctrlr == g_session.ctrlr);
	if (qpair == NULL) {
		g_late_admin++;
		return;
	}
	CHECK(qpair == g_qpair);
	REQUIRE(g_late < READS);
	switch (g_then) {
	case LEAVE:
		/* The Admin Queue answers, and may be asked from here. */
		CHECK(spdk_nvme_ctrlr_get_regs_csts(ctrlr).bits.rdy == 1);
		break;
	case ABORT:
		CHECK_INT(spdk_nvme_ctrlr_cmd_abort(ctrlr, qpair, cid, single_done, &g_aborts[g_late]), 0);
		break;
	case RESET:
		if (!g_has_reset) {
			g_has_reset = true;
			CHECK_INT(spdk_nvme_ctrlr_reset(ctrlr), 0);
		}
		break;
	}
	g_late++;
}

static void poll_both(void)
{
	poll_step(NULL, g_qpair);
	CHECK(spdk_nvme_ctrlr_process_admin_completions(g_session.ctrlr) >= 0);
}

static void watch(uint64_t io_us, uint64_t admin_us)
{
	g_late = g_late_admin = 0;
	spdk_nvme_ctrlr_register_timeout_callback(g_session.ctrlr, io_us, admin_us, late, &g_late);
	/* A qpair takes it over at its next poll. */
	poll_both();
}

static uint64_t limit(void)
{
	return g_in_process ? OWN_LIMIT_US : LIMIT_US;
}

static void begin_reads(unsigned count)
{
	unsigned index;

	memset(g_reads, 0, sizeof(g_reads));
	for (index = 0; index < count; index++) {
		CHECK_INT(single_read(&g_session, g_qpair, &g_reads[index], g_buffer, index, 1), 0);
	}
}

/* The limit goes by. */
static void let_it_pass(void)
{
	uint64_t begin = spdk_get_ticks(), hz = spdk_get_ticks_hz();

	if (g_in_process) {
		in_process_settle();
		ticks_skip((double)limit() / 1e6);
	}
	while ((double)(spdk_get_ticks() - begin) / (double)hz <= (double)limit() / 1e6) {
		in_process_poll();
	}
}

static void until_late(unsigned count)
{
	double deadline = deadline_in(STEP_SECONDS);

	while (g_late < count) {
		poll_both();
		REQUIRE(!deadline_passed(deadline));
	}
}

static void until_back(const struct single *singles, unsigned count)
{
	double deadline = deadline_in(STEP_SECONDS);
	unsigned index;

	for (index = 0; index < count; index++) {
		while (singles[index].calls == 0) {
			poll_both();
			REQUIRE(!deadline_passed(deadline));
		}
	}
	for (index = 0; index < count; index++) {
		CHECK_INT(singles[index].calls, 1);
	}
}

static bool by_request(const struct single *single)
{
	return single->cpl.status.sct == SPDK_NVME_SCT_GENERIC && single->cpl.status.sc == SPDK_NVME_SC_ABORTED_BY_REQUEST;
}

static void check_data_came(unsigned from, unsigned count)
{
	unsigned index;

	for (index = from; index < from + count; index++) {
		CHECK(!spdk_nvme_cpl_is_error(&g_reads[index].cpl));
	}
}

/*
 * Some are held back, and only they are late; each is told of once, however often it is polled and however long it takes. By the real clock
 * any may be late on a busy machine, so there all are held back.
 */
static void left_alone(void)
{
	unsigned held = g_in_process ? READS / 2 : READS, polls, round;

	g_then = LEAVE;
	peer_tell("stall read %u", held);
	watch(limit(), AGES_US);
	begin_reads(READS);
	if (g_in_process) {
		in_process_settle();
		ticks_skip((double)limit() / 2e6);
		until_back(&g_reads[held], READS - held);
		check_data_came(held, READS - held);
		CHECK_INT(g_late, 0);
	}
	for (round = 0; round < 2; round++) {
		let_it_pass();
		until_late(held);
		for (polls = 0; polls < 100; polls++) {
			poll_both();
		}
		CHECK_INT(g_late, held);
	}
	CHECK_INT(g_late_admin, 0);
	peer_tell("resume read");
	until_back(g_reads, READS);
	check_data_came(0, READS);
	CHECK_INT(g_late, held);
}

static void aborted_from_inside(void)
{
	unsigned index;

	g_then = ABORT;
	memset(g_aborts, 0, sizeof(g_aborts));
	peer_tell("stall read");
	watch(limit(), AGES_US);
	begin_reads(READS);
	let_it_pass();
	until_late(READS);
	/* The target still holds back what it got: it is the abort that ends them. */
	until_back(g_reads, READS);
	until_back(g_aborts, READS);
	for (index = 0; index < READS; index++) {
		CHECK(by_request(&g_reads[index]));
		CHECK(!spdk_nvme_cpl_is_error(&g_aborts[index].cpl) && (g_aborts[index].cpl.cdw0 & 1) == 0);
	}
	CHECK_INT(g_late, READS);
	peer_tell("resume read");
	watch(AGES_US, AGES_US);
	CHECK(qpair_works(&g_session, NULL, g_qpair, 0));
	CHECK_INT(g_late, 0);
}

static void reset_from_inside(void)
{
	double deadline = deadline_in(STEP_SECONDS);
	unsigned index;
	int rc;

	g_then = RESET;
	g_has_reset = false;
	peer_tell("stall read");
	watch(limit(), AGES_US);
	begin_reads(READS);
	let_it_pass();
	until_late(1);
	CHECK(g_has_reset);
	CHECK_RANGE(g_late, 1, READS);
	peer_tell("resume read");
	spdk_nvme_ctrlr_register_timeout_callback(g_session.ctrlr, 0, 0, NULL, NULL);
	do {
		poll_step(NULL, g_qpair);
		rc = spdk_nvme_ctrlr_reconnect_io_qpair(g_qpair);
		REQUIRE((rc == 0 || rc == -EAGAIN) && !deadline_passed(deadline));
	} while (rc != 0 || !spdk_nvme_qpair_is_connected(g_qpair));
	for (index = 0; index < READS; index++) {
		CHECK_INT(g_reads[index].calls, 1);
		CHECK(was_aborted(&g_reads[index]));
	}
	CHECK(qpair_works(&g_session, NULL, g_qpair, 0));
	/* It is still the callback of the controller that was reset. */
	left_alone();
}

/* The Admin Queue's limit is its own, and a request for an event is never late. */
static void admin_commands(void)
{
	struct single feature = {0};
	double deadline = deadline_in(STEP_SECONDS);
	unsigned polls;

	g_then = LEAVE;
	peer_tell("stall get-features 1");
	watch(AGES_US, limit());
	CHECK_INT(spdk_nvme_ctrlr_cmd_get_feature(g_session.ctrlr, SPDK_NVME_FEAT_NUMBER_OF_QUEUES, 0, NULL, 0, single_done, &feature), 0);
	let_it_pass();
	while (g_late_admin == 0) {
		poll_both();
		REQUIRE(!deadline_passed(deadline));
	}
	for (polls = 0; polls < 100; polls++) {
		poll_both();
	}
	CHECK(g_late_admin == 1 && g_late == 0 && feature.calls == 0);
	peer_tell("resume get-features");
	until_back(&feature, 1);
	CHECK(!spdk_nvme_cpl_is_error(&feature.cpl));
	CHECK_INT(g_late_admin, 1);
}

/* Nobody listens any more. */
static void unregistered(void)
{
	unsigned polls;

	g_late = 0;
	peer_tell("stall read");
	watch(limit(), limit());
	begin_reads(READS);
	in_process_settle();
	spdk_nvme_ctrlr_register_timeout_callback(g_session.ctrlr, 0, 0, NULL, NULL);
	let_it_pass();
	for (polls = 0; polls < 100; polls++) {
		poll_both();
	}
	CHECK_INT(g_late, 0);
	peer_tell("resume read");
	until_back(g_reads, READS);
	check_data_came(0, READS);
}

int main(int argc, char **argv)
{
	struct spdk_nvme_transport_id trid;

	test_begin(argc, argv, &trid, 600);
	g_in_process = argc == 2;
	peer_begin(g_in_process);
	REQUIRE(peer_takes_commands());
	session_open(&g_session, &trid);
	g_qpair = qpair_open(&g_session, NULL, false);
	g_buffer = spdk_dma_zmalloc(4096, 4096, NULL);
	REQUIRE(g_buffer != NULL);
	left_alone();
	aborted_from_inside();
	reset_from_inside();
	admin_commands();
	unregistered();
	CHECK_INT(spdk_nvme_ctrlr_free_io_qpair(g_qpair), 0);
	spdk_dma_free(g_buffer);
	session_close(&g_session);
	peer_end();
	test_end();
	return check_result("timeouts");
}

/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * Resets of the controller and ends of the target, both with I/O under way, RESTARTS=n of each (default 50). After each of them what was
 * given up is submitted again, and all data are compared; no request is lost, none comes twice, and at the end nothing is left over.
 * On any target that has a hand (lib/peer.h).
 */

#include <errno.h>
#include <stdlib.h>
#include <time.h>

#include "check.h"
#include "common.h"
#include "in_process.h"
#include "peer.h"
#include "session.h"
#include "traffic.h"

/* Requests that come back before the next end, so that all slots are in the midst of it. */
#define BETWEEN (3 * TRAFFIC_SLOTS)

static struct session g_session;
static struct traffic g_traffic;

/* All slots are under way. */
static void under_load(void)
{
	traffic_run(&g_traffic, BETWEEN + (uint64_t)rand() % TRAFFIC_SLOTS);
	REQUIRE(!g_traffic.lost);
	traffic_fill(&g_traffic);
	CHECK_INT(ledger_in_flight(&g_traffic.ledger), TRAFFIC_SLOTS);
}

static void resets(unsigned count)
{
	unsigned round;

	for (round = 0; round < count; round++) {
		under_load();
		REQUIRE(spdk_nvme_ctrlr_reset(g_session.ctrlr) == 0);
		traffic_resume(&g_traffic, false);
	}
}

/* The target is there again, but may not let everybody in at once. */
static void reset_until_it_works(bool in_steps)
{
	const struct timespec pause = {.tv_nsec = 10000000};
	double deadline = deadline_in(STEP_SECONDS);

	while (traffic_reset(&g_traffic, in_steps) != 0) {
		CHECK(spdk_nvme_ctrlr_is_failed(g_session.ctrlr));
		REQUIRE(!deadline_passed(deadline));
		in_process_settle();
		nanosleep(&pause, NULL);
	}
	CHECK(!spdk_nvme_ctrlr_is_failed(g_session.ctrlr));
}

static void target_restarts(unsigned count)
{
	double deadline;
	unsigned round;
	bool empty;

	for (round = 0; round < count; round++) {
		under_load();
		peer_go_down();
		while (!g_traffic.lost) {
			traffic_run(&g_traffic, TRAFFIC_SLOTS);
		}
		deadline = deadline_in(STEP_SECONDS);
		while (spdk_nvme_ctrlr_process_admin_completions(g_session.ctrlr) >= 0) {
			traffic_poll(&g_traffic);
			REQUIRE(!deadline_passed(deadline));
		}
		traffic_settle(&g_traffic);
		peer_wait();
		CHECK(spdk_nvme_ctrlr_get_admin_qp_failure_reason(g_session.ctrlr) != SPDK_NVME_QPAIR_FAILURE_NONE);
		/* Nobody answers, and that is an answer (T129). */
		CHECK(spdk_nvme_ctrlr_get_regs_csts(g_session.ctrlr).raw == UINT32_MAX);
		if (round % 8 == 1) {
			/* An outage that is longer: an attempt in vain, and another one. */
			CHECK_INT(traffic_reset(&g_traffic, round % 16 == 1), -1);
			CHECK(spdk_nvme_ctrlr_is_failed(g_session.ctrlr));
			CHECK_INT(spdk_nvme_ctrlr_reconnect_io_qpair(g_traffic.qpairs[0]), -ENXIO);
		}
		empty = peer_up();
		reset_until_it_works(round % 2 == 1);
		traffic_resume(&g_traffic, empty);
	}
}

int main(int argc, char **argv)
{
	const char *text = getenv("RESTARTS");
	struct spdk_nvme_transport_id trid;
	uint64_t restarts = 50;
	unsigned before;

	if (text != NULL && (!size_read(text, 1000000, &restarts) || restarts < 2)) {
		fprintf(stderr, "RESTARTS is a number from 2\n");
		return EXIT_WRONG;
	}
	test_begin(argc, argv, &trid, 1800);
	peer_begin(argc == 2);
	session_open(&g_session, &trid);
	traffic_open(&g_traffic, &g_session);
	resets(1);
	before = count_fds();
	resets((unsigned)restarts - 1);
	CHECK_INT(count_fds_down_to(before), before);
	if (peer_has_hand()) {
		target_restarts(1);
		before = count_fds();
		target_restarts((unsigned)restarts - 1);
		CHECK_INT(count_fds_down_to(before), before);
	}
	printf("%llu requests came back well, %llu were given up, %llu of those and of the refused ones submitted again\n",
	       (unsigned long long)g_traffic.ledger.completed, (unsigned long long)g_traffic.ledger.aborted,
	       (unsigned long long)g_traffic.resubmitted);
	CHECK(g_traffic.ledger.aborted >= restarts);
	traffic_close(&g_traffic);
	session_close(&g_session);
	peer_end();
	test_end();
	return check_result("restarts");
}

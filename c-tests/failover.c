/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * A controller that can be reached by two ports. The one that the program came by goes away with I/O under way; the program gives the
 * controller the other's address, connects again on the same handles, submits once more what was given up, and compares all data. Then the
 * other way round, FAILOVERS=n times in all (default 20). On any target with two ports that have the same namespaces: -r TRID is the
 * first, PEER_PORT the number of the second one at that address. Ports go down by command, or by a hand ("down 1", "up 1", "down 2", ...).
 */

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "check.h"
#include "common.h"
#include "in_process.h"
#include "peer.h"
#include "session.h"
#include "traffic.h"

#define BETWEEN (3 * TRAFFIC_SLOTS)

static struct session g_session;
static struct traffic g_traffic;
static struct spdk_nvme_transport_id g_places[2];

/* It is done when peer_wait() returns. */
static void set_port(unsigned place, bool up)
{
	if (peer_takes_commands()) {
		peer_tell("port %s %s", g_places[place].trsvcid, up ? "up" : "down");
	} else {
		peer_begin_to_ask("%s %u", up ? "up" : "down", place + 1);
	}
}

/* From where the program is to the other place, which is there. */
static void fail_over(unsigned from, bool in_steps)
{
	const struct timespec pause = {.tv_nsec = 10000000};
	struct spdk_nvme_transport_id *to = &g_places[!from];
	double deadline = deadline_in(STEP_SECONDS);
	const struct spdk_nvme_transport_id *found;

	/* A controller that works stays where it is. */
	CHECK_INT(spdk_nvme_ctrlr_set_trid(g_session.ctrlr, &g_places[!from]), -EPERM);
	traffic_run(&g_traffic, BETWEEN);
	REQUIRE(!g_traffic.lost);
	/* What is held back is given up for certain, and a write of those was not executed. */
	if (peer_takes_commands()) {
		peer_tell("stall %s", in_steps ? "read" : "write");
	}
	traffic_fill(&g_traffic);
	CHECK_INT(ledger_in_flight(&g_traffic.ledger), TRAFFIC_SLOTS);
	set_port(from, false);
	while (!g_traffic.lost) {
		traffic_run(&g_traffic, TRAFFIC_SLOTS);
	}
	while (spdk_nvme_ctrlr_process_admin_completions(g_session.ctrlr) >= 0) {
		traffic_poll(&g_traffic);
		REQUIRE(!deadline_passed(deadline));
	}
	traffic_settle(&g_traffic);
	peer_wait();
	if (peer_takes_commands()) {
		peer_tell("resume all");
	}
	if (in_steps) {
		/* Where it was nobody is any more. */
		CHECK_INT(spdk_nvme_ctrlr_reset(g_session.ctrlr), -1);
	}
	spdk_nvme_ctrlr_fail(g_session.ctrlr);
	CHECK(spdk_nvme_ctrlr_is_failed(g_session.ctrlr));
	for (;;) {
		CHECK_INT(spdk_nvme_ctrlr_set_trid(g_session.ctrlr, to), 0);
		if (traffic_reset(&g_traffic, in_steps) == 0) {
			break;
		}
		REQUIRE(!deadline_passed(deadline));
		in_process_settle();
		nanosleep(&pause, NULL);
	}
	found = spdk_nvme_ctrlr_get_transport_id(g_session.ctrlr);
	CHECK(strcmp(found->traddr, to->traddr) == 0 && strcmp(found->trsvcid, to->trsvcid) == 0);
	traffic_resume(&g_traffic, false);
	set_port(from, true);
	peer_wait();
	/* Nobody comes back by itself. */
	traffic_run(&g_traffic, BETWEEN);
	REQUIRE(!g_traffic.lost);
	traffic_compare(&g_traffic);
}

int main(int argc, char **argv)
{
	const struct in_process_room room = {.lingers = true, .listen = "127.0.0.1:0,127.0.0.1:0"};
	const char *text = getenv("FAILOVERS"), *port = getenv("PEER_PORT");
	uint64_t failovers = 20, round;
	unsigned before = 0;

	if (text != NULL && (!size_read(text, 1000000, &failovers) || failovers < 2)) {
		fprintf(stderr, "FAILOVERS is a number from 2\n");
		return EXIT_WRONG;
	}
	test_begin_with(argc, argv, &room, &g_places[0], 1200);
	peer_begin(argc == 2);
	g_places[1] = g_places[0];
	if (argc == 2) {
		in_process_trid(1, &g_places[1]);
	} else {
		REQUIRE(port != NULL && (peer_takes_commands() || peer_has_hand()));
		snprintf(g_places[1].trsvcid, sizeof(g_places[1].trsvcid), "%s", port);
	}
	session_open(&g_session, &g_places[0]);
	traffic_open(&g_traffic, &g_session);
	for (round = 0; round < failovers; round++) {
		fail_over(round % 2, round % 4 >= 2);
		before = round == 1 ? count_fds() : before;
	}
	CHECK_INT(count_fds_down_to(before), before);
	printf("%llu requests came back well, %llu were given up, %llu submitted again at the other port\n",
	       (unsigned long long)g_traffic.ledger.completed, (unsigned long long)g_traffic.ledger.aborted,
	       (unsigned long long)g_traffic.resubmitted);
	CHECK(g_traffic.resubmitted >= (peer_takes_commands() ? failovers : 1));
	traffic_close(&g_traffic);
	session_close(&g_session);
	peer_end();
	test_end();
	return check_result("failover");
}

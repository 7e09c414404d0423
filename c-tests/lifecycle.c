/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * The life of qpairs, poll groups and controllers as a C program sees it, through the API sequences that caused
 * trouble (S01 to S10 of the catalogue). Each scenario starts with nothing and must end with nothing; file
 * descriptors are counted, and on softverbs the ledger is part of the exit status.
 */

#include <errno.h>
#include <string.h>

#include "spdk/env.h"

#include "check.h"
#include "common.h"
#include "in_process.h"
#include "session.h"

/* Requests that are put in flight where a scenario needs some. */
#define IN_FLIGHT 16u

static struct session g_session;
static uint8_t *g_buffer;

static struct spdk_nvme_poll_group *group_open(void *context)
{
	struct spdk_nvme_poll_group *group = spdk_nvme_poll_group_create(context, NULL);

	REQUIRE(group != NULL);
	return group;
}

static struct spdk_nvme_qpair *qpair_create_only(void)
{
	struct spdk_nvme_io_qpair_opts options;
	struct spdk_nvme_qpair *qpair;

	spdk_nvme_ctrlr_get_default_io_qpair_opts(g_session.ctrlr, &options, sizeof(options));
	options.create_only = true;
	qpair = spdk_nvme_ctrlr_alloc_io_qpair(g_session.ctrlr, &options, sizeof(options));
	REQUIRE(qpair != NULL);
	return qpair;
}

static void put_in_flight(struct spdk_nvme_qpair *qpair, struct single singles[IN_FLIGHT])
{
	unsigned index;

	memset(singles, 0, IN_FLIGHT * sizeof(singles[0]));
	for (index = 0; index < IN_FLIGHT; index++) {
		CHECK_INT(single_read(&g_session, qpair, &singles[index], g_buffer, index, 1), 0);
	}
}

/* Each came back once: with data, or aborted. */
static void check_each_once(const struct single singles[IN_FLIGHT])
{
	unsigned index;

	for (index = 0; index < IN_FLIGHT; index++) {
		CHECK_INT(singles[index].calls, 1);
		CHECK(!spdk_nvme_cpl_is_error(&singles[index].cpl) || was_aborted(&singles[index]));
	}
}

/* S08: made, added, the group polled before anything is connected, then connected and used. */
static void create_add_connect(bool async)
{
	struct spdk_nvme_poll_group *group = group_open(NULL);
	struct spdk_nvme_qpair *qpair = qpair_create_only();

	CHECK(!spdk_nvme_qpair_is_connected(qpair));
	CHECK_INT(spdk_nvme_poll_group_add(group, qpair), 0);
	CHECK(poll_step(group, NULL) <= 0);
	CHECK_INT(spdk_nvme_ctrlr_free_io_qpair(qpair), 0);

	qpair = qpair_open(&g_session, group, async);
	CHECK(qpair_works(&g_session, group, qpair, 5));
	CHECK_INT(spdk_nvme_ctrlr_connect_io_qpair(g_session.ctrlr, qpair), -EISCONN);
	CHECK(qpair_works(&g_session, group, qpair, 5));
	CHECK_INT(spdk_nvme_ctrlr_free_io_qpair(qpair), 0);
	CHECK_INT(spdk_nvme_poll_group_destroy(group), 0);
}

/* Who may come into a group and leave it, and when. */
static void group_rules(void)
{
	struct spdk_nvme_poll_group *group = group_open(NULL), *other = group_open(NULL);
	struct spdk_nvme_qpair *qpair = qpair_create_only();
	struct spdk_nvme_qpair *alone = qpair_open(&g_session, NULL, false);
	double deadline;
	int rc;

	CHECK_INT(spdk_nvme_poll_group_process_completions(group, 0, NULL), -EINVAL);
	/* A connected qpair cannot be added. */
	CHECK_INT(spdk_nvme_poll_group_add(group, alone), -EINVAL);
	CHECK(qpair_works(&g_session, NULL, alone, 6));
	CHECK_INT(spdk_nvme_ctrlr_free_io_qpair(alone), 0);

	/* Not connected: in and out as one likes. */
	CHECK_INT(spdk_nvme_poll_group_add(group, qpair), 0);
	CHECK_INT(spdk_nvme_poll_group_destroy(group), -EBUSY);
	CHECK_INT(spdk_nvme_poll_group_remove(group, qpair), 0);
	CHECK(spdk_nvme_poll_group_remove(group, qpair) < 0);
	CHECK_INT(spdk_nvme_poll_group_add(group, qpair), 0);

	/* T45: connected or disconnecting, it stays, and the refused remove has no effect. */
	CHECK_INT(spdk_nvme_ctrlr_connect_io_qpair(g_session.ctrlr, qpair), 0);
	deadline = deadline_in(STEP_SECONDS);
	while (!spdk_nvme_qpair_is_connected(qpair) && !deadline_passed(deadline)) {
		poll_step(group, NULL);
	}
	CHECK(spdk_nvme_qpair_is_connected(qpair));
	CHECK_INT(spdk_nvme_poll_group_remove(group, qpair), -EINVAL);
	CHECK(spdk_nvme_poll_group_remove(other, qpair) < 0);
	CHECK(qpair_works(&g_session, group, qpair, 6));
	CHECK_INT(spdk_nvme_poll_group_destroy(group), -EBUSY);
	CHECK(qpair_works(&g_session, group, qpair, 6));

	spdk_nvme_ctrlr_disconnect_io_qpair(qpair);
	CHECK(!spdk_nvme_qpair_is_connected(qpair));
	deadline = deadline_in(STEP_SECONDS);
	do {
		rc = spdk_nvme_poll_group_remove(group, qpair);
		CHECK(rc == 0 || rc == -EINVAL);
		poll_step(group, NULL);
	} while (rc != 0 && !deadline_passed(deadline));
	CHECK_INT(rc, 0);
	CHECK_INT(spdk_nvme_poll_group_destroy(group), 0);

	/* Out of one group, it can connect again in another. */
	CHECK_INT(spdk_nvme_poll_group_add(other, qpair), 0);
	CHECK_INT(spdk_nvme_ctrlr_connect_io_qpair(g_session.ctrlr, qpair), 0);
	CHECK(qpair_works(&g_session, other, qpair, 6));
	CHECK_INT(spdk_nvme_ctrlr_free_io_qpair(qpair), 0);
	CHECK_INT(spdk_nvme_poll_group_destroy(other), 0);
}

/* S01, S02: freed with requests in flight; `disconnect` first or not. When free returns, each was called back. */
static void free_in_flight(bool in_group, bool async, bool disconnect)
{
	struct spdk_nvme_poll_group *group = in_group ? group_open(NULL) : NULL;
	struct spdk_nvme_qpair *qpair = qpair_open(&g_session, group, async);
	struct single singles[IN_FLIGHT];

	put_in_flight(qpair, singles);
	if (disconnect) {
		spdk_nvme_ctrlr_disconnect_io_qpair(qpair);
		CHECK_INT(single_read(&g_session, qpair, &(struct single){0}, g_buffer, 0, 1), -ENXIO);
	}
	CHECK_INT(spdk_nvme_ctrlr_free_io_qpair(qpair), 0);
	check_each_once(singles);
	if (group != NULL) {
		CHECK_INT(spdk_nvme_poll_group_destroy(group), 0);
	}
}

/* S07: disconnect twice, disconnect what never was connected, free what is disconnected already. */
static void disconnect_often(bool in_group)
{
	struct spdk_nvme_poll_group *group = in_group ? group_open(NULL) : NULL;
	struct spdk_nvme_qpair *never = qpair_create_only();
	struct spdk_nvme_qpair *qpair = qpair_open(&g_session, group, in_group);
	double deadline = deadline_in(STEP_SECONDS);

	spdk_nvme_ctrlr_disconnect_io_qpair(never);
	CHECK_INT(spdk_nvme_ctrlr_free_io_qpair(never), 0);

	spdk_nvme_ctrlr_disconnect_io_qpair(qpair);
	spdk_nvme_ctrlr_disconnect_io_qpair(qpair);
	CHECK(!spdk_nvme_qpair_is_connected(qpair));
	/* Polled until the group says that it is disconnected, and a few times more. */
	g_disconnected = 0;
	while (group != NULL && g_disconnected < 5 && !deadline_passed(deadline)) {
		poll_step(group, qpair);
	}
	CHECK(group == NULL || g_disconnected >= 5);
	spdk_nvme_ctrlr_disconnect_io_qpair(qpair);
	if (group == NULL) {
		CHECK_INT(spdk_nvme_qpair_process_completions(qpair, 0), -ENXIO);
	}
	CHECK_INT(spdk_nvme_ctrlr_free_io_qpair(qpair), 0);
	if (group != NULL) {
		CHECK_INT(spdk_nvme_poll_group_destroy(group), 0);
	}
}

static void free_argument(struct single *single)
{
	struct spdk_nvme_qpair *qpair = single->argument;

	single->argument = NULL;
	if (qpair != NULL) {
		CHECK_INT(spdk_nvme_ctrlr_free_io_qpair(qpair), 0);
	}
}

/* S04, S05: a callback frees its own qpair, or another one of the group, with requests in flight on both. */
static void free_in_callback(bool in_group, bool other)
{
	struct spdk_nvme_poll_group *group = in_group ? group_open(NULL) : NULL;
	struct spdk_nvme_qpair *first = qpair_open(&g_session, group, false);
	struct spdk_nvme_qpair *second = qpair_open(&g_session, group, false);
	struct single ones[IN_FLIGHT], twos[IN_FLIGHT];
	double deadline = deadline_in(STEP_SECONDS);

	put_in_flight(first, ones);
	put_in_flight(second, twos);
	ones[2].then = free_argument;
	ones[2].argument = other ? second : first;
	while (ones[2].calls == 0 && !deadline_passed(deadline)) {
		poll_step(group, first);
	}
	CHECK_INT(ones[2].calls, 1);
	check_each_once(other ? twos : ones);

	/* The one that was not freed goes on. */
	CHECK(qpair_works(&g_session, group, other ? first : second, 7));
	CHECK_INT(spdk_nvme_ctrlr_free_io_qpair(other ? first : second), 0);
	check_each_once(ones);
	check_each_once(twos);
	if (group != NULL) {
		CHECK_INT(spdk_nvme_poll_group_destroy(group), 0);
	}
}

struct farewell {
	struct spdk_nvme_poll_group *group;
	bool destroy;
	unsigned calls;
};

static void free_and_destroy(struct spdk_nvme_qpair *qpair, void *context)
{
	struct farewell *farewell = context;

	farewell->calls++;
	CHECK_INT(spdk_nvme_ctrlr_free_io_qpair(qpair), 0);
	if (farewell->destroy) {
		CHECK_INT(spdk_nvme_poll_group_destroy(farewell->group), 0);
		farewell->group = NULL;
	}
}

/* S06: the group says that a qpair is disconnected, and from inside that call qpair and group go. */
static void free_when_told(bool destroy)
{
	struct farewell farewell = {.destroy = destroy};
	struct spdk_nvme_qpair *qpair;
	struct single singles[IN_FLIGHT];
	double deadline = deadline_in(STEP_SECONDS);

	farewell.group = group_open(&farewell);
	qpair = qpair_open(&g_session, farewell.group, true);
	put_in_flight(qpair, singles);
	spdk_nvme_ctrlr_disconnect_io_qpair(qpair);
	while (farewell.calls == 0 && !deadline_passed(deadline)) {
		in_process_poll();
		spdk_nvme_poll_group_process_completions(farewell.group, 0, free_and_destroy);
	}
	CHECK_INT(farewell.calls, 1);
	check_each_once(singles);
	if (!destroy) {
		CHECK_INT(spdk_nvme_poll_group_destroy(farewell.group), 0);
	}
}

/* Qpairs of several controllers share a group, and its CQ; one controller goes while the others work on. */
static void many_controllers(void)
{
	enum { CONTROLLERS = 4, QPAIRS = 3 };
	struct spdk_nvme_poll_group *group = group_open(NULL);
	struct session sessions[CONTROLLERS];
	struct spdk_nvme_qpair *qpairs[CONTROLLERS][QPAIRS];
	unsigned controller, index, later;

	for (controller = 0; controller < CONTROLLERS; controller++) {
		session_open_as(&sessions[controller], &g_session.trid, controller + 1);
		CHECK(sessions[controller].ctrlr != g_session.ctrlr);
		CHECK(controller == 0 || sessions[controller].ctrlr != sessions[controller - 1].ctrlr);
	}
	/* Interleaved, so that the CQ grows and shrinks in no nice order. */
	for (index = 0; index < QPAIRS; index++) {
		for (controller = 0; controller < CONTROLLERS; controller++) {
			qpairs[controller][index] = qpair_open(&sessions[controller], group, index % 2 == 1);
		}
	}
	for (controller = 0; controller < CONTROLLERS; controller++) {
		for (later = controller; later < CONTROLLERS; later++) {
			for (index = 0; index < QPAIRS; index++) {
				CHECK(qpair_works(&sessions[later], group, qpairs[later][index], 10 + later * QPAIRS + index));
			}
		}
		for (index = 0; index < QPAIRS; index++) {
			CHECK_INT(spdk_nvme_ctrlr_free_io_qpair(qpairs[controller][index]), 0);
		}
		session_close(&sessions[controller]);
	}
	CHECK_INT(spdk_nvme_poll_group_destroy(group), 0);
}

/* T21: the same qpair, connected again and again, starts from a clean slate each time. */
static void reconnect_rounds(bool in_group)
{
	struct spdk_nvme_poll_group *group = in_group ? group_open(NULL) : NULL;
	struct spdk_nvme_qpair *qpair = qpair_open(&g_session, group, in_group);
	struct single singles[IN_FLIGHT];
	unsigned round, before = 0, after = 0;
	double deadline;
	int rc;

	for (round = 0; round < 10; round++) {
		CHECK(qpair_works(&g_session, group, qpair, round));
		before = round == 1 ? count_fds() : before;
		after = round == 0 ? 0 : count_fds_down_to(before);
		put_in_flight(qpair, singles);
		spdk_nvme_ctrlr_disconnect_io_qpair(qpair);
		deadline = deadline_in(STEP_SECONDS);
		do {
			poll_step(group, qpair);
			rc = spdk_nvme_ctrlr_connect_io_qpair(g_session.ctrlr, qpair);
		} while (rc != 0 && !deadline_passed(deadline));
		CHECK_INT(rc, 0);
		deadline = deadline_in(STEP_SECONDS);
		while (!spdk_nvme_qpair_is_connected(qpair) && !deadline_passed(deadline)) {
			poll_step(group, qpair);
		}
		if (!CHECK(spdk_nvme_qpair_is_connected(qpair))) {
			break;
		}
		poll_step(group, qpair);
		check_each_once(singles);
	}
	CHECK_INT(after, before);
	CHECK_INT(spdk_nvme_ctrlr_free_io_qpair(qpair), 0);
	if (group != NULL) {
		CHECK_INT(spdk_nvme_poll_group_destroy(group), 0);
	}
}

/* Whole controllers, up and down; the queue ids come back, or there soon would be none. */
static void controller_rounds(void)
{
	unsigned round, before = 0;

	for (round = 0; round < 10; round++) {
		struct session session;
		struct spdk_nvme_poll_group *group = group_open(NULL);
		struct spdk_nvme_ctrlr *gone;
		struct spdk_nvme_qpair *qpair;

		session_open_as(&session, &g_session.trid, 1);
		CHECK(session.ctrlr != g_session.ctrlr);
		qpair = qpair_open(&session, group, round % 2 == 0);
		CHECK(qpair_works(&session, group, qpair, 20));
		CHECK_INT(spdk_nvme_ctrlr_free_io_qpair(qpair), 0);
		CHECK_INT(spdk_nvme_poll_group_destroy(group), 0);
		gone = session.ctrlr;
		session_close(&session);
		CHECK(ctrlr_is_gone(gone));
		if (round == 1) {
			before = count_fds();
		}
	}
	CHECK_INT(count_fds_down_to(before), before);
	for (round = 0; round < 300; round++) {
		struct spdk_nvme_qpair *qpair = qpair_create_only();

		CHECK_INT(spdk_nvme_ctrlr_free_io_qpair(qpair), 0);
	}
}

/* Handles that are none: an error, not a crash. */
static void bad_handles(void)
{
	struct spdk_nvme_poll_group *group = group_open(NULL);
	struct spdk_nvme_qpair *qpair = qpair_open(&g_session, NULL, false);
	struct single single = {0};

	CHECK_INT(spdk_nvme_ctrlr_free_io_qpair(NULL), 0);
	CHECK(spdk_nvme_qpair_process_completions(NULL, 0) < 0);
	CHECK(single_read(&g_session, NULL, &single, g_buffer, 0, 1) < 0);
	CHECK(spdk_nvme_poll_group_add(group, NULL) < 0);
	CHECK(spdk_nvme_ctrlr_alloc_io_qpair(NULL, NULL, 0) == NULL);

	CHECK_INT(spdk_nvme_ctrlr_free_io_qpair(qpair), 0);
	/* Freed: the address is remembered as one that is no more. */
	CHECK(spdk_nvme_qpair_process_completions(qpair, 0) < 0);
	CHECK(single_read(&g_session, qpair, &single, g_buffer, 0, 1) < 0);
	CHECK(!spdk_nvme_qpair_is_connected(qpair));
	CHECK(spdk_nvme_poll_group_add(group, qpair) < 0);
	(void)spdk_nvme_ctrlr_free_io_qpair(qpair);
	spdk_nvme_ctrlr_disconnect_io_qpair(qpair);
	CHECK_INT(single.calls, 0);
	CHECK_INT(spdk_nvme_poll_group_destroy(group), 0);
}

int main(int argc, char **argv)
{
	struct spdk_nvme_transport_id trid;
	unsigned flags;

	test_begin(argc, argv, &trid, 300);
	session_open(&g_session, &trid);
	g_buffer = spdk_dma_zmalloc(4096, 4096, NULL);
	REQUIRE(g_buffer != NULL);

	create_add_connect(false);
	create_add_connect(true);
	group_rules();
	for (flags = 0; flags < 8; flags++) {
		free_in_flight((flags & 1) != 0, (flags & 2) != 0, (flags & 4) != 0);
	}
	disconnect_often(false);
	disconnect_often(true);
	for (flags = 0; flags < 4; flags++) {
		free_in_callback((flags & 1) != 0, (flags & 2) != 0);
	}
	free_when_told(false);
	free_when_told(true);
	many_controllers();
	reconnect_rounds(false);
	reconnect_rounds(true);
	controller_rounds();
	bad_handles();

	spdk_dma_free(g_buffer);
	session_close(&g_session);
	test_end();
	return check_result("lifecycle");
}

/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * A controller that is kept alive by polling its Admin Queue and by nothing else: for more than three Keep Alive Timeouts; without a
 * timeout; and what a program finds that did not poll for so long. With a target in this process the clock is put forward, and nobody has
 * to wait. On any target; one that takes commands is asked what it saw.
 *
 * KATO_MS=n is the timeout in milliseconds (default 1000). On a machine so busy that this program itself was not run for long enough,
 * which it measures, that is no finding: it tries again with twice the timeout.
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
#include "ticks.h"

/* By the test's own clock a timeout may be long. */
#define OWN_KATO_MS 600000u
/* How many parts of a timeout it is put forward at a time. A Keep Alive is due after half of one. */
#define PARTS 8u
#define TRIES 6u

static struct spdk_nvme_transport_id g_trid;
static struct session g_session;
static struct spdk_nvme_qpair *g_qpair;
static bool g_in_process;
/* When the target may have heard of the host last. */
static double g_heard;

static void open_with(uint32_t kato_ms)
{
	struct spdk_nvme_ctrlr_opts opts;

	spdk_nvme_ctrlr_get_default_ctrlr_opts(&opts, sizeof(opts));
	opts.fabrics_connect_timeout_us = FABRICS_CONNECT_SECONDS * 1000000ull;
	opts.keep_alive_timeout_ms = kato_ms;
	g_heard = now();
	session_of(&g_session, &g_trid, spdk_nvme_connect(&g_trid, &opts, sizeof(opts)));
	CHECK_INT(spdk_nvme_ctrlr_get_opts(g_session.ctrlr)->keep_alive_timeout_ms, kato_ms);
	g_qpair = qpair_open(&g_session, NULL, false);
}

static void close_all(void)
{
	CHECK_INT(spdk_nvme_ctrlr_free_io_qpair(g_qpair), 0);
	session_close(&g_session);
}

static uint64_t keep_alives(void)
{
	return peer_takes_commands() ? peer_count().keep_alives : 0;
}

/* Both sides do all that there is to do. */
static void settle(void)
{
	unsigned quiet = 0;
	int rc;

	/* What one poll sends is answered before the next. */
	while (quiet < 3) {
		rc = spdk_nvme_ctrlr_process_admin_completions(g_session.ctrlr);
		REQUIRE(rc >= 0);
		quiet = rc == 0 ? quiet + 1 : 0;
		in_process_settle();
	}
}

/* So many parts of the timeout go by, and after each the Admin Queue is polled. */
static void lives_by_own_clock(double kato, unsigned parts)
{
	unsigned part;

	for (part = 0; part < parts; part++) {
		ticks_skip(kato / PARTS);
		settle();
	}
}

/*
 * The Admin Queue is polled all the time, for so many seconds. False if the connection ended since this program was kept from it for too
 * long; any other end fails the test.
 */
static bool lives(double kato, double seconds)
{
	const struct timespec pause = {.tv_nsec = 1000000};
	double begin = now(), gap = 0;
	int rc;

	do {
		double time;

		rc = spdk_nvme_ctrlr_process_admin_completions(g_session.ctrlr);
		time = now();
		gap = time - g_heard > gap ? time - g_heard : gap;
		g_heard = time;
		nanosleep(&pause, NULL);
	} while (rc >= 0 && g_heard - begin < seconds);
	if (rc < 0 && gap > kato / 4) {
		printf("not run for %.1f s: no finding\n", gap);
		return false;
	}
	REQUIRE(rc >= 0);
	return true;
}

/* The target ended the association; the program does not poll the host meanwhile. */
static void wait_for_the_end(double kato)
{
	const struct timespec pause = {.tv_nsec = 1000000};
	double deadline = deadline_in(STEP_SECONDS + 2 * kato);

	if (peer_takes_commands()) {
		while (peer_count().connections > 0) {
			in_process_poll();
			REQUIRE(!deadline_passed(deadline));
			nanosleep(&pause, NULL);
		}
	} else {
		peer_ask("expired");
	}
}

static void is_found_dead(void)
{
	double deadline = deadline_in(STEP_SECONDS);
	int rc;

	/* The I/O qpair first: one whose controller is known to be lost is ended by this side. */
	do {
		rc = poll_step(NULL, g_qpair);
		REQUIRE(!deadline_passed(deadline));
	} while (rc >= 0);
	CHECK_INT(rc, -ENXIO);
	CHECK_INT(spdk_nvme_qpair_get_failure_reason(g_qpair), SPDK_NVME_QPAIR_FAILURE_REMOTE);
	do {
		in_process_poll();
		rc = spdk_nvme_ctrlr_process_admin_completions(g_session.ctrlr);
		REQUIRE(!deadline_passed(deadline));
	} while (rc >= 0);
	CHECK_INT(rc, -ENXIO);
	CHECK_INT(spdk_nvme_ctrlr_get_admin_qp_failure_reason(g_session.ctrlr), SPDK_NVME_QPAIR_FAILURE_REMOTE);
	CHECK(!spdk_nvme_ctrlr_is_failed(g_session.ctrlr));
	CHECK_INT(spdk_nvme_ctrlr_process_admin_completions(g_session.ctrlr), -ENXIO); /* until it is reset */
}

static void comes_back(void)
{
	double deadline = deadline_in(STEP_SECONDS);
	int rc;

	g_heard = now();
	CHECK_INT(spdk_nvme_ctrlr_reset(g_session.ctrlr), 0);
	CHECK_INT(spdk_nvme_ctrlr_get_admin_qp_failure_reason(g_session.ctrlr), SPDK_NVME_QPAIR_FAILURE_NONE);
	do {
		poll_step(NULL, g_qpair);
		rc = spdk_nvme_ctrlr_reconnect_io_qpair(g_qpair);
		REQUIRE((rc == 0 || rc == -EAGAIN) && !deadline_passed(deadline));
	} while (rc != 0 || !spdk_nvme_qpair_is_connected(g_qpair));
	CHECK(qpair_works(&g_session, NULL, g_qpair, 3));
}

/* Everything by a clock that is put forward. */
static void by_own_clock(void)
{
	double kato = OWN_KATO_MS / 1000.0;
	uint64_t before;

	open_with(OWN_KATO_MS);
	settle();
	before = keep_alives();
	lives_by_own_clock(kato, 3 * PARTS + PARTS / 2);
	/* One for each half of a timeout. */
	CHECK_RANGE((double)(keep_alives() - before), 6, 8);
	CHECK(qpair_works(&g_session, NULL, g_qpair, 1));

	/* I/O alone keeps nothing alive: the program has to poll the Admin Queue. */
	before = keep_alives();
	ticks_skip(kato / 2 + kato / PARTS);
	CHECK(qpair_works(&g_session, NULL, g_qpair, 2));
	CHECK_INT(keep_alives() - before, 0);
	settle();
	CHECK_INT(keep_alives() - before, 1);

	ticks_skip(kato + kato / PARTS);
	in_process_settle();
	is_found_dead();
	wait_for_the_end(kato);
	comes_back();
	settle();
	before = keep_alives();
	lives_by_own_clock(kato, 3 * PARTS);
	CHECK_RANGE((double)(keep_alives() - before), 5, 7);
	CHECK(qpair_works(&g_session, NULL, g_qpair, 4));
	close_all();

	/* Without a timeout nobody asks, and nobody misses it. */
	open_with(0);
	before = keep_alives();
	lives_by_own_clock(kato, 3 * PARTS);
	CHECK_INT(keep_alives() - before, 0);
	CHECK(qpair_works(&g_session, NULL, g_qpair, 5));
	close_all();
}

/* The same in real time. False if the machine was too busy for a timeout that short. */
static bool in_real_time(uint32_t kato_ms)
{
	double kato = kato_ms / 1000.0, begin;
	uint64_t before, found;

	open_with(kato_ms);
	before = keep_alives();
	begin = now();
	if (!lives(kato, 3.2 * kato)) {
		close_all();
		return false;
	}
	if (peer_takes_commands()) {
		found = keep_alives() - before;
		printf("%llu Keep Alives in %.1f s, with a timeout of %.1f s\n", (unsigned long long)found, now() - begin, kato);
		/* At least one in each timeout; no more than one in each half of one, and the first. */
		CHECK_RANGE((double)found, 3, 2 * (now() - begin) / kato + 1);
	}
	if (peer_takes_commands() || peer_has_hand()) {
		wait_for_the_end(kato);
		is_found_dead();
		comes_back();
		if (!lives(kato, 1.5 * kato)) {
			close_all();
			return false;
		}
	}
	CHECK(qpair_works(&g_session, NULL, g_qpair, 4));
	close_all();
	return true;
}

int main(int argc, char **argv)
{
	const char *text = getenv("KATO_MS");
	uint64_t kato_ms = 1000;
	unsigned tries;

	if (text != NULL && (!size_read(text, 1000000, &kato_ms) || kato_ms < 100)) {
		fprintf(stderr, "KATO_MS is a number of milliseconds from 100\n");
		return EXIT_WRONG;
	}
	test_begin(argc, argv, &g_trid, 600);
	g_in_process = argc == 2;
	peer_begin(g_in_process);
	if (g_in_process) {
		by_own_clock();
	} else {
		for (tries = 0; !in_real_time((uint32_t)kato_ms << tries);) {
			REQUIRE(++tries < TRIES);
		}
	}
	peer_end();
	test_end();
	return check_result("keep_alive");
}

/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * A controller's life as a program leads it: attached while a context is polled, failed, reset at once and in steps, with I/O under way,
 * from callbacks, and from another thread than the I/O; and what each call answers at the wrong moment. On any target.
 */

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>
#include <unistd.h>

#include "check.h"
#include "common.h"
#include "in_process.h"
#include "session.h"

#define READS 32

static struct session g_session;
static struct spdk_nvme_poll_group *g_group;
static uint8_t *g_buffer;

/* What the probe family calls back. */
struct attach {
	unsigned asked;
	unsigned attached;
	unsigned failed;
	int rc;
	struct spdk_nvme_ctrlr *ctrlr;
	struct spdk_nvme_probe_ctx *ctx;
	bool decline;
};

static bool asked(void *arg, const struct spdk_nvme_transport_id *trid, struct spdk_nvme_ctrlr_opts *opts)
{
	struct attach *attach = arg;

	(void)trid;
	attach->asked++;
	opts->fabrics_connect_timeout_us = FABRICS_CONNECT_SECONDS * 1000000ull;
	return !attach->decline;
}

static void attached(void *arg, const struct spdk_nvme_transport_id *trid, struct spdk_nvme_ctrlr *ctrlr,
		     const struct spdk_nvme_ctrlr_opts *opts)
{
	struct attach *attach = arg;

	CHECK(trid == spdk_nvme_ctrlr_get_transport_id(ctrlr) && opts == spdk_nvme_ctrlr_get_opts(ctrlr));
	attach->attached++;
	attach->ctrlr = ctrlr;
	if (attach->ctx != NULL) {
		CHECK_INT(spdk_nvme_probe_poll_async(attach->ctx), -EAGAIN); /* from its own callback */
	}
}

static void attach_failed(void *arg, const struct spdk_nvme_transport_id *trid, int rc)
{
	struct attach *attach = arg;

	CHECK(trid != NULL && rc < 0);
	attach->failed++;
	attach->rc = rc;
}

static void poll_context(struct spdk_nvme_probe_ctx *ctx)
{
	double deadline = deadline_in(STEP_SECONDS);
	int rc;

	do {
		in_process_poll();
		rc = spdk_nvme_probe_poll_async(ctx);
		REQUIRE(rc == -EAGAIN || rc == 0);
		REQUIRE(!deadline_passed(deadline));
	} while (rc != 0);
	CHECK_INT(spdk_nvme_probe_poll_async(ctx), -EINVAL); /* it is gone */
}

static void connected(void *arg, const struct spdk_nvme_transport_id *trid, struct spdk_nvme_ctrlr *ctrlr,
		      const struct spdk_nvme_ctrlr_opts *opts)
{
	(void)trid;
	(void)opts;
	/* The context of connect_async is the options that were passed. */
	((struct spdk_nvme_ctrlr_opts *)arg)->num_io_queues = 77;
	g_session.ctrlr = ctrlr;
}

static void attaching(const struct spdk_nvme_transport_id *trid)
{
	struct attach one = {0}, two = {0}, never = {.decline = true}, nowhere = {0};
	struct spdk_nvme_transport_id other = *trid;
	struct spdk_nvme_probe_ctx *first, *second;
	struct spdk_nvme_ctrlr_opts opts;

	/* Two contexts want the same controller, and get the same handle. */
	first = spdk_nvme_probe_async(trid, &one, asked, attached, NULL);
	second = spdk_nvme_probe_async_ext(trid, &two, asked, attached, attach_failed, NULL);
	REQUIRE(first != NULL && second != NULL);
	CHECK(one.asked == 1 && two.asked == 1 && one.attached == 0 && two.attached == 0);
	one.ctx = first;
	CHECK_INT(spdk_nvme_probe_poll_async(second), -EAGAIN);
	poll_context(first);
	poll_context(second);
	CHECK(one.attached == 1 && two.attached == 1 && two.failed == 0 && one.ctrlr == two.ctrlr);

	/* One that is attached is told of at once. */
	one = (struct attach){0};
	first = spdk_nvme_probe_async(trid, &one, asked, attached, NULL);
	REQUIRE(first != NULL);
	CHECK_INT(one.attached, 1);
	poll_context(first);
	CHECK_INT(one.attached, 1);
	CHECK_INT(spdk_nvme_probe_ext(trid, &two, asked, attached, attach_failed, NULL), 0);
	CHECK_INT(two.attached, 2);
	CHECK_INT(spdk_nvme_detach(one.ctrlr), 0);
	CHECK_INT(spdk_nvme_detach(one.ctrlr), 0);
	CHECK_INT(spdk_nvme_detach(one.ctrlr), 0);
	CHECK(!ctrlr_is_gone(one.ctrlr));
	CHECK_INT(spdk_nvme_detach(one.ctrlr), 0);
	CHECK(ctrlr_is_gone(one.ctrlr));

	/* What is declined, and what is not there. */
	CHECK(spdk_nvme_probe_async(trid, &never, asked, attached, NULL) == NULL);
	CHECK_INT(spdk_nvme_probe_ext(trid, &never, asked, attached, attach_failed, NULL), -1);
	CHECK(never.asked == 2 && never.attached == 0 && never.failed == 0);
	snprintf(other.subnqn, sizeof(other.subnqn), "nqn.2024-01.test:nowhere");
	CHECK_INT(spdk_nvme_probe_ext(&other, &nowhere, NULL, attached, attach_failed, NULL), 0);
	CHECK(nowhere.attached == 0 && nowhere.failed == 1 && nowhere.rc < 0);
	first = spdk_nvme_probe_async_ext(&other, &nowhere, NULL, attached, attach_failed, NULL);
	REQUIRE(first != NULL);
	poll_context(first);
	CHECK(nowhere.attached == 0 && nowhere.failed == 2);
	CHECK_INT(spdk_nvme_scan_attached(trid), -ENOTSUP);
	CHECK_INT(spdk_nvme_scan_attached(NULL), -EINVAL);

	spdk_nvme_ctrlr_get_default_ctrlr_opts(&opts, sizeof(opts));
	opts.fabrics_connect_timeout_us = FABRICS_CONNECT_SECONDS * 1000000ull;
	CHECK(spdk_nvme_connect_async(NULL, &opts, connected) == NULL);
	first = spdk_nvme_connect_async(trid, &opts, connected);
	REQUIRE(first != NULL);
	/* Whoever waits cannot be served while this thread's context is not polled. */
	CHECK(spdk_nvme_connect(trid, &opts, sizeof(opts)) == NULL);
	poll_context(first);
	REQUIRE(g_session.ctrlr != NULL);
	CHECK_INT(opts.num_io_queues, 77);
	session_of(&g_session, trid, g_session.ctrlr);
}

/* Qpairs in a group and alone, synchronous and not. */
static struct spdk_nvme_qpair *g_qpairs[4];

static struct spdk_nvme_poll_group *group_of(unsigned i)
{
	return i < 2 ? g_group : NULL;
}

static void poll_all(void)
{
	unsigned i;

	poll_step(g_group, NULL);
	for (i = 2; i < 4; i++) {
		poll_step(NULL, g_qpairs[i]);
	}
}

static void all_work(void)
{
	unsigned i;

	for (i = 0; i < 4; i++) {
		CHECK(qpair_works(&g_session, group_of(i), g_qpairs[i], 8 * i));
	}
}

/* After a reset: each has ended, and is connected again. */
static void reconnect_all(void)
{
	double deadline = deadline_in(STEP_SECONDS);
	unsigned i;
	int rc;

	for (i = 0; i < 4; i++) {
		do {
			poll_all();
			rc = spdk_nvme_ctrlr_reconnect_io_qpair(g_qpairs[i]);
			REQUIRE(rc == 0 || rc == -EAGAIN);
			REQUIRE(!deadline_passed(deadline));
		} while (rc != 0 || !spdk_nvme_qpair_is_connected(g_qpairs[i]));
		CHECK_INT(spdk_nvme_ctrlr_reconnect_io_qpair(g_qpairs[i]), 0); /* it is connected */
	}
}

static struct single g_reads[4 * READS];

static void begin_reads(void)
{
	unsigned i;

	memset(g_reads, 0, sizeof(g_reads));
	for (i = 0; i < 4 * READS; i++) {
		CHECK_INT(single_read(&g_session, g_qpairs[i % 4], &g_reads[i], g_buffer, i, 1), 0);
	}
}

static bool reads_are_over(void)
{
	unsigned i;

	for (i = 0; i < 4 * READS; i++) {
		if (g_reads[i].calls == 0) {
			return false;
		}
	}
	return true;
}

static void wait_for_reads(void)
{
	double deadline = deadline_in(STEP_SECONDS);
	unsigned i;

	while (!reads_are_over()) {
		poll_all();
		REQUIRE(!deadline_passed(deadline));
	}
	for (i = 0; i < 4 * READS; i++) {
		CHECK_INT(g_reads[i].calls, 1);
		CHECK(!spdk_nvme_cpl_is_error(&g_reads[i].cpl) || was_aborted(&g_reads[i]));
	}
}

static void resets(void)
{
	unsigned round;

	for (round = 0; round < 5; round++) {
		begin_reads();
		CHECK_INT(spdk_nvme_ctrlr_reset(g_session.ctrlr), 0);
		CHECK(!spdk_nvme_ctrlr_is_failed(g_session.ctrlr));
		CHECK(spdk_nvme_ctrlr_process_admin_completions(g_session.ctrlr) >= 0);
		wait_for_reads();
		reconnect_all();
		all_work();
	}
}

static void resets_in_steps(void)
{
	struct spdk_nvme_transport_id trid = *spdk_nvme_ctrlr_get_transport_id(g_session.ctrlr), other = trid;
	unsigned round;
	double deadline;
	int rc;

	CHECK_INT(spdk_nvme_ctrlr_set_trid(g_session.ctrlr, &trid), -EPERM);
	for (round = 0; round < 3; round++) {
		begin_reads();
		spdk_nvme_ctrlr_fail(g_session.ctrlr);
		spdk_nvme_ctrlr_fail(g_session.ctrlr);
		CHECK(spdk_nvme_ctrlr_is_failed(g_session.ctrlr));
		snprintf(other.subnqn, sizeof(other.subnqn), "nqn.2024-01.test:other");
		CHECK_INT(spdk_nvme_ctrlr_set_trid(g_session.ctrlr, &other), -EINVAL);
		CHECK_INT(spdk_nvme_ctrlr_set_trid(g_session.ctrlr, NULL), -EINVAL);
		CHECK_INT(spdk_nvme_ctrlr_set_trid(g_session.ctrlr, &trid), 0);
		CHECK_INT(spdk_nvme_ctrlr_reconnect_io_qpair(g_qpairs[0]), -ENXIO);
		CHECK_INT(spdk_nvme_ctrlr_disconnect(g_session.ctrlr), 0);
		CHECK(!spdk_nvme_ctrlr_is_failed(g_session.ctrlr));
		CHECK_INT(spdk_nvme_ctrlr_disconnect(g_session.ctrlr), -EBUSY);
		CHECK_INT(spdk_nvme_ctrlr_reset(g_session.ctrlr), 0); /* does nothing */
		CHECK(spdk_nvme_ctrlr_alloc_io_qpair(g_session.ctrlr, NULL, 0) == NULL);
		deadline = deadline_in(STEP_SECONDS);
		do {
			poll_all();
			rc = spdk_nvme_ctrlr_process_admin_completions(g_session.ctrlr);
			REQUIRE(!deadline_passed(deadline));
		} while (rc == 0);
		CHECK_INT(rc, -ENXIO);
		wait_for_reads();
		CHECK_INT(spdk_nvme_ctrlr_reconnect_io_qpair(g_qpairs[0]), -EAGAIN);
		spdk_nvme_ctrlr_reconnect_async(g_session.ctrlr);
		do {
			poll_all();
			CHECK(spdk_nvme_ctrlr_process_admin_completions(g_session.ctrlr) <= 0);
			rc = spdk_nvme_ctrlr_reconnect_poll_async(g_session.ctrlr);
			REQUIRE(!deadline_passed(deadline));
		} while (rc == -EAGAIN);
		CHECK_INT(rc, 0);
		reconnect_all();
		all_work();
	}
}

static struct spdk_nvme_ctrlr *g_to_reset;

static void reset_from_callback(struct single *single)
{
	(void)single;
	CHECK_INT(spdk_nvme_ctrlr_reset(g_to_reset), 0);
}

static void reset_from_admin_callback(void *arg, const struct spdk_nvme_cpl *cpl)
{
	CHECK(!spdk_nvme_cpl_is_error(cpl));
	CHECK_INT(spdk_nvme_ctrlr_reset(g_to_reset), 0);
	++*(unsigned *)arg;
}

static void resets_from_callbacks(void)
{
	double deadline = deadline_in(STEP_SECONDS);
	unsigned calls = 0;

	g_to_reset = g_session.ctrlr;
	CHECK_INT(spdk_nvme_ctrlr_cmd_get_feature(g_session.ctrlr, SPDK_NVME_FEAT_NUMBER_OF_QUEUES, 0, NULL, 0,
						  reset_from_admin_callback, &calls),
		  0);
	while (calls == 0) {
		poll_all();
		spdk_nvme_ctrlr_process_admin_completions(g_session.ctrlr);
		REQUIRE(!deadline_passed(deadline));
	}
	reconnect_all();
	begin_reads();
	g_reads[READS].then = reset_from_callback;
	wait_for_reads();
	reconnect_all();
	all_work();
}

/* One thread resets while another has I/O under way, and connects again by itself. */
static atomic_bool g_resets_are_over;
/* How often it did. */
static atomic_ulong g_connects;

static void *reset_thread(void *arg)
{
	double deadline = deadline_in(STEP_SECONDS);
	unsigned round;

	(void)arg;
	for (round = 0; round < 20; round++) {
		unsigned long connects = atomic_load(&g_connects);

		CHECK_INT(spdk_nvme_ctrlr_reset(g_session.ctrlr), 0);
		/* Left to themselves the resets may keep the other thread from connecting at all (under valgrind, where threads
		   take turns, they do): so after each second one they wait until it has. */
		while (round % 2 == 1 && atomic_load(&g_connects) == connects && !deadline_passed(deadline)) {
			usleep(1000);
		}
	}
	atomic_store(&g_resets_are_over, true);
	return NULL;
}

static void resets_from_another_thread(void)
{
	pthread_t thread;
	double deadline = deadline_in(STEP_SECONDS);
	unsigned i;
	int rc;

	REQUIRE(pthread_create(&thread, NULL, reset_thread, NULL) == 0);
	memset(g_reads, 0, sizeof(g_reads));
	while (!atomic_load(&g_resets_are_over)) {
		poll_all();
		for (i = 0; i < 4; i++) {
			if (!spdk_nvme_qpair_is_connected(g_qpairs[i])) {
				rc = spdk_nvme_ctrlr_reconnect_io_qpair(g_qpairs[i]);
				/* It is reset meanwhile, perhaps in the midst of it. */
				CHECK(rc <= 0);
				if (rc == 0) {
					atomic_fetch_add(&g_connects, 1);
				}
			} else if (g_reads[i].calls == 1 || g_reads[i].argument == NULL) {
				g_reads[i] = (struct single){.argument = g_buffer};
				if (single_read(&g_session, g_qpairs[i], &g_reads[i], g_buffer, i, 1) != 0) {
					g_reads[i].argument = NULL;
				}
			}
		}
		REQUIRE(!deadline_passed(deadline));
	}
	pthread_join(thread, NULL);
	for (i = 0; i < 4; i++) {
		while (g_reads[i].argument != NULL && g_reads[i].calls == 0) {
			poll_all();
			REQUIRE(!deadline_passed(deadline));
		}
	}
	CHECK(atomic_load(&g_connects) >= 10);
	reconnect_all();
	all_work();
}

/* The target goes; a reset says so, and another one too; the program detaches what is left. */
static void target_is_gone(void)
{
	double deadline = deadline_in(STEP_SECONDS);

	begin_reads();
	in_process_stop();
	while (spdk_nvme_ctrlr_process_admin_completions(g_session.ctrlr) >= 0) {
		poll_all();
		REQUIRE(!deadline_passed(deadline));
	}
	wait_for_reads();
	CHECK(!spdk_nvme_ctrlr_is_failed(g_session.ctrlr));
	CHECK(spdk_nvme_ctrlr_get_admin_qp_failure_reason(g_session.ctrlr) != SPDK_NVME_QPAIR_FAILURE_NONE);
	CHECK_INT(spdk_nvme_ctrlr_reset(g_session.ctrlr), -1);
	CHECK(spdk_nvme_ctrlr_is_failed(g_session.ctrlr));
	CHECK_INT(spdk_nvme_ctrlr_disconnect(g_session.ctrlr), 0);
	spdk_nvme_ctrlr_reconnect_async(g_session.ctrlr);
	while (spdk_nvme_ctrlr_reconnect_poll_async(g_session.ctrlr) == -EAGAIN) {
		REQUIRE(!deadline_passed(deadline));
	}
	CHECK_INT(spdk_nvme_ctrlr_reconnect_io_qpair(g_qpairs[2]), -ENXIO);
}

int main(int argc, char **argv)
{
	struct spdk_nvme_transport_id trid;
	bool in_process;
	unsigned i;

	test_begin(argc, argv, &trid, 600);
	in_process = argc == 2;
	attaching(&trid);
	g_buffer = spdk_zmalloc(64 * 1024, 4096, NULL, SPDK_ENV_NUMA_ID_ANY, SPDK_MALLOC_DMA);
	g_group = spdk_nvme_poll_group_create(NULL, NULL);
	REQUIRE(g_buffer != NULL && g_group != NULL);
	for (i = 0; i < 4; i++) {
		g_qpairs[i] = qpair_open(&g_session, group_of(i), i % 2 == 1);
	}
	all_work();
	resets();
	resets_in_steps();
	resets_from_callbacks();
	if (in_process) {
		/* Its target is this thread's alone. */
		target_is_gone();
	} else {
		resets_from_another_thread();
	}
	for (i = 0; i < 4; i++) {
		CHECK_INT(spdk_nvme_ctrlr_free_io_qpair(g_qpairs[i]), 0);
	}
	CHECK_INT(spdk_nvme_poll_group_destroy(g_group), 0);
	spdk_free(g_buffer);
	CHECK_INT(spdk_nvme_detach(g_session.ctrlr), 0);
	test_end();
	return check_result("reset");
}

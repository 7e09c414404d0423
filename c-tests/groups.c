/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * What a program may ask of poll groups and queue pairs beside polling them: whether all are connected, how much is under way, what aborted
 * commands say, queue identifiers of its own. On any target.
 */

#include <errno.h>
#include <string.h>

#include "check.h"
#include "common.h"
#include "in_process.h"
#include "session.h"

static void interrupted(struct spdk_nvme_poll_group *group, void *ctx)
{
	(void)group;
	(void)ctx;
	CHECK(false);
}

static void wait_connected(struct spdk_nvme_poll_group *group)
{
	double deadline = deadline_in(STEP_SECONDS);
	int rc;

	while ((rc = spdk_nvme_poll_group_all_connected(group)) == -EAGAIN) {
		poll_step(group, NULL);
		REQUIRE(!deadline_passed(deadline));
	}
	CHECK_INT(rc, 0);
}

static void groups(struct session *session)
{
	int context;
	struct spdk_nvme_poll_group *group = spdk_nvme_poll_group_create(&context, NULL);
	struct spdk_nvme_io_qpair_opts opts;
	struct spdk_nvme_qpair *qpairs[3];
	double deadline = deadline_in(STEP_SECONDS);
	unsigned i;

	REQUIRE(group != NULL);
	CHECK(spdk_nvme_poll_group_get_ctx(group) == &context);
	CHECK_INT(spdk_nvme_poll_group_all_connected(group), 0); /* nobody is not */
	CHECK_INT(spdk_nvme_poll_group_wait(group, NULL), -EINVAL);
	CHECK_INT(spdk_nvme_poll_group_wait(group, count_disconnected), -EINVAL);
	CHECK(spdk_nvme_poll_group_get_fd_group(group) == NULL);
	CHECK_INT(spdk_nvme_poll_group_get_fd(group), -EINVAL);
	CHECK_INT(spdk_nvme_poll_group_set_interrupt_callback(group, interrupted, NULL), 0);
	CHECK_INT(spdk_nvme_poll_group_set_interrupt_callback(group, interrupted, NULL), -EEXIST);
	CHECK_INT(spdk_nvme_poll_group_set_interrupt_callback(group, NULL, NULL), 0);
	CHECK_INT(spdk_nvme_poll_group_set_interrupt_callback(group, interrupted, NULL), 0);

	spdk_nvme_ctrlr_get_default_io_qpair_opts(session->ctrlr, &opts, sizeof(opts));
	opts.create_only = opts.async_mode = true;
	for (i = 0; i < 3; i++) {
		qpairs[i] = spdk_nvme_ctrlr_alloc_io_qpair(session->ctrlr, &opts, sizeof(opts));
		REQUIRE(qpairs[i] != NULL);
		CHECK_INT(spdk_nvme_poll_group_add(group, qpairs[i]), 0);
		CHECK_INT(spdk_nvme_poll_group_all_connected(group), -EIO); /* never connected */
	}
	for (i = 0; i < 3; i++) {
		CHECK_INT(spdk_nvme_ctrlr_connect_io_qpair(session->ctrlr, qpairs[i]), 0);
		CHECK_INT(spdk_nvme_poll_group_all_connected(group), i == 2 ? -EAGAIN : -EIO);
	}
	wait_connected(group);
	spdk_nvme_ctrlr_disconnect_io_qpair(qpairs[1]);
	CHECK_INT(spdk_nvme_poll_group_all_connected(group), -EIO);
	while (spdk_nvme_ctrlr_connect_io_qpair(session->ctrlr, qpairs[1]) != 0) {
		poll_step(group, NULL);
		REQUIRE(!deadline_passed(deadline));
	}
	wait_connected(group);
	for (i = 0; i < 3; i++) {
		CHECK_INT(spdk_nvme_ctrlr_free_io_qpair(qpairs[i]), 0);
	}
	CHECK_INT(spdk_nvme_poll_group_destroy(group), 0);
}

/* What is under way, and what is said of it at the end. */
static void aborts(struct session *session, bool dnr)
{
	struct spdk_nvme_qpair *qpair = qpair_open(session, NULL, false);
	static struct single reads[8];
	void *buffer = spdk_zmalloc(64 * 1024, 4096, NULL, SPDK_ENV_NUMA_ID_ANY, SPDK_MALLOC_DMA);
	unsigned i;

	REQUIRE(buffer != NULL);
	memset(reads, 0, sizeof(reads));
	CHECK_INT(spdk_nvme_qpair_get_queue_depth(qpair), 0);
	CHECK(spdk_nvme_qpair_get_optimal_poll_group(qpair) == NULL);
	CHECK(qpair_works(session, NULL, qpair, 0));
	spdk_nvme_qpair_set_abort_dnr(qpair, dnr);
	for (i = 0; i < 8; i++) {
		CHECK_INT(single_read(session, qpair, &reads[i], buffer, i, 1), 0);
	}
	CHECK_INT(spdk_nvme_qpair_get_queue_depth(qpair), 8);
	CHECK_INT(spdk_nvme_qpair_get_num_outstanding_reqs(qpair), 8);
	CHECK_INT(spdk_nvme_ctrlr_free_io_qpair(qpair), 0);
	for (i = 0; i < 8; i++) {
		CHECK_INT(reads[i].calls, 1);
		if (was_aborted(&reads[i])) {
			CHECK_INT(reads[i].cpl.status.dnr, dnr);
		}
	}
	spdk_free(buffer);
}

static void queue_ids(struct session *session)
{
	struct spdk_nvme_qpair *qpair;
	int one = spdk_nvme_ctrlr_alloc_qid(session->ctrlr), two = spdk_nvme_ctrlr_alloc_qid(session->ctrlr);

	CHECK(one > 0 && two > 0 && one != two);
	qpair = qpair_open(session, NULL, false);
	CHECK(spdk_nvme_qpair_get_id(qpair) != one && spdk_nvme_qpair_get_id(qpair) != two);
	/* Not this program's to give back. */
	spdk_nvme_ctrlr_free_qid(session->ctrlr, 0);
	spdk_nvme_ctrlr_free_qid(session->ctrlr, 65535);
	spdk_nvme_ctrlr_free_qid(session->ctrlr, (uint16_t)one);
	spdk_nvme_ctrlr_free_qid(session->ctrlr, (uint16_t)one);
	spdk_nvme_ctrlr_free_qid(session->ctrlr, (uint16_t)two);
	CHECK(qpair_works(session, NULL, qpair, 0));
	CHECK_INT(spdk_nvme_ctrlr_free_io_qpair(qpair), 0);
}

int main(int argc, char **argv)
{
	struct spdk_nvme_transport_id trid;
	struct session session;

	test_begin(argc, argv, &trid, 600);
	session_open(&session, &trid);
	groups(&session);
	aborts(&session, false);
	aborts(&session, true);
	queue_ids(&session);
	session_close(&session);
	test_end();
	return check_result("groups");
}

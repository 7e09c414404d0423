/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * Controllers that go: several in one detach context; with I/O qpairs still there and requests in flight, which the
 * program left to the library (S19); one that was attached twice; and the same controller handle once more afterwards,
 * which is then just an error. They are different controllers because they belong to different hosts.
 */

#include <errno.h>
#include <string.h>

#include "spdk/env.h"

#include "check.h"
#include "common.h"
#include "session.h"

#define CONTROLLERS 5u
#define IN_FLIGHT 8u

static void detach_together(const struct spdk_nvme_transport_id *trid, bool with_qpairs)
{
	struct session sessions[CONTROLLERS];
	struct single singles[CONTROLLERS][IN_FLIGHT];
	struct spdk_nvme_detach_ctx *context = NULL;
	uint8_t *buffer = spdk_dma_zmalloc(4096, 4096, NULL);
	unsigned controller, index;

	REQUIRE(buffer != NULL);
	memset(singles, 0, sizeof(singles));
	for (controller = 0; controller < CONTROLLERS; controller++) {
		session_open_as(&sessions[controller], trid, controller + 1);
		for (index = 0; index < controller; index++) {
			CHECK(sessions[index].ctrlr != sessions[controller].ctrlr);
		}
		if (with_qpairs) {
			struct spdk_nvme_qpair *qpair = qpair_open(&sessions[controller], NULL, false);

			CHECK(qpair_works(&sessions[controller], NULL, qpair, controller));
			for (index = 0; index < IN_FLIGHT; index++) {
				CHECK_INT(single_read(&sessions[controller], qpair, &singles[controller][index], buffer, index, 1), 0);
			}
		}
	}
	for (controller = 0; controller < CONTROLLERS; controller++) {
		CHECK_INT(spdk_nvme_detach_async(sessions[controller].ctrlr, &context), 0);
	}
	/* NULL would mean that all were gone at once, which is fine too. */
	if (context != NULL) {
		spdk_nvme_detach_poll(context);
	}
	for (controller = 0; controller < CONTROLLERS; controller++) {
		CHECK(ctrlr_is_gone(sessions[controller].ctrlr));
	}
	for (controller = 0; with_qpairs && controller < CONTROLLERS; controller++) {
		for (index = 0; index < IN_FLIGHT; index++) {
			CHECK_INT(singles[controller][index].calls, 1);
		}
	}
	spdk_dma_free(buffer);
}

/* The same host at the same transport id once more: one controller, which stays until the last has let go of it. */
static void attached_twice(const struct spdk_nvme_transport_id *trid)
{
	struct session first, second, other;
	struct spdk_nvme_qpair *qpair;

	session_open(&first, trid);
	session_open(&second, trid);
	session_open_as(&other, trid, 1);
	CHECK(first.ctrlr == second.ctrlr);
	CHECK(first.ctrlr != other.ctrlr);
	session_close(&first);
	CHECK(!ctrlr_is_gone(second.ctrlr));
	qpair = qpair_open(&second, NULL, false);
	CHECK(qpair_works(&second, NULL, qpair, 1));
	CHECK_INT(spdk_nvme_ctrlr_free_io_qpair(qpair), 0);
	first.ctrlr = second.ctrlr;
	session_close(&second);
	CHECK(ctrlr_is_gone(first.ctrlr));
	first.ctrlr = other.ctrlr;
	session_close(&other);
	CHECK(ctrlr_is_gone(first.ctrlr));
}

static void detach_twice(const struct spdk_nvme_transport_id *trid)
{
	struct session session;
	struct spdk_nvme_ctrlr *gone;

	session_open(&session, trid);
	gone = session.ctrlr;
	session_close(&session);
	CHECK(spdk_nvme_detach(gone) != 0);
	CHECK(spdk_nvme_detach(NULL) != 0);
	CHECK(spdk_nvme_ctrlr_alloc_io_qpair(gone, NULL, 0) == NULL);
	CHECK(spdk_nvme_ctrlr_process_admin_completions(gone) < 0);
}

int main(int argc, char **argv)
{
	struct spdk_nvme_transport_id trid;
	unsigned before, round;

	test_begin(argc, argv, &trid, 180);
	detach_together(&trid, false);
	before = count_fds();
	for (round = 0; round < 3; round++) {
		detach_together(&trid, round != 0);
	}
	attached_twice(&trid);
	detach_twice(&trid);
	CHECK_INT(count_fds_down_to(before), before);
	test_end();
	return check_result("async-detach");
}

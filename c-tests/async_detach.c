/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * Controllers that go: several in one detach context; with I/O qpairs still there and requests in flight, which the
 * program left to the library (S19); and the same controller handle once more afterwards, which is then just an
 * error.
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
		session_open(&sessions[controller], trid);
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
	for (controller = 0; with_qpairs && controller < CONTROLLERS; controller++) {
		for (index = 0; index < IN_FLIGHT; index++) {
			CHECK_INT(singles[controller][index].calls, 1);
		}
	}
	spdk_dma_free(buffer);
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
	detach_twice(&trid);
	CHECK_INT(count_fds(), before);
	test_end();
	return check_result("async-detach");
}

/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * Boot partitions: that the one which was written is the active one, one image at a time, and what is refused. They cannot be read over
 * fabrics. A controller without any says so. What they hold is lost.
 */

#include <errno.h>
#include <string.h>

#include "check.h"
#include "common.h"
#include "in_process.h"
#include "session.h"

#define IMAGE_BYTES (64u << 10)

static struct session g_session;

/* Polls until the callback ran; once. */
static void wait_for(const struct single *single)
{
	double deadline = deadline_in(STEP_SECONDS);

	while (single->calls == 0 && !deadline_passed(deadline)) {
		if (!CHECK(spdk_nvme_ctrlr_process_admin_completions(g_session.ctrlr) >= 0)) {
			return;
		}
		poll_step(NULL, NULL);
	}
	CHECK_INT(single->calls, 1);
}

static int begin(void *image, uint32_t size, uint32_t id, struct single *single)
{
	memset(single, 0, sizeof(*single));
	return spdk_nvme_ctrlr_write_boot_partition(g_session.ctrlr, image, size, id, single_done, single);
}

static void check_writes(uint8_t *image)
{
	struct single single, other;
	struct spdk_nvme_status status;
	uint32_t id, size;

	for (id = 0; id < 2; id++) {
		/* Whole pieces, and a last one that is shorter. */
		size = id == 0 ? IMAGE_BYTES : IMAGE_BYTES - 4092;
		CHECK_INT(begin(image, size, 1 - id, &single), 0);
		CHECK_INT(begin(image, size, id, &other), -EBUSY);
		CHECK_INT(spdk_nvme_ctrlr_update_firmware(g_session.ctrlr, image, 4096, 2, SPDK_NVME_FW_COMMIT_REPLACE_IMG, &status),
			  -EBUSY);
		/* It was copied. */
		memset(image, (int)id + 1, IMAGE_BYTES);
		wait_for(&single);
		CHECK(!spdk_nvme_cpl_is_error(&single.cpl));
		CHECK_INT(other.calls, 0);
		CHECK_INT(spdk_nvme_ctrlr_get_regs_bpinfo(g_session.ctrlr).bits.abpid, 1 - id);
	}
	CHECK_INT(begin(image, 4096, 2, &single), -EINVAL);
	CHECK_INT(begin(image, 0, 0, &single), -EINVAL);
	CHECK_INT(begin(image, 4095, 0, &single), -EINVAL);
	CHECK_INT(begin(NULL, 4096, 0, &single), -EINVAL);
	CHECK_INT(begin(image, 4096, 1, &single), 0);
	wait_for(&single);
	CHECK(!spdk_nvme_cpl_is_error(&single.cpl));
	/* Whoever goes away in the midst of it hears that it came to nothing. */
	CHECK_INT(begin(image, IMAGE_BYTES, 0, &single), 0);
	session_close(&g_session);
	CHECK_INT(single.calls, 1);
	CHECK(spdk_nvme_cpl_is_error(&single.cpl));
}

int main(int argc, char **argv)
{
	static const struct in_process_room room = {.lingers = true, .format = ",boot=128K"};
	static uint8_t image[IMAGE_BYTES];
	struct spdk_nvme_transport_id trid;
	struct single single;

	test_begin_with(argc, argv, &room, &trid, 600);
	session_open(&g_session, &trid);
	CHECK_INT(spdk_nvme_ctrlr_read_boot_partition_start(g_session.ctrlr, image, 1, 0, 0), -ENOTSUP);
	CHECK(spdk_nvme_ctrlr_read_boot_partition_poll(g_session.ctrlr) < 0);
	if (spdk_nvme_ctrlr_get_regs_cap(g_session.ctrlr).bits.bps) {
		check_writes(image);
	} else {
		CHECK_INT(begin(image, sizeof(image), 0, &single), -ENOTSUP);
		session_close(&g_session);
	}
	test_end();
	return check_result("boot");
}

/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * What keeps others out: compare and write as one operation, blocks that are marked as bad, and reservations between two hosts. Of what
 * the controller says that it can do, as programs meet it; what it cannot is left out.
 */

#include <string.h>

#include "spdk/env.h"

#include "check.h"
#include "common.h"
#include "session.h"

#define BLOCKS 8u

static struct session g_one, g_other;
static struct spdk_nvme_qpair *g_qpair, *g_other_qpair;
static uint8_t *g_buffer, *g_second;

static size_t bytes(void)
{
	return (size_t)BLOCKS * g_one.sector_size;
}

/* The status of a command, type and code; -1 if it was not accepted. */
static int status_of(int rc, struct spdk_nvme_qpair *qpair, struct single *single)
{
	CHECK_INT(rc, 0);
	if (rc != 0) {
		return -1;
	}
	REQUIRE(single_wait(NULL, qpair, single));
	CHECK_INT(single->calls, 1);
	return single->cpl.status.sct << 8 | single->cpl.status.sc;
}

static int read_status(struct session *session, struct spdk_nvme_qpair *qpair, uint64_t lba)
{
	struct single single = {0};

	return status_of(single_read(session, qpair, &single, g_buffer, lba, BLOCKS), qpair, &single);
}

static int write_status(struct session *session, struct spdk_nvme_qpair *qpair, uint64_t lba, uint8_t value)
{
	struct single single = {0};

	memset(g_buffer, value, bytes());
	return status_of(single_write(session, qpair, &single, g_buffer, lba, BLOCKS), qpair, &single);
}

static bool all_are(uint64_t lba, uint8_t value)
{
	size_t i;

	memset(g_buffer, ~value, bytes());
	CHECK_INT(read_status(&g_one, g_qpair, lba), 0);
	for (i = 0; i < bytes(); i++) {
		if (g_buffer[i] != value) {
			return false;
		}
	}
	return true;
}

/* Compares with `expected` and writes `value`, as one. */
static void compare_and_write(uint8_t expected, uint8_t value, int *compared, int *written)
{
	struct single first = {0}, second = {0};
	int rc, other;

	memset(g_buffer, expected, bytes());
	memset(g_second, value, bytes());
	rc = spdk_nvme_ns_cmd_compare(g_one.ns, g_qpair, g_buffer, 16, BLOCKS, single_done, &first, SPDK_NVME_IO_FLAGS_FUSE_FIRST);
	other = spdk_nvme_ns_cmd_write(g_one.ns, g_qpair, g_second, 16, BLOCKS, single_done, &second, SPDK_NVME_IO_FLAGS_FUSE_SECOND);
	*compared = status_of(rc, g_qpair, &first);
	*written = status_of(other, g_qpair, &second);
}

static void fused(void)
{
	int compared, written;

	if ((spdk_nvme_ctrlr_get_flags(g_one.ctrlr) & SPDK_NVME_CTRLR_COMPARE_AND_WRITE_SUPPORTED) == 0) {
		return;
	}
	CHECK_INT(write_status(&g_one, g_qpair, 16, 0x11), 0);
	compare_and_write(0x11, 0x22, &compared, &written);
	CHECK_INT(compared, 0);
	CHECK_INT(written, 0);
	CHECK(all_are(16, 0x22));
	compare_and_write(0x11, 0x33, &compared, &written);
	CHECK_INT(compared, SPDK_NVME_SCT_MEDIA_ERROR << 8 | SPDK_NVME_SC_COMPARE_FAILURE);
	CHECK_INT(written, SPDK_NVME_SC_ABORTED_FAILED_FUSED);
	CHECK(all_are(16, 0x22));
}

static void marked(void)
{
	struct single single = {0}, bad = {0};

	CHECK_INT(write_status(&g_one, g_qpair, 32, 0x44), 0);
	if (!spdk_nvme_ns_supports_write_uncorrectable(g_one.ns)) {
		return;
	}
	CHECK_INT(status_of(spdk_nvme_ns_cmd_write_uncorrectable(g_one.ns, g_qpair, 33, 1, single_done, &bad), g_qpair, &bad), 0);
	CHECK_INT(read_status(&g_one, g_qpair, 32), SPDK_NVME_SCT_MEDIA_ERROR << 8 | SPDK_NVME_SC_UNRECOVERED_READ_ERROR);
	CHECK_INT(status_of(single_read(&g_one, g_qpair, &single, g_buffer, 34, BLOCKS), g_qpair, &single), 0);
	CHECK_INT(write_status(&g_one, g_qpair, 32, 0x55), 0);
	CHECK(all_are(32, 0x55));
}

static int registers(struct session *session, struct spdk_nvme_qpair *qpair, uint64_t key, enum spdk_nvme_reservation_register_action how)
{
	struct spdk_nvme_reservation_register_data keys = {.crkey = key, .nrkey = key};
	struct single single = {0};

	return status_of(spdk_nvme_ns_cmd_reservation_register(session->ns, qpair, &keys, false, how, SPDK_NVME_RESERVE_PTPL_NO_CHANGES,
							       single_done, &single),
			 qpair, &single);
}

static int acquires(struct session *session, struct spdk_nvme_qpair *qpair, uint64_t key, uint64_t preempted,
		    enum spdk_nvme_reservation_acquire_action how, enum spdk_nvme_reservation_type type)
{
	struct spdk_nvme_reservation_acquire_data keys = {.crkey = key, .prkey = preempted};
	struct single single = {0};

	return status_of(spdk_nvme_ns_cmd_reservation_acquire(session->ns, qpair, &keys, false, how, type, single_done, &single), qpair,
			 &single);
}

static void reservations(void)
{
	const int conflict = SPDK_NVME_SC_RESERVATION_CONFLICT;

	if ((spdk_nvme_ns_get_flags(g_one.ns) & SPDK_NVME_NS_RESERVATION_SUPPORTED) == 0) {
		return;
	}
	CHECK_INT(acquires(&g_one, g_qpair, 1, 0, SPDK_NVME_RESERVE_ACQUIRE, SPDK_NVME_RESERVE_WRITE_EXCLUSIVE), conflict);
	CHECK_INT(registers(&g_one, g_qpair, 1, SPDK_NVME_RESERVE_REGISTER_KEY), 0);
	CHECK_INT(acquires(&g_one, g_qpair, 1, 0, SPDK_NVME_RESERVE_ACQUIRE, SPDK_NVME_RESERVE_WRITE_EXCLUSIVE), 0);
	CHECK_INT(write_status(&g_one, g_qpair, 48, 0x66), 0);
	CHECK_INT(write_status(&g_other, g_other_qpair, 48, 0x77), conflict);
	CHECK_INT(read_status(&g_other, g_other_qpair, 48), 0);
	CHECK(all_are(48, 0x66));
	/* The other takes it away, for reads as well. */
	CHECK_INT(registers(&g_other, g_other_qpair, 2, SPDK_NVME_RESERVE_REGISTER_KEY), 0);
	CHECK_INT(acquires(&g_other, g_other_qpair, 2, 1, SPDK_NVME_RESERVE_PREEMPT, SPDK_NVME_RESERVE_EXCLUSIVE_ACCESS), 0);
	CHECK_INT(write_status(&g_other, g_other_qpair, 48, 0x77), 0);
	CHECK_INT(write_status(&g_one, g_qpair, 48, 0x66), conflict);
	CHECK_INT(read_status(&g_one, g_qpair, 48), conflict);
	CHECK_INT(registers(&g_other, g_other_qpair, 2, SPDK_NVME_RESERVE_UNREGISTER_KEY), 0);
	CHECK(all_are(48, 0x77));
}

int main(int argc, char **argv)
{
	struct spdk_nvme_transport_id trid;

	test_begin(argc, argv, &trid, 600);
	session_open_as(&g_one, &trid, 1);
	session_open_as(&g_other, &trid, 2);
	g_qpair = qpair_open(&g_one, NULL, false);
	g_other_qpair = qpair_open(&g_other, NULL, false);
	g_buffer = spdk_dma_zmalloc(bytes(), 4096, NULL);
	g_second = spdk_dma_zmalloc(bytes(), 4096, NULL);
	REQUIRE(g_qpair != NULL && g_other_qpair != NULL && g_buffer != NULL && g_second != NULL);
	fused();
	marked();
	reservations();
	CHECK(qpair_works(&g_one, NULL, g_qpair, 0));
	CHECK_INT(spdk_nvme_ctrlr_free_io_qpair(g_qpair), 0);
	CHECK_INT(spdk_nvme_ctrlr_free_io_qpair(g_other_qpair), 0);
	spdk_dma_free(g_buffer);
	spdk_dma_free(g_second);
	session_close(&g_other);
	session_close(&g_one);
	test_end();
	return check_result("exclusive");
}

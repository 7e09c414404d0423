/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * I/O commands beside reads and writes: compare, those on blocks without data, and those whose data are a list. What the controller says that
 * it can do must do what it says, seen in the blocks; what it cannot must come back with the controller's refusal, once, and leave the
 * queue pair as it was. On any target.
 */

#include <errno.h>
#include <string.h>

#include "spdk/env.h"

#include "check.h"
#include "common.h"
#include "session.h"

#define BLOCKS 8u

static struct session g_session;
static struct spdk_nvme_qpair *g_qpair;
static uint8_t *g_buffer;

static size_t bytes(void)
{
	return (size_t)BLOCKS * g_session.sector_size;
}

/* What a submission returned, and then whether the command succeeded. */
static bool succeeded(int rc, struct single *single)
{
	CHECK_INT(rc, 0);
	CHECK_INT(single->calls, 0);
	REQUIRE(rc == 0 && single_wait(NULL, g_qpair, single));
	CHECK_INT(single->calls, 1);
	return !spdk_nvme_cpl_is_error(&single->cpl);
}

/* A command that the controller says it has, or not, and what became of it. */
static void as_told(int rc, struct single *single, bool has)
{
	if (has) {
		CHECK(succeeded(rc, single));
	} else if (!succeeded(rc, single)) {
		CHECK(single->cpl.status.sc != 0 || single->cpl.status.sct != 0);
	}
}

static void fill(uint64_t lba, uint8_t value)
{
	struct single single = {0};

	memset(g_buffer, value, bytes());
	CHECK(succeeded(single_write(&g_session, g_qpair, &single, g_buffer, lba, BLOCKS), &single));
}

static bool all_are(uint64_t lba, uint8_t value)
{
	struct single single = {0};
	size_t i;

	memset(g_buffer, ~value, bytes());
	if (!succeeded(single_read(&g_session, g_qpair, &single, g_buffer, lba, BLOCKS), &single)) {
		return false;
	}
	for (i = 0; i < bytes(); i++) {
		if (g_buffer[i] != value) {
			return false;
		}
	}
	return true;
}

static void compare(void)
{
	struct spdk_nvme_ns *ns = g_session.ns;
	struct single same = {0}, other = {0}, none = {0};
	bool has = spdk_nvme_ns_supports_compare(ns);

	fill(16, 0x3c);
	memset(g_buffer, 0x3c, bytes());
	as_told(spdk_nvme_ns_cmd_compare(ns, g_qpair, g_buffer, 16, BLOCKS, single_done, &same, 0), &same, has);
	g_buffer[bytes() - 1] ^= 1;
	CHECK(!succeeded(spdk_nvme_ns_cmd_compare(ns, g_qpair, g_buffer, 16, BLOCKS, single_done, &other, 0), &other));
	if (has) {
		CHECK_INT(other.cpl.status.sct, SPDK_NVME_SCT_MEDIA_ERROR);
		CHECK_INT(other.cpl.status.sc, SPDK_NVME_SC_COMPARE_FAILURE);
	}
	CHECK_INT(spdk_nvme_ns_cmd_compare(ns, g_qpair, g_buffer, 16, 0, single_done, &none, 0), -EINVAL);
	CHECK_INT(spdk_nvme_ns_cmd_compare(ns, g_qpair, g_buffer, 16, 1, single_done, &none, 4), -EINVAL);
	CHECK_INT(none.calls, 0);
	CHECK(all_are(16, 0x3c));
}

static void without_data(void)
{
	struct spdk_nvme_ns *ns = g_session.ns;
	uint32_t flags = spdk_nvme_ns_get_flags(ns);
	struct single flush = {0}, zeroes = {0}, verify = {0}, bad = {0}, none = {0};

	fill(32, 0x77);
	as_told(spdk_nvme_ns_cmd_flush(ns, g_qpair, single_done, &flush), &flush, true);
	as_told(spdk_nvme_ns_cmd_write_zeroes(ns, g_qpair, 32, BLOCKS, single_done, &zeroes, 0), &zeroes,
		(flags & SPDK_NVME_NS_WRITE_ZEROES_SUPPORTED) != 0);
	CHECK(all_are(32, spdk_nvme_cpl_is_error(&zeroes.cpl) ? 0x77 : 0));
	as_told(spdk_nvme_ns_cmd_verify(ns, g_qpair, 32, BLOCKS, single_done, &verify, 0), &verify,
		((spdk_nvme_ctrlr_get_data(g_session.ctrlr)->oncs.raw >> 7) & 1) != 0);
	as_told(spdk_nvme_ns_cmd_write_uncorrectable(ns, g_qpair, 32, BLOCKS, single_done, &bad), &bad,
		spdk_nvme_ns_supports_write_uncorrectable(ns));
	fill(32, 0x11);
	CHECK(all_are(32, 0x11));

	CHECK_INT(spdk_nvme_ns_cmd_write_zeroes(ns, g_qpair, 0, 0, single_done, &none, 0), -EINVAL);
	CHECK_INT(spdk_nvme_ns_cmd_write_zeroes(ns, g_qpair, 0, 65537, single_done, &none, 0), -EINVAL);
	CHECK_INT(spdk_nvme_ns_cmd_write_zeroes(ns, g_qpair, 0, 1, single_done, &none, 1u << 8), -EINVAL);
	CHECK_INT(spdk_nvme_ns_cmd_verify(ns, g_qpair, 0, 0, single_done, &none, 0), -EINVAL);
	CHECK_INT(spdk_nvme_ns_cmd_write_uncorrectable(ns, g_qpair, 0, 65537, single_done, &none), -EINVAL);
	CHECK_INT(none.calls, 0);
}

static void lists(void)
{
	struct spdk_nvme_ns *ns = g_session.ns;
	uint16_t oncs = spdk_nvme_ctrlr_get_data(g_session.ctrlr)->oncs.raw;
	struct spdk_nvme_dsm_range range = {.starting_lba = 48, .length = BLOCKS};
	struct spdk_nvme_scc_source_range source = {.slba = 64, .nlb = BLOCKS - 1};
	struct single trim = {0}, copy = {0}, none = {0};

	fill(48, 0x22);
	as_told(spdk_nvme_ns_cmd_dataset_management(ns, g_qpair, SPDK_NVME_DSM_ATTR_DEALLOCATE, &range, 1, single_done, &trim), &trim,
		(oncs >> 2 & 1) != 0);
	/* What a deallocated block reads as is the controller's business; it can be written. */
	fill(48, 0x23);
	CHECK(all_are(48, 0x23));

	fill(64, 0x33);
	fill(80, 0x44);
	as_told(spdk_nvme_ns_cmd_copy(ns, g_qpair, &source, 1, 80, single_done, &copy), &copy, (oncs >> 8 & 1) != 0);
	CHECK(all_are(80, spdk_nvme_cpl_is_error(&copy.cpl) ? 0x44 : 0x33));

	CHECK_INT(spdk_nvme_ns_cmd_dataset_management(ns, g_qpair, 4, NULL, 1, single_done, &none), -EINVAL);
	CHECK_INT(spdk_nvme_ns_cmd_dataset_management(ns, g_qpair, 4, &range, 0, single_done, &none), -EINVAL);
	CHECK_INT(spdk_nvme_ns_cmd_dataset_management(ns, g_qpair, 4, &range, 257, single_done, &none), -EINVAL);
	CHECK_INT(spdk_nvme_ns_cmd_copy(ns, g_qpair, NULL, 1, 0, single_done, &none), -EINVAL);
	CHECK_INT(spdk_nvme_ns_cmd_copy(ns, g_qpair, &source, 0, 0, single_done, &none), -EINVAL);
	CHECK_INT(none.calls, 0);
}

static void reservations(void)
{
	struct spdk_nvme_ns *ns = g_session.ns;
	struct spdk_nvme_reservation_register_data keys = {.nrkey = 0x1234};
	struct spdk_nvme_reservation_acquire_data acquire = {.crkey = 0x1234};
	struct spdk_nvme_reservation_key_data key = {.crkey = 0x1234};
	struct single one = {0}, two = {0}, report = {0}, three = {0}, four = {0}, none = {0};
	uint8_t status[4096];
	bool has = (spdk_nvme_ns_get_flags(ns) & SPDK_NVME_NS_RESERVATION_SUPPORTED) != 0;

	memset(status, 0x5a, sizeof(status));
	as_told(spdk_nvme_ns_cmd_reservation_register(ns, g_qpair, &keys, true, SPDK_NVME_RESERVE_REGISTER_KEY,
						      SPDK_NVME_RESERVE_PTPL_NO_CHANGES, single_done, &one),
		&one, has);
	as_told(spdk_nvme_ns_cmd_reservation_acquire(ns, g_qpair, &acquire, false, SPDK_NVME_RESERVE_ACQUIRE,
						     SPDK_NVME_RESERVE_WRITE_EXCLUSIVE, single_done, &two),
		&two, has);
	as_told(spdk_nvme_ns_cmd_reservation_report(ns, g_qpair, status, sizeof(status), single_done, &report), &report, has);
	if (has) {
		/* A registrant, and the type that was acquired. */
		CHECK_INT(status[4], SPDK_NVME_RESERVE_WRITE_EXCLUSIVE);
		CHECK_INT(status[5] | status[6] << 8, 1);
	} else {
		CHECK(status[0] == 0x5a);
	}
	as_told(spdk_nvme_ns_cmd_reservation_release(ns, g_qpair, &key, false, SPDK_NVME_RESERVE_RELEASE,
						     SPDK_NVME_RESERVE_WRITE_EXCLUSIVE, single_done, &three),
		&three, has);
	keys.crkey = 0x1234;
	as_told(spdk_nvme_ns_cmd_reservation_register(ns, g_qpair, &keys, false, SPDK_NVME_RESERVE_UNREGISTER_KEY,
						      SPDK_NVME_RESERVE_PTPL_NO_CHANGES, single_done, &four),
		&four, has);

	CHECK_INT(spdk_nvme_ns_cmd_reservation_report(ns, g_qpair, status, 0, single_done, &none), -EINVAL);
	CHECK_INT(spdk_nvme_ns_cmd_reservation_report(ns, g_qpair, status, 6, single_done, &none), -EINVAL);
	CHECK_INT(spdk_nvme_ns_cmd_reservation_register(ns, g_qpair, NULL, true, SPDK_NVME_RESERVE_REGISTER_KEY,
							SPDK_NVME_RESERVE_PTPL_NO_CHANGES, single_done, &none),
		  -EINVAL);
	CHECK_INT(spdk_nvme_ns_cmd_reservation_acquire(ns, g_qpair, NULL, true, SPDK_NVME_RESERVE_ACQUIRE,
						       SPDK_NVME_RESERVE_WRITE_EXCLUSIVE, single_done, &none),
		  -EINVAL);
	CHECK_INT(spdk_nvme_ns_cmd_reservation_release(ns, g_qpair, NULL, true, SPDK_NVME_RESERVE_RELEASE,
						       SPDK_NVME_RESERVE_WRITE_EXCLUSIVE, single_done, &none),
		  -EINVAL);
	CHECK_INT(none.calls, 0);
}

/* No target here has it: the refusal arrives. */
static void io_management(void)
{
	struct single receive = {0}, send = {0}, none = {0};
	uint8_t room[64] = {0};

	as_told(spdk_nvme_ns_cmd_io_mgmt_recv(g_session.ns, g_qpair, room, sizeof(room), 1, 0, single_done, &receive), &receive, false);
	as_told(spdk_nvme_ns_cmd_io_mgmt_send(g_session.ns, g_qpair, room, sizeof(room), 1, 0, single_done, &send), &send, false);
	CHECK_INT(spdk_nvme_ns_cmd_io_mgmt_recv(g_session.ns, g_qpair, room, 0, 1, 0, single_done, &none), -EINVAL);
	CHECK_INT(spdk_nvme_ns_cmd_io_mgmt_recv(g_session.ns, g_qpair, room, 7, 1, 0, single_done, &none), -EINVAL);
	CHECK_INT(none.calls, 0);
}

/* A copied command that is out when its queue pair is freed ends before that returns. */
static void left_behind(void)
{
	static struct single single;
	static uint8_t status[64];

	CHECK_INT(spdk_nvme_ns_cmd_reservation_report(g_session.ns, g_qpair, status, sizeof(status), single_done, &single), 0);
	CHECK_INT(spdk_nvme_ctrlr_free_io_qpair(g_qpair), 0);
	CHECK_INT(single.calls, 1);
}

int main(int argc, char **argv)
{
	struct spdk_nvme_transport_id trid;

	test_begin(argc, argv, &trid, 600);
	session_open(&g_session, &trid);
	g_qpair = qpair_open(&g_session, NULL, false);
	g_buffer = spdk_dma_zmalloc(bytes(), 4096, NULL);
	REQUIRE(g_qpair != NULL && g_buffer != NULL);
	compare();
	without_data();
	lists();
	reservations();
	io_management();
	CHECK(qpair_works(&g_session, NULL, g_qpair, 0));
	left_behind();
	spdk_dma_free(g_buffer);
	session_close(&g_session);
	test_end();
	return check_result("blocks");
}

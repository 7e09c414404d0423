/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * A zoned namespace: what there is to know of it, reports, writes at the write pointer and elsewhere, appends, and what is done to zones. Its
 * data are lost. Targets differ in what they call the error of a write elsewhere, and in whether they take zones offline.
 */

#include <errno.h>
#include <string.h>

#include "check.h"
#include "common.h"
#include "in_process.h"
#include "session.h"
#include "spdk/env.h"
#include "spdk/nvme_zns.h"

#define BLOCKS 8u
#define REPORT_BYTES 4096u

static struct session g_session;
static struct spdk_nvme_qpair *g_qpair;
static uint64_t g_zone;

/* The two pieces of what is appended, the second half before the first. */
static struct {
	uint8_t *buffer;
	uint32_t half;
	uint32_t offset;
} g_pieces;

static void reset_sgl(void *arg, uint32_t offset)
{
	(void)arg;
	g_pieces.offset = offset;
}

static int next_sge(void *arg, void **address, uint32_t *length)
{
	(void)arg;
	*address = g_pieces.buffer + (g_pieces.offset + g_pieces.half) % (2 * g_pieces.half);
	*length = g_pieces.half - g_pieces.offset % g_pieces.half;
	g_pieces.offset += *length;
	return 0;
}

/* Did the command that was submitted succeed? Its completion is in `single`. */
static bool succeeded(int rc, struct single *single)
{
	return CHECK_INT(rc, 0) && single_wait(NULL, g_qpair, single) && !spdk_nvme_cpl_is_error(&single->cpl);
}

/* The state of the zone with this number, and its write pointer from its begin on; -1 if there is no such report. */
static int state_of(uint64_t number, uint64_t *written)
{
	struct spdk_nvme_zns_zone_report *report = spdk_dma_zmalloc(REPORT_BYTES, 4096, NULL);
	struct single single = {0};
	int state = -1;

	CHECK(report != NULL);
	if (succeeded(spdk_nvme_zns_report_zones(g_session.ns, g_qpair, report, REPORT_BYTES, number * g_zone, SPDK_NVME_ZRA_LIST_ALL,
						 true, single_done, &single), &single)) {
		CHECK(report->nr_zones >= 1);
		CHECK(report->descs[0].zslba == number * g_zone);
		CHECK(report->descs[0].zcap <= g_zone);
		CHECK_INT(report->descs[0].zt, SPDK_NVME_ZONE_TYPE_SEQWR);
		*written = report->descs[0].wp - report->descs[0].zslba;
		state = report->descs[0].zs;
	}
	spdk_dma_free(report);
	return state;
}

typedef int (*manage_fn)(struct spdk_nvme_ns *ns, struct spdk_nvme_qpair *qpair, uint64_t slba, bool select_all,
			 spdk_nvme_cmd_cb cb_fn, void *cb_arg);

static bool managed(manage_fn manage, uint64_t number, bool all)
{
	struct single single = {0};

	return succeeded(manage(g_session.ns, g_qpair, all ? 0 : number * g_zone, all, single_done, &single), &single);
}

static void check_facts(void)
{
	const struct spdk_nvme_zns_ns_data *data = spdk_nvme_zns_ns_get_data(g_session.ns);
	const struct spdk_nvme_ns_data *common = spdk_nvme_ns_get_data(g_session.ns);

	CHECK(data != NULL && common != NULL);
	CHECK(spdk_nvme_zns_ctrlr_get_data(g_session.ctrlr) != NULL);
	CHECK(data->lbafe[spdk_nvme_ns_get_format_index(common)].zsze == g_zone);
	CHECK(spdk_nvme_zns_ns_get_zone_size(g_session.ns) == g_zone * g_session.sector_size);
	CHECK(spdk_nvme_zns_ns_get_num_zones(g_session.ns) == g_session.sectors / g_zone);
	CHECK(spdk_nvme_zns_ns_get_num_zones(g_session.ns) >= 4);
	CHECK_INT(spdk_nvme_zns_ns_get_max_open_zones(g_session.ns), data->mor + 1);
	CHECK_INT(spdk_nvme_zns_ns_get_max_active_zones(g_session.ns), data->mar + 1);
	CHECK(spdk_nvme_ctrlr_get_flags(g_session.ctrlr) & SPDK_NVME_CTRLR_ZONE_APPEND_SUPPORTED);
	CHECK(spdk_nvme_zns_ctrlr_get_max_zone_append_size(g_session.ctrlr) >= BLOCKS * g_session.sector_size);
}

static void check_writes(uint8_t *buffer, uint8_t *back, uint32_t bytes)
{
	struct single single = {0};
	uint64_t written, lba;
	unsigned form;

	CHECK(managed(spdk_nvme_zns_reset_zone, 0, true));
	CHECK_INT(state_of(1, &written), SPDK_NVME_ZONE_STATE_EMPTY);
	CHECK(succeeded(single_write(&g_session, g_qpair, &single, buffer, g_zone, BLOCKS), &single));
	CHECK_INT(state_of(1, &written), SPDK_NVME_ZONE_STATE_IOPEN);
	CHECK(written == BLOCKS);
	/* Elsewhere than at the write pointer. */
	single.calls = 0;
	CHECK(!succeeded(single_write(&g_session, g_qpair, &single, buffer, g_zone + 3 * BLOCKS, BLOCKS), &single));
	/* Appends say where they went. */
	for (form = 0; form < 4; form++) {
		struct spdk_nvme_ns *ns = g_session.ns;
		int rc;

		memset(&single, 0, sizeof(single));
		switch (form) {
		case 0:
			rc = spdk_nvme_zns_zone_append(ns, g_qpair, buffer, g_zone, BLOCKS, single_done, &single, 0);
			break;
		case 1:
			rc = spdk_nvme_zns_zone_append_with_md(ns, g_qpair, buffer, NULL, g_zone, BLOCKS, single_done, &single, 0, 0,
							       0);
			break;
		case 2:
			rc = spdk_nvme_zns_zone_appendv(ns, g_qpair, g_zone, BLOCKS, single_done, &single, 0, reset_sgl, next_sge);
			break;
		default:
			rc = spdk_nvme_zns_zone_appendv_with_md(ns, g_qpair, g_zone, BLOCKS, single_done, &single, 0, reset_sgl,
								next_sge, NULL, 0, 0);
			break;
		}
		/* A target that takes one piece of data has no room for two: then nothing is sent. */
		if (form >= 2 && spdk_nvme_ctrlr_get_max_sges(g_session.ctrlr) < 2) {
			CHECK_INT(rc, -EINVAL);
			continue;
		}
		if (!CHECK(succeeded(rc, &single))) {
			continue;
		}
		lba = single.cpl.cdw0 | (uint64_t)single.cpl.cdw1 << 32;
		CHECK(lba == g_zone + (1 + form) * BLOCKS);
		memset(&single, 0, sizeof(single));
		memset(back, 0, bytes);
		CHECK(succeeded(single_read(&g_session, g_qpair, &single, back, lba, BLOCKS), &single));
		if (form >= 2) {
			CHECK(memcmp(back, buffer + bytes / 2, bytes / 2) == 0 && memcmp(back + bytes / 2, buffer, bytes / 2) == 0);
		} else {
			CHECK(memcmp(back, buffer, bytes) == 0);
		}
	}
	/* What cannot be. */
	CHECK_INT(spdk_nvme_zns_zone_append(g_session.ns, g_qpair, buffer, g_zone, 0, single_done, &single, 0), -EINVAL);
	CHECK_INT(spdk_nvme_zns_zone_append(g_session.ns, g_qpair, buffer, g_zone, UINT32_MAX, single_done, &single, 0), -EINVAL);
	CHECK_INT(spdk_nvme_zns_zone_appendv(g_session.ns, g_qpair, g_zone, BLOCKS, single_done, &single, 0, NULL, next_sge), -EINVAL);
}

static void check_states(uint8_t *buffer)
{
	struct single single = {0};
	uint64_t written;

	CHECK(managed(spdk_nvme_zns_close_zone, 1, false));
	CHECK_INT(state_of(1, &written), SPDK_NVME_ZONE_STATE_CLOSED);
	CHECK(managed(spdk_nvme_zns_open_zone, 1, false));
	CHECK_INT(state_of(1, &written), SPDK_NVME_ZONE_STATE_EOPEN);
	CHECK(managed(spdk_nvme_zns_finish_zone, 1, false));
	CHECK_INT(state_of(1, &written), SPDK_NVME_ZONE_STATE_FULL);
	CHECK(!succeeded(single_write(&g_session, g_qpair, &single, buffer, g_zone + BLOCKS, BLOCKS), &single));
	CHECK(!managed(spdk_nvme_zns_close_zone, 1, false));
	/* Only what cannot be written any more can be taken offline. */
	CHECK(!managed(spdk_nvme_zns_offline_zone, 2, false));
	CHECK(managed(spdk_nvme_zns_reset_zone, 1, false));
	CHECK_INT(state_of(1, &written), SPDK_NVME_ZONE_STATE_EMPTY);
	CHECK(written == 0);
	/* A namespace that is none. */
	CHECK_INT(spdk_nvme_zns_close_zone(NULL, g_qpair, 0, true, single_done, &single), -EINVAL);
	CHECK_INT(spdk_nvme_zns_finish_zone(NULL, g_qpair, 0, true, single_done, &single), -EINVAL);
	CHECK_INT(spdk_nvme_zns_open_zone(NULL, g_qpair, 0, true, single_done, &single), -EINVAL);
	CHECK_INT(spdk_nvme_zns_reset_zone(NULL, g_qpair, 0, true, single_done, &single), -EINVAL);
	CHECK_INT(spdk_nvme_zns_offline_zone(NULL, g_qpair, 0, true, single_done, &single), -EINVAL);
}

int main(int argc, char **argv)
{
	static const struct in_process_room room = {.lingers = true, .format = ":512:z1M/768K/4/6"};
	struct spdk_nvme_transport_id trid;
	uint8_t *buffer, *back;
	uint32_t bytes, index;

	test_begin_with(argc, argv, &room, &trid, 600);
	session_open(&g_session, &trid);
	g_zone = spdk_nvme_zns_ns_get_zone_size_sectors(g_session.ns);
	CHECK_INT(spdk_nvme_ns_get_csi(g_session.ns), SPDK_NVME_CSI_ZNS);
	if (CHECK(g_zone > 0)) {
		bytes = BLOCKS * g_session.sector_size;
		buffer = spdk_dma_zmalloc(bytes, 4096, NULL);
		back = spdk_dma_zmalloc(bytes, 4096, NULL);
		CHECK(buffer != NULL && back != NULL);
		for (index = 0; index < bytes; index++) {
			buffer[index] = (uint8_t)(index / 3);
		}
		g_pieces.buffer = buffer;
		g_pieces.half = bytes / 2;
		g_qpair = qpair_open(&g_session, NULL, false);
		check_facts();
		check_writes(buffer, back, bytes);
		check_states(buffer);
		CHECK_INT(spdk_nvme_ctrlr_free_io_qpair(g_qpair), 0);
		spdk_dma_free(buffer);
		spdk_dma_free(back);
	}
	session_close(&g_session);
	test_end();
	return check_result("zones");
}

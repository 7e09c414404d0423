/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * Data arrives where it should, as it was, and nothing else is touched: all sizes around the boundaries that the
 * protocol has (one sector, in-capsule data, MDTS), buffers at odd offsets, and many requests at once against a model
 * of what the namespace must hold.
 */

#include <errno.h>
#include <string.h>

#include "spdk/env.h"

#include "check.h"
#include "common.h"
#include "session.h"

#define GUARD 0xa5
#define GUARD_BYTES 64u

static struct session g_session;
static uint64_t g_random = 0x123456789abcdefull;

static void fill_random(uint8_t *place, size_t size)
{
	size_t index;

	for (index = 0; index < size; index++) {
		place[index] = (uint8_t)(random_next(&g_random) >> 24);
	}
}

static bool all_are(const uint8_t *place, size_t size, uint8_t value)
{
	size_t index;

	for (index = 0; index < size; index++) {
		if (place[index] != value) {
			return false;
		}
	}
	return true;
}

/* Bytes of data that one command may carry; 0 = no limit. */
static uint64_t max_transfer(void)
{
	const struct spdk_nvme_ctrlr_data *data = spdk_nvme_ctrlr_get_data(g_session.ctrlr);

	return data->mdts == 0 || data->mdts > 20 ? 0 : 4096ull << data->mdts;
}

/* Bytes that fit into a command capsule: IOCCSZ counts 16 bytes, the command itself takes 64. */
static uint32_t in_capsule_size(void)
{
	const struct spdk_nvme_ctrlr_data *data = spdk_nvme_ctrlr_get_data(g_session.ctrlr);

	return data->nvmf_specific.ioccsz > 4 ? data->nvmf_specific.ioccsz * 16 - 64 : 0;
}

/*
 * Writes `blocks` from a buffer that starts `offset` bytes into its allocation, reads them to another one at another
 * offset, and checks data, the bytes around it, and the sectors before and after.
 */
static void one_size(struct spdk_nvme_qpair *qpair, uint64_t lba, uint32_t blocks, uint32_t offset)
{
	size_t size = (size_t)blocks * g_session.sector_size;
	size_t room = size + offset + 2 * GUARD_BYTES + 4096;
	uint8_t *out = spdk_dma_zmalloc(room, 4096, NULL);
	uint8_t *in = spdk_dma_zmalloc(room, 4096, NULL);
	uint8_t *written = out + GUARD_BYTES + offset;
	uint8_t *found = in + GUARD_BYTES + offset / 4 * 4 + 12;
	struct single write = {0}, read = {0};
	int rc;

	REQUIRE(out != NULL && in != NULL);
	fill_random(written, size);
	memset(in, GUARD, room);

	rc = single_write(&g_session, qpair, &write, written, lba, blocks);
	CHECK_INT(rc, 0);
	if (rc == 0 && CHECK(single_wait(NULL, qpair, &write)) && CHECK(!spdk_nvme_cpl_is_error(&write.cpl))) {
		rc = single_read(&g_session, qpair, &read, found, lba, blocks);
		CHECK_INT(rc, 0);
		if (rc == 0 && CHECK(single_wait(NULL, qpair, &read))) {
			CHECK(!spdk_nvme_cpl_is_error(&read.cpl));
			CHECK_INT(write.calls, 1);
			CHECK_INT(read.calls, 1);
			if (!CHECK(memcmp(written, found, size) == 0) || !CHECK(all_are(in, (size_t)(found - in), GUARD)) ||
			    !CHECK(all_are(found + size, room - size - (size_t)(found - in), GUARD))) {
				fprintf(stderr, "  lba %llu, %u blocks, offset %u\n", (unsigned long long)lba, blocks, offset);
			}
		}
	}
	spdk_dma_free(out);
	spdk_dma_free(in);
}

static void sizes(struct spdk_nvme_qpair *qpair)
{
	static const uint32_t offsets[] = {0, 4, 512, 1020, 4092};
	uint32_t sector = g_session.sector_size;
	uint32_t capsule = in_capsule_size() / sector;
	uint32_t most = (uint32_t)((max_transfer() != 0 ? max_transfer() : 128 * 1024) / sector);
	uint32_t candidates[] = {1,           2,        3,          7,    8,        9,           capsule > 1 ? capsule - 1 : 1,
				 capsule + 0, capsule + 1, capsule + 2, most / 2, most - 1, most};
	size_t index, turn;

	for (index = 0; index < sizeof(candidates) / sizeof(candidates[0]); index++) {
		uint32_t blocks = candidates[index];

		if (blocks == 0 || blocks > most || blocks + 20 > g_session.sectors) {
			continue;
		}
		for (turn = 0; turn < sizeof(offsets) / sizeof(offsets[0]); turn++) {
			one_size(qpair, 3 + turn, blocks, offsets[turn]);
		}
		/* The very end of the namespace. */
		one_size(qpair, g_session.sectors - blocks, blocks, 0);
	}
}

/* A sector that is rewritten must not disturb its neighbours. */
static void neighbours(struct spdk_nvme_qpair *qpair)
{
	size_t sector = g_session.sector_size;
	uint8_t *model = spdk_dma_zmalloc(3 * sector, 4096, NULL);
	uint8_t *found = spdk_dma_zmalloc(3 * sector, 4096, NULL);
	struct single first = {0}, second = {0}, read = {0};

	REQUIRE(model != NULL && found != NULL);
	fill_random(model, 3 * sector);
	CHECK_INT(single_write(&g_session, qpair, &first, model, 100, 3), 0);
	CHECK(single_wait(NULL, qpair, &first));
	fill_random(model + sector, sector);
	CHECK_INT(single_write(&g_session, qpair, &second, model + sector, 101, 1), 0);
	CHECK(single_wait(NULL, qpair, &second));
	CHECK_INT(single_read(&g_session, qpair, &read, found, 100, 3), 0);
	CHECK(single_wait(NULL, qpair, &read));
	CHECK(memcmp(model, found, 3 * sector) == 0);
	spdk_dma_free(model);
	spdk_dma_free(found);
}

/* What the target refuses comes back as an error of that request, and the qpair lives. */
static void out_of_range(struct spdk_nvme_qpair *qpair)
{
	uint8_t *buffer = spdk_dma_zmalloc(g_session.sector_size, 4096, NULL);
	struct single read = {0}, write = {0};

	REQUIRE(buffer != NULL);
	CHECK_INT(single_read(&g_session, qpair, &read, buffer, g_session.sectors, 1), 0);
	CHECK(single_wait(NULL, qpair, &read));
	CHECK_INT(read.cpl.status.sct, SPDK_NVME_SCT_GENERIC);
	/* The kernel's target asks its device, whose error says no more than that it is one. Ours names the reason. */
	if (memcmp(spdk_nvme_ctrlr_get_data(g_session.ctrlr)->mn, "nvme-rdma-target", 16) == 0 ||
	    read.cpl.status.sc != SPDK_NVME_SC_INTERNAL_DEVICE_ERROR) {
		CHECK_INT(read.cpl.status.sc, SPDK_NVME_SC_LBA_OUT_OF_RANGE);
	}
	CHECK_INT(single_write(&g_session, qpair, &write, buffer, UINT64_MAX - 5, 1), 0);
	CHECK(single_wait(NULL, qpair, &write));
	CHECK(spdk_nvme_cpl_is_error(&write.cpl));
	CHECK(qpair_works(&g_session, NULL, qpair, 0));
	spdk_dma_free(buffer);
}

/* More than MDTS: split, or refused at once; never half done. */
static void beyond_mdts(struct spdk_nvme_qpair *qpair)
{
	uint64_t size = max_transfer() * 2 + g_session.sector_size;
	uint32_t blocks = (uint32_t)(size / g_session.sector_size);
	uint8_t *written, *found;
	struct single write = {0}, read = {0};
	int rc;

	if (max_transfer() == 0 || blocks > g_session.sectors) {
		return;
	}
	written = spdk_dma_zmalloc(size, 4096, NULL);
	found = spdk_dma_zmalloc(size, 4096, NULL);
	REQUIRE(written != NULL && found != NULL);
	fill_random(written, size);
	rc = single_write(&g_session, qpair, &write, written, 0, blocks);
	if (rc == 0) {
		CHECK(single_wait(NULL, qpair, &write));
		CHECK(!spdk_nvme_cpl_is_error(&write.cpl));
		CHECK_INT(single_read(&g_session, qpair, &read, found, 0, blocks), 0);
		CHECK(single_wait(NULL, qpair, &read));
		CHECK(memcmp(written, found, size) == 0);
	} else {
		CHECK(rc == -EINVAL || rc == -ENOMEM);
		CHECK_INT(write.calls, 0);
	}
	CHECK(qpair_works(&g_session, NULL, qpair, 0));
	spdk_dma_free(written);
	spdk_dma_free(found);
}

/* Many requests at once: each slot owns a region, so that order between slots does not matter. */
#define SLOTS 32u
#define ROUNDS 40u
#define REGION 64u /* sectors */

static void many_at_once(struct spdk_nvme_qpair *qpair)
{
	static struct single singles[SLOTS];
	size_t sector = g_session.sector_size;
	size_t region = REGION * sector;
	uint8_t *model = calloc(SLOTS, region);
	uint8_t *buffers = spdk_dma_zmalloc(SLOTS * region, 4096, NULL);
	uint64_t lba[SLOTS];
	uint32_t blocks[SLOTS];
	bool writes[SLOTS];
	unsigned round, slot;

	REQUIRE(model != NULL && buffers != NULL);
	REQUIRE(g_session.sectors >= SLOTS * REGION);
	for (round = 0; round < ROUNDS; round++) {
		for (slot = 0; slot < SLOTS; slot++) {
			uint8_t *buffer = buffers + slot * region;
			uint64_t base = (uint64_t)slot * REGION;
			uint64_t start;
			int rc;

			memset(&singles[slot], 0, sizeof(singles[slot]));
			/* The first round writes everything, so that the model is right. */
			writes[slot] = round == 0 || random_next(&g_random) % 2 == 0;
			start = round == 0 ? 0 : random_next(&g_random) % REGION;
			blocks[slot] = round == 0 ? REGION : 1 + (uint32_t)(random_next(&g_random) % (REGION - start));
			lba[slot] = base + start;
			if (writes[slot]) {
				fill_random(buffer, blocks[slot] * sector);
				memcpy(model + (base + start) * sector, buffer, blocks[slot] * sector);
				rc = single_write(&g_session, qpair, &singles[slot], buffer, lba[slot], blocks[slot]);
			} else {
				memset(buffer, 0, blocks[slot] * sector);
				rc = single_read(&g_session, qpair, &singles[slot], buffer, lba[slot], blocks[slot]);
			}
			CHECK_INT(rc, 0);
		}
		for (slot = 0; slot < SLOTS; slot++) {
			CHECK(single_wait(NULL, qpair, &singles[slot]));
			CHECK_INT(singles[slot].calls, 1);
			CHECK(!spdk_nvme_cpl_is_error(&singles[slot].cpl));
			if (!writes[slot]) {
				CHECK(memcmp(buffers + slot * region, model + lba[slot] * sector, blocks[slot] * sector) == 0);
			}
		}
	}
	free(model);
	spdk_dma_free(buffers);
}

int main(int argc, char **argv)
{
	struct spdk_nvme_transport_id trid;
	struct spdk_nvme_qpair *qpair;

	test_begin(argc, argv, &trid, 300);
	session_open(&g_session, &trid);
	qpair = qpair_open(&g_session, NULL, false);

	CHECK(qpair_works(&g_session, NULL, qpair, 0));
	sizes(qpair);
	neighbours(qpair);
	out_of_range(qpair);
	beyond_mdts(qpair);
	many_at_once(qpair);

	CHECK_INT(spdk_nvme_ctrlr_free_io_qpair(qpair), 0);
	session_close(&g_session);
	test_end();
	return check_result("readwrite");
}

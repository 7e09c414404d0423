/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * Transfers of one block to 32 MiB, in one piece and scattered, from addresses of any alignment; queue depths from 1 to 1,024 on a qpair. What is
 * written is read back another way and compared byte by byte. On any target with a namespace of 32 MiB or more.
 *
 * SIZES_MOST=n is the largest of those that are tried with each alignment, K and M at the end allowed (default 2M). The largest of all are tried once.
 */

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>

#include "spdk/env.h"

#include "check.h"
#include "common.h"
#include "session.h"

#define LARGEST (32u << 20)
#define PIECES 16u
/* Queue depths are tried up to this. */
#define DEEPEST 1024u

static struct session g_session;
static uint8_t *g_out, *g_in; /* LARGEST bytes each, and a page */
static uint64_t g_random = 88172645463325252ull, g_most = 2u << 20;

static void fill(uint8_t *buffer, size_t bytes)
{
	size_t byte;

	for (byte = 0; byte < bytes; byte++) {
		buffer[byte] = (uint8_t)(random_next(&g_random) >> 32);
	}
}

static bool ended_well(struct spdk_nvme_qpair *qpair, struct single *single)
{
	return single_wait(NULL, qpair, single) && CHECK_INT(single->calls, 1) && !spdk_nvme_cpl_is_error(&single->cpl);
}

/* Whole blocks but for the first two pieces, which part a block between them if a command's data may be in several. */
static unsigned cut(struct iovec *pieces, uint8_t *buffer, uint32_t bytes, uint32_t block)
{
	uint32_t done = 0, each = bytes / PIECES / block * block;
	uint32_t first = spdk_nvme_ctrlr_get_max_sges(g_session.ctrlr) > 1 ? block / 2 : block;
	unsigned count = 0;

	while (done < bytes) {
		uint32_t length = count == 0 ? first : count == 1 ? 2 * block - first : each != 0 ? each : block;

		if (length > bytes - done || count == PIECES - 1) {
			length = bytes - done;
		}
		pieces[count++] = (struct iovec){.iov_base = buffer + done, .iov_len = length};
		done += length;
	}
	return count;
}

static void size(struct spdk_nvme_qpair *qpair, uint32_t blocks, uint32_t offset)
{
	uint32_t bytes = blocks * g_session.sector_size;
	uint64_t lba = random_next(&g_random) % (g_session.sectors - blocks + 1);
	uint8_t *out = g_out + offset, *in = g_in + (offset * 7 + 4) % 4096;
	struct single written = {0}, found = {0}, scattered = {0};
	struct iovec pieces[PIECES];
	unsigned count;

	/* Its Keep Alives go out meanwhile. */
	CHECK(spdk_nvme_ctrlr_process_admin_completions(g_session.ctrlr) >= 0);
	fill(out, bytes);
	CHECK_INT(single_write(&g_session, qpair, &written, out, lba, blocks), 0);
	CHECK(ended_well(qpair, &written));
	in[bytes] = 0xa5;
	CHECK_INT(single_read(&g_session, qpair, &found, in, lba, blocks), 0);
	CHECK(ended_well(qpair, &found));
	CHECK(memcmp(in, out, bytes) == 0);
	CHECK_INT(in[bytes], 0xa5); /* nothing beyond */

	memset(in, 0, bytes);
	count = cut(pieces, in, bytes, g_session.sector_size);
	CHECK_INT(spdk_nvme_ns_cmd_read_iov(g_session.ns, qpair, lba, blocks, single_done, &scattered, pieces, count, NULL), 0);
	CHECK(ended_well(qpair, &scattered));
	CHECK(memcmp(in, out, bytes) == 0);
	CHECK_INT(in[bytes], 0xa5);
}

static void sizes(void)
{
	static const uint32_t offsets[] = {0, 4, 512, 4092};
	struct spdk_nvme_qpair *qpair = qpair_open(&g_session, NULL, false);
	uint32_t most = spdk_nvme_ns_get_max_io_xfer_size(g_session.ns) / g_session.sector_size;
	uint32_t largest = LARGEST / g_session.sector_size, common = (uint32_t)(g_most / g_session.sector_size), blocks;
	unsigned index;

	for (index = 0; index < sizeof(offsets) / sizeof(offsets[0]); index++) {
		for (blocks = 1; blocks <= 9; blocks++) {
			size(qpair, blocks, offsets[index]);
		}
		for (blocks = 16; blocks <= common; blocks *= 2) {
			size(qpair, blocks - 1, offsets[index]);
			size(qpair, blocks, offsets[index]);
			size(qpair, blocks + 1, offsets[index]);
		}
		if (most <= common) {
			size(qpair, most - 1, offsets[index]);
			size(qpair, most, offsets[index]);
			size(qpair, most + 1, offsets[index]);
			size(qpair, 3 * most + 1, offsets[index]);
		}
	}
	/* A descriptor's length has 24 bits. */
	size(qpair, (16u << 20) / g_session.sector_size - 1, 4);
	size(qpair, (16u << 20) / g_session.sector_size, 0);
	size(qpair, largest, 4);
	CHECK_INT(spdk_nvme_ctrlr_free_io_qpair(qpair), 0);
}

/* `depth` requests are accepted, each of a block of its own, and one more than the requests is not. */
static void depth_of(uint32_t depth)
{
	static struct single singles[DEEPEST + 1];
	struct spdk_nvme_io_qpair_opts opts;
	struct spdk_nvme_qpair *qpair;
	uint32_t index, block = g_session.sector_size;
	double deadline = deadline_in(STEP_SECONDS);

	spdk_nvme_ctrlr_get_default_io_qpair_opts(g_session.ctrlr, &opts, sizeof(opts));
	opts.io_queue_size = queue_entries(g_session.ctrlr, depth);
	opts.io_queue_requests = depth;
	qpair = spdk_nvme_ctrlr_alloc_io_qpair(g_session.ctrlr, &opts, sizeof(opts));
	REQUIRE(qpair != NULL);
	memset(singles, 0, sizeof(singles));
	fill(g_out, (size_t)depth * block);
	for (index = 0; index < depth; index++) {
		CHECK_INT(single_write(&g_session, qpair, &singles[index], g_out + (size_t)index * block, index, 1), 0);
	}
	CHECK_INT(spdk_nvme_qpair_get_num_outstanding_reqs(qpair), depth);
	CHECK_INT(single_write(&g_session, qpair, &singles[depth], g_out, 0, 1), -ENOMEM);
	for (index = 0; index < depth; index++) {
		CHECK(ended_well(qpair, &singles[index]));
	}
	CHECK_INT(singles[depth].calls, 0);
	memset(singles, 0, sizeof(singles));
	memset(g_in, 0, (size_t)depth * block);
	for (index = 0; index < depth; index++) {
		CHECK_INT(single_read(&g_session, qpair, &singles[index], g_in + (size_t)index * block, index, 1), 0);
	}
	while (spdk_nvme_qpair_get_num_outstanding_reqs(qpair) > 0 && !deadline_passed(deadline)) {
		poll_step(NULL, qpair);
	}
	for (index = 0; index < depth; index++) {
		CHECK(singles[index].calls == 1 && !spdk_nvme_cpl_is_error(&singles[index].cpl));
	}
	CHECK(memcmp(g_in, g_out, (size_t)depth * block) == 0);
	CHECK_INT(spdk_nvme_ctrlr_free_io_qpair(qpair), 0);
}

int main(int argc, char **argv)
{
	static const uint32_t depths[] = {1, 2, 3, 31, 32, 127, 128, 129, 1000, DEEPEST};
	const char *most = getenv("SIZES_MOST");
	struct spdk_nvme_transport_id trid;
	unsigned index;

	if (most != NULL && !size_read(most, LARGEST, &g_most)) {
		fprintf(stderr, "SIZES_MOST is a size up to 32M\n");
		return EXIT_WRONG;
	}
	test_begin(argc, argv, &trid, 3600);
	session_open(&g_session, &trid);
	REQUIRE(g_session.sectors * g_session.sector_size >= LARGEST);
	g_out = spdk_dma_zmalloc(LARGEST + 8192, 4096, NULL);
	g_in = spdk_dma_zmalloc(LARGEST + 8192, 4096, NULL);
	REQUIRE(g_out != NULL && g_in != NULL);
	sizes();
	for (index = 0; index < sizeof(depths) / sizeof(depths[0]); index++) {
		depth_of(depths[index]);
	}
	spdk_dma_free(g_out);
	spdk_dma_free(g_in);
	session_close(&g_session);
	test_end();
	return check_result("sizes");
}

/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * Every form of read, write and compare, with data in pieces of all kinds: one, as many as a command can have, more, within blocks and
 * across them, long and short. What is written by one form is read by another and compared byte by byte. On any target.
 */

#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/uio.h>

#include "check.h"
#include "common.h"
#include "in_process.h"
#include "session.h"

#define MOST 512
#define SIZE (8u << 20)
#define REGISTERED (2u << 20) /* the unit of registrations */

static struct session g_session;
static struct spdk_nvme_qpair *g_qpair;
static uint8_t *g_out, *g_in; /* SIZE bytes each */
static uint64_t g_random = 88172645463325252ull;

/* Pieces of one buffer, and the program's functions over them. */
struct pieces {
	struct single single; /* first: the callback's argument is the functions' */
	struct iovec iov[MOST];
	unsigned count;
	unsigned at;
	uint32_t skip;
	unsigned resets;
	unsigned fails_after;
};

static void reset_sgl(void *arg, uint32_t offset)
{
	struct pieces *pieces = arg;

	pieces->resets++;
	pieces->at = 0;
	while (pieces->at < pieces->count && offset >= pieces->iov[pieces->at].iov_len) {
		offset -= (uint32_t)pieces->iov[pieces->at++].iov_len;
	}
	pieces->skip = offset;
}

static int next_sge(void *arg, void **address, uint32_t *length)
{
	struct pieces *pieces = arg;

	if (pieces->at == pieces->count || (pieces->fails_after != 0 && pieces->at >= pieces->fails_after)) {
		return -1;
	}
	*address = (uint8_t *)pieces->iov[pieces->at].iov_base + pieces->skip;
	*length = (uint32_t)pieces->iov[pieces->at].iov_len - pieces->skip;
	pieces->skip = 0;
	pieces->at++;
	return 0;
}

/* Cuts `bytes` of a buffer in pieces of `each` bytes, or of random sizes up to that which are multiples of `unit`, taken from all over the
 * buffer: piece n is at n * stride. */
static void cut(struct pieces *pieces, uint8_t *buffer, uint32_t bytes, uint32_t each, uint32_t unit, bool random)
{
	uint32_t done = 0, length;

	memset(pieces, 0, sizeof(*pieces));
	while (done < bytes) {
		length = random ? unit * (1 + (uint32_t)(random_next(&g_random) % (each / unit))) : each;
		if (length > bytes - done) {
			length = bytes - done;
		}
		REQUIRE(pieces->count < MOST);
		pieces->iov[pieces->count++] = (struct iovec){.iov_base = buffer + done, .iov_len = length};
		done += length;
	}
}

/* The pieces change places, so that a mistake in their order shows. */
static void shuffle(struct pieces *pieces, uint8_t *buffer)
{
	uint32_t offset = 0;
	unsigned i;

	for (i = 0; i < pieces->count; i++) {
		unsigned other = i + (unsigned)(random_next(&g_random) % (pieces->count - i));
		size_t length = pieces->iov[other].iov_len;

		pieces->iov[other].iov_len = pieces->iov[i].iov_len;
		pieces->iov[i].iov_len = length;
	}
	for (i = pieces->count; i-- > 0;) { /* from the end of the buffer to its beginning */
		pieces->iov[i].iov_base = buffer + offset;
		offset += (uint32_t)pieces->iov[i].iov_len;
	}
}

static void fill(uint8_t *buffer, uint32_t bytes)
{
	uint32_t i;

	for (i = 0; i < bytes; i++) {
		buffer[i] = (uint8_t)(random_next(&g_random) >> 32);
	}
}

/* Gathers the pieces' bytes in order. */
static void gather(const struct pieces *pieces, uint8_t *to)
{
	unsigned i;

	for (i = 0; i < pieces->count; i++) {
		memcpy(to, pieces->iov[i].iov_base, pieces->iov[i].iov_len);
		to += pieces->iov[i].iov_len;
	}
}

enum form { V, V_WITH_MD, V_EXT, IOV, FORMS };

static int submit(enum form form, bool write, struct pieces *pieces, uint64_t lba, uint32_t blocks)
{
	struct spdk_nvme_ns_cmd_ext_io_opts opts = {.size = sizeof(opts)};
	struct spdk_nvme_ns *ns = g_session.ns;

	switch (form) {
	case V:
		return write ? spdk_nvme_ns_cmd_writev(ns, g_qpair, lba, blocks, single_done, pieces, 0, reset_sgl, next_sge)
			     : spdk_nvme_ns_cmd_readv(ns, g_qpair, lba, blocks, single_done, pieces, 0, reset_sgl, next_sge);
	case V_WITH_MD:
		return write ? spdk_nvme_ns_cmd_writev_with_md(ns, g_qpair, lba, blocks, single_done, pieces, 0, reset_sgl,
							       next_sge, NULL, 0, 0)
			     : spdk_nvme_ns_cmd_readv_with_md(ns, g_qpair, lba, blocks, single_done, pieces, 0, reset_sgl,
							      next_sge, NULL, 0, 0);
	case V_EXT:
		return write ? spdk_nvme_ns_cmd_writev_ext(ns, g_qpair, lba, blocks, single_done, pieces, reset_sgl, next_sge,
							   &opts)
			     : spdk_nvme_ns_cmd_readv_ext(ns, g_qpair, lba, blocks, single_done, pieces, reset_sgl, next_sge,
							  NULL);
	default:
		return write ? spdk_nvme_ns_cmd_write_iov(ns, g_qpair, lba, blocks, single_done, pieces, pieces->iov,
							  pieces->count, NULL)
			     : spdk_nvme_ns_cmd_read_iov(ns, g_qpair, lba, blocks, single_done, pieces, pieces->iov,
							 pieces->count, &opts);
	}
}

static bool succeeded(struct pieces *pieces)
{
	return single_wait(NULL, g_qpair, &pieces->single) && !spdk_nvme_cpl_is_error(&pieces->single.cpl);
}

/* Writes with one form, reads with each, and compares. */
static void round_trip(enum form form, uint64_t lba, uint32_t blocks, uint32_t each, uint32_t unit, bool random)
{
	uint32_t bytes = blocks * g_session.sector_size;
	static struct pieces out, in;
	struct single flat = {0};
	static uint8_t *expected;
	enum form other;

	if (expected == NULL) {
		expected = malloc(SIZE);
		REQUIRE(expected != NULL);
	}
	fill(g_out, bytes);
	cut(&out, g_out, bytes, each, unit, random);
	shuffle(&out, g_out);
	gather(&out, expected);
	CHECK_INT(submit(form, true, &out, lba, blocks), 0);
	CHECK(succeeded(&out));
	memset(g_in, 0x5a, bytes);
	CHECK_INT(single_read(&g_session, g_qpair, &flat, g_in, lba, blocks), 0);
	CHECK(single_wait(NULL, g_qpair, &flat) && !spdk_nvme_cpl_is_error(&flat.cpl));
	CHECK(memcmp(g_in, expected, bytes) == 0);
	for (other = V; other < FORMS; other++) {
		memset(g_in, 0xa5, bytes);
		cut(&in, g_in, bytes, each, unit, random);
		shuffle(&in, g_in);
		CHECK_INT(submit(other, false, &in, lba, blocks), 0);
		CHECK(succeeded(&in));
		gather(&in, g_out);
		CHECK(memcmp(g_out, expected, bytes) == 0);
	}
}

static void forms(void)
{
	uint32_t sector = g_session.sector_size, sges = spdk_nvme_ctrlr_get_max_sges(g_session.ctrlr);
	uint32_t most = spdk_nvme_ns_get_max_io_xfer_size(g_session.ns);
	enum form form;

	CHECK_RANGE(sges, 1, 16);
	for (form = V; form < FORMS; form++) {
		round_trip(form, 3, 8, 8 * sector, sector, false);     /* one piece */
		round_trip(form, 3, 16, sector, sector, false);        /* a piece for each block */
		round_trip(form, 5, 64, 4 * sector, sector, true);     /* whole blocks */
		round_trip(form, 0, 300, 3 * sector, sector, true);    /* more than one command has */
		round_trip(form, 7, 4 * most / sector > SIZE / sector ? SIZE / sector : 4 * most / sector, most, sector, true);
		if (sges == 16) { /* a block in as many pieces */
			round_trip(form, 9, 32, sector / 2, sector / 8, true); /* within blocks */
			round_trip(form, 1, 7, sector + 8, 4, true);
		}
	}
}

/* Those of one buffer with more to them. */
static void flat(void)
{
	struct spdk_nvme_ns *ns = g_session.ns;
	struct spdk_nvme_ns_cmd_ext_io_opts opts = {.size = sizeof(opts)}, odd = {.size = sizeof(odd)};
	struct single write = {0}, read = {0}, compare = {0}, write_ext = {0}, read_ext = {0}, none = {0};
	uint32_t bytes = 8 * g_session.sector_size;

	fill(g_out, bytes);
	CHECK_INT(spdk_nvme_ns_cmd_write_with_md(ns, g_qpair, g_out, NULL, 2, 8, single_done, &write, 0, 0, 0), 0);
	CHECK(single_wait(NULL, g_qpair, &write) && !spdk_nvme_cpl_is_error(&write.cpl));
	CHECK_INT(spdk_nvme_ns_cmd_read_with_md(ns, g_qpair, g_in, NULL, 2, 8, single_done, &read, 0, 0, 0), 0);
	CHECK(single_wait(NULL, g_qpair, &read) && memcmp(g_in, g_out, bytes) == 0);
	if (spdk_nvme_ns_supports_compare(ns)) {
		CHECK_INT(spdk_nvme_ns_cmd_compare_with_md(ns, g_qpair, g_out, NULL, 2, 8, single_done, &compare, 0, 0, 0), 0);
		CHECK(single_wait(NULL, g_qpair, &compare) && !spdk_nvme_cpl_is_error(&compare.cpl));
	}
	fill(g_out, bytes);
	CHECK_INT(spdk_nvme_ns_cmd_write_ext(ns, g_qpair, g_out, 2, 8, single_done, &write_ext, &opts), 0);
	CHECK(single_wait(NULL, g_qpair, &write_ext));
	CHECK_INT(spdk_nvme_ns_cmd_read_ext(ns, g_qpair, g_in, 2, 8, single_done, &read_ext, &opts), 0);
	CHECK(single_wait(NULL, g_qpair, &read_ext) && memcmp(g_in, g_out, bytes) == 0);

	CHECK_INT(spdk_nvme_ns_cmd_read_ext(ns, g_qpair, g_in, 2, 8, single_done, &none, NULL), -EINVAL);
	CHECK_INT(spdk_nvme_ns_cmd_write_ext(ns, g_qpair, g_in, 2, 8, single_done, &none, NULL), -EINVAL);
	odd.memory_domain = (void *)&odd;
	CHECK_INT(spdk_nvme_ns_cmd_read_ext(ns, g_qpair, g_in, 2, 8, single_done, &none, &odd), -EINVAL);
	odd.memory_domain = NULL;
	odd.accel_sequence = &odd;
	CHECK_INT(spdk_nvme_ns_cmd_write_ext(ns, g_qpair, g_in, 2, 8, single_done, &none, &odd), -EINVAL);
	CHECK_INT(none.calls, 0);
}

static void compares(void)
{
	struct spdk_nvme_ns *ns = g_session.ns;
	static struct pieces pieces;
	struct single write = {0};
	uint32_t bytes = 8 * g_session.sector_size;

	if (!spdk_nvme_ns_supports_compare(ns)) {
		return;
	}
	fill(g_out, bytes);
	CHECK_INT(single_write(&g_session, g_qpair, &write, g_out, 40, 8), 0);
	CHECK(single_wait(NULL, g_qpair, &write));
	cut(&pieces, g_out, bytes, 3 * g_session.sector_size, g_session.sector_size, true);
	CHECK_INT(spdk_nvme_ns_cmd_comparev(ns, g_qpair, 40, 8, single_done, &pieces, 0, reset_sgl, next_sge), 0);
	CHECK(succeeded(&pieces));
	g_out[bytes - 1] ^= 1;
	cut(&pieces, g_out, bytes, 3 * g_session.sector_size, g_session.sector_size, true);
	CHECK_INT(spdk_nvme_ns_cmd_comparev_with_md(ns, g_qpair, 40, 8, single_done, &pieces, 0, reset_sgl, next_sge, NULL, 0, 0), 0);
	CHECK(single_wait(NULL, g_qpair, &pieces.single) && spdk_nvme_cpl_is_error(&pieces.single.cpl));
}

static void raw(void)
{
	struct spdk_nvme_ctrlr *ctrlr = g_session.ctrlr;
	struct spdk_nvme_cmd write = {.opc = SPDK_NVME_OPC_WRITE}, read = {.opc = SPDK_NVME_OPC_READ}, flush = {.opc = SPDK_NVME_OPC_FLUSH};
	struct single wrote = {0}, got = {0}, flushed = {0}, none = {0};
	static struct pieces pieces;
	uint32_t sector = g_session.sector_size, bytes = 8 * sector;

	write.nsid = read.nsid = flush.nsid = spdk_nvme_ns_get_id(g_session.ns);
	write.cdw10 = read.cdw10 = 11;
	write.cdw12 = read.cdw12 = 7;
	fill(g_out, bytes);
	CHECK_INT(spdk_nvme_ctrlr_cmd_io_raw(ctrlr, g_qpair, &write, g_out, bytes, single_done, &wrote), 0);
	CHECK(single_wait(NULL, g_qpair, &wrote) && !spdk_nvme_cpl_is_error(&wrote.cpl));
	CHECK_INT(spdk_nvme_ctrlr_cmd_io_raw_with_md(ctrlr, g_qpair, &read, g_in, bytes, NULL, single_done, &got), 0);
	CHECK(single_wait(NULL, g_qpair, &got) && memcmp(g_in, g_out, bytes) == 0);
	CHECK_INT(spdk_nvme_ctrlr_cmd_io_raw(ctrlr, g_qpair, &flush, NULL, 0, single_done, &flushed), 0);
	CHECK(single_wait(NULL, g_qpair, &flushed));
	memset(g_in, 0, bytes);
	cut(&pieces, g_in, bytes, spdk_nvme_ctrlr_get_max_sges(ctrlr) > 1 ? 5 * sector : bytes, sector, false);
	CHECK_INT(spdk_nvme_ctrlr_cmd_iov_raw_with_md(ctrlr, g_qpair, &read, bytes, NULL, single_done, &pieces, reset_sgl, next_sge), 0);
	CHECK(succeeded(&pieces) && memcmp(g_in, g_out, bytes) == 0);

	CHECK_INT(spdk_nvme_ctrlr_cmd_io_raw(ctrlr, g_qpair, NULL, g_in, bytes, single_done, &none), -EINVAL);
	CHECK_INT(spdk_nvme_ctrlr_cmd_io_raw(ctrlr, g_qpair, &read, NULL, bytes, single_done, &none), -EINVAL);
	CHECK_INT(spdk_nvme_ctrlr_cmd_iov_raw_with_md(ctrlr, g_qpair, &read, bytes, NULL, single_done, &none, NULL, next_sge), -EINVAL);
	cut(&pieces, g_in, 17 * 4, 4, 4, false);
	CHECK_INT(spdk_nvme_ctrlr_cmd_iov_raw_with_md(ctrlr, g_qpair, &read, 17 * 4, NULL, single_done, &pieces, reset_sgl, next_sge),
		  -1);
	/* How long metadata are goes by the namespace: one that can be, active or not. */
	read.nsid = spdk_nvme_ctrlr_get_num_ns(ctrlr) + 1;
	CHECK_INT(spdk_nvme_ctrlr_cmd_io_raw_with_md(ctrlr, g_qpair, &read, g_in, bytes, g_out, single_done, &none), -EINVAL);
	cut(&pieces, g_in, bytes, bytes, sector, false);
	CHECK_INT(spdk_nvme_ctrlr_cmd_iov_raw_with_md(ctrlr, g_qpair, &read, bytes, g_out, single_done, &pieces, reset_sgl, next_sge),
		  -EINVAL);
	read.nsid = 0;
	CHECK_INT(spdk_nvme_ctrlr_cmd_io_raw_with_md(ctrlr, g_qpair, &read, g_in, bytes, g_out, single_done, &none), -EINVAL);
	CHECK_INT(none.calls, 0);
}

/* Says that it worked, and gives nothing once all pieces were given. */
static int next_sge_silent(void *arg, void **address, uint32_t *length)
{
	struct pieces *pieces = arg;

	return pieces->at == pieces->count ? 0 : next_sge(arg, address, length);
}

/* Fails the first time that it is called, and works from then on. */
static bool g_failed;

static int next_sge_late(void *arg, void **address, uint32_t *length)
{
	bool failed = g_failed;

	g_failed = true;
	return failed ? next_sge(arg, address, length) : -1;
}

/* Gives a piece of no bytes before piece g_empty_at. */
static bool g_emptied;
static unsigned g_empty_at;

static void reset_sgl_empty(void *arg, uint32_t offset)
{
	g_emptied = false;
	reset_sgl(arg, offset);
}

static int next_sge_empty(void *arg, void **address, uint32_t *length)
{
	struct pieces *pieces = arg;

	if (pieces->at == g_empty_at && !g_emptied) {
		g_emptied = true;
		*address = pieces->iov[pieces->at].iov_base;
		*length = 0;
		return 0;
	}
	return next_sge(arg, address, length);
}

/* What cannot be: nothing is called back, nothing lost. */
static void refused(void)
{
	struct spdk_nvme_ns *ns = g_session.ns;
	uint32_t sector = g_session.sector_size, bytes = 8 * sector;
	static struct pieces pieces;

	cut(&pieces, g_in, bytes, sector, sector, false);
	CHECK_INT(spdk_nvme_ns_cmd_readv(ns, g_qpair, 0, 8, single_done, &pieces, 0, NULL, next_sge), -EINVAL);
	CHECK_INT(spdk_nvme_ns_cmd_writev(ns, g_qpair, 0, 8, single_done, &pieces, 0, reset_sgl, NULL), -EINVAL);
	CHECK_INT(spdk_nvme_ns_cmd_readv(ns, g_qpair, 0, 0, single_done, &pieces, 0, reset_sgl, next_sge), -EINVAL);
	CHECK_INT(spdk_nvme_ns_cmd_readv(ns, g_qpair, 0, 9, single_done, &pieces, 0, reset_sgl, next_sge), -1);
	CHECK_INT(spdk_nvme_ns_cmd_readv(ns, g_qpair, 0, 8, single_done, &pieces, 4, reset_sgl, next_sge), -EINVAL);
	CHECK_INT(spdk_nvme_ns_cmd_writev(ns, g_qpair, 0, 9, single_done, &pieces, 0, reset_sgl, next_sge_silent), -EINVAL);
	CHECK_INT(spdk_nvme_ns_cmd_readv_ext(ns, g_qpair, 0, 9, single_done, &pieces, reset_sgl, next_sge_silent, NULL), -EINVAL);
	CHECK_INT(spdk_nvme_ns_cmd_readv(ns, g_qpair, 0, 8, single_done, &pieces, 0, reset_sgl, next_sge_late), -1);
	for (g_empty_at = 0; g_empty_at < 4; g_empty_at++) {
		cut(&pieces, g_in, bytes, sector * (8 / (g_empty_at + 1)), sector, false);
		/* With nothing empty it goes, so that the queue pair knows the memory. */
		CHECK_INT(spdk_nvme_ns_cmd_readv(ns, g_qpair, 0, 8, single_done, &pieces, 0, reset_sgl, next_sge), 0);
		CHECK(succeeded(&pieces));
		pieces.single.calls = 0;
		CHECK_INT(spdk_nvme_ns_cmd_readv(ns, g_qpair, 0, 8, single_done, &pieces, 0, reset_sgl_empty, next_sge_empty), -EINVAL);
	}
	cut(&pieces, g_in, bytes, sector, sector, false);
	pieces.fails_after = 3;
	CHECK_INT(spdk_nvme_ns_cmd_readv(ns, g_qpair, 0, 8, single_done, &pieces, 0, reset_sgl, next_sge), -1);
	CHECK_INT(spdk_nvme_ns_cmd_read_iov(ns, g_qpair, 0, 8, single_done, &pieces, pieces.iov, 0, NULL), -EINVAL);
	CHECK_INT(spdk_nvme_ns_cmd_write_iov(ns, g_qpair, 0, 8, single_done, &pieces, NULL, 1, NULL), -EINVAL);
	CHECK_INT(spdk_nvme_ns_cmd_read_iov(ns, g_qpair, 0, 9, single_done, &pieces, pieces.iov, pieces.count, NULL), -EINVAL);
	pieces.iov[2].iov_len = 0;
	CHECK_INT(spdk_nvme_ns_cmd_read_iov(ns, g_qpair, 0, 8, single_done, &pieces, pieces.iov, pieces.count, NULL), -EINVAL);
	/* A block in more pieces than a command can have. */
	cut(&pieces, g_in, sector, 4, 4, false);
	CHECK_INT(spdk_nvme_ns_cmd_read_iov(ns, g_qpair, 0, 1, single_done, &pieces, pieces.iov, pieces.count, NULL), -EINVAL);
	/* Fused commands are not split. */
	cut(&pieces, g_in, 32 * sector, sector, sector, false);
	CHECK_INT(spdk_nvme_ns_cmd_readv(ns, g_qpair, 0, 32, single_done, &pieces, 1, reset_sgl, next_sge), -EINVAL);
	CHECK_INT(pieces.single.calls, 0);
	CHECK_INT(spdk_nvme_qpair_get_num_outstanding_reqs(g_qpair), 0);
	CHECK(qpair_works(&g_session, NULL, g_qpair, 0));
}

/* What the program's functions may do while they are asked for a piece. */
static struct {
	unsigned at; /* the piece */
	struct spdk_nvme_qpair *frees;
	struct spdk_nvme_qpair *opened; /* in its place */
	struct pieces *submits;
	void *unregisters;
} g_meanwhile;

static int next_sge_that_acts(void *arg, void **address, uint32_t *length)
{
	struct pieces *pieces = arg;

	if (pieces->at == g_meanwhile.at) {
		struct spdk_nvme_qpair *frees = g_meanwhile.frees;
		struct pieces *submits = g_meanwhile.submits;
		void *unregisters = g_meanwhile.unregisters;

		g_meanwhile.frees = NULL;
		g_meanwhile.submits = NULL;
		g_meanwhile.unregisters = NULL;
		if (frees != NULL) {
			CHECK_INT(spdk_nvme_ctrlr_free_io_qpair(frees), 0);
			g_meanwhile.opened = qpair_open(&g_session, NULL, false);
		}
		if (submits != NULL) {
			CHECK_INT(submit(V, false, submits, 64, 8), 0);
		}
		if (unregisters != NULL) {
			CHECK_INT(spdk_mem_unregister(unregisters, REGISTERED), 0);
		}
	}
	return next_sge(arg, address, length);
}

/* Within a callback of the queue pair its end waits for the poll: the handle is there, and takes nothing more. */
static struct pieces g_late;

static void frees_meanwhile(struct single *single)
{
	cut(&g_late, g_in, 8 * g_session.sector_size, 4 * g_session.sector_size, 1, false);
	g_meanwhile.at = 1;
	g_meanwhile.frees = single->argument;
	CHECK(spdk_nvme_ns_cmd_readv(g_session.ns, single->argument, 56, 8, single_done, &g_late, 0, reset_sgl, next_sge_that_acts) < 0);
	CHECK(g_meanwhile.frees == NULL);
}

static void freed_within_a_callback(void)
{
	struct single first = {.then = frees_meanwhile, .argument = qpair_open(&g_session, NULL, false)};
	double deadline = deadline_in(STEP_SECONDS);

	CHECK_INT(single_read(&g_session, first.argument, &first, g_in, 0, 8), 0);
	while (first.calls == 0 && !deadline_passed(deadline)) {
		poll_step(NULL, first.argument);
	}
	CHECK_INT(first.calls, 1);
	CHECK_INT(g_late.single.calls, 0);
	CHECK_INT(spdk_nvme_ctrlr_free_io_qpair(g_meanwhile.opened), 0);
}

static void acts_meanwhile(void)
{
	struct spdk_nvme_ns *ns = g_session.ns;
	uint32_t sector = g_session.sector_size, bytes = 8 * sector;
	static struct pieces outer, inner;
	struct single write = {0};
	uint8_t *registered, *place;
	unsigned count, way;

	if (spdk_nvme_ctrlr_get_max_sges(g_session.ctrlr) < 2) {
		return;
	}
	fill(g_out, 16 * sector);
	CHECK_INT(single_write(&g_session, g_qpair, &write, g_out, 56, 16), 0);
	CHECK(single_wait(NULL, g_qpair, &write));
	/* The first way is the short one, after an I/O of the same kind; the second the long one. */
	for (way = 0; way < 2; way++) {
		cut(&outer, g_in, bytes, 4 * sector, sector, false);
		cut(&inner, g_in + bytes, bytes, 4 * sector, sector, false);
		memset(g_in, 0, 2 * bytes);
		g_meanwhile.submits = &inner;
		CHECK_INT(way == 0 ? spdk_nvme_ns_cmd_readv(ns, g_qpair, 56, 8, single_done, &outer, 0, reset_sgl, next_sge_that_acts)
				   : spdk_nvme_ns_cmd_readv_ext(ns, g_qpair, 56, 8, single_done, &outer, reset_sgl,
								next_sge_that_acts, NULL),
			  0);
		CHECK(succeeded(&outer));
		CHECK(succeeded(&inner));
		CHECK(memcmp(g_in, g_out, 2 * bytes) == 0);
	}
	/* By the number of pieces the short way goes on differently; while any of them is asked for, the queue pair may go. */
	for (count = 1; count <= 4; count *= 2) {
		for (g_meanwhile.at = 0; g_meanwhile.at < count; g_meanwhile.at++) {
			for (way = 0; way < 2; way++) {
				struct spdk_nvme_qpair *qpair = qpair_open(&g_session, NULL, false);
				int rc;

				CHECK(qpair_works(&g_session, NULL, qpair, 0)); /* which knows the namespace from here on */
				cut(&outer, g_in, bytes, bytes / count, sector, false);
				g_meanwhile.frees = qpair;
				rc = way == 0 ? spdk_nvme_ns_cmd_readv(ns, qpair, 56, 8, single_done, &outer, 0, reset_sgl,
								       next_sge_that_acts)
					      : spdk_nvme_ns_cmd_writev_ext(ns, qpair, 56, 8, single_done, &outer, reset_sgl,
									    next_sge_that_acts, NULL);
				CHECK(rc < 0);
				CHECK_INT(outer.single.calls, 0);
				CHECK(g_meanwhile.frees == NULL);
				CHECK_INT(spdk_nvme_qpair_get_num_outstanding_reqs(g_meanwhile.opened), 0);
				CHECK_INT(spdk_nvme_ctrlr_free_io_qpair(g_meanwhile.opened), 0);
			}
		}
	}
	/* Or the registration of the memory that the pieces are in, whose keys the queue pair knows: others are found. */
	registered = mmap(NULL, 2 * REGISTERED, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	REQUIRE(registered != MAP_FAILED);
	place = registered + REGISTERED - (uintptr_t)registered % REGISTERED;
	for (count = 1; count <= 4; count *= 2) {
		CHECK_INT(spdk_mem_register(place, REGISTERED), 0);
		for (way = 0; way < 2; way++) {
			memset(place, 0, bytes);
			cut(&outer, place, bytes, bytes / count, sector, false);
			/* The first time nothing happens. */
			g_meanwhile.at = count - 1;
			g_meanwhile.unregisters = way == 0 ? NULL : place;
			CHECK_INT(spdk_nvme_ns_cmd_readv(ns, g_qpair, 56, 8, single_done, &outer, 0, reset_sgl, next_sge_that_acts),
				  0);
			CHECK(succeeded(&outer));
			CHECK(g_meanwhile.unregisters == NULL);
			CHECK(memcmp(place, g_out, bytes) == 0);
		}
	}
	munmap(registered, 2 * REGISTERED);
	CHECK(qpair_works(&g_session, NULL, g_qpair, 0));
}

int main(int argc, char **argv)
{
	struct spdk_nvme_transport_id trid;

	test_begin(argc, argv, &trid, 600);
	session_open(&g_session, &trid);
	g_qpair = qpair_open(&g_session, NULL, false);
	g_out = spdk_zmalloc(SIZE, 4096, NULL, SPDK_ENV_NUMA_ID_ANY, SPDK_MALLOC_DMA);
	g_in = spdk_zmalloc(SIZE, 4096, NULL, SPDK_ENV_NUMA_ID_ANY, SPDK_MALLOC_DMA);
	REQUIRE(g_out != NULL && g_in != NULL);
	forms();
	flat();
	compares();
	raw();
	refused();
	acts_meanwhile();
	freed_within_a_callback();
	CHECK_INT(spdk_nvme_ctrlr_free_io_qpair(g_qpair), 0);
	spdk_free(g_out);
	spdk_free(g_in);
	session_close(&g_session);
	test_end();
	return check_result("vectors");
}

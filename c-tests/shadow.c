/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * Random mixed I/O against a copy in memory: reads, writes, compares, all of them in pieces as well and by each of the entries that there
 * are for them, and write zeroes, of one block to 256 KiB, anywhere, from buffers that begin anywhere, in memory for I/O and in any
 * other, many at a time on several qpairs. What is read is compared with the copy byte by byte; at the end all of it is.
 *
 * SHADOW_BYTES=n is how much is moved in all, K, M and G at the end allowed (default 64M); SHADOW_SEED=n another order of things. On any target.
 */

#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>

#include "spdk/env.h"

#include "check.h"
#include "common.h"
#include "session.h"

#define SLOTS 32u
#define QPAIRS 4u
#define MOST_BYTES (256u << 10)
#define ROOM (MOST_BYTES + 4096u)
/* Of the namespace only so much is used. */
#define USED_BYTES (48ull << 20)
#define MOST_PIECES 48u
/* Places that are tried for the next I/O before others have to end. */
#define TRIES 8u

enum what { READ, READ_PIECES, COMPARE, COMPARE_PIECES, WRITE, WRITE_PIECES, ZEROES };
/* By which of the entries: the plain one (an iovec, for pieces), or what takes metadata and tags, options, or functions for the pieces. */
enum form { PLAIN, WITH_MD, EXT, FUNCTIONS, FORMS };

struct slot {
	struct spdk_nvme_qpair *qpair;
	uint8_t *room, *buffer;
	struct iovec pieces[MOST_PIECES];
	unsigned count, next;
	uint32_t skip; /* of the next piece */
	enum what what;
	enum form form;
	bool is_foreign; /* the memory is the program's own, and not for I/O */
	uint64_t lba;
	uint32_t blocks;
	bool busy;
};

static struct session g_session;
static struct spdk_nvme_poll_group *g_group;
static struct slot g_slots[SLOTS];
static uint8_t *g_shadow;
static uint64_t g_random = 0x9e3779b97f4a7c15ull, g_sectors, g_moved, g_done[ZEROES + 1];
/* What the length of a piece is a multiple of. */
static uint32_t g_unit;
static bool g_zeroes, g_compares, g_failed;
static struct spdk_nvme_ns_cmd_ext_io_opts g_options = {.size = sizeof(g_options)};

static uint64_t roll(uint64_t below)
{
	return random_next(&g_random) % below;
}

static bool is_write(enum what what)
{
	return what >= WRITE;
}

static uint8_t *shadow_of(uint64_t lba)
{
	return g_shadow + lba * g_session.sector_size;
}

/* Two I/Os at a time may share blocks only if both read them. */
static bool is_free(enum what what, uint64_t lba, uint32_t blocks)
{
	unsigned index;

	for (index = 0; index < SLOTS; index++) {
		const struct slot *other = &g_slots[index];

		if (other->busy && lba < other->lba + other->blocks && other->lba < lba + blocks &&
		    (is_write(what) || is_write(other->what))) {
			return false;
		}
	}
	return true;
}

/* In the order of the data, but not of their addresses: each piece lies before the one before. */
static void cut(struct slot *slot, uint32_t bytes)
{
	uint32_t done = 0;

	slot->count = 0;
	while (done < bytes) {
		uint32_t length = bytes - done;

		if (slot->count < MOST_PIECES - 1 && length > g_unit) {
			length = g_unit * (1 + (uint32_t)roll(length / g_unit));
		}
		slot->pieces[slot->count++] =
			(struct iovec){.iov_base = slot->buffer + (bytes - done - length), .iov_len = length};
		done += length;
	}
}

static void whole(struct slot *slot, uint32_t bytes)
{
	slot->pieces[0] = (struct iovec){.iov_base = slot->buffer, .iov_len = bytes};
	slot->count = 1;
}

static void on_complete(void *argument, const struct spdk_nvme_cpl *cpl)
{
	struct slot *slot = argument;
	const uint8_t *expected = shadow_of(slot->lba);
	unsigned index;

	if (!CHECK(slot->busy) || !CHECK(!spdk_nvme_cpl_is_error(cpl))) {
		g_failed = true;
		return;
	}
	slot->busy = false;
	g_done[slot->what]++;
	if (slot->what != READ && slot->what != READ_PIECES) {
		return;
	}
	for (index = 0; index < slot->count; index++) {
		if (memcmp(slot->pieces[index].iov_base, expected, slot->pieces[index].iov_len) != 0) {
			fprintf(stderr, "lba %llu, %u blocks, piece %u of %u: other data than were written\n",
				(unsigned long long)slot->lba, slot->blocks, index + 1, slot->count);
			CHECK(false);
			g_failed = true;
			return;
		}
		expected += slot->pieces[index].iov_len;
	}
}

static void reset_sgl(void *argument, uint32_t offset)
{
	struct slot *slot = argument;

	for (slot->next = 0; offset >= slot->pieces[slot->next].iov_len; slot->next++) {
		offset -= (uint32_t)slot->pieces[slot->next].iov_len;
	}
	slot->skip = offset;
}

static int next_sge(void *argument, void **address, uint32_t *length)
{
	struct slot *slot = argument;
	const struct iovec *piece = &slot->pieces[slot->next++];

	*address = (uint8_t *)piece->iov_base + slot->skip;
	*length = (uint32_t)piece->iov_len - slot->skip;
	slot->skip = 0;
	return 0;
}

/* One buffer. There is no compare with options. */
static int submit_whole(struct slot *slot)
{
	struct spdk_nvme_ns *ns = g_session.ns;
	struct spdk_nvme_qpair *q = slot->qpair;
	uint64_t lba = slot->lba;
	uint32_t blocks = slot->blocks;
	void *data = slot->buffer;

	switch (slot->what) {
	case READ:
		return slot->form == WITH_MD ? spdk_nvme_ns_cmd_read_with_md(ns, q, data, NULL, lba, blocks, on_complete, slot, 0, 0, 0)
		       : slot->form == EXT   ? spdk_nvme_ns_cmd_read_ext(ns, q, data, lba, blocks, on_complete, slot, &g_options)
					     : spdk_nvme_ns_cmd_read(ns, q, data, lba, blocks, on_complete, slot, 0);
	case COMPARE:
		return slot->form == WITH_MD
			       ? spdk_nvme_ns_cmd_compare_with_md(ns, q, data, NULL, lba, blocks, on_complete, slot, 0, 0, 0)
			       : spdk_nvme_ns_cmd_compare(ns, q, data, lba, blocks, on_complete, slot, 0);
	default:
		return slot->form == WITH_MD ? spdk_nvme_ns_cmd_write_with_md(ns, q, data, NULL, lba, blocks, on_complete, slot, 0, 0, 0)
		       : slot->form == EXT   ? spdk_nvme_ns_cmd_write_ext(ns, q, data, lba, blocks, on_complete, slot, &g_options)
					     : spdk_nvme_ns_cmd_write(ns, q, data, lba, blocks, on_complete, slot, 0);
	}
}

/* Of a compare the pieces are always given by functions. */
static int submit_pieces(struct slot *slot)
{
	struct spdk_nvme_ns *ns = g_session.ns;
	struct spdk_nvme_qpair *q = slot->qpair;
	uint64_t lba = slot->lba;
	uint32_t blocks = slot->blocks;
	bool read = slot->what == READ_PIECES;

	if (slot->what == COMPARE_PIECES) {
		return slot->form == WITH_MD ? spdk_nvme_ns_cmd_comparev_with_md(ns, q, lba, blocks, on_complete, slot, 0, reset_sgl,
										next_sge, NULL, 0, 0)
					     : spdk_nvme_ns_cmd_comparev(ns, q, lba, blocks, on_complete, slot, 0, reset_sgl, next_sge);
	}
	switch (slot->form) {
	case WITH_MD:
		return read ? spdk_nvme_ns_cmd_readv_with_md(ns, q, lba, blocks, on_complete, slot, 0, reset_sgl, next_sge, NULL, 0, 0)
			    : spdk_nvme_ns_cmd_writev_with_md(ns, q, lba, blocks, on_complete, slot, 0, reset_sgl, next_sge, NULL, 0, 0);
	case EXT:
		return read ? spdk_nvme_ns_cmd_readv_ext(ns, q, lba, blocks, on_complete, slot, reset_sgl, next_sge, &g_options)
			    : spdk_nvme_ns_cmd_writev_ext(ns, q, lba, blocks, on_complete, slot, reset_sgl, next_sge, &g_options);
	case FUNCTIONS:
		return read ? spdk_nvme_ns_cmd_readv(ns, q, lba, blocks, on_complete, slot, 0, reset_sgl, next_sge)
			    : spdk_nvme_ns_cmd_writev(ns, q, lba, blocks, on_complete, slot, 0, reset_sgl, next_sge);
	default:
		return read ? spdk_nvme_ns_cmd_read_iov(ns, q, lba, blocks, on_complete, slot, slot->pieces, slot->count, NULL)
			    : spdk_nvme_ns_cmd_write_iov(ns, q, lba, blocks, on_complete, slot, slot->pieces, slot->count, NULL);
	}
}

static bool is_in_pieces(enum what what)
{
	return what == READ_PIECES || what == COMPARE_PIECES || what == WRITE_PIECES;
}

static int submit(struct slot *slot)
{
	if (slot->what == ZEROES) {
		return spdk_nvme_ns_cmd_write_zeroes(g_session.ns, slot->qpair, slot->lba, slot->blocks, on_complete, slot, 0);
	}
	return is_in_pieces(slot->what) ? submit_pieces(slot) : submit_whole(slot);
}

/* The buffer is what the copy is. */
static void copy_shadow(struct slot *slot)
{
	const uint8_t *shadow = shadow_of(slot->lba);
	unsigned index;

	for (index = 0; index < slot->count; index++) {
		memcpy(slot->pieces[index].iov_base, shadow, slot->pieces[index].iov_len);
		shadow += slot->pieces[index].iov_len;
	}
}

static void fill(struct slot *slot)
{
	uint8_t *shadow = shadow_of(slot->lba);
	unsigned index;
	size_t byte;

	for (index = 0; index < slot->count; index++) {
		uint8_t *piece = slot->pieces[index].iov_base;
		uint64_t word = random_next(&g_random);

		for (byte = 0; byte < slot->pieces[index].iov_len; byte++) {
			piece[byte] = (uint8_t)(word >> 8 * (byte % 8)) ^ (uint8_t)(byte / 8);
		}
		memcpy(shadow, piece, slot->pieces[index].iov_len);
		shadow += slot->pieces[index].iov_len;
	}
}

static enum what what_next(void)
{
	static const enum what kinds[] = {READ, READ, READ_PIECES, READ_PIECES, WRITE, WRITE, WRITE_PIECES, WRITE_PIECES,
					  COMPARE, COMPARE_PIECES, ZEROES};
	enum what what;

	do {
		what = kinds[roll(sizeof(kinds) / sizeof(kinds[0]))];
	} while ((what == ZEROES && !g_zeroes) || ((what == COMPARE || what == COMPARE_PIECES) && !g_compares));
	return what;
}

/* Puts an I/O on its way, if there is a place for it. */
static void begin(struct slot *slot)
{
	uint32_t size = g_session.sector_size, most = MOST_BYTES / size, bytes;
	unsigned tries;
	int rc;

	slot->what = what_next();
	slot->form = (enum form)roll(FORMS);
	for (tries = 0; tries < TRIES; tries++) {
		/* As many small ones as large ones. */
		slot->blocks = 1 + (uint32_t)roll(1 + (most >> roll(10)));
		slot->blocks = slot->blocks < most ? slot->blocks : most;
		slot->lba = roll(g_sectors - slot->blocks + 1);
		if (is_free(slot->what, slot->lba, slot->blocks)) {
			break;
		}
	}
	if (tries == TRIES) {
		return;
	}
	bytes = slot->blocks * size;
	slot->buffer = slot->room + 4 * roll(1024);
	if (is_in_pieces(slot->what)) {
		cut(slot, bytes);
	} else {
		whole(slot, bytes);
	}
	if (slot->what == ZEROES) {
		memset(shadow_of(slot->lba), 0, bytes);
	} else if (is_write(slot->what)) {
		fill(slot);
	} else if (slot->what == COMPARE || slot->what == COMPARE_PIECES) {
		copy_shadow(slot);
	} else {
		memset(slot->buffer, 0x5a, bytes);
	}
	slot->busy = true;
	rc = submit(slot);
	if (!CHECK_INT(rc, 0)) {
		slot->busy = false;
		g_failed = true;
	}
	g_moved += bytes;
}

static unsigned busy(void)
{
	unsigned index, count = 0;

	for (index = 0; index < SLOTS; index++) {
		count += g_slots[index].busy;
	}
	return count;
}

static void poll_once(void)
{
	if (poll_step(g_group, NULL) < 0) {
		CHECK(!"a poll failed");
		g_failed = true;
	}
	spdk_nvme_ctrlr_process_admin_completions(g_session.ctrlr);
}

/* Nothing comes back for so long only if it never will. */
static void drain(void)
{
	double deadline = deadline_in(STEP_SECONDS);

	while (busy() > 0 && !g_failed) {
		poll_once();
		if (deadline_passed(deadline)) {
			CHECK(!"I/O that does not come back");
			g_failed = true;
		}
	}
}

static void mix(uint64_t bytes)
{
	unsigned index;

	while (g_moved < bytes && !g_failed) {
		for (index = 0; index < SLOTS && !g_failed; index++) {
			if (!g_slots[index].busy) {
				begin(&g_slots[index]);
			}
		}
		poll_once();
	}
	drain();
}

/* Each block of it, by the first slot. */
static void read_all(void)
{
	uint32_t most = MOST_BYTES / g_session.sector_size;
	struct slot *slot = &g_slots[0];
	uint64_t lba;

	for (lba = 0; lba < g_sectors && !g_failed; lba += slot->blocks) {
		slot->what = READ;
		slot->lba = lba;
		slot->blocks = g_sectors - lba < most ? (uint32_t)(g_sectors - lba) : most;
		slot->buffer = slot->room;
		whole(slot, slot->blocks * g_session.sector_size);
		slot->busy = true;
		if (!CHECK_INT(submit(slot), 0)) {
			return;
		}
		drain();
	}
}

/* The namespace is what the copy says. */
static void begin_with_zeroes(void)
{
	uint32_t most = MOST_BYTES / g_session.sector_size;
	struct slot *slot = &g_slots[0];
	uint64_t lba;

	memset(slot->room, 0, ROOM);
	for (lba = 0; lba < g_sectors && !g_failed; lba += slot->blocks) {
		slot->what = WRITE;
		slot->lba = lba;
		slot->blocks = g_sectors - lba < most ? (uint32_t)(g_sectors - lba) : most;
		slot->buffer = slot->room;
		slot->busy = true;
		REQUIRE(submit(slot) == 0);
		drain();
	}
}

int main(int argc, char **argv)
{
	const char *bytes_text = getenv("SHADOW_BYTES"), *seed_text = getenv("SHADOW_SEED");
	struct spdk_nvme_qpair *qpairs[QPAIRS];
	struct spdk_nvme_transport_id trid;
	uint64_t bytes = 64u << 20, seed = 0;
	unsigned index;

	if ((bytes_text != NULL && !size_read(bytes_text, UINT64_MAX >> 1, &bytes)) ||
	    (seed_text != NULL && !size_read(seed_text, UINT64_MAX >> 1, &seed))) {
		fprintf(stderr, "SHADOW_BYTES and SHADOW_SEED are numbers\n");
		return EXIT_WRONG;
	}
	g_random += seed * 2;
	test_begin(argc, argv, &trid, 3600);
	session_open(&g_session, &trid);
	g_sectors = g_session.sectors;
	if (g_sectors > USED_BYTES / g_session.sector_size) {
		g_sectors = USED_BYTES / g_session.sector_size;
	}
	/* A block cannot be in more pieces than a command's data. */
	g_unit = spdk_nvme_ctrlr_get_max_sges(g_session.ctrlr) == 1 ? g_session.sector_size : 4;
	g_zeroes = (spdk_nvme_ns_get_flags(g_session.ns) & SPDK_NVME_NS_WRITE_ZEROES_SUPPORTED) != 0;
	g_compares = spdk_nvme_ctrlr_get_data(g_session.ctrlr)->oncs.nvmcmps;
	g_shadow = calloc(g_sectors, g_session.sector_size);
	g_group = spdk_nvme_poll_group_create(NULL, NULL);
	REQUIRE(g_shadow != NULL && g_group != NULL);
	for (index = 0; index < QPAIRS; index++) {
		qpairs[index] = qpair_open(&g_session, g_group, false);
	}
	for (index = 0; index < SLOTS; index++) {
		g_slots[index].qpair = qpairs[index % QPAIRS];
		g_slots[index].is_foreign = index % 4 == 3;
		g_slots[index].room = g_slots[index].is_foreign ? calloc(1, ROOM) : spdk_dma_zmalloc(ROOM, 4096, NULL);
		REQUIRE(g_slots[index].room != NULL);
	}
	begin_with_zeroes();
	mix(bytes);
	read_all();
	printf("%s moved: %llu reads, %llu in pieces, %llu compares, %llu in pieces, %llu writes, %llu in pieces, %llu write zeroes; "
	       "seed %llu\n",
	       binary_size((double)g_moved), (unsigned long long)g_done[READ], (unsigned long long)g_done[READ_PIECES],
	       (unsigned long long)g_done[COMPARE], (unsigned long long)g_done[COMPARE_PIECES],
	       (unsigned long long)g_done[WRITE], (unsigned long long)g_done[WRITE_PIECES],
	       (unsigned long long)g_done[ZEROES], (unsigned long long)seed);
	CHECK(g_done[READ] > 0 && g_done[READ_PIECES] > 0 && g_done[WRITE_PIECES] > 0);
	CHECK(!g_compares || (g_done[COMPARE] > 0 && g_done[COMPARE_PIECES] > 0));
	for (index = 0; index < QPAIRS; index++) {
		CHECK_INT(spdk_nvme_ctrlr_free_io_qpair(qpairs[index]), 0);
	}
	CHECK_INT(spdk_nvme_poll_group_destroy(g_group), 0);
	for (index = 0; index < SLOTS; index++) {
		if (g_slots[index].is_foreign) {
			free(g_slots[index].room);
		} else {
			spdk_dma_free(g_slots[index].room);
		}
	}
	free(g_shadow);
	session_close(&g_session);
	test_end();
	return check_result("shadow");
}

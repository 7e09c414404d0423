/* SPDX-License-Identifier: BSD-3-Clause */

/* Data in pieces: copies, places that copies go on from, walks through several lists. */

#include "spdk/util.h"

#include "check.h"

static char bytes[64];

/* "abcdefghij" in pieces of 3, 0, 1, nowhere, 6. */
static int
letters(struct iovec *pieces)
{
	memcpy(bytes, "abcdefghij", 11);
	pieces[0] = (struct iovec) { .iov_base = bytes, .iov_len = 3 };
	pieces[1] = (struct iovec) { .iov_base = bytes, .iov_len = 0 };
	pieces[2] = (struct iovec) { .iov_base = bytes + 3, .iov_len = 1 };
	pieces[3] = (struct iovec) { .iov_base = NULL, .iov_len = 100 };
	pieces[4] = (struct iovec) { .iov_base = bytes + 4, .iov_len = 6 };
	return 5;
}

static void
copies(void)
{
	struct iovec pieces[5], out[2];
	char copy[16] = { 0 };
	int count = letters(pieces);

	spdk_copy_iovs_to_buf(copy, 7, pieces, count);
	CHECK(memcmp(copy, "abcdefg\0", 8) == 0);
	spdk_copy_iovs_to_buf(copy, sizeof(copy), pieces, count);
	CHECK(memcmp(copy, "abcdefghij\0", 11) == 0);
	spdk_copy_buf_to_iovs(pieces, count, (char[]) { "0123456789too long" }, 18);
	CHECK(memcmp(bytes, "0123456789\0", 11) == 0);
	spdk_copy_buf_to_iovs(pieces, count, (char[]) { "xyz-" }, 4);
	CHECK(memcmp(bytes, "xyz-456789", 10) == 0);

	letters(pieces);
	memset(copy, 0, sizeof(copy));
	out[0] = (struct iovec) { .iov_base = copy + 8, .iov_len = 4 };
	out[1] = (struct iovec) { .iov_base = copy, .iov_len = 5 };
	CHECK(spdk_iovcpy(pieces, 5, out, 2) == 9);
	CHECK(memcmp(copy + 8, "abcd", 4) == 0 && memcmp(copy, "efghi\0", 6) == 0);
	CHECK(spdk_iovcpy(pieces, 2, out, 2) == 3);

	/* Overlapping by some bytes, both ways. */
	memcpy(copy, "0123456789", 11);
	out[0] = (struct iovec) { .iov_base = copy, .iov_len = 8 };
	out[1] = (struct iovec) { .iov_base = copy + 2, .iov_len = 8 };
	CHECK(spdk_iovmove(&out[0], 1, &out[1], 1) == 8 && memcmp(copy, "0101234567", 10) == 0);
	CHECK(spdk_iovmove(&out[1], 1, &out[0], 1) == 8 && memcmp(copy, "0123456767", 10) == 0);

	spdk_iov_memset(pieces, count, 0x100 + '*');
	CHECK(memcmp(bytes, "**********\0", 11) == 0);

	spdk_iov_memset(NULL, 5, 1);
	spdk_iov_memset(pieces, -1, 1);
	spdk_copy_iovs_to_buf(NULL, 100, pieces, count);
	spdk_copy_iovs_to_buf(copy, 100, NULL, INT_MAX);
	spdk_copy_buf_to_iovs(pieces, count, NULL, 100);
	spdk_copy_buf_to_iovs(pieces, INT_MIN, copy, 0);
	CHECK(spdk_iovcpy(NULL, SIZE_MAX, out, 2) == 0 && spdk_iovcpy(out, 2, NULL, SIZE_MAX) == 0);
	CHECK(spdk_iovmove(out, 0, out, 2) == 0);
	CHECK(memcmp(bytes, "**********\0", 11) == 0);
}

static void
places(void)
{
	struct iovec pieces[5];
	struct spdk_iov_xfer place;
	char copy[16];
	size_t step;

	for (step = 1; step < 12; step++) {
		size_t at = 0, got;

		letters(pieces);
		spdk_iov_xfer_init(&place, pieces, 5);
		do {
			got = spdk_iov_xfer_to_buf(&place, copy + at, step);
			at += got;
		} while (got == step);
		CHECK(at == 10 && memcmp(copy, "abcdefghij", 10) == 0);
		CHECK(spdk_iov_xfer_to_buf(&place, copy, 5) == 0);
	}
	spdk_iov_xfer_init(&place, pieces, 5);
	CHECK(spdk_iov_xfer_from_buf(&place, "0123", 4) == 4 && spdk_iov_xfer_from_buf(&place, "", 0) == 0);
	CHECK(spdk_iov_xfer_to_buf(&place, copy, 2) == 2 && memcmp(copy, "ef", 2) == 0);
	CHECK(spdk_iov_xfer_from_buf(&place, "6789....", 8) == 4 && memcmp(bytes, "0123ef6789\0", 11) == 0);

	/* Places that no walk leaves behind. */
	place.cur_iov_idx = -5;
	place.cur_iov_offset = SIZE_MAX;
	CHECK(spdk_iov_xfer_to_buf(&place, copy, 2) == 0);
	place.cur_iov_idx = 5;
	place.cur_iov_offset = 0;
	CHECK(spdk_iov_xfer_to_buf(&place, copy, 2) == 0);
	CHECK(spdk_iov_xfer_to_buf(NULL, copy, 2) == 0 && spdk_iov_xfer_from_buf(NULL, copy, 2) == 0);
	spdk_iov_xfer_init(&place, NULL, 5);
	CHECK(spdk_iov_xfer_to_buf(&place, copy, 2) == 0 && spdk_iov_xfer_from_buf(&place, copy, 2) == 0);
	spdk_iov_xfer_init(&place, pieces, 5);
	CHECK(spdk_iov_xfer_from_buf(&place, NULL, 5) == 0 && spdk_iov_xfer_to_buf(&place, NULL, 5) == 0);
	spdk_iov_xfer_init(NULL, pieces, 5);
}

static void
walks(void)
{
	static const size_t lengths[] = { 2, 1, 1, 3, 3 };
	struct iovec pieces[5], other[2], *lists[3];
	struct spdk_ioviter iter, *three = malloc(SPDK_IOVITER_SIZE(3));
	size_t counts[3] = { 5, 2, 1 }, at = 0, step;
	char room[16];
	void *src, *dst, *out[3] = { NULL };
	int number = 0;

	letters(pieces);
	other[0] = (struct iovec) { .iov_base = room, .iov_len = 2 };
	other[1] = (struct iovec) { .iov_base = room + 2, .iov_len = 5 };
	/* Steps end where a piece of either list ends, and after 7 bytes all of them. */
	for (step = spdk_ioviter_first(&iter, pieces, 5, other, 2, &src, &dst); step != 0;
	     step = spdk_ioviter_next(&iter, &src, &dst)) {
		CHECK(number < 4 && step == lengths[number] && src == bytes + at && dst == room + at);
		at += step;
		number++;
	}
	CHECK(number == 4 && at == 7 && spdk_ioviter_next(&iter, &src, &dst) == 0);

	CHECK(three != NULL);
	lists[0] = pieces;
	lists[1] = other;
	lists[2] = &(struct iovec) { .iov_base = room, .iov_len = 4 };
	at = 0;
	for (step = spdk_ioviter_firstv(three, 3, lists, counts, out); step != 0; step = spdk_ioviter_nextv(three, out)) {
		CHECK(out[0] == bytes + at && out[1] == room + at && out[2] == room + at);
		at += step;
	}
	CHECK(at == 4);
	/* A walk through three is none through two. */
	CHECK(spdk_ioviter_next(three, &src, &dst) == 0);
	free(three);

	CHECK(spdk_ioviter_first(NULL, pieces, 5, other, 2, &src, &dst) == 0 && spdk_ioviter_next(NULL, &src, &dst) == 0);
	CHECK(spdk_ioviter_first(&iter, NULL, 5, other, 2, &src, &dst) == 0);
	CHECK(spdk_ioviter_first(&iter, pieces, 5, other, 0, &src, &dst) == 0);
	CHECK(spdk_ioviter_first(&iter, pieces, 5, other, 2, NULL, NULL) == 2 && spdk_ioviter_next(&iter, NULL, NULL) == 1);
	CHECK(spdk_ioviter_firstv(&iter, 1, lists, counts, out) == 0 && spdk_ioviter_firstv(&iter, 0, lists, counts, out) == 0);
	CHECK(spdk_ioviter_firstv(&iter, 2, NULL, counts, out) == 0 && spdk_ioviter_firstv(&iter, 2, lists, NULL, out) == 0);
	CHECK(spdk_ioviter_firstv(&iter, 2, lists, counts, NULL) == 0 && spdk_ioviter_nextv(NULL, out) == 0);
}

int
main(void)
{
	copies();
	places();
	walks();
	puts("ok");
	return 0;
}

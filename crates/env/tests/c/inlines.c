/* SPDX-License-Identifier: BSD-3-Clause */

/* What the headers define themselves: numbers, byte order, lists, histograms. */

#include "spdk/barrier.h"
#include "spdk/endian.h"
#include "spdk/histogram_data.h"
#include "spdk/likely.h"
#include "spdk/memory.h"
#include "spdk/mmio.h"
#include "spdk/queue.h"
#include "spdk/util.h"

#include "check.h"

static void
numbers(void)
{
	struct { size_t size; int first, second; } sized = { .size = offsetof(__typeof__(sized), second), .first = 1, .second = 2 };
	uint64_t state = 1;
	int pieces;
	struct iovec piece;

	CHECK(spdk_u32log2(0) == 0 && spdk_u32log2(1) == 0 && spdk_u32log2(255) == 7 && spdk_u32log2(UINT32_MAX) == 31);
	CHECK(spdk_u64log2(0) == 0 && spdk_u64log2(UINT64_C(1) << 40) == 40 && spdk_u64log2(UINT64_MAX) == 63);
	CHECK(spdk_align32pow2(2) == 2 && spdk_align32pow2(5) == 8 && spdk_align32pow2(8) == 8);
	CHECK(spdk_align64pow2(3) == 4 && spdk_align64pow2((UINT64_C(1) << 40) + 1) == UINT64_C(1) << 41);
	CHECK(spdk_u32_is_pow2(1) && spdk_u32_is_pow2(1u << 31) && !spdk_u32_is_pow2(0) && !spdk_u32_is_pow2(6));
	CHECK(spdk_u64_is_pow2(UINT64_C(1) << 63) && !spdk_u64_is_pow2(0) && !spdk_u64_is_pow2(UINT64_MAX));
	CHECK(spdk_divide_round_up(9, 4) == 3 && spdk_divide_round_up(8, 4) == 2 && spdk_round_up(9, 4) == 12);
	CHECK(SPDK_CEIL_DIV(1, 512) == 1 && spdk_min(1, 2) == 1 && spdk_max(1, 2) == 2 && SPDK_BIT(40) == UINT64_C(1) << 40);
	CHECK(SPDK_ALIGN_FLOOR(4097u, 4096) == 4096 && SPDK_ALIGN_CEIL(4097u, 4096) == 8192 && SPDK_ALIGN_CEIL(4096u, 4096) == 4096);
	CHECK(SPDK_ALIGN_FLOOR(UINT64_C(0x123456789abc), 0x1000) == UINT64_C(0x123456789000));
	CHECK(SPDK_CONTAINEROF(&sized.second, __typeof__(sized), second) == &sized);
	CHECK(SPDK_SIZEOF(&sized, first) == sizeof(size_t) + sizeof(int) && SPDK_SIZEOF_MEMBER(struct iovec, iov_len) == sizeof(size_t));
	CHECK(SPDK_FIELD_VALID(&sized, first, sized.size) && !SPDK_FIELD_VALID(&sized, second, sized.size));
	CHECK(SPDK_GET_FIELD(&sized, first, 7, sized.size) == 1 && SPDK_GET_FIELD(&sized, second, 7, sized.size) == 7);
	/* The first numbers of that generator from 1 on. */
	CHECK(spdk_rand_xorshift64(&state) == 0x40822041 && spdk_rand_xorshift64(&state) == 0x100041060c011441);
	CHECK(spdk_rand_xorshift64_seed() != 0);
	CHECK(spdk_sn32_add(UINT32_MAX, 2) == 1 && spdk_sn32_lt(UINT32_MAX, 1) && !spdk_sn32_lt(1, UINT32_MAX));
	CHECK(spdk_sn32_gt(1, UINT32_MAX) && !spdk_sn32_gt(5, 5) && !spdk_sn32_lt(5, 5));
	CHECK(!spdk_sn32_lt(0, SPDK_SN32_CMPMAX) && !spdk_sn32_gt(0, SPDK_SN32_CMPMAX));
	SPDK_IOV_ONE(&piece, &pieces, &state, sizeof(state));
	CHECK(pieces == 1 && piece.iov_base == &state && piece.iov_len == 8);
	spdk_memset_s(&state, 4, 0xff, 100);
	spdk_memset_s(NULL, 4, 0, 4);
	CHECK(((uint8_t *)&state)[3] == 0xff && state >> 32 != 0xffffffff);
	CHECK(_4KB_OFFSET(0x12345) == 0x345 && _2MB_OFFSET(0x212345) == 0x12345 && FLOOR_2MB(0x2fffff) == 0x200000);
	CHECK(CEIL_2MB(0x200001) == 0x400000 && CEIL_2MB(0x200000) == 0x200000);
	CHECK(spdk_likely(5) == 1 && !spdk_unlikely(0));
}

static void
byte_order(void)
{
	uint8_t bytes[9] = { 0xff, 1, 2, 3, 4, 5, 6, 7, 8 }, out[9];
	uint64_t reg = 0;

	CHECK(from_be16(bytes + 1) == 0x0102 && from_le16(bytes + 1) == 0x0201);
	CHECK(from_be32(bytes + 1) == 0x01020304 && from_le32(bytes + 1) == 0x04030201);
	CHECK(from_be64(bytes + 1) == 0x0102030405060708 && from_le64(bytes + 1) == 0x0807060504030201);
	to_be64(out + 1, 0x0102030405060708);
	CHECK(memcmp(out + 1, bytes + 1, 8) == 0);
	to_le64(out + 1, 0x0807060504030201);
	CHECK(memcmp(out + 1, bytes + 1, 8) == 0);
	to_be32(out + 1, 0x01020304);
	to_le32(out + 5, 0x08070605);
	CHECK(memcmp(out + 1, bytes + 1, 8) == 0);
	to_be16(out + 1, 0x0102);
	to_le16(out + 3, 0x0403);
	CHECK(memcmp(out + 1, bytes + 1, 8) == 0);

	spdk_mmio_write_8(&reg, 0x0102030405060708);
	CHECK(spdk_mmio_read_8(&reg) == 0x0102030405060708);
	spdk_mmio_write_4((uint32_t *)&reg, 7);
	spdk_mb();
	CHECK(spdk_mmio_read_4((uint32_t *)&reg) == 7);
}

struct element {
	int number;
	STAILQ_ENTRY(element) single;
	TAILQ_ENTRY(element) link;
};

/* Lists of 0 to 2 elements that exchange what they hold; each is a list still. */
static void
lists(void)
{
	TAILQ_HEAD(, element) first, second;
	STAILQ_HEAD(, element) one, other;
	struct element elements[5], *element;
	int here, there, at;

	for (at = 0; at < 9; at++) {
		here = at / 3;
		there = at % 3;
		TAILQ_INIT(&first);
		TAILQ_INIT(&second);
		STAILQ_INIT(&one);
		STAILQ_INIT(&other);
		for (int number = 0; number < here + there; number++) {
			elements[number].number = number;
			if (number < here) {
				TAILQ_INSERT_TAIL(&first, &elements[number], link);
				STAILQ_INSERT_TAIL(&one, &elements[number], single);
			} else {
				TAILQ_INSERT_TAIL(&second, &elements[number], link);
				STAILQ_INSERT_TAIL(&other, &elements[number], single);
			}
		}
		TAILQ_SWAP(&first, &second, element, link);
		STAILQ_SWAP(&one, &other, element);
		elements[4].number = 4;
		TAILQ_INSERT_TAIL(&second, &elements[4], link);
		STAILQ_INSERT_TAIL(&one, &elements[4], single);
		for (int number = 0; number < there; number++) {
			element = TAILQ_FIRST(&first);
			CHECK(element == &elements[here + number] && element == STAILQ_FIRST(&one));
			TAILQ_REMOVE(&first, element, link);
			STAILQ_REMOVE_HEAD(&one, single);
		}
		for (int number = 0; number < here; number++) {
			element = TAILQ_FIRST(&second);
			CHECK(element == &elements[number] && element == STAILQ_FIRST(&other));
			TAILQ_REMOVE(&second, element, link);
			STAILQ_REMOVE_HEAD(&other, single);
		}
		CHECK(TAILQ_EMPTY(&first) && TAILQ_FIRST(&second) == &elements[4] && STAILQ_FIRST(&one) == &elements[4]);
		CHECK(STAILQ_EMPTY(&other) && TAILQ_NEXT(&elements[4], link) == NULL);
	}
}

struct bucket {
	uint64_t number; /* which is looked for */
	uint64_t start, end; /* of its bucket */
	uint64_t before; /* end of the bucket before */
	uint64_t total;
};

static void
on_bucket(void *ctx, uint64_t start, uint64_t end, uint64_t count, uint64_t total, uint64_t so_far)
{
	struct bucket *bucket = ctx;

	CHECK(start == bucket->before && (end > start || end == 0) && so_far <= total);
	bucket->before = end;
	bucket->total = total;
	if (count != 0) {
		bucket->start = start;
		bucket->end = end;
	}
}

/* Each number is counted in a bucket that it lies in, which is at most 1/128 of it wide. */
static void
histograms(void)
{
	static const uint64_t some[] = { 0, 1, 127, 128, 129, 255, 256, 257, 1000, 123456789, UINT64_MAX / 2, UINT64_MAX };
	struct spdk_histogram_data *h = spdk_histogram_data_alloc(), *narrow, *other;
	size_t at;

	CHECK(h != NULL && h->granularity == 7 && SPDK_HISTOGRAM_NUM_BUCKETS(h) == 58 * 128);
	for (at = 0; at < SPDK_COUNTOF(some); at++) {
		struct bucket bucket = { .number = some[at] };

		spdk_histogram_data_reset(h);
		spdk_histogram_data_tally(h, some[at]);
		spdk_histogram_data_iterate(h, on_bucket, &bucket);
		CHECK(bucket.total == 1 && bucket.start <= some[at] && some[at] <= bucket.end - 1);
		CHECK(bucket.end - bucket.start <= some[at] / 128 + 1);
	}

	/* Numbers out of its ranges are in the outermost buckets. */
	narrow = spdk_histogram_data_alloc_sized_ext(4, 100, 1000);
	other = spdk_histogram_data_alloc_sized_ext(4, 100, 1000);
	CHECK(narrow != NULL && other != NULL && narrow->min_range == 3 && narrow->max_range == 6);
	spdk_histogram_data_tally(narrow, 1);
	spdk_histogram_data_tally(narrow, UINT64_MAX);
	spdk_histogram_data_tally(other, UINT64_MAX);
	CHECK(__spdk_histogram_get_count(narrow, 3, 0) == 1 && __spdk_histogram_get_count(narrow, 6, 15) == 1);
	CHECK(spdk_histogram_data_merge(narrow, other) == 0 && __spdk_histogram_get_count(narrow, 6, 15) == 2);
	CHECK(spdk_histogram_data_merge(narrow, h) == -EINVAL);
	spdk_histogram_data_free(narrow);
	spdk_histogram_data_free(other);
	spdk_histogram_data_free(h);
	spdk_histogram_data_free(NULL);
	CHECK(spdk_histogram_data_alloc_sized_ext(7, 5, 5) == NULL && spdk_histogram_data_alloc_sized(64) == NULL);
}

int
main(void)
{
	numbers();
	byte_order();
	lists();
	histograms();
	puts("ok");
	return 0;
}

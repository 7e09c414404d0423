/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * Histograms of 64-bit numbers whose buckets grow with the numbers.
 *
 * Range 0 has 2^granularity buckets of one number each, from 0 on. Each further range begins where the one before ends, has
 * as many buckets, and covers the numbers up to twice its beginning: range r begins at 2^(granularity + r - 1), and its
 * buckets are 2^(r - 1) wide. A histogram keeps the ranges from min_range to max_range; numbers outside are counted in
 * its first or last bucket. All is inline, since programs look at the structure.
 */

#ifndef SPDK_HISTOGRAM_DATA_H
#define SPDK_HISTOGRAM_DATA_H

#include "spdk/stdinc.h"

#ifdef __cplusplus
extern "C" {
#endif

#define SPDK_HISTOGRAM_GRANULARITY_DEFAULT 7

#define SPDK_HISTOGRAM_GRANULARITY(h) ((h)->granularity)
#define SPDK_HISTOGRAM_BUCKET_LSB(h) (64 - SPDK_HISTOGRAM_GRANULARITY(h))
#define SPDK_HISTOGRAM_NUM_BUCKETS_PER_RANGE(h) (UINT64_C(1) << SPDK_HISTOGRAM_GRANULARITY(h))
#define SPDK_HISTOGRAM_BUCKET_MASK(h) (SPDK_HISTOGRAM_NUM_BUCKETS_PER_RANGE(h) - 1)
#define SPDK_HISTOGRAM_NUM_BUCKET_RANGES(h) ((h)->max_range - (h)->min_range + 1)
#define SPDK_HISTOGRAM_NUM_BUCKETS(h) \
	(SPDK_HISTOGRAM_NUM_BUCKETS_PER_RANGE(h) * SPDK_HISTOGRAM_NUM_BUCKET_RANGES(h))

struct spdk_histogram_data {
	uint32_t granularity;
	uint32_t min_range;
	uint32_t max_range;
	uint64_t *bucket;
};

/** Called for each bucket: it counts numbers from start to below end; count of them, so_far of total with those before. */
typedef void (*spdk_histogram_data_fn)(void *ctx, uint64_t start, uint64_t end, uint64_t count,
				       uint64_t total, uint64_t so_far);

/** The range that a number belongs to. */
static inline uint32_t
__spdk_histogram_data_get_bucket_range(struct spdk_histogram_data *h, uint64_t datapoint)
{
	uint32_t bits = datapoint != 0 ? 64 - (uint32_t)__builtin_clzll(datapoint) : 0;

	return bits > h->granularity ? bits - h->granularity : 0;
}

/** A number's bucket in its range. */
static inline uint32_t
__spdk_histogram_data_get_bucket_index(struct spdk_histogram_data *h, uint64_t datapoint, uint32_t range)
{
	return (uint32_t)((range > 1 ? datapoint >> (range - 1) : datapoint) & SPDK_HISTOGRAM_BUCKET_MASK(h));
}

static inline uint64_t *
__spdk_histogram_get_bucket(const struct spdk_histogram_data *h, uint32_t range, uint32_t index)
{
	return h->bucket + (((uint64_t)(range - h->min_range)) << h->granularity) + index;
}

static inline uint64_t
__spdk_histogram_get_count(const struct spdk_histogram_data *h, uint32_t range, uint32_t index)
{
	return *__spdk_histogram_get_bucket(h, range, index);
}

static inline void
__spdk_histogram_increment(struct spdk_histogram_data *h, uint32_t range, uint32_t index)
{
	++*__spdk_histogram_get_bucket(h, range, index);
}

/** The first number behind a bucket; 0 where that is 2^64. */
static inline uint64_t
__spdk_histogram_data_get_bucket_start(const struct spdk_histogram_data *h, uint32_t range, uint32_t index)
{
	uint64_t next = (uint64_t)index + 1;

	return range == 0 ? next : (SPDK_HISTOGRAM_NUM_BUCKETS_PER_RANGE(h) + next) << (range - 1);
}

/** Forgets all numbers. */
static inline void
spdk_histogram_data_reset(struct spdk_histogram_data *histogram)
{
	memset(histogram->bucket, 0, SPDK_HISTOGRAM_NUM_BUCKETS(histogram) * sizeof(*histogram->bucket));
}

/** Counts a number. */
static inline void
spdk_histogram_data_tally(struct spdk_histogram_data *histogram, uint64_t datapoint)
{
	uint32_t range = __spdk_histogram_data_get_bucket_range(histogram, datapoint);

	if (range < histogram->min_range) {
		__spdk_histogram_increment(histogram, histogram->min_range, 0);
	} else if (range > histogram->max_range) {
		__spdk_histogram_increment(histogram, histogram->max_range,
					   (uint32_t)SPDK_HISTOGRAM_BUCKET_MASK(histogram));
	} else {
		__spdk_histogram_increment(histogram, range,
					   __spdk_histogram_data_get_bucket_index(histogram, datapoint, range));
	}
}

/** Calls fn for each bucket, those with small numbers first. */
static inline void
spdk_histogram_data_iterate(const struct spdk_histogram_data *histogram, spdk_histogram_data_fn fn, void *ctx)
{
	uint64_t buckets = SPDK_HISTOGRAM_NUM_BUCKETS(histogram), total = 0, so_far = 0, start = 0, end, at;

	for (at = 0; at < buckets; at++) {
		total += histogram->bucket[at];
	}
	for (at = 0; at < buckets; at++) {
		so_far += histogram->bucket[at];
		end = __spdk_histogram_data_get_bucket_start(histogram,
				histogram->min_range + (uint32_t)(at >> histogram->granularity),
				(uint32_t)(at & SPDK_HISTOGRAM_BUCKET_MASK(histogram)));
		fn(ctx, start, end, histogram->bucket[at], total, so_far);
		start = end;
	}
}

/** Adds what src has counted to dst. Returns 0, or -EINVAL if they are not alike. */
static inline int
spdk_histogram_data_merge(const struct spdk_histogram_data *dst, const struct spdk_histogram_data *src)
{
	uint64_t at;

	if (dst->granularity != src->granularity || dst->min_range != src->min_range ||
	    dst->max_range != src->max_range) {
		return -EINVAL;
	}
	for (at = 0; at < SPDK_HISTOGRAM_NUM_BUCKETS(dst); at++) {
		dst->bucket[at] += src->bucket[at];
	}
	return 0;
}

static inline void
spdk_histogram_data_free(struct spdk_histogram_data *h)
{
	if (h != NULL) {
		free(h->bucket);
		free(h);
	}
}

/** A histogram for numbers from min_val to below max_val. NULL: no memory, no such number, or a granularity of 64 or more. */
static inline struct spdk_histogram_data *
spdk_histogram_data_alloc_sized_ext(uint32_t granularity, uint64_t min_val, uint64_t max_val)
{
	struct spdk_histogram_data *h;

	if (min_val >= max_val || granularity >= 64) {
		return NULL;
	}
	h = (struct spdk_histogram_data *)calloc(1, sizeof(*h));
	if (h == NULL) {
		return NULL;
	}
	h->granularity = granularity;
	h->min_range = __spdk_histogram_data_get_bucket_range(h, min_val);
	h->max_range = __spdk_histogram_data_get_bucket_range(h, max_val - 1);
	h->bucket = (uint64_t *)calloc(SPDK_HISTOGRAM_NUM_BUCKETS(h), sizeof(*h->bucket));
	if (h->bucket == NULL) {
		spdk_histogram_data_free(h);
		return NULL;
	}
	return h;
}

static inline struct spdk_histogram_data *
spdk_histogram_data_alloc_sized(uint32_t granularity)
{
	return spdk_histogram_data_alloc_sized_ext(granularity, 0, UINT64_MAX);
}

static inline struct spdk_histogram_data *
spdk_histogram_data_alloc(void)
{
	return spdk_histogram_data_alloc_sized(SPDK_HISTOGRAM_GRANULARITY_DEFAULT);
}

#ifdef __cplusplus
}
#endif

#endif /* SPDK_HISTOGRAM_DATA_H */

/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * Latencies in buckets that grow with their value: 32 for each power of two, so that a percentile is read with an
 * error of at most 3 % from a table of fixed size, and recording one is a few instructions.
 */
#ifndef HISTOGRAM_H
#define HISTOGRAM_H

#include <stdint.h>

#define HISTOGRAM_SHIFT 5
#define HISTOGRAM_STEPS (1u << HISTOGRAM_SHIFT)
#define HISTOGRAM_BUCKETS ((64 - HISTOGRAM_SHIFT + 1) * HISTOGRAM_STEPS)

struct histogram {
	uint64_t count;
	uint64_t sum;
	uint64_t maximum;
	uint64_t buckets[HISTOGRAM_BUCKETS];
};

/* Values below HISTOGRAM_STEPS have a bucket each; above, the bits after the leading one choose the step. */
static inline unsigned histogram_bucket(uint64_t value)
{
	unsigned magnitude;

	if (value < HISTOGRAM_STEPS) {
		return (unsigned)value;
	}
	magnitude = 63u - (unsigned)__builtin_clzll(value) - HISTOGRAM_SHIFT;
	return (magnitude + 1) * HISTOGRAM_STEPS + (unsigned)((value >> magnitude) - HISTOGRAM_STEPS);
}

/* Here, not in the other file: it is called for each request. */
static inline void histogram_record(struct histogram *histogram, uint64_t value)
{
	histogram->count++;
	histogram->sum += value;
	if (value > histogram->maximum) {
		histogram->maximum = value;
	}
	histogram->buckets[histogram_bucket(value)]++;
}

/* Adds what `other` has recorded. */
void histogram_add(struct histogram *histogram, const struct histogram *other);

/* The largest value that falls into a bucket. */
uint64_t histogram_upper_end(unsigned bucket);

/* The value that `percent` of 100 of the recorded ones do not exceed; 0 if nothing was recorded. */
uint64_t histogram_percentile(const struct histogram *histogram, double percent);

/* The mean of the recorded values; 0 if there are none. */
double histogram_mean(const struct histogram *histogram);

#endif

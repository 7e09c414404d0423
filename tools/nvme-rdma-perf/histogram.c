/* SPDX-License-Identifier: BSD-3-Clause */

/* See histogram.h. */

#include "histogram.h"

#include <math.h>

uint64_t histogram_upper_end(unsigned bucket)
{
	unsigned magnitude;
	uint64_t step;

	if (bucket < HISTOGRAM_STEPS) {
		return bucket;
	}
	magnitude = bucket / HISTOGRAM_STEPS - 1;
	step = bucket % HISTOGRAM_STEPS + HISTOGRAM_STEPS;
	return ((step + 1) << magnitude) - 1;
}

void histogram_add(struct histogram *histogram, const struct histogram *other)
{
	unsigned bucket;

	histogram->count += other->count;
	histogram->sum += other->sum;
	if (other->maximum > histogram->maximum) {
		histogram->maximum = other->maximum;
	}
	for (bucket = 0; bucket < HISTOGRAM_BUCKETS; bucket++) {
		histogram->buckets[bucket] += other->buckets[bucket];
	}
}

uint64_t histogram_percentile(const struct histogram *histogram, double percent)
{
	uint64_t wanted = (uint64_t)ceil((double)histogram->count * percent / 100.0 - 1e-9);
	uint64_t seen = 0;
	unsigned bucket;

	for (bucket = 0; bucket < HISTOGRAM_BUCKETS; bucket++) {
		seen += histogram->buckets[bucket];
		if (seen > 0 && seen >= wanted) {
			uint64_t end = histogram_upper_end(bucket);

			return end < histogram->maximum ? end : histogram->maximum;
		}
	}
	return histogram->maximum;
}

double histogram_mean(const struct histogram *histogram)
{
	return histogram->count == 0 ? 0.0 : (double)histogram->sum / (double)histogram->count;
}

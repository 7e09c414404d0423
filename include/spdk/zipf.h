/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * Random numbers of which small ones come more often: k with a probability proportional to 1 / (k + 1)^theta (Zipf's
 * law). A generator is used by one thread at a time.
 */

#ifndef SPDK_ZIPF_H
#define SPDK_ZIPF_H

#include "spdk/stdinc.h"

#ifdef __cplusplus
extern "C" {
#endif

struct spdk_zipf;

/**
 * Makes a generator.
 *
 * \param range its numbers are below this.
 * \param theta 0 (all numbers alike) or more, and finite.
 * \param seed the same seed gives the same numbers.
 * \return the generator; NULL if range is 0 or theta is out of its range.
 */
struct spdk_zipf *spdk_zipf_create(uint64_t range, double theta, uint32_t seed);

/** Frees a generator and sets the pointer to it to NULL. Both may be NULL. */
void spdk_zipf_free(struct spdk_zipf **zipfp);

/** The next number; 0 for NULL. */
uint64_t spdk_zipf_generate(struct spdk_zipf *zipf);

#ifdef __cplusplus
}
#endif

#endif /* SPDK_ZIPF_H */

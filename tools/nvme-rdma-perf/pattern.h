/* SPDX-License-Identifier: BSD-3-Clause */

/* What is written by a verification: eight bytes at a time that are different for each namespace, block and word. */
#ifndef PATTERN_H
#define PATTERN_H

#include <stdint.h>

/* A fast pseudo random sequence; `state` must not be 0. */
static inline uint64_t random_next(uint64_t *state)
{
	uint64_t value = *state;

	value ^= value << 13;
	value ^= value >> 7;
	value ^= value << 17;
	*state = value;
	return value;
}

/* Fills `blocks` blocks that begin at `lba` of a namespace. */
void pattern_fill(uint8_t *buffer, uint32_t nsid, uint64_t lba, uint32_t blocks, uint32_t sector_size);

/* Returns how many words of such a buffer are wrong, and says so of the first if `say`. */
uint64_t pattern_compare(const uint8_t *buffer, uint32_t nsid, uint64_t lba, uint32_t blocks, uint32_t sector_size, int say);

/* Fills a buffer with bytes that cannot be compressed. */
void random_fill(uint8_t *buffer, uint64_t size, uint64_t *state);

#endif

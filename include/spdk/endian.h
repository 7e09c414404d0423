/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * Numbers in memory whose byte order is said, at any alignment.
 */

#ifndef SPDK_ENDIAN_H
#define SPDK_ENDIAN_H

#include "spdk/stdinc.h"

/* Between the machine's order and the one that is said; the same both ways. */
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
#define SPDK_ENDIAN_BE(bits, value) __builtin_bswap##bits(value)
#define SPDK_ENDIAN_LE(bits, value) (value)
#else
#define SPDK_ENDIAN_BE(bits, value) (value)
#define SPDK_ENDIAN_LE(bits, value) __builtin_bswap##bits(value)
#endif

#define SPDK_ENDIAN_PAIR(order, bits, convert) \
	static inline uint##bits##_t \
	from_##order##bits(const void *ptr) \
	{ \
		uint##bits##_t value; \
\
		memcpy(&value, ptr, sizeof(value)); \
		return convert(bits, value); \
	} \
\
	static inline void \
	to_##order##bits(void *out, uint##bits##_t in) \
	{ \
		uint##bits##_t value = convert(bits, in); \
\
		memcpy(out, &value, sizeof(value)); \
	}

SPDK_ENDIAN_PAIR(be, 16, SPDK_ENDIAN_BE)
SPDK_ENDIAN_PAIR(be, 32, SPDK_ENDIAN_BE)
SPDK_ENDIAN_PAIR(be, 64, SPDK_ENDIAN_BE)
SPDK_ENDIAN_PAIR(le, 16, SPDK_ENDIAN_LE)
SPDK_ENDIAN_PAIR(le, 32, SPDK_ENDIAN_LE)
SPDK_ENDIAN_PAIR(le, 64, SPDK_ENDIAN_LE)

#undef SPDK_ENDIAN_PAIR
#undef SPDK_ENDIAN_BE
#undef SPDK_ENDIAN_LE

#endif /* SPDK_ENDIAN_H */

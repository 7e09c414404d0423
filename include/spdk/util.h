/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * Small things: macros about types and numbers, and data in pieces (struct iovec).
 *
 * Functions over pieces take NULL and counts that are not positive as no pieces, and a piece without an address as one
 * without bytes.
 */

#ifndef SPDK_UTIL_H
#define SPDK_UTIL_H

#include "spdk/stdinc.h"

#include "spdk/fd.h"

#ifdef __cplusplus
extern "C" {
#endif

#define SPDK_CACHE_LINE_SIZE 64

#define spdk_min(a, b) ((a) < (b) ? (a) : (b))
#define spdk_max(a, b) ((a) > (b) ? (a) : (b))

/** Number of elements of an array. */
#define SPDK_COUNTOF(arr) (sizeof(arr) / sizeof(*(arr)))
#define SPDK_COUNTOF_MEMBER(type, member) SPDK_COUNTOF(((type *)0)->member)

/** The structure of which ptr is that member. */
#define SPDK_CONTAINEROF(ptr, type, member) ((type *)((uintptr_t)(ptr) - offsetof(type, member)))

/** Bytes of what ptr points to, up to and with member. */
#define SPDK_SIZEOF(ptr, member) (offsetof(__typeof__(*(ptr)), member) + sizeof((ptr)->member))
#define SPDK_SIZEOF_MEMBER(type, member) (sizeof(((type *)0)->member))

#define SPDK_SEC_TO_MSEC 1000ULL
#define SPDK_SEC_TO_USEC 1000000ULL
#define SPDK_SEC_TO_NSEC 1000000000ULL
#define SPDK_MSEC_TO_USEC 1000ULL

/** A quotient of unsigned numbers, rounded up. */
#define SPDK_CEIL_DIV(x, y) (((x) + (y) - 1) / (y))

/** The multiple of a power of two that is nearest to val from below, and from above. */
#define SPDK_ALIGN_FLOOR(val, align) ((__typeof__(val))((val) & ~((__typeof__(val))(align) - 1)))
#define SPDK_ALIGN_CEIL(val, align) SPDK_ALIGN_FLOOR((val) + ((__typeof__(val))(align) - 1), align)

/** The number in which bit n alone is set. */
#define SPDK_BIT(n) (UINT64_C(1) << (n))

/**
 * Whether a structure that carries its size is long enough to have the field; the size may be named as a third argument
 * and is (obj)->size otherwise.
 */
#define SPDK_FIELD_VALID(obj, field, ...) _SPDK_FIELD_VALID(obj, field, ##__VA_ARGS__, (obj)->size)
#define _SPDK_FIELD_VALID(obj, field, bytes, ...) ((bytes) >= SPDK_SIZEOF(obj, field))

/** The field if the structure has it, else defval; the size may be named as a fourth argument. */
#define SPDK_GET_FIELD(obj, field, defval, ...) \
	_SPDK_GET_FIELD(obj, field, defval, ##__VA_ARGS__, (obj)->size)
#define _SPDK_GET_FIELD(obj, field, defval, bytes, ...) \
	(SPDK_FIELD_VALID(obj, field, bytes) ? (obj)->field : (defval))

/*
 * Numbers
 */

/** The number of the highest bit that is set; 0 if none is. */
uint32_t spdk_u32log2(uint32_t x);
uint64_t spdk_u64log2(uint64_t x);

/** The smallest power of two that is not below x, for x of 2 or more that have one. */
static inline uint32_t
spdk_align32pow2(uint32_t x)
{
	return UINT32_C(2) << spdk_u32log2(x - 1);
}

static inline uint64_t
spdk_align64pow2(uint64_t x)
{
	return UINT64_C(2) << spdk_u64log2(x - 1);
}

static inline bool
spdk_u32_is_pow2(uint32_t x)
{
	return __builtin_popcount(x) == 1;
}

static inline bool
spdk_u64_is_pow2(uint64_t x)
{
	return __builtin_popcountll(x) == 1;
}

static inline uint64_t
spdk_divide_round_up(uint64_t num, uint64_t divisor)
{
	return SPDK_CEIL_DIV(num, divisor);
}

/** The multiple of divisor that is nearest to num from above. */
static inline uint64_t
spdk_round_up(uint64_t num, uint64_t divisor)
{
	return spdk_divide_round_up(num, divisor) * divisor;
}

/** The next random number of Marsaglia's xorshift with 13, 7 and 17. The state is never 0. */
static inline uint64_t
spdk_rand_xorshift64(uint64_t *state)
{
	*state ^= *state << 13;
	*state ^= *state >> 7;
	return *state ^= *state << 17;
}

/** A state to begin with, out of rand(). */
static inline uint64_t
spdk_rand_xorshift64_seed(void)
{
	uint64_t high = (uint64_t)rand();
	uint64_t seed = high << 32 | (uint64_t)rand();

	return seed != 0 ? seed : 1;
}

/*
 * Serial numbers (RFC 1982): of two, the one that is less than half of the circle ahead is the greater. Two that are
 * half of it apart are neither greater nor less.
 */

#define SPDK_SN32_CMPMAX (UINT32_C(1) << 31)

static inline uint32_t
spdk_sn32_add(uint32_t s1, uint32_t s2)
{
	return s1 + s2;
}

static inline bool
spdk_sn32_lt(uint32_t s1, uint32_t s2)
{
	return s1 != s2 && s2 - s1 < SPDK_SN32_CMPMAX;
}

static inline bool
spdk_sn32_gt(uint32_t s1, uint32_t s2)
{
	return spdk_sn32_lt(s2, s1);
}

/*
 * Data in pieces
 */

/** Fills three variables with the one piece that buf is. */
#define SPDK_IOV_ONE(piov, piovcnt, buf, buflen) \
	do { \
		*(piov) = (struct iovec) { .iov_base = (buf), .iov_len = (buflen) }; \
		*(piovcnt) = 1; \
	} while (0)

/** Fills all pieces with the byte c. */
void spdk_iov_memset(struct iovec *iovs, int iovcnt, int c);

/** Copies until either side is at its end; the memory does not overlap. Returns the number of bytes. */
size_t spdk_iovcpy(struct iovec *siov, size_t siovcnt, struct iovec *diov, size_t diovcnt);

/** The same, piece by piece, where source and destination of a piece may overlap. */
size_t spdk_iovmove(struct iovec *siov, size_t siovcnt, struct iovec *diov, size_t diovcnt);

/** Copies to a buffer, at most its length. */
void spdk_copy_iovs_to_buf(void *buf, size_t buf_len, struct iovec *iovs, int iovcnt);

/** Copies from a buffer, at most what the pieces take. */
void spdk_copy_buf_to_iovs(struct iovec *iovs, int iovcnt, void *buf, size_t buf_len);

/** A place in pieces, which copies go on from. */
struct spdk_iov_xfer {
	struct iovec *iovs;
	int iovcnt;
	int cur_iov_idx;
	size_t cur_iov_offset;
};

/** Begins at the first byte. */
void spdk_iov_xfer_init(struct spdk_iov_xfer *ix, struct iovec *iovs, int iovcnt);

/** Copies the next bytes from a buffer, or to it. Returns their number: less than buf_len at the end. */
size_t spdk_iov_xfer_from_buf(struct spdk_iov_xfer *ix, const void *buf, size_t buf_len);
size_t spdk_iov_xfer_to_buf(struct spdk_iov_xfer *ix, const void *buf, size_t buf_len);

/** Place in one list of pieces; see spdk_ioviter. */
struct spdk_single_ioviter {
	struct iovec *iov;
	size_t iovcnt;
	size_t idx;
	size_t iov_len;
	uint8_t *iov_base;
};

/** A walk through several lists of pieces at once. It has room for two lists; SPDK_IOVITER_SIZE() is that for more. */
struct spdk_ioviter {
	uint32_t count;
	struct spdk_single_ioviter iters_compat[2];
};

/** Bytes of a walk through count lists, 2 or more. */
#define SPDK_IOVITER_SIZE(count) \
	(sizeof(struct spdk_ioviter) + sizeof(struct spdk_single_ioviter) * ((count) - 2))

/**
 * Begins a walk. Each step is as long as is contiguous in all lists.
 *
 * \param src, dst receive where the step's bytes are.
 * \return the length of the first step; 0 if there is none.
 */
size_t spdk_ioviter_first(struct spdk_ioviter *iter, struct iovec *siov, size_t siovcnt,
			  struct iovec *diov, size_t diovcnt, void **src, void **dst);

/** As spdk_ioviter_first(), for count lists. */
size_t spdk_ioviter_firstv(struct spdk_ioviter *iter, uint32_t count, struct iovec **iov,
			   size_t *iovcnt, void **out);

/** The next step's length; 0 at the end of either list. */
size_t spdk_ioviter_next(struct spdk_ioviter *iter, void **src, void **dst);

/** As spdk_ioviter_next(), after spdk_ioviter_firstv(). */
size_t spdk_ioviter_nextv(struct spdk_ioviter *iter, void **out);

/** As memset(), but never left out by a compiler, and within data_size. */
static inline void
spdk_memset_s(void *data, size_t data_size, int ch, size_t count)
{
	if (data != NULL) {
		memset(data, ch, spdk_min(count, data_size));
		__asm__ volatile("" : : "r"(data) : "memory");
	}
}

#ifdef __cplusplus
}
#endif

#endif /* SPDK_UTIL_H */

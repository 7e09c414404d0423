/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * Checks at compile time.
 */

#ifndef SPDK_ASSERT_H
#define SPDK_ASSERT_H

#include "spdk/stdinc.h"

/** Stops the compiler with msg (a string literal) unless cond, a constant expression, holds. */
#ifdef __cplusplus
#define SPDK_STATIC_ASSERT(cond, msg) static_assert(cond, msg)
#else
#define SPDK_STATIC_ASSERT(cond, msg) _Static_assert(cond, msg)
#endif

#endif /* SPDK_ASSERT_H */

/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * Page sizes, and where an address lies in its page.
 */

#ifndef SPDK_MEMORY_H
#define SPDK_MEMORY_H

#include "spdk/stdinc.h"

#define SHIFT_4KB 12
#define VALUE_4KB (UINT64_C(1) << SHIFT_4KB)
#define MASK_4KB (VALUE_4KB - 1)
#define _4KB_OFFSET(ptr) ((uintptr_t)(ptr) & MASK_4KB)

#define SHIFT_2MB 21
#define VALUE_2MB (UINT64_C(1) << SHIFT_2MB)
#define MASK_2MB (VALUE_2MB - 1)
#define _2MB_OFFSET(ptr) ((uintptr_t)(ptr) & MASK_2MB)

/** The address of the 2 MiB page that x is in, and that of the first one which begins at x or after it. */
#define FLOOR_2MB(x) ((uintptr_t)(x) & ~MASK_2MB)
#define CEIL_2MB(x) FLOOR_2MB((uintptr_t)(x) + MASK_2MB)
#define _2MB_PAGE(ptr) FLOOR_2MB(ptr)

#endif /* SPDK_MEMORY_H */

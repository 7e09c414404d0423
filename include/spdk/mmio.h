/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * Accesses to a device's registers, each exactly as wide as it says. An access stays where it is in the program's
 * order; what must be ordered before it in memory needs a barrier (spdk/barrier.h).
 */

#ifndef SPDK_MMIO_H
#define SPDK_MMIO_H

#include "spdk/stdinc.h"

#include "spdk/barrier.h"

/** Whether 64 bits are one access; otherwise they are two, the lower half first. */
#ifdef __LP64__
#define SPDK_MMIO_64BIT 1
#else
#define SPDK_MMIO_64BIT 0
#endif

static inline uint8_t
spdk_mmio_read_1(const volatile uint8_t *addr)
{
	spdk_compiler_barrier();
	return *addr;
}

static inline uint16_t
spdk_mmio_read_2(const volatile uint16_t *addr)
{
	spdk_compiler_barrier();
	return *addr;
}

static inline uint32_t
spdk_mmio_read_4(const volatile uint32_t *addr)
{
	spdk_compiler_barrier();
	return *addr;
}

static inline uint64_t
spdk_mmio_read_8(volatile uint64_t *addr)
{
	spdk_compiler_barrier();
#if SPDK_MMIO_64BIT
	return *addr;
#else
	{
		const volatile uint32_t *half = (const volatile uint32_t *)addr;
		uint64_t low = half[0];

		return low | (uint64_t)half[1] << 32;
	}
#endif
}

static inline void
spdk_mmio_write_1(volatile uint8_t *addr, uint8_t val)
{
	spdk_compiler_barrier();
	*addr = val;
}

static inline void
spdk_mmio_write_2(volatile uint16_t *addr, uint16_t val)
{
	spdk_compiler_barrier();
	*addr = val;
}

static inline void
spdk_mmio_write_4(volatile uint32_t *addr, uint32_t val)
{
	spdk_compiler_barrier();
	*addr = val;
}

static inline void
spdk_mmio_write_8(volatile uint64_t *addr, uint64_t val)
{
	spdk_compiler_barrier();
#if SPDK_MMIO_64BIT
	*addr = val;
#else
	{
		volatile uint32_t *half = (volatile uint32_t *)addr;

		half[0] = (uint32_t)val;
		half[1] = (uint32_t)(val >> 32);
	}
#endif
}

#endif /* SPDK_MMIO_H */

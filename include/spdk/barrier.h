/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * Memory barriers, as the C11 fences of the compiler. The plain ones also order what a device sees and are full
 * fences; the _smp_ ones order what other threads see.
 */

#ifndef SPDK_BARRIER_H
#define SPDK_BARRIER_H

#include "spdk/stdinc.h"

/** Orders nothing but the compiler. */
#define spdk_compiler_barrier() __atomic_signal_fence(__ATOMIC_SEQ_CST)

#define spdk_rmb() __sync_synchronize()
#define spdk_wmb() __sync_synchronize()
#define spdk_mb() __sync_synchronize()

#define spdk_smp_rmb() __atomic_thread_fence(__ATOMIC_ACQUIRE)
#define spdk_smp_wmb() __atomic_thread_fence(__ATOMIC_RELEASE)
#define spdk_smp_mb() __atomic_thread_fence(__ATOMIC_SEQ_CST)

#endif /* SPDK_BARRIER_H */

/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * SPDK's trace points. The standalone library has none; programs that ask for them are told so, and run without.
 */

#ifndef SPDK_TRACE_H
#define SPDK_TRACE_H

#include "spdk/stdinc.h"

#ifdef __cplusplus
extern "C" {
#endif

#define SPDK_DEFAULT_NUM_TRACE_ENTRIES (32 * 1024)

/** Returns -ENOTSUP, with a log line. */
int spdk_trace_init(const char *shm_name, uint64_t num_entries, uint32_t num_threads);

/** There is nothing to undo. */
void spdk_trace_cleanup(void);

/** Returns 0: without trace points there is nothing to do for a thread. */
int spdk_trace_register_user_thread(void);

/** Returns 0. */
int spdk_trace_unregister_user_thread(void);

/** Returns -ENOTSUP, with a log line: there is no group. */
int spdk_trace_enable_tpoint_group(const char *group_name);

/** Returns -ENOTSUP, with a log line: there is no group. */
int spdk_trace_disable_tpoint_group(const char *group_name);

/** Returns 0: there is no group. */
uint64_t spdk_trace_create_tpoint_group_mask(const char *group_name);

/** Writes for a program's help text that the option tmask_arg does nothing. */
void spdk_trace_mask_usage(FILE *f, const char *tmask_arg);

#ifdef __cplusplus
}
#endif

#endif /* SPDK_TRACE_H */

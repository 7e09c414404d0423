/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * SPDK's application framework, as far as programs of the NVMe host use it without starting it: they fill in its options
 * for the trace points. Neither framework nor trace points are here.
 */

#ifndef SPDK_EVENT_H
#define SPDK_EVENT_H

#include "spdk/stdinc.h"

#include "spdk/assert.h"
#include "spdk/env.h"
#include "spdk/log.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef void (*spdk_app_shutdown_cb)(void);

/** Options of the framework, in the layout that programs are compiled with; see spdk_app_opts_init(). */
struct spdk_app_opts {
	const char *name;
	const char *json_config_file;
	bool json_config_ignore_errors;
	uint8_t reserved17[7];
	const char *rpc_addr;
	const char *reactor_mask;
	const char *tpoint_group_mask;
	int shm_id;
	uint8_t reserved52[4];
	spdk_app_shutdown_cb shutdown_cb;
	bool enable_coredump;
	uint8_t reserved65[3];
	int mem_channel;
	int main_core;
	int mem_size;
	bool no_pci;
	bool hugepage_single_segments;
	bool unlink_hugepage;
	bool no_huge;
	uint8_t reserved84[4];
	const char *hugedir;
	enum spdk_log_level print_level;
	uint8_t reserved100[4];
	size_t num_pci_addr;
	struct spdk_pci_addr *pci_blocked;
	struct spdk_pci_addr *pci_allowed;
	const char *iova_mode;
	bool delay_subsystem_init;
	uint8_t reserved137[7];
	uint64_t num_entries;
	void *env_context;
	spdk_log_cb *log;
	uint64_t base_virtaddr;
	size_t opts_size;
	bool disable_signal_handlers;
	bool interrupt_mode;
	bool enforce_numa;
	uint8_t reserved187[1];
	uint32_t num_trace_threads;
	size_t msg_mempool_size;
	const char **rpc_allowlist;
	const char *vf_token;
	const char *lcore_map;
	enum spdk_log_level rpc_log_level;
	FILE *rpc_log_file;
	void *json_data;
	size_t json_data_size;
	bool disable_cpumask_locks;
} __attribute__((packed));
SPDK_STATIC_ASSERT(sizeof(struct spdk_app_opts) == 253, "size of spdk_app_opts");

/**
 * Makes opts_size bytes of the options 0, but for these: shm_id, mem_channel, main_core and mem_size are -1, print_level is
 * SPDK_LOG_INFO and rpc_log_level SPDK_LOG_DISABLED, enable_coredump is set, num_entries is SPDK's number of trace entries.
 */
void spdk_app_opts_init(struct spdk_app_opts *opts, size_t opts_size);

/** Returns 0 if no trace points are asked for (tpoint_group_mask is NULL or empty), else -1, with a log line. */
int spdk_app_setup_trace(struct spdk_app_opts *opts);

#ifdef __cplusplus
}
#endif

#endif /* SPDK_EVENT_H */

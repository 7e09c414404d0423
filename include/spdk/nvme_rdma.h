/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * What this library has beyond SPDK's API.
 */

#ifndef SPDK_NVME_RDMA_H
#define SPDK_NVME_RDMA_H

/* Generated from src/abi by cbindgen; NVME_RDMA_UPDATE_HEADERS=1 cargo build writes it anew. */

#include "spdk/stdinc.h"

#ifdef __cplusplus
extern "C" {
#endif // __cplusplus

/**
 * Sets what is called once in each turn of the library's own waits: connecting, freeing a queue pair, detaching.
 *
 * A program that holds a target beside the host on one thread polls the target there. hook may be NULL, for none; it
 * is called on the thread that waits, with arg, and must not call into the host.
 *
 * What must hold:
 * hook can be called with arg until another hook is set.
 */
void spdk_nvme_rdma_set_wait_hook(void (*hook)(void *arg),
                                  void *arg);

#ifdef __cplusplus
}  // extern "C"
#endif  // __cplusplus

#endif  /* SPDK_NVME_RDMA_H */

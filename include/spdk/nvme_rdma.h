/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * What this library has beyond SPDK's API.
 */

#ifndef SPDK_NVME_RDMA_H
#define SPDK_NVME_RDMA_H

/* Generated from src/abi by cbindgen; NVME_RDMA_UPDATE_HEADERS=1 cargo build writes it anew. */

#include "spdk/nvme.h"

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

/**
 * Counts the commands of an I/O queue pair by the way in which their data were reached.
 *
 * counts gets as many of these as it has room for, in this order; further ones may follow in other versions:
 *
 * 0. used in place, each piece in memory that was registered in one call;
 * 1. used in place, across several registrations;
 * 2. not registered by the program, so registered for the length of the command;
 * 3. not registered, so copied through memory of this library's;
 * 4. refused: memory that is not there, or not writable for data that are read.
 *
 * A command whose data went several ways counts for the last of them. What went the shortest way, as a read or write of memory that is
 * registered mostly does, is not counted. Returns how many counts there are; 0 for a handle that is no I/O queue pair of RDMA.
 *
 * What must hold:
 * qpair is a handle that no other thread uses. counts has room for that many, or is NULL.
 */
size_t spdk_nvme_rdma_qpair_get_memory_counts(struct spdk_nvme_qpair *qpair,
                                              uint64_t *counts,
                                              size_t room);

#ifdef __cplusplus
}  // extern "C"
#endif  // __cplusplus

#endif  /* SPDK_NVME_RDMA_H */

/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * NVMe host: zoned namespaces.
 */

#ifndef SPDK_NVME_ZNS_H
#define SPDK_NVME_ZNS_H

/* Generated from src/abi by cbindgen; NVME_RDMA_UPDATE_HEADERS=1 cargo build writes it anew. */

#include "spdk/nvme.h"

#ifdef __cplusplus
extern "C" {
#endif // __cplusplus

/**
 * The Identify data that the Zoned Namespace Command Set has of the controller. They stay where they are as long as the controller is
 * attached. NULL for a handle that is no controller, and if the controller has no such data.
 *
 * What must hold:
 * ctrlr is a handle that nobody else is detaching.
 */
const struct spdk_nvme_zns_ctrlr_data *spdk_nvme_zns_ctrlr_get_data(struct spdk_nvme_ctrlr *ctrlr);

/**
 * The Identify data that the Zoned Namespace Command Set has of the namespace. They stay where they are as long as its controller is
 * attached. NULL if it is of another command set, or if the controller has no such data.
 *
 * What must hold:
 * ns is a handle whose controller nobody else is detaching.
 */
const struct spdk_nvme_zns_ns_data *spdk_nvme_zns_ns_get_data(struct spdk_nvme_ns *ns);

/**
 * Resets the zone that begins at slba, or all zones; calls cb_fn from a poll of the queue pair when done.
 *
 * Whether the namespace is zoned is for the controller to say. Returns 0, -ENOMEM if no request is free, -ENXIO if
 * the queue pair is not connected.
 *
 * What must hold:
 * Both are handles that nobody else is freeing, and no other thread uses qpair.
 */
int spdk_nvme_zns_reset_zone(struct spdk_nvme_ns *ns,
                             struct spdk_nvme_qpair *qpair,
                             uint64_t slba,
                             bool select_all,
                             spdk_nvme_cmd_cb cb_fn,
                             void *cb_arg);

#ifdef __cplusplus
}  // extern "C"
#endif  // __cplusplus

#endif  /* SPDK_NVME_ZNS_H */

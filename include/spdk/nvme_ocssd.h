/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * NVMe host: Open-Channel SSDs, which are not reached over fabrics.
 */

#ifndef SPDK_NVME_OCSSD_H
#define SPDK_NVME_OCSSD_H

/* Generated from src/abi by cbindgen; NVME_RDMA_UPDATE_HEADERS=1 cargo build writes it anew. */

#include "spdk/nvme.h"
#include "spdk/nvme_ocssd_spec.h"

#ifdef __cplusplus
extern "C" {
#endif // __cplusplus

/**
 * Whether the controller is an Open-Channel SSD: there are none over fabrics.
 *
 * What must hold:
 * ctrlr is a handle that nobody else is detaching.
 */
bool spdk_nvme_ctrlr_is_ocssd_supported(struct spdk_nvme_ctrlr *ctrlr);

#ifdef __cplusplus
}  // extern "C"
#endif  // __cplusplus

#endif  /* SPDK_NVME_OCSSD_H */

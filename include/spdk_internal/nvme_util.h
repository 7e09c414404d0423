/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * NVMe host: what example programs and tools share.
 */

#ifndef SPDK_INTERNAL_NVME_UTIL_H
#define SPDK_INTERNAL_NVME_UTIL_H

/* Generated from src/abi by cbindgen; NVME_RDMA_UPDATE_HEADERS=1 cargo build writes it anew. */

#include "spdk/nvme.h"

#ifdef __cplusplus
extern "C" {
#endif // __cplusplus

/**
 * Prints how a transport id is given on the command line.
 *
 * What must hold:
 * f is an open stream. opts is a mask of enum spdk_nvme_trid_usage_opt.
 */
void spdk_nvme_transport_id_usage(FILE *f, uint32_t opts);

#ifdef __cplusplus
}  // extern "C"
#endif  // __cplusplus

#endif  /* SPDK_INTERNAL_NVME_UTIL_H */

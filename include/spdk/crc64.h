/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * CRC-64/NVME, the guard of 64-bit protection information.
 */

#ifndef SPDK_CRC64_H
#define SPDK_CRC64_H

#include "spdk/stdinc.h"

#include "spdk/config.h"

#ifdef __cplusplus
extern "C" {
#endif

/** Goes on with len bytes at buf; 0 begins. Without bytes (NULL, or no length) crc stays as it was. */
uint64_t spdk_crc64_nvme(const void *buf, size_t len, uint64_t crc);

#ifdef __cplusplus
}
#endif

#endif /* SPDK_CRC64_H */

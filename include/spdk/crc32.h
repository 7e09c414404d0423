/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * 32-bit CRCs. What has been computed goes on with the next bytes: a function's answer is its argument for them.
 * Without bytes (NULL, or no length) it stays as it was.
 *
 * The _update functions neither begin nor end by inverting: for the well-known checksums begin with ~0 and invert the
 * last answer.
 */

#ifndef SPDK_CRC32_H
#define SPDK_CRC32_H

#include "spdk/stdinc.h"

#include "spdk/config.h"

#ifdef __cplusplus
extern "C" {
#endif

#define SPDK_CRC32_SIZE_BYTES 4

/** CRC-32 of IEEE 802.3. */
uint32_t spdk_crc32_ieee_update(const void *buf, size_t len, uint32_t crc);

/** CRC-32C (Castagnoli). */
uint32_t spdk_crc32c_update(const void *buf, size_t len, uint32_t crc);

/** CRC-32C of iovcnt pieces, one after the other. */
uint32_t spdk_crc32c_iov_update(struct iovec *iov, int iovcnt, uint32_t crc32c);

/** CRC-32C with both inversions, as 32-bit protection information has it; 0 begins. */
uint32_t spdk_crc32c_nvme(const void *buf, size_t len, uint32_t crc);

#ifdef __cplusplus
}
#endif

#endif /* SPDK_CRC32_H */

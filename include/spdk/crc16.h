/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * CRC-16/T10-DIF, the guard of 16-bit protection information. What has been computed goes on with the next bytes: a
 * function's answer is its argument for them; 0 begins. Without bytes (NULL, or no length) it stays as it was.
 */

#ifndef SPDK_CRC16_H
#define SPDK_CRC16_H

#include "spdk/stdinc.h"

#ifdef __cplusplus
extern "C" {
#endif

/** The polynomial without its highest term. */
#define SPDK_T10DIF_CRC16_POLYNOMIAL 0x8bb7u

/** Goes on with len bytes at buf. */
uint16_t spdk_crc16_t10dif(uint16_t init_crc, const void *buf, size_t len);

/** The same, of the len bytes at src, which are copied to dst. Nothing is copied if either is NULL. */
uint16_t spdk_crc16_t10dif_copy(uint16_t init_crc, uint8_t *dst, uint8_t *src, size_t len);

#ifdef __cplusplus
}
#endif

#endif /* SPDK_CRC16_H */

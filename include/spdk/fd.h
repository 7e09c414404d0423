/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * Files and block devices by their descriptors.
 */

#ifndef SPDK_FD_H
#define SPDK_FD_H

#include "spdk/stdinc.h"

#ifdef __cplusplus
extern "C" {
#endif

/** Bytes in a file or on a block device. 0: it is neither, or the descriptor is not open. */
uint64_t spdk_fd_get_size(int fd);

/** Bytes of a block device's logical block. 0: it is none. */
uint32_t spdk_fd_get_blocklen(int fd);

/** Reading and writing no longer wait. Returns 0 or the negative errno of fcntl(). */
int spdk_fd_set_nonblock(int fd);

/** Reading and writing wait again. Returns 0 or the negative errno of fcntl(). */
int spdk_fd_clear_nonblock(int fd);

#ifdef __cplusplus
}
#endif

#endif /* SPDK_FD_H */

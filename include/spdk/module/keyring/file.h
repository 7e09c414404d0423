/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * Keys that lie in files. There is no keyring (spdk/keyring.h), so no key can be added.
 */

#ifndef SPDK_KEYRING_FILE_H
#define SPDK_KEYRING_FILE_H

#ifdef __cplusplus
extern "C" {
#endif

/** Returns -ENOTSUP, with a log line. */
int spdk_keyring_file_add_key(const char *name, const char *path);

/** Returns -ENOKEY: no key has that name. */
int spdk_keyring_file_remove_key(const char *name);

#ifdef __cplusplus
}
#endif

#endif /* SPDK_KEYRING_FILE_H */

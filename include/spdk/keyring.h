/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * Keys for TLS and for authentication. The standalone library has no keyring: it is always empty, and nothing can be
 * added to it. Programs that need no key work; one that asks for a key is told that it is not there.
 */

#ifndef SPDK_KEYRING_H
#define SPDK_KEYRING_H

#include "spdk/stdinc.h"

#ifdef __cplusplus
extern "C" {
#endif

struct spdk_key;
struct spdk_keyring;

/** Removed keys, too, which somebody still holds. */
#define SPDK_KEYRING_FOR_EACH_ALL 0x1

/** Returns 0: there is nothing to prepare. */
int spdk_keyring_init(void);

/** There is nothing to undo. */
void spdk_keyring_cleanup(void);

/** Returns NULL, with a log line: no key has that name. */
struct spdk_key *spdk_keyring_get_key(const char *name);

/** Gives a key back. NULL is none. */
void spdk_keyring_put_key(struct spdk_key *key);

/** Returns NULL: there is no key. */
const char *spdk_key_get_name(struct spdk_key *key);

/** Returns -ENOKEY: there is no key. */
int spdk_key_get_key(struct spdk_key *key, void *buf, int len);

/** Returns NULL: there is no key. */
struct spdk_key *spdk_key_dup(struct spdk_key *key);

/** Calls fn for no key. */
void spdk_keyring_for_each_key(struct spdk_keyring *keyring, void *ctx,
			       void (*fn)(void *ctx, struct spdk_key *key), uint32_t flags);

#ifdef __cplusplus
}
#endif

#endif /* SPDK_KEYRING_H */

/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * UUIDs (RFC 9562). Where a pointer is NULL nothing happens: -EINVAL, or for a comparison as if it were the nil UUID.
 */

#ifndef SPDK_UUID_H
#define SPDK_UUID_H

#include "spdk/stdinc.h"

#include "spdk/assert.h"

#ifdef __cplusplus
extern "C" {
#endif

/** 16 bytes, in the order of the text. */
struct spdk_uuid {
	union {
		uint8_t raw[16];
	} u;
};
SPDK_STATIC_ASSERT(sizeof(struct spdk_uuid) == 16, "size of spdk_uuid");

/** Bytes of the text form with its NUL. */
#define SPDK_UUID_STRING_LEN 37

/** Reads the form with hyphens, in either case. Returns 0 or -EINVAL. */
int spdk_uuid_parse(struct spdk_uuid *uuid, const char *uuid_str);

/** Writes the form with hyphens and small letters. Returns 0, or -EINVAL for less room than SPDK_UUID_STRING_LEN. */
int spdk_uuid_fmt_lower(char *uuid_str, size_t uuid_str_size, const struct spdk_uuid *uuid);

/** Less than, equal to or greater than 0, by the order of the bytes. */
int spdk_uuid_compare(const struct spdk_uuid *u1, const struct spdk_uuid *u2);

/** A new random one (version 4). */
void spdk_uuid_generate(struct spdk_uuid *uuid);

/** The one that a name has in a namespace, by SHA-1 (version 5). Returns 0 or -EINVAL. */
int spdk_uuid_generate_sha1(struct spdk_uuid *uuid, struct spdk_uuid *ns_uuid, const char *name,
			    size_t len);

/** Copies src to dst. */
void spdk_uuid_copy(struct spdk_uuid *dst, const struct spdk_uuid *src);

/** Whether all bytes are 0. */
bool spdk_uuid_is_null(const struct spdk_uuid *uuid);

/** Makes all bytes 0. */
void spdk_uuid_set_null(struct spdk_uuid *uuid);

#ifdef __cplusplus
}
#endif

#endif /* SPDK_UUID_H */

/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * Sockets, of which SPDK's TCP transport is made. RDMA has none, and neither has the standalone library: programs can name
 * an implementation and read and write its options, and are told that it is not there.
 */

#ifndef SPDK_SOCK_H
#define SPDK_SOCK_H

#include "spdk/stdinc.h"

#ifdef __cplusplus
extern "C" {
#endif

#define SPDK_TLS_VERSION_1_1 11
#define SPDK_TLS_VERSION_1_2 12
#define SPDK_TLS_VERSION_1_3 13

enum spdk_placement_mode {
	PLACEMENT_NONE,
	PLACEMENT_NAPI,
	PLACEMENT_CPU,
	PLACEMENT_MARK,
};

/** Options of an implementation, in the layout that programs are compiled with; nothing reads them. */
struct spdk_sock_impl_opts {
	uint32_t recv_buf_size;
	uint32_t send_buf_size;
	bool enable_recv_pipe;
	bool enable_zerocopy_send;
	bool enable_quickack;
	uint32_t enable_placement_id;
	bool enable_zerocopy_send_server;
	bool enable_zerocopy_send_client;
	uint32_t zerocopy_threshold;
	uint32_t tls_version;
	bool enable_ktls;
	uint8_t *psk_key;
	uint32_t psk_key_size;
	char *psk_identity;
	int (*get_key)(uint8_t *out, int out_len, const char **cipher, const char *psk_identity,
		       void *get_key_ctx);
	void *get_key_ctx;
	const char *tls_cipher_suites;
};

/*
 * There is no implementation of any name: -EINVAL, with a log line. errno is set as well, which programs of older releases
 * look at.
 */

/** Returns -EINVAL. */
int spdk_sock_set_default_impl(const char *impl_name);

/** Returns NULL: there is no implementation. */
const char *spdk_sock_get_default_impl(void);

/** Returns -EINVAL. opts and len stay as they were. */
int spdk_sock_impl_get_opts(const char *impl_name, struct spdk_sock_impl_opts *opts, size_t *len);

/** Returns -EINVAL. */
int spdk_sock_impl_set_opts(const char *impl_name, const struct spdk_sock_impl_opts *opts, size_t len);

#ifdef __cplusplus
}
#endif

#endif /* SPDK_SOCK_H */

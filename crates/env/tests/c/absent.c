/* SPDX-License-Identifier: BSD-3-Clause */

/* What is only linked: each function does what is true without the thing, and says so where that is an error. */

#include "spdk/event.h"
#include "spdk/keyring.h"
#include "spdk/log.h"
#include "spdk/module/keyring/file.h"
#include "spdk/sock.h"
#include "spdk/trace.h"

#include "check.h"

static void
on_key(void *ctx, struct spdk_key *key)
{
	(void)key;
	*(bool *)ctx = true;
}

static void
no_keys(void)
{
	bool called = false;

	CHECK(spdk_keyring_init() == 0);
	fprintf(stderr, "expect 4 errors\n");
	CHECK(spdk_keyring_get_key("key0") == NULL && spdk_keyring_get_key(NULL) == NULL);
	CHECK(spdk_keyring_file_add_key("key0", "/key") == -ENOTSUP && spdk_keyring_file_add_key(NULL, NULL) == -ENOTSUP);
	fprintf(stderr, "end of errors\n");
	CHECK(spdk_keyring_file_remove_key("key0") == -ENOKEY && spdk_keyring_file_remove_key(NULL) == -ENOKEY);
	CHECK(spdk_key_get_name(NULL) == NULL && spdk_key_dup(NULL) == NULL);
	CHECK(spdk_key_get_key(NULL, NULL, INT_MAX) == -ENOKEY);
	spdk_keyring_put_key(NULL);
	spdk_keyring_for_each_key(NULL, &called, on_key, SPDK_KEYRING_FOR_EACH_ALL);
	spdk_keyring_for_each_key(NULL, NULL, NULL, 0);
	CHECK(!called);
	spdk_keyring_cleanup();
}

static void
no_sockets(void)
{
	struct spdk_sock_impl_opts opts = { .recv_buf_size = 7 };
	size_t len = sizeof(opts);

	fprintf(stderr, "expect 6 errors\n");
	errno = 0;
	CHECK(spdk_sock_set_default_impl("posix") == -EINVAL && spdk_sock_set_default_impl(NULL) == -EINVAL && errno == EINVAL);
	CHECK(spdk_sock_impl_get_opts("posix", &opts, &len) == -EINVAL);
	CHECK(spdk_sock_impl_get_opts(NULL, NULL, NULL) == -EINVAL);
	CHECK(spdk_sock_impl_set_opts("posix", &opts, len) == -EINVAL);
	CHECK(spdk_sock_impl_set_opts(NULL, NULL, SIZE_MAX) == -EINVAL);
	fprintf(stderr, "end of errors\n");
	CHECK(opts.recv_buf_size == 7 && len == sizeof(opts) && spdk_sock_get_default_impl() == NULL);
}

static void
no_trace_points(void)
{
	struct spdk_app_opts opts;

	memset(&opts, 0xff, sizeof(opts));
	spdk_app_opts_init(&opts, sizeof(opts));
	CHECK(opts.opts_size == sizeof(opts) && opts.name == NULL && opts.shm_id == -1 && opts.main_core == -1);
	CHECK(opts.mem_size == -1 && opts.mem_channel == -1 && opts.enable_coredump && !opts.disable_cpumask_locks);
	CHECK(opts.print_level == SPDK_LOG_INFO && opts.rpc_log_level == SPDK_LOG_DISABLED);
	CHECK(opts.num_entries == SPDK_DEFAULT_NUM_TRACE_ENTRIES && opts.num_trace_threads == 0);
	CHECK(spdk_app_setup_trace(&opts) == 0);
	opts.tpoint_group_mask = "";
	CHECK(spdk_app_setup_trace(&opts) == 0);
	opts.tpoint_group_mask = "nvme_rdma";
	fprintf(stderr, "expect 9 errors\n");
	CHECK(spdk_app_setup_trace(&opts) == -1 && spdk_app_setup_trace(NULL) == -1);
	CHECK(spdk_trace_init("/name", 1, 1) == -ENOTSUP && spdk_trace_init(NULL, UINT64_MAX, UINT32_MAX) == -ENOTSUP);
	CHECK(spdk_trace_enable_tpoint_group("all") == -ENOTSUP && spdk_trace_disable_tpoint_group("all") == -ENOTSUP);
	CHECK(spdk_trace_enable_tpoint_group(NULL) == -ENOTSUP);
	spdk_app_opts_init(NULL, sizeof(opts));
	spdk_app_opts_init(&opts, 0);
	fprintf(stderr, "end of errors\n");
	CHECK(opts.shm_id == -1);

	/* A program of another release: fewer bytes, and more. */
	memset(&opts, 0xff, sizeof(opts));
	spdk_app_opts_init(&opts, offsetof(struct spdk_app_opts, shm_id));
	CHECK(opts.tpoint_group_mask == NULL && opts.reserved52[0] == 0xff);
	{
		struct { struct spdk_app_opts known; uint8_t more[50]; } longer;

		memset(&longer, 0xff, sizeof(longer));
		spdk_app_opts_init(&longer.known, sizeof(longer));
		CHECK(longer.known.opts_size == sizeof(longer) && longer.more[0] == 0 && longer.more[49] == 0);
	}

	CHECK(spdk_trace_register_user_thread() == 0 && spdk_trace_unregister_user_thread() == 0);
	CHECK(spdk_trace_create_tpoint_group_mask("nvme_rdma") == 0);
	spdk_trace_mask_usage(stdout, "-y");
	spdk_trace_mask_usage(NULL, NULL);
	spdk_trace_cleanup();
}

int
main(void)
{
	no_keys();
	no_sockets();
	no_trace_points();
	puts("ok");
	return 0;
}

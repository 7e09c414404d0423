/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * A program that knows SPDK's layout and none of our headers: spdk_layout.h is made of the measured data. It runs on
 * our library: a controller of the target in this process is attached and used, and wrong handles are survived.
 */

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "spdk_layout.h"

/* Not of the NVMe library, so not in the data. */
void spdk_env_opts_init(void *opts);
int spdk_env_init(const void *opts);
void spdk_env_fini(void);
void *spdk_dma_zmalloc(size_t size, size_t align, uint64_t *phys_addr);
void spdk_dma_free(void *buf);

#define CHECK(condition) \
	do { \
		if (!(condition)) { \
			printf("%s:%d: %s\n", __FILE__, __LINE__, #condition); \
			exit(1); \
		} \
	} while (0)

#define NQN "nqn.2014-08.org.nvmexpress:uuid:"

static void
disconnected(struct spdk_nvme_qpair *qpair, void *poll_group_ctx)
{
	(void)qpair, (void)poll_group_ctx;
}

static void
transport_ids(void)
{
	struct spdk_nvme_transport_id trid;

	memset(&trid, 0x5a, sizeof(trid));
	CHECK(spdk_nvme_transport_id_parse(&trid, "trtype:rdma adrfam:IPv6 traddr:fe80::1 trsvcid:4420 "
					   "subnqn:nqn.2016-06.io.spdk:cnode1 priority:3") == 0);
	CHECK(strcmp(trid.trstring, "RDMA") == 0);
	CHECK(trid.trtype == SPDK_NVME_TRANSPORT_RDMA && trid.adrfam == SPDK_NVMF_ADRFAM_IPV6);
	CHECK(strcmp(trid.traddr, "fe80::1") == 0 && strcmp(trid.trsvcid, "4420") == 0);
	CHECK(strcmp(trid.subnqn, "nqn.2016-06.io.spdk:cnode1") == 0 && trid.priority == 3);
	spdk_nvme_trid_populate_transport(&trid, SPDK_NVME_TRANSPORT_TCP);
	CHECK(strcmp(trid.trstring, "TCP") == 0 && trid.trtype == SPDK_NVME_TRANSPORT_TCP);
}

static void
options(void)
{
	struct {
		struct spdk_nvme_ctrlr_opts opts;
		unsigned char behind[64];
	} room;

	memset(&room, 0xee, sizeof(room));
	spdk_nvme_ctrlr_get_default_ctrlr_opts(&room.opts, sizeof(room.opts));
	CHECK(room.opts.num_io_queues == 1024 && room.opts.keep_alive_timeout_ms == 10000);
	CHECK(room.opts.io_queue_size == 256 && room.opts.io_queue_requests == 512);
	CHECK(room.opts.transport_retry_count == 4 && room.opts.admin_timeout_ms == 30000);
	CHECK(room.opts.admin_queue_size == 32 && room.opts.fabrics_connect_timeout_us == 500000);
	CHECK(room.opts.opts_size == sizeof(room.opts) && room.opts.command_set == 8);
	CHECK(room.opts.dhchap_digests == 0xe && room.opts.dhchap_dhgroups == 0x3f);
	CHECK(!room.opts.use_cmb_sqs && !room.opts.header_digest && !room.opts.disable_error_logging);
	CHECK(strncmp(room.opts.hostnqn, NQN, strlen(NQN)) == 0 && strlen(room.opts.hostnqn) == strlen(NQN) + 36);
	CHECK(room.opts.src_addr[0] == 0 && room.opts.src_svcid[0] == 0 && room.opts.tls_psk == NULL);
	CHECK(room.behind[0] == 0xee);

	/* A program that only knows the first members. */
	memset(&room, 0xee, sizeof(room));
	spdk_nvme_ctrlr_get_default_ctrlr_opts(&room.opts, offsetof(struct spdk_nvme_ctrlr_opts, hostnqn));
	CHECK(room.opts.io_queue_size == 256 && (unsigned char)room.opts.hostnqn[0] == 0xee);
	CHECK(room.opts.opts_size == 0xeeeeeeeeeeeeeeeeu);
}

static void
statuses(void)
{
	struct spdk_nvme_status status;

	memset(&status, 0, sizeof(status));
	CHECK(strcmp(spdk_nvme_cpl_get_status_string_ext(&status, 2), "SUCCESS") == 0);
	status.sc = SPDK_NVME_SC_ABORTED_SQ_DELETION;
	status.dnr = 1;
	CHECK(strcmp(spdk_nvme_cpl_get_status_string_ext(&status, 2), "ABORTED - SQ DELETION") == 0);
	status.sct = SPDK_NVME_SCT_PATH;
	status.sc = SPDK_NVME_SC_HOST_PATH_ERROR;
	CHECK(strcmp(spdk_nvme_cpl_get_status_string_ext(&status, 2), "HOST PATH ERROR") == 0);
}

/* Nothing of this may do more than return an error. */
static void
wrong_handles(void)
{
	int context;
	char foreign[256] = {0};
	struct spdk_nvme_detach_ctx *detach_ctx = NULL;
	struct spdk_nvme_poll_group *group = spdk_nvme_poll_group_create(&context, NULL);
	struct spdk_nvme_poll_group *other = spdk_nvme_poll_group_create(&context, NULL);

	CHECK(group != NULL && other != NULL && group != other);
	CHECK(spdk_nvme_poll_group_process_completions(group, 0, disconnected) == 0);
	CHECK(spdk_nvme_poll_group_process_completions(group, 0, NULL) == -EINVAL);
	CHECK(spdk_nvme_poll_group_add(group, NULL) == -EINVAL);
	CHECK(spdk_nvme_poll_group_add(group, (struct spdk_nvme_qpair *)other) == -EINVAL);
	CHECK(spdk_nvme_poll_group_add(group, (struct spdk_nvme_qpair *)(void *)foreign) < 0);
	CHECK(spdk_nvme_poll_group_destroy(group) == 0);
	CHECK(spdk_nvme_poll_group_destroy(group) == -EINVAL);
	CHECK(spdk_nvme_poll_group_process_completions(group, 0, disconnected) == -EINVAL);
	CHECK(spdk_nvme_poll_group_destroy(other) == 0);

	CHECK(spdk_nvme_detach(NULL) == -EINVAL);
	CHECK(spdk_nvme_detach((struct spdk_nvme_ctrlr *)group) == -EINVAL);
	CHECK(spdk_nvme_detach((struct spdk_nvme_ctrlr *)(void *)foreign) < 0);
	CHECK(spdk_nvme_detach_async((struct spdk_nvme_ctrlr *)(void *)foreign, &detach_ctx) < 0);
	CHECK(detach_ctx == NULL);
	spdk_nvme_detach_poll(NULL);

	CHECK(spdk_nvme_ctrlr_get_data(NULL) == NULL);
	CHECK(spdk_nvme_ctrlr_get_ns(NULL, 1) == NULL);
	CHECK(spdk_nvme_ctrlr_get_first_active_ns(NULL) == 0);
	CHECK(spdk_nvme_ctrlr_alloc_io_qpair(NULL, NULL, 0) == NULL);
	CHECK(spdk_nvme_ctrlr_process_admin_completions(NULL) < 0);
	CHECK(spdk_nvme_ctrlr_free_io_qpair(NULL) == 0);
	CHECK(spdk_nvme_ctrlr_free_io_qpair((struct spdk_nvme_qpair *)group) == -EINVAL);
	CHECK(spdk_nvme_qpair_process_completions(NULL, 0) < 0);
	CHECK(!spdk_nvme_qpair_is_connected(NULL));
	CHECK(spdk_nvme_ns_cmd_read(NULL, NULL, NULL, 0, 1, NULL, NULL, 0) < 0);
	CHECK(!spdk_nvme_ns_is_active(NULL) && spdk_nvme_ns_get_id(NULL) == 0 && spdk_nvme_ns_get_data(NULL) == NULL);
	CHECK(spdk_nvme_connect(NULL, NULL, 0) == NULL);
}

int
main(void)
{
	uint64_t env_opts[128 / sizeof(uint64_t)] = {0};

	env_opts[112 / sizeof(uint64_t)] = sizeof(env_opts); /* opts_size */
	spdk_env_opts_init(env_opts);
	CHECK(spdk_env_init(env_opts) == 0);
	transport_ids();
	options();
	statuses();
	wrong_handles();
	spdk_env_fini();
	puts("done");
	return 0;
}

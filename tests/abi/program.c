/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * A program that knows SPDK's layout and none of our headers: spdk_layout.h is made of the measured data. It runs on
 * our library: a controller of the target in this process is attached and used, and wrong handles are survived.
 */

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "spdk_layout.h"
#include "nvme_rdma_target.h"

/* Not of SPDK. */
void spdk_nvme_rdma_set_wait_hook(void (*hook)(void *arg), void *arg);

/* Not of the NVMe library, so not in the data. */
uint64_t spdk_get_ticks(void);
uint64_t spdk_get_ticks_hz(void);
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

static int g_refused;
static struct spdk_nvme_cpl g_refusal;

static void
refused(void *count, const struct spdk_nvme_cpl *cpl)
{
	CHECK(cpl->status.sc == SPDK_NVME_SC_INVALID_OPCODE);
	g_refusal = *cpl;
	++*(int *)count;
}

static void
usage(void)
{
	char text[4096] = "";
	FILE *file = tmpfile();

	CHECK(file != NULL);
	spdk_nvme_transport_id_usage(file, SPDK_NVME_TRID_USAGE_OPT_MANDATORY);
	rewind(file);
	CHECK(fread(text, 1, sizeof(text) - 1, file) > 0);
	CHECK(strstr(text, "traddr") != NULL && strstr(text, "trtype") != NULL);
	fclose(file);
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
	CHECK(strcmp(spdk_nvme_cpl_get_status_string(&status), "SUCCESS") == 0);
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

#define SUBSYSTEM "nqn.2016-06.io.spdk:cnode1"
#define SECTORS 64

static struct nvme_rdma_target *g_target;
static struct spdk_nvme_ctrlr *g_attached;
static int g_port;
static int g_done;
static int g_aborted;
static struct spdk_nvme_qpair *g_to_free;

static void
poll_target(void *arg)
{
	struct nvme_rdma_target *target = arg;

	nvme_rdma_target_poll(target, (uint64_t)((double)spdk_get_ticks() * 1e9 / (double)spdk_get_ticks_hz()));
}

static void
done(void *arg, const struct spdk_nvme_cpl *cpl)
{
	CHECK(arg == &g_done);
	CHECK(cpl->status.sct == 0 && cpl->status.sc == 0);
	g_done++;
}

static void
aborted(void *arg, const struct spdk_nvme_cpl *cpl)
{
	CHECK(arg == &g_aborted);
	CHECK(cpl->status.sct == SPDK_NVME_SCT_GENERIC && cpl->status.sc == SPDK_NVME_SC_ABORTED_SQ_DELETION);
	g_aborted++;
}

/* A callback that ends its own queue pair. */
static void
done_and_free(void *arg, const struct spdk_nvme_cpl *cpl)
{
	done(arg, cpl);
	CHECK(spdk_nvme_ctrlr_free_io_qpair(g_to_free) == 0);
}

static void
wait_for(struct spdk_nvme_qpair *qpair, int count)
{
	while (g_done < count) {
		poll_target(g_target);
		CHECK(spdk_nvme_qpair_process_completions(qpair, 0) >= 0);
	}
}

static void
use(struct spdk_nvme_ctrlr *ctrlr)
{
	const struct spdk_nvme_ctrlr_data *data = spdk_nvme_ctrlr_get_data(ctrlr);
	struct spdk_nvme_ns *ns = spdk_nvme_ctrlr_get_ns(ctrlr, 1);
	struct spdk_nvme_io_qpair_opts opts;
	struct spdk_nvme_qpair *qpair, *other;
	struct spdk_nvme_poll_group *group;
	uint8_t *buffer;
	size_t size = 12345;

	CHECK(data != NULL && data->nn >= 1 && data->sgls.supported != 0);
	CHECK(strncmp((const char *)data->subnqn, SUBSYSTEM, sizeof(SUBSYSTEM)) == 0);
	CHECK(strcmp(spdk_nvme_ctrlr_get_transport_id(ctrlr)->subnqn, SUBSYSTEM) == 0);
	CHECK(spdk_nvme_ctrlr_get_first_active_ns(ctrlr) == 1);
	CHECK(spdk_nvme_ctrlr_get_next_active_ns(ctrlr, 1) == 0);
	CHECK(spdk_nvme_ctrlr_map_cmb(ctrlr, &size) == NULL && size == 12345);
	spdk_nvme_ctrlr_unmap_cmb(ctrlr);
	CHECK(ns != NULL && ns == spdk_nvme_ctrlr_get_ns(ctrlr, 1));
	CHECK(spdk_nvme_ctrlr_get_ns(ctrlr, 0) == NULL && spdk_nvme_ctrlr_get_ns(ctrlr, data->nn + 1) == NULL);
	CHECK(spdk_nvme_ns_is_active(ns) && spdk_nvme_ns_get_id(ns) == 1);
	CHECK(spdk_nvme_ns_get_sector_size(ns) == 512 && spdk_nvme_ns_get_num_sectors(ns) == 131072);
	CHECK(spdk_nvme_ns_get_size(ns) == 64u << 20 && spdk_nvme_ns_get_csi(ns) == SPDK_NVME_CSI_NVM);
	CHECK(spdk_nvme_ns_get_data(ns)->nsze == 131072);
	CHECK(((uintptr_t)spdk_nvme_ns_get_data(ns) & 7) == 0);

	memset(&opts, 0xee, sizeof(opts));
	spdk_nvme_ctrlr_get_default_io_qpair_opts(ctrlr, &opts, sizeof(opts));
	CHECK(opts.qprio == SPDK_NVME_QPRIO_URGENT && opts.io_queue_requests == 512 && !opts.create_only);
	CHECK(opts.io_queue_size >= 2 && opts.io_queue_size <= 256 && opts.opts_size == sizeof(opts));
	opts.qprio = SPDK_NVME_QPRIO_HIGH;
	CHECK(spdk_nvme_ctrlr_alloc_io_qpair(ctrlr, &opts, sizeof(opts)) == NULL);

	qpair = spdk_nvme_ctrlr_alloc_io_qpair(ctrlr, NULL, 0);
	CHECK(qpair != NULL && spdk_nvme_qpair_is_connected(qpair));
	CHECK(spdk_nvme_qpair_get_failure_reason(qpair) == SPDK_NVME_QPAIR_FAILURE_NONE);
	CHECK(spdk_nvme_ctrlr_connect_io_qpair(ctrlr, qpair) == -EISCONN);
	buffer = spdk_dma_zmalloc(SECTORS * 512, 4096, NULL);
	CHECK(buffer != NULL);
	memset(buffer, 0x5a, SECTORS * 512);
	CHECK(spdk_nvme_ns_cmd_write(ns, qpair, buffer, 8, SECTORS, done, &g_done, 0) == 0);
	wait_for(qpair, 1);
	memset(buffer, 0, SECTORS * 512);
	CHECK(spdk_nvme_ns_cmd_read(ns, qpair, buffer, 8, SECTORS, done, &g_done, 0) == 0);
	wait_for(qpair, 2);
	CHECK(buffer[0] == 0x5a && buffer[SECTORS * 512 - 1] == 0x5a);
	/* The command goes out, to a namespace that has no zones. */
	CHECK(spdk_nvme_zns_reset_zone(ns, qpair, 0, false, refused, &g_refused) == 0);
	while (g_refused < 1) {
		poll_target(g_target);
		CHECK(spdk_nvme_qpair_process_completions(qpair, 0) >= 0);
	}
	spdk_nvme_qpair_print_completion_ext(qpair, &g_refusal, SPDK_NVME_OPC_ZONE_MGMT_SEND);
	spdk_nvme_qpair_print_completion(qpair, &g_refusal);
	CHECK(spdk_nvme_ns_cmd_read(ns, qpair, buffer, 8, 1, done, &g_done, 1u << 4) == -EINVAL);
	CHECK(spdk_nvme_ns_cmd_read(ns, qpair, buffer, 8, 0, done, &g_done, 0) == -EINVAL);
	CHECK(spdk_nvme_ns_cmd_read((struct spdk_nvme_ns *)qpair, qpair, buffer, 8, 1, done, &g_done, 0) == -EINVAL);

	/* A queue pair that ends in its own callback. */
	g_to_free = qpair;
	CHECK(spdk_nvme_ns_cmd_read(ns, qpair, buffer, 8, 1, done_and_free, &g_done, 0) == 0);
	while (g_done < 3) {
		poll_target(g_target);
		CHECK(spdk_nvme_qpair_process_completions(qpair, 0) >= 0);
	}
	CHECK(spdk_nvme_qpair_process_completions(qpair, 0) == -EINVAL);
	CHECK(spdk_nvme_ctrlr_free_io_qpair(qpair) == -EINVAL);

	/* In a group; its callbacks come before free returns. */
	group = spdk_nvme_poll_group_create(NULL, NULL);
	opts.qprio = SPDK_NVME_QPRIO_URGENT;
	opts.create_only = true;
	other = spdk_nvme_ctrlr_alloc_io_qpair(ctrlr, &opts, sizeof(opts));
	CHECK(group != NULL && other != NULL && !spdk_nvme_qpair_is_connected(other));
	CHECK(spdk_nvme_ns_cmd_read(ns, other, buffer, 8, 1, done, &g_done, 0) == -ENXIO);
	CHECK(spdk_nvme_poll_group_remove(group, other) == -ENOENT);
	CHECK(spdk_nvme_poll_group_add(group, other) == 0);
	CHECK(spdk_nvme_poll_group_add(group, other) == -EINVAL);
	CHECK(spdk_nvme_ctrlr_connect_io_qpair(ctrlr, other) == 0);
	CHECK(spdk_nvme_ns_cmd_read(ns, other, buffer, 8, 1, done, &g_done, 0) == 0);
	while (g_done < 4) {
		poll_target(g_target);
		CHECK(spdk_nvme_poll_group_process_completions(group, 0, disconnected) >= 0);
	}
	CHECK(spdk_nvme_poll_group_remove(group, other) == -EINVAL);
	CHECK(spdk_nvme_poll_group_destroy(group) == -EBUSY);
	CHECK(nvme_rdma_target_misbehave(g_target, NVME_RDMA_TARGET_SILENT, 0) == 0);
	CHECK(spdk_nvme_ns_cmd_read(ns, other, buffer, 8, 1, aborted, &g_aborted, 0) == 0);
	CHECK(spdk_nvme_ctrlr_free_io_qpair(other) == 0);
	CHECK(g_aborted == 1);
	CHECK(nvme_rdma_target_behave(g_target, NVME_RDMA_TARGET_SILENT) == 0);
	CHECK(spdk_nvme_poll_group_destroy(group) == 0);

	/* One that is left behind ends with its controller. */
	g_to_free = spdk_nvme_ctrlr_alloc_io_qpair(ctrlr, NULL, 0);
	CHECK(g_to_free != NULL);
	CHECK(spdk_nvme_ctrlr_process_admin_completions(ctrlr) >= 0);
	spdk_dma_free(buffer);
}

static bool
probe(void *cb_ctx, const struct spdk_nvme_transport_id *trid, struct spdk_nvme_ctrlr_opts *opts)
{
	CHECK(strcmp(trid->subnqn, SUBSYSTEM) == 0 && opts->opts_size == sizeof(*opts));
	return *(bool *)cb_ctx;
}

static void
attach(void *cb_ctx, const struct spdk_nvme_transport_id *trid, struct spdk_nvme_ctrlr *ctrlr,
       const struct spdk_nvme_ctrlr_opts *opts)
{
	/* As large as the controller has one, of the 256 entries that were asked for. */
	CHECK(*(bool *)cb_ctx && strcmp(trid->trstring, "RDMA") == 0 && opts->io_queue_size == 128);
	CHECK(g_attached == NULL);
	g_attached = ctrlr;
}

static void
session(void)
{
	const char *subsystems[] = {SUBSYSTEM ",ns=64M"};
	struct nvme_rdma_target_options options;
	struct spdk_nvme_transport_id trid;
	struct spdk_nvme_ctrlr_opts opts;
	struct spdk_nvme_ctrlr *ctrlr, *again;
	struct spdk_nvme_detach_ctx *detach_ctx = NULL;
	char text[256];
	bool wanted;

	nvme_rdma_target_options_init(&options, sizeof(options));
	options.listen = "127.0.0.1:0";
	options.subsystems = subsystems;
	options.subsystem_count = 1;
	CHECK(nvme_rdma_target_start(&options, &g_target) == 0);
	g_port = nvme_rdma_target_port(g_target, 0);
	spdk_nvme_rdma_set_wait_hook(poll_target, g_target);

	memset(&trid, 0, sizeof(trid));
	snprintf(text, sizeof(text), "trtype:RDMA adrfam:IPv4 traddr:127.0.0.1 trsvcid:%d subnqn:%s", g_port, SUBSYSTEM);
	CHECK(spdk_nvme_transport_id_parse(&trid, text) == 0);
	ctrlr = spdk_nvme_connect(&trid, NULL, 0);
	CHECK(ctrlr != NULL);
	/* Attached twice, so detached twice. */
	again = spdk_nvme_connect(&trid, NULL, 0);
	CHECK(again == ctrlr);
	CHECK(spdk_nvme_detach(again) == 0);
	use(ctrlr);
	CHECK(spdk_nvme_detach_async(ctrlr, &detach_ctx) == 0);
	CHECK(detach_ctx != NULL);
	CHECK(spdk_nvme_connect(&trid, NULL, 0) == NULL); /* being detached */
	spdk_nvme_detach_poll(detach_ctx);
	CHECK(spdk_nvme_detach(ctrlr) == -EINVAL);
	CHECK(spdk_nvme_ctrlr_get_data(ctrlr) == NULL);
	CHECK(spdk_nvme_qpair_process_completions(g_to_free, 0) == -EINVAL);
	CHECK(spdk_nvme_detach_poll_async(detach_ctx) == -EINVAL);

	/* Another host is another controller. */
	ctrlr = spdk_nvme_connect(&trid, NULL, 0);
	spdk_nvme_ctrlr_get_default_ctrlr_opts(&opts, sizeof(opts));
	snprintf(opts.hostnqn, sizeof(opts.hostnqn), "nqn.2014-08.org.example:host");
	again = spdk_nvme_connect(&trid, &opts, sizeof(opts));
	CHECK(ctrlr != NULL && again != NULL && again != ctrlr);
	CHECK(spdk_nvme_detach(ctrlr) == 0 && spdk_nvme_detach(again) == 0);

	wanted = false;
	CHECK(spdk_nvme_probe(&trid, &wanted, probe, attach, NULL) == -1);
	wanted = true;
	CHECK(spdk_nvme_probe(&trid, &wanted, probe, attach, NULL) == 0);
	CHECK(g_attached != NULL && spdk_nvme_detach(g_attached) == 0);
	g_attached = NULL;
	snprintf(trid.subnqn, sizeof(trid.subnqn), "%s", "nqn.2014-08.org.nvmexpress.discovery");
	CHECK(spdk_nvme_probe(&trid, &wanted, probe, attach, NULL) == 0);
	CHECK(g_attached != NULL && spdk_nvme_detach(g_attached) == 0);
	wanted = false;
	CHECK(spdk_nvme_probe(&trid, &wanted, probe, attach, NULL) == 0);

	/* Nothing there: no controller, and no error for the program that probes. */
	snprintf(trid.subnqn, sizeof(trid.subnqn), "%s", "nqn.2016-06.io.spdk:none");
	CHECK(spdk_nvme_connect(&trid, NULL, 0) == NULL);
	trid.adrfam = SPDK_NVMF_ADRFAM_IB;
	CHECK(spdk_nvme_connect(&trid, NULL, 0) == NULL);

	spdk_nvme_rdma_set_wait_hook(NULL, NULL);
	nvme_rdma_target_stop(g_target);
}

int
main(void)
{
	uint64_t env_opts[128 / sizeof(uint64_t)] = {0};

	env_opts[112 / sizeof(uint64_t)] = sizeof(env_opts); /* opts_size */
	spdk_env_opts_init(env_opts);
	CHECK(spdk_env_init(env_opts) == 0);
	transport_ids();
	usage();
	options();
	statuses();
	wrong_handles();
	session();
	spdk_env_fini();
	puts("done");
	return 0;
}

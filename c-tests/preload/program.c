/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * A program that is linked with the stand-in of libspdk_nvme.so. It runs with and without libspdk_nvme_rdma.so
 * preloaded: controllers of other transports must come from the stand-in either way, and RDMA's never if ours is there.
 */

#include "spdk/nvme.h"
#include "spdk_internal/nvme_util.h"

int standin_calls(void);

/* What our headers do not declare yet, as our library does not have it. */
int spdk_nvme_ctrlr_authenticate(struct spdk_nvme_ctrlr *ctrlr, void (*cb_fn)(void *cb_ctx, int status), void *cb_ctx);
int spdk_nvme_poll_group_get_stats(struct spdk_nvme_poll_group *group, struct spdk_nvme_poll_group_stat **stats);

static int g_reads;
static int g_probed;
static int g_disconnected;
static int g_group_ctx;
static struct spdk_nvme_ctrlr *g_ctrlr;

#define CHECK(condition) \
	do { \
		if (!(condition)) { \
			printf("%s:%d: %s\n", __FILE__, __LINE__, #condition); \
			exit(1); \
		} \
	} while (0)

static void
read_done(void *arg, const struct spdk_nvme_cpl *cpl)
{
	CHECK(arg == &g_reads && spdk_nvme_cpl_is_success(cpl));
	g_reads++;
}

static bool
probe(void *cb_ctx, const struct spdk_nvme_transport_id *trid, struct spdk_nvme_ctrlr_opts *opts)
{
	(void)opts;
	CHECK(cb_ctx == &g_ctrlr && trid->trtype == SPDK_NVME_TRANSPORT_TCP);
	g_probed++;
	return true;
}

static void
attach(void *cb_ctx, const struct spdk_nvme_transport_id *trid, struct spdk_nvme_ctrlr *ctrlr,
       const struct spdk_nvme_ctrlr_opts *opts)
{
	(void)trid, (void)opts;
	CHECK(cb_ctx == &g_ctrlr);
	g_ctrlr = ctrlr;
}

static void
disconnected(struct spdk_nvme_qpair *qpair, void *poll_group_ctx)
{
	CHECK(qpair != NULL && poll_group_ctx == &g_group_ctx);
	g_disconnected++;
}

static void
authenticated(void *cb_ctx, int status)
{
	*(int *)cb_ctx = status;
}

/* What our library does not have goes to the stand-in, but never with something of ours. */
static void
use_what_is_not_there(struct spdk_nvme_ctrlr *ctrlr)
{
	struct spdk_nvme_poll_group *group = spdk_nvme_poll_group_create(NULL, NULL);
	struct spdk_nvme_poll_group_stat *stats = NULL;
	int status = 0;
	int before, rc;

	CHECK(spdk_nvme_ctrlr_authenticate(ctrlr, authenticated, &status) == 18 && status == 81);
	CHECK(group != NULL);
	before = standin_calls();
	rc = spdk_nvme_poll_group_get_stats(group, &stats);
	CHECK((rc == 0 && standin_calls() == before + 1) || (rc == -ENOTSUP && standin_calls() == before));
	CHECK(spdk_nvme_poll_group_destroy(group) == 0);
}

/* Transports are those of both libraries, and options are for both. */
static void
use_transports(void)
{
	struct spdk_nvme_transport_opts opts;
	char ops[512] = "CARRIER";
	int before;

	CHECK(spdk_nvme_transport_available(SPDK_NVME_TRANSPORT_RDMA));
	CHECK(spdk_nvme_transport_available(SPDK_NVME_TRANSPORT_PCIE));
	CHECK(!spdk_nvme_transport_available(SPDK_NVME_TRANSPORT_TCP));
	CHECK(spdk_nvme_transport_available_by_name("RDMA"));
	CHECK(!spdk_nvme_transport_available_by_name("CARRIER"));
	spdk_nvme_transport_register((const struct spdk_nvme_transport_ops *)(const void *)ops);
	CHECK(spdk_nvme_transport_available_by_name("CARRIER"));
	before = standin_calls();
	spdk_nvme_transport_get_opts(&opts, sizeof(opts));
	CHECK(opts.tcp_connect_timeout_ms == 7 && opts.rdma_cm_event_timeout_ms == 1000);
	opts.tcp_connect_timeout_ms = 9;
	opts.rdma_cm_event_timeout_ms = 99;
	CHECK(spdk_nvme_transport_set_opts(&opts, sizeof(opts)) == 0);
	memset(&opts, 0x5a, sizeof(opts));
	spdk_nvme_transport_get_opts(&opts, sizeof(opts));
	CHECK(opts.tcp_connect_timeout_ms == 9 && opts.rdma_cm_event_timeout_ms == 99);
	CHECK(opts.opts_size == sizeof(opts));
	CHECK(standin_calls() == before + 3);
}

/* What our library has, and passes on all the same. */
static void
use_what_has_a_shape_of_its_own(void)
{
	struct spdk_nvme_trid_entry entry, untouched;

	memset(&entry, 0x5a, sizeof(entry));
	untouched = entry;
	CHECK(spdk_nvme_trid_entry_parse(&entry, "x") == 17);
	CHECK(entry.nsid == 'x');
	untouched.nsid = 'x';
	CHECK(memcmp(&entry, &untouched, sizeof(entry)) == 0);
}

/* Everything that the stand-in can do, through whatever library answers. */
static void
use(struct spdk_nvme_ctrlr *ctrlr)
{
	struct spdk_nvme_poll_group *group = spdk_nvme_poll_group_create(&g_group_ctx, NULL);
	struct spdk_nvme_ns *ns = spdk_nvme_ctrlr_get_ns(ctrlr, 1);
	struct spdk_nvme_qpair *qpair = spdk_nvme_ctrlr_alloc_io_qpair(ctrlr, NULL, 0);
	unsigned char buffer[4096] = {0};

	CHECK(group != NULL && ns != NULL && qpair != NULL);
	CHECK(spdk_nvme_ctrlr_get_data(ctrlr)->cntlid == 4711);
	CHECK(spdk_nvme_ctrlr_get_ns(ctrlr, 2) == NULL);
	CHECK(spdk_nvme_ns_get_sector_size(ns) == 4096);
	CHECK(spdk_nvme_build_name((char *)buffer, 6, ctrlr, ns) == 8 && strcmp((char *)buffer, "stand") == 0);
	spdk_nvme_qpair_print_command(qpair, NULL);

	CHECK(spdk_nvme_ns_cmd_read(ns, qpair, buffer, 3, 4, read_done, &g_reads, 0) == 0);
	CHECK(buffer[15] == 7);
	CHECK(spdk_nvme_qpair_process_completions(qpair, 0) == 1);
	CHECK(g_reads == 1);

	/* A group takes queue pairs of both libraries, and polls both. */
	CHECK(spdk_nvme_poll_group_process_completions(group, 0, disconnected) == 0);
	CHECK(spdk_nvme_poll_group_add(group, qpair) == 0);
	CHECK(spdk_nvme_ns_cmd_read(ns, qpair, buffer, 0, 1, read_done, &g_reads, 0) == 0);
	CHECK(spdk_nvme_poll_group_process_completions(group, 0, disconnected) == 1);
	CHECK(g_reads == 2 && g_disconnected == 0);
	CHECK(spdk_nvme_poll_group_process_completions(group, 0, disconnected) == 0);
	CHECK(g_disconnected == 1);
	CHECK(spdk_nvme_poll_group_destroy(group) == -EBUSY);
	CHECK(spdk_nvme_poll_group_remove(group, qpair) == 0);
	CHECK(spdk_nvme_poll_group_add(group, qpair) == 0);
	/* Leaves its group by itself. */
	CHECK(spdk_nvme_ctrlr_free_io_qpair(qpair) == 0);
	CHECK(spdk_nvme_poll_group_destroy(group) == 0);
}

int
main(void)
{
	struct spdk_nvme_transport_id trid = {0};
	struct spdk_nvme_detach_ctx *detach_ctx = NULL;
	struct spdk_nvme_ctrlr *ctrlr;
	struct spdk_env_opts env_opts;
	int before;

	spdk_env_opts_init(&env_opts);
	CHECK(spdk_env_init(&env_opts) == 0);

	CHECK(spdk_nvme_transport_id_parse(&trid, "trtype:TCP adrfam:IPv4 traddr:192.0.2.1 trsvcid:4420") == 0);
	ctrlr = spdk_nvme_connect(&trid, NULL, 0);
	CHECK(ctrlr != NULL);
	use(ctrlr);
	use_what_is_not_there(ctrlr);
	use_what_has_a_shape_of_its_own();
	use_transports();
	CHECK(spdk_nvme_detach_async(ctrlr, &detach_ctx) == 0);
	CHECK(detach_ctx != NULL);
	CHECK(spdk_nvme_detach_poll_async(detach_ctx) == -EAGAIN);
	spdk_nvme_detach_poll(detach_ctx);

	CHECK(spdk_nvme_probe(&trid, &g_ctrlr, probe, attach, NULL) == 0);
	CHECK(g_probed == 1 && g_ctrlr != NULL);
	CHECK(spdk_nvme_detach(g_ctrlr) == 0);

	/* No PCIe device is asked for here, but the request must get to the stand-in. */
	before = standin_calls();
	CHECK(spdk_nvme_probe(NULL, NULL, probe, attach, NULL) == 0);
	CHECK(standin_calls() == before + 1);

	/* Nobody listens there, and there may not even be an RDMA device. */
	memset(&trid, 0, sizeof(trid));
	CHECK(spdk_nvme_transport_id_parse(&trid, "trtype:RDMA adrfam:IPv4 traddr:127.0.0.1 trsvcid:1 "
					   "subnqn:nqn.2016-06.io.spdk:none") == 0);
	before = standin_calls();
	ctrlr = spdk_nvme_connect(&trid, NULL, 0);
	if (ctrlr != NULL) {
		CHECK(standin_calls() == before + 1);
		CHECK(spdk_nvme_detach(ctrlr) == 0);
		puts("all from the stand-in");
	} else {
		CHECK(standin_calls() == before);
		puts("ours and the stand-in's");
	}
	spdk_env_fini();
	return 0;
}

/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * Calls every entry point that takes more than handles with live handles and one argument that is NULL, or a size that is none, one,
 * or more than there can be. arguments.h, which the test makes of the table of entry points and of the headers, has a function for each
 * call. Each call is announced in a line of its own on stderr, where the library's lines go as well, with what it returned and what the
 * table says of a refusal. After each call what it left is awaited, and then an I/O must be good, in a group and outside of one.
 */

#include <errno.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/uio.h>

#include "in_process.h"
#include "spdk/nvme_kv.h"
#include "spdk/nvme_ocssd.h"
#include "spdk/nvme_zns.h"
#include "spdk/opal.h"
#include "spdk_internal/nvme_util.h"

#define BLOCK 512
/* What the largest size that an argument can say is, and a little more: nothing of it is there until somebody looks. */
#define HUGE_BYTES ((UINT64_C(1) << 32) + (1 << 20))
#define PIECES_BYTES (sizeof(struct iovec) << 32)
/* What the reads that show that all is well are of: nothing writes there, or makes it unreadable. */
#define QUIET_LBA 100000
/* A piece of scattered data. */
#define PIECE (1 << 20)

/* What the calls are made with; they may change it. */
static struct {
	struct spdk_nvme_ctrlr *ctrlr;
	struct spdk_nvme_ns *ns;
	struct spdk_nvme_qpair *qpair;
	struct spdk_nvme_qpair *member;
	struct spdk_nvme_poll_group *group;
	struct spdk_nvme_transport_id trid;
	struct spdk_nvme_transport_id other_trid;
	struct spdk_nvme_ctrlr_opts ctrlr_opts;
	struct spdk_nvme_io_qpair_opts qpair_opts;
	struct spdk_nvme_transport_opts transport_opts;
	struct spdk_nvme_ns_cmd_ext_io_opts ext_opts;
	struct spdk_nvme_cmd cmd;
	struct spdk_nvme_cmd admin_cmd;
	struct spdk_nvme_cpl cpl;
	struct spdk_nvme_status status;
	struct spdk_nvme_poll_group_stat *stat;
	struct spdk_nvme_trid_entry trid_entry;
	struct spdk_nvme_host_id host_id;
	struct spdk_nvme_rdma_hooks hooks;
	enum spdk_nvme_transport_type trtype;
	enum spdk_nvmf_adrfam adrfam;
	uint32_t prchk;
	size_t size;
	uint64_t counts[8];
	char name[256];
	FILE *nowhere;
	/* Zeros for whatever small structure there is besides. */
	uint64_t room[2048];
	struct iovec *iov;
	uint8_t *huge;
	uint8_t *buffer;
	void *made;
	/* Set by a call that must not be given the same again. */
	uint64_t next;
} g;

static unsigned int g_done;
/* Whether the call gave a function that is called at the command's end. */
static bool g_tells;

/* What the library may call --------------------------------------------------------------------------------------- */

static void
done(void *arg, const struct spdk_nvme_cpl *cpl)
{
	(void)arg;
	(void)cpl;
	g_done++;
}

static void
found_page(void *arg, int rc, const struct spdk_nvme_cpl *cpl, struct spdk_nvmf_discovery_log_page *page)
{
	(void)rc;
	done(arg, cpl);
	free(page);
}

static void
reset_sgl(void *arg, uint32_t offset)
{
	(void)arg;
	g.next = offset;
}

static int
next_sge(void *arg, void **address, uint32_t *length)
{
	(void)arg;
	*address = g.huge + g.next % (HUGE_BYTES - PIECE);
	*length = PIECE;
	g.next += PIECE;
	return 0;
}

static bool
wanted(void *ctx, const struct spdk_nvme_transport_id *trid, struct spdk_nvme_ctrlr_opts *opts)
{
	(void)ctx;
	(void)trid;
	opts->keep_alive_timeout_ms = 0;
	opts->fabrics_connect_timeout_us = PATIENCE_US;
	return true;
}

static void
attached(void *ctx, const struct spdk_nvme_transport_id *trid, struct spdk_nvme_ctrlr *ctrlr,
	 const struct spdk_nvme_ctrlr_opts *opts)
{
	(void)ctx;
	(void)trid;
	(void)opts;
	check(spdk_nvme_detach(ctrlr) == 0, "the end of what was attached");
}

static void
not_attached(void *ctx, const struct spdk_nvme_transport_id *trid, int rc)
{
	(void)ctx;
	(void)trid;
	(void)rc;
}

static void
removed(void *ctx, struct spdk_nvme_ctrlr *ctrlr)
{
	(void)ctx;
	(void)ctrlr;
}

static void
late(void *arg, struct spdk_nvme_ctrlr *ctrlr, struct spdk_nvme_qpair *qpair, uint16_t cid)
{
	(void)arg;
	(void)ctrlr;
	(void)qpair;
	(void)cid;
}

static void
changed(void *arg, const uint32_t *ids, uint32_t count)
{
	(void)arg;
	(void)ids;
	(void)count;
}

static void
disconnected(struct spdk_nvme_qpair *qpair, void *ctx)
{
	(void)qpair;
	(void)ctx;
	check(false, "a member is disconnected");
}

static void
interrupted(struct spdk_nvme_poll_group *group, void *ctx)
{
	(void)group;
	(void)ctx;
}

/* What a call leaves --------------------------------------------------------------------------------------------- */

static void
until_probed(struct spdk_nvme_probe_ctx *ctx)
{
	while (ctx != NULL && spdk_nvme_probe_poll_async(ctx) == -EAGAIN) {
		poll_target(g_target);
	}
}

/* Detaches what was attached without anybody hearing of it: once for that, and once for finding it. */
static void
detach_unheard(void)
{
	struct spdk_nvme_ctrlr *ctrlr = spdk_nvme_connect(&g.trid, NULL, 0);

	check(ctrlr != NULL && ctrlr != g.ctrlr, "what was attached unheard");
	check(spdk_nvme_detach(ctrlr) == 0 && spdk_nvme_detach(ctrlr) == 0, "the end of what was attached unheard");
}

static bool g_read_is_good;

static void
read_done(void *arg, const struct spdk_nvme_cpl *cpl)
{
	unsigned int *waits = arg;

	(*waits)--;
	g_read_is_good = g_read_is_good && !spdk_nvme_cpl_is_error(cpl);
}

static void
heard(void *arg, const struct spdk_nvme_cpl *cpl)
{
	(void)arg;
	(void)cpl;
}

static void
asked(void *arg, const struct spdk_nvme_cpl *cpl)
{
	unsigned int *waits = arg;

	(void)cpl;
	(*waits)--;
}

static void
poll_all(void)
{
	poll_target(g_target);
	check(spdk_nvme_qpair_process_completions(g.qpair, 0) >= 0, "the qpair");
	check(spdk_nvme_poll_group_process_completions(g.group, 0, disconnected) >= 0, "the group");
	check(spdk_nvme_ctrlr_process_admin_completions(g.ctrlr) >= 0, "the Admin Queue");
}

/* Awaits the end of all that is under way, and has an I/O on each qpair and an admin command. */
static void
settle(void)
{
	unsigned int waits = 3;

	while (spdk_nvme_qpair_get_num_outstanding_reqs(g.qpair) > 0 ||
	       spdk_nvme_qpair_get_num_outstanding_reqs(g.member) > 0) {
		poll_all();
	}
	g_read_is_good = true;
	check(spdk_nvme_ctrlr_cmd_get_feature(g.ctrlr, SPDK_NVME_FEAT_ARBITRATION, 0, NULL, 0, asked, &waits) == 0,
	      "an admin command");
	check(spdk_nvme_ns_cmd_read(g.ns, g.qpair, g.buffer, QUIET_LBA, 1, read_done, &waits, 0) == 0, "a read");
	check(spdk_nvme_ns_cmd_read(g.ns, g.member, g.buffer + BLOCK, QUIET_LBA + 1, 1, read_done, &waits, 0) == 0, "a member's read");
	while (waits > 0) {
		poll_all();
	}
	check(g_read_is_good, "the status of a read");
}

/* What the calls are made with is as at the beginning. */
static void
renew(void)
{
	memset(g.room, 0, sizeof(g.room));
	memset(&g.trid_entry, 0, sizeof(g.trid_entry));
	g.trtype = SPDK_NVME_TRANSPORT_RDMA;
	g.adrfam = SPDK_NVMF_ADRFAM_IPV4;
	g.other_trid = g.trid;
	spdk_nvme_ctrlr_get_default_ctrlr_opts(&g.ctrlr_opts, sizeof(g.ctrlr_opts));
	g.ctrlr_opts.keep_alive_timeout_ms = 0;
	g.ctrlr_opts.fabrics_connect_timeout_us = PATIENCE_US;
	spdk_nvme_ctrlr_get_default_io_qpair_opts(g.ctrlr, &g.qpair_opts, sizeof(g.qpair_opts));
	spdk_nvme_transport_get_opts(&g.transport_opts, sizeof(g.transport_opts));
	memset(&g.ext_opts, 0, sizeof(g.ext_opts));
	g.ext_opts.size = sizeof(g.ext_opts);
	memset(&g.cmd, 0, sizeof(g.cmd));
	g.cmd.opc = SPDK_NVME_OPC_READ;
	g.cmd.nsid = 1;
	memset(&g.admin_cmd, 0, sizeof(g.admin_cmd));
	g.admin_cmd.opc = SPDK_NVME_OPC_IDENTIFY;
	g.admin_cmd.cdw10 = 1;
	memset(&g.cpl, 0, sizeof(g.cpl));
	g.iov[0] = (struct iovec){g.huge, HUGE_BYTES};
	g.made = NULL;
	g.next = 0;
}

/* One call --------------------------------------------------------------------------------------------------------- */

static void
begin(const char *symbol, const char *argument, const char *value, bool tells)
{
	renew();
	g_done = 0;
	g_tells = tells;
	fprintf(stderr, "CALL %s %s %s\n", symbol, argument, value);
}

static void
end(uint64_t result, size_t size, uint64_t refused)
{
	uint64_t mask = size >= 8 ? UINT64_MAX : (UINT64_C(1) << (8 * size)) - 1;

	fprintf(stderr, "RESULT %" PRIx64 " %" PRIx64 "\n", result & mask, refused & mask);
}

/* `accepted` says that the call returned 0. */
static void
after(bool accepted)
{
	settle();
	if (g_tells) {
		check(g_done == (accepted ? 1 : 0), "one callback for a command that was accepted, none for another");
	}
}

/* A call's result as an integer, whatever its type is. */
static uint64_t
bits(const void *result, size_t size)
{
	uint64_t value = 0;

	memcpy(&value, result, size);
	return value;
}

#include "arguments.h"

static void *
mapped(size_t size)
{
	void *memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	/* Memcheck has not so much to give. Nobody looks that far. */
	if (memory == MAP_FAILED && size > 1 << 30) {
		return mapped(size / 8);
	}
	check(memory != MAP_FAILED, "address space");
	return memory;
}

int
main(void)
{
	struct spdk_nvme_ctrlr_opts opts;
	size_t i;

	begin_in_process(&g.trid);
	g.huge = mapped(HUGE_BYTES);
	g.iov = mapped(PIECES_BYTES);
	g.buffer = spdk_zmalloc(4096, 4096, NULL, SPDK_ENV_NUMA_ID_ANY, SPDK_MALLOC_DMA);
	g.nowhere = fopen("/dev/null", "w");
	check(g.buffer != NULL && g.nowhere != NULL, "memory, and a file");

	/* A host of its own, so that what is attached besides is another controller. */
	spdk_nvme_ctrlr_get_default_ctrlr_opts(&opts, sizeof(opts));
	opts.keep_alive_timeout_ms = 0;
	opts.disable_error_logging = true;
	opts.fabrics_connect_timeout_us = PATIENCE_US;
	snprintf(opts.hostnqn, sizeof(opts.hostnqn), "nqn.2024-01.test:host");
	g.ctrlr = spdk_nvme_connect(&g.trid, &opts, sizeof(opts));
	check(g.ctrlr != NULL, "a controller");
	g.ns = spdk_nvme_ctrlr_get_ns(g.ctrlr, 1);
	g.qpair = spdk_nvme_ctrlr_alloc_io_qpair(g.ctrlr, NULL, 0);
	g.group = spdk_nvme_poll_group_create(NULL, NULL);
	check(g.ns != NULL && g.qpair != NULL && g.group != NULL, "handles");
	spdk_nvme_ctrlr_get_default_io_qpair_opts(g.ctrlr, &g.qpair_opts, sizeof(g.qpair_opts));
	g.qpair_opts.create_only = true;
	g.member = spdk_nvme_ctrlr_alloc_io_qpair(g.ctrlr, &g.qpair_opts, sizeof(g.qpair_opts));
	check(g.member != NULL && spdk_nvme_poll_group_add(g.group, g.member) == 0 &&
	      spdk_nvme_ctrlr_connect_io_qpair(g.ctrlr, g.member) == 0, "a member");
	check(spdk_nvme_poll_group_get_stats(g.group, &g.stat) == 0, "statistics");

	for (i = 0; i < sizeof(g_calls) / sizeof(g_calls[0]); i++) {
		g_calls[i]();
	}
	fprintf(stderr, "CALL the end 0\n");

	spdk_nvme_poll_group_free_stats(g.group, g.stat);
	check(spdk_nvme_ctrlr_free_io_qpair(g.qpair) == 0, "the end of the qpair");
	check(spdk_nvme_ctrlr_free_io_qpair(g.member) == 0, "the end of the member");
	check(spdk_nvme_poll_group_destroy(g.group) == 0, "the end of the group");
	check(spdk_nvme_detach(g.ctrlr) == 0, "the end of the controller");
	nvme_rdma_target_stop(g_target);
	spdk_free(g.buffer);
	fclose(g.nowhere);
	spdk_env_fini();
	printf("done\n");
	return 0;
}

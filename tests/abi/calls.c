/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * Makes calls with live handles. calls.h, which a test makes of the table of entry points and of the headers, has a function for each: with
 * one argument that is NULL or a size that cannot be (bad_input.rs), or with good ones, over a stand-in for SPDK's library (live_handles.rs).
 * Each call is announced in a line of its own on stderr, where the library's lines go as well, with what it returned and what the table says
 * of a refusal, and how often the stand-in was reached, and where. No handle of this library's may ever be among what reaches it. After
 * each call what it left is awaited, and then an I/O must be good, in a group and outside of one.
 */

#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/uio.h>
#include <unistd.h>

#define SUBSYSTEM_OPTIONS ",opal,boot=128K"
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
/* How long a call and what follows of it may take, in seconds; memcheck is slow. */
#define DEADLINE 120
/* What not every test has calls for. */
#define UNUSED __attribute__((unused))

/* What the calls are made with; they may change it. */
static struct given {
	struct spdk_nvme_ctrlr *ctrlr;
	struct spdk_nvme_ns *ns;
	struct spdk_nvme_qpair *qpair;
	struct spdk_nvme_qpair *member;
	struct spdk_nvme_poll_group *group;
	struct spdk_nvme_detach_ctx *detach;
	struct spdk_nvme_probe_ctx *probe;
	struct spdk_opal_dev *dev;
	struct spdk_nvme_transport_id trid;
	struct spdk_nvme_transport_id other_trid;
	/* Of a controller that is another library's. */
	struct spdk_nvme_transport_id local_trid;
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

/* Of the owner of the controller's TPer, and of its first administrator. */
static char g_password[] = "owner's";

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

static void poll_all(void);

/* Awaits the end of an image of which nobody hears: another one is taken then, of which somebody does. */
static void
until_written(void)
{
	const unsigned int before = g_done;

	while (spdk_nvme_ctrlr_write_boot_partition(g.ctrlr, g.huge, 4, 0, done, NULL) != 0) {
		poll_all();
	}
	while (g_done == before) {
		poll_all();
	}
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

/* What reaches the stand-in for SPDK's library, where there is one ------------------------------------------------------ */

typedef void (*reached_fn)(const char *symbol, const uint64_t *arguments, size_t count);
extern void standin_tell(reached_fn reached) __attribute__((weak));

/* How often it was reached by a call, and where first. */
static unsigned int g_reached;
static const char *g_reached_at = "-";
/* All handles that the library has made lie between these. */
static uintptr_t g_first_handle = UINTPTR_MAX;
static uintptr_t g_last_handle;

static void
reached(const char *symbol, const uint64_t *arguments, size_t count)
{
	size_t i;

	if (g_reached++ == 0) {
		g_reached_at = symbol;
	}
	for (i = 0; i < count; i++) {
		if (arguments[i] >= g_first_handle && arguments[i] <= g_last_handle) {
			fprintf(stderr, "OURS argument %zu of %s was %#" PRIx64 "\n", i, symbol, arguments[i]);
		}
	}
}

static void
note_handle(const void *handle)
{
	uintptr_t address = (uintptr_t)handle;

	check(handle != NULL, "a handle");
	g_first_handle = address < g_first_handle ? address : g_first_handle;
	g_last_handle = address > g_last_handle ? address : g_last_handle;
}

/* Handles ---------------------------------------------------------------------------------------------------------- */

static struct spdk_nvme_qpair *
unconnected(void)
{
	struct spdk_nvme_io_qpair_opts opts;
	struct spdk_nvme_qpair *qpair;

	spdk_nvme_ctrlr_get_default_io_qpair_opts(g.ctrlr, &opts, sizeof(opts));
	opts.create_only = true;
	qpair = spdk_nvme_ctrlr_alloc_io_qpair(g.ctrlr, &opts, sizeof(opts));
	note_handle(qpair);
	return qpair;
}

/* A controller with all that is of it, for a host with this name. */
static void
attach(const char *hostnqn)
{
	struct spdk_nvme_ctrlr_opts opts;

	spdk_nvme_ctrlr_get_default_ctrlr_opts(&opts, sizeof(opts));
	opts.keep_alive_timeout_ms = 0;
	opts.disable_error_logging = true;
	opts.fabrics_connect_timeout_us = PATIENCE_US;
	snprintf(opts.hostnqn, sizeof(opts.hostnqn), "%s", hostnqn);
	g.ctrlr = spdk_nvme_connect(&g.trid, &opts, sizeof(opts));
	note_handle(g.ctrlr);
	g.ns = spdk_nvme_ctrlr_get_ns(g.ctrlr, 1);
	note_handle(g.ns);
	g.qpair = spdk_nvme_ctrlr_alloc_io_qpair(g.ctrlr, NULL, 0);
	note_handle(g.qpair);
	g.group = spdk_nvme_poll_group_create(NULL, NULL);
	note_handle(g.group);
	g.member = unconnected();
	check(spdk_nvme_poll_group_add(g.group, g.member) == 0 &&
	      spdk_nvme_ctrlr_connect_io_qpair(g.ctrlr, g.member) == 0, "a member");
}

static struct given g_kept;
static bool g_is_fresh;

/* Other handles, for a call that ends them. */
UNUSED static void
begin_fresh(void)
{
	alarm(DEADLINE);
	g_kept = g;
	attach("nqn.2024-01.test:fresh");
	g_is_fresh = true;
}

/* Ends what the call has left of them: most of it is of no use any more then, which the library says. */
UNUSED static void
end_fresh(void)
{
	spdk_nvme_detach_poll(g.detach);
	until_probed(g.probe);
	spdk_nvme_ctrlr_free_io_qpair(g.qpair);
	spdk_nvme_ctrlr_free_io_qpair(g.member);
	spdk_nvme_poll_group_destroy(g.group);
	spdk_nvme_detach(g.ctrlr);
	g = g_kept;
	g_is_fresh = false;
}

/* Something that the group has to be given back. */
UNUSED static struct spdk_nvme_poll_group_stat *
more_stat(void)
{
	struct spdk_nvme_poll_group_stat *stat = NULL;

	check(spdk_nvme_poll_group_get_stats(g.group, &stat) == 0, "statistics");
	return stat;
}

/* A poll group of ours without queue pairs of ours. It has another library's group, whose members there may be; the stand-in takes none. */
UNUSED static struct spdk_nvme_poll_group *
theirs_alone(void)
{
	struct spdk_nvme_poll_group *group = spdk_nvme_poll_group_create(NULL, NULL);

	note_handle(group);
	check(group != NULL && spdk_nvme_poll_group_add(group, (void *)g.room) != 0, "a group of the stand-in's");
	return group;
}

/* A handle of ours that was freed. */
UNUSED static void *
freed(void)
{
	void *group = spdk_nvme_poll_group_create(NULL, NULL);

	note_handle(group);
	check(spdk_nvme_poll_group_destroy(group) == 0, "the end of a group");
	return group;
}

/* Whether a call of Opal's ends the device that it gets. */
static bool g_ends_device;

/* A device of the call's own, of a TPer that is as far as the call wants it: with an owner unless it is to get one, activated unless it is to be. */
static void
begin_device(const char *symbol, const char *argument)
{
	g_ends_device = strcmp(symbol, "spdk_opal_dev_destruct") == 0 && strcmp(argument, "good") == 0;
	g.dev = spdk_opal_dev_construct(g.ctrlr);
	note_handle(g.dev);
	/* There is an owner where an earlier call has left one. */
	spdk_opal_cmd_revert_tper(g.dev, g_password);
	if (strcmp(symbol, "spdk_opal_cmd_take_ownership") == 0) {
		return;
	}
	check(spdk_opal_cmd_take_ownership(g.dev, g_password) == 0, "an owner");
	if (strcmp(symbol, "spdk_opal_cmd_activate_locking_sp") != 0) {
		check(spdk_opal_cmd_activate_locking_sp(g.dev, g_password) == 0, "a Locking SP");
	}
}

static void
end_device(void)
{
	if (g.dev != NULL && !g_ends_device) {
		spdk_opal_dev_destruct(g.dev);
	}
	g.dev = NULL;
}

/* One call --------------------------------------------------------------------------------------------------------- */

static const char *g_called = "nothing yet";

static void
too_late(int signal)
{
	static const char text[] = " does not end\n";

	(void)signal;
	if (write(STDERR_FILENO, g_called, strlen(g_called)) > 0 && write(STDERR_FILENO, text, sizeof(text) - 1) > 0) {
		_exit(2);
	}
	_exit(3);
}

static void
begin(const char *symbol, const char *argument, const char *value, bool tells)
{
	alarm(DEADLINE);
	g_called = symbol;
	renew();
	if (strncmp(symbol, "spdk_opal_", strlen("spdk_opal_")) == 0) {
		begin_device(symbol, argument);
	}
	g_done = 0;
	g_tells = tells;
	g_reached = 0;
	g_reached_at = "-";
	fprintf(stderr, "CALL %s %s %s\n", symbol, argument, value);
}

static void
end(uint64_t result, size_t size, uint64_t refused)
{
	uint64_t mask = size >= 8 ? UINT64_MAX : (UINT64_C(1) << (8 * size)) - 1;

	fprintf(stderr, "RESULT %" PRIx64 " %" PRIx64 " %u %s\n", result & mask, refused & mask, g_reached, g_reached_at);
}

/* `accepted` says that the call returned 0. */
static void
after(bool accepted)
{
	if (g_is_fresh) {
		return;
	}
	end_device();
	/* Some are several commands, one after the other. */
	while (g_tells && accepted && g_done == 0) {
		poll_all();
	}
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

#include "calls.h"

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
	size_t i;

	signal(SIGALRM, too_late);
	begin_in_process(&g.trid);
	g.huge = mapped(HUGE_BYTES);
	g.iov = mapped(PIECES_BYTES);
	g.buffer = spdk_zmalloc(4096, 4096, NULL, SPDK_ENV_NUMA_ID_ANY, SPDK_MALLOC_DMA);
	g.nowhere = fopen("/dev/null", "w");
	check(g.buffer != NULL && g.nowhere != NULL, "memory, and a file");
	g.local_trid.trtype = SPDK_NVME_TRANSPORT_PCIE;
	snprintf(g.local_trid.trstring, sizeof(g.local_trid.trstring), "PCIE");
	snprintf(g.local_trid.traddr, sizeof(g.local_trid.traddr), "0000:01:00.0");

	/* A host of its own, so that what is attached besides is another controller. */
	attach("nqn.2024-01.test:host");
	check(spdk_nvme_poll_group_get_stats(g.group, &g.stat) == 0, "statistics");
	if (standin_tell != NULL) {
		standin_tell(reached);
	}

	for (i = 0; i < sizeof(g_calls) / sizeof(g_calls[0]); i++) {
		g_calls[i]();
	}
	fprintf(stderr, "CALL the end 0\n");

	alarm(DEADLINE);
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

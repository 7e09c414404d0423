/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * Stands in for libspdk_nvme.so in the test of preloading: a few entry points over objects of its own, which take any
 * transport. It checks that it is only given what it made, counts its calls, and calls its own exports as the real one
 * does: through the PLT, so that a preloaded library sees its handles.
 */

#include "spdk/nvme.h"
#include "spdk/nvme_zns.h"
#include "spdk_internal/nvme_util.h"

enum { CTRLR = 0x11, NS = 0x22, QPAIR = 0x33, GROUP = 0x44, DETACH = 0x55 };

struct spdk_nvme_ns {
	int kind;
};

struct spdk_nvme_qpair {
	int kind;
	struct spdk_nvme_poll_group *group;
	spdk_nvme_cmd_cb cb_fn;
	void *cb_arg;
};

struct spdk_nvme_ctrlr {
	int kind;
	struct spdk_nvme_ns ns;
	struct spdk_nvme_ctrlr_data data;
};

struct spdk_nvme_poll_group {
	int kind;
	void *ctx;
	struct spdk_nvme_qpair *qpair;
	int told;
};

struct spdk_nvme_detach_ctx {
	int kind;
	struct spdk_nvme_ctrlr *ctrlr;
	int polls;
};

/** How often any entry point was reached. */
int standin_calls(void);

static int g_calls;

int
standin_calls(void)
{
	return g_calls;
}

#define MINE(object, its_kind) \
	do { \
		g_calls++; \
		if ((object) == NULL || (object)->kind != (its_kind)) { \
			fprintf(stderr, "%s: not an object of the stand-in\n", __func__); \
			abort(); \
		} \
	} while (0)

/* Its host NQN, unless a program says otherwise. */
static const char g_hostnqn[] = "nqn.2024-01.test:stand-in";

void
spdk_nvme_ctrlr_get_default_ctrlr_opts(struct spdk_nvme_ctrlr_opts *opts, size_t opts_size)
{
	memset(opts, 0, opts_size);
	snprintf(opts->hostnqn, sizeof(opts->hostnqn), "%s", g_hostnqn);
}

/* As the real one, it makes a controller with the default options of whoever is asked first, and then looks for one that has the
 * program's host NQN, or its own default. */
struct spdk_nvme_ctrlr *
spdk_nvme_connect(const struct spdk_nvme_transport_id *trid, const struct spdk_nvme_ctrlr_opts *opts, size_t opts_size)
{
	struct spdk_nvme_ctrlr *ctrlr = calloc(1, sizeof(*ctrlr));
	struct spdk_nvme_ctrlr_opts made_with;
	const char *wanted = opts != NULL ? opts->hostnqn : g_hostnqn;

	(void)trid;
	g_calls++;
	if (ctrlr == NULL) {
		abort();
	}
	spdk_nvme_ctrlr_get_default_ctrlr_opts(&made_with, sizeof(made_with));
	if (opts != NULL) {
		memcpy(&made_with, opts, opts_size < sizeof(made_with) ? opts_size : sizeof(made_with));
	}
	if (strcmp(made_with.hostnqn, wanted) != 0) {
		free(ctrlr);
		return NULL;
	}
	ctrlr->kind = CTRLR;
	ctrlr->ns.kind = NS;
	ctrlr->data.cntlid = 4711;
	return ctrlr;
}

int
spdk_nvme_probe(const struct spdk_nvme_transport_id *trid, void *cb_ctx, spdk_nvme_probe_cb probe_cb,
		spdk_nvme_attach_cb attach_cb, spdk_nvme_remove_cb remove_cb)
{
	struct spdk_nvme_ctrlr_opts opts = {0};

	(void)remove_cb;
	g_calls++;
	if (trid != NULL && probe_cb(cb_ctx, trid, &opts)) {
		attach_cb(cb_ctx, trid, spdk_nvme_connect(trid, &opts, sizeof(opts)), &opts);
	}
	return 0;
}

int
spdk_nvme_detach(struct spdk_nvme_ctrlr *ctrlr)
{
	MINE(ctrlr, CTRLR);
	ctrlr->kind = 0;
	free(ctrlr);
	return 0;
}

int
spdk_nvme_detach_async(struct spdk_nvme_ctrlr *ctrlr, struct spdk_nvme_detach_ctx **detach_ctx)
{
	MINE(ctrlr, CTRLR);
	if (*detach_ctx == NULL) {
		*detach_ctx = calloc(1, sizeof(**detach_ctx));
		if (*detach_ctx == NULL) {
			abort();
		}
		(*detach_ctx)->kind = DETACH;
	}
	MINE(*detach_ctx, DETACH);
	(*detach_ctx)->ctrlr = ctrlr;
	return 0;
}

int
spdk_nvme_detach_poll_async(struct spdk_nvme_detach_ctx *detach_ctx)
{
	MINE(detach_ctx, DETACH);
	if (detach_ctx->polls++ < 3) {
		return -EAGAIN;
	}
	spdk_nvme_detach(detach_ctx->ctrlr);
	free(detach_ctx);
	return 0;
}

void
spdk_nvme_detach_poll(struct spdk_nvme_detach_ctx *detach_ctx)
{
	while (spdk_nvme_detach_poll_async(detach_ctx) == -EAGAIN) {
	}
}

const struct spdk_nvme_ctrlr_data *
spdk_nvme_ctrlr_get_data(struct spdk_nvme_ctrlr *ctrlr)
{
	MINE(ctrlr, CTRLR);
	return &ctrlr->data;
}

struct spdk_nvme_ns *
spdk_nvme_ctrlr_get_ns(struct spdk_nvme_ctrlr *ctrlr, uint32_t ns_id)
{
	MINE(ctrlr, CTRLR);
	return ns_id == 1 ? &ctrlr->ns : NULL;
}

uint32_t
spdk_nvme_ns_get_sector_size(struct spdk_nvme_ns *ns)
{
	MINE(ns, NS);
	return 4096;
}

struct spdk_nvme_qpair *
spdk_nvme_ctrlr_alloc_io_qpair(struct spdk_nvme_ctrlr *ctrlr, const struct spdk_nvme_io_qpair_opts *opts,
			       size_t opts_size)
{
	struct spdk_nvme_qpair *qpair = calloc(1, sizeof(*qpair));

	(void)opts, (void)opts_size;
	MINE(ctrlr, CTRLR);
	if (qpair == NULL) {
		abort();
	}
	qpair->kind = QPAIR;
	return qpair;
}

int
spdk_nvme_ctrlr_free_io_qpair(struct spdk_nvme_qpair *qpair)
{
	MINE(qpair, QPAIR);
	if (qpair->group != NULL) {
		/* A group of its own, given to an export of its own. */
		spdk_nvme_poll_group_remove(qpair->group, qpair);
	}
	qpair->kind = 0;
	free(qpair);
	return 0;
}

int
spdk_nvme_ns_cmd_read(struct spdk_nvme_ns *ns, struct spdk_nvme_qpair *qpair, void *payload, uint64_t lba,
		      uint32_t lba_count, spdk_nvme_cmd_cb cb_fn, void *cb_arg, uint32_t io_flags)
{
	(void)io_flags;
	MINE(ns, NS);
	MINE(qpair, QPAIR);
	memset(payload, (int)(lba + lba_count), 16);
	qpair->cb_fn = cb_fn;
	qpair->cb_arg = cb_arg;
	return 0;
}

int32_t
spdk_nvme_qpair_process_completions(struct spdk_nvme_qpair *qpair, uint32_t max_completions)
{
	struct spdk_nvme_cpl cpl = {0};
	spdk_nvme_cmd_cb cb_fn = qpair->cb_fn;

	(void)max_completions;
	MINE(qpair, QPAIR);
	if (cb_fn == NULL) {
		return 0;
	}
	qpair->cb_fn = NULL;
	cb_fn(qpair->cb_arg, &cpl);
	return 1;
}

struct spdk_nvme_poll_group *
spdk_nvme_poll_group_create(void *ctx, struct spdk_nvme_accel_fn_table *table)
{
	struct spdk_nvme_poll_group *group = calloc(1, sizeof(*group));

	(void)table;
	g_calls++;
	if (group == NULL) {
		abort();
	}
	group->kind = GROUP;
	group->ctx = ctx;
	return group;
}

int
spdk_nvme_poll_group_add(struct spdk_nvme_poll_group *group, struct spdk_nvme_qpair *qpair)
{
	MINE(group, GROUP);
	MINE(qpair, QPAIR);
	group->qpair = qpair;
	qpair->group = group;
	return 0;
}

int
spdk_nvme_poll_group_remove(struct spdk_nvme_poll_group *group, struct spdk_nvme_qpair *qpair)
{
	MINE(group, GROUP);
	MINE(qpair, QPAIR);
	if (group->qpair != qpair) {
		return -ENOENT;
	}
	group->qpair = NULL;
	qpair->group = NULL;
	return 0;
}

int64_t
spdk_nvme_poll_group_process_completions(struct spdk_nvme_poll_group *group, uint32_t completions_per_qpair,
					 spdk_nvme_disconnected_qpair_cb disconnected_qpair_cb)
{
	int64_t done;

	MINE(group, GROUP);
	if (group->qpair == NULL) {
		return 0;
	}
	/* A queue pair of its own, given to an export of its own. */
	done = spdk_nvme_qpair_process_completions(group->qpair, completions_per_qpair);
	if (done == 0 && !group->told) {
		group->told = 1;
		disconnected_qpair_cb(group->qpair, group->ctx);
	}
	return done;
}

int
spdk_nvme_poll_group_destroy(struct spdk_nvme_poll_group *group)
{
	MINE(group, GROUP);
	if (group->qpair != NULL) {
		return -EBUSY;
	}
	group->kind = 0;
	free(group);
	return 0;
}

/* Transports: PCIe, RDMA, and one that a program brings. */
static char g_brought[33] = "none";
static struct spdk_nvme_transport_opts g_transport_opts = {
	.opts_size = sizeof(g_transport_opts), .rdma_cm_event_timeout_ms = 1000, .tcp_connect_timeout_ms = 7,
};

bool
spdk_nvme_transport_available(enum spdk_nvme_transport_type trtype)
{
	g_calls++;
	return trtype == SPDK_NVME_TRANSPORT_PCIE || trtype == SPDK_NVME_TRANSPORT_RDMA;
}

bool
spdk_nvme_transport_available_by_name(const char *transport_name)
{
	g_calls++;
	return strcmp(transport_name, "RDMA") == 0 || strcmp(transport_name, g_brought) == 0;
}

void
spdk_nvme_transport_register(const struct spdk_nvme_transport_ops *ops)
{
	g_calls++;
	memcpy(g_brought, ops, sizeof(g_brought));
}

void
spdk_nvme_transport_get_opts(struct spdk_nvme_transport_opts *opts, size_t opts_size)
{
	g_calls++;
	memcpy(opts, &g_transport_opts, opts_size);
}

int
spdk_nvme_transport_set_opts(const struct spdk_nvme_transport_opts *opts, size_t opts_size)
{
	g_calls++;
	memcpy(&g_transport_opts, opts, opts_size);
	return 0;
}

/* What our headers do not declare yet, as our library does not have it. */
int spdk_nvme_ctrlr_authenticate(struct spdk_nvme_ctrlr *ctrlr, void (*cb_fn)(void *cb_ctx, int status), void *cb_ctx);

int
spdk_nvme_ctrlr_authenticate(struct spdk_nvme_ctrlr *ctrlr, void (*cb_fn)(void *cb_ctx, int status), void *cb_ctx)
{
	MINE(ctrlr, CTRLR);
	cb_fn(cb_ctx, 81);
	return 18;
}

int
spdk_nvme_poll_group_get_stats(struct spdk_nvme_poll_group *group, struct spdk_nvme_poll_group_stat **stats)
{
	(void)stats;
	MINE(group, GROUP);
	return 0;
}

int
spdk_nvme_build_name(char *name, size_t length, struct spdk_nvme_ctrlr *ctrlr, struct spdk_nvme_ns *ns)
{
	MINE(ctrlr, CTRLR);
	MINE(ns, NS);
	return snprintf(name, length, "stand-in");
}

void
spdk_nvme_qpair_print_command(struct spdk_nvme_qpair *qpair, struct spdk_nvme_cmd *cmd)
{
	(void)cmd;
	MINE(qpair, QPAIR);
}

int
spdk_nvme_trid_entry_parse(struct spdk_nvme_trid_entry *trid_entry, const char *str)
{
	/* Of an older release, whose entry is shorter: nothing behind this member may be touched. */
	g_calls++;
	trid_entry->nsid = (uint16_t)str[0];
	return 17;
}

int
spdk_nvme_transport_id_parse(struct spdk_nvme_transport_id *trid, const char *str)
{
	/* As much as the test without a preloaded library needs. */
	g_calls++;
	trid->trtype = strstr(str, "RDMA") ? SPDK_NVME_TRANSPORT_RDMA : SPDK_NVME_TRANSPORT_TCP;
	return 0;
}

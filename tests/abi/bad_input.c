/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * Calls every entry point that takes a handle with handles that are none: NULL, a stale one, a live one of another kind, another
 * library's. entries.h, which the test makes of the table of entry points, has them all. Each call is announced in a line of its own
 * on stderr, where the library's lines go as well, with what it returned and what it should have.
 */

#include <inttypes.h>

#define SUBSYSTEM_OPTIONS ",opal"
#include "in_process.h"
#include "spdk/opal.h"

typedef uintptr_t (*call)(uintptr_t, uintptr_t, uintptr_t, uintptr_t, uintptr_t, uintptr_t, uintptr_t, uintptr_t,
			  uintptr_t, uintptr_t, uintptr_t, uintptr_t, uintptr_t, uintptr_t, uintptr_t, uintptr_t);

struct entry {
	const char *name;
	void (*function)(void);
	/* For each argument the letter of the handle that it is, or how many bytes it has, as a digit. */
	const char *arguments;
	/* Bytes of the result, 0 for none. */
	unsigned int size;
	uint64_t refused;
	/* The kinds of handles that no other library's may be beside one of ours for. */
	const char *mixed;
	/* Whether it is not there yet: then live handles of ours are refused as well. */
	int is_stub;
};

/* The stand-in for SPDK's library, where there is one, says there that it was reached. */
typedef void (*reached_fn)(const char *symbol, const uint64_t *arguments, size_t count);
extern void standin_tell(reached_fn reached) __attribute__((weak));

#include "entries.h"

enum { CTRLR, NS, QPAIR, GROUP, DETACH, PROBE, OPAL, KINDS };

static const char g_letters[] = "cnqgdpo";
static void *g_live[KINDS];
static void *g_stale[KINDS];

/* What is being called, and with what. */
static const struct entry *g_entry;
static uintptr_t g_arguments[16];
/* How often the stand-in was reached by that; more than once also where something else was reached than what is called. */
static unsigned long g_reached;

static void
reached(const char *symbol, const uint64_t *arguments, size_t count)
{
	size_t i;

	g_reached++;
	for (i = 0; i < count; i++) {
		if (strcmp(symbol, g_entry->name) != 0 || arguments[i] != g_arguments[i]) {
			fprintf(stderr, "argument %zu of %s came as %" PRIx64 "\n", i, symbol, arguments[i]);
			g_reached = 99;
		}
	}
}

static void
try_with(const struct entry *entry, const char *how, size_t place, void *handle, int others_live)
{
	uintptr_t *a = g_arguments;
	uint64_t result, mask;
	size_t i;

	memset(g_arguments, 0, sizeof(g_arguments));
	g_entry = entry;
	for (i = 0; entry->arguments[i] != '\0'; i++) {
		const char *letter = strchr(g_letters, entry->arguments[i]);

		if (letter != NULL && others_live) {
			a[i] = (uintptr_t)g_live[letter - g_letters];
		} else if (letter != NULL && place == SIZE_MAX) {
			a[i] = (uintptr_t)handle;
		}
	}
	if (place != SIZE_MAX) {
		a[place] = (uintptr_t)handle;
	}
	g_reached = 0;
	fprintf(stderr, "CALL %s %s %d\n", entry->name, how, place == SIZE_MAX ? -1 : (int)place);
	result = ((call)entry->function)(a[0], a[1], a[2], a[3], a[4], a[5], a[6], a[7], a[8], a[9], a[10], a[11], a[12],
					 a[13], a[14], a[15]);
	mask = entry->size >= 8 ? UINT64_MAX : (UINT64_C(1) << (8 * entry->size)) - 1;
	fprintf(stderr, "RESULT %" PRIx64 " %" PRIx64 " %lu\n", result & mask, entry->refused & mask, g_reached);
}

static void
prepare(struct spdk_nvme_transport_id *trid)
{
	struct spdk_nvme_io_qpair_opts opts;
	struct spdk_nvme_ctrlr_opts ctrlr_opts;
	struct spdk_nvme_ctrlr *ctrlr;

	/* A checker of memory, or a machine that does other things, takes its time. */
	spdk_nvme_ctrlr_get_default_ctrlr_opts(&ctrlr_opts, sizeof(ctrlr_opts));
	ctrlr_opts.keep_alive_timeout_ms = 0;
	ctrlr_opts.fabrics_connect_timeout_us = PATIENCE_US;
	ctrlr = spdk_nvme_connect(trid, &ctrlr_opts, sizeof(ctrlr_opts));
	check(ctrlr != NULL, "a controller to detach");
	g_stale[CTRLR] = ctrlr;
	g_stale[NS] = spdk_nvme_ctrlr_get_ns(ctrlr, 1);
	check(g_stale[NS] != NULL, "a namespace");
	g_stale[QPAIR] = spdk_nvme_ctrlr_alloc_io_qpair(ctrlr, NULL, 0);
	check(g_stale[QPAIR] != NULL, "a qpair");
	g_stale[GROUP] = spdk_nvme_poll_group_create(NULL, NULL);
	check(spdk_nvme_poll_group_destroy(g_stale[GROUP]) == 0, "the end of a group");
	check(spdk_nvme_detach_async(ctrlr, (struct spdk_nvme_detach_ctx **)&g_stale[DETACH]) == 0, "a detach");
	spdk_nvme_detach_poll(g_stale[DETACH]);
	g_stale[PROBE] = spdk_nvme_connect_async(trid, &ctrlr_opts, NULL);
	check(g_stale[PROBE] != NULL, "a probe");
	while (spdk_nvme_probe_poll_async(g_stale[PROBE]) != 0) {
		poll_target(g_target);
	}

	g_live[CTRLR] = spdk_nvme_connect(trid, &ctrlr_opts, sizeof(ctrlr_opts));
	check(g_live[CTRLR] != NULL, "a controller");
	g_live[NS] = spdk_nvme_ctrlr_get_ns(g_live[CTRLR], 1);
	spdk_nvme_ctrlr_get_default_io_qpair_opts(g_live[CTRLR], &opts, sizeof(opts));
	g_live[QPAIR] = spdk_nvme_ctrlr_alloc_io_qpair(g_live[CTRLR], &opts, sizeof(opts));
	g_live[GROUP] = spdk_nvme_poll_group_create(NULL, NULL);
	check(g_live[NS] != NULL && g_live[QPAIR] != NULL && g_live[GROUP] != NULL, "what is live");
	g_stale[OPAL] = spdk_opal_dev_construct(g_live[CTRLR]);
	check(g_stale[OPAL] != NULL, "a device of Opal");
	spdk_opal_dev_destruct(g_stale[OPAL]);
	g_live[OPAL] = spdk_opal_dev_construct(g_live[CTRLR]);
	check(g_live[OPAL] != NULL, "another one");
	/* There is no detach or probe context for long: NULL stands in for one. */
}

int
main(void)
{
	static char foreign[4096];
	struct spdk_nvme_transport_id trid;
	size_t i, j;
	int k;

	begin_in_process(&trid);
	prepare(&trid);

	if (standin_tell != NULL) {
		standin_tell(reached);
	}
	for (i = 0; i < sizeof(g_entries) / sizeof(g_entries[0]); i++) {
		const struct entry *entry = &g_entries[i];

		try_with(entry, "null", SIZE_MAX, NULL, 0);
		try_with(entry, "foreign", SIZE_MAX, foreign, 0);
		if (entry->is_stub) {
			try_with(entry, "live", SIZE_MAX, NULL, 1);
		}
		for (j = 0; entry->arguments[j] != '\0'; j++) {
			const char *letter = strchr(g_letters, entry->arguments[j]);

			if (letter == NULL) {
				continue;
			}
			k = (int)(letter - g_letters);
			try_with(entry, "stale", j, g_stale[k], 1);
			try_with(entry, "other", j, g_live[k == CTRLR ? NS : CTRLR], 1);
			/* Beside a live one of ours: neither may reach another library. */
			if (strchr(entry->mixed, entry->arguments[j]) != NULL) {
				try_with(entry, "mixed", j, foreign, 1);
			}
		}
	}
	fprintf(stderr, "CALL the end 0\n");
	if (standin_tell != NULL) {
		standin_tell(NULL);
	}

	/* Nothing was hurt. */
	check(spdk_nvme_qpair_is_connected(g_live[QPAIR]) && spdk_nvme_ns_is_active(g_live[NS]), "what was live");
	check(spdk_opal_get_d0_features_info(g_live[OPAL]) != NULL, "what was a device");
	spdk_opal_dev_destruct(g_live[OPAL]);
	check(spdk_nvme_ctrlr_free_io_qpair(g_live[QPAIR]) == 0, "the end of the qpair");
	check(spdk_nvme_poll_group_destroy(g_live[GROUP]) == 0, "the end of the group");
	check(spdk_nvme_detach(g_live[CTRLR]) == 0, "the end of the controller");
	nvme_rdma_target_stop(g_target);
	spdk_env_fini();
	printf("done\n");
	return 0;
}

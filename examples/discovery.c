/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * discovery -r TRID: asks the discovery service at that address what it knows, prints it, and attaches every controller that can be reached over RDMA.
 * The NQN of the TRID does not matter, and may be left out.
 *
 * Two ways to the same knowledge:
 *   1. spdk_nvme_connect() with the discovery NQN gives the discovery controller itself, whose log can be read
 *   2. spdk_nvme_probe() with it reads the log inside, and asks for each entry whether to attach it
 */

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "spdk/env.h"
#include "spdk/nvme.h"

#define MOST_CONTROLLERS 64

/* 1. The log -------------------------------------------------------------------------------------------------------- */

struct reading {
	bool done;
	bool good;
};

/* Fields of the log are padded with spaces, and a peer wrote them: nothing in them is to be trusted, not even that they end. */
static void print_field(const char *name, const void *field, size_t size)
{
	const char *text = field;
	size_t index;

	printf("  %s ", name);
	for (index = 0; index < size && text[index] != '\0' && text[index] != ' '; index++) {
		putchar(text[index] > ' ' && text[index] <= '~' ? text[index] : '?');
	}
	putchar('\n');
}

/* The log is the program's, to be given back with free(). */
static void on_log(void *argument, int rc, const struct spdk_nvme_cpl *cpl, struct spdk_nvmf_discovery_log_page *log)
{
	struct reading *reading = argument;
	uint64_t index;

	reading->done = true;
	reading->good = rc == 0 && cpl != NULL && !spdk_nvme_cpl_is_error(cpl) && log != NULL;
	for (index = 0; reading->good && index < log->numrec; index++) {
		const struct spdk_nvmf_discovery_log_page_entry *entry = &log->entries[index];

		printf("Entry %llu: %s over %s\n", (unsigned long long)index,
		       entry->subtype == SPDK_NVMF_SUBTYPE_NVME ? "a subsystem" : "a discovery service",
		       entry->trtype == SPDK_NVMF_TRTYPE_RDMA ? "RDMA" : "another transport");
		print_field("subnqn", entry->subnqn, sizeof(entry->subnqn));
		print_field("traddr", entry->traddr, sizeof(entry->traddr));
		print_field("trsvcid", entry->trsvcid, sizeof(entry->trsvcid));
	}
	free(log);
}

static bool print_log(const struct spdk_nvme_transport_id *trid)
{
	struct spdk_nvme_ctrlr *ctrlr = spdk_nvme_connect(trid, NULL, 0);
	struct reading reading = {false, false};

	if (ctrlr == NULL) {
		return false;
	}
	/* An admin command: its callback comes from a poll of the Admin Queue. */
	if (spdk_nvme_ctrlr_get_discovery_log_page(ctrlr, on_log, &reading) == 0) {
		while (!reading.done && spdk_nvme_ctrlr_process_admin_completions(ctrlr) >= 0) {
		}
	}
	/* Should the controller have been lost meanwhile, the reading ends here, with its callback. */
	spdk_nvme_detach(ctrlr);
	return reading.good;
}

/* 2. All controllers ------------------------------------------------------------------------------------------------ */

struct controllers {
	struct spdk_nvme_ctrlr *handles[MOST_CONTROLLERS];
	unsigned count;
};

/* One was found: whether to attach it, and, by opts, how. */
static bool on_found(void *context, const struct spdk_nvme_transport_id *trid, struct spdk_nvme_ctrlr_opts *opts)
{
	const struct controllers *controllers = context;

	(void)trid;
	(void)opts;
	return controllers->count < MOST_CONTROLLERS;
}

/* One is attached. */
static void on_attached(void *context, const struct spdk_nvme_transport_id *trid, struct spdk_nvme_ctrlr *ctrlr,
			const struct spdk_nvme_ctrlr_opts *opts)
{
	struct controllers *controllers = context;
	uint32_t nsid = spdk_nvme_ctrlr_get_first_active_ns(ctrlr);

	(void)opts;
	printf("Attached %s", trid->subnqn);
	if (nsid != 0) {
		printf(", whose first namespace has %llu bytes",
		       (unsigned long long)spdk_nvme_ns_get_size(spdk_nvme_ctrlr_get_ns(ctrlr, nsid)));
	}
	putchar('\n');
	if (controllers->count < MOST_CONTROLLERS) {
		controllers->handles[controllers->count++] = ctrlr;
	} else {
		spdk_nvme_detach(ctrlr); /* several were found before the first was attached */
	}
}

static bool attach_all(const struct spdk_nvme_transport_id *trid)
{
	struct controllers controllers = {{NULL}, 0};
	struct spdk_nvme_detach_ctx *context = NULL;
	int rc = spdk_nvme_probe(trid, &controllers, on_found, on_attached, NULL);
	unsigned index;

	/* Here would be what the program is for. */
	printf("%u controllers are attached\n", controllers.count);

	/* All of them go together: it takes as long as the slowest one, not as long as all. */
	for (index = 0; index < controllers.count; index++) {
		spdk_nvme_detach_async(controllers.handles[index], &context);
	}
	if (context != NULL) {
		spdk_nvme_detach_poll(context);
	}
	return rc == 0 && controllers.count != 0;
}

int main(int argc, char **argv)
{
	struct spdk_nvme_transport_id trid;
	struct spdk_env_opts opts;
	bool good;

	memset(&trid, 0, sizeof(trid));
	if (argc != 3 || strcmp(argv[1], "-r") != 0 || spdk_nvme_transport_id_parse(&trid, argv[2]) != 0) {
		fprintf(stderr, "usage: %s -r 'trtype:RDMA adrfam:IPv4 traddr:ADDRESS trsvcid:PORT'\n", argv[0]);
		return 1;
	}
	snprintf(trid.subnqn, sizeof(trid.subnqn), "%s", SPDK_NVMF_DISCOVERY_NQN);

	memset(&opts, 0, sizeof(opts));
	opts.opts_size = sizeof(opts);
	spdk_env_opts_init(&opts);
	opts.name = "discovery";
	if (spdk_env_init(&opts) != 0) {
		return 1;
	}
	good = print_log(&trid) && attach_all(&trid);
	spdk_env_fini();
	return good ? 0 : 1;
}

/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * The bug that this project started with, SPDK issue 3569 (T43, T44, T45 of the catalogue), as it really happens.
 *
 * A program has more qpairs than requests: for each namespace one poll group with 8 qpairs, and 4 requests that go
 * round among them. The target goes away while its answers are slow. The qpairs that had a request notice at once;
 * the idle ones are still disconnecting when the namespace's last request is aborted. At that moment the program has
 * nothing left to wait for, so it stops polling the group and frees its qpairs, the disconnecting ones too. The free
 * used to take such a qpair out of its group before it had given its poller back, and the release then tripped over
 * the group that was no longer there.
 *
 * Three ways to let go of a namespace's qpairs take turns: free them (S01, S24); disconnect and at once free them
 * (S02); disconnect, remove from the group, which may be refused as long as they disconnect, and free them (S03).
 *
 * What must hold, whatever the timing: each accepted request is called back exactly once, each free, destroy and
 * detach succeeds, nothing hangs. Runs on any RDMA: softverbs, soft RoCE in a virtual machine, a real device.
 */

#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "spdk/env.h"
#include "spdk/nvme.h"

#include "common.h"
#include "ledger.h"

#define PROGRAM "t43_seed"

/* Deadlines that only a failure reaches: they have to hold in an emulated machine under load. */
#define CONNECT_SECONDS 120.0
/* From the first failure on, everything has to be over within this. */
#define END_SECONDS 60.0
#define ADMIN_SECONDS 0.1
/* Beyond all deadlines of its own. */
#define WATCHDOG_SECONDS 180u

#define MAX_SUBSYSTEMS 64
#define MAX_QPAIRS 64
#define MAX_DEPTH 256

enum let_go {
	LET_GO_FREE,
	LET_GO_DISCONNECT,
	LET_GO_REMOVE,
	LET_GO_WAYS, /* all of them in turn */
};

struct options {
	struct spdk_nvme_transport_id trids[MAX_SUBSYSTEMS];
	uint32_t subsystems;
	uint32_t qpairs;
	uint32_t depth;
	uint32_t io_size;
	uint32_t seconds;
	enum let_go let_go;
	bool at_end; /* let go only when every namespace is done */
};

struct namespace;

struct request {
	struct namespace *owner;
	uint32_t qpair; /* by its number, whose turn it is */
	void *buffer;
	enum io_state state;
};

/* One subsystem: a controller, its first namespace, and the poll group with the qpairs to it. */
struct namespace {
	struct spdk_nvme_ctrlr *ctrlr;
	struct spdk_nvme_ns *ns;
	struct spdk_nvme_poll_group *group;
	struct spdk_nvme_qpair *qpairs[MAX_QPAIRS];
	uint32_t qpair_count;
	uint32_t next_qpair;
	uint64_t places; /* requests that fit the namespace */
	uint32_t io_blocks;
	struct request requests[MAX_DEPTH];
	uint8_t *buffers;
	struct ledger ledger;
	bool reported[MAX_QPAIRS]; /* qpairs that the group called disconnected */
	bool has_written[MAX_QPAIRS]; /* qpairs that brought back a write */
	uint32_t writers;      /* how many that are */
	bool failed;           /* something came back with an error: nothing is submitted any more */
	bool over;             /* time is up: nothing is submitted any more */
	bool let_go;           /* qpairs and group are gone */
};

static struct namespace g_namespaces[MAX_SUBSYSTEMS];
static uint64_t g_random = 0x2545f4914f6cdd1dull;
static bool g_wrong; /* something happened that must not */

static void usage(FILE *out)
{
	fprintf(out,
		"usage: " PROGRAM " -r TRID [-r TRID ...] [options]\n"
		"\n"
		"The scenario of SPDK issue 3569: keeps fewer requests than qpairs in flight on each namespace, waits for the\n"
		"target to go away, and then frees qpairs that are still disconnecting. OVERWRITES THE NAMESPACES.\n"
		"\n"
		"  -r, --trid TRID        'traddr:ADDRESS trsvcid:PORT subnqn:NQN'; may come several times\n"
		"  -s, --subsystems N     with one -r whose NQN holds %%d: use it N times with %%d = 1 to N\n"
		"  -P, --qpairs N         qpairs for each namespace, in one poll group for each (default 8)\n"
		"  -q, --depth N          requests in flight on each namespace, all its qpairs together (default 4)\n"
		"  -o, --io-size BYTES    bytes of each random write (default 45056)\n"
		"  -t, --time SECONDS     how long to write if nothing fails (default 10)\n"
		"  -g, --let-go HOW       free, disconnect (then free), remove (disconnect, remove from group, then free), or\n"
		"                         mixed: the subsystems take turns (default)\n"
		"  -e, --at-end           free only when all namespaces are done, as spdk_nvme_perf does; otherwise each at once\n"
		"  -h, --help             this text\n"
		"\n"
		"Prints 'running' when each qpair is connected and has brought back a write.\n"
		"\n"
		"Exit status: 2 the target went away and everything ended as it should; 0 time was up and nothing failed;\n"
		"1 something went wrong: bad usage, no connection, a request lost or called back twice, a release refused.\n");
}

static void wrong(const char *what, int rc)
{
	fprintf(stderr, PROGRAM ": %s: %s\n", what, strerror(abs(rc)));
	g_wrong = true;
}

static bool read_number(const char *option, const char *text, uint32_t minimum, uint32_t maximum, uint32_t *value)
{
	uint64_t number;

	if (size_read(text, maximum, &number) && number >= minimum) {
		*value = (uint32_t)number;
		return true;
	}
	fprintf(stderr, PROGRAM ": %s %s: a number from %u to %u is needed\n", option, text, minimum, maximum);
	return false;
}

static bool read_let_go(const char *text, enum let_go *let_go)
{
	static const char *const names[] = {"free", "disconnect", "remove", "mixed"};
	unsigned index;

	for (index = 0; index < sizeof(names) / sizeof(names[0]); index++) {
		if (strcmp(text, names[index]) == 0) {
			*let_go = (enum let_go)index;
			return true;
		}
	}
	fprintf(stderr, PROGRAM ": --let-go %s: free, disconnect, remove or mixed\n", text);
	return false;
}

/* One transport id with %d in its NQN becomes `count` of them. */
static bool number_subsystems(struct options *options, uint32_t count)
{
	struct spdk_nvme_transport_id template = options->trids[0];
	const char *place = strstr(template.subnqn, "%d");
	uint32_t index;

	if (options->subsystems != 1 || place == NULL) {
		fprintf(stderr, PROGRAM ": --subsystems needs one -r with %%d in its subnqn\n");
		return false;
	}
	for (index = 0; index < count; index++) {
		struct spdk_nvme_transport_id *trid = &options->trids[index];
		int length;

		*trid = template;
		length = snprintf(trid->subnqn, sizeof(trid->subnqn), "%.*s%u%s", (int)(place - template.subnqn),
				  template.subnqn, index + 1, place + 2);
		if (length < 0 || (size_t)length >= sizeof(trid->subnqn)) {
			fprintf(stderr, PROGRAM ": the subnqn is too long\n");
			return false;
		}
	}
	options->subsystems = count;
	return true;
}

static bool parse_options(struct options *options, int argc, char **argv, enum exit_status *status)
{
	static const struct option names[] = {
		{"trid", required_argument, NULL, 'r'},    {"subsystems", required_argument, NULL, 's'},
		{"qpairs", required_argument, NULL, 'P'},  {"depth", required_argument, NULL, 'q'},
		{"io-size", required_argument, NULL, 'o'}, {"time", required_argument, NULL, 't'},
		{"let-go", required_argument, NULL, 'g'},  {"at-end", no_argument, NULL, 'e'},
		{"help", no_argument, NULL, 'h'},          {NULL, 0, NULL, 0},
	};
	uint32_t count = 0;
	bool good = true;
	int letter;

	*options = (struct options){.qpairs = 8, .depth = 4, .io_size = 45056, .seconds = 10, .let_go = LET_GO_WAYS};
	*status = EXIT_WRONG;
	while (good && (letter = getopt_long(argc, argv, "r:s:P:q:o:t:g:eh", names, NULL)) != -1) {
		switch (letter) {
		case 'r':
			if (options->subsystems == MAX_SUBSYSTEMS) {
				fprintf(stderr, PROGRAM ": at most %d subsystems\n", MAX_SUBSYSTEMS);
				good = false;
				break;
			}
			good = trid_read(&options->trids[options->subsystems], optarg);
			options->subsystems++;
			break;
		case 's':
			good = read_number("--subsystems", optarg, 1, MAX_SUBSYSTEMS, &count);
			break;
		case 'P':
			good = read_number("--qpairs", optarg, 1, MAX_QPAIRS, &options->qpairs);
			break;
		case 'q':
			good = read_number("--depth", optarg, 1, MAX_DEPTH, &options->depth);
			break;
		case 'o':
			good = read_number("--io-size", optarg, 512, 16u << 20, &options->io_size);
			break;
		case 't':
			good = read_number("--time", optarg, 1, 24 * 3600, &options->seconds);
			break;
		case 'g':
			good = read_let_go(optarg, &options->let_go);
			break;
		case 'e':
			options->at_end = true;
			break;
		case 'h':
			usage(stdout);
			*status = EXIT_GOOD;
			return false;
		default:
			good = false;
			break;
		}
	}
	if (good && optind < argc) {
		fprintf(stderr, PROGRAM ": what is '%s'?\n", argv[optind]);
		good = false;
	}
	if (good && options->subsystems == 0) {
		fprintf(stderr, PROGRAM ": -r TRID is needed\n");
		good = false;
	}
	if (good && count != 0) {
		good = number_subsystems(options, count);
	}
	if (!good) {
		fprintf(stderr, "Try '" PROGRAM " --help'.\n");
	}
	return good;
}

static void submit(struct request *request);

static void on_complete(void *argument, const struct spdk_nvme_cpl *cpl)
{
	struct request *request = argument;
	struct namespace *owner = request->owner;

	switch (ledger_end(&owner->ledger, &request->state, cpl)) {
	case IO_COMPLETED:
		owner->writers += !owner->has_written[request->qpair];
		owner->has_written[request->qpair] = true;
		if (!owner->failed && !owner->over) {
			submit(request);
		}
		break;
	case IO_ABORTED:
	case IO_FAILED:
		owner->failed = true;
		break;
	case IO_STRAY:
		break;
	}
}

static void submit(struct request *request)
{
	struct namespace *owner = request->owner;
	uint64_t lba = random_next(&g_random) % owner->places * owner->io_blocks;
	uint32_t turn = owner->next_qpair;
	int rc;

	owner->next_qpair = (turn + 1) % owner->qpair_count;
	request->qpair = turn;
	ledger_begin(&owner->ledger, &request->state);
	rc = spdk_nvme_ns_cmd_write(owner->ns, owner->qpairs[turn], request->buffer, lba, owner->io_blocks, on_complete,
				    request, 0);
	if (rc != 0) {
		/* A qpair that has failed refuses; that ends this namespace like a failed request does. */
		ledger_refuse(&owner->ledger, &request->state);
		owner->failed = true;
	}
}

static void on_disconnected(struct spdk_nvme_qpair *qpair, void *argument)
{
	struct namespace *owner = argument;
	uint32_t index;

	/* The group says so at each poll, until the qpair is freed. */
	for (index = 0; index < owner->qpair_count; index++) {
		owner->reported[index] = owner->reported[index] || owner->qpairs[index] == qpair;
	}
	owner->failed = true;
}

static void poll_namespace(struct namespace *owner)
{
	if (spdk_nvme_poll_group_process_completions(owner->group, 0, on_disconnected) < 0) {
		owner->failed = true;
	}
}

/* Keep Alives have to go out in time, while the other subsystems are being connected too. */
static void poll_admin_queues(const struct options *options)
{
	static double next;
	uint32_t index;

	if (!deadline_passed(next)) {
		return;
	}
	next = deadline_in(ADMIN_SECONDS);
	for (index = 0; index < options->subsystems; index++) {
		if (g_namespaces[index].ctrlr != NULL) {
			/* An error here is news that the I/O qpairs get by themselves. */
			(void)spdk_nvme_ctrlr_process_admin_completions(g_namespaces[index].ctrlr);
		}
	}
}

/* Connects one subsystem and its qpairs. What was opened before a failure stays in `owner`, to be let go. */
static bool open_namespace(struct namespace *owner, const struct options *options,
			   const struct spdk_nvme_transport_id *trid)
{
	struct spdk_nvme_io_qpair_opts qpair_options;
	uint32_t nsid, sector_size, index;
	double deadline;
	int rc;

	owner->ctrlr = connect_patiently(trid);
	if (owner->ctrlr == NULL) {
		fprintf(stderr, PROGRAM ": cannot connect to %s\n", trid->subnqn);
		return false;
	}
	nsid = spdk_nvme_ctrlr_get_first_active_ns(owner->ctrlr);
	owner->ns = nsid == 0 ? NULL : spdk_nvme_ctrlr_get_ns(owner->ctrlr, nsid);
	if (owner->ns == NULL) {
		fprintf(stderr, PROGRAM ": %s has no namespace\n", trid->subnqn);
		return false;
	}
	sector_size = spdk_nvme_ns_get_sector_size(owner->ns);
	owner->io_blocks = options->io_size / sector_size;
	if (options->io_size % sector_size != 0 || spdk_nvme_ns_get_num_sectors(owner->ns) < owner->io_blocks) {
		fprintf(stderr, PROGRAM ": requests of %u bytes do not fit %s\n", options->io_size, trid->subnqn);
		return false;
	}
	owner->places = spdk_nvme_ns_get_num_sectors(owner->ns) / owner->io_blocks;
	owner->buffers = spdk_dma_zmalloc((size_t)options->depth * options->io_size, 4096, NULL);
	owner->group = spdk_nvme_poll_group_create(owner, NULL);
	if (owner->buffers == NULL || owner->group == NULL) {
		fprintf(stderr, PROGRAM ": no memory\n");
		return false;
	}

	spdk_nvme_ctrlr_get_default_io_qpair_opts(owner->ctrlr, &qpair_options, sizeof(qpair_options));
	qpair_options.create_only = true;
	qpair_options.async_mode = true;
	qpair_options.delay_cmd_submit = true;
	for (index = 0; index < options->qpairs; index++) {
		struct spdk_nvme_qpair *qpair =
			spdk_nvme_ctrlr_alloc_io_qpair(owner->ctrlr, &qpair_options, sizeof(qpair_options));

		if (qpair == NULL) {
			fprintf(stderr, PROGRAM ": %s: qpair %u was refused\n", trid->subnqn, index + 1);
			return false;
		}
		owner->qpairs[owner->qpair_count++] = qpair;
		rc = spdk_nvme_poll_group_add(owner->group, qpair);
		if (rc == 0) {
			rc = spdk_nvme_ctrlr_connect_io_qpair(owner->ctrlr, qpair);
		}
		if (rc != 0) {
			fprintf(stderr, PROGRAM ": %s: qpair %u: %s\n", trid->subnqn, index + 1, strerror(abs(rc)));
			return false;
		}
		/* One after the other: an emulated target that gets many requests at once may be too slow for the last one. */
		deadline = deadline_in(CONNECT_SECONDS);
		while (!spdk_nvme_qpair_is_connected(qpair)) {
			poll_namespace(owner);
			poll_admin_queues(options);
			if (owner->failed || deadline_passed(deadline)) {
				fprintf(stderr, PROGRAM ": %s: qpair %u %s\n", trid->subnqn, index + 1,
					owner->failed ? "did not connect" : "is still not connected");
				return false;
			}
		}
	}
	for (index = 0; index < options->depth; index++) {
		owner->requests[index].owner = owner;
		owner->requests[index].buffer = owner->buffers + (size_t)index * options->io_size;
	}
	return true;
}

/* Qpairs and group of a namespace go, in the way that `way` says; no polling of the group before or between. */
static void let_go(struct namespace *owner, enum let_go way)
{
	uint32_t index;
	int rc;

	if (owner->let_go) {
		return;
	}
	owner->let_go = true;
	for (index = 0; index < owner->qpair_count; index++) {
		struct spdk_nvme_qpair *qpair = owner->qpairs[index];

		if (way == LET_GO_DISCONNECT || way == LET_GO_REMOVE) {
			spdk_nvme_ctrlr_disconnect_io_qpair(qpair);
		}
		if (way == LET_GO_REMOVE) {
			/* Refused while it disconnects, and then without effect; fine once it is disconnected. */
			rc = spdk_nvme_poll_group_remove(owner->group, qpair);
			if (rc > 0) {
				wrong("poll_group_remove answered neither 0 nor an error", rc);
			}
		}
		rc = spdk_nvme_ctrlr_free_io_qpair(qpair);
		if (rc != 0) {
			wrong("freeing a qpair", rc);
		}
	}
	owner->qpair_count = 0;
	if (owner->group != NULL) {
		rc = spdk_nvme_poll_group_destroy(owner->group);
		if (rc != 0) {
			wrong("destroying a poll group", rc);
		}
	}
}

static enum let_go way_of(const struct options *options, uint32_t index)
{
	return options->let_go == LET_GO_WAYS ? (enum let_go)(index % LET_GO_WAYS) : options->let_go;
}

/* One turn over all namespaces. Returns how many are not done yet. */
static uint32_t turn(const struct options *options, bool over)
{
	uint32_t index, busy = 0;

	for (index = 0; index < options->subsystems; index++) {
		struct namespace *owner = &g_namespaces[index];

		if (owner->let_go) {
			continue;
		}
		owner->over = over;
		/* Done and waiting for the others, like spdk_nvme_perf: not polled any more. */
		if ((owner->failed || over) && ledger_in_flight(&owner->ledger) == 0) {
			if (!options->at_end) {
				let_go(owner, way_of(options, index));
			}
			continue;
		}
		poll_namespace(owner);
		if ((owner->failed || over) && ledger_in_flight(&owner->ledger) == 0 && !options->at_end) {
			let_go(owner, way_of(options, index));
			continue;
		}
		busy++;
	}
	return busy;
}

static bool any_failed(const struct options *options)
{
	uint32_t index;

	for (index = 0; index < options->subsystems; index++) {
		if (g_namespaces[index].failed) {
			return true;
		}
	}
	return false;
}

static bool all_have_written(const struct options *options)
{
	uint32_t index;

	for (index = 0; index < options->subsystems; index++) {
		if (g_namespaces[index].writers < options->qpairs) {
			return false;
		}
	}
	return true;
}

static void name_the_late(const struct options *options)
{
	uint32_t index, qpair;

	for (index = 0; index < options->subsystems; index++) {
		const struct namespace *owner = &g_namespaces[index];

		if (owner->let_go) {
			continue;
		}
		fprintf(stderr, "  %s: %llu in flight;", options->trids[index].subnqn,
			(unsigned long long)ledger_in_flight(&owner->ledger));
		for (qpair = 0; qpair < owner->qpair_count; qpair++) {
			fprintf(stderr, " %s", owner->reported[qpair]                                ? "reported"
					       : spdk_nvme_qpair_is_connected(owner->qpairs[qpair]) ? "connected"
												     : "disconnecting");
		}
		fprintf(stderr, "\n");
	}
}

static void run(const struct options *options)
{
	double end = deadline_in(options->seconds);
	double give_up = 0;
	bool running = false;
	uint32_t index, slot;

	for (index = 0; index < options->subsystems; index++) {
		for (slot = 0; slot < options->depth; slot++) {
			submit(&g_namespaces[index].requests[slot]);
		}
	}
	while (turn(options, deadline_passed(end)) != 0) {
		if (!running && all_have_written(options)) {
			running = true;
			printf("running\n");
			fflush(stdout);
		}
		poll_admin_queues(options);
		if (give_up == 0 && (any_failed(options) || deadline_passed(end))) {
			give_up = deadline_in(END_SECONDS);
		}
		if (give_up != 0 && deadline_passed(give_up)) {
			wrong("requests did not come back in time", ETIMEDOUT);
			name_the_late(options);
			break;
		}
	}
}

/* All controllers in one detach context, which is then polled to its end; the watchdog sees to it that there is one. */
static void detach_all(const struct options *options)
{
	struct spdk_nvme_detach_ctx *context = NULL;
	uint32_t index;
	int rc;

	for (index = 0; index < options->subsystems; index++) {
		if (g_namespaces[index].ctrlr == NULL) {
			continue;
		}
		rc = spdk_nvme_detach_async(g_namespaces[index].ctrlr, &context);
		if (rc != 0) {
			wrong("detaching a controller", rc);
		}
	}
	if (context != NULL) {
		spdk_nvme_detach_poll(context);
	}
}

static enum exit_status report(const struct options *options)
{
	struct ledger sum = {0};
	bool lost = any_failed(options);
	bool balanced = true;
	uint32_t index, qpair, disconnected = 0;

	for (index = 0; index < options->subsystems; index++) {
		const struct ledger *ledger = &g_namespaces[index].ledger;

		sum.submitted += ledger->submitted;
		sum.refused += ledger->refused;
		sum.completed += ledger->completed;
		sum.aborted += ledger->aborted;
		sum.failed += ledger->failed;
		sum.stray += ledger->stray;
		for (qpair = 0; qpair < MAX_QPAIRS; qpair++) {
			disconnected += g_namespaces[index].reported[qpair];
		}
		balanced = balanced && ledger_balanced(ledger);
	}
	printf("submitted %llu, refused %llu, completed %llu, aborted %llu, failed %llu, lost %llu, came twice %llu; "
	       "%u of %u qpairs were known to be disconnected when they were freed\n",
	       (unsigned long long)sum.submitted, (unsigned long long)sum.refused, (unsigned long long)sum.completed,
	       (unsigned long long)sum.aborted, (unsigned long long)sum.failed,
	       (unsigned long long)ledger_in_flight(&sum), (unsigned long long)sum.stray, disconnected,
	       options->subsystems * options->qpairs);
	if (!balanced) {
		fprintf(stderr, PROGRAM ": not every request was called back exactly once\n");
		return EXIT_WRONG;
	}
	if (g_wrong) {
		return EXIT_WRONG;
	}
	return lost ? EXIT_LOST : EXIT_GOOD;
}

int main(int argc, char **argv)
{
	static struct options options;
	enum exit_status status;
	bool connected = true;
	uint32_t index;

	if (!environment_start(PROGRAM)) {
		return EXIT_WRONG;
	}
	if (!parse_options(&options, argc, argv, &status)) {
		spdk_env_fini();
		return status;
	}
	watchdog(options.seconds + WATCHDOG_SECONDS);

	for (index = 0; index < options.subsystems && connected; index++) {
		connected = open_namespace(&g_namespaces[index], &options, &options.trids[index]);
	}
	if (connected) {
		run(&options);
	}
	for (index = 0; index < options.subsystems; index++) {
		let_go(&g_namespaces[index], way_of(&options, index));
	}
	status = connected ? report(&options) : EXIT_WRONG;
	detach_all(&options);
	for (index = 0; index < options.subsystems; index++) {
		if (ledger_in_flight(&g_namespaces[index].ledger) == 0) {
			spdk_dma_free(g_namespaces[index].buffers);
		}
	}
	spdk_env_fini();
	return g_wrong ? EXIT_WRONG : status;
}

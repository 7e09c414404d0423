/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * nvme-rdma-demo: write, verify and measure over NVMe/RDMA, and show how it ends when the target dies.
 *
 * It is a complete program over the public API, and it knows nothing about which RDMA it runs on. Two ways to run it:
 *
 *   - Without --load: a pattern is written over each namespace, read back and compared. One qpair, polled directly.
 *   - With --load: random reads and writes on several qpairs of one poll group, until time is up or the target is gone; with
 *     --reconnect the load goes on once the target is there again, on the same controller and qpairs.
 *
 * Both are one `struct stream`: a fixed set of requests, each with its buffer, that are sent again as they come back.
 * The stream keeps its own books (ledger.h) and believes nothing it is told twice.
 */

#include <errno.h>
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "spdk/env.h"
#include "spdk/nvme.h"

#include "common.h"
#include "histogram.h"
#include "ledger.h"

#define PROGRAM "nvme-rdma-demo"

/* Nothing came back for so long: the host should have noticed by itself, and the program says so. */
#define STALL_SECONDS 60.0
/* After the first failure, how long the poll group may take to bring back what is in flight before it is freed. */
#define SETTLE_SECONDS 5.0
/* With --reconnect: between two attempts; and what a qpair may take to come to its end before the next one. */
#define RETRY_SECONDS 0.1
#define REST_SECONDS 1.0
/* The admin queue is polled this often; its keep-alive has to go out in time. */
#define ADMIN_SECONDS 0.1
#define PROGRESS_SECONDS 0.1

#define MAX_QPAIRS 64
#define MAX_DEPTH 4096

struct options {
	struct spdk_nvme_transport_id trid;
	uint32_t depth;    /* requests in flight on each qpair */
	uint32_t io_size;  /* bytes of one request */
	uint64_t limit;    /* bytes of each namespace that are used; 0 = all */
	double seconds;    /* of random load */
	uint64_t count;    /* requests of the random load; 0 = until time is up */
	uint64_t announce; /* say so when this many requests of the load came back; 0 = do not */
	double reconnect;  /* how many seconds the target may be gone during the load; 0 = its end is the load's */
	uint32_t qpairs;   /* of the random load */
	unsigned read_mix; /* percent of the random load that reads */
	bool load;
};

enum work {
	WORK_WRITE,
	WORK_VERIFY,
	WORK_RANDOM,
};

struct stream;

/* One I/O slot: a request that is in flight or waiting for its next turn. */
struct request {
	struct stream *stream;
	struct spdk_nvme_qpair *qpair;
	struct request *next_idle;
	uint8_t *buffer;
	uint64_t lba;
	uint64_t started; /* ticks */
	uint32_t blocks;
	enum io_state state;
};

struct stream {
	struct spdk_nvme_ns *ns;
	enum work work;
	uint32_t sector_size;
	uint32_t io_blocks;
	uint64_t sectors; /* how many of the namespace's are used */
	uint64_t next_lba;
	unsigned read_mix;
	uint64_t random;

	struct spdk_nvme_poll_group *group; /* NULL: the one qpair is polled directly */
	struct spdk_nvme_qpair *qpairs[MAX_QPAIRS];
	uint32_t qpair_count;

	struct request *requests;
	uint32_t request_count;
	struct request *idle;
	uint8_t *buffers;

	struct ledger ledger;
	struct histogram latency; /* ticks */
	uint64_t bytes;
	uint64_t blocks_done;
	uint64_t mismatches;
	double started;
	double ended;
	double lost_at; /* when the first failure was seen */
	bool lost;      /* the connection failed: nothing more is submitted */
	unsigned found; /* how often it was there again */
};

static volatile sig_atomic_t g_stop;

static void on_signal(int number)
{
	(void)number;
	g_stop = 1;
}

static void usage(FILE *out)
{
	fprintf(out,
		"usage: " PROGRAM " -r TRID [options]\n"
		"\n"
		"Connects to an NVMe/RDMA controller, prints what it is, writes a pattern over its namespaces and reads it\n"
		"back; or, with --load, keeps it busy. THE DATA ON THE NAMESPACES IS OVERWRITTEN.\n"
		"\n"
		"  -r, --trid TRID       where: 'traddr:ADDRESS trsvcid:PORT subnqn:NQN'\n"
		"  -q, --depth N         requests in flight on each qpair, 1 to 4096 (default 128)\n"
		"  -o, --io-size BYTES   bytes of one request, a multiple of the sector size (default 4K)\n"
		"  -n, --size BYTES      use only so much of each namespace (default all of it)\n"
		"  -l, --load            random I/O to the first namespace instead of the pattern\n"
		"  -t, --time SECONDS    how long the load runs (default 10); without --load: a load of so long follows the pattern\n"
		"  -c, --count N         end the load when N requests came back, however long that takes\n"
		"  -a, --announce N      print 'N requests of the load came back' when it is so, for a script that waits for it\n"
		"  -R, --reconnect SECONDS  when the target is gone, wait so long for it and go on with the load\n"
		"  -P, --qpairs N        qpairs of the load, 1 to 64, all in one poll group (default 4)\n"
		"  -M, --read-mix N      percent of the load that reads (default 50)\n"
		"  -h, --help            this text\n"
		"\n"
		"BYTES may end in K, M or G.\n"
		"\n"
		"Exit status: 0 all went well; 2 the target went away, each request came back once and all was released;\n"
		"1 anything else (bad usage, no connection, wrong data, a request that was lost or came back twice).\n");
}

static bool read_number(const char *option, const char *text, uint64_t minimum, uint64_t maximum, uint64_t *value)
{
	if (size_read(text, maximum, value) && *value >= minimum) {
		return true;
	}
	fprintf(stderr, PROGRAM ": %s %s: a number from %s to %s is needed\n", option, text, digits(minimum),
		digits(maximum));
	return false;
}

/* Fills in `options`. Returns false when the program should end with `*status`. */
static bool parse_options(struct options *options, int argc, char **argv, enum exit_status *status)
{
	static const struct option names[] = {
		{"trid", required_argument, NULL, 'r'},     {"depth", required_argument, NULL, 'q'},
		{"io-size", required_argument, NULL, 'o'},  {"size", required_argument, NULL, 'n'},
		{"load", no_argument, NULL, 'l'},           {"time", required_argument, NULL, 't'},
		{"qpairs", required_argument, NULL, 'P'},   {"read-mix", required_argument, NULL, 'M'},
		{"count", required_argument, NULL, 'c'},    {"announce", required_argument, NULL, 'a'},
		{"reconnect", required_argument, NULL, 'R'}, {"help", no_argument, NULL, 'h'},
		{NULL, 0, NULL, 0},
	};
	bool have_trid = false, have_time = false, good = true;
	uint64_t number;
	int letter;

	*options = (struct options){.depth = 128, .io_size = 4096, .qpairs = 4, .read_mix = 50};
	*status = EXIT_WRONG;

	while (good && (letter = getopt_long(argc, argv, "r:q:o:n:lt:c:a:R:P:M:h", names, NULL)) != -1) {
		number = 0;
		switch (letter) {
		case 'r':
			good = have_trid = trid_read(&options->trid, optarg);
			break;
		case 'q':
			good = read_number("--depth", optarg, 1, MAX_DEPTH, &number);
			options->depth = (uint32_t)number;
			break;
		case 'o':
			good = read_number("--io-size", optarg, 512, 64u << 20, &number);
			options->io_size = (uint32_t)number;
			break;
		case 'n':
			good = read_number("--size", optarg, 512, UINT64_MAX >> 1, &options->limit);
			break;
		case 'l':
			options->load = true;
			break;
		case 't':
			good = have_time = read_number("--time", optarg, 1, 7 * 24 * 3600, &number);
			options->seconds = (double)number;
			break;
		case 'c':
			good = read_number("--count", optarg, 1, UINT64_MAX >> 1, &options->count);
			break;
		case 'a':
			good = read_number("--announce", optarg, 1, UINT64_MAX >> 1, &options->announce);
			break;
		case 'R':
			good = read_number("--reconnect", optarg, 1, 24 * 3600, &number);
			options->reconnect = (double)number;
			break;
		case 'P':
			good = read_number("--qpairs", optarg, 1, MAX_QPAIRS, &number);
			options->qpairs = (uint32_t)number;
			break;
		case 'M':
			good = read_number("--read-mix", optarg, 0, 100, &number);
			options->read_mix = (unsigned)number;
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
	if (good && !have_trid) {
		fprintf(stderr, PROGRAM ": -r TRID is needed\n");
		good = false;
	}
	if (!good) {
		fprintf(stderr, "Try '" PROGRAM " --help'.\n");
		return false;
	}
	if (options->load && !have_time && options->count == 0) {
		options->seconds = 10;
	}
	return true;
}

/* Identify strings are padded with spaces and have no terminator. */
static void print_field(const char *name, const void *text, size_t size)
{
	const char *characters = text;

	while (size > 0 && (characters[size - 1] == ' ' || characters[size - 1] == '\0')) {
		size--;
	}
	printf("  %-14s %.*s\n", name, (int)size, characters);
}

static void print_controller(struct spdk_nvme_ctrlr *ctrlr)
{
	const struct spdk_nvme_ctrlr_data *data = spdk_nvme_ctrlr_get_data(ctrlr);
	uint32_t nsid;

	printf("Controller\n");
	print_field("subsystem", data->subnqn, strnlen((const char *)data->subnqn, sizeof(data->subnqn)));
	print_field("model", data->mn, sizeof(data->mn));
	print_field("serial number", data->sn, sizeof(data->sn));
	print_field("firmware", data->fr, sizeof(data->fr));
	printf("  %-14s %u.%u.%u, controller id %u\n", "NVMe version", (unsigned)data->ver.bits.mjr,
	       (unsigned)data->ver.bits.mnr, (unsigned)data->ver.bits.ter, (unsigned)data->cntlid);
	if (data->mdts == 0) {
		printf("  %-14s no limit\n", "max transfer");
	} else if (data->mdts < 40) {
		/* MDTS counts in pages of CAP.MPSMIN, which is 4 KiB for every fabrics controller there is. */
		printf("  %-14s %s\n", "max transfer", binary_size((double)(4096ull << data->mdts)));
	} else {
		printf("  %-14s MDTS %u\n", "max transfer", (unsigned)data->mdts);
	}

	printf("Namespaces\n");
	for (nsid = spdk_nvme_ctrlr_get_first_active_ns(ctrlr); nsid != 0;
	     nsid = spdk_nvme_ctrlr_get_next_active_ns(ctrlr, nsid)) {
		struct spdk_nvme_ns *ns = spdk_nvme_ctrlr_get_ns(ctrlr, nsid);

		if (ns == NULL || !spdk_nvme_ns_is_active(ns)) {
			continue;
		}
		printf("  %-14u %s, %s sectors of %u bytes\n", nsid, binary_size((double)spdk_nvme_ns_get_size(ns)),
		       digits(spdk_nvme_ns_get_num_sectors(ns)), spdk_nvme_ns_get_sector_size(ns));
	}
}

/* The first failure decides: nothing more is submitted, what is in flight comes back with an error. */
static void stream_lose(struct stream *stream)
{
	if (!stream->lost) {
		stream->lost = true;
		stream->lost_at = now();
	}
}

/* What the eight bytes at `index` of a sector must be: different for each sector, word and namespace. */
static uint64_t pattern(const struct stream *stream, uint64_t lba, uint32_t index)
{
	uint64_t value = (lba << 16 | index) + ((uint64_t)spdk_nvme_ns_get_id(stream->ns) << 56);

	value = (value ^ value >> 33) * 0xff51afd7ed558ccdull;
	value = (value ^ value >> 33) * 0xc4ceb9fe1a85ec53ull;
	return value ^ value >> 33;
}

static void fill(struct request *request)
{
	const struct stream *stream = request->stream;
	uint32_t words = stream->sector_size / 8;
	uint32_t block, word;
	uint8_t *place = request->buffer;

	for (block = 0; block < request->blocks; block++) {
		for (word = 0; word < words; word++) {
			uint64_t value = pattern(stream, request->lba + block, word);

			memcpy(place, &value, sizeof(value));
			place += sizeof(value);
		}
	}
}

static void verify(struct request *request)
{
	struct stream *stream = request->stream;
	uint32_t words = stream->sector_size / 8;
	uint32_t block, word;
	const uint8_t *place = request->buffer;

	for (block = 0; block < request->blocks; block++) {
		for (word = 0; word < words; word++) {
			uint64_t expected = pattern(stream, request->lba + block, word);
			uint64_t found;

			memcpy(&found, place, sizeof(found));
			place += sizeof(found);
			if (found == expected) {
				continue;
			}
			if (stream->mismatches++ == 0) {
				fprintf(stderr, "\nwrong data: sector %llu, byte %u: expected %016llx, found %016llx\n",
					(unsigned long long)(request->lba + block), word * 8,
					(unsigned long long)expected, (unsigned long long)found);
			}
		}
	}
}

static void on_complete(void *argument, const struct spdk_nvme_cpl *cpl)
{
	struct request *request = argument;
	struct stream *stream = request->stream;

	switch (ledger_end(&stream->ledger, &request->state, cpl)) {
	case IO_STRAY:
		return;
	case IO_COMPLETED:
		histogram_record(&stream->latency, spdk_get_ticks() - request->started);
		stream->blocks_done += request->blocks;
		stream->bytes += (uint64_t)request->blocks * stream->sector_size;
		if (stream->work == WORK_VERIFY) {
			verify(request);
		}
		break;
	case IO_ABORTED:
	case IO_FAILED:
		stream_lose(stream);
		break;
	}
	request->next_idle = stream->idle;
	stream->idle = request;
}

/* Chooses what a request does next. Returns false when there is nothing more to do. */
static bool next_work(struct request *request, bool *write)
{
	struct stream *stream = request->stream;

	if (stream->work == WORK_RANDOM) {
		uint64_t places = stream->sectors / stream->io_blocks;

		request->lba = random_next(&stream->random) % places * stream->io_blocks;
		request->blocks = stream->io_blocks;
		*write = random_next(&stream->random) % 100 >= stream->read_mix;
		return true;
	}
	if (stream->next_lba >= stream->sectors) {
		return false;
	}
	request->lba = stream->next_lba;
	request->blocks = stream->io_blocks;
	if (request->blocks > stream->sectors - request->lba) {
		request->blocks = (uint32_t)(stream->sectors - request->lba);
	}
	stream->next_lba += request->blocks;
	*write = stream->work == WORK_WRITE;
	if (*write) {
		fill(request);
	} else {
		/* What the read does not overwrite must not look like the pattern. */
		memset(request->buffer, 0, (size_t)request->blocks * stream->sector_size);
	}
	return true;
}

/* Sends every idle request on its way, as far as there is work and the queues take it. */
static void submit_idle(struct stream *stream)
{
	while (stream->idle != NULL && !stream->lost) {
		struct request *request = stream->idle;
		uint64_t before = stream->next_lba;
		bool write;
		int rc;

		if (!next_work(request, &write)) {
			return;
		}
		stream->idle = request->next_idle;
		request->started = spdk_get_ticks();
		ledger_begin(&stream->ledger, &request->state);
		if (write) {
			rc = spdk_nvme_ns_cmd_write(stream->ns, request->qpair, request->buffer, request->lba,
						    request->blocks, on_complete, request, 0);
		} else {
			rc = spdk_nvme_ns_cmd_read(stream->ns, request->qpair, request->buffer, request->lba,
						   request->blocks, on_complete, request, 0);
		}
		if (rc == 0) {
			continue;
		}
		ledger_refuse(&stream->ledger, &request->state);
		request->next_idle = stream->idle;
		stream->idle = request;
		stream->next_lba = before;
		if (rc != -ENOMEM) { /* -ENOMEM: the queue is full, try again after the next poll */
			stream_lose(stream);
		}
		return;
	}
}

static void on_disconnected(struct spdk_nvme_qpair *qpair, void *argument)
{
	(void)qpair;
	stream_lose(argument);
}

static void poll_once(struct stream *stream)
{
	int64_t rc;

	if (stream->group != NULL) {
		rc = spdk_nvme_poll_group_process_completions(stream->group, 0, on_disconnected);
	} else {
		rc = spdk_nvme_qpair_process_completions(stream->qpairs[0], 0);
	}
	if (rc < 0) {
		stream_lose(stream);
	}
}

/*
 * Opens the qpairs of a stream and deals its requests out to them. On failure what was opened stays in `stream` for
 * stream_close().
 */
static bool stream_open(struct stream *stream, struct spdk_nvme_ctrlr *ctrlr, struct spdk_nvme_ns *ns,
			const struct options *options, enum work work)
{
	struct spdk_nvme_io_qpair_opts qpair_options;
	uint32_t index;

	memset(stream, 0, sizeof(*stream));
	stream->ns = ns;
	stream->work = work;
	stream->read_mix = options->read_mix;
	stream->random = 0x9e3779b97f4a7c15ull;
	stream->sector_size = spdk_nvme_ns_get_sector_size(ns);
	stream->sectors = spdk_nvme_ns_get_num_sectors(ns);
	if (options->io_size % stream->sector_size != 0) {
		fprintf(stderr, PROGRAM ": requests of %u bytes do not fit sectors of %u\n", options->io_size,
			stream->sector_size);
		return false;
	}
	stream->io_blocks = options->io_size / stream->sector_size;
	if (options->limit != 0 && options->limit / stream->sector_size < stream->sectors) {
		stream->sectors = options->limit / stream->sector_size;
	}
	if (stream->sectors < stream->io_blocks) {
		fprintf(stderr, PROGRAM ": namespace %u is smaller than one request\n", spdk_nvme_ns_get_id(ns));
		return false;
	}

	stream->request_count = options->depth * (work == WORK_RANDOM ? options->qpairs : 1);
	stream->requests = calloc(stream->request_count, sizeof(*stream->requests));
	stream->buffers = spdk_dma_zmalloc((size_t)stream->request_count * options->io_size, 4096, NULL);
	if (stream->requests == NULL || stream->buffers == NULL) {
		fprintf(stderr, PROGRAM ": no memory for %u requests of %u bytes\n", stream->request_count,
			options->io_size);
		return false;
	}

	if (work == WORK_RANDOM) {
		stream->group = spdk_nvme_poll_group_create(stream, NULL);
		if (stream->group == NULL) {
			fprintf(stderr, PROGRAM ": no poll group\n");
			return false;
		}
	}
	spdk_nvme_ctrlr_get_default_io_qpair_opts(ctrlr, &qpair_options, sizeof(qpair_options));
	if (qpair_options.io_queue_size <= options->depth) {
		qpair_options.io_queue_size = queue_entries(ctrlr, options->depth);
	}
	if (qpair_options.io_queue_requests <= options->depth) {
		qpair_options.io_queue_requests = options->depth + 1;
	}
	/* In a group: made first, added, then connected. */
	qpair_options.create_only = stream->group != NULL;

	for (index = 0; index < (work == WORK_RANDOM ? options->qpairs : 1); index++) {
		struct spdk_nvme_qpair *qpair =
			spdk_nvme_ctrlr_alloc_io_qpair(ctrlr, &qpair_options, sizeof(qpair_options));

		if (qpair == NULL) {
			fprintf(stderr, PROGRAM ": I/O qpair %u of %u was refused\n", index + 1, options->qpairs);
			return false;
		}
		stream->qpairs[stream->qpair_count++] = qpair;
		if (stream->group != NULL) {
			int rc = spdk_nvme_poll_group_add(stream->group, qpair);

			if (rc == 0) {
				rc = spdk_nvme_ctrlr_connect_io_qpair(ctrlr, qpair);
			}
			if (rc != 0) {
				fprintf(stderr, PROGRAM ": I/O qpair %u did not connect: %s\n", index + 1,
					strerror(abs(rc)));
				return false;
			}
		}
	}
	for (index = 0; index < stream->request_count; index++) {
		struct request *request = &stream->requests[index];

		request->stream = stream;
		request->qpair = stream->qpairs[index % stream->qpair_count];
		request->buffer = stream->buffers + (size_t)index * options->io_size;
		request->next_idle = stream->idle;
		stream->idle = request;
	}
	return true;
}

/*
 * Gives everything back. The qpairs go first: the callbacks of what they still have in flight come from inside the
 * free, and the buffers belong to the device until then. Returns false if the host kept anything.
 */
static bool stream_close(struct stream *stream)
{
	bool good = true;
	uint32_t index;
	int rc;

	for (index = 0; index < stream->qpair_count; index++) {
		rc = spdk_nvme_ctrlr_free_io_qpair(stream->qpairs[index]);
		if (rc != 0) {
			fprintf(stderr, PROGRAM ": freeing qpair %u: %s\n", index, strerror(abs(rc)));
			good = false;
		}
	}
	if (stream->group != NULL) {
		rc = spdk_nvme_poll_group_destroy(stream->group);
		if (rc != 0) {
			fprintf(stderr, PROGRAM ": destroying the poll group: %s\n", strerror(abs(rc)));
			good = false;
		}
	}
	/* Whoever still has a request in flight might write to its buffer: better to leak it than to hand it out again. */
	if (ledger_in_flight(&stream->ledger) == 0) {
		spdk_dma_free(stream->buffers);
		free(stream->requests);
	}
	return good;
}

static const char *work_name(enum work work)
{
	return work == WORK_WRITE ? "write" : work == WORK_VERIFY ? "verify" : "random";
}

static void show_progress(const struct stream *stream, const struct options *options)
{
	double elapsed = now() - stream->started;
	double share = stream->work != WORK_RANDOM ? (double)stream->blocks_done / (double)stream->sectors
		       : options->count != 0	   ? (double)stream->ledger.completed / (double)options->count
						   : elapsed / options->seconds;

	printf("\r  %-8s %3.0f %%   %s IOPS \033[K", work_name(stream->work), share < 1.0 ? share * 100.0 : 100.0,
	       digits((uint64_t)((double)stream->ledger.completed / (elapsed > 0 ? elapsed : 1))));
	fflush(stdout);
}

/* Is the load at its end? */
static bool load_is_over(const struct stream *stream, const struct options *options, double time)
{
	return (options->count != 0 && stream->ledger.completed >= options->count) ||
	       (options->seconds > 0 && time - stream->started >= options->seconds);
}

/* Runs a stream until its work is done, the load is at its end (WORK_RANDOM), or it is lost. */
static void stream_run(struct stream *stream, struct spdk_nvme_ctrlr *ctrlr, const struct options *options)
{
	bool tty = isatty(STDOUT_FILENO) != 0;
	/* It is announced once. */
	uint64_t announce = stream->work == WORK_RANDOM && stream->ledger.completed < options->announce ? options->announce : 0;
	double next_admin, next_progress, stalled;
	uint64_t seen = 0;

	if (stream->found == 0) {
		stream->started = now();
	}
	next_admin = next_progress = now();
	stalled = deadline_in(STALL_SECONDS);
	for (;;) {
		double time = now();
		bool over = g_stop || (stream->work == WORK_RANDOM && load_is_over(stream, options, time));

		if (!over) {
			submit_idle(stream);
		}
		if (stream->lost || ledger_in_flight(&stream->ledger) == 0) {
			break;
		}
		poll_once(stream);
		if (time >= next_admin) {
			next_admin = time + ADMIN_SECONDS;
			if (spdk_nvme_ctrlr_process_admin_completions(ctrlr) < 0) {
				stream_lose(stream);
			}
		}
		if (tty && time >= next_progress) {
			next_progress = time + PROGRESS_SECONDS;
			show_progress(stream, options);
		}
		if (announce != 0 && stream->ledger.completed >= announce) {
			printf("%s%llu requests of the load came back\n", tty ? "\r\033[K" : "", (unsigned long long)announce);
			announce = 0;
		}
		if (stream->ledger.completed != seen) {
			seen = stream->ledger.completed;
			stalled = time + STALL_SECONDS;
		} else if (time >= stalled) {
			fprintf(stderr, "\n" PROGRAM ": nothing came back for %.0f s\n", STALL_SECONDS);
			stream_lose(stream);
		}
	}
	stream->ended = now();

	/* A group brings back what is in flight by itself; whatever it does not, the free will. */
	if (stream->lost && stream->group != NULL) {
		double deadline = deadline_in(SETTLE_SECONDS);

		while (ledger_in_flight(&stream->ledger) != 0 && !deadline_passed(deadline)) {
			poll_once(stream);
		}
	}
	if (tty) {
		printf("\r\033[K");
	}
}

/* Connects all qpairs again. False if one does not. */
static bool reconnect_qpairs(struct stream *stream)
{
	uint32_t index;

	for (index = 0; index < stream->qpair_count; index++) {
		double deadline = deadline_in(REST_SECONDS);
		int rc;

		/* -EAGAIN: its last connection may not have come to its end. */
		while ((rc = spdk_nvme_ctrlr_reconnect_io_qpair(stream->qpairs[index])) == -EAGAIN && !deadline_passed(deadline)) {
			poll_once(stream);
		}
		if (rc != 0) {
			return false;
		}
	}
	return true;
}

/* Has the controller come back, on the handles that there are. False when the target was gone for too long. */
static bool stream_recover(struct stream *stream, struct spdk_nvme_ctrlr *ctrlr, const struct options *options)
{
	const struct timespec pause = {.tv_nsec = (long)(RETRY_SECONDS * 1e9)};
	unsigned attempts = 1;

	printf("The connection was lost; %s requests were given up. Waiting for the target ...\n", digits(stream->ledger.aborted));
	while (spdk_nvme_ctrlr_reset(ctrlr) != 0 || !reconnect_qpairs(stream)) {
		if (g_stop || now() - stream->lost_at >= options->reconnect) {
			printf("It did not come back in %.0f s.\n", now() - stream->lost_at);
			return false;
		}
		attempts++;
		nanosleep(&pause, NULL);
	}
	stream->lost = false;
	stream->found++;
	printf("Connected again after %.1f ms, at attempt %u, with the same controller and qpairs.\n",
	       (now() - stream->lost_at) * 1000.0, attempts);
	return true;
}

/* A latency in the unit that suits it. */
static const char *latency(double ticks)
{
	static char texts[4][24];
	static unsigned turn;
	char *text = texts[turn++ % 4];
	double microseconds = ticks * 1e6 / (double)spdk_get_ticks_hz();

	if (microseconds < 1000.0) {
		snprintf(text, sizeof(texts[0]), "%.1f us", microseconds);
	} else {
		snprintf(text, sizeof(texts[0]), "%.2f ms", microseconds / 1000.0);
	}
	return text;
}

static void print_speed(const struct stream *stream)
{
	double elapsed = stream->ended - stream->started;

	if (elapsed <= 0 || stream->ledger.completed == 0) {
		return;
	}
	printf("  %-8s %s in %.2f s: %s IOPS, %.1f MiB/s, latency avg %s, p50 %s, p99 %s\n", work_name(stream->work),
	       binary_size((double)stream->bytes), elapsed,
	       digits((uint64_t)((double)stream->ledger.completed / elapsed)),
	       (double)stream->bytes / elapsed / (1 << 20), latency(histogram_mean(&stream->latency)),
	       latency((double)histogram_percentile(&stream->latency, 50)),
	       latency((double)histogram_percentile(&stream->latency, 99)));
}

static const char *failure_name(struct spdk_nvme_qpair *qpair)
{
	switch (spdk_nvme_qpair_get_failure_reason(qpair)) {
	case SPDK_NVME_QPAIR_FAILURE_NONE:
		return "none noticed";
	case SPDK_NVME_QPAIR_FAILURE_LOCAL:
		return "local";
	case SPDK_NVME_QPAIR_FAILURE_REMOTE:
		return "the target closed it";
	default:
		return "unknown";
	}
}

static void print_ending(const struct stream *stream, bool released)
{
	const struct ledger *ledger = &stream->ledger;

	printf("How it ended\n");
	printf("  submitted      %s\n", digits(ledger->submitted));
	printf("  completed      %s\n", digits(ledger->completed));
	printf("  aborted        %s\n", digits(ledger->aborted));
	printf("  failed         %s\n", digits(ledger->failed));
	printf("  lost           %s\n", digits(ledger_in_flight(ledger)));
	printf("  came twice     %s\n", digits(ledger->stray));
	printf("  released       %s, %.1f ms after the first failure\n", released ? "everything" : "NOT everything",
	       (now() - stream->lost_at) * 1000.0);
}

/*
 * One stream from open to close. Returns how it went; after anything but EXIT_GOOD there is no point in going on.
 */
static enum exit_status run_stream(struct spdk_nvme_ctrlr *ctrlr, struct spdk_nvme_ns *ns, const struct options *options,
				   enum work work)
{
	static struct stream stream; /* the histogram makes it too large for a stack that is not ours */
	bool opened = stream_open(&stream, ctrlr, ns, options, work);
	const char *reason = "";
	bool released;

	if (opened) {
		do {
			stream_run(&stream, ctrlr, options);
		} while (stream.lost && options->reconnect > 0 && !g_stop && stream_recover(&stream, ctrlr, options));
		print_speed(&stream);
		reason = failure_name(stream.qpairs[0]);
	}
	released = stream_close(&stream);
	if (stream.lost) {
		printf("The connection was lost (%s).\n", reason);
		print_ending(&stream, released);
	}
	if (!opened || !released || !ledger_balanced(&stream.ledger)) {
		fprintf(stderr, PROGRAM ": %s\n", opened ? "the host broke its promise" : "cannot go on");
		return EXIT_WRONG;
	}
	if (stream.mismatches != 0) {
		fprintf(stderr, PROGRAM ": %s words differ\n", digits(stream.mismatches));
		return EXIT_WRONG;
	}
	if (stream.lost) {
		return EXIT_LOST;
	}
	if (g_stop && work != WORK_RANDOM) {
		fprintf(stderr, PROGRAM ": interrupted\n");
		return EXIT_WRONG;
	}
	return EXIT_GOOD;
}

static enum exit_status run(struct spdk_nvme_ctrlr *ctrlr, const struct options *options)
{
	enum exit_status status = EXIT_GOOD;
	uint32_t first = spdk_nvme_ctrlr_get_first_active_ns(ctrlr);
	uint32_t nsid;

	if (first == 0) {
		fprintf(stderr, PROGRAM ": the controller has no active namespace\n");
		return EXIT_WRONG;
	}
	if (!options->load) {
		for (nsid = first; nsid != 0 && status == EXIT_GOOD;
		     nsid = spdk_nvme_ctrlr_get_next_active_ns(ctrlr, nsid)) {
			struct spdk_nvme_ns *ns = spdk_nvme_ctrlr_get_ns(ctrlr, nsid);

			printf("Pattern on namespace %u, %u byte requests, queue depth %u\n", nsid, options->io_size,
			       options->depth);
			status = run_stream(ctrlr, ns, options, WORK_WRITE);
			if (status == EXIT_GOOD) {
				status = run_stream(ctrlr, ns, options, WORK_VERIFY);
			}
			if (status == EXIT_GOOD) {
				printf("  every byte was read back as it was written\n");
			}
		}
	}
	if ((options->seconds > 0 || options->count != 0) && status == EXIT_GOOD && !g_stop) {
		char length[64] = "";

		if (options->count != 0) {
			snprintf(length, sizeof(length), " of %s requests", digits(options->count));
		} else {
			snprintf(length, sizeof(length), " for %.0f s", options->seconds);
		}
		printf("Random load on namespace %u%s, %u %% reads, %u byte requests, %u qpairs of depth %u\n", first, length,
		       options->read_mix, options->io_size, options->qpairs, options->depth);
		status = run_stream(ctrlr, spdk_nvme_ctrlr_get_ns(ctrlr, first), options, WORK_RANDOM);
	}
	return status;
}

int main(int argc, char **argv)
{
	struct sigaction action = {.sa_handler = on_signal};
	struct options options;
	struct spdk_nvme_ctrlr *ctrlr;
	enum exit_status status;

	if (argc < 2) {
		usage(stderr);
		return EXIT_WRONG;
	}
	/* Line by line, also into a pipe, so that the library's own lines on stderr come in between where they belong. */
	setvbuf(stdout, NULL, _IOLBF, 0);
	/* The options come second: reading a transport id already needs the library, and it may want to log. */
	if (!environment_start(PROGRAM)) {
		return EXIT_WRONG;
	}
	if (!parse_options(&options, argc, argv, &status)) {
		spdk_env_fini();
		return status;
	}
	sigaction(SIGINT, &action, NULL);
	sigaction(SIGTERM, &action, NULL);

	printf("Connecting to %s at %s port %s\n", options.trid.subnqn, options.trid.traddr, options.trid.trsvcid);
	ctrlr = connect_patiently(&options.trid);
	if (ctrlr == NULL) {
		fprintf(stderr, PROGRAM ": cannot connect to %s at %s port %s\n", options.trid.subnqn, options.trid.traddr,
			options.trid.trsvcid);
		spdk_env_fini();
		return EXIT_WRONG;
	}
	print_controller(ctrlr);
	status = run(ctrlr, &options);
	if (spdk_nvme_detach(ctrlr) != 0) {
		fprintf(stderr, PROGRAM ": detaching the controller failed\n");
		status = EXIT_WRONG;
	}
	spdk_env_fini();
	return status;
}

/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * A fixed number of I/Os over the shipped libraries, with the target in the same process and thread, so that the same
 * instructions run each time: one case, or the whole table of them. scripts/bench.sh runs the table under callgrind, with N and 2N
 * I/Os for each case: the difference is what N I/Os cost. Waiting for a connection takes as many turns as it takes, so that is
 * left out (bench_qpairs.c has it).
 */

#include <fnmatch.h>
#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#if defined(__x86_64__)
#include <x86intrin.h>
#endif

#include "common.h"
#include "load.h"

/* What fits into a command capsule of the target in this process; a longer write goes by a keyed descriptor, in one command as well. */
#define IN_CAPSULE_BYTES 4096u
/* Fills caches of the library before anything is counted. */
#define WARM_UP(depth) (2 * (uint64_t)(depth) + 64)
/* The least of so many runs, since whatever else the machine does only adds. */
#define RUNS_FOR_CYCLES 5
#define IOS_FOR_CYCLES 20000u

struct kind {
	const char *name;
	bool write;
	uint32_t bytes;
	uint32_t queue_size; /* 0: room for all */
	uint32_t depth;      /* 0: all of them */
	bool vector;         /* in two pieces that are not next to each other */
	bool tagged;         /* by the entries that take metadata and tags */
};

static const struct kind g_kinds[] = {
	{.name = "read", .bytes = 4096},
	{.name = "write", .write = true, .bytes = IN_CAPSULE_BYTES},
	{.name = "keyed", .write = true, .bytes = 2 * IN_CAPSULE_BYTES},
	/* Half of the requests wait in the host for room in the queue. */
	{.name = "waiting", .bytes = 4096, .queue_size = 16, .depth = 32},
	{.name = "readv", .bytes = 4096, .vector = true},
	/* What SPDK's perf and block device call, whatever the namespace. */
	{.name = "tagged", .bytes = 4096, .tagged = true},
	{.name = "taggedv", .bytes = 4096, .vector = true, .tagged = true},
	/* Eight commands for each. */
	{.name = "split", .bytes = 8 * BENCH_LARGEST_TRANSFER, .depth = 1},
};
static const uint32_t g_depths[] = {1, 32, 128};
static const struct mode {
	const char *name;
	bool delay, in_group;
} g_modes[] = {{"plain", false, false}, {"delay", true, false}, {"group", false, true}, {"group+delay", true, true}};

#define LENGTH(array) (sizeof(array) / sizeof((array)[0]))

static void usage(FILE *out)
{
	fprintf(out, "usage: bench [-m read|write] [-n COUNT] [-q DEPTH] [-o BYTES] [-g] [-d]\n"
		     "       bench -a|-c [-n COUNT] [PATTERN...]\n"
		     "\n"
		     "  -m  what to do (default read)\n"
		     "  -n  how many I/Os (default 100000)\n"
		     "  -q  requests in flight, 1 to 256 (default 32)\n"
		     "  -o  bytes of each (default 4096)\n"
		     "  -g  in a poll group\n"
		     "  -d  with delay_cmd_submit\n"
		     "\n"
		     "  -a  each case of the table whose name, such as read/32/plain, matches a shell pattern, with COUNT and twice\n"
		     "      COUNT I/Os (default 1024), for scripts/bench.sh\n"
		     "  -c  the same cases by the processor's time stamp counter\n");
}

/* The processor's time stamp counter, or nanoseconds where there is none. */
static uint64_t stamp(void)
{
#if defined(__x86_64__)
	return __rdtsc();
#else
	return (uint64_t)(now() * 1e9);
#endif
}

static void run(struct load *load, uint64_t count)
{
	if (!bench_loop(load, count)) {
		fprintf(stderr, "bench: it failed\n");
		exit(EXIT_WRONG);
	}
}

static void count_case(struct load *load, const char *name, uint64_t count)
{
	run(load, WARM_UP(load->depth));
	bench_section("-", 0, 0);
	run(load, count);
	bench_section(name, count, load->polls);
	run(load, 2 * count);
	bench_section(name, 2 * count, load->polls);
}

static void time_case(struct load *load, const char *name)
{
	uint64_t least = UINT64_MAX;
	unsigned index;

	run(load, WARM_UP(load->depth));
	for (index = 0; index < RUNS_FOR_CYCLES; index++) {
		uint64_t begin = stamp(), took;

		run(load, IOS_FOR_CYCLES);
		took = stamp() - begin;
		least = took < least ? took : least;
	}
	printf("%s cycles %.0f\n", name, (double)least / IOS_FOR_CYCLES);
	fflush(stdout);
}

static bool matches(const char *name, char *const *patterns)
{
	bool any = *patterns == NULL;

	for (; *patterns != NULL; patterns++) {
		any |= fnmatch(*patterns, name, 0) == 0;
	}
	return any;
}

static void one_case(struct session *session, const struct kind *kind, const struct mode *mode, uint32_t depth, uint64_t count,
		     bool cycles, const char *name)
{
	static struct load load;
	struct shape shape = {.delay = mode->delay, .queue_size = kind->queue_size};

	memset(&load, 0, sizeof(load));
	shape.group = mode->in_group ? group_open() : NULL;
	load.session = session;
	load.group = shape.group;
	load.qpair = qpair_make_connected(session, &shape);
	load.write = kind->write;
	load.depth = depth;
	load.bytes = kind->bytes;
	load.vector = kind->vector;
	load.tagged = kind->tagged;
	load_open(&load);
	if (cycles) {
		time_case(&load, name);
	} else {
		count_case(&load, name, count);
	}
	qpair_end(load.qpair);
	if (shape.group != NULL) {
		spdk_nvme_poll_group_destroy(shape.group);
	}
	load_close(&load);
}

static void table(struct session *session, uint64_t count, bool cycles, char *const *patterns)
{
	size_t kind, depth, mode;
	char name[64];

	for (kind = 0; kind < LENGTH(g_kinds); kind++) {
		for (depth = 0; depth < LENGTH(g_depths); depth++) {
			for (mode = 0; mode < LENGTH(g_modes); mode++) {
				if (g_kinds[kind].depth != 0 && g_depths[depth] != g_kinds[kind].depth) {
					continue;
				}
				snprintf(name, sizeof(name), "%s/%" PRIu32 "/%s", g_kinds[kind].name, g_depths[depth],
					 g_modes[mode].name);
				if (matches(name, patterns)) {
					one_case(session, &g_kinds[kind], &g_modes[mode], g_depths[depth], count, cycles,
						 name);
				}
			}
		}
	}
}

static bool read_number(const char *text, uint64_t minimum, uint64_t maximum, uint64_t *value)
{
	if (size_read(text, maximum, value) && *value >= minimum) {
		return true;
	}
	fprintf(stderr, "bench: %s: a number from %s to %s is needed\n", text, digits(minimum), digits(maximum));
	return false;
}

int main(int argc, char **argv)
{
	uint64_t count = 0, depth = 32, size = 4096;
	bool in_group = false, good = true, all = false, cycles = false;
	static struct load load;
	struct session session;
	struct shape shape = {0};
	double begin, took;
	int letter;

	while (good && (letter = getopt(argc, argv, "m:n:q:o:gdach")) != -1) {
		switch (letter) {
		case 'm':
			load.write = strcmp(optarg, "write") == 0;
			good = load.write || strcmp(optarg, "read") == 0;
			break;
		case 'n':
			good = read_number(optarg, 1, UINT64_MAX >> 2, &count);
			break;
		case 'q':
			good = read_number(optarg, 1, MAX_DEPTH, &depth);
			break;
		case 'o':
			good = read_number(optarg, 512, 1u << 17, &size);
			break;
		case 'g':
			in_group = true;
			break;
		case 'd':
			shape.delay = true;
			break;
		case 'a':
			all = true;
			break;
		case 'c':
			all = cycles = true;
			break;
		case 'h':
			usage(stdout);
			return EXIT_GOOD;
		default:
			good = false;
			break;
		}
	}
	if (!good || (!all && optind < argc)) {
		usage(stderr);
		return EXIT_WRONG;
	}
	bench_open(&session, "bench", all && !cycles ? CALLGRIND_SLOWNESS : 1);
	if (all) {
		table(&session, count == 0 ? 1024 : count, cycles, argv + optind);
		bench_close(&session);
		return EXIT_GOOD;
	}

	shape.group = in_group ? group_open() : NULL;
	load.session = &session;
	load.group = shape.group;
	load.qpair = qpair_make_connected(&session, &shape);
	load.depth = (uint32_t)depth;
	load.bytes = (uint32_t)size;
	load_open(&load);
	begin = now();
	run(&load, count == 0 ? 100000 : count);
	took = now() - begin;
	printf("%s, %s bytes, depth %s%s%s: %s I/Os in %.3f s, %s IOPS\n", load.write ? "write" : "read", digits(size), digits(depth),
	       in_group ? ", poll group" : "", shape.delay ? ", delayed submit" : "", digits(load.ledger.completed), took,
	       digits((uint64_t)((double)load.ledger.completed / took)));
	qpair_end(load.qpair);
	if (shape.group != NULL) {
		spdk_nvme_poll_group_destroy(shape.group);
	}
	load_close(&load);
	bench_close(&session);
	return EXIT_GOOD;
}

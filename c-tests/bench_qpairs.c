/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * What a qpair costs beside its I/O: empty polls, alone and in groups with many members; allocating, connecting, disconnecting and
 * freeing one, alone and among many; resetting a controller, by its qpairs. For scripts/bench.sh, which runs it under callgrind.
 *
 * What depends on the clock (a look at the connection's events once a millisecond) or on how many turns a wait takes can only add
 * instructions, so each measure is taken several times, as sections of one name, and the least of them counts.
 */

#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include "common.h"
#include "in_process.h"
#include "load.h"

#define ROUNDS 4u
#define POLLS 16u
#define IOS 256u
#define MAX_MEMBERS 1000u
/* Of a qpair that only stands by; one that is measured has the size that bytes are counted for, too. */
#define SMALL_QUEUE 16u
#define QUEUE 128u
#define REQUESTS 256u
/* So many may be outstanding when a qpair ends. */
#define OUTSTANDING 127u

static struct session g_session;

static void fail(const char *what)
{
	fprintf(stderr, "bench-qpairs: %s\n", what);
	exit(EXIT_WRONG);
}

/* Between measures: the target has done what there was, and so has the Admin Queue. */
static void settle(void)
{
	in_process_settle();
	spdk_nvme_ctrlr_process_admin_completions(g_session.ctrlr);
}

static struct load *load_on(struct spdk_nvme_poll_group *group, struct spdk_nvme_qpair *qpair, uint32_t depth)
{
	static struct load load;

	memset(&load, 0, sizeof(load));
	load.session = &g_session;
	load.group = group;
	load.qpair = qpair;
	load.depth = depth;
	load.bytes = 4096;
	load_open(&load);
	return &load;
}

static void polls(const char *name, struct spdk_nvme_poll_group *group, struct spdk_nvme_qpair *qpair)
{
	unsigned round;

	settle();
	if (!bench_polls(group, qpair, POLLS)) {
		fail("a poll failed");
	}
	bench_section("-", 0, 0);
	for (round = 0; round < ROUNDS; round++) {
		if (!bench_polls(group, qpair, POLLS)) {
			fail("a poll failed");
		}
		bench_section(name, POLLS, POLLS);
	}
}

/* Empty polls without and with a request that the target has not seen, then reads, over `qpair`, which may have a group around it. */
static void polls_and_reads(const char *name, struct spdk_nvme_poll_group *group, struct spdk_nvme_qpair *qpair)
{
	static const uint32_t depths[] = {1, 32};
	struct load *load;
	unsigned depth, times;
	char text[64];

	snprintf(text, sizeof(text), "poll/%s/idle", name);
	polls(text, group, qpair);

	load = load_on(group, qpair, 1);
	settle();
	in_process_hold(true);
	if (!load_submit(load, 1)) {
		fail("a read was refused");
	}
	in_process_hold(false);
	snprintf(text, sizeof(text), "poll/%s/outstanding", name);
	/* Not settled: that would answer it. */
	if (!bench_polls(group, qpair, POLLS)) {
		fail("a poll failed");
	}
	bench_section("-", 0, 0);
	for (times = 0; times < ROUNDS; times++) {
		if (!bench_polls(group, qpair, POLLS) || load->ledger.completed != 0) {
			fail("a poll failed, or the target moved by itself");
		}
		bench_section(text, POLLS, POLLS);
	}
	while (load->ledger.completed == 0) {
		if (poll_step(group, qpair) < 0) {
			fail("a poll failed");
		}
	}
	load_close(load);

	for (depth = 0; depth < sizeof(depths) / sizeof(depths[0]); depth++) {
		load = load_on(group, qpair, depths[depth]);
		settle();
		if (!bench_loop(load, 2 * depths[depth])) {
			fail("a read failed");
		}
		bench_section("-", 0, 0);
		snprintf(text, sizeof(text), "poll/%s/read/%" PRIu32, name, depths[depth]);
		for (times = 1; times <= 2; times++) {
			if (!bench_loop(load, times * IOS)) {
				fail("a read failed");
			}
			bench_section(text, times * IOS, load->polls);
		}
		load_close(load);
	}
}

/* A section of one step. */
static void step(const char *name, const char *what)
{
	char text[96];

	snprintf(text, sizeof(text), "life/%s/%s", name, what);
	bench_section(text, 1, 0);
}

/* A qpair's whole life, step by step, in `group` if that is not NULL. */
static void life_by_steps(const char *name, struct spdk_nvme_poll_group *group)
{
	struct shape shape = {.group = group, .queue_size = QUEUE, .requests = REQUESTS};
	struct spdk_nvme_qpair *qpair;

	settle();
	bench_section("-", 0, 0);
	qpair = qpair_make(&g_session, &shape);
	step(name, "allocate");
	if (bench_connect(&g_session, qpair) != 0) {
		fail("a qpair does not connect");
	}
	step(name, "connect");
	bench_disconnect(qpair);
	step(name, "disconnect");
	qpair_end(qpair);
	step(name, "free");
}

/* Its end by a free alone, or by a disconnect and a free, while `outstanding` reads are with the target. */
static void life_ends(const char *name, struct spdk_nvme_poll_group *group, uint32_t outstanding, bool disconnect)
{
	struct shape shape = {.group = group, .queue_size = QUEUE, .requests = REQUESTS};
	struct spdk_nvme_qpair *qpair = qpair_make_connected(&g_session, &shape);
	struct load *load = load_on(group, qpair, OUTSTANDING);
	char text[64];

	/* Memory of the requests is known, and every one of them has been used. */
	if (!bench_loop(load, (uint64_t)2 * OUTSTANDING)) {
		fail("a read failed");
	}
	settle();
	load->ending = true;
	in_process_hold(true);
	if (!load_submit(load, outstanding)) {
		fail("a read was refused");
	}
	in_process_hold(false);
	bench_section("-", 0, 0);
	if (disconnect) {
		bench_disconnect(qpair);
	}
	qpair_end(qpair);
	if (load->ledger.aborted != outstanding) {
		fail("not every outstanding read was aborted");
	}
	snprintf(text, sizeof(text), "%s/%" PRIu32, disconnect ? "disconnect+free" : "end", outstanding);
	step(name, text);
	load_close(load);
}

static void life(const char *name, struct spdk_nvme_poll_group *group)
{
	static const uint32_t outstanding[] = {0, 64, OUTSTANDING};
	unsigned round, index;

	for (round = 0; round < ROUNDS; round++) {
		life_by_steps(name, group);
		for (index = 0; index < sizeof(outstanding) / sizeof(outstanding[0]); index++) {
			life_ends(name, group, outstanding[index], false);
			life_ends(name, group, outstanding[index], true);
		}
	}
}

/* Resets of the controller, and what they are for each of its qpairs. */
static void resets(void)
{
	static const uint32_t counts[] = {8, 32, 128};
	struct shape shape = {.queue_size = SMALL_QUEUE, .requests = SMALL_QUEUE};
	struct spdk_nvme_qpair *qpairs[128];
	uint32_t count = 0, size, round;
	char text[64];

	for (size = 0; size < sizeof(counts) / sizeof(counts[0]); size++) {
		for (; count < counts[size]; count++) {
			qpairs[count] = qpair_make_connected(&g_session, &shape);
		}
		snprintf(text, sizeof(text), "reset/%" PRIu32, count);
		for (round = 0; round < ROUNDS; round++) {
			settle();
			bench_section("-", 0, 0);
			if (bench_reset(&g_session, qpairs, count) != 0) {
				fail("a reset failed");
			}
			bench_section(text, count, 0);
		}
	}
	while (count > 0) {
		qpair_end(qpairs[--count]);
	}
}

/* Every member needs a descriptor or two. */
static void raise_limit(void)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
		limit.rlim_cur = limit.rlim_max;
		setrlimit(RLIMIT_NOFILE, &limit);
	}
}

int main(int argc, char **argv)
{
	static struct spdk_nvme_qpair *members[MAX_MEMBERS];
	uint64_t sizes[3] = {1, 64, MAX_MEMBERS};
	struct spdk_nvme_poll_group *group;
	struct shape shape = {.queue_size = QUEUE, .requests = REQUESTS};
	struct spdk_nvme_qpair *qpair;
	uint64_t count = 0;
	unsigned size;
	char name[24];
	bool good = true;
	int letter;

	while (good && (letter = getopt(argc, argv, "m:")) != -1) {
		good = letter == 'm' && size_read(optarg, MAX_MEMBERS, &sizes[2]) && sizes[2] > sizes[1];
	}
	if (!good || optind < argc) {
		fprintf(stderr, "usage: bench-qpairs [-m MEMBERS]\n\n  -m  members of the largest group, 65 to %u (default %u)\n",
			MAX_MEMBERS, MAX_MEMBERS);
		return EXIT_WRONG;
	}
	raise_limit();
	bench_open(&g_session, "bench-qpairs", CALLGRIND_SLOWNESS);

	qpair = qpair_make_connected(&g_session, &shape);
	polls_and_reads("qpair", NULL, qpair);
	qpair_end(qpair);
	life("alone", NULL);
	resets();

	group = group_open();
	shape.group = group;
	for (size = 0; size < sizeof(sizes) / sizeof(sizes[0]); size++) {
		/* The first, which does the work, is as large as the lone one. */
		for (; count < sizes[size]; count++) {
			shape.queue_size = count == 0 ? QUEUE : SMALL_QUEUE;
			shape.requests = count == 0 ? REQUESTS : SMALL_QUEUE;
			members[count] = qpair_make_connected(&g_session, &shape);
			if (count % 16 == 0) {
				settle();
			}
		}
		snprintf(name, sizeof(name), "group-%" PRIu64, sizes[size]);
		polls_and_reads(name, group, members[0]);
		if (size == 0) {
			life("grouped", group);
		}
	}
	life("many", NULL);
	life("grouped-many", group);

	while (count > 0) {
		qpair_end(members[--count]);
	}
	if (spdk_nvme_poll_group_destroy(group) != 0) {
		fail("the group is not destroyed");
	}
	bench_close(&g_session);
	return EXIT_GOOD;
}

/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * queue-ids [-n COUNT] -r TRID | --in-process
 *
 * A queue that ends and one that begins, back to back and again and again: each Connect is accepted, the new queue works, and
 * nobody has to complain. The id of a queue is not free at the target the moment the host has let go of it: until the target has
 * destroyed the old one, a new queue of that id is refused (NVMe-oF 1.1, 3.3: Command Sequence Error). Waiting until that is over
 * is not the program's business.
 *
 * COUNT (60) queues end and begin, a third of them in each of three ways: freed and allocated; the same in a poll group, where
 * connecting is asynchronous; disconnected and connected again. Each ends with reads in flight, since a target that has commands of
 * a queue to finish keeps the queue until then: where they take a second, its id is taken for a second.
 */

#include <errno.h>
#include <string.h>

#include "spdk/env.h"

#include "caught.h"
#include "check.h"
#include "common.h"
#include "session.h"

#define DEFAULT_COUNT 60u
#define IN_FLIGHT 4u

static struct session g_session;
static struct single g_reads[IN_FLIGHT];
static uint8_t *g_buffer;

/* Sent, and not polled for. */
static void leave_reads_in_flight(struct spdk_nvme_qpair *qpair)
{
	unsigned index;

	memset(g_reads, 0, sizeof(g_reads));
	for (index = 0; index < IN_FLIGHT; index++) {
		CHECK_INT(single_read(&g_session, qpair, &g_reads[index], g_buffer, index, 1), 0);
	}
}

static void check_reads_came_back(void)
{
	unsigned index;

	for (index = 0; index < IN_FLIGHT; index++) {
		CHECK_INT(g_reads[index].calls, 1);
	}
}

/* One queue, which works. */
static void allocate(struct spdk_nvme_poll_group *group, unsigned round)
{
	struct spdk_nvme_qpair *qpair = qpair_open(&g_session, group, group != NULL);

	CHECK(qpair_works(&g_session, group, qpair, round % 64));
	leave_reads_in_flight(qpair);
	CHECK_INT(spdk_nvme_ctrlr_free_io_qpair(qpair), 0);
	check_reads_came_back();
}

static void connect_again(struct spdk_nvme_qpair *qpair, unsigned round)
{
	double deadline = deadline_in(STEP_SECONDS);
	int rc;

	leave_reads_in_flight(qpair);
	spdk_nvme_ctrlr_disconnect_io_qpair(qpair);
	do {
		poll_step(NULL, qpair);
		rc = spdk_nvme_ctrlr_connect_io_qpair(g_session.ctrlr, qpair);
	} while (rc == -EAGAIN && !deadline_passed(deadline));
	CHECK_INT(rc, 0);
	while (!spdk_nvme_qpair_is_connected(qpair) && poll_step(NULL, qpair) >= 0 && !deadline_passed(deadline)) {
	}
	CHECK(spdk_nvme_qpair_is_connected(qpair));
	CHECK(qpair_works(&g_session, NULL, qpair, round % 64));
	check_reads_came_back();
}

/* `COUNT` of `-n COUNT`, which is taken out of the arguments. */
static unsigned count_read(int *argc, char **argv)
{
	uint64_t count = DEFAULT_COUNT;

	if (*argc < 3 || strcmp(argv[1], "-n") != 0) {
		return (unsigned)count;
	}
	if (!size_read(argv[2], 1000000, &count) || count == 0) {
		fprintf(stderr, "queue-ids: -n %s: a number from 1 to 1000000 is needed\n", argv[2]);
		exit(EXIT_WRONG);
	}
	memmove(&argv[1], &argv[3], (size_t)(*argc - 2) * sizeof(argv[0]));
	*argc -= 2;
	return (unsigned)count;
}

int main(int argc, char **argv)
{
	unsigned count = count_read(&argc, argv), round, before, errors;
	struct spdk_nvme_transport_id trid;
	struct spdk_nvme_poll_group *group;
	struct spdk_nvme_qpair *stays;
	double begin, deadline;
	const char *log;

	/* A deadline for failure: a queue takes milliseconds. */
	test_begin(argc, argv, &trid, 120 + count * 10);
	session_open(&g_session, &trid);
	group = spdk_nvme_poll_group_create(NULL, NULL);
	stays = qpair_open(&g_session, NULL, false);
	g_buffer = spdk_dma_zmalloc(4096, 4096, NULL);
	REQUIRE(group != NULL && g_buffer != NULL);
	before = count_fds();
	begin = now();
	for (round = 0; round < count && g_failed_checks == 0; round++) {
		caught_begin();
		switch (round % 3) {
		case 0:
			allocate(NULL, round);
			break;
		case 1:
			allocate(group, round);
			break;
		default:
			connect_again(stays, round);
			break;
		}
		CHECK(spdk_nvme_ctrlr_process_admin_completions(g_session.ctrlr) >= 0);
		errors = caught_end(&log);
		if (!CHECK_INT(errors, 0) || g_failed_checks != 0) {
			fprintf(stderr, "  in round %u of %u; what was said then:\n%s\n", round + 1, count, log);
		}
	}
	printf("%u queues ended and began in %.2f s\n", round, now() - begin);
	CHECK_INT(round, count);
	/* The last one to be freed has left its CM id to the controller, until the target has answered the disconnect. */
	deadline = deadline_in(STEP_SECONDS);
	while (count_fds() > before && !deadline_passed(deadline)) {
		CHECK(spdk_nvme_ctrlr_process_admin_completions(g_session.ctrlr) >= 0);
	}
	CHECK_INT(count_fds(), before);
	CHECK_INT(spdk_nvme_ctrlr_free_io_qpair(stays), 0);
	CHECK_INT(spdk_nvme_poll_group_destroy(group), 0);
	spdk_dma_free(g_buffer);
	session_close(&g_session);
	test_end();
	return check_result("queue-ids");
}

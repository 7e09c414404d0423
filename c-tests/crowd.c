/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * Many at once: 64 qpairs in one poll group, and in four groups on four threads, while the main thread polls the Admin Queue; 8 controllers, each
 * with qpairs of its own, in one group. Each I/O is a write that is read back and compared. On any target that grants 64 I/O queues.
 */

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "spdk/env.h"

#include "check.h"
#include "common.h"
#include "session.h"

#define QPAIRS 64u
#define THREADS 4u
#define CONTROLLERS 8u
/* Of each qpair. */
#define ROUNDS 20u
#define DEPTH 4u

struct member;

/* A block that is written, read back and compared, over and over. */
struct task {
	struct member *member;
	uint8_t *buffer;
	uint64_t lba, value;
	unsigned left;
	bool reads;
};

struct member {
	struct session *session;
	struct spdk_nvme_qpair *qpair;
	struct crowd *crowd;
	struct task tasks[DEPTH];
};

/* Qpairs that are polled together. */
struct crowd {
	struct spdk_nvme_poll_group *group;
	struct member members[QPAIRS];
	unsigned count, busy;
	/* Not CHECK: several threads would count at a time. */
	const char *failure;
};

static void on_complete(void *argument, const struct spdk_nvme_cpl *cpl);

static void fail(struct crowd *crowd, const char *why)
{
	crowd->failure = crowd->failure != NULL ? crowd->failure : why;
}

static void begin(struct task *task)
{
	struct session *session = task->member->session;
	size_t words = session->sector_size / sizeof(task->value), word;
	int rc;

	if (task->reads) {
		memset(task->buffer, 0, session->sector_size);
		rc = spdk_nvme_ns_cmd_read(session->ns, task->member->qpair, task->buffer, task->lba, 1, on_complete, task, 0);
	} else {
		task->value += 0x9e3779b97f4a7c15ull;
		for (word = 0; word < words; word++) {
			memcpy(task->buffer + word * sizeof(task->value), &task->value, sizeof(task->value));
		}
		rc = spdk_nvme_ns_cmd_write(session->ns, task->member->qpair, task->buffer, task->lba, 1, on_complete, task, 0);
	}
	if (rc != 0) {
		fail(task->member->crowd, "an I/O was refused");
		task->member->crowd->busy--;
	}
}

static void on_complete(void *argument, const struct spdk_nvme_cpl *cpl)
{
	struct task *task = argument;
	struct crowd *crowd = task->member->crowd;
	size_t words = task->member->session->sector_size / sizeof(task->value), word;

	if (spdk_nvme_cpl_is_error(cpl)) {
		fail(crowd, "an I/O failed");
	}
	for (word = 0; task->reads && word < words; word++) {
		if (memcmp(task->buffer + word * sizeof(task->value), &task->value, sizeof(task->value)) != 0) {
			fail(crowd, "other data than were written");
		}
	}
	task->reads = !task->reads;
	if (--task->left == 0 || crowd->failure != NULL) {
		crowd->busy--;
		return;
	}
	begin(task);
}

static void join(struct crowd *crowd, struct session *session, unsigned nth)
{
	struct member *member = &crowd->members[crowd->count++];
	unsigned index;

	member->session = session;
	member->crowd = crowd;
	member->qpair = qpair_open(session, crowd->group, false);
	for (index = 0; index < DEPTH; index++) {
		struct task *task = &member->tasks[index];

		task->member = member;
		task->lba = (uint64_t)nth * DEPTH + index;
		task->value = task->lba;
		task->buffer = spdk_dma_zmalloc(session->sector_size, 4096, NULL);
		REQUIRE(task->buffer != NULL && task->lba < session->sectors);
	}
}

static void *work(void *argument)
{
	struct crowd *crowd = argument;
	double deadline = deadline_in(STEP_SECONDS);
	unsigned index, nth;

	for (index = 0; index < crowd->count; index++) {
		for (nth = 0; nth < DEPTH; nth++) {
			struct task *task = &crowd->members[index].tasks[nth];

			task->left = 2 * ROUNDS;
			task->reads = false;
			crowd->busy++;
			begin(task);
		}
	}
	while (crowd->busy > 0 && crowd->failure == NULL) {
		if (poll_step(crowd->group, NULL) < 0) {
			fail(crowd, "a poll failed");
		}
		if (deadline_passed(deadline)) {
			fail(crowd, "I/O that does not come back");
		}
	}
	return NULL;
}

static void part(struct crowd *crowd)
{
	unsigned index, nth;

	if (crowd->failure != NULL) {
		fprintf(stderr, "%s\n", crowd->failure);
	}
	CHECK(crowd->failure == NULL);
	for (index = 0; index < crowd->count; index++) {
		CHECK_INT(spdk_nvme_ctrlr_free_io_qpair(crowd->members[index].qpair), 0);
		for (nth = 0; nth < DEPTH; nth++) {
			spdk_dma_free(crowd->members[index].tasks[nth].buffer);
		}
	}
	CHECK_INT(spdk_nvme_poll_group_destroy(crowd->group), 0);
	free(crowd);
}

static struct crowd *gather(void)
{
	struct crowd *crowd = calloc(1, sizeof(*crowd));

	REQUIRE(crowd != NULL);
	crowd->group = spdk_nvme_poll_group_create(NULL, NULL);
	REQUIRE(crowd->group != NULL);
	return crowd;
}

static void in_one_group(struct session *session)
{
	struct crowd *crowd = gather();
	unsigned index;

	for (index = 0; index < QPAIRS; index++) {
		join(crowd, session, index);
	}
	CHECK_INT(spdk_nvme_poll_group_all_connected(crowd->group), 0);
	work(crowd);
	part(crowd);
}

static atomic_uint g_threads_left;

static void *work_on_thread(void *argument)
{
	work(argument);
	atomic_fetch_sub(&g_threads_left, 1);
	return NULL;
}

static void on_threads(struct session *session)
{
	struct crowd *crowds[THREADS];
	pthread_t threads[THREADS];
	unsigned thread, index;

	for (thread = 0; thread < THREADS; thread++) {
		crowds[thread] = gather();
		for (index = 0; index < QPAIRS / THREADS; index++) {
			join(crowds[thread], session, thread * (QPAIRS / THREADS) + index);
		}
	}
	atomic_store(&g_threads_left, THREADS);
	for (thread = 0; thread < THREADS; thread++) {
		REQUIRE(pthread_create(&threads[thread], NULL, work_on_thread, crowds[thread]) == 0);
	}
	while (atomic_load(&g_threads_left) > 0) {
		CHECK(spdk_nvme_ctrlr_process_admin_completions(session->ctrlr) >= 0);
	}
	for (thread = 0; thread < THREADS; thread++) {
		REQUIRE(pthread_join(threads[thread], NULL) == 0);
		part(crowds[thread]);
	}
}

static void of_controllers(const struct spdk_nvme_transport_id *trid)
{
	struct session sessions[CONTROLLERS];
	struct crowd *crowd = gather();
	unsigned index, other, nth;

	for (index = 0; index < CONTROLLERS; index++) {
		session_open_as(&sessions[index], trid, index + 1);
		for (other = 0; other < index; other++) {
			CHECK(sessions[other].ctrlr != sessions[index].ctrlr);
		}
		for (nth = 0; nth < QPAIRS / CONTROLLERS; nth++) {
			join(crowd, &sessions[index], index * (QPAIRS / CONTROLLERS) + nth);
		}
	}
	work(crowd);
	part(crowd);
	for (index = 0; index < CONTROLLERS; index++) {
		session_close(&sessions[index]);
	}
}

int main(int argc, char **argv)
{
	struct spdk_nvme_transport_id trid;
	struct session session;

	test_begin(argc, argv, &trid, 1800);
	session_open(&session, &trid);
	in_one_group(&session);
	on_threads(&session);
	session_close(&session);
	of_controllers(&trid);
	test_end();
	return check_result("crowd");
}

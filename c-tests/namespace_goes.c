/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * A namespace goes and comes back while two threads read, write and ask it what it is (T162): its handle stays one, each request comes back
 * once, and what is there again works. On a target that takes commands and is not in this process.
 */

#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "check.h"
#include "common.h"
#include "peer.h"
#include "session.h"
#include "spdk/env.h"

#define THREADS 2u
#define DEPTH 8u
#define ROUNDS 20u
/* Requests of each thread that end before the namespace changes again. */
#define BETWEEN 20u

struct worker {
	pthread_t thread;
	unsigned number;
	atomic_ullong ended;
	/* Only the thread's own, until it has been joined. */
	struct single singles[DEPTH];
	uint64_t good, inactive, refused, stray, other;
};

static struct session g_session;
static atomic_bool g_over;
static struct worker g_workers[THREADS];

static bool is_namespace_gone(const struct spdk_nvme_cpl *cpl)
{
	return cpl->status.sct == SPDK_NVME_SCT_GENERIC && cpl->status.sc == SPDK_NVME_SC_INVALID_NAMESPACE_OR_FORMAT;
}

/* What any program may ask at any time. The answers are those of before or of after the change, and nothing else. */
static void ask(struct worker *worker)
{
	uint64_t sectors = spdk_nvme_ns_get_num_sectors(g_session.ns);
	const struct spdk_nvme_ns_data *data = spdk_nvme_ns_get_data(g_session.ns);
	uint32_t size = spdk_nvme_ns_get_sector_size(g_session.ns);

	worker->other += spdk_nvme_ns_get_id(g_session.ns) != 1 || data == NULL;
	worker->other += sectors != 0 && sectors != g_session.sectors;
	worker->other += size != 0 && size != g_session.sector_size;
	worker->other += spdk_nvme_ctrlr_get_ns(g_session.ctrlr, 1) != g_session.ns;
	spdk_nvme_ns_is_active(g_session.ns);
}

static void *work(void *argument)
{
	struct worker *worker = argument;
	struct spdk_nvme_qpair *qpair = qpair_open(&g_session, NULL, false);
	uint8_t *buffers = spdk_dma_zmalloc(DEPTH * 4096, 4096, NULL);
	bool busy[DEPTH] = {false}, any = true;
	unsigned index;
	int rc;

	REQUIRE(buffers != NULL);
	while (any) {
		any = !atomic_load(&g_over);
		for (index = 0; index < DEPTH; index++) {
			struct single *single = &worker->singles[index];
			uint64_t lba = (uint64_t)worker->number * DEPTH + index;

			if (busy[index] && single->calls != 0) {
				busy[index] = false;
				worker->stray += single->calls != 1;
				worker->good += !spdk_nvme_cpl_is_error(&single->cpl);
				worker->inactive += is_namespace_gone(&single->cpl);
				worker->other += spdk_nvme_cpl_is_error(&single->cpl) && !is_namespace_gone(&single->cpl);
				atomic_fetch_add(&worker->ended, 1);
			}
			if (!busy[index] && !atomic_load(&g_over)) {
				*single = (struct single){0};
				rc = index % 2 == 0 ? single_read(&g_session, qpair, single, buffers + index * 4096, lba, 1)
						    : single_write(&g_session, qpair, single, buffers + index * 4096, lba, 1);
				busy[index] = rc == 0;
				if (rc != 0) {
					/* An inactive one takes no commands. */
					worker->refused++;
					atomic_fetch_add(&worker->ended, 1);
				}
			}
			any |= busy[index];
		}
		ask(worker);
		worker->other += spdk_nvme_qpair_process_completions(qpair, 0) < 0;
		sched_yield();
	}
	worker->other += spdk_nvme_ctrlr_free_io_qpair(qpair) != 0;
	spdk_dma_free(buffers);
	return NULL;
}

/* The threads have worked on with the namespace as it is now. */
static void let_them_work(void)
{
	double deadline = deadline_in(STEP_SECONDS);
	unsigned index;

	for (index = 0; index < THREADS; index++) {
		uint64_t before = atomic_load(&g_workers[index].ended);

		while (atomic_load(&g_workers[index].ended) - before < BETWEEN) {
			CHECK(spdk_nvme_ctrlr_process_admin_completions(g_session.ctrlr) >= 0);
			REQUIRE(!deadline_passed(deadline));
			sched_yield();
		}
	}
}

static void until_active(bool active)
{
	double deadline = deadline_in(STEP_SECONDS);

	while (spdk_nvme_ctrlr_is_active_ns(g_session.ctrlr, 1) != active) {
		REQUIRE(spdk_nvme_ctrlr_process_admin_completions(g_session.ctrlr) >= 0);
		REQUIRE(!deadline_passed(deadline));
		sched_yield();
	}
	CHECK(spdk_nvme_ctrlr_get_ns(g_session.ctrlr, 1) == g_session.ns);
	CHECK_INT(spdk_nvme_ns_get_num_sectors(g_session.ns), active ? g_session.sectors : 0);
}

int main(int argc, char **argv)
{
	struct spdk_nvme_transport_id trid;
	struct spdk_nvme_qpair *qpair;
	uint64_t bytes, turned_away = 0;
	unsigned index, round;

	test_begin(argc, argv, &trid, 600);
	peer_begin(false);
	REQUIRE(argc == 3 && peer_takes_commands());
	session_open(&g_session, &trid);
	bytes = g_session.sectors * g_session.sector_size;
	for (index = 0; index < THREADS; index++) {
		g_workers[index].number = index;
		REQUIRE(pthread_create(&g_workers[index].thread, NULL, work, &g_workers[index]) == 0);
	}
	for (round = 0; round < ROUNDS; round++) {
		let_them_work();
		peer_tell("ns remove %s 1", trid.subnqn);
		until_active(false);
		let_them_work();
		peer_tell("ns add %s ns=%llu nsid=1", trid.subnqn, (unsigned long long)bytes);
		until_active(true);
	}
	let_them_work();
	atomic_store(&g_over, true);
	for (index = 0; index < THREADS; index++) {
		struct worker *worker = &g_workers[index];

		pthread_join(worker->thread, NULL);
		CHECK(worker->stray == 0 && worker->other == 0);
		CHECK(worker->good >= BETWEEN);
		turned_away += worker->inactive + worker->refused;
	}
	CHECK(turned_away > 0);
	qpair = qpair_open(&g_session, NULL, false);
	CHECK(qpair_works(&g_session, NULL, qpair, 3));
	CHECK_INT(spdk_nvme_ctrlr_free_io_qpair(qpair), 0);
	session_close(&g_session);
	peer_end();
	test_end();
	return check_result("namespace_goes");
}

/* SPDX-License-Identifier: BSD-3-Clause */

/* See session.h. */

#include "session.h"

#include <dirent.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common.h"
#include "in_process.h"
#include "spdk/env.h"

#define IN_PROCESS_BYTES (16u << 20)

unsigned g_disconnected;

static bool g_in_process;

static void give_up(const char *what, int rc)
{
	fprintf(stderr, "%s: %s\n", what, strerror(abs(rc)));
	exit(EXIT_WRONG);
}

void test_begin(int argc, char **argv, struct spdk_nvme_transport_id *trid, unsigned watchdog_seconds)
{
	static const struct in_process_room room = {.lingers = true};

	test_begin_with(argc, argv, &room, trid, watchdog_seconds);
}

void test_begin_with(int argc, char **argv, const struct in_process_room *room, struct spdk_nvme_transport_id *trid,
		     unsigned watchdog_seconds)
{
	if (!environment_start(argv[0])) {
		exit(EXIT_WRONG);
	}
	if (argc == 2 && strcmp(argv[1], "--in-process") == 0) {
		in_process_start_with("nqn.2016-06.io.spdk:cnode1", IN_PROCESS_BYTES, room, trid);
		g_in_process = true;
	} else if (argc != 3 || strcmp(argv[1], "-r") != 0) {
		fprintf(stderr, "usage: %s -r 'traddr:ADDRESS trsvcid:PORT subnqn:NQN' | --in-process\n", argv[0]);
		exit(EXIT_WRONG);
	} else if (!trid_read(trid, argv[2])) {
		exit(EXIT_WRONG);
	}
	watchdog(watchdog_seconds);
}

void test_end(void)
{
	if (g_in_process) {
		in_process_stop();
		g_in_process = false;
	}
	spdk_env_fini();
}

void session_open(struct session *session, const struct spdk_nvme_transport_id *trid)
{
	session_open_as(session, trid, 0);
}

void session_open_as(struct session *session, const struct spdk_nvme_transport_id *trid, unsigned host)
{
	session_of(session, trid, connect_as_host(trid, host));
}

void session_of(struct session *session, const struct spdk_nvme_transport_id *trid, struct spdk_nvme_ctrlr *ctrlr)
{
	uint32_t nsid;

	memset(session, 0, sizeof(*session));
	session->trid = *trid;
	session->ctrlr = ctrlr;
	if (session->ctrlr == NULL) {
		fprintf(stderr, "cannot connect to %s at %s port %s\n", trid->subnqn, trid->traddr, trid->trsvcid);
		exit(EXIT_WRONG);
	}
	nsid = spdk_nvme_ctrlr_get_first_active_ns(session->ctrlr);
	session->ns = nsid == 0 ? NULL : spdk_nvme_ctrlr_get_ns(session->ctrlr, nsid);
	if (session->ns == NULL) {
		fprintf(stderr, "%s has no namespace\n", trid->subnqn);
		exit(EXIT_WRONG);
	}
	session->sector_size = spdk_nvme_ns_get_sector_size(session->ns);
	session->sectors = spdk_nvme_ns_get_num_sectors(session->ns);
}

void session_close(struct session *session)
{
	int rc = spdk_nvme_detach(session->ctrlr);

	if (rc != 0) {
		give_up("spdk_nvme_detach", rc);
	}
	session->ctrlr = NULL;
}

struct spdk_nvme_qpair *qpair_open(struct session *session, struct spdk_nvme_poll_group *group, bool async)
{
	struct spdk_nvme_io_qpair_opts options;
	struct spdk_nvme_qpair *qpair;
	double deadline = deadline_in(STEP_SECONDS);
	int rc;

	spdk_nvme_ctrlr_get_default_io_qpair_opts(session->ctrlr, &options, sizeof(options));
	options.create_only = group != NULL;
	options.async_mode = async;
	qpair = spdk_nvme_ctrlr_alloc_io_qpair(session->ctrlr, &options, sizeof(options));
	if (qpair == NULL) {
		fprintf(stderr, "spdk_nvme_ctrlr_alloc_io_qpair: NULL\n");
		exit(EXIT_WRONG);
	}
	if (group != NULL) {
		rc = spdk_nvme_poll_group_add(group, qpair);
		if (rc != 0) {
			give_up("spdk_nvme_poll_group_add", rc);
		}
		rc = spdk_nvme_ctrlr_connect_io_qpair(session->ctrlr, qpair);
		if (rc != 0) {
			give_up("spdk_nvme_ctrlr_connect_io_qpair", rc);
		}
	}
	while (!spdk_nvme_qpair_is_connected(qpair)) {
		if (poll_step(group, qpair) < 0 || deadline_passed(deadline)) {
			fprintf(stderr, "the qpair did not connect\n");
			exit(EXIT_WRONG);
		}
	}
	return qpair;
}

void count_disconnected(struct spdk_nvme_qpair *qpair, void *group_context)
{
	(void)qpair;
	(void)group_context;
	g_disconnected++;
}

int64_t poll_step(struct spdk_nvme_poll_group *group, struct spdk_nvme_qpair *qpair)
{
	in_process_poll();
	if (group != NULL) {
		return spdk_nvme_poll_group_process_completions(group, 0, count_disconnected);
	}
	return spdk_nvme_qpair_process_completions(qpair, 0);
}

void single_done(void *argument, const struct spdk_nvme_cpl *cpl)
{
	struct single *single = argument;

	single->cpl = *cpl;
	single->calls++;
	if (single->then != NULL) {
		single->then(single);
	}
}

int single_write(struct session *session, struct spdk_nvme_qpair *qpair, struct single *single, void *buffer, uint64_t lba,
		 uint32_t blocks)
{
	return spdk_nvme_ns_cmd_write(session->ns, qpair, buffer, lba, blocks, single_done, single, 0);
}

int single_read(struct session *session, struct spdk_nvme_qpair *qpair, struct single *single, void *buffer, uint64_t lba,
		uint32_t blocks)
{
	return spdk_nvme_ns_cmd_read(session->ns, qpair, buffer, lba, blocks, single_done, single, 0);
}

bool single_wait(struct spdk_nvme_poll_group *group, struct spdk_nvme_qpair *qpair, const struct single *single)
{
	double deadline = deadline_in(STEP_SECONDS);

	while (single->calls == 0) {
		/* A qpair that has failed keeps its requests until it is freed. */
		if (poll_step(group, qpair) < 0 && group == NULL && single->calls == 0) {
			return false;
		}
		if (deadline_passed(deadline)) {
			fprintf(stderr, "a request did not come back within %.0f s\n", STEP_SECONDS);
			return false;
		}
	}
	return true;
}

bool qpair_works(struct session *session, struct spdk_nvme_poll_group *group, struct spdk_nvme_qpair *qpair, uint64_t lba)
{
	static uint64_t round;
	size_t size = session->sector_size;
	uint8_t *written = spdk_dma_zmalloc(size, 4096, NULL);
	uint8_t *found = spdk_dma_zmalloc(size, 4096, NULL);
	struct single write = {0}, read = {0};
	uint64_t state = ++round;
	bool good = false;
	size_t index;

	if (written == NULL || found == NULL) {
		fprintf(stderr, "no memory\n");
		exit(EXIT_WRONG);
	}
	for (index = 0; index < size; index++) {
		written[index] = (uint8_t)random_next(&state);
	}
	if (single_write(session, qpair, &write, written, lba, 1) == 0 && single_wait(group, qpair, &write) &&
	    !spdk_nvme_cpl_is_error(&write.cpl) && single_read(session, qpair, &read, found, lba, 1) == 0 &&
	    single_wait(group, qpair, &read) && !spdk_nvme_cpl_is_error(&read.cpl)) {
		good = memcmp(written, found, size) == 0;
	}
	spdk_dma_free(written);
	spdk_dma_free(found);
	return good && write.calls == 1 && read.calls == 1;
}

bool ctrlr_is_gone(struct spdk_nvme_ctrlr *ctrlr)
{
	return spdk_nvme_ctrlr_get_data(ctrlr) == NULL && spdk_nvme_ctrlr_process_admin_completions(ctrlr) < 0 &&
	       spdk_nvme_ctrlr_alloc_io_qpair(ctrlr, NULL, 0) == NULL;
}

bool was_aborted(const struct single *single)
{
	return single->cpl.status.sct == SPDK_NVME_SCT_GENERIC &&
	       single->cpl.status.sc == SPDK_NVME_SC_ABORTED_SQ_DELETION;
}

unsigned count_fds(void)
{
	DIR *folder = opendir("/proc/self/fd");
	unsigned count = 0;

	if (folder == NULL) {
		return 0;
	}
	while (readdir(folder) != NULL) {
		count++;
	}
	closedir(folder);
	return count;
}

unsigned count_fds_down_to(unsigned expected)
{
	double deadline = deadline_in(STEP_SECONDS);
	unsigned count;

	do {
		count = count_fds();
	} while (count > expected && !deadline_passed(deadline) && sched_yield() == 0);
	return count;
}

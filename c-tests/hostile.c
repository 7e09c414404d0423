/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * A target that lies. A response whose command id is out of range, belongs to no outstanding command, or comes twice,
 * fails the connection that it came on: one line in the log, each request called back once, and everything else
 * lives: the program, the controller's other qpairs, a new qpair, a new controller. (SPDK v26.05 crashes on the first
 * and hangs on the second.)
 *
 * Host and target share this process and its thread, so each run is the same.
 */

#include <errno.h>
#include <string.h>

#include "spdk/env.h"

#include "caught.h"
#include "check.h"
#include "common.h"
#include "in_process.h"
#include "session.h"

#define IN_FLIGHT 24u
#define NAMESPACE_BYTES (1u << 20)
/* How long a liar may go unnoticed: a deadline that only a failure reaches. */
#define NOTICE_SECONDS 60.0
/* Freeing a qpair of a silent target takes no time; a host that waits for an answer would take that of the command, or for ever. */
#define FREE_SECONDS 10.0

static struct spdk_nvme_transport_id g_trid;
static uint8_t *g_buffer;

static bool works(struct session *session, struct spdk_nvme_qpair *qpair)
{
	struct single write = {0}, read = {0};
	double deadline = deadline_in(NOTICE_SECONDS);
	uint8_t *place = g_buffer + IN_FLIGHT * 512;
	size_t size = session->sector_size;

	memset(place, 0x5a, size);
	if (single_write(session, qpair, &write, place, 100, 1) != 0) {
		return false;
	}
	while (write.calls == 0 && !deadline_passed(deadline) && poll_step(NULL, qpair) >= 0) {
	}
	memset(place, 0, size);
	if (write.calls != 1 || spdk_nvme_cpl_is_error(&write.cpl) ||
	    single_read(session, qpair, &read, place, 100, 1) != 0) {
		return false;
	}
	while (read.calls == 0 && !deadline_passed(deadline) && poll_step(NULL, qpair) >= 0) {
	}
	return read.calls == 1 && !spdk_nvme_cpl_is_error(&read.cpl) && place[0] == 0x5a && place[size - 1] == 0x5a;
}

static const char *name_of(enum misbehaviour how)
{
	static const char *const names[] = {"cid out of range", "cid of an idle slot", "repeated response", "silent", "reject"};

	return names[how];
}

/* The lie comes after `honest` true responses, with IN_FLIGHT requests sent. */
static void liar(enum misbehaviour how, bool in_group, unsigned honest)
{
	struct spdk_nvme_poll_group *group = in_group ? spdk_nvme_poll_group_create(NULL, NULL) : NULL;
	struct spdk_nvme_qpair *victim, *bystander, *next;
	struct single singles[IN_FLIGHT];
	unsigned long failed = g_failed_checks;
	unsigned index, completed = 0, errors;
	struct session session;
	bool noticed = false;
	const char *log;
	double deadline;

	REQUIRE(!in_group || group != NULL);
	session_open(&session, &g_trid);
	bystander = qpair_open(&session, NULL, false);
	victim = qpair_open(&session, group, in_group);

	memset(singles, 0, sizeof(singles));
	in_process_misbehave(how, honest);
	caught_begin();
	for (index = 0; index < IN_FLIGHT; index++) {
		if (single_read(&session, victim, &singles[index], g_buffer + index * 512, index, 1) != 0) {
			break;
		}
	}
	g_disconnected = 0;
	deadline = deadline_in(NOTICE_SECONDS);
	while (!noticed && !deadline_passed(deadline)) {
		int64_t rc = poll_step(group, victim);

		noticed = group != NULL ? g_disconnected != 0 : rc < 0;
	}
	errors = caught_end(&log);

	CHECK_INT(index, IN_FLIGHT);
	CHECK(noticed);
	CHECK_INT(errors, 1);
	CHECK(!spdk_nvme_qpair_is_connected(victim));
	CHECK(spdk_nvme_qpair_get_failure_reason(victim) != SPDK_NVME_QPAIR_FAILURE_NONE);
	CHECK_INT(single_read(&session, victim, &(struct single){0}, g_buffer, 0, 1), -ENXIO);
	CHECK(works(&session, bystander));

	CHECK_INT(spdk_nvme_ctrlr_free_io_qpair(victim), 0);
	for (index = 0; index < IN_FLIGHT; index++) {
		CHECK_INT(singles[index].calls, 1);
		if (!spdk_nvme_cpl_is_error(&singles[index].cpl)) {
			completed++;
		} else {
			CHECK(was_aborted(&singles[index]));
		}
	}
	/* The true answers before the lie count, and those that were there already when it was found; the lie's own does not. */
	CHECK_RANGE(completed, honest, how == REPEAT_RESPONSE ? IN_FLIGHT : IN_FLIGHT - 1);
	if (g_failed_checks != failed) {
		fprintf(stderr, "  that was: %s, %s, after %u; the log:\n%s\n", name_of(how), in_group ? "in a group" : "alone",
			honest, log);
	}

	/* Life goes on: here, on a new qpair, and on a new controller. */
	CHECK(works(&session, bystander));
	next = qpair_open(&session, NULL, false);
	CHECK(works(&session, next));
	CHECK_INT(spdk_nvme_ctrlr_free_io_qpair(next), 0);
	CHECK_INT(spdk_nvme_ctrlr_free_io_qpair(bystander), 0);
	if (group != NULL) {
		CHECK_INT(spdk_nvme_poll_group_destroy(group), 0);
	}
	session_close(&session);
}

/* A target that says nothing: requests stay in flight, and free still ends them, once and in time. */
static void silence(bool in_group)
{
	struct spdk_nvme_poll_group *group = in_group ? spdk_nvme_poll_group_create(NULL, NULL) : NULL;
	struct spdk_nvme_qpair *qpair;
	struct single singles[IN_FLIGHT];
	struct session session;
	unsigned index;
	double begin;

	REQUIRE(!in_group || group != NULL);
	session_open(&session, &g_trid);
	qpair = qpair_open(&session, group, false);
	in_process_misbehave(SILENT, 0);
	memset(singles, 0, sizeof(singles));
	for (index = 0; index < IN_FLIGHT; index++) {
		CHECK_INT(single_read(&session, qpair, &singles[index], g_buffer + index * 512, index, 1), 0);
	}
	for (index = 0; index < 1000; index++) {
		CHECK(poll_step(group, qpair) >= 0);
	}
	begin = now();
	CHECK_INT(spdk_nvme_ctrlr_free_io_qpair(qpair), 0);
	CHECK_RANGE(now() - begin, 0, FREE_SECONDS);
	for (index = 0; index < IN_FLIGHT; index++) {
		CHECK_INT(singles[index].calls, 1);
		CHECK(was_aborted(&singles[index]));
	}
	if (group != NULL) {
		CHECK_INT(spdk_nvme_poll_group_destroy(group), 0);
	}
	in_process_behave(SILENT);
	session_close(&session);
}

/* Rejected: NULL, in time, and nothing left of it. */
static void rejected(void)
{
	unsigned before = count_fds();
	struct spdk_nvme_ctrlr *ctrlr;
	struct session session;
	double begin = now();

	in_process_misbehave(REJECT, 0);
	caught_begin();
	ctrlr = spdk_nvme_connect(&g_trid, NULL, 0);
	CHECK_INT(caught_end(NULL), 1);
	CHECK(ctrlr == NULL);
	CHECK_RANGE(now() - begin, 0, NOTICE_SECONDS);
	in_process_behave(REJECT);
	session_open(&session, &g_trid);
	session_close(&session);
	CHECK_INT(count_fds_down_to(before), before);
}

int main(void)
{
	static const enum misbehaviour lies[] = {CID_OUT_OF_RANGE, CID_IDLE, REPEAT_RESPONSE};
	static const unsigned honest[] = {0, 1, IN_FLIGHT / 2, IN_FLIGHT - 1};
	struct session session;
	unsigned lie, turn;

	if (!environment_start("hostile")) {
		return EXIT_WRONG;
	}
	watchdog(180);
	in_process_start("nqn.2016-06.io.spdk:liar", NAMESPACE_BYTES, &g_trid);
	g_buffer = spdk_dma_zmalloc((IN_FLIGHT + 8) * 512, 4096, NULL);
	REQUIRE(g_buffer != NULL);
	/* Once before anything is counted: the first use of a device opens what the process keeps. */
	session_open(&session, &g_trid);
	session_close(&session);

	for (lie = 0; lie < sizeof(lies) / sizeof(lies[0]); lie++) {
		for (turn = 0; turn < sizeof(honest) / sizeof(honest[0]); turn++) {
			liar(lies[lie], false, honest[turn]);
			liar(lies[lie], true, honest[turn]);
		}
	}
	silence(false);
	silence(true);
	rejected();

	spdk_dma_free(g_buffer);
	in_process_stop();
	spdk_env_fini();
	return check_result("hostile");
}

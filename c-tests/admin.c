/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * Admin commands of the program: data from and to any memory, exactly one callback for what was accepted and none for what was not, errors of
 * the controller as they are, and the Admin Queue none the worse for any of it. On any target.
 */

#include <errno.h>
#include <string.h>

#include "spdk/env.h"

#include "check.h"
#include "common.h"
#include "in_process.h"
#include "session.h"

#define SMART_SIZE 512u
#define PATTERN 0x5a

static struct session g_session;

static int admin_step(void)
{
	in_process_poll();
	return spdk_nvme_ctrlr_process_admin_completions(g_session.ctrlr);
}

/* Polls until the command came back. */
static void admin_wait(const struct single *single)
{
	double deadline = deadline_in(STEP_SECONDS);

	while (single->calls == 0) {
		REQUIRE(admin_step() >= 0);
		REQUIRE(!deadline_passed(deadline));
	}
	CHECK_INT(single->calls, 1);
}

/* What a submission returned, and then its completion: a success. */
static void succeeds(int rc, struct single *single)
{
	CHECK_INT(rc, 0);
	CHECK_INT(single->calls, 0); /* not inside of the call */
	admin_wait(single);
	CHECK_INT(single->cpl.status.sct, 0);
	CHECK_INT(single->cpl.status.sc, 0);
	CHECK_INT(single->cpl.sqid, 0);
}

static void raw(void)
{
	const struct spdk_nvme_ctrlr_data *data = spdk_nvme_ctrlr_get_data(g_session.ctrlr);
	uint8_t *room = spdk_dma_zmalloc(4096, 4096, NULL);
	static uint8_t foreign[4096];
	struct single single = {0}, copied = {0}, none = {0}, refused = {0};
	struct spdk_nvme_cmd cmd = {0};

	REQUIRE(room != NULL && data != NULL);
	cmd.opc = SPDK_NVME_OPC_IDENTIFY;
	cmd.cdw10 = SPDK_NVME_IDENTIFY_CTRLR;
	cmd.cid = 0xffff; /* the library's to choose */
	succeeds(spdk_nvme_ctrlr_cmd_admin_raw(g_session.ctrlr, &cmd, room, 4096, single_done, &single), &single);
	CHECK(memcmp(room, data, 4096) == 0);

	/* Memory of the environment is used in place; other memory does, too. */
	succeeds(spdk_nvme_ctrlr_cmd_admin_raw(g_session.ctrlr, &cmd, foreign, 4096, single_done, &copied), &copied);
	CHECK(memcmp(foreign, data, 4096) == 0);
	CHECK_INT(spdk_nvme_ctrlr_cmd_admin_raw(g_session.ctrlr, &cmd, (void *)0x1000, 4096, single_done, &none), -1);
	CHECK_INT(spdk_nvme_ctrlr_cmd_admin_raw(g_session.ctrlr, NULL, room, 4096, single_done, &none), -EINVAL);
	CHECK_INT(spdk_nvme_ctrlr_cmd_admin_raw(g_session.ctrlr, &cmd, NULL, 4096, single_done, &none), -EINVAL);

	/* An opcode that no controller has: the error is the controller's, and is told as it is. */
	cmd.opc = 0xc4;
	CHECK_INT(spdk_nvme_ctrlr_cmd_admin_raw(g_session.ctrlr, &cmd, NULL, 0, single_done, &refused), 0);
	admin_wait(&refused);
	CHECK(refused.cpl.status.sc == SPDK_NVME_SC_INVALID_OPCODE);
	CHECK_INT(none.calls, 0);
	spdk_dma_free(room);
}

static void log_pages(void)
{
	struct single single = {0}, ext = {0}, odd = {0}, none = {0}, unknown = {0};
	/* On the stack: nothing that the environment knows. */
	uint8_t page[SMART_SIZE + 8], again[SMART_SIZE];

	memset(page, PATTERN, sizeof(page));
	memset(again, PATTERN, sizeof(again));
	succeeds(spdk_nvme_ctrlr_cmd_get_log_page(g_session.ctrlr, SPDK_NVME_LOG_HEALTH_INFORMATION, UINT32_MAX, page, SMART_SIZE,
						  0, single_done, &single),
		 &single);
	/* All of it came, reserved zeros at its end, and the bytes behind are as they were. */
	CHECK_INT(page[SMART_SIZE - 1], 0);
	CHECK_INT(page[SMART_SIZE], PATTERN);
	succeeds(spdk_nvme_ctrlr_cmd_get_log_page_ext(g_session.ctrlr, SPDK_NVME_LOG_HEALTH_INFORMATION, UINT32_MAX, again,
						      SMART_SIZE, 0, 0, 0, 0, single_done, &ext),
		 &ext);
	CHECK(memcmp(page, again, 3) == 0);

	/* What exceeds a multiple of 4 is not read; targets refuse a buffer that is not as long as the command says. */
	memset(page, PATTERN, sizeof(page));
	succeeds(spdk_nvme_ctrlr_cmd_get_log_page(g_session.ctrlr, SPDK_NVME_LOG_HEALTH_INFORMATION, UINT32_MAX, page,
						  SMART_SIZE + 3, 0, single_done, &odd),
		 &odd);
	CHECK(memcmp(page, again, 3) == 0);
	CHECK_INT(page[SMART_SIZE], PATTERN);

	CHECK_INT(spdk_nvme_ctrlr_cmd_get_log_page(g_session.ctrlr, 2, UINT32_MAX, page, 0, 0, single_done, &none), -EINVAL);
	CHECK_INT(spdk_nvme_ctrlr_cmd_get_log_page(g_session.ctrlr, 2, UINT32_MAX, page, 3, 0, single_done, &none), -EINVAL);
	CHECK_INT(spdk_nvme_ctrlr_cmd_get_log_page(g_session.ctrlr, 2, UINT32_MAX, page, 8, 2, single_done, &none), -EINVAL);
	CHECK_INT(spdk_nvme_ctrlr_cmd_get_log_page(g_session.ctrlr, 2, UINT32_MAX, page, UINT32_MAX, 0, single_done, &none),
		  -EINVAL);
	if (spdk_nvme_ctrlr_get_data(g_session.ctrlr)->lpa.lpeds == 0) {
		CHECK_INT(spdk_nvme_ctrlr_cmd_get_log_page(g_session.ctrlr, 2, UINT32_MAX, page, 8, 4, single_done, &none),
			  -EINVAL);
	}
	CHECK_INT(none.calls, 0);

	/* A page that there is not: the controller says so, and the program's memory is not touched. */
	memset(page, PATTERN, sizeof(page));
	CHECK_INT(spdk_nvme_ctrlr_cmd_get_log_page(g_session.ctrlr, 0xce, UINT32_MAX, page, SMART_SIZE, 0, single_done, &unknown),
		  0);
	admin_wait(&unknown);
	CHECK(unknown.cpl.status.sc != 0 || unknown.cpl.status.sct != 0);
	CHECK(page[0] == PATTERN && page[SMART_SIZE - 1] == PATTERN);
}

static void features(void)
{
	struct single queues = {0}, events = {0}, fewer = {0}, back = {0}, seen = {0}, unknown = {0}, of_ns = {0};
	uint32_t granted;

	succeeds(spdk_nvme_ctrlr_cmd_get_feature(g_session.ctrlr, SPDK_NVME_FEAT_NUMBER_OF_QUEUES, 0, NULL, 0, single_done,
						 &queues),
		 &queues);
	granted = (queues.cpl.cdw0 & 0xffff) + 1;
	CHECK(granted >= spdk_nvme_ctrlr_get_opts(g_session.ctrlr)->num_io_queues);

	/* What is set is what is got. */
	succeeds(spdk_nvme_ctrlr_cmd_get_feature(g_session.ctrlr, SPDK_NVME_FEAT_ASYNC_EVENT_CONFIGURATION, 0, NULL, 0,
						 single_done, &events),
		 &events);
	succeeds(spdk_nvme_ctrlr_cmd_set_feature(g_session.ctrlr, SPDK_NVME_FEAT_ASYNC_EVENT_CONFIGURATION, 0, 0, NULL, 0,
						 single_done, &fewer),
		 &fewer);
	succeeds(spdk_nvme_ctrlr_cmd_get_feature(g_session.ctrlr, SPDK_NVME_FEAT_ASYNC_EVENT_CONFIGURATION, 0, NULL, 0,
						 single_done, &seen),
		 &seen);
	CHECK_INT(seen.cpl.cdw0, 0);
	succeeds(spdk_nvme_ctrlr_cmd_set_feature(g_session.ctrlr, SPDK_NVME_FEAT_ASYNC_EVENT_CONFIGURATION, events.cpl.cdw0, 0,
						 NULL, 0, single_done, &back),
		 &back);

	CHECK_INT(spdk_nvme_ctrlr_cmd_get_feature(g_session.ctrlr, 0xbf, 0, NULL, 0, single_done, &unknown), 0);
	admin_wait(&unknown);
	CHECK(unknown.cpl.status.sc != 0 || unknown.cpl.status.sct != 0);
	/* Of a namespace: whatever the controller says, it is said once. */
	CHECK_INT(spdk_nvme_ctrlr_cmd_get_feature_ns(g_session.ctrlr, SPDK_NVME_FEAT_ERROR_RECOVERY, 0, NULL, 0, single_done,
						     &of_ns, 1),
		  0);
	admin_wait(&of_ns);
	of_ns.calls = 0;
	CHECK_INT(spdk_nvme_ctrlr_cmd_set_feature_ns(g_session.ctrlr, 0xbf, 0, 0, NULL, 0, single_done, &of_ns, 1), 0);
	admin_wait(&of_ns);
	CHECK(of_ns.cpl.status.sc != 0 || of_ns.cpl.status.sct != 0);
}

/* No target of ours, and not the kernel's, has these: their refusal must arrive. */
static void security_and_directives(void)
{
	struct single receive = {0}, send = {0}, directive = {0}, back = {0};
	uint8_t room[64];

	memset(room, PATTERN, sizeof(room));
	CHECK_INT(spdk_nvme_ctrlr_cmd_security_receive(g_session.ctrlr, 0, 0, 0, room, sizeof(room), single_done, &receive), 0);
	CHECK_INT(spdk_nvme_ctrlr_cmd_security_send(g_session.ctrlr, 0, 0, 0, room, sizeof(room), single_done, &send), 0);
	CHECK_INT(spdk_nvme_ctrlr_cmd_directive_send(g_session.ctrlr, 1, 1, 0, 0, room, sizeof(room), 0, 0, single_done,
						     &directive),
		  0);
	CHECK_INT(spdk_nvme_ctrlr_cmd_directive_receive(g_session.ctrlr, 1, 1, 0, 0, room, sizeof(room), 0, 0, single_done, &back),
		  0);
	admin_wait(&receive);
	admin_wait(&send);
	admin_wait(&directive);
	admin_wait(&back);
	CHECK(receive.cpl.status.sc != 0 && send.cpl.status.sc != 0 && directive.cpl.status.sc != 0 && back.cpl.status.sc != 0);
	CHECK_INT(spdk_nvme_ctrlr_security_receive(g_session.ctrlr, 0, 0, 0, room, sizeof(room)), -EIO);
	CHECK_INT(spdk_nvme_ctrlr_security_send(g_session.ctrlr, 0, 0, 0, room, sizeof(room)), -EIO);
	CHECK_INT(spdk_nvme_ctrlr_security_send(g_session.ctrlr, 0, 0, 0, room, SIZE_MAX), -EINVAL);
	CHECK(room[0] == PATTERN && room[sizeof(room) - 1] == PATTERN);
}

/* As many as there are requests, and one more. Each that was accepted comes back once, and then there is room again. */
static void exhaustion(void)
{
	enum { MANY = 5000 };
	static struct single singles[MANY];
	static uint8_t pages[MANY][SMART_SIZE];
	struct single last = {0};
	int accepted, rc = 0, i;

	for (accepted = 0; accepted < MANY && rc == 0; accepted++) {
		memset(pages[accepted], PATTERN, SMART_SIZE);
		rc = spdk_nvme_ctrlr_cmd_get_log_page(g_session.ctrlr, SPDK_NVME_LOG_HEALTH_INFORMATION, UINT32_MAX, pages[accepted],
						      SMART_SIZE, 0, single_done, &singles[accepted]);
		accepted -= rc != 0;
	}
	CHECK_INT(rc, -ENOMEM);
	CHECK(accepted >= 4);
	for (i = 0; i < accepted; i++) {
		admin_wait(&singles[i]);
		CHECK(!spdk_nvme_cpl_is_error(&singles[i].cpl));
		CHECK_INT(pages[i][SMART_SIZE - 1], 0);
	}
	CHECK_INT(singles[accepted].calls, 0);
	/* Nobody has to listen. */
	CHECK_INT(spdk_nvme_ctrlr_cmd_get_log_page(g_session.ctrlr, SPDK_NVME_LOG_HEALTH_INFORMATION, UINT32_MAX, pages[0], SMART_SIZE, 0,
						   NULL, NULL),
		  0);
	succeeds(spdk_nvme_ctrlr_cmd_get_log_page(g_session.ctrlr, SPDK_NVME_LOG_HEALTH_INFORMATION, UINT32_MAX, pages[1], SMART_SIZE, 0,
						  single_done, &last),
		 &last);
}

static void resubmit(struct single *single)
{
	if (single->calls < 20) {
		CHECK_INT(spdk_nvme_ctrlr_cmd_get_feature(g_session.ctrlr, SPDK_NVME_FEAT_NUMBER_OF_QUEUES, 0, NULL, 0, single_done,
							  single),
			  0);
	}
}

/* A callback may send the next one. */
static void from_callbacks(void)
{
	struct single single = {.then = resubmit};
	double deadline = deadline_in(STEP_SECONDS);

	resubmit(&single);
	while (single.calls < 20) {
		REQUIRE(admin_step() >= 0);
		REQUIRE(!deadline_passed(deadline));
	}
}

/* What is out when the controller goes comes back as aborted, and what the controller would still write has nowhere to go. */
static void left_behind(void)
{
	static struct single single;
	static uint8_t page[SMART_SIZE];

	CHECK_INT(spdk_nvme_ctrlr_cmd_get_log_page(g_session.ctrlr, SPDK_NVME_LOG_HEALTH_INFORMATION, UINT32_MAX, page, sizeof(page),
						   0, single_done, &single),
		  0);
	session_close(&g_session);
	CHECK_INT(single.calls, 1);
}

int main(int argc, char **argv)
{
	struct spdk_nvme_transport_id trid;

	test_begin(argc, argv, &trid, 600);
	session_open(&g_session, &trid);
	raw();
	log_pages();
	features();
	security_and_directives();
	exhaustion();
	from_callbacks();
	CHECK(!spdk_nvme_ctrlr_is_failed(g_session.ctrlr));
	left_behind();
	test_end();
	return check_result("admin");
}

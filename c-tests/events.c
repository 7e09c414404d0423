/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * What a controller tells by itself: a namespace goes and comes back, and the way to it is lost and there again (ANA). When the program
 * hears of it the library has read anew what it is about, on the handles that the program has; I/O meanwhile fails with the status that
 * says why, and is good afterwards. On any target that is told to, by command or by a hand ("namespace off", "namespace on", "access
 * STATE", a state as the kernel's target has it).
 */

#include <stdlib.h>
#include <string.h>

#include "check.h"
#include "common.h"
#include "in_process.h"
#include "peer.h"
#include "session.h"
#include "spdk/env.h"

#define ROUNDS 3
/* Asynchronous events: notices (type 2) of namespaces (0) and of how they are reached (3), with their log pages. */
#define NOTICE 2
#define NAMESPACES_CHANGED 0
#define ACCESS_CHANGED 3

static struct session g_session;
static struct spdk_nvme_qpair *g_qpair;
static uint8_t *g_buffer;

/* What the program has heard, and what it found by then. */
static struct {
	unsigned calls;
	uint32_t last;
	bool active;
	uint64_t sectors;
	enum spdk_nvme_ana_state access;
} g_heard;

/* The listener to namespaces alone. */
static struct {
	unsigned calls;
	bool has_id;
} g_changed;

static void look(void)
{
	g_heard.active = spdk_nvme_ctrlr_is_active_ns(g_session.ctrlr, 1) && spdk_nvme_ns_is_active(g_session.ns);
	g_heard.sectors = spdk_nvme_ns_get_num_sectors(g_session.ns);
	g_heard.access = spdk_nvme_ns_get_ana_state(g_session.ns);
}

static void heard(void *argument, const struct spdk_nvme_cpl *cpl)
{
	CHECK(argument == &g_heard);
	CHECK(!spdk_nvme_cpl_is_error(cpl));
	CHECK(spdk_nvme_ctrlr_get_ns(g_session.ctrlr, 1) == g_session.ns);
	look();
	g_heard.calls++;
	g_heard.last = cpl->cdw0;
}

static void changed(void *argument, const uint32_t *ids, uint32_t count)
{
	uint32_t index;

	CHECK(argument == &g_changed);
	look();
	g_changed.calls++;
	/* NULL is "look at all of them". */
	g_changed.has_id = ids == NULL;
	for (index = 0; index < count; index++) {
		g_changed.has_id |= ids[index] == 1;
	}
}

/* Has the target change, by a command or by a hand. */
static void have(const char *command, const char *ask)
{
	if (peer_takes_commands()) {
		peer_tell(command, g_session.trid.subnqn);
	} else {
		peer_ask("%s", ask);
	}
}

static void until_called(const unsigned *calls, unsigned most)
{
	double deadline = deadline_in(STEP_SECONDS);

	while (*calls < most) {
		in_process_poll();
		REQUIRE(spdk_nvme_ctrlr_process_admin_completions(g_session.ctrlr) >= 0);
		REQUIRE(!deadline_passed(deadline));
	}
}

/* The program hears of one more event, which is of this kind. */
static void expect(uint32_t information)
{
	until_called(&g_heard.calls, 1);
	CHECK_INT(g_heard.last & 7, NOTICE);
	CHECK_INT(g_heard.last >> 8 & 0xff, information);
	g_heard.calls = 0;
}

/* What a read comes to: its status, type and code. */
static int read_status(void)
{
	struct single single = {0};

	REQUIRE(single_read(&g_session, g_qpair, &single, g_buffer, 0, 1) == 0);
	REQUIRE(single_wait(NULL, g_qpair, &single));
	CHECK_INT(single.calls, 1);
	return single.cpl.status.sct << 8 | single.cpl.status.sc;
}

static void a_namespace_goes_and_comes_back(bool tells_ids)
{
	char back[SPDK_NVMF_NQN_MAX_LEN + 64];
	struct single single = {0};

	snprintf(back, sizeof(back), "ns add %%s ns=%llu nsid=1",
		 (unsigned long long)(g_session.sectors * g_session.sector_size));
	spdk_nvme_ctrlr_register_ns_attr_changed_callback(g_session.ctrlr, tells_ids ? changed : NULL, &g_changed);
	memset(&g_changed, 0, sizeof(g_changed));
	have("ns remove %s 1", "namespace off");
	if (tells_ids) {
		until_called(&g_changed.calls, 1);
		CHECK(g_changed.has_id);
	} else {
		expect(NAMESPACES_CHANGED);
	}
	CHECK(!g_heard.active);
	CHECK_INT(g_heard.sectors, 0);
	CHECK_INT(spdk_nvme_ctrlr_get_first_active_ns(g_session.ctrlr), 0);
	CHECK(single_read(&g_session, g_qpair, &single, g_buffer, 0, 1) < 0);
	have(back, "namespace on");
	if (tells_ids) {
		until_called(&g_changed.calls, 2);
		CHECK(g_changed.has_id);
		CHECK_INT(g_heard.calls, 0);
	} else {
		expect(NAMESPACES_CHANGED);
	}
	CHECK(g_heard.active);
	CHECK_INT(g_heard.sectors, g_session.sectors);
	CHECK_INT(spdk_nvme_ctrlr_get_first_active_ns(g_session.ctrlr), 1);
	CHECK(qpair_works(&g_session, NULL, g_qpair, 5));
	spdk_nvme_ctrlr_register_ns_attr_changed_callback(g_session.ctrlr, NULL, NULL);
}

static void the_way_is_lost_and_there_again(void)
{
	static const struct {
		const char *command, *ask;
		enum spdk_nvme_ana_state state;
		int status;
	} ways[] = {
		{"ana %s 1 inaccessible", "access inaccessible", SPDK_NVME_ANA_INACCESSIBLE_STATE,
		 SPDK_NVME_SCT_PATH << 8 | SPDK_NVME_SC_ASYMMETRIC_ACCESS_INACCESSIBLE},
		{"ana %s 1 non-optimized", "access non-optimized", SPDK_NVME_ANA_NON_OPTIMIZED_STATE, 0},
		{"ana %s 1 persistent-loss", "access persistent-loss", SPDK_NVME_ANA_PERSISTENT_LOSS_STATE,
		 SPDK_NVME_SCT_PATH << 8 | SPDK_NVME_SC_ASYMMETRIC_ACCESS_PERSISTENT_LOSS},
		{"ana %s 1 optimized", "access optimized", SPDK_NVME_ANA_OPTIMIZED_STATE, 0},
	};
	size_t index;

	for (index = 0; index < sizeof(ways) / sizeof(ways[0]); index++) {
		have(ways[index].command, ways[index].ask);
		expect(ACCESS_CHANGED);
		CHECK_INT(g_heard.access, ways[index].state);
		CHECK(g_heard.active);
		CHECK_INT(read_status(), ways[index].status);
	}
	CHECK(qpair_works(&g_session, NULL, g_qpair, 7));
}

int main(int argc, char **argv)
{
	struct spdk_nvme_transport_id trid;
	unsigned round;

	test_begin(argc, argv, &trid, 600);
	peer_begin(argc == 2);
	REQUIRE(peer_takes_commands() || peer_has_hand());
	session_open(&g_session, &trid);
	g_qpair = qpair_open(&g_session, NULL, false);
	g_buffer = spdk_dma_zmalloc(4096, 4096, NULL);
	REQUIRE(g_buffer != NULL);
	spdk_nvme_ctrlr_register_aer_callback(g_session.ctrlr, heard, &g_heard);
	CHECK_INT(read_status(), 0);
	CHECK_INT(spdk_nvme_ns_get_ana_group_id(g_session.ns), 1);
	for (round = 0; round < ROUNDS; round++) {
		a_namespace_goes_and_comes_back(round % 2 != 0);
		the_way_is_lost_and_there_again();
	}
	/* Nobody hears of what happens now, and nothing comes of it. */
	spdk_nvme_ctrlr_register_aer_callback(g_session.ctrlr, NULL, NULL);
	CHECK_INT(g_heard.calls, 0);
	spdk_dma_free(g_buffer);
	CHECK_INT(spdk_nvme_ctrlr_free_io_qpair(g_qpair), 0);
	session_close(&g_session);
	peer_end();
	test_end();
	return check_result("events");
}

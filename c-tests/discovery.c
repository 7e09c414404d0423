/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * The discovery controller as a program uses it: attached directly, its log read whole, from callbacks too and several times at once, and the end
 * of the controller while a log is being read. On any target whose discovery subsystem is at the transport id.
 */

#include <errno.h>
#include <string.h>

#include "check.h"
#include "common.h"
#include "in_process.h"
#include "session.h"

struct read {
	unsigned calls;
	int rc;
	bool failed;
	bool again; /* read once more from the callback */
	struct spdk_nvmf_discovery_log_page *log;
};

static struct spdk_nvme_ctrlr *g_ctrlr;

static void got(void *arg, int rc, const struct spdk_nvme_cpl *cpl, struct spdk_nvmf_discovery_log_page *log)
{
	struct read *read = arg;

	read->calls++;
	read->rc = rc;
	read->failed = cpl == NULL || spdk_nvme_cpl_is_error(cpl);
	CHECK_INT(log == NULL, rc != 0 || read->failed);
	free(read->log);
	read->log = log;
	if (read->again) {
		read->again = false;
		CHECK_INT(spdk_nvme_ctrlr_get_discovery_log_page(g_ctrlr, got, read), 0);
	}
}

static void wait_for(const struct read *read, unsigned calls)
{
	double deadline = deadline_in(STEP_SECONDS);

	while (read->calls < calls) {
		in_process_poll();
		REQUIRE(spdk_nvme_ctrlr_process_admin_completions(g_ctrlr) >= 0);
		REQUIRE(!deadline_passed(deadline));
	}
	CHECK_INT(read->calls, calls);
}

static bool has_subsystem(const struct spdk_nvmf_discovery_log_page *log, const char *nqn)
{
	uint64_t i;

	for (i = 0; i < log->numrec; i++) {
		if (strcmp((const char *)log->entries[i].subnqn, nqn) == 0) {
			return log->entries[i].subtype == SPDK_NVMF_SUBTYPE_NVME && log->entries[i].trtype == SPDK_NVMF_TRTYPE_RDMA;
		}
	}
	return false;
}

static void event(void *arg, const struct spdk_nvme_cpl *cpl)
{
	(void)cpl;
	++*(unsigned *)arg;
}

int main(int argc, char **argv)
{
	struct spdk_nvme_transport_id trid;
	struct read one = {0}, two = {0}, twice = {.again = true}, never = {0};
	char subnqn[SPDK_NVMF_NQN_MAX_LEN + 1];
	unsigned events = 0;

	test_begin(argc, argv, &trid, 600);
	snprintf(subnqn, sizeof(subnqn), "%s", trid.subnqn);
	snprintf(trid.subnqn, sizeof(trid.subnqn), "%s", SPDK_NVMF_DISCOVERY_NQN);
	g_ctrlr = spdk_nvme_connect(&trid, NULL, 0);
	REQUIRE(g_ctrlr != NULL);
	CHECK(spdk_nvme_ctrlr_is_discovery(g_ctrlr) && spdk_nvme_ctrlr_is_fabrics(g_ctrlr));
	CHECK_INT(spdk_nvme_ctrlr_get_num_ns(g_ctrlr), 0);
	CHECK(!spdk_nvme_ctrlr_is_log_page_supported(g_ctrlr, 1) && !spdk_nvme_ctrlr_is_feature_supported(g_ctrlr, 7));
	CHECK(spdk_nvme_ctrlr_get_first_active_ns(g_ctrlr) == 0 && spdk_nvme_ctrlr_get_ns(g_ctrlr, 1) == NULL);
	CHECK(spdk_nvme_ctrlr_alloc_io_qpair(g_ctrlr, NULL, 0) == NULL);

	spdk_nvme_ctrlr_register_aer_callback(g_ctrlr, event, &events);
	CHECK_INT(spdk_nvme_ctrlr_get_discovery_log_page(g_ctrlr, NULL, NULL), -EINVAL);
	CHECK_INT(spdk_nvme_ctrlr_get_discovery_log_page(g_ctrlr, got, &one), 0);
	CHECK_INT(spdk_nvme_ctrlr_get_discovery_log_page(g_ctrlr, got, &two), 0);
	CHECK_INT(one.calls, 0); /* not inside of the call */
	wait_for(&one, 1);
	wait_for(&two, 1);
	REQUIRE(one.rc == 0 && !one.failed && one.log != NULL && two.log != NULL);
	CHECK(one.log->recfmt == 0 && one.log->numrec >= 1 && one.log->genctr == two.log->genctr);
	CHECK(memcmp(one.log, two.log, sizeof(*one.log) + one.log->numrec * sizeof(one.log->entries[0])) == 0);
	CHECK(has_subsystem(one.log, subnqn));

	CHECK_INT(spdk_nvme_ctrlr_get_discovery_log_page(g_ctrlr, got, &twice), 0);
	wait_for(&twice, 2);
	CHECK(twice.rc == 0 && twice.log != NULL && has_subsystem(twice.log, subnqn));
	CHECK_INT(events, 0);
	spdk_nvme_ctrlr_register_aer_callback(g_ctrlr, NULL, NULL);

	/* The end comes first: the reading ends as well, and says so. */
	CHECK_INT(spdk_nvme_ctrlr_get_discovery_log_page(g_ctrlr, got, &never), 0);
	CHECK_INT(spdk_nvme_detach(g_ctrlr), 0);
	CHECK_INT(never.calls, 1);

	free(one.log);
	free(two.log);
	free(twice.log);
	free(never.log);
	test_end();
	return check_result("discovery");
}

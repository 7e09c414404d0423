/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * What a user gets wrong: no such address, port or subsystem, no RDMA device, a transport id that is none. Each is
 * answered with an error value within its deadline, with one clear line in the log, and leaves nothing behind.
 *
 * The TRID of -r names a target that is there; with --no-device before it, the machine has no RDMA device.
 */

#include <errno.h>
#include <string.h>

#include "spdk/env.h"

#include "caught.h"
#include "check.h"
#include "common.h"
#include "session.h"

/*
 * Resolving an address and a route may take 2 s each, the CM answer 1 s. A busy machine adds to that; what must not be waited for are
 * librdmacm's own deadlines, which are minutes.
 */
#define REFUSED_SECONDS 30.0

/* Must be refused within the deadline, with one line that has `word` in it, and leave no file descriptor behind. */
static void refused(const char *what, const struct spdk_nvme_transport_id *trid, const char *word)
{
	unsigned before = count_fds(), errors;
	struct spdk_nvme_ctrlr *ctrlr;
	double begin = now(), elapsed;
	unsigned long failed = g_failed_checks;
	const char *log;

	caught_begin();
	ctrlr = spdk_nvme_connect(trid, NULL, 0);
	elapsed = now() - begin;
	errors = caught_end(&log);

	CHECK(ctrlr == NULL);
	CHECK_RANGE(elapsed, 0, REFUSED_SECONDS);
	CHECK_INT(errors, 1);
	CHECK(strstr(log, word) != NULL);
	CHECK_INT(count_fds_down_to(before), before);
	printf("%-22s %.2f s: %s", what, elapsed, log[0] == '\0' ? "\n" : log);
	if (g_failed_checks != failed) {
		fprintf(stderr, "  that was: %s, where '%s' is expected in the log\n", what, word);
	}
	if (ctrlr != NULL) {
		spdk_nvme_detach(ctrlr);
	}
}

static void unparsable(void)
{
	static const char *const texts[] = {
		"traddr",           "trtype:RDMA traddr", "traddr:",     "\t\t",
		"adrfam:IPv5",      ":",                  "   nonsense", "trtype:RDMA trsvcid:123456789012345678901234567890123",
		"trtype:RDMA traddr:",
	};
	static char long_text[4096];
	struct spdk_nvme_transport_id trid;
	size_t index;

	for (index = 0; index < sizeof(texts) / sizeof(texts[0]); index++) {
		int rc;

		memset(&trid, 0, sizeof(trid));
		caught_begin();
		rc = spdk_nvme_transport_id_parse(&trid, texts[index]);
		if (!CHECK_INT(caught_end(NULL), 1) || !CHECK_INT(rc, -EINVAL)) {
			fprintf(stderr, "  that was: '%s'\n", texts[index]);
		}
	}
	CHECK_INT(spdk_nvme_transport_id_parse(&trid, NULL), -EINVAL);
	CHECK_INT(spdk_nvme_transport_id_parse(NULL, "trtype:RDMA"), -EINVAL);

	/* Values and keys that do not fit. */
	memset(long_text, 'a', sizeof(long_text) - 1);
	for (index = 0; index < 3; index++) {
		static const char *const starts[] = {"traddr:", "subnqn:", "aaaaaaa"};
		int rc;

		memcpy(long_text, starts[index], strlen(starts[index]));
		caught_begin();
		rc = spdk_nvme_transport_id_parse(&trid, long_text);
		CHECK_INT(caught_end(NULL), 1);
		CHECK_INT(rc, -EINVAL);
	}
}

static void with_device(const struct spdk_nvme_transport_id *good)
{
	struct spdk_nvme_transport_id trid;
	struct session session;

	/* Once before anything is counted: the first use of a device opens what the process keeps. */
	session_open(&session, good);
	session_close(&session);

	/* TEST-NET-1 of RFC 5737: nobody is there. */
	trid = *good;
	strcpy(trid.traddr, "192.0.2.1");
	refused("unreachable address", &trid, "192.0.2.1");

	trid = *good;
	strcpy(trid.trsvcid, "9");
	refused("wrong port", &trid, ":9 ");

	trid = *good;
	strcpy(trid.subnqn, "nqn.2016-06.io.spdk:nobody");
	refused("unknown subsystem", &trid, "nqn.2016-06.io.spdk:nobody");

	trid = *good;
	strcpy(trid.traddr, "not-an-address");
	refused("no address at all", &trid, "not-an-address");

	trid = *good;
	strcpy(trid.trsvcid, "http");
	refused("no port at all", &trid, "http");

	/* After all that, the right one still works. */
	session_open(&session, good);
	session_close(&session);
}

int main(int argc, char **argv)
{
	struct spdk_nvme_transport_id trid;
	bool no_device = argc > 1 && strcmp(argv[1], "--no-device") == 0;

	if (no_device) {
		argv[1] = argv[0];
		argv++;
		argc--;
	}
	test_begin(argc, argv, &trid, 120);
	if (no_device) {
		refused("no RDMA device", &trid, "device");
	} else {
		unparsable();
		with_device(&trid);
	}
	test_end();
	return check_result("bad-input");
}

/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * What becomes of text, and what becomes text: transport ids and host ids, names and identifiers, statuses, commands and
 * completions. Without an argument that is all; this needs no RDMA device. With a target (-r TRID, --in-process) the names
 * of a controller and a namespace of it, and what is logged of a qpair, as well.
 */

#include <errno.h>
#include <string.h>

#include "spdk/env.h"
#include "spdk/log.h"
#include "spdk_internal/nvme_util.h"

#include "caught.h"
#include "check.h"
#include "common.h"
#include "session.h"

#define DISCOVERY "nqn.2014-08.org.nvmexpress.discovery"

/* A text, or NULL. */
static bool check_text(const char *found, const char *expected, const char *file, int line, const char *text)
{
	bool same = found == NULL || expected == NULL ? found == expected : strcmp(found, expected) == 0;

	g_checks++;
	if (!same) {
		g_failed_checks++;
		fprintf(stderr, "%s:%d: %s: expected '%s', found '%s'\n", file, line, text, expected == NULL ? "(NULL)" : expected,
			found == NULL ? "(NULL)" : found);
	}
	return same;
}

#define CHECK_TEXT(found, expected) check_text((found), (expected), __FILE__, __LINE__, #found)

static struct spdk_nvme_transport_id transport_id(const char *text)
{
	struct spdk_nvme_transport_id trid;

	memset(&trid, 0, sizeof(trid));
	CHECK_INT(spdk_nvme_transport_id_parse(&trid, text), 0);
	return trid;
}

static int compared(const char *one, const char *other)
{
	struct spdk_nvme_transport_id trids[] = {transport_id(one), transport_id(other)};
	int there = spdk_nvme_transport_id_compare(&trids[0], &trids[1]);

	CHECK_INT(spdk_nvme_transport_id_compare(&trids[1], &trids[0]), -there);
	return there < 0 ? -1 : there > 0;
}

static void comparing(void)
{
	struct spdk_nvme_transport_id trid = transport_id("trtype:RDMA");
	const char *log;

	CHECK_INT(compared("trtype:RDMA adrfam:IPv6 traddr:fe80::1 trsvcid:4420", "trtype:rdma adrfam:ipv6 traddr:FE80:0::1 trsvcid:4420"),
		  0);
	CHECK_INT(compared("trtype:RDMA adrfam:IPv4 traddr:9.0.0.1", "trtype:RDMA adrfam:IPv4 traddr:10.0.0.1"), -1);
	CHECK_INT(compared("trtype:RDMA subnqn:a", "trtype:RDMA subnqn:A"), 1);
	CHECK_INT(compared("trtype:PCIe traddr:0000:04:00.0", "trtype:PCIe traddr:04:00.0 trsvcid:1"), 0);
	CHECK_INT(compared("trtype:mine", "trtype:yours"), -1);
	CHECK_INT(compared("trtype:RDMA traddr:a-name", "trtype:RDMA traddr:A-NAME priority:3"), 0);

	caught_begin();
	CHECK_INT(spdk_nvme_transport_id_compare(&trid, NULL), -EINVAL);
	CHECK_INT(caught_end(&log), 1);
	CHECK(strstr(log, "spdk_nvme_transport_id_compare") != NULL);
}

static void transports_and_families(void)
{
	enum spdk_nvme_transport_type trtype = SPDK_NVME_TRANSPORT_PCIE;
	enum spdk_nvmf_adrfam adrfam = SPDK_NVMF_ADRFAM_IB;
	struct spdk_nvme_transport_id trid;

	CHECK_INT(spdk_nvme_transport_id_parse_trtype(&trtype, "rdma"), 0);
	CHECK_INT(trtype, SPDK_NVME_TRANSPORT_RDMA);
	CHECK_INT(spdk_nvme_transport_id_parse_trtype(&trtype, "of-my-own"), 0);
	CHECK_INT(trtype, SPDK_NVME_TRANSPORT_CUSTOM);
	CHECK_INT(spdk_nvme_transport_id_parse_trtype(&trtype, NULL), -EINVAL);
	CHECK_INT(spdk_nvme_transport_id_parse_trtype(NULL, "rdma"), -EINVAL);
	CHECK_TEXT(spdk_nvme_transport_id_trtype_str(SPDK_NVME_TRANSPORT_PCIE), "PCIe");
	CHECK_TEXT(spdk_nvme_transport_id_trtype_str(SPDK_NVME_TRANSPORT_CUSTOM_FABRICS), "CUSTOM");
	CHECK_TEXT(spdk_nvme_transport_id_trtype_str((enum spdk_nvme_transport_type)0), NULL);

	CHECK_INT(spdk_nvme_transport_id_parse_adrfam(&adrfam, "IPV6"), 0);
	CHECK_INT(adrfam, SPDK_NVMF_ADRFAM_IPV6);
	CHECK_INT(spdk_nvme_transport_id_parse_adrfam(&adrfam, "ipx"), -ENOENT);
	CHECK_INT(adrfam, SPDK_NVMF_ADRFAM_IPV6);
	CHECK_INT(spdk_nvme_transport_id_parse_adrfam(&adrfam, NULL), -EINVAL);
	CHECK_TEXT(spdk_nvme_transport_id_adrfam_str(SPDK_NVMF_ADRFAM_FC), "FC");
	CHECK_TEXT(spdk_nvme_transport_id_adrfam_str((enum spdk_nvmf_adrfam)0), NULL);

	memset(&trid, 0x5a, sizeof(trid));
	CHECK_INT(spdk_nvme_transport_id_populate_trstring(&trid, "rdma"), 0);
	CHECK_TEXT(trid.trstring, "RDMA");
	CHECK_INT(trid.traddr[0], 0x5a);
	CHECK_INT(spdk_nvme_transport_id_populate_trstring(&trid, "123456789012345678901234567890123"), -EINVAL);
	CHECK_INT(spdk_nvme_transport_id_populate_trstring(&trid, NULL), -EINVAL);
	CHECK_TEXT(trid.trstring, "RDMA");
}

static void host_ids(void)
{
	struct spdk_nvme_host_id hostid;
	const char *log;

	memset(&hostid, 0, sizeof(hostid));
	CHECK_INT(spdk_nvme_host_id_parse(&hostid, "trtype:RDMA traddr:192.0.2.1 hostaddr:192.0.2.2 hostsvcid:1234"), 0);
	CHECK_TEXT(hostid.hostaddr, "192.0.2.2");
	CHECK_TEXT(hostid.hostsvcid, "1234");
	CHECK_INT(spdk_nvme_host_id_parse(&hostid, NULL), -EINVAL);
	CHECK_INT(spdk_nvme_host_id_parse(NULL, "hostaddr:192.0.2.2"), -EINVAL);

	caught_begin();
	CHECK_INT(spdk_nvme_host_id_parse(&hostid, "hostnqn:x hostaddr:192.0.2.3"), 0);
	CHECK_INT(caught_end(&log), 1);
	CHECK(strstr(log, "'hostnqn'") != NULL);
	CHECK_TEXT(hostid.hostaddr, "192.0.2.3");
	caught_begin();
	CHECK_INT(spdk_nvme_host_id_parse(&hostid, "hostaddr"), -EINVAL);
	CHECK_INT(caught_end(NULL), 1);
}

static void entries(void)
{
	static struct spdk_nvme_trid_entry entry;
	const char *log;

	entry.nsid = 9;
	CHECK_INT(spdk_nvme_trid_entry_parse(&entry, "traddr:0000:04:00.0"), 0);
	CHECK_INT(entry.trid.trtype, SPDK_NVME_TRANSPORT_PCIE);
	CHECK_TEXT(entry.trid.subnqn, DISCOVERY);
	CHECK_INT(entry.nsid, 9);
	CHECK_TEXT(entry.failover_trid.traddr, "0000:04:00.0");

	CHECK_INT(spdk_nvme_trid_entry_parse(&entry, "trtype:RDMA adrfam:IPv4 traddr:192.0.2.1 subnqn:nqn.x:ns:5 ns:2 hostnqn:h "
						     "hostaddr:192.0.2.3 alt_traddr:192.0.2.2"),
		  0);
	CHECK_INT(entry.nsid, 2);
	CHECK_TEXT(entry.trid.subnqn, "nqn.x:ns:5");
	CHECK_TEXT(entry.hostnqn, "h");
	CHECK_TEXT(entry.hostaddr, "192.0.2.3");
	CHECK_TEXT(entry.trid.traddr, "192.0.2.1");
	CHECK_TEXT(entry.failover_trid.traddr, "192.0.2.2");
	CHECK_TEXT(entry.failover_trid.subnqn, "nqn.x:ns:5");

	caught_begin();
	CHECK_INT(spdk_nvme_trid_entry_parse(&entry, "traddr:0000:04:00.0 hostaddr:192.0.2.3"), -EINVAL);
	CHECK_INT(caught_end(&log), 1);
	CHECK(strstr(log, "hostaddr") != NULL);
	CHECK_INT(spdk_nvme_trid_entry_parse(&entry, NULL), -EINVAL);
	CHECK_INT(spdk_nvme_trid_entry_parse(NULL, "traddr:0000:04:00.0"), -EINVAL);
}

static void protection_information(void)
{
	uint32_t flags = 1;

	CHECK_INT(spdk_nvme_prchk_flags_parse(&flags, "prchk:reftag|guard"), 0);
	CHECK_INT(flags, SPDK_NVME_IO_FLAGS_PRCHK_REFTAG | SPDK_NVME_IO_FLAGS_PRCHK_GUARD | 1);
	CHECK_INT(spdk_nvme_prchk_flags_parse(&flags, NULL), -EINVAL);
	CHECK_INT(spdk_nvme_prchk_flags_parse(NULL, "prchk:guard"), -EINVAL);
	caught_begin();
	CHECK_INT(spdk_nvme_prchk_flags_parse(&flags, "check:guard"), -EINVAL);
	CHECK_INT(caught_end(NULL), 1);
	CHECK_TEXT(spdk_nvme_prchk_flags_str(flags), "prchk:reftag|guard");
	CHECK_TEXT(spdk_nvme_prchk_flags_str(SPDK_NVME_IO_FLAGS_PRCHK_REFTAG), "prchk:reftag");
	CHECK_TEXT(spdk_nvme_prchk_flags_str(SPDK_NVME_IO_FLAGS_PRCHK_GUARD), "prchk:guard");
	CHECK_TEXT(spdk_nvme_prchk_flags_str(SPDK_NVME_IO_FLAGS_PRCHK_APPTAG), NULL);
}

static void authentication(void)
{
	static const char *const groups[] = {"null", "ffdhe2048", "ffdhe3072", "ffdhe4096", "ffdhe6144", "ffdhe8192"};
	static const char *const digests[] = {NULL, "sha256", "sha384", "sha512"};
	static const uint8_t lengths[] = {0, 32, 48, 64};
	int id;

	for (id = 0; id < 6; id++) {
		CHECK_TEXT(spdk_nvme_dhchap_get_dhgroup_name(id), groups[id]);
		CHECK_INT(spdk_nvme_dhchap_get_dhgroup_id(groups[id]), id);
	}
	for (id = 0; id < 4; id++) {
		CHECK_TEXT(spdk_nvme_dhchap_get_digest_name(id), digests[id]);
		CHECK_INT(spdk_nvme_dhchap_get_digest_id(digests[id]), id == 0 ? -EINVAL : id);
		CHECK_INT(spdk_nvme_dhchap_get_digest_length(id), lengths[id]);
	}
	CHECK_TEXT(spdk_nvme_dhchap_get_dhgroup_name(6), NULL);
	CHECK_TEXT(spdk_nvme_dhchap_get_dhgroup_name(-1), NULL);
	CHECK_TEXT(spdk_nvme_dhchap_get_digest_name(4), NULL);
	CHECK_INT(spdk_nvme_dhchap_get_digest_length(-1), 0);
	CHECK_INT(spdk_nvme_dhchap_get_digest_id("SHA256"), -EINVAL);
	CHECK_INT(spdk_nvme_dhchap_get_dhgroup_id("ffdhe1024"), -EINVAL);
}

/* What is logged by the call before; begun by caught_begin(). It must be one notice that ends with `expected`. */
static void logged(const char *expected)
{
	const char *log, *line, *end;
	unsigned errors = caught_end(&log);

	CHECK_INT(errors, 0);
	line = strstr(log, "*NOTICE*: ");
	end = log + strlen(log) - 1;
	if (!CHECK(line != NULL && strchr(log, '\n') == end) || !CHECK((size_t)(end - line) >= strlen(expected)) ||
	    !CHECK_INT(strncmp(end - strlen(expected), expected, strlen(expected)), 0)) {
		fprintf(stderr, "  expected: %s\n  found: %s", expected, log);
	}
}

static struct spdk_nvme_cmd read_command(void)
{
	struct spdk_nvme_cmd cmd;

	memset(&cmd, 0, sizeof(cmd));
	cmd.opc = SPDK_NVME_OPC_READ;
	cmd.psdt = SPDK_NVME_PSDT_SGL_MPTR_CONTIG;
	cmd.cid = 7;
	cmd.nsid = 1;
	cmd.cdw10 = 16;
	cmd.cdw12 = 7;
	cmd.dptr.sgl1.keyed.type = SPDK_NVME_SGL_TYPE_KEYED_DATA_BLOCK;
	cmd.dptr.sgl1.keyed.length = 0x1000;
	cmd.dptr.sgl1.keyed.key = 0x12;
	cmd.dptr.sgl1.address = 0xabc000;
	return cmd;
}

#define READ_LINE "READ sqid:1 cid:7 nsid:1 lba:16 len:8 SGL KEYED DATA BLOCK ADDRESS 0xabc000 len:0x1000 key:0x12"
#define INVALID_LINE "(01/82) qid:1 cid:7 cdw0:00000000 sqhd:0005 p:0 m:0 dnr:1"

static struct spdk_nvme_cpl completion(void)
{
	struct spdk_nvme_cpl cpl;

	memset(&cpl, 0, sizeof(cpl));
	cpl.sqhd = 5;
	cpl.cid = 7;
	cpl.status.sct = SPDK_NVME_SCT_COMMAND_SPECIFIC;
	cpl.status.sc = SPDK_NVMF_FABRIC_SC_INVALID_PARAM;
	cpl.status.dnr = 1;
	return cpl;
}

static void statuses_commands_and_completions(void)
{
	struct spdk_nvme_cmd cmd = read_command();
	struct spdk_nvme_cpl cpl = completion();
	const char *log;

	CHECK_TEXT(spdk_nvme_cpl_get_status_type_string(&cpl.status), "COMMAND SPECIFIC");
	CHECK_TEXT(spdk_nvme_cpl_get_status_type_string(NULL), "RESERVED");

	caught_begin();
	spdk_nvme_print_command(1, &cmd);
	logged(": " READ_LINE);
	cmd.opc = SPDK_NVME_OPC_GET_FEATURES;
	cmd.cdw10 = SPDK_NVME_FEAT_NUMBER_OF_QUEUES;
	caught_begin();
	spdk_nvme_print_command(0, &cmd);
	logged(": GET FEATURES NUMBER OF QUEUES cid:7 cdw10:00000007 SGL KEYED DATA BLOCK ADDRESS 0xabc000 len:0x1000 key:0x12");
	cmd.opc = SPDK_NVME_OPC_KEEP_ALIVE;
	caught_begin();
	spdk_nvme_print_command(0, &cmd);
	logged(": KEEP ALIVE (24) qid:0 cid:7 nsid:1 cdw10:00000007 cdw11:00000000 ");

	caught_begin();
	spdk_nvme_print_completion(1, &cpl);
	logged(": WRITE TO RO RANGE " INVALID_LINE);
	caught_begin();
	spdk_nvme_print_completion_ext(1, &cpl, SPDK_NVME_OPC_FABRIC);
	logged(": INVALID PARAM " INVALID_LINE);

	/* Of another queue: an error first. */
	cpl.sqid = 2;
	caught_begin();
	spdk_nvme_print_completion(1, &cpl);
	CHECK_INT(caught_end(&log), 1);
	CHECK(strstr(log, "queue 2") != NULL && strstr(log, "WRITE TO RO RANGE " INVALID_LINE) != NULL);

	caught_begin();
	spdk_nvme_print_command(1, NULL);
	spdk_nvme_print_completion(1, NULL);
	spdk_nvme_print_completion_ext(1, NULL, 0);
	CHECK_INT(caught_end(NULL), 3);
}

static void names(struct session *session)
{
	char expected[1024], name[1024], foreign[256] = {0};
	int length, written;

	length = snprintf(expected, sizeof(expected), "RDMA (addr:%s subnqn:%s)", session->trid.traddr, session->trid.subnqn);
	CHECK_INT(spdk_nvme_build_name(name, sizeof(name), session->ctrlr, NULL), length);
	CHECK_TEXT(name, expected);
	CHECK_INT(spdk_nvme_build_name(NULL, 0, session->ctrlr, NULL), length);

	/* With a namespace, and with less room than that takes: as of snprintf(). */
	length = snprintf(expected, sizeof(expected), "RDMA (addr:%s subnqn:%s) NSID %u", session->trid.traddr, session->trid.subnqn,
			  spdk_nvme_ns_get_id(session->ns));
	for (written = 1; written <= length + 1; written += 7) {
		char part[1024];

		memset(name, 'x', sizeof(name));
		CHECK_INT(spdk_nvme_build_name(name, (size_t)written, session->ctrlr, session->ns), length);
		snprintf(part, (size_t)written, "%s", expected);
		CHECK_TEXT(name, part);
		CHECK_INT(name[written], 'x');
	}

	caught_begin();
	CHECK_INT(spdk_nvme_build_name(NULL, 5, session->ctrlr, NULL), -EINVAL);
	CHECK_INT(spdk_nvme_build_name(name, sizeof(name), NULL, NULL), -EINVAL);
	CHECK_INT(spdk_nvme_build_name(name, sizeof(name), (struct spdk_nvme_ctrlr *)session->ns, NULL), -EINVAL);
	CHECK_INT(spdk_nvme_build_name(name, sizeof(name), session->ctrlr, (struct spdk_nvme_ns *)session->ctrlr), -EINVAL);
	CHECK_INT(spdk_nvme_build_name(name, sizeof(name), (struct spdk_nvme_ctrlr *)(void *)foreign, session->ns), -EINVAL);
	CHECK_INT(caught_end(NULL), 5);
}

static void of_a_qpair(struct session *session)
{
	const struct spdk_nvme_ctrlr_data *data = spdk_nvme_ctrlr_get_data(session->ctrlr);
	struct spdk_nvme_qpair *qpair = qpair_open(session, NULL, false);
	struct spdk_nvme_cmd cmd = read_command();
	struct spdk_nvme_cpl cpl = completion();
	struct spdk_nvme_ctrlr_opts opts;
	char prefix[1024], expected[2048];

	/* The first queue of the controller; the host's name is the one that it has by default. */
	spdk_nvme_ctrlr_get_default_ctrlr_opts(&opts, sizeof(opts));
	snprintf(prefix, sizeof(prefix), "*: [%s,%s,%s,cntlid:%u,qid:1,qpair:%p,ENABLED] ", opts.hostnqn, session->trid.subnqn,
		 session->trid.traddr, data->cntlid, (void *)qpair);
	snprintf(expected, sizeof(expected), "%s" READ_LINE, prefix);
	caught_begin();
	spdk_nvme_qpair_print_command(qpair, &cmd);
	logged(expected);
	snprintf(expected, sizeof(expected), "%sWRITE TO RO RANGE " INVALID_LINE, prefix);
	caught_begin();
	spdk_nvme_qpair_print_completion(qpair, &cpl);
	logged(expected);
	snprintf(expected, sizeof(expected), "%sINVALID PARAM " INVALID_LINE, prefix);
	caught_begin();
	spdk_nvme_qpair_print_completion_ext(qpair, &cpl, SPDK_NVME_OPC_FABRIC);
	logged(expected);

	spdk_nvme_ctrlr_disconnect_io_qpair(qpair);
	*strstr(prefix, "ENABLED") = '\0';
	snprintf(expected, sizeof(expected), "%sDISCONNECTED] " READ_LINE, prefix);
	caught_begin();
	spdk_nvme_qpair_print_command(qpair, &cmd);
	logged(expected);

	caught_begin();
	spdk_nvme_qpair_print_command(qpair, NULL);
	spdk_nvme_qpair_print_command(NULL, &cmd);
	CHECK_INT(spdk_nvme_ctrlr_free_io_qpair(qpair), 0);
	spdk_nvme_qpair_print_command(qpair, &cmd);
	CHECK_INT(caught_end(NULL), 3);
}

int main(int argc, char **argv)
{
	struct spdk_nvme_transport_id trid;
	struct session session;
	bool with_target = argc > 1;

	if (with_target) {
		test_begin(argc, argv, &trid, 120);
	} else if (!environment_start(argv[0])) {
		return EXIT_WRONG;
	}
	spdk_log_set_print_level(SPDK_LOG_NOTICE);
	comparing();
	transports_and_families();
	host_ids();
	entries();
	protection_information();
	authentication();
	statuses_commands_and_completions();
	if (with_target) {
		session_open(&session, &trid);
		names(&session);
		of_a_qpair(&session);
		session_close(&session);
	}
	test_end();
	return check_result("text");
}

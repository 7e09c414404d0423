/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * What a program may ask of a controller, its namespaces and qpairs without a command: each answer against what the controller's own
 * Identify data and properties say, read here through the structures of the headers. On any target.
 */

#include <errno.h>
#include <string.h>

#include "spdk/env.h"
#include "spdk/nvme_ocssd.h"

#include "check.h"
#include "common.h"
#include "session.h"

static struct session g_session;

static void of_the_controller(void)
{
	struct spdk_nvme_ctrlr *ctrlr = g_session.ctrlr;
	const struct spdk_nvme_ctrlr_data *data = spdk_nvme_ctrlr_get_data(ctrlr);
	const struct spdk_nvme_ctrlr_opts *opts = spdk_nvme_ctrlr_get_opts(ctrlr);
	uint64_t flags = spdk_nvme_ctrlr_get_flags(ctrlr);
	uint64_t page, largest;
	uint16_t sges = spdk_nvme_ctrlr_get_max_sges(ctrlr);

	REQUIRE(data != NULL && opts != NULL);
	CHECK(opts == spdk_nvme_ctrlr_get_opts(ctrlr));
	CHECK(opts->opts_size == sizeof(*opts) && opts->num_io_queues >= 1 && opts->io_queue_size >= 2);
	CHECK(strncmp(opts->hostnqn, "nqn.", 4) == 0);

	/* CNTLID comes from the answer to Connect; a controller says the same in its Identify data. */
	CHECK_INT(spdk_nvme_ctrlr_get_id(ctrlr), data->cntlid);
	CHECK_INT(spdk_nvme_ctrlr_get_num_ns(ctrlr), data->nn);
	CHECK(spdk_nvme_ctrlr_is_fabrics(ctrlr) && !spdk_nvme_ctrlr_is_discovery(ctrlr) && !spdk_nvme_ctrlr_is_failed(ctrlr));
	CHECK_INT(spdk_nvme_ctrlr_get_admin_qp_failure_reason(ctrlr), SPDK_NVME_QPAIR_FAILURE_NONE);
	CHECK(spdk_nvme_ctrlr_get_numa_id(ctrlr) >= -1);

	page = UINT64_C(1) << (12 + spdk_nvme_ctrlr_get_regs_cap(ctrlr).bits.mpsmin);
	largest = data->mdts == 0 ? UINT32_MAX : page << data->mdts;
	CHECK_INT(spdk_nvme_ctrlr_get_max_xfer_size(ctrlr), largest > UINT32_MAX ? UINT32_MAX : largest);
	CHECK(sges >= 1 && sges <= 16);
	CHECK(data->nvmf_specific.msdbd == 0 || sges <= data->nvmf_specific.msdbd);

	CHECK_INT((flags & SPDK_NVME_CTRLR_SGL_SUPPORTED) != 0, data->sgls.supported != 0);
	CHECK_INT((flags & SPDK_NVME_CTRLR_SGL_REQUIRES_DWORD_ALIGNMENT) != 0, data->sgls.supported == 2);
	CHECK_INT((flags & SPDK_NVME_CTRLR_SECURITY_SEND_RECV_SUPPORTED) != 0, data->oacs.ssrs);
	CHECK_INT((flags & SPDK_NVME_CTRLR_DIRECTIVES_SUPPORTED) != 0, data->oacs.dirs);
	CHECK_INT((flags & SPDK_NVME_CTRLR_COMPARE_AND_WRITE_SUPPORTED) != 0, (data->fuses.raw & 1));
	CHECK_INT((flags & SPDK_NVME_CTRLR_WRR_SUPPORTED) != 0, spdk_nvme_ctrlr_get_regs_cap(ctrlr).bits.ams & 1);
	CHECK_INT(flags & SPDK_NVME_CTRLR_ACCEL_SEQUENCE_SUPPORTED, 0);

	CHECK(spdk_nvme_ctrlr_is_log_page_supported(ctrlr, 1) && spdk_nvme_ctrlr_is_log_page_supported(ctrlr, 2));
	CHECK(spdk_nvme_ctrlr_is_log_page_supported(ctrlr, 3) && !spdk_nvme_ctrlr_is_log_page_supported(ctrlr, 0xca));
	CHECK_INT(spdk_nvme_ctrlr_is_log_page_supported(ctrlr, 5), data->lpa.cses);
	CHECK_INT(spdk_nvme_ctrlr_is_log_page_supported(ctrlr, 0xc), data->cmic.anars);
	CHECK(spdk_nvme_ctrlr_is_feature_supported(ctrlr, 7) && spdk_nvme_ctrlr_is_feature_supported(ctrlr, 0xb));
	CHECK(!spdk_nvme_ctrlr_is_feature_supported(ctrlr, 0) && !spdk_nvme_ctrlr_is_feature_supported(ctrlr, 0xf));
	CHECK_INT(spdk_nvme_ctrlr_is_feature_supported(ctrlr, 6), data->vwc.present);
	CHECK_INT(spdk_nvme_ctrlr_is_feature_supported(ctrlr, 0xc2), data->vid == 0x8086);
}

static void of_properties(void)
{
	struct spdk_nvme_ctrlr *ctrlr = g_session.ctrlr;
	union spdk_nvme_cap_register cap = spdk_nvme_ctrlr_get_regs_cap(ctrlr);
	union spdk_nvme_csts_register csts = spdk_nvme_ctrlr_get_regs_csts(ctrlr);
	union spdk_nvme_cc_register cc = spdk_nvme_ctrlr_get_regs_cc(ctrlr);

	CHECK(cap.bits.mqes >= 1);
	CHECK(spdk_nvme_ctrlr_get_regs_vs(ctrlr).bits.mjr >= 1);
	CHECK(csts.bits.rdy == 1 && csts.bits.cfs == 0 && csts.bits.shst == 0);
	CHECK(cc.bits.en == 1 && cc.bits.iosqes == 6 && cc.bits.iocqes == 4);
	/* A controller over fabrics has none of these, and says so as an error or as 0. */
	CHECK_INT(spdk_nvme_ctrlr_get_regs_cmbsz(ctrlr).raw, 0);
	CHECK_INT(spdk_nvme_ctrlr_get_regs_pmrcap(ctrlr).raw, 0);
	CHECK_INT(spdk_nvme_ctrlr_get_regs_bpinfo(ctrlr).raw, 0);
}

static void called(void *arg, const struct spdk_nvme_cpl *cpl)
{
	(void)cpl;
	*(bool *)arg = true;
}

static void of_pcie(void)
{
	struct spdk_nvme_ctrlr *ctrlr = g_session.ctrlr;
	struct spdk_memory_domain *domains[4] = {NULL};
	char room[16];
	size_t size = 12345;
	bool was_called = false;

	CHECK(spdk_nvme_ctrlr_get_registers(ctrlr) == NULL && spdk_nvme_ctrlr_get_pci_device(ctrlr) == NULL);
	CHECK(spdk_nvme_ctrlr_map_cmb(ctrlr, &size) == NULL && spdk_nvme_ctrlr_map_pmr(ctrlr, &size) == NULL);
	CHECK_INT(size, 12345);
	spdk_nvme_ctrlr_unmap_cmb(ctrlr);
	CHECK_INT(spdk_nvme_ctrlr_reserve_cmb(ctrlr), -ENOTSUP);
	CHECK_INT(spdk_nvme_ctrlr_enable_pmr(ctrlr), -ENOSYS);
	CHECK_INT(spdk_nvme_ctrlr_disable_pmr(ctrlr), -ENOSYS);
	CHECK_INT(spdk_nvme_ctrlr_unmap_pmr(ctrlr), -ENOSYS);
	CHECK_INT(spdk_nvme_ctrlr_get_pmrsz(ctrlr), 0);
	CHECK_INT(spdk_nvme_ctrlr_read_boot_partition_start(ctrlr, room, 1, 0, 0), -ENOTSUP);
	CHECK(spdk_nvme_ctrlr_read_boot_partition_poll(ctrlr) < 0);
	CHECK_INT(spdk_nvme_ctrlr_write_boot_partition(ctrlr, room, sizeof(room), 0, called, &was_called), -ENOTSUP);
	CHECK(!spdk_nvme_ctrlr_is_nssr_supported(ctrlr) && !spdk_nvme_ctrlr_is_ocssd_supported(ctrlr));
	if (spdk_nvme_ctrlr_get_regs_cap(ctrlr).bits.nssrs == 0) {
		CHECK_INT(spdk_nvme_ctrlr_reset_subsystem(ctrlr), -ENOTSUP);
	}
	CHECK_INT(spdk_nvme_ctrlr_get_memory_domains(ctrlr, domains, 4), 0);
	CHECK_INT(spdk_nvme_ctrlr_get_memory_domains(ctrlr, NULL, 0), 0);
	CHECK(domains[0] == NULL);
	CHECK_INT(spdk_nvme_ctrlr_get_admin_qp_fd(ctrlr, NULL), -ENOTSUP);
	spdk_nvme_ctrlr_set_remove_cb(ctrlr, NULL, NULL);
	CHECK(!was_called);
}

static void of_a_namespace(struct spdk_nvme_ns *ns)
{
	const struct spdk_nvme_ctrlr_data *controller = spdk_nvme_ctrlr_get_data(g_session.ctrlr);
	const struct spdk_nvme_ns_data *data = spdk_nvme_ns_get_data(ns);
	uint32_t flags = spdk_nvme_ns_get_flags(ns);
	uint32_t format, md_size;
	bool extended;

	REQUIRE(data != NULL);
	format = spdk_nvme_ns_get_format_index(data);
	REQUIRE(format < 64);
	md_size = data->lbaf[format].ms;
	extended = data->flbas.extended != 0;
	CHECK(spdk_nvme_ns_get_ctrlr(ns) == g_session.ctrlr);
	CHECK_INT(spdk_nvme_ns_get_sector_size(ns), 1 << data->lbaf[format].lbads);
	CHECK_INT(spdk_nvme_ns_get_md_size(ns), md_size);
	CHECK_INT(spdk_nvme_ns_supports_extended_lba(ns), extended);
	CHECK_INT(spdk_nvme_ns_get_extended_sector_size(ns), spdk_nvme_ns_get_sector_size(ns) + (extended ? md_size : 0));
	CHECK_INT(spdk_nvme_ns_get_max_io_xfer_size(ns), spdk_nvme_ctrlr_get_max_xfer_size(g_session.ctrlr));
	CHECK_INT(spdk_nvme_ns_get_optimal_io_boundary(ns), data->noiob);
	CHECK_INT(spdk_nvme_ns_get_pi_type(ns), md_size != 0 ? data->dps.pit : 0);
	CHECK_INT(spdk_nvme_ns_get_pi_format(ns), SPDK_NVME_16B_GUARD_PI);
	CHECK_INT(spdk_nvme_ns_get_dealloc_logical_block_read_value(ns), data->dlfeat.bits.read_value);
	CHECK_INT((flags & SPDK_NVME_NS_DEALLOCATE_SUPPORTED) != 0, ((controller->oncs.raw >> 2) & 1));
	CHECK_INT((flags & SPDK_NVME_NS_FLUSH_SUPPORTED) != 0, controller->vwc.present);
	CHECK_INT((flags & SPDK_NVME_NS_WRITE_ZEROES_SUPPORTED) != 0, ((controller->oncs.raw >> 3) & 1));
	CHECK_INT((flags & SPDK_NVME_NS_WRITE_UNCORRECTABLE_SUPPORTED) != 0, ((controller->oncs.raw >> 1) & 1));
	CHECK_INT((flags & SPDK_NVME_NS_COMPARE_SUPPORTED) != 0, (controller->oncs.raw & 1));
	CHECK_INT((flags & SPDK_NVME_NS_RESERVATION_SUPPORTED) != 0, data->nsrescap.raw != 0);
	CHECK_INT((flags & SPDK_NVME_NS_EXTENDED_LBA_SUPPORTED) != 0, extended);
	CHECK_INT((flags & SPDK_NVME_NS_DPS_PI_SUPPORTED) != 0, spdk_nvme_ns_get_pi_type(ns) != 0);
	CHECK_INT(spdk_nvme_ns_supports_compare(ns), (controller->oncs.raw & 1));
	CHECK_INT(spdk_nvme_ns_supports_write_uncorrectable(ns), ((controller->oncs.raw >> 1) & 1));
	/* What is listed is the same as in the data, where these have it, and stays where it is. */
	if (spdk_nvme_ns_get_nguid(ns) != NULL) {
		CHECK(memcmp(spdk_nvme_ns_get_nguid(ns), data->nguid, 16) == 0);
	}
	CHECK(spdk_nvme_ns_get_uuid(ns) == spdk_nvme_ns_get_uuid(ns));
	CHECK(spdk_nvme_ns_get_uuid(ns) != NULL || spdk_nvme_ns_get_nguid(ns) != NULL);
}

static void of_namespaces(void)
{
	struct spdk_nvme_ctrlr *ctrlr = g_session.ctrlr;
	uint32_t id, active = 0;

	for (id = 0; id <= spdk_nvme_ctrlr_get_num_ns(ctrlr) && id <= 64; id++) {
		struct spdk_nvme_ns *ns = spdk_nvme_ctrlr_get_ns(ctrlr, id);

		CHECK_INT(spdk_nvme_ctrlr_is_active_ns(ctrlr, id), ns != NULL && spdk_nvme_ns_is_active(ns));
		if (ns != NULL && spdk_nvme_ns_is_active(ns)) {
			of_a_namespace(ns);
			active++;
		} else if (ns != NULL) {
			CHECK_INT(spdk_nvme_ns_get_flags(ns), 0);
			CHECK_INT(spdk_nvme_ns_get_extended_sector_size(ns), 0);
			CHECK(spdk_nvme_ns_get_uuid(ns) == NULL);
		}
	}
	CHECK(active > 0);
	CHECK(!spdk_nvme_ctrlr_is_active_ns(ctrlr, UINT32_MAX));
	CHECK_INT(spdk_nvme_ns_get_format_index(NULL), 0);
}

static void of_a_qpair(void)
{
	struct spdk_nvme_qpair *qpair = qpair_open(&g_session, NULL, false);
	struct single single = {0};
	uint8_t *buffer = spdk_dma_zmalloc(g_session.sector_size, 4096, NULL);
	struct spdk_nvme_cmd cmd = {0};
	uint16_t id;

	REQUIRE(qpair != NULL && buffer != NULL);
	id = spdk_nvme_qpair_get_id(qpair);
	CHECK(id >= 1 && id <= spdk_nvme_ctrlr_get_opts(g_session.ctrlr)->num_io_queues);
	CHECK(!spdk_nvme_qpair_is_admin_queue(qpair));
	CHECK_INT(spdk_nvme_qpair_get_fd(qpair, NULL), -ENOTSUP);
	CHECK_INT(spdk_nvme_qpair_get_num_outstanding_reqs(qpair), 0);
	CHECK_INT(single_read(&g_session, qpair, &single, buffer, 0, 1), 0);
	CHECK_INT(spdk_nvme_qpair_get_num_outstanding_reqs(qpair), 1);
	REQUIRE(single_wait(NULL, qpair, &single));
	CHECK_INT(spdk_nvme_qpair_get_num_outstanding_reqs(qpair), 0);
	CHECK_INT(spdk_nvme_ctrlr_io_cmd_raw_no_payload_build(g_session.ctrlr, qpair, &cmd, NULL, NULL), -EINVAL);
	CHECK_INT(spdk_nvme_ctrlr_free_io_qpair(qpair), 0);
	spdk_dma_free(buffer);
}

int main(int argc, char **argv)
{
	struct spdk_nvme_transport_id trid;

	test_begin(argc, argv, &trid, 600);
	session_open(&g_session, &trid);
	of_the_controller();
	of_properties();
	of_pcie();
	of_namespaces();
	of_a_qpair();
	/* Nothing of this cost the controller its connection. */
	CHECK(!spdk_nvme_ctrlr_is_failed(g_session.ctrlr));
	CHECK(spdk_nvme_ctrlr_process_admin_completions(g_session.ctrlr) >= 0);
	session_close(&g_session);
	test_end();
	return check_result("facts");
}

/* SPDX-License-Identifier: BSD-3-Clause */

/* Function-like macros and inline functions of the headers, in C and in C++. */

#include "spdk/nvme.h"
#include "spdk/nvme_zns.h"

#define CHECK(condition) \
	do { \
		if (!(condition)) { \
			printf("%s:%d: %s\n", __FILE__, __LINE__, #condition); \
			return 1; \
		} \
	} while (0)

static struct spdk_nvme_cpl
completion(unsigned int sct, unsigned int sc, uint32_t cdw0)
{
	struct spdk_nvme_cpl cpl;

	memset(&cpl, 0, sizeof(cpl));
	cpl.status.sct = sct & 7;
	cpl.status.sc = sc & 0xff;
	cpl.status.dnr = 1;
	cpl.cdw0 = cdw0;
	return cpl;
}

int
main(void)
{
	for (unsigned int sct = 0; sct < 8; sct++) {
		for (unsigned int sc = 0; sc < 256; sc++) {
			struct spdk_nvme_cpl cpl = completion(sct, sc, 0);
			bool success = sct == 0 && sc == 0;

			CHECK(spdk_nvme_cpl_is_error(&cpl) == !success);
			CHECK(spdk_nvme_cpl_is_success(&cpl) == success);
			CHECK(spdk_nvme_cpl_is_abort_success(&cpl) == success);
			CHECK(spdk_nvme_cpl_is_pi_error(&cpl) == (sct == 2 && (sc == 0x82 || sc == 0x83 || sc == 0x84)));
			CHECK(spdk_nvme_cpl_is_path_error(&cpl) == (sct == 3));
			CHECK(spdk_nvme_cpl_is_ana_error(&cpl) == (sct == 3 && (sc == 1 || sc == 2 || sc == 3)));
			CHECK(spdk_nvme_cpl_is_aborted_sq_deletion(&cpl) == (sct == 0 && sc == 8));
			CHECK(spdk_nvme_cpl_is_aborted_by_request(&cpl) == (sct == 0 && sc == 7));
			cpl.cdw0 = 1;
			CHECK(!spdk_nvme_cpl_is_abort_success(&cpl));
			cpl.cdw0 = 2;
			CHECK(spdk_nvme_cpl_is_abort_success(&cpl) == success);
		}
	}

	CHECK(SPDK_NVME_VERSION(1, 4, 0) == 0x00010400 && SPDK_NVME_VERSION(2, 0, 1) == 0x00020001);
	CHECK(spdk_nvme_log_page_is_vendor_specific(0xc0) && !spdk_nvme_log_page_is_vendor_specific(0xbf));
	CHECK(SPDK_NVME_IO_FLAGS_STREAMS_DIRECTIVE == 1 << 20);
	CHECK(SPDK_NVME_IO_FLAGS_DATA_PLACEMENT_DIRECTIVE == 2 << 20);
	CHECK(SPDK_NVME_IO_FLAGS_DIRECTIVE(SPDK_NVME_DIRECTIVE_TYPE_IDENTIFY) == 0);

	CHECK(spdk_nvme_opc_get_data_transfer(SPDK_NVME_OPC_READ) == SPDK_NVME_DATA_CONTROLLER_TO_HOST);
	CHECK(spdk_nvme_opc_get_data_transfer(SPDK_NVME_OPC_WRITE) == SPDK_NVME_DATA_HOST_TO_CONTROLLER);
	CHECK(spdk_nvme_opc_get_data_transfer(SPDK_NVME_OPC_FLUSH) == SPDK_NVME_DATA_NONE);
	CHECK(spdk_nvme_opc_get_data_transfer(0xff) == SPDK_NVME_DATA_BIDIRECTIONAL);
	CHECK(spdk_nvme_bytes_to_numd(4) == 0 && spdk_nvme_bytes_to_numd(4096) == 1023);

	CHECK(spdk_nvme_trtype_is_fabrics(SPDK_NVME_TRANSPORT_RDMA) && spdk_nvme_trtype_is_fabrics(SPDK_NVME_TRANSPORT_TCP));
	CHECK(spdk_nvme_trtype_is_fabrics(SPDK_NVME_TRANSPORT_FC));
	CHECK(spdk_nvme_trtype_is_fabrics(SPDK_NVME_TRANSPORT_CUSTOM_FABRICS));
	CHECK(!spdk_nvme_trtype_is_fabrics(SPDK_NVME_TRANSPORT_PCIE) && !spdk_nvme_trtype_is_fabrics(SPDK_NVME_TRANSPORT_CUSTOM));
	CHECK(!spdk_nvme_trtype_is_fabrics(SPDK_NVME_TRANSPORT_VFIOUSER));
	return 0;
}

/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * NVM Express as data: controller properties, commands, completions, status codes, identify data, log pages
 * and features, for programs written against SPDK.
 *
 * Section numbers refer to the NVM Express Base Specification 2.0 ("Base"), the NVM Command Set Specification 1.0
 * ("NVM"), the Zoned Namespace Command Set Specification 1.1 ("ZNS") and the Key Value Command Set Specification
 * 1.0 ("KV"). All numbers are little endian, as on the wire; bit-fields count from the least significant bit.
 */

#ifndef SPDK_NVME_SPEC_H
#define SPDK_NVME_SPEC_H

#include "spdk/stdinc.h"
#include "spdk/assert.h"

#ifdef __cplusplus
extern "C" {
#endif

/*
 * Bit-fields of other types than int, members without a name and arrays without a length are how the
 * layouts of the specification are written down; -Wpedantic has nothing to tell about them.
 */
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wpedantic"

/*
 * Limits
 */

/** NSID that names all namespaces */
#define SPDK_NVME_GLOBAL_NS_TAG ((uint32_t)0xFFFFFFFF)

/** Queue identifiers are 16 bits wide and 0 is the admin queue */
#define SPDK_NVME_MAX_IO_QUEUES (65535)

/** Entries of a queue. One entry always stays empty, hence two at least (Base 3.3.3.2) */
#define SPDK_NVME_QUEUE_MIN_ENTRIES (2)
#define SPDK_NVME_ADMIN_QUEUE_MIN_ENTRIES SPDK_NVME_QUEUE_MIN_ENTRIES
#define SPDK_NVME_ADMIN_QUEUE_MAX_ENTRIES 4096
#define SPDK_NVME_IO_QUEUE_MIN_ENTRIES SPDK_NVME_QUEUE_MIN_ENTRIES
#define SPDK_NVME_IO_QUEUE_MAX_ENTRIES 65536

/** Some PCIe controllers need admin queues of a multiple of this */
#define SPDK_NVME_ADMIN_QUEUE_QUIRK_ENTRIES_MULTIPLE 64

/** Dataset Management: ranges in a command, blocks in a range (NVM 3.2.3) */
#define SPDK_NVME_DATASET_MANAGEMENT_MAX_RANGES 256
#define SPDK_NVME_DATASET_MANAGEMENT_RANGE_MAX_BLOCKS 0xFFFFFFFFu

/** Entries of the Changed Namespace List log page */
#define SPDK_NVME_MAX_CHANGED_NAMESPACES 1024

/** Bytes of one doorbell */
#define SPDK_NVME_DOORBELL_REGISTER_SIZE 4

/*
 * Controller properties (Base 3.1.3)
 */

/** CAP: Controller Capabilities */
union spdk_nvme_cap_register {
	uint64_t raw;
	struct {
		uint32_t mqes : 16; /**< largest queue, 0's based */
		uint32_t cqr : 1; /**< queues must be contiguous */
		uint32_t ams : 2; /**< enum spdk_nvme_cap_ams, a mask */
		uint32_t reserved1 : 5;
		uint32_t to : 8; /**< worst time until CSTS.RDY changes, in units of 500 ms */
		uint32_t dstrd : 4; /**< doorbell stride is 4 << dstrd bytes */
		uint32_t nssrs : 1; /**< NVM subsystem reset */
		uint32_t css : 8; /**< SPDK_NVME_CAP_CSS_* */
		uint32_t bps : 1; /**< boot partitions */
		uint32_t reserved2 : 2;
		uint32_t mpsmin : 4; /**< smallest page is 4096 << mpsmin bytes */
		uint32_t mpsmax : 4; /**< largest page is 4096 << mpsmax bytes */
		uint32_t pmrs : 1; /**< persistent memory region */
		uint32_t cmbs : 1; /**< controller memory buffer */
		uint32_t nsss : 1;
		uint32_t crwms : 1;
		uint32_t crims : 1;
		uint32_t reserved3 : 3;
	} bits;
};
SPDK_STATIC_ASSERT(sizeof(union spdk_nvme_cap_register) == 8, "size of spdk_nvme_cap_register");

/** CC.CSS: which I/O command sets are enabled */
enum spdk_nvme_cc_css {
	SPDK_NVME_CC_CSS_NVM = 0,
	SPDK_NVME_CC_CSS_IOCS = 6,
	SPDK_NVME_CC_CSS_NOIO = 7,
};

/** CAP.CSS: which values of CC.CSS a controller takes */
#define SPDK_NVME_CAP_CSS_NVM (1u << SPDK_NVME_CC_CSS_NVM)
#define SPDK_NVME_CAP_CSS_IOCS (1u << SPDK_NVME_CC_CSS_IOCS)
#define SPDK_NVME_CAP_CSS_NOIO (1u << SPDK_NVME_CC_CSS_NOIO)

/** CC: Controller Configuration */
union spdk_nvme_cc_register {
	uint32_t raw;
	struct {
		uint32_t en : 1; /**< enable */
		uint32_t reserved1 : 3;
		uint32_t css : 3; /**< enum spdk_nvme_cc_css */
		uint32_t mps : 4; /**< page size in use, as mpsmin */
		uint32_t ams : 3; /**< enum spdk_nvme_cc_ams */
		uint32_t shn : 2; /**< enum spdk_nvme_shn_value */
		uint32_t iosqes : 4; /**< I/O submission queue entry size as a power of two */
		uint32_t iocqes : 4; /**< I/O completion queue entry size as a power of two */
		uint32_t crime : 1;
		uint32_t reserved2 : 7;
	} bits;
};
SPDK_STATIC_ASSERT(sizeof(union spdk_nvme_cc_register) == 4, "size of spdk_nvme_cc_register");

/** CC.SHN: shutdown notification */
enum spdk_nvme_shn_value {
	SPDK_NVME_SHN_NORMAL = 1,
	SPDK_NVME_SHN_ABRUPT = 2,
};

/** CSTS: Controller Status */
union spdk_nvme_csts_register {
	uint32_t raw;
	struct {
		uint32_t rdy : 1; /**< ready: follows CC.EN */
		uint32_t cfs : 1; /**< fatal status: only a reset helps */
		uint32_t shst : 2; /**< enum spdk_nvme_shst_value */
		uint32_t nssro : 1; /**< an NVM subsystem reset occurred */
		uint32_t pp : 1; /**< processing is paused */
		uint32_t reserved1 : 26;
	} bits;
};
SPDK_STATIC_ASSERT(sizeof(union spdk_nvme_csts_register) == 4, "size of spdk_nvme_csts_register");

/** CSTS.SHST: progress of a shutdown */
enum spdk_nvme_shst_value {
	SPDK_NVME_SHST_NORMAL = 0,
	SPDK_NVME_SHST_OCCURRING = 1,
	SPDK_NVME_SHST_COMPLETE = 2,
};

/** AQA: Admin Queue Attributes */
union spdk_nvme_aqa_register {
	uint32_t raw;
	struct {
		uint32_t asqs : 12; /**< admin submission queue entries, 0's based */
		uint32_t reserved1 : 4;
		uint32_t acqs : 12; /**< admin completion queue entries, 0's based */
		uint32_t reserved2 : 4;
	} bits;
};
SPDK_STATIC_ASSERT(sizeof(union spdk_nvme_aqa_register) == 4, "size of spdk_nvme_aqa_register");

/** VS: Version */
union spdk_nvme_vs_register {
	uint32_t raw;
	struct {
		uint32_t ter : 8; /**< tertiary version number */
		uint32_t mnr : 8; /**< minor version number */
		uint32_t mjr : 16; /**< major version number */
	} bits;
};
SPDK_STATIC_ASSERT(sizeof(union spdk_nvme_vs_register) == 4, "size of spdk_nvme_vs_register");

/** A version as VS and Identify Controller hold it */
#define SPDK_NVME_VERSION(mjr, mnr, ter) (((uint32_t)(mjr) << 16) | ((uint32_t)(mnr) << 8) | (uint32_t)(ter))

/** CMBLOC: Controller Memory Buffer Location */
union spdk_nvme_cmbloc_register {
	uint32_t raw;
	struct {
		uint32_t bir : 3;
		uint32_t reserved1 : 9;
		uint32_t ofst : 20;
	} bits;
};
SPDK_STATIC_ASSERT(sizeof(union spdk_nvme_cmbloc_register) == 4, "size of spdk_nvme_cmbloc_register");

/** CMBSZ: Controller Memory Buffer Size */
union spdk_nvme_cmbsz_register {
	uint32_t raw;
	struct {
		uint32_t sqs : 1;
		uint32_t cqs : 1;
		uint32_t lists : 1;
		uint32_t rds : 1;
		uint32_t wds : 1;
		uint32_t reserved1 : 3;
		uint32_t szu : 4;
		uint32_t sz : 20;
	} bits;
};
SPDK_STATIC_ASSERT(sizeof(union spdk_nvme_cmbsz_register) == 4, "size of spdk_nvme_cmbsz_register");

/** CMBMSC: Controller Memory Buffer Memory Space Control */
union spdk_nvme_cmbmsc_register {
	uint64_t raw;
	struct {
		uint64_t cre : 1;
		uint64_t cmse : 1;
		uint64_t reserved : 10;
		uint64_t cba : 52;
	} bits;
};
SPDK_STATIC_ASSERT(sizeof(union spdk_nvme_cmbmsc_register) == 8, "size of spdk_nvme_cmbmsc_register");

/** CMBSTS: Controller Memory Buffer Status */
union spdk_nvme_cmbsts_register {
	uint32_t raw;
	struct {
		uint32_t cbai : 1;
		uint32_t reserved : 31;
	} bits;
};
SPDK_STATIC_ASSERT(sizeof(union spdk_nvme_cmbsts_register) == 4, "size of spdk_nvme_cmbsts_register");

/** CMBEBS: Controller Memory Buffer Elasticity Buffer Size */
union spdk_nvme_cmbebs_register {
	uint32_t raw;
	struct {
		uint32_t cmbszu : 4;
		uint32_t cmbrbb : 1;
		uint32_t reserved : 3;
		uint32_t cmbwbz : 24;
	} bits;
};
SPDK_STATIC_ASSERT(sizeof(union spdk_nvme_cmbebs_register) == 4, "size of spdk_nvme_cmbebs_register");

/** CMBSWTP: Controller Memory Buffer Sustained Write Throughput */
union spdk_nvme_cmbswtp_register {
	uint32_t raw;
	struct {
		uint32_t cmbswtu : 4;
		uint32_t reserved : 4;
		uint32_t cmbswtv : 24;
	} bits;
};
SPDK_STATIC_ASSERT(sizeof(union spdk_nvme_cmbswtp_register) == 4, "size of spdk_nvme_cmbswtp_register");

/** CRTO: Controller Ready Timeouts */
union spdk_nvme_crto_register {
	uint32_t raw;
	struct {
		uint32_t crwmt : 16;
		uint32_t crimt : 16;
	} bits;
};
SPDK_STATIC_ASSERT(sizeof(union spdk_nvme_crto_register) == 4, "size of spdk_nvme_crto_register");

/** PMRCAP: Persistent Memory Region Capabilities */
union spdk_nvme_pmrcap_register {
	uint32_t raw;
	struct {
		uint32_t reserved1 : 3;
		uint32_t rds : 1;
		uint32_t wds : 1;
		uint32_t bir : 3;
		uint32_t pmrtu : 2;
		uint32_t pmrwbm : 4;
		uint32_t reserved2 : 2;
		uint32_t pmrto : 8;
		uint32_t cmss : 1;
		uint32_t reserved3 : 7;
	} bits;
};
SPDK_STATIC_ASSERT(sizeof(union spdk_nvme_pmrcap_register) == 4, "size of spdk_nvme_pmrcap_register");

/** PMRCTL: Persistent Memory Region Control */
union spdk_nvme_pmrctl_register {
	uint32_t raw;
	struct {
		uint32_t en : 1;
		uint32_t reserved : 31;
	} bits;
};
SPDK_STATIC_ASSERT(sizeof(union spdk_nvme_pmrctl_register) == 4, "size of spdk_nvme_pmrctl_register");

/** PMRSTS: Persistent Memory Region Status */
union spdk_nvme_pmrsts_register {
	uint32_t raw;
	struct {
		uint32_t err : 8;
		uint32_t nrdy : 1;
		uint32_t hsts : 3;
		uint32_t cbai : 1;
		uint32_t reserved : 19;
	} bits;
};
SPDK_STATIC_ASSERT(sizeof(union spdk_nvme_pmrsts_register) == 4, "size of spdk_nvme_pmrsts_register");

/** PMREBS: Persistent Memory Region Elasticity Buffer Size */
union spdk_nvme_pmrebs_register {
	uint32_t raw;
	struct {
		uint32_t pmrszu : 4;
		uint32_t rbb : 1;
		uint32_t reserved : 3;
		uint32_t pmrwbz : 24;
	} bits;
};
SPDK_STATIC_ASSERT(sizeof(union spdk_nvme_pmrebs_register) == 4, "size of spdk_nvme_pmrebs_register");

/** PMRSWTP: Persistent Memory Region Sustained Write Throughput */
union spdk_nvme_pmrswtp_register {
	uint32_t raw;
	struct {
		uint32_t pmrswtu : 4;
		uint32_t reserved : 4;
		uint32_t pmrswtv : 24;
	} bits;
};
SPDK_STATIC_ASSERT(sizeof(union spdk_nvme_pmrswtp_register) == 4, "size of spdk_nvme_pmrswtp_register");

/** PMRMSCL: Persistent Memory Region Memory Space Control, lower half */
union spdk_nvme_pmrmscl_register {
	uint32_t raw;
	struct {
		uint32_t reserved1 : 1;
		uint32_t cmse : 1;
		uint32_t reserved2 : 10;
		uint32_t cba : 20;
	} bits;
};
SPDK_STATIC_ASSERT(sizeof(union spdk_nvme_pmrmscl_register) == 4, "size of spdk_nvme_pmrmscl_register");

/** BPINFO: Boot Partition Information */
union spdk_nvme_bpinfo_register {
	uint32_t raw;
	struct {
		uint32_t bpsz : 15;
		uint32_t reserved1 : 9;
		uint32_t brs : 2;
		uint32_t reserved2 : 5;
		uint32_t abpid : 1;
	} bits;
};
SPDK_STATIC_ASSERT(sizeof(union spdk_nvme_bpinfo_register) == 4, "size of spdk_nvme_bpinfo_register");

/** BPINFO.BRS: progress of a boot partition read */
enum spdk_nvme_brs_value {
	SPDK_NVME_BRS_NO_READ = 0,
	SPDK_NVME_BRS_READ_IN_PROGRESS = 1,
	SPDK_NVME_BRS_READ_SUCCESS = 2,
	SPDK_NVME_BRS_READ_ERROR = 3,
};

/** BPRSEL: Boot Partition Read Select */
union spdk_nvme_bprsel_register {
	uint32_t raw;
	struct {
		uint32_t bprsz : 10;
		uint32_t bprof : 20;
		uint32_t reserved : 1;
		uint32_t bpid : 1;
	} bits;
};
SPDK_STATIC_ASSERT(sizeof(union spdk_nvme_bprsel_register) == 4, "size of spdk_nvme_bprsel_register");

/** What NSSR takes to start an NVM subsystem reset: "NVMe" */
#define SPDK_NVME_NSSR_VALUE 0x4E564D65

/**
 * All properties at their offsets. Over fabrics they are reached by Property Get and Property Set
 */
struct spdk_nvme_registers {
	union spdk_nvme_cap_register cap;
	union spdk_nvme_vs_register vs;
	uint32_t intms;
	uint32_t intmc;
	union spdk_nvme_cc_register cc;
	uint32_t reserved1;
	union spdk_nvme_csts_register csts;
	uint32_t nssr;
	union spdk_nvme_aqa_register aqa;
	uint64_t asq;
	uint64_t acq;
	union spdk_nvme_cmbloc_register cmbloc;
	union spdk_nvme_cmbsz_register cmbsz;
	union spdk_nvme_bpinfo_register bpinfo;
	union spdk_nvme_bprsel_register bprsel;
	uint64_t bpmbl;
	union spdk_nvme_cmbmsc_register cmbmsc;
	union spdk_nvme_cmbsts_register cmbsts;
	union spdk_nvme_cmbebs_register cmbebs;
	union spdk_nvme_cmbswtp_register cmbswtp;
	uint32_t nssd;
	union spdk_nvme_crto_register crto;
	uint32_t reserved2[869];
	union spdk_nvme_pmrcap_register pmrcap;
	union spdk_nvme_pmrctl_register pmrctl;
	union spdk_nvme_pmrsts_register pmrsts;
	union spdk_nvme_pmrebs_register pmrebs;
	union spdk_nvme_pmrswtp_register pmrswtp;
	union spdk_nvme_pmrmscl_register pmrmscl;
	uint32_t pmrmscu;
	uint32_t reserved3[121];
	struct {
		uint32_t sq_tdbl; /**< Submission Queue Tail */
		uint32_t cq_hdbl; /**< Completion Queue Head */
	} doorbell[1];
};
SPDK_STATIC_ASSERT(sizeof(struct spdk_nvme_registers) == 4104, "size of spdk_nvme_registers");

/*
 * Scatter gather lists (Base 4.1.2)
 */

/** Type of an SGL descriptor */
enum spdk_nvme_sgl_descriptor_type {
	SPDK_NVME_SGL_TYPE_DATA_BLOCK = 0,
	SPDK_NVME_SGL_TYPE_BIT_BUCKET = 1,
	SPDK_NVME_SGL_TYPE_SEGMENT = 2,
	SPDK_NVME_SGL_TYPE_LAST_SEGMENT = 3,
	SPDK_NVME_SGL_TYPE_KEYED_DATA_BLOCK = 4,
	SPDK_NVME_SGL_TYPE_TRANSPORT_DATA_BLOCK = 5,
	SPDK_NVME_SGL_TYPE_VENDOR_SPECIFIC = 15,
};

/** How an SGL descriptor gives its address */
enum spdk_nvme_sgl_descriptor_subtype {
	SPDK_NVME_SGL_SUBTYPE_ADDRESS = 0,
	SPDK_NVME_SGL_SUBTYPE_OFFSET = 1,
	SPDK_NVME_SGL_SUBTYPE_TRANSPORT = 10,
};

/** One SGL descriptor */
#pragma pack(push, 1)
struct spdk_nvme_sgl_descriptor {
	uint64_t address;
	union {
		/** what all descriptors have in common */
		struct {
			uint8_t reserved[7];
			uint8_t subtype : 4;
			uint8_t type : 4;
		} generic;
		/** data block, bit bucket and segment descriptors */
		struct {
			uint32_t length;
			uint8_t reserved[3];
			uint8_t subtype : 4;
			uint8_t type : 4;
		} unkeyed;
		/** keyed data block: remote memory, named by an RDMA key */
		struct {
			uint64_t length : 24;
			uint64_t key : 32;
			uint64_t subtype : 4;
			uint64_t type : 4;
		} keyed;
	};
};
#pragma pack(pop)
SPDK_STATIC_ASSERT(sizeof(struct spdk_nvme_sgl_descriptor) == 16, "size of spdk_nvme_sgl_descriptor");

/** CDW0.PSDT: PRPs or SGLs for data, and how metadata is described */
enum spdk_nvme_psdt_value {
	SPDK_NVME_PSDT_PRP = 0,
	SPDK_NVME_PSDT_SGL_MPTR_CONTIG = 1,
	SPDK_NVME_PSDT_SGL_MPTR_SGL = 2,
	SPDK_NVME_PSDT_RESERVED = 3,
};

/*
 * Submission queues (Base 3.4.4, 5.4)
 */

/** Bits of a queue priority */
#define SPDK_NVME_CREATE_IO_SQ_QPRIO_MASK 0x3

/** Priority of a submission queue, for weighted round robin */
enum spdk_nvme_qprio {
	SPDK_NVME_QPRIO_URGENT = 0,
	SPDK_NVME_QPRIO_HIGH = 1,
	SPDK_NVME_QPRIO_MEDIUM = 2,
	SPDK_NVME_QPRIO_LOW = 3,
};

/** Arbitration burst without limit */
#define SPDK_NVME_ARBITRATION_BURST_UNLIMITED 0x7

/** CAP.AMS: arbitration mechanisms beside round robin */
enum spdk_nvme_cap_ams {
	SPDK_NVME_CAP_AMS_WRR = 1,
	SPDK_NVME_CAP_AMS_VS = 2,
};

/** CC.AMS: the arbitration mechanism in use */
enum spdk_nvme_cc_ams {
	SPDK_NVME_CC_AMS_RR = 0,
	SPDK_NVME_CC_AMS_WRR = 1,
	SPDK_NVME_CC_AMS_VS = 7,
};

/** CDW0.FUSE: part of a fused operation */
enum spdk_nvme_cmd_fuse {
	SPDK_NVME_CMD_FUSE_NONE = 0,
	SPDK_NVME_CMD_FUSE_FIRST = 1,
	SPDK_NVME_CMD_FUSE_SECOND = 2,
	SPDK_NVME_CMD_FUSE_MASK = 3,
};

/*
 * Features: Command Dword 11 of Set Features, Dword 0 of the answer to Get Features (Base 5.27.1)
 */

/** Arbitration: commands at a time and weights, 0's based */
union spdk_nvme_feat_arbitration {
	uint32_t raw;
	struct {
		uint32_t ab : 3;
		uint32_t reserved : 5;
		uint32_t lpw : 8;
		uint32_t mpw : 8;
		uint32_t hpw : 8;
	} bits;
};
SPDK_STATIC_ASSERT(sizeof(union spdk_nvme_feat_arbitration) == 4, "size of spdk_nvme_feat_arbitration");

/** Power Management */
union spdk_nvme_feat_power_management {
	uint32_t raw;
	struct {
		uint32_t ps : 5;
		uint32_t wh : 3;
		uint32_t reserved : 24;
	} bits;
};
SPDK_STATIC_ASSERT(sizeof(union spdk_nvme_feat_power_management) == 4, "size of spdk_nvme_feat_power_management");

/** LBA Range Type (NVM 4.1.3) */
union spdk_nvme_feat_lba_range_type {
	uint32_t raw;
	struct {
		uint32_t num : 6;
		uint32_t reserved : 26;
	} bits;
};
SPDK_STATIC_ASSERT(sizeof(union spdk_nvme_feat_lba_range_type) == 4, "size of spdk_nvme_feat_lba_range_type");

/** Temperature Threshold, in Kelvin */
union spdk_nvme_feat_temperature_threshold {
	uint32_t raw;
	struct {
		uint32_t tmpth : 16;
		uint32_t tmpsel : 4;
		uint32_t thsel : 2;
		uint32_t reserved : 10;
	} bits;
};
SPDK_STATIC_ASSERT(sizeof(union spdk_nvme_feat_temperature_threshold) == 4, "size of spdk_nvme_feat_temperature_threshold");

/** Error Recovery (NVM 4.1.3) */
union spdk_nvme_feat_error_recovery {
	uint32_t raw;
	struct {
		uint32_t tler : 16;
		uint32_t dulbe : 1;
		uint32_t reserved : 15;
	} bits;
};
SPDK_STATIC_ASSERT(sizeof(union spdk_nvme_feat_error_recovery) == 4, "size of spdk_nvme_feat_error_recovery");

/** Volatile Write Cache */
union spdk_nvme_feat_volatile_write_cache {
	uint32_t raw;
	struct {
		uint32_t wce : 1;
		uint32_t reserved : 31;
	} bits;
};
SPDK_STATIC_ASSERT(sizeof(union spdk_nvme_feat_volatile_write_cache) == 4, "size of spdk_nvme_feat_volatile_write_cache");

/** Number of Queues, 0's based */
union spdk_nvme_feat_number_of_queues {
	uint32_t raw;
	struct {
		uint32_t nsqr : 16;
		uint32_t ncqr : 16;
	} bits;
};
SPDK_STATIC_ASSERT(sizeof(union spdk_nvme_feat_number_of_queues) == 4, "size of spdk_nvme_feat_number_of_queues");

/** Interrupt Coalescing */
union spdk_nvme_feat_interrupt_coalescing {
	uint32_t raw;
	struct {
		uint32_t thr : 8;
		uint32_t time : 8;
		uint32_t reserved : 16;
	} bits;
};
SPDK_STATIC_ASSERT(sizeof(union spdk_nvme_feat_interrupt_coalescing) == 4, "size of spdk_nvme_feat_interrupt_coalescing");

/** Interrupt Vector Configuration */
union spdk_nvme_feat_interrupt_vector_configuration {
	uint32_t raw;
	struct {
		uint32_t iv : 16;
		uint32_t cd : 1;
		uint32_t reserved : 15;
	} bits;
};
SPDK_STATIC_ASSERT(sizeof(union spdk_nvme_feat_interrupt_vector_configuration) == 4, "size of spdk_nvme_feat_interrupt_vector_configuration");

/** Write Atomicity Normal */
union spdk_nvme_feat_write_atomicity {
	uint32_t raw;
	struct {
		uint32_t dn : 1;
		uint32_t reserved : 31;
	} bits;
};
SPDK_STATIC_ASSERT(sizeof(union spdk_nvme_feat_write_atomicity) == 4, "size of spdk_nvme_feat_write_atomicity");

/** Critical warnings, as the SMART / Health log and the event mask hold them (Base 5.16.1.3) */
union spdk_nvme_critical_warning_state {
	uint8_t raw;
	struct {
		uint8_t available_spare : 1;
		uint8_t temperature : 1;
		uint8_t device_reliability : 1;
		uint8_t read_only : 1;
		uint8_t volatile_memory_backup : 1;
		uint8_t reserved : 3;
	} bits;
};
SPDK_STATIC_ASSERT(sizeof(union spdk_nvme_critical_warning_state) == 1, "size of spdk_nvme_critical_warning_state");

/** Asynchronous Event Configuration: which events are reported */
union spdk_nvme_feat_async_event_configuration {
	uint32_t raw;
	struct {
		union spdk_nvme_critical_warning_state crit_warn;
		uint8_t ns_attr_notice : 1;
		uint8_t fw_activation_notice : 1;
		uint8_t telemetry_log_notice : 1;
		uint8_t ana_change_notice : 1;
		uint8_t reserved1 : 4;
		uint16_t reserved2 : 15;
		uint16_t discovery_log_change_notice : 1;
	} bits;
};
SPDK_STATIC_ASSERT(sizeof(union spdk_nvme_feat_async_event_configuration) == 4, "size of spdk_nvme_feat_async_event_configuration");

/** Autonomous Power State Transition */
union spdk_nvme_feat_autonomous_power_state_transition {
	uint32_t raw;
	struct {
		uint32_t apste : 1;
		uint32_t reserved : 31;
	} bits;
};
SPDK_STATIC_ASSERT(sizeof(union spdk_nvme_feat_autonomous_power_state_transition) == 4, "size of spdk_nvme_feat_autonomous_power_state_transition");

/** Host Memory Buffer */
union spdk_nvme_feat_host_mem_buffer {
	uint32_t raw;
	struct {
		uint32_t ehm : 1;
		uint32_t mr : 1;
		uint32_t reserved : 30;
	} bits;
};
SPDK_STATIC_ASSERT(sizeof(union spdk_nvme_feat_host_mem_buffer) == 4, "size of spdk_nvme_feat_host_mem_buffer");

/** Keep Alive Timer, in milliseconds */
union spdk_nvme_feat_keep_alive_timer {
	uint32_t raw;
	struct {
		uint32_t kato : 32;
	} bits;
};
SPDK_STATIC_ASSERT(sizeof(union spdk_nvme_feat_keep_alive_timer) == 4, "size of spdk_nvme_feat_keep_alive_timer");

/** Host Controlled Thermal Management, in Kelvin */
union spdk_nvme_feat_host_controlled_thermal_management {
	uint32_t raw;
	struct {
		uint32_t tmt2 : 16;
		uint32_t tmt1 : 16;
	} bits;
};
SPDK_STATIC_ASSERT(sizeof(union spdk_nvme_feat_host_controlled_thermal_management) == 4, "size of spdk_nvme_feat_host_controlled_thermal_management");

/** Non-Operational Power State Config */
union spdk_nvme_feat_non_operational_power_state_config {
	uint32_t raw;
	struct {
		uint32_t noppme : 1;
		uint32_t reserved : 31;
	} bits;
};
SPDK_STATIC_ASSERT(sizeof(union spdk_nvme_feat_non_operational_power_state_config) == 4, "size of spdk_nvme_feat_non_operational_power_state_config");

/** Software Progress Marker */
union spdk_nvme_feat_software_progress_marker {
	uint32_t raw;
	struct {
		uint32_t pbslc : 8;
		uint32_t reserved : 24;
	} bits;
};
SPDK_STATIC_ASSERT(sizeof(union spdk_nvme_feat_software_progress_marker) == 4, "size of spdk_nvme_feat_software_progress_marker");

/** Host Identifier: 64 or 128 bits */
union spdk_nvme_feat_host_identifier {
	uint32_t raw;
	struct {
		uint32_t exhid : 1;
		uint32_t reserved : 31;
	} bits;
};
SPDK_STATIC_ASSERT(sizeof(union spdk_nvme_feat_host_identifier) == 4, "size of spdk_nvme_feat_host_identifier");

/** Reservation Notification Mask */
union spdk_nvme_feat_reservation_notification_mask {
	uint32_t raw;
	struct {
		uint32_t reserved1 : 1;
		uint32_t regpre : 1;
		uint32_t resrel : 1;
		uint32_t respre : 1;
		uint32_t reserved2 : 28;
	} bits;
};
SPDK_STATIC_ASSERT(sizeof(union spdk_nvme_feat_reservation_notification_mask) == 4, "size of spdk_nvme_feat_reservation_notification_mask");

/** Reservation Persistence */
union spdk_nvme_feat_reservation_persistence {
	uint32_t raw;
	struct {
		uint32_t ptpl : 1;
		uint32_t reserved : 31;
	} bits;
};
SPDK_STATIC_ASSERT(sizeof(union spdk_nvme_feat_reservation_persistence) == 4, "size of spdk_nvme_feat_reservation_persistence");

/** Flexible Data Placement: Dword 11 */
union spdk_nvme_feat_fdp_cdw11 {
	uint32_t raw;
	struct {
		uint32_t endgid : 16;
		uint32_t reserved : 16;
	} bits;
};
SPDK_STATIC_ASSERT(sizeof(union spdk_nvme_feat_fdp_cdw11) == 4, "size of spdk_nvme_feat_fdp_cdw11");

/** Flexible Data Placement: Dword 12 */
union spdk_nvme_feat_fdp_cdw12 {
	uint32_t raw;
	struct {
		uint32_t fdpe : 1;
		uint32_t reserved1 : 7;
		uint32_t fdpci : 8;
		uint32_t reserved2 : 16;
	} bits;
};
SPDK_STATIC_ASSERT(sizeof(union spdk_nvme_feat_fdp_cdw12) == 4, "size of spdk_nvme_feat_fdp_cdw12");

/** Flexible Data Placement Events: Dword 11 */
union spdk_nvme_feat_fdp_events_cdw11 {
	uint32_t raw;
	struct {
		uint32_t phndl : 16;
		uint32_t noet : 8;
		uint32_t reserved : 8;
	} bits;
};
SPDK_STATIC_ASSERT(sizeof(union spdk_nvme_feat_fdp_events_cdw11) == 4, "size of spdk_nvme_feat_fdp_events_cdw11");

/** Flexible Data Placement Events: Dword 12 */
union spdk_nvme_feat_fdp_events_cdw12 {
	uint32_t raw;
	struct {
		uint32_t fdpee : 1;
		uint32_t reserved1 : 31;
	} bits;
};
SPDK_STATIC_ASSERT(sizeof(union spdk_nvme_feat_fdp_events_cdw12) == 4, "size of spdk_nvme_feat_fdp_events_cdw12");

/*
 * Commands (Base 3.3.3.1)
 */

/** Command Dword 10, by command */
union spdk_nvme_cmd_cdw10 {
	uint32_t raw;
	struct {
		uint32_t cns : 8;
		uint32_t reserved : 8;
		uint32_t cntid : 16;
	} identify;
	struct {
		uint32_t lid : 8;
		uint32_t lsp : 7;
		uint32_t rae : 1;
		uint32_t numdl : 16;
	} get_log_page;
	struct {
		uint32_t sqid : 16;
		uint32_t cid : 16;
	} abort;
	struct {
		uint32_t nssf : 8;
		uint32_t spsp0 : 8;
		uint32_t spsp1 : 8;
		uint32_t secp : 8;
	} sec_send_recv;
	struct {
		uint32_t qid : 16;
		uint32_t qsize : 16;
	} create_io_q;
	struct {
		uint32_t qid : 16;
		uint32_t reserved : 16;
	} delete_io_q;
	struct {
		uint32_t fid : 8;
		uint32_t sel : 3;
		uint32_t reserved : 21;
	} get_features;
	struct {
		uint32_t fid : 8;
		uint32_t reserved : 23;
		uint32_t sv : 1;
	} set_features;
	struct {
		uint32_t sel : 4;
		uint32_t reserved : 28;
	} ns_attach;
	struct {
		uint32_t sel : 4;
		uint32_t reserved : 28;
	} ns_manage;
	struct {
		uint32_t nr : 8;
		uint32_t reserved : 24;
	} dsm;
	struct {
		uint32_t rrega : 3;
		uint32_t iekey : 1;
		uint32_t reserved : 26;
		uint32_t cptpl : 2;
	} resv_register;
	struct {
		uint32_t rrela : 3;
		uint32_t iekey : 1;
		uint32_t reserved1 : 4;
		uint32_t rtype : 8;
		uint32_t reserved2 : 16;
	} resv_release;
	struct {
		uint32_t racqa : 3;
		uint32_t iekey : 1;
		uint32_t reserved1 : 4;
		uint32_t rtype : 8;
		uint32_t reserved2 : 16;
	} resv_acquire;
	struct {
		uint32_t mo : 8;
		uint32_t reserved : 8;
		uint32_t mos : 16;
	} mgmt_send_recv;
	struct {
		uint32_t vsize : 32;
	} kv;
};
SPDK_STATIC_ASSERT(sizeof(union spdk_nvme_cmd_cdw10) == 4, "size of spdk_nvme_cmd_cdw10");

/** Command Dword 11, by command or feature */
union spdk_nvme_cmd_cdw11 {
	uint32_t raw;
	struct {
		uint32_t nvmsetid : 16;
		uint32_t reserved : 8;
		uint32_t csi : 8;
	} identify;
	struct {
		uint32_t pc : 1;
		uint32_t qprio : 2;
		uint32_t reserved : 13;
		uint32_t cqid : 16;
	} create_io_sq;
	struct {
		uint32_t pc : 1;
		uint32_t ien : 1;
		uint32_t reserved : 14;
		uint32_t iv : 16;
	} create_io_cq;
	struct {
		uint32_t doper : 8;
		uint32_t dtype : 8;
		uint32_t dspec : 16;
	} directive;
	struct {
		uint32_t numdu : 16;
		uint32_t lsid : 16;
	} get_log_page;
	struct {
		uint32_t eds : 1;
		uint32_t reserved : 31;
	} resv_report;
	union spdk_nvme_feat_arbitration feat_arbitration;
	union spdk_nvme_feat_power_management feat_power_management;
	union spdk_nvme_feat_lba_range_type feat_lba_range_type;
	union spdk_nvme_feat_temperature_threshold feat_temp_threshold;
	union spdk_nvme_feat_error_recovery feat_error_recovery;
	union spdk_nvme_feat_volatile_write_cache feat_volatile_write_cache;
	union spdk_nvme_feat_number_of_queues feat_num_of_queues;
	union spdk_nvme_feat_interrupt_coalescing feat_interrupt_coalescing;
	union spdk_nvme_feat_interrupt_vector_configuration feat_interrupt_vector_configuration;
	union spdk_nvme_feat_write_atomicity feat_write_atomicity;
	union spdk_nvme_feat_async_event_configuration feat_async_event_cfg;
	union spdk_nvme_feat_keep_alive_timer feat_keep_alive_timer;
	union spdk_nvme_feat_host_identifier feat_host_identifier;
	union spdk_nvme_feat_reservation_notification_mask feat_rsv_notification_mask;
	union spdk_nvme_feat_reservation_persistence feat_rsv_persistence;
	union spdk_nvme_feat_fdp_cdw11 feat_fdp_cdw11;
	union spdk_nvme_feat_fdp_events_cdw11 feat_fdp_events_cdw11;
	struct {
		uint32_t idr : 1;
		uint32_t idw : 1;
		uint32_t ad : 1;
		uint32_t reserved : 29;
	} dsm;
	struct {
		uint32_t kl : 8;
		uint32_t ro : 8;
		uint32_t reserved : 16;
	} kv;
};
SPDK_STATIC_ASSERT(sizeof(union spdk_nvme_cmd_cdw11) == 4, "size of spdk_nvme_cmd_cdw11");

/** Command Dword 12, by command or feature */
union spdk_nvme_cmd_cdw12 {
	uint32_t raw;
	struct {
		uint32_t nlb : 16;
		uint32_t reserved : 4;
		uint32_t dtype : 4;
		uint32_t stc : 1;
		uint32_t reserved2 : 1;
		uint32_t prchk : 3;
		uint32_t pract : 1;
		uint32_t fua : 1;
		uint32_t lr : 1;
	} write;
	struct {
		uint32_t nr : 8;
		uint32_t df : 4;
		uint32_t prinfor : 4;
		uint32_t reserved : 4;
		uint32_t dtype : 4;
		uint32_t stcw : 1;
		uint32_t reserved2 : 1;
		uint32_t prinfow : 4;
		uint32_t fua : 1;
		uint32_t lr : 1;
	} copy;
	struct {
		uint32_t nlb : 16;
		uint32_t reserved : 8;
		uint32_t stc : 1;
		uint32_t deac : 1;
		uint32_t prchk : 3;
		uint32_t pract : 1;
		uint32_t fua : 1;
		uint32_t lr : 1;
	} write_zeroes;
	union spdk_nvme_feat_fdp_cdw12 feat_fdp_cdw12;
	union spdk_nvme_feat_fdp_events_cdw12 feat_fdp_events_cdw12;
};
SPDK_STATIC_ASSERT(sizeof(union spdk_nvme_cmd_cdw12) == 4, "size of spdk_nvme_cmd_cdw12");

/** Command Dword 13, by command */
union spdk_nvme_cmd_cdw13 {
	uint32_t raw;
	struct {
		uint32_t dsm : 8;
		uint32_t reserved : 8;
		uint32_t dspec : 16;
	} write;
};
SPDK_STATIC_ASSERT(sizeof(union spdk_nvme_cmd_cdw13) == 4, "size of spdk_nvme_cmd_cdw13");

/** Submission queue entry */
struct spdk_nvme_cmd {
	/** opcode: enum spdk_nvme_admin_opcode, enum spdk_nvme_nvm_opcode, ... */
	uint16_t opc : 8;
	uint16_t fuse : 2; /**< enum spdk_nvme_cmd_fuse */
	uint16_t rsvd1 : 4;
	uint16_t psdt : 2; /**< enum spdk_nvme_psdt_value; over fabrics SGLs only */
	uint16_t cid; /**< command identifier, unique in its queue */
	uint32_t nsid; /**< namespace identifier */
	uint32_t cdw2;
	uint32_t cdw3;
	uint64_t mptr; /**< metadata pointer */
	/** data pointer */
	union {
		struct {
			uint64_t prp1;
			uint64_t prp2;
		} prp;
		struct spdk_nvme_sgl_descriptor sgl1;
	} dptr;
	union {
		uint32_t cdw10;
		union spdk_nvme_cmd_cdw10 cdw10_bits;
	};
	union {
		uint32_t cdw11;
		union spdk_nvme_cmd_cdw11 cdw11_bits;
	};
	union {
		uint32_t cdw12;
		union spdk_nvme_cmd_cdw12 cdw12_bits;
	};
	union {
		uint32_t cdw13;
		union spdk_nvme_cmd_cdw13 cdw13_bits;
	};
	uint32_t cdw14;
	uint32_t cdw15;
};
SPDK_STATIC_ASSERT(sizeof(struct spdk_nvme_cmd) == 64, "size of spdk_nvme_cmd");

/** One range of Dataset Management (NVM 3.2.3) */
struct spdk_nvme_dsm_range {
	union {
		struct {
			uint32_t af : 4;
			uint32_t al : 2;
			uint32_t reserved0 : 2;
			uint32_t sr : 1;
			uint32_t sw : 1;
			uint32_t wp : 1;
			uint32_t reserved1 : 13;
			uint32_t access_size : 8;
		} bits;
		uint32_t raw;
	} attributes;
	uint32_t length;
	uint64_t starting_lba;
};
SPDK_STATIC_ASSERT(sizeof(struct spdk_nvme_dsm_range) == 16, "size of spdk_nvme_dsm_range");

/** One source range of Copy (NVM 3.2.2) */
struct spdk_nvme_scc_source_range {
	uint64_t reserved0;
	uint64_t slba;
	uint16_t nlb;
	uint16_t reserved18;
	uint32_t reserved20;
	uint32_t eilbrt;
	uint16_t elbat;
	uint16_t elbatm;
};
SPDK_STATIC_ASSERT(sizeof(struct spdk_nvme_scc_source_range) == 32, "size of spdk_nvme_scc_source_range");

/*
 * Completions and their status (Base 3.3.3.2)
 */

/** The status field of a completion */
struct spdk_nvme_status {
	uint16_t p : 1; /**< phase tag; reserved over fabrics */
	uint16_t sc : 8; /**< status code, to be read together with sct */
	uint16_t sct : 3; /**< enum spdk_nvme_status_code_type */
	uint16_t crd : 2; /**< which of the CRDT delays to wait before a retry */
	uint16_t m : 1; /**< the error log has more */
	uint16_t dnr : 1; /**< do not retry */
};
SPDK_STATIC_ASSERT(sizeof(struct spdk_nvme_status) == 2, "size of spdk_nvme_status");

/** Completion queue entry */
struct spdk_nvme_cpl {
	uint32_t cdw0; /**< command specific */
	uint32_t cdw1; /**< command specific */
	uint16_t sqhd; /**< submission queue head */
	uint16_t sqid; /**< submission queue identifier; reserved over fabrics */
	uint16_t cid; /**< identifier of the command that completed */
	union {
		uint16_t status_raw;
		struct spdk_nvme_status status;
	};
};
SPDK_STATIC_ASSERT(sizeof(struct spdk_nvme_cpl) == 16, "size of spdk_nvme_cpl");

/** Status code type: how to read the status code */
enum spdk_nvme_status_code_type {
	SPDK_NVME_SCT_GENERIC = 0,
	SPDK_NVME_SCT_COMMAND_SPECIFIC = 1,
	SPDK_NVME_SCT_MEDIA_ERROR = 2,
	SPDK_NVME_SCT_PATH = 3,
	SPDK_NVME_SCT_VENDOR_SPECIFIC = 7,
};

/** Generic command status. From 0x80: of the command set */
enum spdk_nvme_generic_command_status_code {
	SPDK_NVME_SC_SUCCESS = 0x0,
	SPDK_NVME_SC_INVALID_OPCODE = 0x1,
	SPDK_NVME_SC_INVALID_FIELD = 0x2,
	SPDK_NVME_SC_COMMAND_ID_CONFLICT = 0x3,
	SPDK_NVME_SC_DATA_TRANSFER_ERROR = 0x4,
	SPDK_NVME_SC_ABORTED_POWER_LOSS = 0x5,
	SPDK_NVME_SC_INTERNAL_DEVICE_ERROR = 0x6,
	SPDK_NVME_SC_ABORTED_BY_REQUEST = 0x7,
	SPDK_NVME_SC_ABORTED_SQ_DELETION = 0x8,
	SPDK_NVME_SC_ABORTED_FAILED_FUSED = 0x9,
	SPDK_NVME_SC_ABORTED_MISSING_FUSED = 0xa,
	SPDK_NVME_SC_INVALID_NAMESPACE_OR_FORMAT = 0xb,
	SPDK_NVME_SC_COMMAND_SEQUENCE_ERROR = 0xc,
	SPDK_NVME_SC_INVALID_SGL_SEG_DESCRIPTOR = 0xd,
	SPDK_NVME_SC_INVALID_NUM_SGL_DESCIRPTORS = 0xe,
	SPDK_NVME_SC_DATA_SGL_LENGTH_INVALID = 0xf,
	SPDK_NVME_SC_METADATA_SGL_LENGTH_INVALID = 0x10,
	SPDK_NVME_SC_SGL_DESCRIPTOR_TYPE_INVALID = 0x11,
	SPDK_NVME_SC_INVALID_CONTROLLER_MEM_BUF = 0x12,
	SPDK_NVME_SC_INVALID_PRP_OFFSET = 0x13,
	SPDK_NVME_SC_ATOMIC_WRITE_UNIT_EXCEEDED = 0x14,
	SPDK_NVME_SC_OPERATION_DENIED = 0x15,
	SPDK_NVME_SC_INVALID_SGL_OFFSET = 0x16,
	SPDK_NVME_SC_HOSTID_INCONSISTENT_FORMAT = 0x18,
	SPDK_NVME_SC_KEEP_ALIVE_EXPIRED = 0x19,
	SPDK_NVME_SC_KEEP_ALIVE_INVALID = 0x1a,
	SPDK_NVME_SC_ABORTED_PREEMPT = 0x1b,
	SPDK_NVME_SC_SANITIZE_FAILED = 0x1c,
	SPDK_NVME_SC_SANITIZE_IN_PROGRESS = 0x1d,
	SPDK_NVME_SC_SGL_DATA_BLOCK_GRANULARITY_INVALID = 0x1e,
	SPDK_NVME_SC_COMMAND_INVALID_IN_CMB = 0x1f,
	SPDK_NVME_SC_COMMAND_NAMESPACE_IS_PROTECTED = 0x20,
	SPDK_NVME_SC_COMMAND_INTERRUPTED = 0x21,
	SPDK_NVME_SC_COMMAND_TRANSIENT_TRANSPORT_ERROR = 0x22,
	SPDK_NVME_SC_COMMAND_PROHIBITED_BY_LOCKDOWN = 0x23,
	SPDK_NVME_SC_ADMIN_COMMAND_MEDIA_NOT_READY = 0x24,
	SPDK_NVME_SC_FDP_DISABLED = 0x29,
	SPDK_NVME_SC_INVALID_PLACEMENT_HANDLE_LIST = 0x2a,
	SPDK_NVME_SC_LBA_OUT_OF_RANGE = 0x80,
	SPDK_NVME_SC_CAPACITY_EXCEEDED = 0x81,
	SPDK_NVME_SC_NAMESPACE_NOT_READY = 0x82,
	SPDK_NVME_SC_RESERVATION_CONFLICT = 0x83,
	SPDK_NVME_SC_FORMAT_IN_PROGRESS = 0x84,
	SPDK_NVME_SC_INVALID_VALUE_SIZE = 0x85,
	SPDK_NVME_SC_INVALID_KEY_SIZE = 0x86,
	SPDK_NVME_SC_KV_KEY_DOES_NOT_EXIST = 0x87,
	SPDK_NVME_SC_UNRECOVERED_ERROR = 0x88,
	SPDK_NVME_SC_KEY_EXISTS = 0x89,
};

/**
 * Command specific status. From 0x80: of the command set; the codes of fabrics commands are in
 * nvmf_spec.h
 */
enum spdk_nvme_command_specific_status_code {
	SPDK_NVME_SC_COMPLETION_QUEUE_INVALID = 0x0,
	SPDK_NVME_SC_INVALID_QUEUE_IDENTIFIER = 0x1,
	SPDK_NVME_SC_INVALID_QUEUE_SIZE = 0x2,
	SPDK_NVME_SC_ABORT_COMMAND_LIMIT_EXCEEDED = 0x3,
	SPDK_NVME_SC_ASYNC_EVENT_REQUEST_LIMIT_EXCEEDED = 0x5,
	SPDK_NVME_SC_INVALID_FIRMWARE_SLOT = 0x6,
	SPDK_NVME_SC_INVALID_FIRMWARE_IMAGE = 0x7,
	SPDK_NVME_SC_INVALID_INTERRUPT_VECTOR = 0x8,
	SPDK_NVME_SC_INVALID_LOG_PAGE = 0x9,
	SPDK_NVME_SC_INVALID_FORMAT = 0xa,
	SPDK_NVME_SC_FIRMWARE_REQ_CONVENTIONAL_RESET = 0xb,
	SPDK_NVME_SC_INVALID_QUEUE_DELETION = 0xc,
	SPDK_NVME_SC_FEATURE_ID_NOT_SAVEABLE = 0xd,
	SPDK_NVME_SC_FEATURE_NOT_CHANGEABLE = 0xe,
	SPDK_NVME_SC_FEATURE_NOT_NAMESPACE_SPECIFIC = 0xf,
	SPDK_NVME_SC_FIRMWARE_REQ_NVM_RESET = 0x10,
	SPDK_NVME_SC_FIRMWARE_REQ_RESET = 0x11,
	SPDK_NVME_SC_FIRMWARE_REQ_MAX_TIME_VIOLATION = 0x12,
	SPDK_NVME_SC_FIRMWARE_ACTIVATION_PROHIBITED = 0x13,
	SPDK_NVME_SC_OVERLAPPING_RANGE = 0x14,
	SPDK_NVME_SC_NAMESPACE_INSUFFICIENT_CAPACITY = 0x15,
	SPDK_NVME_SC_NAMESPACE_ID_UNAVAILABLE = 0x16,
	SPDK_NVME_SC_NAMESPACE_ALREADY_ATTACHED = 0x18,
	SPDK_NVME_SC_NAMESPACE_IS_PRIVATE = 0x19,
	SPDK_NVME_SC_NAMESPACE_NOT_ATTACHED = 0x1a,
	SPDK_NVME_SC_THINPROVISIONING_NOT_SUPPORTED = 0x1b,
	SPDK_NVME_SC_CONTROLLER_LIST_INVALID = 0x1c,
	SPDK_NVME_SC_DEVICE_SELF_TEST_IN_PROGRESS = 0x1d,
	SPDK_NVME_SC_BOOT_PARTITION_WRITE_PROHIBITED = 0x1e,
	SPDK_NVME_SC_INVALID_CTRLR_ID = 0x1f,
	SPDK_NVME_SC_INVALID_SECONDARY_CTRLR_STATE = 0x20,
	SPDK_NVME_SC_INVALID_NUM_CTRLR_RESOURCES = 0x21,
	SPDK_NVME_SC_INVALID_RESOURCE_ID = 0x22,
	SPDK_NVME_SC_SANITIZE_PROHIBITED = 0x23,
	SPDK_NVME_SC_ANA_GROUP_IDENTIFIER_INVALID = 0x24,
	SPDK_NVME_SC_ANA_ATTACH_FAILED = 0x25,
	SPDK_NVME_SC_INSUFFICIENT_CAPACITY = 0x26,
	SPDK_NVME_SC_NAMESPACE_ATTACH_LIMIT_EXCEEDED = 0x27,
	SPDK_NVME_SC_PROHIBIT_CMD_EXEC_NOT_SUPPORTED = 0x28,
	SPDK_NVME_SC_IOCS_NOT_SUPPORTED = 0x29,
	SPDK_NVME_SC_IOCS_NOT_ENABLED = 0x2a,
	SPDK_NVME_SC_IOCS_COMBINATION_REJECTED = 0x2b,
	SPDK_NVME_SC_INVALID_IOCS = 0x2c,
	SPDK_NVME_SC_IDENTIFIER_UNAVAILABLE = 0x2d,
	SPDK_NVME_SC_STREAM_RESOURCE_ALLOCATION_FAILED = 0x7f,
	SPDK_NVME_SC_CONFLICTING_ATTRIBUTES = 0x80,
	SPDK_NVME_SC_INVALID_PROTECTION_INFO = 0x81,
	SPDK_NVME_SC_ATTEMPTED_WRITE_TO_RO_RANGE = 0x82,
	SPDK_NVME_SC_CMD_SIZE_LIMIT_SIZE_EXCEEDED = 0x83,
	SPDK_NVME_SC_ZONED_BOUNDARY_ERROR = 0xb8,
	SPDK_NVME_SC_ZONE_IS_FULL = 0xb9,
	SPDK_NVME_SC_ZONE_IS_READ_ONLY = 0xba,
	SPDK_NVME_SC_ZONE_IS_OFFLINE = 0xbb,
	SPDK_NVME_SC_ZONE_INVALID_WRITE = 0xbc,
	SPDK_NVME_SC_TOO_MANY_ACTIVE_ZONES = 0xbd,
	SPDK_NVME_SC_TOO_MANY_OPEN_ZONES = 0xbe,
	SPDK_NVME_SC_INVALID_ZONE_STATE_TRANSITION = 0xbf,
};

/** Media and data integrity errors */
enum spdk_nvme_media_error_status_code {
	SPDK_NVME_SC_WRITE_FAULTS = 0x80,
	SPDK_NVME_SC_UNRECOVERED_READ_ERROR = 0x81,
	SPDK_NVME_SC_GUARD_CHECK_ERROR = 0x82,
	SPDK_NVME_SC_APPLICATION_TAG_CHECK_ERROR = 0x83,
	SPDK_NVME_SC_REFERENCE_TAG_CHECK_ERROR = 0x84,
	SPDK_NVME_SC_COMPARE_FAILURE = 0x85,
	SPDK_NVME_SC_ACCESS_DENIED = 0x86,
	SPDK_NVME_SC_DEALLOCATED_OR_UNWRITTEN_BLOCK = 0x87,
	SPDK_NVME_SC_END_TO_END_STORAGE_TAG_CHECK_ERROR = 0x88,
};

/** Path related status */
enum spdk_nvme_path_status_code {
	SPDK_NVME_SC_INTERNAL_PATH_ERROR = 0x0,
	SPDK_NVME_SC_ASYMMETRIC_ACCESS_PERSISTENT_LOSS = 0x1,
	SPDK_NVME_SC_ASYMMETRIC_ACCESS_INACCESSIBLE = 0x2,
	SPDK_NVME_SC_ASYMMETRIC_ACCESS_TRANSITION = 0x3,
	SPDK_NVME_SC_CONTROLLER_PATH_ERROR = 0x60,
	SPDK_NVME_SC_HOST_PATH_ERROR = 0x70,
	SPDK_NVME_SC_ABORTED_BY_HOST = 0x71,
};

/*
 * Opcodes
 */

/** Admin commands (Base 5) */
enum spdk_nvme_admin_opcode {
	SPDK_NVME_OPC_DELETE_IO_SQ = 0x0,
	SPDK_NVME_OPC_CREATE_IO_SQ = 0x1,
	SPDK_NVME_OPC_GET_LOG_PAGE = 0x2,
	SPDK_NVME_OPC_DELETE_IO_CQ = 0x4,
	SPDK_NVME_OPC_CREATE_IO_CQ = 0x5,
	SPDK_NVME_OPC_IDENTIFY = 0x6,
	SPDK_NVME_OPC_ABORT = 0x8,
	SPDK_NVME_OPC_SET_FEATURES = 0x9,
	SPDK_NVME_OPC_GET_FEATURES = 0xa,
	SPDK_NVME_OPC_ASYNC_EVENT_REQUEST = 0xc,
	SPDK_NVME_OPC_NS_MANAGEMENT = 0xd,
	SPDK_NVME_OPC_FIRMWARE_COMMIT = 0x10,
	SPDK_NVME_OPC_FIRMWARE_IMAGE_DOWNLOAD = 0x11,
	SPDK_NVME_OPC_DEVICE_SELF_TEST = 0x14,
	SPDK_NVME_OPC_NS_ATTACHMENT = 0x15,
	SPDK_NVME_OPC_KEEP_ALIVE = 0x18,
	SPDK_NVME_OPC_DIRECTIVE_SEND = 0x19,
	SPDK_NVME_OPC_DIRECTIVE_RECEIVE = 0x1a,
	SPDK_NVME_OPC_VIRTUALIZATION_MANAGEMENT = 0x1c,
	SPDK_NVME_OPC_NVME_MI_SEND = 0x1d,
	SPDK_NVME_OPC_NVME_MI_RECEIVE = 0x1e,
	SPDK_NVME_OPC_DOORBELL_BUFFER_CONFIG = 0x7c,
	SPDK_NVME_OPC_FORMAT_NVM = 0x80,
	SPDK_NVME_OPC_SECURITY_SEND = 0x81,
	SPDK_NVME_OPC_SECURITY_RECEIVE = 0x82,
	SPDK_NVME_OPC_SANITIZE = 0x84,
	SPDK_NVME_OPC_GET_LBA_STATUS = 0x86,
	SPDK_NVME_OPC_VENDOR_SPECIFIC_START = 0xc0,
};

/** I/O commands, NVM command set (Base 7, NVM 3.2) */
enum spdk_nvme_nvm_opcode {
	SPDK_NVME_OPC_FLUSH = 0x0,
	SPDK_NVME_OPC_WRITE = 0x1,
	SPDK_NVME_OPC_READ = 0x2,
	SPDK_NVME_OPC_WRITE_UNCORRECTABLE = 0x4,
	SPDK_NVME_OPC_COMPARE = 0x5,
	SPDK_NVME_OPC_WRITE_ZEROES = 0x8,
	SPDK_NVME_OPC_DATASET_MANAGEMENT = 0x9,
	SPDK_NVME_OPC_VERIFY = 0xc,
	SPDK_NVME_OPC_RESERVATION_REGISTER = 0xd,
	SPDK_NVME_OPC_RESERVATION_REPORT = 0xe,
	SPDK_NVME_OPC_RESERVATION_ACQUIRE = 0x11,
	SPDK_NVME_OPC_IO_MANAGEMENT_RECEIVE = 0x12,
	SPDK_NVME_OPC_RESERVATION_RELEASE = 0x15,
	SPDK_NVME_OPC_COPY = 0x19,
	SPDK_NVME_OPC_IO_MANAGEMENT_SEND = 0x1d,
};

/** I/O commands of zoned namespaces (ZNS 3.4) */
enum spdk_nvme_zns_opcode {
	SPDK_NVME_OPC_ZONE_MGMT_SEND = 0x79,
	SPDK_NVME_OPC_ZONE_MGMT_RECV = 0x7a,
	SPDK_NVME_OPC_ZONE_APPEND = 0x7d,
};

/** Bytes of a key */
#define SPDK_NVME_KV_KEY_MIN_LEN 1
#define SPDK_NVME_KV_KEY_MAX_LEN 16

/** I/O commands, key value command set (KV 3.2) */
enum spdk_nvme_kv_opcode {
	SPDK_NVME_OPC_KV_STORE = 0x1,
	SPDK_NVME_OPC_KV_RETRIEVE = 0x2,
	SPDK_NVME_OPC_KV_LIST = 0x6,
	SPDK_NVME_OPC_KV_DELETE = 0x10,
	SPDK_NVME_OPC_KV_EXIST = 0x14,
};

/** Store: options, a mask */
enum spdk_nvme_kv_store_option {
	SPDK_NVME_KV_STORE_OPT_DONT_STORE_IF_KEY_NOT_EXISTS = 1,
	SPDK_NVME_KV_STORE_OPT_DONT_STORE_IF_KEY_EXISTS = 2,
	SPDK_NVME_KV_STORE_OPT_DONT_COMPRESS = 4,
};

/** Retrieve: options, a mask */
enum spdk_nvme_kv_retrieve_option {
	SPDK_NVME_KV_RETRIEVE_OPT_RETRIEVE_RAW = 1,
};

/** Which way the data of a command goes: bits 1:0 of each opcode */
enum spdk_nvme_data_transfer {
	SPDK_NVME_DATA_NONE = 0,
	SPDK_NVME_DATA_HOST_TO_CONTROLLER = 1,
	SPDK_NVME_DATA_CONTROLLER_TO_HOST = 2,
	SPDK_NVME_DATA_BIDIRECTIONAL = 3,
};

/** Largest opcode */
#define SPDK_NVME_MAX_OPC 0xff

/** Which way the data of a command with this opcode goes. */
static inline enum spdk_nvme_data_transfer
spdk_nvme_opc_get_data_transfer(uint8_t opc)
{
	return (enum spdk_nvme_data_transfer)(opc % 4);
}

/** Number of dwords for Get Log Page and its kin, 0's based, from a length in bytes (a multiple of four). */
static inline uint32_t
spdk_nvme_bytes_to_numd(uint32_t len)
{
	return len / 4 - 1;
}

/** Host Behavior Support, the data of that feature (Base 5.27.1.18) */
struct spdk_nvme_host_behavior {
	uint8_t acre;
	uint8_t etdas;
	uint8_t lbafee;
	uint8_t reserved[509];
};
SPDK_STATIC_ASSERT(sizeof(struct spdk_nvme_host_behavior) == 512, "size of spdk_nvme_host_behavior");

/** Flexible Data Placement: which event is supported or enabled */
struct spdk_nvme_fdp_event_desc {
	uint8_t fdp_etype;
	union {
		uint8_t raw;
		struct {
			uint8_t fdp_ee : 1;
			uint8_t reserved : 7;
		} bits;
	} fdpeta;
};
SPDK_STATIC_ASSERT(sizeof(struct spdk_nvme_fdp_event_desc) == 2, "size of spdk_nvme_fdp_event_desc");

/** Reclaim Unit Handle Status: one handle */
struct spdk_nvme_fdp_ruhs_desc {
	uint16_t pid;
	uint16_t ruhid;
	uint32_t earutr;
	uint64_t ruamw;
	uint8_t reserved[16];
};
SPDK_STATIC_ASSERT(sizeof(struct spdk_nvme_fdp_ruhs_desc) == 32, "size of spdk_nvme_fdp_ruhs_desc");

/** Reclaim Unit Handle Status */
struct spdk_nvme_fdp_ruhs {
	uint8_t reserved[14];
	uint16_t nruhsd;
	struct spdk_nvme_fdp_ruhs_desc ruhs_desc[];
};
SPDK_STATIC_ASSERT(sizeof(struct spdk_nvme_fdp_ruhs) == 16, "size of spdk_nvme_fdp_ruhs");

/** I/O Management Receive: operation */
enum spdk_nvme_fdp_mgmt_recv_mo {
	SPDK_NVME_FDP_IO_MGMT_RECV_NA = 0x0,
	SPDK_NVME_FDP_IO_MGMT_RECV_RUHS = 0x1,
	SPDK_NVME_FDP_IO_MGMT_RECV_VS = 0xff,
};

/** I/O Management Send: operation */
enum spdk_nvme_fdp_mgmt_send_mo {
	SPDK_NVME_FDP_IO_MGMT_SEND_NA = 0x0,
	SPDK_NVME_FDP_IO_MGMT_SEND_RUHU = 0x1,
	SPDK_NVME_FDP_IO_MGMT_SEND_VS = 0xff,
};

/** Feature identifiers (Base 5.27.1) */
enum spdk_nvme_feat {
	SPDK_NVME_FEAT_ARBITRATION = 0x1,
	SPDK_NVME_FEAT_POWER_MANAGEMENT = 0x2,
	SPDK_NVME_FEAT_LBA_RANGE_TYPE = 0x3,
	SPDK_NVME_FEAT_TEMPERATURE_THRESHOLD = 0x4,
	SPDK_NVME_FEAT_ERROR_RECOVERY = 0x5,
	SPDK_NVME_FEAT_VOLATILE_WRITE_CACHE = 0x6,
	SPDK_NVME_FEAT_NUMBER_OF_QUEUES = 0x7,
	SPDK_NVME_FEAT_INTERRUPT_COALESCING = 0x8,
	SPDK_NVME_FEAT_INTERRUPT_VECTOR_CONFIGURATION = 0x9,
	SPDK_NVME_FEAT_WRITE_ATOMICITY = 0xa,
	SPDK_NVME_FEAT_ASYNC_EVENT_CONFIGURATION = 0xb,
	SPDK_NVME_FEAT_AUTONOMOUS_POWER_STATE_TRANSITION = 0xc,
	SPDK_NVME_FEAT_HOST_MEM_BUFFER = 0xd,
	SPDK_NVME_FEAT_TIMESTAMP = 0xe,
	SPDK_NVME_FEAT_KEEP_ALIVE_TIMER = 0xf,
	SPDK_NVME_FEAT_HOST_CONTROLLED_THERMAL_MANAGEMENT = 0x10,
	SPDK_NVME_FEAT_NON_OPERATIONAL_POWER_STATE_CONFIG = 0x11,
	SPDK_NVME_FEAT_READ_RECOVERY_LEVEL_CONFIG = 0x12,
	SPDK_NVME_FEAT_PREDICTABLE_LATENCY_MODE_CONFIG = 0x13,
	SPDK_NVME_FEAT_PREDICTABLE_LATENCY_MODE_WINDOW = 0x14,
	SPDK_NVME_FEAT_LBA_STATUS_INFORMATION_ATTRIBUTES = 0x15,
	SPDK_NVME_FEAT_HOST_BEHAVIOR_SUPPORT = 0x16,
	SPDK_NVME_FEAT_SANITIZE_CONFIG = 0x17,
	SPDK_NVME_FEAT_ENDURANCE_GROUP_EVENT = 0x18,
	SPDK_NVME_FEAT_IO_COMMAND_SET_PROFILE = 0x19,
	SPDK_NVME_FEAT_SPINUP_CONTROL = 0x1a,
	SPDK_NVME_FEAT_FDP = 0x1d,
	SPDK_NVME_FEAT_FDP_EVENTS = 0x1e,
	SPDK_NVME_FEAT_ENHANCED_CONTROLLER_METADATA = 0x7d,
	SPDK_NVME_FEAT_CONTROLLER_METADATA = 0x7e,
	SPDK_NVME_FEAT_NAMESPACE_METADATA = 0x7f,
	SPDK_NVME_FEAT_SOFTWARE_PROGRESS_MARKER = 0x80,
	SPDK_NVME_FEAT_HOST_IDENTIFIER = 0x81,
	SPDK_NVME_FEAT_HOST_RESERVE_MASK = 0x82,
	SPDK_NVME_FEAT_HOST_RESERVE_PERSIST = 0x83,
	SPDK_NVME_FEAT_NAMESPACE_WRITE_PROTECTION_CONFIG = 0x84,
};

/** Dataset Management: attributes, a mask */
enum spdk_nvme_dsm_attribute {
	SPDK_NVME_DSM_ATTR_INTEGRAL_READ = 1,
	SPDK_NVME_DSM_ATTR_INTEGRAL_WRITE = 2,
	SPDK_NVME_DSM_ATTR_DEALLOCATE = 4,
};

/*
 * Identify (Base 5.17)
 */

/** Power State Descriptor */
struct spdk_nvme_power_state {
	uint16_t mp;
	uint8_t reserved1;
	uint8_t mps : 1;
	uint8_t nops : 1;
	uint8_t reserved2 : 6;
	uint32_t enlat;
	uint32_t exlat;
	uint8_t rrt : 5;
	uint8_t reserved3 : 3;
	uint8_t rrl : 5;
	uint8_t reserved4 : 3;
	uint8_t rwt : 5;
	uint8_t reserved5 : 3;
	uint8_t rwl : 5;
	uint8_t reserved6 : 3;
	uint16_t idlp;
	uint8_t reserved7 : 6;
	uint8_t ips : 2;
	uint8_t reserved8;
	uint16_t actp;
	uint8_t apw : 3;
	uint8_t reserved9 : 3;
	uint8_t aps : 2;
	uint8_t reserved10[9];
};
SPDK_STATIC_ASSERT(sizeof(struct spdk_nvme_power_state) == 32, "size of spdk_nvme_power_state");

/** CNS: which structure Identify returns */
enum spdk_nvme_identify_cns {
	SPDK_NVME_IDENTIFY_NS = 0x0,
	SPDK_NVME_IDENTIFY_CTRLR = 0x1,
	SPDK_NVME_IDENTIFY_ACTIVE_NS_LIST = 0x2,
	SPDK_NVME_IDENTIFY_NS_ID_DESCRIPTOR_LIST = 0x3,
	SPDK_NVME_IDENTIFY_NS_IOCS = 0x5,
	SPDK_NVME_IDENTIFY_CTRLR_IOCS = 0x6,
	SPDK_NVME_IDENTIFY_ACTIVE_NS_LIST_IOCS = 0x7,
	SPDK_NVME_IDENTIFY_NS_IOCS_INDEPENDENT = 0x8,
	SPDK_NVME_IDENTIFY_ALLOCATED_NS_LIST = 0x10,
	SPDK_NVME_IDENTIFY_NS_ALLOCATED = 0x11,
	SPDK_NVME_IDENTIFY_NS_ATTACHED_CTRLR_LIST = 0x12,
	SPDK_NVME_IDENTIFY_CTRLR_LIST = 0x13,
	SPDK_NVME_IDENTIFY_PRIMARY_CTRLR_CAP = 0x14,
	SPDK_NVME_IDENTIFY_SECONDARY_CTRLR_LIST = 0x15,
	SPDK_NVME_IDENTIFY_UUID_LIST = 0x17,
	SPDK_NVME_IDENTIFY_ALLOCATED_NS_LIST_IOCS = 0x1a,
	SPDK_NVME_IDENTIFY_NS_ALLOCATED_IOCS = 0x1b,
	SPDK_NVME_IDENTIFY_IOCS = 0x1c,
};

/** CTRATTR: whether the controllers of a subsystem differ from each other */
enum spdk_nvmf_ctrlr_model {
	SPDK_NVMF_CTRLR_MODEL_DYNAMIC = 0,
	SPDK_NVMF_CTRLR_MODEL_STATIC = 1,
};

/** Lengths of strings in the data of Identify Controller */
#define SPDK_NVME_CTRLR_SN_LEN 20
#define SPDK_NVME_CTRLR_MN_LEN 40
#define SPDK_NVME_CTRLR_FR_LEN 8
#define SPDK_NVME_CTRLR_MEGCAP_LEN 16
#define SPDK_NVME_MAXDNA_FIELD_SIZE 16
#define SPDK_NVME_NQN_FIELD_SIZE 256

/** SGLS: bits 1:0 */
enum spdk_nvme_sgls_supported {
	SPDK_NVME_SGLS_NOT_SUPPORTED = 0,
	SPDK_NVME_SGLS_SUPPORTED = 1,
	SPDK_NVME_SGLS_SUPPORTED_DWORD_ALIGNED = 2,
};

/** VWC: whether Flush takes the NSID of all namespaces */
enum spdk_nvme_flush_broadcast {
	SPDK_NVME_FLUSH_BROADCAST_NOT_INDICATED = 0,
	SPDK_NVME_FLUSH_BROADCAST_NOT_SUPPORTED = 2,
	SPDK_NVME_FLUSH_BROADCAST_SUPPORTED = 3,
};

/** Identify Controller: what only fabrics controllers have */
struct spdk_nvme_cdata_nvmf_specific {
	uint32_t ioccsz; /**< largest command capsule, in units of 16 bytes; at least 4 */
	uint32_t iorcsz; /**< largest response capsule, in units of 16 bytes */
	uint16_t icdoff; /**< in-capsule data offset, in units of 16 bytes */
	struct {
		uint8_t ctrlr_model : 1;
		uint8_t reserved : 7;
	} ctrattr;
	uint8_t msdbd; /**< SGL data block descriptors in a command; 0: no limit */
	struct {
		uint16_t disconnect : 1;
		uint16_t reserved : 15;
	} ofcs;
	uint8_t reserved[242];
};
SPDK_STATIC_ASSERT(sizeof(struct spdk_nvme_cdata_nvmf_specific) == 256, "size of spdk_nvme_cdata_nvmf_specific");

/** Identify Controller: SGLS */
struct spdk_nvme_cdata_sgls {
	uint32_t supported : 2;
	uint32_t keyed_sgl : 1;
	uint32_t reserved1 : 13;
	uint32_t bit_bucket_descriptor : 1;
	uint32_t metadata_pointer : 1;
	uint32_t oversized_sgl : 1;
	uint32_t metadata_address : 1;
	uint32_t sgl_offset : 1;
	uint32_t transport_sgl : 1;
	uint32_t reserved2 : 10;
};
SPDK_STATIC_ASSERT(sizeof(struct spdk_nvme_cdata_sgls) == 4, "size of spdk_nvme_cdata_sgls");

/** Identify Controller: ONCS, optional NVM commands */
struct spdk_nvme_cdata_oncs {
	union {
		uint16_t raw;
		struct {
			uint16_t nvmcmps : 1;
			uint16_t nvmwusv : 1;
			uint16_t nvmdsmsv : 1;
			uint16_t nvmwzsv : 1;
			uint16_t ssfs : 1;
			uint16_t reservs : 1;
			uint16_t tss : 1;
			uint16_t nvmvfys : 1;
			uint16_t nvmcpys : 1;
			uint16_t rsvd : 7;
		};
	};
};
SPDK_STATIC_ASSERT(sizeof(struct spdk_nvme_cdata_oncs) == 2, "size of spdk_nvme_cdata_oncs");

/** Identify Controller: OACS, optional admin commands */
struct spdk_nvme_cdata_oacs {
	uint16_t ssrs : 1;
	uint16_t fnvms : 1;
	uint16_t fwds : 1;
	uint16_t nms : 1;
	uint16_t dsts : 1;
	uint16_t dirs : 1;
	uint16_t nsrs : 1;
	uint16_t vms : 1;
	uint16_t dbcs : 1;
	uint16_t glss : 1;
	uint16_t cfls : 1;
	uint16_t hmlms : 1;
	uint16_t rsvd : 4;
};
SPDK_STATIC_ASSERT(sizeof(struct spdk_nvme_cdata_oacs) == 2, "size of spdk_nvme_cdata_oacs");

/** Identify Controller: FUSES, fused operations */
struct spdk_nvme_cdata_fuses {
	union {
		uint16_t raw;
		struct {
			uint16_t fcws : 1;
			uint16_t rsvd : 15;
		};
	};
};
SPDK_STATIC_ASSERT(sizeof(struct spdk_nvme_cdata_fuses) == 2, "size of spdk_nvme_cdata_fuses");

/** Identify Controller: OAES, optional asynchronous events */
struct spdk_nvme_cdata_oaes {
	uint32_t reserved1 : 8;
	uint32_t ns_attribute_notices : 1;
	uint32_t fw_activation_notices : 1;
	uint32_t reserved2 : 1;
	uint32_t ana_change_notices : 1;
	uint32_t pleal_change_notices : 1;
	uint32_t lba_sia_notices : 1;
	uint32_t egealp_change_notices : 1;
	uint32_t nnvm_sse : 1;
	uint32_t reserved3 : 11;
	uint32_t zdes_change_notices : 1;
	uint32_t reserved4 : 3;
	uint32_t discovery_log_change_notices : 1;
};
SPDK_STATIC_ASSERT(sizeof(struct spdk_nvme_cdata_oaes) == 4, "size of spdk_nvme_cdata_oaes");

/** Identify Controller: CTRATT, attributes */
union spdk_nvme_cdata_ctratt {
	uint32_t raw;
	struct {
		uint32_t hids : 1;
		uint32_t nopspm : 1;
		uint32_t nsets : 1;
		uint32_t rrlvls : 1;
		uint32_t egs : 1;
		uint32_t plm : 1;
		uint32_t tbkas : 1;
		uint32_t ng : 1;
		uint32_t sqa : 1;
		uint32_t ulist : 1;
		uint32_t mds : 1;
		uint32_t fcm : 1;
		uint32_t vcm : 1;
		uint32_t deg : 1;
		uint32_t dnvms : 1;
		uint32_t elbas : 1;
		uint32_t mem : 1;
		uint32_t reserved1 : 2;
		uint32_t fdps : 1;
		uint32_t reserved2 : 12;
	};
	struct {
		uint32_t host_id_exhid_supported : 1;
		uint32_t non_operational_power_state_permissive_mode : 1;
		uint32_t nvm_sets : 1;
		uint32_t read_recovery_levels : 1;
		uint32_t endurance_groups : 1;
		uint32_t predictable_latency_mode : 1;
		uint32_t tbkas : 1;
		uint32_t namespace_granularity : 1;
		uint32_t sq_associations : 1;
		uint32_t uuid_list : 1;
		uint32_t mds : 1;
		uint32_t fixed_capacity_management : 1;
		uint32_t variable_capacity_management : 1;
		uint32_t delete_endurance_group : 1;
		uint32_t delete_nvm_set : 1;
		uint32_t elbas : 1;
		uint32_t mem : 1;
		uint32_t reserved1 : 2;
		uint32_t fdps : 1;
		uint32_t reserved2 : 12;
	} bits;
};
SPDK_STATIC_ASSERT(sizeof(union spdk_nvme_cdata_ctratt) == 4, "size of spdk_nvme_cdata_ctratt");

/** Identify Controller (CNS 01h) */
#pragma pack(push, 1)
struct spdk_nvme_ctrlr_data {
	uint16_t vid; /**< PCI vendor */
	uint16_t ssvid; /**< PCI subsystem vendor */
	int8_t sn[20]; /**< serial number, ASCII, filled up with blanks */
	int8_t mn[40]; /**< model number, ASCII, filled up with blanks */
	uint8_t fr[8]; /**< firmware revision, ASCII, filled up with blanks */
	uint8_t rab; /**< recommended arbitration burst */
	uint8_t ieee[3]; /**< OUI, least significant byte first */
	/** multi-path I/O and namespace sharing */
	struct {
		uint8_t mports : 1;
		uint8_t mctrs : 1;
		uint8_t ft : 1;
		uint8_t anars : 1;
		uint8_t rsvd : 4;
	} cmic;
	uint8_t mdts; /**< largest transfer is (4096 << CAP.MPSMIN) << mdts bytes; 0: no limit */
	uint16_t cntlid; /**< controller identifier, unique in its subsystem */
	union spdk_nvme_vs_register ver; /**< version of the specification */
	uint32_t rtd3r; /**< RTD3 resume latency, us */
	uint32_t rtd3e; /**< RTD3 entry latency, us */
	struct spdk_nvme_cdata_oaes oaes; /**< optional asynchronous events */
	union spdk_nvme_cdata_ctratt ctratt; /**< controller attributes */
	uint16_t rrls; /**< read recovery levels */
	uint8_t reserved_102[9];
	uint8_t cntrltype; /**< enum spdk_nvme_ctrlr_type */
	uint8_t fguid[16]; /**< GUID of the FRU */
	uint16_t crdt[3]; /**< command retry delays, in units of 100 ms */
	uint8_t reserved_134[119];
	struct {
		uint8_t nvmesd : 1;
		uint8_t nvmee : 1;
		uint8_t nvmsr_rsvd : 6;
	} nvmsr;
	struct {
		uint8_t vwcr : 7;
		uint8_t vwcrv : 1;
	} vwci;
	struct {
		uint8_t smbusme : 1;
		uint8_t pcieme : 1;
		uint8_t mec_rsvd : 6;
	} mec;
	struct spdk_nvme_cdata_oacs oacs; /**< optional admin commands */
	uint8_t acl; /**< Abort commands at a time, 0's based */
	uint8_t aerl; /**< Asynchronous Event Requests at a time, 0's based */
	/** firmware updates */
	struct {
		uint8_t slot1_ro : 1;
		uint8_t num_slots : 3;
		uint8_t activation_without_reset : 1;
		uint8_t multiple_update_detection : 1;
		uint8_t frmw_rsvd : 2;
	} frmw;
	/** log page attributes */
	struct {
		uint8_t smarts : 1;
		uint8_t cses : 1;
		uint8_t lpeds : 1;
		uint8_t ts : 1;
		uint8_t pes : 1;
		uint8_t mlps : 1;
		uint8_t da4s : 1;
		uint8_t rsvd : 1;
	} lpa;
	uint8_t elpe; /**< error log entries, 0's based */
	uint8_t npss; /**< power states, 0's based */
	struct {
		uint8_t spec_format : 1;
		uint8_t avscc_rsvd : 7;
	} avscc;
	struct {
		uint8_t supported : 1;
		uint8_t apsta_rsvd : 7;
	} apsta;
	uint16_t wctemp; /**< temperature that gives a warning, Kelvin */
	uint16_t cctemp; /**< critical temperature, Kelvin */
	uint16_t mtfa; /**< longest pause for a firmware activation, in units of 100 ms */
	uint32_t hmpre; /**< preferred host memory buffer, in units of 4 KiB */
	uint32_t hmmin; /**< smallest host memory buffer, in units of 4 KiB */
	uint64_t tnvmcap[2]; /**< capacity in bytes, 128 bits */
	uint64_t unvmcap[2]; /**< capacity that is not allocated, in bytes, 128 bits */
	struct {
		uint8_t num_rpmb_units : 3;
		uint8_t auth_method : 3;
		uint8_t reserved1 : 2;
		uint8_t reserved2;
		uint8_t total_size;
		uint8_t access_size;
	} rpmbs;
	uint16_t edstt; /**< time of an extended device self-test, minutes */
	union {
		uint8_t raw;
		struct {
			uint8_t one_only : 1;
			uint8_t reserved : 7;
		} bits;
	} dsto;
	uint8_t fwug; /**< firmware update granularity */
	/** granularity of the keep alive timer, in units of 100 ms; 0: no keep alive */
	uint16_t kas;
	union {
		uint16_t raw;
		struct {
			uint16_t supported : 1;
			uint16_t reserved : 15;
		} bits;
	} hctma;
	uint16_t mntmt;
	uint16_t mxtmt;
	union {
		uint32_t raw;
		struct {
			uint32_t crypto_erase : 1;
			uint32_t block_erase : 1;
			uint32_t overwrite : 1;
			uint32_t reserved : 29;
		} bits;
	} sanicap;
	uint32_t hmminds;
	uint16_t hmmaxd;
	uint16_t nsetidmax;
	uint16_t endgidmax;
	uint8_t anatt; /**< longest ANA transition, s */
	/** ANA states that the controller reports */
	struct {
		uint8_t ana_optimized_state : 1;
		uint8_t ana_non_optimized_state : 1;
		uint8_t ana_inaccessible_state : 1;
		uint8_t ana_persistent_loss_state : 1;
		uint8_t ana_change_state : 1;
		uint8_t reserved : 1;
		uint8_t no_change_anagrpid : 1;
		uint8_t non_zero_anagrpid : 1;
	} anacap;
	uint32_t anagrpmax; /**< largest ANA group identifier */
	uint32_t nanagrpid; /**< number of ANA groups */
	uint32_t pels;
	uint16_t domain_identifier;
	uint8_t reserved3[10];
	uint8_t megcap[16];
	uint8_t reserved384[128];
	/** submission queue entry sizes as powers of two */
	struct {
		uint8_t min : 4;
		uint8_t max : 4;
	} sqes;
	/** completion queue entry sizes as powers of two */
	struct {
		uint8_t min : 4;
		uint8_t max : 4;
	} cqes;
	uint16_t maxcmd; /**< commands that a queue takes at a time; never 0 over fabrics */
	uint32_t nn; /**< largest namespace identifier */
	struct spdk_nvme_cdata_oncs oncs; /**< optional commands of the NVM command set */
	struct spdk_nvme_cdata_fuses fuses; /**< fused operations */
	struct {
		uint8_t format_all_ns : 1;
		uint8_t erase_all_ns : 1;
		uint8_t crypto_erase_supported : 1;
		uint8_t reserved : 5;
	} fna;
	/** volatile write cache */
	struct {
		uint8_t present : 1;
		uint8_t flush_broadcast : 2;
		uint8_t reserved : 5;
	} vwc;
	uint16_t awun; /**< atomic write unit, blocks, 0's based */
	uint16_t awupf; /**< atomic write unit through a power failure, blocks, 0's based */
	uint8_t nvscc;
	uint8_t nwpc;
	uint16_t acwu; /**< atomic compare and write unit, blocks, 0's based */
	struct {
		uint16_t copy_format0 : 1;
		uint16_t reserved1 : 15;
	} ocfs;
	struct spdk_nvme_cdata_sgls sgls; /**< SGL support */
	uint32_t mnan; /**< how many namespaces there can be; 0: nn */
	uint8_t maxdna[16];
	uint32_t maxcna;
	uint8_t reserved4[204];
	uint8_t subnqn[256]; /**< NQN of the subsystem, ends with a zero byte */
	uint8_t reserved5[768];
	/** what only fabrics controllers have */
	struct spdk_nvme_cdata_nvmf_specific nvmf_specific;
	struct spdk_nvme_power_state psd[32]; /**< power states */
	uint8_t vs[1024]; /**< the vendor's own */
};
#pragma pack(pop)
SPDK_STATIC_ASSERT(sizeof(struct spdk_nvme_ctrlr_data) == 4096, "size of spdk_nvme_ctrlr_data");

/** Identify Controller, NVM command set (CNS 06h) */
struct spdk_nvme_nvm_ctrlr_data {
	uint8_t vsl;
	uint8_t wzsl;
	uint8_t wusl;
	uint8_t dmrl;
	uint32_t dmrsl;
	uint64_t dmsl;
	uint8_t rsvd16[4080];
};
SPDK_STATIC_ASSERT(sizeof(struct spdk_nvme_nvm_ctrlr_data) == 4096, "size of spdk_nvme_nvm_ctrlr_data");

/** Identify Controller, zoned namespaces (CNS 06h) */
struct spdk_nvme_zns_ctrlr_data {
	uint8_t zasl;
	uint8_t reserved1[4095];
};
SPDK_STATIC_ASSERT(sizeof(struct spdk_nvme_zns_ctrlr_data) == 4096, "size of spdk_nvme_zns_ctrlr_data");

/** Identify Controller, key value command set (CNS 06h) */
struct spdk_nvme_kv_ctrlr_data {
	uint32_t ver;
	uint8_t reserved1[4092];
};
SPDK_STATIC_ASSERT(sizeof(struct spdk_nvme_kv_ctrlr_data) == 4096, "size of spdk_nvme_kv_ctrlr_data");

/** Version of the base specification that brought key value namespaces */
#define SPDK_NVME_KV_SPEC_VER SPDK_NVME_VERSION(1, 3, 0)

/** Primary Controller Capabilities (CNS 14h) */
#pragma pack(push, 1)
struct spdk_nvme_primary_ctrl_capabilities {
	uint16_t cntlid;
	uint16_t portid;
	struct {
		uint8_t vq_supported : 1;
		uint8_t vi_supported : 1;
		uint8_t reserved : 6;
	} crt;
	uint8_t reserved[27];
	uint32_t vqfrt;
	uint32_t vqrfa;
	uint16_t vqrfap;
	uint16_t vqprt;
	uint16_t vqfrsm;
	uint16_t vqgran;
	uint8_t reserved1[16];
	uint32_t vifrt;
	uint32_t virfa;
	uint16_t virfap;
	uint16_t viprt;
	uint16_t vifrsm;
	uint16_t vigran;
	uint8_t reserved2[4016];
};
#pragma pack(pop)
SPDK_STATIC_ASSERT(sizeof(struct spdk_nvme_primary_ctrl_capabilities) == 4096, "size of spdk_nvme_primary_ctrl_capabilities");

/** One entry of the Secondary Controller List */
#pragma pack(push, 1)
struct spdk_nvme_secondary_ctrl_entry {
	uint16_t scid;
	uint16_t pcid;
	struct {
		uint8_t is_online : 1;
		uint8_t reserved : 7;
	} scs;
	uint8_t reserved[3];
	uint16_t vfn;
	uint16_t nvq;
	uint16_t nvi;
	uint8_t reserved1[18];
};
#pragma pack(pop)
SPDK_STATIC_ASSERT(sizeof(struct spdk_nvme_secondary_ctrl_entry) == 32, "size of spdk_nvme_secondary_ctrl_entry");

/** Secondary Controller List (CNS 15h) */
struct spdk_nvme_secondary_ctrl_list {
	uint8_t number;
	uint8_t reserved[31];
	struct spdk_nvme_secondary_ctrl_entry entries[127];
};
SPDK_STATIC_ASSERT(sizeof(struct spdk_nvme_secondary_ctrl_list) == 4096, "size of spdk_nvme_secondary_ctrl_list");

/** Reservation capabilities of a namespace */
struct spdk_nvme_rescap {
	uint8_t ptpls : 1;
	uint8_t wes : 1;
	uint8_t eas : 1;
	uint8_t weros : 1;
	uint8_t earos : 1;
	uint8_t wears : 1;
	uint8_t eaars : 1;
	uint8_t ieks : 1;
};
SPDK_STATIC_ASSERT(sizeof(struct spdk_nvme_rescap) == 1, "size of spdk_nvme_rescap");

/** Format Progress Indicator */
struct spdk_nvme_fpi {
	uint8_t rfnvm : 7;
	uint8_t fpis : 1;
};
SPDK_STATIC_ASSERT(sizeof(struct spdk_nvme_fpi) == 1, "size of spdk_nvme_fpi");

/** Namespace multi-path I/O and sharing */
struct spdk_nvme_nmic {
	uint8_t shrns : 1;
	uint8_t disns : 1;
	uint8_t rsvd : 6;
};
SPDK_STATIC_ASSERT(sizeof(struct spdk_nvme_nmic) == 1, "size of spdk_nvme_nmic");

/** Namespace attributes */
struct spdk_nvme_nsattr {
	uint8_t cwp : 1;
	uint8_t rsvd : 7;
};
SPDK_STATIC_ASSERT(sizeof(struct spdk_nvme_nsattr) == 1, "size of spdk_nvme_nsattr");

/** Identify Namespace, NVM command set (CNS 00h) */
struct spdk_nvme_ns_data {
	uint64_t nsze; /**< size in blocks */
	uint64_t ncap; /**< capacity in blocks; 0: the namespace is not active */
	uint64_t nuse; /**< allocated blocks */
	/** features */
	struct {
		uint8_t thin_prov : 1;
		uint8_t ns_atomic_write_unit : 1;
		uint8_t dealloc_or_unwritten_error : 1;
		uint8_t guid_never_reused : 1;
		uint8_t optperf : 1;
		uint8_t reserved1 : 3;
	} nsfeat;
	uint8_t nlbaf; /**< LBA formats, 0's based */
	/** which entry of lbaf is in use, and where metadata goes */
	struct {
		uint8_t format : 4;
		uint8_t extended : 1;
		uint8_t msb_format : 2;
		uint8_t reserved2 : 1;
	} flbas;
	/** metadata capabilities */
	struct {
		uint8_t extended : 1;
		uint8_t pointer : 1;
		uint8_t reserved3 : 6;
	} mc;
	/** protection information: capabilities */
	struct {
		uint8_t pit1 : 1;
		uint8_t pit2 : 1;
		uint8_t pit3 : 1;
		uint8_t md_start : 1;
		uint8_t md_end : 1;
	} dpc;
	/** protection information: settings */
	struct {
		uint8_t pit : 3;
		uint8_t md_start : 1;
		uint8_t reserved4 : 4;
	} dps;
	struct spdk_nvme_nmic nmic; /**< sharing between controllers */
	/** reservations */
	union {
		struct spdk_nvme_rescap rescap;
		uint8_t raw;
	} nsrescap;
	struct spdk_nvme_fpi fpi; /**< progress of Format NVM */
	/** what deallocated blocks read as */
	union {
		uint8_t raw;
		struct {
			uint8_t read_value : 3;
			uint8_t write_zero_deallocate : 1;
			uint8_t guard_value : 1;
			uint8_t reserved : 3;
		} bits;
	} dlfeat;
	uint16_t nawun;
	uint16_t nawupf;
	uint16_t nacwu;
	uint16_t nabsn;
	uint16_t nabo;
	uint16_t nabspf;
	uint16_t noiob; /**< optimal I/O boundary, blocks; 0: none */
	uint64_t nvmcap[2]; /**< capacity in bytes, 128 bits */
	uint16_t npwg; /**< preferred write granularity, blocks, 0's based */
	uint16_t npwa; /**< preferred write alignment, blocks, 0's based */
	uint16_t npdg; /**< preferred deallocate granularity, blocks, 0's based */
	uint16_t npda; /**< preferred deallocate alignment, blocks, 0's based */
	uint16_t nows; /**< optimal write size, blocks, 0's based */
	uint16_t mssrl; /**< blocks in one source range of Copy */
	uint32_t mcl; /**< blocks in one Copy */
	uint8_t msrc; /**< source ranges in one Copy, 0's based */
	uint8_t reserved81[11];
	uint32_t anagrpid; /**< ANA group */
	uint8_t reserved96[3];
	struct spdk_nvme_nsattr nsattr; /**< attributes */
	uint16_t nvmsetid;
	uint16_t endgid;
	uint8_t nguid[16]; /**< globally unique identifier, most significant byte first */
	uint64_t eui64; /**< IEEE extended unique identifier, most significant byte first */
	/** the LBA formats */
	struct {
		uint32_t ms : 16; /**< metadata bytes per block */
		uint32_t lbads : 8; /**< block size as a power of two; 0: format not available */
		uint32_t rp : 2; /**< relative performance, 0 is best */
		uint32_t reserved6 : 6;
	} lbaf[64];
	uint8_t vendor_specific[3712];
};
SPDK_STATIC_ASSERT(sizeof(struct spdk_nvme_ns_data) == 4096, "size of spdk_nvme_ns_data");

/** Size of the guard of protection information */
enum spdk_nvme_pi_format {
	SPDK_NVME_16B_GUARD_PI = 0,
	SPDK_NVME_32B_GUARD_PI = 1,
	SPDK_NVME_64B_GUARD_PI = 2,
};

/** Identify Namespace, I/O command set specific, NVM (CNS 05h) */
struct spdk_nvme_nvm_ns_data {
	uint64_t lbstm;
	struct {
		uint8_t _16bpists : 1;
		uint8_t _16bpistm : 1;
		uint8_t stcrs : 1;
		uint8_t reserved : 5;
	} pic;
	uint8_t reserved[3];
	struct {
		uint32_t sts : 7; /**< storage tag size in bits */
		uint32_t pif : 2; /**< enum spdk_nvme_pi_format */
		uint32_t reserved : 23;
	} elbaf[64];
	uint8_t reserved2[3828];
};
SPDK_STATIC_ASSERT(sizeof(struct spdk_nvme_nvm_ns_data) == 4096, "size of spdk_nvme_nvm_ns_data");

/** Identify Namespace, I/O command set specific, zoned (CNS 05h) */
struct spdk_nvme_zns_ns_data {
	struct {
		uint16_t variable_zone_capacity : 1;
		uint16_t zone_active_excursions : 1;
		uint16_t reserved0 : 14;
	} zoc;
	struct {
		uint16_t read_across_zone_boundaries : 1;
		uint16_t reserved0 : 15;
	} ozcs;
	uint32_t mar;
	uint32_t mor;
	uint32_t rrl;
	uint32_t frl;
	uint32_t rrl1;
	uint32_t rrl2;
	uint32_t rrl3;
	uint32_t frl1;
	uint32_t frl2;
	uint32_t frl3;
	uint8_t reserved44[2772];
	struct {
		uint64_t zsze; /**< zone size in blocks */
		uint64_t zdes : 8; /**< zone descriptor extension in units of 64 bytes */
		uint64_t reserved15 : 56;
	} lbafe[64];
	uint8_t vendor_specific[256];
};
SPDK_STATIC_ASSERT(sizeof(struct spdk_nvme_zns_ns_data) == 4096, "size of spdk_nvme_zns_ns_data");

/** Key value namespace: additional features */
struct spdk_nvme_kv_afo {
	uint8_t rp : 2;
	uint8_t reserved : 6;
};
SPDK_STATIC_ASSERT(sizeof(struct spdk_nvme_kv_afo) == 1, "size of spdk_nvme_kv_afo");

/** Key value namespace: format characteristics */
struct spdk_nvme_kv_kvfc {
	uint8_t kvfi : 4;
	uint8_t reserved : 4;
};
SPDK_STATIC_ASSERT(sizeof(struct spdk_nvme_kv_kvfc) == 1, "size of spdk_nvme_kv_kvfc");

/** Key value namespace: one format */
struct spdk_nvme_kv_format {
	uint16_t kvkml;
	uint8_t reserved2;
	struct spdk_nvme_kv_afo afo;
	uint32_t kvvml;
	uint32_t mnks;
	uint8_t reserved12[4];
};
SPDK_STATIC_ASSERT(sizeof(struct spdk_nvme_kv_format) == 16, "size of spdk_nvme_kv_format");

/** Identify Namespace, I/O command set specific, key value (CNS 05h) */
struct spdk_nvme_kv_ns_data {
	uint64_t nsze;
	uint8_t reserved8[8];
	uint64_t nuse;
	uint8_t nsfeat;
	uint8_t nkvf;
	struct spdk_nvme_nmic nmic;
	struct spdk_nvme_rescap rescap;
	struct spdk_nvme_fpi fpi;
	struct spdk_nvme_kv_kvfc kvfc;
	uint8_t reserved30[2];
	uint32_t novg;
	uint32_t anagrpid;
	uint8_t reserved40[3];
	struct spdk_nvme_nsattr nsattr;
	uint16_t nvmsetid;
	uint16_t endgid;
	uint8_t nguid[16];
	uint64_t eui64;
	struct spdk_nvme_kv_format kvf[16];
	uint8_t reserved328[3512];
	uint8_t vendor_specific[256];
};
SPDK_STATIC_ASSERT(sizeof(struct spdk_nvme_kv_ns_data) == 4096, "size of spdk_nvme_kv_ns_data");

/** Identify Namespace, independent of the I/O command set (CNS 08h) */
struct spdk_nvme_ns_iocs_independent_data {
	struct {
		uint8_t reserved1 : 3;
		uint8_t uidreuse : 1;
		uint8_t rmedia : 1;
		uint8_t vwcnp : 1;
		uint8_t reserved2 : 2;
	} nsfeat;
	struct spdk_nvme_nmic nmic;
	struct spdk_nvme_rescap rescap;
	struct spdk_nvme_fpi fpi;
	uint32_t anagrpid;
	struct spdk_nvme_nsattr nsattr;
	uint8_t reserved1;
	uint16_t nvmsetid;
	uint16_t endgid;
	struct {
		uint8_t nrdy : 1;
		uint8_t ioi : 2;
		uint8_t reserved : 5;
	} nstat;
	struct {
		uint8_t kpioens : 1;
		uint8_t kpiosns : 1;
		uint8_t reserved : 6;
	} kpios;
	uint16_t maxkt;
	uint16_t reserved2;
	uint32_t rgrpid;
	uint8_t reserved3[4072];
};
SPDK_STATIC_ASSERT(sizeof(struct spdk_nvme_ns_iocs_independent_data) == 4096, "size of spdk_nvme_ns_iocs_independent_data");

/** One combination of I/O command sets (CNS 1Ch) */
struct spdk_nvme_iocs_vector {
	uint8_t nvm : 1;
	uint8_t kv : 1;
	uint8_t zns : 1;
	uint8_t rsvd : 5;
	uint8_t rsvd2[7];
};
SPDK_STATIC_ASSERT(sizeof(struct spdk_nvme_iocs_vector) == 8, "size of spdk_nvme_iocs_vector");

/** DLFEAT: what deallocated blocks read as */
enum spdk_nvme_dealloc_logical_block_read_value {
	SPDK_NVME_DEALLOC_NOT_REPORTED = 0,
	SPDK_NVME_DEALLOC_READ_00 = 1,
	SPDK_NVME_DEALLOC_READ_FF = 2,
};

/*
 * Reservations (Base 7.2 to 7.5, 8.19)
 */

/** Type of a reservation */
enum spdk_nvme_reservation_type {
	SPDK_NVME_RESERVE_WRITE_EXCLUSIVE = 1,
	SPDK_NVME_RESERVE_EXCLUSIVE_ACCESS = 2,
	SPDK_NVME_RESERVE_WRITE_EXCLUSIVE_REG_ONLY = 3,
	SPDK_NVME_RESERVE_EXCLUSIVE_ACCESS_REG_ONLY = 4,
	SPDK_NVME_RESERVE_WRITE_EXCLUSIVE_ALL_REGS = 5,
	SPDK_NVME_RESERVE_EXCLUSIVE_ACCESS_ALL_REGS = 6,
};

/** Data of Reservation Acquire */
struct spdk_nvme_reservation_acquire_data {
	uint64_t crkey;
	uint64_t prkey;
};
SPDK_STATIC_ASSERT(sizeof(struct spdk_nvme_reservation_acquire_data) == 16, "size of spdk_nvme_reservation_acquire_data");

/** What Reservation Acquire does */
enum spdk_nvme_reservation_acquire_action {
	SPDK_NVME_RESERVE_ACQUIRE = 0,
	SPDK_NVME_RESERVE_PREEMPT = 1,
	SPDK_NVME_RESERVE_PREEMPT_ABORT = 2,
};

/** Answer to Reservation Report: header */
#pragma pack(push, 1)
struct spdk_nvme_reservation_status_data {
	uint32_t gen;
	uint8_t rtype;
	uint16_t regctl;
	uint16_t reserved1;
	uint8_t ptpls;
	uint8_t reserved[14];
};
#pragma pack(pop)
SPDK_STATIC_ASSERT(sizeof(struct spdk_nvme_reservation_status_data) == 24, "size of spdk_nvme_reservation_status_data");

/** Answer to Reservation Report, extended: header */
struct spdk_nvme_reservation_status_extended_data {
	struct spdk_nvme_reservation_status_data data;
	uint8_t reserved[40];
};
SPDK_STATIC_ASSERT(sizeof(struct spdk_nvme_reservation_status_extended_data) == 64, "size of spdk_nvme_reservation_status_extended_data");

/** Answer to Reservation Report: one registered controller */
#pragma pack(push, 1)
struct spdk_nvme_registered_ctrlr_data {
	uint16_t cntlid;
	struct {
		uint8_t status : 1;
		uint8_t reserved1 : 7;
	} rcsts;
	uint8_t reserved2[5];
	uint64_t hostid;
	uint64_t rkey;
};
#pragma pack(pop)
SPDK_STATIC_ASSERT(sizeof(struct spdk_nvme_registered_ctrlr_data) == 24, "size of spdk_nvme_registered_ctrlr_data");

/** Answer to Reservation Report, extended: one registered controller */
#pragma pack(push, 1)
struct spdk_nvme_registered_ctrlr_extended_data {
	uint16_t cntlid;
	struct {
		uint8_t status : 1;
		uint8_t reserved1 : 7;
	} rcsts;
	uint8_t reserved2[5];
	uint64_t rkey;
	uint8_t hostid[16];
	uint8_t reserved3[32];
};
#pragma pack(pop)
SPDK_STATIC_ASSERT(sizeof(struct spdk_nvme_registered_ctrlr_extended_data) == 64, "size of spdk_nvme_registered_ctrlr_extended_data");

/** Change of Persist Through Power Loss */
enum spdk_nvme_reservation_register_cptpl {
	SPDK_NVME_RESERVE_PTPL_NO_CHANGES = 0,
	SPDK_NVME_RESERVE_PTPL_CLEAR_POWER_ON = 2,
	SPDK_NVME_RESERVE_PTPL_PERSIST_POWER_LOSS = 3,
};

/** What Reservation Register does */
enum spdk_nvme_reservation_register_action {
	SPDK_NVME_RESERVE_REGISTER_KEY = 0,
	SPDK_NVME_RESERVE_UNREGISTER_KEY = 1,
	SPDK_NVME_RESERVE_REPLACE_KEY = 2,
};

/** Data of Reservation Register */
struct spdk_nvme_reservation_register_data {
	uint64_t crkey;
	uint64_t nrkey;
};
SPDK_STATIC_ASSERT(sizeof(struct spdk_nvme_reservation_register_data) == 16, "size of spdk_nvme_reservation_register_data");

/** Data of Reservation Release */
struct spdk_nvme_reservation_key_data {
	uint64_t crkey;
};
SPDK_STATIC_ASSERT(sizeof(struct spdk_nvme_reservation_key_data) == 8, "size of spdk_nvme_reservation_key_data");

/** What Reservation Release does */
enum spdk_nvme_reservation_release_action {
	SPDK_NVME_RESERVE_RELEASE = 0,
	SPDK_NVME_RESERVE_CLEAR = 1,
};

/** Reservation Notification log page: type */
enum spdk_nvme_reservation_notification_log_page_type {
	SPDK_NVME_RESERVATION_LOG_PAGE_EMPTY = 0,
	SPDK_NVME_REGISTRATION_PREEMPTED = 1,
	SPDK_NVME_RESERVATION_RELEASED = 2,
	SPDK_NVME_RESERVATION_PREEMPTED = 3,
};

/** Reservation Notification log page (Base 5.16.1.24) */
struct spdk_nvme_reservation_notification_log {
	uint64_t log_page_count;
	uint8_t type;
	uint8_t num_avail_log_pages;
	uint8_t reserved[2];
	uint32_t nsid;
	uint8_t reserved1[48];
};
SPDK_STATIC_ASSERT(sizeof(struct spdk_nvme_reservation_notification_log) == 64, "size of spdk_nvme_reservation_notification_log");

/** Bits of the Reservation Notification Mask */
#define SPDK_NVME_REGISTRATION_PREEMPTED_MASK (1U << 1)
#define SPDK_NVME_RESERVATION_RELEASED_MASK (1U << 2)
#define SPDK_NVME_RESERVATION_PREEMPTED_MASK (1U << 3)

/*
 * Log pages (Base 5.16.1)
 */

/** Log page identifiers */
enum spdk_nvme_log_page {
	SPDK_NVME_LOG_SUPPORTED_LOG_PAGES = 0x0,
	SPDK_NVME_LOG_ERROR = 0x1,
	SPDK_NVME_LOG_HEALTH_INFORMATION = 0x2,
	SPDK_NVME_LOG_FIRMWARE_SLOT = 0x3,
	SPDK_NVME_LOG_CHANGED_NS_LIST = 0x4,
	SPDK_NVME_LOG_COMMAND_EFFECTS_LOG = 0x5,
	SPDK_NVME_LOG_DEVICE_SELF_TEST = 0x6,
	SPDK_NVME_LOG_TELEMETRY_HOST_INITIATED = 0x7,
	SPDK_NVME_LOG_TELEMETRY_CTRLR_INITIATED = 0x8,
	SPDK_NVME_LOG_ENDURANCE_GROUP_INFORMATION = 0x9,
	SPDK_NVME_LOG_PREDICATBLE_LATENCY = 0xa,
	SPDK_NVME_LOG_PREDICTABLE_LATENCY_EVENT = 0xb,
	SPDK_NVME_LOG_ASYMMETRIC_NAMESPACE_ACCESS = 0xc,
	SPDK_NVME_LOG_PERSISTENT_EVENT_LOG = 0xd,
	SPDK_NVME_LOG_ENDURANCE_GROUP_EVENT = 0xf,
	SPDK_NVME_LOG_MEDIA_UNIT_STATUS = 0x10,
	SPDK_NVME_LOG_CAPACITY_CONFIGURATION_LIST = 0x11,
	SPDK_NVME_LOG_FEATURE_IDS_EFFECTS = 0x12,
	SPDK_NVME_LOG_NVME_MI_COMMANDS_EFFECTS = 0x13,
	SPDK_NVME_LOG_COMMAND_FEATURE_LOCKDOWN = 0x14,
	SPDK_NVME_LOG_BOOT_PARTITION = 0x15,
	SPDK_NVME_LOG_ROTATIONAL_MEDIA_INFORMATION = 0x16,
	SPDK_NVME_LOG_FDP_CONFIGURATIONS = 0x20,
	SPDK_NVME_LOG_RECLAIM_UNIT_HANDLE_USAGE = 0x21,
	SPDK_NVME_LOG_FDP_STATISTICS = 0x22,
	SPDK_NVME_LOG_FDP_EVENTS = 0x23,
	SPDK_NVME_LOG_DISCOVERY = 0x70,
	SPDK_NVME_LOG_RESERVATION_NOTIFICATION = 0x80,
	SPDK_NVME_LOG_SANITIZE_STATUS = 0x81,
	SPDK_NVME_LOG_CHANGED_ZONE_LIST = 0xbf,
	SPDK_NVME_LOG_VENDOR_SPECIFIC_START = 0xc0,
	SPDK_NVME_LOG_VENDOR_SPECIFIC_END = 0xff,
};

/** Whether a log page identifier is the vendor's */
#define spdk_nvme_log_page_is_vendor_specific(lid) ((lid) >= SPDK_NVME_LOG_VENDOR_SPECIFIC_START)

/** Supported Log Pages (LID 00h) */
struct spdk_nvme_supported_log_pages {
	struct {
		uint32_t lsupp : 1; /**< page supported */
		uint32_t ios : 1; /**< index offset supported */
		uint32_t reserved : 14;
		uint32_t lidsp : 16; /**< meaning depends on the page */
	} lids[256];
};
SPDK_STATIC_ASSERT(sizeof(struct spdk_nvme_supported_log_pages) == 1024, "size of spdk_nvme_supported_log_pages");

/** Feature Identifiers Supported and Effects (LID 12h) */
struct spdk_nvme_feature_ids_effects_log_page {
	struct {
		uint32_t fsupp : 1; /**< feature supported */
		uint32_t udcc : 1; /**< may change user data */
		uint32_t ncc : 1; /**< may change a namespace's capability */
		uint32_t nic : 1; /**< may change the namespace inventory */
		uint32_t ccc : 1; /**< may change the controller's capability */
		uint32_t reserved : 14;
		uint32_t uss : 1; /**< UUID selection supported */
		uint32_t nscpe : 1; /**< scope: namespace */
		uint32_t cscpe : 1; /**< scope: controller */
		uint32_t nsetscpe : 1; /**< scope: NVM Set */
		uint32_t egscpe : 1; /**< scope: Endurance Group */
		uint32_t dscpe : 1; /**< scope: domain */
		uint32_t nsscpe : 1; /**< scope: NVM subsystem */
		uint32_t cdqscpe : 1; /**< scope: Controller Data Queue */
		uint32_t fsp_reserved : 5;
	} fis[256];
};
SPDK_STATIC_ASSERT(sizeof(struct spdk_nvme_feature_ids_effects_log_page) == 1024, "size of spdk_nvme_feature_ids_effects_log_page");

/** Error Information (LID 01h): one entry */
struct spdk_nvme_error_information_entry {
	uint64_t error_count;
	uint16_t sqid;
	uint16_t cid;
	struct spdk_nvme_status status;
	uint16_t error_location;
	uint64_t lba;
	uint32_t nsid;
	uint8_t vendor_specific;
	uint8_t trtype;
	uint8_t reserved30[2];
	uint64_t command_specific;
	uint16_t trtype_specific;
	uint8_t reserved42[22];
};
SPDK_STATIC_ASSERT(sizeof(struct spdk_nvme_error_information_entry) == 64, "size of spdk_nvme_error_information_entry");

/** SMART / Health Information (LID 02h). Numbers of 16 bytes are two uint64_t, low half first */
#pragma pack(push, 1)
struct spdk_nvme_health_information_page {
	union spdk_nvme_critical_warning_state critical_warning;
	uint16_t temperature;
	uint8_t available_spare;
	uint8_t available_spare_threshold;
	uint8_t percentage_used;
	uint8_t reserved[26];
	uint64_t data_units_read[2];
	uint64_t data_units_written[2];
	uint64_t host_read_commands[2];
	uint64_t host_write_commands[2];
	uint64_t controller_busy_time[2];
	uint64_t power_cycles[2];
	uint64_t power_on_hours[2];
	uint64_t unsafe_shutdowns[2];
	uint64_t media_errors[2];
	uint64_t num_error_info_log_entries[2];
	uint32_t warning_temp_time;
	uint32_t critical_temp_time;
	uint16_t temp_sensor[8];
	uint8_t reserved2[296];
};
#pragma pack(pop)
SPDK_STATIC_ASSERT(sizeof(struct spdk_nvme_health_information_page) == 512, "size of spdk_nvme_health_information_page");

/** Commands Supported and Effects: one command */
struct spdk_nvme_cmds_and_effect_entry {
	uint16_t csupp : 1;
	uint16_t lbcc : 1;
	uint16_t ncc : 1;
	uint16_t nic : 1;
	uint16_t ccc : 1;
	uint16_t reserved1 : 11;
	uint16_t cse : 3;
	uint16_t uss : 1;
	uint16_t nscpe : 1;
	uint16_t cscpe : 1;
	uint16_t nsetscpe : 1;
	uint16_t egscpe : 1;
	uint16_t dscpe : 1;
	uint16_t nsscpe : 1;
	uint16_t csp_reserved : 6;
};
SPDK_STATIC_ASSERT(sizeof(struct spdk_nvme_cmds_and_effect_entry) == 4, "size of spdk_nvme_cmds_and_effect_entry");

/** Commands Supported and Effects (LID 05h) */
struct spdk_nvme_cmds_and_effect_log_page {
	struct spdk_nvme_cmds_and_effect_entry admin_cmds_supported[256];
	struct spdk_nvme_cmds_and_effect_entry io_cmds_supported[256];
	uint8_t reserved0[2048];
};
SPDK_STATIC_ASSERT(sizeof(struct spdk_nvme_cmds_and_effect_log_page) == 4096, "size of spdk_nvme_cmds_and_effect_log_page");

/** Telemetry (LID 07h, 08h): header */
struct spdk_nvme_telemetry_log_page_hdr {
	uint8_t lpi;
	uint8_t rsvd[4];
	uint8_t ieee_oui[3];
	uint16_t dalb1;
	uint16_t dalb2;
	uint16_t dalb3;
	uint8_t rsvd1[368];
	uint8_t ctrlr_avail;
	uint8_t ctrlr_gen;
	uint8_t rsnident[128];
	uint8_t telemetry_datablock[0];
};
SPDK_STATIC_ASSERT(sizeof(struct spdk_nvme_telemetry_log_page_hdr) == 512, "size of spdk_nvme_telemetry_log_page_hdr");

/** Sanitize Status: how the last one ended */
enum spdk_nvme_sanitize_status_type {
	SPDK_NVME_NEVER_BEEN_SANITIZED = 0,
	SPDK_NVME_RECENT_SANITIZE_SUCCESSFUL = 1,
	SPDK_NVME_SANITIZE_IN_PROGRESS = 2,
	SPDK_NVME_SANITIZE_FAILED = 3,
};

/** Sanitize Status: SSTAT */
struct spdk_nvme_sanitize_status_sstat {
	uint16_t status : 3;
	uint16_t complete_pass : 5;
	uint16_t global_data_erase : 1;
	uint16_t reserved : 7;
};
SPDK_STATIC_ASSERT(sizeof(struct spdk_nvme_sanitize_status_sstat) == 2, "size of spdk_nvme_sanitize_status_sstat");

/** Sanitize Status (LID 81h) */
struct spdk_nvme_sanitize_status_log_page {
	uint16_t sprog;
	struct spdk_nvme_sanitize_status_sstat sstat;
	uint32_t scdw10;
	uint32_t et_overwrite;
	uint32_t et_block_erase;
	uint32_t et_crypto_erase;
	uint8_t reserved[492];
};
SPDK_STATIC_ASSERT(sizeof(struct spdk_nvme_sanitize_status_log_page) == 512, "size of spdk_nvme_sanitize_status_log_page");

/** Firmware Slot Information (LID 03h) */
struct spdk_nvme_firmware_page {
	struct {
		uint8_t active_slot : 3;
		uint8_t reserved3 : 1;
		uint8_t next_reset_slot : 3;
		uint8_t reserved7 : 1;
	} afi;
	uint8_t reserved[7];
	uint8_t revision[7][8];
	uint8_t reserved2[448];
};
SPDK_STATIC_ASSERT(sizeof(struct spdk_nvme_firmware_page) == 512, "size of spdk_nvme_firmware_page");

/** Asymmetric Namespace Access (LID 0Ch): header */
struct spdk_nvme_ana_page {
	uint64_t change_count;
	uint16_t num_ana_group_desc;
	uint8_t reserved[6];
};
SPDK_STATIC_ASSERT(sizeof(struct spdk_nvme_ana_page) == 16, "size of spdk_nvme_ana_page");

/** State of an ANA group */
enum spdk_nvme_ana_state {
	SPDK_NVME_ANA_OPTIMIZED_STATE = 1,
	SPDK_NVME_ANA_NON_OPTIMIZED_STATE = 2,
	SPDK_NVME_ANA_INACCESSIBLE_STATE = 3,
	SPDK_NVME_ANA_PERSISTENT_LOSS_STATE = 4,
	SPDK_NVME_ANA_CHANGE_STATE = 15,
};

/** Asymmetric Namespace Access: one group */
struct spdk_nvme_ana_group_descriptor {
	uint32_t ana_group_id;
	uint32_t num_of_nsid;
	uint64_t change_count;
	uint8_t ana_state : 4;
	uint8_t reserved0 : 4;
	uint8_t reserved1[15];
	uint32_t nsid[];
};
SPDK_STATIC_ASSERT(sizeof(struct spdk_nvme_ana_group_descriptor) == 32, "size of spdk_nvme_ana_group_descriptor");

/** Type of a reclaim unit handle */
enum spdk_nvme_fdp_ruh_type {
	SPDK_NVME_FDP_RUHT_INITIALLY_ISOLATED = 1,
	SPDK_NVME_FDP_RUHT_PERSISTENTLY_ISOLATED = 2,
};

/** Flexible Data Placement: one reclaim unit handle */
struct spdk_nvme_fdp_ruh_descriptor {
	uint8_t ruht;
	uint8_t reserved[3];
};
SPDK_STATIC_ASSERT(sizeof(struct spdk_nvme_fdp_ruh_descriptor) == 4, "size of spdk_nvme_fdp_ruh_descriptor");

/** Flexible Data Placement: one configuration */
struct spdk_nvme_fdp_cfg_descriptor {
	uint16_t ds;
	union {
		uint8_t raw;
		struct {
			uint8_t rgif : 4;
			uint8_t fdpvwc : 1;
			uint8_t rsvd1 : 2;
			uint8_t fdpcv : 1;
		} bits;
	} fdpa;
	uint8_t vss;
	uint32_t nrg;
	uint16_t nruh;
	uint16_t maxpids;
	uint32_t nns;
	uint64_t runs;
	uint32_t erutl;
	uint8_t rsvd28[36];
	struct spdk_nvme_fdp_ruh_descriptor ruh_desc[];
};
SPDK_STATIC_ASSERT(sizeof(struct spdk_nvme_fdp_cfg_descriptor) == 64, "size of spdk_nvme_fdp_cfg_descriptor");

/** FDP Configurations (LID 20h): header */
struct spdk_nvme_fdp_cfg_log_page {
	uint16_t ncfg;
	uint8_t version;
	uint8_t reserved1;
	uint32_t size;
	uint8_t reserved2[8];
	struct spdk_nvme_fdp_cfg_descriptor cfg_desc[];
};
SPDK_STATIC_ASSERT(sizeof(struct spdk_nvme_fdp_cfg_log_page) == 16, "size of spdk_nvme_fdp_cfg_log_page");

/** Who uses a reclaim unit handle */
enum spdk_nvme_fdp_ruh_attributes {
	SPDK_NVME_FDP_RUHA_UNUSED = 0,
	SPDK_NVME_FDP_RUHA_HOST_SPECIFIED = 1,
	SPDK_NVME_FDP_RUHA_CTRLR_SPECIFIED = 2,
};

/** Use of one reclaim unit handle */
struct spdk_nvme_fdp_ruhu_descriptor {
	uint8_t ruha;
	uint8_t reserved[7];
};
SPDK_STATIC_ASSERT(sizeof(struct spdk_nvme_fdp_ruhu_descriptor) == 8, "size of spdk_nvme_fdp_ruhu_descriptor");

/** Reclaim Unit Handle Usage (LID 21h): header */
struct spdk_nvme_fdp_ruhu_log_page {
	uint16_t nruh;
	uint8_t reserved[6];
	struct spdk_nvme_fdp_ruhu_descriptor ruhu_desc[];
};
SPDK_STATIC_ASSERT(sizeof(struct spdk_nvme_fdp_ruhu_log_page) == 8, "size of spdk_nvme_fdp_ruhu_log_page");

/** FDP Statistics (LID 22h) */
struct spdk_nvme_fdp_stats_log_page {
	uint64_t hbmw[2];
	uint64_t mbmw[2];
	uint64_t mbe[2];
	uint8_t rsvd48[16];
};
SPDK_STATIC_ASSERT(sizeof(struct spdk_nvme_fdp_stats_log_page) == 64, "size of spdk_nvme_fdp_stats_log_page");

/** FDP Events: the host's or the controller's */
enum spdk_nvme_fdp_report_event_type {
	SPDK_NVME_FDP_REPORT_CTRL_EVENTS = 0,
	SPDK_NVME_FDP_REPORT_HOST_EVENTS = 1,
};

/** FDP event types */
enum spdk_nvme_fdp_event_type {
	SPDK_NVME_FDP_EVENT_RU_NOT_WRITTEN_CAPACITY = 0x0,
	SPDK_NVME_FDP_EVENT_RU_TIME_LIMIT_EXCEEDED = 0x1,
	SPDK_NVME_FDP_EVENT_CTRLR_RESET_MODIFY_RUH = 0x2,
	SPDK_NVME_FDP_EVENT_INVALID_PLACEMENT_ID = 0x3,
	SPDK_NVME_FDP_EVENT_MEDIA_REALLOCATED = 0x80,
	SPDK_NVME_FDP_EVENT_IMPLICIT_MODIFIED_RUH = 0x81,
};

/** FDP event Media Reallocated: its own data */
#pragma pack(push, 1)
struct spdk_nvme_fdp_event_media_reallocated {
	union {
		uint8_t raw;
		struct {
			uint8_t lbav : 1;
			uint8_t reserved : 7;
		} bits;
	} sef;
	uint8_t reserved1;
	uint16_t nlbam;
	uint64_t lba;
	uint8_t reserved2[4];
};
#pragma pack(pop)
SPDK_STATIC_ASSERT(sizeof(struct spdk_nvme_fdp_event_media_reallocated) == 16, "size of spdk_nvme_fdp_event_media_reallocated");

/** One FDP event */
#pragma pack(push, 1)
struct spdk_nvme_fdp_event {
	uint8_t etype;
	union {
		uint8_t raw;
		struct {
			uint8_t piv : 1;
			uint8_t nsidv : 1;
			uint8_t lv : 1;
			uint8_t reserved : 5;
		} bits;
	} fdpef;
	uint16_t pid;
	uint64_t timestamp;
	uint32_t nsid;
	uint64_t event_type_specific[2];
	uint16_t rgid;
	uint16_t ruhid;
	uint8_t reserved[4];
	uint8_t vs[24];
};
#pragma pack(pop)
SPDK_STATIC_ASSERT(sizeof(struct spdk_nvme_fdp_event) == 64, "size of spdk_nvme_fdp_event");

/** FDP Events (LID 23h): header */
struct spdk_nvme_fdp_events_log_page {
	uint32_t nevents;
	uint8_t reserved[60];
	struct spdk_nvme_fdp_event event[];
};
SPDK_STATIC_ASSERT(sizeof(struct spdk_nvme_fdp_events_log_page) == 64, "size of spdk_nvme_fdp_events_log_page");

/*
 * Asynchronous events (Base 5.2)
 */

/** Event type */
enum spdk_nvme_async_event_type {
	SPDK_NVME_ASYNC_EVENT_TYPE_ERROR = 0,
	SPDK_NVME_ASYNC_EVENT_TYPE_SMART = 1,
	SPDK_NVME_ASYNC_EVENT_TYPE_NOTICE = 2,
	SPDK_NVME_ASYNC_EVENT_TYPE_IO = 6,
	SPDK_NVME_ASYNC_EVENT_TYPE_VENDOR = 7,
};

/** Event information of an error */
enum spdk_nvme_async_event_info_error {
	SPDK_NVME_ASYNC_EVENT_WRITE_INVALID_DB = 0,
	SPDK_NVME_ASYNC_EVENT_INVALID_DB_WRITE = 1,
	SPDK_NVME_ASYNC_EVENT_DIAGNOSTIC_FAILURE = 2,
	SPDK_NVME_ASYNC_EVENT_PERSISTENT_INTERNAL = 3,
	SPDK_NVME_ASYNC_EVENT_TRANSIENT_INTERNAL = 4,
	SPDK_NVME_ASYNC_EVENT_FW_IMAGE_LOAD = 5,
};

/** Event information of SMART / Health status */
enum spdk_nvme_async_event_info_smart {
	SPDK_NVME_ASYNC_EVENT_SUBSYSTEM_RELIABILITY = 0,
	SPDK_NVME_ASYNC_EVENT_TEMPERATURE_THRESHOLD = 1,
	SPDK_NVME_ASYNC_EVENT_SPARE_BELOW_THRESHOLD = 2,
};

/** Event information of a notice */
enum spdk_nvme_async_event_info_notice {
	SPDK_NVME_ASYNC_EVENT_NS_ATTR_CHANGED = 0x0,
	SPDK_NVME_ASYNC_EVENT_FW_ACTIVATION_START = 0x1,
	SPDK_NVME_ASYNC_EVENT_TELEMETRY_LOG_CHANGED = 0x2,
	SPDK_NVME_ASYNC_EVENT_ANA_CHANGE = 0x3,
	SPDK_NVME_ASYNC_EVENT_DISCOVERY_LOG_CHANGE = 0xf0,
};

/** Event information specific to the I/O command set */
enum spdk_nvme_async_event_info_nvm_command_set {
	SPDK_NVME_ASYNC_EVENT_RESERVATION_LOG_AVAIL = 0,
	SPDK_NVME_ASYNC_EVENT_SANITIZE_COMPLETED = 1,
};

/** Dword 0 of the completion of an Asynchronous Event Request */
union spdk_nvme_async_event_completion {
	uint32_t raw;
	struct {
		uint32_t async_event_type : 3;
		uint32_t reserved1 : 5;
		uint32_t async_event_info : 8;
		uint32_t log_page_identifier : 8;
		uint32_t reserved2 : 8;
	} bits;
};
SPDK_STATIC_ASSERT(sizeof(union spdk_nvme_async_event_completion) == 4, "size of spdk_nvme_async_event_completion");

/*
 * Namespace management, format, firmware, sanitize
 */

/** Namespace Attachment: what to do */
enum spdk_nvme_ns_attach_type {
	SPDK_NVME_NS_CTRLR_ATTACH = 0,
	SPDK_NVME_NS_CTRLR_DETACH = 1,
};

/** Namespace Management: what to do */
enum spdk_nvme_ns_management_type {
	SPDK_NVME_NS_MANAGEMENT_CREATE = 0,
	SPDK_NVME_NS_MANAGEMENT_DELETE = 1,
};

/** Namespace List */
struct spdk_nvme_ns_list {
	uint32_t ns_list[1024];
};
SPDK_STATIC_ASSERT(sizeof(struct spdk_nvme_ns_list) == 4096, "size of spdk_nvme_ns_list");

/** Type of a namespace identifier */
enum spdk_nvme_nidt {
	SPDK_NVME_NIDT_EUI64 = 1,
	SPDK_NVME_NIDT_NGUID = 2,
	SPDK_NVME_NIDT_UUID = 3,
	SPDK_NVME_NIDT_CSI = 4,
};

/** Namespace Identification Descriptor (CNS 03h) */
struct spdk_nvme_ns_id_desc {
	uint8_t nidt;
	uint8_t nidl;
	uint8_t reserved2;
	uint8_t reserved3;
	uint8_t nid[];
};
SPDK_STATIC_ASSERT(sizeof(struct spdk_nvme_ns_id_desc) == 4, "size of spdk_nvme_ns_id_desc");

/** Controller List */
struct spdk_nvme_ctrlr_list {
	uint16_t ctrlr_count;
	uint16_t ctrlr_list[2047];
};
SPDK_STATIC_ASSERT(sizeof(struct spdk_nvme_ctrlr_list) == 4096, "size of spdk_nvme_ctrlr_list");

/** Command set identifiers */
enum spdk_nvme_csi {
	SPDK_NVME_CSI_NVM = 0,
	SPDK_NVME_CSI_KV = 1,
	SPDK_NVME_CSI_ZNS = 2,
};

/** Format NVM: secure erase */
enum spdk_nvme_secure_erase_setting {
	SPDK_NVME_FMT_NVM_SES_NO_SECURE_ERASE = 0,
	SPDK_NVME_FMT_NVM_SES_USER_DATA_ERASE = 1,
	SPDK_NVME_FMT_NVM_SES_CRYPTO_ERASE = 2,
};

/** Protection information: first or last bytes of the metadata */
enum spdk_nvme_pi_location {
	SPDK_NVME_FMT_NVM_PROTECTION_AT_TAIL = 0,
	SPDK_NVME_FMT_NVM_PROTECTION_AT_HEAD = 1,
};

/** Protection information: type */
enum spdk_nvme_pi_type {
	SPDK_NVME_FMT_NVM_PROTECTION_DISABLE = 0,
	SPDK_NVME_FMT_NVM_PROTECTION_TYPE1 = 1,
	SPDK_NVME_FMT_NVM_PROTECTION_TYPE2 = 2,
	SPDK_NVME_FMT_NVM_PROTECTION_TYPE3 = 3,
};

/** Metadata: separate buffer, or part of an extended block */
enum spdk_nvme_metadata_setting {
	SPDK_NVME_FMT_NVM_METADATA_TRANSFER_AS_BUFFER = 0,
	SPDK_NVME_FMT_NVM_METADATA_TRANSFER_AS_LBA = 1,
};

/** Format NVM: Dword 10 */
struct spdk_nvme_format {
	uint32_t lbaf : 4;
	uint32_t ms : 1;
	uint32_t pi : 3;
	uint32_t pil : 1;
	uint32_t ses : 3;
	uint32_t lbafu : 2;
	uint32_t reserved : 18;
};
SPDK_STATIC_ASSERT(sizeof(struct spdk_nvme_format) == 4, "size of spdk_nvme_format");

/** Protection information with a 16-bit guard; big endian (NVM 5.2) */
struct spdk_nvme_protection_info {
	uint16_t guard;
	uint16_t app_tag;
	uint32_t ref_tag;
};
SPDK_STATIC_ASSERT(sizeof(struct spdk_nvme_protection_info) == 8, "size of spdk_nvme_protection_info");

/** Sanitize: Dword 10 */
struct spdk_nvme_sanitize {
	uint32_t sanact : 3;
	uint32_t ause : 1;
	uint32_t owpass : 4;
	uint32_t oipbp : 1;
	uint32_t ndas : 1;
	uint32_t reserved : 22;
};
SPDK_STATIC_ASSERT(sizeof(struct spdk_nvme_sanitize) == 4, "size of spdk_nvme_sanitize");

/** Sanitize: action */
enum spdk_sanitize_action {
	SPDK_NVME_SANITIZE_EXIT_FAILURE_MODE = 1,
	SPDK_NVME_SANITIZE_BLOCK_ERASE = 2,
	SPDK_NVME_SANITIZE_OVERWRITE = 3,
	SPDK_NVME_SANITIZE_CRYPTO_ERASE = 4,
};

/** Firmware Commit: action */
enum spdk_nvme_fw_commit_action {
	SPDK_NVME_FW_COMMIT_REPLACE_IMG = 0,
	SPDK_NVME_FW_COMMIT_REPLACE_AND_ENABLE_IMG = 1,
	SPDK_NVME_FW_COMMIT_ENABLE_IMG = 2,
	SPDK_NVME_FW_COMMIT_RUN_IMG = 3,
	SPDK_NVME_FW_COMMIT_REPLACE_BOOT_PARTITION = 6,
	SPDK_NVME_FW_COMMIT_ACTIVATE_BOOT_PARTITION = 7,
};

/** Firmware Commit: Dword 10 */
struct spdk_nvme_fw_commit {
	uint32_t fs : 3;
	uint32_t ca : 3;
	uint32_t reserved : 25;
	uint32_t bpid : 1;
};
SPDK_STATIC_ASSERT(sizeof(struct spdk_nvme_fw_commit) == 4, "size of spdk_nvme_fw_commit");

/*
 * Zones (ZNS 2.3, 3.4.2, 3.4.3)
 */

/** Zone Management Send: action */
enum spdk_nvme_zns_zone_send_action {
	SPDK_NVME_ZONE_CLOSE = 0x1,
	SPDK_NVME_ZONE_FINISH = 0x2,
	SPDK_NVME_ZONE_OPEN = 0x3,
	SPDK_NVME_ZONE_RESET = 0x4,
	SPDK_NVME_ZONE_OFFLINE = 0x5,
	SPDK_NVME_ZONE_SET_ZDE = 0x10,
};

/** Zone Management Receive: action */
enum spdk_nvme_zns_zone_receive_action {
	SPDK_NVME_ZONE_REPORT = 0,
	SPDK_NVME_ZONE_EXTENDED_REPORT = 1,
};

/** Zone Management Receive: which zones to report */
enum spdk_nvme_zns_zra_report_opts {
	SPDK_NVME_ZRA_LIST_ALL = 0,
	SPDK_NVME_ZRA_LIST_ZSE = 1,
	SPDK_NVME_ZRA_LIST_ZSIO = 2,
	SPDK_NVME_ZRA_LIST_ZSEO = 3,
	SPDK_NVME_ZRA_LIST_ZSC = 4,
	SPDK_NVME_ZRA_LIST_ZSF = 5,
	SPDK_NVME_ZRA_LIST_ZSRO = 6,
	SPDK_NVME_ZRA_LIST_ZSO = 7,
};

/** Type of a zone */
enum spdk_nvme_zns_zone_type {
	SPDK_NVME_ZONE_TYPE_SEQWR = 2,
};

/** State of a zone */
enum spdk_nvme_zns_zone_state {
	SPDK_NVME_ZONE_STATE_EMPTY = 1,
	SPDK_NVME_ZONE_STATE_IOPEN = 2,
	SPDK_NVME_ZONE_STATE_EOPEN = 3,
	SPDK_NVME_ZONE_STATE_CLOSED = 4,
	SPDK_NVME_ZONE_STATE_RONLY = 13,
	SPDK_NVME_ZONE_STATE_FULL = 14,
	SPDK_NVME_ZONE_STATE_OFFLINE = 15,
};

/** Zone Descriptor */
struct spdk_nvme_zns_zone_desc {
	uint8_t zt : 4;
	uint8_t rsvd0 : 4;
	uint8_t rsvd1 : 4;
	uint8_t zs : 4;
	union {
		uint8_t raw;
		struct {
			uint8_t zfc : 1;
			uint8_t fzr : 1;
			uint8_t rzr : 1;
			uint8_t rsvd3 : 4;
			uint8_t zdev : 1;
		} bits;
	} za;
	uint8_t reserved[5];
	uint64_t zcap;
	uint64_t zslba;
	uint64_t wp;
	uint8_t reserved32[32];
};
SPDK_STATIC_ASSERT(sizeof(struct spdk_nvme_zns_zone_desc) == 64, "size of spdk_nvme_zns_zone_desc");

/** Report Zones: header */
struct spdk_nvme_zns_zone_report {
	uint64_t nr_zones;
	uint8_t reserved8[56];
	struct spdk_nvme_zns_zone_desc descs[];
};
SPDK_STATIC_ASSERT(sizeof(struct spdk_nvme_zns_zone_report) == 64, "size of spdk_nvme_zns_zone_report");

/*
 * Directives (Base 8.7)
 */

/** Directive type */
enum spdk_nvme_directive_type {
	SPDK_NVME_DIRECTIVE_TYPE_IDENTIFY = 0,
	SPDK_NVME_DIRECTIVE_TYPE_STREAMS = 1,
	SPDK_NVME_DIRECTIVE_TYPE_DATA_PLACEMENT = 2,
};

/** Directive Send, Identify: operation */
enum spdk_nvme_identify_directive_send_operation {
	SPDK_NVME_IDENTIFY_DIRECTIVE_SEND_ENABLED = 1,
};

/** Directive Receive, Identify: operation */
enum spdk_nvme_identify_directive_receive_operation {
	SPDK_NVME_IDENTIFY_DIRECTIVE_RECEIVE_RETURN_PARAM = 1,
};

/** Identify directive: parameters */
struct spdk_nvme_ns_identify_directive_param {
	struct {
		uint8_t identify : 1;
		uint8_t streams : 1;
		uint8_t data_pd : 1;
		uint8_t reserved1 : 5;
		uint8_t reserved2[31];
	} directives_supported;
	struct {
		uint8_t identify : 1;
		uint8_t streams : 1;
		uint8_t data_pd : 1;
		uint8_t reserved1 : 5;
		uint8_t reserved2[31];
	} directives_enabled;
	struct {
		uint8_t identify : 1;
		uint8_t streams : 1;
		uint8_t data_pd : 1;
		uint8_t reserved1 : 5;
		uint8_t reserved2[31];
	} directives_persistence;
	uint32_t reserved[1000];
};
SPDK_STATIC_ASSERT(sizeof(struct spdk_nvme_ns_identify_directive_param) == 4096, "size of spdk_nvme_ns_identify_directive_param");

/** Directive Receive, Streams: operation */
enum spdk_nvme_streams_directive_receive_operation {
	SPDK_NVME_STREAMS_DIRECTIVE_RECEIVE_RETURN_PARAM = 1,
	SPDK_NVME_STREAMS_DIRECTIVE_RECEIVE_GET_STATUS = 2,
	SPDK_NVME_STREAMS_DIRECTIVE_RECEIVE_ALLOCATE_RESOURCE = 3,
};

/** Directive Send, Streams: operation */
enum spdk_nvme_streams_directive_send_operation {
	SPDK_NVME_STREAMS_DIRECTIVE_SEND_RELEASE_ID = 1,
	SPDK_NVME_STREAMS_DIRECTIVE_SEND_RELEASE_RESOURCE = 2,
};

/** Streams: parameters */
struct spdk_nvme_ns_streams_data {
	uint16_t msl;
	uint16_t nssa;
	uint16_t nsso;
	struct {
		uint8_t ssid : 1;
		uint8_t reserved : 7;
	} nssc;
	uint8_t reserved1[9];
	uint32_t sws;
	uint16_t sgs;
	uint16_t nsa;
	uint16_t nso;
	uint8_t reserved2[6];
};
SPDK_STATIC_ASSERT(sizeof(struct spdk_nvme_ns_streams_data) == 32, "size of spdk_nvme_ns_streams_data");

/** Streams: which are open */
struct spdk_nvme_ns_streams_status {
	uint16_t open_streams_count;
	uint16_t stream_id[65535];
};
SPDK_STATIC_ASSERT(sizeof(struct spdk_nvme_ns_streams_status) == 131072, "size of spdk_nvme_ns_streams_status");

/** Controller type */
enum spdk_nvme_ctrlr_type {
	SPDK_NVME_CTRLR_IO = 1,
	SPDK_NVME_CTRLR_DISCOVERY = 2,
	SPDK_NVME_CTRLR_ADMINISTRATIVE = 3,
};

/*
 * What a completion says
 */

/** True for every status but success */
#define spdk_nvme_cpl_is_error(cpl) \
	((cpl)->status.sct != SPDK_NVME_SCT_GENERIC || (cpl)->status.sc != SPDK_NVME_SC_SUCCESS)

/** True for success */
#define spdk_nvme_cpl_is_success(cpl) (!spdk_nvme_cpl_is_error(cpl))

/** True if a guard, application tag or reference tag did not match */
#define spdk_nvme_cpl_is_pi_error(cpl) \
	((cpl)->status.sct == SPDK_NVME_SCT_MEDIA_ERROR && \
	 (cpl)->status.sc >= SPDK_NVME_SC_GUARD_CHECK_ERROR && \
	 (cpl)->status.sc <= SPDK_NVME_SC_REFERENCE_TAG_CHECK_ERROR)

/** Completion of an Abort: true if the command was aborted */
#define spdk_nvme_cpl_is_abort_success(cpl) (((cpl)->cdw0 & 1U) == 0 && spdk_nvme_cpl_is_success(cpl))

/** True for a path related status */
#define spdk_nvme_cpl_is_path_error(cpl) ((cpl)->status.sct == SPDK_NVME_SCT_PATH)

/** True if the state of the ANA group was the reason */
#define spdk_nvme_cpl_is_ana_error(cpl) \
	(spdk_nvme_cpl_is_path_error(cpl) && \
	 (cpl)->status.sc >= SPDK_NVME_SC_ASYMMETRIC_ACCESS_PERSISTENT_LOSS && \
	 (cpl)->status.sc <= SPDK_NVME_SC_ASYMMETRIC_ACCESS_TRANSITION)

/** True if the queue went away before the command was done */
#define spdk_nvme_cpl_is_aborted_sq_deletion(cpl) \
	((cpl)->status.sct == SPDK_NVME_SCT_GENERIC && (cpl)->status.sc == SPDK_NVME_SC_ABORTED_SQ_DELETION)

/** True if the host asked for the abort */
#define spdk_nvme_cpl_is_aborted_by_request(cpl) \
	((cpl)->status.sct == SPDK_NVME_SCT_GENERIC && (cpl)->status.sc == SPDK_NVME_SC_ABORTED_BY_REQUEST)

/*
 * I/O flags: what the io_flags argument of read, write and their kin takes
 */

/** Fused operation: which of the two commands. Bits 1:0 go to CDW0.FUSE */
#define SPDK_NVME_IO_FLAGS_FUSE_FIRST (SPDK_NVME_CMD_FUSE_FIRST << 0)
#define SPDK_NVME_IO_FLAGS_FUSE_SECOND (SPDK_NVME_CMD_FUSE_SECOND << 0)
#define SPDK_NVME_IO_FLAGS_FUSE_MASK (SPDK_NVME_CMD_FUSE_MASK << 0)

/** Directive type of a write. From here on bits go to Command Dword 12 as they are */
#define SPDK_NVME_IO_FLAGS_DIRECTIVE(dtype) ((dtype) << 20)
#define SPDK_NVME_IO_FLAGS_STREAMS_DIRECTIVE SPDK_NVME_IO_FLAGS_DIRECTIVE(SPDK_NVME_DIRECTIVE_TYPE_STREAMS)
#define SPDK_NVME_IO_FLAGS_DATA_PLACEMENT_DIRECTIVE \
	SPDK_NVME_IO_FLAGS_DIRECTIVE(SPDK_NVME_DIRECTIVE_TYPE_DATA_PLACEMENT)

/**
 * Protection information: PIREMAP (Zone Append), which fields are checked, and PRACT; then FUA and
 * LR
 */
#define SPDK_NVME_IO_FLAGS_ZONE_APPEND_PIREMAP (1U << 25)
#define SPDK_NVME_IO_FLAGS_PRCHK_REFTAG (1U << 26)
#define SPDK_NVME_IO_FLAGS_PRCHK_APPTAG (1U << 27)
#define SPDK_NVME_IO_FLAGS_PRCHK_GUARD (1U << 28)
#define SPDK_NVME_IO_FLAGS_PRACT (1U << 29)
#define SPDK_NVME_IO_FLAGS_FORCE_UNIT_ACCESS (1U << 30)
#define SPDK_NVME_IO_FLAGS_LIMITED_RETRY (1U << 31)

/** All flags that may be given; those for Dword 12; those that check protection information */
#define SPDK_NVME_IO_FLAGS_VALID_MASK 0xFFFF0003
#define SPDK_NVME_IO_FLAGS_CDW12_MASK 0xFFFF0000
#define SPDK_NVME_IO_FLAGS_PRCHK_MASK 0x1C000000

/** Bytes of data that Identify returns */
#define SPDK_NVME_IDENTIFY_BUFLEN 4096

#pragma GCC diagnostic pop

#ifdef __cplusplus
}
#endif

#endif /* SPDK_NVME_SPEC_H */

/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * Open-Channel SSDs: what is on the wire (Open-Channel SSD 2.0). Numbers are little endian.
 */

#ifndef SPDK_NVME_OCSSD_SPEC_H
#define SPDK_NVME_OCSSD_SPEC_H

#include "spdk/stdinc.h"

#include "spdk/assert.h"
#include "spdk/nvme_spec.h"

/** Most logical blocks in a command that has a list of them. */
#define SPDK_NVME_OCSSD_MAX_LBAL_ENTRIES 64

/** Limited retry, in the flags of a command. */
#define SPDK_OCSSD_IO_FLAGS_LIMITED_RETRY (1U << 31)

enum spdk_ocssd_admin_opcode {
	SPDK_OCSSD_OPC_GEOMETRY = 0xE2,
};

enum spdk_ocssd_io_opcode {
	SPDK_OCSSD_OPC_VECTOR_RESET = 0x90,
	SPDK_OCSSD_OPC_VECTOR_WRITE = 0x91,
	SPDK_OCSSD_OPC_VECTOR_READ = 0x92,
	SPDK_OCSSD_OPC_VECTOR_COPY = 0x93,
};

enum spdk_ocssd_log_page {
	SPDK_OCSSD_LOG_CHUNK_INFO = 0xCA,
	SPDK_OCSSD_LOG_CHUNK_NOTIFICATION = 0xD0,
};

enum spdk_ocssd_feat {
	SPDK_OCSSD_FEAT_MEDIA_FEEDBACK = 0xCA,
};

/** Status codes of type Media and Data Integrity Errors. */
enum spdk_ocssd_media_error_status_code {
	SPDK_OCSSD_SC_OFFLINE_CHUNK = 0xC0,
	SPDK_OCSSD_SC_INVALID_RESET = 0xC1,
	SPDK_OCSSD_SC_READ_HIGH_ECC = 0xD0,
	SPDK_OCSSD_SC_WRITE_FAIL_WRITE_NEXT_UNIT = 0xF0,
	SPDK_OCSSD_SC_WRITE_FAIL_CHUNK_EARLY_CLOSE = 0xF1,
	SPDK_OCSSD_SC_OUT_OF_ORDER_WRITE = 0xF2,
};

/** How many bits of an address each level has. */
struct spdk_ocssd_dev_lba_fmt {
	uint8_t grp_len; /**< groups */
	uint8_t pu_len; /**< parallel units of a group */
	uint8_t chk_len; /**< chunks of a parallel unit */
	uint8_t lbk_len; /**< logical blocks of a chunk */
	uint8_t reserved[4];
};
SPDK_STATIC_ASSERT(sizeof(struct spdk_ocssd_dev_lba_fmt) == 8, "size of spdk_ocssd_dev_lba_fmt");

/** What SPDK_OCSSD_OPC_GEOMETRY answers. */
struct spdk_ocssd_geometry_data {
	uint8_t mjr;
	uint8_t mnr;
	uint8_t reserved1[6];
	struct spdk_ocssd_dev_lba_fmt lbaf;
	struct {
		uint32_t vec_chk_cpy : 1; /**< SPDK_OCSSD_OPC_VECTOR_COPY is there */
		uint32_t multi_reset : 1; /**< a free chunk may be reset */
		uint32_t reserved : 30;
	} mccap;
	uint8_t reserved2[12];
	uint8_t wit; /**< how far a chunk's wear may be from the average */
	uint8_t reserved3[31];
	uint16_t num_grp;
	uint16_t num_pu; /**< in a group */
	uint32_t num_chk; /**< in a parallel unit */
	uint32_t clba; /**< logical blocks in a chunk */
	uint8_t reserved4[52];
	uint32_t ws_min; /**< logical blocks in the smallest write */
	uint32_t ws_opt; /**< and in the best one */
	uint32_t mw_cunits; /**< writes that a read must stay behind */
	uint32_t maxoc; /**< open chunks */
	uint32_t maxocpu; /**< and in a parallel unit */
	uint8_t reserved5[44];
	/* Nanoseconds of a read, a write and a chunk's reset: typical and most. */
	uint32_t trdt;
	uint32_t trdm;
	uint32_t twrt;
	uint32_t twrm;
	uint32_t tcrst;
	uint32_t tcrsm;
	uint8_t reserved6[40];
	uint8_t reserved7[2816];
	uint8_t vs[1024];
};
SPDK_STATIC_ASSERT(sizeof(struct spdk_ocssd_geometry_data) == 4096, "size of spdk_ocssd_geometry_data");

/** One chunk in SPDK_OCSSD_LOG_CHUNK_INFO. */
struct spdk_ocssd_chunk_information_entry {
	struct {
		uint8_t free : 1;
		uint8_t closed : 1;
		uint8_t open : 1;
		uint8_t offline : 1;
		uint8_t reserved : 4;
	} cs;
	struct {
		uint8_t seq_write : 1;
		uint8_t rnd_write : 1;
		uint8_t reserved1 : 2;
		uint8_t size_deviate : 1; /**< cnlb is not what the geometry says */
		uint8_t reserved2 : 3;
	} ct;
	uint8_t wli; /**< wear */
	uint8_t reserved[5];
	uint64_t slba;
	uint64_t cnlb;
	uint64_t wp; /**< write pointer */
};
SPDK_STATIC_ASSERT(sizeof(struct spdk_ocssd_chunk_information_entry) == 32,
		   "size of spdk_ocssd_chunk_information_entry");

/** One event in SPDK_OCSSD_LOG_CHUNK_NOTIFICATION. */
struct spdk_ocssd_chunk_notification_entry {
	uint64_t nc; /**< counts events, from 1 on */
	uint64_t lba;
	uint32_t nsid;
	struct {
		uint8_t error_rate_low : 1;
		uint8_t error_rate_medium : 1;
		uint8_t error_rate_high : 1;
		uint8_t unrecoverable : 1;
		uint8_t refreshed : 1;
		uint8_t rsvd : 3;
		uint8_t wit_exceeded : 1;
		uint8_t rsvd2 : 7;
	} state;
	/** What the event is about. */
	struct {
		uint8_t lblk : 1;
		uint8_t chunk : 1;
		uint8_t pu : 1;
		uint8_t rsvd : 5;
	} mask;
	uint8_t rsvd[9];
	uint16_t nlb; /**< of logical blocks, counted from 0 */
	uint8_t rsvd2[30];
};
SPDK_STATIC_ASSERT(sizeof(struct spdk_ocssd_chunk_notification_entry) == 64,
		   "size of spdk_ocssd_chunk_notification_entry");

/** Completion of a command that has a list of logical blocks: one bit for each that has failed. */
struct spdk_ocssd_vector_cpl {
	uint64_t lba_status;
	uint16_t sqhd;
	uint16_t sqid;
	uint16_t cid;
	struct spdk_nvme_status status;
};
SPDK_STATIC_ASSERT(sizeof(struct spdk_ocssd_vector_cpl) == 16, "size of spdk_ocssd_vector_cpl");

#endif /* SPDK_NVME_OCSSD_SPEC_H */

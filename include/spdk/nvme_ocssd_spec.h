/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * Open-Channel SSDs (Open-Channel Solid State Drives Specification 2.0): what the functions of nvme_ocssd.h speak of.
 */

#ifndef SPDK_NVME_OCSSD_SPEC_H
#define SPDK_NVME_OCSSD_SPEC_H

#include "spdk/nvme_spec.h"

#ifdef __cplusplus
extern "C" {
#endif

/** How many bits of a block's address say what */
struct spdk_ocssd_dev_lba_fmt {
	uint8_t grp_len;
	uint8_t pu_len;
	uint8_t chk_len;
	uint8_t lbk_len;
	uint8_t reserved[4];
};
SPDK_STATIC_ASSERT(sizeof(struct spdk_ocssd_dev_lba_fmt) == 8, "size of spdk_ocssd_dev_lba_fmt");

/** What the Geometry command answers */
struct spdk_ocssd_geometry_data {
	uint8_t mjr;
	uint8_t mnr;
	uint8_t reserved1[6];
	struct spdk_ocssd_dev_lba_fmt lbaf;
	/** Capabilities of media and controller */
	struct {
		uint32_t vec_chk_cpy : 1;
		uint32_t multi_reset : 1;
		uint32_t reserved : 30;
	} mccap;
	uint8_t reserved2[12];
	uint8_t wit; /**< wear-level index delta threshold */
	uint8_t reserved3[31];
	/* Geometry */
	uint16_t num_grp;
	uint16_t num_pu;
	uint32_t num_chk;
	uint32_t clba;
	uint8_t reserved4[52];
	/* Writes */
	uint32_t ws_min;
	uint32_t ws_opt;
	uint32_t mw_cunits;
	uint32_t maxoc;
	uint32_t maxocpu;
	uint8_t reserved5[44];
	/* Times in nanoseconds: typical and longest */
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

/** A chunk */
struct spdk_ocssd_chunk_information_entry {
	/** State */
	struct {
		uint8_t free : 1;
		uint8_t closed : 1;
		uint8_t open : 1;
		uint8_t offline : 1;
		uint8_t reserved : 4;
	} cs;
	/** Type */
	struct {
		uint8_t seq_write : 1;
		uint8_t rnd_write : 1;
		uint8_t reserved1 : 2;
		uint8_t size_deviate : 1;
		uint8_t reserved2 : 3;
	} ct;
	uint8_t wli; /**< wear-level index */
	uint8_t reserved[5];
	uint64_t slba;
	uint64_t cnlb; /**< blocks of the chunk */
	uint64_t wp;
};
SPDK_STATIC_ASSERT(sizeof(struct spdk_ocssd_chunk_information_entry) == 32, "size of spdk_ocssd_chunk_information_entry");

/** Admin commands */
enum spdk_ocssd_admin_opcode {
	SPDK_OCSSD_OPC_GEOMETRY = 0xe2,
};

/** I/O commands */
enum spdk_ocssd_io_opcode {
	SPDK_OCSSD_OPC_VECTOR_RESET = 0x90,
	SPDK_OCSSD_OPC_VECTOR_WRITE = 0x91,
	SPDK_OCSSD_OPC_VECTOR_READ = 0x92,
	SPDK_OCSSD_OPC_VECTOR_COPY = 0x93,
};

#ifdef __cplusplus
}
#endif

#endif /* SPDK_NVME_OCSSD_SPEC_H */

/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * Protection information (NVM Command Set 1.0, 5.2), made and checked by the program: in each block, behind its data
 * (DIF), or in a buffer of its own (DIX).
 *
 * A block's protection information is guard, application tag and reference tag, each big endian; its size is 8 bytes with
 * a 16-bit guard and 16 with the others. The guard is a CRC of the block's data and of the metadata before it.
 *
 * Functions over data return 0, -EINVAL if a pointer is NULL or the pieces are shorter than num_blocks blocks. Checks
 * return -1 for data that are not as they must be, and describe the first difference. All may be called from any thread.
 */

#ifndef SPDK_DIF_H
#define SPDK_DIF_H

#include "spdk/stdinc.h"

#include "spdk/assert.h"

#ifdef __cplusplus
extern "C" {
#endif

/** An initial reference tag that stands for a tag of ones in each block. */
#define SPDK_DIF_REFTAG_IGNORE 0xFFFFFFFF
/** An application tag that ends the checks of a block (with type 3, together with a reference tag of ones). */
#define SPDK_DIF_APPTAG_IGNORE 0xFFFF

/* What is made and checked. */
#define SPDK_DIF_FLAGS_REFTAG_CHECK (1U << 26)
#define SPDK_DIF_FLAGS_APPTAG_CHECK (1U << 27)
#define SPDK_DIF_FLAGS_GUARD_CHECK (1U << 28)
/** As the controller's action: protection information that is all of the metadata is not in the program's data. */
#define SPDK_DIF_FLAGS_NVME_PRACT (1U << 29)

/* Kinds of differences; a mask where errors are injected. */
#define SPDK_DIF_REFTAG_ERROR 0x1
#define SPDK_DIF_APPTAG_ERROR 0x2
#define SPDK_DIF_GUARD_ERROR 0x4
#define SPDK_DIF_DATA_ERROR 0x8

enum spdk_dif_type {
	SPDK_DIF_DISABLE = 0, /**< nothing is made and nothing is checked */
	SPDK_DIF_TYPE1 = 1, /**< the reference tag counts blocks */
	SPDK_DIF_TYPE2 = 2, /**< as type 1 */
	SPDK_DIF_TYPE3 = 3, /**< the reference tag is the same for all blocks, and not checked by a controller */
};

enum spdk_dif_check_type {
	SPDK_DIF_CHECK_TYPE_REFTAG = 1,
	SPDK_DIF_CHECK_TYPE_APPTAG = 2,
	SPDK_DIF_CHECK_TYPE_GUARD = 3,
};

/** Size of the guard: CRC-16/T10-DIF, CRC-32C, CRC-64/NVME. */
enum spdk_dif_pi_format {
	SPDK_DIF_PI_FORMAT_16 = 0,
	SPDK_DIF_PI_FORMAT_32 = 1,
	SPDK_DIF_PI_FORMAT_64 = 2,
};

struct spdk_dif_ctx_init_ext_opts {
	/** Bytes of the structure that the caller has. */
	size_t size;
	/** enum spdk_dif_pi_format. */
	uint32_t dif_pi_format;
};
SPDK_STATIC_ASSERT(sizeof(struct spdk_dif_ctx_init_ext_opts) == 16, "size of spdk_dif_ctx_init_ext_opts");

/** What spdk_dif_ctx_init() has found; programs do not change it. */
struct spdk_dif_ctx {
	uint32_t block_size;
	uint32_t guard_interval; /**< where the protection information begins: in a block, or in a block's metadata */
	uint32_t md_size;
	bool md_interleave;
	uint8_t dif_type;
	uint8_t dif_pi_format;
	uint8_t rsvd[1];
	uint32_t dif_flags;
	uint8_t rsvd2[4];
	uint64_t init_ref_tag;
	uint16_t app_tag;
	uint16_t apptag_mask;
	uint32_t data_offset;
	uint32_t ref_tag_offset; /**< whole blocks in data_offset */
	uint32_t remapped_init_ref_tag;
	uint64_t last_guard;
	uint64_t guard_seed;
};

/** The first difference that a check has found. */
struct spdk_dif_error {
	uint8_t err_type; /**< SPDK_DIF_*_ERROR */
	uint8_t rsvd[7];
	uint64_t expected;
	uint64_t actual;
	uint32_t err_offset; /**< the block, counted from the first of the call */
};

/**
 * Says once what the blocks are like.
 *
 * \param block_size bytes of a block, with its metadata if they are interleaved.
 * \param md_size bytes of a block's metadata, with the protection information.
 * \param md_interleave whether metadata lie behind each block's data, or all in a buffer of their own.
 * \param dif_loc whether the protection information is first in the metadata, or last.
 * \param dif_flags SPDK_DIF_FLAGS_*: which parts are made and checked.
 * \param init_ref_tag the first block's reference tag.
 * \param apptag_mask which bits of the application tag are checked.
 * \param data_offset where the first call's data begin in what init_ref_tag counts from.
 * \param guard_seed what each block's guard begins with.
 * \param opts NULL: 16-bit guards.
 * \return 0, or -EINVAL for a type or format that is none, less metadata than protection information, no data in a block,
 * or data that are no multiple of 512 bytes (4096 with larger guards).
 */
int spdk_dif_ctx_init(struct spdk_dif_ctx *ctx, uint32_t block_size, uint32_t md_size,
		      bool md_interleave, bool dif_loc, enum spdk_dif_type dif_type, uint32_t dif_flags,
		      uint32_t init_ref_tag, uint16_t apptag_mask, uint16_t app_tag,
		      uint32_t data_offset, uint64_t guard_seed, struct spdk_dif_ctx_init_ext_opts *opts);

/** Changes data_offset. */
void spdk_dif_ctx_set_data_offset(struct spdk_dif_ctx *ctx, uint32_t data_offset);

/** What spdk_dif_remap_ref_tag() and spdk_dix_remap_ref_tag() write in place of init_ref_tag. */
void spdk_dif_ctx_set_remapped_init_ref_tag(struct spdk_dif_ctx *ctx, uint32_t remapped_init_ref_tag);

/** Bytes of the protection information. */
uint32_t spdk_dif_pi_format_get_size(enum spdk_dif_pi_format dif_pi_format);

/*
 * Interleaved metadata: the pieces hold whole blocks one after the other, cut anywhere.
 */

/** Makes the protection information of each block. */
int spdk_dif_generate(struct iovec *iovs, int iovcnt, uint32_t num_blocks,
		      const struct spdk_dif_ctx *ctx);

/** Checks the protection information of each block. err_blk may be NULL. */
int spdk_dif_verify(struct iovec *iovs, int iovcnt, uint32_t num_blocks,
		    const struct spdk_dif_ctx *ctx, struct spdk_dif_error *err_blk);

/** Goes on with a CRC-32C (spdk_crc32c_update()) of the blocks' data, without their metadata. */
int spdk_dif_update_crc32c(struct iovec *iovs, int iovcnt, uint32_t num_blocks, uint32_t *crc32c,
			   const struct spdk_dif_ctx *ctx);

/**
 * Copies blocks from iovs, which have no metadata, to bounce_iovs, and makes their protection information there. With
 * SPDK_DIF_FLAGS_NVME_PRACT and metadata that are more than that, iovs have the metadata, too.
 */
int spdk_dif_generate_copy(struct iovec *iovs, int iovcnt, struct iovec *bounce_iovs,
			   int bounce_iovcnt, uint32_t num_blocks, const struct spdk_dif_ctx *ctx);

/** Checks blocks in bounce_iovs and copies them to iovs, which are as for spdk_dif_generate_copy(). */
int spdk_dif_verify_copy(struct iovec *iovs, int iovcnt, struct iovec *bounce_iovs, int bounce_iovcnt,
			 uint32_t num_blocks, const struct spdk_dif_ctx *ctx,
			 struct spdk_dif_error *err_blk);

/** Writes the reference tags anew, counted from the remapped one; with check_ref_tag if they are as they must be. */
int spdk_dif_remap_ref_tag(struct iovec *iovs, int iovcnt, uint32_t num_blocks,
			   const struct spdk_dif_ctx *dif_ctx, struct spdk_dif_error *err_blk,
			   bool check_ref_tag);

/*
 * Separate metadata: md_iov is one buffer that holds num_blocks times md_size bytes.
 */

/** As spdk_dif_generate(). */
int spdk_dix_generate(struct iovec *iovs, int iovcnt, struct iovec *md_iov, uint32_t num_blocks,
		      const struct spdk_dif_ctx *ctx);

/** As spdk_dif_verify(). */
int spdk_dix_verify(struct iovec *iovs, int iovcnt, struct iovec *md_iov, uint32_t num_blocks,
		    const struct spdk_dif_ctx *ctx, struct spdk_dif_error *err_blk);

/** As spdk_dif_remap_ref_tag(). */
int spdk_dix_remap_ref_tag(struct iovec *md_iov, uint32_t num_blocks, const struct spdk_dif_ctx *dif_ctx,
			   struct spdk_dif_error *err_blk, bool check_ref_tag);

#ifdef __cplusplus
}
#endif

#endif /* SPDK_DIF_H */

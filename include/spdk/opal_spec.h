/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * Opal (TCG Storage Security Subsystem Class: Opal 2.01): what the functions of opal.h speak of. The features of level 0 discovery are
 * big-endian, as the controller sends them.
 */

#ifndef SPDK_OPAL_SPEC_H
#define SPDK_OPAL_SPEC_H

#include "spdk/stdinc.h"
#include "spdk/assert.h"
#include "spdk/endian.h"

#ifdef __cplusplus
extern "C" {
#endif

/** Bytes of the longest password that each TPer must take (Opal 2.01, 4.3.1.9); what takes more gets up to 255 */
#define SPDK_OPAL_MAX_PASSWORD_SIZE 32

/** The Opal of a controller */
struct spdk_opal_dev;

/** Who does something */
enum spdk_opal_user {
	OPAL_ADMIN1 = 0x0,
	OPAL_USER1 = 0x1,
	OPAL_USER2 = 0x2,
	OPAL_USER3 = 0x3,
	OPAL_USER4 = 0x4,
	OPAL_USER5 = 0x5,
	OPAL_USER6 = 0x6,
	OPAL_USER7 = 0x7,
	OPAL_USER8 = 0x8,
	OPAL_USER9 = 0x9,
};

/** A range of blocks that is locked as one */
enum spdk_opal_locking_range {
	OPAL_LOCKING_RANGE_GLOBAL = 0x0,
	OPAL_LOCKING_RANGE_1,
	OPAL_LOCKING_RANGE_2,
	OPAL_LOCKING_RANGE_3,
	OPAL_LOCKING_RANGE_4,
	OPAL_LOCKING_RANGE_5,
	OPAL_LOCKING_RANGE_6,
	OPAL_LOCKING_RANGE_7,
	OPAL_LOCKING_RANGE_8,
	OPAL_LOCKING_RANGE_9,
	OPAL_LOCKING_RANGE_10,
};

/** What can be done to a range */
enum spdk_opal_lock_state {
	OPAL_READONLY = 0x01,
	OPAL_RWLOCK = 0x02,
	OPAL_READWRITE = 0x04,
};

/** A range and its locks */
struct spdk_opal_locking_range_info {
	uint8_t locking_range_id;
	uint8_t _padding[7];
	uint64_t range_start;
	uint64_t range_length;
	bool read_lock_enabled;
	bool write_lock_enabled;
	bool read_locked;
	bool write_locked;
};

/** Level 0 discovery: how a feature begins */
struct spdk_opal_d0_feat_hdr {
	uint16_t code;
	uint8_t reserved : 4;
	uint8_t version : 4;
	uint8_t length;
};
SPDK_STATIC_ASSERT(sizeof(struct spdk_opal_d0_feat_hdr) == 4, "size of spdk_opal_d0_feat_hdr");

/** Level 0 discovery: how it begins */
struct spdk_opal_d0_hdr {
	uint32_t length;
	uint32_t revision;
	uint32_t reserved_0;
	uint32_t reserved_1;
	uint8_t vendor_specfic[32];
};
SPDK_STATIC_ASSERT(sizeof(struct spdk_opal_d0_hdr) == 48, "size of spdk_opal_d0_hdr");

#pragma pack(push, 1)

/** TPer */
struct spdk_opal_d0_tper_feat {
	struct spdk_opal_d0_feat_hdr hdr;
	uint8_t sync : 1;
	uint8_t async : 1;
	uint8_t acknack : 1;
	uint8_t buffer_management : 1;
	uint8_t streaming : 1;
	uint8_t reserved_1 : 1;
	uint8_t comid_management : 1;
	uint8_t reserved_2 : 1;
	uint8_t reserved_3[3];
	uint32_t reserved_4;
	uint32_t reserved_5;
};
SPDK_STATIC_ASSERT(sizeof(struct spdk_opal_d0_tper_feat) == 16, "size of spdk_opal_d0_tper_feat");

/** Locking */
struct spdk_opal_d0_locking_feat {
	struct spdk_opal_d0_feat_hdr hdr;
	uint8_t locking_supported : 1;
	uint8_t locking_enabled : 1;
	uint8_t locked : 1;
	uint8_t media_encryption : 1;
	uint8_t mbr_enabled : 1;
	uint8_t mbr_done : 1;
	uint8_t reserved_1 : 1;
	uint8_t reserved_2 : 1;
	uint8_t reserved_3[3];
	uint32_t reserved_4;
	uint32_t reserved_5;
};
SPDK_STATIC_ASSERT(sizeof(struct spdk_opal_d0_locking_feat) == 16, "size of spdk_opal_d0_locking_feat");

/** Single user mode */
struct spdk_opal_d0_single_user_mode_feat {
	struct spdk_opal_d0_feat_hdr hdr;
	uint32_t num_locking_objects;
	uint8_t any : 1;
	uint8_t all : 1;
	uint8_t policy : 1;
	uint8_t reserved_1 : 5;
	uint8_t reserved_2;
	uint16_t reserved_3;
	uint32_t reserved_4;
};
SPDK_STATIC_ASSERT(sizeof(struct spdk_opal_d0_single_user_mode_feat) == 16, "size of spdk_opal_d0_single_user_mode_feat");

/** Geometry */
struct spdk_opal_d0_geo_feat {
	struct spdk_opal_d0_feat_hdr hdr;
	uint8_t align : 1;
	uint8_t reserved_1 : 7;
	uint8_t reserved_2[7];
	uint32_t logical_block_size;
	uint64_t alignment_granularity;
	uint64_t lowest_aligned_lba;
};
SPDK_STATIC_ASSERT(sizeof(struct spdk_opal_d0_geo_feat) == 32, "size of spdk_opal_d0_geo_feat");

/** Data store */
struct spdk_opal_d0_datastore_feat {
	struct spdk_opal_d0_feat_hdr hdr;
	uint16_t reserved_1;
	uint16_t max_tables;
	uint32_t max_table_size;
	uint32_t alignment;
};
SPDK_STATIC_ASSERT(sizeof(struct spdk_opal_d0_datastore_feat) == 16, "size of spdk_opal_d0_datastore_feat");

/** Opal SSC 1.00 */
struct spdk_opal_d0_v100_feat {
	struct spdk_opal_d0_feat_hdr hdr;
	uint16_t base_comid;
	uint16_t number_comids;
	uint8_t range_crossing : 1;
	uint8_t reserved_1 : 7;
	uint8_t reserved_2;
	uint16_t reserved_3;
	uint32_t reserved_4;
	uint32_t reserved_5;
};
SPDK_STATIC_ASSERT(sizeof(struct spdk_opal_d0_v100_feat) == 20, "size of spdk_opal_d0_v100_feat");

/** Opal SSC 2.00 */
struct spdk_opal_d0_v200_feat {
	struct spdk_opal_d0_feat_hdr hdr;
	uint16_t base_comid;
	uint16_t num_comids;
	uint8_t range_crossing : 1;
	uint8_t reserved_1 : 7;
	uint16_t num_locking_admin_auth;
	uint16_t num_locking_user_auth;
	uint8_t initial_pin;
	uint8_t reverted_pin;
	uint8_t reserved_2;
	uint32_t reserved_3;
};
SPDK_STATIC_ASSERT(sizeof(struct spdk_opal_d0_v200_feat) == 20, "size of spdk_opal_d0_v200_feat");

/** What level 0 discovery says */
struct spdk_opal_d0_features_info {
	struct spdk_opal_d0_tper_feat tper;
	struct spdk_opal_d0_locking_feat locking;
	struct spdk_opal_d0_single_user_mode_feat single_user;
	struct spdk_opal_d0_geo_feat geo;
	struct spdk_opal_d0_datastore_feat datastore;
	struct spdk_opal_d0_v100_feat v100;
	struct spdk_opal_d0_v200_feat v200;
};
SPDK_STATIC_ASSERT(sizeof(struct spdk_opal_d0_features_info) == 136, "size of spdk_opal_d0_features_info");

#pragma pack(pop)

#ifdef __cplusplus
}
#endif

#endif /* SPDK_OPAL_SPEC_H */

/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * NVMe host: zoned namespaces.
 */

#ifndef SPDK_NVME_ZNS_H
#define SPDK_NVME_ZNS_H

/* Generated from src/abi by cbindgen; NVME_RDMA_UPDATE_HEADERS=1 cargo build writes it anew. */

#include "spdk/nvme.h"

#ifdef __cplusplus
extern "C" {
#endif // __cplusplus

/**
 * The Identify data that the Zoned Namespace Command Set has of the controller. They stay where they are as long as the controller is
 * attached. NULL for a handle that is no controller, and if the controller has no such data.
 *
 * What must hold:
 * ctrlr is a handle that nobody else is detaching.
 */
const struct spdk_nvme_zns_ctrlr_data *spdk_nvme_zns_ctrlr_get_data(struct spdk_nvme_ctrlr *ctrlr);

/**
 * The bytes that one append to a zone may transfer. 0 for a handle that is no controller, and if the controller says nothing of zoned
 * namespaces. Whether it appends at all is one of its flags (SPDK_NVME_CTRLR_ZONE_APPEND_SUPPORTED).
 *
 * What must hold:
 * ctrlr is a handle that nobody else is detaching.
 */
uint32_t spdk_nvme_zns_ctrlr_get_max_zone_append_size(const struct spdk_nvme_ctrlr *ctrlr);

/**
 * The Identify data that the Zoned Namespace Command Set has of the namespace. They stay where they are as long as its controller is
 * attached. NULL if it is of another command set, or if the controller has no such data.
 *
 * What must hold:
 * ns is a handle whose controller nobody else is detaching.
 */
const struct spdk_nvme_zns_ns_data *spdk_nvme_zns_ns_get_data(struct spdk_nvme_ns *ns);

/**
 * The size of a zone in blocks. 0 if the namespace is not zoned.
 *
 * What must hold:
 * ns is a handle whose controller nobody else is detaching.
 */
uint64_t spdk_nvme_zns_ns_get_zone_size_sectors(struct spdk_nvme_ns *ns);

/**
 * The size of a zone in bytes, without metadata. 0 if the namespace is not zoned.
 *
 * What must hold:
 * ns is a handle whose controller nobody else is detaching.
 */
uint64_t spdk_nvme_zns_ns_get_zone_size(struct spdk_nvme_ns *ns);

/**
 * The number of zones. 0 if the namespace is not zoned.
 *
 * What must hold:
 * ns is a handle whose controller nobody else is detaching.
 */
uint64_t spdk_nvme_zns_ns_get_num_zones(struct spdk_nvme_ns *ns);

/**
 * The most zones that may be open at a time. 0 if there is no limit, and if the namespace is not zoned.
 *
 * What must hold:
 * ns is a handle whose controller nobody else is detaching.
 */
uint32_t spdk_nvme_zns_ns_get_max_open_zones(struct spdk_nvme_ns *ns);

/**
 * The most zones that may be active at a time: open or closed. 0 if there is no limit, and if the namespace is not zoned.
 *
 * What must hold:
 * ns is a handle whose controller nobody else is detaching.
 */
uint32_t spdk_nvme_zns_ns_get_max_active_zones(struct spdk_nvme_ns *ns);

/**
 * Closes the zone that begins at slba, or all zones that are open.
 *
 * What must hold:
 * Both are handles that nobody else is freeing, and no other thread uses qpair.
 */
int spdk_nvme_zns_close_zone(struct spdk_nvme_ns *ns,
                             struct spdk_nvme_qpair *qpair,
                             uint64_t slba,
                             bool select_all,
                             spdk_nvme_cmd_cb cb_fn,
                             void *cb_arg);

/**
 * Finishes the zone that begins at slba, or all zones that are open or closed: they are full.
 *
 * What must hold:
 * Both are handles that nobody else is freeing, and no other thread uses qpair.
 */
int spdk_nvme_zns_finish_zone(struct spdk_nvme_ns *ns,
                              struct spdk_nvme_qpair *qpair,
                              uint64_t slba,
                              bool select_all,
                              spdk_nvme_cmd_cb cb_fn,
                              void *cb_arg);

/**
 * Opens the zone that begins at slba, or all zones that are closed.
 *
 * What must hold:
 * Both are handles that nobody else is freeing, and no other thread uses qpair.
 */
int spdk_nvme_zns_open_zone(struct spdk_nvme_ns *ns,
                            struct spdk_nvme_qpair *qpair,
                            uint64_t slba,
                            bool select_all,
                            spdk_nvme_cmd_cb cb_fn,
                            void *cb_arg);

/**
 * Resets the zone that begins at slba, or all zones that are open, closed or full: they are empty.
 *
 * What must hold:
 * Both are handles that nobody else is freeing, and no other thread uses qpair.
 */
int spdk_nvme_zns_reset_zone(struct spdk_nvme_ns *ns,
                             struct spdk_nvme_qpair *qpair,
                             uint64_t slba,
                             bool select_all,
                             spdk_nvme_cmd_cb cb_fn,
                             void *cb_arg);

/**
 * Takes the zone that begins at slba, or all that are read only, offline.
 *
 * What must hold:
 * Both are handles that nobody else is freeing, and no other thread uses qpair.
 */
int spdk_nvme_zns_offline_zone(struct spdk_nvme_ns *ns,
                               struct spdk_nvme_qpair *qpair,
                               uint64_t slba,
                               bool select_all,
                               spdk_nvme_cmd_cb cb_fn,
                               void *cb_arg);

/**
 * Sets the descriptor extension of the empty zone that begins at slba to payload_size bytes: the zone is closed then.
 *
 * What must hold:
 * Both are handles that nobody else is freeing, and no other thread uses qpair. buffer has payload_size bytes.
 */
int spdk_nvme_zns_set_zone_desc_ext(struct spdk_nvme_ns *ns,
                                    struct spdk_nvme_qpair *qpair,
                                    uint64_t slba,
                                    void *buffer,
                                    uint32_t payload_size,
                                    spdk_nvme_cmd_cb cb_fn,
                                    void *cb_arg);

/**
 * Reports the zones from that of slba on, those whose state report_opts says.
 *
 * payload gets payload_size bytes, 4 at least: a struct spdk_nvme_zns_zone_report and what fits behind it. The number of zones in there is
 * of those that fit (partial_report), or of all from slba on.
 *
 * What must hold:
 * Both are handles that nobody else is freeing, and no other thread uses qpair. payload has payload_size bytes until cb_fn is called.
 */
int spdk_nvme_zns_report_zones(struct spdk_nvme_ns *ns,
                               struct spdk_nvme_qpair *qpair,
                               void *payload,
                               uint32_t payload_size,
                               uint64_t slba,
                               enum spdk_nvme_zns_zra_report_opts report_opts,
                               bool partial_report,
                               spdk_nvme_cmd_cb cb_fn,
                               void *cb_arg);

/**
 * As spdk_nvme_zns_report_zones(), with the descriptor extension of each zone behind it.
 *
 * payload gets payload_size bytes, 4 at least: a struct spdk_nvme_zns_zone_report and what fits behind it. The number of zones in there is
 * of those that fit (partial_report), or of all from slba on.
 *
 * What must hold:
 * Both are handles that nobody else is freeing, and no other thread uses qpair. payload has payload_size bytes until cb_fn is called.
 */
int spdk_nvme_zns_ext_report_zones(struct spdk_nvme_ns *ns,
                                   struct spdk_nvme_qpair *qpair,
                                   void *payload,
                                   uint32_t payload_size,
                                   uint64_t slba,
                                   enum spdk_nvme_zns_zra_report_opts report_opts,
                                   bool partial_report,
                                   spdk_nvme_cmd_cb cb_fn,
                                   void *cb_arg);

/**
 * Appends lba_count blocks from buffer to the zone that begins at zslba. Which block the first of them is cdw0 and cdw1 of the completion say
 * together. The buffer is as that of a write; what is longer than one append may be is refused with -EINVAL, as is all
 * of it where the controller does not append.
 *
 * What must hold:
 * Both are handles that nobody else is freeing, and no other thread uses qpair. buffer is as large as the blocks.
 */
int spdk_nvme_zns_zone_append(struct spdk_nvme_ns *ns,
                              struct spdk_nvme_qpair *qpair,
                              void *buffer,
                              uint64_t zslba,
                              uint32_t lba_count,
                              spdk_nvme_cmd_cb cb_fn,
                              void *cb_arg,
                              uint32_t io_flags);

/**
 * As spdk_nvme_zns_zone_append(), with an application tag. metadata is not looked at.
 *
 * What must hold:
 * Both are handles that nobody else is freeing, and no other thread uses qpair. buffer is as large as the blocks.
 */
int spdk_nvme_zns_zone_append_with_md(struct spdk_nvme_ns *ns,
                                      struct spdk_nvme_qpair *qpair,
                                      void *buffer,
                                      void *metadata,
                                      uint64_t zslba,
                                      uint32_t lba_count,
                                      spdk_nvme_cmd_cb cb_fn,
                                      void *cb_arg,
                                      uint32_t io_flags,
                                      uint16_t apptag_mask,
                                      uint16_t apptag);

/**
 * As spdk_nvme_zns_zone_append(), from the pieces that the program's functions give, as for a write. More of them than one command can
 * have are refused with -EINVAL.
 *
 * What must hold:
 * Both are handles that nobody else is freeing, and no other thread uses qpair. The functions give pieces that are together as large as
 * the blocks.
 */
int spdk_nvme_zns_zone_appendv(struct spdk_nvme_ns *ns,
                               struct spdk_nvme_qpair *qpair,
                               uint64_t zslba,
                               uint32_t lba_count,
                               spdk_nvme_cmd_cb cb_fn,
                               void *cb_arg,
                               uint32_t io_flags,
                               spdk_nvme_req_reset_sgl_cb reset_sgl_fn,
                               spdk_nvme_req_next_sge_cb next_sge_fn);

/**
 * As spdk_nvme_zns_zone_appendv(), with an application tag. metadata is not looked at.
 *
 * What must hold:
 * Both are handles that nobody else is freeing, and no other thread uses qpair. The functions give pieces that are together as large as
 * the blocks.
 */
int spdk_nvme_zns_zone_appendv_with_md(struct spdk_nvme_ns *ns,
                                       struct spdk_nvme_qpair *qpair,
                                       uint64_t zslba,
                                       uint32_t lba_count,
                                       spdk_nvme_cmd_cb cb_fn,
                                       void *cb_arg,
                                       uint32_t io_flags,
                                       spdk_nvme_req_reset_sgl_cb reset_sgl_fn,
                                       spdk_nvme_req_next_sge_cb next_sge_fn,
                                       void *metadata,
                                       uint16_t apptag_mask,
                                       uint16_t apptag);

#ifdef __cplusplus
}  // extern "C"
#endif  // __cplusplus

#endif  /* SPDK_NVME_ZNS_H */

/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * NVMe host: Open-Channel SSDs, which are not reached over fabrics.
 */

#ifndef SPDK_NVME_OCSSD_H
#define SPDK_NVME_OCSSD_H

/* Generated from src/abi by cbindgen; NVME_RDMA_UPDATE_HEADERS=1 cargo build writes it anew. */

#include "spdk/nvme.h"
#include "spdk/nvme_ocssd_spec.h"

#ifdef __cplusplus
extern "C" {
#endif // __cplusplus

/**
 * Whether the controller is an Open-Channel SSD: there are none over fabrics.
 *
 * What must hold:
 * ctrlr is a handle that nobody else is detaching.
 */
bool spdk_nvme_ctrlr_is_ocssd_supported(struct spdk_nvme_ctrlr *ctrlr);

/**
 * Asks for the geometry of a namespace: payload_size must be that of struct spdk_ocssd_geometry_data. Returns 0 and calls cb_fn from a poll
 * of the Admin Queue, -EINVAL for another size or a payload that is NULL, -ENOMEM, or -ENXIO.
 *
 * What must hold:
 * ctrlr is a handle that nobody else is detaching. payload has payload_size bytes until cb_fn is called.
 */
int spdk_nvme_ocssd_ctrlr_cmd_geometry(struct spdk_nvme_ctrlr *ctrlr,
                                       uint32_t nsid,
                                       void *payload,
                                       uint32_t payload_size,
                                       spdk_nvme_cmd_cb cb_fn,
                                       void *cb_arg);

/**
 * Resets the chunk of the one block of lba_list. -ENOTSUP for several, and for chunk_info, which would be metadata.
 *
 * What must hold:
 * Both are handles that nobody else is freeing, and no other thread uses qpair. lba_list has num_lbas elements.
 */
int spdk_nvme_ocssd_ns_cmd_vector_reset(struct spdk_nvme_ns *ns,
                                        struct spdk_nvme_qpair *qpair,
                                        uint64_t *lba_list,
                                        uint32_t num_lbas,
                                        struct spdk_ocssd_chunk_information_entry *chunk_info,
                                        spdk_nvme_cmd_cb cb_fn,
                                        void *cb_arg);

/**
 * Reads the one block of lba_list into buffer. -ENOTSUP for several blocks. -EINVAL for other flags than limited retry.
 *
 * What must hold:
 * Both are handles that nobody else is freeing, and no other thread uses qpair. lba_list has num_lbas elements; buffer is as
 * large as the block.
 */
int spdk_nvme_ocssd_ns_cmd_vector_read(struct spdk_nvme_ns *ns,
                                       struct spdk_nvme_qpair *qpair,
                                       void *buffer,
                                       uint64_t *lba_list,
                                       uint32_t num_lbas,
                                       spdk_nvme_cmd_cb cb_fn,
                                       void *cb_arg,
                                       uint32_t io_flags);

/**
 * As spdk_nvme_ocssd_ns_cmd_vector_read(). metadata is not looked at. -ENOTSUP for several blocks. -EINVAL for other flags than limited retry.
 *
 * What must hold:
 * Both are handles that nobody else is freeing, and no other thread uses qpair. lba_list has num_lbas elements; buffer is as
 * large as the block.
 */
int spdk_nvme_ocssd_ns_cmd_vector_read_with_md(struct spdk_nvme_ns *ns,
                                               struct spdk_nvme_qpair *qpair,
                                               void *buffer,
                                               void *metadata,
                                               uint64_t *lba_list,
                                               uint32_t num_lbas,
                                               spdk_nvme_cmd_cb cb_fn,
                                               void *cb_arg,
                                               uint32_t io_flags);

/**
 * Writes the one block of lba_list from buffer. -ENOTSUP for several blocks. -EINVAL for other flags than limited retry.
 *
 * What must hold:
 * Both are handles that nobody else is freeing, and no other thread uses qpair. lba_list has num_lbas elements; buffer is as
 * large as the block.
 */
int spdk_nvme_ocssd_ns_cmd_vector_write(struct spdk_nvme_ns *ns,
                                        struct spdk_nvme_qpair *qpair,
                                        void *buffer,
                                        uint64_t *lba_list,
                                        uint32_t num_lbas,
                                        spdk_nvme_cmd_cb cb_fn,
                                        void *cb_arg,
                                        uint32_t io_flags);

/**
 * As spdk_nvme_ocssd_ns_cmd_vector_write(). metadata is not looked at. -ENOTSUP for several blocks. -EINVAL for other flags than limited retry.
 *
 * What must hold:
 * Both are handles that nobody else is freeing, and no other thread uses qpair. lba_list has num_lbas elements; buffer is as
 * large as the block.
 */
int spdk_nvme_ocssd_ns_cmd_vector_write_with_md(struct spdk_nvme_ns *ns,
                                                struct spdk_nvme_qpair *qpair,
                                                void *buffer,
                                                void *metadata,
                                                uint64_t *lba_list,
                                                uint32_t num_lbas,
                                                spdk_nvme_cmd_cb cb_fn,
                                                void *cb_arg,
                                                uint32_t io_flags);

/**
 * Copies the one block of src_lba_list to that of dst_lba_list. -ENOTSUP for several blocks. -EINVAL for other flags than limited retry.
 *
 * What must hold:
 * Both are handles that nobody else is freeing, and no other thread uses qpair. Both lists have num_lbas elements.
 */
int spdk_nvme_ocssd_ns_cmd_vector_copy(struct spdk_nvme_ns *ns,
                                       struct spdk_nvme_qpair *qpair,
                                       uint64_t *dst_lba_list,
                                       uint64_t *src_lba_list,
                                       uint32_t num_lbas,
                                       spdk_nvme_cmd_cb cb_fn,
                                       void *cb_arg,
                                       uint32_t io_flags);

#ifdef __cplusplus
}  // extern "C"
#endif  // __cplusplus

#endif  /* SPDK_NVME_OCSSD_H */

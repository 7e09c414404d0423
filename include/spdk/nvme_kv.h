/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * NVMe host: key-value namespaces.
 */

#ifndef SPDK_NVME_KV_H
#define SPDK_NVME_KV_H

/* Generated from src/abi by cbindgen; NVME_RDMA_UPDATE_HEADERS=1 cargo build writes it anew. */

#include "spdk/nvme.h"

#ifdef __cplusplus
extern "C" {
#endif // __cplusplus

/**
 * The Identify data that the Key Value Command Set has of the controller. They stay where they are as long as the controller is attached.
 * NULL for a handle that is no controller, and if the controller has no such data.
 *
 * What must hold:
 * ctrlr is a handle that nobody else is detaching.
 */
const struct spdk_nvme_kv_ctrlr_data *spdk_nvme_kv_ctrlr_get_data(const struct spdk_nvme_ctrlr *ctrlr);

/**
 * The Identify data that the Key Value Command Set has of the namespace. They stay where they are as long as its controller is attached.
 * NULL if it is of another command set, or if the controller has no such data.
 *
 * What must hold:
 * ns is a handle whose controller nobody else is detaching.
 */
const struct spdk_nvme_kv_ns_data *spdk_nvme_kv_ns_get_data(const struct spdk_nvme_ns *ns);

/**
 * Stores a value under a key. options are bits of enum spdk_nvme_kv_store_option.
 *
 * What must hold:
 * Both are handles that nobody else is freeing, and no other thread uses qpair. key has key_len bytes; value has value_len bytes
 * until cb_fn is called.
 */
int spdk_nvme_kv_store(struct spdk_nvme_ns *ns,
                       struct spdk_nvme_qpair *qpair,
                       const void *key,
                       uint8_t key_len,
                       const void *value,
                       uint32_t value_len,
                       spdk_nvme_cmd_cb cb_fn,
                       void *cb_arg,
                       uint8_t options);

/**
 * Retrieves the value of a key. cdw0 of the completion is the length of the value, of which value gets as much as it has room for. options
 * are bits of enum spdk_nvme_kv_retrieve_option.
 *
 * What must hold:
 * Both are handles that nobody else is freeing, and no other thread uses qpair. key has key_len bytes; value has value_len bytes
 * until cb_fn is called.
 */
int spdk_nvme_kv_retrieve(struct spdk_nvme_ns *ns,
                          struct spdk_nvme_qpair *qpair,
                          const void *key,
                          uint8_t key_len,
                          void *value,
                          uint32_t value_len,
                          spdk_nvme_cmd_cb cb_fn,
                          void *cb_arg,
                          uint8_t options);

/**
 * Deletes a key and its value.
 *
 * What must hold:
 * Both are handles that nobody else is freeing, and no other thread uses qpair. key has key_len bytes.
 */
int spdk_nvme_kv_delete(struct spdk_nvme_ns *ns,
                        struct spdk_nvme_qpair *qpair,
                        const void *key,
                        uint8_t key_len,
                        spdk_nvme_cmd_cb cb_fn,
                        void *cb_arg);

/**
 * Asks whether there is a key: the completion is a success, or KEY DOES NOT EXIST.
 *
 * What must hold:
 * Both are handles that nobody else is freeing, and no other thread uses qpair. key has key_len bytes.
 */
int spdk_nvme_kv_exist(struct spdk_nvme_ns *ns,
                       struct spdk_nvme_qpair *qpair,
                       const void *key,
                       uint8_t key_len,
                       spdk_nvme_cmd_cb cb_fn,
                       void *cb_arg);

/**
 * Lists keys: those from start_key on in an order that is the controller's, or all (start_key is NULL and start_key_len 0). buffer gets the
 * number of keys, 4 bytes, then for each its length, 2 bytes, and the key, padded to a multiple of 4 bytes.
 *
 * What must hold:
 * Both are handles that nobody else is freeing, and no other thread uses qpair. start_key has start_key_len bytes; buffer has
 * buffer_len bytes until cb_fn is called.
 */
int spdk_nvme_kv_list(struct spdk_nvme_ns *ns,
                      struct spdk_nvme_qpair *qpair,
                      const void *start_key,
                      uint8_t start_key_len,
                      void *buffer,
                      uint32_t buffer_len,
                      spdk_nvme_cmd_cb cb_fn,
                      void *cb_arg);

#ifdef __cplusplus
}  // extern "C"
#endif  // __cplusplus

#endif  /* SPDK_NVME_KV_H */

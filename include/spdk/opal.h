/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * Opal, which locks a controller's data.
 */

#ifndef SPDK_OPAL_H
#define SPDK_OPAL_H

/* Generated from src/abi by cbindgen; NVME_RDMA_UPDATE_HEADERS=1 cargo build writes it anew. */

#include "spdk/nvme.h"
#include "spdk/opal_spec.h"

#ifdef __cplusplus
extern "C" {
#endif // __cplusplus

/**
 * The Opal of a controller. Asks one that claims to have Security Receive which protocols it has and, if that of the TCG is among them, for
 * its level 0 discovery; waits for the answers, other admin callbacks may run meanwhile. NULL in any case: where there is Opal, a line says
 * that this library does not drive it.
 *
 * What must hold:
 * ctrlr is a handle that nobody else is detaching.
 */
struct spdk_opal_dev *spdk_opal_dev_construct(struct spdk_nvme_ctrlr *ctrlr);

/**
 * Frees a device.
 *
 * What must hold:
 * dev is what spdk_opal_dev_construct() of another library has given.
 */
void spdk_opal_dev_destruct(struct spdk_opal_dev *dev);

/**
 * What level 0 discovery said of a device.
 *
 * What must hold:
 * dev is what spdk_opal_dev_construct() of another library has given.
 */
struct spdk_opal_d0_features_info *spdk_opal_get_d0_features_info(struct spdk_opal_dev *dev);

/**
 * What is known of a locking range.
 *
 * What must hold:
 * dev is what spdk_opal_dev_construct() of another library has given.
 */
struct spdk_opal_locking_range_info *spdk_opal_get_locking_range_info(struct spdk_opal_dev *dev,
                                                                      enum spdk_opal_locking_range id);

/**
 * Forgets what is known of a locking range.
 *
 * What must hold:
 * dev is what spdk_opal_dev_construct() of another library has given.
 */
void spdk_opal_free_locking_range_info(struct spdk_opal_dev *dev, enum spdk_opal_locking_range id);

/**
 * Sets the first password of a device's owner.
 *
 * What must hold:
 * dev is what spdk_opal_dev_construct() of another library has given.
 */
int spdk_opal_cmd_take_ownership(struct spdk_opal_dev *dev, char *new_passwd);

/**
 * Locks or unlocks a range.
 *
 * What must hold:
 * dev is what spdk_opal_dev_construct() of another library has given.
 */
int spdk_opal_cmd_lock_unlock(struct spdk_opal_dev *dev,
                              enum spdk_opal_user user,
                              enum spdk_opal_lock_state flag,
                              enum spdk_opal_locking_range locking_range,
                              const char *passwd);

/**
 * Makes a range of these blocks.
 *
 * What must hold:
 * dev is what spdk_opal_dev_construct() of another library has given.
 */
int spdk_opal_cmd_setup_locking_range(struct spdk_opal_dev *dev,
                                      enum spdk_opal_user user,
                                      enum spdk_opal_locking_range locking_range_id,
                                      uint64_t range_start,
                                      uint64_t range_length,
                                      const char *passwd);

/**
 * The number of ranges that there can be.
 *
 * What must hold:
 * dev is what spdk_opal_dev_construct() of another library has given.
 */
int spdk_opal_cmd_get_max_ranges(struct spdk_opal_dev *dev, const char *passwd);

/**
 * Asks what there is to know of a range.
 *
 * What must hold:
 * dev is what spdk_opal_dev_construct() of another library has given.
 */
int spdk_opal_cmd_get_locking_range_info(struct spdk_opal_dev *dev,
                                         const char *passwd,
                                         enum spdk_opal_user user_id,
                                         enum spdk_opal_locking_range locking_range_id);

/**
 * Enables a user.
 *
 * What must hold:
 * dev is what spdk_opal_dev_construct() of another library has given.
 */
int spdk_opal_cmd_enable_user(struct spdk_opal_dev *dev, enum spdk_opal_user user_id, const char *passwd);

/**
 * Lets a user lock and unlock a range.
 *
 * What must hold:
 * dev is what spdk_opal_dev_construct() of another library has given.
 */
int spdk_opal_cmd_add_user_to_locking_range(struct spdk_opal_dev *dev,
                                            enum spdk_opal_user user_id,
                                            enum spdk_opal_locking_range locking_range_id,
                                            enum spdk_opal_lock_state lock_flag,
                                            const char *passwd);

/**
 * Sets a user's password.
 *
 * What must hold:
 * dev is what spdk_opal_dev_construct() of another library has given.
 */
int spdk_opal_cmd_set_new_passwd(struct spdk_opal_dev *dev,
                                 enum spdk_opal_user user_id,
                                 const char *new_passwd,
                                 const char *old_passwd,
                                 bool new_user);

/**
 * Erases a range.
 *
 * What must hold:
 * dev is what spdk_opal_dev_construct() of another library has given.
 */
int spdk_opal_cmd_erase_locking_range(struct spdk_opal_dev *dev,
                                      enum spdk_opal_user user_id,
                                      enum spdk_opal_locking_range locking_range_id,
                                      const char *password);

/**
 * Erases a range by giving it another key.
 *
 * What must hold:
 * dev is what spdk_opal_dev_construct() of another library has given.
 */
int spdk_opal_cmd_secure_erase_locking_range(struct spdk_opal_dev *dev,
                                             enum spdk_opal_user user_id,
                                             enum spdk_opal_locking_range locking_range_id,
                                             const char *password);

/**
 * Activates locking.
 *
 * What must hold:
 * dev is what spdk_opal_dev_construct() of another library has given.
 */
int spdk_opal_cmd_activate_locking_sp(struct spdk_opal_dev *dev, const char *passwd);

/**
 * Makes a device what it was when it was new. All data are lost.
 *
 * What must hold:
 * dev is what spdk_opal_dev_construct() of another library has given.
 */
int spdk_opal_cmd_revert_tper(struct spdk_opal_dev *dev, const char *passwd);

#ifdef __cplusplus
}  // extern "C"
#endif  // __cplusplus

#endif  /* SPDK_OPAL_H */

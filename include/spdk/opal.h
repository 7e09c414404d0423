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
 * its level 0 discovery; waits for the answers, other admin callbacks may run meanwhile. NULL, after a line, if it has no Opal SSC 1.00 or
 * 2.00, or did not answer. A device does not keep its controller.
 *
 * What must hold:
 * ctrlr is a handle that nobody else is detaching.
 */
struct spdk_opal_dev *spdk_opal_dev_construct(struct spdk_nvme_ctrlr *ctrlr);

/**
 * Frees a device, and what was pointed to in it.
 *
 * What must hold:
 * dev is what spdk_opal_dev_construct() has given.
 */
void spdk_opal_dev_destruct(struct spdk_opal_dev *dev);

/**
 * What level 0 discovery said of a device when that was made: each feature's descriptor as it came, so with the highest byte of a number
 * first. It is there until the device is freed.
 *
 * What must hold:
 * dev is what spdk_opal_dev_construct() has given.
 */
struct spdk_opal_d0_features_info *spdk_opal_get_d0_features_info(struct spdk_opal_dev *dev);

/**
 * What is known of a locking range, of 8 from 0: what spdk_opal_cmd_get_locking_range_info() has found, zeros before. It is there until the
 * device is freed.
 *
 * What must hold:
 * dev is what spdk_opal_dev_construct() has given.
 */
struct spdk_opal_locking_range_info *spdk_opal_get_locking_range_info(struct spdk_opal_dev *dev,
                                                                      enum spdk_opal_locking_range id);

/**
 * Forgets what is known of a locking range.
 *
 * What must hold:
 * dev is what spdk_opal_dev_construct() has given.
 */
void spdk_opal_free_locking_range_info(struct spdk_opal_dev *dev, enum spdk_opal_locking_range id);

/**
 * Sets the owner's password, of a device that has no owner yet: it must still have the password that anybody may read (MSID).
 *
 * As all commands of Opal it waits, other admin callbacks may run meanwhile, and returns 0; the TCG's method status, which is positive, if
 * the device refused something (1: not authorized, as with a wrong password); -EINVAL for a wrong argument, among them a password that is
 * NULL, empty or longer than 255 bytes; -EBUSY while another one runs on the controller; -ENXIO if that was detached; -EAGAIN while it is
 * being reset; -ENOMEM if no request is free; -EIO if it refused Security Send or Receive; -ECANCELED if it did not answer in time
 * (admin_timeout_ms), -EPROTO if its answer makes no sense, -EACCES if it leaves out what was asked for, -ECONNRESET if it ended the session.
 * A negative value may come after the work was done: when the end of the session fails.
 *
 * What must hold:
 * dev is what spdk_opal_dev_construct() has given. new_passwd is NULL, which is refused, or a C string.
 */
int spdk_opal_cmd_take_ownership(struct spdk_opal_dev *dev,
                                 char *new_passwd);

/**
 * Locks or unlocks a range; OPAL_READONLY locks writing, OPAL_RWLOCK both, OPAL_READWRITE neither. Returns as
 * spdk_opal_cmd_take_ownership().
 *
 * What must hold:
 * dev is what spdk_opal_dev_construct() has given. passwd is NULL, which is refused, or a C string.
 */
int spdk_opal_cmd_lock_unlock(struct spdk_opal_dev *dev,
                              enum spdk_opal_user user,
                              enum spdk_opal_lock_state flag,
                              enum spdk_opal_locking_range locking_range,
                              const char *passwd);

/**
 * Makes a range of these blocks, and lets it be locked. The global range, whose blocks are those that no other one has, is unlocked, too.
 * Returns as spdk_opal_cmd_take_ownership().
 *
 * What must hold:
 * dev is what spdk_opal_dev_construct() has given. passwd is NULL, which is refused, or a C string.
 */
int spdk_opal_cmd_setup_locking_range(struct spdk_opal_dev *dev,
                                      enum spdk_opal_user user,
                                      enum spdk_opal_locking_range locking_range_id,
                                      uint64_t range_start,
                                      uint64_t range_length,
                                      const char *passwd);

/**
 * The number of ranges that there can be beside the global one. Asked for once; the password is that of Admin1. Returns it, or an error
 * value as spdk_opal_cmd_take_ownership(), but never a method status, which a number could not be told from: -EACCES if the password is
 * wrong, -EIO for another one.
 *
 * What must hold:
 * dev is what spdk_opal_dev_construct() has given. passwd is NULL, which is refused, or a C string.
 */
int spdk_opal_cmd_get_max_ranges(struct spdk_opal_dev *dev,
                                 const char *passwd);

/**
 * Asks what there is to know of a range, of 8 from 0; spdk_opal_get_locking_range_info() has it afterwards. Returns as
 * spdk_opal_cmd_take_ownership().
 *
 * What must hold:
 * dev is what spdk_opal_dev_construct() has given. passwd is NULL, which is refused, or a C string.
 */
int spdk_opal_cmd_get_locking_range_info(struct spdk_opal_dev *dev,
                                         const char *passwd,
                                         enum spdk_opal_user user_id,
                                         enum spdk_opal_locking_range locking_range_id);

/**
 * Enables a user; the password is that of Admin1. Returns as spdk_opal_cmd_take_ownership().
 *
 * What must hold:
 * dev is what spdk_opal_dev_construct() has given. passwd is NULL, which is refused, or a C string.
 */
int spdk_opal_cmd_enable_user(struct spdk_opal_dev *dev, enum spdk_opal_user user_id, const char *passwd);

/**
 * Lets a user, and from then on nobody else, lock and unlock a range: reading with OPAL_READONLY, writing with OPAL_READWRITE. The password
 * is that of Admin1. Returns as spdk_opal_cmd_take_ownership().
 *
 * What must hold:
 * dev is what spdk_opal_dev_construct() has given. passwd is NULL, which is refused, or a C string.
 */
int spdk_opal_cmd_add_user_to_locking_range(struct spdk_opal_dev *dev,
                                            enum spdk_opal_user user_id,
                                            enum spdk_opal_locking_range locking_range_id,
                                            enum spdk_opal_lock_state lock_flag,
                                            const char *passwd);

/**
 * Sets a user's password. old_passwd is the user's own or, with new_user, that of Admin1, who sets it. Returns as
 * spdk_opal_cmd_take_ownership().
 *
 * What must hold:
 * dev is what spdk_opal_dev_construct() has given. Each password is NULL, which is refused, or a C string.
 */
int spdk_opal_cmd_set_new_passwd(struct spdk_opal_dev *dev,
                                 enum spdk_opal_user user_id,
                                 const char *new_passwd,
                                 const char *old_passwd,
                                 bool new_user);

/**
 * Erases a range of a device in Single User Mode. Returns as spdk_opal_cmd_take_ownership().
 *
 * What must hold:
 * dev is what spdk_opal_dev_construct() has given. password is NULL, which is refused, or a C string.
 */
int spdk_opal_cmd_erase_locking_range(struct spdk_opal_dev *dev,
                                      enum spdk_opal_user user_id,
                                      enum spdk_opal_locking_range locking_range_id,
                                      const char *password);

/**
 * Erases a range by giving it another key. Returns as spdk_opal_cmd_take_ownership().
 *
 * What must hold:
 * dev is what spdk_opal_dev_construct() has given. password is NULL, which is refused, or a C string.
 */
int spdk_opal_cmd_secure_erase_locking_range(struct spdk_opal_dev *dev,
                                             enum spdk_opal_user user_id,
                                             enum spdk_opal_locking_range locking_range_id,
                                             const char *password);

/**
 * Activates locking: the Locking SP, whose Admin1 gets the owner's password, which is what passwd is. One that is activated already is
 * -EINVAL; else returns as spdk_opal_cmd_take_ownership().
 *
 * What must hold:
 * dev is what spdk_opal_dev_construct() has given. passwd is NULL, which is refused, or a C string.
 */
int spdk_opal_cmd_activate_locking_sp(struct spdk_opal_dev *dev,
                                      const char *passwd);

/**
 * Makes a device what it was when it was new; passwd is the owner's. All data are lost. Returns as spdk_opal_cmd_take_ownership().
 *
 * What must hold:
 * dev is what spdk_opal_dev_construct() has given. passwd is NULL, which is refused, or a C string.
 */
int spdk_opal_cmd_revert_tper(struct spdk_opal_dev *dev,
                              const char *passwd);

#ifdef __cplusplus
}  // extern "C"
#endif  // __cplusplus

#endif  /* SPDK_OPAL_H */

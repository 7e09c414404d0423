//! Opal: what keeps a controller's data locked (TCG Storage Security Subsystem Class). A controller over fabrics has none, as far as is
//! known. It is asked all the same; of one that says it has Opal this library says so in a line, and gives no device: it does not speak the
//! protocol. So a device is always another library's, and what is asked of one goes there.

use super::{
    ctrlr::Ctrlr,
    entry::{entry, guard_plain, next},
    handles::{Whose, whose},
    types::{
        spdk_nvme_ctrlr, spdk_opal_d0_features_info, spdk_opal_dev, spdk_opal_lock_state,
        spdk_opal_locking_range, spdk_opal_locking_range_info, spdk_opal_user,
    },
};
use crate::host::{self, CopiedData};
use libc::{EINVAL, c_char, c_int};
use spec::{Command, identify::OACS_SECURITY, security, tcg::discovery::Discovery};
use std::ptr;

/// Bytes of an answer that are looked at.
const ANSWER_SIZE: u32 = 2048;

/// The Opal of a controller. Asks one that claims to have Security Receive which protocols it has and, if that of the TCG is among them, for
/// its level 0 discovery; waits for the answers, other admin callbacks may run meanwhile. NULL in any case: where there is Opal, a line says
/// that this library does not drive it.
///
/// # Safety
///
/// ctrlr is a handle that nobody else is detaching.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn spdk_opal_dev_construct(ctrlr: *mut spdk_nvme_ctrlr) -> *mut spdk_opal_dev {
    entry!(spdk_opal_dev_construct(ctrlr), Ctrlr as share, ctrlr, ptr::null_mut(), |object| {
        if object.summary().view().oacs() & OACS_SECURITY != 0 {
            ask(&object);
        } else {
            tracing::info!("{}: no Opal: it has no Security Receive", object.describe());
        }
        ptr::null_mut()
    })
}

/// Asks a controller for its Opal, and says what came of it.
fn ask(object: &Ctrlr) {
    let receive = |what, protocol: u8, specific: u16| {
        let command = Command::security_receive(protocol, specific, ANSWER_SIZE);
        let answer = object.admin(|host| host.request_admin(what, command, CopiedData::Room(ANSWER_SIZE)));
        answer.map(|(_, received)| {
            let mut data = Vec::new();
            received.chunks(|_, chunk| data.extend_from_slice(chunk));
            data
        })
    };
    let found = || -> Result<bool, host::Error> {
        let protocols = receive("Security Receive (protocols)", security::PROTOCOLS, 0)?;
        if !security::protocols(&protocols).contains(&security::TCG) {
            return Ok(false);
        }
        let discovery = receive("Security Receive (level 0 discovery)", security::TCG, security::LEVEL_0)?;
        Ok(Discovery::new(&discovery).opal_com_id().is_some())
    };
    let label = object.describe();
    match found() {
        Ok(true) => tracing::warn!("{label}: has Opal, which this library does not drive: no device for it"),
        Ok(false) => tracing::info!("{label}: no Opal among its security protocols"),
        Err(error) => tracing::error!("{label}: no Opal: {error}"),
    }
}

/// Frees a device.
///
/// # Safety
///
/// dev is what spdk_opal_dev_construct() of another library has given.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn spdk_opal_dev_destruct(dev: *mut spdk_opal_dev) {
    if may_be_anothers(dev)
        && let Some(answer) = next!(spdk_opal_dev_destruct(dev))
    {
        return answer;
    }
    no_device("spdk_opal_dev_destruct", dev);
}

/// What level 0 discovery said of a device.
///
/// # Safety
///
/// dev is what spdk_opal_dev_construct() of another library has given.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn spdk_opal_get_d0_features_info(
    dev: *mut spdk_opal_dev,
) -> *mut spdk_opal_d0_features_info {
    if may_be_anothers(dev)
        && let Some(answer) = next!(spdk_opal_get_d0_features_info(dev))
    {
        return answer;
    }
    no_device("spdk_opal_get_d0_features_info", dev);
    ptr::null_mut()
}

/// What is known of a locking range.
///
/// # Safety
///
/// dev is what spdk_opal_dev_construct() of another library has given.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn spdk_opal_get_locking_range_info(
    dev: *mut spdk_opal_dev,
    id: spdk_opal_locking_range,
) -> *mut spdk_opal_locking_range_info {
    if may_be_anothers(dev)
        && let Some(answer) = next!(spdk_opal_get_locking_range_info(dev, id))
    {
        return answer;
    }
    no_device("spdk_opal_get_locking_range_info", dev);
    ptr::null_mut()
}

/// Forgets what is known of a locking range.
///
/// # Safety
///
/// dev is what spdk_opal_dev_construct() of another library has given.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn spdk_opal_free_locking_range_info(
    dev: *mut spdk_opal_dev,
    id: spdk_opal_locking_range,
) {
    if may_be_anothers(dev)
        && let Some(answer) = next!(spdk_opal_free_locking_range_info(dev, id))
    {
        return answer;
    }
    no_device("spdk_opal_free_locking_range_info", dev);
}

/// Sets the first password of a device's owner.
///
/// # Safety
///
/// dev is what spdk_opal_dev_construct() of another library has given.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn spdk_opal_cmd_take_ownership(
    dev: *mut spdk_opal_dev,
    new_passwd: *mut c_char,
) -> c_int {
    if may_be_anothers(dev)
        && let Some(answer) = next!(spdk_opal_cmd_take_ownership(dev, new_passwd))
    {
        return answer;
    }
    no_device("spdk_opal_cmd_take_ownership", dev);
    -EINVAL
}

/// Locks or unlocks a range.
///
/// # Safety
///
/// dev is what spdk_opal_dev_construct() of another library has given.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn spdk_opal_cmd_lock_unlock(
    dev: *mut spdk_opal_dev,
    user: spdk_opal_user,
    flag: spdk_opal_lock_state,
    locking_range: spdk_opal_locking_range,
    passwd: *const c_char,
) -> c_int {
    if may_be_anothers(dev)
        && let Some(answer) = next!(spdk_opal_cmd_lock_unlock(dev, user, flag, locking_range, passwd))
    {
        return answer;
    }
    no_device("spdk_opal_cmd_lock_unlock", dev);
    -EINVAL
}

/// Makes a range of these blocks.
///
/// # Safety
///
/// dev is what spdk_opal_dev_construct() of another library has given.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn spdk_opal_cmd_setup_locking_range(
    dev: *mut spdk_opal_dev,
    user: spdk_opal_user,
    locking_range_id: spdk_opal_locking_range,
    range_start: u64,
    range_length: u64,
    passwd: *const c_char,
) -> c_int {
    if may_be_anothers(dev)
        && let Some(answer) = next!(spdk_opal_cmd_setup_locking_range(
            dev,
            user,
            locking_range_id,
            range_start,
            range_length,
            passwd
        ))
    {
        return answer;
    }
    no_device("spdk_opal_cmd_setup_locking_range", dev);
    -EINVAL
}

/// The number of ranges that there can be.
///
/// # Safety
///
/// dev is what spdk_opal_dev_construct() of another library has given.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn spdk_opal_cmd_get_max_ranges(
    dev: *mut spdk_opal_dev,
    passwd: *const c_char,
) -> c_int {
    if may_be_anothers(dev)
        && let Some(answer) = next!(spdk_opal_cmd_get_max_ranges(dev, passwd))
    {
        return answer;
    }
    no_device("spdk_opal_cmd_get_max_ranges", dev);
    -EINVAL
}

/// Asks what there is to know of a range.
///
/// # Safety
///
/// dev is what spdk_opal_dev_construct() of another library has given.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn spdk_opal_cmd_get_locking_range_info(
    dev: *mut spdk_opal_dev,
    passwd: *const c_char,
    user_id: spdk_opal_user,
    locking_range_id: spdk_opal_locking_range,
) -> c_int {
    if may_be_anothers(dev)
        && let Some(answer) =
            next!(spdk_opal_cmd_get_locking_range_info(dev, passwd, user_id, locking_range_id))
    {
        return answer;
    }
    no_device("spdk_opal_cmd_get_locking_range_info", dev);
    -EINVAL
}

/// Enables a user.
///
/// # Safety
///
/// dev is what spdk_opal_dev_construct() of another library has given.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn spdk_opal_cmd_enable_user(
    dev: *mut spdk_opal_dev,
    user_id: spdk_opal_user,
    passwd: *const c_char,
) -> c_int {
    if may_be_anothers(dev)
        && let Some(answer) = next!(spdk_opal_cmd_enable_user(dev, user_id, passwd))
    {
        return answer;
    }
    no_device("spdk_opal_cmd_enable_user", dev);
    -EINVAL
}

/// Lets a user lock and unlock a range.
///
/// # Safety
///
/// dev is what spdk_opal_dev_construct() of another library has given.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn spdk_opal_cmd_add_user_to_locking_range(
    dev: *mut spdk_opal_dev,
    user_id: spdk_opal_user,
    locking_range_id: spdk_opal_locking_range,
    lock_flag: spdk_opal_lock_state,
    passwd: *const c_char,
) -> c_int {
    if may_be_anothers(dev)
        && let Some(answer) =
            next!(spdk_opal_cmd_add_user_to_locking_range(dev, user_id, locking_range_id, lock_flag, passwd))
    {
        return answer;
    }
    no_device("spdk_opal_cmd_add_user_to_locking_range", dev);
    -EINVAL
}

/// Sets a user's password.
///
/// # Safety
///
/// dev is what spdk_opal_dev_construct() of another library has given.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn spdk_opal_cmd_set_new_passwd(
    dev: *mut spdk_opal_dev,
    user_id: spdk_opal_user,
    new_passwd: *const c_char,
    old_passwd: *const c_char,
    new_user: bool,
) -> c_int {
    if may_be_anothers(dev)
        && let Some(answer) =
            next!(spdk_opal_cmd_set_new_passwd(dev, user_id, new_passwd, old_passwd, new_user))
    {
        return answer;
    }
    no_device("spdk_opal_cmd_set_new_passwd", dev);
    -EINVAL
}

/// Erases a range.
///
/// # Safety
///
/// dev is what spdk_opal_dev_construct() of another library has given.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn spdk_opal_cmd_erase_locking_range(
    dev: *mut spdk_opal_dev,
    user_id: spdk_opal_user,
    locking_range_id: spdk_opal_locking_range,
    password: *const c_char,
) -> c_int {
    if may_be_anothers(dev)
        && let Some(answer) =
            next!(spdk_opal_cmd_erase_locking_range(dev, user_id, locking_range_id, password))
    {
        return answer;
    }
    no_device("spdk_opal_cmd_erase_locking_range", dev);
    -EINVAL
}

/// Erases a range by giving it another key.
///
/// # Safety
///
/// dev is what spdk_opal_dev_construct() of another library has given.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn spdk_opal_cmd_secure_erase_locking_range(
    dev: *mut spdk_opal_dev,
    user_id: spdk_opal_user,
    locking_range_id: spdk_opal_locking_range,
    password: *const c_char,
) -> c_int {
    if may_be_anothers(dev)
        && let Some(answer) =
            next!(spdk_opal_cmd_secure_erase_locking_range(dev, user_id, locking_range_id, password))
    {
        return answer;
    }
    no_device("spdk_opal_cmd_secure_erase_locking_range", dev);
    -EINVAL
}

/// Activates locking.
///
/// # Safety
///
/// dev is what spdk_opal_dev_construct() of another library has given.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn spdk_opal_cmd_activate_locking_sp(
    dev: *mut spdk_opal_dev,
    passwd: *const c_char,
) -> c_int {
    if may_be_anothers(dev)
        && let Some(answer) = next!(spdk_opal_cmd_activate_locking_sp(dev, passwd))
    {
        return answer;
    }
    no_device("spdk_opal_cmd_activate_locking_sp", dev);
    -EINVAL
}

/// Makes a device what it was when it was new. All data are lost.
///
/// # Safety
///
/// dev is what spdk_opal_dev_construct() of another library has given.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn spdk_opal_cmd_revert_tper(dev: *mut spdk_opal_dev, passwd: *const c_char) -> c_int {
    if may_be_anothers(dev)
        && let Some(answer) = next!(spdk_opal_cmd_revert_tper(dev, passwd))
    {
        return answer;
    }
    no_device("spdk_opal_cmd_revert_tper", dev);
    -EINVAL
}

/// Whether a device may be another library's: NULL is nobody's, and what is a handle of ours, or was one, must not get there.
fn may_be_anothers(dev: *const spdk_opal_dev) -> bool {
    matches!(whose(dev.addr()), Whose::Foreign)
}

/// A device that is NULL, or that no other library is there for.
#[cold]
fn no_device(entry: &'static str, dev: *const spdk_opal_dev) {
    guard_plain(entry, (), || {
        tracing::error!(
            "{entry}: {dev:p} is no device: this library makes none, and no other one is there that does"
        );
    });
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::abi::handles::somebodys;

    #[test]
    fn a_handle_of_ours_is_no_device_of_another_library() {
        let other = 0_u64;
        assert!(may_be_anothers((&raw const other).cast()));
        assert!(!may_be_anothers(ptr::null()) && !may_be_anothers(somebodys().cast()));
    }
}

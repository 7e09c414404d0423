//! Controllers as character devices of user space (CUSE): this library makes none.

use super::{ctrlr::Ctrlr, entry::entry, types::spdk_nvme_ctrlr};
use libc::{ENOTSUP, c_char, c_int, size_t};

/// Says that there is no such thing.
#[cold]
fn none(entry: &str, object: &Ctrlr) -> c_int {
    tracing::error!("{entry}: {}: this library makes no character devices (CUSE)", object.describe());
    -ENOTSUP
}

/// Makes a character device for the controller and each of its namespaces: -ENOTSUP.
///
/// # Safety
///
/// ctrlr is a handle that nobody else is detaching.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn spdk_nvme_cuse_register(ctrlr: *mut spdk_nvme_ctrlr) -> c_int {
    entry!(spdk_nvme_cuse_register(ctrlr), Ctrlr, ctrlr, -ENOTSUP, |object| none(
        "spdk_nvme_cuse_register",
        object
    ))
}

/// Takes the character devices of the controller away: -ENOTSUP, as there are none.
///
/// # Safety
///
/// ctrlr is a handle that nobody else is detaching.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn spdk_nvme_cuse_unregister(ctrlr: *mut spdk_nvme_ctrlr) -> c_int {
    entry!(spdk_nvme_cuse_unregister(ctrlr), Ctrlr, ctrlr, -ENOTSUP, |object| none(
        "spdk_nvme_cuse_unregister",
        object
    ))
}

/// Makes the character devices those of the namespaces that there are now: there are none.
///
/// # Safety
///
/// ctrlr is a handle that nobody else is detaching.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn spdk_nvme_cuse_update_namespaces(ctrlr: *mut spdk_nvme_ctrlr) {
    entry!(spdk_nvme_cuse_update_namespaces(ctrlr), Ctrlr, ctrlr, (), |object| {
        none("spdk_nvme_cuse_update_namespaces", object);
    })
}

/// The name of the controller's character device: -ENOTSUP, as there is none.
///
/// # Safety
///
/// ctrlr is a handle that nobody else is detaching.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn spdk_nvme_cuse_get_ctrlr_name(
    ctrlr: *mut spdk_nvme_ctrlr,
    name: *mut c_char,
    size: *mut size_t,
) -> c_int {
    entry!(spdk_nvme_cuse_get_ctrlr_name(ctrlr, name, size), Ctrlr, ctrlr, -ENOTSUP, |object| {
        let _ = (name, size);
        none("spdk_nvme_cuse_get_ctrlr_name", object)
    })
}

/// The name of the character device of a namespace: -ENOTSUP, as there is none.
///
/// # Safety
///
/// ctrlr is a handle that nobody else is detaching.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn spdk_nvme_cuse_get_ns_name(
    ctrlr: *mut spdk_nvme_ctrlr,
    nsid: u32,
    name: *mut c_char,
    size: *mut size_t,
) -> c_int {
    entry!(spdk_nvme_cuse_get_ns_name(ctrlr, nsid, name, size), Ctrlr, ctrlr, -ENOTSUP, |object| {
        let _ = (nsid, name, size);
        none("spdk_nvme_cuse_get_ns_name", object)
    })
}

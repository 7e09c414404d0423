//! Namespaces: what is known about one.

use super::{
    entry::entry,
    handles::{Kind, Object, shared_by},
    types::{spdk_nvme_csi, spdk_nvme_ns, spdk_nvme_ns_data},
};
use crate::host;
use std::{ptr, sync::Arc};

/// What a handle of a namespace stands for: the host's own object, so that the way of an I/O is one step shorter.
pub(super) type Ns = host::Namespace;

impl Object for Ns {
    type Handle = spdk_nvme_ns;
    const KIND: Kind = Kind::Namespace;
    shared_by!(Arc);

    /// A namespace is data: nothing of it can be left half done.
    fn fail(&self) {}
}

/// The namespace's identifier; 0 for a handle that is no namespace.
///
/// # Safety
///
/// ns is a handle whose controller nobody else is detaching.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn spdk_nvme_ns_get_id(ns: *mut spdk_nvme_ns) -> u32 {
    entry!(spdk_nvme_ns_get_id(ns), Ns, ns, 0, |object| object.id())
}

/// Whether the namespace is active: there, and with a capacity.
///
/// # Safety
///
/// ns is a handle whose controller nobody else is detaching.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn spdk_nvme_ns_is_active(ns: *mut spdk_nvme_ns) -> bool {
    entry!(spdk_nvme_ns_is_active(ns), Ns, ns, false, |object| object.is_active())
}

/// The namespace's size in bytes, without metadata.
///
/// # Safety
///
/// ns is a handle whose controller nobody else is detaching.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn spdk_nvme_ns_get_size(ns: *mut spdk_nvme_ns) -> u64 {
    entry!(spdk_nvme_ns_get_size(ns), Ns, ns, 0, |object| object.size())
}

/// The namespace's size in blocks.
///
/// # Safety
///
/// ns is a handle whose controller nobody else is detaching.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn spdk_nvme_ns_get_num_sectors(ns: *mut spdk_nvme_ns) -> u64 {
    entry!(spdk_nvme_ns_get_num_sectors(ns), Ns, ns, 0, |object| object.sectors())
}

/// The size of a block in bytes, without metadata.
///
/// # Safety
///
/// ns is a handle whose controller nobody else is detaching.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn spdk_nvme_ns_get_sector_size(ns: *mut spdk_nvme_ns) -> u32 {
    entry!(spdk_nvme_ns_get_sector_size(ns), Ns, ns, 0, |object| object.sector_size())
}

/// The namespace's Identify data; zeros if it is not active. They stay where they are as long as the controller is
/// attached. NULL for a handle that is no namespace, or if there is no memory for them.
///
/// # Safety
///
/// ns is a handle whose controller nobody else is detaching.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn spdk_nvme_ns_get_data(ns: *mut spdk_nvme_ns) -> *const spdk_nvme_ns_data {
    entry!(spdk_nvme_ns_get_data(ns), Ns, ns, ptr::null(), |object| {
        object.identify_data().map_or(ptr::null(), |data| ptr::from_ref(data).cast())
    })
}

/// The namespace's command set.
///
/// # Safety
///
/// ns is a handle whose controller nobody else is detaching.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn spdk_nvme_ns_get_csi(ns: *const spdk_nvme_ns) -> spdk_nvme_csi {
    entry!(spdk_nvme_ns_get_csi(ns), Ns, ns, spdk_nvme_csi::SPDK_NVME_CSI_NVM, |object| {
        spdk_nvme_csi(u32::from(object.csi()))
    })
}

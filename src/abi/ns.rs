//! Namespaces: what is known about one.

use super::{
    entry::{entry, guard_plain, pass_on_if_disabled},
    handles::{Kind, Object, shared_by},
    types::{
        spdk_nvme_ana_state, spdk_nvme_csi, spdk_nvme_ctrlr, spdk_nvme_dealloc_logical_block_read_value,
        spdk_nvme_ns, spdk_nvme_ns_data, spdk_nvme_ns_flags as Flags, spdk_nvme_nvm_ns_data,
        spdk_nvme_pi_format, spdk_nvme_pi_type, spdk_uuid,
    },
};
use crate::host;
use spec::{
    identify::{self, CSI_NVM, IDENTIFY_SIZE},
    namespace::NamespaceView,
};
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
        object.identify_data().map_or(ptr::null(), |data| data.address().cast())
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

/// The Identify data that the NVM command set has of the namespace; as spdk_nvme_ns_get_data(). NULL if it is of another command set, or if
/// the controller has no such data: they come with extended LBA formats.
///
/// # Safety
///
/// ns is a handle whose controller nobody else is detaching.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn spdk_nvme_nvm_ns_get_data(ns: *mut spdk_nvme_ns) -> *const spdk_nvme_nvm_ns_data {
    entry!(spdk_nvme_nvm_ns_get_data(ns), Ns, ns, ptr::null(), |object| {
        object.command_set_data(CSI_NVM).map_or(ptr::null(), |data| data.address().cast())
    })
}

/// The ANA group that the namespace is in, by the controller's log. 0 if there is no such log, or if it was not read.
///
/// # Safety
///
/// ns is a handle whose controller nobody else is detaching.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn spdk_nvme_ns_get_ana_group_id(ns: *const spdk_nvme_ns) -> u32 {
    entry!(spdk_nvme_ns_get_ana_group_id(ns), Ns, ns, 0, |object| object.access().group)
}

/// The state of the ANA group that the namespace is in: optimized if there is no such log, or if it was not read. A change shows before
/// the callback for asynchronous events is called.
///
/// # Safety
///
/// ns is a handle whose controller nobody else is detaching.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn spdk_nvme_ns_get_ana_state(ns: *const spdk_nvme_ns) -> spdk_nvme_ana_state {
    entry!(spdk_nvme_ns_get_ana_state(ns), Ns, ns, spdk_nvme_ana_state(0), |object| {
        spdk_nvme_ana_state(u32::from(object.access().state))
    })
}

/// The controller that the namespace is of. NULL for a handle that is no namespace.
///
/// # Safety
///
/// ns is a handle whose controller nobody else is detaching.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn spdk_nvme_ns_get_ctrlr(ns: *mut spdk_nvme_ns) -> *mut spdk_nvme_ctrlr {
    entry!(spdk_nvme_ns_get_ctrlr(ns), Ns, ns, ptr::null_mut(), |object| object.tag().cast())
}

/// The bytes of a block in a buffer: with its metadata, if these are transferred with the data.
///
/// # Safety
///
/// ns is a handle whose controller nobody else is detaching.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn spdk_nvme_ns_get_extended_sector_size(ns: *mut spdk_nvme_ns) -> u32 {
    entry!(spdk_nvme_ns_get_extended_sector_size(ns), Ns, ns, 0, |object| object.extended_sector_size())
}

/// The bytes of metadata of a block, wherever they are.
///
/// # Safety
///
/// ns is a handle whose controller nobody else is detaching.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn spdk_nvme_ns_get_md_size(ns: *mut spdk_nvme_ns) -> u32 {
    entry!(spdk_nvme_ns_get_md_size(ns), Ns, ns, 0, |object| object.metadata_size())
}

/// Whether metadata are transferred with the data of each block.
///
/// # Safety
///
/// ns is a handle whose controller nobody else is detaching.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn spdk_nvme_ns_supports_extended_lba(ns: *mut spdk_nvme_ns) -> bool {
    entry!(spdk_nvme_ns_supports_extended_lba(ns), Ns, ns, false, |object| object.metadata_extends_data())
}

/// The bytes that one command may transfer, not always a multiple of the block size. A longer I/O is split.
///
/// # Safety
///
/// ns is a handle whose controller nobody else is detaching.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn spdk_nvme_ns_get_max_io_xfer_size(ns: *mut spdk_nvme_ns) -> u32 {
    entry!(spdk_nvme_ns_get_max_io_xfer_size(ns), Ns, ns, 0, |object| object.controller().largest_transfer)
}

/// The blocks between two boundaries that an I/O had better not cross, and is split at; 0 if there are none.
///
/// # Safety
///
/// ns is a handle whose controller nobody else is detaching.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn spdk_nvme_ns_get_optimal_io_boundary(ns: *mut spdk_nvme_ns) -> u32 {
    entry!(spdk_nvme_ns_get_optimal_io_boundary(ns), Ns, ns, 0, |object| object.optimal_boundary())
}

/// The type of the protection information.
///
/// # Safety
///
/// ns is a handle whose controller nobody else is detaching.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn spdk_nvme_ns_get_pi_type(ns: *mut spdk_nvme_ns) -> spdk_nvme_pi_type {
    entry!(
        spdk_nvme_ns_get_pi_type(ns),
        Ns,
        ns,
        spdk_nvme_pi_type::SPDK_NVME_FMT_NVM_PROTECTION_DISABLE,
        |object| spdk_nvme_pi_type(u32::from(object.protection_type()))
    )
}

/// The format of the protection information: that of a 16-bit guard unless the controller has extended LBA formats and says otherwise.
///
/// # Safety
///
/// ns is a handle whose controller nobody else is detaching.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn spdk_nvme_ns_get_pi_format(ns: *mut spdk_nvme_ns) -> spdk_nvme_pi_format {
    entry!(spdk_nvme_ns_get_pi_format(ns), Ns, ns, spdk_nvme_pi_format::SPDK_NVME_16B_GUARD_PI, |object| {
        spdk_nvme_pi_format(u32::from(object.protection_format()))
    })
}

/// What a block reads as that was deallocated.
///
/// # Safety
///
/// ns is a handle whose controller nobody else is detaching.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn spdk_nvme_ns_get_dealloc_logical_block_read_value(
    ns: *mut spdk_nvme_ns,
) -> spdk_nvme_dealloc_logical_block_read_value {
    entry!(spdk_nvme_ns_get_dealloc_logical_block_read_value(ns), Ns, ns, NOT_REPORTED, |object| {
        spdk_nvme_dealloc_logical_block_read_value(u32::from(object.deallocated_reads()))
    })
}

/// The namespace's UUID. It stays where it is as long as the controller is attached. NULL if the controller lists none.
///
/// # Safety
///
/// ns is a handle whose controller nobody else is detaching.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn spdk_nvme_ns_get_uuid(ns: *const spdk_nvme_ns) -> *const spdk_uuid {
    entry!(spdk_nvme_ns_get_uuid(ns), Ns, ns, ptr::null(), |object| object
        .uuid_address()
        .map_or(ptr::null(), <*const u8>::cast))
}

/// The 16 bytes of the namespace's NGUID, as spdk_nvme_ns_get_uuid().
///
/// # Safety
///
/// ns is a handle whose controller nobody else is detaching.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn spdk_nvme_ns_get_nguid(ns: *const spdk_nvme_ns) -> *const u8 {
    entry!(spdk_nvme_ns_get_nguid(ns), Ns, ns, ptr::null(), |object| object
        .nguid_address()
        .unwrap_or(ptr::null()))
}

/// What the namespace can do, as bits of enum spdk_nvme_ns_flags.
///
/// # Safety
///
/// ns is a handle whose controller nobody else is detaching.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn spdk_nvme_ns_get_flags(ns: *mut spdk_nvme_ns) -> u32 {
    entry!(spdk_nvme_ns_get_flags(ns), Ns, ns, 0, |object| flags(object))
}

/// Whether Compare is supported.
///
/// # Safety
///
/// ns is a handle whose controller nobody else is detaching.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn spdk_nvme_ns_supports_compare(ns: *mut spdk_nvme_ns) -> bool {
    entry!(spdk_nvme_ns_supports_compare(ns), Ns, ns, false, |object| flags(object)
        & Flags::SPDK_NVME_NS_COMPARE_SUPPORTED.0
        != 0)
}

/// Whether Write Uncorrectable is supported.
///
/// # Safety
///
/// ns is a handle whose controller nobody else is detaching.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn spdk_nvme_ns_supports_write_uncorrectable(ns: *mut spdk_nvme_ns) -> bool {
    entry!(spdk_nvme_ns_supports_write_uncorrectable(ns), Ns, ns, false, |object| {
        flags(object) & Flags::SPDK_NVME_NS_WRITE_UNCORRECTABLE_SUPPORTED.0 != 0
    })
}

/// The index of the LBA format that Identify Namespace data name (FLBAS). 0 for NULL.
///
/// # Safety
///
/// nsdata is NULL or points to Identify Namespace data.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn spdk_nvme_ns_get_format_index(nsdata: *const spdk_nvme_ns_data) -> u32 {
    pass_on_if_disabled!(spdk_nvme_ns_get_format_index(nsdata));
    guard_plain("spdk_nvme_ns_get_format_index", 0, || {
        // SAFETY: the caller vouches for the data, which are bytes, 4096 of them.
        let Some(data) = (unsafe { nsdata.cast::<[u8; IDENTIFY_SIZE]>().as_ref() }) else {
            tracing::error!("spdk_nvme_ns_get_format_index: the data are NULL");
            return 0;
        };
        u32::from(NamespaceView(data).format_index())
    })
}

const NOT_REPORTED: spdk_nvme_dealloc_logical_block_read_value =
    spdk_nvme_dealloc_logical_block_read_value::SPDK_NVME_DEALLOC_NOT_REPORTED;

/// An inactive namespace can do nothing.
fn flags(namespace: &Ns) -> u32 {
    if !namespace.is_active() {
        return 0;
    }
    let can = |bit: u16| namespace.controller().optional_commands & bit != 0;
    let all = [
        (can(identify::ONCS_DATASET_MANAGEMENT), Flags::SPDK_NVME_NS_DEALLOCATE_SUPPORTED),
        (namespace.controller().has_write_cache, Flags::SPDK_NVME_NS_FLUSH_SUPPORTED),
        (namespace.reservations() != 0, Flags::SPDK_NVME_NS_RESERVATION_SUPPORTED),
        (can(identify::ONCS_WRITE_ZEROES), Flags::SPDK_NVME_NS_WRITE_ZEROES_SUPPORTED),
        (namespace.protection_type() != 0, Flags::SPDK_NVME_NS_DPS_PI_SUPPORTED),
        (namespace.metadata_extends_data(), Flags::SPDK_NVME_NS_EXTENDED_LBA_SUPPORTED),
        (can(identify::ONCS_WRITE_UNCORRECTABLE), Flags::SPDK_NVME_NS_WRITE_UNCORRECTABLE_SUPPORTED),
        (can(identify::ONCS_COMPARE), Flags::SPDK_NVME_NS_COMPARE_SUPPORTED),
    ];
    all.into_iter().filter(|(is, _)| *is).fold(0, |flags, (_, flag)| flags | flag.0)
}

//! Zoned namespaces.
//!
//! For all commands: whether the namespace is zoned is for the controller to say. cb_fn is called from a poll of the queue pair if, and
//! only if, the call returns 0; otherwise it returns -EINVAL for arguments that cannot be, -ENOMEM if no request is free, -ENXIO if the
//! queue pair is not connected. Data of zone management are copied, so that they may be in any memory: a queue pair that is
//! still connecting refuses them (-ENXIO).

use super::{
    at_once::tags,
    callback::context,
    copied::Buffer,
    ctrlr::Ctrlr,
    entry::entry,
    error::{invalid, submission},
    ns::Ns,
    ns_cmd::on_namespace,
    ns_lists::send_copied,
    ns_vectors::Sgl,
    qpair::Qpair,
    types::{
        spdk_nvme_cmd_cb, spdk_nvme_ctrlr, spdk_nvme_ns, spdk_nvme_qpair, spdk_nvme_req_next_sge_cb,
        spdk_nvme_req_reset_sgl_cb, spdk_nvme_zns_ctrlr_data, spdk_nvme_zns_ns_data,
        spdk_nvme_zns_zra_report_opts,
    },
};
use crate::host::{Append, Data, Payload};
use libc::{c_int, c_void};
use spec::{
    Command,
    identify::CSI_ZONED,
    zoned::{ZoneReceive, ZoneSend},
};
use std::ptr;

/// The Identify data that the Zoned Namespace Command Set has of the controller. They stay where they are as long as the controller is
/// attached. NULL for a handle that is no controller, and if the controller has no such data.
///
/// # Safety
///
/// ctrlr is a handle that nobody else is detaching.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn spdk_nvme_zns_ctrlr_get_data(
    ctrlr: *mut spdk_nvme_ctrlr,
) -> *const spdk_nvme_zns_ctrlr_data {
    entry!(spdk_nvme_zns_ctrlr_get_data(ctrlr), Ctrlr, ctrlr, ptr::null(), |object| {
        object.profile().zoned_data().map_or(ptr::null(), |data| data.address().cast())
    })
}

/// The bytes that one append to a zone may transfer. 0 for a handle that is no controller, and if the controller says nothing of zoned
/// namespaces. Whether it appends at all is one of its flags (SPDK_NVME_CTRLR_ZONE_APPEND_SUPPORTED).
///
/// # Safety
///
/// ctrlr is a handle that nobody else is detaching.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn spdk_nvme_zns_ctrlr_get_max_zone_append_size(ctrlr: *const spdk_nvme_ctrlr) -> u32 {
    entry!(spdk_nvme_zns_ctrlr_get_max_zone_append_size(ctrlr), Ctrlr, ctrlr, 0, |object| object
        .summary()
        .largest_append())
}

/// The Identify data that the Zoned Namespace Command Set has of the namespace. They stay where they are as long as its controller is
/// attached. NULL if it is of another command set, or if the controller has no such data.
///
/// # Safety
///
/// ns is a handle whose controller nobody else is detaching.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn spdk_nvme_zns_ns_get_data(ns: *mut spdk_nvme_ns) -> *const spdk_nvme_zns_ns_data {
    entry!(spdk_nvme_zns_ns_get_data(ns), Ns, ns, ptr::null(), |object| {
        object.command_set_data(CSI_ZONED).map_or(ptr::null(), |data| data.address().cast())
    })
}

/// The size of a zone in blocks. 0 if the namespace is not zoned.
///
/// # Safety
///
/// ns is a handle whose controller nobody else is detaching.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn spdk_nvme_zns_ns_get_zone_size_sectors(ns: *mut spdk_nvme_ns) -> u64 {
    entry!(spdk_nvme_zns_ns_get_zone_size_sectors(ns), Ns, ns, 0, |object| object.zones().size)
}

/// The size of a zone in bytes, without metadata. 0 if the namespace is not zoned.
///
/// # Safety
///
/// ns is a handle whose controller nobody else is detaching.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn spdk_nvme_zns_ns_get_zone_size(ns: *mut spdk_nvme_ns) -> u64 {
    entry!(spdk_nvme_zns_ns_get_zone_size(ns), Ns, ns, 0, |object| {
        object.zones().size.saturating_mul(u64::from(object.sector_size()))
    })
}

/// The number of zones. 0 if the namespace is not zoned.
///
/// # Safety
///
/// ns is a handle whose controller nobody else is detaching.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn spdk_nvme_zns_ns_get_num_zones(ns: *mut spdk_nvme_ns) -> u64 {
    entry!(spdk_nvme_zns_ns_get_num_zones(ns), Ns, ns, 0, |object| {
        object.sectors().checked_div(object.zones().size).unwrap_or(0)
    })
}

/// The most zones that may be open at a time. 0 if there is no limit, and if the namespace is not zoned.
///
/// # Safety
///
/// ns is a handle whose controller nobody else is detaching.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn spdk_nvme_zns_ns_get_max_open_zones(ns: *mut spdk_nvme_ns) -> u32 {
    entry!(spdk_nvme_zns_ns_get_max_open_zones(ns), Ns, ns, 0, |object| object.zones().most_open)
}

/// The most zones that may be active at a time: open or closed. 0 if there is no limit, and if the namespace is not zoned.
///
/// # Safety
///
/// ns is a handle whose controller nobody else is detaching.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn spdk_nvme_zns_ns_get_max_active_zones(ns: *mut spdk_nvme_ns) -> u32 {
    entry!(spdk_nvme_zns_ns_get_max_active_zones(ns), Ns, ns, 0, |object| object.zones().most_active)
}

/// Closes the zone that begins at slba, or all zones that are open.
///
/// # Safety
///
/// Both are handles that nobody else is freeing, and no other thread uses qpair.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn spdk_nvme_zns_close_zone(
    ns: *mut spdk_nvme_ns,
    qpair: *mut spdk_nvme_qpair,
    slba: u64,
    select_all: bool,
    cb_fn: spdk_nvme_cmd_cb,
    cb_arg: *mut c_void,
) -> c_int {
    on_namespace!(
        spdk_nvme_zns_close_zone(ns, qpair, slba, select_all, cb_fn, cb_arg),
        ns,
        qpair,
        |object, namespace| {
            send(object, namespace, ZoneSend::CLOSE, (!select_all).then_some(slba), cb_fn, cb_arg)
        }
    )
}

/// Finishes the zone that begins at slba, or all zones that are open or closed: they are full.
///
/// # Safety
///
/// Both are handles that nobody else is freeing, and no other thread uses qpair.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn spdk_nvme_zns_finish_zone(
    ns: *mut spdk_nvme_ns,
    qpair: *mut spdk_nvme_qpair,
    slba: u64,
    select_all: bool,
    cb_fn: spdk_nvme_cmd_cb,
    cb_arg: *mut c_void,
) -> c_int {
    on_namespace!(
        spdk_nvme_zns_finish_zone(ns, qpair, slba, select_all, cb_fn, cb_arg),
        ns,
        qpair,
        |object, namespace| {
            send(object, namespace, ZoneSend::FINISH, (!select_all).then_some(slba), cb_fn, cb_arg)
        }
    )
}

/// Opens the zone that begins at slba, or all zones that are closed.
///
/// # Safety
///
/// Both are handles that nobody else is freeing, and no other thread uses qpair.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn spdk_nvme_zns_open_zone(
    ns: *mut spdk_nvme_ns,
    qpair: *mut spdk_nvme_qpair,
    slba: u64,
    select_all: bool,
    cb_fn: spdk_nvme_cmd_cb,
    cb_arg: *mut c_void,
) -> c_int {
    on_namespace!(
        spdk_nvme_zns_open_zone(ns, qpair, slba, select_all, cb_fn, cb_arg),
        ns,
        qpair,
        |object, namespace| {
            send(object, namespace, ZoneSend::OPEN, (!select_all).then_some(slba), cb_fn, cb_arg)
        }
    )
}

/// Resets the zone that begins at slba, or all zones that are open, closed or full: they are empty.
///
/// # Safety
///
/// Both are handles that nobody else is freeing, and no other thread uses qpair.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn spdk_nvme_zns_reset_zone(
    ns: *mut spdk_nvme_ns,
    qpair: *mut spdk_nvme_qpair,
    slba: u64,
    select_all: bool,
    cb_fn: spdk_nvme_cmd_cb,
    cb_arg: *mut c_void,
) -> c_int {
    on_namespace!(
        spdk_nvme_zns_reset_zone(ns, qpair, slba, select_all, cb_fn, cb_arg),
        ns,
        qpair,
        |object, namespace| {
            send(object, namespace, ZoneSend::RESET, (!select_all).then_some(slba), cb_fn, cb_arg)
        }
    )
}

/// Takes the zone that begins at slba, or all that are read only, offline.
///
/// # Safety
///
/// Both are handles that nobody else is freeing, and no other thread uses qpair.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn spdk_nvme_zns_offline_zone(
    ns: *mut spdk_nvme_ns,
    qpair: *mut spdk_nvme_qpair,
    slba: u64,
    select_all: bool,
    cb_fn: spdk_nvme_cmd_cb,
    cb_arg: *mut c_void,
) -> c_int {
    on_namespace!(
        spdk_nvme_zns_offline_zone(ns, qpair, slba, select_all, cb_fn, cb_arg),
        ns,
        qpair,
        |object, namespace| {
            send(object, namespace, ZoneSend::OFFLINE, (!select_all).then_some(slba), cb_fn, cb_arg)
        }
    )
}

/// Sets the descriptor extension of the empty zone that begins at slba to payload_size bytes: the zone is closed then.
///
/// # Safety
///
/// Both are handles that nobody else is freeing, and no other thread uses qpair. buffer has payload_size bytes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn spdk_nvme_zns_set_zone_desc_ext(
    ns: *mut spdk_nvme_ns,
    qpair: *mut spdk_nvme_qpair,
    slba: u64,
    buffer: *mut c_void,
    payload_size: u32,
    cb_fn: spdk_nvme_cmd_cb,
    cb_arg: *mut c_void,
) -> c_int {
    on_namespace!(
        spdk_nvme_zns_set_zone_desc_ext(ns, qpair, slba, buffer, payload_size, cb_fn, cb_arg),
        ns,
        qpair,
        |object, namespace| {
            if buffer.is_null() || payload_size == 0 {
                return invalid(format!(
                    "{payload_size} bytes at {buffer:p} for a zone descriptor extension"
                ));
            }
            let command = Command::zone_send(namespace.id(), ZoneSend::SET_DESCRIPTOR_EXTENSION, Some(slba));
            let buffer = Buffer { address: buffer, size: payload_size };
            // SAFETY: the caller vouches for the buffer.
            unsafe { send_copied(object, command, buffer, cb_fn, cb_arg) }
        }
    )
}

/// Reports the zones from that of slba on, those whose state report_opts says.
///
/// payload gets payload_size bytes, 4 at least: a struct spdk_nvme_zns_zone_report and what fits behind it. The number of zones in there is
/// of those that fit (partial_report), or of all from slba on.
///
/// # Safety
///
/// Both are handles that nobody else is freeing, and no other thread uses qpair. payload has payload_size bytes until cb_fn is called.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn spdk_nvme_zns_report_zones(
    ns: *mut spdk_nvme_ns,
    qpair: *mut spdk_nvme_qpair,
    payload: *mut c_void,
    payload_size: u32,
    slba: u64,
    report_opts: spdk_nvme_zns_zra_report_opts,
    partial_report: bool,
    cb_fn: spdk_nvme_cmd_cb,
    cb_arg: *mut c_void,
) -> c_int {
    on_namespace!(
        spdk_nvme_zns_report_zones(
            ns,
            qpair,
            payload,
            payload_size,
            slba,
            report_opts,
            partial_report,
            cb_fn,
            cb_arg
        ),
        ns,
        qpair,
        |object, namespace| {
            let (buffer, which) = (Buffer { address: payload, size: payload_size }, report_opts.0);
            let report = Report { action: ZoneReceive::REPORT, slba, which, is_partial: partial_report };
            // SAFETY: the caller vouches for the payload.
            unsafe { receive(object, namespace, &report, buffer, cb_fn, cb_arg) }
        }
    )
}

/// As spdk_nvme_zns_report_zones(), with the descriptor extension of each zone behind it.
///
/// payload gets payload_size bytes, 4 at least: a struct spdk_nvme_zns_zone_report and what fits behind it. The number of zones in there is
/// of those that fit (partial_report), or of all from slba on.
///
/// # Safety
///
/// Both are handles that nobody else is freeing, and no other thread uses qpair. payload has payload_size bytes until cb_fn is called.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn spdk_nvme_zns_ext_report_zones(
    ns: *mut spdk_nvme_ns,
    qpair: *mut spdk_nvme_qpair,
    payload: *mut c_void,
    payload_size: u32,
    slba: u64,
    report_opts: spdk_nvme_zns_zra_report_opts,
    partial_report: bool,
    cb_fn: spdk_nvme_cmd_cb,
    cb_arg: *mut c_void,
) -> c_int {
    on_namespace!(
        spdk_nvme_zns_ext_report_zones(
            ns,
            qpair,
            payload,
            payload_size,
            slba,
            report_opts,
            partial_report,
            cb_fn,
            cb_arg
        ),
        ns,
        qpair,
        |object, namespace| {
            let (buffer, which) = (Buffer { address: payload, size: payload_size }, report_opts.0);
            let report =
                Report { action: ZoneReceive::EXTENDED_REPORT, slba, which, is_partial: partial_report };
            // SAFETY: the caller vouches for the payload.
            unsafe { receive(object, namespace, &report, buffer, cb_fn, cb_arg) }
        }
    )
}

/// Appends lba_count blocks from buffer to the zone that begins at zslba. Which block the first of them is cdw0 and cdw1 of the completion say
/// together. The buffer is as that of a write; what is longer than one append may be is refused with -EINVAL, as is all
/// of it where the controller does not append.
///
/// # Safety
///
/// Both are handles that nobody else is freeing, and no other thread uses qpair. buffer is as large as the blocks.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn spdk_nvme_zns_zone_append(
    ns: *mut spdk_nvme_ns,
    qpair: *mut spdk_nvme_qpair,
    buffer: *mut c_void,
    zslba: u64,
    lba_count: u32,
    cb_fn: spdk_nvme_cmd_cb,
    cb_arg: *mut c_void,
    io_flags: u32,
) -> c_int {
    on_namespace!(
        spdk_nvme_zns_zone_append(ns, qpair, buffer, zslba, lba_count, cb_fn, cb_arg, io_flags),
        ns,
        qpair,
        |object, namespace| {
            let append = Append { zone: zslba, blocks: lba_count, flags: io_flags, cdw15: 0 };
            let context = context(cb_fn, cb_arg);
            submission(object.host().append(namespace, &append, &mut Data::Contiguous(buffer), context))
        }
    )
}

/// As spdk_nvme_zns_zone_append(), with an application tag. metadata is not looked at.
///
/// # Safety
///
/// Both are handles that nobody else is freeing, and no other thread uses qpair. buffer is as large as the blocks.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn spdk_nvme_zns_zone_append_with_md(
    ns: *mut spdk_nvme_ns,
    qpair: *mut spdk_nvme_qpair,
    buffer: *mut c_void,
    metadata: *mut c_void,
    zslba: u64,
    lba_count: u32,
    cb_fn: spdk_nvme_cmd_cb,
    cb_arg: *mut c_void,
    io_flags: u32,
    apptag_mask: u16,
    apptag: u16,
) -> c_int {
    on_namespace!(
        spdk_nvme_zns_zone_append_with_md(
            ns,
            qpair,
            buffer,
            metadata,
            zslba,
            lba_count,
            cb_fn,
            cb_arg,
            io_flags,
            apptag_mask,
            apptag
        ),
        ns,
        qpair,
        |object, namespace| {
            let append =
                Append { zone: zslba, blocks: lba_count, flags: io_flags, cdw15: tags(apptag_mask, apptag) };
            let context = context(cb_fn, cb_arg);
            submission(object.host().append(namespace, &append, &mut Data::Contiguous(buffer), context))
        }
    )
}

/// As spdk_nvme_zns_zone_append(), from the pieces that the program's functions give, as for a write. More of them than one command can
/// have are refused with -EINVAL.
///
/// # Safety
///
/// Both are handles that nobody else is freeing, and no other thread uses qpair. The functions give pieces that are together as large as
/// the blocks.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn spdk_nvme_zns_zone_appendv(
    ns: *mut spdk_nvme_ns,
    qpair: *mut spdk_nvme_qpair,
    zslba: u64,
    lba_count: u32,
    cb_fn: spdk_nvme_cmd_cb,
    cb_arg: *mut c_void,
    io_flags: u32,
    reset_sgl_fn: spdk_nvme_req_reset_sgl_cb,
    next_sge_fn: spdk_nvme_req_next_sge_cb,
) -> c_int {
    on_namespace!(
        spdk_nvme_zns_zone_appendv(
            ns,
            qpair,
            zslba,
            lba_count,
            cb_fn,
            cb_arg,
            io_flags,
            reset_sgl_fn,
            next_sge_fn
        ),
        ns,
        qpair as share,
        |object, namespace| {
            let append = Append { zone: zslba, blocks: lba_count, flags: io_flags, cdw15: 0 };
            match Sgl::of("spdk_nvme_zns_zone_appendv", reset_sgl_fn, next_sge_fn, cb_arg) {
                Ok(mut sgl) => {
                    let (context, mut data) = (context(cb_fn, cb_arg), Data::Given(&mut sgl));
                    submission(object.host().append(&namespace, &append, &mut data, context))
                }
                Err(rc) => rc,
            }
        }
    )
}

/// As spdk_nvme_zns_zone_appendv(), with an application tag. metadata is not looked at.
///
/// # Safety
///
/// Both are handles that nobody else is freeing, and no other thread uses qpair. The functions give pieces that are together as large as
/// the blocks.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn spdk_nvme_zns_zone_appendv_with_md(
    ns: *mut spdk_nvme_ns,
    qpair: *mut spdk_nvme_qpair,
    zslba: u64,
    lba_count: u32,
    cb_fn: spdk_nvme_cmd_cb,
    cb_arg: *mut c_void,
    io_flags: u32,
    reset_sgl_fn: spdk_nvme_req_reset_sgl_cb,
    next_sge_fn: spdk_nvme_req_next_sge_cb,
    metadata: *mut c_void,
    apptag_mask: u16,
    apptag: u16,
) -> c_int {
    on_namespace!(
        spdk_nvme_zns_zone_appendv_with_md(
            ns,
            qpair,
            zslba,
            lba_count,
            cb_fn,
            cb_arg,
            io_flags,
            reset_sgl_fn,
            next_sge_fn,
            metadata,
            apptag_mask,
            apptag
        ),
        ns,
        qpair as share,
        |object, namespace| {
            let append =
                Append { zone: zslba, blocks: lba_count, flags: io_flags, cdw15: tags(apptag_mask, apptag) };
            match Sgl::of("spdk_nvme_zns_zone_appendv_with_md", reset_sgl_fn, next_sge_fn, cb_arg) {
                Ok(mut sgl) => {
                    let (context, mut data) = (context(cb_fn, cb_arg), Data::Given(&mut sgl));
                    submission(object.host().append(&namespace, &append, &mut data, context))
                }
                Err(rc) => rc,
            }
        }
    )
}

/// Sends a command of zone management that has no data, to the zone that begins at `slba`, or to all.
fn send(
    qpair: &Qpair,
    namespace: &Ns,
    action: ZoneSend,
    slba: Option<u64>,
    cb_fn: spdk_nvme_cmd_cb,
    cb_arg: *mut c_void,
) -> c_int {
    let command = Command::zone_send(namespace.id(), action, slba);
    submission(qpair.host().submit(command, Payload::None, context(cb_fn, cb_arg)))
}

/// What a report is to be of.
struct Report {
    action: ZoneReceive,
    slba: u64,
    which: u32,
    is_partial: bool,
}

/// Asks for a report.
///
/// # Safety
///
/// The buffer has so many bytes until cb_fn is called.
unsafe fn receive(
    qpair: &Qpair,
    namespace: &Ns,
    report: &Report,
    buffer: Buffer,
    cb_fn: spdk_nvme_cmd_cb,
    cb_arg: *mut c_void,
) -> c_int {
    let Ok(which) = u8::try_from(report.which) else {
        return invalid(format!("a report of zones in state {}, which has 8 bits", report.which));
    };
    // The command counts dwords.
    let buffer = buffer.dwords();
    if buffer.address.is_null() || buffer.size == 0 {
        return invalid(format!("{} bytes at {:p} for a report of zones", buffer.size, buffer.address));
    }
    let Report { action, slba, is_partial, .. } = *report;
    let command = Command::zone_receive(namespace.id(), action, slba, which, is_partial, buffer.size);
    // SAFETY: the caller vouches for the buffer.
    unsafe { send_copied(qpair, command, buffer, cb_fn, cb_arg) }
}

//! I/O commands whose data are a list or a page and not blocks: dataset management, copy, reservations, I/O management. The data are
//! copied, so that they may be in any memory: those for the controller before the call returns, its answer right before cb_fn is called.
//!
//! For all of them: as `ns_blocks` has it. A queue pair that is still connecting refuses them (-ENXIO).

use super::{
    copied::Buffer,
    error::{invalid, submission},
    ns::Ns,
    ns_cmd::on_namespace,
    qpair::Qpair,
    types::{
        spdk_nvme_cmd_cb, spdk_nvme_dsm_range, spdk_nvme_ns, spdk_nvme_qpair,
        spdk_nvme_reservation_acquire_action, spdk_nvme_reservation_acquire_data,
        spdk_nvme_reservation_key_data, spdk_nvme_reservation_register_action,
        spdk_nvme_reservation_register_cptpl, spdk_nvme_reservation_register_data,
        spdk_nvme_reservation_release_action, spdk_nvme_reservation_type, spdk_nvme_scc_source_range,
    },
};
use libc::{c_int, c_void};
use spec::{Command, NvmOpcode};

/// The most ranges of one command: its field for that has 8 bits.
const RANGES_MAX: u16 = 256;

/// Sends a command with copied data; see the head of this file.
///
/// # Safety
///
/// The buffer has so many bytes, until cb_fn is called if the command's data come from the controller.
pub(super) unsafe fn send_copied(
    qpair: &Qpair,
    command: Command,
    buffer: Buffer,
    cb_fn: spdk_nvme_cmd_cb,
    cb_arg: *mut c_void,
) -> c_int {
    // SAFETY: the caller vouches for the buffer.
    let (data, told) = unsafe { (buffer.data(command.opcode()), buffer.told(cb_fn, cb_arg)) };
    submission(qpair.host().submit_copied(command, data, cb_arg.cast(), told))
}

/// A command of a namespace.
fn of(namespace: &Ns, opcode: NvmOpcode, cdw10: u32, cdw11: u32) -> Command {
    let mut command = Command::new(opcode.0);
    command.set_nsid(namespace.id());
    command.set_cdw10(cdw10);
    command.set_cdw11(cdw11);
    command
}

/// Says how num_ranges ranges, 1 to 256, are used, or that they are not any more: attributes are those of the command's Dword 11.
///
/// # Safety
///
/// Both are handles that nobody else is freeing, and no other thread uses qpair. ranges has as many elements.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn spdk_nvme_ns_cmd_dataset_management(
    ns: *mut spdk_nvme_ns,
    qpair: *mut spdk_nvme_qpair,
    attributes: u32,
    ranges: *const spdk_nvme_dsm_range,
    num_ranges: u16,
    cb_fn: spdk_nvme_cmd_cb,
    cb_arg: *mut c_void,
) -> c_int {
    on_namespace!(
        spdk_nvme_ns_cmd_dataset_management(ns, qpair, attributes, ranges, num_ranges, cb_fn, cb_arg),
        ns,
        qpair,
        |object, namespace| {
            if ranges.is_null() || !(1..=RANGES_MAX).contains(&num_ranges) {
                return invalid(format!("{num_ranges} ranges at {ranges:p}, of 1 to {RANGES_MAX}"));
            }
            let command = of(
                namespace,
                NvmOpcode::DATASET_MANAGEMENT,
                u32::from(num_ranges).saturating_sub(1),
                attributes,
            );
            // SAFETY: the caller vouches for the ranges.
            unsafe { send_copied(object, command, Buffer::of(ranges, num_ranges.into()), cb_fn, cb_arg) }
        }
    )
}

/// Copies num_ranges source ranges, 1 to 256, one behind the other to dest_lba.
///
/// # Safety
///
/// Both are handles that nobody else is freeing, and no other thread uses qpair. ranges has as many elements.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn spdk_nvme_ns_cmd_copy(
    ns: *mut spdk_nvme_ns,
    qpair: *mut spdk_nvme_qpair,
    ranges: *const spdk_nvme_scc_source_range,
    num_ranges: u16,
    dest_lba: u64,
    cb_fn: spdk_nvme_cmd_cb,
    cb_arg: *mut c_void,
) -> c_int {
    on_namespace!(
        spdk_nvme_ns_cmd_copy(ns, qpair, ranges, num_ranges, dest_lba, cb_fn, cb_arg),
        ns,
        qpair,
        |object, namespace| {
            if ranges.is_null() || !(1..=RANGES_MAX).contains(&num_ranges) {
                return invalid(format!("{num_ranges} ranges at {ranges:p}, of 1 to {RANGES_MAX}"));
            }
            let mut command = of(namespace, NvmOpcode::COPY, 0, 0);
            command.set_lba(dest_lba);
            command.set_cdw12(u32::from(num_ranges).saturating_sub(1));
            // SAFETY: the caller vouches for the ranges.
            unsafe { send_copied(object, command, Buffer::of(ranges, num_ranges.into()), cb_fn, cb_arg) }
        }
    )
}

/// Registers, unregisters or replaces this host's reservation key.
///
/// # Safety
///
/// Both are handles that nobody else is freeing, and no other thread uses qpair. payload points to the keys.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn spdk_nvme_ns_cmd_reservation_register(
    ns: *mut spdk_nvme_ns,
    qpair: *mut spdk_nvme_qpair,
    payload: *mut spdk_nvme_reservation_register_data,
    ignore_key: bool,
    action: spdk_nvme_reservation_register_action,
    cptpl: spdk_nvme_reservation_register_cptpl,
    cb_fn: spdk_nvme_cmd_cb,
    cb_arg: *mut c_void,
) -> c_int {
    on_namespace!(
        spdk_nvme_ns_cmd_reservation_register(ns, qpair, payload, ignore_key, action, cptpl, cb_fn, cb_arg),
        ns,
        qpair,
        |object, namespace| {
            if payload.is_null() {
                return invalid(String::from("reservation keys that are NULL"));
            }
            let command = of(
                namespace,
                NvmOpcode::RESERVATION_REGISTER,
                action.0 & 7 | u32::from(ignore_key) << 3 | cptpl.0 << 30,
                0,
            );
            // SAFETY: the caller vouches for the keys.
            unsafe { send_copied(object, command, Buffer::of(payload, 1), cb_fn, cb_arg) }
        }
    )
}

/// Acquires or preempts a reservation.
///
/// # Safety
///
/// Both are handles that nobody else is freeing, and no other thread uses qpair. payload points to the keys.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn spdk_nvme_ns_cmd_reservation_acquire(
    ns: *mut spdk_nvme_ns,
    qpair: *mut spdk_nvme_qpair,
    payload: *mut spdk_nvme_reservation_acquire_data,
    ignore_key: bool,
    action: spdk_nvme_reservation_acquire_action,
    rtype: spdk_nvme_reservation_type,
    cb_fn: spdk_nvme_cmd_cb,
    cb_arg: *mut c_void,
) -> c_int {
    on_namespace!(
        spdk_nvme_ns_cmd_reservation_acquire(ns, qpair, payload, ignore_key, action, rtype, cb_fn, cb_arg),
        ns,
        qpair,
        |object, namespace| {
            if payload.is_null() {
                return invalid(String::from("reservation keys that are NULL"));
            }
            let command = of(
                namespace,
                NvmOpcode::RESERVATION_ACQUIRE,
                action.0 & 7 | u32::from(ignore_key) << 3 | (rtype.0 & 0xff) << 8,
                0,
            );
            // SAFETY: the caller vouches for the keys.
            unsafe { send_copied(object, command, Buffer::of(payload, 1), cb_fn, cb_arg) }
        }
    )
}

/// Releases or clears a reservation.
///
/// # Safety
///
/// Both are handles that nobody else is freeing, and no other thread uses qpair. payload points to the keys.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn spdk_nvme_ns_cmd_reservation_release(
    ns: *mut spdk_nvme_ns,
    qpair: *mut spdk_nvme_qpair,
    payload: *mut spdk_nvme_reservation_key_data,
    ignore_key: bool,
    action: spdk_nvme_reservation_release_action,
    rtype: spdk_nvme_reservation_type,
    cb_fn: spdk_nvme_cmd_cb,
    cb_arg: *mut c_void,
) -> c_int {
    on_namespace!(
        spdk_nvme_ns_cmd_reservation_release(ns, qpair, payload, ignore_key, action, rtype, cb_fn, cb_arg),
        ns,
        qpair,
        |object, namespace| {
            if payload.is_null() {
                return invalid(String::from("reservation keys that are NULL"));
            }
            let command = of(
                namespace,
                NvmOpcode::RESERVATION_RELEASE,
                action.0 & 7 | u32::from(ignore_key) << 3 | (rtype.0 & 0xff) << 8,
                0,
            );
            // SAFETY: the caller vouches for the keys.
            unsafe { send_copied(object, command, Buffer::of(payload, 1), cb_fn, cb_arg) }
        }
    )
}

/// Reads len bytes, a multiple of 4, of the report of a reservation and its registrants; in the extended form if the controller has host
/// identifiers of 128 bits.
///
/// # Safety
///
/// Both are handles that nobody else is freeing, and no other thread uses qpair. payload is NULL or has len bytes until cb_fn is called.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn spdk_nvme_ns_cmd_reservation_report(
    ns: *mut spdk_nvme_ns,
    qpair: *mut spdk_nvme_qpair,
    payload: *mut c_void,
    len: u32,
    cb_fn: spdk_nvme_cmd_cb,
    cb_arg: *mut c_void,
) -> c_int {
    on_namespace!(
        spdk_nvme_ns_cmd_reservation_report(ns, qpair, payload, len, cb_fn, cb_arg),
        ns,
        qpair,
        |object, namespace| {
            let Some(dwords) = dwords(len) else {
                return invalid(format!("{len} bytes of a reservation report"));
            };
            let extended = u32::from(namespace.controller().has_extended_host_ids);
            let command = of(namespace, NvmOpcode::RESERVATION_REPORT, dwords, extended);
            // SAFETY: the caller vouches for the payload.
            unsafe { send_copied(object, command, Buffer { address: payload, size: len }, cb_fn, cb_arg) }
        }
    )
}

/// Receives len bytes, a multiple of 4, of I/O management: mo is the operation, mos specific to that.
///
/// # Safety
///
/// Both are handles that nobody else is freeing, and no other thread uses qpair. payload is NULL or has len bytes until cb_fn is called.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn spdk_nvme_ns_cmd_io_mgmt_recv(
    ns: *mut spdk_nvme_ns,
    qpair: *mut spdk_nvme_qpair,
    payload: *mut c_void,
    len: u32,
    mo: u8,
    mos: u16,
    cb_fn: spdk_nvme_cmd_cb,
    cb_arg: *mut c_void,
) -> c_int {
    on_namespace!(
        spdk_nvme_ns_cmd_io_mgmt_recv(ns, qpair, payload, len, mo, mos, cb_fn, cb_arg),
        ns,
        qpair,
        |object, namespace| {
            let Some(dwords) = dwords(len) else { return invalid(format!("{len} bytes of I/O management")) };
            let what = u32::from(mo) | u32::from(mos) << 16;
            let command = of(namespace, NvmOpcode::IO_MANAGEMENT_RECEIVE, what, dwords);
            // SAFETY: the caller vouches for the payload.
            unsafe { send_copied(object, command, Buffer { address: payload, size: len }, cb_fn, cb_arg) }
        }
    )
}

/// Sends len bytes of I/O management: mo is the operation, mos specific to that.
///
/// # Safety
///
/// Both are handles that nobody else is freeing, and no other thread uses qpair. payload is NULL or has len bytes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn spdk_nvme_ns_cmd_io_mgmt_send(
    ns: *mut spdk_nvme_ns,
    qpair: *mut spdk_nvme_qpair,
    payload: *mut c_void,
    len: u32,
    mo: u8,
    mos: u16,
    cb_fn: spdk_nvme_cmd_cb,
    cb_arg: *mut c_void,
) -> c_int {
    on_namespace!(
        spdk_nvme_ns_cmd_io_mgmt_send(ns, qpair, payload, len, mo, mos, cb_fn, cb_arg),
        ns,
        qpair,
        |object, namespace| {
            let command =
                of(namespace, NvmOpcode::IO_MANAGEMENT_SEND, u32::from(mo) | u32::from(mos) << 16, 0);
            // SAFETY: the caller vouches for the payload.
            unsafe { send_copied(object, command, Buffer { address: payload, size: len }, cb_fn, cb_arg) }
        }
    )
}

/// A length as commands count it: dwords, zero-based. None if it is none of these.
fn dwords(length: u32) -> Option<u32> {
    (length.is_multiple_of(4)).then_some(length / 4)?.checked_sub(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_are_whole_dwords() {
        let all = [0, 1, 3, 4, 6, 4096, u32::MAX].map(dwords);
        assert_eq!(all, [None, None, None, Some(0), None, Some(1023), None]);
    }
}

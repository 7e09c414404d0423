//! Admin commands that a program sends: features, log pages, security protocols, directives, and raw ones.
//!
//! What holds for all that are sent and not waited for: 0 says that the command was accepted, and cb_fn, which may be NULL, is called
//! once from a poll of the Admin Queue, never inside of the call. -ENOMEM: no request is free, or there is no memory; -ENXIO: the
//! controller has failed or is not connected; -EINVAL: a wrong argument; cb_fn is not called then. Data are copied, so that they may be
//! in any memory: those for the controller before the call returns, its answer right before cb_fn is called, if the command
//! succeeded. NULL or a size of 0 is no data.

use super::{
    callback::context,
    copied::Buffer,
    ctrlr::Ctrlr,
    entry::entry,
    error::{invalid, submission, waited},
    types::{spdk_nvme_cmd, spdk_nvme_cmd_cb, spdk_nvme_ctrlr},
};
use crate::host::{Completer, Payload};
use libc::{EINVAL, c_int, c_void, size_t};
use spec::{
    AdminOpcode, Command, command::COMMAND_SIZE, feature::FeatureId, identify::LPA_EXTENDED_DATA,
    log::LogPageId,
};

/// Data of a raw command are shorter than this: the length of a keyed SGL data block has 24 bits (Base 2.0, 4.4.1).
const LONGEST: u32 = 1 << 24;

/// Sends a command with copied data; see the head of this file.
///
/// # Safety
///
/// The buffer has so many bytes, until cb_fn is called if the command's data come from the controller.
pub(super) unsafe fn send(
    object: &Ctrlr,
    command: Command,
    buffer: Buffer,
    cb_fn: spdk_nvme_cmd_cb,
    cb_arg: *mut c_void,
) -> c_int {
    // SAFETY: the caller vouches for the buffer.
    let (data, told) = unsafe { (buffer.data(command.opcode()), buffer.told(cb_fn, cb_arg)) };
    submission(object.admin(|host| host.submit_admin_copied(command, data, cb_arg.cast(), told)))
}

/// Sends a command as it is, but for its command id and data pointer. buf stays untouched until cb_fn is called; as
/// spdk_nvme_ns_cmd_read() has it, it may be any memory. -1 for 16 MiB or more, which no command can have.
///
/// # Safety
///
/// ctrlr is a handle that nobody else is detaching. cmd points to a command, and buf is NULL or has len bytes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn spdk_nvme_ctrlr_cmd_admin_raw(
    ctrlr: *mut spdk_nvme_ctrlr,
    cmd: *mut spdk_nvme_cmd,
    buf: *mut c_void,
    len: u32,
    cb_fn: spdk_nvme_cmd_cb,
    cb_arg: *mut c_void,
) -> c_int {
    entry!(
        spdk_nvme_ctrlr_cmd_admin_raw(ctrlr, cmd, buf, len, cb_fn, cb_arg),
        Ctrlr as share,
        ctrlr,
        -EINVAL,
        |object| {
            // SAFETY: the caller vouches for the command, which is 64 bytes.
            let Some(bytes) = (unsafe { cmd.cast::<[u8; COMMAND_SIZE]>().as_ref() }) else {
                return invalid(String::from("an admin command that is NULL"));
            };
            let payload = match (buf.is_null(), len) {
                (true, 0) => Payload::None,
                (true, _) => return invalid(format!("an admin command with {len} bytes of data at NULL")),
                (false, 0) => Payload::None,
                (false, LONGEST..) => {
                    // What SPDK answers for a buffer that no descriptor can describe.
                    invalid(format!("an admin command with {len} bytes of data, of less than {LONGEST}"));
                    return -1;
                }
                (false, length) => Payload::Memory { address: buf.expose_provenance() as u64, length },
            };
            let (command, told) = (Command::from_bytes(bytes), Completer::Upcall(context(cb_fn, cb_arg)));
            submission(object.admin(|host| host.submit_admin(command, payload, told)))
        }
    )
}

/// Gets a feature: Get Features with the identifier, and cdw11 as it is.
///
/// # Safety
///
/// ctrlr is a handle that nobody else is detaching. payload is NULL or has payload_size bytes until cb_fn is called.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn spdk_nvme_ctrlr_cmd_get_feature(
    ctrlr: *mut spdk_nvme_ctrlr,
    feature: u8,
    cdw11: u32,
    payload: *mut c_void,
    payload_size: u32,
    cb_fn: spdk_nvme_cmd_cb,
    cb_arg: *mut c_void,
) -> c_int {
    entry!(
        spdk_nvme_ctrlr_cmd_get_feature(ctrlr, feature, cdw11, payload, payload_size, cb_fn, cb_arg),
        Ctrlr as share,
        ctrlr,
        -EINVAL,
        |object| {
            let buffer = Buffer { address: payload, size: payload_size };
            // SAFETY: the caller vouches for the payload.
            unsafe { send(&object, Command::get_features(FeatureId(feature), cdw11), buffer, cb_fn, cb_arg) }
        }
    )
}

/// As spdk_nvme_ctrlr_cmd_get_feature(), of a namespace.
///
/// # Safety
///
/// As for spdk_nvme_ctrlr_cmd_get_feature().
#[unsafe(no_mangle)]
pub unsafe extern "C" fn spdk_nvme_ctrlr_cmd_get_feature_ns(
    ctrlr: *mut spdk_nvme_ctrlr,
    feature: u8,
    cdw11: u32,
    payload: *mut c_void,
    payload_size: u32,
    cb_fn: spdk_nvme_cmd_cb,
    cb_arg: *mut c_void,
    ns_id: u32,
) -> c_int {
    entry!(
        spdk_nvme_ctrlr_cmd_get_feature_ns(
            ctrlr,
            feature,
            cdw11,
            payload,
            payload_size,
            cb_fn,
            cb_arg,
            ns_id
        ),
        Ctrlr as share,
        ctrlr,
        -EINVAL,
        |object| {
            let mut command = Command::get_features(FeatureId(feature), cdw11);
            command.set_nsid(ns_id);
            // SAFETY: the caller vouches for the payload.
            unsafe { send(&object, command, Buffer { address: payload, size: payload_size }, cb_fn, cb_arg) }
        }
    )
}

/// Sets a feature: Set Features with the identifier, and cdw11 and cdw12 as they are. Not saved.
///
/// # Safety
///
/// ctrlr is a handle that nobody else is detaching. payload is NULL or has payload_size bytes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn spdk_nvme_ctrlr_cmd_set_feature(
    ctrlr: *mut spdk_nvme_ctrlr,
    feature: u8,
    cdw11: u32,
    cdw12: u32,
    payload: *mut c_void,
    payload_size: u32,
    cb_fn: spdk_nvme_cmd_cb,
    cb_arg: *mut c_void,
) -> c_int {
    entry!(
        spdk_nvme_ctrlr_cmd_set_feature(ctrlr, feature, cdw11, cdw12, payload, payload_size, cb_fn, cb_arg),
        Ctrlr as share,
        ctrlr,
        -EINVAL,
        |object| {
            let mut command = Command::set_features(FeatureId(feature), cdw11);
            command.set_cdw12(cdw12);
            // SAFETY: the caller vouches for the payload.
            unsafe { send(&object, command, Buffer { address: payload, size: payload_size }, cb_fn, cb_arg) }
        }
    )
}

/// As spdk_nvme_ctrlr_cmd_set_feature(), of a namespace.
///
/// # Safety
///
/// As for spdk_nvme_ctrlr_cmd_set_feature().
#[unsafe(no_mangle)]
pub unsafe extern "C" fn spdk_nvme_ctrlr_cmd_set_feature_ns(
    ctrlr: *mut spdk_nvme_ctrlr,
    feature: u8,
    cdw11: u32,
    cdw12: u32,
    payload: *mut c_void,
    payload_size: u32,
    cb_fn: spdk_nvme_cmd_cb,
    cb_arg: *mut c_void,
    ns_id: u32,
) -> c_int {
    entry!(
        spdk_nvme_ctrlr_cmd_set_feature_ns(
            ctrlr,
            feature,
            cdw11,
            cdw12,
            payload,
            payload_size,
            cb_fn,
            cb_arg,
            ns_id
        ),
        Ctrlr as share,
        ctrlr,
        -EINVAL,
        |object| {
            let mut command = Command::set_features(FeatureId(feature), cdw11);
            command.set_cdw12(cdw12);
            command.set_nsid(ns_id);
            // SAFETY: the caller vouches for the payload.
            unsafe { send(&object, command, Buffer { address: payload, size: payload_size }, cb_fn, cb_arg) }
        }
    )
}

/// Reads payload_size bytes of a log page from byte offset on. What exceeds a multiple of 4 is left out; -EINVAL for less than 4
/// bytes, for an offset that is no multiple of 4, and for one that is not 0 if the controller has no offsets (LPA bit 2). A read of more
/// than the controller transfers at a time is not split.
///
/// # Safety
///
/// ctrlr is a handle that nobody else is detaching. payload is NULL or has payload_size bytes until cb_fn is called.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn spdk_nvme_ctrlr_cmd_get_log_page(
    ctrlr: *mut spdk_nvme_ctrlr,
    log_page: u8,
    nsid: u32,
    payload: *mut c_void,
    payload_size: u32,
    offset: u64,
    cb_fn: spdk_nvme_cmd_cb,
    cb_arg: *mut c_void,
) -> c_int {
    entry!(
        spdk_nvme_ctrlr_cmd_get_log_page(ctrlr, log_page, nsid, payload, payload_size, offset, cb_fn, cb_arg),
        Ctrlr as share,
        ctrlr,
        -EINVAL,
        |object| {
            match log_page_command(&object, log_page, nsid, payload_size, offset) {
                // SAFETY: the caller vouches for the payload.
                Ok(command) => unsafe {
                    send(
                        &object,
                        command,
                        Buffer { address: payload, size: payload_size }.dwords(),
                        cb_fn,
                        cb_arg,
                    )
                },
                Err(rc) => rc,
            }
        }
    )
}

/// As spdk_nvme_ctrlr_cmd_get_log_page(), with what else the command says: of cdw10 all but the page and the length (LSP, RAE), of cdw11
/// the upper half (LSI), and cdw14.
///
/// # Safety
///
/// As for spdk_nvme_ctrlr_cmd_get_log_page().
#[unsafe(no_mangle)]
pub unsafe extern "C" fn spdk_nvme_ctrlr_cmd_get_log_page_ext(
    ctrlr: *mut spdk_nvme_ctrlr,
    log_page: u8,
    nsid: u32,
    payload: *mut c_void,
    payload_size: u32,
    offset: u64,
    cdw10: u32,
    cdw11: u32,
    cdw14: u32,
    cb_fn: spdk_nvme_cmd_cb,
    cb_arg: *mut c_void,
) -> c_int {
    entry!(
        spdk_nvme_ctrlr_cmd_get_log_page_ext(
            ctrlr,
            log_page,
            nsid,
            payload,
            payload_size,
            offset,
            cdw10,
            cdw11,
            cdw14,
            cb_fn,
            cb_arg
        ),
        Ctrlr as share,
        ctrlr,
        -EINVAL,
        |object| {
            match log_page_command(&object, log_page, nsid, payload_size, offset) {
                Ok(mut command) => {
                    command.set_cdw10(command.cdw10() | cdw10 & 0xff00);
                    command.set_cdw11(command.cdw11() | cdw11 & 0xffff_0000);
                    command.set_cdw14(cdw14);
                    // SAFETY: the caller vouches for the payload.
                    unsafe {
                        send(
                            &object,
                            command,
                            Buffer { address: payload, size: payload_size }.dwords(),
                            cb_fn,
                            cb_arg,
                        )
                    }
                }
                Err(rc) => rc,
            }
        }
    )
}

fn log_page_command(object: &Ctrlr, page: u8, nsid: u32, size: u32, offset: u64) -> Result<Command, c_int> {
    let has_offsets = object.summary().view().lpa() & LPA_EXTENDED_DATA != 0;
    if size < 4 {
        return Err(invalid(format!("{size} bytes of log page {page:#x}, of which 4 are the least")));
    }
    if !offset.is_multiple_of(4) || offset != 0 && !has_offsets {
        return Err(invalid(format!(
            "log page {page:#x} from byte {offset} on: the controller does not read from there"
        )));
    }
    Ok(Command::get_log_page(LogPageId(page), nsid, offset, size))
}

/// Gets payload_size bytes from a security protocol (SPC-5, SECURITY PROTOCOL IN).
///
/// # Safety
///
/// ctrlr is a handle that nobody else is detaching. payload is NULL or has payload_size bytes until cb_fn is called.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn spdk_nvme_ctrlr_cmd_security_receive(
    ctrlr: *mut spdk_nvme_ctrlr,
    secp: u8,
    spsp: u16,
    nssf: u8,
    payload: *mut c_void,
    payload_size: u32,
    cb_fn: spdk_nvme_cmd_cb,
    cb_arg: *mut c_void,
) -> c_int {
    entry!(
        spdk_nvme_ctrlr_cmd_security_receive(ctrlr, secp, spsp, nssf, payload, payload_size, cb_fn, cb_arg),
        Ctrlr as share,
        ctrlr,
        -EINVAL,
        |object| {
            let command = security(AdminOpcode::SECURITY_RECEIVE, secp, spsp, nssf, payload_size);
            // SAFETY: the caller vouches for the payload.
            unsafe { send(&object, command, Buffer { address: payload, size: payload_size }, cb_fn, cb_arg) }
        }
    )
}

/// Gives payload_size bytes to a security protocol (SPC-5, SECURITY PROTOCOL OUT).
///
/// # Safety
///
/// ctrlr is a handle that nobody else is detaching. payload is NULL or has payload_size bytes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn spdk_nvme_ctrlr_cmd_security_send(
    ctrlr: *mut spdk_nvme_ctrlr,
    secp: u8,
    spsp: u16,
    nssf: u8,
    payload: *mut c_void,
    payload_size: u32,
    cb_fn: spdk_nvme_cmd_cb,
    cb_arg: *mut c_void,
) -> c_int {
    entry!(
        spdk_nvme_ctrlr_cmd_security_send(ctrlr, secp, spsp, nssf, payload, payload_size, cb_fn, cb_arg),
        Ctrlr as share,
        ctrlr,
        -EINVAL,
        |object| {
            let command = security(AdminOpcode::SECURITY_SEND, secp, spsp, nssf, payload_size);
            // SAFETY: the caller vouches for the payload.
            unsafe { send(&object, command, Buffer { address: payload, size: payload_size }, cb_fn, cb_arg) }
        }
    )
}

/// As spdk_nvme_ctrlr_cmd_security_receive(), and waits for the answer; other admin callbacks may run meanwhile. Returns 0, -EIO if the
/// controller refused, -ECANCELED if it did not answer in time (admin_timeout_ms) or its connection was lost, or as what is not waited for.
///
/// # Safety
///
/// ctrlr is a handle that nobody else is detaching. payload is NULL or has size bytes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn spdk_nvme_ctrlr_security_receive(
    ctrlr: *mut spdk_nvme_ctrlr,
    secp: u8,
    spsp: u16,
    nssf: u8,
    payload: *mut c_void,
    size: size_t,
) -> c_int {
    entry!(
        spdk_nvme_ctrlr_security_receive(ctrlr, secp, spsp, nssf, payload, size),
        Ctrlr as share,
        ctrlr,
        -EINVAL,
        |object| {
            // SAFETY: the caller vouches for the payload.
            unsafe {
                wait_for_security(&object, AdminOpcode::SECURITY_RECEIVE, secp, spsp, nssf, payload, size)
            }
        }
    )
}

/// As spdk_nvme_ctrlr_cmd_security_send(), and waits for the answer, as spdk_nvme_ctrlr_security_receive().
///
/// # Safety
///
/// ctrlr is a handle that nobody else is detaching. payload is NULL or has size bytes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn spdk_nvme_ctrlr_security_send(
    ctrlr: *mut spdk_nvme_ctrlr,
    secp: u8,
    spsp: u16,
    nssf: u8,
    payload: *mut c_void,
    size: size_t,
) -> c_int {
    entry!(
        spdk_nvme_ctrlr_security_send(ctrlr, secp, spsp, nssf, payload, size),
        Ctrlr as share,
        ctrlr,
        -EINVAL,
        |object| {
            // SAFETY: the caller vouches for the payload.
            unsafe { wait_for_security(&object, AdminOpcode::SECURITY_SEND, secp, spsp, nssf, payload, size) }
        }
    )
}

/// # Safety
///
/// payload is NULL or has size bytes.
unsafe fn wait_for_security(
    object: &Ctrlr,
    opcode: AdminOpcode,
    secp: u8,
    spsp: u16,
    nssf: u8,
    payload: *mut c_void,
    size: size_t,
) -> c_int {
    let Ok(size) = u32::try_from(size) else {
        return invalid(format!("{size} bytes of data of a security protocol"));
    };
    let buffer = Buffer { address: payload, size };
    // SAFETY: the caller vouches for the payload.
    let data = unsafe { buffer.data(opcode.0) };
    let what = if opcode == AdminOpcode::SECURITY_SEND { "Security Send" } else { "Security Receive" };
    let command = security(opcode, secp, spsp, nssf, size);
    let result = object.admin(|host| host.request_admin(what, command, data));
    match waited(&object.describe(), result) {
        Ok((_, received)) => {
            // SAFETY: as above.
            unsafe { buffer.take(&received) };
            0
        }
        Err(rc) => rc,
    }
}

/// Security Send or Receive (Base 2.0, 5.25, 5.26) of so many bytes.
fn security(opcode: AdminOpcode, secp: u8, spsp: u16, nssf: u8, size: u32) -> Command {
    let mut command = Command::new(opcode.0);
    command.set_cdw10(u32::from(nssf) | u32::from(spsp) << 8 | u32::from(secp) << 24);
    command.set_cdw11(size);
    command
}

/// Sends a directive (Base 2.0, 8.7): doper is the operation, dtype the type, dspec specific to that.
///
/// # Safety
///
/// ctrlr is a handle that nobody else is detaching. payload is NULL or has payload_size bytes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn spdk_nvme_ctrlr_cmd_directive_send(
    ctrlr: *mut spdk_nvme_ctrlr,
    nsid: u32,
    doper: u32,
    dtype: u32,
    dspec: u32,
    payload: *mut c_void,
    payload_size: u32,
    cdw12: u32,
    cdw13: u32,
    cb_fn: spdk_nvme_cmd_cb,
    cb_arg: *mut c_void,
) -> c_int {
    entry!(
        spdk_nvme_ctrlr_cmd_directive_send(
            ctrlr,
            nsid,
            doper,
            dtype,
            dspec,
            payload,
            payload_size,
            cdw12,
            cdw13,
            cb_fn,
            cb_arg
        ),
        Ctrlr as share,
        ctrlr,
        -EINVAL,
        |object| {
            let what = [nsid, doper, dtype, dspec, cdw12, cdw13];
            let command = directive(AdminOpcode::DIRECTIVE_SEND, what, payload_size);
            // SAFETY: the caller vouches for the payload.
            unsafe {
                send(
                    &object,
                    command,
                    Buffer { address: payload, size: payload_size }.dwords(),
                    cb_fn,
                    cb_arg,
                )
            }
        }
    )
}

/// Receives what a directive returns, as spdk_nvme_ctrlr_cmd_directive_send().
///
/// # Safety
///
/// ctrlr is a handle that nobody else is detaching. payload is NULL or has payload_size bytes until cb_fn is called.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn spdk_nvme_ctrlr_cmd_directive_receive(
    ctrlr: *mut spdk_nvme_ctrlr,
    nsid: u32,
    doper: u32,
    dtype: u32,
    dspec: u32,
    payload: *mut c_void,
    payload_size: u32,
    cdw12: u32,
    cdw13: u32,
    cb_fn: spdk_nvme_cmd_cb,
    cb_arg: *mut c_void,
) -> c_int {
    entry!(
        spdk_nvme_ctrlr_cmd_directive_receive(
            ctrlr,
            nsid,
            doper,
            dtype,
            dspec,
            payload,
            payload_size,
            cdw12,
            cdw13,
            cb_fn,
            cb_arg
        ),
        Ctrlr as share,
        ctrlr,
        -EINVAL,
        |object| {
            let what = [nsid, doper, dtype, dspec, cdw12, cdw13];
            let command = directive(AdminOpcode::DIRECTIVE_RECEIVE, what, payload_size);
            // SAFETY: the caller vouches for the payload.
            unsafe {
                send(
                    &object,
                    command,
                    Buffer { address: payload, size: payload_size }.dwords(),
                    cb_fn,
                    cb_arg,
                )
            }
        }
    )
}

/// Directive Send or Receive (Base 2.0, 5.7, 5.8).
fn directive(opcode: AdminOpcode, [nsid, doper, dtype, dspec, cdw12, cdw13]: [u32; 6], size: u32) -> Command {
    let mut command = Command::new(opcode.0);
    command.set_nsid(nsid);
    command.set_cdw10((size / 4).saturating_sub(1));
    command.set_cdw11(doper & 0xff | (dtype & 0xff) << 8 | dspec << 16);
    command.set_cdw12(cdw12);
    command.set_cdw13(cdw13);
    command
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dwords_are_where_the_specification_has_them() {
        let command = security(AdminOpcode::SECURITY_SEND, 0xee, 0x1234, 0x56, 2048);
        assert_eq!((command.opcode(), command.cdw10(), command.cdw11()), (0x81, 0xee12_3456, 2048));
        let command = directive(AdminOpcode::DIRECTIVE_RECEIVE, [7, 1, 2, 0x3333, 4, 5], 4096);
        assert_eq!((command.opcode(), command.nsid(), command.cdw10()), (0x1a, 7, 1023));
        assert_eq!((command.cdw11(), command.cdw12(), command.cdw13()), (0x3333_0201, 4, 5));
        assert_eq!(directive(AdminOpcode::DIRECTIVE_SEND, [0; 6], 0).cdw10(), 0);
    }
}

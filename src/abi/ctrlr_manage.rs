//! Managing a controller: its namespaces and their format (Base 2.0, 5.14, 5.22, 5.23).
//!
//! All of these wait for their commands; other callbacks of the Admin Queue run meanwhile. 0 is success; -EIO says that the controller
//! refused a command, -ECANCELED that it did not answer in time or was lost, -ENXIO that it is not connected, -EINVAL a wrong argument.
//! Buffers may be in any memory.

use super::{
    copied::Buffer,
    ctrlr::Ctrlr,
    ctrlr_life::brought_up,
    entry::entry,
    error::{invalid, waited},
    types::{spdk_nvme_ctrlr, spdk_nvme_ctrlr_list, spdk_nvme_format, spdk_nvme_ns_data},
};
use libc::{EINVAL, ENXIO, c_int};
use spec::{AdminOpcode, Command, Completion};

/// SEL of Namespace Management and Namespace Attachment: what is to be done.
const CREATE: u32 = 0;
const DELETE: u32 = 1;
const ATTACH: u32 = 0;
const DETACH: u32 = 1;

/// Sends a command with data for the controller, or without any, and waits for its answer.
///
/// # Safety
/// The buffer has so many bytes.
pub(super) unsafe fn run(
    ctrlr: &Ctrlr,
    what: &'static str,
    command: Command,
    buffer: Buffer,
) -> Result<Completion, c_int> {
    // SAFETY: the caller vouches for the buffer.
    let data = unsafe { buffer.data(command.opcode()) };
    let answer = ctrlr.admin(|host| host.request_admin(what, command, data));
    waited(&ctrlr.describe(), answer).map(|(completion, _)| completion)
}

/// No data.
const NOTHING: Buffer = Buffer { address: std::ptr::null_mut(), size: 0 };

pub(super) fn command(opcode: AdminOpcode, nsid: u32, cdw10: u32) -> Command {
    let mut command = Command::new(opcode.0);
    command.set_nsid(nsid);
    command.set_cdw10(cdw10);
    command
}

/// Reads the namespaces again, of which this one has changed.
fn reread(ctrlr: &Ctrlr, nsid: u32) -> c_int {
    let read = ctrlr.admin(|host| host.reread_namespaces(&[nsid]));
    waited(&ctrlr.describe(), read).map_or_else(|rc| rc, |()| 0)
}

/// Attaches a namespace to the controllers that payload lists, or detaches it from them.
///
/// # Safety
/// `payload` is NULL or points to a controller list.
unsafe fn attachment(
    entry: &str,
    what: &'static str,
    ctrlr: &Ctrlr,
    selected: u32,
    nsid: u32,
    payload: *mut spdk_nvme_ctrlr_list,
) -> c_int {
    if nsid == 0 || payload.is_null() {
        return invalid(format!("{entry}: namespace {nsid}, with a controller list at {payload:p}"));
    }
    let command = command(AdminOpcode::NAMESPACE_ATTACHMENT, nsid, selected);
    // SAFETY: the caller vouches for the list.
    match unsafe { run(ctrlr, what, command, Buffer::of(payload, 1)) } {
        Ok(_) => match reread(ctrlr, nsid) {
            0 if nsid > ctrlr.summary().namespace_count() => -ENXIO,
            rc => rc,
        },
        Err(rc) => rc,
    }
}

/// Attaches a namespace to the controllers that payload lists; this controller's namespaces are read again.
///
/// # Safety
///
/// ctrlr is a handle that nobody else is detaching. payload is NULL, which is refused, or points to a controller list.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn spdk_nvme_ctrlr_attach_ns(
    ctrlr: *mut spdk_nvme_ctrlr,
    nsid: u32,
    payload: *mut spdk_nvme_ctrlr_list,
) -> c_int {
    entry!(spdk_nvme_ctrlr_attach_ns(ctrlr, nsid, payload), Ctrlr as share, ctrlr, -EINVAL, |object| {
        // SAFETY: the caller vouches for the list.
        unsafe {
            attachment(
                "spdk_nvme_ctrlr_attach_ns",
                "Namespace Attachment (attach)",
                &object,
                ATTACH,
                nsid,
                payload,
            )
        }
    })
}

/// Detaches a namespace from the controllers that payload lists; this controller's namespaces are read again.
///
/// # Safety
///
/// As for spdk_nvme_ctrlr_attach_ns().
#[unsafe(no_mangle)]
pub unsafe extern "C" fn spdk_nvme_ctrlr_detach_ns(
    ctrlr: *mut spdk_nvme_ctrlr,
    nsid: u32,
    payload: *mut spdk_nvme_ctrlr_list,
) -> c_int {
    entry!(spdk_nvme_ctrlr_detach_ns(ctrlr, nsid, payload), Ctrlr as share, ctrlr, -EINVAL, |object| {
        // SAFETY: the caller vouches for the list.
        unsafe {
            attachment(
                "spdk_nvme_ctrlr_detach_ns",
                "Namespace Attachment (detach)",
                &object,
                DETACH,
                nsid,
                payload,
            )
        }
    })
}

/// Makes a namespace. Returns its identifier, or 0, after a log line, if there is none. It is not attached to any controller.
///
/// # Safety
///
/// ctrlr is a handle that nobody else is detaching. payload is NULL, which is refused, or points to the data of a namespace.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn spdk_nvme_ctrlr_create_ns(
    ctrlr: *mut spdk_nvme_ctrlr,
    payload: *mut spdk_nvme_ns_data,
) -> u32 {
    entry!(spdk_nvme_ctrlr_create_ns(ctrlr, payload), Ctrlr as share, ctrlr, 0, |object| {
        if payload.is_null() {
            tracing::error!("spdk_nvme_ctrlr_create_ns: the namespace data are NULL");
            return 0;
        }
        let command = command(AdminOpcode::NAMESPACE_MANAGEMENT, 0, CREATE);
        // SAFETY: the caller vouches for the data.
        let answer =
            unsafe { run(&object, "Namespace Management (create)", command, Buffer::of(payload, 1)) };
        let nsid = answer.map_or(0, |completion| completion.cdw0());
        if nsid == 0 && answer.is_ok() {
            tracing::error!("{}: Namespace Management made namespace 0, which cannot be", object.describe());
        }
        nsid
    })
}

/// Deletes a namespace; this controller's namespaces are read again.
///
/// # Safety
///
/// ctrlr is a handle that nobody else is detaching.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn spdk_nvme_ctrlr_delete_ns(ctrlr: *mut spdk_nvme_ctrlr, nsid: u32) -> c_int {
    entry!(spdk_nvme_ctrlr_delete_ns(ctrlr, nsid), Ctrlr as share, ctrlr, -EINVAL, |object| {
        if nsid == 0 {
            return invalid(String::from("spdk_nvme_ctrlr_delete_ns: namespace 0"));
        }
        let command = command(AdminOpcode::NAMESPACE_MANAGEMENT, nsid, DELETE);
        // SAFETY: there are no data.
        match unsafe { run(&object, "Namespace Management (delete)", command, NOTHING) } {
            Ok(_) => reread(&object, nsid),
            Err(rc) => rc,
        }
    })
}

/// Formats a namespace, or all of them with FFFFFFFFh, and resets the controller: its queue pairs have to be connected again. A format
/// that takes longer than admin_timeout_ms counts as lost.
///
/// Returns 0; -1 if the controller could not be brought up again; or another error value.
///
/// # Safety
///
/// ctrlr is a handle that nobody else is detaching. format is NULL, which is refused, or points to a format.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn spdk_nvme_ctrlr_format(
    ctrlr: *mut spdk_nvme_ctrlr,
    nsid: u32,
    format: *mut spdk_nvme_format,
) -> c_int {
    entry!(spdk_nvme_ctrlr_format(ctrlr, nsid, format), Ctrlr as share, ctrlr, -EINVAL, |object| {
        if format.is_null() {
            return invalid(String::from("spdk_nvme_ctrlr_format: the format is NULL"));
        }
        const { assert!(size_of::<spdk_nvme_format>() == size_of::<u32>()) };
        // SAFETY: the caller vouches for the format, which is as Dword 10 has it.
        let cdw10 = unsafe { format.cast::<u32>().read_unaligned() };
        let command = command(AdminOpcode::FORMAT_NVM, nsid, cdw10);
        // SAFETY: there are no data.
        match unsafe { run(&object, "Format NVM", command, NOTHING) } {
            Ok(_) => brought_up(&object, object.admin(|host| host.reset())),
            Err(rc) => rc,
        }
    })
}

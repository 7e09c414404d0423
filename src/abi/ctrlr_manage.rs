//! Managing a controller: its namespaces, their format, its firmware (Base 2.0, 5.1 to 5.27).
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
    types::{
        spdk_nvme_ctrlr, spdk_nvme_ctrlr_list, spdk_nvme_format, spdk_nvme_fw_commit_action,
        spdk_nvme_ns_data, spdk_nvme_status,
    },
};
use crate::host;
use libc::{EINVAL, ENXIO, c_int, c_void};
use spec::{AdminOpcode, Command, Completion, Status};

/// SEL of Namespace Management and Namespace Attachment: what is to be done.
const CREATE: u32 = 0;
const DELETE: u32 = 1;
const ATTACH: u32 = 0;
const DETACH: u32 = 1;

/// Sends a command with data for the controller, or without any, and waits for its answer.
///
/// # Safety
/// The buffer has so many bytes.
unsafe fn run(
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

fn command(opcode: AdminOpcode, nsid: u32, cdw10: u32) -> Command {
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

/// Whose image is being brought to a controller; nobody's any more once this is dropped.
struct ImageTurn<'a>(&'a Ctrlr);

impl<'a> ImageTurn<'a> {
    fn begin(ctrlr: &'a Ctrlr) -> Result<Self, c_int> {
        let begun = ctrlr.admin(|host| host.begin_image());
        waited(&ctrlr.describe(), begun).map(|()| Self(ctrlr))
    }

    /// Whether the controller still has what it got of the image.
    fn may_go_on(&self) -> Result<(), c_int> {
        waited(&self.0.describe(), self.0.admin(|host| host.keeps_image()))
    }
}

impl Drop for ImageTurn<'_> {
    fn drop(&mut self) {
        self.0.admin(|host| host.end_image());
    }
}

/// Downloads a firmware image, commits it to a slot, and resets the controller: its queue pairs have to be connected again.
///
/// commit_action is SPDK_NVME_FW_COMMIT_REPLACE_IMG or SPDK_NVME_FW_COMMIT_REPLACE_AND_ENABLE_IMG, size a multiple of 4; anything else is
/// -1. completion_status gets the status of the commit. If that asks for a conventional reset, which is not this library's to do, the
/// answer is -EIO and there is no reset. -EBUSY while another image is being downloaded; -ECANCELED if the controller was reset
/// before it had all of this one. Returns 0; -1 if the controller could not be brought up again; or another error value.
///
/// # Safety
///
/// ctrlr is a handle that nobody else is detaching. payload has size bytes; completion_status is NULL, which is refused, or can be
/// written.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn spdk_nvme_ctrlr_update_firmware(
    ctrlr: *mut spdk_nvme_ctrlr,
    payload: *mut c_void,
    size: u32,
    slot: c_int,
    commit_action: spdk_nvme_fw_commit_action,
    completion_status: *mut spdk_nvme_status,
) -> c_int {
    entry!(
        spdk_nvme_ctrlr_update_firmware(ctrlr, payload, size, slot, commit_action, completion_status),
        Ctrlr as share,
        ctrlr,
        -EINVAL,
        |object| {
            use spdk_nvme_fw_commit_action as Action;
            if completion_status.is_null() {
                return invalid(String::from("spdk_nvme_ctrlr_update_firmware: no place for the status"));
            }
            const { assert!(size_of::<spdk_nvme_status>() == size_of::<u16>()) };
            let tell = |status: Status| {
                // SAFETY: the caller vouches for the place, of 16 bits: the status field and, in bit 0, the phase tag.
                unsafe { completion_status.cast::<u16>().write_unaligned(status.0 << 1) };
            };
            tell(Status::SUCCESS);
            let is_known = matches!(
                commit_action,
                Action::SPDK_NVME_FW_COMMIT_REPLACE_IMG | Action::SPDK_NVME_FW_COMMIT_REPLACE_AND_ENABLE_IMG
            );
            if !is_known || !size.is_multiple_of(4) || payload.is_null() || !(0..=7).contains(&slot) {
                invalid(format!(
                    "spdk_nvme_ctrlr_update_firmware: {size} bytes at {payload:p}, slot {slot}, action {}",
                    commit_action.0
                ));
                return -1;
            }
            let turn = match ImageTurn::begin(&object) {
                Ok(turn) => turn,
                Err(rc) => return rc,
            };
            let most = object.admin(|host| host.image_piece());
            for offset in (0..size).step_by(most as usize) {
                let length = most.min(size.saturating_sub(offset));
                let download = Command::firmware_image_download(offset, length);
                if let Err(rc) = turn.may_go_on() {
                    return rc;
                }
                let piece = Buffer { address: payload.wrapping_byte_add(offset as usize), size: length };
                // SAFETY: the caller vouches for the image.
                if let Err(rc) = unsafe { run(&object, "Firmware Image Download", download, piece) } {
                    return rc;
                }
            }
            if let Err(rc) = turn.may_go_on() {
                return rc;
            }
            let cdw10 = slot.unsigned_abs() | commit_action.0 << 3;
            let commit = command(AdminOpcode::FIRMWARE_COMMIT, 0, cdw10);
            let answer =
                object.admin(|host| host.request_admin("Firmware Commit", commit, host::CopiedData::None));
            match answer {
                Ok(_) => {}
                Err(host::Error::Command { completion, .. }) => {
                    tell(completion.status());
                    let status = completion.status().with_dnr(false);
                    if status == Status::FIRMWARE_REQUIRES_CONVENTIONAL_RESET {
                        tracing::warn!("{}: the firmware needs a conventional reset", object.describe());
                        return -libc::EIO;
                    }
                    if status != Status::FIRMWARE_REQUIRES_NVM_RESET {
                        return waited(&object.describe(), answer).map_or_else(|rc| rc, |_| 0);
                    }
                }
                Err(_) => return waited(&object.describe(), answer).map_or_else(|rc| rc, |_| 0),
            }
            brought_up(&object, object.admin(|host| host.reset()))
        }
    )
}

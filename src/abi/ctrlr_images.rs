//! Images that are brought to a controller: firmware, and what its boot partitions hold (Base 2.0, 5.11, 5.12, 8.2).
//!
//! One image at a time is on its way to a controller, and none goes on past a reset: see `host`'s own module of images. Payloads may be in any
//! memory.

use super::{
    callback::{context, upcall},
    copied::Buffer,
    ctrlr::Ctrlr,
    ctrlr_life::brought_up,
    ctrlr_manage::{command, run},
    ctrlr_pcie::{NO_BOOT_PARTITION, refuse},
    entry::entry,
    error::{invalid, negated_errno, waited},
    types::{spdk_nvme_cmd_cb, spdk_nvme_ctrlr, spdk_nvme_fw_commit_action, spdk_nvme_status},
};
use crate::host;
use libc::{EINVAL, ENOTSUP, c_int, c_void};
use spec::{AdminOpcode, Command, Completion, Status, firmware::BootPartition};
use std::slice;

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
            for (begin, length) in host::pieces(size, object.admin(|host| host.image_piece())) {
                let download = Command::firmware_image_download(begin, length);
                if let Err(rc) = turn.may_go_on() {
                    return rc;
                }
                let piece = Buffer { address: payload.wrapping_byte_add(begin as usize), size: length };
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

/// Writes a boot partition, of the controller's two, and makes it the active one: payload is downloaded in pieces (Firmware Image Download),
/// then replaces what boot partition bpid holds, which then is activated (Firmware Commit; Base 2.0, 8.2.2).
///
/// 0 says that it has begun: cb_fn, which may be NULL, is called once from a poll of the Admin Queue, with the completion of the last command,
/// or of the one that failed; Internal Error if one could not be sent, of which a line says why. What the partition held is lost only when
/// the replacing has begun. payload is copied, in any memory. Negated errno, and cb_fn is not called: -ENOTSUP if the controller has no boot
/// partitions (CAP.BPS), -EINVAL for a payload that is NULL, a size that is 0 or no multiple of 4, or a bpid other than 0 or 1; -EBUSY while
/// another image, or firmware, is being downloaded; -ENOMEM, -ENXIO as with other admin commands. If the controller is reset before it has all
/// of it, nothing is replaced.
///
/// # Safety
///
/// ctrlr is a handle that nobody else is detaching. payload has size bytes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn spdk_nvme_ctrlr_write_boot_partition(
    ctrlr: *mut spdk_nvme_ctrlr,
    payload: *mut c_void,
    size: u32,
    bpid: u32,
    cb_fn: spdk_nvme_cmd_cb,
    cb_arg: *mut c_void,
) -> c_int {
    entry!(
        spdk_nvme_ctrlr_write_boot_partition(ctrlr, payload, size, bpid, cb_fn, cb_arg),
        Ctrlr as share,
        ctrlr,
        -EINVAL,
        |object| {
            let what = format!("writing boot partition {bpid}, {size} bytes at {payload:p}");
            let refused = |why: &str, answer| refuse(&object, format_args!("{what}"), why, answer);
            if !object.summary().capabilities().bps() {
                return refused(NO_BOOT_PARTITION, -ENOTSUP);
            }
            let Some(partition) = BootPartition::of(bpid) else {
                return refused("there are 0 and 1", -EINVAL);
            };
            if payload.is_null() || size == 0 {
                return refused("there is nothing to be written", -EINVAL);
            }
            // SAFETY: the caller vouches for the payload; nobody writes to it during the call.
            let image = unsafe { slice::from_raw_parts(payload.cast::<u8>(), size as usize) };
            let (context, label, of_what) = (context(cb_fn, cb_arg), object.describe(), what.clone());
            let told = move |ended: Result<Completion, host::Error>| {
                let completion = ended.unwrap_or_else(|error| {
                    tracing::error!("{label}: {of_what}: {error}");
                    host::unsent()
                });
                if !context.function.is_null() {
                    upcall(context.argument, &completion, context.function);
                }
            };
            match object.admin(|host| host.write_boot_partition(image, partition, told)) {
                Ok(()) => 0,
                Err(error) => refused(&error.to_string(), negated_errno(&error)),
            }
        }
    )
}

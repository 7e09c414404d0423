//! Zoned namespaces.

use super::{
    callback::context,
    ctrlr::Ctrlr,
    entry::entry,
    error::submission,
    ns::Ns,
    ns_cmd::on_namespace,
    types::{
        spdk_nvme_cmd_cb, spdk_nvme_ctrlr, spdk_nvme_ns, spdk_nvme_qpair, spdk_nvme_zns_ctrlr_data,
        spdk_nvme_zns_ns_data,
    },
};
use crate::host::Payload;
use libc::{c_int, c_void};
use spec::{Command, identify::CSI_ZONED};
use std::ptr;

/// Zone Management Send (ZNS 3.4.3)
const ZONE_MANAGEMENT_SEND: u8 = 0x79;
/// Its action Reset Zone, and the flag for all zones, in Dword 13.
const RESET_ZONE: u32 = 0x04;
const SELECT_ALL: u32 = 1 << 8;

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

/// Resets the zone that begins at slba, or all zones; calls cb_fn from a poll of the queue pair when done.
///
/// Whether the namespace is zoned is for the controller to say. Returns 0, -ENOMEM if no request is free, -ENXIO if
/// the queue pair is not connected.
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
            submission(object.host().submit(
                reset_zone(namespace.id(), slba, select_all),
                Payload::None,
                context(cb_fn, cb_arg),
            ))
        }
    )
}

fn reset_zone(nsid: u32, slba: u64, select_all: bool) -> Command {
    let mut command = Command::new(ZONE_MANAGEMENT_SEND);
    command.set_nsid(nsid);
    if select_all {
        command.set_cdw13(RESET_ZONE | SELECT_ALL);
    } else {
        command.set_lba(slba);
        command.set_cdw13(RESET_ZONE);
    }
    command
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_names_one_zone_or_all() {
        let one = reset_zone(3, 0x1_0000_0002, false);
        assert_eq!((one.opcode(), one.nsid(), one.lba(), one.cdw13()), (0x79, 3, 0x1_0000_0002, 4));
        let all = reset_zone(3, 0x1_0000_0002, true);
        assert_eq!((all.lba(), all.cdw13()), (0, 0x104));
    }
}

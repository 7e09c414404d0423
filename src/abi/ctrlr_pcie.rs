//! Properties that are read over the wire, and what programs do with them that is for PCIe. Over fabrics a controller has no
//! memory that a host could map: these answers are the same for all.

use super::{
    ctrlr::Ctrlr,
    entry::{entry, next},
    error::negated_errno,
    handles::is_mixed,
    qpair::Qpair,
    types::{
        spdk_memory_domain, spdk_nvme_bpinfo_register, spdk_nvme_cc_register, spdk_nvme_cmbsz_register,
        spdk_nvme_cmd, spdk_nvme_cmd_cb, spdk_nvme_csts_register, spdk_nvme_ctrlr,
        spdk_nvme_pcie_hotplug_filter_cb, spdk_nvme_pmrcap_register, spdk_nvme_qpair, spdk_nvme_registers,
        spdk_nvme_remove_cb, spdk_pci_device,
    },
};
use libc::{EINVAL, EIO, ENOSYS, ENOTSUP, c_int, c_void, size_t};
use spec::{fabrics::PropertySize, registers};
use std::{fmt, ptr};

/// What of a controller's memory there is not over fabrics.
const NO_CMB: &str = "over fabrics there is no controller memory buffer";
pub(super) const NO_BOOT_PARTITION: &str = "the controller has none (CAP.BPS is 0)";
const NO_PMR: &str = "over fabrics there is no persistent memory region";

/// A property of four bytes. None, after a log line, if the controller does not give it.
fn read(object: &Ctrlr, what: &'static str, offset: u32) -> Option<u32> {
    let value = object.admin(|host| host.read_property(what, offset, PropertySize::FOUR));
    match value {
        Ok(value) => Some(value as u32), // the answer to such a read has no more
        Err(error) => {
            tracing::info!("{}: {error}", object.describe());
            None
        }
    }
}

/// Says what a controller was asked for that there is not over fabrics, and why.
#[cold]
pub(super) fn refuse<T>(object: &Ctrlr, what: fmt::Arguments<'_>, why: &str, answer: T) -> T {
    tracing::error!("{}: {what}: {why}", object.describe());
    answer
}

/// Reads the CSTS property, and waits for the answer; admin callbacks may run meanwhile. All bits
/// are 1 if there is none, as when the controller has failed, and for a handle that is no controller.
///
/// # Safety
///
/// ctrlr is a handle that nobody else is detaching.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn spdk_nvme_ctrlr_get_regs_csts(
    ctrlr: *mut spdk_nvme_ctrlr,
) -> spdk_nvme_csts_register {
    let refused = spdk_nvme_csts_register { raw: u32::MAX };
    entry!(spdk_nvme_ctrlr_get_regs_csts(ctrlr), Ctrlr as share, ctrlr, refused, |object| {
        spdk_nvme_csts_register { raw: read(&object, "reading CSTS", registers::CSTS).unwrap_or(u32::MAX) }
    })
}

/// Reads the CC property, and waits for the answer; admin callbacks may run meanwhile. All bits
/// are 1 if there is none, as when the controller has failed, and for a handle that is no controller.
///
/// # Safety
///
/// ctrlr is a handle that nobody else is detaching.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn spdk_nvme_ctrlr_get_regs_cc(ctrlr: *mut spdk_nvme_ctrlr) -> spdk_nvme_cc_register {
    let refused = spdk_nvme_cc_register { raw: u32::MAX };
    entry!(spdk_nvme_ctrlr_get_regs_cc(ctrlr), Ctrlr as share, ctrlr, refused, |object| {
        spdk_nvme_cc_register { raw: read(&object, "reading CC", registers::CC).unwrap_or(u32::MAX) }
    })
}

/// Reads the CMBSZ property, and waits for the answer; admin callbacks may run meanwhile. All bits
/// are 0 if there is none, as over fabrics as a rule, and for a handle that is no controller.
///
/// # Safety
///
/// ctrlr is a handle that nobody else is detaching.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn spdk_nvme_ctrlr_get_regs_cmbsz(
    ctrlr: *mut spdk_nvme_ctrlr,
) -> spdk_nvme_cmbsz_register {
    let refused = spdk_nvme_cmbsz_register { raw: 0 };
    entry!(spdk_nvme_ctrlr_get_regs_cmbsz(ctrlr), Ctrlr as share, ctrlr, refused, |object| {
        spdk_nvme_cmbsz_register { raw: read(&object, "reading CMBSZ", registers::CMBSZ).unwrap_or(0) }
    })
}

/// Reads the PMRCAP property, and waits for the answer; admin callbacks may run meanwhile. All bits
/// are 0 if there is none, as over fabrics as a rule, and for a handle that is no controller.
///
/// # Safety
///
/// ctrlr is a handle that nobody else is detaching.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn spdk_nvme_ctrlr_get_regs_pmrcap(
    ctrlr: *mut spdk_nvme_ctrlr,
) -> spdk_nvme_pmrcap_register {
    let refused = spdk_nvme_pmrcap_register { raw: 0 };
    entry!(spdk_nvme_ctrlr_get_regs_pmrcap(ctrlr), Ctrlr as share, ctrlr, refused, |object| {
        spdk_nvme_pmrcap_register { raw: read(&object, "reading PMRCAP", registers::PMRCAP).unwrap_or(0) }
    })
}

/// Reads the BPINFO property, and waits for the answer; admin callbacks may run meanwhile. All bits
/// are 0 if there is none, as over fabrics as a rule, and for a handle that is no controller.
///
/// # Safety
///
/// ctrlr is a handle that nobody else is detaching.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn spdk_nvme_ctrlr_get_regs_bpinfo(
    ctrlr: *mut spdk_nvme_ctrlr,
) -> spdk_nvme_bpinfo_register {
    let refused = spdk_nvme_bpinfo_register { raw: 0 };
    entry!(spdk_nvme_ctrlr_get_regs_bpinfo(ctrlr), Ctrlr as share, ctrlr, refused, |object| {
        spdk_nvme_bpinfo_register { raw: read(&object, "reading BPINFO", registers::BPINFO).unwrap_or(0) }
    })
}

/// The controller's registers in memory: there are none over fabrics, so the answer is NULL.
///
/// # Safety
///
/// ctrlr is a handle that nobody else is detaching.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn spdk_nvme_ctrlr_get_registers(
    ctrlr: *mut spdk_nvme_ctrlr,
) -> *mut spdk_nvme_registers {
    entry!(spdk_nvme_ctrlr_get_registers(ctrlr), Ctrlr, ctrlr, ptr::null_mut(), |_object| ptr::null_mut())
}

/// The controller's PCI device: there is none over fabrics, so the answer is NULL.
///
/// # Safety
///
/// ctrlr is a handle that nobody else is detaching.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn spdk_nvme_ctrlr_get_pci_device(ctrlr: *mut spdk_nvme_ctrlr) -> *mut spdk_pci_device {
    entry!(spdk_nvme_ctrlr_get_pci_device(ctrlr), Ctrlr, ctrlr, ptr::null_mut(), |_object| ptr::null_mut())
}

/// Maps the controller memory buffer: there is none over fabrics, so the answer is NULL. size is not touched.
///
/// # Safety
///
/// ctrlr is a handle that nobody else is detaching.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn spdk_nvme_ctrlr_map_cmb(
    ctrlr: *mut spdk_nvme_ctrlr,
    size: *mut size_t,
) -> *mut c_void {
    entry!(spdk_nvme_ctrlr_map_cmb(ctrlr, size), Ctrlr, ctrlr, ptr::null_mut(), |object| {
        refuse(object, format_args!("mapping the controller memory buffer"), NO_CMB, ptr::null_mut())
    })
}

/// Undoes spdk_nvme_ctrlr_map_cmb(); nothing to do over fabrics.
///
/// # Safety
///
/// ctrlr is a handle that nobody else is detaching.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn spdk_nvme_ctrlr_unmap_cmb(ctrlr: *mut spdk_nvme_ctrlr) {
    entry!(spdk_nvme_ctrlr_unmap_cmb(ctrlr), Ctrlr, ctrlr, (), |_object| ())
}

/// Reserves the controller memory buffer: there is none over fabrics, so the answer is -ENOTSUP.
///
/// # Safety
///
/// ctrlr is a handle that nobody else is detaching.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn spdk_nvme_ctrlr_reserve_cmb(ctrlr: *mut spdk_nvme_ctrlr) -> c_int {
    entry!(spdk_nvme_ctrlr_reserve_cmb(ctrlr), Ctrlr, ctrlr, -EINVAL, |object| {
        refuse(object, format_args!("reserving the controller memory buffer"), NO_CMB, -ENOTSUP)
    })
}

/// Enables the persistent memory region: there is none over fabrics, so the answer is -ENOSYS.
///
/// # Safety
///
/// ctrlr is a handle that nobody else is detaching.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn spdk_nvme_ctrlr_enable_pmr(ctrlr: *mut spdk_nvme_ctrlr) -> c_int {
    entry!(spdk_nvme_ctrlr_enable_pmr(ctrlr), Ctrlr, ctrlr, -EINVAL, |object| {
        refuse(object, format_args!("enabling the persistent memory region"), NO_PMR, -ENOSYS)
    })
}

/// Disables the persistent memory region: there is none over fabrics, so the answer is -ENOSYS.
///
/// # Safety
///
/// ctrlr is a handle that nobody else is detaching.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn spdk_nvme_ctrlr_disable_pmr(ctrlr: *mut spdk_nvme_ctrlr) -> c_int {
    entry!(spdk_nvme_ctrlr_disable_pmr(ctrlr), Ctrlr, ctrlr, -EINVAL, |object| {
        refuse(object, format_args!("disabling the persistent memory region"), NO_PMR, -ENOSYS)
    })
}

/// Maps the persistent memory region: there is none over fabrics, so the answer is NULL. size is not touched.
///
/// # Safety
///
/// ctrlr is a handle that nobody else is detaching.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn spdk_nvme_ctrlr_map_pmr(
    ctrlr: *mut spdk_nvme_ctrlr,
    size: *mut size_t,
) -> *mut c_void {
    entry!(spdk_nvme_ctrlr_map_pmr(ctrlr, size), Ctrlr, ctrlr, ptr::null_mut(), |object| {
        refuse(object, format_args!("mapping the persistent memory region"), NO_PMR, ptr::null_mut())
    })
}

/// Undoes spdk_nvme_ctrlr_map_pmr(): there is nothing to undo over fabrics, so the answer is -ENOSYS.
///
/// # Safety
///
/// ctrlr is a handle that nobody else is detaching.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn spdk_nvme_ctrlr_unmap_pmr(ctrlr: *mut spdk_nvme_ctrlr) -> c_int {
    entry!(spdk_nvme_ctrlr_unmap_pmr(ctrlr), Ctrlr, ctrlr, -EINVAL, |object| {
        refuse(object, format_args!("unmapping the persistent memory region"), NO_PMR, -ENOSYS)
    })
}

/// The bytes of the persistent memory region: there is none over fabrics.
///
/// # Safety
///
/// ctrlr is a handle that nobody else is detaching.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn spdk_nvme_ctrlr_get_pmrsz(ctrlr: *mut spdk_nvme_ctrlr) -> u64 {
    entry!(spdk_nvme_ctrlr_get_pmrsz(ctrlr), Ctrlr, ctrlr, 0, |_object| 0)
}

/// Begins to read a boot partition into payload: -ENOTSUP. If the controller has any (CAP.BPS), it would put what it reads to an address in the
/// host's memory (BPMBL), which it does not reach over fabrics.
///
/// # Safety
///
/// ctrlr is a handle that nobody else is detaching.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn spdk_nvme_ctrlr_read_boot_partition_start(
    ctrlr: *mut spdk_nvme_ctrlr,
    payload: *mut c_void,
    bprsz: u32,
    bprof: u32,
    bpid: u32,
) -> c_int {
    entry!(
        spdk_nvme_ctrlr_read_boot_partition_start(ctrlr, payload, bprsz, bprof, bpid),
        Ctrlr,
        ctrlr,
        -EINVAL,
        |object| {
            let why = if object.summary().capabilities().bps() {
                "over fabrics it cannot write to the memory that BPMBL names"
            } else {
                NO_BOOT_PARTITION
            };
            let what =
                format_args!("reading boot partition {bpid}, {bprsz} units of 4 KiB from unit {bprof}");
            refuse(object, what, why, -ENOTSUP)
        }
    )
}

/// How far reading a boot partition has come: -EIO if the controller does not say, -EINVAL if it has none. Nothing was begun,
/// so it is never 0.
///
/// # Safety
///
/// ctrlr is a handle that nobody else is detaching.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn spdk_nvme_ctrlr_read_boot_partition_poll(ctrlr: *mut spdk_nvme_ctrlr) -> c_int {
    entry!(spdk_nvme_ctrlr_read_boot_partition_poll(ctrlr), Ctrlr as share, ctrlr, -EINVAL, |object| {
        let Some(bpinfo) = read(&object, "reading BPINFO", registers::BPINFO) else { return -EIO };
        let what = format_args!("asking how far a boot partition is read (BPINFO {bpinfo:#x})");
        refuse(&object, what, "this host has begun none", -EINVAL)
    })
}

/// Whether a reset of the NVM subsystem is known to leave the controller attached: not over fabrics.
///
/// # Safety
///
/// ctrlr is a handle that nobody else is detaching.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn spdk_nvme_ctrlr_is_nssr_supported(ctrlr: *mut spdk_nvme_ctrlr) -> bool {
    entry!(spdk_nvme_ctrlr_is_nssr_supported(ctrlr), Ctrlr, ctrlr, false, |_object| false)
}

/// Resets the NVM subsystem. The connection may be lost by that. 0, -ENOTSUP if the controller cannot (CAP.NSSRS), -1 if it
/// does not answer.
///
/// # Safety
///
/// ctrlr is a handle that nobody else is detaching.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn spdk_nvme_ctrlr_reset_subsystem(ctrlr: *mut spdk_nvme_ctrlr) -> c_int {
    entry!(spdk_nvme_ctrlr_reset_subsystem(ctrlr), Ctrlr as share, ctrlr, -EINVAL, |object| {
        match object.admin(|host| host.reset_subsystem()).map_err(|error| negated_errno(&error)) {
            Ok(()) => 0,
            Err(rc) if rc == -ENOTSUP => rc,
            Err(_) => -1,
        }
    })
}

/// Sends a command whose data pointer the program has filled in. Over fabrics only this library can: -EINVAL.
///
/// # Safety
///
/// Both are handles that nobody else is freeing. cmd is not touched.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn spdk_nvme_ctrlr_io_cmd_raw_no_payload_build(
    ctrlr: *mut spdk_nvme_ctrlr,
    qpair: *mut spdk_nvme_qpair,
    cmd: *mut spdk_nvme_cmd,
    cb_fn: spdk_nvme_cmd_cb,
    cb_arg: *mut c_void,
) -> c_int {
    if is_mixed("spdk_nvme_ctrlr_io_cmd_raw_no_payload_build", qpair.addr(), ctrlr.addr()) {
        return -EINVAL;
    }
    entry!(
        spdk_nvme_ctrlr_io_cmd_raw_no_payload_build(ctrlr, qpair, cmd, cb_fn, cb_arg),
        Qpair,
        qpair,
        -EINVAL,
        |_object| {
            tracing::error!(
                "spdk_nvme_ctrlr_io_cmd_raw_no_payload_build: over fabrics the data pointer is not the program's to fill in"
            );
            -EINVAL
        }
    )
}

/// Sets what is called when the controller is removed. Over RDMA nothing is: a device that goes away shows as the failure of
/// the queue pairs that it carried.
///
/// # Safety
///
/// ctrlr is a handle that nobody else is detaching.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn spdk_nvme_ctrlr_set_remove_cb(
    ctrlr: *mut spdk_nvme_ctrlr,
    remove_cb: spdk_nvme_remove_cb,
    remove_ctx: *mut c_void,
) {
    entry!(spdk_nvme_ctrlr_set_remove_cb(ctrlr, remove_cb, remove_ctx), Ctrlr, ctrlr, (), |_object| ());
}

/// Says which PCIe devices that are plugged in are looked at: for another library, if there is one that has such. There are none over RDMA.
///
/// # Safety
///
/// filter_cb is NULL or stays good for as long as the program probes for PCIe devices.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn spdk_nvme_pcie_set_hotplug_filter(filter_cb: spdk_nvme_pcie_hotplug_filter_cb) {
    // Without another library there is nothing to be filtered.
    let _ = next!(spdk_nvme_pcie_set_hotplug_filter(filter_cb));
}

/// The memory domains that buffers of I/O may come from, besides the process's own: there are none. domains is not touched.
///
/// # Safety
///
/// ctrlr is a handle that nobody else is detaching.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn spdk_nvme_ctrlr_get_memory_domains(
    ctrlr: *const spdk_nvme_ctrlr,
    domains: *mut *mut spdk_memory_domain,
    array_size: c_int,
) -> c_int {
    entry!(spdk_nvme_ctrlr_get_memory_domains(ctrlr, domains, array_size), Ctrlr, ctrlr, 0, |_object| 0)
}

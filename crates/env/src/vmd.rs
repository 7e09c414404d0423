//! `spdk_vmd_*`: Intel volume management devices hold PCIe drives only, so there is never one here.
#![allow(unsafe_code)]

use std::ffi::{c_int, c_uint};

use crate::pci::{PciAddr, PciDevice};

/// `enum spdk_vmd_led_state`. C writes it, so it is a number and not a Rust enum.
#[repr(transparent)]
pub(crate) struct LedState(c_uint);

/// No device is behind a volume management device.
#[unsafe(no_mangle)]
pub extern "C" fn spdk_vmd_pci_device_list(_vmd_addr: PciAddr, _nvme_list: *mut PciDevice) -> c_int {
    0
}

/// No device has that address.
#[unsafe(no_mangle)]
pub extern "C" fn spdk_vmd_remove_device(_addr: *const PciAddr) -> c_int {
    -libc::ENODEV
}

/// The device is not behind a volume management device.
#[unsafe(no_mangle)]
pub extern "C" fn spdk_vmd_set_led_state(_pci_device: *mut PciDevice, _state: LedState) -> c_int {
    -libc::ENODEV
}

/// The device is not behind a volume management device.
#[unsafe(no_mangle)]
pub extern "C" fn spdk_vmd_get_led_state(_pci_device: *mut PciDevice, _state: *mut LedState) -> c_int {
    -libc::ENODEV
}

/// Enumerating finds nothing and is a success.
#[unsafe(no_mangle)]
pub extern "C" fn spdk_vmd_init() -> c_int {
    0
}

/// There is nothing to undo.
#[unsafe(no_mangle)]
pub extern "C" fn spdk_vmd_fini() {}

/// Number of events since the last call.
#[unsafe(no_mangle)]
pub extern "C" fn spdk_vmd_hotplug_monitor() -> c_int {
    0
}

/// Number of devices found.
#[unsafe(no_mangle)]
pub extern "C" fn spdk_vmd_rescan() -> c_int {
    0
}

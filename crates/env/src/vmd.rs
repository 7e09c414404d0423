//! `spdk_vmd_*`: Intel volume management devices hold PCIe drives only, so there is never one here.
#![allow(unsafe_code)]

use std::ffi::{c_int, c_void};

/// Enumerating finds nothing and is a success, as on a machine without such a device.
#[unsafe(no_mangle)]
extern "C" fn spdk_vmd_init() -> c_int {
    0
}

#[unsafe(no_mangle)]
extern "C" fn spdk_vmd_fini() {}

/// Number of events since the last call.
#[unsafe(no_mangle)]
extern "C" fn spdk_vmd_hotplug_monitor() -> c_int {
    0
}

/// Number of devices found.
#[unsafe(no_mangle)]
extern "C" fn spdk_vmd_rescan() -> c_int {
    0
}

/// No device has that address.
///
/// # Safety
/// None: the address is not read.
#[unsafe(no_mangle)]
unsafe extern "C" fn spdk_vmd_remove_device(_addr: *const c_void) -> c_int {
    -libc::ENODEV
}

/// No device is behind a VMD.
///
/// # Safety
/// None: the device is not read.
#[unsafe(no_mangle)]
unsafe extern "C" fn spdk_vmd_set_led_state(_pci_device: *mut c_void, _state: c_int) -> c_int {
    -libc::ENODEV
}

/// No device is behind a VMD.
///
/// # Safety
/// None: nothing is read or written.
#[unsafe(no_mangle)]
unsafe extern "C" fn spdk_vmd_get_led_state(_pci_device: *mut c_void, _state: *mut c_int) -> c_int {
    -libc::ENODEV
}

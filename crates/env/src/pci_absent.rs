//! `spdk_pci_*` where a device is needed: there is none.
//!
//! Enumerating finds nothing and is a success, as on a machine without NVMe drives. What names a device fails with
//! `ENODEV`, or with -1 where SPDK has only that.
#![allow(unsafe_code)]

use std::ffi::{c_char, c_int, c_void};
use std::ptr::null_mut;

use crate::pci::{PciAddr, PciDevice, PciId};

/// `struct spdk_pci_driver`: never made.
pub(crate) struct PciDriver {
    _nobody_looks_inside: [u8; 0],
}

/// `struct spdk_pci_device_provider`: never called.
pub(crate) struct PciDeviceProvider {
    _nobody_looks_inside: [u8; 0],
}

/// `struct spdk_pci_event`: never written.
pub(crate) struct PciEvent {
    _nobody_looks_inside: [u8; 0],
}

type EnumCallback = Option<unsafe extern "C" fn(*mut c_void, *mut PciDevice) -> c_int>;
type ErrorHandler = Option<unsafe extern "C" fn(*const c_void, *mut c_void)>;

/// Drivers are accepted and never find a device.
#[unsafe(no_mangle)]
pub extern "C" fn spdk_pci_driver_register(_name: *const c_char, _id_table: *mut PciId, _flags: u32) {}

#[unsafe(no_mangle)]
pub extern "C" fn spdk_pci_register_device_provider(_provider: *mut PciDeviceProvider) {}

/// "No such device", as these functions tell it.
const NONE: c_int = -libc::ENODEV;

/// There is no driver of that name.
#[unsafe(no_mangle)]
pub extern "C" fn spdk_pci_get_driver(_name: *const c_char) -> *mut PciDriver {
    null_mut()
}

/// There is no such driver.
#[unsafe(no_mangle)]
pub extern "C" fn spdk_pci_nvme_get_driver() -> *mut PciDriver {
    null_mut()
}

/// There is no such driver.
#[unsafe(no_mangle)]
pub extern "C" fn spdk_pci_vmd_get_driver() -> *mut PciDriver {
    null_mut()
}

/// There is no such driver.
#[unsafe(no_mangle)]
pub extern "C" fn spdk_pci_idxd_get_driver() -> *mut PciDriver {
    null_mut()
}

/// There is no such driver.
#[unsafe(no_mangle)]
pub extern "C" fn spdk_pci_ioat_get_driver() -> *mut PciDriver {
    null_mut()
}

/// There is no such driver.
#[unsafe(no_mangle)]
pub extern "C" fn spdk_pci_ae4dma_get_driver() -> *mut PciDriver {
    null_mut()
}

/// There is no such driver.
#[unsafe(no_mangle)]
pub extern "C" fn spdk_pci_virtio_get_driver() -> *mut PciDriver {
    null_mut()
}

/// Finds nothing, which is no error.
#[unsafe(no_mangle)]
pub extern "C" fn spdk_pci_enumerate(
    _driver: *mut PciDriver,
    _enum_cb: EnumCallback,
    _enum_ctx: *mut c_void,
) -> c_int {
    0
}

/// Finds nothing.
#[unsafe(no_mangle)]
pub extern "C" fn spdk_pci_for_each_device(
    _ctx: *mut c_void,
    _func: Option<unsafe extern "C" fn(*mut c_void, *mut PciDevice)>,
) {
}

/// Nothing has that address.
#[unsafe(no_mangle)]
pub extern "C" fn spdk_pci_device_attach(
    _driver: *mut PciDriver,
    _enum_cb: EnumCallback,
    _enum_ctx: *mut c_void,
    _pci_address: *mut PciAddr,
) -> c_int {
    -1
}

/// There is nothing to detach.
#[unsafe(no_mangle)]
pub extern "C" fn spdk_pci_device_detach(_device: *mut PciDevice) {}

/// Any device may be used; there is none.
#[unsafe(no_mangle)]
pub extern "C" fn spdk_pci_device_allow(_pci_addr: *mut PciAddr) -> c_int {
    0
}

/// There is no register to map.
#[unsafe(no_mangle)]
pub extern "C" fn spdk_pci_device_map_bar(
    _dev: *mut PciDevice,
    _bar: u32,
    _mapped_addr: *mut *mut c_void,
    _phys_addr: *mut u64,
    _size: *mut u64,
) -> c_int {
    NONE
}

/// There is no register to unmap.
#[unsafe(no_mangle)]
pub extern "C" fn spdk_pci_device_unmap_bar(
    _dev: *mut PciDevice,
    _bar: u32,
    _mapped_addr: *mut c_void,
) -> c_int {
    NONE
}

/// There is no interrupt.
#[unsafe(no_mangle)]
pub extern "C" fn spdk_pci_device_enable_interrupt(_dev: *mut PciDevice) -> c_int {
    NONE
}

/// There is no interrupt.
#[unsafe(no_mangle)]
pub extern "C" fn spdk_pci_device_disable_interrupt(_dev: *mut PciDevice) -> c_int {
    NONE
}

/// There is no interrupt.
#[unsafe(no_mangle)]
pub extern "C" fn spdk_pci_device_get_interrupt_efd(_dev: *mut PciDevice) -> c_int {
    NONE
}

/// There is no interrupt.
#[unsafe(no_mangle)]
pub extern "C" fn spdk_pci_device_enable_interrupts(_dev: *mut PciDevice, _efd_count: u32) -> c_int {
    NONE
}

/// There is no interrupt.
#[unsafe(no_mangle)]
pub extern "C" fn spdk_pci_device_disable_interrupts(_dev: *mut PciDevice) -> c_int {
    NONE
}

/// There is no interrupt.
#[unsafe(no_mangle)]
pub extern "C" fn spdk_pci_device_get_interrupt_efd_by_index(_dev: *mut PciDevice, _index: u32) -> c_int {
    NONE
}

/// There is no configuration space.
#[unsafe(no_mangle)]
pub extern "C" fn spdk_pci_device_cfg_read(
    _dev: *mut PciDevice,
    _buf: *mut c_void,
    _len: u32,
    _offset: u32,
) -> c_int {
    -1
}

/// There is no configuration space.
#[unsafe(no_mangle)]
pub extern "C" fn spdk_pci_device_cfg_write(
    _dev: *mut PciDevice,
    _buf: *mut c_void,
    _len: u32,
    _offset: u32,
) -> c_int {
    -1
}

/// There is no configuration space.
#[unsafe(no_mangle)]
pub extern "C" fn spdk_pci_device_cfg_read8(_dev: *mut PciDevice, _value: *mut u8, _offset: u32) -> c_int {
    -1
}

/// There is no configuration space.
#[unsafe(no_mangle)]
pub extern "C" fn spdk_pci_device_cfg_write8(_dev: *mut PciDevice, _value: u8, _offset: u32) -> c_int {
    -1
}

/// There is no configuration space.
#[unsafe(no_mangle)]
pub extern "C" fn spdk_pci_device_cfg_read16(_dev: *mut PciDevice, _value: *mut u16, _offset: u32) -> c_int {
    -1
}

/// There is no configuration space.
#[unsafe(no_mangle)]
pub extern "C" fn spdk_pci_device_cfg_write16(_dev: *mut PciDevice, _value: u16, _offset: u32) -> c_int {
    -1
}

/// There is no configuration space.
#[unsafe(no_mangle)]
pub extern "C" fn spdk_pci_device_cfg_read32(_dev: *mut PciDevice, _value: *mut u32, _offset: u32) -> c_int {
    -1
}

/// There is no configuration space.
#[unsafe(no_mangle)]
pub extern "C" fn spdk_pci_device_cfg_write32(_dev: *mut PciDevice, _value: u32, _offset: u32) -> c_int {
    -1
}

/// There is no configuration space.
#[unsafe(no_mangle)]
pub extern "C" fn spdk_pci_device_get_serial_number(
    _dev: *mut PciDevice,
    _sn: *mut c_char,
    _len: usize,
) -> c_int {
    -1
}

/// There is nothing to claim.
#[unsafe(no_mangle)]
pub extern "C" fn spdk_pci_device_claim(_dev: *mut PciDevice) -> c_int {
    NONE
}

/// There is nothing to give back.
#[unsafe(no_mangle)]
pub extern "C" fn spdk_pci_device_unclaim(_dev: *mut PciDevice) {}

/// There is nothing to remove.
#[unsafe(no_mangle)]
pub extern "C" fn spdk_pci_device_is_removed(_dev: *mut PciDevice) -> bool {
    false
}

/// Emulated devices are not taken either.
#[unsafe(no_mangle)]
pub extern "C" fn spdk_pci_hook_device(_drv: *mut PciDriver, _dev: *mut PciDevice) -> c_int {
    -libc::ENOTSUP
}

/// Emulated devices are not taken either.
#[unsafe(no_mangle)]
pub extern "C" fn spdk_pci_unhook_device(_dev: *mut PciDevice) {}

/// There is no bus to listen to.
#[unsafe(no_mangle)]
pub extern "C" fn spdk_pci_event_listen() -> c_int {
    -libc::ENOTSUP
}

/// There is no bus to listen to.
#[unsafe(no_mangle)]
pub extern "C" fn spdk_pci_get_event(_fd: c_int, _event: *mut PciEvent) -> c_int {
    -libc::ENOTSUP
}

/// There is no bus that could have an error.
#[unsafe(no_mangle)]
pub extern "C" fn spdk_pci_register_error_handler(_sighandler: ErrorHandler, _ctx: *mut c_void) -> c_int {
    -libc::ENOTSUP
}

/// There is no bus that could have an error.
#[unsafe(no_mangle)]
pub extern "C" fn spdk_pci_unregister_error_handler(_sighandler: ErrorHandler) {}

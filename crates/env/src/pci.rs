//! `spdk_pci_addr_*`, and what a `struct spdk_pci_device` says about itself. The library never makes such a device
//! (`pci_absent.rs`); a program may have made one.
#![allow(unsafe_code)]

use std::ffi::{c_char, c_int, c_void};
use std::mem::{offset_of, size_of};
use std::ptr::null;

use crate::cstr;

/// `struct spdk_pci_addr`.
#[repr(C)]
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct PciAddr {
    domain: u32,
    bus: u8,
    dev: u8,
    func: u8,
}

/// `struct spdk_pci_id`.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub(crate) struct PciId {
    class_id: u32,
    vendor_id: u16,
    device_id: u16,
    subvendor_id: u16,
    subdevice_id: u16,
}

/// `struct spdk_pci_device`, as far as it is read here.
#[repr(C)]
pub(crate) struct PciDevice {
    parent: *mut PciDevice,
    dev_handle: *mut c_void,
    addr: PciAddr,
    id: PciId,
    numa_id: c_int,
    kind: *const c_char,
}

const _: () = assert!(size_of::<PciAddr>() == 8 && size_of::<PciId>() == 12);
const _: () = assert!(offset_of!(PciDevice, numa_id) == 36 && offset_of!(PciDevice, kind) == 40);

/// Compares domain, bus, device, function, in this order.
///
/// # Safety
/// Both are readable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn spdk_pci_addr_compare(a1: *const PciAddr, a2: *const PciAddr) -> c_int {
    // SAFETY: readable, by the contract of this function, or NULL, which comes first.
    let (first, second) = unsafe { (a1.as_ref(), a2.as_ref()) };
    first.cmp(&second) as c_int
}

/// Reads `domain:bus:device.function`, without domain, without function or without both; dots may stand for all colons.
///
/// # Safety
/// `addr` is NULL or writable; `bdf` is NULL or a string.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn spdk_pci_addr_parse(addr: *mut PciAddr, bdf: *const c_char) -> c_int {
    // SAFETY: NULL or a string; NULL or writable.
    let (text, addr) = unsafe { (cstr::borrow(bdf), addr.as_mut()) };
    let (Some(text), Some(addr)) = (text, addr) else { return -libc::EINVAL };
    match text.to_str().ok().and_then(parse) {
        Some(parsed) => {
            *addr = parsed;
            0
        }
        None => -libc::EINVAL,
    }
}

/// Writes `domain:bus:device.function`.
///
/// # Safety
/// `bdf` is writable for `sz` bytes and `addr` readable, or either is NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn spdk_pci_addr_fmt(bdf: *mut c_char, sz: usize, addr: *const PciAddr) -> c_int {
    // SAFETY: NULL or readable.
    let Some(addr) = (unsafe { addr.as_ref() }).filter(|_| !bdf.is_null()) else { return -1 };
    let text = format!("{:04x}:{:02x}:{:02x}.{:x}\0", addr.domain, addr.bus, addr.dev, addr.func);
    if text.len() > sz {
        return -1;
    }
    // SAFETY: at most `sz` bytes.
    unsafe { bdf.cast::<u8>().copy_from_nonoverlapping(text.as_ptr(), text.len()) };
    0
}

const NO_ID: PciId = PciId { class_id: 0, vendor_id: 0, device_id: 0, subvendor_id: 0, subdevice_id: 0 };

/// # Safety
/// `dev` is NULL or readable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn spdk_pci_device_get_domain(dev: *mut PciDevice) -> u32 {
    // SAFETY: NULL or readable.
    unsafe { dev.as_ref() }.map_or(0, |device| device.addr.domain)
}

/// # Safety
/// `dev` is NULL or readable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn spdk_pci_device_get_bus(dev: *mut PciDevice) -> u8 {
    // SAFETY: NULL or readable.
    unsafe { dev.as_ref() }.map_or(0, |device| device.addr.bus)
}

/// # Safety
/// `dev` is NULL or readable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn spdk_pci_device_get_dev(dev: *mut PciDevice) -> u8 {
    // SAFETY: NULL or readable.
    unsafe { dev.as_ref() }.map_or(0, |device| device.addr.dev)
}

/// # Safety
/// `dev` is NULL or readable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn spdk_pci_device_get_func(dev: *mut PciDevice) -> u8 {
    // SAFETY: NULL or readable.
    unsafe { dev.as_ref() }.map_or(0, |device| device.addr.func)
}

/// # Safety
/// `dev` is NULL or readable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn spdk_pci_device_get_addr(dev: *mut PciDevice) -> PciAddr {
    // SAFETY: NULL or readable.
    unsafe { dev.as_ref() }.map_or(PciAddr::default(), |device| device.addr)
}

/// # Safety
/// `dev` is NULL or readable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn spdk_pci_device_get_vendor_id(dev: *mut PciDevice) -> u16 {
    // SAFETY: NULL or readable.
    unsafe { dev.as_ref() }.map_or(0, |device| device.id.vendor_id)
}

/// # Safety
/// `dev` is NULL or readable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn spdk_pci_device_get_device_id(dev: *mut PciDevice) -> u16 {
    // SAFETY: NULL or readable.
    unsafe { dev.as_ref() }.map_or(0, |device| device.id.device_id)
}

/// # Safety
/// `dev` is NULL or readable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn spdk_pci_device_get_subvendor_id(dev: *mut PciDevice) -> u16 {
    // SAFETY: NULL or readable.
    unsafe { dev.as_ref() }.map_or(0, |device| device.id.subvendor_id)
}

/// # Safety
/// `dev` is NULL or readable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn spdk_pci_device_get_subdevice_id(dev: *mut PciDevice) -> u16 {
    // SAFETY: NULL or readable.
    unsafe { dev.as_ref() }.map_or(0, |device| device.id.subdevice_id)
}

/// # Safety
/// `dev` is NULL or readable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn spdk_pci_device_get_id(dev: *mut PciDevice) -> PciId {
    // SAFETY: NULL or readable.
    unsafe { dev.as_ref() }.map_or(NO_ID, |device| device.id)
}

/// # Safety
/// `dev` is NULL or readable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn spdk_pci_device_get_numa_id(dev: *mut PciDevice) -> c_int {
    // SAFETY: NULL or readable.
    unsafe { dev.as_ref() }.map_or(-1, |device| device.numa_id)
}

/// # Safety
/// `dev` is NULL or readable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn spdk_pci_device_get_socket_id(dev: *mut PciDevice) -> c_int {
    // SAFETY: NULL or readable.
    unsafe { dev.as_ref() }.map_or(-1, |device| device.numa_id)
}

/// # Safety
/// `dev` is NULL or readable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn spdk_pci_device_get_type(dev: *const PciDevice) -> *const c_char {
    // SAFETY: NULL or readable.
    unsafe { dev.as_ref() }.map_or(null(), |device| device.kind)
}

fn parse(text: &str) -> Option<PciAddr> {
    let parts: Vec<&str> = text.split([':', '.']).collect();
    let numbers: Vec<u32> =
        parts.iter().map(|part| u32::from_str_radix(part, 16).ok()).collect::<Option<_>>()?;
    let separators: String = text.chars().filter(|c| matches!(c, ':' | '.')).collect();
    let (domain, bus, dev, func) = match (numbers.as_slice(), separators.as_str()) {
        (&[domain, bus, dev, func], "::." | "...") => (domain, bus, dev, func),
        (&[domain, bus, dev], "::") => (domain, bus, dev, 0),
        (&[bus, dev, func], ":." | "..") => (0, bus, dev, func),
        (&[bus, dev], ":" | ".") => (0, bus, dev, 0),
        _ => return None,
    };
    if dev > 0x1f || func > 7 {
        return None;
    }
    Some(PciAddr {
        domain,
        bus: u8::try_from(bus).ok()?,
        dev: u8::try_from(dev).ok()?,
        func: u8::try_from(func).ok()?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_in_all_their_forms() {
        let addr = |domain, bus, dev, func| Some(PciAddr { domain, bus, dev, func });
        for (text, expected) in [
            ("0001:02:03.4", addr(1, 2, 3, 4)),
            ("10000.ff.1f.7", addr(0x10000, 0xff, 0x1f, 7)),
            ("1:02:03", addr(1, 2, 3, 0)),
            ("02:03.4", addr(0, 2, 3, 4)),
            ("02.03.4", addr(0, 2, 3, 4)),
            ("02:03", addr(0, 2, 3, 0)),
        ] {
            assert_eq!(parse(text), expected, "{text}");
        }
        for text in
            ["", "1", "0:100:0.0", "0:0:20.0", "0:0:0.8", "0:0.0.0.0", "x:y", "1:2:3:4", "::", "0:0:0.0 "]
        {
            assert_eq!(parse(text), None, "{text}");
        }
    }
}

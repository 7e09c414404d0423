//! `spdk_memzone_*`: buffers with a name.
//!
//! Invariant: each name is there once and names a live buffer.
#![allow(unsafe_code)]

use std::collections::BTreeMap;
use std::ffi::{CString, c_char, c_int, c_void};
use std::ptr::null_mut;

use parking_lot::Mutex;

use crate::{cstr, memory};

/// `SPDK_MAX_MEMZONE_NAME_LEN`, the NUL included.
const NAME_LENGTH: usize = 32;

struct Zone {
    address: usize,
    length: usize,
}

static ZONES: Mutex<BTreeMap<CString, Zone>> = Mutex::new(BTreeMap::new());

/// # Safety
/// `name` is NULL or a string.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn spdk_memzone_reserve(
    name: *const c_char,
    len: usize,
    numa_id: c_int,
    flags: u32,
) -> *mut c_void {
    // SAFETY: the same contract.
    unsafe { spdk_memzone_reserve_aligned(name, len, numa_id, flags, 0) }
}

/// A zeroed buffer. NULL: no memory, no or too long a name, or one that is there already.
///
/// # Safety
/// `name` is NULL or a string.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn spdk_memzone_reserve_aligned(
    name: *const c_char,
    len: usize,
    _numa_id: c_int,
    _flags: u32,
    align: u32,
) -> *mut c_void {
    // SAFETY: NULL or a string.
    let Some(name) = (unsafe { cstr::borrow(name) }) else { return null_mut() };
    if name.to_bytes_with_nul().len() > NAME_LENGTH || ZONES.lock().contains_key(name) {
        return null_mut();
    }
    // No lock here: taking memory may call the program's memory maps.
    let Some(address) = memory::take(len, align as usize) else { return null_mut() };
    let zone = address as *mut c_void;
    // SAFETY: `len` bytes that were taken just now.
    unsafe { zone.write_bytes(0, len) };
    let mut zones = ZONES.lock();
    if zones.contains_key(name) {
        drop(zones);
        memory::give_back(address, "spdk_memzone_reserve");
        return null_mut();
    }
    zones.insert(name.to_owned(), Zone { address, length: len });
    zone
}

/// # Safety
/// `name` is NULL or a string.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn spdk_memzone_lookup(name: *const c_char) -> *mut c_void {
    // SAFETY: NULL or a string.
    let Some(name) = (unsafe { cstr::borrow(name) }) else { return null_mut() };
    ZONES.lock().get(name).map_or(null_mut(), |zone| zone.address as *mut c_void)
}

/// 0, or -1 if there is no such zone.
///
/// # Safety
/// `name` is NULL or a string; nobody uses the zone any more.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn spdk_memzone_free(name: *const c_char) -> c_int {
    // SAFETY: NULL or a string.
    let Some(name) = (unsafe { cstr::borrow(name) }) else { return -1 };
    let zone = ZONES.lock().remove(name);
    match zone {
        Some(zone) => {
            memory::give_back(zone.address, "spdk_memzone_free");
            0
        }
        None => -1,
    }
}

/// One line for each zone.
///
/// # Safety
/// `f` is NULL or an open stream.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn spdk_memzone_dump(f: *mut libc::FILE) {
    let lines: Vec<String> = ZONES
        .lock()
        .iter()
        .map(|(name, zone)| {
            format!("{}: {:#x}, {} bytes\n", name.to_string_lossy(), zone.address, zone.length)
        })
        .collect();
    // SAFETY: NULL or an open stream.
    unsafe { cstr::write_stream(f, lines.concat().as_bytes()) };
}

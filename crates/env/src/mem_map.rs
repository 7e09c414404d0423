//! `spdk_mem_map_*`, `spdk_mem_register` and what else asks about registered memory.
#![allow(unsafe_code)]

use std::ffi::{c_int, c_void};
use std::ptr::{NonNull, null_mut};

use crate::registry::{self, AreContiguous, Error, MemMap, Notify};
use crate::table::{ADDRESS_LIMIT, SMALL_PAGE};

/// `SPDK_VTOPHYS_ERROR`.
const VTOPHYS_ERROR: u64 = u64::MAX;

/// `struct spdk_mem_map_ops`.
#[repr(C)]
#[derive(Clone, Copy)]
pub(crate) struct MemMapOps {
    notify_cb: Option<Notify>,
    are_contiguous: Option<AreContiguous>,
}

/// # Safety
/// `ops` is NULL or points to a table whose functions can be called with `cb_ctx` until the map is freed.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn spdk_mem_map_alloc(
    default_translation: u64,
    ops: *const MemMapOps,
    cb_ctx: *mut c_void,
) -> *mut MemMap {
    // SAFETY: NULL, or readable by the contract of this function.
    let (notify, contiguous) = match unsafe { ops.as_ref() } {
        Some(ops) => (ops.notify_cb, ops.are_contiguous),
        None => (None, None),
    };
    registry::add_map(default_translation, notify, contiguous, cb_ctx).map_or(null_mut(), NonNull::as_ptr)
}

/// # Safety
/// `pmap` is NULL or points to NULL or to a map of [`spdk_mem_map_alloc`] that nobody uses any more.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn spdk_mem_map_free(pmap: *mut *mut MemMap) {
    // SAFETY: NULL, or readable and writable by the contract of this function.
    let Some(slot) = (unsafe { pmap.as_mut() }) else { return };
    if let Some(map) = NonNull::new(std::mem::replace(slot, null_mut())) {
        // SAFETY: a live map that nobody else uses, by the contract of this function.
        unsafe { registry::free_map(map) };
    }
}

/// # Safety
/// `map` is NULL or a live map of [`spdk_mem_map_alloc`].
#[unsafe(no_mangle)]
pub unsafe extern "C" fn spdk_mem_map_set_translation(
    map: *mut MemMap,
    vaddr: u64,
    size: u64,
    translation: u64,
) -> c_int {
    // SAFETY: NULL or live, by the contract of this function; a map is changed behind shared references only.
    match unsafe { map.as_ref() } {
        Some(map) => set(map, vaddr, size, translation),
        None => -libc::EINVAL,
    }
}

/// # Safety
/// `map` is NULL or a live map of [`spdk_mem_map_alloc`].
#[unsafe(no_mangle)]
pub unsafe extern "C" fn spdk_mem_map_clear_translation(map: *mut MemMap, vaddr: u64, size: u64) -> c_int {
    // SAFETY: as in spdk_mem_map_set_translation.
    match unsafe { map.as_ref() } {
        Some(map) => set(map, vaddr, size, map.table.default_translation()),
        None => -libc::EINVAL,
    }
}

/// # Safety
/// `map` is NULL or a live map of [`spdk_mem_map_alloc`]; `size` is NULL or readable and writable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn spdk_mem_map_translate(map: *const MemMap, vaddr: u64, size: *mut u64) -> u64 {
    // SAFETY: NULL or live, by the contract of this function.
    let Some(map) = (unsafe { map.as_ref() }) else { return VTOPHYS_ERROR };
    let (translation, page) = map.table.get(vaddr);
    // SAFETY: NULL, or readable and writable by the contract of this function.
    let Some(size) = (unsafe { size.as_mut() }) else { return translation };
    let mut valid = page.wrapping_sub(vaddr & page.wrapping_sub(1));
    if let Some(are_contiguous) = map.contiguous
        && translation != map.table.default_translation()
    {
        let mut last = translation;
        while valid < *size {
            let next = vaddr.saturating_add(valid);
            if next >= ADDRESS_LIMIT {
                break;
            }
            let (following, page) = map.table.get(next);
            // SAFETY: the program's own function, as spdk_mem_map_alloc was given it.
            if unsafe { are_contiguous(last, following) } == 0 {
                break;
            }
            valid = valid.saturating_add(page);
            last = following;
        }
    }
    *size = valid.min(*size);
    translation
}

#[unsafe(no_mangle)]
pub extern "C" fn spdk_mem_register(vaddr: *mut c_void, len: usize) -> c_int {
    result(registry::register(vaddr.addr(), len))
}

#[unsafe(no_mangle)]
pub extern "C" fn spdk_mem_unregister(vaddr: *mut c_void, len: usize) -> c_int {
    result(registry::unregister(vaddr.addr(), len))
}

#[unsafe(no_mangle)]
pub extern "C" fn spdk_mem_reserve(vaddr: *mut c_void, len: usize) -> c_int {
    result(registry::reserve(vaddr.addr(), len))
}

/// A device addresses memory as the process does here, so a registered buffer's address is its own.
///
/// # Safety
/// `size` is NULL or readable and writable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn spdk_vtophys(buf: *const c_void, size: *mut u64) -> u64 {
    let Some(left) = registry::registered_from(buf.addr()) else { return VTOPHYS_ERROR };
    // SAFETY: NULL, or readable and writable by the contract of this function.
    if let Some(size) = unsafe { size.as_mut() } {
        *size = (left as u64).min(*size);
    }
    buf.addr() as u64
}

/// Buffers have no descriptor behind them.
#[unsafe(no_mangle)]
pub extern "C" fn spdk_mem_get_fd_and_offset(_vaddr: *mut c_void, _offset: *mut u64) -> c_int {
    -libc::ENOTSUP
}

/// Buffers are not placed on a node of their own: `SPDK_ENV_NUMA_ID_ANY`.
#[unsafe(no_mangle)]
pub extern "C" fn spdk_mem_get_numa_id(_buf: *const c_void, _size: *mut u64) -> i32 {
    -1
}

#[unsafe(no_mangle)]
pub extern "C" fn spdk_iommu_is_enabled() -> bool {
    false
}

fn set(map: &MemMap, address: u64, size: u64, translation: u64) -> c_int {
    let inside = address.checked_add(size).is_some_and(|end| end <= ADDRESS_LIMIT);
    if !inside || !address.is_multiple_of(SMALL_PAGE) || !size.is_multiple_of(SMALL_PAGE) {
        return -libc::EINVAL;
    }
    result(map.table.set(address, size, translation).map_err(Error::from))
}

fn result(result: Result<(), Error>) -> c_int {
    match result {
        Ok(()) => 0,
        Err(error) => -error.errno(),
    }
}

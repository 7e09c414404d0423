//! `spdk_ring_*`: a bounded queue of pointers between threads.
#![allow(unsafe_code)]

use std::collections::VecDeque;
use std::ffi::{c_int, c_uint, c_void};
use std::ptr::null_mut;

use parking_lot::Mutex;

/// `struct spdk_ring`. All types of ring have a lock, so each allows several producers and consumers.
pub(crate) struct Ring {
    /// Never grows beyond the capacity that it was made with.
    entries: Mutex<VecDeque<usize>>,
    capacity: usize,
}

/// `enum spdk_ring_type`. C writes it, so it is a number and not a Rust enum.
#[repr(transparent)]
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct RingType(c_uint);

impl RingType {
    const LAST: RingType = RingType(2);
}

/// A ring for `count` pointers.
#[unsafe(no_mangle)]
pub extern "C" fn spdk_ring_create(kind: RingType, count: usize, _numa_id: c_int) -> *mut Ring {
    let mut entries = VecDeque::new();
    if kind > RingType::LAST || count == 0 || entries.try_reserve_exact(count).is_err() {
        return null_mut();
    }
    Box::into_raw(Box::new(Ring { entries: Mutex::new(entries), capacity: count }))
}

/// # Safety
/// `ring` is NULL or a ring that nobody uses any more.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn spdk_ring_free(ring: *mut Ring) {
    if !ring.is_null() {
        // SAFETY: made by Box::into_raw, and nobody else's, by the contract of this function.
        drop(unsafe { Box::from_raw(ring) });
    }
}

/// # Safety
/// `ring` is NULL or a live ring.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn spdk_ring_count(ring: *mut Ring) -> usize {
    // SAFETY: NULL or live.
    unsafe { ring.as_ref() }.map_or(0, |ring| ring.entries.lock().len())
}

/// Adds all `count` pointers or none. Returns how many.
///
/// # Safety
/// `ring` is NULL or a live ring; `objs` is readable for `count` pointers; `free_space` is NULL or writable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn spdk_ring_enqueue(
    ring: *mut Ring,
    objs: *mut *mut c_void,
    count: usize,
    free_space: *mut usize,
) -> usize {
    // SAFETY: NULL or live.
    let Some(ring) = (unsafe { ring.as_ref() }).filter(|_| !objs.is_null()) else { return 0 };
    let mut entries = ring.entries.lock();
    let free = ring.capacity.saturating_sub(entries.len());
    let added = if count <= free { count } else { 0 };
    for index in 0..added {
        // SAFETY: readable for `count` pointers.
        entries.push_back(unsafe { objs.add(index).read() }.expose_provenance());
    }
    // SAFETY: NULL or writable.
    if let Some(free_space) = unsafe { free_space.as_mut() } {
        *free_space = free.saturating_sub(added);
    }
    added
}

/// Takes up to `count` pointers. Returns how many.
///
/// # Safety
/// `ring` is NULL or a live ring; `objs` is writable for `count` pointers.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn spdk_ring_dequeue(ring: *mut Ring, objs: *mut *mut c_void, count: usize) -> usize {
    // SAFETY: NULL or live.
    let Some(ring) = (unsafe { ring.as_ref() }).filter(|_| !objs.is_null()) else { return 0 };
    let mut entries = ring.entries.lock();
    let taken = count.min(entries.len());
    for (index, entry) in entries.drain(..taken).enumerate() {
        // SAFETY: writable for `count` pointers, and `index` is below it.
        unsafe { objs.add(index).write(std::ptr::with_exposed_provenance_mut(entry)) };
    }
    taken
}

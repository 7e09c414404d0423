//! `spdk_mempool_*`: a fixed number of elements of one size, in one buffer.
//!
//! Invariants: `free` holds each element that is not given out once, and never grows beyond the number of elements, so
//! that putting one back needs no memory; pools in `POOLS` are alive.
#![allow(unsafe_code)]

use std::ffi::{CString, c_char, c_int, c_uint, c_void};
use std::ptr::null_mut;

use parking_lot::Mutex;

use crate::log::error;
use crate::ranges::{GRANULE, round_up};
use crate::{cstr, memory};

/// `SPDK_MAX_MEMPOOL_NAME_LEN`, the NUL included.
const NAME_LENGTH: usize = 29;

/// `struct spdk_mempool`.
pub(crate) struct Mempool {
    name: CString,
    address: usize,
    count: usize,
    /// Bytes from one element to the next, a multiple of a cache line.
    stride: usize,
    /// Numbers of the elements that are not given out.
    free: Mutex<Vec<usize>>,
}

type ObjectCallback = Option<unsafe extern "C" fn(*mut Mempool, *mut c_void, *mut c_void, c_uint)>;
type MemoryCallback =
    Option<unsafe extern "C" fn(*mut Mempool, *mut c_void, *mut c_void, u64, usize, c_uint)>;

/// A pool's address.
struct Member(*mut Mempool);

// SAFETY: a pool may be used by any thread, and a pool in the list is alive.
unsafe impl Send for Member {}

static POOLS: Mutex<Vec<Member>> = Mutex::new(Vec::new());

/// # Safety
/// `name` is a string or NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn spdk_mempool_create(
    name: *const c_char,
    count: usize,
    ele_size: usize,
    cache_size: usize,
    numa_id: c_int,
) -> *mut Mempool {
    // SAFETY: the same contract; no function is called.
    unsafe { spdk_mempool_create_ctor(name, count, ele_size, cache_size, numa_id, None, null_mut()) }
}

/// A pool. There are no caches per core.
///
/// # Safety
/// `name` is a string or NULL; `obj_init` is NULL or can be called with `obj_init_arg` and an element.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn spdk_mempool_create_ctor(
    name: *const c_char,
    count: usize,
    ele_size: usize,
    _cache_size: usize,
    _numa_id: c_int,
    obj_init: ObjectCallback,
    obj_init_arg: *mut c_void,
) -> *mut Mempool {
    // SAFETY: NULL or a string.
    let Some(name) = (unsafe { cstr::borrow(name) }) else { return null_mut() };
    if name.to_bytes_with_nul().len() > NAME_LENGTH || !find(name).is_null() {
        return null_mut();
    }
    let Some(stride) = round_up(ele_size.max(1), GRANULE) else { return null_mut() };
    let mut free = Vec::new();
    if free.try_reserve_exact(count).is_err() {
        return null_mut();
    }
    free.extend((0..count).rev());
    let taken = stride.checked_mul(count).and_then(|bytes| memory::take(bytes, GRANULE));
    let Some(address) = taken else { return null_mut() };
    let pool = Box::into_raw(Box::new(Mempool {
        name: name.to_owned(),
        address,
        count,
        stride,
        free: Mutex::new(free),
    }));
    // SAFETY: the pool was made just now; the function is as this function's contract says.
    unsafe { for_each(pool, obj_init, obj_init_arg) };
    POOLS.lock().push(Member(pool));
    pool
}

/// # Safety
/// `mp` is NULL or a pool that nobody uses any more, and neither are its elements.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn spdk_mempool_free(mp: *mut Mempool) {
    if mp.is_null() {
        return;
    }
    POOLS.lock().retain(|member| member.0 != mp);
    // SAFETY: made by Box::into_raw, and nobody else's, by the contract of this function.
    let pool = unsafe { Box::from_raw(mp) };
    memory::give_back(pool.address, "spdk_mempool_free");
}

/// # Safety
/// `mp` is NULL or a live pool.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn spdk_mempool_get_name(mp: *mut Mempool) -> *mut c_char {
    // SAFETY: NULL or live.
    unsafe { mp.as_ref() }.map_or(null_mut(), |pool| pool.name.as_ptr().cast_mut())
}

/// # Safety
/// `mp` is NULL or a live pool.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn spdk_mempool_get(mp: *mut Mempool) -> *mut c_void {
    // SAFETY: NULL or live.
    let Some(pool) = (unsafe { mp.as_ref() }) else { return null_mut() };
    let index = pool.free.lock().pop();
    index.map_or(null_mut(), |index| pool.element(index))
}

/// Takes `count` elements or none (`-ENOBUFS`).
///
/// # Safety
/// `mp` is NULL or a live pool; `ele_arr` is writable for `count` pointers.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn spdk_mempool_get_bulk(
    mp: *mut Mempool,
    ele_arr: *mut *mut c_void,
    count: usize,
) -> c_int {
    // SAFETY: NULL or live.
    let Some(pool) = (unsafe { mp.as_ref() }).filter(|_| !ele_arr.is_null()) else { return -libc::EINVAL };
    let mut free = pool.free.lock();
    let Some(kept) = free.len().checked_sub(count) else { return -libc::ENOBUFS };
    for (position, index) in free.drain(kept..).enumerate() {
        // SAFETY: writable for `count` pointers, and `position` is below it.
        unsafe { ele_arr.add(position).write(pool.element(index)) };
    }
    0
}

/// # Safety
/// `mp` is NULL or a live pool. What is no element of it is refused.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn spdk_mempool_put(mp: *mut Mempool, ele: *mut c_void) {
    // SAFETY: NULL or live.
    let Some(pool) = (unsafe { mp.as_ref() }) else { return };
    let Some(index) = pool.index_of(ele) else {
        error!("spdk_mempool_put: {ele:p} is not an element of this pool");
        return;
    };
    let mut free = pool.free.lock();
    if free.len() < pool.count {
        free.push(index);
    } else {
        drop(free);
        error!("spdk_mempool_put: every element was put back before");
    }
}

/// # Safety
/// `mp` is NULL or a live pool; `ele_arr` is readable for `count` pointers. What is no element is refused.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn spdk_mempool_put_bulk(mp: *mut Mempool, ele_arr: *mut *mut c_void, count: usize) {
    if ele_arr.is_null() {
        return;
    }
    for index in 0..count {
        // SAFETY: readable for `count` pointers; the rest is the same contract.
        unsafe { spdk_mempool_put(mp, ele_arr.add(index).read()) };
    }
}

/// Elements that are not given out.
///
/// # Safety
/// `pool` is NULL or a live pool.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn spdk_mempool_count(pool: *const Mempool) -> usize {
    // SAFETY: NULL or live.
    unsafe { pool.as_ref() }.map_or(0, |pool| pool.free.lock().len())
}

/// Calls `obj_cb` for all elements, given out or not. Returns how many.
///
/// # Safety
/// `mp` is NULL or a live pool; `obj_cb` can be called with `obj_cb_arg` and its elements.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn spdk_mempool_obj_iter(
    mp: *mut Mempool,
    obj_cb: ObjectCallback,
    obj_cb_arg: *mut c_void,
) -> u32 {
    if mp.is_null() {
        return 0;
    }
    // SAFETY: the same contract.
    unsafe { for_each(mp, obj_cb, obj_cb_arg) }
}

/// Calls `mem_cb` for the one piece of memory. Returns 1.
///
/// # Safety
/// `mp` is NULL or a live pool; `mem_cb` can be called with `mem_cb_arg`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn spdk_mempool_mem_iter(
    mp: *mut Mempool,
    mem_cb: MemoryCallback,
    mem_cb_arg: *mut c_void,
) -> u32 {
    // SAFETY: NULL or live.
    let (Some(pool), Some(function)) = (unsafe { mp.as_ref() }, mem_cb) else { return 0 };
    let length = pool.stride.saturating_mul(pool.count);
    // SAFETY: by the contract of this function.
    unsafe { function(mp, mem_cb_arg, pool.address as *mut c_void, pool.address as u64, length, 0) };
    1
}

/// # Safety
/// `name` is a string or NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn spdk_mempool_lookup(name: *const c_char) -> *mut Mempool {
    // SAFETY: NULL or a string.
    unsafe { cstr::borrow(name) }.map_or(null_mut(), find)
}

impl Mempool {
    fn element(&self, index: usize) -> *mut c_void {
        // `index` is below `count`, so this stays in the pool's buffer.
        self.address.saturating_add(index.saturating_mul(self.stride)) as *mut c_void
    }

    fn index_of(&self, element: *mut c_void) -> Option<usize> {
        let offset = element.addr().checked_sub(self.address)?;
        let index = offset.checked_div(self.stride)?;
        (offset.is_multiple_of(self.stride) && index < self.count).then_some(index)
    }
}

/// The pool of that name, or NULL.
fn find(name: &std::ffi::CStr) -> *mut Mempool {
    // SAFETY: a pool in the list is alive, and is taken off it first.
    let named = |member: &&Member| unsafe { (*member.0).name.as_c_str() == name };
    POOLS.lock().iter().find(named).map_or(null_mut(), |member| member.0)
}

/// Calls a function for all elements of a pool. Returns how many.
///
/// # Safety
/// `pool` is live, and `function` is NULL or can be called with `argument` and its elements.
unsafe fn for_each(pool: *mut Mempool, function: ObjectCallback, argument: *mut c_void) -> u32 {
    let Some(function) = function else { return 0 };
    // SAFETY: live; nothing is borrowed across a call but numbers.
    let count = unsafe { (*pool).count };
    for index in 0..count {
        // SAFETY: live, as the callback may use the pool but not free it.
        let element = unsafe { (*pool).element(index) };
        // SAFETY: by the contract of this function.
        unsafe { function(pool, argument, element, c_uint::try_from(index).unwrap_or(c_uint::MAX)) };
    }
    u32::try_from(count).unwrap_or(u32::MAX)
}

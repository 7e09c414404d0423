//! The environment's memory map, as SPDK's `spdk/env.h` declares it.

use std::ffi::c_void;

/// A memory map of the environment; never looked into.
#[repr(C)]
pub(super) struct spdk_mem_map {
    _private: [u8; 0],
}

pub(super) const NOTIFY_REGISTER: i32 = 0;
pub(super) const NOTIFY_UNREGISTER: i32 = 1;

#[repr(C)]
pub(super) struct spdk_mem_map_ops {
    pub(super) notify_cb:
        Option<unsafe extern "C" fn(*mut c_void, *mut spdk_mem_map, i32, *mut c_void, usize) -> i32>,
    pub(super) are_contiguous: Option<unsafe extern "C" fn(u64, u64) -> i32>,
}

unsafe extern "C" {
    pub(super) fn spdk_mem_map_alloc(
        default_translation: u64,
        ops: *const spdk_mem_map_ops,
        cb_ctx: *mut c_void,
    ) -> *mut spdk_mem_map;
    pub(super) fn spdk_mem_map_free(map: *mut *mut spdk_mem_map);
    pub(super) fn spdk_mem_map_set_translation(
        map: *mut spdk_mem_map,
        vaddr: u64,
        size: u64,
        translation: u64,
    ) -> i32;
    pub(super) fn spdk_mem_map_clear_translation(map: *mut spdk_mem_map, vaddr: u64, size: u64) -> i32;
    pub(super) fn spdk_mem_map_translate(map: *const spdk_mem_map, vaddr: u64, size: *mut u64) -> u64;
}

//! The library linked into a Rust program as a crate: what the host library's tests do. Its C names are there, the
//! variadic ones included, although nothing of it is named in Rust.
#![allow(unsafe_code)]

use std::ffi::{c_char, c_int, c_void};

use spdk_env_rdma as _;

unsafe extern "C" {
    fn spdk_zmalloc(size: usize, align: usize, unused: *mut u64, numa_id: c_int, flags: u32) -> *mut c_void;
    fn spdk_free(buffer: *mut c_void);
    fn spdk_get_ticks() -> u64;
    fn spdk_get_ticks_hz() -> u64;
    fn spdk_vtophys(buffer: *const c_void, size: *mut u64) -> u64;
    fn spdk_log(
        level: c_int,
        file: *const c_char,
        line: c_int,
        func: *const c_char,
        format: *const c_char,
        ...
    );
    fn spdk_sprintf_alloc(format: *const c_char, ...) -> *mut c_char;
    fn spdk_crc16_t10dif(init_crc: u16, buf: *const c_void, len: usize) -> u16;
}

#[test]
fn the_c_names_are_there() {
    // SAFETY: as env.h, log.h and string.h describe these functions.
    unsafe {
        let buffer = spdk_zmalloc(8192, 4096, std::ptr::null_mut(), -1, 1);
        assert!(!buffer.is_null() && buffer.addr().is_multiple_of(4096));
        assert_eq!(spdk_vtophys(buffer, std::ptr::null_mut()), buffer.addr() as u64);
        spdk_free(buffer);
        assert!(spdk_get_ticks_hz() > 0);
        let before = spdk_get_ticks();
        assert!(spdk_get_ticks() >= before);
        spdk_log(
            1,
            c"file".as_ptr(),
            1,
            c"function".as_ptr(),
            c"%s %d\n".as_ptr(),
            c"text".as_ptr(),
            5 as c_int,
        );
        let text = spdk_sprintf_alloc(c"%d-%s".as_ptr(), 7 as c_int, c"x".as_ptr());
        assert_eq!(std::ffi::CStr::from_ptr(text), c"7-x");
        libc::free(text.cast());
        assert_eq!(spdk_crc16_t10dif(0, c"123456789".as_ptr().cast(), 9), 0xd0db);
    }
}

//! C strings, C streams and errno: the few unsafe steps that several files need.
#![allow(unsafe_code)]

use std::ffi::{CStr, c_char, c_int};

/// The string at `text`, or `None` for NULL.
///
/// # Safety
/// `text` is NULL or a terminated string that stays unchanged for `'a`.
pub(crate) unsafe fn borrow<'a>(text: *const c_char) -> Option<&'a CStr> {
    if text.is_null() {
        return None;
    }
    // SAFETY: terminated and unchanged, by the contract of this function.
    Some(unsafe { CStr::from_ptr(text) })
}

/// Writes all of `bytes` to a C stream. Errors are the stream's own (`ferror`).
///
/// # Safety
/// `stream` is NULL (nothing is written) or an open stream.
pub(crate) unsafe fn write_stream(stream: *mut libc::FILE, bytes: &[u8]) {
    if !stream.is_null() {
        // SAFETY: an open stream, and bytes that are readable for their length.
        unsafe { libc::fwrite(bytes.as_ptr().cast(), 1, bytes.len(), stream) };
    }
}

/// Flushes a C stream.
///
/// # Safety
/// `stream` is NULL (nothing happens) or an open stream.
pub(crate) unsafe fn flush_stream(stream: *mut libc::FILE) {
    if !stream.is_null() {
        // SAFETY: an open stream.
        unsafe { libc::fflush(stream) };
    }
}

/// This thread's errno.
pub(crate) fn errno() -> c_int {
    // SAFETY: the location is this thread's own and always valid.
    unsafe { *libc::__errno_location() }
}

/// Sets this thread's errno.
pub(crate) fn set_errno(value: c_int) {
    // SAFETY: the location is this thread's own and always valid.
    unsafe { *libc::__errno_location() = value };
}

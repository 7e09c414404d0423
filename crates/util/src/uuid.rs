//! UUIDs, by the `uuid` crate.
#![allow(unsafe_code)]

use std::cmp::Ordering;
use std::ffi::{CStr, c_char, c_int, c_void};

use uuid::Uuid;

/// `struct spdk_uuid`.
pub type SpdkUuid = [u8; 16];

/// Bytes of the text form with its NUL.
const TEXT: usize = 37;

/// Reads the form with hyphens.
///
/// # Safety
/// `uuid` is NULL or writable, `uuid_str` is NULL or a string.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn spdk_uuid_parse(uuid: *mut SpdkUuid, uuid_str: *const c_char) -> c_int {
    if uuid.is_null() || uuid_str.is_null() {
        return -libc::EINVAL;
    }
    // SAFETY: a string.
    let text = unsafe { CStr::from_ptr(uuid_str) }.to_bytes();
    // The crate reads other forms as well, which are shorter or longer.
    match Uuid::try_parse_ascii(text) {
        Ok(parsed) if text.len() == TEXT - 1 => {
            // SAFETY: writable.
            unsafe { uuid.write(parsed.into_bytes()) };
            0
        }
        _ => -libc::EINVAL,
    }
}

/// Writes the form with hyphens and small letters.
///
/// # Safety
/// `uuid_str` is NULL or writable for `uuid_str_size` bytes, `uuid` is NULL or readable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn spdk_uuid_fmt_lower(
    uuid_str: *mut c_char,
    uuid_str_size: usize,
    uuid: *const SpdkUuid,
) -> c_int {
    if uuid_str.is_null() || uuid.is_null() || uuid_str_size < TEXT {
        return -libc::EINVAL;
    }
    let mut text = Uuid::encode_buffer();
    // SAFETY: readable.
    let text = Uuid::from_bytes(unsafe { uuid.read() }).hyphenated().encode_lower(&mut text);
    // SAFETY: the form is one byte shorter than `TEXT`, for which there is room.
    unsafe {
        uuid_str.cast::<u8>().copy_from_nonoverlapping(text.as_ptr(), text.len());
        uuid_str.add(text.len()).write(0);
    }
    0
}

/// Compares byte by byte; NULL is as the nil UUID.
///
/// # Safety
/// Each is NULL or readable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn spdk_uuid_compare(u1: *const SpdkUuid, u2: *const SpdkUuid) -> c_int {
    // SAFETY: NULL or readable.
    let (first, second) = unsafe { (bytes(u1), bytes(u2)) };
    match first.cmp(&second) {
        Ordering::Less => -1,
        Ordering::Equal => 0,
        Ordering::Greater => 1,
    }
}

/// A random UUID.
///
/// # Safety
/// `uuid` is NULL or writable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn spdk_uuid_generate(uuid: *mut SpdkUuid) {
    if !uuid.is_null() {
        // SAFETY: writable.
        unsafe { uuid.write(Uuid::new_v4().into_bytes()) };
    }
}

/// The UUID of a name in a namespace.
///
/// # Safety
/// `uuid` is NULL or writable, `ns_uuid` NULL or readable, `name` NULL or readable for `len` bytes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn spdk_uuid_generate_sha1(
    uuid: *mut SpdkUuid,
    ns_uuid: *mut SpdkUuid,
    name: *const c_char,
    len: usize,
) -> c_int {
    if uuid.is_null() || ns_uuid.is_null() || (name.is_null() && len != 0) {
        return -libc::EINVAL;
    }
    let name = if name.is_null() {
        &[][..]
    } else {
        // SAFETY: readable for that length.
        unsafe { std::slice::from_raw_parts(name.cast(), len) }
    };
    // SAFETY: readable; writable, after the name, which it may overlap, was used.
    unsafe { uuid.write(Uuid::new_v5(&Uuid::from_bytes(ns_uuid.read()), name).into_bytes()) };
    0
}

/// # Safety
/// `dst` is NULL or writable, `src` is NULL or readable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn spdk_uuid_copy(dst: *mut SpdkUuid, src: *const SpdkUuid) {
    if !dst.is_null() && !src.is_null() {
        // SAFETY: writable and readable; they may be one.
        unsafe { std::ptr::copy(src, dst, 1) };
    }
}

/// # Safety
/// `uuid` is NULL or readable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn spdk_uuid_is_null(uuid: *const SpdkUuid) -> bool {
    // SAFETY: NULL or readable.
    unsafe { bytes(uuid) == [0; 16] }
}

/// # Safety
/// `uuid` is NULL or writable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn spdk_uuid_set_null(uuid: *mut SpdkUuid) {
    if !uuid.is_null() {
        // SAFETY: writable.
        unsafe { uuid.cast::<c_void>().write_bytes(0, 16) };
    }
}

/// # Safety
/// `uuid` is NULL or readable.
unsafe fn bytes(uuid: *const SpdkUuid) -> SpdkUuid {
    // SAFETY: NULL or readable.
    unsafe { uuid.as_ref() }.copied().unwrap_or_default()
}

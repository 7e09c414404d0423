//! `spdk_str*`: strings and numbers in C's form.
//!
//! Strings that a function returns for the caller to free come from C's allocator. Where SPDK would follow a NULL, the
//! answer is an error or nothing happens.
#![allow(unsafe_code)]

use std::cell::UnsafeCell;
use std::ffi::{CStr, c_char, c_int, c_long, c_longlong, c_void};
use std::ptr::null_mut;

use crate::cstr;

/// Lower case, in place. Returns `s`.
///
/// # Safety
/// `s` is NULL or a writable string.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn spdk_strlwr(s: *mut c_char) -> *mut c_char {
    // SAFETY: NULL or a writable string.
    if let Some(text) = unsafe { bytes_mut(s) } {
        text.make_ascii_lowercase();
    }
    s
}

/// Takes the next field off a delimited string, in place; quotes and backslashes protect delimiters and are removed.
/// The string ends at its NUL or at a newline.
///
/// # Safety
/// `stringp` points to NULL or to a writable string; `delim` is a string.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn spdk_strsepq(stringp: *mut *mut c_char, delim: *const c_char) -> *mut c_char {
    // SAFETY: readable and writable, or NULL.
    let Some(position) = (unsafe { stringp.as_mut() }) else { return null_mut() };
    let field = *position;
    // SAFETY: NULL or a writable string; NULL or a string.
    let (text, delimiters) = unsafe { (bytes_mut(field), cstr::borrow(delim)) };
    let Some(text) = text else { return null_mut() };
    let delimiters = delimiters.map_or(&b""[..], CStr::to_bytes);
    let (length, next) = unquote(text, delimiters);
    // SAFETY: `length` is at most the string's length, so this is one of its bytes or its NUL; `next` likewise.
    unsafe {
        field.add(length).write(0);
        *position = next.map_or(null_mut(), |next| field.add(next));
    }
    field
}

/// Removes white space at both ends, in place. Returns `s`.
///
/// # Safety
/// `s` is NULL or a writable string.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn spdk_str_trim(s: *mut c_char) -> *mut c_char {
    // SAFETY: NULL or a writable string.
    let Some(text) = (unsafe { bytes_mut(s) }) else { return s };
    let space = |byte: &u8| matches!(byte, b' ' | b'\t'..=b'\r');
    let start = text.iter().take_while(|byte| space(byte)).count();
    let tail = text.iter().rev().take_while(|byte| space(byte)).count();
    let end = text.len().saturating_sub(tail).max(start);
    text.copy_within(start..end, 0);
    // SAFETY: at most the string's length.
    unsafe { s.add(end.saturating_sub(start)).write(0) };
    s
}

/// Removes line ends from the end. Returns how many bytes went.
///
/// # Safety
/// `s` is NULL or a writable string.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn spdk_str_chomp(s: *mut c_char) -> usize {
    // SAFETY: NULL or a writable string.
    let Some(text) = (unsafe { bytes_mut(s) }) else { return 0 };
    let removed = text.iter().rev().take_while(|byte| matches!(byte, b'\r' | b'\n')).count();
    let kept = text.len().saturating_sub(removed);
    // SAFETY: at most the string's length.
    unsafe { s.add(kept).write(0) };
    removed
}

/// The text of an errno value, cut to the buffer.
///
/// # Safety
/// `buf` is NULL or writable for `buflen` bytes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn spdk_strerror_r(errnum: c_int, buf: *mut c_char, buflen: usize) {
    if buf.is_null() || buflen == 0 {
        return;
    }
    let before = cstr::errno();
    let mut text = [0 as c_char; ERROR_TEXT];
    // SAFETY: writable for its length. A number without a text gets "Unknown error N".
    unsafe { libc::strerror_r(errnum, text.as_mut_ptr(), text.len()) };
    cstr::set_errno(before);
    let length = text.iter().take_while(|byte| **byte != 0).count().min(buflen - 1);
    // SAFETY: `length` bytes of `text`, and at least one more in `buf`.
    unsafe {
        buf.copy_from_nonoverlapping(text.as_ptr(), length);
        buf.add(length).write(0);
    }
}

const ERROR_TEXT: usize = 128;

thread_local! {
    static ERROR: UnsafeCell<[c_char; ERROR_TEXT]> = const { UnsafeCell::new([0; ERROR_TEXT]) };
}

/// The text of an errno value. It stays until this thread's next call.
#[unsafe(no_mangle)]
pub extern "C" fn spdk_strerror(errnum: c_int) -> *const c_char {
    // A thread that is ending has lost its buffer.
    let buffer = ERROR.try_with(UnsafeCell::get).unwrap_or(null_mut());
    if buffer.is_null() {
        return c"Unknown error".as_ptr();
    }
    // SAFETY: this thread's own buffer; no reference to it exists.
    unsafe { spdk_strerror_r(errnum, buffer.cast(), ERROR_TEXT) };
    buffer.cast_const().cast()
}

/// Copies into a field of fixed size without terminator and fills it up with `pad`.
///
/// # Safety
/// `dst` is writable for `size` bytes and `src` is a string outside of it, or either is NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn spdk_strcpy_pad(dst: *mut c_void, src: *const c_char, size: usize, pad: c_int) {
    // SAFETY: NULL or a string.
    let Some(source) = (unsafe { cstr::borrow(src) }).filter(|_| !dst.is_null()) else { return };
    let source = source.to_bytes();
    let length = source.len().min(size);
    // SAFETY: `length <= size` bytes into `dst`, then the rest of it. C's memset takes the low byte as well.
    unsafe {
        dst.cast::<u8>().copy_from_nonoverlapping(source.as_ptr(), length);
        dst.cast::<u8>().add(length).write_bytes(pad as u8, size - length);
    }
}

/// Length of what a padded field holds.
///
/// # Safety
/// `str` is NULL or readable for `size` bytes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn spdk_strlen_pad(str: *const c_void, size: usize, pad: c_int) -> usize {
    if str.is_null() {
        return 0;
    }
    // SAFETY: readable for `size` bytes.
    let field = unsafe { std::slice::from_raw_parts(str.cast::<u8>(), size) };
    field.iter().rposition(|byte| *byte != pad as u8).map_or(0, |last| last.saturating_add(1))
}

/// Splits `address:port` or `[address]:port` in place. A part that is missing is NULL.
///
/// # Safety
/// `ip` is NULL or a writable string; `host` and `port` are writable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn spdk_parse_ip_addr(
    ip: *mut c_char,
    host: *mut *mut c_char,
    port: *mut *mut c_char,
) -> c_int {
    // SAFETY: NULL or a writable string.
    let Some(text) = (unsafe { bytes_mut(ip) }) else { return -libc::EINVAL };
    if host.is_null() || port.is_null() {
        return -libc::EINVAL;
    }
    let found = split_address(text);
    // SAFETY: both writable; every offset lies in the string or on its NUL.
    unsafe {
        host.write(null_mut());
        port.write(null_mut());
        let Some(parts) = found else { return -libc::EINVAL };
        if let Some(end) = parts.host_end {
            ip.add(end).write(0);
        }
        host.write(ip.add(parts.host));
        port.write(parts.port.map_or(null_mut(), |at| ip.add(at)));
    }
    0
}

/// A number of bytes with an optional K, M or G.
///
/// # Safety
/// `cap_str` is NULL or a string; `cap` is writable; `has_prefix` is NULL or writable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn spdk_parse_capacity(
    cap_str: *const c_char,
    cap: *mut u64,
    has_prefix: *mut bool,
) -> c_int {
    // SAFETY: NULL or a string.
    let Some(text) = (unsafe { cstr::borrow(cap_str) }).filter(|_| !cap.is_null()) else {
        return -libc::EINVAL;
    };
    match capacity(text.to_bytes()) {
        Ok((bytes, prefixed)) => {
            // SAFETY: writable; NULL or writable.
            unsafe {
                cap.write(bytes);
                if let Some(has_prefix) = has_prefix.as_mut() {
                    *has_prefix = prefixed;
                }
            }
            0
        }
        Err(errno) => -errno,
    }
}

/// # Safety
/// `data` is readable for `size` bytes, or NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn spdk_mem_all_zero(data: *const c_void, size: usize) -> bool {
    if data.is_null() {
        return true;
    }
    // SAFETY: readable for `size` bytes.
    let bytes = unsafe { std::slice::from_raw_parts(data.cast::<u8>(), size) };
    bytes.iter().all(|byte| *byte == 0)
}

/// A number that is not negative and ends with the string; else a negative errno.
///
/// # Safety
/// `nptr` is NULL or a string.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn spdk_strtol(nptr: *const c_char, base: c_int) -> c_long {
    // SAFETY: the same contract. A long is a long long on all 64-bit Linux; elsewhere it is checked.
    let value = unsafe { spdk_strtoll(nptr, base) };
    c_long::try_from(value).unwrap_or(-c_long::from(libc::ERANGE))
}

/// A number that is not negative and ends with the string; else a negative errno.
///
/// # Safety
/// `nptr` is NULL or a string.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn spdk_strtoll(nptr: *const c_char, base: c_int) -> c_longlong {
    if nptr.is_null() {
        return -c_longlong::from(libc::EINVAL);
    }
    let mut end = nptr.cast_mut();
    cstr::set_errno(0);
    // SAFETY: a string, and a place for the end of the number, which lies in the string.
    let (value, rest) = unsafe {
        let value = libc::strtoll(nptr, &raw mut end, base);
        (value, *end)
    };
    let answer = match cstr::errno() {
        0 if rest != 0 => -libc::EINVAL,
        0 if value < 0 => -libc::ERANGE,
        0 => return value,
        error => -error,
    };
    c_longlong::from(answer)
}

/// Splits at every delimiter; neighbouring delimiters have an empty string between them.
///
/// # Safety
/// `str` and `delim` are NULL or strings.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn spdk_strarray_from_string(
    str: *const c_char,
    delim: *const c_char,
) -> *mut *mut c_char {
    // SAFETY: NULL or strings.
    let (Some(text), Some(delimiters)) = (unsafe { (cstr::borrow(str), cstr::borrow(delim)) }) else {
        return null_mut();
    };
    let delimiters = delimiters.to_bytes();
    let parts: Vec<&[u8]> = text.to_bytes().split(|byte| delimiters.contains(byte)).collect();
    array_of(&parts)
}

/// # Safety
/// `strarray` is NULL or an array of strings that ends with NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn spdk_strarray_dup(strarray: *mut *const c_char) -> *mut *mut c_char {
    if strarray.is_null() {
        return null_mut();
    }
    let mut parts = Vec::new();
    // SAFETY: read up to the NULL at the array's end; every entry before is a string.
    while let Some(text) = unsafe { cstr::borrow(strarray.add(parts.len()).read()) } {
        parts.push(text.to_bytes());
    }
    array_of(&parts)
}

/// # Safety
/// `strarray` is NULL or such an array out of C's allocator, and so are its strings.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn spdk_strarray_free(strarray: *mut *mut c_char) {
    if strarray.is_null() {
        return;
    }
    let mut entry = strarray;
    // SAFETY: read up to the NULL at the array's end; each string and the array came from C's allocator.
    unsafe {
        while !entry.read().is_null() {
            libc::free(entry.read().cast());
            entry = entry.add(1);
        }
        libc::free(strarray.cast());
    }
}

/// Copies with every occurrence of `search` replaced. The result and its NUL must fit.
///
/// # Safety
/// `dst` is writable for `size` bytes, the others are strings outside of it, or any is NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn spdk_strcpy_replace(
    dst: *mut c_char,
    size: usize,
    src: *const c_char,
    search: *const c_char,
    replace: *const c_char,
) -> c_int {
    // SAFETY: NULL or strings.
    let texts = unsafe { [cstr::borrow(src), cstr::borrow(search), cstr::borrow(replace)] };
    let [Some(source), Some(search), Some(replace)] = texts else { return -libc::EINVAL };
    let replaced = replaced(source.to_bytes(), search.to_bytes(), replace.to_bytes());
    if dst.is_null() || replaced.len() >= size {
        return -libc::EINVAL;
    }
    // SAFETY: shorter than `size`, so there is room for the NUL.
    unsafe {
        dst.cast::<u8>().copy_from_nonoverlapping(replaced.as_ptr(), replaced.len());
        dst.add(replaced.len()).write(0);
    }
    0
}

/// The bytes of a C string, without its NUL.
///
/// # Safety
/// `text` is NULL or a string that nobody else uses for `'a`.
unsafe fn bytes_mut<'a>(text: *mut c_char) -> Option<&'a mut [u8]> {
    // SAFETY: NULL or a string.
    let length = unsafe { cstr::borrow(text) }?.to_bytes().len();
    // SAFETY: the bytes before the NUL, which nobody else uses.
    Some(unsafe { std::slice::from_raw_parts_mut(text.cast(), length) })
}

/// Moves the first field to the front of `text` without its quotes. Returns its length and where the next one begins.
fn unquote(text: &mut [u8], delimiters: &[u8]) -> (usize, Option<usize>) {
    let mut kept = 0;
    let mut quote = None;
    let mut escaped = false;
    let end = text.iter().position(|byte| *byte == b'\n').unwrap_or(text.len());
    let mut at = 0;
    while let Some(&byte) = text.get(at).filter(|_| at < end) {
        at = at.saturating_add(1);
        let literal = if escaped {
            escaped = false;
            true
        } else {
            match (quote, byte) {
                // Inside single quotes a backslash is a backslash.
                (None | Some(b'"'), b'\\') => {
                    escaped = true;
                    false
                }
                (Some(open), byte) if open == byte => {
                    quote = None;
                    false
                }
                (None, b'"' | b'\'') => {
                    quote = Some(byte);
                    false
                }
                (None, byte) if delimiters.contains(&byte) => break,
                _ => true,
            }
        };
        if literal && let Some(slot) = text.get_mut(kept) {
            *slot = byte;
            kept = kept.saturating_add(1);
        }
    }
    let rest = text.get(at..end).unwrap_or_default();
    let next = rest.iter().position(|byte| !delimiters.contains(byte)).map(|skip| at.saturating_add(skip));
    (kept, next)
}

/// Offsets of the parts of an address in its string.
#[derive(Debug, PartialEq, Eq)]
struct AddressParts {
    host: usize,
    /// Where the host has to be terminated, if it does not end with the string.
    host_end: Option<usize>,
    port: Option<usize>,
}

fn split_address(text: &[u8]) -> Option<AddressParts> {
    let port_at = |at: usize| (at < text.len()).then_some(at);
    if text.first() == Some(&b'[') {
        let close = text.iter().position(|byte| *byte == b']')?;
        let after = close.saturating_add(1);
        let port = match text.get(after) {
            None => None,
            Some(b':') => port_at(after.saturating_add(1)),
            Some(_) => return None,
        };
        return Some(AddressParts { host: 1, host_end: Some(close), port });
    }
    let colon = text.iter().position(|byte| *byte == b':');
    Some(AddressParts { host: 0, host_end: colon, port: colon.and_then(|at| port_at(at.saturating_add(1))) })
}

/// Bytes, and whether there was a prefix; or an errno.
fn capacity(text: &[u8]) -> Result<(u64, bool), c_int> {
    let text = text.trim_ascii_start();
    let digits = text.iter().take_while(|byte| byte.is_ascii_digit()).count();
    if digits == 0 {
        return Err(libc::EINVAL);
    }
    let (number, unit) = text.split_at(digits);
    let number = number.iter().try_fold(0u64, |value, digit| {
        value.checked_mul(10)?.checked_add(u64::from(digit.wrapping_sub(b'0')))
    });
    let number = number.ok_or(libc::ERANGE)?;
    let shift = match unit.first() {
        None => return Ok((number, false)),
        Some(b'k' | b'K') => 10,
        Some(b'm' | b'M') => 20,
        Some(b'g' | b'G') => 30,
        Some(_) => return Err(libc::EINVAL),
    };
    number.checked_mul(1 << shift).map(|bytes| (bytes, true)).ok_or(libc::ERANGE)
}

fn replaced(source: &[u8], search: &[u8], replace: &[u8]) -> Vec<u8> {
    let mut result = Vec::with_capacity(source.len());
    let mut rest = source;
    while let Some((first, tail)) = rest.split_first() {
        match rest.strip_prefix(search).filter(|_| !search.is_empty()) {
            Some(after) => {
                result.extend_from_slice(replace);
                rest = after;
            }
            None => {
                result.push(*first);
                rest = tail;
            }
        }
    }
    result
}

/// A NULL-terminated array of copies, all out of C's allocator. NULL: no memory.
fn array_of(parts: &[&[u8]]) -> *mut *mut c_char {
    // SAFETY: no requirement; calloc checks the product and zeroes, so the array ends with NULL at any time.
    let array: *mut *mut c_char =
        unsafe { libc::calloc(parts.len().saturating_add(1), size_of::<*const c_char>()) }.cast();
    if array.is_null() {
        return array;
    }
    for (index, part) in parts.iter().enumerate() {
        // SAFETY: strndup copies at most the given bytes; `index` is below the array's length.
        let copied = unsafe {
            let copy = libc::strndup(part.as_ptr().cast(), part.len());
            array.add(index).write(copy);
            copy
        };
        if copied.is_null() {
            // SAFETY: the array that was made here.
            unsafe { spdk_strarray_free(array) };
            return null_mut();
        }
    }
    array
}

//! Strings in C structs: arrays of `char` that end with a zero byte.

use libc::c_char;
use std::{ffi::CStr, ptr};

/// What an array of N chars has room for.
pub(super) struct CText<const N: usize>;

impl<const N: usize> CText<N> {
    /// Longest text, without its zero byte.
    pub(super) const MAX: usize = N - 1;
}

/// The text in an array, up to its zero byte or its end. Bytes that are no UTF-8 are replaced.
pub(super) fn text(array: &[c_char]) -> String {
    let bytes: Vec<u8> =
        array.iter().map(|&byte| byte.cast_unsigned()).take_while(|&byte| byte != 0).collect();
    String::from_utf8_lossy(&bytes).into_owned()
}

/// Stores a text and its zero byte; what does not fit is left out. Bytes behind the zero byte stay as they are.
///
/// # Safety
/// `array` can be written.
pub(super) unsafe fn put_text<const N: usize>(array: *mut [c_char; N], text: &[u8]) {
    let length = text.len().min(CText::<N>::MAX);
    // SAFETY: `length` bytes of the text exist, and the array has room for them and one more.
    unsafe {
        let start = array.cast::<c_char>();
        ptr::copy_nonoverlapping(text.as_ptr().cast(), start, length);
        start.add(length).write(0);
    }
}

/// The bytes of a program's string, without its zero byte. None for NULL.
///
/// # Safety
/// `str` is NULL or a C string that stays as it is as long as the bytes are used.
pub(super) unsafe fn c_bytes<'a>(str: *const c_char) -> Option<&'a [u8]> {
    // SAFETY: the caller vouches for a string that is not NULL.
    (!str.is_null()).then(|| unsafe { CStr::from_ptr(str) }.to_bytes())
}

/// A text as a C string in an array, for the compiler, which stops if it does not fit.
#[allow(clippy::indexing_slicing, clippy::arithmetic_side_effects)]
pub(super) const fn c_array<const N: usize>(text: &str) -> [u8; N] {
    let text = text.as_bytes();
    let mut array = [0; N];
    assert!(text.len() < N);
    let mut index = 0;
    while index < text.len() {
        array[index] = text[index];
        index += 1;
    }
    array
}

/// Stores as much of a text as a program's buffer has room for, and a zero byte; nothing in a buffer of no bytes.
///
/// # Safety
/// `size` bytes can be written at `buffer`.
pub(super) unsafe fn put_text_within(buffer: *mut c_char, size: usize, text: &[u8]) {
    let Some(room) = size.checked_sub(1) else { return };
    let length = text.len().min(room);
    // SAFETY: `length` bytes of the text exist, and the buffer has room for them and one more.
    unsafe {
        ptr::copy_nonoverlapping(text.as_ptr().cast(), buffer, length);
        buffer.add(length).write(0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_that_is_too_long_is_cut() {
        let mut array = [1; 4];
        // SAFETY: the array is this function's own.
        unsafe { put_text(&raw mut array, b"abcdef") };
        assert_eq!(text(&array), "abc");
        // SAFETY: the array is this function's own.
        unsafe { put_text(&raw mut array, b"") };
        assert_eq!(array, [0, b'b'.cast_signed(), b'c'.cast_signed(), 0]);
        assert_eq!(text(&[b'x'.cast_signed(); 2]), "xx", "an array that is full needs no zero byte");
    }
    #[test]
    fn a_buffer_gets_what_it_has_room_for() {
        let mut buffer = [b'x'.cast_signed(); 5];
        for (size, expected) in [(0, "xxxxx"), (1, ""), (3, "ab"), (4, "abc"), (5, "abc")] {
            // SAFETY: the buffer is this function's own, and no smaller than that.
            unsafe { put_text_within(buffer.as_mut_ptr(), size, b"abc") };
            assert_eq!(text(&buffer), expected);
            assert_eq!(buffer[4], b'x'.cast_signed(), "what is behind the zero byte stays");
        }
    }

    #[test]
    fn c_strings_of_the_compiler_and_of_programs() {
        const ARRAY: [u8; 4] = c_array("abc");
        // SAFETY: a C string, and NULL.
        let (bytes, none) = unsafe { (c_bytes(ARRAY.as_ptr().cast()), c_bytes(ptr::null())) };
        assert_eq!((bytes, none), (Some(&b"abc"[..]), None));
    }
}

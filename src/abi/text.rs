//! Strings in C structs: arrays of `char` that end with a zero byte.

use libc::c_char;
use std::ptr;

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
}

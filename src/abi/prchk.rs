//! What is to be checked of protection information, as text.

use super::{
    entry::{guard_plain, pass_on_if_disabled},
    error::invalid,
    pairs::{Pair, Pairs, ParseError, answer, shown},
    text::c_bytes,
    types::{SPDK_NVME_IO_FLAGS_PRCHK_GUARD as GUARD, SPDK_NVME_IO_FLAGS_PRCHK_REFTAG as REFTAG},
};
use libc::{EINVAL, c_char, c_int};
use std::{ffi::CStr, ptr};

/// Reads which parts of protection information are to be checked from text: "prchk:reftag|guard".
///
/// A flag of I/O, SPDK_NVME_IO_FLAGS_PRCHK_REFTAG or _GUARD, is set in *prchk_flags for each word, in any case, that is
/// found in the value; others stay as they are. Returns 0, or -EINVAL for an argument that is NULL, another key, or a
/// text that is no pair of key and value.
///
/// # Safety
///
/// prchk_flags is NULL or points to flags that can be read and written. str is NULL or a C string.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn spdk_nvme_prchk_flags_parse(prchk_flags: *mut u32, str: *const c_char) -> c_int {
    pass_on_if_disabled!(spdk_nvme_prchk_flags_parse(prchk_flags, str));
    guard_plain("spdk_nvme_prchk_flags_parse", -EINVAL, || {
        // SAFETY: the caller gives NULL or a C string, which nobody changes meanwhile.
        let Some(text) = (unsafe { c_bytes(str) }).filter(|_| !prchk_flags.is_null()) else {
            return invalid(format!(
                "spdk_nvme_prchk_flags_parse: the text at {str:p}, for the flags at {prchk_flags:p}"
            ));
        };
        let flags = parse(text);
        if let Ok(flags) = flags {
            // SAFETY: the caller gives flags that can be read and written.
            unsafe { prchk_flags.write(prchk_flags.read() | flags) };
        }
        answer("protection information", flags.map(drop))
    })
}

/// The text for flags of I/O that say what is to be checked: "prchk:reftag|guard", "prchk:reftag", "prchk:guard", or NULL
/// if neither is set.
#[unsafe(no_mangle)]
pub extern "C" fn spdk_nvme_prchk_flags_str(prchk_flags: u32) -> *const c_char {
    pass_on_if_disabled!(spdk_nvme_prchk_flags_str(prchk_flags));
    describe(prchk_flags).map_or(ptr::null(), CStr::as_ptr)
}

fn describe(flags: u32) -> Option<&'static CStr> {
    match (flags & REFTAG != 0, flags & GUARD != 0) {
        (true, true) => Some(c"prchk:reftag|guard"),
        (true, false) => Some(c"prchk:reftag"),
        (false, true) => Some(c"prchk:guard"),
        (false, false) => None,
    }
}

/// The flags that a text names.
fn parse(text: &[u8]) -> Result<u32, ParseError> {
    Pairs::of(text).try_fold(0, |flags, pair| Ok(flags | named(&pair?)?))
}

fn named(pair: &Pair<'_>) -> Result<u32, ParseError> {
    if !pair.is("prchk") {
        return Err(ParseError::UnknownKey(shown(pair.key)));
    }
    let value = pair.value().to_ascii_lowercase();
    let holds = |word: &str| value.windows(word.len()).any(|part| part == word.as_bytes());
    Ok(if holds("reftag") { REFTAG } else { 0 } | if holds("guard") { GUARD } else { 0 })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::ffi::CString;

    fn parse(before: u32, str: &str) -> (c_int, u32) {
        let (mut flags, str) = (before, CString::new(str).unwrap());
        // SAFETY: both are this function's own.
        let rc = unsafe { spdk_nvme_prchk_flags_parse(&raw mut flags, str.as_ptr()) };
        (rc, flags)
    }

    #[test]
    fn words_set_flags() {
        assert_eq!((REFTAG, GUARD), (1 << 26, 1 << 28));
        for (str, flags) in [
            ("prchk:reftag", REFTAG),
            ("prchk:guard", GUARD),
            ("prchk:reftag|guard", REFTAG | GUARD),
            ("PRCHK=GuardxxREFTAG", REFTAG | GUARD),
            ("prchk:guard prchk:reftag", REFTAG | GUARD),
            ("prchk:apptag", 0),
            ("", 0),
        ] {
            assert_eq!(parse(0, str), (0, flags), "{str}");
            assert_eq!(parse(5, str), (0, flags | 5), "{str}");
        }
    }

    #[test]
    fn what_is_refused_sets_none() {
        for str in ["prchk", "prchk:", "other:reftag", "prchk:reftag ", "prchk:reftag other:x"] {
            assert_eq!(parse(5, str), (-EINVAL, 5), "{str}");
        }
        let mut flags = 5;
        // SAFETY: NULL is allowed.
        unsafe {
            assert_eq!(spdk_nvme_prchk_flags_parse(ptr::null_mut(), c"prchk:guard".as_ptr()), -EINVAL);
            assert_eq!(spdk_nvme_prchk_flags_parse(&raw mut flags, ptr::null()), -EINVAL);
        }
        assert_eq!(flags, 5);
    }

    #[test]
    fn flags_have_a_text() {
        assert_eq!(describe(REFTAG | GUARD | 1), Some(c"prchk:reftag|guard"));
        assert_eq!(describe(REFTAG), Some(c"prchk:reftag"));
        assert_eq!(describe(GUARD), Some(c"prchk:guard"));
        assert_eq!(describe(!(REFTAG | GUARD)), None);
        assert!(spdk_nvme_prchk_flags_str(0).is_null());
    }
}

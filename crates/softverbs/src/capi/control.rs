//! The functions beside those of libibverbs and librdmacm (`softverbs.h`).

#![allow(unsafe_code)]

use std::ffi::{CStr, c_char, c_int};

/// Carries out commands of the control grammar.
///
/// # Safety
/// `commands` is NULL or a C string.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn softverbs_control(commands: *const c_char) -> c_int {
    if commands.is_null() {
        crate::log::line("softverbs_control: no commands");
        return libc::EINVAL;
    }
    // SAFETY: the caller vouches for the string.
    let text = unsafe { CStr::from_ptr(commands) }.to_string_lossy();
    match crate::control(&text) {
        Ok(()) => 0,
        Err(why) => {
            crate::log::line(&why);
            libc::EINVAL
        }
    }
}

/// How many objects are alive, unacknowledged events included.
#[unsafe(no_mangle)]
pub extern "C" fn softverbs_alive() -> c_int {
    c_int::try_from(crate::ledger().objects()).unwrap_or(c_int::MAX)
}

/// How often the program did what it must not do.
#[unsafe(no_mangle)]
pub extern "C" fn softverbs_violations() -> c_int {
    c_int::try_from(crate::ledger().violations).unwrap_or(c_int::MAX)
}

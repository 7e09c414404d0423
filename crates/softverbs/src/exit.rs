//! The end of the process: what is still alive is listed, and under `SOFTVERBS_STRICT=1` makes the exit status bad.
//!
//! It comes when `exit` is called or `main` returns, after whatever the program and its libraries still do then: their `atexit`
//! handlers and destructors may give back what they have.

#![allow(unsafe_code)]

use std::ffi::{c_int, c_void};
use std::ptr::null_mut;

use crate::process;

/// The exit status of a process that leaves something behind under `SOFTVERBS_STRICT=1`.
pub const LEAK_STATUS: i32 = 96;

unsafe extern "C" {
    fn __cxa_atexit(what: extern "C" fn(*mut c_void), argument: *mut c_void, object: *mut c_void) -> c_int;
}

/// Called with the destructors of this library, which come after all `atexit` handlers.
#[used]
#[unsafe(link_section = ".fini_array")]
static WITH_DESTRUCTORS: extern "C" fn() = with_destructors;

extern "C" fn with_destructors() {
    // Destructors of other libraries may come still; what is registered now comes after them (glibc looks again once it is through).
    // SAFETY: a function that stays loaded to the end of the process. It is not tied to this library, whose handlers would be called
    // with its destructors.
    if unsafe { __cxa_atexit(at_exit, null_mut(), null_mut()) } != 0 {
        at_exit(null_mut());
    }
}

extern "C" fn at_exit(_: *mut c_void) {
    let Some(mut runtime) = process::lock_at_exit() else { return };
    runtime.finish();
    runtime.net.end();
    let ledger = runtime.ledger();
    if ledger.is_clean() {
        return;
    }
    for line in runtime.ledger_lines() {
        crate::log::line(&format!("alive at exit: {line}"));
    }
    if ledger.violations > 0 {
        crate::log::line(&format!("the program did {} things that it must not do", ledger.violations));
    }
    if runtime.fabric.shared.strict {
        crate::log::line(&format!("SOFTVERBS_STRICT=1: exit status {LEAK_STATUS}"));
        drop(runtime);
        // SAFETY: what the program printed must not be lost by leaving at once; fflush(NULL) and _exit take no memory of ours.
        unsafe {
            libc::fflush(null_mut());
            libc::_exit(LEAK_STATUS);
        }
    }
}

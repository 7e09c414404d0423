//! The end of the process: what is still alive is listed, and under `SOFTVERBS_STRICT=1` makes the exit status bad.

#![allow(unsafe_code)]

use crate::runtime;

/// The exit status of a process that leaves something behind under `SOFTVERBS_STRICT=1`.
pub const LEAK_STATUS: i32 = 96;

/// Has `at_exit` called when the program calls `exit` or returns from `main`.
pub fn install() {
    // SAFETY: a function without arguments that stays loaded; a failure only costs the report.
    unsafe { libc::atexit(at_exit) };
}

extern "C" fn at_exit() {
    let Some(mut runtime) = runtime::lock_at_exit() else { return };
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
            libc::fflush(std::ptr::null_mut());
            libc::_exit(LEAK_STATUS);
        }
    }
}

//! Log flags: named switches for a component's `INFO` and `DEBUG` lines.
//!
//! A flag is a variable of the program or of a library in it, registered by a constructor before `main`. The program
//! reads its `enabled` directly.
//!
//! Invariant: `FLAGS` is sorted by name regardless of case, and holds each name once.
#![allow(unsafe_code)]

use std::ffi::{CStr, CString, c_char, c_int, c_void};
use std::ptr::null_mut;

use parking_lot::Mutex;

use crate::cstr;
use crate::log::error;

/// `struct spdk_log_flag`. The two links are SPDK's own list, which is not used here.
#[repr(C)]
pub(crate) struct LogFlag {
    links: [*mut c_void; 2],
    name: *const c_char,
    enabled: bool,
}

struct Entry {
    name: CString,
    flag: *mut LogFlag,
}

// SAFETY: the flag is a static variable of the program. It is written under the lock of FLAGS only.
unsafe impl Send for Entry {}

static FLAGS: Mutex<Vec<Entry>> = Mutex::new(Vec::new());

/// # Safety
/// `name` is NULL or a string; `flag` is NULL or a flag that lives as long as the library.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn spdk_log_register_flag(name: *const c_char, flag: *mut LogFlag) {
    // SAFETY: NULL or a string.
    let Some(name) = (unsafe { cstr::borrow(name) }).filter(|_| !flag.is_null()) else {
        error!("a log flag needs a name and a variable");
        return;
    };
    let mut flags = FLAGS.lock();
    match flags.binary_search_by_key(&lower(name), |entry| lower(&entry.name)) {
        Ok(_) => {
            drop(flags);
            error!("log flag '{}' is registered already", name.to_string_lossy());
        }
        Err(position) => flags.insert(position, Entry { name: name.to_owned(), flag }),
    }
}

#[unsafe(no_mangle)]
pub extern "C" fn spdk_log_get_first_flag() -> *mut LogFlag {
    FLAGS.lock().first().map_or(null_mut(), |entry| entry.flag)
}

#[unsafe(no_mangle)]
pub extern "C" fn spdk_log_get_next_flag(flag: *mut LogFlag) -> *mut LogFlag {
    let flags = FLAGS.lock();
    let mut after = flags.iter().skip_while(|entry| entry.flag != flag).skip(1);
    after.next().map_or(null_mut(), |entry| entry.flag)
}

/// # Safety
/// `flag` is NULL or a string.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn spdk_log_get_flag(flag: *const c_char) -> bool {
    // SAFETY: NULL or a string.
    let Some(name) = (unsafe { cstr::borrow(flag) }) else { return false };
    let flags = FLAGS.lock();
    let found = flags.iter().find(|entry| lower(&entry.name) == lower(name));
    // SAFETY: a registered flag lives as long as the library.
    found.is_some_and(|entry| unsafe { (&raw const (*entry.flag).enabled).read_volatile() })
}

/// # Safety
/// `flag` is NULL or a string.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn spdk_log_set_flag(flag: *const c_char) -> c_int {
    // SAFETY: the same contract.
    unsafe { switch(flag, true) }
}

/// # Safety
/// `flag` is NULL or a string.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn spdk_log_clear_flag(flag: *const c_char) -> c_int {
    // SAFETY: the same contract.
    unsafe { switch(flag, false) }
}

/// Prints the option `log_arg` with all flags, for a program's usage text.
///
/// # Safety
/// `f` is an open stream, `log_arg` NULL or a string.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn spdk_log_usage(f: *mut libc::FILE, log_arg: *const c_char) {
    // SAFETY: NULL or a string.
    let argument = unsafe { cstr::borrow(log_arg) }.map(CStr::to_string_lossy).unwrap_or_default();
    let names: Vec<String> =
        FLAGS.lock().iter().map(|entry| entry.name.to_string_lossy().into_owned()).collect();
    // SAFETY: NULL or an open stream.
    unsafe { cstr::write_stream(f, usage(&argument, &names).as_bytes()) };
}

/// Switches all flags that `pattern` matches ("all": every one).
///
/// # Safety
/// `pattern` is NULL or a string.
unsafe fn switch(pattern: *const c_char, enabled: bool) -> c_int {
    // SAFETY: NULL or a string.
    let Some(pattern) = (unsafe { cstr::borrow(pattern) }) else { return -libc::EINVAL };
    let all = lower(pattern) == b"all";
    let mut matched = all;
    for entry in FLAGS.lock().iter() {
        // SAFETY: two strings.
        let matches =
            || unsafe { libc::fnmatch(pattern.as_ptr(), entry.name.as_ptr(), libc::FNM_CASEFOLD) } == 0;
        if all || matches() {
            matched = true;
            // SAFETY: a registered flag lives as long as the library.
            unsafe { (&raw mut (*entry.flag).enabled).write_volatile(enabled) };
        }
    }
    if matched { 0 } else { -libc::EINVAL }
}

fn lower(name: &CStr) -> Vec<u8> {
    name.to_bytes().to_ascii_lowercase()
}

/// The option, its text and the flags' names, in lines of at most 100 characters.
fn usage(argument: &str, names: &[String]) -> String {
    const WIDTH: usize = 100;
    const INDENT: usize = 27;
    let mut text = format!(" {argument}, --logflag <flag>      enable log flag (all, ");
    let mut column = text.len();
    for (index, name) in names.iter().enumerate() {
        let last = index.saturating_add(1) == names.len();
        if column.saturating_add(name.len()).saturating_add(2) > WIDTH {
            text.push('\n');
            text.push_str(&" ".repeat(INDENT));
            column = INDENT;
        }
        text.push_str(name);
        if !last {
            text.push_str(", ");
        }
        column = column.saturating_add(name.len()).saturating_add(2);
    }
    text.push_str(")\n");
    text
}

#[cfg(test)]
mod tests {
    use super::usage;

    #[test]
    fn usage_breaks_its_lines() {
        let names: Vec<String> = (0..30).map(|i| format!("component_{i}")).collect();
        let text = usage("-L", &names);
        assert!(text.starts_with(" -L, --logflag <flag>      enable log flag (all, component_0, "));
        assert!(text.ends_with("component_29)\n"));
        assert!(text.lines().count() > 3);
        assert!(text.lines().all(|line| line.trim_end().len() <= 100));
        assert!(text.lines().skip(1).all(|line| line.starts_with(&" ".repeat(27))));
    }
}

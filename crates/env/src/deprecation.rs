//! Deprecations: features that a library in the program will lose, with one warning per interval for each use.
//!
//! Invariant: an entry is made once and never freed, so that the program may keep its address.
#![allow(unsafe_code)]

use std::ffi::{CStr, CString, c_char, c_int, c_void};
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use parking_lot::Mutex;

use crate::clock::monotonic_ns;
use crate::cstr;
use crate::log::{LogLevel, error, warning};

const NEVER: u64 = u64::MAX;

/// `struct spdk_deprecation`.
pub(crate) struct Deprecation {
    tag: CString,
    description: CString,
    remove_release: CString,
    interval_ns: u64,
    hits: AtomicU64,
    silent: AtomicU32,
    last_line: AtomicU64,
}

static DEPRECATIONS: Mutex<Vec<&'static Deprecation>> = Mutex::new(Vec::new());

pub(crate) type ForEach =
    Option<unsafe extern "C" fn(ctx: *mut c_void, deprecation: *mut Deprecation) -> c_int>;

/// # Safety
/// The strings are NULL or strings; `reg` is NULL or writable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn spdk_log_deprecation_register(
    tag: *const c_char,
    description: *const c_char,
    remove_release: *const c_char,
    rate_limit_seconds: u32,
    reg: *mut *mut Deprecation,
) -> c_int {
    // SAFETY: NULL or strings, by the contract of this function.
    let texts = unsafe { [cstr::borrow(tag), cstr::borrow(description), cstr::borrow(remove_release)] };
    let [Some(tag), Some(description), Some(remove_release)] = texts else { return -libc::EINVAL };
    if reg.is_null() {
        return -libc::EINVAL;
    }
    let entry: &'static Deprecation = Box::leak(Box::new(Deprecation {
        tag: tag.to_owned(),
        description: description.to_owned(),
        remove_release: remove_release.to_owned(),
        interval_ns: u64::from(rate_limit_seconds).saturating_mul(1_000_000_000),
        hits: AtomicU64::new(0),
        silent: AtomicU32::new(0),
        last_line: AtomicU64::new(NEVER),
    }));
    DEPRECATIONS.lock().push(entry);
    // SAFETY: writable by the contract of this function.
    unsafe { reg.write(std::ptr::from_ref(entry).cast_mut()) };
    0
}

/// # Safety
/// `deprecation` is NULL or came from [`spdk_log_deprecation_register`]; `file` and `func` are NULL or strings.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn spdk_log_deprecated(
    deprecation: *mut Deprecation,
    file: *const c_char,
    line: u32,
    func: *const c_char,
) {
    // SAFETY: NULL or strings; NULL or an entry, which is never freed.
    let (file, func, entry) = unsafe { (cstr::borrow(file), cstr::borrow(func), deprecation.as_ref()) };
    let place = || {
        let name =
            |text: Option<&CStr>| text.map(|text| text.to_string_lossy().into_owned()).unwrap_or_default();
        format!("{}:{line}:{}", name(file), name(func))
    };
    let Some(entry) = entry else {
        error!("a deprecation that was never registered, at {}", place());
        return;
    };
    entry.hits.fetch_add(1, Ordering::Relaxed);
    let now = monotonic_ns();
    let last = entry.last_line.load(Ordering::Relaxed);
    if last != NEVER && now < last.saturating_add(entry.interval_ns) {
        entry.silent.fetch_add(1, Ordering::Relaxed);
        return;
    }
    entry.last_line.store(now, Ordering::Relaxed);
    let text = |text: &CStr| text.to_string_lossy().into_owned();
    crate::log::line_at(
        LogLevel::WARN,
        (file.unwrap_or(c""), line, func.unwrap_or(c"")),
        &format_args!(
            "{}: deprecated feature {} to be removed in {}",
            text(&entry.tag),
            text(&entry.description),
            text(&entry.remove_release)
        ),
    );
    let silent = entry.silent.swap(0, Ordering::Relaxed);
    if silent != 0 {
        warning!("{}: {silent} messages suppressed", text(&entry.tag));
    }
}

/// # Safety
/// `func` can be called with `ctx` and an entry.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn spdk_log_for_each_deprecation(ctx: *mut c_void, func: ForEach) -> c_int {
    let Some(function) = func else { return 0 };
    let entries = DEPRECATIONS.lock().clone();
    for entry in entries {
        // SAFETY: the program's own function and context; entries are never freed, and C can only pass them back.
        let answer = unsafe { function(ctx, std::ptr::from_ref(entry).cast_mut()) };
        if answer != 0 {
            return answer;
        }
    }
    0
}

/// # Safety
/// `deprecation` is NULL or came from [`spdk_log_deprecation_register`].
#[unsafe(no_mangle)]
pub unsafe extern "C" fn spdk_deprecation_get_tag(deprecation: *const Deprecation) -> *const c_char {
    // SAFETY: NULL or an entry, which is never freed.
    unsafe { deprecation.as_ref() }.map_or(std::ptr::null(), |entry| entry.tag.as_ptr())
}

/// # Safety
/// As [`spdk_deprecation_get_tag`].
#[unsafe(no_mangle)]
pub unsafe extern "C" fn spdk_deprecation_get_description(deprecation: *const Deprecation) -> *const c_char {
    // SAFETY: NULL or an entry, which is never freed.
    unsafe { deprecation.as_ref() }.map_or(std::ptr::null(), |entry| entry.description.as_ptr())
}

/// # Safety
/// As [`spdk_deprecation_get_tag`].
#[unsafe(no_mangle)]
pub unsafe extern "C" fn spdk_deprecation_get_remove_release(
    deprecation: *const Deprecation,
) -> *const c_char {
    // SAFETY: NULL or an entry, which is never freed.
    unsafe { deprecation.as_ref() }.map_or(std::ptr::null(), |entry| entry.remove_release.as_ptr())
}

/// # Safety
/// As [`spdk_deprecation_get_tag`].
#[unsafe(no_mangle)]
pub unsafe extern "C" fn spdk_deprecation_get_hits(deprecation: *const Deprecation) -> u64 {
    // SAFETY: NULL or an entry, which is never freed.
    unsafe { deprecation.as_ref() }.map_or(0, |entry| entry.hits.load(Ordering::Relaxed))
}

//! `spdk_log_*`: where log lines go, and what they look like.
//!
//! A line of the program's is expanded in `c/variadic.c` and arrives here as text. It goes to stderr up to the print
//! level, to syslog up to the log level (both start at `ERROR`, as SPDK's do), or, if the program opened a log of its
//! own, only there and unfiltered. A line is written with one call, so that lines of several threads do not mix.
#![allow(unsafe_code)]

use std::ffi::{CStr, CString, c_char, c_int, c_void};
use std::io::Write;
use std::mem::offset_of;
use std::ptr::null_mut;
use std::sync::atomic::{AtomicBool, AtomicI32, AtomicPtr, Ordering};

use parking_lot::Mutex;

use crate::cstr;

/// `enum spdk_log_level`. C writes it, so it is a number and not a Rust enum.
#[repr(transparent)]
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct LogLevel(pub(crate) c_int);

impl LogLevel {
    pub(crate) const DISABLED: LogLevel = LogLevel(-1);
    pub(crate) const ERROR: LogLevel = LogLevel(0);
    pub(crate) const WARN: LogLevel = LogLevel(1);
    pub(crate) const NOTICE: LogLevel = LogLevel(2);
    pub(crate) const INFO: LogLevel = LogLevel(3);
    pub(crate) const DEBUG: LogLevel = LogLevel(4);

    fn name(self) -> &'static str {
        match self {
            LogLevel::ERROR => "ERROR",
            LogLevel::WARN => "WARNING",
            LogLevel::NOTICE => "NOTICE",
            LogLevel::INFO => "INFO",
            _ => "DEBUG",
        }
    }

    fn is_valid(self) -> bool {
        (LogLevel::DISABLED..=LogLevel::DEBUG).contains(&self)
    }

    /// syslog's priority; -1 for what is never logged.
    fn syslog(self) -> c_int {
        match self {
            LogLevel::DISABLED => -1,
            LogLevel::ERROR => libc::LOG_ERR,
            LogLevel::WARN => libc::LOG_WARNING,
            LogLevel::NOTICE => libc::LOG_NOTICE,
            _ => libc::LOG_INFO,
        }
    }
}

/// `spdk_log_cb`. Its last argument is a `va_list`, so it is only ever called from C.
pub(crate) type LogCallback = c_void;
pub(crate) type OpenCallback = unsafe extern "C" fn(*mut c_void);

/// `struct spdk_log_opts`.
#[repr(C)]
#[derive(Clone, Copy)]
pub(crate) struct LogOpts {
    size: usize,
    log: *mut LogCallback,
    open: Option<OpenCallback>,
    close: Option<OpenCallback>,
    user_ctx: *mut c_void,
}

/// What is to be called when the log is closed.
#[derive(Clone, Copy)]
struct Closing {
    close: Option<OpenCallback>,
    syslog: bool,
    context: *mut c_void,
}

// SAFETY: the context is the program's and is only passed back to the program's function, which spdk_log_close may call
// from any thread in SPDK too.
unsafe impl Send for Closing {}

static LOG_LEVEL: AtomicI32 = AtomicI32::new(LogLevel::ERROR.0);
static PRINT_LEVEL: AtomicI32 = AtomicI32::new(LogLevel::ERROR.0);
static TIMESTAMPS: AtomicBool = AtomicBool::new(true);
static CALLBACK: AtomicPtr<LogCallback> = AtomicPtr::new(null_mut());
static CLOSING: Mutex<Closing> = Mutex::new(Closing { close: None, syslog: false, context: null_mut() });

unsafe extern "C" {
    fn spdk_env_rdma_log_text(
        level: c_int,
        file: *const c_char,
        line: c_int,
        func: *const c_char,
        text: *const c_char,
    );
}

/// Logs a line as if it had been logged at a place in the program (file, line, function). The text gets its newline.
pub(crate) fn line_at(level: LogLevel, place: (&CStr, u32, &CStr), text: &std::fmt::Arguments<'_>) {
    let (file, line, function) = place;
    let text = CString::new(format!("{text}\n")).unwrap_or_default();
    let line = c_int::try_from(line).unwrap_or(0);
    // SAFETY: three terminated strings that live through the call.
    unsafe { spdk_env_rdma_log_text(level.0, file.as_ptr(), line, function.as_ptr(), text.as_ptr()) };
}

/// Logs a line of this library's own; level, then arguments as `format!`.
macro_rules! own_line {
    ($level:ident, $($text:tt)*) => {{
        const FILE: &std::ffi::CStr = match std::ffi::CStr::from_bytes_with_nul(concat!(file!(), "\0").as_bytes()) {
            Ok(file) => file,
            Err(_) => c"",
        };
        let place = (FILE, line!(), c"spdk_env_rdma");
        $crate::log::line_at($crate::log::LogLevel::$level, place, &format_args!($($text)*))
    }};
}
/// Logs one line at level `ERROR`; arguments as `format!`.
macro_rules! error {
    ($($text:tt)*) => { $crate::log::own_line!(ERROR, $($text)*) };
}
/// Logs one line at level `WARN`; arguments as `format!`.
macro_rules! warning {
    ($($text:tt)*) => { $crate::log::own_line!(WARN, $($text)*) };
}
pub(crate) use {error, own_line, warning};

#[unsafe(no_mangle)]
pub extern "C" fn spdk_log_set_level(level: LogLevel) {
    set_level(&LOG_LEVEL, level);
}

#[unsafe(no_mangle)]
pub extern "C" fn spdk_log_get_level() -> LogLevel {
    LogLevel(LOG_LEVEL.load(Ordering::Relaxed))
}

#[unsafe(no_mangle)]
pub extern "C" fn spdk_log_set_print_level(level: LogLevel) {
    set_level(&PRINT_LEVEL, level);
}

#[unsafe(no_mangle)]
pub extern "C" fn spdk_log_get_print_level() -> LogLevel {
    LogLevel(PRINT_LEVEL.load(Ordering::Relaxed))
}

#[unsafe(no_mangle)]
pub extern "C" fn spdk_log_enable_timestamps(value: bool) {
    TIMESTAMPS.store(value, Ordering::Relaxed);
}

#[unsafe(no_mangle)]
pub extern "C" fn spdk_log_to_syslog_level(level: LogLevel) -> c_int {
    level.syslog()
}

/// Opens a log: the program's own function, or syslog for NULL.
///
/// # Safety
/// `log` is NULL or a function of type `spdk_log_cb` that can be called until the log is closed.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn spdk_log_open(log: *mut LogCallback) {
    open(log, None, Closing { close: None, syslog: log.is_null(), context: null_mut() });
}

/// Opens a log with functions for its beginning and end. Fields behind `opts->size` count as NULL.
///
/// # Safety
/// `opts` is NULL (syslog) or readable for `opts->size` bytes; its functions can be called until the log is closed.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn spdk_log_open_ext(opts: *mut LogOpts) {
    if opts.is_null() {
        open(null_mut(), None, Closing { close: None, syslog: true, context: null_mut() });
        return;
    }
    // SAFETY: a struct that carries its size holds at least the size, by the contract of this function.
    let size = unsafe { (&raw const (*opts).size).read() };
    /// The field, if the caller's struct has it; else what stands for NULL.
    macro_rules! field {
        ($name:ident, $missing:expr) => {
            if size_of::<usize>() + offset_of!(LogOpts, $name) <= size {
                // SAFETY: every field is as large as a pointer and this one lies within the caller's `size` bytes.
                unsafe { (&raw const (*opts).$name).read() }
            } else {
                $missing
            }
        };
    }
    let closing =
        Closing { close: field!(close, None), syslog: false, context: field!(user_ctx, null_mut()) };
    open(field!(log, null_mut()), field!(open, None), closing);
}

#[unsafe(no_mangle)]
pub extern "C" fn spdk_log_close() {
    CALLBACK.store(null_mut(), Ordering::Release);
    let nothing = Closing { close: None, syslog: false, context: null_mut() };
    let closing = std::mem::replace(&mut *CLOSING.lock(), nothing);
    if closing.syslog {
        // SAFETY: no requirement.
        unsafe { libc::closelog() };
    }
    if let Some(close) = closing.close {
        // SAFETY: the program's own function and context, as the log was opened with them.
        unsafe { close(closing.context) };
    }
}

/// Writes a labelled dump, 16 bytes a line: offset, hexadecimal, text.
///
/// # Safety
/// `fp` is an open stream, `label` a string, `buf` readable for `len` bytes; NULLs are accepted and count as empty.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn spdk_log_dump(
    fp: *mut libc::FILE,
    label: *const c_char,
    buf: *const c_void,
    len: usize,
) {
    // SAFETY: NULL or a string.
    let label = unsafe { cstr::borrow(label) }.map_or(&b""[..], CStr::to_bytes);
    let bytes = if buf.is_null() {
        &[]
    } else {
        // SAFETY: readable for `len` bytes by the contract of this function.
        unsafe { std::slice::from_raw_parts(buf.cast::<u8>(), len) }
    };
    let mut line = label.to_vec();
    line.push(b'\n');
    // SAFETY: NULL or an open stream.
    unsafe { cstr::write_stream(fp, &line) };
    for (index, row) in bytes.chunks(DUMP_ROW).enumerate() {
        let row = dump_row(index.saturating_mul(DUMP_ROW), row);
        // SAFETY: NULL or an open stream.
        unsafe { cstr::write_stream(fp, row.as_bytes()) };
    }
    // SAFETY: NULL or an open stream.
    unsafe { cstr::flush_stream(fp) };
}

/// The program's own log function, for `c/variadic.c`.
#[unsafe(no_mangle)]
pub extern "C" fn spdk_env_rdma_log_callback() -> *mut LogCallback {
    CALLBACK.load(Ordering::Acquire)
}

/// Whether a line of this level goes anywhere, for `c/variadic.c`.
#[unsafe(no_mangle)]
pub extern "C" fn spdk_env_rdma_log_wanted(level: c_int) -> c_int {
    let wanted = LOG_LEVEL.load(Ordering::Relaxed).max(PRINT_LEVEL.load(Ordering::Relaxed));
    c_int::from(level >= 0 && level <= wanted)
}

/// A line for stderr and syslog, from `c/variadic.c`.
///
/// # Safety
/// `text` is a string; `file` and `func` are strings or NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn spdk_env_rdma_log_write(
    level: c_int,
    file: *const c_char,
    line: c_int,
    func: *const c_char,
    text: *const c_char,
) {
    // SAFETY: strings or NULL, by the contract of this function.
    let (place, text) = unsafe { (Place::new(file, line, func), cstr::borrow(text)) };
    let text = text.map_or(&b""[..], CStr::to_bytes);
    let level = LogLevel(level);
    let mut message = Vec::with_capacity(text.len().saturating_add(128));
    place.write(&mut message, Some(level));
    message.extend_from_slice(text);
    if level <= spdk_log_get_print_level() {
        let mut whole = timestamp();
        whole.extend_from_slice(&message);
        // A stderr that cannot be written to leaves nowhere to say so.
        let _ = std::io::stderr().write_all(&whole);
    }
    if level <= spdk_log_get_level()
        && let Ok(message) = CString::new(message)
    {
        // SAFETY: a format that takes one string, and a string.
        unsafe { libc::syslog(level.syslog(), c"%s".as_ptr(), message.as_ptr()) };
    }
}

/// A line for a stream of the program's, from `c/variadic.c`.
///
/// # Safety
/// `stream` is an open stream or NULL; `text` is a string; `file` and `func` are strings or NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn spdk_env_rdma_log_write_file(
    stream: *mut libc::FILE,
    file: *const c_char,
    line: c_int,
    func: *const c_char,
    text: *const c_char,
) {
    // SAFETY: strings or NULL, by the contract of this function.
    let (place, text) = unsafe { (Place::new(file, line, func), cstr::borrow(text)) };
    let mut whole = timestamp();
    place.write(&mut whole, None);
    whole.extend_from_slice(text.map_or(&b""[..], CStr::to_bytes));
    // SAFETY: an open stream or NULL.
    unsafe {
        cstr::write_stream(stream, &whole);
        cstr::flush_stream(stream);
    }
}

fn set_level(which: &AtomicI32, level: LogLevel) {
    if level.is_valid() {
        which.store(level.0, Ordering::Relaxed);
    } else {
        error!("{} is not a log level", level.0);
    }
}

fn open(log: *mut LogCallback, open: Option<OpenCallback>, closing: Closing) {
    *CLOSING.lock() = closing;
    CALLBACK.store(log, Ordering::Release);
    if closing.syslog {
        // SAFETY: the identity is a static string, as openlog keeps the pointer.
        unsafe { libc::openlog(c"spdk".as_ptr(), libc::LOG_PID, libc::LOG_LOCAL7) };
    }
    if let Some(open) = open {
        // SAFETY: the program's own function and context.
        unsafe { open(closing.context) };
    }
}

/// Where in the program a line comes from.
struct Place<'a> {
    file: Option<&'a CStr>,
    line: c_int,
    function: Option<&'a CStr>,
}

impl<'a> Place<'a> {
    /// # Safety
    /// Strings or NULL, unchanged for `'a`.
    unsafe fn new(file: *const c_char, line: c_int, function: *const c_char) -> Self {
        // SAFETY: the same contract.
        unsafe { Place { file: cstr::borrow(file), line, function: cstr::borrow(function) } }
    }

    /// `file:line:function: *LEVEL*: `, or nothing if there is no file (`SPDK_PRINTF`).
    fn write(&self, line: &mut Vec<u8>, level: Option<LogLevel>) {
        let Some(file) = self.file else { return };
        line.extend_from_slice(file.to_bytes());
        line.extend_from_slice(format!(":{:4}:", self.line).as_bytes());
        line.extend_from_slice(self.function.map_or(&b""[..], CStr::to_bytes));
        line.extend_from_slice(b": ");
        if let Some(level) = level {
            line.extend_from_slice(format!("*{}*: ", level.name()).as_bytes());
        }
    }
}

/// `[YYYY-mm-dd HH:MM:SS.micros] ` in local time, or nothing if timestamps are off.
fn timestamp() -> Vec<u8> {
    if !TIMESTAMPS.load(Ordering::Relaxed) {
        return Vec::new();
    }
    let mut now = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: `now` is writable.
    unsafe { libc::clock_gettime(libc::CLOCK_REALTIME, &raw mut now) };
    // SAFETY: all zeros is a valid `tm`.
    let mut local: libc::tm = unsafe { std::mem::zeroed() };
    // SAFETY: both are valid for the call.
    if unsafe { libc::localtime_r(&raw const now.tv_sec, &raw mut local) }.is_null() {
        return b"[unknown date] ".to_vec();
    }
    format!(
        "[{:04}-{:02}-{:02} {:02}:{:02}:{:02}.{:06}] ",
        i64::from(local.tm_year).saturating_add(1900),
        local.tm_mon.saturating_add(1),
        local.tm_mday,
        local.tm_hour,
        local.tm_min,
        local.tm_sec,
        now.tv_nsec / 1000,
    )
    .into_bytes()
}

const DUMP_ROW: usize = 16;

/// `00000010  00 01 .. 07  08 .. 0f   text`; a short row is padded, so that the text stays in its column.
fn dump_row(offset: usize, row: &[u8]) -> String {
    let mut line = format!("{offset:08x} ");
    for column in 0..DUMP_ROW {
        if column % 8 == 0 {
            line.push(' ');
        }
        match row.get(column) {
            Some(byte) => line.push_str(&format!("{byte:02x} ")),
            None => line.push_str("   "),
        }
    }
    // A short row's text has stood one more column to the right in SPDK's dumps.
    line.push_str(if row.len() < DUMP_ROW { "  " } else { " " });
    line.extend(row.iter().map(|&byte| if (0x20..0x7f).contains(&byte) { char::from(byte) } else { '.' }));
    line.push('\n');
    line
}

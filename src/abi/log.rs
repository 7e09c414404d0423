//! Log lines: from `tracing` to the program's `spdk_log` where there is one, else to stderr in the same shape.
//!
//! `SPDK_NVME_RDMA_LOG` (off, error, warn, notice, info, debug) says how much is delivered; notice is the default. A
//! program that has set a subscriber of its own keeps it.

use libc::{c_char, c_int};
use once_cell::sync::OnceCell;
use spec::printable;
use std::{ffi::CString, fmt, io::Write as _};
use tracing::{Event, Level, Subscriber, level_filters::LevelFilter, subscriber::set_global_default};
use tracing_subscriber::{
    Layer,
    fmt::{
        FormatFields,
        format::{Writer, debug_fn},
    },
    layer::{Context, SubscriberExt},
    registry,
};

unsafe extern "C" {
    /// Level, file, line, function, format. To be called only if there is one.
    fn spdk_log(
        level: c_int,
        file: *const c_char,
        line: c_int,
        func: *const c_char,
        format: *const c_char,
        ...
    );

    /// Whether there is an `spdk_log`. Asked for each line, since its library may be loaded later than this one.
    safe fn nvme_rdma_env_has_log() -> bool;
}

/// Makes log lines go somewhere. Only the first call does anything.
pub(super) fn install() {
    static INSTALLED: OnceCell<()> = OnceCell::new();
    INSTALLED.get_or_init(|| {
        // An error means that the program has a subscriber of its own, which then gets the lines.
        let _ = set_global_default(registry().with(wanted()).with(Delivery));
    });
}

/// How much is to be said.
fn wanted() -> LevelFilter {
    std::env::var("SPDK_NVME_RDMA_LOG").ok().and_then(|name| level(&name)).unwrap_or(LevelFilter::INFO)
}

/// Says a line to whoever started the process, on stderr: what they have to know also if the program's own log, as SPDK's does at
/// first, leaves out all but errors.
pub(super) fn tell(text: fmt::Arguments<'_>) {
    if wanted() >= LevelFilter::INFO {
        let _ = writeln!(std::io::stderr(), "[{}] libspdk_nvme_rdma: *NOTICE*: {text}", now());
    }
}

/// SPDK's notice lies between its warning and its information, so `tracing`'s levels from INFO on stand for one more.
fn level(name: &str) -> Option<LevelFilter> {
    Some(match name.to_ascii_lowercase().as_str() {
        "off" | "disabled" => LevelFilter::OFF,
        "error" => LevelFilter::ERROR,
        "warn" | "warning" => LevelFilter::WARN,
        "notice" => LevelFilter::INFO,
        "info" => LevelFilter::DEBUG,
        "debug" => LevelFilter::TRACE,
        _ => return None,
    })
}

/// `enum spdk_log_level` and its name.
fn spdk_level(level: &Level) -> (c_int, &'static str) {
    match *level {
        Level::ERROR => (0, "ERROR"),
        Level::WARN => (1, "WARNING"),
        Level::INFO => (2, "NOTICE"),
        Level::DEBUG => (3, "INFO"),
        Level::TRACE => (4, "DEBUG"),
    }
}

struct Delivery;

impl<S: Subscriber> Layer<S> for Delivery {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        let metadata = event.metadata();
        // Whoever writes a line makes what came from outside printable; this is for what was forgotten.
        let text = printable(&text_of(event)).to_string();
        let file = metadata.file().unwrap_or("unknown").rsplit('/').next().unwrap_or("unknown");
        let line = metadata.line().and_then(|line| c_int::try_from(line).ok()).unwrap_or(0);
        // There is no function's name to be had; the module's is near enough.
        let module = metadata.target().rsplit("::").next().unwrap_or_default();
        let (level, name) = spdk_level(metadata.level());
        if nvme_rdma_env_has_log() {
            to_spdk(level, file, line, module, &text);
        } else {
            let _ = writeln!(std::io::stderr(), "[{}] {file}:{line}:{module}: *{name}*: {}", now(), text);
        }
    }
}

/// What an event says, as this library's lines have it: the message, which comes first, and the fields behind it. Nothing is escaped.
pub fn text_of(event: &Event<'_>) -> String {
    let mut text = String::new();
    let _ = debug_fn(|to, field, value| match field.name() {
        "message" => write!(to, "{value:?}"),
        name => write!(to, " {name}={value:?}"),
    })
    .format_fields(Writer::new(&mut text), event);
    text
}

fn to_spdk(level: c_int, file: &str, line: c_int, module: &str, text: &str) {
    // A text with a zero byte in it cannot be a C string; none of ours has one.
    let string = |text: &str| CString::new(text.replace('\0', "?")).unwrap_or_default();
    let (file, module, text) = (string(file), string(module), string(text));
    // SAFETY: there is an spdk_log; the arguments are C strings, and the format takes one.
    unsafe { spdk_log(level, file.as_ptr(), line, module.as_ptr(), c"%s\n".as_ptr(), text.as_ptr()) };
}

/// Local time, as SPDK's own log lines have it.
fn now() -> String {
    // SAFETY: both structs are integers and a pointer, for which zero is valid.
    let (mut time, mut local): (libc::timespec, libc::tm) =
        unsafe { (std::mem::zeroed(), std::mem::zeroed()) };
    // SAFETY: both structs are this function's own.
    unsafe {
        libc::clock_gettime(libc::CLOCK_REALTIME, &raw mut time);
        libc::localtime_r(&raw const time.tv_sec, &raw mut local);
    }
    format!(
        "{:04}-{:02}-{:02} {:02}:{:02}:{:02}.{:06}",
        i64::from(local.tm_year).saturating_add(1900),
        i64::from(local.tm_mon).saturating_add(1),
        local.tm_mday,
        local.tm_hour,
        local.tm_min,
        local.tm_sec,
        time.tv_nsec / 1000
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn levels_have_names() {
        assert_eq!(level("Notice"), Some(LevelFilter::INFO));
        assert_eq!(level("debug"), Some(LevelFilter::TRACE));
        assert_eq!(level("nonsense"), None);
        assert_eq!(spdk_level(&Level::INFO), (2, "NOTICE"));
    }

    #[test]
    fn a_time_is_a_date_and_microseconds() {
        let now = now();
        assert_eq!(now.len(), "2026-01-01 00:00:00.000000".len(), "{now}");
        assert!(now.starts_with("20"));
    }
}

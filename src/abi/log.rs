//! Log lines: from `tracing` to the program's `spdk_log` where there is one, else to stderr in the same shape.
//!
//! `SPDK_NVME_RDMA_LOG` (off, error, warn, notice, info, debug) says how much is delivered; notice is the default. A
//! program that has set a subscriber of its own keeps it.

use libc::{c_char, c_int, c_void};
use once_cell::sync::OnceCell;
use spec::printable;
use std::{
    ffi::CString,
    fmt::{self, Write as _},
    io::Write as _,
    mem::transmute,
};
use tracing::{
    Event, Level, Metadata, Subscriber,
    field::{Field, Visit},
    level_filters::LevelFilter,
    span,
    subscriber::{Interest, set_global_default},
};

/// `spdk_log`, which is variadic: level, file, line, function, format.
type SpdkLog = unsafe extern "C" fn(c_int, *const c_char, c_int, *const c_char, *const c_char, ...);

/// Makes log lines go somewhere. Only the first call does anything.
pub(super) fn install() {
    static INSTALLED: OnceCell<()> = OnceCell::new();
    INSTALLED.get_or_init(|| {
        let level = match std::env::var("SPDK_NVME_RDMA_LOG") {
            Ok(name) => level(&name).unwrap_or(LevelFilter::INFO),
            Err(_) => LevelFilter::INFO,
        };
        // An error means that the program has a subscriber of its own, which then gets the lines.
        let _ = set_global_default(Delivery { level, spdk_log: find_spdk_log() });
    });
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

fn find_spdk_log() -> Option<SpdkLog> {
    // SAFETY: the name is a C string.
    let address: *mut c_void = unsafe { libc::dlsym(libc::RTLD_DEFAULT, c"spdk_log".as_ptr()) };
    // SAFETY: every library that defines the symbol gives it this type.
    (!address.is_null()).then(|| unsafe { transmute::<*mut c_void, SpdkLog>(address) })
}

struct Delivery {
    level: LevelFilter,
    spdk_log: Option<SpdkLog>,
}

impl Subscriber for Delivery {
    fn register_callsite(&self, metadata: &'static Metadata<'static>) -> Interest {
        if self.enabled(metadata) { Interest::always() } else { Interest::never() }
    }

    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.is_event() && *metadata.level() <= self.level
    }

    fn max_level_hint(&self) -> Option<LevelFilter> {
        Some(self.level)
    }

    fn event(&self, event: &Event<'_>) {
        let metadata = event.metadata();
        let mut text = Text::default();
        event.record(&mut text);
        // Whoever writes a line makes what came from outside printable; this is for what was forgotten.
        let text = printable(&text.0).to_string();
        let file = metadata.file().unwrap_or("unknown").rsplit('/').next().unwrap_or("unknown");
        let line = metadata.line().and_then(|line| c_int::try_from(line).ok()).unwrap_or(0);
        // There is no function's name to be had; the module's is near enough.
        let module = metadata.target().rsplit("::").next().unwrap_or_default();
        let (level, name) = spdk_level(metadata.level());
        match self.spdk_log {
            Some(spdk_log) => to_spdk(spdk_log, level, file, line, module, &text),
            None => {
                let _ = writeln!(std::io::stderr(), "[{}] {file}:{line}:{module}: *{name}*: {text}", now());
            }
        }
    }

    fn new_span(&self, _: &span::Attributes<'_>) -> span::Id {
        span::Id::from_u64(1)
    }

    fn record(&self, _: &span::Id, _: &span::Record<'_>) {}
    fn record_follows_from(&self, _: &span::Id, _: &span::Id) {}
    fn enter(&self, _: &span::Id) {}
    fn exit(&self, _: &span::Id) {}
}

fn to_spdk(spdk_log: SpdkLog, level: c_int, file: &str, line: c_int, module: &str, text: &str) {
    // A text with a zero byte in it cannot be a C string; none of ours has one.
    let string = |text: &str| CString::new(text.replace('\0', "?")).unwrap_or_default();
    let (file, module, text) = (string(file), string(module), string(text));
    // SAFETY: the arguments are C strings, and the format takes one.
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

/// An event's message, and its fields behind it.
#[derive(Default)]
struct Text(String);

impl Visit for Text {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        if field.name() == "message" {
            let fields = std::mem::take(&mut self.0);
            let _ = write!(self.0, "{value:?}{fields}");
        } else {
            let _ = write!(self.0, " {}={value:?}", field.name());
        }
    }
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

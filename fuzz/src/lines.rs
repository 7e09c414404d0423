//! The log: every line is written as for a reader, counted, and thrown away.
//!
//! What must hold: a line is one line: what a peer or a program puts into one has no control characters left in it. And no input
//! makes very many of them.

use std::{
    cell::{Cell, RefCell},
    fmt::{self, Write as _},
    sync::Once,
};
use tracing::{
    Event, Metadata, Subscriber,
    field::{Field, Visit},
    span,
};

/// Warnings and errors of one input.
const MOST: u64 = 10_000;

thread_local! {
    static LINES: Cell<u64> = const { Cell::new(0) };
    static TEXT: RefCell<String> = const { RefCell::new(String::new()) };
    static BROKEN: RefCell<Option<String>> = const { RefCell::new(None) };
}

/// Takes the log from now on. `FUZZ_LOG=1` in the environment shows it.
pub fn take() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let shown = std::env::var_os("FUZZ_LOG").is_some();
        let _ = tracing::subscriber::set_global_default(Lines { shown });
    });
}

/// Looks at the warnings and errors of this thread since the last call.
pub fn check() {
    let broken = BROKEN.take();
    assert!(broken.is_none(), "a log line with control characters: {broken:?}");
    let lines = LINES.take();
    assert!(lines < MOST, "{lines} lines of warnings and errors");
}

struct Lines {
    shown: bool,
}

impl Subscriber for Lines {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.is_event() && *metadata.level() <= tracing::Level::INFO
    }

    fn event(&self, event: &Event<'_>) {
        let mut text = TEXT.take();
        text.clear();
        event.record(&mut Text(&mut text));
        if *event.metadata().level() <= tracing::Level::WARN {
            LINES.set(LINES.get() + 1);
        }
        if text.chars().any(char::is_control) {
            BROKEN.set(Some(text.clone()));
        }
        if self.shown {
            eprintln!("{} {}: {text}", event.metadata().level(), event.metadata().target());
        }
        TEXT.set(text);
    }

    fn new_span(&self, _: &span::Attributes<'_>) -> span::Id {
        span::Id::from_u64(1)
    }

    fn record(&self, _: &span::Id, _: &span::Record<'_>) {}
    fn record_follows_from(&self, _: &span::Id, _: &span::Id) {}
    fn enter(&self, _: &span::Id) {}
    fn exit(&self, _: &span::Id) {}
}

struct Text<'a>(&'a mut String);

impl Visit for Text<'_> {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        let _ = write!(self.0, " {}={value:?}", field.name());
    }
}

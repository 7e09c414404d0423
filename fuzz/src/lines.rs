//! The log: every line is written as for a reader, counted, and thrown away.
//!
//! What must hold: a line is one line: what a peer or a program puts into one has no control characters left in it. And no input
//! makes very many of them.

use spdk_nvme_rdma::abi::text_of;
use std::{
    cell::{Cell, RefCell},
    sync::Once,
};
use tracing::{Event, Level, Subscriber, level_filters::LevelFilter, subscriber::set_global_default};
use tracing_subscriber::{
    Layer,
    layer::{Context, SubscriberExt},
    registry,
};

/// Warnings and errors of one input.
const MOST: u64 = 10_000;

thread_local! {
    static LINES: Cell<u64> = const { Cell::new(0) };
    static BROKEN: RefCell<Option<String>> = const { RefCell::new(None) };
}

/// Takes the log from now on. `FUZZ_LOG=1` in the environment shows it.
pub fn take() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let shown = std::env::var_os("FUZZ_LOG").is_some();
        let _ = set_global_default(registry().with(LevelFilter::INFO).with(Lines { shown }));
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

impl<S: Subscriber> Layer<S> for Lines {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        let text = text_of(event);
        if *event.metadata().level() <= Level::WARN {
            LINES.set(LINES.get() + 1);
        }
        if text.chars().any(char::is_control) {
            BROKEN.set(Some(text.clone()));
        }
        if self.shown {
            eprintln!("{} {}: {text}", event.metadata().level(), event.metadata().target());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::panic::catch_unwind;

    #[test]
    fn a_control_character_is_noticed_whatever_it_is() {
        take();
        check();
        for character in ['\n', '\x1b', '\x07', '\x7f', '\u{9b}'] {
            tracing::warn!("before {character} behind");
            assert!(catch_unwind(check).is_err(), "{character:?}");
        }
        check();
    }
}

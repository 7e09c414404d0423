//! The library's log lines while something runs, as a program at the default level gets them.

use std::{
    fmt,
    sync::{Arc, Mutex},
};
use tracing::{Event, Level, Metadata, Subscriber, field, span};

/// A line: its level, and its text.
pub type Line = (Level, String);

/// Runs `work` and gives what it logged.
pub fn record<R>(work: impl FnOnce() -> R) -> (R, Vec<Line>) {
    let lines = Arc::new(Mutex::new(Vec::new()));
    let result = tracing::subscriber::with_default(Lines(lines.clone()), work);
    let found = std::mem::take(&mut *lines.lock().unwrap());
    (result, found)
}

/// The texts of the error lines.
pub fn errors(lines: &[Line]) -> Vec<&str> {
    lines.iter().filter(|(level, _)| *level == Level::ERROR).map(|(_, text)| text.as_str()).collect()
}

struct Lines(Arc<Mutex<Vec<Line>>>);

impl Subscriber for Lines {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.is_event()
            && *metadata.level() <= Level::INFO
            && metadata.target().starts_with("spdk_nvme_rdma")
    }

    fn event(&self, event: &Event<'_>) {
        let mut text = Text(String::new());
        event.record(&mut text);
        self.0.lock().unwrap().push((*event.metadata().level(), text.0));
    }

    fn new_span(&self, _: &span::Attributes<'_>) -> span::Id {
        span::Id::from_u64(1)
    }

    fn record(&self, _: &span::Id, _: &span::Record<'_>) {}
    fn record_follows_from(&self, _: &span::Id, _: &span::Id) {}
    fn enter(&self, _: &span::Id) {}
    fn exit(&self, _: &span::Id) {}
}

struct Text(String);

impl field::Visit for Text {
    fn record_debug(&mut self, _: &field::Field, value: &dyn fmt::Debug) {
        self.0 += &format!("{value:?}");
    }
}

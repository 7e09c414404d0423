//! The library's log lines while something runs, as a program at the default level or below it gets them.

use std::{
    fmt,
    sync::{Arc, Mutex, PoisonError},
};
use tracing::{Event, Level, Metadata, Subscriber, field, span};

/// A line: its level, and its text.
pub type Line = (Level, String);

/// Runs `work` and gives what it logged on this thread, information included.
pub fn record<R>(work: impl FnOnce() -> R) -> (R, Vec<Line>) {
    up_to(Level::INFO, &HOST, work)
}

/// Whose lines are the host's.
const HOST: [&str; 2] = ["spdk_nvme_rdma", "verbs"];

fn up_to<R>(most: Level, of: &'static [&'static str], work: impl FnOnce() -> R) -> (R, Vec<Line>) {
    let lines = Arc::new(Mutex::new(Vec::new()));
    let result = tracing::subscriber::with_default(Lines { most, of, lines: lines.clone() }, work);
    let found = std::mem::take(&mut *lines.lock().unwrap_or_else(PoisonError::into_inner));
    (result, found)
}

/// Runs `work` and gives the texts of all warnings and errors, those of the target in this thread included.
pub fn recorded<R>(work: impl FnOnce() -> R) -> (R, Vec<String>) {
    let (result, lines) = up_to(Level::WARN, &[""], work);
    (result, texts(lines))
}

/// The texts of the lines of `most` and more severe levels while `work` runs.
pub fn logged(most: Level, work: impl FnOnce()) -> Vec<String> {
    let ((), lines) = up_to(most, &HOST, work);
    texts(lines)
}

/// The texts of the error lines.
pub fn errors(lines: &[Line]) -> Vec<&str> {
    lines.iter().filter(|(level, _)| *level == Level::ERROR).map(|(_, text)| text.as_str()).collect()
}

fn texts(lines: Vec<Line>) -> Vec<String> {
    lines.into_iter().map(|(_, text)| text).collect()
}

struct Lines {
    most: Level,
    /// What the names of the modules begin with.
    of: &'static [&'static str],
    lines: Arc<Mutex<Vec<Line>>>,
}

impl Subscriber for Lines {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.is_event()
            && *metadata.level() <= self.most
            && self.of.iter().any(|name| metadata.target().starts_with(name))
    }

    fn event(&self, event: &Event<'_>) {
        let mut text = Text(String::new());
        event.record(&mut text);
        self.lines.lock().unwrap_or_else(PoisonError::into_inner).push((*event.metadata().level(), text.0));
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
    fn record_debug(&mut self, field: &field::Field, value: &dyn fmt::Debug) {
        if field.name() == "message" {
            self.0 = format!("{value:?}");
        }
    }
}

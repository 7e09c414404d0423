//! The library's log lines while something runs, as a program at the default level or below it gets them.

use spdk_nvme_rdma::abi::text_of;
use std::sync::{Arc, Mutex, PoisonError};
use tracing::{Event, Level, Subscriber, subscriber::with_default};
use tracing_subscriber::{
    Layer,
    filter::Targets,
    layer::{Context, SubscriberExt},
    registry,
};

/// A line: its level, and its text.
pub type Line = (Level, String);

/// Runs `work` and gives what it logged on this thread, information included.
pub fn record<R>(work: impl FnOnce() -> R) -> (R, Vec<Line>) {
    of(of_host(Level::INFO), work)
}

/// The host's own lines.
fn of_host(most: Level) -> Targets {
    Targets::new().with_target("spdk_nvme_rdma", most).with_target("verbs", most)
}

fn of<R>(wanted: Targets, work: impl FnOnce() -> R) -> (R, Vec<Line>) {
    let lines = Arc::new(Mutex::new(Vec::new()));
    let result = with_default(registry().with(wanted).with(Lines(lines.clone())), work);
    let found = std::mem::take(&mut *lines.lock().unwrap_or_else(PoisonError::into_inner));
    (result, found)
}

/// Runs `work` and gives the texts of all warnings and errors, those of the target in this thread included.
pub fn recorded<R>(work: impl FnOnce() -> R) -> (R, Vec<String>) {
    let (result, lines) = of(Targets::new().with_default(Level::WARN), work);
    (result, texts(lines))
}

/// The texts of the lines of `most` and more severe levels while `work` runs.
pub fn logged(most: Level, work: impl FnOnce()) -> Vec<String> {
    let ((), lines) = of(of_host(most), work);
    texts(lines)
}

/// The texts of the error lines.
pub fn errors(lines: &[Line]) -> Vec<&str> {
    lines.iter().filter(|(level, _)| *level == Level::ERROR).map(|(_, text)| text.as_str()).collect()
}

fn texts(lines: Vec<Line>) -> Vec<String> {
    lines.into_iter().map(|(_, text)| text).collect()
}

struct Lines(Arc<Mutex<Vec<Line>>>);

impl<S: Subscriber> Layer<S> for Lines {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        let line = (*event.metadata().level(), text_of(event));
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(line);
    }
}

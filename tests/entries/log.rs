//! What the library logs while something happens.

use std::sync::{Arc, Mutex};
use tracing::{Event, Level, Metadata, Subscriber, field, span};

struct Lines {
    most: Level,
    lines: Arc<Mutex<Vec<String>>>,
}

struct Text(String);

impl field::Visit for Text {
    fn record_debug(&mut self, field: &field::Field, value: &dyn std::fmt::Debug) {
        if field.name() == "message" {
            self.0 = format!("{value:?}");
        }
    }
}

impl Subscriber for Lines {
    fn enabled(&self, about: &Metadata<'_>) -> bool {
        about.is_event() && *about.level() <= self.most && about.target().starts_with("spdk_nvme_rdma")
    }
    fn event(&self, event: &Event<'_>) {
        let mut text = Text(String::new());
        event.record(&mut text);
        self.lines.lock().unwrap().push(text.0);
    }
    fn new_span(&self, _: &span::Attributes<'_>) -> span::Id {
        span::Id::from_u64(1)
    }
    fn record(&self, _: &span::Id, _: &span::Record<'_>) {}
    fn record_follows_from(&self, _: &span::Id, _: &span::Id) {}
    fn enter(&self, _: &span::Id) {}
    fn exit(&self, _: &span::Id) {}
}

/// The library's lines of `most` and more severe levels while `work` runs.
pub fn logged(most: Level, work: impl FnOnce()) -> Vec<String> {
    let lines = Arc::default();
    tracing::subscriber::with_default(Lines { most, lines: Arc::clone(&lines) }, work);
    std::mem::take(&mut *lines.lock().unwrap())
}

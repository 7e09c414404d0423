//! Log lines on stderr.

use std::{fmt, io};
use tracing::{Event, Level};
use tracing_subscriber::{
    Registry,
    fmt::{
        FmtContext, FormatFields,
        format::{DefaultFields, Writer},
    },
};

/// Shows warnings, with `verbose` 1 also information, with 2 everything.
pub(crate) fn install(verbose: u8) {
    let level = match verbose {
        0 => Level::WARN,
        1 => Level::INFO,
        _ => Level::TRACE,
    };
    let subscriber = tracing_subscriber::fmt()
        .with_max_level(level)
        .with_writer(io::stderr)
        // They would be said on stderr, which is what failed.
        .log_internal_errors(false)
        .event_format::<fn(&FmtContext<'_, _, _>, Writer<'_>, &Event<'_>) -> fmt::Result>(line)
        .finish();
    let _ = tracing::subscriber::set_global_default(subscriber);
}

fn line(
    context: &FmtContext<'_, Registry, DefaultFields>,
    mut to: Writer<'_>,
    event: &Event<'_>,
) -> fmt::Result {
    write!(to, "nvme-rdma-target {}: ", event.metadata().level())?;
    context.format_fields(to.by_ref(), event)?;
    writeln!(to)
}

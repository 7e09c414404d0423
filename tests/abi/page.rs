//! `docs/compatibility.md` says what the library offers of SPDK's API. It is made from the table of entry points and from what
//! was measured of SPDK.

use super::{
    releases::{RELEASES, Releases},
    table::{Entry, Kind, table},
};
use std::fmt::Write;

const HEAD: &str = "# Compatibility

What this library does with each symbol that `libspdk_nvme` exports in SPDK v24.09 to v26.05. Made from `src/abi/entry_points.toml` and
what was measured of SPDK by `tests/entry_points.rs`, which fails when this page is out of date.

- **native**: for RDMA controllers the library's own; a handle or transport id that is not ours goes to the next definition
  of the symbol (`dlsym(RTLD_NEXT)`), or gets SPDK's error value if there is none.
- **not yet**: authentication (DH-HMAC-CHAP) alone. With a controller or qpair of ours it says so in one line of the log and returns
  the value that is given here; everything else goes to the next definition of the symbol. No header declares it yet.
- **passed on**: it takes nothing of ours. It goes to the next definition of the symbol; without one there is nothing that it could
  be for, and it returns the value that is given here.
- **extension**: not in SPDK.

There is no interrupt mode, either: queue pairs over RDMA are polled. The functions for it are native, and answer that there is nothing
to wait for, as their rows say.

Prototypes, layouts, enumerators and macros of the headers are compared with what was measured of SPDK v26.05 by
`tests/abi.rs`, and those of the releases from v24.09 on with each other: no function changed its type, no enumerator its value, and
no field its place, but in four structures. Two grew, and come with their size; options structures are read up to the caller's size. The other two
(`spdk_nvme_transport_ops`, `spdk_nvme_trid_entry`) are left to SPDK's library where there is one.

What behaves otherwise than in SPDK, on purpose:

- a stale or NULL handle, or one of the wrong kind, gets an error and one log line, where SPDK reads freed memory;
- `fabrics_connect_timeout_us` = 0 means 10 s, and `admin_timeout_ms` = 0 means 5 minutes, where SPDK waits without end;
- one qpair is polled by a synchronous connect or disconnect, and by `spdk_nvme_qpair_process_completions`, never the whole group that it is
  in: a poll of the group would run callbacks of others where nobody waits for them, and could tell nobody which of them are disconnected;
- a transfer that takes several commands ends with the first error that one of them had, not the last: what follows is often its consequence;
- a command that ends with an error is printed with its completion, but no more than 128 of a queue at once and one more each second: then a line
  says how many were left out. A Connect command that is refused has one line of its own;
- `io_queue_requests` above 32,766 are 32,766, with a warning, as the controller's options say then;
- a controller that does not answer a Keep Alive within its timeout is given up, once the timeout callback has heard of it; while one is brought up
  it gets its Keep Alives, too;
- an Asynchronous Event Request that fails is sent again, but no more than eight in a second;
- a controller of zoned namespaces that refuses the log page of its commands is used without Zone Append, where SPDK gives it up;
- key-value commands to a namespace of another command set are refused (-EINVAL): there the same opcodes write blocks;
- requests for events go out even where the controller has refused to be told which;
- a reset asks for the Keep Alive Timeout that the program wanted, not for the one that the controller granted before;
- a namespace that cannot be identified is left out with a line, whatever the error, where some errors cost SPDK the controller;
- a controller that is detached has two minutes to shut down at most, however much more it claims (RTD3E);
- a controller that reports a fatal status (CSTS.CFS) while it is enabled is given up at once, and not after CAP.TO;
- images of firmware and boot partitions go in pieces of the size that the controller wants (FWUG), where SPDK's are pages; one at a time
  (-EBUSY for a second one), and one that a reset came into is not committed;
- a device that no longer takes a work request of the Admin Queue, or whose completion queue can no longer be polled, ends its connection as
  a lost one (`is_failed` stays false);
- `admin_queue_size` is 3 at least: one command is kept for Keep Alive;
- `traddr` must be numeric: names are not looked up, since that could block.

";

/// The text of the page.
pub fn text() -> String {
    let releases = Releases::load();
    let table = table();
    let count = |kind: Kind| table.values().filter(|entry| entry.kind == kind).count();
    let mut page = String::from(HEAD);
    let all = table.len() - count(Kind::Extension);
    let of = |kind: Kind, is_written: bool| {
        table.values().filter(|entry| entry.kind == kind && entry.is_written == is_written).count()
    };
    writeln!(
        page,
        "Native: {} of {all} symbols. Passed on for good, since what it is for is never ours: {}. Not yet, all of authentication: {}.\n",
        count(Kind::Native),
        of(Kind::PassOn, true),
        count(Kind::Stub) + of(Kind::PassOn, false),
    )
    .unwrap();
    page.push_str(
        "| symbol | | releases | which of SPDK's programs and libraries need it |\n|---|---|---|---|\n",
    );
    for (symbol, entry) in &table {
        let needed_by = releases.needed_by(symbol).join(", ");
        writeln!(page, "| `{symbol}` | {} | {} | {needed_by} |", what(entry), span(entry)).unwrap();
    }
    page
}

fn what(entry: &Entry) -> String {
    let what = match entry.kind {
        Kind::Native => String::from("native"),
        Kind::Extension => String::from("extension"),
        Kind::Stub | Kind::PassOn => {
            let what = if entry.kind == Kind::Stub { "not yet" } else { "passed on" };
            entry.refused.as_deref().map_or(what.to_owned(), |refused| format!("{what}: {refused}"))
        }
    };
    entry.note.as_deref().map_or(what.clone(), |note| format!("{what}. {note}"))
}

/// The releases that have an entry, where these are not all.
fn span(entry: &Entry) -> String {
    match (entry.since.as_deref(), entry.until.as_deref()) {
        (None, None) => String::new(),
        (Some(since), None) => format!("from {since}"),
        (since, Some(until)) => format!("{} to {until}", since.unwrap_or(RELEASES[0])),
    }
}

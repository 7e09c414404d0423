//! `docs/compatibility.md` says what the library offers of SPDK's API. It is made from the list of entry points that
//! also drives the export list, and from what SPDK exports, and must not fall behind them.
//!
//! `NVME_RDMA_UPDATE_DOCS=1 cargo test --test compatibility` writes it anew.

// A test may fail where it stands, its helpers as well.
#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use std::{collections::BTreeSet, fmt::Write, fs, path::Path};

// What the library needs of a program.
use {env as _, softverbs as _, spdk_nvme_rdma as _};

const HEAD: &str = "# Compatibility

Which of the symbols that SPDK's `libspdk_nvme` exports this library offers. Made from `src/abi/entry_points.txt` and SPDK
v26.05's export list by `tests/compatibility.rs`, which fails when this page is out of date.

- **native**: for RDMA controllers the library's own; a handle or transport id that is not ours goes to the next definition
  of the symbol (`dlsym(RTLD_NEXT)`), or gets SPDK's error value if there is none.
- **extension**: not in SPDK.
- **not yet**: not exported. A program that needs it does not link with this library alone; under `LD_PRELOAD` over SPDK's own
  libraries the call reaches SPDK, which must not be given our handles.

Prototypes, layouts, enumerators and macros of the headers are compared with what was measured of SPDK v26.05 by
`tests/abi.rs`. From v24.09 to v26.05 no exported function changed its type, and every structure that grew carries its
size; options structures are read up to the caller's size.

What behaves otherwise than in SPDK, on purpose:

- a stale or NULL handle, or one of the wrong kind, gets an error and one log line, where SPDK reads freed memory;
- `fabrics_connect_timeout_us` = 0 means 10 s, where SPDK waits without end;
- one qpair is polled by a synchronous connect or disconnect, never the whole group that it is in;
- `traddr` must be numeric: names are not looked up, since that could block.

";

fn page() -> String {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let ours = fs::read_to_string(root.join("src/abi/entry_points.txt")).unwrap();
    let ours: BTreeSet<&str> = ours.lines().filter(|line| !line.is_empty()).collect();
    let facts = fs::read_to_string(root.join("tests/abi/spdk-v26.05.json")).unwrap();
    let facts: serde_json::Value = serde_json::from_str(&facts).unwrap();
    let theirs: BTreeSet<&str> =
        facts["exported"].as_array().unwrap().iter().map(|name| name.as_str().unwrap()).collect();
    let mut page = String::from(HEAD);
    let native = ours.intersection(&theirs).count();
    writeln!(page, "{native} of {} symbols are native.\n\n| symbol | |\n|---|---|", theirs.len()).unwrap();
    for name in ours.union(&theirs) {
        let what = match (ours.contains(name), theirs.contains(name)) {
            (true, true) => "native",
            (true, false) => "extension",
            _ => "not yet",
        };
        writeln!(page, "| `{name}` | {what} |").unwrap();
    }
    page
}

#[test]
fn the_page_is_up_to_date() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/compatibility.md");
    let page = page();
    if std::env::var_os("NVME_RDMA_UPDATE_DOCS").is_some() {
        fs::write(&path, &page).unwrap();
    }
    let committed = fs::read_to_string(&path).unwrap_or_default();
    assert!(
        committed == page,
        "docs/compatibility.md is out of date: NVME_RDMA_UPDATE_DOCS=1 cargo test --test compatibility"
    );
}

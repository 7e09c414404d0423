//! Each of SPDK's entry points, called over a stand-in for SPDK's library with handles of this library's and good arguments: what takes such
//! a handle is answered here, and no handle of ours ever reaches that library, whatever is called. What takes none is answered by whom the
//! rules say, also for NULL. `bad_input.rs` has the handles that are none.

// A test may fail where it stands, its helpers as well.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

#[path = "abi/arguments.rs"]
#[allow(dead_code)] // Made for more than this test.
mod arguments;
#[path = "abi/data.rs"]
#[allow(dead_code)] // As above.
mod data;
#[path = "abi/live_calls.rs"]
mod live_calls;
#[path = "abi/releases.rs"]
#[allow(dead_code)] // As above.
mod releases;
#[path = "abi/standin.rs"]
mod standin;
#[path = "abi/stubs.rs"]
#[allow(dead_code)] // As above.
mod stubs;
#[path = "abi/table.rs"]
#[allow(dead_code)] // As above.
mod table;
#[path = "abi/tools.rs"]
#[allow(dead_code)] // As above.
mod tools;

use live_calls::{Who, fits, header, unused, who};
use std::collections::{BTreeMap, BTreeSet};
use stubs::is_handle;

// What the library needs of a program.
use {env as _, softverbs as _, spdk_nvme_rdma as _};

/// How many functions SPDK's releases have together. Who adds one sees to it that it is called.
const SYMBOLS: usize = 283;
/// How many of them take no handle: what is about transports, ids and texts alone, or makes the first handle.
const WITHOUT: usize = 46;

/// What the library says of a handle that is not what is asked for: not of a live one.
const COMPLAINTS: &[&str] =
    &["handle is NULL", "that was freed", "which is not what is asked for", "was never a handle"];

/// Entries whose good calls must succeed: the target here has what they are about.
const DONE: &[&str] = &["spdk_opal_*", "ctrlr_write_boot_partition"];

/// Whether a call of one of these did what it was asked for.
fn is_success(symbol: &str, got: u64) -> bool {
    match symbol {
        "spdk_opal_cmd_get_max_ranges" => (1..=0x7fff_ffff).contains(&got),
        "spdk_opal_dev_construct" | "spdk_opal_get_d0_features_info" | "spdk_opal_get_locking_range_info" => {
            got != 0
        }
        _ => got == 0,
    }
}

#[test]
fn what_is_ours_is_answered_here_and_reaches_no_other_library() {
    let shapes: BTreeMap<_, _> =
        standin::shapes().into_iter().map(|(symbol, _, shape)| (symbol, shape)).collect();
    let (text, calls) = header();
    let said = standin::run("live_handles", "calls", ("calls.h", &text), true);

    let mut wrong: Vec<_> =
        said.lines().filter(|line| line.starts_with("OURS ")).map(str::to_owned).collect();
    let (mut with_ours, mut without) = (BTreeSet::new(), BTreeSet::new());
    let results: Vec<_> = said.split("CALL ").skip(1).filter(|call| call.contains("\nRESULT ")).collect();
    assert_eq!(results.len(), calls.len(), "calls that came to something");
    for (call, result) in calls.iter().zip(results) {
        let (what, result) = result.split_once('\n').unwrap();
        assert_eq!(what, format!("{} {} {}", call.symbol, call.argument, call.value));
        let (lines, result) = result.split_once("RESULT ").unwrap();
        let result: Vec<_> = result.lines().next().unwrap().split_whitespace().collect();
        let [got, _, reached, at] = result[..] else { panic!("{result:?}") };
        let got = u64::from_str_radix(got, 16).unwrap();
        let shape = &shapes[&call.symbol];
        let is_right = match who(call).0 {
            Who::Ours => reached == "0",
            Who::Both => reached != "0",
            Who::Next => (reached, at, got) == ("1", &call.symbol, shape.answer) && lines.is_empty(),
        };
        let is_taken =
            call.argument != "good" || COMPLAINTS.iter().all(|complaint| !lines.contains(complaint));
        let is_done = call.argument != "good" || !fits(DONE, &call.symbol) || is_success(&call.symbol, got);
        if !is_right || !is_taken || !is_done {
            wrong.push(format!("{what}: {got:#x}, reached {reached} at {at}: {lines}"));
        }
        if call.argument == "good" {
            let takes_ours = shape.parameters.iter().any(|type_| is_handle(type_));
            if takes_ours { &mut with_ours } else { &mut without }.insert(&call.symbol);
        }
    }
    assert!(wrong.is_empty(), "{} wrong:\n{}", wrong.len(), wrong.join("\n"));
    assert!(unused(&calls).is_empty(), "rules that no call is about: {:?}", unused(&calls));
    println!(
        "{} functions: {} called with handles of ours, {} take none; {} calls",
        shapes.len(),
        with_ours.len(),
        without.len(),
        calls.len()
    );
    assert_eq!(shapes.len(), SYMBOLS);
    assert_eq!((with_ours.len(), without.len()), (SYMBOLS - WITHOUT, WITHOUT), "each is called: {without:?}");
}

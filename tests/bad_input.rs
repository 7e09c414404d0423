//! Every entry point that takes a handle, called with handles that are none: each returns the value that the table of entry points
//! says, and says so in one line of the log.

// A test may fail where it stands, its helpers as well.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

#[path = "abi/arguments.rs"]
mod arguments;
#[path = "abi/data.rs"]
#[allow(dead_code)] // Made for more than this test.
mod data;
#[path = "abi/releases.rs"]
#[allow(dead_code)] // As above.
mod releases;
#[path = "abi/standin.rs"]
#[allow(dead_code)] // As above.
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

use standin::{bytes, run};
use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write,
};
use stubs::is_handle;
use table::Kind;

// What the library needs of a program.
use {env as _, softverbs as _, spdk_nvme_rdma as _};

/// Calls that say nothing, as NULL is allowed there: there is nothing to be done.
const ALLOWED: [&str; 2] = ["spdk_nvme_ctrlr_free_io_qpair null", "spdk_nvme_detach_poll null"];

/// `entries.h`: the entry points that take a handle, and what each returns for one that is none.
fn entries() -> (String, usize) {
    let (mut declarations, mut rows, mut count) = (String::new(), String::new(), 0);
    for (symbol, kind, shape) in standin::shapes() {
        let handles = shape.parameters.iter().filter(|type_| handle_letter(type_).is_some()).count();
        if handles == 0 {
            continue;
        }
        let letter = |type_: &String| {
            handle_letter(type_).unwrap_or_else(|| char::from_digit(bytes(type_) as u32, 10).unwrap())
        };
        let arguments: String = shape.parameters.iter().map(letter).collect();
        writeln!(declarations, "extern void own_{symbol}(void) __asm__(\"{symbol}\");").unwrap();
        // A poll group of ours takes queue pairs of any library, and one of another library none of ours.
        let mixed = match handles > 1 && kind == Kind::Native {
            true if symbol.contains("poll_group") => "g",
            true => "cnqgdpo",
            false => "",
        };
        let is_stub = u8::from(kind == Kind::Stub);
        writeln!(
            rows,
            "\t{{\"{symbol}\", own_{symbol}, \"{arguments}\", {}, (uint64_t)({}), \"{mixed}\", {is_stub}}},",
            shape.size, shape.refused
        )
        .unwrap();
        count += 1;
    }
    (
        format!(
            "#include <errno.h>\n{declarations}\nstatic const struct entry g_entries[] = {{\n{rows}}};\n"
        ),
        count,
    )
}

/// The letter that `bad_input.c` has for a handle of this type. None for what is no handle of this library's.
fn handle_letter(type_: &str) -> Option<char> {
    is_handle(type_).then(|| {
        let name =
            type_.trim_start_matches("const ").trim_start_matches("struct spdk_").trim_end_matches(" *");
        match name.trim_start_matches("nvme_") {
            "ctrlr" => 'c',
            "ns" => 'n',
            "qpair" => 'q',
            "poll_group" => 'g',
            "detach_ctx" => 'd',
            "probe_ctx" => 'p',
            "opal_dev" => 'o',
            other => panic!("what is {other}?"),
        }
    })
}

#[test]
fn handles_that_are_none_get_the_error_value_and_one_line() {
    let (entries, count) = entries();
    assert!(count > 200, "{count} entries take a handle");
    let said = run("bad_input", "bad_input", ("entries.h", &entries), false);

    let mut wrong = Vec::new();
    let mut calls: BTreeMap<&str, usize> = BTreeMap::new();
    for call in said.split("CALL ").skip(1) {
        let (what, rest) = call.split_once('\n').unwrap();
        let Some((lines, result)) = rest.split_once("RESULT ") else { continue };
        let symbol = what.split_whitespace().next().unwrap();
        *calls.entry(symbol).or_default() += 1;
        let mut values = result.split_whitespace();
        let is_allowed = ALLOWED.iter().any(|allowed| what.starts_with(allowed));
        let lines: Vec<_> = lines.lines().collect();
        let (got, expected) = (values.next().unwrap(), values.next().unwrap());
        if is_allowed {
            if !lines.is_empty() {
                wrong.push(format!("{what}: {lines:?}"));
            }
        } else if got != expected || lines.len() != 1 || !lines[0].contains(symbol) {
            wrong.push(format!("{what}: {got}, which should be {expected}, and {lines:?}"));
        }
    }
    assert!(wrong.is_empty(), "{} wrong:\n{}", wrong.len(), wrong.join("\n"));
    assert_eq!(calls.len(), count);
    assert!(calls.values().all(|count| *count >= 4), "{calls:?}");
    assert!(said.contains(" mixed "), "handles of two libraries");
}

/// As if preloaded before SPDK's library: what is not ours goes there as it came, and nothing else does.
#[test]
fn handles_reach_the_library_that_made_them() {
    let (entries, count) = entries();
    let said = run("bad_input_preloaded", "bad_input", ("entries.h", &entries), true);
    let answers: BTreeMap<_, _> =
        standin::shapes().into_iter().map(|(symbol, _, shape)| (symbol, shape.answer)).collect();
    let mut wrong = Vec::new();
    let mut passed_on = 0;
    let mut tried: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for call in said.split("CALL ").skip(1) {
        let (what, rest) = call.split_once('\n').unwrap();
        let Some((lines, result)) = rest.split_once("RESULT ") else { continue };
        let (symbol, how) =
            what.split_once(' ').map(|(symbol, rest)| (symbol, rest.split_once(' ').unwrap().0)).unwrap();
        tried.entry(how).or_default().insert(symbol);
        let mut values = result.split_whitespace().map(|value| u64::from_str_radix(value, 16).unwrap());
        let (got, refused, reached) =
            (values.next().unwrap(), values.next().unwrap(), values.next().unwrap());
        let is_right = if how == "foreign" && REFUSED.iter().all(|(entry, _)| *entry != symbol) {
            passed_on += 1;
            reached == 1 && lines.is_empty() && got == answers[symbol]
        } else {
            reached == 0 && (got == refused || ALLOWED.iter().any(|allowed| what.starts_with(allowed)))
        };
        if !is_right {
            wrong.push(format!("{what}: {got:x}, refused {refused:x}, reached {reached}: {lines}"));
        }
    }
    assert!(wrong.is_empty(), "{} wrong:\n{}", wrong.len(), wrong.join("\n"));
    assert_eq!(passed_on + REFUSED.len(), count);
    let tried: BTreeMap<_, _> = tried.into_iter().map(|(how, symbols)| (how, symbols.len())).collect();
    println!(
        "{} functions, of which {count} take handles; called with some that are {tried:?}",
        answers.len()
    );
    assert!(["null", "foreign", "stale", "other"].iter().all(|how| tried[how] == count), "{tried:?}");
}

/// Entries that refuse what the calls here give them besides handles, whoever made these, and why.
const REFUSED: &[(&str, &str)] = &[("spdk_nvme_detach_async", "there is no place for the context")];

/// Whoever has live handles and gives NULL for one of the other arguments, or a size of 0, 1, or more than there can be, gets the
/// value of a refusal with one line, or what `argument_rules.rs` says and why; and an I/O is good after each.
#[test]
fn arguments_that_are_none_or_too_large_get_the_error_value_and_one_line() {
    let (header, count) = arguments::header();
    let said = run("bad_arguments", "calls", ("calls.h", &header), false);
    let mut wrong = Vec::new();
    let mut good: BTreeMap<&str, u64> = BTreeMap::new();
    let mut is_used = vec![false; arguments::rules()];
    let mut calls = 0;
    for call in said.split("CALL ").skip(1) {
        let (what, rest) = call.split_once('\n').unwrap();
        let Some((lines, result)) = rest.split_once("RESULT ") else { continue };
        calls += 1;
        let mut words = what.split_whitespace();
        let (symbol, argument) = (words.next().unwrap(), words.next().unwrap());
        let value = words.next().unwrap();
        let lines: Vec<_> = lines.lines().collect();
        let mut values = result.split_whitespace().map(|value| u64::from_str_radix(value, 16).unwrap());
        let (got, refused) = (values.next().unwrap(), values.next().unwrap());
        if argument == "good" {
            good.insert(symbol, got);
            continue;
        }
        let (outcome, rule) = arguments::outcome(symbol, argument, value);
        if let Some(rule) = rule {
            is_used[rule] = true;
        }
        let good = good.get(symbol).copied();
        let is_right = outcome.is(symbol, got, refused, good, lines.len());
        if !is_right {
            wrong.push(format!(
                "{what}: {got:#x}, where {outcome:?} (refused {refused:#x}, good {good:x?}), {lines:?}"
            ));
        }
    }
    assert!(wrong.is_empty(), "{} wrong:\n{}", wrong.len(), wrong.join("\n"));
    assert_eq!(calls, count);
    let unused = (0..is_used.len()).filter(|rule| !is_used[*rule]).map(arguments::rule);
    assert_eq!(unused.collect::<Vec<_>>(), Vec::<String>::new(), "rules that no call is about");
}

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
#[path = "abi/stubs.rs"]
#[allow(dead_code)] // As above.
mod stubs;
#[path = "abi/table.rs"]
#[allow(dead_code)] // As above.
mod table;
#[path = "abi/tools.rs"]
#[allow(dead_code)] // As above.
mod tools;

use data::Abi;
use releases::Releases;
use std::{collections::BTreeMap, fmt::Write, fs};
use stubs::{Prototype, handles};
use table::{Kind, table};
use tools::{Language, Workshop, library, root};

// What the library needs of a program.
use {env as _, softverbs as _, spdk_nvme_rdma as _};

/// Calls that say nothing, as NULL is allowed there: there is nothing to be done.
const ALLOWED: [&str; 2] = ["spdk_nvme_ctrlr_free_io_qpair null", "spdk_nvme_detach_poll null"];

/// `entries.h`: the entry points that take a handle, and what each returns for one that is none.
fn entries() -> (String, usize) {
    let (abi, releases) = (Abi::load(), Releases::load());
    let (mut declarations, mut rows, mut count) = (String::new(), String::new(), 0);
    for (symbol, entry) in table() {
        let prototype = abi.prototype(&symbol).or_else(|| releases.prototype(&symbol));
        let Some(prototype) = prototype.map(Prototype::read) else { continue };
        let handles = handles(&prototype);
        if handles.is_empty() || entry.kind == Kind::Extension {
            continue;
        }
        let letter = |place: usize| handles.get(&place).map_or('.', |type_| letter(type_));
        let arguments: String = (0..prototype.parameters.len()).map(letter).collect();
        let (size, refused) = result(prototype.result, entry.refused.as_deref(), &symbol);
        writeln!(declarations, "extern void own_{symbol}(void) __asm__(\"{symbol}\");").unwrap();
        // A poll group takes queue pairs of any library.
        let is_mixed =
            u8::from(handles.len() > 1 && entry.kind == Kind::Native && !symbol.contains("poll_group"));
        writeln!(
            rows,
            "\t{{\"{symbol}\", own_{symbol}, \"{arguments}\", {size}, (uint64_t)({refused}), {is_mixed}}},"
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

fn letter(type_: &str) -> char {
    let name =
        type_.trim_start_matches("const ").trim_start_matches("struct spdk_nvme_").trim_end_matches(" *");
    match name {
        "ctrlr" => 'c',
        "ns" => 'n',
        "qpair" => 'q',
        "poll_group" => 'g',
        "detach_ctx" => 'd',
        "probe_ctx" => 'p',
        other => panic!("what is {other}?"),
    }
}

/// How many bytes an entry returns, and the value that it returns when it refuses.
fn result<'a>(type_: &str, refused: Option<&'a str>, symbol: &str) -> (usize, &'a str) {
    let Some(refused) = refused else {
        assert_eq!(type_, "void", "what {symbol} returns");
        return (0, "0");
    };
    let value = if matches!(refused, "NULL" | "false") { "0" } else { refused };
    let size = match type_ {
        "_Bool" | "unsigned char" => 1,
        "unsigned short" => 2,
        "int" | "unsigned int" => 4,
        type_ if type_.starts_with("enum ") => 4,
        type_ if type_.starts_with("union ") => Abi::load()
            .records()
            .find(|record| type_.ends_with(record.name))
            .unwrap()
            .size
            .try_into()
            .unwrap(),
        _ => 8,
    };
    (size, value)
}

/// Builds and runs the C program `tests/abi/NAME.c`, which has host and target in one thread, with a header of its own. What it wrote on
/// stderr.
fn run(name: &str, header: &str, text: &str) -> String {
    let workshop = Workshop::new(name);
    fs::write(workshop.path(header), text).unwrap();
    for header in ["spdk", "spdk_internal"] {
        let from = root().join("include").join(header);
        std::os::unix::fs::symlink(from, workshop.path(header)).unwrap();
    }
    fs::copy(root().join("crates/target/include/nvme_rdma_target.h"), workshop.path("nvme_rdma_target.h"))
        .unwrap();
    let text = fs::read_to_string(root().join("tests/abi").join(name).with_extension("c")).unwrap();
    let libraries = ["spdk_nvme_rdma", "spdk_env_rdma", "nvme_rdma_target", "softverbs"].map(library);
    let program = workshop.link(Language::C, "program", &text, &libraries);
    let output = workshop.command(&program).env("LD_PRELOAD", library("softverbs")).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{}: {said}", output.status);
    said
}

#[test]
fn handles_that_are_none_get_the_error_value_and_one_line() {
    let (entries, count) = entries();
    assert!(count > 200, "{count} entries take a handle");
    let said = run("bad_input", "entries.h", &entries);

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

/// Whoever has live handles and gives NULL for one of the other arguments, or a size of 0, 1, or more than there can be, gets the
/// value of a refusal with one line, or what `argument_rules.rs` says and why; and an I/O is good after each.
#[test]
fn arguments_that_are_none_or_too_large_get_the_error_value_and_one_line() {
    let (header, count) = arguments::header();
    let said = run("bad_arguments", "arguments.h", &header);
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

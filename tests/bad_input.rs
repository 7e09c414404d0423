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
use std::{collections::BTreeMap, fmt::Write, fs, path::Path};
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
        let letter = |place: usize| {
            handles.get(&place).map_or_else(|| width(prototype.parameters[place]), |type_| letter(type_))
        };
        let arguments: String = (0..prototype.parameters.len()).map(letter).collect();
        let (size, refused) = result(prototype.result, entry.refused.as_deref(), &symbol);
        writeln!(declarations, "extern void own_{symbol}(void) __asm__(\"{symbol}\");").unwrap();
        // A poll group takes queue pairs of any library.
        let is_mixed =
            u8::from(handles.len() > 1 && entry.kind == Kind::Native && !symbol.contains("poll_group"));
        let is_stub = u8::from(entry.kind == Kind::Stub);
        writeln!(
            rows,
            "\t{{\"{symbol}\", own_{symbol}, \"{arguments}\", {size}, (uint64_t)({refused}), {is_mixed}, {is_stub}}},"
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

/// How many bytes an argument has that is no handle.
fn width(type_: &str) -> char {
    match type_ {
        "_Bool" | "char" | "unsigned char" => '1',
        "unsigned short" => '2',
        "int" | "unsigned int" => '4',
        type_ if type_.starts_with("enum ") && !type_.contains('*') => '4',
        _ => '8',
    }
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
///
/// With a stand-in for SPDK's library this library is before it, as if preloaded.
fn run(name: &str, header: &str, text: &str, standin: Option<&str>) -> String {
    let workshop = Workshop::new(&format!("{name}{}", standin.map_or("", |_| "_preloaded")));
    fs::write(workshop.path(header), text).unwrap();
    for header in ["spdk", "spdk_internal"] {
        let from = root().join("include").join(header);
        std::os::unix::fs::symlink(from, workshop.path(header)).unwrap();
    }
    fs::copy(root().join("crates/target/include/nvme_rdma_target.h"), workshop.path("nvme_rdma_target.h"))
        .unwrap();
    let text = fs::read_to_string(root().join("tests/abi").join(name).with_extension("c")).unwrap();
    let ours = ["spdk_nvme_rdma", "spdk_env_rdma", "nvme_rdma_target", "softverbs"].map(library);
    let theirs = standin.map(|text| workshop.shared("libspdk_nvme.so", text));
    let libraries: Vec<_> = theirs.into_iter().chain(ours).collect();
    let program = workshop.link(Language::C, "program", &text, &libraries);
    let mut command = match std::env::var_os("NVME_RDMA_MEMCHECK") {
        Some(_) => {
            let mut command = workshop.command(Path::new("valgrind"));
            command.args(["--quiet", "--fair-sched=yes", "--error-exitcode=99"]).arg(&program);
            command
        }
        None => workshop.command(&program),
    };
    let mut preloaded = library("softverbs").into_os_string();
    if standin.is_some() {
        preloaded.push(":");
        preloaded.push(library("spdk_nvme_rdma"));
    }
    let output = command.env("LD_PRELOAD", preloaded).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{}: {said}", output.status);
    said
}

#[test]
fn handles_that_are_none_get_the_error_value_and_one_line() {
    let (entries, count) = entries();
    assert!(count > 200, "{count} entries take a handle");
    let said = run("bad_input", "entries.h", &entries, None);

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

/// What the stand-in for SPDK's library returns, as far as the result has room for it; true where it is a truth value.
const STANDIN: u64 = 0x5a5a_5a5a_5a5a_5a5a;

/// The stand-in: each of SPDK's symbols, which records that it was reached and with what, and looks at nothing.
fn standin() -> String {
    let (abi, releases) = (Abi::load(), Releases::load());
    let mut text = String::from(
        "#include <stdint.h>\n#include <stddef.h>\nstatic unsigned long g_calls;\nstatic const char *g_last;\n\
         static uint64_t g_arguments[16];\nunsigned long standin_calls(void) { return g_calls; }\n\
         const char *standin_last(void) { return g_last; }\nconst uint64_t *standin_arguments(void) { return g_arguments; }\n",
    );
    for (symbol, entry) in table() {
        if entry.kind == Kind::Extension {
            continue;
        }
        let prototype = abi.prototype(&symbol).or_else(|| releases.prototype(&symbol)).unwrap();
        let prototype = Prototype::read(prototype);
        let parameters: Vec<_> =
            (0..prototype.parameters.len()).map(|nth| format!("uint64_t a{nth}")).collect();
        let parameters = if parameters.is_empty() { String::from("void") } else { parameters.join(", ") };
        let kept: String =
            (0..prototype.parameters.len()).map(|nth| format!("g_arguments[{nth}] = a{nth}; ")).collect();
        let value = if prototype.result == "_Bool" { 1 } else { STANDIN };
        writeln!(
            text,
            "uint64_t {symbol}({parameters}) {{ g_calls++; g_last = \"{symbol}\"; {kept}return UINT64_C({value}); }}"
        )
        .unwrap();
    }
    text
}

/// As if preloaded before SPDK's library: what is not ours goes there as it came, and nothing else does.
#[test]
fn handles_reach_the_library_that_made_them() {
    let (entries, count) = entries();
    let said = run("bad_input", "entries.h", &entries, Some(&standin()));
    let abi = Abi::load();
    let mut wrong = Vec::new();
    let mut passed_on = 0;
    for call in said.split("CALL ").skip(1) {
        let (what, rest) = call.split_once('\n').unwrap();
        let Some((lines, result)) = rest.split_once("RESULT ") else { continue };
        let (symbol, how) =
            what.split_once(' ').map(|(symbol, rest)| (symbol, rest.split_once(' ').unwrap().0)).unwrap();
        let mut values = result.split_whitespace().map(|value| u64::from_str_radix(value, 16).unwrap());
        let (got, refused, reached) =
            (values.next().unwrap(), values.next().unwrap(), values.next().unwrap());
        let is_right = if how == "foreign" && REFUSED.iter().all(|(entry, _)| *entry != symbol) {
            passed_on += 1;
            let size = table()[symbol].refused.as_deref().map_or(0, |_| size_of_result(&abi, symbol));
            let whole = if is_truth(&abi, symbol) { 1 } else { STANDIN };
            reached == 1 && lines.is_empty() && got == whole & mask(size)
        } else {
            reached == 0 && (got == refused || ALLOWED.iter().any(|allowed| what.starts_with(allowed)))
        };
        if !is_right {
            wrong.push(format!("{what}: {got:x}, refused {refused:x}, reached {reached}: {lines}"));
        }
    }
    assert!(wrong.is_empty(), "{} wrong:\n{}", wrong.len(), wrong.join("\n"));
    assert_eq!(passed_on + REFUSED.len(), count);
}

/// Entries that refuse what the calls here give them besides handles, whoever made these, and why.
const REFUSED: &[(&str, &str)] = &[("spdk_nvme_detach_async", "there is no place for the context")];

fn prototype_of(abi: &Abi, symbol: &str) -> String {
    let releases = Releases::load();
    abi.prototype(symbol).or_else(|| releases.prototype(symbol)).unwrap().to_owned()
}

fn is_truth(abi: &Abi, symbol: &str) -> bool {
    Prototype::read(&prototype_of(abi, symbol)).result == "_Bool"
}

fn size_of_result(abi: &Abi, symbol: &str) -> usize {
    let prototype = prototype_of(abi, symbol);
    result(Prototype::read(&prototype).result, table()[symbol].refused.as_deref(), symbol).0
}

fn mask(size: usize) -> u64 {
    match size {
        0 => 0,
        8.. => u64::MAX,
        size => (1 << (8 * size)) - 1,
    }
}

/// Whoever has live handles and gives NULL for one of the other arguments, or a size of 0, 1, or more than there can be, gets the
/// value of a refusal with one line, or what `argument_rules.rs` says and why; and an I/O is good after each.
#[test]
fn arguments_that_are_none_or_too_large_get_the_error_value_and_one_line() {
    let (header, count) = arguments::header();
    let said = run("bad_arguments", "arguments.h", &header, None);
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

//! The one table of entry points, `src/abi/entry_points.toml`, and what is made of it: `src/abi/stubs.rs` and
//! `docs/compatibility.md` are committed and must not fall behind it.
//!
//! `NVME_RDMA_UPDATE_STUBS=1 cargo test --test entry_points` writes the one anew, `NVME_RDMA_UPDATE_DOCS=1` the other.

// A test may fail where it stands, its helpers as well.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

#[path = "abi/data.rs"]
#[allow(dead_code)] // Made for more than this test.
mod data;
#[path = "abi/page.rs"]
mod page;
#[path = "abi/releases.rs"]
#[allow(dead_code)] // Made for more than this test.
mod releases;
#[path = "abi/stubs.rs"]
#[allow(dead_code)] // Made for more than this test.
mod stubs;
#[path = "abi/table.rs"]
mod table;
#[path = "abi/tools.rs"]
#[allow(dead_code)] // Made for more than this test.
mod tools;

use data::Abi;
use releases::{RELEASES, Releases};
use std::{collections::BTreeSet, fs, path::Path};
use table::{Kind, table};
use tools::root;

// What the library needs of a program.
use {env as _, softverbs as _, spdk_nvme_rdma as _};

/// Compares a file with what it should be, or writes it.
fn follows(path: &str, text: &str, variable: &str) {
    let path = root().join(path);
    if std::env::var_os(variable).is_some() {
        fs::write(&path, text).unwrap();
    }
    let committed = fs::read_to_string(&path).unwrap_or_default();
    let what = path.display();
    assert!(committed == text, "{what} is out of date: {variable}=1 cargo test --test entry_points");
}

#[test]
fn the_stubs_follow_the_table() {
    follows("src/abi/stubs.rs", &stubs::text(), "NVME_RDMA_UPDATE_STUBS");
}

#[test]
fn the_page_follows_the_table() {
    follows("docs/compatibility.md", &page::text(), "NVME_RDMA_UPDATE_DOCS");
}

#[test]
fn the_table_has_every_symbol_of_every_release() {
    let releases = Releases::load();
    let table = table();
    let theirs: BTreeSet<&str> = releases.symbols().collect();
    let ours = table.iter().filter(|(_, entry)| entry.kind != Kind::Extension);
    let ours: BTreeSet<&str> = ours.map(|(symbol, _)| symbol.as_str()).collect();
    assert_eq!(ours, theirs);
    assert_eq!(theirs.len(), 283);
    for (symbol, entry) in &table {
        let in_table: Vec<_> = match entry.kind {
            Kind::Extension => continue,
            _ => RELEASES
                .into_iter()
                .filter(|release| entry.since.as_deref().is_none_or(|since| *release >= since))
                .filter(|release| entry.until.as_deref().is_none_or(|until| *release <= until))
                .collect(),
        };
        assert_eq!(in_table, releases.exporting(symbol), "the releases of {symbol}");
    }
}

/// What is declared where: the table says it for all, and the headers declare what is written by hand.
#[test]
fn the_table_says_which_header_declares_what() {
    let (abi, releases) = (Abi::load(), Releases::load());
    let headers: BTreeSet<String> = table().into_values().map(|entry| entry.header).collect();
    for (symbol, entry) in table() {
        if entry.kind != Kind::Extension {
            let theirs = abi.header(&symbol).or_else(|| releases.header(&symbol)).unwrap();
            assert_eq!(entry.header, theirs, "the header of {symbol}");
        }
        for header in &headers {
            let text = fs::read_to_string(root().join("include").join(header)).unwrap_or_default();
            let is_declared = text.contains(&format!("{symbol}("));
            let should = *header == entry.header && entry.is_written;
            assert_eq!(is_declared, should, "{symbol} in include/{header}");
        }
    }
}

/// Every entry has a test that calls it: a C program, or one of the tests here. The stubs are called by `bad_input.rs`, all in turn.
#[test]
fn every_entry_has_a_test() {
    let mut text = String::new();
    for folder in ["c-tests", "tests"] {
        collect(&root().join(folder), &mut text);
    }
    for (symbol, entry) in table() {
        if entry.is_written {
            assert!(text.contains(&format!("{symbol}(")), "no test calls {symbol}");
        }
    }
}

/// Whoever only says that an entry exists does not call it.
#[test]
fn a_declaration_is_no_call() {
    let rust = "{\n    unsafe extern \"C\" {\n        fn spdk_nvme_detach(it: Handle) -> c_int;\n    }\n    spdk_nvme_probe(a);\n}\n";
    let c = "extern int spdk_nvme_detach(void *it,\n\tint other);\nspdk_nvme_probe(a);\n";
    let definition = "extern \"C\" fn spdk_nvme_detach(it: Handle) {\n    spdk_nvme_probe(a);\n}\n";
    for text in [rust, c, definition] {
        let calls = calls(text);
        assert!(!calls.contains("spdk_nvme_detach(") && calls.contains("spdk_nvme_probe("), "{calls}");
    }
}

/// What is called in the C and Rust sources below a folder, without the stand-in of SPDK's library, which defines what others call.
fn collect(folder: &Path, text: &mut String) {
    for file in fs::read_dir(folder).into_iter().flatten() {
        let path = file.unwrap().path();
        let is_source = path.extension().is_some_and(|extension| extension == "c" || extension == "rs");
        if path.is_dir() {
            collect(&path, text);
        } else if is_source && !path.ends_with("standin.c") {
            text.push_str(&calls(&fs::read_to_string(&path).unwrap()));
        }
    }
}

/// A source without its comments, and without what only declares a function or begins its definition.
fn calls(source: &str) -> String {
    let is_comment = |line: &str| ["//", "/*", "*"].iter().any(|mark| line.starts_with(mark));
    let lines = source.lines().filter(|line| !is_comment(line.trim_start()));
    let code = lines.fold(String::new(), |code, line| code + line + "\n");
    let mut kept = String::new();
    let mut rest = code.as_str();
    while let Some((before, declared)) = rest.split_once("extern ") {
        kept.push_str(before);
        // A block of Rust's declarations ends with its brace, one of C with its semicolon; a definition goes on behind its parameters.
        let is_block = declared.trim_start_matches("\"C\"").trim_start().starts_with('{');
        let end = if is_block { end_of_block(declared) } else { declared.find(')') };
        rest = &declared[end.unwrap_or(declared.len())..];
    }
    kept.push_str(rest);
    kept
}

/// Where the first block in braces ends.
fn end_of_block(text: &str) -> Option<usize> {
    let mut depth = 0;
    text.bytes().position(|byte| {
        match byte {
            b'{' => depth += 1,
            b'}' => depth -= 1,
            _ => return false,
        }
        depth == 0
    })
}

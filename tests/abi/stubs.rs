//! `src/abi/stubs.rs` from the table of entry points and the measured prototypes.

use super::{
    data::Abi,
    releases::Releases,
    table::{Entry, Kind, table},
};
use std::fmt::Write;

const HEAD: &str = "//! The entry points that are not there yet, as `stub.rs` has them. Generated from `entry_points.toml` and what was
//! measured of SPDK's prototypes: `NVME_RDMA_UPDATE_STUBS=1 cargo test --test entry_points` writes it anew.

#![allow(clippy::too_many_arguments, clippy::missing_safety_doc)] // the arguments are SPDK's, and what is to be said of them, too

use super::stub::{Pointer, stub};
use libc::c_int;
use std::ptr;

";

/// What of C is a handle that this library makes.
const HANDLES: [&str; 7] = [
    "nvme_ctrlr",
    "nvme_ns",
    "nvme_qpair",
    "nvme_poll_group",
    "nvme_detach_ctx",
    "nvme_probe_ctx",
    "opal_dev",
];

/// The text of `src/abi/stubs.rs`.
pub fn text() -> String {
    let (abi, releases) = (Abi::load(), Releases::load());
    let mut text = HEAD.to_owned();
    for (symbol, entry) in table() {
        if !entry.is_written {
            let prototype = abi.prototype(&symbol).or_else(|| releases.prototype(&symbol)).unwrap();
            text.push_str(&stub(&symbol, &entry, &Prototype::read(prototype), &abi));
        }
    }
    text
}

fn stub(symbol: &str, entry: &Entry, prototype: &Prototype<'_>, abi: &Abi) -> String {
    let names: Vec<_> = (1..=prototype.parameters.len()).map(|nth| format!("a{nth}")).collect();
    let told_by = |is: fn(&str) -> bool| -> Vec<_> {
        names
            .iter()
            .zip(&prototype.parameters)
            .filter(|(_, type_)| is(type_))
            .map(|(name, _)| name.as_str())
            .collect()
    };
    let handles = told_by(is_handle);
    let whose = match entry.kind {
        Kind::Stub if !handles.is_empty() => format!("handles({})", handles.join(", ")),
        Kind::PassOn if handles.is_empty() => {
            format!("nothing({})", told_by(|type_| type_.contains('*')).join(", "))
        }
        kind => panic!("{symbol} cannot be a {kind:?}: {} handles", handles.len()),
    };
    let parameters: Vec<_> = names
        .iter()
        .zip(&prototype.parameters)
        .map(|(name, type_)| format!("{name}: {}", rust(type_, abi)))
        .collect();
    let mut text = String::from("stub!(\n");
    let result = rust(prototype.result, abi);
    writeln!(text, "    {symbol}({}) -> {result},", wrapped(&parameters)).unwrap();
    writeln!(text, "    {whose},\n    {}\n);\n", refused(symbol, entry, result)).unwrap();
    text
}

/// Parameters in lines of no more than the project's width.
fn wrapped(parameters: &[String]) -> String {
    let mut lines = vec![String::new()];
    for parameter in parameters {
        let line = lines.last_mut().unwrap();
        if line.is_empty() {
            line.push_str(parameter);
        } else if line.len() + parameter.len() > 60 {
            line.push(',');
            lines.push(parameter.clone());
        } else {
            write!(line, ", {parameter}").unwrap();
        }
    }
    lines.join("\n        ")
}

/// A stub's answer as Rust.
fn refused(symbol: &str, entry: &Entry, result: &str) -> String {
    let value = match (entry.refused.as_deref(), result) {
        (None, "()") => return String::from("()"),
        (Some("NULL"), "Pointer") => return String::from("ptr::null_mut()"),
        (Some("false"), "u8") => return String::from("0"),
        (Some(value), "c_int" | "u8" | "u16" | "u32" | "u64" | "i64") => value,
        other => panic!("{symbol}: refused is {other:?}"),
    };
    match value.strip_prefix("-E") {
        Some(errno) => format!("-libc::E{errno}"),
        None => value.to_owned(),
    }
}

/// Whether a type is that of a handle.
pub fn is_handle(type_: &str) -> bool {
    let type_ = type_.strip_prefix("const ").unwrap_or(type_);
    HANDLES.iter().any(|handle| type_ == format!("struct spdk_{handle} *"))
}

/// The Rust type that is passed as this C type is.
fn rust(type_: &str, abi: &Abi) -> &'static str {
    match type_ {
        "void" => "()",
        "_Bool" | "unsigned char" => "u8",
        "unsigned short" => "u16",
        "int" => "c_int",
        "unsigned int" => "u32",
        "long" => "i64",
        "unsigned long" => "u64",
        type_ if type_.contains('*') => "Pointer",
        type_ if type_.starts_with("enum ") => "u32",
        // A register: a union of one integer and its bits.
        type_ if type_.starts_with("union ") => {
            let name = type_.trim_start_matches("union ");
            match abi.records().find(|record| record.name == name).map(|record| record.size) {
                Some(4) => "u32",
                Some(8) => "u64",
                size => panic!("{name} has {size:?} bytes"),
            }
        }
        other => panic!("what is {other}?"),
    }
}

/// A C function type, taken apart.
pub struct Prototype<'a> {
    pub result: &'a str,
    pub parameters: Vec<&'a str>,
}

impl<'a> Prototype<'a> {
    pub fn read(text: &'a str) -> Self {
        let open = text.find('(').unwrap();
        let inside = text[open..].strip_prefix('(').and_then(|text| text.strip_suffix(')')).unwrap();
        let mut depth = 0;
        let parameters = inside.split(|c| {
            match c {
                '(' => depth += 1,
                ')' => depth -= 1,
                _ => {}
            }
            c == ',' && depth == 0
        });
        let parameters = parameters.map(str::trim).filter(|type_| *type_ != "void").collect();
        Self { result: text[..open].trim(), parameters }
    }
}

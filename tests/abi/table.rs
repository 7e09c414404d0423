//! The table of entry points as values.

use std::{collections::BTreeMap, fs};

/// What an entry point is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Native,
    Stub,
    PassOn,
    Extension,
}

/// A line of the table.
#[derive(Debug)]
pub struct Entry {
    pub header: String,
    pub kind: Kind,
    /// It is a function of src/abi, which the headers declare; if not, stubs.rs has it.
    pub is_written: bool,
    pub refused: Option<String>,
    pub since: Option<String>,
    pub until: Option<String>,
    pub note: Option<String>,
}

/// All lines, by symbol.
pub fn table() -> BTreeMap<String, Entry> {
    let text = fs::read_to_string(super::tools::root().join("src/abi/entry_points.toml")).unwrap();
    let symbols = || text.lines().filter_map(|line| line.split_once(" = ")).map(|(symbol, _)| symbol);
    let symbols: Vec<_> = symbols().filter(|symbol| !symbol.starts_with('#')).collect();
    assert!(symbols.is_sorted(), "src/abi/entry_points.toml is sorted");
    let table: toml::Table = text.parse().unwrap();
    assert_eq!(symbols.len(), table.len(), "src/abi/entry_points.toml has one line for each symbol");
    table.into_iter().map(|(symbol, line)| (symbol.clone(), entry(&symbol, line))).collect()
}

fn entry(symbol: &str, line: toml::Value) -> Entry {
    let toml::Value::Table(mut line) = line else { panic!("{symbol}: {line:?}") };
    let mut take = |key: &str| line.remove(key).map(|value| value.as_str().unwrap().to_owned());
    let kind = match take("kind").as_deref() {
        Some("native") => Kind::Native,
        Some("stub") => Kind::Stub,
        Some("pass-on") => Kind::PassOn,
        Some("extension") => Kind::Extension,
        kind => panic!("{symbol}: kind is {kind:?}"),
    };
    let is_written = match (kind, take("written").as_deref()) {
        (Kind::Native | Kind::Extension, None) | (Kind::PassOn, Some("by hand")) => true,
        (Kind::Stub | Kind::PassOn, None) => false,
        (_, written) => panic!("{symbol}: a {kind:?}, written {written:?}"),
    };
    let entry = Entry {
        header: take("header").unwrap_or_else(|| panic!("{symbol} has no header")),
        kind,
        is_written,
        refused: take("refused"),
        since: take("since"),
        until: take("until"),
        note: take("note"),
    };
    assert!(line.is_empty(), "{symbol}: what is {line:?}?");
    entry
}

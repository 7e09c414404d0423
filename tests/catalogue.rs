//! `docs/catalogue.md` against the repository: each number that code, tests and documents cite is explained there, once,
//! and each entry names a test that exists, a reason, or a feature that does not exist yet.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
};

/// Each kind of entry, and the highest number of it.
const KINDS: [(char, u32); 5] = [('T', 165), ('H', 20), ('I', 30), ('F', 22), ('S', 28)];
/// Where numbers may be cited.
const ROOMS: [&str; 8] = ["src", "crates", "tests", "c-tests", "docs", "scripts", "vm", "README.md"];
const TABLE: &str = "docs/catalogue.md";

/// A row of the table.
#[derive(Debug)]
struct Entry {
    number: String,
    fault: String,
    proof: String,
}

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn read(path: &str) -> Option<String> {
    fs::read_to_string(root().join(path)).ok()
}

fn table() -> String {
    read(TABLE).expect("the catalogue is there")
}

/// The cells of a row of a table in Markdown.
fn cells(line: &str) -> Option<Vec<&str>> {
    let row = line.strip_prefix("| ")?.strip_suffix(" |")?;
    Some(row.split(" | ").collect())
}

/// Whether it looks like the number of an entry: a letter and two or three digits.
fn is_number(word: &str) -> bool {
    let Some(kind) = word.chars().next() else { return false };
    let digits = &word[kind.len_utf8()..];
    let most = if kind == 'T' { 3 } else { 2 };
    KINDS.iter().any(|(known, _)| *known == kind)
        && (2..=most).contains(&digits.len())
        && digits.bytes().all(|byte| byte.is_ascii_digit())
}

fn entries(text: &str) -> Vec<Entry> {
    let rows = text.lines().filter_map(cells).filter(|cells| is_number(cells[0]));
    rows.map(|cells| {
        assert_eq!(cells.len(), 3, "a row has three cells: {cells:?}");
        let [number, fault, proof] = [cells[0], cells[1], cells[2]].map(str::to_owned);
        Entry { number, fault, proof }
    })
    .collect()
}

/// The features that do not exist yet: the rows of the first table.
fn features(text: &str) -> BTreeSet<String> {
    let (_, after) = text.split_once("| feature | what it is |").expect("a table of features");
    let rows = after.lines().skip(2).map_while(cells);
    rows.map(|cells| cells[0].to_owned()).collect()
}

/// What stands between backquotes.
fn quoted(text: &str) -> impl Iterator<Item = &str> {
    text.split('`').skip(1).step_by(2)
}

/// Whether the Rust source has a test of that name that runs.
fn has_test(source: &str, name: &str) -> bool {
    let lines: Vec<&str> = source.lines().map(str::trim).collect();
    let head = format!("fn {name}()");
    let place = lines.iter().position(|line| line.starts_with(&head));
    let attributes = |place| {
        lines[..place].iter().rev().take_while(|line| line.starts_with('#') || line.starts_with("//"))
    };
    place.is_some_and(|place| {
        attributes(place).any(|line| *line == "#[test]")
            && !attributes(place).any(|line| line.starts_with("#[ignore"))
    })
}

/// Why a reference names no test; None if it does.
fn no_test(reference: &str) -> Option<String> {
    let (path, name) = match reference.split_once("::") {
        Some((path, name)) => (path, Some(name)),
        None => (reference, None),
    };
    let Some(source) = read(path) else { return Some(format!("{path} is not there")) };
    let stem = Path::new(path).file_stem().unwrap().to_string_lossy().replace('_', "-");
    let scripts =
        || read("scripts/c-tests.sh").unwrap_or_default() + &read("scripts/t43.sh").unwrap_or_default();
    match (Path::new(path).extension().and_then(|extension| extension.to_str()), name) {
        (Some("rs"), Some(name)) => (!has_test(&source, name)).then(|| format!("{path} has no test {name}")),
        (Some("rs"), None) => Some(format!("{path}: which test?")),
        (Some("c"), _) if !scripts().contains(&format!("bin/{stem}")) && stem != "demo" => {
            Some(format!("no script runs {path}"))
        }
        (Some("c"), Some(name)) => {
            (!source.contains(&format!("{name}("))).then(|| format!("{path} has no function {name}"))
        }
        (Some("c" | "sh"), None) => None,
        _ => Some(format!("{path} is no test")),
    }
}

/// What is wrong with the proof of an entry.
fn wrong(entry: &Entry, features: &BTreeSet<String>) -> Vec<String> {
    let mut found = Vec::new();
    if entry.fault.split_whitespace().count() < 2 {
        found.push("it is not explained".to_owned());
    }
    let proof = entry.proof.as_str();
    if let Some(feature) = proof.strip_prefix("not yet: ") {
        if !features.contains(feature) {
            found.push(format!("'{feature}' is not in the list of features"));
        }
        return found;
    }
    if let Some(reason) = proof.strip_prefix("no test: ") {
        if reason.split_whitespace().count() < 4 {
            found.push("a reason says more".to_owned());
        }
        return found;
    }
    // "impossible: why (`file`)" may stand before or behind tests.
    let parts: Vec<&str> = proof.split("; ").collect();
    for part in &parts {
        if let Some(reason) = part.strip_prefix("impossible: ") {
            let files: Vec<&str> = quoted(reason).collect();
            if files.is_empty() || !files.iter().all(|file| root().join(file).exists()) {
                found.push(format!("'{part}' names no file that is there"));
            }
        } else if let Some(note) = part.strip_prefix("softverbs ") {
            assert!(quoted(note).all(|file| root().join(file).exists()), "{part}");
        } else {
            let references: Vec<&str> = part.split(", ").collect();
            for reference in references {
                match reference.strip_prefix('`').and_then(|rest| rest.strip_suffix('`')) {
                    Some(reference) => found.extend(no_test(reference)),
                    None => found.push(format!("'{reference}' is neither a test nor a reason")),
                }
            }
        }
    }
    found
}

/// The texts of the repository that may cite numbers, by path.
fn texts() -> BTreeMap<String, String> {
    fn walk(path: &Path, into: &mut BTreeMap<String, String>) {
        if path.is_dir() {
            for entry in fs::read_dir(path).unwrap() {
                walk(&entry.unwrap().path(), into);
            }
            return;
        }
        let known = ["rs", "c", "h", "md", "sh", "toml", "txt"];
        let extension = path.extension().and_then(|extension| extension.to_str()).unwrap_or("");
        if known.contains(&extension)
            && let Ok(text) = fs::read_to_string(path)
        {
            into.insert(path.strip_prefix(root()).unwrap().to_string_lossy().into_owned(), text);
        }
    }
    let mut found = BTreeMap::new();
    ROOMS.iter().for_each(|room| walk(&root().join(room), &mut found));
    found.remove(TABLE);
    found.remove("tests/catalogue.rs");
    found
}

/// The numbers that a test's name begins with: `t10_t08_aborted` is of T10 and T08.
fn named_after(name: &str) -> Vec<String> {
    let words = name.split('_').map(str::to_uppercase);
    words.take_while(|word| is_number(word)).collect()
}

/// The tests of a Rust source that are named after entries.
fn named_tests(source: &str) -> Vec<&str> {
    let names = source.lines().filter_map(|line| line.trim().strip_prefix("fn ")?.split_once("()"));
    names
        .map(|(name, _)| name)
        .filter(|name| !named_after(name).is_empty() && has_test(source, name))
        .collect()
}

#[test]
fn every_number_is_there_once_and_in_order() {
    let found: Vec<String> = entries(&table()).into_iter().map(|entry| entry.number).collect();
    let wanted: Vec<String> = KINDS
        .iter()
        .flat_map(|(kind, last)| (1..=*last).map(move |number| format!("{kind}{number:02}")))
        .collect();
    assert_eq!(found, wanted);
}

#[test]
fn every_entry_has_a_test_or_a_reason() {
    let text = table();
    let features = features(&text);
    let mut all = Vec::new();
    for entry in entries(&text) {
        all.extend(wrong(&entry, &features).into_iter().map(|what| format!("{}: {what}", entry.number)));
    }
    assert!(all.is_empty(), "{}", all.join("\n"));
    for feature in &features {
        assert!(text.contains(&format!("not yet: {feature} |")), "nothing waits for '{feature}'");
    }
}

#[test]
fn every_number_that_is_cited_is_explained() {
    let known: BTreeSet<String> = entries(&table()).into_iter().map(|entry| entry.number).collect();
    let mut unknown = Vec::new();
    let mut cited = 0;
    for (path, text) in texts() {
        let words = text.split(|c: char| !(c.is_alphanumeric() || c == '_')).filter(|word| is_number(word));
        for word in words {
            cited += 1;
            if !known.contains(word) {
                unknown.push(format!("{path} cites {word}"));
            }
        }
    }
    assert!(cited > 100, "only {cited} citations were found");
    assert!(unknown.is_empty(), "{}", unknown.join("\n"));
}

#[test]
fn a_test_that_is_named_after_an_entry_is_named_by_it() {
    let proofs: BTreeMap<String, String> =
        entries(&table()).into_iter().map(|entry| (entry.number, entry.proof)).collect();
    let mut missing = Vec::new();
    for (path, source) in texts().iter().filter(|(path, _)| path.ends_with(".rs")) {
        for name in named_tests(source) {
            for number in named_after(name) {
                let reference = format!("`{path}::{name}`");
                if !proofs.get(&number).is_some_and(|proof| proof.contains(&reference)) {
                    missing.push(format!("{number} does not name {reference}"));
                }
            }
        }
    }
    assert!(missing.is_empty(), "{}", missing.join("\n"));
}

#[test]
fn a_bad_table_is_noticed() {
    let features = BTreeSet::from(["reset".to_owned()]);
    let notices = |fault: &str, proof: &str| {
        let entry = Entry { number: "T01".into(), fault: fault.into(), proof: proof.into() };
        !wrong(&entry, &features).is_empty()
    };
    assert!(!notices("a fault", "`tests/catalogue.rs::a_bad_table_is_noticed`"));
    assert!(!notices("a fault", "impossible: by its type (`src/lib.rs`)"));
    assert!(!notices("a fault", "not yet: reset"));
    assert!(notices("", "not yet: reset"));
    for proof in [
        "",
        "-",
        "not yet: sometime",
        "no test: no",
        "impossible: believe me",
        "impossible: by its type (`src/nowhere.rs`)",
        "tests/catalogue.rs::a_bad_table_is_noticed",
        "`tests/catalogue.rs`",
        "`tests/catalogue.rs::table`",
        "`tests/refused_calls.rs::one_life_with_faults`",
        "`tests/catalogue.rs::nothing`",
        "`c-tests/lifecycle.c::nothing`",
        "`c-tests/nothing.c`",
        "`tests/catalogue.rs::a_bad_table_is_noticed`, ",
    ] {
        assert!(notices("a fault", proof), "{proof}");
    }
    assert_eq!(named_after("t10_t08_aborted"), ["T10", "T08"]);
    assert!(named_after("the_first_reason_stays").is_empty() && named_after("t1_x").is_empty());
    assert!(is_number("T165") && !is_number("H100") && !is_number("T1") && !is_number("F0a"));
}

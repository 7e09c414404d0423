//! What the library says of an object, and where: made, destroyed, used. Each case is a run of a C program under `LD_PRELOAD`.

// A test says what it expects by panicking.
#![allow(missing_docs)]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod preload;

use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use preload::library;

/// The C program, compiled once, with its functions' names where the dynamic linker finds them.
fn program() -> &'static Path {
    static PROGRAM: std::sync::OnceLock<PathBuf> = std::sync::OnceLock::new();
    PROGRAM.get_or_init(|| preload::compile("ledger.c", &["-rdynamic"]))
}

fn run(case: &str, strict: bool) -> (Output, String) {
    let mut command = Command::new(program());
    command.arg(case).env("LD_PRELOAD", library()).env_remove("SOFTVERBS_STRICT");
    if strict {
        command.env("SOFTVERBS_STRICT", "1");
    }
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let end = Instant::now() + Duration::from_secs(60);
    while child.try_wait().unwrap().is_none() {
        if Instant::now() > end {
            child.kill().unwrap();
        }
        std::thread::sleep(Duration::from_millis(2));
    }
    let output = child.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    (output, said)
}

/// The line that says this. Frames are named `object+offset (symbol+offset)`.
fn line<'a>(said: &'a str, what: &str) -> &'a str {
    said.lines().find(|l| l.contains(what)).unwrap_or_else(|| panic!("no '{what}' in: {said}"))
}

/// Shows that the words come in this order, each followed by a place in the function named with it.
fn in_order(line: &str, places: &[(&str, &str)]) {
    let mut rest = line;
    for (word, function) in places {
        let at = rest.find(word).unwrap_or_else(|| panic!("no '{word}' in: {rest}"));
        rest = &rest[at + word.len()..];
        let place = rest.split(';').next().unwrap();
        assert!(place.starts_with(" ledger.") && place.contains("+0x"), "{place}");
        let first = place.split(" < ").next().unwrap();
        assert!(first.contains(&format!("({function}+0x")), "{function}: {place}");
    }
}

fn aborts(case: &str) -> String {
    let (output, said) = run(case, false);
    assert!(output.status.success(), "{case}: {}: {said}", output.status);
    let (output, said) = run(case, true);
    assert_eq!(output.status.signal(), Some(6), "{case} under SOFTVERBS_STRICT=1: {}: {said}", output.status);
    said
}

#[test]
fn use_after_destroy_names_three_places_and_aborts() {
    let said = aborts("use-after-destroy");
    in_order(
        line(&said, "is used after it was destroyed"),
        &[
            ("made at", "make_the_domain"),
            ("destroyed at", "destroy_the_domain"),
            ("used at", "use_the_domain"),
        ],
    );
}

#[test]
fn double_destroy_names_three_places_and_aborts() {
    let said = aborts("double-destroy");
    in_order(
        line(&said, "is used after it was destroyed"),
        &[
            ("made at", "make_the_domain"),
            ("destroyed at", "destroy_the_domain"),
            ("used at", "destroy_the_domain_again"),
        ],
    );
}

#[test]
fn posting_to_a_destroyed_queue_pair_too() {
    let said = aborts("post-after-destroy");
    let line = line(&said, "is used after it was destroyed");
    assert!(line.starts_with("softverbs: qp "), "{line}");
    in_order(
        line,
        &[("made at", "make_the_pairs"), ("destroyed at", "destroy_the_pairs"), ("used at", "use_the_pair")],
    );
}

#[test]
fn a_work_request_that_names_a_deregistered_region() {
    let (output, said) = run("local-access", false);
    assert!(output.status.success(), "{said}");
    in_order(
        line(&said, "a work request of this process names 8 bytes"),
        &[("registered at", "make_the_region"), ("deregistered at", "deregister_the_region")],
    );
    assert_eq!(run("local-access", true).0.status.code(), Some(96), "the program did wrong");
}

#[test]
fn a_peer_that_names_a_deregistered_region() {
    let (output, said) = run("remote-access", true);
    assert!(output.status.success(), "it may be the peer's fault: {said}");
    in_order(
        line(&said, "a request of a peer names 8 bytes"),
        &[("registered at", "make_the_region"), ("deregistered at", "deregister_the_region")],
    );
}

#[test]
fn what_is_left_is_listed_with_its_place() {
    let (output, said) = run("leak", true);
    assert_eq!(output.status.code(), Some(96), "{said}");
    assert_eq!(output.stdout, b"done\n");
    let place = |kind: &str, function: &str| {
        let line = line(&said, &format!("alive at exit: {kind} "));
        assert!(line.contains("made as object "), "{line}");
        assert!(
            line.split(" at ledger.").nth(1).is_some_and(|p| p.contains(&format!("({function}+0x"))),
            "{line}"
        );
    };
    place("context", "open_the_device");
    place("pd", "make_the_domain");
    place("mr", "make_the_region");
    let made: Vec<u64> = said
        .lines()
        .filter_map(|l| l.split_once("made as object "))
        .map(|(_, rest)| rest.split(' ').next().unwrap().parse().unwrap())
        .collect();
    assert_eq!(made.len(), 6, "{said}");
    assert!(made.is_sorted(), "in the order they were made: {said}");
    assert!(run("leak", false).0.status.success());
}

#[test]
fn what_comes_too_soon_is_reported() {
    for (case, words, function) in [
        ("close-early", "is closed with 1 objects still made with it", "close_the_device_too_soon"),
        ("channel-early", "is destroyed with 1 ids on it", "destroy_the_channel_too_soon"),
    ] {
        let (output, said) = run(case, false);
        assert!(output.status.success(), "{case}: {said}");
        in_order(line(&said, words), &[("called at", function)]);
        assert_eq!(run(case, true).0.status.code(), Some(96), "{case}");
    }
    let said = aborts("unacked-notification");
    in_order(
        line(&said, "would block for ever: 1 notifications not acknowledged"),
        &[("called at", "destroy_the_queue_too_soon")],
    );
}

#[test]
fn a_program_can_ask_for_the_counts() {
    let (output, said) = run("count", false);
    assert!(output.status.success(), "{said}");
    assert!(said.contains("softverbs: 3 objects alive\n"), "{said}");
    assert!(line(&said, "alive: mr ").contains("(make_the_region+0x"), "{said}");
}

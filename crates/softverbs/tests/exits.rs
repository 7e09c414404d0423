//! The end of a process, and what a fork makes of one. Each case is a run of a C program under `LD_PRELOAD`, strictly.

// A test says what it expects by panicking, and calls C as C programs do.
#![allow(missing_docs, unsafe_code, clippy::undocumented_unsafe_blocks)]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod foreign;

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;

use foreign::{Ended, Side, free_port, preload};

/// The C program, compiled once.
fn program() -> &'static Path {
    static PROGRAM: OnceLock<PathBuf> = OnceLock::new();
    PROGRAM.get_or_init(|| preload::compile("exits.c", &[]))
}

fn words(case: &str, more: &[String]) -> Vec<String> {
    let mut words = vec![program().display().to_string(), case.to_string()];
    words.extend_from_slice(more);
    words
}

fn run(case: &str) -> Ended {
    Side::start(&[], &words(case, &[]), true).finish()
}

#[test]
fn what_is_given_back_in_handlers_and_destructors_is_not_missed() {
    for case in ["handler", "destructor"] {
        let side = run(case);
        side.expect_success();
        assert_eq!(side.text, "given back\n", "{case}");
    }
}

#[test]
fn what_is_left_is_told_after_the_last_handler() {
    let side = run("leave");
    assert_eq!(side.status.code(), Some(softverbs::LEAK_STATUS), "{}", side.text);
    let at = |words: &str| side.text.find(words).unwrap_or_else(|| panic!("no '{words}': {}", side.text));
    assert!(at("late handler") < at("alive at exit: context"), "{}", side.text);
    assert!(at("alive at exit: context") < at("alive at exit: pd"), "{}", side.text);
}

#[test]
fn a_child_that_exits_says_nothing_of_what_its_parent_has() {
    let side = run("child");
    side.expect_success();
    assert_eq!(side.text, "child 0\ngiven back\n");
}

#[test]
fn a_child_has_a_fabric_of_its_own() {
    let side = run("child takes");
    side.expect_success();
    side.expect_text("child 0\nchild 96\n");
    let left: Vec<&str> = side.text.lines().filter(|l| l.contains("alive at exit")).collect();
    assert!(left.len() == 2 && left[0].contains("object 1 "), "the second child's own: {}", side.text);
    assert_eq!(side.text.matches("given back").count(), 2, "the first child's and the parent's");
}

#[test]
fn what_is_the_parents_is_nothing_to_a_child() {
    let side = run("child uses");
    side.expect_success();
    side.expect_text(&format!("the parent's: {}\n", libc::EINVAL));
    side.expect_text("is no pd, used at");
    side.expect_text("child 96\n");
}

#[test]
fn a_connection_ends_with_its_process_though_a_child_lives_on() {
    let port = free_port();
    let mut server = Side::start(&[], &words("serve", &[port.to_string()]), false);
    server.wait_until_ready(port);
    let mut client = Command::new(program());
    client.args(["leave a child", &port.to_string()]).env("LD_PRELOAD", preload::library());
    client.stdin(Stdio::piped()).stderr(Stdio::piped());
    let mut client = client.spawn().unwrap();
    // The child that it leaves behind reads this, and so lives until it is dropped.
    let hand = client.stdin.take();
    assert!(client.wait().unwrap().success());
    let server = server.finish();
    drop(hand);
    server.expect_success();
    assert_eq!(server.text, "established\ndisconnected\n");
}

//! The comparison program (tests/c/compare) on softverbs, both sides in one process and each in its own: it prints what is
//! committed in expected.txt. `make test-vm` runs the same program on a kernel's device, which must print that too, up to the
//! differences in differences.txt.
//!
//! To accept a new output: `verbs-compare 127.0.0.1 > expected.txt`, after reading what changed, and `make test-vm`.

// A test says what it expects by panicking.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod preload;

use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use preload::library;

fn sources() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/c/compare")
}

/// The program, compiled once for all tests of this binary.
fn program() -> &'static Path {
    static PROGRAM: OnceLock<PathBuf> = OnceLock::new();
    PROGRAM.get_or_init(|| preload::compile("compare", &["-std=c11", "-Wpedantic"]))
}

fn collect(pipe: Option<impl Read + Send + 'static>) -> std::thread::JoinHandle<String> {
    let mut pipe = pipe.unwrap();
    std::thread::spawn(move || {
        let mut text = String::new();
        pipe.read_to_string(&mut text).unwrap();
        text
    })
}

/// What the program prints under softverbs, which may complain of what the cases do wrong, and of nothing else.
fn output(arguments: &[&str]) -> String {
    let mut child = Command::new(program())
        .args(arguments)
        .env("LD_PRELOAD", library())
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let (text, complaints) = (collect(child.stdout.take()), collect(child.stderr.take()));
    let end = Instant::now() + Duration::from_secs(180);
    let status = loop {
        if let Some(status) = child.try_wait().unwrap() {
            break status;
        }
        if Instant::now() > end {
            child.kill().unwrap();
        }
        std::thread::sleep(Duration::from_millis(10));
    };
    let (text, complaints) = (text.join().unwrap(), complaints.join().unwrap());
    assert!(status.success(), "{status}, at the end of\n{text}");
    let expected = ["overflowed", "was deregistered", "things that it must not do"];
    for line in complaints.lines() {
        assert!(expected.iter().any(|e| line.contains(e)), "{line}");
    }
    text
}

/// The first line that differs says more than two whole texts.
fn assert_same(expected: &str, got: &str) {
    for (number, (e, g)) in expected.lines().zip(got.lines()).enumerate() {
        assert_eq!(e, g, "line {}", number + 1);
    }
    assert_eq!(expected.lines().count(), got.lines().count(), "lines");
}

fn committed(name: &str) -> String {
    std::fs::read_to_string(sources().join(name)).unwrap()
}

#[test]
fn both_sides_in_one_process_see_what_is_expected() {
    assert_same(&committed("expected.txt"), &output(&["127.0.0.1"]));
}

#[test]
fn sides_in_two_processes_see_what_is_expected() {
    assert_same(&committed("expected.txt"), &output(&["-2", "127.0.0.1"]));
}

/// What a kernel's device must print, if these are the differences.
fn apply(differences: &str) -> Result<String, String> {
    static COUNT: std::sync::atomic::AtomicU32 = std::sync::atomic::AtomicU32::new(0);
    let number = COUNT.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
    let list =
        Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("differences.{}.{number}", std::process::id()));
    std::fs::write(&list, differences).unwrap();
    let out = Command::new("awk")
        .arg("-f")
        .arg(sources().join("apply.awk"))
        .arg(&list)
        .arg(sources().join("expected.txt"))
        .output()
        .unwrap();
    std::fs::remove_file(list).unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    if out.status.success() { Ok(text(out.stdout)) } else { Err(text(out.stderr)) }
}

#[test]
fn each_listed_difference_is_one() {
    let kernel = apply(&committed("differences.txt")).unwrap();
    assert_ne!(kernel, committed("expected.txt"));
    assert_eq!(apply("").unwrap(), committed("expected.txt"));
}

#[test]
fn a_list_of_differences_that_is_wrong_is_refused() {
    let entry = |line: &str, rxe: &str| {
        format!("case: send\nsoftverbs: {line}\nrxe: {rxe}\nreason: to see whether it is noticed\n")
    };
    let line = "client: wc 2 SUCCESS SEND";
    let kernel = apply(&entry(line, "client: nothing")).unwrap();
    assert_eq!(
        kernel,
        committed("expected.txt").replace("\nsend: client: wc 2 SUCCESS SEND\n", "\nsend: client: nothing\n")
    );
    assert!(apply(&entry("client: no such line", "client: nothing")).unwrap_err().contains("does not print"));
    assert!(apply(&entry(line, line)).unwrap_err().contains("no difference"));
    assert!(apply(&format!("{}and more\n", entry(line, "x"))).unwrap_err().contains("none of the four"));
    // The same line again, in a case that has it twice.
    let twice = entry("client: modify to ERR: ok", "x").replace("case: send", "case: flush");
    assert!(apply(&twice).unwrap_err().contains("more than once"));
}

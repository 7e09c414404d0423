//! C programs that use the shared library, each alone and under valgrind.
// A test may fail by panicking; clippy.toml exempts test functions, but not their helpers.
#![allow(clippy::indexing_slicing, clippy::panic, clippy::unwrap_used)]

use std::path::Path;
use std::process::{Command, Output};

mod common;
use common::{link, scratch};

/// Builds `tests/c/NAME.c` and runs it, once as it is and once under valgrind. Returns what the first run wrote.
fn run(name: &str) -> (String, String) {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/c").join(format!("{name}.c"));
    let program = scratch(name);
    link(&source, &program);
    let plain = Command::new(&program).output().unwrap();
    expect_success(name, &plain);
    if Command::new("valgrind").arg("--version").output().is_ok_and(|version| version.status.success()) {
        let mut valgrind = Command::new("valgrind");
        valgrind.args([
            "-q",
            "--error-exitcode=9",
            "--leak-check=full",
            "--errors-for-leak-kinds=definite,indirect",
        ]);
        expect_success(name, &valgrind.args(["--fair-sched=yes"]).arg(&program).output().unwrap());
    }
    (String::from_utf8(plain.stdout).unwrap(), String::from_utf8(plain.stderr).unwrap())
}

fn expect_success(name: &str, output: &Output) {
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{name}: {}\n{stderr}", output.status);
}

/// Between "expect N errors" and "end of errors" stand N lines of level ERROR; elsewhere, none. Returns what is left.
fn without_expected_errors(stderr: &str) -> Vec<&str> {
    let mut rest = Vec::new();
    let mut lines = stderr.lines();
    while let Some(line) = lines.next() {
        let Some(count) = line.strip_prefix("expect ").and_then(|line| line.strip_suffix(" errors")) else {
            rest.push(line);
            continue;
        };
        let errors: Vec<&str> = lines.by_ref().take_while(|line| *line != "end of errors").collect();
        assert_eq!(errors.len(), count.parse::<usize>().unwrap(), "{errors:#?}");
        for error in errors {
            assert!(error.contains(":spdk_env_rdma: *ERROR*: "), "{error}");
        }
    }
    rest
}

/// Removes `[YYYY-mm-dd HH:MM:SS.ffffff] `, which has to be there.
fn without_time(line: &str) -> &str {
    let shape = "[dddd-dd-dd dd:dd:dd.dddddd] ";
    let (time, rest) = line.split_at_checked(shape.len()).unwrap_or_else(|| panic!("no time: {line}"));
    for (is, should) in time.chars().zip(shape.chars()) {
        assert!(if should == 'd' { is.is_ascii_digit() } else { is == should }, "no time: {line}");
    }
    rest
}

#[test]
fn memory() {
    let (stdout, stderr) = run("memory");
    assert_eq!(stdout, "ok\n");
    for line in without_expected_errors(&stderr) {
        assert!(line.contains("*ERROR*: out of memory: "), "{line}");
    }
}

#[test]
fn strings() {
    assert_eq!(run("strings"), ("ok\n".to_owned(), String::new()));
}

#[test]
fn checksums() {
    assert_eq!(run("checksums"), ("ok\n".to_owned(), String::new()));
}

#[test]
fn protection() {
    assert_eq!(run("protection"), ("ok\n".to_owned(), String::new()));
}

#[test]
fn pieces() {
    assert_eq!(run("pieces"), ("ok\n".to_owned(), String::new()));
}

#[test]
fn inlines() {
    assert_eq!(run("inlines"), ("ok\n".to_owned(), String::new()));
}

#[test]
fn absent() {
    let (stdout, stderr) = run("absent");
    let usage = " -y <groups>               trace points, which this library does not have: an error\n";
    assert_eq!(stdout, format!("{usage}ok\n"));
    let rest = without_expected_errors(&stderr);
    assert!(rest.is_empty(), "{rest:#?}");
}

#[test]
fn env() {
    let (stdout, stderr) = run("env");
    assert_eq!(stdout, "ok\n");
    let rest = without_expected_errors(&stderr);
    assert!(rest.is_empty(), "{rest:#?}");
}

#[test]
fn log() {
    let (stdout, stderr) = run("log");
    let lines = without_expected_errors(&stderr);
    let mut lines = lines.into_iter();
    let mut next = || lines.next().unwrap_or("(nothing more)");

    let flagged = without_time(next());
    assert!(flagged.ends_with(":flags: *INFO*: flag set") && flagged.contains("log.c: 1"), "{flagged}");
    assert_eq!(without_time(next()), "file.c:   7:function: *ERROR*: text 1 two 3.00");
    for level in ["WARNING", "NOTICE", "INFO", "DEBUG"] {
        assert_eq!(without_time(next()), format!("file.c:   7:function: *{level}*: text"));
    }
    assert_eq!(without_time(next()), "list.c:12345:with_list: *ERROR*: list 1099511627776");
    assert_eq!(without_time(next()), "no place");
    assert_eq!(without_time(next()), "x".repeat(2999));
    assert_eq!(without_time(next()), "x".repeat(1023));
    assert_eq!(next(), "many.c:   1:f: *ERROR*: 1 2 3 4 5 6 1.5 2.5 3.5 4.5 5.5 6.5 7.5 8.5 9.5 10.5");
    assert!(next().ends_with("*ERROR*: 17 is not a log level"));
    assert!(next().ends_with(":lines: *ERROR*: rate limited"));
    assert!(next().ends_with(
        ":deprecations: *WARNING*: old_thing: deprecated feature the old thing to be removed in v99.01"
    ));
    assert!(next().ends_with("*ERROR*: a deprecation that was never registered, at file.c:3:function"));
    assert_eq!(next(), "(nothing more)");

    let expected = [
        " -L, --logflag <flag>      enable log flag (all, nvme, nvme_rdma, zebra)",
        "file.c:   7:function: flog",
        "5",
        "label",
        "00000000  58 59 5a 5b 5c 5d 5e 5f  60 61 62 63 64 65 66 67  XYZ[\\]^_`abcdefg",
        "00000010  68 69 6a 6b 6c 6d 6e 6f  70 71 72 73 74 75 76 77  hijklmnopqrstuvw",
        "00000020  78 79 7a 7b 7c 7d 7e 7f                            xyz{|}~.",
        "nothing",
    ];
    assert_eq!(stdout.lines().collect::<Vec<_>>(), expected);
}

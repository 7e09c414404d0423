//! The library as programs load it, and C programs of these tests to load it into.

// Each test binary uses what it needs of this.
#![allow(dead_code)]

use std::path::{Path, PathBuf};
use std::process::Command;

/// Where cargo put the shared library.
pub fn library() -> PathBuf {
    let mut at = std::env::current_exe().unwrap();
    while at.pop() {
        let library = at.join("libsoftverbs.so");
        if library.exists() {
            return library;
        }
    }
    panic!("libsoftverbs.so is built beside the tests");
}

/// Compiles `source` of tests/c, a file or all C files of a folder, without a warning. Each process has a program of its own.
pub fn compile(source: &str, options: &[&str]) -> PathBuf {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/c").join(source);
    let name = source.file_stem().unwrap().to_str().unwrap();
    let program = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("{name}.{}", std::process::id()));
    let mut cc = Command::new("cc");
    cc.args(["-Wall", "-Wextra", "-Werror", "-O1", "-g"]).args(options).arg("-o").arg(&program);
    if source.is_dir() {
        let files = std::fs::read_dir(&source).unwrap().map(|entry| entry.unwrap().path());
        cc.args(files.filter(|file| file.extension().is_some_and(|e| e == "c")));
    } else {
        cc.arg(source);
    }
    cc.args(["-lrdmacm", "-libverbs", "-ldl", "-pthread"]);
    assert!(cc.status().expect("a C compiler is needed").success());
    program
}

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

/// Whether a process itself listens, in whichever network namespace it is: on this TCP port, or on one of the TCP ports that stand for the
/// RDMA port of that number.
pub fn listens(pid: u32, port: u16) -> bool {
    let rdma = |n: u32| (20_000 + (u32::from(port) * 7 + n * 3571) % 12_000) as u16;
    listens_on(pid, &[port, rdma(0), rdma(1), rdma(2), rdma(3)])
}

/// The same, for TCP ports.
fn listens_on(pid: u32, ports: &[u16]) -> bool {
    let is_ours = |address: &str| ports.iter().any(|p| address.ends_with(&format!(":{p:04X}")));
    let sockets: Vec<String> = ["tcp", "tcp6"]
        .iter()
        .flat_map(|table| {
            let text = std::fs::read_to_string(format!("/proc/{pid}/net/{table}")).unwrap_or_default();
            let listener = |line: &str| {
                let words: Vec<&str> = line.split_whitespace().collect();
                let listens = words.len() > 9 && words[3] == "0A" && is_ours(words[1]);
                listens.then(|| format!("socket:[{}]", words[9]))
            };
            text.lines().filter_map(listener).collect::<Vec<_>>()
        })
        .collect();
    let Ok(descriptors) = std::fs::read_dir(format!("/proc/{pid}/fd")) else { return false };
    let names = descriptors.filter_map(|d| std::fs::read_link(d.ok()?.path()).ok());
    names.into_iter().any(|name| sockets.iter().any(|s| name.to_str() == Some(s)))
}

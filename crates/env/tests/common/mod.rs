//! Compiling C programs against the headers and the shared library.
#![allow(dead_code)]

use std::path::{Path, PathBuf};
use std::process::Command;

/// The shared library that cargo built beside this test.
pub fn library() -> PathBuf {
    let directory = std::env::current_exe().unwrap().parent().unwrap().to_owned();
    let library = directory.join("libspdk_env_rdma.so");
    assert!(library.exists(), "{} was not built", library.display());
    library
}

/// A file in cargo's directory for tests, apart for each test program and profile (its name has a hash of both).
pub fn scratch(name: &str) -> PathBuf {
    let program = std::env::current_exe().unwrap();
    let directory = Path::new(env!("CARGO_TARGET_TMPDIR")).join(program.file_name().unwrap());
    std::fs::create_dir_all(&directory).unwrap();
    directory.join(name)
}

/// Runs a compiler on one file with all warnings as errors.
pub fn compile(command: &[&str], source: &Path, output: &Path) {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let mut compiler = Command::new(command[0]);
    compiler.args(&command[1..]).args([
        "-Wall",
        "-Wextra",
        "-Wpedantic",
        "-Werror",
        "-D_GNU_SOURCE",
        "-g",
        "-I",
    ]);
    compiler.arg(root.join("include")).arg("-o").arg(output).arg(source);
    if !command.contains(&"-c") && !command.contains(&"-fsyntax-only") {
        // The program asks for the library by its soname.
        let named = output.parent().unwrap().join("libspdk_env_rdma.so.0");
        let _ = std::os::unix::fs::symlink(library(), &named);
        compiler.arg(&named).args(["-pthread", "-Wl,-rpath,$ORIGIN"]);
    }
    let status = compiler.status().unwrap();
    assert!(status.success(), "{compiler:?} failed");
}

/// Compiles a C program and links it with the shared library.
pub fn link(source: &Path, program: &Path) {
    compile(&["cc", "-std=c11"], source, program);
}

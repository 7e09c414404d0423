//! `softverbs-run`: runs a program with RDMA in user space, so that it needs no RDMA device.

use nvme_rdma_tools::{
    installation, launch,
    options::{self, End},
    preload,
};
use std::{env, ffi::OsString, process::ExitCode};

const TOOL: &str = "softverbs-run";
/// A library that only preloads and tests use has no number in its name.
const LIBRARY: &[&str] = &["libsoftverbs.so"];

const HELP: &str = "\
Usage: softverbs-run [OPTION]... PROGRAM [ARGUMENT]...
Runs PROGRAM with libibverbs and librdmacm in user space: RDMA with no device. Both ends of a connection have to run so.

  --strict            what a real device would let pass by luck ends the program, or makes its exit status 96
  --control COMMANDS  faults and properties of the device, separated by ';', or @FILE
  --socket PATH       a unix datagram socket that takes such commands while the program runs; %p in it is the process id
  --no-device         there is no device, as on a machine without one
  -h, --help          shows this
  -V, --version       shows the version

Exit status: the program's own; 125 if this tool fails, 126 if PROGRAM cannot be run, 127 if there is none.
The options set SOFTVERBS_STRICT, SOFTVERBS_CONTROL, SOFTVERBS_CONTROL_SOCKET and SOFTVERBS_NO_DEVICE. What LD_PRELOAD has
already stays in it.
";

fn main() -> ExitCode {
    run().say(TOOL)
}

/// Returns only what keeps the tool from becoming the program.
fn run() -> End {
    let mut environment: Vec<(&str, OsString)> = Vec::new();
    let command = options::read(TOOL, HELP, |name, parser| {
        match name {
            "strict" => environment.push(("SOFTVERBS_STRICT", "1".into())),
            "control" => environment.push(("SOFTVERBS_CONTROL", parser.value()?)),
            "socket" => environment.push(("SOFTVERBS_CONTROL_SOCKET", parser.value()?)),
            "no-device" => environment.push(("SOFTVERBS_NO_DEVICE", "1".into())),
            _ => return Ok(false),
        }
        Ok(true)
    });
    let command = match command {
        Ok(command) => command,
        Err(end) => return end,
    };
    let library = match installation::library(LIBRARY) {
        Ok(library) => library,
        Err(error) => return End::own(&error),
    };
    match preload::with(&library, env::var_os("LD_PRELOAD").as_deref()) {
        Ok(value) => environment.push(("LD_PRELOAD", value)),
        Err(error) => return End::own(&error),
    }
    let failed = launch::become_program(&command.program, &command.arguments, &environment);
    let status = failed.status();
    End::Failure(failed.to_string(), status)
}

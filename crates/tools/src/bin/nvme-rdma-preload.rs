//! `nvme-rdma-preload`: runs a program of SPDK's with this project's RDMA host in front of SPDK's own.

use nvme_rdma_tools::{
    installation,
    kind::{self, Kind},
    launch,
    options::{self, End},
    preload,
};
use std::{env, ffi::OsStr, fmt::Write as _, process::ExitCode};

const TOOL: &str = "nvme-rdma-preload";
/// The runtime's name, and that of a folder in which nothing was installed.
const LIBRARY: &[&str] = &["libspdk_nvme_rdma.so.0", "libspdk_nvme_rdma.so"];
/// --check: a preload does nothing in this program.
const NO_EFFECT: u8 = 1;

const HELP: &str = "\
Usage: nvme-rdma-preload [--check] PROGRAM [ARGUMENT]...
Runs PROGRAM, which is built on SPDK's shared libraries, with this RDMA host: RDMA controllers are its own, all others
stay SPDK's.

  -c, --check     does not run PROGRAM, but says what it is and whether a preload does anything there
  -h, --help      shows this
  -V, --version   shows the version

Exit status: the program's own; 125 if this tool fails, 126 if PROGRAM cannot be run, 127 if there is none. With --check 0
if a preload works there, 1 if not, 125 to 127 as without, where nothing can be said. What LD_PRELOAD has already stays in
it. SPDK_NVME_RDMA_DISABLE=1 in the environment leaves everything to SPDK.
";

fn main() -> ExitCode {
    run().say(TOOL)
}

/// Returns only what keeps the tool from becoming the program.
fn run() -> End {
    let mut check = false;
    let command = options::read(TOOL, HELP, |name, _| {
        let known = matches!(name, "check" | "c");
        check |= known;
        Ok(known)
    });
    let command = match command {
        Ok(command) => command,
        Err(end) => return end,
    };
    if check {
        return tell(&command.program);
    }
    let value = match installation::library(LIBRARY) {
        Ok(library) => preload::with(&library, env::var_os("LD_PRELOAD").as_deref()),
        Err(error) => return End::own(&error),
    };
    let value = match value {
        Ok(value) => value,
        Err(error) => return End::own(&error),
    };
    warn(&command.program);
    let failed = launch::become_program(&command.program, &command.arguments, &[("LD_PRELOAD", value)]);
    let status = failed.status();
    End::Failure(failed.to_string(), status)
}

/// What --check says.
fn tell(program: &OsStr) -> End {
    let file = match launch::find(program) {
        Ok(file) => file,
        // Nobody wanted to run it.
        Err(failed) => {
            let text = format!("cannot look at '{}': {}", failed.program, failed.error);
            return End::Failure(text, failed.status());
        }
    };
    let kind = match kind::of(&file) {
        Ok(kind) => kind,
        Err(error) => return End::Failure(error.to_string(), 126),
    };
    let mut text = format!("{}: {kind}\n{}\n", file.display(), kind.advice());
    if kind.works()
        && let Err(error) = installation::library(LIBRARY)
    {
        let _ = writeln!(text, "But {error}");
        return End::Verdict(text, options::OWN_FAILURE);
    }
    End::Verdict(text, if kind.works() { 0 } else { NO_EFFECT })
}

/// A line about a program in which the preload will do nothing, where that is certain and nobody would notice otherwise.
fn warn(program: &OsStr) {
    let kind = launch::find(program).ok().and_then(|file| kind::of(&file).ok());
    if let Some(kind @ (Kind::Inside { .. } | Kind::Privileged { .. } | Kind::Foreign { .. })) = kind {
        eprintln!("{TOOL}: {}: {kind}. {}", program.display(), kind.advice());
    }
}

//! What the command lines of the tools have in common, and how a tool ends.
//!
//! A command line is `[OPTION]... PROGRAM [ARGUMENT]...`: everything from the first word that is no option is the program's.

use std::{ffi::OsString, io::Write as _, process::ExitCode};

/// The tool's own failure: 125, as `env` has it; 126 and 127 are for a program that cannot be run.
pub const OWN_FAILURE: u8 = 125;

/// How a tool comes to its end, if not by becoming the program.
#[derive(Debug)]
pub enum End {
    /// A text for the standard output, and success.
    Text(String),
    /// A text for the standard output, and this status.
    Verdict(String, u8),
    /// A wrong command line.
    Usage(String),
    /// A failure that has a status.
    Failure(String, u8),
}

impl End {
    /// A failure of the tool's own.
    pub fn own(error: &impl ToString) -> Self {
        Self::Failure(error.to_string(), OWN_FAILURE)
    }

    /// Says it, and gives the exit status.
    pub fn say(self, tool: &str) -> ExitCode {
        let print = |text: &str| {
            // A reader that has gone away wants no more of it.
            let _ = std::io::stdout().write_all(text.as_bytes());
        };
        match self {
            Self::Text(text) => {
                print(&text);
                ExitCode::SUCCESS
            }
            Self::Verdict(text, status) => {
                print(&text);
                ExitCode::from(status)
            }
            Self::Usage(error) => {
                eprintln!("{tool}: {error}\nTry '{tool} --help'.");
                ExitCode::from(OWN_FAILURE)
            }
            Self::Failure(error, status) => {
                eprintln!("{tool}: {error}");
                ExitCode::from(status)
            }
        }
    }
}

impl From<lexopt::Error> for End {
    fn from(error: lexopt::Error) -> Self {
        Self::Usage(error.to_string())
    }
}

/// A program and its arguments.
pub struct Command {
    /// Its name or path.
    pub program: OsString,
    /// What it is given.
    pub arguments: Vec<OsString>,
}

/// Reads options, each of which `option` is asked about, up to the program. `--help` and `--version` are answered here.
pub fn read(
    tool: &str,
    help: &str,
    mut option: impl FnMut(&str, &mut lexopt::Parser) -> Result<bool, lexopt::Error>,
) -> Result<Command, End> {
    let mut parser = lexopt::Parser::from_env();
    while let Some(argument) = parser.next()? {
        let name = match argument {
            lexopt::Arg::Value(program) => {
                return Ok(Command { program, arguments: parser.raw_args()?.collect() });
            }
            lexopt::Arg::Short('h') => return Err(End::Text(help.to_owned())),
            lexopt::Arg::Short('V') => return Err(End::Text(version(tool))),
            lexopt::Arg::Short(letter) => letter.to_string(),
            lexopt::Arg::Long("help") => return Err(End::Text(help.to_owned())),
            lexopt::Arg::Long("version") => return Err(End::Text(version(tool))),
            lexopt::Arg::Long(name) => name.to_owned(),
        };
        if !option(&name, &mut parser)? {
            let dashes = if name.chars().count() == 1 { "-" } else { "--" };
            return Err(End::Usage(format!("there is no option '{dashes}{name}'")));
        }
    }
    Err(End::Usage(String::from("no program is given")))
}

fn version(tool: &str) -> String {
    format!("{tool} {}\n", env!("CARGO_PKG_VERSION"))
}

//! The program that a tool was given: found as a shell finds it, and entered by replacing the tool.

use std::{
    ffi::{OsStr, OsString},
    fs, io,
    os::unix::{ffi::OsStrExt, fs::PermissionsExt, process::CommandExt},
    path::{Path, PathBuf},
    process::Command,
};

/// Where programs are looked for without a `PATH`.
const DEFAULT_PATH: &str = "/usr/local/bin:/usr/bin:/bin";

/// Why a program is not run.
#[derive(Debug, thiserror::Error)]
#[error("cannot run '{program}': {error}")]
pub struct Failed {
    /// The program as it was named.
    pub program: String,
    /// What the system says.
    pub error: io::Error,
}

impl Failed {
    fn new(program: &OsStr, error: io::Error) -> Self {
        Self { program: program.to_string_lossy().into_owned(), error }
    }

    /// As `env`'s: 127 if there is no such program, 126 if there is one that cannot be run.
    pub fn status(&self) -> u8 {
        if self.error.kind() == io::ErrorKind::NotFound { 127 } else { 126 }
    }
}

/// The file that a name leads to: itself if there is a slash in it, else the first in `PATH` that can be executed.
pub fn find(program: &OsStr) -> Result<PathBuf, Failed> {
    if program.as_bytes().contains(&b'/') {
        return match fs::metadata(program) {
            Ok(_) => Ok(PathBuf::from(program)),
            Err(error) => Err(Failed::new(program, error)),
        };
    }
    let path = std::env::var_os("PATH").unwrap_or_else(|| OsString::from(DEFAULT_PATH));
    std::env::split_paths(&path)
        .map(
            |folder| {
                if folder.as_os_str().is_empty() {
                    Path::new(".").join(program)
                } else {
                    folder.join(program)
                }
            },
        )
        .find(|file| {
            fs::metadata(file).is_ok_and(|data| data.is_file() && data.permissions().mode() & 0o111 != 0)
        })
        .ok_or_else(|| Failed::new(program, io::Error::from(io::ErrorKind::NotFound)))
}

/// Becomes the program. Returns only if that does not work.
pub fn become_program(program: &OsStr, arguments: &[OsString], environment: &[(&str, OsString)]) -> Failed {
    let file = match find(program) {
        Ok(file) => file,
        Err(failed) => return failed,
    };
    let mut command = Command::new(file);
    command.arg0(program).args(arguments).envs(environment.iter().map(|(name, value)| (name, value)));
    Failed::new(program, command.exec())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_looked_for_in_the_path_and_a_path_is_taken_as_it_is() {
        assert!(find(OsStr::new("sh")).unwrap().ends_with("sh"));
        assert_eq!(find(OsStr::new("/bin/sh")).unwrap(), Path::new("/bin/sh"));
        assert_eq!(find(OsStr::new("no-such-program-anywhere")).unwrap_err().status(), 127);
        assert_eq!(find(OsStr::new("./no-such-program")).unwrap_err().status(), 127);
        assert_eq!(become_program(OsStr::new("/etc"), &[], &[]).status(), 126);
    }
}

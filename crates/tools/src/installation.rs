//! Where the project's libraries are: beside the tool that asks, so that an installation can be moved as a whole and nobody
//! has to know a path.

use std::{
    env::consts::ARCH,
    fs, io,
    path::{Path, PathBuf},
};

/// Why there is no library.
#[derive(Debug, thiserror::Error)]
pub enum NotFound {
    /// The tool does not know its own place.
    #[error("cannot find out where this program is: {0}")]
    Self_(#[from] io::Error),
    /// None of the places has it.
    #[error("{names} is in none of the places where this program looks: {places}")]
    Library {
        /// The names that it may have.
        names: String,
        /// Where it was looked for.
        places: String,
    },
}

/// The folders with libraries of the installation whose programs are in `programs`: as `make` has them, as `make install`, as
/// distributions do, and with everything in one place.
fn folders(programs: &Path) -> Vec<PathBuf> {
    let mut folders = Vec::new();
    if let Some(prefix) = programs.parent() {
        folders.push(prefix.join("lib"));
        folders.push(prefix.join(format!("lib/{ARCH}-linux-gnu")));
        folders.push(prefix.join("lib64"));
    }
    folders.push(programs.join("lib"));
    folders.push(programs.to_path_buf());
    folders
}

/// The library that has one of these names, best first, in the installation that this program belongs to.
pub fn library(names: &[&str]) -> Result<PathBuf, NotFound> {
    let own = fs::canonicalize(std::env::current_exe()?)?;
    let programs = own.parent().unwrap_or(Path::new("/"));
    library_beside(programs, names)
}

fn library_beside(programs: &Path, names: &[&str]) -> Result<PathBuf, NotFound> {
    let folders = folders(programs);
    let found = folders
        .iter()
        .flat_map(|folder| names.iter().map(move |name| folder.join(name)))
        .find(|path| path.is_file());
    found.ok_or_else(|| NotFound::Library {
        names: names.join(" or "),
        places: folders.iter().map(|folder| folder.display().to_string()).collect::<Vec<_>>().join(", "),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_distributions_folder_and_an_installations_are_looked_in() {
        let folders = folders(Path::new("/opt/nvme/bin"));
        assert_eq!(folders.first().unwrap(), Path::new("/opt/nvme/lib"));
        assert!(folders.contains(&PathBuf::from(format!("/opt/nvme/lib/{ARCH}-linux-gnu"))));
        assert!(folders.contains(&PathBuf::from("/opt/nvme/bin/lib")));
    }

    #[test]
    fn what_is_not_there_is_said_with_the_places() {
        let error =
            library_beside(Path::new("/nowhere/bin"), &["liba.so.0", "liba.so"]).unwrap_err().to_string();
        assert!(error.contains("liba.so.0 or liba.so") && error.contains("/nowhere/lib,"), "{error}");
    }
}

//! Where the project's libraries are: beside the tool that asks, so that an installation can be moved as a whole and nobody
//! has to know a path.

use std::{
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
/// distributions do, and with everything in one place. Debian has a folder `architecture` in `lib`.
fn folders(programs: &Path, architecture: Option<&str>) -> Vec<PathBuf> {
    let mut folders = Vec::new();
    if let Some(prefix) = programs.parent() {
        folders.push(prefix.join("lib"));
        folders.extend(architecture.map(|name| prefix.join("lib").join(name)));
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

/// The name of the folder that this process has its C library from, by `maps` of `/proc`: what Debian calls this architecture is
/// not what Rust calls it (`arm-linux-gnueabihf`), and its own libraries are where it says.
fn architecture(maps: &str) -> Option<&str> {
    let is_libc = |path: &&str| {
        path.rsplit('/')
            .next()
            .is_some_and(|name| name.starts_with("libc.so.") || name.starts_with("libc-2."))
    };
    let libc = maps.lines().filter_map(|line| Some(line.get(line.find('/')?..)?.trim_end())).find(is_libc)?;
    libc.rsplit('/').nth(1).filter(|name| !name.is_empty() && !name.starts_with("lib"))
}

fn library_beside(programs: &Path, names: &[&str]) -> Result<PathBuf, NotFound> {
    let maps = fs::read("/proc/self/maps").unwrap_or_default();
    let folders = folders(programs, architecture(&String::from_utf8_lossy(&maps)));
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
        let folders = folders(Path::new("/opt/nvme/bin"), Some("powerpc64le-linux-gnu"));
        assert_eq!(folders.first().unwrap(), Path::new("/opt/nvme/lib"));
        assert!(folders.contains(&PathBuf::from("/opt/nvme/lib/powerpc64le-linux-gnu")));
        assert!(folders.contains(&PathBuf::from("/opt/nvme/bin/lib")));
    }

    #[test]
    fn an_architecture_is_called_as_the_folder_of_its_c_library() {
        let maps = |path: &str| {
            format!(
                "556d1000-556d2000 r--p 00000000 fe:00 7 /usr/bin/a b\n\
                 7f0e4000-7f0e6000 rw-p 00000000 00:00 0 \n\
                 7f0e6000-7f0ea000 r--p 00000000 fe:00 9 {path}\n"
            )
        };
        for (path, expected) in [
            ("/usr/lib/arm-linux-gnueabihf/libc.so.6", Some("arm-linux-gnueabihf")),
            ("/lib/powerpc64le-linux-gnu/libc-2.31.so", Some("powerpc64le-linux-gnu")),
            ("/usr/lib64/libc.so.6", None),
            ("/usr/lib/arm-linux-gnueabihf/libcrypto.so.3", None),
            ("/libc.so.6", None),
        ] {
            assert_eq!(architecture(&maps(path)), expected, "{path}");
        }
        assert_eq!(architecture(""), None);
    }

    #[test]
    fn what_is_not_there_is_said_with_the_places() {
        let error =
            library_beside(Path::new("/nowhere/bin"), &["liba.so.0", "liba.so"]).unwrap_err().to_string();
        assert!(error.contains("liba.so.0 or liba.so") && error.contains("/nowhere/lib,"), "{error}");
    }
}

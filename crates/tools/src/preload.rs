//! The value of `LD_PRELOAD`.
//!
//! What must hold: what was there stays there, in its order; ours is there once. It comes before all others, since it has to
//! come before whatever else has SPDK's or libibverbs' symbols, except for the runtimes of sanitizers, which end the process
//! when they are not the first.

use std::{
    ffi::{OsStr, OsString},
    os::unix::ffi::OsStrExt,
    path::Path,
};

/// A path that `LD_PRELOAD` cannot hold.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("LD_PRELOAD cannot name {0}: there is a space or a colon in it")]
pub struct Inexpressible(String);

/// What begins the name of a sanitizer's runtime, of gcc's and clang's.
const FIRST: [&[u8]; 7] = [
    b"libasan.",
    b"libtsan.",
    b"libubsan.",
    b"liblsan.",
    b"libhwasan.",
    b"libclang_rt.asan",
    b"libclang_rt.tsan",
];

fn separates(byte: u8) -> bool {
    byte == b':' || byte.is_ascii_whitespace()
}

fn name(path: &[u8]) -> &[u8] {
    path.rsplit(|byte| *byte == b'/').next().unwrap_or(path)
}

/// A library's name without its number.
fn stem(name: &[u8]) -> &[u8] {
    let end = name.windows(3).position(|part| part == b".so").unwrap_or(name.len());
    name.get(..end).unwrap_or(name)
}

/// `LD_PRELOAD` with `library` in it, from the value that it has.
pub fn with(library: &Path, before: Option<&OsStr>) -> Result<OsString, Inexpressible> {
    let ours = library.as_os_str().as_bytes();
    if ours.iter().any(|byte| separates(*byte)) {
        return Err(Inexpressible(library.display().to_string()));
    }
    let there =
        before.unwrap_or_default().as_bytes().split(|byte| separates(*byte)).filter(|path| !path.is_empty());
    // Another file of the same name, by whatever number, is the same library: two of them in one process would be two hosts.
    let (first, others): (Vec<&[u8]>, Vec<&[u8]>) = there
        .filter(|path| stem(name(path)) != stem(name(ours)))
        .partition(|path| FIRST.iter().any(|begin| name(path).starts_with(begin)));
    let all: Vec<&[u8]> = first.into_iter().chain([ours]).chain(others).collect();
    Ok(OsStr::from_bytes(&all.join(&b':')).to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn joined(before: &str) -> String {
        with(Path::new("/usr/lib/liba.so.0"), Some(OsStr::new(before))).unwrap().into_string().unwrap()
    }

    #[test]
    fn ours_comes_first_and_what_was_there_stays() {
        assert_eq!(with(Path::new("/l/a.so"), None), Ok(OsString::from("/l/a.so")));
        assert_eq!(joined(""), "/usr/lib/liba.so.0");
        assert_eq!(
            joined("/x/libspdk_nvme.so /y/libc.so:libd.so"),
            "/usr/lib/liba.so.0:/x/libspdk_nvme.so:/y/libc.so:libd.so"
        );
    }

    #[test]
    fn sanitizers_stay_first() {
        assert_eq!(joined("/x/b.so:/gcc/libasan.so.8"), "/gcc/libasan.so.8:/usr/lib/liba.so.0:/x/b.so");
    }

    #[test]
    fn ours_is_there_once() {
        assert_eq!(joined("/x/b.so:/elsewhere/liba.so.0"), "/usr/lib/liba.so.0:/x/b.so");
        assert_eq!(joined("/elsewhere/liba.so:/x/libab.so"), "/usr/lib/liba.so.0:/x/libab.so");
    }

    #[test]
    fn a_path_that_would_be_cut_is_refused() {
        for path in ["/a b/c.so", "/a:b/c.so"] {
            assert!(with(Path::new(path), None).is_err());
        }
    }
}

//! What a program is made of, and so whether a preloaded host can do anything in it.
//!
//! A preload replaces what the dynamic linker looks up. It is nothing to a program that has no dynamic linker, to one whose
//! linker is told to ignore it (setuid), and to calls that were bound when the program was linked: SPDK's static libraries,
//! which is how SPDK builds by default.
//!
//! What must hold: the program is looked at, never run, and so is the dynamic linker that it names. The libraries that it would have are
//! named by the dynamic linker of this program, whose `--list` loads them and runs nothing of them.

use object::{
    Endianness, Object as _, ObjectSymbol as _, elf,
    read::elf::{Dyn as _, ElfFile64, FileHeader as _, ProgramHeader as _},
};
use std::{
    ffi::OsStr,
    fmt, fs, io,
    os::unix::{ffi::OsStrExt as _, fs::MetadataExt as _},
    path::{Path, PathBuf},
    process::Command,
};

/// A symbol that every release of SPDK's host has, and a program that has the host in itself.
const MARK: &[u8] = b"spdk_nvme_ctrlr_process_admin_completions";
/// A symbol that this host alone has.
const OWN_MARK: &[u8] = b"spdk_nvme_rdma_set_wait_hook";
/// What the names of SPDK's host begin with.
const OF_SPDK: &[u8] = b"spdk_nvme_";
/// Names of functions, which log lines have in them, as they stand in the data of a program without symbols; and how many of them
/// are no accident, and how many of those that are SPDK's alone.
const IN_DATA: [&[u8]; 2] = [b"\0spdk_nvme_", b"\0nvme_"];
const NO_ACCIDENT: [usize; 2] = [3, 20];
/// What SPDK's release has which number in the name of its library.
const RELEASES: [(&str, &str); 5] =
    [("14", "v24.09"), ("15", "v25.05"), ("16", "v25.09"), ("17", "v26.01"), ("18", "v26.05")];

/// What a program is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Kind {
    /// It calls SPDK's host in a shared library.
    Shared {
        /// That library.
        library: PathBuf,
    },
    /// It is linked with this project's host already.
    Ours {
        /// The host's library, or the program itself.
        library: PathBuf,
    },
    /// SPDK's host is in the file itself.
    Inside {
        /// Its symbols say so; without symbols the names in its data do.
        by_symbols: bool,
    },
    /// Dynamically linked, with nothing of SPDK's.
    None,
    /// Dynamically linked, and calls SPDK's host, which its dynamic linker does not find.
    Missing,
    /// The dynamic linker is told to ignore `LD_PRELOAD`.
    Privileged {
        /// What gives it rights that its user does not have.
        by: &'static str,
    },
    /// It has no dynamic linker, and nothing of SPDK's is to be seen.
    Static,
    /// Made for another kind of machine than this library.
    Foreign {
        /// That machine.
        machine: String,
    },
    /// A text for an interpreter.
    Script {
        /// What interprets it.
        interpreter: String,
    },
    /// No ELF file and no script.
    Unknown,
}

/// Why a file could not be looked at.
#[derive(Debug, thiserror::Error)]
pub enum Unreadable {
    /// The system does not let us.
    #[error("cannot read {0}: {1}")]
    File(PathBuf, io::Error),
    /// It says that it is ELF, and is not.
    #[error("{0} is no ELF file that can be understood: {1}")]
    Elf(PathBuf, object::Error),
}

impl Kind {
    /// Whether a preload has an effect there.
    pub fn works(&self) -> bool {
        matches!(self, Self::Shared { .. })
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Shared { library } => {
                let name = library.file_name().unwrap_or_default().to_string_lossy();
                let number =
                    name.rsplit(".so.").next().and_then(|rest| rest.split('.').next()).unwrap_or_default();
                let release = RELEASES.iter().find(|(known, _)| *known == number);
                write!(to, "linked with SPDK's shared libraries: {}", library.display())?;
                match release {
                    Some((_, release)) => write!(to, " (SPDK {release})"),
                    None => write!(to, " (of no release that this host was tried with)"),
                }
            }
            Self::Ours { library } => write!(to, "linked with this host already: {}", library.display()),
            Self::Inside { by_symbols: true } => write!(to, "SPDK's static libraries are in it"),
            Self::Inside { by_symbols: false } => {
                write!(to, "by the names in its data, SPDK's static libraries are in it (it has no symbols)")
            }
            Self::None => write!(to, "dynamically linked, with no SPDK at all"),
            Self::Missing => write!(to, "linked with SPDK's shared libraries, which are not found"),
            Self::Privileged { by } => write!(to, "{by}: its dynamic linker ignores LD_PRELOAD"),
            Self::Static => write!(to, "not dynamically linked, and no SPDK is to be seen in it"),
            Self::Foreign { machine } => write!(to, "made for another machine: {machine}"),
            Self::Script { interpreter } => write!(to, "a script for {interpreter}"),
            Self::Unknown => write!(to, "neither an ELF file nor a script"),
        }
    }
}

impl Kind {
    /// What its user may do.
    pub fn advice(&self) -> &'static str {
        match self {
            Self::Shared { .. } => "nvme-rdma-preload gives it this host for RDMA; all else stays SPDK's.",
            Self::Ours { .. } => "There is nothing to preload.",
            Self::Inside { .. } => {
                "A preload does nothing. Link it again with one more argument, the response file \
                 nvme-rdma-spdk/wrap.args of the development files: see the manual page, STATIC PROGRAMS."
            }
            Self::None => {
                "A preload does nothing by itself. If the program opens a plugin that is built on SPDK, as fio does, \
                 it works in that: check the plugin's file."
            }
            Self::Missing => "Set LD_LIBRARY_PATH as for running it, and check again.",
            Self::Privileged { .. } => {
                "Run it as a user who has the rights, without setuid, setgid or file capabilities; or link it with \
                 this host."
            }
            Self::Static => "A preload does nothing.",
            Self::Foreign { .. } => "This host cannot be loaded into it.",
            Self::Script { .. } => "Check the program that it starts; what it starts inherits the preload.",
            Self::Unknown => "A preload does nothing.",
        }
    }
}

type Elf<'data> = ElfFile64<'data, Endianness>;

/// Looks at a program, a library or a plugin.
pub fn of(path: &Path) -> Result<Kind, Unreadable> {
    let fault = |error| Unreadable::File(path.to_path_buf(), error);
    let metadata = fs::metadata(path).map_err(fault)?;
    let data = fs::read(path).map_err(fault)?;
    if let Some(line) = data.strip_prefix(b"#!") {
        let line = line.split(|byte| *byte == b'\n').next().unwrap_or_default();
        return Ok(Kind::Script { interpreter: String::from_utf8_lossy(line.trim_ascii()).into_owned() });
    }
    if !data.starts_with(&elf::ELFMAG) {
        return Ok(Kind::Unknown);
    }
    let broken = |error| Unreadable::Elf(path.to_path_buf(), error);
    // A file of 32 bits, or of another machine, is fine and is not for this host.
    if data.get(4) != Some(&elf::ELFCLASS64.0) {
        return Ok(Kind::Foreign { machine: String::from("not one of 64 bits") });
    }
    let program: Elf<'_> = ElfFile64::parse(&*data).map_err(broken)?;
    let own = own_file().map_err(fault)?;
    let own: Elf<'_> = ElfFile64::parse(&*own).map_err(broken)?;
    if program.architecture() != own.architecture() || program.endian() != own.endian() {
        return Ok(Kind::Foreign { machine: format!("{:?}", program.architecture()) });
    }
    if let Some(by) = privilege(path, metadata.mode()) {
        return Ok(Kind::Privileged { by });
    }
    let interpreter = interpreter(&program);
    // Out of an archive: alone, or beside SPDK's.
    if defines(&program, OWN_MARK) {
        return Ok(Kind::Ours { library: path.to_path_buf() });
    }
    if defines(&program, MARK) {
        // SPDK's own library is what a preload comes before.
        return Ok(if interpreter.is_none() && is_named(path, "libspdk_nvme.so") {
            Kind::Shared { library: path.to_path_buf() }
        } else {
            Kind::Inside { by_symbols: true }
        });
    }
    let seems_inside = || {
        let [of_spdk, all] = names(&data);
        of_spdk >= NO_ACCIDENT[0] && all >= NO_ACCIDENT[1]
    };
    if !needs_others(&program).map_err(broken)? {
        return Ok(if seems_inside() { Kind::Inside { by_symbols: false } } else { Kind::Static });
    }
    let Some(linker) = self::interpreter(&own) else {
        return Ok(Kind::Static);
    };
    let libraries = libraries(&linker, path).map_err(fault)?;
    Ok(if let Some(library) = libraries.iter().find(|library| is_named(library, "libspdk_nvme_rdma.so")) {
        Kind::Ours { library: library.clone() }
    } else if let Some(library) = libraries.iter().find(|library| has_host(library)) {
        Kind::Shared { library: library.clone() }
    } else if asks(&program) {
        Kind::Missing
    } else if seems_inside() {
        Kind::Inside { by_symbols: false }
    } else {
        Kind::None
    })
}

fn own_file() -> io::Result<Vec<u8>> {
    fs::read(std::env::current_exe()?)
}

fn is_named(path: &Path, begin: &str) -> bool {
    path.file_name().is_some_and(|name| name.as_bytes().starts_with(begin.as_bytes()))
}

/// What makes the kernel tell the dynamic linker not to trust its environment.
fn privilege(path: &Path, mode: u32) -> Option<&'static str> {
    if mode & 0o4000 != 0 {
        return Some("setuid");
    }
    // Without the right to execute for the group it is an old mark of mandatory locking.
    if mode & 0o2010 == 0o2010 {
        return Some("setgid");
    }
    matches!(xattr::get(path, "security.capability"), Ok(Some(_))).then_some("it has file capabilities")
}

fn interpreter(program: &Elf<'_>) -> Option<PathBuf> {
    let (endian, data) = (program.endian(), program.data());
    let headers = program.elf_header().program_headers(endian, data).ok()?;
    let path = headers.iter().find_map(|header| header.interpreter(endian, data).ok().flatten())?;
    Some(PathBuf::from(OsStr::from_bytes(path)))
}

/// Whether there is something for a dynamic linker to do: a static program that is position independent has a dynamic table, too,
/// with no need in it.
fn needs_others(program: &Elf<'_>) -> object::Result<bool> {
    let (endian, data) = (program.endian(), program.data());
    for header in program.elf_header().program_headers(endian, data)? {
        if let Some(entries) = header.dynamic(endian, data)? {
            return Ok(entries.iter().any(|entry| entry.tag(endian) == elf::DT_NEEDED));
        }
    }
    Ok(false)
}

/// Whether a function is in the file, by any of its tables of symbols.
fn defines(program: &Elf<'_>, function: &[u8]) -> bool {
    program
        .symbols()
        .chain(program.dynamic_symbols())
        .any(|symbol| symbol.is_definition() && symbol.name_bytes().is_ok_and(|name| name == function))
}

/// Whether it wants anything of SPDK's host of others.
fn asks(program: &Elf<'_>) -> bool {
    program.dynamic_symbols().any(|symbol| {
        symbol.is_undefined() && symbol.name_bytes().is_ok_and(|name| name.starts_with(OF_SPDK))
    })
}

/// How many names of functions of SPDK's host there are in a file without symbols: those that can be nobody else's, and all.
fn names(data: &[u8]) -> [usize; 2] {
    let begins = |at: usize, name: &[u8]| data.get(at..).is_some_and(|rest| rest.starts_with(name));
    let zeros = data.iter().enumerate().filter(|(_, byte)| **byte == 0).map(|(at, _)| at);
    zeros.fold([0, 0], |[of_spdk, all], at| {
        let [is_of_spdk, is_another] = IN_DATA.map(|name| begins(at, name));
        [of_spdk + usize::from(is_of_spdk), all + usize::from(is_of_spdk || is_another)]
    })
}

fn has_host(library: &Path) -> bool {
    fs::read(library)
        .is_ok_and(|data| ElfFile64::<Endianness>::parse(&*data).is_ok_and(|library| defines(&library, MARK)))
}

/// The libraries that the dynamic linker would load. It names one a line, `NAME => PATH (ADDRESS)`.
fn libraries(linker: &Path, program: &Path) -> io::Result<Vec<PathBuf>> {
    // With a slash in it the linker does not look for it elsewhere.
    let program = fs::canonicalize(program)?;
    let output = Command::new(linker)
        .arg("--list")
        .arg(program)
        .env_remove("LD_PRELOAD")
        .env_remove("LD_AUDIT")
        .output()?;
    Ok(output
        .stdout
        .split(|byte| *byte == b'\n')
        .filter_map(|line| {
            let text = line.trim_ascii();
            let path =
                text.windows(4).position(|part| part == b" => ").and_then(|at| text.get(at..)?.get(4..))?;
            let end = path.windows(2).rposition(|part| part == b" (")?;
            Some(PathBuf::from(OsStr::from_bytes(path.get(..end)?)))
        })
        .collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_with_nothing_of_spdk_is_told_as_that() {
        assert_eq!(of(Path::new("/bin/sh")).unwrap(), Kind::None);
    }

    #[test]
    fn a_release_is_told_by_its_librarys_number() {
        let shared = Kind::Shared { library: PathBuf::from("/x/libspdk_nvme.so.14.0") };
        assert!(shared.to_string().ends_with("(SPDK v24.09)"), "{shared}");
        let shared = Kind::Shared { library: PathBuf::from("/x/libspdk_nvme.so.99.0") };
        assert!(shared.to_string().contains("no release"), "{shared}");
    }

    #[test]
    fn names_in_data_are_counted_where_they_begin() {
        assert_eq!(names(b"\0spdk_nvme_probe\0x_nvme_y\0nvme_ctrlr_fail\0"), [1, 2]);
        assert_eq!(names(b"nvme_"), [0, 0]);
    }
}

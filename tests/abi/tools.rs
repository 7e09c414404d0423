//! Compilers, libraries, and a folder to work in.

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::Command,
};

const WARNINGS: &[&str] = &["-Wall", "-Wextra", "-Wpedantic", "-Werror"];
const HEADERS: &[&str] = &[
    "spdk/stdinc.h",
    "spdk/nvme_spec.h",
    "spdk/nvmf_spec.h",
    "spdk/nvme_types.h",
    "spdk/nvme.h",
    "spdk/nvme_ocssd_spec.h",
    "spdk/nvme_ocssd.h",
    "spdk/nvme_kv.h",
    "spdk/nvme_zns.h",
    "spdk/opal_spec.h",
    "spdk/opal.h",
    "spdk_internal/nvme_util.h",
];

#[derive(Clone, Copy)]
pub enum Language {
    C,
    Cpp,
}

impl Language {
    fn compiler(self) -> Command {
        let (variable, default, standard, name) = match self {
            Self::C => ("CC", "gcc", "-std=c11", "c"),
            Self::Cpp => ("CXX", "g++", "-std=c++17", "c++"),
        };
        let mut command = Command::new(env::var(variable).unwrap_or_else(|_| default.to_owned()));
        command.args([standard, "-D_GNU_SOURCE", "-g", "-x", name]);
        command
    }

    fn extension(self) -> &'static str {
        match self {
            Self::C => "c",
            Self::Cpp => "cpp",
        }
    }
}

/// The package's folder.
pub fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// A shared library that cargo built for this test, beside it.
pub fn library(name: &str) -> PathBuf {
    let test = env::current_exe().unwrap();
    test.parent().unwrap().join(format!("lib{name}.so"))
}

/// Includes all headers that are checked.
pub fn headers() -> String {
    HEADERS.iter().map(|header| format!("#include \"{header}\"\n")).collect()
}

/// The text of these headers: what they offer stands in it.
pub fn header_text() -> String {
    HEADERS.iter().map(|header| fs::read_to_string(root().join("include").join(header)).unwrap()).collect()
}

/// A folder of one test.
pub struct Workshop(PathBuf);

impl Workshop {
    pub fn new(name: &str) -> Self {
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("abi").join(name);
        let _ = fs::remove_dir_all(&folder);
        fs::create_dir_all(&folder).unwrap();
        Self(folder)
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    /// Compiles a program that needs no library of ours; the compiler must not even warn.
    pub fn compile(&self, language: Language, name: &str, text: &str) -> PathBuf {
        self.link(language, name, text, &[])
    }

    /// A program of this folder, to be run with this folder's libraries and not with those that cargo would offer.
    pub fn command(&self, program: &Path) -> Command {
        let mut command = Command::new(program);
        command.env("LD_LIBRARY_PATH", &self.0);
        command
    }

    pub fn compiles(&self, language: Language, name: &str, text: &str) -> bool {
        self.run(language, name, text, &[], &[]).1.status.success()
    }

    /// Compiles a program with libraries, which it finds again when it runs.
    pub fn link(&self, language: Language, name: &str, text: &str, libraries: &[PathBuf]) -> PathBuf {
        self.finish(self.run(language, name, text, WARNINGS, libraries))
    }

    /// Compiles a shared library.
    pub fn shared(&self, name: &str, text: &str) -> PathBuf {
        self.shared_with(name, text, &[])
    }

    /// As [`Self::shared`], with the libraries that it needs.
    pub fn shared_with(&self, name: &str, text: &str, libraries: &[PathBuf]) -> PathBuf {
        let mut flags = vec!["-shared", "-fPIC"];
        flags.extend(WARNINGS);
        let soname = format!("-Wl,-soname,{name}");
        flags.push(&soname);
        self.finish(self.run(Language::C, name, text, &flags, libraries))
    }

    fn finish(&self, (program, output): (PathBuf, std::process::Output)) -> PathBuf {
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        program
    }

    fn run(
        &self,
        language: Language,
        name: &str,
        text: &str,
        flags: &[&str],
        libraries: &[PathBuf],
    ) -> (PathBuf, std::process::Output) {
        let source = self.path(&format!("{name}.{}", language.extension()));
        let program = match language {
            Language::C => self.path(name),
            Language::Cpp => self.path(&format!("{name}-cpp")),
        };
        fs::write(&source, text).unwrap();
        let mut compiler = language.compiler();
        for folder in [root().join("include"), root().join("tests/abi"), self.0.clone()] {
            compiler.arg("-I").arg(folder);
        }
        compiler.args(flags);
        compiler.arg(&source).args(["-x", "none"]);
        for library in libraries {
            self.provide(library);
            compiler.arg(library).arg(format!("-Wl,-rpath,{}", self.0.display()));
        }
        let output = compiler.arg("-o").arg(&program).output().unwrap();
        (program, output)
    }

    /// Makes a library available in this folder by its own name and by its soname.
    fn provide(&self, library: &Path) {
        let readelf = Command::new("readelf").arg("-d").arg(library).output().unwrap();
        let dynamic = String::from_utf8(readelf.stdout).unwrap();
        let soname = dynamic
            .lines()
            .find(|line| line.contains("(SONAME)"))
            .and_then(|line| line.split(['[', ']']).nth(1))
            .unwrap_or_else(|| library.file_name().unwrap().to_str().unwrap());
        let link = self.path(soname);
        if !link.exists() {
            std::os::unix::fs::symlink(library, link).unwrap();
        }
    }
}

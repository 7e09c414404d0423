//! The tools as programs, in an installation that is made here: their libraries are stand-ins that say that they are there.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::{Command, Output},
};

/// An installation with the tools in it, and a folder to work in.
struct Place(PathBuf);

impl Place {
    fn new(name: &str) -> Self {
        let place = Self(Path::new(env!("CARGO_TARGET_TMPDIR")).join(name));
        let _ = fs::remove_dir_all(&place.0);
        for folder in ["bin", "lib", "work"] {
            fs::create_dir_all(place.path(folder)).unwrap();
        }
        for (tool, file) in [
            ("softverbs-run", env!("CARGO_BIN_EXE_softverbs-run")),
            ("nvme-rdma-preload", env!("CARGO_BIN_EXE_nvme-rdma-preload")),
        ] {
            fs::copy(file, place.path("bin").join(tool)).unwrap();
        }
        place.library("lib/libsoftverbs.so", &says("softverbs"), &[]);
        place.library("lib/libspdk_nvme_rdma.so.0", &says("host"), &[]);
        place
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    fn compile(&self, output: &str, text: &str, flags: &[&str]) -> PathBuf {
        let output = self.path(output);
        let source = self.path("work/source.c");
        fs::write(&source, text).unwrap();
        let mut compiler = Command::new(std::env::var("CC").unwrap_or_else(|_| String::from("gcc")));
        let done = compiler.arg(&source).arg("-o").arg(&output).args(flags).output().unwrap();
        assert!(done.status.success(), "{}", text_of(&done.stderr));
        output
    }

    fn library(&self, output: &str, text: &str, flags: &[&str]) -> PathBuf {
        self.compile(output, text, &[&["-shared", "-fPIC"], flags].concat())
    }

    fn tool(&self, name: &str) -> Command {
        let mut command = Command::new(self.path("bin").join(name));
        command.env_remove("LD_PRELOAD").env_remove("SOFTVERBS_STRICT");
        command
    }

    /// What --check says, and how it ends.
    fn check(&self, program: &Path) -> (String, Option<i32>) {
        let output = self.tool("nvme-rdma-preload").arg("--check").arg(program).output().unwrap();
        assert_eq!(text_of(&output.stderr), "", "{}", program.display());
        (text_of(&output.stdout), output.status.code())
    }
}

/// A library that writes a word when it is loaded.
fn says(word: &str) -> String {
    format!(
        "#include <unistd.h>\n__attribute__((constructor)) static void loaded(void) {{ \
         if (write(1, \"{word} \", {}) < 0) _exit(9); }}",
        word.len() + 1
    )
}

fn text_of(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn written(output: &Output) -> (String, String, Option<i32>) {
    (text_of(&output.stdout), text_of(&output.stderr), output.status.code())
}

/// A function of SPDK's host that a program with the host has.
const HOST: &str = "int spdk_nvme_ctrlr_process_admin_completions(void *ctrlr) { return ctrlr != 0; }\n";
/// A program that calls it.
const PROGRAM: &str = "int spdk_nvme_ctrlr_process_admin_completions(void *ctrlr);\n\
    int main(void) { return spdk_nvme_ctrlr_process_admin_completions(0); }\n";
const NOTHING: &str = "int main(void) { return 0; }\n";

#[test]
fn a_program_runs_with_the_library_and_in_the_tools_place() {
    let place = Place::new("runs");
    // "$$" is the process itself: the tool has become it.
    let script = "echo $0 $1 $2 $SOFTVERBS_STRICT $SOFTVERBS_CONTROL $$; exit 7";
    let mut command = place.tool("softverbs-run");
    command.args(["--strict", "--control", "port down", "sh", "-c", script, "--help", "-x", "y z"]);
    let child = command.stdout(std::process::Stdio::piped()).spawn().unwrap();
    let id = child.id();
    let output = child.wait_with_output().unwrap();
    assert_eq!(
        written(&output),
        (format!("softverbs --help -x y z 1 port down {id}\n"), String::new(), Some(7))
    );

    let output = place.tool("nvme-rdma-preload").args(["sh", "-c", "exit 3"]).output().unwrap();
    assert_eq!(written(&output), (String::from("host "), String::new(), Some(3)));
}

#[test]
fn tools_may_follow_each_other_and_what_was_preloaded_stays() {
    let place = Place::new("follow");
    let other = place.library("work/libother.so", &says("other"), &[]);
    let preload = place.path("bin/nvme-rdma-preload");
    let output = place
        .tool("softverbs-run")
        .env("LD_PRELOAD", &other)
        .arg(&preload)
        .args(["sh", "-c", "echo; echo $LD_PRELOAD"])
        .output()
        .unwrap();
    let (stdout, stderr, status) = written(&output);
    assert_eq!((stderr.as_str(), status), ("", Some(0)));
    let value = stdout.lines().last().unwrap();
    let names: Vec<&str> = value.split(':').map(|path| path.rsplit('/').next().unwrap()).collect();
    assert_eq!(names, ["libspdk_nvme_rdma.so.0", "libsoftverbs.so", "libother.so"]);
}

#[test]
fn an_installation_may_be_a_distributions_and_a_link_may_lead_to_it() {
    let place = Place::new("multiarch");
    let triplet = Command::new("gcc").arg("-print-multiarch").output().unwrap();
    // Empty where there are no such folders: then it is `lib` itself.
    let folder = place.path(&format!("lib/{}", written(&triplet).0.trim()));
    fs::create_dir_all(&folder).unwrap();
    fs::rename(place.path("lib/libsoftverbs.so"), folder.join("libsoftverbs.so")).unwrap();
    let link = place.path("work/run");
    std::os::unix::fs::symlink(place.path("bin/softverbs-run"), &link).unwrap();
    let output = Command::new(&link).env_remove("LD_PRELOAD").arg("true").output().unwrap();
    assert_eq!(written(&output), (String::from("softverbs "), String::new(), Some(0)));
}

#[test]
fn faults_have_the_exit_status_of_env() {
    let place = Place::new("faults");
    let no_program = place.path("work/none");
    let no_right = place.path("work/text");
    fs::write(&no_right, "text").unwrap();
    for tool in ["softverbs-run", "nvme-rdma-preload"] {
        let run = |arguments: &[&str]| written(&place.tool(tool).args(arguments).output().unwrap());
        for (arguments, status, part) in [
            (&[][..], 125, "no program"),
            (&["--nonsense", "true"], 125, "--nonsense"),
            (&["-z", "true"], 125, "'-z'"),
            (&[no_program.to_str().unwrap()], 127, "work/none"),
            (&["no-such-program-anywhere"], 127, "no-such-program-anywhere"),
            (&[no_right.to_str().unwrap()], 126, "work/text"),
            (&["/"], 126, "'/'"),
        ] {
            let (stdout, stderr, code) = run(arguments);
            assert_eq!((stdout.as_str(), code), ("", Some(status)), "{tool} {arguments:?}: {stderr}");
            assert!(stderr.starts_with(&format!("{tool}: ")) && stderr.contains(part), "{tool}: {stderr}");
        }
        let (stdout, stderr, code) = run(&["--help"]);
        assert!(stdout.contains(&format!("Usage: {tool} ")), "{stdout}");
        assert_eq!((stderr.as_str(), code), ("", Some(0)));
        assert_eq!(run(&["--version"]).0, format!("{tool} {}\n", env!("CARGO_PKG_VERSION")));
    }
    fs::remove_file(place.path("lib/libsoftverbs.so")).unwrap();
    let (_, stderr, code) = written(&place.tool("softverbs-run").arg("true").output().unwrap());
    assert_eq!(code, Some(125));
    assert!(stderr.contains("libsoftverbs.so is in none of the places"), "{stderr}");
}

#[test]
fn check_tells_what_a_program_is_made_of() {
    let place = Place::new("kinds");
    let spdk = place.library("work/libspdk_nvme.so.18.0", HOST, &["-Wl,-soname,libspdk_nvme.so.18.0"]);
    let spdk = spdk.to_str().unwrap().to_owned();
    let found = format!("-Wl,-rpath,{}", place.path("work").display());

    let shared = place.compile("work/shared", PROGRAM, &[&spdk, &found]);
    let (text, status) = place.check(&shared);
    assert!(
        text.contains("shared libraries") && text.contains("libspdk_nvme.so.18.0 (SPDK v26.05)"),
        "{text}"
    );
    assert_eq!(status, Some(0));

    // By a library between, as SPDK's applications have it.
    let between = place.library(
        "work/libbetween.so",
        "int spdk_nvme_ctrlr_process_admin_completions(void *);\n\
         int between(void) { return spdk_nvme_ctrlr_process_admin_completions(0); }",
        &[&spdk, &found],
    );
    let text = "int between(void);\nint main(void) { return between(); }";
    let program = place.compile("work/by-another", text, &[between.to_str().unwrap(), &found]);
    assert_eq!(place.check(&program).1, Some(0));
    // A plugin, which has no dynamic linker of its own.
    assert_eq!(place.check(&between).1, Some(0));

    let missing = place.compile("work/missing", PROGRAM, &[&spdk]);
    let (text, status) = place.check(&missing);
    assert!(text.contains("are not found") && text.contains("LD_LIBRARY_PATH"), "{text}");
    assert_eq!(status, Some(1));

    let inside = format!("{HOST}{NOTHING}");
    for (name, flags) in
        [("inside", &[][..]), ("inside-static", &["-static"]), ("inside-pie", &["-static-pie"])]
    {
        let (text, status) = place.check(&place.compile(&format!("work/{name}"), &inside, flags));
        assert!(text.contains("static libraries are in it") && text.contains("wrap.args"), "{name}: {text}");
        assert_eq!(status, Some(1), "{name}");
    }
    // Without symbols, the names that log lines have are left.
    let names: String = (0..30).map(|number| format!("\"spdk_nvme_function_{number}\\0\"")).collect();
    let text = format!(
        "const char words[] = \"\\0\" {names};\nint main(int c, char **v) {{ return words[c] == v[0][0]; }}"
    );
    let (text, _) = place.check(&place.compile("work/stripped", &text, &["-s"]));
    assert!(text.contains("by the names in its data"), "{text}");

    // Linked again beside SPDK's archives.
    let again = format!("{HOST}void spdk_nvme_rdma_set_wait_hook(void) {{}}\n{NOTHING}");
    let (text, status) = place.check(&place.compile("work/again", &again, &[]));
    assert!(text.contains("with this host already"), "{text}");
    assert_eq!(status, Some(1));

    let (text, status) = place.check(&place.compile("work/nothing", NOTHING, &[]));
    assert!(text.contains("with no SPDK at all"), "{text}");
    assert_eq!(status, Some(1));
    let (text, _) = place.check(&place.compile("work/nothing-static", NOTHING, &["-static"]));
    assert!(text.contains("not dynamically linked"), "{text}");

    let privileged = place.compile("work/privileged", PROGRAM, &[&spdk, &found]);
    for (mode, word) in [(0o4755, "setuid"), (0o2755, "setgid")] {
        fs::set_permissions(&privileged, fs::Permissions::from_mode(mode)).unwrap();
        let (text, status) = place.check(&privileged);
        assert!(text.contains(word) && text.contains("ignores LD_PRELOAD"), "{text}");
        assert_eq!(status, Some(1));
    }

    fs::copy(place.path("lib/libspdk_nvme_rdma.so.0"), place.path("work/libspdk_nvme_rdma.so.0")).unwrap();
    let ours = place.library("work/libspdk_nvme_rdma.so.0", HOST, &["-Wl,-soname,libspdk_nvme_rdma.so.0"]);
    let (text, status) = place.check(&place.compile("work/ours", PROGRAM, &[ours.to_str().unwrap(), &found]));
    assert!(text.contains("with this host already"), "{text}");
    assert_eq!(status, Some(1));
}

#[test]
fn check_bears_files_that_are_no_programs() {
    let place = Place::new("no-programs");
    let file = |name: &str, bytes: &[u8]| {
        let path = place.path("work").join(name);
        fs::write(&path, bytes).unwrap();
        path
    };
    assert!(place.check(&file("script", b"#! /bin/sh -e\ntrue\n")).0.contains("a script for /bin/sh -e"));
    assert!(place.check(&file("text", b"hello")).0.contains("neither"));
    assert!(place.check(&file("empty", b"")).0.contains("neither"));
    assert!(place.check(&file("small", b"\x7fELF\x01\x01\x01")).0.contains("not one of 64 bits"));
    for (missing, status) in [("/nonexistent/program", 127), ("no-such-program-anywhere", 127), ("/", 126)] {
        let output = place.tool("nvme-rdma-preload").args(["--check", missing]).output().unwrap();
        let (stdout, stderr, code) = written(&output);
        assert_eq!((stdout.as_str(), code), ("", Some(status)), "{missing}: {stderr}");
        // It was not to be run.
        assert!(stderr.contains(missing) && !stderr.contains("run"), "{stderr}");
    }
    // Whatever of a program is cut off or wrong is an error or an answer, and no crash.
    let whole = fs::read(place.compile("work/whole", NOTHING, &[])).unwrap();
    let judge = |path: &Path| {
        let output = place.tool("nvme-rdma-preload").arg("--check").arg(path).output().unwrap();
        assert!(
            matches!(output.status.code(), Some(0 | 1 | 126)),
            "{:?}: {}",
            output.status,
            text_of(&output.stderr)
        );
    };
    for length in [5, 60, 64, 100, 500, 4000, whole.len() - 1] {
        judge(&file("cut", &whole[..length]));
    }
    for at in 16..64 {
        let mut wrong = whole.clone();
        wrong[at] ^= 0xff;
        judge(&file("wrong", &wrong));
    }
}

//! How a program comes by the library: it is preloaded, opened, linked, or in an archive.
//!
//! What cargo built for the tests is tried here; `scripts/check-install.sh` tries what is installed, with pkg-config.

// A test's helpers fail the test, like the test itself.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

#[path = "abi/table.rs"]
#[allow(dead_code)] // Made for more than this test.
mod table;
#[path = "abi/tools.rs"]
#[allow(dead_code)] // As above.
mod tools;

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
    process::{Command, Output},
};
use table::{Kind, table};
use tools::{Language, Workshop, library, root};

const LIBRARIES: [&str; 4] = ["spdk_nvme_rdma", "spdk_env_rdma", "nvme_rdma_target", "softverbs"];

/// A folder with what the programs of `c-tests/preload` include.
fn workshop(name: &str) -> Workshop {
    let workshop = Workshop::new(name);
    for header in ["c-tests/preload/io.h", "crates/target/include/nvme_rdma_target.h"] {
        let header = root().join(header);
        fs::copy(&header, workshop.path(header.file_name().unwrap().to_str().unwrap())).unwrap();
    }
    workshop
}

fn source(name: &str) -> String {
    fs::read_to_string(root().join("c-tests/preload").join(name)).unwrap()
}

/// What a program wrote, if it ended well.
fn written(output: &Output) -> (String, String) {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let (stdout, stderr) = (text(&output.stdout), text(&output.stderr));
    assert!(output.status.success(), "{}: {stdout}{stderr}", output.status);
    (stdout, stderr)
}

/// What a library needs of others by name; weak ones, which may be missing, left out.
fn undefined(library: &Path) -> Vec<String> {
    let nm = Command::new("nm").args(["--dynamic", "--undefined-only"]).arg(library).output().unwrap();
    assert!(nm.status.success());
    let text = String::from_utf8(nm.stdout).unwrap();
    text.lines()
        .filter_map(|line| line.trim_start().strip_prefix("U "))
        .map(|name| name.split('@').next().unwrap().to_owned())
        .collect()
}

#[test]
fn a_library_needs_no_symbol_of_the_environment_to_be_loaded() {
    for name in LIBRARIES {
        let undefined = undefined(&library(name));
        assert!(undefined.len() > 10, "{name}: only {undefined:?}");
        let of_spdk: Vec<&String> = undefined.iter().filter(|name| name.starts_with("spdk_")).collect();
        assert!(of_spdk.is_empty(), "{name}: {of_spdk:?}");
    }
}

/// A preload reaches every program on the way, and must not be seen there.
#[test]
fn a_preload_is_not_noticed_by_other_programs() {
    let programs: &[&[&str]] = &[
        &["true"],
        &["env", "true"],
        &["timeout", "60", "true"],
        &["sh", "-c", "true | cat; (true); exit 0"],
        // How many threads the program itself has.
        &["grep", "Threads", "/proc/self/status"],
        &["python3", "-c", "print(1)"],
    ];
    let run = |program: &[&str], preload: Option<&Path>| {
        let mut command = Command::new(program[0]);
        command.args(&program[1..]).env_remove("LD_PRELOAD");
        if let Some(library) = preload {
            // All symbols at once, as hardened programs have it.
            command.env("LD_PRELOAD", library).env("LD_BIND_NOW", "1");
        }
        command.output()
    };
    for program in programs {
        let Ok(without) = run(program, None) else {
            println!("skipped: there is no {}", program[0]);
            continue;
        };
        let without = written(&without);
        for name in LIBRARIES {
            assert_eq!(written(&run(program, Some(&library(name))).unwrap()), without, "{name}: {program:?}");
        }
    }
}

/// The environment is found where only its own library sees it, whichever came first.
#[test]
fn a_program_may_open_the_libraries_for_itself_alone() {
    let workshop = workshop("opened");
    let program = workshop.link(Language::C, "opened", &source("opened.c"), &[library("nvme_rdma_target")]);
    let run = |order: &str| {
        let mut command = workshop.command(&program);
        command.args([library("spdk_nvme_rdma"), library("spdk_env_rdma")]).arg(order);
        written(&command.env("LD_PRELOAD", library("softverbs")).output().unwrap())
    };
    for order in ["env-first", "host-first"] {
        assert_eq!(run(order), (String::from("used\n"), String::new()), "{order}");
    }
    // Each of the two refusals has its line; the third is about a transport that is not ours.
    let (stdout, stderr) = run("late");
    assert_eq!(stdout, "used\n");
    let lines: Vec<&str> = stderr.lines().collect();
    assert_eq!(lines.len(), 3, "{stderr}");
    for line in &lines[..2] {
        assert!(line.contains("*ERROR*") && line.contains("traddr=127.0.0.1"), "{line}");
        assert!(line.contains("no SPDK environment") && line.contains("spdk_get_ticks"), "{line}");
    }
    assert!(lines[2].contains("is not offered here"), "{}", lines[2]);
}

#[test]
fn python_may_open_the_library() {
    let open = format!("import ctypes; ctypes.CDLL({:?})", library("spdk_nvme_rdma").to_str().unwrap());
    match Command::new("python3").args(["-c", &open]).output() {
        Ok(output) => assert_eq!(written(&output), (String::new(), String::new())),
        Err(error) => println!("skipped: python3: {error}"),
    }
}

#[test]
fn a_clock_without_a_rate_is_refused_and_not_kept() {
    let workshop = workshop("late-rate");
    let libraries = ["spdk_nvme_rdma", "spdk_env_rdma", "nvme_rdma_target"].map(library);
    let program = workshop.link(Language::C, "late_rate", &source("late_rate.c"), &libraries);
    let output = workshop.command(&program).env("LD_PRELOAD", library("softverbs")).output().unwrap();
    let (stdout, stderr) = written(&output);
    assert_eq!(stdout, "used\n");
    let lines: Vec<&str> = stderr.lines().collect();
    assert_eq!(lines.len(), 2, "{stderr}");
    for line in lines {
        assert!(line.contains("spdk_get_ticks_hz() is 0") && line.contains("spdk_env_init"), "{line}");
    }
}

/// The archive that is installed, made of the one that cargo built.
fn archive(workshop: &Workshop, name: &str) -> PathBuf {
    let shared = library(name);
    let archive = workshop.path(&format!("lib{name}.a"));
    let mut command = Command::new(root().join("scripts/archive.sh"));
    command.arg(shared.with_extension("a")).arg(&shared).arg(&archive);
    written(&command.output().unwrap());
    archive
}

/// The names that a file of ELF objects defines for others, as often as it defines them.
fn global(archive: &Path) -> Vec<String> {
    let nm = Command::new("nm").args(["--extern-only", "--defined-only"]).arg(archive).output().unwrap();
    assert!(nm.status.success());
    let text = String::from_utf8(nm.stdout).unwrap();
    text.lines().filter_map(|line| line.split_whitespace().nth(2)).map(str::to_owned).collect()
}

#[test]
fn archives_hold_entry_points_alone_and_link_whole_and_in_any_order() {
    let workshop = workshop("archives");
    let host = archive(&workshop, "spdk_nvme_rdma");
    let env = archive(&workshop, "spdk_env_rdma");

    assert_eq!(global(&host), table().into_keys().collect::<Vec<_>>());
    let of_env = global(&env);
    assert!(of_env.len() > 100, "{of_env:?}");
    assert_eq!(of_env.iter().collect::<BTreeSet<_>>().len(), of_env.len());
    assert!(of_env.iter().all(|name| name.starts_with("spdk_")), "{of_env:?}");

    let program = workshop.path("archived.c");
    fs::write(&program, source("archived.c")).unwrap();
    let target = library("nvme_rdma_target");
    for (number, (first, second)) in [(&host, &env), (&env, &host)].into_iter().enumerate() {
        for whole in [false, true] {
            let output = workshop.path(&format!("archived{number}{whole}"));
            let mut compiler = Command::new(std::env::var("CC").unwrap_or_else(|_| String::from("gcc")));
            compiler.args(["-std=c11", "-D_GNU_SOURCE", "-Wall", "-Wextra", "-Werror", "-I"]);
            compiler.arg(root().join("include")).arg(&program).arg(&target);
            compiler.arg(format!("-Wl,-rpath,{}", target.parent().unwrap().display()));
            compiler.args(whole.then_some("-Wl,--whole-archive")).args([first, second]);
            compiler.args(whole.then_some("-Wl,--no-whole-archive"));
            compiler.args(["-lrdmacm", "-libverbs", "-lm", "-o"]).arg(&output);
            written(&compiler.output().unwrap());
            let output = workshop.command(&output).env("LD_PRELOAD", library("softverbs")).output().unwrap();
            assert_eq!(written(&output), (String::from("used\n"), String::new()));
        }
    }
}

/// Another library's definitions of entry points, each of which does what `body` says, as C. What SPDK's prototypes are makes no difference
/// to a function that takes nothing.
fn definitions(names: impl IntoIterator<Item = String>, body: &str) -> String {
    names.into_iter().map(|name| format!("long {name}(void);\nlong {name}(void) {{ {body} }}\n")).collect()
}

/// SPDK's entry points: those of the table that are not this library's own.
fn of_spdk() -> Vec<String> {
    table().into_iter().filter(|(_, entry)| entry.kind != Kind::Extension).map(|(name, _)| name).collect()
}

/// With `SPDK_NVME_RDMA_DISABLE=1` each call reaches the next library, whatever its arguments are.
#[test]
fn a_user_may_leave_everything_to_the_next_library() {
    let workshop = Workshop::new("disabled");
    let names = of_spdk();
    assert!(names.len() > 280, "{}", names.len());
    let standin = workshop.shared(
        "libspdk_nvme.so",
        &format!(
            "int reached_times(void);\nstatic int times;\nint reached_times(void) {{ return times; }}\n{}",
            definitions(names.clone(), "times++; return 0;")
        ),
    );
    // Called with as many words as the entry with the most takes; an address is as good as a number.
    let calls: String =
        names.iter().map(|name| format!("\tcall({name:?}, &some);\n\tcall({name:?}, 0);\n")).collect();
    let program = format!(
        r#"
#include <dlfcn.h>
#include <stdio.h>
#include <string.h>

int reached_times(void);

static void
call(const char *name, void *word)
{{
	void *address = dlsym(RTLD_DEFAULT, name);
	long (*function)(void *, void *, void *, void *, void *, void *, void *, void *, void *, void *, void *, void *, void *);
	int before = reached_times();

	if (address == NULL) {{
		printf("there is no %s\n", name);
		return;
	}}
	memcpy(&function, &address, sizeof(function));
	function(word, word, word, word, word, word, word, word, word, word, word, word, word);
	if (reached_times() != before + 1) {{
		printf("%s got there %d times\n", name, reached_times() - before);
	}}
}}

int
main(void)
{{
	static long some[4096];

{calls}	return 0;
}}
"#
    );
    let program = workshop.link(Language::C, "program", &program, &[standin]);
    let mut command = workshop.command(&program);
    command.env("LD_PRELOAD", library("spdk_nvme_rdma")).env("SPDK_NVME_RDMA_DISABLE", "1");
    let (stdout, stderr) = written(&command.output().unwrap());
    // NULL has nothing to be ended in any release, which is answered here.
    let expected =
        "spdk_nvme_ctrlr_free_io_qpair got there 0 times\nspdk_nvme_detach_poll got there 0 times\n";
    assert_eq!((stdout.as_str(), stderr.as_str()), (expected, ""));
}

/// A program with SPDK's static libraries in it: what a preload does not see, the linker redirects.
#[test]
fn a_program_with_spdk_in_it_is_linked_again_with_one_more_argument() {
    let workshop = workshop("wrapped");
    let compiler = |arguments: &[&str]| {
        let mut compiler = Command::new(std::env::var("CC").unwrap_or_else(|_| String::from("gcc")));
        compiler
            .args(["-std=c11", "-D_GNU_SOURCE", "-Wall", "-Wextra", "-Werror", "-I"])
            .arg(root().join("include"));
        written(&compiler.args(arguments).current_dir(workshop.path("")).output().unwrap());
    };
    let object = |name: &str, text: &str| {
        fs::write(workshop.path(&format!("{name}.c")), text).unwrap();
        compiler(&["-c", &format!("{name}.c")]);
    };
    // All of SPDK's: the stand-in has a few, the others must not be reached.
    object("standin", &source("standin.c"));
    let has = global(&workshop.path("standin.o"));
    let rest = of_spdk().into_iter().filter(|name| !has.contains(name));
    object("rest", &format!("#include <stdlib.h>\n{}", definitions(rest, "abort();")));
    object("program", &source("program.c"));
    let mut archiver = Command::new("ar");
    archiver.args(["rcs", "libspdk_nvme.a", "standin.o", "rest.o"]).current_dir(workshop.path(""));
    written(&archiver.output().unwrap());
    archive(&workshop, "spdk_env_rdma");

    let shared = library("spdk_nvme_rdma");
    let wrapped = workshop.path("libspdk_nvme_rdma_wrap.a");
    let mut command = Command::new(root().join("scripts/archive.sh"));
    command.arg(shared.with_extension("a")).arg(&shared).arg(&wrapped).arg("--wrap");
    written(&command.output().unwrap());
    let mut arguments = Command::new(root().join("scripts/wrap-arguments.sh"));
    let (arguments, _) =
        written(&arguments.args(["arguments", workshop.path("").to_str().unwrap()]).output().unwrap());
    fs::write(workshop.path("wrap.args"), arguments).unwrap();

    let spdk = ["libspdk_nvme.a", "libspdk_env_rdma.a", "-lpthread", "-ldl", "-lm"];
    let run = |arguments: &[&str], disable: &str| {
        compiler(&[&["-o", "program"], arguments].concat());
        let mut command = workshop.command(&workshop.path("program"));
        written(&command.env("SPDK_NVME_RDMA_DISABLE", disable).output().unwrap()).0
    };
    let as_it_was = run(&[&["program.o"], &spdk[..]].concat(), "");
    assert_eq!(as_it_was, "all from the stand-in\n");
    // First or last, and with SPDK's libraries whole, as their makers have it.
    let whole = [
        "-Wl,--whole-archive",
        "libspdk_nvme.a",
        "-Wl,--no-whole-archive",
        "libspdk_env_rdma.a",
        "-ldl",
        "-lm",
    ];
    for arguments in [
        [&["program.o", "@wrap.args"], &spdk[..]].concat(),
        [&["program.o"], &spdk[..], &["@wrap.args", "libspdk_env_rdma.a"]].concat(),
        [&["@wrap.args", "program.o"], &whole[..]].concat(),
    ] {
        assert_eq!(run(&arguments, ""), "ours and the stand-in's\n", "{arguments:?}");
        assert_eq!(run(&arguments, "1"), "all from the stand-in\n", "{arguments:?}");
    }
}

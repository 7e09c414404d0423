//! The C face is SPDK's: headers, exports, prototypes, layouts and values, and programs that were compiled elsewhere.
//!
//! `abi/spdk-v26.05.json` holds what was measured of SPDK's own headers. Everything that our headers offer is checked
//! against it, in C11 and in C++17; what they do not offer yet is left out, and the tests say how much must be there at
//! least. `abi/releases.json` says of the earlier releases in what they agree with it, and in what not.

// A test's helpers fail the test, like the test itself.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

#[path = "abi/data.rs"]
#[allow(dead_code)] // Made for more than this test.
mod data;
#[path = "abi/earlier.rs"]
mod earlier;
#[path = "abi/layout.rs"]
mod layout;
#[path = "abi/releases.rs"]
#[allow(dead_code)] // Made for more than this test.
mod releases;
#[path = "abi/table.rs"]
#[allow(dead_code)] // Made for more than this test.
mod table;
#[path = "abi/tools.rs"]
mod tools;

use data::Abi;
use releases::Releases;
use std::{collections::BTreeSet, fs, path::Path, process::Command};
use table::table;
use tools::{Language, Workshop, headers, library, root};

/// The entry points that the headers declare.
fn declared() -> impl Iterator<Item = String> {
    table().into_iter().filter(|(_, entry)| entry.is_written).map(|(symbol, _)| symbol)
}

#[test]
fn committed_headers_are_the_generated_ones() {
    let generated = Path::new(env!("OUT_DIR")).join("include");
    for header in [
        "spdk/nvme.h",
        "spdk/nvme_kv.h",
        "spdk/nvme_ocssd.h",
        "spdk/nvme_zns.h",
        "spdk/opal.h",
        "spdk/nvme_rdma.h",
        "spdk_internal/nvme_util.h",
    ] {
        let generated = fs::read_to_string(generated.join(header)).unwrap();
        let committed = fs::read_to_string(root().join("include").join(header)).unwrap_or_default();
        assert!(
            generated == committed,
            "include/{header} differs from what src/abi says: NVME_RDMA_UPDATE_HEADERS=1 cargo build writes it anew"
        );
    }
}

#[test]
fn the_library_exports_the_entry_points_and_nothing_else() {
    let nm =
        Command::new("nm").args(["-D", "--defined-only"]).arg(library("spdk_nvme_rdma")).output().unwrap();
    let exported: BTreeSet<String> = String::from_utf8(nm.stdout)
        .unwrap()
        .lines()
        .filter_map(|line| line.split_whitespace().nth(2).map(str::to_owned))
        .collect();
    assert_eq!(exported, table().into_keys().collect::<BTreeSet<_>>());
}

#[test]
fn the_environment_is_left_to_whoever_brings_it() {
    let readelf = Command::new("readelf").arg("-d").arg(library("spdk_nvme_rdma")).output().unwrap();
    let dynamic = String::from_utf8(readelf.stdout).unwrap();
    assert!(dynamic.contains("[libspdk_nvme_rdma.so.0]"), "soname: {dynamic}");
    for line in dynamic.lines().filter(|line| line.contains("NEEDED")) {
        assert!(!line.contains("spdk"), "{line}");
    }
}

#[test]
fn prototypes_are_those_of_spdk() {
    let abi = Abi::load();
    let mut checked = 0;
    let mut text = headers();
    text.push_str("#ifdef __cplusplus\n#define _Bool bool\nextern \"C\" {\n#endif\n");
    for name in declared() {
        if let Some(prototype) = abi.prototype(&name) {
            text.push_str(&format!("__typeof__({prototype}) {name};\n"));
            checked += 1;
        }
    }
    text.push_str("#ifdef __cplusplus\n}\n#endif\nint main(void) { return 0; }\n");
    assert!(checked >= 43, "{checked} prototypes");
    let workshop = Workshop::new("prototypes");
    for language in [Language::C, Language::Cpp] {
        workshop.compile(language, "prototypes", &text);
    }
}

#[test]
fn a_wrong_prototype_is_noticed() {
    let text = format!("{}__typeof__(int (struct spdk_nvme_ctrlr *, int)) spdk_nvme_detach;\n", headers());
    assert!(!Workshop::new("wrong-prototype").compiles(Language::C, "wrong", &text));
}

#[test]
fn layouts_and_values_are_those_of_spdk() {
    let abi = Abi::load();
    let checks = layout::checks(&abi, &tools::header_text());
    println!("{checks}");
    assert!(checks.records >= 170, "{checks}");
    assert!(checks.enumerators >= 550, "{checks}");
    assert!(checks.macros >= 70, "{checks}");
    assert!(checks.bit_fields >= 600, "{checks}");
    let workshop = Workshop::new("layouts");
    for language in [Language::C, Language::Cpp] {
        let program = workshop.compile(language, "layouts", &checks.text);
        let output = Command::new(program).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
    }
}

#[test]
fn a_wrong_layout_is_noticed() {
    let mut abi = Abi::load();
    abi.move_bit_field("spdk_nvme_cmd", "psdt");
    let checks = layout::checks(&abi, &tools::header_text());
    let program = Workshop::new("wrong-layout").compile(Language::C, "layouts", &checks.text);
    let output = Command::new(program).output().unwrap();
    assert!(!output.status.success());
    assert!(String::from_utf8_lossy(&output.stdout).contains("spdk_nvme_cmd.psdt"));
}

#[test]
fn programs_of_all_releases_mean_the_same() {
    let found = earlier::disagreements(&Abi::load(), &Releases::load());
    assert!(found.is_empty(), "{}", found.join("\n"));
}

#[test]
fn a_field_that_has_moved_since_is_noticed() {
    let mut abi = Abi::load();
    abi.move_bit_field("spdk_nvme_ctrlr_opts", "keep_alive_timeout_ms");
    let found = earlier::disagreements(&abi, &Releases::load());
    assert_eq!(found.len(), 1, "{found:?}");
    assert!(found[0].contains("keep_alive_timeout_ms"), "{found:?}");
}

#[test]
fn macros_and_inline_functions_say_what_they_should() {
    let text = fs::read_to_string(root().join("tests/abi/macros.c")).unwrap();
    let workshop = Workshop::new("macros");
    for language in [Language::C, Language::Cpp] {
        let output = Command::new(workshop.compile(language, "macros", &text)).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
    }
}

#[test]
fn a_program_that_knows_only_spdks_layout_runs() {
    let abi = Abi::load();
    let workshop = Workshop::new("spdk-layout");
    fs::write(workshop.path("spdk_layout.h"), layout::header(&abi)).unwrap();
    let target = root().join("crates/target/include/nvme_rdma_target.h");
    fs::copy(target, workshop.path("nvme_rdma_target.h")).unwrap();
    let text = fs::read_to_string(root().join("tests/abi/program.c")).unwrap();
    let libraries = ["spdk_nvme_rdma", "spdk_env_rdma", "nvme_rdma_target", "softverbs"].map(library);
    let program = workshop.link(Language::C, "program", &text, &libraries);
    let output = workshop.command(&program).env("LD_PRELOAD", library("softverbs")).output().unwrap();
    assert!(
        output.status.success(),
        "{}: {}{}",
        output.status,
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
}

/// Our library before a stand-in of SPDK's: what is not ours passes through.
#[test]
fn preloaded_foreign_handles_and_other_transports_pass_through() {
    let workshop = Workshop::new("preload");
    let folder = root().join("c-tests/preload");
    let read = |name: &str| fs::read_to_string(folder.join(name)).unwrap();
    let standin = workshop.shared("libspdk_nvme.so", &read("standin.c"));
    let libraries = [standin, library("spdk_env_rdma")];
    let program = workshop.link(Language::C, "program", &read("program.c"), &libraries);
    // The same as a plugin, whose libraries are not seen by the program that opens it.
    let text =
        read("program.c").replace("int\nmain(void)", "int run_program(void);\n\nint\nrun_program(void)");
    let plugin = workshop.shared_with("plugin.so", &text, &libraries);
    let host = workshop.link(Language::C, "host_of_plugins", &read("host_of_plugins.c"), &[]);
    let run = |program: &Path, argument: Option<&Path>, preload: Option<&Path>, disable: Option<&str>| {
        let mut command = workshop.command(program);
        command.args(argument).env_remove("SPDK_NVME_RDMA_DISABLE").env_remove("SPDK_NVME_RDMA_LOG");
        if let Some(library) = preload {
            command.env("LD_PRELOAD", library);
        }
        if let Some(value) = disable {
            command.env("SPDK_NVME_RDMA_DISABLE", value);
        }
        let output = command.output().unwrap();
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        let notices = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "{}: {text}{notices}", output.status);
        let notices = notices.lines().filter(|line| line.contains("serves RDMA here")).count();
        (text.trim_end().to_owned(), notices)
    };
    let ours = library("spdk_nvme_rdma");
    let (all_theirs, both) = ("all from the stand-in".to_owned(), "ours and the stand-in's".to_owned());
    for (program, argument) in [(&program, None), (&host, Some(plugin.as_path()))] {
        assert_eq!(run(program, argument, None, None), (all_theirs.clone(), 0), "without our library");
        assert_eq!(run(program, argument, Some(&ours), None), (both.clone(), 1), "with our library");
        assert_eq!(run(program, argument, Some(&ours), Some("0")), (both.clone(), 1), "not disabled");
        assert_eq!(run(program, argument, Some(&ours), Some("1")), (all_theirs.clone(), 0), "disabled");
    }
}

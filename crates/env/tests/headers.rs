//! The headers, the library and SPDK's ABI agree.
//!
//! `abi-v26.05.json` holds the facts about SPDK v26.05: types, sizes, offsets, values. C compilers compare them with
//! the headers in `include/spdk/`; the shared library's exports and the Rust functions are compared with both. Of the
//! headers in `IN_PART` it holds what is offered, of the others all there is.
// A test may fail by panicking; clippy.toml exempts test functions, but not their helpers.
#![allow(clippy::indexing_slicing, clippy::panic, clippy::unwrap_used)]

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::path::Path;
use std::process::Command;

use serde_json::Value;

mod common;
use common::{compile, library, scratch};

/// What SPDK has and the library does not: they take a `struct spdk_cpuset`, which needs SPDK's `cpuset.h`.
const NOT_OFFERED: [&str; 2] = ["spdk_env_core_get_smt_cpuset", "spdk_env_get_cpuset"];

/// What the library has for programs built against older releases; SPDK's present headers do not declare them.
const OLDER_NAMES: [&str; 2] = ["spdk_env_get_socket_id", "spdk_pci_device_get_socket_id"];

/// Written in C behind a jump, so their types are not in the Rust source.
const IN_C: [&str; 8] = [
    "spdk_flog",
    "spdk_log",
    "spdk_sprintf_alloc",
    "spdk_sprintf_append_realloc",
    "spdk_vflog",
    "spdk_vlog",
    "spdk_vsprintf_alloc",
    "spdk_vsprintf_append_realloc",
];

/// Headers of which all functions are there.
const WHOLE: [&str; 11] = [
    "spdk/crc16.h",
    "spdk/crc32.h",
    "spdk/crc64.h",
    "spdk/env.h",
    "spdk/fd.h",
    "spdk/log.h",
    "spdk/string.h",
    "spdk/util.h",
    "spdk/uuid.h",
    "spdk/vmd.h",
    "spdk/zipf.h",
];

/// Headers that declare what programs of the host use, and those without functions.
const IN_PART: [&str; 17] = [
    "spdk/barrier.h",
    "spdk/config.h",
    "spdk/dif.h",
    "spdk/endian.h",
    "spdk/event.h",
    "spdk/histogram_data.h",
    "spdk/keyring.h",
    "spdk/likely.h",
    "spdk/memory.h",
    "spdk/mmio.h",
    "spdk/module/keyring/file.h",
    "spdk/nvme_intel.h",
    "spdk/nvme_ocssd_spec.h",
    "spdk/pci_ids.h",
    "spdk/queue.h",
    "spdk/sock.h",
    "spdk/trace.h",
];

fn facts() -> Value {
    serde_json::from_str(include_str!("abi-v26.05.json")).unwrap()
}

fn headers() -> impl Iterator<Item = &'static str> {
    WHOLE.into_iter().chain(IN_PART)
}

fn includes() -> String {
    headers().map(|header| format!("#include \"{header}\"\n")).collect()
}

/// Names that the shared library exports.
fn exports() -> BTreeSet<String> {
    let output = Command::new("nm").args(["-D", "--defined-only"]).arg(library()).output().unwrap();
    assert!(output.status.success(), "nm failed");
    let text = String::from_utf8(output.stdout).unwrap();
    text.lines().filter_map(|line| line.split_whitespace().nth(2)).map(str::to_owned).collect()
}

#[test]
fn the_library_exports_what_the_headers_declare_and_nothing_else() {
    let facts = facts();
    let mut expected: BTreeSet<String> = facts["functions"].as_object().unwrap().keys().cloned().collect();
    for name in NOT_OFFERED {
        assert!(expected.remove(name), "{name} is not in SPDK");
    }
    expected.extend(OLDER_NAMES.map(str::to_owned));
    assert_eq!(exports(), expected);
}

#[test]
fn the_headers_have_spdks_types_layouts_and_values() {
    let facts = facts();
    let mut source = includes();
    for (name, function) in facts["functions"].as_object().unwrap() {
        if NOT_OFFERED.contains(&name.as_str()) {
            continue;
        }
        let kind = function["type"].as_str().unwrap();
        writeln!(
            source,
            "_Static_assert(__builtin_types_compatible_p(__typeof__({name}), __typeof__({kind})), \"type of {name}\");"
        )
        .unwrap();
    }
    for (name, record) in facts["records"].as_object().unwrap() {
        let (size, align) = (&record["size"], &record["align"]);
        writeln!(source, "_Static_assert(sizeof(struct {name}) == {size}, \"size of {name}\");").unwrap();
        writeln!(source, "_Static_assert(_Alignof(struct {name}) == {align}, \"alignment of {name}\");")
            .unwrap();
        for field in record["fields"].as_array().unwrap() {
            let (field, offset, size) = (field["name"].as_str().unwrap(), &field["offset"], &field["size"]);
            writeln!(
                source,
                "_Static_assert(offsetof(struct {name}, {field}) == {offset}, \"offset of {name}.{field}\");\n\
                 _Static_assert(sizeof(((struct {name} *)0)->{field}) == {size}, \"size of {name}.{field}\");"
            )
            .unwrap();
        }
    }
    for (name, enumerators) in facts["enums"].as_object().unwrap() {
        writeln!(source, "enum {name} use_{name};").unwrap();
        for (enumerator, value) in enumerators.as_object().unwrap() {
            writeln!(source, "_Static_assert({enumerator} == {value}, \"{enumerator}\");").unwrap();
        }
    }
    for (name, value) in facts["macros"].as_object().unwrap() {
        let value = value.as_str().unwrap();
        writeln!(source, "_Static_assert({name} == ({value}), \"{name}\");").unwrap();
    }
    let file = scratch("abi.c");
    std::fs::write(&file, source).unwrap();
    compile(&["cc", "-std=c11", "-Wno-unused", "-c"], &file, &scratch("abi.o"));
}

#[test]
fn every_declared_function_links() {
    let facts = facts();
    let names: Vec<&String> = facts["functions"]
        .as_object()
        .unwrap()
        .keys()
        .filter(|name| !NOT_OFFERED.contains(&name.as_str()))
        .collect();
    let mut source = includes();
    source.push_str("static void (*volatile const all[])(void) = {\n");
    for name in &names {
        writeln!(source, "\t(void (*)(void)){name},").unwrap();
    }
    source.push_str("};\nint main(void)\n{\n\tsize_t i;\n");
    source.push_str(
        "\tfor (i = 0; i < sizeof(all) / sizeof(all[0]); i++)\n\t\tif (all[i] == NULL) return 1;\n",
    );
    source.push_str("\treturn 0;\n}\n");
    let file = scratch("all.c");
    std::fs::write(&file, source).unwrap();
    let program = scratch("all");
    common::link(&file, &program);
    assert!(Command::new(program).status().unwrap().success());
}

#[test]
fn each_header_stands_alone_in_c_and_cpp() {
    for (compiler, standard, suffix) in [("cc", "-std=c11", "c"), ("c++", "-std=c++17", "cpp")] {
        for (number, header) in headers().enumerate() {
            let file = scratch(&format!("header{number}.{suffix}"));
            std::fs::write(&file, format!("#include \"{header}\"\n")).unwrap();
            compile(&[compiler, standard, "-fsyntax-only"], &file, Path::new("/dev/null"));
        }
    }
}

/// The Rust functions, turned into C prototypes by cbindgen, redeclare what the headers declare: a difference is an error
/// of the C compiler.
#[test]
fn the_rust_functions_have_the_headers_types() {
    let crates = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let mut config = cbindgen::Config {
        language: cbindgen::Language::C,
        style: cbindgen::Style::Tag,
        usize_is_size_t: true,
        no_includes: true,
        ..Default::default()
    };
    for (rust, c) in [
        ("AppOpts", "struct spdk_app_opts"),
        ("AreContiguous", "spdk_mem_map_contiguous_translations"),
        ("Deprecation", "struct spdk_deprecation"),
        ("DifCtx", "struct spdk_dif_ctx"),
        ("DifCtxInitExtOpts", "struct spdk_dif_ctx_init_ext_opts"),
        ("DifError", "struct spdk_dif_error"),
        ("DifPiFormat", "enum spdk_dif_pi_format"),
        ("DifType", "enum spdk_dif_type"),
        ("EnumCallback", "spdk_pci_enum_cb"),
        ("EnvOpts", "struct spdk_env_opts"),
        ("ErrorHandler", "spdk_pci_error_handler"),
        ("FILE", "FILE"),
        ("IovXfer", "struct spdk_iov_xfer"),
        ("Ioviter", "struct spdk_ioviter"),
        ("Key", "struct spdk_key"),
        ("Keyring", "struct spdk_keyring"),
        ("LedState", "enum spdk_vmd_led_state"),
        ("LogCallback", "spdk_log_cb"),
        ("LogFlag", "struct spdk_log_flag"),
        ("LogLevel", "enum spdk_log_level"),
        ("LogOpts", "struct spdk_log_opts"),
        ("MemMap", "struct spdk_mem_map"),
        ("MemMapOps", "struct spdk_mem_map_ops"),
        ("Mempool", "struct spdk_mempool"),
        ("PciAddr", "struct spdk_pci_addr"),
        ("PciDevice", "struct spdk_pci_device"),
        ("PciDeviceProvider", "struct spdk_pci_device_provider"),
        ("PciDriver", "struct spdk_pci_driver"),
        ("PciEvent", "struct spdk_pci_event"),
        ("PciId", "struct spdk_pci_id"),
        ("Ring", "struct spdk_ring"),
        ("RingType", "enum spdk_ring_type"),
        ("SockImplOpts", "struct spdk_sock_impl_opts"),
        ("SpdkUuid", "struct spdk_uuid"),
        ("SpdkZipf", "struct spdk_zipf"),
        ("iovec", "struct iovec"),
    ] {
        config.export.rename.insert(rust.to_owned(), c.to_owned());
        config.export.exclude.push(rust.to_owned());
    }
    config.export.item_types = vec![cbindgen::ItemType::Functions, cbindgen::ItemType::Typedefs];
    let mut prototypes = Vec::new();
    for name in ["env", "util"] {
        // cbindgen follows the `mod` lines.
        let source = crates.join(name).join("src/lib.rs");
        let builder = cbindgen::Builder::new().with_config(config.clone()).with_src(source);
        builder.generate().unwrap().write(&mut prototypes);
    }
    let prototypes = String::from_utf8(prototypes).unwrap();

    let missing: Vec<String> = exports()
        .into_iter()
        .filter(|name| !prototypes.contains(&format!("{name}(")) && !IN_C.contains(&name.as_str()))
        .collect();
    assert!(missing.is_empty(), "no Rust function found for {missing:?}");

    let file = scratch("rust.c");
    std::fs::write(&file, includes() + &prototypes).unwrap();
    compile(&["cc", "-std=c11", "-c"], &file, &scratch("rust.o"));
}

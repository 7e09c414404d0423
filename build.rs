//! Build script of the root package.
//!
//! * `bindgen` reads the hand-written C headers into Rust (`OUT_DIR/types.rs`, module `abi::types`), so that both
//!   languages have one source for every layout.
//! * `cbindgen` writes the C headers that declare the functions of `src/abi` into `OUT_DIR/include`. The committed
//!   ones under `include/` must be equal; `tests/headers.rs` compares them. With `NVME_RDMA_UPDATE_HEADERS=1` in the
//!   environment the committed ones are written. No other build touches the source tree.
//! * The shared library gets its soname, and its own way to the environment (`src/abi/env/loaded.c`), so that it has no
//!   undefined symbol that could keep it from being loaded; everything else that has this code is linked with an
//!   environment (`src/abi/env/linked.c`).

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::exit,
};

/// What Rust needs of the hand-written headers, as a regular expression; what these types hold comes with them.
const TYPES: &str = "spdk_nvme_(accel_fn_table|aer_cb|ana_state|attach_cb|attach_fail_cb|bpinfo_register|cap_register|cc_register|cmbsz_register|cmd|cmd_cb|cpl|csi|\
    csts_register|ctrlr|ctrlr_data|ctrlr_flags|ctrlr_list|ctrlr_opts|dealloc_logical_block_read_value|detach_ctx|discovery_cb|\
    disconnected_qpair_cb|dsm_range|format|fw_commit_action|host_id|io_qpair_opts|ns|ns_attr_changed_cb|ns_cmd_ext_io_opts|ns_data|ns_flags|nvm_ctrlr_data|nvm_ns_data|pcie_hotplug_filter_cb|pi_format|pi_type|pmrcap_register|poll_group|poll_group_stat|rdma_device_stat|transport_poll_group_stat|poll_group_interrupt_cb|probe_cb|probe_ctx|\
    qp_failure_reason|qpair|qprio|rdma_hooks|registers|remove_cb|req_next_sge_cb|req_reset_sgl_cb|reservation_[a-z_]*|scc_source_range|status|timeout_cb|transport_id|transport_ops|transport_opts|transport_type|trid_entry|trid_usage_opt|\
    vs_register|kv_ctrlr_data|kv_ns_data|zns_ctrlr_data|zns_ns_data|zns_zra_report_opts)|\
    spdk_(ocssd_chunk_information_entry|opal_(d0_features_info|dev|lock_state|locking_range|locking_range_info|user)|event_handler_opts|fd_group|memory_domain|pci_device|uuid)|\
    spdk_nvmf_(adrfam|discovery_log_page|fabric_connect_cmd|fabric_connect_data|fabric_connect_rsp|\
    fabric_prop_get_cmd|fabric_prop_get_rsp|fabric_prop_set_cmd|rdma_private_data|dhchap_hash|dhchap_dhgroup)";

/// A generated header: its path under `include/`, its own include guard, what it says about itself, what it includes,
/// and the files of `src/abi` whose functions it declares.
struct Header {
    path: &'static str,
    guard: &'static str,
    about: &'static str,
    includes: &'static [&'static str],
    sources: &'static [&'static str],
}

const HEADERS: &[Header] = &[
    Header {
        path: "spdk/nvme.h",
        guard: "SPDK_NVME_H",
        about: "NVMe host: controllers, namespaces, queue pairs and poll groups. Types and macros are in nvme_types.h.",
        includes: &["spdk/env.h", "spdk/nvme_types.h"],
        sources: &[
            "transport_id.rs",
            "transport_opts.rs",
            "trid_order.rs",
            "host_id.rs",
            "prchk.rs",
            "probe.rs",
            "detach.rs",
            "ctrlr.rs",
            "ctrlr_abort.rs",
            "ctrlr_cmd.rs",
            "ctrlr_events.rs",
            "ctrlr_facts.rs",
            "ctrlr_injection.rs",
            "ctrlr_life.rs",
            "ctrlr_manage.rs",
            "ctrlr_images.rs",
            "ctrlr_pcie.rs",
            "cuse.rs",
            "ns.rs",
            "ns_cmd.rs",
            "ns_blocks.rs",
            "ns_lists.rs",
            "ns_transfers.rs",
            "ns_vectors.rs",
            "io_raw.rs",
            "qpair.rs",
            "poll_group.rs",
            "poll_group_facts.rs",
            "poll_group_statistics.rs",
            "status_text.rs",
            "print.rs",
            "dhchap.rs",
            "rdma_hooks.rs",
        ],
    },
    Header {
        path: "spdk/nvme_zns.h",
        guard: "SPDK_NVME_ZNS_H",
        about: "NVMe host: zoned namespaces.",
        includes: &["spdk/nvme.h"],
        sources: &["zns.rs"],
    },
    Header {
        path: "spdk/nvme_ocssd.h",
        guard: "SPDK_NVME_OCSSD_H",
        about: "NVMe host: Open-Channel SSDs, which are not reached over fabrics.",
        includes: &["spdk/nvme.h", "spdk/nvme_ocssd_spec.h"],
        sources: &["ocssd.rs"],
    },
    Header {
        path: "spdk/nvme_kv.h",
        guard: "SPDK_NVME_KV_H",
        about: "NVMe host: key-value namespaces.",
        includes: &["spdk/nvme.h"],
        sources: &["kv.rs"],
    },
    Header {
        path: "spdk/opal.h",
        guard: "SPDK_OPAL_H",
        about: "Opal, which locks a controller's data.",
        includes: &["spdk/nvme.h", "spdk/opal_spec.h"],
        sources: &["opal.rs"],
    },
    Header {
        path: "spdk/nvme_rdma.h",
        guard: "SPDK_NVME_RDMA_H",
        about: "What this library has beyond SPDK's API.",
        includes: &["spdk/nvme.h"],
        sources: &["extension.rs"],
    },
    Header {
        path: "spdk_internal/nvme_util.h",
        guard: "SPDK_INTERNAL_NVME_UTIL_H",
        about: "NVMe host: what example programs and tools share.",
        includes: &["spdk/nvme.h"],
        sources: &["util.rs", "trid_entry.rs"],
    },
];

fn main() {
    println!("cargo:rerun-if-env-changed=NVME_RDMA_UPDATE_HEADERS");
    println!("cargo:rerun-if-changed=build.rs");
    println!("cargo:rerun-if-changed=cbindgen.toml");
    println!("cargo:rerun-if-changed=src/abi");
    println!("cargo:rerun-if-changed=include");
    println!("cargo:rustc-cdylib-link-arg=-Wl,-soname,libspdk_nvme_rdma.so.0");
    // Whatever is undefined is said now and not by the loader of some program.
    println!("cargo:rustc-cdylib-link-arg=-Wl,-z,defs");

    let root = PathBuf::from(variable("CARGO_MANIFEST_DIR"));
    let out = PathBuf::from(variable("OUT_DIR"));
    compile_environment(&root.join("src/abi/env"));
    write_types(&root, &out);
    for header in HEADERS {
        let text = declare(&root, header);
        write(&out.join("include").join(header.path), &text);
        if env::var_os("NVME_RDMA_UPDATE_HEADERS").is_some_and(|value| value == "1") {
            write(&root.join("include").join(header.path), &text);
        }
    }
}

/// The two ways to the environment's symbols: the shared library's, which only it is linked with, and everybody else's.
fn compile_environment(folder: &Path) {
    let compiler = |file: &str| {
        let mut build = cc::Build::new();
        build.file(folder.join(file)).std("c11").define("_GNU_SOURCE", None);
        build.warnings(true).extra_warnings(true).flag_if_supported("-fvisibility=hidden");
        build
    };
    for object in compiler("loaded.c").compile_intermediates() {
        println!("cargo:rustc-cdylib-link-arg={}", object.display());
    }
    compiler("linked.c").compile("nvme_rdma_env_linked");
}

/// The types of the hand-written headers as Rust. `_Bool` becomes `u8` and enums become integer newtypes, since C can
/// write any value into either and a Rust `bool` or `enum` must not hold it.
fn write_types(root: &Path, out: &Path) {
    let types = bindgen::Builder::default()
        .header(root.join("include/spdk/nvme_types.h").to_string_lossy())
        .header(root.join("include/spdk/nvme_ocssd_spec.h").to_string_lossy())
        .header(root.join("include/spdk/opal_spec.h").to_string_lossy())
        .clang_arg(format!("-I{}", root.join("include").display()))
        .clang_arg("-D_Bool=unsigned char")
        .allowlist_type(TYPES)
        .allowlist_var("SPDK_NVME_(TRANSPORT_NAME|IO_FLAGS|ADMIN_QUEUE|IO_QUEUE)_.*")
        .default_enum_style(bindgen::EnumVariation::NewType { is_bitfield: false, is_global: false })
        .prepend_enum_name(false)
        .derive_default(false)
        .layout_tests(true)
        .generate_comments(false)
        .use_core()
        .rust_edition(bindgen::RustEdition::Edition2024)
        .generate();
    match types {
        Ok(types) => {
            if let Err(error) = types.write_to_file(out.join("types.rs")) {
                fail(&format!("cannot write types.rs: {error}"));
            }
        }
        Err(error) => fail(&format!("bindgen cannot read include/spdk/nvme_types.h: {error}")),
    }
}

/// The C declarations of one header's functions.
fn declare(root: &Path, header: &Header) -> String {
    let mut config = match cbindgen::Config::from_file(root.join("cbindgen.toml")) {
        Ok(config) => config,
        Err(error) => fail(&format!("cbindgen.toml: {error}")),
    };
    config.header =
        Some(format!("/* SPDX-License-Identifier: BSD-3-Clause */\n\n/*\n * {}\n */", header.about));
    config.include_guard = Some(header.guard.to_owned());
    config.includes = header.includes.iter().map(|&include| include.to_owned()).collect();
    let mut builder = cbindgen::Builder::new().with_config(config);
    for source in header.sources {
        let path = root.join("src/abi").join(source);
        if path.exists() {
            builder = builder.with_src(path);
        }
    }
    let mut text = Vec::new();
    match builder.generate() {
        Ok(bindings) => bindings.write(&mut text),
        Err(error) => fail(&format!("cbindgen cannot declare {}: {error}", header.path)),
    }
    // What a caller must hold stands in a section of its own in Rust; C has no such custom.
    String::from_utf8_lossy(&text).replace(" * # Safety\n *\n", " * What must hold:\n")
}

fn write(path: &Path, text: &str) {
    if fs::read_to_string(path).is_ok_and(|old| old == text) {
        return;
    }
    let folder = path.parent().map_or(Ok(()), fs::create_dir_all);
    if let Err(error) = folder.and_then(|()| fs::write(path, text)) {
        fail(&format!("cannot write {}: {error}", path.display()));
    }
}

fn variable(name: &str) -> String {
    env::var(name).unwrap_or_else(|_| fail(&format!("cargo did not set {name}")))
}

fn fail(reason: &str) -> ! {
    println!("cargo:warning={reason}");
    eprintln!("{reason}");
    exit(1)
}

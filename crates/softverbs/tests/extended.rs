//! Extended completion queues and posting by function calls, through the inline functions of the real headers; and that every
//! name which a program could call with one of our objects is ours.

// A test says what it expects by panicking, and the harness that it shares sends a signal.
#![allow(missing_docs, unsafe_code)]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod foreign;

use std::collections::BTreeSet;
use std::process::Command;

use foreign::Side;
use foreign::preload::{self, library};

#[test]
fn extended_queues_and_posting_by_calls() {
    let program = preload::compile("extended.c", &[]);
    let side = Side::start(&[], &[program.display().to_string()], true).finish();
    side.expect_success();
    assert_eq!(side.text, "");
}

/// The names that `nm` prints, without versions.
fn names(arguments: &[&str]) -> BTreeSet<String> {
    let output = Command::new("nm").args(arguments).output().expect("nm is needed: package binutils");
    assert!(output.status.success(), "nm {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout).unwrap();
    let name = |line: &str| Some(line.split_whitespace().next_back()?.split('@').next()?.to_string());
    text.lines().filter_map(name).collect()
}

/// What the real libraries export and this one need not, with the reason.
fn is_exception(name: &str) -> bool {
    const NAMES: &[&str] = &[
        // Numbers and addresses in, numbers out: no object is involved.
        "ibv_rate_to_mbps",
        "ibv_rate_to_mult",
        "mbps_to_ibv_rate",
        "mult_to_ibv_rate",
        "ibv_get_sysfs_path",
        "ibv_copy_ah_attr_from_kern",
        "ibv_copy_path_rec_from_kern",
        "ibv_copy_path_rec_to_kern",
        "ibv_copy_qp_attr_from_kern",
        // rsocket and its kin: the real librdmacm's own objects, known by descriptors.
        "rsocket",
        "rclose",
        "rbind",
        "rlisten",
        "raccept",
        "rconnect",
        "rshutdown",
        "rrecv",
        "rrecvfrom",
        "rrecvmsg",
        "rsend",
        "rsendto",
        "rsendmsg",
        "rread",
        "rreadv",
        "rwrite",
        "rwritev",
        "rpoll",
        "rselect",
        "rgetpeername",
        "rgetsockname",
        "rsetsockopt",
        "rgetsockopt",
        "rfcntl",
        "riomap",
        "riounmap",
        "riowrite",
        // For drivers of real devices, private to rdma-core.
        "ibv_dofork_range",
        "ibv_dontfork_range",
        "ibv_read_ibdev_sysfs_file",
        "ibv_register_driver",
        "execute_ioctl",
        "__ioctl_final_num_attrs",
        "__verbs_log",
        "_verbs_init_and_alloc_context",
    ];
    NAMES.contains(&name)
        // As above; and the names of symbol versions.
        || ["ibv_cmd_", "verbs_", "IBVERBS_", "RDMACM_"].iter().any(|p| name.starts_with(p))
}

#[test]
fn every_exported_name_of_the_real_libraries_is_ours() {
    let ours = names(&["-D", "--defined-only", library().to_str().unwrap()]);
    for real in ["libibverbs.so.1", "librdmacm.so.1"] {
        let found = Command::new("cc").arg(format!("-print-file-name={real}")).output().unwrap();
        let path = String::from_utf8(found.stdout).unwrap();
        let theirs = names(&["-D", "--defined-only", path.trim()]);
        assert!(theirs.len() > 50, "{real}: {theirs:?}");
        let missing: Vec<_> = theirs.iter().filter(|n| !ours.contains(*n) && !is_exception(n)).collect();
        assert!(missing.is_empty(), "{real} has what we have not: {missing:?}");
    }
}

/// The programs of the table in `programs.rs`: whatever they import from the two libraries.
#[test]
fn every_name_that_the_programs_import_is_ours() {
    let ours = names(&["-D", "--defined-only", library().to_str().unwrap()]);
    let programs = "rping ucmatose rdma_server rdma_client rdma_xserver rdma_xclient cmtime ibv_devices ibv_devinfo \
        ibv_rc_pingpong ibv_srq_pingpong ib_send_lat ib_send_bw ib_write_lat ib_write_bw ib_read_lat ib_read_bw";
    for program in programs.split_whitespace() {
        let path = format!("/usr/bin/{program}");
        let wanted = names(&["-D", "--undefined-only", &path]);
        let of_verbs = |n: &&String| ["ibv_", "_ibv_", "rdma_"].iter().any(|p| n.starts_with(p));
        let missing: Vec<_> =
            wanted.iter().filter(of_verbs).filter(|n| !ours.contains(*n) && !is_exception(n)).collect();
        assert!(missing.is_empty(), "{program} wants {missing:?}");
    }
}

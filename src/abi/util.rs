//! What SPDK's example programs and tools share.

use super::{
    ctrlr::Ctrlr,
    entry::{entry, guard_plain, pass_on_if_disabled},
    handles::{self, Found, Whose, find},
    ns::Ns,
    ns_cmd::wrong_namespace,
    text::{put_text_within, text},
    types::{spdk_nvme_ctrlr, spdk_nvme_ns, spdk_nvme_trid_usage_opt},
};
use libc::{EINVAL, FILE, c_char, c_int, size_t};
use std::{ffi::CString, fmt::Write as _};

/// Prints how a transport id is given on the command line.
///
/// # Safety
///
/// f is an open stream. opts is a mask of enum spdk_nvme_trid_usage_opt.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn spdk_nvme_transport_id_usage(f: *mut FILE, opts: u32) {
    pass_on_if_disabled!(spdk_nvme_transport_id_usage(f, opts));
    guard_plain("spdk_nvme_transport_id_usage", (), || {
        let Ok(text) = CString::new(usage(opts)) else {
            return;
        };
        if f.is_null() {
            tracing::error!("spdk_nvme_transport_id_usage: the stream is NULL");
            return;
        }
        // SAFETY: the caller vouches for the stream; the text is a C string.
        unsafe { libc::fputs(text.as_ptr().cast::<c_char>(), f) };
    });
}

fn usage(opts: u32) -> String {
    use spdk_nvme_trid_usage_opt as Opt;
    let has = |bit: Opt| opts & bit.0 != 0;
    let pcie = !has(Opt::SPDK_NVME_TRID_USAGE_OPT_NO_PCIE);
    let fabric = !has(Opt::SPDK_NVME_TRID_USAGE_OPT_NO_FABRIC);
    let (open, close) = if has(Opt::SPDK_NVME_TRID_USAGE_OPT_MANDATORY) { ("", "") } else { ("[", "]") };
    let long = if has(Opt::SPDK_NVME_TRID_USAGE_OPT_LONGOPT) { ", --transport" } else { "" };
    let joined = |pcie_text: &str, fabric_text: &str| match (pcie, fabric) {
        (true, true) => format!("{pcie_text} or {fabric_text}"),
        (true, false) => pcie_text.to_owned(),
        (false, true) => fabric_text.to_owned(),
        (false, false) => String::new(),
    };
    let (pcie_address, fabric_address) = ("0000:04:00.0", "192.168.100.8");

    let mut text = format!(
        "\t{open}-r{long} <fmt> Transport ID for {}{close}\n\t\tFormat: 'key:value [key:value] ...'\n\t\tKeys:\n",
        joined("local PCIe NVMe", "NVMeoF")
    );
    let mut key = |shown: bool, name: &str, meaning: &str| {
        if shown {
            let _ = writeln!(text, "\t\t {name:<11} {meaning}");
        }
    };
    key(true, "trtype", "Transport type (e.g. PCIe, RDMA)");
    key(fabric, "adrfam", "Address family (e.g. IPv4, IPv6)");
    key(true, "traddr", &format!("Transport address (e.g. {})", joined(pcie_address, fabric_address)));
    key(fabric, "trsvcid", "Transport service identifier (e.g. 4420)");
    key(fabric, "subnqn", "Subsystem NQN (default: nqn.2014-08.org.nvmexpress.discovery)");
    key(has(Opt::SPDK_NVME_TRID_USAGE_OPT_NS), "ns", "Namespace ID (without it: every active namespace)");
    key(fabric && has(Opt::SPDK_NVME_TRID_USAGE_OPT_HOSTNQN), "hostnqn", "Host NQN");
    key(
        fabric && has(Opt::SPDK_NVME_TRID_USAGE_OPT_HOSTADDR),
        "hostaddr",
        "Local address to connect from (e.g. the IP of one of several ports)",
    );
    key(
        fabric && has(Opt::SPDK_NVME_TRID_USAGE_OPT_ALT_TRADDR),
        "alt_traddr",
        "A second address of the controller, for failover",
    );
    text.push_str("\t\tExamples:\n");
    if pcie {
        let _ = writeln!(text, "\t\t -r 'trtype:PCIe traddr:{pcie_address}'");
    }
    if fabric {
        let _ = writeln!(text, "\t\t -r 'trtype:RDMA adrfam:IPv4 traddr:{fabric_address} trsvcid:4420'");
    }
    if has(Opt::SPDK_NVME_TRID_USAGE_OPT_MULTI) {
        text.push_str("\t\tMay be given several times, for several controllers.\n");
    }
    text
}

/// Writes what a controller or a namespace is called into name: "RDMA (addr:192.0.2.1 subnqn:nqn...)", and " NSID 1" behind
/// that with ns, which may be NULL.
///
/// As of snprintf(), what length bytes have no room for is left out, and the length of the whole is returned, without the
/// zero byte at its end. name may be NULL if length is 0. Returns -EINVAL for what is no controller or no namespace.
///
/// # Safety
///
/// length bytes can be written at name. Both are handles of one controller, which nobody else is detaching.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn spdk_nvme_build_name(
    name: *mut c_char,
    length: size_t,
    ctrlr: *mut spdk_nvme_ctrlr,
    ns: *mut spdk_nvme_ns,
) -> c_int {
    const ENTRY: &str = "spdk_nvme_build_name";
    // Another library's controller has no namespace of ours, and must not be given one.
    let is_ns_of_ours = matches!(handles::whose(ns.addr()), Whose::Ours | Whose::Invalid(_));
    if is_ns_of_ours && handles::whose(ctrlr.addr()) == Whose::Foreign {
        return wrong_namespace(ENTRY, ns);
    }
    entry!(spdk_nvme_build_name(name, length, ctrlr, ns), Ctrlr, ctrlr, -EINVAL, |object| {
        let trid = &object.transport_id();
        let mut called = format!("RDMA (addr:{} subnqn:{})", text(&trid.traddr), text(&trid.subnqn));
        if !ns.is_null() {
            // SAFETY: the caller vouches for the handle.
            let Found::Ours(namespace) = (unsafe { find::<Ns>(ns) }) else {
                return wrong_namespace(ENTRY, ns);
            };
            let _ = write!(called, " NSID {}", namespace.id());
        }
        if name.is_null() && length != 0 {
            tracing::error!("{ENTRY}: name is NULL");
            return -EINVAL;
        }
        // SAFETY: the caller vouches for the buffer.
        unsafe { put_text_within(name, length, called.as_bytes()) };
        c_int::try_from(called.len()).unwrap_or(c_int::MAX)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_printed_follows_the_mask() {
        let both = usage(0);
        assert!(both.starts_with("\t[-r <fmt> Transport ID for local PCIe NVMe or NVMeoF]\n"));
        assert!(both.contains("\t\t trtype      Transport type (e.g. PCIe, RDMA)\n"));
        assert!(both.contains("(e.g. 0000:04:00.0 or 192.168.100.8)"));
        assert!(both.contains("trtype:PCIe traddr") && both.contains("trtype:RDMA adrfam"));
        assert!(!both.contains("hostnqn"));

        // MANDATORY, LONGOPT, NO_PCIE, MULTI, NS, HOSTNQN
        let fabric = usage(0b1110_1110);
        assert!(fabric.starts_with("\t-r, --transport <fmt> Transport ID for NVMeoF\n"));
        assert!(!fabric.contains("trtype:PCIe traddr") && fabric.contains("\t\t ns          Namespace"));
        assert!(fabric.contains("\t\t hostnqn     Host NQN\n") && fabric.contains("several times"));

        let pcie = usage(0b1_0000);
        assert!(!pcie.contains("adrfam") && !pcie.contains("trsvcid"));
    }
}

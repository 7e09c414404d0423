//! What SPDK's example programs and tools share.

use super::{entry::guard_plain, types::spdk_nvme_trid_usage_opt};
use libc::{FILE, c_char};
use std::{ffi::CString, fmt::Write as _};

/// Prints how a transport id is given on the command line.
///
/// # Safety
///
/// f is an open stream. opts is a mask of enum spdk_nvme_trid_usage_opt.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn spdk_nvme_transport_id_usage(f: *mut FILE, opts: u32) {
    guard_plain("spdk_nvme_transport_id_usage", (), || {
        let Ok(text) = CString::new(usage(opts)) else {
            return;
        };
        if !f.is_null() {
            // SAFETY: the caller vouches for the stream; the text is a C string.
            unsafe { libc::fputs(text.as_ptr().cast::<c_char>(), f) };
        }
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

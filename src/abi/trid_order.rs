//! Which of two transport ids comes first, and when they are the same.

use super::{
    entry::{guard_plain, pass_on_if_disabled},
    text::text,
    transport_id,
    types::{spdk_nvme_transport_id, spdk_nvme_transport_type as TransportType},
};
use crate::host;
use libc::{EINVAL, c_int};
use std::cmp::Ordering;

/// Compares two transport ids, as an order: negative, 0 or positive. 0 says that they are of the same controller.
///
/// What counts is, in this order: the transport (of custom ones the name), of PCIe the address alone; the address family,
/// the address, the service (in any case) and the subsystem. Addresses are compared as what they stand for, however they are
/// written; what is no address is compared as text in any case, and comes behind those. The priority does not count.
///
/// Returns -EINVAL, with a line in the log, if one of them is NULL.
///
/// # Safety
///
/// Each is NULL or points to a transport id.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn spdk_nvme_transport_id_compare(
    trid1: *const spdk_nvme_transport_id,
    trid2: *const spdk_nvme_transport_id,
) -> c_int {
    pass_on_if_disabled!(spdk_nvme_transport_id_compare(trid1, trid2));
    guard_plain("spdk_nvme_transport_id_compare", -EINVAL, || {
        if trid1.is_null() || trid2.is_null() {
            tracing::error!("spdk_nvme_transport_id_compare: transport id is NULL");
            return -EINVAL;
        }
        // SAFETY: the caller gives two transport ids.
        let (one, other) = unsafe { (transport_id::read(trid1), transport_id::read(trid2)) };
        compare(&one, &other) as c_int
    })
}

/// Whether two transport ids are of the same controller.
pub(super) fn is_same(one: &spdk_nvme_transport_id, other: &spdk_nvme_transport_id) -> bool {
    compare(one, other).is_eq()
}

fn compare(one: &spdk_nvme_transport_id, other: &spdk_nvme_transport_id) -> Ordering {
    let transport = one.trtype.0.cmp(&other.trtype.0);
    let addresses = (text(&one.traddr), text(&other.traddr));
    match one.trtype {
        _ if transport.is_ne() => return transport,
        TransportType::SPDK_NVME_TRANSPORT_PCIE => return compare_pci(&addresses.0, &addresses.1),
        TransportType::SPDK_NVME_TRANSPORT_CUSTOM | TransportType::SPDK_NVME_TRANSPORT_CUSTOM_FABRICS => {
            let names = in_any_case(&text(&one.trstring), &text(&other.trstring));
            if names.is_ne() {
                return names;
            }
        }
        _ => {}
    }
    let families = one.adrfam.0.cmp(&other.adrfam.0);
    families
        .then_with(|| host::compare_addresses(&addresses.0, &addresses.1))
        .then_with(|| in_any_case(&text(&one.trsvcid), &text(&other.trsvcid)))
        .then_with(|| text(&one.subnqn).cmp(&text(&other.subnqn)))
}

fn in_any_case(one: &str, other: &str) -> Ordering {
    one.to_ascii_lowercase().cmp(&other.to_ascii_lowercase())
}

/// Compares the addresses of PCIe devices; what is none comes last.
fn compare_pci(one: &str, other: &str) -> Ordering {
    let key = |text: &str| pci_address(text).ok_or_else(|| text.to_ascii_lowercase());
    key(one).cmp(&key(other))
}

/// Domain, bus, device and function of `0000:04:00.0`, whose domain and function may be left out, and in which dots may
/// stand for all colons.
fn pci_address(text: &str) -> Option<[u32; 4]> {
    let separators: String = text.chars().filter(|character| matches!(character, ':' | '.')).collect();
    let numbers = text.split([':', '.']).map(|part| u32::from_str_radix(part, 16));
    let numbers: Vec<u32> = numbers.collect::<Result<_, _>>().ok()?;
    let address = match (numbers.as_slice(), separators.as_str()) {
        (&[domain, bus, device, function], "::." | "...") => [domain, bus, device, function],
        (&[domain, bus, device], "::") => [domain, bus, device, 0],
        (&[bus, device, function], ":." | "..") => [0, bus, device, function],
        (&[bus, device], ":" | ".") => [0, bus, device, 0],
        _ => return None,
    };
    let [_, bus, device, function] = address;
    (bus <= 0xff && device <= 0x1f && function <= 7).then_some(address)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::abi::transport_id::spdk_nvme_transport_id_parse;
    use std::{ffi::CString, ptr};

    fn parse(str: &str) -> spdk_nvme_transport_id {
        // SAFETY: a transport id of zeros is a valid one.
        let mut trid = unsafe { std::mem::zeroed() };
        let str = CString::new(str).unwrap();
        // SAFETY: both are this function's own.
        assert_eq!(unsafe { spdk_nvme_transport_id_parse(&raw mut trid, str.as_ptr()) }, 0);
        trid
    }

    /// Through the C face, both ways round.
    fn order(one: &str, other: &str) -> Ordering {
        let (one, other) = (parse(one), parse(other));
        // SAFETY: both are this function's own.
        let [there, back] = unsafe {
            [
                spdk_nvme_transport_id_compare(&raw const one, &raw const other),
                spdk_nvme_transport_id_compare(&raw const other, &raw const one),
            ]
        };
        assert_eq!(there, -back);
        assert_eq!(is_same(&one, &other), there == 0);
        there.cmp(&0)
    }

    const RDMA: &str = "trtype:RDMA adrfam:IPv4 traddr:192.0.2.1 trsvcid:4420 subnqn:nqn.a";

    #[test]
    fn keys_count_in_turn() {
        assert_eq!(order(RDMA, RDMA), Ordering::Equal);
        for (from, to) in [
            ("trtype:RDMA", "trtype:TCP"),
            ("adrfam:IPv4", "adrfam:IPv6"),
            ("192.0.2.1", "192.0.2.2"),
            ("trsvcid:4420", "trsvcid:4421"),
            ("nqn.a", "nqn.b"),
        ] {
            assert_eq!(order(RDMA, &RDMA.replace(from, to)), Ordering::Less, "{to}");
        }
        // What stands further in front wins.
        let later = "trtype:RDMA adrfam:IPv4 traddr:192.0.2.0 trsvcid:9999 subnqn:nqn.z";
        assert_eq!(order(later, RDMA), Ordering::Less);
        assert_eq!(
            order(RDMA, &format!("{RDMA} priority:7")),
            Ordering::Equal,
            "the priority does not count"
        );
    }

    #[test]
    fn addresses_are_numbers_where_they_can_be() {
        let traddr = |family: &str, traddr: &str| format!("trtype:RDMA adrfam:{family} traddr:{traddr}");
        for (family, one, other, expected) in [
            ("IPv4", "9.0.0.1", "10.0.0.1", Ordering::Less),
            ("IPv6", "fe80::1", "FE80:0::0:1", Ordering::Equal),
            ("IPv6", "::2", "::10", Ordering::Less),
            ("IPv4", "a-name", "A-NAME", Ordering::Equal),
            ("IPv4", "a-name", "b-name", Ordering::Less),
            ("IPv4", "10.0.0.1", "1x", Ordering::Less),
            ("IPv4", "9.0.0.1", "1x", Ordering::Less),
            ("FC", "nn-0x1:pn-0xA", "NN-0x1:pn-0xa", Ordering::Equal),
        ] {
            assert_eq!(order(&traddr(family, one), &traddr(family, other)), expected, "{one} {other}");
        }
    }

    #[test]
    fn case_counts_for_the_subsystem_alone() {
        let trid = |trsvcid: &str, subnqn: &str| {
            format!("trtype:RDMA adrfam:IPv4 traddr:192.0.2.1 trsvcid:{trsvcid} subnqn:{subnqn}")
        };
        assert_eq!(order(&trid("nvme", "a"), &trid("NVMe", "a")), Ordering::Equal);
        assert_eq!(order(&trid("nvme", "a"), &trid("nvme", "A")), Ordering::Greater);
    }

    #[test]
    fn custom_transports_differ_by_name() {
        assert_eq!(order("trtype:mine traddr:x", "trtype:MINE traddr:x"), Ordering::Equal);
        assert_eq!(order("trtype:mine traddr:x", "trtype:yours traddr:a"), Ordering::Less);
        assert_eq!(order("trtype:aaa", "trtype:TCP"), Ordering::Greater, "by the type first");
        assert_eq!(order("trtype:mine traddr:x", "trtype:mine traddr:y"), Ordering::Less);
        let mut lower = parse("trtype:mine");
        lower.trstring[0] = b'm'.cast_signed();
        assert!(is_same(&lower, &parse("trtype:MINE")), "in any case");
    }

    #[test]
    fn of_pcie_the_address_counts_alone() {
        let pcie = |rest: &str| format!("trtype:PCIe traddr:{rest}");
        for (one, other, expected) in [
            ("0000:04:00.0", "04:00.0 subnqn:x trsvcid:1 adrfam:ib", Ordering::Equal),
            ("0000:04:00.0", "0000.04.00.0", Ordering::Equal),
            ("0000:04:00.0", "4:0", Ordering::Equal),
            ("0000:04:00.0", "0:4:0", Ordering::Equal),
            ("0000:04:00.0", "4.0.0", Ordering::Equal),
            ("0000:0A:00.0", "0000:0a:00.0", Ordering::Equal),
            ("0000:9:00.0", "0000:10:00.0", Ordering::Less),
            ("0000:04:00.0", "0001:04:00.0", Ordering::Less),
            ("0000:04:00.0", "none", Ordering::Less),
            ("0000:04:20.0", "0000:04:20.0", Ordering::Equal),
            ("none", "NONE", Ordering::Equal),
        ] {
            assert_eq!(order(&pcie(one), &pcie(other)), expected, "{one} {other}");
        }
        for text in ["", "1", "100:0", "0:20", "0:0.8", "0:0.0.0.0", "x:y", "1:2:3:4"] {
            assert_eq!(pci_address(text), None, "{text}");
        }
    }

    #[test]
    fn null_is_no_transport_id() {
        let trid = parse(RDMA);
        // SAFETY: NULL is allowed.
        unsafe {
            assert_eq!(spdk_nvme_transport_id_compare(ptr::null(), &raw const trid), -EINVAL);
            assert_eq!(spdk_nvme_transport_id_compare(&raw const trid, ptr::null()), -EINVAL);
        }
    }

    #[test]
    fn a_zone_is_part_of_an_address() {
        let zoned =
            |traddr: &str| parse(&format!("trtype:RDMA adrfam:IPv6 traddr:{traddr} trsvcid:4420 subnqn:a"));
        let one = zoned("fe80::1%lo");
        assert_eq!(text(&one.traddr), "fe80::1%lo");
        let number = format!("[FE80::1%{}]", verbs::interface_index("lo").unwrap());
        assert!(is_same(&one, &zoned(&number)), "the same interface by its number");
        assert!(!is_same(&one, &zoned("fe80::1")));
        assert!(!is_same(&one, &zoned("fe80::1%no-such")));
    }
}

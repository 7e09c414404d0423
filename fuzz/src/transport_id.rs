//! Transport ids: as text, as C's structure of any content, and as the host's address.

use crate::{lines, world};
use libc::c_char;
use spdk_nvme_rdma::{
    abi::{
        transport_id::{spdk_nvme_transport_id_parse, spdk_nvme_trid_populate_transport},
        types::{spdk_nvme_transport_id, spdk_nvme_transport_type},
        util::spdk_nvme_transport_id_usage,
    },
    host::{AddressFamily, TransportId},
};
use std::{ffi::CString, ptr};

/// What the text is made of.
pub const WORDS: &[&str] = &[
    "trtype:RDMA",
    "trtype=pcie",
    "trtype:",
    "adrfam:IPv4",
    "adrfam:IPv6",
    "adrfam:ib",
    "traddr:127.0.0.1",
    "traddr:fe80::1%eth0",
    "traddr:[::1]",
    "trsvcid:4420",
    "trsvcid:65536",
    "subnqn:nqn.2014-08.org",
    "priority:9999",
    "priority:-1",
    "hostaddr:1.2.3.4",
    "hostsvcid:1",
    "hostnqn:x",
    "ns:1",
    "alt_traddr:2",
    ":",
    "=",
    "\t",
    "\n",
    "unknown:x",
];

/// The structure, between guards.
#[repr(C)]
struct Guarded {
    before: [u8; 64],
    trid: spdk_nvme_transport_id,
    after: [u8; 64],
}

/// The input as text, and then as a structure.
pub fn run(input: &[u8]) {
    lines::take();
    let until = input.iter().position(|byte| *byte == 0).unwrap_or(input.len());
    let text = CString::new(&input[..until]).unwrap();
    let (rc, trid) = parse(&text);
    assert!(rc == 0 || rc == -libc::EINVAL, "{rc}");
    if rc == 0 {
        again(&trid);
        address(&trid);
    }
    populate(input);
    let blank = CString::new([&input[..until], b" "].concat()).unwrap();
    assert!(until == 0 || parse(&blank).0 == -libc::EINVAL, "what ends with a blank was taken");
    structure(input);
    lines::check();
}

fn parse(text: &CString) -> (i32, spdk_nvme_transport_id) {
    // SAFETY: a transport id of zeros is a valid one.
    let mut place = Guarded { before: [0xa5; 64], trid: unsafe { std::mem::zeroed() }, after: [0xa5; 64] };
    // SAFETY: both are this function's own.
    let rc = unsafe { spdk_nvme_transport_id_parse(&raw mut place.trid, text.as_ptr()) };
    assert!(place.before == [0xa5; 64] && place.after == [0xa5; 64], "written beside the transport id");
    for string in strings(&place.trid) {
        assert!(string.contains(&0), "a string that does not end");
    }
    (rc, place.trid)
}

fn strings(trid: &spdk_nvme_transport_id) -> [&[c_char]; 4] {
    [&trid.trstring, &trid.traddr, &trid.trsvcid, &trid.subnqn]
}

fn text(array: &[c_char]) -> Vec<u8> {
    array.iter().map(|byte| byte.cast_unsigned()).take_while(|byte| *byte != 0).collect()
}

/// What was read, written as text, is read as the same.
fn again(trid: &spdk_nvme_transport_id) {
    let mut written = Vec::new();
    let names: [&[u8]; 4] = [b" trtype:", b" traddr:", b" trsvcid:", b" subnqn:"];
    for (name, string) in names.into_iter().zip(strings(trid)) {
        let value = text(string);
        if !value.is_empty() {
            written.extend_from_slice(name);
            written.extend_from_slice(&value);
        }
    }
    let (rc, other) = parse(&CString::new(written).unwrap());
    assert_eq!(rc, 0);
    assert_eq!(other.trtype.0, trid.trtype.0);
    for (one, other) in strings(trid).into_iter().zip(strings(&other)) {
        assert_eq!(text(one), text(other));
    }
}

fn address(trid: &spdk_nvme_transport_id) {
    for address_family in [AddressFamily::Ipv4, AddressFamily::Ipv6] {
        let string = |array: &[c_char]| String::from_utf8_lossy(&text(array)).into_owned();
        let id = TransportId {
            address_family,
            traddr: string(&trid.traddr),
            trsvcid: string(&trid.trsvcid),
            subnqn: string(&trid.subnqn),
        };
        if let Ok(address) = id.address() {
            assert_eq!(address.is_ipv4(), address_family == AddressFamily::Ipv4);
        }
    }
}

fn populate(input: &[u8]) {
    let number = u32::from_le_bytes(crate::input::padded(input));
    // SAFETY: a transport id of zeros is a valid one, and this function's own.
    unsafe {
        let mut trid: spdk_nvme_transport_id = std::mem::zeroed();
        for number in [number, number & 0xffff, number & 3, 256 + (number & 7), 4096 + (number & 1)] {
            spdk_nvme_trid_populate_transport(&raw mut trid, spdk_nvme_transport_type(number));
            assert_eq!(trid.trtype.0, number);
            assert!(trid.trstring.contains(&0));
        }
        spdk_nvme_transport_id_usage(ptr::null_mut(), number);
    }
}

/// A structure in which no string has to end, for RDMA: it is refused, or leads to nobody.
fn structure(input: &[u8]) {
    if input.len() < 16 {
        return;
    }
    let world = world::World::new(None);
    // SAFETY: members are integers and bytes, for which every value is valid.
    let mut trid: spdk_nvme_transport_id = unsafe { std::mem::zeroed() };
    let length = input.len().min(size_of::<spdk_nvme_transport_id>());
    // SAFETY: the structure is as long as what is copied, at least.
    unsafe { ptr::copy_nonoverlapping(input.as_ptr(), (&raw mut trid).cast::<u8>(), length) };
    trid.trtype = spdk_nvme_transport_type::SPDK_NVME_TRANSPORT_RDMA;
    trid.adrfam.0 = 1 + (trid.adrfam.0 & 1);
    world.attach(&trid, None, |_| panic!("nobody is there, and still there is a controller"));
    world.finish();
}

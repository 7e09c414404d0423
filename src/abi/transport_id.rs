//! Transport ids: from text, from a transport type, and to what the host takes.

use super::{
    entry::{guard_plain, pass_on_if_disabled},
    error::invalid,
    pairs::{Pair, Pairs, ParseError, answer, shown},
    text::{CText, c_bytes, put_text, text},
    types::{spdk_nvme_transport_id, spdk_nvme_transport_type, spdk_nvmf_adrfam},
};
use crate::host;
use libc::{EINVAL, ENOENT, c_char, c_int};
use spec::printable;
use std::{
    borrow::Cow,
    ffi::CStr,
    ptr::{self, addr_of, addr_of_mut},
};

type TransportType = spdk_nvme_transport_type;
type AddressFamily = spdk_nvmf_adrfam;

/// Keys that may stand in the text of a transport id, and are for the program to look at.
const OF_OTHERS: [&str; 5] = ["hostaddr", "hostsvcid", "hostnqn", "ns", "alt_traddr"];
/// Most digits of a priority.
const PRIORITY_MAX: usize = 4;

/// Reads a transport id from text, such as "trtype:RDMA adrfam:IPv4 traddr:192.0.2.1 trsvcid:4420".
///
/// Keys and values are separated by ':' or '=', pairs by blanks, tabs or newlines. Keys, in any case: trtype, adrfam
/// (IPv4, IPv6, IB, FC), traddr, trsvcid, subnqn, priority. The keys hostaddr, hostsvcid, hostnqn, ns and alt_traddr
/// are left for the program to look at; any other key is named in a log line and left out.
///
/// Members that no key names stay as they are, so fill the transport id with zeros or defaults before.
///
/// Returns 0, or -EINVAL for an argument that is NULL, a pair without separator or value, or a value that is too
/// long or unknown. What stands before the error in the text has been stored then.
///
/// # Safety
///
/// trid is NULL or points to a transport id that can be written. str is NULL or a C string.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn spdk_nvme_transport_id_parse(
    trid: *mut spdk_nvme_transport_id,
    str: *const c_char,
) -> c_int {
    pass_on_if_disabled!(spdk_nvme_transport_id_parse(trid, str));
    guard_plain("spdk_nvme_transport_id_parse", -EINVAL, || {
        // SAFETY: the caller gives NULL or a C string, which nobody changes meanwhile.
        let Some(text) = (unsafe { c_bytes(str) }).filter(|_| !trid.is_null()) else {
            return invalid(format!(
                "spdk_nvme_transport_id_parse: the text at {str:p}, for the transport id at {trid:p}"
            ));
        };
        // SAFETY: the caller gives a transport id that can be written.
        answer("transport id", unsafe { parse_into(trid, text) })
    })
}

/// Sets the type of a transport id and the name that goes with it.
///
/// For a type that has no name only the type is set, and a log line says so.
///
/// # Safety
///
/// trid points to a transport id that can be written.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn spdk_nvme_trid_populate_transport(
    trid: *mut spdk_nvme_transport_id,
    trtype: spdk_nvme_transport_type,
) {
    pass_on_if_disabled!(spdk_nvme_trid_populate_transport(trid, trtype));
    guard_plain("spdk_nvme_trid_populate_transport", (), || {
        if trid.is_null() {
            tracing::error!("spdk_nvme_trid_populate_transport: transport id is NULL");
            return;
        }
        // SAFETY: the caller gives a transport id that can be written.
        unsafe { populate(trid, trtype) };
    });
}

/// Sets the name of a transport id's transport, in upper case. The type stays as it is.
///
/// Returns 0, or -EINVAL for an argument that is NULL or a name that is too long, which is not stored.
///
/// # Safety
///
/// trid is NULL or points to a transport id that can be written. trstring is NULL or a C string.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn spdk_nvme_transport_id_populate_trstring(
    trid: *mut spdk_nvme_transport_id,
    trstring: *const c_char,
) -> c_int {
    pass_on_if_disabled!(spdk_nvme_transport_id_populate_trstring(trid, trstring));
    guard_plain("spdk_nvme_transport_id_populate_trstring", -EINVAL, || {
        // SAFETY: the caller gives NULL or a C string, which nobody changes meanwhile.
        let name = unsafe { c_bytes(trstring) };
        match name.filter(|name| !trid.is_null() && name.len() <= CText::<33>::MAX) {
            Some(name) => {
                // SAFETY: the caller gives a transport id that can be written; the name fits.
                unsafe { put_text(addr_of_mut!((*trid).trstring), &name.to_ascii_uppercase()) };
                0
            }
            None => invalid(format!(
                "spdk_nvme_transport_id_populate_trstring: a name of {} bytes at {trstring:p} for the transport id at {trid:p}",
                name.map_or(0, <[u8]>::len)
            )),
        }
    })
}

/// Reads a transport type from its name, in any case. A name that is not known is that of a custom transport.
///
/// Returns 0, or -EINVAL for an argument that is NULL.
///
/// # Safety
///
/// trtype is NULL or can be written. str is NULL or a C string.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn spdk_nvme_transport_id_parse_trtype(
    trtype: *mut spdk_nvme_transport_type,
    str: *const c_char,
) -> c_int {
    pass_on_if_disabled!(spdk_nvme_transport_id_parse_trtype(trtype, str));
    guard_plain("spdk_nvme_transport_id_parse_trtype", -EINVAL, || {
        // SAFETY: the caller gives NULL or a C string, which nobody changes meanwhile.
        match unsafe { c_bytes(str) }.filter(|_| !trtype.is_null()) {
            Some(text) => {
                // SAFETY: the caller gives a type that can be written.
                unsafe { trtype.write(transport_type(text)) };
                0
            }
            None => invalid(format!(
                "spdk_nvme_transport_id_parse_trtype: the text at {str:p}, for the type at {trtype:p}"
            )),
        }
    })
}

/// The name of a transport type: "PCIe", "RDMA", "FC", "TCP", "VFIOUSER", "CUSTOM"; NULL if it has none.
#[unsafe(no_mangle)]
pub extern "C" fn spdk_nvme_transport_id_trtype_str(trtype: spdk_nvme_transport_type) -> *const c_char {
    pass_on_if_disabled!(spdk_nvme_transport_id_trtype_str(trtype));
    shown_name(trtype).map_or(ptr::null(), CStr::as_ptr)
}

/// Reads an address family from its name, in any case: IPv4, IPv6, IB, FC.
///
/// Returns 0, -EINVAL for an argument that is NULL, or -ENOENT for a name that is not known; then nothing is stored.
///
/// # Safety
///
/// adrfam is NULL or can be written. str is NULL or a C string.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn spdk_nvme_transport_id_parse_adrfam(
    adrfam: *mut spdk_nvmf_adrfam,
    str: *const c_char,
) -> c_int {
    pass_on_if_disabled!(spdk_nvme_transport_id_parse_adrfam(adrfam, str));
    guard_plain("spdk_nvme_transport_id_parse_adrfam", -EINVAL, || {
        // SAFETY: the caller gives NULL or a C string, which nobody changes meanwhile.
        match unsafe { c_bytes(str) }.filter(|_| !adrfam.is_null()).map(address_family) {
            Some(Some(family)) => {
                // SAFETY: the caller gives a family that can be written.
                unsafe { adrfam.write(family) };
                0
            }
            Some(None) => -ENOENT,
            None => invalid(format!(
                "spdk_nvme_transport_id_parse_adrfam: the text at {str:p}, for the family at {adrfam:p}"
            )),
        }
    })
}

/// The name of an address family: "IPv4", "IPv6", "IB", "FC"; NULL if it has none.
#[unsafe(no_mangle)]
pub extern "C" fn spdk_nvme_transport_id_adrfam_str(adrfam: spdk_nvmf_adrfam) -> *const c_char {
    pass_on_if_disabled!(spdk_nvme_transport_id_adrfam_str(adrfam));
    family_name(adrfam).map_or(ptr::null(), CStr::as_ptr)
}

/// Sets the type, and the name if the type has one.
///
/// # Safety
/// `trid` can be written.
pub(super) unsafe fn populate(trid: *mut spdk_nvme_transport_id, trtype: TransportType) {
    // SAFETY: the caller vouches for trid.
    unsafe { addr_of_mut!((*trid).trtype).write(trtype) };
    match name(trtype) {
        // SAFETY: as above.
        Some(name) => unsafe { put_text(addr_of_mut!((*trid).trstring), name.as_bytes()) },
        None => tracing::error!("transport type {} has no name", trtype.0),
    }
}

/// The name of a transport type in `trstring`.
pub(super) fn name(trtype: TransportType) -> Option<&'static str> {
    Some(match trtype {
        TransportType::SPDK_NVME_TRANSPORT_FC => "FC",
        TransportType::SPDK_NVME_TRANSPORT_PCIE => "PCIE",
        TransportType::SPDK_NVME_TRANSPORT_RDMA => "RDMA",
        TransportType::SPDK_NVME_TRANSPORT_TCP => "TCP",
        TransportType::SPDK_NVME_TRANSPORT_VFIOUSER => "VFIOUSER",
        TransportType::SPDK_NVME_TRANSPORT_CUSTOM => "CUSTOM",
        _ => return None,
    })
}

/// The name of a transport type as it is shown.
fn shown_name(trtype: TransportType) -> Option<&'static CStr> {
    Some(match trtype {
        TransportType::SPDK_NVME_TRANSPORT_FC => c"FC",
        TransportType::SPDK_NVME_TRANSPORT_PCIE => c"PCIe",
        TransportType::SPDK_NVME_TRANSPORT_RDMA => c"RDMA",
        TransportType::SPDK_NVME_TRANSPORT_TCP => c"TCP",
        TransportType::SPDK_NVME_TRANSPORT_VFIOUSER => c"VFIOUSER",
        TransportType::SPDK_NVME_TRANSPORT_CUSTOM | TransportType::SPDK_NVME_TRANSPORT_CUSTOM_FABRICS => {
            c"CUSTOM"
        }
        _ => return None,
    })
}

fn family_name(family: AddressFamily) -> Option<&'static CStr> {
    Some(match family {
        AddressFamily::SPDK_NVMF_ADRFAM_IPV4 => c"IPv4",
        AddressFamily::SPDK_NVMF_ADRFAM_IPV6 => c"IPv6",
        AddressFamily::SPDK_NVMF_ADRFAM_IB => c"IB",
        AddressFamily::SPDK_NVMF_ADRFAM_FC => c"FC",
        _ => return None,
    })
}

/// Reads a transport id from text. What stands before an error in the text is stored.
///
/// # Safety
/// `trid` can be written.
pub(super) unsafe fn parse_into(trid: *mut spdk_nvme_transport_id, text: &[u8]) -> Result<(), ParseError> {
    Pairs::of(text).try_for_each(|pair| {
        // SAFETY: the caller vouches for trid.
        pair.and_then(|pair| unsafe { store(trid, &pair) })
    })
}

/// Stores one pair.
///
/// # Safety
/// `trid` can be written.
unsafe fn store(trid: *mut spdk_nvme_transport_id, pair: &Pair<'_>) -> Result<(), ParseError> {
    // SAFETY: the caller vouches for trid; what is stored fits, as each length is checked first.
    unsafe {
        if pair.is("trtype") {
            let value = pair.value_within(CText::<33>::MAX)?;
            put_text(addr_of_mut!((*trid).trstring), &value.to_ascii_uppercase());
            addr_of_mut!((*trid).trtype).write(transport_type(value));
        } else if pair.is("adrfam") {
            let family = address_family(pair.value());
            let family = family.ok_or_else(|| ParseError::AddressFamily(shown(pair.value())))?;
            addr_of_mut!((*trid).adrfam).write(family);
        } else if pair.is("traddr") {
            put_text(addr_of_mut!((*trid).traddr), pair.value_within(CText::<257>::MAX)?);
        } else if pair.is("trsvcid") {
            put_text(addr_of_mut!((*trid).trsvcid), pair.value_within(CText::<33>::MAX)?);
        } else if pair.is("subnqn") {
            put_text(addr_of_mut!((*trid).subnqn), pair.value_within(CText::<224>::MAX)?);
        } else if pair.is("priority") {
            addr_of_mut!((*trid).priority).write(priority(pair.value_within(PRIORITY_MAX)?));
        } else if !pair.is_one_of(&OF_OTHERS) {
            tracing::error!("transport id: unknown key '{}'", shown(pair.key));
        }
    }
    Ok(())
}

fn transport_type(value: &[u8]) -> TransportType {
    let is = |name: &str| value.eq_ignore_ascii_case(name.as_bytes());
    match () {
        () if is("PCIe") => TransportType::SPDK_NVME_TRANSPORT_PCIE,
        () if is("RDMA") => TransportType::SPDK_NVME_TRANSPORT_RDMA,
        () if is("FC") => TransportType::SPDK_NVME_TRANSPORT_FC,
        () if is("TCP") => TransportType::SPDK_NVME_TRANSPORT_TCP,
        () if is("VFIOUSER") => TransportType::SPDK_NVME_TRANSPORT_VFIOUSER,
        () => TransportType::SPDK_NVME_TRANSPORT_CUSTOM,
    }
}

fn address_family(value: &[u8]) -> Option<AddressFamily> {
    let is = |name: &str| value.eq_ignore_ascii_case(name.as_bytes());
    match () {
        () if is("IPv4") => Some(AddressFamily::SPDK_NVMF_ADRFAM_IPV4),
        () if is("IPv6") => Some(AddressFamily::SPDK_NVMF_ADRFAM_IPV6),
        () if is("IB") => Some(AddressFamily::SPDK_NVMF_ADRFAM_IB),
        () if is("FC") => Some(AddressFamily::SPDK_NVMF_ADRFAM_FC),
        () => None,
    }
}

/// A priority; what is no number becomes -EINVAL, a negative number -ERANGE, as a program that looks would find.
fn priority(value: &[u8]) -> c_int {
    match std::str::from_utf8(value).ok().and_then(|text| text.parse::<c_int>().ok()) {
        Some(number) if number < 0 => -libc::ERANGE,
        Some(number) => number,
        None => -EINVAL,
    }
}

/// Reads a program's transport id: a copy in which every string ends.
///
/// # Safety
/// `trid` can be read.
pub(super) unsafe fn read(trid: *const spdk_nvme_transport_id) -> spdk_nvme_transport_id {
    // SAFETY: the caller vouches for trid. Members are integers and bytes, for which every value is valid.
    let mut copy = unsafe { trid.read() };
    for string in [&mut copy.trstring[..], &mut copy.traddr, &mut copy.trsvcid, &mut copy.subnqn] {
        if let Some(last) = string.last_mut() {
            *last = 0;
        }
    }
    if copy.trstring.first() == Some(&0)
        && let Some(name) = name(copy.trtype)
    {
        // SAFETY: the copy is this function's.
        unsafe { put_text(addr_of_mut!(copy.trstring), name.as_bytes()) };
    }
    copy
}

/// Whether a transport id is for this library.
///
/// # Safety
/// `trid` can be read, or is NULL.
pub(super) unsafe fn is_rdma(trid: *const spdk_nvme_transport_id) -> bool {
    // SAFETY: the caller vouches for trid.
    !trid.is_null() && unsafe { addr_of!((*trid).trtype).read() } == TransportType::SPDK_NVME_TRANSPORT_RDMA
}

/// What the host takes. None if the address family is none that an RDMA address can be of.
pub(super) fn to_host(trid: &spdk_nvme_transport_id) -> Option<host::TransportId> {
    Some(host::TransportId {
        address_family: match trid.adrfam {
            AddressFamily::SPDK_NVMF_ADRFAM_IPV4 => host::AddressFamily::Ipv4,
            AddressFamily::SPDK_NVMF_ADRFAM_IPV6 => host::AddressFamily::Ipv6,
            _ => return None,
        },
        traddr: text(&trid.traddr),
        trsvcid: text(&trid.trsvcid),
        subnqn: text(&trid.subnqn),
    })
}

/// The transport id of a controller that was found by the discovery controller at `discovery`, from which it takes what
/// a discovery log does not say.
pub(super) fn from_host(
    id: &host::TransportId,
    discovery: &spdk_nvme_transport_id,
) -> spdk_nvme_transport_id {
    let mut trid = *discovery;
    trid.adrfam = match id.address_family {
        host::AddressFamily::Ipv4 => AddressFamily::SPDK_NVMF_ADRFAM_IPV4,
        host::AddressFamily::Ipv6 => AddressFamily::SPDK_NVMF_ADRFAM_IPV6,
    };
    // SAFETY: the transport id is this function's.
    unsafe {
        put_text(addr_of_mut!(trid.traddr), id.traddr.as_bytes());
        put_text(addr_of_mut!(trid.trsvcid), id.trsvcid.as_bytes());
        put_text(addr_of_mut!(trid.subnqn), id.subnqn.as_bytes());
    }
    trid
}

/// A transport id for a log line.
pub(super) fn describe(trid: &spdk_nvme_transport_id) -> String {
    let family = family_name(trid.adrfam).map_or(Cow::Borrowed("none"), CStr::to_string_lossy);
    format!(
        "trtype={} adrfam={family} traddr={} trsvcid={} subnqn={}",
        printable(&text(&trid.trstring)),
        printable(&text(&trid.traddr)),
        printable(&text(&trid.trsvcid)),
        printable(&text(&trid.subnqn))
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::ffi::CString;

    fn parse(str: &str) -> (c_int, spdk_nvme_transport_id) {
        // SAFETY: a transport id of zeros is a valid one.
        let mut trid = unsafe { std::mem::zeroed() };
        let str = CString::new(str).unwrap();
        // SAFETY: both are this function's own.
        let rc = unsafe { spdk_nvme_transport_id_parse(&raw mut trid, str.as_ptr()) };
        (rc, trid)
    }

    #[test]
    fn every_key_is_stored() {
        let (rc, trid) = parse(
            "trtype:rdma adrfam=ipv4\ttraddr:192.0.2.1\ntrsvcid=4420 subnqn:nqn.2016-06.io.spdk:cnode1 priority:12",
        );
        assert_eq!(rc, 0);
        assert_eq!(text(&trid.trstring), "RDMA");
        assert_eq!(trid.trtype, TransportType::SPDK_NVME_TRANSPORT_RDMA);
        assert_eq!(trid.adrfam, AddressFamily::SPDK_NVMF_ADRFAM_IPV4);
        assert_eq!(text(&trid.traddr), "192.0.2.1");
        assert_eq!(text(&trid.trsvcid), "4420");
        assert_eq!(text(&trid.subnqn), "nqn.2016-06.io.spdk:cnode1");
        assert_eq!(trid.priority, 12);
    }

    #[test]
    fn what_is_accepted() {
        for (str, check) in [
            ("", |trid| trid.trtype.0 == 0),
            ("  trtype:RDMA", |trid| trid.trtype == TransportType::SPDK_NVME_TRANSPORT_RDMA),
            ("TRTYPE:PCIe traddr:0000:04:00.0", |trid| text(&trid.traddr) == "0000:04:00.0"),
            ("trtype:pcie", |trid| trid.trtype == TransportType::SPDK_NVME_TRANSPORT_PCIE),
            ("trtype:Tcp", |trid| trid.trtype == TransportType::SPDK_NVME_TRANSPORT_TCP),
            ("trtype:vfiouser", |trid| trid.trtype == TransportType::SPDK_NVME_TRANSPORT_VFIOUSER),
            ("trtype:mine", |trid| {
                trid.trtype == TransportType::SPDK_NVME_TRANSPORT_CUSTOM && text(&trid.trstring) == "MINE"
            }),
            ("adrfam:IPV6 traddr:fe80::1", |trid| text(&trid.traddr) == "fe80::1"),
            ("adrfam:fc", |trid| trid.adrfam == AddressFamily::SPDK_NVMF_ADRFAM_FC),
            ("traddr=a=b:c", |trid| text(&trid.traddr) == "a=b:c"),
            ("ns:1 hostnqn:x hostaddr:1.2.3.4 hostsvcid:1 alt_traddr:2", |trid| trid.traddr[0] == 0),
            ("nonsense:1 trsvcid:2", |trid| text(&trid.trsvcid) == "2"),
            ("priority:-1", |trid| trid.priority == -libc::ERANGE),
            ("priority:x1", |trid| trid.priority == -EINVAL),
            ("traddr:first traddr:second", |trid| text(&trid.traddr) == "second"),
        ] as [(&str, fn(&spdk_nvme_transport_id) -> bool); 15]
        {
            let (rc, trid) = parse(str);
            assert_eq!(rc, 0, "{str}");
            assert!(check(&trid), "{str}");
        }
    }

    #[test]
    fn what_is_refused() {
        for str in [
            "trtype",
            "trtype:",
            "trtype: RDMA",
            "trtype:RDMA ",
            "trtype:RDMA garbage",
            "adrfam:ipx",
            "priority:12345",
            &format!("{}:1", "k".repeat(32)),
            &format!("unknown:{}", "v".repeat(1024)),
            &format!("trtype:{}", "t".repeat(33)),
            &format!("traddr:{}", "a".repeat(257)),
            &format!("trsvcid:{}", "s".repeat(33)),
            &format!("subnqn:{}", "n".repeat(224)),
        ] {
            assert_eq!(parse(str).0, -EINVAL, "{str}");
        }
        // SAFETY: NULL is allowed.
        unsafe {
            assert_eq!(spdk_nvme_transport_id_parse(std::ptr::null_mut(), c"trtype:RDMA".as_ptr()), -EINVAL);
            let mut trid = std::mem::zeroed();
            assert_eq!(spdk_nvme_transport_id_parse(&raw mut trid, std::ptr::null()), -EINVAL);
        }
    }

    #[test]
    fn the_longest_values_fit() {
        let (rc, trid) = parse(&format!(
            "traddr:{} trsvcid:{} subnqn:{} trtype:{}",
            "a".repeat(256),
            "s".repeat(32),
            "n".repeat(223),
            "t".repeat(32)
        ));
        assert_eq!(rc, 0);
        assert_eq!(text(&trid.traddr).len(), 256);
        assert_eq!(text(&trid.trsvcid).len(), 32);
        assert_eq!(text(&trid.subnqn).len(), 223);
        assert_eq!(text(&trid.trstring), "T".repeat(32));
    }

    #[test]
    fn a_type_brings_its_name() {
        // SAFETY: the transport id is this function's own.
        unsafe {
            let mut trid: spdk_nvme_transport_id = std::mem::zeroed();
            spdk_nvme_trid_populate_transport(&raw mut trid, TransportType::SPDK_NVME_TRANSPORT_PCIE);
            assert_eq!((text(&trid.trstring).as_str(), trid.trtype.0), ("PCIE", 256));
            spdk_nvme_trid_populate_transport(&raw mut trid, spdk_nvme_transport_type(77));
            assert_eq!((text(&trid.trstring).as_str(), trid.trtype.0), ("PCIE", 77));
        }
    }

    /// A name, as C reads it.
    fn named(name: *const c_char) -> Option<&'static str> {
        // SAFETY: the names are static C strings.
        (!name.is_null()).then(|| unsafe { CStr::from_ptr(name) }.to_str().unwrap())
    }

    #[test]
    fn transport_types_have_names() {
        for (text, value, shown) in [
            (c"pcie", 256, Some("PCIe")),
            (c"RDMA", 1, Some("RDMA")),
            (c"Fc", 2, Some("FC")),
            (c"tcp", 3, Some("TCP")),
            (c"VfioUser", 1024, Some("VFIOUSER")),
            (c"something else", 4096, Some("CUSTOM")),
            (c"", 4096, Some("CUSTOM")),
        ] {
            let mut trtype = spdk_nvme_transport_type(77);
            // SAFETY: both are this function's own.
            let rc = unsafe { spdk_nvme_transport_id_parse_trtype(&raw mut trtype, text.as_ptr()) };
            assert_eq!((rc, trtype.0), (0, value), "{text:?}");
            assert_eq!(named(spdk_nvme_transport_id_trtype_str(trtype)), shown);
        }
        let fabrics = TransportType::SPDK_NVME_TRANSPORT_CUSTOM_FABRICS;
        assert_eq!(named(spdk_nvme_transport_id_trtype_str(fabrics)), Some("CUSTOM"));
        assert_eq!(named(spdk_nvme_transport_id_trtype_str(spdk_nvme_transport_type(0))), None);
        // SAFETY: NULL is allowed.
        unsafe {
            let mut trtype = spdk_nvme_transport_type(77);
            assert_eq!(spdk_nvme_transport_id_parse_trtype(&raw mut trtype, ptr::null()), -EINVAL);
            assert_eq!(spdk_nvme_transport_id_parse_trtype(ptr::null_mut(), c"RDMA".as_ptr()), -EINVAL);
            assert_eq!(trtype.0, 77);
        }
    }

    #[test]
    fn address_families_have_names() {
        for (text, rc, value, shown) in [
            (c"ipv4", 0, 1, Some("IPv4")),
            (c"IPV6", 0, 2, Some("IPv6")),
            (c"ib", 0, 3, Some("IB")),
            (c"fc", 0, 4, Some("FC")),
            (c"ipx", -ENOENT, 77, None),
            (c"", -ENOENT, 77, None),
        ] {
            let mut adrfam = spdk_nvmf_adrfam(77);
            // SAFETY: both are this function's own.
            let found = unsafe { spdk_nvme_transport_id_parse_adrfam(&raw mut adrfam, text.as_ptr()) };
            assert_eq!((found, adrfam.0), (rc, value), "{text:?}");
            assert_eq!(named(spdk_nvme_transport_id_adrfam_str(adrfam)), shown);
        }
        // SAFETY: NULL is allowed.
        unsafe {
            let mut adrfam = spdk_nvmf_adrfam(0);
            assert_eq!(spdk_nvme_transport_id_parse_adrfam(&raw mut adrfam, ptr::null()), -EINVAL);
            assert_eq!(spdk_nvme_transport_id_parse_adrfam(ptr::null_mut(), c"ib".as_ptr()), -EINVAL);
        }
    }

    #[test]
    fn a_name_is_stored_without_its_type() {
        let mut trid = parse("trtype:PCIe").1;
        let mut populate = |name: &str| {
            let name = CString::new(name).unwrap();
            // SAFETY: both are this function's own.
            let rc = unsafe { spdk_nvme_transport_id_populate_trstring(&raw mut trid, name.as_ptr()) };
            (rc, text(&trid.trstring), trid.trtype.0)
        };
        assert_eq!(populate("rdma"), (0, String::from("RDMA"), 256));
        assert_eq!(populate(&"n".repeat(32)), (0, "N".repeat(32), 256));
        assert_eq!(populate(&"x".repeat(33)), (-EINVAL, "N".repeat(32), 256));
        assert_eq!(populate(""), (0, String::new(), 256));
        // SAFETY: NULL is allowed.
        unsafe {
            assert_eq!(spdk_nvme_transport_id_populate_trstring(&raw mut trid, ptr::null()), -EINVAL);
            assert_eq!(spdk_nvme_transport_id_populate_trstring(ptr::null_mut(), c"RDMA".as_ptr()), -EINVAL);
        }
    }

    #[test]
    fn a_description_is_one_line() {
        let (_, trid) = parse("trtype:RDMA traddr:a\u{1b}[2Jb\rc subnqn:x\u{7}y");
        assert!(!describe(&trid).chars().any(char::is_control), "{}", describe(&trid));
    }
}

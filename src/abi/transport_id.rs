//! Transport ids: from text, from a transport type, and to what the host takes.

use super::{
    entry::guard_plain,
    text::{CText, put_text, text},
    types::{spdk_nvme_transport_id, spdk_nvme_transport_type, spdk_nvmf_adrfam},
};
use crate::host;
use libc::{EINVAL, c_char, c_int};
use spec::printable;
use std::ptr::{addr_of, addr_of_mut};

type TransportType = spdk_nvme_transport_type;
type AddressFamily = spdk_nvmf_adrfam;

/// Longest key and value in the text form, one less than what SPDK has room for.
const KEY_MAX: usize = 31;
const VALUE_MAX: usize = 1023;
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
    guard_plain("spdk_nvme_transport_id_parse", -EINVAL, || {
        if trid.is_null() || str.is_null() {
            return -EINVAL;
        }
        // SAFETY: the caller gives a C string, which nobody changes meanwhile.
        let mut rest = unsafe { std::ffi::CStr::from_ptr(str) }.to_bytes();
        while !rest.is_empty() {
            let stored = next_pair(&mut rest).and_then(|(key, value)| {
                // SAFETY: the caller gives a transport id that can be written.
                unsafe { store(trid, key, value) }
            });
            if let Err(error) = stored {
                tracing::error!("transport id: {error}");
                return -EINVAL;
            }
        }
        0
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
    guard_plain("spdk_nvme_trid_populate_transport", (), || {
        if trid.is_null() {
            tracing::error!("spdk_nvme_trid_populate_transport: transport id is NULL");
            return;
        }
        // SAFETY: the caller gives a transport id that can be written.
        unsafe { addr_of_mut!((*trid).trtype).write(trtype) };
        match name(trtype) {
            // SAFETY: as above.
            Some(name) => unsafe { put_text(addr_of_mut!((*trid).trstring), name.as_bytes()) },
            None => tracing::error!("transport type {} has no name", trtype.0),
        }
    });
}

/// The name of a transport type in `trstring`.
fn name(trtype: TransportType) -> Option<&'static str> {
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

/// Why a text is no transport id.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
enum ParseError {
    #[error("'{0}' has neither ':' nor '='")]
    NoSeparator(String),
    #[error("key of {0} bytes, {KEY_MAX} at most")]
    KeyLength(usize),
    #[error("key '{0}' has no value")]
    NoValue(String),
    #[error("{key} of {length} bytes, {max} at most")]
    ValueLength { key: String, length: usize, max: usize },
    #[error("unknown adrfam '{0}'")]
    AddressFamily(String),
}

/// Takes the next pair off the text. Blanks before it are skipped; blanks at the very end are an error, as they look
/// like a pair that is not there.
fn next_pair<'a>(rest: &mut &'a [u8]) -> Result<(&'a [u8], &'a [u8]), ParseError> {
    let text = rest.trim_ascii_start_of(is_blank);
    let Some(separator) = text.iter().position(|byte| matches!(byte, b':' | b'=')) else {
        return Err(ParseError::NoSeparator(lossy(text)));
    };
    let (key, value) = text.split_at(separator);
    let value = value.get(1..).unwrap_or_default();
    if key.len() > KEY_MAX {
        return Err(ParseError::KeyLength(key.len()));
    }
    let length = value.iter().position(|&byte| is_blank(byte)).unwrap_or(value.len());
    let (value, after) = value.split_at(length);
    if value.is_empty() {
        return Err(ParseError::NoValue(lossy(key)));
    }
    check_length(key, value, VALUE_MAX)?;
    *rest = after;
    Ok((key, value))
}

/// Stores one pair.
///
/// # Safety
/// `trid` can be written.
unsafe fn store(trid: *mut spdk_nvme_transport_id, key: &[u8], value: &[u8]) -> Result<(), ParseError> {
    let is = |name: &str| key.eq_ignore_ascii_case(name.as_bytes());
    // SAFETY: the caller vouches for trid; what is stored fits, as each length is checked first.
    unsafe {
        if is("trtype") {
            check_length(key, value, CText::<33>::MAX)?;
            put_text(addr_of_mut!((*trid).trstring), &value.to_ascii_uppercase());
            addr_of_mut!((*trid).trtype).write(transport_type(value));
        } else if is("adrfam") {
            addr_of_mut!((*trid).adrfam).write(address_family(value)?);
        } else if is("traddr") {
            check_length(key, value, CText::<257>::MAX)?;
            put_text(addr_of_mut!((*trid).traddr), value);
        } else if is("trsvcid") {
            check_length(key, value, CText::<33>::MAX)?;
            put_text(addr_of_mut!((*trid).trsvcid), value);
        } else if is("subnqn") {
            check_length(key, value, CText::<224>::MAX)?;
            put_text(addr_of_mut!((*trid).subnqn), value);
        } else if is("priority") {
            check_length(key, value, PRIORITY_MAX)?;
            addr_of_mut!((*trid).priority).write(priority(value));
        } else if !["hostaddr", "hostsvcid", "hostnqn", "ns", "alt_traddr"].into_iter().any(is) {
            tracing::error!("transport id: unknown key '{}'", lossy(key));
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

fn address_family(value: &[u8]) -> Result<AddressFamily, ParseError> {
    let is = |name: &str| value.eq_ignore_ascii_case(name.as_bytes());
    match () {
        () if is("IPv4") => Ok(AddressFamily::SPDK_NVMF_ADRFAM_IPV4),
        () if is("IPv6") => Ok(AddressFamily::SPDK_NVMF_ADRFAM_IPV6),
        () if is("IB") => Ok(AddressFamily::SPDK_NVMF_ADRFAM_IB),
        () if is("FC") => Ok(AddressFamily::SPDK_NVMF_ADRFAM_FC),
        () => Err(ParseError::AddressFamily(lossy(value))),
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

fn check_length(key: &[u8], value: &[u8], max: usize) -> Result<(), ParseError> {
    if value.len() > max {
        return Err(ParseError::ValueLength { key: lossy(key), length: value.len(), max });
    }
    Ok(())
}

fn is_blank(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\n')
}

fn lossy(bytes: &[u8]) -> String {
    printable(&String::from_utf8_lossy(bytes)).to_string()
}

trait TrimStart {
    fn trim_ascii_start_of(&self, blank: fn(u8) -> bool) -> &Self;
}

impl TrimStart for [u8] {
    fn trim_ascii_start_of(&self, blank: fn(u8) -> bool) -> &Self {
        let start = self.iter().position(|&byte| !blank(byte)).unwrap_or(self.len());
        self.get(start..).unwrap_or_default()
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
    let family = match trid.adrfam {
        AddressFamily::SPDK_NVMF_ADRFAM_IPV4 => "IPv4",
        AddressFamily::SPDK_NVMF_ADRFAM_IPV6 => "IPv6",
        AddressFamily::SPDK_NVMF_ADRFAM_IB => "IB",
        AddressFamily::SPDK_NVMF_ADRFAM_FC => "FC",
        _ => "none",
    };
    format!(
        "trtype={} adrfam={family} traddr={} trsvcid={} subnqn={}",
        printable(&text(&trid.trstring)),
        printable(&text(&trid.traddr)),
        printable(&text(&trid.trsvcid)),
        printable(&text(&trid.subnqn))
    )
}

/// Whether two transport ids are of the same controller's address.
pub(super) fn is_same(one: &spdk_nvme_transport_id, other: &spdk_nvme_transport_id) -> bool {
    one.trtype == other.trtype
        && one.adrfam == other.adrfam
        && host::is_same_address(&text(&one.traddr), &text(&other.traddr))
        && text(&one.trsvcid).eq_ignore_ascii_case(&text(&other.trsvcid))
        && text(&one.subnqn) == text(&other.subnqn)
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

    #[test]
    fn the_same_address_in_another_form_is_the_same_controller() {
        let one = parse("trtype:RDMA adrfam:IPv6 traddr:fe80::1 trsvcid:4420 subnqn:a").1;
        let other = parse("trtype:RDMA adrfam:IPv6 traddr:FE80:0::0:1 trsvcid:4420 subnqn:a").1;
        assert!(is_same(&one, &other));
        let other = parse("trtype:RDMA adrfam:IPv6 traddr:fe80::1 trsvcid:4420 subnqn:A").1;
        assert!(!is_same(&one, &other));
    }

    #[test]
    fn a_zone_is_part_of_an_address() {
        let zoned =
            |traddr: &str| parse(&format!("trtype:RDMA adrfam:IPv6 traddr:{traddr} trsvcid:4420 subnqn:a"));
        let (rc, one) = zoned("fe80::1%lo");
        assert_eq!((rc, text(&one.traddr).as_str()), (0, "fe80::1%lo"));
        let number = format!("[FE80::1%{}]", verbs::interface_index("lo").unwrap());
        assert!(is_same(&one, &zoned(&number).1), "the same interface by its number");
        assert!(!is_same(&one, &zoned("fe80::1").1));
        assert!(!is_same(&one, &zoned("fe80::1%no-such").1));
    }

    #[test]
    fn a_description_is_one_line() {
        let (_, trid) = parse("trtype:RDMA traddr:a\u{1b}[2Jb\rc subnqn:x\u{7}y");
        assert!(!describe(&trid).chars().any(char::is_control), "{}", describe(&trid));
    }
}

//! What example programs and tools keep of each `-r`: a transport id, and what stands beside it in the same text.

use super::{
    entry::{guard_plain, next},
    error::invalid,
    pairs::{Pair, Pairs, ParseError, answer, shown},
    text::{CText, c_bytes, put_text},
    transport_id::{parse_into, populate},
    types::{spdk_nvme_transport_id, spdk_nvme_transport_type as TransportType, spdk_nvme_trid_entry},
};
use libc::{EINVAL, c_char, c_int};
use spec::fabrics::DISCOVERY_NQN;
use std::ptr::{addr_of, addr_of_mut};

/// Most digits of a namespace's identifier.
const NSID_MAX: usize = 5;

/// Reads a transport id and what goes with it from text.
///
/// The text is that of a transport id; without trtype it is PCIe, and without subnqn the discovery subsystem. More keys, of
/// which the first counts if there are several: ns, from 1 to 65535, without which nsid stays as it is; hostnqn; hostaddr,
/// for fabrics alone; alt_traddr, the address of failover_trid, which is a copy of trid otherwise.
///
/// Returns 0, or -EINVAL for an argument that is NULL, a text that is no transport id, or a value that is too long or not
/// allowed. What was read before the error may have been stored then.
///
/// The struct does not carry its size, and was shorter before SPDK v26.05. So where this symbol has another definition in
/// the process, that one does it: it knows what the program was compiled with. Else the layout is that of these headers.
///
/// # Safety
///
/// trid_entry is NULL or points to an entry that can be read and written. str is NULL or a C string.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn spdk_nvme_trid_entry_parse(
    trid_entry: *mut spdk_nvme_trid_entry,
    str: *const c_char,
) -> c_int {
    if let Some(answer) = next!(spdk_nvme_trid_entry_parse(trid_entry, str)) {
        return answer;
    }
    guard_plain("spdk_nvme_trid_entry_parse", -EINVAL, || {
        // SAFETY: the caller gives NULL or a C string, which nobody changes meanwhile.
        let Some(text) = (unsafe { c_bytes(str) }).filter(|_| !trid_entry.is_null()) else {
            return invalid(format!(
                "spdk_nvme_trid_entry_parse: the text at {str:p}, for the entry at {trid_entry:p}"
            ));
        };
        // SAFETY: the caller gives an entry that can be read and written.
        answer("transport id", unsafe { read_entry(trid_entry, text) })
    })
}

/// Reads an entry from text.
///
/// # Safety
/// `entry` can be read and written.
unsafe fn read_entry(entry: *mut spdk_nvme_trid_entry, text: &[u8]) -> Result<(), ParseError> {
    // SAFETY: the caller vouches for the entry, and so for each of its members.
    unsafe {
        let trid = addr_of_mut!((*entry).trid);
        populate(trid, TransportType::SPDK_NVME_TRANSPORT_PCIE);
        put_text(addr_of_mut!((*trid).subnqn), DISCOVERY_NQN.as_bytes());
        parse_into(trid, text)?;
        let beside = Beside::read(text, is_fabrics(addr_of!((*trid).trtype).read()))?;
        if let Some(nsid) = beside.nsid {
            addr_of_mut!((*entry).nsid).write(nsid);
        }
        put_text(addr_of_mut!((*entry).hostnqn), beside.hostnqn);
        put_text(addr_of_mut!((*entry).hostaddr), beside.hostaddr);
        let mut failover: spdk_nvme_transport_id = trid.read();
        if let Some(traddr) = beside.alt_traddr {
            put_text(&raw mut failover.traddr, traddr);
        }
        addr_of_mut!((*entry).failover_trid).write(failover);
    }
    Ok(())
}

/// What stands beside a transport id.
#[derive(Debug, PartialEq, Eq)]
struct Beside<'a> {
    nsid: Option<u16>,
    hostnqn: &'a [u8],
    hostaddr: &'a [u8],
    alt_traddr: Option<&'a [u8]>,
}

impl<'a> Beside<'a> {
    fn read(text: &'a [u8], is_fabrics: bool) -> Result<Self, ParseError> {
        let pairs = Pairs::of(text).collect::<Result<Vec<Pair<'a>>, _>>()?;
        let find = |key: &str| pairs.iter().find(|pair| pair.is(key));
        let within = |key: &str, max: usize| find(key).map(|pair| pair.value_within(max)).transpose();
        if find("hostaddr").is_some() && !is_fabrics {
            return Err(ParseError::NotFabrics);
        }
        Ok(Self {
            nsid: find("ns").map(nsid).transpose()?,
            hostnqn: within("hostnqn", CText::<224>::MAX)?.unwrap_or_default(),
            hostaddr: within("hostaddr", CText::<257>::MAX)?.unwrap_or_default(),
            alt_traddr: within("alt_traddr", CText::<257>::MAX)?,
        })
    }
}

fn nsid(pair: &Pair<'_>) -> Result<u16, ParseError> {
    let value = pair.value_within(NSID_MAX)?;
    let number = std::str::from_utf8(value).ok().and_then(|text| text.parse().ok());
    number.filter(|nsid| *nsid != 0).ok_or_else(|| ParseError::Namespace(shown(value)))
}

/// As spdk_nvme_trtype_is_fabrics() of the headers.
fn is_fabrics(trtype: TransportType) -> bool {
    trtype == TransportType::SPDK_NVME_TRANSPORT_CUSTOM_FABRICS || trtype.0 <= 255
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::abi::text::text;
    use std::{ffi::CString, ptr};

    /// Of an entry of bytes that are not zero, but for the transport id.
    fn parse(str: &str) -> (c_int, spdk_nvme_trid_entry) {
        // SAFETY: an entry of zeros is a valid one, and so is one of other numbers.
        let mut entry: spdk_nvme_trid_entry = unsafe { std::mem::zeroed() };
        entry.nsid = 77;
        entry.hostnqn[0] = b'x'.cast_signed();
        entry.hostaddr[0] = b'x'.cast_signed();
        entry.failover_trid.traddr[0] = b'x'.cast_signed();
        let str = CString::new(str).unwrap();
        // SAFETY: both are this function's own.
        let rc = unsafe { spdk_nvme_trid_entry_parse(&raw mut entry, str.as_ptr()) };
        (rc, entry)
    }

    #[test]
    fn everything_is_stored() {
        let (rc, entry) = parse(
            "trtype:RDMA adrfam:IPv4 traddr:192.0.2.1 trsvcid:4420 subnqn:nqn.a ns:65535 hostnqn:nqn.host \
             HOSTADDR=192.0.2.9 alt_traddr:192.0.2.2",
        );
        assert_eq!(rc, 0);
        assert_eq!(entry.trid.trtype, TransportType::SPDK_NVME_TRANSPORT_RDMA);
        assert_eq!(
            (text(&entry.trid.traddr), text(&entry.trid.subnqn)),
            ("192.0.2.1".into(), "nqn.a".into())
        );
        assert_eq!(entry.nsid, 65535);
        assert_eq!((text(&entry.hostnqn), text(&entry.hostaddr)), ("nqn.host".into(), "192.0.2.9".into()));
        assert_eq!(text(&entry.failover_trid.traddr), "192.0.2.2");
        assert_eq!(text(&entry.failover_trid.trsvcid), "4420");
        assert_eq!(entry.failover_trid.trtype, TransportType::SPDK_NVME_TRANSPORT_RDMA);
    }

    #[test]
    fn what_is_not_named_has_a_default() {
        let (rc, entry) = parse("traddr:0000:04:00.0");
        assert_eq!(rc, 0);
        assert_eq!(entry.trid.trtype, TransportType::SPDK_NVME_TRANSPORT_PCIE);
        assert_eq!(
            (text(&entry.trid.trstring), text(&entry.trid.subnqn)),
            ("PCIE".into(), DISCOVERY_NQN.into())
        );
        assert_eq!(entry.nsid, 77, "as it was");
        assert_eq!((text(&entry.hostnqn), text(&entry.hostaddr)), (String::new(), String::new()));
        assert_eq!(text(&entry.failover_trid.traddr), "0000:04:00.0", "a copy");
        assert_eq!(parse("").0, 0);
    }

    #[test]
    fn keys_are_whole_words() {
        let (rc, entry) = parse("trtype:RDMA subnqn:nqn.2016-06.io:ns:5");
        assert_eq!((rc, entry.nsid), (0, 77), "the end of an NQN is no ns");
        let (rc, entry) = parse("trtype:RDMA subnqn:ns:0 ns=3 other:hostnqn:z");
        assert_eq!((rc, entry.nsid, text(&entry.hostnqn)), (0, 3, String::new()));
        assert_eq!(parse("trtype:RDMA ns:1 ns:2").1.nsid, 1);
    }

    #[test]
    fn what_is_refused() {
        for str in [
            "trtype",
            "traddr:a ",
            "adrfam:ipx",
            "ns:0",
            "ns:65536",
            "ns:000001",
            "ns:x",
            "ns:-1",
            "ns:",
            "trtype:PCIe hostaddr:192.0.2.9",
            "hostaddr:192.0.2.9",
            "trtype:mine hostaddr:192.0.2.9",
            &format!("trtype:RDMA hostaddr:{}", "a".repeat(257)),
            &format!("hostnqn:{}", "n".repeat(224)),
            &format!("alt_traddr:{}", "a".repeat(257)),
        ] {
            assert_eq!(parse(str).0, -EINVAL, "{str}");
        }
        let (rc, entry) = parse(&format!("hostnqn:{} alt_traddr:{}", "n".repeat(223), "a".repeat(256)));
        assert_eq!((rc, text(&entry.hostnqn).len(), text(&entry.failover_trid.traddr).len()), (0, 223, 256));
        // SAFETY: NULL is allowed.
        unsafe {
            let mut entry = std::mem::zeroed();
            assert_eq!(spdk_nvme_trid_entry_parse(&raw mut entry, ptr::null()), -EINVAL);
            assert_eq!(spdk_nvme_trid_entry_parse(ptr::null_mut(), c"traddr:a".as_ptr()), -EINVAL);
        }
    }
}

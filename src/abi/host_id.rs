//! Host ids from text.

use super::{
    entry::{guard_plain, pass_on_if_disabled},
    error::invalid,
    pairs::{Pair, Pairs, ParseError, answer, shown},
    text::{CText, c_bytes, put_text},
    types::spdk_nvme_host_id,
};
use libc::{EINVAL, c_char, c_int};
use std::ptr::addr_of_mut;

/// The keys of a transport id, which may stand in the same text.
const OF_TRANSPORT_IDS: [&str; 7] = ["trtype", "adrfam", "traddr", "trsvcid", "subnqn", "priority", "ns"];

/// Reads where the host's end of connections is from text, such as "hostaddr:192.0.2.2 hostsvcid:4420".
///
/// The text is as that of spdk_nvme_transport_id_parse(), whose keys are skipped, so that one text may hold both. Keys:
/// hostaddr, hostsvcid. Members that no key names stay as they are. Any other key is named in a log line and left out.
///
/// Returns 0, or -EINVAL for an argument that is NULL, a pair without separator or value, or a value that is too long.
///
/// # Safety
///
/// hostid is NULL or points to a host id that can be written. str is NULL or a C string.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn spdk_nvme_host_id_parse(
    hostid: *mut spdk_nvme_host_id,
    str: *const c_char,
) -> c_int {
    pass_on_if_disabled!(spdk_nvme_host_id_parse(hostid, str));
    guard_plain("spdk_nvme_host_id_parse", -EINVAL, || {
        // SAFETY: the caller gives NULL or a C string, which nobody changes meanwhile.
        let Some(text) = (unsafe { c_bytes(str) }).filter(|_| !hostid.is_null()) else {
            return invalid(format!(
                "spdk_nvme_host_id_parse: the text at {str:p}, for the host id at {hostid:p}"
            ));
        };
        answer(
            "host id",
            Pairs::of(text).try_for_each(|pair| {
                // SAFETY: the caller gives a host id that can be written.
                pair.and_then(|pair| unsafe { store(hostid, &pair) })
            }),
        )
    })
}

/// Stores one pair.
///
/// # Safety
/// `hostid` can be written.
unsafe fn store(hostid: *mut spdk_nvme_host_id, pair: &Pair<'_>) -> Result<(), ParseError> {
    if pair.is("hostaddr") {
        let value = pair.value_within(CText::<257>::MAX)?;
        // SAFETY: the caller vouches for hostid.
        unsafe { put_text(addr_of_mut!((*hostid).hostaddr), value) };
    } else if pair.is("hostsvcid") {
        let value = pair.value_within(CText::<33>::MAX)?;
        // SAFETY: as above.
        unsafe { put_text(addr_of_mut!((*hostid).hostsvcid), value) };
    } else if !pair.is_one_of(&OF_TRANSPORT_IDS) {
        tracing::error!("host id: unknown key '{}'", shown(pair.key));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::abi::text::text;
    use std::{ffi::CString, ptr};

    fn parse(str: &str) -> (c_int, String, String) {
        // SAFETY: a host id of zeros is a valid one.
        let mut hostid: spdk_nvme_host_id = unsafe { std::mem::zeroed() };
        hostid.hostaddr[0] = b'x'.cast_signed();
        hostid.hostsvcid[0] = b'y'.cast_signed();
        let str = CString::new(str).unwrap();
        // SAFETY: both are this function's own.
        let rc = unsafe { spdk_nvme_host_id_parse(&raw mut hostid, str.as_ptr()) };
        (rc, text(&hostid.hostaddr), text(&hostid.hostsvcid))
    }

    fn read(rc: c_int, hostaddr: &str, hostsvcid: &str) -> (c_int, String, String) {
        (rc, hostaddr.to_owned(), hostsvcid.to_owned())
    }

    #[test]
    fn its_keys_are_taken_and_those_of_transport_ids_skipped() {
        assert_eq!(parse("hostaddr:192.0.2.2 hostsvcid:4420"), read(0, "192.0.2.2", "4420"));
        assert_eq!(parse("HostSvcId=1"), read(0, "x", "1"));
        assert_eq!(parse(""), read(0, "x", "y"));
        let both = "trtype:RDMA adrfam:IPv4 traddr:a trsvcid:b subnqn:c priority:1 ns:2 hostaddr:d";
        assert_eq!(parse(both), read(0, "d", "y"));
        assert_eq!(parse("hostnqn:a alt_traddr:b other:c hostaddr:d"), read(0, "d", "y"), "named in the log");
        assert_eq!(parse("hostaddr:a hostaddr:b"), read(0, "b", "y"));
        let long = ("a".repeat(256), "b".repeat(32));
        assert_eq!(parse(&format!("hostaddr:{} hostsvcid:{}", long.0, long.1)), read(0, &long.0, &long.1));
    }

    #[test]
    fn what_is_refused() {
        for str in ["hostaddr", "hostaddr:", "hostaddr:a ", "hostaddr:a b"] {
            assert_eq!(parse(str).0, -EINVAL, "{str}");
        }
        assert_eq!(parse(&format!("hostaddr:{}", "a".repeat(257))).0, -EINVAL);
        assert_eq!(parse(&format!("hostsvcid:{}", "a".repeat(33))).0, -EINVAL);
        // SAFETY: NULL is allowed.
        unsafe {
            let mut hostid = std::mem::zeroed();
            assert_eq!(spdk_nvme_host_id_parse(&raw mut hostid, ptr::null()), -EINVAL);
            assert_eq!(spdk_nvme_host_id_parse(ptr::null_mut(), c"hostaddr:a".as_ptr()), -EINVAL);
        }
    }
}

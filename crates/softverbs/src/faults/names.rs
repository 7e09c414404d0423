//! Names in commands and what they stand for. A number is taken wherever a name is.

/// errno by name.
const ERRNOS: &[(&str, i32)] = &[
    ("EPERM", libc::EPERM),
    ("ENOENT", libc::ENOENT),
    ("EINTR", libc::EINTR),
    ("EIO", libc::EIO),
    ("ENXIO", libc::ENXIO),
    ("EBADF", libc::EBADF),
    ("EAGAIN", libc::EAGAIN),
    ("ENOMEM", libc::ENOMEM),
    ("EACCES", libc::EACCES),
    ("EFAULT", libc::EFAULT),
    ("EBUSY", libc::EBUSY),
    ("EEXIST", libc::EEXIST),
    ("ENODEV", libc::ENODEV),
    ("EINVAL", libc::EINVAL),
    ("ENFILE", libc::ENFILE),
    ("EMFILE", libc::EMFILE),
    ("ENOSPC", libc::ENOSPC),
    ("EPIPE", libc::EPIPE),
    ("ENOSYS", libc::ENOSYS),
    ("ENODATA", libc::ENODATA),
    ("EPROTO", libc::EPROTO),
    ("EOVERFLOW", libc::EOVERFLOW),
    ("EOPNOTSUPP", libc::EOPNOTSUPP),
    ("ENOTSUP", libc::ENOTSUP),
    ("EADDRINUSE", libc::EADDRINUSE),
    ("EADDRNOTAVAIL", libc::EADDRNOTAVAIL),
    ("ENETDOWN", libc::ENETDOWN),
    ("ENETUNREACH", libc::ENETUNREACH),
    ("ECONNABORTED", libc::ECONNABORTED),
    ("ECONNRESET", libc::ECONNRESET),
    ("ENOBUFS", libc::ENOBUFS),
    ("ENOTCONN", libc::ENOTCONN),
    ("ETIMEDOUT", libc::ETIMEDOUT),
    ("ECONNREFUSED", libc::ECONNREFUSED),
    ("EHOSTUNREACH", libc::EHOSTUNREACH),
];

/// `enum ibv_wc_status` without its prefix.
const STATUSES: &[&str] = &[
    "SUCCESS",
    "LOC_LEN_ERR",
    "LOC_QP_OP_ERR",
    "LOC_EEC_OP_ERR",
    "LOC_PROT_ERR",
    "WR_FLUSH_ERR",
    "MW_BIND_ERR",
    "BAD_RESP_ERR",
    "LOC_ACCESS_ERR",
    "REM_INV_REQ_ERR",
    "REM_ACCESS_ERR",
    "REM_OP_ERR",
    "RETRY_EXC_ERR",
    "RNR_RETRY_EXC_ERR",
    "LOC_RDD_VIOL_ERR",
    "REM_INV_RD_REQ_ERR",
    "REM_ABORT_ERR",
    "INV_EECN_ERR",
    "INV_EEC_STATE_ERR",
    "FATAL_ERR",
    "RESP_TIMEOUT_ERR",
    "GENERAL_ERR",
];

/// `enum rdma_cm_event_type` without its prefix.
pub const CM_EVENTS: &[&str] = &[
    "ADDR_RESOLVED",
    "ADDR_ERROR",
    "ROUTE_RESOLVED",
    "ROUTE_ERROR",
    "CONNECT_REQUEST",
    "CONNECT_RESPONSE",
    "CONNECT_ERROR",
    "UNREACHABLE",
    "REJECTED",
    "ESTABLISHED",
    "DISCONNECTED",
    "DEVICE_REMOVAL",
    "MULTICAST_JOIN",
    "MULTICAST_ERROR",
    "ADDR_CHANGE",
    "TIMEWAIT_EXIT",
];

/// `enum ibv_event_type` without its prefix.
pub const ASYNC_EVENTS: &[&str] = &[
    "CQ_ERR",
    "QP_FATAL",
    "QP_REQ_ERR",
    "QP_ACCESS_ERR",
    "COMM_EST",
    "SQ_DRAINED",
    "PATH_MIG",
    "PATH_MIG_ERR",
    "DEVICE_FATAL",
    "PORT_ACTIVE",
    "PORT_ERR",
    "LID_CHANGE",
    "PKEY_CHANGE",
    "SM_CHANGE",
    "SRQ_ERR",
    "SRQ_LIMIT_REACHED",
    "QP_LAST_WQE_REACHED",
    "CLIENT_REREGISTER",
    "GID_CHANGE",
];

/// Reject reasons (InfiniBand specification, REJ reasons) that have a use here.
const REASONS: &[(&str, u16)] = &[
    ("no_qp", 1),
    ("no_resources", 3),
    ("timeout", 4),
    ("invalid_service", 8),
    ("stale", 10),
    ("consumer", 28),
    ("vendor", 35),
];

/// A number, decimal or with `0x`.
pub fn number(text: &str) -> Result<u64, String> {
    let (digits, radix) = text.strip_prefix("0x").map_or((text, 10), |hex| (hex, 16));
    let unsigned = !digits.starts_with('+');
    let parsed = u64::from_str_radix(digits, radix).ok().filter(|_| unsigned);
    parsed.ok_or_else(|| format!("'{text}' is no number"))
}

/// As [`number`], in 32 bits.
pub fn number32(text: &str) -> Result<u32, String> {
    u32::try_from(number(text)?).map_err(|_| format!("'{text}' is too large"))
}

fn index_in(table: &[&str], text: &str, prefix: &str) -> Option<u32> {
    let short = text.strip_prefix(prefix).unwrap_or(text);
    table.iter().position(|n| *n == short).map(|i| i as u32)
}

/// An errno.
pub fn errno(text: &str) -> Result<i32, String> {
    if let Some((_, value)) = ERRNOS.iter().find(|(n, _)| *n == text) {
        return Ok(*value);
    }
    match text.parse::<i32>() {
        Ok(value) if (1..4096).contains(&value) => Ok(value),
        _ => Err(format!("'{text}' is no errno")),
    }
}

/// An errno in words of a log line.
pub fn errno_name(value: i32) -> String {
    ERRNOS.iter().find(|(_, v)| *v == value).map_or_else(|| value.to_string(), |(n, _)| (*n).to_string())
}

/// A work completion status.
pub fn status(text: &str) -> Result<u32, String> {
    match index_in(STATUSES, text, "IBV_WC_") {
        Some(status) => Ok(status),
        None => number32(text).map_err(|_| format!("'{text}' is no work completion status")),
    }
}

/// An event of the connection manager.
pub fn cm_event(text: &str) -> Result<u32, String> {
    index_in(CM_EVENTS, text, "RDMA_CM_EVENT_").ok_or_else(|| format!("'{text}' is no event of rdma_cm"))
}

/// Its name.
pub fn cm_event_name(kind: u32) -> &'static str {
    CM_EVENTS.get(kind as usize).copied().unwrap_or("?")
}

/// An asynchronous event.
pub fn async_event(text: &str) -> Result<u32, String> {
    index_in(ASYNC_EVENTS, text, "IBV_EVENT_").ok_or_else(|| format!("'{text}' is no asynchronous event"))
}

/// A reject reason.
pub fn reason(text: &str) -> Result<u16, String> {
    if let Some((_, value)) = REASONS.iter().find(|(n, _)| *n == text) {
        return Ok(*value);
    }
    text.parse::<u16>().map_err(|_| format!("'{text}' is no reject reason"))
}

/// An event's status: `-ETIMEDOUT`, `-110`, `10`, or a reject reason by name.
pub fn event_status(text: &str) -> Result<i32, String> {
    if let Some(name) = text.strip_prefix('-') {
        return errno(name).map(|e| -e);
    }
    match text.parse::<i32>() {
        Ok(value) => Ok(value),
        Err(_) => reason(text).map(i32::from).map_err(|_| format!("'{text}' is no status of an event")),
    }
}

/// Bytes in hexadecimal, two digits each.
pub fn bytes(text: &str) -> Result<Vec<u8>, String> {
    let wrong = || format!("'{text}' are no bytes: two hexadecimal digits each");
    if text.is_empty() || !text.len().is_multiple_of(2) || !text.bytes().all(|b| b.is_ascii_hexdigit()) {
        return Err(wrong());
    }
    (0..text.len())
        .step_by(2)
        .map(|i| text.get(i..i + 2).and_then(|d| u8::from_str_radix(d, 16).ok()).ok_or_else(wrong))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_numbers() {
        assert_eq!(errno("ENOMEM"), Ok(libc::ENOMEM));
        assert_eq!(errno("12"), Ok(12));
        assert!(errno("0").is_err() && errno("ENOWHERE").is_err());
        assert_eq!(status("RNR_RETRY_EXC_ERR"), Ok(13));
        assert_eq!(status("IBV_WC_GENERAL_ERR"), Ok(21));
        assert_eq!(cm_event("TIMEWAIT_EXIT"), Ok(15));
        assert_eq!(async_event("GID_CHANGE"), Ok(18));
        assert_eq!(event_status("-ETIMEDOUT"), Ok(-110));
        assert_eq!(event_status("stale"), Ok(10));
        assert_eq!(bytes("00ff7a"), Ok(vec![0, 255, 0x7a]));
        for wrong in ["", "0", "zz", "é", "+f"] {
            assert!(bytes(wrong).is_err(), "{wrong}");
        }
        assert_eq!(number("0x10"), Ok(16));
        for wrong in ["", "+1", "0x+1", "-1", "0x", "18446744073709551616"] {
            assert!(number(wrong).is_err(), "{wrong}");
        }
    }
}

//! Private data of the connection manager: of requests, of accepts, of rejects, of any length.

use spec::rdma::{Accept, RECFMT, Reject, RejectReason, Request};

/// Reads the bytes as each of them, whole and cut.
pub fn run(input: &[u8]) {
    for length in [input.len(), 0, 3, 4, 31, 32] {
        read(input.get(..length).unwrap_or(input));
    }
}

fn read(data: &[u8]) {
    match Request::decode(data) {
        Ok(request) => {
            assert!(data.len() >= Request::SIZE && request.recfmt == RECFMT);
            assert_eq!(Request::decode(&request.encode()), Ok(request));
        }
        Err(reason) => assert!(!reason.name().is_empty()),
    }
    match Accept::decode(data) {
        Ok(accept) => {
            assert!(accept.recfmt == RECFMT);
            assert_eq!(Accept::decode(&accept.encode()), Ok(accept));
        }
        Err(error) => assert!(!error.to_string().is_empty()),
    }
    match Reject::decode(data) {
        Ok(reject) => {
            assert!(reject.recfmt == RECFMT && !reject.sts.name().is_empty());
            assert_eq!(Reject::decode(&reject.encode()), Ok(reject));
        }
        Err(error) => assert!(!error.to_string().is_empty()),
    }
    if let [low, high, ..] = *data {
        assert!(!RejectReason(u16::from_le_bytes([low, high])).name().is_empty());
    }
}

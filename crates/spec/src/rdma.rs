//! Private data of the RDMA connection manager's messages (RDMA Transport 2.4).
//!
//! The connection manager pads private data with zeros, so a decoder takes what is at least as long as its record.

use thiserror::Error;

use crate::bytes::{put, u16_at};

/// The one record format.
pub const RECFMT: u16 = 0;

/// Private data of a connection request (RDMA Transport figure 4).
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Request {
    /// Record format; [`RECFMT`].
    pub recfmt: u16,
    /// Queue id: 0 for the Admin Queue.
    pub qid: u16,
    /// Entries of the host's receive queue: how many responses may be under way.
    pub hrqsize: u16,
    /// Entries of the host's send queue, zero-based (RDMA Transport 2.4.1): how many commands may be under way.
    pub hsqsize: u16,
    /// Controller id; for I/O queues under the static model.
    pub cntlid: u16,
}

impl Request {
    /// Length of the record in bytes.
    pub const SIZE: usize = 32;

    /// The record.
    #[must_use]
    pub fn encode(&self) -> [u8; Request::SIZE] {
        let mut data = [0; Request::SIZE];
        put(&mut data, 0, &self.recfmt.to_le_bytes());
        put(&mut data, 2, &self.qid.to_le_bytes());
        put(&mut data, 4, &self.hrqsize.to_le_bytes());
        put(&mut data, 6, &self.hsqsize.to_le_bytes());
        put(&mut data, 8, &self.cntlid.to_le_bytes());
        data
    }

    /// From private data. The reason says how a controller rejects it.
    ///
    /// # Errors
    /// [`RejectReason::INVALID_PRIVATE_DATA_LENGTH`] when too short, [`RejectReason::INVALID_RECFMT`] for another format.
    pub fn decode(data: &[u8]) -> Result<Request, RejectReason> {
        if data.len() < Request::SIZE {
            return Err(RejectReason::INVALID_PRIVATE_DATA_LENGTH);
        }
        let request = Request {
            recfmt: u16_at(data, 0),
            qid: u16_at(data, 2),
            hrqsize: u16_at(data, 4),
            hsqsize: u16_at(data, 6),
            cntlid: u16_at(data, 8),
        };
        if request.recfmt != RECFMT { Err(RejectReason::INVALID_RECFMT) } else { Ok(request) }
    }
}

/// Private data of an accepted connection (RDMA Transport figure 5).
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Accept {
    /// Record format; [`RECFMT`].
    pub recfmt: u16,
    /// Entries of the controller's receive queue: how many commands the host may have under way.
    pub crqsize: u16,
}

impl Accept {
    /// Length of the record in bytes.
    pub const SIZE: usize = 32;

    /// The record.
    #[must_use]
    pub fn encode(&self) -> [u8; Accept::SIZE] {
        let mut data = [0; Accept::SIZE];
        put(&mut data, 0, &self.recfmt.to_le_bytes());
        put(&mut data, 2, &self.crqsize.to_le_bytes());
        data
    }

    /// From private data.
    ///
    /// # Errors
    /// [`PrivateDataError`] when too short or of another format.
    pub fn decode(data: &[u8]) -> Result<Accept, PrivateDataError> {
        if data.len() < 4 {
            return Err(PrivateDataError::Length(data.len()));
        }
        let accept = Accept { recfmt: u16_at(data, 0), crqsize: u16_at(data, 2) };
        if accept.recfmt != RECFMT { Err(PrivateDataError::Format(accept.recfmt)) } else { Ok(accept) }
    }
}

/// Private data of a rejected connection (RDMA Transport figure 6).
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Reject {
    /// Record format; [`RECFMT`].
    pub recfmt: u16,
    /// Why.
    pub sts: RejectReason,
}

impl Reject {
    /// Length of the record in bytes.
    pub const SIZE: usize = 4;

    /// The record.
    #[must_use]
    pub fn encode(&self) -> [u8; Reject::SIZE] {
        let mut data = [0; Reject::SIZE];
        put(&mut data, 0, &self.recfmt.to_le_bytes());
        put(&mut data, 2, &self.sts.0.to_le_bytes());
        data
    }

    /// From private data.
    ///
    /// # Errors
    /// [`PrivateDataError`] when too short or of another format.
    pub fn decode(data: &[u8]) -> Result<Reject, PrivateDataError> {
        if data.len() < Reject::SIZE {
            return Err(PrivateDataError::Length(data.len()));
        }
        let reject = Reject { recfmt: u16_at(data, 0), sts: RejectReason(u16_at(data, 2)) };
        if reject.recfmt != RECFMT { Err(PrivateDataError::Format(reject.recfmt)) } else { Ok(reject) }
    }
}

/// Why private data of an answer cannot be used.
#[derive(Clone, Copy, Debug, Eq, Error, PartialEq)]
pub enum PrivateDataError {
    /// Shorter than its record.
    #[error("private data of {0} bytes is shorter than its record")]
    Length(usize),
    /// Another record format.
    #[error("private data has record format {0}")]
    Format(u16),
}

/// Status of a rejected connection (RDMA Transport figure 7).
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct RejectReason(pub u16);

impl RejectReason {
    /// The private data has not the length of its record.
    pub const INVALID_PRIVATE_DATA_LENGTH: RejectReason = RejectReason(1);
    /// Unknown record format.
    pub const INVALID_RECFMT: RejectReason = RejectReason(2);
    /// Invalid queue id.
    pub const INVALID_QID: RejectReason = RejectReason(3);
    /// Invalid host send queue size.
    pub const INVALID_HSQSIZE: RejectReason = RejectReason(4);
    /// Invalid host receive queue size.
    pub const INVALID_HRQSIZE: RejectReason = RejectReason(5);
    /// No resources.
    pub const NO_RESOURCES: RejectReason = RejectReason(6);
    /// Invalid inbound RDMA read depth.
    pub const INVALID_IRD: RejectReason = RejectReason(7);
    /// Invalid outbound RDMA read depth.
    pub const INVALID_ORD: RejectReason = RejectReason(8);
    /// Invalid controller id.
    pub const INVALID_CNTLID: RejectReason = RejectReason(9);

    /// Name of the status.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            RejectReason::INVALID_PRIVATE_DATA_LENGTH => "invalid private data length",
            RejectReason::INVALID_RECFMT => "invalid record format",
            RejectReason::INVALID_QID => "invalid queue id",
            RejectReason::INVALID_HSQSIZE => "invalid host send queue size",
            RejectReason::INVALID_HRQSIZE => "invalid host receive queue size",
            RejectReason::NO_RESOURCES => "no resources",
            RejectReason::INVALID_IRD => "invalid inbound RDMA read depth",
            RejectReason::INVALID_ORD => "invalid outbound RDMA read depth",
            RejectReason::INVALID_CNTLID => "invalid controller id",
            _ => "unknown status",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn request_layout() {
        let request = Request { recfmt: 0, qid: 0x0102, hrqsize: 128, hsqsize: 127, cntlid: 0xaabb };
        let mut expected = [0; 32];
        expected[..10].copy_from_slice(&[0, 0, 2, 1, 128, 0, 127, 0, 0xbb, 0xaa]);
        assert_eq!(request.encode(), expected);
        assert_eq!(Request::decode(&expected), Ok(request));
        // The connection manager hands over 56 bytes where InfiniBand carried them.
        let mut padded = [0; 56];
        padded[..32].copy_from_slice(&expected);
        assert_eq!(Request::decode(&padded), Ok(request));
    }

    #[test]
    fn bad_requests_have_their_reasons() {
        assert_eq!(Request::decode(&[0; 31]), Err(RejectReason::INVALID_PRIVATE_DATA_LENGTH));
        assert_eq!(Request::decode(&[1; 32]), Err(RejectReason::INVALID_RECFMT));
    }

    #[test]
    fn answers() {
        let accept = Accept { recfmt: 0, crqsize: 0x0180 };
        assert_eq!(accept.encode()[..6], [0, 0, 0x80, 0x01, 0, 0]);
        assert_eq!(Accept::decode(&accept.encode()), Ok(accept));
        assert_eq!(Accept::decode(&[0; 3]), Err(PrivateDataError::Length(3)));
        assert_eq!(Accept::decode(&[7, 0, 0, 0]), Err(PrivateDataError::Format(7)));
        let reject = Reject::decode(&[0, 0, 6, 0, 0xff]).unwrap();
        assert_eq!(reject.sts, RejectReason::NO_RESOURCES);
        assert_eq!(reject.encode(), [0, 0, 6, 0]);
        assert_eq!(Reject::decode(&[]), Err(PrivateDataError::Length(0)));
        assert_eq!(RejectReason(77).name(), "unknown status");
    }
}

//! Messages of the connection manager, as they travel in frames of kind `Cm`.

use std::net::{IpAddr, Ipv6Addr, SocketAddr};

use crate::fabric::wire::{Garbage, Header, Kind};

/// First bytes of every message.
const MAGIC: u32 = u32::from_le_bytes(*b"sfvb");
/// Changes when the wire does.
const VERSION: u8 = 1;

/// What a message says (InfiniBand specification, communication management).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub enum Say {
    /// Request for communication.
    Req = 1,
    /// Reply to it.
    Rep = 2,
    /// Ready to use.
    Rtu = 3,
    /// Reject.
    Rej = 4,
    /// Disconnect.
    Dreq = 5,
    /// Reply to that.
    Drep = 6,
    /// Not on the wire: the wire ended.
    End = 7,
    /// This TCP port does not stand for that RDMA port.
    NotMine = 8,
}

/// Reject reasons.
pub mod reason {
    /// The requester gave up.
    pub const TIMEOUT: u16 = 4;
    /// Nobody listens there.
    pub const INVALID_SERVICE_ID: u16 = 8;
    /// The program said so.
    pub const CONSUMER_DEFINED: u16 = 28;
    /// The vendor's options do not go together.
    pub const VENDOR_OPTION: u16 = 35;
}

/// Most private data of a request, of a reply, and of a reject, in the port space of TCP.
pub const REQ_PRIVATE: usize = 56;
/// See [`REQ_PRIVATE`].
pub const REP_PRIVATE: usize = 196;
/// See [`REQ_PRIVATE`].
pub const REJ_PRIVATE: usize = 148;

/// A message. What a field means depends on `say`; what is not used is 0.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// See [`Say`].
    pub say: Say,
    /// A reject's reason.
    pub reason: u16,
    /// The sender's QP.
    pub qpn: u32,
    /// As the sender's program gave it.
    pub responder_resources: u8,
    /// As the sender's program gave it.
    pub initiator_depth: u8,
    /// As the sender's program gave it.
    pub flow_control: u8,
    /// As the sender's program gave it.
    pub retry_count: u8,
    /// As the sender's program gave it.
    pub rnr_retry_count: u8,
    /// The sender's QP has a shared receive queue.
    pub srq: u8,
    /// `enum rdma_port_space`.
    pub space: u16,
    /// The requester's RDMA address.
    pub source: Option<SocketAddr>,
    /// The RDMA address that is asked for.
    pub target: Option<SocketAddr>,
    /// Private data, without padding.
    pub private: Vec<u8>,
}

const FIXED: usize = 20;
const ADDRESS: usize = 20;

impl Message {
    /// A message with nothing else in it.
    pub fn new(say: Say) -> Self {
        Self {
            say,
            reason: 0,
            qpn: 0,
            responder_resources: 0,
            initiator_depth: 0,
            flow_control: 0,
            retry_count: 0,
            rnr_retry_count: 0,
            srq: 0,
            space: 0,
            source: None,
            target: None,
            private: Vec::new(),
        }
    }

    /// As bytes.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(FIXED + 2 * ADDRESS + 1 + self.private.len());
        out.extend_from_slice(&MAGIC.to_le_bytes());
        out.extend_from_slice(&[VERSION, self.say as u8]);
        out.extend_from_slice(&self.reason.to_le_bytes());
        out.extend_from_slice(&self.qpn.to_le_bytes());
        out.extend_from_slice(&[
            self.responder_resources,
            self.initiator_depth,
            self.flow_control,
            self.retry_count,
            self.rnr_retry_count,
            self.srq,
        ]);
        out.extend_from_slice(&self.space.to_le_bytes());
        put_address(&mut out, self.source);
        put_address(&mut out, self.target);
        out.push(self.private.len().min(255) as u8);
        out.extend_from_slice(self.private.get(..255).unwrap_or(&self.private));
        out
    }

    /// From bytes, all of which must belong to it.
    pub fn decode(bytes: &[u8]) -> Result<Self, Garbage> {
        let short = Garbage("a short message of connection management");
        let (fixed, rest) = bytes.split_first_chunk::<FIXED>().ok_or(short)?;
        let (source, rest) = rest.split_first_chunk::<ADDRESS>().ok_or(short)?;
        let (target, rest) = rest.split_first_chunk::<ADDRESS>().ok_or(short)?;
        let (&length, private) = rest.split_first().ok_or(short)?;
        let [
            m0,
            m1,
            m2,
            m3,
            version,
            say,
            r0,
            r1,
            q0,
            q1,
            q2,
            q3,
            resources,
            depth,
            flow,
            retry,
            rnr,
            srq,
            s0,
            s1,
        ] = *fixed;
        if u32::from_le_bytes([m0, m1, m2, m3]) != MAGIC {
            return Err(Garbage("not softverbs"));
        }
        if version != VERSION {
            return Err(Garbage("another version of softverbs"));
        }
        if private.len() != usize::from(length) {
            return Err(Garbage("private data of another length"));
        }
        let say = match say {
            1 => Say::Req,
            2 => Say::Rep,
            3 => Say::Rtu,
            4 => Say::Rej,
            5 => Say::Dreq,
            6 => Say::Drep,
            7 => Say::End,
            8 => Say::NotMine,
            _ => return Err(Garbage("an unknown message of connection management")),
        };
        let room = match say {
            Say::Req => REQ_PRIVATE,
            Say::Rep => REP_PRIVATE,
            Say::Rej => REJ_PRIVATE,
            _ => 0,
        };
        if private.len() > room {
            return Err(Garbage("too much private data"));
        }
        let message = Self {
            say,
            reason: u16::from_le_bytes([r0, r1]),
            qpn: u32::from_le_bytes([q0, q1, q2, q3]) & 0xff_ffff,
            responder_resources: resources,
            initiator_depth: depth,
            flow_control: flow,
            retry_count: retry & 7,
            rnr_retry_count: rnr & 7,
            srq,
            space: u16::from_le_bytes([s0, s1]),
            source: get_address(source)?,
            target: get_address(target)?,
            private: private.to_vec(),
        };
        if say == Say::Req && (message.source.is_none() || message.target.is_none()) {
            return Err(Garbage("a request without addresses"));
        }
        Ok(message)
    }
}

fn put_address(out: &mut Vec<u8>, address: Option<SocketAddr>) {
    let (family, ip, port) = match address {
        None => (0, [0; 16], 0),
        Some(a) => match a.ip() {
            IpAddr::V4(v4) => (4, v4.to_ipv6_mapped().octets(), a.port()),
            IpAddr::V6(v6) => (6, v6.octets(), a.port()),
        },
    };
    out.extend_from_slice(&[family, 0]);
    out.extend_from_slice(&port.to_le_bytes());
    out.extend_from_slice(&ip);
}

fn get_address(bytes: &[u8; ADDRESS]) -> Result<Option<SocketAddr>, Garbage> {
    let [family, _, p0, p1, ip @ ..] = *bytes;
    let ip = Ipv6Addr::from(ip);
    let port = u16::from_le_bytes([p0, p1]);
    match family {
        0 => Ok(None),
        4 => match ip.to_ipv4_mapped() {
            Some(v4) => Ok(Some(SocketAddr::new(v4.into(), port))),
            None => Err(Garbage("an address of another family")),
        },
        6 => Ok(Some(SocketAddr::new(ip.into(), port))),
        _ => Err(Garbage("an unknown address family")),
    }
}

/// The frame that stands for the end of the wire.
pub fn frame_of_end() -> Vec<u8> {
    let message = Message::new(Say::End).encode();
    let mut frame = Vec::new();
    Header { payload: message.len() as u32, ..Header::new(Kind::Cm, 0, 0) }.encode(&mut frame);
    frame.extend_from_slice(&message);
    frame
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request() -> Message {
        Message {
            qpn: 0x12345,
            responder_resources: 3,
            initiator_depth: 4,
            retry_count: 7,
            rnr_retry_count: 6,
            srq: 1,
            space: 0x106,
            source: Some("10.1.2.3:77".parse().unwrap()),
            target: Some("[fe80::1]:4420".parse().unwrap()),
            private: vec![9; REQ_PRIVATE],
            ..Message::new(Say::Req)
        }
    }

    #[test]
    fn a_message_survives_the_wire() {
        let bytes = request().encode();
        assert_eq!(Message::decode(&bytes), Ok(request()));
        for length in 0..bytes.len() {
            assert!(Message::decode(&bytes[..length]).is_err(), "cut at {length}");
        }
    }

    #[test]
    fn what_is_no_message_is_refused() {
        let good = request().encode();
        for (at, value) in [(0, 0), (4, 99), (5, 77), (20, 5), (60, 200)] {
            let mut bad = good.clone();
            bad[at] = value;
            assert!(Message::decode(&bad).is_err(), "byte {at}");
        }
        let mut long = request();
        long.private.push(1);
        assert_eq!(Message::decode(&long.encode()), Err(Garbage("too much private data")));
    }

    #[test]
    fn any_bytes_are_a_message_or_not_and_what_is_one_encodes_to_itself() {
        let mut random = crate::fabric::Random(7);
        let mut good = 0;
        for _ in 0..100_000 {
            let mut bytes = request().encode();
            for _ in 0..random.next() % 4 {
                let at = random.next() as usize % bytes.len();
                bytes[at] ^= 1 << (random.next() % 8);
            }
            match random.next() % 8 {
                0 => bytes.truncate(random.next() as usize % bytes.len()),
                1 => bytes.push(random.next() as u8),
                _ => {}
            }
            if let Ok(message) = Message::decode(&bytes) {
                good += 1;
                assert_eq!(Message::decode(&message.encode()), Ok(message));
            }
        }
        assert!(good > 10_000, "{good}");
    }
}

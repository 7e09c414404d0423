//! What one side tells the other: a fixed header, then the payload. Numbers are little-endian.
//!
//! Requests carry the sequence number of their work request, from 0 when the QP becomes ready. A responder takes them strictly
//! in that order; answers are in the same order, so each also acknowledges all requests before its own.

/// Bytes in a header.
pub const HEADER: usize = 48;
/// Most bytes of a message that one frame carries.
pub const FRAGMENT: u32 = 64 * 1024;
/// Most bytes in a frame.
pub const MAX_FRAME: usize = HEADER + FRAGMENT as usize;

/// What a frame says.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub enum Kind {
    /// Request: a part of a SEND.
    Send = 1,
    /// Request: a part of an RDMA WRITE.
    Write = 2,
    /// Request: an RDMA READ.
    Read = 3,
    /// Answer: a part of what an RDMA READ asked for.
    ReadData = 4,
    /// Answer: all requests up to this one are done.
    Ack = 5,
    /// Answer: this request failed; `word` is the requester's work completion status.
    Nak = 6,
    /// Answer: no receive is posted; `word` is the responder's RNR timer. The request is to be sent again from its start.
    ReceiverNotReady = 7,
    /// Answer: now one is.
    ReceiverReady = 8,
    /// There is no QP here that answers (any more).
    Silent = 9,
    /// A message of the connection manager.
    Cm = 16,
    /// QP `word` asks for QP `qpn`, who were told of each other without a connection manager.
    Meet = 17,
    /// Answer to that, in `word`.
    Met = 18,
}

/// Header flags.
pub mod flag {
    /// `word` is immediate data.
    pub const IMMEDIATE: u8 = 1;
    /// `word` is a remote key to invalidate.
    pub const INVALIDATE: u8 = 2;
    /// The receiver's completion is a solicited event.
    pub const SOLICITED: u8 = 4;
}

/// The header. What a field means depends on the kind; what is not used is 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// Bytes of payload after the header.
    pub payload: u32,
    /// See [`Kind`].
    pub kind: Kind,
    /// See [`flag`].
    pub flags: u8,
    /// The QP that is to take it.
    pub qpn: u32,
    /// Immediate data, key to invalidate, status or timer.
    pub word: u32,
    /// Sequence number of the request.
    pub seq: u64,
    /// Remote address.
    pub address: u64,
    /// Remote key.
    pub rkey: u32,
    /// Where in the message this payload belongs.
    pub offset: u32,
    /// Bytes in the whole message.
    pub total: u32,
}

impl Header {
    /// A header of this kind with nothing else in it.
    pub fn new(kind: Kind, qpn: u32, seq: u64) -> Self {
        Self { payload: 0, kind, flags: 0, qpn, word: 0, seq, address: 0, rkey: 0, offset: 0, total: 0 }
    }

    /// Appends the header as bytes.
    pub fn encode(&self, out: &mut Vec<u8>) {
        let mut bytes = [0u8; HEADER];
        let mut put = |at: usize, value: &[u8]| {
            if let Some(room) = bytes.get_mut(at..at + value.len()) {
                room.copy_from_slice(value);
            }
        };
        put(0, &(self.payload + HEADER as u32).to_le_bytes());
        put(4, &[self.kind as u8, self.flags]);
        put(8, &self.qpn.to_le_bytes());
        put(12, &self.word.to_le_bytes());
        put(16, &self.seq.to_le_bytes());
        put(24, &self.address.to_le_bytes());
        put(32, &self.rkey.to_le_bytes());
        put(36, &self.offset.to_le_bytes());
        put(40, &self.total.to_le_bytes());
        out.extend_from_slice(&bytes);
    }

    /// Reads a header from the start of `bytes`: `Ok(None)` if more bytes are needed, an error if this is no frame.
    pub fn decode(bytes: &[u8]) -> Result<Option<Self>, Garbage> {
        let Some(b) = bytes.first_chunk::<HEADER>() else {
            // A stranger may have said all that it will: its first word tells it apart already.
            let length = bytes.first_chunk::<4>().map_or(HEADER, |l| u32::from_le_bytes(*l) as usize);
            return if is_length(length) { Ok(None) } else { Err(Garbage("a length that no frame has")) };
        };
        let word = |at: usize| match b.get(at..at + 4).and_then(|s| s.first_chunk::<4>()) {
            Some(s) => u32::from_le_bytes(*s),
            None => 0,
        };
        let long = |at: usize| u64::from(word(at)) | u64::from(word(at + 4)) << 32;
        let length = word(0) as usize;
        if !is_length(length) {
            return Err(Garbage("a length that no frame has"));
        }
        let [_, _, _, _, kind, flags, reserved @ ..] = b;
        let kind = match kind {
            1 => Kind::Send,
            2 => Kind::Write,
            3 => Kind::Read,
            4 => Kind::ReadData,
            5 => Kind::Ack,
            6 => Kind::Nak,
            7 => Kind::ReceiverNotReady,
            8 => Kind::ReceiverReady,
            9 => Kind::Silent,
            16 => Kind::Cm,
            17 => Kind::Meet,
            18 => Kind::Met,
            _ => return Err(Garbage("a kind that no frame has")),
        };
        if reserved.first_chunk::<2>() != Some(&[0, 0]) {
            return Err(Garbage("reserved bits that are set"));
        }
        let header = Self {
            payload: (length - HEADER) as u32,
            kind,
            flags: *flags,
            qpn: word(8),
            word: word(12),
            seq: long(16),
            address: long(24),
            rkey: word(32),
            offset: word(36),
            total: word(40),
        };
        match kind {
            Kind::Send | Kind::Write | Kind::ReadData => {
                let end = u64::from(header.offset) + u64::from(header.payload);
                if end > u64::from(header.total) {
                    return Err(Garbage("a fragment outside its message"));
                }
                if header.payload == 0 && header.total != 0 {
                    return Err(Garbage("an empty fragment"));
                }
            }
            Kind::Cm => {}
            Kind::Meet if header.payload as usize == super::meeting::QUESTION => {}
            Kind::Meet => return Err(Garbage("a question of another length")),
            _ if header.payload != 0 => return Err(Garbage("a payload where none belongs")),
            _ => {}
        }
        Ok(Some(header))
    }

    /// Whether this fragment is its message's last.
    pub fn is_last(&self) -> bool {
        self.offset + self.payload == self.total
    }
}

/// Whether a frame may be of this length.
fn is_length(length: usize) -> bool {
    (HEADER..=MAX_FRAME).contains(&length)
}

/// Bytes that are not of this protocol, and what was wrong with them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Garbage(pub &'static str);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_header_survives_the_wire() {
        let header = Header {
            payload: 3,
            kind: Kind::Write,
            flags: flag::IMMEDIATE | flag::SOLICITED,
            qpn: 0x12_3456,
            word: 0xaabb_ccdd,
            seq: 0x0102_0304_0506_0708,
            address: 0xffee_ddcc_bbaa_9988,
            rkey: 7,
            offset: 5,
            total: 8,
        };
        let mut bytes = Vec::new();
        header.encode(&mut bytes);
        assert_eq!(bytes.len(), HEADER);
        assert_eq!(Header::decode(&bytes), Ok(Some(header)));
        assert!(header.is_last());
        for length in 0..HEADER {
            assert_eq!(Header::decode(&bytes[..length]), Ok(None));
        }
    }

    #[test]
    fn what_is_no_frame_is_refused() {
        let mut good = Vec::new();
        Header { payload: 4, total: 4, ..Header::new(Kind::Send, 1, 0) }.encode(&mut good);
        let wrong = |at: usize, value: u8| {
            let mut bytes = good.clone();
            bytes[at] = value;
            Header::decode(&bytes)
        };
        assert!(Header::decode(&good).is_ok());
        assert_eq!(wrong(0, 1), Err(Garbage("a length that no frame has")));
        assert_eq!(wrong(3, 0x7f), Err(Garbage("a length that no frame has")));
        assert_eq!(Header::decode(b"GET /"), Err(Garbage("a length that no frame has")));
        assert_eq!(wrong(4, 77), Err(Garbage("a kind that no frame has")));
        assert_eq!(wrong(6, 1), Err(Garbage("reserved bits that are set")));
        assert_eq!(wrong(36, 1), Err(Garbage("a fragment outside its message")));
        assert_eq!(wrong(4, Kind::Ack as u8), Err(Garbage("a payload where none belongs")));
    }

    #[test]
    fn any_bytes_are_a_header_or_not_and_what_is_one_encodes_to_itself() {
        let mut random = crate::fabric::Random(7);
        let mut good = 0;
        for _ in 0..200_000 {
            let mut bytes = [0u8; HEADER];
            for chunk in bytes.chunks_mut(8) {
                chunk.copy_from_slice(&random.next().to_le_bytes());
            }
            // Mostly near to something that is right.
            if !random.next().is_multiple_of(8) {
                bytes[0..4].copy_from_slice(&(HEADER as u32 + random.next() as u32 % 70_000).to_le_bytes());
                bytes[4] = [1, 2, 3, 4, 5, 6, 7, 8, 9, 16][(random.next() % 10) as usize];
                bytes[6..8].fill(0);
                bytes[36..40].copy_from_slice(&(random.next() as u32 % 4).to_le_bytes());
                bytes[44..48].fill(0);
            }
            if let Ok(Some(header)) = Header::decode(&bytes) {
                good += 1;
                assert!(header.payload as usize + HEADER <= MAX_FRAME);
                if matches!(header.kind, Kind::Send | Kind::Write | Kind::ReadData) {
                    assert!(u64::from(header.offset) + u64::from(header.payload) <= u64::from(header.total));
                    header.is_last();
                }
                let mut again = Vec::new();
                header.encode(&mut again);
                assert_eq!(Header::decode(&again), Ok(Some(header)));
            }
        }
        assert!(good > 10_000, "{good}");
    }
}

//! ComPackets, packets and subpackets (Core 3.2.3): the envelopes of tokens. One ComPacket has one packet with one subpacket of data, which
//! is all that goes between two that know nothing of each other's Properties (Core 5.2.2.4.1: MaxPackets and MaxSubpackets are 1 then); what
//! comes after these is not looked at.

use super::Error;
use crate::bytes::{array, put};

/// Bytes of a ComPacket's header.
pub const COM_PACKET_HEADER: usize = 20;
/// Bytes of a packet's header.
pub const PACKET_HEADER: usize = 24;
/// Bytes of a subpacket's header.
pub const SUBPACKET_HEADER: usize = 12;
/// Bytes of all three.
pub const HEADERS: usize = COM_PACKET_HEADER + PACKET_HEADER + SUBPACKET_HEADER;

/// A ComPacket as it came.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct ComPacket<'a> {
    /// Which communication it belongs to.
    pub com_id: u16,
    /// Extends the ComID; 0 of those that level 0 discovery names.
    pub com_id_extension: u16,
    /// Bytes that the TPer has beside those that are here; 1 without any here: it has none yet.
    pub outstanding: u32,
    /// The least that one has to ask for to get something.
    pub min_transfer: u32,
    /// Its packets.
    pub payload: &'a [u8],
}

/// A packet with its one subpacket of data, as it came.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Packet<'a> {
    /// The TPer's session number.
    pub tsn: u32,
    /// The host's.
    pub hsn: u32,
    /// Its number, if it is numbered.
    pub sequence: u32,
    /// The subpacket's tokens.
    pub tokens: &'a [u8],
}

impl<'a> ComPacket<'a> {
    /// Reads a ComPacket out of what was transferred, which may be longer.
    ///
    /// # Errors
    ///
    /// When it is not all there.
    pub fn read(data: &'a [u8]) -> Result<Self, Error> {
        let (header, rest) = split(data, COM_PACKET_HEADER, "ComPacket")?;
        Ok(Self {
            com_id: u16::from_be_bytes(array(header, 4)),
            com_id_extension: u16::from_be_bytes(array(header, 6)),
            outstanding: u32::from_be_bytes(array(header, 8)),
            min_transfer: u32::from_be_bytes(array(header, 12)),
            payload: cut(rest, u32::from_be_bytes(array(header, 16)), "ComPacket")?,
        })
    }

    /// Its packet; `None` if it is empty.
    ///
    /// # Errors
    ///
    /// When it is not all there, or not one of data.
    pub fn packet(&self) -> Result<Option<Packet<'a>>, Error> {
        if self.payload.is_empty() {
            return Ok(None);
        }
        let (header, rest) = split(self.payload, PACKET_HEADER, "packet")?;
        let subpackets = cut(rest, u32::from_be_bytes(array(header, 20)), "packet")?;
        let (subheader, data) = split(subpackets, SUBPACKET_HEADER, "subpacket")?;
        match u16::from_be_bytes(array(subheader, 6)) {
            0 => {}
            kind => return Err(Error::Kind(kind)),
        }
        Ok(Some(Packet {
            tsn: u32::from_be_bytes(array(header, 0)),
            hsn: u32::from_be_bytes(array(header, 4)),
            sequence: u32::from_be_bytes(array(header, 8)),
            tokens: cut(data, u32::from_be_bytes(array(subheader, 8)), "subpacket")?,
        }))
    }

    /// A ComPacket without packets: nothing is there (0, 0), nothing is there yet (1, 0), or there is, and one has to ask for more bytes.
    #[must_use]
    pub fn empty(com_id: u16, outstanding: u32, min_transfer: u32) -> [u8; COM_PACKET_HEADER] {
        let mut header = [0; COM_PACKET_HEADER];
        put(&mut header, 4, &com_id.to_be_bytes());
        put(&mut header, 8, &outstanding.to_be_bytes());
        put(&mut header, 12, &min_transfer.to_be_bytes());
        header
    }
}

/// Which session a packet that is written belongs to.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Envelope {
    /// The ComPacket's ComID.
    pub com_id: u16,
    /// The TPer's session number; 0 for the session manager.
    pub tsn: u32,
    /// The host's; 0 for the session manager.
    pub hsn: u32,
    /// The packet's number, 0 if packets are not numbered.
    pub sequence: u32,
}

impl Envelope {
    /// Writes the headers in front of so many bytes of tokens and their padding, as many as the buffer has behind them.
    pub(super) fn write(&self, buffer: &mut [u8], tokens: usize) {
        let length = |from: usize| u32::try_from(buffer.len().saturating_sub(from)).unwrap_or(u32::MAX);
        let (com_packet, packet) =
            (length(COM_PACKET_HEADER), length(COM_PACKET_HEADER.saturating_add(PACKET_HEADER)));
        put(buffer, 0, &Self::com_packet_header(self.com_id, com_packet));
        put(buffer, COM_PACKET_HEADER, &self.tsn.to_be_bytes());
        put(buffer, 24, &self.hsn.to_be_bytes());
        put(buffer, 28, &self.sequence.to_be_bytes());
        put(buffer, 40, &packet.to_be_bytes());
        put(buffer, 52, &u32::try_from(tokens).unwrap_or(u32::MAX).to_be_bytes());
    }

    fn com_packet_header(com_id: u16, length: u32) -> [u8; COM_PACKET_HEADER] {
        let mut header = ComPacket::empty(com_id, 0, 0);
        put(&mut header, 16, &length.to_be_bytes());
        header
    }
}

fn split<'a>(data: &'a [u8], header: usize, what: &'static str) -> Result<(&'a [u8], &'a [u8]), Error> {
    data.split_at_checked(header).ok_or(Error::Short { what, came: data.len() })
}

fn cut<'a>(data: &'a [u8], length: u32, what: &'static str) -> Result<&'a [u8], Error> {
    let there = usize::try_from(length).ok().and_then(|length| data.get(..length));
    there.ok_or(Error::Length { what, says: length.into(), came: data.len() })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tcg::Encoder;

    /// By hand from Core 3.2.3: an EndOfSession, padded.
    const END: [u8; 60] = [
        0, 0, 0, 0, 0x07, 0xfe, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 40, // ComPacket
        0, 0, 0x10, 0x01, 0, 0, 0, 0x4e, 0, 0, 0, 5, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 16, // packet
        0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, // subpacket
        0xfa, 0, 0, 0,
    ];

    #[test]
    fn headers_are_read_and_written() {
        let com_packet = ComPacket::read(&END).unwrap();
        assert_eq!((com_packet.com_id, com_packet.com_id_extension), (0x07fe, 0));
        assert_eq!((com_packet.outstanding, com_packet.min_transfer), (0, 0));
        let packet = com_packet.packet().unwrap().unwrap();
        assert_eq!(packet, Packet { tsn: 0x1001, hsn: 0x4e, sequence: 5, tokens: &[0xfa] });

        let mut encoder = Encoder::new();
        encoder.end_of_session();
        let envelope = Envelope { com_id: 0x07fe, tsn: 0x1001, hsn: 0x4e, sequence: 5 };
        assert_eq!(encoder.com_packet(envelope).unwrap().as_slice(), END);

        let mut longer = END.to_vec();
        longer.resize(2048, 0);
        assert_eq!(ComPacket::read(&longer), Ok(com_packet));
    }

    #[test]
    fn what_is_empty_says_whether_there_is_more() {
        let empty = ComPacket::empty(0x1000, 1, 0);
        assert_eq!(empty, [0, 0, 0, 0, 0x10, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0]);
        let read = ComPacket::read(&empty).unwrap();
        assert_eq!((read.outstanding, read.min_transfer, read.packet()), (1, 0, Ok(None)));
    }

    #[test]
    fn no_length_is_believed() {
        for length in 0..END.len() {
            let cut = ComPacket::read(&END[..length]);
            assert!(cut.is_err(), "{length}: {cut:?}");
        }
        for (at, what) in [(19, "ComPacket"), (43, "packet"), (55, "subpacket")] {
            for value in [41, 0xff] {
                let mut bytes = END;
                bytes[at] = value;
                let read = ComPacket::read(&bytes).and_then(|com_packet| com_packet.packet());
                assert!(matches!(read, Err(Error::Length { what: said, .. }) if said == what), "{read:?}");
            }
        }
        let mut bytes = END;
        (bytes[50], bytes[51]) = (0x80, 0x01);
        assert_eq!(ComPacket::read(&bytes).unwrap().packet(), Err(Error::Kind(0x8001)));
        bytes[19] = 30;
        let short = ComPacket::read(&bytes).unwrap().packet();
        assert_eq!(short, Err(Error::Length { what: "packet", says: 16, came: 6 }));
        bytes[19] = 3;
        let short = ComPacket::read(&bytes).unwrap().packet();
        assert_eq!(short, Err(Error::Short { what: "packet", came: 3 }));
    }
}

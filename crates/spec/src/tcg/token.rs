//! Tokens (Core 3.2.2): atoms, which are integers or bytes, and control tokens.
//!
//! An atom's first byte says its kind: tiny atoms (0xxxxxxx) are an integer of six bits themselves; short (10xxxxxx), medium (110xxxxx) and
//! long ones (111000xx) have a length, and a bit for bytes or integer and one for the sign. Bytes with the sign's bit go on in the next
//! atom, which needs Properties that nobody offers here (Opal 4.1.1.1): they are an error.

use super::{Error, MethodStatus, Uid, packet::Envelope, packet::HEADERS};
use std::fmt;
use zeroize::Zeroizing;

const START_LIST: u8 = 0xf0;
const END_LIST: u8 = 0xf1;
const START_NAME: u8 = 0xf2;
const END_NAME: u8 = 0xf3;
const CALL: u8 = 0xf8;
const END_OF_DATA: u8 = 0xf9;
const END_OF_SESSION: u8 = 0xfa;
const START_TRANSACTION: u8 = 0xfb;
const END_TRANSACTION: u8 = 0xfc;
const EMPTY: u8 = 0xff;
/// The most that a tiny, short, medium and long atom hold: a number, or bytes.
const TINY_MAX: u64 = 0x3f;
const SHORT_MAX: usize = 0xf;
const MEDIUM_MAX: usize = 0x7ff;
const LONG_MAX: usize = 0xff_ffff;

/// A token.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Token<'a> {
    /// An integer.
    Unsigned(u64),
    /// An integer with a sign.
    Signed(i64),
    /// A sequence of bytes.
    Bytes(&'a [u8]),
    /// Begins a list.
    StartList,
    /// Ends it.
    EndList,
    /// Begins a named value.
    StartName,
    /// Ends it.
    EndName,
    /// Begins a method invocation.
    Call,
    /// Ends an invocation's or an answer's data.
    EndOfData,
    /// Ends the session.
    EndOfSession,
    /// Begins a transaction.
    StartTransaction,
    /// Ends it.
    EndTransaction,
}

impl Token<'_> {
    /// What it is, for a line.
    #[must_use]
    pub const fn kind(self) -> &'static str {
        match self {
            Token::Unsigned(_) => "an unsigned integer",
            Token::Signed(_) => "a signed integer",
            Token::Bytes(_) => "a sequence of bytes",
            Token::StartList => "StartList",
            Token::EndList => "EndList",
            Token::StartName => "StartName",
            Token::EndName => "EndName",
            Token::Call => "Call",
            Token::EndOfData => "EndOfData",
            Token::EndOfSession => "EndOfSession",
            Token::StartTransaction => "StartTransaction",
            Token::EndTransaction => "EndTransaction",
        }
    }
}

/// Tokens as they came. After an error there are no more. Empty atoms, which mean nothing, are left out.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Tokens<'a> {
    rest: &'a [u8],
}

impl<'a> Tokens<'a> {
    /// Those of a subpacket.
    #[must_use]
    pub const fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    /// The bytes that are not read yet.
    #[must_use]
    pub const fn rest(&self) -> &'a [u8] {
        self.rest
    }

    fn take(&mut self, length: usize) -> Result<&'a [u8], Error> {
        let (taken, rest) = self.rest.split_at_checked(length).ok_or(Error::Length {
            what: "token",
            says: u64::try_from(length).unwrap_or(u64::MAX),
            came: self.rest.len(),
        })?;
        self.rest = rest;
        Ok(taken)
    }

    fn byte(&mut self) -> Result<u8, Error> {
        self.take(1).map(|byte| byte.first().copied().unwrap_or(0))
    }

    fn token(&mut self, first: u8) -> Result<Token<'a>, Error> {
        match first {
            0x00..=0x3f => Ok(Token::Unsigned(first.into())),
            // Six bits, of which the first is the sign.
            0x40..=0x7f => Ok(Token::Signed(i64::from((first << 2).cast_signed() >> 2))),
            0x80..=0xbf => self.atom(first, 0x20, 0x10, usize::from(first & 0x0f)),
            0xc0..=0xdf => {
                let low = self.byte()?;
                self.atom(first, 0x10, 0x08, usize::from(first & 0x07) << 8 | usize::from(low))
            }
            0xe0..=0xe3 => {
                let length = self.take(3)?.iter().fold(0, |length, byte| length << 8 | usize::from(*byte));
                self.atom(first, 0x02, 0x01, length)
            }
            START_LIST => Ok(Token::StartList),
            END_LIST => Ok(Token::EndList),
            START_NAME => Ok(Token::StartName),
            END_NAME => Ok(Token::EndName),
            CALL => Ok(Token::Call),
            END_OF_DATA => Ok(Token::EndOfData),
            END_OF_SESSION => Ok(Token::EndOfSession),
            START_TRANSACTION => Ok(Token::StartTransaction),
            END_TRANSACTION => Ok(Token::EndTransaction),
            reserved => Err(Error::Reserved(reserved)),
        }
    }

    /// An atom of so many bytes, whose first byte has these bits for bytes and for the sign.
    fn atom(&mut self, first: u8, bytes: u8, sign: u8, length: usize) -> Result<Token<'a>, Error> {
        let signed = first & sign != 0;
        if first & bytes != 0 {
            return if signed { Err(Error::Reserved(first)) } else { self.take(length).map(Token::Bytes) };
        }
        let data = self.take(length)?;
        // Leading zeros are a waste, and no lie; a TPer may have fields of a fixed size. Of a sign nothing may be cut.
        let lead = data.iter().position(|byte| *byte != 0 || signed).unwrap_or(data.len());
        let digits = data.get(lead..).unwrap_or_default();
        if digits.is_empty() && (length == 0 || signed) || digits.len() > 8 {
            return Err(Error::Integer(length));
        }
        let number = digits.iter().fold(0_u64, |number, byte| number << 8 | u64::from(*byte));
        if !signed {
            return Ok(Token::Unsigned(number));
        }
        let unused =
            u32::try_from(digits.len()).map_or(0, |bytes| 64_u32.saturating_sub(bytes.saturating_mul(8)));
        Ok(Token::Signed(number.wrapping_shl(unused).cast_signed().wrapping_shr(unused)))
    }
}

impl<'a> Iterator for Tokens<'a> {
    type Item = Result<Token<'a>, Error>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let (first, rest) = self.rest.split_first()?;
            self.rest = rest;
            if *first == EMPTY {
                continue;
            }
            let token = self.token(*first);
            if token.is_err() {
                self.rest = &[];
            }
            return Some(token);
        }
    }
}

/// Writes tokens, in the shortest form of each, and puts them into their envelope. It never grows, so that a password stays in one place, and
/// is wiped. What does not fit is left out, and said at the end.
pub struct Encoder {
    /// The headers, then the tokens.
    buffer: Zeroizing<Vec<u8>>,
    size: usize,
    full: bool,
}

/// Without its bytes: passwords are among them.
impl fmt::Debug for Encoder {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Encoder of {} bytes", self.buffer.len())
    }
}

impl Default for Encoder {
    fn default() -> Self {
        Self::new()
    }
}

impl Encoder {
    /// For a ComPacket that anybody takes.
    #[must_use]
    pub fn new() -> Self {
        Self::with_size(super::COM_PACKET_SIZE)
    }

    /// For a ComPacket of at most so many bytes.
    #[must_use]
    pub fn with_size(size: usize) -> Self {
        let mut buffer = Zeroizing::new(Vec::with_capacity(size.max(HEADERS)));
        buffer.resize(HEADERS, 0);
        Self { buffer, size, full: false }
    }

    /// The tokens so far.
    #[must_use]
    pub fn tokens(&self) -> &[u8] {
        self.buffer.get(HEADERS..).unwrap_or_default()
    }

    /// The whole ComPacket, padded to four bytes.
    ///
    /// # Errors
    ///
    /// When something did not fit.
    pub fn com_packet(mut self, envelope: Envelope) -> Result<Zeroizing<Vec<u8>>, Error> {
        let tokens = self.tokens().len();
        let padding = self.buffer.len().wrapping_neg() & 3;
        self.put([0; 3].get(..padding).unwrap_or_default());
        if self.full {
            return Err(Error::Full(self.size));
        }
        envelope.write(&mut self.buffer, tokens);
        Ok(self.buffer)
    }

    /// An unsigned integer.
    pub fn unsigned(&mut self, number: u64) -> &mut Self {
        if number <= TINY_MAX {
            return self.control(number.to_le_bytes()[0]);
        }
        let bytes = number.to_be_bytes();
        let lead = bytes.iter().position(|byte| *byte != 0).unwrap_or(7);
        // Of 1, 2, 4 or 8 bytes, which is what a reader with fixed widths expects.
        let length = bytes.len().saturating_sub(lead).next_power_of_two();
        self.put(&[0x80 | length.to_le_bytes()[0]]);
        self.put(bytes.get(bytes.len().saturating_sub(length)..).unwrap_or_default())
    }

    /// A boolean, which is an integer (Core 5.1.3).
    pub fn boolean(&mut self, value: bool) -> &mut Self {
        self.unsigned(value.into())
    }

    /// A sequence of bytes.
    pub fn bytes(&mut self, bytes: &[u8]) -> &mut Self {
        let [low, middle, high, ..] = bytes.len().to_le_bytes();
        match bytes.len() {
            length if length <= SHORT_MAX => self.put(&[0xa0 | low]),
            length if length <= MEDIUM_MAX => self.put(&[0xd0 | middle, low]),
            length if length <= LONG_MAX => self.put(&[0xe2, high, middle, low]),
            _ => {
                self.full = true;
                return self;
            }
        };
        self.put(bytes)
    }

    /// A UID.
    pub fn uid(&mut self, uid: Uid) -> &mut Self {
        self.bytes(&uid.bytes())
    }

    /// StartList.
    pub fn start_list(&mut self) -> &mut Self {
        self.control(START_LIST)
    }

    /// EndList.
    pub fn end_list(&mut self) -> &mut Self {
        self.control(END_LIST)
    }

    /// StartName.
    pub fn start_name(&mut self) -> &mut Self {
        self.control(START_NAME)
    }

    /// EndName.
    pub fn end_name(&mut self) -> &mut Self {
        self.control(END_NAME)
    }

    /// A value with a number for a name.
    pub fn named(&mut self, name: u64, value: impl FnOnce(&mut Self)) -> &mut Self {
        self.start_name().unsigned(name);
        value(self);
        self.end_name()
    }

    /// A list.
    pub fn list(&mut self, values: impl FnOnce(&mut Self)) -> &mut Self {
        self.start_list();
        values(self);
        self.end_list()
    }

    /// A method invocation with its parameters, and a status list that says nothing is wrong (Core 3.2.4.1).
    pub fn call(&mut self, object: Uid, method: Uid, parameters: impl FnOnce(&mut Self)) -> &mut Self {
        self.control(CALL).uid(object).uid(method).list(parameters).status(MethodStatus::SUCCESS)
    }

    /// An answer to a method of a session, with its results (Core 3.2.4.2).
    pub fn answer(&mut self, status: MethodStatus, results: impl FnOnce(&mut Self)) -> &mut Self {
        self.list(results).status(status)
    }

    /// EndOfData, and the status list.
    pub fn status(&mut self, status: MethodStatus) -> &mut Self {
        self.control(END_OF_DATA).start_list().unsigned(status.0.into()).unsigned(0).unsigned(0).end_list()
    }

    /// EndOfSession.
    pub fn end_of_session(&mut self) -> &mut Self {
        self.control(END_OF_SESSION)
    }

    /// Call alone, for what is no regular invocation.
    pub fn start_call(&mut self) -> &mut Self {
        self.control(CALL)
    }

    /// EndOfData alone.
    pub fn end_of_data(&mut self) -> &mut Self {
        self.control(END_OF_DATA)
    }

    /// One byte as it is.
    fn control(&mut self, token: u8) -> &mut Self {
        self.put(&[token])
    }

    fn put(&mut self, bytes: &[u8]) -> &mut Self {
        if self.full || bytes.len() > self.size.saturating_sub(self.buffer.len()) {
            self.full = true;
        } else {
            self.buffer.extend_from_slice(bytes);
        }
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn tokens(bytes: &[u8]) -> Vec<Result<Token<'_>, Error>> {
        Tokens::new(bytes).collect()
    }

    fn written(write: impl FnOnce(&mut Encoder)) -> Vec<u8> {
        let mut encoder = Encoder::with_size(1 << 17);
        write(&mut encoder);
        assert!(!encoder.full);
        encoder.tokens().to_vec()
    }

    #[test]
    fn integers_are_read() {
        for (bytes, number) in [
            (&[0x00][..], 0),
            (&[0x3f], 63),
            (&[0x81, 0x40], 64),
            (&[0x82, 0x12, 0x34], 0x1234),
            (&[0x83, 1, 0, 0], 0x1_0000),
            (&[0x88, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff], u64::MAX),
            (&[0x89, 0, 1, 2, 3, 4, 5, 6, 7, 8], 0x0102_0304_0506_0708),
            (&[0x82, 0, 0], 0),
            (&[0xc0, 1, 7], 7),
            (&[0xe0, 0, 0, 2, 1, 0], 256),
        ] {
            assert_eq!(tokens(bytes), [Ok(Token::Unsigned(number))], "{bytes:x?}");
        }
        for (bytes, number) in [
            (&[0x40][..], 0),
            (&[0x5f], 31),
            (&[0x60], -32),
            (&[0x7f], -1),
            (&[0x91, 0x80], -128),
            (&[0x92, 0x7f, 0xff], 32767),
            (&[0x98, 0x80, 0, 0, 0, 0, 0, 0, 0], i64::MIN),
            (&[0xc8, 1, 0xfe], -2),
            (&[0xe1, 0, 0, 1, 0xfd], -3),
        ] {
            assert_eq!(tokens(bytes), [Ok(Token::Signed(number))], "{bytes:x?}");
        }
    }

    #[test]
    fn bytes_and_control_tokens_are_read() {
        assert_eq!(tokens(&[0xa0]), [Ok(Token::Bytes(&[]))]);
        assert_eq!(tokens(&[0xa3, 1, 2, 3, 0xff, 5]), [Ok(Token::Bytes(&[1, 2, 3])), Ok(Token::Unsigned(5))]);
        assert_eq!(tokens(&[0xd0, 2, 0xfe, 0xff]), [Ok(Token::Bytes(&[0xfe, 0xff]))]);
        let mut medium = vec![0xd1, 0x02];
        medium.resize(260, 7);
        assert_eq!(tokens(&medium), [Ok(Token::Bytes(&[7; 258]))]);
        assert_eq!(tokens(&[0xe2, 0, 0, 1, 9]), [Ok(Token::Bytes(&[9]))]);
        let controls = [0xf0, 0xf1, 0xf2, 0xf3, 0xf8, 0xf9, 0xfa, 0xfb, 0xfc];
        let names = [
            Token::StartList,
            Token::EndList,
            Token::StartName,
            Token::EndName,
            Token::Call,
            Token::EndOfData,
            Token::EndOfSession,
            Token::StartTransaction,
            Token::EndTransaction,
        ];
        assert_eq!(tokens(&controls), names.map(Ok));
    }

    #[test]
    fn what_is_no_token_ends_all() {
        for (bytes, error) in [
            (&[0xe4, 1][..], Error::Reserved(0xe4)),
            (&[0xfd, 1], Error::Reserved(0xfd)),
            (&[0xb1, 1, 1], Error::Reserved(0xb1)),
            (&[0xd8, 1, 1], Error::Reserved(0xd8)),
            (&[0xe3, 0, 0, 1, 1], Error::Reserved(0xe3)),
            (&[0x80], Error::Integer(0)),
            (&[0x90], Error::Integer(0)),
            (&[0x89, 1, 0, 0, 0, 0, 0, 0, 0, 0], Error::Integer(9)),
            (&[0xa3, 1, 2], Error::Length { what: "token", says: 3, came: 2 }),
            (&[0xd7, 0xff, 1], Error::Length { what: "token", says: 0x7ff, came: 1 }),
            (&[0xe2, 0xff, 0xff, 0xff], Error::Length { what: "token", says: 0xff_ffff, came: 0 }),
            (&[0xe2, 0xff], Error::Length { what: "token", says: 3, came: 1 }),
            (&[0xd0], Error::Length { what: "token", says: 1, came: 0 }),
        ] {
            assert_eq!(tokens(bytes), [Err(error)], "{bytes:x?}");
        }
    }

    #[test]
    fn tokens_are_written_in_their_shortest_form() {
        for (number, bytes) in [
            (0, &[0x00][..]),
            (63, &[0x3f]),
            (64, &[0x81, 0x40]),
            (255, &[0x81, 0xff]),
            (256, &[0x82, 1, 0]),
            (0x1_0000, &[0x84, 0, 1, 0, 0]),
            (0x1_0000_0000, &[0x88, 0, 0, 0, 1, 0, 0, 0, 0]),
        ] {
            assert_eq!(written(|to| _ = to.unsigned(number)), bytes);
        }
        assert_eq!(written(|to| _ = to.bytes(&[])), [0xa0]);
        assert_eq!(written(|to| _ = to.bytes(&[5; 15]))[..2], [0xaf, 5]);
        assert_eq!(written(|to| _ = to.bytes(&[5; 16]))[..3], [0xd0, 16, 5]);
        assert_eq!(written(|to| _ = to.bytes(&[5; 2047]))[..3], [0xd7, 0xff, 5]);
        assert_eq!(written(|to| _ = to.bytes(&[5; 2048]))[..5], [0xe2, 0, 8, 0, 5]);
        assert_eq!(written(|to| _ = to.boolean(true).boolean(false)), [1, 0]);
    }

    #[test]
    fn what_does_not_fit_is_an_error() {
        let mut encoder = Encoder::with_size(HEADERS + 4);
        encoder.bytes(&[1; 4]);
        assert_eq!(encoder.com_packet(Envelope::default()).err(), Some(Error::Full(HEADERS + 4)));
        let mut encoder = Encoder::with_size(HEADERS + 4);
        encoder.bytes(&[1; 3]);
        assert_eq!(encoder.com_packet(Envelope::default()).unwrap().len(), HEADERS + 4);
        // Five bytes, and no room to pad them.
        let mut encoder = Encoder::with_size(HEADERS + 6);
        encoder.bytes(&[1; 4]);
        assert!(encoder.com_packet(Envelope::default()).is_err());
    }

    proptest! {
        #[test]
        fn any_bytes_are_tokens_or_an_error(bytes: Vec<u8>) {
            let mut left = bytes.len();
            let mut tokens = Tokens::new(&bytes);
            while let Some(token) = tokens.next() {
                prop_assert!(tokens.rest().len() < left);
                left = tokens.rest().len();
                prop_assert!(token.is_ok() || left == 0);
            }
        }

        #[test]
        fn what_is_written_is_read(number: u64, bytes: Vec<u8>) {
            let both = written(|to| _ = to.unsigned(number).bytes(&bytes));
            prop_assert_eq!(tokens(&both), [Ok(Token::Unsigned(number)), Ok(Token::Bytes(&bytes))]);
        }
    }
}

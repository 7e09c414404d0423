//! Values: what tokens come to (Core 3.2.2.3). An atom, a list of values, or a value with a name.

use super::{DEPTH, Error, Token, Tokens, Uid};

/// A value.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Value<'a> {
    /// An integer.
    Unsigned(u64),
    /// An integer with a sign.
    Signed(i64),
    /// A sequence of bytes.
    Bytes(&'a [u8]),
    /// A list.
    List(Values<'a>),
    /// What is between StartName and EndName: a name and a value, [`Values::pair`].
    Named(Values<'a>),
}

/// Values one after the other. What is in a list was looked through for its end, but is read when it is asked for. After an error there are
/// no more.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Values<'a> {
    tokens: Tokens<'a>,
}

impl<'a> Value<'a> {
    /// What it is, for a line.
    #[must_use]
    pub const fn kind(self) -> &'static str {
        match self {
            Value::Unsigned(_) => "an unsigned integer",
            Value::Signed(_) => "a signed integer",
            Value::Bytes(_) => "a sequence of bytes",
            Value::List(_) => "a list",
            Value::Named(_) => "a named value",
        }
    }

    /// The integer that it is.
    ///
    /// # Errors
    ///
    /// If it is something else.
    pub const fn unsigned(self) -> Result<u64, Error> {
        match self {
            Value::Unsigned(number) => Ok(number),
            other => Err(other.instead_of("an unsigned integer")),
        }
    }

    /// The boolean that it is: 0 or 1.
    ///
    /// # Errors
    ///
    /// If it is something else.
    pub const fn boolean(self) -> Result<bool, Error> {
        match self {
            Value::Unsigned(number @ 0..=1) => Ok(number == 1),
            other => Err(other.instead_of("a boolean")),
        }
    }

    /// The bytes that it is.
    ///
    /// # Errors
    ///
    /// If it is something else.
    pub const fn bytes(self) -> Result<&'a [u8], Error> {
        match self {
            Value::Bytes(bytes) => Ok(bytes),
            other => Err(other.instead_of("a sequence of bytes")),
        }
    }

    /// The UID that it is.
    ///
    /// # Errors
    ///
    /// If it is something else.
    pub fn uid(self) -> Result<Uid, Error> {
        let bytes: Result<[u8; 8], _> = self.bytes()?.try_into();
        bytes.map(Uid::from_bytes).map_err(|_| self.instead_of("a UID"))
    }

    /// The list that it is.
    ///
    /// # Errors
    ///
    /// If it is something else.
    pub const fn list(self) -> Result<Values<'a>, Error> {
        match self {
            Value::List(values) => Ok(values),
            other => Err(other.instead_of("a list")),
        }
    }

    const fn instead_of(self, what: &'static str) -> Error {
        Error::Unexpected { what, came: self.kind() }
    }
}

impl<'a> Values<'a> {
    /// The values that these tokens are.
    #[must_use]
    pub const fn new(tokens: Tokens<'a>) -> Self {
        Self { tokens }
    }

    /// The next one, which must be there.
    ///
    /// # Errors
    ///
    /// If it is not, or is none.
    pub fn value(&mut self) -> Result<Value<'a>, Error> {
        self.next().unwrap_or(Err(Error::Unexpected { what: "a value", came: "the end" }))
    }

    /// A name and its value, and nothing more.
    ///
    /// # Errors
    ///
    /// If it is not that.
    pub fn pair(mut self) -> Result<(Value<'a>, Value<'a>), Error> {
        let pair = (self.value()?, self.value()?);
        self.finish().map(|()| pair)
    }

    /// The value whose name is this number, among named values; others are passed over.
    ///
    /// # Errors
    ///
    /// If what comes before it is no value.
    pub fn named(self, name: u64) -> Result<Option<Value<'a>>, Error> {
        for value in self {
            if let Value::Named(pair) = value? {
                let (key, value) = pair.pair()?;
                if key == Value::Unsigned(name) {
                    return Ok(Some(value));
                }
            }
        }
        Ok(None)
    }

    /// The next token as it is, for what is no value.
    ///
    /// # Errors
    ///
    /// If there is none.
    pub(super) fn token(&mut self) -> Result<Token<'a>, Error> {
        self.tokens.next().unwrap_or(Err(Error::Unexpected { what: "a token", came: "the end" }))
    }

    /// That there are no more.
    ///
    /// # Errors
    ///
    /// If there are.
    pub fn finish(mut self) -> Result<(), Error> {
        match self.next() {
            None => Ok(()),
            Some(Err(error)) => Err(error),
            Some(Ok(value)) => Err(value.instead_of("the end")),
        }
    }

    /// Reads up to the end of what has begun.
    fn until(&mut self, what: &'static str, end: Token<'_>) -> Result<Values<'a>, Error> {
        let inside = self.tokens.rest();
        let mut lists = [false; DEPTH];
        let mut depth = 0_usize;
        loop {
            let before = self.tokens.rest().len();
            let token = self.tokens.next().ok_or(Error::Unexpected { what, came: "the end" })??;
            match token {
                Token::StartList | Token::StartName => {
                    *lists.get_mut(depth).ok_or(Error::Deep)? = token == Token::StartList;
                    depth = depth.saturating_add(1);
                }
                Token::EndList | Token::EndName => {
                    let Some(outer) = depth.checked_sub(1) else {
                        if token != end {
                            return Err(Error::Unexpected { what, came: token.kind() });
                        }
                        let length = inside.len().saturating_sub(before);
                        return Ok(Values::new(Tokens::new(inside.get(..length).unwrap_or_default())));
                    };
                    if lists.get(outer).copied().unwrap_or(false) != (token == Token::EndList) {
                        return Err(Error::Unexpected { what: "the other end", came: token.kind() });
                    }
                    depth = outer;
                }
                Token::Unsigned(_) | Token::Signed(_) | Token::Bytes(_) => {}
                other => return Err(Error::Unexpected { what: "a value", came: other.kind() }),
            }
        }
    }

    fn read(&mut self, token: Result<Token<'a>, Error>) -> Result<Value<'a>, Error> {
        match token? {
            Token::Unsigned(number) => Ok(Value::Unsigned(number)),
            Token::Signed(number) => Ok(Value::Signed(number)),
            Token::Bytes(bytes) => Ok(Value::Bytes(bytes)),
            Token::StartList => self.until("EndList", Token::EndList).map(Value::List),
            Token::StartName => self.until("EndName", Token::EndName).map(Value::Named),
            other => Err(Error::Unexpected { what: "a value", came: other.kind() }),
        }
    }
}

impl<'a> Iterator for Values<'a> {
    type Item = Result<Value<'a>, Error>;

    fn next(&mut self) -> Option<Self::Item> {
        let token = self.tokens.next()?;
        let value = self.read(token);
        if value.is_err() {
            self.tokens = Tokens::new(&[]);
        }
        Some(value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn values(bytes: &[u8]) -> Values<'_> {
        Values::new(Tokens::new(bytes))
    }

    #[test]
    fn values_are_read() {
        // [ 3 = 0x1000, 4 = [ 1, "ab" ] ] 7
        let bytes =
            [0xf0, 0xf2, 3, 0x82, 0x10, 0, 0xf3, 0xf2, 4, 0xf0, 1, 0xa2, b'a', b'b', 0xf1, 0xf3, 0xf1, 7];
        let mut read = values(&bytes);
        let row = read.value().unwrap().list().unwrap();
        assert_eq!(read.value(), Ok(Value::Unsigned(7)));
        assert_eq!(read.finish(), Ok(()));
        assert_eq!(row.named(3).unwrap().unwrap().unsigned(), Ok(0x1000));
        let mut list = row.named(4).unwrap().unwrap().list().unwrap();
        assert_eq!(list.value().unwrap().boolean(), Ok(true));
        assert_eq!(list.value().unwrap().bytes(), Ok(&b"ab"[..]));
        assert_eq!(row.named(5), Ok(None));
        assert_eq!(values(&[0xa8, 0, 0, 0, 9, 0, 0, 0, 6]).value().unwrap().uid(), Ok(Uid::SID));
    }

    #[test]
    fn what_is_something_else_is_an_error() {
        for bytes in [
            &[0xf0][..],
            &[0xf1],
            &[0xf0, 0xf3],
            &[0xf2, 1, 2, 0xf1],
            &[0xf0, 0xf2, 1, 2, 0xf1, 0xf1],
            &[0xf0, 0xf0, 0xf3, 0xf1],
            &[0xf0, 0xf8, 0xf1],
            &[0xf0, 0xa2, 1, 0xf1],
            &[0xf9],
        ] {
            let mut read = values(bytes);
            assert!(read.value().is_err() && read.next().is_none(), "{bytes:x?}");
        }
        let number = Value::Unsigned(2);
        assert!(number.boolean().is_err() && number.bytes().is_err() && number.uid().is_err());
        assert!(number.list().is_err() && Value::Bytes(&[1; 7]).uid().is_err());
        assert!(Value::Bytes(&[1]).unsigned().is_err() && Value::Signed(1).unsigned().is_err());
        assert!(
            values(&[]).value().is_err() && values(&[1]).finish().is_err() && values(&[1]).pair().is_err()
        );
        assert!(values(&[1, 2, 3]).pair().is_err());
        assert!(values(&[0xf2, 1, 0xf3]).named(1).is_err());
    }

    #[test]
    fn lists_end_somewhere() {
        let nested = |deep: usize| [vec![0xf0; deep], vec![0xf1; deep]].concat();
        assert!(values(&nested(DEPTH + 1)).value().is_ok());
        assert_eq!(values(&nested(DEPTH + 2)).value(), Err(Error::Deep));
        assert_eq!(values(&[0xf0; 2048]).value(), Err(Error::Deep));
    }

    fn walk(values: Values<'_>, depth: usize) {
        assert!(depth <= DEPTH + 1);
        for value in values {
            if let Ok(Value::List(inner) | Value::Named(inner)) = value {
                walk(inner, depth + 1);
            }
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_values_or_an_error(bytes: Vec<u8>) {
            walk(values(&bytes), 0);
        }

        #[test]
        fn any_tokens_are_values_or_an_error(bytes in prop::collection::vec(
            prop::sample::select(vec![0xf0, 0xf1, 0xf2, 0xf3, 0xf8, 0xf9, 0, 0xa1, 0xff]), 0..200)) {
            walk(values(&bytes), 0);
        }
    }
}

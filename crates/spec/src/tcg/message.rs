//! What one subpacket says (Core 3.2.4, 3.3.7): a method invocation, the answer to one, or the session's end.

use super::{Error, MethodStatus, Token, Tokens, Uid, Values};

/// What one subpacket says.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Message<'a> {
    /// A method invocation. The session manager's answers are invocations too (SyncSession, CloseSession).
    Call {
        /// What the method is invoked on.
        object: Uid,
        /// The method.
        method: Uid,
        /// What is given to it.
        parameters: Values<'a>,
        /// Other than 0 if the invocation is the session manager's answer, and something was wrong; or if the host calls it back.
        status: MethodStatus,
    },
    /// The answer to a method of a session.
    Answer {
        /// What the method gave.
        results: Values<'a>,
        /// How it ended.
        status: MethodStatus,
    },
    /// The session's end.
    EndOfSession,
}

impl<'a> Message<'a> {
    /// Reads what a subpacket says, all of it: one message, and nothing after it.
    ///
    /// # Errors
    ///
    /// If it is something else.
    pub fn read(tokens: &'a [u8]) -> Result<Self, Error> {
        let mut rest = Tokens::new(tokens);
        let first = rest.next().ok_or(Error::Unexpected { what: "a message", came: "nothing" })??;
        let message = match first {
            Token::EndOfSession => {
                return match rest.next() {
                    None => Ok(Message::EndOfSession),
                    Some(token) => Err(Error::Unexpected { what: "the end", came: token?.kind() }),
                };
            }
            Token::Call => {
                let mut values = Values::new(rest);
                let (object, method) = (values.value()?.uid()?, values.value()?.uid()?);
                let parameters = values.value()?.list()?;
                Message::Call { object, method, parameters, status: read_status(&mut values)? }
            }
            Token::StartList => {
                let mut values = Values::new(Tokens::new(tokens));
                let results = values.value()?.list()?;
                Message::Answer { results, status: read_status(&mut values)? }
            }
            other => return Err(Error::Unexpected { what: "a message", came: other.kind() }),
        };
        Ok(message)
    }
}

/// EndOfData, and the list after it.
fn read_status(values: &mut Values<'_>) -> Result<MethodStatus, Error> {
    match values.token()? {
        Token::EndOfData => {}
        other => return Err(Error::Unexpected { what: "EndOfData", came: other.kind() }),
    }
    let mut list = values.value()?.list()?;
    let status = list.value()?.unsigned()?;
    values.finish()?;
    // No status of more than a byte is known; the largest means failure.
    Ok(MethodStatus(u8::try_from(status).unwrap_or(MethodStatus::FAIL.0)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tcg::{Encoder, Value};
    use proptest::prelude::*;

    /// By hand from Core 5.2.3.1 and Opal 5.1.1: StartSession of SID at the Admin SP with the password "pw".
    const START_SESSION: [u8; 61] = [
        0xf8, 0xa8, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xa8, 0, 0, 0, 0, 0, 0, 0xff, 0x02, // SMUID.StartSession
        0xf0, 0x81, 0x4e, 0xa8, 0, 0, 2, 5, 0, 0, 0, 1, 1, // HostSessionID, SPID, Write
        0xf2, 0, 0xa2, b'p', b'w', 0xf3, // HostChallenge
        0xf2, 3, 0xa8, 0, 0, 0, 9, 0, 0, 0, 6, 0xf3, // HostSigningAuthority
        0xf1, 0xf9, 0xf0, 0, 0, 0, 0xf1, 0xff, 0xff, 0xff, 0xff,
    ];

    #[test]
    fn an_invocation_is_read_and_written() {
        let Ok(Message::Call { object, method, mut parameters, status }) = Message::read(&START_SESSION)
        else {
            panic!("{:?}", Message::read(&START_SESSION));
        };
        assert_eq!(
            (object, method, status),
            (Uid::SESSION_MANAGER, Uid::START_SESSION, MethodStatus::SUCCESS)
        );
        assert_eq!(parameters.value(), Ok(Value::Unsigned(0x4e)));
        assert_eq!(parameters.value().unwrap().uid(), Ok(Uid::ADMIN_SP));
        assert_eq!(parameters.value().unwrap().boolean(), Ok(true));
        assert_eq!(parameters.named(0).unwrap(), Some(Value::Bytes(b"pw")));
        assert_eq!(parameters.named(3).unwrap().unwrap().uid(), Ok(Uid::SID));

        let mut encoder = Encoder::new();
        encoder.call(Uid::SESSION_MANAGER, Uid::START_SESSION, |to| {
            to.unsigned(0x4e).uid(Uid::ADMIN_SP).boolean(true);
            to.named(0, |to| _ = to.bytes(b"pw")).named(3, |to| _ = to.uid(Uid::SID));
        });
        assert_eq!(encoder.tokens(), &START_SESSION[..57]);
    }

    #[test]
    fn an_answer_is_read_and_written() {
        // A row with column 3 "msid", and SUCCESS.
        let bytes =
            [0xf0, 0xf0, 0xf2, 3, 0xa4, b'm', b's', b'i', b'd', 0xf3, 0xf1, 0xf1, 0xf9, 0xf0, 0, 0, 0, 0xf1];
        let Ok(Message::Answer { mut results, status }) = Message::read(&bytes) else { panic!() };
        assert_eq!(status, MethodStatus::SUCCESS);
        let row = results.value().unwrap().list().unwrap();
        assert_eq!(row.named(3), Ok(Some(Value::Bytes(b"msid"))));
        let mut encoder = Encoder::new();
        encoder.answer(MethodStatus::SUCCESS, |to| {
            to.list(|to| _ = to.named(3, |to| _ = to.bytes(b"msid")));
        });
        assert_eq!(encoder.tokens(), bytes);

        let refused = [0xf0, 0xf1, 0xf9, 0xf0, 1, 0, 0, 0xf1];
        let Ok(Message::Answer { status, .. }) = Message::read(&refused) else { panic!() };
        assert_eq!(status, MethodStatus::NOT_AUTHORIZED);
        assert_eq!(Message::read(&[0xfa]), Ok(Message::EndOfSession));
    }

    #[test]
    fn what_is_no_message_is_an_error() {
        for length in 0..START_SESSION.len() - 4 {
            assert!(Message::read(&START_SESSION[..length]).is_err(), "{length}");
        }
        for bytes in [
            &[0xfa, 0xfa][..],
            &[0xf9],
            &[0xf0, 0xf1],
            &[0xf0, 0xf1, 0xf9],
            &[0xf0, 0xf1, 0xf9, 0xf0, 0xf1],
            &[0xf0, 0xf1, 0xf9, 0xf0, 0, 0, 0, 0xf1, 0],
            &[0xf0, 0xf1, 0xf0, 0, 0, 0, 0xf1],
            &[0xf8, 0xa1, 0, 0xa1, 0],
            &[0xfb, 0],
        ] {
            assert!(Message::read(bytes).is_err(), "{bytes:x?}");
        }
        let huge = [0xf0, 0xf1, 0xf9, 0xf0, 0x82, 1, 0, 0, 0, 0xf1];
        assert!(matches!(Message::read(&huge), Ok(Message::Answer { status: MethodStatus::FAIL, .. })));
    }

    proptest! {
        #[test]
        fn any_change_of_a_message_is_read_or_an_error(at in 0..START_SESSION.len(), value: u8, length in 0..START_SESSION.len()) {
            let mut bytes = START_SESSION;
            bytes[at] = value;
            let _ = Message::read(&bytes);
            let _ = Message::read(&bytes[..length]);
        }
    }
}

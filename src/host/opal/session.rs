//! Sessions with a security provider of a TPer (Core 3.3.7): their begin, the methods in them, and their end.

use super::{Error, HostError, Password, Tper, expect};
use spec::tcg::{ComPacket, Encoder, Message, MethodStatus, Uid, Value, Values, parameter};
use std::{
    ops::RangeInclusive,
    sync::atomic::{AtomicU32, Ordering},
};

/// Who signs in.
pub(super) enum Signer<'a> {
    Anybody,
    /// An authority, with its password.
    Authority(Uid, &'a [u8]),
}

/// A session. Who has one ends it: [`Tper::session`].
pub(super) struct Session<'a> {
    tper: Tper<'a>,
    tsn: u32,
    hsn: u32,
}

/// What is read of a row.
pub(super) struct Row<'a> {
    what: &'static str,
    object: Uid,
    values: Values<'a>,
}

impl Password {
    /// Signs in with it.
    pub(super) fn of(&self, authority: Uid) -> Signer<'_> {
        Signer::Authority(authority, &self.0)
    }

    /// To be made a column's value.
    pub(super) fn bytes(&self) -> &[u8] {
        &self.0
    }
}

impl<'a> Tper<'a> {
    /// Works in a session with this SP, which is ended whatever comes of it. The work's error counts more than the end's.
    pub(super) fn session<T>(
        self,
        sp: Uid,
        signer: &Signer<'_>,
        work: impl FnOnce(&Session<'a>) -> Result<T, Error>,
    ) -> Result<T, Error> {
        let session = self.start(sp, signer)?;
        match work(&session) {
            Ok(value) => session.end().map(|()| value),
            Err(error) => {
                session.end_after(&error);
                Err(error)
            }
        }
    }

    /// The same of work that the TPer itself ends the session after, if it succeeds.
    pub(super) fn last_session(
        self,
        sp: Uid,
        signer: &Signer<'_>,
        work: impl FnOnce(&Session<'a>) -> Result<(), Error>,
    ) -> Result<(), Error> {
        let session = self.start(sp, signer)?;
        work(&session).inspect_err(|error| session.end_after(error))
    }

    /// Notes what an exchange of this session that failed may have left.
    fn note(self, session: (u32, u32), error: &Error) {
        if error.leaves_an_answer() {
            self.left.0.set(Some((self.association, session)));
        }
    }

    /// Fetches the answer that was left, and ends the session that it is of. If that cannot be done now, it stays noted.
    fn settle(self) -> Result<(), Error> {
        let left = self.left.0.take().filter(|(association, _)| *association == self.association);
        let Some((_, (mut tsn, hsn))) = left else { return Ok(()) };
        let what = "settling what an earlier command left";
        let settled = match self.answer(what) {
            Ok(answer) => {
                if tsn == 0 {
                    tsn = number_of_session(&answer, hsn).unwrap_or(0);
                }
                Ok(())
            }
            Err(error) if error.leaves_an_answer() => Err(error),
            // There is none, or none that is of any use.
            Err(_) => Ok(()),
        };
        match settled {
            Ok(()) if tsn != 0 => {
                // It notes itself what it leaves.
                let ended = Session { tper: self, tsn, hsn }.end();
                ended.or_else(|error| if error.leaves_an_answer() { Err(error) } else { Ok(()) })
            }
            settled => settled.inspect_err(|error| self.note((tsn, hsn), error)),
        }
    }

    fn start(self, sp: Uid, signer: &Signer<'_>) -> Result<Session<'a>, Error> {
        static NEXT: AtomicU32 = AtomicU32::new(1);
        self.settle()?;
        let what = match signer {
            Signer::Anybody => "StartSession (Anybody)",
            Signer::Authority(Uid::SID, _) => "StartSession (SID)",
            Signer::Authority(Uid::ADMIN1, _) => "StartSession (Admin1)",
            Signer::Authority(..) => "StartSession (a user)",
        };
        // Another one each time, so that a late answer to an earlier one is told from this one's. Not 0, which is no session.
        let hsn = NEXT.fetch_add(1, Ordering::Relaxed).max(1);
        let mut message = Encoder::new();
        message.call(Uid::SESSION_MANAGER, Uid::START_SESSION, |to| {
            to.unsigned(hsn.into()).uid(sp).boolean(true);
            if let Signer::Authority(authority, password) = signer {
                to.named(parameter::HOST_CHALLENGE, |to| _ = to.bytes(password));
                to.named(parameter::HOST_SIGNING_AUTHORITY, |to| _ = to.uid(*authority));
            }
        });
        let begun = self.exchange(what, (0, 0), message, |answer| {
            let mut parameters = match answer {
                Message::Call {
                    object: Uid::SESSION_MANAGER,
                    method: Uid::SYNC_SESSION,
                    parameters,
                    status,
                } => {
                    succeeded(what, status)?;
                    parameters
                }
                // Some refuse it so.
                Message::Answer { status, .. } => {
                    succeeded(what, status)?;
                    return Err(Error::Other { what, came: "no SyncSession" });
                }
                Message::Call { .. } | Message::EndOfSession => {
                    return Err(Error::Other { what, came: "no SyncSession" });
                }
            };
            let mut number = || {
                let number = parameters.value().and_then(Value::unsigned);
                number.map_err(|error| Error::Answer { what, error })
            };
            expect(what, "host session number", hsn, number()?)?;
            let tsn = number()?;
            match u32::try_from(tsn) {
                Ok(tsn) if tsn != 0 => Ok(tsn),
                _ => Err(Error::Other { what, came: "a session of an impossible number" }),
            }
        });
        let tsn = begun.inspect_err(|error| {
            self.note((0, hsn), error);
            self.settle_after(error);
        })?;
        Ok(Session { tper: self, tsn, hsn })
    }

    /// A controller that refused to take or give a message can be spoken to: nothing is left to later, then.
    fn settle_after(self, error: &Error) {
        if let Error::Link(HostError::Command { .. }) = error {
            let _ = self.settle();
        }
    }
}

impl Session<'_> {
    fn exchange<T>(
        &self,
        what: &'static str,
        message: Encoder,
        read: impl FnOnce(Message<'_>) -> Result<T, Error>,
    ) -> Result<T, Error> {
        let session = (self.tsn, self.hsn);
        let answered = self.tper.exchange(what, session, message, read);
        answered.inspect_err(|error| self.tper.note(session, error))
    }

    /// Ends it after work that failed with this.
    fn end_after(&self, error: &Error) {
        if error.leaves_the_session() {
            let _ = self.end();
        } else {
            self.tper.settle_after(error);
        }
    }

    /// Calls a method, and reads what it gives.
    fn call<T>(
        &self,
        what: &'static str,
        object: Uid,
        method: Uid,
        parameters: impl FnOnce(&mut Encoder),
        read: impl FnOnce(Values<'_>) -> Result<T, Error>,
    ) -> Result<T, Error> {
        let mut message = Encoder::new();
        message.call(object, method, parameters);
        self.exchange(what, message, |answer| match answer {
            Message::Answer { results, status } => {
                succeeded(what, status)?;
                read(results)
            }
            Message::EndOfSession => Err(Error::Closed { what }),
            Message::Call { .. } => Err(Error::Other { what, came: "a method invocation" }),
        })
    }

    /// Calls a method that gets nothing and gives nothing.
    pub(super) fn invoke(&self, what: &'static str, object: Uid, method: Uid) -> Result<(), Error> {
        self.call(what, object, method, |_| {}, |_| Ok(()))
    }

    /// Reads columns of a row.
    pub(super) fn get<T>(
        &self,
        what: &'static str,
        object: Uid,
        columns: RangeInclusive<u64>,
        read: impl FnOnce(&Row<'_>) -> Result<T, Error>,
    ) -> Result<T, Error> {
        let cells = |to: &mut Encoder| {
            to.list(|to| {
                to.named(parameter::START_COLUMN, |to| _ = to.unsigned(*columns.start()));
                to.named(parameter::END_COLUMN, |to| _ = to.unsigned(*columns.end()));
            });
        };
        self.call(what, object, Uid::GET, cells, |mut results| {
            let values = results.value().and_then(Value::list);
            read(&Row { what, object, values: values.map_err(|error| Error::Answer { what, error })? })
        })
    }

    /// Sets columns of a row.
    pub(super) fn set(
        &self,
        what: &'static str,
        object: Uid,
        columns: impl FnOnce(&mut Encoder),
    ) -> Result<(), Error> {
        let values = |to: &mut Encoder| _ = to.named(parameter::VALUES, |to| _ = to.list(columns));
        self.call(what, object, Uid::SET, values, |_| Ok(()))
    }

    fn end(&self) -> Result<(), Error> {
        let what = "EndOfSession";
        let mut message = Encoder::new();
        message.end_of_session();
        let ended = self.exchange(what, message, |answer| match answer {
            Message::EndOfSession => Ok(()),
            Message::Answer { status, .. } => succeeded(what, status),
            Message::Call { .. } => Err(Error::Other { what, came: "a method invocation" }),
        });
        match ended {
            // Which is what was wanted.
            Err(Error::Closed { .. }) => Ok(()),
            ended => ended,
        }
    }
}

impl<'a> Row<'a> {
    /// A column's value, as this.
    pub(super) fn column<T>(
        &self,
        column: u64,
        read: impl FnOnce(Value<'a>) -> Result<T, spec::tcg::Error>,
    ) -> Result<T, Error> {
        let (what, object) = (self.what, self.object);
        let unusable = |error| Error::Answer { what, error };
        let value = self.values.named(column).map_err(unusable)?;
        read(value.ok_or(Error::Hidden { what, object, column })?).map_err(unusable)
    }
}

/// The TPer's number of the session that this answer says has begun, by the host's.
fn number_of_session(answer: &[u8], hsn: u32) -> Option<u32> {
    let packet = ComPacket::read(answer).ok()?.packet().ok()??;
    match Message::read(packet.tokens).ok()? {
        Message::Call { method: Uid::SYNC_SESSION, mut parameters, .. } => {
            let mut number = || parameters.value().and_then(Value::unsigned).ok();
            (number()? == u64::from(hsn)).then_some(())?;
            u32::try_from(number()?).ok()
        }
        Message::Call { .. } | Message::Answer { .. } | Message::EndOfSession => None,
    }
}

fn succeeded(what: &'static str, status: MethodStatus) -> Result<(), Error> {
    if status == MethodStatus::SUCCESS { Ok(()) } else { Err(Error::Status { what, status }) }
}

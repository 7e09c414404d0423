//! What is said in ComPackets, the session manager, and who may begin a session (Core 3.3.7, 5.2.3, Opal 4.1.1).

use spec::tcg::packet::{ComPacket, Envelope};
use spec::tcg::uid::parameter;
use spec::tcg::{Encoder, Error, Message, MethodStatus, Uid, Value, Values};

use super::objects::given;
use super::{COM_ID, COM_PACKET_MAX, Erasure, Pin, Session, Sp, Tper, user_of};

/// StartSession's other optional parameters that are taken, and not heeded: SessionTimeout and TransTimeout.
const SESSION_TIMEOUT: u64 = 5;
const TRANSACTION_TIMEOUT: u64 = 6;
/// Properties of a host that are told back at most.
const HOST_PROPERTIES: usize = 32;

/// The properties that a host hears (Core 5.2.2, Opal 4.1.1.1).
const PROPERTIES: [(&str, u64); 12] = [
    ("MaxMethods", 1),
    ("MaxSubpackets", 1),
    ("MaxPacketSize", COM_PACKET_MAX as u64 - 20),
    ("MaxPackets", 1),
    ("MaxComPacketSize", COM_PACKET_MAX as u64),
    ("MaxResponseComPacketSize", COM_PACKET_MAX as u64),
    ("MaxSessions", 1),
    ("MaxIndTokenSize", COM_PACKET_MAX as u64 - 56),
    ("MaxAuthentications", 2),
    ("MaxTransactionLimit", 1),
    ("DefSessionTimeout", 0),
    ("MaxAggTokenSize", COM_PACKET_MAX as u64 - 56),
];

impl Tper {
    /// Hears a ComPacket of a controller, and has the answer ready. What it cannot make out it does not answer. What is erased by it.
    pub(super) fn hear(&mut self, cntlid: u16, bytes: &[u8], blocks: u64) -> Vec<Erasure> {
        match self.take(cntlid, bytes, blocks) {
            Ok(erased) => erased,
            Err(error) => {
                tracing::debug!(cntlid, %error, "a ComPacket is not answered");
                Vec::new()
            }
        }
    }

    fn take(&mut self, cntlid: u16, bytes: &[u8], blocks: u64) -> Result<Vec<Erasure>, Error> {
        let com_packet = ComPacket::read(bytes)?;
        if (com_packet.com_id, com_packet.com_id_extension) != (COM_ID, 0) {
            return Ok(Vec::new());
        }
        let Some(packet) = com_packet.packet()? else { return Ok(Vec::new()) };
        if (packet.tsn, packet.hsn) == (0, 0) {
            let message = Message::read(packet.tokens)?;
            if let Message::Call { object: Uid::SESSION_MANAGER, method, parameters, .. } = message {
                let mut encoder = Encoder::with_size(COM_PACKET_MAX as usize);
                self.manage(cntlid, method, parameters, &mut encoder);
                self.say(cntlid, Envelope { com_id: COM_ID, ..Envelope::default() }, encoder);
            }
            return Ok(Vec::new());
        }
        let its = |session: &Session| {
            (session.cntlid, session.tsn, session.hsn) == (cntlid, packet.tsn, packet.hsn)
        };
        let Some(session) = self.session.filter(its) else { return Ok(Vec::new()) };
        let mut encoder = Encoder::with_size(COM_PACKET_MAX as usize);
        let mut erased = Vec::new();
        match Message::read(packet.tokens) {
            Ok(Message::EndOfSession) => {
                self.session = None;
                encoder.end_of_session();
            }
            Ok(Message::Call { object, method, parameters, .. }) => {
                match self.invoke(&session, object, method, parameters, blocks) {
                    Ok(outcome) => {
                        encoder.answer(MethodStatus::SUCCESS, |results| outcome.write(results));
                        self.session = self.session.filter(|_| !outcome.ends);
                        erased = outcome.erased;
                    }
                    Err(status) => {
                        tracing::debug!(cntlid, status = status.name(), ?object, ?method, "a method fails");
                        encoder.answer(status, |_| ());
                    }
                }
            }
            // What cannot be made out ends the session (Core 3.3.7.2).
            Ok(Message::Answer { .. }) | Err(_) => {
                tracing::debug!(cntlid, "a session ends, as what came is no method");
                self.session = None;
                encoder.call(Uid::SESSION_MANAGER, Uid::CLOSE_SESSION, |parameters| {
                    parameters.unsigned(session.hsn.into()).unsigned(session.tsn.into());
                });
                self.say(cntlid, Envelope { com_id: COM_ID, ..Envelope::default() }, encoder);
                return Ok(Vec::new());
            }
        }
        let envelope = Envelope { com_id: COM_ID, tsn: session.tsn, hsn: session.hsn, sequence: 0 };
        self.say(cntlid, envelope, encoder);
        Ok(erased)
    }

    fn say(&mut self, cntlid: u16, envelope: Envelope, encoder: Encoder) {
        match encoder.com_packet(envelope) {
            Ok(bytes) => drop(self.answers.insert(cntlid, bytes.to_vec())),
            Err(error) => tracing::warn!(cntlid, %error, "an answer is too long"),
        }
    }

    /// The session manager's methods.
    fn manage(&mut self, cntlid: u16, method: Uid, parameters: Values<'_>, encoder: &mut Encoder) {
        match method {
            Uid::PROPERTIES => properties(parameters, encoder),
            Uid::START_SESSION => {
                let begun = self.begin(cntlid, parameters);
                let status = begun.err().unwrap_or(MethodStatus::SUCCESS);
                encoder.start_call().uid(Uid::SESSION_MANAGER).uid(Uid::SYNC_SESSION);
                encoder.list(|list| {
                    if let Ok(session) = begun {
                        list.unsigned(session.hsn.into()).unsigned(session.tsn.into());
                    }
                });
                encoder.status(status);
            }
            method => {
                encoder.start_call().uid(Uid::SESSION_MANAGER).uid(method).list(|_| ());
                encoder.status(MethodStatus::NOT_AUTHORIZED);
            }
        }
    }

    /// StartSession: HostSessionID, SPID, Write, then what is named.
    fn begin(&mut self, cntlid: u16, mut parameters: Values<'_>) -> Result<Session, MethodStatus> {
        let invalid = MethodStatus::INVALID_PARAMETER;
        let hsn = given(parameters.value().and_then(Value::unsigned))?;
        let hsn = u32::try_from(hsn).map_err(|_| invalid)?;
        let sp = given(parameters.value().and_then(Value::uid))?;
        let write = given(parameters.value().and_then(Value::boolean))?;
        let (mut challenge, mut authority) = (None, Uid::ANYBODY);
        for value in parameters {
            let Value::Named(pair) = given(value)? else { return Err(invalid) };
            let (name, value) = given(pair.pair())?;
            match given(name.unsigned())? {
                parameter::HOST_CHALLENGE => challenge = Some(given(value.bytes())?),
                parameter::HOST_SIGNING_AUTHORITY => authority = given(value.uid())?,
                SESSION_TIMEOUT | TRANSACTION_TIMEOUT => given(value.unsigned()).map(|_| ())?,
                _ => return Err(invalid),
            }
        }
        let sp = match sp {
            Uid::ADMIN_SP => Sp::Admin,
            Uid::LOCKING_SP if self.locking.active => Sp::Locking,
            _ => return Err(invalid),
        };
        if let Some(other) = self.session {
            tracing::debug!(cntlid, other = other.cntlid, "there is a session");
            let same = other.cntlid == cntlid && other.sp != sp;
            return Err(if same { MethodStatus::NO_SESSIONS_AVAILABLE } else { MethodStatus::SP_BUSY });
        }
        if let Some(pin) = self.pin(sp, authority)?
            && challenge != Some(pin.bytes())
        {
            return Err(MethodStatus::NOT_AUTHORIZED);
        }
        self.last_tsn = self.last_tsn.wrapping_add(1).max(1);
        let session = Session { cntlid, tsn: self.last_tsn, hsn, sp, authority, write };
        self.session = Some(session);
        Ok(session)
    }

    /// The password of somebody who may begin a session; Anybody has none.
    fn pin(&self, sp: Sp, authority: Uid) -> Result<Option<&Pin>, MethodStatus> {
        match (sp, authority) {
            (_, Uid::ANYBODY) => Ok(None),
            (Sp::Admin, Uid::SID) => Ok(Some(&self.sid)),
            (Sp::Locking, Uid::ADMIN1) => Ok(Some(&self.locking.admin1)),
            (Sp::Locking, authority) => {
                let user = user_of(authority).and_then(|number| self.locking.user(number));
                let user = user.ok_or(MethodStatus::INVALID_PARAMETER)?;
                if user.enabled { Ok(Some(&user.pin)) } else { Err(MethodStatus::NOT_AUTHORIZED) }
            }
            _ => Err(MethodStatus::INVALID_PARAMETER),
        }
    }
}

/// Properties: the TPer's, and the host's as they were given.
fn properties(parameters: Values<'_>, encoder: &mut Encoder) {
    let host = host_properties(parameters);
    let status = host.as_ref().err().copied().unwrap_or(MethodStatus::SUCCESS);
    let pair = |list: &mut Encoder, name: &[u8], value: u64| {
        list.start_name().bytes(name).unsigned(value).end_name();
    };
    encoder.start_call().uid(Uid::SESSION_MANAGER).uid(Uid::PROPERTIES);
    encoder.list(|list| {
        let Ok(host) = host else { return };
        list.list(|list| PROPERTIES.iter().for_each(|(name, value)| pair(list, name.as_bytes(), *value)));
        list.named(parameter::HOST_PROPERTIES, |list| {
            list.list(|list| host.iter().for_each(|(name, value)| pair(list, name, *value)));
        });
    });
    encoder.status(status);
}

/// The host's properties, as far as they are known here: what the TPer's are called.
fn host_properties(parameters: Values<'_>) -> Result<Vec<(&[u8], u64)>, MethodStatus> {
    let Some(list) = given(parameters.named(parameter::HOST_PROPERTIES))? else { return Ok(Vec::new()) };
    let mut host = Vec::new();
    for value in given(list.list())?.take(HOST_PROPERTIES) {
        let Value::Named(pair) = given(value)? else { return Err(MethodStatus::INVALID_PARAMETER) };
        let (name, value) = given(pair.pair())?;
        let (name, value) = (given(name.bytes())?, given(value.unsigned())?);
        if PROPERTIES.iter().any(|(known, _)| known.as_bytes() == name) {
            host.push((name, value));
        }
    }
    Ok(host)
}

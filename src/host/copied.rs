//! Commands of the program whose data are copied, so that they may be in any memory: most admin commands, and those I/O commands whose
//! data are lists and not blocks.
//!
//! Each command has a buffer of its own, registered for the one right that it needs: what a key of it opens is this command's
//! data, and of a borrowed one perhaps the end of what an earlier command of the connection had there. An I/O command borrows it from the pool of its connection, so that a stream of them registers nothing; one for
//! which the pool has none, and each admin command, registers its own. The buffer is the command's until that has ended, however long
//! a controller keeps it (T119, T120), and the program's memory is touched before the call returns, or right before its callback, and at
//! no other time.

use super::{Controller, Error, IoQpair, admin::Window};
use crate::{
    memory::Lent,
    transport::{self, Completer, Payload, Qpair},
};
use spec::{Command, Completion, opcode::DataTransfer};
use std::rc::Rc;
use verbs::{Access, Memory, RegisteredMemory};

/// The data of a command, which go the way that its opcode says (Base 2.0, 3.3.3.1).
#[derive(Clone, Copy)]
pub enum CopiedData<'a> {
    /// There are none.
    None,
    /// What the controller gets. For an opcode whose data come from the controller only the length counts.
    Given(&'a [u8]),
    /// Room for so many bytes.
    Room(u32),
}

impl CopiedData<'_> {
    /// In bytes.
    fn length(&self) -> usize {
        match self {
            Self::None => 0,
            Self::Given(given) => given.len(),
            Self::Room(length) => *length as usize,
        }
    }
}

/// What a controller has answered with.
#[derive(Default)]
pub struct Received {
    buffer: Option<Buffer>,
    length: usize,
}

/// Where the copy is.
enum Buffer {
    Lent(Lent),
    Own(RegisteredMemory),
}

impl Buffer {
    fn memory(&self) -> Option<&Memory> {
        match self {
            Self::Lent(lent) => lent.memory(),
            Self::Own(memory) => Some(memory),
        }
    }

    fn remote_key(&self) -> Option<u32> {
        match self {
            Self::Lent(lent) => lent.keys().map(|(_, remote)| remote),
            Self::Own(memory) => Some(memory.remote_key()),
        }
    }
}

/// Bytes that are copied at a time.
const CHUNK: usize = 4096;

/// The longest data of one command: the length of a keyed SGL data block has 24 bits (Base 2.0, 4.4.1).
const LONGEST: usize = (1 << 24) - 1;

impl Received {
    /// The data in pieces, each with where it begins. Nothing if the controller gave none.
    pub fn chunks(&self, mut each: impl FnMut(usize, &[u8])) {
        let Some(memory) = self.buffer.as_ref().and_then(Buffer::memory) else { return };
        let mut chunk = [0; CHUNK];
        for begin in (0..self.length).step_by(CHUNK) {
            let length = CHUNK.min(self.length.saturating_sub(begin));
            let Some(room) = chunk.get_mut(..length) else { return };
            if memory.read(begin, room) {
                each(begin, room);
            }
        }
    }
}

impl Controller {
    /// Sends an admin command with a copy of its data, which the caller calls by `name`. `told` is called once, from a poll of the Admin Queue, with what the
    /// controller gave if the command succeeded. A refused command tells nobody.
    pub fn submit_admin_copied(
        &self,
        command: Command,
        data: CopiedData<'_>,
        name: *mut (),
        told: impl Fn(&Completion, &Received) + 'static,
    ) -> Result<(), Error> {
        let (payload, completer) = copied(self.admin_queue().qpair(), &command, data, name, told)?;
        self.submit_admin(command, payload, completer)
    }

    /// Sends an admin command with a copy of its data, and waits for the answer, and what the controller gave. Other callbacks of
    /// the Admin Queue run meanwhile. After a timeout the answer is not looked at any more.
    pub fn request_admin(
        &self,
        what: &'static str,
        command: Command,
        data: CopiedData<'_>,
    ) -> Result<(Completion, Received), Error> {
        let qpair = self.admin_queue().qpair();
        let memory = match Need::of(command.opcode(), data)? {
            Some(need) => need.register(qpair)?,
            None => None,
        };
        let Some(memory) = memory else {
            let completion = self.ask(what, command, None)?;
            return Ok((completion, Received::default()));
        };
        let length = data.length();
        let memory = Rc::new(memory);
        let completion = self.ask(what, command, Some(Window::of(&memory, length as u32)))?; // LONGEST at most
        // The command has ended, and its share of the buffer with it.
        let memory = Rc::into_inner(memory).filter(|_| comes_back(command.opcode()));
        Ok((completion, Received { buffer: memory.map(Buffer::Own), length }))
    }
}

impl IoQpair {
    /// As [`Controller::submit_admin_copied`], of an I/O command. A qpair that is not connected refuses it, also while it connects:
    /// there is nothing to register the copy with.
    pub fn submit_copied(
        &self,
        command: Command,
        data: CopiedData<'_>,
        name: *mut (),
        told: impl Fn(&Completion, &Received) + 'static,
    ) -> Result<(), Error> {
        let (payload, completer) = copied(self.transport(), &command, data, name, told)?;
        self.notice_changes();
        Ok(self.transport().submit(&command, payload, completer)?)
    }
}

/// What a command with copied data is submitted with.
fn copied(
    qpair: &Qpair,
    command: &Command,
    data: CopiedData<'_>,
    name: *mut (),
    told: impl Fn(&Completion, &Received) + 'static,
) -> Result<(Payload, Completer), Error> {
    let buffer = match Need::of(command.opcode(), data)? {
        Some(need) => need.meet(qpair)?,
        None => None,
    };
    let received = Received { buffer, length: data.length() };
    let place = received.buffer.as_ref().and_then(|buffer| Some((buffer.memory()?, buffer.remote_key()?)));
    let payload = place.map_or(Payload::None, |(memory, remote_key)| Payload::Registered {
        address: memory.address(),
        length: received.length as u32, // LONGEST at most
        remote_key,
    });
    let is_answered = comes_back(command.opcode());
    let closure = move |completion: &Completion| {
        if is_answered && completion.is_success() {
            told(completion, &received);
        } else {
            told(completion, &Received::default());
        }
    };
    Ok((payload, Completer::Named(Rc::new(closure), name)))
}

/// Whether the controller answers with data.
fn comes_back(opcode: u8) -> bool {
    matches!(DataTransfer::of(opcode), DataTransfer::ControllerToHost | DataTransfer::Bidirectional)
}

/// The buffer that a command needs.
struct Need<'a> {
    given: &'a [u8],
    length: usize,
    access: Access,
}

impl<'a> Need<'a> {
    /// None if the command has no data.
    fn of(opcode: u8, data: CopiedData<'a>) -> Result<Option<Self>, Error> {
        let length = data.length();
        if length > LONGEST {
            let text = format!("{length} bytes of data, of {LONGEST} that one command can have");
            return Err(Error::InvalidArgument(text));
        }
        let given = if let CopiedData::Given(given) = data { given } else { &[] };
        let access = match DataTransfer::of(opcode) {
            DataTransfer::None => return Ok(None),
            DataTransfer::HostToController => Access::RemoteRead,
            DataTransfer::ControllerToHost => Access::RemoteWrite,
            DataTransfer::Bidirectional => Access::Remote,
        };
        Ok((length > 0).then_some(Self { given, length, access }))
    }

    /// A buffer with a copy of what goes to the controller. None from an Admin Queue that still connects.
    fn meet(self, qpair: &Qpair) -> Result<Option<Buffer>, Error> {
        let lent = if qpair.queue_id() == 0 { None } else { qpair.lend(self.length, self.access) };
        let Some(lent) = lent else { return Ok(self.register(qpair)?.map(Buffer::Own)) };
        // What an earlier command left is nobody's answer.
        let is_filled = |memory: &Memory| memory.clear(self.length) && memory.write(0, self.given);
        if lent.memory().is_some_and(is_filled) { Ok(Some(Buffer::Lent(lent))) } else { Err(OUTSIDE) }
    }

    /// The same, always registered for this command alone.
    fn register(self, qpair: &Qpair) -> Result<Option<RegisteredMemory>, Error> {
        if qpair.queue_id() == 0 && !qpair.is_connected() {
            // What is accepted while the Admin Queue connects is aborted once it has: there is nothing to register its data with yet.
            return Ok(None);
        }
        let domain = qpair.domain().ok_or(transport::Error::NotConnected)?;
        let memory =
            RegisteredMemory::new(&domain, self.length, self.access).map_err(transport::Error::from)?;
        if memory.write(0, self.given) { Ok(Some(memory)) } else { Err(OUTSIDE) }
    }
}

const OUTSIDE: Error = Error::Internal("a command's data lie outside of its buffer");

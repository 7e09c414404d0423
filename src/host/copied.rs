//! Commands of the program whose data are copied, so that they may be in any memory: most admin commands, and those I/O commands whose
//! data are lists and not blocks.
//!
//! Each command has a buffer of its own, registered for the one right that it needs: what a key of it opens is this command's
//! data and nothing else. The buffer lives until the command has ended, however long a controller keeps it (T119, T120), and the
//! program's memory is touched before the call returns, or right before its callback, and at no other time.

use super::{Controller, Error, IoQpair, admin::Window};
use crate::transport::{self, Completer, Payload, Qpair};
use spec::{Command, Completion, opcode::DataTransfer};
use std::rc::Rc;
use verbs::{Access, RegisteredMemory};

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

/// What a controller has answered with.
pub struct Received {
    memory: Option<RegisteredMemory>,
    length: usize,
}

/// Bytes that are copied at a time.
const CHUNK: usize = 4096;

/// The longest data of one command: the length of a keyed SGL data block has 24 bits (Base 2.0, 4.4.1).
const LONGEST: usize = (1 << 24) - 1;

impl Received {
    /// The data in pieces, each with where it begins. Nothing if the controller gave none.
    pub fn chunks(&self, mut each: impl FnMut(usize, &[u8])) {
        let Some(memory) = &self.memory else { return };
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
        let received = buffer(self.admin_queue().qpair(), command.opcode(), data)?;
        let length = received.length as u32; // LONGEST at most
        match received.memory {
            None => Ok((self.ask(what, command, None)?, Received { memory: None, length: 0 })),
            Some(memory) => {
                let memory = Rc::new(memory);
                let completion = self.ask(what, command, Some(Window::of(&memory, length)))?;
                // The command has ended, and its share of the buffer with it.
                let memory = Rc::into_inner(memory).filter(|_| comes_back(command.opcode()));
                Ok((completion, Received { memory, length: length as usize }))
            }
        }
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
    let received = buffer(qpair, command.opcode(), data)?;
    let payload = received.memory.as_ref().map_or(Payload::None, |memory| Payload::Registered {
        address: memory.address(),
        length: received.length as u32, // LONGEST at most
        remote_key: memory.remote_key(),
    });
    let is_answered = comes_back(command.opcode());
    let closure = move |completion: &Completion| {
        if is_answered && completion.is_success() {
            told(completion, &received);
        } else {
            told(completion, &Received { memory: None, length: 0 });
        }
    };
    Ok((payload, Completer::Named(Rc::new(closure), name)))
}

/// Whether the controller answers with data.
fn comes_back(opcode: u8) -> bool {
    matches!(DataTransfer::of(opcode), DataTransfer::ControllerToHost | DataTransfer::Bidirectional)
}

/// A buffer for the data of a command, with a copy of what goes to the controller.
fn buffer(qpair: &Qpair, opcode: u8, data: CopiedData<'_>) -> Result<Received, Error> {
    let (given, length) = match data {
        CopiedData::None => return Ok(Received { memory: None, length: 0 }),
        CopiedData::Given(given) => (given, given.len()),
        CopiedData::Room(length) => (&[][..], length as usize),
    };
    if length == 0 {
        return Ok(Received { memory: None, length });
    }
    if length > LONGEST {
        let text = format!("{length} bytes of data, of {LONGEST} that one command can have");
        return Err(Error::InvalidArgument(text));
    }
    let access = match DataTransfer::of(opcode) {
        DataTransfer::None => return Ok(Received { memory: None, length: 0 }),
        DataTransfer::HostToController => Access::RemoteRead,
        DataTransfer::ControllerToHost => Access::RemoteWrite,
        DataTransfer::Bidirectional => Access::Remote,
    };
    if qpair.queue_id() == 0 && !qpair.is_connected() {
        // What is accepted while the Admin Queue connects is aborted once it has: there is nothing to register its data with yet.
        return Ok(Received { memory: None, length });
    }
    let domain = qpair.domain().ok_or(transport::Error::NotConnected)?;
    let memory = RegisteredMemory::new(&domain, length, access).map_err(transport::Error::from)?;
    if !memory.write(0, given) {
        return Err(Error::Internal("a command's data lie outside of its buffer"));
    }
    Ok(Received { memory: Some(memory), length })
}

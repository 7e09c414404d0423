//! I/O qpairs: building reads and writes, and splitting those that are too long for the controller.

use super::{Error, Namespace, PollGroup, options::IoQpairOptions, shared::Shared};
use crate::transport::{self, Callback, Completer, FailureReason, Payload, Qpair};
use spec::{Command, Completion};
use std::{
    cell::Cell,
    ffi::c_void,
    rc::{Rc, Weak},
    sync::Arc,
};

/// An I/O queue pair of a controller, used by one thread at a time.
pub struct IoQpair {
    qpair: Rc<Qpair>,
    shared: Arc<Shared>,
    options: IoQpairOptions,
    tag: Cell<*mut ()>,
    /// Its last end has begun.
    freed: Cell<bool>,
    /// Its last end is over.
    gone: Cell<bool>,
    group: Cell<Weak<PollGroup>>,
}

/// What a namespace command does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Transfer {
    Read,
    Write,
}

/// The bits of `flags` that a read or write may carry in its command dword 12 (NVM Command Set 1.0, 3.2.4).
const IO_FLAGS: u32 = 0xffff_0000;

impl IoQpair {
    pub(super) fn new(qpair: Rc<Qpair>, shared: Arc<Shared>, options: IoQpairOptions) -> Rc<Self> {
        Rc::new(Self {
            qpair,
            shared,
            options,
            tag: Cell::new(std::ptr::null_mut()),
            freed: Cell::new(false),
            gone: Cell::new(false),
            group: Cell::default(),
        })
    }

    /// The queue id.
    pub fn id(&self) -> u16 {
        self.qpair.queue_id()
    }

    /// The options that it was allocated with.
    pub fn options(&self) -> &IoQpairOptions {
        &self.options
    }

    /// A word of the layer above.
    pub fn tag(&self) -> *mut () {
        self.tag.get()
    }

    /// Sets the word of the layer above.
    pub fn set_tag(&self, tag: *mut ()) {
        self.tag.set(tag);
    }

    /// Connects; waits for the end of the attempt unless the qpair is in asynchronous mode.
    pub fn connect(&self) -> Result<(), Error> {
        self.connect_unless(&|| false)
    }

    /// As [`IoQpair::connect`], and asks at each turn of the wait whether the attempt is to be given up.
    pub fn connect_unless(&self, give_up: &dyn Fn() -> bool) -> Result<(), Error> {
        if self.shared.has_failed() || self.freed.get() {
            return Err(Error::ControllerFailed);
        }
        self.qpair.connect()?;
        if !self.options.async_mode {
            self.qpair.wait_until_connected(give_up)?;
        }
        Ok(())
    }

    /// Disconnects; waits for the end and runs the callbacks of aborted requests unless the qpair is in
    /// asynchronous mode: then polling brings it to its end.
    pub fn disconnect(&self) {
        self.qpair.disconnect();
        if !self.options.async_mode {
            self.finish();
        }
    }

    fn finish(&self) {
        self.qpair.wait_until_at_rest();
        self.qpair.deliver(u32::MAX);
    }

    /// Ends the qpair for good: disconnects it, however far that had come, waits until the device is done with its
    /// memory, runs the callbacks that are due, takes it out of its poll group, and gives its queue id back. Whoever is
    /// still in one of its other calls finds it ended. A second call does nothing.
    pub fn free(&self) {
        if self.begin_free() {
            self.qpair.wait_until_at_rest();
            self.finish_free();
        }
    }

    /// Begins what [`IoQpair::free`] does, and calls nobody: so that several may end together. False if it was begun
    /// before. Call [`IoQpair::finish_free`] until that is true.
    pub fn begin_free(&self) -> bool {
        let first = !self.freed.replace(true);
        if first {
            self.qpair.leave_for_good();
        }
        first
    }

    /// One turn of the end that was begun; true when it is over. Runs the callbacks that are due then, which may come
    /// here again.
    pub fn finish_free(&self) -> bool {
        if !self.qpair.is_at_rest_by_now() {
            return false;
        }
        self.qpair.deliver(u32::MAX);
        if self.gone.replace(true) {
            return true;
        }
        if let Some(group) = self.group.take().upgrade() {
            // At rest, and a member: removal cannot be refused.
            if let Err(error) = group.remove(self) {
                tracing::error!("{}: leaving its poll group: {error}", self.qpair.label());
            }
        }
        self.shared.graveyard().give_back(self.id(), self.qpair.take_parting());
        true
    }

    /// Whether requests are being exchanged.
    pub fn is_connected(&self) -> bool {
        self.qpair.is_connected()
    }

    /// Whether there was a connection, or an attempt, and it is over.
    pub fn has_ended(&self) -> bool {
        self.qpair.has_ended()
    }

    /// Whether it was freed, or is being freed.
    pub fn is_freed(&self) -> bool {
        self.freed.get()
    }

    /// Why it is not connected.
    pub fn failure_reason(&self) -> FailureReason {
        self.qpair.failure_reason()
    }

    /// Runs the callbacks of at most `most` finished requests (0: no limit); returns how many ran. An error says
    /// that the qpair is not connected; callbacks of aborted requests ran nevertheless.
    pub fn process_completions(&self, most: u32) -> Result<u32, Error> {
        self.notice_failed_controller();
        Ok(self.qpair.process_completions(most)?)
    }

    /// Another thread may have failed the controller; the qpair's own thread ends the connection.
    pub(super) fn notice_failed_controller(&self) {
        if self.shared.has_failed() && self.qpair.is_connected() {
            self.qpair.fail(FailureReason::Local, "its controller has failed");
        }
    }

    /// Reads `blocks` logical blocks from `lba` on into `buffer`, which must be memory of the environment.
    #[inline]
    pub fn read(
        &self,
        namespace: &Namespace,
        buffer: *mut c_void,
        lba: u64,
        blocks: u32,
        flags: u32,
        callback: Callback,
    ) -> Result<(), Error> {
        self.transfer(Transfer::Read, namespace, buffer, lba, blocks, flags, callback)
    }

    /// Writes `blocks` logical blocks from `lba` on from `buffer`, which must be memory of the environment.
    #[inline]
    pub fn write(
        &self,
        namespace: &Namespace,
        buffer: *mut c_void,
        lba: u64,
        blocks: u32,
        flags: u32,
        callback: Callback,
    ) -> Result<(), Error> {
        self.transfer(Transfer::Write, namespace, buffer, lba, blocks, flags, callback)
    }

    /// Sends a command that the caller has built, with data in memory of the environment.
    pub fn submit(&self, command: Command, payload: Payload, callback: Callback) -> Result<(), Error> {
        Ok(self.qpair.submit(&command, payload, Completer::Callback(callback))?)
    }

    #[inline]
    #[allow(clippy::too_many_arguments)] // they are those of the C function, which has no structure for them
    fn transfer(
        &self,
        transfer: Transfer,
        namespace: &Namespace,
        buffer: *mut c_void,
        lba: u64,
        blocks: u32,
        flags: u32,
        callback: Callback,
    ) -> Result<(), Error> {
        let length = u64::from(blocks) * u64::from(namespace.sector_size());
        if length == 0 || length > u64::from(self.shared.largest_transfer()) || flags & !IO_FLAGS != 0 {
            return self.transfer_unusual(transfer, namespace, buffer, lba, blocks, flags, callback);
        }
        let payload = Payload::Memory { address: buffer.addr() as u64, length: length as u32 };
        let command = build(transfer, namespace.id(), lba, blocks, flags);
        Ok(self.qpair.submit(&command, payload, Completer::Callback(callback))?)
    }

    #[cold]
    #[allow(clippy::too_many_arguments)] // as above
    fn transfer_unusual(
        &self,
        transfer: Transfer,
        namespace: &Namespace,
        buffer: *mut c_void,
        lba: u64,
        blocks: u32,
        flags: u32,
        callback: Callback,
    ) -> Result<(), Error> {
        let invalid = |why: &str| Err(Error::InvalidArgument(why.to_owned()));
        if !namespace.is_active() {
            return invalid("the namespace is not active");
        }
        if blocks == 0 {
            return invalid("a transfer of 0 blocks");
        }
        if flags & !IO_FLAGS != 0 {
            return invalid("I/O flags outside of command dword 12, bits 31:16");
        }
        let each = self.shared.largest_transfer() / namespace.sector_size();
        if each == 0 {
            return invalid("a logical block is longer than the controller's largest transfer");
        }
        self.transfer_split(transfer, namespace, buffer, lba, blocks, each, flags, callback)
    }

    /// Sends a transfer as several commands. The callback runs once, after the last of them, with the first error
    /// if there was one. Either all parts find a request slot or the whole is refused.
    #[allow(clippy::too_many_arguments)] // as above
    fn transfer_split(
        &self,
        transfer: Transfer,
        namespace: &Namespace,
        buffer: *mut c_void,
        lba: u64,
        blocks: u32,
        each: u32,
        flags: u32,
        callback: Callback,
    ) -> Result<(), Error> {
        let parts = blocks.div_ceil(each);
        // What can never be accepted must not be answered with "try again".
        let most = self.qpair.request_count();
        if parts > most {
            let text = format!("a transfer takes {parts} commands, and the qpair has {most} requests");
            return Err(Error::InvalidArgument(text));
        }
        if !self.qpair.has_free_requests(parts as usize) {
            return Err(transport::Error::NoRequests.into());
        }
        let parent = Rc::new(Split { left: Cell::new(parts), result: Cell::new(None), callback });
        let mut sent = 0;
        let mut done = 0;
        while sent < parts {
            let count = each.min(blocks - done);
            let offset = u64::from(done) * u64::from(namespace.sector_size());
            let length = count * namespace.sector_size();
            let payload = Payload::Memory { address: (buffer.addr() as u64).wrapping_add(offset), length };
            let command = build(transfer, namespace.id(), lba.wrapping_add(u64::from(done)), count, flags);
            let part = parent.clone();
            let completer = Completer::Shared(Rc::new(move |completion| part.part_done(completion)));
            match self.qpair.submit(&command, payload, completer) {
                Ok(()) => {}
                Err(error) if sent == 0 => return Err(error.into()),
                Err(error) => {
                    // Parts are on their way, so the transfer was accepted: it ends as failed once they are
                    // done (T111).
                    tracing::error!("{}: part of a long transfer: {error}", self.qpair.label());
                    parent.never_sent(self.id(), parts - sent);
                    return Ok(());
                }
            }
            sent += 1;
            done += count;
        }
        Ok(())
    }

    pub(super) fn transport(&self) -> &Rc<Qpair> {
        &self.qpair
    }

    pub(super) fn set_group(&self, group: Weak<PollGroup>) {
        self.group.set(group);
    }
}

impl Drop for IoQpair {
    fn drop(&mut self) {
        self.free();
    }
}

/// A transfer that went out as several commands.
struct Split {
    left: Cell<u32>,
    result: Cell<Option<Completion>>,
    callback: Callback,
}

impl Split {
    fn part_done(&self, completion: &Completion) {
        self.count(1, completion);
    }

    fn never_sent(&self, queue_id: u16, parts: u32) {
        self.count(parts, &Completion::new(queue_id, 0, spec::Status::INTERNAL_ERROR));
    }

    fn count(&self, parts: u32, completion: &Completion) {
        let worse = match self.result.get() {
            Some(result) if !result.is_success() => result,
            _ => *completion,
        };
        self.result.set(Some(worse));
        self.left.set(self.left.get().saturating_sub(parts));
        if self.left.get() == 0 {
            Completer::Callback(self.callback).complete(&worse);
        }
    }
}

#[inline]
fn build(transfer: Transfer, nsid: u32, lba: u64, blocks: u32, flags: u32) -> Command {
    let mut command = match transfer {
        Transfer::Read => Command::read(nsid, lba, blocks),
        Transfer::Write => Command::write(nsid, lba, blocks),
    };
    if flags != 0 {
        command.set_io_flags(flags);
    }
    command
}

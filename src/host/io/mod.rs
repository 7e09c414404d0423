//! I/O qpairs: reads and writes, polling, and the end.
//!
//! A read or write takes the short way ([`IoQpair::contiguous_named`], in `seen`) if its namespace is the one that the qpair saw last and
//! nothing about it is unusual; the long way is here, and that of transfers that take several commands in `split`.

mod append;
mod data;
mod seen;
mod split;

use super::{
    Error, Namespace,
    group::Members,
    options::IoQpairOptions,
    shared::{Availability, Shared},
};
use crate::transport::{
    self, Completer, Context, FailureReason, Injection, Payload, Piece, Qpair, Ways, Wire,
};
pub(crate) use append::Append;
use data::Source;
pub(crate) use data::{Data, Scatter};
pub(crate) use seen::Shape;
use seen::{InPieces, Seen};
use spec::{Command, NvmOpcode};
use std::{
    cell::Cell,
    ffi::c_void,
    rc::{Rc, Weak},
    sync::Arc,
};

/// An I/O queue pair of a controller, used by one thread at a time.
pub struct IoQpair {
    wire: Rc<Wire>,
    seen: Seen,
    pub(super) shared: Arc<Shared>,
    /// How often its controller's association had ended when it was connected, or that was noticed.
    ends: Cell<u32>,
    /// How often something had changed when that was looked at last.
    changes: Cell<u32>,
    qpair: Rc<Qpair>,
    options: IoQpairOptions,
    tag: Cell<*mut ()>,
    /// Its last end has begun.
    freed: Cell<bool>,
    /// Its last end is over.
    gone: Cell<bool>,
    group: Cell<Weak<Members>>,
    /// Where it is among the group's members.
    place: Cell<usize>,
}

/// Where an I/O queue pair stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// There is neither a connection nor an attempt at one.
    Disconnected,
    /// Its connection is on its way out.
    Disconnecting,
    /// There is an attempt, or another one to come.
    Connecting,
    /// Requests are being exchanged.
    Connected,
    /// It was freed, or is being freed.
    Freed,
}

impl Standing {
    /// Of a qpair that was not freed.
    pub(super) fn of(qpair: &Qpair) -> Self {
        match () {
            () if qpair.is_connected() => Self::Connected,
            () if qpair.is_at_rest() => Self::Disconnected,
            () if qpair.is_draining() => Self::Disconnecting,
            () => Self::Connecting,
        }
    }
}

/// What a namespace command does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Transfer {
    Read,
    Write,
    /// Fails where the blocks are not those of the buffer.
    Compare,
}

impl Transfer {
    #[inline(always)]
    fn opcode(self) -> NvmOpcode {
        match self {
            Self::Read => NvmOpcode::READ,
            Self::Write => NvmOpcode::WRITE,
            Self::Compare => NvmOpcode::COMPARE,
        }
    }
}

/// The bits of `flags` that a command on blocks may carry in its command dword 12 (NVM Command Set 1.0, 3.2.4).
const IO_FLAGS: u32 = 0xffff_0000;

/// The bits of `flags` that say whether a command is the first or the second of two that are fused (Base 2.0, 3.3.3.1).
const FUSE: u32 = 3;
/// What is said of other bits.
const WRONG_FLAGS: &str = "I/O flags outside of command dword 12, bits 31:16";

impl IoQpair {
    pub(super) fn new(qpair: Rc<Qpair>, shared: Arc<Shared>, options: IoQpairOptions) -> Rc<Self> {
        let (asked, there) = (options.queue_requests, qpair.request_count());
        if asked > there {
            tracing::warn!("{}: has {there} requests, not {asked}: a queue can have no more", qpair.label());
        }
        Rc::new(Self {
            wire: qpair.wire().clone(),
            seen: Seen::nothing(),
            ends: Cell::new(shared.ends()),
            changes: Cell::new(shared.changes().wrapping_sub(1)),
            shared,
            qpair,
            options,
            tag: Cell::new(std::ptr::null_mut()),
            freed: Cell::new(false),
            gone: Cell::new(false),
            group: Cell::default(),
            place: Cell::new(0),
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

    /// Requests that were accepted and whose callback did not run yet.
    pub fn requests_in_use(&self) -> usize {
        self.qpair.requests_in_use()
    }

    /// Commands that are with the controller. Walks all requests.
    pub fn commands_out(&self) -> u32 {
        self.qpair.commands_out()
    }

    /// How the data of its commands were reached so far.
    pub fn ways(&self) -> Ways {
        self.qpair.ways()
    }

    /// Whether requests that end with the connection say that they are not to be tried again.
    pub fn set_abort_dnr(&self, dnr: bool) {
        self.qpair.set_abort_dnr(dnr);
    }

    /// Lets commands of an opcode end with an error.
    pub fn inject(&self, injection: Injection) -> Result<(), Error> {
        Ok(self.qpair.inject(injection)?)
    }

    /// Commands of that opcode end as they do, but for those that are held back already.
    pub fn remove_injection(&self, opcode: u8) {
        self.qpair.remove_injection(opcode);
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
        let waits = !self.options.async_mode;
        let _turn = waits.then(|| self.shared.turns().wait_for(give_up)).flatten();
        if self.freed.get() {
            return Err(Error::ControllerFailed);
        }
        let ends = self.shared.ends();
        let association = match self.shared.availability() {
            Availability::There(association) => association,
            Availability::Resetting => return Err(Error::Resetting),
            Availability::NotThere => return Err(Error::ControllerFailed),
        };
        self.notice_changes();
        match self.qpair.associate(&association) {
            Ok(()) => self.ends.set(ends),
            // Then connecting will say in which state it is.
            Err(transport::Error::NotDisconnected) => {}
            Err(error) => return Err(error.into()),
        }
        self.qpair.connect()?;
        if waits {
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

    /// Where it stands.
    pub fn standing(&self) -> Standing {
        if self.is_freed() { Standing::Freed } else { Standing::of(&self.qpair) }
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
    /// that the qpair is not connected; callbacks of aborted requests ran nevertheless. A qpair whose connection is on its way to its end
    /// is brought there within the call; in asynchronous mode polls go on with that and return 0 until it is over, unless the controller
    /// has failed.
    pub fn process_completions(&self, most: u32) -> Result<u32, Error> {
        self.notice_changes();
        let polled = self.qpair.process_completions(most);
        if self.qpair.is_watched() {
            self.tell_late();
        }
        match polled {
            Err(_) if self.qpair.is_draining() && !self.is_freed() => self.poll_draining(),
            polled => Ok(polled?),
        }
    }

    #[cold]
    fn poll_draining(&self) -> Result<u32, Error> {
        if !self.options.async_mode {
            self.finish();
        } else if !self.shared.has_failed() {
            return Ok(0);
        }
        Err(transport::Error::NotConnected.into())
    }

    /// As [`IoQpair::process_completions`], for when there is nothing but completions. None if there is something else, or may
    /// be: then call that.
    #[inline(always)]
    pub(crate) fn poll(&self, most: u32) -> Option<u32> {
        if self.shared.changes() != self.changes.get() { None } else { self.qpair.poll(most) }
    }

    /// What other threads may have done to the controller that concerns its qpairs.
    pub(super) fn notice_changes(&self) {
        let changes = self.shared.changes();
        if self.changes.replace(changes) != changes {
            self.qpair.watch(self.shared.watch().map(|watch| watch.io));
            self.notice_end_of_association();
        }
    }

    /// Another thread may have failed or reset the controller; the qpair's own thread ends the connection.
    fn notice_end_of_association(&self) {
        let ends = self.shared.ends();
        if self.ends.replace(ends) == ends || self.qpair.is_at_rest() || self.qpair.is_draining() {
            return;
        }
        if let Availability::NotThere = self.shared.availability() {
            self.qpair.fail(FailureReason::Local, "its controller has failed");
        } else {
            tracing::info!("{}: ends, since its controller is reset", self.qpair.label());
            self.qpair.end(FailureReason::Local);
        }
    }

    /// Reads `blocks` logical blocks from `lba` on into `buffer`.
    pub fn read(
        &self,
        namespace: &Namespace,
        buffer: *mut c_void,
        lba: u64,
        blocks: u32,
        flags: u32,
        context: Context,
    ) -> Result<(), Error> {
        let name = std::ptr::from_ref(namespace).cast();
        let request = Request { flags, ..Request::new(Transfer::Read, lba, blocks) };
        if self.contiguous_named(name, &request, buffer, context) {
            return Ok(());
        }
        self.transfer(name, namespace, &request, &mut Data::Contiguous(buffer), context)
    }

    /// Writes `blocks` logical blocks from `lba` on from `buffer`.
    pub fn write(
        &self,
        namespace: &Namespace,
        buffer: *mut c_void,
        lba: u64,
        blocks: u32,
        flags: u32,
        context: Context,
    ) -> Result<(), Error> {
        let name = std::ptr::from_ref(namespace).cast();
        let request = Request { flags, ..Request::new(Transfer::Write, lba, blocks) };
        if self.contiguous_named(name, &request, buffer, context) {
            return Ok(());
        }
        self.transfer(name, namespace, &request, &mut Data::Contiguous(buffer), context)
    }

    /// Sends a command that the caller has built, with the data that the payload names.
    pub fn submit(&self, command: Command, payload: Payload, context: Context) -> Result<(), Error> {
        self.notice_changes();
        Ok(self.qpair.submit(&command, payload, Completer::Upcall(context))?)
    }

    /// Sends a command that the caller has built, with `length` bytes of data. It is not split: data in more pieces than one command
    /// can have are refused.
    pub(crate) fn submit_raw(
        &self,
        command: Command,
        data: Option<Data<'_>>,
        length: u32,
        context: Context,
    ) -> Result<(), Error> {
        let Some(mut data) = data else { return self.submit(command, Payload::None, context) };
        self.notice_changes();
        let cut = Source::new(&mut data).cut(length, 1, self.most_pieces())?;
        if cut.length < length {
            return Err(transport::Error::TooManyPieces(self.most_pieces()).into());
        }
        self.submit_pieces(&command, &cut.pieces, Completer::Upcall(context))
    }

    /// The long way of a transfer of the namespace that the caller calls `name`, from where the next ones may take the short way.
    pub(crate) fn transfer(
        &self,
        name: *const (),
        namespace: &Namespace,
        request: &Request,
        data: &mut Data<'_>,
        context: Context,
    ) -> Result<(), Error> {
        if !self.has_seen(name) {
            // What is new of the controller is the same for commands from here on as for those that the next poll finds.
            self.notice_changes();
            self.look_at(name, namespace);
        }
        let most = self.shared.largest_transfer();
        let invalid = |why: &str| Err(Error::InvalidArgument(why.to_owned()));
        let Request { blocks, lba, flags, .. } = *request;
        if !namespace.is_active() {
            return invalid("the namespace is not active");
        }
        if blocks == 0 {
            return invalid("a transfer of 0 blocks");
        }
        if flags & !(IO_FLAGS | FUSE) != 0 {
            return invalid(WRONG_FLAGS);
        }
        let block = self.block_named(name).unwrap_or_else(|| namespace.transferred_size(flags));
        let Some(each) = most.checked_div(block).filter(|each| *each > 0) else {
            return invalid("a logical block is longer than the controller's largest transfer");
        };
        // NLB has 16 bits (NVM Command Set 1.0, figures 50 and 71).
        let limits = Limits { each: each.min(0x1_0000), block, boundary: namespace.optimal_boundary() };
        if limits.first(lba, blocks) == blocks {
            let length = blocks * block;
            let pieces = self.most_pieces();
            let command = build(namespace, request, lba, blocks);
            if let Data::Contiguous(buffer) = data {
                let payload = Payload::Memory { address: buffer.addr() as u64, length };
                return Ok(self.qpair.submit(&command, payload, Completer::Upcall(context))?);
            }
            let cut = Source::new(data).cut(length, block, pieces)?;
            if cut.length == length {
                if flags & FUSE == 0
                    && let Some(head) = self.head_named(request.transfer.opcode(), name)
                    && self.wire.submit(
                        head,
                        request.tail(lba, blocks),
                        InPieces(request.transfer, &cut.pieces),
                        context,
                    )
                {
                    return Ok(());
                }
                return self.submit_pieces(&command, &cut.pieces, Completer::Upcall(context));
            }
        }
        if flags & FUSE != 0 {
            return invalid("a fused command that takes several commands");
        }
        self.transfer_split(name, namespace, request, data, &limits, context)
    }

    /// Pieces that the data of a command may lie in. Before there is a connection the controller's word stands for that of both.
    fn most_pieces(&self) -> u32 {
        let most = self.shared.most_pieces();
        if self.is_connected() { most.min(self.qpair.most_pieces()) } else { most }
    }

    fn submit_pieces(&self, command: &Command, pieces: &[Piece], completer: Completer) -> Result<(), Error> {
        match pieces {
            [Piece { address, length }] => {
                let payload = Payload::Memory { address: *address, length: *length };
                self.qpair.submit(command, payload, completer)?;
            }
            pieces => self.qpair.submit_pieces(command, pieces, completer)?,
        }
        Ok(())
    }

    /// Sends a command on blocks that has no data: write zeroes, verify, write uncorrectable. It is not split.
    pub fn on_blocks(
        &self,
        opcode: NvmOpcode,
        namespace: &Namespace,
        lba: u64,
        blocks: u32,
        flags: u32,
        context: Context,
    ) -> Result<(), Error> {
        if !(1..=0x1_0000).contains(&blocks) {
            let text = format!("{blocks} blocks, of 1 to 65,536 that one command can have");
            return Err(Error::InvalidArgument(text));
        }
        if flags & !(IO_FLAGS | FUSE) != 0 {
            return Err(Error::InvalidArgument(String::from(WRONG_FLAGS)));
        }
        let mut command = Command::new(opcode.0);
        command.set_nsid(namespace.id());
        command.set_lba(lba);
        command.set_block_count(blocks);
        command.set_io_flags(flags & IO_FLAGS);
        command.set_fuse((flags & FUSE) as u8);
        self.submit(command, Payload::None, context)
    }

    pub(super) fn transport(&self) -> &Rc<Qpair> {
        &self.qpair
    }

    /// It is in a group, at this place among the members, or in none.
    pub(super) fn set_group(&self, group: Weak<Members>, place: usize) {
        self.group.set(group);
        self.place.set(place);
    }

    pub(super) fn place(&self) -> usize {
        self.place.get()
    }

    pub(super) fn set_place(&self, place: usize) {
        self.place.set(place);
    }
}

impl Drop for IoQpair {
    fn drop(&mut self) {
        self.free();
    }
}

/// A transfer, but for its namespace and its data.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Request {
    pub(crate) transfer: Transfer,
    pub(crate) lba: u64,
    pub(crate) blocks: u32,
    /// The upper half is that of command dword 12; the lowest two bits are FUSE.
    pub(crate) flags: u32,
    pub(crate) cdw13: u32,
    /// The application tag and, in the upper half, its mask.
    pub(crate) cdw15: u32,
}

impl Request {
    /// A plain one.
    #[inline(always)]
    pub(crate) fn new(transfer: Transfer, lba: u64, blocks: u32) -> Self {
        Self { transfer, lba, blocks, flags: 0, cdw13: 0, cdw15: 0 }
    }

    /// With flags, and these command dwords.
    #[inline(always)]
    pub(crate) fn with(self, flags: u32, cdw13: u32, cdw15: u32) -> Self {
        Self { flags, cdw13, cdw15, ..self }
    }

    /// Dwords 10 to 15 of its command for these blocks, 1 to 65,536 of them, two to a word, without protection information.
    #[inline(always)]
    fn tail(&self, lba: u64, blocks: u32) -> [u64; 3] {
        let dword_12 = blocks.wrapping_sub(1) | self.flags & IO_FLAGS;
        [lba, u64::from(dword_12) | u64::from(self.cdw13) << 32, u64::from(self.cdw15) << 32]
    }
}

/// What one command of a transfer can have.
#[derive(Debug, Clone, Copy)]
struct Limits {
    /// The most logical blocks.
    each: u32,
    /// The bytes of one.
    block: u32,
    /// The blocks between two boundaries that it must not cross; 0 if there are none.
    boundary: u32,
}

impl Limits {
    /// The blocks of the first command for these.
    fn first(&self, lba: u64, blocks: u32) -> u32 {
        let to_boundary = match self.boundary {
            0 => u32::MAX,
            boundary => boundary - (lba % u64::from(boundary)) as u32,
        };
        blocks.min(self.each).min(to_boundary)
    }
}

/// The command for these blocks of a request.
fn build(namespace: &Namespace, request: &Request, lba: u64, blocks: u32) -> Command {
    let nsid = namespace.id();
    let mut command = match request.transfer {
        Transfer::Read => Command::read(nsid, lba, blocks),
        Transfer::Write => Command::write(nsid, lba, blocks),
        Transfer::Compare => Command::compare(nsid, lba, blocks),
    };
    if request.flags != 0 {
        command.set_io_flags(request.flags & IO_FLAGS);
        command.set_fuse((request.flags & FUSE) as u8);
    }
    if let Some(tag) = namespace.reference_tag(lba) {
        command.set_cdw14(tag);
    }
    command.set_cdw13(request.cdw13);
    command.set_cdw15(request.cdw15);
    command
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::{
        namespace::{ControllerFacts, Facts},
        namespaces::Data,
    };
    use spec::namespace::{LbaFormat, NamespaceImage};

    #[test]
    fn flags_and_tags_are_where_the_specification_has_them() {
        let mut image = NamespaceImage::default();
        image
            .set_nsze(1 << 20)
            .set_ncap(1 << 20)
            .set_dps(1)
            .set_lba_format(0, LbaFormat { ms: 8, lbads: 9, rp: 0 });
        let facts = Facts::of(&image.0, None).unwrap().unwrap();
        let namespace = Namespace::new(7, ControllerFacts::default(), facts, Data::default());
        let lba = 0x1_0000_0002;
        let request = Request {
            flags: 0xa000_0001,
            cdw13: 0x1234_0000,
            cdw15: 0xffff_0007,
            ..Request::new(Transfer::Compare, lba, 8)
        };
        let command = build(&namespace, &request, lba, 8);
        assert_eq!((command.cdw13(), command.cdw15()), (0x1234_0000, 0xffff_0007));
        assert_eq!((command.opcode(), command.nsid(), command.fuse()), (NvmOpcode::COMPARE.0, 7, 1));
        assert_eq!((command.lba(), command.cdw12(), command.cdw14()), (0x1_0000_0002, 0xa000_0007, 2));
        let fused = |flags| {
            let request = Request { flags, ..Request::new(Transfer::Write, 0, 1) };
            build(&namespace, &request, 0, 1).fuse()
        };
        assert_eq!((fused(2), fused(0)), (2, 0));
    }

    #[test]
    fn a_command_ends_at_the_next_boundary() {
        let limits = Limits { each: 100, block: 512, boundary: 24 };
        assert_eq!((limits.first(0, 300), limits.first(23, 300), limits.first(24, 300)), (24, 1, 24));
        assert_eq!((limits.first(30, 5), limits.first(u64::MAX, 9)), (5, 9));
        assert_eq!(Limits { boundary: 0, ..limits }.first(7, 300), 100);
        assert_eq!(Limits { boundary: 128, ..limits }.first(0, 300), 100);
    }
}

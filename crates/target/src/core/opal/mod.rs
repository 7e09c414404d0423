//! A TPer of TCG Opal 2.01, without MBR and DataStore: hosts take ownership of a subsystem, cut its blocks into ranges, and lock these.
//!
//! * `mod.rs`: what the TPer is, and the NVMe side: Security Send and Receive (Base 2.0, 5.25, 5.26), and which commands a lock refuses;
//! * `sessions.rs`: ComPackets, the session manager, and who may begin a session;
//! * `objects.rs`: the tables and the methods on them, `access.rs` the expressions that say who may, `ranges.rs` the ranges.
//!
//! What must hold here:
//! * whatever a host sends ends in a method's status, in an answer of nothing, or in the end of its session; what it sends is bounded by
//!   [`COM_PACKET_MAX`], and lists within lists by the codec;
//! * there is one session at a time. It is of one controller, and ends with that one's association or reset; another host gets SP Busy;
//! * an answer goes to the controller that asked, and is one at a time: what is sent before it is fetched is a Command Sequence Error;
//! * a method that fails changes nothing, and what a successful one erases is gone when the Security Send is answered;
//! * nothing outlives the target: at its start everything is as it was made, and no password is written to a log.

mod access;
mod objects;
mod ranges;
mod sessions;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::fmt;

use spec::ranges::{CopyRange, DSM_DEALLOCATE, DatasetRange};
use spec::security::{self, LEVEL_0, PROTOCOLS, encode_protocols};
use spec::tcg::Uid;
use spec::tcg::discovery::{Builder, Geometry, Locking, Opal2, TPer};
use spec::tcg::packet::ComPacket;
use spec::{AdminOpcode, Command, Completion, NvmOpcode, Status};

use self::access::Expression;
use self::ranges::{RANGES, Ranges};
use super::reservations::Access;
use super::step::{Change, DataPointer};
use super::{Core, Namespace, Step, Subsystem, keys::Keys};

/// The one ComID.
const COM_ID: u16 = 0x1000;
/// The largest ComPacket that is taken.
const COM_PACKET_MAX: u32 = 4096;
/// Users of the Locking SP.
const USERS: usize = 8;
/// Bytes of a password at most (Opal 4.3.1.9).
const PIN_MAX: usize = 32;
/// The size of blocks that level 0 discovery tells if there is no namespace.
const BLOCK_SIZE: u32 = 512;

const INVALID_FIELD: Status = Status::INVALID_FIELD.with_dnr(true);
const DENIED: Status = Status::ACCESS_DENIED.with_dnr(true);

/// A password, which is in no log.
#[derive(Clone, Eq, PartialEq)]
struct Pin(Vec<u8>);

impl Pin {
    fn new(bytes: &[u8]) -> Option<Self> {
        (bytes.len() <= PIN_MAX).then(|| Self(bytes.to_vec()))
    }

    fn bytes(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for Pin {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Pin(..)")
    }
}

/// A security provider.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Sp {
    Admin,
    Locking,
}

/// A session.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
struct Session {
    /// The controller that it came by.
    cntlid: u16,
    tsn: u32,
    hsn: u32,
    sp: Sp,
    /// Who has it.
    authority: Uid,
    /// Whether it may change anything.
    write: bool,
}

/// A user of the Locking SP.
#[derive(Clone, Debug)]
struct User {
    enabled: bool,
    pin: Pin,
}

/// The Locking SP.
#[derive(Clone, Debug)]
struct LockingSp {
    active: bool,
    admin1: Pin,
    users: [User; USERS],
    ranges: Ranges,
    /// Those that were set.
    expressions: BTreeMap<Uid, Expression>,
}

impl Default for LockingSp {
    /// As it was made.
    fn default() -> Self {
        Self {
            active: false,
            admin1: Pin(Vec::new()),
            users: std::array::from_fn(|_| User { enabled: false, pin: Pin(Vec::new()) }),
            ranges: Ranges::default(),
            expressions: BTreeMap::new(),
        }
    }
}

impl LockingSp {
    /// A user by its number, from 1.
    fn user(&self, number: usize) -> Option<&User> {
        self.users.get(number.checked_sub(1)?)
    }

    fn user_mut(&mut self, number: usize) -> Option<&mut User> {
        self.users.get_mut(number.checked_sub(1)?)
    }
}

/// The number of a user by its UID.
fn user_of(authority: Uid) -> Option<usize> {
    (1..=USERS).find(|number| Uid::user(*number as u16) == authority)
}

/// Data that a method makes unreadable.
#[derive(Clone, Debug, Eq, PartialEq)]
enum Erasure {
    /// All of the subsystem.
    All,
    /// A range, among these.
    Range(Box<Ranges>, usize),
}

/// A TPer.
#[derive(Debug)]
pub(super) struct Tper {
    msid: Pin,
    sid: Pin,
    locking: LockingSp,
    session: Option<Session>,
    last_tsn: u32,
    /// Answers that are not fetched yet, by controller.
    answers: BTreeMap<u16, Vec<u8>>,
}

impl Tper {
    /// One as it was made, with this password that everybody may read.
    pub(super) fn new(msid: &str) -> Self {
        let msid = Pin(msid.as_bytes().to_vec());
        Self {
            sid: msid.clone(),
            msid,
            locking: LockingSp::default(),
            session: None,
            last_tsn: COM_ID.into(),
            answers: BTreeMap::new(),
        }
    }

    /// A controller is reset, or gone: nothing of its conversation is left.
    pub(super) fn forget(&mut self, cntlid: u16) {
        self.answers.remove(&cntlid);
        self.session = self.session.filter(|session| session.cntlid != cntlid);
    }

    /// Level 0 discovery (Core 3.3.6, Opal 3.1.1), for blocks of this size.
    fn discovery(&self, block_size: u32) -> Vec<u8> {
        let locking = Locking {
            supported: true,
            enabled: self.locking.active,
            locked: self.locking.active && self.locking.ranges.is_any_locked(),
            media_encryption: true,
            ..Locking::default()
        };
        let geometry = Geometry {
            align: false,
            logical_block_size: block_size,
            alignment_granularity: 1,
            lowest_aligned_lba: 0,
        };
        let opal = Opal2 {
            base_com_id: COM_ID,
            com_ids: 1,
            range_crossing: false,
            admins: 1,
            users: USERS as u16,
            initial_pin: 0,
            reverted_pin: 0,
        };
        let tper = TPer { sync: true, streaming: true, com_id_management: false };
        Builder::new().tper(tper).locking(locking).geometry(geometry).opal_2(opal).build()
    }

    /// The answer to what a controller sent, if it fits. If it does not, the host hears how long it is, and may ask again.
    fn answer(&mut self, cntlid: u16, room: usize) -> Vec<u8> {
        let length = self.answers.get(&cntlid).map(Vec::len);
        match length {
            None => ComPacket::empty(COM_ID, 0, 0).to_vec(),
            Some(length) if length > room => {
                let length = u32::try_from(length).unwrap_or(u32::MAX);
                ComPacket::empty(COM_ID, length, length).to_vec()
            }
            Some(_) => self.answers.remove(&cntlid).unwrap_or_default(),
        }
    }

    /// Whether a lock stands in the way.
    fn check(&self, nsid: u32, lba: u64, blocks: u64, access: Access) -> Result<(), Status> {
        let refused = self.locking.active && self.locking.ranges.refuse(nsid, lba, blocks, access);
        if refused { Err(DENIED) } else { Ok(()) }
    }
}

impl Core {
    /// Security Send and Receive, of a subsystem that has a TPer. Of other ones there are no such commands.
    pub(super) fn security(
        &mut self,
        cntlid: u16,
        command: &Command,
        data: DataPointer,
    ) -> Result<Step, Status> {
        let most = self.limits.max_transfer();
        let index = self.controllers.get(&cntlid).and_then(|controller| controller.subsystem);
        let subsystem = index.and_then(|index| self.subsystems.get_mut(index));
        let subsystem = subsystem.ok_or(Status::INVALID_OPCODE.with_dnr(true))?;
        let block_size = subsystem.namespace(1).map_or(BLOCK_SIZE, |namespace| 1 << namespace.block_shift);
        let tper = subsystem.tper.as_mut().ok_or(Status::INVALID_OPCODE.with_dnr(true))?;
        let (protocol, specific) = ((command.cdw10() >> 24) as u8, (command.cdw10() >> 8) as u16);
        let length = command.cdw11();
        if AdminOpcode(command.opcode()) == AdminOpcode::SECURITY_SEND {
            if (protocol, specific) != (security::TCG, COM_ID) || length == 0 || length > COM_PACKET_MAX {
                return Err(INVALID_FIELD);
            }
            // One asks and hears, then asks again (Core 3.3.10.4).
            if tper.answers.contains_key(&cntlid) {
                return Err(Status::COMMAND_SEQUENCE_ERROR);
            }
            return Ok(data.expect(length.into())?.fetch(length));
        }
        if u64::from(length) > most {
            return Err(INVALID_FIELD);
        }
        // An answer is given once: nothing is wrong with the command from here on.
        let remote = data.expect(length.into())?.remote()?;
        let room = length as usize;
        let mut bytes = match (protocol, specific) {
            (PROTOCOLS, 0) => encode_protocols(&[PROTOCOLS, security::TCG]),
            (security::TCG, LEVEL_0) => tper.discovery(block_size),
            (security::TCG, COM_ID) => tper.answer(cntlid, room),
            _ => return Err(INVALID_FIELD),
        };
        // What is behind it in the host's memory reads as zeros, as far as anybody looks.
        bytes.resize(room.min(bytes.len().max(COM_PACKET_MAX as usize)), 0);
        let completion = Completion::new(0, command.cid(), Status::SUCCESS);
        if bytes.is_empty() {
            return Ok(Step::Respond(completion));
        }
        Ok(Step::SendBytes { bytes, remote, completion })
    }

    /// What a Security Send brought is here.
    pub(super) fn secured(
        &mut self,
        index: usize,
        cntlid: u16,
        command: &Command,
        bytes: &[u8],
    ) -> Result<Step, Status> {
        let completion = Completion::new(0, command.cid(), Status::SUCCESS);
        let subsystem = self.subsystems.get_mut(index).ok_or(Status::ABORTED_SQ_DELETION)?;
        let blocks = subsystem.namespace(1).map_or(0, |namespace| namespace.blocks);
        let tper = subsystem.tper.as_mut().ok_or(Status::INVALID_OPCODE.with_dnr(true))?;
        // It was there when the command came, but two may come at once.
        if tper.answers.contains_key(&cntlid) {
            return Err(Status::COMMAND_SEQUENCE_ERROR);
        }
        let erased = tper.hear(cntlid, bytes, blocks);
        let changes = subsystem.erase(&erased)?;
        Ok(if changes.is_empty() {
            Step::Respond(completion)
        } else {
            Step::ChangeBlocks { changes, completion }
        })
    }

    /// A controller is reset, or gone.
    pub(super) fn forget_security(&mut self, index: Option<usize>, cntlid: u16) {
        let subsystem = index.and_then(|index| self.subsystems.get_mut(index));
        if let Some(tper) = subsystem.and_then(|subsystem| subsystem.tper.as_mut()) {
            tper.forget(cntlid);
        }
    }
}

impl Subsystem {
    /// Whether a command of an I/O queue may come, as far as locks are concerned. Commands whose blocks are in their data are looked at
    /// when it is here; those on zones and keys are of the whole namespace.
    pub(super) fn check_locks(&self, command: &Command, access: Option<Access>) -> Result<(), Status> {
        let (Some(tper), Some(access)) = (&self.tper, access) else { return Ok(()) };
        let Some(namespace) = self.namespace(command.nsid()) else { return Ok(()) };
        let (lba, blocks) = match NvmOpcode(command.opcode()) {
            _ if namespace.keys.is_some() => (0, u64::MAX),
            NvmOpcode::FLUSH | NvmOpcode::DATASET_MANAGEMENT | NvmOpcode::COPY => return Ok(()),
            NvmOpcode::READ
            | NvmOpcode::COMPARE
            | NvmOpcode::VERIFY
            | NvmOpcode::WRITE
            | NvmOpcode::WRITE_ZEROES
            | NvmOpcode::WRITE_UNCORRECTABLE => (command.lba(), command.block_count().into()),
            _ => (0, u64::MAX),
        };
        tper.check(command.nsid(), lba, blocks, access)
    }

    /// The same for a command with a list of ranges, which is here.
    pub(super) fn check_locks_of_list(&self, command: &Command, list: &[u8]) -> Result<(), Status> {
        let Some(tper) = &self.tper else { return Ok(()) };
        let nsid = command.nsid();
        match NvmOpcode(command.opcode()) {
            NvmOpcode::DATASET_MANAGEMENT if command.cdw11() & DSM_DEALLOCATE != 0 => {
                for range in list.as_chunks::<{ DatasetRange::SIZE }>().0.iter().map(DatasetRange::decode) {
                    tper.check(nsid, range.lba, range.blocks.into(), Access::Write)?;
                }
            }
            NvmOpcode::COPY => {
                let mut blocks = 0;
                for range in list.as_chunks::<{ CopyRange::SIZE }>().0.iter().map(CopyRange::decode) {
                    tper.check(nsid, range.lba, range.blocks.into(), Access::Read)?;
                    blocks += u64::from(range.blocks);
                }
                tper.check(nsid, command.lba(), blocks, Access::Write)?;
            }
            _ => {}
        }
        Ok(())
    }

    /// Whether a namespace may be formatted: none of its blocks is locked against writes.
    pub(super) fn check_format_locks(&self, nsid: u32) -> Result<(), Status> {
        self.tper.as_ref().map_or(Ok(()), |tper| tper.check(nsid, 0, u64::MAX, Access::Write))
    }

    /// What is to be done to the stores so that this is erased.
    fn erase(&mut self, erased: &[Erasure]) -> Result<Vec<Change>, Status> {
        let mut changes = Vec::new();
        for (nsid, namespace) in (1..).zip(&mut self.namespaces) {
            let Some(namespace) = namespace else { continue };
            for erasure in erased {
                let parts = match erasure {
                    Erasure::All => vec![(0, namespace.blocks)],
                    Erasure::Range(ranges, index) => ranges.parts(*index, nsid, namespace.blocks),
                };
                for (lba, blocks) in parts.into_iter().filter(|(_, blocks)| *blocks > 0) {
                    changes.extend(namespace.erase(lba, blocks)?);
                }
            }
        }
        Ok(changes)
    }
}

impl Namespace {
    /// Blocks are such that nobody wrote. What has keys loses them all.
    fn erase(&mut self, lba: u64, blocks: u64) -> Result<Option<Change>, Status> {
        self.marks.clear(lba, blocks);
        if let Some(keys) = &mut self.keys {
            *keys = Keys::new(self.blocks << self.block_shift);
            return Ok(None);
        }
        if let Some(zones) = &mut self.zones
            && blocks == self.blocks
        {
            zones.clear();
        }
        // One that was just made has no store yet, and nothing in it.
        let change = self.blank(self.extent(lba, blocks)?);
        Ok((self.store != usize::MAX).then_some(change))
    }
}

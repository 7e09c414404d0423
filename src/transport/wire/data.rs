//! How a command's data are reached: the long way.
//!
//! What the environment knows as memory for I/O is used in place, in one piece or in several where it lies across registrations. Any other
//! memory of the program goes a way that ends with the request: long data are registered for its length, all else goes through a
//! buffer of the connection's [`Pool`]. Which one a command takes is decided when it goes out.
//!
//! What must hold: until everything is there that the command needs, nothing is changed, so that it may wait; the program's memory is
//! touched by nobody once the callback runs.

use super::{Piece, Wire};
use crate::{
    memory::{Covered, Held, Keys, Lack, Lent, Pool, program},
    repeated::{Line, Repeated},
    transport::{Error, PIECES, completer::Payload, device::DeviceShare, slots::Place},
};
use arrayvec::ArrayVec;
use spec::{Command, Completion, Sgl, Status, opcode::DataTransfer};
use std::{fmt::Display, rc::Rc};
use verbs::{Access, Segment};

/// From so many bytes on memory is registered for the length of a request rather than copied: a registration costs some
/// microseconds, however long it is, and a copy more than that.
const LONG: u32 = 64 << 10;

/// The longest data of one descriptor: its length has 24 bits (Base 2.0, 4.4.1).
const LONGEST: u32 = (1 << 24) - 1;

/// How many commands had data that were reached in each way, those of the short way left out. A command whose data went several ways
/// counts for the last of them in this order.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Ways {
    /// Used in place, each piece in one registered region.
    pub in_place: u64,
    /// Used in place, a piece across registered regions.
    pub segments: u64,
    /// Registered for the length of the request.
    pub on_demand: u64,
    /// Copied through memory of this library's.
    pub bounced: u64,
    /// Refused: memory that is not there, or not writable, or more of it than can be copied.
    pub refused: u64,
}

/// Data that one descriptor names.
#[derive(Clone, Copy, Default)]
struct Part {
    address: u64,
    length: u32,
    local_key: u32,
    remote_key: u32,
}

/// As many parts as a command can have.
type Parts = ArrayVec<Part, PIECES>;

/// How the data of one piece go.
#[derive(Clone, Copy)]
enum Way {
    There(Part),
    Bounced,
}

/// What stands in a command and behind it, and what the request holds until it has ended.
pub(super) struct Reached {
    pub(super) sgl: Sgl,
    pub(super) behind: Option<Segment>,
    pub(super) held: Option<Held>,
}

/// Puts a part behind the others, or makes it one with the last if the two are one behind the other under the same key. False if there
/// is no room.
#[must_use]
fn push_behind(parts: &mut Parts, part: Part) -> bool {
    match parts.last_mut() {
        Some(last)
            if last.remote_key == part.remote_key
                && last.address + u64::from(last.length) == part.address
                && last.length + part.length <= LONGEST =>
        {
            last.length += part.length;
            true
        }
        _ => parts.try_push(part).is_ok(),
    }
}

impl Wire {
    pub(super) fn resolve(
        &self,
        device: &DeviceShare,
        slot: Place<'_>,
        command: &Command,
        payload: Payload,
    ) -> Result<Reached, Error> {
        let plain = |sgl| Ok(Reached { sgl, behind: None, held: None });
        match payload {
            // A controller that speaks keyed SGLs alone refuses the all-zero descriptor (an unkeyed data block)
            // even for a command without data, hence a keyed one of length 0.
            Payload::None => plain(Sgl::NONE),
            Payload::Registered { address, length, remote_key } => {
                plain(Sgl::keyed(address, length, remote_key))
            }
            Payload::Memory { address, length } => {
                let pieces = [Piece { address, length }];
                self.reach(device, self.slots.index(slot), DataTransfer::of(command.opcode()), &pieces)
            }
            Payload::Row { pieces } => {
                let room = self.room_for_descriptors();
                if pieces > room {
                    return Err(Error::TooManyPieces(room));
                }
                let slot = self.slots.index(slot);
                let pieces = self.rows.pieces(slot, pieces)?;
                self.reach(device, slot, DataTransfer::of(command.opcode()), &pieces)
            }
        }
    }

    fn reach(
        &self,
        device: &DeviceShare,
        slot: u32,
        direction: DataTransfer,
        pieces: &[Piece],
    ) -> Result<Reached, Error> {
        let mut parts = Parts::new();
        for piece in pieces {
            let Covered::Registered(keys) = device.map().look_up(&self.cache, piece.address, piece.length)
            else {
                return self.reach_otherwise(device, slot, direction, pieces);
            };
            let part = part_of(device, *piece, keys, direction)?;
            parts.try_push(part).map_err(|_| Error::TooManyPieces(PIECES as u32))?;
        }
        self.count(|ways| &mut ways.in_place);
        self.describe(device, slot, direction, &parts, None)
    }

    /// What names these parts.
    fn describe(
        &self,
        device: &DeviceShare,
        slot: u32,
        direction: DataTransfer,
        parts: &Parts,
        held: Option<Held>,
    ) -> Result<Reached, Error> {
        let keyed = |part: &Part| Sgl::keyed(part.address, part.length, part.remote_key);
        let (sgl, behind) = match parts.as_slice() {
            [Part { address, length, local_key, .. }]
                if direction == DataTransfer::HostToController && *length <= self.in_capsule_data.get() =>
            {
                let segment = Segment { address: *address, length: *length, local_key: *local_key };
                (Sgl::in_capsule(0, *length), Some(segment))
            }
            [part] => (keyed(part), None),
            several => {
                let descriptors = several.iter().map(keyed);
                let all = (self.slots.count(), self.room_for_descriptors());
                let (sgl, row) = self.rows.describe(device.domain(), all, slot, descriptors)?;
                // Whoever describes tells the queue the key of the rows before anything is sent that names one by the short way.
                self.slots.set_row_key(row.local_key);
                (sgl, Some(row))
            }
        };
        Ok(Reached { sgl, behind, held })
    }

    /// Descriptors that a capsule of the connection has room for.
    #[inline(always)]
    pub(super) fn room_for_descriptors(&self) -> u32 {
        self.row_room.get().into()
    }

    /// Pieces that the data of a command may lie in, over the connection that there is.
    pub(in crate::transport) fn most_pieces(&self) -> u32 {
        self.room_for_descriptors().max(1)
    }

    // ---- memory that no one region covers ------------------------------------------------------------------------

    #[cold]
    #[inline(never)]
    fn reach_otherwise(
        &self,
        device: &DeviceShare,
        slot: u32,
        direction: DataTransfer,
        pieces: &[Piece],
    ) -> Result<Reached, Error> {
        if let Some(parts) = self.across_regions(device, direction, pieces)? {
            self.count(|ways| &mut ways.segments);
            return self.describe(device, slot, direction, &parts, None);
        }
        let reached = self.reach_for_this_request(device, slot, direction, pieces);
        if let Err(Error::NotRegistered { .. }) = reached {
            self.count(|ways| &mut ways.refused);
        }
        reached
    }

    /// The registered parts that the pieces lie in. None if not all of them are registered, or the parts are too many.
    fn across_regions(
        &self,
        device: &DeviceShare,
        direction: DataTransfer,
        pieces: &[Piece],
    ) -> Result<Option<Parts>, Error> {
        let mut parts = Parts::new();
        let room = self.room_for_descriptors() as usize;
        for piece in pieces {
            let Piece { mut address, mut length } = *piece;
            while length > 0 {
                let Some((covered, keys)) = device.map().first_part(Piece { address, length }) else {
                    return Ok(None);
                };
                let part = part_of(device, Piece { address, length: covered }, keys, direction)?;
                if parts.len() == room || parts.try_push(part).is_err() {
                    return Ok(None);
                }
                address += u64::from(covered);
                length -= covered;
            }
        }
        Ok(Some(parts))
    }

    /// Pieces in one region are used in place, long ones are registered, and the rest has one buffer.
    fn reach_for_this_request(
        &self,
        device: &DeviceShare,
        slot: u32,
        direction: DataTransfer,
        pieces: &[Piece],
    ) -> Result<Reached, Error> {
        let access = access_for(direction);
        let mut held = Held::default();
        let mut ways = [Way::Bounced; PIECES];
        for (way, piece) in ways.iter_mut().zip(pieces) {
            if let Covered::Registered(keys) = device.map().look_up(&self.cache, piece.address, piece.length)
            {
                *way = Way::There(part_of(device, *piece, keys, direction)?);
            } else if (piece.length > LONG || !program::can_copy())
                && let Ok((local_key, remote_key)) = held.register(device.domain(), *piece, access)
            {
                let Piece { address, length } = *piece;
                *way = Way::There(Part { address, length, local_key, remote_key });
            }
        }
        let mut bounced = Vec::new();
        let through_buffer = ways.iter().zip(pieces).filter(|(way, _)| matches!(way, Way::Bounced));
        bounced.try_reserve_exact(pieces.len()).map_err(|_| Error::NoMemory)?;
        bounced.extend(through_buffer.map(|(_, piece)| *piece));
        let lent = match bounced.first() {
            Some(first) => Some(self.bounce(device, direction, *first, &bounced)?),
            None => None,
        };
        let mut next = lent.as_ref().and_then(|lent| {
            let (local_key, remote_key) = lent.keys()?;
            Some(Part { address: lent.memory()?.address(), length: 0, local_key, remote_key })
        });
        let mut parts = Parts::new();
        for (way, piece) in ways.iter().zip(pieces) {
            let fits = match (way, &mut next) {
                (Way::There(part), _) => parts.try_push(*part).is_ok(),
                (Way::Bounced, Some(next)) => {
                    let part = Part { length: piece.length, ..*next };
                    next.address += u64::from(piece.length);
                    push_behind(&mut parts, part)
                }
                (Way::Bounced, None) => false,
            };
            if !fits {
                return Err(Error::Internal("a piece of a command's data has no place"));
            }
        }
        let reached = self.describe(device, slot, direction, &parts, None)?;
        match lent {
            Some(lent) => {
                if direction == DataTransfer::HostToController {
                    bounced.clear();
                }
                held.hold(lent, bounced);
                self.count(|ways| &mut ways.bounced);
            }
            None => self.count(|ways| &mut ways.on_demand),
        }
        Ok(Reached { held: Some(held), ..reached })
    }

    /// A buffer for the pieces together, with a copy of what goes to the controller. `first` is what an error names.
    fn bounce(
        &self,
        device: &DeviceShare,
        direction: DataTransfer,
        first: Piece,
        pieces: &[Piece],
    ) -> Result<Lent, Error> {
        let Piece { address, length } = first;
        let refused = Error::NotRegistered { address, length };
        let from_program = matches!(direction, DataTransfer::HostToController | DataTransfer::Bidirectional);
        // What cannot be is said at once, and does not wait.
        if !program::can_copy()
            || direction != DataTransfer::HostToController && !program::is_writable(pieces)
        {
            return Err(refused);
        }
        let bytes = pieces.iter().fold(0_usize, |sum, piece| sum.saturating_add(piece.length as usize));
        let lent = self.pool(device).lend(bytes, access_for(direction)).map_err(|lack| match lack {
            Lack::InUse => Error::NoBuffers,
            Lack::TooLong => refused.clone(),
            Lack::Refused(error) => {
                complain_of_lack(bytes, &error);
                refused.clone()
            }
        })?;
        // What a controller leaves out of a buffer that it was to fill is zero, and not what was there for another request.
        let is_filled = lent.memory().is_some_and(|memory| {
            if from_program { program::copy_in(pieces, memory) } else { memory.clear(bytes) }
        });
        if is_filled { Ok(lent) } else { Err(refused) }
    }

    /// See [`Qpair::lend`](crate::transport::Qpair::lend).
    pub(in crate::transport) fn lend(
        &self,
        device: &DeviceShare,
        length: usize,
        access: Access,
    ) -> Option<Lent> {
        self.pool(device).lend(length, access).ok()
    }

    fn pool(&self, device: &DeviceShare) -> Rc<Pool> {
        let pool = self.pool.take().unwrap_or_else(|| Pool::new(device.domain()));
        self.pool.set(Some(pool.clone()));
        pool
    }

    fn count(&self, way: impl FnOnce(&mut Ways) -> &mut u64) {
        let mut ways = self.ways.get();
        let count = way(&mut ways);
        *count = count.wrapping_add(1);
        self.ways.set(ways);
    }

    /// How its commands' data were reached so far.
    pub(in crate::transport) fn ways(&self) -> Ways {
        self.ways.get()
    }
}

/// Data that were not registered and for which there was no memory, and such as could not be copied to where the program wants them.
static LACKING: Repeated = Repeated::new();
static LOST: Repeated = Repeated::new();

#[cold]
fn complain_of_lack(bytes: usize, error: &dyn Display) {
    complain(&LACKING, &format_args!("memory for {bytes} bytes of data that are not registered: {error}"));
}

/// Says what may be the same for each command, until the device or the program is another.
#[cold]
fn complain(repeated: &Repeated, what: &dyn Display) {
    match repeated.next() {
        Line::None => {}
        Line::Plain => tracing::error!("{what}"),
        Line::Sum(nth) => tracing::error!("{what} ({nth} times so far)"),
    }
}

/// What a request held is given up: its data, if some were to be copied, are where the program wants them before it is told. What it
/// hears then.
#[cold]
pub(super) fn given_back(held: Held, completion: Completion) -> Completion {
    match held.end(completion.is_success()) {
        Ok(()) => completion,
        Err(error) => {
            complain(&LOST, &error);
            completion.with_status(Status::DATA_TRANSFER_ERROR)
        }
    }
}

/// A registered piece as a command of this direction names it.
fn part_of(device: &DeviceShare, piece: Piece, keys: Keys, direction: DataTransfer) -> Result<Part, Error> {
    let Piece { address, length } = piece;
    let remote_key = match direction {
        DataTransfer::ControllerToHost | DataTransfer::None => keys.writable,
        DataTransfer::HostToController => keys.readable,
        DataTransfer::Bidirectional => {
            let key = device.map().key_for_both_ways(address, length)?;
            key.ok_or(Error::NotRegistered { address, length })?
        }
    };
    Ok(Part { address, length, local_key: keys.local, remote_key })
}

/// The one right that the controller needs.
fn access_for(direction: DataTransfer) -> Access {
    match direction {
        DataTransfer::ControllerToHost | DataTransfer::None => Access::RemoteWrite,
        DataTransfer::HostToController => Access::RemoteRead,
        DataTransfer::Bidirectional => Access::Remote,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Pieces in one buffer that are neighbours are one part, as long as a descriptor can be, and only then.
    #[test]
    fn neighbours_become_one_part() {
        let part = |address, length, remote_key| Part { address, length, local_key: 1, remote_key };
        let mut parts = Parts::new();
        for next in [
            part(4096, 100, 7),
            part(4196, 4000, 7),
            part(9000, 10, 7),
            part(9010, 10, 8),
            part(9020, LONGEST, 8),
            part(9020 + u64::from(LONGEST), 1, 8),
        ] {
            assert!(push_behind(&mut parts, next));
        }
        let found: Vec<_> = parts.iter().map(|part| (part.address, part.length)).collect();
        assert_eq!(
            found,
            [(4096, 4100), (9000, 10), (9010, 10), (9020, LONGEST), (9020 + u64::from(LONGEST), 1)]
        );
        while !parts.is_full() {
            parts.push(part(0, 1, 0));
        }
        assert!(!push_behind(&mut parts, part(9, 1, 0)), "more than there is room for");
    }
}

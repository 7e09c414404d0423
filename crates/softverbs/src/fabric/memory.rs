//! Memory regions: keys, ranges, rights, and the copies that the fabric makes on the programs' memory.
//!
//! A key names the slot, how often the slot was used before, and whether it is the local or the remote key; the whole is scrambled
//! with a per-process secret, so a key that was guessed, kept too long, or used on the wrong side does not pass. A key returns
//! after 2,048 registrations of its slot, when [`Deregistered`] has forgotten the region that had it last.

#![allow(unsafe_code)]

use std::sync::atomic::{AtomicU8, AtomicU16, AtomicU32, AtomicU64, Ordering};

use rdma_sys::{ibv_mr, ibv_sge};

use super::deregistered::{Deregistered, KEPT};
use super::objects::Pd;
use super::slab::{Key, Slab};

/// Rights, as `enum ibv_access_flags` numbers them.
pub mod access {
    /// The local device may write.
    pub const LOCAL_WRITE: u32 = 1;
    /// A peer may write.
    pub const REMOTE_WRITE: u32 = 2;
    /// A peer may read.
    pub const REMOTE_READ: u32 = 4;
    /// A peer may use atomic operations.
    pub const REMOTE_ATOMIC: u32 = 8;
}

/// A registered range.
pub struct Mr {
    /// The C struct.
    pub cell: *mut ibv_mr,
    /// Its protection domain.
    pub pd: Key<Pd>,
    /// The address as peers and work requests name it.
    pub iova: u64,
    /// The address in this process.
    pub host: u64,
    /// Bytes.
    pub length: u64,
    /// Rights, see [`access`].
    pub access: u32,
    /// The local key.
    pub lkey: u32,
    /// The remote key.
    pub rkey: u32,
    /// The remote key was invalidated by a peer.
    pub invalidated: bool,
    /// Made by an end with the full device, see [`spared`](super::profile::spared).
    pub spared: bool,
    /// Creation order.
    pub serial: u64,
}

/// Why an access was refused.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Refusal {
    /// No region has this key, or it is of another protection domain or the other side.
    Key,
    /// The range leaves the region.
    Range,
    /// The region does not give this right.
    Access,
}

/// All regions.
pub struct MrTable {
    slab: Slab<Mr>,
    /// How often each slot was used.
    uses: Vec<u32>,
    secret: u32,
    /// What was registered once, for the reports of accesses that come too late.
    pub deregistered: Deregistered,
}

const INDEX_BITS: u32 = 20;
const TAG_MASK: u32 = 0x7ff;
// A key that is given out again is no longer remembered as one that was taken back.
const _: () = assert!(TAG_MASK as usize >= KEPT);
const SCRAMBLE: u32 = 0x9e37_79b1;
const UNSCRAMBLE: u32 = inverse(SCRAMBLE);
/// How many regions there can be at once.
pub const MAX_MR: usize = 1 << INDEX_BITS;

/// The number that undoes a multiplication by the odd number `x` modulo 2^32 (Newton's iteration).
const fn inverse(x: u32) -> u32 {
    let mut y = x;
    let mut i = 0;
    while i < 5 {
        y = y.wrapping_mul(2u32.wrapping_sub(x.wrapping_mul(y)));
        i += 1;
    }
    y
}

impl MrTable {
    /// No regions; `secret` scrambles their keys.
    pub fn new(secret: u32) -> Self {
        Self { slab: Slab::new(), uses: Vec::new(), secret, deregistered: Deregistered::default() }
    }

    /// If there are no regions: from now on keys depend on this secret alone, as if none had been given out.
    pub fn rewind(&mut self, secret: u32) {
        if self.slab.len() == 0 {
            self.slab.rewind();
            self.uses.clear();
            self.deregistered.forget();
            self.secret = secret;
        }
    }

    fn key(&self, index: u32, tag: u32, remote: bool) -> u32 {
        let plain = (index << 12) | ((tag & TAG_MASK) << 1) | u32::from(remote);
        (plain ^ self.secret).wrapping_mul(SCRAMBLE)
    }

    /// The key of the region that is registered next, and its local and remote key.
    pub fn next_keys(&self) -> (Key<Mr>, u32, u32) {
        let next = self.slab.next_key();
        let tag = self.uses.get(next.index() as usize).copied().unwrap_or(0);
        (next, self.key(next.index(), tag, false), self.key(next.index(), tag, true))
    }

    /// Registers.
    pub fn insert(&mut self, mr: Mr) -> Key<Mr> {
        let key = self.slab.insert(mr);
        let index = key.index() as usize;
        self.uses.resize(self.uses.len().max(index + 1), 0);
        if let Some(uses) = self.uses.get_mut(index) {
            *uses = uses.wrapping_add(1);
        }
        key
    }

    /// Deregisters.
    pub fn remove(&mut self, key: Key<Mr>) -> Option<Mr> {
        self.slab.remove(key)
    }

    /// The region.
    pub fn get(&self, key: Key<Mr>) -> Option<&Mr> {
        self.slab.get(key)
    }

    /// All regions.
    pub fn iter(&self) -> impl Iterator<Item = (Key<Mr>, &Mr)> {
        self.slab.iter()
    }

    /// How many regions.
    pub fn len(&self) -> usize {
        self.slab.len()
    }

    #[inline]
    fn index_of(&self, key: u32) -> u32 {
        (key.wrapping_mul(UNSCRAMBLE) ^ self.secret) >> 12
    }

    /// Where a local segment lies in this process, if the local key covers it. `write`: the device is to write there.
    #[inline(always)]
    pub fn local(&self, pd: Key<Pd>, sge: &ibv_sge, write: bool) -> Result<u64, Refusal> {
        self.local_part(pd, sge.lkey, sge.addr, sge.length, write)
    }

    /// As [`local`](Self::local), for a part of a segment.
    #[inline(always)]
    pub fn local_part(
        &self,
        pd: Key<Pd>,
        lkey: u32,
        addr: u64,
        length: u32,
        write: bool,
    ) -> Result<u64, Refusal> {
        if length == 0 {
            return Ok(addr);
        }
        let Some(mr) = self.slab.at(self.index_of(lkey)).filter(|mr| mr.lkey == lkey && mr.pd == pd) else {
            return Err(self.deregistered.local(lkey, addr, length));
        };
        if write && mr.access & access::LOCAL_WRITE == 0 {
            return Err(Refusal::Access);
        }
        translate(mr, addr, u64::from(length))
    }

    /// Where a range that a peer names lies in this process, if the remote key covers it with this right.
    #[inline]
    pub fn remote(&self, pd: Key<Pd>, rkey: u32, addr: u64, length: u32, right: u32) -> Result<u64, Refusal> {
        if length == 0 {
            return Ok(addr);
        }
        let named = |mr: &&Mr| mr.rkey == rkey && mr.pd == pd && !mr.invalidated;
        let Some(mr) = self.slab.at(self.index_of(rkey)).filter(named) else {
            return Err(self.deregistered.remote(rkey, addr, length));
        };
        if mr.access & right == 0 {
            return Err(Refusal::Access);
        }
        translate(mr, addr, u64::from(length))
    }

    /// A peer's SEND with invalidate: the remote key is good no more.
    pub fn invalidate(&mut self, pd: Key<Pd>, rkey: u32) -> Result<(), Refusal> {
        let index = self.index_of(rkey);
        let mr = self.slab.at_mut(index).ok_or(Refusal::Key)?;
        if mr.rkey != rkey || mr.pd != pd || mr.invalidated {
            return Err(Refusal::Key);
        }
        mr.invalidated = true;
        Ok(())
    }
}

#[inline]
fn translate(mr: &Mr, addr: u64, length: u64) -> Result<u64, Refusal> {
    let offset = addr.checked_sub(mr.iova).ok_or(Refusal::Range)?;
    match offset.checked_add(length) {
        Some(end) if end <= mr.length => Ok(mr.host.wrapping_add(offset)),
        _ => Err(Refusal::Range),
    }
}

/// Where the pieces of a message lie in this process: address and length. Most messages have one piece, which needs no list.
#[derive(Default)]
pub struct Segments {
    first: (u64, u32),
    more: Vec<(u64, u32)>,
}

impl Segments {
    /// Of one piece.
    pub fn one(addr: u64, length: u32) -> Self {
        Self { first: (addr, length), more: Vec::new() }
    }

    /// No piece.
    #[inline(always)]
    pub fn clear(&mut self) {
        self.set(0, 0);
    }

    /// One piece.
    #[inline(always)]
    pub fn set(&mut self, addr: u64, length: u32) {
        self.first = (addr, length);
        self.more.clear();
    }

    fn push(&mut self, addr: u64, length: u32) {
        self.more.push((addr, length));
    }

    fn iter(&self) -> impl Iterator<Item = (u64, u32)> {
        std::iter::once(self.first).chain(self.more.iter().copied())
    }
}

/// Bytes in a list of segments.
#[inline(always)]
pub fn total_length(list: &[ibv_sge]) -> u64 {
    match list {
        [only] => u64::from(only.length),
        _ => list.iter().fold(0, |sum, s| sum + u64::from(s.length)),
    }
}

impl MrTable {
    /// Looks up local segments until `wanted` bytes are covered, or the list ends, into `found`. Segments beyond that are not
    /// looked at, as in hardware.
    #[inline(always)]
    pub fn segments(
        &self,
        pd: Key<Pd>,
        list: &[ibv_sge],
        write: bool,
        wanted: u32,
        found: &mut Segments,
    ) -> Result<(), Refusal> {
        match list {
            [only] if wanted > 0 => found.set(self.local(pd, only, write)?, only.length),
            _ => return self.several_segments(pd, list, write, wanted, found),
        }
        Ok(())
    }

    fn several_segments(
        &self,
        pd: Key<Pd>,
        list: &[ibv_sge],
        write: bool,
        wanted: u32,
        found: &mut Segments,
    ) -> Result<(), Refusal> {
        found.clear();
        let mut total = 0u64;
        for sge in list {
            if total >= u64::from(wanted) {
                break;
            }
            found.push(self.local(pd, sge, write)?, sge.length);
            total += u64::from(sge.length);
        }
        Ok(())
    }
}

/// Copies `length` bytes from one list to the other, which both hold at least as many, the last of them last: see [`copy`].
#[inline(always)]
pub fn transfer(from: &Segments, to: &Segments, length: u32) {
    if from.more.is_empty() && to.more.is_empty() {
        // SAFETY: as in `transfer_pieces`.
        unsafe { copy(from.first.0, to.first.0, length.min(from.first.1).min(to.first.1) as usize) };
    } else {
        transfer_pieces(from, to, length);
    }
}

/// As [`transfer`], for a SEND, whose bytes nobody looks for before a completion tells of them: in whatever order is fastest.
#[inline(always)]
pub fn transfer_message(from: &Segments, to: &Segments, length: u32) {
    if from.more.is_empty() && to.more.is_empty() {
        let length = length.min(from.first.1).min(to.first.1) as usize;
        // SAFETY: as in `transfer_pieces`.
        unsafe { std::ptr::copy(from.first.0 as *const u8, to.first.0 as *mut u8, length) };
    } else {
        transfer_pieces(from, to, length);
    }
}

fn transfer_pieces(from: &Segments, to: &Segments, length: u32) {
    let mut left = length;
    let (mut sources, mut targets) = (from.iter(), to.iter());
    let (mut source, mut target) = ((0u64, 0u32), (0u64, 0u32));
    while left > 0 {
        while source.1 == 0 {
            let Some(next) = sources.next() else { return };
            source = next;
        }
        while target.1 == 0 {
            let Some(next) = targets.next() else { return };
            target = next;
        }
        let n = left.min(source.1).min(target.1);
        // SAFETY: both segments were found in the table just now, by the caller's call of `segments` or `remote`, or are the
        // inline bytes that a queue pair keeps of a send.
        unsafe { copy(source.0, target.0, n as usize) };
        source = (source.0 + u64::from(n), source.1 - n);
        target = (target.0 + u64::from(n), target.1 - n);
        left -= n;
    }
}

/// Appends `length` bytes, from `offset` of the list on, to a buffer of the fabric.
pub fn gather(from: &Segments, offset: u32, length: u32, buffer: &mut Vec<u8>) {
    let (mut skip, mut left) = (offset, length);
    for (addr, size) in from.iter() {
        let start = skip.min(size);
        skip -= start;
        let n = (size - start).min(left);
        if n > 0 {
            // SAFETY: the segment was found in the table just now, by the caller's call of `segments` or `remote`, or is the
            // inline bytes that a queue pair keeps of a send.
            unsafe { append(addr + u64::from(start), n as usize, buffer) };
            left -= n;
        }
    }
}

/// Writes `bytes` from `offset` of the list on, as far as the list reaches.
pub fn scatter(bytes: &[u8], offset: u32, to: &Segments) {
    let (mut skip, mut rest) = (offset, bytes);
    for (addr, size) in to.iter() {
        let start = skip.min(size);
        skip -= start;
        let n = ((size - start) as usize).min(rest.len());
        let (now, later) = rest.split_at(n);
        if n > 0 {
            // SAFETY: the segment was found in the table just now, by the caller's call of `segments` or `remote`.
            unsafe { write(addr + u64::from(start), now) };
        }
        rest = later;
    }
}

/// Copies within this process's memory, the last of the bytes last.
///
/// A program may poll on the end of what its peer writes and, once that is there, read the rest, with no completion that tells of
/// it (rsocket's `riowrite`, perftest's `ib_write_lat`). Devices place a message in increasing order of addresses, so that works.
/// memcpy does not: libc's stores the first bytes after the last ones for some lengths. So the bytes up to the aligned word in
/// which the range ends are copied in any order, and that word follows in pieces that are aligned, each stored at once.
///
/// # Safety
/// Both ranges are mapped, the target writable: they were found by [`MrTable::local`] or [`MrTable::remote`], and the program
/// keeps registered memory mapped, as real hardware demands by pinning it. Other threads may touch the bytes meanwhile, as with
/// real hardware; nothing here depends on their values.
#[inline]
pub unsafe fn copy(from: u64, to: u64, length: usize) {
    if length == 0 {
        return;
    }
    let end = to.wrapping_add(length as u64);
    let word = to.max((end - 1) & !7);
    let before = (word - to) as usize;
    // SAFETY: passed on to the caller. The ranges may overlap, which `copy` allows: so the end is read before anything is written.
    unsafe {
        let last = last_bytes(from as *const u8, length);
        std::ptr::copy(from as *const u8, to as *mut u8, before);
        place_last(last, word, end);
    }
}

/// The last eight bytes of a range, the very last in the highest byte; zeros before them if there are fewer.
///
/// # Safety
/// The range is mapped.
#[inline(always)]
unsafe fn last_bytes(from: *const u8, length: usize) -> u64 {
    // SAFETY: the caller vouches for `length` bytes, and no others are read.
    unsafe {
        if length >= 8 {
            return u64::from_le(from.add(length - 8).cast::<u64>().read_unaligned());
        }
        (0..length).fold(0, |word, at| word >> 8 | u64::from(from.add(at).read()) << 56)
    }
}

/// Stores the highest bytes of `last` from `at` to `end`, which lie in one aligned word: in increasing order, after all that was
/// stored before.
///
/// # Safety
/// The range is mapped and writable.
#[inline(always)]
unsafe fn place_last(last: u64, mut at: u64, end: u64) {
    // SAFETY: each piece is aligned by the remainder of its address, and ends no later than the range, which the caller vouches for.
    unsafe {
        if end - at == 8 {
            return AtomicU64::from_ptr(at as *mut u64).store(last.to_le(), Ordering::Release);
        }
        let mut rest = last >> (8 * (8 - (end - at)));
        while at < end {
            let piece = match end - at {
                4.. if at.is_multiple_of(4) => {
                    AtomicU32::from_ptr(at as *mut u32).store((rest as u32).to_le(), Ordering::Release);
                    4
                }
                2.. if at.is_multiple_of(2) => {
                    AtomicU16::from_ptr(at as *mut u16).store((rest as u16).to_le(), Ordering::Release);
                    2
                }
                _ => {
                    AtomicU8::from_ptr(at as *mut u8).store(rest as u8, Ordering::Release);
                    1
                }
            };
            rest >>= 8 * piece;
            at += piece;
        }
    }
}

/// Copies bytes of the fabric into registered memory, the last of them last, as [`copy`] does.
///
/// # Safety
/// As [`copy`], for the target.
#[inline]
pub unsafe fn write(to: u64, bytes: &[u8]) {
    // SAFETY: passed on to the caller; the source is a slice.
    unsafe { copy(bytes.as_ptr() as u64, to, bytes.len()) }
}

/// Appends registered memory to a buffer of the fabric.
///
/// # Safety
/// As [`copy`], for the source.
#[inline]
pub unsafe fn append(from: u64, length: usize, buffer: &mut Vec<u8>) {
    buffer.reserve(length);
    // SAFETY: the source is vouched for by the caller; the target has room for `length` more bytes, all of which get written.
    unsafe {
        std::ptr::copy_nonoverlapping(from as *const u8, buffer.as_mut_ptr().add(buffer.len()), length);
        buffer.set_len(buffer.len() + length);
    }
}

// SAFETY: the C struct's pointer is only used behind the fabric's lock.
unsafe impl Send for Mr {}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::place::Place;

    fn region(table: &mut MrTable, pd: Key<Pd>, rights: u32) -> (u32, u32) {
        let (_, lkey, rkey) = table.next_keys();
        table.insert(Mr {
            cell: std::ptr::null_mut(),
            pd,
            iova: 0x1000,
            host: 0x9000,
            length: 0x100,
            access: rights,
            lkey,
            rkey,
            invalidated: false,
            spared: false,
            serial: 0,
        });
        (lkey, rkey)
    }

    #[test]
    fn key_range_and_right_are_checked() {
        let mut table = MrTable::new(0xdead_beef);
        let (pd, other) = (Key::from_parts(0, 1), Key::from_parts(1, 1));
        let (lkey, rkey) = region(&mut table, pd, access::LOCAL_WRITE | access::REMOTE_READ);
        assert_ne!(lkey, rkey);
        assert_eq!(table.local_part(pd, lkey, 0x1010, 0xf0, true), Ok(0x9010));
        assert_eq!(table.local_part(pd, lkey, 0x1010, 0xf1, true), Err(Refusal::Range));
        assert_eq!(table.local_part(pd, lkey, 0xfff, 1, true), Err(Refusal::Range));
        assert_eq!(table.local_part(pd, lkey, u64::MAX, 2, true), Err(Refusal::Range));
        assert_eq!(table.local_part(pd, rkey, 0x1010, 1, true), Err(Refusal::Key));
        assert_eq!(table.local_part(other, lkey, 0x1010, 1, true), Err(Refusal::Key));
        assert_eq!(table.remote(pd, rkey, 0x1000, 0x100, access::REMOTE_READ), Ok(0x9000));
        assert_eq!(table.remote(pd, rkey, 0x1000, 0x100, access::REMOTE_WRITE), Err(Refusal::Access));
        assert_eq!(table.remote(pd, lkey, 0x1000, 1, access::REMOTE_READ), Err(Refusal::Key));
        assert_eq!(table.remote(other, rkey, 0x1000, 1, access::REMOTE_READ), Err(Refusal::Key));
        table.invalidate(pd, rkey).unwrap();
        assert_eq!(table.remote(pd, rkey, 0x1000, 1, access::REMOTE_READ), Err(Refusal::Key));
    }

    #[test]
    fn a_region_without_local_write_can_only_be_read() {
        let mut table = MrTable::new(1);
        let pd = Key::from_parts(0, 1);
        let (lkey, _) = region(&mut table, pd, 0);
        assert_eq!(table.local_part(pd, lkey, 0x1000, 1, false), Ok(0x9000));
        assert_eq!(table.local_part(pd, lkey, 0x1000, 1, true), Err(Refusal::Access));
    }

    #[test]
    fn a_key_does_not_return_while_its_last_region_is_remembered() {
        let mut table = MrTable::new(1);
        let pd = Key::from_parts(0, 1);
        let mut seen = std::collections::BTreeSet::new();
        for _ in 0..=TAG_MASK {
            let (lkey, rkey) = region(&mut table, pd, 0);
            assert!(seen.insert(lkey) && seen.insert(rkey));
            let key = table.slab.keys()[0];
            table.remove(key).unwrap();
        }
        let first = seen.len();
        table.rewind(1);
        seen.insert(region(&mut table, pd, 0).0);
        assert_eq!(seen.len(), first, "the same keys as the first time");
    }

    /// What `copy` does, for each length and alignment and overlap; beyond the range it touches nothing.
    #[test]
    fn a_copy_is_exact() {
        let before: Vec<u8> = (1..=120).collect();
        for (from, to) in (0..24).flat_map(|from| (0..24).map(move |to| (32 + from, 32 + to))) {
            for length in 0..40 {
                let (mut copied, mut wanted) = (before.clone(), before.clone());
                wanted.copy_within(from..from + length, to);
                let base = copied.as_mut_ptr() as u64;
                // SAFETY: both ranges lie in the vector.
                unsafe { copy(base + from as u64, base + to as u64, length) };
                assert_eq!(copied, wanted, "{length} bytes from {from} to {to}");
            }
        }
    }

    #[test]
    fn after_a_rewind_all_is_as_at_first() {
        let mut table = MrTable::new(1);
        let pd = Key::from_parts(0, 1);
        let before = [region(&mut table, pd, 0), region(&mut table, pd, 0)];
        table.rewind(2);
        assert_eq!(
            table.local_part(pd, before[0].0, 0x1000, 1, false),
            Ok(0x9000),
            "not while there are regions"
        );
        for key in table.slab.keys().into_iter().rev() {
            let mr = table.remove(key).unwrap();
            table.deregistered.remember(&mr, Place::here());
        }
        let old = before[0].0;
        assert_eq!(table.local_part(pd, old, 0x1000, 1, false), Err(Refusal::Key));
        assert_eq!(table.deregistered.misuses(), 1, "a region that was deregistered");
        table.rewind(1);
        assert_eq!(table.local_part(pd, old, 0x1000, 1, false), Err(Refusal::Key));
        assert_eq!(table.deregistered.misuses(), 1, "a key that nobody was ever given");
        assert_eq!([region(&mut table, pd, 0), region(&mut table, pd, 0)], before);
    }
}

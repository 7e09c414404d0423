//! Which key covers a buffer.
//!
//! The environment knows which memory the program may use for I/O: `spdk_mem_map_alloc` announces every region that
//! exists and every change. [`Map`] is the counterpart of one protection domain: it registers each announced region
//! with the device, once for each right, and stores the place of its keys as the map's translation. A look-up never follows
//! a pointer that it finds there, so a buffer whose memory was given back meanwhile yields nothing, or at worst a key that
//! the device refuses.
//!
//! Memory that the environment does not know goes another way: through a buffer of ours ([`Pool`]), or by a registration for one request
//! ([`Held`]).
//!
//! What a key opens, and for how long, is in `docs/security.md`. All unsafe calls of the environment's memory map are in
//! this module.

#![allow(unsafe_code)]

mod bounce;
mod held;
mod hooks;
mod keys;
pub mod program;
mod region;
mod sys;

pub use bounce::{Lack, Lent, Pool};
pub use held::{Held, NotCopied};
pub use hooks::{KeyHooks, domain_of_program};

use crate::epoch;
use keys::{Free, KeyTable, Translation};
use parking_lot::Mutex;
use region::{Budget, Region, Short};
use std::{cell::Cell, collections::BTreeMap, ffi::c_void, ptr::NonNull, sync::Arc};
use verbs::{DeviceLimits, Error, ProtectionDomain};

/// The keys of the registered memory that a buffer lies in. Each remote key opens the whole region, for one thing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Keys {
    /// The key for local work requests that read.
    pub local: u32,
    /// The key for a controller that reads from here: data of a write command.
    pub readable: u32,
    /// The key for a controller that writes here: data of a read command.
    pub writable: u32,
}

/// A piece of the program's memory.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Piece {
    /// Where it begins.
    pub address: u64,
    /// Its length in bytes, less than 16 MiB.
    pub length: u32,
}

/// What a look-up answers. A request slot has room for either.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Covered {
    /// One registered region covers the whole buffer.
    Registered(Keys),
    /// None does, or it takes more than one.
    No,
}

/// Creating a map failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the environment gave no memory map (spdk_mem_map_alloc); was spdk_env_init called?")]
pub struct NoMap;

/// The registrations of one protection domain.
pub struct Map {
    raw: NonNull<sys::spdk_mem_map>,
    inner: Arc<Inner>,
}

/// What the environment's notifications reach. They come one after the other; nothing is logged and no function of the
/// environment called with `regions` locked, since that may lead to the next one.
struct Inner {
    domain: Arc<ProtectionDomain>,
    /// The program's functions for keys, if it has such.
    hooks: Option<KeyHooks>,
    budget: Budget,
    keys: KeyTable,
    regions: Mutex<Regions>,
}

/// What is registered now.
#[derive(Default)]
struct Regions {
    by_address: BTreeMap<usize, (Region, Translation)>,
    free_keys: Free,
    /// Regions of the device that these are made of.
    count: u32,
    /// Bytes, each as often as it is registered.
    locked: u64,
    /// Whether it was said that memory is registered once for all rights.
    said_short: bool,
}

// SAFETY: the environment's map may be used from any thread, and `Inner` is Sync.
unsafe impl Send for Map {}
// SAFETY: as above.
unsafe impl Sync for Map {}

impl Map {
    /// Registers all of the environment's memory with `domain`, whose device has these limits, now and as it changes.
    pub fn new(domain: &Arc<ProtectionDomain>, limits: &DeviceLimits) -> Result<Self, NoMap> {
        Self::with_hooks(domain, limits, None)
    }

    /// As [`Map::new`], with keys of the program's if it has such.
    pub fn with_hooks(
        domain: &Arc<ProtectionDomain>,
        limits: &DeviceLimits,
        hooks: Option<KeyHooks>,
    ) -> Result<Self, NoMap> {
        static OPERATIONS: sys::spdk_mem_map_ops =
            sys::spdk_mem_map_ops { notify_cb: Some(notify), are_contiguous: Some(are_contiguous) };
        let inner = Arc::new(Inner {
            domain: domain.clone(),
            hooks,
            budget: Budget::new(limits),
            keys: KeyTable::default(),
            regions: Mutex::default(),
        });
        // SAFETY: `inner` lives until the map was freed in drop, which ends the notifications; `OPERATIONS` is
        // static. Regions are announced during the call already, which `notify` is ready for.
        let raw =
            unsafe { sys::spdk_mem_map_alloc(NOTHING, &OPERATIONS, Arc::as_ptr(&inner).cast_mut().cast()) };
        Ok(Self { raw: NonNull::new(raw).ok_or(NoMap)?, inner })
    }

    /// Whether the keys are the program's: then they are for the controller, and of no use as local ones.
    pub fn has_hooks(&self) -> bool {
        self.inner.hooks.is_some()
    }

    /// The keys of the region that covers `length` bytes at `address`, which `cache` knows from here on.
    pub fn look_up(&self, cache: &Cache, address: u64, length: u32) -> Covered {
        if address.checked_add(u64::from(length)).is_none() {
            return Covered::No;
        }
        let mut covered = u64::from(length).max(LOOK_AHEAD);
        // SAFETY: the map is alive; `covered` is a valid place: in, how far to look; out, how far it holds.
        let translation = unsafe { sys::spdk_mem_map_translate(self.raw.as_ptr(), address, &mut covered) };
        if translation == NOTHING || covered < u64::from(length) {
            return Covered::No;
        }
        let Some(keys) = self.inner.keys.get(Translation(translation)) else { return Covered::No };
        let size = covered.min(u64::MAX - address);
        cache.remember(Entry { start: address, size, keys: keys.into() });
        Covered::Registered(keys)
    }

    /// The part of a buffer, from its first byte on, that one registered region covers: its length and its keys. None if the first byte
    /// is in none.
    #[cold]
    pub fn first_part(&self, Piece { address, length }: Piece) -> Option<(u32, Keys)> {
        address.checked_add(u64::from(length))?;
        let mut covered = u64::from(length);
        // SAFETY: as in look_up.
        let translation = unsafe { sys::spdk_mem_map_translate(self.raw.as_ptr(), address, &mut covered) };
        if translation == NOTHING || covered == 0 {
            return None;
        }
        let keys = self.inner.keys.get(Translation(translation))?;
        Some((u32::try_from(covered).unwrap_or(u32::MAX).min(length), keys))
    }

    /// The key for a command whose data go both ways, as no command of the NVMe specifications' do: it is registered when
    /// the first such command uses the region. None if no one region covers the buffer.
    #[cold]
    pub fn key_for_both_ways(&self, address: u64, length: u32) -> Result<Option<u32>, Error> {
        let (Ok(first), Ok(length)) = (usize::try_from(address), usize::try_from(length)) else {
            return Ok(None);
        };
        let Inner { domain, regions, .. } = &*self.inner;
        let Regions { by_address, count, locked, .. } = &mut *regions.lock();
        let Some((start, (region, _))) = by_address.range_mut(..=first).next_back() else { return Ok(None) };
        let end = first.checked_add(length);
        if end.is_none_or(|end| end > start.saturating_add(region.length())) {
            return Ok(None);
        }
        let before = region.count();
        // SAFETY: the region was registered at this address, with this domain.
        let key = unsafe { region.key_for_both(domain, std::ptr::with_exposed_provenance_mut(*start)) }?;
        let added = region.count().saturating_sub(before);
        *count = count.saturating_add(added);
        *locked = locked.saturating_add(u64::from(added).saturating_mul(region.length() as u64));
        Ok(Some(key))
    }
}

impl Drop for Map {
    fn drop(&mut self) {
        let mut raw = self.raw.as_ptr();
        // SAFETY: allocated in `new`, freed once. No notification comes afterwards.
        unsafe { sys::spdk_mem_map_free(&mut raw) };
        let left = std::mem::take(&mut self.inner.regions.lock().by_address);
        drop(left);
    }
}

impl Inner {
    /// Registers a range, in as many pieces as the device needs. All of them, or none.
    fn register(&self, map: *mut sys::spdk_mem_map, address: *mut c_void, length: usize) -> Result<(), i32> {
        if let Some(hooks) = &self.hooks {
            let Some(key) = hooks.key_for(&self.domain, address, length) else {
                tracing::warn!(
                    "the program has no key for {length} bytes at {address:p}: data there are copied"
                );
                return Ok(());
            };
            return self.add(map, address, length, Region::given(key, length));
        }
        for (at, size) in self.budget.pieces(address.addr(), length) {
            let before = at.saturating_sub(address.addr());
            if let Err(errno) = self.register_piece(map, address.wrapping_byte_add(before), size) {
                if before > 0 {
                    let _ = self.unregister(map, address, before);
                }
                return Err(errno);
            }
        }
        Ok(())
    }

    fn register_piece(
        &self,
        map: *mut sys::spdk_mem_map,
        address: *mut c_void,
        length: usize,
    ) -> Result<(), i32> {
        let short = {
            let regions = self.regions.lock();
            self.budget.allows_split(regions.count, regions.locked, length).err()
        };
        // SAFETY: the environment announces memory that the program handed to it for I/O; this library reads and
        // writes user buffers through the device alone.
        let region = unsafe { Region::register(&self.domain, address, length, short.is_none()) };
        let (region, refused) = region.map_err(|error| {
            tracing::error!("registering {length} bytes at {address:p} with the RDMA device: {error}");
            error.errno
        })?;
        if let Some(why) = short.or(refused.map(Short::Refused)) {
            self.say_short(why);
        }
        self.add(map, address, length, region)
    }

    /// Lets a region be found.
    fn add(
        &self,
        map: *mut sys::spdk_mem_map,
        address: *mut c_void,
        length: usize,
        region: Region,
    ) -> Result<(), i32> {
        let translation = {
            let regions = &mut *self.regions.lock();
            self.keys.insert(&mut regions.free_keys, region.keys())
        };
        let Some(translation) = translation else {
            let _ = region.deregister();
            return Err(libc::ENOMEM);
        };
        // SAFETY: the map announces this range itself, during this call.
        let result = unsafe {
            sys::spdk_mem_map_set_translation(map, address.addr() as u64, length as u64, translation.0)
        };
        if result != 0 {
            self.keys.remove(&mut self.regions.lock().free_keys, translation);
            let _ = region.deregister();
            tracing::error!(
                "the environment refused a translation for {length} bytes at {address:p}: {result}"
            );
            return Err(result.saturating_abs());
        }
        let regions = &mut *self.regions.lock();
        regions.count = regions.count.saturating_add(region.count());
        regions.locked = regions.locked.saturating_add(locked_by(&region));
        // `key_for_both_ways` has nothing but the number.
        let start = address.expose_provenance();
        regions.by_address.insert(start, (region, translation));
        Ok(())
    }

    /// Ends the registrations in a range, all of them: the first error is returned.
    fn unregister(
        &self,
        map: *mut sys::spdk_mem_map,
        address: *mut c_void,
        length: usize,
    ) -> Result<(), i32> {
        // SAFETY: as in register_piece.
        let result =
            unsafe { sys::spdk_mem_map_clear_translation(map, address.addr() as u64, length as u64) };
        let gone = self.take_out(address.addr(), address.addr().saturating_add(length));
        epoch::advance();
        let mut outcome = if result == 0 { Ok(()) } else { Err(result.saturating_abs()) };
        for region in gone {
            outcome = outcome.and(region.deregister().map_err(|error| error.errno));
        }
        outcome
    }

    /// Takes the regions that begin in a range off the account: nobody finds their keys any more.
    fn take_out(&self, from: usize, to: usize) -> Vec<Region> {
        let regions = &mut *self.regions.lock();
        let starts: Vec<usize> = regions.by_address.range(from..to).map(|(start, _)| *start).collect();
        let mut gone = Vec::with_capacity(starts.len());
        for (region, translation) in starts.iter().filter_map(|start| regions.by_address.remove(start)) {
            self.keys.remove(&mut regions.free_keys, translation);
            regions.count = regions.count.saturating_sub(region.count());
            regions.locked = regions.locked.saturating_sub(locked_by(&region));
            gone.push(region);
        }
        gone
    }

    fn say_short(&self, why: Short) {
        let said = std::mem::replace(&mut self.regions.lock().said_short, true);
        if !said {
            tracing::warn!(
                "{}: memory is registered once for reading and writing, not once for each: {why}",
                self.domain.device().name()
            );
        }
    }
}

fn locked_by(region: &Region) -> u64 {
    u64::from(region.count()).saturating_mul(region.length() as u64)
}

/// The last look-ups of one user of a map. They are void when the epoch (`crate::epoch`) goes on, or its user turns to another map: who
/// uses them has seen to that, and [clears](Cache::clear) them then.
#[derive(Debug)]
pub struct Cache {
    entry: Cell<Entry>,
    /// The one before, of another region: for data in several pieces.
    other: Cell<Entry>,
}

/// What a cache knows of the region that a buffer lies in. Remote keys are as the upper half of a keyed SGL descriptor has them,
/// with a length of 0 (Base 2.0, figure 103).
#[derive(Debug, Clone, Copy)]
pub struct Prepared {
    /// The key for local work requests that read.
    pub local: u32,
    /// The key for a controller that reads from here.
    pub readable: u64,
    /// The key for a controller that writes here.
    pub writable: u64,
}

impl From<Keys> for Prepared {
    fn from(keys: Keys) -> Self {
        let half = |key| {
            let [_, rest] = spec::Sgl::keyed(0, 0, key).to_words();
            rest
        };
        Self { local: keys.local, readable: half(keys.readable), writable: half(keys.writable) }
    }
}

#[derive(Debug, Clone, Copy)]
struct Entry {
    start: u64,
    size: u64,
    keys: Prepared,
}

impl Cache {
    /// A cache that knows nothing.
    pub fn new() -> Self {
        Self { entry: Cell::new(Entry::NOTHING), other: Cell::new(Entry::NOTHING) }
    }

    /// Forgets what it knows.
    pub fn clear(&self) {
        self.entry.set(Entry::NOTHING);
        self.other.set(Entry::NOTHING);
    }

    fn remember(&self, entry: Entry) {
        let before = self.entry.replace(entry);
        if before.keys.local != entry.keys.local || before.keys.writable != entry.keys.writable {
            self.other.set(before);
        }
    }

    /// The keys for `length` bytes at `address`, if the last look-up covers them.
    #[inline(always)]
    pub(crate) fn find(&self, address: u64, length: u32) -> Option<Prepared> {
        self.entry.get().find(address, length)
    }

    /// As [`Cache::find`], if one of the last look-ups in two regions covers them.
    pub(crate) fn find_either(&self, address: u64, length: u32) -> Option<Prepared> {
        self.find(address, length).or_else(|| self.other.get().find(address, length))
    }
}

impl Entry {
    /// Nothing, at the end of memory.
    const NOTHING: Self =
        Self { start: u64::MAX, size: 0, keys: Prepared { local: 0, readable: 0, writable: 0 } };

    #[inline(always)]
    fn find(&self, address: u64, length: u32) -> Option<Prepared> {
        let offset = address.wrapping_sub(self.start);
        let room = self.size.wrapping_sub(u64::from(length));
        // With a length above the size, `room` wraps to more than the size.
        (room <= self.size && offset <= room).then_some(self.keys)
    }
}

impl Default for Cache {
    fn default() -> Self {
        Self::new()
    }
}

/// The translation of memory that is not registered. No region's looks like it.
const NOTHING: u64 = 0;

/// How far beyond a buffer a look-up asks, so that its neighbours are found in the cache.
const LOOK_AHEAD: u64 = 32 << 20;

/// # Safety
///
/// Called by the environment with the `Inner` of a map that was not freed yet.
unsafe extern "C" fn notify(
    context: *mut c_void,
    map: *mut sys::spdk_mem_map,
    action: i32,
    address: *mut c_void,
    length: usize,
) -> i32 {
    // SAFETY: `context` is the Inner that Map::new gave along, alive until after spdk_mem_map_free.
    let inner = unsafe { &*context.cast::<Inner>() };
    let result = match action {
        sys::NOTIFY_REGISTER => inner.register(map, address, length),
        sys::NOTIFY_UNREGISTER => inner.unregister(map, address, length),
        _ => Err(libc::EINVAL),
    };
    result.map_or_else(|errno| -errno, |()| 0)
}

/// Two granules belong to one region exactly if their translations, of which each region has its own, are equal.
///
/// # Safety
///
/// None; unsafe only by the type of the C callback.
unsafe extern "C" fn are_contiguous(first: u64, second: u64) -> i32 {
    i32::from(first == second)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_look_ups_in_two_regions_are_known() {
        let cache = Cache::new();
        let keys = |n| Keys { local: n, readable: n + 1, writable: n + 2 };
        let look_up = |start, size, n| cache.remember(Entry { start, size, keys: keys(n).into() });
        let found = |address, length| cache.find_either(address, length).map(|keys| keys.local);
        look_up(0x1000, 0x1000, 10);
        assert_eq!(found(0x1000, 0x1000), Some(10));
        assert_eq!((found(0x1800, 0x801), found(0xfff, 1), found(0x1000, u32::MAX)), (None, None, None));
        look_up(0x8000, 0x1000, 20);
        assert!(cache.find(0x1000, 1).is_none(), "the last one alone");
        assert_eq!((found(0x1000, 0x1000), found(0x8fff, 1), found(0x9000, 1)), (Some(10), Some(20), None));
        // The same region from an earlier address on: the other one stays.
        look_up(0x7000, 0x2000, 20);
        assert_eq!((found(0x7000, 1), found(0x1000, 1)), (Some(20), Some(10)));
        look_up(0xf000, 0x1000, 30);
        assert_eq!((found(0x7000, 1), found(0x1000, 1)), (Some(20), None));
        cache.clear();
        assert_eq!((found(0xf000, 1), found(0x7000, 1)), (None, None));
    }
}

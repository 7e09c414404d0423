//! Which key covers a buffer.
//!
//! The environment knows which memory the program may use for I/O: `spdk_mem_map_alloc` announces every region that
//! exists and every change. [`Map`] is the counterpart of one protection domain: it registers each announced region
//! with the device and stores its keys as the map's translation. A look-up never follows a pointer that it finds
//! there, so a buffer whose memory was given back meanwhile yields at worst a key that the device refuses.
//!
//! All unsafe calls of the environment's memory map are in this module.

#![allow(unsafe_code)]

mod sys;

use parking_lot::Mutex;
use std::{
    cell::Cell,
    collections::BTreeMap,
    ffi::c_void,
    ptr::NonNull,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};
use verbs::{Access, MemoryRegion, ProtectionDomain};

/// A buffer's place in registered memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Keys {
    /// The key for local work requests.
    pub local: u32,
    /// The key that the controller gets.
    pub remote: u32,
}

/// What a look-up answers. A request slot has room for either.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Covered {
    /// One registered region covers the whole buffer.
    Registered(Keys),
    /// None does, or more than one: the buffer cannot be used as it is.
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

/// What the environment's notifications reach.
struct Inner {
    domain: Arc<ProtectionDomain>,
    regions: Mutex<BTreeMap<usize, MemoryRegion>>,
    /// Counts the regions that went away; a cached look-up of an older generation is void.
    generation: AtomicU64,
}

// SAFETY: the environment's map may be used from any thread, and `Inner` is Sync.
unsafe impl Send for Map {}
// SAFETY: as above.
unsafe impl Sync for Map {}

impl Map {
    /// Registers all of the environment's memory with `domain`, now and as it changes.
    pub fn new(domain: &Arc<ProtectionDomain>) -> Result<Self, NoMap> {
        static OPERATIONS: sys::spdk_mem_map_ops =
            sys::spdk_mem_map_ops { notify_cb: Some(notify), are_contiguous: Some(are_contiguous) };
        let inner = Arc::new(Inner {
            domain: domain.clone(),
            regions: Mutex::new(BTreeMap::new()),
            generation: AtomicU64::new(0),
        });
        // SAFETY: `inner` lives until the map was freed in drop, which ends the notifications; `OPERATIONS` is
        // static. Regions are announced during the call already, which `notify` is ready for.
        let raw =
            unsafe { sys::spdk_mem_map_alloc(NOTHING, &OPERATIONS, Arc::as_ptr(&inner).cast_mut().cast()) };
        Ok(Self { raw: NonNull::new(raw).ok_or(NoMap)?, inner })
    }

    /// The keys of the region that covers `length` bytes at `address`, from `cache` if it knows.
    #[inline]
    pub fn look_up(&self, cache: &Cache, address: u64, length: u32) -> Covered {
        let entry = cache.entry.get();
        let generation = self.inner.generation.load(Ordering::Relaxed);
        let end = address.wrapping_add(u64::from(length));
        if address >= entry.start && end <= entry.end && end >= address && entry.generation == generation {
            return Covered::Registered(entry.keys);
        }
        self.look_up_in_map(cache, address, length, generation)
    }

    #[cold]
    fn look_up_in_map(&self, cache: &Cache, address: u64, length: u32, generation: u64) -> Covered {
        if address.checked_add(u64::from(length)).is_none() {
            return Covered::No;
        }
        let mut covered = u64::from(length).max(LOOK_AHEAD);
        // SAFETY: the map is alive; `covered` is a valid place: in, how far to look; out, how far it holds.
        let translation = unsafe { sys::spdk_mem_map_translate(self.raw.as_ptr(), address, &mut covered) };
        if translation == NOTHING || covered < u64::from(length) {
            return Covered::No;
        }
        let keys = unpack(translation);
        cache.entry.set(Entry { start: address, end: address.saturating_add(covered), keys, generation });
        Covered::Registered(keys)
    }
}

impl Drop for Map {
    fn drop(&mut self) {
        let mut raw = self.raw.as_ptr();
        // SAFETY: allocated in `new`, freed once. No notification comes afterwards.
        unsafe { sys::spdk_mem_map_free(&mut raw) };
        self.inner.regions.lock().clear();
    }
}

impl Inner {
    fn register(&self, map: *mut sys::spdk_mem_map, address: *mut c_void, length: usize) -> Result<(), i32> {
        // SAFETY: the environment announces memory that the program handed to it for I/O; this library reads and
        // writes user buffers through the device alone.
        let region = unsafe { MemoryRegion::register(&self.domain, address, length, Access::Remote) };
        let region = region.map_err(|error| {
            tracing::error!("registering {length} bytes at {address:p} with the RDMA device: {error}");
            error.errno
        })?;
        let translation = pack(Keys { local: region.local_key(), remote: region.remote_key() });
        // SAFETY: the map announces this range itself, during this call.
        let result = unsafe {
            sys::spdk_mem_map_set_translation(map, address.addr() as u64, length as u64, translation)
        };
        if result != 0 {
            tracing::error!(
                "the environment refused a translation for {length} bytes at {address:p}: {result}"
            );
            return Err(result.saturating_abs());
        }
        self.regions.lock().insert(address.addr(), region);
        Ok(())
    }

    fn unregister(
        &self,
        map: *mut sys::spdk_mem_map,
        address: *mut c_void,
        length: usize,
    ) -> Result<(), i32> {
        // SAFETY: as in register.
        let result =
            unsafe { sys::spdk_mem_map_clear_translation(map, address.addr() as u64, length as u64) };
        self.generation.fetch_add(1, Ordering::Relaxed);
        let mut regions = self.regions.lock();
        let end = address.addr().saturating_add(length);
        let gone: Vec<usize> = regions.range(address.addr()..end).map(|(start, _)| *start).collect();
        gone.iter().for_each(|start| drop(regions.remove(start)));
        if result == 0 { Ok(()) } else { Err(result.saturating_abs()) }
    }
}

/// The last look-up of one user of a map. Void by itself when the map's memory changed.
#[derive(Debug)]
pub struct Cache {
    entry: Cell<Entry>,
}

#[derive(Debug, Clone, Copy)]
struct Entry {
    start: u64,
    end: u64,
    keys: Keys,
    generation: u64,
}

impl Cache {
    /// A cache that knows nothing.
    pub fn new() -> Self {
        let keys = Keys { local: 0, remote: 0 };
        Self { entry: Cell::new(Entry { start: 1, end: 0, keys, generation: 0 }) }
    }
}

impl Default for Cache {
    fn default() -> Self {
        Self::new()
    }
}

/// The translation of memory that is not registered. No pair of keys looks like it: key 0 is reserved.
const NOTHING: u64 = 0;

/// How far beyond a buffer a look-up asks, so that its neighbours are found in the cache.
const LOOK_AHEAD: u64 = 32 << 20;

const fn pack(keys: Keys) -> u64 {
    (keys.local as u64) << 32 | keys.remote as u64
}

const fn unpack(translation: u64) -> Keys {
    Keys { local: (translation >> 32) as u32, remote: translation as u32 }
}

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

/// Two granules belong to one region exactly if their translations, which hold the region's keys, are equal.
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
    fn keys_survive_their_translation() {
        let keys = Keys { local: 0x8000_0001, remote: 0xffff_fffe };
        assert_eq!(unpack(pack(keys)), keys);
        assert_ne!(pack(Keys { local: 1, remote: 0 }), NOTHING);
    }
}

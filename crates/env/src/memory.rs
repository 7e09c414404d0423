//! `spdk_malloc` and its family: buffers out of large regions that are registered as a whole.
//!
//! A region ("arena") is mapped when no existing one has room, starts at a 2 MiB boundary, and is registered once, so
//! that one memory region of a device covers many buffers. What is taken and what is free is kept outside of it.
//!
//! Invariants:
//! - every arena in the pool is mapped and registered; it leaves the pool first, then the registry, then the process;
//! - the pool's lock is not held while memory is registered or unregistered: that calls the program's callbacks, which
//!   may allocate and free;
//! - all arenas together stay below the limit.
#![allow(unsafe_code)]

use std::collections::BTreeMap;
use std::ffi::{c_int, c_void};
use std::ptr::null_mut;
use std::sync::atomic::{AtomicUsize, Ordering};

use parking_lot::Mutex;

use crate::log::{error, warning};
use crate::ranges::{Ranges, round_up};
use crate::registry;

/// Boundary and unit of arenas.
const ARENA_UNIT: usize = 2 << 20;
/// Size of the first arena. Small, because a device pins all of it and a process may have a limit on that.
const FIRST_ARENA: usize = 4 << 20;
/// Arenas grow with what is in use, up to this (a larger request has an arena of its own size).
const LARGEST_ARENA: usize = 64 << 20;
/// Arenas without a buffer in them are kept for later up to this sum.
const KEPT_EMPTY: usize = 64 << 20;
/// `SPDK_MALLOC_DMA | SPDK_MALLOC_SHARE`.
const DMA_AND_SHARE: u32 = 3;

#[unsafe(no_mangle)]
pub extern "C" fn spdk_malloc(
    size: usize,
    align: usize,
    unused: *mut u64,
    _numa: c_int,
    flags: u32,
) -> *mut c_void {
    if flags == 0 || !unused.is_null() {
        return null_mut();
    }
    take(size, align).map_or(null_mut(), |address| address as *mut c_void)
}

#[unsafe(no_mangle)]
pub extern "C" fn spdk_zmalloc(
    size: usize,
    align: usize,
    unused: *mut u64,
    numa: c_int,
    flags: u32,
) -> *mut c_void {
    let buffer = spdk_malloc(size, align, unused, numa, flags);
    if !buffer.is_null() {
        // SAFETY: `size` bytes that were taken just now and that nobody else knows.
        unsafe { buffer.write_bytes(0, size) };
    }
    buffer
}

/// # Safety
/// `buf` is NULL or a buffer that nobody uses meanwhile. One that is not ours is refused.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn spdk_realloc(buf: *mut c_void, size: usize, align: usize) -> *mut c_void {
    if buf.is_null() {
        return take(size, align).map_or(null_mut(), |address| address as *mut c_void);
    }
    let Some(old) = POOL.lock().size_of(buf.addr()) else {
        error!("spdk_realloc: {buf:p} is not a buffer that was allocated here");
        return null_mut();
    };
    if size == 0 {
        give_back(buf.addr(), "spdk_realloc");
        return null_mut();
    }
    // Shrinking to less than half moves the data, so that the room is not lost.
    if size <= old
        && size >= old / 2
        && align_of_request(align).is_some_and(|align| buf.addr() & (align - 1) == 0)
    {
        return buf;
    }
    let Some(address) = take(size, align) else { return null_mut() };
    let moved = address as *mut c_void;
    // SAFETY: two different taken blocks, of at least this many bytes each.
    unsafe { moved.copy_from_nonoverlapping(buf, old.min(size)) };
    give_back(buf.addr(), "spdk_realloc");
    moved
}

/// # Safety
/// `buf` is NULL or a buffer that nobody uses any more. One that is not ours is refused.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn spdk_free(buf: *mut c_void) {
    if !buf.is_null() {
        give_back(buf.addr(), "spdk_free");
    }
}

#[unsafe(no_mangle)]
pub extern "C" fn spdk_dma_malloc(size: usize, align: usize, unused: *mut u64) -> *mut c_void {
    spdk_malloc(size, align, unused, -1, DMA_AND_SHARE)
}

#[unsafe(no_mangle)]
pub extern "C" fn spdk_dma_malloc_socket(
    size: usize,
    align: usize,
    unused: *mut u64,
    numa_id: c_int,
) -> *mut c_void {
    spdk_malloc(size, align, unused, numa_id, DMA_AND_SHARE)
}

#[unsafe(no_mangle)]
pub extern "C" fn spdk_dma_zmalloc(size: usize, align: usize, unused: *mut u64) -> *mut c_void {
    spdk_zmalloc(size, align, unused, -1, DMA_AND_SHARE)
}

#[unsafe(no_mangle)]
pub extern "C" fn spdk_dma_zmalloc_socket(
    size: usize,
    align: usize,
    unused: *mut u64,
    numa_id: c_int,
) -> *mut c_void {
    spdk_zmalloc(size, align, unused, numa_id, DMA_AND_SHARE)
}

/// # Safety
/// As [`spdk_realloc`].
#[unsafe(no_mangle)]
pub unsafe extern "C" fn spdk_dma_realloc(
    buf: *mut c_void,
    size: usize,
    align: usize,
    unused: *mut u64,
) -> *mut c_void {
    if !unused.is_null() {
        return null_mut();
    }
    // SAFETY: the same contract.
    unsafe { spdk_realloc(buf, size, align) }
}

/// # Safety
/// As [`spdk_free`].
#[unsafe(no_mangle)]
pub unsafe extern "C" fn spdk_dma_free(buf: *mut c_void) {
    // SAFETY: the same contract.
    unsafe { spdk_free(buf) }
}

struct Arena {
    mapping: Mapping,
    ranges: Ranges,
}

struct Pool {
    arenas: BTreeMap<usize, Arena>,
    /// Bytes of all arenas, and of those that are being made.
    mapped: usize,
}

static POOL: Mutex<Pool> = Mutex::new(Pool { arenas: BTreeMap::new(), mapped: 0 });

/// Most bytes that all arenas may have together. 0: what the machine has.
static LIMIT: AtomicUsize = AtomicUsize::new(0);

/// Limits the memory that buffers may use. `None`: to what the machine has.
pub(crate) fn set_limit(bytes: Option<usize>) {
    LIMIT.store(bytes.unwrap_or(0), Ordering::Relaxed);
}

/// Gives back all memory without buffers in it.
pub(crate) fn release_unused() {
    let (unused, buffers, bytes) = {
        let mut pool = POOL.lock();
        let unused = pool.remove_empty(0);
        let buffers: usize = pool.arenas.values().map(|arena| arena.ranges.taken_count()).sum();
        let bytes: usize = pool.arenas.values().map(|arena| arena.ranges.taken_bytes()).sum();
        (unused, buffers, bytes)
    };
    unused.into_iter().for_each(unmap);
    if buffers > 0 {
        warning!("spdk_env_fini: {buffers} buffers ({bytes} bytes) are still allocated and stay mapped");
    }
}

/// Takes a buffer. `None`: a size of 0, an alignment that is no power of two, or no memory.
pub(crate) fn take(size: usize, align: usize) -> Option<usize> {
    let align = align_of_request(align)?;
    if size == 0 {
        return None;
    }
    let (reserved, unused) = {
        let mut pool = POOL.lock();
        if let Some(address) = pool.take(size, align) {
            return Some(address);
        }
        match pool.reserve_arena(size) {
            Some(arena_size) => (Some(arena_size), Vec::new()),
            // Arenas that are kept for later are in the way.
            None => {
                let unused = pool.remove_empty(0);
                (pool.reserve_arena(size), unused)
            }
        }
    };
    unused.into_iter().for_each(unmap);
    let Some(arena_size) = reserved else {
        error!("out of memory: {size} bytes asked for, at most {} may be in use", limit());
        return None;
    };
    let address = new_arena(arena_size, size, align);
    if address.is_none() {
        let mut pool = POOL.lock();
        pool.mapped = pool.mapped.saturating_sub(arena_size);
    }
    address
}

/// Gives a buffer back. What is not one gets a log line that names the caller.
pub(crate) fn give_back(address: usize, caller: &str) {
    let unused = {
        let mut pool = POOL.lock();
        let freed = pool.arena_of(address).and_then(|arena| arena.ranges.give_back(address));
        freed.map(|_| pool.remove_empty(KEPT_EMPTY))
    };
    match unused {
        Some(unused) => unused.into_iter().for_each(unmap),
        None => {
            error!("{caller}: {address:#x} is not a buffer that was allocated here, or it was freed before")
        }
    }
}

impl Pool {
    fn take(&mut self, size: usize, align: usize) -> Option<usize> {
        self.arenas.values_mut().find_map(|arena| arena.ranges.take(size, align))
    }

    fn arena_of(&mut self, address: usize) -> Option<&mut Arena> {
        let (_, arena) = self.arenas.range_mut(..=address).next_back()?;
        (address - arena.mapping.address < arena.mapping.length).then_some(arena)
    }

    fn size_of(&mut self, address: usize) -> Option<usize> {
        self.arena_of(address)?.ranges.size_of(address)
    }

    /// The size of the arena that is to be made for a buffer that no arena has room for. It counts from now on. Arenas
    /// start at multiples of the buffer's alignment, so nothing is lost to it.
    fn reserve_arena(&mut self, size: usize) -> Option<usize> {
        let needed = round_up(size, ARENA_UNIT)?;
        let left = limit().checked_sub(self.mapped)?;
        let wished = needed.max(self.mapped.clamp(FIRST_ARENA, LARGEST_ARENA));
        let granted = if wished <= left { wished } else { needed };
        if granted > left {
            return None;
        }
        self.mapped = self.mapped.saturating_add(granted);
        Some(granted)
    }

    /// Takes arenas without buffers out of the pool until at most `keep` bytes of them are left.
    fn remove_empty(&mut self, keep: usize) -> Vec<Arena> {
        let empty = |arena: &Arena| arena.ranges.taken_count() == 0;
        let mut sum: usize =
            self.arenas.values().filter(|a| empty(a)).map(|arena| arena.mapping.length).sum();
        let mut removed = Vec::new();
        while sum > keep {
            let largest = self.arenas.values().filter(|a| empty(a)).max_by_key(|arena| arena.mapping.length);
            let Some(arena) =
                largest.map(|arena| arena.mapping.address).and_then(|at| self.arenas.remove(&at))
            else {
                break;
            };
            sum = sum.saturating_sub(arena.mapping.length);
            self.mapped = self.mapped.saturating_sub(arena.mapping.length);
            removed.push(arena);
        }
        removed
    }
}

/// Maps and registers an arena, takes a buffer out of it, and adds it to the pool.
fn new_arena(length: usize, size: usize, align: usize) -> Option<usize> {
    let Some(mapping) = Mapping::new(length, align.max(ARENA_UNIT)) else {
        error!("out of memory: cannot map {length} bytes");
        return None;
    };
    if let Err(reason) = registry::register(mapping.address, length) {
        error!("cannot register new memory at {:#x}: {reason}", mapping.address);
        return None;
    }
    let mut ranges = Ranges::new(mapping.address, length);
    let address = ranges.take(size, align);
    let mut pool = POOL.lock();
    pool.arenas.insert(mapping.address, Arena { mapping, ranges });
    address
}

/// Ends an arena that has left the pool.
fn unmap(arena: Arena) {
    match registry::unregister(arena.mapping.address, arena.mapping.length) {
        Err(reason @ registry::Error::Kept(_)) => {
            let Mapping { address, length } = arena.mapping;
            error!("{length} bytes at {address:#x} stay mapped for good: {reason}");
            std::mem::forget(arena.mapping);
        }
        // A program that unregistered the region itself has seen to its maps already.
        Ok(()) | Err(_) => drop(arena),
    }
}

fn align_of_request(align: usize) -> Option<usize> {
    match align {
        0 => Some(1),
        align if align.is_power_of_two() => Some(align),
        _ => None,
    }
}

/// Most bytes that all arenas may have together.
fn limit() -> usize {
    match LIMIT.load(Ordering::Relaxed) {
        0 => physical_memory(),
        limit => limit,
    }
}

fn physical_memory() -> usize {
    // SAFETY: no requirement.
    let (pages, page) = unsafe { (libc::sysconf(libc::_SC_PHYS_PAGES), libc::sysconf(libc::_SC_PAGESIZE)) };
    match (usize::try_from(pages), usize::try_from(page)) {
        (Ok(pages), Ok(page)) => pages.saturating_mul(page),
        _ => usize::MAX,
    }
}

/// Private anonymous memory of the process, unmapped on drop.
struct Mapping {
    address: usize,
    length: usize,
}

impl Mapping {
    /// Maps `length` bytes (a multiple of 2 MiB) at a multiple of `align` (a power of two, at least 2 MiB).
    fn new(length: usize, align: usize) -> Option<Self> {
        let padded = length.checked_add(align)?;
        // SAFETY: a new mapping at an address of the kernel's choice touches no existing memory.
        let mapped = unsafe {
            libc::mmap(
                null_mut(),
                padded,
                libc::PROT_READ | libc::PROT_WRITE,
                libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE,
                -1,
                0,
            )
        };
        if mapped == libc::MAP_FAILED {
            return None;
        }
        let start = mapped.addr();
        let end = start.checked_add(padded)?;
        let address = round_up(start, align)?;
        let kept_end = address.checked_add(length)?;
        for (from, to) in [(start, address), (kept_end, end)] {
            if from < to {
                // SAFETY: a part of the mapping made above that is not kept.
                unsafe { libc::munmap(from as *mut c_void, to - from) };
            }
        }
        // SAFETY: the kept part of the mapping. A hint only: without huge pages everything works as well.
        unsafe { libc::madvise(address as *mut c_void, length, libc::MADV_HUGEPAGE) };
        Some(Mapping { address, length })
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        // SAFETY: exactly the mapping that `new` made; the pool has no buffer in it any more.
        unsafe { libc::munmap(self.address as *mut c_void, self.length) };
    }
}

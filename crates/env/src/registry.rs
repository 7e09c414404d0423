//! Which memory is registered, and the memory maps that are told about it.
//!
//! A memory map holds one translation per page (for the host: the memory region that covers it). It is told about every
//! region that is registered when it is made, and from then on about each region that comes or goes, in the units in
//! which they were registered.
//!
//! Invariants:
//! - notifications are one after the other: `ORDER` is held while any is delivered. It is re-entrant, since a callback
//!   may allocate memory, and that may register more;
//! - `STATE` is never held while a callback runs;
//! - a map in `STATE.maps` is alive: it leaves the list before it is dropped, and leaves it under `ORDER` only;
//! - regions never overlap.
#![allow(unsafe_code)]

use std::collections::BTreeMap;
use std::ffi::{c_int, c_void};
use std::ptr::NonNull;

use parking_lot::{Mutex, ReentrantMutex};

use crate::table::{ADDRESS_LIMIT, NoMemory, SMALL_PAGE, Table};

/// `enum spdk_mem_map_notify_action`: a region is registered.
pub(crate) const NOTIFY_REGISTER: c_int = 0;
/// `enum spdk_mem_map_notify_action`: a region is no longer registered.
pub(crate) const NOTIFY_UNREGISTER: c_int = 1;

/// `spdk_mem_map_notify_cb`.
pub(crate) type Notify = unsafe extern "C" fn(*mut c_void, *mut MemMap, c_int, *mut c_void, usize) -> c_int;
/// `spdk_mem_map_contiguous_translations`.
pub(crate) type AreContiguous = unsafe extern "C" fn(u64, u64) -> c_int;

/// Why memory cannot be registered or unregistered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Error {
    #[error("not a range of whole pages of user memory")]
    Unaligned,
    #[error("a part of it is registered already")]
    Registered,
    #[error("a part of it is not registered")]
    NotRegistered,
    #[error("it begins or ends inside of a registered region")]
    PartOfRegion,
    #[error("no memory for the translation table")]
    NoMemory,
    #[error("a memory map could not let it go (errno {0}), so that a device may go on using it")]
    Kept(c_int),
}

impl Error {
    /// The errno, as SPDK numbers these cases (positive).
    pub(crate) fn errno(self) -> c_int {
        match self {
            Error::Unaligned | Error::NotRegistered => libc::EINVAL,
            Error::Registered => libc::EBUSY,
            Error::PartOfRegion => libc::ERANGE,
            Error::NoMemory => libc::ENOMEM,
            Error::Kept(errno) => errno,
        }
    }
}

impl From<NoMemory> for Error {
    fn from(_: NoMemory) -> Self {
        Error::NoMemory
    }
}

/// `struct spdk_mem_map`.
#[derive(Debug)]
pub(crate) struct MemMap {
    pub(crate) table: Table,
    pub(crate) contiguous: Option<AreContiguous>,
    notify: Option<Notify>,
    context: *mut c_void,
}

struct State {
    regions: BTreeMap<usize, usize>,
    maps: Vec<Member>,
}

/// A map that is to be notified.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Member(NonNull<MemMap>);

// SAFETY: the pointer is followed by `deliver` only, under ORDER, which also guards the end of the map's life. The
// program's context pointer goes to the program's callback, which SPDK calls from any thread too.
unsafe impl Send for Member {}

static ORDER: ReentrantMutex<()> = ReentrantMutex::new(());
static STATE: Mutex<State> = Mutex::new(State { regions: BTreeMap::new(), maps: Vec::new() });

/// Registers a region and tells every map. A map that fails to take it is on its own, as in SPDK.
pub(crate) fn register(address: usize, length: usize) -> Result<(), Error> {
    check_range(address, length)?;
    if length == 0 {
        return Ok(());
    }
    let _order = ORDER.lock();
    let maps = {
        let mut state = STATE.lock();
        if overlaps(&state.regions, address, length) {
            return Err(Error::Registered);
        }
        state.regions.insert(address, length);
        state.maps.clone()
    };
    for map in maps {
        deliver(map, NOTIFY_REGISTER, address, length);
    }
    Ok(())
}

/// Unregisters one or more neighbouring regions, each as a whole, and tells every map, the youngest first. The regions are
/// gone from here even if a map could not let one go, which is the error then; the other maps are told all the same.
pub(crate) fn unregister(address: usize, length: usize) -> Result<(), Error> {
    check_range(address, length)?;
    let _order = ORDER.lock();
    let (regions, maps) = {
        let mut state = STATE.lock();
        let regions = whole_regions(&state.regions, address, length)?;
        for (start, _) in &regions {
            state.regions.remove(start);
        }
        (regions, state.maps.clone())
    };
    let mut result = Ok(());
    for (start, size) in regions {
        for map in maps.iter().rev() {
            match deliver(*map, NOTIFY_UNREGISTER, start, size) {
                0 => {}
                refusal => result = result.and(Err(Error::Kept(refusal.saturating_abs()))),
            }
        }
    }
    result
}

/// Prepares all maps for a range, so that registering it later needs no memory.
pub(crate) fn reserve(address: usize, length: usize) -> Result<(), Error> {
    check_range(address, length)?;
    let _order = ORDER.lock();
    let state = STATE.lock();
    if overlaps(&state.regions, address, length) {
        return Err(Error::Registered);
    }
    for map in &state.maps {
        // SAFETY: a map in the list is alive, and cannot leave it while STATE is held.
        unsafe { map.0.as_ref() }.table.reserve(address as u64, length as u64)?;
    }
    Ok(())
}

/// Bytes from `address` to the end of the registered region that holds it.
pub(crate) fn registered_from(address: usize) -> Option<usize> {
    let state = STATE.lock();
    let (&start, &length) = state.regions.range(..=address).next_back()?;
    start.checked_add(length)?.checked_sub(address).filter(|left| *left > 0)
}

/// Makes a map and tells it about all regions. `None`: no memory, or the map's callback refused a region (in which case
/// it was told that those before are gone).
pub(crate) fn add_map(
    default: u64,
    notify: Option<Notify>,
    contiguous: Option<AreContiguous>,
    context: *mut c_void,
) -> Option<NonNull<MemMap>> {
    let map = Box::new(MemMap { table: Table::new(default).ok()?, contiguous, notify, context });
    let map = NonNull::from(Box::leak(map));
    if notify.is_none() {
        return Some(map);
    }
    let member = Member(map);
    let _order = ORDER.lock();
    let known = {
        let mut state = STATE.lock();
        state.maps.push(member);
        state.regions.clone()
    };
    for (&start, &length) in &known {
        // A callback may have unregistered regions that come later in this list.
        if STATE.lock().regions.get(&start) != Some(&length) {
            continue;
        }
        if deliver(member, NOTIFY_REGISTER, start, length) != 0 {
            // Regions that the callbacks themselves added meanwhile were delivered as well.
            remove_map(member, |region| region < start || !known.contains_key(&region));
            return None;
        }
    }
    Some(map)
}

/// Tells a map that every region is gone, and drops it.
///
/// # Safety
/// `map` came from [`add_map`] and nobody uses it any more.
pub(crate) unsafe fn free_map(map: NonNull<MemMap>) {
    let _order = ORDER.lock();
    remove_map(Member(map), |_| true);
}

/// Ends the life of a map that `add_map` made and that nobody else uses, after telling it that the chosen regions are gone.
fn remove_map(member: Member, told: impl Fn(usize) -> bool) {
    let regions = STATE.lock().regions.clone();
    for (&start, &length) in regions.iter().filter(|(start, _)| told(**start)) {
        deliver(member, NOTIFY_UNREGISTER, start, length);
    }
    let mut state = STATE.lock();
    let listed = state.maps.iter().position(|other| *other == member);
    if let Some(position) = listed {
        state.maps.remove(position);
    }
    drop(state);
    // SAFETY: made by Box::leak in add_map. Nobody else reaches it: it is off the list, and the caller of this function
    // (add_map before it hands it out, or free_map by its contract) holds the only pointer.
    drop(unsafe { Box::from_raw(member.0.as_ptr()) });
}

/// Calls one map's callback, if the map is still there. Needs ORDER. Returns what the callback returned.
fn deliver(member: Member, action: c_int, address: usize, length: usize) -> c_int {
    let alive = STATE.lock().maps.contains(&member);
    if !alive {
        return 0;
    }
    // SAFETY: the map is in the list, thus alive, and ORDER keeps it there until the callback is entered; only the copies
    // made here are used afterwards.
    let (notify, context) = unsafe { (member.0.as_ref().notify, member.0.as_ref().context) };
    let Some(notify) = notify else { return 0 };
    // SAFETY: the program's own callback with the program's own context, as spdk_mem_map_alloc was given them.
    unsafe { notify(context, member.0.as_ptr(), action, address as *mut c_void, length) }
}

fn check_range(address: usize, length: usize) -> Result<(), Error> {
    let page = SMALL_PAGE as usize;
    let end = address.checked_add(length).ok_or(Error::Unaligned)?;
    if !address.is_multiple_of(page) || !length.is_multiple_of(page) || end as u64 > ADDRESS_LIMIT {
        return Err(Error::Unaligned);
    }
    Ok(())
}

fn overlaps(regions: &BTreeMap<usize, usize>, address: usize, length: usize) -> bool {
    let end = address.saturating_add(length);
    regions.range(..end).next_back().is_some_and(|(&start, &size)| start.saturating_add(size) > address)
}

/// The regions that tile `address .. address + length`.
fn whole_regions(
    regions: &BTreeMap<usize, usize>,
    address: usize,
    length: usize,
) -> Result<Vec<(usize, usize)>, Error> {
    if !regions.contains_key(&address) && overlaps(regions, address, 1) {
        return Err(Error::PartOfRegion);
    }
    let end = address.saturating_add(length);
    let mut found = Vec::new();
    let mut at = address;
    while at < end {
        let size = *regions.get(&at).ok_or(Error::NotRegistered)?;
        found.push((at, size));
        at = at.saturating_add(size);
    }
    if at > end { Err(Error::PartOfRegion) } else { Ok(found) }
}

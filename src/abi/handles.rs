//! Handles: what C holds for a controller, namespace, queue pair, poll group, detach or probe context, or device of
//! Opal.
//!
//! A handle is the address of a cell in one range of addresses that is reserved once and never unmapped. What must
//! hold:
//! * The address alone decides whether a handle is ours. Foreign memory is never read: another library's objects start
//!   with arbitrary bytes, and freed ones may be unmapped.
//! * A cell is reused oldest first, and not before [`REUSE_DELAY`] further cells were freed. Until then its tag says
//!   that the handle is stale, which is an error for the caller and no crash.
//! * A cell's share of a queue pair, poll group or detach context is an `Rc`, whose count is not atomic, although C may
//!   use the handle on one thread now and on another later. That is sound by SPDK's own rule: one thread at a time uses
//!   such an object, and a program that hands it over orders the two threads' uses, and so the uses of the count. What
//!   any thread may use is an `Arc`: controllers, namespaces and devices of Opal.
//! * Ends are claimed: who wants to end a handle's object first moves its cell's tag from live to ending, by one
//!   compare-and-swap, before it touches the object. Who loses gets the neutral answer and touches nothing. Until the
//!   object is gone its handle is still found, since callbacks of the end may use it.
//! * A long call ([`LongCall`]) marks its cell as busy. A claim from another thread then leaves the end to that call;
//!   one from a callback of the call takes it, and the call finds the object gone.
//! * Looking up takes no lock: a range check, a compare of the tag, a load of the object. The tag of a cell is written
//!   after its object, and a thread that was given a handle was given it after both.

mod range;

use super::disabled::disabled;
use parking_lot::Mutex;
use std::{
    collections::VecDeque,
    mem::ManuallyDrop,
    ops::Deref,
    ptr,
    sync::atomic::{AtomicPtr, AtomicU32, AtomicUsize, Ordering},
};

/// How many further cells are freed before one is used again.
pub(super) const REUSE_DELAY: usize = 65_536;

/// Most cells that can be in use at once, those that wait for reuse included.
const CELLS: usize = 1 << 22;
/// Cells that become writable at a time.
const STEP: usize = 4096;
const CELL_SIZE: usize = size_of::<Cell>();
/// The bytes of all of them.
const RANGE: usize = CELLS * CELL_SIZE;

/// What a cell stands for. The value is the tag of a live cell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub(super) enum Kind {
    /// `struct spdk_nvme_ctrlr`
    Controller = 1,
    /// `struct spdk_nvme_ns`
    Namespace = 2,
    /// `struct spdk_nvme_qpair`
    QueuePair = 3,
    /// `struct spdk_nvme_poll_group`
    PollGroup = 4,
    /// `struct spdk_nvme_detach_ctx`
    DetachContext = 5,
    /// `struct spdk_nvme_probe_ctx`
    ProbeContext = 6,
    /// `struct spdk_opal_dev`
    OpalDevice = 7,
}

/// Added to the tag of a cell whose object is gone.
const FREED: u32 = 0x8000_0000;
/// Added to the tag of a cell whose object's end was claimed.
const ENDING: u32 = 0x4000_0000;
/// Added to the tag of a cell while a long call works on its object.
const BUSY: u32 = 0x2000_0000;

/// Something that C holds a handle of.
pub(super) trait Object: Sized {
    /// What C calls the object.
    type Handle;
    /// The share that the cell has in the object: `Rc`, or `Arc` where shares are taken on more than one thread.
    type Share: Deref<Target = Self> + Clone;
    const KIND: Kind;

    fn into_raw(share: Self::Share) -> *const Self;

    /// # Safety
    /// `raw` came from `into_raw` and is turned back once.
    unsafe fn from_raw(raw: *const Self) -> Self::Share;

    /// # Safety
    /// `raw` came from `into_raw` and was not turned back.
    unsafe fn share_raw(raw: *const Self) -> Self::Share;

    /// An entry unwound while it worked on this object: nothing that belongs to it can be relied on any more.
    fn fail(&self);
}

/// Implements the casts of [`Object`] for a type whose shares are `Rc` or `Arc`.
macro_rules! shared_by {
    ($share:ident) => {
        type Share = $share<Self>;

        fn into_raw(share: Self::Share) -> *const Self {
            $share::into_raw(share)
        }

        unsafe fn from_raw(raw: *const Self) -> Self::Share {
            // SAFETY: the caller vouches that this gives back the share that into_raw took.
            unsafe { $share::from_raw(raw) }
        }

        unsafe fn share_raw(raw: *const Self) -> Self::Share {
            // SAFETY: the caller vouches that into_raw's share still exists.
            unsafe {
                $share::increment_strong_count(raw);
                $share::from_raw(raw)
            }
        }
    };
}
pub(super) use shared_by;

/// What a handle turned out to be.
pub(super) enum Found<'a, T> {
    /// One of ours, and alive.
    Ours(&'a T),
    /// Not from our range: another library's.
    Foreign,
    /// NULL, stale, or of another kind.
    Invalid,
}

/// Whose an address is that stands where a handle is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Whose {
    /// It is NULL.
    Nobodys,
    /// A handle of ours, of whatever kind, whose object is there.
    Ours,
    /// In our range, and stale or never a handle.
    Invalid(usize),
    /// Another library's.
    Foreign,
}

/// What came of a claim to a handle's end.
pub(super) enum Claim<S> {
    /// The end is the caller's, who goes on with this share and removes the handle.
    Won(S),
    /// Somebody else ends it, or will once its long call is over.
    Lost,
    /// Not from our range: another library's.
    Foreign,
    /// NULL, stale, or of another kind.
    Invalid,
}

#[repr(C)]
struct Cell {
    object: AtomicPtr<()>,
    tag: AtomicU32,
    /// The thread whose long call makes the cell busy.
    caller: AtomicU32,
}

/// First address of the range, all of which can be read. Before there is one: such that only odd addresses high above all that
/// programs have, and below those that errors are disguised as, could be cells.
static BASE: AtomicUsize = AtomicUsize::new((usize::MAX - 2 * RANGE) | 1);
static TABLE: Mutex<Table> = Mutex::new(Table { used: 0, writable: 0, free: VecDeque::new() });

/// How often there was no cell.
static REFUSED: AtomicUsize = AtomicUsize::new(0);

/// Which cells are to be had. Guarded by its lock; looking up does not need it.
struct Table {
    /// Cells that were ever used: all others are fresh.
    used: usize,
    /// Cells from the first on that can be written; 0 before there is a range.
    writable: usize,
    /// Freed cells, oldest first.
    free: VecDeque<u32>,
}

/// Looks a handle up.
///
/// # Safety
/// As long as the reference is used, no other thread frees this handle's object (a qpair or a group is used by one
/// thread at a time; a controller is detached when nobody uses it), and this thread holds a [`share`] before it calls
/// anything that may.
#[inline]
pub(super) unsafe fn find<'a, T: Object>(handle: *const T::Handle) -> Found<'a, T> {
    if is_live::<T>(handle) {
        // SAFETY: as for this function, and it is live.
        return Found::Ours(unsafe { live(handle) });
    }
    // SAFETY: as for this function.
    unsafe { find_other(handle) }
}

/// Whether a handle is a live one of this kind, in no long call. False says nothing.
#[inline(always)]
pub(super) fn is_live<T: Object>(handle: *const T::Handle) -> bool {
    is_cell(handle.addr()) && {
        // SAFETY: the address is that of a cell in the range, which can be read and is never unmapped.
        let cell = unsafe { &*handle.cast::<Cell>() };
        cell.tag.load(Ordering::Acquire) == T::KIND as u32
    }
}

/// The object of a handle.
///
/// # Safety
/// As for [`find`], and [`is_live`] said so just now; or, of a queue pair, in the [epoch](crate::epoch) that still is: then its end may
/// have begun, but its cell still has a share of it.
#[inline(always)]
pub(super) unsafe fn live<'a, T: Object>(handle: *const T::Handle) -> &'a T {
    // SAFETY: the handle is the address of a cell which holds a share of a T, by its tag or by the epoch, which `remove` advances before it
    // takes the share; the caller vouches that it stays for 'a.
    unsafe { &*(*handle.cast::<Cell>()).object.load(Ordering::Relaxed).cast::<T>() }
}

/// What [`find`] answers when the cell is not simply live: its object may be ending or in a long call, and is found then.
///
/// # Safety
/// As for [`find`].
#[cold]
unsafe fn find_other<'a, T: Object>(handle: *const T::Handle) -> Found<'a, T> {
    let Some(cell) = cell_at(handle.addr()) else {
        return if is_ours(handle.addr()) { Found::Invalid } else { Found::Foreign };
    };
    if cell.tag.load(Ordering::Acquire) & !(ENDING | BUSY) != T::KIND as u32 {
        return Found::Invalid;
    }
    let object = cell.object.load(Ordering::Relaxed).cast::<T>();
    // SAFETY: a cell with this tag holds a share of a T, and the caller vouches that it stays for 'a.
    Found::Ours(unsafe { &*object })
}

/// Whether an address is that of a cell, in use or not.
#[inline(always)]
fn is_cell(address: usize) -> bool {
    const { assert!(CELL_SIZE.is_power_of_two()) };
    let offset = address.wrapping_sub(BASE.load(Ordering::Relaxed));
    // What the offset has within a cell becomes its highest bits: one compare for that and for the range.
    offset.rotate_right(CELL_SIZE.ilog2()) < CELLS
}

/// The cell at an address, if there is one.
fn cell_at(address: usize) -> Option<&'static Cell> {
    // SAFETY: the address is that of a cell in the range, which can be read and is never unmapped.
    is_cell(address).then(|| unsafe { &*ptr::with_exposed_provenance::<Cell>(address) })
}

/// Whether an address is ours to answer for: NULL, or in the range. Where all calls are passed on, so is NULL.
fn is_ours(address: usize) -> bool {
    if address == 0 {
        return !disabled();
    }
    address.wrapping_sub(BASE.load(Ordering::Relaxed)) < RANGE
}

/// Whose an address is, whatever kind of handle it may be. Takes no lock.
pub(super) fn whose(address: usize) -> Whose {
    if address == 0 {
        return if disabled() { Whose::Foreign } else { Whose::Nobodys };
    }
    match cell_at(address).map(|cell| cell.tag.load(Ordering::Acquire)) {
        Some(0) => Whose::Invalid(address),
        Some(tag) if tag & FREED != 0 => Whose::Invalid(address),
        Some(_) => Whose::Ours,
        None if is_ours(address) => Whose::Invalid(address),
        None => Whose::Foreign,
    }
}

/// Whether a call must go no further although `handle`, by which it is told, is another library's: it also has `other`, which is of our
/// range, and must not reach that library. Says so.
#[cold]
pub(super) fn is_mixed(entry: &str, handle: usize, other: usize) -> bool {
    let is_mixed = whose(handle) == Whose::Foreign && matches!(whose(other), Whose::Ours | Whose::Invalid(_));
    if is_mixed {
        super::log::install();
        tracing::error!("{entry}: {handle:#x} is another library's, and {other:#x} is not");
    }
    is_mixed
}

/// A share of the object of a handle that another thread may be ending: it is either had before that, or not at all.
/// For objects whose shares may be taken on any thread; takes a lock, so not for each I/O.
pub(super) fn acquire<T: Object>(handle: *const T::Handle) -> Claim<T::Share>
where
    T::Share: Send + Sync,
{
    let _table = TABLE.lock();
    let Some(cell) = cell_at(handle.addr()) else {
        return if is_ours(handle.addr()) { Claim::Invalid } else { Claim::Foreign };
    };
    if cell.tag.load(Ordering::Acquire) & !(ENDING | BUSY) != T::KIND as u32 {
        return Claim::Invalid;
    }
    // SAFETY: the cell holds a share, which only `remove` takes, under the lock that is held.
    Claim::Won(unsafe { T::share_raw(cell.object.load(Ordering::Relaxed).cast::<T>()) })
}

/// Claims the end of a handle's object. Nothing of the object is touched unless the claim is won.
///
/// # Safety
/// No other thread uses the object, but for one that ends it, too, or that is in a [`LongCall`] on it.
pub(super) unsafe fn claim<T: Object>(handle: *const T::Handle) -> Claim<T::Share> {
    let Some(cell) = cell_at(handle.addr()) else {
        return if is_ours(handle.addr()) { Claim::Invalid } else { Claim::Foreign };
    };
    let kind = T::KIND as u32;
    loop {
        let tag = cell.tag.load(Ordering::Acquire);
        let (next, won) = match tag {
            tag if tag == kind => (kind | ENDING, true),
            // From a callback of the call: it is this thread's to end, and the call will find it gone.
            tag if tag == kind | BUSY && cell.caller.load(Ordering::Relaxed) == this_thread() => {
                (kind | ENDING, true)
            }
            tag if tag == kind | BUSY => (kind | BUSY | ENDING, false),
            tag if tag & !BUSY == kind | ENDING => return Claim::Lost,
            _ => return Claim::Invalid,
        };
        if cell.tag.compare_exchange(tag, next, Ordering::AcqRel, Ordering::Acquire).is_err() {
            continue;
        }
        if !won {
            return Claim::Lost;
        }
        // SAFETY: the cell holds a share, which only who claimed the end may take, and that is the caller.
        return Claim::Won(unsafe { T::share_raw(cell.object.load(Ordering::Relaxed).cast::<T>()) });
    }
}

/// A call that works on a handle's object for long and runs callbacks meanwhile. Until its end no other thread takes a
/// share of the object: shares of a queue pair are counted without atomics.
pub(super) struct LongCall {
    cell: &'static Cell,
    kind: u32,
}

/// What came of beginning a long call.
pub(super) enum Begin<S> {
    /// It began, with a share of the object, to be dropped before the call ends.
    Begun(LongCall, S),
    /// This thread is in one already, further up; the share is good as long as that is.
    Here(S),
    /// Another thread is in one. Nothing was touched.
    Elsewhere,
    /// The object is ending. Nothing was touched.
    Ending,
    /// Not from our range: another library's.
    Foreign,
    /// NULL, stale, or of another kind.
    Invalid,
}

/// How a long call finds the handle at its end.
pub(super) enum AfterCall<S> {
    /// As it was.
    Live,
    /// Another thread wanted its end meanwhile, which is this call's to bring about now, with this share.
    Wanted(S),
    /// A callback of the call has claimed its end.
    Gone,
}

/// No thread's number.
const NOBODY: u32 = 0;

impl LongCall {
    /// Begins a long call on a live handle.
    pub(super) fn begin<T: Object>(handle: *const T::Handle) -> Begin<T::Share> {
        let Some(cell) = cell_at(handle.addr()) else {
            return if is_ours(handle.addr()) { Begin::Invalid } else { Begin::Foreign };
        };
        let kind = T::KIND as u32;
        // Only a cell that was ever used can be written.
        if cell.tag.load(Ordering::Acquire) & !(ENDING | BUSY) != kind {
            return Begin::Invalid;
        }
        // SAFETY: where this is called the cell holds a share that no other thread can take: it is busy by this thread.
        let share = || unsafe { T::share_raw(cell.object.load(Ordering::Relaxed).cast::<T>()) };
        match cell.tag.compare_exchange(kind, kind | BUSY, Ordering::AcqRel, Ordering::Acquire) {
            Ok(_) => {
                // Until this is stored the caller is nobody, and a claim by any thread leaves the end to this call.
                cell.caller.store(this_thread(), Ordering::Relaxed);
                Begin::Begun(Self { cell, kind }, share())
            }
            Err(tag) if tag & !ENDING == kind | BUSY => {
                let here = cell.caller.load(Ordering::Relaxed) == this_thread();
                if here { Begin::Here(share()) } else { Begin::Elsewhere }
            }
            Err(tag) if tag == kind | ENDING => Begin::Ending,
            Err(_) => Begin::Invalid,
        }
    }

    /// Whether somebody wants the object's end, so that the call had better be short.
    pub(super) fn is_unwanted(&self) -> bool {
        self.cell.tag.load(Ordering::Relaxed) != self.kind | BUSY
    }

    /// Ends the call, whose shares were dropped.
    pub(super) fn end<T: Object>(self) -> AfterCall<T::Share> {
        let Self { cell, kind } = *ManuallyDrop::new(self);
        let tag = &cell.tag;
        // Before the tag is live again: whoever finds the next call's tag must not find this thread in it.
        cell.caller.store(NOBODY, Ordering::Relaxed);
        if tag.compare_exchange(kind | BUSY, kind, Ordering::AcqRel, Ordering::Acquire).is_ok() {
            return AfterCall::Live;
        }
        let wanted = kind | BUSY | ENDING;
        if tag.compare_exchange(wanted, kind | ENDING, Ordering::AcqRel, Ordering::Relaxed).is_ok() {
            // SAFETY: the end is this call's, and who claims it afterwards loses and takes no share.
            AfterCall::Wanted(unsafe { T::share_raw(cell.object.load(Ordering::Relaxed).cast::<T>()) })
        } else {
            AfterCall::Gone
        }
    }
}

/// A call that unwound: its object is left to whoever ends it next, also where another thread wanted that meanwhile and
/// left it to this call.
impl Drop for LongCall {
    fn drop(&mut self) {
        self.cell.caller.store(NOBODY, Ordering::Relaxed);
        for wanted in [0, ENDING] {
            let busy = self.kind | BUSY | wanted;
            let _ = self.cell.tag.compare_exchange(busy, self.kind, Ordering::AcqRel, Ordering::Relaxed);
        }
    }
}

/// Whether somebody wants the end of a handle's object that is in a long call of this thread.
pub(super) fn is_unwanted<T: Object>(handle: *const T::Handle) -> bool {
    cell_at(handle.addr()).is_none_or(|cell| cell.tag.load(Ordering::Relaxed) != T::KIND as u32 | BUSY)
}

/// A number that tells this thread from all others.
pub(super) fn this_thread() -> u32 {
    static NEXT: AtomicU32 = AtomicU32::new(NOBODY + 1);
    thread_local!(static NUMBER: u32 = NEXT.fetch_add(1, Ordering::Relaxed));
    NUMBER.with(|number| *number)
}

/// A share of a handle's object, for an entry during which the object may be freed.
///
/// # Safety
/// As for [`find`], until this returns.
#[inline]
pub(super) unsafe fn share<T: Object>(object: &T) -> T::Share {
    // SAFETY: `find` gave the reference, so it points to what the cell's share points to, and that share is there.
    unsafe { T::share_raw(object) }
}

/// Makes a handle. None if there are too many, which is said the first time and then ever less often.
pub(super) fn insert<T: Object>(share: T::Share) -> Option<*mut T::Handle> {
    insert_with::<T>(share, 0).map(|(handle, _)| handle)
}

/// Makes a handle that is in a long call of this thread from the beginning, so that others may find it before the call
/// is over.
pub(super) fn insert_in_call<T: Object>(share: T::Share) -> Option<(*mut T::Handle, LongCall)> {
    let (handle, cell) = insert_with::<T>(share, BUSY)?;
    Some((handle, LongCall { cell, kind: T::KIND as u32 }))
}

fn insert_with<T: Object>(share: T::Share, state: u32) -> Option<(*mut T::Handle, &'static Cell)> {
    let mut table = TABLE.lock();
    let cell = match table.take() {
        Some(cell) => cell,
        None => {
            drop(table);
            // A program that goes on asking gets no line for each.
            let refused = REFUSED.fetch_add(1, Ordering::Relaxed).saturating_add(1);
            if refused.is_power_of_two() {
                tracing::error!(
                    "out of handles, for the {refused}. time: {CELLS} are in use or could not be had"
                );
            }
            return None;
        }
    };
    cell.object.store(T::into_raw(share).cast_mut().cast(), Ordering::Relaxed);
    cell.caller.store(if state == BUSY { this_thread() } else { NOBODY }, Ordering::Relaxed);
    cell.tag.store(T::KIND as u32 | state, Ordering::Release);
    Some((ptr::from_ref(cell).cast_mut().cast(), cell))
}

/// Ends a handle and gives back the share that its cell had. None if it is not a live handle of this kind.
///
/// # Safety
/// As for [`find`]: nobody else is using the handle.
pub(super) unsafe fn remove<T: Object>(handle: *mut T::Handle) -> Option<T::Share> {
    let mut table = TABLE.lock();
    let cell = cell_at(handle.addr())?;
    if cell.tag.load(Ordering::Acquire) & !(ENDING | BUSY) != T::KIND as u32 {
        return None;
    }
    let index = handle.addr().wrapping_sub(BASE.load(Ordering::Relaxed)) / CELL_SIZE;
    cell.tag.store(T::KIND as u32 | FREED, Ordering::Release);
    if matches!(T::KIND, Kind::Namespace | Kind::QueuePair) {
        // Qpairs remember the handle of the namespace that they saw last; and an I/O that has asked the program for its pieces sees by
        // the epoch that the queue pair's handle still stands for the same one.
        crate::epoch::advance();
    }
    let object = cell.object.swap(ptr::null_mut(), Ordering::Relaxed).cast::<T>();
    table.free.push_back(u32::try_from(index).ok()?);
    drop(table);
    // SAFETY: the cell held this share, and its tag now says that it does not any more.
    Some(unsafe { T::from_raw(object) })
}

/// One line for a handle that [`find`] called invalid.
#[cold]
pub(super) fn complain(entry: &str, address: usize) {
    super::log::install();
    tracing::error!("{entry}: {}", fault(address));
}

/// What is wrong with a handle.
fn fault(address: usize) -> String {
    if address == 0 {
        return "handle is NULL".to_owned();
    }
    let tag = cell_at(address).map_or(0, |cell| cell.tag.load(Ordering::Relaxed));
    let name = match tag & !(FREED | ENDING | BUSY) {
        tag if tag == Kind::Controller as u32 => "controller",
        tag if tag == Kind::Namespace as u32 => "namespace",
        tag if tag == Kind::QueuePair as u32 => "qpair",
        tag if tag == Kind::PollGroup as u32 => "poll group",
        tag if tag == Kind::DetachContext as u32 => "detach context",
        tag if tag == Kind::ProbeContext as u32 => "probe context",
        tag if tag == Kind::OpalDevice as u32 => "device of Opal",
        _ => return format!("{address:#x} was never a handle"),
    };
    if tag & FREED == 0 {
        format!("{address:#x} is a {name}, which is not what is asked for here")
    } else {
        format!("{address:#x} is a {name} that was freed")
    }
}

impl Table {
    fn take(&mut self) -> Option<&'static Cell> {
        let index = if self.free.len() > REUSE_DELAY {
            usize::try_from(self.free.pop_front()?).ok()?
        } else {
            self.fresh()?
        };
        let address = BASE.load(Ordering::Relaxed).checked_add(index.checked_mul(CELL_SIZE)?)?;
        // SAFETY: the cell lies in the writable part of the range, since only such ones are freed and `fresh` grows it.
        // A zero cell is a valid one.
        Some(unsafe { &*ptr::with_exposed_provenance::<Cell>(address) })
    }

    fn fresh(&mut self) -> Option<usize> {
        if self.used >= CELLS {
            return None;
        }
        let index = self.used;
        if index >= self.writable {
            self.grow()?;
        }
        self.used = index.checked_add(1)?;
        Some(index)
    }

    fn grow(&mut self) -> Option<()> {
        let base = if self.writable == 0 { range::reserve(RANGE)? } else { BASE.load(Ordering::Relaxed) };
        let next = ptr::with_exposed_provenance_mut(base.checked_add(self.writable.checked_mul(CELL_SIZE)?)?);
        // SAFETY: the pages lie in the range that was reserved, and nothing is in them yet.
        let failed =
            unsafe { libc::mprotect(next, STEP * CELL_SIZE, libc::PROT_READ | libc::PROT_WRITE) } != 0;
        if failed {
            return None;
        }
        BASE.store(base, Ordering::Relaxed);
        self.writable = self.writable.checked_add(STEP)?;
        Some(())
    }
}

#[cfg(test)]
pub(super) use tests::somebodys;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::abi::types;
    use std::{cell::Cell as StdCell, rc::Rc, sync::Arc};

    /// A handle of ours, for other tests.
    pub(in crate::abi) fn somebodys() -> *mut types::spdk_nvme_qpair {
        insert::<Other>(Arc::new(Other)).unwrap()
    }

    struct Probe {
        dropped: Rc<StdCell<u32>>,
    }

    impl Drop for Probe {
        fn drop(&mut self) {
            self.dropped.set(self.dropped.get() + 1);
        }
    }

    impl Object for Probe {
        type Handle = types::spdk_nvme_qpair;
        const KIND: Kind = Kind::QueuePair;
        shared_by!(Rc);
        fn fail(&self) {}
    }

    struct Other;

    impl Object for Other {
        type Handle = types::spdk_nvme_qpair;
        const KIND: Kind = Kind::PollGroup;
        shared_by!(Arc);
        fn fail(&self) {}
    }

    fn is_ours<T: Object>(handle: *const T::Handle) -> bool {
        // SAFETY: the tests use their handles on one thread.
        matches!(unsafe { find::<T>(handle) }, Found::Ours(_))
    }

    fn is_invalid<T: Object>(handle: *const T::Handle) -> bool {
        // SAFETY: the tests use their handles on one thread.
        matches!(unsafe { find::<T>(handle) }, Found::Invalid)
    }

    fn is_foreign<T: Object>(handle: *const T::Handle) -> bool {
        // SAFETY: the tests use their handles on one thread.
        matches!(unsafe { find::<T>(handle) }, Found::Foreign)
    }

    #[test]
    fn a_handle_lives_until_it_is_removed_and_is_stale_afterwards() {
        let dropped = Rc::new(StdCell::new(0));
        let handle = insert::<Probe>(Rc::new(Probe { dropped: dropped.clone() })).unwrap();
        assert!(is_ours::<Probe>(handle));
        assert!(is_invalid::<Other>(handle), "another kind's handle is not taken");

        // SAFETY: the handle is used on this thread only.
        let share = unsafe {
            let Found::Ours(found) = find::<Probe>(handle) else { panic!("not found") };
            share(found)
        };
        // SAFETY: the handle is used on this thread only.
        drop(unsafe { remove::<Probe>(handle) }.unwrap());
        assert_eq!(dropped.get(), 0, "a share outlives the handle");
        drop(share);
        assert_eq!(dropped.get(), 1);

        assert!(is_invalid::<Probe>(handle));
        // SAFETY: the handle is used on this thread only.
        assert!(unsafe { remove::<Probe>(handle) }.is_none(), "a second removal finds nothing");
    }

    #[test]
    fn a_fault_is_told_as_what_it_is() {
        macro_rules! named {
            ($($name:literal $kind:ident,)+) => {$({
                struct Named;
                impl Object for Named {
                    type Handle = types::spdk_nvme_qpair;
                    const KIND: Kind = Kind::$kind;
                    shared_by!(Arc);
                    fn fail(&self) {}
                }
                let handle = insert::<Named>(Arc::new(Named)).unwrap();
                let address = handle.addr();
                let wrong = format!("{address:#x} is a {}, which is not what is asked for here", $name);
                assert_eq!(fault(address), wrong);
                // SAFETY: the handle is used on this thread only.
                unsafe { remove::<Named>(handle) }.unwrap();
                assert_eq!(fault(address), format!("{address:#x} is a {} that was freed", $name));
            })+};
        }
        named! {
            "controller" Controller,
            "namespace" Namespace,
            "qpair" QueuePair,
            "poll group" PollGroup,
            "detach context" DetachContext,
            "probe context" ProbeContext,
            "device of Opal" OpalDevice,
        }
        assert_eq!(fault(0), "handle is NULL");
        let last = BASE.load(Ordering::Relaxed) + (CELLS - 1) * CELL_SIZE;
        assert_eq!(fault(last), format!("{last:#x} was never a handle"));
    }

    #[test]
    fn an_address_says_whose_it_is() {
        let handle = somebodys();
        assert_eq!((whose(0), whose(handle.addr())), (Whose::Nobodys, Whose::Ours));
        assert_eq!(whose((&raw const handle).addr()), Whose::Foreign);
        for within in [handle.addr() + 1, BASE.load(Ordering::Relaxed) + (CELLS - 1) * CELL_SIZE] {
            assert_eq!(whose(within), Whose::Invalid(within));
        }
        // SAFETY: the handle is used on this thread only.
        unsafe { remove::<Other>(handle) }.unwrap();
        assert_eq!(whose(handle.addr()), Whose::Invalid(handle.addr()));
    }

    fn begun(handle: *mut types::spdk_nvme_qpair) -> LongCall {
        match LongCall::begin::<Probe>(handle) {
            Begin::Begun(call, share) => {
                drop(share);
                call
            }
            _ => panic!("no long call on a live handle"),
        }
    }

    /// What a claim on another thread, or on this one, comes to.
    fn is_won(handle: *mut types::spdk_nvme_qpair, elsewhere: bool) -> bool {
        let address = handle.expose_provenance();
        let claim = move || {
            // SAFETY: the object is used by the test alone, and a claim that is lost touches nothing.
            let claim = unsafe { claim::<Probe>(ptr::with_exposed_provenance(address)) };
            match claim {
                Claim::Won(share) => {
                    std::mem::forget(share); // its count is not this thread's
                    true
                }
                _ => false,
            }
        };
        if elsewhere { std::thread::spawn(claim).join().unwrap() } else { claim() }
    }

    #[test]
    fn the_end_of_an_object_is_won_once() {
        let handle = insert::<Probe>(Rc::new(Probe { dropped: Rc::default() })).unwrap();
        assert!(is_won(handle, false));
        assert!(!is_won(handle, false) && !is_won(handle, true));
        assert!(is_ours::<Probe>(handle), "callbacks of its end find it");
        assert!(matches!(LongCall::begin::<Probe>(handle), Begin::Ending));
        // SAFETY: the handle is used by this test only.
        assert!(unsafe { remove::<Probe>(handle) }.is_some());
        assert!(!is_won(handle, false), "it is stale");
    }

    #[test]
    fn another_thread_leaves_the_end_to_a_long_call() {
        let handle = insert::<Probe>(Rc::new(Probe { dropped: Rc::default() })).unwrap();
        let call = begun(handle);
        assert!(!call.is_unwanted());
        assert!(!is_won(handle, true), "it is this call's");
        assert!(call.is_unwanted());
        let AfterCall::Wanted(share) = call.end::<Probe>() else { panic!("nobody told the call") };
        drop(share);
        assert!(!is_won(handle, true) && !is_won(handle, false), "the call has claimed it");
        // SAFETY: the handle is used by this test only.
        drop(unsafe { remove::<Probe>(handle) });
    }

    #[test]
    fn a_callback_of_a_long_call_may_end_the_object() {
        let handle = insert::<Probe>(Rc::new(Probe { dropped: Rc::default() })).unwrap();
        let call = begun(handle);
        assert!(matches!(LongCall::begin::<Probe>(handle), Begin::Here(_)));
        assert!(is_won(handle, false));
        // SAFETY: the handle is used by this test only.
        drop(unsafe { remove::<Probe>(handle) });
        assert!(matches!(call.end::<Probe>(), AfterCall::Gone));
    }

    #[test]
    fn a_thread_that_was_in_a_call_before_is_not_in_the_next_one() {
        let handle = insert::<Probe>(Rc::new(Probe { dropped: Rc::default() })).unwrap();
        assert!(matches!(begun(handle).end::<Probe>(), AfterCall::Live));
        let address = handle.expose_provenance();
        let elsewhere = std::thread::spawn(move || {
            let call = begun(ptr::with_exposed_provenance_mut(address));
            std::mem::forget(call);
        });
        elsewhere.join().unwrap();
        assert!(!is_won(handle, false), "the call is another thread's");
    }

    #[test]
    fn a_long_call_that_unwinds_leaves_the_object_to_be_ended() {
        for wanted in [false, true] {
            let handle = insert::<Probe>(Rc::new(Probe { dropped: Rc::default() })).unwrap();
            let call = begun(handle);
            if wanted {
                assert!(!is_won(handle, true));
            }
            drop(call);
            assert!(is_won(handle, true), "wanted: {wanted}");
            // SAFETY: the handle is used by this test only.
            drop(unsafe { remove::<Probe>(handle) });
        }
    }

    #[test]
    fn what_is_not_in_the_range_is_foreign_and_null_is_ours_to_answer() {
        let handle = insert::<Other>(Arc::new(Other)).unwrap();
        let local = 0u64;
        assert!(is_foreign::<Other>(ptr::from_ref(&local).cast()));
        assert!(is_foreign::<Other>(ptr::without_provenance(0x1000)));
        assert!(is_foreign::<Other>(ptr::without_provenance(usize::MAX)));
        assert!(is_invalid::<Other>(ptr::null()));
        assert!(is_invalid::<Other>(handle.cast_const().wrapping_byte_add(1)), "inside a cell");
        let last = BASE.load(Ordering::Relaxed) + (CELLS - 1) * CELL_SIZE;
        assert!(is_invalid::<Other>(ptr::without_provenance(last)), "in the range, never used");
        // It can only be read: who would claim it looks first.
        let last_one = ptr::without_provenance::<types::spdk_nvme_qpair>(last);
        assert!(matches!(LongCall::begin::<Probe>(last_one), Begin::Invalid));
        // SAFETY: nobody uses it.
        assert!(matches!(unsafe { claim::<Probe>(last_one) }, Claim::Invalid));
        // SAFETY: nobody uses it.
        assert!(unsafe { remove::<Probe>(last_one.cast_mut()) }.is_none());
        complain("test", last);
        complain("test", handle.addr());
        complain("test", 0);
        // SAFETY: the handle is used on this thread only.
        unsafe { remove::<Other>(handle) }.unwrap();
        complain("test", handle.addr());
    }

    #[test]
    fn a_cell_is_not_reused_before_the_delay() {
        let first = insert::<Other>(Arc::new(Other)).unwrap();
        // SAFETY: the handle is used on this thread only.
        unsafe { remove::<Other>(first) }.unwrap();
        for _ in 0..REUSE_DELAY - 1000 {
            let handle = insert::<Other>(Arc::new(Other)).unwrap();
            assert_ne!(handle, first);
            // SAFETY: the handle is used on this thread only.
            unsafe { remove::<Other>(handle) }.unwrap();
        }
        assert!(is_invalid::<Other>(first), "still stale after all that");
        // Other tests free a few cells as well, so it is only known that the cell comes back about now.
        let mut reused = false;
        for _ in 0..2000 {
            let handle = insert::<Other>(Arc::new(Other)).unwrap();
            reused |= handle == first;
            // SAFETY: the handle is used on this thread only.
            unsafe { remove::<Other>(handle) }.unwrap();
        }
        assert!(reused, "cells are reused at all");
    }
}

//! What requests have beside their slots: a closure that hears of their end, what they hold until then, or the transfer that they are a
//! part of.
//!
//! A request that has something here has no function in its slot, so that its delivery takes the long way; its argument is what the
//! layer above calls it by. Most qpairs never have any, and the tables are made when the first comes.
//!
//! What must hold: what is here for a slot is of the request that the slot is in use for, and is taken when that ends: an argument
//! without a function, which a program may give, finds nothing.

use super::{Context, Error, Place, Slots, slab::Slab};
use crate::memory::Held;
use spec::Completion;
use std::{
    cell::{Cell, OnceCell},
    rc::Rc,
};

/// Whom a completer tells.
pub(in crate::transport) enum Told {
    /// The layer above, by the qpair's upcall.
    Upcall(Context),
    Closure(Rc<dyn Fn(&Completion)>),
    /// Whoever hears of the whole transfer, once its last part has ended.
    Part(Split),
    Nobody,
}

/// A transfer that takes several commands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Split(u16);

/// What becomes of a request at its end.
pub(in crate::transport) struct Ending {
    /// Is given up before anybody is told.
    pub(in crate::transport) held: Option<Held>,
    pub(in crate::transport) told: Told,
}

struct Entry {
    ending: Ending,
    /// Its slot is outside of the account of room.
    ahead: bool,
}

/// A transfer whose parts have not all ended, or the place of one.
struct Whole {
    left: Cell<u32>,
    /// The next place that is free, while this one is.
    next: Cell<u16>,
    failed: Cell<bool>,
    /// The first error, if it has failed.
    result: Cell<Completion>,
    function: Cell<*const ()>,
    argument: Cell<*mut ()>,
}

/// The transfers of a qpair.
struct Wholes {
    places: Box<[Whole]>,
    free: Cell<u16>,
}

impl Wholes {
    /// For so many slots: each transfer has a part in one at least.
    fn new(count: usize) -> Result<Self, Error> {
        let mut places = Vec::new();
        places.try_reserve_exact(count).map_err(|_| Error::NoMemory)?;
        places.extend((1..).take(count).map(|next| Whole {
            left: Cell::new(0),
            next: Cell::new(next),
            failed: Cell::new(false),
            result: Cell::new(Completion::default()),
            function: Cell::new(std::ptr::null()),
            argument: Cell::new(std::ptr::null_mut()),
        }));
        Ok(Self { places: places.into_boxed_slice(), free: Cell::new(0) })
    }

    #[inline(always)]
    fn get(&self, Split(place): Split) -> Option<&Whole> {
        self.places.get(usize::from(place)).filter(|whole| whole.left.get() > 0)
    }

    fn begin(&self, parts: u32, context: Context) -> Option<Split> {
        let place = self.free.get();
        let whole = self.places.get(usize::from(place)).filter(|_| parts > 0)?;
        self.free.set(whole.next.get());
        whole.left.set(parts);
        whole.failed.set(false);
        whole.function.set(context.function);
        whole.argument.set(context.argument);
        Some(Split(place))
    }

    fn end(&self, Split(place): Split, whole: &Whole) {
        whole.left.set(0);
        whole.next.set(self.free.replace(place));
    }

    /// See [`Slots::count_parts`].
    #[inline(always)]
    fn count(&self, split: Split, parts: u32, completion: &Completion) -> Option<(Context, Completion)> {
        let whole = self.get(split)?;
        if !completion.is_success() && !whole.failed.replace(true) {
            whole.result.set(*completion);
        }
        let left = whole.left.get().saturating_sub(parts);
        whole.left.set(left);
        if left > 0 {
            return None;
        }
        self.end(split, whole);
        let context = Context { function: whole.function.get(), argument: whole.argument.get() };
        Some((context, if whole.failed.get() { whole.result.get() } else { *completion }))
    }
}

/// The mark of a part: the rest is the place of the transfer.
const PART: u16 = 1 << 15;

/// What the requests of a qpair have beside their slots, once one has something, and the transfers that they are parts of.
#[derive(Default)]
pub(super) struct Beside {
    tables: OnceCell<Box<Tables>>,
    wholes: OnceCell<Box<Wholes>>,
}

struct Tables {
    /// For each slot what it has: nothing (0), an entry by its place and 1, or a part.
    of_slot: Box<[Cell<u16>]>,
    entries: Slab<Entry>,
}

impl Beside {
    /// The tables for so many slots, which are made if there are none.
    #[inline]
    fn make(&self, slots: usize) -> Result<&Tables, Error> {
        match self.tables.get() {
            Some(tables) => Ok(tables),
            None => self.make_now(slots),
        }
    }

    #[cold]
    #[inline(never)]
    fn make_now(&self, slots: usize) -> Result<&Tables, Error> {
        let mut of_slot = Vec::new();
        of_slot.try_reserve_exact(slots).map_err(|_| Error::NoMemory)?;
        of_slot.resize(slots, Cell::new(0));
        let of_slot = of_slot.into_boxed_slice();
        let tables = Tables { of_slot, entries: Slab::default() };
        Ok(self.tables.get_or_init(|| Box::new(tables)))
    }

    /// The transfers of so many slots, and the tables that say whose parts are whose.
    #[cold]
    #[inline(never)]
    fn make_wholes(&self, slots: usize) -> Result<&Wholes, Error> {
        self.make(slots)?;
        let wholes = Box::new(Wholes::new(slots)?);
        Ok(self.wholes.get_or_init(|| wholes))
    }

    #[inline]
    fn tables(&self) -> Option<&Tables> {
        self.tables.get().map(|tables| &**tables)
    }
}

impl Tables {
    /// Puts something in the place of what a slot has, which it returns.
    #[inline]
    fn replace(&self, slot: u32, with: u16) -> u16 {
        self.of_slot.get(slot as usize).map_or(0, |there| there.replace(with))
    }

    fn of(&self, slot: u32) -> u16 {
        self.of_slot.get(slot as usize).map_or(0, Cell::get)
    }

    /// Takes what a slot has.
    fn take(&self, slot: u32) -> Option<Entry> {
        match self.replace(slot, 0) {
            0 => None,
            part if part & PART != 0 => Some(Entry {
                ending: Ending { held: None, told: Told::Part(Split(part & !PART)) },
                ahead: false,
            }),
            place => self.entries.take(place - 1),
        }
    }

    /// A slot has this from here on.
    fn put(&self, slot: u32, entry: Entry) -> Result<(), Error> {
        let place = self.entries.insert(entry).ok_or(Error::NoMemory)?;
        self.replace(slot, place + 1);
        Ok(())
    }
}

impl Slots {
    /// Fails if there is no memory for it, with nothing changed.
    pub(super) fn put_beside(&self, slot: Place<'_>, told: Told, ahead: bool) -> Result<(), Error> {
        let tables = self.beside.make(self.queue.count())?;
        tables.put(self.index(slot), Entry { ending: Ending { held: None, told }, ahead })
    }

    /// The request of a slot is a part of this transfer.
    #[inline]
    pub(in crate::transport) fn set_part(&self, slot: Place<'_>, Split(place): Split) {
        if let Some(tables) = self.beside.tables() {
            tables.replace(self.index(slot), place | PART);
        }
    }

    /// A request holds this until right before it is told of its end. Fails if there is no memory for it, with nothing changed.
    #[cold]
    pub(in crate::transport) fn hold_until_end(&self, slot: Place<'_>, held: Held) -> Result<(), Error> {
        let tables = self.beside.make(self.queue.count())?;
        let index = self.index(slot);
        let request = slot.user();
        let context = Context { function: request.function.get(), argument: request.argument.get() };
        let told = match tables.of(index) {
            0 if context.function.is_null() => Told::Nobody,
            0 => Told::Upcall(context),
            part if part & PART != 0 => Told::Part(Split(part & !PART)),
            place => {
                tables.entries.change(place - 1, |entry| entry.ending.held = Some(held));
                return Ok(());
            }
        };
        tables.put(index, Entry { ending: Ending { held: Some(held), told }, ahead: false })?;
        request.function.set(std::ptr::null());
        Ok(())
    }

    /// The transfer that the request of a slot is a part of, if it is that and no more; then the slot has nothing any more.
    #[inline(always)]
    pub(super) fn take_part_of(&self, index: u32) -> Option<Split> {
        let there = self.beside.tables()?.of_slot.get(index as usize)?;
        let place = there.get();
        (place & PART != 0).then(|| {
            there.set(0);
            Split(place & !PART)
        })
    }

    /// What there is to do at the end of a request that has no function, and whether it went ahead of others.
    pub(super) fn take_ending(&self, index: u32) -> (Ending, bool) {
        match self.beside.tables().and_then(|tables| tables.take(index)) {
            Some(Entry { ending, ahead }) => (ending, ahead),
            None => (Ending { held: None, told: Told::Nobody }, false),
        }
    }

    /// The request of a slot will never end: it was not accepted.
    pub(super) fn forget_beside(&self, slot: Place<'_>) {
        drop(self.take_ending(self.index(slot)));
    }

    /// Whether the request of a slot went ahead of others.
    pub(super) fn is_ahead(&self, slot: Place<'_>) -> bool {
        let Some(tables) = self.beside.tables() else { return false };
        match tables.of(self.index(slot)) {
            place if place == 0 || place & PART != 0 => false,
            place => tables.entries.get(place - 1, |entry| entry.ahead).unwrap_or(false),
        }
    }

    /// A transfer in so many parts, of which `context` is told once, after the last. Each of them is to be counted, whatever becomes
    /// of it.
    pub(in crate::transport) fn begin_split(&self, parts: u32, context: Context) -> Result<Split, Error> {
        let wholes = match self.beside.wholes.get() {
            Some(wholes) => wholes,
            None => self.beside.make_wholes(self.queue.count())?,
        };
        wholes.begin(parts, context).ok_or(Error::NoRequests)
    }

    /// So many parts of a transfer have ended like this: whom to tell of what, if they were the last.
    #[inline(always)]
    pub(in crate::transport) fn count_parts(
        &self,
        split: Split,
        parts: u32,
        completion: &Completion,
    ) -> Option<(Context, Completion)> {
        self.beside.wholes.get()?.count(split, parts, completion)
    }

    /// A transfer of which no part was accepted.
    pub(in crate::transport) fn forget_split(&self, split: Split) {
        if let Some(wholes) = self.beside.wholes.get()
            && let Some(whole) = wholes.get(split)
        {
            wholes.end(split, whole);
        }
    }

    /// Whether nothing is left.
    #[cfg(test)]
    pub(super) fn has_nothing_beside(&self) -> bool {
        let is_empty = |tables: &Tables| {
            tables.entries.is_empty() && tables.of_slot.iter().all(|there| there.get() == 0)
        };
        let are_over = |wholes: &Wholes| wholes.places.iter().all(|whole| whole.left.get() == 0);
        self.beside.tables().is_none_or(is_empty)
            && self.beside.wholes.get().is_none_or(|wholes| are_over(wholes))
    }
}

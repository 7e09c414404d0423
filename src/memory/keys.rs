//! The table of the keys of registered regions: what a translation of the environment's memory map stands for.
//!
//! A translation has 64 bits, and the keys of a region more: so it is the place of an entry, and the entry's generation. An
//! entry changes its generation when its region goes away, so an old translation finds nothing.
//!
//! Invariants: entries never move, and are never freed while the table lives, so reading takes no lock. An entry with an
//! even generation is empty, one with an odd generation holds keys that do not change; who reads keys looks at the
//! generation before and after. Adding and removing is for one thread at a time, which `&mut Free` says.

use super::Keys;
use std::sync::{
    OnceLock,
    atomic::{AtomicU32, Ordering, fence},
};

/// What the environment's map stores for a region; never 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Translation(pub(super) u64);

impl Translation {
    fn new(index: u32, generation: u32) -> Self {
        Self(u64::from(index) << 32 | u64::from(generation))
    }

    fn index(self) -> u32 {
        (self.0 >> 32) as u32
    }

    fn generation(self) -> u32 {
        self.0 as u32
    }
}

/// Entries of the first row; each row has twice as many as the one before.
const FIRST_ROW: u32 = 64;
/// More rows than any device has regions.
const ROWS: usize = 24;

#[derive(Default)]
struct Entry {
    generation: AtomicU32,
    local: AtomicU32,
    readable: AtomicU32,
    writable: AtomicU32,
}

/// The keys of all regions of a map.
#[derive(Default)]
pub(super) struct KeyTable {
    rows: [OnceLock<Box<[Entry]>>; ROWS],
}

/// Which entries of a table are empty: those given back, and all from `next` on.
#[derive(Default)]
pub(super) struct Free {
    given_back: Vec<u32>,
    next: u32,
}

impl KeyTable {
    /// Stores a region's keys. None if there is no memory for one more entry.
    pub(super) fn insert(&self, free: &mut Free, keys: Keys) -> Option<Translation> {
        let index = match free.given_back.pop() {
            Some(index) => index,
            None => {
                // Room for giving back each entry that exists, so that it needs no memory.
                free.given_back.try_reserve(usize::try_from(free.next).ok()?.checked_add(1)?).ok()?;
                self.grow(free.next)?;
                free.next = free.next.checked_add(1)?;
                free.next - 1
            }
        };
        let entry = self.entry(index)?;
        entry.local.store(keys.local, Ordering::Relaxed);
        entry.readable.store(keys.readable, Ordering::Relaxed);
        entry.writable.store(keys.writable, Ordering::Relaxed);
        let generation = entry.generation.load(Ordering::Relaxed).wrapping_add(1);
        entry.generation.store(generation, Ordering::Release);
        Some(Translation::new(index, generation))
    }

    /// Empties an entry. One that does not hold this translation's keys stays as it is.
    pub(super) fn remove(&self, free: &mut Free, translation: Translation) {
        let Some(entry) = self.entry(translation.index()) else { return };
        if entry.generation.load(Ordering::Relaxed) == translation.generation() {
            entry.generation.store(translation.generation().wrapping_add(1), Ordering::Relaxed);
            fence(Ordering::Release); // before any new keys of this entry
            free.given_back.push(translation.index());
        }
    }

    /// The keys that a translation stands for; None if their region is gone, or the value never was a translation.
    pub(super) fn get(&self, translation: Translation) -> Option<Keys> {
        let entry = self.entry(translation.index())?;
        let wanted = translation.generation();
        if wanted.is_multiple_of(2) || entry.generation.load(Ordering::Acquire) != wanted {
            return None;
        }
        let keys = Keys {
            local: entry.local.load(Ordering::Relaxed),
            readable: entry.readable.load(Ordering::Relaxed),
            writable: entry.writable.load(Ordering::Relaxed),
        };
        fence(Ordering::Acquire);
        (entry.generation.load(Ordering::Relaxed) == wanted).then_some(keys)
    }

    fn grow(&self, index: u32) -> Option<()> {
        let (row, _) = place(index)?;
        let row_place = self.rows.get(row)?;
        if row_place.get().is_none() {
            let length = usize::try_from(FIRST_ROW).ok()?.checked_shl(u32::try_from(row).ok()?)?;
            let mut entries = Vec::new();
            entries.try_reserve_exact(length).ok()?;
            entries.resize_with(length, Entry::default);
            // Only this thread adds, so the row is not there yet.
            let _ = row_place.set(entries.into_boxed_slice());
        }
        Some(())
    }

    fn entry(&self, index: u32) -> Option<&Entry> {
        let (row, offset) = place(index)?;
        self.rows.get(row)?.get()?.get(offset)
    }
}

/// The row of an entry, and its place there.
fn place(index: u32) -> Option<(usize, usize)> {
    let row = (index / FIRST_ROW).checked_add(1)?.ilog2();
    let before = FIRST_ROW.checked_mul((1_u32.checked_shl(row)?).checked_sub(1)?)?;
    Some((usize::try_from(row).ok()?, usize::try_from(index.checked_sub(before)?).ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys(number: u32) -> Keys {
        Keys { local: number, readable: number + 1, writable: number + 2 }
    }

    #[test]
    fn entries_have_places_of_their_own() {
        let all: Vec<_> = (0..1000).map(|index| place(index).unwrap()).collect();
        assert_eq!(
            (all[0], all[63], all[64], all[191], all[192]),
            ((0, 0), (0, 63), (1, 0), (1, 127), (2, 0))
        );
        let unique: std::collections::HashSet<_> = all.iter().collect();
        assert_eq!(unique.len(), all.len());
        assert!(place(u32::MAX).is_some(), "whatever a map says");
    }

    #[test]
    fn a_translation_ends_with_its_region() {
        let (table, mut free) = (KeyTable::default(), Free::default());
        let all: Vec<_> = (0..500).map(|n| table.insert(&mut free, keys(n * 10)).unwrap()).collect();
        for (n, translation) in all.iter().enumerate() {
            assert_eq!(table.get(*translation), Some(keys(n as u32 * 10)));
            assert_ne!(translation.0, 0, "that means nothing is there");
        }
        let old = all[77];
        table.remove(&mut free, old);
        assert_eq!(table.get(old), None);
        table.remove(&mut free, old);
        let new = table.insert(&mut free, keys(7)).unwrap();
        assert_eq!((new.index(), table.get(new), table.get(old)), (old.index(), Some(keys(7)), None));
        let another = table.insert(&mut free, keys(8)).unwrap();
        assert_ne!(another.index(), new.index(), "removing twice gave the entry back once");
    }

    #[test]
    fn what_no_table_gave_out_finds_nothing() {
        let (table, mut free) = (KeyTable::default(), Free::default());
        let one = table.insert(&mut free, keys(1)).unwrap();
        for value in [0, 1 << 32, u64::MAX, one.0 + 1, one.0 + 2, one.0 ^ 1 << 63, 64 << 32 | 1] {
            assert_eq!(table.get(Translation(value)), None, "{value:#x}");
        }
    }

    /// One thread gives regions and takes them back, another looks: what it finds is whole, or nothing.
    #[test]
    fn keys_are_never_torn() {
        use std::sync::atomic::{AtomicBool, AtomicU64};
        let (table, latest, done) = (KeyTable::default(), AtomicU64::new(0), AtomicBool::new(false));
        std::thread::scope(|scope| {
            scope.spawn(|| {
                let mut free = Free::default();
                for n in 0..100_000 {
                    let translation = table.insert(&mut free, keys(n * 10)).unwrap();
                    latest.store(translation.0, Ordering::Release);
                    table.remove(&mut free, translation);
                }
                done.store(true, Ordering::Release);
            });
            while !done.load(Ordering::Acquire) {
                if let Some(found) = table.get(Translation(latest.load(Ordering::Acquire))) {
                    assert_eq!(found, keys(found.local));
                }
            }
        });
    }
}

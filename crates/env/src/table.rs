//! Translations of virtual addresses, page by page: the store behind a memory map.
//!
//! A radix tree over the 48 bits of a user address: two levels of directories, then pages of 2 MiB, each of which can be
//! split into pages of 4 KiB. Looking up takes no lock and writes nothing. Changing takes a lock.
//!
//! Invariants: a node, once linked, stays until the table is dropped, so a reader never meets a freed one; a 4 KiB leaf is
//! filled before its page is marked as split, so a reader of a neighbouring address sees its old translation throughout.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use parking_lot::Mutex;

/// Smallest unit that can have a translation of its own.
pub(crate) const SMALL_PAGE: u64 = 1 << SMALL_SHIFT;
/// Unit in which translations are stored where nothing smaller was asked for.
pub(crate) const LARGE_PAGE: u64 = 1 << LARGE_SHIFT;
/// User addresses are below this.
pub(crate) const ADDRESS_LIMIT: u64 = 1 << 48;

const SMALL_SHIFT: u32 = 12;
const LARGE_SHIFT: u32 = 21;
const MIDDLE_SHIFT: u32 = 30;
const TOP_SHIFT: u32 = 39;
const FANOUT: usize = 512;

/// No memory for a node of the table.
#[derive(Debug, thiserror::Error)]
#[error("no memory for the translation table")]
pub(crate) struct NoMemory;

type Leaf = Box<[AtomicU64]>;
type Pages = Box<[Page]>;
type Middle = Box<[OnceLock<Pages>]>;

#[derive(Debug)]
struct Page {
    whole: AtomicU64,
    split: AtomicBool,
    parts: OnceLock<Leaf>,
}

/// One translation (a number) for each page of the address space.
#[derive(Debug)]
pub(crate) struct Table {
    default: u64,
    top: Box<[OnceLock<Middle>]>,
    changing: Mutex<()>,
}

impl Table {
    /// A table in which every address translates to `default`.
    pub(crate) fn new(default: u64) -> Result<Self, NoMemory> {
        Ok(Table { default, top: node(OnceLock::new)?, changing: Mutex::new(()) })
    }

    /// What an address without a translation of its own translates to.
    pub(crate) fn default_translation(&self) -> u64 {
        self.default
    }

    /// The translation of `address`, and the size of the page that it is stored for. Lock-free.
    pub(crate) fn get(&self, address: u64) -> (u64, u64) {
        let Some(page) = self.page(address) else { return (self.default, LARGE_PAGE) };
        if page.split.load(Ordering::Acquire)
            && let Some(part) = page.parts.get().and_then(|parts| parts.get(index(address, SMALL_SHIFT)))
        {
            return (part.load(Ordering::Acquire), SMALL_PAGE);
        }
        (page.whole.load(Ordering::Acquire), LARGE_PAGE)
    }

    /// Gives all of `address .. address + size` one translation. Both are multiples of [`SMALL_PAGE`] and the end is at
    /// most [`ADDRESS_LIMIT`]. After an error a part of the range may have it.
    pub(crate) fn set(&self, address: u64, size: u64, translation: u64) -> Result<(), NoMemory> {
        self.walk(address, size, |page, at, whole| {
            if whole {
                page.whole.store(translation, Ordering::Release);
                page.split.store(false, Ordering::Release);
                return Ok(());
            }
            if let Some(part) = split(page)?.get(index(at, SMALL_SHIFT)) {
                part.store(translation, Ordering::Release);
            }
            Ok(())
        })
    }

    /// Makes all nodes that a later [`Table::set`] of this range, in whole large pages, needs.
    pub(crate) fn reserve(&self, address: u64, size: u64) -> Result<(), NoMemory> {
        self.walk(address, size, |page, _, whole| if whole { Ok(()) } else { split(page).map(drop) })
    }

    /// Calls `visit(page, address, whole)` for each large page that lies inside of the range as a whole and for each small
    /// page of those that do not.
    fn walk(
        &self,
        address: u64,
        size: u64,
        visit: impl Fn(&Page, u64, bool) -> Result<(), NoMemory>,
    ) -> Result<(), NoMemory> {
        let _changing = self.changing.lock();
        let end = address.saturating_add(size);
        let mut at = address;
        while at < end {
            let whole = at.is_multiple_of(LARGE_PAGE) && end.saturating_sub(at) >= LARGE_PAGE;
            visit(self.page_or_new(at)?, at, whole)?;
            at = at.saturating_add(if whole { LARGE_PAGE } else { SMALL_PAGE });
        }
        Ok(())
    }

    fn page(&self, address: u64) -> Option<&Page> {
        if address >= ADDRESS_LIMIT {
            return None;
        }
        let middle = self.top.get(index(address, TOP_SHIFT))?.get()?;
        middle.get(index(address, MIDDLE_SHIFT))?.get()?.get(index(address, LARGE_SHIFT))
    }

    fn page_or_new(&self, address: u64) -> Result<&Page, NoMemory> {
        let slot = self.top.get(index(address, TOP_SHIFT)).ok_or(NoMemory)?;
        let middle = get_or_make(slot, || node(OnceLock::new))?;
        let slot = middle.get(index(address, MIDDLE_SHIFT)).ok_or(NoMemory)?;
        let pages = get_or_make(slot, || {
            node(|| Page {
                whole: AtomicU64::new(self.default),
                split: AtomicBool::new(false),
                parts: OnceLock::new(),
            })
        })?;
        pages.get(index(address, LARGE_SHIFT)).ok_or(NoMemory)
    }
}

/// The parts of a page that is split from now on; they start with the translation of the whole.
fn split(page: &Page) -> Result<&Leaf, NoMemory> {
    let parts = get_or_make(&page.parts, || node(|| AtomicU64::new(0)))?;
    if !page.split.load(Ordering::Acquire) {
        let whole = page.whole.load(Ordering::Acquire);
        parts.iter().for_each(|part| part.store(whole, Ordering::Release));
        page.split.store(true, Ordering::Release);
    }
    Ok(parts)
}

/// Bits of `address` that choose an entry at the level whose entries cover `1 << shift` bytes.
fn index(address: u64, shift: u32) -> usize {
    // Masked to less than FANOUT, so the cast keeps the value.
    ((address >> shift) & (FANOUT as u64 - 1)) as usize
}

fn node<T>(make: impl FnMut() -> T) -> Result<Box<[T]>, NoMemory> {
    let mut entries = Vec::new();
    entries.try_reserve_exact(FANOUT).map_err(|_| NoMemory)?;
    entries.resize_with(FANOUT, make);
    Ok(entries.into_boxed_slice())
}

fn get_or_make<T>(slot: &OnceLock<T>, make: impl FnOnce() -> Result<T, NoMemory>) -> Result<&T, NoMemory> {
    if slot.get().is_none() {
        // Only one thread changes a table at a time, so nobody else can have filled the slot; if so, theirs stays.
        let _ = slot.set(make()?);
    }
    slot.get().ok_or(NoMemory)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_empty_table_answers_the_default() {
        let table = Table::new(7).unwrap();
        for address in [0, 1 << 21, (1 << 47) - 1, ADDRESS_LIMIT, u64::MAX] {
            assert_eq!(table.get(address), (7, LARGE_PAGE));
        }
    }

    #[test]
    fn whole_pages_and_parts_of_pages() {
        let table = Table::new(0).unwrap();
        let base = 0x7f00_0000_0000;
        table.set(base, 2 * LARGE_PAGE, 1).unwrap();
        assert_eq!(table.get(base + 2 * LARGE_PAGE - 1), (1, LARGE_PAGE));
        assert_eq!(table.get(base + 2 * LARGE_PAGE), (0, LARGE_PAGE));
        assert_eq!(table.get(base - 1), (0, LARGE_PAGE));

        table.set(base + SMALL_PAGE, SMALL_PAGE, 2).unwrap();
        assert_eq!(table.get(base), (1, SMALL_PAGE));
        assert_eq!(table.get(base + SMALL_PAGE), (2, SMALL_PAGE));
        assert_eq!(table.get(base + 2 * SMALL_PAGE), (1, SMALL_PAGE));

        table.set(base, LARGE_PAGE, 3).unwrap();
        assert_eq!(table.get(base + SMALL_PAGE), (3, LARGE_PAGE));
        table.set(base, SMALL_PAGE, 4).unwrap();
        assert_eq!(table.get(base + SMALL_PAGE), (3, SMALL_PAGE));
    }

    #[test]
    fn an_unaligned_range_has_small_pages_at_both_ends() {
        let table = Table::new(0).unwrap();
        table.set(LARGE_PAGE - SMALL_PAGE, LARGE_PAGE + 2 * SMALL_PAGE, 9).unwrap();
        assert_eq!(table.get(LARGE_PAGE - SMALL_PAGE), (9, SMALL_PAGE));
        assert_eq!(table.get(LARGE_PAGE), (9, LARGE_PAGE));
        assert_eq!(table.get(2 * LARGE_PAGE), (9, SMALL_PAGE));
        assert_eq!(table.get(2 * LARGE_PAGE + SMALL_PAGE), (0, SMALL_PAGE));
        assert_eq!(table.get(LARGE_PAGE - SMALL_PAGE - 1), (0, SMALL_PAGE));
    }

    #[test]
    fn reserving_changes_no_translation() {
        let table = Table::new(5).unwrap();
        table.set(0, LARGE_PAGE, 6).unwrap();
        table.reserve(0, 3 * LARGE_PAGE).unwrap();
        assert_eq!(table.get(0), (6, LARGE_PAGE));
        assert_eq!(table.get(LARGE_PAGE), (5, LARGE_PAGE));
    }

    #[test]
    fn readers_see_a_neighbours_translation_while_a_page_is_split() {
        let table = Table::new(0).unwrap();
        let reader = SMALL_PAGE * 100;
        table.set(0, LARGE_PAGE, 1).unwrap();
        std::thread::scope(|scope| {
            scope.spawn(|| {
                for part in 0..100 {
                    table.set(part * SMALL_PAGE, SMALL_PAGE, 2).unwrap();
                }
            });
            for _ in 0..10_000 {
                assert_eq!(table.get(reader).0, 1);
            }
        });
    }
}

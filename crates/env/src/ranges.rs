//! Which bytes of one address range are taken and which are free.
//!
//! Plain numbers, no memory: the bookkeeping lies outside of the memory it describes, so that a buffer overrun or a
//! stray RDMA write cannot damage it, and so that a pointer can be judged without reading what it points to. (The
//! general allocators on crates.io keep their lists inside the free blocks.)
//!
//! Invariants: free and taken blocks tile the range without gap or overlap; no two free blocks touch; every block starts
//! and ends at a multiple of [`GRANULE`]; `by_size` and `free` hold the same blocks.

use std::collections::{BTreeMap, BTreeSet};

/// Blocks start and end at multiples of a cache line: two buffers never share one.
pub(crate) const GRANULE: usize = 64;

/// How many free blocks are tried for their alignment before one is taken that is large enough in any case.
const ALIGNMENT_TRIES: usize = 16;

/// A contiguous range of addresses, split into taken and free blocks.
#[derive(Debug)]
pub(crate) struct Ranges {
    free: BTreeMap<usize, usize>,
    by_size: BTreeSet<(usize, usize)>,
    taken: BTreeMap<usize, usize>,
    taken_bytes: usize,
}

impl Ranges {
    /// All of `start .. start + length` is free. Both are multiples of [`GRANULE`] and the end does not overflow.
    pub(crate) fn new(start: usize, length: usize) -> Self {
        debug_assert!(start.is_multiple_of(GRANULE) && length.is_multiple_of(GRANULE));
        debug_assert!(start.checked_add(length).is_some());
        let mut ranges = Ranges {
            free: BTreeMap::new(),
            by_size: BTreeSet::new(),
            taken: BTreeMap::new(),
            taken_bytes: 0,
        };
        ranges.insert_free(start, length);
        ranges
    }

    /// Takes a block of at least `size` bytes at a multiple of `align` (a power of two). `None`: no free block fits.
    pub(crate) fn take(&mut self, size: usize, align: usize) -> Option<usize> {
        let size = round_up(size.max(1), GRANULE)?;
        let align = align.max(GRANULE);
        let (block, length) = self.find(size, align)?;
        let start = round_up(block, align)?;
        let before = start.checked_sub(block)?;
        let after = length.checked_sub(before)?.checked_sub(size)?;
        self.remove_free(block, length);
        self.insert_free(block, before);
        self.insert_free(start.checked_add(size)?, after);
        self.taken.insert(start, size);
        self.taken_bytes = self.taken_bytes.saturating_add(size);
        Some(start)
    }

    /// Gives back the block that starts at `start`. `None`: no taken block starts there.
    pub(crate) fn give_back(&mut self, start: usize) -> Option<usize> {
        let size = self.taken.remove(&start)?;
        self.taken_bytes = self.taken_bytes.saturating_sub(size);
        let (mut first, mut length) = (start, size);
        if let Some((&block, &free)) = self.free.range(..start).next_back()
            && block.checked_add(free) == Some(start)
        {
            self.remove_free(block, free);
            first = block;
            length = length.saturating_add(free);
        }
        if let Some(end) = start.checked_add(size)
            && let Some(&free) = self.free.get(&end)
        {
            self.remove_free(end, free);
            length = length.saturating_add(free);
        }
        self.insert_free(first, length);
        Some(size)
    }

    /// Usable bytes of the taken block that starts at `start`.
    pub(crate) fn size_of(&self, start: usize) -> Option<usize> {
        self.taken.get(&start).copied()
    }

    /// Number of taken blocks.
    pub(crate) fn taken_count(&self) -> usize {
        self.taken.len()
    }

    /// Bytes in taken blocks.
    pub(crate) fn taken_bytes(&self) -> usize {
        self.taken_bytes
    }

    /// The best fit that also satisfies the alignment, among the first few; else any block that must satisfy it.
    fn find(&self, size: usize, align: usize) -> Option<(usize, usize)> {
        let fits = |&&(length, start): &&(usize, usize)| {
            round_up(start, align)
                .and_then(|aligned| aligned.checked_sub(start))
                .and_then(|before| before.checked_add(size))
                .is_some_and(|needed| needed <= length)
        };
        let near = self.by_size.range((size, 0)..).take(ALIGNMENT_TRIES).find(fits);
        let certain = || self.by_size.range((size.checked_add(align)?.checked_sub(GRANULE)?, 0)..).find(fits);
        near.or_else(certain).map(|&(length, start)| (start, length))
    }

    fn insert_free(&mut self, start: usize, length: usize) {
        if length > 0 {
            self.free.insert(start, length);
            self.by_size.insert((length, start));
        }
    }

    fn remove_free(&mut self, start: usize, length: usize) {
        self.free.remove(&start);
        self.by_size.remove(&(length, start));
    }
}

/// `value` rounded up to a multiple of `unit` (a power of two). `None` on overflow.
pub(crate) fn round_up(value: usize, unit: usize) -> Option<usize> {
    let mask = unit.checked_sub(1)?;
    Some(value.checked_add(mask)? & !mask)
}

#[cfg(test)]
mod tests {
    use super::*;

    const START: usize = 0x4000_0000;
    const LENGTH: usize = 1 << 21;

    /// Free and taken blocks tile the range; free blocks do not touch; both indexes agree.
    fn check(ranges: &Ranges) {
        let mut blocks: Vec<(usize, usize, bool)> = ranges.free.iter().map(|(&s, &l)| (s, l, true)).collect();
        blocks.extend(ranges.taken.iter().map(|(&s, &l)| (s, l, false)));
        blocks.sort_unstable();
        let mut at = START;
        let mut free_before = false;
        for (start, length, free) in blocks {
            assert_eq!(start, at);
            assert!(length > 0 && length.is_multiple_of(GRANULE));
            assert!(!(free && free_before), "free blocks touch at {start:#x}");
            free_before = free;
            at += length;
        }
        assert_eq!(at, START + LENGTH);
        let by_size: BTreeSet<_> = ranges.free.iter().map(|(&s, &l)| (l, s)).collect();
        assert_eq!(by_size, ranges.by_size);
        assert_eq!(ranges.taken.values().sum::<usize>(), ranges.taken_bytes());
    }

    #[test]
    fn a_page_aligned_page_wastes_nothing() {
        let mut ranges = Ranges::new(START, LENGTH);
        for page in 0..LENGTH / 4096 {
            assert_eq!(ranges.take(4096, 4096), Some(START + page * 4096));
        }
        assert_eq!(ranges.take(1, 1), None);
        check(&ranges);
    }

    #[test]
    fn what_is_given_back_joins_its_neighbours() {
        let mut ranges = Ranges::new(START, LENGTH);
        let blocks: Vec<_> = (0..4).map(|_| ranges.take(64, 64).unwrap()).collect();
        for index in [1, 3, 0, 2] {
            assert_eq!(ranges.give_back(blocks[index]), Some(64));
            check(&ranges);
        }
        assert_eq!(ranges.taken_count(), 0);
        assert_eq!(ranges.take(LENGTH, 64), Some(START));
    }

    #[test]
    fn only_the_start_of_a_taken_block_can_be_given_back() {
        let mut ranges = Ranges::new(START, LENGTH);
        let block = ranges.take(128, 64).unwrap();
        assert_eq!(ranges.give_back(block + 64), None);
        assert_eq!(ranges.give_back(START + LENGTH), None);
        assert_eq!(ranges.give_back(block), Some(128));
        assert_eq!(ranges.give_back(block), None);
        check(&ranges);
    }

    #[test]
    fn sizes_at_the_end_of_the_number_range_are_refused() {
        let mut ranges = Ranges::new(START, LENGTH);
        assert_eq!(ranges.take(usize::MAX, 64), None);
        assert_eq!(ranges.take(64, 1 << 63), None);
        assert_eq!(ranges.take(usize::MAX - 63, 1 << 63), None);
        check(&ranges);
    }

    #[test]
    fn an_aligned_block_is_found_behind_many_that_are_misaligned() {
        // Holes of 4 KiB + 64, each starting 64 bytes behind a page: none holds an aligned page.
        let mut ranges = Ranges::new(START, LENGTH);
        ranges.take(64, 64).unwrap();
        let mut holes = Vec::new();
        for _ in 0..100 {
            holes.push(ranges.take(4160, 64).unwrap());
            ranges.take(4032, 64).unwrap();
        }
        for hole in holes {
            ranges.give_back(hole).unwrap();
        }
        let page = ranges.take(4160, 4096).unwrap();
        assert!(page.is_multiple_of(4096));
        check(&ranges);
    }

    #[test]
    fn random_traffic_keeps_the_tiling() {
        for seed in 1..40u64 {
            let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15);
            let mut random = move |bound: u64| {
                state ^= state << 13;
                state ^= state >> 7;
                state ^= state << 17;
                (state % bound) as usize
            };
            let mut ranges = Ranges::new(START, LENGTH);
            let mut held: Vec<usize> = Vec::new();
            for _ in 0..400 {
                if random(5) < 3 {
                    let align = 1 << random(14);
                    if let Some(block) = ranges.take(random(40_000), align) {
                        assert!(block.is_multiple_of(align));
                        held.push(block);
                    }
                } else if !held.is_empty() {
                    let block = held.swap_remove(random(held.len() as u64));
                    assert!(ranges.give_back(block).is_some());
                }
                check(&ranges);
            }
            assert_eq!(held.len(), ranges.taken_count());
        }
    }
}

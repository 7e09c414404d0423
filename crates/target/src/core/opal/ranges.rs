//! The ranges that can be locked, and what a command may do to blocks that are in them.
//!
//! The global range is every block of the subsystem that is in no other range. The other ranges are of the first namespace (NSID 1).
//! No two of them overlap, and one of no blocks is nowhere.

use super::super::reservations::Access;

/// The ranges besides the global one: MaxRanges of LockingInfo.
pub(super) const RANGES: usize = 8;
/// The namespace that the ranges other than the global one are of.
const NSID: u32 = 1;

/// One range. Its columns have the names of the Locking table.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(super) struct Range {
    pub(super) start: u64,
    pub(super) length: u64,
    pub(super) read_lock_enabled: bool,
    pub(super) write_lock_enabled: bool,
    pub(super) read_locked: bool,
    pub(super) write_locked: bool,
}

impl Range {
    fn is_locked_for(&self, access: Access) -> bool {
        match access {
            Access::Read => self.read_lock_enabled && self.read_locked,
            Access::Write => self.write_lock_enabled && self.write_locked,
        }
    }

    fn end(&self) -> u64 {
        self.start.saturating_add(self.length)
    }

    /// Blocks that it has of these.
    fn share(&self, lba: u64, blocks: u64) -> u64 {
        let end = self.end().min(lba.saturating_add(blocks));
        end.saturating_sub(self.start.max(lba))
    }
}

/// All ranges, the global one first.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(super) struct Ranges([Range; RANGES + 1]);

impl Ranges {
    pub(super) fn get(&self, index: usize) -> Option<&Range> {
        self.0.get(index)
    }

    /// A range becomes this, if it is within so many blocks and overlaps no other.
    #[must_use]
    pub(super) fn replace(&mut self, index: usize, range: Range, blocks: u64) -> bool {
        let fits = range.start.checked_add(range.length).is_some_and(|end| end <= blocks);
        let moves =
            self.0.get(index).is_none_or(|old| (old.start, old.length) != (range.start, range.length));
        let mut others = self.0.iter().enumerate().skip(1).filter(|(other, _)| *other != index);
        if moves && (!fits || others.any(|(_, other)| other.share(range.start, range.length) > 0)) {
            return false;
        }
        self.0.get_mut(index).map(|place| *place = range).is_some()
    }

    /// Whether a lock stands in the way of a command on blocks of a namespace.
    pub(super) fn refuse(&self, nsid: u32, lba: u64, blocks: u64, access: Access) -> bool {
        let [global, others @ ..] = &self.0;
        let mut left = blocks;
        for range in others.iter().filter(|_| nsid == NSID) {
            let share = range.share(lba, blocks);
            if share > 0 && range.is_locked_for(access) {
                return true;
            }
            left = left.saturating_sub(share);
        }
        left > 0 && global.is_locked_for(access)
    }

    pub(super) fn is_any_locked(&self) -> bool {
        self.0.iter().any(|range| range.is_locked_for(Access::Read) || range.is_locked_for(Access::Write))
    }

    /// The blocks of a namespace that are of a range: pairs of first block and number.
    pub(super) fn parts(&self, index: usize, nsid: u32, blocks: u64) -> Vec<(u64, u64)> {
        let [_, others @ ..] = &self.0;
        let mut others: Vec<Range> =
            others.iter().copied().filter(|range| nsid == NSID && range.length > 0).collect();
        let mut parts = Vec::new();
        if index > 0 {
            let range = self.0.get(index).copied().unwrap_or_default();
            if nsid == NSID {
                parts.push((range.start, range.share(0, blocks)));
            }
        } else {
            others.sort_by_key(|range| range.start);
            let mut from = 0;
            for range in others {
                parts.push((from, range.start.min(blocks).saturating_sub(from)));
                from = range.end();
            }
            parts.push((from, blocks.saturating_sub(from)));
        }
        parts.retain(|(_, blocks)| *blocks > 0);
        parts
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ranges(of: &[(usize, u64, u64)]) -> Ranges {
        let mut ranges = Ranges::default();
        for (index, start, length) in of {
            let range = Range {
                start: *start,
                length: *length,
                read_lock_enabled: true,
                write_lock_enabled: true,
                ..Range::default()
            };
            assert!(ranges.replace(*index, range, 1000), "{index}");
        }
        ranges
    }

    fn lock(ranges: &mut Ranges, index: usize, read: bool, write: bool) {
        let range = Range { read_locked: read, write_locked: write, ..*ranges.get(index).unwrap() };
        assert!(ranges.replace(index, range, 1000));
    }

    #[test]
    fn ranges_lie_in_the_namespace_and_apart() {
        let mut all = ranges(&[(1, 100, 100), (2, 200, 1), (8, 999, 1)]);
        for (start, length, fits) in [
            (0, 100, true),
            (0, 101, false),
            (199, 1, false),
            (201, 798, true),
            (201, 799, false),
            (150, 10, false),
            (0, 1000, false),
            (1000, 1, false),
            (u64::MAX, 2, false),
            (150, 0, true),
        ] {
            let range = Range { start, length, ..Range::default() };
            assert_eq!(all.replace(3, range, 1000), fits, "{start} {length}");
            assert!(all.replace(3, Range::default(), 1000));
        }
        assert!(!all.replace(9, Range::default(), 1000), "there is none");
    }

    #[test]
    fn a_lock_counts_where_it_is_enabled() {
        let mut all = ranges(&[(1, 100, 100)]);
        lock(&mut all, 1, true, false);
        lock(&mut all, 0, true, true);
        assert!(!all.refuse(1, 0, 100, Access::Read), "the global range's locks are not enabled");
        assert!(all.refuse(1, 99, 2, Access::Read) && all.refuse(1, 199, 1, Access::Read));
        assert!(!all.refuse(1, 200, 1, Access::Read) && !all.refuse(1, 100, 100, Access::Write));
        assert!(!all.refuse(2, 100, 100, Access::Read), "another namespace");
        let global = Range { write_lock_enabled: true, ..*all.get(0).unwrap() };
        assert!(all.replace(0, global, 1000));
        assert!(!all.refuse(1, 100, 100, Access::Write) && all.refuse(1, 100, 101, Access::Write));
        assert!(all.refuse(2, 100, 100, Access::Write) && !all.refuse(2, 100, 100, Access::Read));
        assert!(all.is_any_locked() && !Ranges::default().is_any_locked());
    }

    #[test]
    fn the_global_range_is_the_rest() {
        let all = ranges(&[(2, 300, 100), (1, 0, 10), (3, 400, 600)]);
        assert_eq!(all.parts(0, 1, 1000), [(10, 290)]);
        assert_eq!(all.parts(0, 1, 350), [(10, 290)]);
        assert_eq!(all.parts(0, 2, 50), [(0, 50)]);
        assert_eq!((all.parts(2, 1, 1000), all.parts(2, 1, 350)), (vec![(300, 100)], vec![(300, 50)]));
        assert!(
            all.parts(2, 2, 1000).is_empty()
                && all.parts(4, 1, 1000).is_empty()
                && all.parts(9, 1, 1000).is_empty()
        );
    }
}

//! Logical blocks that cannot be read: those that Write Uncorrectable marked, until they are written.
//!
//! A word of bits for each 64 blocks of which one is marked, so that a host that marks everything takes less than a
//! hundredth of the namespace's own memory.

use std::collections::BTreeMap;

/// The marked blocks of a namespace.
#[derive(Clone, Debug, Default)]
pub(super) struct Marks {
    words: BTreeMap<u64, u64>,
}

impl Marks {
    /// Marks blocks from `lba` on.
    pub(super) fn set(&mut self, lba: u64, blocks: u64) {
        let end = lba.saturating_add(blocks);
        for word in words(lba, end) {
            *self.words.entry(word).or_default() |= mask(word, lba, end);
        }
    }

    /// The blocks are written: no mark is left there.
    pub(super) fn clear(&mut self, lba: u64, blocks: u64) {
        if self.words.is_empty() {
            return;
        }
        let end = lba.saturating_add(blocks);
        let mut bare = Vec::new();
        for (word, bits) in self.words.range_mut(words(lba, end)) {
            *bits &= !mask(*word, lba, end);
            if *bits == 0 {
                bare.push(*word);
            }
        }
        for word in bare {
            self.words.remove(&word);
        }
    }

    /// Whether one of the blocks is marked.
    pub(super) fn hit(&self, lba: u64, blocks: u64) -> bool {
        let end = lba.saturating_add(blocks);
        !self.words.is_empty()
            && self.words.range(words(lba, end)).any(|(word, bits)| bits & mask(*word, lba, end) != 0)
    }
}

fn words(lba: u64, end: u64) -> std::ops::Range<u64> {
    lba / 64..end.div_ceil(64).max(lba / 64)
}

/// The bits of a word that stand for blocks from `lba` to `end`.
fn mask(word: u64, lba: u64, end: u64) -> u64 {
    let start = word * 64;
    let below = |block: u64| match block.saturating_sub(start) {
        count @ 0..64 => (1 << count) - 1,
        _ => u64::MAX,
    };
    below(end) & !below(lba)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn marks_are_what_a_plain_list_of_blocks_would_be() {
        let mut state = 0x1234_5678_9abc_def1u64;
        let mut random = |below: u64| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            state % below
        };
        let (mut marks, mut plain) = (Marks::default(), [false; 400]);
        for _ in 0..5000 {
            let lba = random(400);
            let blocks = random(401 - lba).min(random(200));
            let range = lba as usize..(lba + blocks) as usize;
            match random(3) {
                0 => {
                    marks.set(lba, blocks);
                    plain[range].fill(true);
                }
                1 => {
                    marks.clear(lba, blocks);
                    plain[range].fill(false);
                }
                _ => assert_eq!(marks.hit(lba, blocks), plain[range].contains(&true), "{lba} {blocks}"),
            }
        }
        marks.clear(0, u64::MAX);
        assert!(marks.words.is_empty(), "nothing is kept for blocks without marks");
    }
}

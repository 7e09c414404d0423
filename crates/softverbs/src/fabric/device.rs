//! The one device, the most that it can do (see [`Profile`](super::profile::Profile)), and the numbers of its queue pairs.

use super::Fabric;

/// Its name.
pub const NAME: &str = "softverbs0";
/// Work requests in a queue.
pub const MAX_QP_WR: u32 = 32768;
/// Segments in a work request.
pub const MAX_SGE: u32 = 32;
/// Completions in a queue.
pub const MAX_CQE: u32 = 1 << 22;
/// Bytes that can be sent inline.
pub const MAX_INLINE: u32 = 1024;
/// RDMA READs outstanding, in each direction.
pub const MAX_RD_ATOMIC: i32 = 128;
/// Receives in a shared queue.
pub const MAX_SRQ_WR: u32 = 32768;
/// QPs, CQs, PDs, SRQs.
pub const MAX_OBJECTS: i32 = 1 << 16;
/// Queue pair numbers come in blocks of this many.
pub const QPN_BLOCK: u32 = 4096;
/// How many such blocks there are in 24 bits.
pub const QPN_BLOCKS: u32 = (1 << 24) / QPN_BLOCK;

/// Draws queue pair numbers from blocks that belong to this process.
#[derive(Default)]
pub struct QpNumbers {
    blocks: Vec<u32>,
    next: u32,
}

impl QpNumbers {
    /// The blocks claimed so far.
    pub fn add_block(&mut self, block: u32) {
        self.next = self.blocks.len() as u32 * QPN_BLOCK;
        self.blocks.push(block);
    }

    /// Whether a number is of a block claimed here.
    pub fn owns(&self, number: u32) -> bool {
        self.blocks.contains(&(number / QPN_BLOCK))
    }

    /// The next number that `taken` does not hold, in rounds through all blocks, so that a number rests as long as it can; none
    /// if all are in use.
    pub fn draw(&mut self, taken: impl Fn(u32) -> bool) -> Option<u32> {
        let all = self.blocks.len() as u32 * QPN_BLOCK;
        for _ in 0..all {
            let at = self.next % all;
            self.next = at + 1;
            let number = self.blocks.get((at / QPN_BLOCK) as usize)? * QPN_BLOCK + at % QPN_BLOCK;
            // 0 and 1 are the management QPs of every port.
            if number > 1 && !taken(number) {
                return Some(number);
            }
        }
        None
    }
}

impl Fabric {
    /// A number for a new QP. `claim` claims one more block of numbers for this process, if the ones it has are used up.
    pub fn draw_qp_number(&mut self, claim: impl FnOnce() -> Option<u32>) -> Option<u32> {
        let taken = &self.qp_numbers;
        if let Some(number) = self.shared.faults.next_qp_number.take() {
            if !taken.contains_key(&number) {
                return Some(number);
            }
            crate::log::line(&format!("next qp_num {number:#x}: another queue pair has it"));
        }
        if let Some(number) = self.numbers.draw(|n| taken.contains_key(&n)) {
            return Some(number);
        }
        self.numbers.add_block(claim()?);
        self.numbers.draw(|n| taken.contains_key(&n))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_rests_as_long_as_it_can() {
        let mut numbers = QpNumbers::default();
        assert_eq!(numbers.draw(|_| false), None);
        numbers.add_block(3);
        let mut taken = std::collections::HashSet::new();
        for i in 0..QPN_BLOCK {
            let n = numbers.draw(|n| taken.contains(&n)).unwrap();
            assert_eq!(n, 3 * QPN_BLOCK + i);
            taken.insert(n);
        }
        assert_eq!(numbers.draw(|n| taken.contains(&n)), None);
        taken.remove(&(3 * QPN_BLOCK + 7));
        assert_eq!(numbers.draw(|n| taken.contains(&n)), Some(3 * QPN_BLOCK + 7));
    }

    #[test]
    fn management_numbers_are_not_drawn() {
        let mut numbers = QpNumbers::default();
        numbers.add_block(0);
        assert_eq!(numbers.draw(|_| false), Some(2));
    }
}

//! The data of a command on its way: what lies together here, in a store or a buffer, and may lie in several pieces at the
//! host. One work request moves one part, which is in one piece at both ends.
//!
//! What must hold: the parts follow one another, here without a gap and there in the order of the pieces, and are all of
//! the memory here; none is empty.

use verbs::Segment;

use crate::core::{Piece, Remote};

/// What is not posted yet of a transfer. The default is nothing.
#[derive(Clone, Debug, Default)]
pub(super) struct Transfer {
    local: Segment,
    first: Option<Piece>,
    rest: std::vec::IntoIter<Piece>,
}

impl Transfer {
    /// The transfer of `local`, to or from the pieces of `remote`.
    pub(super) fn new(local: Segment, remote: Remote) -> Transfer {
        Transfer { local, first: Some(remote.first), rest: remote.rest.into_iter() }
    }

    /// Every part was taken.
    pub(super) fn is_done(&self) -> bool {
        self.local.length == 0
    }
}

/// The parts: where each is here, and where at the host. Its length is that of the memory here: the last piece takes what
/// is left, however long that is, since a liar may send more than the host has room for.
impl Iterator for Transfer {
    type Item = (Segment, Piece);

    fn next(&mut self) -> Option<(Segment, Piece)> {
        while !self.is_done() {
            let piece = self.first.take().or_else(|| self.rest.next())?;
            let left = self.local.length;
            let length = if self.rest.as_slice().is_empty() { left } else { left.min(piece.length) };
            let part = Segment { length, ..self.local };
            self.local.address = self.local.address.wrapping_add(length.into());
            self.local.length = left - length;
            if length > 0 {
                return Some((part, piece));
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parts(length: u32, pieces: &[u32]) -> Vec<(u64, u32, u64)> {
        let piece = |index: usize| Piece {
            address: index as u64 * 0x10_000,
            length: pieces[index],
            key: index as u32,
        };
        let rest = (1..pieces.len()).map(piece).collect();
        let remote = Remote { first: piece(0), rest, invalidate: None };
        let mut transfer = Transfer::new(Segment { address: 100, length, local_key: 7 }, remote);
        let mut parts = Vec::new();
        while !transfer.is_done() {
            let (part, piece) = transfer.next().unwrap();
            assert_eq!((part.local_key, u64::from(piece.key) * 0x10_000), (7, piece.address));
            parts.push((part.address, part.length, piece.address));
        }
        assert_eq!(transfer.next(), None);
        parts
    }

    #[test]
    fn the_parts_are_all_of_the_memory_here() {
        assert_eq!(parts(4096, &[4096]), [(100, 4096, 0)]);
        let several = [(100, 1, 0), (101, 512, 0x10_000), (613, 87, 0x20_000)];
        assert_eq!(parts(600, &[1, 512, 87]), several);
        assert_eq!(parts(0, &[4096]), []);
    }

    #[test]
    fn pieces_of_no_bytes_are_left_out() {
        assert_eq!(parts(8, &[0, 3, 0, 0, 5, 0]), [(100, 3, 0x10_000), (103, 5, 0x40_000)]);
    }

    #[test]
    fn what_is_longer_or_shorter_than_the_pieces_is_sent_as_it_is() {
        assert_eq!(parts(9000, &[4096]), [(100, 9000, 0)]);
        assert_eq!(parts(10, &[4, 4]), [(100, 4, 0), (104, 6, 0x10_000)]);
        assert_eq!(parts(3, &[4, 4]), [(100, 3, 0)]);
    }
}

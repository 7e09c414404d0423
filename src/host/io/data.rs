//! Where the data of a transfer are, and cutting them into what one command can have.
//!
//! What must hold: a piece of no bytes, or fewer bytes than the blocks have, is an error and no end; the program's functions are called
//! with nothing borrowed.

use crate::{
    host::Error,
    transport::{PIECES, Piece},
};
use arrayvec::ArrayVec;
use std::ffi::c_void;

/// Where the data of a transfer are.
pub(crate) enum Data<'a> {
    /// In one piece.
    Contiguous(*mut c_void),
    /// In these pieces, one after the other.
    Vector(&'a [libc::iovec]),
    /// In the pieces that this gives, one after the other, from the byte on that it was set to last.
    Given(&'a mut dyn Scatter),
}

/// A program's way to say where its data are.
pub(crate) trait Scatter {
    /// The next piece is to be that which has this byte of the data.
    fn reset(&mut self, offset: u32);
    /// The next piece: its address and its bytes. None if the program says that it failed.
    fn next(&mut self) -> Option<(u64, u64)>;
}

/// Pieces that follow one another, of the data from some byte on.
pub(super) struct Source<'a, 'b> {
    data: &'a mut Data<'b>,
    /// Which element of a vector is next.
    next: usize,
    /// What is left of the piece that was begun.
    rest: (u64, u64),
    /// The bytes that were taken so far.
    taken: u64,
}

/// The longest piece: the length of a keyed SGL data block has 24 bits (Base 2.0, 4.4.1).
const LONGEST: u64 = (1 << 24) - 1;

/// The data of one command.
#[derive(Default)]
pub(super) struct Cut {
    pub(super) pieces: ArrayVec<Piece, PIECES>,
    /// The bytes in all.
    pub(super) length: u32,
}

impl AsRef<[Piece]> for Cut {
    fn as_ref(&self) -> &[Piece] {
        &self.pieces
    }
}

fn bad(why: &str) -> Error {
    Error::InvalidArgument(why.to_owned())
}

impl<'a, 'b> Source<'a, 'b> {
    /// The data from their first byte on.
    pub(super) fn new(data: &'a mut Data<'b>) -> Self {
        if let Data::Given(scatter) = data {
            scatter.reset(0);
        }
        Self { data, next: 0, rest: (0, 0), taken: 0 }
    }

    /// Cuts off the next bytes: `length`, or as many whole blocks as lie in `most` pieces, of which there is at least one.
    #[inline]
    pub(super) fn cut(&mut self, length: u32, block: u32, most: u32) -> Result<Cut, Error> {
        let most = (most as usize).min(PIECES);
        let mut cut = Cut::default();
        while cut.length < length {
            if cut.pieces.len() == most {
                self.shorten(&mut cut, block)?;
                break;
            }
            if self.rest.1 == 0 {
                self.rest = self.next_piece()?;
            }
            let (address, left) = self.rest;
            let bytes = left.min(u64::from(length - cut.length)).min(LONGEST);
            let piece = Piece { address, length: bytes as u32 };
            cut.pieces.try_push(piece).map_err(|_| bad("data in too many pieces"))?;
            cut.length += bytes as u32;
            self.taken += bytes;
            self.rest = (address.wrapping_add(bytes), left - bytes);
        }
        Ok(cut)
    }

    /// There are no more pieces to be had: back to the last whole block.
    #[cold]
    fn shorten(&mut self, cut: &mut Cut, block: u32) -> Result<(), Error> {
        let whole = cut.length / block.max(1) * block;
        if whole == 0 {
            let most = cut.pieces.len();
            return Err(Error::InvalidArgument(format!(
                "a logical block of {block} bytes lies in more than the {most} pieces that a command can have"
            )));
        }
        let begin = self.taken - u64::from(cut.length);
        let mut kept = 0;
        cut.pieces.retain(|piece| {
            piece.length = piece.length.min(whole - kept);
            kept += piece.length;
            piece.length > 0
        });
        cut.length = whole;
        self.seek(begin + u64::from(whole))
    }

    /// What is cut off next begins with this byte of the data.
    #[cold]
    fn seek(&mut self, byte: u64) -> Result<(), Error> {
        self.taken = byte;
        match self.data {
            Data::Contiguous(address) => {
                self.next = 1;
                self.rest = ((address.addr() as u64).wrapping_add(byte), u64::MAX);
            }
            Data::Vector(vector) => {
                let mut before = 0;
                let found = (1..).zip(vector.iter()).find_map(|(next, element)| {
                    let skipped = byte - before;
                    before += element.iov_len as u64;
                    let left = before.checked_sub(byte).filter(|left| *left > 0)?;
                    Some((next, ((element.iov_base.addr() as u64).wrapping_add(skipped), left)))
                });
                (self.next, self.rest) = found.unwrap_or((vector.len(), (0, 0)));
            }
            Data::Given(scatter) => {
                scatter.reset(u32::try_from(byte).map_err(|_| bad("data of 4 GiB and more in pieces"))?);
                self.rest = (0, 0);
            }
        }
        Ok(())
    }

    #[inline]
    fn next_piece(&mut self) -> Result<(u64, u64), Error> {
        let piece = match self.data {
            Data::Contiguous(address) => {
                self.next += 1;
                (self.next == 1).then(|| (address.addr() as u64, u64::MAX))
            }
            Data::Vector(vector) => {
                let element = vector.get(self.next);
                self.next += 1;
                element.map(|element| (element.iov_base.addr() as u64, element.iov_len as u64))
            }
            Data::Given(scatter) => Some(scatter.next().ok_or(Error::Scatter)?),
        };
        match piece {
            None => Err(bad("the data have fewer bytes than the blocks")),
            Some((_, 0)) => Err(bad("a piece of the data has no bytes")),
            Some(piece) => Ok(piece),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn vector(pieces: &[(usize, usize)]) -> Vec<libc::iovec> {
        let of = |(address, length): &(usize, usize)| libc::iovec {
            iov_base: std::ptr::without_provenance_mut(*address),
            iov_len: *length,
        };
        pieces.iter().map(of).collect()
    }

    /// A program's functions over such a vector.
    struct Callbacks {
        pieces: Vec<(u64, u64)>,
        next: usize,
        skip: u64,
        fails: bool,
    }

    impl Scatter for Callbacks {
        fn reset(&mut self, offset: u32) {
            (self.next, self.skip) = (0, u64::from(offset));
            while self.pieces.get(self.next).is_some_and(|piece| piece.1 <= self.skip) {
                self.skip -= self.pieces[self.next].1;
                self.next += 1;
            }
        }
        fn next(&mut self) -> Option<(u64, u64)> {
            let (address, length) = *self.pieces.get(self.next).filter(|_| !self.fails)?;
            self.next += 1;
            let skip = std::mem::take(&mut self.skip);
            Some((address + skip, length - skip))
        }
    }

    /// Cuts all of `length` bytes, and returns what each command has.
    fn cut_all(
        data: &mut Data<'_>,
        length: u32,
        each: u32,
        block: u32,
        most: u32,
    ) -> Result<Vec<Vec<(u64, u32)>>, Error> {
        let mut source = Source::new(data);
        let mut all = Vec::new();
        let mut done = 0;
        while done < length {
            let cut = source.cut(each.min(length - done), block, most)?;
            assert!(cut.length > 0 && (cut.length % block == 0 || done + cut.length == length));
            assert_eq!(cut.pieces.iter().map(|piece| piece.length).sum::<u32>(), cut.length);
            assert!(cut.pieces.len() <= most as usize);
            done += cut.length;
            all.push(cut.pieces.iter().map(|piece| (piece.address, piece.length)).collect());
        }
        Ok(all)
    }

    #[test]
    fn pieces_are_cut_at_whole_blocks() {
        let pieces = [(1000, 300), (2000, 212), (3000, 512), (4000, 100), (5000, 924), (6000, 512)];
        let elements = vector(&pieces);
        let expected = vec![
            vec![(1000, 300), (2000, 212)],
            vec![(3000, 512)],
            vec![(4000, 100), (5000, 412)],
            vec![(5412, 512)],
            vec![(6000, 512)],
        ];
        let given = pieces.iter().map(|(address, length)| (*address as u64, *length as u64)).collect();
        let mut callbacks = Callbacks { pieces: given, next: 0, skip: 0, fails: false };
        for data in [&mut Data::Vector(&elements), &mut Data::Given(&mut callbacks)] {
            assert_eq!(cut_all(data, 2560, 512, 512, 2).unwrap(), expected, "by length");
            // By pieces: two of them at a time, but whole blocks.
            let by_pieces = cut_all(data, 2560, 2560, 512, 2).unwrap();
            assert_eq!(
                by_pieces,
                [
                    vec![(1000, 300), (2000, 212)],
                    vec![(3000, 512)],
                    vec![(4000, 100), (5000, 924)],
                    vec![(6000, 512)],
                ]
            );
            assert_eq!(
                cut_all(data, 2560, 2560, 512, 16).unwrap(),
                [pieces.map(|(a, l)| (a as u64, l as u32)).to_vec()]
            );
            assert!(cut_all(data, 2560, 2560, 512, 1).is_err(), "a block in two pieces");
            assert!(cut_all(data, 3072, 512, 512, 2).is_err(), "too few bytes");
        }
        callbacks.fails = true;
        assert_eq!(cut_all(&mut Data::Given(&mut callbacks), 512, 512, 512, 2), Err(Error::Scatter));
    }

    #[test]
    fn one_piece_is_as_long_as_it_must_be_and_none_has_no_bytes() {
        let mut data = Data::Contiguous(std::ptr::without_provenance_mut(4096));
        assert_eq!(cut_all(&mut data, 2048, 1024, 512, 1).unwrap(), [[(4096, 1024)], [(5120, 1024)]]);
        // Longer than a descriptor's length.
        let elements = vector(&[(4096, 1 << 25)]);
        let cuts = cut_all(&mut Data::Vector(&elements), 1 << 25, 1 << 25, 512, 2).unwrap();
        assert_eq!(cuts[0], [(4096, (1 << 24) - 1), (4096 + (1 << 24) - 1, (1 << 24) - 1 - 510)][..]);
        let elements = vector(&[(4096, 512), (8192, 0), (8192, 512)]);
        assert!(cut_all(&mut Data::Vector(&elements), 1024, 1024, 512, 4).is_err());
        assert!(cut_all(&mut Data::Vector(&[]), 512, 512, 512, 4).is_err());
    }
}

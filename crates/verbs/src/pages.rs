//! Memory of our own that a device may be let at.
//!
//! Invariants: such memory is made of whole pages that the process shares with nothing else, the heap least of all. A device
//! library that supports `fork` takes the pages of registered memory out of the child (`ibv_fork_init(3)`,
//! `madvise(MADV_DONTFORK)`), and what lay beside it would be missing there. Pieces of one mapping do not overlap.

use crate::Error;
use std::{cell::Cell, ffi::c_void, ptr::NonNull, rc::Rc, sync::Arc};

/// Where pieces of one mapping begin: at multiples of a cache line.
const PIECE_ALIGNMENT: usize = 64;

/// Zeroed memory of our own that a device may be let at: commands, responses, staging buffers. Aligned to a page, or to 64
/// bytes where it is one of [several](Memory::several).
///
/// The device reads and writes it at any time, so it is reached by copies in and out, never by reference.
#[derive(Debug)]
pub struct Memory {
    base: NonNull<u8>,
    length: usize,
    _pages: Arc<Pages>,
}

// SAFETY: the bytes belong to the value alone, since pieces do not overlap, and are reached by plain copies; the shared
// mapping is only ever unmapped, by the last piece of it.
unsafe impl Send for Memory {}

impl Memory {
    /// Allocates `length` bytes; ENOMEM if there are none, EINVAL for length 0.
    pub fn new(length: usize) -> Result<Rc<Self>, Error> {
        let [memory] = Self::several([length])?;
        Ok(memory)
    }

    /// Allocates pieces of these lengths in one mapping, so that small ones cost less than a page each. As
    /// [`Memory::new`].
    pub fn several<const N: usize>(lengths: [usize; N]) -> Result<[Rc<Self>; N], Error> {
        const CALL: &str = "allocation of device memory";
        if lengths.contains(&0) {
            return Err(Error::new(CALL, libc::EINVAL));
        }
        let too_much = Error::new(CALL, libc::ENOMEM);
        let mut offsets = [0; N];
        let mut total = 0_usize;
        for (offset, length) in offsets.iter_mut().zip(lengths) {
            *offset = total;
            let end = total.checked_add(length).and_then(|end| end.checked_next_multiple_of(PIECE_ALIGNMENT));
            total = end.ok_or(too_much)?;
        }
        let pages = Arc::new(Pages::new(CALL, total)?);
        let mut at = offsets.into_iter().zip(lengths);
        Ok(std::array::from_fn(|_| {
            let (offset, length) = at.next().unwrap_or_default();
            // SAFETY: `offset` was added up above to be inside of the mapping.
            let base = unsafe { pages.base.add(offset) };
            Rc::new(Self { base, length, _pages: pages.clone() })
        }))
    }

    /// The number of bytes.
    pub fn length(&self) -> usize {
        self.length
    }

    /// The address of the first byte, as work requests name it.
    pub fn address(&self) -> u64 {
        self.base.as_ptr() as u64
    }

    pub(crate) fn as_ptr(&self) -> *mut c_void {
        self.base.as_ptr().cast()
    }

    /// Copies `data` to `offset`. False, with nothing written, if it does not fit.
    #[must_use]
    #[inline]
    pub fn write(&self, offset: usize, data: &[u8]) -> bool {
        let Some(place) = self.place(offset, data.len()) else { return false };
        // SAFETY: `place` is `data.len()` bytes of this memory; a copy of plain bytes makes no reference to it.
        unsafe { std::ptr::copy_nonoverlapping(data.as_ptr(), place, data.len()) };
        true
    }

    /// Copies from `offset` into `data`. False, with nothing read, if the range is outside.
    #[must_use]
    #[inline]
    pub fn read(&self, offset: usize, data: &mut [u8]) -> bool {
        let Some(place) = self.place(offset, data.len()) else { return false };
        // SAFETY: as in write, the other way.
        unsafe { std::ptr::copy_nonoverlapping(place, data.as_mut_ptr(), data.len()) };
        true
    }

    /// Sets the first `length` bytes to zero. False, with nothing written, if there are fewer.
    #[must_use]
    pub fn clear(&self, length: usize) -> bool {
        let Some(place) = self.place(0, length) else { return false };
        // SAFETY: `place` is `length` bytes of this memory; storing plain bytes makes no reference to it.
        unsafe { std::ptr::write_bytes(place, 0, length) };
        true
    }

    /// Stores the 64 bytes of `dwords` as they are at `offset`, a multiple of 4. False if it is outside or not
    /// aligned.
    #[must_use]
    #[inline]
    pub fn write_dwords(&self, offset: usize, dwords: &[u32; 16]) -> bool {
        if !offset.is_multiple_of(4) {
            return false;
        }
        let Some(place) = self.place(offset, 64) else { return false };
        // SAFETY: 64 bytes of this memory, aligned for u32 since the base is aligned to 64 bytes.
        unsafe { place.cast::<[u32; 16]>().write(*dwords) };
        true
    }

    /// Loads the 64 bytes at `offset`, a multiple of 4. None if they are outside or not aligned.
    #[inline]
    pub fn read_dwords(&self, offset: usize) -> Option<[u32; 16]> {
        offset.is_multiple_of(4).then_some(())?;
        let place = self.place(offset, 64)?.cast::<[u32; 16]>();
        // SAFETY: 64 bytes of this memory, aligned for u32 since the base is aligned to 64 bytes.
        Some(unsafe { place.read() })
    }

    /// Loads the 16 bytes at `offset`. None if they are outside.
    #[inline]
    pub fn read_16(&self, offset: usize) -> Option<[u8; 16]> {
        let place = self.place(offset, 16)?.cast::<[u8; 16]>();
        // SAFETY: sixteen bytes of this memory; bytes have no alignment.
        Some(unsafe { place.read() })
    }

    #[inline(always)]
    fn place(&self, offset: usize, length: usize) -> Option<*mut u8> {
        let end = offset.checked_add(length)?;
        // SAFETY: `offset` is within the memory, as `end` is.
        (end <= self.length).then(|| unsafe { self.base.as_ptr().add(offset) })
    }
}

/// A share of [`Memory`], or none, that may be changed for another: it holds rows of `ROW` bytes, which are written with no look at the
/// count of shares while it is open.
///
/// What must hold: while it is open there is a share, the base is that of its memory, and at each offset below the end a row lies within
/// it; while it is shut the end is 0.
pub struct RowMemory<const ROW: usize> {
    base: Cell<*mut u8>,
    end: Cell<usize>,
    memory: Cell<Option<Rc<Memory>>>,
}

impl<const ROW: usize> Default for RowMemory<ROW> {
    fn default() -> Self {
        Self { base: Cell::new(std::ptr::null_mut()), end: Cell::new(0), memory: Cell::new(None) }
    }
}

impl<const ROW: usize> RowMemory<ROW> {
    /// The memory, if there is some.
    pub fn get(&self) -> Option<Rc<Memory>> {
        let memory = self.memory.take();
        self.memory.set(memory.clone());
        memory
    }

    /// Puts in other memory, or none, and returns what was there. It is shut then.
    pub fn replace(&self, memory: Option<Rc<Memory>>) -> Option<Rc<Memory>> {
        self.shut();
        self.memory.replace(memory)
    }

    /// Rows may be written from here on, if there are any.
    pub fn open(&self) {
        if let Some(memory) = self.get() {
            self.base.set(memory.base.as_ptr());
            self.end.set(memory.length.checked_sub(ROW).map_or(0, |last| last.saturating_add(1)));
        }
    }

    /// No row may be written.
    pub fn shut(&self) {
        self.end.set(0);
    }

    /// Stores pairs of words in the row at `offset`, a multiple of 8, the lower byte of each word first. Returns the row's address. None,
    /// with nothing written, if there is no such row, or they do not fit in it.
    #[must_use]
    #[inline(always)]
    pub fn write_pairs(&self, offset: usize, pairs: &[[u64; 2]]) -> Option<u64> {
        if size_of_val(pairs) > ROW || offset >= self.end.get() || !offset.is_multiple_of(8) {
            return None;
        }
        // SAFETY: there is memory of which the cell has a share, and all of the row at `offset` is within it.
        let first = unsafe { self.base.get().add(offset) }.cast::<[u64; 2]>();
        for (nth, pair) in pairs.iter().enumerate() {
            // SAFETY: all pairs are within the row; they are aligned for u64, as the memory's base is aligned to 64 bytes; and nobody has a
            // reference to it.
            unsafe { first.add(nth).write(pair.map(u64::to_le)) };
        }
        Some(first as u64)
    }
}

/// A private anonymous mapping of whole pages.
#[derive(Debug)]
struct Pages {
    base: NonNull<u8>,
    length: usize,
}

// SAFETY: nothing is done with the address but unmapping it, once, by whoever drops the last share.
unsafe impl Send for Pages {}
// SAFETY: as above.
unsafe impl Sync for Pages {}

impl Pages {
    fn new(call: &'static str, length: usize) -> Result<Self, Error> {
        // What Rust can address has at most isize::MAX bytes.
        let length = length
            .checked_next_multiple_of(page_size())
            .filter(|length| isize::try_from(*length).is_ok())
            .ok_or(Error::new(call, libc::ENOMEM))?;
        // SAFETY: a new mapping at an address of the kernel's choice touches no memory that exists.
        let mapped = unsafe {
            libc::mmap(
                std::ptr::null_mut(),
                length,
                libc::PROT_READ | libc::PROT_WRITE,
                libc::MAP_PRIVATE | libc::MAP_ANONYMOUS,
                -1,
                0,
            )
        };
        if mapped == libc::MAP_FAILED {
            return Err(Error::last(call));
        }
        let base = NonNull::new(mapped.cast()).ok_or(Error::new(call, libc::ENOMEM))?;
        Ok(Self { base, length })
    }
}

impl Drop for Pages {
    fn drop(&mut self) {
        // SAFETY: exactly the mapping that `new` made. Registrations hold a share of the memory, so no device knows it. A
        // failure leaves the pages mapped and unused.
        let _ = unsafe { libc::munmap(self.base.as_ptr().cast(), self.length) };
    }
}

fn page_size() -> usize {
    // SAFETY: no requirement.
    usize::try_from(unsafe { libc::sysconf(libc::_SC_PAGESIZE) }).unwrap_or(4096).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn copies_stay_inside() {
        let memory = Memory::new(128).unwrap();
        let dwords = std::array::from_fn(|index| index as u32);
        assert!(memory.write_dwords(64, &dwords));
        assert_eq!(memory.read_dwords(64), Some(dwords));
        assert_eq!(memory.read_16(64).map(|bytes| bytes[4]), Some(1));
        assert!(!memory.write_dwords(62, &dwords), "not aligned");
        assert!(!memory.write_dwords(68, &dwords), "past the end");
        assert_eq!(memory.read_dwords(usize::MAX - 3), None);
        assert!(!memory.clear(129) && memory.clear(70));
        assert_eq!(memory.read_16(64).map(|bytes| (bytes[4], bytes[8])), Some((0, 2)));
        assert_eq!(memory.read_16(113), None);
        assert!(!memory.write(128, &[1]) && memory.write(127, &[1]) && memory.write(128, &[]));
        assert_eq!(Memory::new(0).unwrap_err().errno, libc::EINVAL);
        assert_eq!(Memory::new(usize::MAX).unwrap_err().errno, libc::ENOMEM);
        assert_eq!(Memory::new(isize::MAX as usize).unwrap_err().errno, libc::ENOMEM);
    }

    #[test]
    fn rows_have_bounds() {
        let rows = RowMemory::<32>::default();
        rows.open();
        assert!(rows.write_pairs(0, &[[1, 2]]).is_none(), "without memory");
        let memory = Memory::new(128).unwrap();
        assert!(rows.replace(Some(memory.clone())).is_none());
        assert!(rows.write_pairs(0, &[[1, 2]]).is_none(), "shut");
        rows.open();
        let two = [[0x0102_0304_0506_0708, 9], [0x0102_0304_0506_0709, 9]];
        assert_eq!(rows.write_pairs(96, &two), Some(memory.address() + 96));
        assert_eq!(memory.read_16(112), Some([9, 7, 6, 5, 4, 3, 2, 1, 9, 0, 0, 0, 0, 0, 0, 0]));
        assert_eq!(memory.read_16(80), Some([0; 16]), "before them");
        assert!(rows.write_pairs(64, &[[5, 5]; 3]).is_none(), "more than a row");
        for outside in [100, 104, 128, usize::MAX - 7] {
            assert!(rows.write_pairs(outside, &[[5, 5]]).is_none(), "a row at {outside}");
        }
        assert_eq!(memory.read_16(96).map(|bytes| bytes[0]), Some(8), "nothing was written");
        assert!(rows.replace(Some(Memory::new(31).unwrap())).is_some());
        assert!(rows.write_pairs(0, &[[5, 5]]).is_none(), "other memory");
        rows.open();
        assert!(rows.write_pairs(0, &[[5, 5]]).is_none(), "memory with no whole row");
        rows.replace(Some(memory));
        rows.open();
        assert!(rows.write_pairs(0, &[[5, 5]]).is_some());
        rows.shut();
        assert!(rows.write_pairs(0, &[[5, 5]]).is_none(), "shut again");
    }

    #[test]
    fn pieces_of_one_mapping_are_their_own() {
        let pieces = Memory::several([16, 1024, 65, 4096]).unwrap();
        for (index, piece) in pieces.iter().enumerate() {
            assert!(piece.address().is_multiple_of(PIECE_ALIGNMENT as u64));
            assert!(piece.write(0, &vec![index as u8 + 1; piece.length()]));
            assert!(!piece.write(piece.length(), &[1]), "the next piece's");
        }
        for (index, piece) in pieces.iter().enumerate() {
            let mut all = vec![0; piece.length()];
            assert!(piece.read(0, &mut all) && all.iter().all(|byte| usize::from(*byte) == index + 1));
        }
        let [small, large, _, last] = pieces;
        assert_eq!((small.length(), large.length(), last.length()), (16, 1024, 4096));
        assert_eq!(small.address() & 0xfff, 0);
        assert!(large.address() - small.address() < 4096, "they share a page");
        drop((small, last));
        assert!(large.write(0, &[1]), "the mapping lives as long as a piece of it");
        assert_eq!(Memory::several([1, 0]).unwrap_err().errno, libc::EINVAL);
        assert_eq!(Memory::several([usize::MAX, 1]).unwrap_err().errno, libc::ENOMEM);
    }

    /// What a device library with support for fork does to registered memory, and what became of the child's heap.
    #[test]
    fn a_child_finds_its_heap_whole() {
        let page = page_size() as u64;
        // Sizes of which a heap would put several into a page, between what the program allocates.
        let mut memory = Vec::new();
        let mut heap: Vec<Box<[u8; 48]>> = Vec::new();
        for _ in 0..256 {
            memory.push(Memory::new(63 * 16).unwrap());
            heap.extend((0..100).map(|_| Box::new([7; 48])));
        }
        let pages: HashSet<u64> = memory.iter().map(|memory| memory.address() / page).collect();
        assert_eq!(pages.len(), memory.len(), "two pieces of memory in one page");
        for page_number in &pages {
            // SAFETY: pages of the memory above; the advice changes what a child has of them.
            let result = unsafe {
                libc::madvise((page_number * page) as *mut c_void, page as usize, libc::MADV_DONTFORK)
            };
            assert_eq!(result, 0);
        }
        // SAFETY: the child reads memory of its own and ends, without a lock and without an allocation.
        let child = unsafe { libc::fork() };
        if child == 0 {
            let sum: u64 = heap.iter().flat_map(|block| block.iter()).map(|byte| u64::from(*byte)).sum();
            let whole = sum == heap.len() as u64 * 7 * 48;
            // SAFETY: ends the child.
            unsafe { libc::_exit(i32::from(!whole)) };
        }
        assert!(child > 0);
        let mut status = 0;
        // SAFETY: waits for the child that was made above.
        assert_eq!(unsafe { libc::waitpid(child, &mut status, 0) }, child);
        assert_eq!(status, 0, "the child ended with wait status {status:#x}");
    }
}

//! The program's memory, reached without trust in its address.
//!
//! A buffer that nobody registered may be anything: not mapped, not writable, or unmapped while its request is on its way. So it is copied
//! by the kernel, which answers a bad address with an error where a plain copy would end the process: `process_vm_readv` on the own
//! process. What is read is its remote side and what is written its local one, so a tool that watches memory (valgrind) hears of the
//! bytes that the program gets, and not of an address that is only tried. What is not there is refused, and a refused copy is the worst
//! that can happen.

use super::Piece;
use std::{ffi::c_void, sync::OnceLock};
use verbs::Memory;

/// The most pieces of one copy.
pub const PIECES: usize = 16;

/// A page, as the kernel counts at least.
const PAGE: u64 = 4096;

/// The pieces as a system call wants them, with their bytes in all. None if there are too many.
fn vector(pieces: &[Piece]) -> Option<([libc::iovec; PIECES], usize, usize)> {
    let mut all = [libc::iovec { iov_base: std::ptr::null_mut(), iov_len: 0 }; PIECES];
    let mut bytes = 0_usize;
    for (nth, piece) in pieces.iter().enumerate() {
        *all.get_mut(nth)? = one(piece.address, piece.length as usize)?;
        bytes = bytes.checked_add(piece.length as usize)?;
    }
    Some((all, pieces.len(), bytes))
}

fn one(address: u64, length: usize) -> Option<libc::iovec> {
    let base = std::ptr::with_exposed_provenance_mut::<c_void>(usize::try_from(address).ok()?);
    Some(libc::iovec { iov_base: base, iov_len: length })
}

#[derive(Clone, Copy)]
enum Way {
    /// From the program's memory to that of our own.
    In,
    /// The other way.
    Out,
}

fn copy(way: Way, pieces: &[Piece], memory: &Memory) -> bool {
    let Some((all, count, bytes)) = vector(pieces) else { return false };
    let Some(own) = one(memory.address(), bytes).filter(|_| bytes <= memory.length()) else {
        return false;
    };
    let count = count as libc::c_ulong;
    // SAFETY: getpid has no requirement. The call has whole vectors, of which one and `count` elements are looked at. One side is `bytes`
    // bytes of `memory`, to which nobody has a reference. The other is the program's: it gave that memory to be read or written until
    // its callback, and the kernel answers with an error where none is.
    let copied = unsafe {
        let pid = libc::getpid();
        match way {
            Way::In => libc::process_vm_readv(pid, &own, 1, all.as_ptr(), count, 0),
            Way::Out => libc::process_vm_readv(pid, all.as_ptr(), count, &own, 1, 0),
        }
    };
    usize::try_from(copied) == Ok(bytes)
}

/// Copies the pieces, one behind the other, to the beginning of `memory`. False if one of them is not to be read, or they do not fit.
#[must_use]
pub fn copy_in(pieces: &[Piece], memory: &Memory) -> bool {
    copy(Way::In, pieces, memory)
}

/// The reverse of [`copy_in`]. Pieces before one that is not to be written may have been.
#[must_use]
pub fn copy_out(memory: &Memory, pieces: &[Piece]) -> bool {
    copy(Way::Out, pieces, memory)
}

/// Whether copies can be made at all: a kernel may have been built without, and a sandbox may forbid it.
pub fn can_copy() -> bool {
    static CAN: OnceLock<bool> = OnceLock::new();
    *CAN.get_or_init(|| {
        let mut byte = 1_u8;
        let piece = Piece { address: (&raw mut byte).expose_provenance() as u64, length: 1 };
        let can =
            Memory::new(1).is_ok_and(|memory| copy_in(&[piece], &memory) && copy_out(&memory, &[piece]));
        if !can {
            tracing::warn!(
                "process_vm_readv is not to be had here: memory that is not registered is not copied"
            );
        }
        can
    })
}

/// Whether all pieces can be written to, without writing. Where the kernel cannot tell, whether they are there: then it shows when
/// they are written.
#[must_use]
pub fn is_writable(pieces: &[Piece]) -> bool {
    pieces.iter().all(|piece| {
        let begin = piece.address & !(PAGE - 1);
        let end = piece
            .address
            .checked_add(u64::from(piece.length))
            .and_then(|end| end.checked_next_multiple_of(PAGE));
        end.is_some_and(
            |end| if can_populate() { populate(begin, end - begin) } else { is_there(begin, end) },
        )
    })
}

/// Makes pages present and writable, as a store to each would: nothing of their content changes (`madvise(2)`, since Linux 5.14).
fn populate(begin: u64, length: u64) -> bool {
    let Ok(length) = usize::try_from(length) else { return false };
    let Some(range) = one(begin, length) else { return false };
    // SAFETY: the advice changes no content and no protection; a range that is not mapped, or not writable, is an error.
    unsafe { libc::madvise(range.iov_base, range.iov_len, libc::MADV_POPULATE_WRITE) == 0 }
}

/// Whether the kernel knows that advice: one that does not answers as for memory that is not writable.
fn can_populate() -> bool {
    static CAN: OnceLock<bool> = OnceLock::new();
    *CAN.get_or_init(|| Memory::new(1).is_ok_and(|memory| populate(memory.address(), PAGE)))
}

/// Whether all of a piece can be read. A kernel that registers memory for no more than reading (before Linux 6.2) does not ask: what the
/// program may not read itself, the controller could. Where the kernel makes no copies it cannot tell, and this is true.
#[must_use]
pub fn is_readable(piece: Piece) -> bool {
    let end = piece.address.checked_add(u64::from(piece.length));
    !can_copy() || end.is_some_and(|end| is_there(piece.address & !(PAGE - 1), end))
}

/// Whether each page can be read: one byte of each is.
fn is_there(begin: u64, end: u64) -> bool {
    /// Pages of one call.
    const AT_ONCE: usize = 256;
    let mut pages = (begin..end).step_by(PAGE as usize);
    let mut bytes = [0_u8; AT_ONCE];
    loop {
        let mut remote = [libc::iovec { iov_base: std::ptr::null_mut(), iov_len: 0 }; AT_ONCE];
        let mut count = 0;
        for (place, page) in remote.iter_mut().zip(&mut pages) {
            let Some(one) = one(page, 1) else { return false };
            *place = one;
            count += 1;
        }
        if count == 0 {
            return true;
        }
        let local = libc::iovec { iov_base: bytes.as_mut_ptr().cast(), iov_len: count };
        // SAFETY: `bytes` has `count` places, and so many elements of `remote` were filled in; what these name is only read, by the kernel,
        // which checks it.
        let read = unsafe {
            libc::process_vm_readv(libc::getpid(), &local, 1, remote.as_ptr(), count as libc::c_ulong, 0)
        };
        if usize::try_from(read) != Ok(count) {
            return false;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pieces_of(memory: &Memory, cuts: &[(u64, u32)]) -> Vec<Piece> {
        cuts.iter().map(|(at, length)| Piece { address: memory.address() + at, length: *length }).collect()
    }

    #[test]
    fn copies_are_of_all_pieces_in_order_and_of_nothing_else() {
        let (program, ours) = (Memory::new(8192).unwrap(), Memory::new(4096).unwrap());
        let bytes: Vec<u8> = (0..8192_u32).map(|n| (n % 251) as u8).collect();
        assert!(program.write(0, &bytes));
        let pieces = pieces_of(&program, &[(5000, 7), (1, 4), (8191, 1)]);
        assert!(copy_in(&pieces, &ours));
        let mut got = [0; 13];
        assert!(ours.read(0, &mut got));
        let wanted = [&bytes[5000..5007], &bytes[1..5], &bytes[8191..], &[0]].concat();
        assert_eq!(got, *wanted);

        assert!(ours.write(0, &[0xee; 13]) && copy_out(&ours, &pieces));
        let mut after = vec![0; 8192];
        assert!(program.read(0, &mut after));
        for (at, (before, now)) in bytes.iter().zip(&after).enumerate() {
            let inside = (5000..5007).contains(&at) || (1..5).contains(&at) || at == 8191;
            assert_eq!(*now, if inside { 0xee } else { *before }, "byte {at}");
        }
        assert!(!copy_in(&pieces_of(&program, &[(0, 4097)]), &ours), "more than there is room for");
        assert!(!copy_in(&[Piece::default(); PIECES + 1], &ours));
        assert!(can_copy());
    }

    #[test]
    fn what_is_not_there_is_an_error() {
        let ours = Memory::new(8192).unwrap();
        for address in [0, 0x1000, u64::MAX - 4095] {
            let wild = [Piece { address, length: 4096 }];
            assert!(!copy_in(&wild, &ours) && !copy_out(&ours, &wild) && !is_writable(&wild), "{address:#x}");
        }
        // SAFETY: new mappings of two pages, the second of which is changed; unmapped at the end.
        unsafe {
            let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS;
            let rights = libc::PROT_READ | libc::PROT_WRITE;
            let mapped = libc::mmap(std::ptr::null_mut(), 8192, rights, flags, -1, 0);
            assert_ne!(mapped, libc::MAP_FAILED);
            let whole = [Piece { address: mapped.expose_provenance() as u64 + 100, length: 8000 }];
            assert!(copy_in(&whole, &ours) && copy_out(&ours, &whole) && is_writable(&whole));
            let second = mapped.byte_add(4096);
            assert_eq!(libc::mprotect(second, 4096, libc::PROT_READ), 0);
            assert!(copy_in(&whole, &ours) && !copy_out(&ours, &whole) && !is_writable(&whole));
            assert_eq!(libc::mprotect(second, 4096, libc::PROT_NONE), 0);
            assert!(!copy_in(&whole, &ours) && !is_writable(&whole));
            assert_eq!(libc::munmap(second, 4096), 0);
            assert!(!copy_in(&whole, &ours) && !is_writable(&whole));
            assert!(!is_readable(whole[0]) && is_readable(Piece { length: 3996, ..whole[0] }));
            assert!(!is_there(mapped.addr() as u64, mapped.addr() as u64 + 8192));
            assert!(is_there(mapped.addr() as u64, mapped.addr() as u64 + 4096));
            assert_eq!(libc::munmap(mapped, 4096), 0);
        }
    }

    /// More pages than one call looks at, of which the last may be read or not.
    #[test]
    fn each_page_of_many_is_looked_at() {
        for pages in [255, 256, 257, 512, 700] {
            let length = pages * PAGE as usize;
            // SAFETY: a new mapping, whose last page is changed; unmapped at the end.
            unsafe {
                let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS;
                let rights = libc::PROT_READ | libc::PROT_WRITE;
                let mapped = libc::mmap(std::ptr::null_mut(), length, rights, flags, -1, 0);
                assert_ne!(mapped, libc::MAP_FAILED);
                let whole = Piece { address: mapped.expose_provenance() as u64, length: length as u32 };
                assert!(is_readable(whole));
                let last = mapped.byte_add(length - PAGE as usize);
                assert_eq!(libc::mprotect(last, PAGE as usize, libc::PROT_NONE), 0);
                assert!(!is_readable(whole), "{pages}");
                assert!(is_readable(Piece { length: whole.length - PAGE as u32, ..whole }));
                assert_eq!(libc::munmap(mapped, length), 0);
            }
        }
    }

    /// Asking leaves what is there as it is.
    #[test]
    fn to_ask_whether_memory_is_writable_changes_nothing() {
        let memory = Memory::new(4096).unwrap();
        assert!(memory.write(0, &[7; 4096]) && is_writable(&pieces_of(&memory, &[(9, 1000)])));
        let mut bytes = [0; 4096];
        assert!(memory.read(0, &mut bytes) && bytes == [7; 4096]);
    }
}

//! The range of addresses that the handles are in.
//!
//! What must hold: where it can be had, all of its addresses are negative numbers if only 32 bits of them are looked at. SPDK v24.09's perf
//! takes a controller's handle for a file descriptor, and closes the number that its lower half makes: on the heap, where SPDK's library
//! has its controllers, it is hardly ever one of a descriptor. In a range that begins at a multiple of 4 GiB it would be 0, 32, 64.

use std::ptr;

/// How many windows of 4 GiB are tried beside the one that the kernel chose.
const WINDOWS: u64 = 64;

/// Reserves `length` bytes, of which all can be read, and none be written yet.
pub(super) fn reserve(length: usize) -> Option<usize> {
    let chosen = map(0, length)?;
    if is_negative(chosen, length) {
        return Some(chosen);
    }
    for window in 0..WINDOWS {
        let begin = (chosen as u64 & !u64::from(u32::MAX)).wrapping_sub(window << 32) | 1 << 31;
        let Some(other) = usize::try_from(begin).ok().and_then(|hint| map(hint, length)) else { continue };
        if is_negative(other, length) {
            unmap(chosen, length);
            return Some(other);
        }
        unmap(other, length);
    }
    Some(chosen)
}

/// Whether all addresses of the range are negative numbers in 32 bits.
fn is_negative(base: usize, length: usize) -> bool {
    let (first, last) = (base as i32, base.wrapping_add(length).wrapping_sub(1) as i32);
    first < 0 && first <= last && last < 0
}

/// Maps a range, at `hint` if there is room.
fn map(hint: usize, length: usize) -> Option<usize> {
    // SAFETY: a new private mapping, which touches no memory that exists.
    let range = unsafe {
        libc::mmap(
            ptr::with_exposed_provenance_mut(hint),
            length,
            libc::PROT_READ,
            libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE,
            -1,
            0,
        )
    };
    (range != libc::MAP_FAILED).then(|| range.expose_provenance())
}

/// Gives back what `map` gave, of which nobody was told.
fn unmap(base: usize, length: usize) {
    // SAFETY: the caller had it from `map`, and nothing is in it.
    unsafe { libc::munmap(ptr::with_exposed_provenance_mut(base), length) };
}

#[cfg(test)]
mod tests {
    use super::*;

    const LENGTH: usize = 128 << 20;

    #[test]
    fn an_address_is_no_small_number_even_if_half_of_it_is_lost() {
        // More than 4 GiB of them, so that they would begin anywhere.
        let ranges: Vec<_> = (0..40).map(|_| reserve(LENGTH).unwrap()).collect();
        for base in &ranges {
            let last = base + LENGTH - 1;
            assert!((*base as i32) < 0 && (last as i32) < 0, "{base:#x} to {last:#x}");
        }
        ranges.into_iter().for_each(|base| unmap(base, LENGTH));
    }

    #[test]
    fn a_range_that_reaches_into_the_other_half_is_told() {
        let end = 1 << 31;
        assert!(is_negative(end, LENGTH) && is_negative(2 * end - LENGTH, LENGTH));
        for base in [0, end - 1, end - LENGTH, 2 * end - LENGTH + 1, 2 * end] {
            assert!(!is_negative(base, LENGTH), "{base:#x}");
        }
    }
}

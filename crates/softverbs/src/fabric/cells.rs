//! The memory of the structs that C programs hold (`struct ibv_qp *` and so on).
//!
//! A cell is never given back to the allocator, so reading the key of a destroyed object is sound; its key names nothing
//! then, which is how use after destroy is noticed. A cell is used again only after [`QUARANTINE`] others were freed; until then
//! it tells where its object was made and destroyed.

#![allow(unsafe_code)]

use std::collections::{BTreeSet, VecDeque};

use super::slab::Key;
use crate::place::Place;

/// How many freed cells of a kind rest before the oldest is used again.
const QUARANTINE: usize = 1024;

/// One C struct and the key of the object that it stands for.
#[repr(C)]
struct Cell<C> {
    object: C,
    index: u32,
    generation: u32,
    made: Place,
    freed: Place,
}

/// All cells of one kind.
pub struct Cells<C> {
    known: BTreeSet<usize>,
    resting: VecDeque<*mut C>,
}

impl<C> Cells<C> {
    /// No cells yet.
    pub fn new() -> Self {
        Self { known: BTreeSet::new(), resting: VecDeque::new() }
    }

    /// A cell that stands for `key` and holds `object`.
    pub fn alloc<T>(&mut self, key: Key<T>, object: C) -> *mut C {
        let (index, generation) = key.parts();
        let cell = Cell { object, index, generation, made: Place::here(), freed: Place::default() };
        if self.resting.len() > QUARANTINE
            && let Some(pointer) = self.resting.pop_front()
        {
            // SAFETY: `resting` holds only pointers made by `Box::into_raw` below, to cells that nothing else uses now.
            unsafe { pointer.cast::<Cell<C>>().write(cell) };
            return pointer;
        }
        let pointer = Box::into_raw(Box::new(cell)).cast::<C>();
        self.known.insert(pointer as usize);
        pointer
    }

    /// The object behind `pointer` is gone. The cell stays readable.
    pub fn free(&mut self, pointer: *mut C) {
        if self.known.contains(&(pointer as usize)) {
            // SAFETY: a cell of this kind, which is never unmapped.
            unsafe { (*pointer.cast::<Cell<C>>()).freed = Place::here() };
        }
        self.resting.push_back(pointer);
    }

    /// Where the object at `pointer` was made, and where it was destroyed (nowhere, if it lives).
    pub fn places(&self, pointer: *const C) -> Option<(Place, Place)> {
        if !self.known.contains(&(pointer as usize)) {
            return None;
        }
        // SAFETY: as in `find`.
        unsafe {
            let cell = pointer.cast::<Cell<C>>();
            Some(((*cell).made, (*cell).freed))
        }
    }

    /// Where the object at `pointer` was made.
    pub fn made(&self, pointer: *const C) -> Place {
        self.places(pointer).unwrap_or_default().0
    }

    /// The key in the cell at `pointer`, if `pointer` is one of these cells. The object may be gone.
    pub fn find<T>(&self, pointer: *const C) -> Option<Key<T>> {
        if !self.known.contains(&(pointer as usize)) {
            return None;
        }
        // SAFETY: `known` holds only addresses of cells of this kind, which are never unmapped.
        unsafe { Some(key_of(pointer)) }
    }
}

/// The key in the cell at `pointer`, without asking whether it is a cell: for the data path.
///
/// # Safety
/// `pointer` came from [`Cells::alloc`] of the same `C`; the object may have been freed since.
#[inline]
pub unsafe fn key_of<C, T>(pointer: *const C) -> Key<T> {
    let cell = pointer.cast::<Cell<C>>();
    // SAFETY: the caller vouches that this is a cell; cells are never unmapped, and index and generation always hold numbers.
    unsafe { Key::from_parts((*cell).index, (*cell).generation) }
}

// SAFETY: the pointers are owned by the process-wide fabric, which is used behind one lock.
unsafe impl<C> Send for Cells<C> {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_freed_cell_rests_and_keeps_its_old_key() {
        let mut cells = Cells::<u64>::new();
        let key = Key::<()>::from_parts(7, 3);
        let first = cells.alloc(key, 1);
        cells.free(first);
        let second = cells.alloc(Key::<()>::from_parts(7, 4), 2);
        assert_ne!(first, second);
        assert_eq!(cells.find::<()>(first), Some(key));
        assert_eq!(cells.find::<()>(std::ptr::dangling()), None);
    }
}

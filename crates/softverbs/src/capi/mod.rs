//! The C face: the functions of libibverbs and librdmacm under their own names.
//!
//! A function checks what it was given, takes the lock, calls the fabric, and maps the result. Pointers are looked up among the
//! cells that were handed out, so NULL, a freed object and a foreign pointer are an error (EINVAL and one log line), no crash;
//! only the data path believes that a pointer once was an object of its kind.

pub mod async_events;
pub mod completion;
pub mod control;
pub mod data;
pub mod device;
pub mod extended_cq;
pub mod extended_qp;
pub mod memory;
pub mod queue_pair;
pub mod rdmacm;
pub mod shared_receive;
pub mod strings;
pub mod unsupported;
pub mod verbs;

use crate::fabric::cells::Cells;
use crate::fabric::objects::Shared;
use crate::fabric::slab::Key;
use crate::place::Place;

/// The key behind a pointer that a program gave, if it was handed out and `alive` knows it still.
pub fn find<C, T>(
    cells: &Cells<C>,
    shared: &mut Shared,
    pointer: *const C,
    what: &str,
    alive: impl FnOnce(&Shared, Key<T>) -> bool,
) -> Result<Key<T>, i32> {
    match cells.find::<T>(pointer) {
        Some(key) if alive(shared, key) => Ok(key),
        Some(_) => {
            shared.used_after_destroy(what, pointer as usize, cells.places(pointer), Place::here());
            Err(libc::EINVAL)
        }
        None if pointer.is_null() => Err(libc::EINVAL),
        None => {
            shared.violation(&format!("{pointer:p} is no {what}, used at {}", Place::here()));
            Err(libc::EINVAL)
        }
    }
}

//! Memory that a test registers for I/O itself.

use std::ffi::{c_int, c_void};

unsafe extern "C" {
    fn spdk_mem_register(address: *mut c_void, length: usize) -> c_int;
    fn spdk_mem_unregister(address: *mut c_void, length: usize) -> c_int;
}

/// The environment's unit of registration.
const UNIT: usize = 2 << 20;

/// Fresh pages, registered until they are unregistered or dropped. The pages stay mapped, but nobody may use them any more: not even a
/// copy can be made.
pub struct Region {
    start: *mut c_void,
    length: usize,
    registered: std::cell::Cell<bool>,
}

/// As many units, aligned.
fn pages(units: usize) -> *mut c_void {
    let length = (units + 1) * UNIT;
    let (protection, flags) = (libc::PROT_READ | libc::PROT_WRITE, libc::MAP_PRIVATE | libc::MAP_ANONYMOUS);
    // SAFETY: a new mapping, which nothing else uses.
    let room = unsafe { libc::mmap(std::ptr::null_mut(), length, protection, flags, -1, 0) };
    assert_ne!(room, libc::MAP_FAILED);
    room.wrapping_byte_add(room.addr().next_multiple_of(UNIT) - room.addr())
}

impl Region {
    /// As many units of 2 MiB.
    pub fn register(units: usize) -> Self {
        Self::at(pages(units), units * UNIT)
    }

    /// Two regions of 2 MiB, one right behind the other.
    pub fn register_pair() -> (Self, Self) {
        let start = pages(2);
        (Self::at(start, UNIT), Self::at(start.wrapping_byte_add(UNIT), UNIT))
    }

    fn at(start: *mut c_void, length: usize) -> Self {
        // SAFETY: these are whole pages that stay mapped.
        assert_eq!(unsafe { spdk_mem_register(start, length) }, 0);
        Self { start, length, registered: std::cell::Cell::new(true) }
    }

    pub fn start(&self) -> *mut c_void {
        self.start
    }

    pub fn end(&self) -> *mut c_void {
        self.start.wrapping_byte_add(self.length)
    }

    pub fn unregister(&self) {
        if self.registered.replace(false) {
            // SAFETY: registered as this range.
            assert_eq!(unsafe { spdk_mem_unregister(self.start, self.length) }, 0);
            // SAFETY: whole pages of this test's own, to which nobody has a reference.
            assert_eq!(unsafe { libc::mprotect(self.start, self.length, libc::PROT_NONE) }, 0);
        }
    }
}

impl Drop for Region {
    fn drop(&mut self) {
        self.unregister();
    }
}

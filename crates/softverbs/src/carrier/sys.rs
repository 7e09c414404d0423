//! The few system calls around descriptors, as safe functions.

#![allow(unsafe_code)]

use std::os::fd::RawFd;

/// An eventfd that counts: each `add` of n lets n `take`s succeed. Blocking, as the descriptors of the real libraries are; the
/// library itself never reads it without knowing that it would succeed.
pub fn bell() -> Option<RawFd> {
    // SAFETY: a plain system call on numbers.
    let fd = unsafe { libc::eventfd(0, libc::EFD_CLOEXEC | libc::EFD_SEMAPHORE) };
    (fd >= 0).then_some(fd)
}

/// Adds to a bell.
pub fn add(fd: RawFd, count: u64) {
    // SAFETY: the buffer is eight bytes, as an eventfd wants.
    unsafe { libc::write(fd, (&raw const count).cast(), 8) };
}

/// Takes one from a bell that has one.
pub fn take(fd: RawFd) {
    let mut count = 0u64;
    if is_readable(fd, 0) {
        // SAFETY: the buffer is eight bytes, as an eventfd wants.
        unsafe { libc::read(fd, (&raw mut count).cast(), 8) };
    }
}

/// Whether the program set O_NONBLOCK.
pub fn is_nonblocking(fd: RawFd) -> bool {
    // SAFETY: a plain system call on numbers.
    let flags = unsafe { libc::fcntl(fd, libc::F_GETFL) };
    flags >= 0 && flags & libc::O_NONBLOCK != 0
}

/// Waits until a descriptor is readable, `timeout` in milliseconds (-1: for ever).
pub fn is_readable(fd: RawFd, timeout: i32) -> bool {
    wait_readable(fd, timeout) == Ok(true)
}

/// As [`is_readable`]; an errno if interrupted.
pub fn wait_readable(fd: RawFd, timeout: i32) -> Result<bool, i32> {
    let mut wait = libc::pollfd { fd, events: libc::POLLIN, revents: 0 };
    // SAFETY: one pollfd.
    match unsafe { libc::poll(&mut wait, 1, timeout) } {
        n if n < 0 => Err(errno()),
        0 => Ok(false),
        _ => Ok(wait.revents & libc::POLLIN != 0),
    }
}

/// Closes.
pub fn close(fd: RawFd) {
    // SAFETY: the caller owns the descriptor and uses it no more.
    unsafe { libc::close(fd) };
}

/// The thread's errno.
pub fn errno() -> i32 {
    std::io::Error::last_os_error().raw_os_error().unwrap_or(libc::EIO)
}

/// Sets the thread's errno.
pub fn set_errno(value: i32) {
    // SAFETY: glibc gives a valid pointer to the thread's own errno.
    unsafe { *libc::__errno_location() = value };
}

/// Adds to the errno of a C function's result: `Err(e)` gives -1 with errno `e`.
pub fn minus_one(result: Result<(), i32>) -> i32 {
    match result {
        Ok(()) => 0,
        Err(errno) => {
            set_errno(errno);
            -1
        }
    }
}

/// A number that nobody can guess.
pub fn random() -> u64 {
    let mut number = 0u64;
    // SAFETY: the buffer is eight bytes.
    let got = unsafe { libc::getrandom((&raw mut number).cast(), 8, 0) };
    if got == 8 { number } else { super::clock::monotonic() ^ u64::from(std::process::id()).rotate_left(32) }
}

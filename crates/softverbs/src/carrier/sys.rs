//! The few system calls around descriptors, as safe functions.

#![allow(unsafe_code)]

use std::net::{SocketAddr, TcpStream};
use std::os::fd::{FromRawFd, RawFd};

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

/// Whether the program set O_NONBLOCK; an errno if it has closed the descriptor.
pub fn is_nonblocking(fd: RawFd) -> Result<bool, i32> {
    // SAFETY: a plain system call on numbers.
    match unsafe { libc::fcntl(fd, libc::F_GETFL) } {
        flags if flags < 0 => Err(errno()),
        flags => Ok(flags & libc::O_NONBLOCK != 0),
    }
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
        _ if wait.revents & libc::POLLNVAL != 0 => Err(libc::EBADF),
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

/// Begins a TCP connection; it is established, or failed, when the socket is writable. The error is an errno.
pub fn connect(from: Option<SocketAddr>, to: SocketAddr) -> Result<TcpStream, i32> {
    let family = if to.is_ipv4() { libc::AF_INET } else { libc::AF_INET6 };
    // SAFETY: a plain system call on numbers.
    let fd = unsafe { libc::socket(family, libc::SOCK_STREAM | libc::SOCK_NONBLOCK | libc::SOCK_CLOEXEC, 0) };
    if fd < 0 {
        return Err(errno());
    }
    // SAFETY: a socket made just now, owned by nobody else.
    let stream = unsafe { TcpStream::from_raw_fd(fd) };
    // SAFETY: `sockaddr_storage` is numbers throughout; all zero is a value of it.
    let mut storage: libc::sockaddr_storage = unsafe { std::mem::zeroed() };
    let length = if to.is_ipv4() { size_of::<libc::sockaddr_in>() } else { size_of::<libc::sockaddr_in6>() }
        as libc::socklen_t;
    let scope = |a: SocketAddr| if let SocketAddr::V6(v6) = a { v6.scope_id() } else { 0 };
    if let Some(from) = from {
        super::address::to_sockaddr(from, scope(from), &mut storage);
        // SAFETY: a socket address of its family's size.
        if unsafe { libc::bind(fd, (&raw const storage).cast(), length) } != 0 {
            return Err(errno());
        }
    }
    super::address::to_sockaddr(to, scope(to), &mut storage);
    // SAFETY: a socket address of its family's size.
    if unsafe { libc::connect(fd, (&raw const storage).cast(), length) } != 0 && errno() != libc::EINPROGRESS
    {
        return Err(errno());
    }
    Ok(stream)
}

/// Waits until one of two descriptors is readable, or for `timeout` nanoseconds; none: for ever.
pub fn wait_two(a: RawFd, b: RawFd, timeout: Option<u64>) {
    let mut wait = [a, b].map(|fd| libc::pollfd { fd, events: libc::POLLIN, revents: 0 });
    let time = timeout.map(|ns| libc::timespec {
        tv_sec: (ns / 1_000_000_000) as libc::time_t,
        tv_nsec: (ns % 1_000_000_000) as libc::c_long,
    });
    let time = time.as_ref().map_or(std::ptr::null(), std::ptr::from_ref);
    // SAFETY: two pollfds, and a timespec or NULL.
    unsafe { libc::ppoll(wait.as_mut_ptr(), 2, time, std::ptr::null()) };
}

/// Takes all that a bell has.
pub fn drain(fd: RawFd) {
    while is_readable(fd, 0) {
        take(fd);
    }
}

/// Runs `work` in a thread of its own that no signal sent to the program reaches. False if there can be no thread.
pub fn spawn_without_signals(name: &str, work: impl FnOnce() + Send + 'static) -> bool {
    // SAFETY: `sigset_t` is numbers; sigfillset and pthread_sigmask read and write whole sets of this function.
    unsafe {
        let mut all: libc::sigset_t = std::mem::zeroed();
        let mut before: libc::sigset_t = std::mem::zeroed();
        libc::sigfillset(&mut all);
        // Of what the thread does itself a program's handler hears, as it hears of its own threads: one that maps memory when it is
        // touched, or that tells where it crashed. Blocked, they would end the process without a word.
        for fault in [libc::SIGSEGV, libc::SIGBUS, libc::SIGILL, libc::SIGFPE] {
            libc::sigdelset(&mut all, fault);
        }
        libc::pthread_sigmask(libc::SIG_SETMASK, &all, &mut before);
        let made = std::thread::Builder::new().name(name.into()).stack_size(256 * 1024).spawn(work).is_ok();
        libc::pthread_sigmask(libc::SIG_SETMASK, &before, std::ptr::null_mut());
        made
    }
}

/// Bytes in a page.
pub fn page_size() -> usize {
    // SAFETY: a plain call.
    usize::try_from(unsafe { libc::sysconf(libc::_SC_PAGESIZE) }).unwrap_or(4096)
}

/// Whether all pages of a range are mapped, and its first and last page may be read, or written. A device's driver would find out
/// by pinning all of them; to touch all would cost what pinning costs, and be of no other use here.
pub fn is_mapped(at: usize, length: usize, write: bool) -> bool {
    let Some(end) = at.checked_add(length) else { return false };
    if length == 0 {
        return true;
    }
    let page = page_size();
    let first = at & !(page - 1);
    let last = (end - 1) & !(page - 1);
    let mut from = first;
    let mut resident = [0u8; 4096];
    while from <= last {
        let pages = ((last - from) / page + 1).min(resident.len());
        // SAFETY: `resident` has a byte for each page; the kernel looks at its tables only.
        if unsafe { libc::mincore(from as *mut _, pages * page, resident.as_mut_ptr()) } != 0 {
            return false;
        }
        from += pages * page;
    }
    populates(first, write) && (last == first || populates(last, write))
}

/// Whether a page may be read, or written, as far as this kernel tells.
fn populates(at: usize, write: bool) -> bool {
    const POPULATE_READ: libc::c_int = 22;
    const POPULATE_WRITE: libc::c_int = 23;
    let size = page_size();
    let populate = |at: usize, advice| {
        // SAFETY: a mapped page of the program is faulted in as if it were read or written; no byte of it changes.
        unsafe { libc::madvise(at as *mut _, size, advice) == 0 }
    };
    if populate(at, if write { POPULATE_WRITE } else { POPULATE_READ }) {
        return true;
    }
    // A kernel before 5.14 refuses this of any page, a page of this stack included.
    let own = 0u8;
    !populate((&raw const own) as usize & !(size - 1), POPULATE_WRITE)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_mapped_or_not_writable_is_noticed() {
        let page = page_size();
        let map = |protection| {
            let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS;
            // SAFETY: new memory, of which nobody else knows.
            unsafe { libc::mmap(std::ptr::null_mut(), 3 * page, protection, flags, -1, 0) as usize }
        };
        let whole = map(libc::PROT_READ | libc::PROT_WRITE);
        assert!(is_mapped(whole, 3 * page, true) && is_mapped(whole + 5, 2 * page, false));
        // SAFETY: of the mapping made above.
        unsafe { libc::munmap((whole + page) as *mut _, page) };
        assert!(!is_mapped(whole, 3 * page, true), "a hole");
        assert!(!is_mapped(whole + page - 1, 2, false), "the next page is gone");
        assert!(is_mapped(whole, page, true) && is_mapped(whole + page, 0, true));
        let fixed = map(libc::PROT_READ);
        let kernel_tells = !populates(fixed, true);
        assert_eq!(is_mapped(fixed, page, true), !kernel_tells);
        assert!(is_mapped(fixed, page, false));
        assert!(!is_mapped(usize::MAX - 10, 11, true) && !is_mapped(8, 8, false));
        // SAFETY: mapped above; nothing points there any more.
        unsafe {
            libc::munmap(whole as *mut _, 3 * page);
            libc::munmap(fixed as *mut _, 3 * page);
        }
    }
}

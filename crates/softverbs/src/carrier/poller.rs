//! Which sockets have something: an epoll descriptor.

#![allow(unsafe_code)]

use std::os::fd::RawFd;

/// What happened on a socket.
#[derive(Clone, Copy, Debug)]
pub struct Event {
    /// As given when it was added.
    pub token: u64,
    /// There is something to read, or the end.
    pub readable: bool,
    /// There is room to write.
    pub writable: bool,
}

/// An epoll descriptor.
pub struct Poller {
    fd: RawFd,
}

impl Poller {
    /// None if there are no descriptors left.
    pub fn new() -> Option<Self> {
        // SAFETY: a plain system call on numbers.
        let fd = unsafe { libc::epoll_create1(libc::EPOLL_CLOEXEC) };
        (fd >= 0).then(|| Self { fd })
    }

    /// Readable when a socket has something.
    pub fn fd(&self) -> RawFd {
        self.fd
    }

    fn control(&self, operation: i32, fd: RawFd, token: u64, write: bool) -> bool {
        let events = libc::EPOLLIN | if write { libc::EPOLLOUT } else { 0 };
        let mut event = libc::epoll_event { events: events as u32, u64: token };
        // SAFETY: one event, which may be read.
        unsafe { libc::epoll_ctl(self.fd, operation, fd, &mut event) == 0 }
    }

    /// Watches a socket until it is closed.
    pub fn add(&self, fd: RawFd, token: u64, write: bool) -> bool {
        self.control(libc::EPOLL_CTL_ADD, fd, token, write)
    }

    /// Changes whether room to write is watched for.
    pub fn change(&self, fd: RawFd, token: u64, write: bool) {
        self.control(libc::EPOLL_CTL_MOD, fd, token, write);
    }

    /// What happened. Does not wait.
    pub fn wait(&self) -> impl Iterator<Item = Event> + use<> {
        const MOST: usize = 32;
        let mut events = [libc::epoll_event { events: 0, u64: 0 }; MOST];
        // SAFETY: room for `MOST` events.
        let got = unsafe { libc::epoll_wait(self.fd, events.as_mut_ptr(), MOST as i32, 0) };
        events.into_iter().take(usize::try_from(got).unwrap_or(0)).map(|e| {
            let bits = e.events as i32;
            Event {
                token: e.u64,
                readable: bits & (libc::EPOLLIN | libc::EPOLLHUP | libc::EPOLLERR | libc::EPOLLRDHUP) != 0,
                writable: bits & libc::EPOLLOUT != 0,
            }
        })
    }
}

impl Drop for Poller {
    fn drop(&mut self) {
        super::sys::close(self.fd);
    }
}

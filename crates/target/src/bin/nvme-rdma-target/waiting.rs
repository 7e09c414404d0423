//! Signals as a descriptor, and sleeping on descriptors: the program's only system calls of its own.

#![allow(unsafe_code)]

use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::ptr;
use std::time::Duration;

/// SIGTERM and SIGINT, taken from their default and readable on a descriptor (`signalfd(2)`).
pub(crate) struct Signals(OwnedFd);

impl Signals {
    /// Blocks the signals for this thread and all that it starts, and opens the descriptor.
    pub(crate) fn take() -> io::Result<Signals> {
        // SAFETY: `set` is a place for a signal set, filled before use; both calls take pointers to it only.
        let descriptor = unsafe {
            let mut set = std::mem::zeroed();
            libc::sigemptyset(&mut set);
            libc::sigaddset(&mut set, libc::SIGTERM);
            libc::sigaddset(&mut set, libc::SIGINT);
            let result = libc::pthread_sigmask(libc::SIG_BLOCK, &set, ptr::null_mut());
            if result != 0 {
                return Err(io::Error::from_raw_os_error(result));
            }
            libc::signalfd(-1, &set, libc::SFD_NONBLOCK | libc::SFD_CLOEXEC)
        };
        if descriptor < 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: a new descriptor that nothing else owns.
        Ok(Signals(unsafe { OwnedFd::from_raw_fd(descriptor) }))
    }

    /// Whether one of the signals came.
    pub(crate) fn came(&self) -> bool {
        let mut information = [0u8; size_of::<libc::signalfd_siginfo>()];
        // SAFETY: the buffer has the length that is named.
        let read =
            unsafe { libc::read(self.0.as_raw_fd(), information.as_mut_ptr().cast(), information.len()) };
        read > 0
    }
}

impl AsRawFd for Signals {
    fn as_raw_fd(&self) -> RawFd {
        self.0.as_raw_fd()
    }
}

/// Sleeps until one of the descriptors is readable, at most that long.
pub(crate) fn wait(descriptors: &[RawFd], longest: Duration) {
    let entry = |fd: &RawFd| libc::pollfd { fd: *fd, events: libc::POLLIN, revents: 0 };
    let mut entries: Vec<libc::pollfd> = descriptors.iter().map(entry).collect();
    let longest = libc::timespec {
        tv_sec: libc::time_t::try_from(longest.as_secs()).unwrap_or(1),
        tv_nsec: longest.subsec_nanos().into(),
    };
    // SAFETY: `entries` has the length that is named, and `longest` is a valid time.
    unsafe { libc::ppoll(entries.as_mut_ptr(), entries.len() as libc::nfds_t, &longest, ptr::null()) };
}

//! Many event channels behind one system call.

use crate::{Error, EventChannel};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};

/// A set of event channels, each under a number of its owner's choice.
#[derive(Debug)]
pub struct EventSet {
    epoll: OwnedFd,
}

impl EventSet {
    /// Creates an empty set. EMFILE if the process has no more descriptors.
    pub fn new() -> Result<Self, Error> {
        // SAFETY: takes flags only.
        let descriptor = unsafe { libc::epoll_create1(libc::EPOLL_CLOEXEC) };
        if descriptor < 0 {
            return Err(Error::last("epoll_create1"));
        }
        // SAFETY: a new descriptor that nothing else owns.
        Ok(Self { epoll: unsafe { OwnedFd::from_raw_fd(descriptor) } })
    }

    /// Adds a channel.
    pub fn add(&self, channel: &EventChannel, number: u64) -> Result<(), Error> {
        let mut event = libc::epoll_event { events: libc::EPOLLIN as u32, u64: number };
        self.control(libc::EPOLL_CTL_ADD, channel, &mut event)
    }

    /// Removes a channel. One that is not in the set is no error: the kernel drops closed descriptors itself.
    pub fn remove(&self, channel: &EventChannel) {
        let mut event = libc::epoll_event { events: 0, u64: 0 };
        let _ = self.control(libc::EPOLL_CTL_DEL, channel, &mut event);
    }

    /// Calls `each` with the numbers of the channels on which an event waits, 64 at most. Does not block.
    pub fn ready(&self, mut each: impl FnMut(u64)) -> Result<(), Error> {
        let mut events = [libc::epoll_event { events: 0, u64: 0 }; 64];
        // SAFETY: `events` has room for 64 entries.
        let count = unsafe { libc::epoll_wait(self.epoll.as_raw_fd(), events.as_mut_ptr(), 64, 0) };
        let Ok(count) = usize::try_from(count) else {
            let error = Error::last("epoll_wait");
            return if error.errno == libc::EINTR { Ok(()) } else { Err(error) };
        };
        events.iter().take(count).for_each(|event| each(event.u64));
        Ok(())
    }

    fn control(
        &self,
        operation: libc::c_int,
        channel: &EventChannel,
        event: &mut libc::epoll_event,
    ) -> Result<(), Error> {
        // SAFETY: both descriptors are open and `event` is valid.
        Error::check_errno("epoll_ctl", unsafe {
            libc::epoll_ctl(self.epoll.as_raw_fd(), operation, channel.descriptor(), event)
        })
    }
}

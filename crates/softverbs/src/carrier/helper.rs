//! The helper thread: it moves the fabric on when the program does not, so that a peer that does not poll still answers.
//!
//! It waits for sockets and timers. When one is ready and the program polled within the last millisecond, it leaves the work to
//! the program; if a thread of the program sleeps in a call of ours, or waits for a notification, it does the work at once.

use std::os::fd::RawFd;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use super::sys;
use crate::runtime::{Runtime, with};

static ASLEEP: AtomicUsize = AtomicUsize::new(0);

/// A thread of the program waits in a call for something to happen, until this is dropped.
pub struct Asleep(());

impl Asleep {
    /// From now on.
    pub fn new() -> Self {
        ASLEEP.fetch_add(1, Ordering::Relaxed);
        Self(())
    }
}

impl Drop for Asleep {
    fn drop(&mut self) {
        ASLEEP.fetch_sub(1, Ordering::Relaxed);
    }
}

/// The thread as the runtime knows it.
#[derive(Debug)]
pub struct Helper {
    /// Makes it look at the timers anew.
    pub bell: RawFd,
    /// When it will look by itself.
    pub due: u64,
}

impl Runtime {
    /// Starts the helper if there is something for it, and tells it of timers that are due before it would look.
    pub fn tell_helper(&mut self) {
        if self.manual {
            return;
        }
        let next = self.fabric.timers.next_due().unwrap_or(u64::MAX);
        match &mut self.helper {
            Some(helper) if next < helper.due => {
                helper.due = next;
                sys::add(helper.bell, 1);
            }
            Some(_) => {}
            None if next != u64::MAX || self.net.is_active() => self.start_helper(),
            None => {}
        }
    }

    fn start_helper(&mut self) {
        let (Some(sockets), Some(bell)) = (self.net.poll_fd(), sys::bell()) else { return };
        self.helper = Some(Helper { bell, due: 0 });
        if !sys::spawn_without_signals("softverbs", move || run(sockets, bell)) {
            crate::log::line("no helper thread: peers get answers only while this program polls");
        }
    }
}

fn run(sockets: RawFd, bell: RawFd) {
    let mut seen = 0;
    loop {
        let wait = with(|rt| {
            let next = rt.fabric.timers.next_due();
            if let Some(helper) = &mut rt.helper {
                helper.due = next.unwrap_or(u64::MAX);
            }
            next.map(|due| due.saturating_sub(rt.fabric.clock.now()))
        });
        sys::wait_two(sockets, bell, wait);
        sys::drain(bell);
        let polling = with(|rt| {
            let polling =
                rt.polls != seen && ASLEEP.load(Ordering::Relaxed) == 0 && rt.fabric.shared.armed == 0;
            seen = rt.polls;
            if !polling {
                rt.drive();
            }
            polling
        });
        if polling {
            std::thread::sleep(Duration::from_millis(1));
        }
    }
}

//! What a controller's freed qpairs leave behind: queue ids, and partings whose peer has not answered yet.
//!
//! A controller holds a queue until it has seen the end of its connection, so an id that is used again at once may be
//! refused. Therefore a queue id goes back last, once the peer has answered or the time for that is over, and the id
//! that has been free for longest is taken first. Nobody waits here: who takes an id, frees a qpair, polls the Admin
//! Queue or detaches looks once at what has come to its end.
//!
//! Any thread may come here, under a lock of its own; no callback runs under it.

use crate::{
    clock::{self, Moment},
    transport::Parting,
};
use parking_lot::Mutex;
use std::{collections::VecDeque, time::Duration};

/// How often the dead are looked at: each look is a system call for each of them.
const INTERVAL: Duration = Duration::from_millis(1);

/// The queue ids of a controller, and its dead.
pub(super) struct Graveyard {
    inner: Mutex<Inner>,
}

struct Inner {
    /// The lowest id that was never used.
    unused: u32,
    /// The highest id that the controller grants now.
    highest: u16,
    /// Ids whose connection has ended, the one that has been free for longest first.
    free: VecDeque<u16>,
    dead: VecDeque<Dead>,
    next_look: Moment,
    /// The controller is gone: what comes now is not waited for.
    closed: bool,
}

/// A parting, and the queue id that goes back with it; None for the Admin Queue.
struct Dead {
    parting: Parting,
    queue_id: Option<u16>,
}

impl Graveyard {
    /// A graveyard of a controller that has not granted any queue yet.
    pub(super) fn new() -> Self {
        let inner = Inner {
            unused: 1,
            highest: 0,
            free: VecDeque::new(),
            dead: VecDeque::new(),
            next_look: Moment::START,
            closed: false,
        };
        Self { inner: Mutex::new(inner) }
    }

    /// The controller grants the queue ids from 1 to `queues`. Those of qpairs that there are stay theirs, higher ones too.
    pub(super) fn grant(&self, queues: u16) {
        self.inner.lock().highest = queues;
    }

    /// The id that has been free for longest. If none is free, that of the oldest of the dead, whose peer then is not
    /// waited for any more: the connect attempt is told if it still holds the queue. None if live qpairs have all.
    pub(super) fn take_queue_id(&self) -> Option<u16> {
        let mut inner = self.inner.lock();
        // Each of the dead holds a file descriptor, and a program may never poll its Admin Queue.
        inner.look(clock::now());
        let highest = inner.highest;
        if let Some(id) = u16::try_from(inner.unused).ok().filter(|id| *id <= highest) {
            inner.unused += 1;
            return Some(id);
        }
        loop {
            if let Some(place) = inner.free.iter().position(|id| *id <= highest) {
                return inner.free.remove(place);
            }
            if !inner.bury_oldest() {
                return None;
            }
        }
    }

    /// Gives back the id of a qpair that is at rest, with what its last connection left.
    pub(super) fn give_back(&self, queue_id: u16, parting: Option<Parting>) {
        let mut inner = self.inner.lock();
        inner.look_in_time(clock::now());
        match parting.filter(|_| !inner.closed) {
            Some(parting) => inner.dead.push_back(Dead { parting, queue_id: Some(queue_id) }),
            None => inner.free.push_back(queue_id),
        }
    }

    /// Gives back an id that was taken and whose queue is nobody's here. False for one that was not taken.
    pub(super) fn give_back_foreign(&self, queue_id: u16) -> bool {
        let mut inner = self.inner.lock();
        let is_dead = inner.dead.iter().any(|dead| dead.queue_id == Some(queue_id));
        let is_taken =
            queue_id > 0 && u32::from(queue_id) < inner.unused && !inner.free.contains(&queue_id) && !is_dead;
        if is_taken {
            inner.free.push_back(queue_id);
        }
        is_taken
    }

    /// Takes what the Admin Queue's connection left.
    pub(super) fn admit(&self, parting: Option<Parting>) {
        let mut inner = self.inner.lock();
        inner.dead.extend(parting.map(|parting| Dead { parting, queue_id: None }));
    }

    /// Lets go of those whose time is over. True if nobody is left.
    pub(super) fn tend(&self) -> bool {
        let mut inner = self.inner.lock();
        inner.look_in_time(clock::now());
        inner.dead.is_empty()
    }

    /// The controller goes: nobody will look any more.
    pub(super) fn close(&self) {
        let mut inner = self.inner.lock();
        inner.closed = true;
        while inner.bury_oldest() {}
    }
}

impl Inner {
    /// Looks, unless that was done just now.
    fn look_in_time(&mut self, now: Moment) {
        if !self.dead.is_empty() && now.has_reached(self.next_look) {
            self.look(now);
        }
    }

    fn look(&mut self, now: Moment) {
        self.next_look = now.after(INTERVAL);
        for _ in 0..self.dead.len() {
            let Some(dead) = self.dead.pop_front() else { return };
            if dead.parting.is_over(now) {
                self.free.extend(dead.queue_id);
            } else {
                self.dead.push_back(dead);
            }
        }
    }

    fn bury_oldest(&mut self) -> bool {
        let Some(dead) = self.dead.pop_front() else { return false };
        self.free.extend(dead.queue_id);
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::test_clock;

    #[test]
    fn an_id_is_given_back_by_who_took_it_and_once() {
        test_clock::install();
        let graveyard = Graveyard::new();
        graveyard.grant(3);
        assert_eq!([(); 2].map(|()| graveyard.take_queue_id()), [Some(1), Some(2)]);
        assert_eq!([0, 3, u16::MAX].map(|id| graveyard.give_back_foreign(id)), [false; 3], "not taken");
        assert_eq!([1, 1, 2].map(|id| graveyard.give_back_foreign(id)), [true, false, true]);
        let all = [(); 4].map(|()| graveyard.take_queue_id());
        assert_eq!(all, [Some(3), Some(1), Some(2), None], "what was free for longest is first");
    }
}

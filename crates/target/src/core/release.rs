//! What was held and is held no longer: answers, and commands to be executed after all, for the transport to fetch.
//!
//! What must hold: a request that was held is released once, under the tag that it was held with; what is released for a
//! queue that has gone is forgotten with it.

use spec::Completion;

use super::{Core, Queue};

/// A request that was held, and what to do with it now.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Release {
    /// The controller that it came to.
    pub cntlid: u16,
    /// The queue that it came on.
    pub qid: u16,
    /// Its tag.
    pub tag: usize,
    /// What to do.
    pub how: How,
}

/// What to do with a request that was held.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum How {
    /// Answer it.
    Answer(Completion),
    /// Execute it: call [`Core::resume`] with it.
    Execute,
}

impl Release {
    /// An answer to a request of this queue. None if the queue belongs to nobody.
    pub(super) fn answer(queue: &Queue, tag: usize, completion: Completion) -> Option<Release> {
        let how = How::Answer(completion);
        queue.controller.map(|cntlid| Release { cntlid, qid: queue.qid, tag, how })
    }
}

impl Core {
    /// Whether something was released.
    #[must_use]
    pub fn has_releases(&self) -> bool {
        !self.releases.is_empty()
    }

    /// What was released since the last call, to be done in this order.
    pub fn take_releases(&mut self) -> Vec<Release> {
        std::mem::take(&mut self.releases)
    }

    /// A request that was held is answered in another way.
    pub(super) fn forget(&mut self, queue: &mut Queue, tag: usize) {
        let Some(cntlid) = queue.controller else { return };
        if queue.qid == 0
            && let Some(controller) = self.controllers.get_mut(&cntlid)
        {
            controller.held.retain(|(_, held)| *held != tag);
        }
        if matches!(queue.first_half, Some(super::FirstHalf::Waits { tag: first, .. }) if first == tag) {
            queue.first_half = Some(super::FirstHalf::Failed);
        }
        self.rules.forget(cntlid, queue.qid, tag);
        self.releases
            .retain(|release| (release.cntlid, release.qid, release.tag) != (cntlid, queue.qid, tag));
    }
}

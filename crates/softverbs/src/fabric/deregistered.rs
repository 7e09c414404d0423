//! Regions that were deregistered, remembered for a while: an access that still names one is reported, beside the error completion
//! that it gets anyhow.
//!
//! Asked only once a key was found to name nothing.

use std::cell::Cell;
use std::collections::VecDeque;

use super::memory::{Mr, Refusal};
use crate::place::Place;

/// How many are remembered.
pub const KEPT: usize = 1024;

/// One of them.
struct Gone {
    lkey: u32,
    rkey: u32,
    iova: u64,
    length: u64,
    made: Place,
    deregistered: Place,
}

/// See the head of this file.
#[derive(Default)]
pub struct Deregistered {
    regions: VecDeque<Gone>,
    misuses: Cell<u64>,
}

impl Deregistered {
    /// A region that was made at `made` is deregistered by the call that runs.
    pub fn remember(&mut self, mr: &Mr, made: Place) {
        if self.regions.len() >= KEPT {
            self.regions.pop_front();
        }
        let &Mr { lkey, rkey, iova, length, .. } = mr;
        self.regions.push_back(Gone { lkey, rkey, iova, length, made, deregistered: Place::here() });
    }

    /// Forgets them all.
    pub fn forget(&mut self) {
        self.regions.clear();
    }

    /// A work request of this process names a local key that names nothing.
    #[cold]
    pub fn local(&self, lkey: u32, address: u64, length: u32) -> Refusal {
        if let Some(gone) = self.regions.iter().rev().find(|g| g.lkey == lkey) {
            self.misuses.set(self.misuses.get() + 1);
            gone.report("a work request of this process", "lkey", lkey, address, length);
        }
        Refusal::Key
    }

    /// A peer names a remote key that names nothing. The peer's fault or ours: nobody can tell.
    #[cold]
    pub fn remote(&self, rkey: u32, address: u64, length: u32) -> Refusal {
        if let Some(gone) = self.regions.iter().rev().find(|g| g.rkey == rkey) {
            gone.report("a request of a peer", "rkey", rkey, address, length);
        }
        Refusal::Key
    }

    /// How often this process used memory that it had deregistered.
    pub fn misuses(&self) -> u64 {
        self.misuses.get()
    }
}

impl Gone {
    fn report(&self, who: &str, side: &str, key: u32, address: u64, length: u32) {
        crate::log::line(&format!(
            "{who} names {length} bytes at {address:#x} by {side} {key:#x}, but that region ({} bytes at {:#x}) was deregistered: \
             registered at {}; deregistered at {}",
            self.length, self.iova, self.made, self.deregistered
        ));
    }
}

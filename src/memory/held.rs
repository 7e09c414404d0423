//! What a request holds until it has ended: a buffer of ours that its data go through, and registrations that were made for it alone.
//!
//! What must hold: the program's memory is touched before the request goes out, or right before its callback, and at no other time;
//! a registration of memory that the program did not register lives no longer than the request. The program may unmap such memory
//! as soon as its callback has run, and nobody would hear of it: so no registration is kept by its address.

use super::{Lent, Piece, program};
use std::{ffi::c_void, sync::Arc};
use verbs::{Access, Error, MemoryRegion, ProtectionDomain};

/// What a request holds.
#[derive(Default)]
pub struct Held {
    lent: Option<Lent>,
    /// The pieces that get what is in the buffer, if the request succeeds.
    back: Vec<Piece>,
    regions: Vec<MemoryRegion>,
}

/// Data did not get where they were wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("data for {} bytes at {:#x} cannot be copied there: the memory is not the program's to write any more", .0.length, .0.address)]
pub struct NotCopied(Piece);

impl Held {
    /// Registers a piece of the program's memory until the request has ended. Returns the keys: for local work requests, and for the
    /// controller.
    pub fn register(
        &mut self,
        domain: &Arc<ProtectionDomain>,
        Piece { address, length }: Piece,
        access: Access,
    ) -> Result<(u32, u32), Error> {
        if matches!(access, Access::RemoteRead) && !program::is_readable(Piece { address, length }) {
            return Err(Error { call: "looking at the program's memory", errno: libc::EFAULT });
        }
        let no_memory = |_| Error { call: "allocation of a registration's place", errno: libc::ENOMEM };
        self.regions.try_reserve(1).map_err(no_memory)?;
        let place = std::ptr::with_exposed_provenance_mut::<c_void>(address as usize);
        // SAFETY: the program gave this memory for this request, to be used by the device until its callback; this library makes no
        // reference to it. What is no memory of the process the kernel refuses.
        let region = unsafe { MemoryRegion::register(domain, place, length as usize, access) }?;
        let keys = (region.local_key(), region.remote_key());
        self.regions.push(region);
        Ok(keys)
    }

    /// The request's data go through this buffer. If it succeeds, `back` are what gets them.
    pub fn hold(&mut self, lent: Lent, back: Vec<Piece>) {
        (self.lent, self.back) = (Some(lent), back);
    }

    /// Whether it holds nothing.
    pub fn is_empty(&self) -> bool {
        self.lent.is_none() && self.regions.is_empty()
    }

    /// The request has ended, and its callback comes next.
    pub fn end(self, succeeded: bool) -> Result<(), NotCopied> {
        // Whatever comes of it was told where it was refused: that memory's key may go on working.
        drop(self.regions);
        let first = self.back.first().copied();
        match (self.lent.as_ref().and_then(Lent::memory), first) {
            (Some(memory), Some(first)) if succeeded => {
                if program::copy_out(memory, &self.back) {
                    Ok(())
                } else {
                    Err(NotCopied(first))
                }
            }
            _ => Ok(()),
        }
    }
}

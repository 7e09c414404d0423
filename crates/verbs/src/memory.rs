//! Protection domains and registered memory.

use crate::{Device, Error};
use rdma_sys as sys;
use std::{
    alloc::{Layout, alloc_zeroed, dealloc},
    ffi::c_void,
    mem::ManuallyDrop,
    ops::Deref,
    ptr::NonNull,
    rc::Rc,
    sync::Arc,
};

/// What the device may do with registered memory, local reads apart, which it always may.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// Only local reads: the memory of commands that are sent.
    LocalRead,
    /// Local reads and writes: receive buffers, and the source and sink of a target's own RDMA operations.
    LocalWrite,
    /// Local access, and RDMA READ and WRITE by the peer: the data buffers of an NVMe-oF host.
    Remote,
}

impl Access {
    fn flags(self) -> u32 {
        use sys::ibv_access_flags as flag;
        match self {
            Self::LocalRead => 0,
            Self::LocalWrite => flag::IBV_ACCESS_LOCAL_WRITE.0,
            Self::Remote => {
                flag::IBV_ACCESS_LOCAL_WRITE.0
                    | flag::IBV_ACCESS_REMOTE_READ.0
                    | flag::IBV_ACCESS_REMOTE_WRITE.0
            }
        }
    }
}

/// A protection domain of a device (InfiniBand Architecture 1, 10.2.3).
#[derive(Debug)]
pub struct ProtectionDomain {
    pd: NonNull<sys::ibv_pd>,
    device: Device,
}

// SAFETY: an ibv_pd may be used from any thread, and `device` keeps its context open.
unsafe impl Send for ProtectionDomain {}
// SAFETY: as above.
unsafe impl Sync for ProtectionDomain {}

impl ProtectionDomain {
    /// Allocates a protection domain on the device.
    pub fn new(device: &Device) -> Result<Arc<Self>, Error> {
        // SAFETY: the context is open as long as `device` lives.
        let pd = unsafe { sys::ibv_alloc_pd(device.context()) };
        let pd = NonNull::new(pd).ok_or_else(|| Error::last("ibv_alloc_pd"))?;
        Ok(Arc::new(Self { pd, device: device.clone() }))
    }

    /// The device that the domain is on.
    pub fn device(&self) -> &Device {
        &self.device
    }

    pub(crate) fn as_ptr(&self) -> *mut sys::ibv_pd {
        self.pd.as_ptr()
    }
}

impl Drop for ProtectionDomain {
    fn drop(&mut self) {
        // SAFETY: the domain came from ibv_alloc_pd and is freed once; regions and queue pairs hold a share of
        // `self`, so none is left. An error (a device that is gone) leaves nothing to do.
        let _ = unsafe { sys::ibv_dealloc_pd(self.pd.as_ptr()) };
    }
}

/// Memory of somebody else that is registered with a device.
///
/// The region does not keep that memory alive: a device that uses memory which was unmapped reads or writes
/// nothing of this process, since the registration pins the pages themselves.
#[derive(Debug)]
pub struct MemoryRegion {
    mr: NonNull<sys::ibv_mr>,
    _domain: Arc<ProtectionDomain>,
}

// SAFETY: an ibv_mr is only read after registration, and deregistration may happen on any thread.
unsafe impl Send for MemoryRegion {}
// SAFETY: as above.
unsafe impl Sync for MemoryRegion {}

impl MemoryRegion {
    /// Registers `length` bytes at `address`. The kernel refuses memory that the process does not own (EFAULT).
    ///
    /// # Safety
    ///
    /// With [`Access::LocalWrite`] or [`Access::Remote`] the device writes there: nobody may hold a Rust
    /// reference to the memory while work requests or the peer can name it.
    pub unsafe fn register(
        domain: &Arc<ProtectionDomain>,
        address: *mut c_void,
        length: usize,
        access: Access,
    ) -> Result<Self, Error> {
        // SAFETY: the caller's contract is the same.
        let mr = unsafe { register(domain, address, length, access) }?;
        Ok(Self { mr, _domain: domain.clone() })
    }

    /// The key for local work requests.
    pub fn local_key(&self) -> u32 {
        // SAFETY: the region is registered and its keys do not change.
        unsafe { self.mr.as_ref().lkey }
    }

    /// The key that is given to the peer.
    pub fn remote_key(&self) -> u32 {
        // SAFETY: as in local_key.
        unsafe { self.mr.as_ref().rkey }
    }
}

impl Drop for MemoryRegion {
    fn drop(&mut self) {
        // An error means that the device is gone or still uses the region; either way there is nothing to undo.
        // SAFETY: registered by `register`, deregistered once, here.
        let _ = unsafe { deregister(self.mr) };
    }
}

/// Zeroed, page-aligned memory of our own that a device may be let at: commands, responses, staging buffers.
///
/// The device reads and writes it at any time, so it is reached by copies in and out, never by reference.
#[derive(Debug)]
pub struct Memory {
    base: NonNull<u8>,
    layout: Layout,
}

// SAFETY: the memory is owned by the value, and its content is reached by plain copies.
unsafe impl Send for Memory {}

impl Memory {
    const ALIGNMENT: usize = 4096;

    /// Allocates `length` bytes; ENOMEM if there are none, EINVAL for length 0.
    pub fn new(length: usize) -> Result<Rc<Self>, Error> {
        let layout = Layout::from_size_align(length, Self::ALIGNMENT)
            .ok()
            .filter(|layout| layout.size() > 0)
            .ok_or(Error::new("allocation of device memory", libc::EINVAL))?;
        // SAFETY: the layout has a size above zero.
        let base = NonNull::new(unsafe { alloc_zeroed(layout) })
            .ok_or(Error::new("allocation of device memory", libc::ENOMEM))?;
        Ok(Rc::new(Self { base, layout }))
    }

    /// The number of bytes.
    pub fn length(&self) -> usize {
        self.layout.size()
    }

    /// The address of the first byte, as work requests name it.
    pub fn address(&self) -> u64 {
        self.base.as_ptr() as u64
    }

    /// Copies `data` to `offset`. False, with nothing written, if it does not fit.
    #[must_use]
    #[inline]
    pub fn write(&self, offset: usize, data: &[u8]) -> bool {
        let Some(place) = self.place(offset, data.len()) else { return false };
        // SAFETY: `place` is `data.len()` bytes of this memory; a copy of plain bytes makes no reference to it.
        unsafe { std::ptr::copy_nonoverlapping(data.as_ptr(), place, data.len()) };
        true
    }

    /// Copies from `offset` into `data`. False, with nothing read, if the range is outside.
    #[must_use]
    #[inline]
    pub fn read(&self, offset: usize, data: &mut [u8]) -> bool {
        let Some(place) = self.place(offset, data.len()) else { return false };
        // SAFETY: as in write, the other way.
        unsafe { std::ptr::copy_nonoverlapping(place, data.as_mut_ptr(), data.len()) };
        true
    }

    /// Stores the 64 bytes of `dwords` as they are at `offset`, a multiple of 4. False if it is outside or not
    /// aligned.
    #[must_use]
    #[inline]
    pub fn write_dwords(&self, offset: usize, dwords: &[u32; 16]) -> bool {
        if !offset.is_multiple_of(4) {
            return false;
        }
        let Some(place) = self.place(offset, 64) else { return false };
        // SAFETY: 64 bytes of this memory, aligned for u32 since the base is page-aligned.
        unsafe { place.cast::<[u32; 16]>().write(*dwords) };
        true
    }

    /// Loads the 64 bytes at `offset`, a multiple of 4. None if they are outside or not aligned.
    #[inline]
    pub fn read_dwords(&self, offset: usize) -> Option<[u32; 16]> {
        offset.is_multiple_of(4).then_some(())?;
        let place = self.place(offset, 64)?.cast::<[u32; 16]>();
        // SAFETY: 64 bytes of this memory, aligned for u32 since the base is page-aligned.
        Some(unsafe { place.read() })
    }

    /// Loads the 16 bytes at `offset`, a multiple of 8. None if they are outside.
    #[inline]
    pub fn read_16(&self, offset: usize) -> Option<[u8; 16]> {
        let place = self.place(offset, 16)?.cast::<[u8; 16]>();
        // SAFETY: sixteen bytes of this memory; bytes have no alignment.
        Some(unsafe { place.read() })
    }

    #[inline]
    fn place(&self, offset: usize, length: usize) -> Option<*mut u8> {
        let end = offset.checked_add(length)?;
        // SAFETY: `offset` is within the allocation, as `end` is.
        (end <= self.layout.size()).then(|| unsafe { self.base.as_ptr().add(offset) })
    }
}

impl Drop for Memory {
    fn drop(&mut self) {
        // SAFETY: allocated in `new` with this layout. Registrations hold a share, so no device knows it.
        unsafe { dealloc(self.base.as_ptr(), self.layout) };
    }
}

/// [`Memory`] that is registered with a device.
///
/// When deregistration fails the memory is leaked rather than handed back while the device may still use it.
#[derive(Debug)]
pub struct RegisteredMemory {
    memory: ManuallyDrop<Rc<Memory>>,
    mr: NonNull<sys::ibv_mr>,
    _domain: Arc<ProtectionDomain>,
}

impl RegisteredMemory {
    /// Allocates and registers `length` bytes; ENOMEM if there are none, EINVAL for length 0.
    pub fn new(domain: &Arc<ProtectionDomain>, length: usize, access: Access) -> Result<Self, Error> {
        Self::of(&Memory::new(length)?, domain, access)
    }

    /// Registers memory that exists.
    pub fn of(memory: &Rc<Memory>, domain: &Arc<ProtectionDomain>, access: Access) -> Result<Self, Error> {
        // SAFETY: the memory lives as long as the registration, and no reference to its content is ever made.
        let mr = unsafe { register(domain, memory.base.as_ptr().cast(), memory.length(), access) }?;
        Ok(Self { memory: ManuallyDrop::new(memory.clone()), mr, _domain: domain.clone() })
    }

    /// The key for local work requests.
    pub fn local_key(&self) -> u32 {
        // SAFETY: the region is registered as long as `self` lives, and its keys do not change.
        unsafe { self.mr.as_ref().lkey }
    }

    /// The key that is given to the peer, if the access is [`Access::Remote`].
    pub fn remote_key(&self) -> u32 {
        // SAFETY: as in local_key.
        unsafe { self.mr.as_ref().rkey }
    }
}

impl Deref for RegisteredMemory {
    type Target = Memory;

    fn deref(&self) -> &Memory {
        &self.memory
    }
}

impl Drop for RegisteredMemory {
    fn drop(&mut self) {
        // SAFETY: registered in `of`, deregistered once, here.
        if unsafe { deregister(self.mr) }.is_err() {
            return; // leaked on purpose, see the type
        }
        // SAFETY: dropped once, here; `memory` is not used afterwards.
        unsafe { ManuallyDrop::drop(&mut self.memory) };
    }
}

/// # Safety
///
/// As [`MemoryRegion::register`].
unsafe fn register(
    domain: &ProtectionDomain,
    address: *mut c_void,
    length: usize,
    access: Access,
) -> Result<NonNull<sys::ibv_mr>, Error> {
    // SAFETY: the domain is alive; the memory's use by the device is the caller's contract. The flags hold no
    // optional access, for which this wrapper takes the plain ibv_reg_mr.
    let mr = unsafe { sys::__ibv_reg_mr(domain.as_ptr(), address, length, access.flags(), 1) };
    NonNull::new(mr).ok_or_else(|| Error::last("ibv_reg_mr"))
}

/// # Safety
///
/// `mr` came from [`register`] and is not used afterwards.
unsafe fn deregister(mr: NonNull<sys::ibv_mr>) -> Result<(), Error> {
    // SAFETY: the caller's contract.
    Error::check_value("ibv_dereg_mr", unsafe { sys::ibv_dereg_mr(mr.as_ptr()) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn copies_stay_inside() {
        let memory = Memory::new(128).unwrap();
        let dwords = std::array::from_fn(|index| index as u32);
        assert!(memory.write_dwords(64, &dwords));
        assert_eq!(memory.read_dwords(64), Some(dwords));
        assert_eq!(memory.read_16(64).map(|bytes| bytes[4]), Some(1));
        assert!(!memory.write_dwords(62, &dwords), "not aligned");
        assert!(!memory.write_dwords(68, &dwords), "past the end");
        assert_eq!(memory.read_dwords(usize::MAX - 3), None);
        assert_eq!(memory.read_16(113), None);
        assert!(!memory.write(128, &[1]) && memory.write(127, &[1]) && memory.write(128, &[]));
        assert_eq!(Memory::new(0).unwrap_err().errno, libc::EINVAL);
    }
}

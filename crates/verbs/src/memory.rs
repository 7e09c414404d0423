//! Protection domains and registered memory.

use crate::{Device, Error, Memory, kept};
use rdma_sys as sys;
use std::{ffi::c_void, fmt, mem::ManuallyDrop, ops::Deref, ptr::NonNull, rc::Rc, sync::Arc};

/// What may be done with registered memory through its keys, local reads apart, which the device always may. A remote key
/// is the peer's licence for the whole region, for as long as the region is registered: it gets no right that its use does
/// not need.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// Only local reads: the memory of commands that are sent.
    LocalRead,
    /// Local reads and writes: receive buffers, and the source and sink of a target's own RDMA operations.
    LocalWrite,
    /// Local reads, and RDMA READ by the peer: what a host sends to a controller.
    RemoteRead,
    /// Local access, and RDMA WRITE by the peer: what a host gets from a controller. (Without the right
    /// of local writes there is none of remote ones: `ibv_reg_mr(3)`.)
    RemoteWrite,
    /// Local access, and RDMA READ and WRITE by the peer: where one key must do for both ways.
    Remote,
}

impl Access {
    fn flags(self) -> u32 {
        use sys::ibv_access_flags as flag;
        match self {
            Self::LocalRead => 0,
            Self::LocalWrite => flag::IBV_ACCESS_LOCAL_WRITE.0,
            Self::RemoteRead => flag::IBV_ACCESS_REMOTE_READ.0,
            Self::RemoteWrite => flag::IBV_ACCESS_LOCAL_WRITE.0 | flag::IBV_ACCESS_REMOTE_WRITE.0,
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
    /// Somebody else frees it.
    is_programs: bool,
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
        Ok(Arc::new(Self { pd, device: device.clone(), is_programs: false }))
    }

    /// A protection domain of the program's, which is not freed when the last share of this is dropped. EINVAL for NULL and for one
    /// of another device.
    ///
    /// # Safety
    ///
    /// `pd` is NULL, or a protection domain that lives until the last share of this is dropped.
    pub unsafe fn of_program(device: &Device, pd: *mut c_void) -> Result<Arc<Self>, Error> {
        let invalid = Error::new("use of the program's protection domain", libc::EINVAL);
        let pd = NonNull::new(pd.cast::<sys::ibv_pd>()).ok_or(invalid)?;
        // SAFETY: the caller gives a protection domain, whose context does not change.
        if unsafe { pd.as_ref().context } != device.context() {
            return Err(invalid);
        }
        Ok(Arc::new(Self { pd, device: device.clone(), is_programs: true }))
    }

    /// Whether it is this one, if that is the program's; or else one of the library's own.
    pub fn is(&self, programs: Option<&Self>) -> bool {
        programs.map_or(!self.is_programs, |other| self.is_programs && self.pd == other.pd)
    }

    /// For the program, as a `struct ibv_pd`.
    pub fn as_raw(&self) -> *mut c_void {
        self.pd.as_ptr().cast()
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
        if self.is_programs {
            return;
        }
        // SAFETY: the domain came from ibv_alloc_pd and is freed once; regions and queue pairs hold a share of
        // `self`, so none is left.
        let result = unsafe { sys::ibv_dealloc_pd(self.pd.as_ptr()) };
        if let Err(error) = Error::check_value("ibv_dealloc_pd", result) {
            kept::keep("a protection domain", &error, self.device.clone());
        }
    }
}

/// Memory of somebody else that is registered with a device.
///
/// The region does not keep that memory alive: a device that uses memory which was unmapped reads or writes
/// nothing of this process, since the registration pins the pages themselves.
#[derive(Debug)]
pub struct MemoryRegion {
    mr: NonNull<sys::ibv_mr>,
    domain: Arc<ProtectionDomain>,
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
    /// With an access that writes, the device writes there: nobody may hold a Rust reference to the memory while work
    /// requests or the peer can name it.
    pub unsafe fn register(
        domain: &Arc<ProtectionDomain>,
        address: *mut c_void,
        length: usize,
        access: Access,
    ) -> Result<Self, Error> {
        // SAFETY: the domain is alive; the memory's use by the device is the caller's contract. The flags hold no
        // optional access, for which this wrapper takes the plain ibv_reg_mr.
        let mr = unsafe { sys::__ibv_reg_mr(domain.as_ptr(), address, length, access.flags(), 1) };
        let mr = NonNull::new(mr).ok_or_else(|| Error::last("ibv_reg_mr"))?;
        Ok(Self { mr, domain: domain.clone() })
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

    /// Ends the registration. After an error it is [kept](crate::kept()), which a log line has told: the device may use the
    /// memory for as long as the process lives.
    pub fn deregister(self) -> Result<(), Error> {
        let this = ManuallyDrop::new(self);
        // SAFETY: `this` is neither used nor dropped afterwards, so each is taken out and deregistered once.
        unsafe {
            let domain = std::ptr::read(&this.domain);
            deregister(this.mr, &domain)
        }
    }
}

impl Drop for MemoryRegion {
    fn drop(&mut self) {
        // SAFETY: registered by `register`, deregistered once, here. What a failure means is done with.
        let _ = unsafe { deregister(self.mr, &self.domain) };
    }
}

/// [`Memory`] that is registered with a device.
///
/// When deregistration fails the memory is kept rather than handed back while the device may still use it.
#[derive(Debug)]
pub struct RegisteredMemory {
    region: ManuallyDrop<MemoryRegion>,
    memory: Rc<Memory>,
}

impl RegisteredMemory {
    /// Allocates and registers `length` bytes; ENOMEM if there are none, EINVAL for length 0.
    pub fn new(domain: &Arc<ProtectionDomain>, length: usize, access: Access) -> Result<Self, Error> {
        Self::of(&Memory::new(length)?, domain, access)
    }

    /// Registers memory that exists.
    pub fn of(memory: &Rc<Memory>, domain: &Arc<ProtectionDomain>, access: Access) -> Result<Self, Error> {
        // SAFETY: the memory lives as long as the registration, and no reference to its content is ever made.
        let region = unsafe { MemoryRegion::register(domain, memory.as_ptr(), memory.length(), access) }?;
        Ok(Self { region: ManuallyDrop::new(region), memory: memory.clone() })
    }

    /// The key for local work requests.
    pub fn local_key(&self) -> u32 {
        self.region.local_key()
    }

    /// The key that is given to the peer. What it opens is the access that was registered.
    pub fn remote_key(&self) -> u32 {
        self.region.remote_key()
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
        // SAFETY: taken out once, here; `region` is not used afterwards.
        let region = unsafe { ManuallyDrop::take(&mut self.region) };
        if region.deregister().is_err() {
            std::mem::forget(self.memory.clone()); // kept on purpose, see the type
        }
    }
}

/// # Safety
///
/// `mr` came from [`MemoryRegion::register`] with this domain and is not used afterwards.
unsafe fn deregister(mr: NonNull<sys::ibv_mr>, domain: &Arc<ProtectionDomain>) -> Result<(), Error> {
    // SAFETY: the region is registered until the call below.
    let place = unsafe { Place(mr.as_ref().addr, mr.as_ref().length) };
    // SAFETY: the caller's contract.
    let result = Error::check_value("ibv_dereg_mr", unsafe { sys::ibv_dereg_mr(mr.as_ptr()) });
    result.inspect_err(|error| kept::keep(place, error, domain.clone()))
}

/// How a region reads in a log line.
struct Place(*mut c_void, usize);

impl fmt::Display for Place {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "the registration of {} bytes at {:p}", self.1, self.0)
    }
}

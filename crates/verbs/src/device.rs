//! RDMA devices and what they can do.
//!
//! librdmacm opens each device once and closes it when neither an id nor a device list holds it
//! (`rdma_get_devices(3)`). [`DeviceList`] is such a hold: whoever keeps one may use the contexts of the devices
//! that were present when it was taken.

use crate::Error;
use rdma_sys as sys;
use std::{
    ffi::{CStr, c_void},
    ptr::NonNull,
    sync::Arc,
};

/// A hold on all present RDMA devices. Dropping the last share lets librdmacm close them.
#[derive(Debug)]
pub struct DeviceList {
    list: NonNull<*mut sys::ibv_context>,
    count: usize,
}

// SAFETY: the list is memory of librdmacm that nobody writes after it was returned; freeing it takes
// librdmacm's own lock.
unsafe impl Send for DeviceList {}
// SAFETY: as above: shared access only reads.
unsafe impl Sync for DeviceList {}

impl DeviceList {
    /// Takes a hold on the devices that are present now. ENODEV if there is none.
    pub fn open() -> Result<Arc<Self>, Error> {
        let mut count = 0;
        // SAFETY: `count` is a valid place for the number of devices.
        let list = unsafe { sys::rdma_get_devices(&mut count) };
        let list = NonNull::new(list).ok_or_else(|| Error::last("rdma_get_devices"))?;
        let list = Self { list, count: usize::try_from(count).unwrap_or(0) };
        if list.count == 0 {
            return Err(Error::new("rdma_get_devices", libc::ENODEV));
        }
        Ok(Arc::new(list))
    }

    /// The devices of the list.
    pub fn devices(self: &Arc<Self>) -> Vec<Device> {
        self.contexts().iter().filter_map(|context| Device::new(*context, self)).collect()
    }

    pub(crate) fn holds(&self, context: *mut sys::ibv_context) -> bool {
        self.contexts().contains(&context)
    }

    fn contexts(&self) -> &[*mut sys::ibv_context] {
        // SAFETY: rdma_get_devices returned `count` contexts at `list`, which live until rdma_free_devices in
        // drop.
        unsafe { std::slice::from_raw_parts(self.list.as_ptr(), self.count) }
    }
}

impl Drop for DeviceList {
    fn drop(&mut self) {
        // SAFETY: `list` came from rdma_get_devices and is freed once, here.
        unsafe { sys::rdma_free_devices(self.list.as_ptr()) }
    }
}

/// One open RDMA device, with a share of the hold that keeps it open.
#[derive(Debug, Clone)]
pub struct Device {
    context: NonNull<sys::ibv_context>,
    _list: Arc<DeviceList>,
}

// SAFETY: an ibv_context may be used from any thread; `_list` keeps it open.
unsafe impl Send for Device {}
// SAFETY: as above.
unsafe impl Sync for Device {}

impl PartialEq for Device {
    fn eq(&self, other: &Self) -> bool {
        self.context == other.context
    }
}

impl Eq for Device {}

/// The limits of a device that a host or a target must respect (`ibv_query_device(3)`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DeviceLimits {
    /// Work requests that a queue of a queue pair can hold.
    pub queue_pair_work_requests: u32,
    /// Scatter/gather elements of one work request.
    pub segments: u32,
    /// Entries of a completion queue.
    pub completion_entries: u32,
    /// Shared receive queues that can exist at a time.
    pub shared_receive_queues: u32,
    /// Receives that one of them can hold.
    pub shared_receives: u32,
    /// Memory regions that can exist at a time.
    pub memory_regions: u32,
    /// Bytes of the largest memory region.
    pub memory_region_size: u64,
    /// RDMA READs that a queue pair can have outstanding as target of them.
    pub responder_resources: u8,
    /// RDMA READs that a queue pair can have outstanding as their initiator.
    pub initiator_depth: u8,
}

impl Device {
    pub(crate) fn new(context: *mut sys::ibv_context, list: &Arc<DeviceList>) -> Option<Self> {
        Some(Self { context: NonNull::new(context)?, _list: list.clone() })
    }

    pub(crate) fn context(&self) -> *mut sys::ibv_context {
        self.context.as_ptr()
    }

    /// For the program, as a `struct ibv_context`.
    pub fn as_raw(&self) -> *mut c_void {
        self.context.as_ptr().cast()
    }

    /// A number that is the same for two values exactly if they are the same open device.
    pub fn key(&self) -> usize {
        self.context.as_ptr().addr()
    }

    /// The device's name, as `ibv_devices` prints it.
    pub fn name(&self) -> String {
        // SAFETY: the context is open and its `device` is set by libibverbs; the name is a C string that lives as
        // long as the device.
        unsafe {
            let name = sys::ibv_get_device_name((*self.context()).device);
            if name.is_null() { String::new() } else { CStr::from_ptr(name).to_string_lossy().into_owned() }
        }
    }

    /// The NUMA node that the device is attached to. None if it is none's, or the system does not say.
    pub fn numa_node(&self) -> Option<u32> {
        let file = format!("/sys/class/infiniband/{}/device/numa_node", self.name());
        // The system says -1 for no node.
        std::fs::read_to_string(file).ok()?.trim().parse().ok()
    }

    /// Asks the device for its limits.
    pub fn limits(&self) -> Result<DeviceLimits, Error> {
        // SAFETY: all fields of ibv_device_attr are integers or arrays of them, for which zero is a value.
        let mut attributes: sys::ibv_device_attr = unsafe { std::mem::zeroed() };
        // SAFETY: the context is open and `attributes` is a valid place for the answer.
        Error::check_value("ibv_query_device", unsafe {
            sys::ibv_query_device(self.context(), &mut attributes)
        })?;
        let positive = |value: i32| u32::try_from(value).unwrap_or(0);
        let small = |value: i32| u8::try_from(value.clamp(0, 255)).unwrap_or(u8::MAX);
        Ok(DeviceLimits {
            queue_pair_work_requests: positive(attributes.max_qp_wr),
            segments: positive(attributes.max_sge),
            completion_entries: positive(attributes.max_cqe),
            shared_receive_queues: positive(attributes.max_srq),
            shared_receives: positive(attributes.max_srq_wr),
            memory_regions: positive(attributes.max_mr),
            memory_region_size: attributes.max_mr_size,
            responder_resources: small(attributes.max_qp_rd_atom),
            initiator_depth: small(attributes.max_qp_init_rd_atom),
        })
    }
}

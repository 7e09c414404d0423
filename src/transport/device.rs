//! What the connections over one device share: its protection domain and the memory map on it.
//!
//! A process-wide table knows the devices in use by weak reference: the last connection to go takes the domain and
//! all its registrations along, and a device that was removed and came back is a new one (T150, T153, T154).

use super::Error;
use crate::memory::Map;
use parking_lot::Mutex;
use std::sync::{Arc, Weak};
use verbs::{Device, DeviceLimits, ProtectionDomain};

/// A device in use.
pub(super) struct DeviceShare {
    map: Map,
    domain: Arc<ProtectionDomain>,
    limits: DeviceLimits,
}

static IN_USE: Mutex<Vec<Weak<DeviceShare>>> = Mutex::new(Vec::new());

impl DeviceShare {
    /// The share of `device`, new or that of the connections that use it already.
    pub(super) fn of(device: &Device) -> Result<Arc<Self>, Error> {
        let mut in_use = IN_USE.lock();
        in_use.retain(|share| share.strong_count() > 0);
        if let Some(share) =
            in_use.iter().filter_map(Weak::upgrade).find(|share| share.domain.device() == device)
        {
            return Ok(share);
        }
        let limits = device.limits()?;
        let domain = ProtectionDomain::new(device)?;
        let share = Arc::new(Self { map: Map::new(&domain, &limits)?, domain, limits });
        in_use.push(Arc::downgrade(&share));
        Ok(share)
    }

    pub(super) fn domain(&self) -> &Arc<ProtectionDomain> {
        &self.domain
    }

    #[inline]
    pub(super) fn map(&self) -> &Map {
        &self.map
    }

    pub(super) fn device(&self) -> &Device {
        self.domain.device()
    }

    pub(super) fn limits(&self) -> &DeviceLimits {
        &self.limits
    }
}

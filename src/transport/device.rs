//! What the connections over one device share: its protection domain and the memory map on it.
//!
//! A program may bring protection domains of its own; then there is a share for each of them.
//!
//! A process-wide table knows the devices in use by weak reference: the last connection to go takes the domain and
//! all its registrations along, and a device that was removed and came back is a new one (T150, T153, T154).

use super::{Error, config::Association, hooks};
use crate::memory::{KeyHooks, Map};
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
    /// The share of `device` for a connection, new or that of the connections that use it already, and the same domain.
    pub(super) fn of(device: &Device, association: &Association) -> Result<Arc<Self>, Error> {
        let (domain, keys) = hooks::of_program(association, device)?;
        Self::with(device, domain, keys)
    }

    /// As [`DeviceShare::of`], with this domain and these keys of the program's.
    pub(super) fn with(
        device: &Device,
        domain: Option<Arc<ProtectionDomain>>,
        keys: Option<KeyHooks>,
    ) -> Result<Arc<Self>, Error> {
        if let Some(share) = Self::in_use(device, domain.as_deref()) {
            return Ok(share);
        }
        // The program may be asked for keys meanwhile: that is no time for a lock.
        let limits = device.limits()?;
        let programs = domain.clone();
        let domain = domain.map_or_else(|| ProtectionDomain::new(device), Ok)?;
        let map = Map::with_hooks(&domain, &limits, keys)?;
        let new = Arc::new(Self { map, domain, limits });
        let mut in_use = IN_USE.lock();
        let found =
            in_use.iter().filter_map(Weak::upgrade).find(|share| share.is(device, programs.as_deref()));
        if found.is_none() {
            in_use.push(Arc::downgrade(&new));
        }
        drop(in_use);
        // Somebody was quicker.
        Ok(found.unwrap_or(new))
    }

    fn is(&self, device: &Device, domain: Option<&ProtectionDomain>) -> bool {
        self.domain.device() == device && self.domain.is(domain)
    }

    fn in_use(device: &Device, domain: Option<&ProtectionDomain>) -> Option<Arc<Self>> {
        let mut in_use = IN_USE.lock();
        in_use.retain(|share| share.strong_count() > 0);
        in_use.iter().filter_map(Weak::upgrade).find(|share| share.is(device, domain))
    }

    pub(super) fn domain(&self) -> &Arc<ProtectionDomain> {
        &self.domain
    }

    #[inline]
    pub(super) fn map(&self) -> &Map {
        &self.map
    }

    /// Whether the keys of registered memory are the program's.
    pub(super) fn has_keys_of_program(&self) -> bool {
        self.map.has_hooks()
    }

    pub(super) fn device(&self) -> &Device {
        self.domain.device()
    }

    pub(super) fn limits(&self) -> &DeviceLimits {
        &self.limits
    }
}

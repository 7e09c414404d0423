//! What all connections over one device share: its protection domain and the stores' registrations.

use std::rc::Rc;
use std::sync::Arc;

use verbs::{Access, Device, DeviceLimits, Error, Memory, ProtectionDomain, RegisteredMemory};

pub(super) struct DeviceState {
    stores: Vec<RegisteredMemory>,
    domain: Arc<ProtectionDomain>,
    limits: DeviceLimits,
}

impl DeviceState {
    pub(super) fn new(device: &Device, stores: &[Rc<Memory>]) -> Result<DeviceState, Error> {
        let limits = device.limits()?;
        let domain = ProtectionDomain::new(device)?;
        let register = |store: &Rc<Memory>| RegisteredMemory::of(store, &domain, Access::LocalWrite);
        let stores = stores.iter().map(register).collect::<Result<_, _>>()?;
        Ok(DeviceState { stores, domain, limits })
    }

    pub(super) fn device(&self) -> &Device {
        self.domain.device()
    }

    pub(super) fn domain(&self) -> &Arc<ProtectionDomain> {
        &self.domain
    }

    pub(super) fn limits(&self) -> &DeviceLimits {
        &self.limits
    }

    pub(super) fn store(&self, index: usize) -> Option<&RegisteredMemory> {
        self.stores.get(index)
    }
}

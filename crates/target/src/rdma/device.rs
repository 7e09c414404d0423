//! What all connections over one device share: its protection domain and the stores' registrations.

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;

use verbs::{Access, Device, DeviceLimits, Error, Memory, ProtectionDomain, RegisteredMemory};

pub(super) struct DeviceState {
    /// By the number of the store; one that is gone is `None`.
    stores: RefCell<Vec<Option<Rc<RegisteredMemory>>>>,
    domain: Arc<ProtectionDomain>,
    limits: DeviceLimits,
}

impl DeviceState {
    pub(super) fn new(device: &Device, stores: &[Option<Rc<Memory>>]) -> Result<DeviceState, Error> {
        let limits = device.limits()?;
        let domain = ProtectionDomain::new(device)?;
        let state = DeviceState { stores: RefCell::default(), domain, limits };
        for (number, store) in stores.iter().enumerate() {
            if let Some(store) = store {
                state.add_store(number, store)?;
            }
        }
        Ok(state)
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

    pub(super) fn store(&self, number: usize) -> Option<Rc<RegisteredMemory>> {
        self.stores.borrow().get(number)?.clone()
    }

    /// Registers a store under its number, which is that of no other one.
    pub(super) fn add_store(&self, number: usize, store: &Rc<Memory>) -> Result<(), Error> {
        let registered = Rc::new(RegisteredMemory::of(store, &self.domain, Access::LocalWrite)?);
        let mut stores = self.stores.borrow_mut();
        if stores.len() <= number {
            stores.resize(number + 1, None);
        }
        if let Some(place) = stores.get_mut(number) {
            *place = Some(registered);
        }
        Ok(())
    }

    /// The store is given up; its registration ends when nobody moves data there any more.
    pub(super) fn remove_store(&self, number: usize) {
        let removed = self.stores.borrow_mut().get_mut(number).and_then(Option::take);
        drop(removed);
    }
}

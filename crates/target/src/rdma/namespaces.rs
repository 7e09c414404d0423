//! The memory of namespaces: that of those which come while the target runs, and that of those which go.
//!
//! The number of a store is never used again. What goes is kept by each slot that moves data from or to it, until its work
//! requests have completed.

use std::rc::Rc;

use verbs::Memory;

use super::connection::change;
use super::{Error, Target};
use crate::core::{Change, Extent};
use crate::options::NamespaceOptions;

/// The memory for a namespace as large as it may become, of blocks that nobody wrote.
pub(super) fn memory(namespace: &NamespaceOptions) -> Result<Rc<Memory>, Error> {
    let error = || Error::Memory(namespace.room);
    let length = usize::try_from(namespace.store_size()).map_err(|_| error())?;
    let memory = Memory::new(length).map_err(|_| error())?;
    let block = namespace.block_size as usize + usize::from(namespace.metadata);
    if namespace.protection > 0 {
        let extent = Extent { store: 0, offset: 0, length: namespace.store_size() };
        if !change(&[Some(memory.clone())], &[Change::Blank { extent, block }]) {
            return Err(error());
        }
    }
    Ok(memory)
}

impl Target {
    pub(super) fn add_namespace(
        &mut self,
        nqn: &str,
        wanted: Option<u32>,
        namespace: &NamespaceOptions,
    ) -> Result<(), Error> {
        namespace.check()?;
        self.core.free_nsid(nqn, wanted)?;
        let store = self.add_store(namespace)?;
        let nsid = self.core.add_namespace(nqn, wanted, namespace, store)?;
        tracing::info!(nqn, nsid, size = namespace.size, "namespace added");
        Ok(())
    }

    pub(super) fn resize_namespace(&mut self, nqn: &str, nsid: u32, size: u64) -> Result<(), Error> {
        if let Some(blank) = self.core.resize_namespace(nqn, nsid, size)?
            && !change(&self.stores, std::slice::from_ref(&blank))
        {
            tracing::error!(nqn, nsid, ?blank, "a namespace reaches beyond its memory");
        }
        Ok(())
    }

    pub(super) fn remove_namespace(&mut self, nqn: &str, nsid: u32) -> Result<(), Error> {
        let store = self.core.remove_namespace(nqn, nsid)?;
        self.remove_store(store);
        Ok(())
    }

    /// Gives memory to the namespaces that hosts have made, and takes that of those which they deleted. One that there is no memory
    /// for answers each command with Internal Error.
    pub(super) fn serve_management(&mut self) {
        for birth in self.core.take_births() {
            match self.add_store(&birth.options) {
                Ok(store) => self.core.give_store(&birth, store),
                Err(error) => tracing::error!(birth.nqn, birth.nsid, %error, "a namespace without memory"),
            }
        }
        self.core.take_deaths().into_iter().for_each(|store| self.remove_store(store));
    }

    fn add_store(&mut self, namespace: &NamespaceOptions) -> Result<usize, Error> {
        let memory = memory(namespace)?;
        let store = self.stores.len();
        for device in &self.devices {
            device.add_store(store, &memory)?;
        }
        self.stores.push(Some(memory));
        Ok(store)
    }

    fn remove_store(&mut self, store: usize) {
        self.devices.iter().for_each(|device| device.remove_store(store));
        if let Some(memory) = self.stores.get_mut(store) {
            *memory = None;
        }
    }
}

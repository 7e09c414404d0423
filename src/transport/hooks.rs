//! What a program has said of its own protection domains and keys, for all connections that are made from then on.

use super::{Error, config::Association};
use crate::memory::KeyHooks;
use parking_lot::Mutex;
use std::sync::Arc;
use verbs::{Device, ProtectionDomain};

/// The program's protection domain on a device, for a connection.
pub type DomainHook =
    dyn Fn(&Association, &Device) -> Result<Arc<ProtectionDomain>, verbs::Error> + Send + Sync;

/// A program's own protection domains and keys. Where there is none of either, the library has its own.
#[derive(Clone, Default)]
pub struct Hooks {
    /// The protection domain.
    pub domain: Option<Arc<DomainHook>>,
    /// The keys.
    pub keys: Option<KeyHooks>,
}

static HOOKS: Mutex<Hooks> = Mutex::new(Hooks { domain: None, keys: None });

/// Sets the hooks for connections from now on.
pub fn set_hooks(hooks: Hooks) {
    // What was there may be anything: it goes when the lock is free.
    let before = std::mem::replace(&mut *HOOKS.lock(), hooks);
    drop(before);
}

/// The program's domain for a connection, if it has its own, and its functions for keys, if it has such.
pub(super) fn of_program(
    association: &Association,
    device: &Device,
) -> Result<(Option<Arc<ProtectionDomain>>, Option<KeyHooks>), Error> {
    let Hooks { domain, keys } = HOOKS.lock().clone();
    let domain = domain.map(|domain| domain(association, device)).transpose()?;
    Ok((domain, keys))
}

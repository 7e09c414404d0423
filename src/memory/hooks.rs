//! A program's own protection domain and keys, in the place of those of this library.
//!
//! A program that has its memory registered already, with a domain of its own, gives the domain and a key for each region that the
//! environment announces. What such a key opens is the program's business: one key stands for all rights.
//!
//! What must hold: a key is given back once, when nobody finds it any more; the program's functions are called with no lock of ours.

use std::{ffi::c_void, sync::Arc};
use verbs::{Device, Error, ProtectionDomain};

/// The program's functions for keys.
#[derive(Clone)]
pub struct KeyHooks {
    /// The key for memory: the domain, the address, the bytes. 0 says that there is none.
    pub get: Arc<dyn Fn(*mut c_void, *mut c_void, usize) -> u64 + Send + Sync>,
    /// Takes a key back, if the program wants to hear of that.
    pub put: Option<Arc<dyn Fn(u64) + Send + Sync>>,
}

/// A key of the program's.
pub(super) struct GivenKey {
    key: u64,
    put: Option<Arc<dyn Fn(u64) + Send + Sync>>,
}

impl KeyHooks {
    /// Asks the program for the key of a region.
    pub(super) fn key_for(
        &self,
        domain: &ProtectionDomain,
        address: *mut c_void,
        length: usize,
    ) -> Option<GivenKey> {
        let key = (self.get)(domain.as_raw(), address, length);
        (key != 0).then(|| GivenKey { key, put: self.put.clone() })
    }
}

impl GivenKey {
    /// As commands have it.
    pub(super) fn value(&self) -> u32 {
        self.key as u32
    }
}

impl Drop for GivenKey {
    fn drop(&mut self) {
        if let Some(put) = &self.put {
            put(self.key);
        }
    }
}

/// The program's own protection domain on a device.
///
/// # Safety
///
/// As [`ProtectionDomain::of_program`].
pub unsafe fn domain_of_program(
    device: &Device,
    domain: *mut c_void,
) -> Result<Arc<ProtectionDomain>, Error> {
    // SAFETY: the caller's contract.
    unsafe { ProtectionDomain::of_program(device, domain) }
}

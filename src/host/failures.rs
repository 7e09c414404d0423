//! Whoever hears of commands that end with an error, beside the one that sent them: of a controller's Admin Queue, and of each I/O qpair.
//!
//! Nobody does unless the layer above says so. How many are told of is bounded by the transport.

use super::{Controller, IoQpair, Standing};
use crate::transport::FailureListener;
use std::rc::Weak;

impl Controller {
    /// Sets who hears of admin commands that end with an error, this host's own ones, too.
    pub fn listen_to_failures(&self, listener: Option<Weak<dyn FailureListener>>) {
        self.admin_queue().qpair().listen_to_failures(listener);
    }

    /// Where the Admin Queue stands.
    pub fn admin_standing(&self) -> Standing {
        Standing::of(self.admin_queue().qpair())
    }
}

impl IoQpair {
    /// Sets who hears of commands that end with an error.
    pub fn listen_to_failures(&self, listener: Option<Weak<dyn FailureListener>>) {
        self.transport().listen_to_failures(listener);
    }
}

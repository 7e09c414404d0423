//! What the target is, where more than one answer says it.

/// Firmware revision.
pub(super) const FIRMWARE: &str = env!("CARGO_PKG_VERSION");
/// Asynchronous Event Requests that a controller holds; AERL is one less.
pub(super) const ASYNC_EVENT_REQUESTS: usize = 4;

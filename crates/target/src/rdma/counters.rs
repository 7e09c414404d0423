//! What connections count for their target.

/// What a target did so far.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Counters {
    /// Connections accepted.
    pub accepted: u64,
    /// Connection requests rejected.
    pub rejected: u64,
    /// Commands taken.
    pub commands: u64,
    /// Responses sent.
    pub responses: u64,
    /// Keep Alive commands among those taken.
    pub keep_alives: u64,
}

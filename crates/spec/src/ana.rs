//! Asymmetric namespace access (Base 2.0, 8.1): the states of a group and the log page that tells them (5.16.1.13).

use crate::bytes::put;
use crate::status::Status;

/// Bit 0 of LSP in Get Log Page, where dword 10 has it: groups without their namespaces.
pub const RETURN_GROUPS_ONLY: u32 = 1 << 8;
/// Size of the log page's header in bytes.
pub const ANA_HEADER_SIZE: usize = 16;
/// Size of a group's descriptor in bytes; the ids of its namespaces follow, four bytes each.
pub const ANA_DESCRIPTOR_SIZE: usize = 32;

/// The state of a group for a controller.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct AnaState(pub u8);

impl AnaState {
    /// ANA Optimized.
    pub const OPTIMIZED: AnaState = AnaState(0x1);
    /// ANA Non-Optimized.
    pub const NON_OPTIMIZED: AnaState = AnaState(0x2);
    /// ANA Inaccessible.
    pub const INACCESSIBLE: AnaState = AnaState(0x3);
    /// ANA Persistent Loss.
    pub const PERSISTENT_LOSS: AnaState = AnaState(0x4);
    /// ANA Change.
    pub const CHANGE: AnaState = AnaState(0xf);

    /// What commands of I/O queues are answered with in this state, if it lets none through.
    #[must_use]
    pub const fn refusal(self) -> Option<Status> {
        match self {
            AnaState::INACCESSIBLE => Some(Status::ASYMMETRIC_ACCESS_INACCESSIBLE),
            AnaState::PERSISTENT_LOSS => Some(Status::ASYMMETRIC_ACCESS_PERSISTENT_LOSS),
            AnaState::CHANGE => Some(Status::ASYMMETRIC_ACCESS_TRANSITION),
            _ => None,
        }
    }
}

/// The log page's header: how often any state changed, and the number of descriptors.
#[must_use]
pub fn encode_header(changes: u64, descriptors: u16) -> [u8; ANA_HEADER_SIZE] {
    let mut data = [0; ANA_HEADER_SIZE];
    put(&mut data, 0, &changes.to_le_bytes());
    put(&mut data, 8, &descriptors.to_le_bytes());
    data
}

/// A group's descriptor: its id, the number of namespace ids behind it, how often its state changed, and its state.
#[must_use]
pub fn encode_descriptor(
    group: u32,
    namespaces: u32,
    changes: u64,
    state: AnaState,
) -> [u8; ANA_DESCRIPTOR_SIZE] {
    let mut data = [0; ANA_DESCRIPTOR_SIZE];
    put(&mut data, 0, &group.to_le_bytes());
    put(&mut data, 4, &namespaces.to_le_bytes());
    put(&mut data, 8, &changes.to_le_bytes());
    put(&mut data, 16, &[state.0]);
    data
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn layout() {
        assert_eq!(encode_header(0x0102, 3), [2, 1, 0, 0, 0, 0, 0, 0, 3, 0, 0, 0, 0, 0, 0, 0]);
        let descriptor = encode_descriptor(5, 2, 7, AnaState::CHANGE);
        assert_eq!(descriptor[..17], [5, 0, 0, 0, 2, 0, 0, 0, 7, 0, 0, 0, 0, 0, 0, 0, 0xf]);
        assert_eq!(AnaState::CHANGE.refusal(), Some(Status(0x303)));
        assert_eq!(AnaState::NON_OPTIMIZED.refusal(), None);
    }
}

//! Security protocols (SPC-5, 6.30): which there are, and how something goes to one and comes from one. What is said in the TCG's is in
//! [`crate::tcg`].

use crate::bytes::{array, put};
use crate::command::Command;
use crate::opcode::AdminOpcode;

/// The security protocol that lists all (SPC-5: security protocol information).
pub const PROTOCOLS: u8 = 0x00;
/// The security protocol of the TCG that Opal uses.
pub const TCG: u8 = 0x01;
/// What is specific to it for level 0 discovery.
pub const LEVEL_0: u16 = 0x0001;
/// Bytes of the list of protocols before its first.
const PROTOCOLS_HEADER: usize = 8;

impl Command {
    /// Security Receive (Base 2.0, 5.25) of so many bytes.
    #[must_use]
    pub const fn security_receive(protocol: u8, specific: u16, length: u32) -> Self {
        let mut command = Self::new(AdminOpcode::SECURITY_RECEIVE.0);
        command.set_cdw10((specific as u32) << 8 | (protocol as u32) << 24);
        command.set_cdw11(length);
        command
    }

    /// Security Send (Base 2.0, 5.26) of so many bytes.
    #[must_use]
    pub const fn security_send(protocol: u8, specific: u16, length: u32) -> Self {
        let mut command = Self::new(AdminOpcode::SECURITY_SEND.0);
        command.set_cdw10((specific as u32) << 8 | (protocol as u32) << 24);
        command.set_cdw11(length);
        command
    }
}

/// The protocols that a list names, as far as it came.
#[must_use]
pub fn protocols(list: &[u8]) -> &[u8] {
    let count = usize::from(u16::from_be_bytes(array(list, 6)));
    let there = list.get(PROTOCOLS_HEADER..).unwrap_or_default();
    there.get(..count).unwrap_or(there)
}

/// A list of protocols, for tests and targets: each after the other, ascending.
#[must_use]
pub fn encode_protocols(protocols: &[u8]) -> Vec<u8> {
    let mut list = vec![0; PROTOCOLS_HEADER];
    put(&mut list, 6, &u16::try_from(protocols.len()).unwrap_or(u16::MAX).to_be_bytes());
    list.extend_from_slice(protocols);
    list
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn protocols_are_listed() {
        let list = encode_protocols(&[PROTOCOLS, TCG, 0xef]);
        assert_eq!(list, [0, 0, 0, 0, 0, 0, 0, 3, 0, 1, 0xef]);
        assert_eq!(protocols(&list), [0, 1, 0xef]);
        assert_eq!((protocols(&list[..9]), protocols(&list[..3])), (&[0][..], &[][..]));
        assert_eq!(protocols(&[0, 0, 0, 0, 0, 0, 0xff, 0xff, 1]), [1]);
        let command = Command::security_receive(TCG, LEVEL_0, 2048);
        assert_eq!((command.opcode(), command.cdw10(), command.cdw11()), (0x82, 0x0100_0100, 2048));
        let command = Command::security_send(TCG, 0x07fe, 512);
        assert_eq!((command.opcode(), command.cdw10(), command.cdw11()), (0x81, 0x0107_fe00, 512));
    }
}

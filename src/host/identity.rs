//! Who this host is, unless the program says otherwise.

use once_cell::sync::Lazy;
use std::{fmt::Write, fs::File, io::Read};

/// A host's identity (Fabrics 1.1, 3.3: HOSTID and HOSTNQN of the Connect data).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostIdentity {
    /// The 16 bytes of the host identifier.
    pub hostid: [u8; 16],
    /// The NQN.
    pub hostnqn: String,
}

/// The identity of this process: a random UUID, the same for all its controllers.
pub fn identity() -> &'static HostIdentity {
    static IDENTITY: Lazy<HostIdentity> = Lazy::new(|| of_uuid(random_uuid()));
    &IDENTITY
}

fn of_uuid(hostid: [u8; 16]) -> HostIdentity {
    let mut hostnqn = String::from(spec::fabrics::UUID_NQN_PREFIX);
    for (index, byte) in hostid.iter().enumerate() {
        if matches!(index, 4 | 6 | 8 | 10) {
            hostnqn.push('-');
        }
        // Writing to a String cannot fail.
        let _ = write!(hostnqn, "{byte:02x}");
    }
    HostIdentity { hostid, hostnqn }
}

/// A version 4 UUID (RFC 4122, 4.4).
fn random_uuid() -> [u8; 16] {
    let mut bytes = [0; 16];
    let read = File::open("/dev/urandom").and_then(|mut source| source.read_exact(&mut bytes));
    if read.is_err() {
        // Without a source of randomness the process id still tells hosts of one machine apart.
        bytes = (u128::from(std::process::id()) | 1 << 64).to_be_bytes();
    }
    let [_, _, _, _, _, _, version, _, variant, ..] = &mut bytes;
    *version = *version & 0x0f | 0x40;
    *variant = *variant & 0x3f | 0x80;
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nqn_is_that_of_the_uuid() {
        let identity = of_uuid([
            0x12, 0x34, 0x56, 0x78, 0x9a, 0xbc, 0x4d, 0xef, 0x81, 0x23, 0x45, 0x67, 0x89, 0xab, 0xcd, 0xef,
        ]);
        assert_eq!(identity.hostnqn, "nqn.2014-08.org.nvmexpress:uuid:12345678-9abc-4def-8123-456789abcdef");
    }

    #[test]
    fn a_process_has_one_random_version_4_uuid() {
        let first = identity();
        assert_eq!(first, identity());
        assert_eq!((first.hostid[6] >> 4, first.hostid[8] >> 6), (4, 2));
        assert_ne!(random_uuid(), random_uuid());
    }
}

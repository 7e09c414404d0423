//! Reservations (Base 2.0, 8.19): types, actions, and the reservation status that a report gives (figure 404).

use crate::bytes::put;

/// RESCAP: every type is supported, and Ignore Existing Key as of 1.3; nothing persists through a power loss.
pub const RESCAP_ALL_TYPES: u8 = 0xfe;
/// The extended data structure is asked for: dword 11 of Reservation Report.
pub const EXTENDED_DATA: u32 = 1;
/// CNTLID of a registrant that has no controller at the time.
pub const NO_CONTROLLER: u16 = 0xffff;
/// Size of the extended reservation status before its registrants, and of each of them, in bytes.
pub const EXTENDED_SIZE: usize = 64;

/// Reservation type (RTYPE).
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct ReservationType(pub u8);

impl ReservationType {
    /// Write Exclusive.
    pub const WRITE_EXCLUSIVE: ReservationType = ReservationType(1);
    /// Exclusive Access.
    pub const EXCLUSIVE_ACCESS: ReservationType = ReservationType(2);
    /// Write Exclusive - Registrants Only.
    pub const WRITE_EXCLUSIVE_REGISTRANTS: ReservationType = ReservationType(3);
    /// Exclusive Access - Registrants Only.
    pub const EXCLUSIVE_ACCESS_REGISTRANTS: ReservationType = ReservationType(4);
    /// Write Exclusive - All Registrants.
    pub const WRITE_EXCLUSIVE_ALL: ReservationType = ReservationType(5);
    /// Exclusive Access - All Registrants.
    pub const EXCLUSIVE_ACCESS_ALL: ReservationType = ReservationType(6);

    /// There is such a type.
    #[must_use]
    pub const fn is_known(self) -> bool {
        matches!(self.0, 1..=6)
    }

    /// Every registrant holds it.
    #[must_use]
    pub const fn is_of_all(self) -> bool {
        matches!(self.0, 5 | 6)
    }

    /// Registrants that do not hold it are kept out as others are.
    #[must_use]
    pub const fn is_of_one(self) -> bool {
        matches!(self.0, 1 | 2)
    }

    /// Who is kept out may not read either.
    #[must_use]
    pub const fn excludes_reads(self) -> bool {
        matches!(self.0, 2 | 4 | 6)
    }
}

/// The extended reservation status: generation, type (0 for no reservation), and the number of registrants behind it.
#[must_use]
pub fn encode_status(generation: u32, kind: u8, registrants: u16) -> [u8; EXTENDED_SIZE] {
    let mut data = [0; EXTENDED_SIZE];
    put(&mut data, 0, &generation.to_le_bytes());
    put(&mut data, 4, &[kind]);
    put(&mut data, 5, &registrants.to_le_bytes());
    data
}

/// A registrant of the extended reservation status.
#[must_use]
pub fn encode_registrant(cntlid: u16, holds: bool, key: u64, hostid: &[u8; 16]) -> [u8; EXTENDED_SIZE] {
    let mut data = [0; EXTENDED_SIZE];
    put(&mut data, 0, &cntlid.to_le_bytes());
    put(&mut data, 2, &[u8::from(holds)]);
    put(&mut data, 8, &key.to_le_bytes());
    put(&mut data, 16, hostid);
    data
}

/// Size of the Reservation Notification log page in bytes.
pub const NOTIFICATION_SIZE: usize = 64;

/// Types of the Reservation Notification log page (Base figure 243). As bits they are the mask of the feature.
pub mod notification {
    /// There is none.
    pub const NONE: u8 = 0;
    /// The host lost its registration.
    pub const REGISTRATION_PREEMPTED: u8 = 1;
    /// A reservation of registrants, or of all of them, was released.
    pub const RELEASED: u8 = 2;
    /// The reservation and all registrations were cleared.
    pub const RESERVATION_PREEMPTED: u8 = 3;
}

/// The Reservation Notification log page: number and type of the notification, how many are behind it, and the namespace.
#[must_use]
pub fn encode_notification(number: u64, kind: u8, behind: u8, nsid: u32) -> [u8; NOTIFICATION_SIZE] {
    let mut data = [0; NOTIFICATION_SIZE];
    put(&mut data, 0, &number.to_le_bytes());
    put(&mut data, 8, &[kind, behind]);
    put(&mut data, 12, &nsid.to_le_bytes());
    data
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn layout() {
        assert_eq!(encode_status(0x0102, 3, 0x0405)[..8], [2, 1, 0, 0, 3, 5, 4, 0]);
        let registrant = encode_registrant(0x0102, true, 0x0a0b, &[7; 16]);
        assert_eq!(registrant[..16], [2, 1, 1, 0, 0, 0, 0, 0, 0x0b, 0x0a, 0, 0, 0, 0, 0, 0]);
        let notification = encode_notification(0x0102, notification::RELEASED, 4, 0x0506);
        assert_eq!(notification[..16], [2, 1, 0, 0, 0, 0, 0, 0, 2, 4, 0, 0, 6, 5, 0, 0]);
        assert_eq!((registrant[16], registrant[31], registrant[32]), (7, 7, 0));
    }

    #[test]
    fn types() {
        let all = (0..=7).map(ReservationType).filter(|kind| kind.is_known());
        assert_eq!(all.clone().count(), 6);
        assert_eq!(all.clone().filter(|kind| kind.is_of_all()).count(), 2);
        assert_eq!(all.clone().filter(|kind| kind.is_of_one()).count(), 2);
        assert_eq!(all.filter(|kind| kind.excludes_reads()).count(), 3);
    }
}

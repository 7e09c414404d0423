//! UIDs of tables, objects and methods, and the numbers of columns and parameters (Core 5, 6; Opal 4.2, 4.3, 5.1).

/// A table, an object in one, or a method.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Uid(u64);

/// The first half of a table's UID, which names a type in an expression (Core 5.1.3).
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct HalfUid(u32);

/// The first object of those that a range or a user has, of which each next one has the next number.
macro_rules! numbered {
    ($($(#[$doc:meta])* $name:ident = $first:literal;)+) => {
        $(
            $(#[$doc])*
            #[must_use]
            pub const fn $name(number: u16) -> Self {
                // Bits of a constant that are 0: nothing is added to.
                Self($first | number as u64)
            }
        )+
    };
}

impl Uid {
    // The session manager and its methods.
    /// The session manager, which sessions begin with.
    pub const SESSION_MANAGER: Self = Self(0xff);
    /// Properties.
    pub const PROPERTIES: Self = Self(0xff01);
    /// StartSession.
    pub const START_SESSION: Self = Self(0xff02);
    /// SyncSession, the answer to it.
    pub const SYNC_SESSION: Self = Self(0xff03);
    /// CloseSession, with which a TPer ends a session by itself.
    pub const CLOSE_SESSION: Self = Self(0xff06);

    // Methods.
    /// GenKey.
    pub const GEN_KEY: Self = Self(0x0000_0006_0000_0010);
    /// RevertSP.
    pub const REVERT_SP: Self = Self(0x0000_0006_0000_0011);
    /// Get.
    pub const GET: Self = Self(0x0000_0006_0000_0016);
    /// Set.
    pub const SET: Self = Self(0x0000_0006_0000_0017);
    /// Revert.
    pub const REVERT: Self = Self(0x0000_0006_0000_0202);
    /// Activate.
    pub const ACTIVATE: Self = Self(0x0000_0006_0000_0203);
    /// Erase (Opal Feature Set: Single User Mode).
    pub const ERASE: Self = Self(0x0000_0006_0000_0803);

    // Security providers.
    /// The SP that a session is with.
    pub const THIS_SP: Self = Self(0x01);
    /// The Admin SP.
    pub const ADMIN_SP: Self = Self(0x0000_0205_0000_0001);
    /// The Locking SP.
    pub const LOCKING_SP: Self = Self(0x0000_0205_0000_0002);

    // Authorities.
    /// Anybody.
    pub const ANYBODY: Self = Self(0x0000_0009_0000_0001);
    /// The class of all Admins.
    pub const ADMINS: Self = Self(0x0000_0009_0000_0002);
    /// The device's owner.
    pub const SID: Self = Self(0x0000_0009_0000_0006);
    /// Admin1 of the Admin SP.
    pub const ADMIN_SP_ADMIN1: Self = Self(0x0000_0009_0000_0201);
    /// Admin1 of the Locking SP.
    pub const ADMIN1: Self = Self(0x0000_0009_0001_0001);
    /// The class of all Users.
    pub const USERS: Self = Self(0x0000_0009_0003_0000);

    // Passwords.
    /// The owner's password.
    pub const C_PIN_SID: Self = Self(0x0000_000b_0000_0001);
    /// The password that everybody may read, and that the owner has first.
    pub const C_PIN_MSID: Self = Self(0x0000_000b_0000_8402);
    /// The password of Admin1 of the Locking SP.
    pub const C_PIN_ADMIN1: Self = Self(0x0000_000b_0001_0001);

    // Locking.
    /// The one row of LockingInfo.
    pub const LOCKING_INFO: Self = Self(0x0000_0801_0000_0001);
    /// The global range.
    pub const GLOBAL_RANGE: Self = Self(0x0000_0802_0000_0001);
    /// The global range's key of 256 bits.
    pub const K_AES_256_GLOBAL_RANGE: Self = Self(0x0000_0806_0000_0001);

    numbered! {
        /// A user of the Locking SP, from 1.
        user = 0x0000_0009_0003_0000;
        /// A user's password, from 1.
        c_pin_user = 0x0000_000b_0003_0000;
        /// A locking range that is not the global one, from 1.
        range = 0x0000_0802_0003_0000;
        /// The key of 256 bits of a range that is not the global one, from 1.
        k_aes_256 = 0x0000_0806_0003_0000;
        /// Who may set a user's password, from 1; beside Admins.
        ace_c_pin_user_set_pin = 0x0000_0008_0003_a800;
        /// Who may read a range's columns; 0 is the global range.
        ace_range_get = 0x0000_0008_0003_d000;
        /// Who may set a range's ReadLocked; 0 is the global range.
        ace_range_set_read_locked = 0x0000_0008_0003_e000;
        /// Who may set a range's WriteLocked; 0 is the global range.
        ace_range_set_write_locked = 0x0000_0008_0003_e800;
        /// Who may give a range another key of 256 bits; 0 is the global range.
        ace_k_aes_256_gen_key = 0x0000_0008_0003_b800;
    }

    /// A UID of this number.
    #[must_use]
    pub const fn new(number: u64) -> Self {
        Self(number)
    }

    /// Its number.
    #[must_use]
    pub const fn number(self) -> u64 {
        self.0
    }

    /// As it is written.
    #[must_use]
    pub const fn bytes(self) -> [u8; 8] {
        self.0.to_be_bytes()
    }

    /// As it was written.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; 8]) -> Self {
        Self(u64::from_be_bytes(bytes))
    }

    /// A locking range; 0 is the global one.
    #[must_use]
    pub const fn locking_range(number: u16) -> Self {
        match number {
            0 => Self::GLOBAL_RANGE,
            number => Self::range(number),
        }
    }
}

impl HalfUid {
    /// A reference to an authority, in an expression.
    pub const AUTHORITY: Self = Self(0x0000_0c05);
    /// An operator, in an expression.
    pub const BOOLEAN: Self = Self(0x0000_040e);

    /// As it is written.
    #[must_use]
    pub const fn bytes(self) -> [u8; 4] {
        self.0.to_be_bytes()
    }
}

/// Operators of an expression (Core 5.1.3.11, boolean_ACE).
pub mod operator {
    /// Both.
    pub const AND: u64 = 0;
    /// Either.
    pub const OR: u64 = 1;
    /// Not.
    pub const NOT: u64 = 2;
}

/// Optional parameters of methods, which are named by numbers.
pub mod parameter {
    /// StartSession, HostChallenge: the password.
    pub const HOST_CHALLENGE: u64 = 0;
    /// StartSession, HostSigningAuthority: whose.
    pub const HOST_SIGNING_AUTHORITY: u64 = 3;
    /// Set, Where.
    pub const WHERE: u64 = 0;
    /// Set, Values.
    pub const VALUES: u64 = 1;
    /// A cell block's Table.
    pub const TABLE: u64 = 0;
    /// A cell block's startColumn.
    pub const START_COLUMN: u64 = 3;
    /// A cell block's endColumn.
    pub const END_COLUMN: u64 = 4;
    /// Properties, HostProperties.
    pub const HOST_PROPERTIES: u64 = 0;
}

/// Columns of tables.
pub mod column {
    /// Any table: UID.
    pub const UID: u64 = 0;
    /// SP: LifeCycle.
    pub const SP_LIFE_CYCLE: u64 = 6;
    /// Authority: Enabled.
    pub const AUTHORITY_ENABLED: u64 = 5;
    /// C_PIN: PIN.
    pub const PIN: u64 = 3;
    /// C_PIN: TryLimit.
    pub const TRY_LIMIT: u64 = 5;
    /// C_PIN: Tries.
    pub const TRIES: u64 = 6;
    /// ACE: BooleanExpr.
    pub const BOOLEAN_EXPR: u64 = 3;
    /// LockingInfo: MaxRanges.
    pub const MAX_RANGES: u64 = 4;
    /// Locking: RangeStart.
    pub const RANGE_START: u64 = 3;
    /// Locking: RangeLength.
    pub const RANGE_LENGTH: u64 = 4;
    /// Locking: ReadLockEnabled.
    pub const READ_LOCK_ENABLED: u64 = 5;
    /// Locking: WriteLockEnabled.
    pub const WRITE_LOCK_ENABLED: u64 = 6;
    /// Locking: ReadLocked.
    pub const READ_LOCKED: u64 = 7;
    /// Locking: WriteLocked.
    pub const WRITE_LOCKED: u64 = 8;
    /// Locking: LockOnReset.
    pub const LOCK_ON_RESET: u64 = 9;
    /// Locking: ActiveKey.
    pub const ACTIVE_KEY: u64 = 0xa;
}

/// Values of an SP's life cycle (Opal 5.2.3).
pub mod life_cycle {
    /// As it was made: it can be activated.
    pub const MANUFACTURED_INACTIVE: u64 = 8;
    /// Activated.
    pub const MANUFACTURED: u64 = 9;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn uids_are_big_endian() {
        assert_eq!(Uid::SID.bytes(), [0, 0, 0, 9, 0, 0, 0, 6]);
        assert_eq!(Uid::from_bytes([0, 0, 2, 5, 0, 0, 0, 2]), Uid::LOCKING_SP);
        assert_eq!(Uid::user(2).bytes(), [0, 0, 0, 9, 0, 3, 0, 2]);
        assert_eq!(Uid::locking_range(0).bytes(), [0, 0, 8, 2, 0, 0, 0, 1]);
        assert_eq!(Uid::locking_range(7).bytes(), [0, 0, 8, 2, 0, 3, 0, 7]);
        assert_eq!(Uid::ace_range_set_write_locked(1).bytes(), [0, 0, 0, 8, 0, 3, 0xe8, 1]);
        assert_eq!(HalfUid::AUTHORITY.bytes(), [0, 0, 0x0c, 5]);
        assert_eq!((Uid::new(7).number(), Uid::REVERT.bytes()[6]), (7, 2));
    }
}

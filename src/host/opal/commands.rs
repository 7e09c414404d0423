//! What is done with Opal: one session each (Opal 3, 4, 5; the use cases of the TCG's application note).

use super::{
    Error, Password, Tper,
    session::{Session, Signer},
};
use spec::tcg::{Encoder, HalfUid, Uid, Value, column, life_cycle};
use zeroize::Zeroizing;

/// Who signs in at the Locking SP.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum User {
    /// Its first administrator.
    Admin1,
    /// A user, from 1.
    User(u16),
}

/// What of a range is locked.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum LockState {
    /// Writing.
    ReadOnly,
    /// Reading and writing.
    Locked,
    /// Nothing.
    ReadWrite,
}

/// What there is to know of a range.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[expect(clippy::struct_excessive_bools, reason = "columns of the table")]
pub struct RangeInfo {
    /// Its first block.
    pub start: u64,
    /// Its blocks.
    pub length: u64,
    /// Whether reading can be locked.
    pub read_lock_enabled: bool,
    /// Whether writing can be locked.
    pub write_lock_enabled: bool,
    /// Whether reading is locked, if it can be.
    pub read_locked: bool,
    /// Whether writing is locked, if it can be.
    pub write_locked: bool,
}

impl User {
    fn authority(self) -> Uid {
        match self {
            Self::Admin1 => Uid::ADMIN1,
            Self::User(number) => Uid::user(number),
        }
    }

    fn password_object(self) -> Uid {
        match self {
            Self::Admin1 => Uid::C_PIN_ADMIN1,
            Self::User(number) => Uid::c_pin_user(number),
        }
    }
}

impl<'a> Tper<'a> {
    /// A session with the Locking SP.
    fn locking<T>(
        self,
        user: User,
        password: &Password,
        work: impl FnOnce(&Session<'a>) -> Result<T, Error>,
    ) -> Result<T, Error> {
        self.session(Uid::LOCKING_SP, &password.of(user.authority()), work)
    }

    /// Makes this the owner's password. Until somebody has done so, that is the one that anybody may read.
    pub fn take_ownership(self, new: &Password) -> Result<(), Error> {
        let first = self.session(Uid::ADMIN_SP, &Signer::Anybody, |session| {
            session.get("Get (C_PIN_MSID)", Uid::C_PIN_MSID, column::PIN..=column::PIN, |row| {
                row.column(column::PIN, |pin| pin.bytes().map(|pin| Zeroizing::new(pin.to_vec())))
            })
        })?;
        self.session(Uid::ADMIN_SP, &Signer::Authority(Uid::SID, &first), |session| {
            session.set_password("Set (C_PIN_SID)", Uid::C_PIN_SID, new)
        })
    }

    /// Activates the Locking SP, whose Admin1 gets the owner's password.
    pub fn activate(self, owner: &Password) -> Result<(), Error> {
        self.session(Uid::ADMIN_SP, &owner.of(Uid::SID), |session| {
            let columns = column::SP_LIFE_CYCLE..=column::SP_LIFE_CYCLE;
            let state = session.get("Get (life cycle)", Uid::LOCKING_SP, columns, |row| {
                row.column(column::SP_LIFE_CYCLE, Value::unsigned)
            })?;
            if state != life_cycle::MANUFACTURED_INACTIVE {
                return Err(Error::LifeCycle(state));
            }
            session.invoke("Activate (Locking SP)", Uid::LOCKING_SP, Uid::ACTIVATE)
        })
    }

    /// Makes the device what it was when it was new. All data are lost.
    pub fn revert(self, owner: &Password) -> Result<(), Error> {
        self.last_session(Uid::ADMIN_SP, &owner.of(Uid::SID), |session| {
            session.invoke("Revert (Admin SP)", Uid::ADMIN_SP, Uid::REVERT)
        })
    }

    /// Locks or unlocks a range; 0 is the global one.
    pub fn set_lock(
        self,
        user: User,
        password: &Password,
        range: u16,
        state: LockState,
    ) -> Result<(), Error> {
        let (read, write) = match state {
            LockState::ReadOnly => (false, true),
            LockState::Locked => (true, true),
            LockState::ReadWrite => (false, false),
        };
        self.locking(user, password, |session| {
            session.set("Set (ReadLocked, WriteLocked)", Uid::locking_range(range), |to| {
                boolean(to, column::READ_LOCKED, read);
                boolean(to, column::WRITE_LOCKED, write);
            })
        })
    }

    /// Makes a range of these blocks, which can be locked, and is as locked as it was. The global range is of all blocks that no other one
    /// has: it can be locked from now on, and is not.
    pub fn set_up_range(
        self,
        user: User,
        password: &Password,
        range: u16,
        (start, length): (u64, u64),
    ) -> Result<(), Error> {
        self.locking(user, password, |session| {
            session.set("Set (locking range)", Uid::locking_range(range), |to| {
                if range != 0 {
                    to.named(column::RANGE_START, |to| _ = to.unsigned(start));
                    to.named(column::RANGE_LENGTH, |to| _ = to.unsigned(length));
                }
                boolean(to, column::READ_LOCK_ENABLED, true);
                boolean(to, column::WRITE_LOCK_ENABLED, true);
                if range == 0 {
                    boolean(to, column::READ_LOCKED, false);
                    boolean(to, column::WRITE_LOCKED, false);
                }
            })
        })
    }

    /// How many ranges there can be beside the global one.
    pub fn max_ranges(self, admin: &Password) -> Result<u64, Error> {
        self.locking(User::Admin1, admin, |session| {
            let columns = column::MAX_RANGES..=column::MAX_RANGES;
            session.get("Get (MaxRanges)", Uid::LOCKING_INFO, columns, |row| {
                row.column(column::MAX_RANGES, Value::unsigned)
            })
        })
    }

    /// What there is to know of a range.
    pub fn range_info(self, user: User, password: &Password, range: u16) -> Result<RangeInfo, Error> {
        self.locking(user, password, |session| {
            let columns = column::RANGE_START..=column::WRITE_LOCKED;
            session.get("Get (locking range)", Uid::locking_range(range), columns, |row| {
                let boolean = |number| row.column(number, Value::boolean);
                Ok(RangeInfo {
                    start: row.column(column::RANGE_START, Value::unsigned)?,
                    length: row.column(column::RANGE_LENGTH, Value::unsigned)?,
                    read_lock_enabled: boolean(column::READ_LOCK_ENABLED)?,
                    write_lock_enabled: boolean(column::WRITE_LOCK_ENABLED)?,
                    read_locked: boolean(column::READ_LOCKED)?,
                    write_locked: boolean(column::WRITE_LOCKED)?,
                })
            })
        })
    }

    /// Enables a user, who can sign in from then on.
    pub fn enable_user(self, admin: &Password, user: u16) -> Result<(), Error> {
        self.locking(User::Admin1, admin, |session| {
            session.set("Set (Enabled)", Uid::user(user), |to| boolean(to, column::AUTHORITY_ENABLED, true))
        })
    }

    /// Lets this user, and nobody else, set whether a range's writing (`write`) or reading is locked.
    pub fn admit_user(self, admin: &Password, user: u16, range: u16, write: bool) -> Result<(), Error> {
        let element = if write {
            Uid::ace_range_set_write_locked(range)
        } else {
            Uid::ace_range_set_read_locked(range)
        };
        self.locking(User::Admin1, admin, |session| {
            session.set("Set (BooleanExpr)", element, |to| {
                to.named(column::BOOLEAN_EXPR, |to| {
                    to.list(|to| {
                        to.start_name().bytes(&HalfUid::AUTHORITY.bytes()).uid(Uid::user(user)).end_name();
                    });
                });
            })
        })
    }

    /// Sets a user's password, with the right of this one.
    pub fn set_password(
        self,
        signer: User,
        password: &Password,
        user: User,
        new: &Password,
    ) -> Result<(), Error> {
        self.locking(signer, password, |session| {
            session.set_password("Set (C_PIN)", user.password_object(), new)
        })
    }

    /// Erases a range (Opal Feature Set: Single User Mode).
    pub fn erase(self, user: User, password: &Password, range: u16) -> Result<(), Error> {
        self.locking(user, password, |session| session.invoke("Erase", Uid::locking_range(range), Uid::ERASE))
    }

    /// Erases a range by giving it another key.
    pub fn generate_key(self, user: User, password: &Password, range: u16) -> Result<(), Error> {
        self.locking(user, password, |session| {
            let columns = column::ACTIVE_KEY..=column::ACTIVE_KEY;
            let key = session.get("Get (ActiveKey)", Uid::locking_range(range), columns, |row| {
                row.column(column::ACTIVE_KEY, Value::uid)
            })?;
            session.invoke("GenKey", key, Uid::GEN_KEY)
        })
    }
}

impl Session<'_> {
    fn set_password(&self, what: &'static str, object: Uid, new: &Password) -> Result<(), Error> {
        self.set(what, object, |to| _ = to.named(column::PIN, |to| _ = to.bytes(new.bytes())))
    }
}

fn boolean(to: &mut Encoder, column: u64, value: bool) {
    to.named(column, |to| _ = to.boolean(value));
}

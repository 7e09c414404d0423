//! The objects of both SPs, and the methods that are invoked on them (Core 5.3.3, Opal 4.2, 4.3, 5.1).
//!
//! What must hold: a method that fails changes nothing. An object that is not there, and a method that it does not have, are Not
//! Authorized, as what one may not do is (Core 5.1.5.2).

use spec::tcg::uid::{column, life_cycle, parameter};
use spec::tcg::{Encoder, Error, MethodStatus, Uid, Value, Values};

use super::access::{Expression, is};
use super::ranges::{RANGES, Range};
use super::{Erasure, LockingSp, Pin, Session, Sp, Tper, USERS, user_of};

/// RevertSP, KeepGlobalRangeKey (Opal 5.1.3.2).
const KEEP_GLOBAL_RANGE_KEY: u64 = 0x06_0000;
/// LockingInfo, EncryptSupport: media encryption.
const ENCRYPT_SUPPORT: u64 = 3;
/// K_AES_256, Mode.
const MODE: u64 = 4;
/// XTS.
const XTS: u64 = 7;

/// What a cell holds.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) enum Cell {
    Number(u64),
    Bytes(Vec<u8>),
    Set(Vec<u64>),
    Expression(Expression),
}

impl Cell {
    fn write(&self, encoder: &mut Encoder) {
        match self {
            Self::Number(number) => encoder.unsigned(*number),
            Self::Bytes(bytes) => encoder.bytes(bytes),
            Self::Set(numbers) => encoder.list(|list| {
                for number in numbers {
                    list.unsigned(*number);
                }
            }),
            Self::Expression(expression) => {
                expression.write(encoder);
                encoder
            }
        };
    }
}

impl From<Uid> for Cell {
    fn from(uid: Uid) -> Self {
        Self::Bytes(uid.bytes().to_vec())
    }
}

impl From<bool> for Cell {
    fn from(value: bool) -> Self {
        Self::Number(value.into())
    }
}

/// What a method comes to.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(super) struct Outcome {
    /// Cells that it gives, by their columns.
    pub(super) row: Option<Vec<(u64, Cell)>>,
    /// Whether the session ends with it.
    pub(super) ends: bool,
    pub(super) erased: Vec<Erasure>,
}

impl Outcome {
    fn erased(erased: Vec<Erasure>) -> Self {
        Self { erased, ..Self::default() }
    }

    /// Writes the results of the method.
    pub(super) fn write(&self, encoder: &mut Encoder) {
        if let Some(row) = &self.row {
            encoder.list(|list| {
                for (column, cell) in row {
                    list.named(*column, |value| cell.write(value));
                }
            });
        }
    }
}

/// A parameter that is no such thing.
pub(super) fn given<T>(parameter: Result<T, Error>) -> Result<T, MethodStatus> {
    parameter.map_err(|error| {
        tracing::debug!(%error, "a method's parameter is refused");
        MethodStatus::INVALID_PARAMETER
    })
}

const NOT_AUTHORIZED: MethodStatus = MethodStatus::NOT_AUTHORIZED;
const INVALID_PARAMETER: MethodStatus = MethodStatus::INVALID_PARAMETER;

fn may(it: bool) -> Result<(), MethodStatus> {
    if it { Ok(()) } else { Err(NOT_AUTHORIZED) }
}

/// The number of a range by its UID.
fn range_of(object: Uid) -> Option<usize> {
    (0..=RANGES).find(|number| Uid::locking_range(*number as u16) == object)
}

/// The key of a range.
fn key(range: usize) -> Uid {
    if range == 0 { Uid::K_AES_256_GLOBAL_RANGE } else { Uid::k_aes_256(range as u16) }
}

fn range_of_key(object: Uid) -> Option<usize> {
    (0..=RANGES).find(|number| key(*number) == object)
}

/// The number of a user by the UID of its password.
fn user_of_pin(object: Uid) -> Option<usize> {
    (1..=USERS).find(|number| Uid::c_pin_user(*number as u16) == object)
}

impl Tper {
    /// Invokes a method in a session. `blocks` are those of the first namespace.
    pub(super) fn invoke(
        &mut self,
        session: &Session,
        object: Uid,
        method: Uid,
        parameters: Values<'_>,
        blocks: u64,
    ) -> Result<Outcome, MethodStatus> {
        if method == Uid::GET {
            return self.get(session, object, parameters);
        }
        may(session.write)?;
        match method {
            Uid::SET => self.set(session, object, parameters, blocks),
            Uid::ACTIVATE => {
                may(session.sp == Sp::Admin && session.authority == Uid::SID && object == Uid::LOCKING_SP)?;
                given(parameters.finish())?;
                if !self.locking.active {
                    self.locking =
                        LockingSp { active: true, admin1: self.sid.clone(), ..LockingSp::default() };
                }
                Ok(Outcome::default())
            }
            Uid::REVERT => {
                may(session.sp == Sp::Admin && session.authority == Uid::SID)?;
                may([Uid::ADMIN_SP, Uid::LOCKING_SP].contains(&object))?;
                given(parameters.finish())?;
                Ok(self.revert(object == Uid::ADMIN_SP))
            }
            Uid::REVERT_SP => self.revert_sp(session, object, parameters),
            Uid::GEN_KEY => {
                may(session.sp == Sp::Locking)?;
                let range = range_of_key(object).ok_or(NOT_AUTHORIZED)?;
                may(self.locking.holds(Uid::ace_k_aes_256_gen_key(range as u16), session.authority))?;
                given(parameters.finish())?;
                Ok(Outcome::erased(vec![Erasure::Range(Box::new(self.locking.ranges), range)]))
            }
            // It is one of Single User Mode, and taken for every range here: a new key, and no lock.
            Uid::ERASE => {
                may(session.sp == Sp::Locking)?;
                let index = range_of(object).ok_or(NOT_AUTHORIZED)?;
                may(self.locking.holds(Uid::ace_k_aes_256_gen_key(index as u16), session.authority))?;
                given(parameters.finish())?;
                let erased = vec![Erasure::Range(Box::new(self.locking.ranges), index)];
                let old = self.locking.ranges.get(index).copied().unwrap_or_default();
                let range = Range { start: old.start, length: old.length, ..Range::default() };
                if !self.locking.ranges.replace(index, range, blocks) {
                    return Err(MethodStatus::FAIL);
                }
                Ok(Outcome::erased(erased))
            }
            _ => Err(NOT_AUTHORIZED),
        }
    }

    fn revert_sp(
        &mut self,
        session: &Session,
        object: Uid,
        parameters: Values<'_>,
    ) -> Result<Outcome, MethodStatus> {
        may(object == Uid::THIS_SP)?;
        let keep = given(parameters.named(KEEP_GLOBAL_RANGE_KEY))?;
        let keep = keep.map_or(Ok(false), |keep| given(keep.boolean()))?;
        match session.sp {
            Sp::Admin => {
                may(session.authority == Uid::SID)?;
                Ok(self.revert(true))
            }
            Sp::Locking => {
                may(is(session.authority, Uid::ADMINS))?;
                let ranges = self.locking.ranges;
                if keep && ranges.get(0).is_some_and(|global| global.read_locked && global.write_locked) {
                    return Err(MethodStatus::FAIL);
                }
                let outcome = self.revert(false);
                let kept = (1..=RANGES).map(|range| Erasure::Range(Box::new(ranges), range)).collect();
                Ok(Outcome { ends: true, erased: if keep { kept } else { outcome.erased }, row: None })
            }
        }
    }

    /// The Locking SP, or with it the Admin SP, is as it was made, and nothing of the data is left.
    fn revert(&mut self, all: bool) -> Outcome {
        let erases = all || self.locking.active;
        self.locking = LockingSp::default();
        if all {
            self.sid = self.msid.clone();
        }
        Outcome { row: None, ends: all, erased: if erases { vec![Erasure::All] } else { Vec::new() } }
    }

    /// Get, with the columns that there are and may be read (Core 5.3.3.6).
    fn get(
        &self,
        session: &Session,
        object: Uid,
        mut parameters: Values<'_>,
    ) -> Result<Outcome, MethodStatus> {
        let row = self.row(session, object);
        if row.is_empty() {
            return Err(NOT_AUTHORIZED);
        }
        let block = given(parameters.value().and_then(Value::list))?;
        given(parameters.finish())?;
        let (mut from, mut to) = (0, u64::MAX);
        for value in block {
            let Value::Named(pair) = given(value)? else { return Err(INVALID_PARAMETER) };
            let (name, value) = given(pair.pair())?;
            match given(name.unsigned())? {
                parameter::START_COLUMN => from = given(value.unsigned())?,
                parameter::END_COLUMN => to = given(value.unsigned())?,
                // Objects have one row, which is not named.
                _ => return Err(INVALID_PARAMETER),
            }
        }
        if from > to {
            return Err(INVALID_PARAMETER);
        }
        let row = row.into_iter().filter(|(column, _)| (from..=to).contains(column)).collect();
        Ok(Outcome { row: Some(row), ..Outcome::default() })
    }

    /// The cells of an object that whoever has the session may read.
    fn row(&self, session: &Session, object: Uid) -> Vec<(u64, Cell)> {
        let who = session.authority;
        let uid = (column::UID, Cell::from(object));
        let tries = [(column::TRY_LIMIT, Cell::Number(0)), (column::TRIES, Cell::Number(0))];
        let mut row = Vec::new();
        match (session.sp, object) {
            (Sp::Admin, Uid::ADMIN_SP) => {
                row.extend([uid, (column::SP_LIFE_CYCLE, Cell::Number(life_cycle::MANUFACTURED))]);
            }
            (Sp::Admin, Uid::LOCKING_SP) => {
                row.extend([uid, (column::SP_LIFE_CYCLE, Cell::Number(self.locking.life_cycle()))]);
            }
            (Sp::Admin, Uid::C_PIN_MSID) => {
                row.extend([uid, (column::PIN, Cell::Bytes(self.msid.bytes().to_vec()))]);
            }
            (Sp::Admin, Uid::C_PIN_SID) if who == Uid::SID => {
                row.push(uid);
                row.extend(tries);
            }
            (Sp::Admin, Uid::SID | Uid::ANYBODY) => {
                row.extend([uid, (column::AUTHORITY_ENABLED, Cell::from(true))]);
            }
            (Sp::Locking, Uid::LOCKING_INFO) => {
                row.extend([
                    uid,
                    (ENCRYPT_SUPPORT, Cell::Number(1)),
                    (column::MAX_RANGES, Cell::Number(RANGES as u64)),
                ]);
            }
            (Sp::Locking, object) => self.locking.row(who, object, uid, tries, &mut row),
            _ => {}
        }
        row
    }

    /// Set (Core 5.3.3.7): all of the columns, or none.
    fn set(
        &mut self,
        session: &Session,
        object: Uid,
        parameters: Values<'_>,
        blocks: u64,
    ) -> Result<Outcome, MethodStatus> {
        // Objects have one row, which is not named.
        if given(parameters.named(parameter::WHERE))?.is_some() {
            return Err(INVALID_PARAMETER);
        }
        let Some(values) = given(parameters.named(parameter::VALUES))? else { return Ok(Outcome::default()) };
        let mut columns = Vec::new();
        for value in given(values.list())? {
            let Value::Named(pair) = given(value)? else { return Err(INVALID_PARAMETER) };
            let (name, value) = given(pair.pair())?;
            let name = given(name.unsigned())?;
            if columns.iter().any(|(other, _)| *other == name) {
                return Err(INVALID_PARAMETER);
            }
            columns.push((name, value));
        }
        match (session.sp, object) {
            (Sp::Admin, Uid::C_PIN_SID) => {
                may(session.authority == Uid::SID)?;
                let mut sid = self.sid.clone();
                sid.set(&columns)?;
                self.sid = sid;
            }
            (Sp::Admin, _) => return Err(NOT_AUTHORIZED),
            (Sp::Locking, object) => {
                let mut locking = self.locking.clone();
                locking.set(session.authority, object, &columns, blocks)?;
                self.locking = locking;
            }
        }
        Ok(Outcome::default())
    }
}

impl Pin {
    /// Sets the columns of a password's object.
    fn set(&mut self, columns: &[(u64, Value<'_>)]) -> Result<(), MethodStatus> {
        for (name, value) in columns {
            may(*name == column::PIN)?;
            *self = Pin::new(given(value.bytes())?).ok_or(INVALID_PARAMETER)?;
        }
        Ok(())
    }
}

impl LockingSp {
    fn life_cycle(&self) -> u64 {
        if self.active { life_cycle::MANUFACTURED } else { life_cycle::MANUFACTURED_INACTIVE }
    }

    /// Whether an element's expression holds for somebody.
    fn holds(&self, ace: Uid, somebody: Uid) -> bool {
        self.expression(ace).is_some_and(|expression| expression.holds(somebody))
    }

    fn expression(&self, ace: Uid) -> Option<Expression> {
        self.expressions.get(&ace).cloned().or_else(|| Expression::first_of(ace))
    }

    fn row(
        &self,
        who: Uid,
        object: Uid,
        uid: (u64, Cell),
        tries: [(u64, Cell); 2],
        row: &mut Vec<(u64, Cell)>,
    ) {
        let admin = is(who, Uid::ADMINS);
        if let Some(index) = range_of(object) {
            row.push(uid);
            let range = self.ranges.get(index).copied().unwrap_or_default();
            if self.holds(Uid::ace_range_get(index as u16), who) {
                row.extend([
                    (column::RANGE_START, Cell::Number(range.start)),
                    (column::RANGE_LENGTH, Cell::Number(range.length)),
                    (column::READ_LOCK_ENABLED, range.read_lock_enabled.into()),
                    (column::WRITE_LOCK_ENABLED, range.write_lock_enabled.into()),
                    (column::READ_LOCKED, range.read_locked.into()),
                    (column::WRITE_LOCKED, range.write_locked.into()),
                    // Power Cycle.
                    (column::LOCK_ON_RESET, Cell::Set(vec![0])),
                    (column::ACTIVE_KEY, key(index).into()),
                ]);
            }
        } else if range_of_key(object).is_some() {
            row.extend([uid, (MODE, Cell::Number(XTS))]);
        } else if object == Uid::ADMIN1 {
            row.push(uid);
            row.extend(admin.then_some((column::AUTHORITY_ENABLED, true.into())));
        } else if let Some(user) = user_of(object) {
            row.push(uid);
            let enabled = self.user(user).is_some_and(|user| user.enabled);
            row.extend(admin.then_some((column::AUTHORITY_ENABLED, enabled.into())));
        } else if (object == Uid::C_PIN_ADMIN1 || user_of_pin(object).is_some()) && admin {
            row.push(uid);
            row.extend(tries);
        } else if let Some(expression) = self.expression(object).filter(|_| admin) {
            row.extend([uid, (column::BOOLEAN_EXPR, Cell::Expression(expression))]);
        }
    }

    fn set(
        &mut self,
        who: Uid,
        object: Uid,
        columns: &[(u64, Value<'_>)],
        blocks: u64,
    ) -> Result<(), MethodStatus> {
        let admin = is(who, Uid::ADMINS);
        if let Some(index) = range_of(object) {
            return self.set_range(who, index, columns, blocks);
        }
        if object == Uid::C_PIN_ADMIN1 {
            may(admin)?;
            return self.admin1.set(columns);
        }
        if let Some(number) = user_of_pin(object) {
            may(self.holds(Uid::ace_c_pin_user_set_pin(number as u16), who))?;
            return self.user_mut(number).ok_or(NOT_AUTHORIZED)?.pin.set(columns);
        }
        may(admin)?;
        if let Some(number) = user_of(object) {
            let user = self.user_mut(number).ok_or(NOT_AUTHORIZED)?;
            for (name, value) in columns {
                may(*name == column::AUTHORITY_ENABLED)?;
                user.enabled = given(value.boolean())?;
            }
            return Ok(());
        }
        may(self.expression(object).is_some())?;
        for (name, value) in columns {
            may(*name == column::BOOLEAN_EXPR)?;
            let expression = Expression::read(given(value.list())?).ok_or(INVALID_PARAMETER)?;
            self.expressions.insert(object, expression);
        }
        Ok(())
    }

    fn set_range(
        &mut self,
        who: Uid,
        index: usize,
        columns: &[(u64, Value<'_>)],
        blocks: u64,
    ) -> Result<(), MethodStatus> {
        let admin = is(who, Uid::ADMINS);
        let mut range = *self.ranges.get(index).ok_or(NOT_AUTHORIZED)?;
        for (name, value) in columns {
            match *name {
                column::RANGE_START if admin && index > 0 => range.start = given(value.unsigned())?,
                column::RANGE_LENGTH if admin && index > 0 => range.length = given(value.unsigned())?,
                column::READ_LOCK_ENABLED if admin => range.read_lock_enabled = given(value.boolean())?,
                column::WRITE_LOCK_ENABLED if admin => range.write_lock_enabled = given(value.boolean())?,
                column::READ_LOCKED if self.holds(Uid::ace_range_set_read_locked(index as u16), who) => {
                    range.read_locked = given(value.boolean())?;
                }
                column::WRITE_LOCKED if self.holds(Uid::ace_range_set_write_locked(index as u16), who) => {
                    range.write_locked = given(value.boolean())?;
                }
                // There is no other reset than that of a target that begins anew.
                column::LOCK_ON_RESET if admin => {
                    for reset in given(value.list())? {
                        if given(given(reset)?.unsigned())? != 0 {
                            return Err(INVALID_PARAMETER);
                        }
                    }
                }
                _ => return Err(NOT_AUTHORIZED),
            }
        }
        if self.ranges.replace(index, range, blocks) { Ok(()) } else { Err(INVALID_PARAMETER) }
    }
}

//! Who may do what: the expressions of access control elements (Core 5.1.3.11, Opal 4.3.1.7).
//!
//! An expression is a list in postfix order. It is looked through when it is set, so that one that is kept always comes to a value.

use spec::tcg::uid::{HalfUid, operator};
use spec::tcg::{Encoder, Uid, Value, Values};

use super::{RANGES, USERS};

/// Terms of an expression at most.
const TERMS: usize = 32;

/// One term.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Term {
    Authority(Uid),
    And,
    Or,
    Not,
}

/// An expression.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Expression(Vec<Term>);

impl Expression {
    fn admins() -> Self {
        Self(vec![Term::Authority(Uid::ADMINS)])
    }

    /// What the element with this UID says before anybody sets it; `None` if there is no such element.
    pub(super) fn first_of(ace: Uid) -> Option<Self> {
        let of_ranges = (0..=RANGES as u16).flat_map(|number| {
            [
                Uid::ace_range_get(number),
                Uid::ace_range_set_read_locked(number),
                Uid::ace_range_set_write_locked(number),
                Uid::ace_k_aes_256_gen_key(number),
            ]
        });
        if of_ranges.into_iter().any(|of_range| of_range == ace) {
            return Some(Self::admins());
        }
        let user = (1..=USERS as u16).find(|number| Uid::ace_c_pin_user_set_pin(*number) == ace)?;
        Some(Self(vec![Term::Authority(Uid::ADMINS), Term::Authority(Uid::user(user)), Term::Or]))
    }

    /// Reads an expression; `None` if it is none, or names somebody who is not here.
    pub(super) fn read(values: Values<'_>) -> Option<Self> {
        let (mut terms, mut depth) = (Vec::new(), 0_usize);
        for value in values {
            let Ok(Value::Named(pair)) = value else { return None };
            let (name, value) = pair.pair().ok()?;
            let name = name.bytes().ok()?;
            let term = if name == HalfUid::AUTHORITY.bytes() {
                let authority = value.uid().ok()?;
                let known = [Uid::ANYBODY, Uid::ADMINS, Uid::ADMIN1, Uid::USERS].contains(&authority);
                if !known && super::user_of(authority).is_none() {
                    return None;
                }
                Term::Authority(authority)
            } else if name == HalfUid::BOOLEAN.bytes() {
                match value.unsigned().ok()? {
                    operator::AND => Term::And,
                    operator::OR => Term::Or,
                    operator::NOT => Term::Not,
                    _ => return None,
                }
            } else {
                return None;
            };
            depth = match term {
                Term::Authority(_) => depth + 1,
                Term::And | Term::Or if depth >= 2 => depth - 1,
                Term::Not if depth >= 1 => depth,
                _ => return None,
            };
            if terms.len() == TERMS {
                return None;
            }
            terms.push(term);
        }
        (depth == 1).then_some(Self(terms))
    }

    /// Writes it as the value of a column.
    pub(super) fn write(&self, encoder: &mut Encoder) {
        encoder.list(|list| {
            for term in &self.0 {
                list.start_name();
                match term {
                    Term::Authority(authority) => list.bytes(&HalfUid::AUTHORITY.bytes()).uid(*authority),
                    Term::And => list.bytes(&HalfUid::BOOLEAN.bytes()).unsigned(operator::AND),
                    Term::Or => list.bytes(&HalfUid::BOOLEAN.bytes()).unsigned(operator::OR),
                    Term::Not => list.bytes(&HalfUid::BOOLEAN.bytes()).unsigned(operator::NOT),
                };
                list.end_name();
            }
        });
    }

    /// Whether it holds for somebody.
    pub(super) fn holds(&self, somebody: Uid) -> bool {
        let mut stack = Vec::new();
        for term in &self.0 {
            let value = match term {
                Term::Authority(authority) => is(somebody, *authority),
                Term::Not => !stack.pop().unwrap_or(true),
                Term::And | Term::Or => {
                    let (one, other) = (stack.pop().unwrap_or(false), stack.pop().unwrap_or(false));
                    if *term == Term::And { one && other } else { one || other }
                }
            };
            stack.push(value);
        }
        stack.pop().unwrap_or(false)
    }
}

/// Whether somebody is this authority, or one of this class.
pub(super) fn is(somebody: Uid, authority: Uid) -> bool {
    match authority {
        Uid::ANYBODY => true,
        Uid::ADMINS => [Uid::ADMIN1, Uid::ADMIN_SP_ADMIN1].contains(&somebody),
        Uid::USERS => super::user_of(somebody).is_some(),
        authority => somebody == authority,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use spec::tcg::Tokens;

    fn read(terms: &[Result<Uid, u64>]) -> Option<Expression> {
        let mut encoder = Encoder::new();
        for term in terms {
            encoder.start_name();
            match term {
                Ok(uid) => encoder.bytes(&HalfUid::AUTHORITY.bytes()).uid(*uid),
                Err(operator) => encoder.bytes(&HalfUid::BOOLEAN.bytes()).unsigned(*operator),
            };
            encoder.end_name();
        }
        Expression::read(Values::new(Tokens::new(encoder.tokens())))
    }

    #[test]
    fn expressions_hold_for_some() {
        let (one, two, admin) = (Uid::user(1), Uid::user(2), Uid::ADMIN1);
        let holds =
            |expression: &Expression| [one, two, admin, Uid::ANYBODY].map(|who| expression.holds(who));
        let either = read(&[Ok(one), Ok(Uid::ADMINS), Err(operator::OR)]).unwrap();
        assert_eq!(holds(&either), [true, false, true, false]);
        let same = read(&[Ok(one), Ok(one), Err(operator::OR)]).unwrap();
        assert_eq!(holds(&same), [true, false, false, false]);
        let both = read(&[Ok(Uid::USERS), Ok(two), Err(operator::AND)]).unwrap();
        assert_eq!(holds(&both), [false, true, false, false]);
        let not = read(&[Ok(one), Err(operator::NOT)]).unwrap();
        assert_eq!(holds(&not), [false, true, true, true]);
        assert_eq!(holds(&read(&[Ok(Uid::ANYBODY)]).unwrap()), [true; 4]);
    }

    #[test]
    fn what_comes_to_no_value_is_no_expression() {
        let user = Ok(Uid::user(1));
        for terms in [
            &[][..],
            &[user, user],
            &[user, Err(operator::OR)],
            &[Err(operator::NOT)],
            &[user, user, Err(3)],
            &[Ok(Uid::user(9))],
            &[Ok(Uid::SID)],
            &[Ok(Uid::new(0))],
        ] {
            assert_eq!(read(terms), None, "{terms:?}");
        }
        let long: Vec<_> =
            std::iter::once(user).chain(std::iter::repeat_n(Err(operator::NOT), TERMS)).collect();
        assert!(read(&long).is_none() && read(&long[..TERMS]).is_some());
    }

    #[test]
    fn elements_are_of_admins_first() {
        let first = |ace| Expression::first_of(ace).unwrap();
        assert!(
            first(Uid::ace_range_get(0)).holds(Uid::ADMIN1)
                && !first(Uid::ace_range_get(8)).holds(Uid::user(8))
        );
        let pin = first(Uid::ace_c_pin_user_set_pin(3));
        assert!(pin.holds(Uid::ADMIN1) && pin.holds(Uid::user(3)) && !pin.holds(Uid::user(4)));
        for ace in [Uid::ace_range_get(9), Uid::ace_c_pin_user_set_pin(0), Uid::ADMIN1] {
            assert_eq!(Expression::first_of(ace), None);
        }
    }
}

//! Work request ids: checked tokens, never pointers.
//!
//! A completion may belong to a queue pair that is gone, or carry an id that nobody gave. So an id names its owner
//! by index and generation in a table, and the slot by index; each is checked before use.
//!
//! | bits | content |
//! |---|---|
//! | 44–63 | index of the owner in its [`Lanes`](super::poller::Lanes) |
//! | 17–43 | generation of that index, never 0 |
//! | 16 | kind: 0 send, 1 receive |
//! | 0–15 | slot |
//!
//! Owner and generation are on top, so that one shift gives what one compare checks. A shared receive queue is an owner that is in no
//! table ([`Owner::SHARED`]): its receives lead to a qpair by the completion's queue pair number.

/// What a work request is, and whose.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Token(u64);

/// The kind of a work request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// A command capsule of a request slot.
    Send,
    /// A response buffer of a qpair.
    Receive,
}

/// An owner of work requests: an index that is used again, and a generation that is not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Owner {
    pub(super) index: u32,
    pub(super) generation: u32,
}

impl Owner {
    pub(super) const INDEX_BITS: u32 = 20;
    pub(super) const GENERATION_BITS: u32 = 27;
    const GENERATIONS: u32 = 1 << Self::GENERATION_BITS;

    /// Whose the receives are that queue pairs share. A completion queue has one shared receive queue at most, for all its life, so one
    /// owner does for all. Its index is the last one, which no table has.
    pub(super) const SHARED: Self = Self { index: (1 << Self::INDEX_BITS) - 1, generation: 1 };

    /// The first owner that uses an index.
    pub(super) fn first(index: u32) -> Self {
        Self { index, generation: 1 }
    }

    /// The owner that uses the index after this one.
    pub(super) fn successor(self) -> Self {
        let next = self.generation.wrapping_add(1) & (Self::GENERATIONS - 1);
        Self { generation: next.max(1), ..self }
    }

    /// What is the same for all its tokens; 0 is no owner's.
    pub(super) fn key(self) -> u64 {
        let index = u64::from(self.index & ((1 << Self::INDEX_BITS) - 1));
        let generation = u64::from(self.generation & (Self::GENERATIONS - 1));
        index << Self::GENERATION_BITS | generation
    }
}

impl Token {
    const KIND_SHIFT: u32 = 16;
    const KEY_SHIFT: u32 = 17;
    const INDEX_SHIFT: u32 = Self::KEY_SHIFT + Owner::GENERATION_BITS;

    pub(super) fn new(kind: Kind, owner: Owner, slot: u16) -> Self {
        let kind: u64 = match kind {
            Kind::Send => 0,
            Kind::Receive => 1,
        };
        Self(owner.key() << Self::KEY_SHIFT | kind << Self::KIND_SHIFT | u64::from(slot))
    }

    pub(super) fn to_raw(self) -> u64 {
        self.0
    }

    #[inline(always)]
    pub(super) fn from_raw(raw: u64) -> Self {
        Self(raw)
    }

    #[inline(always)]
    pub(super) fn is_receive(self) -> bool {
        self.0 & 1 << Self::KIND_SHIFT != 0
    }

    /// What is the same for all tokens of an owner: [`Owner::key`].
    #[inline(always)]
    pub(super) fn key(self) -> u64 {
        self.0 >> Self::KEY_SHIFT
    }

    /// The place of the owner in its table.
    #[inline(always)]
    pub(super) fn index(self) -> usize {
        (self.0 >> Self::INDEX_SHIFT) as usize
    }

    #[inline(always)]
    pub(super) fn slot(self) -> u16 {
        self.0 as u16
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_tells_what_it_was_made_of() {
        for kind in [Kind::Send, Kind::Receive] {
            for index in [0, 1, (1 << 20) - 1] {
                for generation in [1, 2, (1 << 27) - 1] {
                    for slot in [0, 1, u16::MAX] {
                        let owner = Owner { index, generation };
                        let token = Token::from_raw(Token::new(kind, owner, slot).to_raw());
                        assert_eq!((token.is_receive(), token.slot()), (kind == Kind::Receive, slot));
                        assert_eq!((token.key(), token.index()), (owner.key(), index as usize));
                        for other in [owner.successor(), Owner { index: index ^ 1, ..owner }] {
                            assert_ne!(token.key(), Token::new(kind, other, slot).key());
                        }
                    }
                }
            }
        }
    }

    #[test]
    fn no_owner_has_the_key_that_stands_for_none() {
        assert_ne!(Owner::first(0).key(), 0);
        assert_ne!(Owner { index: 0, generation: (1 << 27) - 1 }.successor().key(), 0);
    }

    #[test]
    fn a_generation_comes_again_only_after_all_others() {
        let last = Owner { index: 7, generation: (1 << 27) - 1 };
        assert_eq!(last.successor(), Owner::first(7));
        assert_ne!(last.successor().successor(), last);
    }
}

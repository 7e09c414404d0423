//! Work request ids: checked tokens, never pointers.
//!
//! A completion may belong to a queue pair that is gone, or carry an id that nobody gave. So an id names its owner
//! by index and generation in a table, and the slot by index; each is checked before use.
//!
//! | bits | content |
//! |---|---|
//! | 62–63 | kind: 1 send, 2 receive of a qpair, 3 receive of a shared receive queue |
//! | 42–61 | index of the owner in its [`Lanes`](super::poller::Lanes) |
//! | 16–41 | generation of that index |
//! | 0–15 | slot |

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
    /// A response buffer of a poller's shared receive queue; the qpair then follows from the queue pair number.
    SharedReceive,
}

/// An owner of work requests: an index that is used again, and a generation that is not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Owner {
    pub(super) index: u32,
    pub(super) generation: u32,
}

impl Owner {
    pub(super) const INDEX_BITS: u32 = 20;
    pub(super) const GENERATION_BITS: u32 = 26;

    /// The owner that uses the index after this one.
    pub(super) fn successor(self) -> Self {
        Self { generation: self.generation.wrapping_add(1) & ((1 << Self::GENERATION_BITS) - 1), ..self }
    }
}

impl Token {
    pub(super) const SLOT_BITS: u32 = 16;
    const GENERATION_SHIFT: u32 = Self::SLOT_BITS;
    const INDEX_SHIFT: u32 = Self::GENERATION_SHIFT + Owner::GENERATION_BITS;
    const KIND_SHIFT: u32 = Self::INDEX_SHIFT + Owner::INDEX_BITS;

    pub(super) fn new(kind: Kind, owner: Owner, slot: u16) -> Self {
        let kind: u64 = match kind {
            Kind::Send => 1,
            Kind::Receive => 2,
            Kind::SharedReceive => 3,
        };
        let index = u64::from(owner.index & ((1 << Owner::INDEX_BITS) - 1));
        let generation = u64::from(owner.generation & ((1 << Owner::GENERATION_BITS) - 1));
        Self(
            kind << Self::KIND_SHIFT
                | index << Self::INDEX_SHIFT
                | generation << Self::GENERATION_SHIFT
                | u64::from(slot),
        )
    }

    pub(super) fn to_raw(self) -> u64 {
        self.0
    }

    #[inline]
    pub(super) fn from_raw(raw: u64) -> Self {
        Self(raw)
    }

    /// None for an id that this library never gives.
    #[inline]
    pub(super) fn kind(self) -> Option<Kind> {
        match self.0 >> Self::KIND_SHIFT {
            1 => Some(Kind::Send),
            2 => Some(Kind::Receive),
            3 => Some(Kind::SharedReceive),
            _ => None,
        }
    }

    /// The place of the owner in its table.
    #[inline]
    pub(super) fn index(self) -> usize {
        ((self.0 >> Self::INDEX_SHIFT) & ((1 << Owner::INDEX_BITS) - 1)) as usize
    }

    /// Whether two tokens are of the same owner, whatever kind and slot they name.
    #[inline]
    pub(super) fn has_owner_of(self, other: Self) -> bool {
        (self.0 ^ other.0) & (((1 << Self::KIND_SHIFT) - 1) & !((1 << Self::SLOT_BITS) - 1)) == 0
    }

    #[cfg(test)]
    pub(super) fn owner(self) -> Owner {
        Owner {
            index: (self.0 >> Self::INDEX_SHIFT) as u32 & ((1 << Owner::INDEX_BITS) - 1),
            generation: (self.0 >> Self::GENERATION_SHIFT) as u32 & ((1 << Owner::GENERATION_BITS) - 1),
        }
    }

    #[inline]
    pub(super) fn slot(self) -> u16 {
        self.0 as u16
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_tells_what_it_was_made_of() {
        for kind in [Kind::Send, Kind::Receive, Kind::SharedReceive] {
            for index in [0, 1, (1 << 20) - 1] {
                for generation in [0, 1, (1 << 26) - 1] {
                    for slot in [0, 1, u16::MAX] {
                        let owner = Owner { index, generation };
                        let token = Token::from_raw(Token::new(kind, owner, slot).to_raw());
                        assert_eq!((token.kind(), token.owner(), token.slot()), (Some(kind), owner, slot));
                        assert_eq!(token.index(), index as usize);
                        assert!(token.has_owner_of(Token::new(Kind::Send, owner, 7)));
                        assert!(!token.has_owner_of(Token::new(kind, owner.successor(), slot)));
                        assert!(!token.has_owner_of(Token::new(
                            kind,
                            Owner { index: index ^ 1, ..owner },
                            slot
                        )));
                    }
                }
            }
        }
        assert_eq!(Token::from_raw(0x1234).kind(), None);
    }

    #[test]
    fn a_generation_comes_again_only_after_all_others() {
        let last = Owner { index: 7, generation: (1 << 26) - 1 };
        assert_eq!(last.successor(), Owner { index: 7, generation: 0 });
        assert_ne!(last.successor().successor(), last);
    }
}

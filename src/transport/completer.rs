//! Who hears of a request's completion, and what data a request has.

use super::slots::Split;
use spec::Completion;
use std::rc::Rc;

/// Two words of the layer above, handed back with a completion and never looked into.
#[derive(Debug, Clone, Copy)]
pub struct Context {
    /// By custom, the program's function. NULL if nobody is to be told.
    pub function: *const (),
    /// By custom, the program's argument.
    pub argument: *mut (),
}

/// Tells the layer above of a completion, with the two words of the request's [`Context`]. There is one for a qpair.
///
/// The order of the arguments is that of a C callback, with the function behind them.
pub type Upcall = fn(argument: *mut (), completion: &Completion, function: *const ());

/// The upcall of a qpair whose requests all have closures.
pub fn tell_nobody(_argument: *mut (), _completion: &Completion, _function: *const ()) {}

/// Who hears of a request's completion.
pub enum Completer {
    /// The layer above, by the qpair's upcall.
    Upcall(Context),
    /// A closure that others may hold, too, and that keeps what it needs alive.
    Shared(Rc<dyn Fn(&Completion)>),
    /// As before, of a request that the layer above calls by this name: by custom, the program's argument.
    Named(Rc<dyn Fn(&Completion)>, *mut ()),
    /// Whoever hears of the whole transfer that the request is a part of; the layer above calls it by this name.
    Part(Split, *mut ()),
}

/// The data of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Payload {
    /// There is none.
    #[default]
    None,
    /// Memory of the program, whether the environment knows it or not.
    Memory {
        /// Where it begins.
        address: u64,
        /// Its length in bytes, less than 16 MiB (the length field of a keyed SGL descriptor has 24 bits).
        length: u32,
    },
    /// Memory that is registered with the connection's protection domain already.
    Registered {
        /// Where it begins.
        address: u64,
        /// Its length in bytes, less than 16 MiB.
        length: u32,
        /// The key that the controller gets.
        remote_key: u32,
    },
    /// Memory of the program in several pieces, which the request's row of descriptors has. Only [`super::Qpair::submit_pieces`] makes it.
    Row {
        /// How many pieces there are.
        pieces: u32,
    },
}

impl Payload {
    /// As three words, for a request that waits.
    pub(super) fn to_words(self) -> [u64; 3] {
        match self {
            Self::None => [0, 0, 0],
            Self::Memory { address, length } => [1, address, u64::from(length)],
            Self::Registered { address, length, remote_key } => {
                [2, address, u64::from(length) | u64::from(remote_key) << 32]
            }
            Self::Row { pieces } => [3, 0, u64::from(pieces)],
        }
    }

    /// The reverse of [`Payload::to_words`].
    pub(super) fn from_words([kind, address, rest]: [u64; 3]) -> Self {
        let length = rest as u32;
        match kind {
            1 => Self::Memory { address, length },
            2 => Self::Registered { address, length, remote_key: (rest >> 32) as u32 },
            3 => Self::Row { pieces: length },
            _ => Self::None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_payload_comes_back_from_its_words() {
        let (address, length, remote_key) = (0x1122_3344_5566_7788, 0x00ff_ffff, 0xdead_beef);
        for payload in [
            Payload::None,
            Payload::Memory { address, length },
            Payload::Registered { address, length, remote_key },
            Payload::Row { pieces: 16 },
        ] {
            assert_eq!(Payload::from_words(payload.to_words()), payload);
        }
    }
}

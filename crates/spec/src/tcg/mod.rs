//! What Opal is spoken in: the TCG Storage Architecture Core Specification 2.01 ("Core") and the TCG Storage Security Subsystem Class:
//! Opal 2.01 ("Opal"), as bytes.
//!
//! What must hold here:
//! * all fields are big-endian;
//! * a reader believes no length: what it gives out lies within what came, and it goes at most [`DEPTH`] lists deep;
//! * what is written may be a password. It stays in the one buffer that it was written to, which is wiped.

use thiserror::Error;

pub mod discovery;
pub mod message;
pub mod packet;
pub mod status;
pub mod token;
pub mod uid;
pub mod value;

pub use message::Message;
pub use packet::{ComPacket, Packet};
pub use status::MethodStatus;
pub use token::{Encoder, Token, Tokens};
pub use uid::{HalfUid, Uid, column, life_cycle, operator, parameter};
pub use value::{Value, Values};

/// The least that a ComPacket's receiver takes, and what one sends to somebody whose Properties are not known (Core 5.2.2.4.1, Opal 4.1.1.1;
/// level 0 discovery fits as well).
pub const COM_PACKET_SIZE: usize = 2048;
/// Lists and names within each other that a reader follows. Opal's own go five deep.
pub const DEPTH: usize = 16;

/// What is wrong with bytes of the other side, or with what was to be written.
#[derive(Clone, Copy, Debug, Eq, Error, PartialEq)]
pub enum Error {
    /// A header is not all there.
    #[error("{came} bytes, too few for the header of a {what}")]
    Short {
        /// Of what.
        what: &'static str,
        /// Bytes that came.
        came: usize,
    },
    /// A length goes beyond what came.
    #[error("a {what} of {says} bytes, of which {came} came")]
    Length {
        /// Of what.
        what: &'static str,
        /// The length field.
        says: u64,
        /// Bytes that came.
        came: usize,
    },
    /// A subpacket that is not one of data.
    #[error("a subpacket of kind {0:#x}, not of data")]
    Kind(u16),
    /// Not a token, or one that goes on in another one.
    #[error("token {0:#04x} is reserved")]
    Reserved(u8),
    /// An integer of more than eight bytes.
    #[error("an integer of {0} bytes")]
    Integer(usize),
    /// Another token than the one that must be there.
    #[error("{what} expected, and {came} is there")]
    Unexpected {
        /// What must be there.
        what: &'static str,
        /// What is.
        came: &'static str,
    },
    /// Lists within lists within lists.
    #[error("lists within each other, more than {DEPTH} deep")]
    Deep,
    /// What is to be written is longer than the buffer.
    #[error("it does not fit into {0} bytes")]
    Full(usize),
}

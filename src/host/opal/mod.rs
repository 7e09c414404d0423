//! Opal (TCG Storage Security Subsystem Class: Opal 2.01): what keeps a controller's data locked, driven over Security Send and Receive.
//!
//! What must hold:
//! * each command opens a session of its own and closes it, also where it fails, as long as the TPer can be spoken to; where it cannot, the
//!   next command fetches the answer that is left there, and ends the session ([`Left`]): a TPer takes nothing else before;
//! * nothing of the TPer's is believed: lengths, session numbers, statuses and columns are checked, and how long it may say that it is
//!   not ready yet is bounded;
//! * a password is in no line, and in no buffer after its use: those here are wiped, what a command's data lay in is given back to the
//!   system.
//!
//! Properties are not exchanged: no message here is longer than the least that each TPer takes.

mod commands;
mod exchange;
mod session;

use super::Error as HostError;
use spec::tcg::{self, MethodStatus, Uid};
use std::{cell::Cell, fmt, time::Duration};
use zeroize::Zeroizing;

pub use commands::{LockState, RangeInfo, User};

/// A password's bytes, one at least.
pub struct Password(Zeroizing<Vec<u8>>);

/// The most that a password has.
pub const PASSWORD_MAX: usize = 255;

/// How Security Send and Receive get to a TPer. Either waits for its answer, and other callbacks may run meanwhile.
pub trait Link {
    /// Security Send to the TCG's protocol.
    fn send(&self, what: &'static str, com_id: u16, data: &[u8]) -> Result<(), HostError>;

    /// Security Receive of at most so many bytes.
    fn receive(
        &self,
        what: &'static str,
        protocol: u8,
        specific: u16,
        length: u32,
    ) -> Result<Zeroizing<Vec<u8>>, HostError>;

    /// How long an answer may be late.
    fn timeout(&self) -> Duration;

    /// The association with the controller that there is now.
    fn association(&self) -> Association;
}

/// The TPer of a controller that has Opal.
#[derive(Clone, Copy)]
pub struct Tper<'a> {
    link: &'a dyn Link,
    com_id: u16,
    left: &'a Left,
    association: Association,
}

/// What a command that could not be finished may have left at the TPer: an answer that nobody has fetched, and the session that is its, as
/// the TPer's number, 0 if that is not known, and this host's. Outlives the commands of a controller, but not their association: with that a
/// TPer ends its sessions, and their numbers may be another host's by then.
#[derive(Debug, Default)]
pub struct Left(Cell<Option<(Association, (u32, u32))>>);

/// Which association with the controller it is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Association(pub u32);

/// Why a command of Opal failed.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum Error {
    /// Security Send or Receive failed.
    #[error(transparent)]
    Link(#[from] HostError),
    /// The TPer refused a method.
    #[error("{what}: the TPer answered {} ({:#04x})", .status.name(), .status.0)]
    Status {
        /// What was tried.
        what: &'static str,
        /// Never that of success.
        status: MethodStatus,
    },
    /// What the TPer answered is not what it must be.
    #[error("{what}: the TPer's answer is not usable: {error}")]
    Answer {
        /// What was tried.
        what: &'static str,
        /// What is wrong with it.
        error: tcg::Error,
    },
    /// It belongs to something else.
    #[error("{what}: the TPer's answer has {field} {came:#x}, expected {expected:#x}")]
    Mismatch {
        /// What was tried.
        what: &'static str,
        /// What tells what it belongs to.
        field: &'static str,
        /// What was to be there.
        expected: u64,
        /// What is.
        came: u64,
    },
    /// It is another message than the one that must come.
    #[error("{what}: the TPer's answer is {came}")]
    Other {
        /// What was tried.
        what: &'static str,
        /// What it is.
        came: &'static str,
    },
    /// The TPer has no answer.
    #[error("{what}: the TPer has no answer, and says that none is to come")]
    NoAnswer {
        /// What was tried.
        what: &'static str,
    },
    /// The TPer said too long that it is not ready.
    #[error("{what}: the TPer was not ready with its answer in {} ms", .time.as_millis())]
    NotReady {
        /// What was tried.
        what: &'static str,
        /// How long that was waited for.
        time: Duration,
    },
    /// It needs more bytes than this host takes.
    #[error("{what}: the TPer wants to answer with {wanted} bytes, more than are taken")]
    Long {
        /// What was tried.
        what: &'static str,
        /// Bytes of it.
        wanted: u32,
    },
    /// The TPer ended the session.
    #[error("{what}: the TPer ended the session")]
    Closed {
        /// What was tried.
        what: &'static str,
    },
    /// A column that was asked for is not in the row: whoever has signed in may not read it.
    #[error("{what}: the TPer does not show column {column} of {:#018x}", .object.number())]
    Hidden {
        /// What was tried.
        what: &'static str,
        /// The row.
        object: Uid,
        /// The column.
        column: u64,
    },
    /// The Locking SP is activated already, or cannot be.
    #[error("activating the Locking SP: its life cycle state is {0}, expected 8 (manufactured-inactive)")]
    LifeCycle(u64),
    /// What was to be sent is too long.
    #[error("{what}: {error}")]
    Request {
        /// What was tried.
        what: &'static str,
        /// What is wrong with it.
        error: tcg::Error,
    },
}

impl Password {
    /// A password of these bytes. None if there are none, or too many.
    #[must_use]
    pub fn new(bytes: &[u8]) -> Option<Self> {
        // Copied to where it fits: what grew would leave pieces behind.
        (1..=PASSWORD_MAX).contains(&bytes.len()).then(|| Self(Zeroizing::new(bytes.to_vec())))
    }
}

impl fmt::Debug for Password {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Password")
    }
}

impl<'a> Tper<'a> {
    /// The TPer behind this link that speaks Opal on this ComID.
    #[must_use]
    pub fn new(link: &'a dyn Link, com_id: u16, left: &'a Left) -> Self {
        Self { link, com_id, left, association: link.association() }
    }
}

impl Error {
    /// Whether an answer may still be to come, of a controller that is there.
    fn leaves_an_answer(&self) -> bool {
        use HostError::{Command, NoMemory, TimedOut, Transport};
        matches!(
            self,
            Self::NotReady { .. } | Self::Link(Command { .. } | NoMemory | TimedOut(_) | Transport(_))
        )
    }

    /// Whether the session that this happened in may be there yet, and the TPer to be spoken to.
    fn leaves_the_session(&self) -> bool {
        match self {
            Self::Link(_) | Self::NotReady { .. } | Self::Closed { .. } => false,
            Self::Status { .. }
            | Self::Answer { .. }
            | Self::Mismatch { .. }
            | Self::Other { .. }
            | Self::NoAnswer { .. }
            | Self::Long { .. }
            | Self::Hidden { .. }
            | Self::LifeCycle(_)
            | Self::Request { .. } => true,
        }
    }
}

/// That a value is what it must be.
fn expect(
    what: &'static str,
    field: &'static str,
    expected: impl Into<u64>,
    came: impl Into<u64>,
) -> Result<(), Error> {
    let (expected, came) = (expected.into(), came.into());
    if came == expected { Ok(()) } else { Err(Error::Mismatch { what, field, expected, came }) }
}

//! What the host can fail with.

use crate::transport;
use spec::Completion;
use std::time::Duration;

/// Why the host refused or failed something. The C face maps it to an errno in one place.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum Error {
    /// An argument does not make sense.
    #[error("{0}")]
    InvalidArgument(String),
    /// The controller does not offer it, or this host does not.
    #[error("{0} is not supported")]
    NotSupported(&'static str),
    /// The transport refused or failed.
    #[error(transparent)]
    Transport(#[from] transport::Error),
    /// The controller answered a command with an error.
    #[error("{what} failed with {} (status field {:#06x})", .completion.status().name(), .completion.status().0)]
    Command {
        /// The command.
        what: &'static str,
        /// Its completion.
        completion: Completion,
    },
    /// The controller did not answer in time.
    #[error("{0}: no answer in time")]
    TimedOut(&'static str),
    /// The connection ended before the controller answered; the transport's log line says why.
    #[error("{0}: the connection ended before the answer")]
    ConnectionLost(&'static str),
    /// The controller did not answer a Keep Alive, so that nothing is to be hoped of it.
    #[error("{during}: a Keep Alive was not answered in {} ms", .timeout.as_millis())]
    Silent {
        /// The command that was waited for.
        during: &'static str,
        /// The Keep Alive Timeout.
        timeout: Duration,
    },
    /// The controller answers, but the whole takes too long.
    #[error("{what} took too long in all, the last step was {during}")]
    TooSlow {
        /// The whole.
        what: &'static str,
        /// The command at which its time was over.
        during: &'static str,
    },
    /// What the controller says leads to ever more commands.
    #[error("{what} took too many commands, the last step was {during}")]
    TooManyCommands {
        /// The whole.
        what: &'static str,
        /// The command that was one too many.
        during: &'static str,
    },
    /// The controller sent data that contradict the specification.
    #[error("the controller's {what} is not usable: {why}")]
    BadData {
        /// What was read.
        what: &'static str,
        /// What is wrong with it.
        why: String,
    },
    /// All I/O queue ids are in use.
    #[error("the controller grants no further I/O queue")]
    NoQueueId,
    /// The controller has failed, or is being detached.
    #[error("the controller has failed or is being detached")]
    ControllerFailed,
    /// The controller is being reset: later it may be different.
    #[error("the controller is being reset")]
    Resetting,
    /// There is room for one image at a time.
    #[error("another image is being brought to the controller")]
    ImageUnderWay,
    /// A controller that was reset has nothing more of an image.
    #[error("the controller was reset before it had all of the image")]
    ImageLost,
    /// It is only for a controller that has failed.
    #[error("the controller has not failed")]
    NotFailed,
    /// No request of the program is meant.
    #[error("there is no such request")]
    NoSuchRequest,
    /// The program's own function that says where its data are has failed.
    #[error("the program's function for the next piece of its data has failed")]
    Scatter,
    /// There is no memory.
    #[error("out of memory")]
    NoMemory,
    /// What cannot happen did: a mistake of this library, which trying again does not mend.
    #[error("internal error: {0}")]
    Internal(&'static str),
}

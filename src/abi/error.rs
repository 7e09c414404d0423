//! The host's errors as errno: the one place.
//!
//! -ENOMEM and -EAGAIN say "try again", and programs do, without end: only what passes by itself becomes one of them. A
//! mistake of this library ([`Error::Internal`], an unwind) becomes ENOTRECOVERABLE, which nothing else does.

use crate::{
    host::Error,
    repeated::{Line, Repeated},
    transport::{ConnectError, Error as TransportError},
};
use libc::c_int;

/// 0, or the negated errno.
#[inline]
pub(super) fn status(result: Result<(), Error>) -> c_int {
    match result {
        Ok(()) => 0,
        Err(error) => negated_errno(&error),
    }
}

/// The status of a submission: what the program did wrong gets a log line; what passes by itself (no request free, the
/// connection ended) gets none, as it can come with each I/O.
#[inline]
pub(super) fn submission(result: Result<(), Error>) -> c_int {
    match result {
        Ok(()) => 0,
        Err(error) => refused(&error),
    }
}

#[cold]
fn refused(error: &Error) -> c_int {
    match error {
        Error::InvalidArgument(_) | Error::Scatter => tracing::error!("{error}"),
        Error::Transport(TransportError::NotRegistered { .. } | TransportError::TooManyPieces(_)) => {
            static REFUSED: Repeated = Repeated::new();
            match REFUSED.next() {
                Line::None => {}
                Line::Plain => tracing::error!("{error}"),
                Line::Sum(nth) => tracing::error!("{error} ({nth} buffers were refused so far)"),
            }
        }
        _ => {}
    }
    negated_errno(error)
}

/// The status of adding a qpair to a poll group or removing it, which a qpair that is connected is refused.
pub(super) fn membership(result: Result<(), Error>) -> c_int {
    match result {
        Err(Error::Transport(TransportError::AlreadyConnected | TransportError::Disconnecting)) => {
            -libc::EINVAL
        }
        result => status(result),
    }
}

/// The negated errno that a program gets for an error.
#[cold]
pub(super) fn negated_errno(error: &Error) -> c_int {
    let errno = match error {
        Error::InvalidArgument(_) => libc::EINVAL,
        Error::NotSupported(_) => libc::ENOTSUP,
        Error::Transport(error) => of_transport(error),
        Error::Command { .. } => libc::EIO,
        Error::TimedOut(_) | Error::TooSlow { .. } | Error::Silent { .. } => libc::ETIMEDOUT,
        Error::ConnectionLost(_) => libc::ECONNRESET,
        Error::BadData { .. } | Error::TooManyCommands { .. } => libc::EPROTO,
        Error::NoQueueId => libc::ENOSPC,
        Error::ControllerFailed => libc::ENXIO,
        Error::Resetting => libc::EAGAIN,
        Error::ImageUnderWay => libc::EBUSY,
        Error::ImageLost => libc::ECANCELED,
        Error::NotFailed => libc::EPERM,
        Error::NoSuchRequest => libc::ENOENT,
        // What SPDK answers: -1.
        Error::Scatter => libc::EPERM,
        Error::NoMemory => libc::ENOMEM,
        Error::Internal(_) => UNWOUND,
    };
    errno.saturating_neg()
}

/// The status of a call with a wrong argument, and a line that says what is wrong.
pub(super) fn invalid(why: String) -> c_int {
    submission(Err(Error::InvalidArgument(why)))
}

/// The status of an admin command that the program waited for: an error of the controller's is EIO, and one that did not come
/// about, in time or at all, is ECANCELED. `of_whom` is the controller's label.
pub(super) fn waited<T>(of_whom: &str, result: Result<T, Error>) -> Result<T, c_int> {
    result.map_err(|error| {
        tracing::error!("{of_whom}: {error}");
        match error {
            Error::TimedOut(_) | Error::Silent { .. } | Error::ConnectionLost(_) => -libc::ECANCELED,
            error => negated_errno(&error),
        }
    })
}

/// The errno of what cannot happen, such as an unwind.
pub(super) const UNWOUND: c_int = libc::ENOTRECOVERABLE;

/// Why a controller was not attached.
#[derive(Debug, thiserror::Error)]
pub(super) enum AttachError {
    #[error("address family {0} cannot be used over RDMA")]
    AddressFamily(u32),
    #[error("it is being attached")]
    Attaching,
    #[error("it is being detached")]
    Detaching,
    #[error("out of handles")]
    Handles,
    #[error(transparent)]
    Host(#[from] Error),
}

impl AttachError {
    /// The errno that the program finds.
    pub(super) fn errno(&self) -> c_int {
        match self {
            Self::AddressFamily(_) => libc::EAFNOSUPPORT,
            Self::Attaching | Self::Detaching => libc::EBUSY,
            Self::Handles => libc::ENOMEM,
            Self::Host(error) => negated_errno(error).saturating_neg(),
        }
    }
}

/// Leaves `errno` for a C caller that gets no more than NULL or -1; 0 leaves what is there. The last thing before an
/// entry returns, as whatever runs in between may change it.
pub(super) fn leave(errno: c_int) {
    if errno != 0 {
        // SAFETY: errno of this thread can always be written.
        unsafe { libc::__errno_location().write(errno) };
    }
}

fn of_transport(error: &TransportError) -> c_int {
    match error {
        TransportError::NotConnected => libc::ENXIO,
        TransportError::Disconnecting => libc::EAGAIN,
        TransportError::AlreadyConnected => libc::EISCONN,
        TransportError::NotDisconnected => libc::EINVAL,
        TransportError::Internal(_) => libc::ENOTRECOVERABLE,
        TransportError::DeviceTooSmall { .. } | TransportError::NoSharedReceives { .. } => libc::EOPNOTSUPP,
        TransportError::QueueLimit { .. } => libc::EINVAL,
        TransportError::FirstReceives(errno) => *errno,
        TransportError::NoRequests | TransportError::NoMemory | TransportError::NoBuffers => libc::ENOMEM,
        TransportError::NoMap(_) => libc::ENOSYS,
        // What SPDK answers to data that a command cannot describe: -1.
        TransportError::NotRegistered { .. } | TransportError::TooManyPieces(_) => libc::EPERM,
        // Whatever the device says: "no memory" would ask the program to try again.
        TransportError::NoRow(_) => libc::EIO,
        TransportError::NoDevice(error) => of_device_search(error.errno),
        TransportError::Verbs(error) | TransportError::SharedReceives { error, .. } => error.errno,
        TransportError::Connect(error) => of_connect(*error),
        TransportError::GroupBusy => libc::EBUSY,
        TransportError::WrongGroup => libc::ENOENT,
    }
}

/// Looking for devices fails in many ways where there are none (no module, no file); what says that this process has not
/// the means or the right to look is told as it is.
fn of_device_search(errno: c_int) -> c_int {
    match errno {
        libc::ENOMEM | libc::EMFILE | libc::ENFILE | libc::EACCES | libc::EPERM => errno,
        _ => libc::ENODEV,
    }
}

fn of_connect(error: ConnectError) -> c_int {
    match error {
        ConnectError::Address | ConnectError::Route | ConnectError::Unreachable => libc::EHOSTUNREACH,
        ConnectError::Rejected { .. } => libc::ECONNREFUSED,
        ConnectError::Status(status) => of_refused_connect(status),
        ConnectError::AuthenticationRequired => libc::EACCES,
        ConnectError::TooShallow { .. } => libc::EPROTO,
        ConnectError::TimedOut => libc::ETIMEDOUT,
        ConnectError::Lost => libc::ECONNRESET,
        ConnectError::Resources(errno) => errno,
        ConnectError::Cancelled => libc::ECANCELED,
    }
}

/// A Connect command that the controller refused (Fabrics 1.1, 3.3).
fn of_refused_connect(status: spec::Status) -> c_int {
    match status.with_dnr(false) {
        spec::Status::CONNECT_INVALID_HOST => libc::EACCES,
        spec::Status::CONNECT_INVALID_PARAMETERS | spec::Status::CONNECT_INCOMPATIBLE_FORMAT => libc::EINVAL,
        spec::Status::CONNECT_CONTROLLER_BUSY => libc::EBUSY,
        _ => libc::EIO,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn data_that_no_command_can_describe_are_minus_one() {
        let error = TransportError::NotRegistered { address: 0x1000, length: 512 };
        let text = error.to_string();
        assert!(text.contains("512 bytes at 0x1000"), "{text}");
        assert!(text.contains("not registered") && text.contains("is that memory there"), "{text}");
        assert_eq!(submission(Err(error.into())), -1);
        assert_eq!(submission(Err(TransportError::TooManyPieces(4).into())), -1);
    }

    #[test]
    fn programs_get_the_errnos_that_they_know() {
        for (error, errno) in [
            (TransportError::NotConnected, libc::ENXIO),
            (TransportError::NoRequests, libc::ENOMEM),
            (TransportError::AlreadyConnected, libc::EISCONN),
            (TransportError::GroupBusy, libc::EBUSY),
            (TransportError::WrongGroup, libc::ENOENT),
            (
                TransportError::Verbs(verbs::Error::new("rdma_create_event_channel", libc::ENODEV)),
                libc::ENODEV,
            ),
        ] {
            assert_eq!(status(Err(error.clone().into())), -errno, "{error}");
        }
        assert_eq!(membership(Err(TransportError::AlreadyConnected.into())), -libc::EINVAL);
        assert_eq!(membership(Err(TransportError::WrongGroup.into())), -libc::ENOENT);
        assert_eq!(membership(Ok(())), 0);
        assert_eq!(
            submission(Err(Error::InvalidArgument(String::from("a transfer of 0 blocks")))),
            -libc::EINVAL
        );
        let no_device = TransportError::Verbs(verbs::Error::new("x", libc::ENODEV));
        assert_eq!(negated_errno(&no_device.into()), -libc::ENODEV, "what a probe answers -1 to");
        assert_eq!(
            (status(Err(Error::Resetting)), status(Err(Error::NotFailed))),
            (-libc::EAGAIN, -libc::EPERM)
        );
    }

    #[test]
    fn why_a_controller_was_not_attached_is_an_errno_on_purpose() {
        use spec::Status;
        let verbs = |errno| verbs::Error::new("rdma_get_devices", errno);
        let connect = |error| AttachError::Host(Error::Transport(TransportError::Connect(error)));
        for (error, errno) in [
            (AttachError::AddressFamily(254), libc::EAFNOSUPPORT),
            (AttachError::Detaching, libc::EBUSY),
            (AttachError::Host(Error::InvalidArgument(String::new())), libc::EINVAL),
            (AttachError::Host(Error::Internal("x")), libc::ENOTRECOVERABLE),
            (AttachError::Host(Error::ConnectionLost("x")), libc::ECONNRESET),
            (AttachError::Host(Error::TooSlow { what: "x", during: "y" }), libc::ETIMEDOUT),
            (AttachError::Host(TransportError::NoDevice(verbs(libc::ENOENT)).into()), libc::ENODEV),
            (AttachError::Host(TransportError::NoDevice(verbs(libc::ENOSYS)).into()), libc::ENODEV),
            (AttachError::Host(TransportError::NoDevice(verbs(libc::EMFILE)).into()), libc::EMFILE),
            (connect(ConnectError::Address), libc::EHOSTUNREACH),
            (connect(ConnectError::Unreachable), libc::EHOSTUNREACH),
            (connect(ConnectError::Rejected { status: 8, reason: None }), libc::ECONNREFUSED),
            (connect(ConnectError::TimedOut), libc::ETIMEDOUT),
            (connect(ConnectError::Lost), libc::ECONNRESET),
            (connect(ConnectError::AuthenticationRequired), libc::EACCES),
            (connect(ConnectError::Status(Status::CONNECT_INVALID_HOST.with_dnr(true))), libc::EACCES),
            (connect(ConnectError::Status(Status::CONNECT_INVALID_PARAMETERS)), libc::EINVAL),
            (connect(ConnectError::Status(Status::CONNECT_CONTROLLER_BUSY)), libc::EBUSY),
            (connect(ConnectError::Status(Status::INTERNAL_ERROR)), libc::EIO),
        ] {
            assert_eq!(error.errno(), errno, "{error}");
        }
    }

    #[test]
    fn errno_is_left_only_for_a_failure() {
        leave(libc::EACCES);
        assert_eq!(std::io::Error::last_os_error().raw_os_error(), Some(libc::EACCES));
        leave(0);
        assert_eq!(std::io::Error::last_os_error().raw_os_error(), Some(libc::EACCES));
    }
}

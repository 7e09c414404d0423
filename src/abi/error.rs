//! The host's errors as errno: the one place.

use crate::{
    host::Error,
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
    if matches!(error, Error::InvalidArgument(_) | Error::Transport(TransportError::NotRegistered { .. })) {
        tracing::error!("{error}");
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
        Error::TimedOut(_) => libc::ETIMEDOUT,
        Error::BadData { .. } => libc::EPROTO,
        Error::NoQueueId => libc::ENOSPC,
        Error::ControllerFailed => libc::ENXIO,
        Error::NoMemory => libc::ENOMEM,
    };
    errno.saturating_neg()
}

/// Whether an error says that there is no RDMA device at all.
pub(super) fn is_no_device(error: &Error) -> bool {
    negated_errno(error) == -libc::ENODEV
}

fn of_transport(error: &TransportError) -> c_int {
    match error {
        TransportError::NotConnected => libc::ENXIO,
        TransportError::Disconnecting => libc::EAGAIN,
        TransportError::AlreadyConnected => libc::EISCONN,
        TransportError::NotDisconnected => libc::EINVAL,
        TransportError::Internal(_) => libc::EIO,
        TransportError::DeviceTooSmall { .. } => libc::EOPNOTSUPP,
        TransportError::FirstReceives(errno) => *errno,
        TransportError::NoRequests | TransportError::NoMemory | TransportError::NoMap(_) => libc::ENOMEM,
        TransportError::NotRegistered { .. } => libc::EFAULT,
        TransportError::NoDevice(error) | TransportError::Verbs(error) => error.errno,
        TransportError::Connect(error) => of_connect(*error),
        TransportError::GroupBusy => libc::EBUSY,
        TransportError::WrongGroup => libc::ENOENT,
    }
}

fn of_connect(error: ConnectError) -> c_int {
    match error {
        ConnectError::Address | ConnectError::Route => libc::EADDRNOTAVAIL,
        ConnectError::Unreachable => libc::EHOSTUNREACH,
        ConnectError::Rejected { .. } => libc::ECONNREFUSED,
        ConnectError::Status(_) => libc::EIO,
        ConnectError::AuthenticationRequired => libc::EACCES,
        ConnectError::TimedOut => libc::ETIMEDOUT,
        ConnectError::Lost => libc::ECONNRESET,
        ConnectError::Resources(errno) => errno,
        ConnectError::Cancelled => libc::ECANCELED,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
        assert!(is_no_device(&TransportError::Verbs(verbs::Error::new("x", libc::ENODEV)).into()));
        assert!(!is_no_device(&Error::ControllerFailed));
    }
}

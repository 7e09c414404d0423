//! The host's errors as errno: the one place.

use crate::host::Error;
use libc::c_int;

/// The negated errno that a program gets for an error.
#[cold]
pub(super) fn negated_errno(error: &Error) -> c_int {
    -match error {
        Error::NotConnected => libc::ENXIO,
        Error::NoMemory => libc::ENOMEM,
    }
}

/// 0, or the negated errno.
#[inline]
pub(super) fn status(result: Result<(), Error>) -> c_int {
    match result {
        Ok(()) => 0,
        Err(error) => negated_errno(&error),
    }
}

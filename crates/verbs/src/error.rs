//! What a failed call of the RDMA libraries leaves: its name and its errno.

use std::io;

/// A call of libibverbs or librdmacm that failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{call} failed: {}", io::Error::from_raw_os_error(*.errno))]
pub struct Error {
    /// The C function that failed.
    pub call: &'static str,
    /// Its errno, positive.
    pub errno: i32,
}

impl Error {
    /// An error with an errno that the caller has at hand (libibverbs returns some as the call's value).
    pub const fn new(call: &'static str, errno: i32) -> Self {
        Self { call, errno }
    }

    /// The error of a call that left its cause in `errno`. Must run before any other libc call of this thread.
    pub(crate) fn last(call: &'static str) -> Self {
        Self { call, errno: io::Error::last_os_error().raw_os_error().unwrap_or(libc::EIO) }
    }

    /// The result of a call of the `rdma_*` family: 0, or -1 with errno.
    pub(crate) fn check_errno(call: &'static str, result: i32) -> Result<(), Self> {
        if result == 0 { Ok(()) } else { Err(Self::last(call)) }
    }

    /// The result of a call of the `ibv_*` family that returns 0 or an errno. Some providers return -errno or
    /// -1 with errno set; all three are understood.
    pub(crate) fn check_value(call: &'static str, result: i32) -> Result<(), Self> {
        match result {
            0 => Ok(()),
            -1 => Err(Self::last(call)),
            value => Err(Self { call, errno: value.saturating_abs() }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failed_call_says_its_name_and_cause() {
        let error = Error::check_value("ibv_modify_qp", libc::EINVAL).unwrap_err();
        assert_eq!(error, Error { call: "ibv_modify_qp", errno: libc::EINVAL });
        assert!(error.to_string().contains("ibv_modify_qp failed: Invalid argument"), "{error}");
        assert_eq!(Error::check_value("x", -libc::ENOMEM).unwrap_err().errno, libc::ENOMEM);
        assert_eq!(Error::check_value("x", 0), Ok(()));
    }
}

//! How methods end (Core 5.1.5).

use crate::opcode::codes;

codes! {
    /// How a method ended.
    MethodStatus {
        SUCCESS = 0x00,
        NOT_AUTHORIZED = 0x01,
        SP_BUSY = 0x03,
        SP_FAILED = 0x04,
        SP_DISABLED = 0x05,
        SP_FROZEN = 0x06,
        NO_SESSIONS_AVAILABLE = 0x07,
        UNIQUENESS_CONFLICT = 0x08,
        INSUFFICIENT_SPACE = 0x09,
        INSUFFICIENT_ROWS = 0x0a,
        INVALID_PARAMETER = 0x0c,
        TPER_MALFUNCTION = 0x0f,
        TRANSACTION_FAILURE = 0x10,
        RESPONSE_OVERFLOW = 0x11,
        AUTHORITY_LOCKED_OUT = 0x12,
        FAIL = 0x3f,
    }
}

impl MethodStatus {
    /// Its name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::SUCCESS => "SUCCESS",
            Self::NOT_AUTHORIZED => "NOT_AUTHORIZED",
            Self::SP_BUSY => "SP_BUSY",
            Self::SP_FAILED => "SP_FAILED",
            Self::SP_DISABLED => "SP_DISABLED",
            Self::SP_FROZEN => "SP_FROZEN",
            Self::NO_SESSIONS_AVAILABLE => "NO_SESSIONS_AVAILABLE",
            Self::UNIQUENESS_CONFLICT => "UNIQUENESS_CONFLICT",
            Self::INSUFFICIENT_SPACE => "INSUFFICIENT_SPACE",
            Self::INSUFFICIENT_ROWS => "INSUFFICIENT_ROWS",
            Self::INVALID_PARAMETER => "INVALID_PARAMETER",
            Self::TPER_MALFUNCTION => "TPER_MALFUNCTION",
            Self::TRANSACTION_FAILURE => "TRANSACTION_FAILURE",
            Self::RESPONSE_OVERFLOW => "RESPONSE_OVERFLOW",
            Self::AUTHORITY_LOCKED_OUT => "AUTHORITY_LOCKED_OUT",
            Self::FAIL => "FAIL",
            _ => "a status that is not known",
        }
    }
}

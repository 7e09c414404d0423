//! Status of a completion (Base 3.3.3.2.1): the status code types, the status codes and their names.
//!
//! The names are what programs print and compare; a code without a name of its own is called after its type.

use crate::opcode::AdminOpcode;

/// Status code type: which table a status code belongs to.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct StatusCodeType(pub u8);

impl StatusCodeType {
    /// Generic command status.
    pub const GENERIC: StatusCodeType = StatusCodeType(0x0);
    /// Command specific status.
    pub const COMMAND_SPECIFIC: StatusCodeType = StatusCodeType(0x1);
    /// Media and data integrity errors.
    pub const MEDIA_ERROR: StatusCodeType = StatusCodeType(0x2);
    /// Path related status.
    pub const PATH: StatusCodeType = StatusCodeType(0x3);
    /// Vendor specific.
    pub const VENDOR_SPECIFIC: StatusCodeType = StatusCodeType(0x7);

    /// Name of the type.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            StatusCodeType::GENERIC => "GENERIC",
            StatusCodeType::COMMAND_SPECIFIC => "COMMAND SPECIFIC",
            StatusCodeType::MEDIA_ERROR => "MEDIA ERROR",
            StatusCodeType::PATH => "PATH",
            StatusCodeType::VENDOR_SPECIFIC => "VENDOR SPECIFIC",
            _ => "RESERVED",
        }
    }
}

/// Status code; its meaning depends on the [`StatusCodeType`].
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct StatusCode(pub u8);

/// The status field of a completion without its phase tag: SC 7:0, SCT 10:8, CRD 12:11, M 13, DNR 14.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct Status(pub u16);

impl Status {
    const DNR: u16 = 1 << 14;
    const MORE: u16 = 1 << 13;

    /// A status with this type and code, and no flags.
    #[must_use]
    pub const fn new(sct: StatusCodeType, sc: StatusCode) -> Status {
        Status(sc.0 as u16 | (sct.0 as u16 & 7) << 8)
    }

    /// The same status with Do Not Retry set or clear.
    #[must_use]
    pub const fn with_dnr(self, dnr: bool) -> Status {
        if dnr { Status(self.0 | Status::DNR) } else { Status(self.0 & !Status::DNR) }
    }

    /// Status code type.
    #[must_use]
    pub const fn sct(self) -> StatusCodeType {
        StatusCodeType((self.0 >> 8) as u8 & 7)
    }

    /// Status code.
    #[must_use]
    pub const fn sc(self) -> StatusCode {
        StatusCode(self.0 as u8)
    }

    /// Command retry delay: 0, or which of the controller's CRDT1 to CRDT3 applies.
    #[must_use]
    pub const fn crd(self) -> u8 {
        (self.0 >> 11) as u8 & 3
    }

    /// More: the error log has more about this.
    #[must_use]
    pub const fn more(self) -> bool {
        self.0 & Status::MORE != 0
    }

    /// Do not retry: the same command would fail again.
    #[must_use]
    pub const fn dnr(self) -> bool {
        self.0 & Status::DNR != 0
    }

    /// Neither type nor code says anything but success; flags are not looked at.
    #[must_use]
    pub const fn is_success(self) -> bool {
        self.0 & 0x7ff == 0
    }

    /// Same type and code, whatever the flags.
    #[must_use]
    pub const fn is(self, other: Status) -> bool {
        self.0 & 0x7ff == other.0 & 0x7ff
    }

    /// Name of the status as the answer to any command but a Fabrics one.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self.sct() {
            StatusCodeType::GENERIC => generic_name(self.sc()),
            StatusCodeType::COMMAND_SPECIFIC => command_specific_name(self.sc()),
            StatusCodeType::MEDIA_ERROR => media_name(self.sc()),
            StatusCodeType::PATH => path_name(self.sc()),
            StatusCodeType::VENDOR_SPECIFIC => "VENDOR SPECIFIC",
            _ => "RESERVED",
        }
    }

    /// Name of the status as the answer to a command with this opcode. Fabrics commands have command specific codes of
    /// their own, with the same values as others (NVMe-oF figure 7).
    #[must_use]
    pub const fn name_for(self, opcode: u8) -> &'static str {
        if opcode == AdminOpcode::FABRICS.0 && self.sct().0 == StatusCodeType::COMMAND_SPECIFIC.0 {
            fabrics_name(self.sc())
        } else {
            self.name()
        }
    }
}

macro_rules! table {
    ($sct:ident, $function:ident, $other:literal, $({ $($name:ident = $value:literal $text:literal),+ $(,)? })+) => {
        impl Status {
            $($(
                #[doc = concat!("`", stringify!($sct), "` ", stringify!($value), ": ", $text)]
                pub const $name: Status = Status::new(StatusCodeType::$sct, StatusCode($value));
            )+)+
        }

        const fn $function(sc: StatusCode) -> &'static str {
            match sc.0 {
                $($( $value => $text, )+)+
                _ => $other,
            }
        }
    };
}

// Base figure 91, NVM Command Set figure 9.
table! { GENERIC, generic_name, "GENERIC", {
    SUCCESS = 0x00 "SUCCESS",
    INVALID_OPCODE = 0x01 "INVALID OPCODE",
    INVALID_FIELD = 0x02 "INVALID FIELD",
    COMMAND_ID_CONFLICT = 0x03 "COMMAND ID CONFLICT",
    DATA_TRANSFER_ERROR = 0x04 "DATA TRANSFER ERROR",
    ABORTED_POWER_LOSS = 0x05 "ABORTED - POWER LOSS",
    INTERNAL_ERROR = 0x06 "INTERNAL DEVICE ERROR",
    ABORTED_BY_REQUEST = 0x07 "ABORTED - BY REQUEST",
    ABORTED_SQ_DELETION = 0x08 "ABORTED - SQ DELETION",
    ABORTED_FAILED_FUSED = 0x09 "ABORTED - FAILED FUSED",
    ABORTED_MISSING_FUSED = 0x0a "ABORTED - MISSING FUSED",
    INVALID_NAMESPACE_OR_FORMAT = 0x0b "INVALID NAMESPACE OR FORMAT",
    COMMAND_SEQUENCE_ERROR = 0x0c "COMMAND SEQUENCE ERROR",
    INVALID_SGL_SEGMENT_DESCRIPTOR = 0x0d "INVALID SGL SEGMENT DESCRIPTOR",
    INVALID_NUMBER_OF_SGL_DESCRIPTORS = 0x0e "INVALID NUMBER OF SGL DESCRIPTORS",
    DATA_SGL_LENGTH_INVALID = 0x0f "DATA SGL LENGTH INVALID",
    METADATA_SGL_LENGTH_INVALID = 0x10 "METADATA SGL LENGTH INVALID",
    SGL_DESCRIPTOR_TYPE_INVALID = 0x11 "SGL DESCRIPTOR TYPE INVALID",
    INVALID_CONTROLLER_MEMORY_BUFFER = 0x12 "INVALID CONTROLLER MEMORY BUFFER",
    INVALID_PRP_OFFSET = 0x13 "INVALID PRP OFFSET",
    ATOMIC_WRITE_UNIT_EXCEEDED = 0x14 "ATOMIC WRITE UNIT EXCEEDED",
    OPERATION_DENIED = 0x15 "OPERATION DENIED",
    INVALID_SGL_OFFSET = 0x16 "INVALID SGL OFFSET",
    HOSTID_INCONSISTENT_FORMAT = 0x18 "HOSTID INCONSISTENT FORMAT",
    KEEP_ALIVE_EXPIRED = 0x19 "KEEP ALIVE EXPIRED",
    KEEP_ALIVE_INVALID = 0x1a "KEEP ALIVE INVALID",
    ABORTED_PREEMPT = 0x1b "ABORTED - PREEMPT AND ABORT",
    SANITIZE_FAILED = 0x1c "SANITIZE FAILED",
    SANITIZE_IN_PROGRESS = 0x1d "SANITIZE IN PROGRESS",
    SGL_DATA_BLOCK_GRANULARITY_INVALID = 0x1e "DATA BLOCK GRANULARITY INVALID",
    COMMAND_NOT_SUPPORTED_IN_CMB = 0x1f "COMMAND NOT SUPPORTED FOR QUEUE IN CMB",
    NAMESPACE_IS_WRITE_PROTECTED = 0x20 "COMMAND NAMESPACE IS PROTECTED",
    COMMAND_INTERRUPTED = 0x21 "COMMAND INTERRUPTED",
    TRANSIENT_TRANSPORT_ERROR = 0x22 "COMMAND TRANSIENT TRANSPORT ERROR",
    LBA_OUT_OF_RANGE = 0x80 "LBA OUT OF RANGE",
    CAPACITY_EXCEEDED = 0x81 "CAPACITY EXCEEDED",
    NAMESPACE_NOT_READY = 0x82 "NAMESPACE NOT READY",
    RESERVATION_CONFLICT = 0x83 "RESERVATION CONFLICT",
    FORMAT_IN_PROGRESS = 0x84 "FORMAT IN PROGRESS",
    INVALID_VALUE_SIZE = 0x85 "INVALID VALUE SIZE",
    INVALID_KEY_SIZE = 0x86 "INVALID KEY SIZE",
    KEY_DOES_NOT_EXIST = 0x87 "KV KEY DOES NOT EXIST",
    UNRECOVERED_ERROR = 0x88 "UNRECOVERED ERROR",
    KEY_EXISTS = 0x89 "KEY EXISTS",
} }

// Base figure 93, NVM Command Set figure 10, Zoned Namespace Command Set figure 17.
table! { COMMAND_SPECIFIC, command_specific_name, "COMMAND SPECIFIC", {
    INVALID_COMPLETION_QUEUE = 0x00 "INVALID COMPLETION QUEUE",
    INVALID_QUEUE_IDENTIFIER = 0x01 "INVALID QUEUE IDENTIFIER",
    INVALID_QUEUE_SIZE = 0x02 "INVALID QUEUE SIZE",
    ABORT_COMMAND_LIMIT_EXCEEDED = 0x03 "ABORT CMD LIMIT EXCEEDED",
    ASYNC_EVENT_REQUEST_LIMIT_EXCEEDED = 0x05 "ASYNC LIMIT EXCEEDED",
    INVALID_FIRMWARE_SLOT = 0x06 "INVALID FIRMWARE SLOT",
    INVALID_FIRMWARE_IMAGE = 0x07 "INVALID FIRMWARE IMAGE",
    INVALID_INTERRUPT_VECTOR = 0x08 "INVALID INTERRUPT VECTOR",
    INVALID_LOG_PAGE = 0x09 "INVALID LOG PAGE",
    INVALID_FORMAT = 0x0a "INVALID FORMAT",
    FIRMWARE_REQUIRES_CONVENTIONAL_RESET = 0x0b "FIRMWARE REQUIRES CONVENTIONAL RESET",
    INVALID_QUEUE_DELETION = 0x0c "INVALID QUEUE DELETION",
    FEATURE_ID_NOT_SAVEABLE = 0x0d "FEATURE ID NOT SAVEABLE",
    FEATURE_NOT_CHANGEABLE = 0x0e "FEATURE NOT CHANGEABLE",
    FEATURE_NOT_NAMESPACE_SPECIFIC = 0x0f "FEATURE NOT NAMESPACE SPECIFIC",
    FIRMWARE_REQUIRES_NVM_RESET = 0x10 "FIRMWARE REQUIRES NVM RESET",
    FIRMWARE_REQUIRES_RESET = 0x11 "FIRMWARE REQUIRES RESET",
    FIRMWARE_REQUIRES_MAX_TIME_VIOLATION = 0x12 "FIRMWARE REQUIRES MAX TIME VIOLATION",
    FIRMWARE_ACTIVATION_PROHIBITED = 0x13 "FIRMWARE ACTIVATION PROHIBITED",
    OVERLAPPING_RANGE = 0x14 "OVERLAPPING RANGE",
    NAMESPACE_INSUFFICIENT_CAPACITY = 0x15 "NAMESPACE INSUFFICIENT CAPACITY",
    NAMESPACE_ID_UNAVAILABLE = 0x16 "NAMESPACE ID UNAVAILABLE",
    NAMESPACE_ALREADY_ATTACHED = 0x18 "NAMESPACE ALREADY ATTACHED",
    NAMESPACE_IS_PRIVATE = 0x19 "NAMESPACE IS PRIVATE",
    NAMESPACE_NOT_ATTACHED = 0x1a "NAMESPACE NOT ATTACHED",
    THIN_PROVISIONING_NOT_SUPPORTED = 0x1b "THINPROVISIONING NOT SUPPORTED",
    CONTROLLER_LIST_INVALID = 0x1c "CONTROLLER LIST INVALID",
    DEVICE_SELF_TEST_IN_PROGRESS = 0x1d "DEVICE SELF-TEST IN PROGRESS",
    BOOT_PARTITION_WRITE_PROHIBITED = 0x1e "BOOT PARTITION WRITE PROHIBITED",
    INVALID_CONTROLLER_ID = 0x1f "INVALID CONTROLLER ID",
    INVALID_SECONDARY_CONTROLLER_STATE = 0x20 "INVALID SECONDARY CONTROLLER STATE",
    INVALID_NUMBER_OF_CONTROLLER_RESOURCES = 0x21 "INVALID NUMBER OF CONTROLLER RESOURCES",
    INVALID_RESOURCE_ID = 0x22 "INVALID RESOURCE IDENTIFIER",
    SANITIZE_PROHIBITED = 0x23 "SANITIZE PROHIBITED",
    ANA_GROUP_ID_INVALID = 0x24 "ANA GROUP IDENTIFIER INVALID",
    ANA_ATTACH_FAILED = 0x25 "ANA ATTACH FAILED",
    INSUFFICIENT_CAPACITY = 0x26 "INSUFFICIENT CAPACITY",
    NAMESPACE_ATTACH_LIMIT_EXCEEDED = 0x27 "NAMESPACE ATTACH LIMIT EXCEEDED",
    PROHIBIT_COMMAND_EXECUTION_NOT_SUPPORTED = 0x28 "PROHIBIT COMMAND EXEC NOT SUPPORTED",
    IOCS_NOT_SUPPORTED = 0x29 "IOCS NOT SUPPORTED",
    IOCS_NOT_ENABLED = 0x2a "IOCS NOT ENABLED",
    IOCS_COMBINATION_REJECTED = 0x2b "IOCS COMBINATION REJECTED",
    INVALID_IOCS = 0x2c "INVALID IOCS",
    IDENTIFIER_UNAVAILABLE = 0x2d "IDENTIFIER UNAVAILABLE",
    STREAM_RESOURCE_ALLOCATION_FAILED = 0x7f "STREAM RESOURCE ALLOCATION FAILED",
    CONFLICTING_ATTRIBUTES = 0x80 "CONFLICTING ATTRIBUTES",
    INVALID_PROTECTION_INFORMATION = 0x81 "INVALID PROTECTION INFO",
    WRITE_TO_READ_ONLY_RANGE = 0x82 "WRITE TO RO RANGE",
    COMMAND_SIZE_LIMIT_EXCEEDED = 0x83 "CMD SIZE LIMIT SIZE EXCEEDED",
    ZONE_BOUNDARY_ERROR = 0xb8 "ZONED BOUNDARY ERROR",
    ZONE_IS_FULL = 0xb9 "ZONE IS FULL",
    ZONE_IS_READ_ONLY = 0xba "ZONE IS READ ONLY",
    ZONE_IS_OFFLINE = 0xbb "ZONE IS OFFLINE",
    ZONE_INVALID_WRITE = 0xbc "ZONE INVALID WRITE",
    TOO_MANY_ACTIVE_ZONES = 0xbd "TOO MANY ACTIVE ZONES",
    TOO_MANY_OPEN_ZONES = 0xbe "TOO MANY OPEN ZONES",
    INVALID_ZONE_STATE_TRANSITION = 0xbf "INVALID ZONE STATE TRANSITION",
} }

// Base figure 94, NVM Command Set figure 11; from 0xc0 on the Open-Channel 2.0 codes that tools still print.
table! { MEDIA_ERROR, media_name, "MEDIA ERROR", {
    WRITE_FAULTS = 0x80 "WRITE FAULTS",
    UNRECOVERED_READ_ERROR = 0x81 "UNRECOVERED READ ERROR",
    GUARD_CHECK_ERROR = 0x82 "GUARD CHECK ERROR",
    APPLICATION_TAG_CHECK_ERROR = 0x83 "APPLICATION TAG CHECK ERROR",
    REFERENCE_TAG_CHECK_ERROR = 0x84 "REFERENCE TAG CHECK ERROR",
    COMPARE_FAILURE = 0x85 "COMPARE FAILURE",
    ACCESS_DENIED = 0x86 "ACCESS DENIED",
    DEALLOCATED_OR_UNWRITTEN_BLOCK = 0x87 "DEALLOCATED OR UNWRITTEN BLOCK",
    STORAGE_TAG_CHECK_ERROR = 0x88 "END TO END STORAGE TAG CHECK ERROR",
    OCSSD_OFFLINE_CHUNK = 0xc0 "RESET OFFLINE CHUNK",
    OCSSD_INVALID_RESET = 0xc1 "INVALID RESET",
    OCSSD_WRITE_FAIL_WRITE_NEXT_UNIT = 0xf0 "WRITE FAIL WRITE NEXT UNIT",
    OCSSD_WRITE_FAIL_CHUNK_EARLY_CLOSE = 0xf1 "WRITE FAIL CHUNK EARLY CLOSE",
    OCSSD_OUT_OF_ORDER_WRITE = 0xf2 "OUT OF ORDER WRITE",
    OCSSD_READ_HIGH_ECC = 0xd0 "READ HIGH ECC",
} }

// Base figure 95.
table! { PATH, path_name, "PATH ERROR", {
    INTERNAL_PATH_ERROR = 0x00 "INTERNAL PATH ERROR",
    ASYMMETRIC_ACCESS_PERSISTENT_LOSS = 0x01 "ASYMMETRIC ACCESS PERSISTENT LOSS",
    ASYMMETRIC_ACCESS_INACCESSIBLE = 0x02 "ASYMMETRIC ACCESS INACCESSIBLE",
    ASYMMETRIC_ACCESS_TRANSITION = 0x03 "ASYMMETRIC ACCESS TRANSITION",
    CONTROLLER_PATH_ERROR = 0x60 "CONTROLLER PATH ERROR",
    HOST_PATH_ERROR = 0x70 "HOST PATH ERROR",
    ABORTED_BY_HOST = 0x71 "ABORTED BY HOST",
} }

// NVMe-oF figure 7.
table! { COMMAND_SPECIFIC, fabrics_name, "FABRIC COMMAND SPECIFIC", {
    CONNECT_INCOMPATIBLE_FORMAT = 0x80 "INCOMPATIBLE FORMAT",
    CONNECT_CONTROLLER_BUSY = 0x81 "CONTROLLER BUSY",
    CONNECT_INVALID_PARAMETERS = 0x82 "INVALID PARAM",
    CONNECT_RESTART_DISCOVERY = 0x83 "RESTART DISCOVERY",
    CONNECT_INVALID_HOST = 0x84 "INVALID HOST",
    DISCOVERY_RESTART = 0x90 "LOG RESTART DISCOVERY",
    AUTHENTICATION_REQUIRED = 0x91 "AUTH REQUIRED",
} }

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_where_the_specification_puts_them() {
        let status = Status(0b101_1011_1000_0101);
        assert_eq!(status.sc(), StatusCode(0x85));
        assert_eq!(status.sct(), StatusCodeType(0b011));
        assert_eq!(status.crd(), 0b11);
        assert!(!status.more());
        assert!(status.dnr());
        assert!(Status::SUCCESS.with_dnr(true).is_success());
        assert!(!Status::INTERNAL_PATH_ERROR.is_success());
        assert!(Status::INVALID_FIELD.with_dnr(true).is(Status::INVALID_FIELD));
        assert_eq!(Status::INVALID_FIELD.with_dnr(true).0, 0x4002);
    }

    #[test]
    fn names() {
        assert_eq!(Status::SUCCESS.name(), "SUCCESS");
        assert_eq!(Status::ABORTED_SQ_DELETION.with_dnr(true).name(), "ABORTED - SQ DELETION");
        assert_eq!(Status(0x007f).name(), "GENERIC");
        assert_eq!(Status(0x01ff).name(), "COMMAND SPECIFIC");
        assert_eq!(Status(0x02ff).name(), "MEDIA ERROR");
        assert_eq!(Status(0x03ff).name(), "PATH ERROR");
        assert_eq!(Status(0x0401).name(), "RESERVED");
        assert_eq!(Status(0x0701).name(), "VENDOR SPECIFIC");
        assert_eq!(Status(0x0182).name(), "WRITE TO RO RANGE");
        assert_eq!(Status(0x0182).name_for(0x7f), "INVALID PARAM");
        assert_eq!(Status(0x0182).name_for(0x02), "WRITE TO RO RANGE");
        assert_eq!(Status(0x0102).name_for(0x7f), "FABRIC COMMAND SPECIFIC");
        assert_eq!(Status(0x0002).name_for(0x7f), "INVALID FIELD");
        assert_eq!(StatusCodeType(5).name(), "RESERVED");
        assert_eq!(StatusCodeType::PATH.name(), "PATH");
    }
}

//! Features (Base 5.27.1) and what their dwords hold.

use crate::opcode::codes;

codes! {
    /// A feature identifier.
    FeatureId {
        ARBITRATION = 0x01,
        POWER_MANAGEMENT = 0x02,
        LBA_RANGE_TYPE = 0x03,
        TEMPERATURE_THRESHOLD = 0x04,
        ERROR_RECOVERY = 0x05,
        VOLATILE_WRITE_CACHE = 0x06,
        NUMBER_OF_QUEUES = 0x07,
        INTERRUPT_COALESCING = 0x08,
        INTERRUPT_VECTOR_CONFIGURATION = 0x09,
        WRITE_ATOMICITY = 0x0a,
        ASYNC_EVENT_CONFIGURATION = 0x0b,
        AUTONOMOUS_POWER_STATE_TRANSITION = 0x0c,
        HOST_MEMORY_BUFFER = 0x0d,
        TIMESTAMP = 0x0e,
        KEEP_ALIVE_TIMER = 0x0f,
        HOST_CONTROLLED_THERMAL_MANAGEMENT = 0x10,
        NON_OPERATIONAL_POWER_STATE = 0x11,
        HOST_BEHAVIOR_SUPPORT = 0x16,
        IO_COMMAND_SET_PROFILE = 0x19,
        SOFTWARE_PROGRESS_MARKER = 0x80,
        HOST_IDENTIFIER = 0x81,
        RESERVATION_NOTIFICATION_MASK = 0x82,
        RESERVATION_PERSISTENCE = 0x83,
    }
}

/// What a controller granted for Number of Queues (dword 0 of the completion, Base figure 321).
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct QueueCounts {
    /// I/O submission queues, 1 to 65,536.
    pub submission: u32,
    /// I/O completion queues, 1 to 65,536.
    pub completion: u32,
}

impl QueueCounts {
    /// From the zero-based halves of a dword.
    #[must_use]
    pub const fn from_dword(dword: u32) -> QueueCounts {
        QueueCounts {
            submission: (dword & 0xffff).saturating_add(1),
            completion: (dword >> 16).saturating_add(1),
        }
    }

    /// As the zero-based halves of a dword.
    #[must_use]
    pub const fn to_dword(self) -> u32 {
        (self.submission.saturating_sub(1) & 0xffff) | self.completion.saturating_sub(1) << 16
    }
}

/// Bytes of Host Behavior Support (Base figure 341).
pub const HOST_BEHAVIOR_SIZE: usize = 512;

/// The data of Host Behavior Support of a host that knows LBA formats beyond the first 16, with guards beyond 16 bits (LBAFEE; Base figure 341).
#[must_use]
pub const fn host_behavior_with_extended_lba_formats() -> [u8; HOST_BEHAVIOR_SIZE] {
    let mut data = [0; HOST_BEHAVIOR_SIZE];
    data[2] = 1;
    data
}

/// Bits of Asynchronous Event Configuration, and of OAES in Identify Controller where they exist there (Base figure
/// 325).
pub mod async_events {
    /// SMART / health critical warnings: bits 4:0, which every version has. Controllers refuse bits that they do not know.
    pub const SMART_CRITICAL: u32 = 0x1f;
    /// Namespace attribute notices.
    pub const NAMESPACE_ATTRIBUTE: u32 = 1 << 8;
    /// Firmware activation notices.
    pub const FIRMWARE_ACTIVATION: u32 = 1 << 9;
    /// Telemetry log notices; whether there are such says LPA and not OAES.
    pub const TELEMETRY_LOG: u32 = 1 << 10;
    /// Asymmetric namespace access change notices.
    pub const ANA_CHANGE: u32 = 1 << 11;
    /// Discovery log page change notification.
    pub const DISCOVERY_LOG_CHANGE: u32 = 1 << 31;
}

/// Dword 0 of an asynchronous event's completion (Base figure 146).
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct AsyncEvent(pub u32);

impl AsyncEvent {
    /// An event: type, information, and the log page that has more.
    #[must_use]
    pub const fn new(kind: u8, information: u8, log_page: u8) -> AsyncEvent {
        AsyncEvent(kind as u32 & 7 | (information as u32) << 8 | (log_page as u32) << 16)
    }

    /// Event type: 0 error, 1 SMART, 2 notice, 6 I/O command set, 7 vendor.
    #[must_use]
    pub const fn kind(self) -> u8 {
        self.0 as u8 & 7
    }

    /// Event information.
    #[must_use]
    pub const fn information(self) -> u8 {
        (self.0 >> 8) as u8
    }

    /// Log page identifier.
    #[must_use]
    pub const fn log_page(self) -> u8 {
        (self.0 >> 16) as u8
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn queue_counts_are_zero_based() {
        let counts = QueueCounts::from_dword(0x003f_007f);
        assert_eq!(counts, QueueCounts { submission: 128, completion: 64 });
        assert_eq!(counts.to_dword(), 0x003f_007f);
        assert_eq!(QueueCounts::from_dword(0xffff_ffff).submission, 65_536);
    }

    #[test]
    fn async_event_fields() {
        let event = AsyncEvent::new(2, 0xf0, 0x70);
        assert_eq!(event.0, 0x0070_f002);
        assert_eq!((event.kind(), event.information(), event.log_page()), (2, 0xf0, 0x70));
    }
}

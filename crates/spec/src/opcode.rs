//! Opcodes of the Admin, NVM and Fabrics command sets (Base figures 138 and 389, NVM Command Set figure 22, NVMe-oF
//! figure 9).

macro_rules! codes {
    ($(#[$type_doc:meta])* $type:ident { $($name:ident = $value:literal),+ $(,)? }) => {
        $(#[$type_doc])*
        #[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
        pub struct $type(pub u8);

        impl $type {
            $(
                #[doc = concat!("`", stringify!($value), "`")]
                pub const $name: $type = $type($value);
            )+
        }
    };
}
pub(crate) use codes;

codes! {
    /// An opcode of the Admin Command Set.
    AdminOpcode {
        DELETE_IO_SQ = 0x00,
        CREATE_IO_SQ = 0x01,
        GET_LOG_PAGE = 0x02,
        DELETE_IO_CQ = 0x04,
        CREATE_IO_CQ = 0x05,
        IDENTIFY = 0x06,
        ABORT = 0x08,
        SET_FEATURES = 0x09,
        GET_FEATURES = 0x0a,
        ASYNC_EVENT_REQUEST = 0x0c,
        NAMESPACE_MANAGEMENT = 0x0d,
        FIRMWARE_COMMIT = 0x10,
        FIRMWARE_IMAGE_DOWNLOAD = 0x11,
        DEVICE_SELF_TEST = 0x14,
        NAMESPACE_ATTACHMENT = 0x15,
        KEEP_ALIVE = 0x18,
        DIRECTIVE_SEND = 0x19,
        DIRECTIVE_RECEIVE = 0x1a,
        VIRTUALIZATION_MANAGEMENT = 0x1c,
        NVME_MI_SEND = 0x1d,
        NVME_MI_RECEIVE = 0x1e,
        DOORBELL_BUFFER_CONFIG = 0x7c,
        FABRICS = 0x7f,
        FORMAT_NVM = 0x80,
        SECURITY_SEND = 0x81,
        SECURITY_RECEIVE = 0x82,
        SANITIZE = 0x84,
        GET_LBA_STATUS = 0x86,
    }
}

codes! {
    /// An opcode of the NVM Command Set.
    NvmOpcode {
        FLUSH = 0x00,
        WRITE = 0x01,
        READ = 0x02,
        WRITE_UNCORRECTABLE = 0x04,
        COMPARE = 0x05,
        WRITE_ZEROES = 0x08,
        DATASET_MANAGEMENT = 0x09,
        VERIFY = 0x0c,
        RESERVATION_REGISTER = 0x0d,
        RESERVATION_REPORT = 0x0e,
        RESERVATION_ACQUIRE = 0x11,
        IO_MANAGEMENT_RECEIVE = 0x12,
        RESERVATION_RELEASE = 0x15,
        COPY = 0x19,
        IO_MANAGEMENT_SEND = 0x1d,
        FABRICS = 0x7f,
    }
}

codes! {
    /// An opcode that the Zoned Namespace Command Set adds (ZNS figure 18).
    ZonedOpcode {
        ZONE_MANAGEMENT_SEND = 0x79,
        ZONE_MANAGEMENT_RECEIVE = 0x7a,
        ZONE_APPEND = 0x7d,
    }
}

codes! {
    /// An opcode of the Key Value Command Set, apart from those that all have (Key Value figure 13).
    KeyValueOpcode {
        STORE = 0x01,
        RETRIEVE = 0x02,
        LIST = 0x06,
        DELETE = 0x10,
        EXIST = 0x14,
    }
}

codes! {
    /// A Fabrics command type (FCTYPE, NVMe-oF figure 9).
    FabricsType {
        PROPERTY_SET = 0x00,
        CONNECT = 0x01,
        PROPERTY_GET = 0x04,
        AUTHENTICATION_SEND = 0x05,
        AUTHENTICATION_RECEIVE = 0x06,
        DISCONNECT = 0x08,
    }
}

/// Which way a command's data goes.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum DataTransfer {
    /// No data.
    None,
    /// From host to controller.
    HostToController,
    /// From controller to host.
    ControllerToHost,
    /// Both ways.
    Bidirectional,
}

impl DataTransfer {
    /// The direction that the two low bits of an opcode, or of FCTYPE for a Fabrics command, say (Base 3.3.3.1).
    #[must_use]
    pub const fn of(opcode: u8) -> DataTransfer {
        match opcode & 3 {
            0 => DataTransfer::None,
            1 => DataTransfer::HostToController,
            2 => DataTransfer::ControllerToHost,
            _ => DataTransfer::Bidirectional,
        }
    }
}

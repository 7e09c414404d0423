//! Names of opcodes, features and descriptor types as they stand in log lines about commands. Programs compare some of
//! them, so the texts are fixed.

macro_rules! names {
    ($(#[$doc:meta])* $function:ident, $other:literal, { $($value:literal $text:literal),+ $(,)? }) => {
        $(#[$doc])*
        #[must_use]
        pub const fn $function(value: u8) -> &'static str {
            match value {
                $($value => $text,)+
                _ => $other,
            }
        }
    };
}

names! {
    /// Name of an admin opcode.
    admin_opcode, "ADMIN COMMAND", {
        0x00 "DELETE IO SQ",
        0x01 "CREATE IO SQ",
        0x02 "GET LOG PAGE",
        0x04 "DELETE IO CQ",
        0x05 "CREATE IO CQ",
        0x06 "IDENTIFY",
        0x08 "ABORT",
        0x09 "SET FEATURES",
        0x0a "GET FEATURES",
        0x0c "ASYNC EVENT REQUEST",
        0x0d "NAMESPACE MANAGEMENT",
        0x10 "FIRMWARE COMMIT",
        0x11 "FIRMWARE IMAGE DOWNLOAD",
        0x14 "DEVICE SELF-TEST",
        0x15 "NAMESPACE ATTACHMENT",
        0x18 "KEEP ALIVE",
        0x19 "DIRECTIVE SEND",
        0x1a "DIRECTIVE RECEIVE",
        0x1c "VIRTUALIZATION MANAGEMENT",
        0x1d "NVME-MI SEND",
        0x1e "NVME-MI RECEIVE",
        0x7c "DOORBELL BUFFER CONFIG",
        0x7f "FABRIC",
        0x80 "FORMAT NVM",
        0x81 "SECURITY SEND",
        0x82 "SECURITY RECEIVE",
        0x84 "SANITIZE",
        0x86 "GET LBA STATUS",
        0xe2 "OCSSD / GEOMETRY",
    }
}

names! {
    /// Name of an opcode of an I/O queue.
    io_opcode, "IO COMMAND", {
        0x00 "FLUSH",
        0x01 "WRITE",
        0x02 "READ",
        0x04 "WRITE UNCORRECTABLE",
        0x05 "COMPARE",
        0x08 "WRITE ZEROES",
        0x09 "DATASET MANAGEMENT",
        0x0d "RESERVATION REGISTER",
        0x0e "RESERVATION REPORT",
        0x11 "RESERVATION ACQUIRE",
        0x15 "RESERVATION RELEASE",
        0x90 "OCSSD / VECTOR RESET",
        0x91 "OCSSD / VECTOR WRITE",
        0x92 "OCSSD / VECTOR READ",
        0x93 "OCSSD / VECTOR COPY",
    }
}

names! {
    /// Name of a Fabrics command type.
    fabrics_type, "RESERVED / VENDOR SPECIFIC", {
        0x00 "PROPERTY SET",
        0x01 "CONNECT",
        0x04 "PROPERTY GET",
        0x05 "AUTHENTICATION SEND",
        0x06 "AUTHENTICATION RECV",
    }
}

names! {
    /// Name of a feature.
    feature, "RESERVED", {
        0x01 "ARBITRATION",
        0x02 "POWER MANAGEMENT",
        0x03 "LBA RANGE TYPE",
        0x04 "TEMPERATURE THRESHOLD",
        0x05 "ERROR_RECOVERY",
        0x06 "VOLATILE WRITE CACHE",
        0x07 "NUMBER OF QUEUES",
        0x08 "INTERRUPT COALESCING",
        0x09 "INTERRUPT VECTOR CONFIGURATION",
        0x0a "WRITE ATOMICITY",
        0x0b "ASYNC EVENT CONFIGURATION",
        0x0c "AUTONOMOUS POWER STATE TRANSITION",
        0x0d "HOST MEM BUFFER",
        0x0e "TIMESTAMP",
        0x0f "KEEP ALIVE TIMER",
        0x10 "HOST CONTROLLED THERMAL MANAGEMENT",
        0x11 "NON OPERATIONAL POWER STATE CONFIG",
        0x80 "SOFTWARE PROGRESS MARKER",
        0x81 "HOST IDENTIFIER",
        0x82 "HOST RESERVE MASK",
        0x83 "HOST RESERVE PERSIST",
    }
}

names! {
    /// Name of an SGL descriptor type.
    sgl_type, "RESERVED", {
        0x0 "DATA BLOCK",
        0x1 "BIT BUCKET",
        0x2 "SEGMENT",
        0x3 "LAST SEGMENT",
        0x4 "KEYED DATA BLOCK",
        0x5 "TRANSPORT DATA BLOCK",
        0xf "VENDOR SPECIFIC",
    }
}

names! {
    /// Name of an SGL descriptor subtype.
    sgl_subtype, "RESERVED", {
        0x0 "ADDRESS",
        0x1 "OFFSET",
        0xa "TRANSPORT",
        0xf "INVALIDATE KEY",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_and_unknown() {
        assert_eq!(admin_opcode(0x06), "IDENTIFY");
        assert_eq!(admin_opcode(0xc1), "ADMIN COMMAND");
        assert_eq!(io_opcode(0x02), "READ");
        assert_eq!(io_opcode(0x0c), "IO COMMAND");
        assert_eq!(fabrics_type(0x01), "CONNECT");
        assert_eq!(fabrics_type(0x08), "RESERVED / VENDOR SPECIFIC");
        assert_eq!(feature(0x07), "NUMBER OF QUEUES");
        assert_eq!(sgl_type(0x4), "KEYED DATA BLOCK");
        assert_eq!(sgl_subtype(0x2), "RESERVED");
    }
}

//! Log pages (Base 5.16.1, NVMe-oF 5.4): identifiers, the discovery log page, and the small pages of a simple controller.

use crate::bytes::{array, field, padded, put, put_text, terminated, u16_at, u64_at};
use crate::command::Command;
use crate::fabrics::{NQN_FIELD_SIZE, NQN_LENGTH_MAX};
use crate::opcode::codes;

codes! {
    /// A log page identifier.
    LogPageId {
        SUPPORTED_LOG_PAGES = 0x00,
        ERROR = 0x01,
        SMART = 0x02,
        FIRMWARE_SLOT = 0x03,
        CHANGED_NAMESPACES = 0x04,
        COMMANDS_SUPPORTED_AND_EFFECTS = 0x05,
        ASYMMETRIC_NAMESPACE_ACCESS = 0x0c,
        FDP_CONFIGURATIONS = 0x20,
        FDP_RECLAIM_UNIT_HANDLE_USAGE = 0x21,
        FDP_STATISTICS = 0x22,
        FDP_EVENTS = 0x23,
        DISCOVERY = 0x70,
        RESERVATION_NOTIFICATION = 0x80,
    }
}

/// Size of an entry of the error log page in bytes.
pub const ERROR_ENTRY_SIZE: usize = 64;
/// Size of the SMART log page in bytes.
pub const SMART_SIZE: usize = 512;
/// Size of the firmware slot log page in bytes.
pub const FIRMWARE_SLOT_SIZE: usize = 512;
/// Size of the changed namespace list log page in bytes.
pub const CHANGED_NAMESPACES_SIZE: usize = 4096;
/// Size of the commands supported and effects log page in bytes.
pub const EFFECTS_SIZE: usize = 4096;

/// Whether a commands supported and effects log page has an I/O command as supported: bit 0 of what it says of the opcode.
#[must_use]
pub fn is_io_command_supported(page: &[u8; EFFECTS_SIZE], opcode: u8) -> bool {
    let at = usize::from(opcode).saturating_mul(4).saturating_add(1024);
    page.get(at).is_some_and(|effects| effects & 1 != 0)
}

/// Fields of a Get Log Page command.
impl Command {
    /// Log page identifier.
    #[must_use]
    pub const fn log_page_id(&self) -> LogPageId {
        LogPageId(self.cdw10() as u8)
    }

    /// Bytes asked for: 4 to 2^34.
    #[must_use]
    pub const fn log_page_length(&self) -> u64 {
        let dwords = (self.cdw10() >> 16) as u64 | (self.cdw11() as u64 & 0xffff) << 16;
        dwords.saturating_add(1).saturating_mul(4)
    }

    /// Byte offset asked for.
    #[must_use]
    pub const fn log_page_offset(&self) -> u64 {
        self.cdw12() as u64 | (self.cdw13() as u64) << 32
    }

    /// The command set that the page is to be about, where there is one page for each (CSI).
    #[must_use]
    pub const fn log_page_csi(&self) -> u8 {
        (self.cdw14() >> 24) as u8
    }

    /// Retain Asynchronous Event: reading does not re-arm the event.
    #[must_use]
    pub const fn log_page_rae(&self) -> bool {
        self.cdw10() & 1 << 15 != 0
    }
}

/// TRTYPE: RDMA.
pub const TRTYPE_RDMA: u8 = 1;
/// ADRFAM: IPv4.
pub const ADRFAM_IPV4: u8 = 1;
/// ADRFAM: IPv6.
pub const ADRFAM_IPV6: u8 = 2;
/// SUBTYPE: a referral to another discovery service.
pub const SUBTYPE_DISCOVERY: u8 = 1;
/// SUBTYPE: an NVM subsystem.
pub const SUBTYPE_NVM: u8 = 2;
/// SUBTYPE: the discovery service that answers.
pub const SUBTYPE_DISCOVERY_CURRENT: u8 = 3;
/// TREQ bits 1:0: a secure channel is not required.
pub const TREQ_NOT_REQUIRED: u8 = 2;
/// CNTLID of an entry: the subsystem uses the dynamic controller model.
pub const ENTRY_CNTLID_DYNAMIC: u16 = 0xffff;
/// RDMA_QPTYPE: reliable connected.
pub const RDMA_QPTYPE_RC: u8 = 1;
/// RDMA_PRTYPE: no provider specified.
pub const RDMA_PRTYPE_NONE: u8 = 1;
/// RDMA_CMS: the RDMA connection manager with IP addressing.
pub const RDMA_CMS_RDMA_CM: u8 = 1;

/// Header of the discovery log page (NVMe-oF figure 40).
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct DiscoveryHeader {
    /// Generation counter: changes with the page.
    pub genctr: u64,
    /// Number of entries.
    pub numrec: u64,
    /// Record format, 0.
    pub recfmt: u16,
}

impl DiscoveryHeader {
    /// Size in bytes; the entries follow.
    pub const SIZE: usize = 1024;

    /// From the first bytes of the page.
    #[must_use]
    pub fn decode(data: &[u8; DiscoveryHeader::SIZE]) -> DiscoveryHeader {
        DiscoveryHeader { genctr: u64_at(data, 0), numrec: u64_at(data, 8), recfmt: u16_at(data, 16) }
    }

    /// The first bytes of the page.
    #[must_use]
    pub fn encode(&self) -> [u8; DiscoveryHeader::SIZE] {
        let mut data = [0; DiscoveryHeader::SIZE];
        put(&mut data, 0, &self.genctr.to_le_bytes());
        put(&mut data, 8, &self.numrec.to_le_bytes());
        put(&mut data, 16, &self.recfmt.to_le_bytes());
        data
    }
}

/// An entry of the discovery log page, read (NVMe-oF figure 41).
#[derive(Clone, Copy, Debug)]
pub struct DiscoveryEntryView<'a>(pub &'a [u8; DiscoveryEntry::SIZE]);

impl<'a> DiscoveryEntryView<'a> {
    /// Transport type.
    #[must_use]
    pub fn trtype(self) -> u8 {
        u8::from_le_bytes(array(self.0, 0))
    }

    /// Address family.
    #[must_use]
    pub fn adrfam(self) -> u8 {
        u8::from_le_bytes(array(self.0, 1))
    }

    /// Subsystem type.
    #[must_use]
    pub fn subtype(self) -> u8 {
        u8::from_le_bytes(array(self.0, 2))
    }

    /// Transport requirements.
    #[must_use]
    pub fn treq(self) -> u8 {
        u8::from_le_bytes(array(self.0, 3))
    }

    /// NVM subsystem port id.
    #[must_use]
    pub fn portid(self) -> u16 {
        u16_at(self.0, 4)
    }

    /// Controller id, or [`ENTRY_CNTLID_DYNAMIC`].
    #[must_use]
    pub fn cntlid(self) -> u16 {
        u16_at(self.0, 6)
    }

    /// Largest Admin Submission Queue, in entries.
    #[must_use]
    pub fn asqsz(self) -> u16 {
        u16_at(self.0, 8)
    }

    /// Transport service id: the port, without its padding.
    #[must_use]
    pub fn trsvcid(self) -> &'a str {
        padded(field(self.0, 32, 32))
    }

    /// NQN of the subsystem; `None` when it is not a terminated string.
    #[must_use]
    pub fn subnqn(self) -> Option<&'a str> {
        terminated(field(self.0, 256, NQN_FIELD_SIZE)).filter(|nqn| nqn.len() <= NQN_LENGTH_MAX)
    }

    /// Transport address, without its padding.
    #[must_use]
    pub fn traddr(self) -> &'a str {
        padded(field(self.0, 512, 256))
    }
}

/// What an entry for an RDMA subsystem says.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct DiscoveryEntry<'a> {
    /// Address family.
    pub adrfam: u8,
    /// Subsystem type.
    pub subtype: u8,
    /// NVM subsystem port id.
    pub portid: u16,
    /// Largest Admin Submission Queue, in entries.
    pub asqsz: u16,
    /// Transport service id, at most 32 bytes.
    pub trsvcid: &'a str,
    /// NQN of the subsystem.
    pub subnqn: &'a str,
    /// Transport address, at most 256 bytes.
    pub traddr: &'a str,
}

impl DiscoveryEntry<'_> {
    /// Size in bytes.
    pub const SIZE: usize = 1024;

    /// The entry, with the address subtype for a reliable connection through the RDMA connection manager.
    #[must_use]
    pub fn encode(&self) -> [u8; DiscoveryEntry::SIZE] {
        let mut data = [0; DiscoveryEntry::SIZE];
        put(&mut data, 0, &[TRTYPE_RDMA, self.adrfam, self.subtype, TREQ_NOT_REQUIRED]);
        put(&mut data, 4, &self.portid.to_le_bytes());
        put(&mut data, 6, &ENTRY_CNTLID_DYNAMIC.to_le_bytes());
        put(&mut data, 8, &self.asqsz.to_le_bytes());
        put_text(&mut data, 32, 32, self.trsvcid, b' ');
        put_text(&mut data, 256, NQN_FIELD_SIZE, self.subnqn, 0);
        put_text(&mut data, 512, 256, self.traddr, b' ');
        put(&mut data, 768, &[RDMA_QPTYPE_RC, RDMA_PRTYPE_NONE, RDMA_CMS_RDMA_CM]);
        data
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn discovery_header_layout() {
        let header = DiscoveryHeader { genctr: 0x0102, numrec: 3, recfmt: 0 };
        let data = header.encode();
        assert_eq!(data[..20], [2, 1, 0, 0, 0, 0, 0, 0, 3, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
        assert_eq!(DiscoveryHeader::decode(&data), header);
    }

    #[test]
    fn discovery_entry_layout() {
        let entry = DiscoveryEntry {
            adrfam: ADRFAM_IPV4,
            subtype: SUBTYPE_NVM,
            portid: 1,
            asqsz: 32,
            trsvcid: "4420",
            subnqn: "nqn.2016-06.io:x",
            traddr: "127.0.0.1",
        };
        let mut expected = [0; 1024];
        expected[..10].copy_from_slice(&[1, 1, 2, 2, 1, 0, 0xff, 0xff, 32, 0]);
        expected[32..64].copy_from_slice(b"4420                            ");
        expected[256..272].copy_from_slice(b"nqn.2016-06.io:x");
        expected[512..768].fill(b' ');
        expected[512..521].copy_from_slice(b"127.0.0.1");
        expected[768..771].copy_from_slice(&[1, 1, 1]);
        assert_eq!(entry.encode(), expected);
        let view = DiscoveryEntryView(&expected);
        assert_eq!((view.trtype(), view.adrfam(), view.subtype(), view.treq()), (1, 1, 2, 2));
        assert_eq!((view.portid(), view.cntlid(), view.asqsz()), (1, 0xffff, 32));
        assert_eq!((view.trsvcid(), view.traddr()), ("4420", "127.0.0.1"));
        assert_eq!(view.subnqn(), Some("nqn.2016-06.io:x"));
        assert_eq!(DiscoveryEntryView(&[0xff; 1024]).subnqn(), None);
    }

    #[test]
    fn get_log_page_fields() {
        let command = Command::get_log_page(LogPageId::DISCOVERY, 0, 0x1_0000_0400, 0x50_0000);
        assert_eq!(command.log_page_id(), LogPageId::DISCOVERY);
        assert_eq!(command.log_page_length(), 0x50_0000);
        assert_eq!(command.log_page_offset(), 0x1_0000_0400);
        assert!(!command.log_page_rae());
    }
}

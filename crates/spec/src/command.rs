//! The 64-byte submission queue entry (Base 3.3.3.1) and constructors for the commands that a fabrics host sends.
//!
//! A command is built in host order and leaves as sixteen little-endian dwords. Every constructor sets PSDT to SGL and
//! SGL1 to a keyed block of length 0, the only forms that the RDMA transport takes (RDMA Transport 2.5).

use crate::fabrics::PropertySize;
use crate::feature::FeatureId;
use crate::identify::Cns;
use crate::log::LogPageId;
use crate::opcode::{AdminOpcode, FabricsType, NvmOpcode};
use crate::sgl::Sgl;

/// Size of a submission queue entry in bytes.
pub const COMMAND_SIZE: usize = 64;

/// A namespace id that means every namespace.
pub const NSID_ALL: u32 = 0xffff_ffff;

/// PSDT in command dword 0: SGLs, the metadata pointer is a contiguous buffer (Base figure 87).
const PSDT_SGL: u32 = 0b01 << 14;

/// A submission queue entry.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[repr(transparent)]
pub struct Command {
    /// Command dwords 0 to 15, in host order.
    pub dwords: [u32; 16],
}

/// Constructors.
impl Command {
    /// A command with this opcode, PSDT = SGL and no data.
    #[must_use]
    pub const fn new(opcode: u8) -> Command {
        let mut command = Command { dwords: [0; 16] };
        command.dwords[0] = opcode as u32 | PSDT_SGL;
        command.set_sgl1(Sgl::NONE);
        command
    }

    const fn admin(opcode: AdminOpcode) -> Command {
        Command::new(opcode.0)
    }

    const fn nvm(opcode: NvmOpcode, nsid: u32) -> Command {
        let mut command = Command::new(opcode.0);
        command.set_nsid(nsid);
        command
    }

    const fn range(opcode: NvmOpcode, nsid: u32, lba: u64, blocks: u32) -> Command {
        let mut command = Command::nvm(opcode, nsid);
        command.set_lba(lba);
        command.set_block_count(blocks);
        command
    }

    /// Read `blocks` (1 to 65,536) logical blocks from `lba`.
    #[must_use]
    pub const fn read(nsid: u32, lba: u64, blocks: u32) -> Command {
        Command::range(NvmOpcode::READ, nsid, lba, blocks)
    }

    /// Write `blocks` (1 to 65,536) logical blocks at `lba`.
    #[must_use]
    pub const fn write(nsid: u32, lba: u64, blocks: u32) -> Command {
        Command::range(NvmOpcode::WRITE, nsid, lba, blocks)
    }

    /// Compare `blocks` (1 to 65,536) logical blocks at `lba`.
    #[must_use]
    pub const fn compare(nsid: u32, lba: u64, blocks: u32) -> Command {
        Command::range(NvmOpcode::COMPARE, nsid, lba, blocks)
    }

    /// Write zeroes to `blocks` (1 to 65,536) logical blocks at `lba`.
    #[must_use]
    pub const fn write_zeroes(nsid: u32, lba: u64, blocks: u32) -> Command {
        Command::range(NvmOpcode::WRITE_ZEROES, nsid, lba, blocks)
    }

    /// Flush `nsid`, or every namespace with [`NSID_ALL`].
    #[must_use]
    pub const fn flush(nsid: u32) -> Command {
        Command::nvm(NvmOpcode::FLUSH, nsid)
    }

    /// Identify (Base 5.17): 4096 bytes into SGL1. `csi` counts for the CNS values that name a command set.
    #[must_use]
    pub const fn identify(cns: Cns, cntid: u16, nsid: u32, csi: u8) -> Command {
        let mut command = Command::admin(AdminOpcode::IDENTIFY);
        command.set_nsid(nsid);
        command.set_cdw10(cns.0 as u32 | (cntid as u32) << 16);
        command.set_cdw11((csi as u32) << 24);
        command
    }

    /// Get Features (Base 5.15), current value.
    #[must_use]
    pub const fn get_features(feature: FeatureId, cdw11: u32) -> Command {
        let mut command = Command::admin(AdminOpcode::GET_FEATURES);
        command.set_cdw10(feature.0 as u32);
        command.set_cdw11(cdw11);
        command
    }

    /// Set Features (Base 5.27), not saved.
    #[must_use]
    pub const fn set_features(feature: FeatureId, cdw11: u32) -> Command {
        let mut command = Command::admin(AdminOpcode::SET_FEATURES);
        command.set_cdw10(feature.0 as u32);
        command.set_cdw11(cdw11);
        command
    }

    /// Set Features, Number of Queues (Base 5.27.1.5): asks for this many I/O submission and completion queues, each 1
    /// to 65,535.
    #[must_use]
    pub const fn set_number_of_queues(submission: u16, completion: u16) -> Command {
        let cdw11 = submission.saturating_sub(1) as u32 | (completion.saturating_sub(1) as u32) << 16;
        Command::set_features(FeatureId::NUMBER_OF_QUEUES, cdw11)
    }

    /// Set Features, Keep Alive Timer in milliseconds (Base 5.27.1.12).
    #[must_use]
    pub const fn set_keep_alive_timer(milliseconds: u32) -> Command {
        Command::set_features(FeatureId::KEEP_ALIVE_TIMER, milliseconds)
    }

    /// Set Features, Asynchronous Event Configuration (Base 5.27.1.8).
    #[must_use]
    pub const fn set_async_event_configuration(events: u32) -> Command {
        Command::set_features(FeatureId::ASYNC_EVENT_CONFIGURATION, events)
    }

    /// Get Log Page (Base 5.16): `length` bytes (a multiple of 4, at least 4) from byte `offset` of the page.
    #[must_use]
    pub const fn get_log_page(page: LogPageId, nsid: u32, offset: u64, length: u32) -> Command {
        let dwords = (length / 4).saturating_sub(1);
        let mut command = Command::admin(AdminOpcode::GET_LOG_PAGE);
        command.set_nsid(nsid);
        command.set_cdw10(page.0 as u32 | dwords << 16);
        command.set_cdw11(dwords >> 16);
        command.set_cdw12(offset as u32);
        command.set_cdw13((offset >> 32) as u32);
        command
    }

    /// The same Get Log Page command for what the page says of this command set (CSI).
    #[must_use]
    pub const fn of_command_set(mut self, csi: u8) -> Command {
        self.set_cdw14(self.cdw14() & 0x00ff_ffff | (csi as u32) << 24);
        self
    }

    /// The same Get Log Page command with Retain Asynchronous Event: reading does not re-arm the event.
    #[must_use]
    pub const fn retaining_event(mut self) -> Command {
        self.set_cdw10(self.cdw10() | 1 << 15);
        self
    }

    /// Abort (Base 5.1) of command `cid` of submission queue `sqid`.
    #[must_use]
    pub const fn abort(sqid: u16, cid: u16) -> Command {
        let mut command = Command::admin(AdminOpcode::ABORT);
        command.set_cdw10(sqid as u32 | (cid as u32) << 16);
        command
    }

    /// Asynchronous Event Request (Base 5.2).
    #[must_use]
    pub const fn async_event_request() -> Command {
        Command::admin(AdminOpcode::ASYNC_EVENT_REQUEST)
    }

    /// Keep Alive (Base 5.18).
    #[must_use]
    pub const fn keep_alive() -> Command {
        Command::admin(AdminOpcode::KEEP_ALIVE)
    }

    const fn fabrics(kind: FabricsType) -> Command {
        let mut command = Command::admin(AdminOpcode::FABRICS);
        command.dwords[1] = kind.0 as u32;
        command
    }

    /// Connect (NVMe-oF 3.3): the 1024 bytes of [`crate::fabrics::ConnectData`] go with SGL1. `sqsize` is zero-based;
    /// `kato` is in milliseconds and counts for the Admin Queue (`qid` 0) only.
    #[must_use]
    pub const fn connect(qid: u16, sqsize: u16, cattr: u8, kato: u32) -> Command {
        let mut command = Command::fabrics(FabricsType::CONNECT);
        command.set_cdw10((qid as u32) << 16);
        command.set_cdw11(sqsize as u32 | (cattr as u32) << 16);
        command.set_cdw12(kato);
        command
    }

    /// Property Get (NVMe-oF 3.4) at byte `offset` of the property table.
    #[must_use]
    pub const fn property_get(offset: u32, size: PropertySize) -> Command {
        let mut command = Command::fabrics(FabricsType::PROPERTY_GET);
        command.set_cdw10(size.0 as u32);
        command.set_cdw11(offset);
        command
    }

    /// Property Set (NVMe-oF 3.5) at byte `offset` of the property table.
    #[must_use]
    pub const fn property_set(offset: u32, size: PropertySize, value: u64) -> Command {
        let mut command = Command::fabrics(FabricsType::PROPERTY_SET);
        command.set_cdw10(size.0 as u32);
        command.set_cdw11(offset);
        command.set_cdw12(value as u32);
        command.set_cdw13((value >> 32) as u32);
        command
    }

    /// Disconnect (NVMe-oF 3.2) of the I/O queue that carries it.
    #[must_use]
    pub const fn disconnect() -> Command {
        Command::fabrics(FabricsType::DISCONNECT)
    }
}

/// Setters.
impl Command {
    /// Opcode, bits 7:0 of dword 0.
    pub const fn set_opcode(&mut self, opcode: u8) {
        self.dwords[0] = (self.dwords[0] & !0xff) | opcode as u32;
    }

    /// Command identifier, bits 31:16 of dword 0.
    pub const fn set_cid(&mut self, cid: u16) {
        self.dwords[0] = (self.dwords[0] & 0xffff) | (cid as u32) << 16;
    }

    /// The same command with this command identifier.
    #[must_use]
    pub const fn with_cid(mut self, cid: u16) -> Command {
        self.set_cid(cid);
        self
    }

    /// The same command with this data pointer.
    #[must_use]
    pub const fn with_sgl1(mut self, sgl: Sgl) -> Command {
        self.set_sgl1(sgl);
        self
    }

    /// Fused operation, bits 9:8 of dword 0.
    pub const fn set_fuse(&mut self, fuse: u8) {
        self.dwords[0] = (self.dwords[0] & !0x300) | (fuse as u32 & 3) << 8;
    }

    /// PSDT = SGLs. The constructors did this already.
    pub const fn set_psdt_sgl(&mut self) {
        self.dwords[0] = (self.dwords[0] & !0xc000) | PSDT_SGL;
    }

    /// Namespace identifier. Not for Fabrics commands, whose dword 1 holds FCTYPE.
    pub const fn set_nsid(&mut self, nsid: u32) {
        self.dwords[1] = nsid;
    }

    /// SGL entry 1, dwords 6 to 9.
    pub const fn set_sgl1(&mut self, sgl: Sgl) {
        [self.dwords[6], self.dwords[7], self.dwords[8], self.dwords[9]] = sgl.dwords;
    }

    /// Starting LBA of an NVM command, dwords 10 and 11.
    pub const fn set_lba(&mut self, lba: u64) {
        self.dwords[10] = lba as u32;
        self.dwords[11] = (lba >> 32) as u32;
    }

    /// Number of logical blocks of an NVM command, 1 to 65,536, bits 15:0 of dword 12 (zero-based on the wire).
    pub const fn set_block_count(&mut self, blocks: u32) {
        self.dwords[12] = (self.dwords[12] & 0xffff_0000) | (blocks.wrapping_sub(1) & 0xffff);
    }

    /// Control bits of an NVM command as they stand in bits 31:16 of dword 12 (LR, FUA, PRINFO, DTYPE, …); the low half
    /// of `flags` is ignored.
    pub const fn set_io_flags(&mut self, flags: u32) {
        self.dwords[12] = (self.dwords[12] & 0xffff) | (flags & 0xffff_0000);
    }

    /// Command dword 2.
    pub const fn set_cdw2(&mut self, value: u32) {
        self.dwords[2] = value;
    }

    /// Command dword 3.
    pub const fn set_cdw3(&mut self, value: u32) {
        self.dwords[3] = value;
    }

    /// Command dword 10.
    pub const fn set_cdw10(&mut self, value: u32) {
        self.dwords[10] = value;
    }

    /// Command dword 11.
    pub const fn set_cdw11(&mut self, value: u32) {
        self.dwords[11] = value;
    }

    /// Command dword 12.
    pub const fn set_cdw12(&mut self, value: u32) {
        self.dwords[12] = value;
    }

    /// Command dword 13.
    pub const fn set_cdw13(&mut self, value: u32) {
        self.dwords[13] = value;
    }

    /// Command dword 14.
    pub const fn set_cdw14(&mut self, value: u32) {
        self.dwords[14] = value;
    }

    /// Command dword 15.
    pub const fn set_cdw15(&mut self, value: u32) {
        self.dwords[15] = value;
    }
}

/// Readers and conversions.
impl Command {
    /// From the 64 bytes on the wire.
    #[must_use]
    pub fn from_bytes(bytes: &[u8; COMMAND_SIZE]) -> Command {
        let mut dwords = [0; 16];
        for (dword, chunk) in dwords.iter_mut().zip(bytes.as_chunks::<4>().0) {
            *dword = u32::from_le_bytes(*chunk);
        }
        Command { dwords }
    }

    /// The 64 bytes on the wire.
    #[must_use]
    pub fn to_bytes(&self) -> [u8; COMMAND_SIZE] {
        let mut bytes = [0; COMMAND_SIZE];
        for (chunk, dword) in bytes.as_chunks_mut::<4>().0.iter_mut().zip(self.dwords) {
            *chunk = dword.to_le_bytes();
        }
        bytes
    }

    /// Opcode.
    #[must_use]
    pub const fn opcode(&self) -> u8 {
        self.dwords[0] as u8
    }

    /// Fused operation: 0 for a normal command.
    #[must_use]
    pub const fn fuse(&self) -> u8 {
        (self.dwords[0] >> 8) as u8 & 3
    }

    /// PSDT: 0 PRP, 1 and 2 SGL.
    #[must_use]
    pub const fn psdt(&self) -> u8 {
        (self.dwords[0] >> 14) as u8 & 3
    }

    /// Command identifier.
    #[must_use]
    pub const fn cid(&self) -> u16 {
        (self.dwords[0] >> 16) as u16
    }

    /// Namespace identifier.
    #[must_use]
    pub const fn nsid(&self) -> u32 {
        self.dwords[1]
    }

    /// Fabrics command type, when the opcode is [`AdminOpcode::FABRICS`].
    #[must_use]
    pub const fn fabrics_type(&self) -> FabricsType {
        FabricsType(self.dwords[1] as u8)
    }

    /// SGL entry 1.
    #[must_use]
    pub const fn sgl1(&self) -> Sgl {
        Sgl { dwords: [self.dwords[6], self.dwords[7], self.dwords[8], self.dwords[9]] }
    }

    /// PRP entry 1, where PSDT says that the data pointer is made of these.
    #[must_use]
    pub const fn prp1(&self) -> u64 {
        self.dwords[6] as u64 | (self.dwords[7] as u64) << 32
    }

    /// PRP entry 2.
    #[must_use]
    pub const fn prp2(&self) -> u64 {
        self.dwords[8] as u64 | (self.dwords[9] as u64) << 32
    }

    /// Starting LBA of an NVM command.
    #[must_use]
    pub const fn lba(&self) -> u64 {
        self.dwords[10] as u64 | (self.dwords[11] as u64) << 32
    }

    /// Number of logical blocks of an NVM command: 1 to 65,536.
    #[must_use]
    pub const fn block_count(&self) -> u32 {
        (self.dwords[12] & 0xffff).saturating_add(1)
    }

    /// Command dword 2.
    #[must_use]
    pub const fn cdw2(&self) -> u32 {
        self.dwords[2]
    }

    /// Command dword 3.
    #[must_use]
    pub const fn cdw3(&self) -> u32 {
        self.dwords[3]
    }

    /// Command dword 10.
    #[must_use]
    pub const fn cdw10(&self) -> u32 {
        self.dwords[10]
    }

    /// Command dword 11.
    #[must_use]
    pub const fn cdw11(&self) -> u32 {
        self.dwords[11]
    }

    /// Command dword 12.
    #[must_use]
    pub const fn cdw12(&self) -> u32 {
        self.dwords[12]
    }

    /// Command dword 13.
    #[must_use]
    pub const fn cdw13(&self) -> u32 {
        self.dwords[13]
    }

    /// Command dword 14.
    #[must_use]
    pub const fn cdw14(&self) -> u32 {
        self.dwords[14]
    }

    /// Command dword 15.
    #[must_use]
    pub const fn cdw15(&self) -> u32 {
        self.dwords[15]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bytes(pairs: &[(usize, &[u8])]) -> [u8; 64] {
        let mut bytes = [0; 64];
        for (offset, data) in pairs {
            bytes[*offset..offset + data.len()].copy_from_slice(data);
        }
        bytes
    }

    #[test]
    fn read_layout() {
        let mut command = Command::read(0x0102_0304, 0x1112_1314_1516_1718, 8).with_cid(0xabcd);
        command.set_io_flags(1 << 30 | 0xffff);
        command.set_sgl1(Sgl::keyed(0x1000, 4096, 0x55aa_1234));
        let expected = bytes(&[
            (0, &[0x02, 0x40, 0xcd, 0xab, 0x04, 0x03, 0x02, 0x01]),
            (24, &[0x00, 0x10, 0, 0, 0, 0, 0, 0, 0x00, 0x10, 0x00, 0x34, 0x12, 0xaa, 0x55, 0x40]),
            (40, &[0x18, 0x17, 0x16, 0x15, 0x14, 0x13, 0x12, 0x11, 0x07, 0x00, 0x00, 0x40]),
        ]);
        assert_eq!(command.to_bytes(), expected);
        assert_eq!(Command::from_bytes(&expected), command);
        assert_eq!((command.lba(), command.block_count()), (0x1112_1314_1516_1718, 8));
    }

    #[test]
    fn block_counts_at_the_edges() {
        assert_eq!(Command::write(1, 0, 65_536).cdw12(), 0xffff);
        assert_eq!(Command::write(1, 0, 65_536).block_count(), 65_536);
        assert_eq!(Command::write(1, 0, 1).cdw12(), 0);
    }

    #[test]
    fn connect_layout() {
        // NVMe-oF figure 18: RECFMT 41:40, QID 43:42, SQSIZE 45:44, CATTR 46, KATO 51:48.
        let command = Command::connect(3, 0x7f, 0x04, 120_000).with_cid(7);
        let expected = bytes(&[
            (0, &[0x7f, 0x40, 0x07, 0x00, 0x01]),
            (39, &[0x40]),
            (40, &[0, 0, 3, 0, 0x7f, 0, 4, 0, 0xc0, 0xd4, 0x01, 0]),
        ]);
        assert_eq!(command.to_bytes(), expected);
    }

    #[test]
    fn property_layouts() {
        // NVMe-oF figures 22 and 25: ATTRIB 40, OFST 47:44, VALUE 55:48.
        let get = Command::property_get(0x1c, PropertySize::FOUR);
        assert_eq!(get.to_bytes(), bytes(&[(0, &[0x7f, 0x40, 0, 0, 4]), (39, &[0x40]), (44, &[0x1c])]));
        let set = Command::property_set(0x14, PropertySize::EIGHT, 0x0102_0304_0506_0708);
        let expected = bytes(&[
            (0, &[0x7f, 0x40, 0, 0, 0]),
            (39, &[0x40, 0x01]),
            (44, &[0x14, 0, 0, 0, 8, 7, 6, 5, 4, 3, 2, 1]),
        ]);
        assert_eq!(set.to_bytes(), expected);
        assert_eq!(Command::disconnect().to_bytes()[..5], [0x7f, 0x40, 0, 0, 8]);
    }

    #[test]
    fn admin_layouts() {
        let identify = Command::identify(Cns::ACTIVE_NAMESPACE_LIST, 0x1234, 9, 2);
        assert_eq!(identify.to_bytes()[40..48], [0x02, 0, 0x34, 0x12, 0, 0, 0, 0x02]);
        assert_eq!(identify.to_bytes()[4..8], [9, 0, 0, 0]);

        let queues = Command::set_number_of_queues(128, 64);
        assert_eq!(queues.to_bytes()[40..48], [0x07, 0, 0, 0, 127, 0, 63, 0]);
        assert_eq!(Command::set_number_of_queues(0, 0).cdw11(), 0);

        let log = Command::get_log_page(LogPageId::DISCOVERY, 0, 0x1_0000_0400, 0x50_0000);
        assert_eq!(log.to_bytes()[40..56], [0x70, 0, 0xff, 0xff, 0x13, 0, 0, 0, 0, 4, 0, 0, 1, 0, 0, 0]);

        let abort = Command::abort(2, 0x0304);
        assert_eq!((abort.opcode(), abort.cdw10()), (0x08, 0x0304_0002));
        assert_eq!(Command::keep_alive().opcode(), 0x18);
        assert_eq!(Command::async_event_request().opcode(), 0x0c);
        assert_eq!(Command::flush(NSID_ALL).to_bytes()[..8], [0, 0x40, 0, 0, 255, 255, 255, 255]);
    }
}

//! The 16-byte completion queue entry (Base 3.3.3.2) and completions that software makes when a command cannot finish.

use crate::status::{Status, StatusCode, StatusCodeType};

/// Size of a completion queue entry in bytes.
pub const COMPLETION_SIZE: usize = 16;

/// A completion queue entry.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[repr(transparent)]
pub struct Completion {
    /// Dwords 0 to 3, in host order.
    pub dwords: [u32; 4],
}

impl Completion {
    /// A completion with this status. `sqid` is reserved on the wire of a fabrics controller, but the completions that a
    /// host makes itself carry it.
    #[must_use]
    pub const fn new(sqid: u16, cid: u16, status: Status) -> Completion {
        Completion { dwords: [0, 0, (sqid as u32) << 16, cid as u32 | ((status.0 as u32) & 0x7fff) << 17] }
    }

    /// What a host reports for a command whose queue ended under it: Command Aborted due to SQ Deletion.
    #[must_use]
    pub const fn aborted_sq_deletion(sqid: u16, cid: u16, dnr: bool) -> Completion {
        Completion::new(sqid, cid, Status::ABORTED_SQ_DELETION.with_dnr(dnr))
    }

    /// From the 16 bytes on the wire.
    #[must_use]
    pub const fn from_bytes(bytes: &[u8; COMPLETION_SIZE]) -> Completion {
        let all = u128::from_le_bytes(*bytes);
        Completion { dwords: [all as u32, (all >> 32) as u32, (all >> 64) as u32, (all >> 96) as u32] }
    }

    /// The 16 bytes on the wire.
    #[must_use]
    pub const fn to_bytes(&self) -> [u8; COMPLETION_SIZE] {
        let [a, b, c, d] = self.dwords;
        (a as u128 | (b as u128) << 32 | (c as u128) << 64 | (d as u128) << 96).to_le_bytes()
    }

    /// The same completion with this command specific dword 0.
    #[must_use]
    pub const fn with_cdw0(mut self, value: u32) -> Completion {
        self.dwords[0] = value;
        self
    }

    /// The same completion with a 64-bit result in dwords 0 and 1, as Property Get answers.
    #[must_use]
    pub const fn with_result(mut self, value: u64) -> Completion {
        self.dwords[0] = value as u32;
        self.dwords[1] = (value >> 32) as u32;
        self
    }

    /// The same completion with this submission queue head.
    #[must_use]
    pub const fn with_sqhd(mut self, sqhd: u16) -> Completion {
        self.dwords[2] = (self.dwords[2] & 0xffff_0000) | sqhd as u32;
        self
    }

    /// The same completion with this command identifier.
    #[must_use]
    pub const fn with_cid(mut self, cid: u16) -> Completion {
        self.dwords[3] = (self.dwords[3] & 0xffff_0000) | cid as u32;
        self
    }

    /// The same completion with this type and code of its status; the status' flags stay.
    #[must_use]
    pub const fn with_status(mut self, status: Status) -> Completion {
        let code = ((status.0 & 0x7ff) as u32) << 17;
        self.dwords[3] = self.dwords[3] & !(0x7ff << 17) | code;
        self
    }

    /// Command specific dword 0.
    #[must_use]
    pub const fn cdw0(&self) -> u32 {
        self.dwords[0]
    }

    /// Command specific dword 1.
    #[must_use]
    pub const fn cdw1(&self) -> u32 {
        self.dwords[1]
    }

    /// Dwords 0 and 1 as the 64-bit result of a Property Get.
    #[must_use]
    pub const fn result(&self) -> u64 {
        self.dwords[0] as u64 | (self.dwords[1] as u64) << 32
    }

    /// Submission queue head pointer.
    #[must_use]
    pub const fn sqhd(&self) -> u16 {
        self.dwords[2] as u16
    }

    /// Submission queue identifier; reserved in a response capsule.
    #[must_use]
    pub const fn sqid(&self) -> u16 {
        (self.dwords[2] >> 16) as u16
    }

    /// Command identifier.
    #[must_use]
    pub const fn cid(&self) -> u16 {
        self.dwords[3] as u16
    }

    /// Phase tag; reserved in a response capsule.
    #[must_use]
    pub const fn phase(&self) -> bool {
        self.dwords[3] & 1 << 16 != 0
    }

    /// Status without the phase tag.
    #[must_use]
    pub const fn status(&self) -> Status {
        Status((self.dwords[3] >> 17) as u16)
    }

    /// Status code type.
    #[must_use]
    pub const fn sct(&self) -> StatusCodeType {
        self.status().sct()
    }

    /// Status code.
    #[must_use]
    pub const fn sc(&self) -> StatusCode {
        self.status().sc()
    }

    /// Command retry delay.
    #[must_use]
    pub const fn crd(&self) -> u8 {
        self.status().crd()
    }

    /// More information in the error log.
    #[must_use]
    pub const fn more(&self) -> bool {
        self.status().more()
    }

    /// Do not retry.
    #[must_use]
    pub const fn dnr(&self) -> bool {
        self.status().dnr()
    }

    /// The command succeeded.
    #[must_use]
    pub const fn is_success(&self) -> bool {
        self.status().is_success()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn layout() {
        // Base figures 88 and 89: SQHD 9:8, SQID 11:10, CID 13:12, P bit 0 of 15:14, then SC, SCT, CRD, M, DNR.
        let bytes = [4, 3, 2, 1, 8, 7, 6, 5, 0x34, 0x12, 0x78, 0x56, 0xcd, 0xab, 0x0b, 0xe3];
        let completion = Completion::from_bytes(&bytes);
        assert_eq!(completion.cdw0(), 0x0102_0304);
        assert_eq!(completion.cdw1(), 0x0506_0708);
        assert_eq!(completion.result(), 0x0506_0708_0102_0304);
        assert_eq!(completion.sqhd(), 0x1234);
        assert_eq!(completion.sqid(), 0x5678);
        assert_eq!(completion.cid(), 0xabcd);
        assert!(completion.phase());
        assert_eq!(completion.sc(), StatusCode(0x85));
        assert_eq!(completion.sct(), StatusCodeType(1));
        assert_eq!(completion.crd(), 2);
        assert!(completion.more() && completion.dnr() && !completion.is_success());
        assert_eq!(completion.to_bytes(), bytes);
    }

    #[test]
    fn software_completions() {
        let aborted = Completion::aborted_sq_deletion(3, 0x1234, true);
        assert_eq!(aborted.to_bytes(), [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 3, 0, 0x34, 0x12, 0x10, 0x80]);
        assert!(!Completion::aborted_sq_deletion(3, 0, false).dnr());
        let answer = Completion::new(0, 9, Status::SUCCESS).with_result(0xaabb_ccdd_0011_2233).with_sqhd(5);
        let bytes = [0x33, 0x22, 0x11, 0, 0xdd, 0xcc, 0xbb, 0xaa, 5, 0, 0, 0, 9, 0, 0, 0];
        assert_eq!(answer.to_bytes(), bytes);
    }
}

//! Controller properties (NVMe-oF 3.6, Base 3.1.3): CAP, VS, CC and CSTS with their fields.

/// Byte offset of CAP, 8 bytes.
pub const CAP: u32 = 0x00;
/// Byte offset of VS, 4 bytes.
pub const VS: u32 = 0x08;
/// Byte offset of CC, 4 bytes.
pub const CC: u32 = 0x14;
/// Byte offset of CSTS, 4 bytes.
pub const CSTS: u32 = 0x1c;
/// Byte offset of CMBSZ, 4 bytes.
pub const CMBSZ: u32 = 0x3c;
/// Byte offset of BPINFO, 4 bytes.
pub const BPINFO: u32 = 0x40;
/// Byte offset of PMRCAP, 4 bytes.
pub const PMRCAP: u32 = 0xe00;
/// Byte offset of NSSR, 4 bytes.
pub const NSSR: u32 = 0x20;

/// Controller capabilities.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Cap(pub u64);

impl Cap {
    /// [`Cap::ams`] bit 0: weighted round robin with urgent priority class is supported.
    pub const AMS_WEIGHTED: u8 = 1 << 0;
    /// [`Cap::ams`] bit 1: a mechanism of the vendor's is supported.
    pub const AMS_VENDOR: u8 = 1 << 1;
    /// CSS bit: the NVM Command Set.
    pub const CSS_NVM: u8 = 1 << 0;
    /// CSS bit: one or more I/O Command Sets, told by Identify.
    pub const CSS_IOCS: u8 = 1 << 6;
    /// CSS bit: no I/O Command Set (a discovery or administrative controller).
    pub const CSS_ADMIN_ONLY: u8 = 1 << 7;

    /// Capabilities of a fabrics controller: CQR is set (NVMe-oF 3.6.1), one page size of 4 KiB. `mqes` is zero-based,
    /// `timeout` in units of 500 ms.
    #[must_use]
    pub const fn fabrics(mqes: u16, timeout: u8, css: u8) -> Cap {
        Cap(mqes as u64 | 1 << 16 | (timeout as u64) << 24 | (css as u64) << 37)
    }

    /// Maximum queue entries supported, zero-based.
    #[must_use]
    pub const fn mqes(self) -> u16 {
        self.0 as u16
    }

    /// Contiguous queues required.
    #[must_use]
    pub const fn cqr(self) -> bool {
        self.0 & 1 << 16 != 0
    }

    /// Arbitration mechanisms supported.
    #[must_use]
    pub const fn ams(self) -> u8 {
        (self.0 >> 17) as u8 & 3
    }

    /// Worst time for CSTS.RDY to follow CC.EN, in units of 500 ms.
    #[must_use]
    pub const fn to(self) -> u8 {
        (self.0 >> 24) as u8
    }

    /// Doorbell stride.
    #[must_use]
    pub const fn dstrd(self) -> u8 {
        (self.0 >> 32) as u8 & 0xf
    }

    /// NVM subsystem reset supported.
    #[must_use]
    pub const fn nssrs(self) -> bool {
        self.0 & 1 << 36 != 0
    }

    /// Command sets supported, a bit map.
    #[must_use]
    pub const fn css(self) -> u8 {
        (self.0 >> 37) as u8
    }

    /// Boot partitions supported.
    #[must_use]
    pub const fn bps(self) -> bool {
        self.0 & 1 << 45 != 0
    }

    /// The same with boot partitions, or without.
    #[must_use]
    pub const fn with_bps(self, bps: bool) -> Cap {
        Cap(self.0 & !(1 << 45) | (bps as u64) << 45)
    }

    /// Memory page size minimum: 2^(12 + this) bytes.
    #[must_use]
    pub const fn mpsmin(self) -> u8 {
        (self.0 >> 48) as u8 & 0xf
    }

    /// Memory page size maximum: 2^(12 + this) bytes.
    #[must_use]
    pub const fn mpsmax(self) -> u8 {
        (self.0 >> 52) as u8 & 0xf
    }
}

/// Version.
#[derive(Clone, Copy, Debug, Default, Eq, Ord, PartialEq, PartialOrd)]
pub struct Vs(pub u32);

impl Vs {
    /// A version from its three numbers.
    #[must_use]
    pub const fn new(major: u16, minor: u8, tertiary: u8) -> Vs {
        Vs((major as u32) << 16 | (minor as u32) << 8 | tertiary as u32)
    }

    /// Major version.
    #[must_use]
    pub const fn major(self) -> u16 {
        (self.0 >> 16) as u16
    }

    /// Minor version.
    #[must_use]
    pub const fn minor(self) -> u8 {
        (self.0 >> 8) as u8
    }

    /// Tertiary version.
    #[must_use]
    pub const fn tertiary(self) -> u8 {
        self.0 as u8
    }
}

/// Controller configuration.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Cc(pub u32);

impl Cc {
    /// CSS value: NVM Command Set.
    pub const CSS_NVM: u8 = 0b000;
    /// CSS value: all supported I/O Command Sets.
    pub const CSS_IOCS: u8 = 0b110;
    /// CSS value: Admin Command Set only.
    pub const CSS_ADMIN_ONLY: u8 = 0b111;
    /// AMS value: round robin.
    pub const AMS_ROUND_ROBIN: u8 = 0b000;
    /// AMS value: weighted round robin with urgent priority class.
    pub const AMS_WEIGHTED: u8 = 0b001;
    /// AMS value: a mechanism of the vendor's.
    pub const AMS_VENDOR: u8 = 0b111;
    /// SHN value: normal shutdown.
    pub const SHN_NORMAL: u8 = 0b01;
    /// SHN value: abrupt shutdown.
    pub const SHN_ABRUPT: u8 = 0b10;

    /// What a fabrics host writes to enable: EN, this command set selection, 64-byte SQEs and 16-byte CQEs.
    #[must_use]
    pub const fn enabled(css: u8) -> Cc {
        Cc(1 | (css as u32 & 7) << 4 | 6 << 16 | 4 << 20)
    }

    /// The same with EN set or clear.
    #[must_use]
    pub const fn with_en(self, en: bool) -> Cc {
        Cc((self.0 & !1) | en as u32)
    }

    /// The same with this shutdown notification.
    #[must_use]
    pub const fn with_shn(self, shn: u8) -> Cc {
        Cc((self.0 & !(3 << 14)) | (shn as u32 & 3) << 14)
    }

    /// The same with this memory page size: 2^(12 + `mps`) bytes.
    #[must_use]
    pub const fn with_mps(self, mps: u8) -> Cc {
        Cc((self.0 & !(0xf << 7)) | (mps as u32 & 0xf) << 7)
    }

    /// The same with this arbitration mechanism.
    #[must_use]
    pub const fn with_ams(self, ams: u8) -> Cc {
        Cc((self.0 & !(7 << 11)) | (ams as u32 & 7) << 11)
    }

    /// Enable.
    #[must_use]
    pub const fn en(self) -> bool {
        self.0 & 1 != 0
    }

    /// I/O command set selected.
    #[must_use]
    pub const fn css(self) -> u8 {
        (self.0 >> 4) as u8 & 7
    }

    /// Memory page size: 2^(12 + this) bytes.
    #[must_use]
    pub const fn mps(self) -> u8 {
        (self.0 >> 7) as u8 & 0xf
    }

    /// Arbitration mechanism selected.
    #[must_use]
    pub const fn ams(self) -> u8 {
        (self.0 >> 11) as u8 & 7
    }

    /// Shutdown notification.
    #[must_use]
    pub const fn shn(self) -> u8 {
        (self.0 >> 14) as u8 & 3
    }

    /// I/O submission queue entry size: 2^this bytes.
    #[must_use]
    pub const fn iosqes(self) -> u8 {
        (self.0 >> 16) as u8 & 0xf
    }

    /// I/O completion queue entry size: 2^this bytes.
    #[must_use]
    pub const fn iocqes(self) -> u8 {
        (self.0 >> 20) as u8 & 0xf
    }
}

/// Controller status.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Csts(pub u32);

impl Csts {
    /// SHST value: normal operation.
    pub const SHST_NORMAL: u8 = 0b00;
    /// SHST value: shutdown is going on.
    pub const SHST_OCCURRING: u8 = 0b01;
    /// SHST value: shutdown is complete.
    pub const SHST_COMPLETE: u8 = 0b10;

    /// The same with RDY set or clear.
    #[must_use]
    pub const fn with_rdy(self, rdy: bool) -> Csts {
        Csts((self.0 & !1) | rdy as u32)
    }

    /// The same with CFS set or clear.
    #[must_use]
    pub const fn with_cfs(self, cfs: bool) -> Csts {
        Csts((self.0 & !2) | (cfs as u32) << 1)
    }

    /// The same with this shutdown status.
    #[must_use]
    pub const fn with_shst(self, shst: u8) -> Csts {
        Csts((self.0 & !(3 << 2)) | (shst as u32 & 3) << 2)
    }

    /// Ready.
    #[must_use]
    pub const fn rdy(self) -> bool {
        self.0 & 1 != 0
    }

    /// Controller fatal status.
    #[must_use]
    pub const fn cfs(self) -> bool {
        self.0 & 2 != 0
    }

    /// Shutdown status.
    #[must_use]
    pub const fn shst(self) -> u8 {
        (self.0 >> 2) as u8 & 3
    }

    /// NVM subsystem reset occurred.
    #[must_use]
    pub const fn nssro(self) -> bool {
        self.0 & 1 << 4 != 0
    }

    /// Processing paused.
    #[must_use]
    pub const fn pp(self) -> bool {
        self.0 & 1 << 5 != 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cap_fields() {
        // Base figure 36.
        let cap = Cap(0x0013_0028_1e05_03ff);
        assert_eq!(cap.mqes(), 0x3ff);
        assert!(cap.cqr());
        assert_eq!(cap.ams(), 2);
        assert_eq!(cap.to(), 0x1e);
        assert_eq!(cap.dstrd(), 8);
        assert!(!cap.nssrs() && !cap.bps() && Cap(1 << 45).bps());
        assert_eq!((cap.with_bps(true).0 ^ cap.0, cap.with_bps(true).with_bps(false)), (1 << 45, cap));
        assert_eq!(cap.css(), 1);
        assert_eq!((cap.mpsmin(), cap.mpsmax()), (3, 1));
        assert_eq!(Cap::fabrics(127, 15, Cap::CSS_NVM), Cap(0x0000_0020_0f01_007f));
    }

    #[test]
    fn cc_and_csts_fields() {
        // Base figures 46 and 47.
        assert_eq!(Cc::enabled(Cc::CSS_NVM), Cc(0x0046_0001));
        let cc = Cc(0x0046_78f1);
        assert!(cc.en());
        assert_eq!((cc.css(), cc.mps(), cc.ams(), cc.shn(), cc.iosqes(), cc.iocqes()), (7, 1, 7, 1, 6, 4));
        assert_eq!(Cc(0).with_shn(Cc::SHN_NORMAL), Cc(0x4000));
        assert_eq!(Cc(0).with_shn(Cc::SHN_ABRUPT), Cc(0x8000));
        assert_eq!(Cc(0).with_mps(1).with_ams(7).with_en(true), Cc(0x3881));
        let csts = Csts(0b0011_1011);
        assert!(csts.rdy() && csts.cfs() && csts.nssro() && csts.pp());
        assert_eq!(csts.shst(), Csts::SHST_COMPLETE);
        assert_eq!(Csts(0).with_rdy(true).with_shst(2), Csts(0b1001));
    }

    #[test]
    fn versions_compare() {
        assert_eq!(Vs::new(1, 4, 0), Vs(0x0001_0400));
        assert!(Vs::new(2, 0, 0) > Vs::new(1, 4, 0));
        assert_eq!((Vs(0x0002_0103).major(), Vs(0x0002_0103).minor(), Vs(0x0002_0103).tertiary()), (2, 1, 3));
    }
}

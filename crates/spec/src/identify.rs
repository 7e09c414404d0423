//! Identify (Base 5.17): the CNS values and the Identify Controller data. Namespace data is in [`crate::namespace`].

use crate::bytes::{array, field, padded, put, put_text, terminated, u16_at, u32_at, u64_at};
use crate::fabrics::NQN_FIELD_SIZE;
use crate::registers::Vs;

/// Size of every Identify data structure in bytes.
pub const IDENTIFY_SIZE: usize = 4096;

/// Controller or Namespace Structure: what an Identify command asks for (Base figure 273).
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Cns(pub u8);

impl Cns {
    /// Identify Namespace, NVM Command Set.
    pub const NAMESPACE: Cns = Cns(0x00);
    /// Identify Controller.
    pub const CONTROLLER: Cns = Cns(0x01);
    /// Active Namespace ID list.
    pub const ACTIVE_NAMESPACE_LIST: Cns = Cns(0x02);
    /// Namespace Identification Descriptor list.
    pub const NAMESPACE_DESCRIPTORS: Cns = Cns(0x03);
    /// Identify Namespace of an I/O Command Set (CSI).
    pub const NAMESPACE_IOCS: Cns = Cns(0x05);
    /// Identify Controller of an I/O Command Set (CSI).
    pub const CONTROLLER_IOCS: Cns = Cns(0x06);
    /// Active Namespace ID list of an I/O Command Set (CSI).
    pub const ACTIVE_NAMESPACE_LIST_IOCS: Cns = Cns(0x07);
    /// Identify Namespace, independent of the I/O Command Set.
    pub const NAMESPACE_INDEPENDENT: Cns = Cns(0x08);
    /// Allocated Namespace ID list.
    pub const ALLOCATED_NAMESPACE_LIST: Cns = Cns(0x10);
    /// Controller list of the subsystem.
    pub const CONTROLLER_LIST: Cns = Cns(0x13);
    /// Combinations of I/O Command Sets.
    pub const IO_COMMAND_SETS: Cns = Cns(0x1c);
}

/// The NVM Command Set's identifier (CSI).
pub const CSI_NVM: u8 = 0x00;
/// The Key Value Command Set's identifier (CSI).
pub const CSI_KEY_VALUE: u8 = 0x01;
/// The Zoned Namespace Command Set's identifier (CSI).
pub const CSI_ZONED: u8 = 0x02;

/// CNTRLTYPE: an I/O controller.
pub const CNTRLTYPE_IO: u8 = 1;
/// CNTRLTYPE: a discovery controller.
pub const CNTRLTYPE_DISCOVERY: u8 = 2;

/// CMIC bit 3: asymmetric namespace access is reported.
pub const CMIC_ANA: u8 = 1 << 3;
/// LPA bit 1: there is a Commands Supported and Effects log page.
pub const LPA_COMMAND_EFFECTS: u8 = 1 << 1;
/// LPA bit 2: log pages can be read from an offset, with lengths of 32 bits.
pub const LPA_EXTENDED_DATA: u8 = 1 << 2;
/// LPA bit 3: there are telemetry log pages.
pub const LPA_TELEMETRY: u8 = 1 << 3;
/// CTRATT bit 19: Flexible Data Placement is supported.
pub const CTRATT_FDP: u32 = 1 << 19;
/// OACS bit 0: Security Send and Security Receive are supported.
pub const OACS_SECURITY: u16 = 1 << 0;
/// OACS bit 1: Format NVM is supported.
pub const OACS_FORMAT: u16 = 1 << 1;
/// OACS bit 2: Firmware Commit and Firmware Image Download are supported.
pub const OACS_FIRMWARE: u16 = 1 << 2;
/// OACS bit 3: Namespace Management and Namespace Attachment are supported.
pub const OACS_NAMESPACES: u16 = 1 << 3;
/// OACS bit 5: directives are supported.
pub const OACS_DIRECTIVES: u16 = 1 << 5;
/// OACS bit 8: Doorbell Buffer Config is supported.
pub const OACS_DOORBELL_BUFFER: u16 = 1 << 8;
/// ONCS bit 0: Compare is supported.
pub const ONCS_COMPARE: u16 = 1 << 0;
/// ONCS bit 1: Write Uncorrectable is supported.
pub const ONCS_WRITE_UNCORRECTABLE: u16 = 1 << 1;
/// ONCS bit 2: Dataset Management is supported.
pub const ONCS_DATASET_MANAGEMENT: u16 = 1 << 2;
/// ONCS bit 3: Write Zeroes is supported.
pub const ONCS_WRITE_ZEROES: u16 = 1 << 3;
/// ONCS bit 4: features can be saved, and Get Features selects the value.
pub const ONCS_SAVE_AND_SELECT: u16 = 1 << 4;
/// ONCS bit 5: reservations are supported.
pub const ONCS_RESERVATIONS: u16 = 1 << 5;
/// ONCS bit 7: Verify is supported.
pub const ONCS_VERIFY: u16 = 1 << 7;
/// ONCS bit 8: Copy is supported.
pub const ONCS_COPY: u16 = 1 << 8;
/// CTRATT bit 0: host identifiers of 128 bits.
pub const CTRATT_EXTENDED_HOST_IDS: u32 = 1 << 0;
/// CTRATT bit 15: extended LBA formats.
pub const CTRATT_EXTENDED_LBA_FORMATS: u32 = 1 << 15;
/// CTRATT bit 6: traffic based keep alive.
pub const CTRATT_TRAFFIC_BASED_KEEP_ALIVE: u32 = 1 << 6;
/// SGLS bits 1:0 = 01b: SGLs are supported without alignment.
pub const SGLS_SUPPORTED: u32 = 1;
/// SGLS bits 1:0: how SGLs are supported; 0 not at all.
pub const SGLS_SUPPORT: u32 = 3;
/// SGLS bits 1:0 = 10b: data blocks must be aligned to dwords.
pub const SGLS_DWORD_ALIGNED: u32 = 2;
/// SGLS bit 19: the metadata pointer may be an SGL descriptor.
pub const SGLS_METADATA: u32 = 1 << 19;
/// FUSES bit 0: Compare and Write may be fused.
pub const FUSES_COMPARE_AND_WRITE: u16 = 1 << 0;
/// SGLS bit 2: keyed SGL data block descriptors are supported.
pub const SGLS_KEYED: u32 = 1 << 2;
/// SGLS bit 20: the address field may be an offset.
pub const SGLS_OFFSET: u32 = 1 << 20;

/// Defines a getter of the view and a setter of the image for each little-endian field.
macro_rules! fields {
    ($view:ident, $image:ident, $($(#[$doc:meta])+ $name:ident $set:ident $type:ident $read:ident $offset:literal;)+) => {
        impl $view<'_> {
            $(
                $(#[$doc])+
                #[must_use]
                pub fn $name(self) -> $type {
                    $read(self.0, $offset)
                }
            )+
        }

        impl $image {
            $(
                #[doc = concat!("Sets the field that [`", stringify!($view), "::", stringify!($name), "`] reads.")]
                pub fn $set(&mut self, value: $type) -> &mut $image {
                    put(&mut self.0, $offset, &value.to_le_bytes());
                    self
                }
            )+
        }
    };
}
pub(crate) use fields;

pub(crate) fn u8_at(data: &[u8], offset: usize) -> u8 {
    u8::from_le_bytes(array(data, offset))
}

/// Identify Controller data, read (Base figure 275, NVMe-oF figure 27).
#[derive(Clone, Copy, Debug)]
pub struct ControllerView<'a>(pub &'a [u8; IDENTIFY_SIZE]);

/// Identify Controller data, written.
#[derive(Clone, Debug)]
pub struct ControllerImage(pub [u8; IDENTIFY_SIZE]);

fields! { ControllerView, ControllerImage,
    /// PCI vendor id.
    vid set_vid u16 u16_at 0;
    /// PCI subsystem vendor id.
    ssvid set_ssvid u16 u16_at 2;
    /// Recommended arbitration burst.
    rab set_rab u8 u8_at 72;
    /// Multi-path and namespace sharing capabilities: bit 0 several ports, bit 1 several controllers, bit 3 ANA.
    cmic set_cmic u8 u8_at 76;
    /// Maximum data transfer size: 2^this pages of CAP.MPSMIN; 0 means no limit.
    mdts set_mdts u8 u8_at 77;
    /// Controller id.
    cntlid set_cntlid u16 u16_at 78;
    /// RTD3 entry latency in microseconds: how long a shutdown may take; 0 is not told.
    rtd3e set_rtd3e u32 u32_at 88;
    /// Optional asynchronous events supported.
    oaes set_oaes u32 u32_at 92;
    /// Controller attributes.
    ctratt set_ctratt u32 u32_at 96;
    /// Controller type.
    cntrltype set_cntrltype u8 u8_at 111;
    /// Optional admin command support.
    oacs set_oacs u16 u16_at 256;
    /// Abort command limit, zero-based.
    acl set_acl u8 u8_at 258;
    /// Asynchronous event request limit, zero-based.
    aerl set_aerl u8 u8_at 259;
    /// Firmware updates: bit 0 slot 1 is read only, bits 3:1 number of slots.
    frmw set_frmw u8 u8_at 260;
    /// Log page attributes: bit 0 SMART per namespace, bit 2 extended data (offsets).
    lpa set_lpa u8 u8_at 261;
    /// Error log page entries, zero-based.
    elpe set_elpe u8 u8_at 262;
    /// Power states supported, zero-based.
    npss set_npss u8 u8_at 263;
    /// Autonomous power state transitions: bit 0 supported.
    apsta set_apsta u8 u8_at 265;
    /// Preferred size of a host memory buffer in units of 4 KiB; 0 for none.
    hmpre set_hmpre u32 u32_at 272;
    /// Firmware update granularity: units of 4 KiB, 0 for no word of it, FFh for any.
    fwug set_fwug u8 u8_at 319;
    /// Keep alive granularity in units of 100 ms; 0 means no keep alive.
    kas set_kas u16 u16_at 320;
    /// ANA transition time in seconds.
    anatt set_anatt u8 u8_at 342;
    /// ANA capabilities: bits 4:0 the states that may be reported, bit 6 a namespace stays in its group.
    anacap set_anacap u8 u8_at 343;
    /// Largest ANA group id.
    anagrpmax set_anagrpmax u32 u32_at 344;
    /// Number of ANA groups.
    nanagrpid set_nanagrpid u32 u32_at 348;
    /// Submission queue entry size: required 2^(3:0), maximum 2^(7:4) bytes.
    sqes set_sqes u8 u8_at 512;
    /// Completion queue entry size: required 2^(3:0), maximum 2^(7:4) bytes.
    cqes set_cqes u8 u8_at 513;
    /// Maximum outstanding commands of a queue; mandatory for fabrics.
    maxcmd set_maxcmd u16 u16_at 514;
    /// Number of namespaces: the highest namespace id.
    nn set_nn u32 u32_at 516;
    /// Optional NVM command support.
    oncs set_oncs u16 u16_at 520;
    /// Fused operation support; bit 0 compare and write.
    fuses set_fuses u16 u16_at 522;
    /// Volatile write cache: bit 0 present, bits 2:1 flush of all namespaces.
    vwc set_vwc u8 u8_at 525;
    /// Atomic write unit normal, zero-based blocks.
    awun set_awun u16 u16_at 526;
    /// Atomic write unit power fail, zero-based blocks.
    awupf set_awupf u16 u16_at 528;
    /// Atomic compare and write unit, zero-based blocks.
    acwu set_acwu u16 u16_at 532;
    /// Formats of Copy's source ranges: bit 0 format 0.
    ocfs set_ocfs u16 u16_at 534;
    /// SGL support.
    sgls set_sgls u32 u32_at 536;
    /// Maximum number of allowed namespaces.
    mnan set_mnan u32 u32_at 540;
    /// I/O queue command capsule supported size, in units of 16 bytes.
    ioccsz set_ioccsz u32 u32_at 1792;
    /// I/O queue response capsule supported size, in units of 16 bytes.
    iorcsz set_iorcsz u32 u32_at 1796;
    /// In-capsule data offset, in units of 16 bytes from the end of the SQE.
    icdoff set_icdoff u16 u16_at 1800;
    /// Fabrics controller attributes: bit 0 set under the static controller model.
    fcatt set_fcatt u8 u8_at 1802;
    /// Maximum SGL data block descriptors of a command; 0 means no limit.
    msdbd set_msdbd u8 u8_at 1803;
    /// Optional fabrics commands support: bit 0 Disconnect.
    ofcs set_ofcs u16 u16_at 1804;
}

impl<'a> ControllerView<'a> {
    /// Serial number without its padding.
    #[must_use]
    pub fn sn(self) -> &'a str {
        padded(field(self.0, 4, 20))
    }

    /// Model number without its padding.
    #[must_use]
    pub fn mn(self) -> &'a str {
        padded(field(self.0, 24, 40))
    }

    /// Firmware revision without its padding.
    #[must_use]
    pub fn fr(self) -> &'a str {
        padded(field(self.0, 64, 8))
    }

    /// Version; 0 from controllers before 1.2.
    #[must_use]
    pub fn ver(self) -> Vs {
        Vs(u32_at(self.0, 80))
    }

    /// NQN of the subsystem; `None` when it is not a terminated string.
    #[must_use]
    pub fn subnqn(self) -> Option<&'a str> {
        terminated(field(self.0, 768, NQN_FIELD_SIZE))
    }

    /// Total NVM capacity in bytes, the low 64 of its 128 bits.
    #[must_use]
    pub fn tnvmcap(self) -> u64 {
        u64_at(self.0, 280)
    }

    /// Longest transfer in bytes for pages of 2^(12 + `mpsmin`) bytes; `None` without a limit.
    #[must_use]
    pub fn max_transfer(self, mpsmin: u8) -> Option<u64> {
        match self.mdts() {
            0 => None,
            mdts => {
                let shift = u32::from(mdts).saturating_add(u32::from(mpsmin)).saturating_add(12);
                Some(1u64.checked_shl(shift).unwrap_or(u64::MAX))
            }
        }
    }

    /// Room for in-capsule data in an I/O command capsule, in bytes: what IOCCSZ leaves behind the SQE and ICDOFF.
    #[must_use]
    pub fn in_capsule_data_size(self) -> u64 {
        let capsule = u64::from(self.ioccsz()).saturating_mul(16);
        let offset = u64::from(self.icdoff()).saturating_mul(16);
        capsule.saturating_sub(64).saturating_sub(offset)
    }
}

impl Default for ControllerImage {
    fn default() -> ControllerImage {
        ControllerImage([0; IDENTIFY_SIZE])
    }
}

impl ControllerImage {
    /// Reads what was written so far.
    #[must_use]
    pub fn view(&self) -> ControllerView<'_> {
        ControllerView(&self.0)
    }

    /// Serial number, cut to 20 bytes.
    pub fn set_sn(&mut self, text: &str) -> &mut ControllerImage {
        put_text(&mut self.0, 4, 20, text, b' ');
        self
    }

    /// Model number, cut to 40 bytes.
    pub fn set_mn(&mut self, text: &str) -> &mut ControllerImage {
        put_text(&mut self.0, 24, 40, text, b' ');
        self
    }

    /// Firmware revision, cut to 8 bytes.
    pub fn set_fr(&mut self, text: &str) -> &mut ControllerImage {
        put_text(&mut self.0, 64, 8, text, b' ');
        self
    }

    /// Version.
    pub fn set_ver(&mut self, version: Vs) -> &mut ControllerImage {
        put(&mut self.0, 80, &version.0.to_le_bytes());
        self
    }

    /// NQN of the subsystem.
    pub fn set_subnqn(&mut self, nqn: &str) -> &mut ControllerImage {
        put_text(&mut self.0, 768, NQN_FIELD_SIZE, nqn, 0);
        self
    }

    /// Total NVM capacity in bytes.
    pub fn set_tnvmcap(&mut self, bytes: u64) -> &mut ControllerImage {
        put(&mut self.0, 280, &bytes.to_le_bytes());
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Bytes as the tables of the specification place them.
    fn sample() -> Box<[u8; IDENTIFY_SIZE]> {
        let mut data = Box::new([0u8; IDENTIFY_SIZE]);
        let mut set = |offset: usize, bytes: &[u8]| data[offset..offset + bytes.len()].copy_from_slice(bytes);
        set(0, &[0x4d, 0x1a, 0x4e, 0x1b]);
        set(4, b"SN0001              ");
        set(24, b"a model                                 ");
        set(64, b"1.2     ");
        set(76, &[0x03, 5, 0x07, 0x00, 0x00, 0x04, 0x01, 0x00]);
        set(92, &[0, 3, 0, 0x80, 0x40, 0, 0, 0]);
        set(111, &[1]);
        set(256, &[0x10, 0x01, 3, 7, 2, 4, 127, 1]);
        set(320, &[10, 0]);
        set(512, &[0x66, 0x44, 0x80, 0x00, 0xff, 0, 0, 0, 0x09, 0, 1, 0, 0, 0x07]);
        set(532, &[0x11, 0x00]);
        set(536, &[0x05, 0x00, 0x10, 0x00]);
        set(768, b"nqn.2016-06.io:x\0");
        set(1792, &[4, 2, 0, 0, 1, 0, 0, 0, 2, 0, 1, 16, 1, 0]);
        data
    }

    #[test]
    fn controller_fields_are_where_the_specification_puts_them() {
        let data = sample();
        let view = ControllerView(&data);
        assert_eq!((view.vid(), view.ssvid()), (0x1a4d, 0x1b4e));
        assert_eq!((view.sn(), view.mn(), view.fr()), ("SN0001", "a model", "1.2"));
        assert_eq!((view.cmic(), view.mdts(), view.cntlid(), view.ver()), (3, 5, 7, Vs::new(1, 4, 0)));
        assert_eq!((view.oaes(), view.ctratt(), view.cntrltype()), (0x8000_0300, 0x40, 1));
        assert_eq!((view.oacs(), view.acl(), view.aerl(), view.frmw()), (0x0110, 3, 7, 2));
        assert_eq!((view.lpa(), view.elpe(), view.npss(), view.kas()), (4, 127, 1, 10));
        assert_eq!((view.sqes(), view.cqes(), view.maxcmd(), view.nn()), (0x66, 0x44, 128, 255));
        assert_eq!((view.oncs(), view.fuses(), view.vwc(), view.acwu()), (9, 1, 7, 17));
        assert_eq!(view.sgls(), SGLS_SUPPORTED | SGLS_KEYED | SGLS_OFFSET);
        assert_eq!(view.subnqn(), Some("nqn.2016-06.io:x"));
        assert_eq!((view.ioccsz(), view.iorcsz(), view.icdoff()), (516, 1, 2));
        assert_eq!((view.fcatt(), view.msdbd(), view.ofcs()), (1, 16, 1));
        assert_eq!(view.in_capsule_data_size(), 516 * 16 - 64 - 32);
        assert_eq!(view.max_transfer(0), Some(131_072));
    }

    #[test]
    fn images_write_the_same_places() {
        let mut image = ControllerImage::default();
        image.set_vid(0x1a4d).set_ssvid(0x1b4e).set_sn("SN0001").set_mn("a model").set_fr("1.2");
        image.set_cmic(3).set_mdts(5).set_cntlid(7).set_ver(Vs::new(1, 4, 0)).set_oaes(0x8000_0300);
        image.set_ctratt(0x40).set_cntrltype(1).set_oacs(0x0110).set_acl(3).set_aerl(7).set_frmw(2);
        image.set_lpa(4).set_elpe(127).set_npss(1).set_kas(10).set_sqes(0x66).set_cqes(0x44);
        image.set_maxcmd(128).set_nn(255).set_oncs(9).set_fuses(1).set_vwc(7).set_acwu(17);
        image.set_sgls(0x0010_0005).set_subnqn("nqn.2016-06.io:x").set_ioccsz(516).set_iorcsz(1);
        image.set_icdoff(2).set_fcatt(1).set_msdbd(16).set_ofcs(1);
        assert_eq!(image.0, *sample());
    }

    #[test]
    fn hostile_controller_data_stays_in_bounds() {
        let data = Box::new([0xff; IDENTIFY_SIZE]);
        let view = ControllerView(&data);
        assert_eq!((view.sn(), view.subnqn()), ("", None));
        assert_eq!(view.max_transfer(15), Some(u64::MAX));
        assert_eq!(view.in_capsule_data_size(), 0xffff_ffff * 16 - 64 - 0xffff * 16);
        let zeros = Box::new([0; IDENTIFY_SIZE]);
        assert_eq!(ControllerView(&zeros).max_transfer(0), None);
        assert_eq!(ControllerView(&zeros).in_capsule_data_size(), 0);
    }
}

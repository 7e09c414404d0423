//! The crate `spec` and the C headers write down the same structures twice, each in its own way. Here both read the
//! same bytes, which differ from each other everywhere, and must see the same values.

use super::types::*;
use spec::{
    Command, Completion, Sgl,
    fabrics::{ConnectData, ConnectResponse, PropertySize},
    identify::{ControllerView, IDENTIFY_SIZE},
    log::{DiscoveryEntry, DiscoveryEntryView, DiscoveryHeader},
    namespace::NamespaceView,
    opcode::AdminOpcode,
    rdma,
    registers::{self, Cap, Cc, Csts, Vs},
};
use std::mem::{MaybeUninit, offset_of};

/// Bytes without a pattern that a wrong offset could hide behind.
fn noise<const N: usize>(seed: u32) -> [u8; N] {
    let mut state = seed.wrapping_mul(2_654_435_761) | 1;
    std::array::from_fn(|_| {
        state ^= state << 13;
        state ^= state >> 17;
        state ^= state << 5;
        state.to_le_bytes()[1]
    })
}

/// The same bytes as a C struct.
fn as_c<T, const N: usize>(bytes: &[u8; N]) -> T {
    assert_eq!(size_of::<T>(), N);
    let mut value = MaybeUninit::<T>::uninit();
    // SAFETY: the sizes are equal, and the types of the headers are integers and bytes, valid for every value.
    unsafe {
        value.as_mut_ptr().cast::<[u8; N]>().write_unaligned(*bytes);
        value.assume_init()
    }
}

/// A member's bytes as a number, whatever its C type.
macro_rules! raw {
    ($whole:ident . $member:ident as $type:ty) => {{
        let member = &raw const $whole.$member;
        // SAFETY: the member is at least as large as the number.
        unsafe { member.cast::<$type>().read_unaligned() }
    }};
}

macro_rules! same {
    ($view:ident, $whole:ident: $($member:ident $type:ty),+ $(,)?) => {
        $(assert_eq!($view.$member(), raw!($whole.$member as $type), stringify!($member));)+
    };
}

#[test]
fn identify_controller() {
    for seed in 1..20 {
        let bytes = noise::<IDENTIFY_SIZE>(seed);
        let c: spdk_nvme_ctrlr_data = as_c(&bytes);
        let view = ControllerView(&bytes);
        same!(view, c: vid u16, ssvid u16, rab u8, cmic u8, mdts u8, cntlid u16, oaes u32, ctratt u32, cntrltype u8,
            oacs u16, acl u8, aerl u8, frmw u8, lpa u8, elpe u8, npss u8, kas u16, sqes u8, cqes u8, maxcmd u16, nn u32,
            oncs u16, fuses u16, vwc u8, awun u16, awupf u16, acwu u16, sgls u32, mnan u32);
        let fabrics = c.nvmf_specific;
        same!(view, fabrics: ioccsz u32, iorcsz u32, icdoff u16, msdbd u8);
        assert_eq!(view.ver().0, raw!(c.ver as u32));
        assert_eq!(view.tnvmcap(), raw!(c.tnvmcap as u64));
    }
    assert_eq!(
        (
            offset_of!(spdk_nvme_ctrlr_data, sn),
            offset_of!(spdk_nvme_ctrlr_data, mn),
            offset_of!(spdk_nvme_ctrlr_data, fr)
        ),
        (4, 24, 64)
    );
    assert_eq!(offset_of!(spdk_nvme_ctrlr_data, subnqn), 768);
}

#[test]
fn identify_namespace() {
    for seed in 1..20 {
        let bytes = noise::<IDENTIFY_SIZE>(seed);
        let c: spdk_nvme_ns_data = as_c(&bytes);
        let view = NamespaceView(&bytes);
        same!(view, c: nsze u64, ncap u64, nuse u64, nsfeat u8, nlbaf u8, flbas u8, mc u8, dpc u8, dps u8, nmic u8,
            dlfeat u8, nawun u16, noiob u16, anagrpid u32, nguid [u8; 16], eui64 [u8; 8]);
        assert_eq!(view.rescap(), raw!(c.nsrescap as u8));
        for index in (0..64).filter(|&index| index <= view.nlbaf()) {
            let (ours, theirs) = (view.lba_format(index).unwrap(), c.lbaf[usize::from(index)]);
            assert_eq!(
                (u32::from(ours.ms), u32::from(ours.lbads), u32::from(ours.rp)),
                (theirs.ms(), theirs.lbads(), theirs.rp()),
                "format {index}"
            );
        }
    }
}

#[test]
fn commands_completions_and_descriptors() {
    for seed in 1..20 {
        let bytes = noise::<64>(seed);
        let (c, ours): (spdk_nvme_cmd, _) = (as_c(&bytes), Command::from_bytes(&bytes));
        assert_eq!(u16::from(ours.opcode()), c.opc());
        assert_eq!((u16::from(ours.fuse()), u16::from(ours.psdt())), (c.fuse(), c.psdt()));
        assert_eq!((ours.cid(), ours.nsid()), (c.cid, c.nsid));
        assert_eq!(ours.cdw10(), raw!(c.__bindgen_anon_1 as u32));
        assert_eq!(ours.cdw11(), raw!(c.__bindgen_anon_2 as u32));
        assert_eq!(ours.cdw12(), raw!(c.__bindgen_anon_3 as u32));
        assert_eq!(ours.cdw13(), raw!(c.__bindgen_anon_4 as u32));
        assert_eq!((ours.cdw14(), ours.cdw15()), (c.cdw14, c.cdw15));
        assert_eq!(ours.sgl1().to_bytes(), raw!(c.dptr as [u8; 16]));

        let bytes = noise::<16>(seed);
        let (c, ours): (spdk_nvme_cpl, _) = (as_c(&bytes), Completion::from_bytes(&bytes));
        // SAFETY: both members of the union are the same two bytes.
        let status = unsafe { c.__bindgen_anon_1.status };
        assert_eq!((ours.cdw0(), ours.cdw1(), ours.cid()), (c.cdw0, c.cdw1, c.cid));
        assert_eq!((ours.sqhd(), ours.sqid()), (c.sqhd, c.sqid));
        assert_eq!(u16::from(ours.status().sct().0), status.sct());
        assert_eq!(u16::from(ours.status().sc().0), status.sc());
        assert_eq!(u16::from(ours.status().crd()), status.crd());
        assert_eq!(
            (u16::from(ours.status().more()), u16::from(ours.status().dnr())),
            (status.m(), status.dnr())
        );
    }
    let c: spdk_nvme_sgl_descriptor =
        as_c(&Sgl::keyed(0x1122_3344_5566_7788, 0x00ab_cdef, 0xdead_beef).to_bytes());
    // SAFETY: all members of the union are the same eight bytes.
    let keyed = unsafe { c.__bindgen_anon_1.keyed };
    assert_eq!({ c.address }, 0x1122_3344_5566_7788);
    assert_eq!(
        (keyed.length(), keyed.key(), keyed.subtype(), keyed.type_()),
        (0x00ab_cdef, 0xdead_beef, 0, 4)
    );
}

#[test]
fn properties() {
    for seed in 1..20 {
        let bytes = noise::<8>(seed);
        let (c, ours): (spdk_nvme_cap_register, _) = (as_c(&bytes), Cap(u64::from_le_bytes(bytes)));
        // SAFETY: both members of the union are the same bytes.
        let bits = unsafe { c.bits };
        assert_eq!(
            (u32::from(ours.mqes()), u32::from(ours.cqr()), u32::from(ours.ams())),
            (bits.mqes(), bits.cqr(), bits.ams())
        );
        assert_eq!(
            (u32::from(ours.to()), u32::from(ours.dstrd()), u32::from(ours.nssrs())),
            (bits.to(), bits.dstrd(), bits.nssrs())
        );
        assert_eq!(u32::from(ours.bps()), bits.bps());
        assert_eq!(
            (u32::from(ours.css()), u32::from(ours.mpsmin()), u32::from(ours.mpsmax())),
            (bits.css(), bits.mpsmin(), bits.mpsmax())
        );

        let bytes = noise::<4>(seed);
        let number = u32::from_le_bytes(bytes);
        let (c, ours): (spdk_nvme_cc_register, _) = (as_c(&bytes), Cc(number));
        // SAFETY: both members of the union are the same bytes.
        let bits = unsafe { c.bits };
        assert_eq!(
            (u32::from(ours.en()), u32::from(ours.css()), u32::from(ours.mps())),
            (bits.en(), bits.css(), bits.mps())
        );
        assert_eq!((u32::from(ours.ams()), u32::from(ours.shn())), (bits.ams(), bits.shn()));
        assert_eq!((u32::from(ours.iosqes()), u32::from(ours.iocqes())), (bits.iosqes(), bits.iocqes()));

        let (c, ours): (spdk_nvme_csts_register, _) = (as_c(&bytes), Csts(number));
        // SAFETY: both members of the union are the same bytes.
        let bits = unsafe { c.bits };
        assert_eq!((u32::from(ours.rdy()), u32::from(ours.shst())), (bits.rdy(), bits.shst()));

        let (c, ours): (spdk_nvme_vs_register, _) = (as_c(&bytes), Vs(number));
        // SAFETY: both members of the union are the same bytes.
        let bits = unsafe { c.bits };
        assert_eq!(
            (u32::from(ours.major()), u32::from(ours.minor()), u32::from(ours.tertiary())),
            (bits.mjr(), bits.mnr(), bits.ter())
        );
    }
    for (ours, c) in [
        (registers::CAP, offset_of!(spdk_nvme_registers, cap)),
        (registers::VS, offset_of!(spdk_nvme_registers, vs)),
        (registers::CC, offset_of!(spdk_nvme_registers, cc)),
        (registers::CSTS, offset_of!(spdk_nvme_registers, csts)),
    ] {
        assert_eq!(usize::try_from(ours).unwrap(), c);
    }
}

#[test]
fn fabrics_commands() {
    let c: spdk_nvmf_fabric_connect_cmd =
        as_c(&Command::connect(0x0102, 0x0304, 0x05, 0x0607_0809).with_cid(0x0a0b).to_bytes());
    assert_eq!((c.opcode, c.fctype, { c.cid }), (AdminOpcode::FABRICS.0, 1, 0x0a0b));
    assert_eq!(
        ({ c.recfmt }, { c.qid }, { c.sqsize }, c.cattr, { c.kato }),
        (0, 0x0102, 0x0304, 0x05, 0x0607_0809)
    );

    let data = ConnectData::new([7; 16], 0x1234, "nqn.sub", "nqn.host").unwrap();
    let c: spdk_nvmf_fabric_connect_data = as_c(&data.0);
    assert_eq!((c.hostid, { c.cntlid }), ([7; 16], 0x1234));
    assert_eq!(c.subnqn[..8], *b"nqn.sub\0");
    assert_eq!(c.hostnqn[..9], *b"nqn.host\0");

    let answer = ConnectResponse { cntlid: 0x5678, authreq: ConnectResponse::AUTHREQ_ATR };
    let completion = Completion::default().with_cdw0(answer.to_dword());
    let c: spdk_nvmf_fabric_connect_rsp = as_c(&completion.to_bytes());
    // SAFETY: every member of the union is valid for all bytes.
    let success = unsafe { c.status_code_specific.success };
    assert_eq!({ success.cntlid }, 0x5678);
    assert_eq!((success.authreq.atr(), success.authreq.ascr()), (1, 0));

    let set = Command::property_set(registers::CC, PropertySize::FOUR, 0x0046_0001);
    let c: spdk_nvmf_fabric_prop_set_cmd = as_c(&set.to_bytes());
    // SAFETY: every member of the union is valid for all bytes.
    let value = unsafe { c.value.u32_.low };
    assert_eq!((c.fctype, c.attrib.size(), { c.ofst }, value), (0, 0, registers::CC, 0x0046_0001));
    let get = Command::property_get(registers::CAP, PropertySize::EIGHT);
    let c: spdk_nvmf_fabric_prop_get_cmd = as_c(&get.to_bytes());
    assert_eq!((c.fctype, c.attrib.size(), { c.ofst }), (4, 1, registers::CAP));
}

#[test]
fn discovery_log() {
    let header = DiscoveryHeader { genctr: 0x1122_3344, numrec: 2, recfmt: 0 };
    let c: spdk_nvmf_discovery_log_page = as_c(&header.encode());
    assert_eq!(({ c.genctr }, { c.numrec }, { c.recfmt }), (0x1122_3344, 2, 0));
    for seed in 1..20 {
        let bytes = noise::<{ DiscoveryEntry::SIZE }>(seed);
        let c: spdk_nvmf_discovery_log_page_entry = as_c(&bytes);
        let view = DiscoveryEntryView(&bytes);
        same!(view, c: trtype u8, adrfam u8, subtype u8, treq u8, portid u16, cntlid u16, asqsz u16);
    }
    assert_eq!(offset_of!(spdk_nvmf_discovery_log_page_entry, trsvcid), 32);
    assert_eq!(offset_of!(spdk_nvmf_discovery_log_page_entry, subnqn), 256);
    assert_eq!(offset_of!(spdk_nvmf_discovery_log_page_entry, traddr), 512);
    assert_eq!(offset_of!(spdk_nvmf_discovery_log_page_entry, tsas), 768);
}

#[test]
fn rdma_private_data() {
    let request = rdma::Request { recfmt: 0, qid: 0x0102, hrqsize: 0x0304, hsqsize: 0x0506, cntlid: 0x0708 };
    let c: spdk_nvmf_rdma_request_private_data = as_c(&request.encode());
    assert_eq!(
        ({ c.recfmt }, { c.qid }, { c.hrqsize }, { c.hsqsize }, { c.cntlid }),
        (0, 0x0102, 0x0304, 0x0506, 0x0708)
    );
    let c: spdk_nvmf_rdma_accept_private_data = as_c(&rdma::Accept { recfmt: 0, crqsize: 0x0a0b }.encode());
    assert_eq!(({ c.recfmt }, { c.crqsize }), (0, 0x0a0b));
    let c: spdk_nvmf_rdma_reject_private_data =
        as_c(&rdma::Reject { recfmt: 0, sts: rdma::RejectReason(7) }.encode());
    assert_eq!(({ c.recfmt }, { c.sts }), (0, 7));
}

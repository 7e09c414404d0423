//! What a controller and a namespace say that they can do: each flag of `spdk_nvme_ctrlr_get_flags` and `spdk_nvme_ns_get_flags`, each
//! feature and each log page comes from one field of what the controller said at bring-up, and from nothing else.

#![allow(unsafe_code)]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod common;
#[path = "common/face.rs"]
mod face;

use common::{NQN, World};
use face::*;
use spec::{
    AdminOpcode, FabricsType,
    identify::{self, Cns, ControllerImage},
    namespace::NamespaceImage,
    registers::CAP,
};

const PORT: u16 = 4420;

unsafe extern "C" {
    fn spdk_nvme_ctrlr_get_flags(controller: Handle) -> u64;
    fn spdk_nvme_ns_get_flags(namespace: Handle) -> u32;
    fn spdk_nvme_ctrlr_is_feature_supported(controller: Handle, feature: u8) -> bool;
    fn spdk_nvme_ctrlr_is_log_page_supported(controller: Handle, page: u8) -> bool;
}

/// What is said in the place of what the target says, which is as little as can be but for this.
#[derive(Clone, Copy, Default)]
struct Says {
    sgls: u32,
    oacs: u16,
    fuses: u16,
    oncs: u16,
    cap: u64,
    vwc: u8,
    rescap: u8,
    vid: u16,
    lpa: u8,
    cmic: u8,
    ctratt: u32,
    apsta: u8,
    hmpre: u32,
}

/// What `ask` finds at a controller that says this.
fn asked<R>(world: &World, says: Says, ask: impl FnOnce(Handle) -> R) -> R {
    world.set_liar(move |answer| {
        let command = answer.command;
        if answer.qid != 0 {
            return;
        }
        if command.opcode() == AdminOpcode::FABRICS.0 {
            if command.fabrics_type() == FabricsType::PROPERTY_GET && command.property_offset() == CAP {
                // CAP.AMS, bits 18:17.
                let cap = answer.completion.result() & !(3 << 17) | says.cap;
                answer.completion = answer.completion.with_result(cap);
            }
            return;
        }
        let (true, Some(page)) = (command.opcode() == AdminOpcode::IDENTIFY.0, answer.page.as_mut()) else {
            return;
        };
        match Cns(command.cdw10() as u8) {
            Cns::CONTROLLER => {
                let mut image = ControllerImage(page.as_slice().try_into().unwrap());
                // Without keyed descriptors there is no RDMA.
                image.set_sgls(identify::SGLS_KEYED | says.sgls).set_oacs(says.oacs);
                image.set_fuses(says.fuses).set_oncs(says.oncs).set_vwc(says.vwc).set_vid(says.vid);
                image.set_lpa(says.lpa).set_cmic(says.cmic).set_ctratt(says.ctratt);
                image.set_apsta(says.apsta).set_hmpre(says.hmpre);
                *page = image.0.to_vec();
            }
            Cns::NAMESPACE => {
                let mut image = NamespaceImage(page.as_slice().try_into().unwrap());
                image.set_rescap(says.rescap);
                *page = image.0.to_vec();
            }
            _ => {}
        }
    });
    let controller = connect(NQN, PORT, 1);
    assert!(!controller.is_null());
    let found = ask(controller);
    // SAFETY: the handle is live, and not used any more.
    assert_eq!(unsafe { spdk_nvme_detach(controller) }, 0);
    found
}

/// The flags of a controller that says this, and of its namespace.
fn flags(world: &World, says: Says) -> (u64, u32) {
    // SAFETY: the handle is live, and so is that of its namespace.
    asked(world, says, |controller| unsafe {
        let namespace = spdk_nvme_ctrlr_get_ns(controller, 1);
        (spdk_nvme_ctrlr_get_flags(controller), spdk_nvme_ns_get_flags(namespace))
    })
}

/// The features and the log pages of a controller that says this, of all 256.
fn features_and_pages(world: &World, says: Says) -> [Vec<u8>; 2] {
    asked(world, says, |controller| {
        let of = |is: unsafe extern "C" fn(Handle, u8) -> bool| {
            // SAFETY: the handle is live.
            (0..=u8::MAX).filter(|code| unsafe { is(controller, *code) }).collect()
        };
        [of(spdk_nvme_ctrlr_is_feature_supported), of(spdk_nvme_ctrlr_is_log_page_supported)]
    })
}

const SGLS: u64 = 1 << 0;
const SECURITY: u64 = 1 << 1;
const WEIGHTED: u64 = 1 << 2;
const COMPARE_AND_WRITE: u64 = 1 << 3;
const ALIGNED: u64 = 1 << 4;
const DIRECTIVES: u64 = 1 << 6;
const METADATA_SGL: u64 = 1 << 7;

#[test]
fn each_flag_of_a_controller_has_its_field() {
    let world = World::new();
    let least = Says { sgls: identify::SGLS_SUPPORTED, ..Default::default() };
    let all = [
        (least, SGLS),
        (Says { sgls: identify::SGLS_DWORD_ALIGNED, ..least }, SGLS | ALIGNED),
        (Says { sgls: identify::SGLS_SUPPORTED | identify::SGLS_METADATA, ..least }, SGLS | METADATA_SGL),
        (Says { sgls: identify::SGLS_SUPPORTED | identify::SGLS_OFFSET, ..least }, SGLS),
        (Says { oacs: identify::OACS_SECURITY, ..least }, SGLS | SECURITY),
        (Says { oacs: identify::OACS_DIRECTIVES, ..least }, SGLS | DIRECTIVES),
        (Says { oacs: !(identify::OACS_SECURITY | identify::OACS_DIRECTIVES), ..least }, SGLS),
        (Says { fuses: identify::FUSES_COMPARE_AND_WRITE, ..least }, SGLS | COMPARE_AND_WRITE),
        (Says { fuses: !identify::FUSES_COMPARE_AND_WRITE, ..least }, SGLS),
        (Says { cap: 1 << 17, ..least }, SGLS | WEIGHTED),
        (Says { cap: 1 << 18, ..least }, SGLS),
        (Says { oncs: u16::MAX, vwc: u8::MAX, rescap: u8::MAX, ..least }, SGLS),
    ];
    for (nth, (says, wanted)) in all.into_iter().enumerate() {
        assert_eq!(flags(&world, says).0, wanted, "case {nth}");
    }
    world.finish(None);
}

const DEALLOCATE: u32 = 1 << 0;
const FLUSH: u32 = 1 << 1;
const RESERVATION: u32 = 1 << 2;
const WRITE_ZEROES: u32 = 1 << 3;
const WRITE_UNCORRECTABLE: u32 = 1 << 6;
const COMPARE: u32 = 1 << 7;

/// Those of its format, protection information and metadata behind the data, are in `protection.rs`.
#[test]
fn each_flag_of_a_namespace_has_its_field() {
    let world = World::new();
    let least = Says { sgls: identify::SGLS_SUPPORTED, ..Default::default() };
    let all = [
        (least, 0),
        (Says { oncs: identify::ONCS_DATASET_MANAGEMENT, ..least }, DEALLOCATE),
        (Says { vwc: 1, ..least }, FLUSH),
        // Bits 2:1 say what Flush does with all namespaces.
        (Says { vwc: 0b110, ..least }, 0),
        (Says { rescap: 1 << 1, ..least }, RESERVATION),
        (Says { oncs: identify::ONCS_RESERVATIONS, ..least }, 0),
        (Says { oncs: identify::ONCS_WRITE_ZEROES, ..least }, WRITE_ZEROES),
        (Says { oncs: identify::ONCS_WRITE_UNCORRECTABLE, ..least }, WRITE_UNCORRECTABLE),
        (Says { oncs: identify::ONCS_COMPARE, ..least }, COMPARE),
        (Says { oncs: identify::ONCS_VERIFY | identify::ONCS_COPY, ..least }, 0),
        (Says { oacs: u16::MAX, fuses: u16::MAX, ..least }, 0),
    ];
    for (nth, (says, wanted)) in all.into_iter().enumerate() {
        assert_eq!(flags(&world, says).1, wanted, "case {nth}");
    }
    world.finish(None);
}

/// Those that every controller has, and what each field adds (Base 2.0, figures 275 and 317; the features of its own of one vendor).
#[test]
fn each_feature_and_log_page_has_its_field() {
    const FEATURES: [u8; 9] = [1, 2, 4, 5, 7, 8, 9, 10, 11];
    const PAGES: [u8; 3] = [1, 2, 3];
    let world = World::new();
    let least = Says { sgls: identify::SGLS_SUPPORTED, ..Default::default() };
    let all: [(Says, &[u8], &[u8]); 10] = [
        (least, &[], &[]),
        (Says { vwc: 1, ..least }, &[6], &[]),
        (Says { vwc: 0b110, ..least }, &[], &[]),
        (Says { apsta: 1, ..least }, &[0xc], &[]),
        (Says { hmpre: 1, ..least }, &[0xd], &[]),
        (Says { vid: 0x8086, ..least }, &[0xc1, 0xc2, 0xc6, 0xc8, 0xc9, 0xd5, 0xe2], &[]),
        (Says { vid: 0x8087, ..least }, &[], &[]),
        (Says { lpa: 1 << 1, ..least }, &[], &[5]),
        (Says { cmic: 1 << 3, ..least }, &[], &[0xc]),
        (Says { ctratt: 1 << 19, ..least }, &[], &[0x20, 0x21, 0x22, 0x23]),
    ];
    for (nth, (says, features, pages)) in all.into_iter().enumerate() {
        let sorted = |known: &[u8], new: &[u8]| {
            let mut all = [known, new].concat();
            all.sort_unstable();
            all
        };
        let wanted = [sorted(&FEATURES, features), sorted(&PAGES, pages)];
        assert_eq!(features_and_pages(&world, says), wanted, "case {nth}");
    }
    world.finish(None);
}

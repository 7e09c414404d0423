//! A lie in each field that bring-up reads, one at a time, over a real connection: the attempt fails with one line that names the field
//! and the value, or the one namespace is left out with such a line, or it is none the worse for it (`Outcome`), which an I/O shows.
//!
//! What lies in a log, or in the list of namespaces that changed, has tests of its own: `access.rs` (ANA), `discovery_page.rs` and
//! `budgets.rs` (discovery), `namespace_events.rs`. So have those that cost time and memory: `budgets.rs`.

#![allow(unsafe_code)]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod common;

use common::{
    lines::{errors, record},
    *,
};
use spdk_nvme_rdma::host::{Controller, Error};
use spec::{
    AdminOpcode, Command, Completion, FabricsType, Status,
    feature::FeatureId,
    identify::{Cns, ControllerImage, IDENTIFY_SIZE},
    namespace::{LbaFormat, NamespaceImage, encode_namespace_list},
    registers::{CAP, CC, CSTS, VS},
};
use std::{cell::Cell, rc::Rc};
use target::Answer;

/// What an attempt must come to.
enum Outcome {
    /// There is no controller, and one line says why, with these words.
    Refused(&'static [&'static str]),
    /// There is one without its namespace, and one line says why, with these words.
    LeftOut(&'static [&'static str]),
    /// There is one whose namespace is inactive, which is no mistake.
    Inactive,
    /// There is one, and one line says what is not as it should be, with these words; I/O is good, and this holds.
    Told(&'static [&'static str], fn(&Controller) -> bool),
    /// There is one, which is taken at its word, as this holds; whatever depends on that is the controller's to answer for.
    Believed(fn(&Controller) -> bool),
    /// It is as if nothing had been said, or what was said is taken at its word: I/O is good, and this holds.
    Borne(fn(&Controller) -> bool),
}
use Outcome::{Believed, Borne, Inactive, LeftOut, Refused, Told};

/// Changes an answer that is of its business.
type Tell = Box<dyn FnMut(&mut Answer<'_>)>;

/// Which field is said to have which value, how, and what must come of it.
struct Lie(String, Tell, Outcome);

fn any(_: &Controller) -> bool {
    true
}

/// Property Get of `offset` answers what `change` makes of the truth.
fn property(what: &str, offset: u32, change: fn(u64) -> u64, outcome: Outcome) -> Lie {
    let tell = move |answer: &mut Answer<'_>| {
        let command = answer.command;
        if command.opcode() == AdminOpcode::FABRICS.0
            && command.fabrics_type() == FabricsType::PROPERTY_GET
            && command.property_offset() == offset
        {
            answer.completion = answer.completion.with_result(change(answer.completion.result()));
        }
    };
    Lie(what.to_owned(), Box::new(tell), outcome)
}

/// A bit field of CAP.
fn cap(what: &str, shift: u32, bits: u32, value: u64, outcome: Outcome) -> Lie {
    let tell = move |answer: &mut Answer<'_>| {
        let command = answer.command;
        if command.opcode() == AdminOpcode::FABRICS.0
            && command.fabrics_type() == FabricsType::PROPERTY_GET
            && command.property_offset() == CAP
        {
            let mask = ((1 << bits) - 1) << shift;
            let cap = answer.completion.result() & !mask | value << shift;
            answer.completion = answer.completion.with_result(cap);
        }
    };
    Lie(format!("{what} {value:#x}"), Box::new(tell), outcome)
}

/// Changes the page of an Identify command.
fn identify(
    what: &str,
    cns: Cns,
    mut change: impl FnMut(&mut [u8; IDENTIFY_SIZE]) + 'static,
    outcome: Outcome,
) -> Lie {
    let tell = move |answer: &mut Answer<'_>| {
        if answer.qid == 0
            && answer.command.opcode() == AdminOpcode::IDENTIFY.0
            && Cns(answer.command.cdw10() as u8) == cns
        {
            let mut page: [u8; IDENTIFY_SIZE] =
                answer.page.as_deref().map_or([0; IDENTIFY_SIZE], |page| page.try_into().unwrap());
            change(&mut page);
            answer.page = Some(page.to_vec());
            answer.completion = Completion::new(0, answer.command.cid(), Status::SUCCESS);
        }
    };
    Lie(what.to_owned(), Box::new(tell), outcome)
}

/// A field of the Identify Controller data.
fn controller<T: Copy + std::fmt::LowerHex + 'static>(
    what: &str,
    set: fn(&mut ControllerImage, T) -> &mut ControllerImage,
    value: T,
    outcome: Outcome,
) -> Lie {
    let change = move |page: &mut [u8; IDENTIFY_SIZE]| {
        let mut image = ControllerImage(*page);
        set(&mut image, value);
        *page = image.0;
    };
    identify(&format!("{what} {value:#x}"), Cns::CONTROLLER, change, outcome)
}

/// Fields of the Identify Namespace data.
fn namespace(what: &str, change: fn(&mut NamespaceImage), outcome: Outcome) -> Lie {
    let change = move |page: &mut [u8; IDENTIFY_SIZE]| {
        let mut image = NamespaceImage(*page);
        change(&mut image);
        *page = image.0;
    };
    identify(what, Cns::NAMESPACE, change, outcome)
}

fn format(image: &mut NamespaceImage, ms: u16, lbads: u8) {
    image.set_lba_format(0, LbaFormat { ms, lbads, rp: 0 });
}

/// The answer to a command of an opcode that is good gets this dword 0.
fn dword(what: &str, is_it: fn(&Command) -> bool, dword: u32, outcome: Outcome) -> Lie {
    let tell = move |answer: &mut Answer<'_>| {
        if answer.qid == 0 && is_it(answer.command) && answer.completion.is_success() {
            answer.completion = answer.completion.with_cdw0(dword);
        }
    };
    Lie(format!("{what} {dword:#x}"), Box::new(tell), outcome)
}

fn sets_queues(command: &Command) -> bool {
    command.opcode() == AdminOpcode::SET_FEATURES.0
        && command.cdw10() & 0xff == u32::from(FeatureId::NUMBER_OF_QUEUES.0)
}

fn connects(command: &Command) -> bool {
    command.opcode() == AdminOpcode::FABRICS.0 && command.fabrics_type() == FabricsType::CONNECT
}

/// The lies about the controller's properties.
fn properties() -> Vec<Lie> {
    vec![
        cap("CAP.MQES", 0, 16, 1, Borne(any)),
        cap("CAP.MQES", 0, 16, 0xffff, Borne(any)),
        cap("CAP.CQR", 16, 1, 0, Borne(any)),
        cap("CAP.AMS", 17, 2, 3, Borne(any)),
        cap("CAP.TO", 24, 8, 0, Borne(any)),
        cap("CAP.TO", 24, 8, 0xff, Borne(any)),
        cap("CAP.DSTRD", 32, 4, 0xf, Borne(any)),
        cap("CAP.NSSRS", 36, 1, 1, Borne(any)),
        // No command set is taken as the first one.
        cap("CAP.CSS", 37, 8, 0, Borne(any)),
        // The target has pages of 4 KiB and the NVM Command Set alone, and refuses to be enabled otherwise.
        cap("CAP.MPSMIN", 48, 4, 0xf, Refused(&["CSTS", "0x2", "fatal"])),
        cap("CAP.CSS", 37, 8, 0x40, Refused(&["CSTS", "0x2", "fatal"])),
        cap("CAP.MPSMAX", 52, 4, 0xf, Borne(any)),
        property("CAP of all ones", CAP, |_| u64::MAX, Refused(&["CSTS", "0x2", "fatal"])),
        property("VS 0", VS, |_| 0, Borne(|controller| controller.summary().version().0 == 0)),
        property("VS 1.0", VS, |_| 0x0001_0000, Borne(any)),
        property("VS of all ones", VS, |_| u64::from(u32::MAX), Borne(any)),
        property("CSTS.CFS", CSTS, |csts| csts | 2, Refused(&["CSTS", "0x3", "fatal"])),
        property("CSTS 0", CSTS, |_| 0, Refused(&["enabling"])),
        dword("the Connect response's AUTHREQ", connects, 0x0004_0001, Refused(&["authentication"])),
        dword("Number of Queues", sets_queues, 0, Borne(|controller| controller.io_queue_count() == 1)),
        dword(
            "Number of Queues",
            sets_queues,
            0xffff_0000,
            Borne(|controller| controller.io_queue_count() == 1),
        ),
        dword("Number of Queues", sets_queues, u32::MAX, Borne(|controller| controller.io_queue_count() > 1)),
    ]
}

/// The lies of the Identify Controller data.
fn of_controller() -> Vec<Lie> {
    use ControllerImage as Image;
    const KEYED: u32 = 1 << 2 | 1;
    vec![
        controller("CNTLID", Image::set_cntlid, 0xabcd, Borne(|it| it.summary().controller_id() != 0xabcd)),
        controller("CNTRLTYPE", Image::set_cntrltype, 0xff, Borne(any)),
        controller("CMIC", Image::set_cmic, 0xf7, Borne(any)),
        controller("OAES", Image::set_oaes, 0, Borne(any)),
        controller("OAES", Image::set_oaes, u32::MAX, Borne(any)),
        // All but extended formats, which have to be asked for.
        controller("CTRATT", Image::set_ctratt, !(1 << 15), Borne(any)),
        controller("OACS", Image::set_oacs, u16::MAX, Borne(any)),
        controller("ACL", Image::set_acl, 0, Borne(any)),
        controller("ACL", Image::set_acl, u8::MAX, Borne(any)),
        controller("AERL", Image::set_aerl, 0, Borne(any)),
        controller("LPA", Image::set_lpa, 0, Borne(any)),
        controller("LPA", Image::set_lpa, u8::MAX, Borne(any)),
        controller("APSTA", Image::set_apsta, u8::MAX, Borne(any)),
        controller("HMPRE", Image::set_hmpre, u32::MAX, Borne(any)),
        controller("VID", Image::set_vid, 0x8086, Borne(any)),
        controller(
            "NN",
            Image::set_nn,
            u32::MAX,
            Borne(|controller| controller.summary().namespace_count() == u32::MAX),
        ),
        controller("ONCS", Image::set_oncs, u16::MAX, Borne(any)),
        controller("FUSES", Image::set_fuses, u16::MAX, Borne(any)),
        controller("VWC", Image::set_vwc, u8::MAX, Borne(any)),
        controller("TNVMCAP", |image, value| image.set_tnvmcap(value), u64::MAX, Borne(any)),
        controller("NANAGRPID", Image::set_nanagrpid, u32::MAX, Borne(any)),
        controller("SGLS", Image::set_sgls, 0, Refused(&["SGLS 0x0 "])),
        controller("SGLS", Image::set_sgls, !KEYED & 0xffff, Refused(&["SGLS 0xfffa "])),
        controller("SGLS", Image::set_sgls, u32::MAX, Borne(any)),
        // 8 KiB: what is longer is split.
        controller("MDTS", Image::set_mdts, 1, Borne(|it| it.summary().largest_transfer() == 8192)),
        controller("MDTS", Image::set_mdts, 0, Borne(|it| it.summary().largest_transfer() == u32::MAX)),
        controller("MDTS", Image::set_mdts, 20, Borne(|it| it.summary().largest_transfer() == u32::MAX)),
        controller("MDTS", Image::set_mdts, u8::MAX, Borne(|it| it.summary().largest_transfer() == u32::MAX)),
        controller("IOCCSZ", Image::set_ioccsz, 4, Borne(|it| it.summary().in_capsule_data() == 0)),
        controller(
            "IOCCSZ",
            Image::set_ioccsz,
            u32::MAX,
            Believed(|it| it.summary().in_capsule_data() == u32::MAX),
        ),
        controller("IORCSZ", Image::set_iorcsz, 0, Borne(any)),
        controller("IORCSZ", Image::set_iorcsz, u32::MAX, Borne(any)),
        // Data that do not follow the command at once are not sent in the capsule.
        controller("ICDOFF", Image::set_icdoff, 1, Borne(|it| it.summary().in_capsule_data() == 0)),
        controller("ICDOFF", Image::set_icdoff, u16::MAX, Borne(|it| it.summary().in_capsule_data() == 0)),
        controller("MSDBD", Image::set_msdbd, 0, Borne(any)),
        controller("MSDBD", Image::set_msdbd, u8::MAX, Borne(|it| it.summary().max_descriptors() <= 16)),
    ]
}

/// The lies about the one namespace that there is.
fn of_namespace() -> Vec<Lie> {
    let list = |what: &str, ids: Vec<u32>, outcome| {
        let page = encode_namespace_list(ids.into_iter());
        identify(what, Cns::ACTIVE_NAMESPACE_LIST, move |to| *to = page, outcome)
    };
    let descriptors = |what: &str, bytes: &'static [u8]| {
        let change = |to: &mut [u8; IDENTIFY_SIZE]| {
            *to = [0; IDENTIFY_SIZE];
            to[..bytes.len()].copy_from_slice(bytes);
        };
        identify(what, Cns::NAMESPACE_DESCRIPTORS, change, Borne(any))
    };
    vec![
        list("a list of none", vec![], Inactive),
        namespace(
            "NSZE and NCAP 0",
            |it| {
                it.set_nsze(0).set_ncap(0);
            },
            Inactive,
        ),
        namespace(
            "NSZE of all ones",
            |it| {
                it.set_nsze(u64::MAX);
            },
            LeftOut(&["namespace 1", "NSZE", "18446744073709551615"]),
        ),
        namespace(
            "NCAP more than NSZE",
            |it| {
                it.set_ncap(u64::MAX);
            },
            Borne(any),
        ),
        namespace(
            "NUSE more than NSZE",
            |it| {
                it.set_nuse(u64::MAX);
            },
            Borne(any),
        ),
        namespace("LBADS 0", |it| format(it, 0, 0), LeftOut(&["namespace 1", "LBADS", " 0"])),
        namespace("LBADS 8", |it| format(it, 0, 8), LeftOut(&["namespace 1", "LBADS", " 8"])),
        namespace("LBADS 32", |it| format(it, 0, 32), LeftOut(&["namespace 1", "LBADS", " 32"])),
        namespace("LBADS 255", |it| format(it, 0, 255), LeftOut(&["namespace 1", "LBADS", " 255"])),
        namespace(
            "FLBAS 15 of one",
            |it| {
                it.set_nlbaf(0).set_flbas(15);
            },
            LeftOut(&["namespace 1", "FLBAS", " 15"]),
        ),
        namespace(
            "FLBAS 63 of 17",
            |it| {
                it.set_nlbaf(16).set_flbas(0x6f);
            },
            LeftOut(&["namespace 1", "FLBAS", " 63"]),
        ),
        namespace(
            "NLBAF 255",
            |it| {
                it.set_nlbaf(255).set_flbas(0);
            },
            Borne(any),
        ),
        // Metadata that extend the data need room; those that do not are not transferred (behaviour of the C face, D1).
        namespace("MS 65535 apart", |it| format(it, u16::MAX, 9), Borne(any)),
        namespace(
            "MC, DPC of all ones",
            |it| {
                it.set_mc(255).set_dpc(255);
            },
            Borne(any),
        ),
        // A type of protection without metadata is none.
        namespace(
            "DPS of all ones",
            |it| {
                it.set_dps(255);
            },
            Borne(|it| it.namespace(1).unwrap().protection_type() == 0),
        ),
        namespace(
            "NOIOB 1",
            |it| {
                it.set_noiob(1);
            },
            Borne(any),
        ),
        namespace(
            "NOIOB 3",
            |it| {
                it.set_noiob(3);
            },
            Borne(any),
        ),
        namespace(
            "NOIOB 65535",
            |it| {
                it.set_noiob(u16::MAX);
            },
            Borne(any),
        ),
        namespace(
            "NMIC of all ones",
            |it| {
                it.set_nmic(255);
            },
            Borne(any),
        ),
        namespace(
            "RESCAP of all ones",
            |it| {
                it.set_rescap(255);
            },
            Borne(any),
        ),
        namespace(
            "DLFEAT of all ones",
            |it| {
                it.set_dlfeat(255);
            },
            Borne(any),
        ),
        namespace(
            "NSFEAT of all ones",
            |it| {
                it.set_nsfeat(255);
            },
            Borne(any),
        ),
        // What comes after an error of the descriptors is not believed.
        descriptors("a UUID of 3 bytes", &[3, 3, 0, 0, 1, 2, 3]),
        descriptors("a descriptor of 255 bytes", &[2, 255]),
        descriptors("a descriptor of a kind that nobody knows", &[0xee, 4, 0, 0, 1, 2, 3, 4]),
        descriptors("a command set that nobody knows", &[4, 1, 0, 0, 0xee]),
        identify(
            "descriptors of all ones",
            Cns::NAMESPACE_DESCRIPTORS,
            |to| *to = [0xff; IDENTIFY_SIZE],
            Borne(any),
        ),
    ]
}

/// Each lie in turn, for a target that is honest otherwise.
#[test]
fn each_field_is_lied_about_once() {
    for lie in properties().into_iter().chain(of_controller()).chain(of_namespace()) {
        try_lie(lie);
    }
}

/// What bring-up bears as the reference does, or refuses.
#[test]
fn what_bring_up_bears() {
    use ControllerImage as Image;
    let list = |what: &str, ids: &'static [u32], words| {
        let change = move |to: &mut [u8; IDENTIFY_SIZE]| {
            to.fill(0);
            to.as_chunks_mut::<4>().0.iter_mut().zip(ids).for_each(|(to, id)| *to = id.to_le_bytes());
        };
        identify(what, Cns::ACTIVE_NAMESPACE_LIST, change, Told(words, any))
    };
    for lie in [
        // There is room for a command, and for no data.
        controller(
            "IOCCSZ",
            Image::set_ioccsz,
            0,
            Told(&["IOCCSZ 0"], |it| it.summary().in_capsule_data() == 0),
        ),
        controller(
            "IOCCSZ",
            Image::set_ioccsz,
            3,
            Told(&["IOCCSZ 3"], |it| it.summary().in_capsule_data() == 0),
        ),
        controller("NN", Image::set_nn, 0, Inactive),
        controller("KAS", Image::set_kas, 0, Borne(any)),
        // Ids above NN and those that do not ascend are nobody's.
        list("an id above NN", &[1, 2], &["namespace list", " 2"]),
        list("ids that do not ascend", &[1, 1, 1], &["namespace list", " 1"]),
        list("an id of all ones", &[1, u32::MAX], &["namespace list", "4294967295"]),
        namespace(
            "NSZE 0",
            |it| {
                it.set_nsze(0);
            },
            LeftOut(&["namespace 1", "NSZE", " 0"]),
        ),
        // Who is enabled becomes ready, or there is no controller.
        property("CC.EN", CC, |cc| cc | 1, Refused(&["disabling"])),
    ] {
        try_lie(lie);
    }
}

/// The whole page at once: every field is all ones, or none.
#[test]
fn whole_pages_are_lied_about() {
    for (cns, what) in [(Cns::CONTROLLER, "Identify Controller"), (Cns::NAMESPACE, "Identify Namespace")] {
        for byte in [0, 0xff] {
            let outcome = match (cns, byte) {
                (Cns::CONTROLLER, 0) => Refused(&["SGLS 0x0 "]),
                // It says that it has an ANA log, and the target has none.
                (Cns::CONTROLLER, _) => continue,
                (_, 0) => Inactive,
                _ => LeftOut(&["namespace 1", "LBADS", " 255"]),
            };
            try_lie(identify(&format!("{what} of {byte:#x}"), cns, move |page| page.fill(byte), outcome));
        }
    }
}

fn try_lie(Lie(what, tell, outcome): Lie) {
    let world = World::new();
    world.set_liar(tell);
    let (result, lines) = record(|| Controller::connect(world.id(), world.options()));
    let errors = errors(&lines);
    let says = |words: &[&str]| {
        assert_eq!(errors.len(), 1, "{what}: {lines:?}");
        for word in words {
            assert!(errors[0].contains(word), "{what}: '{}' does not say '{word}'", errors[0]);
        }
    };
    let controller = match &outcome {
        Refused(words) => {
            assert!(result.is_err(), "{what} is borne");
            says(words);
            until("the target to be rid of it", || world.connections() == 0);
            return world.finish(None);
        }
        _ => result.unwrap_or_else(|error| panic!("{what}: {error}")),
    };
    match &outcome {
        Refused(_) => {}
        LeftOut(words) => {
            says(words);
            assert_eq!(controller.first_active_namespace(), 0, "{what}");
        }
        Inactive => {
            assert_eq!((errors.len(), controller.first_active_namespace()), (0, 0), "{what}: {errors:?}");
        }
        Believed(holds) => {
            assert_eq!(errors.len(), 0, "{what}: {errors:?}");
            assert!(holds(&controller), "{what}");
        }
        Borne(holds) | Told(_, holds) => {
            match outcome {
                Told(words, _) => says(words),
                _ => assert_eq!(errors.len(), 0, "{what}: {errors:?}"),
            }
            assert!(holds(&controller), "{what}");
            assert_eq!(controller.first_active_namespace(), 1, "{what}");
            reads_what_it_writes(&world, &controller, &what);
        }
    }
    world.finish(Some(controller));
}

thread_local! {
    static ENDED: Cell<Option<Status>> = const { Cell::new(None) };
}

fn ended(_: usize, completion: &Completion) {
    ENDED.set(Some(completion.status()));
}

/// What is written is read again, in one command of a block and in as many as it takes.
fn reads_what_it_writes(world: &World, controller: &Rc<Controller>, what: &str) {
    /// Apart from the others in the world's memory.
    const ELSEWHERE: usize = 1 << 20;
    let namespace = world.namespace(controller);
    let qpair = connected(controller);
    let wait = |submitted: Result<(), Error>| {
        submitted.unwrap_or_else(|error| panic!("{what}: {error}"));
        until(&format!("the I/O: {what}"), || qpair.process_completions(0).is_ok() && ENDED.get().is_some());
        assert_eq!(ENDED.take(), Some(Status::SUCCESS), "{what}");
    };
    for blocks in [1, 40] {
        let length = blocks as usize * 512;
        let bytes: Vec<u8> = (0..length).map(|at| (at * 5 + at / 512 + blocks as usize) as u8).collect();
        let (to, from) = (world.buffer(), world.buffer().wrapping_byte_add(ELSEWHERE));
        // SAFETY: the world's memory is larger, and no device looks at it now.
        unsafe { std::ptr::copy_nonoverlapping(bytes.as_ptr(), to.cast(), length) };
        wait(qpair.write(&namespace, to, 7, blocks, 0, context(ended, 0)));
        wait(qpair.read(&namespace, from, 7, blocks, 0, context(ended, 0)));
        // SAFETY: as above.
        let found = unsafe { std::slice::from_raw_parts(from.cast::<u8>(), length) };
        assert!(found == bytes, "{what}: {blocks} blocks are not what was written");
    }
    qpair.free();
}

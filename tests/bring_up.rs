//! What a controller is asked for on its way up, in which order, and what it may refuse, claim or leave out without harm.

#![allow(unsafe_code)]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod common;
#[path = "common/face.rs"]
mod face;

use common::{
    lines::{errors, record},
    *,
};
use face::*;
use spdk_nvme_rdma::host::{
    Completer, Controller, ControllerOptions, Error, FailureReason, Payload, TransportId,
};
use spec::{
    AdminOpcode, Command, Completion, FabricsType, Status,
    fabrics::DISCOVERY_NQN,
    feature::{FeatureId, async_events},
    identify::Cns,
    namespace::{LbaFormat, NamespaceImage},
    registers::{self, Cap, Cc, Csts, Vs},
};
use std::{
    cell::{Cell, RefCell},
    ffi::c_void,
    ptr::null_mut,
    rc::Rc,
    time::Duration,
};
use tracing::Level;

unsafe extern "C" {
    fn spdk_nvme_ctrlr_get_opts(controller: Handle) -> *const u8;
    fn spdk_nvme_ctrlr_fail(controller: Handle);
}

const SECOND: u64 = 1_000_000_000;
/// Where the target of the simulation listens.
const PORT: u16 = 4420;

fn done(command: &Command) -> Completion {
    Completion::new(0, command.cid(), Status::SUCCESS)
}

/// The property that a command gets, if it gets one.
fn property_got(command: &Command) -> Option<u32> {
    let gets =
        command.opcode() == AdminOpcode::FABRICS.0 && command.fabrics_type() == FabricsType::PROPERTY_GET;
    gets.then(|| command.property_offset())
}

/// The feature that a command gets or sets.
fn feature_of(command: &Command) -> Option<(AdminOpcode, FeatureId)> {
    let opcode = AdminOpcode(command.opcode());
    matches!(opcode, AdminOpcode::GET_FEATURES | AdminOpcode::SET_FEATURES)
        .then(|| (opcode, FeatureId(command.cdw10() as u8)))
}

fn gets_keep_alive_timer(command: &Command) -> bool {
    feature_of(command) == Some((AdminOpcode::GET_FEATURES, FeatureId::KEEP_ALIVE_TIMER))
}

/// The structure that an Identify command asks for.
fn identified(command: &Command) -> Option<Cns> {
    (command.opcode() == AdminOpcode::IDENTIFY.0).then(|| Cns(command.cdw10() as u8))
}

/// Writes into the Identify Controller data that are on their way to the host.
fn claim(answer: &mut target::Answer<'_>, at: usize, bytes: &[u8]) {
    if identified(answer.command) == Some(Cns::CONTROLLER)
        && let Some(page) = &mut answer.page
    {
        page[at..at + bytes.len()].copy_from_slice(bytes);
    }
}

const RTD3E: usize = 88;
const CNTRLTYPE: usize = 111;
const OAES: usize = 92;
const AERL: usize = 259;
const LPA: usize = 261;
const KAS: usize = 320;
const NN: usize = 516;
const SGLS: usize = 536;
const IOCCSZ: usize = 1792;

fn keeping_alive(world: &World, timeout: Duration) -> ControllerOptions {
    ControllerOptions { keep_alive_timeout: timeout, ..world.options() }
}

/// Where members of the controller options begin, as `tests/abi` compares them.
const RETRY_COUNT: usize = 20;
const IO_QUEUE_SIZE: usize = 24;
const COMMAND_SET: usize = 572;
const ACK_TIMEOUT: usize = 583;
const ADMIN_QUEUE_SIZE: usize = 584;

/// Writes a member of options.
fn set<T>(options: *mut u8, at: usize, value: T) {
    // SAFETY: the member lies within the options; it need not be aligned.
    unsafe { options.add(at).cast::<T>().write_unaligned(value) };
}

/// A member of the options that a program sees of its controller.
fn option<T>(controller: Handle, at: usize) -> T {
    // SAFETY: the handle is live, and the member, an integer, lies within the options; it need not be aligned.
    unsafe { spdk_nvme_ctrlr_get_opts(controller).add(at).cast::<T>().read_unaligned() }
}

fn attached(subnqn: &str, change: impl FnOnce(*mut u8)) -> Handle {
    let controller = connect_to(&transport_id(subnqn, PORT), 0, change);
    assert!(!controller.is_null());
    controller
}

fn detached(controller: Handle) {
    // SAFETY: on this thread, which is the only one.
    assert_eq!(unsafe { spdk_nvme_detach(controller) }, 0);
}

/// What a program that asks for 10 s sees in its controller's options.
fn keep_alive_option(subnqn: &str) -> u32 {
    let controller = attached(subnqn, |options| set(options, KEEP_ALIVE_TIMEOUT_MS, 10_000_u32));
    let option = option(controller, KEEP_ALIVE_TIMEOUT_MS);
    detached(controller);
    option
}

/// The timeout that the controller grants takes the place of the one that was asked for, in the options, too; the first Keep Alive is due
/// at once. After a reset it is asked for anew.
#[test]
fn the_keep_alive_timeout_is_what_the_controller_grants() {
    let world = World::new();
    let sent = Rc::new(Cell::new(0_u32));
    let count = sent.clone();
    world.set_liar(move |answer| {
        if gets_keep_alive_timer(answer.command) {
            answer.completion = done(answer.command).with_cdw0(4000);
        }
        count.set(count.get() + u32::from(answer.command.opcode() == AdminOpcode::KEEP_ALIVE.0));
    });
    let asked = Duration::from_secs(60);
    let controller = Controller::connect(world.id(), keeping_alive(&world, asked)).unwrap();
    for _ in 0..2 {
        assert_eq!(controller.keep_alive_timeout(), Duration::from_secs(4));
        assert_eq!(sent.replace(0), 1, "the first one");
        let begin = softverbs::sim::now();
        until("20 s", || {
            controller.process_admin_completions().unwrap();
            softverbs::sim::now() - begin > 20 * SECOND
        });
        assert!((9..=10).contains(&sent.get()), "{} in 20 s", sent.get());
        sent.set(0);
        controller.reset().unwrap();
    }
    assert_eq!(controller.options().keep_alive_timeout, asked);
    for subnqn in [NQN, DISCOVERY_NQN] {
        assert_eq!(keep_alive_option(subnqn), 4000, "{subnqn}");
    }
    world.finish(Some(controller));
}

/// A controller that knows no Keep Alives is asked for none (KAS is 0), nor what its timer is. One of discovery need not say.
#[test]
fn without_a_granularity_there_are_no_keep_alives() {
    let world = World::new();
    let asked = Rc::new(RefCell::new(Vec::new()));
    let seen = asked.clone();
    world.set_liar(move |answer| {
        claim(answer, KAS, &[0, 0]);
        let opcode = answer.command.opcode();
        if opcode == AdminOpcode::KEEP_ALIVE.0 || gets_keep_alive_timer(answer.command) {
            seen.borrow_mut().push(AdminOpcode(opcode));
        }
    });
    let timeout = Duration::from_secs(10);
    let controller = Controller::connect(world.id(), keeping_alive(&world, timeout)).unwrap();
    assert_eq!(controller.keep_alive_timeout(), Duration::ZERO);
    let begin = softverbs::sim::now();
    until("9 s", || {
        controller.process_admin_completions().unwrap();
        softverbs::sim::now() - begin > 9 * SECOND
    });
    assert_eq!(asked.take(), []);
    assert_eq!(keep_alive_option(NQN), 0);
    assert_eq!(asked.take(), []);
    assert_eq!(keep_alive_option(DISCOVERY_NQN), 10_000);
    assert!(asked.take().contains(&AdminOpcode::GET_FEATURES));
    detach(&controller);
    drop(controller);
    // Nor is one asked that the program wants none of.
    let controller = Controller::connect(world.id(), keeping_alive(&world, Duration::ZERO)).unwrap();
    assert_eq!(asked.take(), []);
    world.finish(Some(controller));
}

/// The name that is the same everywhere, or the type that Identify says (CNTRLTYPE, which older ones leave at 0): either makes it one.
#[test]
fn a_discovery_controller_is_known_by_its_name_or_its_type() {
    const IO: u8 = 1;
    const DISCOVERY: u8 = 2;
    for (name, kind, expected) in [
        (NQN, IO, false),
        (NQN, 0, false),
        (NQN, DISCOVERY, true),
        (DISCOVERY_NQN, 0, true),
        (DISCOVERY_NQN, DISCOVERY, true),
    ] {
        let world = World::new();
        world.set_liar(move |answer| claim(answer, CNTRLTYPE, &[kind]));
        let id = TransportId { subnqn: name.to_owned(), ..world.id() };
        let controller = Controller::connect(id, world.options()).unwrap();
        let found = (controller.summary().is_discovery(), controller.summary().namespace_count() == 0);
        assert_eq!(found, (expected, expected), "{name}, type {kind}");
        world.finish(Some(controller));
    }
}

/// Who does not know the feature is left with what was asked for; any other error is one of the controller.
#[test]
fn a_keep_alive_timer_that_is_not_told_is_the_one_that_was_asked_for() {
    let world = World::new();
    let status = Rc::new(Cell::new(Status::INVALID_FIELD));
    let refusal = status.clone();
    world.set_liar(move |answer| {
        if gets_keep_alive_timer(answer.command) {
            answer.completion = Completion::new(0, answer.command.cid(), refusal.get());
        }
    });
    let options = keeping_alive(&world, Duration::from_secs(7));
    for dnr in [false, true] {
        status.set(Status::INVALID_FIELD.with_dnr(dnr));
        let (controller, lines) = record(|| Controller::connect(world.id(), options.clone()).unwrap());
        assert_eq!(controller.keep_alive_timeout(), Duration::from_secs(7));
        assert_eq!(errors(&lines), Vec::<&str>::new());
        detach(&controller);
    }
    status.set(Status::INTERNAL_ERROR);
    let (result, lines) = record(|| Controller::connect(world.id(), options).map(drop));
    assert!(matches!(result, Err(Error::Command { .. })), "{result:?}");
    let errors = errors(&lines);
    assert!(errors.len() == 1 && errors[0].contains("Get Features (Keep Alive Timer)"), "{lines:?}");
    world.finish(None);
}

/// A read of CSTS that fails is tried again until the deadline, whichever step it is for; a controller that answers none of them costs its
/// deadline.
#[test]
fn a_failed_read_of_csts_is_tried_again() {
    let world = World::new();
    for failing in [1, 2, 5, u32::MAX] {
        let (asked, enabled) = (Rc::new(Cell::new(0_u32)), Rc::new(Cell::new(false)));
        let (count, is_enabled) = (asked.clone(), enabled.clone());
        world.set_liar(move |answer| {
            let command = answer.command;
            match property_got(command) {
                Some(registers::CSTS) if count.get() < failing && is_enabled.get() => {
                    count.set(count.get() + 1);
                    answer.completion = Completion::new(0, command.cid(), Status::INTERNAL_ERROR);
                }
                // CAP.TO is 2 s.
                Some(registers::CAP) => {
                    let cap = answer.completion.result() & !(0xff << 24) | 4 << 24;
                    answer.completion = answer.completion.with_result(cap);
                }
                None if command.opcode() == AdminOpcode::FABRICS.0 => {
                    is_enabled.set(command.fabrics_type() == FabricsType::PROPERTY_SET);
                }
                _ => {}
            }
        });
        let begin = softverbs::sim::now();
        let (result, lines) = record(|| Controller::connect(world.id(), world.options()));
        let took = softverbs::sim::now() - begin;
        if failing == u32::MAX {
            assert_eq!(result.err(), Some(Error::TimedOut("enabling")));
            assert!((2 * SECOND..3 * SECOND).contains(&took), "{took}");
            assert!((10..=210).contains(&asked.get()), "{} times", asked.get());
            assert_eq!(errors(&lines).len(), 1, "{lines:?}");
        } else {
            detach(&result.unwrap());
            assert_eq!(asked.get(), failing);
        }
    }
    world.finish(None);
}

/// A step of a bring-up, of what is on the wire.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Step {
    Connect,
    Get(u32),
    Enable(bool),
    Identify(u8),
    GetFeature(u8),
    SetFeature(u8),
    AsyncEventRequest,
    Other(u8),
}

fn step(command: &Command) -> Step {
    match AdminOpcode(command.opcode()) {
        AdminOpcode::FABRICS => match command.fabrics_type() {
            FabricsType::CONNECT => Step::Connect,
            FabricsType::PROPERTY_GET => Step::Get(command.property_offset()),
            _ => Step::Enable(Cc(command.property_value() as u32).en()),
        },
        AdminOpcode::IDENTIFY => Step::Identify(command.cdw10() as u8),
        AdminOpcode::GET_FEATURES => Step::GetFeature(command.cdw10() as u8),
        AdminOpcode::SET_FEATURES => Step::SetFeature(command.cdw10() as u8),
        AdminOpcode::ASYNC_EVENT_REQUEST => Step::AsyncEventRequest,
        opcode => Step::Other(opcode.0),
    }
}

/// Has the steps of the next bring-up noted, and each answer go through a function.
fn note_steps(
    world: &World,
    mut liar: impl FnMut(&mut target::Answer<'_>) + 'static,
) -> Rc<RefCell<Vec<Step>>> {
    let steps = Rc::new(RefCell::new(Vec::new()));
    let noted = steps.clone();
    world.set_liar(move |answer| {
        noted.borrow_mut().push(step(answer.command));
        liar(answer);
    });
    steps
}

/// The order of a bring-up: what there is (VS, CAP), whether it is at rest, enabling, and the events and the Keep Alive Timer before
/// queues and namespaces.
#[test]
fn a_controller_is_brought_up_in_order() {
    let world = World::new();
    let steps = note_steps(&world, |_| {});
    let options = keeping_alive(&world, Duration::from_secs(60));
    let controller = Controller::connect(world.id(), options).unwrap();
    let mut found = steps.take();
    found.retain(|step| *step != Step::Other(AdminOpcode::KEEP_ALIVE.0));
    let expected = [
        Step::Connect,
        Step::Get(registers::VS),
        Step::Get(registers::CAP),
        Step::Get(registers::CC),
        Step::Get(registers::CSTS),
        Step::Enable(true),
        Step::Get(registers::CSTS),
        Step::Identify(Cns::CONTROLLER.0),
        Step::SetFeature(FeatureId::ASYNC_EVENT_CONFIGURATION.0),
        Step::AsyncEventRequest,
        Step::AsyncEventRequest,
        Step::AsyncEventRequest,
        Step::AsyncEventRequest,
        Step::GetFeature(FeatureId::KEEP_ALIVE_TIMER.0),
        Step::Identify(Cns::CONTROLLER_IOCS.0),
        Step::SetFeature(FeatureId::NUMBER_OF_QUEUES.0),
        Step::Identify(Cns::ACTIVE_NAMESPACE_LIST.0),
        Step::Identify(Cns::NAMESPACE.0),
        Step::Identify(Cns::NAMESPACE_DESCRIPTORS.0),
        Step::Other(AdminOpcode::GET_LOG_PAGE.0), // how they are reached
    ];
    assert_eq!(found, expected);
    world.finish(Some(controller));
}

/// A controller that was left enabled and is on its way to ready is disabled once it is there, or once it says that it never will be; and
/// enabled once it is not ready any more.
#[test]
fn a_controller_that_was_left_enabled_is_disabled_first() {
    for (csts, reads) in [(Csts::default().with_rdy(true), 4), (Csts::default().with_cfs(true), 4)] {
        let world = World::new();
        let (mut is_ready_in, mut is_off_in) = (3, 5);
        let mut was_disabled = false;
        let steps = note_steps(&world, move |answer| {
            let (command, enabled) = (answer.command, answer.completion);
            match step(command) {
                Step::Get(registers::CC) if !was_disabled => {
                    answer.completion = done(command).with_result(u64::from(Cc::enabled(0).0));
                }
                Step::Enable(false) => was_disabled = true,
                Step::Get(registers::CSTS) if !was_disabled => {
                    let there = is_ready_in == 0;
                    is_ready_in -= i32::from(!there);
                    let csts = if there { csts } else { Csts::default() };
                    answer.completion = done(command).with_result(u64::from(csts.0));
                }
                Step::Get(registers::CSTS) if is_off_in > 0 => {
                    is_off_in -= 1;
                    answer.completion =
                        done(command).with_result(u64::from(Csts::default().with_rdy(true).0));
                }
                _ => answer.completion = enabled,
            }
        });
        let controller = world.controller();
        let found = steps.take();
        let place = |wanted: Step| found.iter().position(|step| *step == wanted).unwrap();
        let (off, on) = (place(Step::Enable(false)), place(Step::Enable(true)));
        let reads_in = |range: std::ops::Range<usize>| {
            found[range].iter().filter(|step| **step == Step::Get(registers::CSTS)).count()
        };
        assert_eq!((reads_in(0..off), reads_in(off..on)), (reads, 6), "{found:?}");
        world.finish(Some(controller));
    }
}

/// A capsule without room for a command is one that has room for just that: data go with keys alone.
#[test]
fn a_capsule_that_is_too_small_is_taken_as_large_enough_for_a_command() {
    for ioccsz in 0..4_u32 {
        let world = World::new();
        world.set_liar(move |answer| claim(answer, IOCCSZ, &ioccsz.to_le_bytes()));
        let (controller, lines) = record(|| world.controller());
        let errors = errors(&lines);
        assert!(errors.len() == 1 && errors[0].contains(&format!("IOCCSZ {ioccsz} ")), "{lines:?}");
        assert_eq!(controller.summary().in_capsule_data(), 0);
        assert_eq!(controller.summary().max_descriptors(), 1);
        let qpair = connected(&controller);
        let read = world.read(&qpair, &world.namespace(&controller));
        until("the read", || qpair.process_completions(0).is_ok() && status(read).is_some());
        assert_eq!(status(read), Some(Status::SUCCESS));
        qpair.free();
        drop(qpair);
        world.finish(Some(controller));
    }
}

/// Has the target list these entries, page by page, of namespaces with a block each, and say that NN is `highest`.
fn list(world: &World, highest: u32, version: Vs, pages: Vec<Vec<u32>>) -> Rc<RefCell<Vec<Step>>> {
    let mut pages = pages.into_iter();
    note_steps(world, move |answer| {
        let command = answer.command;
        claim(answer, NN, &highest.to_le_bytes());
        if property_got(command) == Some(registers::VS) {
            answer.completion = done(command).with_result(u64::from(version.0));
        }
        let page = match identified(command) {
            Some(Cns::ACTIVE_NAMESPACE_LIST) => {
                let mut page: Vec<u8> =
                    pages.next().unwrap_or_default().iter().flat_map(|id| id.to_le_bytes()).collect();
                page.resize(4096, 0);
                page
            }
            Some(Cns::NAMESPACE) => {
                let mut image = NamespaceImage::default();
                // One in five is inactive.
                let blocks = u64::from(command.nsid() % 5 != 0);
                image.set_nsze(blocks).set_ncap(blocks);
                image.set_lba_format(0, LbaFormat { ms: 0, lbads: 9, rp: 0 });
                image.0.to_vec()
            }
            _ => return,
        };
        (answer.page, answer.completion) = (Some(page), done(command));
    })
}

fn active(controller: &Controller) -> Vec<u32> {
    let next = |id| Some(controller.next_active_namespace(id)).filter(|id| *id != 0);
    std::iter::successors(next(0), |id| next(*id)).collect()
}

/// What is no id in the active namespace list is ignored, with one line for a page; what is one, counts. A page that brings none ends it.
#[test]
fn entries_of_the_namespace_list_that_cannot_be_are_ignored() {
    const NEW: Vs = Vs::new(1, 4, 0);
    let full = |first: u32| (first..first + 1024).collect::<Vec<_>>();
    let endless = |first: u32| (0..1024).map(|at| first - at).collect::<Vec<_>>();
    for (highest, pages, expected, lines_wanted) in [
        (9, vec![vec![1, 2, 4]], vec![1, 2, 4], 0),
        (9, vec![vec![1, 0, 4, 3, 2, 7, 10, u32::MAX, 8]], vec![1, 4, 7, 8], 1),
        (9, vec![vec![u32::MAX, 10, 2]], vec![2], 1),
        // They descend without end.
        (2000, vec![endless(1100), endless(1100)], vec![1100 - 1], 2),
        // The same page once more.
        (2000, vec![full(1), full(1)], (1..=1024).collect(), 1),
        (1024, vec![full(1), vec![]], (1..=1024).collect(), 0),
        (2000, vec![full(1), vec![1030, 5, 1031]], (1..=1024).chain([1031]).collect(), 1),
        (0, vec![vec![1, 2, 3]], vec![], 0),
    ] {
        let world = World::new();
        let asked = pages.len();
        // The one that descends begins with one that is inactive.
        let pages = pages
            .into_iter()
            .map(|page| if page[..1.min(page.len())] == [1100] { endless(1099) } else { page });
        let steps = list(&world, highest, NEW, pages.collect());
        let (controller, lines) = record(|| world.controller());
        let expected: Vec<u32> = expected.into_iter().filter(|id| id % 5 != 0).collect();
        assert_eq!(active(&controller), expected);
        assert_eq!(errors(&lines).len(), lines_wanted, "{lines:?}");
        assert!(errors(&lines).iter().all(|line| line.contains("active namespace list")), "{lines:?}");
        let lists = steps.take().into_iter().filter(|step| *step == Step::Identify(2)).count();
        assert_eq!(lists, if highest == 0 { 0 } else { asked }, "{highest}");
        world.finish(Some(controller));
    }
}

/// A controller before 1.1 has no list: each id up to NN is looked at, up to a bound.
#[test]
fn namespaces_of_an_old_controller_are_looked_for_one_by_one() {
    for highest in [0, 1, 12, u32::MAX] {
        let world = World::new();
        let steps = list(&world, highest, Vs::new(1, 0, 0), vec![]);
        let (controller, lines) = record(|| world.controller());
        let most = highest.min(65_536);
        assert_eq!(active(&controller), (1..=most).filter(|id| id % 5 != 0).collect::<Vec<_>>());
        let found = steps.take();
        assert!(!found.contains(&Step::Identify(Cns::ACTIVE_NAMESPACE_LIST.0)));
        assert_eq!(found.iter().filter(|step| **step == Step::Identify(0)).count() as u32, most);
        let errors = errors(&lines);
        assert_eq!(errors.len(), usize::from(highest > most), "{lines:?}");
        assert!(errors.iter().all(|line| line.contains("namespaces above 65536")), "{lines:?}");
        world.finish(Some(controller));
    }
}

/// The kinds of events that are asked for are those that the controller has, and as many requests wait as it takes, up to eight.
#[test]
fn events_are_asked_for_as_the_controller_has_them() {
    use async_events::*;
    let all = NAMESPACE_ATTRIBUTE | FIRMWARE_ACTIVATION | ANA_CHANGE;
    for (subnqn, version, oaes, lpa, aerl, events, requests) in [
        (NQN, (1, 4), all, 1 << 3, 3, all | TELEMETRY_LOG | SMART_CRITICAL, 4),
        (NQN, (1, 4), u32::MAX, 0, 255, all | SMART_CRITICAL, 8),
        (NQN, (1, 2), all, 1 << 3, 7, all | SMART_CRITICAL, 8),
        (NQN, (1, 1), FIRMWARE_ACTIVATION, 0, 0, SMART_CRITICAL, 1),
        (DISCOVERY_NQN, (1, 4), u32::MAX, 1 << 3, 1, DISCOVERY_LOG_CHANGE, 2),
        (DISCOVERY_NQN, (1, 4), 0, 1 << 3, 1, 0, 2),
    ] {
        let world = World::new();
        let asked = Rc::new(Cell::new(None));
        let seen = asked.clone();
        let steps = note_steps(&world, move |answer| {
            let command = answer.command;
            claim(answer, OAES, &oaes.to_le_bytes());
            claim(answer, LPA, &[lpa]);
            claim(answer, AERL, &[aerl]);
            match step(command) {
                Step::Get(registers::VS) => {
                    let vs = Vs::new(version.0, version.1, 0);
                    answer.completion = done(command).with_result(u64::from(vs.0));
                }
                Step::SetFeature(feature) if feature == FeatureId::ASYNC_EVENT_CONFIGURATION.0 => {
                    seen.set(Some(command.cdw11()));
                    answer.completion = done(command);
                }
                Step::AsyncEventRequest => answer.hold = true,
                _ => {}
            }
        });
        let id = TransportId { subnqn: subnqn.to_owned(), ..world.id() };
        let controller = Controller::connect(id, world.options()).unwrap();
        assert_eq!(asked.get().unwrap_or(0), events);
        (0..100).for_each(|_| {
            controller.process_admin_completions().unwrap();
            turn();
        });
        let sent = steps.take().into_iter().filter(|step| *step == Step::AsyncEventRequest).count();
        assert_eq!(sent, requests, "{subnqn} {aerl}");
        world.finish(Some(controller));
    }
}

/// A request for an event that fails is told of and armed again, but a controller that fails each at once is sent no more than eight a second.
/// One that says that it has enough of them is sent no other.
#[test]
fn a_request_for_an_event_that_fails_is_armed_again() {
    let world = World::new();
    let (failing, sent) = (Rc::new(Cell::new(None)), Rc::new(Cell::new(0_usize)));
    let (status, count) = (failing.clone(), sent.clone());
    world.set_liar(move |answer| {
        if answer.command.opcode() == AdminOpcode::ASYNC_EVENT_REQUEST.0 {
            count.set(count.get() + 1);
            answer.hold = status.get().is_none();
            if let Some(status) = status.get() {
                answer.completion = Completion::new(0, answer.command.cid(), status);
            }
        }
    });
    for (status, waits) in [(Status::INTERNAL_ERROR, 4), (Status::ASYNC_EVENT_REQUEST_LIMIT_EXCEEDED, 0)] {
        failing.set(Some(status));
        sent.set(0);
        let heard = Rc::new(RefCell::new(Vec::new()));
        let (controller, lines) = record(|| {
            let controller = world.controller();
            let told = heard.clone();
            controller.listen_to_events(Some(Rc::new(move |completion: &Completion| {
                told.borrow_mut().push(completion.status());
            })));
            let begin = softverbs::sim::now();
            until("20 s", || {
                controller.process_admin_completions().unwrap();
                softverbs::sim::now() - begin > 20 * SECOND
            });
            controller
        });
        if waits == 0 {
            assert_eq!((sent.get(), heard.take()), (4, vec![]));
        } else {
            // The first four, and those of each second.
            assert!((80..=8 * 21 + 4).contains(&sent.get()), "{}", sent.get());
            let heard = heard.take();
            assert!(heard.len() + 8 >= sent.get() && heard.iter().all(|heard| *heard == status), "{heard:?}");
        }
        let errors = errors(&lines);
        assert!((1..=4 * 3).contains(&errors.len()), "{errors:?}");
        assert!(errors.iter().all(|line| line.contains("Asynchronous Event Request")), "{errors:?}");
        // Once it takes them again as many wait as before.
        failing.set(None);
        sent.set(0);
        let begin = softverbs::sim::now();
        until("two seconds", || {
            controller.process_admin_completions().unwrap();
            softverbs::sim::now() - begin > 2 * SECOND
        });
        assert_eq!(sent.get(), waits, "{status:?}");
        detach(&controller);
    }
    world.finish(None);
}

/// The options say what is used: of queues what the controller has, of command sets what it was enabled with, and of limits what they are.
#[test]
fn options_say_what_is_used() {
    let world = World::new();
    let size = |controller| {
        let mut options: Room = [0; 512];
        // SAFETY: the options have room, and the handle is live.
        unsafe {
            spdk_nvme_ctrlr_get_default_io_qpair_opts(controller, options.as_mut_ptr().cast(), 72);
            options.as_ptr().cast::<u32>().add(1).read()
        }
    };
    for (given, expected) in [(65_535, 128), (256, 128), (64, 64), (1, 2)] {
        let controller = attached(NQN, |options| set(options, IO_QUEUE_SIZE, given));
        assert_eq!(option::<u32>(controller, IO_QUEUE_SIZE), expected, "{given}");
        assert_eq!(size(controller), expected);
        detached(controller);
    }
    for (given, expected) in [(0, 3), (2, 3), (4, 4), (32, 32), (100, 100)] {
        let controller = attached(NQN, |options| set(options, ADMIN_QUEUE_SIZE, given));
        assert_eq!(option::<u16>(controller, ADMIN_QUEUE_SIZE), expected, "{given}");
        detached(controller);
    }
    for (given, expected, told) in [((8_u8, 32_u8), (7, 31), 1), ((7, 31), (7, 31), 0)] {
        let (controller, lines) = record(|| {
            attached(NQN, |options| {
                set::<u8>(options, RETRY_COUNT, given.0);
                set::<u8>(options, ACK_TIMEOUT, given.1);
            })
        });
        assert_eq!((option::<u8>(controller, RETRY_COUNT), option::<u8>(controller, ACK_TIMEOUT)), expected);
        let lines: Vec<_> = lines.iter().filter(|(_, line)| line.contains("transport_retry_count")).collect();
        assert_eq!(lines.len(), told, "{lines:?}");
        assert!(lines.iter().all(|(level, _)| *level == Level::INFO), "{lines:?}");
        detached(controller);
    }
    world.finish(None);
}

/// The command set that a program chooses is enabled if the controller offers it, and else the NVM command set; without a choice the one that
/// all others are part of.
#[test]
fn the_command_set_is_chosen_of_what_there_is() {
    for (offered, chosen, expected) in [
        (Cap::CSS_NVM, 8_u32, Cc::CSS_NVM),
        (Cap::CSS_NVM | Cap::CSS_IOCS, 8, Cc::CSS_IOCS),
        (Cap::CSS_NVM | Cap::CSS_IOCS, 0, Cc::CSS_NVM),
        (Cap::CSS_NVM, 6, Cc::CSS_NVM),
        (Cap::CSS_NVM, 7, Cc::CSS_NVM),
        (Cap::CSS_NVM | Cap::CSS_ADMIN_ONLY, 7, Cc::CSS_ADMIN_ONLY),
        (Cap::CSS_ADMIN_ONLY, 8, Cc::CSS_NVM),
        (0, u32::MAX, Cc::CSS_NVM),
    ] {
        let world = World::new();
        let enabled = Rc::new(Cell::new(None));
        let (seen, mut is_enabled) = (enabled.clone(), false);
        world.set_liar(move |answer| {
            let command = answer.command;
            match step(command) {
                Step::Get(registers::CAP) => {
                    answer.completion = done(command).with_result(Cap::fabrics(127, 4, offered).0);
                }
                Step::Enable(true) => {
                    is_enabled = true;
                    seen.set(Some(Cc(command.property_value() as u32).css()));
                    answer.completion = done(command);
                }
                // The target takes the NVM command set alone.
                Step::Get(registers::CSTS) if is_enabled => {
                    let csts = Csts::default().with_rdy(true).0 | 2 << 2;
                    answer.completion = done(command).with_result(u64::from(csts));
                }
                Step::Identify(_) if !answer.completion.is_success() => {
                    let mut page = vec![0; 4096];
                    page[SGLS..][..4].copy_from_slice(&5_u32.to_le_bytes());
                    page[IOCCSZ..][..4].copy_from_slice(&4_u32.to_le_bytes());
                    (answer.page, answer.completion) = (Some(page), done(command));
                }
                _ => {}
            }
        });
        let controller = connect_to(&transport_id(NQN, PORT), 0, |options| set(options, COMMAND_SET, chosen));
        assert_eq!(enabled.get(), Some(expected), "{chosen} of {offered:#x}");
        if !controller.is_null() {
            assert_eq!(option::<u32>(controller, COMMAND_SET), u32::from(expected));
            detached(controller);
        }
        assert!(!controller.is_null(), "{chosen} of {offered:#x}");
        world.finish(None);
    }
}

/// A port is a number from 1 on, of the controller or the host's own.
#[test]
fn no_port_is_0() {
    let world = World::new();
    for port in ["0", "00", "65536", ""] {
        let id = TransportId { trsvcid: port.to_owned(), ..world.id() };
        let own = ControllerOptions { source_service: Some(port.to_owned()), ..world.options() };
        for (id, options) in [(id, world.options()), (world.id(), own)] {
            let (result, lines) = record(|| Controller::connect(id, options).map(drop));
            assert!(matches!(result, Err(Error::InvalidArgument(_))), "{port}: {result:?}");
            assert!(errors(&lines).len() == 1 && errors(&lines)[0].contains("from 1 to 65535"), "{lines:?}");
        }
    }
    world.finish(None);
}

extern "C" fn declines(_: *mut c_void, _: *const c_void, _: *mut u8) -> bool {
    false
}

extern "C" fn attaches(_: *mut c_void, _: *const c_void, _: Handle, _: *const u8) {
    panic!("nobody is to be attached");
}

/// Who declines the only controller that there is to try hears that there is none.
#[test]
fn a_program_that_declines_a_controller_is_told_that_there_is_none() {
    let world = World::new();
    for (subnqn, rc, lines_wanted) in [(NQN, -1, 1), (DISCOVERY_NQN, 0, 0)] {
        let id = transport_id(subnqn, PORT);
        let (found, lines) = record(|| {
            // SAFETY: the id is one, and the functions are what is called for here.
            unsafe { spdk_nvme_probe(id.as_ptr().cast(), null_mut(), declines, attaches, null_mut()) }
        });
        assert_eq!(found, rc, "{subnqn}");
        assert_eq!(errors(&lines).len(), lines_wanted, "{lines:?}");
        assert!(errors(&lines).iter().all(|line| line.contains("probe_cb")), "{lines:?}");
    }
    world.finish(None);
}

/// A program that has its controller fail knows why it gets no qpair of it.
#[test]
fn a_failed_controller_has_no_qpair_and_no_line() {
    let world = World::new();
    let controller = attached(NQN, |_| {});
    // SAFETY: the handle is live.
    unsafe { spdk_nvme_ctrlr_fail(controller) };
    // SAFETY: as before.
    let (qpair, lines) =
        record(|| unsafe { spdk_nvme_ctrlr_alloc_io_qpair(controller, std::ptr::null(), 0) });
    assert!(qpair.is_null());
    assert_eq!(errors(&lines), Vec::<&str>::new());
    detached(controller);
    world.finish(None);
}

/// An error of the Admin Queue itself is one of the controller, which may be looked for elsewhere then; its end by the controller is not.
#[test]
fn a_controller_whose_admin_queue_fails_has_failed() {
    for (how, reason, failed) in [
        (
            "faults quiet; next qp_num 7001; wc recv qp 7001 30-1000 status LOC_PROT_ERR",
            FailureReason::Unknown,
            true,
        ),
        (
            "faults quiet; next qp_num 7001; wc send qp 7001 30-1000 error RETRY_EXC_ERR",
            FailureReason::Unknown,
            true,
        ),
        ("", FailureReason::Remote, false),
    ] {
        let world = World::new();
        if !how.is_empty() {
            softverbs::control(how).unwrap();
        }
        let (controller, lines) = record(|| {
            let controller = world.controller();
            if how.is_empty() {
                world.kill_target();
            }
            until("the loss", || {
                let command = Command::get_features(FeatureId::NUMBER_OF_QUEUES, 0);
                let _ = controller.submit_admin(command, Payload::None, Completer::Shared(Rc::new(|_| {})));
                controller.process_admin_completions().is_err()
            });
            controller
        });
        softverbs::control("faults off").unwrap();
        assert_eq!((controller.failure_reason(), controller.has_failed()), (reason, failed), "{lines:?}");
        let mut elsewhere = world.id();
        elsewhere.trsvcid = String::from("4421");
        let set = controller.set_transport_id(elsewhere);
        assert_eq!(set, if failed { Ok(()) } else { Err(Error::NotFailed) });
        assert_eq!(errors(&lines).len(), 1, "{lines:?}");
        world.finish(Some(controller));
    }
}

/// A controller that never says that it has shut down has the time that it claims for that, ten seconds at least, and is asked less often the
/// longer it takes. One that is not enabled is not disabled.
#[test]
fn a_shutdown_has_the_time_that_the_controller_says() {
    for (rtd3e, seconds) in [(0_u32, 10), (9_000_000, 10), (30_000_000, 30)] {
        let world = World::new();
        let mut is_going = false;
        let steps = note_steps(&world, move |answer| {
            claim(answer, RTD3E, &rtd3e.to_le_bytes());
            match step(answer.command) {
                Step::Enable(_) => is_going = Cc(answer.command.property_value() as u32).shn() != 0,
                Step::Get(registers::CSTS) if is_going => {
                    let csts = Csts::default().with_rdy(true).0 | 1 << 2;
                    answer.completion = done(answer.command).with_result(u64::from(csts));
                }
                _ => {}
            }
        });
        // A command may take less than that.
        let options = ControllerOptions { admin_timeout: Duration::from_secs(2), ..world.options() };
        let controller = Controller::connect(world.id(), options).unwrap();
        steps.take();
        let begin = softverbs::sim::now();
        detach(&controller);
        let took = softverbs::sim::now() - begin;
        assert!((seconds * SECOND..(seconds + 2) * SECOND).contains(&took), "{took} for {rtd3e}");
        let steps = steps.take();
        assert_eq!(steps[..3], [Step::Get(registers::CC), Step::Enable(true), Step::Get(registers::CSTS)]);
        assert!((20..=11 * seconds as usize).contains(&steps.len()), "{} commands", steps.len());
        drop(controller);
        world.finish(None);
    }
    for enabled in [true, false] {
        let world = World::new();
        let options = ControllerOptions { no_shutdown_notification: true, ..world.options() };
        let controller = Controller::connect(world.id(), options).unwrap();
        let steps = note_steps(&world, move |answer| {
            if step(answer.command) == Step::Get(registers::CC) && !enabled {
                answer.completion = done(answer.command).with_result(0);
            }
        });
        detach(&controller);
        let mut expected = vec![Step::Get(registers::CC)];
        expected.extend(enabled.then_some(Step::Enable(false)));
        assert_eq!(steps.take(), expected);
        drop(controller);
        world.finish(None);
    }
}

//! What a controller can cost this host: time, memory, log lines and requests, against a target that lies.

#![allow(unsafe_code)]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod common;

use common::{
    lines::{errors, record},
    *,
};
use spdk_nvme_rdma::{
    host::{
        self, BRING_UP_TIMEOUT, Completer, Controller, ControllerOptions, DISCOVERY_TIMEOUT, Error, Payload,
        TransportId,
    },
    transport,
};
use spec::{
    AdminOpcode, Command, Completion, FabricsType, Status,
    fabrics::DISCOVERY_NQN,
    identify::Cns,
    log::{ADRFAM_IPV4, DiscoveryEntry, DiscoveryHeader, SUBTYPE_NVM},
    registers,
};
use std::{cell::Cell, rc::Rc, time::Duration};
use tracing::Level;

const SECOND: u64 = 1_000_000_000;

/// The simulated time that `work` takes.
fn timed<R>(work: impl FnOnce() -> R) -> (R, Duration) {
    let begin = softverbs::sim::now();
    let result = work();
    (result, Duration::from_nanos(softverbs::sim::now() - begin))
}

fn discovery(world: &World) -> TransportId {
    TransportId { subnqn: String::from(DISCOVERY_NQN), ..world.id() }
}

/// Resident memory of this process, in bytes.
fn resident() -> usize {
    let pages = std::fs::read_to_string("/proc/self/statm").unwrap();
    pages.split(' ').nth(1).unwrap().parse::<usize>().unwrap() * 4096
}

/// H1: what a target lists without an end is looked at up to a bound, and costs a few lines.
#[test]
fn namespaces_that_are_not_usable_cost_bounded_time_and_few_lines() {
    let world = World::new();
    world.control("lie unusable-namespaces");
    let ((controller, took), lines) = record(|| timed(|| world.controller()));
    assert!(took < BRING_UP_TIMEOUT, "{took:?}");
    assert_eq!(controller.first_active_namespace(), 0);
    let errors = errors(&lines);
    assert!(errors.len() <= 8, "{errors:?}");
    assert!(errors.iter().any(|line| line.contains("65532 more namespaces are left out")), "{errors:?}");
    assert!(errors.iter().any(|line| line.contains("namespaces above 65536")), "{errors:?}");
    world.finish(Some(controller));
}

/// H2: 65,536 namespaces; the program pays for those that it looks at.
#[test]
fn many_namespaces_need_little_memory() {
    let world = World::new();
    world.control("lie namespaces=65536");
    let before = resident();
    let controller = world.controller();
    let grown = resident().saturating_sub(before);
    assert!(grown < 64 << 20, "{grown} bytes for one controller");
    let mut ids = 0;
    let mut id = controller.first_active_namespace();
    while id != 0 {
        ids += 1;
        id = controller.next_active_namespace(id);
    }
    assert_eq!(ids, 65_536);
    let last = controller.namespace(65_536).unwrap();
    assert_eq!((last.sectors(), last.sector_size()), (1, 512));
    assert_eq!(last.identify_data().unwrap().read()[..9], [1, 0, 0, 0, 0, 0, 0, 0, 1]);
    drop(last);
    world.finish(Some(controller));
}

/// H1: each answer comes within the time of one command, but there are too many.
#[test]
fn a_target_that_is_slow_each_time_holds_the_program_for_one_deadline() {
    let world = World::new();
    world.control("lie namespaces=65536");
    world.set_liar(|answer| {
        if answer.command.opcode() == AdminOpcode::IDENTIFY.0 {
            softverbs::sim::advance(SECOND / 4);
        }
    });
    let options = ControllerOptions { admin_timeout: Duration::from_millis(300), ..world.options() };
    let ((result, took), lines) = record(|| timed(|| Controller::connect(world.id(), options)));
    assert!(matches!(result, Err(Error::TooSlow { .. })), "{:?}", result.err());
    assert!(took >= BRING_UP_TIMEOUT && took < BRING_UP_TIMEOUT + Duration::from_secs(2), "{took:?}");
    assert_eq!(errors(&lines).len(), 1, "{lines:?}");
    world.finish(None);
}

/// A controller that is never ready: CAP.TO ends it, and CSTS is not asked for as fast as it can be.
#[test]
fn a_controller_that_is_never_ready_is_not_asked_without_end() {
    let world = World::new();
    world.control("lie csts=0");
    let asked = Rc::new(Cell::new(0));
    let count = asked.clone();
    let to = 4_u32; // times 500 ms
    world.set_liar(move |answer| {
        if answer.command.opcode() == AdminOpcode::FABRICS.0
            && answer.command.fabrics_type() == FabricsType::PROPERTY_GET
        {
            match answer.command.property_offset() {
                registers::CSTS => count.set(count.get() + 1),
                registers::CAP => {
                    let cap = answer.completion.result() & !(0xff << 24) | u64::from(to) << 24;
                    answer.completion = answer.completion.with_result(cap);
                }
                _ => {}
            }
        }
    });
    let ((result, took), lines) = record(|| timed(|| Controller::connect(world.id(), world.options())));
    assert!(matches!(result, Err(Error::TimedOut("enabling"))), "{:?}", result.err());
    let most = Duration::from_millis(500) * to;
    assert!(took >= most && took < most + Duration::from_secs(1), "{took:?}");
    assert!((10..=210).contains(&asked.get()), "{} times", asked.get());
    assert_eq!(errors(&lines).len(), 1, "{lines:?}");
    world.finish(None);
}

/// A log that claims to be endless and never stands still; one that is only endless; and one that is slow as well.
#[test]
fn a_discovery_log_without_end_is_read_up_to_a_bound() {
    let world = World::new();
    world.control("lie log-entries");
    let ((found, _), lines) =
        record(|| timed(|| host::discover(discovery(&world), world.options()).unwrap()));
    assert_eq!(found.len(), 1, "one subsystem, however often it is named");
    assert!(lines.len() < 8 && lines.iter().any(|(_, line)| line.contains("first 4096")), "{lines:?}");
    world.control("lie log-moves");
    let ((result, took), lines) =
        record(|| timed(|| host::discover(discovery(&world), world.options()).map(drop)));
    assert!(matches!(result, Err(Error::BadData { .. })), "{result:?}");
    assert!(took < DISCOVERY_TIMEOUT, "{took:?}");
    assert_eq!(errors(&lines).len(), 1, "{lines:?}");
    world.set_liar(|answer| {
        if answer.command.opcode() == AdminOpcode::GET_LOG_PAGE.0 {
            softverbs::sim::advance(SECOND / 10);
        }
    });
    let ((result, took), lines) =
        record(|| timed(|| host::discover(discovery(&world), world.options()).map(drop)));
    assert!(matches!(result, Err(Error::TooSlow { .. })), "{result:?}");
    assert!(took < DISCOVERY_TIMEOUT + Duration::from_secs(2), "{took:?}");
    assert_eq!(errors(&lines).len(), 1, "{lines:?}");
    world.finish(None);
}

/// M6: a target answers each Asynchronous Event Request at once.
#[test]
fn a_flood_of_events_costs_a_few_lines() {
    let world = World::new();
    world.control("lie events");
    let (controller, lines) = record(|| {
        let controller = world.controller();
        for _ in 0..20_000 {
            controller.process_admin_completions().unwrap();
            turn();
        }
        softverbs::sim::advance(10 * SECOND);
        controller.process_admin_completions().unwrap();
        controller
    });
    let of_events: Vec<_> = lines.iter().filter(|(_, line)| line.contains("asynchronous event")).collect();
    assert!((2..=10).contains(&of_events.len()), "{of_events:?}");
    assert!(of_events.iter().any(|(_, line)| line.contains("more asynchronous events")), "{of_events:?}");
    world.finish(Some(controller));
}

/// Who listens hears of each event once, after the poll that brought it; what came before nobody listened to is forgotten, and who may be told
/// may do what the program may: end the listening, or poll again.
#[test]
fn a_listener_hears_of_events_until_it_stops_to_listen() {
    let world = World::new();
    world.control("lie events");
    let controller = world.controller();
    let heard = Rc::new(Cell::new(0));
    let poll = |times: usize| {
        for _ in 0..times {
            controller.process_admin_completions().unwrap();
            turn();
        }
    };
    poll(100);
    let (count, again) = (heard.clone(), Rc::downgrade(&controller));
    controller.listen_to_events(Some(Rc::new(move |completion: &Completion| {
        assert!(completion.is_success());
        count.set(count.get() + 1);
        let controller = again.upgrade().unwrap();
        match count.get() {
            10 => controller.process_admin_completions().map(drop).unwrap(),
            100 => controller.listen_to_events(None),
            _ => {}
        }
    })));
    poll(2000);
    assert_eq!(heard.get(), 100);
    world.finish(Some(controller));
}

/// L1: what a target sends cannot end a line or steer a terminal.
#[test]
fn control_characters_of_a_target_reach_no_log_line() {
    let world = World::new();
    for character in [7_u8, 10, 27, 127] {
        world.control(&format!("lie control-characters={character}"));
        let (found, lines) = record(|| host::discover(discovery(&world), world.options()).unwrap());
        assert_eq!(found, [], "an NQN with a control character is refused");
        assert!(lines.iter().any(|(_, line)| line.contains("is left out")), "{lines:?}");
        let (controller, more) = record(|| world.controller());
        detach(&controller);
        drop(controller);
        let forged = TransportId { subnqn: format!("nqn.x{}y", character as char), ..world.id() };
        let (result, last) = record(|| Controller::connect(forged, world.options()).map(drop));
        assert!(matches!(result, Err(Error::InvalidArgument(_))), "{result:?}");
        assert_eq!(errors(&last).len(), 1, "{last:?}");
        for (_, line) in lines.iter().chain(&more).chain(&last) {
            assert!(!line.chars().any(char::is_control), "{line:?}");
        }
    }
    world.finish(None);
}

/// A program takes all admin requests that it can get, of a queue as small as a controller may make it, and the
/// controller answers none of them: Keep Alive still goes out. What event requests do not take is the program's.
#[test]
fn one_admin_request_is_always_left_for_keep_alive() {
    for (crqsize, expected) in [(None, 27), (Some(8), 27), (Some(4), 29), (Some(3), 30), (Some(2), 31)] {
        let world = World::new();
        if let Some(crqsize) = crqsize {
            world.control(&format!("lie crqsize={crqsize}"));
        }
        let timeout = Duration::from_millis(200);
        let options = ControllerOptions { keep_alive_timeout: timeout, ..world.options() };
        let controller = Controller::connect(world.id(), options).unwrap();
        world.set_liar(|answer| {
            if answer.command.opcode() == AdminOpcode::GET_FEATURES.0 {
                answer.hold = true;
            }
        });
        let ended = Count::default();
        let mut accepted = 0;
        let refused = loop {
            let told = ended.clone();
            let command = Command::new(AdminOpcode::GET_FEATURES.0);
            let completer = Completer::Shared(Rc::new(move |_| told.up()));
            match controller.submit_admin(command, Payload::None, completer) {
                Ok(()) => accepted += 1,
                Err(error) => break error,
            }
        };
        assert_eq!(refused, Error::Transport(transport::Error::NoRequests));
        assert_eq!(accepted, expected, "of a queue of {crqsize:?}");
        let begin = softverbs::sim::now();
        until("ten timeouts", || {
            controller.process_admin_completions().unwrap_or_else(|error| panic!("{crqsize:?}: {error}"));
            softverbs::sim::now() - begin > 10 * 200_000_000
        });
        assert!(!controller.has_failed());
        assert_eq!(ended.get(), 0);
        detach(&controller);
        assert_eq!(ended.get(), accepted);
        world.finish(Some(controller));
    }
}

/// With room for one command at a time a Keep Alive could wait for ever.
#[test]
fn a_controller_with_no_room_for_a_keep_alive_is_refused() {
    let world = World::new();
    world.control("lie crqsize=1");
    let error = Controller::connect(world.id(), world.options()).err().unwrap().to_string();
    assert!(error.contains("CRQSIZE") && error.contains("at least 2"), "{error}");
    world.finish(None);
}

/// A17: the controller's Keep Alive timer ran out because the program did not poll; the line says so.
#[test]
fn an_admin_queue_that_nobody_polls_is_named_as_the_reason() {
    let world = World::new();
    let options = ControllerOptions { keep_alive_timeout: Duration::from_millis(100), ..world.options() };
    let controller = Controller::connect(world.id(), options.clone()).unwrap();
    let (_, lines) = record(|| {
        until("the target to give up", || world.connections() == 0);
        until("the host to notice", || controller.process_admin_completions().is_err());
        assert!(controller.process_admin_completions().is_err());
    });
    let failed: Vec<_> =
        errors(&lines).into_iter().filter(|line| line.contains("the controller is lost")).collect();
    assert_eq!(failed.len(), 1, "{lines:?}");
    assert!(failed[0].contains("a Keep Alive was due ") && failed[0].contains("nobody polled"), "{failed:?}");
    detach(&controller);
    drop(controller);

    // One that ends although the program polls has another reason.
    let controller = Controller::connect(world.id(), options).unwrap();
    let (_, lines) = record(|| {
        world.kill_target();
        until("the host to notice", || controller.process_admin_completions().is_err());
    });
    assert!(!errors(&lines).iter().any(|line| line.contains("Keep Alive")), "{lines:?}");
    world.finish(Some(controller));
}

/// A controller's Keep Alive timer runs from Connect on, and bring-up and discovery may take longer than it: however they
/// are lengthened, the association lives.
#[test]
fn keep_alives_go_out_while_the_host_waits() {
    let world = World::new();
    let timeout = Duration::from_millis(200);
    let options = ControllerOptions { keep_alive_timeout: timeout, ..world.options() };
    for slow in ["CSTS", "namespaces", "log"] {
        match slow {
            "namespaces" => world.control("lie namespaces=1000"),
            "log" => world.control("lie log-entries=1000"),
            _ => {}
        }
        let sent = Rc::new(Cell::new(0));
        let (count, begin) = (sent.clone(), softverbs::sim::now());
        world.set_liar(move |answer| {
            let command = answer.command;
            match AdminOpcode(command.opcode()) {
                AdminOpcode::KEEP_ALIVE => count.set(count.get() + 1),
                AdminOpcode::FABRICS
                    if slow == "CSTS"
                        && command.fabrics_type() == FabricsType::PROPERTY_GET
                        && command.property_offset() == registers::CSTS
                        && softverbs::sim::now() - begin < SECOND =>
                {
                    answer.completion = answer.completion.with_result(0);
                }
                AdminOpcode::IDENTIFY if slow == "namespaces" => softverbs::sim::advance(SECOND / 1000),
                AdminOpcode::GET_LOG_PAGE => softverbs::sim::advance(SECOND / 200),
                _ => {}
            }
        });
        let begin = softverbs::sim::now();
        let (controller, lines) = record(|| {
            if slow == "log" {
                assert_eq!(host::discover(discovery(&world), options.clone()).unwrap().len(), 1);
                return None;
            }
            Some(
                Controller::connect(world.id(), options.clone())
                    .unwrap_or_else(|error| panic!("{slow}: {error}")),
            )
        });
        let took = Duration::from_nanos(softverbs::sim::now() - begin);
        assert!(took > 4 * timeout, "{slow}: {took:?}");
        assert!(sent.get() >= 7, "{slow}: {} in {took:?}", sent.get());
        assert_eq!(errors(&lines), Vec::<&str>::new(), "{slow}");
        if let Some(controller) = controller {
            controller.process_admin_completions().unwrap();
            detach(&controller);
        }
        world.control("truth all");
    }
    world.finish(None);
}

/// A controller that answers neither a command of bring-up nor Keep Alive is given up after the Keep Alive Timeout, with
/// one line that says so. That time begins once it is ready. (The target's own timer is the next multiple of 100 ms.)
#[test]
fn a_controller_that_is_silent_during_bring_up_is_given_up() {
    let world = World::new();
    let timeout = Duration::from_millis(101);
    let options = ControllerOptions { keep_alive_timeout: timeout, ..world.options() };
    let (ready_after, begin) = (SECOND / 10, softverbs::sim::now());
    world.set_liar(move |answer| {
        let command = answer.command;
        match AdminOpcode(command.opcode()) {
            AdminOpcode::KEEP_ALIVE | AdminOpcode::IDENTIFY => answer.hold = true,
            AdminOpcode::FABRICS
                if command.fabrics_type() == FabricsType::PROPERTY_GET
                    && command.property_offset() == registers::CSTS
                    && softverbs::sim::now() - begin < ready_after =>
            {
                answer.completion = answer.completion.with_result(0);
            }
            _ => {}
        }
    });
    let ((result, took), lines) = record(|| timed(|| Controller::connect(world.id(), options)));
    let expected = Error::Silent { during: "Identify Controller", timeout };
    assert_eq!(result.err().unwrap(), expected);
    let ready_after = Duration::from_nanos(ready_after);
    assert!(took >= ready_after + timeout && took < 2 * timeout + ready_after / 2, "{took:?}");
    let errors = errors(&lines);
    assert_eq!(errors.len(), 1, "{lines:?}");
    assert!(errors[0].contains("a Keep Alive was not answered in 101 ms"), "{errors:?}");
    world.finish(None);
}

/// NN is the controller's word: a program that asks for each id up to it does not pay for all of them.
#[test]
fn inactive_namespaces_are_given_up_to_a_bound() {
    let world = World::new();
    world.set_liar(|answer| {
        let identify = answer.command.opcode() == AdminOpcode::IDENTIFY.0;
        if identify && answer.command.cdw10() & 0xff == u32::from(Cns::CONTROLLER.0) {
            answer.page.as_mut().unwrap()[516..520].copy_from_slice(&0xffff_fffe_u32.to_le_bytes()); // NN
        }
    });
    let controller = world.controller();
    assert_eq!(controller.namespace_count(), 0xffff_fffe);
    let active = controller.first_active_namespace();
    let (given, lines) = record(|| {
        let ids = (2..=50_000).chain([0xffff_fffe]);
        ids.filter(|id| controller.namespace(*id).is_some_and(|namespace| !namespace.is_active())).count()
    });
    assert_eq!(given, 4096);
    assert_eq!(errors(&lines).len(), 1, "{lines:?}");
    assert!(controller.namespace(active).unwrap().is_active(), "an active one is always given");
    assert!(controller.namespace(2).is_some(), "what was given once is given again");
    assert!(controller.namespace(0).is_none() && controller.namespace(u32::MAX).is_none());
    world.finish(Some(controller));
}

/// A log of some entries is read whole and in order, in few commands: a page from its beginning, which a short one fits into, and no more
/// than there is from another offset.
#[test]
fn a_discovery_log_is_read_several_entries_at_a_time() {
    let world = World::new();
    for count in [0_u64, 1, 3, 4, 5, 10] {
        let name = |number: u64| format!("nqn.2024-01.test:{number}");
        let commands = Rc::new(Cell::new(0));
        let counted = commands.clone();
        world.set_liar(move |answer| {
            if answer.command.opcode() != AdminOpcode::GET_LOG_PAGE.0 {
                return;
            }
            counted.set(counted.get() + 1);
            let mut log = DiscoveryHeader { genctr: 1, numrec: count, recfmt: 0 }.encode().to_vec();
            for number in 0..count {
                let entry = DiscoveryEntry {
                    adrfam: ADRFAM_IPV4,
                    subtype: SUBTYPE_NVM,
                    portid: 1,
                    asqsz: 32,
                    trsvcid: "4420",
                    subnqn: &name(number),
                    traddr: "127.0.0.1",
                };
                log.extend(entry.encode());
            }
            let (offset, length) = (answer.command.log_page_offset(), answer.command.log_page_length());
            assert_eq!(length, u64::from(answer.command.sgl1().length()));
            if offset == 0 {
                log.resize(log.len().max(4096), 0);
            }
            answer.page = Some(log[offset as usize..][..length as usize].to_vec());
            answer.completion = Completion::new(0, answer.command.cid(), Status::SUCCESS);
        });
        let (found, lines) = record(|| host::discover(discovery(&world), world.options()).unwrap());
        let found: Vec<_> = found.into_iter().map(|id| id.subnqn).collect();
        assert_eq!(found, (0..count).map(name).collect::<Vec<_>>());
        assert!(lines.iter().all(|(level, _)| *level > Level::WARN), "nothing was left out: {lines:?}");
        assert_eq!(commands.get(), 2 + count.saturating_sub(3).div_ceil(4));
    }
    world.finish(None);
}

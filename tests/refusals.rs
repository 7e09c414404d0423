//! Attempts that fail: each has one error line, which says why.

#![allow(unsafe_code)]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod common;

use common::{
    lines::{errors, record},
    *,
};
use spdk_nvme_rdma::host::{AddressFamily, Controller, ControllerOptions, Error, TransportId};
use spec::{AdminOpcode, Completion, Status, feature::FeatureId};
use std::{
    net::{Ipv6Addr, SocketAddr, SocketAddrV6},
    time::Duration,
};

/// Connects and must fail with one error line that holds `reason`.
fn fails(world: &World, what: &str, id: TransportId, options: ControllerOptions, reason: &str) -> Error {
    let (result, lines) = record(|| Controller::connect(id, options).map(drop));
    let error = result.expect_err(what);
    let errors = errors(&lines);
    assert_eq!(errors.len(), 1, "{what}: {lines:?}");
    assert!(errors[0].contains(reason), "{what}: '{}' does not say '{reason}'", errors[0]);
    until("the target to be rid of it", || world.connections() == 0);
    error
}

#[test]
fn an_attempt_that_fails_has_one_line_that_says_why() {
    let world = World::new();
    let id = || world.id();
    let options = || world.options();
    let nobody = TransportId { trsvcid: String::from("4421"), ..id() };
    fails(&world, "nobody listens", nobody, options(), "rejected");
    let name = TransportId { traddr: String::from("localhost"), ..id() };
    fails(&world, "a name", name, options(), "'localhost' is not numeric");
    let unknown = TransportId { subnqn: String::from("nqn.2024-01.test:nobody"), ..id() };
    fails(&world, "an unknown subsystem", unknown, options(), "INVALID PARAM");
    let long = ControllerOptions { hostnqn: "n".repeat(224), ..options() };
    fails(&world, "a host NQN that is too long", id(), long, "host NQN");
    let control = ControllerOptions { hostnqn: String::from("nqn\u{1b}[2J"), ..options() };
    fails(&world, "a host NQN with a control character", id(), control, "nqn\\u{1b}[2J");
    for (lie, reason) in [
        ("reject=6", "rejected"),
        ("connect-status", "INVALID HOST"),
        ("connect-answer=0x20001", "authentication"),
        ("csts=2", "fatal"),
        ("csts=0", "enabling"),
    ] {
        world.control(&format!("lie {lie}"));
        fails(&world, lie, id(), options(), reason);
        world.control(&format!("truth {}", lie.split('=').next().unwrap()));
    }
    let short = ControllerOptions { admin_timeout: Duration::from_millis(100), ..options() };
    world.set_liar(|answer| answer.hold |= answer.command.opcode() == AdminOpcode::IDENTIFY.0);
    fails(&world, "a silent target", id(), short, "Identify Controller: no answer in time");
    world.finish(None);
}

/// The connection ends in the middle of bring-up: the transport's line is the one.
#[test]
fn a_connection_that_is_lost_while_bringing_up_has_one_line() {
    for nth in 4..=12 {
        let world = World::new();
        let (result, lines) = record(|| {
            softverbs::control(&format!("at wc recv {nth}: peer dies")).unwrap();
            Controller::connect(world.id(), world.options()).map(drop)
        });
        softverbs::control("faults off").unwrap();
        assert!(matches!(result, Err(Error::ConnectionLost(_))), "{nth}: {result:?}");
        assert_eq!(errors(&lines).len(), 1, "{nth}: {lines:?}");
        world.finish(None);
    }
}

/// A4: a host without a name is the controller's to take or refuse, not this library's.
#[test]
fn an_empty_host_nqn_is_sent() {
    let world = World::new();
    let options = ControllerOptions { hostnqn: String::new(), ..world.options() };
    // The target lets any host come, as SPDK's does, and so one without a name.
    let controller = Controller::connect(world.id(), options).unwrap();
    world.finish(Some(controller));
}

/// The link-local address of an interface of this machine, with its number and name.
fn link_local() -> Option<(Ipv6Addr, u32, String)> {
    let table = std::fs::read_to_string("/proc/net/if_inet6").ok()?;
    table.lines().find_map(|line| {
        let mut words = line.split_whitespace();
        let ip = Ipv6Addr::from(u128::from_str_radix(words.next()?, 16).ok()?);
        let index = u32::from_str_radix(words.next()?, 16).ok()?;
        ip.is_unicast_link_local().then(|| Some((ip, index, words.next_back()?.to_owned())))?
    })
}

/// A2: a link-local address is one with its interface, by name or number, in brackets or not.
#[test]
fn a_link_local_address_connects_with_its_zone() {
    // A machine without IPv6 has nothing to connect to; the parsing has tests of its own.
    let Some((ip, index, name)) = link_local() else {
        println!("skipped: no interface of this machine has a link-local address");
        return;
    };
    let mut world = World::new();
    world.kill_target();
    softverbs::sim::advance(1_000_000_000);
    let address = SocketAddr::V6(SocketAddrV6::new(ip, 4420, 0, index));
    world.start_target_at(address, target::Options::default());
    for traddr in [format!("{ip}%{name}"), format!("{ip}%{index}"), format!("[{ip}%{name}]")] {
        let id = TransportId { address_family: AddressFamily::Ipv6, traddr, ..world.id() };
        let controller =
            Controller::connect(id.clone(), world.options()).unwrap_or_else(|e| panic!("{id:?}: {e}"));
        let namespace = world.namespace(&controller);
        let qpair = connected(&controller);
        let read = world.read(&qpair, &namespace);
        until("the read", || {
            let _ = qpair.process_completions(0);
            status(read).is_some()
        });
        assert_eq!(status(read), Some(Status::SUCCESS));
        qpair.free();
        drop(qpair);
        detach(&controller);
    }
    let id = TransportId { address_family: AddressFamily::Ipv6, traddr: ip.to_string(), ..world.id() };
    fails(&world, "no zone", id, world.options(), "link-local: name its interface");
    world.finish(None);
}

/// A controller that grants no I/O queues is good for Admin commands, and says once why there are none.
#[test]
fn a_controller_without_io_queues_is_a_controller() {
    let world = World::new();
    world.set_liar(|answer| {
        let command = answer.command;
        if command.opcode() == AdminOpcode::SET_FEATURES.0
            && command.cdw10() & 0xff == u32::from(FeatureId::NUMBER_OF_QUEUES.0)
        {
            answer.completion = Completion::new(0, command.cid(), Status::INVALID_FIELD);
        }
    });
    let (controller, lines) = record(|| world.controller());
    let errors = errors(&lines);
    assert!(errors.len() == 1 && errors[0].contains("no I/O queues"), "{lines:?}");
    assert_eq!(controller.io_queue_count(), 0);
    assert!(controller.alloc_io_qpair(synchronous(&controller)).is_err());
    assert!(controller.reset().is_ok());
    world.finish(Some(controller));
}

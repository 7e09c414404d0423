//! Asynchronous events: for whom, when, and how often.

use spec::ana::AnaState;
use spec::feature::async_events::{ANA_CHANGE, DISCOVERY_LOG_CHANGE, NAMESPACE_ATTRIBUTE};
use spec::log::LogPageId;

use super::*;
use crate::options::NamespaceOptions;

const NAMESPACE: u32 = 0x0004_0002;
const ANA: u32 = 0x000c_0302;
const DISCOVERY: u32 = 0x0070_f002;

/// A controller that hears of everything.
struct Listener {
    world: World,
    admin: Queue,
    requests: usize,
}

impl Listener {
    fn new(subnqn: &str, events: u32) -> Listener {
        let mut world = world(&["nqn.a,ns=1M..2M,nn=4", "nqn.b"]);
        let mut admin = world.admin(subnqn);
        let configure = Command::set_async_event_configuration(events);
        assert_eq!(world.status(&mut admin, configure), Status::SUCCESS);
        Listener { world, admin, requests: 0 }
    }

    /// A request, whose id and tag are its number.
    fn request(&mut self) {
        let command = Command::async_event_request().with_cid(self.requests as u16);
        let step = self.world.core.execute(&mut self.admin, self.requests, &command, &zeros(0), 0);
        assert_eq!(step, Step::Hold);
        self.requests += 1;
    }

    /// What was told since the last call: the request and its answer.
    fn told(&mut self) -> Vec<(usize, u32)> {
        let releases = self.world.core.take_releases().into_iter();
        let told = releases.map(|Release { cntlid, qid, tag, how }| {
            let How::Answer(completion) = how else { panic!("{how:?}") };
            assert_eq!((cntlid, qid, usize::from(completion.cid())), (1, 0, tag));
            assert_eq!(completion.status(), Status::SUCCESS);
            (tag, completion.cdw0())
        });
        told.collect()
    }

    fn page(&mut self, page: LogPageId, rae: bool) -> Vec<u8> {
        let mut command = Command::get_log_page(page, u32::MAX, 0, 4096).with_sgl1(remote(4096));
        command.set_cdw10(command.cdw10() | u32::from(rae) << 15);
        self.world.bytes(&mut self.admin, command)
    }

    fn changed(&mut self, rae: bool) -> Vec<u32> {
        let page: [u8; 4096] = self.page(LogPageId::CHANGED_NAMESPACES, rae).try_into().unwrap();
        namespace_list(&page).collect()
    }

    fn add(&mut self) -> u32 {
        let core = &mut self.world.core;
        core.add_namespace("nqn.a", None, &NamespaceOptions::new(4096, 512), 7).unwrap()
    }

    fn remove(&mut self, nsid: u32) {
        self.world.core.remove_namespace("nqn.a", nsid).unwrap();
    }
}

#[test]
fn an_event_is_told_once_until_its_page_was_read() {
    let mut it = Listener::new("nqn.a", NAMESPACE_ATTRIBUTE);
    (0..3).for_each(|_| it.request());
    assert_eq!(it.add(), 2);
    assert_eq!(it.told(), [(0, NAMESPACE)], "the oldest request");
    assert_eq!(it.add(), 3);
    it.remove(2);
    assert_eq!(it.told(), [], "masked");
    assert_eq!(it.changed(true), [2, 3]);
    it.remove(3);
    assert_eq!(it.told(), [], "with RAE it is not read");
    assert_eq!(it.changed(false), [2, 3]);
    assert_eq!(it.changed(false), [], "what was read is gone");
    it.world.core.resize_namespace("nqn.a", 1, 2 << 20).unwrap();
    assert_eq!(it.told(), [(1, NAMESPACE)]);
    assert_eq!(it.changed(false), [1]);
    it.world.core.resize_namespace("nqn.a", 1, 2 << 20).unwrap();
    assert_eq!((it.told(), it.changed(false)), (vec![], vec![]), "nothing changed");
}

#[test]
fn an_event_waits_for_a_request_unless_its_page_is_read() {
    let mut it = Listener::new("nqn.a", NAMESPACE_ATTRIBUTE);
    it.add();
    assert_eq!(it.told(), []);
    it.request();
    assert_eq!(it.told(), [(0, NAMESPACE)]);
    it.changed(false);
    it.add();
    it.changed(false);
    it.request();
    assert_eq!(it.told(), [], "it knows already");
    // Nor is it told what it does not want to hear any more.
    it.add();
    assert_eq!(it.told(), [(1, NAMESPACE)]);
    it.changed(false);
    it.remove(2);
    it.world.status(&mut it.admin, Command::set_async_event_configuration(0));
    it.request();
    assert_eq!(it.told(), []);
    it.remove(3);
    assert_eq!((it.told(), it.changed(false)), (vec![], vec![2, 3]), "the page is kept all the same");
}

#[test]
fn kinds_do_not_hide_one_another_and_subsystems_are_apart() {
    let mut it = Listener::new("nqn.a", NAMESPACE_ATTRIBUTE | ANA_CHANGE);
    (0..4).for_each(|_| it.request());
    it.world.core.set_ana_state("nqn.b", 1, None, AnaState::CHANGE).unwrap();
    it.world.core.remove_namespace("nqn.b", 1).unwrap();
    assert_eq!(it.told(), []);
    it.add();
    it.world.core.set_ana_state("nqn.a", 1, None, AnaState::CHANGE).unwrap();
    it.world.core.set_ana_state("nqn.a", 1, None, AnaState::OPTIMIZED).unwrap();
    assert_eq!(it.told(), [(0, NAMESPACE), (1, ANA)]);
    it.page(LogPageId::ASYMMETRIC_NAMESPACE_ACCESS, false);
    it.world.core.set_ana_state("nqn.a", 1, None, AnaState::OPTIMIZED).unwrap();
    assert_eq!(it.told(), [], "it was that before");
    it.add();
    it.world.core.set_ana_state("nqn.a", 2, None, AnaState::INACCESSIBLE).unwrap();
    assert_eq!(it.told(), [(2, ANA)], "the other one's page was not read");
}

#[test]
fn a_reset_ends_events_and_their_requests() {
    let mut it = Listener::new("nqn.a", NAMESPACE_ATTRIBUTE);
    it.request();
    it.request();
    it.add();
    let reset = Command::property_set(CC, PropertySize::FOUR, 0);
    let Step::RespondAndForget { mut tags, .. } = it.world.run(&mut it.admin, reset) else { panic!() };
    tags.sort_unstable();
    assert_eq!((tags, it.told()), (vec![0, 1], vec![]), "one was about to be answered");
    it.world.set_cc(&mut it.admin, Cc::enabled(Cc::CSS_NVM));
    assert_eq!(it.changed(false), []);
    it.request();
    it.add();
    assert_eq!(it.told(), [], "nobody asked for events since");
    // A controller that is gone hears nothing.
    it.world.core.close(&mut it.admin, 0);
    it.remove(2);
    assert_eq!(it.told(), []);
}

#[test]
fn the_discovery_log_says_when_it_changes() {
    let mut it = Listener::new(DISCOVERY_NQN, DISCOVERY_LOG_CHANGE);
    (0..2).for_each(|_| it.request());
    it.world.core.set_present("nqn.a", false).unwrap();
    assert_eq!(it.told(), [(0, DISCOVERY)]);
    it.world.core.set_present("nqn.b", false).unwrap();
    assert_eq!(it.told(), []);
    it.page(LogPageId::DISCOVERY, false);
    it.world.core.set_present("nqn.a", false).unwrap();
    assert_eq!(it.told(), [], "it was gone before");
    it.world.core.set_listeners(vec!["1.2.3.4:5".parse().unwrap()]);
    assert_eq!(it.told(), [(1, DISCOVERY)]);
}

#[test]
fn identify_names_the_events() {
    let mut world = world(&["nqn.a"]);
    for (nqn, events) in [("nqn.a", NAMESPACE_ATTRIBUTE | ANA_CHANGE), (DISCOVERY_NQN, DISCOVERY_LOG_CHANGE)]
    {
        let mut admin = world.admin(nqn);
        let identify = Command::identify(Cns::CONTROLLER, 0, 0, 0).with_sgl1(remote(4096));
        let page: [u8; 4096] = world.bytes(&mut admin, identify).try_into().unwrap();
        assert_eq!(ControllerView(&page).oaes(), events);
    }
}

//! Namespaces that change while a program uses the controller: it hears of it once they are what they are now.

#![allow(unsafe_code)]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

#[path = "common/mod.rs"]
mod common;

use common::{lines::errors, lines::record, *};
use spdk_nvme_rdma::host::Controller;
use spec::{
    AdminOpcode, Completion, Status,
    feature::AsyncEvent,
    identify::Cns,
    log::LogPageId,
    namespace::{LbaFormat, NamespaceImage, encode_namespace_list},
};
use std::{cell::RefCell, collections::BTreeMap, rc::Rc};

/// What the target says of its namespaces, whatever it has.
#[derive(Default)]
struct Claims {
    blocks: BTreeMap<u32, u64>,
    changed: Vec<u32>,
    /// Events that are to be sent, and what is the case once the host reads what changed.
    events: u32,
    next: Option<BTreeMap<u32, u64>>,
    /// Commands that it was sent, by what they ask for: Identify Namespace by id, and the log of changes.
    identified: Vec<u32>,
    logs: u32,
    refuses: bool,
}

const NOTICE: AsyncEvent = AsyncEvent::new(2, 0, 4);

type Shared = Rc<RefCell<Claims>>;

fn claims(world: &World, blocks: &[(u32, u64)]) -> Shared {
    let shared = Shared::default();
    shared.borrow_mut().blocks = blocks.iter().copied().collect();
    let claims = shared.clone();
    world.set_liar(move |answer| {
        let claims = &mut *claims.borrow_mut();
        let (opcode, command) = (AdminOpcode(answer.command.opcode()), answer.command);
        if answer.qid != 0 {
            return;
        }
        let success = |answer: &target::Answer<'_>| Completion::new(0, answer.command.cid(), Status::SUCCESS);
        let nsid = command.nsid();
        match opcode {
            AdminOpcode::ASYNC_EVENT_REQUEST if answer.hold && claims.events > 0 => {
                claims.events -= 1;
                answer.hold = false;
                answer.completion = success(answer).with_cdw0(NOTICE.0);
            }
            AdminOpcode::IDENTIFY if claims.refuses => {
                answer.page = None;
                answer.completion = Completion::new(0, command.cid(), Status::INTERNAL_ERROR);
            }
            AdminOpcode::IDENTIFY => match Cns(command.cdw10() as u8) {
                Cns::CONTROLLER => {
                    let mut page = answer.page.take().unwrap();
                    page[516..520].copy_from_slice(&64_u32.to_le_bytes()); // NN
                    answer.page = Some(page);
                }
                Cns::ACTIVE_NAMESPACE_LIST => {
                    let after = claims.blocks.keys().copied().filter(|id| *id > nsid);
                    answer.page = Some(encode_namespace_list(after).to_vec());
                    answer.completion = success(answer);
                }
                Cns::NAMESPACE => {
                    claims.identified.push(nsid);
                    let mut image = NamespaceImage::default();
                    let blocks = claims.blocks.get(&nsid).copied().unwrap_or(0);
                    image.set_nsze(blocks).set_ncap(blocks);
                    image.set_lba_format(0, LbaFormat { ms: 0, lbads: 9, rp: 0 });
                    answer.page = Some(image.0.to_vec());
                    answer.completion = success(answer);
                }
                _ => {}
            },
            AdminOpcode::GET_LOG_PAGE if command.cdw10() as u8 == LogPageId::CHANGED_NAMESPACES.0 => {
                claims.logs += 1;
                if let Some(next) = claims.next.take() {
                    claims.blocks = next;
                    claims.identified.clear();
                }
                answer.page = Some(encode_namespace_list(claims.changed.iter().copied()).to_vec());
                answer.completion = success(answer);
            }
            _ => {}
        }
    });
    shared
}

/// What a program heard, and what the controller was by then.
fn listen(controller: &Rc<Controller>) -> Rc<RefCell<Vec<(u32, u64)>>> {
    let heard = Rc::new(RefCell::new(Vec::new()));
    let (told, me) = (heard.clone(), Rc::downgrade(controller));
    controller.listen_to_events(Some(Rc::new(move |completion: &Completion| {
        let controller = me.upgrade().unwrap();
        let sectors = controller.namespace(2).map_or(0, |namespace| namespace.sectors());
        told.borrow_mut().push((completion.cdw0(), sectors));
    })));
    heard
}

/// A request for an event is answered when it comes or not at all. A reset requests them anew; what comes then waits for the first poll.
fn provoke(controller: &Rc<Controller>, shared: &Shared, claim: impl FnOnce(&mut Claims)) {
    // The requests of before have come.
    (0..20).for_each(|_| turn());
    claim(&mut shared.borrow_mut());
    controller.reset().unwrap();
}

fn poll_until_heard<T>(controller: &Controller, heard: &Rc<RefCell<Vec<T>>>, count: usize) {
    until("the event", || {
        assert!(controller.process_admin_completions().is_ok());
        heard.borrow().len() >= count
    });
    assert_eq!(heard.borrow().len(), count);
}

#[test]
fn namespaces_are_read_again_before_the_program_hears() {
    let world = World::new();
    let shared = claims(&world, &[(1, 100), (2, 200), (5, 500)]);
    let controller = world.controller();
    let heard = listen(&controller);
    let (one, two) = (controller.namespace(1).unwrap(), controller.namespace(2).unwrap());

    // Two change and say so; the others are not looked at.
    provoke(&controller, &shared, |claims| {
        claims.next = Some(BTreeMap::from([(1, 100), (2, 222), (5, 500), (7, 700)]));
        (claims.changed, claims.events) = (vec![2, 7], 1);
    });
    poll_until_heard(&controller, &heard, 1);
    assert_eq!(heard.take(), [(NOTICE.0, 222)]);
    assert_eq!(shared.borrow_mut().identified.split_off(0), [2, 7]);
    assert!(controller.is_active_namespace(7) && controller.next_active_namespace(5) == 7);
    assert_eq!((one.sectors(), two.sectors()), (100, 222));

    // One goes, and the log says too many for a list: all are looked at.
    provoke(&controller, &shared, |claims| {
        claims.next = Some(BTreeMap::from([(2, 222), (5, 500), (7, 700)]));
        (claims.changed, claims.events) = (vec![u32::MAX], 1);
    });
    poll_until_heard(&controller, &heard, 1);
    assert!(!one.is_active() && !controller.is_active_namespace(1));
    assert_eq!(controller.first_active_namespace(), 2);
    assert_eq!(shared.borrow_mut().identified.split_off(0), [2, 5, 7]);
    drop((one, two));
    world.finish(Some(controller));
}

#[test]
fn who_listens_to_changes_gets_the_ids_and_who_reads_the_log_keeps_it() {
    let world = World::new();
    let shared = claims(&world, &[(1, 100), (2, 200)]);
    let controller = world.controller();
    let heard = listen(&controller);
    let changes = Rc::new(RefCell::new(Vec::new()));
    let told = changes.clone();
    controller.listen_to_changes(Some(Rc::new(move |ids| told.borrow_mut().push(ids.map(<[u32]>::to_vec)))));
    shared.borrow_mut().changed = vec![2];
    provoke(&controller, &shared, |claims| claims.events = 1);
    poll_until_heard(&controller, &changes, 1);
    controller.leave_changed_list();
    let logs = shared.borrow().logs;
    provoke(&controller, &shared, |claims| claims.events = 1);
    poll_until_heard(&controller, &changes, 2);
    assert_eq!(changes.take(), [Some(vec![2]), None]);
    assert_eq!(shared.borrow().logs, logs, "it was left to the program");
    assert!(heard.take().is_empty(), "the other listener stands in for nobody");
    controller.listen_to_changes(None);
    provoke(&controller, &shared, |claims| claims.events = 1);
    poll_until_heard(&controller, &heard, 1);
    world.finish(Some(controller));
}

/// What cannot be read keeps nobody from hearing, and a flood costs a few lines.
#[test]
fn a_controller_that_cries_wolf_is_heard_and_costs_few_lines() {
    let world = World::new();
    let shared = claims(&world, &[(1, 100), (2, 200)]);
    let controller = world.controller();
    let heard = listen(&controller);
    let (_, lines) = record(|| {
        provoke(&controller, &shared, |claims| claims.events = 50);
        shared.borrow_mut().refuses = true;
        poll_until_heard(&controller, &heard, 50);
    });
    assert!(errors(&lines).len() <= 8, "{}: {:?}", errors(&lines).len(), errors(&lines));
    assert!(heard.borrow().iter().all(|(_, sectors)| *sectors == 200), "what was known stays");
    // In the midst of a reading the controller is reset, or goes.
    shared.borrow_mut().refuses = false;
    provoke(&controller, &shared, |claims| claims.events = 1);
    turn();
    let _ = controller.process_admin_completions();
    controller.reset().unwrap();
    // It may have been told by now.
    until("the event of before", || {
        assert!(controller.process_admin_completions().is_ok());
        heard.borrow().len() == 51
    });
    provoke(&controller, &shared, |claims| claims.events = 1);
    turn();
    let _ = controller.process_admin_completions();
    world.finish(Some(controller));
}

//! What a program learns through C handles of how namespaces are reached (ANA), and of the data that a command set has of controllers and
//! namespaces.
//!
//! What holds: it is there when the program is told of the controller, or of a change; what a controller claims costs a bound, and says
//! nothing of what it does not have.

#![allow(unsafe_code)]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod common;
#[path = "common/face.rs"]
mod face;

use common::{
    NQN, World,
    lines::{errors, record},
    turn, until,
};
use face::*;
use spec::{
    AdminOpcode, Completion, FabricsType, Status,
    ana::{ANA_DESCRIPTOR_SIZE, ANA_HEADER_SIZE},
    feature::{AsyncEvent, FeatureId},
    identify::{CMIC_ANA, CTRATT_EXTENDED_LBA_FORMATS, Cns, LPA_EXTENDED_DATA},
    log::LogPageId,
    namespace::{
        LbaFormat, NamespaceId, NamespaceImage, encode_namespace_descriptors, encode_namespace_list,
    },
    registers::{CAP, CC, CSTS, Cap, Cc, Csts, VS, Vs},
};
use std::{
    cell::{Cell, RefCell},
    collections::BTreeMap,
    ffi::c_void,
    ptr::null_mut,
    rc::Rc,
};

unsafe extern "C" {
    fn spdk_nvme_ns_get_ana_group_id(namespace: Handle) -> u32;
    fn spdk_nvme_ns_get_ana_state(namespace: Handle) -> u32;
    fn spdk_nvme_ns_get_csi(namespace: Handle) -> u32;
    fn spdk_nvme_ns_is_active(namespace: Handle) -> bool;
    fn spdk_nvme_nvm_ns_get_data(namespace: Handle) -> *const [u8; 4096];
    fn spdk_nvme_nvm_ctrlr_get_data(controller: Handle) -> *const [u8; 4096];
    fn spdk_nvme_zns_ns_get_data(namespace: Handle) -> *const [u8; 4096];
    fn spdk_nvme_zns_ctrlr_get_data(controller: Handle) -> *const [u8; 4096];
    fn spdk_nvme_ctrlr_register_aer_callback(controller: Handle, told: Done, argument: *mut c_void);
    fn spdk_nvme_ns_get_pi_format(namespace: Handle) -> u32;
    fn spdk_nvme_ctrlr_is_feature_supported(controller: Handle, feature: u8) -> bool;
}

const PORT: u16 = 4420;
/// Where options are that leave logs to the program, as `tests/abi` compares them.
const LEAVE_ACCESS_LOG: usize = 608;
const LEAVE_CHANGED_LIST: usize = 616;
/// 0 and optimized.
const NOTHING: (u32, u32) = (0, 1);
const NAMESPACES_CHANGED: AsyncEvent = AsyncEvent::new(2, 0, 4);
const ACCESS_CHANGED: AsyncEvent = AsyncEvent::new(2, 3, 0xc);

/// What the target says, whatever it has.
#[derive(Default)]
struct Claims {
    namespaces: Vec<u32>,
    /// The ANA log, and what it is once the bring-up that brings an event has read it.
    log: Vec<u8>,
    next: Option<Vec<u8>>,
    has_log: bool,
    refuses_log: bool,
    has_offsets: bool,
    groups: u32,
    mdts: u8,
    events: Vec<AsyncEvent>,
    is_told: bool,
    /// Of each command that asked for the log: how many bytes, and whether the event was to stay.
    asked: Vec<(u64, bool)>,
    /// The data of the NVM and of the zoned command set for controllers, those of a command set for namespaces; and the command set of each
    /// that is not of the first.
    nvm: Option<Vec<u8>>,
    zoned: Option<Vec<u8>>,
    specific: BTreeMap<u32, Vec<u8>>,
    command_sets: BTreeMap<u32, u8>,
    /// The target offers command sets, and extended formats. It has to be made up whole, since it refuses to be enabled so.
    is_made_up: bool,
    cc: u32,
    identified: u32,
    /// The data of each Host Behavior Support.
    behaviors: Vec<Vec<u8>>,
    refuses_behavior: bool,
}

type Shared = Rc<RefCell<Claims>>;

fn log(groups: &[(u32, u8, &[u32])]) -> Vec<u8> {
    let mut log = vec![0; ANA_HEADER_SIZE];
    log[8..10].copy_from_slice(&(groups.len() as u16).to_le_bytes());
    for (id, state, namespaces) in groups {
        let mut head = [0; ANA_DESCRIPTOR_SIZE];
        head[..4].copy_from_slice(&id.to_le_bytes());
        head[4..8].copy_from_slice(&(namespaces.len() as u32).to_le_bytes());
        head[16] = *state;
        log.extend(head);
        namespaces.iter().for_each(|id| log.extend(id.to_le_bytes()));
    }
    log
}

/// What the command set said of: the data that the answer has.
fn answer_with(answer: &mut target::Answer<'_>, page: Vec<u8>) {
    answer.page = Some(page);
    answer.completion = Completion::new(0, answer.command.cid(), Status::SUCCESS);
}

fn refuse(answer: &mut target::Answer<'_>) {
    answer.page = None;
    answer.completion = Completion::new(0, answer.command.cid(), Status::INVALID_FIELD);
}

fn claims(world: &World, first: Claims) -> Shared {
    let shared = Rc::new(RefCell::new(first));
    let claims = shared.clone();
    world.set_liar(move |answer| {
        if answer.qid == 0 {
            claims.borrow_mut().answer(answer);
        }
    });
    shared
}

impl Claims {
    fn answer(&mut self, answer: &mut target::Answer<'_>) {
        let command = answer.command;
        match AdminOpcode(command.opcode()) {
            AdminOpcode::ASYNC_EVENT_REQUEST if !self.events.is_empty() => {
                let event = self.events.remove(0);
                self.is_told = true;
                answer.hold = false;
                answer.completion = Completion::new(0, command.cid(), Status::SUCCESS).with_cdw0(event.0);
            }
            AdminOpcode::ASYNC_EVENT_REQUEST => answer.hold = true,
            AdminOpcode::IDENTIFY => self.identify(answer),
            AdminOpcode::GET_LOG_PAGE if command.log_page_id() == LogPageId::ASYMMETRIC_NAMESPACE_ACCESS => {
                // The bring-up that the event came in has read the log as it was.
                if !std::mem::take(&mut self.is_told)
                    && let Some(next) = self.next.take()
                {
                    self.log = next;
                    self.asked.clear();
                }
                self.asked.push((command.log_page_length(), command.log_page_rae()));
                let from = usize::try_from(command.log_page_offset()).unwrap();
                assert!(from == 0 || self.has_offsets, "the controller has none");
                let mut page = self.log.get(from..).unwrap_or_default().to_vec();
                page.resize(usize::try_from(command.log_page_length()).unwrap(), 0);
                answer_with(answer, page);
                if self.refuses_log {
                    refuse(answer);
                }
            }
            AdminOpcode::GET_LOG_PAGE => {
                let changed = encode_namespace_list(self.namespaces.iter().copied());
                answer_with(answer, changed[..usize::try_from(command.log_page_length()).unwrap()].to_vec());
            }
            AdminOpcode::FABRICS if self.is_made_up => self.property(answer),
            AdminOpcode::SET_FEATURES if self.is_made_up => {
                answer.completion = Completion::new(0, command.cid(), Status::SUCCESS);
                if FeatureId(command.cdw10() as u8) == FeatureId::HOST_BEHAVIOR_SUPPORT {
                    let data = answer.remote.as_ref().unwrap().first;
                    // SAFETY: host and target share this process, and the host's buffer lives as long as its command.
                    let data = unsafe {
                        std::slice::from_raw_parts(data.address as usize as *const u8, data.length as usize)
                    };
                    self.behaviors.push(data.to_vec());
                    if self.refuses_behavior {
                        refuse(answer);
                    }
                }
            }
            _ => {}
        }
    }

    fn identify(&mut self, answer: &mut target::Answer<'_>) {
        let (nsid, csi) = (answer.command.nsid(), (answer.command.cdw11() >> 24) as u8);
        self.identified += 1;
        match Cns(answer.command.cdw10() as u8) {
            Cns::CONTROLLER => {
                let mut page = answer.page.take().unwrap_or_else(|| vec![0; 4096]);
                page[76] &= !CMIC_ANA; // the target's own
                if self.has_log {
                    page[76] |= CMIC_ANA;
                    page[92..96].copy_from_slice(&(1_u32 << 8 | 1 << 11).to_le_bytes()); // OAES
                    page[348..352].copy_from_slice(&self.groups.to_le_bytes());
                }
                page[77] = self.mdts;
                page[261] = if self.has_offsets { LPA_EXTENDED_DATA } else { 0 };
                page[516..520].copy_from_slice(&4096_u32.to_le_bytes()); // NN
                if self.is_made_up {
                    page[96..100].copy_from_slice(&CTRATT_EXTENDED_LBA_FORMATS.to_le_bytes());
                    page[536..540].copy_from_slice(&5_u32.to_le_bytes()); // SGLS
                    page[1792..1796].copy_from_slice(&4_u32.to_le_bytes()); // IOCCSZ
                }
                answer_with(answer, page);
            }
            Cns::ACTIVE_NAMESPACE_LIST => {
                let after = self.namespaces.iter().copied().filter(|id| *id > nsid);
                answer_with(answer, encode_namespace_list(after).to_vec());
            }
            Cns::NAMESPACE => {
                let mut image = NamespaceImage::default();
                image.set_nsze(100).set_ncap(100).set_lba_format(0, LbaFormat { ms: 0, lbads: 9, rp: 0 });
                answer_with(answer, image.0.to_vec());
            }
            Cns::NAMESPACE_DESCRIPTORS => {
                let csi = self.command_sets.get(&nsid).copied().unwrap_or(0);
                answer_with(answer, encode_namespace_descriptors(&[NamespaceId::Csi(csi)]).to_vec());
            }
            Cns::CONTROLLER_IOCS => {
                let data = match csi {
                    0 => self.nvm.clone(),
                    1 => None,
                    2 => self.zoned.clone(),
                    _ => panic!("nobody asked for {csi}"),
                };
                match data {
                    Some(page) => answer_with(answer, page),
                    None => refuse(answer),
                }
            }
            Cns::NAMESPACE_IOCS => {
                assert_eq!(csi, self.command_sets.get(&nsid).copied().unwrap_or(0));
                match self.specific.get(&nsid).cloned() {
                    Some(page) => answer_with(answer, page),
                    None => refuse(answer),
                }
            }
            _ => {}
        }
    }

    /// Properties of a controller that has command sets.
    fn property(&mut self, answer: &mut target::Answer<'_>) {
        let command = answer.command;
        let success = Completion::new(0, command.cid(), Status::SUCCESS);
        let offset = command.cdw11();
        if command.fabrics_type() == FabricsType::PROPERTY_SET {
            if offset == CC {
                self.cc = command.cdw12();
            }
            answer.completion = success;
        } else if command.fabrics_type() == FabricsType::PROPERTY_GET {
            let cc = Cc(self.cc);
            let shut_down = cc.shn() != 0;
            let value = match offset {
                CAP => Cap::fabrics(127, 10, Cap::CSS_NVM | Cap::CSS_IOCS).0,
                VS => u64::from(Vs::new(2, 0, 0).0),
                CC => u64::from(self.cc),
                CSTS => u64::from(Csts(u32::from(cc.en()) | if shut_down { 2 << 2 } else { 0 }).0),
                _ => 0,
            };
            answer.completion = success.with_result(value);
        }
    }
}

/// A controller with a log.
fn with_log(log: Vec<u8>) -> Claims {
    Claims { namespaces: vec![1, 2, 5], log, has_log: true, groups: 3, ..Claims::default() }
}

fn namespace(controller: Handle, id: u32) -> Handle {
    // SAFETY: the handle is live.
    unsafe { spdk_nvme_ctrlr_get_ns(controller, id) }
}

fn access(namespace: Handle) -> (u32, u32) {
    // SAFETY: the handle is live, until its controller is detached.
    unsafe { (spdk_nvme_ns_get_ana_group_id(namespace), spdk_nvme_ns_get_ana_state(namespace)) }
}

fn all(controller: Handle) -> Vec<(u32, u32)> {
    [1, 2, 5].into_iter().map(|id| access(namespace(controller, id))).collect()
}

fn reset(controller: Handle) {
    // SAFETY: the handle is live.
    assert_eq!(unsafe { spdk_nvme_ctrlr_reset(controller) }, 0);
}

fn end(world: World, controller: Handle) {
    // SAFETY: the handle is live, and not used any more.
    assert_eq!(unsafe { spdk_nvme_detach(controller) }, 0);
    world.finish(None);
}

thread_local! {
    static WHOSE: Cell<Handle> = const { Cell::new(null_mut()) };
    /// For each event its dword 0, and what was known of namespace 2 then.
    static HEARD: RefCell<Vec<(u32, (u32, u32))>> = const { RefCell::new(Vec::new()) };
}

extern "C" fn told(_: *mut c_void, completion: *const [u8; 16]) {
    // SAFETY: a completion has 16 bytes.
    let completion = Completion::from_bytes(unsafe { &*completion });
    let known = access(namespace(WHOSE.get(), 2));
    HEARD.with_borrow_mut(|heard| heard.push((completion.cdw0(), known)));
}

fn listen(controller: Handle) {
    WHOSE.set(controller);
    HEARD.take();
    // SAFETY: the handle is live.
    unsafe { spdk_nvme_ctrlr_register_aer_callback(controller, told, null_mut()) };
}

/// Lets the controller tell of these events. A request for one is answered when it comes, and a reset requests them anew; the log is another
/// one once that has read it.
fn provoke(controller: Handle, shared: &Shared, events: &[AsyncEvent], next: Option<Vec<u8>>) {
    (0..20).for_each(|_| turn());
    // Those of before the reset are not answered.
    reset(controller);
    (0..20).for_each(|_| turn());
    {
        let mut claims = shared.borrow_mut();
        (claims.events, claims.next) = (events.to_vec(), next);
    }
    reset(controller);
    until("the events", || {
        // SAFETY: the handle is live.
        assert!(unsafe { spdk_nvme_ctrlr_process_admin_completions(controller) } >= 0);
        HEARD.with_borrow(Vec::len) >= events.len()
    });
}

#[test]
fn groups_are_known_at_once_and_after_a_change() {
    let world = World::new();
    let shared = claims(&world, with_log(log(&[(3, 2, &[1, 5]), (7, 15, &[2]), (9, 4, &[])])));
    let controller = connect(NQN, PORT, 0);
    let two = namespace(controller, 2);
    assert_eq!(all(controller), [(3, 2), (7, 15), (3, 2)]);
    assert_eq!(shared.borrow_mut().asked.split_off(0), [(16 + 3 * 32 + 3 * 4, false)]);
    // One that is not active, none at all.
    assert_eq!((access(namespace(controller, 3)), access(null_mut())), (NOTHING, (0, 0)));

    // A change is known before the program hears of it.
    listen(controller);
    provoke(controller, &shared, &[ACCESS_CHANGED], Some(log(&[(3, 1, &[1, 5]), (7, 3, &[2])])));
    assert_eq!(HEARD.take(), [(ACCESS_CHANGED.0, (7, 3))]);
    assert_eq!((all(controller), access(two)), (vec![(3, 1), (7, 3), (3, 1)], (7, 3)));
    let asked = shared.borrow_mut().asked.split_off(0);
    assert_eq!(asked.iter().filter(|(_, retains)| !retains).count(), 1, "{asked:?}");
    // One that changed with the namespaces, whose event stays to be told.
    provoke(controller, &shared, &[NAMESPACES_CHANGED], Some(log(&[(8, 1, &[1, 2])])));
    assert_eq!(HEARD.take(), [(NAMESPACES_CHANGED.0, (8, 1))]);
    assert!(shared.borrow_mut().asked.split_off(0).last().unwrap().1);
    assert_eq!(all(controller), [(8, 1), (8, 1), NOTHING]);
    // Both at a time, and after a reset.
    provoke(controller, &shared, &[NAMESPACES_CHANGED, ACCESS_CHANGED], Some(log(&[(1, 2, &[1, 2, 5])])));
    assert_eq!(HEARD.take(), [(NAMESPACES_CHANGED.0, (1, 2)), (ACCESS_CHANGED.0, (1, 2))]);
    shared.borrow_mut().log = log(&[(1, 4, &[1, 2, 5])]);
    reset(controller);
    assert_eq!(all(controller), [(1, 4); 3]);
    end(world, controller);
}

#[test]
fn who_reads_the_logs_keeps_them() {
    let world = World::new();
    let shared = claims(&world, with_log(log(&[(3, 2, &[1, 2, 5])])));
    let controller = connect_with(NQN, PORT, 0, |options| {
        // SAFETY: the members lie within the options.
        unsafe {
            options.add(LEAVE_ACCESS_LOG).write(1);
            options.add(LEAVE_CHANGED_LIST).write(1);
        }
    });
    listen(controller);
    provoke(controller, &shared, &[ACCESS_CHANGED, NAMESPACES_CHANGED], None);
    assert_eq!(HEARD.take(), [(ACCESS_CHANGED.0, NOTHING), (NAMESPACES_CHANGED.0, NOTHING)]);
    assert!(shared.borrow().asked.is_empty());
    end(world, controller);

    // A controller without a log has nothing to say, whatever it tells.
    let world = World::new();
    let shared = claims(&world, Claims { has_log: false, ..with_log(log(&[(3, 2, &[2])])) });
    let controller = connect(NQN, PORT, 0);
    listen(controller);
    provoke(controller, &shared, &[ACCESS_CHANGED], None);
    assert_eq!((HEARD.take(), shared.borrow().asked.len()), (vec![(ACCESS_CHANGED.0, NOTHING)], 0));
    end(world, controller);
}

/// Without its log a controller that says it has one is not brought up; later what was known stays.
#[test]
fn a_log_that_is_refused() {
    let world = World::new();
    let shared = claims(&world, Claims { refuses_log: true, ..with_log(log(&[(3, 2, &[1, 2, 5])])) });
    let (none, lines) = record(|| connect(NQN, PORT, 0));
    assert!(none.is_null());
    assert!(errors(&lines).iter().any(|line| line.contains("asymmetric namespace access")), "{lines:?}");
    shared.borrow_mut().refuses_log = false;
    let controller = connect(NQN, PORT, 0);
    listen(controller);
    (0..20).for_each(|_| turn());
    reset(controller);
    (0..20).for_each(|_| turn());
    shared.borrow_mut().events = vec![ACCESS_CHANGED; 50];
    reset(controller);
    shared.borrow_mut().refuses_log = true;
    let (_, lines) = record(|| {
        until("the events", || {
            // SAFETY: the handle is live.
            assert!(unsafe { spdk_nvme_ctrlr_process_admin_completions(controller) } >= 0);
            HEARD.with_borrow(Vec::len) == 50
        });
    });
    assert!(HEARD.take().iter().all(|heard| *heard == (ACCESS_CHANGED.0, (3, 2))));
    assert!(errors(&lines).len() <= 8, "{:?}", errors(&lines));
    end(world, controller);
}

/// What a log claims costs a bound, and nothing of it is believed that is not there.
#[test]
fn a_log_that_lies() {
    let good = log(&[(3, 2, &[1, 2]), (4, 3, &[5])]);
    let mut many = good.clone();
    many[8..10].copy_from_slice(&u16::MAX.to_le_bytes());
    let mut endless = log(&[(3, 2, &[1, 2]), (4, 3, &[5]), (5, 3, &[])]);
    let last = endless.len() - ANA_DESCRIPTOR_SIZE;
    endless[last + 4..last + 8].copy_from_slice(&u32::MAX.to_le_bytes());
    let foreign = log(&[(3, 2, &[0, 1, 2, 3, 7, u32::MAX, 2]), (4, 3, &[5])]);
    for (log, has_line) in [(many, false), (endless, true), (foreign, false)] {
        for groups in [0, 1, u32::MAX] {
            for has_offsets in [false, true] {
                let world = World::new();
                let shared = claims(&world, Claims { groups, has_offsets, ..with_log(log.clone()) });
                let (controller, lines) = record(|| connect(NQN, PORT, 0));
                assert_eq!(all(controller), [(3, 2), (3, 2), (4, 3)]);
                let asked: u64 = shared.borrow().asked.iter().map(|(bytes, _)| *bytes).sum();
                assert!(asked < 512 << 10, "{asked} bytes");
                let said = errors(&lines).iter().filter(|line| line.contains("ANA log")).count();
                assert!(said == usize::from(has_line) || log.len() < 200 && said <= 1, "{lines:?}");
                assert_eq!(access(namespace(controller, 3)), NOTHING);
                end(world, controller);
            }
        }
    }
}

/// A log that takes several commands, or more than the controller lets one ask for.
#[test]
fn a_long_log() {
    let namespaces: Vec<u32> = (1..=3000).collect();
    for (has_offsets, mdts, known) in [(true, 1, 3000), (true, 0, 3000), (false, 0, 3000), (false, 1, 1000)] {
        let world = World::new();
        let (low, high) = namespaces.split_at(1000);
        let first = Claims {
            namespaces: namespaces.clone(),
            has_offsets,
            mdts,
            ..with_log(log(&[(1, 2, low), (2, 3, high)]))
        };
        let shared = claims(&world, first);
        let controller = connect(NQN, PORT, 0);
        let state = |id| access(namespace(controller, id));
        assert_eq!((state(1), state(1000)), ((1, 2), (1, 2)));
        let expected = if known == 3000 { (2, 3) } else { NOTHING };
        assert_eq!((state(1001), state(3000)), (expected, expected), "{has_offsets}, {mdts}");
        let most = if mdts == 1 { 8192 } else { u64::MAX };
        assert!(shared.borrow().asked.iter().all(|(bytes, _)| *bytes <= most));
        end(world, controller);
    }
}

fn page(byte: u8) -> Vec<u8> {
    let mut page = vec![0; 4096];
    page[..300].fill(byte);
    page
}

#[test]
fn data_of_command_sets() {
    let world = World::new();
    let first = Claims {
        namespaces: vec![1, 2, 5],
        nvm: Some(page(0x5a)),
        zoned: Some(page(0x5b)),
        specific: BTreeMap::from([(1, page(1)), (5, page(5))]),
        command_sets: BTreeMap::from([(5, 2)]),
        is_made_up: true,
        ..Claims::default()
    };
    let shared = claims(&world, first);
    let controller = connect(NQN, PORT, 0);
    assert!(!controller.is_null());
    let nvm = |id| {
        let namespace = namespace(controller, id);
        // SAFETY: the handle is live, and so are the data.
        unsafe { spdk_nvme_nvm_ns_get_data(namespace).as_ref().map(|page| page.to_vec()) }
    };
    let zoned = |id| {
        let namespace = namespace(controller, id);
        // SAFETY: as before.
        unsafe { spdk_nvme_zns_ns_get_data(namespace).as_ref().map(|page| page.to_vec()) }
    };
    // SAFETY: as before.
    let own = || unsafe { spdk_nvme_nvm_ctrlr_get_data(controller) };
    // SAFETY: as before.
    let own_zoned = || unsafe { spdk_nvme_zns_ctrlr_get_data(controller) };
    let (of_controller, zoned_of_controller) = (own(), own_zoned());
    assert!(!of_controller.is_null() && !zoned_of_controller.is_null());
    // SAFETY: as before.
    unsafe {
        assert_eq!(of_controller.read().to_vec(), page(0x5a));
        assert_eq!(zoned_of_controller.read().to_vec(), page(0x5b));
        assert_eq!(
            (spdk_nvme_ns_get_csi(namespace(controller, 1)), spdk_nvme_ns_get_csi(namespace(controller, 5))),
            (0, 2)
        );
    }
    assert_eq!(nvm(1), Some(page(1)));
    assert_eq!((nvm(2), nvm(3)), (None, None), "refused, or not active");
    assert_eq!(nvm(5), None, "of another command set, whatever there is");
    assert_eq!((zoned(5), zoned(1), zoned(2)), (Some(page(5)), None, None));
    // The format of the protection information is in the first of these data: bits 8:7 from byte 12 on.
    // SAFETY: the handles are live.
    let pi_format = |id| unsafe { spdk_nvme_ns_get_pi_format(namespace(controller, id)) };
    assert_eq!((pi_format(1), pi_format(2), pi_format(3), pi_format(5)), (2, 0, 0, 0));
    // It was told that this host knows the formats.
    let mut knows_formats = vec![0; 512];
    knows_formats[2] = 1;
    assert_eq!(shared.borrow().behaviors, [&knows_formats[..]]);
    // SAFETY: as before.
    assert!(unsafe { spdk_nvme_ctrlr_is_feature_supported(controller, FeatureId::HOST_BEHAVIOR_SUPPORT.0) });
    // SAFETY: NULL is no handle.
    unsafe {
        assert!(spdk_nvme_nvm_ns_get_data(null_mut()).is_null());
        assert!(spdk_nvme_nvm_ctrlr_get_data(null_mut()).is_null());
        assert!(spdk_nvme_zns_ns_get_data(null_mut()).is_null());
        assert!(spdk_nvme_zns_ctrlr_get_data(null_mut()).is_null());
    }
    // What changes is rewritten where it is, and what comes or goes does.
    let one = namespace(controller, 1);
    // SAFETY: as before.
    let of_one = unsafe { spdk_nvme_nvm_ns_get_data(one) };
    {
        let mut claims = shared.borrow_mut();
        claims.nvm = Some(page(0x77));
        claims.zoned = Some(page(0x78));
        claims.specific = BTreeMap::from([(1, page(9)), (2, page(2))]);
    }
    reset(controller);
    assert_eq!((nvm(1), nvm(2)), (Some(page(9)), Some(page(2))));
    assert_eq!(shared.borrow().behaviors.len(), 2, "each association anew");
    // SAFETY: as before.
    unsafe {
        assert_eq!((own(), spdk_nvme_nvm_ns_get_data(one)), (of_controller, of_one));
        assert_eq!(of_controller.read().to_vec(), page(0x77));
        assert_eq!(own_zoned(), zoned_of_controller);
        assert_eq!(zoned_of_controller.read().to_vec(), page(0x78));
    }
    {
        let mut claims = shared.borrow_mut();
        (claims.nvm, claims.zoned, claims.namespaces) = (None, None, vec![2]);
    }
    reset(controller);
    // SAFETY: as before.
    unsafe { assert!(own().is_null() && own_zoned().is_null() && !spdk_nvme_ns_is_active(one)) };
    assert_eq!((nvm(1), nvm(2)), (None, Some(page(2))));
    end(world, controller);
}

/// A controller that has extended LBA formats and does not want to hear that this host knows them is none.
#[test]
fn a_controller_that_refuses_its_own_lba_formats() {
    let world = World::new();
    claims(&world, Claims { is_made_up: true, refuses_behavior: true, ..Claims::default() });
    let (controller, lines) = record(|| connect(NQN, PORT, 0));
    assert!(controller.is_null());
    let errors = errors(&lines);
    assert!(errors.len() == 1 && errors[0].contains("Host Behavior Support"), "{lines:?}");
    world.finish(None);
}

/// A controller that has no such commands is asked once, and is none the worse for it; nor has a program that looks for zones a line.
#[test]
fn a_controller_without_command_sets() {
    let world = World::new();
    claims(&world, Claims { namespaces: vec![1], ..Claims::default() });
    let controller = connect(NQN, PORT, 0);
    // SAFETY: as below.
    let (zoned, lines) = record(|| unsafe {
        (spdk_nvme_zns_ctrlr_get_data(controller), spdk_nvme_zns_ns_get_data(namespace(controller, 1)))
    });
    assert!(zoned.0.is_null() && zoned.1.is_null() && lines.is_empty(), "{lines:?}");
    // SAFETY: the handles are live.
    unsafe {
        assert!(spdk_nvme_nvm_ctrlr_get_data(controller).is_null());
        assert!(spdk_nvme_nvm_ns_get_data(namespace(controller, 1)).is_null());
        assert_eq!(spdk_nvme_ns_get_pi_format(namespace(controller, 1)), 0);
        assert!(!spdk_nvme_ctrlr_is_feature_supported(controller, FeatureId::HOST_BEHAVIOR_SUPPORT.0));
    }
    assert_eq!(access(namespace(controller, 1)), NOTHING);
    end(world, controller);
}

//! Who has a seat, and what becomes of posting when nobody has.

use super::*;
use crate::{
    Batch, CmEventKind, CmId, CompletionQueue, ConnectParameters, EventChannel, QueuePair,
    QueuePairCapabilities, ReceiveRing, Segment, SendRing, WcStatus, kept,
};
use rdma_sys as sys;
use std::{
    net::SocketAddr,
    time::{Duration, Instant},
};

/// A test that waits for this long has failed.
const DEADLINE: Duration = Duration::from_secs(60);
/// The receive of the host's that a peer answers to, and the peer's own.
const SLOTS: u16 = 4;
const CAPABILITIES: QueuePairCapabilities =
    QueuePairCapabilities { sends: 8, receives: 8, send_segments: 2, receive_segments: 1 };

type Sends = SendQueue<[u64; 6], 1>;

/// What outlives queue pairs: a seat with its queues.
struct Queues {
    seat: Rc<Seat>,
    sends: Sends,
    receives: ReceiveQueue,
}

impl Queues {
    fn new() -> Self {
        let seat = Seat::new();
        let memory = Memory::new(Sends::memory_for(SLOTS.into())).unwrap();
        let sends = Sends::new(memory, SLOTS.into(), SLOTS.into(), &seat, |_| [0; 6]).unwrap();
        let memory = Memory::new(ReceiveQueue::memory_for(SLOTS)).unwrap();
        let receives = ReceiveQueue::new(memory, SLOTS, &seat).unwrap();
        Self { seat, sends, receives }
    }

    fn register(&self, fabric: &Fabric) -> Vec<Registration> {
        let sends = self.sends.register(&fabric.domain, |slot| slot as u64).unwrap();
        let id = |slot: u16| 100 + u64::from(slot);
        vec![sends, self.receives.register(&fabric.domain, SLOTS, 1, id).unwrap()]
    }

    /// The errno of posting a send.
    fn refusal(&self) -> Option<i32> {
        self.sends.slot(0).unwrap().post(None).err()
    }
}

/// A queue pair that is not connected: receives can be posted to it.
fn queue_pair(fabric: &Fabric, channel: &Arc<EventChannel>, completions: &Arc<CompletionQueue>) -> QueuePair {
    let id = CmId::new(channel).unwrap();
    id.bind(&"127.0.0.1:0".parse().unwrap()).unwrap();
    QueuePair::new(&id, &fabric.domain, completions, CAPABILITIES).unwrap()
}

fn channel(fabric: &Fabric) -> (Arc<EventChannel>, Arc<CompletionQueue>) {
    (EventChannel::new().unwrap(), CompletionQueue::new(&fabric.device, 32).unwrap())
}

/// How many completions a poll of the seat finds.
fn found(seat: &Seat) -> usize {
    seat.poll(&mut Batch::<8>::new()).unwrap().len()
}

#[test]
fn an_empty_seat_refuses_and_polls_nothing() {
    let queues = Queues::new();
    assert!(queues.seat.is_empty());
    assert_eq!(queues.refusal(), Some(libc::ENOTCONN));
    assert!(!queues.sends.slot(1).unwrap().put_off(None));
    assert!(!queues.sends.slot(2).unwrap().put_off(None));
    let mut refused = 0;
    assert_eq!(queues.sends.post_pending(|_| refused += 1), Err(libc::ENOTCONN));
    assert_eq!((refused, queues.sends.is_empty()), (2, true));
    assert_eq!(queues.receives.post(), Err(libc::ENOTCONN));
    assert_eq!(queues.receives.out(), 0);
    assert_eq!(found(&queues.seat), 0);
}

#[test]
fn a_queue_pair_whose_provider_lacks_a_function_gets_no_seat() {
    let seat = Seat::new();
    let error = Provider::without_functions().sit_on(&seat).unwrap_err();
    assert_eq!(error.errno, libc::EOPNOTSUPP);
    assert!(seat.is_empty());
    assert_eq!(found(&seat), 0);
}

/// What a poll says is not believed if it cannot be, and never read then.
#[test]
fn a_poll_finds_what_there_is_room_for() {
    let (seat, mut provider) = (Seat::new(), Provider::new());
    provider.sit_on(&seat).unwrap();
    provider.account.completions.borrow_mut().extend(1..=11);
    let mut batch = Batch::<8>::new();
    let mut ids = |seat: &Seat| {
        let found = seat.poll(&mut batch)?;
        Some(found.iter().map(|completion| completion.work_request_id()).collect::<Vec<_>>())
    };
    assert_eq!(ids(&seat), Some((1..=8).collect()));
    assert_eq!(ids(&seat), Some(vec![9, 10, 11]));
    assert_eq!(ids(&seat), Some(vec![]));
    for says in [-1, -libc::EIO, i32::MIN, 9, i32::MAX] {
        provider.account.says.set(Some(says));
        assert_eq!(ids(&seat), None, "{says}");
    }
    assert_eq!(provider.account.polls.get(), 8);
}

#[test]
fn a_queue_pair_that_ends_empties_its_seat() {
    let fabric = Fabric::new();
    let before = softverbs::ledger();
    let queues = Queues::new();
    let (channel, completions) = channel(&fabric);
    let queue_pair = queue_pair(&fabric, &channel, &completions);
    let seated = queue_pair.take_seat(&queues.seat, queues.register(&fabric)).unwrap();
    assert!(!queues.seat.is_empty());
    assert_eq!((queues.receives.post(), queues.receives.out()), (Ok(()), SLOTS.into()));
    assert_eq!(softverbs::ledger().mrs, before.mrs + 2);
    let ended = seated.destroy().unwrap_or_else(|(_, error)| panic!("{error}"));
    assert!(queues.seat.is_empty());
    assert_eq!(softverbs::ledger().qps, before.qps);
    assert_eq!(softverbs::ledger().mrs, before.mrs + 2, "the registrations outlive the queue pair");
    assert_eq!(queues.refusal(), Some(libc::ENOTCONN));
    assert_eq!(found(&queues.seat), 0);
    drop(ended);
    drop((channel, completions));
    assert_eq!(softverbs::ledger(), before);
    assert_eq!(Rc::strong_count(&queues.seat), 3, "the queue pair's share of the seat went with it");
}

#[test]
fn a_queue_pair_that_is_dropped_gives_back_all_it_had() {
    let fabric = Fabric::new();
    let before = softverbs::ledger();
    let queues = Queues::new();
    let (channel, completions) = channel(&fabric);
    let queue_pair = queue_pair(&fabric, &channel, &completions);
    drop(queue_pair.take_seat(&queues.seat, queues.register(&fabric)).unwrap());
    assert!(queues.seat.is_empty());
    assert_eq!(queues.refusal(), Some(libc::ENOTCONN));
    assert_eq!(queues.receives.post(), Err(libc::ENOTCONN));
    drop((channel, completions));
    assert_eq!(softverbs::ledger(), before);
    assert_eq!(Rc::strong_count(&queues.seat), 3);
}

#[test]
fn who_lost_the_seat_leaves_it_alone() {
    let fabric = Fabric::new();
    let queues = Queues::new();
    let (channel, completions) = channel(&fabric);
    for end in 0..3 {
        let [first, second] = [(), ()].map(|()| queue_pair(&fabric, &channel, &completions));
        let first = first.take_seat(&queues.seat, queues.register(&fabric)).unwrap();
        queues.receives.post().unwrap();
        let second = second.take_seat(&queues.seat, queues.register(&fabric)).unwrap();
        queues.receives.post().unwrap();
        match end {
            0 => drop(first),
            1 => drop(first.destroy().unwrap_or_else(|(_, error)| panic!("{error}"))),
            // Neither does a destruction that fails give it back the seat.
            _ => {
                softverbs::control("fail ibv_destroy_qp 1 EBUSY").unwrap();
                let Err((first, error)) = first.destroy() else { panic!("it was destroyed") };
                assert_eq!(error.errno, libc::EBUSY);
                queues.register(&fabric);
                assert_eq!(queues.receives.post(), Ok(()), "to the second: to the first it is too many");
                drop(first);
            }
        }
        assert!(!queues.seat.is_empty());
        // What is posted goes to the second, which flushes it when it fails.
        second.queue_pair().move_to_error().unwrap();
        assert!(found(&queues.seat) >= SLOTS.into());
        while found(&queues.seat) > 0 {}
        drop(second);
        assert!(queues.seat.is_empty());
    }
}

#[test]
fn a_queue_pair_that_cannot_be_destroyed_is_seated_as_before() {
    let fabric = Fabric::new();
    let before = softverbs::ledger();
    let queues = Queues::new();
    let (channel, completions) = channel(&fabric);
    let queue_pair = queue_pair(&fabric, &channel, &completions);
    let number = queue_pair.number();
    let seated = queue_pair.take_seat(&queues.seat, queues.register(&fabric)).unwrap();
    softverbs::control("fail ibv_destroy_qp 1 EBUSY").unwrap();
    let Err((seated, error)) = seated.destroy() else { panic!("it was destroyed") };
    assert_eq!(error.errno, libc::EBUSY);
    assert_eq!(seated.queue_pair().number(), number);
    assert_eq!(softverbs::ledger().mrs, before.mrs + 2, "it has its registrations");
    assert!(!queues.seat.is_empty());
    assert_eq!(queues.receives.post(), Ok(()));
    drop(seated.destroy().unwrap_or_else(|(_, error)| panic!("{error}")));
    drop((channel, completions));
    assert_eq!((softverbs::ledger(), queues.seat.is_empty()), (before, true));
}

/// Kept, or dropped while it cannot be destroyed: the seat is empty, and nothing that the device may use is given back.
#[test]
fn a_queue_pair_that_is_kept_keeps_its_registrations() {
    let fabric = Fabric::new();
    for keep in [true, false] {
        let before = softverbs::ledger();
        let kept_before = kept();
        let queues = Queues::new();
        let (channel, completions) = channel(&fabric);
        let queue_pair = queue_pair(&fabric, &channel, &completions);
        let seated = queue_pair.take_seat(&queues.seat, queues.register(&fabric)).unwrap();
        if keep {
            assert!(seated.keep() > kept_before);
        } else {
            softverbs::control("fail ibv_destroy_qp 1 EBUSY").unwrap();
            drop(seated);
        }
        assert!(kept() > kept_before);
        assert!(queues.seat.is_empty());
        assert_eq!(queues.refusal(), Some(libc::ENOTCONN));
        assert_eq!(queues.receives.post(), Err(libc::ENOTCONN));
        assert_eq!(Rc::strong_count(&queues.seat), 3);
        drop((queues, channel, completions));
        let now = softverbs::ledger();
        assert_eq!((now.qps, now.mrs, now.cqs), (before.qps + 1, before.mrs + 2, before.cqs + 1));
    }
}

/// Takes the events of a channel until it found one of this kind.
fn event(channel: &Arc<EventChannel>, kind: CmEventKind) -> crate::CmEvent {
    let end = Instant::now() + DEADLINE;
    loop {
        match channel.next_event().unwrap() {
            Some(event) if event.kind == kind => return event,
            Some(event) => panic!("{event:?} instead of {kind:?}"),
            None => assert!(Instant::now() < end, "no {kind:?}"),
        }
        std::thread::yield_now();
    }
}

/// The ids of as many completions, all of them successful.
fn completed(count: usize, mut poll: impl FnMut(&mut Batch<8>) -> Vec<(u64, WcStatus)>) -> Vec<u64> {
    let end = Instant::now() + DEADLINE;
    let mut ids = Vec::new();
    while ids.len() < count {
        for (id, status) in poll(&mut Batch::new()) {
            assert_eq!(status, WcStatus::SUCCESS, "{id}");
            ids.push(id);
        }
        assert!(Instant::now() < end, "only {ids:?} completed");
        std::thread::yield_now();
    }
    ids.sort_unstable();
    ids
}

fn listed(found: Option<&[crate::WorkCompletion]>) -> Vec<(u64, WcStatus)> {
    found.unwrap().iter().map(|completion| (completion.work_request_id(), completion.status())).collect()
}

/// Commands and responses between two connected queue pairs, by all that the room has: at once, put off, with data, and a ring of
/// receives that goes around.
#[test]
fn what_is_posted_arrives() {
    const ROUNDS: u64 = 5;
    let fabric = Fabric::new();
    let before = softverbs::ledger();
    let (channel, completions) = channel(&fabric);
    let parameters = ConnectParameters {
        private_data: &[],
        responder_resources: 1,
        initiator_depth: 1,
        retry_count: 7,
        rnr_retry_count: 7,
    };
    let listener = CmId::new(&channel).unwrap();
    listener.bind(&"127.0.0.1:0".parse().unwrap()).unwrap();
    listener.listen(1).unwrap();
    let address = SocketAddr::new("127.0.0.1".parse().unwrap(), listener.local_port());
    let id = CmId::new(&channel).unwrap();
    id.resolve_address(None, &address, DEADLINE).unwrap();
    event(&channel, CmEventKind::AddressResolved);
    id.resolve_route(DEADLINE).unwrap();
    event(&channel, CmEventKind::RouteResolved);

    // The host's side: a seat. It is connected with the receives posted.
    let queues = Queues::new();
    let host = QueuePair::new(&id, &fabric.domain, &completions, CAPABILITIES).unwrap();
    let host = host.take_seat(&queues.seat, queues.register(&fabric)).unwrap();
    queues.receives.post().unwrap();
    id.connect(&parameters).unwrap();

    // The peer's side: rings. It gets 64 bytes and 8 of data, and answers 16 of them.
    let request = event(&channel, CmEventKind::ConnectRequest).request.unwrap();
    let peer_completions = CompletionQueue::new(&fabric.device, 32).unwrap();
    let peer = QueuePair::new(&request, &fabric.domain, &peer_completions, CAPABILITIES).unwrap();
    let memory = RegisteredMemory::new(&fabric.domain, 128 * usize::from(SLOTS), Access::LocalWrite).unwrap();
    let (receives, sends) =
        (ReceiveRing::new(SLOTS.into()).unwrap(), SendRing::new(SLOTS.into(), 1).unwrap());
    let post_receives = || {
        for slot in 0..usize::from(SLOTS) {
            assert!(receives.prepare(slot, slot as u64, Segment::of(&memory, slot * 128, 128).unwrap()));
            assert!(receives.push(slot));
        }
        peer.post_receives(&receives).unwrap();
    };
    post_receives();
    request.accept(&parameters).unwrap();
    for _ in 0..2 {
        event(&channel, CmEventKind::Established);
    }

    host.queue_pair().set_rnr_delay(8).unwrap();
    assert!(host.queue_pair().set_rnr_delay(32).is_err_and(|error| error.errno == libc::EINVAL));
    // SAFETY: zero is a value for both, and the queue pair is alive.
    unsafe {
        let (mut attributes, mut initial): (sys::ibv_qp_attr, sys::ibv_qp_init_attr) =
            (std::mem::zeroed(), std::mem::zeroed());
        let mask = sys::ibv_qp_attr_mask::IBV_QP_MIN_RNR_TIMER.0 as i32;
        let queue_pair = host.queue_pair().as_ptr();
        assert_eq!(sys::ibv_query_qp(queue_pair, &mut attributes, mask, &mut initial), 0);
        assert_eq!(attributes.min_rnr_timer, 8);
    }
    let data = RegisteredMemory::new(&fabric.domain, 8, Access::LocalRead).unwrap();
    for round in 1..=ROUNDS {
        assert!(data.write(0, &round.to_ne_bytes()));
        let data = Segment::of(&data, 0, 8).unwrap();
        for (index, slot) in queues.sends.slots().enumerate() {
            slot.write([round * 10 + index as u64; COMMAND_WORDS]);
        }
        let [first, second, third, fourth] = [0, 1, 2, 3].map(|slot| queues.sends.slot(slot).unwrap());
        first.post(Some(data)).unwrap();
        second.post(None).unwrap();
        assert!(!third.put_off(Some(data)) && !fourth.put_off(None));
        queues.sends.post_pending(|_| ()).unwrap();
        let ids = completed(4, |batch| listed(peer_completions.poll_batch(batch)));
        assert_eq!(ids, [0, 1, 2, 3]);
        for slot in 0..u64::from(SLOTS) {
            let mut words = [0_u8; 72];
            assert!(memory.read(slot as usize * 128, &mut words));
            assert_eq!(words[56..64], (round * 10 + slot).to_ne_bytes());
            if slot % 2 == 0 {
                assert_eq!(words[64..], round.to_ne_bytes(), "the data of {slot}");
            }
            assert!(receives.came_back(slot as usize));
            let answer = Segment::of(&memory, slot as usize * 128 + 56, 16).unwrap();
            assert!(sends.set_segment(slot as usize, 0, answer) && sends.set_id(slot as usize, slot));
            assert!(sends.push(slot as usize, 1));
        }
        assert_eq!(completed(4, |batch| listed(queues.seat.poll(batch))), [0, 1, 2, 3], "the sends");
        peer.post_sends(&sends).unwrap();
        assert_eq!(completed(4, |batch| listed(queues.seat.poll(batch))), [100, 101, 102, 103]);
        for slot in 0..SLOTS {
            let [first, _] = queues.receives.take(slot).unwrap();
            assert_eq!(first, round * 10 + u64::from(slot));
        }
        assert!(queues.receives.has_few());
        queues.receives.post().unwrap();
        assert_eq!(completed(4, |batch| listed(peer_completions.poll_batch(batch))), [0, 1, 2, 3]);
        post_receives();
    }
    drop(host);
    drop((peer, request, id, listener, memory, data, peer_completions, completions, channel));
    assert_eq!((softverbs::ledger(), queues.seat.is_empty()), (before, true));
}

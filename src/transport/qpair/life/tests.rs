//! The life of a qpair up to the CM's connect request, with events of the CM that a peer can hardly be made to cause.
//! The peer listens and never answers.

use super::*;
use crate::{
    clock::test_clock,
    transport::{Association, Completer, ConnectTarget, QpairConfiguration},
};
use std::{cell::Cell, net::SocketAddr, rc::Rc, sync::Arc, time::Instant};
use verbs::{CmId, EventChannel, PrivateData, WcStatus};

struct Silent {
    id: Arc<CmId>,
    _channel: Arc<EventChannel>,
}

fn silent() -> Silent {
    test_clock::install();
    let channel = EventChannel::new().unwrap();
    let id = CmId::new(&channel).unwrap();
    id.bind(&SocketAddr::from(([127, 0, 0, 1], 0))).unwrap();
    id.listen(64).unwrap();
    Silent { id, _channel: channel }
}

fn qpair(peer: &Silent) -> Rc<Qpair> {
    let configuration = QpairConfiguration {
        queue_id: 1,
        queue_size: 8,
        requests: 16,
        reserved: 0,
        upcall: crate::transport::tell_nobody,
        delay_submit: false,
    };
    let association = Association {
        target: ConnectTarget {
            address: SocketAddr::from(([127, 0, 0, 1], peer.id.local_port())),
            source: None,
            label: Arc::from("test"),
            type_of_service: None,
            acknowledge_timeout: None,
            retry_count: 4,
            cm_timeout: Duration::from_secs(20),
            connect_timeout: Duration::from_secs(600),
        },
        controller_id: 1,
        subnqn: Arc::from("nqn.2024-01.test:s"),
        hostnqn: Arc::from("nqn.2024-01.test:h"),
        hostid: [0; 16],
        keep_alive_timeout: 0,
        in_capsule_data: 0,
        descriptors: 1,
        queue_entries: 65_536,
    };
    Qpair::new(configuration, &Arc::new(association)).unwrap()
}

/// Polls, with time going by, until the qpair is in the state of that name.
fn until(qpair: &Qpair, name: &str) {
    let begin = Instant::now();
    while qpair.with(State::name) != name {
        assert!(begin.elapsed() < Duration::from_secs(10), "{} and not {name}", qpair.with(State::name));
        qpair.account(u32::MAX);
        qpair.progress(clock::now());
        test_clock::advance(Duration::from_millis(1));
        std::thread::sleep(Duration::from_micros(50));
    }
}

fn connecting(peer: &Silent) -> Rc<Qpair> {
    let qpair = qpair(peer);
    qpair.connect().unwrap();
    until(&qpair, "connecting");
    qpair
}

fn event(kind: CmEventKind, status: i32) -> CmEvent {
    CmEvent {
        kind,
        status,
        id_key: 0,
        request: None,
        private_data: PrivateData::new(&[]),
        responder_resources: 0,
        initiator_depth: 0,
        queue_pair_number: 0,
    }
}

fn submit(qpair: &Qpair, ended: &Rc<Cell<u32>>) -> Result<(), Error> {
    let ended = ended.clone();
    let completer = Completer::Shared(Rc::new(move |completion: &Completion| {
        assert_eq!(completion.status(), Status::ABORTED_SQ_DELETION);
        ended.set(ended.get() + 1);
    }));
    qpair.submit(&Command::keep_alive(), Payload::None, completer)
}

#[test]
fn t70_a_stale_connection_is_tried_again_with_fresh_objects_a_bounded_number_of_times() {
    let peer = silent();
    let qpair = connecting(&peer);
    let ended = Rc::default();
    for attempt in 0..crate::transport::STALE_RETRIES {
        let old = qpair.with(|state| Arc::downgrade(connection(state).unwrap().channel()));
        submit(&qpair, &ended).unwrap();
        qpair.cm_event(&event(CmEventKind::Rejected, REJECT_STALE));
        submit(&qpair, &ended).unwrap(); // while the old connection drains
        assert!(qpair.connect_result().is_none());
        assert!(matches!(qpair.connect(), Err(Error::AlreadyConnected)));
        until(&qpair, "waiting for another attempt");
        assert!(old.upgrade().is_none(), "attempt {attempt}: something holds the old connection");
        until(&qpair, "connecting");
        assert_eq!(qpair.deliver(u32::MAX), 0);
    }
    qpair.cm_event(&event(CmEventKind::Rejected, REJECT_STALE));
    assert!(matches!(submit(&qpair, &ended), Err(Error::NotConnected)));
    qpair.wait_until_at_rest();
    let rejected = ConnectError::Rejected { status: REJECT_STALE, reason: None };
    assert_eq!(qpair.connect_result(), Some(Err(Error::Connect(rejected))));
    assert_eq!((qpair.deliver(u32::MAX), ended.get()), (10, 10));
    assert_eq!(qpair.requests_in_use(), 0);
}

#[test]
fn t72_flushed_receives_do_not_hide_why_the_target_rejected() {
    let peer = silent();
    let qpair = connecting(&peer);
    // The CM moves the queue pair to the error state first and tells of the rejection then.
    qpair.wire().set_fault(Fault::Receive(WcStatus::FLUSHED));
    qpair.progress(clock::now());
    assert!(qpair.connect_result().is_none());
    qpair.cm_event(&event(CmEventKind::Rejected, REJECT_CONSUMER));
    qpair.wait_until_at_rest();
    let rejected = ConnectError::Rejected { status: REJECT_CONSUMER, reason: None };
    assert_eq!(qpair.connect_result(), Some(Err(Error::Connect(rejected))));
}

#[test]
fn t69_every_event_in_every_state_ends_in_rest() {
    use CmEventKind as K;
    let kinds = [
        K::AddressResolved,
        K::AddressError,
        K::RouteResolved,
        K::RouteError,
        K::ConnectRequest,
        K::ConnectResponse,
        K::ConnectError,
        K::Unreachable,
        K::Rejected,
        K::Established,
        K::Disconnected,
        K::DeviceRemoval,
        K::AddressChange,
        K::TimewaitExit,
        K::Other(99),
    ];
    for first in kinds {
        let peer = silent(); // its backlog is not without end
        for second in kinds {
            for early in [false, true] {
                let qpair = if early { qpair(&peer) } else { connecting(&peer) };
                if early {
                    qpair.cm_event(&event(first, 0)); // never connected
                    assert!(qpair.is_at_rest());
                    qpair.connect().unwrap();
                }
                qpair.cm_event(&event(first, 0));
                qpair.cm_event(&event(second, REJECT_STALE));
                qpair.disconnect();
                qpair.cm_event(&event(second, 0));
                qpair.wait_until_at_rest();
                assert!(qpair.has_ended(), "{first:?}, {second:?}");
                assert_eq!(qpair.requests_in_use(), 0);
            }
        }
    }
}

#[test]
fn t149_a_removed_device_is_let_go_at_once() {
    let peer = silent();
    let qpair = connecting(&peer);
    let channel = qpair.with(|state| Arc::downgrade(connection(state).unwrap().channel()));
    qpair.cm_event(&event(CmEventKind::DeviceRemoval, 0));
    let begin = clock::now();
    qpair.wait_until_at_rest();
    assert!(!clock::now().has_reached(begin.after(Duration::from_millis(500))));
    assert!(channel.upgrade().is_none());
    assert_eq!(qpair.connect_result(), Some(Err(Error::Connect(ConnectError::Lost))));
}

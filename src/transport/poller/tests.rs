//! Room in completion queues and places in the table, over RDMA without a device.

use super::*;
use crate::transport::requests::Requests;
use verbs::DeviceList;

const DEPTH: u16 = 63;
const ENTRIES: u32 = DEPTH as u32 * 2 + 2;

fn share(poller: &Rc<Poller>, device: &Arc<DeviceShare>) -> (PollerShare, Rc<Wire>) {
    let requests = Requests::new(DEPTH, 1).unwrap();
    let responses = verbs::Memory::new(usize::from(DEPTH) * 16).unwrap();
    poller
        .share(ENTRIES, &Weak::new(), |owner| Wire::new(&requests, device, owner, DEPTH, &responses))
        .unwrap()
}

fn device() -> Arc<DeviceShare> {
    DeviceShare::of(DeviceList::open().unwrap().devices().first().unwrap()).unwrap()
}

#[test]
fn t56_room_goes_back_with_the_share_that_took_it() {
    let device = device();
    let poller = Poller::new(&device, &Lanes::new(), ENTRIES).unwrap();
    let kept = share(&poller, &device);
    let grown = {
        let _second = share(&poller, &device);
        assert_eq!(poller.reserved.get(), 2 * ENTRIES);
        poller.queue().capacity()
    };
    assert!(grown >= 2 * ENTRIES, "the queue grew for the second");
    for _ in 0..20 {
        let (share, wire) = share(&poller, &device);
        assert_eq!(share.owner().index, 1, "the place of the one that left");
        drop((share, wire));
        assert_eq!((poller.reserved.get(), poller.queue().capacity()), (ENTRIES, grown));
    }
    drop(kept);
    assert_eq!(poller.reserved.get(), 0);
}

#[test]
fn t57_a_share_that_fails_takes_no_room() {
    let device = device();
    let poller = Poller::new(&device, &Lanes::new(), ENTRIES).unwrap();
    let refused = poller.share(ENTRIES, &Weak::new(), |_| Err(Error::NoMemory));
    assert!(refused.is_err());
    assert_eq!(poller.reserved.get(), 0);
    assert_eq!(share(&poller, &device).0.owner().index, 0);
}

#[test]
fn t53_a_queue_that_fails_fails_its_own_wires_only() {
    let device = device();
    let lanes = Lanes::new();
    let pollers = [0, 1].map(|_| Poller::new(&device, &lanes, ENTRIES).unwrap());
    let [(first, broken), (second, well)] = pollers.each_ref().map(|poller| share(poller, &device));
    pollers[0].fail_all(verbs::Error { call: "ibv_poll_cq", errno: libc::EIO });
    assert_eq!((broken.fault(), well.fault()), (Some(Fault::Poll(libc::EIO)), None));
    assert_eq!((lanes.next_asking(), lanes.next_asking()), (Some(first.owner()), None));
    drop(second);
}

#[test]
fn t08_nothing_of_a_disowned_share_is_accounted_for() {
    let device = device();
    let lanes = Lanes::new();
    let poller = Poller::new(&device, &lanes, ENTRIES).unwrap();
    let (share, _wire) = share(&poller, &device);
    let old = share.owner();
    share.disown();
    let entries = lanes.entries.take();
    assert!(entries.iter().all(|lane| lane.occupant.is_none() && lane.owner != old));
    lanes.entries.set(entries);
}

//! The connection manager behind librdmacm: identifiers, what they say to each other, and the events that come of it.
//!
//! Which event comes when, and with which numbers in it, is what the Linux kernel's rdma_cm gives for an InfiniBand-style device
//! (RoCE): see the README's table. An event is queued on the channel that its identifier is on at that moment.

#![allow(unsafe_code)]

pub mod attributes;
mod calls;
pub mod dialing;
mod incoming;
pub mod message;

use std::collections::VecDeque;
use std::net::SocketAddr;

use rdma_sys::{rdma_cm_id, rdma_event_channel};

use crate::fabric::link::Link;
use crate::fabric::objects::Bell;
use crate::fabric::slab::{Key, Slab};
use message::Message;

/// How long the peer's CM may stay silent: what the kernel's retries add up to.
const PEER_TIMEOUT: u64 = 70_000_000_000;
/// How long a connection rests after its end.
const TIMEWAIT: u64 = 500_000_000;

/// Where an identifier is in its life.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[allow(missing_docs)]
pub enum State {
    Idle,
    Bound,
    AddrResolved,
    RouteResolved,
    Listening,
    /// Active: the request is out.
    ReqSent,
    /// Active: the reply is here; RTU is not sent yet.
    RepReceived,
    /// Passive: a request is here.
    ReqReceived,
    /// Passive: the reply is out.
    RepSent,
    Established,
    /// The program disconnected first.
    DreqSent,
    /// The peer disconnected, or is dead.
    DreqReceived,
    TimeWait,
    /// Rejected, unreachable, or over.
    Closed,
}

/// The connection parameters of an event.
#[derive(Clone, Debug, Default)]
pub struct Param {
    /// Private data, padded as the real one pads it.
    pub private: Vec<u8>,
    /// As the program is to see it: the peer's initiator depth.
    pub responder_resources: u8,
    /// As the program is to see it: the peer's responder resources.
    pub initiator_depth: u8,
    /// As the peer gave it.
    pub flow_control: u8,
    /// As the peer gave it.
    pub retry_count: u8,
    /// As the peer gave it.
    pub rnr_retry_count: u8,
    /// As the peer gave it.
    pub srq: u8,
    /// The peer's QP.
    pub qp_num: u32,
}

/// An event that waits to be fetched.
#[derive(Clone, Debug)]
pub struct Event {
    /// What it is about; for a connection request, the new identifier.
    pub id: Key<CmId>,
    /// For a connection request: who listened.
    pub listener: Option<Key<CmId>>,
    /// `enum rdma_cm_event_type`.
    pub kind: u32,
    /// 0, a negative errno, or a reject reason.
    pub status: i32,
    /// See [`Param`].
    pub param: Param,
}

/// An event channel.
pub struct EventChannel {
    /// The C struct.
    pub cell: *mut rdma_event_channel,
    /// Its file descriptor, which counts `events`.
    pub bell: Bell,
    /// Events to be fetched.
    pub events: VecDeque<Event>,
    /// Identifiers on it.
    pub children: u32,
    /// Made for a synchronous identifier.
    pub internal: bool,
    /// Creation order.
    pub serial: u64,
}

/// A connection identifier.
pub struct CmId {
    /// The C struct; null until the program fetched the request that made it.
    pub cell: *mut rdma_cm_id,
    /// Where its events go.
    pub channel: Key<EventChannel>,
    /// `enum rdma_port_space`.
    pub space: u32,
    /// See [`State`].
    pub state: State,
    /// Its own address.
    pub source: Option<SocketAddr>,
    /// The port of `source` was taken for it; that of a request's identifier is its listener's.
    pub owns_port: bool,
    /// The peer's address.
    pub target: Option<SocketAddr>,
    /// The interface of a link-local target.
    pub scope: u32,
    /// The way to the peer.
    pub link: Option<Key<Link>>,
    /// Who listened, until the program fetched the request.
    pub listener: Option<Key<CmId>>,
    /// Listening: how many requests may wait to be fetched, and how many do.
    pub backlog: (u32, u32),
    /// Our QP's number, as told to the peer.
    pub own_qpn: u32,
    /// The peer's QP's number.
    pub peer_qpn: u32,
    /// RDMA READs that we answer at once.
    pub responder_resources: u8,
    /// RDMA READs that we ask at once.
    pub initiator_depth: u8,
    /// Transport retries.
    pub retry_count: u8,
    /// RNR retries: what the peer asked for.
    pub rnr_retry_count: u8,
    /// The message that asks, kept until the way is open.
    pub request: Option<Message>,
    /// Which TCP port is tried.
    pub attempt: u32,
    /// How often nobody was found and the round of ports was tried once more.
    pub asked_again: u32,
    /// Events fetched and not acknowledged.
    pub unacked: u32,
    /// Synchronous: calls wait for their event themselves.
    pub sync: bool,
    /// Bringing up the QP failed: the peer's answers to that are not shown.
    pub connect_error: bool,
    /// Options: type of service, ACK timeout, address reuse, this family only.
    pub options: Options,
    /// The timer that runs for what it waits for.
    pub timer: Option<u64>,
    /// Creation order.
    pub serial: u64,
}

/// What `rdma_set_option` set.
#[derive(Clone, Copy, Debug, Default)]
pub struct Options {
    /// RDMA_OPTION_ID_TOS.
    pub tos: u8,
    /// RDMA_OPTION_ID_ACK_TIMEOUT.
    pub ack_timeout: Option<u8>,
    /// RDMA_OPTION_ID_REUSEADDR.
    pub reuse: bool,
    /// RDMA_OPTION_ID_AFONLY.
    pub only_family: bool,
}

impl CmId {
    /// An idle identifier.
    pub fn new(cell: *mut rdma_cm_id, channel: Key<EventChannel>, space: u32, serial: u64) -> Self {
        Self {
            cell,
            channel,
            space,
            state: State::Idle,
            source: None,
            owns_port: false,
            target: None,
            scope: 0,
            link: None,
            listener: None,
            backlog: (0, 0),
            own_qpn: 0,
            peer_qpn: 0,
            responder_resources: 0,
            initiator_depth: 0,
            retry_count: 7,
            rnr_retry_count: 7,
            request: None,
            attempt: 0,
            asked_again: 0,
            unacked: 0,
            sync: false,
            connect_error: false,
            options: Options::default(),
            timer: None,
            serial,
        }
    }
}

impl CmId {
    /// Whether librdmacm knows its QP.
    pub fn has_qp(&self) -> bool {
        // SAFETY: null, or the cell of an identifier that is alive.
        unsafe { self.cell.as_ref() }.is_some_and(|c| !c.qp.is_null())
    }

    /// Whether it is bound to the device.
    pub fn has_device(&self) -> bool {
        // SAFETY: as above.
        unsafe { self.cell.as_ref() }.is_some_and(|c| !c.verbs.is_null())
    }

    /// Whether it has a connection, or one that comes up or goes down.
    pub fn is_connecting_or_more(&self) -> bool {
        !matches!(
            self.state,
            State::Idle | State::Bound | State::AddrResolved | State::RouteResolved | State::Listening
        )
    }
}

/// All of connection management.
pub struct Cm {
    /// Identifiers.
    pub ids: Slab<CmId>,
    /// Event channels.
    pub channels: Slab<EventChannel>,
    /// Identifiers that listen.
    pub listeners: Vec<Key<CmId>>,
    /// How long the peer's CM may stay silent, in nanoseconds.
    pub peer_timeout: u64,
    /// How long a connection rests after its end, in nanoseconds.
    pub timewait: u64,
}

impl Cm {
    /// Nothing yet.
    pub fn new() -> Self {
        Self {
            ids: Slab::new(),
            channels: Slab::new(),
            listeners: Vec::new(),
            peer_timeout: PEER_TIMEOUT,
            timewait: TIMEWAIT,
        }
    }

    /// Whether an identifier may have an address beside those that the others of this process have, as the kernel decides it. The
    /// error is an errno. `reuse`: whether it shares with others that do.
    pub fn check_port(&self, id: Key<CmId>, wanted: SocketAddr, reuse: bool) -> Result<(), i32> {
        let Some(own) = self.ids.get(id) else { return Err(libc::EINVAL) };
        for (key, other) in self.ids.iter() {
            let Some(taken) = other.source.filter(|s| other.owns_port && s.port() == wanted.port()) else {
                continue;
            };
            let families_apart =
                own.options.only_family && other.options.only_family && taken.is_ipv4() != wanted.is_ipv4();
            if key == id || other.space != own.space || (reuse && other.options.reuse) || families_apart {
                continue;
            }
            if taken.ip().is_unspecified() || wanted.ip().is_unspecified() {
                return Err(libc::EADDRNOTAVAIL);
            }
            if taken.ip() == wanted.ip() {
                return Err(libc::EADDRINUSE);
            }
        }
        Ok(())
    }

    /// Who listens for this address.
    pub fn find_listener(&self, to: SocketAddr, space: u32) -> Option<Key<CmId>> {
        let fits = |id: &CmId| {
            let Some(own) = id.source else { return false };
            let any = own.ip().is_unspecified()
                && (own.is_ipv4() == to.is_ipv4() || (own.is_ipv6() && !id.options.only_family));
            id.state == State::Listening
                && id.space == space
                && own.port() == to.port()
                && (own.ip() == to.ip() || any)
        };
        self.listeners.iter().copied().find(|k| self.ids.get(*k).is_some_and(fits))
    }
}

// SAFETY: the C struct's pointer is only used behind the fabric's lock.
unsafe impl Send for CmId {}
// SAFETY: as above.
unsafe impl Send for EventChannel {}

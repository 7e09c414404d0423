//! The communication manager: event channels, ids and events.
//!
//! An event is copied and acknowledged in one step, so no event is ever outstanding when an id is destroyed, and
//! `rdma_destroy_id` cannot wait for one. Should the acknowledgement itself be refused, the ids that the event counts for
//! are never destroyed: that call would wait for ever.

use crate::{Device, DeviceList, Error, kept};
use rdma_sys as sys;
use std::{
    mem::MaybeUninit,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV6},
    os::fd::RawFd,
    ptr::NonNull,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

/// The private data of a CM message is at most this long (`private_data_len` is eight bits).
pub const MAXIMUM_PRIVATE_DATA: usize = 255;

/// A channel on which CM events arrive. Its file descriptor never blocks.
#[derive(Debug)]
pub struct EventChannel {
    channel: NonNull<sys::rdma_event_channel>,
    /// The [`CmId::key`]s of ids that have an event which could not be acknowledged; as a rule none.
    unacknowledged: Mutex<Vec<usize>>,
}

// SAFETY: librdmacm allows reading a channel from any thread.
unsafe impl Send for EventChannel {}
// SAFETY: as above.
unsafe impl Sync for EventChannel {}

impl EventChannel {
    /// Creates a channel. ENODEV or ENOENT if the system has no RDMA, EMFILE if it has no more descriptors.
    pub fn new() -> Result<Arc<Self>, Error> {
        // SAFETY: takes no arguments.
        let channel = NonNull::new(unsafe { sys::rdma_create_event_channel() })
            .ok_or_else(|| Error::last("rdma_create_event_channel"))?;
        let channel = Self { channel, unacknowledged: Mutex::default() };
        // SAFETY: fcntl on a descriptor that the channel owns.
        let result = unsafe {
            let flags = libc::fcntl(channel.descriptor(), libc::F_GETFL);
            if flags < 0 {
                -1
            } else {
                libc::fcntl(channel.descriptor(), libc::F_SETFL, flags | libc::O_NONBLOCK)
            }
        };
        Error::check_errno("fcntl(O_NONBLOCK) on an event channel", result.min(0))?;
        Ok(Arc::new(channel))
    }

    /// The descriptor, for poll or epoll: readable when an event waits.
    pub fn descriptor(&self) -> RawFd {
        // SAFETY: the channel is alive.
        unsafe { self.channel.as_ref().fd }
    }

    /// Takes the next event, if one waits, and acknowledges it.
    pub fn next_event(self: &Arc<Self>) -> Result<Option<CmEvent>, Error> {
        let mut event = std::ptr::null_mut();
        // SAFETY: the channel is alive and `event` is a valid place.
        if unsafe { sys::rdma_get_cm_event(self.channel.as_ptr(), &mut event) } != 0 {
            let error = Error::last("rdma_get_cm_event");
            return if matches!(error.errno, libc::EAGAIN | libc::EINTR) { Ok(None) } else { Err(error) };
        }
        let Some(event) = NonNull::new(event) else {
            return Err(Error::new("rdma_get_cm_event", libc::EIO));
        };
        // SAFETY: librdmacm returned the event; it is valid until acknowledged below.
        let copy = unsafe { CmEvent::copy(event.as_ref(), self) };
        // SAFETY: as above. librdmacm counts a connect request for the id that listens, too.
        let ids = unsafe { [event.as_ref().id.addr(), event.as_ref().listen_id.addr()] };
        // SAFETY: the event is acknowledged exactly once and not used afterwards.
        let result = unsafe { sys::rdma_ack_cm_event(event.as_ptr()) };
        if let Err(error) = Error::check_errno("rdma_ack_cm_event", result) {
            kept::keep(format_args!("an event of the CM ({:?})", copy.kind), &error, ());
            self.unacknowledged().extend(ids.into_iter().filter(|id| *id != 0));
        }
        Ok(Some(copy))
    }

    fn unacknowledged(&self) -> std::sync::MutexGuard<'_, Vec<usize>> {
        self.unacknowledged.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for EventChannel {
    fn drop(&mut self) {
        // SAFETY: created in `new`, destroyed once; ids hold a share of `self`, so none reports here.
        unsafe { sys::rdma_destroy_event_channel(self.channel.as_ptr()) }
    }
}

/// A connection identifier, the CM's counterpart of a socket.
#[derive(Debug)]
pub struct CmId {
    id: NonNull<sys::rdma_cm_id>,
    channel: Arc<EventChannel>,
}

// SAFETY: librdmacm allows every operation on an id from any thread.
unsafe impl Send for CmId {}
// SAFETY: as above.
unsafe impl Sync for CmId {}

/// What a connecting or accepting side says of its connection.
#[derive(Debug, Clone, Copy)]
pub struct ConnectParameters<'a> {
    /// Data for the peer; at most 56 bytes with a connect request over RC, 196 with an accept.
    pub private_data: &'a [u8],
    /// RDMA READs of the peer that this side can have outstanding.
    pub responder_resources: u8,
    /// RDMA READs that this side will have outstanding at the peer.
    pub initiator_depth: u8,
    /// Retransmissions after a timeout, 0 to 7.
    pub retry_count: u8,
    /// Retransmissions after "receiver not ready", 0 to 7; 7 means without end.
    pub rnr_retry_count: u8,
}

// The level and names of rdma_set_option(3), which rdma-sys leaves out (unnamed enums of rdma/rdma_cma.h).
const LEVEL_ID: libc::c_int = 0;
const OPTION_TOS: libc::c_int = 0;
const OPTION_REUSEADDR: libc::c_int = 1;
const OPTION_ACK_TIMEOUT: libc::c_int = 3;

/// An option of an id that is set before it connects.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum IdOption {
    /// The local address may be in use by another id.
    ReuseAddress,
    /// The type of service of its packets.
    TypeOfService(u8),
    /// The local acknowledge timeout, 4.096 µs × 2^value (InfiniBand Architecture 1, 9.7.6.1.3).
    AcknowledgeTimeout(u8),
}

impl CmId {
    /// Creates an id whose events arrive on `channel`, for reliable connections.
    pub fn new(channel: &Arc<EventChannel>) -> Result<Arc<Self>, Error> {
        let mut id = std::ptr::null_mut();
        let space = sys::rdma_port_space::RDMA_PS_TCP;
        // SAFETY: the channel is alive and `id` is a valid place.
        Error::check_errno("rdma_create_id", unsafe {
            sys::rdma_create_id(channel.channel.as_ptr(), &mut id, std::ptr::null_mut(), space)
        })?;
        let id = NonNull::new(id).ok_or(Error::new("rdma_create_id", libc::EIO))?;
        Ok(Arc::new(Self { id, channel: channel.clone() }))
    }

    /// A number that tells the id apart from all others that live; events carry it.
    pub fn key(&self) -> usize {
        self.id.as_ptr().addr()
    }

    /// Sets an option.
    pub fn set_option(&self, option: IdOption) -> Result<(), Error> {
        let set = |name, place: *mut libc::c_void, length| {
            // SAFETY: the id is alive; `place` is a value of the option's type and length (`rdma_set_option(3)`).
            let result = unsafe { sys::rdma_set_option(self.as_ptr(), LEVEL_ID, name, place, length) };
            Error::check_errno("rdma_set_option", result)
        };
        let byte = |name, mut value: u8| set(name, std::ptr::from_mut(&mut value).cast(), 1);
        match option {
            IdOption::ReuseAddress => {
                let mut yes: libc::c_int = 1;
                set(OPTION_REUSEADDR, std::ptr::from_mut(&mut yes).cast(), size_of::<libc::c_int>())
            }
            IdOption::TypeOfService(value) => byte(OPTION_TOS, value),
            IdOption::AcknowledgeTimeout(value) => byte(OPTION_ACK_TIMEOUT, value),
        }
    }

    /// Begins to resolve `destination` (ADDR_RESOLVED or ADDR_ERROR follows), from `source` if given.
    pub fn resolve_address(
        &self,
        source: Option<&SocketAddr>,
        destination: &SocketAddr,
        timeout: Duration,
    ) -> Result<(), Error> {
        let mut from = source.map(to_raw);
        let mut to = to_raw(destination);
        let from = from.as_mut().map_or(std::ptr::null_mut(), |raw| std::ptr::from_mut(raw).cast());
        // SAFETY: the id is alive; both addresses are whole sockaddr_storage values of their family.
        Error::check_errno("rdma_resolve_addr", unsafe {
            sys::rdma_resolve_addr(
                self.as_ptr(),
                from,
                std::ptr::from_mut(&mut to).cast(),
                milliseconds(timeout),
            )
        })
    }

    /// Begins to resolve the route (ROUTE_RESOLVED or ROUTE_ERROR follows).
    pub fn resolve_route(&self, timeout: Duration) -> Result<(), Error> {
        // SAFETY: the id is alive.
        Error::check_errno("rdma_resolve_route", unsafe {
            sys::rdma_resolve_route(self.as_ptr(), milliseconds(timeout))
        })
    }

    /// Binds the id to a local address.
    pub fn bind(&self, address: &SocketAddr) -> Result<(), Error> {
        let mut raw = to_raw(address);
        // SAFETY: as in resolve_address.
        Error::check_errno("rdma_bind_addr", unsafe {
            sys::rdma_bind_addr(self.as_ptr(), std::ptr::from_mut(&mut raw).cast())
        })
    }

    /// Listens for connect requests (CONNECT_REQUEST events).
    pub fn listen(&self, backlog: u32) -> Result<(), Error> {
        // SAFETY: the id is alive.
        Error::check_errno("rdma_listen", unsafe {
            sys::rdma_listen(self.as_ptr(), i32::try_from(backlog).unwrap_or(i32::MAX))
        })
    }

    /// Sends a connect request (ESTABLISHED, REJECTED, UNREACHABLE or CONNECT_ERROR follows).
    pub fn connect(&self, parameters: &ConnectParameters<'_>) -> Result<(), Error> {
        let mut raw = parameters.raw()?;
        // SAFETY: the id is alive; `raw` points at private data that lives during the call.
        Error::check_errno("rdma_connect", unsafe { sys::rdma_connect(self.as_ptr(), &mut raw) })
    }

    /// Accepts the connect request that this id came with (ESTABLISHED follows).
    pub fn accept(&self, parameters: &ConnectParameters<'_>) -> Result<(), Error> {
        let mut raw = parameters.raw()?;
        // SAFETY: as in connect.
        Error::check_errno("rdma_accept", unsafe { sys::rdma_accept(self.as_ptr(), &mut raw) })
    }

    /// Rejects the connect request that this id came with.
    pub fn reject(&self, private_data: &[u8]) -> Result<(), Error> {
        let length = private_data_length("rdma_reject", private_data)?;
        // SAFETY: the id is alive and the data lives during the call.
        Error::check_errno("rdma_reject", unsafe {
            sys::rdma_reject(self.as_ptr(), private_data.as_ptr().cast(), length)
        })
    }

    /// Disconnects (DISCONNECTED follows on both sides) and moves the queue pair to the error state.
    pub fn disconnect(&self) -> Result<(), Error> {
        // SAFETY: the id is alive.
        Error::check_errno("rdma_disconnect", unsafe { sys::rdma_disconnect(self.as_ptr()) })
    }

    /// The device that the id is bound to, if its address was resolved and the device is one of `list`.
    pub fn device(&self, list: &Arc<DeviceList>) -> Option<Device> {
        // SAFETY: the id is alive; `verbs` is written while an event is read, which its owner does.
        let context = unsafe { (*self.as_ptr()).verbs };
        list.holds(context).then(|| Device::new(context, list)).flatten()
    }

    /// The port that the id is bound to, in host order; 0 if it is not bound.
    pub fn local_port(&self) -> u16 {
        // SAFETY: the id is alive.
        u16::from_be(unsafe { sys::rdma_get_src_port(self.as_ptr()) })
    }

    /// The address that the id is bound to, if it is one of IPv4 or IPv6.
    pub fn local_address(&self) -> Option<SocketAddr> {
        // SAFETY: the id is alive; every member of the union is plain data of one size.
        from_raw(unsafe { &(*self.as_ptr()).route.addr.src_addr_union.src_storage })
    }

    /// The peer's address, if it is one of IPv4 or IPv6.
    pub fn peer_address(&self) -> Option<SocketAddr> {
        // SAFETY: as in local_address.
        from_raw(unsafe { &(*self.as_ptr()).route.addr.dst_addr_union.dst_storage })
    }

    pub(crate) fn as_ptr(&self) -> *mut sys::rdma_cm_id {
        self.id.as_ptr()
    }
}

impl Drop for CmId {
    fn drop(&mut self) {
        if self.channel.unacknowledged().contains(&self.key()) {
            let error = Error::new("rdma_destroy_id, which would wait for that event,", libc::EBUSY);
            return kept::keep("an id with an unacknowledged event", &error, self.channel.clone());
        }
        // SAFETY: created or received once, destroyed once. The queue pair holds a share of `self`, so it is gone;
        // all events were acknowledged when they were read.
        let result = unsafe { sys::rdma_destroy_id(self.as_ptr()) };
        if let Err(error) = Error::check_errno("rdma_destroy_id", result) {
            kept::keep("an id of the CM", &error, self.channel.clone());
        }
    }
}

impl ConnectParameters<'_> {
    fn raw(&self) -> Result<sys::rdma_conn_param, Error> {
        // SAFETY: rdma_conn_param holds integers and a pointer, for which zero is a value.
        let mut raw: sys::rdma_conn_param = unsafe { std::mem::zeroed() };
        raw.private_data = self.private_data.as_ptr().cast();
        raw.private_data_len = private_data_length("rdma_connect", self.private_data)?;
        raw.responder_resources = self.responder_resources;
        raw.initiator_depth = self.initiator_depth;
        raw.retry_count = self.retry_count;
        raw.rnr_retry_count = self.rnr_retry_count;
        Ok(raw)
    }
}

/// What happened to a connection (`rdma_get_cm_event(3)`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CmEventKind {
    /// The destination address was resolved.
    AddressResolved,
    /// It was not.
    AddressError,
    /// The route was resolved.
    RouteResolved,
    /// It was not.
    RouteError,
    /// A peer wants to connect to a listening id.
    ConnectRequest,
    /// The peer answered; librdmacm reports this only for ids without a queue pair of its own.
    ConnectResponse,
    /// Connecting failed.
    ConnectError,
    /// The peer did not answer.
    Unreachable,
    /// The peer said no.
    Rejected,
    /// The connection is up.
    Established,
    /// The connection has ended.
    Disconnected,
    /// The device is being removed; its ids must be destroyed.
    DeviceRemoval,
    /// The network address of the id moved to another device.
    AddressChange,
    /// The id left the time-wait state.
    TimewaitExit,
    /// An event that reliable connections do not have.
    Other(u32),
}

impl CmEventKind {
    fn new(raw: u32) -> Self {
        use sys::rdma_cm_event_type as event;
        match raw {
            event::RDMA_CM_EVENT_ADDR_RESOLVED => Self::AddressResolved,
            event::RDMA_CM_EVENT_ADDR_ERROR => Self::AddressError,
            event::RDMA_CM_EVENT_ROUTE_RESOLVED => Self::RouteResolved,
            event::RDMA_CM_EVENT_ROUTE_ERROR => Self::RouteError,
            event::RDMA_CM_EVENT_CONNECT_REQUEST => Self::ConnectRequest,
            event::RDMA_CM_EVENT_CONNECT_RESPONSE => Self::ConnectResponse,
            event::RDMA_CM_EVENT_CONNECT_ERROR => Self::ConnectError,
            event::RDMA_CM_EVENT_UNREACHABLE => Self::Unreachable,
            event::RDMA_CM_EVENT_REJECTED => Self::Rejected,
            event::RDMA_CM_EVENT_ESTABLISHED => Self::Established,
            event::RDMA_CM_EVENT_DISCONNECTED => Self::Disconnected,
            event::RDMA_CM_EVENT_DEVICE_REMOVAL => Self::DeviceRemoval,
            event::RDMA_CM_EVENT_ADDR_CHANGE => Self::AddressChange,
            event::RDMA_CM_EVENT_TIMEWAIT_EXIT => Self::TimewaitExit,
            other => Self::Other(other),
        }
    }
}

/// The private data of an event, copied. The CM pads it with zeros, so its length says nothing of the sender's.
#[derive(Clone, Copy)]
pub struct PrivateData {
    bytes: [u8; MAXIMUM_PRIVATE_DATA],
    length: u8,
}

impl PrivateData {
    /// As if a peer had sent `bytes`, of which [`MAXIMUM_PRIVATE_DATA`] are taken at most.
    pub fn new(bytes: &[u8]) -> Self {
        let mut data = Self { bytes: [0; MAXIMUM_PRIVATE_DATA], length: 0 };
        for (place, byte) in data.bytes.iter_mut().zip(bytes) {
            *place = *byte;
            data.length = data.length.saturating_add(1);
        }
        data
    }

    /// The bytes.
    pub fn as_slice(&self) -> &[u8] {
        self.bytes.get(..usize::from(self.length)).unwrap_or(&[])
    }
}

impl std::fmt::Debug for PrivateData {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.as_slice().fmt(formatter)
    }
}

/// A copy of a CM event; the event itself is acknowledged.
#[derive(Debug)]
pub struct CmEvent {
    /// What happened.
    pub kind: CmEventKind,
    /// 0, a negative errno, or for REJECTED the reason that the peer or its CM gave.
    pub status: i32,
    /// The [`CmId::key`] of the id that it happened to. It may be of an id that was destroyed meanwhile.
    pub id_key: usize,
    /// For a connect request: the new id, on the channel of the listening one.
    pub request: Option<Arc<CmId>>,
    /// What the peer sent along.
    pub private_data: PrivateData,
    /// RDMA READs that the receiver of the event may have outstanding as their target.
    pub responder_resources: u8,
    /// RDMA READs that the receiver of the event may have outstanding as their initiator.
    pub initiator_depth: u8,
    /// The peer's queue pair number.
    pub queue_pair_number: u32,
}

impl CmEvent {
    /// # Safety
    ///
    /// `event` is one that librdmacm returned and that was not acknowledged; read once, since a connect request's
    /// id becomes owned by the copy.
    unsafe fn copy(event: &sys::rdma_cm_event, channel: &Arc<EventChannel>) -> Self {
        let kind = CmEventKind::new(event.event);
        // SAFETY: both members of the union start with the private data and are plain data; ids of this crate are
        // for reliable connections alone, whose events hold `conn`.
        let connection = unsafe { &event.param.conn };
        let mut private_data = PrivateData { bytes: [0; MAXIMUM_PRIVATE_DATA], length: 0 };
        let length = usize::from(connection.private_data_len);
        if !connection.private_data.is_null()
            && let Some(place) = private_data.bytes.get_mut(..length)
        {
            // SAFETY: librdmacm promises `private_data_len` bytes at `private_data` until acknowledgement.
            let sent = unsafe { std::slice::from_raw_parts(connection.private_data.cast::<u8>(), length) };
            place.copy_from_slice(sent);
            private_data.length = connection.private_data_len;
        }
        let request = (kind == CmEventKind::ConnectRequest)
            .then(|| NonNull::new(event.id))
            .flatten()
            .map(|id| Arc::new(CmId { id, channel: channel.clone() }));
        Self {
            kind,
            status: event.status,
            id_key: event.id.addr(),
            request,
            private_data,
            responder_resources: connection.responder_resources,
            initiator_depth: connection.initiator_depth,
            queue_pair_number: connection.qp_num,
        }
    }
}

fn milliseconds(timeout: Duration) -> i32 {
    i32::try_from(timeout.as_millis()).unwrap_or(i32::MAX)
}

fn private_data_length(call: &'static str, data: &[u8]) -> Result<u8, Error> {
    u8::try_from(data.len()).map_err(|_| Error::new(call, libc::EINVAL))
}

fn to_raw(address: &SocketAddr) -> libc::sockaddr_storage {
    let mut storage = MaybeUninit::<libc::sockaddr_storage>::zeroed();
    match address {
        SocketAddr::V4(v4) => {
            let raw = libc::sockaddr_in {
                sin_family: libc::AF_INET as libc::sa_family_t,
                sin_port: v4.port().to_be(),
                sin_addr: libc::in_addr { s_addr: u32::from_ne_bytes(v4.ip().octets()) },
                sin_zero: [0; 8],
            };
            // SAFETY: sockaddr_storage is at least as large and as aligned as every sockaddr.
            unsafe { storage.as_mut_ptr().cast::<libc::sockaddr_in>().write(raw) };
        }
        SocketAddr::V6(v6) => {
            let raw = libc::sockaddr_in6 {
                sin6_family: libc::AF_INET6 as libc::sa_family_t,
                sin6_port: v6.port().to_be(),
                sin6_flowinfo: v6.flowinfo(),
                sin6_addr: libc::in6_addr { s6_addr: v6.ip().octets() },
                sin6_scope_id: v6.scope_id(),
            };
            // SAFETY: as above.
            unsafe { storage.as_mut_ptr().cast::<libc::sockaddr_in6>().write(raw) };
        }
    }
    // SAFETY: zeroed at the start, and zero is a value for every field.
    unsafe { storage.assume_init() }
}

fn from_raw(storage: &libc::sockaddr_storage) -> Option<SocketAddr> {
    let place = std::ptr::from_ref(storage);
    match i32::from(storage.ss_family) {
        libc::AF_INET => {
            // SAFETY: the family says that the storage holds a sockaddr_in.
            let raw = unsafe { &*place.cast::<libc::sockaddr_in>() };
            let ip = Ipv4Addr::from(raw.sin_addr.s_addr.to_ne_bytes());
            Some(SocketAddr::new(IpAddr::V4(ip), u16::from_be(raw.sin_port)))
        }
        libc::AF_INET6 => {
            // SAFETY: the family says that the storage holds a sockaddr_in6.
            let raw = unsafe { &*place.cast::<libc::sockaddr_in6>() };
            let ip = Ipv6Addr::from(raw.sin6_addr.s6_addr);
            let port = u16::from_be(raw.sin6_port);
            Some(SocketAddr::V6(SocketAddrV6::new(ip, port, raw.sin6_flowinfo, raw.sin6_scope_id)))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_survive_the_way_to_c_and_back() {
        for text in ["10.77.0.1:4420", "[fe80::1:2]:65535", "[::1]:1"] {
            let address: SocketAddr = text.parse().unwrap();
            assert_eq!(from_raw(&to_raw(&address)), Some(address));
        }
        let scoped = SocketAddr::V6(SocketAddrV6::new("fe80::1".parse().unwrap(), 4420, 0, 3));
        assert_eq!(from_raw(&to_raw(&scoped)), Some(scoped));
    }

    #[test]
    fn private_data_that_does_not_fit_is_refused() {
        assert_eq!(private_data_length("rdma_reject", &[0; 256]).unwrap_err().errno, libc::EINVAL);
        assert_eq!(private_data_length("rdma_reject", &[0; 255]), Ok(255));
    }
}

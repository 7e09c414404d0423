//! Questions about addresses that the machine's own network stack answers, and names that are unique in a network namespace.

#![allow(unsafe_code)]

use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr as UnixAddr, UnixDatagram};

use crate::fabric::device::QPN_BLOCKS;

/// Whether this machine (this network namespace) has the address. The error is an errno, as `rdma_bind_addr` gives it.
pub fn check_local(ip: IpAddr, scope: u32) -> Result<(), i32> {
    match UdpSocket::bind(with_scope(ip, 0, scope)) {
        Ok(_) => Ok(()),
        Err(e) => Err(e.raw_os_error().unwrap_or(libc::EADDRNOTAVAIL)),
    }
}

/// The address that this machine would use towards `to`: what resolving gives. The error is an errno.
pub fn source_towards(to: IpAddr, scope: u32, from: Option<IpAddr>) -> Result<IpAddr, i32> {
    let any: IpAddr = if to.is_ipv4() { [0u8; 4].into() } else { [0u8; 16].into() };
    let source = match from {
        Some(ip) if !ip.is_unspecified() => ip,
        _ => any,
    };
    let attempt = || {
        let socket = UdpSocket::bind(with_scope(source, 0, scope))?;
        socket.connect(with_scope(to, 1, scope))?;
        socket.local_addr()
    };
    match attempt() {
        Ok(address) => Ok(address.ip()),
        Err(e) => Err(e.raw_os_error().unwrap_or(libc::EHOSTUNREACH)),
    }
}

/// A socket address with an interface, which link-local addresses need.
pub fn with_scope(ip: IpAddr, port: u16, scope: u32) -> SocketAddr {
    match ip {
        IpAddr::V4(v4) => (v4, port).into(),
        IpAddr::V6(v6) => std::net::SocketAddrV6::new(v6, port, 0, scope).into(),
    }
}

/// A name that one process of the network namespace holds until this is dropped or the process ends.
#[derive(Debug)]
pub struct Held {
    _socket: UnixDatagram,
}

/// Takes a name; none if another process, or this one, holds it.
pub fn hold(name: &str) -> Option<Held> {
    let address = UnixAddr::from_abstract_name(name.as_bytes()).ok()?;
    UnixDatagram::bind_addr(&address).ok().map(|socket| Held { _socket: socket })
}

/// How many processes can share a port (RDMA_OPTION_ID_REUSEADDR).
const SHARERS: u32 = 16;

fn port_name(address: SocketAddr, space: u32) -> String {
    format!("softverbs/port/{space:x}/{address}")
}

fn sharer_name(address: SocketAddr, space: u32, sharer: u32) -> String {
    format!("{}/shared/{sharer}", port_name(address, space))
}

/// Whether any process holds a name.
fn is_held(name: &str) -> bool {
    let asked = UnixAddr::from_abstract_name(name.as_bytes())
        .and_then(|address| UnixDatagram::unbound()?.connect_addr(&address));
    asked.is_ok()
}

/// Takes an RDMA port on an address, for this process alone.
///
/// Whoever takes a port takes its own name first and then looks for the names of the others, so of two that must not both have it,
/// never both get it.
pub fn hold_port(address: SocketAddr, space: u32) -> Option<Held> {
    let held = hold(&port_name(address, space))?;
    (!is_port_shared(address, space)).then_some(held)
}

/// Takes an RDMA port on an address together with other processes that do the same.
pub fn share_port(address: SocketAddr, space: u32) -> Option<Held> {
    let held = (0..SHARERS).find_map(|sharer| hold(&sharer_name(address, space, sharer)))?;
    (!is_held(&port_name(address, space))).then_some(held)
}

fn is_port_shared(address: SocketAddr, space: u32) -> bool {
    (0..SHARERS).any(|sharer| is_held(&sharer_name(address, space, sharer)))
}

/// Whether another process shares a port that this one shares.
pub fn is_port_shared_by_others(address: SocketAddr, space: u32) -> bool {
    (0..SHARERS).filter(|sharer| is_held(&sharer_name(address, space, *sharer))).count() > 1
}

/// Takes a block of QP numbers, starting to look at `start`.
pub fn hold_qpn_block(start: u32) -> Option<(u32, Held)> {
    (0..QPN_BLOCKS).map(|i| (start.wrapping_add(i)) % QPN_BLOCKS).find_map(|block| {
        let held = hold(&format!("softverbs/qpn/{block:x}"))?;
        Some((block, held))
    })
}

/// The machine's addresses, for the port's table of GIDs, with the interface of those that are link-local.
pub fn all_local() -> Vec<(IpAddr, u32)> {
    let mut list: *mut libc::ifaddrs = std::ptr::null_mut();
    let mut found: Vec<(IpAddr, u32)> = Vec::new();
    // SAFETY: `list` may be written; what it then points to is freed below and not kept.
    if unsafe { libc::getifaddrs(&mut list) } != 0 {
        return found;
    }
    let mut at = list;
    while !at.is_null() {
        // SAFETY: an element of the list that getifaddrs made.
        let entry = unsafe { &*at };
        // SAFETY: null or a socket address that belongs to the list.
        if let Some(address) = unsafe { from_sockaddr(entry.ifa_addr) }
            && !found.iter().any(|(ip, _)| *ip == address.0.ip())
        {
            found.push((address.0.ip(), address.1));
        }
        at = entry.ifa_next;
    }
    // SAFETY: made by getifaddrs, freed once.
    unsafe { libc::freeifaddrs(list) };
    found
}

/// The address in a C struct, and its interface; none for NULL and for families other than IPv4 and IPv6.
///
/// # Safety
/// `address` is null or points to a socket address of its family's size.
pub unsafe fn from_sockaddr(address: *const libc::sockaddr) -> Option<(SocketAddr, u32)> {
    if address.is_null() {
        return None;
    }
    // SAFETY: every socket address begins with its family; reads are unaligned since C programs cast freely.
    let family = unsafe { std::ptr::read_unaligned(&raw const (*address).sa_family) };
    match i32::from(family) {
        libc::AF_INET => {
            // SAFETY: the caller vouches for the size that goes with the family.
            let v4 = unsafe { std::ptr::read_unaligned(address.cast::<libc::sockaddr_in>()) };
            let ip = IpAddr::from(v4.sin_addr.s_addr.to_ne_bytes());
            Some((SocketAddr::new(ip, u16::from_be(v4.sin_port)), 0))
        }
        libc::AF_INET6 => {
            // SAFETY: as above.
            let v6 = unsafe { std::ptr::read_unaligned(address.cast::<libc::sockaddr_in6>()) };
            let ip = IpAddr::from(v6.sin6_addr.s6_addr);
            Some((SocketAddr::new(ip, u16::from_be(v6.sin6_port)), v6.sin6_scope_id))
        }
        _ => None,
    }
}

/// Writes an address as C wants it.
pub fn to_sockaddr(address: SocketAddr, scope: u32, into: &mut libc::sockaddr_storage) {
    // SAFETY: `sockaddr_storage` is numbers throughout; all zero is a value of it.
    *into = unsafe { std::mem::zeroed() };
    let into: *mut libc::sockaddr_storage = into;
    match address.ip() {
        IpAddr::V4(v4) => {
            let c = libc::sockaddr_in {
                sin_family: libc::AF_INET as libc::sa_family_t,
                sin_port: address.port().to_be(),
                sin_addr: libc::in_addr { s_addr: u32::from_ne_bytes(v4.octets()) },
                sin_zero: [0; 8],
            };
            // SAFETY: `sockaddr_storage` has room and alignment for every socket address.
            unsafe { into.cast::<libc::sockaddr_in>().write(c) };
        }
        IpAddr::V6(v6) => {
            let c = libc::sockaddr_in6 {
                sin6_family: libc::AF_INET6 as libc::sa_family_t,
                sin6_port: address.port().to_be(),
                sin6_flowinfo: 0,
                sin6_addr: libc::in6_addr { s6_addr: v6.octets() },
                sin6_scope_id: scope,
            };
            // SAFETY: as above.
            unsafe { into.cast::<libc::sockaddr_in6>().write(c) };
        }
    }
}

/// The address that a GID stands for.
pub fn ip_of(gid: [u8; 16]) -> IpAddr {
    let v6 = std::net::Ipv6Addr::from(gid);
    v6.to_ipv4_mapped().map_or(IpAddr::V6(v6), IpAddr::V4)
}

/// The GID that stands for an address: IPv6 as it is, IPv4 mapped, as RoCE does.
pub fn gid_of(ip: IpAddr) -> [u8; 16] {
    match ip {
        IpAddr::V4(v4) => v4.to_ipv6_mapped().octets(),
        IpAddr::V6(v6) => v6.octets(),
    }
}

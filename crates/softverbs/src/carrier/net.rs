//! Sockets: what processes say to each other, over TCP on the very addresses that the RDMA programs use.
//!
//! An RDMA port is reached through one of a few TCP ports that follow from its number; whoever answers there says whether it
//! listens on that RDMA port. A QP whose peer no connection manager knows is reached in the same way, through the block of
//! numbers that its process holds, once it is ready to receive. Nothing here blocks. Bytes are taken apart into frames and handed to
//! the fabric; bytes that are no frames end their connection with one line.

use std::collections::BTreeMap;
use std::io::{ErrorKind, Read, Write};
use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream};
use std::os::fd::{AsRawFd, RawFd};

use super::address::{self, with_scope};
use super::control_socket::ControlSocket;
use super::poller::Poller;
use super::sys;
use crate::cm::CmId;
use crate::cm::dialing::PORT_ATTEMPTS;
use crate::fabric::device::QPN_BLOCK;
use crate::fabric::link::{Far, Link};
use crate::fabric::meeting::{End, Meeting};
use crate::fabric::qp::Qp;
use crate::fabric::slab::{Key, Slab};
use crate::fabric::wire::{Garbage, HEADER, Header, MAX_FRAME};
use crate::fabric::{Dial, Door, Fabric};

/// The TCP ports that stand for RDMA ports: below the range that Linux gives to outgoing connections.
const FIRST_PORT: u32 = 20_000;
const PORTS: u32 = 12_000;
/// The TCP ports that stand for blocks of QP numbers.
const FIRST_BLOCK_PORT: u32 = 11_000;
const BLOCK_PORTS: u32 = 9_000;
/// Read at once.
const BUFFER: usize = 1 << 20;
/// Read from one socket before the others get their turn.
const TURN: usize = 8 << 20;

/// The control socket's token: no socket of the slab has generation 0.
const CONTROL: u64 = 0;

/// The TCP port that is tried as number `attempt`.
fn tcp_port(door: Door, attempt: u32) -> u16 {
    let port = match door {
        Door::RdmaPort(port) => FIRST_PORT + (u32::from(port) * 7 + attempt * 3571) % PORTS,
        Door::QpNumbers(block) => FIRST_BLOCK_PORT + (block * 2 + attempt * 2477) % BLOCK_PORTS,
    };
    port as u16
}

/// One descriptor.
enum Socket {
    Listener(TcpListener),
    Stream {
        stream: TcpStream,
        link: Key<Link>,
        /// The start of a frame whose rest has not come.
        rest: Vec<u8>,
        connecting: bool,
        /// The poller watches for room to write.
        watching: bool,
    },
}

/// All sockets of this process.
#[derive(Default)]
pub struct Net {
    poller: Option<Poller>,
    sockets: Slab<Socket>,
    by_link: BTreeMap<Key<Link>, Key<Socket>>,
    by_id: BTreeMap<Key<CmId>, Key<Socket>>,
    /// Listeners for blocks of QP numbers, by block and address.
    by_block: BTreeMap<(u32, IpAddr), Key<Socket>>,
    buffer: Vec<u8>,
    streams: usize,
    /// Takes commands.
    control: Option<ControlSocket>,
    /// Given away for a moment to turn a connection away when there are no descriptors left.
    spare: Option<RawFd>,
    /// That was said.
    starved: bool,
}

impl Net {
    /// Whether there are connections that may have something.
    #[inline]
    pub fn has_streams(&self) -> bool {
        self.streams > 0
    }

    /// Whether there is anything to watch.
    pub fn is_active(&self) -> bool {
        self.sockets.len() > 0 || self.control.is_some()
    }

    /// The descriptor that tells whether anything happened, made at the first need.
    pub fn poll_fd(&mut self) -> Option<RawFd> {
        self.poller().map(|p| p.fd())
    }

    fn poller(&mut self) -> Option<&Poller> {
        if self.poller.is_none() {
            self.poller = Poller::new();
        }
        self.poller.as_ref()
    }

    fn watch(&mut self, fd: RawFd, key: Key<Socket>, write: bool) -> bool {
        self.poller().is_some_and(|p| p.add(fd, token(key), write))
    }

    /// Takes commands from a socket from now on.
    pub fn take_commands(&mut self, socket: ControlSocket) {
        if self.poller().is_some_and(|p| p.add(socket.fd(), CONTROL, false)) {
            self.control = Some(socket);
        }
    }

    /// The next command that came.
    pub fn next_command(&mut self) -> Option<String> {
        self.control.as_ref()?.next()
    }

    /// The process ends.
    pub fn end(&mut self) {
        if let Some(control) = &self.control {
            control.unlink();
        }
    }

    /// Listens for an identifier. The error is an errno.
    pub fn listen(&mut self, id: Key<CmId>, address: SocketAddr, scope: u32) -> Result<(), i32> {
        let key = self.listen_at(address.ip(), Door::RdmaPort(address.port()), scope)?;
        self.by_id.insert(id, key);
        Ok(())
    }

    /// Listens for peers of QPs with numbers of a block. The error is an errno.
    fn listen_for_block(&mut self, block: u32, ip: IpAddr, scope: u32) -> Result<(), i32> {
        if !self.by_block.contains_key(&(block, ip)) {
            let key = self.listen_at(ip, Door::QpNumbers(block), scope)?;
            self.by_block.insert((block, ip), key);
        }
        Ok(())
    }

    fn listen_at(&mut self, ip: IpAddr, door: Door, scope: u32) -> Result<Key<Socket>, i32> {
        for attempt in 0..PORT_ATTEMPTS {
            match TcpListener::bind(with_scope(ip, tcp_port(door, attempt), scope)) {
                Ok(listener) => {
                    listener.set_nonblocking(true).map_err(|_| libc::ENOMEM)?;
                    let fd = listener.as_raw_fd();
                    let key = self.sockets.insert(Socket::Listener(listener));
                    self.spare = self.spare.or_else(sys::bell);
                    return if self.watch(fd, key, false) { Ok(key) } else { Err(libc::ENOMEM) };
                }
                Err(e) if e.kind() == ErrorKind::AddrInUse => {}
                Err(e) => return Err(e.raw_os_error().unwrap_or(libc::EADDRNOTAVAIL)),
            }
        }
        Err(libc::EADDRINUSE)
    }

    /// Stops listening.
    pub fn stop_listening(&mut self, id: Key<CmId>) {
        if let Some(key) = self.by_id.remove(&id) {
            self.sockets.remove(key);
        }
    }

    /// Lets QPs whose peers no connection manager knows meet them.
    fn find_strangers(&mut self, fabric: &mut Fabric) {
        let strangers = std::mem::take(&mut fabric.strangers);
        for key in &strangers {
            self.find_stranger(fabric, *key);
        }
        // Whom the peer has asked already need not ask.
        self.catch_up(fabric);
        for key in strangers {
            fabric.ask_unless_asking(key);
        }
    }

    /// Finds out where the peer of a QP is. Without a route to it, what is sent is lost.
    fn find_stranger(&mut self, fabric: &mut Fabric, key: Key<Qp>) {
        let Some(qp) = fabric.qps.get(key) else { return };
        let (own, peer) = (qp.made.number, qp.attr.dest_qp_num);
        let gid = qp.peer_gid();
        let addresses = address::all_local();
        let is_here = gid.is_none_or(|gid| addresses.iter().any(|(ip, _)| address::gid_of(*ip) == gid));
        if is_here && fabric.qp_numbers.contains_key(&peer) {
            return fabric.meet_within(key);
        }
        let at = usize::from(qp.attr.ah_attr.grh.sgid_index);
        let (Some(gid), Some(&(ip, scope))) = (gid, addresses.get(at)) else { return };
        let to = address::ip_of(gid);
        if let Err(errno) = self.listen_for_block(own / QPN_BLOCK, ip, scope) {
            let why = std::io::Error::from_raw_os_error(errno);
            crate::log::line(&format!("QP {own:#x} cannot be found by its peer: {ip}: {why}"));
        }
        let (own, peer) = (End { qpn: own, gid: address::gid_of(ip) }, End { qpn: peer, gid });
        fabric.meet(key, Meeting::new(own, peer, (ip, to), scope));
    }

    /// Opens a connection; the fabric hears of the outcome, now or later.
    pub fn dial(&mut self, fabric: &mut Fabric, dial: &Dial) {
        let to = with_scope(dial.to, tcp_port(dial.door, dial.attempt), dial.scope);
        let from = dial.from.filter(|ip| !ip.is_unspecified()).map(|ip| with_scope(ip, 0, dial.scope));
        let stream = match sys::connect(from, to) {
            Ok(stream) => stream,
            Err(errno) => {
                fabric.dial_failed(dial.link, errno == libc::ECONNREFUSED);
                return;
            }
        };
        let key = self.add_stream(stream, dial.link, true);
        // On one machine it is open, or refused, by now: the first message leaves before this call of the program ends.
        self.connected(fabric, key);
    }

    fn add_stream(&mut self, stream: TcpStream, link: Key<Link>, connecting: bool) -> Key<Socket> {
        let _ = stream.set_nodelay(true);
        let fd = stream.as_raw_fd();
        let socket = Socket::Stream { stream, link, rest: Vec::new(), connecting, watching: connecting };
        let key = self.sockets.insert(socket);
        self.by_link.insert(link, key);
        self.streams += 1;
        self.watch(fd, key, connecting);
        key
    }

    fn remove(&mut self, key: Key<Socket>) {
        if let Some(Socket::Stream { link, .. }) = self.sockets.remove(key) {
            self.by_link.remove(&link);
            self.streams -= 1;
        }
    }

    /// Does what the fabric wants of the machine. True if that may have given the fabric something to do.
    pub fn serve(&mut self, fabric: &mut Fabric) -> bool {
        let mut busy = false;
        while !fabric.strangers.is_empty() {
            self.find_strangers(fabric);
            busy = true;
        }
        while let Some(dial) = fabric.dials.pop() {
            self.dial(fabric, &dial);
            busy = true;
        }
        while let Some(link) = fabric.dirty_links.pop() {
            if let Some(l) = fabric.links.get_mut(link) {
                l.dirty = false;
            }
            self.flush(fabric, link);
            busy = true;
        }
        while let Some(link) = fabric.closed_links.pop() {
            if let Some(&key) = self.by_link.get(&link) {
                self.remove(key);
            }
        }
        busy
    }

    /// Writes what a link has to say, as far as the socket takes it.
    fn flush(&mut self, fabric: &mut Fabric, link: Key<Link>) {
        let Some(&key) = self.by_link.get(&link) else { return };
        let Some(Socket::Stream { stream, connecting, watching, .. }) = self.sockets.get_mut(key) else {
            return;
        };
        if *connecting {
            return;
        }
        let blocked = loop {
            let Some(l) = fabric.links.get_mut(link) else { return };
            let waiting = l.out.get(l.taken..).unwrap_or_default();
            if waiting.is_empty() {
                l.out.clear();
                l.taken = 0;
                fabric.link_writable(link);
                // Whoever held back may have added more.
                if fabric.links.get(link).is_none_or(|l| l.out.is_empty()) {
                    break false;
                }
                continue;
            }
            super::memcheck::make_defined(waiting);
            match stream.write(waiting) {
                Ok(n) => l.taken += n,
                Err(e) if e.kind() == ErrorKind::WouldBlock => break true,
                Err(e) if e.kind() == ErrorKind::Interrupted => {}
                Err(_) => {
                    // The peer is gone. What it said before is still to be read; the end will be found there.
                    l.out.clear();
                    l.taken = 0;
                    break false;
                }
            }
        };
        if blocked && fabric.links.get(link).is_some_and(Link::is_choked) {
            fabric.close_for_garbage(link, Garbage("the peer asks, and does not take the answers"));
            return;
        }
        if blocked != *watching {
            *watching = blocked;
            let fd = stream.as_raw_fd();
            if let Some(p) = &self.poller {
                p.change(fd, token(key), blocked);
            }
        }
    }

    /// Takes what came. True if anything did.
    pub fn poll(&mut self, fabric: &mut Fabric) -> bool {
        let Some(poller) = &self.poller else { return false };
        let events = poller.wait();
        let mut any = false;
        for event in events {
            any = true;
            let key = key_of(event.token);
            match self.sockets.get_mut(key) {
                Some(Socket::Listener(_)) => self.accept(fabric, key),
                Some(Socket::Stream { connecting: true, .. }) => self.connected(fabric, key),
                Some(Socket::Stream { link, .. }) => {
                    let link = *link;
                    if event.readable {
                        self.read(fabric, key, link);
                    }
                    if event.writable {
                        self.flush(fabric, link);
                    }
                }
                None => {}
            }
        }
        any
    }

    /// Takes what came until now: a connection, and what was said over it at once.
    pub fn catch_up(&mut self, fabric: &mut Fabric) {
        let _ = self.poll(fabric) && self.poll(fabric);
    }

    fn accept(&mut self, fabric: &mut Fabric, key: Key<Socket>) {
        loop {
            let Some(Socket::Listener(listener)) = self.sockets.get(key) else { return };
            match listener.accept() {
                Ok((stream, peer)) => {
                    self.starved = false;
                    if stream.set_nonblocking(true).is_ok() {
                        let link = fabric.accepted();
                        if let Some(l) = fabric.links.get_mut(link) {
                            l.peer = Some(peer);
                        }
                        self.add_stream(stream, link, false);
                    }
                }
                Err(e) if e.kind() == ErrorKind::Interrupted || e.kind() == ErrorKind::ConnectionAborted => {}
                Err(e) if matches!(e.raw_os_error(), Some(libc::EMFILE | libc::ENFILE)) => {
                    if !self.turn_away(key) {
                        return;
                    }
                }
                Err(_) => return,
            }
        }
    }

    /// Ends a connection that there is no descriptor for: left waiting, it would wake us again and again. False if there is none.
    fn turn_away(&mut self, key: Key<Socket>) -> bool {
        let Some(Socket::Listener(listener)) = self.sockets.get(key) else { return false };
        if let Some(fd) = self.spare.take() {
            sys::close(fd);
        }
        let turned = listener.accept();
        let is_away = turned.is_ok();
        if let (Ok((_, peer)), false) = (&turned, self.starved) {
            crate::log::line(&format!("no file descriptor left: the connection from {peer} is turned away"));
            self.starved = true;
        }
        drop(turned);
        self.spare = sys::bell();
        is_away
    }

    fn connected(&mut self, fabric: &mut Fabric, key: Key<Socket>) {
        let Some(Socket::Stream { stream, link, connecting, .. }) = self.sockets.get_mut(key) else { return };
        let link = *link;
        // A connection from a port to itself is a listener's port that nobody listens on.
        let outcome = match stream.take_error() {
            Ok(None) if stream.peer_addr().is_err() => return,
            Ok(None) if is_self(stream) => Some(libc::ECONNREFUSED),
            Ok(None) => None,
            Ok(Some(e)) | Err(e) => Some(e.raw_os_error().unwrap_or(libc::EIO)),
        };
        match outcome {
            None => {
                *connecting = false;
                if let Some(l) = fabric.links.get_mut(link) {
                    l.peer = stream.peer_addr().ok();
                }
                fabric.dial_connected(link);
                self.flush(fabric, link);
            }
            Some(errno) => {
                self.remove(key);
                fabric.dial_failed(link, errno == libc::ECONNREFUSED);
            }
        }
    }

    fn read(&mut self, fabric: &mut Fabric, key: Key<Socket>, link: Key<Link>) {
        let mut buffer = std::mem::take(&mut self.buffer);
        buffer.resize(BUFFER, 0);
        let mut ended = false;
        let mut total = 0;
        while total < TURN {
            let Some(Socket::Stream { stream, rest, .. }) = self.sockets.get_mut(key) else { break };
            let kept = rest.len();
            if let Some(room) = buffer.get_mut(..kept) {
                room.copy_from_slice(rest);
            }
            rest.clear();
            let room = buffer.get_mut(kept..).unwrap_or_default();
            let asked = room.len();
            let (got, last) = match stream.read(room) {
                Ok(0) => {
                    ended = true;
                    (0, true)
                }
                Ok(n) => (n, n < asked),
                Err(e) if e.kind() == ErrorKind::Interrupted => (0, false),
                Err(e) if e.kind() == ErrorKind::WouldBlock => (0, true),
                Err(_) => {
                    ended = true;
                    (0, true)
                }
            };
            total += got;
            let bytes = buffer.get(..kept + got).unwrap_or_default();
            match take_frames(fabric, link, bytes) {
                Ok(used) => {
                    if let Some(Socket::Stream { rest, .. }) = self.sockets.get_mut(key) {
                        rest.extend_from_slice(bytes.get(used..).unwrap_or_default());
                    }
                }
                Err(()) => break,
            }
            fabric.settle();
            if last {
                break;
            }
        }
        self.buffer = buffer;
        if ended {
            self.remove(key);
            fabric.link_ended(link);
        }
    }
}

/// Hands whole frames to the fabric; how many bytes they were. An error if the link was given up.
fn take_frames(fabric: &mut Fabric, link: Key<Link>, bytes: &[u8]) -> Result<usize, ()> {
    let mut at = 0;
    loop {
        let left = bytes.get(at..).unwrap_or_default();
        let header = match Header::decode(left) {
            Ok(Some(header)) => header,
            Ok(None) => return Ok(at),
            Err(garbage) => {
                fabric.close_for_garbage(link, garbage);
                fabric.settle();
                return Err(());
            }
        };
        let length = HEADER + header.payload as usize;
        debug_assert!(length <= MAX_FRAME);
        let Some(frame) = left.get(..length) else { return Ok(at) };
        fabric.receive(link, &header, frame);
        at += length;
        if !fabric.links.get(link).is_some_and(|l| l.far == Far::Socket) {
            return Err(());
        }
    }
}

fn is_self(stream: &TcpStream) -> bool {
    match (stream.local_addr(), stream.peer_addr()) {
        (Ok(a), Ok(b)) => a == b,
        _ => false,
    }
}

fn token(key: Key<Socket>) -> u64 {
    let (index, generation) = key.parts();
    u64::from(index) << 32 | u64::from(generation)
}

fn key_of(token: u64) -> Key<Socket> {
    Key::from_parts((token >> 32) as u32, token as u32)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fabric::device::QPN_BLOCKS;

    #[test]
    fn tcp_ports_stay_in_their_range_and_differ_by_attempt() {
        for port in [1, 18515, 4420, 7471, u16::MAX] {
            let ports: std::collections::HashSet<u16> =
                (0..PORT_ATTEMPTS).map(|a| tcp_port(Door::RdmaPort(port), a)).collect();
            assert_eq!(ports.len(), PORT_ATTEMPTS as usize);
            assert!(ports.iter().all(|p| (20_000..32_000).contains(p)));
        }
        for block in [0, 1, 2222, QPN_BLOCKS - 1] {
            let ports: std::collections::HashSet<u16> =
                (0..PORT_ATTEMPTS).map(|a| tcp_port(Door::QpNumbers(block), a)).collect();
            assert_eq!(ports.len(), PORT_ATTEMPTS as usize);
            assert!(ports.iter().all(|p| (11_000..20_000).contains(p)));
        }
    }
}

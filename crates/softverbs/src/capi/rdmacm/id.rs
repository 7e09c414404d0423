//! Identifiers: making, binding, resolving, listening, options, migrating, destroying.

#![allow(unsafe_code)]

use std::ffi::{c_int, c_void};
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use rdma_sys::{
    ibv_sa_path_rec, rdma_cm_event_type as event_type, rdma_cm_id, rdma_event_channel, rdma_port_space,
};

use super::super::find;
use super::super::verbs::Patience;
use super::{event, shared_context, shared_pd};
use crate::c_structs::{Behind, IdCell};
use crate::carrier::{address, sys};
use crate::cm::attributes::{HOP_LIMIT, MTU_4096};
use crate::cm::{CmId, Param, State};
use crate::fabric::slab::Key;
use crate::faults::calls::enter;
use crate::runtime::{Runtime, with};

const QPT_RC: u32 = 2;

/// Looks an identifier up.
pub fn find_id(rt: &mut Runtime, id: *const rdma_cm_id) -> Result<Key<CmId>, i32> {
    let ids = &rt.fabric.cm.ids;
    find(&rt.cells.ids, &mut rt.fabric.shared, id.cast::<IdCell>(), "cm id", |_, k| ids.get(k).is_some())
}

fn new_cell(
    rt: &mut Runtime,
    key: Key<CmId>,
    channel: *mut rdma_event_channel,
    context: *mut c_void,
    ps: u32,
    sync: bool,
) -> *mut rdma_cm_id {
    // SAFETY: `rdma_cm_id` is numbers, raw pointers and unions of numbers: all zero is a value of it.
    let mut id: rdma_cm_id = unsafe { std::mem::zeroed() };
    id.channel = channel;
    id.context = context;
    id.ps = ps;
    id.qp_type = QPT_RC;
    let behind = Behind {
        device: std::ptr::null_mut(),
        connect: std::ptr::null_mut(),
        connect_len: 0,
        events_completed: 0,
        connect_error: 0,
        sync: c_int::from(sync),
    };
    rt.cells.ids.alloc(key, IdCell { id, behind, listen_attr: None }).cast()
}

/// Makes an identifier. Without a channel it is synchronous: its calls wait.
///
/// # Safety
/// `id` may be written.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rdma_create_id(
    channel: *mut rdma_event_channel,
    id: *mut *mut rdma_cm_id,
    context: *mut c_void,
    ps: rdma_port_space::Type,
) -> c_int {
    enter!(rdma_create_id);
    let made = with(|rt| {
        if id.is_null() {
            return Err(libc::EINVAL);
        }
        if ps != rdma_port_space::RDMA_PS_TCP && ps != rdma_port_space::RDMA_PS_IB {
            return Err(libc::EOPNOTSUPP);
        }
        let sync = channel.is_null();
        let (on, channel) = if sync {
            event::create_channel(rt, true)?
        } else {
            (event::find_channel(rt, channel)?, channel)
        };
        let key = rt.fabric.cm.ids.next_key();
        let cell = new_cell(rt, key, channel, context, ps, sync);
        let serial = rt.fabric.next_serial();
        rt.fabric.cm.ids.insert(CmId { sync, ..CmId::new(cell, on, ps, serial) });
        if let Some(c) = rt.fabric.cm.channels.get_mut(on) {
            c.children += 1;
        }
        Ok(cell)
    });
    match made {
        Ok(cell) => {
            // SAFETY: the caller vouches for `id`.
            unsafe { id.write(cell) };
            0
        }
        Err(errno) => sys::minus_one(Err(errno)),
    }
}

/// The program fetches a request: its identifier gets memory, on the channel and with the context of who listened.
pub fn make_for_request(rt: &mut Runtime, key: Key<CmId>, listener: Key<CmId>) -> Option<()> {
    let l = rt.fabric.cm.ids.get_mut(listener)?;
    l.backlog.1 = l.backlog.1.saturating_sub(1);
    let (from, sync, mut on) = (l.cell, l.sync, l.channel);
    // SAFETY: the cell of an identifier that is alive.
    let (mut channel, context, ps) = unsafe { ((*from).channel, (*from).context, (*from).ps) };
    if sync {
        let made = event::create_channel(rt, true).ok()?;
        (on, channel) = made;
    }
    let cell = new_cell(rt, key, channel, context, ps, sync);
    if let Some(c) = rt.fabric.cm.channels.get_mut(on) {
        c.children += 1;
    }
    give_device(rt, cell);
    give_path(rt, key, cell);
    let i = rt.fabric.cm.ids.get_mut(key)?;
    i.cell = cell;
    i.sync = sync;
    i.channel = on;
    i.listener = None;
    show_addresses(rt, key);
    Some(())
}

/// An identifier is bound to the device from now on: its context, and the protection domain that librdmacm keeps for it.
pub fn give_device(rt: &mut Runtime, id: *mut rdma_cm_id) {
    let Some((_, context)) = shared_context(rt) else { return };
    let pd = shared_pd(rt).map_or(std::ptr::null_mut(), |(_, pd)| pd);
    // SAFETY: the cell of an identifier that is alive.
    unsafe {
        if (*id).verbs.is_null() {
            (*id).verbs = context;
            (*id).pd = pd;
            (*id).port_num = 1;
        }
    }
}

/// Shows the program the way to an identifier's peer: one path, as the kernel describes it for RoCE. To be freed by `free_path`.
pub fn give_path(rt: &Runtime, key: Key<CmId>, id: *mut rdma_cm_id) {
    /// Of a selector: exactly this.
    const EXACTLY: u8 = 2;
    /// 100 Gb/s, in the encoding of `enum ibv_rate`.
    const RATE_100_GBPS: u8 = 16;
    let Some(i) = rt.fabric.cm.ids.get(key) else { return };
    let (Some(source), Some(target)) = (i.source, i.target) else { return };
    // SAFETY: calloc of a whole struct of numbers, of which all zero is a value; the identifier's cell is alive.
    unsafe {
        if !(*id).route.path_rec.is_null() {
            return;
        }
        let path = libc::calloc(1, size_of::<ibv_sa_path_rec>()).cast::<ibv_sa_path_rec>();
        let Some(p) = path.as_mut() else { return };
        p.sgid.raw = address::gid_of(source.ip());
        p.dgid.raw = address::gid_of(target.ip());
        p.hop_limit = HOP_LIMIT;
        p.traffic_class = i.options.tos;
        p.reversible = 1;
        p.numb_path = 1;
        p.pkey = u16::MAX;
        p.mtu_selector = EXACTLY;
        p.mtu = MTU_4096 as u8;
        p.rate_selector = EXACTLY;
        p.rate = RATE_100_GBPS;
        p.packet_life_time_selector = EXACTLY;
        (*id).route.path_rec = path;
        (*id).route.num_paths = 1;
    }
}

/// Takes back what `give_path` gave.
fn free_path(id: *mut rdma_cm_id) {
    // SAFETY: the cell of an identifier that is alive; what it points to was made by calloc, or is NULL.
    unsafe {
        libc::free((*id).route.path_rec.cast());
        (*id).route.path_rec = std::ptr::null_mut();
        (*id).route.num_paths = 0;
    }
}

/// Writes what is known of an identifier's addresses where the program sees it.
pub fn show_addresses(rt: &mut Runtime, key: Key<CmId>) {
    let Some(i) = rt.fabric.cm.ids.get(key) else { return };
    // SAFETY: the cell of an identifier that is alive.
    let addr = unsafe { &mut (*i.cell).route.addr };
    // SAFETY: `src_storage` and `dst_storage` are the whole of their unions, and all members are plain numbers.
    unsafe {
        if let Some(source) = i.source {
            address::to_sockaddr(source, i.scope, &mut addr.src_addr_union.src_storage);
            addr.addr.ibaddr.sgid.raw = address::gid_of(source.ip());
        }
        if let Some(target) = i.target {
            address::to_sockaddr(target, i.scope, &mut addr.dst_addr_union.dst_storage);
            addr.addr.ibaddr.dgid.raw = address::gid_of(target.ip());
        }
        addr.addr.ibaddr.pkey = u16::MAX;
    }
}

/// Takes a port for an identifier: the one wanted, or any that nobody has.
fn take_port(rt: &mut Runtime, key: Key<CmId>, ip: IpAddr, port: u16) -> Result<SocketAddr, i32> {
    let Some(reuse) = rt.fabric.cm.ids.get(key).map(|i| i.options.reuse) else { return Err(libc::EINVAL) };
    if port != 0 {
        let wanted = SocketAddr::new(ip, port);
        rt.fabric.cm.check_port(key, wanted, reuse)?;
        return if hold_port(rt, key, wanted, reuse) { Ok(wanted) } else { Err(libc::EADDRINUSE) };
    }
    for _ in 0..28_000 {
        rt.next_port = if rt.next_port >= 60_999 { 32_768 } else { rt.next_port + 1 };
        let wanted = SocketAddr::new(ip, rt.next_port);
        if rt.fabric.cm.check_port(key, wanted, false).is_ok() && hold_port(rt, key, wanted, false) {
            if reuse {
                // It is the first; from now on others may share it.
                rt.ports.remove(&key);
                hold_port(rt, key, wanted, true);
            }
            return Ok(wanted);
        }
    }
    Err(libc::EADDRNOTAVAIL)
}

/// Holds a port against other processes, which this process may have already; false if another one has it.
///
/// A simulation has no other processes, and does not depend on what this machine runs.
fn hold_port(rt: &mut Runtime, key: Key<CmId>, wanted: SocketAddr, reuse: bool) -> bool {
    let Some(space) = rt.fabric.cm.ids.get(key).map(|i| i.space) else { return false };
    if rt.manual {
        return true;
    }
    let has_it = |i: &CmId| i.owns_port && i.source == Some(wanted) && i.space == space;
    let shared = rt.fabric.cm.ids.iter().filter(|(k, i)| *k != key && has_it(i));
    let held = shared.filter_map(|(k, _)| rt.ports.get(&k)).next().cloned();
    let held = match (held, reuse) {
        (Some(held), true) => Some(held),
        (_, true) => address::share_port(wanted, space).map(Arc::new),
        (_, false) => address::hold_port(wanted, space).map(Arc::new),
    };
    held.map(|h| rt.ports.insert(key, h)).is_some()
}

/// Binds an identifier to an address of this machine. Port 0 takes any.
///
/// # Safety
/// `addr` points to a socket address of its family's size.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rdma_bind_addr(id: *mut rdma_cm_id, addr: *mut libc::sockaddr) -> c_int {
    enter!(rdma_bind_addr);
    // SAFETY: the caller vouches for `addr`.
    let given = unsafe { address::from_sockaddr(addr) };
    sys::minus_one(with(|rt| {
        let key = find_id(rt, id)?;
        let (wanted, scope) = given.ok_or(libc::EINVAL)?;
        let Some(i) = rt.fabric.cm.ids.get(key) else { return Err(libc::EINVAL) };
        if i.state != State::Idle {
            return Err(libc::EINVAL);
        }
        let any = wanted.ip().is_unspecified();
        if !any {
            address::check_local(wanted.ip(), scope)?;
            if !rt.fabric.has_device {
                return Err(libc::ENODEV);
            }
        }
        let bound = take_port(rt, key, wanted.ip(), wanted.port())?;
        if let Some(i) = rt.fabric.cm.ids.get_mut(key) {
            i.state = State::Bound;
            i.source = Some(bound);
            i.owns_port = true;
            i.scope = scope;
        }
        if !any {
            give_device(rt, id);
        }
        show_addresses(rt, key);
        Ok(())
    }))
}

/// Finds the own address and the device towards an address. An event tells the result.
///
/// # Safety
/// `src` is NULL or, as `dst`, points to a socket address of its family's size.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rdma_resolve_addr(
    id: *mut rdma_cm_id,
    src: *mut libc::sockaddr,
    dst: *mut libc::sockaddr,
    _timeout_ms: c_int,
) -> c_int {
    enter!(rdma_resolve_addr);
    // SAFETY: the caller vouches for both.
    let (from, to) = unsafe { (address::from_sockaddr(src), address::from_sockaddr(dst)) };
    let started = with(|rt| {
        let key = find_id(rt, id)?;
        let (target, scope) = to.ok_or(libc::EINVAL)?;
        if !src.is_null() && from.is_none() {
            return Err(libc::EINVAL);
        }
        let Some(i) = rt.fabric.cm.ids.get_mut(key) else { return Err(libc::EINVAL) };
        if !matches!(i.state, State::Idle | State::Bound)
            || (i.state == State::Bound && from.is_some_and(|f| f.0.port() != 0))
        {
            return Err(libc::EINVAL);
        }
        i.target = Some(target);
        i.scope = scope;
        let bound = i.source;
        let wanted = from.map(|f| f.0).or(bound);
        if let Some(ip) = wanted.map(|w| w.ip()).filter(|ip| !ip.is_unspecified()) {
            address::check_local(ip, scope)?;
        }
        let found = if rt.fabric.has_device {
            address::source_towards(target.ip(), scope, wanted.map(|w| w.ip()))
        } else {
            Err(libc::ENODEV)
        };
        let source = match found {
            Ok(source) => source,
            Err(errno) => {
                rt.fabric.cm_event(key, event_type::RDMA_CM_EVENT_ADDR_ERROR, -errno, Param::default());
                return Ok(());
            }
        };
        let source = match bound {
            Some(b) => SocketAddr::new(source, b.port()),
            None => take_port(rt, key, source, from.map_or(0, |f| f.0.port()))?,
        };
        if let Some(i) = rt.fabric.cm.ids.get_mut(key) {
            i.source = Some(source);
            i.owns_port = true;
            i.state = State::AddrResolved;
        }
        rt.fabric.cm_event(key, event_type::RDMA_CM_EVENT_ADDR_RESOLVED, 0, Param::default());
        Ok(())
    });
    sys::minus_one(started.and_then(|()| event::complete(id)))
}

/// Finds the way to the resolved address. An event tells the result.
#[unsafe(no_mangle)]
pub extern "C" fn rdma_resolve_route(id: *mut rdma_cm_id, _timeout_ms: c_int) -> c_int {
    enter!(rdma_resolve_route);
    let started = with(|rt| {
        let key = find_id(rt, id)?;
        let Some(i) = rt.fabric.cm.ids.get_mut(key) else { return Err(libc::EINVAL) };
        if i.state != State::AddrResolved {
            return Err(libc::EINVAL);
        }
        i.state = State::RouteResolved;
        rt.fabric.cm_event(key, event_type::RDMA_CM_EVENT_ROUTE_RESOLVED, 0, Param::default());
        Ok(())
    });
    sys::minus_one(started.and_then(|()| event::complete(id)))
}

/// Whoever listens must have its port alone, whatever it said before (RDMA_OPTION_ID_REUSEADDR), as in the kernel.
fn check_alone(rt: &Runtime, key: Key<CmId>) -> Result<(), i32> {
    let Some((i, own)) = rt.fabric.cm.ids.get(key).and_then(|i| i.source.map(|s| (i, s))) else {
        return Err(libc::EINVAL);
    };
    rt.fabric.cm.check_port(key, own, false)?;
    let others = i.options.reuse && !rt.manual && address::is_port_shared_by_others(own, i.space);
    if others { Err(libc::EADDRINUSE) } else { Ok(()) }
}

/// Listens on the bound address.
#[unsafe(no_mangle)]
pub extern "C" fn rdma_listen(id: *mut rdma_cm_id, backlog: c_int) -> c_int {
    enter!(rdma_listen);
    const MAX_BACKLOG: u32 = 1024;
    sys::minus_one(with(|rt| {
        let key = find_id(rt, id)?;
        let Some(i) = rt.fabric.cm.ids.get(key) else { return Err(libc::EINVAL) };
        match (i.state, i.source) {
            (State::Bound, Some(_)) => {}
            // As in the kernel, listening without an address is listening on any, on any port.
            (State::Idle, _) => {
                let bound = take_port(rt, key, [0u8; 4].into(), 0)?;
                if let Some(i) = rt.fabric.cm.ids.get_mut(key) {
                    i.source = Some(bound);
                    i.owns_port = true;
                }
            }
            _ => return Err(libc::EINVAL),
        }
        check_alone(rt, key)?;
        rt.listen_on_wire(key)?;
        let Some(i) = rt.fabric.cm.ids.get_mut(key) else { return Err(libc::EINVAL) };
        i.backlog.0 =
            u32::try_from(backlog).ok().filter(|b| (1..=MAX_BACKLOG).contains(b)).unwrap_or(MAX_BACKLOG);
        i.state = State::Listening;
        rt.fabric.cm.listeners.push(key);
        show_addresses(rt, key);
        Ok(())
    }))
}

/// Sets an option of an identifier.
///
/// # Safety
/// `value` points to `length` bytes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rdma_set_option(
    id: *mut rdma_cm_id,
    level: c_int,
    name: c_int,
    value: *mut c_void,
    length: usize,
) -> c_int {
    enter!(rdma_set_option);
    const LEVEL_ID: c_int = 0;
    sys::minus_one(with(|rt| {
        let key = find_id(rt, id)?;
        let Some(i) = rt.fabric.cm.ids.get_mut(key) else { return Err(libc::EINVAL) };
        if level != LEVEL_ID {
            return Err(libc::ENOSYS);
        }
        let wanted = if matches!(name, 0 | 3) { 1 } else { size_of::<c_int>() };
        if value.is_null() || length != wanted {
            return Err(libc::EINVAL);
        }
        // SAFETY: the caller vouches for `length` bytes, which are as many as are read here.
        let (byte, number) = unsafe {
            if wanted == 1 {
                (value.cast::<u8>().read(), 0)
            } else {
                (0, value.cast::<c_int>().read_unaligned())
            }
        };
        let mut reuse = None;
        let in_time = match name {
            1 => i.state == State::Idle || (number != 0 && i.state != State::Listening),
            2 => matches!(i.state, State::Idle | State::Bound),
            _ => true,
        };
        match name {
            0 => i.options.tos = byte,
            1 | 2 if !in_time => return Err(libc::EINVAL),
            1 => reuse = Some(number != 0),
            2 => i.options.only_family = number != 0,
            3 if byte < 32 => i.options.ack_timeout = Some(byte),
            3 => return Err(libc::EINVAL),
            _ => return Err(libc::ENOSYS),
        }
        if let Some(reuse) = reuse {
            i.options.reuse = reuse;
            // A port that it has already: other processes hear of it that they may share.
            if let Some(own) = i.source.filter(|_| reuse && i.owns_port) {
                rt.ports.remove(&key);
                if !hold_port(rt, key, own, true) {
                    hold_port(rt, key, own, false);
                }
            }
        }
        Ok(())
    }))
}

/// Moves an identifier, and what it has in the old channel, to another channel. Waits until its fetched events are acknowledged.
#[unsafe(no_mangle)]
pub extern "C" fn rdma_migrate_id(id: *mut rdma_cm_id, channel: *mut rdma_event_channel) -> c_int {
    enter!(rdma_migrate_id);
    let moved = with(|rt| {
        let key = find_id(rt, id)?;
        let Some(i) = rt.fabric.cm.ids.get(key) else { return Err(libc::EINVAL) };
        let (was_sync, old) = (i.sync, i.channel);
        if was_sync && channel.is_null() {
            return Err(libc::EINVAL);
        }
        let sync = channel.is_null();
        let (new, cell) = if sync {
            event::create_channel(rt, true)?
        } else {
            (event::find_channel(rt, channel)?, channel)
        };
        if was_sync {
            ack_kept_event(rt, id);
        }
        let mut carried = Vec::new();
        if let Some(c) = rt.fabric.cm.channels.get_mut(old) {
            let (mine, others) = c
                .events
                .drain(..)
                .partition::<std::collections::VecDeque<_>, _>(|e| e.listener.unwrap_or(e.id) == key);
            c.events = others;
            for event in mine {
                // What the descriptor does not show yet is simply not shown; the rest is taken off it.
                match c.bell.owed.checked_sub(1) {
                    Some(left) => c.bell.owed = left,
                    None => sys::take(c.bell.fd),
                }
                carried.push(event);
            }
            c.children -= 1;
        }
        if let Some(c) = rt.fabric.cm.channels.get_mut(new) {
            c.children += 1;
            c.bell.owed += carried.len() as u64;
            c.events.extend(carried);
            rt.fabric.shared.bells.push(crate::fabric::objects::BellOf::Events(new));
        }
        if let Some(i) = rt.fabric.cm.ids.get_mut(key) {
            i.channel = new;
            i.sync = sync;
        }
        if was_sync {
            event::destroy_channel(rt, old);
        }
        // SAFETY: the cell of an identifier that is alive, which is a whole `IdCell`.
        unsafe {
            (*id).channel = cell;
            (*id.cast::<IdCell>()).behind.sync = c_int::from(sync);
        }
        Ok(())
    });
    sys::minus_one(moved.and_then(|()| wait_for_acks(id, "rdma_migrate_id")))
}

/// Waits until all events that the program fetched for an identifier are acknowledged.
fn wait_for_acks(id: *mut rdma_cm_id, what: &str) -> Result<(), i32> {
    let mut patience = Patience::new();
    loop {
        let unacked = with(|rt| {
            let key = find_id(rt, id)?;
            let unacked = rt.fabric.cm.ids.get(key).map_or(0, |i| i.unacked);
            if unacked > 0 && patience.is_over(rt.manual) {
                let text = format!("{what}({id:p}) would block for ever: {unacked} events not acknowledged");
                rt.fabric.shared.fatal(&text);
                return Ok::<u32, i32>(0);
            }
            Ok(unacked)
        })?;
        if unacked == 0 {
            return Ok(());
        }
        patience.wait();
    }
}

/// Acknowledges the event that a synchronous identifier keeps in `id->event`.
pub fn ack_kept_event(rt: &mut Runtime, id: *mut rdma_cm_id) {
    // SAFETY: the cell of an identifier that is alive.
    let kept = unsafe { std::mem::replace(&mut (*id).event, std::ptr::null_mut()) };
    if !kept.is_null() {
        let _ = event::ack(rt, kept);
    }
}

/// Destroys an identifier; a connection that it has is disconnected. Waits until its fetched events are acknowledged.
///
/// Its QP should be gone, as rdma_destroy_id(3) says, but neither librdmacm nor the kernel looks, and rping destroys it later.
#[unsafe(no_mangle)]
pub extern "C" fn rdma_destroy_id(id: *mut rdma_cm_id) -> c_int {
    enter!(rdma_destroy_id);
    let begun = with(|rt| {
        let key = find_id(rt, id)?;
        rt.stop_listening_on_wire(key);
        rt.fabric.cm_abandon(key);
        ack_kept_event(rt, id);
        Ok(())
    });
    let waited = begun.and_then(|()| wait_for_acks(id, "rdma_destroy_id"));
    sys::minus_one(waited.and_then(|()| {
        with(|rt| {
            let key = find_id(rt, id)?;
            rt.ports.remove(&key);
            free_path(id);
            if let Some(gone) = rt.fabric.cm.ids.remove(key) {
                if let Some(c) = rt.fabric.cm.channels.get_mut(gone.channel) {
                    c.children -= 1;
                }
                if gone.sync {
                    event::destroy_channel(rt, gone.channel);
                }
            }
            rt.cells.ids.free(id.cast());
            Ok(())
        })
    }))
}

fn port_of(id: *mut rdma_cm_id, which: impl FnOnce(&CmId) -> Option<SocketAddr>) -> u16 {
    with(|rt| {
        let Ok(key) = find_id(rt, id) else { return 0 };
        rt.fabric.cm.ids.get(key).and_then(which).map_or(0, |a| a.port())
    })
}

/// The own port, in network order.
#[unsafe(no_mangle)]
pub extern "C" fn rdma_get_src_port(id: *mut rdma_cm_id) -> u16 {
    port_of(id, |i| i.source).to_be()
}

/// The peer's port, in network order.
#[unsafe(no_mangle)]
pub extern "C" fn rdma_get_dst_port(id: *mut rdma_cm_id) -> u16 {
    port_of(id, |i| i.target).to_be()
}

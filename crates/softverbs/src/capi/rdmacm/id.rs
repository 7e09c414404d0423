//! Identifiers: making, binding, resolving, listening, options, migrating, destroying.

#![allow(unsafe_code)]

use std::ffi::{c_int, c_void};
use std::net::{IpAddr, SocketAddr};

use rdma_sys::{
    ibv_qp_init_attr, rdma_cm_event_type as event_type, rdma_cm_id, rdma_event_channel, rdma_port_space,
};

use super::super::find;
use super::super::verbs::Patience;
use super::{event, shared_context};
use crate::carrier::{address, sys};
use crate::cm::{CmId, Param, State};
use crate::fabric::slab::Key;
use crate::faults::calls::enter;
use crate::runtime::{Runtime, with};

const QPT_RC: u32 = 2;

/// An identifier as the program holds it.
#[repr(C)]
pub struct IdCell {
    /// What the program sees.
    pub id: rdma_cm_id,
    /// Of a listening endpoint: what the QPs of its requests are made with.
    pub listen_attr: Option<ibv_qp_init_attr>,
}

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
) -> *mut rdma_cm_id {
    // SAFETY: `rdma_cm_id` is numbers, raw pointers and unions of numbers: all zero is a value of it.
    let mut id: rdma_cm_id = unsafe { std::mem::zeroed() };
    id.channel = channel;
    id.context = context;
    id.ps = ps;
    id.qp_type = QPT_RC;
    rt.cells.ids.alloc(key, IdCell { id, listen_attr: None }).cast()
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
        let cell = new_cell(rt, key, channel, context, ps);
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
    let cell = new_cell(rt, key, channel, context, ps);
    if let Some(c) = rt.fabric.cm.channels.get_mut(on) {
        c.children += 1;
    }
    let verbs = shared_context(rt).map_or(std::ptr::null_mut(), |(_, c)| c);
    // SAFETY: a cell made just now.
    unsafe {
        (*cell).verbs = verbs;
        (*cell).port_num = 1;
    }
    let i = rt.fabric.cm.ids.get_mut(key)?;
    i.cell = cell;
    i.sync = sync;
    i.channel = on;
    i.listener = None;
    show_addresses(rt, key);
    Some(())
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

/// Takes a port for an identifier: the one wanted, or any.
fn take_port(
    rt: &mut Runtime,
    key: Key<CmId>,
    ip: IpAddr,
    port: u16,
    reuse: bool,
) -> Result<SocketAddr, i32> {
    let Some(space) = rt.fabric.cm.ids.get(key).map(|i| i.space) else { return Err(libc::EINVAL) };
    let manual = rt.manual;
    let take = |rt: &mut Runtime, wanted: SocketAddr| {
        if manual {
            // A simulation has no other processes, and does not depend on what this machine runs.
            return rt.fabric.cm.ids.iter().all(|(k, i)| k == key || i.source != Some(wanted));
        }
        let held = address::hold_port(wanted, space);
        held.map(|h| rt.ports.insert(key, h)).is_some()
    };
    if port != 0 {
        let wanted = SocketAddr::new(ip, port);
        return if take(rt, wanted) || reuse { Ok(wanted) } else { Err(libc::EADDRINUSE) };
    }
    for _ in 0..28_000 {
        rt.next_port = if rt.next_port >= 60_999 { 32_768 } else { rt.next_port + 1 };
        let wanted = SocketAddr::new(ip, rt.next_port);
        if take(rt, wanted) {
            return Ok(wanted);
        }
    }
    Err(libc::EADDRNOTAVAIL)
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
        let reuse = i.options.reuse;
        let any = wanted.ip().is_unspecified();
        if !any {
            address::check_local(wanted.ip(), scope)?;
            if !rt.fabric.has_device {
                return Err(libc::ENODEV);
            }
        }
        let bound = take_port(rt, key, wanted.ip(), wanted.port(), reuse)?;
        let verbs = if any { None } else { shared_context(rt) };
        if let Some(i) = rt.fabric.cm.ids.get_mut(key) {
            i.state = State::Bound;
            i.source = Some(bound);
            i.scope = scope;
        }
        if let Some((_, context)) = verbs {
            // SAFETY: the cell of an identifier that is alive.
            unsafe {
                (*id).verbs = context;
                (*id).port_num = 1;
            }
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
            None => take_port(rt, key, source, from.map_or(0, |f| f.0.port()), false)?,
        };
        if let Some(i) = rt.fabric.cm.ids.get_mut(key) {
            i.source = Some(source);
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
                let bound = take_port(rt, key, [0u8; 4].into(), 0, false)?;
                if let Some(i) = rt.fabric.cm.ids.get_mut(key) {
                    i.source = Some(bound);
                }
            }
            _ => return Err(libc::EINVAL),
        }
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
        let in_time = match name {
            1 => i.state == State::Idle || (number != 0 && i.state != State::Listening),
            2 => matches!(i.state, State::Idle | State::Bound),
            _ => true,
        };
        match name {
            0 => i.options.tos = byte,
            1 | 2 if !in_time => return Err(libc::EINVAL),
            1 => i.options.reuse = number != 0,
            2 => i.options.only_family = number != 0,
            3 if byte < 32 => i.options.ack_timeout = Some(byte),
            3 => return Err(libc::EINVAL),
            _ => return Err(libc::ENOSYS),
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
        // SAFETY: the cell of an identifier that is alive.
        unsafe { (*id).channel = cell };
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

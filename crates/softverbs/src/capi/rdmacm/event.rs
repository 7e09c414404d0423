//! Event channels and events. What the kernel leaves to librdmacm happens when the program fetches the event: bringing up the QP
//! on the reply, putting it into error on a reject, making the identifier of a request.

#![allow(unsafe_code)]

use std::ffi::{c_int, c_void};

use rdma_sys::{
    param_t, rdma_cm_event, rdma_cm_event_type as event_type, rdma_cm_id, rdma_conn_param, rdma_event_channel,
};

use super::super::{find, verbs};
use super::{connect, id};
use crate::c_structs::{EventCell, Fetched};
use crate::carrier::sys;
use crate::cm::{Event, EventChannel};
use crate::fabric::objects::Bell;
use crate::fabric::slab::Key;
use crate::faults::calls::enter;
use crate::runtime::{Runtime, with};

/// Looks an event channel up.
pub fn find_channel(rt: &mut Runtime, channel: *const rdma_event_channel) -> Result<Key<EventChannel>, i32> {
    let channels = &rt.fabric.cm.channels;
    find(&rt.cells.event_channels, &mut rt.fabric.shared, channel, "event channel", |_, k| {
        channels.get(k).is_some()
    })
}

/// Makes an event channel.
pub fn create_channel(
    rt: &mut Runtime,
    internal: bool,
) -> Result<(Key<EventChannel>, *mut rdma_event_channel), i32> {
    let fd = sys::bell().ok_or_else(sys::errno)?;
    let key = rt.fabric.cm.channels.next_key();
    let cell = rt.cells.event_channels.alloc(key, rdma_event_channel { fd });
    let serial = rt.fabric.next_serial();
    let bell = Bell { fd, owed: 0 };
    rt.fabric.cm.channels.insert(EventChannel {
        cell,
        bell,
        events: Default::default(),
        children: 0,
        internal,
        serial,
    });
    Ok((key, cell))
}

/// Takes an event channel away.
pub fn destroy_channel(rt: &mut Runtime, key: Key<EventChannel>) {
    if let Some(c) = rt.fabric.cm.channels.remove(key) {
        sys::close(c.bell.fd);
        rt.cells.event_channels.free(c.cell);
    }
}

/// Makes an event channel.
#[unsafe(no_mangle)]
pub extern "C" fn rdma_create_event_channel() -> *mut rdma_event_channel {
    enter!(rdma_create_event_channel);
    verbs::or_null(with(|rt| create_channel(rt, false).map(|(_, cell)| cell)))
}

/// Destroys an event channel, on which there must be no identifier any more.
#[unsafe(no_mangle)]
pub extern "C" fn rdma_destroy_event_channel(channel: *mut rdma_event_channel) {
    enter!(never rdma_destroy_event_channel);
    with(|rt| {
        let Ok(key) = find_channel(rt, channel) else { return };
        let children = rt.fabric.cm.channels.get(key).map_or(0, |c| c.children);
        if children > 0 {
            let text = format!("event channel {channel:p} is destroyed with {children} ids on it");
            rt.fabric.shared.misuse(&text);
        }
        destroy_channel(rt, key);
    });
}

/// Fetches the next event of a channel; waits for it unless O_NONBLOCK is set on its descriptor.
///
/// # Safety
/// `event` may be written.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rdma_get_cm_event(
    channel: *mut rdma_event_channel,
    event: *mut *mut rdma_cm_event,
) -> c_int {
    enter!(rdma_get_cm_event);
    if event.is_null() {
        return sys::minus_one(Err(libc::EINVAL));
    }
    match get_event(channel) {
        Ok(cell) => {
            // SAFETY: the caller vouches for `event`.
            unsafe { event.write(cell) };
            0
        }
        Err(errno) => sys::minus_one(Err(errno)),
    }
}

/// As [`rdma_get_cm_event`].
pub fn get_event(channel: *mut rdma_event_channel) -> Result<*mut rdma_cm_event, i32> {
    let mut driven = false;
    let mut inside = None;
    loop {
        let got = with(|rt| {
            if inside.is_some_and(|k| rt.fabric.cm.channels.get(k).is_none()) {
                return Ok(Err(None));
            }
            let key = find_channel(rt, channel)?;
            inside = Some(key);
            let Some(c) = rt.fabric.cm.channels.get_mut(key) else { return Err(libc::EINVAL) };
            let fd = c.bell.fd;
            let Some(event) = c.events.pop_front() else {
                if !driven && rt.has_work() {
                    rt.drive();
                }
                return Ok(Err(Some(fd)));
            };
            sys::take(fd);
            Ok(Ok(hand_out(rt, event)))
        });
        match got {
            Ok(Ok(Some(cell))) => return Ok(cell),
            Ok(Ok(None)) => {}
            // Destroyed while this thread waits in here: in reality it stays in the kernel until the process ends.
            Ok(Err(None)) => verbs::wait_for_ever(),
            Ok(Err(_)) if !driven => driven = true,
            Ok(Err(Some(fd))) => verbs::wait_on(fd)?,
            Err(errno) => return Err(errno),
        }
    }
}

/// Does librdmacm's part for an event; none if the program is not to see it.
fn hand_out(rt: &mut Runtime, event: Event) -> Option<*mut rdma_cm_event> {
    let Event { id: key, listener, mut kind, mut status, param } = event;
    if kind == event_type::RDMA_CM_EVENT_CONNECT_REQUEST {
        id::make_for_request(rt, key, listener?)?;
    }
    let i = rt.fabric.cm.ids.get(key)?;
    let (cell, connect_error) = (i.cell, i.connect_error);
    match kind {
        event_type::RDMA_CM_EVENT_ADDR_RESOLVED => {
            id::give_device(rt, cell);
            id::show_addresses(rt, key);
        }
        event_type::RDMA_CM_EVENT_ROUTE_RESOLVED => id::give_path(rt, key, cell),
        event_type::RDMA_CM_EVENT_CONNECT_RESPONSE => {
            // SAFETY: the cell of an identifier that is alive.
            let qp = unsafe { (*cell).qp };
            if !qp.is_null() {
                match connect::bring_up(rt, key, qp).and_then(|()| rt.fabric.cm_establish(key)) {
                    Ok(()) => kind = event_type::RDMA_CM_EVENT_ESTABLISHED,
                    Err(errno) => {
                        crate::log::line(&format!(
                            "the QP of cm id {cell:p} could not be brought up: errno {errno}"
                        ));
                        let _ = connect::put_into_error(rt, qp);
                        kind = event_type::RDMA_CM_EVENT_CONNECT_ERROR;
                        status = -1;
                        if let Some(i) = rt.fabric.cm.ids.get_mut(key) {
                            i.connect_error = true;
                        }
                    }
                }
            }
        }
        event_type::RDMA_CM_EVENT_REJECTED | event_type::RDMA_CM_EVENT_DISCONNECTED if connect_error => {
            return None;
        }
        event_type::RDMA_CM_EVENT_REJECTED => {
            // SAFETY: the cell of an identifier that is alive.
            let qp = unsafe { (*cell).qp };
            if !qp.is_null() {
                let _ = connect::put_into_error(rt, qp);
            }
        }
        _ => {}
    }
    let listener_cell =
        listener.and_then(|k| rt.fabric.cm.ids.get(k)).map_or(std::ptr::null_mut(), |l| l.cell);
    let mut private = [0u8; 256];
    for (to, from) in private.iter_mut().zip(&param.private) {
        *to = *from;
    }
    let conn = rdma_conn_param {
        private_data: std::ptr::null(),
        private_data_len: param.private.len().min(255) as u8,
        responder_resources: param.responder_resources,
        initiator_depth: param.initiator_depth,
        flow_control: param.flow_control,
        retry_count: param.retry_count,
        rnr_retry_count: param.rnr_retry_count,
        srq: param.srq,
        qp_num: param.qp_num,
    };
    let owner = listener.unwrap_or(key);
    let fetched = rt.fetched.next_key();
    let id: *mut rdma_cm_id = cell;
    let event = rdma_cm_event { id, listen_id: listener_cell, event: kind, status, param: param_t { conn } };
    let out = rt.cells.events.alloc(fetched, EventCell { event, private });
    if !param.private.is_empty() {
        // SAFETY: a cell made just now; the private data lies in the same cell.
        unsafe { (*out).event.param.conn.private_data = (&raw const (*out).private).cast::<c_void>() };
    }
    rt.fetched.insert(Fetched { owner, cell: out });
    if let Some(o) = rt.fabric.cm.ids.get_mut(owner) {
        o.unacked += 1;
    }
    Some(out.cast())
}

/// An event was dealt with; it is freed.
#[unsafe(no_mangle)]
pub extern "C" fn rdma_ack_cm_event(event: *mut rdma_cm_event) -> c_int {
    enter!(rdma_ack_cm_event);
    sys::minus_one(with(|rt| ack(rt, event)))
}

/// As [`rdma_ack_cm_event`], with the lock held.
pub fn ack(rt: &mut Runtime, event: *mut rdma_cm_event) -> Result<(), i32> {
    let fetched = &rt.fetched;
    let key =
        find(&rt.cells.events, &mut rt.fabric.shared, event.cast::<EventCell>(), "cm event", |_, k| {
            fetched.get(k).is_some()
        })?;
    if let Some(f) = rt.fetched.remove(key) {
        if let Some(o) = rt.fabric.cm.ids.get_mut(f.owner) {
            o.unacked -= 1;
        }
        rt.cells.events.free(f.cell);
    }
    Ok(())
}

/// Waits for the event of a synchronous identifier's call, which stays in `id->event` until the next one. Nothing to do for others.
pub fn complete(id: *mut rdma_cm_id) -> Result<(), i32> {
    let channel = with(|rt| {
        let key = id::find_id(rt, id)?;
        if !rt.fabric.cm.ids.get(key).is_some_and(|i| i.sync) {
            return Ok::<_, i32>(None);
        }
        id::ack_kept_event(rt, id);
        // SAFETY: the cell of an identifier that is alive.
        Ok(Some(unsafe { (*id).channel }))
    })?;
    let Some(channel) = channel else { return Ok(()) };
    let event = get_event(channel)?;
    // SAFETY: an event that was fetched just now, and the cell of an identifier that is alive.
    let (kind, status) = unsafe {
        (*id).event = event;
        ((*event).event, (*event).status)
    };
    match status {
        0 => Ok(()),
        _ if kind == event_type::RDMA_CM_EVENT_REJECTED => Err(libc::ECONNREFUSED),
        _ => Err(status.abs()),
    }
}

//! Connections: QPs of identifiers, connect, accept, reject, disconnect.

#![allow(unsafe_code)]

use std::ffi::{c_int, c_void};

use rdma_sys::{
    ibv_cq, ibv_pd, ibv_qp, ibv_qp_attr, ibv_qp_init_attr, ibv_qp_init_attr_ex, rdma_cm_id, rdma_conn_param,
};

use super::super::{completion, extended_qp, queue_pair, verbs};
use super::id::find_id;
use super::{event, shared_pd};
use crate::carrier::sys;
use crate::cm::CmId;
use crate::cm::message::{Message, Say, reason};
use crate::fabric::qp::{State as QpState, mask};
use crate::fabric::slab::Key;
use crate::faults::calls::enter;
use crate::runtime::{Runtime, with};

/// "As much as the device can", for responder resources and initiator depth.
const MOST: u8 = 0xff;

/// Makes a QP for an identifier and initializes it; completion queues too, where the program names none.
///
/// # Safety
/// `attr` is a whole struct that may be written.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rdma_create_qp(
    id: *mut rdma_cm_id,
    pd: *mut ibv_pd,
    attr: *mut ibv_qp_init_attr,
) -> c_int {
    enter!(rdma_create_qp);
    if attr.is_null() {
        return sys::minus_one(Err(libc::EINVAL));
    }
    // SAFETY: the caller vouches for `attr`.
    sys::minus_one(create_qp(id, pd, unsafe { &mut *attr }))
}

/// As [`rdma_create_qp`], with the protection domain in the attributes.
///
/// # Safety
/// `attr` is a whole struct that may be written.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rdma_create_qp_ex(id: *mut rdma_cm_id, attr: *mut ibv_qp_init_attr_ex) -> c_int {
    enter!(rdma_create_qp_ex);
    if attr.is_null() {
        return sys::minus_one(Err(libc::EINVAL));
    }
    // SAFETY: the caller vouches for `attr`.
    let given = unsafe { &mut *attr };
    let send_ops = match queue_pair::send_ops(given) {
        Ok(send_ops) => send_ops,
        Err(errno) => return sys::minus_one(Err(errno)),
    };
    let has_pd = given.comp_mask & queue_pair::attr_mask::PD != 0;
    let pd = if has_pd { given.pd } else { std::ptr::null_mut() };
    let mut plain = queue_pair::plain_attr(given);
    let result = create_qp(id, pd, &mut plain);
    given.cap = plain.cap;
    if let (Ok(()), Some(ops)) = (result, send_ops) {
        // SAFETY: the identifier is alive, and its QP was made just now.
        with(|rt| unsafe { extended_qp::extend(rt, (*id).qp.cast(), ops) });
    }
    sys::minus_one(result)
}

fn create_qp(id: *mut rdma_cm_id, pd: *mut ibv_pd, attr: &mut ibv_qp_init_attr) -> Result<(), i32> {
    let made = with(|rt| {
        let key = find_id(rt, id)?;
        // SAFETY: the cell of an identifier that is alive.
        let cm = unsafe { &mut *id };
        if !cm.qp.is_null() || cm.verbs.is_null() {
            return Err(libc::EINVAL);
        }
        let pd = match (pd.is_null(), cm.pd.is_null()) {
            (false, _) => {
                verbs::find_pd(rt, pd)?;
                pd
            }
            (true, false) => cm.pd,
            (true, true) => shared_pd(rt)?.1,
        };
        // SAFETY: one of our cells and alive, by the look-up above or because the library keeps it.
        if unsafe { (*pd).context } != cm.verbs {
            return Err(libc::EINVAL);
        }
        let clash = |own: *mut ibv_cq, given: *mut ibv_cq| !own.is_null() && !given.is_null() && own != given;
        if clash(cm.send_cq, attr.send_cq) || clash(cm.recv_cq, attr.recv_cq) {
            return Err(libc::EINVAL);
        }
        if attr.srq.is_null() {
            attr.srq = cm.srq;
        }
        Ok((key, pd))
    });
    let (key, pd) = made?;
    own_cqs(id, attr)?;
    let result = with(|rt| {
        rt.told_to_fail("ibv_create_qp")?;
        let qp = queue_pair::create_qp(rt, pd, attr)?;
        let initialized = initialize(rt, key, qp);
        if initialized.is_err() {
            let _ = queue_pair::destroy_qp(rt, qp);
        }
        initialized?;
        // SAFETY: the cell of an identifier that is alive.
        unsafe {
            (*id).qp = qp;
            (*id).pd = pd;
        }
        Ok(())
    });
    if result.is_err() {
        destroy_own_cqs(id);
    }
    result
}

/// Makes the completion queues that neither the program nor the identifier has.
fn own_cqs(id: *mut rdma_cm_id, attr: &mut ibv_qp_init_attr) -> Result<(), i32> {
    // SAFETY: the cell of an identifier that the caller just found alive.
    let cm = unsafe { &mut *id };
    let make = |size: u32, channel: &mut *mut _, cq: &mut *mut _| {
        *channel = completion::ibv_create_comp_channel(cm.verbs);
        if (*channel).is_null() {
            return Err(sys::errno());
        }
        *cq = completion::ibv_create_cq(cm.verbs, size as c_int, id.cast::<c_void>(), *channel, 0);
        if (*cq).is_null() { Err(sys::errno()) } else { Ok(()) }
    };
    let mut result = Ok(());
    if attr.recv_cq.is_null() && cm.recv_cq.is_null() && attr.cap.max_recv_wr > 0 {
        result = make(attr.cap.max_recv_wr, &mut cm.recv_cq_channel, &mut cm.recv_cq);
    }
    if result.is_ok() && attr.send_cq.is_null() && cm.send_cq.is_null() && attr.cap.max_send_wr > 0 {
        result = make(attr.cap.max_send_wr, &mut cm.send_cq_channel, &mut cm.send_cq);
    }
    if result.is_err() {
        destroy_own_cqs(id);
        return result;
    }
    if attr.send_cq.is_null() {
        attr.send_cq = cm.send_cq;
    }
    if attr.recv_cq.is_null() {
        attr.recv_cq = cm.recv_cq;
    }
    Ok(())
}

fn destroy_own_cqs(id: *mut rdma_cm_id) {
    // SAFETY: the cell of an identifier that the caller just found alive.
    let cm = unsafe { &mut *id };
    // Sends and receives may have one queue, and two may have one channel: rsocket makes them so, and leaves destroying them to this.
    let one_cq = cm.send_cq == cm.recv_cq;
    let one_channel = cm.send_cq_channel == cm.recv_cq_channel;
    let mut channels = Vec::new();
    for (cq, channel, seen) in [
        (&mut cm.recv_cq, &mut cm.recv_cq_channel, (false, false)),
        (&mut cm.send_cq, &mut cm.send_cq_channel, (one_cq, one_channel)),
    ] {
        // Only queues on a channel of the identifier are its own.
        let channel = std::mem::replace(channel, std::ptr::null_mut());
        if channel.is_null() {
            continue;
        }
        let cq = std::mem::replace(cq, std::ptr::null_mut());
        if !cq.is_null() && !seen.0 {
            completion::ibv_destroy_cq(cq);
        }
        if !seen.1 {
            channels.push(channel);
        }
    }
    for channel in channels {
        completion::ibv_destroy_comp_channel(channel);
    }
}

/// Destroys an identifier's QP, and the completion queues that came with it.
#[unsafe(no_mangle)]
pub extern "C" fn rdma_destroy_qp(id: *mut rdma_cm_id) {
    enter!(never rdma_destroy_qp);
    let found = with(|rt| {
        find_id(rt, id)?;
        // SAFETY: the cell of an identifier that is alive.
        Ok(unsafe { std::mem::replace(&mut (*id).qp, std::ptr::null_mut()) })
    });
    let destroyed = found.and_then(|qp| queue_pair::destroy_acknowledged("rdma_destroy_qp", qp));
    match destroyed {
        Ok(()) => destroy_own_cqs(id),
        Err(errno) => sys::set_errno(errno),
    }
}

/// Changes a QP's state with the attributes that the connection gives for it; `adjust` may change them.
fn advance(
    rt: &mut Runtime,
    key: Key<CmId>,
    qp: *mut ibv_qp,
    to: QpState,
    adjust: impl FnOnce(&mut ibv_qp_attr),
) -> Result<(), i32> {
    rt.told_to_fail("ibv_modify_qp")?;
    let target = verbs::find_qp(rt, qp)?;
    // SAFETY: `ibv_qp_attr` is numbers throughout; all zero is a value of it.
    let mut attr: ibv_qp_attr = unsafe { std::mem::zeroed() };
    attr.qp_state = to as u32;
    let what = rt.fabric.cm.ids.get(key).ok_or(libc::EINVAL)?.qp_attributes(&mut attr, 0)?;
    adjust(&mut attr);
    rt.fabric.modify_qp(target, &attr, what)
}

fn initialize(rt: &mut Runtime, key: Key<CmId>, qp: *mut ibv_qp) -> Result<(), i32> {
    advance(rt, key, qp, QpState::Init, |_| ())
}

/// Brings a QP up for the connection: INIT with the connection's rights, RTR, RTS.
pub fn bring_up(rt: &mut Runtime, key: Key<CmId>, qp: *mut ibv_qp) -> Result<(), i32> {
    let target = verbs::find_qp(rt, qp)?;
    if let Some(number) = rt.fabric.qps.get(target).map(|q| q.made.number) {
        rt.fabric.cm_route(key, number);
    }
    advance(rt, key, qp, QpState::Init, |_| ())?;
    advance(rt, key, qp, QpState::Rtr, |_| ())?;
    advance(rt, key, qp, QpState::Rts, |_| ())
}

/// Puts a QP into error, as librdmacm does on a reject and on disconnecting.
pub fn put_into_error(rt: &mut Runtime, qp: *mut ibv_qp) -> Result<(), i32> {
    rt.told_to_fail("ibv_modify_qp")?;
    if let Ok(key) = verbs::find_qp(rt, qp) {
        // SAFETY: `ibv_qp_attr` is numbers throughout; all zero is a value of it.
        let mut attr: ibv_qp_attr = unsafe { std::mem::zeroed() };
        attr.qp_state = QpState::Err as u32;
        let _ = rt.fabric.modify_qp(key, &attr, mask::STATE);
    }
    Ok(())
}

/// What the program gave, checked as librdmacm checks it, with its defaults where it gave nothing.
struct Asked {
    message: Message,
    /// None if the program left it to the library.
    responder_resources: Option<u8>,
    initiator_depth: Option<u8>,
}

/// How many RDMA READs of a connection the device answers, and how many it has outstanding.
fn most_reads(rt: &Runtime) -> (u8, u8) {
    let device = rt.fabric.shared.profile();
    // Below 256 as the full device's are.
    (device.max_qp_rd_atom as u8, device.max_qp_init_rd_atom as u8)
}

/// # Safety
/// `param` is NULL or a whole struct with its private data.
unsafe fn asked(
    rt: &mut Runtime,
    id: *mut rdma_cm_id,
    param: *const rdma_conn_param,
    say: Say,
) -> Result<Asked, i32> {
    // SAFETY: the caller vouches for `param`; `id` is the cell of an identifier that is alive.
    let (param, qp) = unsafe { (param.as_ref(), (*id).qp) };
    let mut message = Message { retry_count: 7, rnr_retry_count: 7, ..Message::new(say) };
    if qp.is_null() {
        let param = param.ok_or(libc::EINVAL)?;
        message.qpn = param.qp_num & 0xff_ffff;
        message.srq = param.srq;
    } else {
        let key = verbs::find_qp(rt, qp)?;
        let Some(q) = rt.fabric.qps.get(key) else { return Err(libc::EINVAL) };
        message.qpn = q.made.number;
        message.srq = u8::from(q.made.srq.is_some());
    }
    let Some(param) = param else {
        return Ok(Asked { message, responder_resources: None, initiator_depth: None });
    };
    let checked = |n: u8, most: u8| match n {
        MOST => Ok(None),
        n if n > most => Err(libc::EINVAL),
        n => Ok(Some(n)),
    };
    let (answers, asks) = most_reads(rt);
    message.flow_control = param.flow_control;
    message.retry_count = param.retry_count.min(7);
    message.rnr_retry_count = param.rnr_retry_count.min(7);
    if !param.private_data.is_null() && param.private_data_len > 0 {
        // SAFETY: the caller vouches for the private data.
        let bytes = unsafe {
            std::slice::from_raw_parts(param.private_data.cast::<u8>(), param.private_data_len.into())
        };
        message.private = bytes.to_vec();
    }
    Ok(Asked {
        message,
        responder_resources: checked(param.responder_resources, answers)?,
        initiator_depth: checked(param.initiator_depth, asks)?,
    })
}

/// Asks for a connection to the resolved address. An event tells the answer.
///
/// # Safety
/// `param` is NULL or a whole struct with its private data.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rdma_connect(id: *mut rdma_cm_id, param: *mut rdma_conn_param) -> c_int {
    enter!(rdma_connect);
    let started = with(|rt| {
        let key = find_id(rt, id)?;
        // SAFETY: the caller vouches for `param`.
        let mut asked = unsafe { asked(rt, id, param, Say::Req) }?;
        let (answers, asks) = most_reads(rt);
        asked.message.responder_resources = asked.responder_resources.unwrap_or(answers);
        asked.message.initiator_depth = asked.initiator_depth.unwrap_or(asks);
        rt.fabric.cm_connect(key, asked.message)
    });
    sys::minus_one(started.and_then(|()| event::complete(id)))
}

/// Accepts a connection. Established is told by an event.
///
/// # Safety
/// `param` is NULL or a whole struct with its private data.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rdma_accept(id: *mut rdma_cm_id, param: *mut rdma_conn_param) -> c_int {
    enter!(rdma_accept);
    let started = with(|rt| {
        let key = find_id(rt, id)?;
        // SAFETY: the caller vouches for `param`.
        let mut asked = unsafe { asked(rt, id, param, Say::Rep) }?;
        let (answers, asks) = most_reads(rt);
        let Some(i) = rt.fabric.cm.ids.get_mut(key) else { return Err(libc::EINVAL) };
        i.responder_resources = asked.responder_resources.unwrap_or(i.responder_resources.min(answers));
        i.initiator_depth = asked.initiator_depth.unwrap_or(i.initiator_depth.min(asks));
        asked.message.responder_resources = i.responder_resources;
        asked.message.initiator_depth = i.initiator_depth;
        // SAFETY: the cell of an identifier that is alive.
        let qp = unsafe { (*id).qp };
        if qp.is_null() {
            rt.fabric.cm_route(key, asked.message.qpn);
        } else {
            bring_up(rt, key, qp)?;
        }
        let accepted = rt.fabric.cm_accept(key, asked.message);
        if accepted.is_err() && !qp.is_null() {
            let _ = put_into_error(rt, qp);
        }
        accepted
    });
    sys::minus_one(started.and_then(|()| event::complete(id)))
}

/// The active side of a connection whose QP is not the identifier's is ready to use.
#[unsafe(no_mangle)]
pub extern "C" fn rdma_establish(id: *mut rdma_cm_id) -> c_int {
    enter!(rdma_establish);
    sys::minus_one(with(|rt| {
        let key = find_id(rt, id)?;
        // SAFETY: the cell of an identifier that is alive.
        if !unsafe { (*id).qp }.is_null() {
            return Err(libc::EINVAL);
        }
        rt.fabric.cm_establish(key)
    }))
}

/// # Safety
/// `private` points to `length` bytes.
unsafe fn reject(id: *mut rdma_cm_id, private: *const c_void, length: u8, why: u16) -> c_int {
    let bytes = if private.is_null() || length == 0 {
        Vec::new()
    } else {
        // SAFETY: the caller vouches for the private data.
        unsafe { std::slice::from_raw_parts(private.cast::<u8>(), length.into()) }.to_vec()
    };
    sys::minus_one(with(|rt| {
        let key = find_id(rt, id)?;
        rt.fabric.cm_reject(key, why, bytes)
    }))
}

/// Rejects a connection.
///
/// # Safety
/// `private` points to `length` bytes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rdma_reject(id: *mut rdma_cm_id, private: *const c_void, length: u8) -> c_int {
    enter!(rdma_reject);
    // SAFETY: passed on to the caller.
    unsafe { reject(id, private, length, reason::CONSUMER_DEFINED) }
}

/// Rejects a connection for its vendor options.
///
/// # Safety
/// `private` points to `length` bytes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rdma_reject_ece(id: *mut rdma_cm_id, private: *const c_void, length: u8) -> c_int {
    enter!(rdma_reject_ece);
    // SAFETY: passed on to the caller.
    unsafe { reject(id, private, length, reason::VENDOR_OPTION) }
}

/// Disconnects, or agrees to the peer's disconnecting; the QP goes to error either way.
#[unsafe(no_mangle)]
pub extern "C" fn rdma_disconnect(id: *mut rdma_cm_id) -> c_int {
    enter!(rdma_disconnect);
    let started = with(|rt| {
        let key = find_id(rt, id)?;
        // SAFETY: the cell of an identifier that is alive.
        let (qp, verbs) = unsafe { ((*id).qp, (*id).verbs) };
        if verbs.is_null() {
            return Err(libc::EINVAL);
        }
        if !qp.is_null() {
            verbs::find_qp(rt, qp)?;
            put_into_error(rt, qp)?;
        }
        rt.fabric.cm_disconnect(key)
    });
    sys::minus_one(started.and_then(|()| event::complete(id)))
}

/// The attributes that a QP outside the identifier needs for the state in `attr`.
///
/// # Safety
/// `attr` and `what` may be read and written.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rdma_init_qp_attr(
    id: *mut rdma_cm_id,
    attr: *mut ibv_qp_attr,
    what: *mut c_int,
) -> c_int {
    enter!(rdma_init_qp_attr);
    sys::minus_one(with(|rt| {
        let key = find_id(rt, id)?;
        if attr.is_null() || what.is_null() {
            return Err(libc::EINVAL);
        }
        // SAFETY: the caller vouches for both.
        let (attr, what) = unsafe { (&mut *attr, &mut *what) };
        *what = rt.fabric.cm.ids.get(key).ok_or(libc::EINVAL)?.qp_attributes(attr, 0)?;
        Ok(())
    }))
}

/// Tells the connection manager of a QP's event: IBV_EVENT_COMM_EST, which says that the peer is ready though its message to say
/// so has not come.
#[unsafe(no_mangle)]
pub extern "C" fn rdma_notify(id: *mut rdma_cm_id, event: u32) -> c_int {
    enter!(rdma_notify);
    sys::minus_one(with(|rt| {
        let key = find_id(rt, id)?;
        rt.fabric.cm_notify(key, event)
    }))
}

//! Asynchronous events: fetching them, acknowledging them, and objects that cannot go before theirs are acknowledged.

#![allow(unsafe_code)]

use std::ffi::c_int;
use std::mem::offset_of;

use rdma_sys::{ibv_async_event, ibv_context, ibv_cq, ibv_qp, ibv_srq};

use super::device::find_context;
use super::verbs::{Patience, find_cq, find_qp, find_srq};
use crate::carrier::sys;
use crate::fabric::objects::{Context, Subject};
use crate::fabric::slab::Key;
use crate::faults::calls::enter;
use crate::runtime::{Runtime, with};

/// `enum ibv_event_type`, as far as it says what an event is about.
const CQ_ERR: u32 = 0;
const QP_FATAL: u32 = 1;
const PATH_MIG_ERR: u32 = 7;
const SRQ_ERR: u32 = 14;
const SRQ_LIMIT_REACHED: u32 = 15;
const QP_LAST_WQE_REACHED: u32 = 16;

impl Runtime {
    /// Whether an object may be destroyed as far as its fetched events go. If another thread may still acknowledge them: not yet.
    /// If nobody will, says so, and forgets them.
    pub fn async_acknowledged(
        &mut self,
        what: &str,
        object: usize,
        subject: Subject,
        patience: &Patience,
    ) -> bool {
        let unacked = self.async_taken.of(subject);
        if unacked == 0 {
            return true;
        }
        if !patience.is_over(self.manual) {
            return false;
        }
        self.fabric.shared.fatal(&format!(
            "{what}({object:#x}) would block for ever: {unacked} asynchronous events not acknowledged"
        ));
        self.async_taken.forget(subject);
        true
    }
}

/// Destroys something once its fetched events are acknowledged: `find` says what it is, or why it cannot be destroyed.
pub fn when_acknowledged(
    what: &str,
    object: usize,
    find: impl Fn(&mut Runtime) -> Result<Subject, i32>,
    destroy: impl Fn(&mut Runtime) -> Result<(), i32>,
) -> Result<(), i32> {
    let mut patience = Patience::new();
    loop {
        let done = with(|rt| {
            let subject = find(rt)?;
            if !rt.async_acknowledged(what, object, subject, &patience) {
                return Ok(false);
            }
            destroy(rt).map(|()| true)
        });
        match done {
            Ok(true) => return Ok(()),
            Ok(false) => patience.wait(),
            Err(errno) => return Err(errno),
        }
    }
}

/// Takes events of an object that nobody has fetched out of its context's queue: the object is destroyed.
pub fn drop_async_events(rt: &mut Runtime, context: Key<Context>, subject: Subject) {
    let Some(c) = rt.fabric.shared.contexts.get_mut(context) else { return };
    let before = c.events.len();
    c.events.retain(|(about, _)| *about != subject);
    for _ in c.events.len()..before {
        // What the descriptor does not show yet is simply not shown.
        match c.bell.owed.checked_sub(1) {
            Some(left) => c.bell.owed = left,
            None => sys::take(c.bell.fd),
        }
    }
}

impl Runtime {
    /// Takes all that nobody has fetched out of all contexts that are open still: librdmacm's is as long as the process lives.
    pub fn forget_async_events(&mut self) {
        let contexts = &mut self.fabric.shared.contexts;
        for key in contexts.keys() {
            let Some(context) = contexts.get_mut(key) else { continue };
            context.events.clear();
            context.bell.owed = 0;
            sys::drain(context.bell.fd);
        }
    }
}

/// Waits for an asynchronous event.
///
/// # Safety
/// `event` may be written.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ibv_get_async_event(
    context: *mut ibv_context,
    event: *mut ibv_async_event,
) -> c_int {
    enter!(ibv_get_async_event);
    loop {
        let got = with(|rt| {
            let key = find_context(rt, context)?;
            let Some(c) = rt.fabric.shared.contexts.get_mut(key) else { return Err(libc::EINVAL) };
            let fd = c.bell.fd;
            let Some((subject, kind)) = c.events.pop_front() else { return Ok(Err(fd)) };
            sys::take(fd);
            let shared = &rt.fabric.shared;
            let pointer = match subject {
                Subject::Cq(k) => shared.cqs.get(k).map(|c| c.cell as usize),
                Subject::Qp(k) => rt.fabric.qps.get(k).map(|q| q.made.cell as usize),
                Subject::Srq(k) => shared.srqs.get(k).map(|s| s.cell as usize),
                Subject::Port(number) => Some(usize::from(number)),
                Subject::Device => Some(0),
            };
            if pointer.is_some() {
                rt.async_taken.taken(subject);
            }
            Ok(Ok(pointer.map(|p| (p, kind))))
        });
        match got {
            Err(errno) => {
                sys::set_errno(errno);
                return -1;
            }
            // The object is gone: its event went with it.
            Ok(Ok(None)) => {}
            Ok(Ok(Some((pointer, kind)))) => {
                // SAFETY: the caller vouches for `event`. Both members are written as the plain numbers that C has there: the
                // union holds a pointer or a port number, the kind is a value of the enum by construction.
                unsafe {
                    event.cast::<usize>().write(pointer);
                    event.cast::<u8>().add(offset_of!(ibv_async_event, event_type)).cast::<u32>().write(kind);
                }
                return 0;
            }
            Ok(Err(fd)) => {
                if let Err(errno) = super::verbs::wait_on(fd) {
                    sys::set_errno(errno);
                    return -1;
                }
            }
        }
    }
}

/// An asynchronous event was dealt with: the object that it is about may be destroyed.
///
/// # Safety
/// `event` came from `ibv_get_async_event`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ibv_ack_async_event(event: *mut ibv_async_event) {
    enter!(never ibv_ack_async_event);
    if event.is_null() {
        return;
    }
    // SAFETY: the caller vouches for `event`; as when it was written, both members are read as plain numbers.
    let (pointer, kind) = unsafe {
        let kind = event.cast::<u8>().add(offset_of!(ibv_async_event, event_type)).cast::<u32>().read();
        (event.cast::<usize>().read(), kind)
    };
    with(|rt| {
        let subject = match kind {
            CQ_ERR => find_cq(rt, pointer as *const ibv_cq).map(Subject::Cq),
            SRQ_ERR | SRQ_LIMIT_REACHED => find_srq(rt, pointer as *const ibv_srq).map(Subject::Srq),
            QP_FATAL..=PATH_MIG_ERR | QP_LAST_WQE_REACHED => {
                find_qp(rt, pointer as *const ibv_qp).map(Subject::Qp)
            }
            _ => return,
        };
        if let Ok(subject) = subject
            && !rt.async_taken.acknowledged(subject)
        {
            rt.fabric.shared.misuse("an asynchronous event is acknowledged that was not fetched, or twice");
        }
    });
}

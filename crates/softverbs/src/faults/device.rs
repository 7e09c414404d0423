//! A device that goes away, a port that goes down, asynchronous events, and a clock that jumps.

use rdma_sys::rdma_cm_event_type as event_type;

use super::peers::Blocked;
use super::{fired, names};
use crate::cm::{Param, State};
use crate::fabric::objects::{Context, Subject};
use crate::fabric::slab::Key;
use crate::fabric::{Clock, Fabric, qp};
use crate::runtime::Runtime;

const EVENT_CQ_ERR: u32 = 0;
const EVENT_QP_FATAL: u32 = 1;
const EVENT_DEVICE_FATAL: u32 = 8;
const EVENT_PORT_ACTIVE: u32 = 9;
const EVENT_PORT_ERR: u32 = 10;

impl Runtime {
    /// The device is pulled out, as a kernel takes it: contexts hear DEVICE_FATAL, identifiers DEVICE_REMOVAL, queue pairs flush,
    /// and what was made with it works no more. A device that comes back is another one.
    pub fn remove_device(&mut self) {
        fired("the device is removed");
        self.fabric.has_device = false;
        let contexts: Vec<Key<Context>> = self.fabric.shared.contexts.iter().map(|(k, _)| k).collect();
        for key in contexts {
            let Some(context) = self.fabric.shared.contexts.get_mut(key) else { continue };
            if !std::mem::replace(&mut context.removed, true) {
                self.fabric.shared.async_event(key, Subject::Device, EVENT_DEVICE_FATAL);
            }
        }
        for key in self.fabric.qps.keys() {
            let Some(qp) = self.fabric.qps.get_mut(key) else { continue };
            if qp.state != qp::State::Reset {
                qp.enter_error(&mut self.fabric.shared);
            }
        }
        for key in self.fabric.cm.ids.keys() {
            let Some(id) = self.fabric.cm.ids.get_mut(key) else { continue };
            let tells = id.has_device();
            if !tells && !id.cell.is_null() {
                continue;
            }
            if id.state == State::Listening {
                self.fabric.cm.listeners.retain(|k| *k != key);
                self.stop_listening_on_wire(key);
            }
            if let Some(id) = self.fabric.cm.ids.get_mut(key) {
                id.state = State::Closed;
            }
            self.fabric.stop_cm_timer(key);
            if tells {
                let kind = event_type::RDMA_CM_EVENT_DEVICE_REMOVAL;
                self.fabric.cm_event(key, kind, 0, Param::default());
            }
        }
        self.cm_context = None;
        self.cm_pd = None;
    }
}

impl Fabric {
    /// The port goes down or up.
    pub fn set_port(&mut self, up: bool) {
        if self.shared.faults.blocked.port != up {
            return;
        }
        fired(if up { "the port is up" } else { "the port is down" });
        let blocked = Blocked { port: !up, ..self.shared.faults.blocked.clone() };
        self.set_blocked(blocked);
        self.tell_contexts(Subject::Port(1), if up { EVENT_PORT_ACTIVE } else { EVENT_PORT_ERR });
    }

    fn tell_contexts(&mut self, subject: Subject, event: u32) {
        let contexts: Vec<Key<Context>> = self.shared.contexts.iter().map(|(k, _)| k).collect();
        for key in contexts {
            self.shared.async_event(key, subject, event);
        }
    }

    /// An asynchronous event that nothing caused: `EVENT [qp N]`. With QP_FATAL the QP goes to error.
    pub fn raise(&mut self, words: &[&str]) -> Result<(), String> {
        let (event, number) = parse_async(words)?;
        let text = format!("asynchronous event {}", words.join(" "));
        let Some(number) = number else {
            let subject = if (EVENT_PORT_ACTIVE..=EVENT_PORT_ERR).contains(&event) || event > EVENT_PORT_ERR {
                Subject::Port(1)
            } else {
                Subject::Device
            };
            fired(&text);
            self.tell_contexts(subject, event);
            return Ok(());
        };
        let key = self.qp_numbers.get(&number).copied().ok_or("there is no such queue pair")?;
        let qp = self.qps.get(key).ok_or("there is no such queue pair")?;
        let subject = match (event, qp.made.srq) {
            (EVENT_CQ_ERR, _) => Subject::Cq(qp.made.recv_cq),
            (14 | 15, Some(srq)) => Subject::Srq(srq),
            (14 | 15, None) => return Err("this queue pair has no shared receive queue".into()),
            _ => Subject::Qp(key),
        };
        fired(&text);
        if event == EVENT_QP_FATAL {
            self.shared.faults.broken.push((key, Some(event)));
            self.shared.call_for_attention();
            self.faults_changed();
        } else {
            let context = qp.made.context;
            self.shared.async_event(context, subject, event);
        }
        Ok(())
    }

    /// The clock jumps ahead: all that is due by then is late.
    pub fn jump(&mut self, nanoseconds: u64) {
        fired(&format!("the clock jumps by {nanoseconds} ns"));
        self.clock = match self.clock {
            Clock::Real => Clock::Ahead(nanoseconds),
            Clock::Ahead(by) => Clock::Ahead(by.saturating_add(nanoseconds)),
            Clock::Manual(now) => Clock::Manual(now.saturating_add(nanoseconds)),
        };
    }
}

/// Checks `EVENT [qp N]`.
pub fn parse_async(words: &[&str]) -> Result<(u32, Option<u32>), String> {
    // About the device or its port; the others are about a QP or its queues.
    let about_device = |event| matches!(event, 8..=13 | 17 | 18);
    match *words {
        [event] => match names::async_event(event)? {
            event if about_device(event) => Ok((event, None)),
            _ => Err(format!("{event} is about a queue pair: async {event} qp NUMBER")),
        },
        [event, "qp", number] => match names::async_event(event)? {
            e if about_device(e) => Err(format!("{event} is about no queue pair")),
            e => Ok((e, Some(names::number32(number)?))),
        },
        _ => Err("async EVENT [qp NUMBER]".into()),
    }
}

//! Events of the connection manager that do not come, come late, twice, or as something else, and events that nothing caused.

use std::net::SocketAddr;

use rdma_sys::rdma_cm_event_type as event_type;

use super::script::Occasion;
use super::which::Which;
use super::{Later, fired, names};
use crate::cm::{CmId, Event, Param, State};
use crate::control::duration;
use crate::fabric::Fabric;
use crate::fabric::order::{Lane, Pending};
use crate::fabric::slab::Key;

/// What happens to an event.
#[derive(Clone, PartialEq, Eq, Debug)]
enum Act {
    Drop,
    Late(u64),
    Repeat(u64),
    Change { kind: Option<u32>, status: Option<i32>, private: Option<Vec<u8>> },
}

/// A command about events.
#[derive(Debug)]
pub struct EventFault {
    kind: u32,
    pub(super) which: Which,
    act: Act,
    pub(super) text: String,
}

/// Attempts to connect that are rejected.
#[derive(Debug)]
pub struct Rejects {
    pub(super) which: Which,
    pub(super) reason: u16,
}

impl Rejects {
    /// `cm reject [WHICH] REASON`, without its first two words.
    pub fn parse(words: &[&str]) -> Result<Self, String> {
        match *words {
            [reason] => Ok(Self { which: Which::next(), reason: names::reason(reason)? }),
            [which, reason] => Ok(Self { which: Which::parse(which)?, reason: names::reason(reason)? }),
            _ => Err("cm reject [WHICH] REASON".into()),
        }
    }
}

const USAGE: &str = "cm EVENT [WHICH] drop|late TIME|repeat N|[as EVENT] [status S] [private HEX|none]";

impl EventFault {
    /// `cm EVENT [WHICH] ACTION`, without its first word.
    pub fn parse(words: &[&str]) -> Result<Self, String> {
        let (kind, rest) = match *words {
            [event, ref rest @ ..] => (names::cm_event(event)?, rest),
            [] => return Err(USAGE.into()),
        };
        const ACTIONS: [&str; 6] = ["drop", "late", "repeat", "as", "status", "private"];
        let (which, rest) = match *rest {
            [first, ref rest @ ..] if !ACTIONS.contains(&first) => (Which::parse(first)?, rest),
            _ => (Which::next(), rest),
        };
        let act = match *rest {
            ["drop"] => Act::Drop,
            ["late", time] => Act::Late(duration(time)?),
            ["repeat", n] => match names::number(n)? {
                n @ 1..=10_000 => Act::Repeat(n),
                _ => return Err("repeat 1 to 10000 times".into()),
            },
            _ => parse_change(rest)?,
        };
        let as_other = matches!(act, Act::Change { kind: Some(_), .. });
        if kind == event_type::RDMA_CM_EVENT_CONNECT_REQUEST && (as_other || matches!(act, Act::Repeat(_))) {
            return Err("a request makes an identifier: it cannot come twice, or as something else".into());
        }
        Ok(Self { kind, which, act, text: words.join(" ") })
    }
}

fn parse_change(mut rest: &[&str]) -> Result<Act, String> {
    let (mut kind, mut status, mut private) = (None, None, None);
    if rest.is_empty() {
        return Err(USAGE.into());
    }
    while let [what, value, more @ ..] = rest {
        match *what {
            "as" => match names::cm_event(value)? {
                event_type::RDMA_CM_EVENT_CONNECT_REQUEST => {
                    return Err("nothing can become a request".into());
                }
                other => kind = Some(other),
            },
            "status" => status = Some(names::event_status(value)?),
            "private" if *value == "none" => private = Some(Vec::new()),
            "private" => private = Some(names::bytes(value)?),
            _ => return Err(USAGE.into()),
        }
        rest = more;
    }
    if !rest.is_empty() {
        return Err(USAGE.into());
    }
    if private.as_ref().is_some_and(|p: &Vec<u8>| p.len() > 255) {
        return Err("more private data than fits an event".into());
    }
    Ok(Act::Change { kind, status, private })
}

/// An event that nothing caused.
#[derive(Clone, Debug)]
pub struct Injection {
    kind: u32,
    on: Whom,
    times: u64,
    status: i32,
    private: Vec<u8>,
}

/// Which identifiers.
#[derive(Clone, PartialEq, Eq, Debug)]
enum Whom {
    All,
    /// Those with a connection, or one coming up or going down.
    Connections,
    Newest,
    Port(u16),
    Qp(u32),
    At(u64),
}

impl Injection {
    /// `cm inject EVENT [on WHOM] [status S] [private HEX] [times N]`, without its first two words.
    pub fn parse(words: &[&str]) -> Result<Self, String> {
        const USAGE: &str =
            "cm inject EVENT [on all|newest|port N|qp N|0xPOINTER] [status S] [private HEX] [times N]";
        let [event, rest @ ..] = words else { return Err(USAGE.into()) };
        let mut rest = rest;
        let kind = names::cm_event(event)?;
        if kind == event_type::RDMA_CM_EVENT_CONNECT_REQUEST {
            return Err("a request needs somebody who asks".into());
        }
        let mut injection = Self { kind, on: Whom::Connections, times: 1, status: 0, private: Vec::new() };
        loop {
            rest = match rest {
                [] => return Ok(injection),
                ["on", "all", more @ ..] => {
                    injection.on = Whom::All;
                    more
                }
                ["on", "newest", more @ ..] => {
                    injection.on = Whom::Newest;
                    more
                }
                ["on", "port", port, more @ ..] => {
                    let port = u16::try_from(names::number(port)?).map_err(|_| "no port")?;
                    injection.on = Whom::Port(port);
                    more
                }
                ["on", "qp", number, more @ ..] => {
                    injection.on = Whom::Qp(names::number32(number)?);
                    more
                }
                ["on", pointer, more @ ..] if pointer.starts_with("0x") => {
                    injection.on = Whom::At(names::number(pointer)?);
                    more
                }
                ["status", status, more @ ..] => {
                    injection.status = names::event_status(status)?;
                    more
                }
                ["private", bytes, more @ ..] => {
                    injection.private = names::bytes(bytes)?;
                    more
                }
                ["times", n, more @ ..] => {
                    injection.times = names::number(n)?;
                    more
                }
                _ => return Err(USAGE.into()),
            };
            if !(1..=100_000).contains(&injection.times) || injection.private.len() > 255 {
                return Err("1 to 100000 times, and at most 255 bytes".into());
            }
        }
    }
}

impl Fabric {
    /// An event comes while something is unusual.
    #[cold]
    pub fn event_comes_unusually(&mut self, mut event: Event) {
        let seen_as = self.visible_kind(&event);
        let shared = &mut self.shared;
        let (mut times, mut late, mut lost) = (1, None, false);
        for fault in &mut shared.faults.events {
            let about = fault.kind == event.kind || fault.kind == seen_as;
            if !about || !fault.which.hits(&mut shared.chance) {
                continue;
            }
            fired(&format!("event {}: {}", names::cm_event_name(seen_as), fault.text));
            match &fault.act {
                Act::Drop => lost = true,
                Act::Late(time) => late = Some(*time),
                Act::Repeat(n) => times += n,
                Act::Change { kind, status, private } => {
                    event.kind = kind.unwrap_or(event.kind);
                    event.status = status.unwrap_or(event.status);
                    if let Some(private) = private {
                        event.param.private.clone_from(private);
                    }
                }
            }
        }
        shared.faults.events.retain(|f| !f.which.is_spent());
        shared.faults.occasion(Occasion::Event(seen_as), &mut shared.chance);
        shared.call_for_attention();
        if lost {
            self.forget_request(&event);
            return;
        }
        if event.kind != seen_as {
            self.follow_change(event.id, event.kind);
        }
        for _ in 0..times {
            let event = event.clone();
            match late {
                Some(time) => self.shared.faults.to_time.push((time, Later::Event(Box::new(event)))),
                None => self.event_arrives(event),
            }
        }
    }

    /// As the program will see it: the answer to a request shows as ESTABLISHED where librdmacm knows the QP.
    fn visible_kind(&self, event: &Event) -> u32 {
        let has_qp = self.cm.ids.get(event.id).is_some_and(CmId::has_qp);
        match event.kind {
            event_type::RDMA_CM_EVENT_CONNECT_RESPONSE if has_qp => event_type::RDMA_CM_EVENT_ESTABLISHED,
            kind => kind,
        }
    }

    /// An event was turned into a failure: the identifier is where that failure would have left it.
    fn follow_change(&mut self, key: Key<CmId>, kind: u32) {
        let Some(id) = self.cm.ids.get_mut(key) else { return };
        let to = match kind {
            event_type::RDMA_CM_EVENT_ADDR_ERROR => State::Bound,
            event_type::RDMA_CM_EVENT_ROUTE_ERROR => State::AddrResolved,
            event_type::RDMA_CM_EVENT_REJECTED
            | event_type::RDMA_CM_EVENT_UNREACHABLE
            | event_type::RDMA_CM_EVENT_CONNECT_ERROR => State::Closed,
            _ => return,
        };
        id.state = to;
        if to == State::Closed {
            self.stop_cm_timer(key);
            self.leave_link(key);
        }
    }

    /// An event that nothing holds back: it is queued, or waits until its turn is drawn.
    pub fn event_arrives(&mut self, event: Event) {
        let reachable = self.cm.ids.get(event.listener.unwrap_or(event.id)).is_some();
        if !reachable {
            self.forget_request(&event);
        } else if self.shared.order.on {
            self.shared.order.push(Lane::Events(event.id), Pending::Event(event));
        } else {
            self.queue_event(event);
        }
    }

    /// Nobody will see this event: an identifier that only it names goes with it, in silence.
    fn forget_request(&mut self, event: &Event) {
        let Some(listener) = event.listener else { return };
        if let Some(l) = self.cm.ids.get_mut(listener) {
            l.backlog.1 = l.backlog.1.saturating_sub(1);
        }
        self.stop_cm_timer(event.id);
        self.leave_link(event.id);
        self.cm.ids.remove(event.id);
    }

    /// Whether an attempt to connect is to be rejected, and why.
    pub fn reject_asked_for(&mut self) -> Option<u16> {
        let shared = &mut self.shared;
        let mut reason = None;
        for reject in &mut shared.faults.rejects {
            if reject.which.hits(&mut shared.chance) {
                reason = Some(reject.reason);
            }
        }
        shared.faults.rejects.retain(|r| !r.which.is_spent());
        if let Some(reason) = reason {
            fired(&format!("connection attempt rejected with reason {reason}"));
        }
        reason
    }

    /// Queues events that nothing caused. An error if nobody is meant.
    pub fn inject(&mut self, what: &Injection) -> Result<(), String> {
        let port_of = |a: Option<SocketAddr>| a.map(|a| a.port());
        let seen = self.cm.ids.iter().filter(|(_, i)| !i.cell.is_null());
        let mut meant: Vec<(u64, Key<CmId>)> = seen
            .filter(|(_, i)| match &what.on {
                Whom::All | Whom::Newest => true,
                Whom::Connections => i.is_connecting_or_more(),
                Whom::Port(port) => [port_of(i.source), port_of(i.target)].contains(&Some(*port)),
                Whom::Qp(number) => i.own_qpn == *number,
                Whom::At(pointer) => i.cell as u64 == *pointer,
            })
            .map(|(key, i)| (i.serial, key))
            .collect();
        meant.sort_unstable();
        if what.on == Whom::Newest {
            meant.drain(..meant.len().saturating_sub(1));
        }
        if meant.is_empty() {
            return Err("there is no such identifier".into());
        }
        fired(&format!(
            "{} injected on {} identifiers, {} times",
            names::cm_event_name(what.kind),
            meant.len(),
            what.times
        ));
        for (_, id) in meant {
            for _ in 0..what.times {
                let param = Param { private: what.private.clone(), ..Param::default() };
                let event = Event { id, listener: None, kind: what.kind, status: what.status, param };
                self.event_arrives(event);
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(text: &str) -> Vec<&str> {
        text.split_whitespace().collect()
    }

    #[test]
    fn commands_about_events() {
        for right in [
            "DISCONNECTED drop",
            "ESTABLISHED 2 late 5ms",
            "RDMA_CM_EVENT_DISCONNECTED repeat 3",
            "ADDR_RESOLVED as ADDR_ERROR status -ETIMEDOUT",
            "ESTABLISHED always private none",
            "CONNECT_REQUEST 1 drop",
        ] {
            assert!(EventFault::parse(&words(right)).is_ok(), "{right}");
        }
        for wrong in [
            "",
            "NOTHING drop",
            "DISCONNECTED",
            "DISCONNECTED 1",
            "DISCONNECTED late",
            "DISCONNECTED as",
            "CONNECT_REQUEST repeat 1",
            "CONNECT_REQUEST as REJECTED",
            "REJECTED as CONNECT_REQUEST",
            "DISCONNECTED drop it",
            "DISCONNECTED status",
            "DISCONNECTED private x",
        ] {
            assert!(EventFault::parse(&words(wrong)).is_err(), "{wrong}");
        }
        for right in ["ADDR_CHANGE", "DISCONNECTED on all times 5", "REJECTED on port 7 status stale"] {
            assert!(Injection::parse(&words(right)).is_ok(), "{right}");
        }
        for wrong in [
            "",
            "CONNECT_REQUEST",
            "ADDR_CHANGE on",
            "ADDR_CHANGE on x",
            "ADDR_CHANGE times 100001",
            "ADDR_CHANGE times 0",
        ] {
            assert!(Injection::parse(&words(wrong)).is_err(), "{wrong}");
        }
        assert_eq!(Rejects::parse(&words("1-3 stale")).unwrap().reason, 10);
        assert!(Rejects::parse(&words("often")).is_err());
    }
}

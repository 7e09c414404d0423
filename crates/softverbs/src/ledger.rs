//! What is alive: counted, and listed in the order it was made, with parents and the place in the program where it was made.

use std::fmt::Write;
use std::mem::offset_of;

use rdma_sys::verbs_context;

use crate::place::Place;
use crate::runtime::Runtime;

/// How many objects of each kind the program has and has not given back. Objects that the library keeps for itself do not count.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Ledger {
    /// Opened devices.
    pub contexts: usize,
    /// Protection domains.
    pub pds: usize,
    /// Memory regions.
    pub mrs: usize,
    /// Completion channels.
    pub comp_channels: usize,
    /// Completion queues.
    pub cqs: usize,
    /// Queue pairs.
    pub qps: usize,
    /// Shared receive queues.
    pub srqs: usize,
    /// Event channels of the connection manager.
    pub event_channels: usize,
    /// Connection identifiers.
    pub cm_ids: usize,
    /// Events of the connection manager that were fetched and not acknowledged.
    pub unacked_events: usize,
    /// How often the program did what it must not do.
    pub violations: u64,
}

impl Ledger {
    /// Nothing lives, and nothing went wrong.
    pub const EMPTY: Self = Self {
        contexts: 0,
        pds: 0,
        mrs: 0,
        comp_channels: 0,
        cqs: 0,
        qps: 0,
        srqs: 0,
        event_channels: 0,
        cm_ids: 0,
        unacked_events: 0,
        violations: 0,
    };

    /// Nothing lives, and nothing went wrong.
    pub fn is_clean(&self) -> bool {
        *self == Self::EMPTY
    }

    /// Objects alive.
    pub fn objects(&self) -> usize {
        self.contexts
            + self.pds
            + self.mrs
            + self.comp_channels
            + self.cqs
            + self.qps
            + self.srqs
            + self.event_channels
            + self.cm_ids
            + self.unacked_events
    }
}

impl Runtime {
    /// Counts what is alive.
    pub fn ledger(&self) -> Ledger {
        let s = &self.fabric.shared;
        let cm = &self.fabric.cm;
        Ledger {
            contexts: s.contexts.iter().filter(|(_, c)| !c.internal).count(),
            pds: s.pds.iter().filter(|(_, p)| !p.internal).count(),
            mrs: s.mrs.len(),
            comp_channels: s.channels.len(),
            cqs: s.cqs.len(),
            qps: self.fabric.qps.len(),
            srqs: s.srqs.len(),
            event_channels: cm.channels.iter().filter(|(_, c)| !c.internal).count(),
            cm_ids: cm.ids.iter().filter(|(_, i)| !i.cell.is_null()).count(),
            unacked_events: cm.ids.iter().map(|(_, i)| i.unacked as usize).sum(),
            violations: s.violations + s.mrs.deregistered.misuses(),
        }
    }

    /// One line for each object alive, in the order they were made: what it is, its parents, and where it was made.
    pub fn ledger_lines(&self) -> Vec<String> {
        let s = &self.fabric.shared;
        let cm = &self.fabric.cm;
        let cells = &self.cells;
        let mut lines: Vec<(u64, String, Place)> = Vec::new();
        let context = |key| s.contexts.get(key).map(|c| c.cell);
        let pd = |key| s.pds.get(key).map(|p| p.cell);
        let cq = |key| s.cqs.get(key).map(|c| c.cell);
        for (_, c) in s.contexts.iter().filter(|(_, c)| !c.internal) {
            let whole = (c.cell as usize - offset_of!(verbs_context, context)) as *const verbs_context;
            lines.push((c.serial, format!("context {:p}", c.cell), cells.contexts.made(whole)));
        }
        for (_, p) in s.pds.iter().filter(|(_, p)| !p.internal) {
            let text =
                format!("pd {:p} with {} children, of context {:?}", p.cell, p.children, context(p.context));
            lines.push((p.serial, text, cells.pds.made(p.cell)));
        }
        for (_, m) in s.mrs.iter() {
            let text = format!(
                "mr {:p} of {} bytes at {:#x}, rights {:#x}, lkey {:#x}, rkey {:#x}, in pd {:?}",
                m.cell,
                m.length,
                m.iova,
                m.access,
                m.lkey,
                m.rkey,
                pd(m.pd)
            );
            lines.push((m.serial, text, cells.mrs.made(m.cell)));
        }
        for (_, c) in s.channels.iter() {
            let of = context(c.context);
            let text = format!("completion channel {:p} with {} CQs, of context {of:?}", c.cell, c.children);
            lines.push((c.serial, text, cells.channels.made(c.cell)));
        }
        for (_, c) in s.cqs.iter() {
            let of = context(c.context);
            let on = c.channel.and_then(|k| s.channels.get(k)).map(|c| c.cell);
            let text = format!(
                "cq {:p} with {} uses by QPs, {} completions, of context {of:?}, on completion channel {on:?}",
                c.cell,
                c.users,
                c.len()
            );
            lines.push((c.serial, text, cells.cqs.made(c.cell.cast())));
        }
        for (_, q) in s.srqs.iter() {
            let text = format!("srq {:p} with {} QPs, in pd {:?}", q.cell, q.users, pd(q.pd));
            lines.push((q.serial, text, cells.srqs.made(q.cell)));
        }
        for (_, q) in self.fabric.qps.iter() {
            let mut text = format!(
                "qp {:p} number {:#x} in state {:?}, in pd {:?}",
                q.made.cell,
                q.made.number,
                q.state,
                pd(q.made.pd)
            );
            let _ = write!(text, ", send cq {:?}, recv cq {:?}", cq(q.made.send_cq), cq(q.made.recv_cq));
            if let Some(srq) = q.made.srq.and_then(|k| s.srqs.get(k)) {
                let _ = write!(text, ", srq {:p}", srq.cell);
            }
            lines.push((q.made.serial, text, cells.qps.made(q.made.cell.cast())));
        }
        for (_, c) in cm.channels.iter().filter(|(_, c)| !c.internal) {
            let text = format!("event channel {:p} with {} ids", c.cell, c.children);
            lines.push((c.serial, text, cells.event_channels.made(c.cell)));
        }
        for (_, i) in cm.ids.iter().filter(|(_, i)| !i.cell.is_null()) {
            let channel = cm.channels.get(i.channel).map(|c| c.cell);
            let text = format!(
                "cm id {:p} in state {:?}, {} events not acknowledged, on event channel {channel:?}",
                i.cell, i.state, i.unacked
            );
            lines.push((i.serial, text, cells.ids.made(i.cell.cast())));
        }
        lines.sort_by_key(|(serial, ..)| *serial);
        let mut lines: Vec<String> = lines
            .into_iter()
            .map(|(serial, text, made)| format!("{text} (made as object {serial} at {made})"))
            .collect();
        for (_, f) in self.fetched.iter() {
            let owner = cm.ids.get(f.owner).map(|i| i.cell);
            let fetched = cells.events.made(f.cell);
            lines.push(format!(
                "cm event {:p} of cm id {owner:?}, not acknowledged (fetched at {fetched})",
                f.cell
            ));
        }
        lines
    }
}

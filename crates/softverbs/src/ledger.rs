//! What is alive: counted, and listed with parents in the order it was made.

use std::fmt::Write;

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
            violations: s.violations,
        }
    }

    /// One line for each object alive, in the order they were made.
    pub fn ledger_lines(&self) -> Vec<String> {
        let s = &self.fabric.shared;
        let cm = &self.fabric.cm;
        let mut lines: Vec<(u64, String)> = Vec::new();
        let pd = |key| s.pds.get(key).map(|p| p.cell);
        let cq = |key| s.cqs.get(key).map(|c| c.cell);
        for (_, c) in s.contexts.iter().filter(|(_, c)| !c.internal) {
            lines.push((c.serial, format!("context {:p}", c.cell)));
        }
        for (_, p) in s.pds.iter().filter(|(_, p)| !p.internal) {
            lines.push((p.serial, format!("pd {:p} with {} children", p.cell, p.children)));
        }
        for (_, m) in s.mrs.iter() {
            let text = format!(
                "mr {:p} of {} bytes at {:#x}, lkey {:#x}, rkey {:#x}, in pd {:?}",
                m.cell,
                m.length,
                m.iova,
                m.lkey,
                m.rkey,
                pd(m.pd)
            );
            lines.push((m.serial, text));
        }
        for (_, c) in s.channels.iter() {
            lines.push((c.serial, format!("completion channel {:p} with {} CQs", c.cell, c.children)));
        }
        for (_, c) in s.cqs.iter() {
            lines.push((
                c.serial,
                format!("cq {:p} with {} uses by QPs, {} completions", c.cell, c.users, c.len()),
            ));
        }
        for (_, q) in s.srqs.iter() {
            lines.push((q.serial, format!("srq {:p} with {} QPs, in pd {:?}", q.cell, q.users, pd(q.pd))));
        }
        for (_, q) in self.fabric.qps.iter() {
            let mut text = format!(
                "qp {:p} number {:#x} in state {:?}, in pd {:?}",
                q.cell,
                q.number,
                q.state,
                pd(q.pd)
            );
            let _ = write!(text, ", send cq {:?}, recv cq {:?}", cq(q.send_cq), cq(q.recv_cq));
            lines.push((q.serial, text));
        }
        for (_, c) in cm.channels.iter().filter(|(_, c)| !c.internal) {
            lines.push((c.serial, format!("event channel {:p} with {} ids", c.cell, c.children)));
        }
        for (_, i) in cm.ids.iter().filter(|(_, i)| !i.cell.is_null()) {
            let channel = cm.channels.get(i.channel).map(|c| c.cell);
            let text = format!(
                "cm id {:p} in state {:?}, {} events not acknowledged, on event channel {channel:?}",
                i.cell, i.state, i.unacked
            );
            lines.push((i.serial, text));
        }
        lines.sort_by_key(|(serial, _)| *serial);
        lines.into_iter().map(|(serial, text)| format!("{text} (made as object {serial})")).collect()
    }
}

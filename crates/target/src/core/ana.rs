//! Asymmetric namespace access (Base 2.0, 8.1): the states of a subsystem's groups, and the log page that tells them.
//!
//! A group has one state for all hosts, or one for each port that they come by. All are optimized until something else is
//! said.

use std::collections::BTreeMap;

use spec::ana::{AnaState, RETURN_GROUPS_ONLY, encode_descriptor, encode_header};
use spec::{Command, Status};

use super::events::Event;
use super::{Controller, Core, NamespaceError, Subsystem};

/// ANAGRPMAX and NANAGRPID: groups have the ids up to this one.
pub const ANA_GROUPS: u32 = 16;
/// ANATT: no state of change lasts longer than it is told to; this is what hosts hear, in seconds.
pub(super) const TRANSITION_SECONDS: u8 = 10;
/// ANACAP: all states may be reported, and a namespace stays in its group.
pub(super) const CAPABILITIES: u8 = 0x5f;

/// The states of a subsystem's groups.
#[derive(Clone, Debug, Default)]
pub(super) struct Ana {
    /// By group and port; without a port it is the state at all ports that have none of their own.
    states: BTreeMap<(u32, Option<u16>), AnaState>,
    /// How often each group changed its state anywhere.
    changes: BTreeMap<u32, u64>,
}

impl Ana {
    fn state(&self, group: u32, port: Option<u16>) -> AnaState {
        let at_port = port.and_then(|port| self.states.get(&(group, Some(port))));
        let state = at_port.or_else(|| self.states.get(&(group, None)));
        state.copied().unwrap_or(AnaState::OPTIMIZED)
    }

    /// Whether commands may be executed on the namespaces of this group by hosts that came by this port.
    pub(super) fn check(&self, group: u32, port: Option<u16>) -> Result<(), Status> {
        if self.states.is_empty() {
            return Ok(());
        }
        self.state(group, port).refusal().map_or(Ok(()), Err)
    }

    fn set(&mut self, group: u32, port: Option<u16>, state: AnaState) {
        if port.is_none() {
            self.states.retain(|(other, _), _| *other != group);
        }
        self.states.insert((group, port), state);
        *self.changes.entry(group).or_default() += 1;
    }
}

impl Core {
    /// A group has another state from now on: at this port, or everywhere. The controllers for which that is a change hear of
    /// it.
    ///
    /// # Errors
    /// [`NamespaceError`]: no such subsystem, or no such group.
    pub fn set_ana_state(
        &mut self,
        nqn: &str,
        group: u32,
        port: Option<u16>,
        state: AnaState,
    ) -> Result<(), NamespaceError> {
        if !(1..=ANA_GROUPS).contains(&group) {
            return Err(NamespaceError::Group(group));
        }
        let index = self.index_of(nqn)?;
        let Some(subsystem) = self.subsystems.get_mut(index) else { return Ok(()) };
        let before = subsystem.ana.clone();
        subsystem.ana.set(group, port, state);
        for controller in self.controllers.values_mut().filter(|other| other.subsystem == Some(index)) {
            let port = controller.port;
            if before.state(group, port) != subsystem.ana.state(group, port) {
                controller.happened(Event::AnaChange, &mut self.releases);
            }
        }
        Ok(())
    }
}

impl Subsystem {
    /// The Asymmetric Namespace Access log page: the groups that have namespaces.
    pub(super) fn ana_page(&self, controller: &Controller, command: &Command) -> Vec<u8> {
        let mut groups: BTreeMap<u32, Vec<u32>> = BTreeMap::new();
        for (nsid, namespace) in (1..).zip(&self.namespaces) {
            if let Some(namespace) = namespace.as_ref().filter(|namespace| namespace.attached) {
                groups.entry(namespace.group).or_default().push(nsid);
            }
        }
        let changes = self.ana.changes.values().sum();
        let mut page = encode_header(changes, groups.len() as u16).to_vec();
        for (group, mut nsids) in groups {
            if command.cdw10() & RETURN_GROUPS_ONLY != 0 {
                nsids.clear();
            }
            let changes = self.ana.changes.get(&group).copied().unwrap_or_default();
            let state = self.ana.state(group, controller.port);
            page.extend(encode_descriptor(group, nsids.len() as u32, changes, state));
            page.extend(nsids.into_iter().flat_map(u32::to_le_bytes));
        }
        page
    }
}

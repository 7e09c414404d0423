//! Reservation notifications (Base 2.0, 8.19.9 and 5.16.1.24): hosts hear that they lost a registration, or that a reservation
//! that concerned them is gone.
//!
//! A controller keeps so many; older ones are lost when more come.

use std::collections::VecDeque;

use spec::NvmOpcode;
use spec::feature::FeatureId;
use spec::reservation::{encode_notification, notification};

use super::events::Event;
use super::reservations::Reservations;
use super::{Controller, Core, Release};

/// Notifications that a controller keeps.
const KEPT: usize = 255;

/// A notification: its number, what it is, and the namespace.
#[derive(Clone, Copy, Debug)]
struct Notification {
    number: u64,
    kind: u8,
    nsid: u32,
}

/// The notifications of a controller that were not read.
#[derive(Clone, Debug, Default)]
pub(super) struct Notifications {
    unread: VecDeque<Notification>,
    count: u64,
}

impl Controller {
    /// A notification comes, unless the mask of the namespace holds it off.
    fn notify(&mut self, kind: u8, nsid: u32, releases: &mut Vec<Release>) {
        let mask = self.features.get(&(FeatureId::RESERVATION_NOTIFICATION_MASK.0, nsid));
        if mask.is_some_and(|mask| mask & 1 << kind != 0) {
            return;
        }
        let notifications = &mut self.notifications;
        // The number 0 is that of no notification.
        notifications.count = notifications.count.wrapping_add(1).max(1);
        if notifications.unread.len() >= KEPT {
            notifications.unread.pop_front();
        }
        notifications.unread.push_back(Notification { number: notifications.count, kind, nsid });
        self.happened(Event::Reservation, releases);
    }

    /// The Reservation Notification log page: the oldest notification that was not read, and how many are behind it.
    pub(super) fn notification_page(&self) -> Vec<u8> {
        let unread = &self.notifications.unread;
        let behind = u8::try_from(unread.len().saturating_sub(1)).unwrap_or(u8::MAX);
        let page = unread.front().map(|one| encode_notification(one.number, one.kind, behind, one.nsid));
        page.unwrap_or_else(|| encode_notification(0, notification::NONE, 0, 0)).to_vec()
    }

    /// The oldest notification was read. The next one is an event of its own.
    pub(super) fn notification_was_read(&mut self, releases: &mut Vec<Release>) {
        self.notifications.unread.pop_front();
        if !self.notifications.unread.is_empty() {
            self.happened(Event::Reservation, releases);
        }
    }
}

impl Core {
    /// Tells the hosts that a command of another one concerned: what was before it is not so any more.
    pub(super) fn notify_hosts(&mut self, subsystem: Option<usize>, nsid: u32, notices: &[(u8, [u8; 16])]) {
        for (kind, hostid) in notices {
            let its = |controller: &&mut Controller| {
                controller.subsystem == subsystem && controller.hostid == *hostid
            };
            for controller in self.controllers.values_mut().filter(its) {
                controller.notify(*kind, nsid, &mut self.releases);
            }
        }
    }
}

impl Reservations {
    /// What others than the host that sent the command are to hear of it.
    pub(super) fn notices(
        &self,
        before: &Reservations,
        sender: &[u8; 16],
        opcode: NvmOpcode,
    ) -> Vec<(u8, [u8; 16])> {
        let others = before.hosts().filter(|host| host != sender);
        let ended = before.kind().filter(|kind| self.kind() != Some(*kind));
        let notice = |host: [u8; 16]| {
            let kind = match (self.hosts().any(|other| other == host), opcode) {
                (true, _) => ended.filter(|kind| !kind.is_of_one()).map(|_| notification::RELEASED)?,
                (false, NvmOpcode::RESERVATION_RELEASE) => notification::RESERVATION_PREEMPTED,
                (false, _) => notification::REGISTRATION_PREEMPTED,
            };
            Some((kind, host))
        };
        others.filter_map(notice).collect()
    }
}

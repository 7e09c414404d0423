//! Asynchronous events (Base 2.0, 5.2; NVMe-oF 5.4): what happened, for whom, and when that is told.
//!
//! What must hold, for each kind of event and controller: it is told only if Asynchronous Event Configuration asks for it;
//! once told it is not told again before its log page was read without RAE; what happens meanwhile is in that page. An event
//! that no request waits for is told to the next request, unless the page was read first.
//!
//! Kinds are told apart as other targets do it, by log page: a change of a namespace does not hide one of an ANA group.

use std::collections::BTreeSet;

use spec::feature::AsyncEvent;
use spec::feature::async_events::{ANA_CHANGE, DISCOVERY_LOG_CHANGE, NAMESPACE_ATTRIBUTE};
use spec::log::LogPageId;
use spec::namespace::encode_namespace_list;
use spec::{Completion, Status};

use super::{Controller, How, Release};

/// Types of events: a notice, and one of the I/O command set.
const NOTICE: u8 = 2;
const IO_COMMAND_SET: u8 = 6;
/// The bit that stands for reservation notifications here. It is none of Asynchronous Event Configuration: they have a mask of
/// their own, and are always asked for.
const RESERVATION: u32 = 1 << 24;

/// Something that a host may want to hear of.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Event {
    /// A namespace came, went, or is not what it was.
    NamespaceAttribute,
    /// An ANA group changed its state.
    AnaChange,
    /// The discovery log page changed.
    DiscoveryLog,
    /// There is a reservation notification.
    Reservation,
}

impl Event {
    const ALL: [Event; 4] =
        [Event::NamespaceAttribute, Event::AnaChange, Event::DiscoveryLog, Event::Reservation];

    /// Its bit in Asynchronous Event Configuration.
    fn bit(self) -> u32 {
        match self {
            Event::NamespaceAttribute => NAMESPACE_ATTRIBUTE,
            Event::AnaChange => ANA_CHANGE,
            Event::DiscoveryLog => DISCOVERY_LOG_CHANGE,
            Event::Reservation => RESERVATION,
        }
    }

    fn page(self) -> LogPageId {
        match self {
            Event::NamespaceAttribute => LogPageId::CHANGED_NAMESPACES,
            Event::AnaChange => LogPageId::ASYMMETRIC_NAMESPACE_ACCESS,
            Event::DiscoveryLog => LogPageId::DISCOVERY,
            Event::Reservation => LogPageId::RESERVATION_NOTIFICATION,
        }
    }

    /// Dword 0 of the completion that tells it.
    fn dword(self) -> u32 {
        let (kind, information) = match self {
            Event::NamespaceAttribute => (NOTICE, 0x00),
            Event::AnaChange => (NOTICE, 0x03),
            Event::DiscoveryLog => (NOTICE, 0xf0),
            Event::Reservation => (IO_COMMAND_SET, 0x00),
        };
        AsyncEvent::new(kind, information, self.page().0).0
    }
}

/// The events of a controller; sets of kinds are bits of Asynchronous Event Configuration.
#[derive(Clone, Debug, Default)]
pub(super) struct Events {
    /// Those that the host wants to hear of.
    pub enabled: u32,
    /// Those that no request was there for.
    pending: u32,
    /// Those that were told, and whose page was not read since.
    masked: u32,
    /// Namespaces that changed since the page was read. There are never more than fit the page.
    changed: BTreeSet<u32>,
}

impl Controller {
    /// A namespace came, went or changed.
    pub(super) fn namespace_changed(&mut self, nsid: u32, releases: &mut Vec<Release>) {
        self.events.changed.insert(nsid);
        self.happened(Event::NamespaceAttribute, releases);
    }

    /// Something happened.
    pub(super) fn happened(&mut self, event: Event, releases: &mut Vec<Release>) {
        let enabled = self.events.enabled | RESERVATION;
        if enabled & !self.events.masked & event.bit() != 0 {
            self.events.pending |= event.bit();
            self.tell(releases);
        }
    }

    /// Answers held requests, as far as there is something to tell.
    pub(super) fn tell(&mut self, releases: &mut Vec<Release>) {
        for event in Event::ALL {
            if self.events.pending & event.bit() == 0 || self.held.is_empty() {
                continue;
            }
            let (cid, tag) = self.held.remove(0);
            self.events.pending &= !event.bit();
            self.events.masked |= event.bit();
            let completion = Completion::new(0, cid, Status::SUCCESS).with_cdw0(event.dword());
            let how = How::Answer(completion);
            releases.push(Release { cntlid: self.cntlid, qid: 0, tag, how });
        }
    }

    /// Takes a new configuration. What nobody wants to hear of any more is not told.
    pub(super) fn enable_events(&mut self, enabled: u32) {
        self.events.enabled = enabled;
        self.events.pending &= enabled | RESERVATION;
    }

    /// The Changed Namespace List log page.
    pub(super) fn changed_namespaces(&self) -> Vec<u8> {
        encode_namespace_list(self.events.changed.iter().copied()).to_vec()
    }

    /// A log page was read without RAE: its event may come again.
    pub(super) fn page_was_read(&mut self, page: LogPageId, releases: &mut Vec<Release>) {
        for event in Event::ALL.into_iter().filter(|event| event.page() == page) {
            self.events.pending &= !event.bit();
            self.events.masked &= !event.bit();
        }
        if page == LogPageId::CHANGED_NAMESPACES {
            self.events.changed.clear();
        }
        if page == LogPageId::RESERVATION_NOTIFICATION {
            self.notification_was_read(releases);
        }
    }
}

//! Asynchronous events (Base 2.0, 5.2): requests that stay with the controller until it has something to tell.
//!
//! What must hold: a request is armed again by each event and never once the controller goes (T118); a controller that
//! answers at once and for ever costs a few log lines in a period, and as many commands a poll as there are requests, or, if it
//! answers with errors, as many a second.

use super::{Error, admin::AdminQueue, budget::Sparing};
use crate::{
    clock::{self, Moment},
    transport::{self, Completer, Payload},
};
use spec::{Command, Completion, Status, feature::AsyncEvent};
use std::{cell::Cell, collections::VecDeque, rc::Rc, time::Duration};

/// Requests that are kept outstanding at most.
const REQUESTS: u32 = 8;

/// How long as many requests as that may take the place of others that failed; those that fail beyond that are armed when it is over.
const REARM_PERIOD: Duration = Duration::from_secs(1);

/// Events that wait for their listener at most: what one poll of the queue can bring, several times over.
const WAITING: usize = 256;

/// Ends that are no events and after which none is requested: the queue went, or it had a request more than the controller takes.
const SILENT: [Status; 2] = [Status::ABORTED_SQ_DELETION, Status::ASYNC_EVENT_REQUEST_LIMIT_EXCEEDED];

/// Who hears of the events of a controller.
pub type EventListener = Rc<dyn Fn(&Completion)>;

/// Who hears that namespaces changed: their ids, or None if these are not known.
pub type ChangeListener = Rc<dyn Fn(Option<&[u32]>)>;

/// An event that waits for its listener.
struct Waiting {
    completion: Completion,
    readiness: Readiness,
}

/// Whether the program can be told.
enum Readiness {
    /// What it concerns has to be read again before, and that was not begun.
    Stale,
    /// That is being read.
    Reading,
    /// It can, with the ids of the namespaces that changed, if that is what it is about and if they are known.
    Ready(Option<Rc<[u32]>>),
}

/// A notice (type 2) that namespaces changed (information 0; Base 2.0, figure 150).
fn is_of_namespaces(completion: &Completion) -> bool {
    let event = AsyncEvent(completion.cdw0());
    completion.is_success() && event.kind() == 2 && event.information() == 0
}

/// What an event says has changed, which is to be read again before the program hears of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Concerns {
    pub(super) namespaces: bool,
    /// How they are reached (information 3; Base 2.0, figure 150).
    pub(super) access: bool,
}

impl Concerns {
    fn of(completion: &Completion) -> Self {
        let event = AsyncEvent(completion.cdw0());
        let is_notice = completion.is_success() && event.kind() == 2;
        Self { namespaces: is_of_namespaces(completion), access: is_notice && event.information() == 3 }
    }

    fn and(self, other: Self) -> Self {
        Self { namespaces: self.namespaces || other.namespaces, access: self.access || other.access }
    }
}

/// What is kept for the events of one controller.
pub(super) struct Events {
    lines: Sparing,
    listener: Cell<Option<EventListener>>,
    /// Ends of requests that the listener has not heard of, in the order in which they came.
    waiting: Cell<VecDeque<Waiting>>,
    change_listener: Cell<Option<ChangeListener>>,
    /// The program reads the log of changed namespaces by itself.
    leaves_changed_list: Cell<bool>,
    /// The listener is being told: a poll from there does not tell it of the next.
    telling: Cell<bool>,
    /// Until when so many requests more may take the place of others that failed.
    rearming: Cell<(Moment, u32)>,
    /// Requests that are to be armed, and could not be yet.
    owed: Cell<u32>,
}

impl Events {
    pub(super) fn new(leaves_changed_list: bool) -> Self {
        Self {
            lines: Sparing::new(),
            listener: Cell::default(),
            waiting: Cell::default(),
            change_listener: Cell::default(),
            leaves_changed_list: Cell::new(leaves_changed_list),
            telling: Cell::new(false),
            rearming: Cell::new((Moment::START, 0)),
            owed: Cell::new(0),
        }
    }

    /// Whether a line about events may be written now; if not it is counted.
    pub(super) fn may_tell(&self) -> bool {
        self.lines.may_tell(clock::now())
    }

    /// Sets who hears of events; the last one counts.
    pub(super) fn listen(&self, listener: Option<EventListener>) {
        self.listener.set(listener);
    }

    /// Sets who hears that namespaces changed; the last one counts.
    pub(super) fn listen_to_changes(&self, listener: Option<ChangeListener>) {
        self.change_listener.set(listener);
    }

    pub(super) fn leave_changed_list(&self) {
        self.leaves_changed_list.set(true);
    }

    /// Whether the log of changed namespaces is this host's to read.
    pub(super) fn reads_changed_list(&self) -> bool {
        !self.leaves_changed_list.get()
    }

    /// Tells the listener of what has come by now, in order; without one it is forgotten. What needs something to be read again,
    /// which `refresh` begins, waits for that, and all that came after it as well. Whoever is told may do anything; a poll from there
    /// tells of nothing, so that a controller that answers at once does not make one callback run in another without end.
    pub(super) fn tell(&self, refresh: &dyn Fn(Concerns)) {
        if self.telling.replace(true) {
            return;
        }
        for _ in 0..self.with_waiting(|waiting| waiting.len()) {
            let is_ready = self.with_waiting(|waiting| {
                waiting.front().map(|first| matches!(first.readiness, Readiness::Ready(_)))
            });
            match is_ready {
                None => break,
                Some(true) => self.tell_one(),
                Some(false) => {
                    if let Some(concerns) = self.begin_reading() {
                        refresh(concerns);
                    }
                    break;
                }
            }
        }
        self.telling.set(false);
    }

    fn tell_one(&self) {
        let Some(Waiting { completion, readiness }) = self.with_waiting(VecDeque::pop_front) else { return };
        let change_listener = self.change_listener.take();
        self.change_listener.set(change_listener.clone());
        let listener = self.listener.take();
        self.listener.set(listener.clone());
        match (readiness, change_listener, listener) {
            (Readiness::Ready(ids), Some(listener), _) if is_of_namespaces(&completion) => {
                listener(ids.as_deref());
            }
            (_, _, Some(listener)) => listener(&completion),
            _ => {}
        }
    }

    /// One reading does for all that wait for one: what they concern. None if that is under way.
    fn begin_reading(&self) -> Option<Concerns> {
        self.with_waiting(|waiting| {
            if waiting.iter().any(|event| matches!(event.readiness, Readiness::Reading)) {
                return None;
            }
            let mut concerns = Concerns::default();
            for event in waiting.iter_mut().filter(|event| matches!(event.readiness, Readiness::Stale)) {
                event.readiness = Readiness::Reading;
                concerns = concerns.and(Concerns::of(&event.completion));
            }
            Some(concerns)
        })
    }

    /// What was to be read was, or could not be; these namespaces are known to have changed.
    pub(super) fn refreshed(&self, changed: Option<Vec<u32>>) {
        let changed: Option<Rc<[u32]>> = changed.map(Rc::from);
        self.with_waiting(|waiting| {
            for event in waiting.iter_mut().filter(|event| matches!(event.readiness, Readiness::Reading)) {
                event.readiness = Readiness::Ready(changed.clone());
            }
        });
    }

    /// Runs `work` on the events that wait, out of their cell. It must not call the layer above.
    fn with_waiting<T>(&self, work: impl FnOnce(&mut VecDeque<Waiting>) -> T) -> T {
        let mut waiting = self.waiting.take();
        let result = work(&mut waiting);
        self.waiting.set(waiting);
        result
    }

    /// Keeps one Asynchronous Event Request outstanding; `told` hears of its end.
    pub(super) fn request(&self, admin: &AdminQueue, told: Rc<dyn Fn(&Completion)>) {
        let requested = admin.submit(Command::async_event_request(), Payload::None, Completer::Shared(told));
        if let Err(error) = requested {
            if error == Error::Transport(transport::Error::NoRequests) {
                self.owe(); // the program has all of them now
            }
            if self.lines.may_tell(clock::now()) {
                tracing::warn!("{}: Asynchronous Event Request: {error}", admin.qpair().label());
            }
        }
    }

    /// Takes account of the end of a request, while others are `wanted`. Whether another one is to take its place now.
    pub(super) fn heard(&self, admin: &AdminQueue, completion: &Completion, wanted: bool) -> bool {
        let (label, now) = (admin.qpair().label(), clock::now());
        let is_silent = SILENT.contains(&completion.status().with_dnr(false));
        if wanted && !is_silent {
            let stale = Concerns::of(completion) != Concerns::default();
            let readiness = if stale { Readiness::Stale } else { Readiness::Ready(None) };
            self.with_waiting(|waiting| {
                // More than that say nothing new: whoever is late has to look at all of its state.
                if waiting.len() < WAITING && waiting.try_reserve(1).is_ok() {
                    waiting.push_back(Waiting { completion: *completion, readiness });
                }
            });
        }
        if completion.is_success() {
            if self.lines.may_tell(now) {
                tracing::info!("{label}: asynchronous event {:#010x}", completion.cdw0());
            }
            return true;
        }
        if wanted && self.lines.may_tell(now) {
            let status = completion.status().name();
            tracing::error!("{label}: Asynchronous Event Request was refused with {status}");
        }
        wanted && !is_silent && self.may_rearm(now)
    }

    /// Whether a request may take the place of one that failed; if not it is owed.
    fn may_rearm(&self, now: Moment) -> bool {
        let (mut until, mut left) = self.rearming.get();
        if now.has_reached(until) {
            (until, left) = (now.after(REARM_PERIOD), REQUESTS);
        }
        let more = left.checked_sub(1);
        self.rearming.set((until, more.unwrap_or(0)));
        if more.is_none() {
            self.owe();
        }
        more.is_some()
    }

    fn owe(&self) {
        self.owed.set(self.owed.get().saturating_add(1).min(REQUESTS));
    }

    /// How many requests are to be armed now, which is the caller's from here on.
    pub(super) fn take_owed(&self) -> u32 {
        let (owed, now) = (self.owed.get(), clock::now());
        if owed == 0 || !now.has_reached(self.rearming.get().0) {
            return 0;
        }
        self.rearming.set((now.after(REARM_PERIOD), REQUESTS.saturating_sub(owed)));
        self.owed.set(0);
        owed
    }

    /// The queue is connected anew, and nothing outstanding there.
    pub(super) fn begin_anew(&self) {
        self.owed.set(0);
    }

    /// Says how many events got no line, once a flood of them is over or has lasted for a period.
    pub(super) fn sum_up(&self, admin: &AdminQueue) {
        if let Some(count) = self.lines.sum_up(clock::now()) {
            tracing::info!("{}: {count} more asynchronous events were not logged", admin.qpair().label());
        }
    }
}

/// How many requests a controller with this AERL (zero-based) gets: so many that even the queue of a small device has room
/// for a command beside them. Room for a Keep Alive is reserved apart.
pub(super) fn requests(aerl: u8, admin: &AdminQueue) -> u32 {
    REQUESTS.min(u32::from(aerl) + 1).min(admin.qpair().depth().saturating_sub(1))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An event of this type and with this information in Dword 0 (Base 2.0, figure 147), or the failure of its request.
    fn event(kind: u32, information: u32, status: Status) -> Completion {
        Completion::new(0, 0, status).with_result(u64::from(kind | information << 8))
    }

    #[test]
    fn lines_about_events_are_few() {
        crate::clock::test_clock::install();
        let events = Events::new(false);
        let told = (0..100).filter(|_| events.may_tell()).count();
        assert!((1..10).contains(&told), "{told} lines");
    }

    #[test]
    fn only_two_notices_have_something_read_again() {
        let nothing = Concerns::default();
        for (kind, information) in
            (0..8).flat_map(|kind| (0..256).map(move |information| (kind, information)))
        {
            let wanted = match (kind, information) {
                (2, 0) => Concerns { namespaces: true, ..nothing },
                (2, 3) => Concerns { access: true, ..nothing },
                _ => nothing,
            };
            let [heard, failed] =
                [Status::SUCCESS, Status::INTERNAL_ERROR].map(|status| event(kind, information, status));
            assert_eq!(Concerns::of(&heard), wanted, "type {kind}, information {information}");
            assert_eq!(is_of_namespaces(&heard), wanted.namespaces);
            assert_eq!(Concerns::of(&failed), nothing, "an error is no event");
        }
    }
}

//! The life cycle of a qpair, as a pure function.
//!
//! [`step`] takes a state and an event and gives the next state and what is to be done. It does no I/O and reads no
//! clock; it is generic over the resources that the states own, so that a test can drive it with counting tokens.
//!
//! What must hold:
//!
//! - each state owns exactly what exists in it: `R` is an id that is being resolved, `C` a whole connection;
//! - a connection leaves only through `Draining`, and from there only as the argument of [`Action::Release`];
//! - an event that means nothing in a state changes nothing (T69); the first reason for an end stays (T72).

use super::ConnectError;

/// Why a qpair is not connected any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FailureReason {
    /// It never was, or the program disconnected it.
    None,
    /// Something on this side failed.
    Local,
    /// The peer ended the connection.
    Remote,
    /// The controller was reset.
    Reset,
    /// The cause is not known.
    Unknown,
}

/// Where a qpair stands.
#[derive(Debug)]
pub(super) enum State<R, C> {
    /// Never connected.
    Idle,
    /// Finding the device that reaches the address.
    ResolvingAddress(R),
    /// Finding the route.
    ResolvingRoute(R),
    /// The connection is being built from what was resolved. Owns nothing: the builder does.
    Building,
    /// The CM's connect request is out.
    Connecting(C),
    /// The Fabrics Connect command is out.
    FabricConnect(C),
    /// Ready for I/O.
    Live(C),
    /// The queue pair is in the error state; its work requests are being accounted for.
    Draining(C, End),
    /// The target still held an older connection or queue of this host; the next attempt is due later.
    Backoff,
    /// Over, and everything released.
    Disconnected(End),
}

/// How a connection came to its end, and what follows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum End {
    /// The program asked for it.
    Requested,
    /// It failed while connecting.
    NotConnected(ConnectError),
    /// It failed while in use.
    Failed(FailureReason),
    /// The target still holds what was before: another attempt follows.
    Retry,
}

/// What happened to a qpair.
#[derive(Debug)]
pub(super) enum Event<R, C> {
    /// The program wants a connection, or another attempt is due; the new id comes along.
    Connect(R),
    /// The CM found the device.
    AddressResolved,
    /// The CM found the route.
    RouteResolved,
    /// The connection was built.
    Built(C),
    /// The CM connection is up.
    Established,
    /// The target still holds an older connection or queue of this host, and another attempt is allowed.
    StillHeld,
    /// The Fabrics Connect command succeeded.
    FabricConnected,
    /// The program wants no connection any more.
    Disconnect,
    /// Something failed while connecting.
    ConnectFailed(ConnectError),
    /// Something failed while in use.
    Failed(FailureReason),
    /// Draining: every posted work request is accounted for, or the deadline has passed.
    DrainEnded,
}

/// What is to be done after a step.
#[derive(Debug)]
pub(super) enum Action<R, C> {
    /// Nothing.
    Nothing,
    /// Resolve the address with the state's id.
    ResolveAddress,
    /// Resolve the route with the state's id.
    ResolveRoute,
    /// Build a connection from the id; [`Event::Built`] or [`Event::ConnectFailed`] follows at once.
    Build(R),
    /// Send the CM's connect request.
    RequestConnection,
    /// Send the Fabrics Connect command.
    SendFabricConnect,
    /// Let waiting requests go.
    Start,
    /// Move the queue pair to the error state and begin to account.
    Drain,
    /// Release the connection: by a proof that it is drained, or by destroying its queue pair.
    Release(C),
    /// Drop an id that no connection was made of.
    Drop(R),
    /// The event was not allowed in this state: the caller gets its resource back.
    Refuse(Refused<R, C>),
}

/// A resource that came with an event that the state does not allow.
#[derive(Debug)]
pub(super) enum Refused<R, C> {
    /// An id.
    Id(R),
    /// A connection; it must be released like any other.
    Connection(C),
}

/// The next state, and what is to be done.
pub(super) fn step<R, C>(state: State<R, C>, event: Event<R, C>) -> (State<R, C>, Action<R, C>) {
    use {Action as A, Event as E, State as S};
    match (state, event) {
        (S::Idle | S::Disconnected(_) | S::Backoff, E::Connect(id)) => {
            (S::ResolvingAddress(id), A::ResolveAddress)
        }
        (state, E::Connect(id)) => (state, A::Refuse(Refused::Id(id))),

        (S::ResolvingAddress(id), E::AddressResolved) => (S::ResolvingRoute(id), A::ResolveRoute),
        (S::ResolvingRoute(id), E::RouteResolved) => (S::Building, A::Build(id)),
        (S::Building, E::Built(connection)) => (S::Connecting(connection), A::RequestConnection),
        (state, E::Built(connection)) => (state, A::Refuse(Refused::Connection(connection))),
        (S::Connecting(connection), E::Established) => (S::FabricConnect(connection), A::SendFabricConnect),
        (S::FabricConnect(connection), E::FabricConnected) => (S::Live(connection), A::Start),

        (S::Connecting(connection) | S::FabricConnect(connection), E::StillHeld) => {
            (S::Draining(connection, End::Retry), A::Drain)
        }

        (state, E::Disconnect) => end(state, End::Requested),
        // However the old connection ends, the next attempt follows.
        (state @ S::Draining(_, End::Retry), E::ConnectFailed(_) | E::Failed(_)) => (state, A::Nothing),
        (state @ (S::Live(_) | S::Idle | S::Disconnected(_)), E::ConnectFailed(_)) => (state, A::Nothing),
        (state, E::ConnectFailed(error)) => end(state, End::NotConnected(error)),
        (state @ S::Live(_), E::Failed(reason)) => end(state, End::Failed(reason)),
        (state, E::Failed(_)) => end(state, End::NotConnected(ConnectError::Lost)),

        (S::Draining(connection, End::Retry), E::DrainEnded) => (S::Backoff, A::Release(connection)),
        (S::Draining(connection, end), E::DrainEnded) => (S::Disconnected(end), A::Release(connection)),

        (
            state,
            E::AddressResolved
            | E::RouteResolved
            | E::Established
            | E::StillHeld
            | E::FabricConnected
            | E::DrainEnded,
        ) => (state, A::Nothing),
    }
}

/// Whatever the state holds is on its way out.
fn end<R, C>(state: State<R, C>, end: End) -> (State<R, C>, Action<R, C>) {
    use {Action as A, State as S};
    match state {
        S::ResolvingAddress(id) | S::ResolvingRoute(id) => (S::Disconnected(end), A::Drop(id)),
        S::Building | S::Backoff => (S::Disconnected(end), A::Nothing),
        S::Connecting(connection) | S::FabricConnect(connection) | S::Live(connection) => {
            (S::Draining(connection, end), A::Drain)
        }
        // A retry that was planned is off; any other end keeps its first reason.
        S::Draining(connection, End::Retry) => (S::Draining(connection, end), A::Nothing),
        state @ (S::Draining(..) | S::Idle | S::Disconnected(_)) => (state, A::Nothing),
    }
}

impl<R, C> State<R, C> {
    /// Whether there is neither a connection nor an attempt at one.
    pub(super) fn is_at_rest(&self) -> bool {
        matches!(self, Self::Idle | Self::Disconnected(_))
    }

    pub(super) fn name(&self) -> &'static str {
        match self {
            Self::Idle => "idle",
            Self::ResolvingAddress(_) => "resolving the address",
            Self::ResolvingRoute(_) => "resolving the route",
            Self::Building => "building",
            Self::Connecting(_) => "connecting",
            Self::FabricConnect(_) => "in Fabrics Connect",
            Self::Live(_) => "live",
            Self::Draining(..) => "draining",
            Self::Backoff => "waiting for another attempt",
            Self::Disconnected(_) => "disconnected",
        }
    }
}

#[cfg(test)]
mod tests {
    //! Every sequence of events up to a depth, with resources that count themselves.

    use super::*;
    use std::{cell::Cell, collections::HashSet, rc::Rc};

    /// A resource: knows whether it is an id or a connection, and how many of its kind live.
    #[derive(Debug)]
    struct Counted(Rc<Cell<i32>>);

    impl Counted {
        fn new(count: &Rc<Cell<i32>>) -> Self {
            count.set(count.get() + 1);
            Self(count.clone())
        }
    }

    impl Drop for Counted {
        fn drop(&mut self) {
            self.0.set(self.0.get() - 1);
        }
    }

    #[derive(Clone)]
    struct World {
        ids: Rc<Cell<i32>>,
        connections: Rc<Cell<i32>>,
    }

    const EVENTS: usize = 11;

    fn event(world: &World, number: usize) -> Event<Counted, Counted> {
        match number {
            0 => Event::Connect(Counted::new(&world.ids)),
            1 => Event::AddressResolved,
            2 => Event::RouteResolved,
            3 => Event::Built(Counted::new(&world.connections)),
            4 => Event::Established,
            5 => Event::StillHeld,
            6 => Event::FabricConnected,
            7 => Event::Disconnect,
            8 => Event::ConnectFailed(ConnectError::Unreachable),
            9 => Event::Failed(FailureReason::Remote),
            _ => Event::DrainEnded,
        }
    }

    /// Ids and connections that a state owns.
    fn owned(state: &State<Counted, Counted>) -> (i32, i32) {
        match state {
            State::ResolvingAddress(_) | State::ResolvingRoute(_) => (1, 0),
            State::Connecting(_) | State::FabricConnect(_) | State::Live(_) | State::Draining(..) => (0, 1),
            State::Idle | State::Building | State::Backoff | State::Disconnected(_) => (0, 0),
        }
    }

    /// Events that lead from `Idle` to each state, by number.
    const WAYS: [&[usize]; 13] = [
        &[],
        &[0],
        &[0, 1],
        &[0, 1, 2],
        &[0, 1, 2, 3],
        &[0, 1, 2, 3, 4],
        &[0, 1, 2, 3, 4, 6],
        &[0, 1, 2, 3, 4, 6, 9],
        &[0, 1, 2, 3, 5],
        &[0, 1, 2, 3, 4, 5],
        &[0, 1, 2, 3, 5, 10],
        &[0, 1, 2, 3, 4, 6, 9, 10],
        &[0, 8],
    ];

    #[test]
    fn every_sequence_keeps_one_owner_and_releases_only_what_was_drained() {
        const DEPTH: u32 = 4;
        let mut seen = HashSet::new();
        for way in WAYS {
            for sequence in 0..EVENTS.pow(DEPTH) {
                let tail = (0..DEPTH).map(|place| sequence / EVENTS.pow(place) % EVENTS);
                drive(way.iter().copied().chain(tail), &mut seen);
            }
        }
        // Nothing leads into a life, or out of one, but its own door.
        assert!(seen.contains(&("in Fabrics Connect", 6, "live")));
        assert!(
            seen.iter().all(|(from, _, to)| *to != "live" || matches!(*from, "live" | "in Fabrics Connect"))
        );
        assert!(seen.iter().all(|(from, _, to)| *from != "live" || matches!(*to, "live" | "draining")));
        assert!(
            seen.iter().all(|(from, event, to)| *from != "draining" || *to == "draining" || *event == 10),
            "draining ends only when it is over"
        );
    }

    type Seen = HashSet<(&'static str, usize, &'static str)>;

    fn drive(events: impl Iterator<Item = usize>, seen: &mut Seen) {
        let world = World { ids: Rc::default(), connections: Rc::default() };
        let mut state: State<Counted, Counted> = State::Idle;
        for number in events {
            let was_draining = matches!(state, State::Draining(..));
            let before = state.name();
            let (next, action) = step(state, event(&world, number));
            seen.insert((before, number, next.name()));
            match &action {
                Action::Release(_) => assert!(was_draining, "released from {before}"),
                Action::Build(_) => assert_eq!(next.name(), "building"),
                Action::Drain => assert!(matches!(next, State::Draining(..))),
                Action::RequestConnection => assert!(matches!(next, State::Connecting(_))),
                Action::Refuse(Refused::Id(_)) => assert_eq!(number, 0),
                Action::Refuse(Refused::Connection(_)) => assert_eq!(number, 3),
                _ => {}
            }
            drop(action);
            assert_eq!((world.ids.get(), world.connections.get()), owned(&next), "after {before}, {number}");
            state = next;
        }
        drop(state);
        assert_eq!((world.ids.get(), world.connections.get()), (0, 0));
    }

    #[test]
    fn the_first_reason_stays() {
        let (state, _) = step::<(), ()>(State::Live(()), Event::Failed(FailureReason::Remote));
        let (state, _) = step(state, Event::Disconnect);
        let (state, _) = step(state, Event::Failed(FailureReason::Local));
        let (state, action) = step(state, Event::DrainEnded);
        assert!(matches!(state, State::Disconnected(End::Failed(FailureReason::Remote))));
        assert!(matches!(action, Action::Release(())));
    }

    #[test]
    fn t02_a_stale_connection_is_drained_before_the_next_attempt() {
        for held in [State::Connecting(()), State::FabricConnect(())] {
            let (state, action) = step::<(), ()>(held, Event::StillHeld);
            assert!(matches!(action, Action::Drain));
            let (state, action) = step(state, Event::Connect(()));
            assert!(matches!(action, Action::Refuse(_)), "not before the old connection was released");
            let (state, action) = step(state, Event::DrainEnded);
            assert!(matches!((&state, action), (State::Backoff, Action::Release(()))));
            assert!(matches!(step(state, Event::Connect(())).0, State::ResolvingAddress(())));
        }
        assert!(matches!(step::<(), ()>(State::Live(()), Event::StillHeld).0, State::Live(())));
    }

    #[test]
    fn the_end_of_a_stale_connection_is_no_end_of_the_attempt() {
        for event in [Event::Failed(FailureReason::Remote), Event::ConnectFailed(ConnectError::Lost)] {
            let (state, _) = step::<(), ()>(State::Draining((), End::Retry), event);
            assert!(matches!(step(state, Event::DrainEnded).0, State::Backoff));
        }
    }

    #[test]
    fn a_disconnect_during_a_stale_drain_calls_the_retry_off() {
        let (state, _) = step::<(), ()>(State::Draining((), End::Retry), Event::Disconnect);
        assert!(matches!(step(state, Event::DrainEnded).0, State::Disconnected(End::Requested)));
    }
}

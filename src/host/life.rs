//! A controller's life, as a pure function: which stage follows which, and what is to be done for it.
//!
//! It reads no clock and calls nobody; the controller performs the actions. What must hold: there is one bring-up or one end under way
//! at most; what another thread or a callback asks for at the wrong moment gets a [`Refusal`] and changes nothing; from
//! [`Stage::Detaching`] on there is no way back.

/// Where a controller stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stage {
    /// It is being brought up for the first time.
    Connecting,
    /// It takes commands.
    Live,
    /// It does not any more, and nobody has begun to reset it: its Admin Queue ends or has ended.
    Down,
    /// The program resets it: its Admin Queue is on its way to its end.
    Disconnecting,
    /// The program resets it: its Admin Queue is at rest.
    Disconnected,
    /// It is being brought up again.
    Reconnecting,
    /// It is being detached.
    Detaching,
    /// It is detached.
    Gone,
}

/// A stage, and whether the controller has failed: by word of the program, with its bring-up, or with its Admin Queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Life {
    pub(super) stage: Stage,
    pub(super) failed: bool,
}

/// What happens to a controller.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Event {
    /// A bring-up succeeded.
    BroughtUp,
    /// A bring-up failed.
    BringUpFailed,
    /// The Admin Queue lost its connection.
    Lost,
    /// The Admin Queue failed: it says so itself, and not the controller.
    QueueFailed,
    /// The controller is declared failed.
    Fail,
    /// The program begins to reset it.
    Disconnect,
    /// The Admin Queue has come to rest.
    AtRest,
    /// The program has it brought up again.
    Reconnect,
    /// The program detaches it.
    Detach,
    /// All of it is released.
    Ended,
}

/// What is to be done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Action {
    Nothing,
    /// Bring the Admin Queue to its end; the I/O qpairs notice that their association is over.
    EndAssociation,
    /// As before, and a bring-up that is under way is given up.
    GiveUp,
    /// Begin a bring-up.
    BringUp,
    /// Begin to detach.
    ShutDown,
}

/// Why nothing is done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Refusal {
    /// A reset is under way.
    Resetting,
    /// The controller is being detached, or is not attached yet.
    NotThere,
    /// It has failed before.
    AlreadyFailed,
    /// It means nothing at this stage.
    Meaningless,
}

impl Life {
    /// Of a controller that is made.
    pub(super) const NEW: Self = Self { stage: Stage::Connecting, failed: false };

    /// Whether a reset is under way.
    pub(super) fn is_resetting(self) -> bool {
        matches!(self.stage, Stage::Disconnecting | Stage::Disconnected | Stage::Reconnecting)
    }

    /// Whether it is being detached, or is.
    pub(super) fn is_ending(self) -> bool {
        matches!(self.stage, Stage::Detaching | Stage::Gone)
    }

    /// What follows.
    pub(super) fn step(self, event: Event) -> Result<(Self, Action), Refusal> {
        let to = |stage: Stage, action: Action| Ok((Self { stage, ..self }, action));
        let failed = |stage: Stage, action: Action| Ok((Self { stage, failed: true }, action));
        match (self.stage, event) {
            (Stage::Gone, _) => Err(Refusal::NotThere),
            (Stage::Detaching, Event::Ended) => to(Stage::Gone, Action::Nothing),
            (Stage::Detaching, Event::Lost | Event::QueueFailed | Event::AtRest) => Err(Refusal::Meaningless),
            (Stage::Detaching, _) => Err(Refusal::NotThere),
            (Stage::Connecting | Stage::Reconnecting, Event::Detach) => to(Stage::Detaching, Action::GiveUp),
            (_, Event::Detach) => to(Stage::Detaching, Action::ShutDown),

            (Stage::Connecting | Stage::Reconnecting, Event::BroughtUp) => {
                Ok((Self { stage: Stage::Live, failed: false }, Action::Nothing))
            }
            (Stage::Connecting | Stage::Reconnecting, Event::BringUpFailed | Event::Fail) => {
                failed(Stage::Down, Action::GiveUp)
            }

            (_, Event::Fail) if self.failed => Err(Refusal::AlreadyFailed),
            (Stage::Disconnecting | Stage::Disconnected, Event::Fail) => Err(Refusal::Resetting),
            (Stage::Live | Stage::Down, Event::Fail) => failed(Stage::Down, Action::EndAssociation),

            (Stage::Live, Event::Lost) => to(Stage::Down, Action::EndAssociation),
            (Stage::Live, Event::QueueFailed) => failed(Stage::Down, Action::EndAssociation),

            (Stage::Live | Stage::Down, Event::Disconnect) => {
                Ok((Self { stage: Stage::Disconnecting, failed: false }, Action::EndAssociation))
            }
            (Stage::Disconnecting | Stage::Disconnected | Stage::Reconnecting, Event::Disconnect) => {
                Err(Refusal::Resetting)
            }
            (Stage::Connecting, Event::Disconnect) => Err(Refusal::NotThere),

            // A reset that never came to its bring-up.
            (Stage::Disconnecting | Stage::Disconnected, Event::BringUpFailed) => {
                failed(Stage::Down, Action::Nothing)
            }
            (Stage::Disconnecting, Event::AtRest) => to(Stage::Disconnected, Action::Nothing),

            (Stage::Disconnected, Event::Reconnect) => to(Stage::Reconnecting, Action::BringUp),
            (_, Event::Reconnect) => Err(Refusal::Meaningless),

            (
                _,
                Event::BroughtUp
                | Event::BringUpFailed
                | Event::Lost
                | Event::QueueFailed
                | Event::AtRest
                | Event::Ended,
            ) => Err(Refusal::Meaningless),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const EVENTS: [Event; 10] = [
        Event::BroughtUp,
        Event::BringUpFailed,
        Event::Lost,
        Event::QueueFailed,
        Event::Fail,
        Event::Disconnect,
        Event::AtRest,
        Event::Reconnect,
        Event::Detach,
        Event::Ended,
    ];

    /// Follows every sequence of events to this depth.
    fn walk(life: Life, depth: u32, check: &mut dyn FnMut(Life, Event, Result<(Life, Action), Refusal>)) {
        if depth == 0 {
            return;
        }
        for event in EVENTS {
            let result = life.step(event);
            check(life, event, result);
            if let Ok((next, _)) = result {
                walk(next, depth - 1, check);
            }
        }
    }

    #[test]
    fn every_sequence_of_events_keeps_the_rules() {
        let mut seen = Vec::new();
        walk(Life::NEW, 7, &mut |life, event, result| {
            let bring_up = |life: Life| matches!(life.stage, Stage::Connecting | Stage::Reconnecting);
            if let Ok((next, action)) = result {
                assert!(!life.is_ending() || next.is_ending(), "{life:?} {event:?}: back to life");
                assert_eq!(
                    bring_up(life) && !bring_up(next),
                    action == Action::GiveUp || event == Event::BroughtUp,
                    "{life:?} {event:?}: a bring-up ends by itself or is given up"
                );
                assert_eq!(!bring_up(life) && bring_up(next), action == Action::BringUp);
                assert!(!next.failed || matches!(next.stage, Stage::Down | Stage::Detaching | Stage::Gone));
                assert_eq!(event == Event::Detach, next.stage == Stage::Detaching);
                assert!(next != life || action != Action::Nothing, "{life:?} {event:?} says nothing");
                if !seen.contains(&next) {
                    seen.push(next);
                }
            }
        });
        for stage in [
            Stage::Live,
            Stage::Down,
            Stage::Disconnecting,
            Stage::Disconnected,
            Stage::Reconnecting,
            Stage::Detaching,
            Stage::Gone,
        ] {
            assert!(seen.iter().any(|life| life.stage == stage), "{stage:?} is never reached");
        }
    }

    /// It is not under way for ever: the next one begins.
    #[test]
    fn a_reset_that_fails_before_its_bring_up_is_over() {
        for stage in [Stage::Disconnecting, Stage::Disconnected] {
            let (life, _) = Life { stage, failed: false }.step(Event::BringUpFailed).unwrap();
            assert!(life.failed && !life.is_resetting());
            assert!(life.step(Event::Disconnect).is_ok());
        }
    }

    #[test]
    fn what_comes_at_the_wrong_moment_is_refused_by_name() {
        let at = |stage, failed, event| Life { stage, failed }.step(event).unwrap_err();
        assert_eq!(at(Stage::Disconnecting, false, Event::Disconnect), Refusal::Resetting);
        assert_eq!(at(Stage::Reconnecting, false, Event::Disconnect), Refusal::Resetting);
        assert_eq!(at(Stage::Disconnected, false, Event::Fail), Refusal::Resetting);
        assert_eq!(at(Stage::Down, true, Event::Fail), Refusal::AlreadyFailed);
        assert_eq!(at(Stage::Detaching, false, Event::Disconnect), Refusal::NotThere);
        assert_eq!(at(Stage::Live, false, Event::Reconnect), Refusal::Meaningless);
        assert_eq!(at(Stage::Gone, false, Event::Ended), Refusal::NotThere);
    }
}

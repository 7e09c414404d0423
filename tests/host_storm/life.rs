//! What the storm's program does with its controllers beside attaching and detaching them: resets, aborts, watching for commands that
//! are late, hearing of events.
//!
//! Held against it: a reset that succeeds leaves a controller that has not failed; each abort that was accepted is told of once, and no
//! other; nobody is told of a qpair that is gone. Callbacks of all these do anything, as those of I/Os.

use super::*;
use spdk_nvme_rdma::host::Watch;

/// Longer than an end and a bring-up.
const RESET: Duration = Duration::from_secs(36);

impl Program {
    /// Does anything with a controller.
    pub(super) fn live(&self, pair: usize) {
        let Some(controller) = self.controller(pair) else { return };
        match self.storm.roll(10) {
            0 => self.reset(&controller),
            1 => self.begin_reset(&controller),
            2..5 => self.go_on_with_reset(&controller),
            5..8 => self.abort(&controller),
            8 => self.watch(&controller),
            _ => self.listen(&controller),
        }
    }

    fn reset(&self, controller: &Rc<Controller>) {
        if !self.storm.once_in(3) {
            return;
        }
        self.storm.say("reset");
        let was_resetting = self.is_resetting(controller);
        let acts = self.storm.acts();
        let result = self.storm.call("reset", RESET, || controller.reset());
        let alone = acts == self.storm.acts();
        if result.is_ok() && alone && !was_resetting {
            count("resets");
            assert!(!controller.has_failed(), "a reset succeeded and the controller has failed");
        }
    }

    /// What the program knows: it began it, and has not heard of its end.
    fn is_resetting(&self, controller: &Rc<Controller>) -> bool {
        self.resetting.borrow().iter().any(|other| Rc::ptr_eq(other, controller))
    }

    fn begin_reset(&self, controller: &Rc<Controller>) {
        self.storm.say("begin to reset");
        if self.storm.call("disconnect the controller", NONE, || controller.disconnect()).is_ok() {
            assert!(!controller.has_failed());
            self.resetting.borrow_mut().retain(|other| !Rc::ptr_eq(other, controller));
            self.resetting.borrow_mut().push(controller.clone());
        }
    }

    fn go_on_with_reset(&self, controller: &Rc<Controller>) {
        if !self.is_resetting(controller) {
            return;
        }
        let turns = 1 + self.storm.roll(40);
        for _ in 0..turns {
            let ended = self.storm.call("poll_reset", NONE, || controller.poll_reset());
            match ended {
                None => self.storm.turns(1),
                Some(result) => {
                    if result.is_ok() {
                        count("resets by steps");
                    }
                    return self.resetting.borrow_mut().retain(|other| !Rc::ptr_eq(other, controller));
                }
            }
        }
    }

    fn abort(&self, controller: &Rc<Controller>) {
        let number = self.aborts.ask();
        let told = Rc::new(move |_: &Completion| {
            let program = PROGRAM.with_borrow(|program| program.clone()).unwrap();
            program.storm.in_callback(|| {
                program.aborts.told(number);
                program.storm.act_in_callback(|| program.act());
            });
        });
        let place = self.qpair(self.storm.roll(QPAIRS));
        let place = place.filter(|place| Rc::ptr_eq(&place.controller, controller));
        let accepted = if self.storm.once_in(3) {
            let (queue, command) = (self.storm.roll(4) as u16, self.storm.roll(0x1_0000) as u16);
            self.storm.call("abort", NONE, || controller.abort(queue, command, told)).is_ok()
        } else {
            let qpair = place.as_ref().map(|place| &*place.qpair);
            let argument = self.storm.any_outstanding(place.as_ref().map(|place| place.life));
            let argument = std::ptr::without_provenance_mut(argument.map_or(0, |number| number + 1));
            self.storm
                .call("abort_requests", NONE, || controller.abort_requests(qpair, argument, told))
                .unwrap_or(false)
        };
        self.aborts.answered(number, accepted, false);
    }

    pub(super) fn watch(&self, controller: &Rc<Controller>) {
        let limit = |millis: u64| Duration::from_millis(millis);
        let (io, admin) =
            (limit(self.storm.dice.pick(&[1, 20, 500])), limit(self.storm.dice.pick(&[10, 500])));
        let watch = Watch { io, admin, tell: is_late, context: [1, 2, 3] };
        let watch = (!self.storm.once_in(4)).then_some(watch);
        self.storm.call("watch_timeouts", NONE, || controller.watch_timeouts(watch));
    }

    pub(super) fn listen(&self, controller: &Rc<Controller>) {
        let heard = |_: &Completion| {
            let program = PROGRAM.with_borrow(|program| program.clone()).unwrap();
            program.storm.in_callback(|| {
                count("events");
                program.storm.act_in_callback(|| program.act());
            });
        };
        let listener = (!self.storm.once_in(4)).then(|| Rc::new(heard) as Rc<dyn Fn(&Completion)>);
        controller.listen_to_events(listener);
    }
}

/// A command of the qpair with this tag is late, or an admin command.
fn is_late(context: [usize; 3], tag: *mut (), _: u16) {
    let program = PROGRAM.with_borrow(|program| program.clone()).unwrap();
    program.storm.in_callback(|| {
        assert_eq!(context, [1, 2, 3]);
        if let Some(life) = tag.addr().checked_sub(1) {
            assert!(!program.storm.is_gone(life), "told of a late command of a qpair that is gone");
        }
        count("late commands");
        program.storm.act_in_callback(|| program.act());
    });
}

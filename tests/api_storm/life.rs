//! What the storm's program does with its controllers beside attaching and detaching them: fail, reset at once and by steps, aborts,
//! watching for commands that are late.
//!
//! Held against it: what these calls answer; each abort that was accepted is told of once, and no other; nobody is told of a qpair that
//! is gone. Callbacks of all these do anything, as those of I/Os.

use super::*;

unsafe extern "C" {
    fn spdk_nvme_ctrlr_fail(controller: Handle);
    fn spdk_nvme_ctrlr_is_failed(controller: Handle) -> bool;
    fn spdk_nvme_ctrlr_disconnect(controller: Handle) -> c_int;
    fn spdk_nvme_ctrlr_reconnect_async(controller: Handle);
    fn spdk_nvme_ctrlr_reconnect_poll_async(controller: Handle) -> c_int;
    fn spdk_nvme_ctrlr_reconnect_io_qpair(qpair: Handle) -> c_int;
    fn spdk_nvme_ctrlr_cmd_abort(
        controller: Handle,
        qpair: Handle,
        command_id: u16,
        done: Done,
        argument: *mut c_void,
    ) -> c_int;
    fn spdk_nvme_ctrlr_cmd_abort_ext(
        controller: Handle,
        qpair: Handle,
        aborted: *mut c_void,
        done: Done,
        argument: *mut c_void,
    ) -> c_int;
    fn spdk_nvme_ctrlr_register_timeout_callback(
        controller: Handle,
        io_us: u64,
        admin_us: u64,
        late: Option<Late>,
        argument: *mut c_void,
    );
}

type Late = extern "C" fn(*mut c_void, Handle, Handle, u16);

/// Longer than an end and a bring-up.
const RESET: Duration = Duration::from_secs(24);

impl Program {
    /// Does anything with a controller.
    pub(super) fn live(&self, pair: usize) {
        let Some(controller) = self.controller(pair) else { return };
        match self.storm.roll(12) {
            0 => self.fail(controller),
            1 => self.reset(controller),
            2 => self.begin_reset(controller),
            3..6 => self.go_on_with_reset(controller),
            6..9 => self.abort(controller),
            9 => self.watch(controller),
            _ => self.reconnect(),
        }
    }

    fn fail(&self, controller: Handle) {
        if self.storm.once_in(3) {
            self.storm.say("the controller fails");
            call!(self.storm, NONE, spdk_nvme_ctrlr_fail(controller));
        }
    }

    fn reset(&self, controller: Handle) {
        if !self.storm.once_in(3) {
            return;
        }
        self.storm.say("reset");
        let acts = self.storm.acts();
        let was_resetting = self.is_resetting(controller);
        self.resets.borrow_mut().push(controller);
        let rc = call!(self.storm, RESET, spdk_nvme_ctrlr_reset(controller));
        self.resets.borrow_mut().pop();
        if acts == self.storm.acts() && rc == 0 && !was_resetting {
            count("resets");
            assert!(!call!(self.storm, NONE, spdk_nvme_ctrlr_is_failed(controller)));
        }
    }

    /// What the program knows: it began that and has not heard of its end, or it is in the midst of it.
    pub(super) fn is_resetting(&self, controller: Handle) -> bool {
        self.resetting.borrow().contains(&controller) || self.resets.borrow().contains(&controller)
    }

    fn begin_reset(&self, controller: Handle) {
        self.storm.say("begin to reset");
        let rc = call!(self.storm, NONE, spdk_nvme_ctrlr_disconnect(controller));
        assert!([0, -libc::EBUSY, -libc::ENXIO].contains(&rc), "{rc}");
        if rc == 0 {
            let mut resetting = self.resetting.borrow_mut();
            resetting.retain(|other| *other != controller);
            resetting.push(controller);
        }
    }

    /// Polls what the program began to reset, and has it come back.
    fn go_on_with_reset(&self, controller: Handle) {
        if !self.resetting.borrow().contains(&controller) {
            return;
        }
        for _ in 0..self.storm.roll(20) {
            if call!(self.storm, NONE, spdk_nvme_ctrlr_process_admin_completions(controller)) < 0 {
                break;
            }
            self.storm.turns(1);
        }
        if self.storm.once_in(4) {
            return;
        }
        call!(self.storm, NONE, spdk_nvme_ctrlr_reconnect_async(controller));
        for _ in 0..self.storm.roll(60) {
            let rc = call!(self.storm, NONE, spdk_nvme_ctrlr_reconnect_poll_async(controller));
            if rc != EAGAIN {
                self.storm.say(&format!("the reset has ended: {rc}"));
                if rc == 0 {
                    count("resets by steps");
                }
                return self.resetting.borrow_mut().retain(|other| *other != controller);
            }
            self.storm.turns(1);
        }
    }

    fn abort(&self, controller: Handle) {
        let number = self.aborts.ask();
        let argument = std::ptr::without_provenance_mut(number + 1);
        let place = self.qpair(self.storm.roll(QPAIRS)).filter(|place| place.controller == controller);
        let qpair = place.map_or(null_mut(), |place| place.qpair);
        let by_id = self.storm.once_in(3);
        let rc = if by_id {
            let id = self.storm.roll(0x1_0000) as u16;
            call!(self.storm, NONE, spdk_nvme_ctrlr_cmd_abort(controller, qpair, id, abort_is_over, argument))
        } else {
            let aborted = self.storm.any_outstanding(place.map(|place| place.life));
            let aborted = std::ptr::without_provenance_mut(aborted.map_or(0, |number| number + 1));
            call!(
                self.storm,
                NONE,
                spdk_nvme_ctrlr_cmd_abort_ext(controller, qpair, aborted, abort_is_over, argument)
            )
        };
        let answers = [0, -libc::ENXIO, -libc::ENOENT, -libc::ENOMEM, -libc::EINVAL, -libc::EAGAIN];
        assert!(answers.contains(&rc), "{rc}");
        // If all the commands of that argument still waited in the host it is told of inside of the call.
        self.aborts.answered(number, rc == 0, !by_id);
    }

    pub(super) fn watch(&self, controller: Handle) {
        let (io, admin) =
            (self.storm.dice.pick(&[1_000, 20_000, 500_000]), self.storm.dice.pick(&[10_000, 500_000]));
        let late: Option<Late> = (!self.storm.once_in(4)).then_some(is_late);
        let argument = std::ptr::without_provenance_mut(7);
        call!(
            self.storm,
            NONE,
            spdk_nvme_ctrlr_register_timeout_callback(controller, io, admin, late, argument)
        );
    }

    fn reconnect(&self) {
        let Some(found) = self.qpair(self.storm.roll(QPAIRS)) else { return };
        let most = if found.asynchronous { NONE } else { CONNECT };
        let rc = call!(self.storm, most, spdk_nvme_ctrlr_reconnect_io_qpair(found.qpair));
        let peers_fault = [libc::ECONNREFUSED, libc::ECONNRESET, libc::EHOSTUNREACH, libc::ETIMEDOUT];
        assert!(rc <= 0 && !peers_fault.contains(&-rc), "{rc}");
    }
}

extern "C" fn abort_is_over(argument: *mut c_void, _: *const [u8; 16]) {
    let program = program();
    program.storm.in_callback(|| {
        program.aborts.told(argument.addr() - 1);
        program.storm.act_in_callback(|| program.act());
    });
}

extern "C" fn is_late(argument: *mut c_void, controller: Handle, qpair: Handle, _: u16) {
    let program = program();
    program.storm.in_callback(|| {
        assert_eq!(argument.addr(), 7);
        assert!(!controller.is_null());
        assert!(!program.stale.borrow().contains(&controller), "told of a controller that is gone");
        assert!(!program.stale.borrow().contains(&qpair), "told of a qpair that is gone");
        count("late commands");
        program.storm.act_in_callback(|| program.act());
    });
}

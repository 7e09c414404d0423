//! Detaching a controller: shutdown notification, the end of its Admin Queue, and the last of its qpairs' peers.
//!
//! What must hold: it ends in bounded time whatever the controller does (T130), and nothing of it waits for the program.

use super::{
    Controller,
    budget::Budget,
    life::{Event, Stage},
    work::Work,
};
use crate::clock;
use spec::{
    Command,
    fabrics::PropertySize,
    registers::{self, Cc, Csts},
};
use std::{
    pin::Pin,
    task::{Context, Waker},
    time::Duration,
};

/// How far a detach has come.
pub(super) enum Ending {
    No,
    /// The controller is told, and its answer awaited.
    ShuttingDown(Pin<Box<dyn Future<Output = ()>>>),
    Disconnecting,
    /// The memory is safe; those whose peer still owes an answer are waited for, all together.
    Burying,
    Done,
}

/// How long a controller may take to shut down (Base 2.0, 3.6.1): the first at least, and more if it says so (RTD3E), up to the second. What
/// it can say goes up to 72 minutes, in which the program would have to wait for one that never ends.
const SHUTDOWN_TIMEOUTS: [Duration; 2] = [Duration::from_secs(10), Duration::from_secs(120)];
/// How long to wait before CSTS is read again: twice as long each time, up to the last. A controller that takes its time is not asked
/// without pause.
const SHUTDOWN_INTERVALS: [Duration; 2] = [Duration::from_millis(2), Duration::from_millis(100)];
/// Commands of a shutdown: what its time has room for, and some.
const SHUTDOWN_COMMANDS: u32 = 10_000;

impl Controller {
    /// Begins to detach: I/O qpairs must be freed before. Call [`Controller::detach_poll`] until it is done. A second call does
    /// nothing.
    pub fn detach_start(&self) {
        self.apply_or_ignore(Event::Detach);
    }

    /// How long the controller may take to shut down.
    pub fn shutdown_time(&self) -> Duration {
        shutdown_time(self.summary().view().rtd3e())
    }

    pub(super) fn begin_shut_down(&self) {
        if !self.admin.qpair().is_connected() {
            return self.begin_disconnect_for_good();
        }
        let budget = Budget::new("shutting down", clock::now(), self.shutdown_time(), SHUTDOWN_COMMANDS);
        let work = Work::new(&self.admin, budget);
        let shut_down = shut_down(work, !self.options.no_shutdown_notification);
        self.ending.set(Ending::ShuttingDown(Box::pin(shut_down)));
    }

    pub(super) fn begin_disconnect_for_good(&self) {
        self.ending.set(Ending::Disconnecting);
        self.admin.qpair().leave_for_good();
    }

    /// Goes on with a detach; true once everything is released.
    pub fn detach_poll(&self) -> bool {
        self.detach_start();
        self.admin.poll();
        match self.ending.replace(Ending::Done) {
            Ending::No => self.ending.set(Ending::No),
            Ending::ShuttingDown(mut shut_down) => {
                let mut context = Context::from_waker(Waker::noop());
                if shut_down.as_mut().poll(&mut context).is_pending() {
                    self.ending.set(Ending::ShuttingDown(shut_down));
                } else {
                    self.begin_disconnect_for_good();
                }
            }
            Ending::Disconnecting => {
                if self.admin.qpair().is_at_rest() {
                    self.shared.graveyard().admit(self.admin.qpair().take_parting());
                    self.ending.set(Ending::Burying);
                    self.admin.qpair().deliver(u32::MAX);
                    self.end_waiting_aborts();
                    // Their commands have ended: they end as well, and tell so.
                    self.tasks.poll();
                    self.tasks.cancel();
                    self.events.listen(None);
                } else {
                    self.ending.set(Ending::Disconnecting);
                }
            }
            Ending::Burying => {
                if self.shared.graveyard().tend() {
                    self.shared.graveyard().close();
                    self.apply_or_ignore(Event::Ended);
                } else {
                    self.ending.set(Ending::Burying);
                }
            }
            Ending::Done => {}
        }
        self.life().stage == Stage::Gone
    }
}

/// How long a controller with this RTD3E, which is in microseconds, may take to shut down.
fn shutdown_time(rtd3e: u32) -> Duration {
    let [least, most] = SHUTDOWN_TIMEOUTS;
    Duration::from_millis(u64::from(rtd3e.div_ceil(1000))).clamp(least, most)
}

/// Tells the controller that this host goes: with a notification, until it says that it has shut down, or by disabling it (Base 2.0,
/// 3.6). What goes wrong is of no more interest than that it goes wrong.
async fn shut_down(work: Work, notify: bool) {
    let label = work.admin().qpair().label();
    let get = |offset| Command::property_get(offset, PropertySize::FOUR);
    let set = |cc: Cc| Command::property_set(registers::CC, PropertySize::FOUR, u64::from(cc.0));
    let ended = async {
        let cc = Cc(work.execute("reading CC", get(registers::CC)).await?.cdw0());
        if !notify {
            return match cc.en() {
                true => work.execute("disabling", set(cc.with_en(false))).await.map(drop),
                false => Ok(()),
            };
        }
        work.execute("announcing the shutdown", set(cc.with_shn(Cc::SHN_NORMAL))).await?;
        let [mut pause, longest] = SHUTDOWN_INTERVALS;
        loop {
            let csts = Csts(work.execute("reading CSTS", get(registers::CSTS)).await?.cdw0());
            if csts.shst() == Csts::SHST_COMPLETE {
                return Ok(());
            }
            work.pause_until(clock::now().after(pause)).await;
            pause = (pause * 2).min(longest);
        }
    };
    if let Err(error) = ended.await {
        tracing::info!("{label}: detached without waiting for its shutdown: {error}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shutdown_has_ten_seconds_or_what_the_controller_says() {
        for (rtd3e, expected) in
            [(0, 10_000), (10_000_000, 10_000), (10_000_001, 10_001), (u32::MAX, 120_000)]
        {
            assert_eq!(shutdown_time(rtd3e), Duration::from_millis(expected), "{rtd3e}");
        }
    }
}

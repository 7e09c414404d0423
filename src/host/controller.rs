//! A controller: connecting, namespaces, I/O qpairs, detach.
//!
//! [`Controller`] is used under the lock that the C face holds for its admin side; it guards cells, so an admin
//! callback may call back into it. What I/O qpairs need of their controller on other threads is in [`Shared`].

use super::{
    Error, IoQpair, IoQpairOptions, Namespace,
    aborts::Aborts,
    admin::{AdminQueue, Window},
    bring_up::{self, Found},
    detach::Ending,
    events::{self, ChangeListener, EventListener, Events},
    keep_alive::Pulse,
    life::{Action, Event, Life, Refusal, Stage},
    namespaces::Namespaces,
    options::{ControllerOptions, DEFAULT_CONNECT_TIMEOUT, TransportId, socket_address},
    shared::{Availability, Shared},
    summary::{Profile, Summary},
    task::Tasks,
};
use crate::{
    clock,
    transport::{
        self, Association, Completer, ConnectTarget, FailureReason, Injection, Payload, Qpair,
        QpairConfiguration,
    },
};
use parking_lot::Mutex;
use spec::{
    Command, Completion,
    fabrics::{CNTLID_DYNAMIC, NqnError, PropertySize, check_host_nqn, check_nqn},
    printable, registers,
};
use std::{
    cell::Cell,
    net::SocketAddr,
    pin::Pin,
    rc::{Rc, Weak},
    sync::Arc,
    task::{Context, Poll, Waker},
    time::Duration,
};

/// A controller that this host is associated with, or is to be.
pub struct Controller {
    me: Weak<Controller>,
    /// Uncontended: there is no empty one to put in its place while it is shared.
    id: Mutex<Rc<TransportId>>,
    pub(super) options: ControllerOptions,
    pub(super) admin: Rc<AdminQueue>,
    pub(super) shared: Arc<Shared>,
    profile: Arc<Profile>,
    namespaces: Namespaces,
    pub(super) events: Events,
    pub(super) tasks: Tasks,
    pub(super) aborts: Aborts,
    /// The association in which an image was begun that is under way.
    pub(super) image: Cell<Option<u32>>,
    /// How often it was begun to bring it up.
    associations: Cell<u32>,
    life: Cell<Life>,
    /// The bring-up that is under way.
    bring_up: Cell<Option<BringUp>>,
    /// Why the last one failed, until that is told.
    bring_up_error: Cell<Option<Error>>,
    pub(super) ending: Cell<Ending>,
}

type BringUp = Pin<Box<dyn Future<Output = Result<Found, Error>>>>;

/// The longest transfer of one command: the length of a keyed SGL data block has 24 bits (Base 2.0, 4.4.1).
pub(super) const LARGEST_TRANSFER: u32 = (1 << 24) - 1;
/// Longer than all deadlines of a bring-up together: those of connecting, its budget, and what CAP.TO grants. This is for a fault in
/// them.
const BRING_UP_WAIT: Duration = Duration::from_secs(600);

impl Controller {
    /// Begins to connect to a controller and to bring it up: Admin Queue, enable, Identify, namespaces. It goes on while
    /// [`Controller::poll_bring_up`] is called. An error says that nothing was begun, and has its line.
    pub fn begin(id: TransportId, options: ControllerOptions) -> Result<Rc<Self>, Error> {
        let label = id.label();
        let complain = |error: &Error| tracing::error!("{label}: no controller: {error}");
        let admin = Rc::new(unconnected(&id, &options).inspect_err(complain)?);
        let shared = Shared::new();
        let profile = Arc::new(Profile::new(&shared).inspect_err(complain)?);
        let leaves_changed_list = options.leave_changed_list;
        let controller = Rc::new_cyclic(|me| Self {
            me: me.clone(),
            id: Mutex::new(Rc::new(id)),
            options,
            admin,
            shared,
            profile,
            namespaces: Namespaces::default(),
            events: Events::new(leaves_changed_list),
            tasks: Tasks::default(),
            aborts: Aborts::default(),
            image: Cell::new(None),
            associations: Cell::new(0),
            life: Cell::new(Life::NEW),
            bring_up: Cell::new(None),
            bring_up_error: Cell::new(None),
            ending: Cell::new(Ending::No),
        });
        controller.begin_bring_up();
        Ok(controller)
    }

    /// As [`Controller::begin`], and waits for the end, but not longer than the deadlines of the transport and
    /// [`super::BRING_UP_TIMEOUT`]. A failure leaves nothing behind, and one error line.
    pub fn connect(id: TransportId, options: ControllerOptions) -> Result<Rc<Self>, Error> {
        let controller = Self::begin(id, options)?;
        controller.wait_for_bring_up()?;
        Ok(controller)
    }

    fn wait_for_bring_up(&self) -> Result<(), Error> {
        let ended = clock::wait(clock::now().after(BRING_UP_WAIT), || self.poll_bring_up());
        ended.unwrap_or_else(|| {
            self.give_up();
            self.admin.disconnect();
            Err(Error::TimedOut("bringing it up"))
        })
    }

    fn begin_bring_up(&self) {
        self.associations.set(self.associations.get().wrapping_add(1));
        let (id, options) = ((*self.transport_id()).clone(), self.options.clone());
        let me = self.me.clone();
        let request_events = move |aerl| {
            if let Some(controller) = me.upgrade() {
                controller.request_async_events(aerl);
            }
        };
        self.bring_up.set(Some(Box::pin(bring_up::run(self.admin.clone(), id, options, request_events))));
    }

    /// Goes on with a bring-up, the first one or that of a reset: how it ended, once it has and nothing of an attempt that failed is
    /// left.
    pub fn poll_bring_up(&self) -> Option<Result<(), Error>> {
        self.admin.poll_and_look();
        if let Some(mut bring_up) = self.bring_up.take() {
            let mut context = Context::from_waker(Waker::noop());
            match bring_up.as_mut().poll(&mut context) {
                Poll::Pending => self.bring_up.set(Some(bring_up)),
                Poll::Ready(Ok(found)) => self.brought_up(found),
                Poll::Ready(Err(error)) => {
                    self.bring_up_error.set(Some(error));
                    self.apply_or_ignore(Event::BringUpFailed);
                }
            }
        }
        match self.life.get().stage {
            Stage::Connecting | Stage::Reconnecting => None,
            Stage::Live => Some(Ok(())),
            Stage::Down if !self.admin.qpair().is_at_rest() => None,
            _ => {
                self.admin.qpair().deliver(u32::MAX);
                self.end_waiting_aborts();
                Some(Err(self.bring_up_error.take().unwrap_or(Error::ControllerFailed)))
            }
        }
    }

    fn brought_up(&self, found: Found) {
        let Found { summary, namespaces, access } = found;
        let association = match association(&self.transport_id(), &self.options) {
            Ok(association) => Association {
                controller_id: summary.controller_id,
                keep_alive_timeout: 0,
                in_capsule_data: summary.in_capsule_data(),
                descriptors: u32::from(summary.max_descriptors()),
                queue_entries: u32::from(summary.capabilities().mqes()) + 1,
                ..association
            },
            // It made sense when the Admin Queue was connected.
            Err(error) => {
                self.bring_up_error.set(Some(error));
                return self.apply_or_ignore(Event::BringUpFailed);
            }
        };
        let largest = summary.largest_transfer().min(LARGEST_TRANSFER);
        let largest_append = if summary.has_append() { summary.largest_append() } else { 0 };
        self.shared.graveyard().grant(summary.io_queues());
        self.namespaces.renew(namespaces);
        self.namespaces.renew_access(access);
        self.profile.renew(summary);
        self.apply_or_ignore(Event::BroughtUp);
        self.shared.begin(association, largest, largest_append);
    }

    /// Takes account of what happens to the controller, or says why that changes nothing.
    pub(super) fn apply(&self, event: Event) -> Result<(), Refusal> {
        let (life, action) = self.life.get().step(event)?;
        self.life.set(life);
        self.shared.set_failed(life.failed);
        match life.stage {
            Stage::Live => {}
            _ if life.is_resetting() => self.shared.end(Availability::Resetting),
            _ => self.shared.end(Availability::NotThere),
        }
        match action {
            Action::Nothing => {}
            Action::EndAssociation => self.admin.qpair().end(FailureReason::Local),
            Action::GiveUp => self.give_up(),
            Action::BringUp => self.begin_bring_up(),
            Action::ShutDown => self.begin_shut_down(),
        }
        Ok(())
    }

    /// As [`Controller::apply`], of an event that means nothing where it changes nothing.
    pub(super) fn apply_or_ignore(&self, event: Event) {
        if let Err(refusal) = self.apply(event) {
            let label = self.admin.qpair().label();
            tracing::debug!("{label}: {event:?} while {:?}: {refusal:?}", self.life.get().stage);
        }
    }

    /// Gives up the bring-up that is under way.
    fn give_up(&self) {
        drop(self.bring_up.take());
        if self.life.get().is_ending() {
            self.begin_disconnect_for_good();
        } else {
            self.admin.qpair().disconnect();
        }
    }

    pub(super) fn namespaces(&self) -> &Namespaces {
        &self.namespaces
    }

    pub(super) fn me(&self) -> Weak<Self> {
        self.me.clone()
    }

    pub(super) fn life(&self) -> Life {
        self.life.get()
    }

    /// Where the controller is.
    pub fn transport_id(&self) -> Rc<TransportId> {
        self.id.lock().clone()
    }

    /// How it is used.
    pub fn options(&self) -> &ControllerOptions {
        &self.options
    }

    /// Which association this is: another number after each time that it was begun to bring the controller up anew.
    pub fn association(&self) -> u32 {
        self.associations.get()
    }

    /// The controller id.
    pub fn controller_id(&self) -> u16 {
        self.admin.qpair().controller_id()
    }

    /// What is known of it on any thread.
    pub fn profile(&self) -> &Arc<Profile> {
        &self.profile
    }

    /// What the last bring-up learnt of it.
    pub fn summary(&self) -> Arc<Summary> {
        self.profile.summary()
    }

    /// The Keep Alive Timeout that the controller granted; zero if there are no Keep Alives.
    pub fn keep_alive_timeout(&self) -> Duration {
        self.admin.keep_alive().timeout()
    }

    /// The CAP property.
    pub fn capabilities(&self) -> registers::Cap {
        self.summary().capabilities()
    }

    /// The highest namespace id that the controller can have.
    pub fn namespace_count(&self) -> u32 {
        self.summary().namespace_count()
    }

    /// Asks the controller for a property, and waits for the answer; admin callbacks may run meanwhile.
    pub fn read_property(&self, what: &'static str, offset: u32, size: PropertySize) -> Result<u64, Error> {
        Ok(self.ask(what, Command::property_get(offset, size), None)?.result())
    }

    /// Sends a command that the program waits for, and waits; admin callbacks may run meanwhile. One that is late costs the
    /// controller nothing, one that does not answer Keep Alives its connection. The last request is not for such commands.
    pub(super) fn ask(
        &self,
        what: &'static str,
        command: Command,
        buffer: Option<Window<'_>>,
    ) -> Result<Completion, Error> {
        self.ready_for_program()?;
        if !self.admin.has_ordinary_request() {
            return Err(transport::Error::NoRequests.into());
        }
        self.admin.request(what, command, buffer).inspect_err(|error| {
            if let Error::Silent { .. } = error {
                self.found_silent();
            }
        })
    }

    /// A Keep Alive was not answered.
    fn found_silent(&self) {
        let timeout = self.admin.keep_alive().timeout().as_millis();
        let why = format!("a Keep Alive was not answered in {timeout} ms");
        self.admin.qpair().fail(FailureReason::Remote, &why);
        self.apply_or_ignore(Event::Lost);
    }

    /// Resets the NVM subsystem (NSSR; Base 2.0, 3.1.3.10), if the controller can: the connection may be lost by that.
    pub fn reset_subsystem(&self) -> Result<(), Error> {
        if !self.capabilities().nssrs() {
            return Err(Error::NotSupported("an NVM subsystem reset"));
        }
        let magic = u64::from(u32::from_be_bytes(*b"NVMe"));
        let command = Command::property_set(registers::NSSR, PropertySize::FOUR, magic);
        self.ask("writing NSSR", command, None).map(drop)
    }

    /// Why the Admin Queue is not connected any more; none while it is.
    pub fn failure_reason(&self) -> FailureReason {
        self.admin.qpair().failure_reason()
    }

    /// Whether a namespace is active.
    pub fn is_active_namespace(&self, id: u32) -> bool {
        self.namespaces.is_active(id)
    }

    /// The namespace of that id, active or not; None if the controller can have none, or after a few thousand inactive
    /// ones.
    pub fn namespace(&self, id: u32) -> Option<Arc<Namespace>> {
        if id == 0 || id > self.namespace_count() {
            return None;
        }
        self.namespaces.get(id, &self.admin.qpair().label())
    }

    /// The lowest id of an active namespace; 0 if there is none.
    pub fn first_active_namespace(&self) -> u32 {
        self.next_active_namespace(0)
    }

    /// The next higher id of an active namespace; 0 if there is none.
    pub fn next_active_namespace(&self, previous: u32) -> u32 {
        self.namespaces.after(previous)
    }

    /// The options that an I/O qpair gets if the program does not say.
    pub fn default_io_qpair_options(&self) -> IoQpairOptions {
        IoQpairOptions {
            queue_size: self.options.io_queue_size.min(u32::from(self.capabilities().mqes()) + 1),
            queue_requests: self.options.io_queue_requests.min(u32::from(transport::MOST_REQUESTS)),
            delay_cmd_submit: false,
            create_only: false,
            async_mode: false,
        }
    }

    /// How many I/O qpairs the controller grants.
    pub fn io_queue_count(&self) -> u32 {
        u32::from(self.summary().io_queues())
    }

    /// Makes an I/O qpair, with a queue id of its own; connecting is the caller's next step. A queue larger than
    /// the controller offers is the controller's to refuse.
    pub fn alloc_io_qpair(&self, options: IoQpairOptions) -> Result<Rc<IoQpair>, Error> {
        let association = match self.shared.availability() {
            Availability::There(association) => association,
            Availability::Resetting => return Err(Error::Resetting),
            Availability::NotThere => return Err(Error::ControllerFailed),
        };
        if options.queue_size < 2 || options.queue_requests == 0 {
            let text = format!("queue size {}, {} requests", options.queue_size, options.queue_requests);
            return Err(Error::InvalidArgument(text));
        }
        let queue_size = u16::try_from(options.queue_size).unwrap_or(u16::MAX);
        // Nothing fails from here on that does not give the id back.
        let id = self.shared.graveyard().take_queue_id().ok_or(Error::NoQueueId)?;
        let configuration = QpairConfiguration {
            queue_id: id,
            queue_size,
            requests: u16::try_from(options.queue_requests).unwrap_or(u16::MAX),
            reserved: 0,
            upcall: self.options.upcall,
            delay_submit: options.delay_cmd_submit,
        };
        match Qpair::new(configuration, &association) {
            Ok(qpair) => Ok(IoQpair::new(qpair, self.shared.clone(), options)),
            Err(error) => {
                self.shared.graveyard().give_back(id, None);
                Err(error.into())
            }
        }
    }

    /// Lets admin commands of an opcode end with an error, this host's own ones, too.
    pub fn inject(&self, injection: Injection) -> Result<(), Error> {
        Ok(self.admin.qpair().inject(injection)?)
    }

    /// As [`IoQpair::remove_injection`], of the Admin Queue.
    pub fn remove_injection(&self, opcode: u8) {
        self.admin.qpair().remove_injection(opcode);
    }

    /// Takes a queue id for a queue that is not this library's. None if live qpairs have all.
    pub fn take_queue_id(&self) -> Option<u16> {
        self.shared.graveyard().take_queue_id()
    }

    /// Gives back what [`Controller::take_queue_id`] gave.
    pub fn give_back_queue_id(&self, id: u16) -> bool {
        self.shared.graveyard().give_back_foreign(id)
    }

    /// Polls the Admin Queue: callbacks, asynchronous events, keep-alive. Returns the number of callbacks that ran, 0 while the
    /// controller is on its way up or the queue on its way to its end; an error says that it is not connected.
    pub fn process_admin_completions(&self) -> Result<u32, Error> {
        self.shared.graveyard().tend();
        if matches!(self.life.get().stage, Stage::Connecting | Stage::Reconnecting) {
            return Ok(0); // whoever brings it up polls
        }
        let now = clock::now();
        let keep_alive = self.admin.keep_alive();
        let neglected = keep_alive.neglected(now);
        keep_alive.note_poll(now);
        let polled = self.admin.qpair().process_completions(0);
        if polled.is_ok() {
            if self.admin.look() == Pulse::Silent {
                self.tell_silent();
                // The program may have gone on to a new association.
                if self.admin.pulse() == Pulse::Silent {
                    self.found_silent();
                }
            }
            self.events.sum_up(&self.admin);
            if self.takes_events() {
                (0..self.events.take_owed()).for_each(|_| self.request_async_event());
            }
        } else {
            if let (Some(ago), Stage::Live) = (neglected, self.life.get().stage) {
                let (label, ago) = (self.admin.qpair().label(), ago.as_secs_f32());
                tracing::error!(
                    "{label}: the controller is lost: a Keep Alive was due {ago:.1} s ago and nobody polled the Admin Queue since, so its timer ran out"
                );
            }
            self.apply_or_ignore(match self.failure_reason() {
                // An error of its own, which no word of the controller came with: programs look for another path then.
                FailureReason::Unknown => Event::QueueFailed,
                _ => Event::Lost,
            });
        }
        let is_at_rest = self.admin.qpair().is_at_rest();
        if is_at_rest && self.life.get().stage == Stage::Disconnecting {
            self.apply_or_ignore(Event::AtRest);
        }
        if polled.is_ok() {
            self.tell_late(now);
            self.send_waiting_aborts();
        } else if is_at_rest {
            self.end_waiting_aborts();
        }
        self.tasks.poll();
        self.events.tell(&|concerns| self.begin_refresh(concerns));
        match polled {
            // It is told of once its commands have ended.
            Err(_) if !is_at_rest => Ok(0),
            polled => Ok(polled?),
        }
    }

    /// Sets who hears of asynchronous events, or that nobody does. Called from [`Controller::process_admin_completions`], after
    /// all else that it delivers; what came while nobody listened is not kept.
    pub fn listen_to_events(&self, listener: Option<EventListener>) {
        self.events.listen(listener);
    }

    /// Sets who hears that namespaces changed, instead of who hears of all events; it gets the ids of those that did, or None if that
    /// is not known. The namespaces are what they are now by then.
    pub fn listen_to_changes(&self, listener: Option<ChangeListener>) {
        self.events.listen_to_changes(listener);
    }

    /// From now on the log of changed namespaces is the program's to read: of all namespaces is looked at what they are.
    pub fn leave_changed_list(&self) {
        self.events.leave_changed_list();
    }

    /// Whether the controller takes commands of the program.
    pub(super) fn ready_for_program(&self) -> Result<(), Error> {
        if self.life.get().stage != Stage::Live || !self.admin.qpair().is_connected() {
            return Err(transport::Error::NotConnected.into());
        }
        Ok(())
    }

    pub(super) fn tasks(&self) -> &Tasks {
        &self.tasks
    }

    /// Sends an admin command that the caller has built, with the data that the payload names. Refused for want of
    /// requests when only the one that is kept for Keep Alive is left.
    pub fn submit_admin(
        &self,
        command: Command,
        payload: Payload,
        completer: Completer,
    ) -> Result<(), Error> {
        self.admin.submit(command, payload, completer)
    }

    /// Has as many Asynchronous Event Requests outstanding as this host wants and the controller with this AERL takes.
    fn request_async_events(&self, aerl: u8) {
        self.events.begin_anew();
        (0..events::requests(aerl, &self.admin)).for_each(|_| self.request_async_event());
    }

    /// Keeps one Asynchronous Event Request outstanding, and another after each event, until the controller goes.
    fn request_async_event(&self) {
        if !self.takes_events() {
            return;
        }
        let me = self.me.clone();
        let told = Rc::new(move |completion: &Completion| {
            if let Some(controller) = me.upgrade()
                && controller.events.heard(&controller.admin, completion, controller.takes_events())
            {
                controller.request_async_event();
            }
        });
        self.events.request(&self.admin, told);
    }

    /// Whether requests for events are to be outstanding. What comes before the controller is up waits for the program's first poll.
    fn takes_events(&self) -> bool {
        matches!(self.life.get().stage, Stage::Connecting | Stage::Reconnecting | Stage::Live)
    }

    pub(super) fn admin_queue(&self) -> &Rc<AdminQueue> {
        &self.admin
    }

    /// Whether the controller has failed.
    pub fn has_failed(&self) -> bool {
        self.shared.has_failed()
    }

    /// Fails the controller: its Admin Queue ends, and its I/O qpairs at their next poll. Nothing if it has failed before (T125), or
    /// is being reset or detached.
    pub fn fail(&self) {
        let label = self.admin.qpair().label();
        match self.apply(Event::Fail) {
            Ok(()) => tracing::error!("{label}: the controller has failed"),
            Err(refusal) => tracing::info!("{label}: it is not failed now: {refusal:?}"),
        }
    }

    /// Begins to reset the controller: its Admin Queue ends, and its I/O qpairs at their next poll. Poll the Admin Queue until that
    /// says that it is not connected.
    pub fn disconnect(&self) -> Result<(), Error> {
        self.apply(Event::Disconnect).map_err(|refusal| match refusal {
            Refusal::Resetting => Error::Resetting,
            _ => Error::ControllerFailed,
        })
    }

    /// Goes on with a reset, from wherever it has come to: [`Controller::disconnect`] has begun it. How the bring-up ended, once it
    /// has.
    pub fn poll_reset(&self) -> Option<Result<(), Error>> {
        match self.life.get().stage {
            Stage::Disconnecting => {
                // Its end shows in the stage.
                let _ = self.process_admin_completions();
                None
            }
            Stage::Disconnected => {
                self.end_waiting_aborts();
                let associated = association(&self.transport_id(), &self.options)
                    .and_then(|association| Ok(self.admin.qpair().associate(&Arc::new(association))?));
                match associated {
                    Ok(()) => self.apply_or_ignore(Event::Reconnect),
                    Err(error) => {
                        self.apply_or_ignore(Event::BringUpFailed);
                        return Some(Err(error));
                    }
                }
                None
            }
            _ => self.poll_bring_up(),
        }
    }

    /// Resets the controller, and waits for that: afterwards each I/O qpair has to be connected again, or freed. Nothing if a reset
    /// is under way.
    pub fn reset(&self) -> Result<(), Error> {
        match self.disconnect() {
            Err(Error::Resetting) => return Ok(()),
            refused => refused?,
        }
        let ended = clock::wait(clock::now().after(BRING_UP_WAIT), || self.poll_reset());
        ended.unwrap_or_else(|| {
            self.apply_or_ignore(Event::BringUpFailed);
            self.give_up();
            self.admin.disconnect();
            Err(Error::TimedOut("the reset"))
        })
    }

    /// Sets where the controller is to be found from the next reset on. Only while it has failed, and only another address of the
    /// same subsystem.
    pub fn set_transport_id(&self, id: TransportId) -> Result<(), Error> {
        if !self.has_failed() {
            return Err(Error::NotFailed);
        }
        if id.subnqn != self.transport_id().subnqn {
            let subnqn = printable(&id.subnqn);
            return Err(Error::InvalidArgument(format!("'{subnqn}' is another subsystem's NQN")));
        }
        association(&id, &self.options)?;
        *self.id.lock() = Rc::new(id);
        Ok(())
    }
}

impl Drop for Controller {
    fn drop(&mut self) {
        // A controller that nobody detached must still not leave its connection to chance.
        drop(self.bring_up.take());
        let qpair = self.admin.qpair();
        if !qpair.is_at_rest() {
            qpair.leave_for_good();
            qpair.wait_until_at_rest();
            qpair.deliver(u32::MAX);
        }
        self.shared.graveyard().close();
    }
}

/// An Admin Queue that is not connected yet, if id and options make sense.
fn unconnected(id: &TransportId, options: &ControllerOptions) -> Result<AdminQueue, Error> {
    let invalid = |whose: &str, nqn: &str, error: NqnError| {
        Error::InvalidArgument(format!("{whose} NQN '{}': {error}", printable(nqn)))
    };
    check_nqn(&id.subnqn).map_err(|error| invalid("subsystem", &id.subnqn, error))?;
    check_host_nqn(&options.hostnqn).map_err(|error| invalid("host", &options.hostnqn, error))?;
    let queue_size = options.admin_queue_size.max(ControllerOptions::ADMIN_QUEUE_SIZE_MIN);
    let configuration = QpairConfiguration {
        queue_id: 0,
        queue_size,
        requests: queue_size,
        reserved: 1, // for Keep Alive
        upcall: options.upcall,
        delay_submit: false,
    };
    let qpair = Qpair::new(configuration, &Arc::new(association(id, options)?))?;
    Ok(AdminQueue::new(qpair, options.admin_timeout, options.keep_alive_timeout))
}

/// What the Admin Queue connects with.
fn association(id: &TransportId, options: &ControllerOptions) -> Result<Association, Error> {
    Ok(Association {
        target: connect_target(id, options)?,
        controller_id: CNTLID_DYNAMIC,
        subnqn: id.subnqn.as_str().into(),
        hostnqn: options.hostnqn.as_str().into(),
        hostid: options.hostid,
        keep_alive_timeout: u32::try_from(options.keep_alive_timeout.as_millis()).unwrap_or(u32::MAX),
        in_capsule_data: 0,
        descriptors: 1,
        queue_entries: u32::from(u16::MAX) + 1,
    })
}

fn connect_target(id: &TransportId, options: &ControllerOptions) -> Result<ConnectTarget, Error> {
    let source = source_address(id, options)?;
    let connect_timeout = match options.connect_timeout {
        Duration::ZERO => DEFAULT_CONNECT_TIMEOUT,
        timeout => timeout,
    };
    Ok(ConnectTarget {
        address: id.address()?,
        source,
        label: Arc::from(id.label()),
        type_of_service: options.type_of_service,
        acknowledge_timeout: options.acknowledge_timeout,
        retry_count: options.retry_count.min(7),
        cm_timeout: options.cm_timeout,
        connect_timeout,
    })
}

fn source_address(id: &TransportId, options: &ControllerOptions) -> Result<Option<SocketAddr>, Error> {
    if options.source_address.is_none() && options.source_service.is_none() {
        return Ok(None);
    }
    let any = match id.address_family {
        super::AddressFamily::Ipv4 => "0.0.0.0",
        super::AddressFamily::Ipv6 => "::",
    };
    let address = options.source_address.as_deref().unwrap_or(any);
    socket_address(id.address_family, address, options.source_service.as_deref()).map(Some)
}

//! A controller: connecting, namespaces, I/O qpairs, detach.
//!
//! [`Controller`] is used under the lock that the C face holds for its admin side; it guards cells, so an admin
//! callback may call back into it. What I/O qpairs need of their controller on other threads is in [`Shared`].

use super::{
    Error, IoQpair, IoQpairOptions, Namespace,
    admin::{AdminQueue, Answer, Window},
    bring_up::{self, Found},
    events::{self, EventListener, Events},
    keep_alive::Pulse,
    namespaces::Namespaces,
    options::{ControllerOptions, DEFAULT_CONNECT_TIMEOUT, TransportId, socket_address},
    shared::Shared,
    summary::Summary,
    task::Tasks,
};
use crate::{
    clock::{self, Moment},
    transport::{self, Completer, ConnectTarget, FailureReason, Payload, Qpair, QpairConfiguration},
};
use spec::{
    Command, Completion,
    fabrics::{CNTLID_DYNAMIC, NqnError, PropertySize, check_host_nqn, check_nqn},
    identify::{ControllerView, IDENTIFY_SIZE},
    printable,
    registers::{self, Cc, Csts},
};
use std::{
    cell::Cell,
    net::SocketAddr,
    rc::{Rc, Weak},
    sync::Arc,
    time::Duration,
};

/// A controller that this host is associated with.
pub struct Controller {
    me: Weak<Controller>,
    id: TransportId,
    options: ControllerOptions,
    admin: AdminQueue,
    shared: Arc<Shared>,
    summary: Arc<Summary>,
    namespaces: Namespaces,
    events: Events,
    tasks: Tasks,
    detach: Cell<Detach>,
}

/// How far a detach has come.
enum Detach {
    No,
    /// CC.SHN was set; its answer is awaited.
    Notifying(Answer, Moment),
    /// CSTS.SHST is being read until it says complete.
    Awaiting(Answer, Moment),
    /// It was not complete; it is read again at the first of these moments. The other is the deadline of all.
    Pausing(Moment, Moment),
    Disconnecting,
    /// The memory is safe; those whose peer still owes an answer are waited for, all together.
    Burying,
    Done,
}

/// The longest transfer of one command: the length of a keyed SGL data block has 24 bits (Base 2.0, 4.4.1).
const LARGEST_TRANSFER: u32 = (1 << 24) - 1;
/// How long a controller may take to shut down (Base 2.0, 3.6.1 leaves it to RTD3E; controllers report up to this).
const SHUTDOWN_TIMEOUT: Duration = Duration::from_secs(10);
/// How long to wait before CSTS is read again: a controller that takes its time is not asked without pause.
const SHUTDOWN_INTERVAL: Duration = Duration::from_millis(2);

impl Controller {
    /// Connects to a controller and brings it up: Admin Queue, enable, Identify, namespaces. Waits for all of it, but
    /// not longer than the deadlines of the transport and [`super::BRING_UP_TIMEOUT`]. A failure leaves nothing behind,
    /// and one error line.
    pub fn connect(id: TransportId, options: ControllerOptions) -> Result<Rc<Self>, Error> {
        let label = id.label();
        let complain = |error: &Error| tracing::error!("{label}: no controller: {error}");
        let admin = unconnected(&id, &options, &label).inspect_err(complain)?;
        // The transport says itself why an attempt to connect failed.
        admin.qpair().connect()?;
        admin.qpair().wait_until_connected(&|| false)?;
        match bring_up::run(&admin, &id, &options) {
            Ok(found) => Ok(Self::brought_up(id, options, admin, found)),
            Err(error) => {
                admin.disconnect();
                match &error {
                    // The transport said why; this says what for.
                    Error::ConnectionLost(_) => tracing::info!("{label}: no controller: {error}"),
                    error => complain(error),
                }
                Err(error)
            }
        }
    }

    fn brought_up(id: TransportId, options: ControllerOptions, admin: AdminQueue, found: Found) -> Rc<Self> {
        let view = ControllerView(&found.identify);
        let largest = found.properties.largest_transfer(&view).min(LARGEST_TRANSFER);
        let shared = Shared::new(found.io_queues, largest);
        let async_events = events::requests(view.aerl(), &admin);
        let summary = Arc::new(Summary {
            controller_id: admin.qpair().controller_id(),
            is_discovery: found.is_discovery,
            numa_node: admin.qpair().domain().and_then(|domain| domain.device().numa_node()),
            properties: found.properties,
            identify: found.identify,
            shared: shared.clone(),
        });
        let controller = Rc::new_cyclic(|me| Self {
            me: me.clone(),
            events: Events::new(),
            tasks: Tasks::default(),
            id,
            options,
            admin,
            shared,
            summary,
            namespaces: found.namespaces,
            detach: Cell::new(Detach::No),
        });
        (0..async_events).for_each(|_| controller.request_async_event());
        controller
    }

    /// Where the controller is.
    pub fn transport_id(&self) -> &TransportId {
        &self.id
    }

    /// How it is used.
    pub fn options(&self) -> &ControllerOptions {
        &self.options
    }

    /// The controller id.
    pub fn controller_id(&self) -> u16 {
        self.admin.qpair().controller_id()
    }

    /// What is known of it on any thread.
    pub fn summary(&self) -> &Arc<Summary> {
        &self.summary
    }

    /// The CAP property.
    pub fn capabilities(&self) -> registers::Cap {
        self.summary.capabilities()
    }

    /// The Identify Controller data as the controller sent them. Their address stays the same.
    pub fn identify_data(&self) -> &[u8; IDENTIFY_SIZE] {
        self.summary.identify_data()
    }

    /// The highest namespace id that the controller can have.
    pub fn namespace_count(&self) -> u32 {
        self.summary.namespace_count()
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
        self.fail();
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
        self.namespaces.get(id, self.admin.qpair().label())
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
            queue_size: self.options.io_queue_size,
            queue_requests: self.options.io_queue_requests,
            delay_cmd_submit: false,
            create_only: false,
            async_mode: false,
        }
    }

    /// How many I/O qpairs the controller grants.
    pub fn io_queue_count(&self) -> u32 {
        u32::from(self.shared.queues())
    }

    /// Makes an I/O qpair, with a queue id of its own; connecting is the caller's next step. A queue larger than
    /// the controller offers is made smaller.
    pub fn alloc_io_qpair(self: &Rc<Self>, options: IoQpairOptions) -> Result<Rc<IoQpair>, Error> {
        if self.has_failed() || !matches!(self.detach_state(), DetachState::No) {
            return Err(Error::ControllerFailed);
        }
        if options.queue_size < 2 || options.queue_requests == 0 {
            let text = format!("queue size {}, {} requests", options.queue_size, options.queue_requests);
            return Err(Error::InvalidArgument(text));
        }
        let most = u32::from(self.summary.properties.cap.mqes()) + 1;
        let queue_size = u16::try_from(options.queue_size.min(most)).unwrap_or(u16::MAX);
        let target = connect_target(&self.id, &self.options, "")?;
        let admin = admin_configuration(&self.id, &self.options, "")?;
        // Nothing fails from here on that does not give the id back.
        let id = self.shared.graveyard().take_queue_id().ok_or(Error::NoQueueId)?;
        let configuration = QpairConfiguration {
            queue_id: id,
            queue_size,
            requests: u16::try_from(options.queue_requests).unwrap_or(u16::MAX),
            reserved: 0,
            upcall: self.options.upcall,
            delay_submit: options.delay_cmd_submit,
            controller_id: self.controller_id(),
            keep_alive_timeout: 0,
            in_capsule_data: self.in_capsule_data(),
            target: ConnectTarget { label: format!("{} qid {id}", self.id.label()), ..target },
            ..admin
        };
        match Qpair::new(configuration) {
            Ok(qpair) => Ok(IoQpair::new(qpair, self.shared.clone(), options)),
            Err(error) => {
                self.shared.graveyard().give_back(id, None);
                Err(error.into())
            }
        }
    }

    /// Bytes of data that an I/O command capsule may carry right behind its command.
    fn in_capsule_data(&self) -> u32 {
        let view = self.summary.view();
        if view.icdoff() != 0 {
            return 0; // the data would not be adjacent to the command
        }
        u32::try_from(view.in_capsule_data_size()).unwrap_or(u32::MAX)
    }

    /// Polls the Admin Queue: callbacks, asynchronous events, keep-alive. Returns the number of callbacks that ran;
    /// an error says that the controller has failed.
    pub fn process_admin_completions(&self) -> Result<u32, Error> {
        self.shared.graveyard().tend();
        let now = clock::now();
        let keep_alive = self.admin.keep_alive();
        let neglected = keep_alive.neglected(now);
        keep_alive.note_poll(now);
        let result = self.admin.qpair().process_completions(0);
        if result.is_ok() {
            if keep_alive.look(&self.admin) == Pulse::Silent {
                self.found_silent();
            }
            self.events.sum_up(&self.admin);
        } else if let Some(ago) = neglected {
            let ago = ago.as_secs_f32();
            self.fail_because(format_args!(
                ": a Keep Alive was due {ago:.1} s ago and nobody polled the Admin Queue since, so its timer ran out"
            ));
        } else {
            self.fail();
        }
        self.tasks.poll();
        self.events.tell();
        Ok(result?)
    }

    /// Sets who hears of asynchronous events, or that nobody does. Called from [`Controller::process_admin_completions`], after
    /// all else that it delivers; what came while nobody listened is not kept.
    pub fn listen_to_events(&self, listener: Option<EventListener>) {
        self.events.listen(listener);
    }

    /// Whether the controller takes commands of the program.
    pub(super) fn ready_for_program(&self) -> Result<(), Error> {
        if self.has_failed() || !self.admin.qpair().is_connected() {
            return Err(transport::Error::NotConnected.into());
        }
        Ok(())
    }

    pub(super) fn tasks(&self) -> &Tasks {
        &self.tasks
    }

    /// Sends an admin command that the caller has built, with data in memory of the environment. Refused for want of
    /// requests when only the one that is kept for Keep Alive is left.
    pub fn submit_admin(
        &self,
        command: Command,
        payload: Payload,
        completer: Completer,
    ) -> Result<(), Error> {
        self.admin.submit(command, payload, completer)
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

    /// Whether requests for events are to be outstanding.
    fn takes_events(&self) -> bool {
        !self.has_failed() && matches!(self.detach_state(), DetachState::No)
    }

    pub(super) fn admin_queue(&self) -> &AdminQueue {
        &self.admin
    }

    /// Whether the controller has failed.
    pub fn has_failed(&self) -> bool {
        self.shared.has_failed()
    }

    /// Fails the controller: its I/O qpairs end at their next poll. A second call does nothing (T125).
    pub fn fail(&self) {
        self.fail_because(format_args!(""));
    }

    fn fail_because(&self, why: std::fmt::Arguments<'_>) {
        if self.shared.fail() {
            tracing::error!("{}: the controller has failed{why}", self.admin.qpair().label());
        }
    }

    /// Begins to detach: I/O qpairs must be freed before. Call [`Controller::detach_poll`] until it is done.
    pub fn detach_start(&self) {
        if !matches!(self.detach_state(), DetachState::No) {
            return;
        }
        let deadline = clock::now().after(SHUTDOWN_TIMEOUT.min(self.options.admin_timeout));
        let notify =
            self.admin.qpair().is_connected() && !self.has_failed() && !self.options.no_shutdown_notification;
        let cc = self.summary.properties.cc.with_shn(Cc::SHN_NORMAL);
        let command = Command::property_set(registers::CC, PropertySize::FOUR, u64::from(cc.0));
        match notify.then(|| self.admin.start(command, None)) {
            Some(Ok(answer)) => self.detach.set(Detach::Notifying(answer, deadline)),
            Some(Err(_)) | None => self.begin_disconnect(),
        }
    }

    fn begin_disconnect(&self) {
        self.detach.set(Detach::Disconnecting);
        self.admin.qpair().leave_for_good();
    }

    /// Goes on with a detach; true once everything is released. It ends in bounded time whatever the controller
    /// does (T130).
    pub fn detach_poll(&self) -> bool {
        self.admin.poll();
        let now = clock::now();
        match self.detach.replace(Detach::Done) {
            Detach::No => {
                self.detach.set(Detach::No);
                self.detach_start();
            }
            Detach::Notifying(answer, deadline) => match answer.get() {
                None if !now.has_reached(deadline) => self.detach.set(Detach::Notifying(answer, deadline)),
                Some(completion) if completion.is_success() => self.read_shutdown_status(deadline),
                _ => self.begin_disconnect(),
            },
            Detach::Awaiting(answer, deadline) => match answer.get() {
                None if !now.has_reached(deadline) => self.detach.set(Detach::Awaiting(answer, deadline)),
                Some(completion) if completion.is_success() && !now.has_reached(deadline) => {
                    if Csts(completion.cdw0()).shst() == Csts::SHST_COMPLETE {
                        self.begin_disconnect();
                    } else {
                        self.detach.set(Detach::Pausing(now.after(SHUTDOWN_INTERVAL), deadline));
                    }
                }
                _ => self.begin_disconnect(),
            },
            Detach::Pausing(until, deadline) => {
                if now.has_reached(until) {
                    self.read_shutdown_status(deadline);
                } else {
                    self.detach.set(Detach::Pausing(until, deadline));
                }
            }
            Detach::Disconnecting => {
                if self.admin.qpair().is_at_rest() {
                    self.shared.graveyard().admit(self.admin.qpair().take_parting());
                    self.detach.set(Detach::Burying);
                    self.admin.qpair().deliver(u32::MAX);
                    // Their commands have ended: they end as well, and tell so.
                    self.tasks.poll();
                    self.tasks.cancel();
                    self.events.listen(None);
                } else {
                    self.detach.set(Detach::Disconnecting);
                }
            }
            Detach::Burying => {
                if self.shared.graveyard().tend() {
                    self.shared.graveyard().close();
                } else {
                    self.detach.set(Detach::Burying);
                }
            }
            Detach::Done => {}
        }
        matches!(self.detach_state(), DetachState::Done)
    }

    fn read_shutdown_status(&self, deadline: Moment) {
        match self.admin.start(Command::property_get(registers::CSTS, PropertySize::FOUR), None) {
            Ok(answer) => self.detach.set(Detach::Awaiting(answer, deadline)),
            Err(_) => self.begin_disconnect(),
        }
    }

    fn detach_state(&self) -> DetachState {
        let detach = self.detach.replace(Detach::Done);
        let state = match &detach {
            Detach::No => DetachState::No,
            Detach::Done => DetachState::Done,
            _ => DetachState::Going,
        };
        self.detach.set(detach);
        state
    }
}

/// [`Detach`] without its content.
enum DetachState {
    No,
    Going,
    Done,
}

impl Drop for Controller {
    fn drop(&mut self) {
        // A controller that nobody detached must still not leave its connection to chance.
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
fn unconnected(id: &TransportId, options: &ControllerOptions, label: &str) -> Result<AdminQueue, Error> {
    let invalid = |whose: &str, nqn: &str, error: NqnError| {
        Error::InvalidArgument(format!("{whose} NQN '{}': {error}", printable(nqn)))
    };
    check_nqn(&id.subnqn).map_err(|error| invalid("subsystem", &id.subnqn, error))?;
    check_host_nqn(&options.hostnqn).map_err(|error| invalid("host", &options.hostnqn, error))?;
    let qpair = Qpair::new(admin_configuration(id, options, label)?)?;
    Ok(AdminQueue::new(qpair, options.admin_timeout, options.keep_alive_timeout))
}

fn admin_configuration(
    id: &TransportId,
    options: &ControllerOptions,
    label: &str,
) -> Result<QpairConfiguration, Error> {
    let queue_size = options.admin_queue_size.max(spec::fabrics::ADMIN_QUEUE_ENTRIES_MIN);
    let keep_alive_timeout = u32::try_from(options.keep_alive_timeout.as_millis()).unwrap_or(u32::MAX);
    Ok(QpairConfiguration {
        target: connect_target(id, options, label)?,
        queue_id: 0,
        queue_size,
        requests: queue_size,
        reserved: 1, // for Keep Alive
        upcall: super::tell_nobody,
        delay_submit: false,
        controller_id: CNTLID_DYNAMIC,
        subnqn: id.subnqn.clone(),
        hostnqn: options.hostnqn.clone(),
        hostid: options.hostid,
        keep_alive_timeout,
        in_capsule_data: 0,
    })
}

fn connect_target(
    id: &TransportId,
    options: &ControllerOptions,
    label: &str,
) -> Result<ConnectTarget, Error> {
    let source = source_address(id, options)?;
    let connect_timeout = match options.connect_timeout {
        Duration::ZERO => DEFAULT_CONNECT_TIMEOUT,
        timeout => timeout,
    };
    Ok(ConnectTarget {
        address: id.address()?,
        source,
        label: format!("{label} admin queue"),
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
    let service = options.source_service.as_deref().unwrap_or("0");
    socket_address(id.address_family, address, service).map(Some)
}

//! From an Admin Queue that is at rest to a controller that is ready: connect, enable, Identify, queues, namespaces. The first
//! time and after each reset.
//!
//! What must hold: it ends within [`BRING_UP_TIMEOUT`] and what CAP.TO grants, whatever the controller answers; of a
//! namespace that is not usable only the first few get a line.

use super::{
    Arbitration, ControllerOptions, Error, TransportId,
    access::{AccessLog, access},
    admin::{AdminQueue, Page},
    budget::{BRING_UP_COMMANDS, BRING_UP_TIMEOUT, Budget, Complaints},
    namespace::{ControllerFacts, Facts},
    namespaces::{Listing, NAMESPACES_MAX},
    summary::Summary,
    work::Work,
};
use crate::clock;
use spec::{
    Command, Status, ZonedOpcode,
    fabrics::{DISCOVERY_NQN, PropertySize},
    feature::{FeatureId, QueueCounts, async_events, host_behavior_with_extended_lba_formats},
    identify::{
        CNTRLTYPE_DISCOVERY, CSI_KEY_VALUE, CSI_NVM, CSI_ZONED, CTRATT_EXTENDED_HOST_IDS, Cns,
        ControllerView, IDENTIFY_SIZE, LPA_TELEMETRY, SGLS_KEYED,
    },
    log::{EFFECTS_SIZE, LogPageId, is_io_command_supported},
    registers::{self, Cap, Cc, Csts, Vs},
};
use std::{collections::VecDeque, future::poll_fn, ops::Deref, rc::Rc, task::Poll, time::Duration};

/// How long CSTS is left alone between two reads: twice as long each time, up to this.
const READY_INTERVAL: Duration = Duration::from_millis(10);

/// IOCCSZ of a controller whose capsules have room for a command and no data.
const IOCCSZ_LEAST: u32 = 4;

/// Ids that one page of a namespace list has room for.
const IDS_OF_PAGE: usize = IDENTIFY_SIZE / 4;

/// What bring-up learnt from the controller's properties.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Properties {
    pub(super) cap: registers::Cap,
    pub(super) vs: registers::Vs,
    pub(super) cc: Cc,
}

impl Properties {
    /// Bytes that one command may transfer by MDTS.
    pub(super) fn largest_transfer(&self, view: &ControllerView<'_>) -> u32 {
        view.max_transfer(self.cap.mpsmin()).and_then(|limit| u32::try_from(limit).ok()).unwrap_or(u32::MAX)
    }
}

/// What bring-up found.
pub(super) struct Found {
    pub(super) summary: Summary,
    pub(super) namespaces: Listing,
    pub(super) access: AccessLog,
}

/// Brings the controller up, in the order of Base 2.0, 3.5.2 and Fabrics 1.1, 4.6. `request_events` is called with AERL once the
/// controller knows which events are wanted.
pub(super) async fn run(
    admin: Rc<AdminQueue>,
    id: TransportId,
    options: ControllerOptions,
    request_events: impl Fn(u8),
) -> Result<Found, Error> {
    connect(&admin).await?;
    let budget = Budget::new("bringing it up", clock::now(), BRING_UP_TIMEOUT, BRING_UP_COMMANDS);
    let found = steps(&Work::new(&admin, budget), &id, &options, &request_events).await;
    let label = id.label();
    found.inspect_err(|error| match error {
        // The transport said why; this says what for.
        Error::ConnectionLost(_) => tracing::info!("{label}: no controller: {error}"),
        error => tracing::error!("{label}: no controller: {error}"),
    })
}

/// Connects the Admin Queue. The transport has the deadlines, and says itself why an attempt failed.
async fn connect(admin: &AdminQueue) -> Result<(), Error> {
    let qpair = admin.qpair();
    admin.begin_anew();
    qpair.connect()?;
    let ended = poll_fn(|_| qpair.connect_result().map_or(Poll::Pending, Poll::Ready)).await;
    Ok(ended?)
}

async fn steps(
    work: &Work,
    id: &TransportId,
    options: &ControllerOptions,
    request_events: &dyn Fn(u8),
) -> Result<Found, Error> {
    let properties = enable(work, options).await?;
    let qpair = work.admin().qpair();
    let identify = work.read_page("Identify Controller", Command::identify(Cns::CONTROLLER, 0, 0, 0)).await?;
    let view = ControllerView(&identify);
    let is_discovery = id.subnqn == DISCOVERY_NQN || view.cntrltype() == CNTRLTYPE_DISCOVERY;
    configure_async_events(work, wanted_events(&view, properties.vs, is_discovery)).await?;
    request_events(view.aerl());
    keep_alive_timer(work, &view, is_discovery).await?;
    let summary = |io_queues, properties, identify, sets: CommandSets| Summary {
        controller_id: qpair.controller_id(),
        leaves_access_log: options.leave_access_log,
        nvm: sets.nvm,
        zoned: sets.zoned,
        key_value: sets.key_value,
        has_append: sets.has_append,
        is_discovery,
        numa_node: qpair.domain().and_then(|domain| domain.device().numa_node()),
        io_queues,
        properties,
        identify,
    };
    if is_discovery {
        let summary = summary(0, properties, identify, CommandSets::default());
        return Ok(Found { summary, namespaces: Listing::default(), access: AccessLog::default() });
    }
    check(work, &view)?;
    let command_sets = command_set_data(work, properties).await?;
    let io_queues = number_of_queues(work, options).await?;
    let summary = summary(io_queues, properties, identify, command_sets);
    let namespaces = namespaces(work, &summary, &Listing::default(), Changed::All, true).await?;
    let access = access(work, &summary, &namespaces, false, true).await?;
    configure_arbitration(work, options, properties).await?;
    if summary.has_extended_lba_formats() {
        let command = Command::set_features(FeatureId::HOST_BEHAVIOR_SUPPORT, 0);
        let data = host_behavior_with_extended_lba_formats();
        work.write("Set Features (Host Behavior Support)", command, &data).await?;
    }
    Ok(Found { summary, namespaces, access })
}

/// Enables the controller, after disabling it if an earlier association left it enabled.
async fn enable(work: &Work, options: &ControllerOptions) -> Result<Properties, Error> {
    let vs = Vs(get_property(work, "reading VS", registers::VS, PropertySize::FOUR).await? as u32);
    let cap = Cap(get_property(work, "reading CAP", registers::CAP, PropertySize::EIGHT).await?);
    let mechanism = options.arbitration.mechanism;
    if !options.arbitration.is_offered(cap) {
        let offered = cap.ams();
        let why = format!("arbitration mechanism {mechanism} is not among what CAP.AMS {offered:#x} offers");
        return Err(Error::InvalidArgument(why));
    }
    let timeout = Duration::from_millis(500) * u32::from(cap.to()).max(1); // CAP.TO counts 500 ms
    let cc = Cc(get_property(work, "reading CC", registers::CC, PropertySize::FOUR).await? as u32);
    if cc.en() {
        // One that is on its way to ready must not be disabled (Base 2.0, 3.1.3.5); one with a fatal status never gets there.
        await_csts(work, "disabling", |csts| csts.rdy() || csts.cfs(), timeout).await?;
        set_cc(work, "disabling", cc.with_en(false)).await?;
    }
    await_csts(work, "disabling", |csts| !csts.rdy(), timeout).await?;
    // A controller without any has to be enabled by some value, and not all take the one for that.
    let wanted = options.command_set.unwrap_or(Cc::CSS_IOCS);
    let is_offered = wanted < u8::BITS as u8 && cap.css() & 1 << wanted != 0;
    let command_set = if is_offered { wanted } else { Cc::CSS_NVM };
    let cc = Cc::enabled(command_set).with_mps(cap.mpsmin()).with_ams(mechanism);
    set_cc(work, "enabling", cc).await?;
    let csts = await_csts(work, "enabling", |csts| csts.rdy() || csts.cfs(), timeout).await?;
    if csts.cfs() {
        let why = format!("{:#x} reports a fatal status", csts.0);
        return Err(Error::BadData { what: "CSTS", why });
    }
    work.admin().keep_alive().note_ready();
    Ok(Properties { cap, vs, cc })
}

async fn get_property(
    work: &Work,
    what: &'static str,
    offset: u32,
    size: PropertySize,
) -> Result<u64, Error> {
    Ok(work.execute(what, Command::property_get(offset, size)).await?.result())
}

async fn set_cc(work: &Work, what: &'static str, cc: Cc) -> Result<(), Error> {
    let command = Command::property_set(registers::CC, PropertySize::FOUR, u64::from(cc.0));
    work.execute(what, command).await.map(drop)
}

/// Reads CSTS until it is as `done` has it. The controller has the time of CAP.TO for that, beside its budget, and may refuse to say
/// meanwhile.
async fn await_csts(
    work: &Work,
    what: &'static str,
    done: impl Fn(Csts) -> bool,
    timeout: Duration,
) -> Result<Csts, Error> {
    let deadline = work.extend(timeout);
    let mut pause = Duration::ZERO;
    loop {
        let answer = get_property(work, "reading CSTS", registers::CSTS, PropertySize::FOUR).await;
        if let Some(csts) = if_there(answer)?.map(|csts| Csts(csts as u32)).filter(|csts| done(*csts)) {
            work.reclaim(deadline);
            return Ok(csts);
        }
        let now = clock::now();
        if now.has_reached(deadline) {
            return Err(Error::TimedOut(what));
        }
        pause = (pause * 2).clamp(Duration::from_millis(1), READY_INTERVAL);
        work.pause_until(now.after(pause).min(deadline)).await;
    }
}

/// The events that this host wants to hear of, of those that the controller has (Base 2.0, 5.27.1.8).
fn wanted_events(view: &ControllerView<'_>, version: Vs, is_discovery: bool) -> u32 {
    if is_discovery {
        return view.oaes() & async_events::DISCOVERY_LOG_CHANGE;
    }
    // OAES came with 1.2, and telemetry with 1.3, which has no bit there.
    let since = |major, minor, events| if version.0 >= Vs::new(major, minor, 0).0 { events } else { 0 };
    let notices = async_events::NAMESPACE_ATTRIBUTE | async_events::FIRMWARE_ACTIVATION;
    let has_telemetry = view.lpa() & LPA_TELEMETRY != 0;
    async_events::SMART_CRITICAL
        | view.oaes() & (since(1, 2, notices) | async_events::ANA_CHANGE)
        | if has_telemetry { since(1, 3, async_events::TELEMETRY_LOG) } else { 0 }
}

/// Asks how long the controller waits for a Keep Alive, which may be another time than the one in Connect. One that knows none
/// (KAS is 0) gets none.
async fn keep_alive_timer(work: &Work, view: &ControllerView<'_>, is_discovery: bool) -> Result<(), Error> {
    let keep_alive = work.admin().keep_alive();
    if keep_alive.timeout().is_zero() {
        return Ok(());
    }
    if view.kas() == 0 && !is_discovery {
        keep_alive.grant(Duration::ZERO);
        return Ok(());
    }
    let command = Command::get_features(FeatureId::KEEP_ALIVE_TIMER, 0);
    match work.execute("Get Features (Keep Alive Timer)", command).await {
        Ok(answer) => keep_alive.grant(Duration::from_millis(u64::from(answer.cdw0()))),
        // It does not say: what was asked for holds.
        Err(Error::Command { completion, .. })
            if completion.status().with_dnr(false) == Status::INVALID_FIELD =>
        {
            keep_alive.grant(keep_alive.timeout());
        }
        Err(error) => return Err(error),
    }
    Ok(())
}

/// What this host cannot do without, and what it can.
fn check(work: &Work, view: &ControllerView<'_>) -> Result<(), Error> {
    if view.sgls() & SGLS_KEYED == 0 {
        let why = format!("SGLS {:#x} offers no keyed descriptors", view.sgls());
        return Err(Error::BadData { what: "Identify Controller data", why });
    }
    if view.ioccsz() < IOCCSZ_LEAST {
        let label = work.admin().qpair().label();
        tracing::error!(
            "{label}: IOCCSZ {} has no room for a command, it is taken as {IOCCSZ_LEAST}",
            view.ioccsz()
        );
    }
    Ok(())
}

/// What a controller says of its command sets.
#[derive(Default)]
struct CommandSets {
    nvm: Option<Box<Page>>,
    zoned: Option<Box<Page>>,
    has_append: bool,
    key_value: Option<Box<Page>>,
}

/// The Identify Controller data of the command sets, and whether there is Zone Append. A controller need not have them.
async fn command_set_data(work: &Work, properties: Properties) -> Result<CommandSets, Error> {
    let mut sets = CommandSets::default();
    let identify = async |what, csi| {
        let command = Command::identify(Cns::CONTROLLER_IOCS, 0, 0, csi);
        if_there(work.read_page(what, command).await)
    };
    if properties.cap.css() & Cap::CSS_NVM != 0 {
        sets.nvm = identify("Identify Controller (NVM command set)", CSI_NVM).await?;
    }
    if properties.cc.css() == Cc::CSS_IOCS {
        sets.zoned = identify("Identify Controller (Zoned Namespace Command Set)", CSI_ZONED).await?;
        sets.has_append = sets.zoned.is_some() && has_append(work).await?;
        sets.key_value = identify("Identify Controller (Key Value Command Set)", CSI_KEY_VALUE).await?;
    }
    Ok(sets)
}

/// Whether Zone Append is supported: a controller of zoned namespaces has a page that says so (ZNS 1.1, 4.1.1). Where it refuses to, there
/// is none, and zoned namespaces can be written all the same.
async fn has_append(work: &Work) -> Result<bool, Error> {
    const { assert!(EFFECTS_SIZE == IDENTIFY_SIZE) };
    let page = LogPageId::COMMANDS_SUPPORTED_AND_EFFECTS;
    let command = Command::get_log_page(page, 0, 0, EFFECTS_SIZE as u32).of_command_set(CSI_ZONED);
    match work.read_page("Get Log Page (commands of the Zoned Namespace Command Set)", command).await {
        Ok(page) => Ok(is_io_command_supported(&page, ZonedOpcode::ZONE_APPEND.0)),
        Err(error @ Error::Command { .. }) => {
            tracing::error!("{}: no Zone Append: {error}", work.admin().qpair().label());
            Ok(false)
        }
        Err(error) => Err(error),
    }
}

/// What a controller may refuse to say.
fn if_there<T>(answer: Result<T, Error>) -> Result<Option<T>, Error> {
    match answer {
        Ok(answer) => Ok(Some(answer)),
        Err(Error::Command { .. }) => Ok(None),
        Err(error) => Err(error),
    }
}

async fn number_of_queues(work: &Work, options: &ControllerOptions) -> Result<u16, Error> {
    let wanted = u16::try_from(options.io_queues.clamp(1, 65_535)).unwrap_or(u16::MAX);
    let command = Command::set_number_of_queues(wanted, wanted);
    let answer = match work.execute("Set Features (Number of Queues)", command).await {
        Ok(answer) => answer,
        // Admin commands can be had from it all the same.
        Err(error @ Error::Command { .. }) => {
            tracing::error!("{}: no I/O queues: {error}", work.admin().qpair().label());
            return Ok(0);
        }
        Err(error) => return Err(error),
    };
    let granted = QueueCounts::from_dword(answer.cdw0());
    let usable = granted.submission.min(granted.completion).min(u32::from(wanted));
    Ok(u16::try_from(usable).unwrap_or(u16::MAX))
}

/// Asks for these asynchronous events.
async fn configure_async_events(work: &Work, events: u32) -> Result<(), Error> {
    if events == 0 {
        return Ok(()); // none is what a controller sends unless it is asked
    }
    let command = Command::set_async_event_configuration(events);
    match work.execute("Set Features (Asynchronous Event Configuration)", command).await {
        // A controller may refuse; then it sends fewer events, which costs nothing.
        Ok(_) | Err(Error::Command { .. }) => Ok(()),
        Err(error) => Err(error),
    }
}

/// Sets how many commands of a queue are taken at a time, if the program has a wish.
async fn configure_arbitration(
    work: &Work,
    options: &ControllerOptions,
    properties: Properties,
) -> Result<(), Error> {
    let arbitration = &options.arbitration;
    let label = work.admin().qpair().label();
    match arbitration.burst {
        0 => return Ok(()),
        1..=Arbitration::BURST_MAX => {}
        burst => {
            tracing::warn!(
                "{label}: an arbitration burst of 2^{burst} cannot be asked for, 2^7 is the largest"
            );
            return Ok(());
        }
    }
    let command = Command::set_features(FeatureId::ARBITRATION, arbitration.feature(properties.cap));
    match work.execute("Set Features (Arbitration)", command).await {
        Ok(_) => Ok(()),
        // The queues are served all the same.
        Err(error @ Error::Command { .. }) => {
            tracing::error!("{label}: {error}");
            Ok(())
        }
        Err(error) => Err(error),
    }
}

/// Which of the namespaces that are listed have to be identified again.
pub(super) enum Changed<'a> {
    All,
    /// These, and those that were not there before.
    These(&'a [u32]),
}

/// The namespaces that the controller lists, up to [`NAMESPACES_MAX`], without those that are not usable. What did not change is taken
/// over from the listing before. `tells` says whether what is wrong gets its few lines.
pub(super) async fn namespaces(
    work: &Work,
    summary: &Summary,
    old: &Listing,
    changed: Changed<'_>,
    tells: bool,
) -> Result<Listing, Error> {
    let label = work.admin().qpair().label();
    let view = summary.view();
    let mut found = Listing::of(ControllerFacts {
        optional_commands: view.oncs(),
        has_write_cache: view.vwc() & 1 != 0,
        has_extended_host_ids: view.ctratt() & CTRATT_EXTENDED_HOST_IDS != 0,
        largest_transfer: summary.largest_transfer(),
    });
    let mut complaints = Complaints::default();
    let mut ids = Ids::new(&view, summary.version());
    while let Some(id) = ids.next(work, &label, tells).await? {
        let did_change = match changed {
            Changed::All => true,
            Changed::These(these) => these.contains(&id),
        };
        if !did_change && found.take_over(id, old)? {
            continue;
        }
        match namespace(work, id, summary, &mut found).await {
            Ok(()) => {}
            Err(error @ (Error::BadData { .. } | Error::Command { .. })) => {
                if complaints.count() && tells {
                    tracing::error!("{label}: namespace {id} is left out: {error}");
                }
            }
            Err(error) => return Err(error),
        }
    }
    if complaints.untold() > 0 && tells {
        tracing::error!("{label}: {} more namespaces are left out", complaints.untold());
    }
    Ok(found)
}

/// The ids of the active namespaces, in order, up to [`NAMESPACES_MAX`].
struct Ids {
    /// Whether the controller has a list of them; one before 1.1 has not, and each up to NN may be one.
    is_listed: bool,
    highest: u32,
    /// The last one that was given, 0 before the first.
    last: u32,
    given: usize,
    page: VecDeque<u32>,
    /// Whether another page may follow.
    has_more: bool,
}

impl Ids {
    fn new(view: &ControllerView<'_>, version: Vs) -> Self {
        let highest = view.nn();
        Self {
            is_listed: version.0 >= Vs::new(1, 1, 0).0,
            highest,
            last: 0,
            given: 0,
            page: VecDeque::new(),
            has_more: highest > 0,
        }
    }

    async fn next(&mut self, work: &Work, label: &str, tells: bool) -> Result<Option<u32>, Error> {
        let is_full = self.given >= NAMESPACES_MAX && self.page.is_empty();
        if self.page.is_empty() && self.has_more && !is_full {
            self.read(work, label, tells).await?;
        }
        if is_full && self.has_more && self.last < self.highest && tells {
            let (last, given) = (self.last, self.given);
            tracing::error!(
                "{label}: namespaces above {last}, the {given}th that is listed, are not looked at"
            );
        }
        let Some(id) = self.page.pop_front() else { return Ok(None) };
        self.last = id;
        self.given = self.given.saturating_add(1);
        Ok(Some(id))
    }

    /// Goes on with the list. What is no id, or does not ascend, is ignored; a page without a new id is the last one, so that nobody
    /// sends this host in circles (Base 2.0, 5.17.2.3).
    async fn read(&mut self, work: &Work, label: &str, tells: bool) -> Result<(), Error> {
        if !self.is_listed {
            let next = self.last.saturating_add(1);
            self.page.extend((next..=self.highest).take(IDS_OF_PAGE));
            self.has_more = !self.page.is_empty();
            return Ok(());
        }
        let command = Command::identify(Cns::ACTIVE_NAMESPACE_LIST, 0, self.last, 0);
        let page = work.read_page("Identify (active namespaces)", command).await?;
        let (ids, ignored) = ascending(&page, self.last, self.highest);
        if let Some(first) = ignored.first
            && tells
        {
            let (last, highest, count) = (self.last, self.highest, ignored.count);
            tracing::error!(
                "{label}: {count} entries of the active namespace list after {last} do not ascend up to NN {highest}, the first is \
                 {first}: they are ignored"
            );
        }
        self.has_more = page.last_chunk::<4>().is_some_and(|last| *last != [0; 4]) && !ids.is_empty();
        self.page = ids.into();
        Ok(())
    }
}

/// Entries of a namespace list that are no ids.
#[derive(Debug, Default, PartialEq, Eq)]
struct Ignored {
    first: Option<u32>,
    count: u32,
}

/// The ids of a page of the active namespace list that go on from the last page and stay within NN, and what is ignored; a 0 is padding.
fn ascending(page: &[u8; IDENTIFY_SIZE], after: u32, highest: u32) -> (Vec<u32>, Ignored) {
    let (mut ids, mut ignored) = (Vec::new(), Ignored::default());
    let mut last = after;
    for id in page.as_chunks::<4>().0.iter().map(|entry| u32::from_le_bytes(*entry)).filter(|id| *id != 0) {
        if id > last && id <= highest {
            last = id;
            ids.push(id);
        } else {
            ignored.first.get_or_insert(id);
            ignored.count = ignored.count.saturating_add(1);
        }
    }
    (ids, ignored)
}

/// Takes one namespace in. An error of its data or of the commands that ask for them concerns it alone.
async fn namespace(work: &Work, id: u32, summary: &Summary, found: &mut Listing) -> Result<(), Error> {
    let data = work.read_page("Identify Namespace", Command::identify(Cns::NAMESPACE, 0, id, 0)).await?;
    let descriptors = if summary.version().0 >= Vs::new(1, 3, 0).0 {
        let command = Command::identify(Cns::NAMESPACE_DESCRIPTORS, 0, id, 0);
        // Without them the namespace is of the NVM command set.
        if_there(work.read_page("Identify (namespace descriptors)", command).await)?
    } else {
        None
    };
    let Some(mut facts) = Facts::of(&data, descriptors.as_deref().map(Deref::deref))? else {
        return Ok(()); // it went inactive since it was listed
    };
    let has_specific = match facts.command_set() {
        CSI_NVM => summary.has_extended_lba_formats(),
        csi => csi == CSI_ZONED || csi == CSI_KEY_VALUE,
    };
    let specific = if has_specific && summary.properties.cc.css() == Cc::CSS_IOCS {
        let command = Command::identify(Cns::NAMESPACE_IOCS, 0, id, facts.command_set());
        if_there(work.read_page("Identify Namespace (command set)", command).await)?
    } else {
        None
    };
    let specific = specific.as_deref().map(Deref::deref);
    if let Some(specific) = specific {
        facts.learn_of_command_set(&data, specific);
    }
    found.add(id, facts, &data, specific)
}

#[cfg(test)]
mod tests {
    use super::*;
    use spec::{identify::ControllerImage, namespace::encode_namespace_list};

    #[test]
    fn what_does_not_ascend_in_a_namespace_list_is_ignored() {
        let page = encode_namespace_list([2, 3, 9].into_iter());
        let none = Ignored::default();
        assert_eq!(ascending(&page, 1, 9), (vec![2, 3, 9], none));
        let one = |id| Ignored { first: Some(id), count: 1 };
        assert_eq!(ascending(&page, 2, 9), (vec![3, 9], one(2)), "begins where the last page ended");
        assert_eq!(ascending(&page, 1, 8), (vec![2, 3], one(9)), "above NN");
        let page = encode_namespace_list([3, 0, 2, 3, 4, 1, 5].into_iter());
        assert_eq!(ascending(&page, 0, 9), (vec![3, 4, 5], Ignored { first: Some(2), count: 3 }));
    }

    #[test]
    fn events_are_asked_for_that_the_controller_has() {
        let mut image = ControllerImage::default();
        image.set_oaes(u32::MAX).set_lpa(LPA_TELEMETRY);
        let of = |image: &ControllerImage, version| wanted_events(&image.view(), version, false);
        assert_eq!(of(&image, Vs::new(1, 3, 0)), 0xf1f);
        assert_eq!(of(&image, Vs::new(1, 2, 1)), 0xb1f);
        assert_eq!(of(&image, Vs::new(1, 1, 0)), 0x81f);
        assert_eq!(wanted_events(&image.view(), Vs::new(1, 3, 0), true), 1 << 31);
        image.set_lpa(0);
        assert_eq!(of(&image, Vs::new(2, 0, 0)), 0xb1f);
        image.set_oaes(0);
        assert_eq!(of(&image, Vs::new(2, 0, 0)), 0x1f);
        assert_eq!(wanted_events(&image.view(), Vs::new(2, 0, 0), true), 0);
    }
}

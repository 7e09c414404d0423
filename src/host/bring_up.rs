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
    Command,
    fabrics::{DISCOVERY_NQN, PropertySize},
    feature::{FeatureId, QueueCounts, async_events},
    identify::{
        CNTRLTYPE_DISCOVERY, CSI_NVM, CSI_ZONED, CTRATT_EXTENDED_HOST_IDS, CTRATT_EXTENDED_LBA_FORMATS, Cns,
        ControllerView, IDENTIFY_SIZE, SGLS_KEYED,
    },
    namespace::namespace_list,
    registers::{self, Cap, Cc, Csts, Vs},
};
use std::{future::poll_fn, ops::Deref, rc::Rc, task::Poll, time::Duration};

/// How long CSTS is left alone between two reads: twice as long each time, up to this.
const READY_INTERVAL: Duration = Duration::from_millis(10);

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

/// Brings the controller up, in the order of Base 2.0, 3.5.2 and Fabrics 1.1, 4.6.
pub(super) async fn run(
    admin: Rc<AdminQueue>,
    id: TransportId,
    options: ControllerOptions,
) -> Result<Found, Error> {
    connect(&admin).await?;
    let budget = Budget::new("bringing it up", clock::now(), BRING_UP_TIMEOUT, BRING_UP_COMMANDS);
    let found = steps(&Work::new(&admin, budget), &id, &options).await;
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

async fn steps(work: &Work, id: &TransportId, options: &ControllerOptions) -> Result<Found, Error> {
    let properties = enable(work, options).await?;
    let qpair = work.admin().qpair();
    let summary = |is_discovery, io_queues, properties, identify, [nvm, zoned]: [_; 2]| Summary {
        controller_id: qpair.controller_id(),
        leaves_access_log: options.leave_access_log,
        nvm,
        zoned,
        is_discovery,
        numa_node: qpair.domain().and_then(|domain| domain.device().numa_node()),
        io_queues,
        properties,
        identify,
    };
    let identify = work.read_page("Identify Controller", Command::identify(Cns::CONTROLLER, 0, 0, 0)).await?;
    let view = ControllerView(&identify);
    if id.subnqn == DISCOVERY_NQN || view.cntrltype() == CNTRLTYPE_DISCOVERY {
        configure_async_events(work, view.oaes() & async_events::DISCOVERY_LOG_CHANGE).await?;
        let summary = summary(true, 0, properties, identify, [None, None]);
        return Ok(Found { summary, namespaces: Listing::default(), access: AccessLog::default() });
    }
    check(&view)?;
    let command_sets = command_set_data(work, properties).await?;
    let io_queues = number_of_queues(work, options).await?;
    let optional = async_events::NAMESPACE_ATTRIBUTE | async_events::ANA_CHANGE;
    configure_async_events(work, async_events::SMART_CRITICAL | view.oaes() & optional).await?;
    let summary = summary(false, io_queues, properties, identify, command_sets);
    let namespaces = namespaces(work, &summary, &Listing::default(), Changed::All, true).await?;
    let access = access(work, &summary, &namespaces, false, true).await?;
    configure_arbitration(work, options, properties).await?;
    Ok(Found { summary, namespaces, access })
}

/// Enables the controller, after disabling it if an earlier association left it enabled.
async fn enable(work: &Work, options: &ControllerOptions) -> Result<Properties, Error> {
    let cap = Cap(get_property(work, "reading CAP", registers::CAP, PropertySize::EIGHT).await?);
    let mechanism = options.arbitration.mechanism;
    if !options.arbitration.is_offered(cap) {
        let offered = cap.ams();
        let why = format!("arbitration mechanism {mechanism} is not among what CAP.AMS {offered:#x} offers");
        return Err(Error::InvalidArgument(why));
    }
    let vs = Vs(get_property(work, "reading VS", registers::VS, PropertySize::FOUR).await? as u32);
    let timeout = Duration::from_millis(500) * u32::from(cap.to()).max(1); // CAP.TO counts 500 ms
    let cc = Cc(get_property(work, "reading CC", registers::CC, PropertySize::FOUR).await? as u32);
    if cc.en() {
        set_cc(work, "disabling", cc.with_en(false)).await?;
        await_ready(work, "disabling", false, timeout).await?;
    }
    let command_sets = if cap.css() & Cap::CSS_IOCS != 0 {
        Cc::CSS_IOCS
    } else if cap.css() & Cap::CSS_NVM != 0 || cap.css() == 0 {
        Cc::CSS_NVM
    } else {
        Cc::CSS_ADMIN_ONLY
    };
    let cc = Cc::enabled(command_sets).with_mps(cap.mpsmin()).with_ams(mechanism);
    set_cc(work, "enabling", cc).await?;
    await_ready(work, "enabling", true, timeout).await?;
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

/// Reads CSTS until it says ready, or not ready. The controller has the time of CAP.TO for that, beside its budget.
async fn await_ready(work: &Work, what: &'static str, ready: bool, timeout: Duration) -> Result<(), Error> {
    let deadline = work.extend(timeout);
    let mut pause = Duration::ZERO;
    loop {
        let csts = get_property(work, "reading CSTS", registers::CSTS, PropertySize::FOUR).await?;
        let csts = Csts(csts as u32);
        if csts.cfs() {
            let why = format!("{:#x} reports a fatal status", csts.0);
            return Err(Error::BadData { what: "CSTS", why });
        }
        if csts.rdy() == ready {
            break;
        }
        let now = clock::now();
        if now.has_reached(deadline) {
            return Err(Error::TimedOut(what));
        }
        pause = (pause * 2).clamp(Duration::from_millis(1), READY_INTERVAL);
        work.pause_until(now.after(pause).min(deadline)).await;
    }
    work.reclaim(deadline);
    Ok(())
}

/// What this host cannot do without.
fn check(view: &ControllerView<'_>) -> Result<(), Error> {
    let bad = |why: String| Err(Error::BadData { what: "Identify Controller data", why });
    if view.sgls() & SGLS_KEYED == 0 {
        return bad(format!("SGLS {:#x} offers no keyed descriptors", view.sgls()));
    }
    if view.ioccsz() < 4 {
        return bad(format!("IOCCSZ {} has no room for a command", view.ioccsz()));
    }
    Ok(())
}

/// The Identify Controller data of the NVM and of the Zoned Namespace Command Set. A controller need not have them.
async fn command_set_data(work: &Work, properties: Properties) -> Result<[Option<Box<Page>>; 2], Error> {
    let mut data = [None, None];
    let sets = [
        (properties.cap.css() & Cap::CSS_NVM != 0, "Identify Controller (NVM command set)", CSI_NVM),
        (properties.cc.css() == Cc::CSS_IOCS, "Identify Controller (Zoned Namespace Command Set)", CSI_ZONED),
    ];
    for ((is_enabled, what, csi), data) in sets.into_iter().zip(&mut data) {
        if is_enabled {
            let command = Command::identify(Cns::CONTROLLER_IOCS, 0, 0, csi);
            *data = if_there(work.read_page(what, command).await)?;
        }
    }
    Ok(data)
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
    let mut listed = 0;
    let mut last = 0;
    while listed < NAMESPACES_MAX {
        let command = Command::identify(Cns::ACTIVE_NAMESPACE_LIST, 0, last, 0);
        let page = work.read_page("Identify (active namespaces)", command).await?;
        let ids = ascending(&page, last, view.nn())?;
        for id in &ids {
            let did_change = match changed {
                Changed::All => true,
                Changed::These(these) => these.contains(id),
            };
            if !did_change && found.take_over(*id, old)? {
                continue;
            }
            match namespace(work, *id, summary, &mut found).await {
                Ok(()) => {}
                Err(error @ (Error::BadData { .. } | Error::Command { .. })) => {
                    if complaints.count() && tells {
                        tracing::error!("{label}: namespace {id} is left out: {error}");
                    }
                }
                Err(error) => return Err(error),
            }
        }
        listed += ids.len();
        match ids.last() {
            Some(id) if ids.len() == IDENTIFY_SIZE / 4 => last = *id,
            _ => break,
        }
    }
    if complaints.untold() > 0 && tells {
        tracing::error!("{label}: {} more namespaces are left out", complaints.untold());
    }
    if listed >= NAMESPACES_MAX && last < view.nn() && tells {
        tracing::error!("{label}: namespaces above {last}, the {listed}th that is listed, are not looked at");
    }
    Ok(found)
}

/// The ids of a page of the active namespace list. They must go on from the last page and stay within NN (Base
/// 2.0, 5.17.2.3), so that a hostile controller cannot send this host in circles.
fn ascending(page: &[u8; IDENTIFY_SIZE], after: u32, highest: u32) -> Result<Vec<u32>, Error> {
    let mut ids = Vec::new();
    let mut last = after;
    for id in namespace_list(page) {
        if id <= last || id > highest {
            let why = format!("namespace id {id} after {last}, of at most {highest}");
            return Err(Error::BadData { what: "active namespace list", why });
        }
        last = id;
        ids.push(id);
    }
    Ok(ids)
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
    let Some(facts) = Facts::of(&data, descriptors.as_deref().map(Deref::deref))? else {
        return Ok(()); // it went inactive since it was listed
    };
    let has_specific = match facts.command_set() {
        CSI_NVM => summary.view().ctratt() & CTRATT_EXTENDED_LBA_FORMATS != 0,
        csi => csi == CSI_ZONED,
    };
    let specific = if has_specific && summary.properties.cc.css() == Cc::CSS_IOCS {
        let command = Command::identify(Cns::NAMESPACE_IOCS, 0, id, facts.command_set());
        if_there(work.read_page("Identify Namespace (command set)", command).await)?
    } else {
        None
    };
    found.add(id, facts, &data, specific.as_deref().map(Deref::deref))
}

#[cfg(test)]
mod tests {
    use super::*;
    use spec::namespace::encode_namespace_list;

    #[test]
    fn a_namespace_list_must_ascend() {
        let page = encode_namespace_list([2, 3, 9].into_iter());
        assert_eq!(ascending(&page, 1, 9).unwrap(), [2, 3, 9]);
        assert!(ascending(&page, 2, 9).is_err(), "begins where the last page ended");
        assert!(ascending(&page, 1, 8).is_err(), "above NN");
        let page = encode_namespace_list([3, 2].into_iter());
        assert_eq!(ascending(&page, 0, 9).unwrap(), [3], "a list ends where it stops to ascend");
    }
}

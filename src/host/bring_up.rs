//! From a connected Admin Queue to a controller that is ready: enable, Identify, queues, namespaces.

use super::{
    ControllerOptions, Error, Namespace, TransportId,
    admin::AdminQueue,
    controller::{Found, Properties},
};
use crate::clock;
use spec::{
    Command,
    fabrics::{DISCOVERY_NQN, PropertySize},
    feature::{QueueCounts, async_events},
    identify::{CNTRLTYPE_DISCOVERY, Cns, ControllerView, IDENTIFY_SIZE, SGLS_KEYED},
    namespace::namespace_list,
    registers::{self, Cap, Cc, Csts, Vs},
};
use std::{collections::BTreeMap, ops::Deref, sync::Arc, time::Duration};

/// Namespaces that are taken in at most; a controller that lists more is broken or hostile.
const MAXIMUM_NAMESPACES: usize = 65_536;

/// Brings the controller up, in the order of Base 2.0, 3.5.2 and Fabrics 1.1, 4.6.
pub(super) fn run(admin: &AdminQueue, id: &TransportId, options: &ControllerOptions) -> Result<Found, Error> {
    let properties = enable(admin)?;
    let identify = admin.read_page("Identify Controller", Command::identify(Cns::CONTROLLER, 0, 0, 0))?;
    let view = ControllerView(&identify);
    if id.subnqn == DISCOVERY_NQN || view.cntrltype() == CNTRLTYPE_DISCOVERY {
        return Ok(Found { properties, identify, namespaces: BTreeMap::new(), io_queues: 0 });
    }
    check(&view)?;
    let io_queues = number_of_queues(admin, options)?;
    configure_async_events(admin, &view)?;
    let namespaces = namespaces(admin, &view, properties.vs)?;
    Ok(Found { properties, identify, namespaces, io_queues })
}

/// Enables the controller, after disabling it if an earlier association left it enabled.
fn enable(admin: &AdminQueue) -> Result<Properties, Error> {
    let cap = Cap(get_property(admin, "reading CAP", registers::CAP, PropertySize::EIGHT)?);
    let vs = Vs(get_property(admin, "reading VS", registers::VS, PropertySize::FOUR)? as u32);
    let timeout = Duration::from_millis(500) * u32::from(cap.to()).max(1); // CAP.TO counts 500 ms
    let cc = Cc(get_property(admin, "reading CC", registers::CC, PropertySize::FOUR)? as u32);
    if cc.en() {
        set_cc(admin, "disabling", cc.with_en(false))?;
        await_ready(admin, "disabling", false, timeout)?;
    }
    let command_sets = if cap.css() & Cap::CSS_IOCS != 0 {
        Cc::CSS_IOCS
    } else if cap.css() & Cap::CSS_NVM != 0 || cap.css() == 0 {
        Cc::CSS_NVM
    } else {
        Cc::CSS_ADMIN_ONLY
    };
    let cc = Cc::enabled(command_sets).with_mps(cap.mpsmin());
    set_cc(admin, "enabling", cc)?;
    await_ready(admin, "enabling", true, timeout)?;
    Ok(Properties { cap, vs, cc })
}

fn get_property(
    admin: &AdminQueue,
    what: &'static str,
    offset: u32,
    size: PropertySize,
) -> Result<u64, Error> {
    Ok(admin.execute(what, Command::property_get(offset, size), None)?.result())
}

fn set_cc(admin: &AdminQueue, what: &'static str, cc: Cc) -> Result<(), Error> {
    let command = Command::property_set(registers::CC, PropertySize::FOUR, u64::from(cc.0));
    admin.execute(what, command, None).map(drop)
}

fn await_ready(admin: &AdminQueue, what: &'static str, ready: bool, timeout: Duration) -> Result<(), Error> {
    let deadline = clock::now().after(timeout);
    let result = clock::wait(deadline, || {
        let csts = get_property(admin, "reading CSTS", registers::CSTS, PropertySize::FOUR);
        match csts.map(|value| Csts(value as u32)) {
            Ok(csts) if csts.cfs() => {
                Some(Err(Error::BadData { what: "CSTS", why: String::from("it reports a fatal status") }))
            }
            Ok(csts) => (csts.rdy() == ready).then_some(Ok(())),
            Err(error) => Some(Err(error)),
        }
    });
    result.unwrap_or(Err(Error::TimedOut(what)))
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

fn number_of_queues(admin: &AdminQueue, options: &ControllerOptions) -> Result<u16, Error> {
    let wanted = u16::try_from(options.io_queues.clamp(1, 65_535)).unwrap_or(u16::MAX);
    let command = Command::set_number_of_queues(wanted, wanted);
    let granted =
        QueueCounts::from_dword(admin.execute("Set Features (Number of Queues)", command, None)?.cdw0());
    let usable = granted.submission.min(granted.completion).min(u32::from(wanted));
    Ok(u16::try_from(usable).unwrap_or(u16::MAX))
}

fn configure_async_events(admin: &AdminQueue, view: &ControllerView<'_>) -> Result<(), Error> {
    let events = async_events::SMART_CRITICAL
        | view.oaes() & (async_events::NAMESPACE_ATTRIBUTE | async_events::ANA_CHANGE);
    let command = Command::set_async_event_configuration(events);
    match admin.execute("Set Features (Asynchronous Event Configuration)", command, None) {
        // A controller may refuse; then it sends fewer events, which costs nothing.
        Ok(_) | Err(Error::Command { .. }) => Ok(()),
        Err(error) => Err(error),
    }
}

fn namespaces(
    admin: &AdminQueue,
    view: &ControllerView<'_>,
    version: Vs,
) -> Result<BTreeMap<u32, Arc<Namespace>>, Error> {
    let mut found = BTreeMap::new();
    let mut last = 0;
    while found.len() < MAXIMUM_NAMESPACES {
        let command = Command::identify(Cns::ACTIVE_NAMESPACE_LIST, 0, last, 0);
        let page = admin.read_page("Identify (active namespaces)", command)?;
        let ids = ascending(&page, last, view.nn())?;
        for id in &ids {
            if let Some(namespace) = namespace(admin, *id, version)? {
                found.insert(*id, Arc::new(namespace));
            }
        }
        match ids.last() {
            Some(id) if ids.len() == IDENTIFY_SIZE / 4 => last = *id,
            _ => break,
        }
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

/// One namespace; None with a log line if its data are not usable: the others still are.
fn namespace(admin: &AdminQueue, id: u32, version: Vs) -> Result<Option<Namespace>, Error> {
    let data = admin.read_page("Identify Namespace", Command::identify(Cns::NAMESPACE, 0, id, 0))?;
    let descriptors = if version.0 >= Vs::new(1, 3, 0).0 {
        let command = Command::identify(Cns::NAMESPACE_DESCRIPTORS, 0, id, 0);
        match admin.read_page("Identify (namespace descriptors)", command) {
            Ok(page) => Some(page),
            Err(Error::Command { .. }) => None, // the namespace then is of the NVM command set
            Err(error) => return Err(error),
        }
    } else {
        None
    };
    match Namespace::new(id, data, descriptors.as_deref().map(Deref::deref)) {
        Ok(namespace) => Ok(Some(namespace)),
        Err(error) => {
            tracing::error!("{}: namespace {id} is left out: {error}", admin.qpair().label());
            Ok(None)
        }
    }
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

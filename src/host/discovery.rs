//! The discovery log: which subsystems a discovery controller knows.

use super::{AddressFamily, Controller, ControllerOptions, Error, TransportId, admin::AdminQueue};
use crate::clock;
use spec::{
    Command,
    fabrics::check_nqn,
    log::{
        ADRFAM_IPV4, ADRFAM_IPV6, DiscoveryEntry, DiscoveryEntryView, DiscoveryHeader, LogPageId,
        SUBTYPE_NVM, TRTYPE_RDMA,
    },
};
use std::time::Duration;

/// Entries that are taken in at most.
const MAXIMUM_ENTRIES: u64 = 4096;
/// How often the log is read again because it changed meanwhile.
const ATTEMPTS: usize = 3;

/// Connects to a discovery controller, reads the NVM subsystems that it knows to be reached over RDMA, and detaches.
pub fn discover(id: TransportId, options: ControllerOptions) -> Result<Vec<TransportId>, Error> {
    let controller = Controller::connect(id, options)?;
    let result = read_log(controller.admin_queue());
    controller.detach_start();
    let deadline = clock::now().after(Duration::from_secs(15));
    let _ = clock::wait(deadline, || controller.detach_poll().then_some(()));
    result.inspect_err(|error| {
        tracing::error!("{}: reading the discovery log: {error}", controller.transport_id().subnqn);
    })
}

/// Reads the log. Its generation counter must be the same before and after (Fabrics 1.1, 5.4.1).
fn read_log(admin: &AdminQueue) -> Result<Vec<TransportId>, Error> {
    for _ in 0..ATTEMPTS {
        let before = read_header(admin)?;
        let mut found = Vec::new();
        for number in 0..before.numrec.min(MAXIMUM_ENTRIES) {
            let offset = (DiscoveryHeader::SIZE as u64) + number * (DiscoveryEntry::SIZE as u64);
            let entry = read_at(admin, offset)?;
            found.extend(transport_id(&DiscoveryEntryView(&entry)));
        }
        if read_header(admin)?.genctr == before.genctr {
            return Ok(found);
        }
    }
    Err(Error::BadData { what: "discovery log", why: String::from("it changes faster than it can be read") })
}

fn read_header(admin: &AdminQueue) -> Result<DiscoveryHeader, Error> {
    let header = DiscoveryHeader::decode(&read_at(admin, 0)?);
    if header.recfmt == 0 {
        Ok(header)
    } else {
        let why = format!("record format {}", header.recfmt);
        Err(Error::BadData { what: "discovery log", why })
    }
}

fn read_at(admin: &AdminQueue, offset: u64) -> Result<[u8; 1024], Error> {
    let buffer = admin.buffer(1024)?;
    let command = Command::get_log_page(LogPageId::DISCOVERY, 0, offset, 1024);
    admin.execute("Get Log Page (discovery)", command, Some(&buffer))?;
    let mut data = [0; 1024];
    if buffer.read(0, &mut data) { Ok(data) } else { Err(Error::NoMemory) }
}

/// The entry as a transport id, if this host can use it.
fn transport_id(entry: &DiscoveryEntryView<'_>) -> Option<TransportId> {
    let address_family = match entry.adrfam() {
        ADRFAM_IPV4 => AddressFamily::Ipv4,
        ADRFAM_IPV6 => AddressFamily::Ipv6,
        _ => return None,
    };
    let subnqn = entry.subnqn().filter(|nqn| check_nqn(nqn).is_ok())?;
    if entry.trtype() != TRTYPE_RDMA || entry.subtype() != SUBTYPE_NVM {
        return None;
    }
    let id = TransportId {
        address_family,
        traddr: entry.traddr().to_owned(),
        trsvcid: entry.trsvcid().to_owned(),
        subnqn: subnqn.to_owned(),
    };
    id.address().is_ok().then_some(id)
}

//! The discovery log: which subsystems a discovery controller knows.
//!
//! What must hold: reading it ends within [`DISCOVERY_TIMEOUT`], and gives [`MAXIMUM_ENTRIES`] at most, whatever the
//! log says of its size and however often it changes; entries that are not usable cost a few lines in all.

use super::{
    AddressFamily, Controller, ControllerOptions, Error, TransportId,
    admin::BUFFER_SIZE,
    budget::{Budget, Complaints, DISCOVERY_COMMANDS, DISCOVERY_TIMEOUT},
    work::{Work, drive},
};
use crate::clock;
use spec::{
    Command,
    fabrics::check_nqn,
    log::{
        ADRFAM_IPV4, ADRFAM_IPV6, DiscoveryEntry, DiscoveryEntryView, DiscoveryHeader, LogPageId,
        SUBTYPE_NVM, TRTYPE_RDMA,
    },
    printable,
};
use std::time::Duration;

/// Entries that are taken in at most.
const MAXIMUM_ENTRIES: u64 = 4096;
/// Entries that one command reads: what fits in a page.
const ENTRIES_AT_A_TIME: usize = BUFFER_SIZE / DiscoveryEntry::SIZE;
/// Entries that are read with the header, which is as long as one of them.
const BEHIND_HEADER: usize = ENTRIES_AT_A_TIME - 1;
const _: () = assert!(DiscoveryHeader::SIZE == DiscoveryEntry::SIZE);
/// How often the log is read again because it changed meanwhile.
const ATTEMPTS: usize = 3;
/// How long leaving the discovery controller may take; its own deadlines come before.
const DETACH_TIMEOUT: Duration = Duration::from_secs(15);

/// Connects to a discovery controller, reads the NVM subsystems that it knows to be reached over RDMA, and detaches.
pub fn discover(id: TransportId, options: ControllerOptions) -> Result<Vec<TransportId>, Error> {
    let controller = Controller::connect(id, options)?;
    let admin = controller.admin_queue();
    let budget = Budget::new("reading the log", clock::now(), DISCOVERY_TIMEOUT, DISCOVERY_COMMANDS);
    let work = Work::new(admin, budget);
    // The budget ends it; this is for a fault in that.
    let deadline = clock::now().after(DISCOVERY_TIMEOUT * 2);
    let read = drive(admin, deadline, read_log(&work, &controller.transport_id()));
    let result = read.unwrap_or(Err(Error::TimedOut("reading the log")));
    controller.detach_start();
    let deadline = clock::now().after(DETACH_TIMEOUT);
    let _ = clock::wait(deadline, || controller.detach_poll().then_some(()));
    result.inspect_err(|error| match error {
        Error::ConnectionLost(_) => {} // the transport said why
        error => tracing::error!("{}: reading the discovery log: {error}", admin.qpair().label()),
    })
}

/// Reads the log of the controller at `from`. Its generation counter must be the same before and after (Fabrics 1.1,
/// 5.4.1).
async fn read_log(work: &Work, from: &TransportId) -> Result<Vec<TransportId>, Error> {
    let label = work.admin().qpair().label();
    for _ in 0..ATTEMPTS {
        let (before, first) = read_beginning(work).await?;
        let mut found = Vec::new();
        let mut complaints = Complaints::default();
        let count = before.numrec.min(MAXIMUM_ENTRIES);
        let mut number = 0;
        while number < count {
            let wanted = usize::try_from(count - number).unwrap_or(usize::MAX).min(ENTRIES_AT_A_TIME);
            let mut room = [[0; DiscoveryEntry::SIZE]; ENTRIES_AT_A_TIME];
            let entries = match number {
                0 => first.get(..wanted).unwrap_or(&first),
                _ => {
                    let offset = (DiscoveryHeader::SIZE as u64) + number * (DiscoveryEntry::SIZE as u64);
                    // Not beyond the end of the log, which a controller may refuse.
                    let entries = room.get_mut(..wanted).unwrap_or_default();
                    read_at(work, offset, entries.as_flattened_mut()).await?;
                    entries
                }
            };
            for entry in entries {
                match transport_id(&DiscoveryEntryView(entry), from) {
                    Ok(Some(id)) if !found.contains(&id) => {
                        found.try_reserve(1).map_err(|_| Error::NoMemory)?;
                        found.push(id);
                    }
                    Ok(_) => {}
                    Err(why) => {
                        if complaints.count() {
                            tracing::warn!("{label}: entry {number} of the discovery log is left out: {why}");
                        }
                    }
                }
                number += 1;
            }
        }
        if read_header(work).await?.genctr != before.genctr {
            continue;
        }
        if complaints.untold() > 0 {
            tracing::warn!("{label}: {} more entries of the discovery log are left out", complaints.untold());
        }
        if before.numrec > MAXIMUM_ENTRIES {
            let all = before.numrec;
            tracing::warn!("{label}: of the {all} entries of the log the first {MAXIMUM_ENTRIES} were read");
        }
        return Ok(found);
    }
    Err(Error::BadData { what: "discovery log", why: String::from("it changes faster than it can be read") })
}

/// The header, and the entries behind it in the same page. A controller may refuse any offset but 0 (LPA, extended data: Base 2.0,
/// figure 275), and a short log needs none.
async fn read_beginning(
    work: &Work,
) -> Result<(DiscoveryHeader, [[u8; DiscoveryEntry::SIZE]; BEHIND_HEADER]), Error> {
    let mut data = [[0; DiscoveryEntry::SIZE]; BEHIND_HEADER + 1];
    read_at(work, 0, data.as_flattened_mut()).await?;
    let [header, entries @ ..] = data;
    Ok((decode(&header)?, entries))
}

async fn read_header(work: &Work) -> Result<DiscoveryHeader, Error> {
    let mut data = [0; DiscoveryHeader::SIZE];
    read_at(work, 0, &mut data).await?;
    decode(&data)
}

fn decode(data: &[u8; DiscoveryHeader::SIZE]) -> Result<DiscoveryHeader, Error> {
    let header = DiscoveryHeader::decode(data);
    if header.recfmt == 0 {
        Ok(header)
    } else {
        let why = format!("record format {}", header.recfmt);
        Err(Error::BadData { what: "discovery log", why })
    }
}

/// Reads so many bytes of the log, whole dwords, from `offset`.
async fn read_at(work: &Work, offset: u64, data: &mut [u8]) -> Result<(), Error> {
    let length = u32::try_from(data.len()).unwrap_or(u32::MAX);
    let command = Command::get_log_page(LogPageId::DISCOVERY, 0, offset, length);
    work.read("Get Log Page (discovery)", command, data).await
}

/// The entry as a transport id; None if it is for another transport or of another kind, an error if it cannot be used
/// although it is for this one.
fn transport_id(entry: &DiscoveryEntryView<'_>, from: &TransportId) -> Result<Option<TransportId>, String> {
    if entry.trtype() != TRTYPE_RDMA || entry.subtype() != SUBTYPE_NVM {
        return Ok(None);
    }
    let address_family = match entry.adrfam() {
        ADRFAM_IPV4 => AddressFamily::Ipv4,
        ADRFAM_IPV6 => AddressFamily::Ipv6,
        other => return Err(format!("address family {other}")),
    };
    let subnqn = entry.subnqn().ok_or("its NQN has no end, is too long or no UTF-8")?;
    check_nqn(subnqn).map_err(|error| format!("'{}': {error}", printable(subnqn)))?;
    let mut id = TransportId {
        address_family,
        traddr: entry.traddr().to_owned(),
        trsvcid: entry.trsvcid().to_owned(),
        subnqn: subnqn.to_owned(),
    };
    // A log cannot name the interfaces of this host: a link-local address is on the link that the log came over.
    if let Some(zone) = from.zone()
        && id.needs_zone()
    {
        id.traddr = format!("{}%{zone}", id.traddr);
    }
    id.address().map_err(|error| error.to_string())?;
    Ok(Some(id))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(adrfam: u8, traddr: &str, subnqn: &str) -> Result<Option<TransportId>, String> {
        let entry = DiscoveryEntry {
            adrfam,
            subtype: SUBTYPE_NVM,
            portid: 1,
            asqsz: 32,
            trsvcid: "4420",
            subnqn,
            traddr,
        };
        let from = TransportId {
            address_family: AddressFamily::Ipv6,
            traddr: String::from("fe80::1%1"),
            trsvcid: String::from("4420"),
            subnqn: String::from(spec::fabrics::DISCOVERY_NQN),
        };
        transport_id(&DiscoveryEntryView(&entry.encode()), &from)
    }

    #[test]
    fn entries_from_the_wire_are_checked() {
        let id = entry(ADRFAM_IPV4, "192.0.2.1", "nqn.x").unwrap().unwrap();
        assert_eq!((id.traddr.as_str(), id.subnqn.as_str()), ("192.0.2.1", "nqn.x"));
        for (adrfam, traddr, subnqn, why) in [
            (ADRFAM_IPV4, "192.0.2.1", "nqn.x\n*ERROR* forged\u{1b}[2J", "character"),
            (ADRFAM_IPV4, "192.0.2.1", "", "empty"),
            (ADRFAM_IPV4, "host\u{1b}[2J", "nqn.x", "'host'"),
            (ADRFAM_IPV6, "192.0.2.1", "nqn.x", "IPv6"),
            (77, "192.0.2.1", "nqn.x", "family 77"),
        ] {
            let error = entry(adrfam, traddr, subnqn).unwrap_err();
            assert!(error.contains(why), "{traddr} {subnqn:?}: {error}");
            assert!(!error.chars().any(char::is_control), "{error:?}");
        }
    }

    #[test]
    fn a_link_local_address_is_on_the_link_of_the_log() {
        assert_eq!(entry(ADRFAM_IPV6, "fe80::2", "nqn.x").unwrap().unwrap().traddr, "fe80::2%1");
        assert_eq!(entry(ADRFAM_IPV6, "2001:db8::2", "nqn.x").unwrap().unwrap().traddr, "2001:db8::2");
    }
}

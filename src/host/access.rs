//! How a controller reaches its namespaces, as it says in the Asymmetric Namespace Access log page (Base 2.0, 8.1 and 5.16.1.13).
//!
//! What must hold: what a log costs is bounded by the namespaces that were listed and by what is here, whatever it says; what it says of
//! namespaces that are not active is nothing; after what cannot be read nothing is believed, and what came before is.

use super::{
    Error,
    namespaces::{Listing, NAMESPACES_MAX},
    summary::Summary,
    work::Work,
};
use spec::{
    Command,
    ana::{ANA_DESCRIPTOR_SIZE, ANA_HEADER_SIZE},
    ana_log::{self, Overrun},
    identify::LPA_EXTENDED_DATA,
    log::LogPageId,
};

/// Groups that a log is read for at most, if they have no more namespaces than there are.
const GROUPS_MAX: usize = 4096;
/// Bytes that one command asks for at most.
const PIECE_MAX: u32 = 128 << 10;

/// How a namespace is reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Access {
    /// The ANA group that it is in; 0 if the controller did not say.
    pub group: u32,
    /// The group's state; optimized if the controller did not say.
    pub state: u8,
}

impl Default for Access {
    fn default() -> Self {
        Self { group: 0, state: OPTIMIZED }
    }
}

const OPTIMIZED: u8 = 1;

/// How namespaces are reached, as a log says; by ascending ids.
#[derive(Debug, Default)]
pub(super) struct AccessLog(Vec<(u32, Access)>);

impl AccessLog {
    /// How a namespace is reached.
    pub(super) fn of(&self, id: u32) -> Access {
        let found = self.0.binary_search_by_key(&id, |(id, _)| *id).ok();
        found.and_then(|place| self.0.get(place)).map_or_else(Access::default, |(_, access)| *access)
    }

    /// What a log says of active namespaces. If groups reach beyond it they say nothing.
    fn read(log: &[u8], listing: &Listing) -> Result<(Self, Option<Overrun>), Error> {
        let mut all = Vec::new();
        let mut overrun = None;
        for group in ana_log::groups(log) {
            let group = match group {
                Ok(group) => group,
                Err(error) => {
                    overrun = Some(error);
                    break;
                }
            };
            let access = Access { group: group.id, state: group.state };
            for id in group.namespaces().filter(|id| listing.is_active(*id)) {
                all.try_reserve(1).map_err(|_| Error::NoMemory)?;
                all.push((id, access));
            }
        }
        // Where a namespace is in several groups the last one counts.
        all.reverse();
        all.sort_by_key(|(id, _)| *id);
        all.dedup_by_key(|(id, _)| *id);
        Ok((Self(all), overrun))
    }
}

/// Reads the log of a controller that has one. `retains` says whether the event that tells of changes is to stay as it is;
/// `tells`, whether what is wrong gets its line.
pub(super) async fn access(
    work: &Work,
    summary: &Summary,
    listing: &Listing,
    retains: bool,
    tells: bool,
) -> Result<AccessLog, Error> {
    if !summary.has_access_log() {
        return Ok(AccessLog::default());
    }
    let view = summary.view();
    let groups = usize::try_from(view.nanagrpid()).unwrap_or(usize::MAX).min(GROUPS_MAX);
    let size =
        |groups: usize, namespaces: usize| ANA_HEADER_SIZE + groups * ANA_DESCRIPTOR_SIZE + namespaces * 4;
    let log = read(work, summary, size(groups, listing.len()), retains).await?;
    let (access, overrun) = AccessLog::read(&log, listing)?;
    if overrun.is_none() {
        return Ok(access);
    }
    // Namespaces that were left out may be in it, too.
    let most = usize::try_from(view.nn()).unwrap_or(usize::MAX).min(NAMESPACES_MAX);
    let log = read(work, summary, size(GROUPS_MAX, most.max(listing.len())), retains).await?;
    let (access, overrun) = AccessLog::read(&log, listing)?;
    if let Some(overrun) = overrun.filter(|_| tells) {
        let label = work.admin().qpair().label();
        tracing::error!("{label}: the ANA log page says nothing more: {overrun}");
    }
    Ok(access)
}

/// The first bytes of the log, in one piece if the controller can: it may change between two.
async fn read(work: &Work, summary: &Summary, size: usize, retains: bool) -> Result<Vec<u8>, Error> {
    let mut log = Vec::new();
    log.try_reserve_exact(size).map_err(|_| Error::NoMemory)?;
    log.resize(size, 0);
    let most = summary.largest_transfer().min(PIECE_MAX) & !3;
    let has_offsets = summary.view().lpa() & LPA_EXTENDED_DATA != 0;
    let pieces = if has_offsets { usize::MAX } else { 1 };
    let mut done = 0;
    for piece in log.chunks_mut(most.max(4) as usize).take(pieces) {
        let length = u32::try_from(piece.len()).map_err(|_| Error::Internal("a piece of 4 GiB"))?;
        let command =
            Command::get_log_page(LogPageId::ASYMMETRIC_NAMESPACE_ACCESS, u32::MAX, done as u64, length);
        let command = if retains { command.retaining_event() } else { command };
        match work.read("Get Log Page (asymmetric namespace access)", command, piece).await {
            // An offset beyond the end is refused: the log is shorter than it may be (Base 2.0, 5.16.1).
            Err(Error::Command { .. }) if done > 0 => break,
            read => read?,
        };
        done += piece.len();
    }
    log.truncate(done);
    Ok(log)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::namespace::Facts;
    use spec::namespace::{LbaFormat, NamespaceImage};

    #[test]
    fn a_log_says_something_of_active_namespaces_alone() {
        let mut listing = Listing::default();
        let mut image = NamespaceImage::default();
        image.set_nsze(8).set_ncap(8).set_lba_format(0, LbaFormat { ms: 0, lbads: 9, rp: 0 });
        for id in [1, 2, 5, 9] {
            let facts = Facts::of(&image.0, None).unwrap().unwrap();
            listing.add(id, facts, &image.0, None).unwrap();
        }
        let mut log = vec![0; 16];
        log[8] = 3;
        for (group, state, ids) in [(4, 2, &[9, 1, 0, 77][..]), (6, 3, &[2, 1, u32::MAX]), (8, 4, &[5])] {
            let mut head = [0; ANA_DESCRIPTOR_SIZE];
            head[..4].copy_from_slice(&u32::to_le_bytes(group));
            head[4] = ids.len() as u8;
            head[16] = state;
            log.extend(head);
            ids.iter().for_each(|id| log.extend(id.to_le_bytes()));
        }
        let (access, overrun) = AccessLog::read(&log, &listing).unwrap();
        let of = |id| (access.of(id).group, access.of(id).state);
        assert_eq!(([1, 2, 5, 9].map(of), overrun), ([(6, 3), (6, 3), (8, 4), (4, 2)], None));
        assert_eq!([0, 3, 77, u32::MAX].map(of), [(0, OPTIMIZED); 4]);
        let (access, overrun) = AccessLog::read(&log[..log.len() - 1], &listing).unwrap();
        assert_eq!((access.of(5), access.of(9).group), (Access::default(), 4));
        assert!(overrun.is_some());
    }
}

//! The discovery log page as a program gets it: all of it, in one piece, and of one generation.
//!
//! What must hold: what the log says of its size is bounded before memory is asked for; a log that changes while it is read is
//! read again a few times and no more (the specification's rule is to start over for as long as it changes; Fabrics 1.1, 5.4.1).

use super::{
    Controller, Error,
    task::{Answer, Queue},
};
use spec::{
    Command, Completion,
    identify::LPA_EXTENDED_DATA,
    log::{DiscoveryEntry, DiscoveryHeader, LogPageId},
};
use std::rc::Rc;

/// Entries that a log may have.
const MOST_ENTRIES: u64 = 65_536;
/// How often a log is read that changes meanwhile.
const ATTEMPTS: usize = 16;
/// What one command reads at most, where the log can be read in pieces.
const PIECE: u64 = 1 << 20;

/// What became of reading the page.
pub enum DiscoveryPage {
    /// The header and as many entries as it says, and the last command's completion.
    Read(Vec<u8>, Completion),
    /// A command failed.
    Failed(Completion),
    /// Its entries are of a format (RECFMT) that this host does not know.
    UnknownFormat(u16),
    /// The log cannot be read, or a command could not be sent.
    Refused(Error),
}

/// Why reading ends before its end.
enum Stop {
    Failed(Completion),
    UnknownFormat(u16),
    Refused(Error),
}

impl From<Error> for Stop {
    fn from(error: Error) -> Self {
        Self::Refused(error)
    }
}

impl Controller {
    /// Begins to read the discovery log page; `told` hears of the end, from a poll of the Admin Queue. An error says that the
    /// first command could not be sent: then it is not called.
    pub fn read_discovery_page(
        self: &Rc<Self>,
        told: impl FnOnce(DiscoveryPage) + 'static,
    ) -> Result<(), Error> {
        self.ready_for_task()?;
        let queue = Queue::of(self);
        let view = self.view();
        let most = u64::from(self.largest_transfer() & !3);
        // Without offsets all of it comes with one command, however long it is.
        let piece = if view.lpa() & LPA_EXTENDED_DATA == 0 { u64::MAX } else { PIECE.min(most) };
        self.tasks().begin(async move {
            told(match read(&queue, piece).await {
                Ok((page, completion)) => DiscoveryPage::Read(page, completion),
                Err(Stop::Failed(completion)) => DiscoveryPage::Failed(completion),
                Err(Stop::UnknownFormat(format)) => DiscoveryPage::UnknownFormat(format),
                Err(Stop::Refused(error)) => DiscoveryPage::Refused(error),
            });
        });
        self.tasks().poll();
        Ok(())
    }
}

async fn read(queue: &Queue, piece: u64) -> Result<(Vec<u8>, Completion), Stop> {
    for _ in 0..ATTEMPTS {
        let mut page = Vec::new();
        append(queue, &mut page, 0, DiscoveryHeader::SIZE as u64).await?;
        let header = header(&page)?;
        if header.numrec > 0 {
            let length = (DiscoveryHeader::SIZE as u64)
                .saturating_add(header.numrec.saturating_mul(DiscoveryEntry::SIZE as u64));
            page.clear();
            page.try_reserve_exact(usize::try_from(length).unwrap_or(usize::MAX))
                .map_err(|_| Error::NoMemory)?;
            while (page.len() as u64) < length {
                let at = page.len() as u64;
                append(queue, &mut page, at, piece.min(length.saturating_sub(at))).await?;
            }
        }
        let mut again = Vec::new();
        let last = append(queue, &mut again, 0, 8).await?;
        let generation = again.first_chunk().map(|bytes| u64::from_le_bytes(*bytes));
        if generation == Some(header.genctr) {
            return Ok((page, last));
        }
    }
    let why = format!("it changed each of the {ATTEMPTS} times that it was read");
    Err(Stop::Refused(Error::BadData { what: "discovery log", why }))
}

/// Appends so many bytes of the log from `offset` on.
async fn append(queue: &Queue, page: &mut Vec<u8>, offset: u64, length: u64) -> Result<Completion, Stop> {
    let length = u32::try_from(length).unwrap_or(u32::MAX);
    let command = Command::get_log_page(LogPageId::DISCOVERY, 0, offset, length);
    let Answer { completion, data } = queue.read(command, length).await?;
    if !completion.is_success() {
        return Err(Stop::Failed(completion));
    }
    page.try_reserve(data.len()).map_err(|_| Error::NoMemory)?;
    page.extend_from_slice(&data);
    Ok(completion)
}

fn header(page: &[u8]) -> Result<DiscoveryHeader, Stop> {
    let short = Error::Internal("a header that is short");
    let header = page.first_chunk().map(DiscoveryHeader::decode).ok_or(short)?;
    if header.recfmt != 0 {
        return Err(Stop::UnknownFormat(header.recfmt));
    }
    if header.numrec > MOST_ENTRIES {
        let why = format!("{} entries, of {MOST_ENTRIES} at most", header.numrec);
        return Err(Error::BadData { what: "discovery log", why }.into());
    }
    Ok(header)
}

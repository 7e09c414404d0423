//! The discovery log page as a program gets it: all of it, in one piece, and of one generation.
//!
//! What must hold: what the log says of its size is bounded before memory is asked for; a log that changes while it is read is
//! read again a few times and no more (the specification's rule is to start over for as long as it changes; Fabrics 1.1, 5.4.1).

use super::{
    Controller, Error,
    task::{Answer, Queue, Sent},
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
    /// The header and as many entries as it says, and the completion of the command that read the last of it.
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
        self.ready_for_program()?;
        let queue = Queue::of(self);
        let most = u64::from(self.summary().largest_transfer() & !3);
        // Without offsets all of it comes with one command, however long it is.
        let piece =
            if self.summary().view().lpa() & LPA_EXTENDED_DATA == 0 { u64::MAX } else { PIECE.min(most) };
        let first = queue.send(get(0, HEADER), HEADER)?;
        self.tasks().begin(async move {
            told(match read(&queue, first, piece).await {
                Ok((page, completion)) => DiscoveryPage::Read(page, completion),
                Err(Stop::Failed(completion)) => DiscoveryPage::Failed(completion),
                Err(Stop::UnknownFormat(format)) => DiscoveryPage::UnknownFormat(format),
                Err(Stop::Refused(error)) => DiscoveryPage::Refused(error),
            });
        });
        Ok(())
    }
}

/// The bytes of the header.
const HEADER: u32 = DiscoveryHeader::SIZE as u32;

fn get(offset: u64, length: u32) -> Command {
    Command::get_log_page(LogPageId::DISCOVERY, 0, offset, length)
}

/// Reads all of the log; `first` has asked for its header.
async fn read(queue: &Queue, first: Sent, piece: u64) -> Result<(Vec<u8>, Completion), Stop> {
    let mut first = Some(first);
    for _ in 0..ATTEMPTS {
        let asked = match first.take() {
            Some(first) => first,
            None => queue.send(get(0, HEADER), HEADER)?,
        };
        let (mut page, mut last) = succeeded(asked.answer().await)?;
        let expected = header(&page)?;
        if expected.numrec > 0 {
            let entries = expected.numrec.saturating_mul(DiscoveryEntry::SIZE as u64);
            let length = u64::from(HEADER).saturating_add(entries);
            page.clear();
            page.try_reserve_exact(usize::try_from(length).unwrap_or(usize::MAX))
                .map_err(|_| Error::NoMemory)?;
            while (page.len() as u64) < length {
                let at = page.len() as u64;
                last = append(queue, &mut page, at, piece.min(length.saturating_sub(at))).await?;
            }
            // What the program will believe of the size is in the page itself.
            if header(&page)? != expected {
                continue;
            }
        }
        let mut again = Vec::new();
        append(queue, &mut again, 0, 8).await?;
        let generation = again.first_chunk().map(|bytes| u64::from_le_bytes(*bytes));
        if generation == Some(expected.genctr) {
            return Ok((page, last));
        }
    }
    let why = format!("it changed each of the {ATTEMPTS} times that it was read");
    Err(Stop::Refused(Error::BadData { what: "discovery log", why }))
}

/// Appends so many bytes of the log from `offset` on.
async fn append(queue: &Queue, page: &mut Vec<u8>, offset: u64, length: u64) -> Result<Completion, Stop> {
    let length = u32::try_from(length).unwrap_or(u32::MAX);
    let (data, completion) = succeeded(queue.read(get(offset, length), length).await?)?;
    page.try_reserve(data.len()).map_err(|_| Error::NoMemory)?;
    page.extend_from_slice(&data);
    Ok(completion)
}

fn succeeded(Answer { completion, data }: Answer) -> Result<(Vec<u8>, Completion), Stop> {
    if completion.is_success() { Ok((data, completion)) } else { Err(Stop::Failed(completion)) }
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

//! Lies: what a hostile target answers, for tests of hosts.
//!
//! An answer passes here once, after the core made it and before the transport sends it. Two things may change it: the
//! lies that were switched on by name ([`Lie`]; `--lie`, the control text `lie NAME[=VALUE]`, [`crate::Target::lie`]),
//! and after them a function of the test's own ([`crate::Target::set_liar`]). A lie changes what is said, never what the
//! target believes: its own controllers, queues and namespaces stay as they are.
//!
//! Where nobody lies, an answer costs one look at two empty places.

use std::fmt;
use std::str::FromStr;

use spec::feature::AsyncEvent;
use spec::identify::{Cns, IDENTIFY_SIZE};
use spec::log::{DiscoveryEntry, DiscoveryHeader, LogPageId};
use spec::namespace::{LbaFormat, NamespaceImage, encode_namespace_list};
use spec::registers::{CAP, CC, CSTS};
use spec::sgl::SglType;
use spec::{AdminOpcode, Command, Completion, FabricsType, Status};

use crate::core::Remote;

/// An answer on its way out. Whatever is changed here is what the host gets.
#[derive(Debug)]
pub struct Answer<'a> {
    /// The queue that the command came on.
    pub qid: u16,
    /// The command.
    pub command: &'a Command,
    /// The completion, without the queue's head.
    pub completion: Completion,
    /// The bytes that are written to the host before the completion: an Identify page, a log page. `None` where there
    /// are none, and for the blocks of a namespace; a page that is put here takes their place.
    pub page: Option<Vec<u8>>,
    /// Where the page or the blocks are written to, or where a write's data is read from. It is what the command's SGL
    /// said, and there whenever the SGL is a keyed one of some length, even if the command is refused; what a list in the
    /// capsule said is there if the command is not refused.
    pub remote: Option<Remote>,
    /// No answer now: true for an Asynchronous Event Request that waits for an event. Set to false, it is answered at
    /// once; set to true, a command is never answered and keeps its place in the target until the connection ends.
    pub hold: bool,
}

/// A function that may change each answer.
pub type Liar = Box<dyn FnMut(&mut Answer<'_>)>;

macro_rules! lies {
    ($($(#[doc = $doc:literal])+ $name:ident $text:literal $value:literal,)+) => {
        /// A lie with a name. Each takes a number, which has a default.
        #[derive(Clone, Copy, Debug, Eq, PartialEq)]
        pub enum Lie {
            $($(#[doc = $doc])+ $name,)+
        }

        impl Lie {
            /// All of them.
            pub const ALL: &'static [Lie] = &[$(Lie::$name),+];

            /// The name that texts use.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self {
                    $(Lie::$name => $text,)+
                }
            }

            /// The number that is meant when none is given.
            #[must_use]
            pub const fn default_value(self) -> u64 {
                match self {
                    $(Lie::$name => $value,)+
                }
            }

            /// What it says, in one sentence.
            #[must_use]
            pub const fn help(self) -> &'static str {
                match self {
                    $(Lie::$name => concat!($($doc),+),)+
                }
            }
        }
    };
}

lies! {
    /// This many namespaces, one good block of 512 bytes each.
    Namespaces "namespaces" 65_536,
    /// This many namespaces in blocks of 8 bytes, which no host can use.
    UnusableNamespaces "unusable-namespaces" 0xffff_fffd,
    /// Every namespace has this many blocks (NSZE, NCAP).
    NamespaceSize "namespace-size" 0xffff_ffff_ffff_ffff,
    /// Every page of the active namespace list holds the ids from this one down: it neither ascends nor ends.
    DescendingNamespaces "descending-namespaces" 1024,
    /// The descriptors of a namespace fill their page without an end, each with this length (NIDL).
    EndlessDescriptors "endless-descriptors" 16,
    /// The discovery log page claims this many entries (NUMREC), and has one wherever the host looks.
    LogEntries "log-entries" 0xffff_ffff_ffff_ffff,
    /// The generation of the discovery log page (GENCTR) grows by this with each read.
    LogMoves "log-moves" 1,
    /// Texts of Identify and of the discovery log page hold this character after their fourth byte.
    ControlCharacters "control-characters" 10,
    /// Identify Controller claims that a command may have this many keyed data blocks (MSDBD); 0 is no limit.
    Msdbd "msdbd" 255,
    /// Each Asynchronous Event Request is answered at once with this dword 0.
    Events "events" 0x0004_0002,
    /// Property Get of CAP answers this.
    Cap "cap" 0,
    /// Property Get of CC answers this.
    Cc "cc" 0,
    /// Property Get of CSTS answers this; 0 is never ready, 1 never shut down.
    Csts "csts" 0,
    /// Connect is answered with this status field (type and code, DNR as bit 14).
    ConnectStatus "connect-status" 0x4184,
    /// A Connect that succeeds answers this dword 0: CNTLID, and AUTHREQ in the upper half.
    ConnectAnswer "connect-answer" 0xffff,
    /// Connection requests are rejected with this status in the private data.
    Reject "reject" 6,
    /// Connections are accepted with this CRQSIZE.
    Crqsize "crqsize" 0,
    /// RDMA writes go this many bytes beyond (or, negative, before) where the host wants them, with its key.
    WriteShift "write-shift" 4096,
    /// Now and then something random in a completion or a page, drawn from this seed.
    Random "random" 1,
}

/// A lie that is not known, or whose number cannot be read.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct LieError(pub String);

impl fmt::Display for LieError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "'{}' is not a lie: expected NAME or NAME=NUMBER with NAME one of {}", self.0, names())
    }
}

impl std::error::Error for LieError {}

impl FromStr for Lie {
    type Err = LieError;

    fn from_str(text: &str) -> Result<Lie, LieError> {
        Lie::ALL.iter().copied().find(|lie| lie.name() == text).ok_or_else(|| LieError(text.to_owned()))
    }
}

/// The names of all lies, for error texts.
pub(crate) fn names() -> String {
    Lie::ALL.iter().map(|lie| lie.name()).collect::<Vec<_>>().join(", ")
}

/// Reads `NAME` or `NAME=NUMBER`; a number is decimal, may be negative, or hexadecimal with 0x.
///
/// # Errors
/// [`LieError`].
pub fn parse(text: &str) -> Result<(Lie, u64), LieError> {
    let Some((name, number)) = text.split_once('=') else {
        let lie: Lie = text.parse()?;
        return Ok((lie, lie.default_value()));
    };
    let value = match number.strip_prefix("0x") {
        Some(digits) => u64::from_str_radix(digits, 16).ok(),
        None => number.parse().ok().or_else(|| number.parse::<i64>().ok().map(i64::cast_unsigned)),
    };
    Ok((name.parse()?, value.ok_or_else(|| LieError(text.to_owned()))?))
}

/// The lies of a target.
#[derive(Default)]
pub(crate) struct Lies {
    told: Vec<(Lie, u64)>,
    liar: Option<Liar>,
    reads: u64,
    random: u64,
}

impl fmt::Debug for Lies {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("Lies").field("told", &self.told).field("liar", &self.liar.is_some()).finish()
    }
}

impl Lies {
    /// Tells a lie from now on, or no more.
    pub(crate) fn set(&mut self, lie: Lie, value: Option<u64>) {
        self.told.retain(|(told, _)| *told != lie);
        self.told.extend(value.map(|value| (lie, value)));
        if let (Lie::Random, Some(seed)) = (lie, value) {
            // The generator stands still at 0.
            self.random = seed.max(1);
        }
    }

    /// No named lie any more.
    pub(crate) fn clear(&mut self) {
        self.told.clear();
    }

    pub(crate) fn set_liar(&mut self, liar: Option<Liar>) {
        self.liar = liar;
    }

    /// Nobody lies.
    pub(crate) fn is_honest(&self) -> bool {
        self.told.is_empty() && self.liar.is_none()
    }

    pub(crate) fn value(&self, lie: Lie) -> Option<u64> {
        self.told.iter().find(|(told, _)| *told == lie).map(|(_, value)| *value)
    }

    /// Changes an answer as the lies want it.
    pub(crate) fn tell(&mut self, answer: &mut Answer<'_>) {
        if answer.command.opcode() == AdminOpcode::FABRICS.0 {
            self.fabrics(answer);
        } else if answer.qid == 0 {
            match AdminOpcode(answer.command.opcode()) {
                AdminOpcode::IDENTIFY => self.identify(answer),
                AdminOpcode::GET_LOG_PAGE if answer.command.log_page_id() == LogPageId::DISCOVERY => {
                    self.discovery(answer);
                }
                AdminOpcode::ASYNC_EVENT_REQUEST => {
                    if let Some(event) = self.value(Lie::Events) {
                        answer.hold = false;
                        answer.completion = success(answer).with_cdw0(AsyncEvent(event as u32).0);
                    }
                }
                _ => {}
            }
        }
        if let Some((shift, remote)) = self.value(Lie::WriteShift).zip(answer.remote.as_mut()) {
            for piece in remote.pieces_mut() {
                piece.address = piece.address.wrapping_add(shift);
            }
        }
        if self.value(Lie::Random).is_some() {
            self.spoil(answer);
        }
        if let Some(liar) = &mut self.liar {
            liar(answer);
        }
    }

    fn fabrics(&self, answer: &mut Answer<'_>) {
        match answer.command.fabrics_type() {
            FabricsType::CONNECT => {
                if let Some(status) = self.value(Lie::ConnectStatus) {
                    answer.completion = Completion::new(0, answer.command.cid(), Status(status as u16));
                } else if let Some(dword) = self.value(Lie::ConnectAnswer)
                    && answer.completion.is_success()
                {
                    answer.completion = answer.completion.with_cdw0(dword as u32);
                }
            }
            FabricsType::PROPERTY_GET => {
                let lie = match answer.command.property_offset() {
                    CAP => Lie::Cap,
                    CC => Lie::Cc,
                    CSTS => Lie::Csts,
                    _ => return,
                };
                if let Some(value) = self.value(lie) {
                    answer.completion = success(answer).with_result(value);
                }
            }
            _ => {}
        }
    }

    fn identify(&self, answer: &mut Answer<'_>) {
        let nsid = answer.command.nsid();
        let unusable = self.value(Lie::UnusableNamespaces);
        let count =
            unusable.or(self.value(Lie::Namespaces)).map(|count| u32::try_from(count).unwrap_or(u32::MAX));
        match Cns(answer.command.cdw10() as u8) {
            Cns::CONTROLLER => {
                if let (Some(page), Some(count)) = (&mut answer.page, count) {
                    // NN and MNAN.
                    put(page, 516, &count.to_le_bytes());
                    put(page, 540, &count.to_le_bytes());
                }
                if let (Some(page), Some(count)) = (&mut answer.page, self.value(Lie::Msdbd)) {
                    put(page, 1803, &[count as u8]);
                }
                // SN, MN and SUBNQN.
                self.spoil_texts(answer, &[4, 24, 768]);
            }
            Cns::ACTIVE_NAMESPACE_LIST => {
                if let Some(first) = self.value(Lie::DescendingNamespaces) {
                    let first = u32::try_from(first).unwrap_or(u32::MAX);
                    let ids = (0..IDENTIFY_SIZE as u32 / 4).map(|index| first.saturating_sub(index).max(1));
                    say(answer, ids.flat_map(u32::to_le_bytes).collect());
                } else if let Some(count) = count {
                    let ids = nsid.saturating_add(1)..=count.min(nsid.saturating_add(1024));
                    say(answer, encode_namespace_list(ids).to_vec());
                }
            }
            Cns::NAMESPACE => {
                if count.is_some_and(|count| (1..=count).contains(&nsid)) {
                    let lbads = if unusable.is_some() { 3 } else { 9 };
                    let mut image = NamespaceImage::default();
                    image.set_nsze(1).set_ncap(1).set_lba_format(0, LbaFormat { ms: 0, lbads, rp: 0 });
                    say(answer, image.0.to_vec());
                }
                if let (Some(page), Some(blocks)) = (&mut answer.page, self.value(Lie::NamespaceSize)) {
                    put(page, 0, &blocks.to_le_bytes());
                    put(page, 8, &blocks.to_le_bytes());
                }
            }
            Cns::NAMESPACE_DESCRIPTORS => {
                if let Some(length) = self.value(Lie::EndlessDescriptors) {
                    // NIDT of an NGUID, NIDL, two reserved bytes; then as much as NIDL says.
                    let mut one = vec![2, length as u8, 0, 0];
                    one.resize(4 + usize::from(length as u8), 0xee);
                    say(answer, one.into_iter().cycle().take(IDENTIFY_SIZE).collect());
                } else if count.is_some() {
                    say(answer, vec![0; IDENTIFY_SIZE]);
                }
            }
            _ => {}
        }
    }

    fn discovery(&mut self, answer: &mut Answer<'_>) {
        let offset = answer.command.log_page_offset();
        let length = usize::try_from(answer.command.log_page_length()).unwrap_or(usize::MAX).min(1 << 20);
        let header = offset == 0;
        if let Some(count) = self.value(Lie::LogEntries) {
            let entry = DiscoveryEntry {
                adrfam: spec::log::ADRFAM_IPV4,
                subtype: spec::log::SUBTYPE_NVM,
                portid: 1,
                asqsz: 32,
                trsvcid: "4420",
                subnqn: "nqn.2016-06.io.spdk:one-of-many",
                traddr: "127.0.0.1",
            };
            let first = DiscoveryHeader { genctr: 1, numrec: count, recfmt: 0 }.encode();
            let entries = std::iter::repeat(entry.encode()).flatten();
            let bytes = first.into_iter().filter(|_| header).chain(entries);
            // Where the host looks into the middle of an entry, it gets the middle of one.
            let skip = if header { 0 } else { (offset % DiscoveryEntry::SIZE as u64) as usize };
            say(answer, bytes.skip(skip).take(length).collect());
        }
        if let (Some(page), Some(step), true) = (&mut answer.page, self.value(Lie::LogMoves), header) {
            self.reads = self.reads.wrapping_add(step);
            put(page, 0, &self.reads.to_le_bytes());
        }
        if !header || length > DiscoveryHeader::SIZE {
            // SUBNQN and TRADDR of the first entry that is in the page.
            let entry = if header { DiscoveryHeader::SIZE } else { 0 };
            self.spoil_texts(answer, &[entry + 256, entry + 512]);
        }
    }

    fn spoil_texts(&self, answer: &mut Answer<'_>, fields: &[usize]) {
        if let (Some(page), Some(character)) = (&mut answer.page, self.value(Lie::ControlCharacters)) {
            fields.iter().for_each(|field| put(page, field + 4, &[character as u8]));
        }
    }

    fn spoil(&mut self, answer: &mut Answer<'_>) {
        match self.draw(24) {
            0 => {
                let mut bytes = answer.completion.to_bytes();
                bytes.iter_mut().take(12).for_each(|byte| *byte = self.draw(256) as u8);
                answer.completion = Completion::from_bytes(&bytes);
            }
            1 => {
                let mut bytes = answer.completion.to_bytes();
                bytes.iter_mut().skip(14).for_each(|byte| *byte = self.draw(256) as u8);
                answer.completion = Completion::from_bytes(&bytes);
            }
            2 => answer.completion = answer.completion.with_cdw0(u32::MAX),
            _ => {}
        }
        let Some(page) = answer.page.as_mut().filter(|page| !page.is_empty()) else { return };
        let size = page.len() as u64;
        match self.draw(6) {
            0 => page.iter_mut().for_each(|byte| *byte = self.draw(256) as u8),
            1 => {
                for _ in 0..=self.draw(64) {
                    // The fields that matter most are in front.
                    let within = if self.draw(2) == 0 { size.min(640) } else { size };
                    let at = self.draw(within) as usize;
                    let value = [0, 1, 0x7f, 0x80, 0xff].get(self.draw(5) as usize).copied();
                    put(page, at, &[value.unwrap_or(0)]);
                }
            }
            2 => {
                let at = self.draw(size) as usize;
                let value = if self.draw(2) == 0 { 0 } else { 0xff };
                page.iter_mut().skip(at).take(8).for_each(|byte| *byte = value);
            }
            _ => {}
        }
    }

    /// A number below `below`, from a xorshift generator.
    fn draw(&mut self, below: u64) -> u64 {
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        (self.random >> 11) % below.max(1)
    }
}

/// Answers with this page, and success, if the command has a place for it. No more than the place is filled.
fn say(answer: &mut Answer<'_>, mut page: Vec<u8>) {
    if let Some(remote) = &answer.remote {
        page.truncate(usize::try_from(remote.length()).unwrap_or(usize::MAX));
        answer.page = Some(page);
        answer.completion = success(answer);
    }
}

fn success(answer: &Answer<'_>) -> Completion {
    Completion::new(0, answer.command.cid(), Status::SUCCESS)
}

/// Overwrites bytes of a page; what lies beyond its end is left out.
fn put(page: &mut [u8], offset: usize, bytes: &[u8]) {
    page.iter_mut().skip(offset).zip(bytes).for_each(|(place, byte)| *place = *byte);
}

/// Where the command wants its data, as its SGL says it.
pub(crate) fn remote_of(command: &Command) -> Option<Remote> {
    let sgl = command.sgl1();
    (sgl.kind() == SglType::KEYED_DATA_BLOCK && sgl.length() > 0).then(|| Remote::block(sgl))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_numbers() {
        assert_eq!(parse("namespaces"), Ok((Lie::Namespaces, 65_536)));
        assert_eq!(parse("csts=1"), Ok((Lie::Csts, 1)));
        assert_eq!(parse("cap=0xff"), Ok((Lie::Cap, 255)));
        assert_eq!(parse("write-shift=-1"), Ok((Lie::WriteShift, u64::MAX)));
        for text in ["", "truth", "csts=", "csts=x", "=1"] {
            assert!(parse(text).unwrap_err().to_string().contains("namespaces, "), "{text}");
        }
        for lie in Lie::ALL {
            assert_eq!(lie.name().parse(), Ok(*lie));
            assert!(lie.help().trim().ends_with('.'), "{lie:?}");
        }
    }

    #[test]
    fn a_lie_is_told_until_it_is_taken_back() {
        let mut lies = Lies::default();
        assert!(lies.is_honest());
        lies.set(Lie::Csts, Some(1));
        lies.set(Lie::Csts, Some(2));
        assert_eq!(lies.value(Lie::Csts), Some(2));
        lies.set(Lie::Csts, None);
        assert!(lies.is_honest());
        lies.set_liar(Some(Box::new(|_| {})));
        assert!(!lies.is_honest());
    }
}

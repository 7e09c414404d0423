//! What a target offers: listen addresses, subsystems with their namespaces, and limits.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV6};

use spec::fabrics::{ADMIN_QUEUE_ENTRIES_MIN, DISCOVERY_NQN, check_nqn};
use spec::firmware::BOOT_PARTITION_UNIT;
use thiserror::Error;

use crate::core::ANA_GROUPS;

/// The port of NVMe/RDMA.
pub const DEFAULT_PORT: u16 = 4420;
/// The largest namespace: 1 TiB.
pub const NAMESPACE_SIZE_MAX: u64 = 1 << 40;
/// Bytes of the largest boot partition.
pub const BOOT_PARTITION_MAX: u32 = 16 << 20;
/// The most namespaces of a subsystem.
pub const NAMESPACES_MAX: usize = 1024;
/// How long a queue id stays taken after its connection ended unless the options say otherwise, in milliseconds.
pub const LINGER_MS: u32 = 20;
/// The most keyed data blocks that a command may have.
pub const DESCRIPTORS_MAX: u8 = 16;

/// Options of a target.
#[derive(Clone, Debug)]
pub struct Options {
    /// Addresses to listen on, at least one. Port 0 takes a free port.
    pub listen: Vec<SocketAddr>,
    /// Subsystems, with NQNs that differ.
    pub subsystems: Vec<SubsystemOptions>,
    /// Entries of an I/O queue, 16 to 4096: what CAP.MQES advertises. The Admin Queue has as many, and at least the 32
    /// that NVMe-oF 5.2 asks for.
    pub queue_entries: u16,
    /// I/O queues of a controller, 1 to 1024.
    pub io_queues: u16,
    /// Room for in-capsule data in bytes, 0 to 65,536, a multiple of 16.
    pub in_capsule_data: u32,
    /// ICDOFF in units of 16 bytes, 0 to 64.
    pub icdoff: u16,
    /// MDTS: 2^this pages of 4 KiB, 0 to 10; 0 means no limit.
    pub mdts: u8,
    /// RDMA READs that a queue has outstanding, 1 to 255; the device and the host may allow fewer.
    pub read_depth: u8,
    /// For this many milliseconds after an I/O queue's connection ended its queue id stays taken, and Connect is refused
    /// with Command Sequence Error; 0 to 60,000. Other targets need such a moment to tidy up, so hosts must bear it.
    pub linger_ms: u32,
    /// Keyed data blocks that a command may have, 1 to 16: more than one are a list in the capsule. With 1 there are no
    /// lists. MSDBD says less where the capsule has no room for so many, see [`Options::msdbd`].
    pub descriptors: u8,
}

/// Options of a subsystem.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct SubsystemOptions {
    /// Its NQN.
    pub nqn: String,
    /// Its namespaces from namespace id 1 on; `None` is an id that is not active.
    pub namespaces: Vec<Option<NamespaceOptions>>,
    /// NQNs of the hosts that may connect; empty for any host.
    pub hosts: Vec<String>,
    /// Bytes of each of the two boot partitions, a multiple of 128 KiB, at most 16 MiB; 0 for none. Over fabrics they can be written, and not
    /// read.
    pub boot: u32,
    /// Whether it is a TPer of TCG Opal, so that its namespaces can be locked.
    pub opal: bool,
}

/// Options of a namespace.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct NamespaceOptions {
    /// Size in bytes, a multiple of the block size.
    pub size: u64,
    /// Block size in bytes: a power of two, 512 to 65,536.
    pub block_size: u32,
    /// Bytes to which it can be made to grow, no fewer than its size.
    pub room: u64,
    /// Its ANA group, 1 to 16.
    pub group: u32,
    /// Bytes of metadata of each block, 0 to 256. They are behind its data (in extended form), and no part of the sizes.
    pub metadata: u16,
    /// Type of the protection information in the last 8 bytes of the metadata, 1 to 3; 0 for none.
    pub protection: u8,
    /// What it is made of.
    pub kind: NamespaceKind,
}

/// What a namespace is made of: which command set it is of.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum NamespaceKind {
    /// Logical blocks.
    #[default]
    Blocks,
    /// Logical blocks in zones.
    Zones(ZoneOptions),
    /// Keys and values.
    Keys,
}

/// Options of the zones of a namespace.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct ZoneOptions {
    /// Bytes of a zone, a multiple of the block size. The namespace is a multiple of it.
    pub size: u64,
    /// Bytes of a zone that can be written, a multiple of the block size.
    pub capacity: u64,
    /// The most zones that may be open; 0 for any number.
    pub most_open: u32,
    /// The most zones that may be active, no fewer; 0 for any number.
    pub most_active: u32,
}

impl Default for Options {
    fn default() -> Options {
        Options {
            listen: Vec::new(),
            subsystems: Vec::new(),
            queue_entries: 128,
            io_queues: 64,
            in_capsule_data: 4096,
            icdoff: 0,
            mdts: 5,
            read_depth: 16,
            linger_ms: LINGER_MS,
            descriptors: DESCRIPTORS_MAX,
        }
    }
}

/// What is wrong with options.
#[derive(Clone, Debug, Eq, Error, PartialEq)]
pub enum OptionError {
    /// An address that cannot be read or resolved.
    #[error(
        "'{text}' is not an address{why}: expected ADDR[:PORT] or [IPV6ADDR][:PORT], as 127.0.0.1:4420, [::1]:4420 or, \
         with the interface of a link-local address, [fe80::1%eth0]:4420"
    )]
    Address {
        /// The address.
        text: String,
        /// What is wrong with it, beginning with a space, or nothing.
        why: &'static str,
    },
    /// A size that cannot be read.
    #[error("'{0}' is not a size: expected a number of bytes, or one with K, M or G")]
    Size(String),
    /// A namespace of impossible size.
    #[error("a namespace of {size} bytes in blocks of {block_size} is not possible: {why}")]
    Namespace {
        /// Its size.
        size: u64,
        /// Its block size.
        block_size: u32,
        /// Why not.
        why: &'static str,
    },
    /// An NQN that cannot be.
    #[error("'{nqn}' is not an NQN of a subsystem: {why}")]
    Nqn {
        /// The NQN.
        nqn: String,
        /// Why not.
        why: String,
    },
    /// An NQN that no host can have.
    #[error("host='{nqn}' is not an NQN of a host: {why}")]
    HostNqn {
        /// The NQN.
        nqn: String,
        /// Why not.
        why: String,
    },
    /// Part of a subsystem's description that is not known.
    #[error(
        "'{0}' is not known: expected ns=SIZE[..MOST][:BLOCK[+METADATA[:piTYPE]|:zSIZE[/CAPACITY[/OPEN[/ACTIVE]]]]|:kv][@GROUP], ns=none, nn=NUMBER, host=NQN, boot=SIZE or opal"
    )]
    Part(String),
    /// Boot partitions of a size that they cannot have.
    #[error("a boot partition of {0} bytes is not possible: it is a multiple of 128K, and at most 16M")]
    BootPartition(String),
    /// A value out of range.
    #[error("{name} is {value}, out of range {minimum} to {maximum}")]
    Range {
        /// Which option.
        name: &'static str,
        /// Its value.
        value: u64,
        /// The smallest.
        minimum: u64,
        /// The largest.
        maximum: u64,
    },
    /// No listen address.
    #[error("no address to listen on")]
    NoListener,
    /// In-capsule data that is not a multiple of 16.
    #[error("in-capsule data of {0} bytes is not a multiple of 16")]
    Granularity(u32),
}

impl Options {
    /// Checks everything that a target relies on.
    ///
    /// # Errors
    /// The first [`OptionError`] found.
    pub fn check(&self) -> Result<(), OptionError> {
        if self.listen.is_empty() {
            return Err(OptionError::NoListener);
        }
        range("the number of queue entries", self.queue_entries.into(), 16, 4096)?;
        range("the number of I/O queues", self.io_queues.into(), 1, 1024)?;
        range("the in-capsule data size", self.in_capsule_data.into(), 0, 65_536)?;
        range("the in-capsule data offset", self.icdoff.into(), 0, 64)?;
        range("MDTS", self.mdts.into(), 0, 10)?;
        range("the read depth", self.read_depth.into(), 1, 255)?;
        check_linger(self.linger_ms)?;
        range("the number of descriptors", self.descriptors.into(), 1, DESCRIPTORS_MAX.into())?;
        if !self.in_capsule_data.is_multiple_of(16) {
            return Err(OptionError::Granularity(self.in_capsule_data));
        }
        for (index, subsystem) in self.subsystems.iter().enumerate() {
            subsystem.check()?;
            if self.subsystems.iter().take(index).any(|other| other.nqn == subsystem.nqn) {
                return Err(nqn_error(&subsystem.nqn, "there are two of it"));
            }
        }
        Ok(())
    }

    /// Entries that the queue with this id may have.
    #[must_use]
    pub fn entries_of(&self, qid: u16) -> u16 {
        if qid == 0 { self.queue_entries.max(ADMIN_QUEUE_ENTRIES_MIN) } else { self.queue_entries }
    }

    /// Bytes of an I/O queue's capsule, from the command's end on, that a list of descriptors may lie in. Lists begin right
    /// behind the command and end before the place that ICDOFF gives to data, unless that is the same one (Base 2.1,
    /// 3.3.2.1.3.1).
    #[must_use]
    pub fn descriptor_room(&self) -> u32 {
        if self.icdoff == 0 { self.in_capsule_data } else { u32::from(self.icdoff) * 16 }
    }

    /// MSDBD: the keyed data blocks that a command may have, as many as the option says and a capsule holds. A single one
    /// is in the command and needs no room.
    #[must_use]
    pub fn msdbd(&self) -> u8 {
        let room = u8::try_from(self.descriptor_room() / 16).unwrap_or(u8::MAX);
        self.descriptors.min(room).max(1)
    }
}

impl SubsystemOptions {
    /// From `NQN[,ns=SIZE[..MOST][:BLOCK[+METADATA[:piTYPE]|:zSIZE[/CAPACITY[/OPEN[/ACTIVE]]]]|:kv][@GROUP]|,ns=none|,nn=NUMBER|,host=NQN|,boot=SIZE|,opal]...`. Without `ns` there is one namespace of
    /// 64 MiB in blocks of 512 bytes. With `nn` there are that many namespace ids, the rest of them inactive.
    ///
    /// # Errors
    /// The first [`OptionError`] found.
    pub fn parse(text: &str) -> Result<SubsystemOptions, OptionError> {
        let mut parts = text.split(',');
        let nqn = parts.next().unwrap_or_default().to_owned();
        let mut subsystem =
            SubsystemOptions { nqn, namespaces: Vec::new(), hosts: Vec::new(), boot: 0, opal: false };
        let mut ids = 0;
        for part in parts {
            match part.split_once('=') {
                Some(("ns", "none")) => subsystem.namespaces.push(None),
                Some(("ns", size)) => subsystem.namespaces.push(Some(NamespaceOptions::parse(size)?)),
                Some(("nn", number)) => {
                    ids = number.parse().map_err(|_| OptionError::Part(part.to_owned()))?;
                    range("the number of namespace ids", ids as u64, 1, NAMESPACES_MAX as u64)?;
                }
                Some(("host", nqn)) => subsystem.hosts.push(nqn.to_owned()),
                Some(("boot", size)) => {
                    subsystem.boot = u32::try_from(parse_size(size)?)
                        .map_err(|_| OptionError::BootPartition(size.to_owned()))?;
                }
                None if part == "opal" => subsystem.opal = true,
                _ => return Err(OptionError::Part(part.to_owned())),
            }
        }
        if subsystem.namespaces.is_empty() {
            subsystem.namespaces.push(Some(NamespaceOptions::new(64 << 20, 512)));
        }
        subsystem.namespaces.resize(ids.max(subsystem.namespaces.len()), None);
        subsystem.check()?;
        Ok(subsystem)
    }

    fn check(&self) -> Result<(), OptionError> {
        check_nqn(&self.nqn).map_err(|error| nqn_error(&self.nqn, &error.to_string()))?;
        if self.nqn == DISCOVERY_NQN {
            return Err(nqn_error(&self.nqn, "the discovery service is always there"));
        }
        if !self.nqn.starts_with("nqn.") {
            return Err(nqn_error(&self.nqn, "it does not start with nqn."));
        }
        for host in &self.hosts {
            check_nqn(host).map_err(|error| host_error(host, &error.to_string()))?;
            if !host.starts_with("nqn.") {
                return Err(host_error(host, "it does not start with nqn."));
            }
        }
        if self.boot > BOOT_PARTITION_MAX || !self.boot.is_multiple_of(BOOT_PARTITION_UNIT) {
            return Err(OptionError::BootPartition(self.boot.to_string()));
        }
        range("the number of namespaces", self.namespaces.len() as u64, 0, NAMESPACES_MAX as u64)?;
        self.namespaces.iter().flatten().try_for_each(NamespaceOptions::check)
    }
}

impl NamespaceOptions {
    /// A namespace of this size in blocks of that one, which cannot grow, in the first ANA group.
    #[must_use]
    pub fn new(size: u64, block_size: u32) -> NamespaceOptions {
        NamespaceOptions {
            size,
            block_size,
            room: size,
            group: 1,
            metadata: 0,
            protection: 0,
            kind: NamespaceKind::Blocks,
        }
    }

    /// Bytes of memory for as many blocks as there may be.
    pub(crate) fn store_size(&self) -> u64 {
        if self.kind == NamespaceKind::Keys {
            return u64::from(self.block_size); // its pairs are not in there
        }
        let blocks = self.room / u64::from(self.block_size.max(1));
        blocks.saturating_mul(u64::from(self.block_size) + u64::from(self.metadata))
    }

    /// From `SIZE[..MOST][:BLOCK[+METADATA[:piTYPE]|:zSIZE[/CAPACITY[/OPEN[/ACTIVE]]]]|:kv][@GROUP]`.
    ///
    /// # Errors
    /// The first [`OptionError`] found.
    pub fn parse(text: &str) -> Result<NamespaceOptions, OptionError> {
        let (text, group) = match text.split_once('@') {
            Some((text, group)) => {
                let group = group.parse().map_err(|_| OptionError::Part(format!("@{group}")))?;
                (text, group)
            }
            None => (text, 1),
        };
        let (sizes, format) = text.split_once(':').unwrap_or((text, "512"));
        let (format, kind) = if format == "kv" {
            ("512", NamespaceKind::Keys)
        } else if let Some((format, zones)) = format.split_once(":z") {
            (format, NamespaceKind::Zones(ZoneOptions::parse(zones)?))
        } else {
            (format, NamespaceKind::Blocks)
        };
        let (format, protection) = match format.split_once(":pi") {
            Some((format, kind)) => {
                (format, kind.parse().map_err(|_| OptionError::Part(format!("pi{kind}")))?)
            }
            None => (format, 0),
        };
        let (block, metadata) = format.split_once('+').unwrap_or((format, "0"));
        let block_size = u32::try_from(parse_size(block)?).unwrap_or(u32::MAX);
        let metadata = u16::try_from(parse_size(metadata)?).unwrap_or(u16::MAX);
        let (size, room) = match sizes.split_once("..") {
            Some((size, room)) => (parse_size(size)?, parse_size(room)?),
            None => (parse_size(sizes)?, parse_size(sizes)?),
        };
        let namespace = NamespaceOptions { size, block_size, room, group, metadata, protection, kind };
        namespace.check().map(|()| namespace)
    }

    pub(crate) fn check(&self) -> Result<(), OptionError> {
        let NamespaceOptions { size, block_size, room, group, metadata, protection, kind } = *self;
        range("the ANA group", group.into(), 1, ANA_GROUPS.into())?;
        range("the size of the metadata", metadata.into(), if protection > 0 { 8 } else { 0 }, 256)?;
        range("the type of protection information", protection.into(), 0, 3)?;
        let why = if !block_size.is_power_of_two() || !(512..=65_536).contains(&block_size) {
            "the block size must be a power of two from 512 to 65536"
        } else if size == 0 || !size.is_multiple_of(block_size.into()) {
            "the size must be a multiple of the block size, and not 0"
        } else if size > NAMESPACE_SIZE_MAX || room > NAMESPACE_SIZE_MAX {
            "the size must not exceed 1024G"
        } else if room < size || !room.is_multiple_of(block_size.into()) {
            "it cannot grow to less than its size, nor to what is no multiple of the block size"
        } else if kind != NamespaceKind::Blocks && (metadata > 0 || room != size) {
            "one of zones, or of keys, has no metadata and does not grow"
        } else if let NamespaceKind::Zones(zones) = kind
            && !zones.fit(size, block_size.into())
        {
            "its zones must be a multiple of the block size, and the size a multiple of theirs; no more of them can be open than active"
        } else {
            return Ok(());
        };
        Err(OptionError::Namespace { size, block_size, why })
    }
}

/// Zones of a namespace: each costs memory, and commands on all of them time.
const MOST_ZONES: u64 = 1 << 16;

impl ZoneOptions {
    /// From `SIZE[/CAPACITY[/OPEN[/ACTIVE]]]`.
    fn parse(text: &str) -> Result<ZoneOptions, OptionError> {
        let mut parts = text.split('/');
        let size = parse_size(parts.next().unwrap_or_default())?;
        let capacity = parts.next().map_or(Ok(size), parse_size)?;
        let mut number = || {
            let number = parts.next().map_or(Ok(0), str::parse);
            number.map_err(|_| OptionError::Part(format!("z{text}")))
        };
        let (most_open, most_active) = (number()?, number()?);
        match parts.next() {
            None => Ok(ZoneOptions { size, capacity, most_open, most_active }),
            Some(_) => Err(OptionError::Part(format!("z{text}"))),
        }
    }

    fn fit(&self, namespace: u64, block: u64) -> bool {
        let fits = |bytes: u64| bytes > 0 && bytes.is_multiple_of(block);
        let most = |number: u32| if number == 0 { u32::MAX } else { number };
        namespace / self.size.max(1) <= MOST_ZONES
            && fits(self.size)
            && fits(self.capacity)
            && self.capacity <= self.size
            && namespace.is_multiple_of(self.size)
            && most(self.most_open) <= most(self.most_active)
    }
}

/// Reads `ADDR`, `ADDR:PORT`, `[IPV6ADDR]`, `[IPV6ADDR]:PORT` or `:PORT`; the port is 4420 when left out. A link-local IPv6
/// address needs its zone behind a percent sign, the name or the index of an interface (RFC 4007, 11). Names are not looked
/// up, since that can block, but for `localhost`.
///
/// # Errors
/// [`OptionError::Address`].
pub fn parse_address(text: &str) -> Result<SocketAddr, OptionError> {
    let wrong = |why| OptionError::Address { text: text.to_owned(), why };
    let address = if let Ok(address) = text.parse::<SocketAddr>() {
        address
    } else if let Ok(address) = text.parse::<IpAddr>() {
        SocketAddr::new(address, DEFAULT_PORT)
    } else if let Some(Ok(port)) = text.strip_prefix(':').map(str::parse) {
        SocketAddr::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), port)
    } else {
        let (host, port) = host_and_port(text).map_err(wrong)?;
        numeric(host, port).map_err(wrong)?
    };
    match address {
        SocketAddr::V6(v6) if v6.ip().is_unicast_link_local() && v6.scope_id() == 0 => {
            Err(wrong(" without its zone"))
        }
        address => Ok(address),
    }
}

/// Parts what [`SocketAddr`] does not read by itself: names, and IPv6 addresses with the name of an interface.
/// The address that a host's text is, apart from the forms that the standard library reads: with a zone, or `localhost`.
fn numeric(host: &str, port: u16) -> Result<SocketAddr, &'static str> {
    if host == "localhost" {
        return Ok(SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), port));
    }
    let Some((address, zone)) = host.split_once('%') else {
        let address = host.parse().map_err(|_| ": names are not looked up");
        return Ok(SocketAddr::new(address?, port));
    };
    let address: Ipv6Addr = address.parse().map_err(|_| ", a zone belongs to an IPv6 address")?;
    let index = zone.parse().ok().or_else(|| verbs::interface_index(zone));
    let index = index.ok_or(", perhaps there is no such interface")?;
    Ok(SocketAddr::V6(SocketAddrV6::new(address, port, 0, index)))
}

fn host_and_port(text: &str) -> Result<(&str, u16), &'static str> {
    let number = |port: &str| port.parse().map_err(|_| ", the port is not a number up to 65535");
    if let Some(rest) = text.strip_prefix('[') {
        return match rest.split_once(']') {
            Some((host, "")) => Ok((host, DEFAULT_PORT)),
            Some((host, port)) => {
                let port = port.strip_prefix(':').ok_or(", only a port may follow the bracket")?;
                Ok((host, number(port)?))
            }
            None => Err(", a bracket is missing"),
        };
    }
    match text.split_once('%') {
        // An IPv6 address without brackets has no port: a colon behind the zone is one too many.
        Some((address, _)) if !address.contains(':') => Err(", a zone belongs to an IPv6 address"),
        Some((_, zone)) if zone.contains(':') => Err(", an IPv6 address with a port needs brackets"),
        Some(_) => Ok((text, DEFAULT_PORT)),
        None => match text.rsplit_once(':') {
            Some((host, port)) => Ok((host, number(port)?)),
            None => Ok((text, DEFAULT_PORT)),
        },
    }
}

/// Reads a number of bytes, with a factor of K, M or G if given (powers of 1024).
///
/// # Errors
/// [`OptionError::Size`].
pub fn parse_size(text: &str) -> Result<u64, OptionError> {
    let (digits, shift) = match text.as_bytes().last() {
        Some(b'k' | b'K') => (text.get(..text.len() - 1), 10),
        Some(b'm' | b'M') => (text.get(..text.len() - 1), 20),
        Some(b'g' | b'G') => (text.get(..text.len() - 1), 30),
        _ => (Some(text), 0),
    };
    digits
        .and_then(|digits| digits.parse::<u64>().ok())
        .and_then(|value| value.checked_mul(1 << shift))
        .ok_or_else(|| OptionError::Size(text.to_owned()))
}

pub(crate) fn check_linger(milliseconds: u32) -> Result<(), OptionError> {
    range("the time that queue ids linger", milliseconds.into(), 0, 60_000)
}

fn range(name: &'static str, value: u64, minimum: u64, maximum: u64) -> Result<(), OptionError> {
    if (minimum..=maximum).contains(&value) {
        Ok(())
    } else {
        Err(OptionError::Range { name, value, minimum, maximum })
    }
}

fn host_error(nqn: &str, why: &str) -> OptionError {
    OptionError::HostNqn { nqn: nqn.to_owned(), why: why.to_owned() }
}

fn nqn_error(nqn: &str, why: &str) -> OptionError {
    OptionError::Nqn { nqn: nqn.to_owned(), why: why.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn subsystems() {
        let subsystem =
            SubsystemOptions::parse("nqn.x:a,ns=1M,ns=none,ns=8K..1M:4K+64:pi2@3,nn=4,host=nqn.h").unwrap();
        assert_eq!(subsystem.nqn, "nqn.x:a");
        assert_eq!(
            subsystem.namespaces,
            [
                Some(NamespaceOptions {
                    size: 1 << 20,
                    block_size: 512,
                    room: 1 << 20,
                    group: 1,
                    metadata: 0,
                    protection: 0,
                    kind: NamespaceKind::Blocks
                }),
                None,
                Some(NamespaceOptions {
                    size: 8192,
                    block_size: 4096,
                    room: 1 << 20,
                    group: 3,
                    metadata: 64,
                    protection: 2,
                    kind: NamespaceKind::Blocks
                }),
                None,
            ]
        );
        assert_eq!((subsystem.hosts, subsystem.opal), (vec!["nqn.h".to_owned()], false));
        assert_eq!(SubsystemOptions::parse("nqn.x").unwrap().namespaces.len(), 1);
        assert_eq!(SubsystemOptions::parse("nqn.x,boot=256K").unwrap().boot, 256 << 10);
        assert!(SubsystemOptions::parse("nqn.x,ns=1M,opal").unwrap().opal);
    }

    #[test]
    fn namespaces_of_zones_and_keys() {
        let kind = |text: &str| NamespaceOptions::parse(text).unwrap().kind;
        let zones = |size, capacity, most_open, most_active| {
            NamespaceKind::Zones(ZoneOptions { size, capacity, most_open, most_active })
        };
        assert_eq!(kind("1M:4K:z64K"), zones(65_536, 65_536, 0, 0));
        assert_eq!(kind("1M:512:z64K/48K/3@2"), zones(65_536, 49_152, 3, 0));
        assert_eq!(kind("1M:512:z64K/48K/3/4"), zones(65_536, 49_152, 3, 4));
        assert_eq!((kind("1M:kv"), kind("1M")), (NamespaceKind::Keys, NamespaceKind::Blocks));
    }

    #[test]
    fn bad_subsystems_say_why() {
        for (text, why) in [
            ("", "empty"),
            ("a", "nqn."),
            ("nqn.2014-08.org.nvmexpress.discovery", "always there"),
            ("nqn.x,ns=", "not a size"),
            ("nqn.x,ns=12X", "not a size"),
            ("nqn.x,ns=99999999999999999999G", "not a size"),
            ("nqn.x,ns=1000", "multiple"),
            ("nqn.x,ns=0", "not 0"),
            ("nqn.x,ns=1M:100", "power of two"),
            ("nqn.x,ns=1M:1G", "power of two"),
            ("nqn.x,ns=2048G", "exceed"),
            ("nqn.x,ns=1M..512K", "cannot grow"),
            ("nqn.x,ns=1M..1000001", "cannot grow"),
            ("nqn.x,ns=1M..2048G", "exceed"),
            ("nqn.x,ns=1M@0", "ANA group"),
            ("nqn.x,ns=1M@17", "ANA group"),
            ("nqn.x,ns=1M@a", "not known"),
            ("nqn.x,ns=1M:512+257", "range"),
            ("nqn.x,ns=1M:512+4:pi1", "range"),
            ("nqn.x,ns=1M:512:pi1", "range"),
            ("nqn.x,ns=1M:512+8:pi4", "range"),
            ("nqn.x,ns=1M:512+8:pix", "not known"),
            ("nqn.x,ns=1M:512+x", "not a size"),
            ("nqn.x,ns=1M:512:z", "not a size"),
            ("nqn.x,ns=1M:512:z1000", "its zones"),
            ("nqn.x,ns=1M:512:z3K", "its zones"),
            ("nqn.x,ns=1M:512:z64K/128K", "its zones"),
            ("nqn.x,ns=64M:512:z512", "its zones"),
            ("nqn.x,ns=1M:512:z64K/64K/4/3", "its zones"),
            ("nqn.x,ns=1M:512:z64K/64K/4/x", "not known"),
            ("nqn.x,ns=1M:512:z64K/64K/4/4/4", "not known"),
            ("nqn.x,ns=1M:512+8:z64K", "no metadata"),
            ("nqn.x,ns=1M..2M:kv", "does not grow"),
            ("nqn.x,nn=0", "range"),
            ("nqn.x,nn=1025", "range"),
            ("nqn.x,foo=1", "not known"),
            ("nqn.x,boot=64K", "multiple of 128K"),
            ("nqn.x,boot=16513K", "multiple of 128K"),
            ("nqn.x,boot=17M", "at most 16M"),
            ("nqn.x,boot=8G", "at most 16M"),
            ("nqn.x,boot=", "size"),
            ("nqn.x,opal=1", "not known"),
            ("nqn.x,host=", "empty"),
            ("nqn.x,host=me", "nqn."),
        ] {
            let error = SubsystemOptions::parse(text).unwrap_err().to_string();
            assert!(error.contains(why), "{text}: {error}");
        }
    }

    #[test]
    fn addresses() {
        assert_eq!(parse_address("127.0.0.1:1").unwrap().to_string(), "127.0.0.1:1");
        assert_eq!(parse_address("10.0.0.1").unwrap().to_string(), "10.0.0.1:4420");
        assert_eq!(parse_address("[::1]:7").unwrap().to_string(), "[::1]:7");
        assert_eq!(parse_address(":9").unwrap().to_string(), "0.0.0.0:9");
        assert_eq!(parse_address("[::1]").unwrap().to_string(), "[::1]:4420");
        assert_eq!(parse_address("localhost:7").unwrap().port(), 7);
        for (text, why) in [
            ("127.0.0.1:99999", "port"),
            ("", "expected"),
            ("[::1", "bracket is missing"),
            ("[::1]4420", "only a port"),
            ("[::1]:x", "port"),
            ("127.0.0.1%lo:4420", "zone"),
        ] {
            let error = parse_address(text).unwrap_err().to_string();
            assert!(error.contains(why) && error.contains("[fe80::1%eth0]:4420"), "{text}: {error}");
        }
    }

    #[test]
    fn link_local_addresses_have_a_zone() {
        // The loopback interface has index 1 in every network namespace.
        for text in ["[fe80::1%1]:7", "[fe80::1%lo]:7"] {
            let address = parse_address(text).unwrap();
            let SocketAddr::V6(v6) = address else { panic!("{address}") };
            assert_eq!((v6.scope_id(), v6.port()), (1, 7), "{text}");
        }
        for text in ["fe80::1%lo", "[fe80::1%lo]", "fe80::1%1"] {
            assert_eq!(parse_address(text).unwrap().to_string(), "[fe80::1%1]:4420", "{text}");
        }
        for (text, why) in [
            ("[fe80::1]:7", "without its zone"),
            ("fe80::1", "without its zone"),
            ("[fe80::1%no-such-if]:7", "no such interface"),
            ("fe80::1%lo:7", "brackets"),
        ] {
            let error = parse_address(text).unwrap_err().to_string();
            assert!(error.contains(why), "{text}: {error}");
        }
    }

    #[test]
    fn the_admin_queue_is_never_too_small() {
        let options = Options { queue_entries: 16, ..Options::default() };
        assert_eq!((options.entries_of(0), options.entries_of(1)), (32, 16));
        assert_eq!(Options::default().entries_of(0), 128);
    }

    #[test]
    fn there_are_as_many_descriptors_as_a_capsule_holds() {
        for (descriptors, in_capsule_data, icdoff, msdbd) in [
            (16, 4096, 0, 16),
            (3, 4096, 0, 3),
            (16, 80, 0, 5),
            (16, 16, 0, 1),
            (16, 0, 0, 1),
            (1, 65_536, 64, 1),
            (16, 65_536, 0, 16),
            (16, 0, 64, 16),
            (16, 4096, 2, 2),
        ] {
            let options = Options { descriptors, in_capsule_data, icdoff, ..Options::default() };
            assert_eq!(options.msdbd(), msdbd, "{descriptors} {in_capsule_data} {icdoff}");
        }
        for descriptors in [0, 17] {
            let listen = vec!["127.0.0.1:0".parse().unwrap()];
            let options = Options { listen, descriptors, ..Options::default() };
            assert!(options.check().unwrap_err().to_string().contains("out of range 1 to 16"));
        }
    }

    #[test]
    fn checks() {
        let mut options = Options::default();
        assert_eq!(options.check(), Err(OptionError::NoListener));
        options.listen.push("127.0.0.1:0".parse().unwrap());
        assert_eq!(options.check(), Ok(()));
        options.in_capsule_data = 4097;
        assert_eq!(options.check(), Err(OptionError::Granularity(4097)));
        options.in_capsule_data = 0;
        let subsystem = SubsystemOptions::parse("nqn.x").unwrap();
        options.subsystems = vec![subsystem.clone(), subsystem];
        assert!(options.check().unwrap_err().to_string().contains("two of it"));
    }
}

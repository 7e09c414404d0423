//! Where a controller is, and how it is to be used.

use super::{Error, identity::identity};
use crate::transport::{Upcall, tell_nobody};
use spec::{
    printable,
    registers::{Cap, Cc},
};
use std::{
    cmp::Ordering,
    net::{IpAddr, Ipv6Addr, SocketAddr, SocketAddrV6},
    time::Duration,
};

/// The address family of a transport id.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AddressFamily {
    /// IPv4.
    Ipv4,
    /// IPv6.
    Ipv6,
}

/// An NVMe subsystem port reached over RDMA, and the subsystem.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TransportId {
    /// The family of `traddr`.
    pub address_family: AddressFamily,
    /// The numeric address; one of IPv6 may stand in brackets and have a zone, as `fe80::1%eth0`.
    pub traddr: String,
    /// The port.
    pub trsvcid: String,
    /// The subsystem's NQN.
    pub subnqn: String,
}

impl TransportId {
    /// The socket address.
    pub fn address(&self) -> Result<SocketAddr, Error> {
        socket_address(self.address_family, &self.traddr, Some(&self.trsvcid))
    }

    /// Address, port and NQN for a log line, fit to be shown.
    pub(super) fn label(&self) -> String {
        let (address, port, nqn) =
            (printable(&self.traddr), printable(&self.trsvcid), printable(&self.subnqn));
        match self.address_family {
            AddressFamily::Ipv6 if !self.traddr.starts_with('[') => format!("[{address}]:{port} {nqn}"),
            _ => format!("{address}:{port} {nqn}"),
        }
    }

    /// The zone of the address as it is written, if there is one.
    pub(super) fn zone(&self) -> Option<&str> {
        split_address(&self.traddr).ok()?.1
    }

    /// Whether the address says nothing without a zone and has none.
    pub(super) fn needs_zone(&self) -> bool {
        matches!(split_address(&self.traddr), Ok((IpAddr::V6(ip), None)) if ip.is_unicast_link_local())
    }
}

/// The order of two addresses, which is that of what they stand for, however they are written. Texts that are no numeric
/// address of this machine are compared in any case, and come behind those that are.
pub fn compare_addresses(one: &str, other: &str) -> Ordering {
    fn numeric(text: &str) -> Result<(IpAddr, Option<u32>), Error> {
        let (ip, zone) = split_address(text)?;
        Ok((ip, zone.map(scope_of).transpose()?))
    }
    let key = |text: &str| numeric(text).map_err(|_| text.to_ascii_lowercase());
    key(one).cmp(&key(other))
}

/// The parts of a numeric address: `192.0.2.1`, `2001:db8::1`, `fe80::1%eth0`, and the last two in brackets.
fn split_address(text: &str) -> Result<(IpAddr, Option<&str>), Error> {
    let trimmed = text.trim();
    let invalid = || {
        let text = printable(text);
        Error::InvalidArgument(format!(
            "address '{text}' is not numeric, as 192.0.2.1, 2001:db8::1 or fe80::1%eth0"
        ))
    };
    let inner = match trimmed.strip_prefix('[') {
        Some(rest) => rest.strip_suffix(']').filter(|inner| inner.contains(':')).ok_or_else(invalid)?,
        None => trimmed,
    };
    match inner.split_once('%') {
        Some((ip, zone)) => Ok((IpAddr::V6(ip.parse::<Ipv6Addr>().map_err(|_| invalid())?), Some(zone))),
        None => Ok((inner.parse().map_err(|_| invalid())?, None)),
    }
}

/// The scope id of a zone: the number, or the name, of an interface (RFC 4007, 11).
fn scope_of(zone: &str) -> Result<u32, Error> {
    let number = zone.parse().ok().filter(|number| *number != 0);
    number.or_else(|| verbs::interface_index(zone)).ok_or_else(|| {
        let text = printable(zone);
        Error::InvalidArgument(format!("'{text}' behind '%' is not a network interface of this machine"))
    })
}

/// The socket address of a numeric address and port, any port if none is given. Names are not looked up: that could block.
pub(super) fn socket_address(
    family: AddressFamily,
    address: &str,
    service: Option<&str>,
) -> Result<SocketAddr, Error> {
    let (ip, zone) = split_address(address)?;
    let port = service.map_or(Ok(0), |service| {
        let port = service.trim().parse().ok().filter(|port| *port != 0);
        port.ok_or_else(|| {
            let text = printable(service);
            Error::InvalidArgument(format!("port '{text}' is not a number from 1 to 65535"))
        })
    })?;
    let other_family = |other: &str| {
        let text = printable(address);
        Error::InvalidArgument(format!("address '{text}' is not of the family {other}"))
    };
    match (family, ip) {
        (AddressFamily::Ipv4, IpAddr::V4(ip)) => Ok(SocketAddr::from((ip, port))),
        (AddressFamily::Ipv6, IpAddr::V6(ip)) => {
            let scope = zone.map(scope_of).transpose()?.unwrap_or(0);
            if ip.is_unicast_link_local() && scope == 0 {
                let text = format!("address '{ip}' is link-local: name its interface, as {ip}%eth0");
                return Err(Error::InvalidArgument(text));
            }
            Ok(SocketAddr::V6(SocketAddrV6::new(ip, port, 0, scope)))
        }
        (AddressFamily::Ipv4, IpAddr::V6(_)) => Err(other_family("IPv4")),
        (AddressFamily::Ipv6, IpAddr::V4(_)) => Err(other_family("IPv6")),
    }
}

/// How a controller chooses the next command among its queues (Base 2.0, 3.4.4).
#[derive(Debug, Clone, Copy, Default)]
pub struct Arbitration {
    /// The mechanism as CC.AMS names it; 0 is round robin.
    pub mechanism: u8,
    /// How many commands of one queue are taken at a time, as a power of two, 1 to 7; 0 leaves it and the weights to the controller.
    pub burst: u8,
    /// The weights of the priority classes low, medium and high, from 0.
    pub weights: [u8; 3],
}

impl Arbitration {
    /// One that the Arbitration feature has no number for.
    pub(super) const BURST_MAX: u8 = 7;

    /// Whether a controller with these capabilities has the mechanism.
    pub(super) fn is_offered(&self, capabilities: Cap) -> bool {
        match self.mechanism {
            Cc::AMS_ROUND_ROBIN => true,
            Cc::AMS_WEIGHTED => capabilities.ams() & Cap::AMS_WEIGHTED != 0,
            Cc::AMS_VENDOR => capabilities.ams() & Cap::AMS_VENDOR != 0,
            _ => false,
        }
    }

    /// The value of the feature (Base 2.0, 5.27.1.1). Without classes the weights stay 0.
    pub(super) fn feature(&self, capabilities: Cap) -> u32 {
        let [low, medium, high] =
            if capabilities.ams() & Cap::AMS_WEIGHTED != 0 { self.weights } else { [0; 3] };
        u32::from_le_bytes([self.burst & Self::BURST_MAX, low, medium, high])
    }
}

/// How a controller is to be used. The defaults are those of SPDK v26.05.
#[derive(Debug, Clone)]
pub struct ControllerOptions {
    /// How the completions of an I/O qpair reach the layer above.
    pub upcall: Upcall,
    /// I/O queues to ask for.
    pub io_queues: u32,
    /// Entries of an I/O queue.
    pub io_queue_size: u32,
    /// Requests of an I/O qpair.
    pub io_queue_requests: u32,
    /// Entries of the Admin Queue, at least [`ControllerOptions::ADMIN_QUEUE_SIZE_MIN`].
    pub admin_queue_size: u16,
    /// The command sets to enable, as CC.CSS names them; None to choose. What the controller does not offer becomes the NVM command set.
    pub command_set: Option<u8>,
    /// The Keep Alive Timeout; zero for none.
    pub keep_alive_timeout: Duration,
    /// How long an admin command may take.
    pub admin_timeout: Duration,
    /// How long the Fabrics Connect command may take; zero for the default.
    pub connect_timeout: Duration,
    /// How long a CM event may take.
    pub cm_timeout: Duration,
    /// The host's NQN; an empty one is sent as it is, and it is for the controller to take or refuse such a host.
    pub hostnqn: String,
    /// The host's identifier.
    pub hostid: [u8; 16],
    /// The local address to come from.
    pub source_address: Option<String>,
    /// The local port to come from.
    pub source_service: Option<String>,
    /// RDMA retransmissions after a timeout.
    pub retry_count: u8,
    /// The RDMA local acknowledge timeout, 4.096 µs × 2^value; None for the device's own.
    pub acknowledge_timeout: Option<u8>,
    /// The type of service of the packets.
    pub type_of_service: Option<u8>,
    /// Whether to leave out the shutdown notification when the controller is detached.
    pub no_shutdown_notification: bool,
    /// How the controller is to choose among its queues.
    pub arbitration: Arbitration,
    /// Whether the ANA log is left to the program to read.
    pub leave_access_log: bool,
    /// Whether the log of changed namespaces is left to the program to read.
    pub leave_changed_list: bool,
}

impl ControllerOptions {
    /// Entries of an Admin Queue with room for one command beside a Keep Alive.
    pub const ADMIN_QUEUE_SIZE_MIN: u16 = 3;
}

impl Default for ControllerOptions {
    fn default() -> Self {
        Self {
            upcall: tell_nobody,
            io_queues: 1024,
            io_queue_size: 256,
            io_queue_requests: 512,
            admin_queue_size: 32,
            command_set: None,
            keep_alive_timeout: Duration::from_secs(10),
            admin_timeout: Duration::from_secs(30),
            connect_timeout: DEFAULT_CONNECT_TIMEOUT,
            cm_timeout: Duration::from_secs(1),
            hostnqn: identity().hostnqn.clone(),
            hostid: identity().hostid,
            source_address: None,
            source_service: None,
            retry_count: 4,
            acknowledge_timeout: None,
            type_of_service: None,
            no_shutdown_notification: false,
            arbitration: Arbitration::default(),
            leave_access_log: false,
            leave_changed_list: false,
        }
    }
}

/// How long the Fabrics Connect command may take when the program does not say: a target that is busy with other
/// hosts may be slow, one that is silent must not hold the program for ever (T78).
pub(super) const DEFAULT_CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// How an I/O qpair is to be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct IoQpairOptions {
    /// Entries of the queue, at least 2.
    pub queue_size: u32,
    /// Requests that may be accepted at a time.
    pub queue_requests: u32,
    /// Whether submissions ring the doorbell at the next poll instead of at once.
    pub delay_cmd_submit: bool,
    /// Whether allocation leaves connecting to the program.
    pub create_only: bool,
    /// Whether connect and disconnect return at once and go on with polling.
    pub async_mode: bool,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mechanism_is_offered_or_not() {
        let offered = |mechanism, ams: u64| {
            Arbitration { mechanism, ..Arbitration::default() }.is_offered(Cap(ams << 17))
        };
        for ams in 0..4 {
            assert!(offered(0, ams));
            assert_eq!((offered(1, ams), offered(7, ams)), (ams & 1 != 0, ams & 2 != 0));
            assert!((2..7).chain([8, 255]).all(|mechanism| !offered(mechanism, ams)));
        }
    }

    #[test]
    fn weights_are_for_controllers_that_have_classes() {
        let arbitration = Arbitration { burst: 3, weights: [4, 5, 6], ..Arbitration::default() };
        assert_eq!(arbitration.feature(Cap(0)), 3);
        assert_eq!(arbitration.feature(Cap(1 << 17)), 0x0605_0403);
    }

    fn is_same_address(one: &str, other: &str) -> bool {
        compare_addresses(one, other).is_eq()
    }

    #[test]
    fn only_numeric_addresses_of_the_family_are_taken() {
        let address = |family, address, service| socket_address(family, address, Some(service));
        assert_eq!(
            address(AddressFamily::Ipv4, "10.0.0.1", "4420"),
            Ok(SocketAddr::from(([10, 0, 0, 1], 4420)))
        );
        assert_eq!(address(AddressFamily::Ipv6, "::1", "1").unwrap().to_string(), "[::1]:1");
        assert_eq!(
            address(AddressFamily::Ipv6, "[2001:db8::1]", "1").unwrap().to_string(),
            "[2001:db8::1]:1"
        );
        for (family, traddr, trsvcid, why) in [
            (AddressFamily::Ipv6, "10.0.0.1", "4420", "family IPv6"),
            (AddressFamily::Ipv4, "::1", "4420", "family IPv4"),
            (AddressFamily::Ipv4, "[10.0.0.1]", "4420", "not numeric"),
            (AddressFamily::Ipv4, "10.0.0.1%lo", "4420", "not numeric"),
            (AddressFamily::Ipv6, "[::1", "4420", "not numeric"),
            (AddressFamily::Ipv4, "localhost", "4420", "not numeric"),
            (AddressFamily::Ipv4, "10.0.0.1", "nvme", "port"),
            (AddressFamily::Ipv4, "10.0.0.1", "65536", "port"),
            (AddressFamily::Ipv4, "", "", "not numeric"),
            (AddressFamily::Ipv6, "fe80::1", "4420", "link-local"),
            (AddressFamily::Ipv6, "fe80::1%", "4420", "interface"),
            (AddressFamily::Ipv6, "fe80::1%0", "4420", "interface"),
            (AddressFamily::Ipv6, "fe80::1%no\u{1b}such", "4420", "\\u{1b}such"),
        ] {
            let result = address(family, traddr, trsvcid);
            let Err(Error::InvalidArgument(text)) = result else { panic!("{traddr} {trsvcid}: {result:?}") };
            assert!(text.contains(why), "{traddr} {trsvcid}: {text}");
        }
    }

    #[test]
    fn a_zone_is_an_interface_by_name_or_number() {
        let lo = verbs::interface_index("lo").expect("every Linux has one");
        for traddr in [format!("fe80::1%{lo}"), String::from("fe80::1%lo"), String::from("[fe80::1%lo]")] {
            let SocketAddr::V6(address) = socket_address(AddressFamily::Ipv6, &traddr, Some("4420")).unwrap()
            else {
                panic!("{traddr}")
            };
            assert_eq!((address.scope_id(), address.ip().to_string().as_str()), (lo, "fe80::1"), "{traddr}");
            assert!(is_same_address(&traddr, "FE80:0::1%lo"), "{traddr}");
        }
        assert!(!is_same_address("fe80::1%lo", &format!("fe80::1%{}", lo + 1)));
        assert!(!is_same_address("fe80::1%lo", "fe80::1"));
        assert!(is_same_address("[::1]", "::1") && is_same_address("no address", "NO ADDRESS"));
    }

    #[test]
    fn addresses_have_an_order() {
        let sorted =
            ["9.0.0.1", "10.0.0.1", "::2", "::10", "fe80::1", "fe80::1%lo", "1x", "A-name", "b-name"];
        for (nth, one) in sorted.iter().enumerate() {
            for (other_nth, other) in sorted.iter().enumerate() {
                assert_eq!(compare_addresses(one, other), nth.cmp(&other_nth), "{one} and {other}");
            }
        }
    }

    #[test]
    fn a_label_can_be_shown() {
        let id = TransportId {
            address_family: AddressFamily::Ipv6,
            traddr: String::from("fe80::1%lo"),
            trsvcid: String::from("44\n20"),
            subnqn: String::from("nqn\u{1b}[2J"),
        };
        assert_eq!(id.label(), "[fe80::1%lo]:44\\n20 nqn\\u{1b}[2J");
    }
}

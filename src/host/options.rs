//! Where a controller is, and how it is to be used.

use super::{Error, identity::identity};
use std::{
    net::{IpAddr, SocketAddr},
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
    /// The numeric address.
    pub traddr: String,
    /// The port.
    pub trsvcid: String,
    /// The subsystem's NQN.
    pub subnqn: String,
}

impl TransportId {
    /// The socket address.
    pub fn address(&self) -> Result<SocketAddr, Error> {
        socket_address(self.address_family, &self.traddr, &self.trsvcid)
    }
}

/// The socket address of a numeric address and port. Names are not looked up: that could block.
pub(super) fn socket_address(
    family: AddressFamily,
    address: &str,
    service: &str,
) -> Result<SocketAddr, Error> {
    let invalid =
        |what: &str, value: &str| Error::InvalidArgument(format!("{what} '{value}' is not numeric"));
    let port: u16 = service.trim().parse().map_err(|_| invalid("port", service))?;
    let ip: IpAddr = address.trim().parse().map_err(|_| invalid("address", address))?;
    let matches = match family {
        AddressFamily::Ipv4 => ip.is_ipv4(),
        AddressFamily::Ipv6 => ip.is_ipv6(),
    };
    if !matches {
        let text = format!("address '{address}' is not of the family {family:?}");
        return Err(Error::InvalidArgument(text));
    }
    Ok(SocketAddr::new(ip, port))
}

/// How a controller is to be used. The defaults are those of SPDK v26.05.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ControllerOptions {
    /// I/O queues to ask for.
    pub io_queues: u32,
    /// Entries of an I/O queue.
    pub io_queue_size: u32,
    /// Requests of an I/O qpair.
    pub io_queue_requests: u32,
    /// Entries of the Admin Queue.
    pub admin_queue_size: u16,
    /// The Keep Alive Timeout; zero for none.
    pub keep_alive_timeout: Duration,
    /// How long an admin command may take.
    pub admin_timeout: Duration,
    /// How long the Fabrics Connect command may take; zero for the default.
    pub connect_timeout: Duration,
    /// How long a CM event may take.
    pub cm_timeout: Duration,
    /// The host's NQN.
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
}

impl Default for ControllerOptions {
    fn default() -> Self {
        Self {
            io_queues: 1024,
            io_queue_size: 256,
            io_queue_requests: 512,
            admin_queue_size: 32,
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
    fn only_numeric_addresses_of_the_family_are_taken() {
        let address = |family, address, service| socket_address(family, address, service);
        assert_eq!(
            address(AddressFamily::Ipv4, "10.0.0.1", "4420"),
            Ok(SocketAddr::from(([10, 0, 0, 1], 4420)))
        );
        assert_eq!(address(AddressFamily::Ipv6, "::1", "1").unwrap().to_string(), "[::1]:1");
        for (family, traddr, trsvcid) in [
            (AddressFamily::Ipv6, "10.0.0.1", "4420"),
            (AddressFamily::Ipv4, "::1", "4420"),
            (AddressFamily::Ipv4, "localhost", "4420"),
            (AddressFamily::Ipv4, "10.0.0.1", "nvme"),
            (AddressFamily::Ipv4, "10.0.0.1", "65536"),
            (AddressFamily::Ipv4, "", ""),
        ] {
            let result = address(family, traddr, trsvcid);
            assert!(matches!(result, Err(Error::InvalidArgument(_))), "{traddr} {trsvcid}: {result:?}");
        }
    }
}

//! The control grammars: that of softverbs, whole, and what the target reads (commands, subsystems, addresses, sizes).
//!
//! What must hold beside: whatever was said, `faults off` leaves no fault, and nothing is alive that was not made.

use crate::{lines, world::World};
use target::{ControlCommand, SubsystemOptions, options};

/// What commands are made of.
pub const WORDS: &[&str] = &[
    "fail",
    "wc",
    "cm",
    "peer",
    "device",
    "port",
    "async",
    "at",
    "after",
    "call",
    "event",
    ":",
    ";",
    "#",
    "faults off",
    "send",
    "recv",
    "any",
    "qp",
    "0x12",
    "7",
    "0",
    "-1",
    "1-3",
    "3-",
    "50%",
    "always",
    "late",
    "polls",
    "never",
    "after destroy",
    "error",
    "status",
    "set",
    "repeat",
    "payload",
    "wr_id=+1",
    "byte_len=random",
    "0=ff",
    "=",
    "99999999999999999999",
    "ENOMEM",
    "ibv_post_send",
    "ibv_poll_cq",
    "rdma_connect",
    "RETRY_EXC_ERR",
    "DISCONNECTED",
    "ADDR_RESOLVED",
    "as",
    "drop",
    "private",
    "none",
    "inject",
    "reject",
    "stale",
    "on",
    "times",
    "lies",
    "silent",
    "speaks",
    "dies",
    "seq +1",
    "garbage",
    "data",
    "5ms",
    "1s",
    "clock jump",
    "next qp_num",
    "delay",
    "rx",
    "tx",
    "down",
    "up",
    "remove",
    "QP_FATAL",
    "PORT_ERR",
    "timewait",
    "timeout cm",
    "purge",
    "misbehave",
    "behave",
    "drop nqn",
    "add nqn",
    "nqn.x,ns=8M",
    "ns=1T:4096",
    "host=",
    "[::1]:4420",
];

/// The input as text, each line of it by itself and all of it at once.
pub fn run(input: &[u8]) {
    lines::take();
    let text = String::from_utf8_lossy(input);
    for line in text.split(['\n', ';']) {
        let _ = line.parse::<ControlCommand>();
        if let Ok(parsed) = SubsystemOptions::parse(line) {
            assert!(!parsed.nqn.is_empty() && parsed.nqn.len() <= 223 && parsed.namespaces.len() <= 1024);
        }
        let _ = options::parse_size(line);
        if let Ok(address) = options::parse_address(line) {
            assert_eq!(options::parse_address(&address.to_string()), Ok(address));
        }
    }
    // `@FILE` would read a file of this machine.
    if !text.trim_start().starts_with('@') {
        let world = World::new(None);
        let _ = softverbs::control(&text);
        let _ = softverbs::control("faults quiet");
        softverbs::sim::advance(1_000_000);
        softverbs::control("faults off").unwrap();
        assert_eq!(softverbs::armed(), 0, "faults off leaves some");
        world.finish();
    }
    lines::check();
}

//! Writes the inputs that every corpus begins with: what a well-behaved peer or program says, and one conversation for each lie.
//! `cargo run -p nvme-rdma-fuzz --example seeds` writes those that are not there.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use fuzz::hostile::{NQN, identify, log};
use spec::{
    Command, Completion, Status,
    fabrics::{ConnectData, PropertySize},
    identify::Cns,
    log::LogPageId,
    rdma::{Accept, Reject, RejectReason, Request},
    registers::Cap,
    security,
    tcg::{
        ComPacket,
        discovery::{Builder, Geometry, Locking, Opal2, TPer},
    },
};
use std::{fs, path::Path};

fn write(kind: &str, name: &str, input: &[u8]) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus").join(kind);
    fs::create_dir_all(&folder).unwrap();
    let path = folder.join(name);
    if !path.exists() {
        // Zeros at the end say nothing.
        let end = input.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
        fs::write(path, &input[..end]).unwrap();
    }
}

/// The same of what has a length of its own.
fn write_whole(kind: &str, name: &str, input: &[u8]) {
    write(kind, name, &[]);
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus").join(kind).join(name);
    if fs::metadata(&path).unwrap().len() == 0 {
        fs::write(path, input).unwrap();
    }
}

fn main() {
    for (name, cns) in [
        ("controller", Cns::CONTROLLER),
        ("namespace", Cns::NAMESPACE),
        ("list", Cns::ACTIVE_NAMESPACE_LIST),
        ("descriptors", Cns::NAMESPACE_DESCRIPTORS),
    ] {
        write("identify", name, &identify(&Command::identify(cns, 0, 0, 0)));
    }
    write("identify", "ones", &[0xff; 4096]);
    let whole = Command::get_log_page(LogPageId::DISCOVERY, 0, 0, 3072);
    write("logs", "discovery", &log(&whole, 1)[..3072]);
    write("logs", "entry", &log(&Command::get_log_page(LogPageId::DISCOVERY, 0, 1024, 1024), 1)[..1024]);
    write("logs", "command", &whole.to_bytes());

    let done = Completion::new(1, 2, Status::SUCCESS).with_cdw0(1);
    let connect = Command::connect(1, 31, 0, 10_000);
    let data = ConnectData::new([7; 16], 0xffff, NQN, "nqn.2014-08.org.nvmexpress:uuid:host").unwrap();
    let cap = Cap::fabrics(127, 1, Cap::CSS_NVM).0.to_le_bytes();
    write("fabrics", "connect", &[&done.to_bytes()[..], &cap, &connect.to_bytes(), &data.0].concat());
    let set = Command::property_set(0x14, PropertySize::FOUR, 0x46_0001);
    write("fabrics", "property", &[&done.to_bytes()[..], &cap, &set.to_bytes()].concat());

    let request = Request { recfmt: 0, qid: 1, hrqsize: 32, hsqsize: 31, cntlid: 1 };
    write("private_data", "request", &[&request.encode()[..], &[1]].concat());
    write("private_data", "accept", &Accept { recfmt: 0, crqsize: 32 }.encode());
    write("private_data", "reject", &Reject { recfmt: 0, sts: RejectReason::INVALID_QID }.encode());
    write("private_data", "format", &[1; 40]);

    write("completions", "success", &[&done.to_bytes()[..], &Command::read(1, 8, 8).to_bytes()].concat());
    let aborted = Completion::aborted_sq_deletion(1, 2, true);
    write("completions", "aborted", &[&aborted.to_bytes()[..], &connect.to_bytes()].concat());

    for (name, text) in [
        ("rdma", "trtype:RDMA adrfam:IPv4 traddr:127.0.0.1 trsvcid:4420 subnqn:nqn.2016-06.io.spdk:cnode1"),
        ("ipv6", "trtype=rdma\tadrfam=IPv6\ntraddr=fe80::1%eth0 trsvcid=4420 priority:12"),
        ("others", "trtype:PCIe traddr:0000:04:00.0 hostnqn:x ns:1 alt_traddr:2 hostaddr:1 hostsvcid:2"),
        ("unknown", "nonsense:1 trtype:mine adrfam:fc"),
    ] {
        write("transport_id", name, text.as_bytes());
    }
    write(
        "transport_id",
        "full",
        format!("traddr:{} trsvcid:{} subnqn:{}", "a".repeat(256), "s".repeat(32), "n".repeat(223))
            .as_bytes(),
    );

    for (number, text) in [
        "delay data rx 5ms 1ms; delay off",
        "after 200ms: device remove\nat call rdma_connect 2: peer silent",
        "at event DISCONNECTED: after 1ms: port down # and so on",
        "at wc recv 100: fail ibv_post_send ENOMEM; wc send 3 late 5ms; wc recv 1-3 set wr_id=random",
        "cm ESTABLISHED 1 repeat 3; cm reject 2 10; cm REJECTED 1 status -110 private none",
        "peer lies 50% garbage; peer silent data qp 0x12; peer speaks; async PORT_ERR",
        "next qp_num 77; clock jump 1s; timewait 1ms; timeout cm 1s; faults; ledger; faults off",
        "misbehave repeat-response:3\nbehave silent\ndrop nqn.x\nadd nqn.x",
        "nqn.2024-01.test:a,ns=8M,ns=1G:4096,host=nqn.b\n[::1]:4420\n64M",
    ]
    .into_iter()
    .enumerate()
    {
        write("control", &format!("commands-{number}"), text.as_bytes());
    }
    tcg();
    options();
    conversations();
}

/// By hand, as the tests of `spec::tcg` have them.
fn tcg() {
    write_whole("tcg", "protocols", &security::encode_protocols(&[0, 1, 2, 0xef]));
    let opal = Opal2 { base_com_id: 0x1000, com_ids: 1, admins: 4, users: 9, ..Opal2::default() };
    let locking = Locking { supported: true, enabled: true, media_encryption: true, ..Locking::default() };
    let discovery = Builder::new()
        .tper(TPer { sync: true, streaming: true, com_id_management: false })
        .locking(locking)
        .geometry(Geometry { align: true, logical_block_size: 512, ..Geometry::default() })
        .opal_2(opal);
    write_whole("tcg", "discovery", &discovery.build());
    let old = Builder::new().feature(0x0200, 1, &[7, 0xfe, 0, 2]).feature(0x0304, 1, &[7, 0xfe, 0, 2]);
    write_whole("tcg", "discovery-others", &old.build());

    let session = [
        0xf8, 0xa8, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xa8, 0, 0, 0, 0, 0, 0, 0xff, 0x02, 0xf0, 0x81, 0x69, 0xa8, 0,
        0, 2, 5, 0, 0, 0, 1, 1, 0xf2, 0, 0xa2, b'p', b'w', 0xf3, 0xf2, 3, 0xa8, 0, 0, 0, 9, 0, 0, 0, 6, 0xf3,
        0xf1, 0xf9, 0xf0, 0, 0, 0, 0xf1,
    ];
    let row =
        [0xf0, 0xf0, 0xf2, 3, 0xa4, b'm', b's', b'i', b'd', 0xf3, 0xf1, 0xf1, 0xf9, 0xf0, 0, 0, 0, 0xf1];
    let atoms = [
        0xf0, 0x00, 0x3f, 0x40, 0x7f, 0x81, 0x80, 0x82, 1, 0, 0x91, 0xff, 0x88, 0, 0, 0, 1, 0, 0, 0, 0, 0xa0,
        0xa1, 7, 0xd0, 2, 7, 7, 0xe2, 0, 0, 1, 9, 0xff, 0xf1, 0xf9, 0xf0, 0, 0, 0, 0xf1,
    ];
    for (name, tokens) in [
        ("start-session", &session[..]),
        ("row", &row),
        ("atoms", &atoms),
        ("refused", &[0xf0, 0xf1, 0xf9, 0xf0, 1, 0, 0, 0xf1]),
        ("end-of-session", &[0xfa]),
        ("too-deep", &[0xf0; 40]),
        ("huge-status", &[0xf0, 0xf1, 0xf9, 0xf0, 0x82, 1, 0, 0, 0, 0xf1]),
        ("too-long", &[0xf0, 0xe2, 0xff, 0xff, 0xff]),
    ] {
        write_whole("tcg", &format!("message-{name}"), tokens);
        write_whole("tcg", &format!("packet-{name}"), &com_packet(tokens));
    }
    write_whole("tcg", "packet-none-yet", &ComPacket::empty(0x07fe, 1, 0));
    write_whole("tcg", "packet-more-there", &ComPacket::empty(0x07fe, 0x1000, 0x800));
    let mut credit = com_packet(&[0xfa]);
    credit[51] = 1;
    write_whole("tcg", "packet-of-another-kind", &credit);
    write_whole("tcg", "ones", &[0xff; 256]);
}

/// Headers, tokens, and what pads them.
fn com_packet(tokens: &[u8]) -> Vec<u8> {
    let padded = tokens.len().next_multiple_of(4) as u8;
    let header = [0, 0, 0, 0, 0x07, 0xfe, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 36 + padded];
    let packet = [0, 0, 0x10, 1, 0, 0, 0, 0x69, 0, 0, 0, 5, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 12 + padded];
    let subpacket = [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, tokens.len() as u8];
    let mut bytes = [&header[..], &packet, &subpacket, tokens].concat();
    bytes.resize(bytes.len().next_multiple_of(4), 0);
    bytes
}

fn options() {
    let sizes = |ctrlr: u16, qpair: u16, table: u16, flags: u8, patches: u8, rest: &[u8]| {
        let numbers = [ctrlr, qpair, table].map(u16::to_le_bytes).concat();
        [&numbers[..], &[flags, patches], rest].concat()
    };
    write("options", "whole", &sizes(888, 88, 56, 0, 0, &[]));
    write("options", "short", &sizes(27, 12, 20, 0, 0, &[]));
    write("options", "nothing", &sizes(0, 0, 0, 2, 0, &[]));
    write("options", "ones", &sizes(888, 88, 56, 0x1f, 0, &[]));
    write("options", "zeros", &sizes(888, 88, 56, 0x0a, 0, &[]));
    let source = [&[64, 1, 9][..], b"127.0.0.1"].concat();
    write("options", "source", &sizes(888, 88, 56, 0, 1, &source));
    // io_queue_size and io_queue_requests of the queue pair.
    let queue = [&[4, 0, 8][..], &[0xff; 8]].concat();
    write("options", "queue", &sizes(888, 88, 56, 0, 8, &queue));
}

/// A plan, and lies: at, span, what, a, b, c.
fn conversation(plan: [u8; 8], lies: &[(u8, u8, u8, u8, u32, u32)], blob: &[u8]) -> Vec<u8> {
    let mut input = plan.to_vec();
    input.extend_from_slice(&(lies.len() as u16).to_le_bytes());
    for (at, span, what, a, b, c) in lies {
        input.extend_from_slice(&[*at, *span, *what, *a]);
        input.extend_from_slice(&b.to_le_bytes());
        input.extend_from_slice(&c.to_le_bytes());
    }
    input.extend_from_slice(blob);
    input
}

fn conversations() {
    // flags, more flags, qpairs, I/Os, blocks, rounds, patience, what callbacks do
    let plain = [0, 2, 1, 12, 20, 1, 20, 0];
    let group = [2 | 8 | 16, 2, 2, 12, 90, 1, 20, 8 | 1];
    let discovery = [1, 2, 0, 3, 1, 0, 20, 0];
    let many = [4 | 32 | 64 | 128, 1 | 2, 3, 39, 200, 2, 30, 2];
    for (name, plan) in [("plain", plain), ("group", group), ("discovery", discovery), ("many", many)] {
        write("conversation", &format!("honest-{name}"), &conversation(plan, &[], &[]));
    }
    // Each lie in the middle of bring-up, and during I/O; statuses, ids and numbers that say much.
    for what in (0..=29).filter(|what| ![27].contains(what)) {
        let value = match what {
            0 => 0x0282,
            18 => 0x10,
            24 => 0x00_0002,
            _ => 0x1_0003,
        };
        write(
            "conversation",
            &format!("lie-{what:02}-early"),
            &conversation(plain, &[(7, 0, what, 1, value, 0x40)], &[0xff; 64]),
        );
        write(
            "conversation",
            &format!("lie-{what:02}-late"),
            &conversation(group, &[(24, 6, what | 0x80, 3, value, 0x1000)], &[]),
        );
    }
    for what in 32..=41 {
        let blob = [1, 0, 5, 0, 0xff, 0xff, 0xff, 0xff].repeat(30);
        write(
            "conversation",
            &format!("connect-{what}-admin"),
            &conversation(plain, &[(0, 0, what, 1, 4, 0)], &blob),
        );
        write(
            "conversation",
            &format!("connect-{what}-io"),
            &conversation(group, &[(1, 2, what, 1, 4, 0)], &blob),
        );
    }
    // A discovery log that claims much, and one that never stands still.
    write("conversation", "log-size", &conversation(discovery, &[(0, 255, 10, 0, 8, u32::MAX)], &[]));
    write("conversation", "log-restless", &conversation(discovery, &[(0, 255, 28, 0, 0, 0)], &[]));
    // Many namespaces: NN, and lists that go on. More of them take a second each.
    let many = [(0, 255, 10, 2, 516, 0xffff_fff0), (0, 255, 13, 1, 0, 0)];
    write("conversation", "namespaces-many", &conversation(plain, &many, &[]));
    // The same, of which none can be used (LBADS 3): none counts, and so none may be the last.
    let useless = [many[0], (0, 255, 13, 255, 0, 0), (0, 255, 10, 1, 128, 3 << 16)];
    write("conversation", "namespaces-useless", &conversation(plain, &useless, &[]));
    // Events without end.
    write("conversation", "events", &conversation(plain, &[(0, 255, 24, 7, 2, 0)], &[]));
}

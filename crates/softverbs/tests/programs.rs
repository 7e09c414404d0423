//! Foreign programs as Debian ships them (rdmacm-utils, ibverbs-utils, perftest), unmodified, between two processes: with their
//! own checks of the data switched on where they have them, over IPv4 and IPv6, polling and with events, and with one side killed.
//!
//! Under `SOFTVERBS_STRICT=1` where the program gives back what it takes; where it does not, the table says what it leaves.

// A test says what it expects by panicking, and calls C as C programs do.
#![allow(missing_docs, unsafe_code, clippy::undocumented_unsafe_blocks)]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod foreign;

use std::time::{Duration, Instant};

use foreign::{PATIENCE, Side, free_port, gid_index, words};

/// What a program leaves to the kernel at its end, on each side that does.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Leaves {
    /// Nothing: it runs strictly.
    Nothing,
    /// perftest with -R: the identifier, its event channel and the device.
    TheConnection,
    /// rstream: the socket that it listened on, and librdmacm's rsocket the context by which it asked for the device's limits.
    ItsSockets,
    /// perftest's sender of SENDs closes the device with its receive queue still there.
    TheReceiveQueue,
}

/// Runs one case. `{a}` and `{p}` in the lines stand for address and port.
fn run(server: &str, client: &str, address: &str, leaves: Leaves) -> (foreign::Ended, foreign::Ended) {
    run_once(server, client, address, leaves, |_| ())
}

/// As [`run`], whose client starts when the server is also `ready` in a way of its own.
fn run_once(
    server: &str,
    client: &str,
    address: &str,
    leaves: Leaves,
    ready: impl Fn(&mut Side),
) -> (foreign::Ended, foreign::Ended) {
    let port = free_port();
    let strict = leaves == Leaves::Nothing;
    let mut server = Side::start(&[], &words(server, address, port), strict);
    server.wait_until_ready(port);
    ready(&mut server);
    let client = Side::start(&[], &words(client, address, port), strict);
    let (server, client) = Side::finish_both(server, client);
    for side in [&client, &server] {
        if strict {
            assert!(!side.text.contains("softverbs:"), "{}:\n{}", side.name, side.text);
        }
        if leaves == Leaves::ItsSockets {
            let others = |l: &str| l.contains("softverbs:") && !l.contains("alive at exit: ");
            assert!(!side.text.lines().any(others), "{}:\n{}", side.name, side.text);
        }
    }
    (server, client)
}

/// The addresses to run over: IPv6 too if this machine has it.
fn addresses() -> Vec<&'static str> {
    let has_v6 = std::net::TcpListener::bind("[::1]:0").is_ok();
    if !has_v6 {
        eprintln!("this machine has no ::1: IPv4 only");
    }
    if has_v6 { vec!["127.0.0.1", "::1"] } else { vec!["127.0.0.1"] }
}

/// The same as indices of GIDs.
fn gid_indices() -> Vec<String> {
    let gid = |a: &&str| if *a == "127.0.0.1" { "::ffff:127.0.0.1" } else { "::1" };
    addresses().iter().map(|a| gid_index(&[], gid(a)).expect("a local address is in the table")).collect()
}

#[test]
fn ibv_devices_and_devinfo() {
    let side = Side::start(&[], &words("ibv_devices", "", 0), true).finish();
    side.expect_success();
    side.expect_text("softverbs0");
    for (line, says) in
        [("ibv_devinfo", "PORT_ACTIVE"), ("ibv_devinfo -v", "GID[  0]"), ("ibv_devinfo -l", "softverbs0")]
    {
        let side = Side::start(&[], &words(line, "", 0), true).finish();
        side.expect_success();
        side.expect_text(says);
    }
}

#[test]
fn rping() {
    for address in addresses() {
        let server = "rping -s -a {a} -p {p} -V -C 20";
        let (_, client) = run(server, "rping -c -a {a} -p {p} -V -v -C 20", address, Leaves::Nothing);
        client.expect_text("ping data: rdma-ping-19: ");
    }
    let own_qp = ("rping -s -a {a} -p {p} -V -q -S 5000 -C 5", "rping -c -a {a} -p {p} -V -q -S 5000 -C 5");
    run(own_qp.0, own_qp.1, "127.0.0.1", Leaves::Nothing);
}

#[test]
fn ucmatose() {
    for address in addresses() {
        let format = if address == "::1" { "-f ipv6" } else { "-f ip" };
        for more in ["", "-m", "-c 5 -C 20 -S 5000", "-t 96"] {
            let server = format!("ucmatose -b {{a}} {format} -p {{p}} {more}");
            let client = format!("ucmatose -s {{a}} {format} -p {{p}} {more}");
            let (server, client) = run(&server, &client, address, Leaves::Nothing);
            client.expect_text("return status 0");
            server.expect_text("return status 0");
        }
    }
}

#[test]
fn rdma_server_and_client() {
    for address in addresses() {
        let (server, client) = ("rdma_server -s {a} -p {p}", "rdma_client -s {a} -p {p}");
        let (server, client) = run(server, client, address, Leaves::Nothing);
        server.expect_text("rdma_server: end 0");
        client.expect_text("rdma_client: end 0");
    }
}

#[test]
fn rdma_xserver_and_xclient() {
    // The server listens on whatever address comes first without a name, which is that of IPv4.
    let (server, client) = ("rdma_xserver -p {p} -c r", "rdma_xclient -s {a} -p {p} -c r");
    let (server, client) = run(server, client, "127.0.0.1", Leaves::Nothing);
    server.expect_text("rdma_xserver: end 0");
    client.expect_text("rdma_xclient: end 0");
}

#[test]
fn cmtime() {
    for address in addresses() {
        let port = free_port();
        let mut server = Side::start(&[], &words("cmtime -b {a} -p {p}", address, port), false);
        server.wait_until_ready(port);
        let client = Side::start(&[], &words("cmtime -s {a} -p {p} -c 20", address, port), false).finish();
        client.expect_success();
        for step in ["create id", "connect", "disconnect"] {
            client.expect_text(step);
        }
        // The first QP's queues stay: its other QPs use them when it destroys them. The server serves until it is told to end.
        let server = server.terminate();
        assert!(!server.status.success());
    }
}

/// Waits until a server of rsocket accepts, which is later than it listens.
///
/// librdmacm accepts on a thread of its own from the end of `rlisten` on, and what it accepts inherits the options of the socket that
/// listens; the programs set them after `rlisten`, though. A client that comes between the two meets a socket with no room for the
/// peer's maps: its `riomap` fails with ENOMEM, whatever the device. So the client waits until they are set. The programs print
/// their header (at once, by stdbuf) between `rlisten` and the options; then follow a few calls that do not sleep, and `raccept`,
/// which sleeps or is called again and again.
fn accepts(server: &mut Side) {
    server.wait_until_it_says("usec/xfer");
    server.wait_until_it_waits();
}

/// rsocket is librdmacm's own, on identifiers of this library.
#[test]
fn rsockets() {
    for program in ["rstream", "riostream"] {
        // Without -T b connecting does not block. With -T a rstream takes it for a failure if its peer is done before it looks.
        for how in ["", "-T b", "-T n", "-T v"] {
            let server = format!("stdbuf -oL {program} -p {{p}} -C 10 -S 1000 {how}");
            let client = format!("stdbuf -oL {program} -s {{a}} -p {{p}} -C 10 -S 1000 {how}");
            let (server, client) = run_once(&server, &client, "127.0.0.1", Leaves::ItsSockets, accepts);
            for side in [&server, &client] {
                side.expect_text("custom    1000    10 ");
            }
        }
    }
}

/// As [`run`], for programs that exchange GID and QP number over a TCP connection of their own. That one is over IPv4; the GID is
/// of either family.
fn pingpong(program: &str, more: &[&str]) {
    for index in gid_indices() {
        for more in more {
            let server = format!("{program} -g {index} -p {{p}} -n 200 {more}");
            let (_, client) = run(&server, &format!("{server} {{a}}"), "127.0.0.1", Leaves::Nothing);
            client.expect_text("200 iters in ");
        }
    }
}

#[test]
fn ibv_rc_pingpong() {
    pingpong("ibv_rc_pingpong", &["-c", "-c -e", "-s 100000 -c", "-m 256", "-c -t", "-c -N"]);
}

#[test]
fn ibv_srq_pingpong() {
    pingpong("ibv_srq_pingpong", &["-c", "-c -e", "-q 3"]);
}

/// As [`run`], and the client printed a row of results for this size.
fn perftest(line: &str, leaves: Leaves, size: &str) {
    let server = format!("{line} -F -n 100 -p {{p}}");
    let (_, client) = run(&server, &format!("{server} {{a}}"), "127.0.0.1", leaves);
    let row = |l: &str| {
        let mut words = l.split_whitespace();
        let (bytes, count) = (words.next(), words.next().and_then(|w| w.parse::<u32>().ok()));
        // Each of its queue pairs counts.
        bytes == Some(size) && count.is_some_and(|c| c > 0 && c % 100 == 0) && words.count() >= 3
    };
    assert!(client.text.lines().any(row), "no results:\n{}", client.text);
}

#[test]
fn perftest_latency() {
    for program in ["ib_send_lat", "ib_write_lat", "ib_read_lat"] {
        for index in gid_indices() {
            perftest(&format!("{program} -x {index}"), Leaves::Nothing, "2");
        }
        perftest(&format!("{program} -s 100000"), Leaves::Nothing, "100000");
        perftest(&format!("{program} -R"), Leaves::TheConnection, "2");
    }
    for program in ["ib_send_lat -e", "ib_read_lat -e", "ib_send_lat -I 64 -s 64"] {
        perftest(program, Leaves::Nothing, if program.ends_with("64") { "64" } else { "2" });
    }
}

#[test]
fn perftest_bandwidth() {
    for program in ["ib_send_bw", "ib_write_bw", "ib_read_bw"] {
        let leaves = if program == "ib_send_bw" { Leaves::TheReceiveQueue } else { Leaves::Nothing };
        for index in gid_indices() {
            perftest(&format!("{program} -x {index}"), leaves, "65536");
        }
        perftest(&format!("{program} -q 4 -s 1000"), leaves, "1000");
        perftest(&format!("{program} -R"), Leaves::TheConnection, "65536");
    }
    for program in ["ib_send_bw -e", "ib_read_bw -e", "ib_write_bw -b", "ib_send_bw -r 8 -l 4"] {
        let leaves = if program.contains("-l") { Leaves::TheReceiveQueue } else { Leaves::Nothing };
        perftest(program, leaves, "65536");
    }
}

/// The server is killed in the middle: the sender's requests are not answered any more.
fn sender_whose_peer_is_killed(line: &str) {
    let port = free_port();
    let line = format!("{line} -F -D 1000 -p {{p}}");
    let mut server = Side::start(&[], &words(&line, "", port), false);
    server.wait_until_ready(port);
    let client = Side::start(&[], &words(&format!("{line} {{a}}"), "127.0.0.1", port), false);
    wait_for_traffic(&server, &client);
    server.kill();
    let client = client.finish();
    let failed = client.status.code().is_some_and(|code| code != 0);
    assert!(failed, "{}: {}\n{}", client.name, client.status, client.text);
    // IBV_WC_RETRY_EXC_ERR
    client.expect_text("Failed status 12");
}

/// Waits until both sides have used a good deal of time: they do so only when data flows.
fn wait_for_traffic(server: &Side, client: &Side) {
    let ticks = |side: &Side| {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", side.pid())).unwrap_or_default();
        let times = stat.rsplit(')').next().unwrap_or_default().split_whitespace().skip(11).take(2);
        times.filter_map(|t| t.parse::<u64>().ok()).sum::<u64>()
    };
    let end = Instant::now() + PATIENCE;
    while ticks(server) < 20 || ticks(client) < 20 {
        assert!(Instant::now() < end, "nothing moves");
        std::thread::sleep(Duration::from_millis(10));
    }
}

#[test]
fn perftest_whose_peer_is_killed() {
    for line in ["ib_send_bw", "ib_write_bw", "ib_read_bw -R"] {
        sender_whose_peer_is_killed(line);
    }
}

#[test]
fn a_server_without_descriptors_turns_peers_away() {
    use std::io::Read;
    let port = free_port();
    let few = ["sh", "-c", "ulimit -n 16; exec \"$@\"", "sh"].map(String::from);
    let mut server = Side::start(&few, &words("rping -s -P -a {a} -p {p}", "127.0.0.1", port), false);
    server.wait_until_ready(port);
    let descriptors = || std::fs::read_dir(format!("/proc/{}/fd", server.pid())).unwrap().count();
    let before = descriptors();
    let tcp = (20_000 + (u32::from(port) * 7) % 12_000) as u16;
    let mut callers: Vec<_> =
        (0..40).map(|_| std::net::TcpStream::connect(("127.0.0.1", tcp)).unwrap()).collect();
    // The last of them are too many for sure, and are not left to wait.
    for caller in &mut callers[20..] {
        caller.set_read_timeout(Some(PATIENCE)).unwrap();
        assert!(matches!(caller.read(&mut [0; 8]), Ok(0)));
    }
    assert!(descriptors() > before, "the first of them are served");
    drop(callers);
    let end = Instant::now() + PATIENCE;
    while descriptors() > before {
        assert!(Instant::now() < end, "the server keeps the descriptors of callers that are gone");
        std::thread::sleep(Duration::from_millis(5));
    }
    let line = words("rping -c -a {a} -p {p} -V -C 3", "127.0.0.1", port);
    Side::start(&[], &line, false).finish().expect_success();
    server.terminate().expect_text("softverbs: no file descriptor left");
}

/// Two network namespaces with a wire between them, until this is dropped.
struct Namespaces {
    holder: std::process::Child,
    first: Vec<String>,
    second: Vec<String>,
}

impl Namespaces {
    const FIRST: &str = "10.77.0.1";

    /// None, with a line that says why, if this machine does not let us.
    fn new() -> Option<Self> {
        // The second one is a child of the first, which owns both ends of the wire at first.
        const SETUP: &str = "
            ip link set lo up
            unshare -n sleep 3600 & inner=$!
            trap 'kill $inner' EXIT
            while [ \"$(readlink /proc/$inner/ns/net)\" = \"$(readlink /proc/$$/ns/net)\" ]; do sleep 0.05; done
            ip link add softverbs0 type veth peer name softverbs1 || exit
            ip link set softverbs1 netns $inner || exit
            ip addr add 10.77.0.1/24 dev softverbs0 && ip link set softverbs0 up || exit
            nsenter -t $inner -n sh -c '
                ip link set lo up; ip addr add 10.77.0.2/24 dev softverbs1; ip link set softverbs1 up'
            echo $$ $inner
            read end";
        let mut command = std::process::Command::new("unshare");
        command.args(["-Urn", "sh", "-c", SETUP]);
        command.stdin(std::process::Stdio::piped()).stdout(std::process::Stdio::piped());
        let mut holder = command.spawn().ok()?;
        let mut line = String::new();
        let _ = std::io::BufRead::read_line(
            &mut std::io::BufReader::new(holder.stdout.take().unwrap()),
            &mut line,
        );
        let pids: Vec<&str> = line.split_whitespace().collect();
        let &[first, second] = &pids[..] else {
            let _ = holder.kill();
            let _ = holder.wait();
            eprintln!("SKIPPED: no network namespaces here (unshare -Urn, ip link add type veth)");
            return None;
        };
        let enter = |pid: &str| words("nsenter --preserve-credentials -U -n -t {a}", pid, 0);
        let (first, second) = (enter(first), enter(second));
        Some(Self { holder, first, second })
    }

    fn run(&self, server: &str, client: &str) {
        let port = free_port();
        let mut server = Side::start(&self.first, &words(server, Self::FIRST, port), false);
        server.wait_until_ready(port);
        let client = Side::start(&self.second, &words(client, Self::FIRST, port), false);
        Side::finish_both(server, client);
    }
}

impl Drop for Namespaces {
    fn drop(&mut self) {
        drop(self.holder.stdin.take());
        let _ = self.holder.wait();
    }
}

#[test]
fn between_two_network_namespaces() {
    let Some(namespaces) = Namespaces::new() else { return };
    namespaces.run("rping -s -a {a} -p {p} -V -C 10", "rping -c -a {a} -p {p} -V -C 10");
    let index = |within: &[String], gid| gid_index(within, gid).expect("the address is in the table");
    let first = index(&namespaces.first, "::ffff:10.77.0.1");
    let second = index(&namespaces.second, "::ffff:10.77.0.2");
    let line = |index: &str| format!("ib_send_bw -F -n 100 -p {{p}} -x {index}");
    namespaces.run(&line(&first), &format!("{} {{a}}", line(&second)));
    let line = |index: &str| format!("ibv_rc_pingpong -c -p {{p}} -g {index}");
    namespaces.run(&line(&first), &format!("{} {{a}}", line(&second)));
}

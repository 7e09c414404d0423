//! Faults in unmodified programs: rping under LD_PRELOAD with a fault script.

// A test says what it expects by panicking, and calls C as C programs do.
#![allow(missing_docs, unsafe_code, clippy::undocumented_unsafe_blocks)]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod preload;

use std::io::Read;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicU16, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use preload::library;

/// How long anything may take on a machine that is busy with other things: only a failure takes so long.
const PATIENCE: Duration = Duration::from_secs(120);

fn scratch(name: &str) -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("{name}.{}", std::process::id()))
}

fn port() -> u16 {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    9500 + (std::process::id() % 60) as u16 * 8 + NEXT.fetch_add(1, Ordering::Relaxed)
}

/// A program that runs, and what it says.
struct Running {
    child: Child,
    readers: Vec<JoinHandle<String>>,
}

impl Running {
    fn new(side: &str, port: u16, more: &[&str], environment: &[(&str, &str)]) -> Self {
        let mut command = Command::new("rping");
        command.args([side, "-a", "127.0.0.1", "-p", &port.to_string()]).args(more);
        command.env("LD_PRELOAD", library()).env_remove("SOFTVERBS_STRICT").envs(environment.iter().copied());
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().expect("rping is needed: package rdmacm-utils");
        let read = |mut pipe: Box<dyn Read + Send>| {
            std::thread::spawn(move || {
                let mut bytes = Vec::new();
                let _ = pipe.read_to_end(&mut bytes);
                String::from_utf8_lossy(&bytes).into_owned()
            })
        };
        let readers =
            vec![read(Box::new(child.stdout.take().unwrap())), read(Box::new(child.stderr.take().unwrap()))];
        Self { child, readers }
    }

    /// Waits for the end: the exit status and all that was said.
    fn finish(mut self) -> (ExitStatus, String) {
        let end = Instant::now() + PATIENCE;
        let status = loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                break status;
            }
            if Instant::now() > end {
                self.child.kill().unwrap();
                let _ = self.child.wait();
                let said: String = self.readers.into_iter().map(|r| r.join().unwrap()).collect();
                panic!("hangs: {}", &said[..said.len().min(20_000)]);
            }
            std::thread::sleep(Duration::from_millis(5));
        };
        (status, self.readers.into_iter().map(|r| r.join().unwrap()).collect())
    }
}

fn server(port: u16, more: &[&str]) -> Running {
    let mut server = Running::new("-s", port, more, &[]);
    let end = Instant::now() + PATIENCE;
    // It may end before it listens, which its end will tell.
    while !preload::listens(server.child.id(), port) && server.child.try_wait().unwrap().is_none() {
        assert!(Instant::now() < end, "the server does not listen");
        std::thread::sleep(Duration::from_millis(5));
    }
    server
}

/// The client's end and words, and the server's, with commands for the client.
fn with_commands(commands: &str, client: &[&str]) -> ((ExitStatus, String), (ExitStatus, String)) {
    let port = port();
    let server = server(port, &["-V"]);
    let client = Running::new("-c", port, client, &[("SOFTVERBS_CONTROL", commands)]);
    let client = client.finish();
    let server = server.finish();
    for side in [&client, &server] {
        assert_eq!(side.0.signal(), None, "{}", side.1);
    }
    (client, server)
}

#[test]
fn a_script_in_a_file_strikes_in_the_middle_of_a_run() {
    let script = scratch("script");
    std::fs::write(
        &script,
        "# a peer that dies\n\nat call ibv_post_send 21: peer dies # in the middle\nfaults\n",
    )
    .unwrap();
    let (client, server) = with_commands(&format!("@{}", script.display()), &["-V", "-v", "-C", "1000"]);
    std::fs::remove_file(&script).unwrap();
    assert!(client.1.contains("softverbs: 1 faults armed"), "{}", client.1);
    assert!(client.1.contains("softverbs: fault: now: peer dies"), "{}", client.1);
    assert!(client.1.contains("DISCONNECT EVENT") && client.1.contains("ping data"), "{}", client.1);
    assert!(server.1.contains("DISCONNECT EVENT"), "{}", server.1);
}

#[test]
fn a_call_that_fails_is_noticed_by_the_program() {
    let port = port();
    for (command, noticed) in [
        ("fail ibv_create_cq ENOMEM", "ibv_create_cq failed"),
        ("fail ibv_reg_mr 2 ENOMEM", "reg_mr failed"),
        ("fail rdma_create_event_channel EMFILE", "rdma_create_event_channel"),
        ("cm ADDR_RESOLVED as ADDR_ERROR status -ETIMEDOUT", "RDMA_CM_EVENT_ADDR_ERROR, error -110"),
        ("cm reject stale", ""),
    ] {
        let client = Running::new("-c", port, &["-V", "-C", "3"], &[("SOFTVERBS_CONTROL", command)]);
        let (status, said) = client.finish();
        assert!(said.contains(noticed), "{command}: {said}");
        // Nobody listens: the last one would not get through anyhow, but for another reason.
        assert!(said.contains("softverbs: fault: ") && status.signal().is_none(), "{command}: {said}");
    }
}

#[test]
fn a_failed_completion_ends_the_program_and_its_peer_hears_of_it() {
    let (client, server) = with_commands("wc recv 5 error LOC_PROT_ERR", &["-V", "-v", "-C", "1000"]);
    assert!(client.1.contains("softverbs: fault: completion"), "{}", client.1);
    assert!(!client.0.success(), "{}", client.1);
    assert!(server.1.contains("DISCONNECT EVENT"), "{}", server.1);
}

#[test]
fn a_port_that_is_down_for_a_while_costs_nothing_but_time() {
    let commands = "at call ibv_post_send 10: port down; at call ibv_post_send 10: after 200ms: port up";
    let start = Instant::now();
    let (client, server) = with_commands(commands, &["-V", "-C", "100"]);
    assert!(client.0.success() && server.0.success(), "{}{}", client.1, server.1);
    assert!(client.1.contains("the port is down") && client.1.contains("the port is up"), "{}", client.1);
    assert!(start.elapsed() > Duration::from_millis(200));
}

#[test]
fn a_peer_that_is_silent_for_a_while_is_heard_afterwards() {
    let commands =
        "at call ibv_post_send 10: peer silent; at call ibv_post_send 10: after 200ms: peer speaks";
    let start = Instant::now();
    let (client, server) = with_commands(commands, &["-V", "-C", "100"]);
    assert!(client.0.success() && server.0.success(), "{}{}", client.1, server.1);
    assert!(client.1.contains("a peer is silent") && client.1.contains("a peer speaks"), "{}", client.1);
    assert!(start.elapsed() > Duration::from_millis(200));
}

#[test]
fn a_peer_that_talks_garbage_is_hung_up_on() {
    let (client, server) = with_commands("peer lies 10 garbage", &["-V", "-v", "-C", "1000"]);
    assert!(client.1.contains("softverbs: connection closed: not softverbs"), "{}", client.1);
    assert!(client.1.contains("DISCONNECT EVENT"), "{}", client.1);
    assert!(server.1.contains("DISCONNECT EVENT"), "{}", server.1);
}

#[test]
fn a_wrong_command_is_told_and_does_nothing() {
    let (client, _) = with_commands("fail ibv_post_send always EIO at the end", &["-V", "-C", "3"]);
    assert!(client.0.success(), "{}", client.1);
    assert!(client.1.contains("softverbs: SOFTVERBS_CONTROL: 'fail ibv_post_send always EIO at the end': "));
    assert!(!client.1.contains("softverbs: fault: "), "{}", client.1);
}

#[test]
fn the_device_is_pulled_out_of_a_running_program_by_a_shell() {
    let port = port();
    let server = server(port, &["-V"]);
    let path = scratch("control");
    let socket = path.to_str().unwrap();
    let client = Running::new("-c", port, &["-V", "-C", "1000000"], &[("SOFTVERBS_CONTROL_SOCKET", socket)]);
    let control = std::os::unix::net::UnixDatagram::unbound().unwrap();
    let end = Instant::now() + PATIENCE;
    // It runs once a message came through.
    while control.send_to(b"at wc recv: device remove", &path).is_err() {
        assert!(Instant::now() < end, "the client does not start");
        std::thread::sleep(Duration::from_millis(5));
    }
    let (status, said) = client.finish();
    assert!(said.contains("softverbs: fault: the device is removed"), "{said}");
    assert!(!status.success() && status.signal().is_none(), "{status}: {said}");
    let (status, said) = server.finish();
    assert_eq!(status.signal(), None, "{said}");
}

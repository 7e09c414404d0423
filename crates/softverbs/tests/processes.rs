//! Unmodified programs under LD_PRELOAD, each side a process of its own.

// A test says what it expects by panicking, and calls C as C programs do.
#![allow(missing_docs, unsafe_code, clippy::undocumented_unsafe_blocks)]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod preload;

use std::io::{BufRead, BufReader, Read};
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::{Duration, Instant};

use preload::library;

/// How long anything may take on a machine that is busy with other things: only a failure takes so long.
const PATIENCE: Duration = Duration::from_secs(120);

/// The C program, compiled once for all tests of this binary.
fn verbs_program() -> &'static Path {
    static PROGRAM: std::sync::OnceLock<PathBuf> = std::sync::OnceLock::new();
    PROGRAM.get_or_init(|| preload::compile("verbs_program.c", &[]))
}

fn port() -> u16 {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    7000 + (std::process::id() % 300) as u16 * 8 + NEXT.fetch_add(1, Ordering::Relaxed)
}

fn preloaded(program: impl AsRef<std::ffi::OsStr>, arguments: &[&str]) -> Command {
    let mut command = Command::new(program);
    command.args(arguments).env("LD_PRELOAD", library()).env_remove("SOFTVERBS_STRICT");
    command.stdout(Stdio::piped()).stderr(Stdio::piped()).stdin(Stdio::null());
    command
}

/// A process that runs. Dropped, because another one failed, it is killed: many would wait for ever.
struct Running(Child);

impl From<Child> for Running {
    fn from(child: Child) -> Self {
        Self(child)
    }
}

impl std::ops::Deref for Running {
    type Target = Child;
    fn deref(&self) -> &Child {
        &self.0
    }
}

impl std::ops::DerefMut for Running {
    fn deref_mut(&mut self) -> &mut Child {
        &mut self.0
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // No more than a number that was waited for, if it ended.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Waits for a process; kills it if that takes too long.
fn finish(child: impl Into<Running>) -> Output {
    let mut child: Running = child.into();
    let end = Instant::now() + PATIENCE;
    let collect = |pipe: Option<Box<dyn Read + Send>>| {
        std::thread::spawn(move || {
            let mut bytes = Vec::new();
            if let Some(mut pipe) = pipe {
                let _ = pipe.read_to_end(&mut bytes);
            }
            bytes
        })
    };
    let out = collect(child.stdout.take().map(|p| Box::new(p) as Box<dyn Read + Send>));
    let err = collect(child.stderr.take().map(|p| Box::new(p) as Box<dyn Read + Send>));
    let status = loop {
        if let Some(status) = child.try_wait().unwrap() {
            break status;
        }
        if Instant::now() > end {
            child.kill().unwrap();
            let _ = child.wait();
            let (out, err) = (out.join().unwrap(), err.join().unwrap());
            let status = std::process::ExitStatus::from_raw(9);
            panic!("hangs: {}", text(&Output { status, stdout: out, stderr: err }));
        }
        std::thread::sleep(Duration::from_millis(5));
    };
    Output { status, stdout: out.join().unwrap(), stderr: err.join().unwrap() }
}

/// All that a process said, but no more than a screenful or two.
fn text(output: &Output) -> String {
    let short = |bytes: &[u8]| String::from_utf8_lossy(&bytes[..bytes.len().min(20_000)]).into_owned();
    short(&output.stdout) + &short(&output.stderr)
}

/// Waits until the server listens; it may end before that, which its end will tell.
fn wait_until_listens(server: &mut Child, port: u16) {
    let end = Instant::now() + PATIENCE;
    while !preload::listens(server.id(), port) && server.try_wait().unwrap().is_none() {
        assert!(Instant::now() < end, "the server does not listen");
        std::thread::sleep(Duration::from_millis(5));
    }
}

fn rping(side: &str, address: &str, port: u16, more: &[&str]) -> Running {
    let port = port.to_string();
    let arguments: Vec<&str> = [side, "-a", address, "-p", &port].iter().chain(more).copied().collect();
    preloaded("rping", &arguments).spawn().expect("rping is needed: package rdmacm-utils").into()
}

fn rping_runs(address: &str, more: &[&str], rounds: usize) {
    let port = port();
    let mut server = rping("-s", address, port, more);
    wait_until_listens(&mut server, port);
    let client = finish(rping("-c", address, port, more));
    let server = finish(server);
    assert!(client.status.success(), "client {}: {}", client.status, text(&client));
    assert!(server.status.success(), "server {}: {}", server.status, text(&server));
    assert_eq!(text(&client).matches("ping data: rdma-ping-").count(), rounds, "{}", text(&client));
    assert!(
        !text(&client).contains("softverbs:") && !text(&server).contains("softverbs:"),
        "{}",
        text(&server)
    );
}

#[test]
fn rping_with_verification() {
    rping_runs("127.0.0.1", &["-V", "-C", "10", "-v"], 10);
}

#[test]
fn rping_over_ipv6() {
    rping_runs("::1", &["-V", "-C", "10", "-v"], 10);
}

#[test]
fn rping_with_large_messages_many_times() {
    // Without -v: nobody reads the server's pipe until the client is done.
    rping_runs("127.0.0.1", &["-V", "-C", "300", "-S", "65000"], 0);
}

#[test]
fn rping_with_its_own_queue_pairs() {
    rping_runs("127.0.0.1", &["-V", "-C", "10", "-v", "-q"], 10);
}

/// One side is killed in the middle: the other hears DISCONNECTED, and ends by itself.
fn rping_killed(victim_is_server: bool) {
    let port = port();
    let mut server = rping("-s", "127.0.0.1", port, &["-V", "-v"]);
    wait_until_listens(&mut server, port);
    let client = rping("-c", "127.0.0.1", port, &["-V", "-v", "-C", "1000000"]);
    let (mut victim, mut survivor) = if victim_is_server { (server, client) } else { (client, server) };
    // Running well before it is killed.
    let pipe = survivor.stdout.take().unwrap();
    let mut lines = BufReader::new(pipe).lines();
    for _ in 0..20 {
        assert!(lines.next().unwrap().unwrap().contains("ping data"));
    }
    victim.kill().unwrap();
    assert_eq!(victim.wait().unwrap().signal(), Some(9));
    let drain = std::thread::spawn(move || lines.map_while(Result::ok).last());
    let output = finish(survivor);
    assert_eq!(output.status.signal(), None, "{}", text(&output));
    let said = text(&output) + &drain.join().unwrap().unwrap_or_default();
    assert!(said.contains("DISCONNECT EVENT"), "{said}");
}

#[test]
fn rping_whose_server_is_killed() {
    rping_killed(true);
}

#[test]
fn rping_whose_client_is_killed() {
    rping_killed(false);
}

#[test]
fn a_program_against_the_real_headers() {
    let output = finish(preloaded(verbs_program(), &["check"]).env("SOFTVERBS_STRICT", "1").spawn().unwrap());
    assert!(output.status.success(), "{}", text(&output));
    assert_eq!(text(&output), "");
}

#[test]
fn a_program_that_leaves_something_behind() {
    let output = finish(preloaded(verbs_program(), &["leak"]).spawn().unwrap());
    assert!(output.status.success());
    let said = text(&output);
    for kind in ["qp ", "cm id ", "event channel ", "cq ", "completion channel "] {
        assert!(said.contains(&format!("alive at exit: {kind}")), "{kind}: {said}");
    }
    let output = finish(preloaded(verbs_program(), &["leak"]).env("SOFTVERBS_STRICT", "1").spawn().unwrap());
    assert_eq!(output.status.code(), Some(96), "{}", text(&output));
    assert!(text(&output).contains("left behind\n"), "what it printed must not be lost");
}

#[test]
fn a_program_that_would_block_for_ever() {
    let output =
        finish(preloaded(verbs_program(), &["unacked"]).env("SOFTVERBS_STRICT", "1").spawn().unwrap());
    assert_eq!(output.status.signal(), Some(libc::SIGABRT), "{}", text(&output));
    assert!(text(&output).contains("would block for ever: 1 events not acknowledged"), "{}", text(&output));
}

fn server(arguments: &[&str], more: &[(&str, &str)]) -> Running {
    let mut server = preloaded(verbs_program(), arguments);
    let server = server.env("SOFTVERBS_STRICT", "1").envs(more.iter().copied()).spawn().unwrap();
    let mut server = Running(server);
    let mut line = [0u8; 6];
    server.stdout.as_mut().unwrap().read_exact(&mut line).unwrap();
    assert_eq!(&line, b"ready\n");
    server
}

#[test]
fn a_server_that_does_not_poll_answers_reads_and_writes() {
    let port = port().to_string();
    let server = server(&["server", "127.0.0.1", &port], &[]);
    let client =
        preloaded(verbs_program(), &["client", "127.0.0.1", &port]).env("SOFTVERBS_STRICT", "1").spawn();
    let client = finish(client.unwrap());
    assert!(client.status.success(), "{}", text(&client));
    let server = finish(server);
    assert!(server.status.success(), "{}", text(&server));
}

/// That a message found no receive is told after the data of a READ before it, however long these wait for room: the peer would take no
/// notice of it else, and never send the message again.
#[test]
fn a_refusal_does_not_overtake_what_is_read() {
    let port = port().to_string();
    let server = server(&["late-server", "127.0.0.1", &port], &[]);
    let client =
        preloaded(verbs_program(), &["late-client", "127.0.0.1", &port]).env("SOFTVERBS_STRICT", "1").spawn();
    let client = finish(client.unwrap());
    assert!(client.status.success(), "{}", text(&client));
    let server = finish(server);
    assert!(server.status.success(), "{}", text(&server));
}

#[test]
fn delays_by_environment_and_by_socket() {
    let port = port().to_string();
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("control.{}", std::process::id()));
    let mut server =
        server(&["server", "127.0.0.1", &port], &[("SOFTVERBS_CONTROL_SOCKET", path.to_str().unwrap())]);
    let run = |delay: &str| {
        let start = Instant::now();
        let client = preloaded(verbs_program(), &["client", "127.0.0.1", &port])
            .env("SOFTVERBS_CONTROL", delay)
            .spawn();
        (finish(client.unwrap()), start.elapsed())
    };
    let control = std::os::unix::net::UnixDatagram::unbound().unwrap();
    control.send_to(b"delay cm rx 3s", &path).unwrap();
    // Commands are carried out in order, and this one says so.
    control.send_to(b"faults", &path).unwrap();
    let mut said = [0u8; 26];
    server.stderr.as_mut().unwrap().read_exact(&mut said).unwrap();
    assert_eq!(&said, b"softverbs: 0 faults armed\n");
    let (client, took) = run("delay data rx 20ms");
    assert!(client.status.success(), "{}", text(&client));
    // The request comes 3 s late, and each of 40 answers 20 ms, of which the writes' and the reads' overlap. A busy machine takes long without
    // any delay too, hence seconds.
    assert!(took > Duration::from_millis(3000 + 20 * 20), "{took:?}");
    assert!(finish(server).status.success());
    assert!(!path.exists(), "the socket goes with the process");
}

#[test]
fn no_device_by_environment() {
    let mut command = preloaded(verbs_program(), &["check"]);
    let output = finish(command.env("SOFTVERBS_NO_DEVICE", "1").spawn().unwrap());
    assert!(!output.status.success() && output.status.signal().is_none());
    assert!(text(&output).contains("errno 19"), "{}", text(&output));
}

#[test]
fn garbage_ends_its_connection_and_nothing_else() {
    use std::io::Write;
    use std::net::TcpStream;
    let port = port();
    let server = server(&["server", "127.0.0.1", &port.to_string()], &[]);
    let tcp = 20_000 + (u32::from(port) * 7) % 12_000;
    let mut closed = 0;
    for garbage in [
        &b"GET / HTTP/1.1\r\n\r\n and a few bytes more, so that it is long enough for a header"[..],
        // Shorter than one, from somebody who waits for an answer.
        b"GET / HTTP/1.1\r\n\r\n",
        &[0u8; 64],
        &[0xff; 64],
    ] {
        let mut stream = TcpStream::connect(("127.0.0.1", tcp as u16)).unwrap();
        stream.write_all(garbage).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        closed += usize::from(stream.read(&mut [0; 8]).map_or(true, |n| n == 0));
    }
    assert_eq!(closed, 4);
    let client =
        finish(preloaded(verbs_program(), &["client", "127.0.0.1", &port.to_string()]).spawn().unwrap());
    assert!(client.status.success(), "{}", text(&client));
    let server = finish(server);
    assert!(server.status.success(), "{}", text(&server));
    assert_eq!(text(&server).matches("softverbs: connection closed: ").count(), 4, "{}", text(&server));
}

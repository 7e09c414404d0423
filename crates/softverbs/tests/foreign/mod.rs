//! Runs two sides of a foreign program, each a process of its own with the library preloaded, and waits with deadlines.

// Each test binary uses what it needs of this.
#![allow(dead_code)]

#[path = "../preload/mod.rs"]
pub mod preload;

use std::collections::btree_map::{BTreeMap, Entry};
use std::io::Read;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixListener};
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicU16, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// How long anything may take on a machine that is busy with other things: only a failure takes so long.
pub const PATIENCE: Duration = Duration::from_secs(120);

/// A port that neither a TCP program nor an RDMA program of this machine has now, below those that the library uses; and that no other
/// process of these tests takes, as long as this one runs.
pub fn free_port() -> u16 {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    static OURS: Mutex<BTreeMap<u16, UnixListener>> = Mutex::new(BTreeMap::new());
    let mut ours = OURS.lock().unwrap();
    loop {
        let port =
            3000 + (std::process::id() % 100) as u16 * 80 % 8000 + NEXT.fetch_add(1, Ordering::Relaxed) % 80;
        if let Entry::Vacant(place) = ours.entry(port) {
            let name = SocketAddr::from_abstract_name(format!("softverbs' tests: port {port}")).unwrap();
            let Ok(taken) = UnixListener::bind_addr(&name) else { continue };
            place.insert(taken);
        }
        let free = [("0.0.0.0", port), ("::", port)].iter().all(|at| std::net::TcpListener::bind(at).is_ok());
        let names = std::fs::read_to_string("/proc/net/unix").unwrap();
        if free && !names.lines().any(|l| l.contains("@softverbs/port/") && l.ends_with(&format!(":{port}")))
        {
            return port;
        }
    }
}

/// One side that runs. Dropped, because the other one failed, it is killed: many would wait for ever, or spin.
pub struct Side {
    pub name: String,
    child: Child,
    out: Stream,
    err: Stream,
}

/// One side that ended.
pub struct Ended {
    pub name: String,
    pub status: ExitStatus,
    /// What it printed: both streams.
    pub text: String,
}

/// What a side prints, taken as it comes.
struct Stream {
    bytes: Arc<Mutex<Vec<u8>>>,
    reader: Option<JoinHandle<()>>,
}

impl Stream {
    fn new(pipe: Option<impl Read + Send + 'static>) -> Self {
        let bytes = Arc::new(Mutex::new(Vec::new()));
        let all = Arc::clone(&bytes);
        let reader = std::thread::spawn(move || {
            let (Some(mut pipe), mut some) = (pipe, [0; 4096]) else { return };
            while let Ok(n @ 1..) = pipe.read(&mut some) {
                all.lock().unwrap().extend_from_slice(&some[..n]);
            }
        });
        Self { bytes, reader: Some(reader) }
    }

    fn so_far(&self) -> String {
        String::from_utf8_lossy(&self.bytes.lock().unwrap()).into_owned()
    }

    /// All of it, once the side ended.
    fn all(&mut self) -> String {
        if let Some(reader) = self.reader.take() {
            reader.join().unwrap();
        }
        self.so_far()
    }
}

impl Drop for Side {
    fn drop(&mut self) {
        // No more than a number that was waited for, if it ended.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Side {
    /// Starts a program; `within` is a command that comes before it, such as one that enters a namespace.
    pub fn start(within: &[String], words: &[String], strict: bool) -> Self {
        let mut all: Vec<String> = within.to_vec();
        all.push("env".into());
        all.push(format!("LD_PRELOAD={}", preload::library().display()));
        all.extend_from_slice(words);
        let mut command = Command::new(&all[0]);
        command.args(&all[1..]).env("SOFTVERBS_STRICT", if strict { "1" } else { "0" });
        command.stdout(Stdio::piped()).stderr(Stdio::piped()).stdin(Stdio::null());
        let mut child = command.spawn().unwrap();
        let (out, err) = (Stream::new(child.stdout.take()), Stream::new(child.stderr.take()));
        Self { name: words.join(" "), child, out, err }
    }

    /// Waits until it listens, for a TCP exchange of its own or on one of the TCP ports that stand for an RDMA port. It may end
    /// before that, which its end will tell.
    pub fn wait_until_ready(&mut self, port: u16) {
        let end = Instant::now() + PATIENCE;
        while !preload::listens(self.child.id(), port) && self.child.try_wait().unwrap().is_none() {
            assert!(Instant::now() < end, "{} does not listen", self.name);
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// Waits until it has printed this. It may end before that, which its end will tell.
    pub fn wait_until_it_says(&mut self, words: &str) {
        let end = Instant::now() + PATIENCE;
        while !self.out.so_far().contains(words) && self.child.try_wait().unwrap().is_none() {
            assert!(Instant::now() < end, "{} does not say {words:?}", self.name);
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// Waits until its main thread sleeps, or has used 20 ms of processor time from now on: it is past any short piece of work that
    /// does not sleep, and waits for something in the one way or in the other. It may end before that, which its end will tell.
    pub fn wait_until_it_waits(&mut self) {
        let look = |pid: u32| {
            let stat = std::fs::read_to_string(format!("/proc/{pid}/task/{pid}/stat")).ok()?;
            let words: Vec<&str> = stat.rsplit(')').next()?.split_whitespace().collect();
            let ticks = words.get(11..13)?.iter().map(|t| t.parse::<u64>().unwrap()).sum::<u64>();
            Some((words[0] == "S", ticks))
        };
        let end = Instant::now() + PATIENCE;
        let mut first = None;
        while self.child.try_wait().unwrap().is_none() {
            let Some((sleeps, ticks)) = look(self.pid()) else { continue };
            // A tick is 10 ms; the first that is seen to be added may have begun before.
            if sleeps || ticks >= *first.get_or_insert(ticks) + 3 {
                return;
            }
            assert!(Instant::now() < end, "{} gets no processor time", self.name);
            std::thread::sleep(Duration::from_millis(2));
        }
    }

    /// Waits until both sides end by themselves: what the client says, then the server. A server whose client failed or hangs is
    /// given little time, since many then wait for ever.
    pub fn finish_both(server: Self, client: Self) -> (Ended, Ended) {
        let (client, client_hangs) = client.end_within(PATIENCE);
        let patience = if client.status.success() { PATIENCE } else { Duration::from_secs(2) };
        let (server, server_hangs) = server.end_within(patience);
        let said = |side: &Ended, hangs: bool| {
            let hangs = if hangs { "(killed: it hangs)" } else { "" };
            format!("{}: {} {hangs}\n{}", side.name, side.status, side.text)
        };
        let good = [&client, &server].iter().all(|side| side.status.success());
        assert!(good, "{}\n{}", said(&client, client_hangs), said(&server, server_hangs));
        (server, client)
    }

    /// Waits until it ends by itself; kills it if that takes too long.
    pub fn finish(self) -> Ended {
        let (ended, hangs) = self.end_within(PATIENCE);
        assert!(!hangs, "{} hangs:\n{}", ended.name, ended.text);
        ended
    }

    fn end_within(mut self, patience: Duration) -> (Ended, bool) {
        let end = Instant::now() + patience;
        let mut hangs = false;
        let status = loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                break status;
            }
            if Instant::now() > end {
                hangs = true;
                self.child.kill().unwrap();
                break self.child.wait().unwrap();
            }
            std::thread::sleep(Duration::from_millis(5));
        };
        let text = self.out.all() + &self.err.all();
        (Ended { name: std::mem::take(&mut self.name), status, text }, hangs)
    }

    /// Kills it without a word.
    pub fn kill(mut self) {
        self.child.kill().unwrap();
        let status = self.child.wait().unwrap();
        assert_eq!(status.signal(), Some(libc::SIGKILL), "{} ended before it was killed", self.name);
    }

    /// Asks it to end: for a server that goes on for ever.
    pub fn terminate(self) -> Ended {
        // SAFETY: a child that was not waited for, so the number is its own still.
        unsafe { libc::kill(self.child.id() as i32, libc::SIGTERM) };
        self.finish()
    }

    /// The process.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }
}

impl Ended {
    /// It ended well.
    pub fn expect_success(&self) {
        assert!(self.status.success(), "{}: {}\n{}", self.name, self.status, self.text);
    }

    /// It printed this.
    pub fn expect_text(&self, words: &str) {
        assert!(self.text.contains(words), "{} does not say {words:?}:\n{}", self.name, self.text);
    }
}

/// Cuts a command line into words; `{a}` and `{p}` in it stand for address and port.
pub fn words(line: &str, address: &str, port: u16) -> Vec<String> {
    line.split_whitespace().map(|w| w.replace("{a}", address).replace("{p}", &port.to_string())).collect()
}

/// The index of an address in the device's table of GIDs, as `ibv_devinfo -v` prints it; none if this machine lacks the address.
pub fn gid_index(within: &[String], gid: &str) -> Option<String> {
    let listed = Side::start(within, &words("ibv_devinfo -v", "", 0), true).finish();
    listed.expect_success();
    let line = listed.text.lines().find(|l| {
        let mut parts = l.trim().strip_prefix("GID[").unwrap_or_default().split_whitespace();
        parts.nth(1).is_some_and(|g| g.trim_end_matches(',') == gid)
    })?;
    let index = line.trim().strip_prefix("GID[")?.split(']').next()?;
    Some(index.trim().to_string())
}

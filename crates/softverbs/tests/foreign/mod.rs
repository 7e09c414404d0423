//! Runs two sides of a foreign program, each a process of its own with the library preloaded, and waits with deadlines.

// Each test binary uses what it needs of this.
#![allow(dead_code)]

#[path = "../preload/mod.rs"]
pub mod preload;

use std::io::Read;
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicU16, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// How long anything may take on a machine that is busy with other things: only a failure takes so long.
pub const PATIENCE: Duration = Duration::from_secs(120);

/// A port that neither a TCP program nor an RDMA program of this machine has now, below those that the library uses.
pub fn free_port() -> u16 {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    loop {
        let port =
            3000 + (std::process::id() % 100) as u16 * 80 % 8000 + NEXT.fetch_add(1, Ordering::Relaxed) % 80;
        let free = [("0.0.0.0", port), ("::", port)].iter().all(|at| std::net::TcpListener::bind(at).is_ok());
        let names = std::fs::read_to_string("/proc/net/unix").unwrap();
        if free && !names.lines().any(|l| l.contains("@softverbs/port/") && l.ends_with(&format!(":{port}")))
        {
            return port;
        }
    }
}

/// One side that runs.
pub struct Side {
    pub name: String,
    child: Child,
    out: JoinHandle<String>,
    err: JoinHandle<String>,
}

/// One side that ended.
pub struct Ended {
    pub name: String,
    pub status: ExitStatus,
    /// What it printed: both streams.
    pub text: String,
}

fn collect(pipe: Option<impl Read + Send + 'static>) -> JoinHandle<String> {
    std::thread::spawn(move || {
        let mut bytes = Vec::new();
        if let Some(mut pipe) = pipe {
            let _ = pipe.read_to_end(&mut bytes);
        }
        String::from_utf8_lossy(&bytes).into_owned()
    })
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
        let (out, err) = (collect(child.stdout.take()), collect(child.stderr.take()));
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

    /// Waits until both sides end by themselves: what the client says, then the server. A server whose client failed is given
    /// little time, since many then wait for ever.
    pub fn finish_both(server: Self, client: Self) -> (Ended, Ended) {
        let client = client.finish();
        let patience = if client.status.success() { PATIENCE } else { Duration::from_secs(2) };
        let (server, hangs) = server.end_within(patience);
        let good = client.status.success() && server.status.success() && !hangs;
        let said = |side: &Ended| format!("{}: {}\n{}", side.name, side.status, side.text);
        assert!(
            good,
            "{}\n{}{}",
            said(&client),
            said(&server),
            if hangs { "(killed: it hangs)" } else { "" }
        );
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
        let text = self.out.join().unwrap() + &self.err.join().unwrap();
        (Ended { name: self.name, status, text }, hangs)
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

//! `nvme-rdma-target`: the target as a program.
//!
//! It polls the library, and sleeps a little when there was nothing to do: short naps while hosts are connected, longer
//! ones while none is. SIGTERM and SIGINT end it after every connection is closed and everything is released.

mod arguments;
mod log;
mod waiting;

use std::io::Write;
use std::os::fd::{AsRawFd, RawFd};
use std::os::unix::net::UnixDatagram;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use arguments::{Action, Arguments};
use nvme_rdma_target::{ControlCommand, Counters, Error, Target};
use waiting::Signals;

/// After this long without work the program begins to sleep between polls.
const SPIN: Duration = Duration::from_micros(200);
/// How long hosts have to answer the disconnect at the end.
const FAREWELL: Duration = Duration::from_secs(2);

fn main() -> ExitCode {
    let arguments = match arguments::parse(std::env::args().skip(1)) {
        Ok(Action::Run(arguments)) => arguments,
        Ok(Action::Print(text)) => {
            print!("{text}");
            return ExitCode::SUCCESS;
        }
        Err(error) => {
            eprintln!("nvme-rdma-target: {error}\nTry 'nvme-rdma-target --help'.");
            return ExitCode::from(2);
        }
    };
    log::install(arguments.verbose);
    match run(*arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("nvme-rdma-target: {error}");
            if matches!(error.downcast_ref(), Some(Error::Verbs(error)) if error.errno == libc::ENODEV) {
                eprintln!(
                    "There is no RDMA device. Without one, RDMA in user space does: softverbs-run nvme-rdma-target"
                );
            }
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: Arguments) -> Result<(), Box<dyn std::error::Error>> {
    // Before any thread of a library exists, so that none of them takes the signals.
    let signals = Signals::take()?;
    let control = arguments.control.as_deref().map(Control::bind).transpose()?;
    let mut target = Target::new(arguments.options)?;
    for command in &arguments.commands {
        target.control(command)?;
    }
    let addresses: Vec<String> = target.addresses().map(|address| address.to_string()).collect();
    writeln!(std::io::stdout(), "listening on {}", addresses.join(", "))?;

    let clock = Clock(Instant::now());
    serve(&mut target, &signals, control.as_ref(), &clock);
    target.disconnect_all(clock.now());
    let farewell = Instant::now();
    while target.connections() > 0 && farewell.elapsed() < FAREWELL {
        if target.poll(clock.now()) == 0 {
            std::thread::sleep(Duration::from_micros(100));
        }
    }
    Ok(())
}

/// Polls until a signal comes.
fn serve(target: &mut Target, signals: &Signals, control: Option<&Control>, clock: &Clock) {
    let mut descriptors: Vec<RawFd> = vec![signals.as_raw_fd(), target.descriptor()];
    descriptors.extend(control.map(|control| control.0.as_raw_fd()));
    let mut busy = Instant::now();
    let mut looked = busy;
    loop {
        if target.poll(clock.now()) > 0 {
            busy = Instant::now();
        }
        let now = Instant::now();
        let idle = now - busy;
        let naps = idle > SPIN;
        if naps {
            waiting::wait(&descriptors, nap(idle, target.connections()));
        }
        // While busy, signals and commands are looked for once a millisecond.
        if naps || now - looked > Duration::from_millis(1) {
            looked = now;
            if let Some(control) = control {
                control.obey(target);
            }
            if signals.came() {
                return;
            }
        }
    }
}

/// How long to sleep after this long without work. Incoming data does not wake us up, connection requests do.
fn nap(idle: Duration, connections: usize) -> Duration {
    if connections == 0 {
        Duration::from_millis(20)
    } else if idle < Duration::from_millis(50) {
        Duration::from_micros(50)
    } else {
        Duration::from_millis(1)
    }
}

/// Nanoseconds since the start.
struct Clock(Instant);

impl Clock {
    fn now(&self) -> u64 {
        u64::try_from(self.0.elapsed().as_nanos()).unwrap_or(u64::MAX)
    }
}

/// The datagram socket that takes commands; its file goes when the program ends. A sender that has an address is told what came of it,
/// and `counters` is answered with what was done so far.
struct Control(UnixDatagram, String);

impl Control {
    fn bind(path: &str) -> Result<Control, String> {
        let wrap = |error| format!("cannot make the control socket {path}: {error}");
        let socket = UnixDatagram::bind(path).map_err(wrap)?;
        let control = Control(socket, path.to_owned());
        control.0.set_nonblocking(true).map_err(wrap)?;
        Ok(control)
    }

    fn obey(&self, target: &mut Target) {
        let mut buffer = [0; 512];
        while let Ok((length, sender)) = self.0.recv_from(&mut buffer) {
            let text = String::from_utf8_lossy(buffer.get(..length).unwrap_or(&[])).into_owned();
            let answer = match text.trim() {
                "counters" => counters(target),
                command => {
                    let result = command
                        .parse::<ControlCommand>()
                        .map_err(|error| error.to_string())
                        .and_then(|command| target.control(&command).map_err(|error| error.to_string()));
                    match result {
                        Ok(()) => {
                            tracing::info!(command, "control");
                            "done".to_owned()
                        }
                        Err(error) => {
                            tracing::error!(error, "control");
                            format!("error: {error}")
                        }
                    }
                }
            };
            if !sender.is_unnamed() {
                // Whoever asked may be gone by now.
                let _ = self.0.send_to_addr(answer.as_bytes(), &sender);
            }
        }
    }
}

/// As words that a script can take apart.
fn counters(target: &Target) -> String {
    let Counters { accepted, rejected, commands, responses, keep_alives } = target.counters();
    let connections = target.connections();
    format!(
        "connections={connections} accepted={accepted} rejected={rejected} commands={commands} responses={responses} \
         keep-alives={keep_alives}"
    )
}

impl Drop for Control {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.1);
    }
}

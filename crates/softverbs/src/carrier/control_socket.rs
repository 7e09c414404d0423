//! `SOFTVERBS_CONTROL_SOCKET`: a unix datagram socket that takes commands while the process runs.
//!
//! The helper thread reads it, so a command works whatever the program does meanwhile.

use std::os::fd::{AsRawFd, RawFd};
use std::os::unix::net::UnixDatagram;
use std::path::PathBuf;

/// The socket; its name in the file system goes with it.
#[derive(Debug)]
pub struct ControlSocket {
    socket: UnixDatagram,
    path: PathBuf,
}

impl ControlSocket {
    /// Makes the socket. A name that a process which was killed left behind is used again.
    pub fn new(path: PathBuf) -> Result<Self, std::io::Error> {
        let _ = std::fs::remove_file(&path);
        let socket = UnixDatagram::bind(&path)?;
        socket.set_nonblocking(true)?;
        Ok(Self { socket, path })
    }

    /// Its descriptor.
    pub fn fd(&self) -> RawFd {
        self.socket.as_raw_fd()
    }

    /// The next message, if there is one.
    pub fn next(&self) -> Option<String> {
        let mut bytes = [0u8; 4096];
        let length = self.socket.recv(&mut bytes).ok()?;
        Some(String::from_utf8_lossy(bytes.get(..length).unwrap_or_default()).into_owned())
    }

    /// Takes the name away: the process ends.
    pub fn unlink(&self) {
        let _ = std::fs::remove_file(&self.path);
    }
}

//! `SOFTVERBS_CONTROL_SOCKET`: a unix datagram socket that takes commands while the process runs.
//!
//! The helper thread reads it, so a command works whatever the program does meanwhile.

use std::os::fd::{AsRawFd, RawFd};
use std::os::unix::fs::FileTypeExt;
use std::os::unix::net::UnixDatagram;
use std::path::PathBuf;

/// The longest message.
const LONGEST: usize = 64 * 1024;

/// The socket; its name in the file system goes with it.
#[derive(Debug)]
pub struct ControlSocket {
    socket: UnixDatagram,
    path: PathBuf,
}

impl ControlSocket {
    /// Makes the socket. A name that a process which was killed left behind is used again; what is no socket stays.
    pub fn new(path: PathBuf) -> Result<Self, std::io::Error> {
        if std::fs::symlink_metadata(&path).is_ok_and(|m| m.file_type().is_socket()) {
            let _ = std::fs::remove_file(&path);
        }
        let socket = UnixDatagram::bind(&path)?;
        socket.set_nonblocking(true)?;
        Ok(Self { socket, path })
    }

    /// Its descriptor.
    pub fn fd(&self) -> RawFd {
        self.socket.as_raw_fd()
    }

    /// The next message, if there is one. Of one that is too long nothing is carried out: it was cut in the middle of a command.
    pub fn next(&self) -> Option<String> {
        let mut bytes = vec![0u8; LONGEST + 1];
        loop {
            let length = self.socket.recv(&mut bytes).ok()?;
            match bytes.get(..length) {
                Some(message) if length <= LONGEST => {
                    return Some(String::from_utf8_lossy(message).into_owned());
                }
                _ => crate::log::line(&format!("commands longer than {LONGEST} bytes: use @FILE")),
            }
        }
    }

    /// Takes the name away: the process ends.
    pub fn unlink(&self) {
        let _ = std::fs::remove_file(&self.path);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_too_long_is_not_read_in_part_and_what_is_no_socket_stays() {
        let path = std::env::temp_dir().join(format!("softverbs-control-{}", std::process::id()));
        std::fs::write(&path, "mine").unwrap();
        assert!(ControlSocket::new(path.clone()).is_err());
        assert_eq!(std::fs::read(&path).unwrap(), b"mine");
        std::fs::remove_file(&path).unwrap();

        drop(ControlSocket::new(path.clone()).unwrap());
        let socket = ControlSocket::new(path.clone()).unwrap();
        let sender = UnixDatagram::unbound().unwrap();
        assert_eq!(socket.next(), None);
        sender.send_to(&vec![b'#'; LONGEST + 1], &path).unwrap();
        sender.send_to(&vec![b'#'; LONGEST], &path).unwrap();
        sender.send_to(b"ledger", &path).unwrap();
        assert_eq!(socket.next().map(|m| m.len()), Some(LONGEST));
        assert_eq!(socket.next().as_deref(), Some("ledger"));
        assert_eq!(socket.next(), None);
        socket.unlink();
        assert!(!path.exists());
    }
}

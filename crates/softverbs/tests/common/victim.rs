//! A real end, and a peer whose bytes a test writes by hand.

use std::io::Write;
use std::net::TcpStream;
use std::os::fd::AsRawFd;
use std::time::{Duration, Instant};

use rdma_sys::*;

use super::*;

pub const SEND: u8 = 1;
pub const WRITE: u8 = 2;
pub const READ: u8 = 3;
pub const READ_DATA: u8 = 4;
pub const ACK: u8 = 5;
pub const NAK: u8 = 6;
pub const NOT_READY: u8 = 7;
pub const READY: u8 = 8;
pub const CM: u8 = 16;
pub const REQ: u8 = 1;
pub const RTU: u8 = 3;
/// A QP number that this process does not have.
pub const OWN_QPN: u32 = 0x00ab_cdef;

#[derive(Clone, Default)]
pub struct Frame {
    pub kind: u8,
    pub flags: u8,
    pub qpn: u32,
    pub word: u32,
    pub seq: u64,
    pub address: u64,
    pub rkey: u32,
    pub offset: u32,
    pub total: u32,
    pub payload: Vec<u8>,
}

impl Frame {
    pub fn bytes(&self) -> Vec<u8> {
        let mut b = Vec::new();
        b.extend_from_slice(&(48 + self.payload.len() as u32).to_le_bytes());
        b.extend_from_slice(&[self.kind, self.flags, 0, 0]);
        b.extend_from_slice(&self.qpn.to_le_bytes());
        b.extend_from_slice(&self.word.to_le_bytes());
        b.extend_from_slice(&self.seq.to_le_bytes());
        b.extend_from_slice(&self.address.to_le_bytes());
        b.extend_from_slice(&self.rkey.to_le_bytes());
        b.extend_from_slice(&self.offset.to_le_bytes());
        b.extend_from_slice(&self.total.to_le_bytes());
        b.extend_from_slice(&[0; 4]);
        b.extend_from_slice(&self.payload);
        b
    }
}

pub fn cm(say: u8, target: u16) -> Frame {
    let mut b = b"sfvb\x01".to_vec();
    b.extend_from_slice(&[say, 0, 0]);
    b.extend_from_slice(&OWN_QPN.to_le_bytes());
    b.extend_from_slice(&[4, 4, 0, 7, 7, 0]);
    b.extend_from_slice(&0x106u16.to_le_bytes());
    for port in [777u16, target] {
        b.extend_from_slice(&[4, 0]);
        b.extend_from_slice(&port.to_le_bytes());
        b.extend_from_slice(&[0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 127, 0, 0, 1]);
    }
    b.push(0);
    Frame { kind: CM, payload: b, ..Frame::default() }
}

/// A real end, and a stream to it that any bytes can be written to.
pub struct Victim {
    pub channel: Channel,
    pub listener: *mut rdma_cm_id,
    pub end: End,
    pub stream: TcpStream,
    pub qpn: u32,
}

impl Victim {
    pub fn new() -> Self {
        Self::with(Shape::default())
    }

    pub fn with(shape: Shape) -> Self {
        Self::at(fresh_port(), shape)
    }

    pub fn at(port: u16, shape: Shape) -> Self {
        let channel = Channel::new();
        let listener = listen(&channel, &format!("127.0.0.1:{port}"));
        let tcp = 20_000 + (u32::from(port) * 7) % 12_000;
        let mut stream = TcpStream::connect(("127.0.0.1", tcp as u16)).unwrap();
        stream.set_nodelay(true).unwrap();
        stream.write_all(&cm(REQ, port).bytes()).unwrap();
        let request = channel.expect("CONNECT_REQUEST");
        assert_eq!(request.qp_num, OWN_QPN);
        let end = End::new(request.id, &shape, ALL);
        assert_eq!(unsafe { rdma_accept(request.id, &mut param(&shape, b"")) }, 0);
        stream.write_all(&cm(RTU, 0).bytes()).unwrap();
        channel.expect("ESTABLISHED");
        let qpn = unsafe { (*end.qp).qp_num };
        Self { channel, listener, end, stream, qpn }
    }

    pub fn say(&mut self, frame: Frame) {
        // The other side may have had enough already.
        let _ = self.stream.write_all(&Frame { qpn: self.qpn, ..frame }.bytes());
    }

    /// Returns once what was said is taken, and takes what is answered. The other side may have hung up instead.
    pub fn settle(&mut self) {
        let end = Instant::now() + Duration::from_secs(20);
        // The kernel has handed over all that was written once none of it is unacknowledged.
        while self.unacknowledged() > 0 && !self.is_hung_up() {
            assert!(Instant::now() < end, "the bytes do not arrive");
            self.drive();
            std::thread::yield_now();
        }
        self.drive();
    }

    fn unacknowledged(&self) -> i32 {
        let mut bytes = 0;
        assert_eq!(unsafe { libc::ioctl(self.stream.as_raw_fd(), libc::TIOCOUTQ, &raw mut bytes) }, 0);
        bytes
    }

    fn is_hung_up(&self) -> bool {
        let mut poll = libc::pollfd { fd: self.stream.as_raw_fd(), events: 0, revents: 0 };
        unsafe { libc::poll(&raw mut poll, 1, 0) == 1 }
    }

    /// Lets the end read all that came, by a poll that takes no completion; and reads what it says.
    fn drive(&mut self) {
        let mut none: [ibv_wc; 0] = [];
        assert_eq!(unsafe { ibv_poll_cq(self.end.cq, 0, none.as_mut_ptr()) }, 0);
        let (fd, mut bytes) = (self.stream.as_raw_fd(), [0u8; 4096]);
        while unsafe { libc::recv(fd, bytes.as_mut_ptr().cast(), bytes.len(), libc::MSG_DONTWAIT) } > 0 {}
    }

    pub fn destroy(self) {
        self.end.destroy();
        drop(self.stream);
        unsafe { rdma_destroy_id(self.listener) };
        self.channel.destroy();
        nothing_left(0);
    }
}

//! A host of bare verbs: it sends what it is told to, right or wrong, and keeps no account of its own.
//!
//! Target and host share the test's thread: every wait polls the target.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use nvme_rdma_target::options::parse_address;
use nvme_rdma_target::{Options, SubsystemOptions, Target};
use spec::fabrics::{CNTLID_DYNAMIC, ConnectData, PropertySize};
use spec::rdma::Request;
use spec::registers::{CC, Cc};
use spec::{Command, Completion, Sgl, Status};
use verbs::{
    Access, CmEvent, CmEventKind, CmId, CompletionQueue, ConnectParameters, DeviceList, EventChannel,
    ProtectionDomain, QueuePair, QueuePairCapabilities, ReceiveRing, RegisteredMemory, Segment, SendRing,
    WcStatus, WorkCompletion,
};

/// Everything must happen within this time.
const PATIENCE: Duration = Duration::from_secs(10);
/// Sends and receives of a raw connection.
pub const DEPTH: usize = 128;
/// Room for a capsule.
const CAPSULE: usize = 64 + 8192;
/// Where data starts in the host's memory; commands are in front of it, responses behind it.
pub const DATA: usize = DEPTH * CAPSULE;
/// Bytes of data.
pub const DATA_SIZE: usize = 8 << 20;
const RESPONSES: usize = DATA + DATA_SIZE;
const SENT: u64 = 1 << 32;

/// One test at a time: they share the process's fabric.
static FABRIC: Mutex<()> = Mutex::new(());

pub fn alone() -> impl Drop {
    FABRIC.lock().unwrap_or_else(|poison| poison.into_inner())
}

/// The target under test with the clock that drives it.
pub struct Bed {
    pub target: Target,
    start: Instant,
    /// Where the target's clock stands when it is stopped.
    stopped: Option<u64>,
    /// Added to the target's clock.
    pub skip: u64,
    /// The listener by which hosts come from now on.
    pub by: usize,
}

impl Bed {
    pub fn new(subsystems: &[&str]) -> Bed {
        Bed::with(subsystems, Options::default())
    }

    pub fn with(subsystems: &[&str], options: Options) -> Bed {
        let address = std::env::var("NVME_RDMA_TARGET_TEST_ADDRESS").unwrap_or("127.0.0.1".to_owned());
        let mut address = parse_address(&address).unwrap();
        address.set_port(0);
        let options = Options {
            // As many listeners as were asked for.
            listen: vec![address; options.listen.len().max(1)],
            subsystems: subsystems.iter().map(|text| SubsystemOptions::parse(text).unwrap()).collect(),
            ..options
        };
        Bed { target: Target::new(options).unwrap(), start: Instant::now(), stopped: None, skip: 0, by: 0 }
    }

    pub fn poll(&mut self) -> usize {
        let now = self.stopped.unwrap_or(self.start.elapsed().as_nanos() as u64);
        self.target.poll(now + self.skip)
    }

    /// From now on the target's clock moves by [`Bed::skip`] alone.
    pub fn stop_clock(&mut self) {
        self.stopped = Some(self.start.elapsed().as_nanos() as u64);
    }

    /// Polls until `done` gives something.
    pub fn wait<T>(&mut self, what: &str, mut done: impl FnMut() -> Option<T>) -> T {
        let begin = Instant::now();
        loop {
            self.poll();
            if let Some(value) = done() {
                return value;
            }
            assert!(begin.elapsed() < PATIENCE, "waiting for {what}");
        }
    }

    /// Polls until the target has this number of connections.
    pub fn wait_connections(&mut self, count: usize) {
        let begin = Instant::now();
        while self.target.connections() != count {
            self.poll();
            assert!(begin.elapsed() < PATIENCE, "{} connections, not {count}", self.target.connections());
        }
    }

    pub fn control(&mut self, command: &str) {
        self.target.control(&command.parse().unwrap()).unwrap();
    }

    pub fn address(&self) -> SocketAddr {
        self.target.addresses().nth(self.by).unwrap()
    }
}

/// A connection that was refused, or did not come about.
#[derive(Debug)]
pub struct Refused {
    pub kind: CmEventKind,
    pub status: i32,
    pub private_data: Vec<u8>,
}

/// One connection of the raw host.
pub struct Raw {
    qp: Option<QueuePair>,
    queue: Arc<CompletionQueue>,
    sends: SendRing,
    receives: ReceiveRing,
    pub memory: RegisteredMemory,
    id: Arc<CmId>,
    channel: Arc<EventChannel>,
    next: usize,
    sent: usize,
    answers: Vec<Completion>,
    failed: Option<WcStatus>,
    /// What came with the acceptance.
    pub accepted: Vec<u8>,
}

impl Raw {
    /// Connects with the private data of a well-behaved host.
    pub fn connect(bed: &mut Bed, qid: u16) -> Raw {
        let request = Request { recfmt: 0, qid, hrqsize: DEPTH as u16, hsqsize: DEPTH as u16 - 1, cntlid: 0 };
        Raw::connect_with(bed, &request.encode()).unwrap()
    }

    pub fn connect_with(bed: &mut Bed, private_data: &[u8]) -> Result<Raw, Refused> {
        let channel = EventChannel::new().unwrap();
        let id = CmId::new(&channel).unwrap();
        let address = bed.address();
        id.resolve_address(None, &address, Duration::from_secs(2)).unwrap();
        expect(bed, &channel, CmEventKind::AddressResolved)?;
        id.resolve_route(Duration::from_secs(2)).unwrap();
        expect(bed, &channel, CmEventKind::RouteResolved)?;
        let list = DeviceList::open().unwrap();
        let device = id.device(&list).unwrap();
        let domain = ProtectionDomain::new(&device).unwrap();
        let queue = CompletionQueue::new(&device, 2 * DEPTH as u32 + 16).unwrap();
        let capabilities = QueuePairCapabilities {
            sends: DEPTH as u32,
            receives: DEPTH as u32 + 4,
            send_segments: 1,
            receive_segments: 1,
        };
        let qp = QueuePair::new(&id, &domain, &queue, capabilities).unwrap();
        let size = RESPONSES + (DEPTH + 4) * 16;
        let memory = RegisteredMemory::new(&domain, size, Access::Remote).unwrap();
        let sends = SendRing::new(DEPTH, 1).unwrap();
        let receives = ReceiveRing::new(DEPTH + 4).unwrap();
        for slot in 0..DEPTH + 4 {
            let segment = Segment::of(&memory, RESPONSES + slot * 16, 16).unwrap();
            assert!(receives.prepare(slot, slot as u64, segment) && receives.push(slot));
        }
        qp.post_receives(&receives).unwrap();
        let parameters = ConnectParameters {
            private_data,
            responder_resources: device.limits().unwrap().responder_resources,
            initiator_depth: 0,
            retry_count: 7,
            rnr_retry_count: 7,
        };
        id.connect(&parameters).unwrap();
        let mut raw = Raw {
            qp: Some(qp),
            queue,
            sends,
            receives,
            memory,
            id,
            channel,
            next: 0,
            sent: 0,
            answers: Vec::new(),
            failed: None,
            accepted: Vec::new(),
        };
        raw.accepted = expect(bed, &raw.channel, CmEventKind::Established)?;
        Ok(raw)
    }

    /// Sends a command with data behind it.
    pub fn send(&mut self, command: &Command, data: &[u8]) {
        self.push(command, data);
        self.post();
    }

    /// Sends any bytes as a capsule.
    pub fn send_bytes(&mut self, capsule: &[u8]) {
        self.push_bytes(capsule);
        self.post();
    }

    /// As [`Raw::send`], but to be posted later.
    pub fn push(&mut self, command: &Command, data: &[u8]) {
        self.push_bytes(&[&command.to_bytes()[..], data].concat());
    }

    fn push_bytes(&mut self, capsule: &[u8]) {
        let slot = self.next;
        self.next = (slot + 1) % DEPTH;
        assert!(self.memory.write(slot * CAPSULE, capsule));
        let segment = Segment::of(&self.memory, slot * CAPSULE, capsule.len() as u32).unwrap();
        assert!(self.sends.set_id(slot, SENT | slot as u64) && self.sends.set_segment(slot, 0, segment));
        assert!(self.sends.push(slot, 1));
        self.sent += 1;
    }

    pub fn post(&self) {
        self.qp.as_ref().unwrap().post_sends(&self.sends).unwrap();
    }

    /// Takes work completions.
    pub fn look(&mut self) {
        let mut batch = [const { None }; 16].map(|_: Option<()>| WorkCompletion::empty());
        let count = self.queue.poll(&mut batch).unwrap();
        for completion in batch.iter().take(count) {
            if completion.status() != WcStatus::SUCCESS {
                self.failed.get_or_insert(completion.status());
                continue;
            }
            if completion.work_request_id() & SENT != 0 {
                self.sent -= 1;
                continue;
            }
            assert_eq!(completion.byte_length(), 16);
            let slot = completion.work_request_id() as usize;
            let bytes = self.memory.read_16(RESPONSES + slot * 16).unwrap();
            self.answers.push(Completion::from_bytes(&bytes));
            assert!(self.receives.came_back(slot) && self.receives.push(slot));
        }
        if self.failed.is_none() {
            self.qp.as_ref().unwrap().post_receives(&self.receives).unwrap();
        }
    }

    /// The next response.
    pub fn response(&mut self, bed: &mut Bed) -> Completion {
        bed.wait("a response", || {
            self.look();
            assert_eq!(self.failed, None);
            (!self.answers.is_empty()).then(|| self.answers.remove(0))
        })
    }

    /// Nothing comes of what was sent: the target, within whose process it arrives at once, finds it, and then finds nothing more to
    /// do.
    pub fn silence(&mut self, bed: &mut Bed) {
        let begin = Instant::now();
        assert!(bed.poll() > 0, "it finds what was sent");
        while bed.poll() > 0 {
            assert!(begin.elapsed() < PATIENCE, "it is never done");
        }
        self.look();
        assert!(self.answers.is_empty(), "{:?}", self.answers);
    }

    /// Sends a command and takes its response.
    pub fn run(&mut self, bed: &mut Bed, command: &Command) -> Completion {
        self.send(command, &[]);
        let completion = self.response(bed);
        assert_eq!(completion.cid(), command.cid());
        completion
    }

    /// The data area from its start, as the peer addresses it.
    pub fn sgl(&self, offset: usize, length: u32) -> Sgl {
        Sgl::keyed(self.memory.address() + (DATA + offset) as u64, length, self.memory.remote_key())
    }

    pub fn data(&self, offset: usize, length: usize) -> Vec<u8> {
        let mut data = vec![0; length];
        assert!(self.memory.read(DATA + offset, &mut data));
        data
    }

    pub fn put(&self, offset: usize, data: &[u8]) {
        assert!(self.memory.write(DATA + offset, data));
    }

    /// Fabrics Connect.
    pub fn attach(&mut self, bed: &mut Bed, qid: u16, cntlid: u16, subnqn: &str, kato: u32) -> Completion {
        self.attach_with(bed, Command::connect(qid, DEPTH as u16 - 1, 0, kato), cntlid, subnqn)
    }

    /// Fabrics Connect by this command.
    pub fn attach_with(&mut self, bed: &mut Bed, command: Command, cntlid: u16, subnqn: &str) -> Completion {
        let data = ConnectData::new([9; 16], cntlid, subnqn, "nqn.host").unwrap();
        self.put(0, &data.0);
        self.run(bed, &command.with_sgl1(self.sgl(0, 1024)))
    }

    /// A connected and enabled Admin Queue, and its controller id.
    pub fn admin(bed: &mut Bed, subnqn: &str, kato: u32) -> (Raw, u16) {
        let mut admin = Raw::connect(bed, 0);
        let completion = admin.attach(bed, 0, CNTLID_DYNAMIC, subnqn, kato);
        assert_eq!(completion.status(), Status::SUCCESS);
        let enable = Command::property_set(CC, PropertySize::FOUR, Cc::enabled(Cc::CSS_NVM).0.into());
        assert!(admin.run(bed, &enable).is_success());
        (admin, completion.cdw0() as u16)
    }

    pub fn io(bed: &mut Bed, qid: u16, cntlid: u16, subnqn: &str) -> Raw {
        let mut io = Raw::connect(bed, qid);
        assert_eq!(io.attach(bed, qid, cntlid, subnqn, 0).status(), Status::SUCCESS);
        io
    }

    /// Waits for the target to end the connection.
    pub fn disconnected(&mut self, bed: &mut Bed) {
        let channel = self.channel.clone();
        expect(bed, &channel, CmEventKind::Disconnected).unwrap();
    }

    pub fn disconnect(&self) {
        self.id.disconnect().unwrap();
    }
}

impl Drop for Raw {
    fn drop(&mut self) {
        // The memory goes after the queue pair.
        drop(self.qp.take());
    }
}

fn next(bed: &mut Bed, channel: &Arc<EventChannel>, kind: CmEventKind) -> CmEvent {
    bed.wait(&format!("{kind:?}"), || channel.next_event().unwrap())
}

/// The event's private data.
fn expect(bed: &mut Bed, channel: &Arc<EventChannel>, kind: CmEventKind) -> Result<Vec<u8>, Refused> {
    let event = next(bed, channel, kind);
    let private_data = event.private_data.as_slice().to_vec();
    if event.kind == kind {
        return Ok(private_data);
    }
    Err(Refused { kind: event.kind, status: event.status, private_data })
}

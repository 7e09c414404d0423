//! A target whose answers the input decides. Without a lie it is a small, well-behaved one; a [`Lie`] changes what it does for one
//! command or connection, or for all from one on.
//!
//! Nothing that an input says is wrong here, so nothing panics: what cannot be done is left out.

use crate::input::Input;
use spec::{
    AdminOpcode, Command, Completion, FabricsType, NvmOpcode, Status,
    command::COMMAND_SIZE,
    completion::COMPLETION_SIZE,
    feature::{FeatureId, QueueCounts},
    identify::{CNTRLTYPE_IO, Cns, ControllerImage, SGLS_KEYED, SGLS_OFFSET, SGLS_SUPPORTED},
    log::{ADRFAM_IPV4, DiscoveryEntry, DiscoveryHeader, SUBTYPE_NVM},
    namespace::{
        LbaFormat, NamespaceId, NamespaceImage, encode_namespace_descriptors, encode_namespace_list,
    },
    rdma::{Accept, RECFMT, Reject, RejectReason, Request},
    registers::{self, Cap, Cc, Csts, Vs},
    sgl::SglType,
};
use std::{net::SocketAddr, sync::Arc};
use verbs::{
    Access, CmEvent, CmEventKind, CmId, CompletionQueue, ConnectParameters, DeviceList, EventChannel,
    ProtectionDomain, QueuePair, QueuePairCapabilities, ReceiveRing, RegisteredMemory, RemoteTransfer,
    Segment, SendRing, WcStatus, WorkCompletion,
};

/// Its subsystem.
pub const NQN: &str = "nqn.2024-01.test:hostile";
/// Its address.
pub const ADDRESS: ([u8; 4], u16) = ([127, 0, 0, 1], 4420);
/// Entries of a queue.
const ENTRIES: u16 = 32;
/// Answers of a queue that can be under way at a time; what is beyond is not said.
const ANSWERS: usize = 48;
/// Where an answer's data and its completion are in its part of the memory.
const PAGE: usize = 4096;
const PART: usize = PAGE + 128;
const ZEROS: usize = 64 << 10;
/// Bytes of a lie in the input.
pub const LIE: usize = 12;

const DATA: u64 = 1 << 32;
const ANSWER: u64 = 2 << 32;

/// What the target does other than it should: `what` by its lower six bits (below 32 for a command, see `Hostile::command`, else for
/// a connection request, see `Hostile::accept`), for which queues by
/// the upper two (1 the Admin Queue, 2 I/O queues, else all).
#[derive(Clone, Copy, Debug)]
pub struct Lie {
    /// The command, or connection request, from which on.
    at: u8,
    /// How many more; 255 stands for all.
    span: u8,
    what: u8,
    a: u8,
    b: u32,
    c: u32,
}

/// What the input says.
#[derive(Clone, Debug, Default)]
pub struct Script {
    lies: Vec<Lie>,
    blob: Vec<u8>,
}

impl Script {
    /// `count` lies, and then bytes that some of them send.
    #[must_use]
    pub fn new(mut input: Input<'_>, count: usize) -> Self {
        let count = count.min(input.rest().len().div_ceil(LIE));
        let lies = (0..count).map(|_| Lie {
            at: input.u8(),
            span: input.u8(),
            what: input.u8(),
            a: input.u8(),
            b: input.u32(),
            c: input.u32(),
        });
        Self { lies: lies.collect(), blob: input.rest().to_vec() }
    }

    /// The lies of this kind for the `number`-th command or request.
    fn of(&self, number: u32, kinds: std::ops::Range<u8>) -> Vec<Lie> {
        let about = |lie: &&Lie| {
            let from = u32::from(lie.at);
            let until = if lie.span == u8::MAX { u32::MAX } else { from + u32::from(lie.span) };
            kinds.contains(&(lie.what & 0x3f)) && (from..=until).contains(&number)
        };
        self.lies.iter().filter(about).copied().collect()
    }

    fn blob(&self, lie: &Lie) -> &[u8] {
        self.blob.get(usize::from(lie.a) * 16..).unwrap_or_default()
    }
}

/// An answer to be sent.
#[derive(Clone)]
struct Answer {
    data: Data,
    /// Where the data goes to: address and key.
    to: (u64, u32),
    completion: Completion,
    /// Bytes of the completion that are sent.
    length: u32,
    invalidate: Option<u32>,
    /// The answer overtakes its data.
    first: bool,
    writes: u8,
    reads: u32,
}

#[derive(Clone)]
enum Data {
    None,
    Page(Box<[u8; PAGE]>, u32),
    Zeros(u32),
}

struct Connection {
    queue: QueuePair,
    completions: Arc<CompletionQueue>,
    sends: SendRing,
    receives: ReceiveRing,
    capsules: RegisteredMemory,
    memory: RegisteredMemory,
    /// What is under way of each answer.
    posted: Vec<u8>,
    /// Ids of commands that have no answer yet.
    unanswered: Vec<u16>,
    /// Which of the answers under way are for no command.
    wrong: Vec<bool>,
    /// The host has such an answer.
    has_wrong: bool,
    id: Arc<CmId>,
    qid: u16,
    well: bool,
    events: Vec<u16>,
    late: Vec<(u32, Answer)>,
    cc: Cc,
}

/// The target.
pub struct Hostile {
    script: Script,
    connections: Vec<Connection>,
    waiting: Vec<(u32, Arc<CmId>, CmEvent)>,
    _listener: Arc<CmId>,
    domain: Option<(Arc<ProtectionDomain>, RegisteredMemory)>,
    commands: u32,
    requests: u32,
    generation: u64,
    /// A log that changes while it is read.
    restless: bool,
    list: Arc<DeviceList>,
    channel: Arc<EventChannel>,
}

impl Hostile {
    /// Listens.
    #[must_use]
    pub fn new(script: Script) -> Self {
        let list = DeviceList::open().unwrap();
        let channel = EventChannel::new().unwrap();
        let listener = CmId::new(&channel).unwrap();
        listener.bind(&SocketAddr::from(ADDRESS)).unwrap();
        listener.listen(64).unwrap();
        Self {
            script,
            connections: Vec::new(),
            waiting: Vec::new(),
            _listener: listener,
            domain: None,
            commands: 0,
            requests: 0,
            generation: 1,
            restless: false,
            list,
            channel,
        }
    }

    /// Connections that the host keeps although it got an answer on them that is for no command.
    #[must_use]
    pub fn unnoticed(&self) -> usize {
        self.connections.iter().filter(|connection| connection.has_wrong && connection.well).count()
    }

    /// Does what there is to do; how much that was.
    pub fn poll(&mut self) -> usize {
        let mut work = 0;
        while let Ok(Some(event)) = self.channel.next_event() {
            self.event(event);
            work += 1;
        }
        for (polls, ..) in &mut self.waiting {
            *polls = polls.saturating_sub(1);
        }
        while let Some(index) = self.waiting.iter().position(|(polls, ..)| *polls == 0) {
            let (_, id, event) = self.waiting.swap_remove(index);
            self.accept(&id, &event, self.requests, &[]);
            work += 1;
        }
        for index in 0..self.connections.len() {
            let mut batch = [const { None }; 16].map(|_: Option<()>| WorkCompletion::empty());
            let connection = &mut self.connections[index];
            let count = connection.completions.poll(&mut batch).unwrap_or(0);
            work += count;
            for completion in &batch[..count] {
                self.completion(index, completion);
            }
            let connection = &mut self.connections[index];
            let mut due = Vec::new();
            connection.late.retain_mut(|(polls, answer)| {
                *polls = polls.saturating_sub(1);
                if *polls == 0 {
                    due.push(answer.clone());
                }
                *polls != 0
            });
            work += due.len();
            due.iter().for_each(|answer| connection.answer(answer));
            connection.post();
        }
        work
    }

    fn event(&mut self, event: CmEvent) {
        match event.kind {
            CmEventKind::ConnectRequest => {
                let Some(id) = event.request.clone() else { return };
                let number = self.requests;
                self.requests += 1;
                let lies = self.script.of(number, 32..42);
                if let Some(lie) = lies.iter().find(|lie| lie.what & 0x3f >= 40) {
                    // Late, or never.
                    let polls = if lie.what & 0x3f == 40 { 1 + u32::from(lie.a) * 16 } else { u32::MAX };
                    return self.waiting.push((polls, id, event));
                }
                self.accept(&id, &event, number, &lies);
            }
            CmEventKind::Disconnected
            | CmEventKind::ConnectError
            | CmEventKind::Unreachable
            | CmEventKind::Rejected
            | CmEventKind::DeviceRemoval => {
                if let Some(index) = self.connections.iter().position(|one| one.id.key() == event.id_key) {
                    let connection = self.connections.swap_remove(index);
                    let _ = connection.id.disconnect();
                }
            }
            _ => {}
        }
    }

    fn accept(&mut self, id: &Arc<CmId>, event: &CmEvent, number: u32, lies: &[Lie]) {
        let request = Request::decode(event.private_data.as_slice());
        let mut data = Accept { recfmt: RECFMT, crqsize: ENTRIES }.encode().to_vec();
        let (mut resources, mut depth) = (event.responder_resources, event.initiator_depth);
        let (mut receives, mut leaves) = (true, false);
        for lie in lies {
            match lie.what & 0x3f {
                32 => {
                    let blob = self.script.blob(lie);
                    let _ = id.reject(blob.get(..lie.b as usize % 149).unwrap_or(blob));
                    return;
                }
                33 => {
                    let sts = RejectReason(lie.b as u16);
                    let _ = id.reject(&Reject { recfmt: lie.c as u16, sts }.encode());
                    return;
                }
                34 => data = Accept { recfmt: lie.c as u16, crqsize: lie.b as u16 }.encode().to_vec(),
                35 => {
                    let blob = self.script.blob(lie);
                    data = blob.get(..lie.b as usize % 197).unwrap_or(&blob[..blob.len().min(196)]).to_vec();
                }
                36 => return,
                37 => leaves = true,
                38 => receives = false,
                _ => (resources, depth) = (lie.b as u8, lie.c as u8),
            }
        }
        let Some(mut connection) = self.connect(id) else { return };
        connection.qid = request.map_or(u16::from(number != 0), |request| request.qid);
        if receives {
            for index in 0..usize::from(ENTRIES) {
                let _ = connection.receives.push(index);
            }
            connection.post();
        }
        let parameters = ConnectParameters {
            private_data: &data,
            responder_resources: resources,
            initiator_depth: depth,
            retry_count: 7,
            rnr_retry_count: 7,
        };
        let _ = id.accept(&parameters);
        if leaves {
            let _ = id.disconnect();
        }
        self.connections.push(connection);
    }

    fn connect(&mut self, id: &Arc<CmId>) -> Option<Connection> {
        let device = id.device(&self.list)?;
        if self.domain.is_none() {
            let domain = ProtectionDomain::new(&device).ok()?;
            let zeros = RegisteredMemory::new(&domain, ZEROS, Access::LocalWrite).ok()?;
            self.domain = Some((domain, zeros));
        }
        let domain = &self.domain.as_ref()?.0;
        let entries = usize::from(ENTRIES);
        let completions = CompletionQueue::new(&device, u32::from(ENTRIES) + 3 * ANSWERS as u32).ok()?;
        let capsule = COMMAND_SIZE + PAGE;
        let connection = Connection {
            queue: QueuePair::new(
                id,
                domain,
                &completions,
                QueuePairCapabilities {
                    sends: 3 * ANSWERS as u32,
                    receives: ENTRIES.into(),
                    send_segments: 1,
                    receive_segments: 1,
                },
            )
            .ok()?,
            completions,
            sends: SendRing::new(3 * ANSWERS, 1)?,
            receives: ReceiveRing::new(entries)?,
            capsules: RegisteredMemory::new(domain, entries * capsule, Access::LocalWrite).ok()?,
            memory: RegisteredMemory::new(domain, ANSWERS * PART, Access::LocalWrite).ok()?,
            posted: vec![0; ANSWERS],
            unanswered: Vec::new(),
            wrong: vec![false; ANSWERS],
            has_wrong: false,
            id: id.clone(),
            qid: 0,
            well: true,
            events: Vec::new(),
            late: Vec::new(),
            cc: Cc(0),
        };
        for index in 0..entries {
            let segment = Segment::of(&connection.capsules, index * capsule, capsule as u32)?;
            let _ = connection.receives.prepare(index, index as u64, segment);
        }
        Some(connection)
    }

    fn completion(&mut self, index: usize, completion: &WorkCompletion) {
        let connection = &mut self.connections[index];
        let id = completion.work_request_id();
        if completion.status() != WcStatus::SUCCESS {
            connection.well = false;
        } else if id >= DATA {
            if id >= ANSWER {
                connection.has_wrong |= connection.wrong.get(id as u32 as usize) == Some(&true);
            }
            if let Some(posted) = connection.posted.get_mut(id as u32 as usize) {
                *posted = posted.saturating_sub(1);
            }
        } else if connection.receives.came_back(id as usize) {
            let offset = id as usize * (COMMAND_SIZE + PAGE);
            let command = connection.capsules.read_dwords(offset).map(|dwords| Command { dwords });
            let _ = connection.receives.push(id as usize);
            if let Some(command) = command {
                connection.unanswered.push(command.cid());
                self.command(index, &command);
            }
        }
    }

    /// Answers a command as it should be, and then as the lies have it.
    fn command(&mut self, index: usize, command: &Command) {
        let number = self.commands;
        self.commands += 1;
        let lies = self.script.of(number, 0..32);
        let mut answer = self.honest(index, command);
        let (mut copies, mut late, mut leaves) = (1, 0, false);
        let qid = self.connections[index].qid;
        for lie in &lies {
            // The upper bits: for which queues.
            if (lie.what >> 6 == 1 && qid != 0) || (lie.what >> 6 == 2 && qid == 0) {
                continue;
            }
            let Some(mut told) = answer.take() else {
                // Held: an event may be told without a reason.
                answer = (lie.what & 0x3f == 24).then(|| plain(command)).map(|mut told| {
                    told.completion = told.completion.with_cdw0(lie.b);
                    told
                });
                continue;
            };
            let done = told.completion;
            match lie.what & 0x3f {
                0 => {
                    told.completion =
                        Completion::new(0, done.cid(), Status(lie.b as u16 >> 1)).with_result(done.result());
                }
                1 => told.completion = done.with_cid(lie.b as u16),
                2 => told.completion = done.with_cid(done.cid().wrapping_add(lie.b as u16)),
                3 => told.completion = done.with_cdw0(lie.b),
                4 => told.completion = done.with_result(u64::from(lie.b) | u64::from(lie.c) << 32),
                5 => told.completion = done.with_sqhd(lie.b as u16),
                6 => continue,
                7 => copies += u32::from(lie.a % 4),
                8 => late = u32::from(lie.a) + 1,
                9..=13 => self.spoil(&mut told, lie, command),
                14 => match &mut told.data {
                    Data::Page(_, length) => *length = lie.c % (PAGE as u32 + 1),
                    Data::Zeros(length) => *length = lie.c % (ZEROS as u32 + 1),
                    Data::None => {}
                },
                15 => told.to.0 = told.to.0.wrapping_add_signed(i64::from(lie.c.cast_signed())),
                16 => told.to.1 ^= lie.b,
                17 => told.data = Data::None,
                18 => told.length = u32::from(lie.a % 128),
                19 => told.invalidate = Some(if lie.a == 0 { told.to.1 } else { lie.b }),
                20 => leaves = true,
                21 => {
                    let _ = self.connections[index].id.disconnect();
                    return;
                }
                22 => {
                    let forged = Completion::new(0, lie.b as u16, Status(lie.c as u16));
                    self.connections[index].answer(&completed(forged));
                }
                23 => {
                    let forged = Completion::new(0, lie.b as u16, Status(lie.c as u16));
                    self.connections.iter_mut().for_each(|one| one.answer(&completed(forged)));
                }
                24 => {
                    for _ in 0..=lie.a % 8 {
                        for connection in &mut self.connections {
                            if let Some(cid) = connection.events.pop() {
                                let event = Completion::new(0, cid, Status::SUCCESS).with_cdw0(lie.b);
                                connection.answer(&completed(event));
                            }
                        }
                    }
                }
                25 => told.first = true,
                26 => told.reads = 1 + lie.c % PAGE as u32,
                28 => self.restless = true,
                29 => told.writes = 2,
                _ => {}
            }
            answer = Some(told);
        }
        let connection = &mut self.connections[index];
        if let Some(answer) = answer {
            for _ in 0..copies {
                if late == 0 {
                    connection.answer(&answer);
                } else if connection.late.len() < ANSWERS {
                    connection.late.push((late, answer.clone()));
                }
            }
        }
        if leaves {
            connection.post();
            let _ = connection.id.disconnect();
        }
    }

    /// Writes into the page that an answer brings. A number in a page (10) may be for one of the pages only: `a` is CNS + 1.
    fn spoil(&self, told: &mut Answer, lie: &Lie, command: &Command) {
        let cns = (command.opcode() == AdminOpcode::IDENTIFY.0).then_some(command.cdw10() as u8);
        let only = match lie.what & 0x3f {
            10 => lie.a.checked_sub(1),
            13 => Some(Cns::ACTIVE_NAMESPACE_LIST.0),
            _ => None,
        };
        if only.is_some() && only != cns {
            return;
        }
        let Data::Page(page, _) = &mut told.data else { return };
        let at = lie.b as usize % PAGE;
        match lie.what & 0x3f {
            9 => page[at..].iter_mut().take(1 + usize::from(lie.a)).for_each(|byte| *byte = lie.c as u8),
            10 => {
                page[at..].iter_mut().zip(lie.c.to_le_bytes()).for_each(|(to, from)| *to = from);
            }
            11 => page.fill(lie.a),
            12 => page[at..].iter_mut().zip(self.script.blob(lie)).for_each(|(to, from)| *to = *from),
            // A list that goes on, for 1,024 namespaces or up to 256 times as many.
            _ => {
                let ids = command.nsid().saturating_add(1)..=1024 * (u32::from(lie.a) + 1);
                **page = encode_namespace_list(ids);
            }
        }
    }

    /// The answer of a target that means well; None for what is answered later.
    fn honest(&mut self, index: usize, command: &Command) -> Option<Answer> {
        let connection = &mut self.connections[index];
        let done = plain(command);
        if command.opcode() == AdminOpcode::FABRICS.0 {
            let result = match command.fabrics_type() {
                FabricsType::CONNECT => 1,
                FabricsType::PROPERTY_GET => match command.property_offset() {
                    registers::CAP => Cap::fabrics(ENTRIES - 1, 1, Cap::CSS_NVM).0,
                    registers::VS => Vs::new(1, 4, 0).0.into(),
                    registers::CC => connection.cc.0.into(),
                    registers::CSTS => {
                        let down = if connection.cc.shn() == 0 { 0 } else { Csts::SHST_COMPLETE };
                        Csts(0).with_rdy(connection.cc.en()).with_shst(down).0.into()
                    }
                    _ => 0,
                },
                FabricsType::PROPERTY_SET => {
                    connection.cc = Cc(command.property_value() as u32);
                    0
                }
                _ => 0,
            };
            return Some(Answer { completion: done.completion.with_result(result), ..done });
        }
        let to = (command.sgl1().address(), command.sgl1().key());
        let length =
            if command.sgl1().kind() == SglType::KEYED_DATA_BLOCK { command.sgl1().length() } else { 0 };
        if connection.qid != 0 {
            let reads = command.opcode() == NvmOpcode::READ.0;
            let data = if reads { Data::Zeros(length.min(ZEROS as u32)) } else { Data::None };
            return Some(Answer { to, data, ..done });
        }
        let page = match AdminOpcode(command.opcode()) {
            AdminOpcode::ASYNC_EVENT_REQUEST => {
                connection.events.push(command.cid());
                return None;
            }
            AdminOpcode::SET_FEATURES if command.cdw10() as u8 == FeatureId::NUMBER_OF_QUEUES.0 => {
                let counts = QueueCounts { submission: 4, completion: 4 }.to_dword();
                return Some(Answer { completion: done.completion.with_cdw0(counts), ..done });
            }
            AdminOpcode::IDENTIFY => identify(command),
            AdminOpcode::GET_LOG_PAGE => {
                if self.restless {
                    self.generation += 1;
                }
                log(command, self.generation)
            }
            _ => return Some(done),
        };
        Some(Answer { data: Data::Page(Box::new(page), length.min(PAGE as u32)), to, ..done })
    }
}

impl Connection {
    fn answer(&mut self, answer: &Answer) {
        if !self.well {
            return;
        }
        let Some(slot) = self.posted.iter().position(|posted| *posted == 0) else { return };
        let about = self.unanswered.iter().position(|cid| *cid == answer.completion.cid());
        self.wrong[slot] = about.is_none();
        if let Some(index) = about {
            self.unanswered.swap_remove(index);
        }
        let offset = slot * PART;
        let _ = self.memory.write(offset + PAGE, &[0; 128]);
        let _ = self.memory.write(offset + PAGE, &answer.completion.to_bytes());
        let said = Segment::of(&self.memory, offset + PAGE, answer.length.min(128));
        let transfer = match answer.invalidate {
            Some(remote_key) => RemoteTransfer::SendWithInvalidate { remote_key },
            None => RemoteTransfer::Send,
        };
        if answer.first {
            self.push(slot, 0, ANSWER, said, transfer);
        }
        let length = match &answer.data {
            Data::None => 0,
            Data::Page(page, length) => {
                let _ = self.memory.write(offset, &page[..]);
                *length
            }
            // The bytes do not matter: what the memory of all answers holds is as good.
            Data::Zeros(length) => *length,
        };
        let (remote_address, remote_key) = answer.to;
        if length != 0 {
            let data = Segment::of(&self.memory, offset, length)
                .or_else(|| Segment::of(&self.memory, 0, length.min((ANSWERS * PART) as u32)));
            for _ in 0..answer.writes {
                self.push(slot, 1, DATA, data, RemoteTransfer::Write { remote_address, remote_key });
            }
        }
        if answer.reads != 0 {
            let sink = Segment::of(&self.memory, offset, answer.reads);
            self.push(slot, 2, DATA, sink, RemoteTransfer::Read { remote_address, remote_key });
        }
        if !answer.first {
            self.push(slot, 0, ANSWER, said, transfer);
        }
    }

    fn push(
        &mut self,
        slot: usize,
        part: usize,
        id: u64,
        segment: Option<Segment>,
        transfer: RemoteTransfer,
    ) {
        let Some(segment) = segment else { return };
        let request = 3 * slot + part;
        // What is pending already cannot be pushed again.
        if part == 1 && self.posted[slot] == 2 {
            return;
        }
        let ready = self.sends.set_id(request, id | slot as u64)
            && self.sends.set_segment(request, 0, segment)
            && self.sends.set_transfer(request, transfer)
            && self.sends.push(request, 1);
        self.posted[slot] += u8::from(ready);
    }

    fn post(&mut self) {
        if self.well {
            let receives = self.queue.post_receives(&self.receives).is_ok();
            self.well = self.queue.post_sends(&self.sends).is_ok() && receives;
        }
    }
}

fn plain(command: &Command) -> Answer {
    completed(Completion::new(0, command.cid(), Status::SUCCESS))
}

fn completed(completion: Completion) -> Answer {
    Answer {
        data: Data::None,
        to: (0, 0),
        completion,
        length: COMPLETION_SIZE as u32,
        invalidate: None,
        first: false,
        writes: 1,
        reads: 0,
    }
}

/// The Identify pages of a well-behaved target, of what `command` asks for.
#[must_use]
pub fn identify(command: &Command) -> [u8; PAGE] {
    match Cns(command.cdw10() as u8) {
        Cns::CONTROLLER => {
            let mut image = ControllerImage::default();
            image.set_sn("0001").set_mn("hostile").set_fr("1").set_mdts(5).set_cntlid(1);
            image.set_ver(Vs::new(1, 4, 0)).set_cntrltype(CNTRLTYPE_IO).set_kas(10).set_aerl(3);
            image.set_sqes(0x66).set_cqes(0x44).set_maxcmd(ENTRIES).set_nn(3).set_mnan(3);
            image.set_sgls(SGLS_SUPPORTED | SGLS_KEYED | SGLS_OFFSET).set_subnqn(NQN);
            image.set_ioccsz(((COMMAND_SIZE + PAGE) / 16) as u32).set_iorcsz(1);
            image.0
        }
        Cns::NAMESPACE => {
            let mut image = NamespaceImage::default();
            image.set_nsze(1 << 14).set_ncap(1 << 14).set_nuse(1 << 14);
            image.set_lba_format(0, LbaFormat { ms: 0, lbads: 9, rp: 0 });
            image.0
        }
        Cns::ACTIVE_NAMESPACE_LIST => {
            encode_namespace_list([1, 3].into_iter().filter(|id| *id > command.nsid()))
        }
        Cns::NAMESPACE_DESCRIPTORS => {
            let uuid = [command.nsid() as u8; 16];
            encode_namespace_descriptors(&[NamespaceId::Uuid(&uuid), NamespaceId::Csi(0)])
        }
        _ => [0; PAGE],
    }
}

/// The discovery log of a well-behaved target, from where `command` asks for it: two subsystems, of which one exists.
#[must_use]
pub fn log(command: &Command, generation: u64) -> [u8; PAGE] {
    let mut log = DiscoveryHeader { genctr: generation, numrec: 2, recfmt: 0 }.encode().to_vec();
    for (trsvcid, subnqn) in [("4420", NQN), ("1", "nqn.2024-01.test:nobody")] {
        let entry = DiscoveryEntry {
            adrfam: ADRFAM_IPV4,
            subtype: SUBTYPE_NVM,
            portid: 1,
            asqsz: 32,
            trsvcid,
            subnqn,
            traddr: "127.0.0.1",
        };
        log.extend_from_slice(&entry.encode());
    }
    let from = usize::try_from(command.log_page_offset()).unwrap_or(usize::MAX);
    crate::input::padded(log.get(from..).unwrap_or_default())
}

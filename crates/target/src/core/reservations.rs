//! Reservations of a namespace (Base 2.0, 8.19): who is registered, who holds it, and whom that keeps out.
//!
//! Hosts are told apart by host identifier. All of a registrant's controllers may do what it may.

use spec::reservation::{
    EXTENDED_DATA, EXTENDED_SIZE, NO_CONTROLLER, ReservationType, encode_registrant, encode_status,
};
use spec::{Command, Completion, NvmOpcode, Status};

use super::step::DataPointer;
use super::{Core, Queue, Step};

/// Registrants of a namespace; more are refused.
const REGISTRANTS_MAX: usize = 128;
const CONFLICT: Status = Status::RESERVATION_CONFLICT.with_dnr(true);
const INVALID: Status = Status::INVALID_FIELD.with_dnr(true);

/// RACQA: commands of those who lose their registrations are aborted, as far as they wait.
const PREEMPT_AND_ABORT: u32 = 2;
/// IEKEY: the current key does not count.
const IGNORE_KEY: u32 = 1 << 3;

/// What a command does to the blocks, as far as reservations are concerned.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Access {
    Read,
    Write,
}

#[derive(Clone, Copy, Debug)]
struct Registrant {
    hostid: [u8; 16],
    key: u64,
}

/// The reservation of a namespace and its registrants.
#[derive(Clone, Debug, Default)]
pub(super) struct Reservations {
    generation: u32,
    registrants: Vec<Registrant>,
    held: Option<Held>,
}

/// A reservation: by one host, whatever the type, or by all registrants where the type says so.
#[derive(Clone, Copy, Debug)]
struct Held {
    kind: ReservationType,
    hostid: [u8; 16],
}

/// Hosts whose registrations another one took away.
type Preempted = Vec<[u8; 16]>;

impl Reservations {
    /// The type of the reservation, if there is one.
    pub(super) fn kind(&self) -> Option<ReservationType> {
        self.held.map(|held| held.kind)
    }

    /// The registrants.
    pub(super) fn hosts(&self) -> impl Iterator<Item = [u8; 16]> + '_ {
        self.registrants.iter().map(|one| one.hostid)
    }

    /// Whether this host may do that (Base figures 498 and 499).
    pub(super) fn check(&self, hostid: &[u8; 16], access: Access) -> Result<(), Status> {
        let Some(held) = &self.held else { return Ok(()) };
        let registered = self.key_of(hostid).is_some();
        let kept_out = if registered { held.kind.is_of_one() } else { true };
        let concerns = access == Access::Write || held.kind.excludes_reads();
        if self.holds(hostid) || !(kept_out && concerns) { Ok(()) } else { Err(CONFLICT) }
    }

    fn key_of(&self, hostid: &[u8; 16]) -> Option<u64> {
        self.registrants.iter().find(|one| one.hostid == *hostid).map(|one| one.key)
    }

    fn holds(&self, hostid: &[u8; 16]) -> bool {
        self.held.is_some_and(|held| {
            if held.kind.is_of_all() { self.key_of(hostid).is_some() } else { held.hostid == *hostid }
        })
    }

    /// The host must be registered, with this key unless that does not count.
    fn known(&self, hostid: &[u8; 16], key: Option<u64>) -> Result<(), Status> {
        match self.key_of(hostid) {
            Some(own) if key.is_none_or(|key| key == own) => Ok(()),
            _ => Err(CONFLICT),
        }
    }

    fn set_key(&mut self, hostid: &[u8; 16], key: u64) -> Result<(), Status> {
        let is_full = self.registrants.len() >= REGISTRANTS_MAX;
        match self.registrants.iter_mut().find(|one| one.hostid == *hostid) {
            Some(one) => one.key = key,
            None if is_full => return Err(CONFLICT),
            None => self.registrants.push(Registrant { hostid: *hostid, key }),
        }
        self.generation = self.generation.wrapping_add(1);
        Ok(())
    }

    /// A reservation ends with its holder's registration, one of all registrants with the last of them.
    fn forget(&mut self, gone: impl Fn(&Registrant) -> bool) {
        let holder = self.held.map(|held| held.hostid);
        self.registrants.retain(|one| !gone(one));
        let is_left = match self.held {
            Some(held) if held.kind.is_of_all() => !self.registrants.is_empty(),
            _ => holder.is_some_and(|holder| self.key_of(&holder).is_some()),
        };
        if !is_left {
            self.held = None;
        }
    }

    /// Reservation Register (Base 7.3): RREGA 0 registers, 1 unregisters, 2 replaces.
    fn register(&mut self, hostid: &[u8; 16], dword: u32, current: u64, new: u64) -> Result<(), Status> {
        let current = (dword & IGNORE_KEY == 0).then_some(current);
        // CPTPL: what persists through a power loss cannot be chosen, see RESCAP.
        if matches!(dword >> 30, 1 | 3) {
            return Err(INVALID);
        }
        match dword & 7 {
            0 => match self.key_of(hostid) {
                _ if new == 0 => Err(INVALID),
                Some(own) if own != new => Err(CONFLICT),
                Some(_) => Ok(()),
                None => self.set_key(hostid, new),
            },
            1 => {
                self.known(hostid, current)?;
                self.forget(|one| one.hostid == *hostid);
                self.generation = self.generation.wrapping_add(1);
                Ok(())
            }
            2 => {
                if new == 0 {
                    return Err(INVALID);
                }
                // Whoever ignores the current key need not have one.
                if current.is_some() {
                    self.known(hostid, current)?;
                }
                self.set_key(hostid, new)
            }
            _ => Err(INVALID),
        }
    }

    /// Reservation Acquire (Base 7.2): RACQA 0 acquires, 1 and 2 preempt. Says who lost a registration.
    fn acquire(
        &mut self,
        hostid: &[u8; 16],
        dword: u32,
        current: u64,
        preempted: u64,
    ) -> Result<Preempted, Status> {
        let kind = ReservationType((dword >> 8) as u8);
        if dword & IGNORE_KEY != 0 || !kind.is_known() {
            return Err(INVALID);
        }
        self.known(hostid, Some(current))?;
        match dword & 7 {
            0 => match self.held {
                None => {
                    self.held = Some(Held { kind, hostid: *hostid });
                    Ok(Preempted::new())
                }
                Some(held) if self.holds(hostid) && held.kind == kind => Ok(Preempted::new()),
                Some(_) => Err(CONFLICT),
            },
            1 | 2 => self.preempt(hostid, kind, preempted),
            _ => Err(INVALID),
        }
    }

    /// Takes registrations away, and the reservation with that of its holder.
    fn preempt(&mut self, hostid: &[u8; 16], kind: ReservationType, key: u64) -> Result<Preempted, Status> {
        let of_all = self.held.is_some_and(|held| held.kind.is_of_all());
        let holder = self.held.and_then(|held| self.key_of(&held.hostid)).filter(|_| !of_all);
        if key == 0 && !of_all {
            return Err(INVALID);
        }
        let takes_over = if of_all { key == 0 } else { holder == Some(key) };
        // By its own key a holder changes the type; its own registration stays.
        let loses = |one: &Registrant| one.hostid != *hostid && (one.key == key || key == 0 && of_all);
        let gone: Preempted =
            self.registrants.iter().filter(|one| loses(one)).map(|one| one.hostid).collect();
        if gone.is_empty() && !takes_over {
            return Err(CONFLICT);
        }
        if takes_over {
            self.held = Some(Held { kind, hostid: *hostid });
        }
        self.forget(loses);
        self.generation = self.generation.wrapping_add(1);
        Ok(gone)
    }

    /// Reservation Release (Base 7.4): RRELA 0 releases, 1 clears.
    fn release(&mut self, hostid: &[u8; 16], dword: u32, current: u64) -> Result<(), Status> {
        if dword & IGNORE_KEY != 0 {
            return Err(INVALID);
        }
        self.known(hostid, Some(current))?;
        match (dword & 7, self.held) {
            (0, Some(held)) if self.holds(hostid) => {
                if held.kind != ReservationType((dword >> 8) as u8) {
                    return Err(INVALID);
                }
                self.held = None;
                Ok(())
            }
            (0, _) => Ok(()),
            (1, _) => {
                self.held = None;
                self.registrants.clear();
                self.generation = self.generation.wrapping_add(1);
                Ok(())
            }
            _ => Err(INVALID),
        }
    }
}

impl Core {
    /// A command on reservations: Report is answered at once, the others when their data is here.
    pub(super) fn reservation(
        &self,
        cntlid: u16,
        command: &Command,
        data: DataPointer,
    ) -> Result<Step, Status> {
        let completion = Completion::new(0, command.cid(), Status::SUCCESS);
        match NvmOpcode(command.opcode()) {
            NvmOpcode::RESERVATION_REPORT => {
                // Host identifiers have 128 bits over fabrics.
                if command.cdw11() & EXTENDED_DATA == 0 {
                    return Err(Status::HOSTID_INCONSISTENT_FORMAT.with_dnr(true));
                }
                let length = (u64::from(command.cdw10()) + 1) * 4;
                if length > self.limits.max_transfer() {
                    return Err(INVALID);
                }
                let remote = data.expect(length)?.remote()?;
                let mut bytes = self.report(cntlid, command.nsid());
                bytes.resize(usize::try_from(length).map_err(|_| INVALID)?, 0);
                Ok(Step::SendBytes { bytes, remote, completion })
            }
            NvmOpcode::RESERVATION_RELEASE => Ok(data.expect(8)?.fetch(8)),
            _ => Ok(data.expect(16)?.fetch(16)),
        }
    }

    /// The keys of a command on reservations are here.
    pub(super) fn reserve(&mut self, queue: &Queue, command: &Command, bytes: &[u8]) -> Result<Step, Status> {
        let controller = queue.controller.and_then(|cntlid| self.controllers.get(&cntlid));
        let controller = controller.ok_or(Status::ABORTED_SQ_DELETION)?;
        let (hostid, index) = (controller.hostid, controller.subsystem);
        let subsystem = index.and_then(|index| self.subsystems.get_mut(index));
        let namespace = subsystem.and_then(|subsystem| subsystem.namespace_mut(command.nsid()));
        let namespace = namespace.ok_or(Status::INVALID_NAMESPACE_OR_FORMAT.with_dnr(true))?;
        let mut keys = bytes.as_chunks::<8>().0.iter().map(|key| u64::from_le_bytes(*key));
        let (first, second) = (keys.next().unwrap_or_default(), keys.next().unwrap_or_default());
        let (reservations, dword) = (&mut namespace.reservations, command.cdw10());
        let (before, opcode) = (reservations.clone(), NvmOpcode(command.opcode()));
        let mut preempted = Preempted::new();
        match opcode {
            NvmOpcode::RESERVATION_REGISTER => reservations.register(&hostid, dword, first, second)?,
            NvmOpcode::RESERVATION_ACQUIRE => {
                preempted = reservations.acquire(&hostid, dword, first, second)?;
            }
            NvmOpcode::RESERVATION_RELEASE => reservations.release(&hostid, dword, first)?,
            _ => return Err(Status::INVALID_OPCODE.with_dnr(true)),
        }
        let notices = reservations.notices(&before, &hostid, opcode);
        self.notify_hosts(index, command.nsid(), &notices);
        if opcode == NvmOpcode::RESERVATION_ACQUIRE && dword & 7 == PREEMPT_AND_ABORT {
            self.abort_preempted(index, command.nsid(), &preempted);
        }
        Ok(Step::Respond(Completion::new(0, command.cid(), Status::SUCCESS)))
    }

    /// The extended reservation status: an entry for each controller of a registrant, or one that names none.
    fn report(&self, cntlid: u16, nsid: u32) -> Vec<u8> {
        let index = self.controllers.get(&cntlid).and_then(|controller| controller.subsystem);
        let subsystem = index.and_then(|index| self.subsystems.get(index));
        let Some(namespace) = subsystem.and_then(|subsystem| subsystem.namespace(nsid)) else {
            return Vec::new();
        };
        let reservations = &namespace.reservations;
        let mut entries = Vec::with_capacity(EXTENDED_SIZE * 4);
        for one in &reservations.registrants {
            let its = self
                .controllers
                .values()
                .filter(|other| other.subsystem == index && other.hostid == one.hostid);
            let mut ids: Vec<u16> = its.map(|controller| controller.cntlid).collect();
            if ids.is_empty() {
                ids.push(NO_CONTROLLER);
            }
            let holds = reservations.holds(&one.hostid);
            ids.into_iter().for_each(|id| entries.extend(encode_registrant(id, holds, one.key, &one.hostid)));
        }
        let count = u16::try_from(entries.len() / EXTENDED_SIZE).unwrap_or(u16::MAX);
        let kind = reservations.held.map_or(0, |held| held.kind.0);
        let mut page = encode_status(reservations.generation, kind, count).to_vec();
        page.append(&mut entries);
        page
    }
}

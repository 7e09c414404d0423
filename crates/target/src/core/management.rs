//! What a host may do to a controller and its namespaces: Format NVM, Namespace Management and Attachment (Base 2.0, 5.14, 5.22, 5.23), and
//! the commands of [`super::firmware`], which come by the same way.
//!
//! The controllers here come and go with their associations (the dynamic controller model), so a namespace is attached to all of its
//! subsystem's or to none. A namespace that was made gets its memory from the transport when it has one; see [`Core::take_births`].

use spec::command::NSID_ALL;
use spec::identify::{CSI_NVM, IDENTIFY_SIZE};
use spec::namespace::{LbaFormat, NamespaceView};
use spec::{AdminOpcode, Command, Completion, Status};

use super::step::{Change, DataPointer};
use super::{Core, Keys, Namespace, Queue, Step};
use crate::options::NamespaceOptions;

/// The formats that every namespace can be given, besides the one that it was made with.
pub(super) const FORMATS: [LbaFormat; 5] = [
    LbaFormat { ms: 0, lbads: 9, rp: 0 },
    LbaFormat { ms: 0, lbads: 12, rp: 0 },
    LbaFormat { ms: 8, lbads: 9, rp: 0 },
    LbaFormat { ms: 8, lbads: 12, rp: 0 },
    LbaFormat { ms: 64, lbads: 12, rp: 0 },
];
/// FLBAS, and MSET of Format NVM: metadata are behind the data of each block.
const EXTENDED: u32 = 1 << 4;
const INVALID_FIELD: Status = Status::INVALID_FIELD.with_dnr(true);
const INVALID_NAMESPACE: Status = Status::INVALID_NAMESPACE_OR_FORMAT.with_dnr(true);
const INVALID_FORMAT: Status = Status::INVALID_FORMAT.with_dnr(true);

/// A namespace that was made and has no memory yet.
#[derive(Debug)]
pub struct Birth {
    /// Its subsystem.
    pub nqn: String,
    /// Its id.
    pub nsid: u32,
    /// What it is.
    pub options: NamespaceOptions,
}

impl Core {
    /// The namespaces that were made since the last call: each is to be given memory, by [`Core::give_store`].
    pub fn take_births(&mut self) -> Vec<Birth> {
        std::mem::take(&mut self.births)
    }

    /// A namespace that was made has this store.
    pub fn give_store(&mut self, birth: &Birth, store: usize) {
        let Ok(index) = self.index_of(&birth.nqn) else { return };
        if let Some(subsystem) = self.subsystems.get_mut(index)
            && let Some(Some(namespace)) = subsystem.place(birth.nsid)
        {
            namespace.store = store;
        }
    }

    /// The stores of the namespaces that hosts deleted since the last call.
    pub fn take_deaths(&mut self) -> Vec<usize> {
        std::mem::take(&mut self.deaths)
    }

    pub(super) fn manage(
        &mut self,
        cntlid: u16,
        command: &Command,
        data: DataPointer,
    ) -> Result<Step, Status> {
        let success = Completion::new(0, command.cid(), Status::SUCCESS);
        let index = self.controllers.get(&cntlid).and_then(|controller| controller.subsystem);
        // A discovery controller has none of it.
        let index = index.ok_or(Status::INVALID_OPCODE.with_dnr(true))?;
        let selected = command.cdw10() & 0xf;
        match AdminOpcode(command.opcode()) {
            AdminOpcode::FORMAT_NVM => {
                data.none()?;
                let changes = self.format(index, cntlid, command)?;
                Ok(Step::ChangeBlocks { changes, completion: success })
            }
            AdminOpcode::NAMESPACE_MANAGEMENT if selected == 1 => {
                data.none()?;
                self.delete(index, cntlid, command.nsid())?;
                Ok(Step::Respond(success))
            }
            AdminOpcode::NAMESPACE_MANAGEMENT if selected == 0 => {
                Ok(data.expect(IDENTIFY_SIZE as u64)?.fetch(IDENTIFY_SIZE as u32))
            }
            AdminOpcode::NAMESPACE_ATTACHMENT if selected <= 1 => {
                Ok(data.expect(IDENTIFY_SIZE as u64)?.fetch(IDENTIFY_SIZE as u32))
            }
            AdminOpcode::FIRMWARE_IMAGE_DOWNLOAD => {
                let length = (u64::from(command.cdw10()) + 1) * 4;
                let most = self.subsystems.get(index).map_or(0, |subsystem| subsystem.firmware.image_max());
                if length > self.limits.max_transfer().min(most as u64) {
                    return Err(INVALID_FIELD);
                }
                Ok(data.expect(length)?.fetch(length as u32))
            }
            AdminOpcode::FIRMWARE_COMMIT => {
                data.none()?;
                self.commit(index, cntlid, command)?;
                Ok(Step::Respond(success))
            }
            _ => Err(INVALID_FIELD),
        }
    }

    /// What comes of a command whose data are here.
    pub(super) fn managed(&mut self, queue: &Queue, command: &Command, bytes: &[u8]) -> Result<Step, Status> {
        let gone = Status::ABORTED_SQ_DELETION;
        let cntlid = queue.controller.ok_or(gone)?;
        let index = self.controllers.get(&cntlid).and_then(|controller| controller.subsystem).ok_or(gone)?;
        let success = Completion::new(0, command.cid(), Status::SUCCESS);
        let completion = match AdminOpcode(command.opcode()) {
            AdminOpcode::SECURITY_SEND => return self.secured(index, cntlid, command, bytes),
            AdminOpcode::NAMESPACE_MANAGEMENT => {
                let page = bytes.first_chunk().ok_or(INVALID_FIELD)?;
                success.with_cdw0(self.create(index, &NamespaceView(page))?)
            }
            AdminOpcode::NAMESPACE_ATTACHMENT => {
                self.attach_namespace(index, cntlid, command, bytes)?;
                success
            }
            _ => {
                self.download(index, cntlid, command.cdw11(), bytes)?;
                success
            }
        };
        Ok(Step::Respond(completion))
    }

    /// Formats one namespace, or all: they have this format from now on, and nothing of their data is left.
    fn format(&mut self, index: usize, cntlid: u16, command: &Command) -> Result<Vec<Change>, Status> {
        let subsystem = self.subsystems.get_mut(index).ok_or(INVALID_NAMESPACE)?;
        let which: Vec<u32> = match command.nsid() {
            NSID_ALL => {
                (1..=subsystem.namespace_count()).filter(|id| subsystem.namespace(*id).is_some()).collect()
            }
            nsid => vec![nsid],
        };
        let dword = command.cdw10();
        let number = (dword & 0xf | (dword >> 12 & 3) << 4) as usize;
        let kind = (dword >> 5 & 7) as u8;
        let mut changes = Vec::new();
        for nsid in &which {
            subsystem.check_format_locks(*nsid)?;
            let namespace = subsystem.namespace_mut(*nsid).ok_or(INVALID_NAMESPACE)?;
            let format = namespace.format(number).ok_or(INVALID_FORMAT)?;
            check_format(format, kind, dword & EXTENDED != 0)?;
        }
        for nsid in &which {
            let namespace = subsystem.namespace_mut(*nsid).ok_or(INVALID_NAMESPACE)?;
            let format = namespace.format(number).ok_or(INVALID_FORMAT)?;
            changes.extend(namespace.become_formatted(number, format, kind)?);
        }
        for nsid in which {
            self.namespace_changed_but(index, nsid, Some(cntlid));
        }
        Ok(changes)
    }

    /// Makes a namespace that is attached to nobody. Its id.
    fn create(&mut self, index: usize, page: &NamespaceView<'_>) -> Result<u32, Status> {
        let subsystem = self.subsystems.get_mut(index).ok_or(INVALID_FIELD)?;
        // NLBAF is not the host's to say, and the first format of a namespace is its own: here there is none yet.
        let number = usize::from(page.flbas() & 0xf | (page.flbas() >> 5 & 3) << 4);
        let format = *FORMATS.get(number).ok_or(INVALID_FORMAT)?;
        check_format(format, page.dps() & 7, u32::from(page.flbas()) & EXTENDED != 0)?;
        if page.nsze() == 0 || page.ncap() != page.nsze() {
            return Err(INVALID_FIELD);
        }
        let size =
            page.nsze().checked_shl(format.lbads.into()).filter(|size| size >> format.lbads == page.nsze());
        let mut options = NamespaceOptions::new(
            size.ok_or(Status::NAMESPACE_INSUFFICIENT_CAPACITY.with_dnr(true))?,
            1 << format.lbads,
        );
        (options.metadata, options.protection) = (format.ms, page.dps() & 7);
        options.check().map_err(|_| Status::NAMESPACE_INSUFFICIENT_CAPACITY.with_dnr(true))?;
        let nqn = subsystem.nqn.clone();
        let nsid = self.free_nsid(&nqn, None).map_err(|_| Status::NAMESPACE_ID_UNAVAILABLE.with_dnr(true))?;
        let subsystem = self.subsystems.get_mut(index).ok_or(INVALID_FIELD)?;
        subsystem.births += 1;
        let mut namespace = Namespace::new(&options, usize::MAX, subsystem.births);
        namespace.attached = false;
        if let Some(place) = subsystem.place(nsid) {
            *place = Some(namespace);
        }
        self.births.push(Birth { nqn, nsid, options });
        Ok(nsid)
    }

    fn delete(&mut self, index: usize, cntlid: u16, nsid: u32) -> Result<(), Status> {
        let subsystem = self.subsystems.get_mut(index).ok_or(INVALID_NAMESPACE)?;
        let all = nsid == NSID_ALL;
        let ids = if all { 1..=subsystem.namespace_count() } else { nsid..=nsid };
        for id in ids {
            let subsystem = self.subsystems.get_mut(index).ok_or(INVALID_NAMESPACE)?;
            let taken = subsystem.place(id).and_then(Option::take);
            match taken {
                Some(namespace) => {
                    self.deaths.push(namespace.store);
                    self.namespace_changed_but(index, id, Some(cntlid));
                }
                None if all => {}
                None => return Err(INVALID_NAMESPACE),
            }
        }
        Ok(())
    }

    /// Attaches or detaches a namespace. The list is of controllers, and this one has to be in it.
    fn attach_namespace(
        &mut self,
        index: usize,
        cntlid: u16,
        command: &Command,
        list: &[u8],
    ) -> Result<(), Status> {
        let ids: Vec<u16> = list.as_chunks::<2>().0.iter().map(|id| u16::from_le_bytes(*id)).collect();
        let named = ids.split_first().and_then(|(count, ids)| ids.get(..usize::from(*count)));
        if !named.is_some_and(|named| named.contains(&cntlid)) {
            return Err(Status::CONTROLLER_LIST_INVALID.with_dnr(true));
        }
        let attached = command.cdw10() & 0xf == 0;
        let subsystem = self.subsystems.get_mut(index).ok_or(INVALID_NAMESPACE)?;
        let namespace = subsystem.place(command.nsid()).and_then(Option::as_mut).ok_or(INVALID_NAMESPACE)?;
        match (namespace.attached, attached) {
            (true, true) => return Err(Status::NAMESPACE_ALREADY_ATTACHED.with_dnr(true)),
            (false, false) => return Err(Status::NAMESPACE_NOT_ATTACHED.with_dnr(true)),
            _ => namespace.attached = attached,
        }
        self.namespace_changed_but(index, command.nsid(), Some(cntlid));
        Ok(())
    }
}

/// Whether protection of this type, and metadata where they are, are possible in a format.
fn check_format(format: LbaFormat, kind: u8, is_extended: bool) -> Result<(), Status> {
    if kind > 3 || kind > 0 && format.ms < 8 || is_extended != (format.ms > 0) {
        return Err(INVALID_FORMAT);
    }
    Ok(())
}

impl Namespace {
    /// The format of that number: the first one is that which it was made with.
    pub(super) fn format(&self, number: usize) -> Option<LbaFormat> {
        match number.checked_sub(1) {
            None => Some(self.made_as),
            // Zones and keys are as they were made.
            Some(number) => FORMATS.get(number).copied().filter(|_| self.csi() == CSI_NVM),
        }
    }

    /// It is of this format from now on, about as large as before, and all of its blocks are such that nobody wrote. None if it has keys,
    /// and no blocks.
    fn become_formatted(
        &mut self,
        number: usize,
        format: LbaFormat,
        kind: u8,
    ) -> Result<Option<Change>, Status> {
        let store = self.room.checked_shr(self.block_shift.into()).unwrap_or(0).saturating_mul(self.block());
        let size = self.blocks << self.block_shift;
        (self.block_shift, self.metadata, self.protection) = (format.lbads, format.ms, kind);
        self.format = number as u8;
        self.room = (store / self.block()) << self.block_shift;
        self.blocks = size.min(self.room) >> self.block_shift;
        self.marks.clear(0, u64::MAX);
        if let Some(zones) = &mut self.zones {
            zones.clear();
        }
        if let Some(keys) = &mut self.keys {
            *keys = Keys::new(size);
            return Ok(None);
        }
        let extent = self.extent(0, self.blocks)?;
        Ok(Some(self.blank(extent)))
    }
}

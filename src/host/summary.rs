//! What bring-up has learnt of a controller: for any thread, without the lock that the controller is used under. A program asks for
//! it from callbacks of its I/O, while another thread may hold that lock for long.
//!
//! A [`Summary`] never changes; a reset makes another one. [`Profile`] is where the current one is found.

use super::{
    Error, admin::Page, bring_up::Properties, controller::LARGEST_TRANSFER, published::SharedPage,
    shared::Shared,
};
use once_cell::sync::OnceCell;
use parking_lot::Mutex;
use spec::{
    identify::{CMIC_ANA, CTRATT_EXTENDED_LBA_FORMATS, ControllerView},
    registers,
    zoned::ZonedControllerView,
};
use std::sync::Arc;

/// Data block descriptors that this host puts into one command at most.
const MAX_DESCRIPTORS: u64 = 16;

/// What is known of a controller on any thread.
pub struct Profile {
    summary: Mutex<Arc<Summary>>,
    identify: SharedPage,
    /// Once there were such data.
    nvm: OnceCell<SharedPage>,
    zoned: OnceCell<SharedPage>,
    key_value: OnceCell<SharedPage>,
    shared: Arc<Shared>,
}

impl Profile {
    /// Of a controller that nothing is known of yet.
    pub(super) fn new(shared: &Arc<Shared>) -> Result<Self, Error> {
        let identify = SharedPage::new().ok_or(Error::NoMemory)?;
        let [nvm, zoned, key_value] = [const { OnceCell::new() }; 3];
        Ok(Self { summary: Mutex::default(), identify, nvm, zoned, key_value, shared: shared.clone() })
    }

    /// Bring-up learnt this.
    pub(super) fn renew(&self, summary: Summary) {
        self.identify.write(&summary.identify[..]);
        renew_page(&self.nvm, summary.nvm.as_deref());
        renew_page(&self.zoned, summary.zoned.as_deref());
        renew_page(&self.key_value, summary.key_value.as_deref());
        let old = std::mem::replace(&mut *self.summary.lock(), Arc::new(summary));
        drop(old);
    }

    /// What the last bring-up learnt.
    pub fn summary(&self) -> Arc<Summary> {
        self.summary.lock().clone()
    }

    /// The Identify Controller data as the controller sent them. They stay where they are.
    pub fn identify_data(&self) -> &SharedPage {
        &self.identify
    }

    /// The Identify Controller data of the NVM command set as the controller sent them, where it has them. They stay where they are.
    pub fn nvm_data(&self) -> Option<&SharedPage> {
        self.nvm.get().filter(|_| self.summary.lock().nvm.is_some())
    }

    /// The same of the Zoned Namespace Command Set.
    pub fn zoned_data(&self) -> Option<&SharedPage> {
        self.zoned.get().filter(|_| self.summary.lock().zoned.is_some())
    }

    /// The same of the Key Value Command Set.
    pub fn key_value_data(&self) -> Option<&SharedPage> {
        self.key_value.get().filter(|_| self.summary.lock().key_value.is_some())
    }

    /// Whether the controller has failed.
    pub fn has_failed(&self) -> bool {
        self.shared.has_failed()
    }
}

/// Writes the data of a command set where C finds them. Without memory for them there are none.
fn renew_page(page: &OnceCell<SharedPage>, data: Option<&Page>) {
    if data.is_some() || page.get().is_some() {
        let page = page.get_or_try_init(|| SharedPage::new().ok_or(())).ok();
        page.into_iter().for_each(|page| page.write(data.map_or(&[][..], |data| &data[..])));
    }
}

/// What a controller is.
#[derive(Default)]
pub struct Summary {
    pub(super) controller_id: u16,
    pub(super) is_discovery: bool,
    pub(super) numa_node: Option<u32>,
    pub(super) io_queues: u16,
    /// The ANA log is not this host's to read.
    pub(super) leaves_access_log: bool,
    /// The Identify Controller data of the NVM command set, if the controller has them.
    pub(super) nvm: Option<Box<Page>>,
    /// The same of the Zoned Namespace Command Set.
    pub(super) zoned: Option<Box<Page>>,
    /// The same of the Key Value Command Set.
    pub(super) key_value: Option<Box<Page>>,
    /// Zone Append is among the commands that the controller supports.
    pub(super) has_append: bool,
    pub(super) properties: Properties,
    pub(super) identify: Box<Page>,
}

impl Summary {
    /// The controller id that the answer to Connect had.
    pub fn controller_id(&self) -> u16 {
        self.controller_id
    }

    /// Whether it is a discovery controller: these have no namespaces and no I/O queues.
    pub fn is_discovery(&self) -> bool {
        self.is_discovery
    }

    /// The NUMA node of its RDMA device, if that has one.
    pub fn numa_node(&self) -> Option<u32> {
        self.numa_node
    }

    /// The CAP property.
    pub fn capabilities(&self) -> registers::Cap {
        self.properties.cap
    }

    /// The arbitration mechanism that the controller was enabled with, as CC.AMS names it.
    pub fn arbitration_mechanism(&self) -> u8 {
        self.properties.cc.ams()
    }

    /// The command sets that the controller was enabled with, as CC.CSS names them.
    pub fn command_set(&self) -> u8 {
        self.properties.cc.css()
    }

    /// The VS property.
    pub fn version(&self) -> registers::Vs {
        self.properties.vs
    }

    /// How many I/O queues the controller grants.
    pub fn io_queues(&self) -> u16 {
        self.io_queues
    }

    /// Whether this host reads a log of how namespaces are reached: the controller has one (CMIC bit 3), and it is not left to the
    /// program.
    pub(super) fn has_access_log(&self) -> bool {
        !self.is_discovery && !self.leaves_access_log && self.view().cmic() & CMIC_ANA != 0
    }

    /// The Identify Controller data, by field.
    pub fn view(&self) -> ControllerView<'_> {
        ControllerView(&self.identify)
    }

    /// The highest namespace id that there can be; 0 for a discovery controller.
    pub fn namespace_count(&self) -> u32 {
        if self.is_discovery { 0 } else { self.view().nn() }
    }

    /// Whether there may be LBA formats beyond the first 16, which this host says that it knows.
    pub fn has_extended_lba_formats(&self) -> bool {
        !self.is_discovery && self.view().ctratt() & CTRATT_EXTENDED_LBA_FORMATS != 0
    }

    /// Bytes that one command may transfer by MDTS (Base 2.0, 5.17.2.1); what is longer is split.
    pub fn largest_transfer(&self) -> u32 {
        self.properties.largest_transfer(&self.view())
    }

    /// Bytes that one Zone Append may transfer (ZASL; ZNS 1.1, 4.1.5.2); 0 for a controller that says nothing of zoned namespaces.
    pub fn largest_append(&self) -> u32 {
        let Some(zoned) = &self.zoned else { return 0 };
        let limit = ZonedControllerView(zoned).most_appended(self.properties.cap.mpsmin());
        limit
            .and_then(|limit| u32::try_from(limit).ok())
            .unwrap_or(u32::MAX)
            .min(self.largest_transfer())
            .min(LARGEST_TRANSFER)
    }

    /// Whether the controller supports Zone Append.
    pub fn has_append(&self) -> bool {
        self.has_append
    }

    /// Bytes of data that an I/O command capsule may carry right behind its command.
    pub fn in_capsule_data(&self) -> u32 {
        let view = self.view();
        if view.icdoff() != 0 {
            return 0; // the data would not be adjacent to the command
        }
        u32::try_from(view.in_capsule_data_size()).unwrap_or(u32::MAX)
    }

    /// Data block descriptors that one command may have: what fits into its capsule, no more than the controller says
    /// (MSDBD; Fabrics 1.1, 4.1), and no more than 16.
    pub fn max_descriptors(&self) -> u16 {
        let view = self.view();
        let in_capsule = view.in_capsule_data_size() / 16;
        let claimed = match view.msdbd() {
            0 => MAX_DESCRIPTORS,
            most => u64::from(most),
        };
        u16::try_from(in_capsule.min(claimed).clamp(1, MAX_DESCRIPTORS)).unwrap_or(1)
    }
}

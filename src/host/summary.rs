//! What bring-up has learnt of a controller and what does not change: for any thread, without the lock that the controller is used
//! under. A program asks for it from callbacks of its I/O, while another thread may hold that lock for long.

use super::{admin::Page, bring_up::Properties, shared::Shared};
use spec::{
    identify::{ControllerView, IDENTIFY_SIZE},
    registers,
};
use std::sync::Arc;

/// Data block descriptors that this host puts into one command at most.
const MAX_DESCRIPTORS: u64 = 16;

/// What a controller is, and whether it has failed.
pub struct Summary {
    pub(super) controller_id: u16,
    pub(super) is_discovery: bool,
    pub(super) numa_node: Option<u32>,
    pub(super) properties: Properties,
    pub(super) identify: Box<Page>,
    pub(super) shared: Arc<Shared>,
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

    /// The VS property.
    pub fn version(&self) -> registers::Vs {
        self.properties.vs
    }

    /// The Identify Controller data as the controller sent them. Their address stays the same.
    pub fn identify_data(&self) -> &[u8; IDENTIFY_SIZE] {
        &self.identify
    }

    /// The Identify Controller data, by field.
    pub fn view(&self) -> ControllerView<'_> {
        ControllerView(&self.identify)
    }

    /// The highest namespace id that there can be; 0 for a discovery controller.
    pub fn namespace_count(&self) -> u32 {
        if self.is_discovery { 0 } else { self.view().nn() }
    }

    /// Bytes that one command may transfer by MDTS (Base 2.0, 5.17.2.1); what is longer is split.
    pub fn largest_transfer(&self) -> u32 {
        self.properties.largest_transfer(&self.view())
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

    /// Whether the controller has failed.
    pub fn has_failed(&self) -> bool {
        self.shared.has_failed()
    }
}

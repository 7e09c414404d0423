//! Namespaces that come, go and change while hosts use them.
//!
//! What must hold: a store is named by no more than one namespace, ever; a namespace that comes has identifiers of its own,
//! also where another had its id before.

use spec::identify::CSI_NVM;

use super::{Change, Controller, Core, Namespace, Subsystem, UnknownSubsystem};
use crate::options::NamespaceOptions;

/// What cannot be done to namespaces.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum NamespaceError {
    /// No such subsystem.
    #[error(transparent)]
    Subsystem(#[from] UnknownSubsystem),
    /// No such namespace.
    #[error("there is no namespace {0}")]
    Unknown(u32),
    /// There is one with this id, or there are never any.
    #[error("namespace id {0} is not free: ids up to NN are, where 'nn=N' or 'ns=none' left some")]
    NotFree(u32),
    /// All ids are taken.
    #[error("no namespace id is free: leave some with 'nn=N' or 'ns=none'")]
    Full,
    /// A size that is impossible.
    #[error(
        "a size of {size} bytes is not possible: expected a multiple of the block size, not 0, and up to {most}"
    )]
    Size {
        /// The size.
        size: u64,
        /// The largest one that the namespace was given memory for.
        most: u64,
    },
    /// It is made of zones, or of keys.
    #[error("namespace {0} is made of zones or keys, and keeps its size")]
    Fixed(u32),
    /// No such zone.
    #[error("no zone begins at block {0}")]
    Zone(u64),
    /// No such ANA group.
    #[error("there is no ANA group {0}: expected 1 to {most}", most = super::ANA_GROUPS)]
    Group(u32),
}

impl Core {
    pub(super) fn index_of(&self, nqn: &str) -> Result<usize, UnknownSubsystem> {
        let index = self.subsystems.iter().position(|subsystem| subsystem.nqn == nqn);
        index.ok_or_else(|| UnknownSubsystem(nqn.to_owned()))
    }

    /// The id that a namespace would get: this one if it is free, or the lowest that is.
    ///
    /// # Errors
    /// [`NamespaceError`].
    pub fn free_nsid(&self, nqn: &str, wanted: Option<u32>) -> Result<u32, NamespaceError> {
        let subsystem = self.subsystems.get(self.index_of(nqn)?);
        let mut free = (1..).zip(subsystem.iter().flat_map(|subsystem| &subsystem.namespaces));
        let found = free.find(|(nsid, place)| place.is_none() && wanted.is_none_or(|wanted| wanted == *nsid));
        found.map(|(nsid, _)| nsid).ok_or(wanted.map_or(NamespaceError::Full, NamespaceError::NotFree))
    }

    /// A namespace comes, with a store of its own. Its id.
    ///
    /// # Errors
    /// [`NamespaceError`].
    pub fn add_namespace(
        &mut self,
        nqn: &str,
        wanted: Option<u32>,
        options: &NamespaceOptions,
        store: usize,
    ) -> Result<u32, NamespaceError> {
        let nsid = self.free_nsid(nqn, wanted)?;
        let index = self.index_of(nqn)?;
        let Some(subsystem) = self.subsystems.get_mut(index) else { return Ok(nsid) };
        subsystem.births += 1;
        let namespace = Namespace::new(options, store, subsystem.births);
        if let Some(place) = subsystem.place(nsid) {
            *place = Some(namespace);
        }
        self.namespace_changed(index, nsid);
        Ok(nsid)
    }

    /// A namespace has another size, with its data as far as there is room for it. What is new reads as zeros: the part of the
    /// store to be changed, if any.
    ///
    /// # Errors
    /// [`NamespaceError`].
    pub fn resize_namespace(
        &mut self,
        nqn: &str,
        nsid: u32,
        size: u64,
    ) -> Result<Option<Change>, NamespaceError> {
        let index = self.index_of(nqn)?;
        let namespace = self.subsystems.get_mut(index).and_then(|subsystem| subsystem.namespace_mut(nsid));
        let namespace = namespace.ok_or(NamespaceError::Unknown(nsid))?;
        if namespace.csi() != CSI_NVM {
            return Err(NamespaceError::Fixed(nsid));
        }
        let (shift, most) = (namespace.block_shift, namespace.room);
        if size == 0 || size > most || !size.is_multiple_of(1 << shift) {
            return Err(NamespaceError::Size { size, most });
        }
        let before = std::mem::replace(&mut namespace.blocks, size >> shift);
        let new = namespace.blocks.saturating_sub(before);
        namespace.marks.clear(namespace.blocks.min(before), u64::MAX);
        let extent = (new > 0).then(|| namespace.extent(before, new).ok()).flatten();
        let change = extent.map(|extent| namespace.blank(extent));
        if namespace.blocks != before {
            self.namespace_changed(index, nsid);
        }
        Ok(change)
    }

    /// A namespace goes. Its store is free when nothing is under way there any more.
    ///
    /// # Errors
    /// [`NamespaceError`].
    pub fn remove_namespace(&mut self, nqn: &str, nsid: u32) -> Result<usize, NamespaceError> {
        let index = self.index_of(nqn)?;
        let place = self.subsystems.get_mut(index).and_then(|subsystem| subsystem.place(nsid));
        let namespace = place.and_then(Option::take).ok_or(NamespaceError::Unknown(nsid))?;
        self.namespace_changed(index, nsid);
        Ok(namespace.store)
    }

    fn namespace_changed(&mut self, index: usize, nsid: u32) {
        self.namespace_changed_but(index, nsid, None);
    }

    /// Tells the subsystem's controllers, but for the one whose host did it.
    pub(super) fn namespace_changed_but(&mut self, index: usize, nsid: u32, but: Option<u16>) {
        let its = |controller: &&mut Controller| {
            controller.subsystem == Some(index) && Some(controller.cntlid) != but
        };
        for controller in self.controllers.values_mut().filter(its) {
            controller.namespace_changed(nsid, &mut self.releases);
        }
    }
}

impl Subsystem {
    /// The place of a namespace, attached or not.
    pub(super) fn place(&mut self, nsid: u32) -> Option<&mut Option<Namespace>> {
        let index = usize::try_from(nsid.checked_sub(1)?).ok()?;
        self.namespaces.get_mut(index)
    }
}

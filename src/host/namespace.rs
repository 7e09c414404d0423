//! Namespaces as the program sees them: what Identify said, checked.

use super::{
    Error,
    admin::{BUFFER_SIZE, Page},
};
use once_cell::sync::OnceCell;
use spec::{
    identify::{CSI_NVM, IDENTIFY_SIZE},
    namespace::{NamespaceId, NamespaceView, namespace_descriptors},
};

/// A namespace of a controller. It stays valid, if inactive, until the controller is detached (T162).
#[derive(Debug)]
pub struct Namespace {
    id: u32,
    geometry: Option<Geometry>,
    /// The Identify data up to their last byte that is not zero.
    data: Box<[u8]>,
    /// All of them, once the program has looked.
    page: OnceCell<Box<[Page]>>,
}

/// What I/O must know of an active namespace.
#[derive(Debug, Clone, Copy)]
pub(super) struct Geometry {
    sectors: u64,
    sector_size: u32,
    command_set: u8,
}

impl Geometry {
    /// The geometry of a namespace with this Identify data and, if the controller has them, these identification
    /// descriptors. None if it is inactive.
    pub(super) fn of(
        data: &[u8; IDENTIFY_SIZE],
        descriptors: Option<&[u8; IDENTIFY_SIZE]>,
    ) -> Result<Option<Self>, Error> {
        let view = NamespaceView(data);
        if view.nsze() == 0 {
            return Ok(None); // Base 2.0, 5.17.2.1: an inactive one is all zeros
        }
        let bad = |why: String| Error::BadData { what: "Identify Namespace data", why };
        let format =
            view.format().ok_or_else(|| bad(format!("FLBAS names format {}", view.format_index())))?;
        let sector_size = view
            .block_size()
            .filter(|size| (512..=MAXIMUM_SECTOR_SIZE).contains(size))
            .ok_or_else(|| bad(format!("LBADS is {}", format.lbads)))?;
        if view.nsze().checked_mul(u64::from(sector_size)).is_none() {
            return Err(bad(format!("NSZE is {} blocks of {sector_size} bytes", view.nsze())));
        }
        let command_set = descriptors
            .and_then(|descriptors| {
                namespace_descriptors(descriptors).find_map(|descriptor| match descriptor {
                    Ok(NamespaceId::Csi(csi)) => Some(csi),
                    _ => None,
                })
            })
            .unwrap_or(CSI_NVM);
        Ok(Some(Self { sectors: view.nsze(), sector_size, command_set }))
    }
}

impl Namespace {
    /// A namespace that the controller does not have now.
    pub(super) fn inactive(id: u32) -> Self {
        Self { id, geometry: None, data: Box::default(), page: OnceCell::new() }
    }

    /// An active namespace, and its Identify data up to their last byte that is not zero.
    pub(super) fn new(id: u32, geometry: Geometry, data: &[u8]) -> Self {
        Self { id, geometry: Some(geometry), data: data.into(), page: OnceCell::new() }
    }

    /// The namespace id.
    pub fn id(&self) -> u32 {
        self.id
    }

    /// Whether the controller has it.
    pub fn is_active(&self) -> bool {
        self.geometry.is_some()
    }

    /// The bytes of a logical block, 0 if it is inactive.
    #[inline]
    pub fn sector_size(&self) -> u32 {
        self.geometry.map_or(0, |geometry| geometry.sector_size)
    }

    /// The number of logical blocks.
    pub fn sectors(&self) -> u64 {
        self.geometry.map_or(0, |geometry| geometry.sectors)
    }

    /// The size in bytes.
    pub fn size(&self) -> u64 {
        self.sectors().saturating_mul(u64::from(self.sector_size()))
    }

    /// The Identify Namespace data as the controller sent them, zeros if it is inactive. Their address stays the same.
    /// None if there is no memory for them.
    pub fn identify_data(&self) -> Option<&[u8; IDENTIFY_SIZE]> {
        static ZEROS: Page = Page([0; BUFFER_SIZE]);
        if self.data.is_empty() {
            return Some(&ZEROS);
        }
        let page = self.page.get_or_try_init(|| Page::with(&self.data).ok_or(())).ok()?;
        page.first().map(|page| &page.0)
    }

    /// The command set identifier.
    pub fn csi(&self) -> u8 {
        self.geometry.map_or(CSI_NVM, |geometry| geometry.command_set)
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        // Its address may come to be another's.
        crate::epoch::advance();
    }
}

/// Blocks above this size cannot be carried by a keyed SGL descriptor's 24-bit length in any useful number.
const MAXIMUM_SECTOR_SIZE: u32 = 1 << 20;

#[cfg(test)]
mod tests {
    use super::*;
    use spec::namespace::{LbaFormat, NamespaceImage};

    fn geometry(blocks: u64, lbads: u8) -> Result<Option<Geometry>, Error> {
        let mut image = NamespaceImage::default();
        image.set_nsze(blocks).set_lba_format(0, LbaFormat { ms: 0, lbads, rp: 0 });
        Geometry::of(&image.0, None)
    }

    #[test]
    fn geometry_from_the_wire_is_checked() {
        let namespace = Namespace::new(3, geometry(1000, 12).unwrap().unwrap(), &[]);
        assert_eq!((namespace.sectors(), namespace.sector_size(), namespace.size()), (1000, 4096, 4_096_000));
        assert!(namespace.is_active());
        for (blocks, lbads) in [(1, 0), (1, 8), (1, 21), (1, 63), (1, 255), (u64::MAX, 9)] {
            let result = geometry(blocks, lbads);
            assert!(matches!(result, Err(Error::BadData { .. })), "{blocks} blocks of 2^{lbads}");
        }
        assert!(geometry(0, 9).unwrap().is_none());
    }
}

//! Namespaces as the program sees them: what Identify said, checked.

use super::{
    Error,
    access::Access,
    namespaces::Data,
    published::{Published, SharedPage},
};
use once_cell::sync::OnceCell;
use parking_lot::Mutex;
use spec::{
    identify::{CSI_KEY_VALUE, CSI_NVM, CSI_ZONED, IDENTIFY_SIZE},
    namespace::{NamespaceId, NamespaceView, NvmNamespaceView, namespace_descriptors},
    zoned::ZonedNamespaceView,
};
use std::sync::atomic::{AtomicPtr, AtomicU64, Ordering};

/// A namespace of a controller. It stays valid, if inactive, until the controller is detached (T162); what it says may change while
/// other threads ask.
#[derive(Debug)]
pub struct Namespace {
    id: u32,
    contents: Published<WORDS>,
    /// The Identify data up to their last byte that is not zero.
    data: Mutex<Box<[u8]>>,
    /// All of them, once the program has looked.
    page: OnceCell<SharedPage>,
    /// The data of its command set in the same way, if the controller has such.
    specific: Mutex<Option<Box<[u8]>>>,
    specific_page: OnceCell<SharedPage>,
    /// How it is reached: the group, and in the upper half the state.
    access: AtomicU64,
    /// What its command set says of its zones.
    zones: Published<ZONE_WORDS>,
    /// A word of the layer above: by custom its handle of the controller.
    tag: AtomicPtr<()>,
}

/// What a namespace takes from its controller.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ControllerFacts {
    /// ONCS: the optional commands that the controller knows (Base 2.0, 5.17.2.1).
    pub optional_commands: u16,
    /// VWC bit 0: whether there is a volatile write cache.
    pub has_write_cache: bool,
    /// Whether host identifiers have 128 bits (CTRATT bit 0).
    pub has_extended_host_ids: bool,
    /// Bytes that one command may transfer by MDTS.
    pub largest_transfer: u32,
}

/// What Identify says of an active namespace, checked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Facts {
    sectors: u64,
    sector_size: u32,
    metadata_size: u16,
    metadata_extends_data: bool,
    command_set: u8,
    protection_type: u8,
    protection_format: u8,
    boundary: u16,
    reservations: u8,
    deallocated: u8,
    uuid: Option<[u8; 16]>,
    nguid: Option<[u8; 16]>,
}

impl Facts {
    /// The command set identifier.
    pub(super) fn command_set(&self) -> u8 {
        self.command_set
    }

    /// Takes in what the command set's own Identify data say of a namespace with this Identify data.
    pub(super) fn learn_of_command_set(
        &mut self,
        data: &[u8; IDENTIFY_SIZE],
        specific: &[u8; IDENTIFY_SIZE],
    ) {
        if self.command_set == CSI_NVM {
            let format = NamespaceView(data).format_index();
            self.protection_format = NvmNamespaceView(specific).protection_format(format);
        }
    }

    /// The facts of a namespace with this Identify data and, if the controller has them, these identification
    /// descriptors. None if it is inactive.
    pub(super) fn of(
        data: &[u8; IDENTIFY_SIZE],
        descriptors: Option<&[u8; IDENTIFY_SIZE]>,
    ) -> Result<Option<Self>, Error> {
        let view = NamespaceView(data);
        if view.ncap() == 0 {
            return Ok(None); // Base 2.0, 5.17.2.1: an inactive one is all zeros
        }
        let bad = |why: String| Error::BadData { what: "Identify Namespace data", why };
        if view.nsze() == 0 {
            return Err(bad(format!("NSZE is 0 where NCAP is {}", view.ncap())));
        }
        let mut facts = Self {
            sectors: view.nsze(),
            sector_size: 0,
            metadata_size: 0,
            metadata_extends_data: false,
            command_set: CSI_NVM,
            protection_type: 0,
            protection_format: 0,
            boundary: view.noiob(),
            reservations: view.rescap(),
            deallocated: view.deallocated_reads(),
            uuid: None,
            nguid: None,
        };
        // What comes after an error of the list is not believed; what came before is.
        for descriptor in descriptors.into_iter().flat_map(namespace_descriptors).map_while(Result::ok) {
            match descriptor {
                NamespaceId::Csi(csi) => facts.command_set = csi,
                NamespaceId::Uuid(uuid) => facts.uuid = Some(*uuid),
                NamespaceId::Nguid(nguid) => facts.nguid = Some(*nguid),
                NamespaceId::Eui64(_) | NamespaceId::Other { .. } => {}
            }
        }
        if facts.command_set != CSI_KEY_VALUE {
            facts.learn_of_format(view).map_err(bad)?;
        }
        Ok(Some(facts))
    }

    /// Takes in how the namespace is cut into logical blocks: one of the Key Value Command Set has none.
    fn learn_of_format(&mut self, view: NamespaceView<'_>) -> Result<(), String> {
        let format = view.format().ok_or_else(|| format!("FLBAS names format {}", view.format_index()))?;
        self.sector_size = view
            .block_size()
            .filter(|size| (512..=MAXIMUM_SECTOR_SIZE).contains(size))
            .ok_or_else(|| format!("LBADS is {}", format.lbads))?;
        if view.nsze().checked_mul(u64::from(self.sector_size)).is_none() {
            return Err(format!("NSZE is {} blocks of {} bytes", view.nsze(), self.sector_size));
        }
        self.metadata_size = format.ms;
        self.metadata_extends_data = view.metadata_extends_data();
        // Without metadata there is no room for protection information (NVM Command Set 1.0, 5.2).
        self.protection_type = if format.ms == 0 { 0 } else { view.protection_type() };
        Ok(())
    }
}

/// What a namespace's command set says of its zones.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Zones {
    /// The logical blocks of a zone; 0 if there are no zones.
    pub size: u64,
    /// The most that may be active; 0 if there is no limit, or no zone.
    pub most_active: u32,
    /// The most that may be open, in the same way.
    pub most_open: u32,
}

/// The words of [`Zones`].
const ZONE_WORDS: usize = 2;

impl Zones {
    /// Of a namespace with these facts and data.
    fn of(facts: Option<Facts>, data: Data<'_>) -> Self {
        let Some(specific) = data.specific.filter(|_| facts.is_some_and(|f| f.command_set == CSI_ZONED))
        else {
            return Self::default();
        };
        let [common, specific] = [data.common, specific].map(|bytes| {
            let mut page = Box::new([0; IDENTIFY_SIZE]);
            page.iter_mut().zip(bytes).for_each(|(to, from)| *to = *from);
            page
        });
        let view = ZonedNamespaceView(&specific);
        Self {
            size: view.zone_size(NamespaceView(&common).format_index()),
            // Zero-based, and all ones are no limit.
            most_active: view.mar().wrapping_add(1),
            most_open: view.mor().wrapping_add(1),
        }
    }

    fn to_words(self) -> [u64; ZONE_WORDS] {
        [self.size, u64::from(self.most_active) | u64::from(self.most_open) << 32]
    }
}

/// What a namespace is now: facts, and what it takes from its controller.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Contents {
    controller: ControllerFacts,
    facts: Option<Facts>,
}

/// The words of [`Contents`], and which of them are the UUID and the NGUID.
const WORDS: usize = 8;
const UUID: std::ops::Range<usize> = 4..6;
const NGUID: std::ops::Range<usize> = 6..8;

impl Contents {
    fn to_words(self) -> [u64; WORDS] {
        let Self { controller, facts } = self;
        let id = |id: Option<[u8; 16]>| {
            let id = u128::from_ne_bytes(id.unwrap_or_default());
            // The bytes lie in memory as they came.
            if cfg!(target_endian = "little") {
                [id as u64, (id >> 64) as u64]
            } else {
                [(id >> 64) as u64, id as u64]
            }
        };
        let ([uuid, uuid_2], [nguid, nguid_2]) =
            (id(facts.and_then(|f| f.uuid)), id(facts.and_then(|f| f.nguid)));
        let flags = u64::from(facts.is_some())
            | u64::from(facts.is_some_and(|f| f.metadata_extends_data)) << 1
            | u64::from(facts.is_some_and(|f| f.uuid.is_some())) << 2
            | u64::from(facts.is_some_and(|f| f.nguid.is_some())) << 3
            | u64::from(controller.has_write_cache) << 4
            | u64::from(controller.has_extended_host_ids) << 5;
        let of = |value: fn(Facts) -> u64| facts.map_or(0, value);
        [
            of(|f| f.sectors),
            of(|f| u64::from(f.sector_size) | u64::from(f.metadata_size) << 32 | u64::from(f.boundary) << 48),
            of(|f| u64::from(f.command_set) | u64::from(f.protection_type) << 8)
                | of(|f| u64::from(f.reservations) << 16 | u64::from(f.deallocated) << 24)
                | of(|f| u64::from(f.protection_format) << 40)
                | flags << 32,
            u64::from(controller.largest_transfer) | u64::from(controller.optional_commands) << 32,
            uuid,
            uuid_2,
            nguid,
            nguid_2,
        ]
    }

    #[inline]
    fn of_words([sectors, sizes, bytes, controller, uuid, uuid_2, nguid, nguid_2]: [u64; WORDS]) -> Self {
        let flag = |nth: u32| bytes >> (32 + nth) & 1 != 0;
        let id = |one: u64, two: u64, there: bool| {
            let [one, two] = [one, two].map(u64::to_ne_bytes);
            let mut id = [0; 16];
            id.iter_mut().zip(one.into_iter().chain(two)).for_each(|(to, from)| *to = from);
            there.then_some(id)
        };
        let facts = Facts {
            sectors,
            sector_size: sizes as u32,
            metadata_size: (sizes >> 32) as u16,
            metadata_extends_data: flag(1),
            command_set: bytes as u8,
            protection_type: (bytes >> 8) as u8,
            protection_format: (bytes >> 40) as u8,
            boundary: (sizes >> 48) as u16,
            reservations: (bytes >> 16) as u8,
            deallocated: (bytes >> 24) as u8,
            uuid: id(uuid, uuid_2, flag(2)),
            nguid: id(nguid, nguid_2, flag(3)),
        };
        Self {
            controller: ControllerFacts {
                optional_commands: (controller >> 32) as u16,
                has_write_cache: flag(4),
                has_extended_host_ids: flag(5),
                largest_transfer: controller as u32,
            },
            facts: flag(0).then_some(facts),
        }
    }
}

impl Namespace {
    /// A namespace that the controller does not have now.
    pub(super) fn inactive(id: u32, controller: ControllerFacts) -> Self {
        Self::made(id, controller, None, Data::default())
    }

    /// An active namespace, and its data.
    pub(super) fn new(id: u32, controller: ControllerFacts, facts: Facts, data: Data<'_>) -> Self {
        Self::made(id, controller, Some(facts), data)
    }

    fn made(id: u32, controller: ControllerFacts, facts: Option<Facts>, data: Data<'_>) -> Self {
        let made = Self {
            id,
            contents: Published::new(Contents { controller, facts }.to_words()),
            data: Mutex::new(data.common.into()),
            page: OnceCell::new(),
            specific: Mutex::new(data.specific.map(Box::from)),
            specific_page: OnceCell::new(),
            access: AtomicU64::new(0),
            zones: Published::new(Zones::of(facts, data).to_words()),
            tag: AtomicPtr::default(),
        };
        made.set_access(Access::default());
        made
    }

    /// It is something else now, or inactive. One thread at a time.
    pub(super) fn rewrite(&self, controller: ControllerFacts, facts: Option<Facts>, data: Data<'_>) {
        {
            let mut kept = self.data.lock();
            *kept = data.common.into();
            if let Some(page) = self.page.get() {
                page.write(data.common);
            }
        }
        {
            let mut kept = self.specific.lock();
            *kept = data.specific.map(Box::from);
            if let Some(page) = self.specific_page.get() {
                page.write(data.specific.unwrap_or_default());
            }
        }
        self.zones.write(Zones::of(facts, data).to_words());
        self.contents.write(Contents { controller, facts }.to_words());
        // What qpairs remember of it is void.
        crate::epoch::advance();
    }

    #[inline]
    fn contents(&self) -> Contents {
        Contents::of_words(self.contents.read())
    }

    #[inline]
    fn facts(&self) -> Option<Facts> {
        self.contents().facts
    }

    /// A word of the layer above.
    pub fn tag(&self) -> *mut () {
        self.tag.load(Ordering::Relaxed)
    }

    /// Sets the word of the layer above.
    pub fn set_tag(&self, tag: *mut ()) {
        self.tag.store(tag, Ordering::Relaxed);
    }

    /// What it takes from its controller.
    pub fn controller(&self) -> ControllerFacts {
        self.contents().controller
    }

    /// The namespace id.
    pub fn id(&self) -> u32 {
        self.id
    }

    /// Whether the controller has it.
    pub fn is_active(&self) -> bool {
        self.facts().is_some()
    }

    /// The bytes of a logical block, 0 if it is inactive.
    #[inline]
    pub fn sector_size(&self) -> u32 {
        self.facts().map_or(0, |facts| facts.sector_size)
    }

    /// The number of logical blocks.
    pub fn sectors(&self) -> u64 {
        self.facts().map_or(0, |facts| facts.sectors)
    }

    /// The size in bytes.
    pub fn size(&self) -> u64 {
        self.sectors().saturating_mul(u64::from(self.sector_size()))
    }

    /// The Identify Namespace data as the controller sent them, zeros if it is inactive. They stay where they are. None if there
    /// is no memory for them.
    pub fn identify_data(&self) -> Option<&SharedPage> {
        let data = self.data.lock();
        let made = || {
            let page = SharedPage::new().ok_or(())?;
            page.write(&data);
            Ok::<_, ()>(page)
        };
        self.page.get_or_try_init(made).ok()
    }

    /// The Identify data of its command set, if it is of that command set and the controller has such; otherwise as
    /// [`Namespace::identify_data`].
    pub fn command_set_data(&self, csi: u8) -> Option<&SharedPage> {
        let kept = self.specific.lock();
        let data = kept.as_ref().filter(|_| self.is_active() && self.csi() == csi)?;
        let made = || {
            let page = SharedPage::new().ok_or(())?;
            page.write(data);
            Ok::<_, ()>(page)
        };
        self.specific_page.get_or_try_init(made).ok()
    }

    /// How it is reached.
    pub fn access(&self) -> Access {
        let access = self.access.load(Ordering::Relaxed);
        Access { group: access as u32, state: (access >> 32) as u8 }
    }

    pub(super) fn set_access(&self, Access { group, state }: Access) {
        self.access.store(u64::from(group) | u64::from(state) << 32, Ordering::Relaxed);
    }

    /// Its zones, where it is zoned and the controller says how.
    pub fn zones(&self) -> Zones {
        let [size, most] = self.zones.read();
        Zones { size, most_active: most as u32, most_open: (most >> 32) as u32 }
    }

    /// The command set identifier.
    pub fn csi(&self) -> u8 {
        self.facts().map_or(CSI_NVM, |facts| facts.command_set)
    }
}

/// What Identify says of the format and of what the namespace can do; zeros if it is inactive.
impl Namespace {
    /// The bytes of metadata of a logical block, whether they lie behind its data or apart from them.
    pub fn metadata_size(&self) -> u32 {
        self.facts().map_or(0, |facts| u32::from(facts.metadata_size))
    }

    /// Whether metadata are transferred with the data of each logical block (FLBAS bit 4).
    pub fn metadata_extends_data(&self) -> bool {
        self.facts().is_some_and(|facts| facts.metadata_extends_data)
    }

    /// The bytes that one logical block has in a buffer.
    pub fn extended_sector_size(&self) -> u32 {
        let metadata = if self.metadata_extends_data() { self.metadata_size() } else { 0 };
        self.sector_size().saturating_add(metadata)
    }

    /// The bytes that one logical block of a command with these flags has in a buffer: none of its protection information where the
    /// controller inserts and strips that (PRACT; NVM Command Set 1.0, 5.3) and it is all the metadata that there are.
    pub(super) fn transferred_size(&self, flags: u32) -> u32 {
        let is_stripped = flags & PRACT != 0
            && self.protection_type() != 0
            && self.metadata_size() == PROTECTION_INFORMATION;
        if is_stripped { self.sector_size() } else { self.extended_sector_size() }
    }

    /// The reference tag of a command from `lba` on, where one is checked (types 1 and 2; NVM Command Set 1.0, 5.3).
    pub(super) fn reference_tag(&self, lba: u64) -> Option<u32> {
        matches!(self.protection_type(), 1 | 2).then_some(lba as u32) // its lower half
    }

    /// The type of its protection information, 1 to 3; 0 if it has none (DPS bits 2:0).
    pub fn protection_type(&self) -> u8 {
        self.facts().map_or(0, |facts| facts.protection_type)
    }

    /// The format of its protection information: 0 has a guard of 16 bits, 1 of 32, 2 of 64.
    pub fn protection_format(&self) -> u8 {
        self.facts().map_or(0, |facts| facts.protection_format)
    }

    /// The logical blocks between two boundaries that an I/O should not cross (NOIOB); 0 if there are none.
    pub fn optimal_boundary(&self) -> u32 {
        self.facts().map_or(0, |facts| u32::from(facts.boundary))
    }

    /// What it can do of reservations (RESCAP).
    pub fn reservations(&self) -> u8 {
        self.facts().map_or(0, |facts| facts.reservations)
    }

    /// What a deallocated block reads as (DLFEAT bits 2:0): 0 it does not say, 1 zeros, 2 ones.
    pub fn deallocated_reads(&self) -> u8 {
        self.facts().map_or(0, |facts| facts.deallocated)
    }

    /// Its UUID, if the controller lists one among the identification descriptors.
    pub fn uuid(&self) -> Option<[u8; 16]> {
        self.facts()?.uuid
    }

    /// Its NGUID, as [`Namespace::uuid`].
    pub fn nguid(&self) -> Option<[u8; 16]> {
        self.facts()?.nguid
    }

    /// Where its UUID is, which stays there; None as long as it has none.
    pub fn uuid_address(&self) -> Option<*const u8> {
        self.uuid().map(|_| self.contents.address(UUID))
    }

    /// Where its NGUID is, as [`Namespace::uuid_address`].
    pub fn nguid_address(&self) -> Option<*const u8> {
        self.nguid().map(|_| self.contents.address(NGUID))
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        // Its address may come to be another's.
        crate::epoch::advance();
    }
}

/// Protection Information Action, a flag of I/O commands (Dword 12, bit 29).
const PRACT: u32 = 1 << 29;
/// The bytes of protection information with a 16-bit guard.
const PROTECTION_INFORMATION: u32 = 8;

/// Blocks above this size cannot be carried by a keyed SGL descriptor's 24-bit length in any useful number.
const MAXIMUM_SECTOR_SIZE: u32 = 1 << 20;

#[cfg(test)]
mod tests {
    use super::*;
    use spec::{
        namespace::{LbaFormat, NamespaceImage},
        zoned::ZonedNamespaceImage,
    };

    fn facts(blocks: u64, lbads: u8) -> Result<Option<Facts>, Error> {
        let mut image = NamespaceImage::default();
        image.set_nsze(blocks).set_ncap(blocks).set_lba_format(0, LbaFormat { ms: 0, lbads, rp: 0 });
        Facts::of(&image.0, None)
    }

    #[test]
    fn facts_from_the_wire_are_checked() {
        let namespace =
            Namespace::new(3, ControllerFacts::default(), facts(1000, 12).unwrap().unwrap(), Data::default());
        assert_eq!((namespace.sectors(), namespace.sector_size(), namespace.size()), (1000, 4096, 4_096_000));
        assert!(namespace.is_active());
        for (blocks, lbads) in [(1, 0), (1, 8), (1, 21), (1, 63), (1, 255), (u64::MAX, 9)] {
            let result = facts(blocks, lbads);
            assert!(matches!(result, Err(Error::BadData { .. })), "{blocks} blocks of 2^{lbads}");
        }
        assert!(facts(0, 9).unwrap().is_none());
        // What has no room is not there, and what has some has blocks.
        let mut image = NamespaceImage::default();
        image.set_nsze(8).set_lba_format(0, LbaFormat { ms: 0, lbads: 9, rp: 0 });
        assert_eq!(Facts::of(&image.0, None), Ok(None));
        image.set_nsze(0).set_ncap(8);
        assert!(matches!(Facts::of(&image.0, None), Err(Error::BadData { .. })));
    }

    #[test]
    fn the_format_of_protection_information_is_that_of_the_lba_format() {
        let mut image = NamespaceImage::default();
        image.set_nsze(8).set_ncap(8).set_nlbaf(33).set_flbas(2 << 5 | 1).set_dps(1);
        image.set_lba_format(33, LbaFormat { ms: 16, lbads: 12, rp: 0 });
        let mut specific = [0; IDENTIFY_SIZE];
        specific[12 + 33 * 4..][..4].copy_from_slice(&(2_u32 << 7 | 0x7f).to_le_bytes());
        specific[12 + 4..][..4].copy_from_slice(&(1_u32 << 7).to_le_bytes());
        let mut facts = Facts::of(&image.0, None).unwrap().unwrap();
        assert_eq!(facts.protection_format, 0);
        facts.learn_of_command_set(&image.0, &specific);
        let namespace = Namespace::new(1, ControllerFacts::default(), facts, Data::default());
        assert_eq!((namespace.protection_format(), namespace.extended_sector_size()), (2, 4096));
        // Another command set has other data there.
        let mut facts = Facts { command_set: 2, protection_format: 0, ..facts };
        facts.learn_of_command_set(&image.0, &specific);
        assert_eq!(facts.protection_format, 0);
    }

    #[test]
    fn formats_and_identifiers_are_read() {
        let mut image = NamespaceImage::default();
        image
            .set_nsze(8)
            .set_ncap(8)
            .set_nlbaf(1)
            .set_flbas(1 | 1 << 4)
            .set_dps(2)
            .set_noiob(64)
            .set_rescap(1)
            .set_dlfeat(9);
        image.set_lba_format(1, LbaFormat { ms: 8, lbads: 12, rp: 0 });
        let mut descriptors = [0; IDENTIFY_SIZE];
        descriptors[..4].copy_from_slice(&[3, 16, 0, 0]);
        descriptors[4..20].fill(7);
        descriptors[20..24].copy_from_slice(&[4, 1, 0, 0]);
        descriptors[24] = 2;
        let of = |image: &NamespaceImage, descriptors: &[u8; IDENTIFY_SIZE]| {
            let facts = Facts::of(&image.0, Some(descriptors)).unwrap().unwrap();
            Namespace::new(1, ControllerFacts::default(), facts, Data::default())
        };
        let namespace = of(&image, &descriptors);
        assert_eq!((namespace.sector_size(), namespace.metadata_size()), (4096, 8));
        assert_eq!((namespace.extended_sector_size(), namespace.size()), (4104, 8 * 4096));
        assert_eq!((namespace.protection_type(), namespace.optimal_boundary()), (2, 64));
        assert_eq!((namespace.reservations(), namespace.deallocated_reads(), namespace.csi()), (1, 1, 2));
        assert_eq!((namespace.uuid(), namespace.nguid()), (Some([7; 16]), None));
        // The list is believed up to its first error.
        descriptors[21] = 2;
        let namespace = of(&image, &descriptors);
        assert_eq!((namespace.uuid(), namespace.csi()), (Some([7; 16]), CSI_NVM));
        let inactive = Namespace::inactive(2, ControllerFacts::default());
        assert_eq!(
            (inactive.extended_sector_size(), inactive.protection_type(), inactive.uuid()),
            (0, 0, None)
        );
        // Metadata apart from the data do not lengthen a block; without metadata nothing is protected.
        image.set_flbas(1);
        assert_eq!(of(&image, &descriptors).extended_sector_size(), 4096);
        image.set_lba_format(1, LbaFormat { ms: 0, lbads: 12, rp: 0 });
        assert_eq!(of(&image, &descriptors).protection_type(), 0);
    }

    /// Every field has its place in the words, and none another's.
    #[test]
    fn contents_come_back_from_their_words() {
        let facts = Facts {
            sectors: u64::MAX - 1,
            sector_size: 0x8000_0001,
            metadata_size: 0x8001,
            metadata_extends_data: true,
            command_set: 0x81,
            protection_type: 3,
            protection_format: 2,
            boundary: 0xfffe,
            reservations: 0x7f,
            deallocated: 0x85,
            uuid: Some(std::array::from_fn(|at| at as u8)),
            nguid: None,
        };
        let controller = ControllerFacts {
            optional_commands: 0xfefd,
            has_write_cache: false,
            has_extended_host_ids: true,
            largest_transfer: 0xffff_fffe,
        };
        let other = Facts { metadata_extends_data: false, nguid: facts.uuid, uuid: None, ..facts };
        for (facts, cache) in [(Some(facts), true), (Some(other), false), (None, true)] {
            let contents =
                Contents { controller: ControllerFacts { has_write_cache: cache, ..controller }, facts };
            assert_eq!(Contents::of_words(contents.to_words()), contents);
        }
    }

    #[test]
    fn a_namespace_is_rewritten_where_it_is() {
        let descriptors = |byte: u8| {
            let mut descriptors = [0; IDENTIFY_SIZE];
            descriptors[..4].copy_from_slice(&[3, 16, 0, 0]);
            descriptors[4..20].fill(byte);
            descriptors
        };
        let of = |blocks, byte| {
            let mut image = NamespaceImage::default();
            image.set_nsze(blocks).set_ncap(blocks).set_lba_format(0, LbaFormat { ms: 0, lbads: 9, rp: 0 });
            (Facts::of(&image.0, Some(&descriptors(byte))).unwrap().unwrap(), image.0)
        };
        let (facts, data) = of(8, 5);
        let namespace =
            Namespace::new(1, ControllerFacts::default(), facts, Data { common: &data[..], specific: None });
        let (page, uuid) = (namespace.identify_data().unwrap(), namespace.uuid_address().unwrap());
        let (facts, data) = of(16, 6);
        namespace.rewrite(
            ControllerFacts::default(),
            Some(facts),
            Data { common: &data[..], specific: None },
        );
        assert_eq!((namespace.sectors(), namespace.uuid()), (16, Some([6; 16])));
        assert_eq!((page.read(), namespace.uuid_address()), (data, Some(uuid)));
        namespace.rewrite(ControllerFacts::default(), None, Data::default());
        assert!(!namespace.is_active() && namespace.uuid_address().is_none());
        assert_eq!(page.read(), [0; IDENTIFY_SIZE]);
    }

    #[test]
    fn zones_are_those_of_the_lba_format() {
        let mut image = NamespaceImage::default();
        image
            .set_nsze(8)
            .set_ncap(8)
            .set_nlbaf(1)
            .set_flbas(1)
            .set_lba_format(1, LbaFormat { ms: 0, lbads: 9, rp: 0 });
        let mut specific = ZonedNamespaceImage::default();
        specific.set_mar(5).set_mor(u32::MAX).set_format(0, 3, 0).set_format(1, 4, 0);
        let facts = |csi| Facts { command_set: csi, ..Facts::of(&image.0, None).unwrap().unwrap() };
        let data = Data { common: &image.0[..], specific: Some(&specific.0[..2833]) };
        let namespace = Namespace::new(1, ControllerFacts::default(), facts(CSI_ZONED), data);
        assert_eq!(namespace.zones(), Zones { size: 4, most_active: 6, most_open: 0 });
        // Another command set has other data there, and what went has none.
        namespace.rewrite(ControllerFacts::default(), Some(facts(CSI_NVM)), data);
        assert_eq!(namespace.zones(), Zones::default());
        namespace.rewrite(
            ControllerFacts::default(),
            Some(facts(CSI_ZONED)),
            Data { specific: None, ..data },
        );
        assert_eq!(namespace.zones(), Zones::default());
    }

    #[test]
    fn what_has_keys_has_no_blocks() {
        let mut image = NamespaceImage::default();
        image.set_nsze(8).set_ncap(8);
        assert!(matches!(Facts::of(&image.0, None), Err(Error::BadData { .. })));
        let mut descriptors = [0; IDENTIFY_SIZE];
        descriptors[..5].copy_from_slice(&[4, 1, 0, 0, CSI_KEY_VALUE]);
        let facts = Facts::of(&image.0, Some(&descriptors)).unwrap().unwrap();
        let namespace = Namespace::new(1, ControllerFacts::default(), facts, Data::default());
        assert_eq!((namespace.csi(), namespace.sector_size(), namespace.size()), (CSI_KEY_VALUE, 0, 0));
        assert!(namespace.is_active());
    }

    #[test]
    fn protection_information_is_stripped_and_tagged() {
        let mut image = NamespaceImage::default();
        image.set_nsze(8).set_ncap(8).set_flbas(1 << 4).set_dps(1);
        let of = |image: &NamespaceImage| {
            let facts = Facts::of(&image.0, None).unwrap().unwrap();
            Namespace::new(1, ControllerFacts::default(), facts, Data::default())
        };
        image.set_lba_format(0, LbaFormat { ms: 8, lbads: 9, rp: 0 });
        let namespace = of(&image);
        assert_eq!((namespace.transferred_size(0), namespace.transferred_size(PRACT)), (520, 512));
        assert_eq!(namespace.reference_tag(0x1_2345_6789), Some(0x2345_6789));
        // Other metadata stay when the protection information is stripped.
        image.set_lba_format(0, LbaFormat { ms: 16, lbads: 9, rp: 0 });
        assert_eq!(of(&image).transferred_size(PRACT), 528);
        image.set_dps(3);
        assert_eq!(of(&image).reference_tag(5), None, "type 3 checks none");
        image.set_dps(0);
        assert_eq!((of(&image).transferred_size(PRACT), of(&image).reference_tag(5)), (528, None));
    }
}

//! The namespaces of a controller, in memory that the program decides on and not the controller.
//!
//! Bring-up learns of each active namespace what Identify says of it and these data as they are. Of the data it keeps what comes before
//! their last byte that is not zero, all in one room: of a common namespace 132 to 384 bytes of the 4096. A [`Namespace`]
//! is made when the program asks for it, its page when the program looks at that; both stay where they are until
//! detach.
//!
//! Why nothing is fetched from the controller later: `spdk_nvme_ns_get_data` would then block on an admin command, run
//! other callbacks of the program meanwhile, and fail once the controller has failed; programs expect none of it. The
//! price is [`DATA_MAX`] for a controller that fills the pages of many namespaces.
//!
//! What must hold: memory for what a controller claims is asked for and may be refused; ids ascend; a program that asks
//! for each id up to NN, which is the controller's word, gets [`INACTIVE_MAX`] inactive namespaces and not 2^32.

use super::{
    Error,
    access::AccessLog,
    namespace::{ControllerFacts, Facts, Namespace},
};
use spec::identify::IDENTIFY_SIZE;
use std::{cell::Cell, collections::BTreeMap, rc::Rc, sync::Arc};

/// Namespace ids that are looked at in at most; the others of a longer list are left out.
pub(super) const NAMESPACES_MAX: usize = 65_536;
/// Bytes of Identify data that are kept in all.
const DATA_MAX: usize = 32 << 20;

/// Inactive namespaces that are made at most. Each takes memory, and a handle of those that all controllers share.
const INACTIVE_MAX: u32 = 4096;

/// The active namespaces of a controller, as it listed them once.
#[derive(Default)]
pub(super) struct Listing {
    controller: ControllerFacts,
    active: Vec<Active>,
    data: Vec<u8>,
}

/// The namespaces of one controller.
#[derive(Default)]
pub(super) struct Namespaces {
    listing: Cell<Rc<Listing>>,
    access: Cell<Rc<AccessLog>>,
    handed_out: Cell<BTreeMap<u32, Arc<Namespace>>>,
    /// How many of those were made although they are inactive.
    inactive: Cell<u32>,
    /// Whether one was refused.
    refused: Cell<bool>,
}

/// What is kept of an active namespace.
struct Active {
    id: u32,
    at: u32,
    length: u32,
    facts: Facts,
    /// The data of its command set, in the same room.
    specific: Option<(u32, u32)>,
}

/// What is kept of a namespace's data: those of Identify, and of its command set if there are such, without the zeros behind them.
#[derive(Clone, Copy, Default)]
pub(super) struct Data<'a> {
    pub(super) common: &'a [u8],
    pub(super) specific: Option<&'a [u8]>,
}

impl Listing {
    /// Of a controller about which this is known.
    pub(super) fn of(controller: ControllerFacts) -> Self {
        Self { controller, ..Self::default() }
    }

    /// Takes in an active namespace, whose id is higher than all before, with its Identify data and perhaps those of its command set.
    pub(super) fn add(
        &mut self,
        id: u32,
        facts: Facts,
        page: &[u8; IDENTIFY_SIZE],
        specific: Option<&[u8; IDENTIFY_SIZE]>,
    ) -> Result<(), Error> {
        self.add_kept(id, facts, Data { common: without_zeros(page), specific: specific.map(without_zeros) })
    }

    /// As [`Listing::add`], of data without the zeros behind them.
    fn add_kept(&mut self, id: u32, facts: Facts, kept: Data<'_>) -> Result<(), Error> {
        if self.active.last().is_some_and(|last| last.id >= id) {
            return Err(Error::Internal("namespaces are taken in by ascending ids"));
        }
        let length = kept.common.len() + kept.specific.map_or(0, <[u8]>::len);
        if self.data.len() + length > DATA_MAX {
            let why = format!("those of all namespaces have more than {DATA_MAX} bytes");
            return Err(Error::BadData { what: "Identify Namespace data", why });
        }
        self.active.try_reserve(1).map_err(|_| Error::NoMemory)?;
        self.data.try_reserve(length).map_err(|_| Error::NoMemory)?;
        let place =
            |value: usize| u32::try_from(value).map_err(|_| Error::Internal("namespace data at 4 GiB"));
        let (at, length) = (place(self.data.len())?, place(kept.common.len())?);
        let specific = match kept.specific {
            Some(specific) => Some((at.saturating_add(length), place(specific.len())?)),
            None => None,
        };
        self.active.push(Active { id, at, length, facts, specific });
        self.data.extend_from_slice(kept.common);
        self.data.extend_from_slice(kept.specific.unwrap_or_default());
        Ok(())
    }

    fn after(&self, id: u32) -> u32 {
        let next = self.active.partition_point(|active| active.id <= id);
        self.active.get(next).map_or(0, |active| active.id)
    }

    /// The number of active namespaces.
    pub(super) fn len(&self) -> usize {
        self.active.len()
    }

    pub(super) fn is_active(&self, id: u32) -> bool {
        self.find(id).is_some()
    }

    fn find(&self, id: u32) -> Option<&Active> {
        let place = self.active.binary_search_by_key(&id, |active| active.id).ok()?;
        self.active.get(place)
    }

    /// Takes a namespace over from an older listing. False if it was not there.
    pub(super) fn take_over(&mut self, id: u32, old: &Self) -> Result<bool, Error> {
        let Some((facts, data)) = old.facts(id) else { return Ok(false) };
        self.add_kept(id, facts, data)?;
        Ok(true)
    }

    /// What is known of an active namespace.
    fn facts(&self, id: u32) -> Option<(Facts, Data<'_>)> {
        let active = self.find(id)?;
        let kept = |at: u32, length: u32| {
            self.data.get(at as usize..).and_then(|data| data.get(..length as usize)).unwrap_or_default()
        };
        let specific = active.specific.map(|(at, length)| kept(at, length));
        Some((active.facts, Data { common: kept(active.at, active.length), specific }))
    }

    /// The bytes that are allocated.
    #[cfg(test)]
    fn bytes(&self) -> usize {
        self.active.capacity() * size_of::<Active>() + self.data.capacity()
    }
}

impl Namespaces {
    /// The controller has listed its namespaces, for the first time or anew. What was handed out is rewritten where it is.
    pub(super) fn renew(&self, listing: Listing) {
        let handed_out = self.handed_out.take();
        for (id, namespace) in &handed_out {
            let (facts, data) =
                listing.facts(*id).map_or((None, Data::default()), |(facts, data)| (Some(facts), data));
            namespace.rewrite(listing.controller, facts, data);
        }
        self.handed_out.set(handed_out);
        drop(self.listing.replace(Rc::new(listing)));
    }

    /// The controller has said how its namespaces are reached, for the first time or anew.
    pub(super) fn renew_access(&self, access: AccessLog) {
        let handed_out = self.handed_out.take();
        handed_out.iter().for_each(|(id, namespace)| namespace.set_access(access.of(*id)));
        self.handed_out.set(handed_out);
        drop(self.access.replace(Rc::new(access)));
    }

    /// The namespace of that id: the same each time, and an inactive one if there is none. None if there are too many
    /// inactive ones, which is said the first time.
    pub(super) fn get(&self, id: u32, label: &str) -> Option<Arc<Namespace>> {
        let mut handed_out = self.handed_out.take();
        let namespace = handed_out.get(&id).cloned().or_else(|| {
            let made = self.with(|listing| {
                let facts = listing.facts(id);
                facts.map(|(facts, data)| Namespace::new(id, listing.controller, facts, data))
            });
            let made = made.or_else(|| self.inactive(id, label)).map(Arc::new);
            made.inspect(|namespace| {
                namespace.set_access(self.access().of(id));
                handed_out.insert(id, namespace.clone());
            })
        });
        self.handed_out.set(handed_out);
        namespace
    }

    /// The lowest id of an active namespace above `id`; 0 if there is none.
    pub(super) fn after(&self, id: u32) -> u32 {
        self.with(|listing| listing.after(id))
    }

    /// Whether a namespace is active.
    pub(super) fn is_active(&self, id: u32) -> bool {
        self.with(|listing| listing.is_active(id))
    }

    fn inactive(&self, id: u32, label: &str) -> Option<Namespace> {
        if self.inactive.get() < INACTIVE_MAX {
            self.inactive.set(self.inactive.get() + 1);
            return Some(Namespace::inactive(id, self.with(|listing| listing.controller)));
        }
        if !self.refused.replace(true) {
            tracing::error!(
                "{label}: there is no namespace {id}, and {INACTIVE_MAX} others that are inactive were asked for: from here \
                 on only active ones are given"
            );
        }
        None
    }

    fn access(&self) -> Rc<AccessLog> {
        let access = self.access.take();
        self.access.set(access.clone());
        access
    }

    /// What the controller listed last.
    pub(super) fn listing(&self) -> Rc<Listing> {
        let listing = self.listing.take();
        self.listing.set(listing.clone());
        listing
    }

    fn with<T>(&self, look: impl FnOnce(&Listing) -> T) -> T {
        look(&self.listing())
    }
}

fn without_zeros(page: &[u8; IDENTIFY_SIZE]) -> &[u8] {
    let length = page.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
    page.get(..length).unwrap_or(page)
}

#[cfg(test)]
mod tests {
    use super::*;
    use spec::namespace::{LbaFormat, NamespaceImage};

    fn image(blocks: u64) -> Box<[u8; IDENTIFY_SIZE]> {
        let mut image = NamespaceImage::default();
        image
            .set_nsze(blocks)
            .set_ncap(blocks)
            .set_nlbaf(1)
            .set_lba_format(0, LbaFormat { ms: 0, lbads: 9, rp: 0 });
        image.set_lba_format(1, LbaFormat { ms: 0, lbads: 12, rp: 0 });
        Box::new(image.0)
    }

    fn listed(listing: Listing) -> Namespaces {
        let namespaces = Namespaces::default();
        namespaces.renew(listing);
        namespaces
    }

    fn add(listing: &mut Listing, id: u32, page: &[u8; IDENTIFY_SIZE]) -> Result<(), Error> {
        let facts = Facts::of(page, None).unwrap().unwrap();
        listing.add(id, facts, page, None)
    }

    fn get(namespaces: &Namespaces, id: u32) -> Arc<Namespace> {
        namespaces.get(id, "test").unwrap()
    }

    #[test]
    fn many_namespaces_need_little_memory_and_come_back_whole() {
        let mut listing = Listing::default();
        for id in 1..=65_536 {
            add(&mut listing, id * 2, &image(u64::from(id))).unwrap();
        }
        assert!(listing.bytes() < 24 << 20, "{} bytes", listing.bytes());
        let namespaces = listed(listing);
        let namespace = get(&namespaces, 4000);
        assert!(namespace.is_active());
        assert_eq!((namespace.id(), namespace.sectors(), namespace.sector_size()), (4000, 2000, 512));
        assert_eq!(namespace.identify_data().unwrap().read(), *image(2000));
        assert!(Arc::ptr_eq(&namespace, &get(&namespaces, 4000)), "the same each time");
        let inactive = get(&namespaces, 4001);
        assert!(!inactive.is_active());
        assert_eq!(inactive.identify_data().unwrap().read(), [0; IDENTIFY_SIZE]);
        assert_eq!((namespaces.after(0), namespaces.after(2), namespaces.after(3)), (2, 4, 4));
        assert_eq!((namespaces.after(131_071), namespaces.after(131_072)), (131_072, 0));
        assert_eq!(namespaces.after(u32::MAX), 0);
    }

    #[test]
    fn pages_that_are_full_are_kept_up_to_a_bound() {
        let mut listing = Listing::default();
        let mut page = image(1);
        page[384..].fill(0xff);
        let refused = (1..).find_map(|id| add(&mut listing, id, &page).err().map(|error| (id, error)));
        assert!(matches!(refused, Some((8193, Error::BadData { .. }))), "{refused:?}");
        assert!(listing.bytes() < 2 * DATA_MAX + (1 << 20));
        assert!(matches!(add(&mut listing, 8192, &image(1)), Err(Error::Internal(_))), "does not ascend");
        let namespaces = listed(listing);
        assert_eq!(get(&namespaces, 8192).identify_data().unwrap().read(), *page);
        assert!(!get(&namespaces, 8193).is_active());
    }

    #[test]
    fn namespaces_change_under_the_same_handle() {
        let mut listing = Listing::default();
        add(&mut listing, 1, &image(8)).unwrap();
        add(&mut listing, 2, &image(8)).unwrap();
        let namespaces = listed(listing);
        let (one, two, three) = (get(&namespaces, 1), get(&namespaces, 2), get(&namespaces, 3));
        let mut listing = Listing::default();
        add(&mut listing, 2, &image(16)).unwrap();
        add(&mut listing, 3, &image(24)).unwrap();
        namespaces.renew(listing);
        assert!(!one.is_active() && Arc::ptr_eq(&one, &get(&namespaces, 1)));
        assert_eq!((two.sectors(), three.sectors()), (16, 24));
        assert_eq!((namespaces.after(0), namespaces.after(2), namespaces.after(3)), (2, 3, 0));
        // Of one that did not change what is known is taken over.
        let old = namespaces.listing();
        let mut listing = Listing::default();
        assert!(!listing.take_over(1, &old).unwrap() && listing.take_over(3, &old).unwrap());
        assert!(matches!(listing.take_over(2, &old), Err(Error::Internal(_))), "does not ascend");
        namespaces.renew(listing);
        assert!(!two.is_active());
        assert_eq!((three.sectors(), three.identify_data().unwrap().read()), (24, *image(24)));
    }
}

//! The registration of one piece of memory: what its keys open, and what may be spent on it.
//!
//! A remote key is the target's licence for the whole region. So memory is registered twice: what the target gets to read
//! from, it cannot write to with that key, and the other way round. Both count against what a device and a process may
//! have, hence [`Budget`]: where that is short, one registration has both rights.

use super::{Keys, hooks::GivenKey};
use std::{ffi::c_void, sync::Arc};
use verbs::{Access, DeviceLimits, Error, MemoryRegion, ProtectionDomain};

/// Memory that is registered.
pub(super) struct Region {
    length: usize,
    rights: Rights,
    /// For commands whose data go both ways, made when the first of them comes.
    both: Option<MemoryRegion>,
}

enum Rights {
    /// One region that the controller may read, one that it may write.
    Split { readable: MemoryRegion, writable: MemoryRegion },
    /// One region that it may read and write.
    Whole(MemoryRegion),
    /// A key of the program's.
    Given(GivenKey),
}

impl Region {
    /// Registers `length` bytes at `address`, once for each right if `split`. Where that is not to be had, or not wanted,
    /// once with both; the error of the attempt with two is then given along.
    ///
    /// # Safety
    ///
    /// As [`MemoryRegion::register`], for all rights.
    pub(super) unsafe fn register(
        domain: &Arc<ProtectionDomain>,
        address: *mut c_void,
        length: usize,
        split: bool,
    ) -> Result<(Self, Option<Error>), Error> {
        // SAFETY: the caller's contract.
        let register = |access| unsafe { MemoryRegion::register(domain, address, length, access) };
        let both_apart = || {
            let readable = register(Access::RemoteRead)?;
            Ok(Rights::Split { readable, writable: register(Access::RemoteWrite)? })
        };
        let (rights, why_not) = match split.then(both_apart) {
            Some(Ok(rights)) => (rights, None),
            Some(Err(error)) => (Rights::Whole(register(Access::Remote)?), Some(error)),
            None => (Rights::Whole(register(Access::Remote)?), None),
        };
        Ok((Self { length, rights, both: None }, why_not))
    }

    /// A region of the program's own, with its key.
    pub(super) fn given(key: GivenKey, length: usize) -> Self {
        Self { length, rights: Rights::Given(key), both: None }
    }

    /// The keys that commands get.
    pub(super) fn keys(&self) -> Keys {
        let (readable, writable) = match &self.rights {
            Rights::Split { readable, writable } => (readable, writable),
            Rights::Whole(region) => (region, region),
            Rights::Given(key) => {
                return Keys { local: key.value(), readable: key.value(), writable: key.value() };
            }
        };
        Keys { local: readable.local_key(), readable: readable.remote_key(), writable: writable.remote_key() }
    }

    /// The bytes that the region has.
    pub(super) fn length(&self) -> usize {
        self.length
    }

    /// How many regions of the device it is made of.
    pub(super) fn count(&self) -> u32 {
        let rights = match &self.rights {
            Rights::Split { .. } => 2,
            Rights::Whole(_) => 1,
            Rights::Given(_) => 0,
        };
        rights + u32::from(self.both.is_some())
    }

    /// The key for a command whose data go both ways.
    ///
    /// # Safety
    ///
    /// `address` and the domain are what the region was registered with.
    pub(super) unsafe fn key_for_both(
        &mut self,
        domain: &Arc<ProtectionDomain>,
        address: *mut c_void,
    ) -> Result<u32, Error> {
        let region = match (&self.rights, &self.both) {
            (Rights::Given(key), _) => return Ok(key.value()),
            (Rights::Whole(region), _) | (_, Some(region)) => region,
            _ => {
                // SAFETY: the memory is registered, thus the program's for I/O, as the caller of `register` said.
                let region = unsafe { MemoryRegion::register(domain, address, self.length, Access::Remote) }?;
                self.both.insert(region)
            }
        };
        Ok(region.remote_key())
    }

    /// Ends all registrations. The first error is returned; what it is about is [kept](verbs::kept).
    pub(super) fn deregister(self) -> Result<(), Error> {
        let both = self.both.map_or(Ok(()), MemoryRegion::deregister);
        let rights = match self.rights {
            Rights::Split { readable, writable } => {
                let result = readable.deregister();
                result.and(writable.deregister())
            }
            Rights::Whole(region) => region.deregister(),
            Rights::Given(key) => {
                drop(key);
                Ok(())
            }
        };
        both.and(rights)
    }
}

/// What registrations may use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Budget {
    /// Memory regions of the device; the connections need some, too. 0: unknown.
    regions: u32,
    /// Bytes that the process may lock, each registration by itself.
    locked: u64,
    /// Bytes of one region.
    largest: u64,
}

/// Why memory is registered once and not twice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum Short {
    #[error("the device has {0} memory regions in all")]
    Regions(u32),
    #[error("the process may lock {0} bytes (RLIMIT_MEMLOCK)")]
    Locked(u64),
    #[error("{0}")]
    Refused(Error),
}

impl Budget {
    pub(super) fn new(limits: &DeviceLimits) -> Self {
        Self { regions: limits.memory_regions, locked: lockable(), largest: limits.memory_region_size }
    }

    /// Whether one more piece of `length` bytes should be registered once for each right, where `regions` of the device
    /// and `locked` bytes are in use by now: not when that would take more than a quarter of the device's regions, or of
    /// the bytes that the process may lock half.
    pub(super) fn allows_split(&self, regions: u32, locked: u64, length: usize) -> Result<(), Short> {
        if self.regions > 0 && regions.saturating_add(2) > self.regions / 4 {
            return Err(Short::Regions(self.regions));
        }
        let twice = (length as u64).saturating_mul(2);
        if locked.saturating_add(twice) > self.locked / 2 {
            return Err(Short::Locked(self.locked));
        }
        Ok(())
    }

    /// Cuts a range into pieces that can be registered: `(address, length)`, in order. Where there is more than one, the
    /// cuts are at multiples of 2 MiB if a region can be as long, else at pages.
    pub(super) fn pieces(&self, address: usize, length: usize) -> impl Iterator<Item = (usize, usize)> {
        let most = match usize::try_from(self.largest) {
            Ok(0) | Err(_) => usize::MAX,
            Ok(most) => most.max(PAGE),
        };
        let end = address.saturating_add(length);
        let mut at = address;
        std::iter::from_fn(move || {
            let start = at;
            let left = end.checked_sub(start).filter(|left| *left > 0)?;
            at = if left <= most {
                end
            } else {
                let reach = start.saturating_add(most);
                [HUGE_PAGE, PAGE].map(|unit| reach / unit * unit).into_iter().find(|cut| *cut > start)?
            };
            Some((start, at.saturating_sub(start)))
        })
    }
}

/// The units in which environments keep translations.
const HUGE_PAGE: usize = 2 << 20;
const PAGE: usize = 4096;

/// How many bytes the process may lock.
fn lockable() -> u64 {
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: `limit` is a valid place; geteuid has no requirement.
    let (known, user) = unsafe { (libc::getrlimit(libc::RLIMIT_MEMLOCK, &mut limit) == 0, libc::geteuid()) };
    lockable_by(user, known.then_some(limit.rlim_cur))
}

/// How many bytes a user may lock whose limit this is, if it is known. The superuser may lock any number.
fn lockable_by(user: libc::uid_t, limit: Option<libc::rlim_t>) -> u64 {
    limit.filter(|limit| user != 0 && *limit != libc::RLIM_INFINITY).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLENTY: Budget = Budget { regions: 1 << 20, locked: u64::MAX, largest: u64::MAX };

    fn pieces(largest: u64, address: usize, length: usize) -> Vec<(usize, usize)> {
        Budget { largest, ..PLENTY }.pieces(address, length).collect()
    }

    #[test]
    fn a_region_is_no_longer_than_the_device_can() {
        let base = 0x7000_0020_0000;
        assert_eq!(pieces(u64::MAX, base, 64 << 20), [(base, 64 << 20)]);
        assert_eq!(pieces(0, base, 64 << 20), [(base, 64 << 20)], "a device that says nothing");
        assert_eq!(pieces(4 << 20, base, 4 << 20), [(base, 4 << 20)]);
        let three = [(base, 4 << 20), (base + (4 << 20), 4 << 20), (base + (8 << 20), 2 << 20)];
        assert_eq!(pieces(4 << 20, base, 10 << 20), three);
        assert_eq!(pieces((6 << 20) - 1, base, 10 << 20), three, "cut at multiples of 2 MiB");
        let odd = base + 4096;
        assert_eq!(
            pieces(3 << 20, odd, 4 << 20),
            [(odd, (2 << 20) - 4096), (base + (2 << 20), (2 << 20) + 4096)]
        );
        assert_eq!(pieces(10_000, base, 12_288), [(base, 8192), (base + 8192, 4096)]);
        assert_eq!(pieces(1, base, 8192), [(base, 4096), (base + 4096, 4096)], "it will refuse them itself");
        assert_eq!(pieces(u64::MAX, base, 0), []);
        for most in [1, 4096, 5000, 1 << 20, 3 << 20, 7 << 20] {
            let all = pieces(most, odd, 21 << 20);
            assert!(all.windows(2).all(|two| two[0].0 + two[0].1 == two[1].0));
            assert!(all.iter().all(|(_, length)| *length <= (most as usize).max(PAGE)));
            assert_eq!(all.iter().map(|(_, length)| length).sum::<usize>(), 21 << 20);
        }
    }

    /// Each registration counts: what the device has in all is shared by all of them.
    #[test]
    fn a_region_counts_its_registrations() {
        let devices = verbs::DeviceList::open().unwrap();
        let domain = ProtectionDomain::new(devices.devices().first().unwrap()).unwrap();
        let memory = verbs::Memory::new(PAGE).unwrap();
        let address = std::ptr::with_exposed_provenance_mut(memory.address() as usize);
        for (split, count, with_both) in [(true, 2, 3), (false, 1, 1)] {
            // SAFETY: the memory outlives the region, and nobody else uses it.
            let (mut region, refused) = unsafe { Region::register(&domain, address, PAGE, split) }.unwrap();
            assert_eq!((region.count(), refused), (count, None));
            for _ in 0..2 {
                // SAFETY: as above.
                unsafe { region.key_for_both(&domain, address) }.unwrap();
                assert_eq!(region.count(), with_both);
            }
            region.deregister().unwrap();
        }
    }

    #[test]
    fn the_superuser_may_lock_any_number_of_bytes() {
        assert_eq!(lockable_by(0, Some(4096)), u64::MAX);
        assert_eq!(lockable_by(1000, Some(4096)), 4096);
        assert_eq!(lockable_by(1000, Some(libc::RLIM_INFINITY)), u64::MAX);
        assert_eq!(lockable_by(1000, None), u64::MAX, "it cannot be known");
    }

    #[test]
    fn rights_are_split_while_there_is_enough() {
        assert_eq!(PLENTY.allows_split(1000, 1 << 40, 1 << 30), Ok(()));
        let few = Budget { regions: 16, ..PLENTY };
        assert_eq!(few.allows_split(2, 0, 4096), Ok(()));
        assert_eq!(few.allows_split(3, 0, 4096), Err(Short::Regions(16)));
        assert_eq!(
            Budget { regions: 0, ..PLENTY }.allows_split(9999, 0, 4096),
            Ok(()),
            "a device that says nothing"
        );
        let narrow = Budget { locked: 8 << 20, ..PLENTY };
        assert_eq!(narrow.allows_split(0, 0, 2 << 20), Ok(()));
        assert_eq!(narrow.allows_split(0, 1, 2 << 20), Err(Short::Locked(8 << 20)));
        assert_eq!(narrow.allows_split(0, 0, usize::MAX), Err(Short::Locked(8 << 20)));
    }
}

//! The Asymmetric Namespace Access log page, read (Base 2.0, 5.16.1.13).

use crate::ana::{ANA_DESCRIPTOR_SIZE, ANA_HEADER_SIZE};
use crate::bytes::{u16_at, u32_at, u64_at};
use thiserror::Error;

/// A group of namespaces.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct AnaGroup<'a> {
    /// The group's id.
    pub id: u32,
    /// Its state: 1 optimized, 2 non-optimized, 3 inaccessible, 4 persistent loss, Fh change; others are reserved.
    pub state: u8,
    namespaces: &'a [u8],
}

impl AnaGroup<'_> {
    /// The ids of its namespaces, as they are listed.
    pub fn namespaces(&self) -> impl Iterator<Item = u32> {
        self.namespaces.as_chunks::<4>().0.iter().map(|id| u32::from_le_bytes(*id))
    }
}

/// A group that reaches beyond the page, or beyond what was read of it.
#[derive(Clone, Copy, Debug, Eq, Error, PartialEq)]
#[error("group {nth} of {all}, with {namespaces} namespaces, reaches beyond the {length} bytes of the page")]
pub struct Overrun {
    /// Which group, from 1 on.
    pub nth: u16,
    /// The groups that the header counts.
    pub all: u16,
    /// The namespaces that it says it has; 0 if not even that is there.
    pub namespaces: u32,
    /// The bytes of the page.
    pub length: usize,
}

/// How often the page changed.
#[must_use]
pub fn change_count(page: &[u8]) -> u64 {
    u64_at(page, 0)
}

/// Walks the groups of a page. It ends after as many as the header counts or after the first error.
#[must_use]
pub fn groups(page: &[u8]) -> AnaGroups<'_> {
    let all = u16_at(page, 8);
    AnaGroups { rest: page.get(ANA_HEADER_SIZE..).unwrap_or_default(), length: page.len(), all, nth: 0 }
}

/// Iterator over the groups of a page.
#[derive(Clone, Debug)]
pub struct AnaGroups<'a> {
    rest: &'a [u8],
    length: usize,
    all: u16,
    nth: u16,
}

impl<'a> Iterator for AnaGroups<'a> {
    type Item = Result<AnaGroup<'a>, Overrun>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.nth >= self.all {
            return None;
        }
        self.nth = self.nth.saturating_add(1);
        let (nth, all, length) = (self.nth, self.all, self.length);
        let Some((head, rest)) = self.rest.split_at_checked(ANA_DESCRIPTOR_SIZE) else {
            self.nth = all;
            return Some(Err(Overrun { nth, all, namespaces: 0, length }));
        };
        let namespaces = u32_at(head, 4);
        let bytes = usize::try_from(u64::from(namespaces).saturating_mul(4)).unwrap_or(usize::MAX);
        let Some((ids, rest)) = rest.split_at_checked(bytes) else {
            self.nth = all;
            return Some(Err(Overrun { nth, all, namespaces, length }));
        };
        self.rest = rest;
        let state = head.get(16).map_or(0, |byte| byte & 0xf);
        Some(Ok(AnaGroup { id: u32_at(head, 0), state, namespaces: ids }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn page(groups: u16, said: &[(u32, u32, u8, &[u32])]) -> Vec<u8> {
        let mut page = vec![7, 0, 0, 0, 0, 0, 0, 0];
        page.extend(groups.to_le_bytes());
        page.extend([0; 6]);
        for (id, count, state, ids) in said {
            page.extend(id.to_le_bytes());
            page.extend(count.to_le_bytes());
            page.extend([0xff; 8]);
            page.push(*state);
            page.extend([0xff; 15]);
            ids.iter().for_each(|id| page.extend(id.to_le_bytes()));
        }
        page
    }

    #[test]
    fn groups_are_read_as_many_as_there_are() {
        let said = page(2, &[(1, 2, 0xf1, &[3, 9]), (7, 0, 2, &[]), (8, 1, 3, &[4])]);
        assert_eq!(change_count(&said), 7);
        let read: Vec<_> = groups(&said)
            .map(|group| group.map(|group| (group.id, group.state, group.namespaces().collect::<Vec<_>>())))
            .collect();
        assert_eq!(read, [Ok((1, 1, vec![3, 9])), Ok((7, 2, vec![]))]);
        assert_eq!(groups(&[]).count(), 0);
    }

    #[test]
    fn a_group_beyond_the_page_is_the_last() {
        for (count, cut) in [(3, 0), (u32::MAX, 0), (2, 1), (0x4000_0000, 0)] {
            let mut said = page(3, &[(1, 1, 1, &[1]), (2, count, 1, &[5, 6]), (3, 0, 1, &[])]);
            said.truncate(ANA_HEADER_SIZE + ANA_DESCRIPTOR_SIZE * 2 + 12 - cut);
            let read: Vec<_> = groups(&said).collect();
            assert_eq!(read.len(), 2);
            let length = said.len();
            assert_eq!(read[1], Err(Overrun { nth: 2, all: 3, namespaces: count, length }));
        }
        let short = page(1, &[]);
        assert_eq!(groups(&short).collect::<Vec<_>>().len(), 1);
        assert!(groups(&short).next().unwrap().is_err());
        assert_eq!(groups(&page(u16::MAX, &[(1, 0, 1, &[])])).filter(Result::is_ok).count(), 1);
    }
}

//! What the device can do: the limits that `ibv_query_device` reports and that making an object is checked against.
//!
//! A profile makes a small or strange device of the full one; it never promises more than that. It holds for what is made while it
//! is set: what there is stays as it is. A test with both ends in one process spares the other end by [`spared`].

use std::cell::Cell;

use super::device;
use super::memory::MAX_MR;
use crate::faults::names;

/// The limits, named and counted as in `struct ibv_device_attr`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Profile {
    /// Queue pairs.
    pub max_qp: u64,
    /// Work requests in a queue.
    pub max_qp_wr: u64,
    /// Segments in a work request.
    pub max_sge: u64,
    /// Bytes that can be sent inline. (Not told by `ibv_query_device`.)
    pub max_inline_data: u64,
    /// Completion queues.
    pub max_cq: u64,
    /// Completions in a queue.
    pub max_cqe: u64,
    /// Memory regions.
    pub max_mr: u64,
    /// Bytes in a memory region.
    pub max_mr_size: u64,
    /// Page sizes, one bit each.
    pub page_size_cap: u64,
    /// RDMA READs that a queue pair answers at once.
    pub max_qp_rd_atom: u64,
    /// RDMA READs that a queue pair has outstanding.
    pub max_qp_init_rd_atom: u64,
    /// Shared receive queues; with 0 there are none.
    pub max_srq: u64,
    /// Receives in a shared queue.
    pub max_srq_wr: u64,
    /// Segments in a receive of a shared queue.
    pub max_srq_sge: u64,
    /// Whether `ibv_resize_cq` is offered.
    pub resize_cq: bool,
}

/// The smallest page size that any device has, and the unit of `page_size_cap`.
const PAGE: u64 = 4096;

impl Profile {
    /// The full device.
    pub const FULL: Self = Self {
        max_qp: device::MAX_OBJECTS as u64,
        max_qp_wr: device::MAX_QP_WR as u64,
        max_sge: device::MAX_SGE as u64,
        max_inline_data: device::MAX_INLINE as u64,
        max_cq: device::MAX_OBJECTS as u64,
        max_cqe: device::MAX_CQE as u64,
        max_mr: MAX_MR as u64,
        max_mr_size: u64::MAX,
        page_size_cap: 0xffff_f000,
        max_qp_rd_atom: device::MAX_RD_ATOMIC as u64,
        max_qp_init_rd_atom: device::MAX_RD_ATOMIC as u64,
        max_srq: device::MAX_OBJECTS as u64,
        max_srq_wr: device::MAX_SRQ_WR as u64,
        max_srq_sge: device::MAX_SGE as u64,
        resize_cq: true,
    };

    /// The numbers: name, smallest value, and where it is kept.
    fn number(&mut self, name: &str) -> Option<(u64, &mut u64)> {
        Some(match name {
            "max_qp" => (1, &mut self.max_qp),
            "max_qp_wr" => (1, &mut self.max_qp_wr),
            "max_sge" => (1, &mut self.max_sge),
            "max_inline_data" => (0, &mut self.max_inline_data),
            "max_cq" => (1, &mut self.max_cq),
            "max_cqe" => (1, &mut self.max_cqe),
            "max_mr" => (1, &mut self.max_mr),
            "max_mr_size" => (1, &mut self.max_mr_size),
            "max_qp_rd_atom" => (0, &mut self.max_qp_rd_atom),
            "max_qp_init_rd_atom" => (0, &mut self.max_qp_init_rd_atom),
            "max_srq" => (0, &mut self.max_srq),
            "max_srq_wr" => (1, &mut self.max_srq_wr),
            "max_srq_sge" => (1, &mut self.max_srq_sge),
            _ => return None,
        })
    }

    /// Sets one limit, `NAME=VALUE`. The error says what is right.
    pub fn set(&mut self, word: &str) -> Result<(), String> {
        let Some((name, value)) = word.split_once('=') else {
            return Err(format!("'{word}' is no limit: NAME=VALUE, as max_cqe=100"));
        };
        match name {
            "resize_cq" => {
                self.resize_cq = match value {
                    "on" => true,
                    "off" => false,
                    _ => return Err(format!("resize_cq is on or off, not '{value}'")),
                };
                return Ok(());
            }
            "page_size_cap" => {
                let given = names::number(value).ok().filter(|n| *n > 0 && n.is_multiple_of(PAGE));
                self.page_size_cap = given.ok_or_else(|| {
                    format!("page_size_cap is one bit for each page size from 0x1000 on, not '{value}'")
                })?;
                return Ok(());
            }
            _ => {}
        }
        let mut full = Self::FULL;
        let most = full.number(name).map_or(0, |(_, n)| *n);
        let Some((least, place)) = self.number(name) else { return Err(format!("'{name}' {NAMES}")) };
        let given = names::number(value).ok().filter(|n| (least..=most).contains(n));
        *place = given.ok_or_else(|| format!("{name} is a number from {least} to {most}, not '{value}'"))?;
        Ok(())
    }

    /// Whether the device can work with pages of the machine's size: with none of at most that size, no memory can be registered.
    pub fn takes_pages_of(&self, page_size: usize) -> bool {
        self.page_size_cap & ((page_size as u64) << 1).wrapping_sub(1) != 0
    }
}

/// What is said of a name that is none.
const NAMES: &str = "is no limit of a device: max_qp, max_qp_wr, max_sge, max_inline_data, max_cq, max_cqe, max_mr, max_mr_size, \
    page_size_cap, max_qp_rd_atom, max_qp_init_rd_atom, max_srq, max_srq_wr, max_srq_sge, resize_cq";

thread_local! {
    /// See [`spared`].
    static SPARED: Cell<bool> = const { Cell::new(false) };
}

/// Whether this thread acts for an end that has the full device.
pub fn is_spared() -> bool {
    SPARED.get()
}

/// Does `work` as an end that has the full device, whatever profile is set.
pub fn spared<R>(work: impl FnOnce() -> R) -> R {
    /// Gives the thread back what it was, also when `work` panics.
    struct Before(bool);
    impl Drop for Before {
        fn drop(&mut self) {
            SPARED.set(self.0);
        }
    }
    let _before = Before(SPARED.replace(true));
    work()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_limit_is_set_within_what_the_full_device_can_do() {
        let mut profile = Profile::FULL;
        for word in ["max_qp_wr=1", "max_cqe=0x10", "max_srq=0", "resize_cq=off", "page_size_cap=0x200000"] {
            assert_eq!(profile.set(word), Ok(()), "{word}");
        }
        let expected = Profile {
            max_qp_wr: 1,
            max_cqe: 16,
            max_srq: 0,
            resize_cq: false,
            page_size_cap: 0x20_0000,
            ..Profile::FULL
        };
        assert_eq!(profile, expected);
        assert!(!profile.takes_pages_of(4096) && Profile::FULL.takes_pages_of(4096));
        assert!(Profile::FULL.takes_pages_of(65536), "a page of 64 KiB is made of smaller ones");
        let wrong = |word: &str| Profile::FULL.clone().set(word).unwrap_err();
        assert_eq!(wrong("max_qp_wr=0"), "max_qp_wr is a number from 1 to 32768, not '0'");
        assert_eq!(wrong("max_qp_wr=32769"), "max_qp_wr is a number from 1 to 32768, not '32769'");
        assert_eq!(wrong("max_cqe=-1"), "max_cqe is a number from 1 to 4194304, not '-1'");
        assert_eq!(wrong("resize_cq=0"), "resize_cq is on or off, not '0'");
        assert!(wrong("page_size_cap=1").contains("from 0x1000 on, not '1'"));
        assert!(wrong("max_qps=1").contains("'max_qps' is no limit of a device: max_qp, "));
        assert!(wrong("max_qp_wr").contains("NAME=VALUE"));
        assert_eq!(profile, expected, "a wrong word changes nothing");
    }

    #[test]
    fn every_name_that_is_told_is_known() {
        let (_, list) = NAMES.split_once(": ").unwrap();
        for name in list.split(", ") {
            let value = if name == "resize_cq" { "on" } else { "4096" };
            let said = Profile::FULL.clone().set(&format!("{name}={value}"));
            assert!(said.is_ok() || said.unwrap_err().starts_with(&format!("{name} is a number")), "{name}");
        }
    }
}

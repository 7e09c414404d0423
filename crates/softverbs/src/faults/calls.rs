//! Calls that fail: each function of the C face asks here first, by [`begin`] or, on the data path, behind its own flag.

#![allow(unsafe_code)]

use std::ffi::c_int;
use std::fmt;
use std::sync::atomic::Ordering;

use super::names;
use super::script::Occasion;
use super::which::Which;
use crate::carrier::sys;
use crate::runtime::{self, Runtime};

/// How a function tells its caller that it failed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Convention {
    /// NULL, and errno.
    Null,
    /// It returns the errno (and sets it).
    Errno,
    /// -1, and errno.
    MinusOne,
    /// It returns the errno negated.
    Negative,
    /// It cannot fail; commands may still wait for it (`at call`).
    Never,
}

use Convention::{Errno, MinusOne, Negative, Never, Null};

/// The functions that commands can name.
pub const CALLS: &[(&str, Convention)] = &[
    ("_ibv_query_gid_ex", Errno),
    ("_ibv_query_gid_table", Negative),
    ("ibv_ack_async_event", Never),
    ("ibv_ack_cq_events", Never),
    ("ibv_alloc_pd", Null),
    ("ibv_close_device", Errno),
    ("ibv_create_comp_channel", Null),
    ("ibv_create_cq", Null),
    ("ibv_create_cq_ex", Null),
    ("ibv_create_qp", Null),
    ("ibv_create_qp_ex", Null),
    ("ibv_create_srq", Null),
    ("ibv_dealloc_pd", Errno),
    ("ibv_dereg_mr", Errno),
    ("ibv_destroy_comp_channel", Errno),
    ("ibv_destroy_cq", Errno),
    ("ibv_destroy_qp", Errno),
    ("ibv_destroy_srq", Errno),
    ("ibv_fork_init", Errno),
    ("ibv_get_async_event", MinusOne),
    ("ibv_get_cq_event", MinusOne),
    ("ibv_get_device_list", Null),
    ("ibv_get_pkey_index", MinusOne),
    ("ibv_modify_qp", Errno),
    ("ibv_modify_srq", Errno),
    ("ibv_next_poll", Errno),
    ("ibv_open_device", Null),
    ("ibv_poll_cq", Negative),
    ("ibv_post_recv", Errno),
    ("ibv_post_send", Errno),
    ("ibv_post_srq_recv", Errno),
    ("ibv_query_device", Errno),
    ("ibv_query_device_ex", Errno),
    ("ibv_query_gid", MinusOne),
    ("ibv_query_gid_type", MinusOne),
    ("ibv_query_pkey", MinusOne),
    ("ibv_query_port", Errno),
    ("ibv_query_qp", Errno),
    ("ibv_query_srq", Errno),
    ("ibv_reg_mr", Null),
    ("ibv_reg_mr_iova", Null),
    ("ibv_reg_mr_iova2", Null),
    ("ibv_req_notify_cq", Errno),
    ("ibv_resize_cq", Errno),
    ("ibv_start_poll", Errno),
    ("ibv_wr_complete", Errno),
    ("rdma_accept", MinusOne),
    ("rdma_ack_cm_event", MinusOne),
    ("rdma_bind_addr", MinusOne),
    ("rdma_connect", MinusOne),
    ("rdma_create_ep", MinusOne),
    ("rdma_create_event_channel", Null),
    ("rdma_create_id", MinusOne),
    ("rdma_create_qp", MinusOne),
    ("rdma_create_qp_ex", MinusOne),
    ("rdma_create_srq", MinusOne),
    ("rdma_destroy_ep", Never),
    ("rdma_destroy_event_channel", Never),
    ("rdma_destroy_id", MinusOne),
    ("rdma_destroy_qp", Never),
    ("rdma_destroy_srq", Never),
    ("rdma_disconnect", MinusOne),
    ("rdma_establish", MinusOne),
    ("rdma_get_cm_event", MinusOne),
    ("rdma_get_devices", Null),
    ("rdma_get_request", MinusOne),
    ("rdma_getaddrinfo", MinusOne),
    ("rdma_init_qp_attr", MinusOne),
    ("rdma_listen", MinusOne),
    ("rdma_migrate_id", MinusOne),
    ("rdma_notify", MinusOne),
    ("rdma_reject", MinusOne),
    ("rdma_reject_ece", MinusOne),
    ("rdma_resolve_addr", MinusOne),
    ("rdma_resolve_route", MinusOne),
    ("rdma_set_option", MinusOne),
];

/// The function that a command names.
pub fn find(name: &str) -> Result<(&'static str, Convention), String> {
    match CALLS.binary_search_by(|(n, _)| (*n).cmp(name)) {
        Ok(at) => CALLS.get(at).copied().ok_or_else(String::new),
        Err(_) => Err(format!("there is no function '{name}' that can be named")),
    }
}

/// Where in a list of work requests a posting function fails.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Place {
    /// At this one, counted from 0; the last one if there are fewer.
    At(usize),
    /// In the middle.
    Middle,
    /// At the last one.
    Last,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::At(0) => Ok(()),
            Self::At(n) => write!(f, " at {}", n + 1),
            Self::Middle => write!(f, " at middle"),
            Self::Last => write!(f, " at last"),
        }
    }
}

impl Place {
    /// The request that is refused, in a list of so many.
    pub fn in_list(self, length: usize) -> usize {
        let last = length.saturating_sub(1);
        match self {
            Self::At(n) => n.min(last),
            Self::Middle => last / 2,
            Self::Last => last,
        }
    }
}

/// A call that is to fail.
#[derive(Debug)]
pub struct CallFault {
    pub(super) name: &'static str,
    pub(super) which: Which,
    pub(super) errno: i32,
    pub(super) place: Place,
}

impl CallFault {
    /// `fail FUNCTION [WHICH] ERRNO [at N|first|middle|last]`, without its first word.
    pub fn parse(words: &[&str]) -> Result<Self, String> {
        let (plain, place) = match *words {
            [ref plain @ .., "at", "first"] => (plain, Place::At(0)),
            [ref plain @ .., "at", "middle"] => (plain, Place::Middle),
            [ref plain @ .., "at", "last"] => (plain, Place::Last),
            [ref plain @ .., "at", n] => match names::number(n)? {
                0 => return Err("requests of a list are counted from 1".into()),
                n => (plain, Place::At(n as usize - 1)),
            },
            _ => (words, Place::At(0)),
        };
        let (name, which, errno) = match *plain {
            [name, errno] => (name, Which::next(), errno),
            [name, which, errno] => (name, Which::parse(which)?, errno),
            _ => return Err("fail FUNCTION [WHICH] ERRNO [at PLACE]".into()),
        };
        let (name, convention) = find(name)?;
        if convention == Never {
            return Err(format!("{name} returns nothing, and so cannot fail"));
        }
        let posts = matches!(name, "ibv_post_send" | "ibv_post_recv" | "ibv_post_srq_recv");
        if plain.len() != words.len() && !posts {
            return Err(format!("{name} takes no list of work requests"));
        }
        Ok(Self { name, which, errno: names::errno(errno)?, place })
    }
}

/// A call failed because that was asked for.
#[derive(Clone, Copy, Debug)]
pub struct Failed {
    /// Why, as the caller is to see it.
    pub errno: i32,
    /// Of a list of work requests: at which one.
    pub place: Place,
    convention: Convention,
}

/// What a C function returns.
pub trait Answer {
    /// The value that says so, in the function's convention.
    fn of(convention: Convention, errno: i32) -> Self;
}

impl<T> Answer for *mut T {
    fn of(_: Convention, _: i32) -> Self {
        std::ptr::null_mut()
    }
}

impl Answer for c_int {
    fn of(convention: Convention, errno: i32) -> Self {
        match convention {
            Errno => errno,
            Negative => -errno,
            MinusOne | Null | Never => -1,
        }
    }
}

impl Answer for isize {
    fn of(convention: Convention, errno: i32) -> Self {
        c_int::of(convention, errno) as Self
    }
}

impl Failed {
    /// What the function is to return. Sets errno.
    pub fn answer<T: Answer>(self) -> T {
        sys::set_errno(self.errno);
        T::of(self.convention, self.errno)
    }
}

/// A function of the C face begins: whether it is to fail. What waits for this call happens now.
pub fn begin(name: &'static str) -> Option<Failed> {
    let mut rt = runtime::lock();
    if !rt.fabric.shared.unusual {
        return None;
    }
    let failed = rt.call_begins(name);
    rt.finish();
    failed
}

/// As [`begin`], for a function of the data path that does not hold the lock yet: the fabric exists, so a flag tells.
#[inline(always)]
pub fn begin_data(name: &'static str) -> Option<Failed> {
    if super::UNUSUAL.load(Ordering::Relaxed) { begin(name) } else { None }
}

impl Runtime {
    /// As [`begin`], with the lock held and faults armed.
    #[cold]
    pub fn call_begins(&mut self, name: &'static str) -> Option<Failed> {
        let shared = &mut self.fabric.shared;
        shared.faults.occasion(Occasion::Call(name), &mut shared.chance);
        self.obey();
        let shared = &mut self.fabric.shared;
        let mut failed = None;
        for fault in shared.faults.calls.iter_mut().filter(|f| f.name == name) {
            if fault.which.hits(&mut shared.chance) && failed.is_none() {
                failed = Some((fault.errno, fault.place));
            }
        }
        let (errno, place) = failed?;
        shared.faults.calls.retain(|f| !f.which.is_spent());
        self.fabric.shared.look_again();
        let (_, convention) = find(name).ok()?;
        super::fired(&format!("{name} fails with {}", names::errno_name(errno)));
        Some(Failed { errno, place, convention })
    }
}

impl Runtime {
    /// librdmacm calls this function of libibverbs on the program's behalf: the error if that call was told to fail.
    pub fn told_to_fail(&mut self, name: &'static str) -> Result<(), i32> {
        match self.fabric.shared.unusual.then(|| self.call_begins(name)).flatten() {
            Some(failed) => Err(failed.errno),
            None => Ok(()),
        }
    }
}

/// The first line of every function of the C face: leaves it if it was told to fail.
macro_rules! enter {
    ($name:ident) => {
        if let Some(failed) = $crate::faults::calls::begin(stringify!($name)) {
            return failed.answer();
        }
    };
    (data $name:ident) => {
        if let Some(failed) = $crate::faults::calls::begin_data(stringify!($name)) {
            return failed.answer();
        }
    };
    (never $name:ident) => {
        let _ = $crate::faults::calls::begin(stringify!($name));
    };
}
pub(crate) use enter;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_sorted_and_so_found() {
        for (name, convention) in CALLS {
            assert_eq!(find(name), Ok((*name, *convention)));
        }
        assert!(find("ibv_nothing").is_err());
    }

    #[test]
    fn places_in_a_list() {
        assert_eq!([1, 2, 5].map(|n| Place::Middle.in_list(n)), [0, 0, 2]);
        assert_eq!([1, 2, 5].map(|n| Place::Last.in_list(n)), [0, 1, 4]);
        assert_eq!([1, 2, 5].map(|n| Place::At(3).in_list(n)), [0, 1, 3]);
    }

    #[test]
    fn what_is_no_failing_call() {
        for wrong in [
            "",
            "ibv_open_device",
            "ibv_x 1 EIO",
            "ibv_open_device EWHAT",
            "ibv_open_device 0 EIO",
            "rdma_destroy_qp EIO",
            "ibv_open_device EIO at last",
            "ibv_post_send EIO at 0",
            "ibv_post_send 1 2 EIO",
        ] {
            let words: Vec<&str> = wrong.split_whitespace().collect();
            assert!(CallFault::parse(&words).is_err(), "{wrong}");
        }
        assert!(CallFault::parse(&["ibv_post_send", "2-", "ENOMEM", "at", "last"]).is_ok());
    }
}

//! Work requests that are not taken: a posting function fails at one of a list, and those before it are posted.

#![allow(unsafe_code)]

use std::ffi::c_int;

use rdma_sys::{ibv_recv_wr, ibv_send_wr};

use super::calls::Failed;
use crate::fabric::posting::{GONE, Unposted};
use crate::runtime::Runtime;

/// A work request in a list.
pub trait Request: Sized {
    /// The next one.
    fn next(&self) -> *mut Self;
    /// Makes `next` the next one.
    fn link(&mut self, next: *mut Self);
}

impl Request for ibv_send_wr {
    fn next(&self) -> *mut Self {
        self.next
    }
    fn link(&mut self, next: *mut Self) {
        self.next = next;
    }
}

impl Request for ibv_recv_wr {
    fn next(&self) -> *mut Self {
        self.next
    }
    fn link(&mut self, next: *mut Self) {
        self.next = next;
    }
}

/// Posts the part of a list before the request that is to fail. The program's own list is not touched.
///
/// # Safety
/// `first` is a list of requests as verbs demands; `bad` may be written.
pub unsafe fn post_part<W: Request>(
    rt: &mut Runtime,
    failed: Failed,
    first: *mut W,
    bad: *mut *mut W,
    post: impl FnOnce(&mut Runtime, *mut W) -> Result<(), Unposted<W>>,
) -> c_int {
    let mut list = Vec::new();
    let mut at = first;
    while !at.is_null() {
        list.push(at);
        // SAFETY: the caller vouches for the list.
        at = unsafe { (*at).next() };
    }
    let refused = failed.place.in_list(list.len());
    // SAFETY: elements of the list, which are plain data.
    let mut part: Vec<W> = list.iter().take(refused).map(|&p| unsafe { p.read() }).collect();
    let mut next = std::ptr::null_mut();
    for request in part.iter_mut().rev() {
        request.link(next);
        next = request;
    }
    let mut answer = failed.answer();
    let mut which = list.get(refused).copied().unwrap_or(first);
    if !part.is_empty()
        && let Err(own) = post(rt, part.as_mut_ptr())
    {
        // The queue had no room even for those.
        let index = part.iter().position(|r| std::ptr::eq(r, own.at)).unwrap_or(0);
        which = list.get(index).copied().unwrap_or(first);
        answer = if own.errno == GONE { libc::EINVAL } else { own.errno };
    }
    if !bad.is_null() {
        // SAFETY: the caller vouches for `bad`.
        unsafe { bad.write(which) };
    }
    rt.finish();
    answer
}

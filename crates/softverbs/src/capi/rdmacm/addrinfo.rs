//! `rdma_getaddrinfo`: names to addresses, by the C library's resolver.

#![allow(unsafe_code)]

use std::ffi::{c_char, c_int};

use rdma_sys::rdma_addrinfo;

use crate::carrier::sys;
use crate::faults::calls::enter;

const RAI_PASSIVE: c_int = 1;
const RAI_NUMERICHOST: c_int = 2;
const QPT_RC: c_int = 2;
const QPT_UD: c_int = 4;
const PS_TCP: c_int = 0x106;
const PS_UDP: c_int = 0x111;

/// Finds the addresses for a node and a service.
///
/// # Safety
/// `node` and `service` are NULL or C strings; `hints` is NULL or a whole struct; `res` may be written.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rdma_getaddrinfo(
    node: *const c_char,
    service: *const c_char,
    hints: *const rdma_addrinfo,
    res: *mut *mut rdma_addrinfo,
) -> c_int {
    enter!(rdma_getaddrinfo);
    if res.is_null() || (node.is_null() && service.is_null() && hints.is_null()) {
        return sys::minus_one(Err(libc::EINVAL));
    }
    // SAFETY: the caller vouches for `hints`.
    let hints = unsafe { hints.as_ref() };
    // SAFETY: calloc of a whole struct; all zero is a value of it.
    let found = unsafe { libc::calloc(1, size_of::<rdma_addrinfo>()) }.cast::<rdma_addrinfo>();
    if found.is_null() {
        return sys::minus_one(Err(libc::ENOMEM));
    }
    // SAFETY: made just now.
    let out = unsafe { &mut *found };
    let flags = hints.map_or(0, |h| h.ai_flags);
    out.ai_flags = flags & RAI_PASSIVE;
    out.ai_qp_type = hints.map_or(0, |h| h.ai_qp_type);
    out.ai_port_space = hints.map_or(0, |h| h.ai_port_space);
    let asks = !node.is_null() || !service.is_null();
    if !asks {
        out.ai_flags = flags;
        out.ai_family = hints.map_or(0, |h| h.ai_family);
    }
    if asks && out.ai_qp_type == 0 {
        out.ai_qp_type = if out.ai_port_space == PS_UDP { QPT_UD } else { QPT_RC };
    }
    if asks && out.ai_port_space == 0 {
        out.ai_port_space = if out.ai_qp_type == QPT_UD { PS_UDP } else { PS_TCP };
    }
    // SAFETY: strings and hints are vouched for by the caller; what is copied stays within its own allocation.
    let result = unsafe {
        if !asks {
            match hints {
                Some(h) if h.ai_dst_len > 0 => {
                    copy(h.ai_dst_addr.cast(), h.ai_dst_len, &mut out.ai_dst_addr, &mut out.ai_dst_len)
                }
                _ => Ok(()),
            }
        } else {
            ask(node, service, flags, hints, out)
        }
        .and_then(|()| match hints {
            Some(h) if out.ai_src_len == 0 && h.ai_src_len > 0 => {
                copy(h.ai_src_addr.cast(), h.ai_src_len, &mut out.ai_src_addr, &mut out.ai_src_len)
            }
            _ => Ok(()),
        })
    };
    match result {
        Ok(()) => {
            // SAFETY: the caller vouches for `res`.
            unsafe { res.write(found) };
            0
        }
        Err(code) => {
            // SAFETY: made above.
            unsafe { rdma_freeaddrinfo(found) };
            code
        }
    }
}

/// Asks the resolver. The error is what `rdma_getaddrinfo` returns: the resolver's own code.
///
/// # Safety
/// As [`rdma_getaddrinfo`].
unsafe fn ask(
    node: *const c_char,
    service: *const c_char,
    flags: c_int,
    hints: Option<&rdma_addrinfo>,
    out: &mut rdma_addrinfo,
) -> Result<(), c_int> {
    // SAFETY: `addrinfo` is numbers and raw pointers: all zero is a value of it.
    let mut wanted: libc::addrinfo = unsafe { std::mem::zeroed() };
    wanted.ai_socktype = if out.ai_qp_type == QPT_UD { libc::SOCK_DGRAM } else { libc::SOCK_STREAM };
    wanted.ai_protocol = if out.ai_port_space == PS_UDP { libc::IPPROTO_UDP } else { libc::IPPROTO_TCP };
    if flags & RAI_PASSIVE != 0 {
        wanted.ai_flags |= libc::AI_PASSIVE;
    }
    if flags & RAI_NUMERICHOST != 0 {
        wanted.ai_flags |= libc::AI_NUMERICHOST;
    }
    // Whatever RAI_FAMILY says, as in librdmacm.
    wanted.ai_family = hints.map_or(0, |h| h.ai_family);
    let mut list: *mut libc::addrinfo = std::ptr::null_mut();
    // SAFETY: strings vouched for by the caller; the list is freed below.
    let code = unsafe { libc::getaddrinfo(node, service, &wanted, &mut list) };
    if code != 0 || list.is_null() {
        return Err(if code == 0 { -1 } else { code });
    }
    // SAFETY: the first element of the list that getaddrinfo made.
    let first = unsafe { &*list };
    out.ai_family = first.ai_family;
    // SAFETY: the address belongs to the list and has the length that it says.
    let copied = unsafe {
        if flags & RAI_PASSIVE != 0 {
            copy(first.ai_addr, first.ai_addrlen, &mut out.ai_src_addr, &mut out.ai_src_len)
        } else {
            copy(first.ai_addr, first.ai_addrlen, &mut out.ai_dst_addr, &mut out.ai_dst_len)
        }
    };
    // SAFETY: made by getaddrinfo, freed once.
    unsafe { libc::freeaddrinfo(list) };
    copied
}

/// # Safety
/// `from` points to `length` bytes.
unsafe fn copy(
    from: *const libc::sockaddr,
    length: libc::socklen_t,
    to: &mut *mut libc::sockaddr,
    to_length: &mut libc::socklen_t,
) -> Result<(), c_int> {
    // SAFETY: as much is allocated as is copied.
    unsafe {
        let room = libc::malloc(length as usize).cast::<u8>();
        if room.is_null() {
            sys::set_errno(libc::ENOMEM);
            return Err(-1);
        }
        std::ptr::copy_nonoverlapping(from.cast::<u8>(), room, length as usize);
        *to = room.cast();
    }
    *to_length = length;
    Ok(())
}

/// Frees what `rdma_getaddrinfo` found.
///
/// # Safety
/// `res` came from there, or is NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rdma_freeaddrinfo(mut res: *mut rdma_addrinfo) {
    while !res.is_null() {
        // SAFETY: all of these were allocated by malloc or are NULL; each element is freed once.
        unsafe {
            let next = (*res).ai_next;
            for part in [
                (*res).ai_src_addr.cast(),
                (*res).ai_dst_addr.cast(),
                (*res).ai_src_canonname.cast(),
                (*res).ai_dst_canonname.cast(),
                (*res).ai_route,
                (*res).ai_connect,
            ] {
                libc::free(part);
            }
            libc::free(res.cast());
            res = next;
        }
    }
}

//! Protection domains and memory regions.

#![allow(unsafe_code)]

use std::ffi::{c_int, c_uint, c_void};

use rdma_sys::{ibv_context, ibv_mr, ibv_pd};

use super::device::find_context;
use super::find;
use super::verbs::{find_pd, or_errno, or_null};
use crate::carrier::sys;
use crate::fabric::memory::{Mr, access};
use crate::fabric::objects::{Pd, Shared};
use crate::fabric::profile::is_spared;
use crate::fabric::slab::Key;
use crate::faults::calls::enter;
use crate::runtime::{Runtime, with};

/// Bits that only ask for an optimization, or that have no meaning without a device.
const ACCESS_OPTIONAL: u32 = 0x3ff0_0000;
const ACCESS_KNOWN: u32 = access::LOCAL_WRITE
    | access::REMOTE_WRITE
    | access::REMOTE_READ
    | access::REMOTE_ATOMIC
    | ACCESS_OPTIONAL;

/// Makes a protection domain.
#[unsafe(no_mangle)]
pub extern "C" fn ibv_alloc_pd(context: *mut ibv_context) -> *mut ibv_pd {
    enter!(ibv_alloc_pd);
    or_null(with(|rt| alloc_pd(rt, context, false).map(|(_, cell)| cell)))
}

/// As [`ibv_alloc_pd`], with the lock held.
pub fn alloc_pd(
    rt: &mut Runtime,
    context: *mut ibv_context,
    internal: bool,
) -> Result<(Key<Pd>, *mut ibv_pd), i32> {
    let of = find_context(rt, context)?;
    rt.fabric.shared.check_present(of)?;
    let key = rt.fabric.shared.pds.next_key();
    let cell = rt.cells.pds.alloc(key, ibv_pd { context, handle: key.index() });
    let serial = rt.fabric.next_serial();
    rt.fabric.shared.pds.insert(Pd { cell, context: of, children: 0, internal, serial });
    Ok((key, cell))
}

/// Destroys a protection domain. EBUSY while anything is in it.
#[unsafe(no_mangle)]
pub extern "C" fn ibv_dealloc_pd(pd: *mut ibv_pd) -> c_int {
    enter!(ibv_dealloc_pd);
    or_errno(with(|rt| {
        let key = find_pd(rt, pd)?;
        if rt.fabric.shared.pds.get(key).is_some_and(|p| p.children > 0) {
            return Err(libc::EBUSY);
        }
        rt.fabric.shared.pds.remove(key);
        rt.cells.pds.free(pd);
        Ok(())
    }))
}

/// Registers memory.
#[unsafe(no_mangle)]
pub extern "C" fn ibv_reg_mr(
    pd: *mut ibv_pd,
    addr: *mut c_void,
    length: usize,
    access: c_int,
) -> *mut ibv_mr {
    enter!(ibv_reg_mr);
    or_null(with(|rt| reg_mr(rt, pd, addr, length, addr as u64, access as u32)))
}

/// Registers memory under another address.
#[unsafe(no_mangle)]
pub extern "C" fn ibv_reg_mr_iova(
    pd: *mut ibv_pd,
    addr: *mut c_void,
    length: usize,
    iova: u64,
    access: c_int,
) -> *mut ibv_mr {
    enter!(ibv_reg_mr_iova);
    or_null(with(|rt| reg_mr(rt, pd, addr, length, iova, access as u32)))
}

/// Registers memory under another address, optional rights included.
#[unsafe(no_mangle)]
pub extern "C" fn ibv_reg_mr_iova2(
    pd: *mut ibv_pd,
    addr: *mut c_void,
    length: usize,
    iova: u64,
    access: c_uint,
) -> *mut ibv_mr {
    enter!(ibv_reg_mr_iova2);
    or_null(with(|rt| reg_mr(rt, pd, addr, length, iova, access)))
}

fn reg_mr(
    rt: &mut Runtime,
    pd: *mut ibv_pd,
    addr: *mut c_void,
    length: usize,
    iova: u64,
    rights: u32,
) -> Result<*mut ibv_mr, i32> {
    let of = find_pd(rt, pd)?;
    rt.fabric.shared.check_present_of(of)?;
    let remote_change = rights & (access::REMOTE_WRITE | access::REMOTE_ATOMIC) != 0;
    if rights & !ACCESS_KNOWN != 0 || (remote_change && rights & access::LOCAL_WRITE == 0) {
        return Err(libc::EINVAL);
    }
    if addr.is_null() && length > 0 {
        return Err(libc::EFAULT);
    }
    if (addr as u64).checked_add(length as u64).is_none() || iova.checked_add(length as u64).is_none() {
        return Err(libc::EINVAL);
    }
    if length == 0 && (addr as usize).is_multiple_of(sys::page_size()) {
        // The kernel counts the pages that are touched, and takes none for an error.
        return Err(libc::EINVAL);
    }
    let writes = rights & access::LOCAL_WRITE != 0;
    if !sys::is_mapped(addr as usize, length, writes) {
        return Err(libc::EFAULT);
    }
    let fabric = &mut rt.fabric;
    let device = fabric.shared.profile();
    let mrs = &fabric.shared.mrs;
    if length as u64 > device.max_mr_size || !device.takes_pages_of(sys::page_size()) {
        return Err(libc::EINVAL);
    }
    Shared::check_count(device.max_mr, mrs.len(), mrs.iter().map(|(_, m)| m.spared))?;
    let (key, lkey, rkey) = fabric.shared.mrs.next_keys();
    // SAFETY: the cell above is one of ours and alive.
    let context = unsafe { (*pd).context };
    let cell = rt.cells.mrs.alloc(key, ibv_mr { context, pd, addr, length, handle: key.index(), lkey, rkey });
    let serial = fabric.next_serial();
    fabric.shared.mrs.insert(Mr {
        cell,
        pd: of,
        iova,
        host: addr as u64,
        length: length as u64,
        access: rights,
        lkey,
        rkey,
        invalidated: false,
        spared: is_spared(),
        serial,
    });
    if let Some(p) = fabric.shared.pds.get_mut(of) {
        p.children += 1;
    }
    Ok(cell)
}

/// Deregisters memory. Whoever still uses a key of it gets an error.
#[unsafe(no_mangle)]
pub extern "C" fn ibv_dereg_mr(mr: *mut ibv_mr) -> c_int {
    enter!(ibv_dereg_mr);
    or_errno(with(|rt| {
        let key = find(&rt.cells.mrs, &mut rt.fabric.shared, mr, "mr", |s, k| s.mrs.get(k).is_some())?;
        let made = rt.cells.mrs.made(mr);
        if let Some(gone) = rt.fabric.shared.mrs.remove(key) {
            rt.fabric.shared.mrs.deregistered.remember(&gone, made);
            if let Some(p) = rt.fabric.shared.pds.get_mut(gone.pd) {
                p.children -= 1;
            }
        }
        rt.cells.mrs.free(mr);
        Ok(())
    }))
}

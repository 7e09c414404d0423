//! The C API, `include/nvme_rdma_target.h`: pointer checks, casts and errno; no logic.
//!
//! Every entry point catches an unwind and answers `-EFAULT` then, so that no panic crosses into C.

#![allow(unsafe_code)]

use std::cell::RefCell;
use std::ffi::{CStr, CString, c_char, c_int};
use std::fmt::Display;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::ptr;

use crate::control::{Command, Misbehaviour};
use crate::options::{Options, SubsystemOptions, parse_address};
use crate::rdma::Target;

thread_local! {
    static LAST_ERROR: RefCell<CString> = RefCell::default();
}

/// `struct nvme_rdma_target_options`.
#[derive(Clone, Copy)]
#[repr(C)]
pub struct COptions {
    size: usize,
    listen: *const c_char,
    subsystems: *const *const c_char,
    subsystem_count: usize,
    in_capsule_data: u32,
    icdoff: u16,
    queue_entries: u16,
    io_queues: u16,
    mdts: u8,
    read_depth: u8,
    linger_ms: u32,
    descriptors: u8,
}

/// `struct nvme_rdma_target_counters`.
#[repr(C)]
pub struct CCounters {
    size: usize,
    accepted: u64,
    rejected: u64,
    commands: u64,
    responses: u64,
    keep_alives: u64,
}

/// `nvme_rdma_target_options_init`.
///
/// # Safety
/// `options` is NULL or points to `size` writable bytes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nvme_rdma_target_options_init(options: *mut COptions, size: usize) {
    if options.is_null() {
        return;
    }
    let defaults = COptions { size, ..defaults() };
    // SAFETY: the caller gave `size` writable bytes, the source has the smaller of both sizes, and they are plain data.
    unsafe {
        ptr::write_bytes(options.cast::<u8>(), 0, size);
        let length = size.min(size_of::<COptions>());
        ptr::copy_nonoverlapping(ptr::from_ref(&defaults).cast::<u8>(), options.cast::<u8>(), length);
    }
}

/// `nvme_rdma_target_start`.
///
/// # Safety
/// `options` is NULL or valid with valid strings; `target` is NULL or writable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nvme_rdma_target_start(options: *const COptions, target: *mut *mut Target) -> c_int {
    entry(|| {
        if options.is_null() || target.is_null() {
            return Err(failure(libc::EINVAL, "options or target is NULL"));
        }
        // SAFETY: `target` is writable, as the caller promised, and not NULL.
        unsafe { target.write(ptr::null_mut()) };
        // SAFETY: as the caller promised.
        let options = unsafe { read_options(options) }?;
        let started = Target::new(options).map_err(|error| failure(error.errno(), &error))?;
        // SAFETY: as above.
        unsafe { target.write(Box::into_raw(Box::new(started))) };
        Ok(0)
    })
}

/// `nvme_rdma_target_poll`.
///
/// # Safety
/// `target` is NULL or one that was started and not stopped, used by this thread alone.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nvme_rdma_target_poll(target: *mut Target, now_ns: u64) -> c_int {
    // SAFETY: the caller's promise is that of `with`.
    unsafe { with(target, |target| Ok(count(target.poll(now_ns)))) }
}

/// `nvme_rdma_target_stop`.
///
/// # Safety
/// As [`nvme_rdma_target_poll`]; `target` is not used afterwards.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nvme_rdma_target_stop(target: *mut Target) {
    if !target.is_null() {
        entry(|| {
            // SAFETY: made by Box::into_raw in start, and given up by the caller.
            drop(unsafe { Box::from_raw(target) });
            Ok(0)
        });
    }
}

/// `nvme_rdma_target_disconnect_all`.
///
/// # Safety
/// As [`nvme_rdma_target_poll`].
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nvme_rdma_target_disconnect_all(target: *mut Target, now_ns: u64) -> c_int {
    let disconnect = |target: &mut Target| {
        target.disconnect_all(now_ns);
        Ok(0)
    };
    // SAFETY: the caller's promise is that of `with`.
    unsafe { with(target, disconnect) }
}

/// `nvme_rdma_target_port`.
///
/// # Safety
/// As [`nvme_rdma_target_poll`].
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nvme_rdma_target_port(target: *const Target, index: usize) -> c_int {
    let port = |target: &mut Target| match target.addresses().nth(index) {
        Some(address) => Ok(address.port().into()),
        None => Err(failure(libc::ENOENT, "there is no such listener")),
    };
    // SAFETY: the caller's promise is that of `with`.
    unsafe { with(target.cast_mut(), port) }
}

/// `nvme_rdma_target_connections`.
///
/// # Safety
/// As [`nvme_rdma_target_poll`].
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nvme_rdma_target_connections(target: *const Target) -> c_int {
    // SAFETY: the caller's promise is that of `with`.
    unsafe { with(target.cast_mut(), |target| Ok(count(target.connections()))) }
}

/// `nvme_rdma_target_descriptor`.
///
/// # Safety
/// As [`nvme_rdma_target_poll`].
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nvme_rdma_target_descriptor(target: *const Target) -> c_int {
    // SAFETY: the caller's promise is that of `with`.
    unsafe { with(target.cast_mut(), |target| Ok(target.descriptor())) }
}

/// `nvme_rdma_target_get_counters`.
///
/// # Safety
/// As [`nvme_rdma_target_poll`]; `counters` is NULL or points to as many writable bytes as its `size` says.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nvme_rdma_target_get_counters(
    target: *const Target,
    counters: *mut CCounters,
) -> c_int {
    let get = |target: &mut Target| {
        if counters.is_null() {
            return Err(failure(libc::EINVAL, "counters is NULL"));
        }
        // SAFETY: every version of the structure starts with its size, which the caller has set.
        let size = unsafe { ptr::addr_of!((*counters).size).read_unaligned() };
        let now = target.counters();
        let answer = CCounters {
            size,
            accepted: now.accepted,
            rejected: now.rejected,
            commands: now.commands,
            responses: now.responses,
            keep_alives: now.keep_alives,
        };
        let length = size.min(size_of::<CCounters>());
        // SAFETY: `size` bytes are writable, and not more are written.
        unsafe { ptr::copy_nonoverlapping(ptr::from_ref(&answer).cast::<u8>(), counters.cast(), length) };
        Ok(0)
    };
    // SAFETY: the caller's promise is that of `with`.
    unsafe { with(target.cast_mut(), get) }
}

/// `nvme_rdma_target_misbehave`.
///
/// # Safety
/// As [`nvme_rdma_target_poll`].
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nvme_rdma_target_misbehave(target: *mut Target, how: c_int, after: u64) -> c_int {
    let command = |how| Command::Misbehave { how, after };
    // SAFETY: the caller's promise is that of `with`.
    unsafe { with(target, |target| control(target, &command(misbehaviour(how)?))) }
}

/// `nvme_rdma_target_behave`.
///
/// # Safety
/// As [`nvme_rdma_target_poll`].
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nvme_rdma_target_behave(target: *mut Target, how: c_int) -> c_int {
    // SAFETY: the caller's promise is that of `with`.
    unsafe { with(target, |target| control(target, &Command::Behave(misbehaviour(how)?))) }
}

/// `nvme_rdma_target_drop_subsystem`.
///
/// # Safety
/// As [`nvme_rdma_target_poll`]; `nqn` is NULL or a string.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nvme_rdma_target_drop_subsystem(target: *mut Target, nqn: *const c_char) -> c_int {
    // SAFETY: the caller's promises are those of `with` and `text`.
    unsafe { with(target, |target| control(target, &Command::Drop(text(nqn)?))) }
}

/// `nvme_rdma_target_add_subsystem`.
///
/// # Safety
/// As [`nvme_rdma_target_drop_subsystem`].
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nvme_rdma_target_add_subsystem(target: *mut Target, nqn: *const c_char) -> c_int {
    // SAFETY: the caller's promises are those of `with` and `text`.
    unsafe { with(target, |target| control(target, &Command::Add(text(nqn)?))) }
}

/// `nvme_rdma_target_control`.
///
/// # Safety
/// As [`nvme_rdma_target_poll`]; `command` is NULL or a string.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nvme_rdma_target_control(target: *mut Target, command: *const c_char) -> c_int {
    let run = |target: &mut Target| {
        // SAFETY: `command` is NULL or a string.
        let command = unsafe { text(command) }?;
        let command = command.parse().map_err(|error| failure(libc::EINVAL, error))?;
        control(target, &command)
    };
    // SAFETY: the caller's promise is that of `with`.
    unsafe { with(target, run) }
}

/// `nvme_rdma_target_error`.
#[unsafe(no_mangle)]
pub extern "C" fn nvme_rdma_target_error() -> *const c_char {
    // The string stays where it is until `failure` replaces it.
    LAST_ERROR.with_borrow(|error| error.as_ptr())
}

/// A negative errno whose text was noted.
struct Failure(c_int);

fn failure(errno: i32, why: impl Display) -> Failure {
    let why = CString::new(why.to_string().replace('\0', " ")).unwrap_or_default();
    LAST_ERROR.with(|error| error.replace(why));
    Failure(-errno.saturating_abs().max(1))
}

fn entry(body: impl FnOnce() -> Result<c_int, Failure>) -> c_int {
    match catch_unwind(AssertUnwindSafe(body)) {
        Ok(Ok(value)) => value,
        Ok(Err(Failure(errno))) => errno,
        Err(_) => failure(libc::EFAULT, "the target failed internally").0,
    }
}

/// # Safety
/// `target` is NULL or a started target that nobody else uses at the time.
unsafe fn with(target: *mut Target, body: impl FnOnce(&mut Target) -> Result<c_int, Failure>) -> c_int {
    entry(|| {
        // SAFETY: as the caller promised.
        match unsafe { target.as_mut() } {
            Some(target) => body(target),
            None => Err(failure(libc::EINVAL, "target is NULL")),
        }
    })
}

/// # Safety
/// `string` is NULL or points to a string that ends with NUL.
unsafe fn text(string: *const c_char) -> Result<String, Failure> {
    if string.is_null() {
        return Err(failure(libc::EINVAL, "a string is NULL"));
    }
    // SAFETY: as the caller promised.
    let string = unsafe { CStr::from_ptr(string) };
    string.to_str().map(str::to_owned).map_err(|_| failure(libc::EINVAL, "a string is not UTF-8"))
}

/// # Safety
/// `options` points to a structure of as many bytes as its `size` says, with valid strings.
unsafe fn read_options(options: *const COptions) -> Result<Options, Failure> {
    // SAFETY: every version of the structure starts with its size.
    let size = unsafe { ptr::addr_of!((*options).size).read_unaligned() };
    if size < size_of::<usize>() * 4 {
        return Err(failure(libc::EINVAL, "the size of the options is not set"));
    }
    let mut given = defaults();
    // SAFETY: `size` bytes are readable, the destination has the smaller of both sizes, and every bit pattern of the
    // integers and raw pointers in it is valid.
    unsafe {
        let length = size.min(size_of::<COptions>());
        ptr::copy_nonoverlapping(options.cast::<u8>(), ptr::from_mut(&mut given).cast::<u8>(), length);
    }
    // SAFETY: `listen` is a string or NULL.
    let listen = unsafe { text(given.listen) }?;
    let wrong = |error| failure(libc::EINVAL, error);
    let listen = listen.split(',').map(parse_address).collect::<Result<_, _>>().map_err(wrong)?;
    let mut subsystems = Vec::new();
    if !given.subsystems.is_null() {
        for index in 0..given.subsystem_count {
            // SAFETY: the array has `subsystem_count` entries, each a string or NULL.
            let subsystem = unsafe { text(given.subsystems.add(index).read()) }?;
            subsystems.push(SubsystemOptions::parse(&subsystem).map_err(wrong)?);
        }
    }
    Ok(Options {
        listen,
        subsystems,
        queue_entries: given.queue_entries,
        io_queues: given.io_queues,
        in_capsule_data: given.in_capsule_data,
        icdoff: given.icdoff,
        mdts: given.mdts,
        read_depth: given.read_depth,
        linger_ms: given.linger_ms,
        descriptors: given.descriptors,
    })
}

fn defaults() -> COptions {
    let options = Options::default();
    COptions {
        size: size_of::<COptions>(),
        listen: ptr::null(),
        subsystems: ptr::null(),
        subsystem_count: 0,
        in_capsule_data: options.in_capsule_data,
        icdoff: options.icdoff,
        queue_entries: options.queue_entries,
        io_queues: options.io_queues,
        mdts: options.mdts,
        read_depth: options.read_depth,
        linger_ms: options.linger_ms,
        descriptors: options.descriptors,
    }
}

fn misbehaviour(how: c_int) -> Result<Misbehaviour, Failure> {
    match how {
        1 => Ok(Misbehaviour::CidOutOfRange),
        2 => Ok(Misbehaviour::CidIdle),
        3 => Ok(Misbehaviour::RepeatResponse),
        4 => Ok(Misbehaviour::Silent),
        5 => Ok(Misbehaviour::RejectConnections),
        _ => Err(failure(libc::EINVAL, "there is no such misbehaviour")),
    }
}

fn control(target: &mut Target, command: &Command) -> Result<c_int, Failure> {
    target.control(command).map_err(|error| failure(error.errno(), &error))?;
    Ok(0)
}

fn count(number: usize) -> c_int {
    c_int::try_from(number).unwrap_or(c_int::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn last_error() -> String {
        // SAFETY: the function returns a string of this thread.
        unsafe { CStr::from_ptr(nvme_rdma_target_error()) }.to_str().unwrap().to_owned()
    }

    #[test]
    fn bad_arguments_are_answered() {
        let mut target = ptr::null_mut();
        let mut options = defaults();
        // SAFETY: pointers to locals, or NULL as the functions allow.
        unsafe {
            assert_eq!(nvme_rdma_target_start(ptr::null(), &mut target), -libc::EINVAL);
            assert_eq!(nvme_rdma_target_start(&options, ptr::null_mut()), -libc::EINVAL);
            assert_eq!(nvme_rdma_target_start(&options, &mut target), -libc::EINVAL);
            assert_eq!(last_error(), "a string is NULL");
            options.listen = c"300.0.0.1:1".as_ptr();
            assert_eq!(nvme_rdma_target_start(&options, &mut target), -libc::EINVAL);
            assert!(last_error().contains("300.0.0.1:1"));
            options.listen = c"127.0.0.1:0".as_ptr();
            options.mdts = 11;
            assert_eq!(nvme_rdma_target_start(&options, &mut target), -libc::EINVAL);
            assert_eq!(last_error(), "MDTS is 11, out of range 0 to 10");
            options.size = 8;
            assert_eq!(nvme_rdma_target_start(&options, &mut target), -libc::EINVAL);
            assert!(target.is_null());
            assert_eq!(nvme_rdma_target_poll(ptr::null_mut(), 0), -libc::EINVAL);
            nvme_rdma_target_stop(ptr::null_mut());
        }
    }

    #[test]
    fn an_older_caller_gets_no_more_than_it_has_room_for() {
        let mut place = [0xaau8; size_of::<COptions>()];
        // SAFETY: the array has the bytes that are named.
        unsafe { nvme_rdma_target_options_init(place.as_mut_ptr().cast(), 36) };
        assert_eq!(place[32..36], 4096u32.to_ne_bytes());
        assert!(place[36..].iter().all(|byte| *byte == 0xaa));
    }

    #[test]
    fn what_an_older_caller_does_not_know_has_its_default() {
        let before = std::mem::offset_of!(COptions, descriptors);
        let mut options = defaults();
        options.listen = c"127.0.0.1:0".as_ptr();
        options.descriptors = 3;
        // SAFETY: the structure is a local one, and its strings are constants.
        let read = |options: &COptions| unsafe { read_options(options) }.ok().unwrap().descriptors;
        assert_eq!(read(&options), 3);
        options.size = before;
        assert_eq!(read(&options), Options::default().descriptors);
    }
}

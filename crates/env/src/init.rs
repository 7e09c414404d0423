//! `spdk_env_opts_init`, `spdk_env_init`, `spdk_env_fini`.
//!
//! Nothing has to be started here: memory is mapped when it is asked for. `spdk_env_init` takes the cores and the memory
//! limit; options about hugepages, PCI and shared memory are accepted and have no meaning.
#![allow(unsafe_code)]

use std::ffi::{c_char, c_int, c_void};
use std::mem::offset_of;
use std::ptr::{null, null_mut};
use std::sync::atomic::{AtomicBool, Ordering};

use crate::log::error;
use crate::{cores, cstr, memory};

/// `struct spdk_env_opts`.
#[repr(C)]
#[derive(Clone, Copy)]
pub(crate) struct EnvOpts {
    name: *const c_char,
    core_mask: *const c_char,
    lcore_map: *const c_char,
    shm_id: c_int,
    mem_channel: c_int,
    main_core: c_int,
    mem_size: c_int,
    no_pci: bool,
    hugepage_single_segments: bool,
    unlink_hugepage: bool,
    no_huge: bool,
    reserved: u32,
    num_pci_addr: usize,
    hugedir: *const c_char,
    pci_blocked: *mut c_void,
    pci_allowed: *mut c_void,
    iova_mode: *const c_char,
    base_virtaddr: u64,
    env_context: *mut c_void,
    vf_token: *const c_char,
    opts_size: usize,
    enforce_numa: bool,
    reserved2: [u8; 7],
}

/// Bytes of the struct's first form, which every caller has.
const FIRST_FORM: usize = offset_of!(EnvOpts, opts_size) + size_of::<usize>();

/// Whether the environment was started before: from then on it is started again without options.
static STARTED: AtomicBool = AtomicBool::new(false);

/// Fills in the defaults, as far as the caller's struct reaches (`opts->opts_size`, at least its first form).
///
/// # Safety
/// `opts` is NULL or writable for `opts_size` bytes, and for its first form in any case.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn spdk_env_opts_init(opts: *mut EnvOpts) {
    if opts.is_null() {
        return;
    }
    // SAFETY: inside of the struct's first form.
    let opts_size = unsafe { (&raw const (*opts).opts_size).read() };
    let defaults = EnvOpts {
        name: c"spdk".as_ptr(),
        core_mask: DEFAULT_CORE_MASK.as_ptr(),
        lcore_map: null(),
        shm_id: -1,
        mem_channel: -1,
        main_core: -1,
        mem_size: -1,
        no_pci: false,
        hugepage_single_segments: false,
        unlink_hugepage: false,
        no_huge: false,
        reserved: 0,
        num_pci_addr: 0,
        hugedir: null(),
        pci_blocked: null_mut(),
        pci_allowed: null_mut(),
        iova_mode: null(),
        base_virtaddr: 0x2000_0000_0000,
        env_context: null_mut(),
        vf_token: null(),
        opts_size,
        enforce_numa: false,
        reserved2: [0; 7],
    };
    let length = opts_size.clamp(FIRST_FORM, size_of::<EnvOpts>());
    // SAFETY: both are at least `length` bytes, by the contract of this function.
    unsafe { opts.cast::<u8>().copy_from_nonoverlapping((&raw const defaults).cast(), length) };
}

const DEFAULT_CORE_MASK: &std::ffi::CStr = c"0x1";

/// Starts the environment. NULL is for a second start after [`spdk_env_fini`].
///
/// # Safety
/// `opts` is NULL or readable for its `opts_size`, at least its first form; its strings are strings or NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn spdk_env_init(opts: *const EnvOpts) -> c_int {
    if opts.is_null() != STARTED.load(Ordering::Acquire) {
        error!("spdk_env_init takes options at the first start, and none from then on");
        return -libc::EINVAL;
    }
    if opts.is_null() {
        return 0;
    }
    // SAFETY: inside of the struct's first form.
    let (mask, main_core, mem_size, opts_size) = unsafe {
        (
            (&raw const (*opts).core_mask).read(),
            (&raw const (*opts).main_core).read(),
            (&raw const (*opts).mem_size).read(),
            (&raw const (*opts).opts_size).read(),
        )
    };
    if opts_size < FIRST_FORM {
        error!(
            "opts_size {opts_size} is too small: set it before spdk_env_opts_init; {FIRST_FORM} is assumed"
        );
    }
    // SAFETY: NULL or a string.
    let mask = unsafe { cstr::borrow(mask) }.unwrap_or(DEFAULT_CORE_MASK).to_string_lossy();
    if let Err(reason) = cores::configure(&mask, main_core) {
        error!("core mask '{mask}': {reason}");
        return -libc::EINVAL;
    }
    memory::set_limit(
        usize::try_from(mem_size).ok().filter(|mib| *mib > 0).map(|mib| mib.saturating_mul(1 << 20)),
    );
    STARTED.store(true, Ordering::Release);
    0
}

/// Ends the environment: waits for no one, gives back memory without buffers in it.
#[unsafe(no_mangle)]
pub extern "C" fn spdk_env_fini() {
    memory::release_unused();
}

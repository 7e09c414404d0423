//! Cores: which ones the program has, threads on them, and affinity.
//!
//! The cores come from the core mask that `spdk_env_init` is given. Unlike under DPDK, the calling thread is not moved
//! to the main core, and no thread waits on the others: `spdk_env_thread_launch_pinned` makes one when it is called.
#![allow(unsafe_code)]

use std::cell::Cell;
use std::ffi::{c_int, c_void};
use std::thread::JoinHandle;

use parking_lot::Mutex;

/// `SPDK_ENV_LCORE_ID_ANY`, and the end of an iteration.
const NO_CORE: u32 = u32::MAX;

struct Cores {
    /// Ascending, not empty.
    dedicated: Vec<u32>,
    main: u32,
    threads: Vec<(u32, JoinHandle<()>)>,
}

static CORES: Mutex<Cores> = Mutex::new(Cores { dedicated: Vec::new(), main: 0, threads: Vec::new() });

thread_local! {
    static CURRENT: Cell<u32> = const { Cell::new(NO_CORE) };
    static UNPINNED: Cell<bool> = const { Cell::new(false) };
}

pub(crate) type ThreadStart = Option<unsafe extern "C" fn(*mut c_void) -> c_int>;

/// Why a core mask cannot be used.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum MaskError {
    #[error("neither a hexadecimal mask nor a list in brackets")]
    Syntax,
    #[error("no core in it")]
    Empty,
    #[error("the main core {0} is not in it")]
    MainCore(c_int),
}

/// Takes the cores of a mask ("0x5", "5") or list ("[0,2-3]"); `main` below 0 means the first. The calling thread is the
/// main core's from now on.
pub(crate) fn configure(mask: &str, main: c_int) -> Result<(), MaskError> {
    let dedicated = parse_mask(mask)?;
    let first = *dedicated.first().ok_or(MaskError::Empty)?;
    let main = match u32::try_from(main) {
        Err(_) => first,
        Ok(core) if dedicated.contains(&core) => core,
        Ok(_) => return Err(MaskError::MainCore(main)),
    };
    let mut cores = CORES.lock();
    cores.dedicated = dedicated;
    cores.main = main;
    CURRENT.set(main);
    Ok(())
}

#[unsafe(no_mangle)]
pub extern "C" fn spdk_env_get_core_count() -> u32 {
    u32::try_from(dedicated().len()).unwrap_or(NO_CORE)
}

#[unsafe(no_mangle)]
pub extern "C" fn spdk_env_get_current_core() -> u32 {
    CURRENT.try_with(Cell::get).unwrap_or(NO_CORE)
}

#[unsafe(no_mangle)]
pub extern "C" fn spdk_env_get_main_core() -> u32 {
    CORES.lock().main
}

#[unsafe(no_mangle)]
pub extern "C" fn spdk_env_get_first_core() -> u32 {
    dedicated().first().copied().unwrap_or(NO_CORE)
}

#[unsafe(no_mangle)]
pub extern "C" fn spdk_env_get_last_core() -> u32 {
    dedicated().last().copied().unwrap_or(NO_CORE)
}

#[unsafe(no_mangle)]
pub extern "C" fn spdk_env_get_next_core(prev_core: u32) -> u32 {
    dedicated().into_iter().find(|core| *core > prev_core).unwrap_or(NO_CORE)
}

/// Memory is not placed by node, so all cores count as one node's.
#[unsafe(no_mangle)]
pub extern "C" fn spdk_env_get_numa_id(_core: u32) -> i32 {
    0
}

/// The name of [`spdk_env_get_numa_id`] up to SPDK v25.05.
#[unsafe(no_mangle)]
pub extern "C" fn spdk_env_get_socket_id(_core: u32) -> u32 {
    0
}

#[unsafe(no_mangle)]
pub extern "C" fn spdk_env_get_first_numa_id() -> i32 {
    0
}

#[unsafe(no_mangle)]
pub extern "C" fn spdk_env_get_last_numa_id() -> i32 {
    0
}

#[unsafe(no_mangle)]
pub extern "C" fn spdk_env_get_next_numa_id(_prev_numa_id: i32) -> i32 {
    i32::MAX
}

/// Starts a thread on a core, one at a time for each core, and not on the main one.
///
/// # Safety
/// `func` can be called with `arg` on another thread.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn spdk_env_thread_launch_pinned(
    core: u32,
    func: ThreadStart,
    arg: *mut c_void,
) -> c_int {
    let Some(function) = func else { return -libc::EINVAL };
    let mut cores = CORES.lock();
    if !cores.dedicated.contains(&core) || core == cores.main {
        return -libc::EINVAL;
    }
    cores.threads.retain(|(_, thread)| !thread.is_finished());
    if cores.threads.iter().any(|(busy, _)| *busy == core) {
        return -libc::EBUSY;
    }
    let call = Call { function, argument: arg };
    let started = std::thread::Builder::new().name(format!("spdk-core-{core}")).spawn(move || {
        CURRENT.set(core);
        // A core that the process may not use leaves the thread where it is: slower, but it runs.
        pin_to(|cpu| cpu == core as usize);
        call.run();
    });
    match started {
        Ok(thread) => {
            cores.threads.push((core, thread));
            0
        }
        Err(error) => -error.raw_os_error().unwrap_or(libc::EAGAIN),
    }
}

#[unsafe(no_mangle)]
pub extern "C" fn spdk_env_thread_wait_all() {
    let threads = std::mem::take(&mut CORES.lock().threads);
    for (_, thread) in threads {
        // A thread that ended by a panic has ended as well.
        let _ = thread.join();
    }
}

#[unsafe(no_mangle)]
pub extern "C" fn spdk_process_is_primary() -> bool {
    true
}

#[unsafe(no_mangle)]
pub extern "C" fn spdk_get_tid() -> c_int {
    // SAFETY: no requirement.
    unsafe { libc::gettid() }
}

/// Lets the calling thread run on every core again.
#[unsafe(no_mangle)]
pub extern "C" fn spdk_unaffinitize_thread() {
    if !UNPINNED.replace(true) {
        pin_to(|_| true);
    }
}

/// Calls `cb` without affinity, for example to make threads that do not inherit it.
///
/// # Safety
/// `cb` is NULL or can be called with `arg`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn spdk_call_unaffinitized(
    cb: Option<unsafe extern "C" fn(*mut c_void) -> *mut c_void>,
    arg: *mut c_void,
) -> *mut c_void {
    let Some(function) = cb else { return std::ptr::null_mut() };
    if UNPINNED.get() {
        // SAFETY: by the contract of this function.
        return unsafe { function(arg) };
    }
    // SAFETY: all zeros is an empty set.
    let mut before: libc::cpu_set_t = unsafe { std::mem::zeroed() };
    // SAFETY: writable for its size; 0 is the calling thread.
    let known = unsafe { libc::sched_getaffinity(0, size_of_val(&before), &raw mut before) } == 0;
    spdk_unaffinitize_thread();
    // SAFETY: by the contract of this function.
    let answer = unsafe { function(arg) };
    if known {
        // SAFETY: readable for its size; 0 is the calling thread.
        unsafe { libc::sched_setaffinity(0, size_of_val(&before), &raw const before) };
    }
    UNPINNED.set(false);
    answer
}

/// A function and its argument on their way to a thread.
struct Call {
    function: unsafe extern "C" fn(*mut c_void) -> c_int,
    argument: *mut c_void,
}

// SAFETY: spdk_env_thread_launch_pinned's caller says that the function can be called with it on another thread.
unsafe impl Send for Call {}

impl Call {
    fn run(self) {
        // SAFETY: as the caller of spdk_env_thread_launch_pinned promised.
        unsafe { (self.function)(self.argument) };
    }
}

/// The program's cores; before `spdk_env_init`, the first one.
fn dedicated() -> Vec<u32> {
    let cores = CORES.lock();
    if cores.dedicated.is_empty() { vec![0] } else { cores.dedicated.clone() }
}

/// Restricts the calling thread to the chosen ones of all CPUs that there can be. Refused by the kernel: no change.
fn pin_to(chosen: impl Fn(usize) -> bool) {
    // SAFETY: all zeros is an empty set.
    let mut set: libc::cpu_set_t = unsafe { std::mem::zeroed() };
    for cpu in (0..libc::CPU_SETSIZE as usize).filter(|cpu| chosen(*cpu)) {
        // SAFETY: `cpu` is below CPU_SETSIZE.
        unsafe { libc::CPU_SET(cpu, &mut set) };
    }
    // SAFETY: readable for its size; 0 is the calling thread.
    unsafe { libc::sched_setaffinity(0, size_of_val(&set), &raw const set) };
}

fn parse_mask(mask: &str) -> Result<Vec<u32>, MaskError> {
    let mask = mask.trim();
    let mut cores: Vec<u32> = match mask.strip_prefix('[').and_then(|list| list.strip_suffix(']')) {
        Some(list) => parse_list(list)?,
        None => {
            let digits = mask.strip_prefix("0x").or_else(|| mask.strip_prefix("0X")).unwrap_or(mask);
            let mut found = Vec::new();
            for (position, digit) in (0u32..).zip(digits.chars().rev()) {
                let value = digit.to_digit(16).ok_or(MaskError::Syntax)?;
                let low = position.saturating_mul(4);
                found.extend((0..4).filter(|bit| value & (1 << bit) != 0).map(|bit| low.saturating_add(bit)));
            }
            found
        }
    };
    cores.sort_unstable();
    cores.dedup();
    match cores.last() {
        None => Err(MaskError::Empty),
        Some(last) if *last >= MAX_CORES => Err(MaskError::Syntax),
        Some(_) => Ok(cores),
    }
}

/// Cores are numbered below this, as in `struct spdk_cpuset`.
const MAX_CORES: u32 = 1024;

fn parse_list(list: &str) -> Result<Vec<u32>, MaskError> {
    let mut cores = Vec::new();
    for item in list.split(',') {
        let (first, last) = item.split_once('-').unwrap_or((item, item));
        let number = |text: &str| text.trim().parse::<u32>().ok().filter(|core| *core < MAX_CORES);
        match (number(first), number(last)) {
            (Some(first), Some(last)) if first <= last => cores.extend(first..=last),
            _ => return Err(MaskError::Syntax),
        }
    }
    Ok(cores)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn masks_and_lists() {
        assert_eq!(parse_mask("0x1"), Ok(vec![0]));
        assert_eq!(parse_mask("f0"), Ok(vec![4, 5, 6, 7]));
        assert_eq!(parse_mask("0x80000000000000000"), Ok(vec![67]));
        assert_eq!(parse_mask("[0,2-4, 3]"), Ok(vec![0, 2, 3, 4]));
    }

    #[test]
    fn masks_that_are_none() {
        assert_eq!(parse_mask("0x0"), Err(MaskError::Empty));
        assert_eq!(parse_mask(""), Err(MaskError::Empty));
        for mask in ["0xg", "[1-", "[3-1]", "[]", "[1,,2]", "[5000]", "[0-4294967295]"] {
            assert_eq!(parse_mask(mask), Err(MaskError::Syntax), "{mask}");
        }
        assert_eq!(parse_mask(&"f".repeat(400)), Err(MaskError::Syntax));
    }
}

//! SPDK's environment: the clock, and what a waiting thread does.
//!
//! Preloaded or linked into an SPDK program it is SPDK's own, else `libspdk_env_rdma`. Where this code is linked with it
//! (the static archive, a Rust program) its symbols are the linker's business. The shared library has no undefined
//! symbol of it, so that it loads anywhere, and looks for it among what is loaded when it is first needed:
//! `env/loaded.c`.
//!
//! What must hold: an entry that makes something which needs the environment calls [`install`] first, and goes no
//! further without it.

use crate::clock::{self, Clock, NoRate};
use libc::{c_char, c_void};
use parking_lot::Mutex;
use std::ffi::CStr;

unsafe extern "C" {
    safe fn spdk_get_ticks() -> u64;
    safe fn spdk_get_ticks_hz() -> u64;

    /// The name of a symbol that the environment lacks; NULL if it is complete.
    safe fn nvme_rdma_env_missing() -> *const c_char;
}

/// Why there is no environment to work with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum NotReady {
    #[error(
        "there is no SPDK environment in this process: no library has {0}; libspdk_env_rdma is one, \
         SPDK's libspdk_env_dpdk another"
    )]
    Missing(&'static str),
    #[error("{0}; spdk_env_init comes first")]
    NoRate(#[from] NoRate),
}

/// What a program wants to be called once a turn while the library waits.
pub(super) type WaitHook = unsafe extern "C" fn(*mut c_void);

#[derive(Clone, Copy)]
struct Hook {
    function: WaitHook,
    argument: *mut c_void,
}

// SAFETY: the argument is only ever given back to the program's function, which the program allowed to be called from
// any thread that waits.
unsafe impl Send for Hook {}

static HOOK: Mutex<Option<Hook>> = Mutex::new(None);

/// Finds the environment, and makes its clock the library's. Once that is done this does nothing more.
pub(super) fn install() -> Result<(), NotReady> {
    let missing = nvme_rdma_env_missing();
    if !missing.is_null() {
        // SAFETY: it is NULL or a string of the C code that lives as long as the library.
        let name = unsafe { CStr::from_ptr::<'static>(missing) };
        return Err(NotReady::Missing(name.to_str().unwrap_or("a symbol")));
    }
    clock::install(Clock { ticks: || spdk_get_ticks(), ticks_hz: || spdk_get_ticks_hz(), relax })?;
    Ok(())
}

pub(super) fn set_wait_hook(function: Option<WaitHook>, argument: *mut c_void) {
    *HOOK.lock() = function.map(|function| Hook { function, argument });
}

/// One turn of a wait in which nothing happened: the program's hook, or else other threads have their turn.
pub(super) fn relax() {
    // Not called under the lock: the hook may set another one.
    let hook = *HOOK.lock();
    match hook {
        // SAFETY: the program gave the function to be called with this argument.
        Some(hook) => unsafe { (hook.function)(hook.argument) },
        None => std::thread::yield_now(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicU32, Ordering};

    #[test]
    fn the_hook_is_called_once_a_turn_until_it_is_taken_away() {
        unsafe extern "C" fn count(argument: *mut c_void) {
            // SAFETY: the test gives a counter that outlives the hook.
            unsafe { &*argument.cast::<AtomicU32>() }.fetch_add(1, Ordering::Relaxed);
        }
        static TURNS: AtomicU32 = AtomicU32::new(0);
        set_wait_hook(Some(count), (&raw const TURNS).cast_mut().cast());
        relax();
        relax();
        let turns = TURNS.load(Ordering::Relaxed);
        set_wait_hook(None, std::ptr::null_mut());
        relax();
        assert!(turns >= 2);
    }

    #[test]
    fn the_environments_clock_goes_forward() {
        let before = spdk_get_ticks();
        assert!(spdk_get_ticks_hz() > 1000);
        assert!(spdk_get_ticks() >= before);
    }
}

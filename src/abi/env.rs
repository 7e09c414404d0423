//! SPDK's environment: the clock, and what a waiting thread does.
//!
//! These symbols stay undefined in the shared library: preloaded or linked into an SPDK program they are SPDK's own,
//! else `libspdk_env_rdma`'s.

use crate::clock::{self, Clock};
use libc::c_void;
use parking_lot::Mutex;

unsafe extern "C" {
    safe fn spdk_get_ticks() -> u64;
    safe fn spdk_get_ticks_hz() -> u64;
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

/// Makes the environment's clock the library's.
pub(super) fn install() {
    clock::install(Clock { ticks: || spdk_get_ticks(), ticks_hz: || spdk_get_ticks_hz(), relax });
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

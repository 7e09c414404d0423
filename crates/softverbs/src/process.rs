//! The one fabric of a process, from its first call to its end, and what a fork makes of it.
//!
//! A child that is forked has no fabric until it calls something: then it gets one of its own, as a program that was started does.
//! Its parent's objects are nothing to it, and the parent's connections, listeners and ports stay the parent's alone.

#![allow(unsafe_code)]

use std::cell::UnsafeCell;
use std::ptr::null_mut;
use std::sync::atomic::{AtomicBool, AtomicPtr, Ordering};
use std::sync::{self, PoisonError};
use std::time::Duration;

use parking_lot::{Mutex, MutexGuard};

use crate::runtime::Runtime;

/// How long a fork, or the end of the process, waits for a thread that is in a call.
const PATIENCE: Duration = Duration::from_secs(1);

/// Null, or the fabric, which is never freed.
static CURRENT: AtomicPtr<Mutex<Runtime>> = AtomicPtr::new(null_mut());
/// Held by who makes the fabric. It is the standard library's, which can be given back in a forked child.
static MAKING: sync::Mutex<()> = sync::Mutex::new(());
/// This process was forked from one that had a fabric.
static CHILD: AtomicBool = AtomicBool::new(false);

/// What a fork holds from before to after it: nobody makes a fabric, and nobody is in a call (none if one does not leave it).
type Locks = (sync::MutexGuard<'static, ()>, Option<MutexGuard<'static, Runtime>>);

/// Where that is kept meanwhile.
struct Held(UnsafeCell<Option<Locks>>);

// SAFETY: only the handlers below use it, and the C library lets one thread at a time fork.
unsafe impl Sync for Held {}

static HELD: Held = Held(UnsafeCell::new(None));

/// The process's fabric, made at the first call.
#[inline]
pub fn current() -> &'static Mutex<Runtime> {
    existing().unwrap_or_else(make)
}

#[inline]
fn existing() -> Option<&'static Mutex<Runtime>> {
    // SAFETY: null, or a box that was leaked in `make`.
    unsafe { CURRENT.load(Ordering::Acquire).as_ref() }
}

#[cold]
fn make() -> &'static Mutex<Runtime> {
    let _making = MAKING.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(made) = existing() {
        return made;
    }
    if !CHILD.load(Ordering::Relaxed) {
        // SAFETY: functions without arguments that stay loaded. A failure only costs what they are for.
        unsafe { libc::pthread_atfork(Some(before_fork), Some(in_parent), Some(in_child)) };
    }
    let made = Box::leak(Box::new(Mutex::new(Runtime::new())));
    CURRENT.store(made, Ordering::Release);
    made
}

/// Whether this process was forked from one that had a fabric.
pub fn is_child() -> bool {
    CHILD.load(Ordering::Relaxed)
}

/// Locks if this process has a fabric and nobody holds it for long: for the end of the process.
pub fn lock_at_exit() -> Option<MutexGuard<'static, Runtime>> {
    let runtime = existing()?.try_lock_for(PATIENCE)?;
    // A child that was made without the C library (or shares its parent's memory) still has its parent's.
    (runtime.pid == std::process::id()).then_some(runtime)
}

extern "C" fn before_fork() {
    let making = MAKING.lock().unwrap_or_else(PoisonError::into_inner);
    // A thread that does not leave its call: the child gets nothing of what it may be changing.
    let runtime = existing().and_then(|r| r.try_lock_for(PATIENCE));
    // SAFETY: one thread at a time is here, see `Held`.
    unsafe { *HELD.0.get() = Some((making, runtime)) };
}

extern "C" fn in_parent() {
    // SAFETY: as above.
    drop(unsafe { (*HELD.0.get()).take() });
}

/// The child forgets the fabric. Its memory stays: the program may still have pointers to objects, which must not lead into the
/// void. What other processes could notice goes: sockets, and names that only one process can hold.
extern "C" fn in_child() {
    // SAFETY: as above; the child has this one thread.
    let Some((making, runtime)) = (unsafe { (*HELD.0.get()).take() }) else { return };
    CHILD.store(true, Ordering::Relaxed);
    CURRENT.store(null_mut(), Ordering::Release);
    if let Some(mut runtime) = runtime {
        runtime.net = Default::default();
        runtime.ports.clear();
        runtime.qpn_blocks.clear();
        // Whoever waits for this lock in the parent is not here to be woken.
        std::mem::forget(runtime);
    }
    drop(making);
}

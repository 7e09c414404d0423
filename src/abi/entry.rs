//! What every entry does around its body: check the handle, pass a foreign one on, catch an unwind.
//!
//! What must hold:
//! * a handle that is not ours goes to the next definition of the same symbol, or gets the entry's error value;
//! * no unwind leaves an entry: it costs one log line, what the handle belongs to is failed, and the caller gets the
//!   entry's error value;
//! * on the way of one I/O this is a few instructions: no lock, no atomic read-modify-write.

use super::handles::Object;
use std::{
    ffi::{CStr, c_char, c_void},
    panic::{AssertUnwindSafe, catch_unwind},
    ptr,
    sync::atomic::{AtomicPtr, AtomicU64, Ordering},
};

/// The body of an entry that takes a handle:
/// `entry!(symbol(arguments...), Type @ handle, error value, |object| body)`.
///
/// The body gets a reference to the handle's object, which is good until something is called that may free it; such
/// entries write `as share` after the type and get a share instead. `as acquired` is for entries that another thread's end
/// of the object may meet: it is had before that, or not at all. The entries of one I/O write
/// `hot |object| body, else |object| other body`: the first is for a handle that is live, the second, which does the same, for one
/// whose object is ending or in a long call.
macro_rules! entry {
    ($symbol:ident($($argument:expr),*), $type:ty as acquired, $handle:ident, $refused:expr, |$object:ident| $body:expr) => {
        match $crate::abi::handles::acquire::<$type>($handle) {
            $crate::abi::handles::Claim::Won($object) => {
                $crate::abi::entry::guard(stringify!($symbol), &*$object, $refused, || $body)
            }
            $crate::abi::handles::Claim::Foreign => {
                $crate::abi::entry::next_or_complain!($symbol($($argument),*), $handle, $refused)
            }
            $crate::abi::handles::Claim::Lost | $crate::abi::handles::Claim::Invalid => {
                $crate::abi::handles::complain(stringify!($symbol), $handle.addr());
                $refused
            }
        }
    };
    ($symbol:ident($($argument:expr),*), $type:ty $(as $how:ident)?, $handle:ident, $refused:expr, hot |$object:ident| $body:expr, else |$other:ident| $otherwise:expr) => {
        if $crate::abi::handles::is_live::<$type>($handle) {
            // SAFETY: the entry's contract: the handle's object is used by one thread at a time, and nobody else frees it
            // meanwhile. Bodies that may free it on this thread ask for a share.
            let object = unsafe { $crate::abi::handles::live::<$type>($handle) };
            let $object = $crate::abi::entry::hold!(object $(as $how)?);
            $crate::abi::entry::guard(stringify!($symbol), &*$object, $refused, || $body)
        } else {
            $crate::abi::entry::aside(move || {
                $crate::abi::entry::entry!(
                    $symbol($($argument),*),
                    $type $(as $how)?,
                    $handle,
                    $refused,
                    |$other| $otherwise
                )
            })
        }
    };
    ($symbol:ident($($argument:expr),*), $type:ty $(as $how:ident)? , $handle:ident, $refused:expr, |$object:ident| $body:expr) => {
        // SAFETY: the entry's contract: the handle's object is used by one thread at a time, and nobody else frees it
        // meanwhile. Bodies that may free it on this thread ask for a share.
        match unsafe { $crate::abi::handles::find::<$type>($handle) } {
            $crate::abi::handles::Found::Ours(object) => {
                let $object = $crate::abi::entry::hold!(object $(as $how)?);
                $crate::abi::entry::guard(stringify!($symbol), &*$object, $refused, || $body)
            }
            $crate::abi::handles::Found::Foreign => $crate::abi::entry::aside(move || {
                $crate::abi::entry::next_or_complain!($symbol($($argument),*), $handle, $refused)
            }),
            $crate::abi::handles::Found::Invalid => $crate::abi::entry::aside(move || {
                $crate::abi::handles::complain(stringify!($symbol), $handle.addr());
                $refused
            }),
        }
    };
}
pub(super) use entry;

/// Runs what few calls of an entry come to, where it costs the others nothing. What it needs must be moved to it: a reference to an
/// argument would keep that in memory for all.
#[cold]
#[inline(never)]
pub(super) fn aside<R>(rare: impl FnOnce() -> R) -> R {
    rare()
}

/// What the body of an entry gets: see [`entry!`].
macro_rules! hold {
    ($object:ident as share) => {
        // SAFETY: `find` gave the reference just now.
        unsafe { $crate::abi::handles::share($object) }
    };
    ($object:ident) => {
        $object
    };
}
pub(super) use hold;

/// Calls the next definition of a symbol with this entry's arguments. None if there is none.
macro_rules! next {
    ($symbol:ident($($argument:expr),*)) => {
        $crate::abi::entry::next_of!($symbol($($argument),*)).map(|next| {
            // SAFETY: the symbol's type is the same in every library that defines it, and the caller's arguments are
            // what it gave to this entry.
            unsafe { next($($argument),*) }
        })
    };
}
pub(super) use next;

/// The first statement of each entry that no handle tells whose it is: where the user wants none of this library, the next definition
/// answers.
macro_rules! pass_on_if_disabled {
    ($symbol:ident($($argument:expr),*)) => {
        if $crate::abi::disabled::disabled() {
            if let Some(answer) = $crate::abi::entry::next!($symbol($($argument),*)) {
                return answer;
            }
        }
    };
}
pub(super) use pass_on_if_disabled;

/// As [`next!`], for a call that is told by a handle; without a next definition that is nobody's handle.
macro_rules! next_or_complain {
    ($symbol:ident($($argument:expr),*), $handle:expr, $refused:expr) => {
        match $crate::abi::entry::next!($symbol($($argument),*)) {
            Some(answer) => answer,
            None => {
                $crate::abi::handles::complain(stringify!($symbol), $handle.addr());
                $refused
            }
        }
    };
}
pub(super) use next_or_complain;

/// The next definition of a symbol, as a function of the same type as this library's. None if there is none.
macro_rules! next_of {
    ($symbol:ident($($argument:expr),*)) => {{
        static NEXT: $crate::abi::entry::Next = $crate::abi::entry::Next::new();
        let name = const { $crate::abi::entry::c_name(concat!(stringify!($symbol), "\0")) };
        NEXT.find(name, $symbol as unsafe extern "C" fn($($crate::abi::entry::any!($argument)),*) -> _)
    }};
}
pub(super) use next_of;

/// A type to be inferred, for each argument.
macro_rules! any {
    ($argument:expr) => {
        _
    };
}
pub(super) use any;

/// A symbol's name for `dlsym`.
pub(super) const fn c_name(name: &'static str) -> &'static CStr {
    match CStr::from_bytes_with_nul(name.as_bytes()) {
        Ok(name) => name,
        Err(_) => c"",
    }
}

unsafe extern "C" {
    /// A number that grows when something more is loaded into the process.
    safe fn nvme_rdma_loaded() -> u64;

    /// The definition of `name` that a program was linked with in which this library's own goes by another name (`ld --wrap`). NULL in
    /// all others.
    fn nvme_rdma_real(name: *const c_char) -> *mut c_void;

    /// A definition of `name`, in whatever is loaded, that is not this library's: its symbols may be local, as those of what a
    /// plugin was linked with. NULL if there is none.
    fn nvme_rdma_definition(name: *const c_char) -> *mut c_void;
}

/// Where the next definition of a symbol is. Looked up until there is one, whenever something more was loaded.
pub(super) struct Next {
    address: AtomicPtr<c_void>,
    /// What was loaded when there was none.
    loaded: AtomicU64,
}

impl Next {
    pub(super) const fn new() -> Self {
        Self { address: AtomicPtr::new(ptr::null_mut()), loaded: AtomicU64::new(0) }
    }

    /// The next definition of `name`, as a function of the same type as `own`.
    pub(super) fn find<F: Copy>(&self, name: &CStr, own: F) -> Option<F> {
        let known = self.address.load(Ordering::Relaxed);
        let address = if known.is_null() { self.look(name)? } else { known };
        const { assert!(size_of::<F>() == size_of::<*mut c_void>()) };
        let mut next = own;
        // SAFETY: F is a function pointer, which has the size of the address and no other invalid value than NULL; the
        // symbol names a function of this type.
        unsafe { ptr::from_mut(&mut next).cast::<*mut c_void>().write(address) };
        Some(next)
    }

    #[cold]
    fn look(&self, name: &CStr) -> Option<*mut c_void> {
        let loaded = nvme_rdma_loaded();
        if self.loaded.load(Ordering::Relaxed) == loaded {
            return None;
        }
        // SAFETY: the name is a C string.
        let mut address = unsafe { nvme_rdma_real(name.as_ptr()) };
        if address.is_null() {
            // SAFETY: as before. RTLD_NEXT searches after the object that this code is in.
            address = unsafe { libc::dlsym(libc::RTLD_NEXT, name.as_ptr()) };
        }
        if address.is_null() {
            // SAFETY: as before.
            address = unsafe { nvme_rdma_definition(name.as_ptr()) };
        }
        if address.is_null() {
            self.loaded.store(loaded, Ordering::Relaxed);
            return None;
        }
        self.address.store(address, Ordering::Relaxed);
        Some(address)
    }
}

/// Runs an entry's body on `object`; an unwind fails the object and gives `refused`.
#[inline]
pub(super) fn guard<T: Object, R>(entry: &str, object: &T, refused: R, body: impl FnOnce() -> R) -> R {
    match catch_unwind(AssertUnwindSafe(body)) {
        Ok(result) => result,
        Err(payload) => {
            // The object may have been freed by the body, but only by one that has a share of it. What the unwind
            // left of it is good enough to be marked as failed.
            let _ = catch_unwind(AssertUnwindSafe(|| object.fail()));
            caught(entry, payload);
            refused
        }
    }
}

/// As [`guard`], for an entry without a handle. A program calls one of these before it has a handle, so this is where
/// log lines get a place to go.
#[inline]
pub(super) fn guard_plain<R>(entry: &str, refused: R, body: impl FnOnce() -> R) -> R {
    super::log::install();
    match catch_unwind(AssertUnwindSafe(body)) {
        Ok(result) => result,
        Err(payload) => {
            caught(entry, payload);
            refused
        }
    }
}

#[cold]
fn caught(entry: &str, payload: Box<dyn std::any::Any + Send>) {
    let reason = payload
        .downcast_ref::<&str>()
        .copied()
        .or_else(|| payload.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("no reason given");
    let _ = catch_unwind(AssertUnwindSafe(|| tracing::error!("{entry}: internal error: {reason}")));
    // Dropping a payload can unwind again.
    std::mem::forget(payload);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unwind_becomes_the_error_value() {
        assert_eq!(guard_plain("test", -5, || panic!("on purpose")), -5);
        assert_eq!(guard_plain("test", -5, || 3), 3);
    }

    #[test]
    fn a_symbol_that_nobody_defines_has_no_next() {
        extern "C" fn own() -> i32 {
            1
        }
        let next = Next::new();
        for _ in 0..2 {
            assert!(next.find(c"spdk_nvme_no_such_entry", own as extern "C" fn() -> i32).is_none());
        }
    }

    #[test]
    fn a_symbol_that_somebody_defines_is_found() {
        extern "C" fn own() -> libc::pid_t {
            0
        }
        let next = Next::new();
        for _ in 0..2 {
            let found = next.find(c"getpid", own as extern "C" fn() -> libc::pid_t).unwrap();
            assert_eq!(u32::try_from(found()).unwrap(), std::process::id());
        }
    }
}

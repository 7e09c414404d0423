//! Where in the program a call came from: which objects were made, destroyed and misused where.
//!
//! A place is a few return addresses, taken when the call is made and resolved only when they are printed. The unwinder that is
//! asked is the one that panics use: it takes no lock of the dynamic linker's that a constructor could hold while it waits for
//! ours. The data path never takes a place.

#![allow(unsafe_code)]

use std::cell::Cell;
use std::ffi::{CStr, c_int, c_void};
use std::fmt;

/// Return addresses kept for each place.
const DEPTH: usize = 5;

/// Return addresses outside this library, innermost first; 0 where there are no more.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub struct Place([usize; DEPTH]);

thread_local! {
    /// An address in the stack frame of the C function that the program called.
    static ENTRY: Cell<usize> = const { Cell::new(0) };
}

/// Remembers the calling frame as the one by which the program entered the library.
#[inline(always)]
pub fn enter() {
    let mark = 0u8;
    ENTRY.set((&raw const mark) as usize);
}

/// What the unwinder is given to fill.
struct Walk {
    entry: usize,
    place: Place,
    found: usize,
}

unsafe extern "C" {
    fn _Unwind_Backtrace(
        visit: extern "C" fn(*mut c_void, *mut c_void) -> c_int,
        argument: *mut c_void,
    ) -> c_int;
    fn _Unwind_GetIP(context: *mut c_void) -> usize;
    fn _Unwind_GetCFA(context: *mut c_void) -> usize;
}

extern "C" fn visit(context: *mut c_void, walk: *mut c_void) -> c_int {
    const GO_ON: c_int = 0;
    const END: c_int = 5;
    // SAFETY: `here` passes its own `Walk`, which nothing else uses meanwhile; `context` is the unwinder's.
    let (walk, stack, address) =
        unsafe { (&mut *walk.cast::<Walk>(), _Unwind_GetCFA(context), _Unwind_GetIP(context)) };
    // For each frame the unwinder tells where its stack ended when it called the next: frames up to the entry's own end below
    // the mark that the entry left.
    if stack <= walk.entry {
        return GO_ON;
    }
    match walk.place.0.get_mut(walk.found) {
        Some(slot) => *slot = address,
        None => return END,
    }
    walk.found += 1;
    GO_ON
}

impl Place {
    /// Who called the C function that this thread is in.
    pub fn here() -> Self {
        let mut walk = Walk { entry: ENTRY.get(), place: Self::default(), found: 0 };
        // SAFETY: `visit` takes what is passed here, and only during this call.
        unsafe { _Unwind_Backtrace(visit, (&raw mut walk).cast()) };
        walk.place
    }
}

/// What the dynamic linker knows of an address.
fn look_up(address: usize) -> Option<libc::Dl_info> {
    // SAFETY: `Dl_info` is pointers, for which all zero is a value.
    let mut info: libc::Dl_info = unsafe { std::mem::zeroed() };
    // SAFETY: any address may be asked for; `info` may be written.
    let known = unsafe { libc::dladdr(address as *const c_void, &mut info) };
    (known != 0).then_some(info)
}

/// The start of this library in memory, unless it is linked into the program itself.
fn own_base() -> usize {
    let base = |address: usize| look_up(address).map_or(0, |i| i.dli_fbase as usize);
    // SAFETY: getauxval only reads.
    let program = base(unsafe { libc::getauxval(libc::AT_PHDR) } as usize);
    let own = base(look_up as *const () as usize);
    if own == program { 0 } else { own }
}

fn text(pointer: *const libc::c_char) -> String {
    if pointer.is_null() {
        return String::new();
    }
    // SAFETY: a name that the dynamic linker gave, of an object that is loaded: an address of it is on a stack.
    unsafe { CStr::from_ptr(pointer) }.to_string_lossy().into_owned()
}

impl fmt::Display for Place {
    /// `object+offset (symbol+offset)` for each frame, callers to the right. Frames of this library and of libc are left out.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let own = own_base();
        let mut said = false;
        for &address in self.0.iter().filter(|a| **a != 0) {
            // A return address may lie behind the end of the function that made the call.
            let call = address - 1;
            let Some(info) = look_up(call) else {
                write!(f, "{}{call:#x}", if said { " < " } else { "" })?;
                said = true;
                continue;
            };
            let base = info.dli_fbase as usize;
            let path = text(info.dli_fname);
            let object = path.rsplit('/').next().unwrap_or_default();
            if base == own || object.starts_with("libc.so") || object.starts_with("libc-") {
                continue;
            }
            write!(f, "{}{object}+{:#x}", if said { " < " } else { "" }, call - base)?;
            said = true;
            let symbol = text(info.dli_sname);
            if !symbol.is_empty() {
                write!(f, " ({symbol}+{:#x})", call - info.dli_saddr as usize)?;
            }
        }
        if said { Ok(()) } else { f.write_str("an unknown place") }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As a C function of the library: enters, and has its work done further in.
    #[inline(never)]
    fn entry() -> (Place, usize) {
        enter();
        inner()
    }

    #[inline(never)]
    fn inner() -> (Place, usize) {
        (Place::here(), entry as *const () as usize)
    }

    #[test]
    fn a_place_begins_with_who_called_the_entry() {
        let (place, function) = entry();
        let first = place.0[0];
        assert!(!(function..function + 256).contains(&first), "the entry itself is left out");
        let test = a_place_begins_with_who_called_the_entry as *const () as usize;
        assert!(first.abs_diff(test) < 65536, "{first:#x} is not near {test:#x}");
        let said = place.to_string();
        assert!(said.contains("+0x") && said.contains(" < "), "{said}");
    }

    #[test]
    fn two_lines_are_two_places() {
        let first = entry().0;
        let second = entry().0;
        assert!(first != second);
        assert_eq!(first.0[1..], second.0[1..]);
        assert_eq!(Place::default().to_string(), "an unknown place");
    }
}

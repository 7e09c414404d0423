//! What stands for an entry point that is not there yet.
//!
//! What must hold: in a process with this library no handle of ours reaches another one. So each symbol of SPDK's has a
//! definition here, native or a stub, from `entry_points.toml`. A stub says in a line that it cannot do what is asked of
//! an object of ours, and gives the table's value for that; what is another library's goes to the next definition of the
//! symbol, with all arguments as they came. Lines that a program repeats get fewer.

use super::handles::{self, Whose};
use crate::repeated::{Line, Repeated};
use libc::c_void;

/// A pointer to whatever it may be: a stub follows none, and in C's calling convention all are the same.
pub(super) type Pointer = *mut c_void;

/// A stub: `stub!(symbol(argument: type, ...) -> type, whose, refused)`. `whose` says by what a call is told to be ours:
/// `handles(arguments)`, of which one is enough; or `nothing(arguments)`, the pointers among them.
macro_rules! stub {
    ($symbol:ident($($argument:ident: $type:ty),*) -> $result:ty, $whose:ident($($told_by:ident),*), $refused:expr) => {
        #[doc = concat!("`", stringify!($symbol), "`: not there yet.")]
        #[unsafe(no_mangle)]
        pub unsafe extern "C" fn $symbol($($argument: $type),*) -> $result {
            let whose = $crate::abi::stub::$whose([$($told_by),*]);
            if whose == $crate::abi::handles::Whose::Foreign {
                if let Some(answer) = $crate::abi::entry::next!($symbol($($argument),*)) {
                    return answer;
                }
            }
            static TOLD: $crate::repeated::Repeated = $crate::repeated::Repeated::new();
            $crate::abi::entry::guard_plain(stringify!($symbol), (), || {
                $crate::abi::stub::refuse(stringify!($symbol), whose, &TOLD);
            });
            $refused
        }
    };
}
pub(super) use stub;

/// Whose call it is by its handles: ours if one of them is, or is from our range, whatever the others are.
pub(super) fn handles<const N: usize>(handles: [Pointer; N]) -> Whose {
    let all = || handles.iter().map(|handle| handles::whose(handle.addr()));
    all()
        .find(|whose| matches!(whose, Whose::Invalid(_)))
        .or_else(|| all().find(|whose| *whose == Whose::Ours))
        .or_else(|| all().find(|whose| *whose == Whose::Foreign))
        .unwrap_or(Whose::Nobodys)
}

/// Whose call it is if nothing of ours can be meant by its arguments: another library's, unless one of these pointers is of our range all
/// the same.
pub(super) fn nothing<const N: usize>(pointers: [Pointer; N]) -> Whose {
    let of_ours = |pointer: &Pointer| match handles::whose(pointer.addr()) {
        Whose::Ours | Whose::Invalid(_) => Some(Whose::Invalid(pointer.addr())),
        Whose::Foreign | Whose::Nobodys => None,
    };
    pointers.iter().find_map(of_ours).unwrap_or(Whose::Foreign)
}

/// Says why a call gets no more than its error value.
#[cold]
pub(super) fn refuse(symbol: &str, whose: Whose, told: &Repeated) {
    let why = match whose {
        Whose::Nobodys => return handles::complain(symbol, 0),
        Whose::Invalid(address) => return handles::complain(symbol, address),
        Whose::Ours => "not supported yet by this library's RDMA host",
        Whose::Foreign => "not supported yet, and no other library in this process has it",
    };
    match told.next() {
        Line::None => {}
        Line::Plain => tracing::error!("{symbol}: {why}"),
        Line::Sum(nth) => tracing::error!("{symbol}: {why} ({nth} calls so far)"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::ptr;

    #[test]
    fn one_handle_of_ours_is_enough() {
        let foreign = ptr::without_provenance_mut(0x1000);
        let ours = handles::somebodys();
        let whose = |handles: [Pointer; 2]| super::handles(handles);
        assert_eq!(whose([ptr::null_mut(); 2]), Whose::Nobodys);
        assert_eq!(whose([foreign, ptr::null_mut()]), Whose::Foreign);
        assert_eq!(whose([ptr::null_mut(), foreign]), Whose::Foreign);
        assert_eq!(whose([ours.cast(), foreign]), Whose::Ours);
        assert_eq!(whose([foreign, ours.cast()]), Whose::Ours);
        let inside = ptr::without_provenance_mut(ours.addr() + 1);
        assert_eq!(whose([inside, foreign]), Whose::Invalid(inside.addr()));
    }

    #[test]
    fn what_can_be_nothing_of_ours_is_another_librarys_but_for_our_handles() {
        let foreign = ptr::without_provenance_mut(0x1000);
        let ours: Pointer = handles::somebodys().cast();
        assert_eq!(nothing([]), Whose::Foreign);
        assert_eq!(nothing([ptr::null_mut(), foreign]), Whose::Foreign);
        assert_eq!(nothing([foreign, ours]), Whose::Invalid(ours.addr()));
        let inside = ptr::without_provenance_mut(ours.addr() + 1);
        assert_eq!(nothing([inside]), Whose::Invalid(inside.addr()));
    }
}

//! Network interfaces by name, as the zone of a link-local address names one.

use std::ffi::CString;

/// The number of the network interface of that name (`if_nametoindex(3)`); None if there is none.
pub fn interface_index(name: &str) -> Option<u32> {
    let name = CString::new(name).ok()?;
    // SAFETY: the name is a C string that lives during the call.
    let index = unsafe { libc::if_nametoindex(name.as_ptr()) };
    (index != 0).then_some(index)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_interfaces_that_there_are_have_numbers() {
        assert!(interface_index("lo").is_some_and(|index| index > 0));
        for name in ["", "no-such-interface", "l\0o"] {
            assert_eq!(interface_index(name), None, "{name:?}");
        }
    }
}

//! Logarithms of whole numbers.
#![allow(unsafe_code)]

/// The number of the highest bit that is set; 0 if none is.
#[unsafe(no_mangle)]
pub extern "C" fn spdk_u32log2(x: u32) -> u32 {
    x.checked_ilog2().unwrap_or(0)
}

/// The number of the highest bit that is set; 0 if none is.
#[unsafe(no_mangle)]
pub extern "C" fn spdk_u64log2(x: u64) -> u64 {
    x.checked_ilog2().map_or(0, u64::from)
}

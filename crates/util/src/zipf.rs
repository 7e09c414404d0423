//! Random numbers after Zipf's law, by the `rand_distr` crate.
#![allow(unsafe_code)]

use rand::SeedableRng;
use rand::rngs::SmallRng;
use rand_distr::{Distribution, Zipf};

/// `struct spdk_zipf`.
pub struct SpdkZipf {
    /// Numbers from 1 to the range, as floating point has them.
    law: Zipf<f64>,
    last: u64,
    random: SmallRng,
}

/// NULL if there is no number below `range`, or no law with that `theta`.
#[unsafe(no_mangle)]
pub extern "C" fn spdk_zipf_create(range: u64, theta: f64, seed: u32) -> *mut SpdkZipf {
    let Some(last) = range.checked_sub(1).filter(|_| theta.is_finite()) else {
        return std::ptr::null_mut();
    };
    match Zipf::new(range as f64, theta) {
        Ok(law) => {
            Box::into_raw(Box::new(SpdkZipf { law, last, random: SmallRng::seed_from_u64(seed.into()) }))
        }
        Err(_) => std::ptr::null_mut(),
    }
}

/// # Safety
/// `zipfp` is NULL or points to NULL or to a generator that nobody uses any more.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn spdk_zipf_free(zipfp: *mut *mut SpdkZipf) {
    // SAFETY: NULL, or ours alone for the moment.
    let Some(generator) = (unsafe { zipfp.as_mut() }) else { return };
    let generator = std::mem::replace(generator, std::ptr::null_mut());
    if !generator.is_null() {
        // SAFETY: made by `spdk_zipf_create`, and only now freed, since the pointer to it was overwritten.
        drop(unsafe { Box::from_raw(generator) });
    }
}

/// # Safety
/// `zipf` is NULL or a generator that no other thread uses.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn spdk_zipf_generate(zipf: *mut SpdkZipf) -> u64 {
    // SAFETY: NULL, or ours alone for the moment.
    let Some(generator) = (unsafe { zipf.as_mut() }) else { return 0 };
    let number = generator.law.sample(&mut generator.random) as u64;
    // Beyond 2^53 the law's numbers are rounded, upwards too.
    number.saturating_sub(1).min(generator.last)
}

//! Ticks and delays.
#![allow(unsafe_code)]

/// Nanoseconds of the monotonic clock.
pub(crate) fn monotonic_ns() -> u64 {
    let mut now = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: `now` is writable; the clock exists on every Linux.
    unsafe { libc::clock_gettime(libc::CLOCK_MONOTONIC, &raw mut now) };
    // The monotonic clock counts from boot: both parts are small and not negative.
    (now.tv_sec as u64).wrapping_mul(NS_PER_SECOND).wrapping_add(now.tv_nsec as u64)
}

const NS_PER_SECOND: u64 = 1_000_000_000;

#[unsafe(no_mangle)]
pub extern "C" fn spdk_get_ticks() -> u64 {
    monotonic_ns()
}

#[unsafe(no_mangle)]
pub extern "C" fn spdk_get_ticks_hz() -> u64 {
    NS_PER_SECOND
}

/// Spins, as callers expect of a delay that is too short to sleep.
#[unsafe(no_mangle)]
pub extern "C" fn spdk_delay_us(us: u32) {
    let end = monotonic_ns().saturating_add(u64::from(us).saturating_mul(1000));
    while monotonic_ns() < end {
        std::hint::spin_loop();
    }
}

#[unsafe(no_mangle)]
pub extern "C" fn spdk_pause() {
    std::hint::spin_loop();
}

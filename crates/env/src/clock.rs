//! Ticks and delays.
//!
//! A tick is one of the CPU's time stamp counter where that counts at one rate, alike on all cores, and never stops. The
//! kernel knows best whether it does: it then uses it as its own clock. Otherwise a tick is a nanosecond of the
//! monotonic clock.
//!
//! Invariant: the source is chosen once, at the first question, so ticks of one process can always be compared.
#![allow(unsafe_code)]

use std::sync::atomic::{AtomicU64, Ordering};

const NS_PER_SECOND: u64 = 1_000_000_000;

/// Shortest time over which the counter is compared with the clock. Reading both takes well below 1 µs, so the rate is
/// right to 0.02 %.
const MEASURE_NS: u64 = 5_000_000;

/// Ticks in a second; 0 before the source is chosen. [`NS_PER_SECOND`] means the clock: a counter that happens to have
/// exactly this rate is replaced by it, which nobody can tell.
static RATE: AtomicU64 = AtomicU64::new(0);

/// Nanoseconds of the monotonic clock.
pub(crate) fn monotonic_ns() -> u64 {
    let mut now = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: `now` is writable; the clock exists on every Linux.
    unsafe { libc::clock_gettime(libc::CLOCK_MONOTONIC, &raw mut now) };
    // The monotonic clock counts from boot: both parts are small and not negative.
    (now.tv_sec as u64).wrapping_mul(NS_PER_SECOND).wrapping_add(now.tv_nsec as u64)
}

#[unsafe(no_mangle)]
pub extern "C" fn spdk_get_ticks() -> u64 {
    match RATE.load(Ordering::Relaxed) {
        NS_PER_SECOND => monotonic_ns(),
        0 => {
            choose_source();
            spdk_get_ticks()
        }
        _ => counter(),
    }
}

#[unsafe(no_mangle)]
pub extern "C" fn spdk_get_ticks_hz() -> u64 {
    match RATE.load(Ordering::Relaxed) {
        0 => choose_source(),
        rate => rate,
    }
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

/// Chooses the source of ticks and returns their rate. Of several threads that come first, one decides.
#[cold]
fn choose_source() -> u64 {
    let rate = if counter_is_a_clock() { measure() } else { NS_PER_SECOND };
    match RATE.compare_exchange(0, rate, Ordering::Relaxed, Ordering::Relaxed) {
        Ok(_) => rate,
        Err(chosen) => chosen,
    }
}

/// Rate of the counter. The clock's, if the counter does not move as one.
fn measure() -> u64 {
    // The first calls are slow: symbols are bound, and valgrind translates.
    both();
    let (from, from_ticks) = both();
    loop {
        let (to, to_ticks) = both();
        let elapsed = to.saturating_sub(from);
        if elapsed >= MEASURE_NS {
            let ticks = u128::from(to_ticks.wrapping_sub(from_ticks));
            let rate = ticks.saturating_mul(u128::from(NS_PER_SECOND)).checked_div(u128::from(elapsed));
            return match rate.and_then(|rate| u64::try_from(rate).ok()) {
                Some(rate) if (SLOWEST..=FASTEST).contains(&rate) => rate,
                _ => NS_PER_SECOND,
            };
        }
        std::hint::spin_loop();
    }
}

/// What no counter is slower or faster than.
const SLOWEST: u64 = 10_000_000;
const FASTEST: u64 = 100_000_000_000;

/// Clock and counter at nearly the same moment: of a few tries, the one in which reading the clock took the least.
#[inline(never)]
fn both() -> (u64, u64) {
    let mut best = (0, 0);
    let mut least = u64::MAX;
    for _ in 0..5 {
        let before = counter();
        let now = monotonic_ns();
        let took = counter().wrapping_sub(before);
        if took < least {
            least = took;
            best = (now, before.wrapping_add(took / 2));
        }
    }
    best
}

/// Whether the kernel keeps its own time with the counter, which it stops doing as soon as it finds it unsteady.
#[cfg(target_arch = "x86_64")]
fn counter_is_a_clock() -> bool {
    const SOURCE: &str = "/sys/devices/system/clocksource/clocksource0/current_clocksource";
    std::fs::read_to_string(SOURCE).is_ok_and(|source| source.trim() == "tsc")
}

#[cfg(target_arch = "x86_64")]
fn counter() -> u64 {
    // SAFETY: every x86-64 CPU has the instruction; Linux lets programs use it.
    unsafe { std::arch::x86_64::_rdtsc() }
}

#[cfg(not(target_arch = "x86_64"))]
fn counter_is_a_clock() -> bool {
    false
}

#[cfg(not(target_arch = "x86_64"))]
fn counter() -> u64 {
    monotonic_ns()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_measured_rate_is_the_same_twice() {
        if !counter_is_a_clock() {
            return;
        }
        let (first, second) = (measure(), measure());
        assert!(first.abs_diff(second) < first / 500, "{first} and {second}");
    }
}

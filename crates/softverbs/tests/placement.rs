//! In which order the bytes of a message come to lie in memory: the last of them last, so that a program which polls on the end of
//! what its peer writes, or of what it reads, finds the rest there.
//!
//! Nothing is left to chance: the page in which the bytes end may not be written, so that the first store to it stops, and what is
//! missing before it is counted then.

// A test says what it expects by panicking, and calls C as C programs do.
#![allow(missing_docs, unsafe_code, clippy::undocumented_unsafe_blocks)]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod common;

use std::ptr::null_mut;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};

use common::victim::{Frame, Victim, WRITE};
use common::*;
use rdma_sys::*;

const SUCCESS: u32 = ibv_wc_status::IBV_WC_SUCCESS;
/// What is sent; the target holds zeros before.
const SENT: u8 = 0x5a;
/// Of any machine.
const PAGE: usize = 64 << 10;
/// Room before the page.
const ROOM: usize = 4 * PAGE;
/// Beyond what the page is seen to be touched by.
const UNTOUCHED: usize = usize::MAX;

/// Where the message begins, and where the page is in which it ends.
static START: AtomicUsize = AtomicUsize::new(0);
static GUARDED: AtomicUsize = AtomicUsize::new(0);
/// How many bytes before the page were missing when it was touched first.
static MISSING: AtomicUsize = AtomicUsize::new(UNTOUCHED);

/// The page was touched: counts, and lets the store go on.
extern "C" fn touched(_: i32, info: *mut libc::siginfo_t, _: *mut libc::c_void) {
    let at = unsafe { (*info).si_addr() } as usize;
    let page = GUARDED.load(SeqCst);
    // A store that begins before the page is told by its first address, or by the page's.
    if page == 0 || at + 64 < page || at >= page + PAGE {
        // Not ours: the same instruction ends the process now.
        unsafe { libc::signal(libc::SIGSEGV, libc::SIG_DFL) };
        return;
    }
    let missing =
        (START.load(SeqCst)..page).filter(|at| unsafe { (*at as *const u8).read_volatile() } != SENT);
    MISSING.store(missing.count(), SeqCst);
    unsafe { libc::mprotect(page as *mut _, PAGE, libc::PROT_READ | libc::PROT_WRITE) };
}

/// Memory whose last page can be guarded, registered in the domain of an end.
struct Guarded {
    base: *mut u8,
    mr: *mut ibv_mr,
}

impl Guarded {
    fn new(end: &End) -> Self {
        let mut action: libc::sigaction = unsafe { std::mem::zeroed() };
        action.sa_sigaction = touched as *const () as usize;
        action.sa_flags = libc::SA_SIGINFO;
        let rights = libc::PROT_READ | libc::PROT_WRITE;
        let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS;
        unsafe {
            assert_eq!(libc::sigaction(libc::SIGSEGV, &action, null_mut()), 0);
            let base = libc::mmap(null_mut(), ROOM + 2 * PAGE, rights, flags, -1, 0);
            assert_ne!(base, libc::MAP_FAILED);
            // Nothing of the system's page size depends on where that page begins, as long as it is a multiple of ours.
            let base = base.cast::<u8>().add(PAGE - base as usize % PAGE);
            let mr = ibv_reg_mr(end.pd, base.cast(), ROOM + PAGE, ALL as i32);
            assert!(!mr.is_null());
            Self { base, mr }
        }
    }

    /// Where a message of `length` bytes begins whose last `within` ones lie in the guarded page. There are zeros there now.
    fn guard(&self, length: usize, within: usize) -> u64 {
        let page = self.base as usize + ROOM;
        let start = page + within - length;
        unsafe {
            libc::memset(self.base.cast(), 0, ROOM + PAGE);
            START.store(start, SeqCst);
            GUARDED.store(page, SeqCst);
            MISSING.store(UNTOUCHED, SeqCst);
            assert_eq!(libc::mprotect(page as *mut _, PAGE, libc::PROT_READ), 0);
        }
        start as u64
    }

    /// The message is in: as a whole, and all before the page was there first.
    fn expect(&self, what: &str, length: usize, within: usize) {
        let missing = MISSING.load(SeqCst);
        assert_ne!(missing, UNTOUCHED, "{what}, {length} bytes: nothing came");
        assert_eq!(missing, 0, "{what}, {length} bytes, {within} in the page: missing when its end came");
        let all = unsafe { std::slice::from_raw_parts(self.base, ROOM + PAGE) };
        let first = ROOM + within - length;
        assert!(all[first..ROOM + within].iter().all(|b| *b == SENT), "{what}, {length} bytes: not all came");
        let others = all[..first].iter().chain(&all[ROOM + within..]);
        assert!(others.into_iter().all(|b| *b == 0), "{what}, {length} bytes: more came");
    }

    fn give_back(self) {
        GUARDED.store(0, SeqCst);
        assert_eq!(unsafe { ibv_dereg_mr(self.mr) }, 0);
    }
}

/// Lengths at which memcpy changes its way, and some that go in several frames; and how much of it lies in the page.
fn cases() -> impl Iterator<Item = (usize, usize)> {
    let lengths =
        [2, 7, 9, 16, 24, 33, 64, 65, 100, 128, 129, 257, 1000, 4096, 5000, 65_536, 65_537, 200_000];
    lengths.into_iter().flat_map(|length| (1..=8).filter(move |w| *w < length).map(move |w| (length, w)))
}

/// At once, and as frames.
const WAYS: [&str; 2] = ["delay off", "delay data rx 10us"];

#[test]
fn the_end_of_an_rdma_write_comes_last() {
    let _alone = alone();
    for way in WAYS {
        let mut p = Pair::new();
        p.a.memory.fill(SENT);
        let guarded = Guarded::new(&p.b);
        let rkey = unsafe { (*guarded.mr).rkey };
        softverbs::control(way).unwrap();
        for (length, within) in cases() {
            let at = guarded.guard(length, within);
            p.a.send(Send::write(1, p.a.sge(3, length as u32), at, rkey));
            assert_eq!(p.a.poll().status, SUCCESS);
            guarded.expect(way, length, within);
            // Gathered from two places; the second is at least as long as what is in the page.
            let at = guarded.guard(length, within);
            let first = (length - within) as u32 / 2;
            let sges = vec![p.a.sge(0, first), p.a.sge(500_000, length as u32 - first)];
            p.a.send(Send { sges, ..Send::write(1, p.a.sge(0, 0), at, rkey) });
            assert_eq!(p.a.poll().status, SUCCESS);
            guarded.expect(way, length, within);
        }
        softverbs::control("delay off").unwrap();
        guarded.give_back();
        p.destroy();
    }
}

#[test]
fn the_end_of_what_an_rdma_read_brings_comes_last() {
    let _alone = alone();
    for way in WAYS {
        let mut p = Pair::new();
        p.b.memory.fill(SENT);
        let guarded = Guarded::new(&p.a);
        let lkey = unsafe { (*guarded.mr).lkey };
        softverbs::control(way).unwrap();
        for (length, within) in cases() {
            let addr = guarded.guard(length, within);
            let to = ibv_sge { addr, length: length as u32, lkey };
            p.a.send(Send::read(1, to, p.b.at(3), p.b.rkey()));
            assert_eq!(p.a.poll().status, SUCCESS);
            guarded.expect(way, length, within);
        }
        softverbs::control("delay off").unwrap();
        guarded.give_back();
        p.destroy();
    }
}

#[test]
fn the_end_of_an_rdma_write_of_another_process_comes_last() {
    let _alone = alone();
    let mut v = Victim::new();
    let guarded = Guarded::new(&v.end);
    let rkey = unsafe { (*guarded.mr).rkey };
    for (seq, (length, within)) in cases().enumerate() {
        let address = guarded.guard(length, within);
        for offset in (0..length).step_by(65_536) {
            let payload = vec![SENT; (length - offset).min(65_536)];
            let (offset, total) = (offset as u32, length as u32);
            v.say(Frame {
                kind: WRITE,
                seq: seq as u64,
                address,
                rkey,
                offset,
                total,
                payload,
                ..Frame::default()
            });
            v.settle();
        }
        guarded.expect("from a socket", length, within);
    }
    guarded.give_back();
    v.destroy();
}

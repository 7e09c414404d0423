//! CRCs over memory, by the `crc` crate.
//!
//! A CRC is carried from one call to the next as the number that C sees; the crate wants it as the algorithm's initial
//! value, which for the reflected ones is that number's mirror image.
#![allow(unsafe_code)]

use std::ffi::c_int;

use crc::{CRC_16_T10_DIF, CRC_32_ISCSI, CRC_32_ISO_HDLC, CRC_64_NVME, Crc, Table};
use libc::{c_void, iovec};

use crate::pieces::{Walk, count};

static T10_DIF: Crc<u16, Table<16>> = Crc::<u16, Table<16>>::new(&CRC_16_T10_DIF);
static IEEE: Crc<u32, Table<16>> = Crc::<u32, Table<16>>::new(&CRC_32_ISO_HDLC);
static CASTAGNOLI: Crc<u32, Table<16>> = Crc::<u32, Table<16>>::new(&CRC_32_ISCSI);
static NVME: Crc<u64, Table<16>> = Crc::<u64, Table<16>>::new(&CRC_64_NVME);

/// CRC-16/T10-DIF, which inverts nothing.
pub(crate) fn t10_dif(crc: u16, bytes: &[u8]) -> u16 {
    let mut digest = T10_DIF.digest_with_initial(crc);
    digest.update(bytes);
    digest.finalize()
}

/// CRC-32C that is inverted before and after.
pub(crate) fn castagnoli_nvme(crc: u32, bytes: &[u8]) -> u32 {
    !castagnoli(!crc, bytes)
}

/// CRC-64/NVME, which is inverted before and after.
pub(crate) fn nvme(crc: u64, bytes: &[u8]) -> u64 {
    let mut digest = NVME.digest_with_initial((!crc).reverse_bits());
    digest.update(bytes);
    digest.finalize()
}

/// CRC-32C without the inversions.
pub(crate) fn castagnoli(crc: u32, bytes: &[u8]) -> u32 {
    plain(&CASTAGNOLI, crc, bytes)
}

fn plain(algorithm: &'static Crc<u32, Table<16>>, crc: u32, bytes: &[u8]) -> u32 {
    let mut digest = algorithm.digest_with_initial(crc.reverse_bits());
    digest.update(bytes);
    !digest.finalize()
}

/// # Safety
/// `buf` is NULL or readable for `len` bytes.
unsafe fn bytes<'a>(buf: *const c_void, len: usize) -> &'a [u8] {
    if buf.is_null() {
        return &[];
    }
    // SAFETY: readable for that length, by the contract of this function.
    unsafe { std::slice::from_raw_parts(buf.cast(), len) }
}

/// # Safety
/// `buf` is NULL or readable for `len` bytes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn spdk_crc16_t10dif(init_crc: u16, buf: *const c_void, len: usize) -> u16 {
    // SAFETY: the same contract.
    t10_dif(init_crc, unsafe { bytes(buf, len) })
}

/// # Safety
/// `dst` is NULL or writable for `len` bytes, `src` is NULL or readable for as many.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn spdk_crc16_t10dif_copy(
    init_crc: u16,
    dst: *mut u8,
    src: *mut u8,
    len: usize,
) -> u16 {
    if !dst.is_null() && !src.is_null() {
        // SAFETY: that many bytes on either side; they may overlap.
        unsafe { std::ptr::copy(src, dst, len) };
    }
    // SAFETY: NULL or readable. What was copied is read where it is now, since it may have overlapped.
    t10_dif(init_crc, unsafe {
        bytes(if dst.is_null() { src } else { dst }.cast(), if src.is_null() { 0 } else { len })
    })
}

/// # Safety
/// `buf` is NULL or readable for `len` bytes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn spdk_crc32_ieee_update(buf: *const c_void, len: usize, crc: u32) -> u32 {
    // SAFETY: the same contract.
    plain(&IEEE, crc, unsafe { bytes(buf, len) })
}

/// # Safety
/// `buf` is NULL or readable for `len` bytes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn spdk_crc32c_update(buf: *const c_void, len: usize, crc: u32) -> u32 {
    // SAFETY: the same contract.
    castagnoli(crc, unsafe { bytes(buf, len) })
}

/// # Safety
/// `iov` is NULL or readable for `iovcnt` pieces, and each of them is readable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn spdk_crc32c_iov_update(iov: *mut iovec, iovcnt: c_int, crc32c: u32) -> u32 {
    // SAFETY: the same contract.
    let mut walk = unsafe { Walk::new(iov, count(iovcnt)) };
    let mut crc = crc32c;
    // The end of the pieces is the end of the data.
    let _ = walk.look(usize::MAX, |bytes| crc = castagnoli(crc, bytes));
    crc
}

/// # Safety
/// `buf` is NULL or readable for `len` bytes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn spdk_crc32c_nvme(buf: *const c_void, len: usize, crc: u32) -> u32 {
    // SAFETY: the same contract.
    castagnoli_nvme(crc, unsafe { bytes(buf, len) })
}

/// # Safety
/// `buf` is NULL or readable for `len` bytes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn spdk_crc64_nvme(buf: *const c_void, len: usize, crc: u64) -> u64 {
    // SAFETY: the same contract.
    nvme(crc, unsafe { bytes(buf, len) })
}

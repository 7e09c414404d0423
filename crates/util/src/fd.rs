//! Files and block devices by their descriptors.
#![allow(unsafe_code)]

use std::ffi::c_int;
use std::io::Error;
use std::mem::MaybeUninit;

/// `BLKGETSIZE64` of `linux/fs.h`: the size of a block device in bytes.
const BLKGETSIZE64: libc::Ioctl = libc::_IOR::<usize>(0x12, 114);

/// Bytes in a file or on a block device; 0 if it is neither.
#[unsafe(no_mangle)]
pub extern "C" fn spdk_fd_get_size(fd: c_int) -> u64 {
    let mut status = MaybeUninit::<libc::stat>::uninit();
    // SAFETY: writes one `stat`, if it succeeds.
    if unsafe { libc::fstat(fd, status.as_mut_ptr()) } != 0 {
        return 0;
    }
    // SAFETY: it has succeeded.
    let status = unsafe { status.assume_init() };
    match status.st_mode & libc::S_IFMT {
        libc::S_IFREG => u64::try_from(status.st_size).unwrap_or(0),
        libc::S_IFBLK => {
            let mut size = 0u64;
            // SAFETY: this request writes one 64-bit number.
            if unsafe { libc::ioctl(fd, BLKGETSIZE64, &raw mut size) } == 0 { size } else { 0 }
        }
        _ => 0,
    }
}

/// Bytes of a block device's logical block; 0 if it is none.
#[unsafe(no_mangle)]
pub extern "C" fn spdk_fd_get_blocklen(fd: c_int) -> u32 {
    let mut length: c_int = 0;
    // SAFETY: this request writes one int.
    if unsafe { libc::ioctl(fd, libc::BLKSSZGET, &raw mut length) } == 0 {
        u32::try_from(length).unwrap_or(0)
    } else {
        0
    }
}

/// Reading and writing no longer wait. Returns 0 or a negative errno.
#[unsafe(no_mangle)]
pub extern "C" fn spdk_fd_set_nonblock(fd: c_int) -> c_int {
    change_flags(fd, |flags| flags | libc::O_NONBLOCK)
}

/// Reading and writing wait again. Returns 0 or a negative errno.
#[unsafe(no_mangle)]
pub extern "C" fn spdk_fd_clear_nonblock(fd: c_int) -> c_int {
    change_flags(fd, |flags| flags & !libc::O_NONBLOCK)
}

fn change_flags(fd: c_int, change: impl FnOnce(c_int) -> c_int) -> c_int {
    // SAFETY: no memory is involved.
    let flags = unsafe { libc::fcntl(fd, libc::F_GETFL) };
    if flags < 0 {
        return negative_errno();
    }
    let changed = change(flags);
    // SAFETY: no memory is involved.
    if changed != flags && unsafe { libc::fcntl(fd, libc::F_SETFL, changed) } < 0 {
        return negative_errno();
    }
    0
}

fn negative_errno() -> c_int {
    -Error::last_os_error().raw_os_error().unwrap_or(libc::EIO)
}

//! A word to valgrind's memcheck: a program may send bytes that it never wrote, as it may on real hardware, which memcheck does
//! not see reading them.

#![allow(unsafe_code)]

/// Tells memcheck, if there is one, that these bytes are defined. Changes nothing.
#[cfg(all(target_arch = "x86_64", target_os = "linux"))]
pub fn make_defined(bytes: &[u8]) {
    /// Memcheck's number for "make defined", in the range of tool 'M', 'C'.
    const MAKE_MEM_DEFINED: u64 = (b'M' as u64) << 24 | (b'C' as u64) << 16 | 2;
    let request: [u64; 6] = [MAKE_MEM_DEFINED, bytes.as_ptr() as u64, bytes.len() as u64, 0, 0, 0];
    // SAFETY: the sequence that valgrind looks for in place of executing it. On a processor it turns rdi round by 128 bits in
    // all, which leaves it as it was, exchanges rbx with itself, and touches no memory.
    unsafe {
        std::arch::asm!(
            "rol rdi, 3",
            "rol rdi, 13",
            "rol rdi, 61",
            "rol rdi, 51",
            "xchg rbx, rbx",
            in("rax") request.as_ptr(),
            inout("rdx") 0u64 => _,
            options(nostack, readonly),
        );
    }
}

/// There is no such word elsewhere.
#[cfg(not(all(target_arch = "x86_64", target_os = "linux")))]
pub fn make_defined(_bytes: &[u8]) {}

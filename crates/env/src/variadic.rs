//! Exported names of the functions that are written in C.
//!
//! rustc exports from a shared library only what Rust defines, and stable Rust cannot define a variadic function. So
//! each name here is one jump: no register and no stack slot is touched, and the C function (`c/variadic.c`) sees its
//! caller's arguments, however many there are.
#![allow(unsafe_code)]

use core::ffi::c_void;

unsafe extern "C" {
    fn spdk_env_rdma_log(unused: *mut c_void);
    fn spdk_env_rdma_vlog(unused: *mut c_void);
    fn spdk_env_rdma_flog(unused: *mut c_void);
    fn spdk_env_rdma_vflog(unused: *mut c_void);
    fn spdk_env_rdma_sprintf_alloc(unused: *mut c_void);
    fn spdk_env_rdma_vsprintf_alloc(unused: *mut c_void);
    fn spdk_env_rdma_sprintf_append(unused: *mut c_void);
    fn spdk_env_rdma_vsprintf_append(unused: *mut c_void);
}

/// Defines an exported function that continues at a C function.
macro_rules! jump {
    ($($exported:ident => $target:ident;)*) => {$(
        #[unsafe(no_mangle)]
        #[unsafe(naked)]
        unsafe extern "C" fn $exported() {
            #[cfg(target_arch = "x86_64")]
            core::arch::naked_asm!("jmp {}", sym $target);
            #[cfg(any(target_arch = "aarch64", target_arch = "arm"))]
            core::arch::naked_asm!("b {}", sym $target);
            #[cfg(any(target_arch = "riscv64", target_arch = "riscv32"))]
            core::arch::naked_asm!("tail {}", sym $target);
        }
    )*};
}

jump! {
    spdk_log => spdk_env_rdma_log;
    spdk_vlog => spdk_env_rdma_vlog;
    spdk_flog => spdk_env_rdma_flog;
    spdk_vflog => spdk_env_rdma_vflog;
    spdk_sprintf_alloc => spdk_env_rdma_sprintf_alloc;
    spdk_vsprintf_alloc => spdk_env_rdma_vsprintf_alloc;
    spdk_sprintf_append_realloc => spdk_env_rdma_sprintf_append;
    spdk_vsprintf_append_realloc => spdk_env_rdma_vsprintf_append;
}

//! The entry points that are not there yet, as `stub.rs` has them. Generated from `entry_points.toml` and what was
//! measured of SPDK's prototypes: `NVME_RDMA_UPDATE_STUBS=1 cargo test --test entry_points` writes it anew.

#![allow(clippy::too_many_arguments, clippy::missing_safety_doc)] // the arguments are SPDK's, and what is to be said of them, too

use super::stub::{Pointer, stub};
use libc::c_int;
use std::ptr;

stub!(
    spdk_nvme_ctrlr_authenticate(a1: Pointer, a2: Pointer, a3: Pointer) -> c_int,
    handles(a1),
    -libc::ENOTSUP
);

stub!(
    spdk_nvme_ctrlr_set_keys(a1: Pointer, a2: Pointer) -> c_int,
    handles(a1),
    -libc::ENOTSUP
);

stub!(
    spdk_nvme_dhchap_calculate(a1: Pointer, a2: u32, a3: Pointer, a4: u32, a5: u16, a6: u8,
        a7: Pointer, a8: Pointer, a9: Pointer, a10: u64, a11: Pointer,
        a12: Pointer) -> c_int,
    nothing(a1, a3, a7, a8, a9, a11, a12),
    -libc::ENOTSUP
);

stub!(
    spdk_nvme_dhchap_dhkey_derive_secret(a1: Pointer, a2: Pointer, a3: u64, a4: Pointer, a5: Pointer) -> c_int,
    nothing(a1, a2, a4, a5),
    -libc::ENOTSUP
);

stub!(
    spdk_nvme_dhchap_dhkey_free(a1: Pointer) -> (),
    nothing(a1),
    ()
);

stub!(
    spdk_nvme_dhchap_dhkey_get_pubkey(a1: Pointer, a2: Pointer, a3: Pointer) -> c_int,
    nothing(a1, a2, a3),
    -libc::ENOTSUP
);

stub!(
    spdk_nvme_dhchap_generate_dhkey(a1: u32) -> Pointer,
    nothing(),
    ptr::null_mut()
);

stub!(
    spdk_nvme_qpair_authenticate(a1: Pointer, a2: Pointer, a3: Pointer) -> c_int,
    handles(a1),
    -libc::ENOTSUP
);


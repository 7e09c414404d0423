//! Open-Channel SSDs: there are none over fabrics.

use super::{ctrlr::Ctrlr, entry::entry, types::spdk_nvme_ctrlr};

/// Whether the controller is an Open-Channel SSD: there are none over fabrics.
///
/// # Safety
///
/// ctrlr is a handle that nobody else is detaching.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn spdk_nvme_ctrlr_is_ocssd_supported(ctrlr: *mut spdk_nvme_ctrlr) -> bool {
    entry!(spdk_nvme_ctrlr_is_ocssd_supported(ctrlr), Ctrlr, ctrlr, false, |_object| false)
}

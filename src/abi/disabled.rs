//! Whether the user wants none of this library although it is there: `SPDK_NVME_RDMA_DISABLE=1`.
//!
//! What must hold: a process has one answer from its first call to its last, so that no handle of ours exists in one in which there is a
//! library to which all calls are passed on; where there is none, a line says who serves. What takes a handle needs no more than that: a
//! handle that is not ours goes on anyhow. What takes none begins with `pass_on_if_disabled!`.

use once_cell::sync::OnceCell;

/// Whether every call goes to the next definition of its symbol, if there is one: the variable is set, and neither empty nor 0.
#[cold]
pub(super) fn disabled() -> bool {
    static DISABLED: OnceCell<bool> = OnceCell::new();
    *DISABLED.get_or_init(|| {
        std::env::var_os("SPDK_NVME_RDMA_DISABLE").is_some_and(|value| !value.is_empty() && value != "0")
    })
}

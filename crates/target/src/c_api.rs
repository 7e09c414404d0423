//! The C API (`include/nvme_rdma_target.h`).

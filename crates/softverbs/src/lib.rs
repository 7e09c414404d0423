//! libibverbs and librdmacm in user space: RDMA with no device.

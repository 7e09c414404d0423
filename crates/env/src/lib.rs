//! The standalone SPDK environment (libspdk_env_rdma).

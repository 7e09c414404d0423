//! A small in-memory NVMe-oF RDMA target.

//! The utilities of `libspdk_env_rdma`: checksums, protection information, UUIDs, random numbers, data in pieces.
//!
//! SPDK has them in a library of their own, which its programs for the NVMe host link beside the environment. Nothing here
//! knows the environment or writes log lines; everything is reached through the C ABI, as `include/spdk/` declares it
//! (`crc16.h`, `crc32.h`, `crc64.h`, `dif.h`, `fd.h`, `util.h`, `uuid.h`, `zipf.h`), and nothing is public as Rust.
//!
//! What must hold:
//! - a pointer that is NULL and a number that is out of its range are an error or do nothing, where SPDK would follow them;
//! - nothing is read or written beyond the pieces that a caller describes.

mod crc;
mod dif;
mod fd;
mod iov;
mod number;
mod pieces;
mod uuid;
mod zipf;

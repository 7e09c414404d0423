//! NVMe and NVMe over Fabrics as data.

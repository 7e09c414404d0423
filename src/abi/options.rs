//! Option structs: defaults, and reading and writing them up to the size that the program knows.
//!
//! What must hold: a program's struct is never touched beyond the size that it gave; a member that lies within that
//! size only in part is not there at all.

use super::{
    text::{put_text, text},
    transport_opts::cm_timeout,
    types::{
        spdk_nvme_cc_ams, spdk_nvme_cc_css, spdk_nvme_ctrlr_opts, spdk_nvme_io_qpair_opts, spdk_nvme_qprio,
        spdk_nvme_transport_opts, spdk_nvmf_dhchap_dhgroup, spdk_nvmf_dhchap_hash,
    },
};
use crate::host;
use std::{
    mem::{offset_of, zeroed},
    ptr::{self, addr_of_mut},
    time::Duration,
};

/// Entries of a queue (Base 3.3.3.1, 3.1.3.8). SPDK makes no I/O queue larger than 2 MiB of commands.
const IO_QUEUE_ENTRIES_MIN: u32 = 2;
const IO_QUEUE_ENTRIES_MAX: u32 = (2 << 20) / 64;
/// One more than SPDK's: a Keep Alive has its own.
const ADMIN_QUEUE_ENTRIES_MIN: u16 = host::ControllerOptions::ADMIN_QUEUE_SIZE_MIN;
const ADMIN_QUEUE_ENTRIES_MAX: u16 = 4096;
/// What the fields of the InfiniBand specification have room for: retry count (3 bits), local ACK timeout (5 bits).
const RETRIES_MAX: u8 = 7;
const ACKNOWLEDGE_TIMEOUT_MAX: u8 = 31;

/// What CC.CSS has room for; a larger one stands for "choose".
const COMMAND_SETS: u8 = 8;

/// How long an admin command may take if the program sets no limit (0): nothing here waits for ever.
const NO_ADMIN_TIMEOUT: Duration = Duration::from_secs(300);

/// Where the members of a struct end, in order.
pub(super) trait Members {
    const ENDS: &'static [usize];
}

macro_rules! members {
    ($type:ident { $($member:ident),+ $(,)? }) => {
        impl Members for $type {
            #[allow(clippy::arithmetic_side_effects)] // in the compiler, which stops at an overflow
            const ENDS: &'static [usize] = &[$(offset_of!($type, $member) + {
                // The size of a member, by way of a pointer to it that is never followed.
                const fn size<T, M>(_: fn(&T) -> &M) -> usize {
                    size_of::<M>()
                }
                size(|whole: &$type| &whole.$member)
            }),+];
        }
    };
}

members!(spdk_nvme_ctrlr_opts {
    num_io_queues,
    use_cmb_sqs,
    no_shn_notification,
    enable_interrupts,
    arb_mechanism,
    arbitration_burst,
    low_priority_weight,
    medium_priority_weight,
    high_priority_weight,
    keep_alive_timeout_ms,
    transport_retry_count,
    io_queue_size,
    hostnqn,
    io_queue_requests,
    src_addr,
    src_svcid,
    host_id,
    extended_host_id,
    command_set,
    admin_timeout_ms,
    header_digest,
    data_digest,
    disable_error_logging,
    transport_ack_timeout,
    admin_queue_size,
    opts_size,
    fabrics_connect_timeout_us,
    disable_read_ana_log_page,
    disable_read_changed_ns_list_log_page,
    transport_tos,
    tls_psk,
    dhchap_key,
    dhchap_ctrlr_key,
    dhchap_digests,
    dhchap_dhgroups,
});

members!(spdk_nvme_io_qpair_opts {
    qprio,
    io_queue_size,
    io_queue_requests,
    __bindgen_anon_1,
    sq,
    cq,
    create_only,
    async_mode,
    disable_pcie_sgl_merge,
    opts_size,
});

members!(spdk_nvme_transport_opts {
    rdma_srq_size,
    reserved4,
    opts_size,
    rdma_max_cq_size,
    rdma_cm_event_timeout_ms,
    rdma_umr_per_io,
    reserved23,
    tcp_connect_timeout_ms,
});

/// How many bytes of a struct a program with this size of it has in full members.
fn known<T: Members>(size: usize) -> usize {
    T::ENDS.iter().copied().take_while(|&end| end <= size).last().unwrap_or(0)
}

/// Writes `value` into a program's struct of this size.
///
/// # Safety
/// `size` bytes at `to` can be written.
pub(super) unsafe fn write<T: Members>(value: &T, to: *mut T, size: usize) {
    // SAFETY: `known` is at most both sizes.
    unsafe { ptr::copy_nonoverlapping(ptr::from_ref(value).cast::<u8>(), to.cast::<u8>(), known::<T>(size)) };
}

/// Reads a program's struct of this size over `value`.
///
/// # Safety
/// `size` bytes at `from` can be read.
pub(super) unsafe fn read<T: Members>(value: &mut T, from: *const T, size: usize) {
    // SAFETY: `known` is at most both sizes. Members are integers, bytes and pointers, valid for every value.
    unsafe {
        ptr::copy_nonoverlapping(from.cast::<u8>(), ptr::from_mut(value).cast::<u8>(), known::<T>(size))
    };
}

/// What spdk_nvme_ctrlr_get_default_ctrlr_opts gives, in full.
pub(super) fn default_ctrlr_opts() -> spdk_nvme_ctrlr_opts {
    use spdk_nvmf_dhchap_dhgroup as Group;
    use spdk_nvmf_dhchap_hash as Hash;

    // SAFETY: members are integers, bytes and pointers, for which zero is valid.
    let mut opts: spdk_nvme_ctrlr_opts = unsafe { zeroed() };
    let identity = host::identity();
    opts.num_io_queues = 1024;
    opts.arb_mechanism = spdk_nvme_cc_ams::SPDK_NVME_CC_AMS_RR;
    opts.keep_alive_timeout_ms = 10_000;
    opts.transport_retry_count = 4;
    opts.io_queue_size = 256;
    opts.io_queue_requests = 512;
    // SAFETY: the struct is this function's.
    unsafe { put_text(addr_of_mut!(opts.hostnqn), identity.hostnqn.as_bytes()) };
    opts.extended_host_id = identity.hostid;
    opts.command_set = spdk_nvme_cc_css(COMMAND_SETS.into());
    opts.admin_timeout_ms = 30_000;
    opts.admin_queue_size = 32;
    opts.opts_size = size_of::<spdk_nvme_ctrlr_opts>();
    opts.fabrics_connect_timeout_us = 500_000;
    opts.dhchap_digests = mask(&[
        Hash::SPDK_NVMF_DHCHAP_HASH_SHA256.0,
        Hash::SPDK_NVMF_DHCHAP_HASH_SHA384.0,
        Hash::SPDK_NVMF_DHCHAP_HASH_SHA512.0,
    ]);
    opts.dhchap_dhgroups = mask(&[
        Group::SPDK_NVMF_DHCHAP_DHGROUP_NULL.0,
        Group::SPDK_NVMF_DHCHAP_DHGROUP_2048.0,
        Group::SPDK_NVMF_DHCHAP_DHGROUP_3072.0,
        Group::SPDK_NVMF_DHCHAP_DHGROUP_4096.0,
        Group::SPDK_NVMF_DHCHAP_DHGROUP_6144.0,
        Group::SPDK_NVMF_DHCHAP_DHGROUP_8192.0,
    ]);
    opts
}

/// What spdk_nvme_ctrlr_get_default_io_qpair_opts gives, in full.
pub(super) fn default_io_qpair_opts(options: &host::IoQpairOptions) -> spdk_nvme_io_qpair_opts {
    // SAFETY: members are integers, bytes and pointers, for which zero is valid.
    let mut opts: spdk_nvme_io_qpair_opts = unsafe { zeroed() };
    opts.qprio = spdk_nvme_qprio::SPDK_NVME_QPRIO_URGENT;
    opts.io_queue_size = options.queue_size;
    opts.io_queue_requests = options.queue_requests;
    opts.opts_size = size_of::<spdk_nvme_io_qpair_opts>();
    opts
}

/// Takes back what is asked for and not offered, so that the program finds in its controller's options what is.
pub(super) fn settle(opts: &mut spdk_nvme_ctrlr_opts) {
    if opts.enable_interrupts != 0 {
        tracing::error!("enable_interrupts: interrupts are not offered, the controller's qpairs are polled");
        opts.enable_interrupts = 0;
    }
    if opts.transport_retry_count > RETRIES_MAX {
        tracing::info!("transport_retry_count {}: {RETRIES_MAX} is the most", opts.transport_retry_count);
        opts.transport_retry_count = RETRIES_MAX;
    }
    opts.transport_ack_timeout = opts.transport_ack_timeout.min(ACKNOWLEDGE_TIMEOUT_MAX);
    opts.admin_queue_size = opts.admin_queue_size.clamp(ADMIN_QUEUE_ENTRIES_MIN, ADMIN_QUEUE_ENTRIES_MAX);
}

/// What the host takes for a controller.
pub(super) fn controller_options(opts: &spdk_nvme_ctrlr_opts) -> host::ControllerOptions {
    let given = |string: String| (!string.is_empty()).then_some(string);
    let unless_zero = |value: u8| (value != 0).then_some(value);
    let io_queue_size = opts.io_queue_size.clamp(IO_QUEUE_ENTRIES_MIN, IO_QUEUE_ENTRIES_MAX);
    host::ControllerOptions {
        upcall: super::callback::upcall,
        io_queues: opts.num_io_queues,
        io_queue_size,
        io_queue_requests: opts.io_queue_requests.max(io_queue_size),
        admin_queue_size: opts.admin_queue_size.clamp(ADMIN_QUEUE_ENTRIES_MIN, ADMIN_QUEUE_ENTRIES_MAX),
        command_set: u8::try_from(opts.command_set.0).ok().filter(|set| *set < COMMAND_SETS),
        keep_alive_timeout: Duration::from_millis(u64::from(opts.keep_alive_timeout_ms)),
        admin_timeout: match opts.admin_timeout_ms {
            0 => NO_ADMIN_TIMEOUT,
            milliseconds => Duration::from_millis(u64::from(milliseconds)),
        },
        connect_timeout: Duration::from_micros(opts.fabrics_connect_timeout_us),
        cm_timeout: cm_timeout(),
        hostnqn: text(&opts.hostnqn),
        hostid: opts.extended_host_id,
        source_address: given(text(&opts.src_addr)),
        source_service: given(text(&opts.src_svcid)),
        retry_count: opts.transport_retry_count.min(RETRIES_MAX),
        acknowledge_timeout: unless_zero(opts.transport_ack_timeout.min(ACKNOWLEDGE_TIMEOUT_MAX)),
        type_of_service: unless_zero(opts.transport_tos),
        no_shutdown_notification: opts.no_shn_notification != 0,
        arbitration: host::Arbitration {
            // What fits into no field is no mechanism.
            mechanism: u8::try_from(opts.arb_mechanism.0).unwrap_or(u8::MAX),
            burst: opts.arbitration_burst,
            weights: [opts.low_priority_weight, opts.medium_priority_weight, opts.high_priority_weight],
        },
        leave_access_log: opts.disable_read_ana_log_page != 0,
        leave_changed_list: opts.disable_read_changed_ns_list_log_page != 0,
    }
}

/// What the host takes for a queue pair.
pub(super) fn io_qpair_options(opts: &spdk_nvme_io_qpair_opts) -> host::IoQpairOptions {
    host::IoQpairOptions {
        queue_size: opts.io_queue_size,
        queue_requests: opts.io_queue_requests,
        // SAFETY: both members of the union are the same byte, for which every value is valid.
        delay_cmd_submit: unsafe { opts.__bindgen_anon_1.delay_cmd_submit } != 0,
        create_only: opts.create_only != 0,
        async_mode: opts.async_mode != 0,
    }
}

fn mask(bits: &[u32]) -> u32 {
    bits.iter().fold(0, |mask, &bit| mask | 1u32.checked_shl(bit).unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn defaults_are_those_of_v26_05() {
        let opts = default_ctrlr_opts();
        assert_eq!(opts.dhchap_digests, 0xe);
        assert_eq!(opts.dhchap_dhgroups, 0x3f);
        assert_eq!(opts.command_set.0, 8);
        let nqn = text(&opts.hostnqn);
        assert_eq!(nqn.len(), "nqn.2014-08.org.nvmexpress:uuid:".len() + 36);
        assert_eq!(
            nqn.as_bytes()["nqn.2014-08.org.nvmexpress:uuid:".len() + 14],
            b'4',
            "version of the UUID"
        );
        assert_eq!(nqn, text(&default_ctrlr_opts().hostnqn), "one host per process");
    }

    #[test]
    fn what_is_not_offered_reads_as_not_given() {
        let mut opts = default_ctrlr_opts();
        opts.enable_interrupts = 0xff; // any value but zero is true
        settle(&mut opts);
        assert_eq!(opts.enable_interrupts, 0);
    }

    #[test]
    fn what_has_limits_reads_as_what_is_used() {
        for (given, expected) in
            [((8, 32, 2), (7, 31, 3)), ((255, 255, 5000), (7, 31, 4096)), ((7, 31, 3), (7, 31, 3))]
        {
            let mut opts = default_ctrlr_opts();
            (opts.transport_retry_count, opts.transport_ack_timeout, opts.admin_queue_size) = given;
            settle(&mut opts);
            let used = (opts.transport_retry_count, opts.transport_ack_timeout, opts.admin_queue_size);
            assert_eq!(used, expected);
            assert_eq!(controller_options(&opts).admin_queue_size, expected.2);
        }
    }

    #[test]
    fn a_command_set_that_is_none_is_left_to_choose() {
        let mut opts = default_ctrlr_opts();
        for (given, expected) in [(0, Some(0)), (6, Some(6)), (7, Some(7)), (8, None), (u32::MAX, None)] {
            opts.command_set = spdk_nvme_cc_css(given);
            assert_eq!(controller_options(&opts).command_set, expected);
        }
    }

    #[test]
    fn no_limit_is_a_long_one() {
        let mut opts = default_ctrlr_opts();
        assert_eq!(controller_options(&opts).admin_timeout, Duration::from_secs(30));
        opts.admin_timeout_ms = 0;
        assert_eq!(controller_options(&opts).admin_timeout, NO_ADMIN_TIMEOUT);
    }

    #[test]
    fn an_empty_host_nqn_is_kept() {
        let mut opts = default_ctrlr_opts();
        opts.hostnqn[0] = 0;
        assert_eq!(controller_options(&opts).hostnqn, "");
    }

    #[test]
    fn nothing_is_written_behind_the_given_size() {
        let opts = default_ctrlr_opts();
        let whole = size_of::<spdk_nvme_ctrlr_opts>();
        for size in 0..=whole + 8 {
            let mut room = vec![0xa5u8; whole + 16];
            // SAFETY: the room is large enough.
            unsafe { write(&opts, room.as_mut_ptr().cast(), size) };
            let end = known::<spdk_nvme_ctrlr_opts>(size);
            assert!(end <= size);
            assert!(room[end..].iter().all(|&byte| byte == 0xa5), "size {size}");
        }
        assert_eq!(known::<spdk_nvme_ctrlr_opts>(whole), whole);
        assert_eq!(known::<spdk_nvme_ctrlr_opts>(27), 21, "io_queue_size only in part");
        assert_eq!(known::<spdk_nvme_ctrlr_opts>(28), 28);
    }

    #[test]
    fn a_shorter_struct_keeps_the_defaults_of_the_rest() {
        let mut opts = default_io_qpair_opts(&host::IoQpairOptions {
            queue_size: 256,
            queue_requests: 512,
            delay_cmd_submit: false,
            create_only: false,
            async_mode: false,
        });
        let bytes = [0xffu8; 72];
        // SAFETY: eight bytes are there.
        unsafe { read(&mut opts, bytes.as_ptr().cast(), 8) };
        assert_eq!((opts.qprio.0, opts.io_queue_size), (u32::MAX, u32::MAX));
        assert_eq!(opts.io_queue_requests, 512);
        assert_eq!(opts.create_only, 0);
        // The struct of v24.09, which had no opts_size member.
        // SAFETY: 72 bytes are there.
        unsafe { read(&mut opts, bytes.as_ptr().cast(), 72) };
        assert_eq!(opts.create_only, 0xff);
        assert_eq!(opts.opts_size, size_of::<spdk_nvme_io_qpair_opts>());
        assert!(io_qpair_options(&opts).create_only, "any value but zero is true");
    }
}

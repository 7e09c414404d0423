//! What bad arguments come to where that is not a refusal, and why.

use super::{
    ALL, NULL,
    Outcome::{self, Accepted, Answered, AsGood, Failed, Told},
    Rule,
};

const ONE: &[&str] = &[NULL];
/// All transfers of blocks with data.
const TRANSFERS: &[&str] = &[
    "ns_cmd_read*",
    "ns_cmd_write",
    "ns_cmd_write_with_md",
    "ns_cmd_write_ext",
    "ns_cmd_write_iov",
    "ns_cmd_writev*",
    "ns_cmd_compare*",
];
/// Commands whose data are copied, or that have any that the controller makes something of.
const WITH_DATA: &[&str] = &[
    "ctrlr_cmd_get_feature*",
    "ctrlr_cmd_set_feature*",
    "ctrlr_cmd_get_log_page*",
    "ctrlr_cmd_security_*",
    "ctrlr_cmd_directive_*",
    "ns_cmd_io_mgmt_*",
    "ns_cmd_reservation_report",
];
const NO_APPEND: &[&str] = &["zns_zone_append*"];
const PROBES: &[&str] = &["probe*", "connect_async"];

/// What is no mistake, as it is what the good call comes to as well.
const fn good(
    entries: &'static [&'static str],
    name: &'static str,
    values: &'static [&'static str],
    why: &'static str,
) -> Rule {
    (entries, name, values, AsGood, why)
}

pub const RULES: &[Rule] = &[
    // What the controller or the namespace has not is refused, whatever else is said.
    (NO_APPEND, "cb_fn", ONE, Outcome::Refused, "the controller has no append"),
    (NO_APPEND, "cb_arg", ONE, Outcome::Refused, "the controller has no append"),
    (NO_APPEND, "metadata", ONE, Outcome::Refused, "the controller has no append"),
    (&["kv_*"], "cb_fn", ONE, Outcome::Refused, "the namespace has no keys"),
    (&["kv_*"], "cb_arg", ONE, Outcome::Refused, "the namespace has no keys"),
    // Callbacks.
    (&["pcie_set_hotplug_filter"], "filter_cb", ONE, Answered(0), "nothing is filtered"),
    (&["ctrlr_get_discovery_log_page"], "cb_fn", ONE, Outcome::Refused, "there is nobody to give the log to"),
    (
        &["ctrlr_io_cmd_raw_no_payload_build"],
        "cb_fn",
        ONE,
        Outcome::Refused,
        "it is refused over fabrics, whatever it gets",
    ),
    (
        &["ctrlr_io_cmd_raw_no_payload_build"],
        "cb_arg",
        ONE,
        Outcome::Refused,
        "it is refused over fabrics, whatever it gets",
    ),
    good(ALL, "cb_fn", ONE, "whoever does not want to hear of the end need not"),
    good(ALL, "cb_arg", ONE, "it is the program's word"),
    good(ALL, "cb_ctx", ONE, "it is the program's word"),
    good(ALL, "ctx", ONE, "it is the program's word"),
    good(ALL, "aer_cb_fn", ONE, "nobody hears of events any more"),
    good(ALL, "aer_cb_arg", ONE, "it is the program's word"),
    good(ALL, "remove_cb", ONE, "it is never called over RDMA"),
    good(ALL, "remove_ctx", ONE, "it is the program's word"),
    good(ALL, "hook", ONE, "nothing runs while the library waits"),
    good(ALL, "arg", ONE, "it is the program's word"),
    good(PROBES, "probe_cb", ONE, "all controllers are wanted"),
    good(PROBES, "attach_cb", ONE, "nobody hears of what is attached"),
    good(PROBES, "attach_fail_cb", ONE, "nobody hears of what is not"),
    (
        &["poll_group_wait"],
        "disconnected_qpair_cb",
        ONE,
        Answered(-22),
        "there is nothing to wait for over RDMA anyway",
    ),
    // Handles, where none means something.
    good(
        &["ctrlr_cmd_abort", "ctrlr_cmd_abort_ext", "qpair_add_cmd_error_injection"],
        "qpair",
        ONE,
        "the Admin Queue",
    ),
    (&["build_name"], "ns", ONE, Accepted, "the name of a controller"),
    (&["detach_poll"], "detach_ctx", ONE, Answered(0), "there is nothing to be waited for"),
    // Structures, where none means something.
    good(&["connect", "connect_async", "ctrlr_alloc_io_qpair"], "opts", ONE, "all options are the defaults"),
    good(
        &["ns_cmd_readv_ext", "ns_cmd_writev_ext", "ns_cmd_read_iov", "ns_cmd_write_iov"],
        "opts",
        ONE,
        "there are no options",
    ),
    good(
        &["qpair_get_fd", "ctrlr_get_admin_qp_fd"],
        "opts",
        ONE,
        "there is no descriptor over RDMA, with or without options",
    ),
    good(&["poll_group_create"], "table", ONE, "there are no accelerated sequences"),
    (&["poll_group_free_stats"], "stat", ONE, Answered(0), "there is nothing to be freed"),
    (&["rdma_init_hooks"], "hooks", ONE, Answered(0), "the hooks are taken away"),
    good(&["ctrlr_get_memory_domains"], "domains", ONE, "there are none, and nothing is written"),
    (&["ctrlr_map_cmb", "ctrlr_map_pmr"], "size", ONE, Told, "there is none, and nothing is written"),
    good(&["rdma_qpair_get_memory_counts"], "counts", ONE, "how many there are is said all the same"),
    good(ALL, "metadata", ONE, "there are no metadata apart from the data over RDMA"),
    good(ALL, "md_buf", ONE, "there are no metadata apart from the data over RDMA"),
    (&["cpl_get_status_*"], "status", ONE, Accepted, "the text for a status that is not known"),
    (
        &["probe", "probe_ext"],
        "trid",
        ONE,
        Failed(&[-1]),
        "local controllers, which are not offered: the scan fails",
    ),
    (&["dhchap_get_digest_id"], "digest", ONE, Answered(-22), "a name that is not known"),
    (&["dhchap_get_dhgroup_id"], "dhgroup", ONE, Answered(-22), "a name that is not known"),
    (&["transport_available_by_name"], "transport_name", ONE, Answered(0), "a transport that there is not"),
    // Data.
    good(WITH_DATA, "payload", ONE, "a command without data, which the controller takes or not"),
    (
        &["ctrlr_security_*"],
        "payload",
        ONE,
        Failed(&[-5]),
        "a command without data, which the controller refuses",
    ),
    (TRANSFERS, "payload", ONE, Failed(&[-1]), "memory that is none; its line is not repeated each time"),
    (
        &["ctrlr_update_firmware"],
        "payload",
        ONE,
        Failed(&[-1]),
        "SPDK's value for what is wrong with an image",
    ),
    (&["ctrlr_read_boot_partition_start"], "payload", ONE, Told, "no boot partition is read over fabrics"),
    // Sizes of options: what is known is read or written, as far as it fits.
    (&["ctrlr_alloc_io_qpair"], "opts_size", &["0"], Told, "the options are not looked at"),
    (
        &["transport_get_opts", "transport_set_opts"],
        "opts_size",
        &["0"],
        Outcome::Refused,
        "it is the size that says what they are",
    ),
    good(ALL, "opts_size", &[], "what is known and within the size is read or written"),
    // Sizes of data.
    good(TRANSFERS, "lba_count", &["1", "65536", "65537"], "several commands, as many as it takes"),
    // 512 commands of 128 KiB, of which one less is possible at a time: a queue pair has 512 requests.
    good(TRANSFERS, "lba_count", &["131071"], "as many commands as there are requests"),
    good(
        &["ns_cmd_write_zeroes", "ns_cmd_verify", "ns_cmd_write_uncorrectable"],
        "lba_count",
        &["1", "65536"],
        "what one command can be about",
    ),
    good(
        &["ns_cmd_dataset_management", "ns_cmd_copy"],
        "num_ranges",
        &["1", "256"],
        "as many as one command can have",
    ),
    good(
        &["ns_cmd_read_iov", "ns_cmd_write_iov"],
        "iovcnt",
        &["1", "1024", "UINT32_MAX"],
        "the first piece has all the data",
    ),
    good(
        &["ns_cmd_io_mgmt_recv", "ns_cmd_reservation_report"],
        "len",
        &["4"],
        "what a controller is asked for",
    ),
    good(
        &["ns_cmd_io_mgmt_send"],
        "len",
        &["0", "1", "4", "6", "16777215"],
        "what a controller makes of it is its own",
    ),
    good(
        &["ctrlr_cmd_io_raw*", "ctrlr_cmd_iov_raw*"],
        "len",
        &["0", "1", "4", "6", "16777215", "16777216"],
        "in as many pieces as it takes; what a controller makes of it is its own",
    ),
    (
        &["ctrlr_cmd_io_raw*", "ctrlr_cmd_iov_raw*"],
        "len",
        &["UINT32_MAX"],
        Failed(&[-1]),
        "more pieces than one command can have",
    ),
    good(
        &["ctrlr_cmd_admin_raw"],
        "len",
        &["0", "1", "4", "6", "16777215"],
        "what a controller makes of it is its own",
    ),
    (
        &["ctrlr_cmd_admin_raw"],
        "len",
        &["16777216", "UINT32_MAX"],
        Failed(&[-1]),
        "more than one command can have",
    ),
    good(
        &["ctrlr_cmd_get_log_page*", "zns_report_zones", "zns_ext_report_zones"],
        "payload_size",
        &["4", "16777215"],
        "what a controller is asked for",
    ),
    good(
        &["zns_set_zone_desc_ext"],
        "payload_size",
        &["1", "3", "4", "16777215"],
        "what a controller makes of it is its own",
    ),
    good(&["ocssd_ns_cmd_vector_*"], "num_lbas", &["1"], "what one command can be about"),
    (
        &["ocssd_ns_cmd_vector_*"],
        "num_lbas",
        &["2"],
        Failed(&[-95]),
        "a list that the controller cannot read",
    ),
    good(&["ocssd_ns_cmd_vector_reset"], "chunk_info", ONE, "nobody wants to hear of the chunk"),
    good(
        &[
            "ctrlr_cmd_get_feature*",
            "ctrlr_cmd_set_feature*",
            "ctrlr_cmd_security_*",
            "ctrlr_cmd_directive_*",
        ],
        "payload_size",
        &["0", "1", "3", "4", "16777215"],
        "what a controller makes of it is its own",
    ),
    good(&["ctrlr_cmd_get_log_page*"], "offset", &["0", "4"], "an offset of whole dwords"),
    good(&["ctrlr_security_receive"], "size", &["0", "1", "4"], "the list of protocols, as far as it goes"),
    (&["ctrlr_security_*"], "size", &["0", "1", "4", "16777215"], Failed(&[-5]), "the controller refuses it"),
    (
        &["ctrlr_update_firmware"],
        "size",
        &["1", "16777215", "UINT32_MAX"],
        Failed(&[-1]),
        "SPDK's value for what is no multiple of 4",
    ),
    (
        &["ctrlr_update_firmware"],
        "size",
        &["0", "4", "16777216"],
        Failed(&[-5]),
        "the controller refuses the image",
    ),
    (&["ctrlr_read_boot_partition_start"], "bprsz", &[], Told, "no boot partition is read over fabrics"),
    good(&["ctrlr_write_boot_partition"], "size", &["4", "16777216"], "the callback hears what became of it"),
    good(&["ctrlr_get_memory_domains"], "array_size", &[], "there are none"),
    good(
        &["rdma_qpair_get_memory_counts"],
        "room",
        &[],
        "how many there are is said, and as many as fit are written",
    ),
    good(&["build_name"], "length", &[], "how long it is is said, and as much as fits is written"),
    // Counts.
    good(&["qpair_process_completions"], "max_completions", &[], "none are there, and 0 is no limit"),
    good(
        &["poll_group_process_completions"],
        "completions_per_qpair",
        &[],
        "none are there, and 0 is no limit",
    ),
    good(&["qpair_add_cmd_error_injection"], "err_count", &[], "0 injects nothing"),
];

//! Calls of every entry point with live handles and one argument that is NULL, or a size that is none, one, or more than there can be:
//! `calls.h` for `calls.c`, and what each call must come to. `live_calls.rs` makes other calls of the same.
//!
//! Which arguments there are, and what they are called, the headers of `include` say, which other tests compare with SPDK's
//! prototypes. What is given for them follows from type and name; where that is not enough, [`GOOD`] has it by entry. What a bad
//! argument comes to is a refusal, unless [`RULES`] say otherwise, and why.

use super::{
    table::{Entry, table},
    tools::root,
};
use std::{collections::BTreeMap, fmt::Write, fs};

/// What a call must come to.
#[derive(Clone, Copy, Debug)]
pub enum Outcome {
    /// The value of a refusal, which the table of entry points has, and one line.
    Refused,
    /// One of these values, and at most one line: some lines are not repeated each time.
    Failed(&'static [i64]),
    /// This value, and no line: it is no mistake to ask.
    Answered(i64),
    /// What the same call with good arguments comes to (another handle, if it is one), and no line.
    AsGood,
    /// The same, and a line that says what is not as it should be.
    Told,
    /// Something else that is no refusal, and no line.
    Accepted,
}

impl Outcome {
    /// Whether a call that returned `got` and wrote so many lines came to that. `good` is what it comes to with good arguments, if that
    /// was tried, and `refused` the value of a refusal.
    pub fn is(self, symbol: &str, got: u64, refused: u64, good: Option<u64>, lines: usize) -> bool {
        // Results of 32 bits come without their sign.
        let same = |value: i64| got == value.cast_unsigned() || got == u64::from(value as u32);
        let as_good = match good {
            Some(good) if makes_handles(symbol) => (good == 0) == (got == 0),
            good => good == Some(got),
        };
        match self {
            Self::Refused => got == refused && lines == 1,
            Self::Failed(values) => values.iter().any(|value| same(*value)) && lines <= 1,
            Self::Answered(value) => same(value) && lines == 0,
            Self::AsGood => as_good && lines == 0,
            Self::Told => as_good && lines == 1,
            Self::Accepted => got != refused && lines == 0,
        }
    }
}

/// Whether what an entry returns is a handle, another one each time.
fn makes_handles(symbol: &str) -> bool {
    ["connect", "probe_async", "ctrlr_alloc_io_qpair", "poll_group_create", "spdk_opal_dev_construct"]
        .iter()
        .any(|entry| short(symbol).starts_with(entry))
}

/// For these entries, or those that begin so where it ends with *, this argument with one of these values (all, if there are none) comes
/// to that, for this reason. The first that fits counts.
pub type Rule = (&'static [&'static str], &'static str, &'static [&'static str], Outcome, &'static str);

const NULL: &str = "NULL";
const ALL: &[&str] = &["*"];

/// A size that is none, one, more than there can be, and what lies at the limits.
const SIZES: &[(&str, &[&str])] = &[
    ("lba_count", &["0", "1", "65536", "65537", "131071", "UINT32_MAX"]),
    ("num_ranges", &["0", "1", "256", "257", "UINT16_MAX"]),
    ("len", &["0", "1", "4", "6", "16777215", "16777216", "UINT32_MAX"]),
    ("payload_size", &["0", "1", "3", "4", "16777215", "16777216", "UINT32_MAX"]),
    ("offset", &["0", "1", "4", "UINT64_MAX"]),
    ("iovcnt", &["0", "1", "1024", "UINT32_MAX"]),
    ("opts_size", &["0", "1", "SIZE_MAX"]),
    ("size", &["0", "1", "4", "16777215", "16777216", "UINT32_MAX"]),
    ("bprsz", &["0", "1", "UINT32_MAX"]),
    ("length", &["0", "1", "SIZE_MAX"]),
    ("room", &["0", "1", "SIZE_MAX"]),
    ("array_size", &["0", "1", "-1", "INT32_MIN", "INT32_MAX"]),
    ("max_completions", &["0", "1", "UINT32_MAX"]),
    ("completions_per_qpair", &["0", "1", "UINT32_MAX"]),
    ("err_count", &["0", "1", "UINT32_MAX"]),
    ("num_lbas", &["0", "1", "2", "UINT32_MAX"]),
];

/// What is given for an argument, by its type and name.
const VALUES: &[(&str, &str)] = &[
    ("struct spdk_nvme_ctrlr *ctrlr", "g.ctrlr"),
    ("const struct spdk_nvme_ctrlr *ctrlr", "g.ctrlr"),
    ("struct spdk_nvme_ns *ns", "g.ns"),
    ("const struct spdk_nvme_ns *ns", "g.ns"),
    ("struct spdk_nvme_qpair *qpair", "g.qpair"),
    ("const struct spdk_nvme_qpair *qpair", "g.qpair"),
    ("struct spdk_nvme_poll_group *group", "g.group"),
    ("struct spdk_nvme_detach_ctx *detach_ctx", "g.detach"),
    ("struct spdk_nvme_probe_ctx *probe_ctx", "g.probe"),
    ("struct spdk_opal_dev *dev", "g.dev"),
    ("const char *passwd", "g_password"),
    ("const char *password", "g_password"),
    ("char *new_passwd", "g_password"),
    ("const char *new_passwd", "g_password"),
    ("const char *old_passwd", "g_password"),
    ("enum spdk_opal_lock_state flag", "OPAL_READWRITE"),
    ("enum spdk_opal_lock_state lock_flag", "OPAL_READWRITE"),
    ("enum spdk_opal_locking_range locking_range", "OPAL_LOCKING_RANGE_1"),
    ("enum spdk_opal_locking_range locking_range_id", "OPAL_LOCKING_RANGE_1"),
    ("enum spdk_opal_locking_range id", "OPAL_LOCKING_RANGE_1"),
    ("enum spdk_opal_user user", "OPAL_ADMIN1"),
    ("enum spdk_opal_user user_id", "OPAL_ADMIN1"),
    ("const struct spdk_nvme_transport_id *trid", "&g.trid"),
    ("struct spdk_nvme_transport_id *trid", "&g.other_trid"),
    ("const struct spdk_nvme_transport_id *trid1", "&g.trid"),
    ("const struct spdk_nvme_transport_id *trid2", "&g.other_trid"),
    ("const struct spdk_nvme_ctrlr_opts *opts", "&g.ctrlr_opts"),
    ("struct spdk_nvme_ctrlr_opts *opts", "&g.ctrlr_opts"),
    ("const struct spdk_nvme_io_qpair_opts *opts", "&g.qpair_opts"),
    ("struct spdk_nvme_io_qpair_opts *opts", "&g.qpair_opts"),
    ("const struct spdk_nvme_transport_opts *opts", "&g.transport_opts"),
    ("struct spdk_nvme_transport_opts *opts", "&g.transport_opts"),
    ("struct spdk_nvme_ns_cmd_ext_io_opts *opts", "&g.ext_opts"),
    ("struct spdk_event_handler_opts *opts", "(void *)g.room"),
    ("uint32_t opts", "0"),
    ("size_t opts_size", "sizeof(g.ctrlr_opts)"),
    ("struct spdk_nvme_cpl *cpl", "&g.cpl"),
    ("const struct spdk_nvme_cpl *cpl", "&g.cpl"),
    ("struct spdk_nvme_status *completion_status", "&g.status"),
    ("const struct spdk_nvme_status *status", "&g.status"),
    ("struct spdk_nvme_poll_group_stat **stats", "(struct spdk_nvme_poll_group_stat **)&g.made"),
    ("struct spdk_nvme_trid_entry *trid_entry", "&g.trid_entry"),
    ("struct spdk_nvme_host_id *hostid", "&g.host_id"),
    ("struct spdk_nvme_rdma_hooks *hooks", "&g.hooks"),
    ("enum spdk_nvme_transport_type *trtype", "&g.trtype"),
    ("enum spdk_nvmf_adrfam *adrfam", "&g.adrfam"),
    ("uint32_t *prchk_flags", "&g.prchk"),
    ("size_t *size", "&g.size"),
    ("uint64_t *counts", "g.counts"),
    ("size_t room", "8"),
    ("char *name", "g.name"),
    ("size_t length", "sizeof(g.name)"),
    ("FILE *f", "g.nowhere"),
    ("struct spdk_memory_domain **domains", "(struct spdk_memory_domain **)g.room"),
    ("struct iovec *iov", "g.iov"),
    ("uint32_t iovcnt", "1"),
    ("uint32_t lba_count", "1"),
    ("uint16_t num_ranges", "1"),
    ("uint32_t len", "4096"),
    ("uint32_t payload_size", "4096"),
    ("uint32_t size", "4096"),
    ("size_t size", "4096"),
    ("uint32_t bprsz", "4096"),
    ("int array_size", "4"),
    ("uint32_t nsid", "1"),
    ("uint32_t ns_id", "1"),
    ("uint8_t log_page", "2"),
    ("uint8_t feature", "1"),
    // One that nothing else here sends.
    ("uint8_t opc", "0xc5"),
    ("uint32_t err_count", "1"),
    ("struct spdk_nvme_cmd *cmd", "&g.cmd"),
    ("void *payload", "g.huge"),
    ("void *buf", "g.huge"),
    ("void *buffer", "g.huge"),
    ("uint32_t num_lbas", "1"),
    ("spdk_nvme_pcie_hotplug_filter_cb filter_cb", "NULL"),
    ("const char *str", "\"\""),
    // Behind a size of their own, so that no write of a device is into them.
    ("void *metadata", "g.room"),
    ("void *md_buf", "g.room"),
    ("spdk_nvme_cmd_cb cb_fn", "done"),
    ("spdk_nvme_req_reset_sgl_cb reset_sgl_fn", "reset_sgl"),
    ("spdk_nvme_req_next_sge_cb next_sge_fn", "next_sge"),
    ("spdk_nvme_probe_cb probe_cb", "wanted"),
    ("spdk_nvme_attach_cb attach_cb", "attached"),
    ("spdk_nvme_attach_fail_cb attach_fail_cb", "not_attached"),
    ("spdk_nvme_remove_cb remove_cb", "removed"),
    ("spdk_nvme_timeout_cb cb_fn", "late"),
    ("spdk_nvme_aer_cb aer_cb_fn", "heard"),
    ("spdk_nvme_ns_attr_changed_cb cb_fn", "changed"),
    ("spdk_nvme_discovery_cb cb_fn", "found_page"),
    ("spdk_nvme_disconnected_qpair_cb disconnected_qpair_cb", "disconnected"),
    ("spdk_nvme_poll_group_interrupt_cb cb_fn", "interrupted"),
    ("void (*hook)(void *arg)", "poll_target"),
    ("void *arg", "g_target"),
    ("struct spdk_nvme_accel_fn_table *table", "(void *)g.room"),
    ("struct spdk_nvme_poll_group_stat *stat", "g.stat"),
];

/// What is given for an argument of one entry.
const GOOD: &[(&str, &str, &str)] = &[
    ("ctrlr_cmd_admin_raw", "cmd", "&g.admin_cmd"),
    ("ctrlr_get_default_io_qpair_opts", "opts_size", "sizeof(g.qpair_opts)"),
    ("ctrlr_alloc_io_qpair", "opts_size", "sizeof(g.qpair_opts)"),
    ("transport_get_opts", "opts_size", "sizeof(g.transport_opts)"),
    ("transport_set_opts", "opts_size", "sizeof(g.transport_opts)"),
    ("ctrlr_cmd_set_feature", "cdw11", "7"),
    ("ctrlr_cmd_set_feature_ns", "cdw11", "7"),
    ("transport_id_parse_adrfam", "str", "\"IPv4\""),
    ("transport_id_parse_trtype", "str", "\"RDMA\""),
    ("transport_id_parse", "str", "\"trtype:RDMA traddr:127.0.0.1\""),
    ("trid_entry_parse", "str", "\"trtype:RDMA traddr:127.0.0.1\""),
    ("host_id_parse", "str", "\"hostaddr:127.0.0.1\""),
    ("prchk_flags_parse", "str", "\"prchk:reftag\""),
    ("dhchap_get_digest_id", "digest", "\"sha256\""),
    ("dhchap_get_dhgroup_id", "dhgroup", "\"null\""),
    ("transport_available_by_name", "transport_name", "\"RDMA\""),
    ("transport_id_populate_trstring", "trstring", "\"RDMA\""),
    ("poll_group_remove", "qpair", "g.member"),
    ("ocssd_ns_cmd_vector_reset", "chunk_info", "NULL"),
    ("spdk_opal_cmd_add_user_to_locking_range", "user_id", "OPAL_USER1"),
    ("spdk_opal_cmd_enable_user", "user_id", "OPAL_USER1"),
    ("spdk_opal_cmd_setup_locking_range", "range_length", "64"),
];

/// Entries that are not called with good arguments, and why.
const NOT_GOOD: &[(&str, &str)] = &[
    ("detach_async", "it would be the end of the controller"),
    ("ctrlr_format", "it would reset the controller"),
    ("ctrlr_update_firmware", "it would reset the controller"),
    ("poll_group_remove", "it would be the end of the member"),
    ("poll_group_free_stats", "the statistics are given back at the end"),
    ("rdma_init_hooks", "a test of its own (hooks.rs) has hooks that work"),
    ("transport_register", "what a transport is, is another library's to know"),
];

/// What else has to be done with what a call came to, as C. `result` is what it returned, and `accepted` whether that is 0.
const AFTER: &[(&str, &str)] = &[
    ("connect", "if (result != NULL) { check(spdk_nvme_detach(result) == 0, \"a detach\"); }"),
    ("ctrlr_alloc_io_qpair", "if (result != NULL) { spdk_nvme_ctrlr_free_io_qpair(result); }"),
    ("poll_group_create", "if (result != NULL) { spdk_nvme_poll_group_destroy(result); }"),
    ("poll_group_get_stats", "if (accepted) { spdk_nvme_poll_group_free_stats(g.group, g.made); }"),
    ("qpair_add_cmd_error_injection", "spdk_nvme_qpair_remove_cmd_error_injection(g.ctrlr, g.qpair, 0xc5);"),
    (
        "ctrlr_register_timeout_callback",
        "spdk_nvme_ctrlr_register_timeout_callback(g.ctrlr, 0, 0, NULL, NULL);",
    ),
    ("rdma_set_wait_hook", "spdk_nvme_rdma_set_wait_hook(poll_target, g_target);"),
    ("ctrlr_write_boot_partition", "if (accepted && !g_tells) { until_written(); }"),
    ("spdk_opal_dev_construct", "if (result != NULL) { spdk_opal_dev_destruct(result); }"),
];

#[path = "argument_rules.rs"]
mod rules;

/// A function of a header.
pub struct Declaration {
    result: String,
    /// As they are written, with their names.
    pub parameters: Vec<String>,
}

impl Declaration {
    pub fn name(parameter: &str) -> &str {
        let name = parameter.split_once("(*").map_or(parameter, |(_, rest)| rest);
        let name = name.split_once(')').map_or(name, |(name, _)| name);
        name.rsplit(|c: char| !c.is_alphanumeric() && c != '_').next().unwrap()
    }

    pub fn is_pointer(parameter: &str) -> bool {
        let type_ = parameter.split_whitespace().next().unwrap();
        parameter.contains('*') || type_.ends_with("_cb")
    }
}

/// What the headers declare, by name.
pub fn declarations() -> BTreeMap<String, Declaration> {
    let mut found = BTreeMap::new();
    for header in table().into_values().map(|entry| entry.header).collect::<std::collections::BTreeSet<_>>() {
        let Ok(text) = fs::read_to_string(root().join("include").join(header)) else { continue };
        let code = without_comments(&text);
        for statement in code.split(';') {
            let statement = statement.split_whitespace().collect::<Vec<_>>().join(" ");
            let Some((head, arguments)) = statement.split_once('(') else { continue };
            let Some(at) = head.rfind("spdk_") else { continue };
            let Some(arguments) = arguments.strip_suffix(')') else { continue };
            let (mut parameters, mut depth) = (vec![String::new()], 0);
            for letter in arguments.chars() {
                match letter {
                    '(' => depth += 1,
                    ')' => depth -= 1,
                    _ => {}
                }
                match letter {
                    ',' if depth == 0 => parameters.push(String::new()),
                    letter => parameters.last_mut().unwrap().push(letter),
                }
            }
            let parameters: Vec<_> = parameters.iter().map(|parameter| parameter.trim().to_owned()).collect();
            // The first one stands behind `extern "C" {`.
            let result = head[..at].rsplit('{').next().unwrap().trim();
            found.insert(head[at..].to_owned(), Declaration { result: result.to_owned(), parameters });
        }
    }
    found
}

fn without_comments(text: &str) -> String {
    let mut code = String::new();
    let mut rest = text;
    while let Some((before, comment)) = rest.split_once("/*") {
        code.push_str(before);
        rest = comment.split_once("*/").map_or("", |(_, rest)| rest);
    }
    code.push_str(rest);
    code.lines().filter(|line| !line.starts_with('#')).fold(String::new(), |code, line| code + line + "\n")
}

/// What is given for an argument where it is good.
pub fn good(symbol: &str, parameter: &str) -> String {
    let (name, short) = (Declaration::name(parameter), short(symbol));
    let own = GOOD
        .iter()
        .find(|(entry, argument, _)| (*entry, *argument) == (short, name))
        .map(|(.., value)| *value);
    let known = || VALUES.iter().find(|(known, _)| *known == parameter).map(|(_, value)| *value);
    let value = own.or_else(known).unwrap_or(match parameter {
        parameter if Declaration::is_pointer(parameter) => "(void *)g.room",
        _ => "0",
    });
    value.to_owned()
}

pub fn short(symbol: &str) -> &str {
    symbol.trim_start_matches("spdk_nvme_")
}

/// The values with which an argument is tried.
fn trials(parameter: &str) -> &'static [&'static str] {
    if Declaration::is_pointer(parameter) {
        return &[NULL];
    }
    let name = Declaration::name(parameter);
    SIZES.iter().find(|(size, _)| *size == name).map_or(&[], |(_, values)| *values)
}

/// `calls.h`, and how many calls it has.
pub fn header() -> (String, usize) {
    let declarations = declarations();
    let (mut text, mut rows, mut count) = (String::new(), String::new(), 0);
    for (symbol, entry) in table() {
        if !entry.is_written {
            continue;
        }
        let declaration = declarations.get(&symbol).unwrap_or_else(|| panic!("{symbol} is in no header"));
        // Those that take handles alone have a test of their own.
        let has_more = declaration.parameters.iter().any(|parameter| {
            !trials(parameter).is_empty() && !VALUES[..7].iter().any(|(handle, _)| handle == parameter)
        });
        if !has_more {
            continue;
        }
        let is_tried_good = NOT_GOOD.iter().all(|(entry, _)| *entry != short(&symbol));
        let calls = is_tried_good.then_some(("good", NULL)).into_iter().chain(
            declaration.parameters.iter().flat_map(|parameter| {
                trials(parameter).iter().map(|value| (Declaration::name(parameter), *value))
            }),
        );
        for (argument, value) in calls {
            writeln!(text, "{}", call(&symbol, &entry, declaration, argument, value, count)).unwrap();
            writeln!(rows, "\tcall_{count},").unwrap();
            count += 1;
        }
    }
    (format!("{text}static void (*const g_calls[])(void) = {{\n{rows}}};\n"), count)
}

/// A function that makes one call, where the argument has the value, and all others are good.
fn call(
    symbol: &str,
    entry: &Entry,
    declaration: &Declaration,
    argument: &str,
    value: &str,
    number: usize,
) -> String {
    let given = |parameter: &String| {
        let is_tried = Declaration::name(parameter) == argument;
        if is_tried { value.to_owned() } else { good(symbol, parameter) }
    };
    let given: Vec<_> = declaration.parameters.iter().map(given).collect();
    let mut body = made(symbol, entry, declaration, (argument, value), &given);
    body.push_str(&followed(symbol, declaration, argument));
    format!("static void\ncall_{number}(void)\n{{\n{body}\tafter(accepted);\n}}\n")
}

/// One call with the arguments `given`, as C that has `result`, if there is one, and `accepted` afterwards. It is announced as one where
/// `argument` has `value`.
pub fn made(
    symbol: &str,
    entry: &Entry,
    declaration: &Declaration,
    (argument, value): (&str, &str),
    given: &[String],
) -> String {
    let tells = declaration.parameters.iter().zip(given).any(|(parameter, given)| {
        let type_ = parameter.split_whitespace().next().unwrap();
        matches!(type_, "spdk_nvme_cmd_cb" | "spdk_nvme_discovery_cb") && given != NULL
    });
    let given = given.join(", ");
    let refused = match entry.refused.as_deref() {
        None | Some("NULL" | "false") => "0",
        Some(value) => value,
    };
    let mut body = format!("\tbegin(\"{symbol}\", \"{argument}\", {value:?}, {tells});\n");
    if declaration.result == "void" {
        write!(body, "\t{symbol}({given});\n\tend(0, 0, 0);\n\tconst bool accepted = true;\n").unwrap();
    } else {
        write!(
            body,
            "\t{} result = {symbol}({given});\n\tend(bits(&result, sizeof(result)), sizeof(result), (uint64_t)({refused}));\n\
             \tconst bool accepted = bits(&result, sizeof(result)) == 0;\n",
            declaration.result
        )
        .unwrap();
    }
    body
}

/// What has to be done with what such a call came to, as C.
pub fn followed(symbol: &str, declaration: &Declaration, argument: &str) -> String {
    let mut body = String::new();
    if let Some((_, after)) = AFTER.iter().find(|(entry, _)| *entry == short(symbol)) {
        writeln!(body, "\t{after}").unwrap();
    }
    // What was begun ends, and what was attached without anybody hearing of it is found.
    if declaration.result.contains("probe_ctx") {
        body.push_str("\tuntil_probed(result);\n");
    }
    if argument == "attach_cb" {
        let began = if declaration.result.contains('*') { "result != NULL" } else { "accepted" };
        writeln!(body, "\tif ({began}) {{ detach_unheard(); }}").unwrap();
    }
    body
}

/// What a call must come to, and the rule that says so.
pub fn outcome(symbol: &str, argument: &str, value: &str) -> (Outcome, Option<usize>) {
    let short = short(symbol);
    let fits = |(entries, name, values, ..): &Rule| {
        entries
            .iter()
            .any(|entry| entry.strip_suffix('*').map_or(short == *entry, |begin| short.starts_with(begin)))
            && *name == argument
            && (values.is_empty() || values.contains(&value))
    };
    match rules::RULES.iter().position(fits) {
        Some(number) => (rules::RULES[number].3, Some(number)),
        None => (Outcome::Refused, None),
    }
}

/// How many rules there are.
pub fn rules() -> usize {
    rules::RULES.len()
}

/// What a rule is about, for the message of a failure.
pub fn rule(number: usize) -> String {
    format!("{:?}", rules::RULES[number])
}

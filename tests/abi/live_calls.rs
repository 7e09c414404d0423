//! Calls of each of SPDK's entry points with live handles of this library's and good arguments, as far as it takes any, and with each
//! other pointer NULL: `calls.h` for `calls.c`, and which of the calls another library gets.
//!
//! What is given for an argument is as in `arguments.rs`; where something else is needed here, [`GOOD`] has it. A call that ends the
//! handles that it gets is made with some of its own: [`FRESH`].

use super::{
    arguments::{self, Declaration, declarations, short},
    standin::{self, Shape},
    stubs::is_handle,
    table::{Entry, table},
};
use std::{collections::BTreeMap, fmt::Write};

/// One call: where the argument has the value, and all others are good. Where all are, the argument is "good".
pub struct Call {
    pub symbol: String,
    pub argument: String,
    pub value: String,
}

/// Who answers a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Who {
    /// This library. The next one is not reached.
    Ours,
    /// The next library, which is reached once, by the same entry.
    Next,
    /// This library, which asks the next one, too.
    Both,
}

/// For calls of these entries, or those that begin so where it ends with *, where this argument (any, if it is *) has this value (any, if it
/// is empty): who answers them, and why. The first that fits counts; what none fits this library answers.
pub type Rule = (&'static [&'static str], &'static str, &'static str, Who, &'static str);

const GOOD_ONE: (&str, &str) = ("good", "NULL");
const NULL: &str = "NULL";
const LOCAL: &str = "&g.local_trid";
const OURS: &str = "(void *)g.ctrlr";
const FREED: &str = "freed()";
const THEIRS: &str = "theirs_alone()";
const FOREIGN: &str = "(void *)g.room";
const PCIE: &str = "SPDK_NVME_TRANSPORT_PCIE";
const PCIE_NAME: &str = "\"PCIE\"";

const PROBES: &[&str] = &["probe", "probe_ext", "probe_async", "probe_async_ext"];
const CONNECTS: &[&str] = &["connect", "connect_async", "scan_attached"];
/// What is asked of a poll group with a member of another library's.
const GROUPS: &[&str] = &[
    "poll_group_all_connected",
    "poll_group_destroy",
    "poll_group_get_stats",
    "poll_group_process_completions",
];
/// What a program waits on is the group of that library, which is made for it.
const WAITS: &[&str] = &["poll_group_get_fd", "poll_group_get_fd_group", "poll_group_set_interrupt_callback"];
const MEMBERS: &[&str] = &["poll_group_add", "poll_group_remove"];
const OPTIONS: &[&str] = &["transport_get_opts", "transport_set_opts"];
const DHCHAP: &[&str] = &["dhchap_calculate", "dhchap_dhkey_*", "dhchap_generate_dhkey"];
/// Those that take pointers. No header has them, so their arguments have no names.
const WITH_POINTERS: &[&str] = &["dhchap_calculate", "dhchap_dhkey_*"];
/// Entries that take a device of Opal. Each call has one of its own, of a controller whose owner `calls.c` is.
const DEVICES: &[&str] =
    &["spdk_opal_cmd_*", "spdk_opal_dev_destruct", "spdk_opal_free_*", "spdk_opal_get_*"];

const RULES: &[Rule] = &[
    (PROBES, "trid", NULL, Who::Next, "local controllers"),
    (PROBES, "trid", LOCAL, Who::Next, "local controllers"),
    (CONNECTS, "trid", LOCAL, Who::Next, "a local controller"),
    (&["transport_available"], "trtype", PCIE, Who::Next, "a transport that this library has not"),
    (&["transport_available_by_name"], "transport_name", PCIE_NAME, Who::Next, "as before"),
    (OPTIONS, "good", NULL, Who::Next, "options of TCP are among them"),
    (&["transport_register"], "*", "", Who::Next, "whoever makes a transport makes it for SPDK's library"),
    (&["pcie_set_hotplug_filter"], "*", "", Who::Next, "it is about PCIe alone"),
    (&["trid_entry_parse"], "*", "", Who::Next, "that one knows what structure the program was built with"),
    (&["poll_group_wait"], "group", THEIRS, Who::Both, "all members are another library's"),
    (WAITS, "*", "", Who::Both, "queue pairs over other transports have something to wait for"),
    (GROUPS, "members", FOREIGN, Who::Both, "it has members of both"),
    (MEMBERS, "qpair", FOREIGN, Who::Both, "the member is another library's"),
    (DHCHAP, "pointers", OURS, Who::Ours, "nothing of this library's may get there"),
    (DHCHAP, "pointers", FREED, Who::Ours, "nor what was freed"),
    (DHCHAP, "*", "", Who::Next, "authentication is not there yet"),
    (DEVICES, "dev", FOREIGN, Who::Next, "the device is another library's"),
];

/// More calls.
const MORE: &[(&[&str], &str, &str)] = &[
    (PROBES, "trid", LOCAL),
    (CONNECTS, "trid", LOCAL),
    (&["transport_available"], "trtype", PCIE),
    (&["transport_available_by_name"], "transport_name", PCIE_NAME),
    (DEVICES, "dev", FOREIGN),
    (DEVICES, "dev", NULL),
    (DEVICES, "dev", OURS),
    (DEVICES, "dev", FREED),
    (GROUPS, "members", FOREIGN),
    (&["poll_group_wait"], "group", THEIRS),
    (MEMBERS, "qpair", FOREIGN),
    (WITH_POINTERS, "pointers", NULL),
    (WITH_POINTERS, "pointers", OURS),
    (WITH_POINTERS, "pointers", FREED),
];

/// What is given for an argument of one entry.
const GOOD: &[(&str, &str, &str)] = &[
    ("transport_available", "trtype", "SPDK_NVME_TRANSPORT_RDMA"),
    ("poll_group_free_stats", "stat", "more_stat()"),
    ("ctrlr_free_qid", "qid", "(uint16_t)spdk_nvme_ctrlr_alloc_qid(g.ctrlr)"),
    // A namespace that there is not: others are used by the calls that follow.
    ("ctrlr_delete_ns", "nsid", "77"),
];

/// Entries that end or change what they get: what is done before, with handles of the call's own, as C.
const FRESH: &[(&str, &str)] = &[
    ("ctrlr_connect_io_qpair", "g.qpair = unconnected();"),
    ("ctrlr_disconnect", ""),
    ("ctrlr_disconnect_io_qpair", ""),
    ("ctrlr_fail", ""),
    ("ctrlr_format", ""),
    ("ctrlr_free_io_qpair", ""),
    ("ctrlr_reconnect_async", "check(spdk_nvme_ctrlr_disconnect(g.ctrlr) == 0, \"a disconnect\");"),
    ("ctrlr_reconnect_io_qpair", "spdk_nvme_ctrlr_disconnect_io_qpair(g.qpair);"),
    (
        "ctrlr_reconnect_poll_async",
        "check(spdk_nvme_ctrlr_disconnect(g.ctrlr) == 0, \"a disconnect\"); spdk_nvme_ctrlr_reconnect_async(g.ctrlr);",
    ),
    ("ctrlr_reset", ""),
    ("ctrlr_reset_subsystem", ""),
    ("ctrlr_set_trid", "spdk_nvme_ctrlr_fail(g.ctrlr);"),
    ("ctrlr_update_firmware", ""),
    ("detach", ""),
    ("detach_async", ""),
    (
        "detach_poll",
        "check(spdk_nvme_detach_async(g.ctrlr, &g.detach) == 0, \"a detach\"); note_handle(g.detach);",
    ),
    (
        "detach_poll_async",
        "check(spdk_nvme_detach_async(g.ctrlr, &g.detach) == 0, \"a detach\"); note_handle(g.detach);",
    ),
    ("poll_group_add", "g.qpair = unconnected();"),
    ("poll_group_destroy", "check(spdk_nvme_ctrlr_free_io_qpair(g.member) == 0, \"the end of the member\");"),
    ("poll_group_remove", "spdk_nvme_ctrlr_disconnect_io_qpair(g.member);"),
    (
        "probe_poll_async",
        "g.probe = spdk_nvme_connect_async(&g.trid, &g.ctrlr_opts, attached); note_handle(g.probe);",
    ),
];

/// The same for a poll group that gets a member of another library's. The stand-in refuses it; that there is one is enough.
const JOIN: &str =
    "check(spdk_nvme_poll_group_add(g.group, (void *)g.room) != 0, \"a group of the stand-in's\");";

/// What is done with the result of a call with handles of its own, as C.
const AFTER: &[(&str, &str)] =
    &[("detach_async", "if (accepted) { spdk_nvme_detach_poll((void *)g.room[0]); }")];

/// `calls.h`, and the calls in it.
pub fn header() -> (String, Vec<Call>) {
    let declarations = declarations();
    let shapes: BTreeMap<_, _> =
        standin::shapes().into_iter().map(|(symbol, _, shape)| (symbol, shape)).collect();
    let (mut text, mut rows, mut calls) = (String::new(), String::new(), Vec::new());
    for (symbol, entry) in table() {
        let Some(shape) = shapes.get(&symbol) else { continue };
        let declaration = declarations.get(&symbol);
        if declaration.is_none() {
            assert!(!entry.is_written, "{symbol} is in no header");
            writeln!(text, "{}", own(&symbol, shape)).unwrap();
        }
        let nulls = declaration.into_iter().flat_map(|declaration| &declaration.parameters);
        let nulls = nulls.zip(&shape.parameters);
        let nulls =
            nulls.filter(|(parameter, type_)| Declaration::is_pointer(parameter) && !is_handle(type_));
        let nulls = nulls.map(|(parameter, _)| (Declaration::name(parameter), NULL));
        let more = MORE.iter().filter(|(entries, ..)| fits(entries, &symbol));
        let more = more.map(|(_, argument, value)| (*argument, *value));
        for (argument, value) in [GOOD_ONE].into_iter().chain(nulls).chain(more) {
            let call =
                Call { symbol: symbol.clone(), argument: argument.to_owned(), value: value.to_owned() };
            let body = match declaration {
                Some(declaration) => body(&call, &entry, declaration),
                None => own_body(&call, shape),
            };
            let number = calls.len();
            writeln!(text, "static void\ncall_{number}(void)\n{{\n{body}}}\n").unwrap();
            writeln!(rows, "\tcall_{number},").unwrap();
            calls.push(call);
        }
    }
    (format!("{text}static void (*const g_calls[])(void) = {{\n{rows}}};\n"), calls)
}

/// A call of what a header declares.
fn body(call: &Call, entry: &Entry, declaration: &Declaration) -> String {
    let (symbol, short) = (&call.symbol, short(&call.symbol));
    let given = |parameter: &String| {
        let name = Declaration::name(parameter);
        if name == call.argument {
            return call.value.clone();
        }
        let own = GOOD.iter().find(|(entry, argument, _)| (*entry, *argument) == (short, name));
        own.map_or_else(|| arguments::good(symbol, parameter), |(.., value)| (*value).to_owned())
    };
    let given: Vec<_> = declaration.parameters.iter().map(given).collect();
    let mut body = String::new();
    let fresh = match who(call).0 {
        Who::Both => Some(JOIN),
        _ => FRESH.iter().find(|(entry, _)| *entry == short).map(|(_, before)| *before),
    };
    if let Some(before) = fresh {
        writeln!(body, "\tbegin_fresh();\n\t{before}").unwrap();
    }
    body += &arguments::made(symbol, entry, declaration, (&call.argument, &call.value), &given);
    // The answer of the stand-in is nothing to go on with.
    if who(call).0 != Who::Next {
        body += &arguments::followed(symbol, declaration, &call.argument);
        if let Some((_, after)) = AFTER.iter().find(|(entry, _)| *entry == short) {
            writeln!(body, "\t{after}").unwrap();
        }
    }
    body += "\tafter(accepted);\n";
    if fresh.is_some() {
        body += "\tend_fresh();\n";
    }
    body
}

/// A declaration of what no header has: all its arguments are integers.
fn own(symbol: &str, shape: &Shape) -> String {
    let parameters = vec!["uint64_t"; shape.parameters.len()].join(", ");
    format!("extern uint64_t own_{symbol}({parameters}) __asm__(\"{symbol}\");")
}

/// A call of what no header has.
fn own_body(call: &Call, shape: &Shape) -> String {
    let given = shape.parameters.iter().map(|type_| match type_ {
        type_ if is_handle(type_) => {
            let name = type_.trim_start_matches("const ").trim_start_matches("struct spdk_nvme_");
            format!("(uintptr_t)g.{}", name.trim_end_matches(" *"))
        }
        type_ if type_.contains('*') && call.argument == "pointers" => format!("(uintptr_t){}", call.value),
        type_ if type_.contains('*') => String::from("(uintptr_t)g.room"),
        _ => String::from("0"),
    });
    let (symbol, given) = (&call.symbol, given.collect::<Vec<_>>().join(", "));
    format!(
        "\tbegin(\"{symbol}\", \"{}\", \"{}\", false);\n\tuint64_t result = own_{symbol}({given});\n\
         \tend(result, {}, (uint64_t)({}));\n\tafter(true);\n",
        call.argument, call.value, shape.size, shape.refused
    )
}

pub fn fits(entries: &[&str], symbol: &str) -> bool {
    let short = short(symbol);
    entries
        .iter()
        .any(|entry| entry.strip_suffix('*').map_or(short == *entry, |begin| short.starts_with(begin)))
}

/// Who answers a call, and the rule that says so.
pub fn who(call: &Call) -> (Who, Option<usize>) {
    let rule = RULES.iter().position(|(entries, argument, value, ..)| {
        fits(entries, &call.symbol)
            && (*argument == "*" || *argument == call.argument)
            && (value.is_empty() || *value == call.value)
    });
    (rule.map_or(Who::Ours, |rule| RULES[rule].3), rule)
}

/// Rules that none of these calls is about.
pub fn unused(calls: &[Call]) -> Vec<&'static Rule> {
    let is_used = |rule| calls.iter().any(|call| who(call).1 == Some(rule));
    RULES.iter().enumerate().filter(|(rule, _)| !is_used(*rule)).map(|(_, rule)| rule).collect()
}

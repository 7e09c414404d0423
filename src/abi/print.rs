//! Commands and completions as notices in the log. People and scripts read these lines.

use super::{
    entry::{entry, guard_plain, pass_on_if_disabled},
    qpair::Qpair,
    text::text,
    types::{spdk_nvme_cmd, spdk_nvme_cpl, spdk_nvme_ctrlr_opts, spdk_nvme_qpair},
};
use crate::host::{self, Failure, FailureListener, Standing};
use spec::{Command, Completion, command::COMMAND_SIZE, completion::COMPLETION_SIZE, printable};
use std::{
    ptr,
    rc::{Rc, Weak},
};

/// Writes a command as a notice to the log, as one of the queue with this identifier; 0 is the admin queue.
///
/// # Safety
///
/// cmd is NULL, which a line in the log says, or points to a command.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn spdk_nvme_print_command(qid: u16, cmd: *mut spdk_nvme_cmd) {
    pass_on_if_disabled!(spdk_nvme_print_command(qid, cmd));
    guard_plain("spdk_nvme_print_command", (), || {
        // SAFETY: the caller vouches for the command.
        if let Some(command) = unsafe { read_command("spdk_nvme_print_command", cmd) } {
            print_command("", &command, qid);
        }
    });
}

/// Writes a completion as a notice to the log, as one of the queue with this identifier, without knowing its command.
///
/// # Safety
///
/// cpl is NULL, which a line in the log says, or points to a completion.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn spdk_nvme_print_completion(qid: u16, cpl: *mut spdk_nvme_cpl) {
    pass_on_if_disabled!(spdk_nvme_print_completion(qid, cpl));
    guard_plain("spdk_nvme_print_completion", (), || {
        // SAFETY: the caller vouches for the completion.
        if let Some(completion) = unsafe { read_completion("spdk_nvme_print_completion", cpl) } {
            print_completion("", &completion, qid, 0);
        }
    });
}

/// Writes a completion as a notice to the log, as one of the queue with this identifier and the answer to a command with
/// this opcode.
///
/// # Safety
///
/// cpl is NULL, which a line in the log says, or points to a completion.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn spdk_nvme_print_completion_ext(qid: u16, cpl: *const spdk_nvme_cpl, opc: u8) {
    pass_on_if_disabled!(spdk_nvme_print_completion_ext(qid, cpl, opc));
    guard_plain("spdk_nvme_print_completion_ext", (), || {
        // SAFETY: the caller vouches for the completion.
        if let Some(completion) = unsafe { read_completion("spdk_nvme_print_completion_ext", cpl) } {
            print_completion("", &completion, qid, opc);
        }
    });
}

/// Writes a command as a notice to the log, behind what its queue pair is.
///
/// # Safety
///
/// qpair is a handle that no other thread uses. cmd is NULL, which a line in the log says, or points to a command.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn spdk_nvme_qpair_print_command(qpair: *mut spdk_nvme_qpair, cmd: *mut spdk_nvme_cmd) {
    entry!(spdk_nvme_qpair_print_command(qpair, cmd), Qpair, qpair, (), |object| {
        // SAFETY: the caller vouches for the command.
        if let Some(command) = unsafe { read_command("spdk_nvme_qpair_print_command", cmd) } {
            print_command(&prefix(object), &command, object.host().id());
        }
    });
}

/// Writes a completion as a notice to the log, behind what its queue pair is, without knowing its command.
///
/// # Safety
///
/// qpair is a handle that no other thread uses. cpl is NULL, which a line in the log says, or points to a completion.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn spdk_nvme_qpair_print_completion(
    qpair: *mut spdk_nvme_qpair,
    cpl: *mut spdk_nvme_cpl,
) {
    entry!(spdk_nvme_qpair_print_completion(qpair, cpl), Qpair, qpair, (), |object| {
        // SAFETY: the caller vouches for the completion.
        if let Some(completion) = unsafe { read_completion("spdk_nvme_qpair_print_completion", cpl) } {
            print_completion(&prefix(object), &completion, object.host().id(), 0);
        }
    });
}

/// Writes a completion as a notice to the log, behind what its queue pair is, as the answer to a command with this opcode.
///
/// # Safety
///
/// qpair is a handle that no other thread uses. cpl is NULL, which a line in the log says, or points to a completion.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn spdk_nvme_qpair_print_completion_ext(
    qpair: *const spdk_nvme_qpair,
    cpl: *const spdk_nvme_cpl,
    opc: u8,
) {
    entry!(spdk_nvme_qpair_print_completion_ext(qpair, cpl, opc), Qpair, qpair, (), |object| {
        // SAFETY: the caller vouches for the completion.
        if let Some(completion) = unsafe { read_completion("spdk_nvme_qpair_print_completion_ext", cpl) } {
            print_completion(&prefix(object), &completion, object.host().id(), opc);
        }
    });
}

/// Reads a program's command. None, and a line in the log, for NULL.
///
/// # Safety
/// `cmd` is NULL or points to a command.
unsafe fn read_command(entry: &str, cmd: *const spdk_nvme_cmd) -> Option<Command> {
    const { assert!(size_of::<spdk_nvme_cmd>() == COMMAND_SIZE) };
    if cmd.is_null() {
        tracing::error!("{entry}: command is NULL");
        return None;
    }
    // SAFETY: the caller vouches for the command, which is as large as that.
    Some(Command::from_bytes(&unsafe { cmd.cast::<[u8; COMMAND_SIZE]>().read_unaligned() }))
}

/// As [`read_command`], of a completion.
///
/// # Safety
/// `cpl` is NULL or points to a completion.
unsafe fn read_completion(entry: &str, cpl: *const spdk_nvme_cpl) -> Option<Completion> {
    const { assert!(size_of::<spdk_nvme_cpl>() == COMPLETION_SIZE) };
    if cpl.is_null() {
        tracing::error!("{entry}: completion is NULL");
        return None;
    }
    // SAFETY: the caller vouches for the completion, which is as large as that.
    Some(Completion::from_bytes(&unsafe { cpl.cast::<[u8; COMPLETION_SIZE]>().read_unaligned() }))
}

fn print_command(prefix: &str, command: &Command, qid: u16) {
    tracing::info!("{prefix}{}", command.line(qid));
}

fn print_completion(prefix: &str, completion: &Completion, qid: u16, opcode: u8) {
    let sqid = completion.sqid();
    if sqid != qid && sqid != 0 {
        tracing::error!("{prefix}a completion of queue {sqid} is taken for one of queue {qid}");
    }
    tracing::info!("{prefix}{}", completion.line(qid, opcode));
}

/// From now on the commands of a queue pair that end with an error are written to the log, and their completions, unless the options of its
/// controller say otherwise.
pub(super) fn print_failures(object: &Rc<Qpair>) {
    if object.ctrlr().opts().disable_error_logging != 0 {
        return;
    }
    let listener: Weak<dyn FailureListener> = Rc::downgrade(object) as _;
    object.host().listen_to_failures(Some(listener));
}

/// As [`print_failures`], of the admin queue of a controller with these options.
pub(super) fn print_admin_failures(host: &Rc<host::Controller>, opts: &spdk_nvme_ctrlr_opts) {
    if opts.disable_error_logging != 0 {
        return;
    }
    let listener: Weak<dyn FailureListener> = Rc::downgrade(host) as _;
    host.listen_to_failures(Some(listener));
}

impl FailureListener for Qpair {
    fn hear(&self, failure: Failure<'_>) {
        print_failure(&prefix(self), failure, self.host().id());
    }
}

/// Of its Admin Queue.
impl FailureListener for host::Controller {
    fn hear(&self, failure: Failure<'_>) {
        print_failure(&admin_prefix(self), failure, 0);
    }
}

fn print_failure(prefix: &str, failure: Failure<'_>, qid: u16) {
    match failure {
        Failure::Command(command, completion) => {
            print_command(prefix, command, qid);
            print_completion(prefix, completion, qid, command.opcode());
        }
        Failure::Others(count) => {
            tracing::info!("{prefix}{count} more commands ended with an error, too many to be written here");
        }
    }
}

/// What a queue pair is, as its log lines begin.
fn prefix(object: &Qpair) -> String {
    let (ctrlr, handle, qid) = (object.ctrlr(), object.handle(), object.host().id());
    let (trid, opts) = (ctrlr.transport_id(), ctrlr.opts());
    let (host, subsystem, address) = (text(&opts.hostnqn), text(&trid.subnqn), text(&trid.traddr));
    let (cntlid, state) = (ctrlr.summary().controller_id(), state(object.host().standing()));
    format!("[{host},{subsystem},{address},cntlid:{cntlid},qid:{qid},qpair:{handle:p},{state}] ")
}

/// As [`prefix`], of an admin queue, which has no handle: its place in memory tells it from others.
fn admin_prefix(controller: &host::Controller) -> String {
    let (id, cntlid) = (controller.transport_id(), controller.controller_id());
    let host = printable(&controller.options().hostnqn);
    let (subsystem, address) = (printable(&id.subnqn), printable(&id.traddr));
    let (place, state) = (ptr::from_ref(controller), state(controller.admin_standing()));
    format!("[{host},{subsystem},{address},cntlid:{cntlid},qid:0,qpair:{place:p},{state}] ")
}

/// What SPDK calls where a queue pair stands. Its two names for one that is connected differ in whether it was used since.
fn state(standing: Standing) -> &'static str {
    match standing {
        Standing::Disconnected => "DISCONNECTED",
        Standing::Disconnecting => "DISCONNECTING",
        Standing::Connecting => "CONNECTING",
        Standing::Connected => "ENABLED",
        Standing::Freed => "DESTROYING",
    }
}

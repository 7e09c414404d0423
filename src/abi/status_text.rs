//! Statuses as text, and completions as log lines. Programs print and compare these texts.

use super::{
    ctrlr::Ctrlr,
    entry::{entry, guard_plain},
    qpair::Qpair,
    text::text,
    types::{spdk_nvme_cpl, spdk_nvme_qpair, spdk_nvme_status},
};
use libc::c_char;
use spec::{AdminOpcode, Completion, Status, StatusCode, StatusCodeType};
use std::ptr;

/// Room for the longest text and its zero byte.
const ROOM: usize = 48;
type Texts = [[u8; ROOM]; 256];

/// The texts of all status codes of a type, as C strings. Runs in the compiler, which stops at a wrong index.
#[allow(clippy::indexing_slicing, clippy::arithmetic_side_effects)]
const fn texts(sct: StatusCodeType, opcode: u8) -> Texts {
    let mut texts = [[0; ROOM]; 256];
    let mut sc = 0;
    while sc < texts.len() {
        let name = Status::new(sct, StatusCode(sc as u8)).name_for(opcode).as_bytes();
        assert!(name.len() < ROOM);
        let mut index = 0;
        while index < name.len() {
            texts[sc][index] = name[index];
            index += 1;
        }
        sc += 1;
    }
    texts
}

static GENERIC: Texts = texts(StatusCodeType::GENERIC, 0);
static COMMAND_SPECIFIC: Texts = texts(StatusCodeType::COMMAND_SPECIFIC, 0);
static FABRICS: Texts = texts(StatusCodeType::COMMAND_SPECIFIC, AdminOpcode::FABRICS.0);
static MEDIA_ERROR: Texts = texts(StatusCodeType::MEDIA_ERROR, 0);
static PATH: Texts = texts(StatusCodeType::PATH, 0);

/// The text of a status, as the answer to a command with this opcode.
///
/// # Safety
///
/// status is NULL, which gives "RESERVED", or points to a status.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn spdk_nvme_cpl_get_status_string_ext(
    status: *const spdk_nvme_status,
    opc: u8,
) -> *const c_char {
    guard_plain("spdk_nvme_cpl_get_status_string_ext", c"RESERVED".as_ptr(), || {
        if status.is_null() {
            return c"RESERVED".as_ptr();
        }
        // SAFETY: the caller vouches for the pointer. Bit 0 is the phase tag, which the host does not have.
        Status(unsafe { status.cast::<u16>().read_unaligned() } >> 1).c_text(opc)
    })
}

/// The text of a status, as the answer to a command of any but the Fabrics command set.
///
/// # Safety
///
/// status is NULL, which gives "RESERVED", or points to a status.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn spdk_nvme_cpl_get_status_string(status: *const spdk_nvme_status) -> *const c_char {
    // SAFETY: the caller's contract is the same.
    unsafe { spdk_nvme_cpl_get_status_string_ext(status, 0) }
}

/// Writes a completion as a notice to the log, without knowing its command.
///
/// # Safety
///
/// qpair is a handle that no other thread uses. cpl points to a completion.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn spdk_nvme_qpair_print_completion(
    qpair: *mut spdk_nvme_qpair,
    cpl: *mut spdk_nvme_cpl,
) {
    entry!(spdk_nvme_qpair_print_completion(qpair, cpl), Qpair, qpair, (), |object| {
        // SAFETY: the caller vouches for the completion.
        unsafe { print("spdk_nvme_qpair_print_completion", object, qpair, cpl, 0) };
    });
}

/// Writes a completion as a notice to the log: status, qpair, command, and what else is in it.
///
/// # Safety
///
/// qpair is a handle that no other thread uses. cpl points to a completion.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn spdk_nvme_qpair_print_completion_ext(
    qpair: *const spdk_nvme_qpair,
    cpl: *const spdk_nvme_cpl,
    opc: u8,
) {
    entry!(spdk_nvme_qpair_print_completion_ext(qpair, cpl, opc), Qpair, qpair, (), |object| {
        // SAFETY: the caller vouches for the completion.
        unsafe { print("spdk_nvme_qpair_print_completion_ext", object, qpair, cpl, opc) };
    });
}

/// # Safety
///
/// cpl is NULL or points to a completion.
unsafe fn print(
    entry: &str,
    object: &Qpair,
    qpair: *const spdk_nvme_qpair,
    cpl: *const spdk_nvme_cpl,
    opcode: u8,
) {
    if cpl.is_null() {
        tracing::error!("{entry}: completion is NULL");
        return;
    }
    // SAFETY: the caller vouches for the completion, which is 16 bytes.
    let bytes = unsafe { cpl.cast::<[u8; 16]>().read_unaligned() };
    let completion = Completion::from_bytes(&bytes);
    let id = object.host().id();
    let state = if object.host().is_connected() { "CONNECTED" } else { "DISCONNECTED" };
    let prefix = format!("[{},qid:{id},qpair:{qpair:p},{state}]", describe(object.ctrlr()));
    let sqid = completion.sqid();
    if sqid != id && sqid != 0 {
        tracing::error!("{prefix} sqid {sqid} doesn't match qid");
    }
    tracing::info!("{prefix} {}", line(&completion, id, opcode));
}

/// Which controller, as log lines name it.
fn describe(ctrlr: &Ctrlr) -> String {
    let trid = ctrlr.transport_id();
    let (host, subsystem, address) = (text(&ctrlr.opts().hostnqn), text(&trid.subnqn), text(&trid.traddr));
    format!("{host},{subsystem},{address},cntlid:{}", ctrlr.controller_id())
}

/// A completion as one line.
fn line(completion: &Completion, qid: u16, opcode: u8) -> String {
    let status = completion.status();
    // The phase tag is reserved over fabrics, and shown as it came.
    let phase = completion.to_bytes().get(14).copied().unwrap_or(0) & 1;
    format!(
        "{} ({:02x}/{:02x}) qid:{qid} cid:{} cdw0:{:08x} sqhd:{:04x} p:{phase:x} m:{:x} dnr:{:x}",
        status.name_for(opcode),
        status.sct().0,
        status.sc().0,
        completion.cid(),
        completion.cdw0(),
        completion.sqhd(),
        u8::from(status.more()),
        u8::from(status.dnr()),
    )
}

trait CText {
    fn c_text(self, opcode: u8) -> *const c_char;
}

impl CText for Status {
    fn c_text(self, opcode: u8) -> *const c_char {
        let texts = match self.sct() {
            StatusCodeType::GENERIC => &GENERIC,
            StatusCodeType::COMMAND_SPECIFIC if opcode == AdminOpcode::FABRICS.0 => &FABRICS,
            StatusCodeType::COMMAND_SPECIFIC => &COMMAND_SPECIFIC,
            StatusCodeType::MEDIA_ERROR => &MEDIA_ERROR,
            StatusCodeType::PATH => &PATH,
            StatusCodeType::VENDOR_SPECIFIC => return c"VENDOR SPECIFIC".as_ptr(),
            _ => return c"RESERVED".as_ptr(),
        };
        texts.get(usize::from(self.sc().0)).map_or(ptr::null(), |text| text.as_ptr().cast())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::ffi::CStr;

    fn string(sct: u8, sc: u8, opcode: u8) -> &'static str {
        let status = (u16::from(sct) << 9 | u16::from(sc) << 1).to_le_bytes();
        // SAFETY: a status is two bytes; the text is a static C string.
        unsafe { CStr::from_ptr(spdk_nvme_cpl_get_status_string_ext(status.as_ptr().cast(), opcode)) }
            .to_str()
            .unwrap()
    }

    #[test]
    fn statuses_have_the_texts_that_programs_know() {
        for (sct, sc, opcode, text) in [
            (0, 0x00, 2, "SUCCESS"),
            (0, 0x08, 2, "ABORTED - SQ DELETION"),
            (0, 0x0d, 2, "INVALID SGL SEGMENT DESCRIPTOR"),
            (0, 0x80, 2, "LBA OUT OF RANGE"),
            (0, 0xff, 2, "GENERIC"),
            (1, 0x00, 2, "INVALID COMPLETION QUEUE"),
            (1, 0x82, 2, "WRITE TO RO RANGE"),
            (1, 0x82, 0x7f, "INVALID PARAM"),
            (1, 0x80, 0x7f, "INCOMPATIBLE FORMAT"),
            (1, 0xff, 0x7f, "FABRIC COMMAND SPECIFIC"),
            (1, 0xb8, 2, "ZONED BOUNDARY ERROR"),
            (1, 0xff, 2, "COMMAND SPECIFIC"),
            (2, 0x81, 2, "UNRECOVERED READ ERROR"),
            (2, 0xff, 2, "MEDIA ERROR"),
            (3, 0x71, 2, "ABORTED BY HOST"),
            (3, 0xff, 2, "PATH ERROR"),
            (4, 0x00, 2, "RESERVED"),
            (7, 0x12, 2, "VENDOR SPECIFIC"),
            (0, 0x08, 0x7f, "ABORTED - SQ DELETION"),
        ] {
            assert_eq!(string(sct, sc, opcode), text, "{sct:x}/{sc:02x} for {opcode:02x}");
        }
        // SAFETY: NULL is allowed.
        let null = unsafe { CStr::from_ptr(spdk_nvme_cpl_get_status_string_ext(ptr::null(), 0)) };
        assert_eq!(null, c"RESERVED");
    }

    #[test]
    fn a_completion_is_one_line() {
        let status = Status::new(StatusCodeType::GENERIC, StatusCode(8)).with_dnr(true);
        let completion = Completion::new(1, 95, status).with_sqhd(0x2a);
        assert_eq!(
            line(&completion, 1, 2),
            "ABORTED - SQ DELETION (00/08) qid:1 cid:95 cdw0:00000000 sqhd:002a p:0 m:0 dnr:1"
        );
    }
}

//! Statuses as text. Programs print and compare these texts.

use super::{
    entry::{guard_plain, pass_on_if_disabled},
    text::c_array,
    types::spdk_nvme_status,
};
use libc::c_char;
use spec::{AdminOpcode, Status, StatusCode, StatusCodeType};
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
        texts[sc] = c_array(Status::new(sct, StatusCode(sc as u8)).name_for(opcode));
        sc += 1;
    }
    texts
}

/// The names of all types. As for [`texts`].
#[allow(clippy::indexing_slicing, clippy::arithmetic_side_effects)]
static TYPES: [[u8; ROOM]; 8] = {
    let mut names = [[0; ROOM]; 8];
    let mut sct = 0;
    while sct < names.len() {
        names[sct] = c_array(StatusCodeType(sct as u8).name());
        sct += 1;
    }
    names
};

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
    pass_on_if_disabled!(spdk_nvme_cpl_get_status_string_ext(status, opc));
    guard_plain("spdk_nvme_cpl_get_status_string_ext", c"RESERVED".as_ptr(), || {
        // SAFETY: the caller vouches for the pointer.
        unsafe { read(status) }.map_or(c"RESERVED".as_ptr(), |status| status.c_text(opc))
    })
}

/// The text of a status, as the answer to a command of any but the Fabrics command set.
///
/// # Safety
///
/// status is NULL, which gives "RESERVED", or points to a status.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn spdk_nvme_cpl_get_status_string(status: *const spdk_nvme_status) -> *const c_char {
    pass_on_if_disabled!(spdk_nvme_cpl_get_status_string(status));
    // SAFETY: the caller's contract is the same.
    unsafe { spdk_nvme_cpl_get_status_string_ext(status, 0) }
}

/// The name of a status's type: "GENERIC", "COMMAND SPECIFIC", "MEDIA ERROR", "PATH", "VENDOR SPECIFIC" or "RESERVED".
///
/// # Safety
///
/// status is NULL, which gives "RESERVED", or points to a status.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn spdk_nvme_cpl_get_status_type_string(
    status: *const spdk_nvme_status,
) -> *const c_char {
    pass_on_if_disabled!(spdk_nvme_cpl_get_status_type_string(status));
    guard_plain("spdk_nvme_cpl_get_status_type_string", c"RESERVED".as_ptr(), || {
        // SAFETY: the caller vouches for the pointer.
        let status = unsafe { read(status) };
        let text = status.and_then(|status| TYPES.get(usize::from(status.sct().0)));
        text.map_or(c"RESERVED".as_ptr(), |text| text.as_ptr().cast())
    })
}

/// Reads a program's status. None for NULL.
///
/// # Safety
/// `status` is NULL or points to a status.
unsafe fn read(status: *const spdk_nvme_status) -> Option<Status> {
    // SAFETY: the caller vouches for the pointer. Bit 0 is the phase tag, which the host does not have.
    (!status.is_null()).then(|| Status(unsafe { status.cast::<u16>().read_unaligned() } >> 1))
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
    fn types_have_names() {
        for (sct, name) in [
            (0, "GENERIC"),
            (1, "COMMAND SPECIFIC"),
            (2, "MEDIA ERROR"),
            (3, "PATH"),
            (4, "RESERVED"),
            (5, "RESERVED"),
            (6, "RESERVED"),
            (7, "VENDOR SPECIFIC"),
        ] {
            // Everything else in the status is set, and must not count.
            let status = (0xf1ff_u16 | sct << 9).to_le_bytes();
            // SAFETY: a status is two bytes; the text is a static C string.
            let text =
                unsafe { CStr::from_ptr(spdk_nvme_cpl_get_status_type_string(status.as_ptr().cast())) };
            assert_eq!(text.to_str().unwrap(), name);
        }
        // SAFETY: NULL is allowed.
        let null = unsafe { CStr::from_ptr(spdk_nvme_cpl_get_status_type_string(ptr::null())) };
        assert_eq!(null, c"RESERVED");
    }
}

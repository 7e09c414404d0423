//! Completions and commands: the fields, their names, and C's texts for them.

use crate::input::Input;
use spdk_nvme_rdma::abi::status_text::{
    spdk_nvme_cpl_get_status_string, spdk_nvme_cpl_get_status_string_ext,
};
use spec::{Command, Completion, Sgl, Status, names, sgl::SglType};
use std::ffi::CStr;

/// Sixteen bytes of a completion, sixty-four of a command.
pub fn run(input: &[u8]) {
    crate::lines::take();
    let mut fields = Input::new(input);
    let bytes = fields.array();
    let completion = Completion::from_bytes(&bytes);
    assert_eq!(completion.to_bytes(), bytes);
    assert_eq!(completion.result() as u32, completion.cdw0());
    assert_eq!((completion.result() >> 32) as u32, completion.cdw1());
    let status = completion.status();
    assert_eq!((status.sct(), status.sc()), (completion.sct(), completion.sc()));
    assert_eq!(
        (status.crd(), status.more(), status.dnr()),
        (completion.crd(), completion.more(), completion.dnr())
    );
    assert_eq!(completion.is_success(), status.is_success());
    let again = Completion::new(completion.sqid(), completion.cid(), status)
        .with_result(completion.result())
        .with_sqhd(completion.sqhd());
    assert_eq!(
        (again.status(), again.result(), again.cid()),
        (status, completion.result(), completion.cid())
    );
    let _ = completion.phase();

    let command = Command::from_bytes(&fields.array());
    assert_eq!(Command::from_bytes(&command.to_bytes()), command);
    texts(&bytes, status, &command);
    sgl(command.sgl1());
    let _ = (command.fuse(), command.psdt(), command.nsid(), command.fabrics_type(), command.lba());
    assert!((1..=65_536).contains(&command.block_count()));
}

fn texts(bytes: &[u8; 16], status: Status, command: &Command) {
    let opcode = command.opcode();
    for name in [
        names::admin_opcode(opcode),
        names::io_opcode(opcode),
        names::fabrics_type(opcode),
        names::feature(opcode),
        status.name(),
        status.name_for(opcode),
        status.sct().name(),
    ] {
        assert!(!name.is_empty() && name.is_ascii());
    }
    let raw = u16::from_le_bytes([bytes[14], bytes[15]]);
    // SAFETY: a status is two bytes, which are this function's own; the texts are C strings that live for ever.
    let (plain, of_command) = unsafe {
        (
            CStr::from_ptr(spdk_nvme_cpl_get_status_string((&raw const raw).cast())),
            CStr::from_ptr(spdk_nvme_cpl_get_status_string_ext((&raw const raw).cast(), opcode)),
        )
    };
    assert!(!plain.is_empty());
    assert_eq!(of_command.to_str(), Ok(status.name_for(opcode)));
}

fn sgl(sgl: Sgl) {
    assert_eq!(Sgl::from_bytes(&sgl.to_bytes()), sgl);
    assert!(!names::sgl_type(sgl.kind().0).is_empty() && !names::sgl_subtype(sgl.subtype().0).is_empty());
    if sgl.kind() == SglType::KEYED_DATA_BLOCK {
        let again = Sgl::keyed(sgl.address(), sgl.length(), sgl.key());
        assert_eq!((again.address(), again.length(), again.key()), (sgl.address(), sgl.length(), sgl.key()));
    }
}

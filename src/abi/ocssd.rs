//! Open-Channel SSDs: there are none over fabrics. Their commands are sent all the same, for the controller to refuse, as far as that is
//! possible: a command on several blocks has their list in memory of the host that it names by its address there, which means nothing
//! to a controller over fabrics.

use super::{
    callback::context,
    copied::Buffer,
    ctrlr::Ctrlr,
    ctrlr_cmd::send,
    entry::entry,
    error::{invalid, submission},
    ns::Ns,
    ns_cmd::on_namespace,
    qpair::Qpair,
    types::{
        spdk_nvme_cmd_cb, spdk_nvme_ctrlr, spdk_nvme_ns, spdk_nvme_qpair, spdk_ocssd_chunk_information_entry,
    },
};
use crate::host::{Context, Payload};
use libc::{EINVAL, ENOTSUP, c_int, c_void};
use spec::Command;

/// Opcodes (Open-Channel 2.0, 4 and 5): geometry of the Admin Queue; vector commands of I/O queues.
const GEOMETRY: u8 = 0xe2;
const VECTOR_RESET: u8 = 0x90;
const VECTOR_WRITE: u8 = 0x91;
const VECTOR_READ: u8 = 0x92;
const VECTOR_COPY: u8 = 0x93;
/// Bytes of the geometry.
const GEOMETRY_SIZE: u32 = 4096;
/// The one flag that a vector command may have: limited retry.
const LIMITED_RETRY: u32 = 1 << 31;

/// Whether the controller is an Open-Channel SSD: there are none over fabrics.
///
/// # Safety
///
/// ctrlr is a handle that nobody else is detaching.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn spdk_nvme_ctrlr_is_ocssd_supported(ctrlr: *mut spdk_nvme_ctrlr) -> bool {
    entry!(spdk_nvme_ctrlr_is_ocssd_supported(ctrlr), Ctrlr, ctrlr, false, |_object| false)
}

/// Asks for the geometry of a namespace: payload_size must be that of struct spdk_ocssd_geometry_data. Returns 0 and calls cb_fn from a poll
/// of the Admin Queue, -EINVAL for another size or a payload that is NULL, -ENOMEM, or -ENXIO.
///
/// # Safety
///
/// ctrlr is a handle that nobody else is detaching. payload has payload_size bytes until cb_fn is called.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn spdk_nvme_ocssd_ctrlr_cmd_geometry(
    ctrlr: *mut spdk_nvme_ctrlr,
    nsid: u32,
    payload: *mut c_void,
    payload_size: u32,
    cb_fn: spdk_nvme_cmd_cb,
    cb_arg: *mut c_void,
) -> c_int {
    entry!(
        spdk_nvme_ocssd_ctrlr_cmd_geometry(ctrlr, nsid, payload, payload_size, cb_fn, cb_arg),
        Ctrlr as share,
        ctrlr,
        -EINVAL,
        |object| {
            if payload.is_null() || payload_size != GEOMETRY_SIZE {
                return invalid(format!(
                    "{payload_size} bytes at {payload:p} for a geometry of {GEOMETRY_SIZE}"
                ));
            }
            let mut command = Command::new(GEOMETRY);
            command.set_nsid(nsid);
            // SAFETY: the caller vouches for the payload.
            unsafe { send(&object, command, Buffer { address: payload, size: payload_size }, cb_fn, cb_arg) }
        }
    )
}

/// Resets the chunk of the one block of lba_list. -ENOTSUP for several, and for chunk_info, which would be metadata.
///
/// # Safety
///
/// Both are handles that nobody else is freeing, and no other thread uses qpair. lba_list has num_lbas elements.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn spdk_nvme_ocssd_ns_cmd_vector_reset(
    ns: *mut spdk_nvme_ns,
    qpair: *mut spdk_nvme_qpair,
    lba_list: *mut u64,
    num_lbas: u32,
    chunk_info: *mut spdk_ocssd_chunk_information_entry,
    cb_fn: spdk_nvme_cmd_cb,
    cb_arg: *mut c_void,
) -> c_int {
    on_namespace!(
        spdk_nvme_ocssd_ns_cmd_vector_reset(ns, qpair, lba_list, num_lbas, chunk_info, cb_fn, cb_arg),
        ns,
        qpair,
        |object, namespace| {
            const ENTRY: &str = "spdk_nvme_ocssd_ns_cmd_vector_reset";
            // SAFETY: the caller vouches for the list.
            let command = unsafe {
                vector(ENTRY, namespace, VECTOR_RESET, Blocks { list: lba_list, count: num_lbas, flags: 0 })
            };
            match command {
                Ok(_) if !chunk_info.is_null() => {
                    tracing::error!(
                        "{ENTRY}: chunk information would be metadata, which there are none of over RDMA"
                    );
                    -ENOTSUP
                }
                Ok(command) => {
                    submission(object.host().submit(command, Payload::None, context(cb_fn, cb_arg)))
                }
                Err(rc) => rc,
            }
        }
    )
}

/// Reads the one block of lba_list into buffer. -ENOTSUP for several blocks. -EINVAL for other flags than limited retry.
///
/// # Safety
///
/// Both are handles that nobody else is freeing, and no other thread uses qpair. lba_list has num_lbas elements; buffer is as
/// large as the block.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn spdk_nvme_ocssd_ns_cmd_vector_read(
    ns: *mut spdk_nvme_ns,
    qpair: *mut spdk_nvme_qpair,
    buffer: *mut c_void,
    lba_list: *mut u64,
    num_lbas: u32,
    cb_fn: spdk_nvme_cmd_cb,
    cb_arg: *mut c_void,
    io_flags: u32,
) -> c_int {
    on_namespace!(
        spdk_nvme_ocssd_ns_cmd_vector_read(ns, qpair, buffer, lba_list, num_lbas, cb_fn, cb_arg, io_flags),
        ns,
        qpair,
        |object, namespace| {
            const ENTRY: &str = "spdk_nvme_ocssd_ns_cmd_vector_read";
            let blocks = Blocks { list: lba_list, count: num_lbas, flags: io_flags };
            // SAFETY: the caller vouches for the list.
            unsafe { transfer(ENTRY, object, namespace, VECTOR_READ, blocks, buffer, context(cb_fn, cb_arg)) }
        }
    )
}

/// As spdk_nvme_ocssd_ns_cmd_vector_read(). metadata is not looked at. -ENOTSUP for several blocks. -EINVAL for other flags than limited retry.
///
/// # Safety
///
/// Both are handles that nobody else is freeing, and no other thread uses qpair. lba_list has num_lbas elements; buffer is as
/// large as the block.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn spdk_nvme_ocssd_ns_cmd_vector_read_with_md(
    ns: *mut spdk_nvme_ns,
    qpair: *mut spdk_nvme_qpair,
    buffer: *mut c_void,
    metadata: *mut c_void,
    lba_list: *mut u64,
    num_lbas: u32,
    cb_fn: spdk_nvme_cmd_cb,
    cb_arg: *mut c_void,
    io_flags: u32,
) -> c_int {
    on_namespace!(
        spdk_nvme_ocssd_ns_cmd_vector_read_with_md(
            ns, qpair, buffer, metadata, lba_list, num_lbas, cb_fn, cb_arg, io_flags
        ),
        ns,
        qpair,
        |object, namespace| {
            const ENTRY: &str = "spdk_nvme_ocssd_ns_cmd_vector_read_with_md";
            let blocks = Blocks { list: lba_list, count: num_lbas, flags: io_flags };
            // SAFETY: the caller vouches for the list.
            unsafe { transfer(ENTRY, object, namespace, VECTOR_READ, blocks, buffer, context(cb_fn, cb_arg)) }
        }
    )
}

/// Writes the one block of lba_list from buffer. -ENOTSUP for several blocks. -EINVAL for other flags than limited retry.
///
/// # Safety
///
/// Both are handles that nobody else is freeing, and no other thread uses qpair. lba_list has num_lbas elements; buffer is as
/// large as the block.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn spdk_nvme_ocssd_ns_cmd_vector_write(
    ns: *mut spdk_nvme_ns,
    qpair: *mut spdk_nvme_qpair,
    buffer: *mut c_void,
    lba_list: *mut u64,
    num_lbas: u32,
    cb_fn: spdk_nvme_cmd_cb,
    cb_arg: *mut c_void,
    io_flags: u32,
) -> c_int {
    on_namespace!(
        spdk_nvme_ocssd_ns_cmd_vector_write(ns, qpair, buffer, lba_list, num_lbas, cb_fn, cb_arg, io_flags),
        ns,
        qpair,
        |object, namespace| {
            const ENTRY: &str = "spdk_nvme_ocssd_ns_cmd_vector_write";
            let blocks = Blocks { list: lba_list, count: num_lbas, flags: io_flags };
            // SAFETY: the caller vouches for the list.
            unsafe {
                transfer(ENTRY, object, namespace, VECTOR_WRITE, blocks, buffer, context(cb_fn, cb_arg))
            }
        }
    )
}

/// As spdk_nvme_ocssd_ns_cmd_vector_write(). metadata is not looked at. -ENOTSUP for several blocks. -EINVAL for other flags than limited retry.
///
/// # Safety
///
/// Both are handles that nobody else is freeing, and no other thread uses qpair. lba_list has num_lbas elements; buffer is as
/// large as the block.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn spdk_nvme_ocssd_ns_cmd_vector_write_with_md(
    ns: *mut spdk_nvme_ns,
    qpair: *mut spdk_nvme_qpair,
    buffer: *mut c_void,
    metadata: *mut c_void,
    lba_list: *mut u64,
    num_lbas: u32,
    cb_fn: spdk_nvme_cmd_cb,
    cb_arg: *mut c_void,
    io_flags: u32,
) -> c_int {
    on_namespace!(
        spdk_nvme_ocssd_ns_cmd_vector_write_with_md(
            ns, qpair, buffer, metadata, lba_list, num_lbas, cb_fn, cb_arg, io_flags
        ),
        ns,
        qpair,
        |object, namespace| {
            const ENTRY: &str = "spdk_nvme_ocssd_ns_cmd_vector_write_with_md";
            let blocks = Blocks { list: lba_list, count: num_lbas, flags: io_flags };
            // SAFETY: the caller vouches for the list.
            unsafe {
                transfer(ENTRY, object, namespace, VECTOR_WRITE, blocks, buffer, context(cb_fn, cb_arg))
            }
        }
    )
}

/// Copies the one block of src_lba_list to that of dst_lba_list. -ENOTSUP for several blocks. -EINVAL for other flags than limited retry.
///
/// # Safety
///
/// Both are handles that nobody else is freeing, and no other thread uses qpair. Both lists have num_lbas elements.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn spdk_nvme_ocssd_ns_cmd_vector_copy(
    ns: *mut spdk_nvme_ns,
    qpair: *mut spdk_nvme_qpair,
    dst_lba_list: *mut u64,
    src_lba_list: *mut u64,
    num_lbas: u32,
    cb_fn: spdk_nvme_cmd_cb,
    cb_arg: *mut c_void,
    io_flags: u32,
) -> c_int {
    on_namespace!(
        spdk_nvme_ocssd_ns_cmd_vector_copy(
            ns,
            qpair,
            dst_lba_list,
            src_lba_list,
            num_lbas,
            cb_fn,
            cb_arg,
            io_flags
        ),
        ns,
        qpair,
        |object, namespace| {
            const ENTRY: &str = "spdk_nvme_ocssd_ns_cmd_vector_copy";
            if dst_lba_list.is_null() {
                return invalid(format!("{ENTRY}: a list of blocks is NULL"));
            }
            let blocks = Blocks { list: src_lba_list, count: num_lbas, flags: io_flags };
            // SAFETY: the caller vouches for the lists.
            let command = unsafe { vector(ENTRY, namespace, VECTOR_COPY, blocks) };
            match command {
                Ok(mut command) => {
                    // SAFETY: the caller vouches for the list, which has an element as the other has.
                    let to = unsafe { dst_lba_list.read_unaligned() };
                    command.set_cdw14(to as u32); // its lower half
                    command.set_cdw15((to >> 32) as u32);
                    submission(object.host().submit(command, Payload::None, context(cb_fn, cb_arg)))
                }
                Err(rc) => rc,
            }
        }
    )
}

/// The most blocks of a list (Open-Channel SSD 2.0, vector commands).
const BLOCKS_MAX: u32 = 64;

/// What blocks a program names, and how.
#[derive(Clone, Copy)]
struct Blocks {
    list: *const u64,
    count: u32,
    flags: u32,
}

/// The command on the one block of a list, or an error value.
///
/// # Safety
///
/// The list is NULL or has so many elements.
unsafe fn vector(entry: &str, namespace: &Ns, opcode: u8, blocks: Blocks) -> Result<Command, c_int> {
    let Blocks { list, count, flags } = blocks;
    if list.is_null() || !(1..=BLOCKS_MAX).contains(&count) || flags & !LIMITED_RETRY != 0 {
        return Err(invalid(format!("{entry}: {count} blocks at {list:p}, flags {flags:#x}")));
    }
    if count > 1 {
        tracing::error!("{entry}: {count} blocks: a controller over RDMA cannot read their list");
        return Err(-ENOTSUP);
    }
    let mut command = Command::new(opcode);
    command.set_nsid(namespace.id());
    // SAFETY: the caller vouches for the element.
    command.set_lba(unsafe { list.read_unaligned() });
    command.set_block_count(1);
    command.set_io_flags(flags);
    Ok(command)
}

/// Sends a command with the data of one block.
///
/// # Safety
///
/// As for [`vector`].
unsafe fn transfer(
    entry: &str,
    qpair: &Qpair,
    namespace: &Ns,
    opcode: u8,
    blocks: Blocks,
    buffer: *mut c_void,
    told: Context,
) -> c_int {
    let length = namespace.extended_sector_size();
    if buffer.is_null() || length == 0 {
        return invalid(format!("{entry}: a block of {length} bytes at {buffer:p}"));
    }
    // SAFETY: the caller vouches for the list.
    let command = match unsafe { vector(entry, namespace, opcode, blocks) } {
        Ok(command) => command,
        Err(rc) => return rc,
    };
    let payload = Payload::Memory { address: buffer.addr() as u64, length };
    submission(qpair.host().submit(command, payload, told))
}

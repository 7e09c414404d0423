//! Key-value namespaces.
//!
//! For all commands: a key has 1 to 16 bytes and is read during the call. A namespace of another command set is refused (-EINVAL): there
//! the same opcodes write blocks.
//! Values and lists are in any memory of the program, as the data of spdk_nvme_ns_cmd_read() are; a command is not split. cb_fn is called
//! from a poll of the queue pair if, and only if, the call returns 0; otherwise it returns -EINVAL for arguments that cannot be, -ENOMEM if
//! no request is free, -ENXIO if the queue pair is not connected, -1 for a buffer that is no memory.

use super::{
    callback::context,
    ctrlr::Ctrlr,
    entry::entry,
    error::{invalid, submission},
    ns::Ns,
    ns_cmd::on_namespace,
    qpair::Qpair,
    types::{
        spdk_nvme_cmd_cb, spdk_nvme_ctrlr, spdk_nvme_kv_ctrlr_data, spdk_nvme_kv_ns_data, spdk_nvme_ns,
        spdk_nvme_qpair,
    },
};
use crate::host::Data;
use libc::{c_int, c_void};
use spec::{
    Command, KeyValueOpcode,
    identify::CSI_KEY_VALUE,
    key_value::{KEY_MAX, Key},
};
use std::{ptr, slice};

/// The Identify data that the Key Value Command Set has of the controller. They stay where they are as long as the controller is attached.
/// NULL for a handle that is no controller, and if the controller has no such data.
///
/// # Safety
///
/// ctrlr is a handle that nobody else is detaching.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn spdk_nvme_kv_ctrlr_get_data(
    ctrlr: *const spdk_nvme_ctrlr,
) -> *const spdk_nvme_kv_ctrlr_data {
    entry!(spdk_nvme_kv_ctrlr_get_data(ctrlr), Ctrlr, ctrlr, ptr::null(), |object| {
        object.profile().key_value_data().map_or(ptr::null(), |data| data.address().cast())
    })
}

/// The Identify data that the Key Value Command Set has of the namespace. They stay where they are as long as its controller is attached.
/// NULL if it is of another command set, or if the controller has no such data.
///
/// # Safety
///
/// ns is a handle whose controller nobody else is detaching.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn spdk_nvme_kv_ns_get_data(ns: *const spdk_nvme_ns) -> *const spdk_nvme_kv_ns_data {
    entry!(spdk_nvme_kv_ns_get_data(ns), Ns, ns, ptr::null(), |object| {
        object.command_set_data(CSI_KEY_VALUE).map_or(ptr::null(), |data| data.address().cast())
    })
}

/// Stores a value under a key. options are bits of enum spdk_nvme_kv_store_option.
///
/// # Safety
///
/// Both are handles that nobody else is freeing, and no other thread uses qpair. key has key_len bytes; value has value_len bytes
/// until cb_fn is called.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn spdk_nvme_kv_store(
    ns: *mut spdk_nvme_ns,
    qpair: *mut spdk_nvme_qpair,
    key: *const c_void,
    key_len: u8,
    value: *const c_void,
    value_len: u32,
    cb_fn: spdk_nvme_cmd_cb,
    cb_arg: *mut c_void,
    options: u8,
) -> c_int {
    on_namespace!(
        spdk_nvme_kv_store(ns, qpair, key, key_len, value, value_len, cb_fn, cb_arg, options),
        ns,
        qpair,
        |object, namespace| {
            // SAFETY: the caller vouches for the key.
            let key = unsafe { key_of("spdk_nvme_kv_store", key, key_len) };
            match key {
                Ok(key) => {
                    let command = command(namespace, KeyValueOpcode::STORE, &key, value_len, options);
                    send(
                        "spdk_nvme_kv_store",
                        object,
                        namespace,
                        command,
                        Some((value.cast_mut(), value_len)),
                        cb_fn,
                        cb_arg,
                    )
                }
                Err(rc) => rc,
            }
        }
    )
}

/// Retrieves the value of a key. cdw0 of the completion is the length of the value, of which value gets as much as it has room for. options
/// are bits of enum spdk_nvme_kv_retrieve_option.
///
/// # Safety
///
/// Both are handles that nobody else is freeing, and no other thread uses qpair. key has key_len bytes; value has value_len bytes
/// until cb_fn is called.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn spdk_nvme_kv_retrieve(
    ns: *mut spdk_nvme_ns,
    qpair: *mut spdk_nvme_qpair,
    key: *const c_void,
    key_len: u8,
    value: *mut c_void,
    value_len: u32,
    cb_fn: spdk_nvme_cmd_cb,
    cb_arg: *mut c_void,
    options: u8,
) -> c_int {
    on_namespace!(
        spdk_nvme_kv_retrieve(ns, qpair, key, key_len, value, value_len, cb_fn, cb_arg, options),
        ns,
        qpair,
        |object, namespace| {
            // SAFETY: the caller vouches for the key.
            let key = unsafe { key_of("spdk_nvme_kv_retrieve", key, key_len) };
            match key {
                Ok(key) => {
                    let command = command(namespace, KeyValueOpcode::RETRIEVE, &key, value_len, options);
                    send(
                        "spdk_nvme_kv_retrieve",
                        object,
                        namespace,
                        command,
                        Some((value, value_len)),
                        cb_fn,
                        cb_arg,
                    )
                }
                Err(rc) => rc,
            }
        }
    )
}

/// Deletes a key and its value.
///
/// # Safety
///
/// Both are handles that nobody else is freeing, and no other thread uses qpair. key has key_len bytes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn spdk_nvme_kv_delete(
    ns: *mut spdk_nvme_ns,
    qpair: *mut spdk_nvme_qpair,
    key: *const c_void,
    key_len: u8,
    cb_fn: spdk_nvme_cmd_cb,
    cb_arg: *mut c_void,
) -> c_int {
    on_namespace!(
        spdk_nvme_kv_delete(ns, qpair, key, key_len, cb_fn, cb_arg),
        ns,
        qpair,
        |object, namespace| {
            // SAFETY: the caller vouches for the key.
            let key = unsafe { key_of("spdk_nvme_kv_delete", key, key_len) };
            match key {
                Ok(key) => {
                    let command = command(namespace, KeyValueOpcode::DELETE, &key, 0, 0);
                    send("spdk_nvme_kv_delete", object, namespace, command, None, cb_fn, cb_arg)
                }
                Err(rc) => rc,
            }
        }
    )
}

/// Asks whether there is a key: the completion is a success, or KEY DOES NOT EXIST.
///
/// # Safety
///
/// Both are handles that nobody else is freeing, and no other thread uses qpair. key has key_len bytes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn spdk_nvme_kv_exist(
    ns: *mut spdk_nvme_ns,
    qpair: *mut spdk_nvme_qpair,
    key: *const c_void,
    key_len: u8,
    cb_fn: spdk_nvme_cmd_cb,
    cb_arg: *mut c_void,
) -> c_int {
    on_namespace!(
        spdk_nvme_kv_exist(ns, qpair, key, key_len, cb_fn, cb_arg),
        ns,
        qpair,
        |object, namespace| {
            // SAFETY: the caller vouches for the key.
            let key = unsafe { key_of("spdk_nvme_kv_exist", key, key_len) };
            match key {
                Ok(key) => {
                    let command = command(namespace, KeyValueOpcode::EXIST, &key, 0, 0);
                    send("spdk_nvme_kv_exist", object, namespace, command, None, cb_fn, cb_arg)
                }
                Err(rc) => rc,
            }
        }
    )
}

/// Lists keys: those from start_key on in an order that is the controller's, or all (start_key is NULL and start_key_len 0). buffer gets the
/// number of keys, 4 bytes, then for each its length, 2 bytes, and the key, padded to a multiple of 4 bytes.
///
/// # Safety
///
/// Both are handles that nobody else is freeing, and no other thread uses qpair. start_key has start_key_len bytes; buffer has
/// buffer_len bytes until cb_fn is called.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn spdk_nvme_kv_list(
    ns: *mut spdk_nvme_ns,
    qpair: *mut spdk_nvme_qpair,
    start_key: *const c_void,
    start_key_len: u8,
    buffer: *mut c_void,
    buffer_len: u32,
    cb_fn: spdk_nvme_cmd_cb,
    cb_arg: *mut c_void,
) -> c_int {
    on_namespace!(
        spdk_nvme_kv_list(ns, qpair, start_key, start_key_len, buffer, buffer_len, cb_fn, cb_arg),
        ns,
        qpair,
        |object, namespace| {
            // SAFETY: the caller vouches for the key.
            let key = unsafe { start_of_list("spdk_nvme_kv_list", start_key, start_key_len) };
            match key {
                Ok(key) => {
                    let command = command(namespace, KeyValueOpcode::LIST, &key, buffer_len, 0);
                    send(
                        "spdk_nvme_kv_list",
                        object,
                        namespace,
                        command,
                        Some((buffer, buffer_len)),
                        cb_fn,
                        cb_arg,
                    )
                }
                Err(rc) => rc,
            }
        }
    )
}

fn command(namespace: &Ns, opcode: KeyValueOpcode, key: &Key, size: u32, options: u8) -> Command {
    Command::key_value(namespace.id(), opcode, key, size, options)
}

/// A key of the program's, or an error value.
///
/// # Safety
///
/// `key` is NULL or has `length` bytes.
unsafe fn key_of(entry: &str, key: *const c_void, length: u8) -> Result<Key, c_int> {
    if key.is_null() {
        return Err(invalid(format!("{entry}: the key is NULL")));
    }
    // SAFETY: the caller vouches for the bytes.
    let bytes = unsafe { slice::from_raw_parts(key.cast(), usize::from(length)) };
    Key::new(bytes).ok_or_else(|| invalid(format!("{entry}: a key of {length} bytes, of 1 to {KEY_MAX}")))
}

/// The key that a list begins with, which may be none.
///
/// # Safety
///
/// As [`key_of`].
unsafe fn start_of_list(entry: &str, key: *const c_void, length: u8) -> Result<Key, c_int> {
    if key.is_null() && length == 0 {
        return Ok(Key::default());
    }
    // SAFETY: as for this function.
    unsafe { key_of(entry, key, length) }
}

/// Sends a command, perhaps with a buffer, which must be there then.
fn send(
    entry: &str,
    qpair: &Qpair,
    namespace: &Ns,
    command: Command,
    buffer: Option<(*mut c_void, u32)>,
    cb_fn: spdk_nvme_cmd_cb,
    cb_arg: *mut c_void,
) -> c_int {
    if namespace.csi() != CSI_KEY_VALUE {
        return invalid(format!("{entry}: namespace {} has no keys", namespace.id()));
    }
    let (address, length) = buffer.unwrap_or((ptr::null_mut(), 0));
    if buffer.is_some() && (address.is_null() || length == 0) {
        return invalid(format!("{entry}: {length} bytes at {address:p}"));
    }
    let data = buffer.map(|(address, _)| Data::Contiguous(address));
    submission(qpair.host().submit_raw(command, data, length, context(cb_fn, cb_arg)))
}

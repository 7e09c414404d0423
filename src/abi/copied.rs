//! Data of a program that are copied: see `host::CopiedData`.

use super::{
    callback::{context, upcall},
    types::spdk_nvme_cmd_cb,
};
use crate::host::{CopiedData, Received};
use libc::c_void;
use spec::{Completion, opcode::DataTransfer};
use std::{ptr, slice};

/// What a program gave for the data of a command.
#[derive(Clone, Copy)]
pub(super) struct Buffer {
    pub(super) address: *mut c_void,
    pub(super) size: u32,
}

impl Buffer {
    /// So many elements of a list.
    pub(super) fn of<T>(list: *const T, count: u32) -> Self {
        let size = u32::try_from(size_of::<T>()).unwrap_or(u32::MAX).saturating_mul(count);
        Self { address: list.cast_mut().cast(), size }
    }

    /// Without what exceeds a multiple of 4: for commands that count dwords, whose data must be as long as they say.
    pub(super) fn dwords(self) -> Self {
        Self { size: self.size & !3, ..self }
    }

    /// As the host takes it, for a command with this opcode.
    ///
    /// # Safety
    ///
    /// The buffer has so many bytes, which nobody writes to during the call.
    pub(super) unsafe fn data<'a>(self, opcode: u8) -> CopiedData<'a> {
        if self.address.is_null() || self.size == 0 {
            return CopiedData::None;
        }
        match DataTransfer::of(opcode) {
            DataTransfer::HostToController | DataTransfer::Bidirectional => {
                // SAFETY: the caller vouches for the bytes.
                CopiedData::Given(unsafe { slice::from_raw_parts(self.address.cast(), self.size as usize) })
            }
            DataTransfer::ControllerToHost | DataTransfer::None => CopiedData::Room(self.size),
        }
    }

    /// Who hears of the end of a command with this buffer: the program gets what the controller gave, and then its callback.
    ///
    /// # Safety
    ///
    /// The buffer has so many bytes until the callback, if the command's data come from the controller.
    pub(super) unsafe fn told(
        self,
        cb_fn: spdk_nvme_cmd_cb,
        cb_arg: *mut c_void,
    ) -> impl Fn(&Completion, &Received) + 'static {
        let told = context(cb_fn, cb_arg);
        move |completion, received| {
            // SAFETY: the caller vouches for the buffer.
            unsafe { self.take(received) };
            if !told.function.is_null() {
                upcall(told.argument, completion, told.function);
            }
        }
    }

    /// Takes what the controller gave.
    ///
    /// # Safety
    ///
    /// The buffer still has the bytes that it was said to have.
    pub(super) unsafe fn take(self, received: &Received) {
        received.chunks(|begin, chunk| {
            // SAFETY: what was received has no more bytes than the buffer, for which the caller vouches.
            unsafe {
                ptr::copy_nonoverlapping(
                    chunk.as_ptr(),
                    self.address.cast::<u8>().wrapping_add(begin),
                    chunk.len(),
                )
            };
        });
    }
}

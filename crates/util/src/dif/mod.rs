//! Protection information that a program makes and checks (`dif.h`).
//!
//! Invariant: before a byte is looked at, the context has been checked and the pieces are known to hold all blocks, so that a
//! call that is refused has changed nothing.
#![allow(unsafe_code)]

mod context;
mod information;

use std::ffi::{c_int, c_uint};

use libc::iovec;

use self::context::{Context, DifCtx, Kind, Stopped};
use self::information::Format;
use crate::crc;
use crate::pieces::{Walk, count};

/// `enum spdk_dif_type`. C writes it, so it is a number and not a Rust enum.
#[repr(transparent)]
#[derive(Clone, Copy)]
pub struct DifType(c_uint);

/// `enum spdk_dif_pi_format`. C writes it, so it is a number and not a Rust enum.
#[repr(transparent)]
#[derive(Clone, Copy)]
pub struct DifPiFormat(c_uint);

/// `struct spdk_dif_ctx_init_ext_opts`.
#[repr(C)]
pub struct DifCtxInitExtOpts {
    size: usize,
    dif_pi_format: u32,
}

/// `struct spdk_dif_error`.
#[repr(C)]
pub struct DifError {
    err_type: u8,
    rsvd: [u8; 7],
    expected: u64,
    actual: u64,
    err_offset: u32,
}

/// # Safety
/// `ctx` is NULL or writable; `opts` is NULL or readable for the bytes that it says it has.
#[unsafe(no_mangle)]
#[allow(clippy::too_many_arguments)]
pub unsafe extern "C" fn spdk_dif_ctx_init(
    ctx: *mut DifCtx,
    block_size: u32,
    md_size: u32,
    md_interleave: bool,
    dif_loc: bool,
    dif_type: DifType,
    dif_flags: u32,
    init_ref_tag: u32,
    apptag_mask: u16,
    app_tag: u16,
    data_offset: u32,
    guard_seed: u64,
    opts: *mut DifCtxInitExtOpts,
) -> c_int {
    let mut number = 0;
    if !opts.is_null() {
        // SAFETY: readable; the format only if the structure is long enough for it.
        unsafe {
            let has = (&raw const (*opts).size).read();
            if has >= std::mem::offset_of!(DifCtxInitExtOpts, dif_pi_format).saturating_add(size_of::<u32>())
            {
                number = (&raw const (*opts).dif_pi_format).read();
            }
        }
    }
    let (Some(format), Some(_)) = (Format::of(number), Kind::of(dif_type.0)) else { return -libc::EINVAL };
    let size = format.size() as u32;
    let data = if md_interleave { block_size.checked_sub(md_size) } else { Some(block_size) };
    let step = if format == Format::Guard16 { 512 } else { 4096 };
    let (Some(last), Some(data)) = (md_size.checked_sub(size), data) else { return -libc::EINVAL };
    if ctx.is_null() || data == 0 || !data.is_multiple_of(step) {
        return -libc::EINVAL;
    }
    let in_metadata = if dif_loc { 0 } else { last };
    let made = DifCtx {
        block_size,
        guard_interval: if md_interleave { data.saturating_add(in_metadata) } else { in_metadata },
        md_size,
        md_interleave: md_interleave.into(),
        // One of the four.
        dif_type: dif_type.0 as u8,
        dif_pi_format: format.number(),
        rsvd: 0,
        dif_flags,
        rsvd2: [0; 4],
        init_ref_tag: init_ref_tag.into(),
        app_tag,
        apptag_mask,
        data_offset,
        ref_tag_offset: data_offset / data,
        remapped_init_ref_tag: 0,
        last_guard: guard_seed,
        guard_seed,
    };
    // SAFETY: writable.
    unsafe { ctx.write(made) };
    0
}

/// # Safety
/// `ctx` is NULL or was initialised.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn spdk_dif_ctx_set_data_offset(ctx: *mut DifCtx, data_offset: u32) {
    // SAFETY: NULL, or ours alone for the moment.
    let Some(ctx) = (unsafe { ctx.as_mut() }) else { return };
    let metadata = if ctx.md_interleave != 0 { ctx.md_size } else { 0 };
    let data = ctx.block_size.saturating_sub(metadata);
    ctx.data_offset = data_offset;
    ctx.ref_tag_offset = data_offset.checked_div(data).unwrap_or(0);
}

/// # Safety
/// `ctx` is NULL or was initialised.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn spdk_dif_ctx_set_remapped_init_ref_tag(
    ctx: *mut DifCtx,
    remapped_init_ref_tag: u32,
) {
    // SAFETY: NULL, or ours alone for the moment.
    if let Some(ctx) = unsafe { ctx.as_mut() } {
        ctx.remapped_init_ref_tag = remapped_init_ref_tag;
    }
}

/// Bytes of the protection information; 0 for a format that is none.
#[unsafe(no_mangle)]
pub extern "C" fn spdk_dif_pi_format_get_size(dif_pi_format: DifPiFormat) -> u32 {
    Format::of(dif_pi_format.0).map_or(0, |format| format.size() as u32)
}

/// # Safety
/// `iovs` is NULL or readable for `iovcnt` pieces, each of them writable; `ctx` is NULL or readable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn spdk_dif_generate(
    iovs: *mut iovec,
    iovcnt: c_int,
    num_blocks: u32,
    ctx: *const DifCtx,
) -> c_int {
    // SAFETY: the same contract.
    let (context, mut blocks) = unsafe { (interleaved(ctx), Walk::new(iovs, count(iovcnt))) };
    errno(context.and_then(|context| {
        holds(&blocks, num_blocks, context.block)?;
        for number in 0..context.active(num_blocks) {
            context.generate(&mut blocks, number)?;
        }
        Ok(())
    }))
}

/// # Safety
/// `iovs` is NULL or readable for `iovcnt` pieces, each of them readable; `ctx` is NULL or readable; `err_blk` is NULL or
/// writable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn spdk_dif_verify(
    iovs: *mut iovec,
    iovcnt: c_int,
    num_blocks: u32,
    ctx: *const DifCtx,
    err_blk: *mut DifError,
) -> c_int {
    // SAFETY: the same contract.
    let (context, mut blocks) = unsafe { (interleaved(ctx), Walk::new(iovs, count(iovcnt))) };
    let checked = context.and_then(|context| {
        holds(&blocks, num_blocks, context.block)?;
        for number in 0..context.active(num_blocks) {
            context.verify(&mut blocks, number)?;
        }
        Ok(())
    });
    // SAFETY: NULL or writable.
    unsafe { report(checked, err_blk) }
}

/// # Safety
/// As [`spdk_dif_verify`]; `crc32c` is NULL, or readable and writable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn spdk_dif_update_crc32c(
    iovs: *mut iovec,
    iovcnt: c_int,
    num_blocks: u32,
    crc32c: *mut u32,
    ctx: *const DifCtx,
) -> c_int {
    // SAFETY: the same contract.
    let (context, mut blocks) = unsafe { (interleaved(ctx), Walk::new(iovs, count(iovcnt))) };
    // SAFETY: NULL, or ours alone for the moment.
    let Some(crc32c) = (unsafe { crc32c.as_mut() }) else { return -libc::EINVAL };
    errno(context.and_then(|context| {
        holds(&blocks, num_blocks, context.block)?;
        for _ in 0..num_blocks {
            blocks.look(context.data(), |bytes| *crc32c = crc::castagnoli(*crc32c, bytes))?;
            blocks.skip(context.metadata)?;
        }
        Ok(())
    }))
}

/// # Safety
/// Each list is NULL or readable for its count; pieces of the first are readable, of the second writable; `ctx` is NULL or
/// readable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn spdk_dif_generate_copy(
    iovs: *mut iovec,
    iovcnt: c_int,
    bounce_iovs: *mut iovec,
    bounce_iovcnt: c_int,
    num_blocks: u32,
    ctx: *const DifCtx,
) -> c_int {
    // SAFETY: the same contract.
    let (context, mut from, mut to) = unsafe {
        (interleaved(ctx), Walk::new(iovs, count(iovcnt)), Walk::new(bounce_iovs, count(bounce_iovcnt)))
    };
    errno(context.and_then(|context| {
        let copied = if context.copies_metadata() { context.block } else { context.data() };
        holds(&from, num_blocks, copied)?;
        holds(&to, num_blocks, context.block)?;
        for number in 0..num_blocks {
            from.copy(&mut to.clone(), copied)?;
            match context.kind {
                Kind::Disabled => to.skip(context.block)?,
                _ => context.generate(&mut to, number)?,
            }
        }
        Ok(())
    }))
}

/// # Safety
/// As [`spdk_dif_generate_copy`], where the pieces of the first list are writable and of the second readable; `err_blk` is
/// NULL or writable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn spdk_dif_verify_copy(
    iovs: *mut iovec,
    iovcnt: c_int,
    bounce_iovs: *mut iovec,
    bounce_iovcnt: c_int,
    num_blocks: u32,
    ctx: *const DifCtx,
    err_blk: *mut DifError,
) -> c_int {
    // SAFETY: the same contract.
    let (context, mut to, mut from) = unsafe {
        (interleaved(ctx), Walk::new(iovs, count(iovcnt)), Walk::new(bounce_iovs, count(bounce_iovcnt)))
    };
    let checked = context.and_then(|context| {
        let copied = if context.copies_metadata() { context.block } else { context.data() };
        holds(&to, num_blocks, copied)?;
        holds(&from, num_blocks, context.block)?;
        for number in 0..num_blocks {
            if context.kind != Kind::Disabled {
                context.verify(&mut from.clone(), number)?;
            }
            from.copy(&mut to, copied)?;
            from.skip(context.block.saturating_sub(copied))?;
        }
        Ok(())
    });
    // SAFETY: NULL or writable.
    unsafe { report(checked, err_blk) }
}

/// # Safety
/// As [`spdk_dif_verify`], and the pieces are writable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn spdk_dif_remap_ref_tag(
    iovs: *mut iovec,
    iovcnt: c_int,
    num_blocks: u32,
    dif_ctx: *const DifCtx,
    err_blk: *mut DifError,
    check_ref_tag: bool,
) -> c_int {
    // SAFETY: the same contract.
    let (context, mut blocks) = unsafe { (interleaved(dif_ctx), Walk::new(iovs, count(iovcnt))) };
    let checked = context.and_then(|context| {
        holds(&blocks, num_blocks, context.block)?;
        for number in 0..context.tagged(num_blocks) {
            context.remap(&mut blocks, context.block, number, check_ref_tag)?;
        }
        Ok(())
    });
    // SAFETY: NULL or writable.
    unsafe { report(checked, err_blk) }
}

/// # Safety
/// `iovs` is NULL or readable for `iovcnt` pieces, each of them readable; `md_iov` is NULL or one piece that is writable;
/// `ctx` is NULL or readable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn spdk_dix_generate(
    iovs: *mut iovec,
    iovcnt: c_int,
    md_iov: *mut iovec,
    num_blocks: u32,
    ctx: *const DifCtx,
) -> c_int {
    // SAFETY: the same contract.
    let (context, mut data, mut metadata) =
        unsafe { (separate(ctx), Walk::new(iovs, count(iovcnt)), Walk::new(md_iov, 1)) };
    errno(context.and_then(|context| {
        holds(&data, num_blocks, context.block)?;
        holds(&metadata, num_blocks, context.metadata)?;
        for number in 0..context.active(num_blocks) {
            context.generate_apart(&mut data, &mut metadata, number)?;
        }
        Ok(())
    }))
}

/// # Safety
/// As [`spdk_dix_generate`], but the metadata are only read; `err_blk` is NULL or writable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn spdk_dix_verify(
    iovs: *mut iovec,
    iovcnt: c_int,
    md_iov: *mut iovec,
    num_blocks: u32,
    ctx: *const DifCtx,
    err_blk: *mut DifError,
) -> c_int {
    // SAFETY: the same contract.
    let (context, mut data, mut metadata) =
        unsafe { (separate(ctx), Walk::new(iovs, count(iovcnt)), Walk::new(md_iov, 1)) };
    let checked = context.and_then(|context| {
        holds(&data, num_blocks, context.block)?;
        holds(&metadata, num_blocks, context.metadata)?;
        for number in 0..context.active(num_blocks) {
            context.verify_apart(&mut data, &mut metadata, number)?;
        }
        Ok(())
    });
    // SAFETY: NULL or writable.
    unsafe { report(checked, err_blk) }
}

/// # Safety
/// `md_iov` is NULL or one piece that is writable; `dif_ctx` is NULL or readable; `err_blk` is NULL or writable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn spdk_dix_remap_ref_tag(
    md_iov: *mut iovec,
    num_blocks: u32,
    dif_ctx: *const DifCtx,
    err_blk: *mut DifError,
    check_ref_tag: bool,
) -> c_int {
    // SAFETY: the same contract.
    let (context, mut metadata) = unsafe { (separate(dif_ctx), Walk::new(md_iov, 1)) };
    let checked = context.and_then(|context| {
        holds(&metadata, num_blocks, context.metadata)?;
        for number in 0..context.tagged(num_blocks) {
            context.remap(&mut metadata, context.metadata, number, check_ref_tag)?;
        }
        Ok(())
    });
    // SAFETY: NULL or writable.
    unsafe { report(checked, err_blk) }
}

impl Context {
    /// How many of the blocks have information: none if that is disabled.
    fn active(&self, num_blocks: u32) -> u32 {
        if self.kind == Kind::Disabled { 0 } else { num_blocks }
    }

    /// How many of the blocks have reference tags.
    fn tagged(&self, num_blocks: u32) -> u32 {
        if self.has_ref_tags() { self.active(num_blocks) } else { 0 }
    }
}

/// A context for blocks that have their metadata with them.
///
/// # Safety
/// `ctx` is NULL or readable.
unsafe fn interleaved(ctx: *const DifCtx) -> Result<Context, Stopped> {
    // SAFETY: the same contract.
    unsafe { context(ctx) }
        .and_then(|context| if context.interleaved { Ok(context) } else { Err(Stopped::Invalid) })
}

/// A context for blocks whose metadata are elsewhere.
///
/// # Safety
/// `ctx` is NULL or readable.
unsafe fn separate(ctx: *const DifCtx) -> Result<Context, Stopped> {
    // SAFETY: the same contract.
    unsafe { context(ctx) }
        .and_then(|context| if context.interleaved { Err(Stopped::Invalid) } else { Ok(context) })
}

/// # Safety
/// `ctx` is NULL or readable.
unsafe fn context(ctx: *const DifCtx) -> Result<Context, Stopped> {
    // SAFETY: the same contract.
    unsafe { ctx.as_ref() }.ok_or(Stopped::Invalid).and_then(Context::of)
}

/// Whether the pieces hold so many parts of that size.
fn holds(walk: &Walk, number: u32, size: usize) -> Result<(), Stopped> {
    let needed = (size as u64).checked_mul(number.into()).ok_or(Stopped::Invalid)?;
    if walk.total() < needed { Err(Stopped::Invalid) } else { Ok(()) }
}

fn errno(result: Result<(), Stopped>) -> c_int {
    result.map_or_else(|stopped| stopped.errno(), |()| 0)
}

/// Describes a difference, too.
///
/// # Safety
/// `err_blk` is NULL or writable.
unsafe fn report(result: Result<(), Stopped>, err_blk: *mut DifError) -> c_int {
    if let Err(Stopped::Differs(difference)) = &result {
        // SAFETY: NULL, or ours alone for the moment.
        if let Some(error) = unsafe { err_blk.as_mut() } {
            error.err_type = difference.kind;
            error.expected = difference.expected;
            error.actual = difference.actual;
            error.err_offset = difference.block;
        }
    }
    errno(result)
}

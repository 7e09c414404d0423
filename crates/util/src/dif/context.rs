//! What the blocks are like (`struct spdk_dif_ctx`), and what their protection information must be.
//!
//! Invariant: a [`Context`] has been checked, so that whatever lengths it speaks of fit into a block or its metadata. C keeps
//! the numbers in memory of the program, which is why each call checks them anew.

use std::ffi::c_int;

use super::information::{APPTAG_IGNORE, Format, Information};
use crate::pieces::{Short, Walk};

const REFTAG_CHECK: u32 = 1 << 26;
const APPTAG_CHECK: u32 = 1 << 27;
const GUARD_CHECK: u32 = 1 << 28;
const PRACT: u32 = 1 << 29;

const REFTAG_ERROR: u8 = 1;
const APPTAG_ERROR: u8 = 2;
const GUARD_ERROR: u8 = 4;

/// As an initial reference tag: ones in each block.
const REFTAG_IGNORE: u64 = u32::MAX as u64;

/// `struct spdk_dif_ctx`.
#[repr(C)]
pub struct DifCtx {
    pub(super) block_size: u32,
    pub(super) guard_interval: u32,
    pub(super) md_size: u32,
    /// A `bool` of C's, which a program may not have initialised.
    pub(super) md_interleave: u8,
    pub(super) dif_type: u8,
    pub(super) dif_pi_format: u8,
    pub(super) rsvd: u8,
    pub(super) dif_flags: u32,
    pub(super) rsvd2: [u8; 4],
    pub(super) init_ref_tag: u64,
    pub(super) app_tag: u16,
    pub(super) apptag_mask: u16,
    pub(super) data_offset: u32,
    pub(super) ref_tag_offset: u32,
    pub(super) remapped_init_ref_tag: u32,
    pub(super) last_guard: u64,
    pub(super) guard_seed: u64,
}

/// Types of protection, by what they do with the reference tag.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Disabled,
    /// Types 1 and 2.
    Counting,
    /// Type 3.
    Constant,
}

/// A checked [`DifCtx`].
pub(super) struct Context {
    pub(super) kind: Kind,
    pub(super) format: Format,
    pub(super) interleaved: bool,
    pub(super) block: usize,
    pub(super) metadata: usize,
    guard_interval: usize,
    flags: u32,
    init_ref_tag: u64,
    ref_tag_offset: u64,
    remapped: u64,
    app_tag: u16,
    apptag_mask: u16,
    guard_seed: u64,
}

/// What a check has found.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Difference {
    pub(super) kind: u8,
    pub(super) expected: u64,
    pub(super) actual: u64,
    pub(super) block: u32,
}

/// Why a call ended early.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Stopped {
    Invalid,
    Differs(Difference),
}

impl From<Short> for Stopped {
    fn from(_: Short) -> Self {
        Self::Invalid
    }
}

impl Kind {
    pub(super) fn of(number: u32) -> Option<Self> {
        match number {
            0 => Some(Self::Disabled),
            1 | 2 => Some(Self::Counting),
            3 => Some(Self::Constant),
            _ => None,
        }
    }
}

impl Context {
    pub(super) fn of(context: &DifCtx) -> Result<Self, Stopped> {
        let length = |number: u32| usize::try_from(number).map_err(|_| Stopped::Invalid);
        let format = Format::of(context.dif_pi_format.into()).ok_or(Stopped::Invalid)?;
        let checked = Self {
            kind: Kind::of(context.dif_type.into()).ok_or(Stopped::Invalid)?,
            format,
            interleaved: context.md_interleave != 0,
            block: length(context.block_size)?,
            metadata: length(context.md_size)?,
            guard_interval: length(context.guard_interval)?,
            flags: context.dif_flags,
            init_ref_tag: context.init_ref_tag,
            ref_tag_offset: context.ref_tag_offset.into(),
            remapped: context.remapped_init_ref_tag.into(),
            app_tag: context.app_tag,
            apptag_mask: context.apptag_mask,
            guard_seed: context.guard_seed,
        };
        let around = if checked.interleaved { checked.block } else { checked.metadata };
        let end = checked.guard_interval.checked_add(format.size()).ok_or(Stopped::Invalid)?;
        if end > around || (checked.interleaved && checked.metadata >= checked.block) || checked.block == 0 {
            return Err(Stopped::Invalid);
        }
        Ok(checked)
    }

    /// Bytes of a block's data.
    pub(super) fn data(&self) -> usize {
        if self.interleaved { self.block.saturating_sub(self.metadata) } else { self.block }
    }

    /// Whether the program's own copy of the data has all that is in a block.
    pub(super) fn copies_metadata(&self) -> bool {
        self.flags & PRACT != 0 && self.metadata != self.format.size()
    }

    pub(super) fn has_ref_tags(&self) -> bool {
        self.flags & REFTAG_CHECK != 0
    }

    /// Makes the information of a block that has its metadata with it.
    pub(super) fn generate(&self, block: &mut Walk, number: u32) -> Result<(), Stopped> {
        let guard = self.look_at(block, self.guard_interval, self.guard_seed)?;
        block.write(self.information(guard, number).bytes())?;
        Ok(block.skip(self.behind(self.block))?)
    }

    /// The same for a block whose metadata are elsewhere.
    pub(super) fn generate_apart(
        &self,
        data: &mut Walk,
        metadata: &mut Walk,
        number: u32,
    ) -> Result<(), Stopped> {
        let guard = self.look_at(data, self.block, self.guard_seed)?;
        let guard = self.look_at(metadata, self.guard_interval, guard)?;
        metadata.write(self.information(guard, number).bytes())?;
        Ok(metadata.skip(self.behind(self.metadata))?)
    }

    /// Checks a block that has its metadata with it.
    pub(super) fn verify(&self, block: &mut Walk, number: u32) -> Result<(), Stopped> {
        let guard = self.look_at(block, self.guard_interval, self.guard_seed)?;
        let found = self.found(block)?;
        block.skip(self.behind(self.block))?;
        self.check(&found, guard, number)
    }

    /// The same for a block whose metadata are elsewhere.
    pub(super) fn verify_apart(
        &self,
        data: &mut Walk,
        metadata: &mut Walk,
        number: u32,
    ) -> Result<(), Stopped> {
        let guard = self.look_at(data, self.block, self.guard_seed)?;
        let guard = self.look_at(metadata, self.guard_interval, guard)?;
        let found = self.found(metadata)?;
        metadata.skip(self.behind(self.metadata))?;
        self.check(&found, guard, number)
    }

    /// Writes a block's reference tag anew, in `around` bytes that hold its information.
    pub(super) fn remap(
        &self,
        holder: &mut Walk,
        around: usize,
        number: u32,
        check: bool,
    ) -> Result<(), Stopped> {
        holder.skip(self.guard_interval)?;
        let mut place = holder.clone();
        let mut found = self.found(holder)?;
        holder.skip(self.behind(around))?;
        if self.ends_checks(&found) {
            return Ok(());
        }
        if check {
            self.check_ref_tag(&found, number)?;
        }
        found.set_ref_tag(match self.kind {
            Kind::Constant => self.remapped,
            // In 32 bits, as both are.
            _ => (self.remapped as u32).wrapping_add(self.ref_tag_offset as u32).wrapping_add(number).into(),
        });
        Ok(place.write(found.bytes())?)
    }

    /// Goes past bytes that the guard is about.
    fn look_at(&self, walk: &mut Walk, count: usize, guard: u64) -> Result<u64, Short> {
        if self.flags & GUARD_CHECK == 0 {
            walk.skip(count)?;
            return Ok(0);
        }
        let mut guard = guard;
        walk.look(count, |bytes| guard = self.format.guard(guard, bytes))?;
        Ok(guard)
    }

    fn found(&self, walk: &mut Walk) -> Result<Information, Short> {
        let mut found = Information::new(self.format);
        walk.read(found.bytes_mut())?;
        Ok(found)
    }

    /// What lies behind the information.
    fn behind(&self, around: usize) -> usize {
        around.saturating_sub(self.guard_interval).saturating_sub(self.format.size())
    }

    fn information(&self, guard: u64, number: u32) -> Information {
        let mut made = Information::new(self.format);
        made.set_guard(guard);
        if self.flags & APPTAG_CHECK != 0 {
            made.set_app_tag(self.app_tag);
        }
        if self.has_ref_tags() {
            made.set_ref_tag(self.ref_tag(number));
        }
        made
    }

    /// The tag of a block that is made.
    fn ref_tag(&self, number: u32) -> u64 {
        if self.init_ref_tag == REFTAG_IGNORE { self.format.ones() } else { self.counted_ref_tag(number) }
    }

    /// The tag of a block by its place.
    fn counted_ref_tag(&self, number: u32) -> u64 {
        let first = self.init_ref_tag.wrapping_add(self.ref_tag_offset);
        let counted = if self.kind == Kind::Counting { first.wrapping_add(number.into()) } else { first };
        counted & self.format.ones()
    }

    /// Whether tags of ones say that a block is not to be checked.
    fn ends_checks(&self, found: &Information) -> bool {
        found.app_tag() == APPTAG_IGNORE
            && (self.kind != Kind::Constant || found.ref_tag() == self.format.ones())
    }

    fn check(&self, found: &Information, guard: u64, number: u32) -> Result<(), Stopped> {
        if self.ends_checks(found) {
            return Ok(());
        }
        let differs = |kind, expected, actual| {
            Err(Stopped::Differs(Difference { kind, expected, actual, block: number }))
        };
        // As programs print it: what the block says is expected, and its data have another guard.
        if self.flags & GUARD_CHECK != 0 && found.guard() != guard {
            return differs(GUARD_ERROR, found.guard(), guard);
        }
        let masked = found.app_tag() & self.apptag_mask;
        if self.flags & APPTAG_CHECK != 0 && masked != self.app_tag & self.apptag_mask {
            return differs(APPTAG_ERROR, self.app_tag.into(), masked.into());
        }
        self.check_ref_tag(found, number)
    }

    fn check_ref_tag(&self, found: &Information, number: u32) -> Result<(), Stopped> {
        let expected = self.counted_ref_tag(number);
        let actual = found.ref_tag();
        // FFFFFFFFh may be the tag of a last block, or say that blocks were made with no tags that count.
        let is_good = actual == expected || actual == self.ref_tag(number);
        if self.has_ref_tags() && self.kind == Kind::Counting && !is_good {
            return Err(Stopped::Differs(Difference { kind: REFTAG_ERROR, expected, actual, block: number }));
        }
        Ok(())
    }
}

impl Stopped {
    /// What C gets.
    pub(super) fn errno(&self) -> c_int {
        match self {
            Self::Invalid => -libc::EINVAL,
            Self::Differs(_) => -1,
        }
    }
}

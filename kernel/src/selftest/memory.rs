//! Memory for tests, and the tests' reads and writes of it.

use super::Verdict;
use crate::arch::syndrome::{Class, Direction, FaultKind};
use crate::base::addr::Mfn;
use crate::frames::frametable::page_info::FrameOwner;
use crate::memory::HostMemory;
use crate::selftest::Subject;
use crate::vmap::Mapping;
use alloc::string::{String, ToString};

/// The owner of what tests allocate.
pub(super) const ME: FrameOwner = FrameOwner::new(100);

/// A read of memory that nobody has mapped.
pub(super) const READ_NOT_MAPPED: Class = Class::DataAbort(FaultKind::Translation, Direction::Read);

pub(super) fn text(error: impl ToString) -> String {
    error.to_string()
}

/// Runs `test` with 2^`order` frames, and frees them.
pub(super) fn with_frames(
    subject: &Subject<'_>,
    order: u32,
    test: impl FnOnce(&HostMemory, Mfn) -> Verdict,
) -> Verdict {
    let first = subject.host.alloc(order, ME).map_err(text)?;
    let verdict = test(subject.host, first);
    subject.host.free(first, order).map_err(text)?;
    verdict
}

pub(super) fn word(mapping: &Mapping<'_>, offset: u64) -> *mut u64 {
    mapping.as_ptr().as_ptr().wrapping_add(offset as usize).cast()
}

pub(super) fn write(mapping: &Mapping<'_>, offset: u64, value: u64) {
    // SAFETY: the tests write to frames of their own, through mappings that live, at offsets inside.
    unsafe { word(mapping, offset).write_volatile(value) };
}

pub(super) fn read(mapping: &Mapping<'_>, offset: u64) -> u64 {
    // SAFETY: the tests read frames of their own, through mappings that live, at offsets inside.
    unsafe { word(mapping, offset).read_volatile() }
}

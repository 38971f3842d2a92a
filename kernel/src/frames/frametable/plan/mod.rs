//! Which parts of the frametable exist, and where they lie in its window.
//!
//! The table is an array indexed by page index, laid out over a window of addresses as if it were complete. Only the parts
//! that describe groups with RAM get memory: each maximal run of such groups is a [`Chunk`]. A chunk ends on a page, never
//! on a larger boundary: rounded up to a block it would reach into the next chunk whenever the hole between them is small.
//!
//! To be mapped with blocks and contiguous entries all the same, a chunk wants physical memory that lies, within a block,
//! where its addresses lie ([`Chunk::placements`]). Merely aligned memory would not do, since most chunks do not start on
//! an aligned address.
//!
//! Pure: nothing here touches memory. Relies on a [`PdxMap`] made for the same banks, and says so if it is not.

use crate::base::addr::{Bytes, Mfn, PAGE_SIZE, Pdx};
use crate::frames::boot_alloc::FramePlacement;
use crate::pdx::{GroupSize, Groups, PdxMap, PdxRefusal};
use alloc::vec::Vec;
use core::ops::Range;

/// What one block descriptor maps with a 4 KiB granule, at level 2.
pub const BLOCK_BYTES: u64 = 2 << 20;

/// What 16 adjacent block descriptors with the contiguous hint map.
pub const CONTIGUOUS_BYTES: u64 = 16 * BLOCK_BYTES;

/// The alignment of the window. A chunk's offset from the window's start then tells how its address lies within a block.
pub const WINDOW_ALIGN: u64 = CONTIGUOUS_BYTES;

/// How the frametable is laid out where virtual addresses are physical ones. On an MMU it is always one array with
/// holes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Form {
    /// Chunks for the groups that have RAM, and a directory to find them by.
    #[default]
    Directory,
    /// One chunk from the first page index to the last, holes included, as Xen has it.
    Contiguous,
}

/// Sizes that a plan is made for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FrametableShape {
    /// Bytes of metadata for a frame, at most a page.
    pub entry_bytes: u64,
    /// Page indexes in a group, the unit in which the table has holes.
    pub group: GroupSize,
}

impl Default for FrametableShape {
    /// The shape of the image's own table: 8 bytes for a frame, so 2 MiB for a group of 1 GiB.
    fn default() -> Self {
        Self { entry_bytes: 8, group: GroupSize::GIB }
    }
}

/// Why there is no plan.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum FrametablePlanError {
    /// There is no RAM, or the map of page indexes was made for other banks.
    #[error(transparent)]
    Pdx(#[from] PdxRefusal),
    /// Chunks of this shape could share a page.
    #[error("frametable entries of {entry_bytes} bytes for groups of {group_pages} frames do not fill whole pages")]
    FrametableShape {
        /// Bytes of an entry.
        entry_bytes: u64,
        /// Page indexes in a group.
        group_pages: u64,
    },
    /// The page indexes from the lowest to the highest do not fit. Holes count: they take addresses, though no memory.
    #[error("frametable for page indexes [{base:#x}, {max:#x}) spans {}, its window only {}", Bytes(*need), Bytes(*have))]
    WindowTooSmall {
        /// First page index.
        base: u64,
        /// One past the last page index.
        max: u64,
        /// Bytes that the table spans.
        need: u64,
        /// Bytes in the window.
        have: u64,
    },
}

/// A part of the table that is mapped in one piece.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Chunk {
    /// First page index with an entry; a multiple of the group size.
    pub first: Pdx,
    /// One past the last page index with an entry.
    pub end: Pdx,
    /// Bytes from the window's start to the first entry; a multiple of the page size.
    pub offset: u64,
    /// Size in bytes, rounded up to pages.
    pub bytes: u64,
    /// How many of these, at the end, belong to no entry.
    pub tail_bytes: u64,
}

impl Chunk {
    /// Where the chunk's memory should lie, best first. The last one asks for no more than a page boundary.
    ///
    /// The better ones let it be mapped with fewer translations; none is needed for it to be mapped at all.
    pub fn placements(&self) -> impl Iterator<Item = FramePlacement> + use<> {
        let Self { offset, bytes, .. } = *self;
        [CONTIGUOUS_BYTES, BLOCK_BYTES, PAGE_SIZE]
            .into_iter()
            .filter(move |&modulus| bytes >= modulus)
            .map(move |modulus| FramePlacement::congruent(offset, modulus))
    }
}

/// The parts of a frametable.
#[derive(Clone, Debug)]
pub struct FrametablePlan {
    groups: Groups,
    shape: FrametableShape,
    chunks: Vec<Chunk>,
}

impl FrametablePlan {
    /// Plans a table for `banks`, numbered by `pdx`, in a window of `window_bytes` that starts at a multiple of
    /// [`WINDOW_ALIGN`].
    pub fn new(
        banks: &[Range<Mfn>],
        pdx: &PdxMap,
        window_bytes: u64,
        shape: FrametableShape,
    ) -> Result<Self, FrametablePlanError> {
        let FrametableShape { entry_bytes, group } = shape;
        // At most 2^12 bytes for each of at most 2^40 entries: no product below can overflow.
        if !(1..=PAGE_SIZE).contains(&entry_bytes) || !(group.pages() * entry_bytes).is_multiple_of(PAGE_SIZE) {
            return Err(FrametablePlanError::FrametableShape { entry_bytes, group_pages: group.pages() });
        }
        let groups = Groups::new(banks, pdx, group)?;
        let mut plan = Self { groups, shape, chunks: Vec::new() };
        let need = plan.contiguous_bytes();
        if need > window_bytes {
            let (base, max) = (plan.groups.base().get(), plan.groups.max_pdx().get());
            return Err(FrametablePlanError::WindowTooSmall { base, max, need, have: window_bytes });
        }
        plan.chunks = plan.groups.runs().map(|run| plan.chunk(run)).collect();
        Ok(plan)
    }

    /// The same table in one chunk, with entries for the holes too, that nobody will ask for.
    ///
    /// That is how Xen lays it out on an MPU. There it takes [`contiguous_bytes`](Self::contiguous_bytes) of memory.
    pub fn in_one_chunk(mut self) -> Self {
        self.chunks = Vec::from([self.chunk(self.groups.base()..self.groups.max_pdx())]);
        self
    }

    fn chunk(&self, run: Range<Pdx>) -> Chunk {
        let used = (run.end.get() - run.start.get()) * self.shape.entry_bytes;
        let bytes = used.next_multiple_of(PAGE_SIZE);
        Chunk {
            first: run.start,
            end: run.end,
            offset: (run.start.get() - self.groups.base().get()) * self.shape.entry_bytes,
            bytes,
            tail_bytes: bytes - used,
        }
    }

    /// The parts, in ascending order. No two overlap, none is empty, and all of RAM has an entry in one of them.
    pub fn chunks(&self) -> &[Chunk] {
        &self.chunks
    }

    /// Which groups have RAM; also what page indexes the table starts and ends with.
    pub const fn groups(&self) -> &Groups {
        &self.groups
    }

    /// The sizes that the plan was made for.
    pub const fn shape(&self) -> FrametableShape {
        self.shape
    }

    /// Bytes of memory that the chunks take.
    pub fn frametable_bytes(&self) -> u64 {
        self.chunks.iter().map(|chunk| chunk.bytes).sum()
    }

    /// Bytes of memory that one table without holes would take, and bytes of addresses that this one spans.
    pub const fn contiguous_bytes(&self) -> u64 {
        let entries = self.groups.max_pdx().get() - self.groups.base().get();
        (entries * self.shape.entry_bytes).next_multiple_of(PAGE_SIZE)
    }
}

#[cfg(test)]
mod tests;

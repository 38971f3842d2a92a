//! Mapping frames into EL2's address space, over an MPU: virtual addresses are physical ones.
//!
//! The same calls as over an MMU, with what follows from having no translation: a mapping is where its frames are, two of
//! the same frames are at the same address, and neighbours touch: there is no guard page. What is mapped already, such as
//! anything in EL2's own heap, costs a count and nothing else.

use crate::arch::Mpu;
use crate::arch::pmsa::RegionRegisters;
use crate::base::addr::{Frames, Mfn, PAGE_SIZE, PhysAddr, Span, VirtAddr};
use crate::base::attributes::Attributes;
use crate::heap::Heap;
use crate::mpu::{HandleRecords, Region, RegionError, RegionTable};
use core::fmt;
use core::ops::{Range, RangeInclusive};
use core::ptr::NonNull;
use spin::mutex::SpinMutex;

/// The most that a frametable may span, holes included, in bytes: it takes no addresses but those of its memory.
pub const FRAMETABLE_SPAN: u64 = u64::MAX;

/// How many frames heap and records grow by: as many as there are in one piece, of the larger of these, because each piece
/// that does not continue another takes a region; and none smaller, because then it is not worth one.
pub const GROWTH_FRAMES: RangeInclusive<u64> = 16..=256;

/// Why a range of frames cannot be mapped, or an address not be unmapped. Nothing has changed then.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum VmapError {
    /// The region table refuses.
    #[error("vmap: {0}")]
    Region(#[from] RegionError),
    /// No frames.
    #[error("vmap of no frames")]
    Empty,
    /// The frames leave the physical address space.
    #[error("vmap of {bytes:#x} bytes from physical address {start} reaches past the physical address space")]
    Physical {
        /// First byte.
        start: PhysAddr,
        /// Length in bytes.
        bytes: u64,
    },
    /// The frames do not follow one another.
    #[error("vmap: an MPU maps frames where they are, and {next:?} does not follow {frame:?}")]
    Scattered {
        /// A frame.
        frame: Mfn,
        /// The one that should be next to it.
        next: Mfn,
    },
}

impl VmapError {
    /// Whether more memory would help. It never does: what runs short is the MPU's regions.
    pub const fn is_shortage(&self) -> bool {
        false
    }
}

/// EL2's address space.
pub struct Vmap<R: RegionRegisters = Mpu> {
    table: SpinMutex<RegionTable<R>>,
}

/// Frames that are mapped for as long as this lives.
pub struct Mapping<'v, R: RegionRegisters = Mpu> {
    vmap: &'v Vmap<R>,
    /// Whole pages.
    span: Span,
    /// From the first page to what was asked for.
    offset: u64,
    bytes: u64,
}

impl<R: RegionRegisters> Vmap<R> {
    /// Takes over `table`.
    pub fn new(table: RegionTable<R>) -> Self {
        Self { table: SpinMutex::new(table) }
    }

    /// Maps the `count` frames from `first`.
    ///
    /// # Errors
    ///
    /// [`VmapError`] if there is no region left, the frames are mapped otherwise or in part, or there are no such frames.
    #[inline]
    pub fn vmap_contig(&self, first: Mfn, count: u64, attributes: Attributes) -> Result<Mapping<'_, R>, VmapError> {
        if count == 0 {
            return Err(VmapError::Empty);
        }
        let (start, bytes) = (first.address(), count.saturating_mul(PAGE_SIZE));
        let end = first.checked_add(count).ok_or(VmapError::Physical { start, bytes })?.address();
        let span = Span { start, end };
        if !self.with_table(|table| table.map_inside(span, attributes)) {
            self.map(span, attributes)?;
        }
        Ok(Mapping { vmap: self, span, offset: 0, bytes })
    }

    /// Maps `frames`, which must be consecutive.
    ///
    /// # Errors
    ///
    /// [`VmapError::Scattered`] if they are not, else as for [`Vmap::vmap_contig`].
    pub fn vmap(&self, frames: &[Mfn], attributes: Attributes) -> Result<Mapping<'_, R>, VmapError> {
        let Some(first) = frames.first() else { return Err(VmapError::Empty) };
        for (frame, next) in frames.iter().zip(&frames[1..]) {
            if frame.checked_add(1) != Some(*next) {
                return Err(VmapError::Scattered { frame: *frame, next: *next });
            }
        }
        self.vmap_contig(*first, frames.len() as u64, attributes)
    }

    /// Maps the registers at `start`, `bytes` long and aligned to nothing, as device memory.
    ///
    /// # Errors
    ///
    /// As for [`Vmap::vmap_contig`].
    pub fn ioremap(&self, start: PhysAddr, bytes: u64) -> Result<Mapping<'_, R>, VmapError> {
        self.map_bytes(start, bytes, Attributes::DEVICE)
    }

    /// Maps registers for as long as the machine runs, and says where they are: at their address. No other mapping ever moves
    /// their region, so an exception handler may use them.
    ///
    /// # Errors
    ///
    /// As for [`Vmap::map_identity`].
    ///
    /// # Panics
    ///
    /// If they are at address 0.
    pub fn ioremap_for_good(&self, start: PhysAddr, bytes: u64) -> Result<NonNull<u8>, VmapError> {
        let outside = VmapError::Physical { start, bytes };
        let end = start.checked_add(bytes).and_then(|end| end.align_up(PAGE_SIZE)).and_then(Mfn::containing);
        let (Some(first), Some(end)) = (Mfn::containing(start), end) else { return Err(outside) };
        self.map_identity(&(first..end), Attributes::DEVICE)?;
        Ok(pointer(VirtAddr::new(start.get())))
    }

    /// Maps the `bytes` from `start`, aligned to nothing: all pages they touch. The mapping keeps the offset in the page.
    ///
    /// # Errors
    ///
    /// As for [`Vmap::vmap_contig`].
    pub fn map_bytes(&self, start: PhysAddr, bytes: u64, attributes: Attributes) -> Result<Mapping<'_, R>, VmapError> {
        if bytes == 0 {
            return Err(VmapError::Empty);
        }
        let outside = VmapError::Physical { start, bytes };
        let end = start.checked_add(bytes).and_then(|end| end.align_up(PAGE_SIZE)).and_then(Mfn::containing);
        let (Some(first), Some(end)) = (Mfn::containing(start), end) else { return Err(outside) };
        let mut mapping = self.vmap_contig(first, (first..end).count(), attributes)?;
        mapping.offset = start.get() % PAGE_SIZE;
        mapping.bytes = bytes;
        Ok(mapping)
    }

    /// Ends the mapping that starts at `va`, and returns how many pages it had; the newest, if several start there.
    ///
    /// The memory stays accessible as long as there is a mapping of the region it lies in: of what was mapped first, in one
    /// piece, where now this mapping was.
    ///
    /// # Errors
    ///
    /// [`VmapError::Region`] if no mapping starts there; nothing has changed then.
    #[inline]
    pub fn vunmap(&self, va: VirtAddr) -> Result<u64, VmapError> {
        let start = PhysAddr::new(va.get());
        let span = match self.with_table(|table| table.unmap_inside(start)) {
            Some(span) => span,
            None => self.unmap(start)?,
        };
        Ok(span.bytes() / PAGE_SIZE)
    }

    // The long ways, for what is more than counting; apart, so that the short ones stay short.

    #[inline(never)]
    fn map(&self, span: Span, attributes: Attributes) -> Result<(), VmapError> {
        Ok(self.with_table(|table| table.map(span, attributes))?)
    }

    #[inline(never)]
    fn unmap(&self, start: PhysAddr) -> Result<Span, VmapError> {
        Ok(self.with_table(|table| table.unmap(start))?)
    }

    #[inline(never)]
    fn release(&self, span: Span) {
        if let Err(error) = self.with_table(|table| table.release(span)) {
            panic!("a mapping that lives cannot be unmapped: {error}");
        }
    }

    /// How many pages the mapping that starts at `va` has, or `None` if none starts there.
    pub fn vmap_size(&self, va: VirtAddr) -> Option<u64> {
        let span = self.table.lock().mapping_at(PhysAddr::new(va.get()));
        span.map(|span| span.bytes() / PAGE_SIZE)
    }

    /// Maps memory of EL2's own, for good.
    ///
    /// # Errors
    ///
    /// [`VmapError::Region`] if something else is there, or there is no region left.
    pub fn map_identity(&self, range: &Range<Mfn>, attributes: Attributes) -> Result<(), VmapError> {
        Ok(self.with_table(|table| table.lock(range.span(), attributes))?)
    }

    /// Maps frames of the frametable where they are, for good, and says where that is; `offset` would be their place in a
    /// window.
    ///
    /// # Errors
    ///
    /// As for [`Vmap::map_identity`].
    ///
    /// # Panics
    ///
    /// If they are at address 0.
    pub fn map_frametable(&self, _offset: u64, range: &Range<Mfn>) -> Result<NonNull<u8>, VmapError> {
        self.map_identity(range, Attributes::DATA)?;
        Ok(pointer(VirtAddr::new(range.start.address().get())))
    }

    /// What is mapped at `va`, which is what has that address, and as what.
    pub fn translate(&self, va: VirtAddr) -> Option<(PhysAddr, Attributes)> {
        let at = PhysAddr::new(va.get());
        self.with_table(|table| table.region(at).map(|region| (at, region.attributes())))
    }

    /// How `range` is mapped, for people.
    pub fn describe(&self, range: Range<VirtAddr>) -> RegionCount {
        let span = Span { start: PhysAddr::new(range.start.get()), end: PhysAddr::new(range.end.get()) };
        self.with_table(|table| {
            let mut regions = table.regions().iter().filter(|region| region.span().overlaps(&span));
            let first = regions.next().copied();
            RegionCount { regions: usize::from(first.is_some()) + regions.count(), first }
        })
    }

    /// Runs `code`, whose mappings end before it does. Where addresses are those of the frames, that makes no difference.
    pub fn briefly<T>(&self, code: impl FnOnce() -> T) -> T {
        code()
    }

    /// Runs `with` on the region table.
    #[inline]
    pub fn with_table<T>(&self, with: impl FnOnce(&mut RegionTable<R>) -> T) -> T {
        with(&mut self.table.lock())
    }

    /// What there is too little of for a mapping of whatever size, if anything.
    #[inline]
    pub fn shortage(&self, _pages: u64) -> Option<Shortage> {
        self.with_table(|table| table.is_full()).then_some(Shortage::Records)
    }

    /// How many frames would end `shortage`: at least, and better.
    pub fn frames_wanted(&self, shortage: Shortage) -> RangeInclusive<u64> {
        match shortage {
            Shortage::Records => {
                let bytes = HandleRecords::bytes(self.records_wanted()) as u64;
                let frames = bytes.div_ceil(PAGE_SIZE).next_power_of_two();
                frames..=frames
            }
        }
    }

    /// Ends `shortage` with `memory`, some of which may go to `heap`.
    ///
    /// # Safety
    ///
    /// `memory` must be mapped read-write at its physical address, for good, and be used by nothing else.
    pub unsafe fn relieve(&self, shortage: Shortage, memory: Range<PhysAddr>, heap: &Heap) {
        match shortage {
            Shortage::Records => {
                let bytes = memory.end.get() - memory.start.get();
                // SAFETY: the caller gives this memory away.
                unsafe { heap.add(memory.start.get() as usize, bytes as usize) };
                let records = HandleRecords::with_capacity(self.records_wanted());
                // The old ones go back to the heap when the lock is free again.
                drop(self.with_table(|table| table.move_to(records)));
            }
        }
    }

    fn records_wanted(&self) -> usize {
        2 * self.with_table(|table| table.capacity())
    }
}

/// What more mappings need and the address space has too little of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shortage {
    /// Room to remember mappings in.
    Records,
}

/// How a range is mapped: the regions that it touches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RegionCount {
    /// How many there are.
    pub regions: usize,
    /// The first of them.
    pub first: Option<Region>,
}

impl fmt::Display for RegionCount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.regions, self.first) {
            (1, Some(region)) => write!(f, "slot {} of the MPU", region.slot()),
            (regions, _) => write!(f, "{regions} slots of the MPU"),
        }
    }
}

/// `va` as a pointer to what is mapped there.
fn pointer(va: VirtAddr) -> NonNull<u8> {
    let pointer = core::ptr::with_exposed_provenance_mut(va.get() as usize);
    NonNull::new(pointer).expect("there is no pointer to address 0")
}

impl<R: RegionRegisters> Mapping<'_, R> {
    /// The address of what was asked for. It may be 0.
    pub fn address(&self) -> VirtAddr {
        VirtAddr::new(self.span.start.get() + self.offset)
    }

    /// The address of what was asked for, as a pointer.
    ///
    /// # Panics
    ///
    /// If the address is 0: frame 0 can be mapped like any other, but Rust has no use for a pointer to it.
    pub fn as_ptr(&self) -> NonNull<u8> {
        pointer(self.address())
    }

    /// Length in bytes of what was asked for.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Keeps the mapping until [`Vmap::vunmap`] is called with the start of its first page, which is returned.
    pub fn leak(self) -> VirtAddr {
        let va = VirtAddr::new(self.span.start.get());
        core::mem::forget(self);
        va
    }
}

impl<R: RegionRegisters> Drop for Mapping<'_, R> {
    #[inline]
    fn drop(&mut self) {
        if !self.vmap.with_table(|table| table.release_inside(self.span)) {
            self.vmap.release(self.span);
        }
    }
}

impl<R: RegionRegisters> fmt::Debug for Mapping<'_, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "mapping of {:#x} bytes at {}", self.bytes, self.address())
    }
}

#[cfg(test)]
mod tests;

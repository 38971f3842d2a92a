//! Mapping frames into EL2's address space, over an MPU: virtual addresses are physical ones.
//!
//! The calls are those of the MMU's backend, with the consequences of having no translation: a mapping is at its
//! frames' own address, two mappings of the same frames have the same address, and neighbours touch: there is no guard
//! page. Mapping frames that are mapped already, such as any of EL2's own heap, costs a count and nothing else.

use super::{Backend, Shortage, Vmap};
use crate::arch::Mpu;
use crate::arch::lock::SpinLock;
use crate::arch::pmsa::RegionRegisters;
use crate::base::addr::{Frames, Mfn, PAGE_SIZE, PhysAddr, Span, VirtAddr};
use crate::base::attributes::Attributes;
use crate::mpu::{HandleRecords, Region, RegionError, RegionTable};
use core::fmt;
use core::ops::{Range, RangeInclusive};

/// Why an MPU does not map something.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum MpuError {
    /// The region table refuses.
    #[error("vmap: {0}")]
    Region(#[from] RegionError),
    /// The frames do not follow one another.
    #[error("vmap: an MPU maps frames where they are, and {next:?} does not follow {frame:?}")]
    Scattered {
        /// A frame.
        frame: Mfn,
        /// The one that should be next to it.
        next: Mfn,
    },
}

/// The regions of an MPU.
pub struct OverMpu<R: RegionRegisters = Mpu> {
    table: SpinLock<RegionTable<R>>,
}

impl<R: RegionRegisters> OverMpu<R> {
    /// Takes over `table`.
    pub fn new(table: RegionTable<R>) -> Self {
        Self { table: SpinLock::new(table) }
    }

    #[inline]
    fn change<T>(&self, with: impl FnOnce(&mut RegionTable<R>) -> T) -> T {
        with(&mut self.table.lock())
    }

    // The long ways, for what is more than counting; apart, so that the short ones stay short.

    #[inline(never)]
    fn map_span(&self, span: Span, attributes: Attributes) -> Result<(), MpuError> {
        Ok(self.change(|table| table.map(span, attributes))?)
    }

    #[inline(never)]
    fn unmap_span(&self, start: PhysAddr) -> Result<Span, RegionError> {
        self.change(|table| table.unmap(start))
    }

    #[inline(never)]
    fn release_span(&self, span: Span) -> Result<(), MpuError> {
        Ok(self.change(|table| table.release(span))?)
    }
}

impl<R: RegionRegisters> Vmap<OverMpu<R>> {
    /// Runs `with` on the region table.
    #[inline]
    pub fn with_table<T>(&self, with: impl FnOnce(&mut RegionTable<R>) -> T) -> T {
        self.backend.change(with)
    }
}

impl<R: RegionRegisters> Backend for OverMpu<R> {
    /// Whole pages.
    type Held = Span;
    type Layout = RegionCount;
    type Error = MpuError;

    /// A frametable takes no addresses but those of its memory.
    const FRAMETABLE_SPAN: u64 = u64::MAX;
    /// Each block that does not continue another takes a region, and a smaller one is not worth it.
    const GROWTH_FRAMES: RangeInclusive<u64> = 16..=256;

    #[inline]
    fn first_page(held: Span) -> VirtAddr {
        VirtAddr::new(held.start.get())
    }

    #[inline]
    fn map(&self, first: Mfn, count: u64, attributes: Attributes) -> Result<Span, MpuError> {
        let start = first.address();
        let span = Span { start, end: PhysAddr::new(start.get() + count * PAGE_SIZE) };
        if !self.change(|table| table.map_inside(span, attributes)) {
            self.map_span(span, attributes)?;
        }
        Ok(span)
    }

    fn map_scattered(&self, frames: &[Mfn], attributes: Attributes) -> Result<Span, MpuError> {
        for pair in frames.windows(2) {
            if let [frame, next] = *pair
                && frame.checked_add(1) != Some(next)
            {
                return Err(MpuError::Scattered { frame, next });
            }
        }
        self.map(frames[0], frames.len() as u64, attributes)
    }

    fn map_registers(&self, frames: &Range<Mfn>) -> Result<VirtAddr, MpuError> {
        self.map_identity(frames, Attributes::DEVICE)?;
        Ok(VirtAddr::new(frames.start.address().get()))
    }

    #[inline]
    fn unmap(&self, va: VirtAddr) -> Result<u64, MpuError> {
        let start = PhysAddr::new(va.get());
        let span = match self.change(|table| table.unmap_inside(start)) {
            Some(span) => span,
            None => self.unmap_span(start)?,
        };
        Ok(span.bytes() / PAGE_SIZE)
    }

    #[inline]
    fn release(&self, held: Span) -> Result<(), MpuError> {
        if self.change(|table| table.release_inside(held)) { Ok(()) } else { self.release_span(held) }
    }

    fn size(&self, va: VirtAddr) -> Option<u64> {
        let span = self.table.lock().mapping_at(PhysAddr::new(va.get()));
        span.map(|span| span.bytes() / PAGE_SIZE)
    }

    fn map_identity(&self, range: &Range<Mfn>, attributes: Attributes) -> Result<(), MpuError> {
        Ok(self.change(|table| table.lock(range.span(), attributes))?)
    }

    fn map_frametable(&self, _offset: u64, range: &Range<Mfn>) -> Result<VirtAddr, MpuError> {
        self.map_identity(range, Attributes::DATA)?;
        Ok(VirtAddr::new(range.start.address().get()))
    }

    /// Nothing helps: an MPU runs short of regions.
    fn is_shortage(_error: &MpuError) -> bool {
        false
    }

    fn translate(&self, va: VirtAddr) -> Option<(PhysAddr, Attributes)> {
        let at = PhysAddr::new(va.get());
        self.change(|table| table.region(at).map(|region| (at, region.attributes())))
    }

    fn describe(&self, range: Range<VirtAddr>) -> RegionCount {
        let span = Span { start: PhysAddr::new(range.start.get()), end: PhysAddr::new(range.end.get()) };
        self.change(|table| {
            let mut regions = table.regions().iter().filter(|region| region.span().overlaps(&span));
            let first = regions.next().copied();
            RegionCount { regions: usize::from(first.is_some()) + regions.count(), first }
        })
    }

    /// Where addresses are those of the frames, there is nothing to be done.
    fn briefly<T>(&self, code: impl FnOnce() -> T) -> T {
        code()
    }

    #[inline]
    fn shortage(&self, _pages: u64) -> Option<Shortage> {
        self.change(|table| table.is_full()).then_some(Shortage::Records)
    }

    unsafe fn add_tables(&self, _memory: Range<PhysAddr>) {
        unreachable!("an MPU has no tables to run short of");
    }

    fn record_bytes(count: usize) -> usize {
        HandleRecords::bytes(count)
    }

    fn records(&self) -> usize {
        self.change(|table| table.capacity())
    }

    fn move_records(&self, count: usize) {
        let records = HandleRecords::with_capacity(count);
        // The old ones go back to the heap when the lock is free again.
        drop(self.change(|table| table.move_to(records)));
    }
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

#[cfg(test)]
mod tests;

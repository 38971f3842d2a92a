//! The table of regions, and its queries.

use super::RegionError;
use super::handles::{HandleRecords, Handles};
use super::region::Region;
use super::slots::Slots;
use crate::arch::pmsa::{ADDRESS_BITS, RegionRegisters};
use crate::base::addr::{PAGE_SIZE, PhysAddr, Span};
use alloc::vec::Vec;

/// How a range lies to the regions there are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lookup {
    /// No region has an address of the range.
    NotFound,
    /// The range is the region with this index.
    Exact(usize),
    /// The range is a part of the region with this index.
    Inside(usize),
    /// The range and the region with this index share addresses, and the range has others as well.
    Overlap(usize),
}

/// The regions of an MPU that is on.
#[derive(Debug)]
pub struct RegionTable<R> {
    pub(super) slots: Slots<R>,
    /// Sorted by address, disjoint.
    pub(super) regions: Vec<Region>,
    pub(super) handles: Handles,
    /// The slots that could come to be needed, whatever is released first: see [`Self::growth`].
    pub(super) reserved: usize,
    /// The region found last, which is often the next one too.
    recent: usize,
}

impl<R: RegionRegisters> RegionTable<R> {
    /// The table for `registers`, which hold the `locked` regions, sorted, in their slots from 0 on.
    pub(super) fn new(registers: R, locked: &[Region]) -> Self {
        let slots = Slots::new(registers, locked.len() as u8);
        // Two regions for each slot are all that are ever admitted: see `growth`.
        let mut regions = Vec::with_capacity(2 * slots.count());
        regions.extend_from_slice(locked);
        Self { slots, regions, handles: Handles::new(), reserved: locked.len(), recent: 0 }
    }

    /// How `span`, which is not empty, lies to the regions.
    #[inline]
    pub fn lookup(&self, span: &Span) -> Lookup {
        if let Some(region) = self.regions.get(self.recent)
            && region.span.contains(span)
        {
            return Self::contained(self.recent, region, span);
        }
        let index = self.index_above(*span);
        match self.regions.get(index) {
            Some(region) if region.span.contains(span) => Self::contained(index, region, span),
            Some(region) if region.span.start < span.end => Lookup::Overlap(index),
            _ => Lookup::NotFound,
        }
    }

    #[inline]
    fn contained(index: usize, region: &Region, span: &Span) -> Lookup {
        if region.span == *span { Lookup::Exact(index) } else { Lookup::Inside(index) }
    }

    /// The region that all of `span` is in, to be the first to be asked next time.
    #[inline]
    pub(super) fn around(&mut self, span: &Span) -> Option<usize> {
        let holds = |index: usize| self.regions.get(index).is_some_and(|region| region.span.contains(span));
        if !holds(self.recent) {
            let index = self.index_above(*span);
            if !holds(index) {
                return None;
            }
            self.recent = index;
        }
        Some(self.recent)
    }

    /// What [`unmap`](Self::unmap) would end.
    pub fn mapping_at(&self, start: PhysAddr) -> Option<Span> {
        match self.lookup(&page_at(start)) {
            Lookup::Exact(index) | Lookup::Inside(index) => {
                self.handles.of(self.regions[index].list).find(|handle| handle.start == start)
            }
            Lookup::NotFound | Lookup::Overlap(_) => None,
        }
    }

    /// The region that contains `at`.
    pub fn region(&self, at: PhysAddr) -> Option<&Region> {
        let index = self.regions.partition_point(|region| region.span.end <= at);
        self.regions.get(index).filter(|region| region.span.start <= at)
    }

    /// All regions, by address.
    pub fn regions(&self) -> &[Region] {
        &self.regions
    }

    /// How many slots there are, and how many of them are free.
    pub fn slots(&self) -> (usize, usize) {
        (self.slots.count(), self.slots.free())
    }

    /// The registers.
    pub fn registers(&self) -> &R {
        self.slots.registers()
    }

    /// How many mappings of `region`, one of this table, or of parts of it live.
    pub fn handles(&self, region: &Region) -> usize {
        self.handles.of(region.list).count()
    }

    /// Whether there must be more [`HandleRecords`] before anything can be mapped.
    #[inline]
    pub fn is_full(&self) -> bool {
        self.handles.is_full()
    }

    /// How many mappings there can be before there must be more [`HandleRecords`].
    pub fn capacity(&self) -> usize {
        self.handles.capacity()
    }

    /// How many of these there can be beside those there are.
    pub fn room(&self) -> usize {
        self.handles.room()
    }

    /// The error that there must be more [`HandleRecords`].
    #[cold]
    pub(super) fn no_records(&self) -> RegionError {
        RegionError::NoRecords { handles: self.capacity() }
    }

    /// Moves what is remembered of mappings to `records`, if they are more, and gives back the old ones.
    pub fn move_to(&mut self, records: HandleRecords) -> HandleRecords {
        self.handles.move_to(records)
    }

    /// Where a region for `span`, which overlaps none, belongs.
    pub(super) fn index_above(&self, span: Span) -> usize {
        self.regions.partition_point(|region| region.span.end <= span.start)
    }
}

/// The bytes of a page from `start` on, or those up to the end of the address space.
#[inline]
pub(super) const fn page_at(start: PhysAddr) -> Span {
    Span { start, end: PhysAddr::new(start.get().saturating_add(PAGE_SIZE)) }
}

/// Whether `span` is one that regions can have, with its ends at multiples of `align`.
#[inline]
pub(super) fn check_range(span: Span, align: u64) -> Result<(), RegionError> {
    if span.bytes() == 0 {
        return Err(RegionError::Empty { at: span.start });
    }
    if !(span.start.get() | span.end.get()).is_multiple_of(align) {
        return Err(RegionError::Misaligned { span, align });
    }
    if span.end.get() > 1 << ADDRESS_BITS {
        return Err(RegionError::OutsideAddressSpace { span });
    }
    Ok(())
}

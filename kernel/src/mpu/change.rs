//! Mapping, unmapping, protecting: every way in which regions come, change and go.
//!
//! All decisions are made before the first register is written, so a refusal has changed nothing.

use super::RegionError;
use super::handles::List;
use super::region::{Region, RegionKind};
use super::table::{Lookup, RegionTable, check_range, page_at};
use crate::arch::pmsa::RegionRegisters;
use crate::base::addr::{PAGE_SIZE, PhysAddr, Span};
use crate::base::attributes::Attributes;

impl<R: RegionRegisters> RegionTable<R> {
    /// Maps `span`, whole pages: makes a region if there is none, else counts one more handle of the one it is, or lies in.
    ///
    /// Inside a region, no register is touched.
    ///
    /// # Errors
    ///
    /// [`RegionError::MemoryType`] or [`RegionError::Access`] if the region it lies in has other attributes,
    /// [`RegionError::Overlap`] if it is only partly in one, [`RegionError::Exhausted`] if there is no slot for a new one,
    /// and [`RegionError::NoRecords`] if the handle cannot be remembered.
    pub fn map(&mut self, span: Span, attributes: Attributes) -> Result<(), RegionError> {
        if self.map_inside(span, attributes) {
            return Ok(());
        }
        check_range(span, PAGE_SIZE)?;
        match self.lookup(&span) {
            Lookup::Exact(index) | Lookup::Inside(index) => {
                check_attributes(span, attributes, &self.regions[index])?;
                Err(self.no_records())
            }
            Lookup::NotFound => self.create(span, attributes),
            Lookup::Overlap(index) => Err(RegionError::Overlap { span, region: self.regions[index] }),
        }
    }

    /// [`map`](Self::map) where it is short: inside a region, with nothing to refuse. Says whether that was so; if not,
    /// nothing has changed, and `map` knows why.
    #[inline]
    pub fn map_inside(&mut self, span: Span, attributes: Attributes) -> bool {
        let (start, end) = (span.start.get(), span.end.get());
        if start >= end || !(start | end).is_multiple_of(PAGE_SIZE) {
            return false;
        }
        let Some(region) = self.around(&span).and_then(|index| self.regions.get_mut(index)) else { return false };
        region.attributes == attributes && self.handles.add(&mut region.list, span).is_some()
    }

    #[inline(never)]
    fn create(&mut self, span: Span, attributes: Attributes) -> Result<(), RegionError> {
        if self.is_full() {
            return Err(self.no_records());
        }
        let index = self.index_above(span);
        self.admit(0, self.growth(index..index, span, attributes))?;
        let mut list = List::EMPTY;
        self.handles.add(&mut list, span).ok_or_else(|| self.no_records())?;
        self.place(index, span, attributes, list);
        Ok(())
    }

    /// Ends one mapping of exactly `span`.
    ///
    /// # Errors
    ///
    /// [`RegionError::NotMapped`], [`RegionError::NotHeld`] or [`RegionError::Straddles`] if nobody has mapped it.
    pub fn release(&mut self, span: Span) -> Result<(), RegionError> {
        let ended = self.end(span, |handle| *handle == span);
        ended.map(drop).ok_or_else(|| self.not_held(span.start))
    }

    /// Ends the mapping that begins at `start`, and returns what it covered; the newest, if several do.
    ///
    /// # Errors
    ///
    /// As for [`release`](Self::release).
    pub fn unmap(&mut self, start: PhysAddr) -> Result<Span, RegionError> {
        let ended = self.end(page_at(start), |handle| handle.start == start);
        ended.ok_or_else(|| self.not_held(start))
    }

    /// [`release`](Self::release) where it is short: of the newest mapping of a region that stays. Says whether that was
    /// so; if not, nothing has changed.
    #[inline]
    pub fn release_inside(&mut self, span: Span) -> bool {
        self.end_inside(span, |handle| *handle == span).is_some()
    }

    /// [`unmap`](Self::unmap) where it is short, as [`release_inside`](Self::release_inside) is.
    #[inline]
    pub fn unmap_inside(&mut self, start: PhysAddr) -> Option<Span> {
        self.end_inside(page_at(start), |handle| handle.start == start)
    }

    /// Ends the newest mapping that is `wanted` of the region that `part` lies in; `None` if there is none.
    fn end(&mut self, part: Span, wanted: impl Fn(&Span) -> bool) -> Option<Span> {
        match self.lookup(&part) {
            Lookup::Exact(index) | Lookup::Inside(index) => {
                let region = &mut self.regions[index];
                let span = self.handles.remove(&mut region.list, wanted)?;
                if region.list.is_empty() && region.kind == RegionKind::Dynamic {
                    self.remove(index);
                }
                Some(span)
            }
            Lookup::NotFound | Lookup::Overlap(_) => None,
        }
    }

    /// The same if it is the newest of all, and leaves the region there.
    #[inline]
    fn end_inside(&mut self, part: Span, wanted: impl Fn(&Span) -> bool) -> Option<Span> {
        let index = self.around(&part)?;
        let region = self.regions.get_mut(index)?;
        let (span, others) = self.handles.newest(region.list)?;
        if !wanted(&span) || others.is_empty() && region.kind == RegionKind::Dynamic {
            return None;
        }
        self.handles.pop(&mut region.list);
        Some(span)
    }

    /// Why no mapping that begins at `at` can be ended.
    #[cold]
    fn not_held(&self, at: PhysAddr) -> RegionError {
        match self.lookup(&page_at(at)) {
            Lookup::NotFound => RegionError::NotMapped { at },
            Lookup::Exact(index) | Lookup::Inside(index) => RegionError::NotHeld { at, region: self.regions[index] },
            Lookup::Overlap(index) => RegionError::Straddles { at, region: self.regions[index] },
        }
    }

    /// Changes the access to `span`, which is a whole region with one handle. It stays what memory it is.
    ///
    /// # Errors
    ///
    /// [`RegionError::MemoryType`] before any other reason, for that could never be done; [`RegionError::Locked`],
    /// [`RegionError::Partial`], [`RegionError::Shared`] or [`RegionError::NotHeld`] if it is not the caller's alone;
    /// [`RegionError::Exhausted`] if the region shares a slot, and there is none for it alone.
    pub fn protect(&mut self, span: Span, attributes: Attributes) -> Result<(), RegionError> {
        check_range(span, PAGE_SIZE)?;
        let (index, exact) = match self.lookup(&span) {
            Lookup::Exact(index) => (index, true),
            Lookup::Inside(index) => (index, false),
            Lookup::NotFound => return Err(RegionError::NotMapped { at: span.start }),
            Lookup::Overlap(index) => return Err(RegionError::Overlap { span, region: self.regions[index] }),
        };
        let region = self.regions[index];
        if attributes.memory() != region.attributes.memory() {
            return Err(RegionError::MemoryType { span, wanted: attributes, region });
        }
        if region.kind != RegionKind::Dynamic {
            return Err(RegionError::Locked { region });
        }
        if !exact {
            return Err(RegionError::Partial { span, region });
        }
        let handles = self.handles(&region);
        if handles != 1 {
            return Err(RegionError::Shared { region, handles });
        }
        if self.handles.of(region.list).all(|handle| handle != span) {
            return Err(RegionError::NotHeld { at: span.start, region });
        }
        if attributes == region.attributes { Ok(()) } else { self.change_access(index, attributes) }
    }

    /// Locks `span`, whole pages, for as long as the machine runs: memory that EL2 took for itself.
    ///
    /// Right above memory locked before, it becomes part of it, which takes no slot; inside such memory it is there already.
    ///
    /// # Errors
    ///
    /// As for [`map`](Self::map); [`RegionError::Overlap`] also if somebody has mapped it, and could unmap it.
    pub fn lock(&mut self, span: Span, attributes: Attributes) -> Result<(), RegionError> {
        check_range(span, PAGE_SIZE)?;
        match self.lookup(&span) {
            Lookup::NotFound => self.create_locked(span, attributes),
            Lookup::Exact(index) | Lookup::Inside(index) if self.regions[index].kind != RegionKind::Dynamic => {
                check_attributes(span, attributes, &self.regions[index])
            }
            Lookup::Exact(index) | Lookup::Inside(index) | Lookup::Overlap(index) => {
                Err(RegionError::Overlap { span, region: self.regions[index] })
            }
        }
    }
}

/// Whether `span`, in `region`, can be mapped as `wanted`. The memory type comes first: no change of access would help.
#[inline]
fn check_attributes(span: Span, wanted: Attributes, region: &Region) -> Result<(), RegionError> {
    if wanted == region.attributes {
        return Ok(());
    }
    let region = *region;
    if wanted.memory() != region.attributes.memory() {
        return Err(RegionError::MemoryType { span, wanted, region });
    }
    Err(RegionError::Access { span, wanted, region })
}

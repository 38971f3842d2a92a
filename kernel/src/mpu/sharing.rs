//! Which regions share a slot: every change of the MPU's contents.
//!
//! A region has a slot of its own as long as there are enough. When there are not, touching regions with equal
//! attributes share one slot. To take a region out of the middle again needs one slot more than before, and a release
//! must neither fail nor leave unmapped memory accessible. So a region is admitted only as long as *every* order of
//! releases can be served: of `k` regions in a row, releasing every other one leaves `k / 2` rounded up that touch
//! nothing, and no release leaves more. [`RegionTable::reserved`] is that sum over all rows, plus one for each locked
//! region, and must not exceed the slots. A row of single pages thus takes half as many slots as pages; a caller that
//! needs more maps them at once.

use super::RegionError;
use super::handles::List;
use super::region::{Region, RegionKind};
use super::table::RegionTable;
use crate::arch::pmsa::{RegionIdx, RegionRegisters};
use crate::base::addr::Span;
use crate::base::attributes::Attributes;
use core::ops::Range;

impl<R: RegionRegisters> RegionTable<R> {
    /// How many more slots could come to be needed with a dynamic region for `span`, in place of those at `index`.
    pub(super) fn growth(&self, index: Range<usize>, span: Span, attributes: Attributes) -> usize {
        let (mut start, mut end) = (span.start, span.end);
        let below = self.regions[..index.start].iter().rev().take_while(|region| {
            let joins = region.may_share(attributes) && region.span.end == start;
            start = region.span.start;
            joins
        });
        let above = self.regions[index.end..].iter().take_while(|region| {
            let joins = region.may_share(attributes) && region.span.start == end;
            end = region.span.end;
            joins
        });
        let (below, above) = (below.count(), above.count());
        (below + 1 + above).div_ceil(2) - below.div_ceil(2) - above.div_ceil(2)
    }

    /// Reserves `wanted` slots more, after `returned` fewer.
    pub(super) fn admit(&mut self, returned: usize, wanted: usize) -> Result<(), RegionError> {
        let (used, max) = (self.reserved - returned, self.slots.count());
        if used + wanted > max {
            return Err(RegionError::Exhausted { used, max, wanted });
        }
        self.reserved = used + wanted;
        Ok(())
    }

    /// Makes a dynamic region for `span`, which overlaps none, belongs before region `index`, and was admitted, with the one
    /// handle in `list`.
    pub(super) fn place(&mut self, index: usize, span: Span, attributes: Attributes, list: List) {
        let slot = self.cover(index, span, attributes);
        self.regions.insert(index, Region { span, attributes, kind: RegionKind::Dynamic, list, slot });
    }

    /// Makes `span`, between the regions `index - 1` and `index`, accessible, and says in which slot.
    fn cover(&mut self, index: usize, span: Span, attributes: Attributes) -> RegionIdx {
        if let Some(slot) = self.slots.take() {
            self.slots.open(slot, span, attributes);
            return slot;
        }
        let below = index.checked_sub(1).map(|below| self.row(below));
        if let Some((slot, row)) = below
            && row.end == span.start
            && self.regions[index - 1].may_share(attributes)
        {
            self.slots.resize(slot, Span { start: row.start, end: span.end }, attributes);
            return slot;
        }
        if let Some(region) = self.regions.get(index)
            && region.span.start == span.end
            && region.may_share(attributes)
        {
            let (slot, row) = self.row(index);
            self.slots.relocate(slot, Span { start: span.start, end: row.end }, attributes);
            return slot;
        }
        let slot = self.merge_two();
        self.slots.open(slot, span, attributes);
        slot
    }

    /// Ends the dynamic region `index`.
    #[inline(never)]
    pub(super) fn remove(&mut self, index: usize) {
        let Region { span, attributes, .. } = self.regions[index];
        self.reserved -= self.growth(index..index + 1, span, attributes);
        self.uncover(index);
        self.regions.remove(index);
    }

    /// Makes region `index` inaccessible, and what shares its slot not.
    fn uncover(&mut self, index: usize) {
        let Region { span, attributes, .. } = self.regions[index];
        let (slot, row) = self.row(index);
        let lower = Span { start: row.start, end: span.start };
        let upper = Span { start: span.end, end: row.end };
        match (lower.bytes() > 0, upper.bytes() > 0) {
            (false, false) => {
                self.slots.close(slot);
                self.slots.give_back(slot);
            }
            (true, false) => self.slots.resize(slot, lower, attributes),
            (false, true) => self.slots.relocate(slot, upper, attributes),
            (true, true) => {
                let other = self.slots.take().unwrap_or_else(|| self.merge_two());
                // Merging may have made the row longer, at either end.
                let (slot, row) = self.row(index);
                let upper = Span { start: span.end, end: row.end };
                self.slots.resize(slot, Span { start: row.start, end: span.start }, attributes);
                self.slots.open(other, upper, attributes);
                self.assign(upper, other);
            }
        }
    }

    /// Gives the dynamic region `index`, which has one handle, other access.
    pub(super) fn change_access(&mut self, index: usize, attributes: Attributes) -> Result<(), RegionError> {
        let Region { span, attributes: before, list, slot, .. } = self.regions[index];
        let place = index..index + 1;
        self.admit(self.growth(place.clone(), span, before), self.growth(place, span, attributes))?;
        let (_, row) = self.row(index);
        if row == span {
            self.slots.protect(slot, span, attributes);
            self.regions[index].attributes = attributes;
        } else {
            self.uncover(index);
            self.regions.remove(index);
            self.place(index, span, attributes, list);
        }
        Ok(())
    }

    /// Makes a locked region for `span`, which overlaps none, or part of the one below.
    pub(super) fn create_locked(&mut self, span: Span, attributes: Attributes) -> Result<(), RegionError> {
        let index = self.index_above(span);
        let below = index.checked_sub(1).and_then(|below| self.regions.get_mut(below));
        if let Some(region) = below
            && (region.kind, region.attributes, region.span.end) == (RegionKind::Heap, attributes, span.start)
        {
            region.span.end = span.end;
            let Region { slot, span, .. } = *region;
            self.slots.resize(slot, span, attributes);
            return Ok(());
        }
        self.admit(0, 1)?;
        let slot = self.slots.take().unwrap_or_else(|| self.merge_two());
        self.slots.open(slot, span, attributes);
        self.regions.insert(index, Region { span, attributes, kind: RegionKind::Heap, list: List::EMPTY, slot });
        Ok(())
    }

    /// The slot of region `index`, and all that it covers.
    fn row(&self, index: usize) -> (RegionIdx, Span) {
        let slot = self.regions[index].slot;
        let first = self.regions[..index].iter().rev().take_while(|region| region.slot == slot).count();
        let more = self.regions[index..].iter().take_while(|region| region.slot == slot).count();
        let (first, last) = (&self.regions[index - first], &self.regions[index + more - 1]);
        (slot, Span { start: first.span.start, end: last.span.end })
    }

    /// Puts two neighbours that can share a slot into one, and returns the other, which is disabled.
    ///
    /// There is such a pair whenever no slot is free and one is needed, for no more are needed than `reserved`, which is not
    /// more than there are.
    #[cold]
    fn merge_two(&mut self) -> RegionIdx {
        let pair = self.regions.windows(2).position(|pair| {
            let touch = pair[0].span.end == pair[1].span.start && pair[0].slot != pair[1].slot;
            touch && pair[0].kind == RegionKind::Dynamic && pair[1].may_share(pair[0].attributes)
        });
        let Some(index) = pair else {
            unreachable!("{} of {} slots are reserved, and all are in use", self.reserved, self.slots.count());
        };
        let attributes = self.regions[index].attributes;
        let ((slot, lower), (other, upper)) = (self.row(index), self.row(index + 1));
        self.slots.close(other);
        self.slots.resize(slot, Span { start: lower.start, end: upper.end }, attributes);
        self.assign(upper, slot);
        other
    }

    /// Notes that the regions in `span` are in `slot` now.
    fn assign(&mut self, span: Span, slot: RegionIdx) {
        for region in self.regions.iter_mut().filter(|region| span.contains(&region.span)) {
            region.slot = slot;
        }
    }
}

impl Region {
    /// Whether the region may share a slot with one that has these attributes.
    fn may_share(&self, attributes: Attributes) -> bool {
        self.kind == RegionKind::Dynamic && self.attributes == attributes
    }
}

//! Offset compression: each region of RAM is moved down by a distance of its own, found in a table.

use super::{GROUP_PAGES, PdxKind, PdxRefusal, ends, moving};
use crate::base::addr::Mfn;
use crate::base::sort;
use alloc::vec::Vec;
use core::ops::Range;

/// log2 of [`SLOTS`].
const SLOT_BITS: u32 = 6;

/// Entries in a lookup table, as many as Xen has by default.
const SLOTS: usize = 1 << SLOT_BITS;

/// A base or a distance that leads out of the address space from every frame number and every page index. Far enough
/// above 2^40 to be out of reach, and far enough below 2^64 for a difference not to wrap into reach again.
const NOWHERE: u64 = 1 << 62;

/// What is known of the frames that share a table index.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Slot {
    /// First frame of the region; [`NOWHERE`] if no RAM has this index.
    base: u64,
    /// How far the region is moved down, in frames.
    distance: u64,
}

/// The lookup tables in both directions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Offset {
    /// By 6 bits of the frame number, from `shift` up.
    slots: [Slot; SLOTS],
    shift: u32,
    /// By page index divided by the region size: how far the region is moved down.
    distances: [u64; SLOTS],
    /// log2 of a region's size in page indexes.
    region_shift: u32,
    ranges: usize,
}

impl Offset {
    pub(super) fn new(banks: &[Range<Mfn>]) -> Result<Self, PdxRefusal> {
        let mut ranges = whole_groups(banks);
        let first = ranges.first().ok_or(PdxRefusal::NoRam)?.start;

        // Bits that vary inside a range cannot tell ranges apart. Only now, as merging is over, are they final.
        let inside = ranges.iter().fold(GROUP_PAGES - 1, |bits, range| bits | moving(range.start, range.end - 1));
        let between = ranges.iter().fold(0, |bits, range| bits | (range.start ^ first)) & !inside;
        let width = u64::BITS - between.leading_zeros();
        let shift = match between {
            0 => inside.trailing_ones(),
            // More bits than the table has index bits: only the highest count, and ranges that differ below share a slot.
            _ => between.trailing_zeros().max(width.saturating_sub(SLOT_BITS)),
        };
        merge(&mut ranges, |earlier, later| slot_index(earlier.start, shift) == slot_index(later.start, shift));

        // No range is longer than 2^shift, and range i lies at or above i << shift. So is the distance never negative.
        let longest = ranges.iter().map(|range| range.end - range.start).max().unwrap_or(0);
        let region = longest.max(GROUP_PAGES).next_power_of_two();
        let last = ranges.last().map_or(0, |range| range.start);
        if region * (ranges.len() as u64 - 1) >= last {
            return Err(PdxRefusal::NoGain { ranges: ranges.len(), region, last });
        }

        let mut slots = [Slot { base: NOWHERE, distance: NOWHERE }; SLOTS];
        let mut distances = [NOWHERE; SLOTS];
        for ((range, distance), start) in ranges.iter().zip(&mut distances).zip((0..).step_by(region as usize)) {
            *distance = range.start - start;
            slots[slot_index(range.start, shift)] = Slot { base: range.start, distance: *distance };
        }
        Ok(Self { slots, shift, distances, region_shift: region.trailing_zeros(), ranges: ranges.len() })
    }

    pub(super) fn kind(&self) -> PdxKind {
        PdxKind::Offset { ranges: self.ranges, region: self.region(), shift: self.shift }
    }

    #[inline]
    fn region(&self) -> u64 {
        1 << self.region_shift
    }

    #[inline]
    fn slot(&self, mfn: u64) -> &Slot {
        &self.slots[slot_index(mfn, self.shift)]
    }

    #[inline]
    pub(super) fn compress(&self, mfn: u64) -> u64 {
        mfn.wrapping_sub(self.slot(mfn).distance)
    }

    #[inline]
    pub(super) fn expand(&self, pdx: u64) -> Option<u64> {
        let distance = self.distances.get((pdx >> self.region_shift) as usize)?;
        Some(pdx + distance)
    }

    #[inline]
    pub(super) fn covers(&self, mfn: u64) -> bool {
        mfn.wrapping_sub(self.slot(mfn).base) < self.region()
    }

    /// Whether the frames from `first` to `last` are covered by one region.
    ///
    /// That `last` lies within a region's length of the base is not enough: the region can be longer than what is left of
    /// its table index, and the frames beyond belong to the next one.
    pub(super) fn is_compressible(&self, first: u64, last: u64) -> bool {
        self.covers(first) && self.covers(last) && self.slot(first) == self.slot(last)
    }
}

#[inline]
fn slot_index(mfn: u64, shift: u32) -> usize {
    (mfn >> shift) as usize % SLOTS
}

/// The banks in ascending order, each from the start of its first group, those that then overlap as one.
fn whole_groups(banks: &[Range<Mfn>]) -> Vec<Range<u64>> {
    let whole = |(first, last)| (first & !(GROUP_PAGES - 1))..last + 1;
    let mut ranges: Vec<_> = banks.iter().filter_map(ends).map(whole).collect();
    sort::by_key(&mut ranges, |range| range.start);
    merge(&mut ranges, |earlier, later| later.start < earlier.end);
    ranges
}

/// Joins neighbours of which `same` says that they belong together.
fn merge(ranges: &mut Vec<Range<u64>>, same: impl Fn(&Range<u64>, &Range<u64>) -> bool) {
    ranges.dedup_by(|later, earlier| {
        let joined = same(earlier, later);
        if joined {
            earlier.end = earlier.end.max(later.end);
        }
        joined
    });
}

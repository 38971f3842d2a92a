//! Which region an address belongs to.
//!
//! An address in exactly one enabled region has the attributes of that region. An address in none, or in more than one,
//! takes a fault (DDI 0600, part C).

use super::registers::Region;
use core::ops::Range;

/// Addresses that an MPU region can hold.
pub const ADDRESS_SPACE: Range<u64> = 0..1 << 48;

/// What the enabled regions say of an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Match {
    /// No region has it.
    None,
    /// This region has it.
    One(Region),
    /// Two regions or more have it.
    Several,
}

/// A piece of the address space all of which belongs to the same regions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Segment {
    /// The piece; the largest around the address it was asked for that ends at no edge of a region but its own.
    pub span: Range<u64>,
    /// What the regions say of it.
    pub matched: Match,
}

impl Segment {
    /// The segment around `address`, which lies in [`ADDRESS_SPACE`].
    pub fn around(regions: &[Region], address: u64) -> Self {
        let mut span = ADDRESS_SPACE;
        let mut matched = Match::None;
        for region in regions.iter().filter(|region| region.is_enabled()) {
            let other = region.span();
            if other.is_empty() {
                continue;
            }
            if other.contains(&address) {
                matched = match matched {
                    Match::None => Match::One(*region),
                    Match::One(_) | Match::Several => Match::Several,
                };
                span = span.start.max(other.start)..span.end.min(other.end);
            } else if other.end <= address {
                span.start = span.start.max(other.end);
            } else {
                span.end = span.end.min(other.start);
            }
        }
        Self { span, matched }
    }

    /// Whether all of `range` is in the segment.
    pub const fn covers(&self, range: &Range<u64>) -> bool {
        self.span.start <= range.start && range.end <= self.span.end
    }
}

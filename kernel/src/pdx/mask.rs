//! Mask compression: one run of bits that is zero in all of RAM is left out.

use super::{GROUP_PAGES, PdxKind, PdxRefusal, ends, moving};
use crate::base::addr::Mfn;
use core::ops::Range;

/// Which bits of a frame number are left out. Small on purpose: every conversion reads it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Mask {
    /// Ones below the removed bits; all ones if none is removed.
    low: u64,
    /// How far the bits above move down.
    shift: u32,
    /// Ones at the removed bits.
    hole: u64,
}

impl Mask {
    /// Removes nothing.
    pub(super) const NONE: Self = Self { low: u64::MAX, shift: 0, hole: 0 };

    /// Removes the longest run of zeros, at or above [`super::GROUP_SHIFT`], between bits that some RAM frame number sets.
    pub(super) fn new(banks: &[Range<Mfn>]) -> Result<Self, PdxRefusal> {
        let banks = || banks.iter().filter_map(ends);
        let highest = banks().map(|(_, last)| last).max().ok_or(PdxRefusal::NoRam)?;
        let used = banks().fold(GROUP_PAGES - 1, |used, (first, last)| used | first | moving(first, last));

        // A frame number has at most 40 bits, so no shift below reaches 64.
        let (mut first_bit, mut bits) = (0, 0);
        let mut at = used.trailing_ones();
        while used >> at != 0 {
            let run = (used >> at).trailing_zeros();
            if run > bits {
                (first_bit, bits) = (at, run);
            }
            at += run;
            at += (used >> at).trailing_ones();
        }
        if bits == 0 {
            return Err(PdxRefusal::NoHole { highest });
        }
        let low = (1 << first_bit) - 1;
        Ok(Self { low, shift: bits, hole: ((1 << bits) - 1) << first_bit })
    }

    pub(super) fn kind(&self) -> PdxKind {
        match self.shift {
            0 => PdxKind::None,
            bits => PdxKind::Mask { first_bit: self.low.trailing_ones(), bits },
        }
    }

    #[inline]
    pub(super) fn compress(&self, mfn: u64) -> u64 {
        (mfn & self.low) | ((mfn & !self.low) >> self.shift)
    }

    #[inline]
    pub(super) fn expand(&self, pdx: u64) -> u64 {
        (pdx & self.low) | ((pdx & !self.low) << self.shift)
    }

    #[inline]
    pub(super) fn covers(&self, mfn: u64) -> bool {
        mfn & self.hole == 0
    }

    /// Whether the frames from `first` to `last` are covered, and none of the bits that vary among them moves.
    pub(super) fn is_compressible(&self, first: u64, last: u64) -> bool {
        self.covers(first) && moving(first, last) & !self.low == 0
    }
}

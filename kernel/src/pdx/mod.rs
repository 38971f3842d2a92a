//! Which page index belongs to which frame.
//!
//! RAM on a board rarely starts at zero and rarely comes in one piece. Indexing page metadata by frame number would pay for
//! every hole, so frames are renumbered first: a *PDX* (page index) counts frames with the large holes squeezed out.
//! [`PdxMap`] is that renumbering. It is a bijection, it keeps order, and it leaves the low 18 bits of a frame number alone,
//! so that everything inside an aligned GiB (a *group*) stays where it was: a bank remains one range, and a buddy of a block
//! is found the same way on either side. [`Groups`] then says which groups of page indexes have RAM at all.
//!
//! Two compressions exist because boards differ. *Mask* removes one run of bits that is zero in every RAM frame number; it
//! costs two shifts and always keeps the distances below the run. *Offset* looks up, by a few high bits, how far the frame's
//! region has moved down; it packs regions that share no zero bits. Either may not apply, and that is never fatal: frames
//! then keep their numbers ([`PdxMap::none`]).
//!
//! Relies on nothing but the banks: they may be unsorted, and empty ones are ignored.
//! Xen calls the same ideas by the same names (xen/common/pdx.c at c447b7308b).

mod groups;
pub mod layouts;
mod mask;
mod offset;
#[cfg(test)]
pub(crate) mod tests;

use crate::base::addr::{Frames, Mfn, Pdx, Span};
use alloc::boxed::Box;
use core::fmt;
use core::ops::Range;
use mask::Mask;
use offset::Offset;

pub use groups::{GroupSize, Groups};

/// log2 of [`GROUP_PAGES`]; this many low bits of a frame number are the low bits of its page index.
pub const GROUP_SHIFT: u32 = 18;

/// Frames in a group: 1 GiB of RAM, the largest block that the page allocator hands out, and (with 8 bytes for each frame)
/// one 2 MiB block of frametable.
pub const GROUP_PAGES: u64 = 1 << GROUP_SHIFT;

/// Which compression is asked for; the boot argument `pdx-compress=`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Policy {
    /// Whichever of none, mask and offset spans the fewest page indexes; of equals, the first named.
    #[default]
    Auto,
    /// Mask compression if it applies.
    Mask,
    /// Offset compression if it applies.
    Offset,
    /// No compression.
    Off,
}

/// Why a compression does not apply. Never fatal in itself: an uncompressed map always exists.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PdxRefusal {
    /// No bank has a frame.
    #[error("there is no RAM to number")]
    NoRam,
    /// Mask compression found no bit that is zero in all frame numbers, below one that is not.
    #[error("frame numbers up to {highest:#x} have no bit from {GROUP_SHIFT} up that is zero in all of RAM")]
    NoHole {
        /// The highest frame number of RAM.
        highest: u64,
    },
    /// Offset compression would not move the last region down.
    #[error("{ranges} regions of {region:#x} frames would reach no lower than frame {last:#x}, where the last one is")]
    NoGain {
        /// Regions of RAM, those that share a table entry counted once.
        ranges: usize,
        /// Frames reserved for each.
        region: u64,
        /// First frame of the last.
        last: u64,
    },
    /// The compression does not keep a bank in one piece.
    #[error("{map} does not cover RAM at {bank}")]
    NotCovered {
        /// The compression.
        map: PdxKind,
        /// The bank.
        bank: Span,
    },
}

/// Which compression a [`PdxMap`] applies, and with which figures.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PdxKind {
    /// Page index and frame number are the same.
    None,
    /// A run of bits is removed.
    Mask {
        /// Lowest bit removed, counted in a frame number (in an address it is 12 higher).
        first_bit: u32,
        /// How many bits.
        bits: u32,
    },
    /// Each region of RAM is moved down by its own distance.
    Offset {
        /// Regions, those that share a table entry counted once.
        ranges: usize,
        /// Frames from the start of one region to the next, in page indexes; a power of two.
        region: u64,
        /// The table is indexed by 6 bits of a frame number from this one up.
        shift: u32,
    },
}

impl fmt::Display for PdxKind {
    /// Bits are inclusive and those of a frame number, as Xen prints them.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::None => f.write_str("no compression"),
            Self::Mask { first_bit, bits } => {
                write!(f, "mask compression, bits {first_bit}..{} removed", first_bit + bits - 1)
            }
            Self::Offset { ranges, region, shift } => {
                let noun = if ranges == 1 { "range" } else { "ranges" };
                write!(f, "offset compression, {ranges} {noun}, region {region:#x} frames, lookup shift {shift}")
            }
        }
    }
}

/// The bijection between frame numbers and page indexes.
///
/// Without compression it is a mask that removes no bit, so that the two cases share one path without a branch between them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PdxMap {
    mask: Mask,
    /// Takes precedence over `mask`, which then removes nothing.
    offset: Option<Box<Offset>>,
}

impl PdxMap {
    /// The map that leaves every frame number as it is.
    pub const fn none() -> Self {
        Self { mask: Mask::NONE, offset: None }
    }

    /// Removes the longest run of bits, from bit 18 up, that is zero in every RAM frame number.
    ///
    /// Of runs of equal length the lowest goes. Bits above the highest set one save nothing and do not count.
    pub fn mask(banks: &[Range<Mfn>]) -> Result<Self, PdxRefusal> {
        Self { mask: Mask::new(banks)?, offset: None }.covering(banks)
    }

    /// Packs the regions of RAM through a table of 64 offsets.
    pub fn offset(banks: &[Range<Mfn>]) -> Result<Self, PdxRefusal> {
        Self { mask: Mask::NONE, offset: Some(Box::new(Offset::new(banks)?)) }.covering(banks)
    }

    /// The map that `policy` requests, or the uncompressed one and the reason for it.
    ///
    /// [`Policy::Auto`] always succeeds, and never gives a reason.
    pub fn choose(policy: Policy, banks: &[Range<Mfn>]) -> (Self, Option<PdxRefusal>) {
        let wanted = match policy {
            Policy::Auto => return (Self::narrowest(banks), None),
            Policy::Mask => Self::mask(banks),
            Policy::Offset => Self::offset(banks),
            Policy::Off => Ok(Self::none()),
        };
        match wanted {
            Ok(map) => (map, None),
            Err(refusal) => (Self::none(), Some(refusal)),
        }
    }

    /// The map with the fewest page indexes from the lowest RAM frame to the highest.
    fn narrowest(banks: &[Range<Mfn>]) -> Self {
        let width = |map: &Self| map.span(banks).map_or(u64::MAX, |span| span.end.get() - span.start.get());
        let mut best = Self::none();
        for map in [Self::mask(banks), Self::offset(banks)].into_iter().flatten() {
            if width(&map) < width(&best) {
                best = map;
            }
        }
        best
    }

    /// Which compression this is.
    pub fn kind(&self) -> PdxKind {
        match &self.offset {
            Some(offset) => offset.kind(),
            None => self.mask.kind(),
        }
    }

    /// The page index of `mfn`.
    ///
    /// Only a frame that the map [covers](Self::covers) has one. For any other the answer is some number, without meaning.
    #[inline]
    pub fn pdx(&self, mfn: Mfn) -> Pdx {
        Pdx::new(match &self.offset {
            None => self.mask.compress(mfn.get()),
            Some(offset) => offset.compress(mfn.get()),
        })
    }

    /// The frame with page index `pdx`, or `None` if there can be none.
    ///
    /// The inverse of [`pdx`](Self::pdx) on the frames that the map covers.
    #[inline]
    pub fn mfn(&self, pdx: Pdx) -> Option<Mfn> {
        // No frame has a page index above its number, so what is no frame number is no page index either.
        let pdx = Mfn::new(pdx.get())?.get();
        Mfn::new(match &self.offset {
            None => self.mask.expand(pdx),
            Some(offset) => offset.expand(pdx)?,
        })
    }

    /// Whether `mfn` has a page index, which means that it is not inside a hole that the compression removed.
    ///
    /// Says nothing about RAM: a hole that was too small to remove is covered, at least in part.
    #[inline]
    pub fn covers(&self, mfn: Mfn) -> bool {
        match &self.offset {
            None => self.mask.covers(mfn.get()),
            Some(offset) => offset.covers(mfn.get()),
        }
    }

    /// Whether all of `range` is covered, and its page indexes are one range too. True of an empty range.
    pub fn is_compressible(&self, range: &Range<Mfn>) -> bool {
        let Some((first, last)) = ends(range) else {
            return true;
        };
        match &self.offset {
            None => self.mask.is_compressible(first, last),
            Some(offset) => offset.is_compressible(first, last),
        }
    }

    /// The page indexes from the lowest frame of `banks` to the highest.
    fn span(&self, banks: &[Range<Mfn>]) -> Result<Range<Pdx>, PdxRefusal> {
        let mut span = Err(PdxRefusal::NoRam);
        for bank in banks.iter().filter(|bank| bank.count() > 0) {
            if !self.is_compressible(bank) {
                return Err(PdxRefusal::NotCovered { map: self.kind(), bank: bank.span() });
            }
            let first = self.pdx(bank.start);
            let end = Pdx::new(first.get() + bank.count());
            span = Ok(span.map_or(first..end, |span: Range<Pdx>| span.start.min(first)..span.end.max(end)));
        }
        span
    }

    /// This map, provided that it covers every bank whole.
    fn covering(self, banks: &[Range<Mfn>]) -> Result<Self, PdxRefusal> {
        self.span(banks)?;
        Ok(self)
    }
}

/// First and last frame number of a range, or `None` if it is empty.
fn ends(range: &Range<Mfn>) -> Option<(u64, u64)> {
    (range.start < range.end).then(|| (range.start.get(), range.end.get() - 1))
}

/// Every bit position that takes both values between `first` and `last`, and all positions below.
const fn moving(first: u64, last: u64) -> u64 {
    match (first ^ last).checked_ilog2() {
        Some(top) => u64::MAX >> (u64::BITS - 1 - top),
        None => 0,
    }
}

//! Which groups of page indexes have RAM, and so need page metadata.

use super::{GROUP_SHIFT, PdxMap, PdxRefusal};
use crate::base::addr::{Frames, Mfn, Pdx};
use alloc::vec;
use alloc::vec::Vec;
use core::fmt::{self, Write};
use core::ops::Range;

/// Most characters that a drawn bitmap takes.
const MAP_WIDTH: u64 = 64;

/// How many page indexes make a group: a power of two.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GroupSize {
    shift: u32,
}

impl GroupSize {
    /// [`super::GROUP_PAGES`], what the image uses.
    pub const GIB: Self = Self { shift: GROUP_SHIFT };

    /// Groups of `pages` page indexes, or `None` if that is not a power of two from 2^4 to 2^40.
    ///
    /// Below 2^4 the bitmap of a large machine would be larger than the memory that it is to save.
    pub const fn new(pages: u64) -> Option<Self> {
        match pages.trailing_zeros() {
            shift @ 4..=40 if pages.is_power_of_two() => Some(Self { shift }),
            _ => None,
        }
    }

    /// Page indexes in a group.
    pub const fn pages(self) -> u64 {
        1 << self.shift
    }
}

/// A bit for each group of page indexes, set if any RAM is in it.
///
/// The bitmap starts at the group of the lowest RAM frame, so its size depends on what RAM spans and not on where it lies.
/// Every question is answered by a checked lookup: there is no page index that reads outside of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Groups {
    base: u64,
    /// Page indexes from `base` to one past the highest RAM frame's.
    pages: u64,
    size: GroupSize,
    words: Vec<u64>,
}

impl Groups {
    /// The groups that `banks` need under `map`.
    ///
    /// Fails if there is no RAM, or if `map` was made for other banks and does not cover these.
    pub fn new(banks: &[Range<Mfn>], map: &PdxMap, size: GroupSize) -> Result<Self, PdxRefusal> {
        let span = map.span(banks)?;
        let base = span.start.get() & !(size.pages() - 1);
        let pages = span.end.get() - base;
        let words = vec![0; pages.div_ceil(size.pages()).div_ceil(64) as usize];
        let mut groups = Self { base, pages, size, words };
        for bank in banks.iter().filter(|bank| bank.count() > 0) {
            let first = map.pdx(bank.start).get() - base;
            groups.set(first >> size.shift, (first + bank.count() - 1) >> size.shift);
        }
        Ok(groups)
    }

    /// Marks the groups from `first` to `last`, inclusive.
    fn set(&mut self, first: u64, last: u64) {
        for group in first..=last {
            if let Some(word) = self.words.get_mut((group / 64) as usize) {
                *word |= 1 << (group % 64);
            }
        }
    }

    /// First page index of the lowest group with RAM.
    pub const fn base(&self) -> Pdx {
        Pdx::new(self.base)
    }

    /// One past the page index of the highest RAM frame; not rounded.
    pub const fn max_pdx(&self) -> Pdx {
        Pdx::new(self.base + self.pages)
    }

    /// How many groups lie from [`base`](Self::base) to [`max_pdx`](Self::max_pdx), holes included.
    pub const fn span(&self) -> u64 {
        self.pages.div_ceil(self.size.pages())
    }

    /// How many groups have RAM.
    pub fn count_valid(&self) -> u64 {
        self.words.iter().map(|word| u64::from(word.count_ones())).sum()
    }

    /// Whether `pdx` lies in a group with RAM and below [`max_pdx`](Self::max_pdx).
    #[inline]
    pub fn contains(&self, pdx: Pdx) -> bool {
        let index = pdx.get().wrapping_sub(self.base);
        index < self.pages && self.is_set(index >> self.size.shift)
    }

    #[inline]
    fn is_set(&self, group: u64) -> bool {
        self.words.get((group / 64) as usize).is_some_and(|word| word >> (group % 64) & 1 != 0)
    }

    /// The page indexes that [`contains`](Self::contains) accepts, as maximal ranges in ascending order. None is empty.
    pub fn runs(&self) -> impl Iterator<Item = Range<Pdx>> {
        let mut group = 0;
        core::iter::from_fn(move || {
            let first = self.next(group, 0)?;
            group = self.next(first, u64::MAX).unwrap_or(self.span());
            let end = (group << self.size.shift).min(self.pages);
            Some(Pdx::new(self.base + (first << self.size.shift))..Pdx::new(self.base + end))
        })
    }

    /// The first group from `from` up whose bit is set; with all bits of `flip` set, the first whose bit is clear.
    fn next(&self, from: u64, flip: u64) -> Option<u64> {
        let mut mask = u64::MAX << (from % 64);
        for (index, word) in self.words.iter().enumerate().skip((from / 64) as usize) {
            let found = (word ^ flip) & mask;
            if found != 0 {
                return Some(index as u64 * 64 + u64::from(found.trailing_zeros()));
            }
            mask = u64::MAX;
        }
        None
    }
}

impl fmt::Display for Groups {
    /// Draws the bitmap, lowest group first: `#` has RAM, `.` has none. Beyond 64 groups a character stands for several, and
    /// `+` for a mixture.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scale = self.span().div_ceil(MAP_WIDTH).max(1);
        for start in (0..self.span()).step_by(scale as usize) {
            let mut groups = start..(start + scale).min(self.span());
            let all = groups.clone().all(|group| self.is_set(group));
            let any = groups.any(|group| self.is_set(group));
            f.write_char(match (any, all) {
                (_, true) => '#',
                (true, false) => '+',
                (false, false) => '.',
            })?;
        }
        Ok(())
    }
}

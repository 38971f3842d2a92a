//! The size and shape of a guest's stage 2 tables, before memory for them is allocated.
//!
//! A guest is built once, so its tables can be counted exactly: they are one allocation, filled from front to back, and
//! freed as a whole. Nothing is unmapped or split while the guest lives.
//!
//! Extents that continue one another, on both sides, are joined first. Then each falls into at most five [`Segment`]s
//! of equal leaves, pages up to a 2 MiB boundary, blocks up to a 1 GiB boundary, and so down again; tables and leaves
//! are counted by segment, so a plan costs the same for a page and for a terabyte.

use crate::base::addr::{PAGE_SHIFT, PAGE_SIZE, PhysAddr};
use crate::base::sort;
use crate::guest::isolation::stage2::format::Config;
use crate::guest::memory::extent::{Extent, ExtentKind};
use crate::mmu::descriptor::{ADDRESS_BITS, Level, RUN};
use alloc::vec::Vec;
use core::fmt;
use core::ops::Range;

/// Why there is no plan.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Stage2PlanError {
    /// A guest address that is not the start of a page.
    #[error("{extent} does not start at a multiple of 4 KiB")]
    Unaligned {
        /// The offender.
        extent: Extent,
    },
    /// Guest addresses that the walk does not reach.
    #[error("{extent} does not fit the guest's addresses of {ipa_bits} bits")]
    GuestWidth {
        /// The offender.
        extent: Extent,
        /// Width of a guest address.
        ipa_bits: u32,
    },
    /// Frames that a descriptor cannot name.
    #[error("{extent} does not fit physical addresses of {ADDRESS_BITS} bits")]
    PhysicalWidth {
        /// The offender.
        extent: Extent,
    },
    /// One guest address would lead to two frames.
    #[error("{second} overlaps {first}")]
    Overlap {
        /// The lower one.
        first: Extent,
        /// The other one.
        second: Extent,
    },
}

/// How the guest is translated, for people.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stage2Leaves {
    /// Stage2Leaves of 1 GiB.
    pub gigabytes: u64,
    /// Stage2Leaves of 2 MiB.
    pub blocks: u64,
    /// Stage2Leaves of 4 KiB.
    pub pages: u64,
    /// Runs of 16 of the last two that have the contiguous hint.
    pub runs: u64,
}

impl fmt::Display for Stage2Leaves {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { gigabytes, blocks, pages, runs } = self;
        write!(f, "{gigabytes} x 1 GiB, {blocks} x 2 MiB, {pages} x 4 KiB, {runs} contiguous runs")
    }
}

/// Equal leaves side by side, as large as the addresses allow.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Segment {
    /// Level of the leaves.
    pub level: Level,
    /// What the leaves lead to.
    pub kind: ExtentKind,
    /// Guest addresses, in bytes; multiples of the leaf's size.
    pub ipa: Range<u64>,
    /// What the first one leads to.
    pub pa: PhysAddr,
}

impl Segment {
    /// The guest addresses in whole, aligned runs of [`RUN`] leaves whose memory is aligned as they are; empty if there are
    /// none.
    pub fn hinted(&self) -> Range<u64> {
        let run = RUN * self.level.size();
        let (start, end) = (self.ipa.start.next_multiple_of(run), self.ipa.end / run * run);
        let in_step = (self.ipa.start ^ self.pa.get()).is_multiple_of(run);
        if self.level.takes_hint() && in_step && start < end { start..end } else { self.ipa.end..self.ipa.end }
    }
}

/// The tables of one guest.
#[derive(Clone, Debug)]
pub struct Stage2Plan {
    config: Config,
    extents: Vec<Extent>,
    tables: u64,
    leaves: Stage2Leaves,
}

impl Stage2Plan {
    /// Plans tables for `extents`, in any order. Empty ones are left out.
    ///
    /// # Errors
    ///
    /// [`Stage2PlanError`] if two overlap or one cannot be translated.
    pub fn new(config: Config, extents: &[Extent]) -> Result<Self, Stage2PlanError> {
        let mut sorted: Vec<Extent> = extents.iter().copied().filter(|extent| extent.frames > 0).collect();
        sorted.iter().try_for_each(|extent| check(config, *extent))?;
        sort::by_key(&mut sorted, |extent| extent.ipa);
        if let Some(pair) = sorted.windows(2).find(|pair| pair[1].ipa.get() < pair[0].end()) {
            return Err(Stage2PlanError::Overlap { first: pair[0], second: pair[1] });
        }
        sorted.dedup_by(|next, extent| {
            let joined = extent.continues_with(next);
            extent.frames += if joined { next.frames } else { 0 };
            joined
        });
        let mut plan = Self { config, extents: sorted, tables: 0, leaves: Stage2Leaves::default() };
        (plan.tables, plan.leaves) = plan.count();
        Ok(plan)
    }

    /// How wide the guest's addresses are.
    pub const fn config(&self) -> Config {
        self.config
    }

    /// How many tables there will be, those of the root included.
    pub const fn tables(&self) -> u64 {
        self.tables
    }

    /// How many leaves of each size there will be.
    pub const fn leaves(&self) -> Stage2Leaves {
        self.leaves
    }

    /// The extents, joined and sorted.
    pub fn extents(&self) -> &[Extent] {
        &self.extents
    }

    /// All leaves, in ascending order.
    pub fn segments(&self) -> impl Iterator<Item = Segment> + '_ {
        self.extents.iter().flat_map(|extent| Segments { rest: *extent })
    }

    fn count(&self) -> (u64, Stage2Leaves) {
        let mut leaves = Stage2Leaves::default();
        let mut level_2 = Entered::new(Level::L1);
        let mut level_3 = Entered::new(Level::L2);
        for segment in self.segments() {
            let count = (segment.ipa.end - segment.ipa.start) >> segment.level.shift();
            let hinted = segment.hinted();
            leaves.runs += (hinted.end - hinted.start) / (RUN * segment.level.size());
            match segment.level {
                Level::L0 | Level::L1 => leaves.gigabytes += count,
                Level::L2 => leaves.blocks += count,
                Level::L3 => leaves.pages += count,
            }
            if segment.level > Level::L1 {
                level_2.enter(&segment.ipa);
            }
            if segment.level > Level::L2 {
                level_3.enter(&segment.ipa);
            }
        }
        (self.config.root_tables() + level_2.count + level_3.count, leaves)
    }
}

fn check(config: Config, extent: Extent) -> Result<(), Stage2PlanError> {
    if !extent.ipa.is_aligned(PAGE_SIZE) {
        return Err(Stage2PlanError::Unaligned { extent });
    }
    if extent.end() > config.ipa_end() {
        return Err(Stage2PlanError::GuestWidth { extent, ipa_bits: config.ipa_bits() });
    }
    const MFN_END: u64 = 1 << (ADDRESS_BITS - PAGE_SHIFT);
    match extent.mfn.checked_add(extent.frames) {
        Some(end) if end.get() <= MFN_END => Ok(()),
        _ => Err(Stage2PlanError::PhysicalWidth { extent }),
    }
}

/// Counts the entries of one level that ascending ranges touch: each leads to a table.
struct Entered {
    level: Level,
    /// One past the last entry that is counted.
    end: u64,
    count: u64,
}

impl Entered {
    const fn new(level: Level) -> Self {
        Self { level, end: 0, count: 0 }
    }

    fn enter(&mut self, range: &Range<u64>) {
        let first = (range.start >> self.level.shift()).max(self.end);
        self.end = range.end.div_ceil(self.level.size());
        // The range is not empty, and begins at or after the end of the one before.
        self.count += self.end - first;
    }
}

/// The segments of what is left of an extent.
struct Segments {
    rest: Extent,
}

impl Iterator for Segments {
    type Item = Segment;

    fn next(&mut self) -> Option<Segment> {
        let Extent { ipa, mfn, frames, kind } = self.rest;
        let (at, pa, left) = (ipa.get(), mfn.address(), frames << PAGE_SHIFT);
        if left == 0 {
            return None;
        }
        let level = Level::of_leaf(at, pa.get(), left);
        let bytes = stretch(level, at, pa.get(), left);
        let (ipa, mfn) = (ipa.checked_add(bytes)?, mfn.checked_add(bytes >> PAGE_SHIFT)?);
        self.rest = Extent { ipa, mfn, frames: (left - bytes) >> PAGE_SHIFT, kind };
        Some(Segment { level, kind, ipa: at..at + bytes, pa })
    }
}

/// For how many of the bytes `left` leaves of `level` are the largest that fit: up to where larger ones begin, if they do.
fn stretch(level: Level, ipa: u64, pa: u64, left: u64) -> u64 {
    if let Some(larger) = level.up().filter(|larger| *larger >= Level::L1) {
        let boundary = larger.offset(ipa.wrapping_neg());
        if larger.offset(ipa ^ pa) == 0 && (1..left).contains(&boundary) {
            return boundary;
        }
    }
    left - level.offset(left)
}

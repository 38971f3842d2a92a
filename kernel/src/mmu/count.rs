//! How a range is mapped, in numbers.

use super::Leaf;
use super::descriptor::{Level, RUN};
use core::fmt;

/// Leaves of each size. A contiguous run counts its leaves too.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LeafCount {
    /// Leaves of 1 GiB.
    pub gib: u64,
    /// Leaves of 2 MiB.
    pub blocks: u64,
    /// Leaves of 4 KiB.
    pub pages: u64,
    /// Whole runs of 16 leaves with the contiguous hint.
    pub runs: u64,
}

impl LeafCount {
    /// Counts `leaves`.
    pub fn of(leaves: impl Iterator<Item = Leaf>) -> Self {
        let mut count = Self::default();
        let mut hinted = 0;
        for leaf in leaves {
            match leaf.level {
                Level::L0 | Level::L1 => count.gib += 1,
                Level::L2 => count.blocks += 1,
                Level::L3 => count.pages += 1,
            }
            hinted += u64::from(leaf.contiguous);
        }
        count.runs = hinted / RUN;
        count
    }
}

impl fmt::Display for LeafCount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kinds =
            [(self.gib, "x 1 GiB"), (self.blocks, "x 2 MiB"), (self.pages, "x 4 KiB"), (self.runs, "contiguous runs")];
        let mut separator = "";
        for (count, kind) in kinds {
            if count > 0 {
                write!(f, "{separator}{count} {kind}")?;
                separator = ", ";
            }
        }
        Ok(())
    }
}

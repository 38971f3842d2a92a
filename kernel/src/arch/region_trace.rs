//! A register file that only counts accesses: the cost of operations, on the host and on the target alike.

use crate::arch::pmsa::{Prbar, Prlar, RegionIdx, RegionRegisters};

/// What was done to a register file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Cost {
    /// Writes of PRBAR and PRLAR.
    pub writes: u64,
    /// Synchronisations: a DSB and an ISB each.
    pub synchronisations: u64,
}

/// Counts.
#[derive(Clone, Debug)]
pub struct Trace {
    count: u8,
    cost: Cost,
}

impl Trace {
    /// The register file of an MPU with `count` slots.
    pub const fn new(count: u8) -> Self {
        Self { count, cost: Cost { writes: 0, synchronisations: 0 } }
    }

    /// Everything so far.
    pub const fn cost(&self) -> Cost {
        self.cost
    }
}

impl RegionRegisters for Trace {
    fn count(&self) -> u8 {
        self.count
    }

    fn write_base(&mut self, _: RegionIdx, _: Prbar) {
        self.cost.writes += 1;
    }

    fn write_limit(&mut self, _: RegionIdx, _: Prlar) {
        self.cost.writes += 1;
    }

    fn synchronise(&mut self) {
        self.cost.synchronisations += 1;
    }
}

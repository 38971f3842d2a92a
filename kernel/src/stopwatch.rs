//! How long each stage of the boot took.

use crate::arch::aarch64::cpu;
use arrayvec::ArrayVec;

/// The maximum number of stages.
const MAX_STAGES: usize = 12;

/// Measures from the first instruction of the image on.
#[derive(Debug)]
pub struct Stopwatch {
    start: u64,
    last: u64,
    laps: ArrayVec<(&'static str, u64), MAX_STAGES>,
}

impl Stopwatch {
    /// A stopwatch that was started when the counter was at `ticks`.
    pub fn started_at(ticks: u64) -> Self {
        Self { start: ticks, last: ticks, laps: ArrayVec::new() }
    }

    /// Ends the stage `name`, which began when the one before it ended.
    pub fn lap(&mut self, name: &'static str) {
        let now = cpu::ticks();
        let stage = now.saturating_sub(self.last);
        self.last = now;
        // A stage too many is left out of the report, and counted in its total.
        let _ = self.laps.try_push((name, stage));
    }

    /// The stages with their nanoseconds.
    pub fn laps(&self) -> impl Iterator<Item = (&'static str, u64)> {
        self.laps.iter().map(|(name, ticks)| (*name, cpu::nanoseconds(*ticks)))
    }

    /// Nanoseconds from the start to the end of the last stage.
    pub fn total(&self) -> u64 {
        cpu::nanoseconds(self.last.saturating_sub(self.start))
    }
}

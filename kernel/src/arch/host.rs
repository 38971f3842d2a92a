//! Stand-ins for the processor in host tests, where no hardware walks the page tables or checks regions.

use crate::arch::tlb::{Scope, TlbOps};
use crate::base::addr::VirtAddr;

/// An MPU that nobody asks: writes are counted.
pub use crate::arch::region_trace::Trace as Mpu;

/// No TLB.
#[derive(Debug, Default)]
pub struct NoTlb;

impl TlbOps for NoTlb {
    fn drain(&mut self) {}
    fn publish(&mut self) {}
    fn invalidate(&mut self, _: VirtAddr, _: Scope) {}
    fn complete(&mut self) {}
}

/// Fills `memory` with zeroes.
pub fn zero(memory: &mut [u8]) {
    memory.fill(0);
}

/// No memory but the caches that the process sees it through.
pub fn clean_to_poc(_memory: &[u8]) {}

/// As [`clean_to_poc`].
pub fn clean_and_invalidate(_memory: &[u8]) {}

/// Nothing here needs to wait.
pub fn drain() {}

/// No time passes.
pub fn ticks() -> u64 {
    0
}

/// Tells the CPU that it waits for another.
pub fn pause() {
    core::hint::spin_loop();
}

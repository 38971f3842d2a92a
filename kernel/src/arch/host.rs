//! What stands in for the processor on the host, where no hardware walks the page tables or looks at regions.

use crate::addr::VirtAddr;
use crate::mmu::{Scope, TlbOps};

/// An MPU that nobody asks: writes are counted.
pub use crate::mpu::Trace as Mpu;

/// No TLB.
#[derive(Debug, Default)]
pub struct Tlb;

impl TlbOps for Tlb {
    fn drain(&mut self) {}
    fn publish(&mut self) {}
    fn invalidate(&mut self, _: VirtAddr, _: Scope) {}
    fn complete(&mut self) {}
}

/// Fills `memory` with zeroes.
pub fn zero(memory: &mut [u8]) {
    memory.fill(0);
}

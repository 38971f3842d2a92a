//! AArch64 at EL2.

pub mod cache;
pub mod cpu;
pub mod exceptions;
pub mod fixup;
#[cfg(feature = "mmu")]
pub mod mmu;
pub mod mpu;
pub mod power;
pub mod tlb;

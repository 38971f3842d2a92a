//! AArch64 at EL2.

pub mod cache;
pub mod controls;
pub mod cpu;
#[cfg(feature = "mmu")]
pub mod el1;
pub mod el3;
#[cfg(feature = "mmu")]
pub mod gic;
#[cfg(feature = "mmu")]
pub mod mmu;
pub mod mpu;
pub mod semihosting;
pub mod tlb;
#[cfg(feature = "mmu")]
pub mod virtualization;

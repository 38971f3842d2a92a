//! AArch64 at EL2.
//!
//! Registers are accessed by `arm-sysregs`, which has fakes, so host tests cover the code that programs EL1 and the
//! traps ([`el1`], [`controls`], [`virtualization`]). The rest needs the processor.

pub mod barrier;
#[cfg(target_os = "none")]
pub mod cache;
#[cfg(any(feature = "mmu", test))]
pub mod context;
pub mod controls;
#[cfg(target_os = "none")]
pub mod cpu;
#[cfg(any(feature = "mmu", test))]
pub mod el1;
#[cfg(all(target_os = "none", feature = "guests"))]
pub mod el2_timer;
#[cfg(target_os = "none")]
pub mod el3;
#[cfg(all(target_os = "none", feature = "mmu"))]
pub mod gic;
#[cfg(all(target_os = "none", feature = "mmu"))]
pub mod mmu;
#[cfg(target_os = "none")]
pub mod mpu;
pub mod own;
#[cfg(target_os = "none")]
pub mod semihosting;
#[cfg(target_os = "none")]
pub mod tlb;
#[cfg(any(feature = "mmu", test))]
pub mod virtualization;

#[cfg(test)]
mod tests;

//! The processor: registers, barriers, exceptions, and nothing that decides.
//!
//! [`syndrome`], [`memory_system`], [`controls`] and [`el1_reset`] are pure and tested on the host; `aarch64` exists in
//! the image only. [`Tlb`], [`Mpu`], [`zero`] and the maintenance of caches are what code that is built for both uses.

#[cfg(target_os = "none")]
pub mod aarch64;
pub mod controls;
#[cfg(any(not(target_os = "none"), feature = "mmu"))]
pub mod el1_reset;
#[cfg(not(target_os = "none"))]
mod host;
pub mod memory_system;
pub mod syndrome;

#[cfg(target_os = "none")]
pub use aarch64::{
    cache::{clean_and_invalidate, clean_to_poc, drain, zero},
    cpu::ticks,
    mpu::Mpu,
    tlb::Tlb,
};
#[cfg(not(target_os = "none"))]
pub use host::{Mpu, Tlb, clean_and_invalidate, clean_to_poc, drain, ticks, zero};

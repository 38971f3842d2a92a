//! The processor, as far as the host has it.

mod host;
pub mod memory_system;
pub mod syndrome;

pub use host::{Mpu, Tlb, zero};

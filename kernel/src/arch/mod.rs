//! The processor, as far as it is pure.

pub mod memory_system;
pub mod syndrome;

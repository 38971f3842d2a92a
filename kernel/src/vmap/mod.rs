//! Mapping memory into EL2's address space.

pub mod attributes;
pub mod mair;
pub mod over_mpu;
pub mod space;

//! Devices that are emulated for guests: state and registers, nothing of the processor's.

pub mod size;
pub mod uart;
pub mod vgic;

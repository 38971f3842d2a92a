//! Interrupts of the GIC, as numbers.

use crate::base::id::PhysIntid;

/// An interrupt of the GIC.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Interrupt {
    /// INTID: 16 to 31 is private to each CPU (PPI), 32 to 1019 shared (SPI).
    pub id: PhysIntid,
    /// What makes it pending.
    pub trigger: Trigger,
}

/// What makes an interrupt pending. The GIC knows no polarity: where the tree says falling or low, the board inverts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trigger {
    /// A change of its line.
    Edge,
    /// Its line, for as long as the device asserts it.
    Level,
}

/// First INTID of the PPIs, private to each CPU (Arm IHI 0069, section 2.2.1).
pub const FIRST_PPI: u32 = 16;

/// First INTID of the SPIs, shared by all CPUs. One more than the last PPI.
pub const FIRST_SPI: u32 = 32;

/// How many SPIs a GIC can have: INTIDs 32 to 1019.
pub const MAX_SPIS: u32 = 988;

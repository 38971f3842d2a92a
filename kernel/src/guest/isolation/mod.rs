//! The memory that a guest may access, and the hardware that enforces it: [`stage2`] on a CPU with an MMU.

pub mod stage2;

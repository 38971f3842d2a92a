//! What a guest may touch, and how the hardware is told: [`stage2`] on a CPU with an MMU.

pub mod stage2;

//! Stage 2 of a guest's translation: from the addresses that the guest takes for physical to those of the machine.
//!
//! The tables are built once, before the guest runs, and dropped after it is dead. So there is none of what makes the tables
//! of EL2 ([`crate::mmu`]) hard: nothing is changed while hardware may walk it, nothing is split, and the memory is counted
//! before it is taken. [`plan`] counts, [`build`] writes, [`format`](mod@format) knows the bits, and [`Stage2`] is what is
//! left to do: frames for the tables, a look at them through [`crate::vmap`], and the barrier.

pub mod build;
pub mod format;
pub mod plan;
mod tables;
#[cfg(test)]
mod tests;

pub use crate::guest::memory::extent::{Extent, ExtentKind};
pub use build::{Translation, translate};
pub use format::{Config, Vmid};
pub use plan::{Stage2Leaves, Stage2Plan, Stage2PlanError};
pub use tables::{Stage2, Stage2Error};

//! Stage 2 of a guest's translation: from guest physical addresses to those of the machine.
//!
//! The tables are built once, before the guest runs, and freed after its end. So the difficulties of EL2's own tables
//! ([`crate::mmu`]) do not arise: no table changes while hardware may walk it, no entry is split, and the memory is
//! counted before it is allocated. [`plan`] counts, [`build`] writes, [`format`](mod@format) encodes the bits, and
//! [`Stage2`] does the rest: frames for the tables, a window on them through [`crate::vmap`], and the barrier.

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

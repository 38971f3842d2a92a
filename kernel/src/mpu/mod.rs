//! The regions of EL2's memory protection unit: PMSAv8-64, changed while it is in use.
//!
//! An MPU translates nothing. It has a handful of *slots*, a PRBAR and a PRLAR register each, and an address can be
//! used if exactly one enabled slot covers it: none is a fault, two are a fault as well. So a table of page-sized
//! entries becomes a table of ranges, each of which costs a slot. [`RegionTable`] keeps that table. A *region* is one
//! mapped range; every mapping on or inside it with the same attributes is a counted *handle* of it, which costs no
//! slot, no register write and no barrier; the region ends with its last handle, in whatever order they are released.
//! When slots run short, adjacent regions with equal attributes share a slot until one of them ends.
//!
//! Memory that EL2 always needs is *locked*: no mapping's end ever unmaps it.
//!
//! Relies on: one CPU. Each CPU has registers of its own, and nothing here changes another CPU's.
//!
//! # What is never true
//!
//! At no step, not even between two register writes, do two enabled slots cover an address, is a slot that covers
//! locked memory disabled, or does an enabled slot move its base. Tests check all three after every single write.
//!
//! Addresses cannot move from one slot to another atomically: two slots are four registers. So when regions that share
//! a slot are separated, or joined, the memory of one of them is not accessible for a moment. That memory is a mapping
//! beside EL2's own needs, the lock is held, and only this module runs meanwhile. An exception handler must therefore
//! not use such a mapping; memory that a handler needs is locked.

mod boot;
mod change;
mod error;
mod handles;
mod region;
mod sharing;
mod slots;
mod table;

#[cfg(test)]
pub(crate) mod fake;
#[cfg(test)]
mod tests;

pub use boot::{BootRegions, MAX_BOOT_REGIONS};
pub use error::RegionError;
pub use handles::HandleRecords;
pub use region::{Region, RegionKind};
pub use table::{Lookup, RegionTable};

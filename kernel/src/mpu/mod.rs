//! The regions of EL2's memory protection unit: PMSAv8-64, changed while it is in use.
//!
//! An MPU translates nothing. It has a handful of *slots*, a PRBAR and a PRLAR register each, and an address can be used if
//! exactly one enabled slot covers it: none is a fault, two are a fault as well. So a table of page-sized entries becomes a
//! table of ranges, each of which costs a slot. [`RegionTable`] keeps that table. A *region* is what somebody mapped in one
//! piece; every mapping on or inside it with the same attributes is a counted *handle* of it, which costs no slot, no
//! register write and no barrier; the region goes when its last handle does, in whatever order they go. When slots run
//! short, adjacent regions that agree in everything share a slot until one of them goes.
//!
//! Memory that EL2 always needs is *locked*: no mapping's end ever takes it away.
//!
//! Relies on: one CPU. The registers are each CPU's own, and nothing here tells another one.
//!
//! # What is never true
//!
//! At no step, not even between two register writes, do two enabled slots cover an address, is a slot that covers locked
//! memory disabled, or does an enabled slot move its base. Tests check all three after every single write.
//!
//! What cannot be had is a slot that takes over addresses of another one at a single blow: the two are four registers. So
//! when regions that share a slot are parted, or brought together in one, the memory of one of them is not accessible for
//! a moment. It is memory that somebody has mapped beside what EL2 needs, the lock is held, and what runs meanwhile is
//! this module. The one thing forbidden is to use such a mapping from an exception handler; what a handler needs is
//! locked.

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

//! Stage 1 page tables of EL2: four levels, 4 KiB granule, 48-bit addresses, changed while they are in use.
//!
//! [`PageTable`] maps, unmaps and protects ranges of pages. It picks the largest leaves that the addresses allow (1 GiB,
//! 2 MiB, 4 KiB) and sets the contiguous hint on every aligned run of 16; it takes tables from a [`TableSource`] and gives
//! back those that become empty; and it drives the TLB through [`TlbOps`](crate::arch::tlb::TlbOps), so that break-before-make (DDI 0487, D8 "Using
//! break-before-make when updating translation table entries") is a thing that host tests can watch.
//!
//! Relies on: tables that are mapped at their own physical address, for EL2 has no direct map. Until the MMU is on that
//! holds by itself, so the first tables are built by the same code; it uses no heap and no atomic read-modify-write.
//!
//! # Why not `aarch64-paging`
//!
//! Version 0.12.3 never sets the contiguous hint, replaces an existing mapping without a word where break-before-make
//! does not forbid it, cannot split a block of a live table, and cannot fail for lack of a table: its allocator must
//! return one. A live `map_range` walks the range three times (check, write, invalidate), and an empty table that was not
//! unmapped as a whole is found only by a walk over everything. It serves as the oracle of our tests instead.

mod change;
mod count;
pub mod descriptor;
pub mod pool;
mod raw;
mod split;
mod table;
mod walk;

#[cfg(test)]
mod model;
#[cfg(test)]
mod tests;

use crate::base::addr::{PhysAddr, VirtAddr};
use crate::base::attributes::MemoryType;
use descriptor::ADDRESS_BITS;

pub use count::LeafCount;
pub use table::{PageTable, worst_case_tables};
pub use walk::{Leaf, Leaves};

/// The most tables that [`PageTable::unmap`] or [`PageTable::protect`] takes to split leaves at the ends of its range: a
/// 1 GiB and a 2 MiB block at either end.
pub const SPLIT_TABLES: usize = 4;

/// Where page tables get their memory.
///
/// # Safety
///
/// The address that [`take`](Self::take) returns must be that of a page of memory
///
/// - that is zero, 4 KiB aligned, and below 2^48,
/// - that can be read and written at the address itself (on the host: a pointer whose provenance is exposed),
/// - that nobody else touches until it comes back through [`give_back`](Self::give_back).
pub unsafe trait TableSource {
    /// A page for one table, or `None` when there is none left.
    fn take(&mut self) -> Option<PhysAddr>;

    /// Takes back the page of a table that came from [`take`](Self::take). It is zero again, and neither the page tables
    /// nor any TLB lead to it.
    fn give_back(&mut self, table: PhysAddr);
}

// SAFETY: the calls go to a source that keeps the promises.
unsafe impl<S: TableSource + ?Sized> TableSource for &mut S {
    fn take(&mut self) -> Option<PhysAddr> {
        (**self).take()
    }

    fn give_back(&mut self, table: PhysAddr) {
        (**self).give_back(table);
    }
}

/// Why an operation on page tables was refused. Nothing has changed then.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PageTableError {
    /// No bytes.
    #[error("the range at {va} is empty")]
    Empty {
        /// Start of the range.
        va: VirtAddr,
    },
    /// The virtual range is not a number of whole pages.
    #[error("{bytes:#x} bytes at virtual address {va} are not whole pages")]
    NotWholePages {
        /// Start of the range.
        va: VirtAddr,
        /// Its length.
        bytes: u64,
    },
    /// The virtual range leaves the address space.
    #[error("{bytes:#x} bytes at virtual address {va} reach past the {ADDRESS_BITS}-bit address space")]
    OutsideAddressSpace {
        /// Start of the range.
        va: VirtAddr,
        /// Its length.
        bytes: u64,
    },
    /// The physical range is not page-aligned, or leaves the physical address space.
    #[error("physical address {pa} is not that of {bytes:#x} bytes of whole pages within {ADDRESS_BITS} bits")]
    PhysicalRange {
        /// Start of the physical range.
        pa: PhysAddr,
        /// Its length.
        bytes: u64,
    },
    /// A new mapping would replace an existing one.
    #[error("virtual address {at} cannot be mapped to {wanted}: it is mapped to {mapped}")]
    AlreadyMapped {
        /// First address of the range that is mapped.
        at: VirtAddr,
        /// The physical address wanted there.
        wanted: PhysAddr,
        /// The physical address mapped there.
        mapped: PhysAddr,
    },
    /// A part of the range is not mapped.
    #[error("virtual address {at} in the {bytes:#x} bytes from {va} is not mapped")]
    NotMapped {
        /// First address of the range that is not mapped.
        at: VirtAddr,
        /// Start of the range.
        va: VirtAddr,
        /// Its length.
        bytes: u64,
    },
    /// A change of access would change the memory type too.
    #[error("virtual address {at} is mapped as {mapped} memory and cannot become {wanted} memory")]
    MemoryType {
        /// First address of the range that is mapped otherwise.
        at: VirtAddr,
        /// How it is mapped.
        mapped: MemoryType,
        /// What was asked for.
        wanted: MemoryType,
    },
    /// The source ran out of tables.
    #[error("no memory is left for the page tables of {bytes:#x} bytes at virtual address {va}")]
    NoTables {
        /// Start of the range.
        va: VirtAddr,
        /// Its length.
        bytes: u64,
    },
}

//! Reads and writes of table memory: the only `unsafe` code of the page tables.
//!
//! A [`TableRef`] comes from a [`TableSource`] or from a table descriptor, and table descriptors lead to tables that
//! came from a source: [`PageTable`](super::PageTable) stores no other. The page of a table goes back to its source
//! only after the descriptor that led to it is gone, so a reference found on the way from the root is good until the
//! next change.

use core::ptr;
use core::sync::atomic::{AtomicU64, Ordering};

use super::TableSource;
use super::descriptor::{Descriptor, ENTRIES, Level};
use crate::base::addr::PhysAddr;

/// A translation table in memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct TableRef(PhysAddr);

/// An entry of a translation table in memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct EntryRef(PhysAddr);

/// What an entry leads to.
pub(super) enum WalkStep {
    /// To a table of the next level.
    Table(TableRef),
    /// To no table: the entry is a leaf or invalid.
    End(Descriptor),
}

/// Size of a table in bytes.
const TABLE_BYTES: u64 = ENTRIES * ENTRY_BYTES;

/// Size of an entry in bytes.
const ENTRY_BYTES: u64 = size_of::<Descriptor>() as u64;

impl TableRef {
    /// A new table, all entries invalid.
    pub(super) fn take(source: &mut impl TableSource) -> Option<Self> {
        source.take().map(Self)
    }

    /// Physical address of the table.
    pub(super) const fn address(self) -> PhysAddr {
        self.0
    }

    /// Entry `index` (modulo [`ENTRIES`]).
    pub(super) const fn entry(self, index: u64) -> EntryRef {
        EntryRef(PhysAddr::new(self.0.get() + index % ENTRIES * ENTRY_BYTES))
    }
}

impl EntryRef {
    /// Physical address of the entry.
    pub(super) const fn address(self) -> PhysAddr {
        self.0
    }

    /// The table that the entry is in.
    pub(super) const fn table(self) -> TableRef {
        TableRef(self.0.align_down(TABLE_BYTES))
    }

    /// Which entry of its table it is.
    pub(super) const fn index(self) -> u64 {
        self.0.get() % TABLE_BYTES / ENTRY_BYTES
    }

    /// The entry `offset` further up in the same table (modulo [`ENTRIES`]).
    pub(super) const fn offset(self, offset: u64) -> Self {
        self.table().entry(self.index() + offset)
    }

    /// Reads the entry.
    pub(super) fn read(self) -> Descriptor {
        Descriptor::from_bits(self.atomic().load(Ordering::Relaxed))
    }

    /// Stores the entry with one 64-bit store, as a walk by hardware may be reading it.
    pub(super) fn write(self, descriptor: Descriptor) {
        self.atomic().store(descriptor.bits(), Ordering::Relaxed);
    }

    /// Reads the entry, of a table of `level`, and says where it leads.
    pub(super) fn step(self, level: Level) -> WalkStep {
        let descriptor = self.read();
        if descriptor.is_table(level) {
            WalkStep::Table(TableRef(descriptor.address()))
        } else {
            WalkStep::End(descriptor)
        }
    }

    fn atomic(self) -> &'static AtomicU64 {
        let entry = ptr::with_exposed_provenance::<AtomicU64>(self.0.get() as usize);
        // SAFETY: the address is that of an entry inside a page from a `TableSource` (module text), which promises that
        // the page is aligned, initialised and accessible there, and touched by nobody else. Table walks by hardware
        // read it at the same time, and an atomic is how Rust says that. The reference does not leave this module.
        unsafe { &*entry }
    }
}

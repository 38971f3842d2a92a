//! Splitting leaves of a live table, so that a range can change on its own.

use core::ops::Range;

use super::descriptor::{ADDRESS_BITS, Descriptor, ENTRIES, Level, RUN};
use super::raw::TableRef;
use super::table::PageTable;
use super::walk::{Entries, TableEntry};
use super::{PageTableError, SPLIT_TABLES, TableSource};
use crate::arch::tlb::{Scope, TlbOps};
use crate::base::addr::VirtAddr;
use crate::base::attributes::MemoryType;

/// What stands in the way of a change of a range.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Cut {
    /// Nothing: its ends are ends of leaves and runs.
    None,
    /// A leaf or run reaches out of the range; to split the blocks among them takes this many tables.
    Tables(usize),
}

/// Tables taken, not yet used.
pub(super) struct Fresh {
    tables: [TableRef; SPLIT_TABLES],
    left: usize,
}

impl Fresh {
    /// No tables; `any` only fills the places.
    pub(super) const fn none(any: TableRef) -> Self {
        Self { tables: [any; SPLIT_TABLES], left: 0 }
    }

    /// One of the tables.
    #[inline]
    pub(super) fn pop(&mut self) -> Option<TableRef> {
        self.left = self.left.checked_sub(1)?;
        self.tables.get(self.left).copied()
    }

    /// Takes tables until there are `count`, at most [`SPLIT_TABLES`]. Otherwise there are none at all.
    #[inline]
    pub(super) fn take(&mut self, count: usize, source: &mut impl TableSource) -> Option<()> {
        while self.left < count {
            match (TableRef::take(source), self.tables.get_mut(self.left)) {
                (Some(table), Some(place)) => {
                    *place = table;
                    self.left += 1;
                }
                _ => return self.give_back(source),
            }
        }
        Some(())
    }

    /// Gives all back, and says that there are none.
    #[cold]
    fn give_back(&mut self, source: &mut impl TableSource) -> Option<()> {
        while let Some(table) = self.pop() {
            source.give_back(table.address());
        }
        None
    }
}

impl<S: TableSource, T: TlbOps> PageTable<S, T> {
    /// Checks that all of `range` is mapped, as `memory` if that is given, and says what has to be cut at its ends.
    pub(super) fn check_mapped(&self, range: Range<u64>, memory: Option<MemoryType>) -> Result<Cut, PageTableError> {
        let mut ends: Option<(TableEntry, TableEntry)> = None;
        for entry in Entries::new(self.root, range.clone()) {
            let at = VirtAddr::new(entry.va);
            if !entry.descriptor.is_valid() {
                let (va, bytes) = (VirtAddr::new(range.start), range.end - range.start);
                return Err(PageTableError::NotMapped { at, va, bytes });
            }
            if let (Some(wanted), Some(attributes)) = (memory, entry.descriptor.attributes())
                && attributes.memory() != wanted
            {
                return Err(PageTableError::MemoryType { at, mapped: attributes.memory(), wanted });
            }
            ends = Some((ends.map_or(entry, |(first, _)| first), entry));
        }
        let Some((first, last)) = ends else {
            return Ok(Cut::None);
        };
        if range.start.is_multiple_of(first.extent()) && range.end.is_multiple_of(last.extent()) {
            return Ok(Cut::None);
        }
        // A block of `level` is split at an end inside it, if the leaf there is at `level` or above.
        let blocks = |level: Level| {
            let block = |end: u64, leaf: Level| {
                let splits = leaf <= level && !end.is_multiple_of(level.size());
                splits.then_some(end >> level.shift())
            };
            let (start, end) = (block(range.start, first.level), block(range.end, last.level));
            usize::from(start.is_some()) + usize::from(end.is_some() && end != start)
        };
        Ok(Cut::Tables(blocks(Level::L1) + blocks(Level::L2)))
    }

    /// Makes the ends of `range` ends of leaves and runs, as `cut` says. The caller publishes it with its own change.
    pub(super) fn cut(&mut self, range: Range<u64>, cut: Cut) -> Result<(), PageTableError> {
        let Cut::Tables(count) = cut else { return Ok(()) };
        let (va, bytes) = (VirtAddr::new(range.start), range.end - range.start);
        let mut fresh = Fresh::none(self.root);
        fresh.take(count, &mut self.source).ok_or(PageTableError::NoTables { va, bytes })?;
        self.split_at(range.start, &mut fresh);
        self.split_at(range.end, &mut fresh);
        debug_assert_eq!(fresh.left, 0, "the number of tables for a cut is exact");
        Ok(())
    }

    /// Splits blocks and breaks up runs until `va` is no longer inside one.
    fn split_at(&mut self, va: u64, fresh: &mut Fresh) {
        if va >> ADDRESS_BITS != 0 {
            return;
        }
        loop {
            let entry = TableEntry::of(self.root, va);
            if !entry.descriptor.is_valid() || va.is_multiple_of(entry.extent()) {
                break;
            }
            if entry.descriptor.is_contiguous() {
                self.rewrite_run(&entry, Descriptor::without_hint);
            } else if let (Some(table), Some(below)) = (fresh.pop(), entry.level.next()) {
                self.split_block(&entry, table, below);
            } else {
                break;
            }
        }
    }

    /// Replaces a block by a table of leaves of the level `below` that translate the same.
    fn split_block(&mut self, block: &TableEntry, table: TableRef, below: Level) {
        self.fill(table.entry(0), below, ENTRIES, block.descriptor.first_part(below));
        self.set(block.place, Descriptor::INVALID);
        self.tlb.drain();
        self.tlb.invalidate(VirtAddr::new(block.va), Scope::Leaf);
        self.tlb.complete();
        self.set(block.place, Descriptor::table(table.address(), ENTRIES));
    }

    /// Replaces each leaf of the contiguous run that `entry` is part of by what `change` makes of it.
    ///
    /// While two leaves of a run differ, hardware may use either for both, so the whole run is broken first.
    pub(super) fn rewrite_run(&mut self, entry: &TableEntry, change: impl Fn(Descriptor) -> Descriptor) {
        let index = entry.place.index();
        let start = entry.place.table().entry(index - index % RUN);
        let first = change(start.read());
        for offset in 0..RUN {
            self.set(start.offset(offset), Descriptor::INVALID);
        }
        self.tlb.drain();
        let (va, size) = (entry.va - entry.va % entry.extent(), entry.level.size());
        for offset in 0..RUN {
            self.tlb.invalidate(VirtAddr::new(va + offset * size), Scope::Leaf);
        }
        self.tlb.complete();
        for offset in 0..RUN {
            self.set(start.offset(offset), first.advanced(offset * size));
        }
    }
}

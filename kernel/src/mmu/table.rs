//! Changing the tables: map, unmap, protect.

use core::ops::Range;

use super::descriptor::{ADDRESS_BITS, Descriptor, Level, RUN};
use super::raw::TableRef;
use super::walk::{Entries, Leaf, Leaves, Path, Stretch};
use super::{PageTableError, TableSource};
use crate::arch::tlb::{Scope, TlbOps};
use crate::base::addr::{PAGE_SIZE, PhysAddr, VirtAddr};
use crate::base::attributes::Attributes;

/// The page tables of EL2, from the root down.
///
/// All changes are made for tables in use: when a call returns, its effect holds on every CPU. The tables themselves
/// need no protection beyond `&mut`; an owner on several CPUs puts the whole in a lock.
///
/// Nothing is dropped with it: tables in use by hardware cannot go away.
pub struct PageTable<S, T> {
    pub(super) root: TableRef,
    pub(super) source: S,
    pub(super) tlb: T,
}

impl<S: TableSource, T: TlbOps> PageTable<S, T> {
    /// Empty page tables: a root taken from `source`, to which all later tables go back, and `tlb` to be told of
    /// changes. `None` if the source is empty.
    pub fn new(mut source: S, tlb: T) -> Option<Self> {
        let root = TableRef::take(&mut source)?;
        Some(Self { root, source, tlb })
    }

    /// Physical address of the root table, for TTBR0_EL2.
    pub fn root(&self) -> PhysAddr {
        self.root.address()
    }

    /// Where the tables come from, to be filled up before a call that may need [`worst_case_tables`].
    pub fn source_mut(&mut self) -> &mut S {
        &mut self.source
    }

    /// The physical address that `va` is mapped to, and the leaf that maps it.
    pub fn translate(&self, va: VirtAddr) -> Option<(PhysAddr, Leaf)> {
        if va.get() >> ADDRESS_BITS != 0 {
            return None;
        }
        let (path, descriptor) = Path::to(self.root, va.get());
        let leaf = Leaf::decode(descriptor, path.level, va.get())?;
        let pa = leaf.pa.checked_add(va.offset_from(leaf.va)?)?;
        Some((pa, leaf))
    }

    /// The leaves with at least one address in `range`, in order.
    pub fn leaves(&self, range: Range<VirtAddr>) -> Leaves<'_> {
        let end = range.end.get().min(1 << ADDRESS_BITS);
        Leaves::new(Entries::new(self.root, range.start.get()..end))
    }

    /// Maps the `bytes` from `va` to those from `pa`, in the largest leaves that the addresses allow.
    ///
    /// # Errors
    ///
    /// [`PageTableError::AlreadyMapped`] if any page of the range is mapped; [`PageTableError::NoTables`] if the source runs dry
    /// on the way; the others if the ranges make no sense. Nothing is mapped then that was not mapped before.
    pub fn map(
        &mut self,
        va: VirtAddr,
        pa: PhysAddr,
        bytes: u64,
        attributes: Attributes,
    ) -> Result<(), PageTableError> {
        let range = whole_pages(va, bytes)?;
        let pa_end = pa.checked_add(bytes).filter(|end| end.get() <= 1 << ADDRESS_BITS && pa.is_aligned(PAGE_SIZE));
        if pa_end.is_none() {
            return Err(PageTableError::PhysicalRange { pa, bytes });
        }
        // One copy of the code for each level, with its numbers as constants.
        match Level::of_leaf(va.get(), pa.get(), bytes) {
            Level::L0 | Level::L3 => self.map_from(Level::L3, range, pa, attributes),
            Level::L2 => self.map_from(Level::L2, range, pa, attributes),
            Level::L1 => self.map_from(Level::L1, range, pa, attributes),
        }
    }

    /// Unmaps the `bytes` from `va`, and gives back the tables that become empty.
    ///
    /// A block or contiguous run that reaches out of the range is split first, and the part outside is not mapped for a
    /// moment: no CPU may run from it, have its stack or these tables in it, or take an interrupt that uses it. So what
    /// cannot be missed is mapped in pages of its own to begin with.
    ///
    /// # Errors
    ///
    /// [`PageTableError::NotMapped`] if any page of the range is not mapped, [`PageTableError::NoTables`] if the source has too few
    /// tables for splitting (at most [`SPLIT_TABLES`](super::SPLIT_TABLES)). Nothing has changed then.
    pub fn unmap(&mut self, va: VirtAddr, bytes: u64) -> Result<(), PageTableError> {
        let range = whole_pages(va, bytes)?;
        let (path, _) = Path::to(self.root, range.start);
        // One copy of the code for each level, with its numbers as constants.
        match path.level {
            Level::L0 => self.unmap_pieces(range),
            Level::L1 => self.unmap_from(Level::L1, path, range),
            Level::L2 => self.unmap_from(Level::L2, path, range),
            Level::L3 => self.unmap_from(Level::L3, path, range),
        }
    }

    /// Changes the access to the `bytes` from `va`, which stay what memory they are.
    ///
    /// Splits at the ends as [`unmap`](Self::unmap) does, with the same demand on the caller; contiguous runs inside
    /// the range are not mapped for a moment either. Making memory executable includes no maintenance of instruction
    /// caches.
    ///
    /// # Errors
    ///
    /// As for [`unmap`](Self::unmap), and [`PageTableError::MemoryType`] if a page of the range is mapped as another type of
    /// memory than `attributes` requests. Nothing has changed then.
    pub fn protect(&mut self, va: VirtAddr, bytes: u64, attributes: Attributes) -> Result<(), PageTableError> {
        let range = whole_pages(va, bytes)?;
        let cut = self.check_mapped(range.clone(), Some(attributes.memory()))?;
        self.cut(range.clone(), cut)?;
        for entry in Entries::new(self.root, range.clone()) {
            if !entry.descriptor.is_contiguous() {
                // Only the permissions of one leaf change, which needs no break.
                self.set(entry.place, entry.descriptor.with_attributes(attributes));
            } else if entry.place.index().is_multiple_of(RUN) {
                self.rewrite_run(&entry, |leaf| leaf.with_attributes(attributes));
            }
        }
        self.tlb.drain();
        for entry in Entries::new(self.root, range) {
            self.tlb.invalidate(VirtAddr::new(entry.va), Scope::Leaf);
        }
        self.tlb.complete();
        Ok(())
    }

    /// Maps `range`, whose first leaf is one of `level`. Most ranges end in the table they start in.
    #[inline(always)]
    fn map_from(
        &mut self,
        level: Level,
        range: Range<u64>,
        pa: PhysAddr,
        attr: Attributes,
    ) -> Result<(), PageTableError> {
        let stretch = Stretch::of_level(self.root, &range, level);
        if stretch.end() < range.end || !stretch.is_free() {
            return self.map_pieces(range, pa, attr);
        }
        let (va, bytes) = (VirtAddr::new(range.start), range.end - range.start);
        self.fill_stretch(&stretch, Descriptor::leaf(level, pa, attr)).ok_or(PageTableError::NoTables { va, bytes })?;
        self.tlb.publish();
        Ok(())
    }

    /// Maps a range that more than one table holds, or that is not free.
    #[cold]
    #[inline(never)]
    fn map_pieces(&mut self, range: Range<u64>, pa: PhysAddr, attributes: Attributes) -> Result<(), PageTableError> {
        // Within 48 bits each, the distance from VA to PA can be added in two's complement.
        let distance = pa.get().wrapping_sub(range.start);
        if let Some(entry) = Entries::new(self.root, range.clone()).find(|entry| entry.descriptor.is_valid()) {
            return Err(PageTableError::AlreadyMapped {
                at: VirtAddr::new(entry.va),
                wanted: PhysAddr::new(entry.va.wrapping_add(distance)),
                mapped: PhysAddr::new(entry.descriptor.address().get() + entry.level.offset(entry.va)),
            });
        }
        let mut left = range.clone();
        while !left.is_empty() {
            let pa = left.start.wrapping_add(distance);
            // Where a larger leaf becomes possible further up, its boundary is also the end of the table.
            let level = Level::of_leaf(left.start, pa, left.end - left.start);
            let stretch = Stretch::of_level(self.root, &left, level);
            if self.fill_stretch(&stretch, Descriptor::leaf(level, PhysAddr::new(pa), attributes)).is_none() {
                self.clear(range.start..left.start);
                let (va, bytes) = (VirtAddr::new(range.start), range.end - range.start);
                return Err(PageTableError::NoTables { va, bytes });
            }
            left.start = stretch.end();
        }
        self.tlb.publish();
        Ok(())
    }

    /// Unmaps `range`, whose first entry is at the end of `path` in `level`. Most ranges are whole leaves of one table.
    #[inline(always)]
    fn unmap_from(&mut self, level: Level, path: Path, range: Range<u64>) -> Result<(), PageTableError> {
        let stretch = Stretch::new(path, &range, level);
        if stretch.end() < range.end || !stretch.is_whole() {
            return self.unmap_pieces(range);
        }
        self.clear_stretch(&stretch);
        Ok(())
    }

    /// Unmaps a range that is more, or less, than whole leaves in one table.
    #[cold]
    #[inline(never)]
    fn unmap_pieces(&mut self, range: Range<u64>) -> Result<(), PageTableError> {
        let cut = self.check_mapped(range.clone(), None)?;
        self.cut(range.clone(), cut)?;
        self.clear(range);
        Ok(())
    }
}

/// The range of `bytes` from `va`, if it is one of whole pages within the address space.
fn whole_pages(va: VirtAddr, bytes: u64) -> Result<Range<u64>, PageTableError> {
    if bytes == 0 {
        return Err(PageTableError::Empty { va });
    }
    if !(va.get() | bytes).is_multiple_of(PAGE_SIZE) {
        return Err(PageTableError::NotWholePages { va, bytes });
    }
    match va.checked_add(bytes) {
        Some(end) if end.get() <= 1 << ADDRESS_BITS => Ok(va.get()..end.get()),
        _ => Err(PageTableError::OutsideAddressSpace { va, bytes }),
    }
}

/// An upper bound of the tables that [`PageTable::map`] takes for `bytes` from `va`; 0 for a range that it refuses.
///
/// With `pa` the bound is that of one call that maps to there; without, that of any calls that map the range piece by
/// piece to anywhere.
pub fn worst_case_tables(va: VirtAddr, bytes: u64, pa: Option<PhysAddr>) -> usize {
    let Ok(range) = whole_pages(va, bytes) else { return 0 };
    // Entries of `level` that the range touches, each of which may need a table below it.
    let touched = |level: Level| ((range.end - 1) >> level.shift()) - (range.start >> level.shift()) + 1;
    // If blocks of `level` fit, only those that the range covers in part need a table: one at either end.
    let needed = |level: Level| {
        let fits = pa.is_some_and(|pa| (pa.get() ^ range.start).is_multiple_of(level.size()));
        if fits { touched(level).min(2) } else { touched(level) }
    };
    (touched(Level::L0) + needed(Level::L1) + needed(Level::L2)) as usize
}

//! Reading the tables: the way to one address, and all entries of a range.

use core::ops::Range;

use super::descriptor::{Descriptor, ENTRIES, Level, RUN};
use super::raw::{EntryRef, TableRef, WalkStep};
use crate::base::addr::{PhysAddr, VirtAddr};
use crate::base::attributes::Attributes;

/// The entries on the way from the root to the one that decides about an address.
pub(super) struct Path {
    entries: [EntryRef; 4],
    /// The last entry.
    pub(super) last: EntryRef,
    /// The entry above, which leads to the table of the last one; at level 0 the last entry itself.
    pub(super) link: EntryRef,
    /// Level of the last entry.
    pub(super) level: Level,
}

impl Path {
    /// Follows the tables from `root` towards `va`, and says what the entry at the end is: a leaf or invalid.
    #[inline(always)]
    pub(super) fn to(root: TableRef, va: u64) -> (Self, Descriptor) {
        let mut link = root.entry(Level::L0.index(va));
        let mut last = link;
        let mut entries = [last; 4];
        // Over constants, so that it unrolls into straight code with constant shifts: this is most of what a call
        // costs.
        for (level, next) in [(Level::L0, Level::L1), (Level::L1, Level::L2), (Level::L2, Level::L3)] {
            match last.step(level) {
                WalkStep::Table(table) => {
                    (link, last) = (last, table.entry(next.index(va)));
                    entries[next as usize] = last;
                }
                WalkStep::End(descriptor) => {
                    return (Self { entries, last, link, level }, descriptor);
                }
            }
        }
        let descriptor = last.read();
        (Self { entries, last, link, level: Level::L3 }, descriptor)
    }

    /// The entry at `level`, which is not below the last one's.
    pub(super) const fn at(&self, level: Level) -> EntryRef {
        self.entries[level as usize]
    }
}

/// Consecutive entries of one table: as much of a range as one walk can deal with.
pub(super) struct Stretch {
    /// The way to the first entry, which ends further up if the table is yet to be made.
    pub(super) path: Path,
    /// First virtual address.
    pub(super) va: u64,
    /// Level of the entries.
    pub(super) level: Level,
    /// How many entries.
    pub(super) count: u64,
}

impl Stretch {
    /// The entries of `level` for the start of `range`, which is aligned for that level.
    #[inline(always)]
    pub(super) fn of_level(root: TableRef, range: &Range<u64>, level: Level) -> Self {
        Self::new(Path::to(root, range.start).0, range, level)
    }

    /// The entries that decide about the start of `range`, up to the end of their table.
    #[inline(always)]
    pub(super) fn at(root: TableRef, range: &Range<u64>) -> Self {
        let (path, _) = Path::to(root, range.start);
        let level = path.level;
        Self::new(path, range, level)
    }

    /// The entries of `level` at the end of `path`, or below it, that decide about the start of `range`.
    #[inline(always)]
    pub(super) fn new(path: Path, range: &Range<u64>, level: Level) -> Self {
        let count = ((range.end - range.start) >> level.shift()).min(ENTRIES - level.index(range.start));
        Self { path, va: range.start, level, count }
    }

    /// The first virtual address above.
    pub(super) const fn end(&self) -> u64 {
        self.va + (self.count << self.level.shift())
    }

    /// Whether all entries are invalid, or their table is missing.
    #[inline(always)]
    pub(super) fn is_free(&self) -> bool {
        let first = self.path.last;
        let count = if self.path.level < self.level { 1 } else { self.count };
        self.path.level <= self.level && (0..count).all(|offset| !first.offset(offset).read().is_valid())
    }

    /// Whether all entries are leaves, and no block or contiguous run among them reaches out of the stretch.
    #[inline(always)]
    pub(super) fn is_whole(&self) -> bool {
        let first = self.path.last;
        let inside_run = |border: u64, leaf: Descriptor| !border.is_multiple_of(RUN) && leaf.is_contiguous();
        let (mut border, mut leaf) = (first.index(), first.read());
        if self.level.offset(self.va) != 0 || inside_run(border, leaf) {
            return false;
        }
        for offset in 0..self.count {
            leaf = first.offset(offset).read();
            if !leaf.is_valid() || leaf.is_table(self.level) {
                return false;
            }
        }
        border += self.count;
        !inside_run(border, leaf)
    }

    /// The stretch up to the first entry that is a table.
    pub(super) fn up_to_table(self) -> Self {
        let is_table = |offset: &u64| self.path.last.offset(*offset).read().is_table(self.level);
        let count = (0..self.count).find(is_table).unwrap_or(self.count);
        Self { count, ..self }
    }
}

/// An entry that is not a table: a leaf or invalid.
#[derive(Clone, Copy)]
pub(super) struct TableEntry {
    /// First address that the entry decides about, within the range asked for.
    pub(super) va: u64,
    pub(super) place: EntryRef,
    pub(super) level: Level,
    pub(super) descriptor: Descriptor,
}

impl TableEntry {
    /// The entry that decides about `va`.
    pub(super) fn of(root: TableRef, va: u64) -> Self {
        let (path, descriptor) = Path::to(root, va);
        Self { va, place: path.last, level: path.level, descriptor }
    }

    /// Bytes that have to stay together unless the entry is rewritten: a leaf, or a contiguous run of them.
    pub(super) const fn extent(&self) -> u64 {
        if self.descriptor.is_contiguous() { self.level.size() * RUN } else { self.level.size() }
    }
}

/// All entries that decide about a range, leaves and invalid ones, in order of addresses. Walks once for each table.
pub(super) struct Entries {
    root: TableRef,
    next: u64,
    end: u64,
    /// The next entry, unless that is to be found from the root.
    place: Option<(EntryRef, Level)>,
}

impl Entries {
    /// The entries for the addresses in `range`, which ends at or below 2^48.
    pub(super) const fn new(root: TableRef, range: Range<u64>) -> Self {
        Self { root, next: range.start, end: range.end, place: None }
    }

    /// The entry for `va` in the table at hand, if it is there and not a table itself.
    fn here(&self, va: u64) -> Option<TableEntry> {
        let (place, level) = self.place?;
        match place.step(level) {
            WalkStep::Table(_) => None,
            WalkStep::End(descriptor) => Some(TableEntry { va, place, level, descriptor }),
        }
    }
}

impl Iterator for Entries {
    type Item = TableEntry;

    fn next(&mut self) -> Option<TableEntry> {
        let va = self.next;
        if va >= self.end {
            return None;
        }
        let entry = self.here(va).unwrap_or_else(|| TableEntry::of(self.root, va));
        self.next = (va | (entry.level.size() - 1)) + 1;
        self.place = (entry.place.index() < ENTRIES - 1).then(|| (entry.place.offset(1), entry.level));
        Some(entry)
    }
}

/// One leaf: a page or block that is mapped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Leaf {
    /// First virtual address of the leaf.
    pub va: VirtAddr,
    /// The physical address mapped there.
    pub pa: PhysAddr,
    /// The level of the leaf, which says its size.
    pub level: Level,
    /// Whether it is one of a run of [`RUN`] leaves that may share a TLB entry.
    pub contiguous: bool,
    /// What it may be used for.
    pub attributes: Attributes,
}

impl Leaf {
    /// The leaf that `descriptor` is at `level`, on the way to `va`; `None` if it is invalid.
    pub(super) fn decode(descriptor: Descriptor, level: Level, va: u64) -> Option<Self> {
        if !descriptor.is_valid() {
            return None;
        }
        Some(Self {
            va: VirtAddr::new(va).align_down(level.size()),
            pa: descriptor.address(),
            level,
            contiguous: descriptor.is_contiguous(),
            attributes: descriptor.attributes()?,
        })
    }
}

/// The leaves of a range, in order of addresses; made by [`PageTable::leaves`](super::PageTable::leaves).
pub struct Leaves<'a> {
    entries: Entries,
    /// The tables stay as they are while somebody looks at them.
    _tables: core::marker::PhantomData<&'a TableRef>,
}

impl Leaves<'_> {
    pub(super) const fn new(entries: Entries) -> Self {
        Self { entries, _tables: core::marker::PhantomData }
    }
}

impl Iterator for Leaves<'_> {
    type Item = Leaf;

    fn next(&mut self) -> Option<Leaf> {
        self.entries.find_map(|entry| Leaf::decode(entry.descriptor, entry.level, entry.va))
    }
}

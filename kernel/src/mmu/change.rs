//! Writing and clearing leaves, table by table, with the maintenance that a live table needs.

use core::ops::Range;

use super::TableSource;
use super::descriptor::{Descriptor, Level, RUN};
use super::raw::{EntryRef, TableRef};
use super::split::Fresh;
use super::table::PageTable;
use super::walk::{Path, Stretch};
use crate::arch::tlb::{Scope, TlbOps};
use crate::base::addr::VirtAddr;

impl<S: TableSource, T: TlbOps> PageTable<S, T> {
    /// Maps a stretch that is free, from its first `leaf` on. `None`, nothing changed, if a table is missing.
    #[inline(always)]
    pub(super) fn fill_stretch(&mut self, stretch: &Stretch, leaf: Descriptor) -> Option<()> {
        let (path, va, level, count) = (&stretch.path, stretch.va, stretch.level, stretch.count);
        if path.level == level {
            self.fill(path.last, level, count, leaf);
            self.count_up(path, count);
        } else if path.level.next() == Some(level) {
            let table = TableRef::take(&mut self.source)?;
            self.fill(table.entry(level.index(va)), level, count, leaf);
            self.link(path, table, count);
        } else {
            self.fill_chain(stretch, leaf)?;
        }
        Some(())
    }

    /// Maps a stretch as [`fill_stretch`](Self::fill_stretch) does, where more than one table is missing.
    #[cold]
    #[inline(never)]
    fn fill_chain(&mut self, stretch: &Stretch, leaf: Descriptor) -> Option<()> {
        let (path, va, level, count) = (&stretch.path, stretch.va, stretch.level, stretch.count);
        let mut fresh = Fresh::none(self.root);
        fresh.take(level as usize - path.level as usize, &mut self.source)?;
        let (mut child, mut valid, mut at) = (fresh.pop()?, count, level);
        self.fill(child.entry(level.index(va)), level, count, leaf);
        while let (Some(table), Some(up)) = (fresh.pop(), at.up()) {
            self.set(table.entry(up.index(va)), Descriptor::table(child.address(), valid));
            (child, valid, at) = (table, 1, up);
        }
        self.link(path, child, valid);
        Some(())
    }

    /// Makes the last entry of `path` lead to a new `table` with `valid` entries.
    #[inline(always)]
    fn link(&mut self, path: &Path, table: TableRef, valid: u64) {
        // No walk may see the link before what it leads to.
        self.tlb.drain();
        self.set(path.last, Descriptor::table(table.address(), valid));
        self.count_up(path, 1);
    }

    /// Writes `count` leaves over invalid entries of a table of `level`, from `place` on, for consecutive addresses
    /// from that of `first` on, with the contiguous hint where a whole run of them is aligned.
    #[inline(always)]
    pub(super) fn fill(&mut self, place: EntryRef, level: Level, count: u64, first: Descriptor) {
        let size = level.size();
        let mut hinted = 0..0;
        if count >= RUN && level.takes_hint() {
            let index = place.index();
            let to_run = index.wrapping_neg() % RUN;
            let in_step = ((first.address().get() >> level.shift()) ^ index).is_multiple_of(RUN);
            if in_step && to_run < count {
                hinted = to_run..to_run + (count - to_run) / RUN * RUN;
            }
        }
        let mut leaf = first;
        for offset in 0..count {
            let descriptor = if hinted.contains(&offset) { leaf.with_hint() } else { leaf };
            self.set(place.offset(offset), descriptor);
            leaf = leaf.advanced(size);
        }
    }

    /// Adds `added` to the number of valid entries of the table at the end of `path`, kept in the descriptor above it.
    #[inline(always)]
    fn count_up(&mut self, path: &Path, added: u64) {
        if path.level != Level::L0 {
            self.set(path.link, path.link.read().counting_up(added));
        }
    }

    /// Unmaps `range`, whose leaves and runs all lie within it, table by table.
    #[inline(never)]
    pub(super) fn clear(&mut self, mut range: Range<u64>) {
        while !range.is_empty() {
            let stretch = Stretch::at(self.root, &range).up_to_table();
            self.clear_stretch(&stretch);
            range.start = stretch.end();
        }
    }

    /// Unmaps a stretch that is nothing but whole leaves and runs, and gives back the tables that become empty.
    #[inline(always)]
    pub(super) fn clear_stretch(&mut self, stretch: &Stretch) {
        let (path, va, level, count) = (&stretch.path, stretch.va, stretch.level, stretch.count);
        for offset in 0..count {
            self.set(path.last.offset(offset), Descriptor::INVALID);
        }
        let kept = self.count_down(path, level, count);
        // A walk that began before a link was cut may still be in the table: its address goes from every level.
        let scope = if kept == level { Scope::Leaf } else { Scope::Walk };
        self.tlb.drain();
        for offset in 0..count {
            self.tlb.invalidate(VirtAddr::new(va + (offset << level.shift())), scope);
        }
        self.tlb.complete();
        let mut empty = level;
        while empty > kept {
            self.source.give_back(path.at(empty).table().address());
            empty = empty.up().unwrap_or(kept);
        }
    }

    /// Takes `removed` from the number of valid entries of the table of `level` on `path`, and cuts the link to every
    /// table on the path that has none left. Returns the level of the deepest table that stays.
    #[inline(always)]
    fn count_down(&mut self, path: &Path, mut level: Level, mut removed: u64) -> Level {
        while let Some(up) = level.up() {
            let link = path.at(up).read();
            if link.count() > removed {
                self.set(path.at(up), link.counting_down(removed));
                break;
            }
            self.set(path.at(up), Descriptor::INVALID);
            (level, removed) = (up, 1);
        }
        level
    }

    /// Stores one descriptor.
    #[inline]
    pub(super) fn set(&mut self, place: EntryRef, descriptor: Descriptor) {
        place.write(descriptor);
        self.tlb.stored(place.address(), descriptor.bits());
    }
}

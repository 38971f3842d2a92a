//! Writing the tables that a plan has counted, and reading them back.
//!
//! The tables are one piece of zeroed memory: first the root's, then each lower one in the order in which its first leaf is
//! written. Descriptors name tables by physical address, so where the piece lies in the machine must be known; where EL2
//! sees it does not matter.
//!
//! Pure. The hardware must not walk the tables before [`fill`] has returned and its stores are published.

use crate::base::addr::{GuestAddr, PAGE_SIZE, PhysAddr};
use crate::guest::isolation::stage2::format::{START_LEVEL, Stage2Descriptor};
use crate::guest::isolation::stage2::plan::{Segment, Stage2Plan};
use crate::mmu::descriptor::{ENTRIES, Level, Table};

/// Fills `tables`, zeroed and at the physical address `base`, as `plan` says.
///
/// `base` must be a multiple of the size of the root's tables.
///
/// # Panics
///
/// If there are fewer tables than [`Stage2Plan::tables`].
pub fn fill(plan: &Stage2Plan, base: PhysAddr, tables: &mut [Table]) {
    let mut tables = Tables { base, tables, used: plan.config().root_tables() as usize };
    plan.segments().for_each(|segment| tables.write(&segment));
}

/// Where a guest address leads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Translation {
    /// The byte.
    pub pa: PhysAddr,
    /// The level of the leaf, and so its size.
    pub level: Level,
    /// The leaf.
    pub leaf: Stage2Descriptor,
}

/// Walks `tables`, at the physical address `base`, as hardware does.
pub fn translate(tables: &[Table], base: PhysAddr, ipa: GuestAddr) -> Option<Translation> {
    let (mut table, mut level) = (root_table(ipa.get()), START_LEVEL);
    loop {
        let entry = Stage2Descriptor::from_bits(*tables.get(table)?.get(level.index(ipa.get()) as usize)?);
        if !entry.is_valid() {
            return None;
        }
        if !entry.is_table(level) {
            let pa = entry.address().checked_add(level.offset(ipa.get()))?;
            return Some(Translation { pa, level, leaf: entry });
        }
        table = (entry.address().offset_from(base)? / PAGE_SIZE) as usize;
        level = level.next()?;
    }
}

/// Which of the root's tables translates `ipa`.
const fn root_table(ipa: u64) -> usize {
    (ipa >> START_LEVEL.shift() >> ENTRIES.ilog2()) as usize
}

struct Tables<'t> {
    base: PhysAddr,
    tables: &'t mut [Table],
    /// How many are in use.
    used: usize,
}

impl Tables<'_> {
    fn write(&mut self, segment: &Segment) {
        let Segment { level, kind, ref ipa, pa } = *segment;
        let hinted = segment.hinted();
        let offsets = (0..ipa.end - ipa.start).step_by(level.size() as usize);
        for offset in offsets {
            let leaf = Stage2Descriptor::leaf(level, PhysAddr::new(pa.get() + offset), kind);
            let at = ipa.start + offset;
            let leaf = if hinted.contains(&at) { leaf.with_hint() } else { leaf };
            *self.entry(level, at) = leaf.bits();
        }
    }

    /// The entry of `level` for `ipa`, with the tables that lead to it.
    fn entry(&mut self, level: Level, ipa: u64) -> &mut u64 {
        let (mut table, mut above) = (root_table(ipa), START_LEVEL);
        while let Some(next) = above.next().filter(|next| *next <= level) {
            table = self.below(table, above.index(ipa) as usize);
            above = next;
        }
        &mut self.tables[table][level.index(ipa) as usize]
    }

    /// The table that entry `index` of `table` leads to, a new one if the entry is empty.
    fn below(&mut self, table: usize, index: usize) -> usize {
        let entry = &mut self.tables[table][index];
        if *entry == 0 {
            *entry = Stage2Descriptor::table(PhysAddr::new(self.base.get() + self.used as u64 * PAGE_SIZE)).bits();
            self.used += 1;
        }
        let found = Stage2Descriptor::from_bits(*entry).address();
        ((found.get() - self.base.get()) / PAGE_SIZE) as usize
    }
}

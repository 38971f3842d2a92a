//! The translation tables that make the MMU do what an MPU would.
//!
//! An identity map with 4 KiB granule and 48-bit addresses. It holds no more than somebody has needed yet, the way a
//! TLB does: what is not in it is asked for by a translation fault. So nothing is lost when tables run out: all is
//! forgotten and asked for again. Only the image is different: it is always in the tables, page by page, because the
//! exception handler that answers the faults is in it.

use super::leaf::Leaf;
use super::matching::ADDRESS_SPACE;
use core::ops::Range;
use core::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// Bytes of a page, the least that the tables can tell apart.
pub const PAGE: u64 = 1 << PAGE_SHIFT;
const PAGE_SHIFT: u32 = 12;
/// Address bits that one level resolves.
const LEVEL_BITS: u32 = 9;
const ENTRIES: usize = 1 << LEVEL_BITS;
const ROOT: usize = 0;

/// Bit 0 of an entry: it is valid.
const VALID: u64 = 1 << 0;
/// Bit 1 of a valid entry: a table or, at level 3, a page.
const TABLE_OR_PAGE: u64 = 1 << 1;
/// Bits 47:12 of an entry, an address.
const ADDRESS: u64 = ADDRESS_SPACE.end - PAGE;

/// A translation table. The table walker reads what is stored here; nobody but [`Mirror`] stores.
#[derive(Debug)]
#[repr(C, align(4096))]
struct Table([AtomicU64; ENTRIES]);

const _: () = assert!(size_of::<Table>() == PAGE as usize);

impl Table {
    /// A table without a valid entry.
    const fn new() -> Self {
        Self([const { AtomicU64::new(0) }; ENTRIES])
    }

    /// Where the walker finds it: the image runs at its physical address.
    fn address(&self) -> u64 {
        self as *const Self as u64
    }
}

/// All tables are in use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Full;

/// The size of what an entry at each level translates.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Level(u32);

impl Level {
    /// Entries of 512 GiB, which are never leaves.
    const ROOT: Self = Self(0);
    /// Pages.
    pub const PAGE: Self = Self(3);
    /// Those with leaves, from 1 GiB down to 4 KiB.
    pub const LEAVES: [Self; 3] = [Self(1), Self(2), Self(3)];

    const fn shift(self) -> u32 {
        PAGE_SHIFT + LEVEL_BITS * (3 - self.0)
    }

    /// What one entry around `address` translates.
    pub const fn around(self, address: u64) -> Range<u64> {
        let start = address >> self.shift() << self.shift();
        start..start + (1 << self.shift())
    }

    /// The entry that translates what lies around `address` by `leaf`.
    const fn entry(self, address: u64, leaf: Leaf) -> u64 {
        let kind = if self.0 == Self::PAGE.0 { TABLE_OR_PAGE } else { 0 };
        self.around(address).start | leaf.bits() | kind
    }

    const fn below(self) -> Self {
        Self(self.0 + 1)
    }

    const fn index(self, address: u64) -> usize {
        (address >> self.shift()) as usize % ENTRIES
    }
}

/// The tables. Whoever changes them must invalidate the TLB where an entry was taken away or changed.
///
/// Table descriptors hold addresses of tables in here, so after [`Self::reset`] this must stay where it is.
#[derive(Debug)]
pub struct Mirror<const TABLES: usize> {
    tables: [Table; TABLES],
    /// Bit n: table n is free.
    free: u64,
}

impl<const TABLES: usize> Mirror<TABLES> {
    /// Tables that translate nothing, and of which none can be used before [`Self::reset`].
    pub const fn new() -> Self {
        const { assert!(TABLES > 0 && TABLES <= u64::BITS as usize, "a root, and a bit for each") };
        Self { tables: [const { Table::new() }; TABLES], free: 0 }
    }

    /// Takes all tables but the root for free.
    pub fn reset(&mut self) {
        self.free = (0..TABLES).fold(0, |free, table| free | 1 << table) & !(1 << ROOT);
    }

    /// Where the walk starts: TTBR0_EL2.
    pub fn root(&self) -> u64 {
        self.tables[ROOT].address()
    }

    /// How many tables are not in use.
    pub const fn free_tables(&self) -> usize {
        self.free.count_ones() as usize
    }

    /// Keeps tables for the page `page`, so that [`Self::set_page`] has them.
    ///
    /// # Errors
    ///
    /// [`Full`].
    pub fn reserve(&mut self, page: u64) -> Result<(), Full> {
        self.slot(page, Level::PAGE).map(|_| ())
    }

    /// Has a reserved page translated by `leaf` from now on, or not at all.
    pub fn set_page(&mut self, page: u64, leaf: Option<Leaf>) {
        // What is reserved has its table, so this is not full.
        if let Ok((table, level)) = self.slot(page, Level::PAGE) {
            self.entry(table, level, page).store(leaf.map_or(0, |leaf| level.entry(page, leaf)), Relaxed);
        }
    }

    /// Lets `address` be translated, by a leaf of `level` or of a lower one where there already is a table.
    ///
    /// # Errors
    ///
    /// [`Full`]; nothing that was translated has changed.
    pub fn map(&mut self, address: u64, level: Level, leaf: Leaf) -> Result<(), Full> {
        let (table, level) = self.slot(address, level)?;
        self.entry(table, level, address).store(level.entry(address, leaf), Relaxed);
        Ok(())
    }

    /// The table that has the entry of `level` for `address`, or one of a lower level where there already is a table.
    fn slot(&mut self, address: u64, level: Level) -> Result<(usize, Level), Full> {
        let (mut table, mut at) = (ROOT, Level::ROOT);
        loop {
            let entry = self.entry(table, at, address).load(Relaxed);
            table = match self.table_of(at, entry) {
                Some(below) => below,
                None if at >= level => return Ok((table, at)),
                None => {
                    let (below, entry) = self.take_table()?;
                    self.entry(table, at, address).store(entry, Relaxed);
                    below
                }
            };
            at = at.below();
        }
    }

    /// A free table, and the entry that leads to it.
    fn take_table(&mut self) -> Result<(usize, u64), Full> {
        let index = self.free.trailing_zeros() as usize;
        let table = self.tables.get(index).ok_or(Full)?;
        self.free &= !(1 << index);
        Ok((index, table.address() | TABLE_OR_PAGE | VALID))
    }

    /// Ends the translation of every address in `range`, and of all that shares a leaf with it.
    pub fn forget(&mut self, range: &Range<u64>) {
        if !range.is_empty() {
            self.forget_below(ROOT, Level::ROOT, 0, range);
        }
    }

    /// Forgets what of `range` lies in the table `table` of level `level`, whose first entry translates `start`.
    fn forget_below(&mut self, table: usize, level: Level, start: u64, range: &Range<u64>) {
        let size = 1 << level.shift();
        let end = start + size * ENTRIES as u64;
        let first = range.start.max(start) & !(size - 1);
        for address in (first..range.end.min(end)).step_by(size as usize) {
            let entry = self.entry(table, level, address).load(Relaxed);
            if let Some(below) = self.table_of(level, entry) {
                self.forget_below(below, level.below(), address, range);
                if address < range.start || range.end < address + size {
                    continue;
                }
                self.free |= 1 << below;
            }
            self.entry(table, level, address).store(0, Relaxed);
        }
    }

    fn entry(&self, table: usize, level: Level, address: u64) -> &AtomicU64 {
        &self.tables[table].0[level.index(address)]
    }

    /// The table that an entry found at `level` leads to.
    fn table_of(&self, level: Level, entry: u64) -> Option<usize> {
        let leads_on = level < Level::PAGE && entry & (TABLE_OR_PAGE | VALID) == TABLE_OR_PAGE | VALID;
        leads_on.then(|| ((entry & ADDRESS) - self.root()) as usize / size_of::<Table>())
    }

    /// The entry that translates `address`, as the walker finds it, and its level; `None` if there is none.
    pub fn walk(&self, address: u64) -> Option<(u64, Level)> {
        let (mut table, mut level) = (ROOT, Level::ROOT);
        loop {
            let entry = self.entry(table, level, address).load(Relaxed);
            match self.table_of(level, entry) {
                Some(below) => (table, level) = (below, level.below()),
                None => return (entry & VALID != 0).then_some((entry, level)),
            }
        }
    }
}

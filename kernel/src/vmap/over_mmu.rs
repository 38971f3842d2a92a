//! Mapping frames into EL2's address space, over an MMU.

use super::{Backend, Shortage, Vmap};
use crate::arch::lock::SpinLock;
use crate::arch::{self, Tlb};
use crate::base::addr::{Frames, Mfn, PAGE_SIZE, PhysAddr, VirtAddr};
use crate::base::attributes::Attributes;
use crate::mmu::descriptor::ENTRIES;
use crate::mmu::pool::TablePool;
use crate::mmu::{LeafCount, PageTable, PageTableError};
use crate::vmap::space::{AddressPlacement, MappingRecords, SpaceError, VaSpace};
use core::ops::{Range, RangeInclusive};
use core::sync::atomic::{AtomicUsize, Ordering};

/// Where in the address space the frametable is, if all of a 48-bit physical address space were RAM: 2^36 entries of 8
/// bytes. It can never be too small.
pub const FRAMETABLE_WINDOW: Range<u64> = 0xff00_0000_0000..0xff80_0000_0000;

/// Where mappings are put: 512 GiB, enough for hundreds of 1 GiB blocks with a guard page between any two.
pub const VMAP_WINDOW: Range<u64> = 0xff80_0000_0000..0x1_0000_0000_0000;

/// Page tables kept in reserve beside one for each 512 pages to be mapped: three levels at either end of a mapping, and as
/// many for the memory that is mapped to make more of them.
const SPARE_TABLES: u64 = 16;

/// Why page tables do not map something.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum MmuError {
    /// No address range is free, or no mapping starts there.
    #[error("vmap: {0}")]
    Space(#[from] SpaceError),
    /// The page tables refuse.
    #[error("vmap: {0}")]
    Table(#[from] PageTableError),
    /// EL2's own memory would not be at its physical address, because something else is there.
    #[error("memory {start} is inside the addresses kept for the frametable and vmap, from {window:#x} on")]
    Window {
        /// First byte.
        start: PhysAddr,
        /// Where these addresses begin.
        window: u64,
    },
}

/// Page tables, and the addresses that mappings have.
pub struct OverMmu {
    state: SpinLock<SpaceState>,
    /// Page tables that can be made, and mappings that can be remembered; readable without the lock.
    tables: AtomicUsize,
    mappings: AtomicUsize,
}

struct SpaceState {
    table: PageTable<TablePool, Tlb>,
    space: VaSpace,
}

impl OverMmu {
    /// Takes over `table`, in which nothing may be mapped in [`VMAP_WINDOW`].
    pub fn new(table: PageTable<TablePool, Tlb>) -> Self {
        let window = VirtAddr::new(VMAP_WINDOW.start)..VirtAddr::new(VMAP_WINDOW.end);
        let state = SpaceState { table, space: VaSpace::new(window) };
        let new = Self { state: SpinLock::new(state), tables: AtomicUsize::new(0), mappings: AtomicUsize::new(0) };
        new.change(|_| ());
        new
    }

    /// Changes the state, and tells how much room is left after that.
    #[inline]
    fn change<R>(&self, change: impl FnOnce(&mut SpaceState) -> R) -> R {
        let mut state = self.state.lock();
        let result = change(&mut state);
        self.tables.store(state.table.source_mut().available(), Ordering::Relaxed);
        self.mappings.store(state.space.room(), Ordering::Relaxed);
        result
    }
}

impl Vmap<OverMmu> {
    /// Runs `with` on the page tables.
    pub fn with_table<R>(&self, with: impl FnOnce(&mut PageTable<TablePool, Tlb>) -> R) -> R {
        self.backend.change(|state| with(&mut state.table))
    }

    /// Runs `with` on the addresses for mappings.
    pub fn with_space<R>(&self, with: impl FnOnce(&mut VaSpace) -> R) -> R {
        self.backend.change(|state| with(&mut state.space))
    }
}

impl Backend for OverMmu {
    type Held = VirtAddr;
    type Layout = LeafCount;
    type Error = MmuError;

    const FRAMETABLE_SPAN: u64 = FRAMETABLE_WINDOW.end - FRAMETABLE_WINDOW.start;
    const GROWTH_FRAMES: RangeInclusive<u64> = 1..=16;

    #[inline]
    fn first_page(held: VirtAddr) -> VirtAddr {
        held
    }

    /// From 64 KiB up, addresses are chosen congruent to those of the frames, so that blocks and the contiguous hint apply.
    #[inline]
    fn map(&self, first: Mfn, count: u64, attributes: Attributes) -> Result<VirtAddr, MmuError> {
        let (start, bytes) = (first.address(), count.saturating_mul(PAGE_SIZE));
        self.change(|state| {
            let va = state.space.alloc(count, AddressPlacement::Like(start))?;
            if let Err(error) = state.table.map(va, start, bytes, attributes) {
                state.space.release(va)?;
                return Err(error.into());
            }
            Ok(va)
        })
    }

    fn map_scattered(&self, frames: &[Mfn], attributes: Attributes) -> Result<VirtAddr, MmuError> {
        let like = frames.first().map_or(PhysAddr::new(0), |first| first.address());
        self.change(|state| {
            let va = state.space.alloc(frames.len() as u64, AddressPlacement::Like(like))?;
            if let Err(error) = state.map_runs(va, frames, attributes) {
                state.space.release(va)?;
                return Err(error);
            }
            Ok(va)
        })
    }

    fn map_registers(&self, frames: &Range<Mfn>) -> Result<VirtAddr, MmuError> {
        self.map(frames.start, frames.count(), Attributes::DEVICE)
    }

    #[inline]
    fn unmap(&self, va: VirtAddr) -> Result<u64, MmuError> {
        self.change(|state| {
            let pages = state.space.release(va)?;
            state.table.unmap(va, pages * PAGE_SIZE)?;
            Ok(pages)
        })
    }

    #[inline]
    fn release(&self, held: VirtAddr) -> Result<(), MmuError> {
        self.unmap(held).map(|_| ())
    }

    fn size(&self, va: VirtAddr) -> Option<u64> {
        self.state.lock().space.size(va)
    }

    fn map_identity(&self, range: &Range<Mfn>, attributes: Attributes) -> Result<(), MmuError> {
        let start = range.start.address();
        if range.end.address().get() > FRAMETABLE_WINDOW.start {
            return Err(MmuError::Window { start, window: FRAMETABLE_WINDOW.start });
        }
        let va = VirtAddr::new(start.get());
        Ok(self.change(|state| state.table.map(va, start, range.bytes(), attributes))?)
    }

    fn map_frametable(&self, offset: u64, range: &Range<Mfn>) -> Result<VirtAddr, MmuError> {
        let va = VirtAddr::new(FRAMETABLE_WINDOW.start + offset);
        self.change(|state| state.table.map(va, range.start.address(), range.bytes(), Attributes::DATA))?;
        Ok(va)
    }

    fn is_shortage(error: &MmuError) -> bool {
        matches!(error, MmuError::Table(PageTableError::NoTables { .. }))
    }

    fn translate(&self, va: VirtAddr) -> Option<(PhysAddr, Attributes)> {
        self.change(|state| state.table.translate(va)).map(|(pa, leaf)| (pa, leaf.attributes))
    }

    fn describe(&self, range: Range<VirtAddr>) -> LeafCount {
        self.change(|state| LeafCount::of(state.table.leaves(range)))
    }

    fn briefly<R>(&self, code: impl FnOnce() -> R) -> R {
        let cursor = self.change(|state| state.space.cursor());
        let result = code();
        self.change(|state| state.space.set_cursor(cursor));
        result
    }

    #[inline]
    fn shortage(&self, pages: u64) -> Option<Shortage> {
        let tables = pages / ENTRIES + SPARE_TABLES;
        if (self.tables.load(Ordering::Relaxed) as u64) < tables {
            return Some(Shortage::Tables);
        }
        (self.mappings.load(Ordering::Relaxed) == 0).then_some(Shortage::Records)
    }

    unsafe fn add_tables(&self, memory: Range<PhysAddr>) {
        // SAFETY: the caller gives this memory away, and it is mapped for good.
        self.change(|state| unsafe { state.table.source_mut().add(memory, arch::zero) });
    }

    fn record_bytes(count: usize) -> usize {
        MappingRecords::bytes(count)
    }

    fn records(&self) -> usize {
        self.state.lock().space.capacity()
    }

    fn move_records(&self, count: usize) {
        let records = MappingRecords::with_capacity(count);
        // The old ones go back to the heap when the lock is free again.
        drop(self.change(|state| state.space.move_to(records)));
    }
}

impl SpaceState {
    /// Maps `frames` from `va` on, run by run of consecutive ones: all or none.
    fn map_runs(&mut self, va: VirtAddr, frames: &[Mfn], attributes: Attributes) -> Result<(), MmuError> {
        let mut at = va;
        for run in frames.chunk_by(|a, b| a.checked_add(1) == Some(*b)) {
            let bytes = run.len() as u64 * PAGE_SIZE;
            if let Err(error) = self.table.map(at, run[0].address(), bytes, attributes) {
                let done = at.get() - va.get();
                if done > 0 {
                    self.table.unmap(va, done)?;
                }
                return Err(error.into());
            }
            at = VirtAddr::new(at.get() + bytes);
        }
        Ok(())
    }
}

//! Mapping frames into EL2's address space, over an MMU.

use crate::arch::{self, Tlb};
use crate::base::addr::{Frames, Mfn, PAGE_SIZE, PhysAddr, VirtAddr};
use crate::base::attributes::Attributes;
use crate::heap::Heap;
use crate::mmu::descriptor::ENTRIES;
use crate::mmu::pool::TablePool;
use crate::mmu::{LeafCount, PageTable, PageTableError};
use crate::vmap::space::{AddressPlacement, MappingRecords, SpaceError, VaSpace};
use core::fmt;
use core::ops::{Range, RangeInclusive};
use core::ptr::NonNull;
use core::sync::atomic::{AtomicUsize, Ordering};
use spin::mutex::SpinMutex;

/// Where in the address space the frametable is, if all of a 48-bit physical address space were RAM: 2^36 entries of 8
/// bytes. It can never be too small.
pub const FRAMETABLE_WINDOW: Range<u64> = 0xff00_0000_0000..0xff80_0000_0000;

/// The most that a frametable may span, holes included, in bytes.
pub const FRAMETABLE_SPAN: u64 = FRAMETABLE_WINDOW.end - FRAMETABLE_WINDOW.start;

/// Where mappings are put: 512 GiB, enough for hundreds of 1 GiB blocks with a guard page between any two.
pub const VMAP_WINDOW: Range<u64> = 0xff80_0000_0000..0x1_0000_0000_0000;

/// Page tables kept in reserve beside one for each 512 pages to be mapped: three levels at either end of a mapping, and as
/// many for the memory that is mapped to make more of them.
const SPARE_TABLES: u64 = 16;

/// How many frames heap and page tables grow by: as many as there are in one piece, of the larger of these.
pub const GROWTH_FRAMES: RangeInclusive<u64> = 1..=16;

/// Why a range of frames cannot be mapped, or an address not be unmapped. Nothing has changed then.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum VmapError {
    /// No address range is free.
    #[error("vmap: {0}")]
    Space(#[from] SpaceError),
    /// The page tables refuse.
    #[error("vmap: {0}")]
    Table(#[from] PageTableError),
    /// No frames.
    #[error("vmap of no frames")]
    Empty,
    /// The frames leave the physical address space.
    #[error("vmap of {bytes:#x} bytes from physical address {start} reaches past the physical address space")]
    Physical {
        /// First byte.
        start: PhysAddr,
        /// Length in bytes.
        bytes: u64,
    },
    /// EL2's own memory would not be at its physical address, because something else is there.
    #[error("memory {start} is inside the addresses kept for the frametable and vmap, from {window:#x} on")]
    Window {
        /// First byte.
        start: PhysAddr,
        /// Where these addresses begin.
        window: u64,
    },
}

impl VmapError {
    /// Whether more memory for page tables would help.
    pub const fn is_shortage(&self) -> bool {
        matches!(self, Self::Table(PageTableError::NoTables { .. }))
    }
}

/// EL2's address space.
pub struct Vmap {
    state: SpinMutex<SpaceState>,
    /// Page tables that can be made, and mappings that can be remembered; readable without the lock.
    tables: AtomicUsize,
    mappings: AtomicUsize,
}

struct SpaceState {
    table: PageTable<TablePool, Tlb>,
    space: VaSpace,
}

/// Frames that are mapped for as long as this lives.
pub struct Mapping<'v> {
    vmap: &'v Vmap,
    /// First page.
    va: VirtAddr,
    /// From the first page to what was asked for.
    offset: u64,
    bytes: u64,
}

impl Vmap {
    /// Takes over `table`, in which nothing may be mapped in [`VMAP_WINDOW`].
    pub fn new(table: PageTable<TablePool, Tlb>) -> Self {
        let window = VirtAddr::new(VMAP_WINDOW.start)..VirtAddr::new(VMAP_WINDOW.end);
        let state = SpaceState { table, space: VaSpace::new(window) };
        let vmap = Self { state: SpinMutex::new(state), tables: AtomicUsize::new(0), mappings: AtomicUsize::new(0) };
        vmap.change(|_| ());
        vmap
    }

    /// Maps the `count` frames from `first` at consecutive addresses, with an unmapped page before and after.
    ///
    /// From 64 KiB up, addresses are chosen congruent to those of the frames, so that blocks and the contiguous hint apply.
    ///
    /// # Errors
    ///
    /// [`VmapError`] if there are no addresses or no memory for page tables left, or no such frames.
    #[inline]
    pub fn vmap_contig(&self, first: Mfn, count: u64, attributes: Attributes) -> Result<Mapping<'_>, VmapError> {
        if count == 0 {
            return Err(VmapError::Empty);
        }
        let (start, bytes) = (first.address(), count.saturating_mul(PAGE_SIZE));
        first.checked_add(count).ok_or(VmapError::Physical { start, bytes })?;
        let va = self.change(|state| {
            let va = state.space.alloc(count, AddressPlacement::Like(start))?;
            if let Err(error) = state.table.map(va, start, bytes, attributes) {
                state.space.release(va)?;
                return Err(error.into());
            }
            Ok::<_, VmapError>(va)
        })?;
        Ok(Mapping { vmap: self, va, offset: 0, bytes })
    }

    /// Maps `frames`, in any order and place, at consecutive addresses, with an unmapped page before and after.
    ///
    /// # Errors
    ///
    /// As for [`Vmap::vmap_contig`].
    pub fn vmap(&self, frames: &[Mfn], attributes: Attributes) -> Result<Mapping<'_>, VmapError> {
        let Some(first) = frames.first() else { return Err(VmapError::Empty) };
        let bytes = frames.len() as u64 * PAGE_SIZE;
        let va = self.change(|state| {
            let va = state.space.alloc(frames.len() as u64, AddressPlacement::Like(first.address()))?;
            if let Err(error) = state.map_runs(va, frames, attributes) {
                state.space.release(va)?;
                return Err(error);
            }
            Ok(va)
        })?;
        Ok(Mapping { vmap: self, va, offset: 0, bytes })
    }

    /// Maps the registers at `start`, `bytes` long and aligned to nothing, as device memory.
    ///
    /// # Errors
    ///
    /// As for [`Vmap::vmap_contig`].
    pub fn ioremap(&self, start: PhysAddr, bytes: u64) -> Result<Mapping<'_>, VmapError> {
        self.map_bytes(start, bytes, Attributes::DEVICE)
    }

    /// Maps registers as [`Vmap::ioremap`] does, for as long as the machine runs, and says where they are.
    ///
    /// # Errors
    ///
    /// As for [`Vmap::vmap_contig`].
    pub fn ioremap_for_good(&self, start: PhysAddr, bytes: u64) -> Result<NonNull<u8>, VmapError> {
        let mapping = self.ioremap(start, bytes)?;
        let registers = mapping.as_ptr();
        mapping.leak();
        Ok(registers)
    }

    /// Maps the `bytes` from `start`, aligned to nothing: all pages they touch. The mapping keeps the offset in the page.
    ///
    /// # Errors
    ///
    /// As for [`Vmap::vmap_contig`].
    pub fn map_bytes(&self, start: PhysAddr, bytes: u64, attributes: Attributes) -> Result<Mapping<'_>, VmapError> {
        if bytes == 0 {
            return Err(VmapError::Empty);
        }
        let outside = VmapError::Physical { start, bytes };
        let end = start.checked_add(bytes).and_then(|end| end.align_up(PAGE_SIZE)).and_then(Mfn::containing);
        let (Some(first), Some(end)) = (Mfn::containing(start), end) else { return Err(outside) };
        let mut mapping = self.vmap_contig(first, (first..end).count(), attributes)?;
        mapping.offset = start.get() % PAGE_SIZE;
        mapping.bytes = bytes;
        Ok(mapping)
    }

    /// Ends the mapping that starts at `va`, and returns how many pages it had.
    ///
    /// # Errors
    ///
    /// [`VmapError::Space`] if no mapping starts there; nothing has changed then.
    #[inline]
    pub fn vunmap(&self, va: VirtAddr) -> Result<u64, VmapError> {
        self.change(|state| {
            let pages = state.space.release(va)?;
            state.table.unmap(va, pages * PAGE_SIZE)?;
            Ok(pages)
        })
    }

    /// How many pages the mapping that starts at `va` has, or `None` if none starts there.
    pub fn vmap_size(&self, va: VirtAddr) -> Option<u64> {
        self.state.lock().space.size(va)
    }

    /// Maps memory of EL2's own at its physical address.
    ///
    /// # Errors
    ///
    /// [`VmapError::Window`] if mappings or the frametable may be there, [`VmapError::Table`] if something is.
    pub fn map_identity(&self, range: &Range<Mfn>, attributes: Attributes) -> Result<(), VmapError> {
        let start = range.start.address();
        if range.end.address().get() > FRAMETABLE_WINDOW.start {
            return Err(VmapError::Window { start, window: FRAMETABLE_WINDOW.start });
        }
        let va = VirtAddr::new(start.get());
        Ok(self.with_table(|table| table.map(va, start, range.bytes(), attributes))?)
    }

    /// Maps frames of the frametable at `offset` bytes into its window, and says where that is.
    ///
    /// # Errors
    ///
    /// [`VmapError::Table`] if something is mapped there.
    pub fn map_frametable(&self, offset: u64, range: &Range<Mfn>) -> Result<NonNull<u8>, VmapError> {
        let va = VirtAddr::new(FRAMETABLE_WINDOW.start + offset);
        self.with_table(|table| table.map(va, range.start.address(), range.bytes(), Attributes::DATA))?;
        Ok(pointer(va))
    }

    /// What is mapped at `va`, and as what.
    pub fn translate(&self, va: VirtAddr) -> Option<(PhysAddr, Attributes)> {
        self.with_table(|table| table.translate(va)).map(|(pa, leaf)| (pa, leaf.attributes))
    }

    /// How `range` is mapped, for people.
    pub fn describe(&self, range: Range<VirtAddr>) -> LeafCount {
        self.with_table(|table| LeafCount::of(table.leaves(range)))
    }

    /// Runs `code`, whose mappings end before it does. Their addresses may be used again at once: nobody keeps a pointer there
    /// that should fault, and later mappings stay together, in few tables.
    pub fn briefly<R>(&self, code: impl FnOnce() -> R) -> R {
        let cursor = self.with_space(|space| space.cursor());
        let result = code();
        self.with_space(|space| space.set_cursor(cursor));
        result
    }

    /// Runs `with` on the page tables.
    pub fn with_table<R>(&self, with: impl FnOnce(&mut PageTable<TablePool, Tlb>) -> R) -> R {
        self.change(|state| with(&mut state.table))
    }

    /// Runs `with` on the addresses for mappings.
    pub fn with_space<R>(&self, with: impl FnOnce(&mut VaSpace) -> R) -> R {
        self.change(|state| with(&mut state.space))
    }

    /// What there is too little of for a mapping of `pages` pages, if anything.
    #[inline]
    pub fn shortage(&self, pages: u64) -> Option<Shortage> {
        let tables = pages / ENTRIES + SPARE_TABLES;
        if (self.tables.load(Ordering::Relaxed) as u64) < tables {
            return Some(Shortage::Tables);
        }
        (self.mappings.load(Ordering::Relaxed) == 0).then_some(Shortage::Records)
    }

    /// How many frames would end `shortage`: at least, and better.
    pub fn frames_wanted(&self, shortage: Shortage) -> RangeInclusive<u64> {
        match shortage {
            Shortage::Tables => GROWTH_FRAMES,
            Shortage::Records => {
                let bytes = MappingRecords::bytes(self.records_wanted()) as u64;
                let frames = bytes.div_ceil(PAGE_SIZE).next_power_of_two();
                frames..=frames
            }
        }
    }

    /// Ends `shortage` with `memory`, some of which may go to `heap`.
    ///
    /// # Safety
    ///
    /// `memory` must be mapped read-write at its physical address, for good, and be used by nothing else.
    pub unsafe fn relieve(&self, shortage: Shortage, memory: Range<PhysAddr>, heap: &Heap) {
        match shortage {
            // SAFETY: the caller gives this memory away.
            Shortage::Tables => self.with_table(|table| unsafe { table.source_mut().add(memory, arch::zero) }),
            Shortage::Records => {
                let bytes = memory.end.get() - memory.start.get();
                // SAFETY: as above.
                unsafe { heap.add(memory.start.get() as usize, bytes as usize) };
                let records = MappingRecords::with_capacity(self.records_wanted());
                // The old ones go back to the heap when the lock is free again.
                drop(self.change(|state| state.space.move_to(records)));
            }
        }
    }

    fn records_wanted(&self) -> usize {
        2 * self.with_space(|space| space.capacity())
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

impl SpaceState {
    /// Maps `frames` from `va` on, run by run of consecutive ones: all or none.
    fn map_runs(&mut self, va: VirtAddr, frames: &[Mfn], attributes: Attributes) -> Result<(), VmapError> {
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

/// `va` as a pointer to what is mapped there.
fn pointer(va: VirtAddr) -> NonNull<u8> {
    let pointer = core::ptr::with_exposed_provenance_mut(va.get() as usize);
    NonNull::new(pointer).unwrap_or_else(|| unreachable!("nothing is mapped at address 0"))
}

/// What more mappings need and the address space has too little of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shortage {
    /// Pages to make tables of.
    Tables,
    /// Room to remember mappings in.
    Records,
}

impl Mapping<'_> {
    /// The address of what was asked for.
    pub fn address(&self) -> VirtAddr {
        VirtAddr::new(self.va.get() + self.offset)
    }

    /// The address of what was asked for, as a pointer.
    pub fn as_ptr(&self) -> NonNull<u8> {
        pointer(self.address())
    }

    /// Length in bytes of what was asked for.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Keeps the mapping until [`Vmap::vunmap`] is called with the start of its first page, which is returned.
    pub fn leak(self) -> VirtAddr {
        let va = self.va;
        core::mem::forget(self);
        va
    }
}

impl Drop for Mapping<'_> {
    fn drop(&mut self) {
        if let Err(error) = self.vmap.vunmap(self.va) {
            panic!("a mapping that lives cannot be unmapped: {error}");
        }
    }
}

impl fmt::Debug for Mapping<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "mapping of {:#x} bytes at {}", self.bytes, self.address())
    }
}

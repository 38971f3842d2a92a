//! The memory of a running hypervisor: frametable, frames, address space, heap.
//!
//! Frames, heap and page tables need one another: free lists live in the heap, the heap grows by frames, and frames are
//! mapped by page tables, which are frames too. [`HostMemory`] breaks the circle: before each operation, while none of
//! their locks is held, it refills whichever runs low, so that nothing ever has to grow in the middle of another
//! operation. CPUs take turns.

use crate::arch::lock::{SpinLock, SpinLockGuard};
use crate::base::addr::{Bytes, Frames, Mfn, PAGE_SIZE, PhysAddr, VirtAddr};
use crate::base::attributes::Attributes;
use crate::frames::frametable::page_info::FrameOwner;
use crate::frames::frametable::table::FrameTable;
use crate::frames::page_alloc::{PageAlloc, PageError};
use crate::heap::Heap;
use crate::vmap::{GROWTH_FRAMES, Mapping, Vmap, VmapError};
use core::alloc::Layout;
use core::ops::{Range, RangeInclusive};
use core::sync::atomic::{AtomicU64, Ordering};

/// What the hypervisor does with memory once it has booted.
pub struct HostMemory {
    table: &'static FrameTable,
    pages: PageAlloc<'static>,
    vmap: &'static Vmap,
    heap: &'static Heap,
    /// Bytes that heap, page tables and stacks have taken from the page allocator for good.
    grown: AtomicU64,
    /// Whose turn it is. What an operation may need is filled up under this lock, and the operation runs under it: else two
    /// CPUs could find the same memory, and one of them would lack it in the middle.
    turn: SpinLock<()>,
}

impl HostMemory {
    /// Puts the parts together.
    pub fn new(
        table: &'static FrameTable,
        pages: PageAlloc<'static>,
        vmap: &'static Vmap,
        heap: &'static Heap,
    ) -> Self {
        let host = Self { table, pages, vmap, heap, grown: AtomicU64::new(0), turn: SpinLock::new(()) };
        host.replenish(0);
        host
    }

    /// Has this CPU's operation begin: waits for that of any other, and fills up what it may need, also for a mapping of
    /// `pages` pages.
    #[inline]
    fn begin(&self, pages: u64) -> SpinLockGuard<'_, ()> {
        let turn = self.turn.lock();
        self.replenish(pages);
        turn
    }

    /// The frametable.
    pub fn table(&self) -> &'static FrameTable {
        self.table
    }

    /// The address space, for what needs no new memory.
    pub fn vmap(&self) -> &'static Vmap {
        self.vmap
    }

    /// Allocates 2^`order` frames for `owner`: see [`PageAlloc::alloc`].
    ///
    /// # Errors
    ///
    /// As there.
    pub fn alloc(&self, order: u32, owner: FrameOwner) -> Result<Mfn, PageError> {
        let _turn = self.begin(0);
        self.pages.alloc(order, owner)
    }

    /// Allocates 2^`order` frames that the hypervisor keeps for good.
    ///
    /// # Errors
    ///
    /// As [`PageAlloc::alloc`].
    pub fn alloc_for_good(&self, order: u32) -> Result<Mfn, PageError> {
        let _turn = self.begin(0);
        let first = self.pages.alloc(order, FrameOwner::HYPERVISOR)?;
        self.grown.fetch_add(PAGE_SIZE << order, Ordering::Relaxed);
        Ok(first)
    }

    /// Frees 2^`order` frames: see [`PageAlloc::free`].
    ///
    /// # Errors
    ///
    /// As there.
    pub fn free(&self, first: Mfn, order: u32) -> Result<(), PageError> {
        let _turn = self.begin(0);
        self.pages.free(first, order)
    }

    /// Takes a reference: see [`PageAlloc::get_page`].
    ///
    /// # Errors
    ///
    /// As there.
    pub fn get_page(&self, mfn: Mfn, owner: FrameOwner) -> Result<(), PageError> {
        self.pages.get_page(mfn, owner)
    }

    /// Drops a reference: see [`PageAlloc::put_page`].
    ///
    /// # Errors
    ///
    /// As there.
    pub fn put_page(&self, mfn: Mfn) -> Result<(), PageError> {
        let _turn = self.begin(0);
        self.pages.put_page(mfn)
    }

    /// Bytes of the heap that are in use.
    pub fn heap_bytes(&self) -> u64 {
        self.heap.usage().used
    }

    /// Makes the heap grow until it can give `bytes` bytes in one piece, or in pieces of powers of two that are as much. To be
    /// called, while no lock is held, before memory is allocated whose size a guest or a device tree decides.
    ///
    /// # Errors
    ///
    /// [`HeapShortage`] if there is no block of frames of that size.
    pub fn reserve_heap(&self, bytes: u64) -> Result<(), HeapShortage> {
        let _turn = self.begin(0);
        let shortage = HeapShortage { bytes, free: self.free_bytes() };
        let layout = usize::try_from(bytes).map(Layout::array::<u8>);
        if layout.is_ok_and(|layout| layout.is_ok_and(|layout| self.heap.has_room(layout))) {
            return Ok(());
        }
        let frames = bytes.div_ceil(PAGE_SIZE).checked_next_power_of_two().ok_or(shortage)?;
        let memory = self.grow(&(frames..=frames)).map_err(|GrowError| shortage)?;
        // SAFETY: `grow` gives memory that is mapped read-write and was allocated for this.
        unsafe { self.heap.add(memory.start.get() as usize, (memory.end.get() - memory.start.get()) as usize) };
        self.replenish(0);
        Ok(())
    }

    /// Bytes of free frames.
    pub fn free_bytes(&self) -> u64 {
        self.pages.free_bytes()
    }

    /// Bytes that heap, page tables and stacks have taken from the free frames, for good.
    pub fn grown_bytes(&self) -> u64 {
        self.grown.load(Ordering::Relaxed)
    }

    /// Maps consecutive frames: see [`Vmap::vmap_contig`].
    ///
    /// # Errors
    ///
    /// As there.
    pub fn vmap_contig(&self, first: Mfn, count: u64, attributes: Attributes) -> Result<Mapping<'static>, VmapError> {
        self.with_tables(count, || self.vmap.vmap_contig(first, count, attributes))
    }

    /// Maps bytes, aligned to nothing: see [`Vmap::map_bytes`].
    ///
    /// # Errors
    ///
    /// As there.
    pub fn map_bytes(&self, start: PhysAddr, bytes: u64, access: Attributes) -> Result<Mapping<'static>, VmapError> {
        self.with_tables(bytes.div_ceil(PAGE_SIZE) + 1, || self.vmap.map_bytes(start, bytes, access))
    }

    /// Runs `map`, which maps `count` consecutive pages.
    ///
    /// Addresses are chosen so that blocks apply, which takes a table at either end and no more. If there are none like
    /// that left, the page tables say so, and get what single pages take.
    #[inline(always)]
    fn with_tables<'m>(
        &self,
        count: u64,
        map: impl Fn() -> Result<Mapping<'m>, VmapError>,
    ) -> Result<Mapping<'m>, VmapError> {
        let _turn = self.begin(0);
        match map() {
            Err(error) if <Vmap>::is_shortage(&error) => {
                self.replenish(count);
                map()
            }
            result => result,
        }
    }

    /// Maps scattered frames: see [`Vmap::vmap`].
    ///
    /// # Errors
    ///
    /// As there.
    pub fn vmap_frames(&self, frames: &[Mfn], attributes: Attributes) -> Result<Mapping<'static>, VmapError> {
        let _turn = self.begin(frames.len() as u64);
        self.vmap.vmap(frames, attributes)
    }

    /// Maps registers: see [`Vmap::ioremap`].
    ///
    /// # Errors
    ///
    /// As there.
    pub fn ioremap(&self, start: PhysAddr, bytes: u64) -> Result<Mapping<'static>, VmapError> {
        let _turn = self.begin(0);
        self.vmap.ioremap(start, bytes)
    }

    /// Ends a mapping: see [`Vmap::vunmap`].
    ///
    /// # Errors
    ///
    /// As there.
    pub fn vunmap(&self, va: VirtAddr) -> Result<u64, VmapError> {
        let _turn = self.begin(0);
        self.vmap.vunmap(va)
    }

    /// Gives heap and address space more memory if they run low, the latter for a mapping of `pages` pages. To be called
    /// while no lock is held.
    ///
    /// If there are no frames left, whoever needs memory will find out.
    #[inline]
    fn replenish(&self, pages: u64) {
        if self.heap.needs_reserve() || self.vmap.shortage(pages).is_some() {
            self.replenish_now(pages);
        }
    }

    #[cold]
    fn replenish_now(&self, pages: u64) {
        if self.heap.needs_reserve()
            && let Ok(memory) = self.grow(&GROWTH_FRAMES)
        {
            let bytes = memory.end.get() - memory.start.get();
            // SAFETY: `grow` gives memory that is mapped read-write and was allocated for this.
            unsafe { self.heap.add_reserve(memory.start.get() as usize, bytes as usize) };
        }
        while let Some(shortage) = self.vmap.shortage(pages) {
            let Ok(memory) = self.grow(&self.vmap.frames_wanted(shortage)) else { return };
            // SAFETY: `grow` gives memory that is mapped read-write at its physical address, for good, and that was allocated for
            // this.
            unsafe { self.vmap.relieve(shortage, memory, self.heap) };
        }
    }

    /// Allocates as many of `frames` as there are in one piece, powers of two, and maps them at their physical address.
    /// They never come back.
    fn grow(&self, frames: &RangeInclusive<u64>) -> Result<Range<PhysAddr>, GrowError> {
        let orders = frames.start().ilog2()..=frames.end().ilog2();
        orders.rev().find_map(|order| self.grow_by(order).ok()).ok_or(GrowError)
    }

    fn grow_by(&self, order: u32) -> Result<Range<PhysAddr>, GrowError> {
        let first = self.pages.alloc(order, FrameOwner::HYPERVISOR).map_err(|_| GrowError)?;
        let range: Range<Mfn> = first..first.checked_add(1 << order).ok_or(GrowError)?;
        if self.vmap.map_identity(&range, Attributes::DATA).is_err() {
            let _ = self.pages.free(first, order);
            return Err(GrowError);
        }
        self.grown.fetch_add(range.bytes(), Ordering::Relaxed);
        Ok(range.start.address()..range.end.address())
    }
}

/// The heap cannot grow by the requested size.
#[derive(Clone, Copy, Debug, thiserror::Error, PartialEq, Eq)]
#[error("no {} of heap can be had in one piece, {} are free", Bytes(*bytes), Bytes(*free))]
pub struct HeapShortage {
    /// Bytes asked for.
    pub bytes: u64,
    /// Bytes that are free, in smaller blocks.
    pub free: u64,
}

/// There are no frames, or no tables to map them.
struct GrowError;

#[cfg(test)]
mod tests {
    use super::{HeapShortage, HostMemory};
    use crate::base::addr::{Bytes, Frames, PAGE_SIZE};
    use crate::base::attributes::Attributes;
    use crate::frames::frametable::page_info::FrameOwner;
    use crate::heap::RESERVE_BYTES;
    use crate::testing::{self, unless_interpreted};
    use core::alloc::{GlobalAlloc, Layout};
    use std::vec::Vec;

    const ME: FrameOwner = FrameOwner::new(9);

    fn host() -> HostMemory {
        testing::host(&testing::memory(16 << 20, 1 << 20), 64)
    }

    #[test]
    fn the_heap_gets_a_new_reserve_before_the_next_operation() {
        let host = host();
        assert!(!host.heap.needs_reserve());
        let layout = Layout::from_size_align(RESERVE_BYTES as usize, 8).unwrap();
        for _ in 0..8 {
            // SAFETY: the layout is not empty.
            let block = unsafe { host.heap.alloc(layout) };
            assert!(!block.is_null(), "the reserve should have been there");
            assert!(host.heap.needs_reserve());
            let mfn = host.alloc(0, ME).unwrap();
            assert!(!host.heap.needs_reserve());
            host.free(mfn, 0).unwrap();
        }
        assert!(host.grown_bytes() >= 8 * RESERVE_BYTES);
    }

    #[test]
    fn heap_is_reserved_once_and_in_one_piece() {
        let host = host();
        let grown = host.grown_bytes();
        host.reserve_heap(3 << 20).unwrap();
        assert_eq!(host.grown_bytes() - grown, 4 << 20);
        host.reserve_heap(3 << 20).unwrap();
        assert_eq!(host.grown_bytes() - grown, 4 << 20, "it was there already");
        let layout = Layout::from_size_align(3 << 20, 8).unwrap();
        // SAFETY: the layout is not empty.
        assert!(!unsafe { host.heap.alloc(layout) }.is_null());
    }

    #[test]
    fn heap_that_cannot_be_had_is_refused_with_both_numbers() {
        let host = host();
        let free = host.free_bytes();
        assert_eq!(host.reserve_heap(16 << 20), Err(HeapShortage { bytes: 16 << 20, free }));
        assert_eq!(host.reserve_heap(u64::MAX), Err(HeapShortage { bytes: u64::MAX, free }));
        assert_eq!(host.free_bytes(), free);
    }

    #[test]
    fn growing_takes_single_frames_when_nothing_larger_is_left() {
        let host = host();
        let mut frames: Vec<_> = core::iter::from_fn(|| host.alloc(0, ME).ok()).collect();
        // Every other frame is free: no two can be had in one piece.
        frames.retain(|mfn| if mfn.get() % 2 == 0 { host.free(*mfn, 0).is_err() } else { true });
        assert!(host.alloc(1, ME).is_err());
        let grown = host.grown_bytes();
        let layout = Layout::from_size_align(PAGE_SIZE as usize / 2, 8).unwrap();
        let (wanted, mut blocks) = (unless_interpreted(1000, 250), 0);
        for _ in 0..wanted {
            // SAFETY: the layout is not empty.
            blocks += usize::from(unsafe { !host.heap.alloc(layout).is_null() });
            let mfn = host.alloc(0, ME).unwrap();
            host.free(mfn, 0).unwrap();
        }
        assert_eq!(blocks, wanted, "the heap ran dry with {} free", Bytes(host.free_bytes()));
        // Two blocks to a page, and less than 100 pages were there.
        assert!(host.grown_bytes() - grown >= (wanted as u64 / 2 - 100) * PAGE_SIZE);
    }

    #[test]
    fn page_tables_are_made_before_a_mapping_needs_them() {
        let host = host();
        let frame = host.alloc(0, ME).unwrap();
        let pages = unless_interpreted(100_000, 2000);
        let frames: Vec<_> = (0..pages).map(|_| frame).collect();
        let mapping = host.vmap_frames(&frames, Attributes::CONSTANTS).unwrap();
        assert_eq!(host.vmap().vmap_size(mapping.address()), Some(pages as u64));
        drop(mapping);
        assert!(host.vmap().with_table(|table| table.source_mut().available()) >= pages / 512);
    }

    #[test]
    fn there_can_be_more_mappings_than_there_is_room_for_at_first() {
        let host = host();
        let frame = host.alloc(0, ME).unwrap();
        let first = host.vmap().with_space(|space| space.capacity());
        let mappings: Vec<_> = (0..4 * first).map(|_| host.vmap_contig(frame, 1, Attributes::DATA).unwrap()).collect();
        assert_eq!(mappings.len(), 4 * first);
        drop(mappings);
        assert!(host.vmap().with_space(|space| space.capacity()) >= 4 * first);
    }

    #[test]
    fn what_is_mapped_is_what_translates() {
        let ram = testing::memory(16 << 20, 1 << 20);
        let host = testing::host(&ram, 64);
        let block = host.alloc(9, ME).unwrap();
        let mapping = host.vmap_contig(block, 512, Attributes::DATA).unwrap();
        let translate = |va| host.vmap().with_table(|table| table.translate(va));
        for offset in (0..mapping.bytes()).step_by(4096) {
            let va = mapping.address().checked_add(offset).unwrap();
            let (pa, leaf) = translate(va).unwrap();
            assert_eq!(pa.get(), block.address().get() + offset);
            assert_eq!(leaf.attributes, Attributes::DATA);
        }
        let (start, end) = (mapping.address(), mapping.address().checked_add(mapping.bytes()).unwrap());
        assert!(translate(end).is_none() && translate(start.align_down(4096)).is_some());
        drop(mapping);
        assert!(translate(start).is_none());
        host.free(block, 9).unwrap();
        assert_eq!(host.free_bytes() + host.grown_bytes(), ram.bytes());
    }
}

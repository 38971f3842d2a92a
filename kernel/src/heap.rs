//! The hypervisor's heap: a buddy system over memory that EL2 owns, and that can grow.
//!
//! The free lists of the page allocator live here, so the more fragmented free memory is, the more heap they take. The
//! heap therefore grows by frames. It cannot grow while an allocation is waiting: growth takes locks that the
//! allocating code may hold. So a *reserve* is kept: when nothing else fits, the reserve goes into use, and it is
//! replaced at the next moment at which no lock is held ([`Heap::needs_reserve`]). No fragmentation defeats that.
//!
//! An allocation that does not fit fails with a null pointer. Code that can continue without it uses `try_reserve`; for
//! all other code, the panic handler ends the machine with the heap's usage. Memory whose size a guest or a device tree
//! decides is reserved first ([`HostMemory::reserve_heap`](crate::memory::HostMemory::reserve_heap)).

use crate::arch::lock::SpinLock;
use buddy_system_allocator::Heap as Buddy;
use core::alloc::{GlobalAlloc, Layout};
use core::fmt;
use core::ptr::{self, NonNull};
use core::sync::atomic::{AtomicBool, Ordering};

/// Bytes of the reserve: more than one operation of the page allocator can use. That is at most 64 frames given back to free
/// lists and 18 splits, each of which can make three nodes of a quarter KiB.
///
/// Where no piece of that size is free, a smaller one serves: then there are no larger blocks to split either.
pub const RESERVE_BYTES: u64 = 64 << 10;

/// One more than log2 of the largest block that the heap joins.
const ORDERS: usize = 28;

/// A heap.
pub struct Heap {
    state: SpinLock<HeapState>,
    /// Whether `state.reserve` is empty, readable without the lock.
    needs_reserve: AtomicBool,
}

/// The image's heap.
#[cfg(target_os = "none")]
#[global_allocator]
pub static HEAP: Heap = Heap::new();

struct HeapState {
    buddy: Buddy<ORDERS>,
    reserve: Option<Reserve>,
}

/// Memory that is put into use when nothing else fits.
struct Reserve {
    start: usize,
    bytes: usize,
}

/// How full a heap is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Usage {
    /// Bytes in blocks that are allocated.
    pub used: u64,
    /// Bytes in all, without the reserve.
    pub total: u64,
}

impl fmt::Display for Usage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} of {} bytes in use", self.used, self.total)
    }
}

impl Heap {
    /// A heap without any memory.
    pub const fn new() -> Self {
        let state = HeapState { buddy: Buddy::new(), reserve: None };
        Self { state: SpinLock::new(state), needs_reserve: AtomicBool::new(true) }
    }

    /// Adds the `bytes` bytes from `start`.
    ///
    /// # Safety
    ///
    /// The memory must be mapped read-write as long as the heap lives, belong to it alone, and its provenance be exposed.
    pub unsafe fn add(&self, start: usize, bytes: usize) {
        // SAFETY: the caller gives this memory to the heap for good.
        unsafe { self.state.lock().buddy.init(start, bytes) };
    }

    /// Whether the reserve is in use, so that the heap should be given another.
    pub fn needs_reserve(&self) -> bool {
        self.needs_reserve.load(Ordering::Relaxed)
    }

    /// Gives the heap `bytes` bytes from `start` as its reserve, or as ordinary memory if it has one.
    ///
    /// # Safety
    ///
    /// As for [`Heap::add`].
    pub unsafe fn add_reserve(&self, start: usize, bytes: usize) {
        let mut state = self.state.lock();
        if state.reserve.is_some() {
            // SAFETY: the caller gives this memory to the heap for good.
            unsafe { state.buddy.init(start, bytes) };
            return;
        }
        state.reserve = Some(Reserve { start, bytes });
        self.needs_reserve.store(false, Ordering::Relaxed);
    }

    /// How full the heap is.
    pub fn usage(&self) -> Usage {
        let state = self.state.lock();
        Usage { used: state.buddy.stats_alloc_actual() as u64, total: state.buddy.stats_total_bytes() as u64 }
    }

    /// Whether a block for `layout` is free, the reserve left aside.
    pub fn has_room(&self, layout: Layout) -> bool {
        let mut state = self.state.lock();
        let Ok(block) = state.buddy.alloc(layout) else { return false };
        // SAFETY: the block was allocated above, with this layout.
        unsafe { state.buddy.dealloc(block, layout) };
        true
    }

    /// Memory for `layout`, from the reserve if it must be and can help.
    fn take(&self, layout: Layout) -> Option<NonNull<u8>> {
        let mut state = self.state.lock();
        if let Ok(block) = state.buddy.alloc(layout) {
            return Some(block);
        }
        let wanted = layout.size().max(layout.align());
        let Reserve { start, bytes } = state.reserve.take_if(|reserve| wanted <= reserve.bytes)?;
        self.needs_reserve.store(true, Ordering::Relaxed);
        // SAFETY: whoever gave the reserve gave it for good, and it was in use by nobody.
        unsafe { state.buddy.init(start, bytes) };
        state.buddy.alloc(layout).ok()
    }
}

impl Default for Heap {
    fn default() -> Self {
        Self::new()
    }
}

// SAFETY: the buddy system gives each byte to one allocation at a time, in blocks whose size is a power of two of at
// least the layout's size and alignment, at addresses that are multiples of their size.
unsafe impl GlobalAlloc for Heap {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        self.take(layout).map_or(ptr::null_mut(), NonNull::as_ptr)
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        let Some(block) = NonNull::new(block) else { return };
        // SAFETY: the caller gives back a block that `alloc` gave for the same layout.
        unsafe { self.state.lock().buddy.dealloc(block, layout) };
    }
}

#[cfg(test)]
mod tests {
    use super::{Heap, RESERVE_BYTES, Usage};
    use core::alloc::{GlobalAlloc, Layout};
    use std::vec;
    use std::vec::Vec;

    /// Memory for a heap, aligned to its size, that is never freed.
    fn memory(bytes: usize) -> usize {
        let mut block: Vec<u8> = vec![0; bytes * 2];
        let start = block.as_mut_ptr().expose_provenance().next_multiple_of(bytes);
        core::mem::forget(block);
        start
    }

    fn fill(heap: &Heap, layout: Layout) -> Vec<*mut u8> {
        // SAFETY: the layouts of these tests are not empty.
        let next = || Some(unsafe { heap.alloc(layout) }).filter(|block| !block.is_null());
        core::iter::from_fn(next).collect()
    }

    #[test]
    fn the_reserve_goes_into_use_when_nothing_else_fits() {
        let heap = Heap::new();
        // SAFETY: fresh memory, given to this heap alone.
        unsafe { heap.add(memory(4096), 4096) };
        assert!(heap.needs_reserve());
        // SAFETY: fresh memory again, given to this heap alone.
        unsafe { heap.add_reserve(memory(RESERVE_BYTES as usize), RESERVE_BYTES as usize) };
        assert!(!heap.needs_reserve());
        let layout = Layout::from_size_align(256, 8).unwrap();
        let blocks = fill(&heap, layout);
        assert_eq!(blocks.len() as u64, (4096 + RESERVE_BYTES) / 256);
        assert!(heap.needs_reserve());
        assert_eq!(heap.usage(), Usage { used: 4096 + RESERVE_BYTES, total: 4096 + RESERVE_BYTES });
        for block in blocks {
            // SAFETY: allocated above with this layout, freed once.
            unsafe { heap.dealloc(block, layout) };
        }
        assert_eq!(heap.usage().used, 0);
    }

    #[test]
    fn a_fragmented_heap_still_serves_a_large_block_from_its_reserve() {
        let heap = Heap::new();
        // SAFETY: fresh memory, given to this heap alone.
        unsafe { heap.add(memory(4096), 4096) };
        let small = Layout::from_size_align(64, 8).unwrap();
        for block in fill(&heap, small).chunks(2) {
            // SAFETY: allocated above with this layout; every other block is freed, once.
            unsafe { heap.dealloc(block[0], small) };
        }
        // SAFETY: fresh memory, given to this heap alone.
        unsafe { heap.add_reserve(memory(RESERVE_BYTES as usize), RESERVE_BYTES as usize) };
        let large = Layout::from_size_align(16 << 10, 4096).unwrap();
        // SAFETY: the layout is not empty.
        let block = unsafe { heap.alloc(large) };
        assert!(!block.is_null() && block.addr() % 4096 == 0);
    }
    #[test]
    fn what_cannot_fit_is_refused_and_leaves_the_reserve_alone() {
        let heap = Heap::new();
        // SAFETY: fresh memory, given to this heap alone.
        unsafe { heap.add(memory(4096), 4096) };
        // SAFETY: fresh memory again, given to this heap alone.
        unsafe { heap.add_reserve(memory(RESERVE_BYTES as usize), RESERVE_BYTES as usize) };
        let too_large = Layout::from_size_align(RESERVE_BYTES as usize + 1, 8).unwrap();
        // SAFETY: the layout is not empty.
        assert!(unsafe { heap.alloc(too_large) }.is_null());
        assert!(!heap.needs_reserve() && !heap.has_room(too_large));
        assert!(heap.has_room(Layout::from_size_align(4096, 8).unwrap()));
        assert_eq!(heap.usage(), Usage { used: 0, total: 4096 });
    }
}

//! A machine for host tests: memory of this process, described as if it were RAM.
//!
//! Its frames have the numbers of their addresses, so that memory mapped at its physical address can be used.

use crate::arch::Tlb;
use crate::base::addr::{Mfn, PAGE_SIZE, PhysAddr};
use crate::frames::frametable::plan::{FrametablePlan, FrametableShape};
use crate::frames::frametable::table::FrameTable;
use crate::frames::page_alloc::PageAlloc;
use crate::heap::Heap;
use crate::memory::HostMemory;
use crate::mmu::PageTable;
use crate::mmu::pool::TablePool;
use crate::pdx::PdxMap;
use crate::vmap::Vmap;
use crate::vmap::over_mmu::OverMmu;
use core::ops::Range;
use core::ptr::NonNull;
use proptest::prelude::ProptestConfig;
use std::alloc::{Layout, alloc_zeroed};
use std::boxed::Box;
use std::vec;

/// `usual`, or `interpreted` where Miri runs the test, which takes a thousand times as long.
pub const fn unless_interpreted(usual: usize, interpreted: usize) -> usize {
    if cfg!(miri) { interpreted } else { usual }
}

/// A property test's configuration with `usual` cases, or one where Miri runs it.
pub fn cases(usual: usize) -> ProptestConfig {
    ProptestConfig::with_cases(unless_interpreted(usual, 1) as u32)
}

/// Zeroed memory that is never freed, as frames; aligned to `align` bytes.
pub fn memory(bytes: u64, align: u64) -> Range<Mfn> {
    let layout = Layout::from_size_align(bytes as usize, align as usize).expect("a layout");
    // SAFETY: the tests ask for at least a page.
    let start = unsafe { alloc_zeroed(layout) };
    let start = PhysAddr::new(start.expose_provenance() as u64);
    let first = Mfn::containing(start).expect("an address of 48 bits");
    first..first.checked_add(bytes / PAGE_SIZE).expect("an address of 48 bits")
}

/// `count` bytes that hold no zero and are never freed, aligned to a page.
pub fn garbage(count: u64) -> NonNull<u8> {
    let layout = Layout::from_size_align(count as usize, PAGE_SIZE as usize).expect("a layout");
    // SAFETY: the tests ask for at least a page.
    let start = NonNull::new(unsafe { alloc_zeroed(layout) }).expect("memory");
    // SAFETY: as many bytes were just allocated. Interpreted, this takes as long as one store, a loop an hour.
    unsafe { start.write_bytes(0x5a, count as usize) };
    start
}

/// A frametable for `banks`, uncompressed.
pub fn frametable(banks: &[Range<Mfn>]) -> &'static FrameTable {
    let pdx = PdxMap::none();
    let plan = FrametablePlan::new(banks, &pdx, 1 << 40, FrametableShape::default()).expect("a plan");
    let window = garbage(plan.contiguous_bytes());
    // SAFETY: memory for a table without holes, leaked, and used by nothing else.
    let table = unsafe { FrameTable::new(&plan.in_one_chunk(), banks, pdx, &[window], |bytes| bytes.fill(0)) };
    Box::leak(Box::new(table))
}

/// A hypervisor with `tables` page tables to begin with, and all of `ram` free.
pub fn host(ram: &Range<Mfn>, tables: u64) -> HostMemory {
    host_with(ram, ram, tables)
}

/// A hypervisor with `tables` page tables to begin with, and of `ram` only the part `free` free.
pub fn host_with(ram: &Range<Mfn>, free: &Range<Mfn>, tables: u64) -> HostMemory {
    let mut pool = TablePool::new();
    let first = memory(tables * PAGE_SIZE, PAGE_SIZE);
    // SAFETY: memory of the pool's own, whose provenance is exposed.
    unsafe { pool.add(first.start.address()..first.end.address(), |page| page.fill(0)) };
    let vmap = Box::leak(Box::new(Vmap::new(OverMmu::new(PageTable::new(pool, Tlb).expect("a root table")))));
    let table = frametable(core::slice::from_ref(ram));
    let heap = Box::leak(Box::new(Heap::new()));
    HostMemory::new(table, PageAlloc::new(table, vec![free.clone()]), vmap, heap)
}

//! An address space on a CPU with an MMU.

use crate::arch::aarch64::{cpu, mmu};
use crate::arch::{self, Tlb};
use crate::base::addr::{Mfn, PhysAddr, VirtAddr};
use crate::base::attributes::Attributes;
use crate::frames::boot_alloc::FramePlacement;
use crate::heap::Heap;
use crate::mmu::pool::TablePool;
use crate::mmu::{PageTable, PageTableError};
use crate::vmap::over_mmu::OverMmu;
use crate::vmap::{Vmap, VmapError};
use core::ops::Range;
use lacuna_boot::Layout;

/// How much of the early pool becomes page tables; the rest is the first heap.
const EARLY_TABLE_BYTES: u64 = 64 << 10;

/// The memory that EL2 keeps for heap and page tables from the start, in bytes: one block, one translation.
pub const POOL_BYTES: u64 = 2 << 20;

/// How much of it becomes page tables: enough for a frametable in 40 pieces, each far from the others.
const POOL_TABLE_BYTES: u64 = 256 << 10;

pub use MmuStartError as BackendError;

/// Why there are no page tables.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum MmuStartError {
    /// The CPU's page tables cannot have 4 KiB pages.
    #[error("this CPU has no 4 KiB translation granule (ID_AA64MMFR0_EL1.TGran4)")]
    Granule,
    /// The CPU runs EL2 only as a host.
    #[error("this CPU cannot run EL2 without its host extensions (HCR_EL2.E2H is 1)")]
    HostExtensions,
    /// The image is somewhere it cannot be mapped.
    #[error("image cannot be mapped where it is: {0}")]
    Image(#[from] PageTableError),
    /// The early pool is too small.
    #[error("{EARLY_TABLE_BYTES} bytes are too few for the first page tables")]
    NoTables,
}

/// Checks that this CPU has the translation that the image is built for.
pub(super) fn check() -> Result<(), MmuStartError> {
    if mmu::host_extensions_forced() {
        return Err(MmuStartError::HostExtensions);
    }
    if !cpu::has_4k_granule() {
        return Err(MmuStartError::Granule);
    }
    Ok(())
}

/// Builds page tables for the image and turns the MMU and the caches on.
///
/// # Errors
///
/// [`MmuStartError::Image`] or [`MmuStartError::NoTables`]; the MMU is off then.
///
/// # Safety
///
/// To be called once, on the boot CPU, with the MMU and the data cache off, as the entry code leaves them. The image's
/// pool must be used by nobody; it becomes the first page tables and the first memory of `heap`.
pub unsafe fn enable(layout: &Layout, heap: &Heap) -> Result<Vmap, MmuStartError> {
    let heap_start = layout.pool.start + EARLY_TABLE_BYTES;
    let mut pool = TablePool::new();
    let tables = PhysAddr::new(layout.pool.start)..PhysAddr::new(heap_start);
    // SAFETY: the caller keeps this memory for the tables. It is at its physical address, now and once it is mapped. DC ZVA
    // faults while the MMU is off, so `fill` it is.
    unsafe { pool.add(tables, |page| page.fill(0)) };
    let mut table = PageTable::new(pool, Tlb).ok_or(MmuStartError::NoTables)?;
    for (part, attributes) in super::parts(layout) {
        let (va, bytes) = (VirtAddr::new(part.start.get()), part.bytes());
        table.map(va, part.start, bytes, attributes)?;
    }
    let root = table.root();
    // SAFETY: the data cache is off, as the caller promises.
    unsafe { lacuna_boot::invalidate_image() };
    // SAFETY: the tables map all of the image at its physical address, code executable and the rest as its use demands, and
    // the MMU is off. The line above cleaned the data cache to memory.
    unsafe { mmu::enable(root) };
    // SAFETY: the rest of the pool, mapped read-write by now.
    unsafe { heap.add(heap_start as usize, (layout.pool.end - heap_start) as usize) };
    Ok(Vmap::new(OverMmu::new(table)))
}

/// Where the pool can be mapped by one block.
pub(super) const POOL_PLACEMENT: FramePlacement = FramePlacement::aligned(POOL_BYTES);

/// Maps `pool`, and gives it to page tables and heap.
///
/// # Errors
///
/// [`VmapError`] if it cannot be mapped at its address; nothing has changed then.
///
/// # Safety
///
/// `pool` must be RAM that nobody uses, at least [`POOL_BYTES`].
pub(super) unsafe fn give_pool(vmap: &Vmap, heap: &Heap, pool: &Range<Mfn>) -> Result<(), VmapError> {
    vmap.map_identity(pool, Attributes::DATA)?;
    let (start, end) = (pool.start.address(), pool.end.address());
    let middle = PhysAddr::new(start.get() + POOL_TABLE_BYTES);
    // SAFETY: the frames were just mapped read-write at their address, and are nobody's else.
    vmap.with_table(|table| unsafe { table.source_mut().add(start..middle, arch::zero) });
    // SAFETY: what did not become page tables was mapped read-write at its address with them, and is used by nobody.
    unsafe { heap.add(middle.get() as usize, (end.get() - middle.get()) as usize) };
    Ok(())
}

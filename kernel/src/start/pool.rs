//! EL2's first memory beside the image: heap, and page tables where there are any.
//!
//! It is found before the device tree is read, because the facts of the tree are stored there. Where it cannot be found
//! so early, the image's own heap must suffice until there is a memory map.

use super::backend::{POOL_BYTES, POOL_PLACEMENT, give_pool};
use super::probe;
use super::tree::DeviceTree;
use crate::base::addr::{Mfn, PAGE_SIZE, PhysAddr, Span};
use crate::devtree::Survey;
use crate::frames::boot_alloc::{BootAlloc, BootAllocError};
use crate::heap::Heap;
use crate::trap::exceptions;
use crate::vmap::{Vmap, VmapError};
use core::ops::Range;
use lacuna_boot::Layout;

const POOL: &str = "the memory pool";

/// Why EL2 gets no memory of its own.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PoolError {
    /// There is too little.
    #[error(transparent)]
    Memory(#[from] BootAllocError),
    /// It cannot be mapped.
    #[error(transparent)]
    Mapping(#[from] VmapError),
}

/// Takes the pool beside the image, as large as it takes to read `tree`, and gives it to heap and page tables. It must be
/// claimed from the boot allocator by [`add_pool`]. `None` if there is no room that is free for certain; nothing has changed
/// then, and `add_pool` takes it.
///
/// # Safety
///
/// To be called once, before any memory beside the image is in use.
#[inline(never)]
pub unsafe fn early_pool(
    vmap: &Vmap,
    heap: &Heap,
    layout: &Layout,
    tree: &DeviceTree<'_>,
    limit: PhysAddr,
) -> Option<Range<Mfn>> {
    let survey = Survey::new(tree.bytes()).ok()?;
    let image = layout.image();
    let image = Span { start: PhysAddr::new(image.start), end: PhysAddr::new(image.end) };
    // A tree in the image lies where the image does.
    let owned = [image, tree.span().unwrap_or(image)];
    let span = survey.free_beside(&owned, limit, survey.heap_bytes())?;
    let pool = Mfn::containing(span.start)?..Mfn::containing(span.end)?;
    exceptions::with_serror(|| probe::check(vmap, &pool))?.ok()?;
    // SAFETY: RAM by the device tree, which names no owner for it; the image and the tree are elsewhere, and the caller knows of
    // nobody else.
    unsafe { give_pool(vmap, heap, &pool) }.ok()?;
    Some(pool)
}

/// Claims `early`, the pool that is in use already, from `frames`, or takes it from there.
///
/// # Errors
///
/// [`PoolError`] if there is too little memory, or if it cannot be mapped.
///
/// # Safety
///
/// `frames` must hold RAM that nobody uses but for the early pool.
pub unsafe fn add_pool(
    vmap: &Vmap,
    heap: &Heap,
    frames: &mut BootAlloc,
    early: Option<&Range<Mfn>>,
) -> Result<(), PoolError> {
    if let Some(pool) = early {
        return Ok(frames.claim(POOL, pool)?);
    }
    let pool = frames.alloc(POOL, POOL_BYTES / PAGE_SIZE, POOL_PLACEMENT)?;
    // SAFETY: the frames were just allocated for this.
    Ok(unsafe { give_pool(vmap, heap, &pool) }?)
}

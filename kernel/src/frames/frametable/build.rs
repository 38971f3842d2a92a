//! From a plan to a table: memory for each chunk, and its mapping.

use crate::arch;
use crate::arch::memory_system::MemorySystem;
use crate::base::addr::{Mfn, PAGE_SIZE};
use crate::base::sort;
use crate::frames::boot_alloc::{BootAlloc, BootAllocError};
use crate::frames::frametable::plan::{Chunk, Form, FrametablePlan};
use crate::frames::frametable::table::FrameTable;
use crate::memory_map::MemoryMap;
use crate::pdx::PdxMap;
use crate::vmap::{Vmap, VmapError};
use alloc::vec;
use alloc::vec::Vec;
use core::ops::Range;
use core::ptr::NonNull;

/// Lays the table out in `form`, where there is a choice: on an MPU. On an MMU holes cost nothing in any case.
pub fn in_form(plan: FrametablePlan, form: Form) -> FrametablePlan {
    match (MemorySystem::of_image(), form) {
        (MemorySystem::Mpu, Form::Contiguous) => plan.in_one_chunk(),
        (MemorySystem::Mmu, _) | (MemorySystem::Mpu, Form::Directory) => plan,
    }
}

/// Takes memory for each chunk of `plan`, in the plan's order, where it can be mapped with the fewest translations.
///
/// # Errors
///
/// [`BootAllocError`] if some chunk fits nowhere.
pub fn allocate(plan: &FrametablePlan, frames: &mut BootAlloc) -> Result<Vec<Range<Mfn>>, BootAllocError> {
    let mut place = |chunk: &Chunk| {
        let mut last = Err(BootAllocError::Empty { what: WHAT });
        for placement in chunk.placements() {
            last = frames.alloc(WHAT, chunk.bytes / PAGE_SIZE, placement);
            if last.is_ok() {
                break;
            }
        }
        last
    };
    plan.chunks().iter().map(&mut place).collect()
}

const WHAT: &str = "a chunk of the frametable";

/// Maps `chunks`, the memory of the plan's chunks in order, and makes the table in them.
///
/// # Errors
///
/// [`VmapError`] if the page tables cannot take them.
///
/// # Safety
///
/// - `chunks` must come from [`allocate`] for the same plan, and their memory be used for nothing else.
/// - `plan` must have been made for the banks of `memory` and for `pdx`.
/// - To be called once.
pub unsafe fn build(
    vmap: &Vmap,
    plan: &FrametablePlan,
    chunks: &[Range<Mfn>],
    memory: &MemoryMap,
    pdx: PdxMap,
) -> Result<FrameTable, VmapError> {
    let starts = map(plan, chunks, |offset, frames| vmap.map_frametable(offset, frames))?;
    // SAFETY: each chunk was just mapped read-write, for good, on memory that the caller gives to it. The plan goes with
    // banks and compression, as the caller promises.
    Ok(unsafe { FrameTable::new(plan, memory.banks(), pdx, &starts, arch::zero) })
}

/// Maps `chunks` with `map`, which is given each one's offset in the window, and returns where they are, in the plan's order.
///
/// They are mapped from the lowest frame up: memory right above what it has locked costs an MPU no further slot, and the boot
/// allocator gives frames from the top down, so in the plan's order each chunk would lie right below the one before.
fn map<E>(
    plan: &FrametablePlan,
    chunks: &[Range<Mfn>],
    mut map: impl FnMut(u64, &Range<Mfn>) -> Result<NonNull<u8>, E>,
) -> Result<Vec<NonNull<u8>>, E> {
    let mut starts = vec![NonNull::dangling(); chunks.len()];
    let mut places: Vec<_> = plan.chunks().iter().zip(chunks).zip(&mut starts).collect();
    sort::by_key(&mut places, |((_, frames), _)| frames.start);
    for ((chunk, frames), start) in places {
        *start = map(chunk.offset, frames)?;
    }
    Ok(starts)
}

#[cfg(test)]
mod tests {
    use super::{allocate, map};
    use crate::base::addr::{Frames, Mfn, PAGE_SIZE, PhysAddr};
    use crate::frames::boot_alloc::BootAlloc;
    use crate::frames::frametable::plan::{FrametablePlan, FrametableShape};
    use crate::mpu::BootRegions;
    use crate::mpu::fake::Fake;
    use crate::pdx::{GROUP_PAGES, PdxMap};
    use crate::vmap::Vmap;
    use crate::vmap::over_mpu::OverMpu;
    use std::vec::Vec;

    /// Four chunks for four banks with holes between them, all in one piece of the highest bank.
    #[test]
    fn adjacent_chunks_take_one_slot_of_an_mpu() {
        let frame = |number| Mfn::new(number).unwrap();
        let banks: Vec<_> =
            [1, 3, 5, 7].map(|group| frame(group * GROUP_PAGES)..frame((group + 1) * GROUP_PAGES)).into();
        let plan = FrametablePlan::new(&banks, &PdxMap::none(), u64::MAX, FrametableShape::default()).unwrap();
        let chunks = allocate(&plan, &mut BootAlloc::new(banks.iter().cloned())).unwrap();
        let lowest = chunks.iter().map(|chunk| chunk.start).min().unwrap();
        let bytes: u64 = chunks.iter().map(Frames::bytes).sum();
        assert_eq!(frame(lowest.get() + bytes / PAGE_SIZE), banks[3].end, "the chunks lie in one piece");

        let fake = Fake::new(16);
        let mut regions = BootRegions::new(fake.clone());
        regions.program();
        fake.turn_on(&[], &[]);
        let vmap = Vmap::new(OverMpu::new(regions.into_table()));
        let starts = map(&plan, &chunks, |offset, frames| vmap.map_frametable(offset, frames)).unwrap();
        assert_eq!(vmap.with_table(|table| table.slots()), (16, 15));
        let places = starts.iter().map(|start| PhysAddr::new(start.addr().get() as u64));
        assert!(places.eq(chunks.iter().map(|chunk| chunk.start.address())), "the plan's order was lost");
    }
}

//! From a plan to a table: memory for each chunk, and its mapping.

use crate::addr::{Mfn, PAGE_SIZE};
use crate::arch;
use crate::arch::memory_system::MemorySystem;
use crate::boot_alloc::{BootAlloc, BootAllocError};
use crate::frametable::plan::{Chunk, Plan};
use crate::frametable::table::FrameTable;
use crate::memory_map::MemoryMap;
use crate::options::Form;
use crate::pdx::PdxMap;
use crate::vmap::{Vmap, VmapError};
use alloc::vec::Vec;
use core::ops::Range;

/// Lays the table out in `form`, where there is a choice: on an MPU. On an MMU holes cost nothing in any case.
pub fn in_form(plan: Plan, form: Form) -> Plan {
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
pub fn allocate(plan: &Plan, frames: &mut BootAlloc) -> Result<Vec<Range<Mfn>>, BootAllocError> {
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
    plan: &Plan,
    chunks: &[Range<Mfn>],
    memory: &MemoryMap,
    pdx: PdxMap,
) -> Result<FrameTable, VmapError> {
    let starts = plan.chunks().iter().zip(chunks).map(|(chunk, frames)| vmap.map_frametable(chunk.offset, frames));
    let starts: Vec<_> = starts.collect::<Result<_, _>>()?;
    // SAFETY: each chunk was just mapped read-write, for good, on memory that the caller gives to it. The plan goes with
    // banks and compression, as the caller promises.
    Ok(unsafe { FrameTable::new(plan, memory.banks(), pdx, &starts, arch::zero) })
}

//! Tests of the MPU: few regions, and references to them.

use super::memory::{ME, READ_NOT_MAPPED, read, text, with_frames, write};
use super::{Subject, Verdict, execution_is_forbidden, expect_fault, read_faults, write_is_forbidden};
use crate::arch;
use crate::arch::aarch64::mpu::{MPUIR_EL2, PRENR_EL2};
use crate::arch::pmsa::decode;
use crate::arch::syndrome::{Class, Direction, FaultKind};
use crate::base::addr::{Bytes, Frames, Mfn, PAGE_SIZE, Pdx, VirtAddr};
use crate::base::attributes::{self, Attributes};
use crate::frames::frametable::plan::{FrametablePlan, FrametableShape};
use crate::frames::frametable::table::FrameTable;
use crate::memory::HostMemory;
use crate::mpu::{Region, RegionError, RegionKind};
use crate::pdx::GROUP_PAGES;
use crate::testing::examples::{self, Ground};
use crate::vmap::over_mpu::MpuError;
use crate::vmap::{FRAMETABLE_SPAN, Mapping, VmapError};
use aarch64_cpu::registers::{Readable, SCTLR_EL2};
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

tests!(mpu:
    the_background_region_is_off
    no_more_regions_are_enabled_than_the_table_knows
    the_registers_hold_what_the_table_says
    nothing_is_writable_and_executable
    the_worked_examples_give_their_results
    a_mapping_of_own_memory_takes_no_region
    an_access_outside_every_region_faults
    a_region_allows_what_it_says_and_no_more
    scattered_frames_are_refused
    all_regions_can_be_filled_and_emptied
    adjacent_regions_share_when_they_run_short_and_part_again
    the_frametable_has_no_memory_for_holes
    both_forms_of_the_frametable_give_the_same_answers
);

const WRITE_NOT_MAPPED: Class = Class::DataAbort(FaultKind::Translation, Direction::Write);

/// How many slots are in use, and how many there are.
fn slots(host: &HostMemory) -> (usize, usize) {
    let (all, free) = host.vmap().with_table(|table| table.slots());
    (all - free, all)
}

/// How many regions there are that a mapping's end takes away.
fn dynamic(host: &HostMemory) -> usize {
    let is_dynamic = |kind| kind == RegionKind::Dynamic;
    host.vmap().with_table(|table| table.regions().iter().filter(|region| is_dynamic(region.kind())).count())
}

fn the_background_region_is_off(subject: &Subject<'_>) -> Verdict {
    /// SCTLR_EL2.BR (DDI 0600, G1.3).
    const BR: u64 = 1 << 17;
    ensure!(SCTLR_EL2.get() & BR == 0, "SCTLR_EL2.BR is set: {:#x}", SCTLR_EL2.get());
    let (_, max) = slots(subject.host);
    ensure!(MPUIR_EL2.get() & 0xff == max as u64, "MPUIR_EL2 is {:#x}, the table has {max} slots", MPUIR_EL2.get());
    Ok(())
}

fn no_more_regions_are_enabled_than_the_table_knows(subject: &Subject<'_>) -> Verdict {
    let known = subject.host.vmap().with_table(|table| {
        let slots = table.regions().iter().map(|region| region.slot().get()).filter(|slot| *slot < 32);
        slots.fold(0_u64, |bits, slot| bits | 1 << slot)
    });
    let enabled = PRENR_EL2.get();
    ensure!(enabled == known, "regions {enabled:#x} are enabled, {known:#x} are in the table");
    Ok(())
}

fn the_registers_hold_what_the_table_says(subject: &Subject<'_>) -> Verdict {
    // A mapping of its own, beside those that are always there.
    with_frames(subject, 1, |host, first| {
        let mapping = host.vmap_contig(first, 2, Attributes::CONSTANTS).map_err(text)?;
        let regions: Vec<Region> = host.vmap().with_table(|table| table.regions().to_vec());
        ensure!(regions.iter().any(|region| region.span().start == first.address()), "{mapping:?} is in no region");
        for region in regions {
            let (base, limit) = host.vmap().with_table(|table| table.registers().read_back(region.slot()));
            let held = decode(base, limit).ok_or_else(|| format!("slot {} is disabled", region.slot().get()))?;
            // Regions may share a slot.
            ensure!(
                held.0.contains(&region.span()) && held.1 == region.attributes(),
                "slot {} holds {} as {}, not {} as {}",
                region.slot().get(),
                held.0,
                held.1,
                region.span(),
                region.attributes()
            );
        }
        Ok(())
    })
}

fn nothing_is_writable_and_executable(subject: &Subject<'_>) -> Verdict {
    let text = lacuna_boot::layout().text;
    let outside: Option<String> = subject.host.vmap().with_table(|table| {
        let executable = |access| access == attributes::Access::ReadExecute;
        let mut regions = table.regions().iter().filter(|region| executable(region.attributes().access()));
        regions
            .find(|region| region.span().start.get() != text.start || region.span().end.get() != text.end)
            .map(|region| format!("{} is executable and not the image's text", region.span()))
    });
    outside.map_or(Ok(()), Err)
}

fn the_worked_examples_give_their_results(subject: &Subject<'_>) -> Verdict {
    let host = subject.host;
    // Memory of EL2's own: a part of the frametable's first chunk, which is locked.
    let chunk = subject.plan.chunks().first().ok_or("a frametable without chunks")?;
    let own = host.table().addresses(chunk).start;
    let own = Mfn::containing(crate::base::addr::PhysAddr::new(own.get())).ok_or("no frame")?;
    with_frames(subject, Ground::FRAMES.ilog2(), |host, free| {
        let ground = Ground { own, free };
        examples::ALL.iter().try_for_each(|example| example.run(host.vmap(), &ground, |_| None))
    })
}

fn a_mapping_of_own_memory_takes_no_region(subject: &Subject<'_>) -> Verdict {
    let pool = subject.host.vmap().with_table(|table| {
        let is_own = |region: &&Region| region.kind() == RegionKind::Heap && region.attributes() == Attributes::DATA;
        table.regions().iter().find(is_own).map(|region| region.span())
    });
    let pool = pool.ok_or("no region of the pool")?;
    let before = slots(subject.host);
    let first = Mfn::containing(pool.start).ok_or("no frame")?;
    let mapping = subject.host.vmap_contig(first, 4, Attributes::DATA).map_err(text)?;
    ensure!(slots(subject.host) == before, "{before:?} slots before, {:?} after", slots(subject.host));
    drop(mapping);
    // It is still there for whom it belongs to.
    let byte = core::ptr::with_exposed_provenance::<u8>(pool.start.get() as usize);
    // SAFETY: the pool stays accessible; any byte is a valid one.
    unsafe { byte.read_volatile() };
    ensure!(slots(subject.host) == before, "a slot went with the mapping");
    Ok(())
}

fn an_access_outside_every_region_faults(subject: &Subject<'_>) -> Verdict {
    with_frames(subject, 0, |_, first| {
        let address = first.address().get();
        read_faults(address, READ_NOT_MAPPED)?;
        let byte = core::ptr::with_exposed_provenance_mut::<u8>(address as usize);
        // SAFETY: the write faults, and if not, the frame is the test's.
        let write = || unsafe { byte.write_volatile(0) };
        // SAFETY: the closure owns nothing.
        let fault = unsafe { expect_fault(WRITE_NOT_MAPPED, write) }?;
        ensure!(fault.address.get() == address, "the fault is at {}, not at {address:#x}", fault.address);
        // SAFETY: the call faults, and nothing is executed.
        let function: extern "C" fn() = unsafe { core::mem::transmute(address as usize) };
        // SAFETY: the closure owns nothing.
        let fault = unsafe { expect_fault(Class::InstructionAbort(FaultKind::Translation), || function()) }?;
        ensure!(fault.address.get() == address, "the fault is at {}, not at {address:#x}", fault.address);
        Ok(())
    })
}

fn a_region_allows_what_it_says_and_no_more(subject: &Subject<'_>) -> Verdict {
    with_frames(subject, 2, |host, first| {
        let address = first.address().get();
        for attributes in [Attributes::DATA, Attributes::CONSTANTS, Attributes::DEVICE] {
            let mapping = host.vmap_contig(first, 2, attributes).map_err(text)?;
            read(&mapping, 0);
            match attributes.access() {
                attributes::Access::ReadWrite => write(&mapping, 2 * PAGE_SIZE - 8, 1),
                attributes::Access::ReadOnly | attributes::Access::ReadExecute => write_is_forbidden(address)?,
            }
            execution_is_forbidden(address)?;
            read_faults(address + 2 * PAGE_SIZE, READ_NOT_MAPPED)?;
        }
        Ok(())
    })
}

fn scattered_frames_are_refused(subject: &Subject<'_>) -> Verdict {
    with_frames(subject, 2, |host, first| {
        let frame = |index| first.checked_add(index).unwrap_or(first);
        let refusal = host.vmap_frames(&[frame(0), frame(2)], Attributes::DATA);
        ensure!(matches!(refusal, Err(VmapError::Backend(MpuError::Scattered { .. }))), "frames apart: {refusal:?}");
        let mapping = host.vmap_frames(&[frame(1), frame(2), frame(3)], Attributes::DATA).map_err(text)?;
        ensure!(mapping.address().get() == frame(1).address().get(), "mapped at {}", mapping.address());
        ensure!(mapping.bytes() == 3 * PAGE_SIZE, "{:#x} bytes are mapped", mapping.bytes());
        Ok(())
    })
}

fn all_regions_can_be_filled_and_emptied(subject: &Subject<'_>) -> Verdict {
    // Every other frame, so that no two regions are adjacent.
    let order = 9;
    with_frames(subject, order, |host, first| {
        let before = slots(host);
        let mut mappings: Vec<Mapping<'_>> = Vec::new();
        let refusal = loop {
            let frame = first.checked_add(2 * mappings.len() as u64).ok_or("no frame")?;
            match host.vmap_contig(frame, 1, Attributes::DATA) {
                Ok(mapping) => mappings.push(mapping),
                Err(error) => break error,
            }
        };
        let (used, max) = slots(host);
        let exhausted = matches!(refusal, VmapError::Backend(MpuError::Region(RegionError::Exhausted { used: u, max: m, wanted: 1 })) if u == used && m == max);
        ensure!(exhausted, "region {} more: {refusal}", mappings.len());
        ensure!(
            used == max && mappings.len() == max - before.0,
            "{used} of {max} slots with {} mappings",
            mappings.len()
        );
        for (mapping, value) in mappings.iter().zip(0..) {
            write(mapping, 0, value);
        }
        for (mapping, value) in mappings.iter().zip(0..) {
            ensure!(read(mapping, 0) == value, "region {value} shows {}", read(mapping, 0));
            read_faults(mapping.address().get() + PAGE_SIZE, READ_NOT_MAPPED)?;
        }
        // From the middle out, the highest numbers among them.
        while !mappings.is_empty() {
            let mapping = mappings.swap_remove(mappings.len() / 2);
            let address = mapping.address().get();
            drop(mapping);
            read_faults(address, READ_NOT_MAPPED)?;
        }
        ensure!(slots(host) == before, "{before:?} slots before, {:?} after", slots(host));
        no_more_regions_are_enabled_than_the_table_knows(subject)
    })
}

fn adjacent_regions_share_when_they_run_short_and_part_again(subject: &Subject<'_>) -> Verdict {
    with_frames(subject, 9, |host, first| {
        let before = slots(host);
        let (free, regions) = (before.1 - before.0, dynamic(host));
        let mut mappings: Vec<Option<Mapping<'_>>> = Vec::new();
        while mappings.len() < 512 {
            let index = mappings.len() as u64;
            let frame = first.checked_add(index).ok_or("no frame")?;
            let Ok(mapping) = host.vmap_contig(frame, 1, Attributes::DATA) else { break };
            write(&mapping, 0, index);
            mappings.push(Some(mapping));
        }
        // A row of pages needs half as many slots, for that many remain alone if every other one goes.
        let count = mappings.len();
        ensure!(count > free * 3 / 2 && count <= 2 * free, "{count} pages in a row took {free} slots");
        ensure!(slots(host).0 <= before.1, "{:?} slots", slots(host));
        // Every third goes: each from the middle of what it shares.
        for index in (1..count).step_by(3) {
            let Some(mapping) = mappings.get_mut(index).and_then(Option::take) else { continue };
            let address = mapping.address().get();
            drop(mapping);
            read_faults(address, READ_NOT_MAPPED)?;
        }
        for (mapping, value) in mappings.iter().zip(0..) {
            let Some(mapping) = mapping else { continue };
            ensure!(read(mapping, 0) == value, "page {value} shows {}", read(mapping, 0));
        }
        mappings.clear();
        for index in 0..count as u64 {
            read_faults(first.address().get() + index * PAGE_SIZE, READ_NOT_MAPPED)?;
        }
        // The records of so many mappings may have taken a region of their own, for good.
        ensure!(dynamic(host) == regions, "{regions} regions before, {} after", dynamic(host));
        no_more_regions_are_enabled_than_the_table_knows(subject)
    })
}

fn the_frametable_has_no_memory_for_holes(subject: &Subject<'_>) -> Verdict {
    let (table, groups) = (subject.host.table(), subject.plan.groups());
    for group in 0..groups.span() {
        let pdx = Pdx::new(groups.base().get() + group * GROUP_PAGES);
        let page = table.pdx().mfn(pdx).and_then(|mfn| table.page(mfn));
        ensure!(page.is_some() == groups.contains(pdx), "{pdx:?}: valid {}", groups.contains(pdx));
    }
    let whole = subject.plan.contiguous_bytes();
    let size = subject.plan.frametable_bytes();
    let valid = groups.count_valid() * GROUP_PAGES * 8;
    ensure!(size <= valid || size == whole, "{} for {} groups", Bytes(size), groups.count_valid());
    for chunk in subject.plan.chunks() {
        let addresses = table.addresses(chunk);
        let mapped = subject.host.vmap().translate(VirtAddr::new(addresses.end.get() - 1));
        ensure!(mapped.is_some_and(|(_, attributes)| attributes == Attributes::DATA), "{addresses:?} is not mapped");
    }
    Ok(())
}

fn both_forms_of_the_frametable_give_the_same_answers(subject: &Subject<'_>) -> Verdict {
    let (host, table) = (subject.host, subject.host.table());
    let plan =
        FrametablePlan::new(table.banks(), table.pdx(), FRAMETABLE_SPAN, FrametableShape::default()).map_err(text)?;
    let other = if subject.plan.chunks() == plan.chunks() { plan.in_one_chunk() } else { plan };
    let frames = other.frametable_bytes().div_ceil(PAGE_SIZE).next_power_of_two();
    let memory = host.alloc(frames.ilog2(), ME).map_err(text)?;
    let verdict = compare_forms(subject, &other, memory);
    host.free(memory, frames.ilog2()).map_err(text)?;
    verdict
}

/// Makes the table of `plan` in the frames from `memory` on, and compares it with the one in use.
fn compare_forms(subject: &Subject<'_>, plan: &FrametablePlan, memory: Mfn) -> Verdict {
    let (host, table) = (subject.host, subject.host.table());
    let frames = plan.frametable_bytes().div_ceil(PAGE_SIZE);
    let mapping = host.vmap_contig(memory, frames, Attributes::DATA).map_err(text)?;
    // From the top down, so that the chunks do not lie as in one array.
    let mut at = mapping.bytes() as usize;
    let chunks = plan.chunks().iter().map(|chunk| {
        at -= chunk.bytes as usize;
        // SAFETY: the chunks fit the mapping, one before the other.
        unsafe { mapping.as_ptr().byte_add(at) }
    });
    let chunks: Vec<_> = chunks.collect();
    // SAFETY: the chunks are mapped, and belong to this table, until after it is gone; the plan was made for these banks.
    let other = unsafe { FrameTable::new(plan, table.banks(), table.pdx().clone(), &chunks, arch::zero) };
    for bank in table.banks() {
        let edges = [bank.start, bank.end, bank.start.checked_add(bank.count() / 2).ok_or("no frame")?];
        for edge in edges.into_iter().flat_map(|edge| edge.get().saturating_sub(2)..edge.get() + 2) {
            let Some(mfn) = Mfn::new(edge) else { continue };
            let (ours, others) = ((table.is_ram(mfn), table.page(mfn)), (other.is_ram(mfn), other.page(mfn)));
            ensure!(ours == others, "{mfn:?}: {ours:?} and {others:?}");
            if let Some(page) = others.1 {
                ensure!(other.mfn(page) == Some(mfn) && other.entry(page).is_zero(), "{mfn:?}: another entry");
            }
        }
    }
    Ok(())
}

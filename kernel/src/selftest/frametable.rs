//! The frametable: which parts are mapped, and the contents of its entries.

use super::{Subject, Verdict};
use crate::arch;
use crate::base::addr::{Mfn, PAGE_SIZE, Pdx};
use crate::base::attributes::Attributes;
use crate::frames::frametable::page_info::{FrameOwner, RefError};
use crate::frames::frametable::plan::{FrametablePlan, FrametableShape};
use crate::frames::frametable::table::FrameTable;
use crate::pdx::{GROUP_PAGES, PdxMap};
use alloc::format;
use alloc::string::ToString;

tests!(frametable:
    entries_are_zero_but_those_of_allocated_frames
    ghosts_refuse_references
    the_tail_of_the_last_page_is_filled
);

const ENTRY_BYTES: u64 = 8;

fn entries_are_zero_but_those_of_allocated_frames(subject: &Subject<'_>) -> Verdict {
    let table = subject.host.table();
    let mut allocated = 0;
    for run in subject.plan.groups().runs() {
        for pdx in run.start.get()..run.end.get() {
            let Some(page) = table.pdx().mfn(Pdx::new(pdx)).and_then(|mfn| table.page(mfn)) else {
                return Err(format!("pdx {pdx:#x} is in a valid group and has no page"));
            };
            let entry = table.entry(page);
            if entry.is_zero() {
                continue;
            }
            allocated += 1;
            let (owner, references) = (entry.owner(), entry.references());
            ensure!(
                entry.is_allocated() && owner == FrameOwner::HYPERVISOR && references == 1,
                "entry of pdx {pdx:#x} is neither zero nor allocated: {entry:?}"
            );
        }
    }
    let grown = subject.host.grown_bytes() / PAGE_SIZE;
    ensure!(allocated == grown, "{allocated} entries are not zero, {grown} frames are allocated");
    Ok(())
}

/// A table of its own, for RAM that starts inside a group and ends inside a page of entries.
fn with_table_of_ghosts(subject: &Subject<'_>, check: impl FnOnce(&FrameTable, &[u8]) -> Verdict) -> Verdict {
    let frame = |number| Mfn::new(number).unwrap_or_else(|| unreachable!("below 2^40"));
    let banks = [frame(GROUP_PAGES + 0x10)..frame(GROUP_PAGES + 0x20)];
    let pdx = PdxMap::none();
    let plan =
        FrametablePlan::new(&banks, &pdx, PAGE_SIZE, FrametableShape::default()).map_err(|error| error.to_string())?;
    let memory = subject.host.alloc(0, FrameOwner::HYPERVISOR).map_err(|error| error.to_string())?;
    let verdict =
        subject.host.vmap_contig(memory, 1, Attributes::DATA).map_err(|error| error.to_string()).and_then(|mapping| {
            // SAFETY: one chunk of one page, mapped read-write at the window's start until after the table is gone, in a
            // frame that was allocated for it.
            let table = unsafe { FrameTable::new(&plan, &banks, pdx.clone(), &[mapping.as_ptr()], arch::zero) };
            // SAFETY: the page is mapped while `mapping` lives, and its entries are not changed meanwhile.
            let bytes = unsafe { core::slice::from_raw_parts(mapping.as_ptr().as_ptr(), PAGE_SIZE as usize) };
            check(&table, bytes)
        });
    subject.host.free(memory, 0).map_err(|error| error.to_string())?;
    verdict
}

fn ghosts_refuse_references(subject: &Subject<'_>) -> Verdict {
    with_table_of_ghosts(subject, |table, _| {
        for number in GROUP_PAGES..GROUP_PAGES + 0x20 {
            let Some(mfn) = Mfn::new(number) else { continue };
            let ghost = number < GROUP_PAGES + 0x10;
            ensure!(table.is_ram(mfn) != ghost, "{mfn:?}: RAM {}", table.is_ram(mfn));
            let Some(page) = table.page(mfn) else { return Err(format!("{mfn:?} has no page info")) };
            for owner in [FrameOwner::HYPERVISOR, FrameOwner::NONE] {
                let got = table.entry(page).get(owner);
                ensure!(got == Err(RefError::NotAllocated), "{mfn:?} gives {owner} {got:?}");
            }
        }
        let beyond = Mfn::new(GROUP_PAGES + 0x20).is_some_and(|mfn| table.has_page_info(mfn));
        ensure!(!beyond, "the first frame past the end of RAM has page info");
        Ok(())
    })?;
    // The real table's ghosts, if this machine has any: below the first bank, in its group.
    let table = subject.host.table();
    let Some(first) = table.banks().first() else { return Err("no RAM".to_string()) };
    for number in first.start.get() & !(GROUP_PAGES - 1)..first.start.get() {
        let Some(mfn) = Mfn::new(number) else { continue };
        ensure!(!table.is_ram(mfn) && table.has_page_info(mfn), "{mfn:?} should be a ghost");
        ensure!(subject.host.get_page(mfn, FrameOwner::HYPERVISOR).is_err(), "ghost {mfn:?} gives a reference");
    }
    Ok(())
}

fn the_tail_of_the_last_page_is_filled(subject: &Subject<'_>) -> Verdict {
    with_table_of_ghosts(subject, |_, bytes| {
        let (entries, tail) = bytes.split_at(0x20 * ENTRY_BYTES as usize);
        ensure!(entries.iter().all(|byte| *byte == 0), "an entry is not zero");
        ensure!(tail.iter().all(|byte| *byte == 0xff), "a byte behind the last entry is not 0xff");
        Ok(())
    })?;
    let Some(last) = subject.plan.chunks().last() else { return Err("a frametable without chunks".to_string()) };
    let tail = subject.host.table().addresses(last).end.get() - last.tail_bytes;
    for address in tail..tail + last.tail_bytes {
        let byte = core::ptr::with_exposed_provenance::<u8>(address as usize);
        // SAFETY: the tail is mapped as part of the chunk, belongs to no entry and is never written again.
        let value = unsafe { byte.read_volatile() };
        ensure!(value == 0xff, "the byte at {address:#x}, behind the last entry, is {value:#x}");
    }
    Ok(())
}

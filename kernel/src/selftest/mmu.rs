//! Tests that only an MMU passes: virtual addresses that differ from physical ones.

use super::memory::{ME, READ_NOT_MAPPED, read, text, with_frames, word, write};
use super::{Subject, Verdict, read_faults, write_is_forbidden};
use crate::base::addr::{Bytes, Mfn, PAGE_SIZE, Pdx, VirtAddr};
use crate::base::attributes::Attributes;
use crate::frames::frametable::plan::{BLOCK_BYTES, CONTIGUOUS_BYTES, Chunk};
use crate::mmu::LeafCount;
use crate::pdx::GROUP_PAGES;
use crate::vmap::VmapError;
use crate::vmap::over_mmu::{FRAMETABLE_WINDOW, MmuError, VMAP_WINDOW};
use crate::vmap::space::{AddressPlacement, SpaceError};
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::ops::Range;

tests!(mmu:
    every_valid_group_is_mapped_and_every_hole_is_not
    a_read_in_a_hole_faults
    a_read_past_the_end_faults
    leaves_are_as_large_as_the_addresses_allow
    two_mappings_show_the_same_memory
    scattered_frames_appear_in_order
    guard_pages_fault_on_both_sides
    addresses_are_used_again
    exhaustion_is_an_error
    large_requests_take_blocks
    a_page_of_a_block_can_be_protected
    nothing_is_writable_and_executable
);

/// Bytes of an entry of the frametable.
const ENTRY_BYTES: u64 = 8;

fn addresses(subject: &Subject<'_>, chunk: &Chunk) -> Range<VirtAddr> {
    subject.host.table().addresses(chunk)
}

/// The page indexes at which the groups of the table begin, and whether each is valid.
fn groups<'a>(subject: &'a Subject<'_>) -> impl Iterator<Item = (u64, bool)> + 'a {
    let groups = subject.plan.groups();
    let first = groups.base().get();
    (0..groups.span()).map(move |group| {
        let pdx = first + group * GROUP_PAGES;
        (pdx, groups.contains(Pdx::new(pdx)))
    })
}

/// Where the entry of `pdx` lies, or would lie.
fn entry_address(subject: &Subject<'_>, pdx: u64) -> u64 {
    FRAMETABLE_WINDOW.start + (pdx - subject.plan.groups().base().get()) * ENTRY_BYTES
}

fn every_valid_group_is_mapped_and_every_hole_is_not(subject: &Subject<'_>) -> Verdict {
    let end = subject.plan.groups().max_pdx().get();
    for (pdx, valid) in groups(subject) {
        let last = (pdx + GROUP_PAGES).min(end) - 1;
        for pdx in [pdx, last] {
            let va = VirtAddr::new(entry_address(subject, pdx));
            let mapped = subject.host.vmap().with_table(|table| table.translate(va).is_some());
            ensure!(mapped == valid, "entry of pdx {pdx:#x}: mapped {mapped}, its group valid {valid}");
        }
    }
    // And nothing else is mapped in all of the window.
    let window = VirtAddr::new(FRAMETABLE_WINDOW.start)..VirtAddr::new(FRAMETABLE_WINDOW.end);
    let mapped = subject.host.vmap().with_table(|table| table.leaves(window).map(|leaf| leaf.level.size()).sum());
    let planned: u64 = subject.plan.frametable_bytes();
    ensure!(planned == mapped, "{} are planned and {} mapped", Bytes(planned), Bytes(mapped));
    Ok(())
}

fn a_read_in_a_hole_faults(subject: &Subject<'_>) -> Verdict {
    // Each hole between chunks, at both ends; a table without one has a chunk that ends at its end.
    for chunks in subject.plan.chunks().windows(2) {
        read_faults(addresses(subject, &chunks[0]).end.get(), READ_NOT_MAPPED)?;
        read_faults(addresses(subject, &chunks[1]).start.get() - 1, READ_NOT_MAPPED)?;
    }
    let holes = subject.plan.groups().runs().count() - 1;
    let gaps = subject.plan.chunks().len() - 1;
    ensure!(holes == gaps, "{holes} holes between groups, but {gaps} between chunks");
    Ok(())
}

fn a_read_past_the_end_faults(subject: &Subject<'_>) -> Verdict {
    let Some(last) = subject.plan.chunks().last() else { return Err("a frametable without chunks".to_string()) };
    read_faults(addresses(subject, last).end.get(), READ_NOT_MAPPED)?;
    read_faults(FRAMETABLE_WINDOW.end - PAGE_SIZE, READ_NOT_MAPPED)
}

fn leaves_are_as_large_as_the_addresses_allow(subject: &Subject<'_>) -> Verdict {
    for chunk in subject.plan.chunks() {
        let range = addresses(subject, chunk);
        let (start, end) = (range.start.get(), range.end.get());
        let (first, count) = subject
            .host
            .vmap()
            .with_table(|table| (table.translate(range.start), LeafCount::of(table.leaves(range.clone()))));
        let Some((pa, _)) = first else { return Err(format!("{start:#x} is not mapped")) };
        let distance = pa.get() ^ start;
        let whole =
            |unit: u64| if distance % unit == 0 { (end / unit).saturating_sub(start.div_ceil(unit)) } else { 0 };
        let blocks = whole(BLOCK_BYTES);
        let pages = (chunk.bytes - blocks * BLOCK_BYTES) / PAGE_SIZE;
        ensure!(count.blocks == blocks && count.pages == pages, "chunk at {start:#x} has {count}, not {blocks} blocks");
        let runs = whole(CONTIGUOUS_BYTES);
        ensure!(pages > 0 || count.runs == runs, "chunk at {start:#x} has {count}, not {runs} runs");
        // Memory was to be had where it was wanted: all tests run with more of it than the table needs.
        ensure!(
            distance % BLOCK_BYTES == 0 || chunk.bytes < BLOCK_BYTES,
            "chunk at {start:#x} lies at {pa}: no blocks"
        );
    }
    Ok(())
}

fn two_mappings_show_the_same_memory(subject: &Subject<'_>) -> Verdict {
    with_frames(subject, 2, |host, first| {
        let one = host.vmap_contig(first, 4, Attributes::DATA).map_err(text)?;
        let other = host.vmap_contig(first, 4, Attributes::CONSTANTS).map_err(text)?;
        ensure!(one.address() != other.address(), "two mappings at one address");
        for offset in (0..one.bytes()).step_by(8) {
            write(&one, offset, offset ^ 0x5a5a_0000);
        }
        for offset in (0..other.bytes()).step_by(8) {
            let seen = read(&other, offset);
            ensure!(seen == offset ^ 0x5a5a_0000, "{seen:#x} at {offset:#x} of the other mapping");
        }
        Ok(())
    })
}

fn scattered_frames_appear_in_order(subject: &Subject<'_>) -> Verdict {
    with_frames(subject, 3, |host, first| {
        let frames: Vec<Mfn> = [5, 0, 1, 2, 7, 3].into_iter().filter_map(|index| first.checked_add(index)).collect();
        let all = host.vmap_contig(first, 8, Attributes::DATA).map_err(text)?;
        for index in 0..8 {
            write(&all, index * PAGE_SIZE, first.get() + index);
        }
        let scattered = host.vmap_frames(&frames, Attributes::CONSTANTS).map_err(text)?;
        for (frame, index) in frames.iter().zip(0..) {
            let seen = read(&scattered, index * PAGE_SIZE);
            ensure!(seen == frame.get(), "page {index} shows frame {seen:#x} instead of {frame:?}");
        }
        Ok(())
    })
}

fn guard_pages_fault_on_both_sides(subject: &Subject<'_>) -> Verdict {
    with_frames(subject, 2, |host, first| {
        // Neighbours, if the allocator puts them next to each other: the guards are between them.
        let mappings = [(); 3].map(|()| host.vmap_contig(first, 3, Attributes::DATA).map_err(text));
        for mapping in mappings {
            let mapping = mapping?;
            let (start, end) = (mapping.address().get(), mapping.address().get() + mapping.bytes());
            read(&mapping, 0);
            read(&mapping, mapping.bytes() - 8);
            read_faults(start - 1, READ_NOT_MAPPED)?;
            read_faults(start - PAGE_SIZE, READ_NOT_MAPPED)?;
            read_faults(end, READ_NOT_MAPPED)?;
            read_faults(end + PAGE_SIZE - 1, READ_NOT_MAPPED)?;
        }
        Ok(())
    })
}

fn addresses_are_used_again(subject: &Subject<'_>) -> Verdict {
    with_frames(subject, 0, |host, first| {
        // A third of the window at a time: without reuse the third or fourth finds no place.
        let third = (VMAP_WINDOW.end - VMAP_WINDOW.start) / PAGE_SIZE / 3;
        let vmap = host.vmap();
        for round in 0..7 {
            let start = vmap.with_space(|space| space.alloc(third, AddressPlacement::Anywhere));
            let start = start.map_err(|error| alloc::format!("round {round}: {error}"))?;
            vmap.with_space(|space| space.release(start)).map_err(text)?;
        }
        let mapping = host.vmap_contig(first, 1, Attributes::DATA).map_err(text)?;
        write(&mapping, 0, 7);
        ensure!(read(&mapping, 0) == 7, "a mapping after reuse does not hold what was written");
        Ok(())
    })
}

fn exhaustion_is_an_error(subject: &Subject<'_>) -> Verdict {
    let host = subject.host;
    let window = (VMAP_WINDOW.end - VMAP_WINDOW.start) / PAGE_SIZE;
    let first = host.table().banks().first().ok_or("no RAM")?.start;
    let refusal = host.vmap().vmap_contig(first, window, Attributes::DATA);
    let refused = matches!(&refusal, Err(VmapError::Backend(MmuError::Space(SpaceError::Exhausted { .. }))));
    ensure!(refused, "a mapping as large as the window: {refusal:?}");
    // A piece at a time, until there is no place for another.
    let piece = window / 200;
    let mut starts = Vec::new();
    let error = loop {
        match host.vmap().with_space(|space| space.alloc(piece, AddressPlacement::Anywhere)) {
            Ok(start) => starts.push(start),
            Err(error) => break error,
        }
    };
    for start in &starts {
        host.vmap().with_space(|space| space.release(*start)).map_err(text)?;
    }
    let refused = matches!(
        error,
        SpaceError::Exhausted { wanted_pages, largest_free } if wanted_pages == piece && largest_free < piece
    );
    ensure!(refused, "piece {} of the window: {error}", starts.len());
    ensure!(starts.len() >= 195, "only {} of 200 pieces fit the window", starts.len());
    Ok(())
}

fn large_requests_take_blocks(subject: &Subject<'_>) -> Verdict {
    // What the leaves of 2 MiB, 32 MiB and 1 GiB, each aligned to its size, should be.
    let expected = [
        (9, LeafCount { blocks: 1, ..LeafCount::default() }),
        (13, LeafCount { blocks: 16, runs: 1, ..LeafCount::default() }),
        (18, LeafCount { gib: 1, ..LeafCount::default() }),
    ];
    for (order, leaves) in expected {
        // Not every machine has a GiB that is free and aligned.
        if order == 18 && subject.host.alloc(order, ME).map(|mfn| subject.host.free(mfn, order)).is_err() {
            continue;
        }
        with_frames(subject, order, |host, first| {
            let mapping = host.vmap_contig(first, 1 << order, Attributes::DATA).map_err(text)?;
            let start = mapping.address();
            let range = start..VirtAddr::new(start.get() + mapping.bytes());
            let count = host.vmap().with_table(|table| LeafCount::of(table.leaves(range)));
            ensure!(count == leaves, "order {order} at {start} is mapped by {count} instead of {leaves}");
            write(&mapping, mapping.bytes() - 8, 3);
            ensure!(read(&mapping, mapping.bytes() - 8) == 3, "the last word of order {order} is not there");
            Ok(())
        })?;
    }
    Ok(())
}

fn a_page_of_a_block_can_be_protected(subject: &Subject<'_>) -> Verdict {
    with_frames(subject, 9, |host, first| {
        let mapping = host.vmap_contig(first, 512, Attributes::DATA).map_err(text)?;
        for page in 0..512 {
            write(&mapping, page * PAGE_SIZE, page);
        }
        let page = VirtAddr::new(mapping.address().get() + 100 * PAGE_SIZE);
        host.vmap().with_table(|table| table.protect(page, PAGE_SIZE, Attributes::CONSTANTS)).map_err(text)?;
        let range = mapping.address()..VirtAddr::new(mapping.address().get() + mapping.bytes());
        let leaves = host.vmap().with_table(|table| LeafCount::of(table.leaves(range)));
        ensure!(leaves.pages == 512, "a block with a page of its own is mapped by {leaves}");
        for page in 0..512 {
            let seen = read(&mapping, page * PAGE_SIZE);
            ensure!(seen == page, "page {page} shows {seen}");
            if page != 100 {
                write(&mapping, page * PAGE_SIZE, page + 1);
            }
        }
        write_is_forbidden(word(&mapping, 100 * PAGE_SIZE).addr() as u64)
    })
}

fn nothing_is_writable_and_executable(subject: &Subject<'_>) -> Verdict {
    use crate::base::addr::VirtAddr;
    use crate::base::attributes::Access as Mapped;
    // The image's text is all that may be executed, and the rest of the tables says so leaf by leaf.
    let text = lacuna_boot::layout().text;
    let whole = VirtAddr::new(0)..VirtAddr::new(1 << 48);
    let outside: Option<String> = subject.host.vmap().with_table(|table| {
        table
            .leaves(whole)
            .filter(|leaf| leaf.attributes.access() == Mapped::ReadExecute)
            .find(|leaf| !text.contains(&leaf.va.get()))
            .map(|leaf| alloc::format!("{} is executable and not the image's text", leaf.va))
    });
    outside.map_or(Ok(()), Err)
}

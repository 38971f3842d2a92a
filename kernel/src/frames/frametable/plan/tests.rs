//! The sizes known for published layouts, named defects, and random banks against a walk over every page.

use super::{BLOCK_BYTES, CONTIGUOUS_BYTES, Chunk, FrametablePlan, FrametablePlanError, FrametableShape};
use crate::base::addr::{Mfn, PAGE_SIZE, Pdx};
use crate::frames::boot_alloc::FramePlacement;
use crate::pdx::layouts::{self, L2, L3, L4, L6, T8};
use crate::pdx::tests::{any_banks, frames, interesting, maps, mfn, needs_entry};
use crate::pdx::{GROUP_PAGES, GroupSize, PdxMap, PdxRefusal};
use proptest::prelude::{prop_assert, prop_assert_eq, proptest};
use std::ops::Range;
use std::string::ToString;
use std::vec::Vec;

const MIB: u64 = 1 << 20;

/// A window for every page index of a 48-bit address space, with 8 bytes each.
const WINDOW: u64 = 1 << 40;

/// Sizes of Xen on arm64.
const XEN: FrametableShape = FrametableShape { entry_bytes: 56, group: GroupSize::GIB };

fn plan(banks: &[Range<Mfn>], map: &PdxMap) -> FrametablePlan {
    FrametablePlan::new(banks, map, WINDOW, FrametableShape::default()).unwrap()
}

fn groups(range: Range<u64>) -> Range<Mfn> {
    frames(range.start * GROUP_PAGES..range.end * GROUP_PAGES)
}

/// The entry slot of a frame: its bytes, counted from the window's start.
fn slot(plan: &FrametablePlan, pdx: Pdx) -> Range<u64> {
    let start = (pdx.get() - plan.groups().base().get()) * plan.shape().entry_bytes;
    start..start + plan.shape().entry_bytes
}

/// The chunks that hold any byte of `bytes`, with how many bytes they share.
fn chunks_of(plan: &FrametablePlan, bytes: &Range<u64>) -> Vec<u64> {
    let shared =
        |chunk: &Chunk| bytes.end.min(chunk.offset + chunk.bytes).saturating_sub(bytes.start.max(chunk.offset));
    plan.chunks().iter().map(shared).filter(|&bytes| bytes > 0).collect()
}

/// What every plan promises, whatever it was made from.
fn check_invariants(plan: &FrametablePlan) {
    let mut end = 0;
    let mut entries = 0;
    for chunk in plan.chunks() {
        assert!(chunk.first < chunk.end && chunk.bytes > 0, "empty: {chunk:x?}");
        assert!(chunk.offset >= end, "overlaps the one before: {chunk:x?}");
        assert!(chunk.offset.is_multiple_of(PAGE_SIZE) && chunk.bytes.is_multiple_of(PAGE_SIZE));
        assert!(chunk.tail_bytes < PAGE_SIZE);
        assert_eq!(slot(plan, chunk.first).start, chunk.offset);
        let count = chunk.end.get() - chunk.first.get();
        assert_eq!(count * plan.shape().entry_bytes, chunk.bytes - chunk.tail_bytes);
        end = chunk.offset + chunk.bytes;
        entries += count;
    }
    assert_eq!(end, plan.contiguous_bytes(), "the last chunk ends where the table does");
    assert_eq!(plan.chunks()[0].offset, 0, "the first starts where the table does");
    assert!(entries <= plan.groups().count_valid() * plan.shape().group.pages());
    assert!(entries > (plan.groups().count_valid() - 1) * plan.shape().group.pages());
}

/// A row: banks, the map, chunk sizes in KiB, and the contiguous size in KiB.
fn check_sizes(banks: &[Range<Mfn>], map: &PdxMap, shape: FrametableShape, chunks: &[u64], contiguous: u64) {
    let plan = FrametablePlan::new(banks, map, 1 << 40, shape).unwrap();
    let sizes: Vec<_> = plan.chunks().iter().map(|chunk| chunk.bytes >> 10).collect();
    assert_eq!((&*sizes, plan.contiguous_bytes() >> 10), (chunks, contiguous), "{}", map.kind());
    assert_eq!(plan.frametable_bytes() >> 10, chunks.iter().sum::<u64>());
}

/// The published figures are whole MiB (1.75 MiB for L6), so that Xen's rounding to blocks does not show in them.
#[test]
fn with_entries_of_56_bytes_sizes_are_those_published_for_xen() {
    let (none, mask, offset) =
        (|_: &[_]| PdxMap::none(), |b: &[_]| PdxMap::mask(b).unwrap(), |b: &[_]| PdxMap::offset(b).unwrap());
    let check = |layout: &layouts::Layout, map: &dyn Fn(&[Range<Mfn>]) -> PdxMap, chunks: &[u64], contiguous: u64| {
        let kib: Vec<_> = chunks.iter().map(|mib| mib << 10).collect();
        check_sizes(layout.banks, &map(layout.banks), XEN, &kib, contiguous << 10);
    };
    check(&T8, &mask, &[56, 28, 28, 28], 6300);
    check(&T8, &offset, &[28, 28, 28, 28, 28], 2716);
    for map in [&mask as &dyn Fn(&[Range<Mfn>]) -> PdxMap, &offset] {
        check(&L2, map, &[56], 56);
    }
    check(&L2, &none, &[28, 28], 476);
    check(&L3, &mask, &[28, 448, 84], 2772);
    check(&L3, &offset, &[28, 532], 980);
    check(&L3, &none, &[28, 448, 84], 10836);
    check(&L4, &none, &[42, 14], 70);
    check_sizes(L6.banks, &PdxMap::none(), XEN, &[1792], 1792);
    // Published as "98 GiB": 7170 groups of 14 MiB. Xen's window of 32 GiB refuses it.
    check(&T8, &none, &[28; 5], 7170 * 14);
    let refused = FrametablePlan::new(T8.banks, &PdxMap::none(), 32 << 30, XEN).unwrap_err();
    assert_eq!(
        refused.to_string(),
        "frametable for page indexes [0x0, 0x70080000) spans 98.0 GiB, its window only 32.0 GiB"
    );
}

#[test]
fn a_gib_of_ram_costs_two_mib_of_table() {
    let sum = |banks: &[_]| plan(banks, &PdxMap::choose(Default::default(), banks).0).frametable_bytes();
    assert_eq!(sum(L2.banks), 8 * MIB);
    assert_eq!(sum(L3.banks), 80 * MIB);
    assert_eq!(sum(T8.banks), 20 * MIB);
    assert_eq!(sum(L6.banks), 256 << 10);
}

#[test]
fn every_layout_has_a_sound_plan_under_every_compression() {
    for layout in layouts::ALL {
        for map in maps(layout.banks) {
            let plan = plan(layout.banks, &map);
            check_invariants(&plan);
            for bank in layout.banks {
                for frame in [bank.start, bank.end.checked_sub(1).unwrap()] {
                    assert_eq!(chunks_of(&plan, &slot(&plan, map.pdx(frame))), [8], "{} {frame:?}", layout.name);
                }
            }
            // Skipping holes makes the memory needed independent of how the frames are numbered.
            let groups = plan.groups().count_valid();
            assert_eq!(groups, self::plan(layout.banks, &PdxMap::none()).groups().count_valid(), "{}", layout.name);
        }
    }
}

/// F3: physical memory aligned to 32 MiB never matches a chunk whose address is not.
#[test]
fn f3_memory_is_asked_for_in_phase_with_the_address() {
    let plan = plan(&[groups(0..3), groups(5..40)], &PdxMap::none());
    let chunk = &plan.chunks()[1];
    assert_eq!((chunk.offset, chunk.bytes), (10 * MIB, 70 * MIB));
    let wanted = chunk.placements().next().unwrap();
    assert_eq!(wanted, FramePlacement::congruent(10 * MIB, CONTIGUOUS_BYTES));

    // Contiguous runs of blocks, if the memory lies at `address`: address and memory must be aligned together.
    let runs = |address: u64| {
        let aligned = |at: &u64| {
            (chunk.offset + at).is_multiple_of(CONTIGUOUS_BYTES) && (address + at).is_multiple_of(CONTIGUOUS_BYTES)
        };
        (0..=chunk.bytes - CONTIGUOUS_BYTES).step_by(BLOCK_BYTES as usize).filter(aligned).count()
    };
    assert_eq!(runs(7 * CONTIGUOUS_BYTES), 0, "aligned only");
    assert_eq!(runs(7 * CONTIGUOUS_BYTES + wanted.phase()), 1, "in phase");
}

#[test]
fn placement_asks_for_no_more_than_the_size_warrants() {
    let moduli = |banks: &[_]| -> Vec<_> {
        plan(banks, &PdxMap::none()).chunks()[0].placements().map(|placement| placement.modulus()).collect()
    };
    assert_eq!(moduli(&[groups(0..16)]), [CONTIGUOUS_BYTES, BLOCK_BYTES, PAGE_SIZE]);
    assert_eq!(moduli(&[groups(0..15)]), [BLOCK_BYTES, PAGE_SIZE]);
    assert_eq!(moduli(L6.banks), [PAGE_SIZE]);
}

/// F6: a first group without RAM made an empty chunk. The table now starts with the first bank, wherever that lies.
#[test]
fn f6_the_first_chunk_is_never_empty() {
    let banks = [frames(5..5), groups(7..8), frames(0..0)];
    let plan = plan(&banks, &PdxMap::none());
    assert_eq!(plan.chunks().len(), 1);
    assert_eq!((plan.chunks()[0].first, plan.chunks()[0].offset), (Pdx::new(7 * GROUP_PAGES), 0));
    check_invariants(&plan);
    let nothing = FrametablePlan::new(&banks[..1], &PdxMap::none(), WINDOW, FrametableShape::default());
    assert!(matches!(nothing, Err(FrametablePlanError::Pdx(PdxRefusal::NoRam))));
}

/// F7: what follows the last group with RAM was mapped too.
#[test]
fn f7_the_last_chunk_ends_with_ram() {
    let plan = plan(&[groups(0..1), groups(3..4), frames(9 * GROUP_PAGES..9 * GROUP_PAGES)], &PdxMap::none());
    assert_eq!(plan.chunks().last().unwrap().end, Pdx::new(4 * GROUP_PAGES));
    assert_eq!(plan.groups().max_pdx(), Pdx::new(4 * GROUP_PAGES));
}

/// F8: entries between the highest frame and the end of its group do not exist, though the group does.
#[test]
fn f8_the_last_chunk_is_cut_at_the_highest_frame() {
    let plan = plan(&[frames(0..GROUP_PAGES + 1000)], &PdxMap::none());
    let chunk = &plan.chunks()[0];
    assert_eq!((chunk.end, chunk.bytes, chunk.tail_bytes), (Pdx::new(GROUP_PAGES + 1000), 2 * MIB + 8192, 192));
    assert!(plan.groups().contains(Pdx::new(GROUP_PAGES + 999)));
    assert!(!plan.groups().contains(Pdx::new(GROUP_PAGES + 1000)));
}

/// F10, F12: what counts against the window is the span, holes included, and no index is too large to multiply.
#[test]
#[cfg_attr(miri, ignore = "four million groups take an hour when interpreted, and no unsafe code")]
fn f10_f12_the_window_is_checked_against_the_span_to_the_byte() {
    let banks = [groups(0..1), groups(1 << 21..(1 << 21) + 1)];
    let need = ((1 << 21) + 1) * 2 * MIB;
    assert!(FrametablePlan::new(&banks, &PdxMap::none(), need, FrametableShape::default()).is_ok());
    let short = FrametablePlan::new(&banks, &PdxMap::none(), need - 1, FrametableShape::default());
    assert!(
        matches!(short, Err(FrametablePlanError::WindowTooSmall { need: n, have, .. }) if n == need && have == need - 1)
    );

    let all = [frames(0..1 << 40)];
    let shape = FrametableShape { entry_bytes: PAGE_SIZE, group: GroupSize::GIB };
    assert_eq!(FrametablePlan::new(&all, &PdxMap::none(), u64::MAX, shape).unwrap().contiguous_bytes(), 1 << 52);
    let high = [groups((1 << 22) - 1..1 << 22)];
    assert_eq!(plan(&high, &PdxMap::none()).contiguous_bytes(), 2 * MIB, "a high bank alone spans little");
}

#[test]
fn entries_that_do_not_fill_whole_pages_are_refused() {
    for (entry_bytes, pages) in
        [(0, GROUP_PAGES), (PAGE_SIZE + 1, GROUP_PAGES), (8, 256), (56, 16), (u64::MAX, 1 << 40)]
    {
        let shape = FrametableShape { entry_bytes, group: GroupSize::new(pages).unwrap() };
        let refused = FrametablePlan::new(L6.banks, &PdxMap::none(), WINDOW, shape);
        assert!(matches!(refused, Err(FrametablePlanError::FrametableShape { .. })), "{entry_bytes} {pages}");
    }
}

#[test]
fn a_map_of_other_banks_is_refused() {
    let map = PdxMap::offset(T8.banks).unwrap();
    let refused = FrametablePlan::new(L3.banks, &map, WINDOW, FrametableShape::default());
    assert!(matches!(refused, Err(FrametablePlanError::Pdx(PdxRefusal::NotCovered { .. }))));
}

proptest! {
    /// Frames around every edge, under every compression.
    #[test]
    fn random_banks_have_exactly_the_entries_they_need(
        banks in any_banks(),
        random in proptest::collection::vec(0_u64..1 << 40, 8),
    ) {
        for map in maps(&banks) {
            let plan = FrametablePlan::new(&banks, &map, WINDOW * 16, FrametableShape::default()).unwrap();
            check_invariants(&plan);
            for frame in interesting(&banks, &random) {
                let pdx = map.pdx(frame);
                let listed = plan.chunks().iter().filter(|chunk| (chunk.first..chunk.end).contains(&pdx)).count();
                let needed = needs_entry(&banks, frame);
                prop_assert_eq!(if map.covers(frame) { listed } else { 0 }, usize::from(needed), "{:?}", frame);
                if needed {
                    prop_assert_eq!(&*chunks_of(&plan, &slot(&plan, pdx)), &[8][..], "{:?}", frame);
                }
            }
        }
    }

    /// Every page of a machine of 4096 pages, with groups so small that all of it can be walked.
    #[test]
    fn page_by_page_each_entry_lies_in_one_chunk_and_no_two_share_a_byte(
        banks in proptest::collection::vec((0_u64..4096, 1_u64..400), 1..8),
    ) {
        const GROUP: u64 = 16;
        let shape = FrametableShape { entry_bytes: 256, group: GroupSize::new(GROUP).unwrap() };
        let banks: Vec<_> = banks.iter().map(|&(start, count)| frames(start..(start + count).min(4096))).collect();
        let plan = FrametablePlan::new(&banks, &PdxMap::none(), WINDOW, shape).unwrap();
        check_invariants(&plan);

        let is_ram = |frame: u64| banks.iter().any(|bank| bank.contains(&mfn(frame)));
        let end = banks.iter().map(|bank| bank.end.get()).max().unwrap();
        let mut total = 0;
        for group in (0..4096).step_by(GROUP as usize) {
            let valid = (group..group + GROUP).any(is_ram);
            for pdx in (group..group + GROUP).map(Pdx::new) {
                let mapped = valid && pdx.get() < end;
                prop_assert_eq!(plan.groups().contains(pdx), mapped);
                if pdx >= plan.groups().base() {
                    let shares = chunks_of(&plan, &slot(&plan, pdx));
                    // Only the unused tail of the last page may lie in a chunk without being an entry.
                    if mapped {
                        prop_assert_eq!(shares, [256]);
                    } else if pdx.get() < end {
                        prop_assert!(shares.is_empty());
                    }
                }
                total += u64::from(mapped) * 256;
            }
        }
        prop_assert_eq!(plan.frametable_bytes(), total.next_multiple_of(PAGE_SIZE));
    }
}

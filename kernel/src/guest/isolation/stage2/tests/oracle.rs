//! Every page of the guest, and the pages around it, against a map from page to frame.

use super::{
    BASE, BTreeMap, Config, GIB, Just, Level, MIB, RUN, Stage2Leaves, Stage2Plan, Stage2PlanError, Strategy, any,
    built, extent, plan, prop_oneof, proptest, translate,
};
use crate::base::addr::{GuestAddr, PAGE_SIZE, PhysAddr};
use crate::guest::isolation::stage2::format::Stage2Descriptor;
use crate::guest::memory::extent::{Extent, ExtentKind};
use crate::mmu::descriptor::Table;
use crate::testing;
use std::collections::BTreeSet;
use std::vec::Vec;

/// What each page of the guest leads to.
type Pages = BTreeMap<u64, (u64, ExtentKind)>;

fn pages(extents: &[Extent]) -> Pages {
    let all = extents.iter().flat_map(|extent| {
        let (page, frame) = (extent.ipa.get() / PAGE_SIZE, extent.mfn.get());
        (0..extent.frames).map(move |index| (page + index, (frame + index, extent.kind)))
    });
    all.collect()
}

/// Whether the aligned group of `count` pages around `page` leads to an aligned group of frames, in order.
fn is_whole(pages: &Pages, page: u64, count: u64) -> bool {
    let first = page / count * count;
    let Some(&(frame, kind)) = pages.get(&first) else { return false };
    frame % count == 0 && (0..count).all(|index| pages.get(&(first + index)) == Some(&(frame + index, kind)))
}

/// Compares all of `tables` with `pages`, and counts what they hold.
fn compare(plan: &Stage2Plan, tables: &[Table], pages: &Pages) -> Stage2Leaves {
    let mut leaves = Stage2Leaves::default();
    let mut seen = 0;
    let mut below = BTreeSet::from([0, 1]);
    let levels = [(Level::L1, (0..2_u64).map(|root| (root, root << 39)).collect::<Vec<_>>())];
    let mut work: Vec<_> = levels.into();
    while let Some((level, found)) = work.pop() {
        let mut next = Vec::new();
        for (table, start) in found {
            for (index, raw) in (0..).zip(tables[table as usize]) {
                let (entry, ipa) = (Stage2Descriptor::from_bits(raw), start + index * level.size());
                if entry.is_table(level) {
                    let lower = entry.address().offset_from(BASE).unwrap() / PAGE_SIZE;
                    assert!(below.insert(lower), "table {lower} is reached twice");
                    next.push((lower, ipa));
                } else if entry.is_valid() {
                    seen += check_leaf(pages, level, ipa, entry, &mut leaves);
                } else {
                    assert_eq!(raw, 0);
                }
            }
        }
        if let Some(lower) = level.next().filter(|_| !next.is_empty()) {
            work.push((lower, next));
        }
    }
    assert_eq!(below.len() as u64, plan.tables(), "tables that are reached");
    assert_eq!(seen, pages.len() as u64, "pages that translate");
    leaves
}

/// Checks a leaf against each page that it translates; returns how many.
fn check_leaf(pages: &Pages, level: Level, ipa: u64, leaf: Stage2Descriptor, leaves: &mut Stage2Leaves) -> u64 {
    let (first, count) = (ipa / PAGE_SIZE, level.size() / PAGE_SIZE);
    for index in 0..count {
        let expected = pages.get(&(first + index)).copied();
        let frame = leaf.address().get() / PAGE_SIZE + index;
        assert_eq!(Some((frame, leaf.kind().unwrap())), expected, "{ipa:#x}");
    }
    // As large as it can be: the group of the next level is not whole, or there is none.
    if let Some(up) = level.up().filter(|up| *up >= Level::L1) {
        assert!(!is_whole(pages, first, up.size() / PAGE_SIZE), "{ipa:#x} has too small a leaf");
    }
    // The hint is where 16 leaves of this size make a whole, and nowhere else.
    let run = level.takes_hint() && is_whole(pages, first, RUN * count);
    assert_eq!(leaf.is_contiguous(), run, "{ipa:#x}");
    leaves.runs += u64::from(run && first.is_multiple_of(RUN * count));
    match level {
        Level::L0 => panic!("a leaf at level 0"),
        Level::L1 => leaves.gigabytes += 1,
        Level::L2 => leaves.blocks += 1,
        Level::L3 => leaves.pages += 1,
    }
    count
}

fn any_kind() -> impl Strategy<Value = ExtentKind> {
    prop_oneof![4 => Just(ExtentKind::Ram), 1 => Just(ExtentKind::Rom), 1 => Just(ExtentKind::Device)]
}

/// Near a boundary of some size, as the interesting numbers of pages are.
fn any_pages(limit: u64) -> impl Strategy<Value = u64> {
    let near = (0..=limit / 512, 0_u64..3, any::<bool>());
    prop_oneof![
        0..limit,
        near.clone().prop_map(|(block, off, up)| if up {
            block * 512 + off
        } else {
            (block * 512).saturating_sub(off)
        }),
        near.prop_map(|(block, off, up)| {
            let run = block / 16 * 8192;
            if up { run + off } else { run.saturating_sub(off) }
        }),
    ]
}

/// Extents in ascending order, some of which touch and some of which continue one another. All around `at`.
fn any_extents(at: u64) -> impl Strategy<Value = Vec<Extent>> {
    let one = (any_pages(1024), any_pages(20_000), any_pages(1 << 22), any_kind(), any::<bool>());
    proptest::collection::vec(one, 1..6).prop_map(move |parts| {
        let mut page = at / PAGE_SIZE;
        let mut extents: Vec<Extent> = Vec::new();
        for (gap, frames, frame, kind, joined) in parts {
            let mut next = extent((page + gap) * PAGE_SIZE, frame * PAGE_SIZE, frames * PAGE_SIZE);
            next.kind = kind;
            if let Some(last) = extents.last().filter(|_| joined) {
                next.ipa = GuestAddr::new(last.end());
                next.mfn = last.mfn.checked_add(last.frames).unwrap();
                next.kind = last.kind;
            }
            page = next.end() / PAGE_SIZE;
            extents.push(next);
        }
        extents
    })
}

proptest! {
    #![proptest_config(testing::cases(32))]

    /// Around a boundary of 1 GiB, and around the one between the two tables of the root.
    #[test]
    #[cfg_attr(miri, ignore = "hours when interpreted, page by page, and no unsafe code")]
    fn every_page_leads_to_its_frame_and_nothing_else_translates(
        extents in prop_oneof![any_extents(GIB - 32 * MIB), any_extents(512 * GIB - 48 * MIB)],
    ) {
        let plan = plan(&extents).unwrap();
        let tables = built(&plan);
        let pages = pages(&extents);
        assert_eq!(compare(&plan, &tables, &pages), plan.leaves());
        for (page, (frame, kind)) in &pages {
            for near in [page - 1, *page, page + 1] {
                let found = translate(&tables, BASE, GuestAddr::new(near * PAGE_SIZE + 0x234));
                let pa = |(frame, _): &(u64, ExtentKind)| PhysAddr::new(frame * PAGE_SIZE + 0x234);
                assert_eq!(found.map(|found| found.pa), pages.get(&near).map(pa));
                if near == *page {
                    assert_eq!(found.unwrap().leaf.kind(), Some(*kind), "frame {frame:#x}");
                }
            }
        }
    }

    /// The order in which extents are given changes nothing.
    #[test]
    #[cfg_attr(miri, ignore = "hours when interpreted, page by page, and no unsafe code")]
    fn tables_do_not_depend_on_the_order_of_extents(extents in any_extents(GIB)) {
        let reversed: Vec<_> = extents.iter().rev().copied().collect();
        assert_eq!(built(&plan(&extents).unwrap()), built(&plan(&reversed).unwrap()));
    }

    #[test]
    #[cfg_attr(miri, ignore = "hours when interpreted, page by page, and no unsafe code")]
    fn a_plan_exists_if_and_only_if_no_page_is_wanted_twice(
        parts in proptest::collection::vec((0_u64..40, 0_u64..12), 1..5),
    ) {
        let extents: Vec<_> = parts.iter().map(|(page, frames)| extent(page << 12, 0, frames << 12)).collect();
        let wanted: u64 = extents.iter().map(|extent| extent.frames).sum();
        let result = Stage2Plan::new(Config::new(40), &extents);
        assert_eq!(result.is_ok(), pages(&extents).len() as u64 == wanted);
        if let Err(Stage2PlanError::Overlap { first, second }) = result {
            assert!(first.ipa <= second.ipa && second.ipa.get() < first.end());
        }
    }
}

/// Gigabyte leaves, page by page, with pages and blocks on either side.
#[test]
#[cfg_attr(miri, ignore = "hours when interpreted, page by page, and no unsafe code")]
fn a_gigabyte_between_blocks_and_pages_is_one_leaf() {
    let start = 2 * MIB + 3 * PAGE_SIZE;
    let extents = [extent(GIB - start, 5 * GIB - start, GIB + 2 * start)];
    let plan = plan(&extents).unwrap();
    let found = compare(&plan, &built(&plan), &pages(&extents));
    assert_eq!(found, Stage2Leaves { gigabytes: 1, blocks: 2, pages: 6, runs: 0 });
    assert_eq!((found, plan.tables()), (plan.leaves(), 2 + 2 + 2));
}

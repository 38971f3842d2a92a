use super::build::{fill, translate};
use super::format::Config;
use super::plan::{Stage2Leaves, Stage2Plan, Stage2PlanError};
use super::tables::{Stage2, Stage2Error};
use crate::base::addr::{GuestAddr, Mfn, PAGE_SIZE, PhysAddr};
use crate::frames::frametable::page_info::FrameOwner;
use crate::guest::memory::extent::{Extent, ExtentKind};
use crate::mmu::descriptor::{Level, RUN, Table};
use crate::testing;
use proptest::prelude::{Just, Strategy, any, prop_oneof, proptest};
use std::collections::BTreeMap;
use std::string::ToString;
use std::vec;
use std::vec::Vec;

mod oracle;

const MIB: u64 = 1 << 20;
const GIB: u64 = 1 << 30;
const BASE: PhysAddr = PhysAddr::new(0x12_3456_0000);

fn extent(ipa: u64, pa: u64, bytes: u64) -> Extent {
    let mfn = Mfn::containing(PhysAddr::new(pa)).unwrap();
    Extent { ipa: GuestAddr::new(ipa), mfn, frames: bytes / PAGE_SIZE, kind: ExtentKind::Ram }
}

fn plan(extents: &[Extent]) -> Result<Stage2Plan, Stage2PlanError> {
    Stage2Plan::new(Config::new(48), extents)
}

fn built(plan: &Stage2Plan) -> Vec<Table> {
    let mut tables = vec![[0; 512]; plan.tables() as usize];
    fill(plan, BASE, &mut tables);
    tables
}

#[test]
fn a_guest_of_256_mib_in_blocks_takes_three_tables() {
    let plan = plan(&[extent(GIB, 0x9000_0000, 256 * MIB)]).unwrap();
    assert_eq!(plan.tables(), 3);
    assert_eq!(plan.leaves(), Stage2Leaves { gigabytes: 0, blocks: 128, pages: 0, runs: 8 });
    assert_eq!(plan.leaves().to_string(), "0 x 1 GiB, 128 x 2 MiB, 0 x 4 KiB, 8 contiguous runs");
    let tables = built(&plan);
    // By hand: entry 1 of the root leads to the third table, whose first entry is a block with hint.
    assert_eq!(tables[0][1], 0x12_3456_2003);
    assert_eq!(tables[2][0], 0x0010_0000_9000_07fd);
    assert_eq!(tables[2][128], 0);
}

#[test]
fn gigabytes_take_no_table_but_the_root() {
    let plan = plan(&[extent(512 * GIB, 4 * GIB, 32 * GIB)]).unwrap();
    assert_eq!((plan.tables(), plan.leaves().gigabytes), (2, 32));
    // In the second of the concatenated tables.
    assert_eq!(built(&plan)[1][0], 0x0000_0001_0000_07fd);
}

#[test]
fn extents_that_continue_one_another_share_leaves() {
    let halves = [extent(GIB + MIB, 8 * GIB + MIB, MIB), extent(GIB, 8 * GIB, MIB)];
    assert_eq!(plan(&halves).unwrap().leaves(), Stage2Leaves { blocks: 1, ..Stage2Leaves::default() });
    let apart = [extent(GIB, 8 * GIB, MIB), Extent { kind: ExtentKind::Rom, ..halves[0] }];
    assert_eq!(plan(&apart).unwrap().leaves(), Stage2Leaves { pages: 512, runs: 32, ..Stage2Leaves::default() });
}

#[test]
fn an_extent_is_at_most_five_segments_however_long_it_is() {
    let segments = |extent: Extent| plan(&[extent]).unwrap().segments().count();
    assert_eq!(segments(extent(2 * MIB - PAGE_SIZE, 514 * MIB - PAGE_SIZE, 64 * GIB)), 3, "pages, blocks, pages");
    assert_eq!(segments(extent(GIB - 3 * MIB, 5 * GIB - 3 * MIB, 64 * GIB)), 5);
    assert_eq!(segments(extent(GIB, PAGE_SIZE, 64 * GIB)), 1, "all pages");
}

#[test]
fn overlap_names_both_and_the_lower_first() {
    let (low, high) = (extent(GIB, 0, 2 * MIB), extent(GIB + MIB, 4 * GIB, MIB));
    let error = plan(&[high, low]).unwrap_err();
    assert_eq!(
        error.to_string(),
        "guest range [0x40100000, 0x40200000) on [0x100000000, 0x100100000) overlaps \
         guest range [0x40000000, 0x40200000) on [0x0, 0x200000)"
    );
}

#[test]
fn what_cannot_be_translated_is_refused_with_numbers() {
    let wide = extent((1 << 40) - MIB, 0, 2 * MIB);
    assert_eq!(plan(&[wide]).unwrap_err(), Stage2PlanError::GuestWidth { extent: wide, ipa_bits: 40 });
    let narrow = extent(1 << 36, 0, MIB);
    let error = Stage2Plan::new(Config::new(36), &[narrow]).unwrap_err();
    assert_eq!(
        error.to_string(),
        "guest range [0x1000000000, 0x1000100000) on [0x0, 0x100000) does not fit the guest's addresses of 36 bits"
    );
    let high = extent(0, (1 << 48) - MIB, 2 * MIB);
    assert_eq!(plan(&[high]).unwrap_err(), Stage2PlanError::PhysicalWidth { extent: high });
    let odd = extent(0x800, 0, MIB);
    assert_eq!(plan(&[odd]).unwrap_err(), Stage2PlanError::Unaligned { extent: odd });
    for frames in [u64::MAX, u64::MAX / PAGE_SIZE, 1 << 52] {
        assert!(plan(&[Extent { frames, ..wide }]).is_err());
    }
}

#[test]
fn nothing_is_a_guest_without_memory() {
    let plan = plan(&[extent(GIB, 0, 0)]).unwrap();
    assert_eq!((plan.tables(), plan.leaves(), plan.extents().len()), (2, Stage2Leaves::default(), 0));
}

#[test]
fn tables_take_what_was_planned_and_all_of_it_comes_back() {
    let host = testing::host(&testing::memory(16 << 20, 1 << 20), 64);
    let before = host.free_bytes() + host.grown_bytes();
    let plan = plan(&[extent(GIB, 0x9000_0000, 256 * MIB)]).unwrap();
    let stage2 = Stage2::build(&host, &plan).unwrap();
    assert_eq!(stage2.bytes(), 3 * PAGE_SIZE);
    assert_eq!(host.free_bytes() + host.grown_bytes(), before - stage2.bytes());
    assert!(stage2.root().is_aligned(2 * PAGE_SIZE));
    let found = stage2.translate(&host, GuestAddr::new(GIB + 0x0123_4567)).unwrap().unwrap();
    assert_eq!((found.pa.get(), found.level, found.leaf.kind()), (0x9123_4567, Level::L2, Some(ExtentKind::Ram)));
    assert_eq!(stage2.translate(&host, GuestAddr::new(0)).unwrap(), None);
    stage2.release(&host);
    assert_eq!(host.free_bytes() + host.grown_bytes(), before);
}

#[test]
fn tables_that_do_not_fit_leave_nothing_behind() {
    let host = testing::host(&testing::memory(16 << 20, 1 << 20), 64);
    let held: Vec<_> = core::iter::from_fn(|| host.alloc(2, FrameOwner::HYPERVISOR).ok()).collect();
    let before = host.free_bytes();
    let plan = plan(&[extent(GIB, 0x9000_0000, 256 * MIB)]).unwrap();
    let error = Stage2::build(&host, &plan).unwrap_err();
    assert!(matches!(error, Stage2Error::Memory { tables: 3, .. }), "{error}");
    assert_eq!(host.free_bytes(), before);
    held.into_iter().for_each(|first| host.free(first, 2).unwrap());
}

//! The published layouts, named defects, and random banks against oracles that know nothing of masks and tables.

use super::layouts::{self, L4, T2, T8};
use super::{GROUP_PAGES, GroupSize, Groups, PdxKind, PdxMap, PdxRefusal, Policy};
use crate::base::addr::{Frames, Mfn, Pdx};
use crate::testing::unless_interpreted;
use proptest::prelude::{Strategy, any, prop_assert, prop_assert_eq, proptest};
use proptest::sample::Index;
use std::ops::Range;
use std::string::ToString;
use std::vec::Vec;

pub(crate) fn mfn(raw: u64) -> Mfn {
    Mfn::new(raw).unwrap()
}

pub(crate) fn frames(raw: Range<u64>) -> Range<Mfn> {
    mfn(raw.start)..mfn(raw.end)
}

/// All maps that apply to `banks`.
pub(crate) fn maps(banks: &[Range<Mfn>]) -> Vec<PdxMap> {
    let compressed = [PdxMap::mask(banks), PdxMap::offset(banks)];
    [PdxMap::none()].into_iter().chain(compressed.into_iter().flatten()).collect()
}

/// 1 to 12 disjoint banks in any order, ends anywhere: in part far apart, in part within one group.
pub(crate) fn any_banks() -> impl Strategy<Value = Vec<Range<Mfn>>> {
    let upto = |largest_log2: u32| (0..=largest_log2, any::<u64>()).prop_map(|(log2, raw)| raw % (1 << log2) + 1);
    let gap = (0..4, upto(36)).prop_map(|(kind, gap)| match kind {
        0 => 0,
        1 => gap & !(GROUP_PAGES - 1),
        2 => gap.next_power_of_two(),
        _ => gap,
    });
    let bank = (gap, upto(22), any::<bool>()).prop_map(|(gap, count, whole)| match whole {
        true => (gap, count.next_multiple_of(GROUP_PAGES)),
        false => (gap, count),
    });
    (proptest::collection::vec(bank, 1..12), any::<Index>()).prop_map(|(banks, turn)| {
        let mut end = 0;
        let mut banks: Vec<_> = banks
            .into_iter()
            .map(|(gap, count)| {
                let start = end + gap;
                end = start + count;
                frames(start..end)
            })
            .collect();
        let turn = turn.index(banks.len());
        banks.rotate_left(turn);
        banks
    })
}

/// Frames worth asking about: both sides of each bank's and each group's edges, and `random` ones in and between banks.
pub(crate) fn interesting(banks: &[Range<Mfn>], random: &[u64]) -> Vec<Mfn> {
    let around = |at: u64| [at.wrapping_sub(1), at, at + 1];
    let mut raw: Vec<u64> = Vec::new();
    for bank in banks {
        for edge in [bank.start.get(), bank.end.get()] {
            let group = edge & !(GROUP_PAGES - 1);
            raw.extend(
                [edge, group, group + GROUP_PAGES, group.wrapping_sub(GROUP_PAGES)].into_iter().flat_map(around),
            );
        }
        raw.extend(random.iter().map(|random| bank.start.get() + random % bank.count()));
    }
    raw.extend(random);
    let mut frames: Vec<_> = raw.into_iter().filter(|&raw| raw < 1 << 40).map(mfn).collect();
    frames.sort_unstable();
    frames.dedup();
    frames
}

fn is_ram(banks: &[Range<Mfn>], frame: Mfn) -> bool {
    banks.iter().any(|bank| bank.contains(&frame))
}

/// Whether a frame must have an entry, from the banks alone: some RAM shares its aligned GiB, and some lies above it.
pub(crate) fn needs_entry(banks: &[Range<Mfn>], frame: Mfn) -> bool {
    let group = frame.get() & !(GROUP_PAGES - 1);
    let touched = |bank: &Range<Mfn>| bank.start.get() < group + GROUP_PAGES && group < bank.end.get();
    banks.iter().any(touched) && banks.iter().any(|bank| frame < bank.end)
}

#[test]
fn every_published_layout_gives_the_published_numbers() {
    for layout in layouts::ALL {
        layout.check().unwrap_or_else(|mismatch| panic!("{mismatch}"));
    }
}

#[test]
fn a_wrong_golden_value_is_noticed() {
    static WRONG: layouts::Layout =
        layouts::Layout { name: "T2 with the numbers of L2", banks: T2.banks, mask: layouts::L2.mask, offset: None };
    assert!(WRONG.check().is_err());
}

#[test]
fn auto_takes_what_spans_least_and_of_equals_the_simplest() {
    let kind = |layout: &layouts::Layout| PdxMap::choose(Policy::Auto, layout.banks).0.kind();
    for layout in [&layouts::T1, &layouts::T4, &T8, &layouts::L3] {
        assert!(matches!(kind(layout), PdxKind::Offset { .. }), "{}", layout.name);
    }
    for layout in [&T2, &layouts::T3, &layouts::T11, &layouts::L2] {
        assert!(matches!(kind(layout), PdxKind::Mask { .. }), "{}", layout.name);
    }
    for layout in [&layouts::T6, &layouts::T7, &layouts::T12, &L4, &layouts::L6] {
        assert_eq!(kind(layout), PdxKind::None, "{}", layout.name);
    }
}

#[test]
fn a_forced_kind_that_does_not_apply_falls_back_to_none_with_a_reason() {
    let (map, refusal) = PdxMap::choose(Policy::Mask, L4.banks);
    assert_eq!((map, refusal.clone()), (PdxMap::none(), Some(PdxRefusal::NoHole { highest: 0x17ffff })));
    assert_eq!(
        refusal.unwrap().to_string(),
        "frame numbers up to 0x17ffff have no bit from 18 up that is zero in all of RAM"
    );
    let (map, refusal) = PdxMap::choose(Policy::Offset, layouts::T7.banks);
    assert_eq!(map, PdxMap::none());
    assert!(matches!(refusal, Some(PdxRefusal::NoGain { .. })));
    assert_eq!(PdxMap::choose(Policy::Off, T8.banks), (PdxMap::none(), None));
    assert_eq!(PdxMap::choose(Policy::Mask, T8.banks), (PdxMap::mask(T8.banks).unwrap(), None));
    assert_eq!(PdxMap::choose(Policy::Offset, T8.banks), (PdxMap::offset(T8.banks).unwrap(), None));
}

#[test]
fn kinds_print_the_bits_of_a_frame_number() {
    let shown = |map: Result<PdxMap, _>| map.unwrap().kind().to_string();
    assert_eq!(shown(PdxMap::mask(layouts::L3.banks)), "mask compression, bits 24..25 removed");
    assert_eq!(
        shown(PdxMap::offset(layouts::L3.banks)),
        "offset compression, 3 ranges, region 0x800000 frames, lookup shift 23"
    );
    assert_eq!(shown(Ok(PdxMap::none())), "no compression");
}

#[test]
fn the_uncompressed_map_is_the_identity_on_the_whole_address_space() {
    let map = PdxMap::none();
    for raw in [0, 1, GROUP_PAGES, 0xdead_beef, (1 << 40) - 1] {
        assert!(map.covers(mfn(raw)));
        assert_eq!(map.pdx(mfn(raw)), Pdx::new(raw));
        assert_eq!(map.mfn(Pdx::new(raw)), Some(mfn(raw)));
    }
    assert!(map.is_compressible(&frames(0..1 << 40)));
}

#[test]
fn a_page_index_beyond_the_address_space_has_no_frame() {
    for map in [PdxMap::none(), PdxMap::mask(T8.banks).unwrap(), PdxMap::offset(T8.banks).unwrap()] {
        assert_eq!(map.mfn(Pdx::new(u64::MAX)), None);
        assert_eq!(map.mfn(Pdx::new((1 << 40) + 1)), None);
    }
    let offset = PdxMap::offset(T8.banks).unwrap();
    assert_eq!(offset.mfn(Pdx::new(0x3ffffff)), Some(mfn(0x70ffffff)));
    assert_eq!(offset.mfn(Pdx::new(0x4000000)), None, "there are four regions of 0x1000000");
    // 2^37 << 4 is past the end; 2^60 << 4 is past the end of a u64, too.
    let mask = PdxMap::mask(T8.banks).unwrap();
    assert_eq!(mask.mfn(Pdx::new(1 << 37)), None);
    assert_eq!(mask.mfn(Pdx::new(1 << 60)), None);
}

#[test]
fn a_region_is_compressible_only_as_a_whole() {
    let mask = PdxMap::mask(T8.banks).unwrap();
    assert!(mask.is_compressible(&frames(0..0x80000)));
    assert!(!mask.is_compressible(&frames(0..0x80001)), "the last frame is in the hole");
    assert!(!mask.is_compressible(&frames(0x80000..0x80001)));
    assert!(!mask.is_compressible(&frames(0x50000000..0x50800001)), "both ends are covered, the middle is not");

    let offset = PdxMap::offset(T8.banks).unwrap();
    assert!(offset.is_compressible(&frames(0x50000000..0x51000000)), "a whole region");
    assert!(!offset.is_compressible(&frames(0x50000000..0x51000001)));
    assert!(!offset.is_compressible(&frames(0x4fffffff..0x50000001)));
    assert!(offset.is_compressible(&frames(5..5)) && mask.is_compressible(&frames(0x80000..0x80000)));
}

#[test]
fn a_region_longer_than_the_rest_of_its_table_index_ends_with_the_index() {
    // The first region starts two groups below the end of its table index, but a region is four groups long.
    let banks = [frames(0xf80000..0x1000000), frames(0x10000000..0x10100000)];
    let map = PdxMap::offset(&banks).unwrap();
    let PdxKind::Offset { region: 0x100000, shift, .. } = map.kind() else { panic!("{:?}", map.kind()) };
    let next_index = mfn(0x1000000);
    assert!(next_index.get().is_multiple_of(1 << shift));
    assert!(!map.covers(next_index));
    assert!(!map.is_compressible(&frames(0xf80000..0x1000001)));
}

#[test]
fn frames_in_removed_holes_are_not_covered() {
    for (map, holes) in [
        (PdxMap::mask(T8.banks).unwrap(), [0x80000, 0x7fffff, 0x880000, 0x50080000, 0x4fffffff].as_slice()),
        (PdxMap::offset(T8.banks).unwrap(), &[0x1000000, 0x4fffffff, 0x51000000, 0x6fffffff, 0x71000000, 1 << 38]),
    ] {
        for &hole in holes {
            assert!(!map.covers(mfn(hole)), "{hole:#x} under {}", map.kind());
        }
    }
}

#[test]
fn more_regions_than_table_entries_share_them() {
    // 100 groups, one in every sixteen: with 64 entries neighbours must share.
    let banks: Vec<_> = (0..100).map(|i| i * 16 * GROUP_PAGES).map(|s| frames(s..s + GROUP_PAGES)).collect();
    let refusal = PdxMap::offset(&banks).unwrap_err();
    assert!(
        matches!(refusal, PdxRefusal::NoGain { ranges: 50, region, .. } if region == 32 * GROUP_PAGES),
        "{refusal}"
    );
    // With a gap in the middle there is something to gain again.
    let banks: Vec<_> =
        (0..100).map(|i| (i + i / 50 * 1000) * 16 * GROUP_PAGES).map(|s| frames(s..s + GROUP_PAGES)).collect();
    let map = PdxMap::offset(&banks).unwrap();
    assert!(matches!(map.kind(), PdxKind::Offset { ranges, .. } if ranges < 64), "{}", map.kind());
    assert!(banks.iter().all(|bank| map.mfn(map.pdx(bank.start)) == Some(bank.start)));
}

#[test]
fn no_ram_is_a_reason_and_not_a_panic() {
    let empty = [frames(0..0), frames(7..7), mfn(9)..mfn(3)];
    for banks in [&[][..], &empty] {
        assert_eq!(PdxMap::mask(banks), Err(PdxRefusal::NoRam));
        assert_eq!(PdxMap::offset(banks), Err(PdxRefusal::NoRam));
        assert_eq!(PdxMap::choose(Policy::Auto, banks), (PdxMap::none(), None));
        assert_eq!(Groups::new(banks, &PdxMap::none(), GroupSize::GIB), Err(PdxRefusal::NoRam));
    }
}

#[test]
fn groups_of_other_banks_than_the_map_was_made_for_are_refused_by_address() {
    let map = PdxMap::mask(T8.banks).unwrap();
    let refusal = Groups::new(&[frames(0..0x80001)], &map, GroupSize::GIB).unwrap_err();
    assert_eq!(refusal.to_string(), "mask compression, bits 19..22 removed does not cover RAM at [0x0, 0x80001000)");
}

/// F1: the bitmap's index was the absolute group, and a bank above 2.3 TiB wrote past its end.
#[test]
fn f1_the_bitmap_is_relative_to_the_lowest_bank_and_cannot_be_left() {
    let high = frames(0x2_0000_0000..0x2_0004_0000);
    let groups = Groups::new(&[high], &PdxMap::none(), GroupSize::GIB).unwrap();
    assert_eq!((groups.span(), groups.count_valid(), groups.base()), (1, 1, Pdx::new(0x2_0000_0000)));
    for outside in [0, 1, 0x1_ffff_ffff, 0x2_0004_0000, u64::MAX] {
        assert!(!groups.contains(Pdx::new(outside)), "{outside:#x}");
    }
    let uncompressed = Groups::new(T8.banks, &PdxMap::none(), GroupSize::GIB).unwrap();
    assert_eq!((uncompressed.span(), uncompressed.count_valid()), (7170, 10));
    assert!(uncompressed.contains(Pdx::new(0x7007_ffff)));
    let last_frame = frames((1 << 40) - 1..1 << 40);
    let top = Groups::new(&[last_frame], &PdxMap::none(), GroupSize::GIB).unwrap();
    assert!(top.contains(Pdx::new((1 << 40) - 1)) && !top.contains(Pdx::new(1 << 40)));
}

/// F2: an empty bank set nothing, or the wrong group, or wrapped at frame 0.
#[test]
fn f2_empty_banks_change_nothing() {
    let bank = frames(0x100000..0x140000);
    let with_empty = [frames(0..0), frames(0x900000..0x900000), bank.clone(), mfn(0x80000)..mfn(0x40000)];
    let build = |banks: &[Range<Mfn>]| Groups::new(banks, &PdxMap::none(), GroupSize::GIB).unwrap();
    assert_eq!(build(&with_empty), build(&[bank]));
    assert_eq!(PdxMap::mask(&with_empty), PdxMap::mask(&with_empty[2..3]));
    assert_eq!(PdxMap::offset(&with_empty), PdxMap::offset(&with_empty[2..3]));
}

#[test]
fn the_bitmap_draws_itself_in_at_most_64_characters() {
    let draw = |banks: &[Range<Mfn>]| Groups::new(banks, &PdxMap::none(), GroupSize::GIB).unwrap().to_string();
    let group = |range: Range<u64>| frames(range.start * GROUP_PAGES..range.end * GROUP_PAGES);
    assert_eq!(draw(&[group(3..5), group(11..12)]), "##......#");
    assert_eq!(draw(&[group(0..64)]).len(), 64);
    let scaled = draw(&[group(0..3), group(120..129)]);
    assert_eq!(scaled, std::format!("#{}###", ".".repeat(39)));
    assert_eq!(draw(&[group(0..1), group(64..65)]), std::format!("+{}#", ".".repeat(31)));
}

#[test]
fn group_sizes_are_powers_of_two_in_range() {
    assert_eq!(GroupSize::new(GROUP_PAGES), Some(GroupSize::GIB));
    for wrong in [0, 1, 8, 24, 262_143, 1 << 41, u64::MAX] {
        assert_eq!(GroupSize::new(wrong), None, "{wrong}");
    }
}

/// Every single page of a small machine with a hole in each of the ways that matter.
#[test]
fn page_by_page_every_map_is_a_bijection_that_keeps_order() {
    let banks = [frames(0x1234..0x41234), frames(0x200000..0x200001), frames(0x2c0003..0x300000)];
    let maps = maps(&banks);
    assert_eq!(maps.len(), 3, "both compressions apply");
    for map in maps {
        let groups = Groups::new(&banks, &map, GroupSize::GIB).unwrap();
        let mut previous = None;
        for frame in (0..0x400000).step_by(unless_interpreted(1, 0x1001)).map(mfn) {
            let covered = map.covers(frame);
            let pdx = map.pdx(frame);
            assert_eq!(covered && groups.contains(pdx), needs_entry(&banks, frame), "{frame:?}");
            if covered {
                assert_eq!(map.mfn(pdx), Some(frame));
                assert!(previous < Some(pdx), "{frame:?}");
                previous = Some(pdx);
            }
        }
    }
}

proptest! {
    #[test]
    fn compression_is_a_bijection_that_keeps_order_and_low_bits(
        banks in any_banks(),
        random in proptest::collection::vec(0_u64..1 << 40, 16),
    ) {
        for map in maps(&banks) {
            let groups = Groups::new(&banks, &map, GroupSize::GIB).unwrap();
            let mut previous = None;
            for frame in interesting(&banks, &random) {
                let pdx = map.pdx(frame);
                prop_assert!(map.covers(frame) || !is_ram(&banks, frame), "{:?} under {}", frame, map.kind());
                prop_assert_eq!(map.covers(frame) && groups.contains(pdx), needs_entry(&banks, frame), "{:?}", frame);
                if map.covers(frame) {
                    prop_assert_eq!(map.mfn(pdx), Some(frame));
                    prop_assert_eq!(pdx.get() % GROUP_PAGES, frame.get() % GROUP_PAGES);
                    prop_assert!(previous < Some(pdx), "{:?} under {}", frame, map.kind());
                    previous = Some(pdx);
                }
            }
        }
    }

    /// Taking the bits out one by one gives what the masks give.
    #[test]
    fn mask_compression_drops_exactly_the_bits_it_names(banks in any_banks(), random in any::<Index>()) {
        let Ok(map) = PdxMap::mask(&banks) else { return Ok(()) };
        let PdxKind::Mask { first_bit, bits } = map.kind() else { panic!("{}", map.kind()) };
        let bank = &banks[random.index(banks.len())];
        for frame in [bank.start.get(), bank.start.get() + random.index(bank.count() as usize) as u64] {
            let kept = (0..40).filter(|bit| !(first_bit..first_bit + bits).contains(bit));
            let pdx: u64 = kept.enumerate().map(|(to, from)| (frame >> from & 1) << to).sum();
            prop_assert_eq!(map.pdx(mfn(frame)).get(), pdx);
        }
    }

    #[test]
    fn auto_never_spans_more_than_a_forced_kind(banks in any_banks()) {
        let width = |map: &PdxMap| {
            let pdx = || banks.iter().flat_map(|bank| [map.pdx(bank.start), map.pdx(bank.end.checked_sub(1).unwrap())]);
            pdx().max().unwrap().get() - pdx().min().unwrap().get()
        };
        let auto = PdxMap::choose(Policy::Auto, &banks).0;
        prop_assert_eq!(Some(width(&auto)), maps(&banks).iter().map(width).min());
    }

    /// Overlapping, inverted and unsorted ranges included: whatever is built covers all it was given.
    #[test]
    fn any_ranges_at_all_give_a_sound_map_or_a_reason(
        raw in proptest::collection::vec((0_u64..=1 << 40, 0_u64..=1 << 40, 0_u32..40), 0..80),
    ) {
        let banks: Vec<_> = raw.iter().map(|&(start, end, shift)| mfn(start >> shift)..mfn(end >> shift)).collect();
        for map in maps(&banks) {
            prop_assert!(banks.iter().all(|bank| map.is_compressible(bank)), "{}", map.kind());
        }
    }
}

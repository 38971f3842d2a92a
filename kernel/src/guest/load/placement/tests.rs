//! Places by example and against an exhaustive search.

use super::{Needs, Placement, PlacementError, TREE_BYTES};
use crate::base::addr::GuestAddr;
use core::ops::Range;
use proptest::prelude::{Strategy, prop, prop_oneof, proptest};
use std::string::{String, ToString};
use std::vec;
use std::vec::Vec;

const MIB: u64 = 1 << 20;
const GIB: u64 = 1 << 30;

/// Start and size.
fn bank(start: u64, size: u64) -> Range<GuestAddr> {
    GuestAddr::new(start)..GuestAddr::new(start + size)
}

fn needs(kernel: u64, ramdisk: u64) -> Needs {
    Needs { text_offset: 0, kernel, ramdisk: Some(ramdisk) }
}

/// First addresses of kernel, tree and ramdisk.
fn starts(banks: &[Range<GuestAddr>], needs: Needs) -> (u64, u64, u64) {
    let Placement { kernel, tree, ramdisk } = Placement::new(banks, &needs).unwrap();
    (kernel.start.get(), tree.start.get(), ramdisk.map_or(0, |ramdisk| ramdisk.start.get()))
}

fn refusal(banks: &[Range<GuestAddr>], needs: Needs) -> String {
    Placement::new(banks, &needs).unwrap_err().to_string()
}

#[test]
fn with_256_mib_everything_is_where_xen_puts_it() {
    let banks = [bank(0x4000_0000, 256 * MIB)];
    assert_eq!(starts(&banks, needs(30 * MIB, 20 * MIB)), (0x4000_0000, 0x4800_0000, 0x4820_0000));
    let old = Needs { text_offset: 0x8_0000, kernel: 30 * MIB, ramdisk: None };
    assert_eq!(starts(&banks, old), (0x4008_0000, 0x4800_0000, 0));
}

#[test]
fn with_less_than_that_the_tree_and_the_ramdisk_are_at_the_top() {
    let banks = [bank(0x4000_0000, 128 * MIB)];
    assert_eq!(starts(&banks, needs(30 * MIB, 20 * MIB + 1)), (0x4000_0000, 0x4680_0000, 0x46a0_0000));
    let placement = Placement::new(&banks, &needs(30 * MIB, 20 * MIB + 1)).unwrap();
    assert_eq!(placement.ramdisk.unwrap().end.get(), 0x47e0_0001);
}

#[test]
fn a_kernel_of_more_than_128_mib_moves_the_tree_and_the_ramdisk() {
    let banks = [bank(0x4000_0000, 256 * MIB)];
    assert_eq!(starts(&banks, needs(130 * MIB, 20 * MIB)), (0x4000_0000, 0x4ea0_0000, 0x4ec0_0000));
    // The top of this bank is too far away.
    let banks = [bank(0x4000_0000, 64 * GIB)];
    assert_eq!(starts(&banks, needs(130 * MIB, 20 * MIB)), (0x4000_0000, 0x4820_0000, 0x4840_0000));
}

#[test]
fn a_ramdisk_that_does_not_fit_beside_the_tree_goes_into_another_bank() {
    let banks = [bank(0x4000_0000, 32 * MIB), bank(0x8000_0000, 64 * MIB)];
    assert_eq!(starts(&banks, needs(8 * MIB, 40 * MIB)), (0x4000_0000, 0x41e0_0000, 0x8180_0000));
}

#[test]
fn a_bank_too_small_for_the_kernel_is_passed_over() {
    let banks = [bank(0x4000_0000, 4 * MIB), bank(0x8010_0000, 64 * MIB)];
    assert_eq!(starts(&banks, needs(8 * MIB, MIB)).0, 0x8020_0000);
}

#[test]
fn what_does_not_fit_is_refused_by_name() {
    let banks = [bank(0x4000_0000, 256 * MIB)];
    assert_eq!(
        refusal(&banks, needs(30 * MIB, 300 * MIB)),
        "ramdisk of 300.0 MiB does not fit into 256.0 MiB of RAM beside kernel [0x40000000, 0x41e00000) and a device tree \
         of up to 2.0 MiB"
    );
    assert_eq!(
        refusal(&banks, Needs { text_offset: 0x8_0000, kernel: 256 * MIB, ramdisk: None }),
        "kernel of 256.0 MiB at text_offset 0x80000 does not fit into 256.0 MiB of RAM, the largest bank of which has \
         256.0 MiB"
    );
    for ramdisk in [None, Some(1)] {
        assert_eq!(
            refusal(&banks, Needs { text_offset: 0, kernel: 255 * MIB, ramdisk }),
            "device tree of up to 2.0 MiB does not fit into 256.0 MiB of RAM beside kernel [0x40000000, 0x4ff00000)"
        );
    }
}

#[test]
fn a_ramdisk_that_linux_would_not_find_is_refused() {
    // The kernel is at 1 GiB, so the window ends at 33 GiB.
    let kernel = bank(0x4000_0000, 12 * MIB);
    let at = |start| [kernel.clone(), bank(start, 16 * MIB)];
    assert!(Placement::new(&at(33 * GIB - 16 * MIB), &needs(8 * MIB, 16 * MIB)).is_ok());
    assert_eq!(
        refusal(&at(33 * GIB), needs(8 * MIB, 16 * MIB)),
        "ramdisk of 16.0 MiB fits into 28.0 MiB of RAM only farther from kernel [0x40000000, 0x40800000) than the 32.0 GiB \
         that Linux allows"
    );
}

#[test]
fn absurd_sizes_are_refused() {
    let banks = [bank(u64::MAX - 64 * MIB, 64 * MIB)];
    for size in [u64::MAX, 1 << 63] {
        assert!(matches!(Placement::new(&banks, &needs(size, 0)), Err(PlacementError::Kernel { .. })));
        assert!(matches!(Placement::new(&banks, &needs(0, size)), Err(PlacementError::Ramdisk { .. })));
        let needs = Needs { text_offset: size, kernel: 1, ramdisk: None };
        assert!(matches!(Placement::new(&banks, &needs), Err(PlacementError::Kernel { .. })));
    }
    assert!(Placement::new(&[], &needs(0, 0)).is_err());
}

/// Whole pages, some of them whole multiples of 2 MiB.
fn any_size() -> impl Strategy<Value = u64> {
    prop_oneof![(0..80u64).prop_map(|blocks| blocks * 2 * MIB), (0..40_000u64).prop_map(|pages| pages * 0x1000)]
}

/// Disjoint and in ascending order.
fn any_banks() -> impl Strategy<Value = Vec<Range<GuestAddr>>> {
    prop::collection::vec((any_size(), any_size()), 1..4).prop_map(|pieces| {
        let mut end = 0x4000_0000;
        let mut banks = vec![];
        for (hole, size) in pieces {
            banks.push(bank(end + hole, size + 0x1000));
            end += hole + size + 0x1000;
        }
        banks
    })
}

/// Whether a tree and a ramdisk fit beside the kernel: every place of the tree is tried.
fn can_fit(banks: &[Range<GuestAddr>], kernel: &Range<GuestAddr>, ramdisk: u64) -> bool {
    let holds = |taken: &[Range<GuestAddr>], place: &Range<GuestAddr>| {
        banks.iter().any(|bank| bank.start <= place.start && place.end <= bank.end)
            && taken.iter().all(|taken| place.end <= taken.start || taken.end <= place.start)
    };
    let trees = (0x4000_0000..0x9000_0000).step_by(TREE_BYTES as usize).map(|start| bank(start, TREE_BYTES));
    trees.filter(|tree| holds(std::slice::from_ref(kernel), tree)).any(|tree| {
        let taken = [kernel.clone(), tree];
        // If there is a place, then also one that starts a bank or follows something.
        let starts = banks.iter().map(|bank| bank.start).chain(taken.iter().map(|taken| taken.end));
        starts.filter_map(|start| start.align_up(0x1000)).any(|start| holds(&taken, &bank(start.get(), ramdisk)))
    })
}

proptest! {
    #[test]
    fn places_are_disjoint_aligned_and_in_banks(
        banks in any_banks(),
        (text_offset, kernel, ramdisk) in (0..0x20_0000u64, 1..150 * MIB, prop::option::of(0..150 * MIB)),
    ) {
        match Placement::new(&banks, &Needs { text_offset, kernel, ramdisk }) {
            Ok(placement) => {
                assert_eq!(placement.kernel.start.get() % (2 * MIB), text_offset);
                assert!(placement.tree.start.is_aligned(TREE_BYTES));
                let mut places = vec![(placement.kernel, kernel), (placement.tree, TREE_BYTES)];
                if let Some(range) = placement.ramdisk {
                    assert!(range.start.is_aligned(0x1000));
                    places.push((range, ramdisk.unwrap()));
                }
                for (index, (place, size)) in places.iter().enumerate() {
                    assert_eq!(place.end.get() - place.start.get(), *size);
                    assert!(banks.iter().any(|bank| bank.start <= place.start && place.end <= bank.end));
                    let others = &places[index + 1..];
                    assert!(others.iter().all(|(other, _)| place.end <= other.start || other.end <= place.start));
                }
            }
            Err(PlacementError::Kernel { .. }) => {
                let fits = |bank: &Range<GuestAddr>| {
                    bank.start.get().next_multiple_of(2 * MIB) + text_offset + kernel <= bank.end.get()
                };
                assert!(!banks.iter().any(fits));
            }
            Err(PlacementError::Tree { kernel, .. }) => assert!(!can_fit(&banks, &kernel, 0)),
            Err(PlacementError::Ramdisk { kernel, ramdisk, .. }) => assert!(!can_fit(&banks, &kernel, ramdisk)),
            Err(error) => panic!("{error}"),
        }
    }
}

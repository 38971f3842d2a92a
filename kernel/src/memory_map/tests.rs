//! Banks and reservations, by example and against a map of pages.

use super::owners::TOLD;
use super::{BankFault, MemoryMap, MemoryMapError, MemoryWarning, PhysLimit};
use crate::base::addr::{Frames, Mfn, PAGE_SIZE, PhysAddr, Span};
use crate::devtree::{Bank, MapPermission, Owned, Owner};
use core::ops::Range;
use proptest::prelude::{Just, Strategy, prop, prop_oneof, proptest};
use std::string::ToString;
use std::vec::Vec;
use std::{format, vec};

const GIB: u64 = 1 << 30;

fn bank(start: u64, size: u64) -> Bank {
    Bank { node: format!("/memory@{start:x}"), start: PhysAddr::new(start), size }
}

fn owned(owner: Owner, start: u64, size: u64) -> Owned {
    Owned { owner, span: Span::sized(PhysAddr::new(start), size).unwrap() }
}

fn module(start: u64, size: u64) -> Owned {
    owned(Owner::Module(format!("/chosen/module@{start:x}")), start, size)
}

fn reserved(start: u64, size: u64) -> Owned {
    let node = format!("/reserved-memory/r@{start:x}");
    owned(Owner::ReservedMemory { node, mapping: MapPermission::Allowed }, start, size)
}

fn mfn(raw: u64) -> Mfn {
    Mfn::new(raw).unwrap()
}

fn frames(ranges: impl IntoIterator<Item = Range<Mfn>>) -> Vec<(u64, u64)> {
    ranges.into_iter().map(|range| (range.start.get(), range.end.get())).collect()
}

fn map(banks: &[(u64, u64)], owned: &[Owned]) -> Result<MemoryMap, MemoryMapError> {
    let banks: Vec<Bank> = banks.iter().map(|(start, size)| bank(*start, *size)).collect();
    MemoryMap::new(&banks, owned.to_vec(), PhysLimit::WIDEST)
}

fn told(map: &MemoryMap) -> Vec<std::string::String> {
    map.warnings().iter().map(ToString::to_string).collect()
}

fn refusal(banks: &[(u64, u64)], owned: &[Owned]) -> std::string::String {
    map(banks, owned).unwrap_err().to_string()
}

#[test]
fn banks_are_sorted_and_adjacent_ones_merged() {
    let map = map(&[(3 * GIB, GIB), (GIB, GIB), (2 * GIB, GIB), (8 * GIB, GIB)], &[]).unwrap();
    assert_eq!(frames(map.banks().to_vec()), [(0x4_0000, 0x10_0000), (0x20_0000, 0x24_0000)]);
    assert_eq!((map.ram_bytes(), map.span_bytes(), map.free_bytes()), (4 * GIB, 8 * GIB, 4 * GIB));
    assert!(map.warnings().is_empty());
}

#[test]
fn banks_are_trimmed_to_whole_pages() {
    let map = map(&[(0x4000_0001, 0x3000), (0x5000_0000, 0x1fff)], &[]).unwrap();
    assert_eq!(frames(map.banks().to_vec()), [(0x4_0001, 0x4_0003), (0x5_0000, 0x5_0001)]);
}

/// F2: in Xen an empty or sub-page bank sets the wrong validity bits, or wraps around.
#[test]
fn f2_empty_and_sub_page_banks_are_dropped_with_a_warning() {
    let sub_pages = [(0, 0), (0, 0xfff), (0x4000_0000, 0), (0x5000_0001, 0x1ffe), (GIB * 6, GIB)];
    let map = map(&sub_pages, &[]).unwrap();
    assert_eq!(frames(map.banks().to_vec()), [(0x18_0000, 0x1c_0000)]);
    let fault = |warning: &MemoryWarning| match warning {
        MemoryWarning::Bank { fault, .. } => *fault,
        other => panic!("{other}"),
    };
    let faults: Vec<BankFault> = map.warnings().iter().map(fault).collect();
    assert_eq!(faults, [BankFault::Empty, BankFault::SubPage, BankFault::Empty, BankFault::SubPage]);
    assert_eq!(
        map.warnings()[3].to_string(),
        "memory of /memory@50000001 at 0x50000001, 0x1ffe bytes, has no whole page of 4096 bytes: ignored"
    );
}

#[test]
fn banks_beyond_the_cpu_are_cut_or_dropped_with_a_warning() {
    let banks = [bank(0, GIB), bank(1 << 36, GIB), bank((1 << 36) - GIB, 2 * GIB), bank(GIB, u64::MAX)];
    let map = MemoryMap::new(&banks[..], vec![], PhysLimit::from_bits(36)).unwrap();
    assert_eq!(frames(map.banks().to_vec()), [(0, 0x4_0000), (0xfc_0000, 0x100_0000)]);
    let messages: Vec<_> = map.warnings().iter().map(ToString::to_string).collect();
    assert_eq!(
        messages,
        [
            "memory of /memory@1000000000 at 0x1000000000, 0x40000000 bytes, lies above the CPU's physical addresses, \
             which end at 0x1000000000: ignored",
            "memory of /memory@fc0000000 at 0xfc0000000, 0x80000000 bytes, reaches above the CPU's physical addresses: \
             cut at 0x1000000000",
            "memory of /memory@40000000 at 0x40000000, 0xffffffffffffffff bytes, reaches past the end of the address \
             space: ignored",
        ]
    );
    assert_eq!(PhysLimit::from_bits(52), PhysLimit::WIDEST);
}

#[test]
fn overlapping_banks_are_merged_and_told_with_both_names() {
    let odd = map(&[(0x4000_0000, 0x1001), (0x4000_1000, 0x2000)], &[]).unwrap();
    assert_eq!(frames(odd.banks().to_vec()), [(0x4_0000, 0x4_0003)]);
    assert_eq!(
        told(&odd),
        ["memory of /memory@40001000 [0x40001000, 0x40003000) overlaps memory of /memory@40000000 \
          [0x40000000, 0x40001001): merged"]
    );
    let twice = map(&[(GIB, GIB), (GIB, GIB)], &[]).unwrap();
    assert_eq!((frames(twice.banks().to_vec()), told(&twice).len()), (vec![(0x4_0000, 0x8_0000)], 1));
    // The second is inside the first, and so is the third, behind the second's end.
    let inside = map(&[(0, 8 * GIB), (GIB, GIB), (3 * GIB, GIB), (9 * GIB, GIB)], &[]).unwrap();
    assert_eq!(frames(inside.banks().to_vec()), [(0, 0x20_0000), (0x24_0000, 0x28_0000)]);
    assert_eq!(told(&inside).len(), 2);
}

#[test]
fn no_usable_ram_is_refused() {
    assert_eq!(refusal(&[], &[]), "none of 0 memory banks has a page of usable RAM");
    assert_eq!(refusal(&[(0, 0), (1 << 48, GIB)], &[]), "none of 2 memory banks has a page of usable RAM");
}

/// F5: Xen takes "has page info" for "is RAM" when it gives a boot module back to the heap.
#[test]
fn f5_a_module_in_a_hole_is_refused_by_name() {
    let banks = [(GIB, GIB / 2), (2 * GIB, GIB / 2)];
    assert_eq!(
        refusal(&banks, &[module(GIB + GIB / 2, 0x1000)]),
        "module /chosen/module@60000000 [0x60000000, 0x60001000) lies outside RAM"
    );
    for (start, size) in [(GIB - 1, 2), (GIB + GIB / 2 - 1, 2), (GIB, GIB + 1), (0, 1), (3 * GIB, 1)] {
        assert!(matches!(map(&banks, &[module(start, size)]), Err(MemoryMapError::NotRam { .. })));
    }
    assert!(map(&banks, &[module(GIB, GIB / 2), module(2 * GIB + 1, 1)]).is_ok());
}

#[test]
fn what_is_run_or_given_to_a_guest_must_be_in_ram() {
    let banks = [(GIB, GIB)];
    for owner in [Owner::Image, Owner::StaticMem("/chosen/domU1".into())] {
        let what = owned(owner, 2 * GIB, 0x1000);
        assert_eq!(map(&banks, std::slice::from_ref(&what)).unwrap_err(), MemoryMapError::NotRam { what });
    }
    // Adjacent banks are one.
    assert!(map(&[(GIB, GIB), (2 * GIB, GIB)], &[module(2 * GIB - 1, 2)]).is_ok());
    for owner in [Owner::DeviceTree, Owner::Initrd, Owner::SharedMem("/chosen/shm".into())] {
        let what = owned(owner, 2 * GIB - 1, 2);
        let map = map(&banks, std::slice::from_ref(&what)).unwrap();
        assert_eq!((map.warnings(), map.free_bytes()), (&[MemoryWarning::NotRam { what }][..], GIB - PAGE_SIZE));
    }
}

/// F4: Xen frees the pages of static memory that has page info but is not RAM.
#[test]
fn f4_static_memory_that_is_not_ram_is_refused_by_name() {
    let static_memory = |start, size| owned(Owner::StaticMem("/chosen/domU1".into()), start, size);
    let banks = [(GIB + GIB / 2, GIB)];
    assert_eq!(
        refusal(&banks, &[static_memory(GIB, 0x1000)]),
        "xen,static-mem of /chosen/domU1 [0x40000000, 0x40001000) lies outside RAM"
    );
    assert_eq!(
        refusal(&banks, &[static_memory(2 * GIB, 0x1800)]),
        "xen,static-mem of /chosen/domU1 [0x80000000, 0x80001800) is not made of whole pages of 4096 bytes"
    );
    assert!(matches!(map(&banks, &[static_memory(2 * GIB + 1, 0xfff)]), Err(MemoryMapError::Unaligned { .. })));
    assert!(map(&banks, &[static_memory(2 * GIB, 0x2000)]).is_ok());
}

#[test]
fn two_owners_of_one_byte_are_refused_with_both_names() {
    let image = owned(Owner::Image, GIB, 0x3_1000);
    assert_eq!(
        refusal(&[(GIB, GIB)], &[module(GIB + 0x3_0fff, 0x5000), image]),
        "module /chosen/module@40030fff [0x40030fff, 0x40035fff) overlaps image [0x40000000, 0x40031000)"
    );
}

fn static_memory(guest: &str, start: u64, size: u64) -> Owned {
    owned(Owner::StaticMem(format!("/chosen/{guest}")), start, size)
}

/// What keeps memory away from everybody may do so twice: the union is kept away.
#[test]
fn reservations_that_overlap_are_both_reserved_and_told() {
    let all = [
        reserved(GIB, 0x8000),
        reserved(GIB + 0x1000, 0x1000),
        reserved(GIB + 0x4000, 0x8000),
        reserved(2 * GIB, 0x1000),
        owned(Owner::DeviceTree, 2 * GIB, 0x1000),
        owned(Owner::Initrd, 2 * GIB, 0x2000),
    ];
    let map = map(&[(GIB, 2 * GIB)], &all).unwrap();
    assert_eq!(frames(map.free()), [(0x4_000c, 0x8_0000), (0x8_0002, 0xc_0000)]);
    let first = "reserved-memory /reserved-memory/r@40000000 [0x40000000, 0x40008000)";
    assert_eq!(
        told(&map),
        [
            format!(
                "reserved-memory /reserved-memory/r@40001000 [0x40001000, 0x40002000) overlaps {first}: both are reserved"
            ),
            format!(
                "reserved-memory /reserved-memory/r@40004000 [0x40004000, 0x4000c000) overlaps {first}: both are reserved"
            ),
            "reserved-memory /reserved-memory/r@80000000 [0x80000000, 0x80001000) overlaps device tree \
             [0x80000000, 0x80001000): both are reserved"
                .into(),
            "initrd [0x80000000, 0x80002000) overlaps device tree [0x80000000, 0x80001000): both are reserved".into(),
            "initrd [0x80000000, 0x80002000) overlaps reserved-memory /reserved-memory/r@80000000 \
             [0x80000000, 0x80001000): both are reserved"
                .into(),
        ]
    );
}

/// Where a guess could give a guest what is somebody else's, there is none. Each pair in either order.
#[test]
fn what_a_guest_gets_or_reads_belongs_to_nobody_else() {
    let at = |owner: Owner| owned(owner, GIB, 0x2000);
    let image = at(Owner::Image);
    let tree = at(Owner::DeviceTree);
    let initrd = at(Owner::Initrd);
    let shared = at(Owner::SharedMem("/chosen/shm".into()));
    let listed = at(Owner::MemReserve(0));
    let module = || module(GIB + 0x1000, 0x2000);
    let static_memory = |guest: &str| static_memory(guest, GIB + 0x1000, 0x2000);
    let reserved = || reserved(GIB + 0x1800, 0x10);
    let pairs = [
        (static_memory("domU1"), static_memory("domU2")),
        (static_memory("domU1"), module()),
        (static_memory("domU1"), reserved()),
        (static_memory("domU1"), image.clone()),
        (static_memory("domU1"), tree.clone()),
        (static_memory("domU1"), initrd.clone()),
        (static_memory("domU1"), shared.clone()),
        (static_memory("domU1"), listed),
        (module(), reserved()),
        (module(), image.clone()),
        (module(), tree.clone()),
        (module(), initrd),
        (module(), shared.clone()),
        (image.clone(), tree.clone()),
        (shared.clone(), image),
        (shared, tree),
    ];
    for (a, b) in pairs {
        for both in [[a.clone(), b.clone()], [b.clone(), a.clone()]] {
            assert!(matches!(map(&[(GIB, GIB)], &both), Err(MemoryMapError::Overlap { .. })), "{a} and {b}");
        }
    }
}

#[test]
fn memory_that_is_shared_may_be_named_by_all_who_share_it() {
    let shared = |guest: &str, size| owned(Owner::SharedMem(format!("/chosen/{guest}/shm")), GIB, size);
    let map = |second| map(&[(GIB, GIB)], &[shared("domU1", 0x1000), second]);
    assert!(map(shared("domU2", 0x1000)).unwrap().warnings().is_empty());
    assert!(matches!(map(shared("domU2", 0x2000)), Err(MemoryMapError::Overlap { .. })));
    assert_eq!(map(reserved(GIB, 0x2000)).unwrap().warnings().len(), 1);
}

#[test]
fn a_tree_with_many_oddities_is_told_some_and_their_number() {
    let all: Vec<Owned> = (0..1000).map(|n| reserved(GIB + n, 0x1000)).collect();
    let map = map(&[(GIB, GIB)], &all).unwrap();
    assert_eq!(map.warnings().len(), TOLD + 1);
    let last = told(&map).pop().unwrap();
    assert_eq!(last, format!("{} more reservations overlap others or do not lie in RAM", 999 - TOLD));
}

#[test]
fn an_overlap_is_found_behind_a_smaller_neighbour() {
    let all = [owned(Owner::Image, GIB, 0x10_0000), reserved(GIB + 0x1000, 1), module(GIB + 0x8_0000, 0x1000)];
    assert!(matches!(map(&[(GIB, GIB)], &all), Err(MemoryMapError::Overlap { .. })));
    let equal = [owned(Owner::Initrd, GIB, 0x2000), module(GIB, 0x2000), reserved(GIB + 0x1000, 0x1000)];
    assert!(matches!(map(&[(GIB, GIB)], &equal), Err(MemoryMapError::Overlap { .. })));
    let beside = [module(GIB, 0x1001), module(GIB + 0x1001, 1), reserved(GIB + 0x1002, 1)];
    assert!(map(&[(GIB, GIB)], &beside).is_ok());
}

#[test]
fn firmware_may_list_what_it_loaded_twice() {
    let all = [
        owned(Owner::MemReserve(0), GIB, GIB),
        owned(Owner::MemReserve(1), GIB, 0x1000),
        owned(Owner::Image, GIB, 0x1000),
        owned(Owner::Initrd, GIB + 0x8000, 0x1234),
        module(GIB + 0x8000, 0x1234),
    ];
    let map = map(&[(GIB, 2 * GIB)], &all).unwrap();
    assert_eq!(frames(map.free()), [(0x8_0000, 0xc_0000)]);
    let initrd = [owned(Owner::Initrd, GIB, 0x1234), module(GIB, 0x1235)];
    assert!(matches!(
        super::MemoryMap::new(&[bank(GIB, GIB)], initrd.to_vec(), PhysLimit::WIDEST),
        Err(MemoryMapError::Overlap { .. })
    ));
}

#[test]
fn guests_may_be_started_from_one_module() {
    let module =
        |guest: &str, size| owned(Owner::Module(format!("/chosen/{guest}/module@40008000")), GIB + 0x8000, size);
    let map = map(&[(GIB, GIB)], &[module("domU1", 0x1234), module("domU2", 0x1234)]).unwrap();
    assert_eq!(frames(map.free()), [(0x4_0000, 0x4_0008), (0x4_000a, 0x8_0000)]);
    assert_eq!(
        refusal(&[(GIB, GIB)], &[module("domU1", 0x1234), module("domU2", 0x1235)]),
        "module /chosen/domU2/module@40008000 [0x40008000, 0x40009235) overlaps \
         module /chosen/domU1/module@40008000 [0x40008000, 0x40009234)"
    );
}

#[test]
fn reservations_outside_ram_are_harmless_and_told() {
    let all = [reserved(0, 0x1000), owned(Owner::MemReserve(0), 1 << 60, 0x1000), reserved(2 * GIB - 1, GIB)];
    let map = map(&[(GIB, GIB)], &all).unwrap();
    assert_eq!(frames(map.free()), [(0x4_0000, 0x7_ffff)]);
    assert_eq!(map.reserved().len(), 3);
    assert_eq!(
        told(&map),
        [
            "reserved-memory /reserved-memory/r@0 [0x0, 0x1000) does not lie in RAM",
            "reserved-memory /reserved-memory/r@7fffffff [0x7fffffff, 0xbfffffff) does not lie in RAM",
            "memreserve entry 0 [0x1000000000000000, 0x1000000000001000) does not lie in RAM",
        ]
    );
}

#[test]
fn frame_zero_is_ram_but_never_free() {
    let map = map(&[(0, GIB)], &[]).unwrap();
    assert!(map.is_ram(mfn(0)));
    assert_eq!(frames(map.free()), [(1, 0x4_0000)]);
    assert_eq!(map.reserved()[0].to_string(), "frame 0 [0x0, 0x1000)");
    assert_eq!(map.free_bytes(), GIB - PAGE_SIZE);
}

#[test]
fn a_module_in_frame_zero_is_no_conflict() {
    assert!(map(&[(0, GIB)], &[module(0, 0x10)]).is_ok());
}

#[test]
fn fully_reserved_ram_is_a_map_without_free_frames() {
    let map = map(&[(GIB, GIB)], &[reserved(GIB, GIB)]).unwrap();
    assert_eq!((map.free().count(), map.free_bytes(), map.ram_bytes()), (0, 0, GIB));
}

/// Pages and odd bytes of a small address space, for the property test.
const PAGES: u64 = 64;

fn any_range() -> impl Strategy<Value = (u64, u64)> {
    let byte = prop_oneof![3 => Just(0u64), 1 => 1..PAGE_SIZE];
    let length = prop_oneof![1 => Just(0u64), 6 => 1..8u64];
    (0..PAGES, byte.clone(), length, byte)
        .prop_map(|(page, byte, pages, more)| (page * PAGE_SIZE + byte, pages * PAGE_SIZE + more))
}

fn any_owner() -> impl Strategy<Value = fn(u64, u64) -> Owned> {
    let memreserve: fn(u64, u64) -> Owned = |start, size| owned(Owner::MemReserve(0), start, size);
    let static_memory: fn(u64, u64) -> Owned = |start, size| static_memory("domU1", start, size);
    prop_oneof![
        4 => Just(memreserve),
        3 => Just(reserved as fn(u64, u64) -> Owned),
        1 => Just(module as fn(u64, u64) -> Owned),
        1 => Just(static_memory),
    ]
}

proptest! {
    /// Banks, free frames and refusals, byte by byte and page by page against nothing but the input.
    #[test]
    fn the_map_agrees_with_a_map_of_bytes(
        banks in prop::collection::vec(any_range(), 0..6),
        owners in prop::collection::vec((any_owner(), any_range()), 0..6),
    ) {
        let owners: Vec<Owned> = owners.iter().filter(|(_, (_, size))| *size > 0)
            .map(|(owner, (start, size))| owner(*start, *size)).collect();
        let spans: Vec<Range<u64>> = banks.iter().map(|(start, size)| *start..*start + *size).collect();
        let page = |number: u64| number * PAGE_SIZE..(number + 1) * PAGE_SIZE;
        let meet = |a: &Range<u64>, b: &Range<u64>| a.start.max(b.start) < a.end.min(b.end);
        let inside = |a: &Range<u64>, b: &Range<u64>| b.start <= a.start && a.end <= b.end;
        let bytes = |owned: &Owned| owned.span.start.get()..owned.span.end.get();
        let is_ram = |number: u64| spans.iter().any(|bank| inside(&page(number), bank));
        let all_ram = |range: &Range<u64>| (range.start / PAGE_SIZE..range.end.div_ceil(PAGE_SIZE)).all(is_ram);
        let pairs = |count: usize| (0..count).flat_map(move |a| (0..a).map(move |b| (a, b)));

        let is_module = |owned: &Owned| matches!(owned.owner, Owner::Module(_));
        let is_static = |owned: &Owned| matches!(owned.owner, Owner::StaticMem(_));
        let is_listed = |owned: &Owned| matches!(owned.owner, Owner::MemReserve(_));
        let lost = owners.iter().any(|owned| (is_module(owned) || is_static(owned)) && !all_ram(&bytes(owned)));
        let odd = owners.iter().any(|owned| {
            is_static(owned) && bytes(owned).start % PAGE_SIZE + bytes(owned).end % PAGE_SIZE > 0
        });
        let clash = pairs(owners.len()).map(|(a, b)| (&owners[a], &owners[b])).any(|(a, b)| {
            let reads = (is_module(a) || is_module(b)) && !is_listed(a) && !is_listed(b);
            let is_same = is_module(a) && is_module(b) && a.span == b.span;
            meet(&bytes(a), &bytes(b)) && (is_static(a) || is_static(b) || reads && !is_same)
        });

        let map = match map(&banks, &owners) {
            Ok(map) => map,
            Err(error) => {
                let expected = match error {
                    MemoryMapError::NoRam { .. } => !(0..2 * PAGES).any(is_ram),
                    MemoryMapError::NotRam { .. } => lost,
                    MemoryMapError::Overlap { .. } => clash,
                    MemoryMapError::Unaligned { .. } => odd,
                    MemoryMapError::Silent { .. } => false,
                };
                assert!(expected, "{error}");
                return Ok(());
            }
        };
        assert!(!lost && !clash && !odd);
        let free: Vec<Range<Mfn>> = map.free().collect();
        for number in 0..2 * PAGES {
            let is_owned = number == 0 || owners.iter().any(|owned| meet(&page(number), &bytes(owned)));
            assert_eq!(map.is_ram(mfn(number)), is_ram(number), "page {number}");
            let is_free = free.iter().filter(|range| range.contains(&mfn(number))).count();
            assert_eq!(is_free, usize::from(is_ram(number) && !is_owned), "page {number}");
        }
        assert_eq!(map.ram_bytes(), (0..2 * PAGES).filter(|number| is_ram(*number)).count() as u64 * PAGE_SIZE);
        assert!(map.banks().is_sorted_by(|a, b| a.end < b.start) && map.banks().iter().all(|bank| bank.count() > 0));
        assert!(free.is_sorted_by(|a, b| a.end < b.start) && free.iter().all(|range| range.count() > 0));
        assert!(map.reserved().is_sorted_by_key(|owned| owned.span));
    }
}

//! Against the memory map of the same blob, which is made with a heap.

use super::{BLOCK_BYTES, HEAP_MAX, Survey};
use crate::base::addr::{Frames, PhysAddr, Span};
use crate::devtree::tests::{Node, memory, node, root, tokens, with_structure};
use crate::devtree::{Blob, Owned, Owner};
use crate::memory_map::{MemoryMap, PhysLimit};
use proptest::prelude::{Strategy, prop_assert, prop_assert_eq, proptest};
use std::vec::Vec;

const MIB: u64 = 1 << 20;
const RAM: u64 = 0x4000_0000;
const IMAGE: Span = Span { start: PhysAddr::new(RAM + 2 * MIB), end: PhysAddr::new(RAM + 3 * MIB) };
const LIMIT: PhysAddr = PhysAddr::new(1 << 48);

fn span(start: u64, end: u64) -> Span {
    Span { start: PhysAddr::new(start), end: PhysAddr::new(end) }
}

fn found(blob: &[u8], bytes: u64) -> Option<Span> {
    Survey::new(blob).unwrap().free_beside(&[IMAGE], LIMIT, bytes)
}

/// The blob with a gap before each of its tokens but the first two: nothing may stand before the root.
fn with_gaps(blob: &[u8]) -> Vec<u8> {
    let nop = 4_u32.to_be_bytes().to_vec();
    let tokens = tokens(blob);
    let (root, rest) = tokens.split_at(1);
    let structure: Vec<u8> =
        root.concat().into_iter().chain(rest.iter().flat_map(|token| [nop.clone(), token.clone()].concat())).collect();
    with_structure(blob, &structure)
}

fn reserving(start: u64, bytes: u64) -> Node {
    let cells = [(start >> 32) as u32, start as u32, (bytes >> 32) as u32, bytes as u32];
    node("range").cells("reg", &cells)
}

fn reserved() -> Node {
    node("reserved-memory").cells("#address-cells", &[2]).cells("#size-cells", &[2])
}

#[test]
fn the_lowest_free_blocks_of_the_images_bank_are_found() {
    let blob = root().with(memory()).blob();
    assert_eq!(found(&blob, 2 * MIB), Some(span(RAM, RAM + 2 * MIB)));
    assert_eq!(found(&blob, 3 * MIB), Some(span(RAM + 4 * MIB, RAM + 8 * MIB)));
}

/// Found by the fuzz target `memory_map`.
#[test]
fn a_count_of_cells_that_overflows_is_no_count() {
    let chosen = node("chosen").cells("#xen,static-mem-address-cells", &[u32::MAX, u32::MAX]);
    let guest =
        node("domU1").cells("#xen,static-mem-address-cells", &[u32::MAX, u32::MAX]).cells("xen,static-mem", &[0]);
    let blob = root().with(memory()).with(chosen.with(guest)).blob();
    assert_eq!(found(&blob, 2 * MIB), Some(span(RAM, RAM + 2 * MIB)));
}

#[test]
fn what_anybody_may_own_is_left_alone() {
    let chosen = |child: Node| {
        root().with(memory()).with(node("chosen").cells("#address-cells", &[2]).cells("#size-cells", &[2]).with(child))
    };
    let initrd = node("chosen").cells("linux,initrd-start", &[0x4000_0000]).cells("linux,initrd-end", &[0x4000_0001]);
    let guest = node("domU1").cells("#address-cells", &[1]).cells("#size-cells", &[1]);
    for tree in [
        root().with(memory()).with(initrd.clone()),
        root().with(initrd).with(memory()),
        // Names and numbers of cells as they should not be, but are read.
        root().with(memory()).with(
            node("chosen@0").cells("linux,initrd-start", &[RAM as u32]).cells("linux,initrd-end", &[RAM as u32 + 1]),
        ),
        root().with(memory()).with(
            node("reserved-memory@0")
                .cells("#address-cells", &[2, 0])
                .cells("#size-cells", &[2, 1])
                .with(reserving(RAM, 1)),
        ),
        root().with(memory()).with(reserved().with(reserving(RAM, 1))),
        root().with(reserved().with(reserving(RAM, 1).text("status", "disabled"))).with(memory()),
        chosen(reserving(RAM, 0x1000)),
        chosen(guest.clone().with(node("module").cells("reg", &[RAM as u32, 0x1000]))),
        chosen(guest.clone().cells("xen,static-mem", &[0, RAM as u32, 0, 0x1000])),
        chosen(
            guest
                .clone()
                .cells("#xen,static-mem-address-cells", &[1])
                .cells("#xen,static-mem-size-cells", &[1])
                .cells("xen,static-mem", &[RAM as u32, 0x1000]),
        ),
        chosen(guest.with(node("shared").cells("xen,shared-mem", &[RAM as u32, 0x1_0000, 0x1000]))),
    ] {
        assert_eq!(found(&tree.blob(), 2 * MIB), Some(span(RAM + 4 * MIB, RAM + 6 * MIB)), "{tree:?}");
        assert_eq!(found(&with_gaps(&tree.blob()), 2 * MIB), Some(span(RAM + 4 * MIB, RAM + 6 * MIB)), "{tree:?}");
    }
    let blob = root().with(memory()).blob_reserving(&[(RAM + 0x1000, 1)]);
    assert_eq!(found(&blob, 2 * MIB), Some(span(RAM + 4 * MIB, RAM + 6 * MIB)));
}

#[test]
fn where_there_is_less_than_asked_for_a_part_is_found_or_nothing() {
    let all_but = |free: u64| root().with(memory()).blob_reserving(&[(RAM + 4 * MIB + free, 1 << 30)]);
    assert_eq!(found(&all_but(8 * MIB), 32 * MIB), Some(span(RAM + 4 * MIB, RAM + 12 * MIB)));
    assert_eq!(found(&all_but(2 * MIB), 32 * MIB), Some(span(RAM, RAM + 2 * MIB)));
    let nothing = root().with(memory()).blob_reserving(&[(RAM, 1), (RAM + 4 * MIB, 1 << 30)]);
    assert_eq!(found(&nothing, 2 * MIB), None);
    // The image is in no bank, or in memory that may not be used.
    assert_eq!(found(&root().blob(), 2 * MIB), None);
    let usable = node("chosen").cells("linux,usable-memory-range", &[0, 0x4000_0000, 0, 0x1000]);
    assert_eq!(found(&root().with(memory()).with(usable).blob(), 2 * MIB), None);
    let usable = memory().cells("linux,usable-memory", &[0, 0x4000_0000, 0, 0x1000]);
    assert_eq!(found(&root().with(usable).blob(), 2 * MIB), None);
}

/// Large trees have them, too: those that a kernel makes for the one that saves its memory.
#[test]
fn usable_memory_is_all_that_is_looked_at() {
    let only = Some(span(RAM + 4 * MIB, RAM + 6 * MIB));
    let cells = |start: u64, bytes: u64| [0, start as u32, 0, bytes as u32];
    let usable = memory().cells("linux,usable-memory", &cells(RAM + 2 * MIB, 4 * MIB));
    assert_eq!(found(&root().with(usable).blob(), 8 * MIB), only);
    let found_in = |ranges: &[[u32; 4]]| {
        let chosen = node("chosen").cells("linux,usable-memory-range", &ranges.concat());
        found(&root().with(memory()).with(chosen).blob(), 8 * MIB)
    };
    assert_eq!(found_in(&[cells(RAM + 2 * MIB, 4 * MIB)]), only);
    assert_eq!(found_in(&[cells(RAM, 0), cells(RAM + 4 * MIB, 2 * MIB), cells(0, 0)]), only);
    // Of no bytes it restricts nothing.
    assert_eq!(found_in(&[cells(RAM, 0)]), found(&root().with(memory()).blob(), 8 * MIB));
}

#[test]
fn what_lies_above_the_limit_or_at_address_0_is_not_found() {
    let at_0 = node("memory@0").text("device_type", "memory").cells("reg", &[0, 0, 0, 0x80_0000]);
    let blob = root().with(at_0).blob();
    let survey = Survey::new(&blob).unwrap();
    let image = span(2 * MIB, 3 * MIB);
    assert_eq!(survey.free_beside(&[image], LIMIT, 1), Some(span(4 * MIB, 6 * MIB)));
    assert_eq!(survey.free_beside(&[image], PhysAddr::new(5 * MIB), 1), None);
}

#[test]
fn heap_goes_with_the_blob_and_has_a_limit() {
    let small = root().with(memory()).blob();
    assert_eq!(Survey::new(&small).unwrap().heap_bytes(), BLOCK_BYTES);
    let large = root().with(memory()).with(node("large").bytes("data", &[0; 512 << 10])).blob();
    assert_eq!(Survey::new(&large).unwrap().heap_bytes(), 18 * MIB);
    let largest = root().with(memory()).with(node("large").bytes("data", &[0; 2040 << 10])).blob();
    assert_eq!(Survey::new(&largest).unwrap().heap_bytes(), HEAP_MAX);
}

fn any_ranges() -> impl Strategy<Value = Vec<(u64, u64)>> {
    proptest::collection::vec((0_u64..2500 << 20, 1_u64..40 << 20).prop_map(|(at, bytes)| (RAM + at, bytes)), 0..30)
}

proptest! {
    /// What is found is free by the memory map; if nothing is, the map has no free block where it was looked for.
    #[test]
    fn what_is_found_is_free(ranges in any_ranges(), most in 1_u64..40) {
        let ram = node("memory@40000000").text("device_type", "memory").cells("reg", &[0, 0x4000_0000, 0, 0xa000_0000]);
        let children = ranges.iter().enumerate().fold(reserved(), |parent, (index, (start, bytes))| {
            let name = std::format!("range-{index}");
            let child = node(&name).cells("reg", &[(start >> 32) as u32, *start as u32, 0, *bytes as u32]);
            parent.with(child)
        });
        let blob = root().with(ram).with(children).blob();
        let facts = Blob::check(&blob).unwrap();
        let facts = facts.facts().unwrap();
        // Ranges that overlap each other are for the memory map's own tests: here all are one kind that may.
        let share = |owned: Owned| Owned { owner: Owner::MemReserve(0), ..owned };
        let mut owned: Vec<Owned> = facts.reservations.iter().cloned().map(share).collect();
        owned.push(Owned { owner: Owner::Image, span: IMAGE });
        let map = MemoryMap::new(&facts.banks, owned, PhysLimit::WIDEST).unwrap();
        let is_free = |block: &Span| map.free().any(|free| free.span().contains(block));
        let last = RAM + super::BLOCKS as u64 * BLOCK_BYTES;
        let blocks = (RAM..last).step_by(BLOCK_BYTES as usize).map(|start| span(start, start + BLOCK_BYTES));
        match found(&blob, most * BLOCK_BYTES) {
            Some(found) => {
                prop_assert!(is_free(&found), "{found}");
                prop_assert!(found.start.is_aligned(BLOCK_BYTES) && found.bytes() <= most * BLOCK_BYTES);
            }
            None => prop_assert_eq!(blocks.filter(is_free).count(), 0),
        }
    }
}

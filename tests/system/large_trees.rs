//! Device trees that are large, or say much of memory: all of them on 128 MiB of RAM, on both backends.

use lacuna_tests::{Boot, Cells, Outcome, RAM_START, Tree, set_gaps};

const MIB: u64 = 1 << 20;
const RAM: u64 = 128 * MIB;

/// Where reservations and banks of a page each lie, above image, stub and tree, with a page between any two.
const PAGES: u64 = RAM_START + 100 * MIB;

/// Boots both images with `blob` in 128 MiB of RAM.
#[track_caller]
fn expect_passes(blob: &[u8]) -> [Outcome; 2] {
    [Boot::with_blob(blob.into()), Boot::with_blob(blob.into()).mpu_image("pmsa-regions=32")].map(|boot| {
        let outcome = boot.memory("128M").run();
        outcome.expect_pass();
        outcome
    })
}

fn virt() -> Tree {
    Tree::new().memory(&[(RAM_START, RAM)])
}

fn pages(count: u64) -> impl Iterator<Item = (u64, u64)> {
    (0..count).map(|page| (PAGES + page * 0x2000, 0x1000))
}

#[test]
fn a_tree_of_2_mib_boots() {
    expect_passes(&virt().ballast((2 * MIB - 0x8000) as usize).blob());
}

#[test]
fn a_tree_of_2_mib_with_gaps_boots() {
    expect_passes(&set_gaps(&virt().ballast((2 * MIB - 0x8000) as usize).blob()));
}

#[test]
fn a_thousand_memory_reservations_boot() {
    let outcomes =
        expect_passes(&pages(1000).fold(virt(), |tree, (start, bytes)| tree.mem_reserve(start, bytes)).blob());
    outcomes.iter().for_each(|outcome| outcome.expect_line("memreserve entry 999"));
}

#[test]
fn four_thousand_reserved_ranges_with_gaps_boot() {
    let tree = virt().reserved_memory(&pages(4000).collect::<Vec<_>>());
    expect_passes(&set_gaps(&tree.blob()));
}

#[test]
fn three_thousand_banks_boot() {
    let mut banks: Vec<_> = pages(3000).collect();
    banks.push((RAM_START, 99 * MIB));
    for outcome in expect_passes(&Tree::new().memory(&banks).blob()) {
        assert_eq!(outcome.facts().number("banks"), 3001);
    }
}

/// Each is worth a warning, which takes more heap than a bank.
#[test]
fn eight_thousand_banks_without_a_whole_page_boot() {
    let mut banks: Vec<_> = (0..8000).map(|bank| (PAGES + bank * 0x400, 0x200)).collect();
    banks.push((RAM_START, 99 * MIB));
    for outcome in expect_passes(&Tree::new().memory(&banks).blob()) {
        assert_eq!(outcome.facts().number("banks"), 1);
    }
}

/// As many as fit into the largest tree.
#[test]
fn more_reservations_than_the_heap_can_hold_end_in_a_sentence() {
    let ranges: Vec<_> = (0..240_000).map(|range| (PAGES + range * 16, 8)).collect();
    let tree = virt().cells(Cells::One).reserved_memory(&ranges);
    let outcome = Boot::with_blob(tree.blob()).memory("128M").run();
    outcome.expect_fatal("out of memory: memory allocation of ");
    outcome.expect_fatal(" bytes in use");
}

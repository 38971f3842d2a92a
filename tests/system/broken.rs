//! Input that cannot be booted: each ends with a line of its own and a failing status, and soon.

use lacuna_tests::{Boot, IMAGE_ADDRESS, Outcome, RAM_START, TREE_ADDRESS, Tree};
use std::time::Duration;

const MIB: u64 = 1 << 20;
const GIB: u64 = 1 << 30;

/// Where a device tree says how large it is (Devicetree Specification, 5.2).
const TOTAL_SIZE: std::ops::Range<usize> = 4..8;

fn run(boot: Boot) -> Outcome {
    boot.within(Duration::from_secs(10)).run()
}

/// What `virt` with 2 GiB has.
fn sound() -> Tree {
    Tree::new().memory(&[(RAM_START, 2 * GIB)])
}

/// A device tree that opens nodes in nodes and closes none: 12 KiB of them, each as small as a node can be.
fn endless_nesting() -> Vec<u8> {
    const BEGIN_NODE: u32 = 1;
    const HEADER_WORDS: u32 = 10;
    const NO_RESERVATIONS: [u32; 4] = [0; 4];
    let name = u32::from_be_bytes(*b"n\0\0\0");
    let nodes: Vec<u32> = [BEGIN_NODE, 0].into_iter().chain([BEGIN_NODE, name].repeat(1500)).collect();
    let structure = (HEADER_WORDS + 4) * 4;
    let size = nodes.len() as u32 * 4;
    let end = structure + size;
    let header = [0xd00d_feed, end, structure, end, HEADER_WORDS * 4, 17, 16, 0, 0, size];
    header.into_iter().chain(NO_RESERVATIONS).chain(nodes).flat_map(u32::to_be_bytes).collect()
}

#[test]
fn no_device_tree_is_refused() {
    run(Boot::without_tree()).expect_fatal("no device tree");
}

#[test]
fn something_else_than_a_device_tree_is_refused() {
    let mut blob = sound().blob();
    blob[0] ^= 1;
    run(Boot::with_blob(blob)).expect_fatal("not a device tree: it starts with 0xd10dfeed");
}

#[test]
fn a_device_tree_that_was_cut_short_is_refused() {
    let mut blob = sound().blob();
    let half = (blob.len() / 2) & !7;
    blob.truncate(half);
    blob[TOTAL_SIZE].copy_from_slice(&u32::try_from(half).unwrap().to_be_bytes());
    run(Boot::with_blob(blob)).expect_fatal("lies outside its");
}

#[test]
fn a_device_tree_that_was_not_loaded_to_its_end_is_refused() {
    let mut blob = sound().blob();
    blob.truncate(blob.len() / 2);
    run(Boot::with_blob(blob)).expect_fatal("device tree");
}

#[test]
fn an_endless_nesting_of_nodes_is_refused() {
    run(Boot::with_blob(endless_nesting())).expect_fatal("device tree is nested deeper than");
}

#[test]
fn a_machine_without_memory_is_refused() {
    run(Boot::with_tree(&Tree::new())).expect_fatal("device tree has no usable memory node");
}

#[test]
fn ram_that_is_reserved_to_the_last_page_is_refused() {
    run(Boot::with_tree(&sound().mem_reserve(RAM_START, 2 * GIB))).expect_fatal("no room for");
}

#[test]
fn ram_that_holds_little_more_than_the_image_is_refused() {
    let tree = Tree::new().memory(&[(IMAGE_ADDRESS, MIB), (TREE_ADDRESS, MIB)]);
    run(Boot::with_tree(&tree)).expect_fatal("no room for");
}

#[test]
fn an_image_outside_ram_is_refused() {
    let tree = Tree::new().memory(&[(RAM_START + 128 * MIB, GIB)]);
    run(Boot::with_tree(&tree)).expect_fatal("image [0x40200000, ");
}

#[test]
fn a_module_in_a_hole_is_refused_by_name() {
    let tree = sound().module(0x1_5000_0000, MIB);
    run(Boot::with_tree(&tree))
        .expect_fatal("module /chosen/module@150000000 [0x150000000, 0x150100000) lies outside RAM");
}

#[test]
fn an_entry_at_el1_is_refused() {
    run(Boot::virt().option("-M", "virtualization=off")).expect_fatal("entered at EL1");
}

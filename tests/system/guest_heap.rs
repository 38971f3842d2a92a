//! What a guest's description makes the hypervisor allocate: served, or an error of that guest.

use crate::small_guest::{expect_refusal, hello, hello_with, run};
use lacuna_tests::{Boot, made_file};
use std::path::PathBuf;
use vm_fdt::FdtWriter;

const KIB: usize = 1 << 10;
const MIB: usize = 1 << 20;

/// What of the 2 MiB of a device tree the hypervisor's own nodes take at most.
const OWN_NODES: usize = 16 * KIB;

/// A device tree of about as many bytes, as a blob in a file: a node for each KiB.
fn part(bytes: usize) -> PathBuf {
    let mut fdt = FdtWriter::new().unwrap();
    let root = fdt.begin_node("").unwrap();
    fdt.property_u32("#address-cells", 2).unwrap();
    fdt.property_u32("#size-cells", 2).unwrap();
    let payload = [0x5a; KIB - 52];
    for index in 0..bytes / KIB {
        let node = fdt.begin_node(&format!("ballast-{index:04}")).unwrap();
        fdt.property("payload", &payload).unwrap();
        fdt.property_phandle(index as u32 + 1).unwrap();
        fdt.end_node(node).unwrap();
    }
    fdt.end_node(root).unwrap();
    let blob = fdt.finish().unwrap();
    assert!(blob.len() >= bytes && blob.len() <= bytes + KIB);
    made_file("part.dtb", &blob)
}

/// A device tree of about as many bytes that is all names: as many properties without a value as fit, no two named alike.
fn names(bytes: usize) -> PathBuf {
    let mut fdt = FdtWriter::new().unwrap();
    let root = fdt.begin_node("").unwrap();
    let node = fdt.begin_node("names").unwrap();
    for index in 0..bytes / 18 {
        fdt.property_null(&format!("{index:x}")).unwrap();
    }
    fdt.end_node(node).unwrap();
    fdt.end_node(root).unwrap();
    made_file("part.dtb", &fdt.finish().unwrap())
}

#[test]
fn a_part_of_a_device_tree_may_have_512_kib() {
    run(hello().device_tree(&part(512 * KIB))).expect_line("guest: node ballast-0511");
}

#[test]
fn a_part_of_a_device_tree_may_have_2_mib() {
    run(hello().device_tree(&part(2 * MIB - OWN_NODES))).expect_line("guest: node ballast-2031");
}

#[test]
fn a_part_of_a_device_tree_may_be_all_names() {
    run(hello().device_tree(&names(MIB))).expect_line("guest: node names");
}

/// Nothing else would notice: the tree has room in the guest's memory, and its writer grows as it likes.
#[test]
fn a_device_tree_that_is_too_large_with_the_hypervisors_nodes_is_refused() {
    expect_refusal(hello().device_tree(&part(2 * MIB - KIB)), "Linux allows at most 2097152");
}

/// All free memory but a few MiB is the guest's.
#[test]
fn too_little_memory_for_the_heap_is_an_error_of_the_guest() {
    let guest = hello().memory("276M").device_tree(&part(MIB - 4 * KIB));
    let outcome = Boot::virt().memory("288M").guest(guest).run();
    outcome.expect_fatal("domU1: the guest's device tree: no 8.0 MiB of heap can be had in one piece");
}

/// A list that the device tree makes as long as it likes.
#[test]
fn static_memory_may_have_thousands_of_pieces() {
    let pieces: Vec<_> = (0..4096).map(|page| format!("0 {:#x} 0 0x1000", 0x6000_0000 + page * 0x2000)).collect();
    let outcome = run(hello_with(&format!("xen,static-mem = <{}>;", pieces.join(" "))));
    outcome.expect_line("guest: memory [0x40000000, 0x41000000)");
}

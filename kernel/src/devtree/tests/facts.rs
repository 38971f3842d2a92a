//! Memory, reservations and PSCI.

use super::*;
use crate::arch::conduit::Conduit;
use crate::base::addr::PhysAddr;
use crate::devtree::{Bank, Blob, Facts, FactsError, MapPermission, Owner, TreeWarning};
use std::string::ToString;
use std::{format, vec};

fn banks(tree: &Node) -> Result<Vec<(u64, u64)>, FactsError> {
    let blob = tree.blob();
    let facts = Blob::check(&blob).unwrap().facts().map(|facts| facts.banks)?;
    Ok(facts.iter().map(|bank| (bank.start.get(), bank.size)).collect())
}

fn refusal(tree: &Node) -> FactsError {
    Blob::check(&tree.blob()).unwrap().facts().unwrap_err()
}

/// A memory node named after its place in the test.
fn ram(name: &str, reg: &[u32]) -> Node {
    node(name).text("device_type", "memory").cells("reg", reg)
}

#[test]
fn every_entry_of_every_memory_node_is_a_bank() {
    let tree = root()
        .with(ram("memory@800000000", &[8, 0, 0, 0x8000_0000, 0xc0, 0, 1, 0]))
        .with(node("soc"))
        .with(ram("memory@0", &[0, 0, 0, 0x8000_0000]));
    let expected = [(0x8_0000_0000, 0x8000_0000), (0xc0_0000_0000, 0x1_0000_0000), (0, 0x8000_0000)];
    assert_eq!(banks(&tree).unwrap(), expected);

    let blob = tree.blob();
    let facts = Blob::check(&blob).unwrap().facts().unwrap().banks;
    let last = Bank { node: "/memory@0".into(), start: PhysAddr::new(0), size: 0x8000_0000 };
    assert_eq!((facts.last(), facts[1].node.as_str()), (Some(&last), "/memory@800000000"));
}

#[test]
fn addresses_and_sizes_have_one_or_two_cells_each() {
    let with_cells = |address, size, reg: &[u32]| {
        banks(&node("").cells("#address-cells", &[address]).cells("#size-cells", &[size]).with(ram("memory", reg)))
    };
    assert_eq!(with_cells(1, 1, &[0x1000, 0x2000, 0x8000, 0x1000]).unwrap(), [(0x1000, 0x2000), (0x8000, 0x1000)]);
    assert_eq!(with_cells(1, 2, &[0x1000, 1, 2]).unwrap(), [(0x1000, 0x1_0000_0002)]);
    assert_eq!(with_cells(2, 1, &[1, 2, 0x3000]).unwrap(), [(0x1_0000_0002, 0x3000)]);
    assert_eq!(with_cells(2, 2, &[1, 2, 3, 4]).unwrap(), [(0x1_0000_0002, 0x3_0000_0004)]);
    for (address, size) in [(0, 1), (1, 0), (3, 2), (2, 3), (u32::MAX, u32::MAX)] {
        assert!(matches!(with_cells(address, size, &[0; 12]), Err(FactsError::Cells { .. })));
    }
    // Nothing said is two and one (Devicetree Specification, section 2.3.5).
    assert_eq!(banks(&node("").with(ram("memory", &[1, 2, 0x3000]))).unwrap(), [(0x1_0000_0002, 0x3000)]);
}

#[test]
fn illegal_cells_are_told_with_the_node() {
    let tree = node("").cells("#address-cells", &[3]).cells("#size-cells", &[2]).with(ram("memory@0", &[0; 5]));
    assert_eq!(
        refusal(&tree).to_string(),
        "/memory@0 is addressed by 3 address and 2 size cells, only 1 and 2 can be read"
    );
}

/// Warnings about a usable tree.
fn told(tree: &Node) -> Vec<String> {
    let blob = tree.blob();
    let facts = Blob::check(&blob).unwrap();
    let warnings = facts.facts().unwrap().warnings;
    warnings.iter().filter(|warning| **warning != TreeWarning::NoStdout).map(ToString::to_string).collect()
}

#[test]
fn what_follows_the_last_whole_entry_of_a_reg_is_left_out() {
    const TOLD: &str = "reg of /memory@0 has 20 bytes, not a multiple of its 16-byte entries";
    let tree = root().with(ram("memory@0", &[0, 0, 0, 4096, 1]));
    assert_eq!((banks(&tree).unwrap(), told(&tree)), (vec![(0, 4096)], vec![format!("{TOLD}: left out")]));
    // If no memory is left at all, the boot ends by the same words.
    assert!(refusal(&root().with(ram("memory@0", &[0, 0]))).to_string().starts_with("reg of /memory@0 has 8 bytes"));
}

#[test]
fn a_tree_without_memory_is_refused() {
    assert_eq!(refusal(&root()), FactsError::NoMemory);
    assert_eq!(refusal(&root().with(node("memory@0").cells("reg", &[0, 0, 0, 4096]))), FactsError::NoMemory);
    assert_eq!(refusal(&root().with(ram("memory@0", &[]))), FactsError::NoMemory);
    let missing = refusal(&root().with(node("memory@0").text("device_type", "memory")));
    assert_eq!(missing.to_string(), "/memory@0 has no reg");
}

#[test]
fn a_memory_node_without_memory_is_left_out_if_there_is_another() {
    let tree = root().with(node("memory").text("device_type", "memory")).with(memory());
    assert_eq!((banks(&tree).unwrap().len(), told(&tree)), (1, vec!["/memory has no reg: left out".into()]));
}

/// What a kernel that has crashed leaves to the one that saves its memory.
#[test]
fn usable_memory_is_all_there_is() {
    let tree = root().with(ram("memory@0", &[0, 0, 0, 0x8000]).cells("linux,usable-memory", &[0, 0x2000, 0, 0x1000]));
    assert_eq!(banks(&tree).unwrap(), [(0x2000, 0x1000)]);

    let with = |cells: &[u32]| {
        let memory = ram("memory@40000000", &[0, 0x4000_0000, 0, 0x100_0000, 0, 0x8000_0000, 0, 0x100_0000]);
        root().with(memory).with(node("chosen").cells("linux,usable-memory-range", cells))
    };
    let one = with(&[0, 0x4080_0000, 0, 0x7000_0000]);
    assert_eq!(banks(&one).unwrap(), [(0x4080_0000, 0x80_0000), (0x8000_0000, 0x100_0000)]);
    assert_eq!(told(&one), ["linux,usable-memory-range of /chosen: RAM is used in [0x40800000, 0xb0800000) only"]);
    let two = with(&[0, 0x4080_0000, 0, 0x1000, 0, 0x80ff_f000, u32::MAX, u32::MAX]);
    assert_eq!((banks(&two).unwrap(), told(&two).len()), (vec![(0x4080_0000, 0x1000), (0x80ff_f000, 0x1000)], 2));
    // Of no bytes it restricts nothing, as under Linux.
    for nothing in [with(&[]), with(&[0, 0, 0, 0])] {
        assert_eq!((banks(&nothing).unwrap().len(), told(&nothing).len()), (2, 0));
    }
    // RAM outside it is somebody's, so nothing is guessed.
    assert_eq!(
        refusal(&with(&[0, 0x4080_0000, 0])).to_string(),
        "linux,usable-memory-range of /chosen has 12 bytes, not a multiple of its 16-byte entries"
    );
    assert_eq!(
        refusal(&with(&[0, 0, 0, 0x1000])).to_string(),
        "linux,usable-memory-range of /chosen, [0x0, 0x1000) and what follows, has no RAM"
    );
}

#[test]
fn only_memory_in_working_order_counts() {
    for (status, count) in [("okay", 2), ("ok", 2), ("disabled", 1), ("fail", 1), ("", 1)] {
        let tree = root().with(memory()).with(ram("memory@0", &[0, 0, 0, 4096]).text("status", status));
        assert_eq!(banks(&tree).unwrap().len(), count, "{status}");
    }
}

/// Owner and range of everything that is owned.
fn owned(tree: &Node, reservations: &[(u64, u64)]) -> Vec<(Owner, u64, u64)> {
    let blob = tree.blob_reserving(reservations);
    let owned = Blob::check(&blob).unwrap().facts().unwrap().reservations;
    owned.into_iter().map(|owned| (owned.owner, owned.span.start.get(), owned.span.end.get())).collect()
}

#[test]
fn the_memory_reservation_block_is_reserved() {
    let found = owned(&root().with(memory()), &[(0x4000_0000, 0x1000), (0x4800_0000, 0x123)]);
    let expected = [(Owner::MemReserve(0), 0x4000_0000, 0x4000_1000), (Owner::MemReserve(1), 0x4800_0000, 0x4800_0123)];
    assert_eq!(found, expected);
}

#[test]
fn a_reservation_past_the_end_of_the_address_space_is_cut() {
    let mut blob = root().with(memory()).blob_reserving(&[(0x4000_0000, 0x1000)]);
    let at = get(&blob, RESERVATIONS) as usize;
    blob[at + 8..at + 16].fill(0xff);
    let facts = Blob::check(&blob).unwrap();
    let facts = facts.facts().unwrap();
    assert_eq!((facts.reservations[0].span.start.get(), facts.reservations[0].span.end.get()), (0x4000_0000, u64::MAX));
    assert_eq!(
        facts.warnings.last().unwrap().to_string(),
        "memreserve entry 0 [0x40000000, 0xffffffffffffffff), 0xffffffffffffffff bytes, reaches past the end of the \
         address space: cut"
    );
}

#[test]
fn reserved_memory_that_cannot_be_read_is_left_out() {
    let child = || node("a@60000000").cells("reg", &[0x6000_0000, 0x10_0000]);
    let parent = |cells: &[(&str, &[u32])]| {
        cells.iter().fold(node("reserved-memory"), |node, (name, value)| node.cells(name, value))
    };
    const WITHOUT: &str = "/reserved-memory has no #address-cells and #size-cells: ignored with all its children";
    let (address, size) = ("#address-cells", "#size-cells");
    for (parent, told_first) in [
        (parent(&[]), WITHOUT),
        (parent(&[(address, &[1])]), WITHOUT),
        (parent(&[(size, &[1])]), WITHOUT),
        (
            parent(&[(address, &[3]), (size, &[1])]),
            "/reserved-memory/a@60000000 is addressed by 3 address and 1 size cells, only 1 and 2 can be read: left out",
        ),
        (
            parent(&[(address, &[2]), (size, &[2])]),
            "reg of /reserved-memory/a@60000000 has 8 bytes, not a multiple of its 16-byte entries: left out",
        ),
    ] {
        let tree = root().with(memory()).with(parent.with(child()));
        assert_eq!((owned(&tree, &[(0x4000_0000, 1)]).len(), told(&tree)), (1, vec![told_first.into()]));
    }
    assert_eq!(told(&root().with(memory()).with(node("reserved-memory"))), Vec::<String>::new());
    let trailing = node("b@0").cells("reg", &[0x4200_0000, 0x1000, 7]);
    let tree = root().with(memory()).with(parent(&[(address, &[1]), (size, &[1])]).with(trailing));
    assert_eq!((owned(&tree, &[]).len(), told(&tree).len()), (1, 1));
}

#[test]
fn nodes_are_known_by_their_names_without_an_address() {
    let parent = node("reserved-memory@0").cells("#address-cells", &[1]).cells("#size-cells", &[1]);
    let parent = parent.with(node("a").cells("reg", &[0x6000_0000, 0x1000]));
    let chosen = node("chosen@0").cells("linux,initrd-start", &[0x4800_0000]).cells("linux,initrd-end", &[0x4900_0000]);
    assert_eq!(owned(&root().with(memory()).with(parent).with(chosen), &[]).len(), 2);
}

#[test]
fn reserved_memory_is_reserved_in_its_own_cells() {
    let parent = node("reserved-memory")
        .cells("#address-cells", &[1])
        .cells("#size-cells", &[1])
        .bytes("ranges", &[])
        .with(node("secure@41000000").cells("reg", &[0x4100_0000, 0x1000, 0x4200_0000, 0x2000]).bytes("no-map", &[]))
        .with(node("shared@43000000").cells("reg", &[0x4300_0000, 0x3000]))
        .with(node("off@44000000").cells("reg", &[0x4400_0000, 0x4000]).text("status", "disabled"));
    let is = |node: &str, mapping| Owner::ReservedMemory { node: node.into(), mapping };
    let secure = is("/reserved-memory/secure@41000000", MapPermission::Forbidden);
    let shared = is("/reserved-memory/shared@43000000", MapPermission::Allowed);
    let expected = [
        (secure.clone(), 0x4100_0000, 0x4100_1000),
        (secure, 0x4200_0000, 0x4200_2000),
        (shared, 0x4300_0000, 0x4300_3000),
    ];
    assert_eq!(owned(&root().with(memory()).with(parent), &[]), expected);
}

#[test]
fn reserved_memory_without_an_address_is_worth_a_warning() {
    let parent = node("reserved-memory")
        .cells("#address-cells", &[2])
        .cells("#size-cells", &[2])
        .with(node("pool").cells("size", &[0, 0x40_0000]).cells("alloc-ranges", &[0, 0x4000_0000, 0, 0x1000_0000]))
        .with(node("empty").cells("reg", &[]));
    let blob = root().with(memory()).with(parent).blob();
    let checked = Blob::check(&blob).unwrap();
    let facts = checked.facts().unwrap();
    let expected = vec![
        TreeWarning::NoStdout,
        TreeWarning::Dynamic { node: "/reserved-memory/pool".into(), size: 0x40_0000 },
        TreeWarning::NoRange { node: "/reserved-memory/empty".into() },
    ];
    assert_eq!((facts.reservations, facts.warnings), (vec![], expected));
}

#[test]
fn empty_reserved_memory_is_worth_a_warning() {
    let child = node("none@5000").cells("reg", &[0, 0x5000, 0, 0]);
    let parent = node("reserved-memory").cells("#address-cells", &[2]).cells("#size-cells", &[2]).with(child);
    let blob = root().with(memory()).with(parent).blob();
    let checked = Blob::check(&blob).unwrap();
    let facts = checked.facts().unwrap();
    assert_eq!(facts.reservations, []);
    let message = "reserved-memory /reserved-memory/none@5000 has an empty range at 0x5000: ignored";
    assert_eq!(facts.warnings.last().unwrap().to_string(), message);
}

/// Else the boot could say nothing of what is wrong, and not end the machine.
#[test]
fn console_and_psci_are_known_whatever_is_wrong_with_the_rest() {
    let uart = node("pl011@9000000").text("compatible", "arm,pl011").cells("reg", &[0, 0x900_0000, 0, 0x1000]);
    let firmware = node("psci").text("compatible", "arm,psci-1.0").text("method", "smc");
    let chosen = node("chosen").text("stdout-path", "/pl011@9000000");
    let guest = node("domU1").text("compatible", "xen,domain");
    let wrong = [
        root().with(chosen.clone()),
        root().with(node("memory@0").text("device_type", "memory").cells("reg", &[0])).with(chosen.clone()),
        root().with(memory()).with(chosen.with(guest)),
    ];
    for tree in wrong {
        let blob = tree.with(uart.clone()).with(firmware.clone()).blob();
        let checked = Blob::check(&blob).unwrap();
        let mut facts = Facts::default();
        assert!(checked.read(&mut facts).is_err());
        assert_eq!(
            (facts.console.map(|console| console.node), facts.psci.map(|psci| psci.conduit)),
            (Some("/pl011@9000000".into()), Some(Conduit::Smc))
        );
    }
}

fn psci(node: Node) -> (Option<Conduit>, Vec<TreeWarning>) {
    let blob = root().with(memory()).with(node).blob();
    let checked = Blob::check(&blob).unwrap();
    let facts = checked.facts().unwrap();
    (
        facts.psci.map(|psci| psci.conduit),
        facts.warnings.into_iter().filter(|warning| *warning != TreeWarning::NoStdout).collect(),
    )
}

#[test]
fn the_psci_conduit_is_the_method_of_a_node_of_any_version() {
    let firmware =
        |compatible: &str, method| psci(node("psci").text("compatible", compatible).text("method", method)).0;
    assert_eq!(firmware("arm,psci-1.0\0arm,psci-0.2\0arm,psci", "smc"), Some(Conduit::Smc));
    assert_eq!(firmware("arm,psci-0.2", "hvc"), Some(Conduit::Hvc));
    assert_eq!(firmware("arm,psci", "smc"), Some(Conduit::Smc));
    assert_eq!(firmware("arm,psci-1", "smc"), None);
    let nested = node("firmware").with(node("psci").text("compatible", "arm,psci-1.0").text("method", "hvc"));
    assert_eq!(psci(nested).0, Some(Conduit::Hvc));
}

#[test]
fn a_psci_node_without_a_known_method_is_worth_a_warning() {
    let (conduit, warnings) = psci(node("psci").text("compatible", "arm,psci").text("method", "call"));
    assert_eq!(conduit, None);
    assert_eq!(warnings[0].to_string(), "method 'call' of /psci is neither smc nor hvc: no PSCI");
    let (conduit, warnings) = psci(node("psci").text("compatible", "arm,psci"));
    assert_eq!((conduit, warnings.len()), (None, 1));
}

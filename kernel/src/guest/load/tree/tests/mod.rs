//! Trees read back by the `fdt` crate, property by property.

mod given;

use super::{GuestTree, GuestTreeError};
use crate::base::addr::GuestAddr;
use crate::devtree::{Blob, ConsoleDevice, GuestUart};
use crate::guest::layout::banks;
use core::ops::Range;
use fdt::node::FdtNode;
use std::borrow::ToOwned;
use std::collections::BTreeMap;
use std::string::{String, ToString};
use std::vec::Vec;
use std::{format, vec};

/// Everything in a tree: the value of each property, by the path of its node.
type Contents = BTreeMap<String, BTreeMap<String, Vec<u8>>>;

fn contents(blob: &[u8]) -> Contents {
    let blob = Blob::check(blob).unwrap();
    let tree = blob.reader();
    let mut contents = Contents::new();
    let mut pending: Vec<(FdtNode<'_, '_>, String)> = vec![(tree.find_node("/").unwrap(), String::new())];
    while let Some((node, path)) = pending.pop() {
        let properties = node.properties().map(|property| (property.name.to_owned(), property.value.to_vec()));
        assert!(contents.insert(path.clone(), properties.collect()).is_none(), "{path} is there twice");
        pending.extend(node.children().map(|child| (child, format!("{path}/{}", child.name))));
    }
    contents
}

static BANK: [Range<GuestAddr>; 1] = [GuestAddr::new(0x4000_0000)..GuestAddr::new(0x5000_0000)];

/// The tree of a guest with 256 MiB of RAM and nothing that it need not have.
fn plain() -> GuestTree<'static> {
    GuestTree {
        banks: &BANK,
        vcpus: 1,
        cpu: "arm,cortex-a57",
        uart: GuestUart::None,
        bootargs: None,
        ramdisk: None,
        given: None,
    }
}

fn range(start: u64, end: u64) -> Range<GuestAddr> {
    GuestAddr::new(start)..GuestAddr::new(end)
}

fn cells(cells: &[u32]) -> Vec<u8> {
    cells.iter().flat_map(|cell| cell.to_be_bytes()).collect()
}

fn text(text: &str) -> Vec<u8> {
    [text.as_bytes(), b"\0"].concat()
}

/// A node's path and its properties.
type Written<'a> = (&'a str, &'a [(&'a str, Vec<u8>)]);

fn expected(nodes: &[Written<'_>]) -> Contents {
    let properties = |properties: &[(&str, Vec<u8>)]| {
        properties.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect()
    };
    nodes.iter().map(|(path, values)| ((*path).to_owned(), properties(values))).collect()
}

#[test]
fn a_guest_finds_what_xen_would_give_it_and_nothing_else() {
    let ramdisk = range(0x4820_0000, 0x4834_5679);
    let (uart, bootargs) = (GuestUart::Pl011, Some("quiet"));
    let blob = GuestTree { uart, bootargs, ramdisk: Some(&ramdisk), ..plain() }.blob().unwrap();
    let all = expected(&[
        (
            "",
            &[
                ("compatible", text("lacuna,vm")),
                ("model", text("Lacuna virtual machine")),
                ("#address-cells", cells(&[2])),
                ("#size-cells", cells(&[2])),
                ("interrupt-parent", cells(&[0xfde8])),
            ],
        ),
        (
            "/chosen",
            &[
                ("bootargs", text("quiet")),
                ("stdout-path", text("/sbsa-uart@22000000")),
                ("linux,initrd-start", cells(&[0, 0x4820_0000])),
                ("linux,initrd-end", cells(&[0, 0x4834_5679])),
            ],
        ),
        ("/memory@40000000", &[("device_type", text("memory")), ("reg", cells(&[0, 0x4000_0000, 0, 0x1000_0000]))]),
        ("/cpus", &[("#address-cells", cells(&[1])), ("#size-cells", cells(&[0]))]),
        (
            "/cpus/cpu@0",
            &[
                ("device_type", text("cpu")),
                ("compatible", text("arm,cortex-a57")),
                ("enable-method", text("psci")),
                ("reg", cells(&[0])),
            ],
        ),
        (
            "/psci",
            &[
                ("compatible", text("arm,psci-1.0\0arm,psci-0.2\0arm,psci")),
                ("method", text("hvc")),
                ("cpu_off", cells(&[0x8400_0002])),
                ("cpu_on", cells(&[0xc400_0003])),
            ],
        ),
        (
            "/interrupt-controller@3001000",
            &[
                ("compatible", text("arm,gic-v3")),
                ("interrupt-controller", vec![]),
                ("#interrupt-cells", cells(&[3])),
                ("#address-cells", cells(&[0])),
                ("#redistributor-regions", cells(&[1])),
                ("reg", cells(&[0, 0x0300_1000, 0, 0x1_0000, 0, 0x0302_0000, 0, 0x2_0000])),
                ("phandle", cells(&[0xfde8])),
            ],
        ),
        (
            "/timer",
            &[
                ("compatible", text("arm,armv8-timer")),
                ("interrupt-parent", cells(&[0xfde8])),
                ("interrupts", cells(&[1, 13, 0xf08, 1, 14, 0xf08, 1, 11, 0xf08, 1, 10, 0xf08])),
            ],
        ),
        (
            "/sbsa-uart@22000000",
            &[
                ("compatible", text("arm,sbsa-uart")),
                ("reg", cells(&[0, 0x2200_0000, 0, 0x1000])),
                ("interrupt-parent", cells(&[0xfde8])),
                ("interrupts", cells(&[0, 0, 0xf04])),
                ("current-speed", cells(&[115_200])),
            ],
        ),
    ]);
    assert_eq!(contents(&blob), all);
}

#[test]
fn what_a_guest_does_not_have_is_not_in_its_tree() {
    let contents = contents(&plain().blob().unwrap());
    assert!(contents["/chosen"].is_empty());
    assert!(!contents.contains_key("/sbsa-uart@22000000"));
}

#[test]
fn each_bank_has_a_node_and_each_cpu_too() {
    let banks = banks(4 << 30, 40).unwrap();
    let blob = GuestTree { banks: &banks, vcpus: 17, ..plain() }.blob().unwrap();
    let contents = contents(&blob);
    assert_eq!(contents["/memory@40000000"]["reg"], cells(&[0, 0x4000_0000, 0, 0xc000_0000]));
    assert_eq!(contents["/memory@200000000"]["reg"], cells(&[2, 0, 0, 0x4000_0000]));
    assert_eq!(contents.keys().filter(|path| path.starts_with("/cpus/cpu@")).count(), 17);
    assert_eq!(contents["/cpus/cpu@f"]["reg"], cells(&[15]));
    assert_eq!(contents["/cpus/cpu@100"]["reg"], cells(&[0x100]));
    // As many redistributors.
    assert_eq!(contents["/interrupt-controller@3001000"]["reg"][24..], cells(&[0, 17 * 0x2_0000]));
}

#[test]
fn the_size_does_not_depend_on_the_ramdisk() {
    let size = |ramdisk| GuestTree { ramdisk: Some(&ramdisk), ..plain() }.blob().unwrap().len();
    assert_eq!(size(range(0, 0)), size(range(0xffff_ffff_0000, u64::MAX)));
}

/// Whoever finds RAM, UART and PSCI on a machine finds them in this tree as well.
#[test]
fn the_hypervisors_own_reader_understands_the_tree() {
    let blob = GuestTree { uart: GuestUart::Pl011, bootargs: Some("quiet"), ..plain() }.blob().unwrap();
    let checked = Blob::check(&blob).unwrap();
    let facts = checked.facts().unwrap();
    assert_eq!((facts.banks[0].start.get(), facts.banks[0].size), (0x4000_0000, 0x1000_0000));
    let ConsoleDevice::Memory { registers, .. } = facts.console.unwrap().device else {
        panic!("the console is a PL011")
    };
    assert_eq!(registers.start.get(), 0x2200_0000);
    assert_eq!(facts.psci.map(|psci| psci.conduit), Some(crate::arch::conduit::Conduit::Hvc));
    assert_eq!((facts.bootargs, facts.warnings), (Some("quiet"), vec![]));
}

#[test]
fn what_cannot_be_written_is_refused_by_its_node() {
    let refusal = |tree: GuestTree<'_>| tree.blob().unwrap_err().to_string();
    assert_eq!(refusal(GuestTree { vcpus: 0, ..plain() }), "0 CPUs are not from 1 to 64");
    assert_eq!(refusal(GuestTree { vcpus: 65, ..plain() }), "65 CPUs are not from 1 to 64");
    assert_eq!(
        refusal(GuestTree { bootargs: Some("a\0b"), ..plain() }),
        "/chosen cannot be written into the device tree: Strings cannot contain NUL"
    );
    let long = "x".repeat(2 << 20);
    let error = GuestTree { bootargs: Some(&long), ..plain() }.blob().unwrap_err();
    assert!(matches!(error, GuestTreeError::TooLarge { bytes: 2_097_153.. }));
}

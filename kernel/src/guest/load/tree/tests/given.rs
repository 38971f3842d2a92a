//! Trees that a guest's configuration brings along.

use super::{Contents, GuestTree, GuestUart, cells, contents, plain, text};
use crate::devtree::Blob;
use crate::devtree::tests::{Node, node, root};
use crate::guest::load::tree::GuestTreeError;
use proptest::prelude::{Just, Strategy, any, prop, proptest};
use proptest::sample::{Index, select};
use std::string::{String, ToString};
use std::vec;
use std::vec::Vec;

/// The blob of a tree, with `__` for each `UU` in it: the writer has no names like `__symbols__`, as the compiler does.
fn compiled(tree: &Node) -> Vec<u8> {
    let mut blob = tree.blob();
    while let Some(at) = blob.windows(2).position(|pair| pair == b"UU") {
        blob[at..at + 2].copy_from_slice(b"__");
    }
    blob
}

fn merged(given: &Node) -> Result<Contents, GuestTreeError> {
    let blob = compiled(given);
    let tree = GuestTree { uart: GuestUart::Pl011, given: Some(&blob), ..plain() };
    tree.blob().map(|blob| contents(&blob))
}

fn refusal(given: &Node) -> String {
    merged(given).unwrap_err().to_string()
}

/// What a tree for Xen looks like.
fn passthrough() -> Node {
    let clock = node("clock").text("compatible", "fixed-clock").cells("#clock-cells", &[0]).cells("phandle", &[1]);
    let device = node("ethernet@ff0e0000")
        .cells("reg", &[0, 0xff0e_0000, 0, 0x1000])
        .cells("interrupt-parent", &[0xfde8])
        .cells("clocks", &[1]);
    let bus = node("passthrough").text("compatible", "simple-bus").bytes("ranges", b"").cells("#address-cells", &[2]);
    root()
        .with(node("aliases").text("net", "/passthrough/ethernet@ff0e0000"))
        .with(bus.cells("#size-cells", &[2]).with(clock).with(device))
}

#[test]
fn a_tree_for_xen_is_copied_with_its_phandles() {
    let ours = GuestTree { uart: GuestUart::Pl011, ..plain() }.blob().unwrap();
    let mut all = contents(&ours);
    let mut given = contents(&passthrough().blob());
    given.remove("");
    all.extend(given);
    assert_eq!(merged(&passthrough()).unwrap(), all);
    assert_eq!(all["/passthrough/clock"]["phandle"], cells(&[1]));
}

#[test]
fn a_placeholder_gives_our_interrupt_controller_its_phandle() {
    for placeholder in [node("gic"), node("intc@8000000").text("compatible", "arm,gic-v3")] {
        let tree = passthrough().with(placeholder.cells("phandle", &[7]).cells("#interrupt-cells", &[3]));
        let contents = merged(&tree).unwrap();
        assert_eq!(contents["/interrupt-controller@3001000"]["phandle"], cells(&[7]));
        for user in ["", "/timer", "/sbsa-uart@22000000"] {
            assert_eq!(contents[user]["interrupt-parent"], cells(&[7]));
        }
        assert!(!contents.contains_key("/gic") && !contents.contains_key("/intc@8000000"));
    }
    // One without a phandle, and one with that which ours has anyway.
    for placeholder in [node("gic"), node("gic").cells("phandle", &[0xfde8])] {
        let contents = merged(&passthrough().with(placeholder)).unwrap();
        assert_eq!(contents["/interrupt-controller@3001000"]["phandle"], cells(&[0xfde8]));
    }
}

#[test]
fn what_the_hypervisor_provides_is_its_own() {
    let wrong = |name: &str| node(name).text("status", "disabled");
    let mut tree = passthrough();
    for name in ["cpus", "psci", "timer", "memory@0", "memory", "interrupt-controller@3001000", "sbsa-uart@22000000"] {
        tree = tree.with(wrong(name).with(node("below")));
    }
    tree = tree
        .with(wrong("ram@80000000").text("device_type", "memory"))
        .with(wrong("clock-source").text("compatible", "arm,armv7-timer\0arm,armv8-timer"))
        .with(wrong("firmware-calls").text("compatible", "arm,psci-0.2"))
        .with(node("UUsymbolsUU").text("gic", "/gic"));
    assert_eq!(merged(&tree).unwrap(), merged(&passthrough()).unwrap());
    // The same names in the guest's own part are nobody's business.
    let contents = merged(&root().with(node("soc").with(wrong("timer")).with(wrong("gic")))).unwrap();
    assert!(contents.contains_key("/soc/timer") && contents.contains_key("/soc/gic"));
}

#[test]
fn the_command_line_of_a_given_tree_is_the_second_choice() {
    let chosen = node("chosen").text("bootargs", "theirs").text("stdout-path", "/uart");
    let blob = root().with(chosen).blob();
    let bootargs = |bootargs| {
        let tree = GuestTree { bootargs, given: Some(&blob), ..plain() }.blob().unwrap();
        contents(&tree)["/chosen"].clone()
    };
    assert_eq!(bootargs(Some("ours"))["bootargs"], text("ours"));
    assert_eq!(bootargs(None)["bootargs"], text("theirs"));
    assert_eq!(bootargs(None).len(), 1);
}

#[test]
fn a_device_that_xen_would_assign_is_refused_by_its_node() {
    for property in ["xen,reg", "xen,path", "xen,force-assign-without-iommu"] {
        let device = node("ethernet@ff0e0000").cells(property, &[]);
        let tree = root().with(node("passthrough").with(device));
        assert_eq!(
            refusal(&tree),
            std::format!(
                "multiboot,device-tree: /passthrough/ethernet@ff0e0000 has {property}, but no devices are assigned to guests"
            )
        );
    }
}

#[test]
fn a_phandle_has_one_node() {
    let with = |phandle| passthrough().with(node("other").with(node("deep").cells("phandle", &[phandle])));
    let refused =
        |phandle| std::format!("multiboot,device-tree: phandle {phandle} of /other/deep is that of another node, too");
    assert_eq!(refusal(&with(1)), refused("0x1"));
    assert_eq!(refusal(&with(0xfde8)), refused("0xfde8"));
    assert!(merged(&with(0xfde8).with(node("gic").cells("phandle", &[9]))).is_ok());
}

#[test]
fn addresses_in_other_cells_than_ours_are_refused() {
    let with = |child| node("").cells("#address-cells", &[1]).cells("#size-cells", &[1]).with(child);
    let refused =
        "multiboot,device-tree: /ram@0 is addressed by 1 address and 1 size cells, a guest's root has 2 and 2";
    assert_eq!(refusal(&with(node("ram@0").cells("reg", &[0, 1]))), refused);
    assert_eq!(refusal(&with(node("ram@0").cells("ranges", &[0, 0, 1]))), refused);
    // Nothing is addressed here, or by the bus's own cells.
    assert!(merged(&with(node("ram@0").bytes("ranges", b"").with(node("x@0").cells("reg", &[0, 1])))).is_ok());
}

#[test]
fn what_is_no_tree_to_merge_is_refused() {
    let overlay = root().with(node("fragment@0")).with(node("UUfixupsUU"));
    assert_eq!(
        refusal(&overlay),
        "multiboot,device-tree: /__fixups__ shows that it is an overlay, only whole trees can be merged"
    );
    let error = GuestTree { given: Some(b"\x7fELF"), ..plain() }.blob().unwrap_err();
    assert_eq!(
        error.to_string(),
        "multiboot,device-tree: device tree is cut short: the header needs 40 bytes, 4 are there"
    );
    let mut blob = root().with(node("fine")).blob();
    let at = blob.windows(4).position(|name| name == b"fine").unwrap();
    blob[at] = b'!';
    let error = GuestTree { given: Some(&blob), ..plain() }.blob().unwrap_err();
    assert_eq!(error.to_string(), "/!ine cannot be written into the device tree: Invalid node name");
}

const NAMES: [&str; 8] = ["gic", "chosen", "aliases", "passthrough", "memory@0", "timer", "soc", "UUsymbolsUU"];
const KEYS: [&str; 8] =
    ["phandle", "linux,phandle", "reg", "ranges", "#address-cells", "bootargs", "compatible", "device_type"];

fn any_tree() -> impl Strategy<Value = Node> {
    let value = prop::collection::vec(any::<u32>(), 0..3).prop_map(|value| cells(&value));
    let value =
        prop::strategy::Union::new([value.boxed(), Just(cells(&[2])).boxed(), Just(text("arm,gic-v3")).boxed()]);
    let properties = prop::collection::vec((select(&KEYS[..]), value), 0..4);
    let children = prop::collection::vec((0..3usize, select(&NAMES[..]), properties), 0..8);
    children.prop_map(|children| {
        let mut open = vec![];
        let mut tree = root();
        for (depth, name, properties) in children {
            let mut child = node(name);
            for (key, value) in properties {
                // The writer of the given tree writes any value, the checker wants a cell here.
                let value = if key == "#address-cells" { cells(&[2]) } else { value };
                child = child.bytes(key, &value);
            }
            match open.last_mut() {
                Some(parent) if depth > 0 => *parent = Node::clone(parent).with(child),
                _ => open.push(child),
            }
        }
        for child in open {
            tree = tree.with(child);
        }
        tree
    })
}

proptest! {
    #[test]
    fn any_given_tree_is_refused_or_gives_one_that_can_be_read(
        tree in any_tree(),
        damage in prop::collection::vec((any::<Index>(), any::<u8>()), 0..3),
    ) {
        let mut given = compiled(&tree);
        for (at, byte) in damage {
            let at = at.index(given.len());
            given[at] = byte;
        }
        let tree = GuestTree { given: Some(&given), ..plain() };
        if let Ok(blob) = tree.blob() {
            let checked = Blob::check(&blob).unwrap();
            let facts = checked.facts().unwrap();
            // RAM is what we say, whatever the given tree says.
            let banks: Vec<(u64, u64)> = facts.banks.iter().map(|bank| (bank.start.get(), bank.size)).collect();
            assert_eq!(banks, [(0x4000_0000, 0x1000_0000)]);
        }
    }
}

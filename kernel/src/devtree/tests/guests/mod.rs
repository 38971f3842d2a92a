//! Guests: the facts that are read of them.

mod meaning;
mod placement;

use super::*;
use crate::base::addr::{PhysAddr, Span};
use crate::devtree::{
    Backing, Blob, FactsError, Guest, GuestAddresses, GuestStart, GuestUart, Module, RestartPolicy, TreeWarning,
    Unmapped,
};
use std::string::ToString;
use std::{format, vec};

const KERNEL: &str = "multiboot,kernel\0multiboot,module";
const RAMDISK: &str = "multiboot,ramdisk\0multiboot,module";

fn span(start: u64, size: u64) -> Span {
    Span::sized(PhysAddr::new(start), size).unwrap()
}

/// A module of one page; the address is in one cell.
fn module(name: &str, compatible: &str, start: u32) -> Node {
    node(name).text("compatible", compatible).cells("reg", &[start, 0x1000])
}

/// A guest without memory or modules.
fn bare(name: &str) -> Node {
    node(name)
        .text("compatible", "xen,domain")
        .cells("#address-cells", &[1])
        .cells("#size-cells", &[1])
        .cells("cpus", &[1])
}

/// A guest with 256 MiB and a kernel.
fn guest(name: &str) -> Node {
    bare(name).cells("memory", &[0, 0x4_0000]).with(module("kernel", KERNEL, 0x5000_0000))
}

/// What becomes of these children of `/chosen`, whose own cells are two and two.
fn read(children: &[Node]) -> Result<(Vec<Guest>, Vec<String>), FactsError> {
    let chosen = node("chosen").cells("#address-cells", &[2]).cells("#size-cells", &[2]);
    let chosen = children.iter().cloned().fold(chosen, Node::with);
    let blob = root().with(memory()).with(chosen).blob();
    let checked = Blob::check(&blob).unwrap();
    let facts = checked.facts()?;
    let warnings = facts.warnings.iter().filter(|warning| **warning != TreeWarning::NoStdout);
    Ok((facts.guests, warnings.map(ToString::to_string).collect()))
}

/// The one guest, without a warning.
fn one(tree: Node) -> Guest {
    let (mut guests, warnings) = read(&[tree]).unwrap();
    assert_eq!((guests.len(), warnings), (1, vec![]));
    guests.remove(0)
}

fn refusal(tree: Node) -> String {
    read(&[tree]).unwrap_err().to_string()
}

fn warnings(tree: Node) -> Vec<String> {
    let (guests, warnings) = read(&[tree]).unwrap();
    assert_eq!(guests.len(), 1, "a warning stops no guest");
    warnings
}

#[test]
fn a_guest_is_read_with_all_that_it_can_have() {
    let kernel = module("kernel@50000000", KERNEL, 0x5000_0000).text("bootargs", "console=ttyAMA0");
    let tree = bare("domU1")
        .cells("memory", &[0, 0x3000])
        .bytes("vpl011", &[])
        .cells("nr_spis", &[64])
        .cells("trap-unmapped-accesses", &[0])
        .cells("xen,static-mem", &[8, 0, 0, 0x80_0000, 9, 0, 0, 0x40_0000])
        .bytes("direct-map", &[])
        .with(module("dtb@52000000", "multiboot,device-tree\0multiboot,module", 0x5200_0000))
        .with(kernel)
        .with(module("ramdisk@51000000", RAMDISK, 0x5100_0000));
    let part = |name: &str, start, bootargs: Option<&str>| Module {
        node: format!("/chosen/domU1/{name}"),
        span: span(start, 0x1000),
        bootargs: bootargs.map(String::from),
    };
    let expected = Guest {
        node: "/chosen/domU1".into(),
        name: "domU1".into(),
        start: GuestStart::AtBoot,
        cpus: 1,
        affinities: vec![],
        pool: None,
        memory: 12 << 20,
        uart: GuestUart::Pl011,
        spis: Some(64),
        backing: Backing::Static {
            ranges: vec![span(0x8_0000_0000, 8 << 20), span(0x9_0000_0000, 4 << 20)],
            placement: GuestAddresses::Direct,
        },
        restart: RestartPolicy::Never,
        restart_limit: None,
        unmapped: Unmapped::ReadAsOnes,
        kernel: part("kernel@50000000", 0x5000_0000, Some("console=ttyAMA0")),
        ramdisk: Some(part("ramdisk@51000000", 0x5100_0000, None)),
        device_tree: Some(part("dtb@52000000", 0x5200_0000, None)),
    };
    assert_eq!(one(tree), expected);
}

#[test]
fn a_guest_that_asks_for_little_gets_the_defaults() {
    let found = one(guest("domU1"));
    assert_eq!((found.cpus, found.memory, found.spis), (1, 256 << 20, None));
    assert_eq!((found.uart, found.backing, found.unmapped), (GuestUart::None, Backing::Allocated, Unmapped::Trap));
    assert_eq!((found.kernel.bootargs, found.ramdisk, found.device_tree), (None, None, None));
}

#[test]
fn guests_come_in_the_order_of_the_tree() {
    let (guests, warnings) = read(&[guest("zeta"), node("hypervisor"), guest("alpha")]).unwrap();
    let names: Vec<&str> = guests.iter().map(|guest| guest.name.as_str()).collect();
    assert_eq!((names, warnings), (vec!["zeta", "alpha"], vec![]));
}

#[test]
fn memory_has_one_or_two_cells_of_kib() {
    let kernel = || module("kernel", KERNEL, 0x5000_0000);
    let with = |cells: &[u32]| bare("domU1").cells("memory", cells).with(kernel());
    assert_eq!(one(with(&[4])).memory, 4096);
    assert_eq!(one(with(&[0x10, 0])).memory, 1 << 46);
    assert_eq!(one(with(&[0x3f_ffff, 0xffff_fffc])).memory, u64::MAX - 4095);
    for (cells, kib) in [(&[0][..], 0u64), (&[5], 5), (&[0, 6], 6), (&[0x40_0000, 0], 1 << 54)] {
        let message = format!("memory of /chosen/domU1 is {kib} KiB, not a multiple of 4 KiB above 0 and below 2^54");
        assert_eq!(refusal(with(cells)), message);
    }
    assert_eq!(refusal(with(&[])), "memory of /chosen/domU1 has 0 bytes instead of 4 or 8");
    assert_eq!(refusal(with(&[0, 0, 4])), "memory of /chosen/domU1 has 12 bytes instead of 4 or 8");
    assert_eq!(refusal(bare("domU1").with(kernel())), "/chosen/domU1 has no memory");
}

#[test]
fn a_guest_has_one_cpu_or_as_many_as_a_word_has_bits() {
    let without_cpus = node("domU1")
        .text("compatible", "xen,domain")
        .cells("#address-cells", &[1])
        .cells("#size-cells", &[1])
        .cells("memory", &[4])
        .with(module("kernel", KERNEL, 0x5000_0000));
    assert_eq!(warnings(without_cpus.clone()), ["/chosen/domU1 has no cpus, which Xen requires: it gets 1"]);
    for cpus in [0, 65, u32::MAX] {
        let message = format!("/chosen/domU1 asks for {cpus} CPUs, a guest has 1 to 64");
        assert_eq!(refusal(without_cpus.clone().cells("cpus", &[cpus])), message);
    }
    assert_eq!(refusal(without_cpus.cells("cpus", &[0, 1])), "cpus of /chosen/domU1 has 8 bytes instead of 4");
}

#[test]
fn a_guest_starts_again_by_itself_if_the_tree_says_so() {
    let with = |policy: &str| guest("domU1").text("lacuna,restart", policy);
    let policies =
        [("never", RestartPolicy::Never), ("on-failure", RestartPolicy::OnFailure), ("always", RestartPolicy::Always)];
    for (policy, restart) in policies {
        let found = one(with(policy));
        assert_eq!((found.restart, found.restart_limit), (restart, None));
    }
    assert_eq!(one(with("always").cells("lacuna,restart-limit", &[3])).restart_limit, Some(3));
    let message = "lacuna,restart of /chosen/domU1 is 'sometimes' instead of never, on-failure or always";
    assert_eq!(refusal(with("sometimes")), message);
}

#[test]
fn numbers_of_a_guest_have_limits() {
    for (property, cells, message) in [
        ("nr_spis", &[989][..], "nr_spis of /chosen/domU1 is 989, a GIC has at most 988"),
        ("nr_spis", &[], "nr_spis of /chosen/domU1 has 0 bytes instead of 4"),
        ("trap-unmapped-accesses", &[2], "trap-unmapped-accesses of /chosen/domU1 is 2 instead of 0 or 1"),
        ("trap-unmapped-accesses", &[0, 1], "trap-unmapped-accesses of /chosen/domU1 has 8 bytes instead of 4"),
    ] {
        assert_eq!(refusal(guest("domU1").cells(property, cells)), message);
    }
    assert_eq!(one(guest("domU1").cells("nr_spis", &[988])).spis, Some(988));
    assert_eq!(one(guest("domU1").cells("trap-unmapped-accesses", &[1])).unmapped, Unmapped::Trap);
}

#[test]
fn static_memory_is_whole_pages_and_as_much_as_memory_says() {
    const TOO_LITTLE: &str = "xen,static-mem of /chosen/domU1 is 0xffff000 bytes, its memory 0x10000000";
    const UNALIGNED: &str = "not whole pages of 4096 bytes";
    let with = |cells: &[u32]| guest("domU1").cells("xen,static-mem", cells);
    let half = [0, 0x7000_0000, 0, 0x800_0000, 0, 0x6000_0000, 0, 0x800_0000];
    let ranges = vec![span(0x7000_0000, 128 << 20), span(0x6000_0000, 128 << 20)];
    assert_eq!(one(with(&half)).backing, Backing::Static { ranges, placement: GuestAddresses::Usual });

    assert_eq!(refusal(with(&[0, 0x7000_0000, 0, 0xfff_f000])), TOO_LITTLE);
    assert_eq!(refusal(with(&[])), "xen,static-mem of /chosen/domU1 is 0x0 bytes, its memory 0x10000000");
    let unaligned = format!("xen,static-mem of /chosen/domU1 has [0x70000800, 0x80000800), {UNALIGNED}");
    assert_eq!(refusal(with(&[0, 0x7000_0800, 0, 0x1000_0000])), unaligned);
    let odd = "xen,static-mem of /chosen/domU1 has 12 bytes, not a multiple of its 16-byte entries";
    assert_eq!(refusal(with(&[0, 0x7000_0000, 0x1000_0000])), odd);
    let empty = "xen,static-mem of /chosen/domU1 at 0x70000000 is empty";
    assert_eq!(refusal(with(&[0, 0x7000_0000, 0, 0])), empty);
    // A sum past 2^64 is no memory either.
    let huge = [0, 0x1000, 0xffff_ffff, 0xffff_e000].repeat(2);
    assert!(refusal(with(&huge)).ends_with("is 0xffffffffffffffff bytes, its memory 0x10000000"));
}

#[test]
fn a_direct_map_needs_static_memory() {
    assert_eq!(
        refusal(guest("domU1").bytes("direct-map", &[])),
        "/chosen/domU1 has direct-map without xen,static-mem: there is no memory to map directly"
    );
}

#[test]
fn modules_are_told_apart_by_either_name_or_by_their_order() {
    let names = |modules: &[(&str, &str)]| {
        let tree = bare("domU1").cells("memory", &[4]);
        let place = |at: usize| 0x5000_0000 + 0x1000 * u32::try_from(at).unwrap();
        let add = |tree: Node, (at, (name, kind)): (usize, &(&str, &str))| tree.with(module(name, kind, place(at)));
        let found = one(modules.iter().enumerate().fold(tree, add));
        let name = |module: Option<Module>| module.map(|module| module.node.replace("/chosen/domU1/", ""));
        [name(Some(found.kernel)), name(found.ramdisk), name(found.device_tree)].map(Option::unwrap_or_default)
    };
    const OLD_KERNEL: &str = "xen,linux-zimage\0xen,multiboot-module";
    const OLD_RAMDISK: &str = "xen,linux-initrd\0xen,multiboot-module";
    const DEVICE_TREE: &str = "multiboot,module\0multiboot,device-tree";
    assert_eq!(names(&[("a", OLD_RAMDISK), ("b", OLD_KERNEL)]), ["b", "a", ""]);
    assert_eq!(names(&[("a", "multiboot,module")]), ["a", "", ""]);
    assert_eq!(names(&[("a", "multiboot,module"), ("b", "xen,multiboot-module")]), ["a", "b", ""]);
    assert_eq!(names(&[("a", DEVICE_TREE), ("b", "multiboot,module"), ("c", RAMDISK)]), ["b", "c", "a"]);
}

#[test]
fn modules_that_leave_a_doubt_are_refused_by_name() {
    let plain = |name, start| module(name, "multiboot,module", start);
    let empty = bare("domU1").cells("memory", &[4]);
    assert_eq!(refusal(empty.clone()), "/chosen/domU1 has no kernel module");
    assert_eq!(refusal(empty.with(module("r", RAMDISK, 0))), "/chosen/domU1 has no kernel module");

    let second = guest("domU1").with(module("other", KERNEL, 0x5100_0000));
    assert_eq!(refusal(second), "/chosen/domU1/other is a second kernel beside /chosen/domU1/kernel");
    let untold = guest("domU1").with(plain("other", 0x5100_0000));
    assert_eq!(refusal(untold), "/chosen/domU1/other is a second kernel beside /chosen/domU1/kernel");
    let ramdisks = guest("domU1").with(module("r1", RAMDISK, 0x5100_0000)).with(module("r2", RAMDISK, 0x5200_0000));
    assert_eq!(refusal(ramdisks), "/chosen/domU1/r2 is a second ramdisk beside /chosen/domU1/r1");

    let three = bare("domU1").cells("memory", &[4]).with(plain("a", 0)).with(plain("b", 0)).with(plain("c", 0));
    let message = "/chosen/domU1/c does not say what it is, which only a kernel and a ramdisk need not";
    assert_eq!(refusal(three), message);
}

#[test]
fn a_module_is_one_range_in_the_cells_of_its_guest() {
    let with = |reg: &[u32]| {
        let kernel = node("kernel").text("compatible", KERNEL).cells("reg", reg);
        bare("domU1").cells("memory", &[4]).with(kernel)
    };
    assert_eq!(one(with(&[0x5000_0001, 0x123])).kernel.span, span(0x5000_0001, 0x123));
    let two = with(&[0x5000_0000, 1, 0x6000_0000, 1]);
    assert_eq!(refusal(two), "reg of /chosen/domU1/kernel has 2 ranges instead of one");
    assert_eq!(refusal(with(&[])), "reg of /chosen/domU1/kernel has 0 ranges instead of one");
    assert_eq!(refusal(with(&[0x5000_0000, 0])), "module /chosen/domU1/kernel at 0x50000000 is empty");
}

#[test]
fn a_command_line_that_is_no_text_is_refused() {
    let kernel = module("kernel", KERNEL, 0x5000_0000).bytes("bootargs", b"quiet\xff\0");
    let tree = bare("domU1").cells("memory", &[4]).with(kernel);
    assert_eq!(refusal(tree), "bootargs of /chosen/domU1/kernel is not text");
}

//! The initrd, modules, guests and the command line.

use super::*;
use crate::devtree::{Blob, FactsError, Owner, TreeWarning};
use std::string::ToString;
use std::vec;

/// `/chosen` with one-cell addresses for what is below it.
fn chosen() -> Node {
    node("chosen").cells("#address-cells", &[1]).cells("#size-cells", &[1])
}

fn module(name: &str, compatible: &str, reg: &[u32]) -> Node {
    node(name).text("compatible", compatible).cells("reg", reg)
}

/// Owner and range of everything that is owned.
fn owned(chosen: Node) -> Result<Vec<(Owner, u64, u64)>, FactsError> {
    let blob = root().with(memory()).with(chosen).blob();
    let owned = Blob::check(&blob).unwrap().facts().map(|facts| facts.reservations)?;
    Ok(owned.into_iter().map(|owned| (owned.owner, owned.span.start.get(), owned.span.end.get())).collect())
}

fn bootargs(chosen: Node) -> (Option<String>, Vec<TreeWarning>) {
    let blob = root().with(memory()).with(chosen).blob();
    let checked = Blob::check(&blob).unwrap();
    let facts = checked.facts().unwrap();
    (facts.bootargs.map(str::to_owned), facts.warnings.into_iter().filter(|w| *w != TreeWarning::NoStdout).collect())
}

#[test]
fn a_tree_without_chosen_has_no_command_line_and_owns_nothing() {
    let blob = root().with(memory()).blob();
    let checked = Blob::check(&blob).unwrap();
    let facts = checked.facts().unwrap();
    assert_eq!((facts.bootargs, facts.reservations, facts.console), (None, vec![], None));
    assert_eq!(facts.warnings, [TreeWarning::NoStdout]);
}

#[test]
fn the_initrd_has_bounds_of_four_or_eight_bytes() {
    let initrd = |start: &[u32], end: &[u32]| {
        owned(node("chosen").cells("linux,initrd-start", start).cells("linux,initrd-end", end))
    };
    assert_eq!(initrd(&[0x4800_0000], &[0x4900_0001]).unwrap(), [(Owner::Initrd, 0x4800_0000, 0x4900_0001)]);
    assert_eq!(initrd(&[8, 0], &[8, 0x1000]).unwrap(), [(Owner::Initrd, 0x8_0000_0000, 0x8_0000_1000)]);
    assert_eq!(initrd(&[0x1000], &[1, 0]).unwrap(), [(Owner::Initrd, 0x1000, 0x1_0000_0000)]);
}

/// Nobody here uses it, and boot loaders write what they like where there is none.
#[test]
fn an_initrd_that_makes_no_sense_is_none() {
    let initrd =
        |start: &[u32], end: &[u32]| node("chosen").cells("linux,initrd-start", start).cells("linux,initrd-end", end);
    for (chosen, told) in [
        (initrd(&[0, 0], &[0, 0]), "initrd has an empty range at 0x0: ignored"),
        (initrd(&[0x1000], &[0x1000]), "initrd has an empty range at 0x1000: ignored"),
        (initrd(&[0x1000], &[0xfff]), "initrd starts at 0x1000 but ends at 0xfff: no initrd"),
        (initrd(&[1, 2, 3], &[4]), "linux,initrd-start has 12 bytes instead of 4 or 8: no initrd"),
        (initrd(&[4], &[]), "linux,initrd-end has 0 bytes instead of 4 or 8: no initrd"),
        (node("chosen").cells("linux,initrd-start", &[0x1000]), "/chosen has linux,initrd-start alone: no initrd"),
        (node("chosen").cells("linux,initrd-end", &[0x1000]), "/chosen has linux,initrd-end alone: no initrd"),
    ] {
        assert_eq!(owned(chosen.clone()).unwrap(), []);
        let (_, warnings) = bootargs(chosen);
        assert_eq!(warnings.iter().map(ToString::to_string).collect::<Vec<_>>(), [told]);
    }
}

#[test]
fn memory_that_is_shared_is_reserved_and_told() {
    let shm =
        |cells: &[u32]| node("shm@0").text("compatible", "xen,domain-shared-memory-v1").cells("xen,shared-mem", cells);
    let below = |cells: &[u32]| chosen().with(shm(cells));
    let is = |path: &str| Owner::SharedMem(path.into());
    assert_eq!(
        owned(below(&[0x5000_0000, 0x6000_0000, 0x1000])).unwrap(),
        [(is("/chosen/shm@0"), 0x5000_0000, 0x5000_1000)]
    );
    assert_eq!(
        bootargs(below(&[0x5000_0000, 0x6000_0000, 0x1000])).1[0].to_string(),
        "shared memory /chosen/shm@0 [0x50000000, 0x50001000) is reserved and not shared: guests share no memory"
    );
    // Memory of Xen's choice.
    assert_eq!(owned(below(&[0x6000_0000, 0x1000])).unwrap(), []);
    assert_eq!(
        bootargs(below(&[0x6000_0000, 0x1000])).1[0].to_string(),
        "/chosen/shm@0 shares 0x1000 bytes of any memory: ignored, guests share no memory"
    );
    // Of a guest that is not started: in the cells of its node.
    let guest = node("domU1").text("compatible", "xen,domain").text("status", "disabled");
    let guest =
        guest.cells("#address-cells", &[2]).cells("#size-cells", &[1]).with(shm(&[8, 0, 0, 0x6000_0000, 0x2000]));
    assert_eq!(owned(chosen().with(guest)).unwrap(), [(is("/chosen/domU1/shm@0"), 0x8_0000_0000, 0x8_0000_2000)]);

    let refused = |chosen: Node| owned(chosen).unwrap_err().to_string();
    assert_eq!(
        refused(below(&[0x5000_0000])),
        "xen,shared-mem of /chosen/shm@0 has 4 bytes instead of an address and a size, or two addresses and a size"
    );
    assert_eq!(refused(below(&[0x5000_0000, 0, 0])), "shared memory /chosen/shm@0 at 0x50000000 is empty");
    let none = node("shm").text("compatible", "xen,domain-shared-memory-v1");
    assert_eq!(refused(chosen().with(none)), "/chosen/shm has no xen,shared-mem");
}

#[test]
fn modules_are_found_at_any_depth_in_the_cells_of_their_parent() {
    let guest = node("domU1")
        .text("compatible", "xen,domain")
        .cells("memory", &[0x1000])
        .cells("#address-cells", &[2])
        .cells("#size-cells", &[1])
        .with(module("module@50000000", "multiboot,kernel\0multiboot,module", &[0, 0x5000_0000, 0x1234]));
    let group = node("group").cells("#address-cells", &[1]).cells("#size-cells", &[2]).with(module(
        "old@60000000",
        "xen,linux-initrd\0xen,multiboot-module",
        &[0x6000_0000, 0, 0x1000],
    ));
    let tree = chosen().with(guest).with(group).with(module("module@70000000", "multiboot,module", &[0x7000_0000, 1]));
    let mut found = owned(tree).unwrap();
    found.sort_by_key(|(_, start, _)| *start);
    let is = |path: &str| Owner::Module(path.into());
    let expected = [
        (is("/chosen/domU1/module@50000000"), 0x5000_0000, 0x5000_1234),
        (is("/chosen/group/old@60000000"), 0x6000_0000, 0x6000_1000),
        (is("/chosen/module@70000000"), 0x7000_0000, 0x7000_0001),
    ];
    assert_eq!(found, expected);
}

#[test]
fn a_module_outside_chosen_is_none() {
    let blob = root().with(memory()).with(module("module@0", "multiboot,module", &[0, 0, 0, 1])).blob();
    assert_eq!(Blob::check(&blob).unwrap().facts().unwrap().reservations, []);
}

#[test]
fn a_module_without_memory_is_refused_by_name() {
    let refusal = |module| owned(chosen().with(module)).unwrap_err().to_string();
    let without_reg = node("module@0").text("compatible", "multiboot,module");
    assert_eq!(refusal(without_reg), "/chosen/module@0 has no reg");
    let empty = module("module@5000", "multiboot,module", &[0x5000, 0]);
    assert_eq!(refusal(empty), "module /chosen/module@5000 at 0x5000 is empty");
    let odd = module("module@5000", "multiboot,module", &[0x5000]);
    assert_eq!(refusal(odd), "reg of /chosen/module@5000 has 4 bytes, not a multiple of its 8-byte entries");
}

#[test]
fn static_memory_of_a_guest_is_in_the_cells_of_chosen() {
    let guest_with = |static_memory: &[u32]| {
        node("domU1")
            .text("compatible", "xen,domain")
            .cells("#address-cells", &[2])
            .cells("#size-cells", &[2])
            .cells("memory", &[12])
            .cells("xen,static-mem", static_memory)
            .with(module("kernel", "multiboot,module", &[0, 0x7000_0000, 0, 1]))
    };
    let guest = guest_with(&[0x5000_0000, 0x1000, 0x6000_0000, 0x2000]);
    let owner = Owner::StaticMem("/chosen/domU1".into());
    let expected = [(owner.clone(), 0x5000_0000, 0x5000_1000), (owner, 0x6000_0000, 0x6000_2000)];
    assert_eq!(owned(chosen().with(guest)).unwrap()[..2], expected);
    // As trees for Xen up to 4.16 have it: in cells of its own.
    let own = |cells: &[(&str, u32)]| {
        let guest = guest_with(&[0, 0x5000_0000, 0x3000]);
        owned(chosen().with(cells.iter().fold(guest, |guest, (name, count)| guest.cells(name, &[*count]))))
    };
    let (address, size) = ("#xen,static-mem-address-cells", "#xen,static-mem-size-cells");
    let owner = Owner::StaticMem("/chosen/domU1".into());
    assert_eq!(own(&[(address, 2), (size, 1)]).unwrap()[0], (owner, 0x5000_0000, 0x5000_3000));
    assert_eq!(
        own(&[(address, 2)]).unwrap_err().to_string(),
        "/chosen/domU1 is addressed by 2 address and 0 size cells, only 1 and 2 can be read"
    );
    // Of a node that is no guest, it means nothing.
    assert_eq!(owned(chosen().with(node("other").cells("xen,static-mem", &[1, 2]))).unwrap(), []);
}

#[test]
fn the_command_line_is_bootargs_or_before_it_that_for_xen() {
    assert_eq!(bootargs(chosen()).0, None);
    assert_eq!(bootargs(chosen().text("bootargs", "loglevel=debug")), (Some("loglevel=debug".into()), vec![]));
    assert_eq!(bootargs(chosen().text("bootargs", "a").text("xen,xen-bootargs", "b")).0.as_deref(), Some("b"));
    // A zero is missing at the end.
    assert_eq!(bootargs(chosen().bytes("bootargs", b"quiet")).0.as_deref(), Some("quiet"));
    assert_eq!(
        bootargs(chosen().bytes("bootargs", b"\xff\0")),
        (None, vec![TreeWarning::NotText { property: "bootargs" }])
    );
}

#[test]
fn bootargs_belong_to_a_kernel_beside_the_guests_that_has_none_of_its_own() {
    let with = |kernel: Node| bootargs(chosen().text("bootargs", "console=hvc0").with(kernel));
    let is_dom0 = TreeWarning::Dom0 { module: "/chosen/module@0".into() };
    let foreign = (None, vec![is_dom0, TreeWarning::ForeignBootargs { module: "/chosen/module@0".into() }]);
    for compatible in
        ["multiboot,kernel\0multiboot,module", "xen,linux-zimage\0xen,multiboot-module", "multiboot,module"]
    {
        let kernel = module("module@0", compatible, &[0x5000_0000, 1]);
        assert_eq!(with(kernel.clone()), foreign);
        assert_eq!(with(kernel.text("bootargs", "root=/dev/ram")).0.as_deref(), Some("console=hvc0"));
    }
    let ramdisk = module("module@0", "multiboot,ramdisk\0multiboot,module", &[0x5000_0000, 1]);
    assert_eq!(with(ramdisk).0.as_deref(), Some("console=hvc0"));
    let kernel = module("module@0", "multiboot,module", &[0x5000_0000, 1]);
    let guest = node("domU1").text("compatible", "xen,domain").cells("#address-cells", &[1]).cells("#size-cells", &[1]);
    let guest = guest.cells("memory", &[0x1000]).cells("cpus", &[1]).with(kernel);
    assert_eq!(with(guest), (Some("console=hvc0".into()), vec![]));
}

#[test]
fn a_dom0_is_reserved_and_worth_a_warning() {
    let ramdisk = module("ramdisk", "multiboot,ramdisk\0multiboot,module", &[0x6000_0000, 1]);
    let tree = || chosen().with(ramdisk.clone()).with(module("linux", "multiboot,module", &[0x5000_0000, 1]));
    let (_, warnings) = bootargs(tree());
    assert_eq!(warnings.len(), 1);
    let message = "/chosen/linux is the kernel of a dom0, which is not supported: not started";
    assert_eq!(warnings[0].to_string(), message);
    assert_eq!(owned(tree()).unwrap().len(), 2);
    assert_eq!(bootargs(chosen().with(ramdisk)).1, []);
}

#[test]
fn a_static_heap_is_worth_a_warning() {
    assert_eq!(bootargs(chosen().cells("xen,static-heap", &[0, 0, 0, 0])).1, [TreeWarning::StaticHeap]);
}

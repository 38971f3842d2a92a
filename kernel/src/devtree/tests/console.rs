//! `stdout-path`, aliases, and addresses through buses.

use super::*;
use crate::addr::PhysAddr;
use crate::devtree::{Blob, Console, Warning};
use std::string::ToString;

fn pl011(name: &str, reg: &[u32]) -> Node {
    node(name).text("compatible", "arm,pl011\0arm,primecell").cells("reg", reg)
}

fn stdout(path: &str) -> Node {
    node("chosen").text("stdout-path", path)
}

/// The console, or the warning that there is none.
fn console(tree: Node) -> Result<Console, Warning> {
    let blob = tree.with(memory()).blob();
    let checked = Blob::check(&blob).unwrap();
    let facts = checked.facts().unwrap();
    match (facts.console, facts.warnings.as_slice()) {
        (Some(console), []) => Ok(console),
        (None, [warning]) => Err(warning.clone()),
        both => panic!("{both:?}"),
    }
}

fn base(tree: Node) -> Option<(u64, u64)> {
    console(tree).ok().map(|console| (console.base.get(), console.size))
}

fn simple_bus(name: &str, ranges: &[u32]) -> Node {
    node(name).cells("#address-cells", &[1]).cells("#size-cells", &[1]).cells("ranges", ranges)
}

#[test]
fn stdout_is_found_by_path() {
    let uart = || root().with(pl011("pl011@9000000", &[0, 0x900_0000, 0, 0x1000]));
    let base_at = PhysAddr::new(0x900_0000);
    let expected = |node: &str, baud| Console { node: node.into(), base: base_at, size: 0x1000, baud, interrupt: None };
    assert_eq!(console(uart().with(stdout("/pl011@9000000"))), Ok(expected("/pl011@9000000", None)));
    assert_eq!(console(uart().with(stdout("/pl011"))), Ok(expected("/pl011", None)));
    assert_eq!(console(uart().with(stdout("/pl011:9600"))), Ok(expected("/pl011", Some(9600))));
    let old = node("chosen").text("linux,stdout-path", "/pl011@9000000");
    assert_eq!(console(uart().with(old)), Ok(expected("/pl011@9000000", None)));
}

#[test]
fn stdout_is_found_by_an_alias_with_options_of_the_line() {
    let tree = || {
        let alias = node("aliases").text("serial0", "/pl011@9000000");
        root().with(pl011("pl011@9000000", &[0, 0x900_0000, 0, 0x1000])).with(alias)
    };
    for (path, baud) in [
        ("serial0", None),
        ("serial0:115200n8", Some(115_200)),
        ("serial0:", None),
        ("serial0:n8", None),
        ("serial0:99999999999", None),
    ] {
        let found = console(tree().with(stdout(path))).unwrap();
        assert_eq!((found.node.as_str(), found.baud), ("/pl011@9000000", baud), "{path}");
    }
}

#[test]
fn an_alias_of_an_alias_is_refused() {
    let tree = |value: &str| {
        let alias = node("aliases").text("serial0", value);
        root().with(pl011("pl011@9000000", &[0, 0x900_0000, 0, 0x1000])).with(alias)
    };
    let warning = console(tree("serial1").with(stdout("serial0"))).unwrap_err();
    assert_eq!(
        warning.to_string(),
        "stdout-path names alias 'serial0', which is 'serial1' instead of a path: no console"
    );
    assert!(matches!(console(tree("serial0").with(stdout("serial0"))), Err(Warning::StdoutAlias { .. })));
    let unknown = console(tree("/pl011@9000000").with(stdout("serial1"))).unwrap_err();
    assert_eq!(unknown.to_string(), "stdout-path 'serial1' names no node: no console");
}

#[test]
fn a_console_of_another_kind_is_told_apart() {
    let tree = root()
        .with(node("uart@0").text("compatible", "ns16550a").cells("reg", &[0, 0, 0, 0x1000]))
        .with(pl011("off@1000", &[0, 0x1000, 0, 0x1000]).text("status", "disabled"))
        .with(node("sbsa@2000").text("compatible", "arm,sbsa-uart").cells("reg", &[0, 0x2000, 0, 0x1000]));
    let warning = console(tree.clone().with(stdout("/uart@0"))).unwrap_err();
    assert_eq!(warning.to_string(), "stdout-path names /uart@0, a 'ns16550a' instead of a PL011: no console");
    let disabled = Warning::StdoutDisabled { node: "/off@1000".into() };
    assert_eq!(console(tree.clone().with(stdout("/off@1000"))), Err(disabled));
    assert_eq!(base(tree.clone().with(stdout("/sbsa@2000"))), Some((0x2000, 0x1000)));
    assert!(matches!(console(tree.clone().with(stdout("/"))), Err(Warning::StdoutNotPl011 { .. })));
    assert!(matches!(console(tree.with(stdout("/none/uart"))), Err(Warning::StdoutNotFound { .. })));
}

/// As in the trees of Raspberry Pi 4 and 5, which name 0x200 bytes.
#[test]
fn a_pl011_needs_the_registers_that_a_console_uses_and_no_more() {
    let on = |start, bytes| {
        let tree = root().with(pl011("uart", &[0, start, 0, bytes])).with(stdout("/uart"));
        console(tree).map(|console| (console.base.get(), console.size))
    };
    assert_eq!(on(0x900_0000, 0x200), Ok((0x900_0000, 0x200)));
    assert_eq!(on(0x900_0000, 0x48), Ok((0x900_0000, 0x48)));
    assert!(matches!(on(0x900_0002, 0x1000), Err(Warning::StdoutRegisters { .. })));
    assert_eq!(
        on(0x900_0000, 0x44).unwrap_err().to_string(),
        "stdout-path names /uart, whose registers [0x9000000, 0x9000044) are no PL011's, 0x48 bytes in words of 4: no \
         console"
    );
}

#[test]
fn registers_are_translated_by_every_bus_above_them() {
    let inner = simple_bus("inner", &[0x0, 0x10_0000, 0x1_0000, 0x1_0000, 0x20_0000, 0x1_0000])
        .with(pl011("uart@10800", &[0x1_0800, 0x800]));
    let outer = node("outer")
        .cells("#address-cells", &[1])
        .cells("#size-cells", &[2])
        .cells("ranges", &[0x10_0000, 8, 0, 0, 0x20_0000])
        .with(inner);
    let tree = root().with(outer).with(stdout("/outer/inner/uart@10800"));
    // 0x10800 on the inner bus is 0x200800 on the outer one, 0x100800 above the start of its window.
    assert_eq!(base(tree), Some((0x8_0010_0800, 0x800)));
}

#[test]
fn an_empty_ranges_translates_to_the_same_address() {
    let bus = simple_bus("soc", &[]).with(pl011("uart@9000000", &[0x900_0000, 0x1000]));
    assert_eq!(base(root().with(bus).with(stdout("/soc/uart@9000000"))), Some((0x900_0000, 0x1000)));
}

#[test]
fn registers_that_the_cpu_cannot_reach_are_no_console() {
    let uart = || pl011("uart@800", &[0x800, 0x1000]);
    let on = |bus: Node| console(root().with(bus.with(uart())).with(stdout("/bus/uart@800")));
    let unreachable = Err(Warning::StdoutUnreachable { node: "/bus/uart@800".into() });
    // No ranges at all, a window that ends inside the registers, one that starts behind their first byte.
    assert_eq!(on(node("bus").cells("#address-cells", &[1]).cells("#size-cells", &[1])), unreachable);
    assert_eq!(on(simple_bus("bus", &[0, 0, 0x9000_0000, 0x1000])), unreachable);
    assert_eq!(on(simple_bus("bus", &[0x801, 0, 0x9000_0000, 0x8000])), unreachable);
    assert_eq!(on(simple_bus("bus", &[0, 0xffff_ffff, 0xffff_ff00, 0x8000])), unreachable);
    assert!(on(simple_bus("bus", &[0, 0, 0x9000_0000, 0x1800])).is_ok());
}

//! `stdout-path`, aliases, and addresses through buses.

use super::*;
use crate::console::uart::{Flavour, Order, RegisterAccess, RegisterWidth, UartModel};
use crate::devtree::{Blob, Console, ConsoleDevice, TreeWarning};
use std::string::ToString;

fn pl011(name: &str, reg: &[u32]) -> Node {
    node(name).text("compatible", "arm,pl011\0arm,primecell").cells("reg", reg)
}

fn stdout(path: &str) -> Node {
    node("chosen").text("stdout-path", path)
}

/// The console, or the warning that there is none.
fn console(tree: Node) -> Result<Console, TreeWarning> {
    let blob = tree.with(memory()).blob();
    let checked = Blob::check(&blob).unwrap();
    let facts = checked.facts().unwrap();
    match (facts.console, facts.warnings.as_slice()) {
        (Some(console), []) => Ok(console),
        (None, [warning]) => Err(warning.clone()),
        both => panic!("{both:?}"),
    }
}

/// The UART's model, registers and access, or the warning that there is none.
fn uart(tree: Node) -> Result<(UartModel, (u64, u64), RegisterAccess), TreeWarning> {
    console(tree).map(|console| match console.device {
        ConsoleDevice::Memory { model, registers, access } => {
            (model, (registers.start.get(), registers.bytes()), access)
        }
        ConsoleDevice::DebugChannel => panic!("a console without registers"),
    })
}

fn base(tree: Node) -> Option<(u64, u64)> {
    uart(tree).ok().map(|(_, registers, _)| registers)
}

fn simple_bus(name: &str, ranges: &[u32]) -> Node {
    node(name).cells("#address-cells", &[1]).cells("#size-cells", &[1]).cells("ranges", ranges)
}

#[test]
fn stdout_is_found_by_path() {
    let uart = || root().with(pl011("pl011@9000000", &[0, 0x900_0000, 0, 0x1000]));
    for path in ["/pl011@9000000", "/pl011", "/pl011:9600"] {
        assert_eq!(base(uart().with(stdout(path))), Some((0x900_0000, 0x1000)), "{path}");
    }
    let found = console(uart().with(stdout("/pl011@9000000"))).unwrap();
    assert_eq!((found.node.as_str(), found.interrupt), ("/pl011@9000000", None));
    let old = node("chosen").text("linux,stdout-path", "/pl011@9000000");
    assert_eq!(base(uart().with(old)), Some((0x900_0000, 0x1000)));
}

#[test]
fn stdout_is_found_by_an_alias_with_options_of_the_line() {
    let tree = || {
        let alias = node("aliases").text("serial0", "/pl011@9000000");
        root().with(pl011("pl011@9000000", &[0, 0x900_0000, 0, 0x1000])).with(alias)
    };
    for path in ["serial0", "serial0:115200n8", "serial0:", "serial0:n8", "serial0:99999999999"] {
        let found = console(tree().with(stdout(path))).unwrap();
        assert_eq!(found.node.as_str(), "/pl011@9000000", "{path}");
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
    assert!(matches!(console(tree("serial0").with(stdout("serial0"))), Err(TreeWarning::StdoutAlias { .. })));
    let unknown = console(tree("/pl011@9000000").with(stdout("serial1"))).unwrap_err();
    assert_eq!(unknown.to_string(), "stdout-path 'serial1' names no node: no console");
}

#[test]
fn a_console_of_another_kind_is_told_apart() {
    let tree = root()
        .with(node("uart@0").text("compatible", "acme,uart\0acme,serial").cells("reg", &[0, 0, 0, 0x1000]))
        .with(pl011("off@1000", &[0, 0x1000, 0, 0x1000]).text("status", "disabled"))
        .with(node("sbsa@2000").text("compatible", "arm,sbsa-uart").cells("reg", &[0, 0x2000, 0, 0x1000]));
    let warning = console(tree.clone().with(stdout("/uart@0"))).unwrap_err();
    assert_eq!(
        warning.to_string(),
        "stdout-path names /uart@0, a 'acme,uart', for which there is no driver: no console"
    );
    let disabled = TreeWarning::StdoutDisabled { node: "/off@1000".into() };
    assert_eq!(console(tree.clone().with(stdout("/off@1000"))), Err(disabled));
    assert_eq!(base(tree.clone().with(stdout("/sbsa@2000"))), Some((0x2000, 0x1000)));
    assert!(matches!(console(tree.clone().with(stdout("/"))), Err(TreeWarning::StdoutUnknown { .. })));
    assert!(matches!(console(tree.with(stdout("/none/uart"))), Err(TreeWarning::StdoutNotFound { .. })));
}

/// As in the trees of Raspberry Pi 4 and 5, which name 0x200 bytes.
#[test]
fn a_pl011_needs_the_registers_that_a_console_uses_and_no_more() {
    let on = |start, bytes| {
        let tree = root().with(pl011("uart", &[0, start, 0, bytes])).with(stdout("/uart"));
        uart(tree).map(|(_, registers, _)| registers)
    };
    assert_eq!(on(0x900_0000, 0x200), Ok((0x900_0000, 0x200)));
    assert_eq!(on(0x900_0000, 0x3c), Ok((0x900_0000, 0x3c)));
    assert!(matches!(on(0x900_0002, 0x1000), Err(TreeWarning::StdoutRegisters { .. })));
    assert_eq!(
        on(0x900_0000, 0x38).unwrap_err().to_string(),
        "stdout-path names /uart, whose registers [0x9000000, 0x9000038) are not 0x3c bytes in words of 4: no console"
    );
}

const WORDS: RegisterAccess = RegisterAccess { width: RegisterWidth::Word, order: Order::Little, offset: 0, shift: 0 };
const BYTES: RegisterAccess = RegisterAccess { width: RegisterWidth::Byte, ..WORDS };

/// The model and the access that a node with these properties leads to.
fn described(
    compatible: &str,
    properties: &[(&'static str, &[u32])],
) -> Result<(UartModel, RegisterAccess), TreeWarning> {
    let uart_node = node("uart").text("compatible", compatible).cells("reg", &[0, 0x900_0000, 0, 0x1000]);
    let described = properties.iter().fold(uart_node, |node, (name, cells)| node.cells(name, cells));
    uart(root().with(described).with(stdout("/uart"))).map(|(model, _, access)| (model, access))
}

/// Compatible strings as they stand in the trees of boards.
#[test]
fn each_family_of_uarts_has_its_driver_and_its_usual_access() {
    let spread = RegisterAccess { shift: 2, ..WORDS };
    let behind = RegisterAccess { offset: 0x10, ..WORDS };
    let big = RegisterAccess { order: Order::Big, ..WORDS };
    for (compatible, model, access) in [
        ("arm,sbsa-uart", UartModel::Pl011, WORDS),
        ("fsl,ns16550\0ns16550a", UartModel::Ns16550(Flavour::Plain), BYTES),
        ("rockchip,rk3399-uart\0snps,dw-apb-uart", UartModel::Ns16550(Flavour::DesignWare), BYTES),
        ("nvidia,tegra186-uart\0nvidia,tegra20-uart", UartModel::Ns16550(Flavour::Tegra), spread),
        ("ti,j721e-uart\0ti,am654-uart", UartModel::Ns16550(Flavour::Plain), spread),
        ("brcm,bcm2835-aux-uart", UartModel::Ns16550(Flavour::Mini), spread),
        ("cdns,uart-r1p12\0xlnx,xuartps", UartModel::Cadence, WORDS),
        ("xlnx,xuartps", UartModel::Cadence, WORDS),
        ("fsl,imx8mp-uart\0fsl,imx6q-uart", UartModel::Imx, WORDS),
        ("fsl,vf610-lpuart", UartModel::Lpuart8, BYTES),
        ("fsl,ls1021a-lpuart", UartModel::Lpuart32, big),
        ("fsl,ls1028a-lpuart", UartModel::Lpuart32, WORDS),
        ("fsl,imx93-lpuart\0fsl,imx8ulp-lpuart\0fsl,imx7ulp-lpuart", UartModel::Lpuart32, behind),
        ("amlogic,meson-gx-uart\0amlogic,meson-ao-uart", UartModel::Meson, WORDS),
    ] {
        assert_eq!(described(compatible, &[]), Ok((model, access)), "{compatible}");
    }
}

#[test]
fn a_16550_lies_as_its_node_says() {
    let dw =
        |properties: &[(&'static str, &[u32])]| described("snps,dw-apb-uart", properties).map(|(_, access)| access);
    assert_eq!(dw(&[("reg-shift", &[2]), ("reg-io-width", &[4])]), Ok(RegisterAccess { shift: 2, ..WORDS }));
    assert_eq!(
        dw(&[("reg-shift", &[1]), ("reg-io-width", &[2])]),
        Ok(RegisterAccess { shift: 1, width: RegisterWidth::Half, ..WORDS })
    );
    assert_eq!(
        dw(&[("reg-shift", &[2]), ("reg-offset", &[0x200])]),
        Ok(RegisterAccess { shift: 2, offset: 0x200, ..BYTES })
    );
    let big = RegisterAccess { shift: 2, order: Order::Big, ..WORDS };
    assert_eq!(dw(&[("reg-shift", &[2]), ("reg-io-width", &[4]), ("big-endian", &[])]), Ok(big));
    let refused = |properties: &[(&'static str, &[u32])]| dw(properties).unwrap_err().to_string();
    assert_eq!(refused(&[("reg-io-width", &[3])]), "stdout-path names /uart, whose reg-io-width is 3: no console");
    assert_eq!(refused(&[("reg-shift", &[5])]), "stdout-path names /uart, whose reg-shift is 5: no console");
    // Words that overlap, and registers past the end.
    assert!(refused(&[("reg-io-width", &[4])]).contains("are not 0x23 bytes in words of 4"));
    assert!(refused(&[("reg-offset", &[0xff0])]).contains("are not 0x1010 bytes in words of 1"));
    // A property of a bus that others do not have.
    assert_eq!(described("xlnx,xuartps", &[("reg-shift", &[2])]), Ok((UartModel::Cadence, WORDS)));
}

/// Elsewhere in a tree it is not the console: an image with semihosting or an early UART has a better one.
#[test]
fn the_debug_channel_is_a_console_where_stdout_names_it() {
    let tree = || root().with(node("dcc").text("compatible", "arm,dcc"));
    let found = console(tree().with(stdout("/dcc"))).unwrap();
    assert_eq!((found.node.as_str(), found.device, found.interrupt), ("/dcc", ConsoleDevice::DebugChannel, None));
    let unknown = node("uart").text("compatible", "acme,uart");
    assert!(matches!(console(tree().with(unknown).with(stdout("/uart"))), Err(TreeWarning::StdoutUnknown { .. })));
    assert_eq!(console(tree()), Err(TreeWarning::NoStdout));
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
    let unreachable = Err(TreeWarning::StdoutUnreachable { node: "/bus/uart@800".into() });
    // No ranges at all, a window that ends inside the registers, one that starts behind their first byte.
    assert_eq!(on(node("bus").cells("#address-cells", &[1]).cells("#size-cells", &[1])), unreachable);
    assert_eq!(on(simple_bus("bus", &[0, 0, 0x9000_0000, 0x1000])), unreachable);
    assert_eq!(on(simple_bus("bus", &[0x801, 0, 0x9000_0000, 0x8000])), unreachable);
    assert_eq!(on(simple_bus("bus", &[0, 0xffff_ffff, 0xffff_ff00, 0x8000])), unreachable);
    assert!(on(simple_bus("bus", &[0, 0, 0x9000_0000, 0x1800])).is_ok());
}

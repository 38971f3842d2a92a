//! The GIC, and the interrupts of the console and of the virtual timer.

use super::*;
use crate::base::addr::{PhysAddr, Span};
use crate::base::id::PhysIntid;
use crate::base::interrupt::{Interrupt, Trigger};
use crate::devtree::{Blob, GicFacts};
use std::string::ToString;
use std::{format, vec};

/// What the trees below call the GIC.
const GIC: u32 = 0x8001;

/// What a tree says about interrupts.
#[derive(Debug, PartialEq, Eq)]
struct Found {
    gic: Option<GicFacts>,
    console: Option<Interrupt>,
    timer: Option<Interrupt>,
    warnings: Vec<String>,
}

fn read(tree: Node) -> Found {
    let blob = tree.with(memory()).with(node("chosen").text("stdout-path", "/pl011@9000000")).blob();
    let checked = Blob::check(&blob).unwrap();
    let facts = checked.facts().unwrap();
    Found {
        gic: facts.gic,
        console: facts.console.expect("a console, whatever its interrupt").interrupt,
        timer: facts.virtual_timer,
        warnings: facts.warnings.iter().map(ToString::to_string).collect(),
    }
}

fn span(start: u64, size: u64) -> Span {
    Span::sized(PhysAddr::new(start), size).unwrap()
}

fn level(id: u32) -> Option<Interrupt> {
    Some(Interrupt { id: PhysIntid::new(id), trigger: Trigger::Level })
}

/// That of QEMU's `virt`, with the given registers.
fn gic_at(reg: &[u32]) -> Node {
    node("intc@8000000")
        .text("compatible", "arm,gic-v3")
        .cells("#interrupt-cells", &[3])
        .cells("phandle", &[GIC])
        .cells("reg", reg)
}

/// As QEMU's `virt` has it.
fn gic() -> Node {
    gic_at(&[0, 0x800_0000, 0, 0x1_0000, 0, 0x80a_0000, 0, 0xf6_0000]).cells("interrupts", &[1, 9, 4])
}

fn uart() -> Node {
    node("pl011@9000000").text("compatible", "arm,pl011").cells("reg", &[0, 0x900_0000, 0, 0x1000])
}

fn timer() -> Node {
    node("timer").text("compatible", "arm,armv8-timer\0arm,armv7-timer")
}

/// Root and GIC.
fn machine() -> Node {
    root().cells("interrupt-parent", &[GIC]).with(gic())
}

#[test]
fn the_interrupts_of_virt_are_found() {
    let tree = machine()
        .with(timer().cells("interrupts", &[1, 13, 4, 1, 14, 4, 1, 11, 4, 1, 10, 4]))
        .with(uart().cells("interrupts", &[0, 1, 4]));
    let gic = GicFacts {
        node: "/intc@8000000".into(),
        distributor: span(0x800_0000, 0x1_0000),
        redistributors: vec![span(0x80a_0000, 0xf6_0000)],
        stride: None,
        maintenance: level(25),
    };
    assert_eq!(read(tree), Found { gic: Some(gic), console: level(33), timer: level(27), warnings: vec![] });
}

#[test]
fn a_gic_on_a_bus_is_found_where_the_cpu_sees_it() {
    let bus = |status| {
        let inner = node("interrupt-controller@f9000000")
            .text("compatible", "arm,gic-v3")
            .cells("#interrupt-cells", &[3])
            .cells("#redistributor-regions", &[2])
            .cells("redistributor-stride", &[0, 0x4_0000])
            .cells("reg", &[0, 0x8_0000, 0x8_0000, 0x8_0000, 0x10_0000, 0x8_0000]);
        node("apu")
            .text("status", status)
            .cells("#address-cells", &[1])
            .cells("#size-cells", &[1])
            .cells("ranges", &[0, 0, 0xf900_0000, 0x100_0000])
            .with(inner)
    };
    let expected = GicFacts {
        node: "/apu/interrupt-controller@f9000000".into(),
        distributor: span(0xf900_0000, 0x8_0000),
        redistributors: vec![span(0xf908_0000, 0x8_0000), span(0xf910_0000, 0x8_0000)],
        stride: Some(0x4_0000),
        maintenance: None,
    };
    // Nobody names an interrupt parent, and there is but one controller.
    let tree = root().with(bus("okay")).with(uart().cells("interrupts", &[0, 18, 4]));
    let found = Found { gic: Some(expected), console: level(50), timer: None, warnings: vec![] };
    assert_eq!(read(tree.clone()), found);
    // The first one counts, unless it is disabled.
    let node_of = |tree| read(tree).gic.map(|gic| gic.node);
    assert_eq!(node_of(tree.with(gic())), found.gic.map(|gic| gic.node));
    assert_eq!(node_of(root().with(bus("disabled")).with(gic()).with(uart())).as_deref(), Some("/intc@8000000"));
}

#[test]
fn a_machine_without_a_gic_of_version_3_has_no_interrupts_and_no_warning() {
    let old = node("intc@0").text("compatible", "arm,cortex-a15-gic").cells("#interrupt-cells", &[3]);
    let tree = root().with(old).with(uart().cells("interrupts", &[0, 1, 4])).with(timer());
    assert_eq!(read(tree), Found { gic: None, console: None, timer: None, warnings: vec![] });
}

#[test]
fn a_gic_that_cannot_be_used_is_told_by_name() {
    let good = [0, 0x800_0000, 0, 0x1_0000, 0, 0x80a_0000, 0, 0x2_0000];
    let unreachable =
        |regions| format!("has no registers of a distributor and {regions} redistributor regions that the CPU can use");
    for (gic, warning) in [
        (node("intc@8000000").text("compatible", "arm,gic-v3"), "has interrupts of 0 cells instead of 3 or 4".into()),
        (gic_at(&good).cells("#redistributor-regions", &[2]), unreachable(2)),
        (gic_at(&good).cells("#redistributor-regions", &[u32::MAX]), unreachable(u32::MAX)),
        (gic_at(&[0, 0x800_0000, 0, 0x1_0000]), unreachable(1)),
        (gic_at(&[0, 0x800_0000, 0, 0, 0, 0x80a_0000, 0, 0x2_0000]), unreachable(1)),
        (
            gic_at(&[0, 0x800_0800, 0, 0x1_0000, 0, 0x80a_0000, 0, 0x2_0000]),
            "has registers [0x8000800, 0x8010800), not in pages and frames of 0x10000 bytes".into(),
        ),
        (
            gic_at(&[0, 0x800_0000, 0, 0x1_0000, 0, 0x80a_0000, 0, 0x1_0000]),
            "has a redistributor region [0x80a0000, 0x80b0000) of less than 0x20000 bytes".into(),
        ),
    ] {
        let message = format!("/intc@8000000 {warning}: no GIC");
        let found = read(root().with(gic).with(uart().cells("interrupts", &[0, 1, 4])));
        assert_eq!(found, Found { gic: None, console: None, timer: None, warnings: vec![message] });
    }
    let odd = read(root().with(gic_at(&good).cells("redistributor-stride", &[0, 0, 0])).with(uart()));
    assert_eq!(odd.warnings, ["redistributor-stride of /intc@8000000 has 12 bytes instead of 4 or 8: no GIC"]);
    for (property, value) in
        [("#redistributor-regions", 0), ("redistributor-stride", 0x1_0000), ("redistributor-stride", 0x2_1000)]
    {
        let found = read(root().with(gic_at(&good).cells(property, &[value])).with(uart()));
        assert_eq!(found.warnings, [format!("{property} of /intc@8000000 is {value:#x}: no GIC")]);
    }
}

#[test]
fn an_interrupt_is_an_spi_or_a_ppi_with_an_edge_or_a_level() {
    let of = |cells: [u32; 3]| read(machine().with(uart().cells("interrupts", &cells))).console.unwrap();
    for (cells, id, trigger) in [
        ([0, 0, 4], 32, Trigger::Level),
        ([0, 987, 1], 1019, Trigger::Edge),
        ([0, 5, 2], 37, Trigger::Edge),
        ([1, 0, 8], 16, Trigger::Level),
        ([1, 15, 0xf08], 31, Trigger::Level),
    ] {
        assert_eq!(of(cells), Interrupt { id: PhysIntid::new(id), trigger });
    }
}

#[test]
fn an_interrupt_that_makes_no_sense_is_left_out_by_name() {
    for (cells, problem) in [
        (&[0, 988, 4][..], "interrupt 0 of /pl011@9000000 has number 988, its type ends below 988"),
        (&[1, 16, 4], "interrupt 0 of /pl011@9000000 has number 16, its type ends below 16"),
        (&[2, 1, 4], "interrupt 0 of /pl011@9000000 is of type 2, only 0 (SPI) and 1 (PPI) can be read"),
        (&[0, 1, 0], "interrupt 0 of /pl011@9000000 has flags 0x0, neither one edge nor one level"),
        (&[0, 1, 5], "interrupt 0 of /pl011@9000000 has flags 0x5, neither one edge nor one level"),
        (&[0, 1], "interrupts of /pl011@9000000 has 8 bytes, interrupt 0 would be behind their end"),
    ] {
        let found = read(machine().with(uart().cells("interrupts", cells)));
        assert_eq!((found.console, found.warnings), (None, vec![format!("{problem}: ignored")]));
    }
}

#[test]
fn an_interrupt_goes_to_the_nearest_controller_that_is_named() {
    let elsewhere = || vec!["interrupt 0 of /pl011@9000000 does not go to /intc@8000000 directly: ignored".into()];
    let of = |uart: Node| {
        let found = read(machine().with(uart));
        (found.console, found.warnings)
    };
    let plain = || uart().cells("interrupts", &[0, 1, 4]);
    assert_eq!(of(plain().cells("interrupt-parent", &[GIC + 1])), (None, elsewhere()));
    assert_eq!(of(plain().cells("interrupt-parent", &[GIC])), (level(33), vec![]));
    // Those with a controller each go before those without.
    assert_eq!(of(plain().cells("interrupts-extended", &[GIC, 0, 7, 4])), (level(39), vec![]));
    assert_eq!(of(plain().cells("interrupts-extended", &[GIC + 1, 0, 7, 4])), (None, elsewhere()));
    let nothing = "interrupts-extended of /pl011@9000000 has 12 bytes, interrupt 0 would be behind their end: ignored";
    assert_eq!(of(uart().cells("interrupts-extended", &[GIC, 0, 7])), (None, vec![nothing.into()]));
    assert_eq!(of(uart()), (None, vec![]));
}

#[test]
fn an_interrupt_by_way_of_a_bus_is_left_out() {
    let bus = node("bus")
        .cells("#address-cells", &[2])
        .cells("#size-cells", &[2])
        .cells("#interrupt-cells", &[1])
        .bytes("ranges", &[])
        .with(uart().cells("interrupts", &[5]));
    let blob = machine().with(bus).with(memory()).with(node("chosen").text("stdout-path", "/bus/pl011")).blob();
    let checked = Blob::check(&blob).unwrap();
    let facts = checked.facts().unwrap();
    assert_eq!(facts.console.unwrap().interrupt, None);
    let message = "interrupt 0 of /bus/pl011@9000000 does not go to /intc@8000000 directly: ignored";
    assert_eq!(facts.warnings[0].to_string(), message);
}

#[test]
fn the_physical_timer_is_the_second_or_the_one_of_that_name() {
    let of = |timer: Node| {
        let blob = machine().with(uart()).with(timer).with(memory()).blob();
        Blob::check(&blob).unwrap().facts().unwrap().physical_timer
    };
    assert_eq!(of(timer().cells("interrupts", &[1, 13, 4, 1, 14, 4, 1, 11, 4])), level(30));
    let named = timer().cells("interrupts", &[1, 11, 8, 1, 12, 8]);
    assert_eq!(of(named.clone().text("interrupt-names", "virt\0phys")), level(28));
    assert_eq!(of(named.text("interrupt-names", "virt\0sec-phys")), None);
}

#[test]
fn the_hypervisors_timer_is_the_fourth_or_the_one_of_that_name_or_nowhere() {
    let of = |timer: Node| {
        let blob = machine().with(uart()).with(timer).with(memory()).blob();
        let checked = Blob::check(&blob).unwrap();
        let facts = checked.facts().unwrap();
        (facts.hypervisor_timer, facts.warnings.len())
    };
    let three = [1, 13, 4, 1, 14, 4, 1, 11, 4];
    let (none, warnings) = of(timer().cells("interrupts", &three));
    assert_eq!(none, None);
    assert_eq!(of(timer().cells("interrupts", &[three.as_slice(), &[1, 10, 4]].concat())), (level(26), warnings));
    let named = timer().cells("interrupts", &[1, 12, 8, 1, 11, 8]).text("interrupt-names", "hyp-phys\0virt");
    assert_eq!(of(named).0, level(28));
    // One that is there and cannot be is worth a warning.
    assert_eq!(of(timer().cells("interrupts", &[three.as_slice(), &[0, 10, 4]].concat())), (None, warnings + 1));
}

#[test]
fn the_virtual_timer_is_the_third_or_the_one_of_that_name() {
    let of = |timer: Node| {
        let found = read(machine().with(uart()).with(timer));
        (found.timer, found.warnings)
    };
    let named = timer().cells("interrupts", &[1, 11, 8, 1, 14, 8]);
    assert_eq!(of(named.clone().text("interrupt-names", "virt\0phys")), (level(27), vec![]));
    assert_eq!(of(named.clone().text("interrupt-names", "sec-phys\0phys")), (None, vec![]));
    let cut = "interrupts of /timer has 24 bytes, interrupt 2 would be behind their end: ignored";
    assert_eq!(of(named), (None, vec![cut.into()]));
    let extended = [GIC, 1, 13, 8, GIC, 1, 14, 8, GIC, 1, 11, 8];
    assert_eq!(of(timer().cells("interrupts-extended", &extended)), (level(27), vec![]));
    let shared = "interrupt 2 of /timer is 43, shared by all CPUs, instead of one of 16 to 31: ignored";
    assert_eq!(of(timer().cells("interrupts", &[1, 13, 8, 1, 14, 8, 0, 11, 8])), (None, vec![shared.into()]));
}

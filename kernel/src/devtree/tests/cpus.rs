//! CPUs and the firmware that starts them.

use super::{Node, memory, node, root};
use crate::base::addr::PhysAddr;
use crate::devtree::{Blob, CpuFacts, EnableMethod, PsciFacts, TreeWarning};
use std::string::{String, ToString};
use std::vec::Vec;

fn cpu(name: &str) -> Node {
    node(name).text("device_type", "cpu")
}

/// What the tree with these children of `/cpus` says, and what is said of it.
fn read(cells: u32, cpus: &[Node]) -> (Vec<CpuFacts>, Vec<String>) {
    let parent = node("cpus").cells("#address-cells", &[cells]).cells("#size-cells", &[0]);
    let parent = cpus.iter().cloned().fold(parent, Node::with);
    let blob = root().with(memory()).with(parent).blob();
    let checked = Blob::check(&blob).unwrap();
    let facts = checked.facts().unwrap();
    let warnings = facts.warnings.iter().filter(|warning| **warning != TreeWarning::NoStdout);
    (facts.cpus, warnings.map(ToString::to_string).collect())
}

fn affinities(cpus: &[CpuFacts]) -> Vec<u64> {
    cpus.iter().map(|cpu| cpu.mpidr.get()).collect()
}

#[test]
fn affinities_come_in_one_cell_or_in_two_and_in_any_order() {
    let one =
        [cpu("cpu@101").cells("reg", &[0x101]), cpu("cpu@0").cells("reg", &[0]), cpu("cpu@1f").cells("reg", &[31])];
    let (cpus, warnings) = read(1, &one);
    assert_eq!((affinities(&cpus), warnings), ([0x101, 0, 31].to_vec(), Vec::new()));
    let two = [cpu("cpu@100000203").cells("reg", &[1, 0x203]), cpu("cpu@ff00000000").cells("reg", &[0xff, 0])];
    let (cpus, warnings) = read(2, &two);
    assert_eq!((affinities(&cpus), warnings), ([0x1_0000_0203, 0xff_0000_0000].to_vec(), Vec::new()));
    assert_eq!(cpus[0].node, "/cpus/cpu@100000203");
}

#[test]
fn what_has_no_affinity_of_its_own_is_left_out_by_name() {
    let wrong = [
        cpu("cpu@0"),
        cpu("cpu@1").cells("reg", &[0, 0]),
        cpu("cpu@2").cells("reg", &[0x8000_0002]),
        cpu("cpu@3").cells("reg", &[3]),
        cpu("cpu@4").cells("reg", &[3]),
    ];
    let (cpus, warnings) = read(1, &wrong);
    assert_eq!(affinities(&cpus), [3]);
    let reg = |name| std::format!("/cpus/{name} has no affinity that a CPU could have in reg: left out");
    assert_eq!(warnings[..3], ["cpu@0", "cpu@1", "cpu@2"].map(reg));
    assert_eq!(warnings[3..], ["/cpus/cpu@4 has affinity 0x3, and so has /cpus/cpu@3: left out"]);
}

#[test]
fn neither_disabled_and_broken_cpus_nor_caches_are_cpus() {
    let at = |index: u32| cpu(&std::format!("cpu@{index}")).cells("reg", &[index]);
    let children = [
        node("cpu-map"),
        node("l2-cache").text("compatible", "cache").text("device_type", "cache"),
        at(0),
        at(1).text("status", "disabled"),
        at(2).text("status", "fail"),
        at(3).text("status", "fail-secure"),
        at(4).text("status", "okay"),
        node("cpu@5").text("compatible", "arm,cortex-a53").cells("reg", &[5]),
        node("cpu@6").cells("reg", &[6]),
        node("cpu@7").text("device_type", "memory").text("compatible", "arm,cortex-a53").cells("reg", &[7]),
    ];
    assert_eq!(affinities(&read(1, &children).0), [0, 4, 5]);
}

#[test]
fn enable_methods_are_psci_spin_tables_and_others() {
    let method = |node: Node| read(1, &[node.cells("reg", &[0])]).0.remove(0).enable;
    let table = |release| EnableMethod::SpinTable { release: PhysAddr::new(release) };
    assert_eq!(method(cpu("cpu@0")), EnableMethod::Absent);
    assert_eq!(method(cpu("cpu@0").text("enable-method", "psci")), EnableMethod::Psci);
    let spin = cpu("cpu@0").text("enable-method", "spin-table");
    assert_eq!(method(spin.clone().cells("cpu-release-addr", &[0x8, 0xfff8])), table(0x8_0000_fff8));
    assert_eq!(method(spin.clone().cells("cpu-release-addr", &[0xd8])), table(0xd8));
    assert_eq!(method(spin.clone()), EnableMethod::Unknown("spin-table".into()));
    assert_eq!(method(spin.cells("cpu-release-addr", &[0, 0, 0])), EnableMethod::Unknown("spin-table".into()));
    let vendor = cpu("cpu@0").text("enable-method", "brcm,bcm2836-smp");
    assert_eq!(method(vendor), EnableMethod::Unknown("brcm,bcm2836-smp".into()));
    assert_eq!(method(cpu("cpu@0").text("enable-method", "vendor,smp\0psci")), EnableMethod::Psci);
}

fn psci(firmware: Node) -> Option<PsciFacts> {
    let blob = root().with(memory()).with(firmware.text("method", "smc")).blob();
    Blob::check(&blob).unwrap().facts().unwrap().psci
}

#[test]
fn cpu_on_is_the_standards_function_or_the_firmwares_own() {
    let cpu_on = |firmware| psci(firmware).unwrap().cpu_on;
    assert_eq!(cpu_on(node("psci").text("compatible", "arm,psci-1.0\0arm,psci")), Some(0xc400_0003));
    let standard = node("psci").text("compatible", "arm,psci-0.2\0arm,psci").cells("cpu_on", &[0x95c1_ba60]);
    assert_eq!(cpu_on(standard), Some(0xc400_0003));
    let old = node("psci").text("compatible", "arm,psci");
    assert_eq!(cpu_on(old.clone().cells("cpu_on", &[0x95c1_ba60])), Some(0x95c1_ba60));
    assert_eq!(cpu_on(old.clone().cells("cpu_on", &[1, 2])), None);
    assert_eq!(cpu_on(old), None);
}

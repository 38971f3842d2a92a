//! The CPUs, and the firmware that starts them.
//!
//! CPUs are children of `/cpus` (Devicetree Specification v0.4, 3.7 and 3.8), beside caches, idle states and a map of
//! clusters. Linux, Documentation/devicetree/bindings/arm/cpus.yaml, defines `reg` and `enable-method` for Arm.

use super::facts::Facts;
use super::node::{self, is_okay, number, text, value};
use super::parts::{CpuFacts, EnableMethod, PsciFacts};
use super::warning::TreeWarning;
use crate::arch::conduit::Conduit;
use crate::base::addr::PhysAddr;
use crate::base::id::Mpidr;
use alloc::format;
use alloc::string::String;
use fdt::node::FdtNode;

/// What a PSCI node of version 0.2 or later is compatible with (Linux, Documentation/devicetree/bindings/arm/psci.yaml).
const PSCI_STANDARD: [&str; 2] = ["arm,psci-1.0", "arm,psci-0.2"];

/// What a PSCI node of version 0.1 is compatible with, whose function IDs are properties.
const PSCI_0_1: [&str; 1] = ["arm,psci"];

/// CPU_ON with 64-bit arguments (DEN0022, 5.1.4).
const CPU_ON: u32 = 0xc400_0003;

impl Facts<'_> {
    /// Reads the children of `cpus`. A CPU that is disabled or has failed is not there.
    pub(super) fn read_cpus(&mut self, cpus: FdtNode<'_, '_>) {
        let cells = cpus.cell_sizes().address_cells;
        for child in cpus.children().filter(|child| is_cpu(*child) && is_okay(value(*child, "status"))) {
            let node = format!("/cpus/{}", child.name);
            let Some(mpidr) = mpidr(child, cells) else {
                self.warnings.push(TreeWarning::CpuReg { node });
                continue;
            };
            if let Some(other) = self.cpus.iter().find(|cpu| cpu.mpidr == mpidr) {
                let other = other.node.clone();
                self.warnings.push(TreeWarning::CpuTwice { node, other, mpidr });
                continue;
            }
            self.cpus.push(CpuFacts { node, mpidr, enable: enable_method(child), phandle: node::phandle(child) });
        }
    }

    /// The firmware's interface, if `node`, a child of `parent`, is a PSCI node; the first one counts.
    pub(super) fn read_psci(&mut self, parent: &str, node: FdtNode<'_, '_>) {
        let is_standard = node::is_compatible(node, &PSCI_STANDARD);
        let is_psci = is_standard || node::is_compatible(node, &PSCI_0_1);
        if self.psci.is_some() || !is_psci || !is_okay(value(node, "status")) {
            return;
        }
        let conduit = match value(node, "method").and_then(text).unwrap_or_default() {
            "smc" => Conduit::Smc,
            "hvc" => Conduit::Hvc,
            method => {
                let node = format!("{parent}/{}", node.name);
                self.warnings.push(TreeWarning::PsciMethod { node, method: method.into() });
                return;
            }
        };
        let own = || value(node, "cpu_on").filter(|cell| cell.len() == 4).map(|cell| number(cell) as u32);
        self.psci = Some(PsciFacts { conduit, cpu_on: if is_standard { Some(CPU_ON) } else { own() } });
    }
}

/// Whether a child of `/cpus` is a CPU: by its `device_type`, or, in trees that leave that out, by its name.
fn is_cpu(node: FdtNode<'_, '_>) -> bool {
    match value(node, "device_type") {
        Some(device_type) => text(device_type) == Some("cpu"),
        None => node.name.split('@').next() == Some("cpu") && value(node, "compatible").is_some(),
    }
}

/// `reg`: the affinity, in one cell without Aff3, or in two.
fn mpidr(node: FdtNode<'_, '_>, cells: usize) -> Option<Mpidr> {
    let reg = value(node, "reg").filter(|reg| matches!(cells, 1 | 2) && reg.len() == 4 * cells)?;
    Mpidr::new(number(reg))
}

/// `enable-method`, of which the first that is known counts; with `cpu-release-addr`, in two cells as it should be, or in one.
fn enable_method(node: FdtNode<'_, '_>) -> EnableMethod {
    let Some(methods) = value(node, "enable-method") else { return EnableMethod::Absent };
    if node::lists(methods, &["psci"]) {
        return EnableMethod::Psci;
    }
    let release = value(node, "cpu-release-addr").filter(|address| matches!(address.len(), 4 | 8));
    match release {
        Some(address) if node::lists(methods, &["spin-table"]) => {
            EnableMethod::SpinTable { release: PhysAddr::new(number(address)) }
        }
        _ => EnableMethod::Unknown(String::from(text(methods).unwrap_or_default())),
    }
}

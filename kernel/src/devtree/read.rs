//! Reading the facts, from the root's children.
//!
//! Memory nodes are children of the root (Devicetree Specification v0.4, section 3.4), and so are most of the other
//! nodes that matter here: each child is looked at once, and only the few interesting ones are entered. Devices that
//! may be anywhere are looked for afterwards.

use super::check::Blob;
use super::facts::Facts;
use super::node::{self, is_okay, text};
use super::owned::Owner;
use super::refusal::FactsError;
use super::warning::TreeWarning;
use super::{chosen, console, gic};
use crate::arch::conduit::Conduit;
use alloc::format;
use fdt::node::FdtNode;

impl Blob<'_> {
    /// Reads the facts.
    pub fn facts(&self) -> Result<Facts<'_>, FactsError> {
        let mut facts = Facts::default();
        self.read(&mut facts).map(|()| facts)
    }

    /// Reads the facts into `facts`, which are to be empty: those by which the machine can say why it ends, and end, are
    /// there in any case.
    pub fn read<'a>(&'a self, facts: &mut Facts<'a>) -> Result<(), FactsError> {
        facts.warnings.extend(self.oddities().iter().cloned().map(TreeWarning::Blob));
        let fdt = self.reader();
        // Nothing can be found in a tree without a root, and a checked tree has one.
        let root = fdt.find_node("/").ok_or(FactsError::NoMemory)?;
        let (mut chosen, mut aliases) = (None, None);
        for child in root.children() {
            match without_address(child.name) {
                "chosen" => chosen = chosen.or(Some(child)),
                "aliases" => aliases = aliases.or(Some(child)),
                "cpus" => facts.cpus = child.children().filter(|child| is_cpu(*child)).count(),
                "firmware" => child.children().for_each(|child| facts.psci("/firmware", child)),
                _ => facts.psci("", child),
            }
        }
        let controller = gic::read(root, facts);
        console::read(root, chosen, aliases, controller.as_ref(), facts);

        for (entry, reservation) in fdt.memory_reservations().enumerate() {
            let (start, size) = (reservation.address() as u64, reservation.size() as u64);
            if size > 0 {
                facts.reserve_oddly(Owner::MemReserve(entry), start, size);
            }
        }
        let cells = root.cell_sizes();
        let mut without_bank = Ok(());
        for child in root.children() {
            match without_address(child.name) {
                "chosen" | "aliases" | "firmware" | "cpus" => {}
                "reserved-memory" => facts.reserved_memory(child),
                _ => {
                    let memory = facts.memory(child, cells);
                    without_bank = without_bank.and(memory.clone());
                    facts.or_warn(memory);
                }
            }
        }
        if facts.banks.is_empty() {
            return Err(without_bank.err().unwrap_or(FactsError::NoMemory));
        }
        let Some(chosen) = chosen else { return Ok(()) };
        facts.usable_range(chosen, cells)?;
        chosen::read(chosen, facts)
    }
}

/// The name of a node without its unit address: some trees have one where there should be none, and Linux finds those nodes
/// by their names alone.
fn without_address(name: &str) -> &str {
    name.split('@').next().unwrap_or_default()
}

/// Whether a child of `/cpus` is a CPU that can be used, now or, if it is `disabled`, once it is started (Devicetree
/// Specification v0.4, 2.3.4 and 3.8.1).
fn is_cpu(node: FdtNode<'_, '_>) -> bool {
    let property = |name| node.property(name).and_then(|property| text(property.value));
    let has_failed = property("status").is_some_and(|status| status == "fail" || status.starts_with("fail-"));
    property("device_type") == Some("cpu") && !has_failed
}

impl Facts<'_> {
    /// The conduit, if `node`, a child of `parent`, is a PSCI node; the first one counts.
    fn psci(&mut self, parent: &str, node: FdtNode<'_, '_>) {
        let property = |name| node.property(name).map(|property| property.value);
        if self.psci.is_some() || !is_okay(property("status")) || !node::is_compatible(node, &PSCI) {
            return;
        }
        match property("method").and_then(text).unwrap_or_default() {
            "smc" => self.psci = Some(Conduit::Smc),
            "hvc" => self.psci = Some(Conduit::Hvc),
            method => self
                .warnings
                .push(TreeWarning::PsciMethod { node: format!("{parent}/{}", node.name), method: method.into() }),
        }
    }
}

/// What a PSCI node is compatible with, whatever its version (Linux, Documentation/devicetree/bindings/arm/psci.yaml).
const PSCI: [&str; 3] = ["arm,psci-1.0", "arm,psci-0.2", "arm,psci"];

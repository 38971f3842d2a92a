//! Reading the facts, from the root's children.
//!
//! Memory nodes are children of the root (Devicetree Specification v0.4, section 3.4), and so are most of the other
//! nodes that matter here: each child is looked at once, and only the few interesting ones are entered. Devices that
//! may be anywhere are looked for afterwards.

use super::check::Blob;
use super::chosen;
use super::console;
use super::facts::{Bank, Conduit, Facts, FactsError, Warning};
use super::gic;
use super::node::{self, is_okay, ranges, text};
use super::owned::{Mapping, Owner};
use crate::addr::PhysAddr;
use alloc::format;
use fdt::node::{CellSizes, FdtNode};

impl Blob<'_> {
    /// Reads the facts.
    pub fn facts(&self) -> Result<Facts<'_>, FactsError> {
        let mut facts = Facts::default();
        self.read(&mut facts).map(|()| facts)
    }

    /// Reads the facts into `facts`, which are to be empty: those by which the machine can say why it ends, and end, are
    /// there in any case.
    pub fn read<'a>(&'a self, facts: &mut Facts<'a>) -> Result<(), FactsError> {
        facts.warnings.extend(self.oddities().iter().cloned().map(Warning::Blob));
        let fdt = self.reader();
        // Nothing can be found in a tree without a root, and a checked tree has one.
        let root = fdt.find_node("/").ok_or(FactsError::NoMemory)?;
        let (mut chosen, mut aliases) = (None, None);
        for child in root.children() {
            match child.name {
                "chosen" => chosen = chosen.or(Some(child)),
                "aliases" => aliases = aliases.or(Some(child)),
                "firmware" => child.children().for_each(|child| facts.psci("/firmware", child)),
                _ => facts.psci("", child),
            }
        }
        let controller = gic::read(root, facts);
        console::read(root, chosen, aliases, controller.as_ref(), facts);

        for (entry, reservation) in fdt.memory_reservations().enumerate() {
            let (start, size) = (reservation.address() as u64, reservation.size() as u64);
            if size > 0 {
                facts.reserve(Owner::MemReserve(entry), start, size)?;
            }
        }
        let cells = root.cell_sizes();
        for child in root.children() {
            match child.name {
                "chosen" | "aliases" | "firmware" => {}
                "reserved-memory" => facts.reserved_memory(child)?,
                _ => facts.memory(child, cells)?,
            }
        }
        if facts.banks.is_empty() {
            return Err(FactsError::NoMemory);
        }
        chosen.map_or(Ok(()), |chosen| chosen::read(chosen, facts))
    }
}

impl Facts<'_> {
    /// The banks, if `child` of the root is a memory node.
    fn memory(&mut self, child: FdtNode<'_, '_>, root: CellSizes) -> Result<(), FactsError> {
        let (mut is_memory, mut status, mut reg) = (false, None, None);
        for property in child.properties() {
            match property.name {
                "device_type" => is_memory = text(property.value) == Some("memory"),
                "status" => status = Some(property.value),
                "reg" => reg = Some(property.value),
                _ => {}
            }
        }
        if is_memory && is_okay(status) {
            let path = format!("/{}", child.name);
            let reg = reg.ok_or_else(|| FactsError::Missing { node: path.clone(), property: "reg" })?;
            for (start, size) in ranges(reg, root, "reg", &path)? {
                self.banks.push(Bank { node: path.clone(), start: PhysAddr::new(start), size });
            }
        }
        Ok(())
    }

    /// The children of `/reserved-memory`.
    fn reserved_memory(&mut self, parent: FdtNode<'_, '_>) -> Result<(), FactsError> {
        let cells = parent.cell_sizes();
        for child in parent.children() {
            if !is_okay(child.property("status").map(|status| status.value)) {
                continue;
            }
            let path = format!("/{}/{}", parent.name, child.name);
            let Some(reg) = child.property("reg") else {
                self.warnings.push(match child.property("size") {
                    Some(size) if size.value.len() <= 8 => {
                        Warning::Dynamic { node: path, size: node::number(size.value) }
                    }
                    _ => Warning::NoRange { node: path },
                });
                continue;
            };
            let mapping = child.property("no-map").map_or(Mapping::Allowed, |_| Mapping::Forbidden);
            for (start, size) in ranges(reg.value, cells, "reg", &path)? {
                // A placeholder that the firmware was to fill.
                if size == 0 {
                    self.warnings.push(Warning::EmptyRange { node: path.clone(), start });
                    continue;
                }
                self.reserve(Owner::ReservedMemory { node: path.clone(), mapping }, start, size)?;
            }
        }
        Ok(())
    }

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
                .push(Warning::PsciMethod { node: format!("{parent}/{}", node.name), method: method.into() }),
        }
    }
}

/// What a PSCI node is compatible with, whatever its version (Linux, Documentation/devicetree/bindings/arm/psci.yaml).
const PSCI: [&str; 3] = ["arm,psci-1.0", "arm,psci-0.2", "arm,psci"];

//! Reading the facts, from the root's children.
//!
//! Memory nodes are children of the root (Devicetree Specification v0.4, section 3.4), and so are most of the other
//! nodes that matter here: each child is looked at once, and only the few interesting ones are entered. Devices that
//! may be anywhere are looked for afterwards.

use super::check::Blob;
use super::facts::Facts;
use super::owned::Owner;
use super::refusal::FactsError;
use super::warning::TreeWarning;
use super::{chosen, console, gic};

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
                "cpus" => facts.read_cpus(child),
                "firmware" => child.children().for_each(|child| facts.read_psci("/firmware", child)),
                _ => facts.read_psci("", child),
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

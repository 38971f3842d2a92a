//! RAM, and the parts of it that the tree reserves.
//!
//! Boards and boot loaders write many things here that no specification has, and Linux boots with them. They are read
//! as Linux reads them (drivers/of/fdt.c and of_reserved_mem.c), with a warning.

use super::facts::Facts;
use super::node::{entries, is_okay, number, ranges, text, value};
use super::owned::{MapPermission, Owned, Owner};
use super::parts::Bank;
use super::refusal::FactsError;
use super::warning::TreeWarning;
use crate::base::addr::{PhysAddr, Span};
use alloc::format;
use alloc::vec::Vec;
use fdt::node::{CellSizes, FdtNode};

/// The path of the node whose children are reservations.
const RESERVED: &str = "/reserved-memory";

impl Facts<'_> {
    /// Adds the banks of `node`, a child of the root that may be a memory node. What makes no bank of one is `Err`: it is no
    /// more than a warning as long as there are others.
    pub(super) fn memory(&mut self, node: FdtNode<'_, '_>, root: CellSizes) -> Result<(), FactsError> {
        let (mut is_memory, mut status, mut reg, mut usable) = (false, None, None, None);
        for property in node.properties() {
            match property.name {
                "device_type" => is_memory = text(property.value) == Some("memory"),
                "status" => status = Some(property.value),
                "reg" => reg = Some((property.value, "reg")),
                // What a crashed kernel leaves to the one that saves its memory.
                "linux,usable-memory" => usable = Some((property.value, "linux,usable-memory")),
                _ => {}
            }
        }
        if !is_memory || !is_okay(status) {
            return Ok(());
        }
        let path = format!("/{}", node.name);
        let (reg, property) =
            usable.or(reg).ok_or_else(|| FactsError::Missing { node: path.clone(), property: "reg" })?;
        let (found, rest) = entries(reg, root, property, &path)?;
        for (start, size) in found {
            self.banks.push(Bank { node: path.clone(), start: PhysAddr::new(start), size });
        }
        rest
    }

    /// Cuts the banks to `linux,usable-memory-range` of `chosen`: the rest belongs to a kernel that has crashed.
    pub(super) fn usable_range(&mut self, chosen: FdtNode<'_, '_>, root: CellSizes) -> Result<(), FactsError> {
        const PROPERTY: &str = "linux,usable-memory-range";
        let Some(property) = value(chosen, PROPERTY) else { return Ok(()) };
        let ranges = ranges(property, root, PROPERTY, "/chosen")?.filter(|(_, size)| *size > 0);
        let usable: Vec<Span> = ranges.map(|(start, size)| up_to_the_end(start, size)).collect();
        // Of no bytes, it restricts nothing.
        let Some(&first) = usable.first() else { return Ok(()) };
        let banks = core::mem::take(&mut self.banks);
        for bank in &banks {
            let whole = up_to_the_end(bank.start.get(), bank.size);
            for range in &usable {
                let (start, end) = (whole.start.max(range.start), whole.end.min(range.end));
                if start < end {
                    self.banks.push(Bank { node: bank.node.clone(), start, size: end.get() - start.get() });
                }
            }
        }
        if self.banks.is_empty() {
            return Err(FactsError::NothingUsable { first });
        }
        self.warnings.extend(usable.into_iter().map(|range| TreeWarning::UsableRange { range }));
        Ok(())
    }

    /// Adds the children of `parent`, `/reserved-memory`.
    pub(super) fn reserved_memory(&mut self, parent: FdtNode<'_, '_>) {
        let has = |name| value(parent, name).is_some();
        let cells = parent.cell_sizes();
        // Nothing says how its children's ranges are to be read, so Linux reads none. Without children nobody misses it.
        if !(has("#address-cells") && has("#size-cells")) && parent.children().next().is_some() {
            self.warnings.push(TreeWarning::ReservedCells);
            return;
        }
        for child in parent.children() {
            if !is_okay(value(child, "status")) {
                continue;
            }
            let path = format!("{RESERVED}/{}", child.name);
            let Some(reg) = value(child, "reg").filter(|reg| !reg.is_empty()) else {
                self.warnings.push(match value(child, "size") {
                    Some(size) if size.len() <= 8 => TreeWarning::Dynamic { node: path, size: number(size) },
                    _ => TreeWarning::NoRange { node: path },
                });
                continue;
            };
            let mapping = value(child, "no-map").map_or(MapPermission::Allowed, |_| MapPermission::Forbidden);
            match entries(reg, cells, "reg", &path) {
                Ok((found, rest)) => {
                    for (start, size) in found {
                        self.reserve_oddly(Owner::ReservedMemory { node: path.clone(), mapping }, start, size);
                    }
                    self.or_warn(rest);
                }
                Err(error) => self.or_warn(Err(error)),
            }
        }
    }

    /// Adds a reservation that somebody else made: of no bytes it is a placeholder that firmware was to fill, and there is
    /// nothing to reserve past the end of the address space.
    pub(super) fn reserve_oddly(&mut self, owner: Owner, start: u64, size: u64) {
        if size == 0 {
            self.warnings.push(TreeWarning::EmptyRange { owner, start });
            return;
        }
        let owned = Owned { owner, span: up_to_the_end(start, size) };
        if start.checked_add(size).is_none() {
            self.warnings.push(TreeWarning::Wraps { what: owned.clone(), size });
        }
        self.reservations.push(owned);
    }

    /// What is left out of the tree, if something is: with a warning.
    pub(super) fn or_warn(&mut self, found: Result<(), FactsError>) {
        self.warnings.extend(found.err().map(|error| TreeWarning::LeftOut { error }));
    }
}

/// The `size` bytes from `start`, as far as there are addresses.
fn up_to_the_end(start: u64, size: u64) -> Span {
    Span { start: PhysAddr::new(start), end: PhysAddr::new(start.saturating_add(size)) }
}

//! Interrupts of devices, as numbers of the GIC.
//!
//! A device describes its interrupts in the cells of its interrupt controller; the device or a node above it names that
//! controller (Devicetree Specification v0.4, section 2.4). Only interrupts of the GIC are read here: an interrupt that
//! takes another way, such as a bus with an `interrupt-map`, is left out with a warning, as nothing here depends on
//! one.
//!
//! Cells of the GIC: Linux, Documentation/devicetree/bindings/interrupt-controller/arm,gic-v3.yaml.

use super::bus;
use super::node::{number, value};
use super::refusal::InterruptError;
use crate::base::id::PhysIntid;
use crate::base::interrupt::{FIRST_PPI, FIRST_SPI, Interrupt, MAX_SPIS, Trigger};
use alloc::string::String;
use fdt::node::FdtNode;

/// The GIC as others refer to it.
pub(super) struct Controller {
    node: String,
    phandle: Option<u32>,
    /// Cells of an interrupt, at least three.
    cells: usize,
}

impl Controller {
    /// The last of `nodes`; or, unless it has three or four cells for an interrupt, how many it has.
    pub fn new(nodes: &[FdtNode<'_, '_>]) -> Result<Self, u32> {
        let property = |name| nodes.last().and_then(|node| word(*node, name));
        let cells = match property("#interrupt-cells").unwrap_or_default() {
            3 => 3,
            4 => 4,
            cells => return Err(cells),
        };
        let phandle = property("phandle").or_else(|| property("linux,phandle"));
        Ok(Self { node: bus::path(nodes), phandle, cells })
    }

    /// Interrupt `index`, from 0, of the last of `nodes`; `None` if it has no interrupts at all.
    pub fn interrupt(&self, nodes: &[FdtNode<'_, '_>], index: usize) -> Result<Option<Interrupt>, InterruptError> {
        const EXTENDED: &str = "interrupts-extended";
        const PLAIN: &str = "interrupts";
        let property = |name| nodes.last().and_then(|device| value(*device, name));
        let elsewhere = || InterruptError::Elsewhere { node: bus::path(nodes), index, controller: self.node.clone() };
        let size = self.cells * 4;
        let (name, value, entry) = if let Some(value) = property(EXTENDED) {
            // A phandle before each. What comes behind that of another controller has a length that only that one
            // knows.
            let mut entries = value.chunks_exact(4 + size).map(|entry| entry.split_at(4));
            if entries.clone().take(index + 1).any(|(phandle, _)| !self.is(number(phandle))) {
                return Err(elsewhere());
            }
            (EXTENDED, value, entries.nth(index).map(|(_, entry)| entry))
        } else if let Some(value) = property(PLAIN) {
            if !self.is_parent(nodes) {
                return Err(elsewhere());
            }
            (PLAIN, value, value.chunks_exact(size).nth(index))
        } else {
            return Ok(None);
        };
        let cut = || InterruptError::Cut { node: bus::path(nodes), property: name, bytes: value.len(), index };
        decode(entry.ok_or_else(cut)?, nodes, index).map(Some)
    }

    /// As [`Controller::interrupt`], of a device that each CPU has for itself.
    pub fn private(&self, nodes: &[FdtNode<'_, '_>], index: usize) -> Result<Option<Interrupt>, InterruptError> {
        let interrupt = self.interrupt(nodes, index)?;
        match interrupt {
            Some(Interrupt { id, .. }) if id >= PhysIntid::new(FIRST_SPI) => {
                Err(InterruptError::Shared { node: bus::path(nodes), index, id: id.get() })
            }
            _ => Ok(interrupt),
        }
    }

    fn is(&self, phandle: u64) -> bool {
        self.phandle.is_some_and(|own| u64::from(own) == phandle)
    }

    /// Whether interrupts of the last of `nodes` come here: the nearest node says it that names a controller or, above
    /// the device, is one. Where none says anything, there is but one controller to be meant.
    fn is_parent(&self, nodes: &[FdtNode<'_, '_>]) -> bool {
        for (above, node) in nodes.iter().rev().enumerate() {
            if above > 0 && value(*node, "#interrupt-cells").is_some() {
                return false;
            }
            if let Some(parent) = word(*node, "interrupt-parent") {
                return self.is(parent.into());
            }
        }
        true
    }
}

/// The number in a property of one cell.
fn word(node: FdtNode<'_, '_>, name: &str) -> Option<u32> {
    value(node, name)?.try_into().ok().map(u32::from_be_bytes)
}

/// The interrupt in `entry`: its type, its number in the type, flags.
fn decode(entry: &[u8], nodes: &[FdtNode<'_, '_>], index: usize) -> Result<Interrupt, InterruptError> {
    let (cells, _) = entry.as_chunks::<4>();
    let cell = |at| cells.get(at).copied().map(u32::from_be_bytes).unwrap_or_default();
    let (kind, number, flags) = (cell(0), cell(1), cell(2));
    let node = || bus::path(nodes);
    let (first, limit) = match kind {
        0 => (FIRST_SPI, MAX_SPIS),
        1 => (FIRST_PPI, FIRST_SPI - FIRST_PPI),
        _ => return Err(InterruptError::Kind { node: node(), index, kind }),
    };
    if number >= limit {
        return Err(InterruptError::Number { node: node(), index, number, limit });
    }
    // Rising, falling, high, low; above them a mask of CPUs that the GICv3 has no use for.
    let trigger = match flags & 0xf {
        1 | 2 => Trigger::Edge,
        4 | 8 => Trigger::Level,
        _ => return Err(InterruptError::Flags { node: node(), index, flags }),
    };
    Ok(Interrupt { id: PhysIntid::new(first + number), trigger })
}

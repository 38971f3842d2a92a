//! The tree in a guest's configuration, and the nodes of it that are copied into the guest's tree.
//!
//! Xen copies `/aliases` and `/passthrough` from such a tree. Lacuna copies every child of the root unchanged,
//! `/aliases` and `/passthrough` among them, except for the nodes that describe the hypervisor's own devices: RAM,
//! CPUs, PSCI, the interrupt controller, the timer and the UART. The root's own properties and the memory reservations
//! are not copied.
//!
//! As under Xen, nodes can name the interrupt controller by phandle 0xfde8, or name a node `/gic`, which stands for the
//! guest's: that gets the phandle.
//!
//! Relies on: a blob that was checked. In particular its depth is limited, so that the recursion here cannot overflow
//! the stack.

use super::nodes::{gic_name, uart_name};
use super::{GuestTreeError, at};
use crate::devtree::{is_compatible, text};
use alloc::format;
use alloc::string::String;
use fdt::Fdt;
use fdt::node::FdtNode;
use vm_fdt::FdtWriter;

/// Properties that ask Xen to assign a device of the machine (Xen, docs/misc/arm/passthrough.txt).
const ASSIGNMENT: [&str; 3] = ["xen,reg", "xen,path", "xen,force-assign-without-iommu"];

const GIC: [&str; 1] = ["arm,gic-v3"];
const OURS: [&str; 4] = ["arm,armv8-timer", "arm,psci-1.0", "arm,psci-0.2", "arm,psci"];

/// Nodes of an overlay, which the compiler writes: its phandles are still to be resolved.
const OVERLAY: [&str; 2] = ["__fixups__", "__local_fixups__"];
/// Paths by label, for whoever wants to apply overlays. Not for guests.
const SYMBOLS: &str = "__symbols__";

/// What to take from a given tree. By default, nothing.
#[derive(Default)]
pub(super) struct Given<'b, 'a> {
    /// The phandle by which it knows the interrupt controller.
    pub gic: Option<u32>,
    /// The command line in its `/chosen`.
    pub bootargs: Option<&'a str>,
    /// The root, some of whose children are copied. They are not listed: there may be as many as fit into the blob.
    root: Option<FdtNode<'b, 'a>>,
}

/// What a child of a given tree's root is to the guest's tree.
#[derive(Clone, Copy, PartialEq, Eq)]
enum NodeRole {
    Chosen,
    /// The interrupt controller, or what stands for it.
    Gic,
    /// Something else that the guest's tree has already, or that means nothing to a guest.
    Dropped,
    Overlay,
    Copied,
}

impl NodeRole {
    fn of(child: FdtNode<'_, '_>) -> Self {
        let is_memory = || {
            let kind = child.property("device_type").and_then(|kind| text(kind.value));
            child.name == "memory" || child.name.starts_with("memory@") || kind == Some("memory")
        };
        match child.name {
            "chosen" => Self::Chosen,
            "gic" => Self::Gic,
            "cpus" | "psci" | "timer" | SYMBOLS => Self::Dropped,
            name if OVERLAY.contains(&name) => Self::Overlay,
            name if name == gic_name() || is_compatible(child, &GIC) => Self::Gic,
            name if name == uart_name() || is_compatible(child, &OURS) || is_memory() => Self::Dropped,
            _ => Self::Copied,
        }
    }
}

impl<'b, 'a> Given<'b, 'a> {
    /// Looks at the children of the root.
    pub fn read(tree: &'b Fdt<'a>) -> Result<Self, GuestTreeError> {
        let mut given = Self::default();
        // A checked tree has a root; nothing can be taken from one without.
        let Some(root) = tree.find_node("/") else {
            return Ok(given);
        };
        given.root = Some(root);
        let cells = root.cell_sizes();
        for child in root.children() {
            let path = || format!("/{}", child.name);
            match NodeRole::of(child) {
                NodeRole::Chosen => {
                    given.bootargs = child.property("bootargs").and_then(|bootargs| text(bootargs.value))
                }
                NodeRole::Gic => given.gic = given.gic.or(phandle(child)),
                NodeRole::Dropped => {}
                NodeRole::Overlay => return Err(GuestTreeError::Overlay { node: path() }),
                NodeRole::Copied if is_addressed(child) && (cells.address_cells, cells.size_cells) != (2, 2) => {
                    let (address, size) = (cells.address_cells, cells.size_cells);
                    return Err(GuestTreeError::Cells { node: path(), address, size });
                }
                NodeRole::Copied => {}
            }
        }
        Ok(given)
    }

    /// Writes what is to be copied into the open root of `fdt`.
    pub fn copy(&self, fdt: &mut FdtWriter) -> Result<(), GuestTreeError> {
        let children = self.root.into_iter().flat_map(FdtNode::children);
        let mut copied = children.filter(|child| NodeRole::of(*child) == NodeRole::Copied);
        copied.try_for_each(|child| copy(child, &format!("/{}", child.name), fdt))
    }
}

/// Copies `node`, whose path is `path`, and all below it.
fn copy(node: FdtNode<'_, '_>, path: &str, fdt: &mut FdtWriter) -> Result<(), GuestTreeError> {
    let open = fdt.begin_node(node.name).map_err(at(path))?;
    for property in node.properties() {
        if ASSIGNMENT.contains(&property.name) {
            return Err(GuestTreeError::Assignment { node: path.into(), property: String::from(property.name) });
        }
        match <[u8; 4]>::try_from(property.value) {
            Ok(cell) if property.name == "phandle" => {
                let phandle = u32::from_be_bytes(cell);
                fdt.property_phandle(phandle).map_err(|error| match error {
                    vm_fdt::Error::DuplicatePhandle => GuestTreeError::Phandle { node: path.into(), phandle },
                    error => at(path)(error),
                })?;
            }
            _ => fdt.property(property.name, property.value).map_err(at(path))?,
        }
    }
    for child in node.children() {
        copy(child, &format!("{path}/{}", child.name), fdt)?;
    }
    fdt.end_node(open).map_err(at(path))
}

/// The node's phandle, if it has one that others can use (Devicetree Specification v0.4, section 2.3.3).
fn phandle(node: FdtNode<'_, '_>) -> Option<u32> {
    let value = node.property("phandle").or_else(|| node.property("linux,phandle"))?.value;
    let phandle = u32::from_be_bytes(value.try_into().ok()?);
    (phandle != 0 && phandle != u32::MAX).then_some(phandle)
}

/// Whether the node has addresses in its parent's cells.
fn is_addressed(node: FdtNode<'_, '_>) -> bool {
    node.property("reg").is_some() || node.property("ranges").is_some_and(|ranges| !ranges.value.is_empty())
}

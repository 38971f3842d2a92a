//! The address of a device: the nodes above it, and their translation of its addresses.
//!
//! A device is represented by the nodes along its path, the root first and the device last. The buses above it
//! translate its registers, and any of those nodes may name its interrupt controller.

use super::node::{cell_bytes, is_okay, lists, number, ranges, value};
use crate::base::addr::{PhysAddr, Span};
use alloc::string::String;
use alloc::vec;
use alloc::vec::Vec;
use fdt::node::FdtNode;

/// The nodes along `path`, the root first. A unit address may be left out of the path.
pub(super) fn walk<'b, 'a>(root: FdtNode<'b, 'a>, path: &str) -> Option<Vec<FdtNode<'b, 'a>>> {
    let mut nodes = vec![root];
    for part in path.split('/').filter(|part| !part.is_empty()) {
        let is_it = |name: &str| name == part || name.split_once('@').is_some_and(|(base, _)| base == part);
        let next = nodes.last()?.children().find(|child| is_it(child.name))?;
        nodes.push(next);
    }
    Some(nodes)
}

/// For each of `wanted`, the nodes along the path of the first device below `root` that is compatible with one of its
/// strings. Neither the device nor a bus above it is disabled.
pub(super) fn find<'b, 'a, const N: usize>(
    root: FdtNode<'b, 'a>,
    wanted: [&[&str]; N],
) -> [Option<Vec<FdtNode<'b, 'a>>>; N] {
    let mut found = [const { None }; N];
    find_each(root, &wanted, &mut found);
    found
}

fn find_each<'b, 'a>(root: FdtNode<'b, 'a>, wanted: &[&[&str]], found: &mut [Option<Vec<FdtNode<'b, 'a>>>]) {
    let mut nodes = vec![root];
    // For each node along the path, its children that have not been looked at: a list instead of a recursion.
    let mut unseen = vec![root.children()];
    while let Some(children) = unseen.last_mut() {
        let Some(node) = children.next() else {
            unseen.pop();
            nodes.pop();
            continue;
        };
        let (mut compatible, mut status) = (None, None);
        for property in node.properties() {
            match property.name {
                "compatible" => compatible = Some(property.value),
                "status" => status = Some(property.value),
                _ => {}
            }
        }
        if !is_okay(status) {
            continue;
        }
        nodes.push(node);
        unseen.push(node.children());
        for (found, wanted) in found.iter_mut().zip(wanted) {
            if found.is_none() && compatible.is_some_and(|compatible| lists(compatible, wanted)) {
                *found = Some(nodes.clone());
            }
        }
        if found.iter().all(Option::is_some) {
            break;
        }
    }
}

/// The path of the last of `nodes`, of which the first is the root.
pub(super) fn path(nodes: &[FdtNode<'_, '_>]) -> String {
    nodes.iter().skip(1).flat_map(|node| ["/", node.name]).collect()
}

/// The first `count` ranges of registers of the last of `nodes`, as the CPU sees them; `None` if there are fewer, or
/// one is empty or out of reach.
pub(super) fn registers(nodes: &[FdtNode<'_, '_>], count: usize) -> Option<Vec<Span>> {
    let (device, buses) = nodes.split_last()?;
    let reg = value(*device, "reg")?;
    let own = ranges(reg, buses.last()?.cell_sizes(), "reg", device.name).ok()?;
    let seen: Option<Vec<Span>> = own.take(count).map(|(address, size)| seen(buses, address, size)).collect();
    seen.filter(|seen| seen.len() == count)
}

/// The `size` bytes from `address` on the last of `buses`, as the CPU sees them: every bus, from the innermost to the
/// root's child, translates by its `ranges` (Devicetree Specification v0.4, section 2.3.8).
fn seen(buses: &[FdtNode<'_, '_>], mut address: u64, size: u64) -> Option<Span> {
    for pair in buses.windows(2).rev() {
        let [parent, bus] = pair else { return None };
        address = translate(*parent, *bus, address, size)?;
    }
    Span::sized(PhysAddr::new(address), size).filter(|span| span.bytes() > 0)
}

/// The address on `parent` of the `size` bytes from `address` on `bus`, its child.
fn translate(parent: FdtNode<'_, '_>, bus: FdtNode<'_, '_>, address: u64, size: u64) -> Option<u64> {
    let map = value(bus, "ranges")?;
    if map.is_empty() {
        return Some(address);
    }
    let own = cell_bytes(bus.cell_sizes().address_cells)?;
    let above = cell_bytes(parent.cell_sizes().address_cells)?;
    let length = cell_bytes(bus.cell_sizes().size_cells)?;
    map.chunks_exact(own + above + length).find_map(|entry| {
        let (from, rest) = entry.split_at(own);
        let (to, length) = rest.split_at(above);
        let offset = address.checked_sub(number(from))?;
        (offset.checked_add(size)? <= number(length)).then_some(())?;
        number(to).checked_add(offset)
    })
}

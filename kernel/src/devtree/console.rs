//! The UART that `stdout-path` names.

use super::facts::{Console, Warning};
use super::node::{cell_bytes, is_compatible, is_okay, number, ranges, text};
use crate::addr::PhysAddr;
use alloc::vec;
use alloc::vec::Vec;
use fdt::node::FdtNode;

const PL011: [&str; 2] = ["arm,pl011", "arm,sbsa-uart"];

/// Resolves `stdout-path`: a path or the name of an alias, with options of the line behind a colon.
pub(super) fn find<'b, 'a>(
    root: FdtNode<'b, 'a>,
    chosen: Option<FdtNode<'b, 'a>>,
    aliases: Option<FdtNode<'b, 'a>>,
) -> Result<Console, Warning> {
    let property = |name| chosen.and_then(|chosen| chosen.property(name)).and_then(|property| text(property.value));
    let stdout = property("stdout-path").or_else(|| property("linux,stdout-path")).ok_or(Warning::NoStdout)?;
    let (device, options) = stdout.split_once(':').unwrap_or((stdout, ""));

    let path = if device.starts_with('/') { device } else { resolve(aliases, device)? };
    let nodes = walk(root, path).ok_or_else(|| Warning::StdoutNotFound { path: path.into() })?;
    let [buses @ .., uart] = nodes.as_slice() else {
        return Err(Warning::StdoutNotFound { path: path.into() });
    };

    if !is_okay(uart.property("status").map(|status| status.value)) {
        return Err(Warning::StdoutDisabled { node: path.into() });
    }
    if !is_compatible(*uart, &PL011) {
        let compatible = uart.property("compatible").and_then(|compatible| text(compatible.value));
        return Err(Warning::StdoutNotPl011 { node: path.into(), compatible: compatible.unwrap_or_default().into() });
    }
    let (base, size) = registers(buses, *uart).ok_or_else(|| Warning::StdoutUnreachable { node: path.into() })?;
    let digits = options.find(|letter: char| !letter.is_ascii_digit()).unwrap_or(options.len());
    let baud = options.get(..digits).and_then(|digits| digits.parse().ok());
    Ok(Console { node: path.into(), base: PhysAddr::new(base), size, baud })
}

/// The path that an alias stands for. An alias cannot stand for another one, so there is no circle to be caught in.
fn resolve<'a>(aliases: Option<FdtNode<'_, 'a>>, alias: &str) -> Result<&'a str, Warning> {
    let value = aliases.and_then(|aliases| aliases.property(alias)).and_then(|property| text(property.value));
    match value {
        Some(path) if path.starts_with('/') => Ok(path),
        Some(value) => Err(Warning::StdoutAlias { alias: alias.into(), value: value.into() }),
        None => Err(Warning::StdoutNotFound { path: alias.into() }),
    }
}

/// The nodes along `path`, the root first. A unit address may be left out of the path.
fn walk<'b, 'a>(root: FdtNode<'b, 'a>, path: &str) -> Option<Vec<FdtNode<'b, 'a>>> {
    let mut nodes = vec![root];
    for part in path.split('/').filter(|part| !part.is_empty()) {
        let is_it = |name: &str| name == part || name.split_once('@').is_some_and(|(base, _)| base == part);
        let next = nodes.last()?.children().find(|child| is_it(child.name))?;
        nodes.push(next);
    }
    Some(nodes)
}

/// Address and length of the first registers of `device`, as the CPU sees them: every bus above it, from the innermost to the
/// root's child, translates by its `ranges` (Devicetree Specification v0.4, section 2.3.8).
fn registers(buses: &[FdtNode<'_, '_>], device: FdtNode<'_, '_>) -> Option<(u64, u64)> {
    let (innermost, _) = buses.split_last()?;
    let reg = device.property("reg")?.value;
    let (mut address, size) = ranges(reg, innermost.cell_sizes(), "reg", device.name).ok()?.next()?;
    for pair in buses.windows(2).rev() {
        let [parent, bus] = pair else { return None };
        address = translate(*parent, *bus, address, size)?;
    }
    address.checked_add(size)?;
    (size > 0).then_some((address, size))
}

/// The address on `parent` of the `size` bytes from `address` on `bus`, its child.
fn translate(parent: FdtNode<'_, '_>, bus: FdtNode<'_, '_>, address: u64, size: u64) -> Option<u64> {
    let map = bus.property("ranges")?.value;
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

//! Readings of one node that the reader does not offer.

use super::refusal::FactsError;
use fdt::node::{CellSizes, FdtNode};

/// A range of addresses as `reg` and its like give it: first byte and length.
pub(super) type Range = (u64, u64);

/// The text of a string property: up to the first zero.
pub(crate) fn text(value: &[u8]) -> Option<&str> {
    let end = value.iter().position(|&byte| byte == 0).unwrap_or(value.len());
    value.get(..end).and_then(|text| core::str::from_utf8(text).ok())
}

/// The value of the node's property `name`.
// Not inlined: the reader's own loop over properties would take 200 bytes of the image wherever one is looked up.
#[inline(never)]
pub(crate) fn value<'a>(node: FdtNode<'_, 'a>, name: &str) -> Option<&'a [u8]> {
    node.property(name).map(|property| property.value)
}

/// Whether `strings`, the value of a `compatible` property, has one of `wanted`.
pub(super) fn lists(strings: &[u8], wanted: &[&str]) -> bool {
    strings.split(|&byte| byte == 0).any(|string| wanted.iter().any(|wanted| wanted.as_bytes() == string))
}

/// Whether the node's `compatible` property has one of `wanted`.
pub(crate) fn is_compatible(node: FdtNode<'_, '_>, wanted: &[&str]) -> bool {
    value(node, "compatible").is_some_and(|compatible| lists(compatible, wanted))
}

/// Whether a node with this `status` property is to be used.
pub(super) fn is_okay(status: Option<&[u8]>) -> bool {
    status.is_none_or(|status| matches!(text(status), Some("okay" | "ok")))
}

/// The number by which other nodes refer to this one.
pub(super) fn phandle(node: FdtNode<'_, '_>) -> Option<u32> {
    let value = value(node, "phandle").or_else(|| value(node, "linux,phandle"))?;
    value.try_into().ok().map(u32::from_be_bytes)
}

/// The number in `cells`, big-endian, at most eight bytes.
pub(super) fn number(cells: &[u8]) -> u64 {
    cells.iter().fold(0, |number, &byte| number << 8 | u64::from(byte))
}

/// Number of bytes of `cells` cells, which must be one or two.
pub(super) fn cell_bytes(cells: usize) -> Option<usize> {
    matches!(cells, 1 | 2).then(|| cells * 4)
}

/// The ranges in `value`, a property like `reg` of the node at `path`, in cells of `bus`: all of it.
pub(super) fn ranges<'a>(
    value: &'a [u8],
    bus: CellSizes,
    property: &'static str,
    path: &str,
) -> Result<impl Iterator<Item = Range> + use<'a>, FactsError> {
    let (entries, rest) = entries(value, bus, property, path)?;
    rest.map(|()| entries)
}

/// As [`ranges`], but for a property that may end with a part of an entry, and the complaint if it does.
pub(super) fn entries<'a>(
    value: &'a [u8],
    bus: CellSizes,
    property: &'static str,
    path: &str,
) -> Result<(impl Iterator<Item = Range> + use<'a>, Result<(), FactsError>), FactsError> {
    let bytes = |cells| {
        let bad = || FactsError::Cells { node: path.into(), address: bus.address_cells, size: bus.size_cells };
        cell_bytes(cells).ok_or_else(bad)
    };
    let (address, size) = (bytes(bus.address_cells)?, bytes(bus.size_cells)?);
    let entry = address + size;
    let rest = match value.len().is_multiple_of(entry) {
        true => Ok(()),
        false => Err(FactsError::Length { node: path.into(), property, bytes: value.len(), entry }),
    };
    let found = value.chunks_exact(entry).map(move |entry| {
        let (start, length) = entry.split_at(address);
        (number(start), number(length))
    });
    Ok((found, rest))
}

//! Why a blob is refused, and the numbers of the format that decide it.

use alloc::string::String;
use core::fmt;
use thiserror::Error;

/// Size of the header in bytes (Devicetree Specification v0.4, section 5.2).
pub const HEADER_SIZE: usize = 40;

/// Largest blob accepted, in bytes: what the arm64 boot protocol allows (Linux, Documentation/arch/arm64/booting.rst).
pub const MAX_SIZE: usize = 2 << 20;

/// How many nodes may be nested in each other, the root included: as many as Linux looks at (FDT_MAX_DEPTH of
/// drivers/of/fdt.c). The reader recurses once for each level.
pub const MAX_DEPTH: usize = 64;

pub(super) const MAGIC: u32 = 0xd00d_feed;

/// The version whose header has all ten fields. Later ones that are compatible with it are fine.
pub(super) const VERSION: u32 = 17;

/// The version before it, which is the same but for the last field, the size of the structure: that ends with its last token.
pub(super) const OLD_VERSION: u32 = 16;

/// Size of the header of [`OLD_VERSION`] in bytes.
pub(super) const OLD_HEADER_SIZE: usize = HEADER_SIZE - 4;

/// Size in bytes of an entry of the memory reservation block: a 64-bit address and a 64-bit size.
pub(super) const RESERVATION_SIZE: usize = 16;

/// Why a blob is not a device tree that can be read. Offsets are in bytes from the blob's start.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[non_exhaustive]
#[expect(missing_docs, reason = "each message names its numbers")]
pub enum BlobError {
    #[error("device tree is cut short: the header needs {HEADER_SIZE} bytes, {have} are there")]
    HeaderCut { have: usize },
    #[error("not a device tree: it starts with {found:#010x} instead of {MAGIC:#010x}")]
    Magic { found: u32 },
    #[error(
        "device tree is of version {version}, compatible back to {compatible}: version {OLD_VERSION} or {VERSION} is needed"
    )]
    Version { version: u32, compatible: u32 },
    #[error("device tree claims to be {total} bytes, from {HEADER_SIZE} to {MAX_SIZE} are possible")]
    TotalSize { total: usize },
    #[error("device tree is cut short: it claims to be {total} bytes, {have} are there")]
    CutShort { total: usize, have: usize },
    #[error("device tree's {block} at offset {offset:#x}, {size} bytes, lies outside its {total} bytes")]
    BlockOutside { block: BlobBlock, offset: usize, size: usize, total: usize },
    #[error("device tree's {block} at offset {offset:#x}, {size} bytes, is not aligned to {align} bytes")]
    BlockUnaligned { block: BlobBlock, offset: usize, size: usize, align: usize },
    #[error("device tree's memory reservations at offset {offset:#x} have no end")]
    OpenReservations { offset: usize },
    #[error("device tree is cut short: {what} at offset {offset:#x} needs {needs} bytes, {left} are left")]
    Cut { what: &'static str, offset: usize, needs: usize, left: usize },
    #[error("device tree has an unknown token {token:#x} at offset {offset:#x}")]
    UnknownToken { offset: usize, token: u32 },
    #[error("device tree has a node name without an end at offset {offset:#x}")]
    OpenName { offset: usize },
    #[error("device tree has a second root at offset {offset:#x}")]
    SecondRoot { offset: usize },
    #[error("device tree has no root node")]
    NoRoot,
    #[error("device tree is nested deeper than {MAX_DEPTH} nodes at offset {offset:#x}")]
    TooDeep { offset: usize },
    #[error("device tree closes a node at offset {offset:#x}, but none is open")]
    NotOpen { offset: usize },
    #[error("device tree ends at offset {offset:#x} with {open} nodes open")]
    StillOpen { offset: usize, open: usize },
    #[error("device tree has a property outside the properties of a node at offset {offset:#x}")]
    StrayProperty { offset: usize },
    #[error("device tree's property at offset {offset:#x} has its name at {name:#x}, past the names' {names} bytes")]
    PropertyName { offset: usize, name: usize, names: usize },
    #[error("device tree cannot be copied: {bytes} bytes are not to be had")]
    OutOfMemory { bytes: usize },
}

/// An oddity of a readable blob. The first of each kind is reported.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[non_exhaustive]
#[expect(missing_docs, reason = "each message names its numbers")]
pub enum Oddity {
    #[error("device tree is of version {OLD_VERSION}, before {VERSION}: taken as it is")]
    OldVersion,
    #[error("device tree has byte {byte:#04x} in the name '{name}' of the node at offset {offset:#x}: read as here")]
    NodeName { offset: usize, byte: u8, name: String },
    #[error("device tree has a node without a name at offset {offset:#x}: read as '?'")]
    NoName { offset: usize },
    #[error("device tree's root at offset {offset:#x} has a name of {length} bytes: ignored")]
    RootName { offset: usize, length: usize },
    #[error("device tree has byte {byte:#04x} in the names of its properties, at {at:#x}: read as '?'")]
    Strings { at: usize, byte: u8 },
    #[error(
        "device tree has {property} of {length} bytes instead of 4 in node '{node}', at offset {offset:#x}: read as {read_as}"
    )]
    Cells { offset: usize, property: &'static str, length: usize, node: String, read_as: u32 },
}

/// A part of a blob.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BlobBlock {
    /// Memory reservations.
    Reservations,
    /// Nodes and properties.
    Structure,
    /// Names of properties.
    Strings,
}

impl fmt::Display for BlobBlock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Reservations => "memory reservation block",
            Self::Structure => "structure block",
            Self::Strings => "strings block",
        })
    }
}
